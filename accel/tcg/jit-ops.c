/* Templates: what an operation becomes. See jit-gen.h. */
#include "util/osdep.h"
#include "accel/tcg/jit-gen.h"
#include "target-x86/operand.h"

#if defined(__x86_64__)

/* ---- ALU ------------------------------------------------------------------------------------- */

static const uint8_t alu_kind[] = {
    [ALU_ADD] = FLAGS_ADD,   [ALU_OR] = FLAGS_LOGIC,  [ALU_ADC] = FLAGS_ADC,
    [ALU_SBB] = FLAGS_SBB,   [ALU_AND] = FLAGS_LOGIC, [ALU_SUB] = FLAGS_SUB,
    [ALU_XOR] = FLAGS_LOGIC, [ALU_CMP] = FLAGS_SUB,   [ALU_TEST] = FLAGS_LOGIC,
};

/* CMP, TEST between registers: nothing yet. */
static void gen_compare(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    bool cmp = in->arg == ALU_CMP;

    if (!cmp && in->r1 == in->r2) {
        gen_set_pend(g, PEND_RES, FLAGS_LOGIC, in->log2, in->r1);
    } else {
        gen_set_pend(g, cmp ? PEND_CMP : PEND_TEST, alu_kind[in->arg], in->log2,
                     in->r1);
        g->pend.src = in->imm ? SRC_IMM : SRC_REG;
        g->pend.imm = op->imm;
        g->pend.b = in->r2;
    }
    g->hf = HF_NONE;
}

static void gen_alu_r(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    bool logic = alu_kind[in->arg] == FLAGS_LOGIC, stored = false;
    unsigned d;

    d = gen_use(g, in->r1, T0);
    if (!in->imm && in->r1 == in->r2 && !logic && !gen_dead(g)) {
        asm_rm(&g->a, 3, 0x89, d, jit_field(LAZY_SRC));
        stored = true;
    }
    if (in->imm) {
        asm_alu_ri(&g->a, in->log2, in->arg, d, op->imm);
    } else if (jit_host[in->r2] != HOST_NONE) {
        asm_rr(&g->a, in->log2, in->arg << 3 | 3, d, jit_host[in->r2]);
    } else if (in->r1 == in->r2) {
        asm_rr(&g->a, in->log2, in->arg << 3 | 3, d, d);
    } else {
        asm_rm(&g->a, in->log2, in->arg << 3 | 3, d, gen_slot(in->r2));
    }
    gen_put(g, in->r1, d);
    gen_set_pend(g, PEND_RES, alu_kind[in->arg], in->log2, in->r1);
    if (!stored && !logic) {
        g->pend.src = in->imm ? SRC_IMM : SRC_REG;
        g->pend.imm = op->imm;
        g->pend.b = in->r2;
    }
    g->hf = HF_ALL;
}

/* r1 op= [m] */
static void gen_alu_rm(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned what = in->arg, d;
    bool logic = alu_kind[what] == FLAGS_LOGIC;

    gen_operand(g, op, false, true);
    if (what == ALU_CMP || what == ALU_TEST) {
        gen_load(g, in->log2, T0, T0);
        if (what == ALU_CMP) {
            gen_get(g, T2, in->r1);
            asm_rm(&g->a, 3, 0x89, T0, jit_field(LAZY_SRC));
            asm_rr(&g->a, in->log2, 0x2b, T2, T0);
            gen_store_res(g, FLAGS_SUB, T2);
        } else {
            d = gen_use(g, in->r1, T1);
            asm_rr(&g->a, in->log2, 0x23, T0, d);
            gen_store_res(g, FLAGS_LOGIC, T0);
        }
        return;
    }
    d = gen_use(g, in->r1, T1);
    if (logic || gen_dead(g)) {
        asm_rm(&g->a, in->log2, what << 3 | 3, d, asm_at(T0, 0));
        gen_put(g, in->r1, d);
        if (logic) {
            gen_set_pend(g, PEND_RES, FLAGS_LOGIC, in->log2, in->r1);
        } else {
            gen_forget(g);
        }
        g->hf = HF_ALL;
        return;
    }
    gen_load(g, in->log2, T0, T0);
    asm_rr(&g->a, in->log2, what << 3 | 3, d, T0);
    gen_put(g, in->r1, d);
    /* The slow path has stored the same. */
    asm_rm(&g->a, 3, 0x89, T0, jit_field(LAZY_SRC));
    gen_set_pend(g, PEND_RES, alu_kind[what], in->log2, in->r1);
    g->hf = HF_ALL;
}

/* The second operand of [m] op b: what of host register @to. Uses T1. */
static void gen_alu_b(Gen *g, const Insn *op, unsigned what, unsigned to)
{
    const OpInfo *in = &g->info[g->i];

    if (in->imm) {
        asm_alu_ri(&g->a, in->log2, what, to, op->imm);
    } else {
        asm_rr(&g->a, in->log2, what << 3 | 3, to, gen_use(g, in->r2, T1));
    }
}

static void gen_store_src(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];

    if (in->imm) {
        gen_store_src_imm(g, op->imm);
    } else {
        asm_rm(&g->a, 3, 0x89, gen_use(g, in->r2, T1), jit_field(LAZY_SRC));
    }
}

/* [m] op= r2 or imm */
static void gen_alu_m(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned what = in->arg;
    bool writes = what != ALU_CMP && what != ALU_TEST;

    gen_operand(g, op, writes, true);
    if (writes && gen_dead(g)) {
        if (in->imm) {
            asm_alu_mi(&g->a, in->log2, what, asm_at(T0, 0), op->imm);
        } else {
            asm_rm(&g->a, in->log2, what << 3 | 1, gen_use(g, in->r2, T1),
                   asm_at(T0, 0));
        }
        gen_forget(g);
        g->hf = HF_ALL;
        return;
    }
    gen_load(g, in->log2, T2, T0);
    gen_alu_b(g, op,
              what == ALU_TEST  ? ALU_AND
              : what == ALU_CMP ? ALU_SUB
                                : what,
              T2);
    if (writes) {
        asm_rm(&g->a, in->log2, 0x89, T2, asm_at(T0, 0));
    }
    if (alu_kind[what] != FLAGS_LOGIC) {
        gen_store_src(g, op);
    }
    gen_store_res(g, alu_kind[what], T2);
}

/* ---- with carry ---------------------------------------------------------------------------- */

/* jit_carry = CF. Where the host's flags are the guest's, they stay so. */
static void gen_save_carry(Gen *g)
{
    AsmMem to = jit_field(JIT_OFF(jit_carry));
    const Pend *p = &g->pend;

    if (p->rot && g->hf != HF_ALL) {
        gen_flush_pend(g);
    }
    if (g->hf != HF_ALL && gen_carry_stored(p)) {
        asm_rm(&g->a, 2, 0x8b, T2, jit_field(LAZY_SRC));
        asm_alu_ri(&g->a, 2, ALU_AND, T2, 1);
        asm_rm(&g->a, 2, 0x89, T2, to);
        g->hf = HF_NONE;
        return;
    }
    if (g->hf == HF_ALL || p->form == PEND_CMP) {
        gen_cond(g, 2);
        asm_rm(&g->a, 0, ASM_0F | ASM_FIXED | 0x92, 0, to);
        return;
    }
    if (p->form != PEND_NONE && p->kind == FLAGS_LOGIC) {
        asm_rm(&g->a, 0, 0xc6, 0, to);
        asm_8(&g->a, 0);
        return;
    }
    gen_flush_pend(g);
    asm_call_to(&g->a, g->j->th.carry);
    asm_rm(&g->a, 2, 0x89, T0, to);
    g->hf = HF_NONE;
}

/* The host's CF from there. */
static void gen_take_carry(Gen *g)
{
    if (g->hf != HF_ALL) {
        asm_rm(&g->a, 2, ASM_0F | ASM_FIXED | 0xba, 4,
               jit_field(JIT_OFF(jit_carry)));
        asm_8(&g->a, 0); /* BT */
    }
}

/* The result is in @host; FLAGS_ADC or ADD, SBB or SUB by the carry. */
static void gen_store_carry_res(Gen *g, const OpInfo *in, unsigned host)
{
    Asm *a = &g->a;

    asm_rm(a, 3, 0x89, host, jit_field(LAZY_RES));
    asm_rm(a, 2, ASM_0F | ASM_FIXED | 0xb6, T1, jit_field(JIT_OFF(jit_carry)));
    asm_rm(a, 3, 0x8d, T1, (AsmMem) { T1, T1, 2, 0 });
    asm_rm(
        a, 3, 0x8d, T1,
        (AsmMem) { HOST_NONE, T1, 2,
                   (in->arg == ALU_ADC ? FLAGS_ADD : FLAGS_SUB) + in->log2 });
    asm_rm(a, 2, 0x89, T1, jit_field(LAZY_OP));
    gen_forget(g);
    g->hf = HF_ALL;
}

G_STATIC_ASSERT(FLAGS_ADC - FLAGS_ADD == 20 && FLAGS_SBB - FLAGS_SUB == 20);

static void gen_carry_r(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    bool dead = gen_dead(g);
    unsigned d;

    gen_save_carry(g);
    if (!dead) {
        gen_store_src(g, op);
    }
    d = gen_use(g, in->r1, T0);
    gen_take_carry(g);
    if (in->imm) {
        asm_alu_ri(&g->a, in->log2, in->arg, d, op->imm);
    } else {
        asm_rr(&g->a, in->log2, in->arg << 3 | 3, d, gen_use(g, in->r2, T1));
    }
    gen_put(g, in->r1, d);
    if (dead) {
        gen_forget(g);
        g->hf = HF_NONE;
    } else {
        gen_store_carry_res(g, in, d);
    }
}

static void gen_carry_rm(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned d;

    gen_save_carry(g);
    gen_operand(g, op, false, true);
    gen_load(g, in->log2, T0, T0);
    d = gen_use(g, in->r1, T1);
    asm_rm(&g->a, 3, 0x89, T0, jit_field(LAZY_SRC));
    gen_take_carry(g);
    asm_rr(&g->a, in->log2, in->arg << 3 | 3, d, T0);
    gen_put(g, in->r1, d);
    gen_store_carry_res(g, in, d);
}

static void gen_carry_m(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];

    gen_save_carry(g);
    gen_operand(g, op, true, true);
    gen_load(g, in->log2, T2, T0);
    gen_store_src(g, op);
    gen_take_carry(g);
    gen_alu_b(g, op, in->arg, T2);
    asm_rm(&g->a, in->log2, 0x89, T2, asm_at(T0, 0));
    gen_store_carry_res(g, in, T2);
}

static void gen_carry(Gen *g, const Insn *op)
{
    switch (g->info[g->i].mem) {
    case 0:
        gen_carry_m(g, op);
        break;
    case 1:
        gen_carry_rm(g, op);
        break;
    default:
        gen_carry_r(g, op);
    }
}

/* ---- moves, and the second bytes of registers ------------------------------------------------- */

/* TEST or CMP of AH, CH, DH, BH with a constant. */
static void gen_compare_high(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    bool cmp = in->arg == ALU_CMP;

    asm_mov_rr(&g->a, T2, jit_host[in->high]);
    asm_rr(&g->a, 2, 0xc1, 5, T2);
    asm_8(&g->a, 8);
    asm_alu_ri(&g->a, 0, cmp ? ALU_SUB : ALU_AND, T2, op->imm);
    if (cmp) {
        gen_store_src_imm(g, op->imm);
    }
    gen_store_res(g, cmp ? FLAGS_SUB : FLAGS_LOGIC, T2);
}

static void gen_mov(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned d, s;

    if (in->mem == 0) {
        gen_operand(g, op, true, false);
        if (in->imm) {
            asm_rm(&g->a, in->log2, 0xc7, 0, asm_at(T0, 0));
            asm_imm(&g->a, in->log2, op->imm);
        } else {
            s = gen_use(g, in->r2, T1);
            asm_rm(&g->a, in->log2, 0x89, s, asm_at(T0, 0));
        }
        return;
    }
    gen_touch(g, in->r1);
    if (in->mem == 1) {
        gen_operand(g, op, false, false);
        g->tail[g->n_tails - 1].kind = TAIL_LOAD;
        if (in->log2 < 2) {
            d = gen_use(g, in->r1, T1);
        } else {
            d = gen_def(in->r1, T1);
        }
        asm_rm(&g->a, in->log2, 0x8b, d, asm_at(T0, 0));
        gen_put(g, in->r1, d);
        return;
    }
    d = in->log2 < 2 ? gen_use(g, in->r1, T0) : gen_def(in->r1, T0);
    if (in->seg) {
        asm_rm(&g->a, in->log2, in->log2 == 1 ? 0x8b : ASM_0F | 0xb7, d,
               jit_field(JIT_OFF(cpu.s.seg) + (int)sizeof(X86Seg) * op->reg +
                         (int)offsetof(X86Seg, sel)));
    } else if (!in->imm) {
        s = gen_use(g, in->r2, T1);
        asm_rr(&g->a, in->log2, 0x8b, d, s);
    } else if (in->log2 < 2) {
        asm_op(&g->a, in->log2, ASM_FIXED | (in->log2 ? 0xb8 : 0xb0) | (d & 7),
               0, HOST_NONE, d, d >= 4);
        asm_imm(&g->a, in->log2, op->imm);
    } else {
        asm_mov_ri(&g->a, d, in->log2 == 2 ? (uint32_t)op->imm : op->imm);
    }
    gen_put(g, in->r1, d);
}

/* ---- one operand, shifts, multiplication ------------------------------------------------------ */

/* LazyFlags.src = CF, if LazyFlags are of @kind, as is most likely. */
static void gen_guess_carry(Gen *g, unsigned kind, unsigned log2)
{
    Asm *a = &g->a;
    Tail *s;

    asm_alu_mi(a, 2, ALU_CMP, jit_field(LAZY_OP), kind + log2);
    s = gen_tail(g, TAIL_CARRY, asm_jcc(a, 5));
    if (kind == FLAGS_LOGIC) {
        gen_store_src_imm(g, 0);
    } else {
        asm_rm(a, 3, 0x8b, T2, jit_field(LAZY_RES));
        if (kind == FLAGS_SUB) {
            asm_rm(a, 3, 0x03, T2, jit_field(LAZY_SRC));
        }
        asm_rm(a, log2, 0x3b, T2, jit_field(LAZY_SRC));
        asm_rr(a, 0, ASM_0F | ASM_FIXED | ASM_BYTE_RM | 0x92, 0, T2);
        asm_rr(a, 2, ASM_0F | ASM_BYTE_RM | 0xb6, T2, T2);
        asm_rm(a, 3, 0x89, T2, jit_field(LAZY_SRC));
    }
    s->back = a->p;
    g->hf = HF_NONE;
}

/* LazyFlags.src = CF, for INC and DEC, which leave it. Uses T2. */
static void gen_keep_carry(Gen *g)
{
    Pend *p = &g->pend;
    unsigned kind;
    Tail *s;

    if (gen_carry_stored(p)) {
        return;
    }
    if (p->rot && g->hf != HF_ALL) {
        gen_flush_pend(g);
    }
    if (!p->rot && p->form != PEND_NONE && p->kind == FLAGS_LOGIC) {
        gen_store_src_imm(g, 0);
        return;
    }
    if (g->hf == HF_ALL || p->form == PEND_CMP) {
        gen_cond(g, 2);
        gen_store_carry(g);
        return;
    }
    gen_flush_pend(g);
    kind = g->guess & ~3;
    if (kind == FLAGS_ADD || kind == FLAGS_SUB || kind == FLAGS_LOGIC) {
        gen_guess_carry(g, kind, g->guess & 3);
        return;
    }
    asm_rm(&g->a, 2, 0x8b, T2, jit_field(LAZY_OP));
    asm_alu_ri(&g->a, 2, ALU_SUB, T2, FLAGS_INC);
    asm_alu_ri(&g->a, 2, ALU_CMP, T2, FLAGS_ADC - FLAGS_INC);
    g->hf = HF_NONE;
    s = gen_tail(g, TAIL_CARRY, asm_jcc(&g->a, 3));
    s->back = g->a.p;
}

/* LOCK ADD, SUB of [m], and INC, DEC: by XADD, which tells what was there. */
static void gen_locked(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    bool step = in->cls == CL_UNARY;
    bool minus = step ? in->arg == UN_DEC : in->arg == ALU_SUB;

    if (step) {
        gen_flush_pend(g);
    }
    gen_operand(g, op, true, true);
    if (step) {
        gen_keep_carry(g);
        asm_mov_ri(&g->a, T2, minus ? -1 : 1);
    } else if (in->imm) {
        asm_mov_ri(&g->a, T2, minus ? -op->simm : op->simm);
    } else {
        gen_get(g, T2, in->r2);
        if (minus) {
            asm_rr(&g->a, 3, 0xf7, 3, T2);
        }
    }
    asm_8(&g->a, 0xf0);
    asm_rm(&g->a, in->log2, ASM_0F | 0xc1, T2, asm_at(T0, 0));
    if (step) {
        asm_rr(&g->a, in->log2, 0xff, minus, T2);
        gen_store_res(g, minus ? FLAGS_DEC : FLAGS_INC, T2);
        g->hf = HF_NO_CARRY;
        return;
    }
    gen_alu_b(g, op, in->arg, T2);
    gen_store_src(g, op);
    gen_store_res(g, alu_kind[in->arg], T2);
}

void gen_alu(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];

    if (in->arg == ALU_MOV) {
        gen_mov(g, op);
    } else if (in->locked) {
        gen_locked(g, op);
    } else if (in->high >= 0) {
        gen_compare_high(g, op);
    } else if (in->arg == ALU_ADC || in->arg == ALU_SBB) {
        gen_carry(g, op);
    } else if (in->mem == 0) {
        gen_alu_m(g, op);
    } else if (in->mem == 1) {
        gen_alu_rm(g, op);
    } else if (in->arg == ALU_CMP || in->arg == ALU_TEST) {
        gen_compare(g, op);
    } else {
        gen_alu_r(g, op);
    }
}

static const struct {
    uint8_t opcode, digit, kind;
} unary_ops[] = {
    [UN_INC] = { 0xff, 0, FLAGS_INC },
    [UN_DEC] = { 0xff, 1, FLAGS_DEC },
    [UN_NEG] = { 0xf7, 3, FLAGS_SUB },
    [UN_NOT] = { 0xf7, 2, 0 },
};

static void gen_unary_m(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned what = in->arg;
    unsigned opcode = unary_ops[what].opcode, digit = unary_ops[what].digit;
    bool dead = what == UN_NOT || gen_dead(g), step = what <= UN_DEC;

    if (!dead && step) { /* the slow path may come in between */
        gen_flush_pend(g);
    }
    gen_operand(g, op, true, what != UN_NOT);
    if (dead) {
        asm_rm(&g->a, in->log2, opcode, digit, asm_at(T0, 0));
        if (what != UN_NOT) {
            gen_forget(g);
        }
        return;
    }
    if (step) {
        gen_keep_carry(g);
    }
    gen_load(g, in->log2, T2, T0);
    if (what == UN_NEG) {
        asm_rm(&g->a, 3, 0x89, T2, jit_field(LAZY_SRC));
    }
    asm_rr(&g->a, in->log2, opcode, digit, T2);
    asm_rm(&g->a, in->log2, 0x89, T2, asm_at(T0, 0));
    gen_store_res(g, unary_ops[what].kind, T2);
    g->hf = step ? HF_NO_CARRY : HF_ALL;
}

static void gen_not_r(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned d;

    gen_touch(g, in->r1);
    d = gen_use(g, in->r1, T0);
    asm_rr(&g->a, in->log2, unary_ops[UN_NOT].opcode, unary_ops[UN_NOT].digit,
           d);
    gen_put(g, in->r1, d); /* it leaves the host's flags alone too */
}

static void gen_unary_r(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned what = in->arg, d;
    bool dead = gen_dead(g), step = what <= UN_DEC;

    if (!dead && step) {
        gen_keep_carry(g);
    }
    d = gen_use(g, in->r1, T0);
    if (!dead && what == UN_NEG) {
        asm_rm(&g->a, 3, 0x89, d, jit_field(LAZY_SRC));
    }
    asm_rr(&g->a, in->log2, unary_ops[what].opcode, unary_ops[what].digit, d);
    gen_put(g, in->r1, d);
    if (dead) {
        gen_forget(g);
        g->hf = HF_NONE;
        return;
    }
    gen_set_pend(g, PEND_RES, unary_ops[what].kind, in->log2, in->r1);
    g->hf = step ? HF_NO_CARRY : HF_ALL;
}

void gen_unary(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];

    if (in->locked) {
        gen_locked(g, op);
    } else if (in->mem >= 0) {
        gen_unary_m(g, op);
    } else if (in->arg == UN_NOT) {
        gen_not_r(g, op);
    } else {
        gen_unary_r(g, op);
    }
}

void gen_imul(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    bool dead = gen_dead(g);
    unsigned d, s;

    if (in->mem >= 0) {
        gen_operand(g, op, false, true);
        d = gen_use(g, in->r1, T1);
        asm_rm(&g->a, in->log2, ASM_0F | ASM_FIXED | 0xaf, d, asm_at(T0, 0));
    } else if (in->imm) {
        s = gen_use(g, in->r2, T1);
        d = gen_def(in->r1, T0);
        if (in->log2 == 1) { /* the rest of the register stays */
            d = gen_use(g, in->r1, T0);
        }
        asm_rr(&g->a, in->log2, 0x69, d, s);
        asm_imm(&g->a, in->log2, op->imm);
    } else {
        s = gen_use(g, in->r2, T1);
        d = gen_use(g, in->r1, T0);
        asm_rr(&g->a, in->log2, ASM_0F | ASM_FIXED | 0xaf, d, s);
    }
    gen_put(g, in->r1, d);
    gen_forget(g);
    g->hf = HF_NONE;
    if (dead) {
        return;
    }
    gen_store_carry(g);
    gen_store_res(g, FLAGS_MUL, d);
    g->hf = HF_NONE; /* ZF and the like are of the result, for us */
    if (in->mem < 0) {
        gen_set_pend(g, PEND_RES, FLAGS_MUL, in->log2, in->r1);
    }
}

/* RDX:RAX = RAX * operand. */
void gen_mul(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    bool dead = gen_dead(g);

    if (in->mem >= 0) {
        gen_operand(g, op, false, true);
        asm_rm(&g->a, in->log2, 0xf7, in->arg, asm_at(T0, 0));
    } else {
        asm_rr(&g->a, in->log2, 0xf7, in->arg, gen_use(g, in->r1, T0));
    }
    gen_forget(g);
    g->hf = HF_NONE;
    if (!dead) {
        gen_store_exact(g);
    }
}

/* To the slow path unless the quotient of RDX:RAX by host register @s fits, as
 * far as that is easily seen. */
static void gen_div_check(Gen *g, unsigned s)
{
    const OpInfo *in = &g->info[g->i];
    Asm *a = &g->a;

    if (in->arg == 6) {
        asm_rr(a, in->log2, 0x3b, HOST_RDX, s);
        gen_slow(g, asm_jcc(a, 3), false);
        return;
    }
    asm_mov_rr(a, T1, HOST_RAX); /* the dividend is RAX, sign-extended */
    asm_rr(a, in->log2, 0xc1, 7, T1);
    asm_8(a, (8 << in->log2) - 1);
    asm_rr(a, in->log2, 0x3b, T1, HOST_RDX);
    gen_slow(g, asm_jcc(a, 5), false);
    asm_rm(a, 3, 0x8d, T1, asm_at(s, 1)); /* the divisor is not 0 or -1 */
    asm_alu_ri(a, in->log2, ALU_CMP, T1, 1);
    gen_slow(g, asm_jcc(a, 6), false);
}

/* All flags are undefined. */
void gen_div(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned s = T0;

    if (in->mem >= 0) {
        gen_operand(g, op, false, false);
        gen_load(g, in->log2, T0, T0);
    } else {
        s = gen_use(g, in->r1, T0);
    }
    gen_div_check(g, s);
    asm_rr(&g->a, in->log2, 0xf7, in->arg, s);
    gen_forget(g);
    g->hf = HF_NONE;
    if (!gen_dead(g)) {
        gen_store_exact(g);
    }
}

/* ---- moves of other kinds ----------------------------------------------------------------------- */

static void gen_xchg_r(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned a, b;

    gen_touch(g, in->r1);
    gen_touch(g, in->r2);
    a = gen_use(g, in->r1, T0);
    b = gen_use(g, in->r2, T1);
    if (in->r1 == in->r2) {
        if (in->log2 == 2) {
            asm_rr(&g->a, 2, 0x8b, a, a);
            gen_put(g, in->r1, a);
        }
        return;
    }
    asm_rr(&g->a, in->log2, 0x87, a, b);
    gen_put(g, in->r1, a);
    gen_put(g, in->r2, b);
}

/* Of memory: XCHG is locked always. */
static void gen_xchg_m(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    int r = in->mem == 0 ? in->r2 : in->r1;
    unsigned d;

    gen_touch(g, r);
    gen_operand(g, op, true, false);
    d = gen_use(g, r, T1);
    asm_rm(&g->a, in->log2, 0x87, d, asm_at(T0, 0));
    gen_put(g, r, d);
}

void gen_xchg(Gen *g, const Insn *op)
{
    if (g->info[g->i].mem >= 0) {
        gen_xchg_m(g, op);
    } else {
        gen_xchg_r(g, op);
    }
}

void gen_lea(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned log2 = op->adsize == 2 ? 2 : 3, d;

    gen_touch(g, in->r1);
    if (in->log2 == 1) {
        gen_ea(g, op, in->disp);
        d = gen_use(g, in->r1, T1);
        asm_rr(&g->a, 1, 0x8b, d, T0);
    } else {
        d = gen_def(in->r1, T1);
        gen_address(g, op, in->disp, d, MIN(log2, in->log2));
    }
    gen_put(g, in->r1, d);
}

void gen_extend(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned opcode =
        in->from == 2
            ? 0x63
            : ASM_0F | ASM_FIXED | (in->arg ? 0xbe : 0xb6) | (in->from == 1);
    unsigned d;

    gen_touch(g, in->r1);
    if (in->mem >= 0) {
        gen_operand(g, op, false, false);
    }
    d = in->log2 == 1 ? gen_use(g, in->r1, T1) : gen_def(in->r1, T1);
    if (in->mem >= 0) {
        asm_rm(&g->a, in->log2, opcode, d, asm_at(T0, 0));
    } else {
        asm_rr(&g->a, in->log2, opcode | (in->from == 0 ? ASM_BYTE_RM : 0), d,
               gen_use(g, in->r2, T0));
    }
    gen_put(g, in->r1, d);
}

unsigned gen_cc(const Insn *op)
{
    return insn_rows[op->id].opcode & 15;
}

/* gen_cond(), then register @r (if not -1) changes. That keeps the host's flags
 * unless a rotation must be settled. */
static unsigned gen_cond_for(Gen *g, unsigned cc, int r)
{
    if (r >= 0 && g->pend.rot) {
        gen_touch(g, r);
    }
    cc = gen_cond(g, cc);
    if (r >= 0) {
        gen_touch(g, r);
    }
    return cc;
}

void gen_setcc(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned cc, d;
    AsmMem keep = jit_field(JIT_OFF(jit_carry));

    cc = gen_cond_for(g, gen_cc(op), in->mem == 0 ? -1 : in->r1);
    if (in->mem == 0) {
        asm_rm(&g->a, 0, ASM_0F | ASM_FIXED | 0x90 | cc, 0, keep);
        gen_operand(g, op, true, false);
        asm_rm(&g->a, 2, ASM_0F | ASM_FIXED | 0xb6, T1, keep);
        asm_rm(&g->a, 0, 0x88, T1, asm_at(T0, 0));
        return;
    }
    d = gen_use(g, in->r1, T1);
    asm_rr(&g->a, 0, ASM_0F | ASM_FIXED | ASM_BYTE_RM | 0x90 | cc, 0, d);
    gen_put(g, in->r1, d);
}

void gen_cmov(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned cc, d, s;
    AsmMem keep = jit_field(JIT_OFF(jit_carry));

    cc = gen_cond_for(g, gen_cc(op), in->r1);
    if (in->mem == 1) {
        asm_rm(&g->a, 0, ASM_0F | ASM_FIXED | 0x90 | cc, 0, keep);
        gen_operand(g, op, false, false);
        d = gen_use(g, in->r1, T1);
        asm_alu_mi(&g->a, 0, ALU_CMP, keep, 0);
        asm_rm(&g->a, in->log2, ASM_0F | ASM_FIXED | 0x45, d, asm_at(T0, 0));
        gen_put(g, in->r1, d);
        return;
    }
    s = gen_use(g, in->r2, T0);
    d = gen_use(g, in->r1, T1);
    asm_rr(&g->a, in->log2, ASM_0F | ASM_FIXED | 0x40 | cc, d, s);
    gen_put(g, in->r1, d);
}

/* ---- bits, and locked operations ----------------------------------------------------------------- */

void gen_bit(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    bool writes = in->arg != 4, dead = gen_dead(g);
    unsigned d;
    Tail *s;

    if (!dead) {
        gen_flush_pend(g);
    }
    if (in->mem == 0) {
        gen_operand(g, op, writes, true);
        gen_load(g, in->log2, T2, T0);
        d = T2;
    } else {
        if (writes) {
            gen_touch(g, in->r1);
        }
        d = gen_use(g, in->r1, T0);
    }
    if (in->imm) {
        asm_rr(&g->a, in->log2, ASM_0F | ASM_FIXED | 0xba, in->arg, d);
        asm_8(&g->a, op->imm & ((8 << in->log2) - 1));
    } else {
        asm_rr(&g->a, in->log2, ASM_0F | ASM_FIXED | 0x83 | in->arg << 3,
               gen_use(g, in->r2, T1), d);
    }
    if (writes && in->mem == 0) {
        asm_rm(&g->a, in->log2, 0x89, d, asm_at(T0, 0));
    } else if (writes) {
        gen_put(g, in->r1, d);
    }
    g->hf = HF_NONE;
    gen_forget(g);
    if (dead) {
        return;
    }
    gen_store_carry(g);
    asm_rm(&g->a, 2, 0x8b, T1, jit_field(LAZY_OP));
    asm_alu_ri(&g->a, 2, ALU_CMP, T1, FLAGS_ADD);
    s = gen_tail(g, TAIL_EXACT_CF, asm_jcc(&g->a, 2));
    asm_alu_ri(&g->a, 2, ALU_AND, T1, 3);
    asm_alu_ri(&g->a, 2, ALU_ADD, T1, FLAGS_INC);
    asm_rm(&g->a, 2, 0x89, T1, jit_field(LAZY_OP));
    s->back = g->a.p;
    if (in->mem < 0) { /* else the slow path comes here, too */
        gen_set_pend(g, PEND_CF, FLAGS_EXACT, 0, -1);
    }
}

void gen_bswap(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned d;

    gen_touch(g, in->r1);
    d = gen_use(g, in->r1, T0);
    asm_op(&g->a, in->log2, ASM_0F | ASM_FIXED | 0xc8 | (d & 7), 0, HOST_NONE,
           d, false);
    gen_put(g, in->r1, d);
}

void gen_cmpxchg(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned s;

    gen_operand(g, op, true, true);
    s = gen_use(g, in->r2, T1);
    asm_mov_rr(&g->a, T2, HOST_RAX);
    asm_8(&g->a, 0xf0);
    asm_rm(&g->a, in->log2, ASM_0F | 0xb1, s, asm_at(T0, 0));
    asm_rm(&g->a, 3, 0x89, HOST_RAX, jit_field(LAZY_SRC));
    asm_rr(&g->a, in->log2, 0x2b, T2, HOST_RAX);
    gen_store_res(g, FLAGS_SUB, T2);
}

/* [m], r2, with or without LOCK. */
void gen_xadd(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned d;

    gen_operand(g, op, true, true);
    gen_get(g, T2, in->r2);
    asm_8(&g->a, 0xf0);
    asm_rm(&g->a, in->log2, ASM_0F | 0xc1, T2, asm_at(T0, 0));
    d = gen_use(g, in->r2, T0);
    asm_rm(&g->a, 3, 0x89, d, jit_field(LAZY_SRC));
    asm_mov_rr(&g->a, T1, T2);
    asm_rr(&g->a, in->log2, 0x03, T1, d);
    asm_rr(&g->a, in->log2, 0x8b, d, T2);
    gen_put(g, in->r2, d);
    gen_store_res(g, FLAGS_ADD, T1);
}

void gen_cbw(Gen *g, const Insn *op)
{
    gen_touch(g, R_RAX);
    if (op->opsize == 1) {
        asm_8(&g->a, 0x66);
    } else if (op->opsize == 3) {
        asm_8(&g->a, 0x48);
    }
    asm_8(&g->a, 0x98);
}

void gen_cwd(Gen *g, const Insn *op)
{
    gen_touch(g, R_RDX);
    if (op->opsize == 1) {
        asm_8(&g->a, 0x66);
    } else if (op->opsize == 3) {
        asm_8(&g->a, 0x48);
    }
    asm_8(&g->a, 0x99);
}

#endif
