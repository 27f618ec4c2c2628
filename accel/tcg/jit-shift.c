/* Templates of shifts and rotates, and bit scans. See jit-gen.h. */
#include "util/osdep.h"
#include "accel/tcg/jit-gen.h"
#include "target-x86/operand.h"

#if defined(__x86_64__)

static const uint8_t shift_digit[] = {
    [UN_SHL] = 4, [UN_SHR] = 5, [UN_SAR] = 7, [UN_ROL] = 0, [UN_ROR] = 1,
};
static const uint8_t shift_kind[] = {
    [UN_SHL] = FLAGS_SHL,
    [UN_SHR] = FLAGS_SHR,
    [UN_SAR] = FLAGS_SAR,
};

static void gen_shift_by(Gen *g, unsigned log2, unsigned digit, unsigned d,
                         unsigned n)
{
    if (n) {
        asm_rr(&g->a, log2, 0xc1, digit, d);
        asm_8(&g->a, n);
    }
}

unsigned gen_shift_count(const OpInfo *in, const Insn *op)
{
    return insn_rows[op->id].op[1].kind == OPK_ONE
               ? 1
               : op->imm & (in->log2 == 3 ? 63 : 31);
}

/* T1 = @d, for what the last bit is shifted out of: 32 bits or 64. */
static void gen_shift_src(Gen *g, const OpInfo *in, unsigned d)
{
    bool sar = in->arg == UN_SAR;

    asm_mov_rr(&g->a, T1, d);
    if (in->log2 == 0) { /* eight bits may be shifted out altogether */
        asm_rr(&g->a, 2, ASM_0F | ASM_BYTE_RM | (sar ? 0xbe : 0xb6), T1, T1);
    } else if (in->log2 == 1) {
        asm_rr(&g->a, 2, ASM_0F | (sar ? 0xbf : 0xb7), T1, T1);
    }
}

static void gen_shift_imm(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned digit = shift_digit[in->arg], n = gen_shift_count(in, op);
    unsigned d = gen_use(g, in->r1, T0);

    if (gen_dead(g)) {
        gen_shift_by(g, in->log2, digit, d, n);
        gen_put(g, in->r1, d);
        gen_forget(g);
        g->hf = HF_NONE;
        return;
    }
    gen_shift_src(g, in, d);
    gen_shift_by(g, in->log2 == 3 ? 3 : 2, digit, T1, n - 1);
    asm_rm(&g->a, 3, 0x89, T1, jit_field(LAZY_SRC));
    gen_shift_by(g, in->log2, digit, d, n);
    gen_put(g, in->r1, d);
    gen_set_pend(g, PEND_RES, shift_kind[in->arg], in->log2, in->r1);
    g->hf = HF_ALL;
}

/* CF follows from the result, the other flags stay: both are noted. Those of an
 * earlier rotation are lost. */
static void gen_rotate_imm(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned n = gen_shift_count(in, op), d;

    g->pend.rot = 0;
    gen_touch(g, in->r1);
    d = gen_use(g, in->r1, T0);
    gen_shift_by(g, in->log2, shift_digit[in->arg], d, n);
    gen_put(g, in->r1, d);
    if (gen_dead(g)) {
        gen_forget(g);
        g->hf = HF_NONE;
        return;
    }
    g->pend.rot = ROT_SET | in->log2 | (in->arg == UN_ROL ? ROT_LEFT : 0) |
                  (n == 1 ? ROT_ONE : 0);
    g->pend.rot_reg = in->r1;
    g->hf = g->hf == HF_NONE ? HF_NONE : HF_ALL;
}

/* By CL: nothing happens to the flags if that is 0. */
static void gen_shift_cl(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned digit = shift_digit[in->arg], mask = in->log2 == 3 ? 63 : 31, d;
    bool dead = gen_dead(g);
    Asm *a = &g->a;
    uint8_t *none;

    if (!dead) {
        gen_flush_pend(g);
    }
    d = gen_use(g, in->r1, T0);
    if (!dead) {
        asm_mov_rr(a, T2, HOST_RCX);
        gen_shift_src(g, in, d);
    }
    asm_rr(a, in->log2, 0xd3, digit, d);
    gen_put(g, in->r1, d);
    gen_forget(g);
    g->hf = HF_NONE;
    if (dead) {
        return;
    }
    asm_rr(a, 2, 0xf7, 0, T2); /* TEST */
    asm_imm(a, 2, mask);
    none = asm_jcc(a, 4);
    asm_rr(a, 3, 0x87, HOST_RCX, T2); /* the count, for one bit less */
    asm_rm(a, 2, 0x8d, HOST_RCX, asm_at(HOST_RCX, -1));
    asm_rr(a, in->log2 == 3 ? 3 : 2, 0xd3, digit, T1);
    asm_mov_rr(a, HOST_RCX, T2);
    asm_rm(a, 3, 0x89, T1, jit_field(LAZY_SRC));
    asm_rm(a, 3, 0x89, d, jit_field(LAZY_RES));
    gen_store_op(g, shift_kind[in->arg], in->log2);
    asm_land(a, none);
    g->guess = 0;
}

void gen_shift(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];

    if (!in->imm) {
        gen_shift_cl(g, op);
    } else if (in->arg >= UN_ROL) {
        gen_rotate_imm(g, op);
    } else {
        gen_shift_imm(g, op);
    }
}

/* ---- two registers --------------------------------------------------------------- */

void gen_shift2(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned n = op->imm & (in->log2 == 3 ? 63 : 31);
    unsigned opcode = in->arg == UN_SHL ? 0xa4 : 0xac;
    unsigned d = gen_use(g, in->r1, T0), s = gen_use(g, in->r2, T2);
    bool dead = gen_dead(g);

    if (!dead) {
        asm_mov_rr(&g->a, T1, d);
        gen_shift_by(g, in->log2, shift_digit[in->arg], T1, n - 1);
        asm_rm(&g->a, 3, 0x89, T1, jit_field(LAZY_SRC));
    }
    asm_rr(&g->a, in->log2, ASM_0F | ASM_FIXED | opcode | !in->imm, s, d);
    if (in->imm) {
        asm_8(&g->a, n);
    }
    gen_put(g, in->r1, d);
    if (dead) {
        gen_forget(g);
        g->hf = HF_NONE;
        return;
    }
    gen_set_pend(g, PEND_RES, shift_kind[in->arg], in->log2, in->r1);
    g->hf = HF_ALL;
}

/* ---- bit scans ---------------------------------------------------------------------- */

void gen_scan(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned s = T0, d;

    if (in->mem >= 0) {
        gen_operand(g, op, false, true);
        gen_load(g, in->log2, T0, T0);
    } else {
        s = gen_use(g, in->r2, T0);
    }
    d = gen_use(g, in->r1, T1);
    asm_rr(&g->a, in->log2,
           ASM_0F | ASM_FIXED | (in->arg & SCAN_F3 ? ASM_F3 : 0) | 0x80 |
               (in->arg & (SCAN_F3 - 1)),
           d, s);
    gen_put(g, in->r1, d);
    gen_forget(g);
    g->hf = HF_NONE;
    if (!gen_dead(g)) {
        gen_store_exact(g);
    }
}

#endif
