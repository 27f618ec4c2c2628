/*
 * Packed integers: MMX, SSE to SSE4.2, AVX, AVX2. One body per form, one row of
 * vec.def per instruction. Bitwise and data-moving floating-point rows that
 * never look at MXCSR are among them. SDM 2, alphabetical.
 */
#include "util/osdep.h"
#include "target-x86/flags.h"
#include "target-x86/sem-vec.h"

/* dst = op(first, src) in the xmm and ymm forms. */
#define XMM_BINARY(op) \
    do { \
        VPair s = v_src(c, in), d = v_src1(c, in); \
        V_OP(op, d.lo, s.lo); \
        if (in->vex_l) { \
            V_OP(op, d.hi, s.hi); \
        } \
        v_put(c, in, d); \
    } while (0)

#define INT_X(name, op) \
    SEM(name) \
    { \
        XMM_BINARY(op); \
    }

#define INT_MM_FROM(name, op, source) \
    SEM(name) \
    { \
        if (v_is_mmx(in)) { \
            V s = source(c, in), d = v_64(mm_get(c, in->reg)); \
            V_OP(op, d, s); \
            mm_put(c, in->reg, v_q0(d)); \
        } else { \
            XMM_BINARY(op); \
        } \
    }

#define INT_MM(name, op)  INT_MM_FROM(name, op, mm_src)
#define INT_MML(name, op) INT_MM_FROM(name, op, mm_src32)

#define INT_MMC(name, op) \
    SEM(name) \
    { \
        if (v_is_mmx(in)) { \
            V s = mm_src(c, in); \
            V d = _mm_unpacklo_epi64(v_64(mm_get(c, in->reg)), s); \
            V_OP(op, d, d); \
            mm_put(c, in->reg, v_q0(d)); \
        } else { \
            XMM_BINARY(op); \
        } \
    }

#define INT_MMH(name, op, mmx_op) \
    SEM(name) \
    { \
        if (v_is_mmx(in)) { \
            V s = mm_src(c, in), d = v_64(mm_get(c, in->reg)); \
            V_OP(mmx_op, d, s); \
            mm_put(c, in->reg, v_q1(d)); \
        } else { \
            XMM_BINARY(op); \
        } \
    }

#define INT_S(name, op) \
    SEM(name) \
    { \
        V s = v_src_low(c, in, 4), d = v_reg(c, v_first(in)); \
        V_OP(op, d, s); \
        v_put128(c, in, d); \
    }

#define XMM_UNARY(op) \
    do { \
        VPair s = v_src(c, in), d = { v_zero(), v_zero() }; \
        V_OP(op, d.lo, s.lo); \
        if (in->vex_l) { \
            V_OP(op, d.hi, s.hi); \
        } \
        v_put(c, in, d); \
    } while (0)

#define UN_X(name, op) \
    SEM(name) \
    { \
        XMM_UNARY(op); \
    }

#define UN_MM(name, op) \
    SEM(name) \
    { \
        if (v_is_mmx(in)) { \
            V s = mm_src(c, in), d = v_zero(); \
            V_OP(op, d, s); \
            mm_put(c, in->reg, v_q0(d)); \
        } else { \
            XMM_UNARY(op); \
        } \
    }

/* The source of a widening move: @bytes for each lane of the result. */
static inline V ext_src(X86Cpu *c, const Insn *in, unsigned bytes)
{
    if (bytes == 8 && in->vex_l) {
        return v_src128(c, in);
    }
    return v_src_low(c, in, bytes << in->vex_l);
}

#define EXT(name, op, bytes) \
    SEM(name) \
    { \
        V s = ext_src(c, in, bytes); \
        VPair d = { v_zero(), v_zero() }; \
        V_OP(op, d.lo, s); \
        if (in->vex_l) { \
            s = _mm_srli_si128(s, bytes); \
            V_OP(op, d.hi, s); \
        } \
        v_put(c, in, d); \
    }

/* Groups 12 to 14 shift by an immediate, in place or into vvvv. */
static inline bool shift_is_imm(const Insn *in)
{
    return insn_rows[in->id].opcode < 0x80;
}

static inline unsigned shift_from(const Insn *in, bool imm)
{
    return imm ? in->rm : v_first(in);
}

static inline unsigned shift_to(const Insn *in, bool imm)
{
    if (!imm) {
        return in->reg;
    }
    return in->vex ? in->vvvv : in->rm;
}

#define SHIFT(name, op) \
    SEM(name) \
    { \
        bool imm = shift_is_imm(in); \
        unsigned from = shift_from(in, imm), to = shift_to(in, imm); \
        V s = v_64((uint8_t)in->imm); \
        if (v_is_mmx(in)) { \
            if (!imm) { \
                s = mm_src(c, in); \
            } \
            V d = v_64(mm_get(c, from)); \
            V_OP(op, d, s); \
            mm_put(c, to, v_q0(d)); \
            return; \
        } \
        if (!imm) { \
            s = v_src128(c, in); \
        } \
        VPair d = v_pair(c, in, from); \
        V_OP(op, d.lo, s); \
        if (in->vex_l) { \
            V_OP(op, d.hi, s); \
        } \
        v_put_reg(c, in, to, d); \
    }

#include "target-x86/vec.def"

/* ---- whole-register byte shifts ------------------------------------------- */

#define BYTE_SHIFT(op, n) \
    case n: \
        asm(#op " %1, %0" : "+x"(v) : "i"(n)); \
        break;
#define BYTE_SHIFTS(op) \
    BYTE_SHIFT(op, 0) \
    BYTE_SHIFT(op, 1) \
    BYTE_SHIFT(op, 2) \
    BYTE_SHIFT(op, 3) \
    BYTE_SHIFT(op, 4) \
    BYTE_SHIFT(op, 5) \
    BYTE_SHIFT(op, 6) \
    BYTE_SHIFT(op, 7) \
    BYTE_SHIFT(op, 8) \
    BYTE_SHIFT(op, 9) \
    BYTE_SHIFT(op, 10) \
    BYTE_SHIFT(op, 11) \
    BYTE_SHIFT(op, 12) \
    BYTE_SHIFT(op, 13) \
    BYTE_SHIFT(op, 14) \
    BYTE_SHIFT(op, 15)

static V shl_bytes(V v, unsigned n)
{
    switch (n) {
        BYTE_SHIFTS(pslldq)
    default:
        return v_zero();
    }
    return v;
}

static V shr_bytes(V v, unsigned n)
{
    switch (n) {
        BYTE_SHIFTS(psrldq)
    default:
        return v_zero();
    }
    return v;
}

static inline void byte_shift(X86Cpu *c, const Insn *in, V (*fn)(V, unsigned))
{
    VPair d = v_pair(c, in, in->rm);
    unsigned n = (uint8_t)in->imm;

    d.lo = fn(d.lo, n);
    d.hi = fn(d.hi, n);
    v_put_reg(c, in, shift_to(in, true), d);
}

SEM(PSLLDQ)
{
    byte_shift(c, in, shl_bytes);
}

SEM(PSRLDQ)
{
    byte_shift(c, in, shr_bytes);
}

/* Bytes @n to @n + 15 of hi:lo. */
static V align_bytes(V hi, V lo, unsigned n)
{
    if (n < 16) {
        return _mm_or_si128(shr_bytes(lo, n), shl_bytes(hi, 16 - n));
    }
    return shr_bytes(hi, n - 16);
}

SEM(PALIGNR)
{
    unsigned n = (uint8_t)in->imm;

    if (v_is_mmx(in)) {
        V both = _mm_unpacklo_epi64(mm_src(c, in), v_64(mm_get(c, in->reg)));

        mm_put(c, in->reg, v_q0(shr_bytes(both, n)));
        return;
    }
    VPair s = v_src(c, in), d = v_src1(c, in);

    d.lo = align_bytes(d.lo, s.lo, n);
    d.hi = align_bytes(d.hi, s.hi, n);
    v_put(c, in, d);
}

/* ---- the rest that is not one host instruction in all forms ------------------ */

SEM(PSHUFB)
{
    if (v_is_mmx(in)) {
        V s = mm_src(c, in), d = v_64(mm_get(c, in->reg));

        s = _mm_and_si128(s, _mm_set1_epi8((char)0x87)); /* 8 bytes only */
        V_OP(pshufb, d, s);
        mm_put(c, in->reg, v_q0(d));
        return;
    }
    XMM_BINARY(pshufb);
}

#define SAD_CASE(n) \
    case n: \
        V_OPI(mpsadbw, n, d, s); \
        break;

static V sad_blocks(V d, V s, unsigned imm)
{
    switch (imm & 7) {
        SAD_CASE(0)
        SAD_CASE(1)
        SAD_CASE(2)
        SAD_CASE(3)
        SAD_CASE(4)
        SAD_CASE(5)
        SAD_CASE(6)
        SAD_CASE(7)
    }
    return d;
}

SEM(MPSADBW)
{
    VPair s = v_src(c, in), d = v_src1(c, in);

    d.lo = sad_blocks(d.lo, s.lo, (unsigned)in->imm);
    if (in->vex_l) {
        d.hi = sad_blocks(d.hi, s.hi, (unsigned)in->imm >> 3);
    }
    v_put(c, in, d);
}

/* ZF: src & dst is zero; CF: src & ~dst is zero, in the bits of @keep. */
static void test_bits(X86Cpu *c, const Insn *in, uint64_t keep)
{
    VPair s = v_src(c, in), d = v_pair(c, in, in->reg);
    V and = _mm_or_si128(_mm_and_si128(d.lo, s.lo), _mm_and_si128(d.hi, s.hi));
    V andn = _mm_or_si128(_mm_andnot_si128(d.lo, s.lo),
                          _mm_andnot_si128(d.hi, s.hi));
    bool zf = !((v_q0(and) | v_q1(and)) & keep);
    bool cf = !((v_q0(andn) | v_q1(andn)) & keep);

    flags_put(c, (zf ? FL_ZF : 0) | (cf ? FL_CF : 0));
}

SEM(PTEST)
{
    test_bits(c, in, UINT64_MAX);
}

SEM(VTESTPS)
{
    test_bits(c, in, UINT64_C(0x8000000080000000));
}

SEM(VTESTPD)
{
    test_bits(c, in, UINT64_C(0x8000000000000000));
}

SEM(PMOVMSKB)
{
    uint32_t mask;

    if (v_is_mmx(in)) {
        mask = (uint32_t)_mm_movemask_epi8(v_64(mm_get(c, in->rm)));
        mm_enter(c);
    } else {
        mask = (uint32_t)_mm_movemask_epi8(v_reg(c, in->rm));
        if (in->vex_l) {
            mask |= (uint32_t)_mm_movemask_epi8(v_reg_hi(c, in->rm)) << 16;
        }
    }
    gpr_set(c, in->reg, mask, 4);
}

SEM(MOVMSKPS)
{
    V lo = v_reg(c, in->rm);
    uint32_t mask = (uint32_t)_mm_movemask_ps((__m128)lo);

    if (in->vex_l) {
        mask |= (uint32_t)_mm_movemask_ps((__m128)v_reg_hi(c, in->rm)) << 4;
    }
    gpr_set(c, in->reg, mask, 4);
}

SEM(MOVMSKPD)
{
    V lo = v_reg(c, in->rm);
    uint32_t mask = (uint32_t)_mm_movemask_pd((__m128d)lo);

    if (in->vex_l) {
        mask |= (uint32_t)_mm_movemask_pd((__m128d)v_reg_hi(c, in->rm)) << 2;
    }
    gpr_set(c, in->reg, mask, 4);
}
