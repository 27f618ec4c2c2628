/*
 * What becomes of an operation: the table of templates. A class has a function
 * that says whether the template can do it, and notes in OpInfo where the
 * operands are, and one that emits it. See jit-gen.h.
 */
#include "util/osdep.h"
#include "accel/tcg/jit-gen.h"
#include "target-x86/operand.h"

#if defined(__x86_64__)

/* ---- operands --------------------------------------------------------------- */

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

bool gen_disp_fits(const OpInfo *in, const Insn *op)
{
    return op->base != INSN_RIP || in->disp < INT32_MAX - 2 * PAGE_SIZE;
}

/* Where operands 0 and 1 are. false: nowhere that a template can reach. */
static bool gen_operands(Gen *g, OpInfo *in, const Insn *op)
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
    return !cl || in->arg < UN_ROL || gen_dead(g);
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

/* Operands as if there were no LOCK. */
static bool gen_unlocked(Gen *g, OpInfo *in, const Insn *op)
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
    if (in->arg == ALU_MOV && insn_rows[op->id].op[1].kind == OPK_SEG) {
        in->seg = true;
        return in->mem < 0 && in->r1 >= 0;
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

static bool gen_decide_unary(Gen *g, OpInfo *in, const Insn *op)
{
    if (op->lock) {
        in->locked = true;
        return in->arg <= UN_DEC && gen_unlocked(g, in, op);
    }
    return gen_operands(g, in, op);
}

static bool gen_decide_bits(Gen *g, OpInfo *in, const Insn *op)
{
    return gen_operands(g, in, op) && (in->imm || (in->mem < 0 && in->r2 >= 0));
}

static bool gen_decide_bswap(Gen *g, OpInfo *in, const Insn *op)
{
    in->log2 = op->opsize;
    in->r1 = op->rm & 15;
    in->mem = -1;
    in->pure = true;
    return op->opsize >= 2;
}

static bool gen_decide_cmpxchg(Gen *g, OpInfo *in, const Insn *op)
{
    return gen_unlocked(g, in, op) && in->r2 >= 0;
}

static bool gen_decide_imul(Gen *g, OpInfo *in, const Insn *op)
{
    if (insn_rows[op->id].op[0].kind != OPK_G || !gen_operands(g, in, op) ||
        in->log2 == 0) {
        return false;
    }
    in->imm = insn_rows[op->id].op[2].kind != OPK_NONE;
    return in->r2 >= 0 || (in->mem == 1 && !in->imm);
}

static bool gen_decide_div(Gen *g, OpInfo *in, const Insn *op)
{
    bool ok = gen_operands(g, in, op) && in->log2 > 0;

    in->pure = false; /* #DE */
    return ok;
}

static bool gen_decide_xadd(Gen *g, OpInfo *in, const Insn *op)
{
    return gen_unlocked(g, in, op) && in->mem == 0 && in->r2 >= 0;
}

static bool gen_decide_scan(Gen *g, OpInfo *in, const Insn *op)
{
    return gen_operands(g, in, op) && in->r1 >= 0 && in->log2 > 0 &&
           (in->r2 >= 0 || in->mem == 1);
}

/* Sixteen bits may be shifted by more than that. SHRD by one has an OF of its
 * own. */
static bool gen_decide_shift2(Gen *g, OpInfo *in, const Insn *op)
{
    unsigned n = op->imm & (op->opsize == 3 ? 63 : 31);

    if (!gen_operands(g, in, op) || in->mem >= 0 || in->r2 < 0 ||
        in->log2 < 2) {
        return false;
    }
    in->imm = insn_rows[op->id].op[2].kind == OPK_IMM;
    if (!in->imm) {
        return gen_dead(g);
    }
    return n > 0 && (n > 1 || in->arg == UN_SHL || gen_dead(g));
}

static bool gen_decide_xchg(Gen *g, OpInfo *in, const Insn *op)
{
    if (op->is_mem) {
        return gen_unlocked(g, in, op) && (in->mem == 0 ? in->r2 : in->r1) >= 0;
    }
    return gen_operands(g, in, op) && in->r1 >= 0 && in->r2 >= 0;
}

static bool gen_decide_lea(Gen *g, OpInfo *in, const Insn *op)
{
    in->log2 = __builtin_ctz(op_size(op, 0));
    in->r1 = op->reg & 15;
    in->mem = -1;
    in->pure = true;
    return interp_address(op, g->tb->key, &in->disp) && gen_disp_fits(in, op);
}

static bool gen_decide_extend(Gen *g, OpInfo *in, const Insn *op)
{
    return gen_operands(g, in, op) && in->from < 3 && in->from < in->log2 &&
           (in->r2 >= 0 || in->mem == 1);
}

/* op->reg is the condition already, if it is 32 or 64 bits. */
static bool gen_decide_cmov(Gen *g, OpInfo *in, const Insn *op)
{
    if (!gen_operands(g, in, op) || (in->r2 < 0 && in->mem != 1)) {
        return false;
    }
    if (op->opsize != 1 && in->r2 >= 0) {
        in->r1 = (op_args(op)->r1 - offsetof(X86Cpu, s.gpr)) / 8;
    }
    return true;
}

/* CBW, CWD, NOP. */
static bool gen_decide_fixed(Gen *g, OpInfo *in, const Insn *op)
{
    in->pure = true;
    in->mem = -1;
    return true;
}

static bool gen_decide_jcc(Gen *g, OpInfo *in, const Insn *op)
{
    in->pure = false;
    in->mem = -1;
    return op->disp < INT32_MAX - 2 * PAGE_SIZE;
}

static void gen_nop(Gen *g, const Insn *op)
{
}

/* ---- the table --------------------------------------------------------------- */

/* Rows that the interpreter has no class for. */
static const struct {
    InsnFn *sem;
    uint8_t cls, arg;
} gen_rows[] = {
    { sem_BT, CL_BITS, 4 },
    { sem_BTS, CL_BITS, 5 },
    { sem_BTR, CL_BITS, 6 },
    { sem_BTC, CL_BITS, 7 },
    { sem_BSWAP, CL_BSWAP, 0 },
    { sem_CMPXCHG, CL_CMPXCHG, 0 },
    { sem_MUL, CL_MUL, 4 },
    { sem_DIV, CL_DIV, 6 },
    { sem_IDIV, CL_DIV, 7 },
    { sem_XADD, CL_XADD, 0 },
    { sem_BSF, CL_SCAN, 0x3c },
    { sem_BSR, CL_SCAN, 0x3d },
    { sem_TZCNT, CL_SCAN, SCAN_F3 | 0x3c },
    { sem_LZCNT, CL_SCAN, SCAN_F3 | 0x3d },
    { sem_POPCNT, CL_SCAN, SCAN_F3 | 0x38 },
    { sem_SHLD, CL_SHIFT2, UN_SHL },
    { sem_SHRD, CL_SHIFT2, UN_SHR },
};

static const struct {
    bool (*decide)(Gen *g, OpInfo *in, const Insn *op);
    void (*emit)(Gen *g, const Insn *op);
} templates[CL_COUNT] = {
    [CL_ALU] = { gen_decide_alu, gen_alu },
    [CL_UNARY] = { gen_decide_unary, gen_unary },
    [CL_SHIFT] = { gen_decide_shift, gen_shift },
    [CL_IMUL] = { gen_decide_imul, gen_imul },
    [CL_XCHG] = { gen_decide_xchg, gen_xchg },
    [CL_LEA] = { gen_decide_lea, gen_lea },
    [CL_EXTEND] = { gen_decide_extend, gen_extend },
    [CL_JCC] = { gen_decide_jcc, gen_jcc },
    [CL_SETCC] = { gen_operands, gen_setcc },
    [CL_CMOV] = { gen_decide_cmov, gen_cmov },
    [CL_PUSH] = { gen_decide_flow, gen_push },
    [CL_POP] = { gen_decide_flow, gen_pop },
    [CL_LEAVE] = { gen_decide_flow, gen_leave },
    [CL_CALL] = { gen_decide_flow, gen_call },
    [CL_JMP] = { gen_decide_flow, gen_jmp },
    [CL_RET] = { gen_decide_flow, gen_ret },
    [CL_NOP] = { gen_decide_fixed, gen_nop },
    [CL_CBW] = { gen_decide_fixed, gen_cbw },
    [CL_CWD] = { gen_decide_fixed, gen_cwd },
    [CL_BITS] = { gen_decide_bits, gen_bit },
    [CL_BSWAP] = { gen_decide_bswap, gen_bswap },
    [CL_CMPXCHG] = { gen_decide_cmpxchg, gen_cmpxchg },
    [CL_MUL] = { gen_operands, gen_mul },
    [CL_DIV] = { gen_decide_div, gen_div },
    [CL_XADD] = { gen_decide_xadd, gen_xadd },
    [CL_SCAN] = { gen_decide_scan, gen_scan },
    [CL_SHIFT2] = { gen_decide_shift2, gen_shift2 },
    [CL_SIMD] = { gen_decide_simd, gen_simd },
};

unsigned gen_template(Gen *g, const Insn *op)
{
    g->done = 1;
    templates[g->info[g->i].cls].emit(g, op);
    return g->done;
}

/* ---- one operation ---------------------------------------------------------------- */

static void gen_classify(OpInfo *in, const Insn *op)
{
    if (in->cls == CL_IMUL && insn_rows[op->id].op[1].kind == OPK_NONE) {
        in->cls = CL_MUL;
        in->arg = 5;
    }
    if (in->cls != CL_NONE && in->cls != CL_BT) {
        return;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(gen_rows); i++) {
        if (insn_rows[op->id].sem == gen_rows[i].sem) {
            in->cls = gen_rows[i].cls;
            in->arg = gen_rows[i].arg;
            return;
        }
    }
    if (insn_rows[op->id].attr & (IA_SSE | IA_AVX)) {
        in->cls = CL_SIMD;
        in->arg = SIMD_BY_ROW;
    }
}

void gen_decide(Gen *g, unsigned i)
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
    if (templates[in->cls].decide && templates[in->cls].decide(g, in, op)) {
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

#endif
