/*
 * What the host can do: capabilities, for us (KvmCaps) and for people
 * ("-accel kvm,help").
 */
#include "util/osdep.h"
#include "accel/kvm/host.h"
#include "util/error.h"

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
    CAP(NR_MEMSLOTS, false, "pieces that guest memory can consist of"),
    CAP(NR_VCPUS, false, "processors that are recommended at most"),
    CAP(MAX_VCPUS, false, "processors that are possible"),
    CAP(SET_TSS_ADDR, true, "a place for real mode on old VT-x"),
    CAP(SET_IDENTITY_MAP_ADDR, false, "and one for its page tables"),
    CAP(EXT_CPUID, true, "what CPUID tells the guest"),
    CAP(IMMEDIATE_EXIT, true, "a running processor can be called back"),
    CAP(READONLY_MEM, false, "ROM without an exit for every read"),
    CAP(IRQCHIP, false, "interrupt controllers in the kernel"),
    CAP(SPLIT_IRQCHIP, false, "only the local APICs in the kernel"),
    CAP(PIT2, false, "the 8254 in the kernel"),
    CAP(IRQ_ROUTING, false, "MSIs and pins to in-kernel controllers"),
    CAP(SIGNAL_MSI, false, "one MSI without a route"),
    CAP(IRQFD, false, "interrupts from an eventfd"),
    CAP(IOEVENTFD, false, "a write of the guest signals an eventfd"),
    CAP(COALESCED_MMIO, false, "writes that wait for the next exit"),
    CAP(USER_NMI, false, "NMIs from our devices and the monitor"),
    CAP(MP_STATE, false, "halted and waiting processors"),
    CAP(VCPU_EVENTS, false, "events under way, in snapshots"),
    CAP(DEBUGREGS, false, "DR0 to DR7"),
    CAP(XSAVE, false, "AVX and later registers"),
    CAP(XSAVE2, false, "bytes that all of them take"),
    CAP(XCRS, false, "XCR0: which of them the guest uses"),
    CAP(SREGS2, false, "PAE page table roots, in snapshots"),
    CAP(SET_GUEST_DEBUG, false, "breakpoints and single steps"),
    CAP(X86_USER_SPACE_MSR, false, "MSRs that KVM does not know come here"),
    CAP(X86_MSR_FILTER, false, "and so do some that it knows"),
    CAP(EXIT_ON_EMULATION_FAILURE, false,
        "instructions KVM refuses come here, for completion in software"),
    CAP(INTERNAL_ERROR_DATA, false, "what went wrong, in numbers"),
    CAP(GET_TSC_KHZ, false, "the TSC's frequency"),
    CAP(TSC_CONTROL, false, "a TSC frequency that the host has not"),
    CAP(TSC_DEADLINE_TIMER, false, "that mode of the APIC's timer"),
    CAP(ADJUST_CLOCK, false, "kvmclock"),
    CAP(MANUAL_DIRTY_LOG_PROTECT2, false, "dirty pages, cheaper (not used)"),
    CAP(DIRTY_LOG_RING, false, "dirty pages as a list (not used)"),
    CAP(MCE, false, "banks for machine checks"),
    CAP(X86_SMM, false, "system management mode (not used)"),
    CAP(NESTED_STATE, false, "VT-x or AMD-V for the guest (not used)"),
};
#undef CAP

static int host_cap(const KvmHost *host, int vm, int cap)
{
    int r = host->ioctl(vm, KVM_CHECK_EXTENSION, (void *)(uintptr_t)cap);

    return MAX(r, 0);
}

bool kvm_host_check_caps(const KvmHost *host, int vm, GError **errp)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cap_rows); i++) {
        if (cap_rows[i].needed && !host_cap(host, vm, cap_rows[i].cap)) {
            error_setg(errp,
                       "the host's KVM is too old: it lacks %s (%s); use a "
                       "kernel from 4.12 on",
                       cap_rows[i].name, cap_rows[i].use);
            return false;
        }
    }
    return true;
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

void kvm_host_caps(int vm, KvmCaps *caps)
{
    const KvmHost *host = &kvm_real_host;

    *caps = (KvmCaps) {
        .readonly_mem = host_cap(host, vm, KVM_CAP_READONLY_MEM),
        .sregs2 = host_cap(host, vm, KVM_CAP_SREGS2),
        .xsave = host_cap(host, vm, KVM_CAP_XSAVE),
        .xsave_size = host_cap(host, vm, KVM_CAP_XSAVE2),
        .xcrs = host_cap(host, vm, KVM_CAP_XCRS),
        .events = host_cap(host, vm, KVM_CAP_VCPU_EVENTS),
        .debugregs = host_cap(host, vm, KVM_CAP_DEBUGREGS),
        .user_msr = host_cap(host, vm, KVM_CAP_X86_USER_SPACE_MSR),
        .msr_filter = host_cap(host, vm, KVM_CAP_X86_MSR_FILTER),
        .emul_exit = host_cap(host, vm, KVM_CAP_EXIT_ON_EMULATION_FAILURE),
        .user_nmi = host_cap(host, vm, KVM_CAP_USER_NMI),
        .guest_debug = host_cap(host, vm, KVM_CAP_SET_GUEST_DEBUG),
        .get_tsc = host_cap(host, vm, KVM_CAP_GET_TSC_KHZ),
        .coalesced_page = host_cap(host, vm, KVM_CAP_COALESCED_MMIO),
        .coalesced_pio = host_cap(host, vm, KVM_CAP_COALESCED_PIO),
        .ioeventfd = host_cap(host, vm, KVM_CAP_IOEVENTFD),
        .ioevent_any = host_cap(host, vm, KVM_CAP_IOEVENTFD_ANY_LENGTH),
        .clock = host_cap(host, vm, KVM_CAP_ADJUST_CLOCK),
        .tsc_control = host_cap(host, vm, KVM_CAP_TSC_CONTROL),
        .tsc_deadline = host_cap(host, vm, KVM_CAP_TSC_DEADLINE_TIMER),
        .irqchip = host_cap(host, vm, KVM_CAP_IRQCHIP),
        .split_irqchip = host_cap(host, vm, KVM_CAP_SPLIT_IRQCHIP),
        .pit2 = host_cap(host, vm, KVM_CAP_PIT2),
        .signal_msi = host_cap(host, vm, KVM_CAP_SIGNAL_MSI),
        .irq_routes = host_cap(host, vm, KVM_CAP_IRQ_ROUTING),
        .mp_state = host_cap(host, vm, KVM_CAP_MP_STATE),
        .slots = host_cap(host, vm, KVM_CAP_NR_MEMSLOTS),
        .mce_banks = host_cap(host, vm, KVM_CAP_MCE),
    };
    caps->shadow_mmu = !host_second_level();
    if (!caps->slots) {
        caps->slots = 32; /* as the documentation has it */
    }
}

/* ---- the report ------------------------------------------------------------------------- */

static void report_cpu(const KvmHost *host, GString *out)
{
    KvmHostCpu h;

    kvm_host_cpu(host, &h);
    g_string_append_printf(out, "processor   %s, VT-x %s, AMD-V %s", h.vendor,
                           h.vmx ? "yes" : "no", h.svm ? "yes" : "no");
    if (h.hypervisor) {
        g_string_append_printf(out, ", itself a virtual machine (\"%s\")",
                               h.hypervisor_id);
    }
    g_string_append_c(out, '\n');
}

void kvm_host_report_of(const KvmHost *host, const char *path, GString *out)
{
    g_autoptr(GError) err = NULL;
    int fd, vm;

    if (!kvm_host_open_of(host, path, &fd, &vm, &err)) {
        g_string_append_printf(out, "usable      no, because %s\n",
                               err->message);
        report_cpu(host, out);
        return;
    }
    g_string_append_printf(out,
                           "usable      yes: %s opens, speaks version %d and "
                           "makes a virtual machine\n",
                           path ? path : KVM_NODE, KVM_API_VERSION);
    report_cpu(host, out);
    g_string_append(out, "\ncapability                           value  what "
                         "it is for\n");
    for (size_t i = 0; i < G_N_ELEMENTS(cap_rows); i++) {
        g_string_append_printf(out, "%-34s %7d  %s\n", cap_rows[i].name,
                               host_cap(host, vm, cap_rows[i].cap),
                               cap_rows[i].use);
    }
    close(vm);
    close(fd);
}

void kvm_host_report(const char *path, GString *out)
{
    kvm_host_report_of(&kvm_real_host, path, out);
}
