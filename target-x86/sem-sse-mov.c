/*
 * Moves between vector registers and memory: SSE, AVX, and what MMX shares.
 *
 * Alignment is the engine's business (IA_ALIGN), and so are the hints of
 * non-temporal moves: here they are plain moves.
 */
#include "util/osdep.h"
#include "target-x86/sem-vec.h"

/* Whole registers, both directions. */
static inline void move(X86Cpu *c, const Insn *in)
{
    if (!v_to_rm(in)) {
        v_put(c, in, v_src(c, in));
    } else if (in->is_mem) {
        v_store(c, in, v_pair(c, in, in->reg));
    } else {
        v_put_reg(c, in, in->rm, v_pair(c, in, in->reg));
    }
}

#define MOVE(name) \
    SEM(name) \
    { \
        move(c, in); \
    }

MOVE(MOVAPS)
MOVE(MOVAPD)
MOVE(MOVUPS)
MOVE(MOVUPD)
MOVE(MOVDQA)
MOVE(MOVDQU)
MOVE(LDDQU)
MOVE(MOVNTPS)
MOVE(MOVNTPD)
MOVE(MOVNTDQ)
MOVE(MOVNTDQA)

/* ---- scalars -------------------------------------------------------------------- */

/* Loads clear the rest of the register; register moves keep it (of the first
 * source with VEX). */
static inline void move_scalar(X86Cpu *c, const Insn *in, unsigned size)
{
    bool store = v_to_rm(in);

    if (!in->is_mem) {
        unsigned from = store ? in->reg : in->rm, to = store ? in->rm : in->reg;
        V rest = v_reg(c, in->vex ? in->vvvv : to), v = v_reg(c, from);

        v = size == 4 ? (V)_mm_move_ss((__m128)rest, (__m128)v)
                      : (V)_mm_move_sd((__m128d)rest, (__m128d)v);
        v_put_reg(c, in, to, (VPair) { v, v_zero() });
    } else if (store) {
        v_store_low(c, in, v_reg(c, in->reg), size);
    } else {
        v_put128(c, in, v_64(v_mem(c, in, size)));
    }
}

SEM(MOVSS)
{
    move_scalar(c, in, 4);
}

SEM(MOVSD_X)
{
    move_scalar(c, in, 8);
}

SEM(MOVNTSS) /* SSE4a */
{
    v_store_low(c, in, v_reg(c, in->reg), 4);
}

SEM(MOVNTSD)
{
    v_store_low(c, in, v_reg(c, in->reg), 8);
}

/* ---- halves --------------------------------------------------------------------- */

static inline void move_low(X86Cpu *c, const Insn *in)
{
    if (v_to_rm(in)) {
        v_store_low(c, in, v_reg(c, in->reg), 8);
    } else {
        uint64_t v = v_mem(c, in, 8);

        v_put128(c, in, v_128(v, v_q1(v_reg(c, v_first(in)))));
    }
}

static inline void move_high(X86Cpu *c, const Insn *in)
{
    if (v_to_rm(in)) {
        mem_st(c, in->seg, op_addr(c, in), v_q1(v_reg(c, in->reg)), 8);
    } else {
        uint64_t v = v_mem(c, in, 8);

        v_put128(c, in, v_128(v_q0(v_reg(c, v_first(in))), v));
    }
}

SEM(MOVHLPS)
{
    V s = v_reg(c, in->rm), d = v_reg(c, v_first(in));

    v_put128(c, in, _mm_unpackhi_epi64(s, d));
}

SEM(MOVLHPS)
{
    V s = v_reg(c, in->rm), d = v_reg(c, v_first(in));

    v_put128(c, in, _mm_unpacklo_epi64(d, s));
}

SEM(MOVLPS)
{
    if (in->is_mem) {
        move_low(c, in);
    } else {
        sem_MOVHLPS(c, in);
    }
}

SEM(MOVLPD)
{
    move_low(c, in);
}

SEM(MOVHPS)
{
    if (in->is_mem) {
        move_high(c, in);
    } else {
        sem_MOVLHPS(c, in);
    }
}

SEM(MOVHPD)
{
    move_high(c, in);
}

SEM(MOVDDUP)
{
    VPair s;

    if (in->vex_l) {
        s = v_src(c, in);
        s.hi = _mm_unpacklo_epi64(s.hi, s.hi);
    } else {
        s = (VPair) { v_src_low(c, in, 8), v_zero() };
    }
    s.lo = _mm_unpacklo_epi64(s.lo, s.lo);
    v_put(c, in, s);
}

/* ---- 32 and 64 bits ----------------------------------------------------------------- */

/* MOVD and MOVQ between a GPR or memory and xmm or mm. */
SEM(MOVD)
{
    unsigned size = in->rex_w ? 8 : 4;
    bool mmx = v_is_mmx(in);
    uint64_t v;

    if (!v_to_rm(in)) {
        v = in->is_mem ? v_mem(c, in, size) : gpr_get(c, in->rm & 15, size);
        if (mmx) {
            mm_put(c, in->reg, v);
        } else {
            v_put128(c, in, v_64(v));
        }
        return;
    }
    v = mmx ? mm_get(c, in->reg) : v_q0(v_reg(c, in->reg));
    if (in->is_mem) {
        mem_st(c, in->seg, op_addr(c, in), v, size);
    } else {
        gpr_set(c, in->rm & 15, v, size);
    }
    if (mmx) {
        mm_enter(c);
    }
}

static void movq_mm(X86Cpu *c, const Insn *in, bool store)
{
    if (!store) {
        mm_put(c, in->reg, v_q0(mm_src(c, in)));
    } else if (in->is_mem) {
        mem_st(c, in->seg, op_addr(c, in), mm_get(c, in->reg), 8);
        mm_enter(c);
    } else {
        mm_put(c, in->rm, mm_get(c, in->reg));
    }
}

/* The 64-bit form between registers of one kind, and memory. */
SEM(MOVQ)
{
    unsigned kind = insn_rows[in->id].op[0].kind;

    if (kind == OPK_P || kind == OPK_Q) {
        movq_mm(c, in, kind == OPK_Q);
    } else if (kind == OPK_V) {
        v_put128(c, in, _mm_move_epi64(v_src_low(c, in, 8)));
    } else if (in->is_mem) {
        v_store_low(c, in, v_reg(c, in->reg), 8);
    } else {
        V v = _mm_move_epi64(v_reg(c, in->reg));

        v_put_reg(c, in, in->rm, (VPair) { v, v_zero() });
    }
}

SEM(MOVQ2DQ)
{
    v_st(c->s.vec[in->reg], v_64(mm_get(c, in->rm)));
    mm_enter(c);
}

SEM(MOVDQ2Q)
{
    mm_put(c, in->reg, v_q0(v_reg(c, in->rm)));
}

SEM(MOVNTQ)
{
    mem_st(c, in->seg, op_addr(c, in), mm_get(c, in->reg), 8);
    mm_enter(c);
}

/* ---- byte-masked stores to DS:rDI ------------------------------------------------------ */

static uint64_t maskmov_addr(const X86Cpu *c, const Insn *in, unsigned i)
{
    uint64_t off = c->s.gpr[R_RDI] + i;

    if (in->adsize == 3) {
        return off;
    }
    return in->adsize == 2 ? (uint32_t)off : (uint16_t)off;
}

/* All checks before the first byte; unselected bytes are not touched. */
static void maskmov(X86Cpu *c, const Insn *in, V v, V mask)
{
    unsigned bits = (unsigned)_mm_movemask_epi8(mask);
    uint8_t buf[16];

    v_st(buf, v);
    if (bits == 0xffff) {
        mem_st_buf(c, in->seg, maskmov_addr(c, in, 0), buf, 16);
        return;
    }
    for (unsigned i = 0; i < 16; i++) {
        if (bits >> i & 1) {
            mem_probe(c, in->seg, maskmov_addr(c, in, i), 1, true);
        }
    }
    for (unsigned i = 0; i < 16; i++) {
        if (bits >> i & 1) {
            mem_st(c, in->seg, maskmov_addr(c, in, i), buf[i], 1);
        }
    }
}

SEM(MASKMOVDQU)
{
    maskmov(c, in, v_reg(c, in->reg), v_reg(c, in->rm));
}

SEM(MASKMOVQ)
{
    maskmov(c, in, v_64(mm_get(c, in->reg)), v_64(mm_get(c, in->rm)));
    mm_enter(c);
}

SEM(EMMS)
{
    mm_enter(c);
    c->s.ftw = 0;
}
