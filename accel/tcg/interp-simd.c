/*
 * Handlers of the common SSE and AVX operations, made from vec.def: between
 * registers, and with a memory operand that the TLB has. Whatever else there
 * is (misalignment, control bits in MXCSR, MMX) goes through the reference
 * function.
 *
 * Floating point stays here while MXCSR has its default control bits: then no
 * exception can be unmasked, and only the sticky flags need care (sem-vec.h).
 */
#include "util/osdep.h"
#include "accel/tcg/interp-impl.h"
#include "target-x86/operand.h"
#include "target-x86/sem-vec.h"

/* ---- going on ------------------------------------------------------------------ */

void interp_check_align(X86Cpu *c, const Insn *op)
{
    if ((insn_rows[op->id].attr & IA_ALIGN) && op->is_mem) {
        uint64_t lin = op_addr(c, op);

        if (!c->mode.code64 || op->seg >= S_FS) {
            lin += c->s.seg[op->seg].base;
        }
        if (lin & (op->vex_l ? 31 : 15)) {
            x86_raise_err(c, EXC_GP, 0);
        }
    }
}

/* The reference function, after the alignment check of the row. */
static G_GNUC_NO_INLINE void simd_slow(X86Cpu *c, const Insn *op)
{
    c->insn = op;
    interp_check_align(c, op);
    insn_rows[op->id].sem(c, op);
    return op_next(c, op + 1);
}

/* MXCSR is the host's, control bits and flags. */
static ALWAYS_INLINE bool simd_fp_ready(X86Cpu *c)
{
    uint32_t g = c->s.mxcsr;

    return likely((g & ~MXCSR_FLAGS) == MXCSR_DEFAULT && host_mxcsr(c) == g);
}

static ALWAYS_INLINE void simd_fp_done(X86Cpu *c)
{
    uint32_t h = host_mxcsr(c);

    if (unlikely(h != c->s.mxcsr)) {
        c->s.mxcsr = h;
    }
}

static ALWAYS_INLINE void simd_put(X86Cpu *c, const Insn *op, V lo, V hi)
{
    v_st(c->s.vec[op->reg] + 16, hi);
    v_st(c->s.vec[op->reg], lo);
}

/*
 * ---- handlers ---------------------------------------------------------------------
 *
 * A handler is put together from three pieces, with c and op in scope:
 *
 *   FROM(bytes, mask)  gives p, the second source: a register, or memory whose
 *                      address has none of the bits of mask
 *   a shape            loads, computes and stores: SSE_BIN, VEX_BIN, SSE_UN ...
 *   BEGIN, END         what stands around floating point; else NO_FP
 *
 * Its name is NAME_FORM, with a v before the form under VEX. Forms are r for
 * FROM_REG, b, bi, g for FROM_B, FROM_BI, FROM_G; FORMS() makes all of them.
 */

#define NO_FP
#define FP_BEGIN \
    if (unlikely(!simd_fp_ready(c))) { \
        return simd_slow(c, op); \
    }
#define FP_END simd_fp_done(c);

/* Where the second source is: a register, or memory (p). */
#define FROM_REG(bytes, mask) const uint8_t *p = c->s.vec[op->rm];
#define FROM_MEM(ea, bytes, mask) \
    uint64_t lin = op_ea(c, op, ea); \
    void *p; \
    if (unlikely((lin & (mask)) || !op_tlb_read(c, lin, bytes, &p))) { \
        return simd_slow(c, op); \
    }
#define FROM_B(bytes, mask)  FROM_MEM(EA_B, bytes, mask)
#define FROM_BI(bytes, mask) FROM_MEM(EA_BI, bytes, mask)
#define FROM_G(bytes, mask)  FROM_MEM(EA_G, bytes, mask)

/* Scalars: from a register all 16 bytes may be loaded, from memory not. */
static ALWAYS_INLINE V ld_scalar(const void *p, unsigned bytes)
{
    uint32_t d;
    uint64_t q;

    if (bytes == 4) {
        memcpy(&d, p, 4);
        return _mm_cvtsi32_si128((int)d);
    }
    memcpy(&q, p, 8);
    return v_64(q);
}

#define HANDLER(name) static void name(X86Cpu *c, const Insn *op)

/* ---- shapes: two sources, one source, one element ---- */

/* SSE: dst = op(dst, src). */
#define SSE_BIN(name, op_, form, FROM, BEGIN, END) \
    HANDLER(name##_##form) \
    { \
        FROM(16, 15) \
        V d = v_ld(c->s.vec[op->reg]), s = v_ld(p); \
        BEGIN \
        V_FP(op_, d, s); \
        END v_st(c->s.vec[op->reg], d); \
        return op_next(c, op + 1); \
    }

/* VEX: dst = op(vvvv, src), one lane or two. */
#define VEX_BIN(name, op_, form, FROM, BEGIN, END) \
    HANDLER(name##_v##form) \
    { \
        FROM(op->vex_l ? 32 : 16, 0) \
        const uint8_t *a = c->s.vec[op->vvvv]; \
        V lo = v_ld(a), hi = v_zero(), s = v_ld(p); \
        BEGIN \
        V_FP(op_, lo, s); \
        if (op->vex_l) { \
            hi = v_ld(a + 16); \
            s = v_ld((const uint8_t *)p + 16); \
            V_FP(op_, hi, s); \
        } \
        END simd_put(c, op, lo, hi); \
        return op_next(c, op + 1); \
    }

/* dst = op(src). */
#define SSE_UN(name, op_, form, FROM, BEGIN, END) \
    HANDLER(name##_##form) \
    { \
        FROM(16, 15) \
        V d = v_zero(), s = v_ld(p); \
        BEGIN \
        V_FP(op_, d, s); \
        END v_st(c->s.vec[op->reg], d); \
        return op_next(c, op + 1); \
    }

#define VEX_UN(name, op_, form, FROM, BEGIN, END) \
    HANDLER(name##_v##form) \
    { \
        FROM(op->vex_l ? 32 : 16, 0) \
        V lo = v_zero(), hi = v_zero(), s = v_ld(p); \
        BEGIN \
        V_FP(op_, lo, s); \
        if (op->vex_l) { \
            s = v_ld((const uint8_t *)p + 16); \
            V_FP(op_, hi, s); \
        } \
        END simd_put(c, op, lo, hi); \
        return op_next(c, op + 1); \
    }

/* One element, the rest from the first source. */
#define SSE_ONE(name, op_, form, FROM, n) \
    HANDLER(name##_##form) \
    { \
        FROM(n, 0) \
        V d = v_ld(c->s.vec[op->reg]), s = ld_scalar(p, n); \
        FP_BEGIN \
        V_FP(op_, d, s); \
        FP_END \
        v_st(c->s.vec[op->reg], d); \
        return op_next(c, op + 1); \
    }

#define VEX_ONE(name, op_, form, FROM, n) \
    HANDLER(name##_v##form) \
    { \
        FROM(n, 0) \
        V d = v_ld(c->s.vec[op->vvvv]), s = ld_scalar(p, n); \
        FP_BEGIN \
        V_FP(op_, d, s); \
        FP_END \
        simd_put(c, op, d, v_zero()); \
        return op_next(c, op + 1); \
    }

/* Shifts by an immediate, in place or into vvvv; by a register. */
#define SHIFT_IMM(name, op_) \
    HANDLER(name##_imm) \
    { \
        V d = v_ld(c->s.vec[op->rm]), s = v_64((uint8_t)op->imm); \
        V_FP(op_, d, s); \
        v_st(c->s.vec[op->rm], d); \
        return op_next(c, op + 1); \
    } \
    HANDLER(name##_vimm) \
    { \
        V lo = v_ld(c->s.vec[op->rm]), hi = v_zero(); \
        V s = v_64((uint8_t)op->imm); \
        V_FP(op_, lo, s); \
        if (op->vex_l) { \
            hi = v_ld(c->s.vec[op->rm] + 16); \
            V_FP(op_, hi, s); \
        } \
        v_st(c->s.vec[op->vvvv] + 16, hi); \
        v_st(c->s.vec[op->vvvv], lo); \
        return op_next(c, op + 1); \
    }

/* ---- a shape in each form. EA_G knows all addresses; moves have a form of their
 * own for indexed ones. */
#define FORMS(X, ...) \
    X(__VA_ARGS__, r, FROM_REG) \
    X(__VA_ARGS__, b, FROM_B) \
    X(__VA_ARGS__, g, FROM_G)
#define MOVE_FORMS(X, ...) \
    FORMS(X, __VA_ARGS__) \
    X(__VA_ARGS__, bi, FROM_BI)

#define INT_FORM(name, op, form, FROM) \
    SSE_BIN(name, op, form, FROM, NO_FP, NO_FP) \
    VEX_BIN(name, op, form, FROM, NO_FP, NO_FP)
#define UN_FORM(name, op, form, FROM) \
    SSE_UN(name, op, form, FROM, NO_FP, NO_FP) \
    VEX_UN(name, op, form, FROM, NO_FP, NO_FP)
#define FP_FORM(name, op, form, FROM) \
    SSE_BIN(name, op, form, FROM, FP_BEGIN, FP_END) \
    VEX_BIN(name, op, form, FROM, FP_BEGIN, FP_END)
#define FP_UN_FORM(name, op, form, FROM) \
    SSE_UN(name, op, form, FROM, FP_BEGIN, FP_END) \
    VEX_UN(name, op, form, FROM, FP_BEGIN, FP_END)
#define FP_ONE_FORM(name, op, bytes, form, FROM) \
    SSE_ONE(name, op, form, FROM, bytes) \
    VEX_ONE(name, op, form, FROM, bytes)

#define INT_MM(name, op)              FORMS(INT_FORM, name, op)
#define INT_MML(name, op)             FORMS(INT_FORM, name, op)
#define INT_MMC(name, op)             FORMS(INT_FORM, name, op)
#define INT_MMH(name, op, mmx_op)     FORMS(INT_FORM, name, op)
#define INT_X(name, op)               FORMS(INT_FORM, name, op)
#define UN_MM(name, op)               FORMS(UN_FORM, name, op)
#define UN_X(name, op)                FORMS(UN_FORM, name, op)
#define FP_BIN(name, op, fmt)         FORMS(FP_FORM, name, op)
#define FP_UN(name, op, fmt)          FORMS(FP_UN_FORM, name, op)
#define FP_BINS(name, op, fmt, bytes) FORMS(FP_ONE_FORM, name, op, bytes)
#define SHIFT(name, op)               SHIFT_IMM(name, op)
#include "target-x86/vec.def"
FORMS(INT_FORM, PSHUFB, pshufb)

/* ---- moves ----------------------------------------------------------------------- */

/* Loads and register moves; @mask: alignment of the SSE form. */
#define LOAD_FORM(name, mask_, form, FROM) \
    HANDLER(name##_##form) \
    { \
        FROM(16, mask_) \
        v_st(c->s.vec[op->reg], v_ld(p)); \
        return op_next(c, op + 1); \
    }

#define VLOAD_FORM(name, mask_, form, FROM) \
    HANDLER(name##_v##form) \
    { \
        FROM(op->vex_l ? 32 : 16, op->vex_l ? 2 * mask_ + !!mask_ : mask_) \
        V lo = v_ld(p), hi = v_zero(); \
        if (op->vex_l) { \
            hi = v_ld((const uint8_t *)p + 16); \
        } \
        simd_put(c, op, lo, hi); \
        return op_next(c, op + 1); \
    }

#define STORE_FORM(name, mask_, form, ea) \
    HANDLER(name##_##form) \
    { \
        uint64_t lin = op_ea(c, op, ea); \
        void *p; \
        if (unlikely((lin & mask_) || !op_tlb_write(c, lin, 16, &p))) { \
            return simd_slow(c, op); \
        } \
        v_st(p, v_ld(c->s.vec[op->reg])); \
        return op_next(c, op + 1); \
    }

#define VSTORE_FORM(name, mask_, form, ea) \
    HANDLER(name##_v##form) \
    { \
        uint64_t lin = op_ea(c, op, ea); \
        void *p; \
        if (unlikely((lin & (op->vex_l ? 2 * mask_ + !!mask_ : mask_)) || \
                     !op_tlb_write(c, lin, op->vex_l ? 32 : 16, &p))) { \
            return simd_slow(c, op); \
        } \
        v_st(p, v_ld(c->s.vec[op->reg])); \
        if (op->vex_l) { \
            v_st((uint8_t *)p + 16, v_ld(c->s.vec[op->reg] + 16)); \
        } \
        return op_next(c, op + 1); \
    }

#define STORE_FORMS(X, ...) \
    X(__VA_ARGS__, sb, EA_B) \
    X(__VA_ARGS__, sbi, EA_BI) \
    X(__VA_ARGS__, sg, EA_G)

MOVE_FORMS(LOAD_FORM, ALIGNED, 15)
MOVE_FORMS(VLOAD_FORM, ALIGNED, 15)
STORE_FORMS(STORE_FORM, ALIGNED, 15)
STORE_FORMS(VSTORE_FORM, ALIGNED, 15)
MOVE_FORMS(LOAD_FORM, UNALIGNED, 0)
MOVE_FORMS(VLOAD_FORM, UNALIGNED, 0)
STORE_FORMS(STORE_FORM, UNALIGNED, 0)
STORE_FORMS(VSTORE_FORM, UNALIGNED, 0)

/* MOVSS, MOVSD, MOVQ, MOVD: loads clear the rest. */
#define SCALAR_LOAD(name, n, form, FROM) \
    HANDLER(name##_##form) \
    { \
        FROM(n, 0) \
        v_st(c->s.vec[op->reg], ld_scalar(p, n)); \
        return op_next(c, op + 1); \
    } \
    HANDLER(name##_v##form) \
    { \
        FROM(n, 0) \
        simd_put(c, op, ld_scalar(p, n), v_zero()); \
        return op_next(c, op + 1); \
    }

#define SCALAR_STORE(name, n, form, ea) \
    HANDLER(name##_##form) \
    { \
        uint64_t lin = op_ea(c, op, ea); \
        void *p; \
        if (unlikely(!op_tlb_write(c, lin, n, &p))) { \
            return simd_slow(c, op); \
        } \
        memcpy(p, c->s.vec[op->reg], n); \
        return op_next(c, op + 1); \
    }

#define MEM_FORMS(X, ...) \
    X(__VA_ARGS__, b, FROM_B) \
    X(__VA_ARGS__, bi, FROM_BI) \
    X(__VA_ARGS__, g, FROM_G)

MEM_FORMS(SCALAR_LOAD, SCALAR4, 4)
MEM_FORMS(SCALAR_LOAD, SCALAR8, 8)
STORE_FORMS(SCALAR_STORE, SCALAR4, 4)
STORE_FORMS(SCALAR_STORE, SCALAR8, 8)

/* Register forms of MOVQ and PMOVMSKB. */
HANDLER(movq_r)
{
    v_st(c->s.vec[op->reg], _mm_move_epi64(v_ld(c->s.vec[op->rm])));
    return op_next(c, op + 1);
}

HANDLER(movq_vr)
{
    simd_put(c, op, _mm_move_epi64(v_ld(c->s.vec[op->rm])), v_zero());
    return op_next(c, op + 1);
}

HANDLER(pmovmskb_r)
{
    c->s.gpr[op->reg] = (uint32_t)_mm_movemask_epi8(v_ld(c->s.vec[op->rm]));
    return op_next(c, op + 1);
}

HANDLER(pmovmskb_vr)
{
    const uint8_t *p = c->s.vec[op->rm];
    uint32_t mask = (uint32_t)_mm_movemask_epi8(v_ld(p));

    if (op->vex_l) {
        mask |= (uint32_t)_mm_movemask_epi8(v_ld(p + 16)) << 16;
    }
    c->s.gpr[op->reg] = mask;
    return op_next(c, op + 1);
}

/* ---- the table ----------------------------------------------------------------------- */

#define SSE_FORMS(name) \
    .r = name##_r, .m = { name##_b, name##_g, name##_g }, .vr = name##_vr, \
    .vm = { name##_vb, name##_vg, name##_vg }
#define WHOLE_LOADS(name) \
    .r = name##_r, .m = { name##_b, name##_bi, name##_g }, .vr = name##_vr, \
    .vm = { name##_vb, name##_vbi, name##_vg }
#define WHOLE_STORES(name) \
    .s = { name##_sb, name##_sbi, name##_sg }, \
    .vs = { name##_vsb, name##_vsbi, name##_vsg }
#define SCALAR_FORMS(name) \
    .m = { name##_b, name##_bi, name##_g }, \
    .vm = { name##_vb, name##_vbi, name##_vg }, \
    .s = { name##_sb, name##_sbi, name##_sg }, \
    .vs = { name##_sb, name##_sbi, name##_sg }

#define INT_MM(name, op)              { sem_##name, .pure = true, SSE_FORMS(name) },
#define INT_MML(name, op)             INT_MM(name, op)
#define INT_MMC(name, op)             INT_MM(name, op)
#define INT_MMH(name, op, mmx_op)     INT_MM(name, op)
#define INT_X(name, op)               INT_MM(name, op)
#define UN_MM(name, op)               INT_MM(name, op)
#define UN_X(name, op)                INT_MM(name, op)
#define FP_BIN(name, op, fmt)         { sem_##name, SSE_FORMS(name) },
#define FP_UN(name, op, fmt)          { sem_##name, SSE_FORMS(name) },
#define FP_BINS(name, op, fmt, bytes) { sem_##name, SSE_FORMS(name) },
#define SHIFT(name, op) \
    { sem_##name, .pure = true, .imm = name##_imm, .vimm = name##_vimm },

const SimdOps interp_simd[] = {
#include "target-x86/vec.def"
    { sem_PSHUFB, .pure = true, SSE_FORMS(PSHUFB) },
    { sem_MOVAPS, .pure = true, WHOLE_LOADS(ALIGNED), WHOLE_STORES(ALIGNED) },
    { sem_MOVAPD, .pure = true, WHOLE_LOADS(ALIGNED), WHOLE_STORES(ALIGNED) },
    { sem_MOVDQA, .pure = true, WHOLE_LOADS(ALIGNED), WHOLE_STORES(ALIGNED) },
    { sem_MOVNTPS, WHOLE_STORES(ALIGNED) },
    { sem_MOVNTPD, WHOLE_STORES(ALIGNED) },
    { sem_MOVNTDQ, WHOLE_STORES(ALIGNED) },
    { sem_MOVUPS, .pure = true, WHOLE_LOADS(UNALIGNED),
      WHOLE_STORES(UNALIGNED) },
    { sem_MOVUPD, .pure = true, WHOLE_LOADS(UNALIGNED),
      WHOLE_STORES(UNALIGNED) },
    { sem_MOVDQU, .pure = true, WHOLE_LOADS(UNALIGNED),
      WHOLE_STORES(UNALIGNED) },
    { sem_LDDQU, WHOLE_LOADS(UNALIGNED) },
    { sem_MOVSS, SCALAR_FORMS(SCALAR4) },
    { sem_MOVSD_X, SCALAR_FORMS(SCALAR8) },
    { sem_MOVQ, .pure = true, .r = movq_r, .vr = movq_vr,
      SCALAR_FORMS(SCALAR8) },
    { sem_PMOVMSKB, .pure = true, .r = pmovmskb_r, .vr = pmovmskb_vr },
};
const unsigned interp_simd_count = G_N_ELEMENTS(interp_simd);
