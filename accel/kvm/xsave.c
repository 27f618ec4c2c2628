/*
 * x87, SSE, AVX, AVX-512, PKRU and XCR0, to and from a vCPU of the kernel.
 */
#include "util/osdep.h"
#include <cpuid.h>
#include "accel/kvm/state.h"
#include "target-x86/cpuid.h"
#include "target-x86/seg.h"
#include "target-x86/fpu.h"
#include "util/bits.h"

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

void kvm_pull_fpu(KvmCpu *kc, X86State *s)
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

void kvm_push_fpu(KvmCpu *kc, const X86State *s)
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

void kvm_pull_xcrs(KvmCpu *kc, X86State *s)
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

void kvm_push_xcrs(KvmCpu *kc, const X86State *s)
{
    struct kvm_xcrs x = { .nr_xcrs = 1, .xcrs[0].value = s->xcr0 };

    if (has_xcrs(kc)) {
        STATE_CALL(kc, KVM_SET_XCRS, &x);
    }
}
