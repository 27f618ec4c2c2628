/*
 * Model-specific registers: the table msr.def with its rules. SDM 4.
 *
 * No processor here speculates, so prediction commands have nothing to do and
 * IA32_ARCH_CAPABILITIES says "not affected" to everything. Performance
 * counters, branch records and last-branch registers are not modelled.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "util/log.h"
#include "target-x86/access.h"
#include "target-x86/cpuid.h"
#include "target-x86/msr.h"
#include "target-x86/seg.h"
#include "system/host-kernel.h"

typedef struct MsrRow MsrRow;
typedef bool MsrReadFn(X86Cpu *c, const MsrRow *row, uint32_t msr, uint64_t *v);
typedef bool MsrWriteFn(X86Cpu *c, const MsrRow *row, uint32_t msr, uint64_t v);

enum { MSR_ANY, MSR_INTEL = 1 << VENDOR_INTEL, MSR_AMD = 1 << VENDOR_AMD };

struct MsrRow {
    uint32_t first, last;
    const char *name;
    uint16_t feature;
    uint8_t vendor;
    MsrReadFn *read;
    MsrWriteFn *write;
    size_t field;
    uint64_t bits;
};

enum {
    MCE_BANKS = 10,
    MCG_CTL_P = 1 << 8,
    MCG_SER_P = 1 << 24,
    MTRR_VARIABLE = 8,
    MTRR_CAP = MTRR_VARIABLE | 1 << 8 | 1 << 10, /* fixed ranges, WC */
    APIC_BASE_BSP = 1 << 8,
    APIC_BASE_EXTD = 1 << 10,
    APIC_BASE_EN = 1 << 11,
    HWCR_TSC_FREQ_SEL = 1 << 24,
    BHI_DIS_S = 1 << 10,
};

/* IA32_ARCH_CAPABILITIES: RDCL IBRS_ALL SKIP_L1DFL SSB MDS PSCHANGE TAA
 * SBDR FBSDP PSDP, BHI PBRSB GDS RFDS, ITS. */
#define ARCH_CAPABILITIES_NO \
    (UINT64_C(0x0000e17b) | UINT64_C(1) << 20 | UINT64_C(1) << 24 | \
     UINT64_C(1) << 26 | UINT64_C(1) << 27 | UINT64_C(1) << 62)

static uint64_t *msr_field(X86Cpu *c, const MsrRow *row)
{
    return (uint64_t *)((char *)&c->s + row->field);
}

/* ---- the simple ones ------------------------------------------------------------ */

static bool msr_read_field(X86Cpu *c, const MsrRow *row, uint32_t msr,
                           uint64_t *v)
{
    *v = *msr_field(c, row);
    return true;
}

static bool msr_read_zero(X86Cpu *c, const MsrRow *row, uint32_t msr,
                          uint64_t *v)
{
    *v = 0;
    return true;
}

static bool msr_read_none(X86Cpu *c, const MsrRow *row, uint32_t msr,
                          uint64_t *v)
{
    return false;
}

static bool msr_write_field(X86Cpu *c, const MsrRow *row, uint32_t msr,
                            uint64_t v)
{
    if (v & ~row->bits) {
        return false;
    }
    *msr_field(c, row) = v;
    return true;
}

static bool msr_write_canon(X86Cpu *c, const MsrRow *row, uint32_t msr,
                            uint64_t v)
{
    if (cpu_has(c, FEAT_LM) && !x86_canonical_max(c, v)) {
        return false;
    }
    *msr_field(c, row) = v;
    return true;
}

static bool msr_write_drop(X86Cpu *c, const MsrRow *row, uint32_t msr,
                           uint64_t v)
{
    return true;
}

static bool msr_write_none(X86Cpu *c, const MsrRow *row, uint32_t msr,
                           uint64_t v)
{
    return false;
}

#define READ_CONST(name, value) \
    static bool msr_read_##name(X86Cpu *c, const MsrRow *row, uint32_t msr, \
                                uint64_t *v) \
    { \
        *v = (value); \
        return true; \
    }

READ_CONST(mtrrcap, MTRR_CAP)
READ_CONST(mcgcap, MCE_BANKS | MCG_CTL_P | MCG_SER_P)
READ_CONST(archcaps, ARCH_CAPABILITIES_NO)
READ_CONST(platinfo, 10 << 8 | UINT64_C(10) << 40) /* x 100 MHz */
READ_CONST(perfstat, 1000 | UINT64_C(4) << 40)
READ_CONST(vmcr, c->s.vm_cr | 1 << 3 | 1 << 4) /* SVM locked, disabled */
READ_CONST(ucode,
           c->model->vendor == VENDOR_AMD ? 0x01000065 : UINT64_C(1) << 32)
#undef READ_CONST

/* ---- time ------------------------------------------------------------------------- */

static bool msr_read_tsc(X86Cpu *c, const MsrRow *row, uint32_t msr,
                         uint64_t *v)
{
    *v = x86_tsc(c);
    return true;
}

#define MSR_TSC_DEADLINE 0x6e0u

/* The APIC timer waits for a value of the TSC: set it again. */
static void msr_rearm_deadline(X86Cpu *c)
{
    uint64_t deadline = 0;

    if (!c->apic_ops) {
        return;
    }
    machine_lock(c->machine);
    if (c->apic_ops->msr_read(c, MSR_TSC_DEADLINE, &deadline) && deadline) {
        c->apic_ops->msr_write(c, MSR_TSC_DEADLINE, deadline);
    }
    machine_unlock(c->machine);
}

/* SDM 3B, 17.17.3: a write to either of TSC and TSC_ADJUST moves both. */
static void msr_move_tsc(X86Cpu *c, uint64_t by)
{
    c->s.tsc_offset += by;
    c->s.tsc_adjust += by;
    msr_rearm_deadline(c);
}

static bool msr_write_tsc(X86Cpu *c, const MsrRow *row, uint32_t msr,
                          uint64_t v)
{
    msr_move_tsc(c, v - x86_tsc(c));
    return true;
}

static bool msr_write_tscadj(X86Cpu *c, const MsrRow *row, uint32_t msr,
                             uint64_t v)
{
    msr_move_tsc(c, v - c->s.tsc_adjust);
    return true;
}

static bool msr_has_tsc_aux(const X86Cpu *c)
{
    return cpu_has(c, FEAT_RDTSCP) || cpu_has(c, FEAT_RDPID);
}

static bool msr_read_tscaux(X86Cpu *c, const MsrRow *row, uint32_t msr,
                            uint64_t *v)
{
    *v = c->s.tsc_aux;
    return msr_has_tsc_aux(c);
}

static bool msr_write_tscaux(X86Cpu *c, const MsrRow *row, uint32_t msr,
                             uint64_t v)
{
    return msr_has_tsc_aux(c) && msr_write_field(c, row, msr, v);
}

/* ---- kvmclock ------------------------------------------------------------------------ */

/* Of guests that CPUID told of it, under -accel kvm; the kernel does the work. */
static bool msr_read_kvmclock(X86Cpu *c, const MsrRow *row, uint32_t msr,
                              uint64_t *v)
{
    return (c->model->kvm_features & KVM_CPUID_CLOCK) &&
           msr_read_field(c, row, msr, v);
}

static bool msr_write_kvmclock(X86Cpu *c, const MsrRow *row, uint32_t msr,
                               uint64_t v)
{
    return (c->model->kvm_features & KVM_CPUID_CLOCK) &&
           msr_write_field(c, row, msr, v);
}

/* An APIC in the host's kernel is the other engine's to reach. */
static void msr_leave_apic(X86Cpu *c)
{
    if (c->leave_burst && c->machine && host_has_lapic(c->machine)) {
        c->leave_burst(c);
    }
}

/* ---- local APIC --------------------------------------------------------------------- */

static bool msr_read_apic(X86Cpu *c, const MsrRow *row, uint32_t msr,
                          uint64_t *v)
{
    bool ok;

    if (!c->apic_ops) {
        return false;
    }
    msr_leave_apic(c);
    machine_lock(c->machine);
    ok = c->apic_ops->msr_read(c, msr, v);
    machine_unlock(c->machine);
    return ok;
}

static bool msr_write_apic(X86Cpu *c, const MsrRow *row, uint32_t msr,
                           uint64_t v)
{
    bool ok;

    if (!c->apic_ops) {
        return false;
    }
    msr_leave_apic(c);
    machine_lock(c->machine);
    ok = c->apic_ops->msr_write(c, msr, v);
    machine_unlock(c->machine);
    return ok;
}

/* SDM 3A, 10.12.5: which of disabled, xAPIC and x2APIC may follow which. */
static bool msr_apic_base_ok(const X86Cpu *c, uint64_t v)
{
    uint64_t old = c->s.apic_base;
    uint64_t valid = APIC_BASE_BSP | APIC_BASE_EN |
                     (bits_mask(cpu_phys_bits(c)) & ~UINT64_C(0xfff));
    bool was_x2 = old & APIC_BASE_EXTD;

    if (cpu_has(c, FEAT_X2APIC)) {
        valid |= APIC_BASE_EXTD;
    }
    if (v & ~valid || (v & (APIC_BASE_EN | APIC_BASE_EXTD)) == APIC_BASE_EXTD) {
        return false;
    }
    if (v & APIC_BASE_EXTD) {
        return old & APIC_BASE_EN;
    }
    return !(was_x2 && v & APIC_BASE_EN);
}

static bool msr_write_apicbase(X86Cpu *c, const MsrRow *row, uint32_t msr,
                               uint64_t v)
{
    bool ok = true;

    if (!msr_apic_base_ok(c, v)) {
        return false;
    }
    if (c->apic_ops) {
        machine_lock(c->machine);
        ok = c->apic_ops->set_base(c, v);
        machine_unlock(c->machine);
    } else {
        c->s.apic_base = v;
    }
    return ok;
}

/* ---- modes, bases, features ------------------------------------------------------------ */

static bool msr_read_efer(X86Cpu *c, const MsrRow *row, uint32_t msr,
                          uint64_t *v)
{
    *v = c->s.efer;
    return cpu_has(c, FEAT_NX) || cpu_has(c, FEAT_SYSCALL);
}

static bool msr_write_efer(X86Cpu *c, const MsrRow *row, uint32_t msr,
                           uint64_t v)
{
    const struct Insn *insn = c->insn;
    bool ok;

    if (!cpu_has(c, FEAT_NX) && !cpu_has(c, FEAT_SYSCALL)) {
        return false;
    }
    /* Without an instruction a refusal comes back as false. */
    c->insn = NULL;
    ok = x86_set_efer(c, v);
    c->insn = insn;
    return ok;
}

static X86Seg *msr_fs_or_gs(X86Cpu *c, uint32_t msr)
{
    return &c->s.seg[msr & 1 ? S_GS : S_FS];
}

static bool msr_read_segbase(X86Cpu *c, const MsrRow *row, uint32_t msr,
                             uint64_t *v)
{
    *v = msr_fs_or_gs(c, msr)->base;
    return true;
}

static bool msr_write_segbase(X86Cpu *c, const MsrRow *row, uint32_t msr,
                              uint64_t v)
{
    if (!x86_canonical_max(c, v)) {
        return false;
    }
    msr_fs_or_gs(c, msr)->base = v;
    return true;
}

static bool msr_has_spec_ctrl(const X86Cpu *c)
{
    return cpu_has(c, FEAT_SPEC_CTRL) || cpu_has(c, FEAT_STIBP) ||
           cpu_has(c, FEAT_SSBD) || cpu_has(c, FEAT_IBRS) ||
           cpu_has(c, FEAT_AMD_STIBP) || cpu_has(c, FEAT_AMD_SSBD);
}

static bool msr_read_spec(X86Cpu *c, const MsrRow *row, uint32_t msr,
                          uint64_t *v)
{
    *v = c->s.spec_ctrl;
    return msr_has_spec_ctrl(c);
}

static bool msr_write_spec(X86Cpu *c, const MsrRow *row, uint32_t msr,
                           uint64_t v)
{
    uint64_t bits = row->bits | (cpu_has(c, FEAT_BHI_CTRL) ? BHI_DIS_S : 0);

    if (!msr_has_spec_ctrl(c) || v & ~bits) {
        return false;
    }
    c->s.spec_ctrl = v;
    return true;
}

static bool msr_write_predcmd(X86Cpu *c, const MsrRow *row, uint32_t msr,
                              uint64_t v)
{
    return (cpu_has(c, FEAT_SPEC_CTRL) || cpu_has(c, FEAT_IBPB)) &&
           !(v & ~row->bits);
}

/* Once locked, until reset. */
static bool msr_write_locked(X86Cpu *c, const MsrRow *row, uint32_t msr,
                             uint64_t v)
{
    return !(*msr_field(c, row) & 1) && msr_write_field(c, row, msr, v);
}

static bool msr_write_miscen(X86Cpu *c, const MsrRow *row, uint32_t msr,
                             uint64_t v)
{
    uint64_t fixed = 1 << 7 | 1 << 11 | 1 << 12; /* read-only */

    if (v & ~row->bits) {
        return false;
    }
    c->s.misc_enable = (c->s.misc_enable & fixed) | (v & ~fixed);
    return true;
}

static bool msr_write_debugctl(X86Cpu *c, const MsrRow *row, uint32_t msr,
                               uint64_t v)
{
    if (v & row->bits) {
        log_mask(LOG_UNIMP,
                 "DEBUGCTL=%" PRIx64
                 ": branch records and branch steps are not modelled\n",
                 v);
    }
    return msr_write_field(c, row, msr, v);
}

/* ---- memory types ------------------------------------------------------------------------ */

/* UC, WC, WT, WP, WB; PAT also has UC-. */
static bool msr_types_ok(uint64_t v, unsigned n, bool pat)
{
    for (unsigned i = 0; i < n; i++, v >>= 8) {
        unsigned t = v & 0xff;

        if (t > 7 || t == 2 || t == 3 || (t == 7 && !pat)) {
            return false;
        }
    }
    return true;
}

static bool msr_write_pat(X86Cpu *c, const MsrRow *row, uint32_t msr,
                          uint64_t v)
{
    return msr_types_ok(v, 8, true) && msr_write_field(c, row, msr, v);
}

static uint64_t *msr_mtrr_var(X86Cpu *c, const MsrRow *row, uint32_t msr)
{
    unsigned n = (msr - row->first) / 2;

    return msr & 1 ? &c->s.mtrr_mask[n] : &c->s.mtrr_base[n];
}

static bool msr_read_mtrrvar(X86Cpu *c, const MsrRow *row, uint32_t msr,
                             uint64_t *v)
{
    *v = *msr_mtrr_var(c, row, msr);
    return true;
}

static bool msr_write_mtrrvar(X86Cpu *c, const MsrRow *row, uint32_t msr,
                              uint64_t v)
{
    uint64_t addr = bits_mask(cpu_phys_bits(c)) & ~UINT64_C(0xfff);

    if (msr & 1 ? v & ~(addr | 0x800)
                : v & ~(addr | 0xff) || !msr_types_ok(v, 1, false)) {
        return false;
    }
    *msr_mtrr_var(c, row, msr) = v;
    return true;
}

/* 64K, two 16K, eight 4K registers, one after the other. */
static uint64_t *msr_mtrr_fix(X86Cpu *c, uint32_t msr)
{
    return &c->s.mtrr_fixed[msr == 0x250   ? 0
                            : msr <= 0x259 ? msr - 0x258 + 1
                                           : msr - 0x268 + 3];
}

static bool msr_read_mtrrfix(X86Cpu *c, const MsrRow *row, uint32_t msr,
                             uint64_t *v)
{
    *v = *msr_mtrr_fix(c, msr);
    return true;
}

static bool msr_write_mtrrfix(X86Cpu *c, const MsrRow *row, uint32_t msr,
                              uint64_t v)
{
    if (!msr_types_ok(v, 8, false)) {
        return false;
    }
    *msr_mtrr_fix(c, msr) = v;
    return true;
}

static bool msr_write_mtrrdef(X86Cpu *c, const MsrRow *row, uint32_t msr,
                              uint64_t v)
{
    return msr_types_ok(v & 0xff, 1, false) && msr_write_field(c, row, msr, v);
}

/* ---- machine check -------------------------------------------------------------------------- */

static bool msr_write_mcgctl(X86Cpu *c, const MsrRow *row, uint32_t msr,
                             uint64_t v)
{
    return (v == 0 || v == UINT64_MAX) && msr_write_field(c, row, msr, v);
}

static bool msr_read_mce(X86Cpu *c, const MsrRow *row, uint32_t msr,
                         uint64_t *v)
{
    *v = c->s.mce[msr - row->first];
    return true;
}

/* CTL is a mask; STATUS, ADDR and MISC can only be cleared. */
static bool msr_write_mce(X86Cpu *c, const MsrRow *row, uint32_t msr,
                          uint64_t v)
{
    bool writable = msr % 4 == 0 || c->s.hwcr & 1 << 18;

    if (v && !writable) {
        return false;
    }
    c->s.mce[msr - row->first] = v;
    return true;
}

/* ---- AMD -------------------------------------------------------------------------------------- */

static bool msr_write_hwcr(X86Cpu *c, const MsrRow *row, uint32_t msr,
                           uint64_t v)
{
    /* Those an operating system may set: errata switches, McStatusWrEn, TSC
     * runs at P0 speed. */
    uint64_t ok = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 18 | HWCR_TSC_FREQ_SEL;

    if (v & ~ok) {
        log_mask(LOG_UNIMP, "HWCR=%" PRIx64 ": unknown bits\n", v);
        return false;
    }
    c->s.hwcr = v;
    return true;
}

/* Errata switches without an effect; they keep what is written. */
static uint64_t *msr_amd_cfg(X86Cpu *c, uint32_t msr)
{
    switch (msr) {
    case 0xc001001f:
        return &c->s.amd_cfg[5];
    case 0xc001102a:
        return &c->s.amd_cfg[4];
    case 0xc0011028:
        return &c->s.amd_cfg[6];
    case 0xc00110e3:
        return &c->s.amd_cfg[7];
    default:
        return &c->s.amd_cfg[msr & 3];
    }
}

static bool msr_read_amdcfg(X86Cpu *c, const MsrRow *row, uint32_t msr,
                            uint64_t *v)
{
    *v = *msr_amd_cfg(c, msr);
    return true;
}

static bool msr_write_amdcfg(X86Cpu *c, const MsrRow *row, uint32_t msr,
                             uint64_t v)
{
    *msr_amd_cfg(c, msr) = v;
    return true;
}

/* ---- the table ---------------------------------------------------------------------------------- */

/* A row without a field names this one, which its functions do not use. */
#define NOFIELD gpr
static const MsrRow msr_rows[] = {
#define MSR(first, last, name, feature, vendor, rd, wr, field, bits) \
    { first,        last,          #name,          FEAT_##feature, \
      MSR_##vendor, msr_read_##rd, msr_write_##wr, offsetof(X86State, field), \
      bits },
#include "target-x86/msr.def"
#undef MSR
};
#undef NOFIELD

static const MsrRow *msr_find(uint32_t msr)
{
    size_t lo = 0, hi = G_N_ELEMENTS(msr_rows);

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (msr > msr_rows[mid].last) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    if (lo < G_N_ELEMENTS(msr_rows) && msr >= msr_rows[lo].first) {
        return &msr_rows[lo];
    }
    return NULL;
}

/* The row, if this processor has the register. */
static const MsrRow *msr_present(const X86Cpu *c, uint32_t msr)
{
    const MsrRow *row = msr_find(msr);

    if (!row || !cpu_has(c, row->feature) ||
        (row->vendor != MSR_ANY && !(row->vendor >> c->model->vendor & 1))) {
        return NULL;
    }
    return row;
}

bool x86_rdmsr(X86Cpu *c, uint32_t msr, uint64_t *v)
{
    const MsrRow *row = msr_present(c, msr);

    *v = 0;
    if (!row) {
        log_mask(LOG_UNIMP, "RDMSR %08x: no such register\n", msr);
        return false;
    }
    return row->read(c, row, msr, v);
}

bool x86_wrmsr(X86Cpu *c, uint32_t msr, uint64_t v)
{
    const MsrRow *row = msr_present(c, msr);

    if (!row) {
        log_mask(LOG_UNIMP, "WRMSR %08x=%016" PRIx64 ": no such register\n",
                 msr, v);
        return false;
    }
    if (!row->write(c, row, msr, v)) {
        log_mask(LOG_GUEST_ERROR, "WRMSR %s (%08x)=%016" PRIx64 ": refused\n",
                 row->name, msr, v);
        return false;
    }
    return true;
}

const char *x86_msr_name(uint32_t msr)
{
    const MsrRow *row = msr_find(msr);

    return row ? row->name : NULL;
}
