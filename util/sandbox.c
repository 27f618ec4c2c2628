/*
 * See sandbox.h. The groups are QEMU's; what threads need (clone with
 * CLONE_THREAD) stays. clone3() keeps its flags in memory, where a filter
 * cannot see them: it "does not exist", and the C library uses clone().
 */
#include "util/osdep.h"
#include "util/sandbox.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include "util/error.h"

#if defined(__x86_64__)
#define SANDBOX_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define SANDBOX_ARCH AUDIT_ARCH_AARCH64
#else
#define SANDBOX_ARCH 0 /* no sandbox here */
#endif

typedef struct Denied {
    int nr;
    unsigned group; /* 0: always */
} Denied;

#define X32_BIT 0x40000000u

/* Calls that a processor's kernel does not have are left out. */
static const Denied denied[] = {
    { SYS_reboot, 0 },
    { SYS_swapon, 0 },
    { SYS_swapoff, 0 },
    { SYS_syslog, 0 },
    { SYS_mount, 0 },
    { SYS_umount2, 0 },
    { SYS_kexec_load, 0 },
    { SYS_init_module, 0 },
    { SYS_delete_module, 0 },
    { SYS_pivot_root, 0 },
#ifdef __x86_64__
    { SYS_afs_syscall, 0 },
    { SYS_getpmsg, 0 },
    { SYS_putpmsg, 0 },
    { SYS_security, 0 },
    { SYS_tuxcall, 0 },
    { SYS_vserver, 0 },
    { SYS__sysctl, SANDBOX_OBSOLETE },
    { SYS_create_module, SANDBOX_OBSOLETE },
    { SYS_get_kernel_syms, SANDBOX_OBSOLETE },
    { SYS_query_module, SANDBOX_OBSOLETE },
    { SYS_sysfs, SANDBOX_OBSOLETE },
    { SYS_uselib, SANDBOX_OBSOLETE },
    { SYS_ustat, SANDBOX_OBSOLETE },
    { SYS_fork, SANDBOX_SPAWN },
    { SYS_vfork, SANDBOX_SPAWN },
#endif
    { SYS_setuid, SANDBOX_PRIVILEGE },
    { SYS_setgid, SANDBOX_PRIVILEGE },
    { SYS_setpgid, SANDBOX_PRIVILEGE },
    { SYS_setsid, SANDBOX_PRIVILEGE },
    { SYS_setreuid, SANDBOX_PRIVILEGE },
    { SYS_setregid, SANDBOX_PRIVILEGE },
    { SYS_setresuid, SANDBOX_PRIVILEGE },
    { SYS_setresgid, SANDBOX_PRIVILEGE },
    { SYS_setfsuid, SANDBOX_PRIVILEGE },
    { SYS_setfsgid, SANDBOX_PRIVILEGE },
    { SYS_execve, SANDBOX_SPAWN },
    { SYS_execveat, SANDBOX_SPAWN },
    { SYS_setpriority, SANDBOX_RESOURCE },
    { SYS_sched_setparam, SANDBOX_RESOURCE },
    { SYS_sched_setscheduler, SANDBOX_RESOURCE },
    { SYS_sched_setaffinity, SANDBOX_RESOURCE },
};

static void emit(GArray *prog, uint16_t code, uint8_t jt, uint8_t jf,
                 uint32_t k)
{
    struct sock_filter f = { code, jt, jf, k };

    g_array_append_val(prog, f);
}

/* "Equal to @k: @verdict", else on with the next. */
static void emit_verdict(GArray *prog, uint32_t k, uint32_t verdict)
{
    emit(prog, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, k);
    emit(prog, BPF_RET | BPF_K, 0, 0, verdict);
}

/* clone() of anything but a thread. */
static void emit_clone(GArray *prog)
{
    emit_verdict(prog, SYS_clone3, SECCOMP_RET_ERRNO | ENOSYS);
    emit(prog, BPF_JMP | BPF_JEQ | BPF_K, 0, 4, SYS_clone);
    emit(prog, BPF_LD | BPF_W | BPF_ABS, 0, 0,
         offsetof(struct seccomp_data, args[0]));
    emit(prog, BPF_JMP | BPF_JSET | BPF_K, 1, 0, CLONE_THREAD);
    emit(prog, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS);
    emit(prog, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
}

static GArray *sandbox_program(unsigned deny)
{
    GArray *prog = g_array_new(false, false, sizeof(struct sock_filter));

    emit(prog, BPF_LD | BPF_W | BPF_ABS, 0, 0,
         offsetof(struct seccomp_data, arch));
    emit(prog, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, SANDBOX_ARCH);
    emit(prog, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS);
    emit(prog, BPF_LD | BPF_W | BPF_ABS, 0, 0,
         offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
    emit(prog, BPF_JMP | BPF_JGE | BPF_K, 0, 1, X32_BIT);
    emit(prog, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS);
#endif
    for (size_t i = 0; i < G_N_ELEMENTS(denied); i++) {
        if (!denied[i].group || (denied[i].group & deny)) {
            emit_verdict(prog, denied[i].nr, SECCOMP_RET_KILL_PROCESS);
        }
    }
    /* glib's pools call it in each new thread, to give it what it has already:
     * that is answered, and done by nobody. */
    if (deny & SANDBOX_RESOURCE) {
        emit_verdict(prog, SYS_sched_setattr, SECCOMP_RET_ERRNO | 0);
    }
    if (deny & SANDBOX_SPAWN) {
        emit_clone(prog);
    }
    emit(prog, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
    return prog;
}

bool sandbox_enter(unsigned deny, GError **errp)
{
    g_autoptr(GArray) prog = NULL;
    struct sock_fprog fprog;

    if (!SANDBOX_ARCH) {
        error_setg(errp, "there is no sandbox for this kind of host");
        return false;
    }
    prog = sandbox_program(deny);
    fprog.len = (unsigned short)prog->len;
    fprog.filter = (struct sock_filter *)prog->data;
    /* Without it the filter takes a privilege that we need not have. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC,
                &fprog) != 0) {
        error_setg_errno(errp, errno,
                         "failed to install seccomp syscall filter "
                         "in the kernel");
        return false;
    }
    return true;
}
