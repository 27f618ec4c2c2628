/*
 * What the vector semantics (sem-mmx.c, sem-sse-*.c, sem-avx*.c, sem-crypto.c)
 * share: registers and memory as SSE values, and the guest's MXCSR around
 * floating point.
 *
 * Everything works on 16-byte lanes: a 256-bit instruction is the same host
 * instruction twice, so there are no dirty upper halves to clear, no AVX2 host
 * is needed for packed integers, and a value is always loaded back in the size
 * in which it was stored (store forwarding). Legacy SSE leaves bits 255:128 of
 * the destination alone, VEX clears or writes them: v_put().
 *
 * MMX operands are computed in xmm registers too: the host's MMX would drag its
 * x87 state along.
 *
 * Floating point: fp_begin() makes sure that the host's MXCSR is the guest's,
 * with all exceptions masked; fp_end() finds what was raised. As long as the
 * guest has the default control bits (nearly always), its value simply stays
 * in the host's register: the only difference to the C library's are sticky
 * flags. Reading MXCSR twice costs 2 ns, writing it 13. All host floating
 * point in between is asm volatile, because the compiler orders nothing else
 * against MXCSR.
 */
#ifndef TARGET_X86_SEM_VEC_H
#define TARGET_X86_SEM_VEC_H

#include <emmintrin.h>
#include "target-x86/operand.h"

#define SEM(NAME) \
    extern InsnFn sem_##NAME; \
    void sem_##NAME(X86Cpu *c, const Insn *in)

typedef __m128i V;
typedef struct VPair {
    V lo, hi; /* hi: bits 255:128, zero for 128-bit forms */
} VPair;

/* d = op(d, s), for flagless host instructions. */
#define V_OP(op, d, s)       asm(#op " %1, %0" : "+x"(d) : "x"(s))
#define V_OPI(op, imm, d, s) asm(#op " %2, %1, %0" : "+x"(d) : "x"(s), "i"(imm))
/* The same where MXCSR takes part. */
#define V_FP(op, d, s) asm volatile(#op " %1, %0" : "+x"(d) : "x"(s))
#define V_FPI(op, imm, d, s) \
    asm volatile(#op " %2, %1, %0" : "+x"(d) : "x"(s), "i"(imm))

/* ---- host values ---------------------------------------------------------- */

static inline V v_ld(const void *p)
{
    return _mm_loadu_si128(p);
}

static inline void v_st(void *p, V v)
{
    _mm_storeu_si128(p, v);
}

static inline V v_zero(void)
{
    return _mm_setzero_si128();
}

static inline V v_64(uint64_t q) /* zero-extended */
{
    return _mm_cvtsi64_si128((long long)q);
}

static inline V v_128(uint64_t lo, uint64_t hi)
{
    return _mm_set_epi64x((long long)hi, (long long)lo);
}

static inline uint64_t v_q0(V v)
{
    return (uint64_t)_mm_cvtsi128_si64(v);
}

static inline uint64_t v_q1(V v)
{
    return (uint64_t)_mm_cvtsi128_si64(_mm_unpackhi_epi64(v, v));
}

/* @a where @mask's bits are 0, @b where they are 1. */
static inline V v_select(V mask, V a, V b)
{
    return _mm_or_si128(_mm_andnot_si128(mask, a), _mm_and_si128(mask, b));
}

/* ---- vector operands -------------------------------------------------------- */

static inline V v_reg(const X86Cpu *c, unsigned r)
{
    return v_ld(c->s.vec[r]);
}

static inline V v_reg_hi(const X86Cpu *c, unsigned r)
{
    return v_ld(c->s.vec[r] + 16);
}

/* Register number of the first source: vvvv, or the destination itself. */
static inline unsigned v_first(const Insn *in)
{
    return in->vex ? in->vvvv : in->reg;
}

/* True: the register-or-memory operand is the destination (stores). */
static inline bool v_to_rm(const Insn *in)
{
    unsigned kind = insn_rows[in->id].op[0].kind;

    return kind != OPK_V && kind != OPK_P && kind != OPK_G;
}

static inline uint64_t v_mem(X86Cpu *c, const Insn *in, unsigned size)
{
    return mem_ld(c, in->seg, op_addr(c, in), size);
}

static inline V v_mem128(X86Cpu *c, const Insn *in)
{
    uint8_t buf[16];

    mem_ld_buf(c, in->seg, op_addr(c, in), buf, 16);
    return v_ld(buf);
}

/* The last source, 128 bits or (@wide) 256. */
static inline VPair v_src_sized(X86Cpu *c, const Insn *in, bool wide)
{
    VPair v = { .hi = v_zero() };
    uint8_t buf[32];
    const uint8_t *p = c->s.vec[in->rm];

    if (in->is_mem) {
        mem_ld_buf(c, in->seg, op_addr(c, in), buf, wide ? 32 : 16);
        p = buf;
    }
    v.lo = v_ld(p);
    if (wide) {
        v.hi = v_ld(p + 16);
    }
    return v;
}

static inline VPair v_src(X86Cpu *c, const Insn *in)
{
    return v_src_sized(c, in, in->vex_l);
}

static inline V v_src128(X86Cpu *c, const Insn *in)
{
    return in->is_mem ? v_mem128(c, in) : v_reg(c, in->rm);
}

/* At least @size bytes in the low end: scalars, halves. Zero above in the
 * memory form only. */
static inline V v_src_low(X86Cpu *c, const Insn *in, unsigned size)
{
    return in->is_mem ? v_64(v_mem(c, in, size)) : v_reg(c, in->rm);
}

static inline VPair v_pair(const X86Cpu *c, const Insn *in, unsigned r)
{
    VPair v = { v_reg(c, r), v_zero() };

    if (in->vex_l) {
        v.hi = v_reg_hi(c, r);
    }
    return v;
}

static inline VPair v_src1(const X86Cpu *c, const Insn *in)
{
    return v_pair(c, in, v_first(in));
}

static inline void v_put_reg(X86Cpu *c, const Insn *in, unsigned r, VPair v)
{
    if (in->vex) {
        v_st(c->s.vec[r] + 16, v.hi);
    }
    v_st(c->s.vec[r], v.lo);
}

static inline void v_put(X86Cpu *c, const Insn *in, VPair v)
{
    v_put_reg(c, in, in->reg, v);
}

static inline void v_put128(X86Cpu *c, const Insn *in, V v)
{
    v_put(c, in, (VPair) { v, v_zero() });
}

static inline void v_store(X86Cpu *c, const Insn *in, VPair v)
{
    uint8_t buf[32];

    v_st(buf, v.lo);
    if (in->vex_l) {
        v_st(buf + 16, v.hi);
    }
    mem_st_buf(c, in->seg, op_addr(c, in), buf, in->vex_l ? 32 : 16);
}

static inline void v_store_low(X86Cpu *c, const Insn *in, V v, unsigned size)
{
    mem_st(c, in->seg, op_addr(c, in), v_q0(v), size);
}

/* ---- MMX operands ----------------------------------------------------------- */

/* Rows with an mm form have it without a prefix, the xmm form with 66. */
static inline bool v_is_mmx(const Insn *in)
{
    return !in->p66 && !in->vex;
}

static inline uint64_t mm_get(const X86Cpu *c, unsigned r)
{
    uint64_t v;

    memcpy(&v, c->s.st[r & 7], 8);
    return v;
}

static inline V mm_src(X86Cpu *c, const Insn *in)
{
    return v_64(in->is_mem ? v_mem(c, in, 8) : mm_get(c, in->rm));
}

static inline V mm_src32(X86Cpu *c, const Insn *in)
{
    return v_64(in->is_mem ? v_mem(c, in, 4) : mm_get(c, in->rm));
}

/* What every MMX instruction but EMMS does to the x87. SDM 1, 9.5.2. */
static inline void mm_enter(X86Cpu *c)
{
    c->s.fsw &= ~0x3800u;
    c->s.ftw = 0xff;
}

static inline void mm_put(X86Cpu *c, unsigned r, uint64_t v)
{
    uint8_t *p = c->s.st[r & 7];

    mm_enter(c);
    memcpy(p, &v, 8);
    p[8] = 0xff;
    p[9] = 0xff;
}

/* ---- MXCSR ------------------------------------------------------------------ */

#define MXCSR_IE      0x1u
#define MXCSR_DE      0x2u
#define MXCSR_ZE      0x4u
#define MXCSR_OE      0x8u
#define MXCSR_UE      0x10u
#define MXCSR_PE      0x20u
#define MXCSR_FLAGS   0x3fu
#define MXCSR_DAZ     0x40u
#define MXCSR_MASKS   0x1f80u /* flag << 7 */
#define MXCSR_UM      0x800u
#define MXCSR_RC      0x6000u
#define MXCSR_FZ      0x8000u
#define MXCSR_DEFAULT 0x1f80u
#define MXCSR_VALID   0xffffu /* MXCSR_MASK of FXSAVE: others are reserved */

/* Result elements, for finding exact tiny results: an unmasked underflow
 * traps on those, a masked one does not even flag them. */
typedef enum FpFormat { FP_NONE, FP_PS, FP_PD, FP_SS, FP_SD, FP_PH } FpFormat;

static inline uint32_t host_mxcsr(X86Cpu *c)
{
    asm volatile("stmxcsr %0" : "=m"(c->host_mxcsr));
    return c->host_mxcsr;
}

static inline void host_mxcsr_set(uint32_t v)
{
    asm volatile("ldmxcsr %0" : : "m"(v));
}

bool fp_begin_slow(X86Cpu *c);
void fp_end_slow(X86Cpu *c, bool special, FpFormat fmt, VPair result);

/* True: the guest's control bits are special, fp_end() wants to know. */
static inline bool fp_begin(X86Cpu *c)
{
    uint32_t g = c->s.mxcsr;

    if (__builtin_expect(
            (g & ~MXCSR_FLAGS) == MXCSR_DEFAULT && host_mxcsr(c) == g, 1)) {
        return false;
    }
    return fp_begin_slow(c);
}

/* Merges the flags; raises #XM (or #UD) if one is unmasked. Call it before
 * @result is committed. */
static inline void fp_end(X86Cpu *c, bool special, FpFormat fmt, VPair result)
{
    if (__builtin_expect(special || host_mxcsr(c) != c->s.mxcsr, 0)) {
        fp_end_slow(c, special, fmt, result);
    }
}

static inline void fp_end128(X86Cpu *c, bool special, FpFormat fmt, V result)
{
    fp_end(c, special, fmt, (VPair) { result, v_zero() });
}

#endif
