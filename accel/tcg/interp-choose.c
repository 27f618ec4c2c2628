/*
 * Chooses handlers for a block that was just decoded.
 *
 * Three passes. From the end: which flags will anybody see, and the handler
 * for operands and mode. From the start: who produces the flags that a Jcc or
 * SETcc reads. Then a compare and the jump behind it become one handler.
 *
 * Flags may only be skipped if nothing can look at them in between, and
 * anything that can fault looks at them: the fault's frame has RFLAGS. So
 * memory operands and everything that goes through a reference function count
 * as readers of all flags.
 */
#include "util/osdep.h"
#include "accel/tcg/interp-impl.h"
#include "target-x86/operand.h"

static const struct {
    InsnFn *sem;
    uint8_t cls, arg;
} choose_classes[] = {
    { sem_ADD, CL_ALU, ALU_ADD },   { sem_OR, CL_ALU, ALU_OR },
    { sem_ADC, CL_ALU, ALU_ADC },   { sem_SBB, CL_ALU, ALU_SBB },
    { sem_AND, CL_ALU, ALU_AND },   { sem_SUB, CL_ALU, ALU_SUB },
    { sem_XOR, CL_ALU, ALU_XOR },   { sem_CMP, CL_ALU, ALU_CMP },
    { sem_TEST, CL_ALU, ALU_TEST }, { sem_MOV, CL_ALU, ALU_MOV },
    { sem_INC, CL_UNARY, UN_INC },  { sem_DEC, CL_UNARY, UN_DEC },
    { sem_NEG, CL_UNARY, UN_NEG },  { sem_NOT, CL_UNARY, UN_NOT },
    { sem_SHL, CL_SHIFT, UN_SHL },  { sem_SHR, CL_SHIFT, UN_SHR },
    { sem_SAR, CL_SHIFT, UN_SAR },  { sem_ROL, CL_SHIFT, UN_ROL },
    { sem_ROR, CL_SHIFT, UN_ROR },  { sem_IMUL, CL_IMUL, 0 },
    { sem_BT, CL_BT, 0 },           { sem_XCHG, CL_XCHG, 0 },
    { sem_LEA, CL_LEA, 0 },         { sem_MOVZX, CL_EXTEND, 0 },
    { sem_MOVSX, CL_EXTEND, 1 },    { sem_MOVSXD, CL_EXTEND, 1 },
    { sem_JCC, CL_JCC, 0 },         { sem_SETCC, CL_SETCC, 0 },
    { sem_CMOVCC, CL_CMOV, 0 },     { sem_PUSH, CL_PUSH, 0 },
    { sem_POP, CL_POP, 0 },         { sem_LEAVE, CL_LEAVE, 0 },
    { sem_CALL, CL_CALL, 0 },       { sem_JMP, CL_JMP, 0 },
    { sem_RET, CL_RET, 0 },         { sem_NOP, CL_NOP, 0 },
    { sem_CBW, CL_CBW, 0 },         { sem_CWD, CL_CWD, 0 },
};

uint16_t *interp_classify(void)
{
    uint16_t *by_row = g_new0(uint16_t, insn_row_count);

    for (unsigned id = 0; id < insn_row_count; id++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(choose_classes); i++) {
            if (insn_rows[id].sem == choose_classes[i].sem &&
                choose_classes[i].sem) {
                by_row[id] = choose_classes[i].cls << 8 | choose_classes[i].arg;
            }
        }
        for (unsigned i = 0; i < interp_simd_count; i++) {
            if (insn_rows[id].sem == interp_simd[i].sem &&
                !(insn_rows[id].attr & IA_MMX)) {
                by_row[id] = CL_SIMD << 8 | i;
            }
        }
    }
    return by_row;
}

/* A block on its way through the passes. */
typedef struct Choice {
    TcgCpu *tc;
    Tb *tb;
    uint32_t key;
    bool code64, flat;
    /* Of the operation at hand: */
    bool pure; /* the handler cannot fault or leave: no barrier for flags */
    /* By operation: class and argument, and size where the flags come from. */
    uint8_t cls[BLOCK_MAX + 1], arg[BLOCK_MAX + 1];
    uint8_t log2[BLOCK_MAX + 1], form[BLOCK_MAX + 1];
    bool hot[BLOCK_MAX + 1];   /* has a handler of its own */
    bool flags[BLOCK_MAX + 1]; /* ... which leaves flags */
} Choice;

enum { FORM_NONE = 0xff };

/* ---- operands ------------------------------------------------------------------- */

static OpArgs *choose_args(Insn *op)
{
    return (OpArgs *)&op->priv;
}

static unsigned choose_reg(unsigned r, unsigned size)
{
    unsigned at = offsetof(X86Cpu, s.gpr);

    if (size == 1 && (r & INSN_HIGH)) {
        return at + (r & 3) * 8 + 1;
    }
    return at + (r & 15) * 8;
}

/* The register that operand @n is, as an offset; -1: it is none. */
static int choose_operand_reg(const Insn *op, int n, unsigned size)
{
    const InsnOperand *o = &insn_rows[op->id].op[n];

    switch (o->kind) {
    case OPK_G:
        return choose_reg(op->reg, size);
    case OPK_E:
        return op->is_mem ? -1 : (int)choose_reg(op->rm, size);
    case OPK_R:
    case OPK_Z:
        return choose_reg(op->rm, size);
    case OPK_FIXED:
        return choose_reg(o->reg, size);
    }
    return -1;
}

static bool choose_is_imm(const Insn *op, int n)
{
    return insn_rows[op->id].op[n].kind == OPK_IMM;
}

static bool choose_is_mem(const Insn *op, int n)
{
    unsigned kind = insn_rows[op->id].op[n].kind;

    return (op->is_mem && (kind == OPK_E || kind == OPK_M)) ||
           kind == OPK_MOFFS;
}

/* The displacement as handlers add it. false: it does not fit. */
static bool choose_disp(Insn *op, int64_t disp)
{
    if (op->base == INSN_RIP) {
        disp += op->off + op->len;
    }
    choose_args(op)->disp = disp;
    return disp == (int32_t)disp;
}

/* How to make the address of the operand, or -1: by op_addr(). */
static int choose_ea(const Choice *ch, const Insn *op)
{
    if (op->adsize == 1 || op->vsib) {
        return -1;
    }
    if (ch->code64 && op->adsize == 3 && op->seg >= S_FS &&
        op->index == INSN_NONE) {
        return EA_S;
    }
    if (!ch->code64 || op->adsize != 3 || op->seg >= S_FS ||
        op->base == INSN_NONE) {
        return EA_G;
    }
    return op->index == INSN_NONE ? EA_B : EA_BI;
}

/* The same, -1 also if the access needs checks that only the slow path makes;
 * sets disp. */
static int choose_mem(const Choice *ch, Insn *op, int n)
{
    bool moffs = insn_rows[op->id].op[n].kind == OPK_MOFFS;
    int ea = moffs ? EA_G : choose_ea(ch, op);

    if (!ch->flat || (ch->key & MODE_AC) || op->lock || ea < 0 ||
        (!ch->code64 && (op->seg >= S_FS || op->seg == S_CS))) {
        return -1;
    }
    if (moffs &&
        (op->base != INSN_NONE || op->index != INSN_NONE || op->adsize == 1)) {
        return -1;
    }
    return choose_disp(op, moffs ? op->simm : op->disp) ? ea : -1;
}

static const SizeOps *choose_size(const Insn *op, int n)
{
    return interp_size_ops[__builtin_ctz(op_size(op, n))];
}

/* ---- by class: NULL is the generic handler ----------------------------------------- */

static InsnFn *choose_alu(Choice *ch, unsigned i, Insn *op, bool fl)
{
    unsigned size = op_size(op, 0);
    OpArgs *a = choose_args(op);
    int r1 = choose_operand_reg(op, 0, size);
    int r2 = choose_operand_reg(op, 1, size), ea, form;

    ch->log2[i] = __builtin_ctz(size);
    if (r1 >= 0 && r2 >= 0) {
        form = FORM_RR;
    } else if (r1 >= 0 && choose_is_imm(op, 1)) {
        form = FORM_RI;
    } else if (r1 >= 0 && choose_is_mem(op, 1)) {
        ea = choose_mem(ch, op, 1);
        form = ea < 0 ? -1 : FORM_RM + ea;
    } else if (choose_is_mem(op, 0) && (r2 >= 0 || choose_is_imm(op, 1))) {
        ea = choose_mem(ch, op, 0);
        form = ea < 0 ? -1 : (r2 >= 0 ? FORM_MR : FORM_MI) + ea;
    } else {
        form = -1;
    }
    if (form < 0) {
        return NULL;
    }
    a->r1 = r1;
    a->r2 = r2;
    ch->form[i] = form;
    ch->pure = form <= FORM_RI;
    if (ch->arg[i] == ALU_CMP || ch->arg[i] == ALU_TEST) {
        fl = true;
    } else if (ch->arg[i] == ALU_MOV) {
        fl = false;
    }
    ch->flags[i] = fl;
    return interp_size_ops[ch->log2[i]]->alu[ch->arg[i]][form][fl];
}

static InsnFn *choose_unary(Choice *ch, unsigned i, Insn *op, bool fl)
{
    unsigned size = op_size(op, 0);
    int r1 = choose_operand_reg(op, 0, size), ea;
    const SizeOps *so = choose_size(op, 0);

    ch->log2[i] = __builtin_ctz(size);
    ch->flags[i] = fl;
    if (r1 >= 0) {
        choose_args(op)->r1 = r1;
        ch->form[i] = FORM_RR;
        ch->pure = true;
        return so->unary[ch->arg[i]][fl];
    }
    ea = choose_mem(ch, op, 0);
    return ea < 0 ? NULL : so->unary_m[ch->arg[i]][ea][fl];
}

static InsnFn *choose_shift(Choice *ch, unsigned i, Insn *op, bool fl)
{
    unsigned size = op_size(op, 0), what = ch->arg[i];
    unsigned kind = insn_rows[op->id].op[1].kind;
    int r1 = choose_operand_reg(op, 0, size);
    InsnFn *fn;

    if (r1 < 0) {
        return NULL;
    }
    if (kind == OPK_FIXED) { /* CL */
        what += UN_SHL_CL - UN_SHL;
    } else {
        unsigned n = kind == OPK_ONE ? 1 : op->imm & (size == 8 ? 63 : 31);

        if (n == 0) {
            return NULL;
        }
        op->imm = n;
    }
    fn = choose_size(op, 0)->unary[what][fl];
    if (fn) {
        choose_args(op)->r1 = r1;
        ch->log2[i] = __builtin_ctz(size);
        ch->flags[i] = fl;
        ch->pure = true;
    }
    return fn;
}

static InsnFn *choose_imul(Choice *ch, unsigned i, Insn *op, bool fl)
{
    const InsnRow *row = &insn_rows[op->id];
    unsigned size = op_size(op, 0);
    int r1 = choose_operand_reg(op, 0, size);
    int r2 = choose_operand_reg(op, 1, size), ea;
    const SizeOps *so = choose_size(op, 0);

    if (row->op[0].kind != OPK_G) {
        return NULL;
    }
    ch->log2[i] = __builtin_ctz(size);
    ch->flags[i] = fl;
    choose_args(op)->r1 = r1;
    choose_args(op)->r2 = r2;
    if (r2 >= 0) {
        ch->pure = true;
        return row->op[2].kind == OPK_NONE ? so->imul_rr[fl] : so->imul_rri[fl];
    }
    if (row->op[2].kind != OPK_NONE) {
        return NULL;
    }
    ea = choose_mem(ch, op, 1);
    return ea < 0 ? NULL : so->imul_rm[ea][fl];
}

static InsnFn *choose_bt(Choice *ch, unsigned i, Insn *op)
{
    unsigned size = op_size(op, 0);
    int r1 = choose_operand_reg(op, 0, size);
    int r2 = choose_operand_reg(op, 1, size);

    if (r1 < 0) {
        return NULL;
    }
    choose_args(op)->r1 = r1;
    choose_args(op)->r2 = r2;
    ch->pure = true;
    return r2 >= 0 ? choose_size(op, 0)->bt_rr : choose_size(op, 0)->bt_ri;
}

static InsnFn *choose_two_regs(Choice *ch, Insn *op, InsnFn *fn)
{
    unsigned size = op_size(op, 0);
    int r1 = choose_operand_reg(op, 0, size);
    int r2 = choose_operand_reg(op, 1, size);

    if (r1 < 0 || r2 < 0) {
        return NULL;
    }
    choose_args(op)->r1 = r1;
    choose_args(op)->r2 = r2;
    ch->pure = true;
    return fn;
}

static InsnFn *choose_lea(Choice *ch, Insn *op)
{
    int ea = choose_ea(ch, op);

    if (ea < 0 || op->seg >= S_FS || !choose_disp(op, op->disp)) {
        return NULL;
    }
    choose_args(op)->r1 = choose_reg(op->reg, 8);
    ch->pure = true;
    return choose_size(op, 0)->lea[ea];
}

static InsnFn *choose_extend(Choice *ch, unsigned i, Insn *op)
{
    unsigned from = op_size(op, 1), to = op_size(op, 0);
    int r2 = choose_operand_reg(op, 1, from), ea;
    InsnFn *const *fns =
        interp_extend[ch->arg[i]][__builtin_ctz(from)][__builtin_ctz(to)];

    if (from > 4) {
        return NULL;
    }
    choose_args(op)->r1 = choose_reg(op->reg, to);
    if (r2 >= 0) {
        choose_args(op)->r2 = r2;
        ch->pure = fns[0];
        return fns[0];
    }
    ea = choose_mem(ch, op, 1);
    return ea < 0 ? NULL : fns[1 + ea];
}

/* Which of the stack's widths the mode has, if the operand's is the same:
 * 0 for 64 bits, 1 for 32, -1. */
static int choose_width(uint32_t key, const Insn *op)
{
    const uint32_t all = MODE_FLAT | MODE_CODE32 | MODE_STACK32;

    if (key & MODE_AC) {
        return -1;
    }
    if (key & MODE_CODE64) {
        return op->opsize == 3 ? 0 : -1;
    }
    return (key & all) == all && op->opsize == 2 ? 1 : -1;
}

static InsnFn *choose_push(Choice *ch, Insn *op)
{
    int w = choose_width(ch->key, op), r1 = choose_operand_reg(op, 0, 8);

    if (w < 0) {
        return NULL;
    }
    if (r1 >= 0) {
        choose_args(op)->r1 = r1;
        return interp_push_r[w];
    }
    return choose_is_imm(op, 0) ? interp_push_i[w] : NULL;
}

static InsnFn *choose_pop(Choice *ch, Insn *op)
{
    int w = choose_width(ch->key, op), r1 = choose_operand_reg(op, 0, 8);

    if (w < 0 || r1 < 0) {
        return NULL;
    }
    choose_args(op)->r1 = r1;
    return interp_pop_r[w];
}

/* A direct jump in a block at @host: its distance from the block's start.
 * false: too far. */
static bool choose_distance(const uint8_t *host, Insn *op, bool *far)
{
    int64_t d = op->simm + op->off + op->len;
    int64_t at = ((uintptr_t)host & ~PAGE_MASK) + d;

    *far = at < 0 || at >= PAGE_SIZE;
    if (d != (int32_t)d) {
        return false;
    }
    op->disp = d;
    return true;
}

static InsnFn *choose_transfer(Choice *ch, Insn *op, bool call)
{
    int w = choose_width(ch->key, op), ea;
    bool far;

    if (w < 0) {
        return NULL;
    }
    if (insn_rows[op->id].op[0].kind == OPK_REL) {
        if (!choose_distance(ch->tb->host, op, &far)) {
            return NULL;
        }
        far |= ch->tb->host2 != NULL;
        return call ? interp_call[w][far] : interp_jmp[w][far];
    }
    if (!op->is_mem) {
        choose_args(op)->r1 = choose_reg(op->rm, 8);
        return call ? interp_call_r[w] : interp_jmp_r[w];
    }
    ea = w == 0 ? choose_mem(ch, op, 0) : -1;
    if (ea < 0) {
        return NULL;
    }
    return call ? interp_call_m[ea] : interp_jmp_m[ea];
}

bool interp_passes(const Insn *in, const uint8_t *host, uint32_t key)
{
    Insn op = *in;
    bool far;

    return insn_rows[op.id].sem == sem_JCC && !(key & MODE_SLOW) &&
           choose_width(key, &op) >= 0 && choose_distance(host, &op, &far) &&
           (!far || (key & MODE_CODE64));
}

/* Its number in the block goes to imm: so many are done when it is taken. */
static InsnFn *choose_jcc(Choice *ch, unsigned i, Insn *op)
{
    bool far;

    if (!interp_passes(op, ch->tb->host, ch->key)) {
        return NULL;
    }
    choose_distance(ch->tb->host, op, &far);
    op->rm = far || ch->tb->host2;
    op->reg = insn_rows[op->id].opcode & 15;
    op->imm = i + 1;
    return op_jcc;
}

static InsnFn *choose_setcc(Choice *ch, Insn *op)
{
    int r1 = choose_operand_reg(op, 0, 1);

    if (r1 < 0) {
        return NULL;
    }
    choose_args(op)->r1 = r1;
    op->reg = insn_rows[op->id].opcode & 15;
    ch->pure = true;
    return op_setcc;
}

static InsnFn *choose_cmov(Choice *ch, Insn *op)
{
    InsnFn *fn = op->opsize == 1 ? NULL : choose_two_regs(ch, op, op_cmov);

    if (fn) {
        op->reg = insn_rows[op->id].opcode & 15;
    }
    return fn;
}

static InsnFn *choose_simd(Choice *ch, unsigned i, Insn *op)
{
    const SimdOps *so = &interp_simd[ch->arg[i]];
    unsigned to = insn_rows[op->id].op[0].kind;
    bool store = to != OPK_V && to != OPK_G;
    int ea;

    if (op->is_mem) {
        ea = choose_mem(ch, op, 0);
        if (ea < 0) {
            return NULL;
        }
        ea = ea == EA_S ? EA_G : ea; /* which knows segments too */
        return store ? (op->vex ? so->vs[ea] : so->s[ea])
                     : (op->vex ? so->vm[ea] : so->m[ea]);
    }
    ch->pure = so->pure;
    if (insn_rows[op->id].opcode < 0x80 && so->imm) {
        return op->vex ? so->vimm : so->imm;
    }
    if (store) {
        return NULL; /* the rare encoding of a register move */
    }
    return op->vex ? so->vr : so->r;
}

static InsnFn *choose_one(Choice *ch, unsigned i, Insn *op, bool fl)
{
    int w;

    switch (ch->cls[i]) {
    case CL_ALU:
        return choose_alu(ch, i, op, fl);
    case CL_UNARY:
        return choose_unary(ch, i, op, fl);
    case CL_SHIFT:
        return choose_shift(ch, i, op, fl);
    case CL_IMUL:
        return choose_imul(ch, i, op, fl);
    case CL_BT:
        return choose_bt(ch, i, op);
    case CL_XCHG:
        return choose_two_regs(ch, op, choose_size(op, 0)->xchg_rr);
    case CL_LEA:
        return choose_lea(ch, op);
    case CL_EXTEND:
        return choose_extend(ch, i, op);
    case CL_JCC:
        return choose_jcc(ch, i, op);
    case CL_SETCC:
        return choose_setcc(ch, op);
    case CL_CMOV:
        return choose_cmov(ch, op);
    case CL_PUSH:
        return choose_push(ch, op);
    case CL_POP:
        return choose_pop(ch, op);
    case CL_LEAVE:
        w = choose_width(ch->key, op);
        return w < 0 ? NULL : interp_leave[w];
    case CL_CALL:
        return choose_transfer(ch, op, true);
    case CL_JMP:
        return choose_transfer(ch, op, false);
    case CL_RET:
        w = choose_width(ch->key, op);
        return w < 0 ? NULL : interp_ret[w];
    case CL_NOP:
        ch->pure = true;
        return op_nop;
    case CL_CBW:
        ch->pure = true;
        return interp_cbw[op->opsize];
    case CL_CWD:
        ch->pure = true;
        return interp_cwd[op->opsize];
    case CL_SIMD:
        return choose_simd(ch, i, op);
    }
    return NULL;
}

/* ---- the passes --------------------------------------------------------------------- */

static void choose_handlers(Choice *ch)
{
    Tb *tb = ch->tb;
    uint32_t live = FL_ARITH;

    for (unsigned i = tb->n; i-- > 0;) {
        Insn *op = &tb->op[i];
        const InsnRow *row = &insn_rows[op->id];
        InsnFn *fn;

        if (op->exec) { /* raises a fault at once */
            live = FL_ARITH;
            continue;
        }
        op->priv = 0;
        ch->cls[i] = ch->tc->accel->op_class[op->id] >> 8;
        ch->arg[i] = ch->tc->accel->op_class[op->id];
        ch->form[i] = FORM_NONE;
        ch->pure = ch->hot[i] = ch->flags[i] = false;
        fn = choose_one(ch, i, op, live & row->fl_write);
        if (!fn) {
            op->priv = 0;
            op->exec = interp_generic(op, false);
            live = FL_ARITH;
            continue;
        }
        ch->hot[i] = true;
        op->exec = fn;
        if (ch->pure) {
            live = (live & ~(row->fl_write | row->fl_undef)) | row->fl_read;
        } else {
            live = FL_ARITH;
        }
    }
}

/* What the lazy flags will be before operation @i: LazyFlags.op, or 0. */
static uint32_t choose_producer(const Choice *ch, unsigned i)
{
    while (i-- > 0) {
        const InsnRow *row = &insn_rows[ch->tb->op[i].id];

        if (!ch->hot[i]) {
            if (row->attr & IA_FLAGLESS) {
                continue;
            }
            return 0;
        }
        if (!ch->flags[i]) {
            if (ch->cls[i] == CL_BT) {
                return 0;
            }
            continue;
        }
        switch (ch->cls[i]) {
        case CL_ALU:
            switch (ch->arg[i]) {
            case ALU_SUB:
            case ALU_CMP:
                return FLAGS_SUB + ch->log2[i];
            case ALU_ADD:
            case ALU_ADC:
            case ALU_SBB:
                return FLAGS_ADD + ch->log2[i];
            }
            return FLAGS_LOGIC + ch->log2[i];
        case CL_UNARY:
            return (ch->arg[i] == UN_NEG ? FLAGS_SUB : FLAGS_INC) + ch->log2[i];
        default:
            return FLAGS_INC + ch->log2[i];
        }
    }
    return 0;
}

/* A guess for those whose flags come from the same block; op_jcc() and the
 * others learn at the first time. */
static void choose_condition(Choice *ch, unsigned i)
{
    Insn *op = &ch->tb->op[i];
    InsnFn *fn = interp_condition(ch->cls[i] == CL_JCC     ? COND_JCC
                                  : ch->cls[i] == CL_SETCC ? COND_SETCC
                                                           : COND_CMOV,
                                  choose_producer(ch, i), op->reg);

    if (fn) {
        op->exec = fn;
    }
}

/* PUSHes or POPs of registers in a row, from @i on; returns how many. */
static unsigned choose_run(Choice *ch, unsigned i)
{
    unsigned cls = ch->cls[i], n = 0;
    InsnFn *single = cls == CL_PUSH ? interp_push_r[0] : interp_pop_r[0];

    while (i + n < ch->tb->n && n < RUN_MAX &&
           ch->tb->op[i + n].exec == single &&
           op_args(&ch->tb->op[i + n])->r1 != choose_reg(R_RSP, 8)) {
        n++;
    }
    for (unsigned k = 0; k + 1 < n; k++) {
        ch->tb->op[i + k].exec =
            (cls == CL_PUSH ? interp_push_run : interp_pop_run)[n - k];
    }
    return n ? n : 1;
}

static int choose_fuse_form(unsigned form)
{
    switch (form) {
    case FORM_RR:
        return FUSE_RR;
    case FORM_RI:
        return FUSE_RI;
    case FORM_RM + EA_B:
        return FUSE_RM;
    case FORM_MR + EA_B:
        return FUSE_MR;
    case FORM_MI + EA_B:
        return FUSE_MI;
    }
    return -1;
}

/* The operation @i with the conditional jump behind it. */
static void choose_fusion(Choice *ch, unsigned i)
{
    unsigned cc = ch->tb->op[i + 1].reg;
    const SizeOps *so = interp_size_ops[ch->log2[i]];
    int form = choose_fuse_form(ch->form[i]);
    InsnFn *fn = NULL;

    if (!ch->hot[i] || form < 0) {
        return;
    }
    if (ch->cls[i] == CL_ALU && ch->arg[i] == ALU_CMP) {
        fn = so->cmp_jcc[form][cc];
    } else if (ch->cls[i] == CL_ALU && ch->arg[i] == ALU_TEST) {
        fn = so->test_jcc[form][cc];
    } else if (ch->cls[i] == CL_ALU && ch->arg[i] == ALU_SUB &&
               form <= FUSE_RI) {
        fn = so->sub_jcc[form][cc];
    } else if (ch->cls[i] == CL_UNARY && ch->arg[i] == UN_DEC) {
        fn = so->dec_jcc[cc];
    } else if (ch->cls[i] == CL_UNARY && ch->arg[i] == UN_INC) {
        fn = so->inc_jcc[cc];
    }
    if (fn) {
        ch->tb->op[i].exec = fn;
    }
}

/* One instruction at a time: nothing but the reference functions. */
static void choose_slow(Tb *tb)
{
    for (unsigned i = 0; i < tb->n; i++) {
        if (!tb->op[i].exec) {
            tb->op[i].priv = 0;
            tb->op[i].exec = interp_generic(&tb->op[i], true);
        }
    }
}

void interp_specialise(TcgCpu *tc, Tb *tb)
{
    Choice ch = {
        .tc = tc,
        .tb = tb,
        .key = tb->key,
        .code64 = tb->key & MODE_CODE64,
        .flat = tb->key & MODE_FLAT,
    };

    tb->op[tb->n].exec = interp_fall(tb);
    if (tb->key & MODE_SLOW) {
        choose_slow(tb);
        return;
    }
    choose_handlers(&ch);
    for (unsigned i = 0; i < tb->n; i++) {
        if (!ch.hot[i]) {
            continue;
        }
        if (ch.cls[i] == CL_JCC || ch.cls[i] == CL_SETCC ||
            ch.cls[i] == CL_CMOV) {
            choose_condition(&ch, i);
            if (ch.cls[i] == CL_JCC && i > 0) {
                choose_fusion(&ch, i - 1);
            }
        } else if (ch.cls[i] == CL_PUSH || ch.cls[i] == CL_POP) {
            i += choose_run(&ch, i) - 1;
        }
    }
}

/* ---- for the translator -------------------------------------------------------------- */

int interp_operand_reg(const Insn *op, int n, unsigned size)
{
    return choose_operand_reg(op, n, size);
}

static bool interp_mem(const Insn *op, int n, uint32_t key, int32_t *disp)
{
    Choice ch = {
        .key = key,
        .code64 = key & MODE_CODE64,
        .flat = key & MODE_FLAT,
    };
    Insn copy = *op;

    if (choose_mem(&ch, &copy, n) < 0) {
        return false;
    }
    *disp = op_args(&copy)->disp;
    return true;
}

bool interp_operand_mem(const Insn *op, int n, uint32_t key, int32_t *disp)
{
    return choose_is_mem(op, n) && interp_mem(op, n, key, disp);
}

bool interp_vector_mem(const Insn *op, uint32_t key, int32_t *disp)
{
    return op->is_mem && interp_mem(op, 0, key, disp);
}

bool interp_address(const Insn *op, uint32_t key, int32_t *disp)
{
    Choice ch = { .code64 = key & MODE_CODE64 };
    Insn copy = *op;

    if (choose_ea(&ch, op) < 0 || op->seg >= S_FS ||
        !choose_disp(&copy, op->disp)) {
        return false;
    }
    *disp = op_args(&copy)->disp;
    return true;
}

int interp_stack_width(const Insn *op, uint32_t key)
{
    return choose_width(key, op);
}
