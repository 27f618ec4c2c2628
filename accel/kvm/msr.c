/*
 * MSRs to and from a vCPU of the kernel, the time-stamp counter and kvmclock.
 *
 * The TSC: the kernel's runs by itself. A pull writes down by how much it is
 * ahead of the virtual clock; a push writes it only when somebody changed that
 * (reset, a snapshot, WRMSR), so that running guests never see a step. While
 * the machine stands still it stands still, too, as that clock does. A snapshot
 * made at another rate goes on at that rate where the host can scale.
 */
#include "util/osdep.h"
#include <sys/ioctl.h>
#include "accel/kvm/state.h"
#include "target-x86/cpuid.h"
#include "util/bits.h"
#include "util/log.h"

/* ---- MSRs ----------------------------------------------------------------------------------- */

#define MSR_TSC 0x10u

typedef struct StateMsr {
    uint32_t index;
    uint32_t field; /* offset in X86State */
    uint16_t feature;
} StateMsr;

/* clang-format off */
#define F(name) offsetof(X86State, name)
static const StateMsr state_msrs[] = {
    { 0x174, F(sysenter_cs), FEAT_SEP },
    { 0x175, F(sysenter_esp), FEAT_SEP },
    { 0x176, F(sysenter_eip), FEAT_SEP },
    { 0xc0000081, F(star), FEAT_SYSCALL },
    { 0xc0000082, F(lstar), FEAT_LM },
    { 0xc0000083, F(cstar), FEAT_LM },
    { 0xc0000084, F(sfmask), FEAT_LM },
    { 0xc0000102, F(kernel_gs_base), FEAT_LM },
    { 0xc0000103, F(tsc_aux), FEAT_RDTSCP },
    { 0x277, F(pat), FEAT_PAT },
    { 0x3b, F(tsc_adjust), FEAT_TSC_ADJUST },
    { 0x3a, F(feature_control), FEAT_VMX },
    { 0x48, F(spec_ctrl), FEAT_SPEC_CTRL },
    { 0x1a0, F(misc_enable), FEAT_NONE },
    { 0x1d9, F(debugctl), FEAT_NONE },
    { 0xda0, F(xss), FEAT_XSAVES },
    { 0x2ff, F(mtrr_def), FEAT_MTRR },
    { 0x250, F(mtrr_fixed[0]), FEAT_MTRR },
    { 0x258, F(mtrr_fixed[1]), FEAT_MTRR },
    { 0x259, F(mtrr_fixed[2]), FEAT_MTRR },
    { 0x268, F(mtrr_fixed[3]), FEAT_MTRR },
    { 0x269, F(mtrr_fixed[4]), FEAT_MTRR },
    { 0x26a, F(mtrr_fixed[5]), FEAT_MTRR },
    { 0x26b, F(mtrr_fixed[6]), FEAT_MTRR },
    { 0x26c, F(mtrr_fixed[7]), FEAT_MTRR },
    { 0x26d, F(mtrr_fixed[8]), FEAT_MTRR },
    { 0x26e, F(mtrr_fixed[9]), FEAT_MTRR },
    { 0x26f, F(mtrr_fixed[10]), FEAT_MTRR },
#define VARIABLE(n) \
    { 0x200 + 2 * (n), F(mtrr_base[n]), FEAT_MTRR }, \
    { 0x201 + 2 * (n), F(mtrr_mask[n]), FEAT_MTRR }
    VARIABLE(0), VARIABLE(1), VARIABLE(2), VARIABLE(3),
    VARIABLE(4), VARIABLE(5), VARIABLE(6), VARIABLE(7),
#undef VARIABLE
    { 0x17a, F(mcg_status), FEAT_MCA },
    { 0x17b, F(mcg_ctl), FEAT_MCA },
#define BANK(n) \
    { 0x400 + 4 * (n), F(mce[4 * (n)]), FEAT_MCA }, \
    { 0x401 + 4 * (n), F(mce[4 * (n) + 1]), FEAT_MCA }, \
    { 0x402 + 4 * (n), F(mce[4 * (n) + 2]), FEAT_MCA }, \
    { 0x403 + 4 * (n), F(mce[4 * (n) + 3]), FEAT_MCA }
    BANK(0), BANK(1), BANK(2), BANK(3), BANK(4),
    BANK(5), BANK(6), BANK(7), BANK(8), BANK(9),
#undef BANK
    { 0xc0010015, F(hwcr), FEAT_NONE },
};
#undef F
/* clang-format on */

static uint64_t *msr_field(X86State *s, const StateMsr *row)
{
    return (uint64_t *)((char *)s + row->field);
}

static bool msr_works(const KvmCpu *kc, uint32_t index)
{
    MsrList list = { .head.nmsrs = 1, .entry[0].index = index };

    return ioctl(kc->fd, KVM_GET_MSRS, &list) == 1 &&
           ioctl(kc->fd, KVM_SET_MSRS, &list) == 1;
}

/* Which of the table this processor and this host have: asked one by one. */
void kvm_probe_msrs(KvmCpu *kc)
{
    kc->n_msrs = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(state_msrs); i++) {
        const StateMsr *row = &state_msrs[i];

        if (row->feature != FEAT_NONE && !cpu_has(&kc->tcg.cpu, row->feature)) {
            continue;
        }
        if (msr_works(kc, row->index)) {
            kc->msr[kc->n_msrs++] = i;
        } else {
            log_mask(LOG_KVM, "kvm: CPU %u: MSR %x is not KVM's\n",
                     kvm_x86(kc)->index, row->index);
        }
    }
    log_mask(LOG_KVM, "kvm: CPU %u: %u MSRs are saved and restored\n",
             kvm_x86(kc)->index, kc->n_msrs);
}

/* On all processors alike, so the first one tells. */
static void msrs_drop(KvmCpu *kc, unsigned at)
{
    const StateMsr *row = &state_msrs[kc->msr[at]];

    if (kvm_x86(kc)->index == 0) {
        warn_report("kvm: this host does not take MSR 0x%x; it is left out",
                    row->index);
    }
    kc->n_msrs--;
    memmove(&kc->msr[at], &kc->msr[at + 1],
            (kc->n_msrs - at) * sizeof(kc->msr[0]));
}

void kvm_pull_msrs(KvmCpu *kc, X86State *s)
{
    MsrList list = { .head.nmsrs = kc->n_msrs };
    int n;

    for (unsigned i = 0; i < kc->n_msrs; i++) {
        list.entry[i].index = state_msrs[kc->msr[i]].index;
    }
    n = KVM_CALL(kc->fd, KVM_GET_MSRS, &list);
    if (n < 0) {
        kvm_state_failed(kc, "KVM_GET_MSRS");
        return;
    }
    for (int i = 0; i < n; i++) {
        *msr_field(s, &state_msrs[kc->msr[i]]) = list.entry[i].data;
    }
    if ((unsigned)n < kc->n_msrs) {
        msrs_drop(kc, n);
        kvm_pull_msrs(kc, s);
    }
}

/* Fills from @from on; the kernel stops at the first it does not take. */
static void push_msrs_from(KvmCpu *kc, X86State *s, unsigned from)
{
    MsrList list = { .head.nmsrs = kc->n_msrs - from };
    int n;

    if (from >= kc->n_msrs) {
        return;
    }
    for (unsigned i = from; i < kc->n_msrs; i++) {
        const StateMsr *row = &state_msrs[kc->msr[i]];

        list.entry[i - from] =
            (struct kvm_msr_entry) { .index = row->index,
                                     .data = *msr_field(s, row) };
    }
    n = KVM_CALL(kc->fd, KVM_SET_MSRS, &list);
    if (n < 0) {
        kvm_state_failed(kc, "KVM_SET_MSRS");
    } else if (from + n < kc->n_msrs) {
        msrs_drop(kc, from + n);
        push_msrs_from(kc, s, from + n);
    }
}

void kvm_push_msrs(KvmCpu *kc, X86State *s)
{
    push_msrs_from(kc, s, 0);
}

/* ---- the time-stamp counter -------------------------------------------------------------------- */

static uint64_t tsc_at(X86Cpu *c, int64_t ns)
{
    return muldiv64((uint64_t)ns, x86_tsc_hz(c), NS_PER_SEC);
}

/* What it is now by the clock; the kernel's, unless somebody changed it. */
static uint64_t tsc_wanted(X86Cpu *c)
{
    return tsc_at(c, clock_ns(c->machine->vclock)) + c->s.tsc_offset;
}

static bool tsc_write(KvmCpu *kc, uint64_t tsc)
{
    MsrList list = {
        .head.nmsrs = 1,
        .entry[0] = { .index = MSR_TSC, .data = tsc },
    };

    return KVM_CALL(kc->fd, KVM_SET_MSRS, &list) == 1;
}

/*
 * The kernel's count, less that of the clock: the clock in the middle of the
 * call. A thread that lost its processor between the two asks again, else the
 * guest's TSC would be wrong by so much until KVM runs it.
 */
static bool tsc_ask(KvmCpu *kc, uint64_t *offset)
{
    enum { TRIES = 8, CLOSE_NS = 20 * 1000 };
    X86Cpu *c = kvm_x86(kc);
    int64_t best = INT64_MAX;

    for (unsigned i = 0; i < TRIES && best > CLOSE_NS; i++) {
        MsrList list = { .head.nmsrs = 1, .entry[0].index = MSR_TSC };
        int64_t start = clock_ns(c->machine->vclock), took;

        if (KVM_CALL(kc->fd, KVM_GET_MSRS, &list) != 1) {
            return false;
        }
        took = clock_ns(c->machine->vclock) - start;
        if (took < best) {
            best = took;
            *offset = list.entry[0].data - tsc_at(c, start + took / 2);
        }
    }
    return true;
}

void kvm_pull_tsc(KvmCpu *kc)
{
    uint64_t offset;

    if (!kc->tsc_kept && tsc_ask(kc, &offset)) {
        kc->tsc_offset = kvm_x86(kc)->s.tsc_offset = offset;
    }
}

/* The rate, after somebody loaded one. */
static void push_tsc_rate(KvmCpu *kc)
{
    X86Cpu *c = kvm_x86(kc);
    uint64_t hz = x86_tsc_hz(c);

    if (hz == kc->tsc_hz || !kc->tsc_hz) {
        return;
    }
    kc->tsc_dirty = true;
    if (kc->kvm->caps.tsc_control &&
        KVM_CALL(kc->fd, KVM_SET_TSC_KHZ, hz / 1000) == 0) {
        kc->tsc_hz = hz;
        return;
    }
    if (c->index == 0) {
        warn_report("kvm: the guest's TSC ran at %" PRIu64 " MHz and goes on "
                    "at this host's %" PRIu64 " MHz: its clock will be wrong "
                    "if it relies on it",
                    hz / 1000000, kc->tsc_hz / 1000000);
    }
    /* The count goes on from where it was. */
    c->s.tsc_offset +=
        muldiv64(clock_ns(c->machine->vclock), hz, NS_PER_SEC) -
        muldiv64(clock_ns(c->machine->vclock), kc->tsc_hz, NS_PER_SEC);
    c->tsc_hz = kc->tsc_hz;
}

static void push_tsc(KvmCpu *kc)
{
    if (!tsc_write(kc, tsc_wanted(kvm_x86(kc)))) {
        warn_report("kvm: this host does not let the TSC be set");
    }
    kc->tsc_offset = kvm_x86(kc)->s.tsc_offset;
    kc->tsc_dirty = false;
}

void kvm_push_tsc(KvmCpu *kc)
{
    push_tsc_rate(kc);
    if (kvm_x86(kc)->s.tsc_offset != kc->tsc_offset || kc->tsc_dirty) {
        push_tsc(kc);
    }
}

void kvm_tsc_keep(KvmCpu *kc)
{
    if (kvm_x86(kc)->state_in_accel) {
        kvm_pull_tsc(kc);
    }
    kc->tsc_kept = true;
}

/*
 * The kernel takes a count that is less than a second off for one that shall
 * be the other processors', and ignores it. So the first one is sent far back
 * before, where the kernel never expects it; the others are to be the same.
 */
void kvm_tsc_give(KvmCpu *kc)
{
    X86Cpu *c = kvm_x86(kc);

    if (!kc->tsc_kept) {
        return;
    }
    kc->tsc_kept = false;
    push_tsc_rate(kc);
    if (c->index == 0) {
        tsc_write(kc, tsc_wanted(c) - x86_tsc_hz(c) * 3600);
    }
    push_tsc(kc);
    kvm_pull_tsc(kc); /* a KVM may ignore it: then bursts have what it has */
    kvm_lapic_rearm(kc);
}

/* ---- kvmclock -------------------------------------------------------------------------------- */

#define MSR_WALL_CLOCK  0x4b564d00u
#define MSR_SYSTEM_TIME 0x4b564d01u

static bool has_kvmclock(const KvmCpu *kc)
{
    const CpuModel *cm = kc->tcg.cpu.model;

    return cm && (cm->kvm_features & KVM_CPUID_CLOCK);
}

static bool get_kvmclock(KvmCpu *kc, MsrList *list)
{
    *list = (MsrList) {
        .head.nmsrs = 2,
        .entry = { { .index = MSR_WALL_CLOCK }, { .index = MSR_SYSTEM_TIME } },
    };
    return has_kvmclock(kc) && KVM_CALL(kc->fd, KVM_GET_MSRS, list) == 2;
}

void kvm_pull_kvmclock(KvmCpu *kc, X86State *s)
{
    MsrList list;

    if (get_kvmclock(kc, &list)) {
        s->pv_wall_clock = list.entry[0].data;
        s->pv_system_time = list.entry[1].data;
    }
}

/* Only what changed: a write makes the kernel write to guest memory. */
void kvm_push_kvmclock(KvmCpu *kc, const X86State *s)
{
    MsrList list;

    if (get_kvmclock(kc, &list) && (list.entry[0].data != s->pv_wall_clock ||
                                    list.entry[1].data != s->pv_system_time)) {
        list.entry[0].data = s->pv_wall_clock;
        list.entry[1].data = s->pv_system_time;
        KVM_CALL(kc->fd, KVM_SET_MSRS, &list);
    }
}

void kvm_clock_keep(KvmCpu *kc)
{
    struct kvm_clock_data clock = { 0 };

    if (has_kvmclock(kc) && KVM_CALL(kc->kvm->vm, KVM_GET_CLOCK, &clock) == 0) {
        kvm_x86(kc)->s.pv_clock = clock.clock;
    }
}

void kvm_clock_give(KvmCpu *kc)
{
    struct kvm_clock_data clock = { .clock = kvm_x86(kc)->s.pv_clock };

    if (has_kvmclock(kc) && clock.clock) {
        KVM_CALL(kc->kvm->vm, KVM_SET_CLOCK, &clock);
        KVM_CALL(kc->fd, KVM_KVMCLOCK_CTRL, 0); /* no lockup in the guest */
    }
}
