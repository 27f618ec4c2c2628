/*
 * Conversions between integers, floats and doubles: SSE, SSE2, AVX, F16C.
 *
 * Those between mm and xmm registers run as the xmm-only instruction of the
 * same arithmetic, with zeros (which raise nothing) in the upper half.
 * Those that keep the element count and width are rows of vec.def.
 */
#include "util/osdep.h"
#include "target-x86/sem-vec.h"

/* ---- wider: half a register becomes a whole one ------------------------------ */

static inline V widen_src(X86Cpu *c, const Insn *in)
{
    return in->vex_l ? v_src128(c, in) : v_src_low(c, in, 8);
}

SEM(CVTPS2PD)
{
    V s = widen_src(c, in), s_hi = _mm_unpackhi_epi64(s, s);
    VPair d = { v_zero(), v_zero() };
    bool special = fp_begin(c);

    V_FP(cvtps2pd, d.lo, s);
    if (in->vex_l) {
        V_FP(cvtps2pd, d.hi, s_hi);
    }
    fp_end(c, special, FP_NONE, d);
    v_put(c, in, d);
}

SEM(VCVTPH2PS)
{
    V s = widen_src(c, in), s_hi = _mm_unpackhi_epi64(s, s);
    VPair d = { v_zero(), v_zero() };
    bool special = fp_begin(c);

    V_FP(vcvtph2ps, d.lo, s);
    if (in->vex_l) {
        V_FP(vcvtph2ps, d.hi, s_hi);
    }
    fp_end(c, special, FP_NONE, d);
    v_put(c, in, d);
}

/* ---- narrower: the result is an xmm register, whatever the source ---------------- */

#define NARROW(name, op, fmt) \
    SEM(name) \
    { \
        VPair s = v_src(c, in); \
        V lo = v_zero(), hi = v_zero(); \
        bool special = fp_begin(c); \
        V_FP(op, lo, s.lo); \
        if (in->vex_l) { \
            V_FP(op, hi, s.hi); \
            lo = _mm_unpacklo_epi64(lo, hi); \
        } \
        fp_end128(c, special, fmt, lo); \
        v_put128(c, in, lo); \
    }

NARROW(CVTPD2PS, cvtpd2ps, FP_PS)
NARROW(CVTPD2DQ, cvtpd2dq, FP_NONE)
NARROW(CVTTPD2DQ, cvttpd2dq, FP_NONE)

#define PH_CASE(n) \
    case n: \
        asm volatile("vcvtps2ph %2, %1, %0" : "=x"(d) : "x"(s), "i"(n)); \
        break;

static V ps_to_ph(V s, unsigned imm)
{
    V d = v_zero();

    switch (imm & 7) {
        PH_CASE(0)
        PH_CASE(1)
        PH_CASE(2)
        PH_CASE(3)
        PH_CASE(4)
        PH_CASE(5)
        PH_CASE(6)
        PH_CASE(7)
    }
    return d;
}

SEM(VCVTPS2PH)
{
    VPair s = v_pair(c, in, in->reg);
    bool special = fp_begin(c);
    V d = ps_to_ph(s.lo, (unsigned)in->imm);

    if (in->vex_l) {
        d = _mm_unpacklo_epi64(d, ps_to_ph(s.hi, (unsigned)in->imm));
    }
    fp_end128(c, special, FP_PH, d);
    if (!in->is_mem) {
        v_put_reg(c, in, in->rm, (VPair) { d, v_zero() });
    } else if (in->vex_l) {
        uint8_t buf[16];

        v_st(buf, d);
        mem_st_buf(c, in->seg, op_addr(c, in), buf, 16);
    } else {
        v_store_low(c, in, d, 8);
    }
}

/* ---- with general registers --------------------------------------------------------- */

#define FROM_GPR(name, op, fmt) \
    SEM(name) \
    { \
        unsigned size = in->rex_w ? 8 : 4; \
        uint64_t s = in->is_mem ? v_mem(c, in, size) : c->s.gpr[in->rm & 15]; \
        V d = v_reg(c, v_first(in)); \
        bool special = fp_begin(c); \
        if (in->rex_w) { \
            asm volatile(#op "q %1, %0" : "+x"(d) : "r"(s)); \
        } else { \
            asm volatile(#op "l %1, %0" : "+x"(d) : "r"((uint32_t)s)); \
        } \
        fp_end128(c, special, fmt, d); \
        v_put128(c, in, d); \
    }

#define TO_GPR(name, op, bytes) \
    SEM(name) \
    { \
        V s = v_src_low(c, in, bytes); \
        uint64_t d; \
        uint32_t d32; \
        bool special = fp_begin(c); \
        if (in->rex_w) { \
            asm volatile(#op " %1, %0" : "=r"(d) : "x"(s)); \
        } else { \
            asm volatile(#op " %1, %0" : "=r"(d32) : "x"(s)); \
            d = d32; \
        } \
        fp_end128(c, special, FP_NONE, s); \
        c->s.gpr[in->reg & 15] = d; \
    }

FROM_GPR(CVTSI2SS, cvtsi2ss, FP_NONE)
FROM_GPR(CVTSI2SD, cvtsi2sd, FP_NONE)
TO_GPR(CVTSS2SI, cvtss2si, 4)
TO_GPR(CVTSD2SI, cvtsd2si, 8)
TO_GPR(CVTTSS2SI, cvttss2si, 4)
TO_GPR(CVTTSD2SI, cvttsd2si, 8)

/* ---- with MMX registers ----------------------------------------------------------------- */

SEM(CVTPI2PS)
{
    V s = mm_src(c, in), d = v_zero();
    bool special = fp_begin(c);

    V_FP(cvtdq2ps, d, s);
    fp_end128(c, special, FP_NONE, d);
    if (!in->is_mem) { /* with a memory operand it is no MMX instruction */
        mm_enter(c);
    }
    d = v_128(v_q0(d), v_q1(v_reg(c, in->reg)));
    v_st(c->s.vec[in->reg], d);
}

SEM(CVTPI2PD) /* exact */
{
    V s = mm_src(c, in), d = v_zero();

    V_OP(cvtdq2pd, d, s);
    if (!in->is_mem) {
        mm_enter(c);
    }
    v_st(c->s.vec[in->reg], d);
}

#define TO_MMX(name, op, load) \
    SEM(name) \
    { \
        V s = load, d = v_zero(); \
        bool special = fp_begin(c); \
        V_FP(op, d, s); \
        fp_end128(c, special, FP_NONE, d); \
        mm_put(c, in->reg, v_q0(d)); \
    }

TO_MMX(CVTPS2PI, cvtps2dq, _mm_move_epi64(v_src_low(c, in, 8)))
TO_MMX(CVTTPS2PI, cvttps2dq, _mm_move_epi64(v_src_low(c, in, 8)))
TO_MMX(CVTPD2PI, cvtpd2dq, v_src128(c, in))
TO_MMX(CVTTPD2PI, cvttpd2dq, v_src128(c, in))
