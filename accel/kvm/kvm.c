/*
 * AccelOps on the KVM API: open, run, exits. Documentation/virt/kvm/api.rst of
 * the Linux kernel is the manual; docs/kvm.md shows the way through it.
 *
 * The interrupt controllers are ours (hw/intc), so everything that a device
 * sees is as with the software CPU: a vector goes in with KVM_INTERRUPT when
 * the guest can take it, the APIC's page comes as MMIO exits, its MSRs as
 * MSR exits.
 *
 * An I/O or MMIO exit is finished by the next KVM_RUN; run() never returns in
 * between, so cpu->s is whole whenever somebody asks for it.
 */
#include "util/osdep.h"
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include "accel/kvm/kvm.h"
#include "system/event.h"
#include "target-x86/cpuid.h"
#include "target-x86/msr.h"
#include "target-x86/seg.h"
#include "util/error.h"
#include "util/keyval.h"
#include "util/log.h"
#include "util/trace.h"

#define KVM_SIGNAL   SIGUSR1
#define TSS_ADDR     0xfffbd000u /* three pages below the firmware */
#define IDENTITY_MAP 0xfffbc000u /* KVM_REWALK_ADDR is below it */
#define APIC_ON      0x800u
#define APIC_X2      0x400u
#define MSR_DEADLINE 0x6e0u

/* The vCPU whose thread this is. */
static __thread KvmCpu *current;

/* ---- kicks ------------------------------------------------------------------------- */

static void kvm_on_signal(int sig)
{
    /* KVM_RUN returns EINTR; nothing else is wanted of it. */
}

/* In the vCPU's thread, once. */
static void kvm_thread_init(KvmCpu *kc)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, KVM_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    kc->thread = pthread_self();
    __atomic_store_n(&kc->has_thread, true, __ATOMIC_SEQ_CST);
    current = kc;
}

/*
 * immediate_exit catches the moment before KVM_RUN, the signal the time in
 * it. in_kvm is set before the vCPU looks at its pending bits, so whoever sets
 * one of those and then finds it clear need not call.
 */
static void kvm_kick(X86Cpu *c)
{
    KvmCpu *kc = kvm_cpu(c);

    tcg_accel.kick(c);
    if (kc == current || !__atomic_load_n(&kc->in_kvm, __ATOMIC_SEQ_CST)) {
        return;
    }
    __atomic_store_n(&kc->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&kc->has_thread, __ATOMIC_SEQ_CST)) {
        pthread_kill(kc->thread, KVM_SIGNAL);
    }
}

/* "KVM_EXIT_IO: out port=..." */
#define LOG_EXIT(kc, fmt, ...) \
    log_mask(LOG_KVM, "kvm: CPU %u: exit KVM_EXIT_" fmt "\n", \
             kvm_x86(kc)->index, ##__VA_ARGS__)

/* ---- exits --------------------------------------------------------------------------- */

static void exit_io(KvmCpu *kc)
{
    X86Cpu *c = kvm_x86(kc);
    struct kvm_run *run = kc->run;
    uint8_t *p = (uint8_t *)run + run->io.data_offset;
    bool out = run->io.direction == KVM_EXIT_IO_OUT;

    LOG_EXIT(kc, "IO: %s port=%04x size=%u count=%u", out ? "out" : "in",
             run->io.port, run->io.size, run->io.count);
    for (uint32_t i = 0; i < run->io.count; i++, p += run->io.size) {
        uint64_t v = 0;

        if (out) {
            memcpy(&v, p, run->io.size);
            as_store(c->machine->io, run->io.port, v, run->io.size);
        } else {
            v = as_load(c->machine->io, run->io.port, run->io.size);
            memcpy(p, &v, run->io.size);
        }
    }
    kc->io_pending = true;
    kvm_stats_place(kc, run->io.port, false, out);
}

static bool is_apic_page(const X86Cpu *c, hwaddr addr)
{
    return c->apic_ops && !c->sleeps_in_engine &&
           (c->s.apic_base & (APIC_ON | APIC_X2)) == APIC_ON &&
           (c->s.apic_base & PAGE_MASK) == (addr & PAGE_MASK);
}

static void mmio_access(X86Cpu *c, hwaddr addr, uint8_t *data, unsigned len,
                        bool write)
{
    AddressSpace *as = c->machine->mem;
    bool apic = is_apic_page(c, addr);
    uint64_t v = 0;

    if (!apic && (len > 8 || (len & (len - 1)))) {
        if (write) {
            as_write(as, addr, data, len);
        } else {
            as_read(as, addr, data, len);
        }
        return;
    }
    memcpy(&v, data, MIN(len, 8u));
    if (apic) {
        machine_lock(c->machine);
        if (write) {
            c->apic_ops->mmio_write(c, addr & ~PAGE_MASK, v, len);
        } else {
            v = c->apic_ops->mmio_read(c, addr & ~PAGE_MASK, len);
        }
        machine_unlock(c->machine);
    } else if (write) {
        as_store(as, addr, v, len);
    } else {
        v = as_load(as, addr, len);
    }
    memcpy(data, &v, MIN(len, 8u));
}

static void exit_mmio(KvmCpu *kc)
{
    struct kvm_run *run = kc->run;
    unsigned len = MIN(run->mmio.len, (uint32_t)sizeof(run->mmio.data));

    LOG_EXIT(kc, "MMIO: %s phys_addr=%" PRIx64 " len=%u",
             run->mmio.is_write ? "write" : "read",
             (uint64_t)run->mmio.phys_addr, len);
    mmio_access(kvm_x86(kc), run->mmio.phys_addr, run->mmio.data, len,
                run->mmio.is_write);
    kc->io_pending = true;
    kvm_stats_place(kc, run->mmio.phys_addr, true, run->mmio.is_write);
}

/* An MSR that the kernel does not know, or that our APIC must hear of. */
static void exit_msr(KvmCpu *kc, bool write)
{
    X86Cpu *c = kvm_x86(kc);
    struct kvm_run *run = kc->run;
    uint32_t msr = run->msr.index;
    bool ok = run->msr.reason != KVM_MSR_EXIT_REASON_INVAL ||
              (msr >= 0x800 && msr <= 0x8ff);
    uint64_t v = run->msr.data;

    if (msr == MSR_DEADLINE) {
        kvm_pull_tsc(kc);
    }
    if (ok) {
        ok = write ? x86_wrmsr(c, msr, v) : x86_rdmsr(c, msr, &v);
    }
    run->msr.data = v;
    run->msr.error = !ok;
    LOG_EXIT(kc, "X86_%sMSR: %08x=%016" PRIx64 "%s", write ? "WR" : "RD", msr,
             v, ok ? "" : ": #GP");
    kc->io_pending = true;
}

static CpuExit exit_failed(KvmCpu *kc, const char *what, uint64_t code)
{
    X86Cpu *c = kvm_x86(kc);
    g_autoptr(GString) text = g_string_new(NULL);

    error_report("kvm: CPU %u: %s 0x%" PRIx64, c->index, what, code);
    cpu_state(c);
    x86_dump(c, text, false);
    log_write("%s", text->str);
    return CPU_EXIT_FAILED;
}

/* true: run() goes on. */
static bool exit_internal_error(KvmCpu *kc, CpuExit *exit)
{
    X86Cpu *c = kvm_x86(kc);

    LOG_EXIT(kc, "INTERNAL_ERROR: suberror %u", kc->run->internal.suberror);
    if (!kc->kvm->completion) {
        *exit = exit_failed(kc, "internal error, suberror",
                            kc->run->internal.suberror);
        return false;
    }
    kc->io_pending = false;
    cpu_state(c);
    *exit = kvm_complete(kc);
    if (*exit == CPU_EXIT_KICKED && kc->tcg.single_step) {
        *exit = CPU_EXIT_DEBUG; /* that was the step */
    }
    return *exit == CPU_EXIT_KICKED;
}

static void exit_hlt(KvmCpu *kc)
{
    X86Cpu *c = kvm_x86(kc);
    uint64_t flag = kc->run->if_flag ? FL_IF : 0;

    LOG_EXIT(kc, "HLT");
    c->s.halted = true;
    /* What tells whether something would wake it. */
    c->s.rflags = (c->s.rflags & ~(uint64_t)FL_IF) | flag;
    kvm_pull_nmi_masked(kc);
}

/* CR8 and IA32_APIC_BASE, which the guest writes without an exit. */
static void exit_apic_changes(KvmCpu *kc, uint64_t cr8)
{
    X86Cpu *c = kvm_x86(kc);
    struct kvm_run *run = kc->run;

    if (kc->kvm->host.lapic) {
        return; /* both are the kernel's */
    }
    if (!c->apic_ops) {
        c->s.cr8 = run->cr8;
        return;
    }
    if (run->cr8 != cr8) {
        machine_lock(c->machine);
        c->apic_ops->set_tpr(c, run->cr8);
        machine_unlock(c->machine);
    }
    if (run->apic_base != c->s.apic_base && run->apic_base) {
        machine_lock(c->machine);
        c->apic_ops->set_base(c, run->apic_base);
        machine_unlock(c->machine);
    }
}

/* true: run() goes on. */
static bool kvm_handle_exit(KvmCpu *kc, CpuExit *exit)
{
    struct kvm_run *run = kc->run;

    switch (run->exit_reason) {
    case KVM_EXIT_IO:
        exit_io(kc);
        return true;
    case KVM_EXIT_MMIO:
        exit_mmio(kc);
        return true;
    case KVM_EXIT_X86_RDMSR:
        exit_msr(kc, false);
        return true;
    case KVM_EXIT_X86_WRMSR:
        exit_msr(kc, true);
        return true;
    case KVM_EXIT_IRQ_WINDOW_OPEN:
    case KVM_EXIT_INTR:
    case KVM_EXIT_SET_TPR:
        LOG_EXIT(kc, "%s", kvm_exit_name(run->exit_reason));
        return true;
    case KVM_EXIT_HLT:
        exit_hlt(kc);
        return true;
    case KVM_EXIT_IOAPIC_EOI:
        LOG_EXIT(kc, "IOAPIC_EOI: vector %02x", run->eoi.vector);
        kvm_irq_exit_eoi(kc->kvm, run->eoi.vector);
        return true;
    case KVM_EXIT_INTERNAL_ERROR:
        return exit_internal_error(kc, exit);
    case KVM_EXIT_SHUTDOWN:
        LOG_EXIT(kc, "SHUTDOWN: triple fault");
        *exit = CPU_EXIT_TRIPLE_FAULT;
        return false;
    case KVM_EXIT_DEBUG:
        LOG_EXIT(kc, "DEBUG: pc=%" PRIx64, (uint64_t)run->debug.arch.pc);
        if (kvm_user_caught(kc, exit)) {
            return *exit == CPU_EXIT_KICKED;
        }
        *exit = CPU_EXIT_DEBUG;
        return false;
    case KVM_EXIT_FAIL_ENTRY:
        *exit = exit_failed(
            kc, "the processor refused to enter the guest, hardware reason",
            run->fail_entry.hardware_entry_failure_reason);
        return false;
    case KVM_EXIT_UNKNOWN:
        *exit = exit_failed(kc, "unknown exit, hardware reason",
                            run->hw.hardware_exit_reason);
        return false;
    default:
        *exit = exit_failed(kc, "unexpected exit", run->exit_reason);
        return false;
    }
}

/* ---- before KVM_RUN --------------------------------------------------------------------- */

/* false: the kernel does not take the state. */
static bool kvm_sync_in(KvmCpu *kc)
{
    X86Cpu *c = kvm_x86(kc);

    if (!c->state_in_accel) {
        kvm_push(c);
        c->state_in_accel = !kc->unfit && !kc->failed;
    }
    return c->state_in_accel;
}

/* INIT and SIPI act on the state itself. */
static void kvm_take_init(KvmCpu *kc)
{
    X86Cpu *c = kvm_x86(kc);
    bool triple;

    cpu_state(c);
    x86_take_events(c, &triple);
}

static void kvm_inject_nmi(KvmCpu *kc)
{
    X86Cpu *c = kvm_x86(kc);

    if (kc->kvm->caps.user_nmi) {
        cpu_lower(c, CPU_NMI);
        KVM_CALL(kc->fd, KVM_NMI, 0);
    }
}

static void kvm_inject_irq(KvmCpu *kc)
{
    X86Cpu *c = kvm_x86(kc);
    struct kvm_interrupt intr;
    int vector = cpu_ack_irq(c);

    if (vector < 0) {
        return;
    }
    log_mask(LOG_KVM | LOG_INT, "kvm: interrupt vector %02x\n",
             (unsigned)vector);
    intr.irq = (unsigned)vector;
    if (KVM_CALL(kc->fd, KVM_INTERRUPT, &intr) < 0) {
        error_report("kvm: CPU %u: KVM_INTERRUPT: %s", c->index,
                     strerror(errno));
    }
    kc->run->ready_for_interrupt_injection = 0;
}

static void kvm_inject(KvmCpu *kc, uint32_t pending)
{
    X86Cpu *c = kvm_x86(kc);
    struct kvm_run *run = kc->run;

    if (pending & CPU_SMI) {
        log_mask(LOG_UNIMP, "SMI: there is no system management mode\n");
        cpu_lower(c, CPU_SMI);
    }
    if (pending & CPU_NMI) {
        kvm_inject_nmi(kc);
    }
    if ((pending & CPU_IRQ) && run->ready_for_interrupt_injection) {
        kvm_inject_irq(kc);
    }
    run->request_interrupt_window = !!(cpu_pending(c) & CPU_IRQ);
    run->cr8 = c->apic_ops ? c->apic_ops->get_tpr(c) : c->s.cr8;
}

/* The kernel finishes the last exit's access without executing more. One of 16
 * bytes comes in two pieces: then it asks for the second. */
static void kvm_finish_access(KvmCpu *kc)
{
    struct kvm_run *run = kc->run;

    while (kc->io_pending) {
        kc->io_pending = false;
        __atomic_store_n(&run->immediate_exit, 1, __ATOMIC_SEQ_CST);
        if (KVM_CALL(kc->fd, KVM_RUN, 0) == 0) {
            if (run->exit_reason == KVM_EXIT_MMIO) {
                exit_mmio(kc);
            } else if (run->exit_reason == KVM_EXIT_IO) {
                exit_io(kc);
            }
        }
    }
    kc->stats.has_place = false;
}

/* Nothing to execute until something happens. */
static bool kvm_idle(KvmCpu *kc)
{
    X86Cpu *c = kvm_x86(kc);

    if (kc->kvm->host.lapic) {
        return false; /* it waits in KVM_RUN */
    }
    if (c->s.mp_state == MP_WAIT_SIPI) {
        return true;
    }
    if (c->s.halted && x86_has_work(c)) {
        c->s.halted = false;
    }
    return c->s.halted;
}

/* ---- run ------------------------------------------------------------------------------------- */

static bool kvm_enter(KvmCpu *kc, CpuExit *exit)
{
    X86Cpu *c = kvm_x86(kc);
    uint64_t cr8 = kc->run->cr8;
    int64_t start = kc->now ? kc->now : kvm_host_ns(), end;
    bool more;
    int err;

    err = KVM_CALL(kc->fd, KVM_RUN, 0) < 0 ? errno : 0;
    __atomic_store_n(&kc->in_kvm, false, __ATOMIC_SEQ_CST);
    kc->now = end = kvm_host_ns();
    kc->stats.in_kvm_ns += end - start;
    kc->io_pending = false;
    exit_apic_changes(kc, cr8);
    if (err == EINTR || err == EAGAIN) {
        return true;
    }
    if (err) {
        errno = err;
        error_report("kvm: CPU %u: KVM_RUN: %s", c->index, strerror(err));
        *exit = CPU_EXIT_FAILED;
        return false;
    }
    kvm_coalesced_flush(kc->kvm);
    trace(kvm_run_exit, c->index, kc->run->exit_reason,
          kvm_exit_name(kc->run->exit_reason));
    more = kvm_handle_exit(kc, exit);
    kc->now = kvm_host_ns(); /* two looks at the clock for an exit */
    kvm_stats_exit(kc, kc->run->exit_reason, kc->now - end);
    return more;
}

/* Address line 20 is not KVM's; nor are more than four breakpoints, nor steps
 * over some instructions. */
static bool kvm_must_be_soft(KvmCpu *kc)
{
    return kc->tcg.cpu.s.a20_masked || kc->soft_debug || kc->tcg.n_watch ||
           (kc->tcg.single_step && kvm_user_step_is_soft(kc));
}

/* A guest saved elsewhere uses features that this host's KVM has not: they are
 * the software CPU's, as they were asked for with -cpu. */
static CpuExit kvm_run_unfit(KvmCpu *kc)
{
    X86Cpu *c = kvm_x86(kc);
    const CpuModel *limited = c->model;
    CpuExit exit;

    c->model = kc->kvm->whole ? kc->kvm->whole : limited;
    exit = kvm_run_soft(kc, 1 << 22);
    c->model = limited;
    return exit;
}

static bool kvm_step(KvmCpu *kc, CpuExit *exit)
{
    X86Cpu *c = kvm_x86(kc);
    uint32_t pending;

    __atomic_store_n(&kc->in_kvm, true, __ATOMIC_SEQ_CST);
    __atomic_store_n(&kc->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
    pending = cpu_pending(c);
    if ((pending & (CPU_FLUSH | CPU_REQUEST)) &&
        (cpu_take(c, CPU_FLUSH | CPU_REQUEST) & CPU_FLUSH)) {
        kvm_drop_translations(kc);
    }
    *exit = CPU_EXIT_KICKED;
    if ((pending & CPU_STOP) || kc->failed) {
        kvm_finish_access(kc);
        *exit = kc->failed ? CPU_EXIT_FAILED : CPU_EXIT_KICKED;
        return false;
    }
    if (pending & (CPU_INIT | CPU_SIPI)) {
        kvm_finish_access(kc);
        kvm_take_init(kc);
    }
    if (kvm_idle(kc)) {
        kvm_finish_access(kc);
        *exit = CPU_EXIT_HALTED;
        return false;
    }
    if (kvm_must_be_soft(kc)) {
        kvm_finish_access(kc);
        cpu_state(c);
        *exit = kvm_run_soft(kc, 1 << 16);
        return *exit == CPU_EXIT_KICKED;
    }
    if (kvm_turn_over(kc)) {
        kvm_finish_access(kc);
        cpu_state(c);
        *exit = kvm_soft_turn(kc, false);
        return *exit == CPU_EXIT_KICKED;
    }
    if (!kvm_sync_in(kc)) {
        *exit = kc->failed ? CPU_EXIT_FAILED : kvm_run_unfit(kc);
        return *exit == CPU_EXIT_KICKED;
    }
    kvm_inject(kc, pending);
    return kvm_enter(kc, exit);
}

static CpuExit kvm_run(X86Cpu *c)
{
    KvmCpu *kc = kvm_cpu(c);
    CpuExit exit;

    if (current != kc) {
        kvm_thread_init(kc);
    }
    kc->now = 0;
    while (kvm_step(kc, &exit)) {
    }
    __atomic_store_n(&kc->in_kvm, false, __ATOMIC_SEQ_CST);
    return exit;
}

/* ---- debugging ------------------------------------------------------------------------------- */

static void debug_wanted(KvmCpu *kc, struct kvm_guest_debug *d)
{
    unsigned n = 0;

    d->control = kc->tcg.single_step ? KVM_GUESTDBG_SINGLESTEP : 0;
    for (unsigned i = 0; i < kc->tcg.n_breakpoints; i++) {
        d->arch.debugreg[n++] = kc->tcg.breakpoint[i];
    }
    for (unsigned i = 0; i < KVM_CATCHES && n < KVM_HW_BREAKPOINTS; i++) {
        if (kc->catch_at[i]) {
            d->arch.debugreg[n++] = kc->catch_at[i];
        }
    }
    d->arch.debugreg[7] = n ? 0x600 : 0;
    for (unsigned i = 0; i < n; i++) {
        d->arch.debugreg[7] |= 2u << (i * 2); /* global, execute */
    }
    d->control |= n ? KVM_GUESTDBG_USE_HW_BP : 0;
    d->control |= d->control ? KVM_GUESTDBG_ENABLE : 0;
}

void kvm_debug_update(KvmCpu *kc)
{
    struct kvm_guest_debug d = { 0 };

    if (!kc->soft_debug) {
        debug_wanted(kc, &d);
    }
    if (memcmp(&d, &kc->debug, sizeof(d)) == 0) {
        return;
    }
    if (KVM_CALL(kc->fd, KVM_SET_GUEST_DEBUG, &d) < 0) {
        kc->soft_debug = true; /* then the software CPU does it */
    }
    kc->debug = d;
}

/* Breakpoints in user code: see user.c. */
static bool kvm_set_debug(X86Cpu *c, const hwaddr *breakpoints, unsigned n,
                          bool single_step)
{
    KvmCpu *kc = kvm_cpu(c);

    if (!tcg_accel.set_debug(c, breakpoints, n, single_step)) {
        return false;
    }
    kc->soft_debug = n > KVM_HW_BREAKPOINTS ||
                     (n && kc->kvm->probe.user_runs) ||
                     ((n || single_step) && !kc->kvm->caps.guest_debug);
    kvm_debug_update(kc);
    return true;
}

/* Watchpoints are the software CPU's: KVM has four registers for all. */
static bool kvm_set_watch(X86Cpu *c, const CpuWatch *watch, unsigned n)
{
    return tcg_accel.set_watch(c, watch, n);
}

static bool kvm_translate(X86Cpu *c, uint64_t lin, hwaddr *phys)
{
    cpu_state(c);
    return tcg_accel.translate(c, lin, phys);
}

static void kvm_io_changed(Accel *accel, const FlatMap *map)
{
    kvm_ioevent_map_changed(container_of(accel, KvmAccel, accel), map, true);
}

static void kvm_ram_written(Accel *accel, hwaddr addr, hwaddr len)
{
    KvmAccel *a = container_of(accel, KvmAccel, accel);

    tcg_accel.ram_written(&a->soft->accel, addr, len);
}

/* ---- life --------------------------------------------------------------------------------------- */

static bool kvm_available(GError **errp)
{
    int fd, vm;

    if (!kvm_host_open(NULL, &fd, &vm, errp)) {
        return false;
    }
    close(vm);
    close(fd);
    return true;
}

static void vm_enable(KvmAccel *a, uint32_t cap, const char *name, uint64_t arg)
{
    struct kvm_enable_cap e = { .cap = cap, .args = { arg } };

    log_mask(LOG_KVM, "kvm: cap=%s args[0]=%" PRIx64 "\n", name, arg);
    KVM_CALL(a->vm, KVM_ENABLE_CAP, &e);
}

#define VM_ENABLE(a, cap, arg) vm_enable((a), (cap), #cap, (arg))

/* The TSC-deadline MSR, which the kernel would take without an APIC. */
static void vm_filter_msrs(KvmAccel *a)
{
    uint8_t none = 0;
    struct kvm_msr_filter f = {
        .flags = KVM_MSR_FILTER_DEFAULT_ALLOW,
        .ranges[0] = { .flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
                       .base = MSR_DEADLINE,
                       .nmsrs = 1,
                       .bitmap = &none },
    };

    if (KVM_CALL(a->vm, KVM_X86_SET_MSR_FILTER, &f) < 0) {
        a->caps.msr_filter = false;
    }
}

static bool vm_setup(KvmAccel *a, GError **errp)
{
    uint64_t identity = IDENTITY_MAP;

    kvm_host_caps(a->vm, &a->caps);
    if (!kvm_cpuid_supported(a, errp)) {
        return false;
    }
    KVM_CALL(a->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity);
    if (KVM_CALL(a->vm, KVM_SET_TSS_ADDR, TSS_ADDR) < 0) {
        error_setg_errno(errp, errno, "KVM_SET_TSS_ADDR");
        return false;
    }
    if (a->caps.user_msr) {
        VM_ENABLE(a, KVM_CAP_X86_USER_SPACE_MSR,
                  KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN |
                      KVM_MSR_EXIT_REASON_FILTER);
    }
    if (a->caps.emul_exit) {
        VM_ENABLE(a, KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1);
    }
    a->run_size = KVM_CALL(a->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (a->run_size < (int)sizeof(struct kvm_run)) {
        error_setg(errp, "KVM_GET_VCPU_MMAP_SIZE: %d bytes are too few",
                   a->run_size);
        return false;
    }
    return true;
}

static void for_each_cpu(Machine *m, void (*fn)(KvmCpu *kc))
{
    for (unsigned i = 0; i < m->ncpus; i++) {
        if (m->cpu[i]) {
            fn(kvm_cpu(m->cpu[i]));
        }
    }
}

/* TSC and kvmclock stand still with the machine. */
static void kvm_on_event(Machine *m, const char *event,
                         const EventValue *values, void *opaque)
{
    if (!m->cpu || !m->cpu[0]) {
        return;
    }
    if (!strcmp(event, "STOP")) {
        for_each_cpu(m, kvm_tsc_keep);
        kvm_clock_keep(kvm_cpu(m->cpu[0]));
    } else if (!strcmp(event, "RESUME")) {
        for_each_cpu(m, kvm_tsc_give);
        kvm_clock_give(kvm_cpu(m->cpu[0]));
    }
}

static void kvm_close(Accel *accel)
{
    KvmAccel *a = container_of(accel, KvmAccel, accel);

    machine_unwatch(a->accel.machine, kvm_on_event, a);
    kvm_memory_close(a);
    kvm_ioevent_close(a);
    kvm_irq_close(a);
    if (a->soft) {
        tcg_embedded_close(a->soft);
    }
    close(a->vm);
    close(a->fd);
    g_free(a->supported);
    g_free(a->whole);
    g_free(a);
}

static Accel *kvm_open(Machine *m, KeyVal *options, GError **errp)
{
    const char *path = options ? keyval_get(options, "device") : NULL;
    struct sigaction sa = { .sa_handler = kvm_on_signal };
    KvmAccel *a = g_new0(KvmAccel, 1);
    bool completion = true, turns = true;

    a->accel.ops = &kvm_accel;
    a->accel.machine = m;
    if ((options &&
         (!keyval_bool(options, "completion", true, &completion, errp) ||
          !keyval_bool(options, "turns", true, &turns, errp))) ||
        !kvm_host_open(path, &a->fd, &a->vm, errp)) {
        g_free(a);
        return NULL;
    }
    a->completion = completion;
    a->turns = turns;
    kvm_ioevent_init(a);
    kvm_irq_init(a);
    if (!vm_setup(a, errp) || !kvm_irq_open(a, options, errp)) {
        kvm_close(&a->accel);
        return NULL;
    }
    if (a->caps.user_msr && a->caps.msr_filter && !a->host.lapic) {
        vm_filter_msrs(a);
    }
    a->host.ioeventfd = a->caps.ioeventfd;
    m->host = &a->host;
    machine_watch(m, kvm_on_event, a);
    a->soft = tcg_embedded_open(m);
    sigaction(KVM_SIGNAL, &sa, NULL);
    return &a->accel;
}

static bool vcpu_open(KvmCpu *kc, GError **errp)
{
    X86Cpu *c = kvm_x86(kc);
    KvmAccel *a = kc->kvm;
    void *run;
    uint32_t id = a->host.lapic ? c->apic_id : c->index;

    kc->fd = KVM_CALL(a->vm, KVM_CREATE_VCPU, id);
    if (kc->fd < 0) {
        error_setg_errno(errp, errno, "KVM_CREATE_VCPU %u", id);
        return false;
    }
    run =
        mmap(NULL, a->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, kc->fd, 0);
    if (run == MAP_FAILED) {
        error_setg_errno(errp, errno, "the shared page of vCPU %u", c->index);
        close(kc->fd);
        return false;
    }
    log_mask(LOG_KVM,
             "kvm: mmap(%d): struct kvm_run of CPU %u, %d bytes at %p\n",
             kc->fd, c->index, a->run_size, run);
    kc->run = run;
    kvm_coalesced_attach(a, run);
    return true;
}

static bool kvm_cpu_init(X86Cpu *c, GError **errp)
{
    KvmCpu *kc = kvm_cpu(c);
    KvmAccel *a = container_of(c->machine->accel, KvmAccel, accel);
    int khz;

    kc->kvm = a;
    if (!vcpu_open(kc, errp)) {
        return false;
    }
    kc->xsave =
        g_malloc0(MAX(a->caps.xsave_size, (int)sizeof(struct kvm_xsave)));
    khz = a->caps.get_tsc ? KVM_CALL(kc->fd, KVM_GET_TSC_KHZ, 0) : 0;
    c->tsc_hz = khz > 0 ? (uint64_t)khz * 1000 : 0;
    kc->tsc_hz = c->tsc_hz;
    kc->tsc_dirty = true;
    c->sleeps_in_engine = a->host.lapic;
    kc->burst = 1;
    c->has_ext = kvm_cpu_has_ext(kc);
    kvm_stats_init(&kc->stats);
    if (!kvm_cpuid_set(kc, errp) || !tcg_embedded_cpu_init(c, a->soft, errp)) {
        kvm_stats_fini(&kc->stats);
        munmap(kc->run, a->run_size);
        close(kc->fd);
        g_free(kc->xsave);
        return false;
    }
    kvm_probe_msrs(kc);
    kvm_user_init(kc);
    kvm_turns_start(kc);
    return true;
}

static void kvm_cpu_exit(X86Cpu *c)
{
    KvmCpu *kc = kvm_cpu(c);

    tcg_embedded_cpu_exit(c);
    kvm_turns_stop(kc->kvm);
    kc->kvm->ring = NULL; /* it was in one of these mappings */
    munmap(kc->run, kc->kvm->run_size);
    close(kc->fd);
    g_free(kc->xsave);
    kvm_stats_fini(&kc->stats);
}

static const char *const kvm_options[] = {
    "device", "completion", "turns", "kernel-irqchip", "kernel_irqchip", NULL,
};

const AccelOps kvm_accel = {
    .name = "kvm",
    .options = kvm_options,
    .desc = "Linux KVM",
    .default_cpu = "max",
    .cpu_size = sizeof(KvmCpu),
    .available = kvm_available,
    .report = kvm_host_report,
    .open = kvm_open,
    .close = kvm_close,
    .cpu_init = kvm_cpu_init,
    .cpu_exit = kvm_cpu_exit,
    .limit_model = kvm_limit_model,
    .run = kvm_run,
    .kick = kvm_kick,
    .pull = kvm_pull,
    .map_changed = kvm_memory_map_changed,
    .io_changed = kvm_io_changed,
    .ram_written = kvm_ram_written,
    .dirty_sync = kvm_memory_dirty_sync,
    .set_debug = kvm_set_debug,
    .set_watch = kvm_set_watch,
    .translate = kvm_translate,
    .stats = kvm_stats,
};
