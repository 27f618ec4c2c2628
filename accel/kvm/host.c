/*
 * What the host offers: the device node, the API's version, a VM, and what it
 * can do. Trust is in that order; CPUID only explains a failure.
 */
#include "util/osdep.h"
#include <cpuid.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include "accel/kvm/kvm.h"
#include "util/error.h"
#include "util/log.h"

#define KVM_NODE "/dev/kvm"

int kvm_call(int fd, unsigned long request, const char *name, void *arg)
{
    int r = ioctl(fd, request, arg);

    if (log_enabled(LOG_KVM)) {
        int err = errno;

        if (r < 0) {
            log_write("kvm: ioctl %s: %s\n", name, strerror(err));
        } else {
            log_write("kvm: ioctl %s: %d\n", name, r);
        }
        errno = err;
    }
    return r;
}

/* ---- the processor ------------------------------------------------------------- */

typedef struct HostCpu {
    char vendor[13];
    bool vmx, svm, hypervisor;
    char hypervisor_id[13];
} HostCpu;

static void host_cpu(HostCpu *h)
{
    uint32_t a, b, c, d;

    memset(h, 0, sizeof(*h));
    if (__get_cpuid(0, &a, &b, &c, &d)) {
        memcpy(h->vendor, &b, 4);
        memcpy(h->vendor + 4, &d, 4);
        memcpy(h->vendor + 8, &c, 4);
    }
    if (__get_cpuid(1, &a, &b, &c, &d)) {
        h->vmx = c >> 5 & 1;
        h->hypervisor = c >> 31;
    }
    if (__get_cpuid(0x80000001, &a, &b, &c, &d)) {
        h->svm = c >> 2 & 1;
    }
    if (h->hypervisor) {
        __cpuid(0x40000000, a, b, c, d);
        memcpy(h->hypervisor_id, &b, 4);
        memcpy(h->hypervisor_id + 4, &c, 4);
        memcpy(h->hypervisor_id + 8, &d, 4);
    }
}

static const char *host_module(const HostCpu *h)
{
    return h->svm || !strcmp(h->vendor, "AuthenticAMD") ? "kvm_amd"
                                                        : "kvm_intel";
}

/* Why there may be no KVM, and what to do. */
static char *host_explain(void)
{
    HostCpu h;

    host_cpu(&h);
    if (h.vmx || h.svm) {
        return g_strdup_printf("the processor has %s, so load the module: "
                               "modprobe %s (if that fails, virtualization is "
                               "switched off in the firmware setup)",
                               h.vmx ? "VT-x" : "AMD-V", host_module(&h));
    }
    if (h.hypervisor) {
        return g_strdup("this is itself a virtual machine without VT-x or "
                        "AMD-V: turn on nested virtualization in its host, or "
                        "use -accel tcg");
    }
    return g_strdup("CPUID shows neither VT-x nor AMD-V: switch it on in the "
                    "firmware setup, or use -accel tcg");
}

/* ---- opening ---------------------------------------------------------------------- */

static void error_permission(const char *path, GError **errp)
{
    struct stat st;
    struct group *gr;
    struct passwd *pw = getpwuid(geteuid());
    const char *user = pw ? pw->pw_name : "USER";

    if (stat(path, &st) < 0) {
        error_setg_errno(errp, EACCES, "%s", path);
        return;
    }
    gr = getgrgid(st.st_gid);
    if (!(st.st_mode & 060) || st.st_gid == 0) {
        error_setg(errp,
                   "no permission to open %s (mode %03o, group %s): let "
                   "group kvm have it (chgrp kvm %s; chmod 660 %s), then "
                   "usermod -aG kvm %s and log in again",
                   path, st.st_mode & 0777, gr ? gr->gr_name : "?", path, path,
                   user);
        return;
    }
    error_setg(errp,
               "no permission to open %s (mode %03o), which belongs to group "
               "%s: usermod -aG %s %s and log in again",
               path, st.st_mode & 0777, gr ? gr->gr_name : "?",
               gr ? gr->gr_name : "GROUP", user);
}

static int host_open_node(const char *path, GError **errp)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    g_autofree char *why = NULL;

    if (fd >= 0) {
        return fd;
    }
    switch (errno) {
    case ENOENT:
        why = host_explain();
        error_setg(errp, "there is no %s: %s", path, why);
        break;
    case EACCES:
    case EPERM:
        error_permission(path, errp);
        break;
    case ENXIO:
    case ENODEV:
        why = host_explain();
        error_setg(errp, "%s has no driver behind it: %s", path, why);
        break;
    default:
        error_setg_errno(errp, errno, "cannot open %s", path);
    }
    return -1;
}

static bool host_check_version(int fd, const char *path, GError **errp)
{
    int version = KVM_CALL(fd, KVM_GET_API_VERSION, 0);

    if (version < 0) {
        error_setg(errp,
                   "%s is something else than KVM (it does not know "
                   "KVM_GET_API_VERSION): ls -l %s should say \"10, 232\"",
                   path, path);
        return false;
    }
    if (version != KVM_API_VERSION) {
        error_setg(errp,
                   "%s speaks version %d of the KVM API, %d is needed: use a "
                   "kernel from 2.6.22 on",
                   path, version, KVM_API_VERSION);
        return false;
    }
    return true;
}

static int host_create_vm(int fd, GError **errp)
{
    g_autofree char *why = NULL;
    int vm, tries = 0;

    do { /* a signal ends it early */
        vm = KVM_CALL(fd, KVM_CREATE_VM, 0);
    } while (vm < 0 && errno == EINTR && ++tries < 100);
    if (vm >= 0) {
        return vm;
    }
    switch (errno) {
    case EBUSY:
        error_setg(errp, "KVM cannot make a virtual machine: the processor's "
                         "VT-x or AMD-V is taken by another hypervisor (such "
                         "as VirtualBox); end that one first");
        break;
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case ENOSPC:
        error_setg_errno(errp, errno,
                         "KVM is out of resources for another virtual machine "
                         "(memory, file descriptors: ulimit -n)");
        break;
    case ENODEV:
    case EOPNOTSUPP:
    case EIO:
        why = host_explain();
        error_setg(errp, "KVM cannot make a virtual machine: %s", why);
        break;
    default:
        error_setg_errno(errp, errno, "KVM cannot make a virtual machine");
    }
    return -1;
}

bool kvm_host_open(const char *path, int *fd, int *vm, GError **errp)
{
    path = path ? path : KVM_NODE;
    *fd = host_open_node(path, errp);
    if (*fd < 0) {
        return false;
    }
    *vm = host_check_version(*fd, path, errp) ? host_create_vm(*fd, errp) : -1;
    if (*vm < 0) {
        close(*fd);
        *fd = -1;
        return false;
    }
    return true;
}

/* ---- capabilities -------------------------------------------------------------------- */

typedef struct CapRow {
    int cap;
    const char *name;
    bool needed;
    const char *use;
} CapRow;

#define CAP(name, needed, use) \
    { \
        KVM_CAP_##name, "KVM_CAP_" #name, needed, use \
    }
static const CapRow cap_rows[] = {
    CAP(USER_MEMORY, true, "guest memory is ours"),
    CAP(NR_MEMSLOTS, false, "pieces that guest memory can be in"),
    CAP(NR_VCPUS, false, "processors that are recommended at most"),
    CAP(MAX_VCPUS, false, "processors that are possible"),
    CAP(SET_TSS_ADDR, true, "a place for real mode on old VT-x"),
    CAP(SET_IDENTITY_MAP_ADDR, false, "likewise"),
    CAP(EXT_CPUID, true, "what CPUID tells the guest"),
    CAP(IMMEDIATE_EXIT, true, "a running processor can be called back"),
    CAP(READONLY_MEM, false, "ROM without an exit for every read"),
    CAP(IRQCHIP, false, "interrupt controllers in the kernel"),
    CAP(SPLIT_IRQCHIP, false, "only the local APICs in the kernel"),
    CAP(PIT2, false, "the 8254 in the kernel"),
    CAP(IRQ_ROUTING, false, "MSIs and pins to in-kernel controllers"),
    CAP(SIGNAL_MSI, false, "one MSI without a route"),
    CAP(IRQFD, false, "interrupts from an eventfd"),
    CAP(IOEVENTFD, false, "a write of the guest as an eventfd"),
    CAP(COALESCED_MMIO, false, "writes that wait for the next exit"),
    CAP(USER_NMI, false, "NMIs"),
    CAP(MP_STATE, false, "halted and waiting processors"),
    CAP(VCPU_EVENTS, false, "events under way, in snapshots"),
    CAP(DEBUGREGS, false, "DR0 to DR7"),
    CAP(XSAVE, false, "AVX and later registers"),
    CAP(XSAVE2, false, "bytes of them"),
    CAP(XCRS, false, "XCR0"),
    CAP(SREGS2, false, "PAE page table roots, in snapshots"),
    CAP(SET_GUEST_DEBUG, false, "breakpoints and single steps"),
    CAP(X86_USER_SPACE_MSR, false, "MSRs that KVM does not know, by us"),
    CAP(X86_MSR_FILTER, false, "and some that it does"),
    CAP(EXIT_ON_EMULATION_FAILURE, false,
        "instructions KVM refuses come here, for completion in software"),
    CAP(INTERNAL_ERROR_DATA, false, "what went wrong, in numbers"),
    CAP(GET_TSC_KHZ, false, "the TSC's frequency"),
    CAP(TSC_CONTROL, false, "a TSC frequency that the host has not"),
    CAP(TSC_DEADLINE_TIMER, false, "that mode of the APIC's timer"),
    CAP(ADJUST_CLOCK, false, "kvmclock"),
    CAP(MANUAL_DIRTY_LOG_PROTECT2, false, "dirty pages, cheaper"),
    CAP(DIRTY_LOG_RING, false, "dirty pages as a list"),
    CAP(MCE, false, "banks for machine checks"),
    CAP(X86_SMM, false, "system management mode"),
    CAP(NESTED_STATE, false, "VT-x or AMD-V for the guest"),
};
#undef CAP

static int host_cap(int vm, int cap)
{
    int r = ioctl(vm, KVM_CHECK_EXTENSION, (unsigned long)cap);

    return MAX(r, 0);
}

/* EPT or NPT is in use; no capability says it. */
static bool host_second_level(void)
{
    static const char *const names[] = {
        "/sys/module/kvm_intel/parameters/ept",
        "/sys/module/kvm_amd/parameters/npt",
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *text = NULL;

        if (g_file_get_contents(names[i], &text, NULL, NULL) &&
            (text[0] == 'Y' || text[0] == '1')) {
            return true;
        }
    }
    return false;
}

bool kvm_host_caps(int vm, KvmCaps *caps, GError **errp)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cap_rows); i++) {
        if (cap_rows[i].needed && !host_cap(vm, cap_rows[i].cap)) {
            error_setg(errp,
                       "the host's KVM is too old: it lacks %s (%s); use a "
                       "kernel from 4.12 on",
                       cap_rows[i].name, cap_rows[i].use);
            return false;
        }
    }
    *caps = (KvmCaps) {
        .readonly_mem = host_cap(vm, KVM_CAP_READONLY_MEM),
        .sregs2 = host_cap(vm, KVM_CAP_SREGS2),
        .xsave = host_cap(vm, KVM_CAP_XSAVE),
        .xsave_size = host_cap(vm, KVM_CAP_XSAVE2),
        .xcrs = host_cap(vm, KVM_CAP_XCRS),
        .events = host_cap(vm, KVM_CAP_VCPU_EVENTS),
        .debugregs = host_cap(vm, KVM_CAP_DEBUGREGS),
        .user_msr = host_cap(vm, KVM_CAP_X86_USER_SPACE_MSR),
        .msr_filter = host_cap(vm, KVM_CAP_X86_MSR_FILTER),
        .emul_exit = host_cap(vm, KVM_CAP_EXIT_ON_EMULATION_FAILURE),
        .user_nmi = host_cap(vm, KVM_CAP_USER_NMI),
        .guest_debug = host_cap(vm, KVM_CAP_SET_GUEST_DEBUG),
        .get_tsc = host_cap(vm, KVM_CAP_GET_TSC_KHZ),
        .coalesced_page = host_cap(vm, KVM_CAP_COALESCED_MMIO),
        .coalesced_pio = host_cap(vm, KVM_CAP_COALESCED_PIO),
        .ioeventfd = host_cap(vm, KVM_CAP_IOEVENTFD),
        .ioevent_any = host_cap(vm, KVM_CAP_IOEVENTFD_ANY_LENGTH),
        .clock = host_cap(vm, KVM_CAP_ADJUST_CLOCK),
        .tsc_control = host_cap(vm, KVM_CAP_TSC_CONTROL),
        .tsc_deadline = host_cap(vm, KVM_CAP_TSC_DEADLINE_TIMER),
        .irqchip = host_cap(vm, KVM_CAP_IRQCHIP),
        .split_irqchip = host_cap(vm, KVM_CAP_SPLIT_IRQCHIP),
        .pit2 = host_cap(vm, KVM_CAP_PIT2),
        .signal_msi = host_cap(vm, KVM_CAP_SIGNAL_MSI),
        .irq_routes = host_cap(vm, KVM_CAP_IRQ_ROUTING),
        .mp_state = host_cap(vm, KVM_CAP_MP_STATE),
        .slots = host_cap(vm, KVM_CAP_NR_MEMSLOTS),
        .mce_banks = host_cap(vm, KVM_CAP_MCE),
    };
    caps->shadow_mmu = !host_second_level();
    if (!caps->slots) {
        caps->slots = 32; /* as the documentation has it */
    }
    return true;
}

/* ---- the report ------------------------------------------------------------------------- */

static void report_cpu(GString *out)
{
    HostCpu h;

    host_cpu(&h);
    g_string_append_printf(out, "processor   %s, VT-x %s, AMD-V %s", h.vendor,
                           h.vmx ? "yes" : "no", h.svm ? "yes" : "no");
    if (h.hypervisor) {
        g_string_append_printf(out, ", itself a virtual machine (\"%s\")",
                               h.hypervisor_id);
    }
    g_string_append_c(out, '\n');
}

void kvm_host_report(const char *path, GString *out)
{
    g_autoptr(GError) err = NULL;
    int fd, vm;

    path = path ? path : KVM_NODE;
    if (!kvm_host_open(path, &fd, &vm, &err)) {
        g_string_append_printf(out, "usable      no, because %s\n",
                               err->message);
        report_cpu(out);
        return;
    }
    g_string_append_printf(out,
                           "usable      yes: %s opens, speaks version %d and "
                           "makes a virtual machine\n",
                           path, KVM_API_VERSION);
    report_cpu(out);
    g_string_append(out, "\ncapability                           value  what "
                         "it is for\n");
    for (size_t i = 0; i < G_N_ELEMENTS(cap_rows); i++) {
        g_string_append_printf(out, "%-34s %7d  %s\n", cap_rows[i].name,
                               host_cap(vm, cap_rows[i].cap), cap_rows[i].use);
    }
    close(vm);
    close(fd);
}
