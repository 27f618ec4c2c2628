/*
 * X86State to and from a vCPU of the kernel: one pair of functions per group
 * of the API (regs, sregs, x87 and vectors, XCR0, MSRs, events, debug
 * registers).
 *
 * X86State knows no event that was accepted but not begun, so a pull delivers
 * it: the software CPU pushes the frame and enters the handler. HLT and waiting
 * for SIPI are kept on our side (accel/cpus.c), so the kernel's vCPU always
 * counts as runnable, unless the local APICs are the kernel's: then those
 * states are, too, and the registers of the APIC travel with each pull. They
 * are pushed only if somebody changed them (reset, a snapshot), because another
 * processor's interrupt may have arrived there meanwhile.
 *
 * The TSC: the kernel's runs by itself. A pull writes down by how much it is
 * ahead of the virtual clock; a push writes it only when somebody changed that
 * (reset, a snapshot, WRMSR), so that running guests never see a step. A
 * snapshot made at another rate goes on at that rate where the host can scale.
 */
#include "util/osdep.h"
#include <cpuid.h>
#include "accel/kvm/kvm.h"
#include "target-x86/cpuid.h"
#include "target-x86/flags.h"
#include "target-x86/fpu.h"
#include "target-x86/seg.h"
#include "util/bits.h"
#include "util/log.h"

/* A group that cannot be read or written: once, the machine stops later. */
static void state_failed(KvmCpu *kc, const char *what)
{
    if (!kc->failed) {
        error_report("kvm: CPU %u: %s: %s", kvm_x86(kc)->index, what,
                     strerror(errno));
    }
    kc->failed = true;
}

static bool state_call(KvmCpu *kc, unsigned long request, const char *name,
                       void *arg)
{
    if (kvm_call(kc->fd, request, name, arg) < 0) {
        state_failed(kc, name);
        return false;
    }
    return true;
}

#define STATE_CALL(kc, request, arg) \
    state_call((kc), (request), #request, (arg))

/* ---- general registers ------------------------------------------------------------ */

static void pull_regs(KvmCpu *kc, X86State *s)
{
    struct kvm_regs r;

    if (!STATE_CALL(kc, KVM_GET_REGS, &r)) {
        return;
    }
    s->gpr[R_RAX] = r.rax;
    s->gpr[R_RCX] = r.rcx;
    s->gpr[R_RDX] = r.rdx;
    s->gpr[R_RBX] = r.rbx;
    s->gpr[R_RSP] = r.rsp;
    s->gpr[R_RBP] = r.rbp;
    s->gpr[R_RSI] = r.rsi;
    s->gpr[R_RDI] = r.rdi;
    memcpy(&s->gpr[R_R8], &r.r8, 8 * sizeof(uint64_t));
    s->rip = r.rip;
    s->rflags = r.rflags;
}

static void push_regs(KvmCpu *kc, const X86State *s)
{
    struct kvm_regs r = {
        .rax = s->gpr[R_RAX],
        .rcx = s->gpr[R_RCX],
        .rdx = s->gpr[R_RDX],
        .rbx = s->gpr[R_RBX],
        .rsp = s->gpr[R_RSP],
        .rbp = s->gpr[R_RBP],
        .rsi = s->gpr[R_RSI],
        .rdi = s->gpr[R_RDI],
        .rip = s->rip,
        .rflags = s->rflags | 2,
    };

    memcpy(&r.r8, &s->gpr[R_R8], 8 * sizeof(uint64_t));
    STATE_CALL(kc, KVM_SET_REGS, &r);
}

/* ---- segments, control registers ----------------------------------------------------- */

static X86Seg seg_from_kvm(const struct kvm_segment *k)
{
    bool unusable = k->unusable || !k->present;

    return (X86Seg) {
        .sel = k->selector,
        .unusable = unusable,
        .base = k->base,
        .limit = unusable ? 0 : k->limit,
        .attr = unusable
                    ? (uint32_t)k->dpl << SEG_DPL_SHIFT
                    : (uint32_t)k->type << SEG_TYPE_SHIFT | (k->s ? SEG_S : 0) |
                          (uint32_t)k->dpl << SEG_DPL_SHIFT | SEG_P |
                          (k->avl ? SEG_AVL : 0) | (k->l ? SEG_L : 0) |
                          (k->db ? SEG_DB : 0) | (k->g ? SEG_G : 0),
    };
}

static struct kvm_segment seg_to_kvm(const X86Seg *sg)
{
    return (struct kvm_segment) {
        .base = sg->base,
        .limit = sg->limit,
        .selector = sg->sel,
        .type = (sg->attr & SEG_TYPE) >> SEG_TYPE_SHIFT,
        .present = !sg->unusable && (sg->attr & SEG_P),
        .dpl = (sg->attr & SEG_DPL) >> SEG_DPL_SHIFT,
        .db = !!(sg->attr & SEG_DB),
        .s = !!(sg->attr & SEG_S),
        .l = !!(sg->attr & SEG_L),
        .g = !!(sg->attr & SEG_G),
        .avl = !!(sg->attr & SEG_AVL),
        .unusable = sg->unusable || !(sg->attr & SEG_P),
    };
}

/* kvm_sregs and kvm_sregs2 begin alike, up to apic_base. */
typedef union Sregs {
    struct kvm_sregs one;
    struct kvm_sregs2 two;
} Sregs;

G_STATIC_ASSERT(offsetof(struct kvm_sregs, apic_base) ==
                offsetof(struct kvm_sregs2, apic_base));

static bool get_sregs(KvmCpu *kc, Sregs *r)
{
    memset(r, 0, sizeof(*r));
    return kc->kvm->caps.sregs2 ? STATE_CALL(kc, KVM_GET_SREGS2, &r->two)
                                : STATE_CALL(kc, KVM_GET_SREGS, &r->one);
}

static void set_sregs(KvmCpu *kc, Sregs *r)
{
    if (kc->kvm->caps.sregs2) {
        STATE_CALL(kc, KVM_SET_SREGS2, &r->two);
    } else {
        STATE_CALL(kc, KVM_SET_SREGS, &r->one);
    }
}

/* KVM has no call for it, but forgets them when CR4.PGE changes. */
void kvm_drop_translations(KvmCpu *kc)
{
    Sregs r;

    if (get_sregs(kc, &r)) {
        r.one.cr4 ^= CR4_PGE;
        set_sregs(kc, &r);
        r.one.cr4 ^= CR4_PGE;
        set_sregs(kc, &r);
    }
}

static bool uses_pdptes(const X86State *s)
{
    return (s->cr0 & CR0_PG) && (s->cr4 & CR4_PAE) && !(s->efer & EFER_LMA);
}

static void pull_pdptes(KvmCpu *kc, X86State *s, const Sregs *r)
{
    X86Cpu *c = kvm_x86(kc);

    if (!uses_pdptes(s)) {
        return;
    }
    if (kc->kvm->caps.sregs2 &&
        (r->two.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID)) {
        memcpy(s->pdpte, r->two.pdptrs, sizeof(s->pdpte));
        return;
    }
    for (unsigned i = 0; i < 4; i++) { /* as the kernel loads them itself */
        s->pdpte[i] =
            as_load(c->machine->mem, (s->cr3 & 0xffffffe0u) + i * 8, 8);
    }
}

static void pull_sregs(KvmCpu *kc, X86State *s)
{
    Sregs r;

    if (!get_sregs(kc, &r)) {
        return;
    }
    s->seg[S_CS] = seg_from_kvm(&r.one.cs);
    s->seg[S_DS] = seg_from_kvm(&r.one.ds);
    s->seg[S_ES] = seg_from_kvm(&r.one.es);
    s->seg[S_FS] = seg_from_kvm(&r.one.fs);
    s->seg[S_GS] = seg_from_kvm(&r.one.gs);
    s->seg[S_SS] = seg_from_kvm(&r.one.ss);
    s->tr = seg_from_kvm(&r.one.tr);
    s->ldt = seg_from_kvm(&r.one.ldt);
    s->gdt_base = r.one.gdt.base;
    s->gdt_limit = r.one.gdt.limit;
    s->idt_base = r.one.idt.base;
    s->idt_limit = r.one.idt.limit;
    s->cr0 = r.one.cr0;
    s->cr2 = r.one.cr2;
    s->cr3 = r.one.cr3;
    s->cr4 = r.one.cr4;
    s->efer = r.one.efer;
    if (kc->kvm->host.lapic) {
        s->cr8 = r.one.cr8;
        s->apic_base = r.one.apic_base;
    }
    pull_pdptes(kc, s, &r);
}

static void push_sregs(KvmCpu *kc, const X86State *s)
{
    Sregs r;

    if (!get_sregs(kc, &r)) {
        return;
    }
    r.one.cs = seg_to_kvm(&s->seg[S_CS]);
    r.one.ds = seg_to_kvm(&s->seg[S_DS]);
    r.one.es = seg_to_kvm(&s->seg[S_ES]);
    r.one.fs = seg_to_kvm(&s->seg[S_FS]);
    r.one.gs = seg_to_kvm(&s->seg[S_GS]);
    r.one.ss = seg_to_kvm(&s->seg[S_SS]);
    r.one.tr = seg_to_kvm(&s->tr);
    r.one.ldt = seg_to_kvm(&s->ldt);
    r.one.gdt.base = s->gdt_base;
    r.one.gdt.limit = s->gdt_limit;
    r.one.idt.base = s->idt_base;
    r.one.idt.limit = s->idt_limit;
    r.one.cr0 = s->cr0;
    r.one.cr2 = s->cr2;
    r.one.cr3 = s->cr3;
    r.one.cr4 = s->cr4;
    r.one.cr8 = s->cr8;
    r.one.efer = s->efer;
    r.one.apic_base = s->apic_base;
    if (!kc->kvm->caps.sregs2) {
        memset(r.one.interrupt_bitmap, 0, sizeof(r.one.interrupt_bitmap));
    } else {
        r.two.flags = 0;
        if (uses_pdptes(s)) {
            r.two.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
            memcpy(r.two.pdptrs, s->pdpte, sizeof(s->pdpte));
        }
    }
    set_sregs(kc, &r);
}

/* ---- x87, SSE, AVX, PKRU ---------------------------------------------------------------- */

enum { /* of the FXSAVE image. SDM 1, table 10-2 */
       FX_FCW = 0,
       FX_FSW = 2,
       FX_FTW = 4,
       FX_FOP = 6,
       FX_FIP = 8,
       FX_FDP = 16,
       FX_MXCSR = 24,
       FX_MXCSR_MASK = 28,
       FX_ST = 32,
       FX_XMM = 160,
       XS_BV = 512, /* of the XSAVE header */
};

static unsigned fx_top(const X86State *s)
{
    return (s->fsw & FSW_TOP) >> FSW_TOP_SHIFT;
}

static void fx_get(X86State *s, const uint8_t *p)
{
    s->fcw = ld_le16(p + FX_FCW);
    s->fsw = ld_le16(p + FX_FSW);
    s->ftw = p[FX_FTW];
    s->fop = ld_le16(p + FX_FOP) & 0x7ff;
    s->fip = ld_le64(p + FX_FIP);
    s->fdp = ld_le64(p + FX_FDP);
    if (!(s->efer & EFER_LMA)) { /* selectors stand above 32-bit offsets */
        s->fcs = (uint16_t)(s->fip >> 32);
        s->fds = (uint16_t)(s->fdp >> 32);
        s->fip = (uint32_t)s->fip;
        s->fdp = (uint32_t)s->fdp;
    }
    s->mxcsr = ld_le32(p + FX_MXCSR);
    for (unsigned i = 0; i < 8; i++) { /* ST(i), not physical */
        memcpy(s->st[(fx_top(s) + i) & 7], p + FX_ST + 16 * i, 10);
    }
    for (unsigned i = 0; i < 16; i++) {
        memcpy(s->vec[i], p + FX_XMM + 16 * i, 16);
    }
}

static void fx_put(const X86State *s, uint8_t *p)
{
    uint64_t fip = s->fip, fdp = s->fdp;

    if (!(s->efer & EFER_LMA)) {
        fip = (uint32_t)fip | (uint64_t)s->fcs << 32;
        fdp = (uint32_t)fdp | (uint64_t)s->fds << 32;
    }
    st_le16(p + FX_FCW, s->fcw);
    st_le16(p + FX_FSW, s->fsw);
    p[FX_FTW] = s->ftw;
    st_le16(p + FX_FOP, s->fop);
    st_le64(p + FX_FIP, fip);
    st_le64(p + FX_FDP, fdp);
    st_le32(p + FX_MXCSR, s->mxcsr);
    for (unsigned i = 0; i < 8; i++) {
        memcpy(p + FX_ST + 16 * i, s->st[(fx_top(s) + i) & 7], 10);
    }
    for (unsigned i = 0; i < 16; i++) {
        memcpy(p + FX_XMM + 16 * i, s->vec[i], 16);
    }
}

/* Where the host has a component in the standard format. */
static unsigned xsave_offset(unsigned component, unsigned defval)
{
    uint32_t a = 0, b = 0, c = 0, d = 0;

    if (!__get_cpuid_count(0xd, component, &a, &b, &c, &d) || !a) {
        return defval;
    }
    return b;
}

static size_t xsave_size(const KvmCpu *kc)
{
    return MAX(kc->kvm->caps.xsave_size, (int)sizeof(struct kvm_xsave));
}

/* Components that the guest's processor has beyond x87 and SSE. */
static uint64_t xsave_more(const KvmCpu *kc)
{
    return x86_xcr0_mask(&kc->tcg.cpu) & (XCR0_AVX | XCR0_PKRU);
}

static bool get_xsave(KvmCpu *kc)
{
    return kc->kvm->caps.xsave_size ? STATE_CALL(kc, KVM_GET_XSAVE2, kc->xsave)
                                    : STATE_CALL(kc, KVM_GET_XSAVE, kc->xsave);
}

static const struct {
    unsigned component, size, off;
} ext_rows[] = {
    { 5, X86_EXT_OPMASK, XSAVE_OPMASK_OFF },
    { 6, X86_EXT_ZMM_HI, XSAVE_ZMM_HI_OFF },
    { 7, X86_EXT_HI16, XSAVE_HI16_OFF },
};

/* AVX-512, which only XSAVE and XRSTOR touch on our side. */
static void pull_ext(KvmCpu *kc, const uint8_t *area, uint64_t bv)
{
    X86Cpu *c = kvm_x86(kc);
    uint8_t *p = c->ext;

    c->ext_bv = bv & XCR0_EXT;
    for (unsigned i = 0; p && i < G_N_ELEMENTS(ext_rows); i++) {
        unsigned off = xsave_offset(ext_rows[i].component, ext_rows[i].off);

        if (off + ext_rows[i].size <= xsave_size(kc)) {
            memcpy(p, area + off, ext_rows[i].size);
        }
        p += ext_rows[i].size;
    }
}

static uint64_t push_ext(KvmCpu *kc, uint8_t *area)
{
    X86Cpu *c = kvm_x86(kc);
    const uint8_t *p = c->ext;

    if (!p) {
        return 0;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(ext_rows); i++) {
        unsigned off = xsave_offset(ext_rows[i].component, ext_rows[i].off);

        if (off + ext_rows[i].size <= xsave_size(kc)) {
            memcpy(area + off, p, ext_rows[i].size);
        }
        p += ext_rows[i].size;
    }
    return c->ext_bv;
}

static void pull_xsave(KvmCpu *kc, X86State *s)
{
    uint8_t *p = kc->xsave;
    unsigned avx = xsave_offset(2, XSAVE_AVX_OFF);
    unsigned pkru = xsave_offset(9, XSAVE_PKRU_OFF);
    size_t size = xsave_size(kc);
    uint64_t bv;

    if (!get_xsave(kc)) {
        return;
    }
    bv = ld_le64(p + XS_BV);
    fx_get(s, p);
    pull_ext(kc, p, bv);
    for (unsigned i = 0; i < 16; i++) {
        if ((bv & XCR0_AVX) && avx + 256 <= size) {
            memcpy(s->vec[i] + 16, p + avx + 16 * i, 16);
        } else if (xsave_more(kc) & XCR0_AVX) {
            memset(s->vec[i] + 16, 0, 16);
        }
    }
    if (xsave_more(kc) & XCR0_PKRU) {
        s->pkru = (bv & XCR0_PKRU) && pkru + 4 <= size ? ld_le32(p + pkru) : 0;
    }
}

static void push_xsave(KvmCpu *kc, const X86State *s)
{
    uint8_t *p = kc->xsave;
    unsigned avx = xsave_offset(2, XSAVE_AVX_OFF);
    unsigned pkru = xsave_offset(9, XSAVE_PKRU_OFF);
    uint64_t bv = XCR0_X87 | XCR0_SSE;
    size_t size = xsave_size(kc);

    memset(p, 0, size);
    fx_put(s, p);
    if ((xsave_more(kc) & XCR0_AVX) && avx + 256 <= size) {
        bv |= XCR0_AVX;
        for (unsigned i = 0; i < 16; i++) {
            memcpy(p + avx + 16 * i, s->vec[i] + 16, 16);
        }
    }
    if ((xsave_more(kc) & XCR0_PKRU) && pkru + 4 <= size) {
        bv |= XCR0_PKRU;
        st_le32(p + pkru, s->pkru);
    }
    st_le64(p + XS_BV, bv | push_ext(kc, p));
    STATE_CALL(kc, KVM_SET_XSAVE, p);
}

static void pull_fpu(KvmCpu *kc, X86State *s)
{
    struct kvm_fpu f;

    if (kc->kvm->caps.xsave) {
        pull_xsave(kc, s);
        return;
    }
    if (!STATE_CALL(kc, KVM_GET_FPU, &f)) {
        return;
    }
    s->fcw = f.fcw;
    s->fsw = f.fsw;
    s->ftw = f.ftwx;
    s->fop = f.last_opcode;
    s->fip = f.last_ip;
    s->fdp = f.last_dp;
    s->mxcsr = f.mxcsr;
    for (unsigned i = 0; i < 8; i++) {
        memcpy(s->st[(fx_top(s) + i) & 7], f.fpr[i], 10);
    }
    for (unsigned i = 0; i < 16; i++) {
        memcpy(s->vec[i], f.xmm[i], 16);
    }
}

static void push_fpu(KvmCpu *kc, const X86State *s)
{
    struct kvm_fpu f = {
        .fcw = s->fcw,
        .fsw = s->fsw,
        .ftwx = s->ftw,
        .last_opcode = s->fop,
        .last_ip = s->fip,
        .last_dp = s->fdp,
        .mxcsr = s->mxcsr,
    };

    if (kc->kvm->caps.xsave) {
        push_xsave(kc, s);
        return;
    }
    for (unsigned i = 0; i < 8; i++) {
        memcpy(f.fpr[i], s->st[(fx_top(s) + i) & 7], 10);
    }
    for (unsigned i = 0; i < 16; i++) {
        memcpy(f.xmm[i], s->vec[i], 16);
    }
    STATE_CALL(kc, KVM_SET_FPU, &f);
}

/* ---- XCR0 ---------------------------------------------------------------------------------- */

static bool has_xcrs(const KvmCpu *kc)
{
    return kc->kvm->caps.xcrs && cpu_has(&kc->tcg.cpu, FEAT_XSAVE);
}

static void pull_xcrs(KvmCpu *kc, X86State *s)
{
    struct kvm_xcrs x;

    if (!has_xcrs(kc) || !STATE_CALL(kc, KVM_GET_XCRS, &x)) {
        return;
    }
    for (unsigned i = 0; i < x.nr_xcrs && i < KVM_MAX_XCRS; i++) {
        if (x.xcrs[i].xcr == 0) {
            s->xcr0 = x.xcrs[i].value;
        }
    }
}

static void push_xcrs(KvmCpu *kc, const X86State *s)
{
    struct kvm_xcrs x = { .nr_xcrs = 1, .xcrs[0].value = s->xcr0 };

    if (has_xcrs(kc)) {
        STATE_CALL(kc, KVM_SET_XCRS, &x);
    }
}

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

G_STATIC_ASSERT(sizeof(struct kvm_msrs) == 8);

typedef struct MsrList { /* struct kvm_msrs, with room */
    struct {
        uint32_t nmsrs, padding;
    } head;
    struct kvm_msr_entry entry[KVM_MSRS_MAX];
} MsrList;

static uint64_t *msr_field(X86State *s, const StateMsr *row)
{
    return (uint64_t *)((char *)s + row->field);
}

/* Which of the table this processor and this host have: asked one by one. */
void kvm_probe_msrs(KvmCpu *kc)
{
    MsrList list = { .head.nmsrs = 1 };

    kc->n_msrs = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(state_msrs); i++) {
        const StateMsr *row = &state_msrs[i];

        list.entry[0] = (struct kvm_msr_entry) { .index = row->index };
        if ((row->feature == FEAT_NONE ||
             cpu_has(&kc->tcg.cpu, row->feature)) &&
            KVM_CALL(kc->fd, KVM_GET_MSRS, &list) == 1 &&
            KVM_CALL(kc->fd, KVM_SET_MSRS, &list) == 1) {
            kc->msr[kc->n_msrs++] = i;
        }
    }
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

static void pull_msrs(KvmCpu *kc, X86State *s)
{
    MsrList list = { .head.nmsrs = kc->n_msrs };
    int n;

    for (unsigned i = 0; i < kc->n_msrs; i++) {
        list.entry[i].index = state_msrs[kc->msr[i]].index;
    }
    n = KVM_CALL(kc->fd, KVM_GET_MSRS, &list);
    if (n < 0) {
        state_failed(kc, "KVM_GET_MSRS");
        return;
    }
    for (int i = 0; i < n; i++) {
        *msr_field(s, &state_msrs[kc->msr[i]]) = list.entry[i].data;
    }
    if ((unsigned)n < kc->n_msrs) {
        msrs_drop(kc, n);
        pull_msrs(kc, s);
    }
}

/* Fills from @from on; the kernel stops at the first it does not take. */
static void push_msrs(KvmCpu *kc, X86State *s, unsigned from)
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
        state_failed(kc, "KVM_SET_MSRS");
    } else if (from + n < kc->n_msrs) {
        msrs_drop(kc, from + n);
        push_msrs(kc, s, from + n);
    }
}

/* ---- the time-stamp counter -------------------------------------------------------------------- */

static uint64_t tsc_of_clock(X86Cpu *c)
{
    return muldiv64(clock_ns(c->machine->vclock), x86_tsc_hz(c), NS_PER_SEC);
}

void kvm_pull_tsc(KvmCpu *kc)
{
    X86Cpu *c = kvm_x86(kc);
    MsrList list = { .head.nmsrs = 1, .entry[0].index = MSR_TSC };

    if (KVM_CALL(kc->fd, KVM_GET_MSRS, &list) == 1) {
        /* The clock second: what software makes of it is never ahead. */
        kc->tsc_offset = c->s.tsc_offset = list.entry[0].data - tsc_of_clock(c);
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
    X86Cpu *c = kvm_x86(kc);
    MsrList list = { .head.nmsrs = 1, .entry[0].index = MSR_TSC };

    push_tsc_rate(kc);
    if (c->s.tsc_offset == kc->tsc_offset && !kc->tsc_dirty) {
        return;
    }
    list.entry[0].data = tsc_of_clock(c) + c->s.tsc_offset;
    if (KVM_CALL(kc->fd, KVM_SET_MSRS, &list) != 1) {
        warn_report("kvm: this host does not let the TSC be set");
    }
    kc->tsc_offset = c->s.tsc_offset;
    kc->tsc_dirty = false;
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

static void pull_kvmclock(KvmCpu *kc, X86State *s)
{
    MsrList list;

    if (get_kvmclock(kc, &list)) {
        s->pv_wall_clock = list.entry[0].data;
        s->pv_system_time = list.entry[1].data;
    }
}

/* Only what changed: a write makes the kernel write to guest memory. */
static void push_kvmclock(KvmCpu *kc, const X86State *s)
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

/* ---- events -------------------------------------------------------------------------------------- */

static void deliver_events(KvmCpu *kc, const struct kvm_vcpu_events *ev)
{
    X86Cpu *c = kvm_x86(kc);
    bool ok = true;

    if (ev->exception.injected) {
        /* INT3 and INTO have not been executed yet: they will be again. */
        if (ev->exception.nr != EXC_BP && ev->exception.nr != EXC_OF) {
            ok = tcg_deliver(c, ev->exception.nr, INT_EXCEPTION,
                             ev->exception.has_error_code,
                             ev->exception.error_code);
        }
    } else if (ev->nmi.injected) {
        c->s.nmi_masked = true;
        ok = tcg_deliver(c, EXC_NMI, INT_HW, false, 0);
    } else if (ev->interrupt.injected && !ev->interrupt.soft) {
        ok = tcg_deliver(c, ev->interrupt.nr, INT_HW, false, 0);
    }
    if (!ok) {
        machine_request_reset(c->machine, RESET_TRIPLE_FAULT);
    }
}

static void pull_events(KvmCpu *kc, X86State *s, struct kvm_vcpu_events *ev)
{
    memset(ev, 0, sizeof(*ev));
    if (!kc->kvm->caps.events || !STATE_CALL(kc, KVM_GET_VCPU_EVENTS, ev)) {
        return;
    }
    s->irq_shadow = ev->interrupt.shadow & KVM_X86_SHADOW_INT_STI;
    s->ss_shadow = ev->interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS;
    s->nmi_masked = ev->nmi.masked;
    if (ev->nmi.pending) {
        __atomic_fetch_or(&kvm_x86(kc)->pending, CPU_NMI, __ATOMIC_SEQ_CST);
    }
}

static void push_events(KvmCpu *kc, const X86State *s)
{
    struct kvm_vcpu_events ev = {
        .nmi.masked = s->nmi_masked,
        .interrupt.shadow = (s->irq_shadow ? KVM_X86_SHADOW_INT_STI : 0) |
                            (s->ss_shadow ? KVM_X86_SHADOW_INT_MOV_SS : 0),
        .flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW,
    };

    if (kc->kvm->caps.events) {
        STATE_CALL(kc, KVM_SET_VCPU_EVENTS, &ev);
    }
}

void kvm_pull_nmi_masked(KvmCpu *kc)
{
    struct kvm_vcpu_events ev;

    if (kc->kvm->caps.events && STATE_CALL(kc, KVM_GET_VCPU_EVENTS, &ev)) {
        kvm_x86(kc)->s.nmi_masked = ev.nmi.masked;
    }
}

/* ---- debug registers -------------------------------------------------------------------------------- */

static void pull_debugregs(KvmCpu *kc, X86State *s)
{
    struct kvm_debugregs d;

    if (kc->kvm->caps.debugregs && STATE_CALL(kc, KVM_GET_DEBUGREGS, &d)) {
        for (unsigned i = 0; i < 4; i++) {
            s->dr[i] = d.db[i];
        }
        s->dr[6] = d.dr6;
        s->dr[7] = d.dr7;
    }
}

static void push_debugregs(KvmCpu *kc, const X86State *s)
{
    struct kvm_debugregs d = {
        .db = { s->dr[0], s->dr[1], s->dr[2], s->dr[3] },
        .dr6 = s->dr[6],
        .dr7 = s->dr[7],
    };

    if (kc->kvm->caps.debugregs) {
        STATE_CALL(kc, KVM_SET_DEBUGREGS, &d);
    }
}

/* ---- the local APIC, HLT and SIPI in the kernel --------------------------------- */

#define MSR_DEADLINE 0x6e0u

G_STATIC_ASSERT(sizeof(struct kvm_lapic_state) == 1024);

static bool has_deadline(const KvmCpu *kc)
{
    return cpu_has(&kc->tcg.cpu, FEAT_TSC_DEADLINE);
}

static void pull_lapic(KvmCpu *kc)
{
    X86Cpu *c = kvm_x86(kc);
    struct kvm_lapic_state page;
    MsrList list = { .head.nmsrs = 1, .entry[0].index = MSR_DEADLINE };

    if (!kc->kvm->host.lapic || !c->apic_ops || c->apic_changed ||
        !STATE_CALL(kc, KVM_GET_LAPIC, &page)) {
        return;
    }
    if (has_deadline(kc)) {
        KVM_CALL(kc->fd, KVM_GET_MSRS, &list);
    }
    c->apic_ops->put_page(c, (const uint8_t *)page.regs, list.entry[0].data);
}

/* After the mode of the APIC (sregs) and the TSC. */
static void push_lapic(KvmCpu *kc)
{
    X86Cpu *c = kvm_x86(kc);
    struct kvm_lapic_state page;
    MsrList list = { .head.nmsrs = 1, .entry[0].index = MSR_DEADLINE };
    uint64_t deadline;

    if (!kc->kvm->host.lapic || !c->apic_ops || !c->apic_changed) {
        return;
    }
    c->apic_ops->get_page(c, (uint8_t *)page.regs, &deadline);
    list.entry[0].data = deadline;
    c->apic_changed = false;
    STATE_CALL(kc, KVM_SET_LAPIC, &page);
    if (has_deadline(kc)) {
        KVM_CALL(kc->fd, KVM_SET_MSRS, &list);
    }
}

/* First of a pull: the kernel acts on INIT and SIPI here. */
static void pull_mp_state(KvmCpu *kc, X86State *s)
{
    struct kvm_mp_state mp = { 0 };

    if (kc->kvm->host.lapic && STATE_CALL(kc, KVM_GET_MP_STATE, &mp)) {
        s->halted = mp.mp_state == KVM_MP_STATE_HALTED;
        s->mp_state = mp.mp_state == KVM_MP_STATE_UNINITIALIZED ||
                              mp.mp_state == KVM_MP_STATE_INIT_RECEIVED
                          ? MP_WAIT_SIPI
                          : MP_RUNNABLE;
    }
}

static void push_mp_state(KvmCpu *kc, const X86State *s)
{
    struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };

    if (!kc->kvm->host.lapic) {
        return;
    }
    if (s->mp_state == MP_WAIT_SIPI) {
        mp.mp_state = KVM_MP_STATE_INIT_RECEIVED;
    } else if (s->halted) {
        mp.mp_state = KVM_MP_STATE_HALTED;
    }
    STATE_CALL(kc, KVM_SET_MP_STATE, &mp);
}

/* ---- all ----------------------------------------------------------------------------------------------- */

void kvm_pull(X86Cpu *c)
{
    KvmCpu *kc = kvm_cpu(c);
    X86State *s = &c->s;
    struct kvm_vcpu_events ev;

    pull_mp_state(kc, s);
    pull_regs(kc, s);
    pull_sregs(kc, s);
    pull_lapic(kc);
    pull_fpu(kc, s);
    pull_xcrs(kc, s);
    pull_msrs(kc, s);
    pull_kvmclock(kc, s);
    pull_debugregs(kc, s);
    pull_events(kc, s, &ev);
    kvm_pull_tsc(kc);
    c->lazy.op = FLAGS_EXACT;
    c->insn = NULL;
    x86_update_mode(c);
    deliver_events(kc, &ev);
}

/*
 * MSRs before XCR0 and the rest before the general registers, which depend on
 * nothing; EFER is in sregs.
 */
void kvm_push(X86Cpu *c)
{
    KvmCpu *kc = kvm_cpu(c);
    X86State *s = &c->s;

    if (c->apic_ops) {
        s->cr8 = c->apic_ops->get_tpr(c);
    }
    push_sregs(kc, s);
    push_xcrs(kc, s);
    push_fpu(kc, s);
    push_msrs(kc, s, 0);
    push_tsc(kc);
    push_kvmclock(kc, s);
    push_lapic(kc);
    push_debugregs(kc, s);
    push_events(kc, s);
    push_regs(kc, s);
    push_mp_state(kc, s);
    kvm_memory_rewalk(kc->kvm);
    kvm_user_watch(kc);

    /* What the kernel will say at the next exit. */
    kc->run->if_flag = !!(s->rflags & FL_IF);
    kc->run->ready_for_interrupt_injection = !kc->kvm->host.lapic &&
                                             kc->run->if_flag &&
                                             !s->irq_shadow && !s->ss_shadow;
    kc->run->cr8 = s->cr8;
    kc->run->apic_base = s->apic_base;
}
