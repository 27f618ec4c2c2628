/* See host-cpu.h. */
#include "util/osdep.h"
#include <cpuid.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include "tests/lib/host-cpu.h"
#include "target-x86/features.h"

/*
 * What host_enter() loads and host_return stores. Assembly finds them by name,
 * relative to RIP: there is no register to spare.
 */
struct HostRegs {
    uint8_t fx[512];
    uint8_t ymm[16][32];
    uint64_t gpr[16];
    uint64_t rflags;
};
#define ASM_VISIBLE __attribute__((used, visibility("hidden")))
extern struct HostRegs host_regs;
extern uint64_t host_saved_rsp;
extern struct HostFar host_far;
extern const uint32_t host_mxcsr_default;
void host_enter(void);
extern const char host_return[];

struct HostFar {
    uint32_t offset;
    uint16_t selector;
};

ASM_VISIBLE struct HostRegs host_regs __attribute__((aligned(64)));
ASM_VISIBLE uint64_t host_saved_rsp;
ASM_VISIBLE struct HostFar host_far;
ASM_VISIBLE const uint32_t host_mxcsr_default = 0x1f80;

/* clang-format off */
#define YMM_ALL(OP) \
    OP(0) OP(1) OP(2) OP(3) OP(4) OP(5) OP(6) OP(7) \
    OP(8) OP(9) OP(10) OP(11) OP(12) OP(13) OP(14) OP(15)
#define GPR_ALL(OP) \
    OP(0, rax) OP(1, rcx) OP(2, rdx) OP(3, rbx) OP(5, rbp) OP(6, rsi) \
    OP(7, rdi) OP(8, r8) OP(9, r9) OP(10, r10) OP(11, r11) OP(12, r12) \
    OP(13, r13) OP(14, r14) OP(15, r15) OP(4, rsp)
#define LOAD_YMM(n) "vmovdqu host_regs+512+32*" #n "(%rip), %ymm" #n "\n"
#define STORE_YMM(n) "vmovdqu %ymm" #n ", host_regs+512+32*" #n "(%rip)\n"
#define LOAD_GPR(n, r) "mov host_regs+1024+8*" #n "(%rip), %" #r "\n"
#define STORE_GPR(n, r) "mov %" #r ", host_regs+1024+8*" #n "(%rip)\n"

asm(".text\n"
    ".globl host_enter, host_return\n"
    ".hidden host_enter, host_return\n"
    "host_enter:\n"
    "push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
    "mov %rsp, host_saved_rsp(%rip)\n"
    "fxrstor64 host_regs(%rip)\n"
    YMM_ALL(LOAD_YMM)
    "pushq host_regs+1152(%rip)\n"
    "popfq\n"
    GPR_ALL(LOAD_GPR)
    "ljmp *host_far(%rip)\n"
    "host_return:\n"
    GPR_ALL(STORE_GPR)
    "mov host_saved_rsp(%rip), %rsp\n"
    "pushfq\n"
    "popq host_regs+1152(%rip)\n"
    "pushq $2\n"
    "popfq\n"
    YMM_ALL(STORE_YMM)
    "fxsave64 host_regs(%rip)\n"
    "fninit\n"
    "ldmxcsr host_mxcsr_default(%rip)\n"
    "vzeroupper\n"
    "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n"
    "ret\n");
/* clang-format on */

/* ---- the child ------------------------------------------------------------------ */

static HostState *child_out; /* of the job that runs */

static void child_signal(int sig, siginfo_t *info, void *context)
{
    greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;

    child_out->vector = g[REG_TRAPNO];
    child_out->rip = g[REG_RIP];
    child_out->error = g[REG_ERR];
    child_out->cr2 = g[REG_CR2];
    if (g[REG_TRAPNO] == 3) { /* our INT3: all went well */
        child_out->vector = -1;
        child_out->rip--;
    } else if (g[REG_TRAPNO] == 14 && g[REG_RIP] == g[REG_CR2]) {
        child_out->vector = -1; /* a jump to nowhere */
    }
    g[REG_RIP] = (uintptr_t)host_return;
    g[REG_CSGSFS] = (g[REG_CSGSFS] & ~(greg_t)0xffff) | HOST_CS64;
}

static void child_prepare(void)
{
    static const int sigs[] = { SIGTRAP, SIGSEGV, SIGILL, SIGFPE, SIGBUS };
    enum { STACK = 128 * 1024 };
    stack_t stack = { .ss_sp = g_malloc(STACK), .ss_size = STACK };
    struct sigaction sa = { .sa_sigaction = child_signal,
                            .sa_flags = SA_SIGINFO | SA_ONSTACK };

    sigaltstack(&stack, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(sigs); i++) {
        sigaction(sigs[i], &sa, NULL);
    }
    /* 32-bit code needs them; 64-bit code does not look. */
    asm volatile("mov %0, %%ds; mov %0, %%es" : : "r"(HOST_DS));
}

static void child_run(HostJob *job)
{
    uint8_t *insn = (uint8_t *)(uintptr_t)HOST_INSN;
    uint8_t *mem = (uint8_t *)(uintptr_t)HOST_MEM;

    memcpy(host_regs.fx, job->in.fx, sizeof(host_regs.fx));
    memcpy(host_regs.ymm, job->in.ymm, sizeof(host_regs.ymm));
    memcpy(host_regs.gpr, job->in.gpr, sizeof(host_regs.gpr));
    host_regs.rflags = job->in.rflags;
    host_far.offset = HOST_INSN;
    host_far.selector = job->bits == 64 ? HOST_CS64 : HOST_CS32;
    memcpy(insn, job->bytes, job->len);
    memcpy(mem, job->in.mem, HOST_MEM_SIZE);
    child_out = &job->out;
    host_enter();
    memset(insn, 0xcc, job->len);
    memcpy(job->out.mem, mem, HOST_MEM_SIZE);
    memcpy(job->out.fx, host_regs.fx, sizeof(host_regs.fx));
    memcpy(job->out.ymm, host_regs.ymm, sizeof(host_regs.ymm));
    memcpy(job->out.gpr, host_regs.gpr, sizeof(host_regs.gpr));
    job->out.rflags = host_regs.rflags;
    job->done = true;
}

/* ---- the parent --------------------------------------------------------------------- */

/* Our own copy of the pages: the child writes to its copy of them. */
static bool map_pages(void)
{
    static int state; /* 1: there, -1: cannot be had */
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    void *code, *mem;

    if (state == 0) {
        code = mmap((void *)(uintptr_t)HOST_CODE, 4096,
                    PROT_READ | PROT_WRITE | PROT_EXEC, flags, -1, 0);
        mem = mmap((void *)(uintptr_t)HOST_MEM, HOST_MEM_SIZE,
                   PROT_READ | PROT_WRITE, flags, -1, 0);
        state = code == MAP_FAILED || mem == MAP_FAILED ? -1 : 1;
        if (state == 1) {
            memset(code, 0xcc, 4096);
        }
    }
    return state == 1;
}

bool host_cpu_usable(void)
{
    return __builtin_cpu_supports("avx") && map_pages();
}

HostJob *host_jobs_new(unsigned n)
{
    HostJob *jobs = mmap(NULL, n * sizeof(*jobs), PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    g_assert(jobs != MAP_FAILED);
    return jobs;
}

void host_jobs_free(HostJob *jobs, unsigned n)
{
    munmap(jobs, n * sizeof(*jobs));
}

void host_run_jobs(HostJob *jobs, unsigned n)
{
    /* Of one that never ends, in CPU time. */
    static const struct itimerval end = { .it_value.tv_sec = 10 };
    unsigned at = 0;

    for (unsigned i = 0; i < n; i++) {
        jobs[i].done = false;
    }
    while (at < n) {
        pid_t pid = fork();
        int status;

        g_assert(pid >= 0);
        if (pid == 0) {
            child_prepare();
            for (; at < n; at++) {
                setitimer(ITIMER_VIRTUAL, &end, NULL);
                child_run(&jobs[at]);
            }
            _exit(0);
        }
        g_assert(waitpid(pid, &status, 0) == pid);
        while (at < n && jobs[at].done) {
            at++;
        }
        at++; /* the one that killed it, or the end */
    }
}

bool host_has_feature(unsigned id)
{
    static const struct {
        uint32_t leaf, sub;
        uint8_t reg, bit;
    } where[] = {
        { 0, 0, 0, 0 },
#define EAX                                        0
#define EBX                                        1
#define ECX                                        2
#define EDX                                        3
#define FEAT(name, leaf, sub, reg, bit, qemu_name) { leaf, sub, reg, bit },
#include "target-x86/features.def"
#undef FEAT
#undef EAX
#undef EBX
#undef ECX
#undef EDX
    };
    uint32_t r[4] = { 0 };

    return id == FEAT_NONE || (__get_cpuid_count(where[id].leaf, where[id].sub,
                                                 &r[0], &r[1], &r[2], &r[3]) &&
                               r[where[id].reg] >> where[id].bit & 1);
}
