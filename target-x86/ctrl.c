/*
 * Control and debug registers, EFER, XCR0 and the A20 line: which values the
 * processor takes and what follows from them. SDM 3A 2.5, 4.4.1, 9.8.5;
 * 3B 17.2; 1, 13.3.
 *
 * For each register one function decides (x86_*_ok) and one acts.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "system/memory.h"
#include "target-x86/seg.h"
#include "target-x86/cpuid.h"

/* The value was refused: #GP(0), or just so for a debugger. */
static bool ctrl_refuse(X86Cpu *c)
{
    if (c->insn) {
        x86_raise_err(c, EXC_GP, 0);
    }
    return false;
}

static bool ctrl_pae_paging(const X86State *s, uint64_t cr0, uint64_t cr4)
{
    return cr0 & CR0_PG && cr4 & CR4_PAE && !(s->efer & EFER_LMA);
}

bool x86_load_pdptes(X86Cpu *c, uint64_t cr3, uint64_t out[4])
{
    uint64_t reserved = ~bits_mask(cpu_phys_bits(c)) | 0x1e6;

    for (unsigned i = 0; i < 4; i++) {
        hwaddr addr = (uint32_t)(cr3 & ~UINT64_C(31)) + i * 8;

        if (c->s.a20_masked) {
            addr &= ~(UINT64_C(1) << 20);
        }
        out[i] = c->machine ? as_load(c->machine->mem, addr, 8) : 0;
        if (out[i] & 1 && out[i] & reserved) {
            return false;
        }
    }
    return true;
}

/* ---- CR0 -------------------------------------------------------------------------- */

static bool x86_cr0_ok(const X86Cpu *c, uint64_t v)
{
    const X86State *s = &c->s;
    bool turns_on = v & CR0_PG && !(s->cr0 & CR0_PG);
    bool turns_off = !(v & CR0_PG) && s->cr0 & CR0_PG;

    if (v >> 32 || (v & CR0_PG && !(v & CR0_PE)) ||
        (v & CR0_NW && !(v & CR0_CD))) {
        return false;
    }
    /* Into long mode: not with CS.L set or a 16-bit TSS. */
    if (turns_on && s->efer & EFER_LME &&
        (!(s->cr4 & CR4_PAE) || s->seg[S_CS].attr & SEG_L ||
         (!s->tr.unusable && s->tr.attr && !(s->tr.attr & 0x800)))) {
        return false;
    }
    return !(turns_off && (s->cr4 & CR4_PCIDE || c->mode.code64));
}

bool x86_set_cr0(X86Cpu *c, uint64_t v)
{
    static const uint32_t defined = CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET |
                                    CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD |
                                    CR0_PG;
    X86State *s = &c->s;
    uint64_t changed, pdpte[4], efer = s->efer;

    if (!x86_cr0_ok(c, v)) {
        return ctrl_refuse(c);
    }
    v = (v & defined) | CR0_ET;
    changed = v ^ s->cr0;
    if (changed & CR0_PG && efer & EFER_LME) {
        efer ^= EFER_LMA;
    }
    if (changed & (CR0_PG | CR0_CD | CR0_NW) && v & CR0_PG &&
        s->cr4 & CR4_PAE && !(efer & EFER_LMA)) {
        if (!x86_load_pdptes(c, s->cr3, pdpte)) {
            return ctrl_refuse(c);
        }
        memcpy(s->pdpte, pdpte, sizeof(pdpte));
    }
    s->cr0 = v;
    s->efer = efer;
    if (changed & (CR0_PG | CR0_PE | CR0_WP)) {
        tlb_flush(c, true);
    }
    x86_update_mode(c);
    return true;
}

/* ---- CR3 -------------------------------------------------------------------------- */

bool x86_set_cr3(X86Cpu *c, uint64_t v)
{
    X86State *s = &c->s;
    bool noflush = false;
    uint64_t pdpte[4];

    if (s->cr4 & CR4_PCIDE) {
        noflush = v >> 63;
        v &= ~(UINT64_C(1) << 63);
    }
    if (s->efer & EFER_LMA && v & ~bits_mask(cpu_phys_bits(c))) {
        return ctrl_refuse(c);
    }
    if (ctrl_pae_paging(s, s->cr0, s->cr4)) {
        if (!x86_load_pdptes(c, v, pdpte)) {
            return ctrl_refuse(c);
        }
        memcpy(s->pdpte, pdpte, sizeof(pdpte));
    }
    s->cr3 = v;
    tlb_cr3_written(c, noflush);
    return true;
}

/* ---- CR4 -------------------------------------------------------------------------- */

static const struct {
    uint32_t bits;
    CpuFeature feature;
} cr4_features[] = {
    { CR4_VME | CR4_PVI, FEAT_VME },
    { CR4_TSD, FEAT_TSC },
    { CR4_DE, FEAT_DE },
    { CR4_PSE, FEAT_PSE },
    { CR4_PAE, FEAT_PAE },
    { CR4_MCE, FEAT_MCE },
    { CR4_PGE, FEAT_PGE },
    { CR4_PCE, FEAT_NONE },
    { CR4_OSFXSR, FEAT_FXSR },
    { CR4_OSXMMEXCPT, FEAT_SSE },
    { CR4_UMIP, FEAT_UMIP },
    { CR4_LA57, FEAT_LA57 },
    { CR4_FSGSBASE, FEAT_FSGSBASE },
    { CR4_PCIDE, FEAT_PCID },
    { CR4_OSXSAVE, FEAT_XSAVE },
    { CR4_SMEP, FEAT_SMEP },
    { CR4_SMAP, FEAT_SMAP },
    { CR4_PKE, FEAT_PKU },
};

static uint64_t x86_cr4_mask(const X86Cpu *c)
{
    uint64_t mask = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(cr4_features); i++) {
        if (cr4_features[i].feature == FEAT_NONE ||
            cpu_has(c, cr4_features[i].feature)) {
            mask |= cr4_features[i].bits;
        }
    }
    return mask;
}

static bool x86_cr4_ok(const X86Cpu *c, uint64_t v)
{
    const X86State *s = &c->s;
    uint64_t changed = v ^ s->cr4;

    if (v & ~x86_cr4_mask(c)) {
        return false;
    }
    if (s->efer & EFER_LMA && (!(v & CR4_PAE) || changed & CR4_LA57)) {
        return false;
    }
    return !(changed & v & CR4_PCIDE) ||
           (s->efer & EFER_LMA && !(s->cr3 & 0xfff));
}

bool x86_set_cr4(X86Cpu *c, uint64_t v)
{
    X86State *s = &c->s;
    uint64_t changed = v ^ s->cr4, pdpte[4];

    if (!x86_cr4_ok(c, v)) {
        return ctrl_refuse(c);
    }
    if (ctrl_pae_paging(s, s->cr0, v) &&
        changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)) {
        if (!x86_load_pdptes(c, s->cr3, pdpte)) {
            return ctrl_refuse(c);
        }
        memcpy(s->pdpte, pdpte, sizeof(pdpte));
    }
    s->cr4 = v;
    if (changed & (CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP |
                   CR4_SMAP | CR4_PKE | CR4_LA57)) {
        tlb_flush(c, true);
    }
    x86_update_mode(c);
    return true;
}

/* ---- CR8, EFER, XCR0 ---------------------------------------------------------------- */

bool x86_set_cr8(X86Cpu *c, uint64_t v)
{
    if (v > 15) {
        return ctrl_refuse(c);
    }
    c->s.cr8 = v;
    if (c->apic_ops) {
        machine_lock(c->machine);
        c->apic_ops->set_tpr(c, (uint8_t)v);
        machine_unlock(c->machine);
    }
    return true;
}

static uint64_t x86_efer_mask(const X86Cpu *c)
{
    return (cpu_has(c, FEAT_SYSCALL) ? EFER_SCE : 0) |
           (cpu_has(c, FEAT_LM) ? EFER_LME | EFER_LMA : 0) |
           (cpu_has(c, FEAT_NX) ? EFER_NXE : 0) |
           (cpu_has(c, FEAT_FXSR_OPT) ? EFER_FFXSR : 0);
}

bool x86_set_efer(X86Cpu *c, uint64_t v)
{
    X86State *s = &c->s;
    uint64_t changed = v ^ s->efer;

    if (v & ~x86_efer_mask(c) || (changed & EFER_LME && s->cr0 & CR0_PG)) {
        return ctrl_refuse(c);
    }
    s->efer = (v & ~(uint64_t)EFER_LMA) | (s->efer & EFER_LMA);
    if (changed & EFER_NXE) {
        tlb_flush(c, true);
    }
    x86_update_mode(c);
    return true;
}

uint64_t x86_xcr0_mask(const X86Cpu *c)
{
    if (!cpu_has(c, FEAT_XSAVE)) {
        return 0;
    }
    return XCR0_X87 | XCR0_SSE | (cpu_has(c, FEAT_AVX) ? XCR0_AVX : 0) |
           (cpu_has(c, FEAT_PKU) ? XCR0_PKRU : 0) | (c->has_ext ? XCR0_EXT : 0);
}

bool x86_set_xcr0(X86Cpu *c, uint64_t v)
{
    if (v & ~x86_xcr0_mask(c) || !(v & XCR0_X87) ||
        (v & (XCR0_SSE | XCR0_AVX)) == XCR0_AVX) {
        return ctrl_refuse(c);
    }
    c->s.xcr0 = v;
    x86_update_mode(c);
    return true;
}

/* ---- debug registers ------------------------------------------------------------------ */

bool x86_set_dr(X86Cpu *c, unsigned n, uint64_t v)
{
    X86State *s = &c->s;

    switch (n) {
    case 0 ... 3: /* any value; one that is not canonical never matches */
        s->dr[n] = v;
        break;
    case 6:
        if (v >> 32) {
            return ctrl_refuse(c);
        }
        s->dr[6] = (v & 0xe00f) | DR6_INIT;
        break;
    default:
        if (v >> 32) {
            return ctrl_refuse(c);
        }
        s->dr[7] = (v & 0xffff2bff) | DR7_INIT;
        break;
    }
    x86_update_mode(c);
    return true;
}
