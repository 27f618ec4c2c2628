/*
 * FXSAVE, XSAVE and their relatives; MXCSR. SDM 1, chapter 13, and SDM 2.
 *
 * An area has a legacy part (FXSAVE's 512 bytes: x87, MXCSR, XMM), a header and
 * the components behind it, at fixed offsets (standard form) or packed
 * (compacted form: XSAVEC, XSAVES). Components here: x87, SSE, AVX, PKRU, and
 * AVX-512's as bytes that another engine left (X86Cpu.ext).
 *
 * All checks and loads come before the first register changes, all probes
 * before the first byte is stored.
 *
 * The INIT optimisation is the architecture's (XSAVEOPT, XSAVEC and XSAVES do
 * not write components in their initial state); the MODIFIED one may be left
 * out by an implementation, and is.
 */
#include "util/osdep.h"
#include "target-x86/cpuid.h"
#include "target-x86/fpu.h"
#include "target-x86/seg.h"
#include "target-x86/sem-vec.h"

enum {
    FX_FCW = 0,
    FX_FSW = 2,
    FX_FTW = 4,
    FX_FOP = 6,
    FX_FIP = 8,
    FX_FCS = 12,
    FX_FDP = 16,
    FX_FDS = 20,
    FX_MXCSR = 24,
    FX_MXCSR_MASK = 28,
    FX_ST = 32,
    FX_XMM = 160,
    FX_END = 416, /* behind it: reserved, then the software's */
    XS_XSTATE_BV = 512,
    XS_XCOMP_BV = 520,
    XS_EXTENDED = 576,
};

#define XCOMP_COMPACT (UINT64_C(1) << 63)

/* XMM and YMM registers that exist in this mode. */
static unsigned vec_count(const X86Cpu *c)
{
    return c->mode.code64 ? 16 : 8;
}

/* ---- MXCSR ---------------------------------------------------------------- */

static void mxcsr_check(X86Cpu *c, uint32_t v)
{
    if (v & ~MXCSR_VALID) {
        x86_raise_err(c, EXC_GP, 0);
    }
}

SEM(LDMXCSR)
{
    uint32_t v = (uint32_t)v_mem(c, in, 4);

    mxcsr_check(c, v);
    c->s.mxcsr = v;
}

SEM(STMXCSR)
{
    mem_st(c, in->seg, op_addr(c, in), c->s.mxcsr, 4);
}

/* ---- the legacy part --------------------------------------------------------- */

static void put16(uint8_t *p, uint16_t v)
{
    memcpy(p, &v, 2);
}

static void put32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, 4);
}

static void put64(uint8_t *p, uint64_t v)
{
    memcpy(p, &v, 8);
}

static uint16_t get16(const uint8_t *p)
{
    uint16_t v;

    memcpy(&v, p, 2);
    return v;
}

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, 4);
    return v;
}

static uint64_t get64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, 8);
    return v;
}

static unsigned st_index(const X86State *s, unsigned i)
{
    return ((s->fsw >> FSW_TOP_SHIFT) + i) & 7;
}

/* Bytes 0-23 and the registers. @wide: 64-bit FIP and FDP, no selectors. */
static void fx_put_x87(const X86Cpu *c, uint8_t *p, bool wide)
{
    const X86State *s = &c->s;

    put16(p + FX_FCW, s->fcw);
    put16(p + FX_FSW, s->fsw);
    put16(p + FX_FTW, s->ftw);
    put16(p + FX_FOP, s->fop);
    if (wide) {
        put64(p + FX_FIP, s->fip);
        put64(p + FX_FDP, s->fdp);
    } else {
        put32(p + FX_FIP, (uint32_t)s->fip);
        put32(p + FX_FCS, s->fcs);
        put32(p + FX_FDP, (uint32_t)s->fdp);
        put32(p + FX_FDS, s->fds);
    }
    for (unsigned i = 0; i < 8; i++) {
        memcpy(p + FX_ST + 16 * i, s->st[st_index(s, i)], 10);
        memset(p + FX_ST + 16 * i + 10, 0, 6);
    }
}

static void fx_get_x87(X86Cpu *c, const uint8_t *p, bool wide)
{
    X86State *s = &c->s;

    s->fcw = (get16(p + FX_FCW) & 0x1f3f) | 0x40;
    s->fsw = (uint16_t)((get16(p + FX_FSW) & ~FSW_ES) | (s->fsw & FSW_ES));
    s->ftw = p[FX_FTW];
    s->fop = get16(p + FX_FOP) & 0x7ff;
    if (wide) {
        s->fip = get64(p + FX_FIP);
        s->fdp = get64(p + FX_FDP);
        s->fcs = 0;
        s->fds = 0;
    } else {
        s->fip = get32(p + FX_FIP);
        s->fcs = get16(p + FX_FCS);
        s->fdp = get32(p + FX_FDP);
        s->fds = get16(p + FX_FDS);
    }
    for (unsigned i = 0; i < 8; i++) {
        memcpy(s->st[st_index(s, i)], p + FX_ST + 16 * i, 10);
    }
    x87_update_es(c);
}

static void fx_put_mxcsr(const X86Cpu *c, uint8_t *p)
{
    put32(p + FX_MXCSR, c->s.mxcsr);
    put32(p + FX_MXCSR_MASK, MXCSR_VALID);
}

static void fx_put_xmm(const X86Cpu *c, uint8_t *p)
{
    for (unsigned i = 0; i < vec_count(c); i++) {
        memcpy(p + FX_XMM + 16 * i, c->s.vec[i], 16);
    }
}

static void fx_get_xmm(X86Cpu *c, const uint8_t *p)
{
    for (unsigned i = 0; i < vec_count(c); i++) {
        memcpy(c->s.vec[i], p + FX_XMM + 16 * i, 16);
    }
}

/* The operand's offset, after the alignment check on its linear address. */
static uint64_t area_addr(X86Cpu *c, const Insn *in, unsigned align, size_t len,
                          bool write)
{
    uint64_t off = op_addr(c, in);

    if (seg_linear(c, in->seg, off, len, write) & (align - 1)) {
        x86_raise_err(c, EXC_GP, 0);
    }
    return off;
}

/* AMD's fast FXSAVE leaves the XMM registers to the 64-bit kernel. */
static bool fx_without_xmm(const X86Cpu *c)
{
    return (c->s.efer & EFER_FFXSR) && c->mode.code64 && c->mode.cpl == 0;
}

SEM(FXSAVE)
{
    uint64_t off = area_addr(c, in, 16, XSAVE_LEGACY_SIZE, true);
    size_t len = FX_XMM + 16 * vec_count(c);
    uint8_t buf[FX_END];

    fx_put_x87(c, buf, in->rex_w);
    fx_put_mxcsr(c, buf);
    fx_put_xmm(c, buf);
    if (fx_without_xmm(c)) {
        len = FX_XMM;
    }
    mem_st_buf(c, in->seg, off, buf, len);
}

SEM(FXRSTOR)
{
    uint64_t off = area_addr(c, in, 16, XSAVE_LEGACY_SIZE, false);
    uint8_t buf[FX_END];

    mem_ld_buf(c, in->seg, off, buf, FX_XMM + 16 * vec_count(c));
    mxcsr_check(c, get32(buf + FX_MXCSR));
    fx_get_x87(c, buf, in->rex_w);
    c->s.mxcsr = get32(buf + FX_MXCSR);
    if (!fx_without_xmm(c)) {
        fx_get_xmm(c, buf);
    }
}

/* ---- components ------------------------------------------------------------------ */

static bool all_zero(const uint8_t *p, size_t len)
{
    return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

static bool x87_is_init(const X86State *s)
{
    return s->fcw == FCW_DEFAULT && s->fsw == 0 && s->ftw == 0 && s->fop == 0 &&
           s->fip == 0 && s->fdp == 0 && s->fcs == 0 && s->fds == 0 &&
           all_zero(s->st[0], sizeof(s->st));
}

/* Is the @half (0 low, 16 high) of all vector registers zero? */
static bool vec_is_zero(const X86Cpu *c, unsigned half)
{
    V any = v_zero();

    for (unsigned i = 0; i < vec_count(c); i++) {
        any = _mm_or_si128(any, v_ld(c->s.vec[i] + half));
    }
    return (v_q0(any) | v_q1(any)) == 0;
}

uint64_t xsave_in_use(const X86Cpu *c)
{
    return (x87_is_init(&c->s) ? 0 : XCR0_X87) |
           (vec_is_zero(c, 0) ? 0 : XCR0_SSE) |
           (vec_is_zero(c, 16) ? 0 : XCR0_AVX) | (c->s.pkru ? XCR0_PKRU : 0) |
           c->ext_bv;
}

/* Where component @n of an area with these components is. */
static unsigned component_off(const X86Cpu *c, unsigned n, bool compact,
                              uint64_t xcomp_bv)
{
    unsigned off = XS_EXTENDED;

    if (!compact) {
        return cpu_xsave_off(c->model, n);
    }
    for (unsigned i = 0; i < n; i++) {
        if (xcomp_bv & xsave_components[i].bit) {
            off += xsave_components[i].size;
        }
    }
    return off;
}

static void component_put(const X86Cpu *c, unsigned n, uint8_t *p)
{
    const XsaveComponent *x = &xsave_components[n];
    uint64_t bit = x->bit;

    if (bit & XCR0_EXT) {
        memcpy(p, c->ext + x->ext, x->size);
    } else if (bit == XCR0_AVX) {
        for (unsigned i = 0; i < 16; i++) {
            memcpy(p + 16 * i, c->s.vec[i] + 16, 16);
        }
    } else {
        put64(p, c->s.pkru);
    }
}

/* @p NULL: the initial state. */
static void component_get(X86Cpu *c, unsigned n, const uint8_t *p)
{
    const XsaveComponent *x = &xsave_components[n];
    uint64_t bit = x->bit;

    if (bit & XCR0_EXT) {
        if (p) {
            memcpy(c->ext + x->ext, p, x->size);
            c->ext_bv |= bit;
        } else {
            memset(c->ext + x->ext, 0, x->size);
            c->ext_bv &= ~bit;
        }
    } else if (bit == XCR0_AVX) {
        for (unsigned i = 0; i < vec_count(c); i++) {
            v_st(c->s.vec[i] + 16, p ? v_ld(p + 16 * i) : v_zero());
        }
    } else {
        uint32_t pkru = p ? get32(p) : 0;

        if (pkru != c->s.pkru) {
            c->s.pkru = pkru;
            tlb_flush(c, true); /* rights are cached with translations */
        }
    }
}

/* ---- XSAVE ------------------------------------------------------------------------ */

static void xsave_checks(X86Cpu *c)
{
    if (!(c->s.cr4 & CR4_OSXSAVE)) {
        x86_raise(c, EXC_UD);
    }
    if (c->s.cr0 & CR0_TS) {
        x86_raise(c, EXC_NM);
    }
}

static uint64_t xsave_mask(const X86Cpu *c)
{
    return (uint32_t)c->s.gpr[R_RAX] | c->s.gpr[R_RDX] << 32;
}

typedef struct XsaveJob {
    uint64_t off;   /* of the area */
    uint64_t rfbm;  /* requested and enabled */
    uint64_t write; /* components whose data are stored */
    bool compact;
} XsaveJob;

static void xsave_data(X86Cpu *c, const Insn *in, const XsaveJob *job)
{
    uint8_t buf[X86_EXT_HI16]; /* the largest piece */

    if (job->write & XCR0_X87) {
        fx_put_x87(c, buf, in->rex_w);
        mem_st_buf(c, in->seg, job->off, buf, FX_MXCSR);
        mem_st_buf(c, in->seg, job->off + FX_ST, buf + FX_ST, FX_XMM - FX_ST);
    }
    /* The standard form stores MXCSR with AVX too, whatever is in use. */
    if (job->compact ? job->write & XCR0_SSE
                     : job->rfbm & (XCR0_SSE | XCR0_AVX)) {
        fx_put_mxcsr(c, buf);
        mem_st_buf(c, in->seg, job->off + FX_MXCSR, buf + FX_MXCSR, 8);
    }
    if (job->write & XCR0_SSE) {
        fx_put_xmm(c, buf);
        mem_st_buf(c, in->seg, job->off + FX_XMM, buf + FX_XMM,
                   16 * vec_count(c));
    }
    for (unsigned i = 0; i < XSAVE_COMPONENTS; i++) {
        const XsaveComponent *x = &xsave_components[i];

        if (job->write & x->bit) {
            bool avx = x->bit == XCR0_AVX;

            component_put(c, i, buf);
            mem_st_buf(c, in->seg,
                       job->off + component_off(c, i, job->compact, job->rfbm),
                       buf, avx ? 16 * vec_count(c) : x->size);
        }
    }
}

/* XSAVE and XSAVEOPT. */
static void xsave_standard(X86Cpu *c, const Insn *in, bool optimised)
{
    XsaveJob job = { .rfbm = xsave_mask(c) & c->s.xcr0 };
    uint64_t bv, used = xsave_in_use(c);
    unsigned size = cpu_xsave_size(c->model, job.rfbm, false);

    xsave_checks(c);
    job.write = optimised ? job.rfbm & used : job.rfbm;
    job.off = area_addr(c, in, 64, size, true);
    mem_probe(c, in->seg, job.off, size, true);
    bv = mem_ld(c, in->seg, job.off + XS_XSTATE_BV, 8);
    xsave_data(c, in, &job);
    mem_st(c, in->seg, job.off + XS_XSTATE_BV,
           (bv & ~job.rfbm) | (used & job.rfbm), 8);
}

/* XSAVEC and XSAVES. */
static void xsave_compact(X86Cpu *c, const Insn *in, uint64_t enabled)
{
    XsaveJob job = { .rfbm = xsave_mask(c) & enabled, .compact = true };
    uint64_t used = xsave_in_use(c);
    unsigned size = cpu_xsave_size(c->model, job.rfbm, true);

    xsave_checks(c);
    if (c->s.mxcsr != MXCSR_DEFAULT) {
        used |= XCR0_SSE;
    }
    job.write = job.rfbm & used;
    job.off = area_addr(c, in, 64, size, true);
    mem_probe(c, in->seg, job.off, size, true);
    xsave_data(c, in, &job);
    mem_st(c, in->seg, job.off + XS_XSTATE_BV, job.write, 8);
    mem_st(c, in->seg, job.off + XS_XCOMP_BV, job.rfbm | XCOMP_COMPACT, 8);
}

SEM(XSAVE)
{
    xsave_standard(c, in, false);
}

SEM(XSAVEOPT)
{
    xsave_standard(c, in, true);
}

SEM(XSAVEC)
{
    xsave_compact(c, in, c->s.xcr0);
}

SEM(XSAVES)
{
    xsave_compact(c, in, c->s.xcr0 | c->s.xss);
}

/* ---- XRSTOR ----------------------------------------------------------------------- */

typedef struct XsaveArea { /* a copy of what is needed of it */
    uint64_t xstate_bv, xcomp_bv;
    bool compact;
    uint8_t legacy[FX_END];
    /* All components, one behind the other. */
    uint8_t ext[XSAVE_AVX_SIZE + X86_EXT_SIZE + XSAVE_PKRU_SIZE];
} XsaveArea;

static bool header_is_good(const X86Cpu *c, const uint8_t *h, uint64_t enabled,
                           bool supervisor)
{
    uint64_t bv = get64(h), comp = get64(h + 8);

    if ((comp & XCOMP_COMPACT) && !cpu_has(c, FEAT_XSAVEC)) {
        return false;
    }
    if (!(comp & XCOMP_COMPACT)) {
        return !supervisor && !(bv & ~c->s.xcr0) && all_zero(h + 8, 16);
    }
    return !(comp & ~XCOMP_COMPACT & ~enabled) && !(bv & ~comp) &&
           !(bv & XCOMP_COMPACT) && all_zero(h + 16, 48);
}

static void xrstor_apply(X86Cpu *c, const Insn *in, const XsaveArea *a,
                         uint64_t rfbm)
{
    uint64_t load = rfbm & a->xstate_bv, init = rfbm & ~a->xstate_bv;
    const uint8_t *ext = a->ext;

    if (load & XCR0_X87) {
        fx_get_x87(c, a->legacy, in->rex_w);
    } else if (init & XCR0_X87) {
        x87_init(c);
        memset(c->s.st, 0, sizeof(c->s.st));
    }
    if (a->compact && (init & XCR0_SSE)) {
        c->s.mxcsr = MXCSR_DEFAULT;
    } else if (a->compact ? load & XCR0_SSE : rfbm & (XCR0_SSE | XCR0_AVX)) {
        c->s.mxcsr = get32(a->legacy + FX_MXCSR);
    }
    if (load & XCR0_SSE) {
        fx_get_xmm(c, a->legacy);
    } else if (init & XCR0_SSE) {
        for (unsigned i = 0; i < vec_count(c); i++) {
            v_st(c->s.vec[i], v_zero());
        }
    }
    for (unsigned i = 0; i < XSAVE_COMPONENTS; i++) {
        const XsaveComponent *x = &xsave_components[i];

        if (rfbm & x->bit) {
            component_get(c, i, load & x->bit ? ext : NULL);
        }
        ext += x->size;
    }
}

static void xrstor(X86Cpu *c, const Insn *in, uint64_t enabled, bool supervisor)
{
    uint64_t off, rfbm = xsave_mask(c) & enabled;
    uint8_t header[XSAVE_HEADER_SIZE], *ext;
    XsaveArea a;

    xsave_checks(c);
    off = area_addr(c, in, 64, XS_EXTENDED, false);
    mem_ld_buf(c, in->seg, off + XS_XSTATE_BV, header, sizeof(header));
    if (!header_is_good(c, header, enabled, supervisor)) {
        x86_raise_err(c, EXC_GP, 0);
    }
    a.xstate_bv = get64(header);
    a.xcomp_bv = get64(header + 8);
    a.compact = a.xcomp_bv & XCOMP_COMPACT;
    mem_ld_buf(c, in->seg, off, a.legacy, FX_END);
    if (a.compact ? rfbm & a.xstate_bv & XCR0_SSE
                  : rfbm & (XCR0_SSE | XCR0_AVX)) {
        mxcsr_check(c, get32(a.legacy + FX_MXCSR));
    }
    ext = a.ext;
    for (unsigned i = 0; i < XSAVE_COMPONENTS; i++) {
        const XsaveComponent *x = &xsave_components[i];

        if (rfbm & a.xstate_bv & x->bit) {
            mem_ld_buf(c, in->seg,
                       off + component_off(c, i, a.compact, a.xcomp_bv), ext,
                       x->size);
        }
        ext += x->size;
    }
    xrstor_apply(c, in, &a, rfbm);
}

SEM(XRSTOR)
{
    xrstor(c, in, c->s.xcr0, false);
}

SEM(XRSTORS)
{
    xrstor(c, in, c->s.xcr0 | c->s.xss, true);
}
