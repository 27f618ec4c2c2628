/*
 * SSE and AVX floating point: arithmetic, compares, rounding, dot products, and
 * the MXCSR rules around them. Fused multiply-add is here too, as its rows
 * look like the others. SDM 1, 11.5 (exceptions); SDM 2.
 *
 * The host computes with all exceptions masked. If the guest has unmasked one
 * that comes up, nothing is written and #XM follows. Two details of that:
 *  - invalid, divide-by-zero and denormal are found before the operation; if
 *    one of them traps, overflow, underflow and precision are not reported;
 *  - an unmasked underflow traps on tiny results even if exact, and turns FZ
 *    off.
 * Not modelled: with an unmasked overflow or underflow, PE tells whether the
 * result would have been inexact with an unbounded exponent; here it may be
 * set although it would have been exact.
 */
#include "util/osdep.h"
#include "target-x86/flags.h"
#include "target-x86/sem-vec.h"

/* ---- MXCSR ------------------------------------------------------------------- */

bool fp_begin_slow(X86Cpu *c)
{
    uint32_t g = c->s.mxcsr;
    uint32_t h = (g & MXCSR_VALID & ~MXCSR_FLAGS) | MXCSR_MASKS;

    if ((g & ~MXCSR_FLAGS) == MXCSR_DEFAULT) {
        host_mxcsr_set(g); /* the C library or another guest was here */
        return false;
    }
    if (!(g & MXCSR_UM)) {
        h &= ~MXCSR_FZ;
    }
    host_mxcsr_set(h);
    return true;
}

/* Is one of @n elements of @bits bits at @p denormal? @exp: exponent mask. */
static bool any_tiny(const void *p, unsigned n, unsigned size, uint64_t exp)
{
    uint64_t sign = UINT64_C(1) << (size * 8 - 1);

    for (unsigned i = 0; i < n; i++) {
        uint64_t v = 0;

        memcpy(&v, (const uint8_t *)p + i * size, size);
        v &= ~sign;
        if (v && !(v & exp)) {
            return true;
        }
    }
    return false;
}

static bool result_is_tiny(FpFormat fmt, VPair result)
{
    const uint64_t exp32 = 0x7f800000, exp64 = UINT64_C(0x7ff) << 52;

    switch (fmt) {
    case FP_PS:
        return any_tiny(&result, 8, 4, exp32);
    case FP_PD:
        return any_tiny(&result, 4, 8, exp64);
    case FP_SS:
        return any_tiny(&result, 1, 4, exp32);
    case FP_SD:
        return any_tiny(&result, 1, 8, exp64);
    case FP_PH:
        return any_tiny(&result, 8, 2, 0x7c00);
    case FP_NONE:
        break;
    }
    return false;
}

void fp_end_slow(X86Cpu *c, bool special, FpFormat fmt, VPair result)
{
    uint32_t now = host_mxcsr(c), raised = now & MXCSR_FLAGS, unmasked;
    const uint32_t before = MXCSR_IE | MXCSR_DE | MXCSR_ZE;

    if (!special) {
        c->s.mxcsr = now;
        return;
    }
    host_mxcsr_set(MXCSR_DEFAULT);
    unmasked = MXCSR_FLAGS & ~(c->s.mxcsr >> 7);
    if ((unmasked & MXCSR_UE) && result_is_tiny(fmt, result)) {
        raised |= MXCSR_UE;
    }
    unmasked &= raised;
    if (unmasked & before) {
        raised &= before;
    }
    c->s.mxcsr |= raised;
    if (unmasked) {
        x86_raise(c, c->s.cr4 & CR4_OSXMMEXCPT ? EXC_XM : EXC_UD);
    }
}

/* ---- rows of vec.def ------------------------------------------------------------ */

#define FP_BIN(name, op, fmt) \
    SEM(name) \
    { \
        VPair s = v_src(c, in), d = v_src1(c, in); \
        bool special = fp_begin(c); \
        V_FP(op, d.lo, s.lo); \
        if (in->vex_l) { \
            V_FP(op, d.hi, s.hi); \
        } \
        fp_end(c, special, fmt, d); \
        v_put(c, in, d); \
    }

#define FP_BINS(name, op, fmt, bytes) \
    SEM(name) \
    { \
        V s = v_src_low(c, in, bytes), d = v_reg(c, v_first(in)); \
        bool special = fp_begin(c); \
        V_FP(op, d, s); \
        fp_end128(c, special, fmt, d); \
        v_put128(c, in, d); \
    }

#define FP_UN(name, op, fmt) \
    SEM(name) \
    { \
        VPair s = v_src(c, in), d = { v_zero(), v_zero() }; \
        bool special = fp_begin(c); \
        V_FP(op, d.lo, s.lo); \
        if (in->vex_l) { \
            V_FP(op, d.hi, s.hi); \
        } \
        fp_end(c, special, fmt, d); \
        v_put(c, in, d); \
    }

#define FP_FLAGS(name, op, bytes) \
    SEM(name) \
    { \
        V s = v_src_low(c, in, bytes), d = v_reg(c, in->reg); \
        bool special = fp_begin(c), cf, pf, zf; \
        asm volatile(#op " %4, %3" \
                     : "=@ccc"(cf), "=@ccp"(pf), "=@ccz"(zf) \
                     : "x"(d), "x"(s)); \
        fp_end128(c, special, FP_NONE, d); \
        flags_put(c, (cf ? FL_CF : 0) | (pf ? FL_PF : 0) | (zf ? FL_ZF : 0)); \
    }

#define V_FMA(op, d, v, s) \
    asm volatile(#op " %2, %1, %0" : "+x"(d) : "x"(v), "x"(s))

#define FMA(name, op, fmt, bytes) \
    SEM(name) \
    { \
        VPair s = { v_zero(), v_zero() }, d = v_pair(c, in, in->reg); \
        VPair v = v_pair(c, in, in->vvvv); \
        bool wide = in->vex_l && !bytes; \
        if (bytes) { \
            s.lo = v_src_low(c, in, bytes); \
            d.hi = v_zero(); \
        } else { \
            s = v_src(c, in); \
        } \
        bool special = fp_begin(c); \
        V_FMA(op, d.lo, v.lo, s.lo); \
        if (wide) { \
            V_FMA(op, d.hi, v.hi, s.hi); \
        } \
        fp_end(c, special, fmt, d); \
        v_put(c, in, d); \
    }

#include "target-x86/vec.def"

/* ---- immediates: one case per value ------------------------------------------------ */

#define CASES_4(X, op, n)  X(op, n) X(op, n + 1) X(op, n + 2) X(op, n + 3)
#define CASES_8(X, op, n)  CASES_4(X, op, n) CASES_4(X, op, n + 4)
#define CASES_16(X, op, n) CASES_8(X, op, n) CASES_8(X, op, n + 8)

#define IMM_CASE(op, n) \
    case n: \
        V_FPI(op, n, d, s); \
        break;
#define IMM_CASE_HIGH(op, n) /* bits 7:4; the low ones are the caller's */ \
    case n: \
        V_FPI(op, (n) << 4 | 15, d, s); \
        break;
#define CMP_CASE_VEX(op, n) \
    case n: \
        asm volatile("v" #op " %2, %1, %0, %0" : "+x"(d) : "x"(s), "i"(n)); \
        break;

/* Compares: 8 predicates, 32 with VEX. */
#define FP_CMP(op) \
    static V op##_imm(V d, V s, unsigned n) \
    { \
        switch (n) { \
            CASES_8(IMM_CASE, op, 0) \
            CASES_8(CMP_CASE_VEX, op, 8) \
            CASES_16(CMP_CASE_VEX, op, 16) \
        } \
        return d; \
    }

#define FP_ROUND(op) \
    static V op##_imm(V d, V s, unsigned n) \
    { \
        switch (n & 15) { \
            CASES_16(IMM_CASE, op, 0) \
        } \
        return d; \
    }

FP_CMP(cmpps)
FP_CMP(cmppd)
FP_CMP(cmpss)
FP_CMP(cmpsd)
FP_ROUND(roundps)
FP_ROUND(roundpd)
FP_ROUND(roundss)
FP_ROUND(roundsd)

typedef V ImmFn(V d, V s, unsigned imm);

static inline void imm_packed(X86Cpu *c, const Insn *in, ImmFn *fn, VPair d,
                              unsigned imm)
{
    VPair s = v_src(c, in);
    bool special = fp_begin(c);

    d.lo = fn(d.lo, s.lo, imm);
    if (in->vex_l) {
        d.hi = fn(d.hi, s.hi, imm);
    }
    fp_end(c, special, FP_NONE, d);
    v_put(c, in, d);
}

static inline void imm_scalar(X86Cpu *c, const Insn *in, ImmFn *fn,
                              unsigned bytes, unsigned imm)
{
    V s = v_src_low(c, in, bytes), d = v_reg(c, v_first(in));
    bool special = fp_begin(c);

    d = fn(d, s, imm);
    fp_end128(c, special, FP_NONE, d);
    v_put128(c, in, d);
}

static inline unsigned cmp_predicate(const Insn *in)
{
    return (unsigned)in->imm & (in->vex ? 31 : 7);
}

SEM(CMPPS)
{
    imm_packed(c, in, cmpps_imm, v_src1(c, in), cmp_predicate(in));
}

SEM(CMPPD)
{
    imm_packed(c, in, cmppd_imm, v_src1(c, in), cmp_predicate(in));
}

SEM(CMPSS)
{
    imm_scalar(c, in, cmpss_imm, 4, cmp_predicate(in));
}

SEM(CMPSD_X)
{
    imm_scalar(c, in, cmpsd_imm, 8, cmp_predicate(in));
}

SEM(ROUNDPS)
{
    imm_packed(c, in, roundps_imm, (VPair) { v_zero(), v_zero() },
               (unsigned)in->imm);
}

SEM(ROUNDPD)
{
    imm_packed(c, in, roundpd_imm, (VPair) { v_zero(), v_zero() },
               (unsigned)in->imm);
}

SEM(ROUNDSS)
{
    imm_scalar(c, in, roundss_imm, 4, (unsigned)in->imm);
}

SEM(ROUNDSD)
{
    imm_scalar(c, in, roundsd_imm, 8, (unsigned)in->imm);
}

/* ---- dot products: bits 7:4 choose the factors, 3:0 where the sum goes ---------------- */

static V dpps_imm(V d, V s, unsigned n)
{
    switch (n) {
        CASES_16(IMM_CASE_HIGH, dpps, 0)
    }
    return d;
}

static V dppd_imm(V d, V s, unsigned n)
{
    switch (n) {
        CASES_4(IMM_CASE_HIGH, dppd, 0)
    }
    return d;
}

static inline V dp_mask32(unsigned n)
{
    return _mm_set_epi32(n & 8 ? -1 : 0, n & 4 ? -1 : 0, n & 2 ? -1 : 0,
                         n & 1 ? -1 : 0);
}

static inline V dp_mask64(unsigned n)
{
    return v_128(n & 1 ? UINT64_MAX : 0, n & 2 ? UINT64_MAX : 0);
}

/* With exceptions unmasked, one that a step raises keeps the following steps
 * from raising theirs. */
static bool dp_in_steps(const X86Cpu *c)
{
    return (c->s.mxcsr & MXCSR_MASKS) != MXCSR_MASKS;
}

#define DP_STEP(c, op, fmt, d, s) \
    do { \
        bool special = fp_begin(c); \
        V_FP(op, d.lo, s.lo); \
        V_FP(op, d.hi, s.hi); \
        fp_end(c, special, fmt, d); \
    } while (0)

static void dpps_check(X86Cpu *c, VPair d, VPair s, unsigned factors)
{
    V keep = dp_mask32(factors);

    d = (VPair) { _mm_and_si128(d.lo, keep), _mm_and_si128(d.hi, keep) };
    s = (VPair) { _mm_and_si128(s.lo, keep), _mm_and_si128(s.hi, keep) };
    DP_STEP(c, mulps, FP_PS, d, s);
    DP_STEP(c, haddps, FP_PS, d, d);
    DP_STEP(c, haddps, FP_PS, d, d);
}

static void dppd_check(X86Cpu *c, V d, V s, unsigned factors)
{
    VPair a = { _mm_and_si128(d, dp_mask64(factors)), v_zero() };
    VPair b = { _mm_and_si128(s, dp_mask64(factors)), v_zero() };

    DP_STEP(c, mulpd, FP_PD, a, b);
    DP_STEP(c, haddpd, FP_PD, a, a);
}

SEM(DPPS)
{
    VPair s = v_src(c, in), d = v_src1(c, in);
    unsigned imm = (uint8_t)in->imm;
    bool special;

    if (dp_in_steps(c)) {
        dpps_check(c, d, s, imm >> 4);
    }
    special = fp_begin(c);
    d.lo = dpps_imm(d.lo, s.lo, imm >> 4);
    if (in->vex_l) {
        d.hi = dpps_imm(d.hi, s.hi, imm >> 4);
    }
    fp_end(c, special, FP_NONE, d);
    d.lo = _mm_and_si128(d.lo, dp_mask32(imm));
    d.hi = _mm_and_si128(d.hi, dp_mask32(imm));
    v_put(c, in, d);
}

SEM(DPPD)
{
    V s = v_src128(c, in), d = v_reg(c, v_first(in));
    unsigned imm = (uint8_t)in->imm;
    bool special;

    if (dp_in_steps(c)) {
        dppd_check(c, d, s, imm >> 4);
    }
    special = fp_begin(c);
    d = dppd_imm(d, s, imm >> 4 & 3);
    fp_end128(c, special, FP_NONE, d);
    v_put128(c, in, _mm_and_si128(d, dp_mask64(imm)));
}
