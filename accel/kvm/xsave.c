/*
 * x87, SSE, AVX, AVX-512, PKRU and XCR0, to and from a vCPU of the kernel.
 */
#include "util/osdep.h"
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

static size_t xsave_size(const KvmCpu *kc)
{
    return MAX(kc->kvm->caps.xsave_size, (int)sizeof(struct kvm_xsave));
}

/* Where component @n of the guest's processor is in the area; NULL: it has it
 * not. */
static uint8_t *component_at(KvmCpu *kc, unsigned n)
{
    const XsaveComponent *x = &xsave_components[n];
    unsigned off = cpu_xsave_off(kc->tcg.cpu.model, n);

    return (x86_xcr0_mask(&kc->tcg.cpu) & x->bit) &&
                   off + x->size <= xsave_size(kc)
               ? (uint8_t *)kc->xsave + off
               : NULL;
}

/* @from NULL: in its initial state. */
static void pull_component(X86Cpu *c, unsigned n, const uint8_t *from)
{
    const XsaveComponent *x = &xsave_components[n];

    if (n == XSAVE_PKRU) {
        c->s.pkru = from ? ld_le32(from) : 0;
    } else if (n != XSAVE_AVX) {
        if (from) {
            memcpy(c->ext + x->ext, from, x->size);
            c->ext_bv |= x->bit;
        } else {
            memset(c->ext + x->ext, 0, x->size);
        }
    }
    for (unsigned i = 0; n == XSAVE_AVX && i < 16; i++) {
        if (from) {
            memcpy(c->s.vec[i] + 16, from + 16 * i, 16);
        } else {
            memset(c->s.vec[i] + 16, 0, 16);
        }
    }
}

/* false: it is in its initial state. */
static bool push_component(const X86Cpu *c, unsigned n, uint8_t *to)
{
    const XsaveComponent *x = &xsave_components[n];

    if (n == XSAVE_PKRU) {
        st_le32(to, c->s.pkru);
        return true;
    }
    for (unsigned i = 0; n == XSAVE_AVX && i < 16; i++) {
        memcpy(to + 16 * i, c->s.vec[i] + 16, 16);
    }
    if (n != XSAVE_AVX) {
        memcpy(to, c->ext + x->ext, x->size);
        return c->ext_bv & x->bit;
    }
    return true;
}

static bool get_xsave(KvmCpu *kc)
{
    return kc->kvm->caps.xsave_size ? STATE_CALL(kc, KVM_GET_XSAVE2, kc->xsave)
                                    : STATE_CALL(kc, KVM_GET_XSAVE, kc->xsave);
}

/*
 * KVM_GET_XSAVE answers on processors without XSAVE, too, with the FXSAVE image
 * alone. KVM_GET_FPU would leave MXCSR out.
 */
void kvm_pull_fpu(KvmCpu *kc, X86State *s)
{
    X86Cpu *c = kvm_x86(kc);
    uint64_t bv;

    if (!get_xsave(kc)) {
        return;
    }
    bv = ld_le64((uint8_t *)kc->xsave + XS_BV);
    fx_get(s, kc->xsave);
    c->ext_bv = 0;
    for (unsigned n = 0; n < XSAVE_COMPONENTS; n++) {
        const uint8_t *at = component_at(kc, n);

        if (at) {
            pull_component(c, n, bv & xsave_components[n].bit ? at : NULL);
        }
    }
}

void kvm_push_fpu(KvmCpu *kc, const X86State *s)
{
    uint64_t bv = XCR0_X87 | XCR0_SSE;

    memset(kc->xsave, 0, xsave_size(kc));
    fx_put(s, kc->xsave);
    for (unsigned n = 0; n < XSAVE_COMPONENTS; n++) {
        uint8_t *at = component_at(kc, n);

        if (at && push_component(kvm_x86(kc), n, at)) {
            bv |= xsave_components[n].bit;
        }
    }
    st_le64((uint8_t *)kc->xsave + XS_BV, bv);
    STATE_CALL(kc, KVM_SET_XSAVE, kc->xsave);
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

    if (has_xcrs(kc) && KVM_CALL(kc->fd, KVM_SET_XCRS, &x) < 0) {
        kvm_state_unfit(kc, "KVM_SET_XCRS");
    }
}
