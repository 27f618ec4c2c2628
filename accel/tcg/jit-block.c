/* A block: what each of its operations becomes, and all of them in a row. See
 * jit-gen.h. */
#include "util/osdep.h"
#include "accel/tcg/jit-gen.h"
#include "target-x86/operand.h"

#if defined(__x86_64__)

/* ---- what becomes of an operation -------------------------------------------------------------------------- */

/* Guest register @n of the operand, -1: none or a high byte. */
static int gen_reg(const Insn *op, int n, unsigned size)
{
    int off = interp_operand_reg(op, n, size);

    if (off < 0 || (off & 7)) {
        return -1;
    }
    return (off - (int)offsetof(X86Cpu, s.gpr)) / 8;
}

static bool gen_is_imm(const Insn *op, int n)
{
    return insn_rows[op->id].op[n].kind == OPK_IMM;
}

/* The displacement from the start of the page too. */
static bool gen_disp_fits(const OpInfo *in, const Insn *op)
{
    return op->base != INSN_RIP || in->disp < INT32_MAX - 2 * PAGE_SIZE;
}

/* Where operands 0 and 1 are. false: nowhere that a template can reach. */
static bool gen_operands(const Gen *g, OpInfo *in, const Insn *op)
{
    uint32_t key = g->tb->key;
    unsigned kind1 = insn_rows[op->id].op[1].kind;

    in->log2 = __builtin_ctz(op_size(op, 0));
    in->from = kind1 == OPK_NONE || kind1 == OPK_IMM || kind1 == OPK_ONE
                   ? in->log2
                   : __builtin_ctz(op_size(op, 1));
    in->r1 = gen_reg(op, 0, 1 << in->log2);
    in->r2 = kind1 == OPK_NONE ? -1 : gen_reg(op, 1, 1 << in->from);
    in->imm = gen_is_imm(op, 1);
    in->mem = -1;
    if (interp_operand_mem(op, 0, key, &in->disp)) {
        in->mem = 0;
    } else if (kind1 != OPK_NONE && interp_operand_mem(op, 1, key, &in->disp)) {
        in->mem = 1;
    }
    in->pure = in->mem < 0;
    return (in->r1 >= 0 || in->mem == 0) && gen_disp_fits(in, op);
}

static bool gen_two(const OpInfo *in)
{
    return in->r2 >= 0 || in->imm || in->mem == 1;
}

/* Needs info of the operations behind it. */
static bool gen_decide_shift(Gen *g, OpInfo *in, const Insn *op)
{
    unsigned kind = insn_rows[op->id].op[1].kind;
    bool cl = kind == OPK_FIXED;

    if (!gen_operands(g, in, op) || in->mem >= 0) {
        return false;
    }
    in->imm = !cl;
    if (!cl && gen_shift_count(in, op) == 0) {
        return false;
    }
    return (!cl && in->arg < UN_ROL) || gen_dead(g);
}

static bool gen_decide_flow(Gen *g, OpInfo *in, const Insn *op)
{
    int w = interp_stack_width(op, g->tb->key);

    in->pure = false;
    in->mem = in->r1 = -1;
    if (w < 0) {
        return false;
    }
    if (in->cls == CL_RET || in->cls == CL_LEAVE) {
        return true;
    }
    in->imm = gen_is_imm(op, 0) || insn_rows[op->id].op[0].kind == OPK_REL;
    in->r1 = gen_reg(op, 0, 8);
    if (in->r1 >= 0) {
        return true;
    }
    if (in->imm) {
        return in->cls == CL_PUSH || op->disp < INT32_MAX - 2 * PAGE_SIZE;
    }
    if ((in->cls == CL_CALL || in->cls == CL_JMP) && w == 0 &&
        interp_operand_mem(op, 0, g->tb->key, &in->disp)) {
        in->mem = 0;
        return gen_disp_fits(in, op);
    }
    return false;
}

static void gen_classify(OpInfo *in, const Insn *op)
{
    static const struct {
        InsnFn *sem;
        uint8_t cls, arg;
    } rows[] = {
        { sem_BT, CL_BITS, 4 },     { sem_BTS, CL_BITS, 5 },
        { sem_BTR, CL_BITS, 6 },    { sem_BTC, CL_BITS, 7 },
        { sem_BSWAP, CL_BSWAP, 0 }, { sem_CMPXCHG, CL_CMPXCHG, 0 },
    };

    if (in->cls != CL_NONE && in->cls != CL_BT) {
        return;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (insn_rows[op->id].sem == rows[i].sem) {
            in->cls = rows[i].cls;
            in->arg = rows[i].arg;
        }
    }
}

/* Operands as if there were no LOCK. */
static bool gen_unlocked(const Gen *g, OpInfo *in, const Insn *op)
{
    Insn copy = *op;

    copy.lock = 0;
    return gen_operands(g, in, &copy) && in->mem >= 0;
}

static bool gen_decide_alu(Gen *g, OpInfo *in, const Insn *op)
{
    if (op->lock) {
        in->locked = true;
        return (in->arg == ALU_ADD || in->arg == ALU_SUB) &&
               gen_unlocked(g, in, op) && gen_two(in);
    }
    if (gen_operands(g, in, op) && gen_two(in)) {
        return true;
    }
    if ((in->arg == ALU_CMP || in->arg == ALU_TEST) && in->log2 == 0 &&
        in->imm && in->mem < 0) {
        int off = interp_operand_reg(op, 0, 1);

        in->high = (off - (int)offsetof(X86Cpu, s.gpr)) / 8;
        in->pure = true;
        return off >= 0;
    }
    return false;
}

static bool gen_can_emit(Gen *g, OpInfo *in, const Insn *op)
{
    switch (in->cls) {
    case CL_ALU:
        return gen_decide_alu(g, in, op);
    case CL_UNARY:
        if (op->lock) {
            in->locked = true;
            return in->arg <= UN_DEC && gen_unlocked(g, in, op);
        }
        return gen_operands(g, in, op);
    case CL_BITS:
        return gen_operands(g, in, op) &&
               (in->imm || (in->mem < 0 && in->r2 >= 0));
    case CL_BSWAP:
        in->log2 = op->opsize;
        in->r1 = op->rm & 15;
        in->mem = -1;
        in->pure = true;
        return op->opsize >= 2;
    case CL_CMPXCHG:
        return gen_unlocked(g, in, op) && in->r2 >= 0;
    case CL_SHIFT:
        return gen_decide_shift(g, in, op);
    case CL_IMUL:
        if (insn_rows[op->id].op[0].kind != OPK_G || !gen_operands(g, in, op) ||
            in->log2 == 0) {
            return false;
        }
        in->imm = insn_rows[op->id].op[2].kind != OPK_NONE;
        return in->r2 >= 0 || (in->mem == 1 && !in->imm);
    case CL_XCHG:
        if (op->is_mem) {
            return gen_unlocked(g, in, op) &&
                   (in->mem == 0 ? in->r2 : in->r1) >= 0;
        }
        return gen_operands(g, in, op) && in->r1 >= 0 && in->r2 >= 0;
    case CL_LEA:
        in->log2 = __builtin_ctz(op_size(op, 0));
        in->r1 = op->reg & 15;
        in->mem = -1;
        in->pure = true;
        return interp_address(op, g->tb->key, &in->disp) &&
               gen_disp_fits(in, op);
    case CL_EXTEND:
        return gen_operands(g, in, op) && in->from < 3 && in->from < in->log2 &&
               (in->r2 >= 0 || in->mem == 1);
    case CL_SETCC:
        return gen_operands(g, in, op);
    case CL_CMOV: /* op->reg is the condition already, if it is 32 or 64 bits */
        if (!gen_operands(g, in, op) || (in->r2 < 0 && in->mem != 1)) {
            return false;
        }
        if (op->opsize != 1 && in->r2 >= 0) {
            in->r1 = (op_args(op)->r1 - offsetof(X86Cpu, s.gpr)) / 8;
        }
        return true;
    case CL_CBW:
    case CL_CWD:
    case CL_NOP:
        in->pure = true;
        in->mem = -1;
        return true;
    case CL_PUSH:
    case CL_POP:
    case CL_LEAVE:
    case CL_CALL:
    case CL_JMP:
    case CL_RET:
        return gen_decide_flow(g, in, op);
    case CL_JCC:
        in->pure = false;
        in->mem = -1;
        return op->disp < INT32_MAX - 2 * PAGE_SIZE;
    }
    return false;
}

static void gen_decide(Gen *g, unsigned i)
{
    const Insn *op = &g->tb->op[i];
    OpInfo *in = &g->info[i];
    InsnFn *exec = i == 0 ? g->tb->plain : op->exec;
    InterpEnd end = interp_end(exec);
    uint16_t cls = g->tc->accel->op_class[op->id];

    *in = (OpInfo) {
        .cls = cls >> 8,
        .arg = cls,
        .how = HOW_CALL,
        .mem = -1,
        .high = -1,
    };
    gen_classify(in, op);
    if (end == INTERP_LEAVE) {
        in->how = HOW_LEAVE;
        return;
    }
    g->i = i;
    if (gen_can_emit(g, in, op)) {
        in->how = HOW_EMIT;
        return;
    }
    in->pure = false;
    if (insn_rows[op->id].attr & (IA_JUMP | IA_COND)) {
        in->how = HOW_LEAVE;
    } else if (end == INTERP_OWN &&
               (in->cls == CL_ALU || in->cls == CL_UNARY)) {
        in->unfuse = i + 1 < g->tb->n && g->info[i + 1].cls == CL_JCC;
    }
}

/* ---- the block -------------------------------------------------------------------------------------------------- */

/* Operation @i by its template; returns how many operations that was. */
static unsigned gen_template(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];

    switch (in->cls) {
    case CL_ALU:
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
        break;
    case CL_UNARY:
        if (in->locked) {
            gen_locked(g, op);
        } else {
            gen_unary(g, op);
        }
        break;
    case CL_BITS:
        gen_bit(g, op);
        break;
    case CL_BSWAP:
        gen_bswap(g, op);
        break;
    case CL_CMPXCHG:
        gen_cmpxchg(g, op);
        break;
    case CL_SHIFT:
        if (in->imm) {
            gen_shift(g, op);
        } else {
            gen_shift_cl(g, op);
        }
        break;
    case CL_IMUL:
        gen_imul(g, op);
        break;
    case CL_XCHG:
        if (in->mem >= 0) {
            gen_xchg_m(g, op);
        } else {
            gen_xchg(g, op);
        }
        break;
    case CL_LEA:
        gen_lea(g, op);
        break;
    case CL_EXTEND:
        gen_extend(g, op);
        break;
    case CL_SETCC:
        gen_setcc(g, op);
        break;
    case CL_CMOV:
        gen_cmov(g, op);
        break;
    case CL_CBW:
        gen_cbw(g, op);
        break;
    case CL_CWD:
        gen_cwd(g, op);
        break;
    case CL_PUSH:
        return gen_push(g, op);
    case CL_POP:
        return gen_pop(g, op);
    case CL_LEAVE:
        gen_leave(g, op);
        break;
    case CL_CALL:
        gen_call(g, op);
        break;
    case CL_JMP:
        gen_jmp(g, op);
        break;
    case CL_RET:
        gen_ret(g, op);
        break;
    case CL_JCC:
        gen_jcc(g, op);
        break;
    }
    return 1;
}

/* Handlers from operation @i on; returns how many. */
static unsigned gen_run(Gen *g, unsigned i)
{
    unsigned n = 1;

    while (i + n < g->tb->n && g->info[i + n].how == HOW_CALL) {
        n++;
    }
    gen_flush_pend(g);
    asm_rip(&g->a, 3, 0x8d, T0, &g->tb->op[i]);
    asm_mov_ri(&g->a, T1, g->start);
    asm_call_to(&g->a, g->j->th.run);
    g->hf = HF_NONE;
    g->after_run[i + n] = true;
    return n;
}

/* From the first operation on. */
static void gen_body(Gen *g)
{
    Tb *tb = g->tb;
    unsigned i = 0, stubs;

    while (i < tb->n) {
        const Insn *op = &tb->op[i];

        g->i = i;
        if (g->info[i].how == HOW_LEAVE) {
            gen_flush_pend(g);
            gen_leave_to(g, op, i == 0 ? tb->plain : op->exec);
            return;
        }
        if (g->info[i].how == HOW_CALL) {
            i += gen_run(g, i);
            continue;
        }
        stubs = g->n_stubs;
        i += gen_template(g, op);
        while (stubs < g->n_stubs) {
            if (g->stub[stubs].kind == STUB_SLOW) {
                g->stub[stubs].back = g->a.p;
            }
            stubs++;
        }
        if (i == tb->n &&
            (g->info[i - 1].cls == CL_CALL || g->info[i - 1].cls == CL_JMP ||
             g->info[i - 1].cls == CL_RET)) {
            return;
        }
    }
    g->i = tb->n;
    gen_fall(g);
}

/* Code that goes into C for most of it is no gain. */
static bool gen_worth(const Gen *g, unsigned *templates)
{
    unsigned n = 0;

    for (unsigned i = 0; i < g->tb->n; i++) {
        n += g->info[i].how == HOW_EMIT;
    }
    *templates = n;
    return n * 2 >= g->tb->n;
}

/* Handlers that do the jump behind them as well are of no use. */
static void gen_unfuse(Gen *g)
{
    for (unsigned i = 0; i < g->tb->n; i++) {
        if (g->info[i].unfuse && i == 0) {
            g->tb->plain = op_sem;
        } else if (g->info[i].unfuse && !g->after_run[i]) {
            g->tb->op[i].exec = op_sem;
        }
    }
}

/* The other ways of conditional jumps behind the block; what seldom runs in a
 * place of its own, so that the rest is dense. */
static void gen_stubs(Gen *g)
{
    Jit *j = g->j;
    uint8_t *start = j->rw + j->cold, *hot;

    for (unsigned k = 0; k < g->n_stubs; k++) {
        if (g->stub[k].kind == STUB_TAKEN) {
            gen_put_stub(g, &g->stub[k]);
        }
    }
    hot = g->a.p;
    g->a.p = start;
    for (unsigned k = 0; k < g->n_stubs; k++) {
        if (g->stub[k].kind != STUB_TAKEN) {
            gen_put_stub(g, &g->stub[k]);
        }
    }
    j->n_bytes += g->a.p - start;
    j->cold += g->a.p - start;
    g->a.p = hot;
}

bool jit_emit_block(TcgCpu *tc, Tb *tb)
{
    Jit *j = tc->jit;
    uint8_t *start = j->rw + j->used;
    unsigned templates;
    Gen g;

    g.a = (Asm) { .p = start, .to_rx = j->rx - j->rw };
    g.tc = tc;
    g.code = start;
    g.tb = tb;
    g.j = j;
    g.start = (uintptr_t)tb->host & ~PAGE_MASK;
    g.code64 = tb->key & MODE_CODE64;
    g.hf = HF_NONE;
    g.guess = 0;
    g.pend.form = PEND_NONE;
    g.n_stubs = 0;
    memset(g.after_run, 0, sizeof(g.after_run));
    for (unsigned i = tb->n; i-- > 0;) {
        gen_decide(&g, i);
    }
    if (!gen_worth(&g, &templates)) {
        return false;
    }
    gen_body(&g);
    gen_stubs(&g);
    for (unsigned i = 1; i <= tb->n; i++) {
        if (g.after_run[i]) {
            tb->op[i].exec = jit_ret;
        }
    }
    gen_unfuse(&g);
    tb->code = start + g.a.to_rx;
    j->n_templates += templates;
    j->n_bytes += g.a.p - start;
    j->used = (g.a.p - j->rw + 15) & ~(size_t)15;
    return true;
}

#endif
