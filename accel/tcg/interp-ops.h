/*
 * Handlers of one operand size: a template. The includer defines SIZE (1, 2,
 * 4, 8), LOG2, T and ST (unsigned and signed type) and X(name), which makes a
 * name of this size.
 */

/* ---- registers ------------------------------------------------------------------ */

static ALWAYS_INLINE T X(get)(X86Cpu *c, unsigned off)
{
    return *(T *)op_reg(c, off);
}

/* A 32-bit result clears the upper half. */
static ALWAYS_INLINE void X(put)(X86Cpu *c, unsigned off, T v)
{
    if (SIZE == 4) {
        *(uint64_t *)op_reg(c, off) = v;
    } else {
        *(T *)op_reg(c, off) = v;
    }
}

/* ---- two operands ------------------------------------------------------------------ */

static ALWAYS_INLINE T X(alu)(X86Cpu *c, AluOp what, bool fl, T a, T b)
{
    uint32_t kind;
    T res;

    switch (what) {
    case ALU_ADD:
        res = a + b;
        kind = FLAGS_ADD;
        break;
    case ALU_ADC: {
        bool cf = op_carry(c);

        res = a + b + cf;
        kind = cf ? FLAGS_ADC : FLAGS_ADD;
        break;
    }
    case ALU_SUB:
    case ALU_CMP:
        res = a - b;
        kind = FLAGS_SUB;
        break;
    case ALU_SBB: {
        bool cf = op_carry(c);

        res = a - b - cf;
        kind = cf ? FLAGS_SBB : FLAGS_SUB;
        break;
    }
    case ALU_AND:
    case ALU_TEST:
        res = a & b;
        kind = FLAGS_LOGIC;
        break;
    case ALU_OR:
        res = a | b;
        kind = FLAGS_LOGIC;
        break;
    case ALU_XOR:
        res = a ^ b;
        kind = FLAGS_LOGIC;
        break;
    default: /* ALU_MOV */
        return b;
    }
    if (fl) {
        c->lazy.res = res;
        if (kind != FLAGS_LOGIC) {
            c->lazy.src = b;
        }
        c->lazy.op = kind + LOG2;
    }
    return res;
}

#define ALU_WRITES(what) ((what) != ALU_CMP && (what) != ALU_TEST)

static ALWAYS_INLINE void X(do_rr)(X86Cpu *c, const Insn *op, AluOp what,
                                   bool fl)
{
    unsigned r1 = op_args(op)->r1;
    T b = X(get)(c, op_args(op)->r2);
    T res = X(alu)(c, what, fl, what == ALU_MOV ? 0 : X(get)(c, r1), b);

    if (ALU_WRITES(what)) {
        X(put)(c, r1, res);
    }
    return op_next(c, op + 1);
}

static ALWAYS_INLINE void X(do_ri)(X86Cpu *c, const Insn *op, AluOp what,
                                   bool fl)
{
    unsigned r1 = op_args(op)->r1;
    T res = X(alu)(c, what, fl, what == ALU_MOV ? 0 : X(get)(c, r1), op->imm);

    if (ALU_WRITES(what)) {
        X(put)(c, r1, res);
    }
    return op_next(c, op + 1);
}

static ALWAYS_INLINE void X(do_rm)(X86Cpu *c, const Insn *op, AluOp what,
                                   OpEa ea, bool fl)
{
    uint64_t lin = op_ea(c, op, ea);
    unsigned r1 = op_args(op)->r1;
    void *p;
    T res;

    if (unlikely(!op_tlb_read(c, lin, SIZE, &p))) {
        return op_sem(c, op);
    }
    res = X(alu)(c, what, fl, what == ALU_MOV ? 0 : X(get)(c, r1), *(T *)p);
    if (ALU_WRITES(what)) {
        X(put)(c, r1, res);
    }
    return op_next(c, op + 1);
}

static ALWAYS_INLINE void X(do_mx)(X86Cpu *c, const Insn *op, AluOp what,
                                   OpEa ea, bool fl, T b)
{
    uint64_t lin = op_ea(c, op, ea);
    void *p;
    T res;

    if (unlikely(!(ALU_WRITES(what) ? op_tlb_write(c, lin, SIZE, &p)
                                    : op_tlb_read(c, lin, SIZE, &p)))) {
        return op_sem(c, op);
    }
    res = X(alu)(c, what, fl, what == ALU_MOV ? 0 : *(T *)p, b);
    if (ALU_WRITES(what)) {
        *(T *)p = res;
    }
    return op_next(c, op + 1);
}

#define DEF(name, call) \
    static void X(name)(X86Cpu * c, const Insn *op) \
    { \
        return call; \
    }

#define DEF_ALU_EA(what, WHAT, fl, ea, EA) \
    DEF(what##_rm_##ea##fl, X(do_rm)(c, op, WHAT, EA, fl)) \
    DEF(what##_mr_##ea##fl, \
        X(do_mx)(c, op, WHAT, EA, fl, X(get)(c, op_args(op)->r2))) \
    DEF(what##_mi_##ea##fl, X(do_mx)(c, op, WHAT, EA, fl, op->imm))

#define DEF_ALU_FL(what, WHAT, fl) \
    DEF(what##_rr##fl, X(do_rr)(c, op, WHAT, fl)) \
    DEF(what##_ri##fl, X(do_ri)(c, op, WHAT, fl)) \
    DEF_ALU_EA(what, WHAT, fl, b, EA_B) \
    DEF_ALU_EA(what, WHAT, fl, bi, EA_BI) \
    DEF_ALU_EA(what, WHAT, fl, s, EA_S) \
    DEF_ALU_EA(what, WHAT, fl, g, EA_G)

#define DEF_ALU(what, WHAT) \
    DEF_ALU_FL(what, WHAT, 0) \
    DEF_ALU_FL(what, WHAT, 1)

DEF_ALU(add, ALU_ADD)
DEF_ALU(or, ALU_OR)
DEF_ALU(adc, ALU_ADC)
DEF_ALU(sbb, ALU_SBB)
DEF_ALU(and, ALU_AND)
DEF_ALU(sub, ALU_SUB)
DEF_ALU(xor, ALU_XOR)
DEF_ALU_FL(cmp, ALU_CMP, 1)
DEF_ALU_FL(test, ALU_TEST, 1)
DEF_ALU_FL(mov, ALU_MOV, 0)

/* ---- one operand, shifts ----------------------------------------------------------- */

enum { X(BITS) = SIZE * 8 };

static ALWAYS_INLINE void X(set_flags)(X86Cpu *c, uint32_t kind, T res, T src)
{
    c->lazy.res = res;
    c->lazy.src = src;
    c->lazy.op = kind + LOG2;
}

/* The result of a shift or rotate by @n, 1 to 31 or 63. */
static ALWAYS_INLINE T X(shift)(X86Cpu *c, UnaryOp what, bool fl, T a,
                                unsigned n)
{
    unsigned wide = X(BITS), last = n - 1;
    uint32_t kind;
    T res, src;

    switch (what) {
    case UN_ROL:
        n &= wide - 1;
        return (T)(a << n) | (T)(a >> (-n & (wide - 1)));
    case UN_ROR:
        n &= wide - 1;
        return (T)(a >> n) | (T)(a << (-n & (wide - 1)));
    case UN_SHL: /* 8 and 16 bits may be shifted out altogether */
        src = SIZE < 4 ? (T)((uint64_t)a << last) : (T)(a << last);
        res = src << 1;
        kind = FLAGS_SHL;
        break;
    case UN_SHR:
        src = SIZE < 4 ? (T)((uint64_t)a >> last) : (T)(a >> last);
        res = src >> 1;
        kind = FLAGS_SHR;
        break;
    default: /* UN_SAR */
        src = SIZE < 4 ? (T)((int64_t)(ST)a >> last) : (T)((ST)a >> last);
        res = (ST)src >> 1;
        kind = FLAGS_SAR;
        break;
    }
    if (fl) {
        X(set_flags)(c, kind, res, src);
    }
    return res;
}

static ALWAYS_INLINE T X(unary)(X86Cpu *c, UnaryOp what, bool fl, T a)
{
    bool cf;

    switch (what) {
    case UN_INC:
    case UN_DEC:
        if (fl) {
            cf = op_carry(c);
            X(set_flags)
            (c, what == UN_INC ? FLAGS_INC : FLAGS_DEC,
             what == UN_INC ? a + 1 : a - 1, cf);
        }
        return what == UN_INC ? a + 1 : a - 1;
    case UN_NEG:
        if (fl) {
            X(set_flags)(c, FLAGS_SUB, -a, a);
        }
        return -a;
    default: /* UN_NOT */
        return ~a;
    }
}

static ALWAYS_INLINE void X(do_unary)(X86Cpu *c, const Insn *op, UnaryOp what,
                                      bool fl)
{
    unsigned r1 = op_args(op)->r1;

    X(put)(c, r1, X(unary)(c, what, fl, X(get)(c, r1)));
    return op_next(c, op + 1);
}

static ALWAYS_INLINE void X(do_unary_m)(X86Cpu *c, const Insn *op, UnaryOp what,
                                        OpEa ea, bool fl)
{
    uint64_t lin = op_ea(c, op, ea);
    void *p;

    if (unlikely(!op_tlb_write(c, lin, SIZE, &p))) {
        return op_sem(c, op);
    }
    *(T *)p = X(unary)(c, what, fl, *(T *)p);
    return op_next(c, op + 1);
}

static ALWAYS_INLINE void X(do_shift)(X86Cpu *c, const Insn *op, UnaryOp what,
                                      bool fl)
{
    unsigned r1 = op_args(op)->r1;

    X(put)(c, r1, X(shift)(c, what, fl, X(get)(c, r1), op->imm));
    return op_next(c, op + 1);
}

/* A count of 0 changes no flag; but a 32-bit register is written. */
static ALWAYS_INLINE void X(do_shift_cl)(X86Cpu *c, const Insn *op,
                                         UnaryOp what, bool fl)
{
    unsigned r1 = op_args(op)->r1;
    unsigned n = c->s.gpr[R_RCX] & (SIZE == 8 ? 63 : 31);
    T a = X(get)(c, r1);

    X(put)(c, r1, n ? X(shift)(c, what, fl, a, n) : a);
    return op_next(c, op + 1);
}

#define DEF_UNARY_FL(what, WHAT, fl) \
    DEF(what##fl, X(do_unary)(c, op, WHAT, fl)) \
    DEF(what##_b##fl, X(do_unary_m)(c, op, WHAT, EA_B, fl)) \
    DEF(what##_bi##fl, X(do_unary_m)(c, op, WHAT, EA_BI, fl)) \
    DEF(what##_s##fl, X(do_unary_m)(c, op, WHAT, EA_S, fl)) \
    DEF(what##_g##fl, X(do_unary_m)(c, op, WHAT, EA_G, fl))
#define DEF_SHIFT_FL(what, WHAT, fl) \
    DEF(what##fl, X(do_shift)(c, op, WHAT, fl)) \
    DEF(what##_cl##fl, X(do_shift_cl)(c, op, WHAT, fl))

DEF_UNARY_FL(inc, UN_INC, 0)
DEF_UNARY_FL(inc, UN_INC, 1)
DEF_UNARY_FL(dec, UN_DEC, 0)
DEF_UNARY_FL(dec, UN_DEC, 1)
DEF_UNARY_FL(neg, UN_NEG, 0)
DEF_UNARY_FL(neg, UN_NEG, 1)
DEF_UNARY_FL(not, UN_NOT, 0)
DEF_SHIFT_FL(shl, UN_SHL, 0)
DEF_SHIFT_FL(shl, UN_SHL, 1)
DEF_SHIFT_FL(shr, UN_SHR, 0)
DEF_SHIFT_FL(shr, UN_SHR, 1)
DEF_SHIFT_FL(sar, UN_SAR, 0)
DEF_SHIFT_FL(sar, UN_SAR, 1)
DEF_SHIFT_FL(rol, UN_ROL, 0)
DEF_SHIFT_FL(ror, UN_ROR, 0)

/* ---- IMUL, BT, XCHG, LEA -------------------------------------------------------------- */

#if SIZE > 1
static ALWAYS_INLINE T X(mul)(X86Cpu *c, bool fl, T a, T b)
{
    ST res;
    bool over = __builtin_mul_overflow((ST)a, (ST)b, &res);

    if (fl) {
        X(set_flags)(c, FLAGS_MUL, res, over);
    }
    return res;
}

static ALWAYS_INLINE void X(do_mul)(X86Cpu *c, const Insn *op, bool fl, T b)
{
    unsigned r1 = op_args(op)->r1;

    X(put)(c, r1, X(mul)(c, fl, X(get)(c, r1), b));
    return op_next(c, op + 1);
}

static ALWAYS_INLINE void X(do_mul_i)(X86Cpu *c, const Insn *op, bool fl)
{
    T a = X(get)(c, op_args(op)->r2);

    X(put)(c, op_args(op)->r1, X(mul)(c, fl, a, op->imm));
    return op_next(c, op + 1);
}

static ALWAYS_INLINE void X(do_mul_m)(X86Cpu *c, const Insn *op, OpEa ea,
                                      bool fl)
{
    uint64_t lin = op_ea(c, op, ea);
    void *p;

    if (unlikely(!op_tlb_read(c, lin, SIZE, &p))) {
        return op_sem(c, op);
    }
    return X(do_mul)(c, op, fl, *(T *)p);
}

#define DEF_MUL(fl) \
    DEF(imul_rr##fl, X(do_mul)(c, op, fl, X(get)(c, op_args(op)->r2))) \
    DEF(imul_rri##fl, X(do_mul_i)(c, op, fl)) \
    DEF(imul_b##fl, X(do_mul_m)(c, op, EA_B, fl)) \
    DEF(imul_bi##fl, X(do_mul_m)(c, op, EA_BI, fl)) \
    DEF(imul_s##fl, X(do_mul_m)(c, op, EA_S, fl)) \
    DEF(imul_g##fl, X(do_mul_m)(c, op, EA_G, fl))
DEF_MUL(0)
DEF_MUL(1)
#undef DEF_MUL

/* CF is the bit, ZF stays, the others are undefined: as after an INC that
 * left this result. */
static ALWAYS_INLINE void X(do_bt)(X86Cpu *c, const Insn *op, unsigned bit)
{
    bool cf = X(get)(c, op_args(op)->r1) >> (bit & (X(BITS) - 1)) & 1;

    if (c->lazy.op == FLAGS_EXACT) {
        c->s.rflags = (c->s.rflags & ~(uint64_t)FL_CF) | cf;
    } else {
        c->lazy.op = FLAGS_INC + (c->lazy.op & 3);
        c->lazy.src = cf;
    }
    return op_next(c, op + 1);
}
DEF(bt_rr, X(do_bt)(c, op, X(get)(c, op_args(op)->r2)))
DEF(bt_ri, X(do_bt)(c, op, op->imm))

static ALWAYS_INLINE void X(do_lea)(X86Cpu *c, const Insn *op, OpEa ea)
{
    X(put)(c, op_args(op)->r1, op_ea(c, op, ea));
    return op_next(c, op + 1);
}
DEF(lea_b, X(do_lea)(c, op, EA_B))
DEF(lea_bi, X(do_lea)(c, op, EA_BI))
DEF(lea_g, X(do_lea)(c, op, EA_G))
#endif

static void X(xchg_rr)(X86Cpu *c, const Insn *op)
{
    const OpArgs *r = op_args(op);
    T a = X(get)(c, r->r1), b = X(get)(c, r->r2);

    X(put)(c, r->r1, b);
    X(put)(c, r->r2, a);
    return op_next(c, op + 1);
}

/* ---- conditions ------------------------------------------------------------------------- */

/* After a subtraction a - b. */
static ALWAYS_INLINE bool X(cond_sub)(unsigned cc, T a, T b)
{
    T res = a - b;
    ST over;
    bool yes;

    switch (cc >> 1) {
    case 0:
        yes = __builtin_sub_overflow((ST)a, (ST)b, &over);
        break;
    case 1:
        yes = a < b;
        break;
    case 2:
        yes = a == b;
        break;
    case 3:
        yes = a <= b;
        break;
    case 4:
        yes = (ST)res < 0;
        break;
    case 5:
        yes = !__builtin_parity(res & 0xff);
        break;
    case 6:
        yes = (ST)a < (ST)b;
        break;
    default:
        yes = (ST)a <= (ST)b;
    }
    return yes ^ (cc & 1);
}

/* After AND and the like: CF and OF are 0. */
static ALWAYS_INLINE bool X(cond_logic)(unsigned cc, T res)
{
    bool yes;

    switch (cc >> 1) {
    case 0:
    case 1:
        yes = false;
        break;
    case 2:
    case 3:
        yes = res == 0;
        break;
    case 4:
    case 6:
        yes = (ST)res < 0;
        break;
    case 5:
        yes = !__builtin_parity(res & 0xff);
        break;
    default:
        yes = (ST)res <= 0;
    }
    return yes ^ (cc & 1);
}

/* @jcc is the jump. */
static ALWAYS_INLINE void X(branch)(X86Cpu *c, const Insn *jcc, bool taken)
{
    if (taken) {
        return op_taken(c, jcc);
    }
    return op_not_taken(c, jcc);
}

static ALWAYS_INLINE bool X(lazy_sub)(const X86Cpu *c, unsigned cc)
{
    T b = c->lazy.src, a = (T)c->lazy.res + b;

    return X(cond_sub)(cc, a, b);
}

/* The kind is a guess from the block; if it is wrong, the general way. */
static ALWAYS_INLINE void X(do_jcc)(X86Cpu *c, const Insn *op, unsigned cc,
                                    uint32_t kind)
{
    uint32_t is = c->lazy.op;

    if (unlikely(kind ? is != kind + LOG2
                      : (is & 3) != LOG2 || is < FLAGS_ADD)) {
        return op_jcc(c, op);
    }
    return X(branch)(c, op,
                     kind == FLAGS_SUB ? X(lazy_sub)(c, cc)
                                       : X(cond_logic)(cc, c->lazy.res));
}

static ALWAYS_INLINE void X(do_setcc)(X86Cpu *c, const Insn *op, unsigned cc,
                                      uint32_t kind)
{
    uint32_t is = c->lazy.op;

    if (unlikely(kind ? is != kind + LOG2
                      : (is & 3) != LOG2 || is < FLAGS_ADD)) {
        return op_setcc(c, op);
    }
    *(uint8_t *)op_reg(c, op_args(op)->r1) =
        kind == FLAGS_SUB ? X(lazy_sub)(c, cc) : X(cond_logic)(cc, c->lazy.res);
    return op_next(c, op + 1);
}

/* The flags are of this size; what moves may have another. */
static ALWAYS_INLINE void X(do_cmov)(X86Cpu *c, const Insn *op, unsigned cc,
                                     uint32_t kind)
{
    uint32_t is = c->lazy.op;
    const OpArgs *r = op_args(op);
    uint64_t v;
    bool yes;

    if (unlikely(kind ? is != kind + LOG2
                      : (is & 3) != LOG2 || is < FLAGS_ADD)) {
        return op_cmov(c, op);
    }
    yes =
        kind == FLAGS_SUB ? X(lazy_sub)(c, cc) : X(cond_logic)(cc, c->lazy.res);
    v = *(uint64_t *)op_reg(c, r->r1);
    v = yes ? *(uint64_t *)op_reg(c, r->r2) : v;
    *(uint64_t *)op_reg(c, r->r1) = op->opsize == 2 ? (uint32_t)v : v;
    return op_next(c, op + 1);
}

/* CMP or TEST with the Jcc behind it. */
static ALWAYS_INLINE void X(do_fused)(X86Cpu *c, const Insn *op, AluOp what,
                                      unsigned form, unsigned cc)
{
    const OpArgs *r = op_args(op);
    T a, b, res;
    void *p;

    if (form >= FUSE_RM &&
        unlikely(!op_tlb_read(c, op_ea(c, op, EA_B), SIZE, &p))) {
        return op_sem(c, op);
    }
    a = form == FUSE_MR || form == FUSE_MI ? *(T *)p : X(get)(c, r->r1);
    b = form == FUSE_RM                      ? *(T *)p
        : form == FUSE_RI || form == FUSE_MI ? (T)op->imm
                                             : X(get)(c, r->r2);
    res = X(alu)(c, what, true, a, b);
    if (what == ALU_SUB) {
        X(put)(c, r->r1, res);
    }
    return X(branch)(c, op + 1,
                     what == ALU_TEST ? X(cond_logic)(cc, res)
                                      : X(cond_sub)(cc, a, b));
}

static ALWAYS_INLINE void X(do_step_jcc)(X86Cpu *c, const Insn *op,
                                         UnaryOp what, unsigned cc)
{
    unsigned r1 = op_args(op)->r1;
    T res = X(unary)(c, what, true, X(get)(c, r1));

    X(put)(c, r1, res);
    return X(branch)(c, op + 1, X(cond_logic)(cc, res));
}

#define DEF_CC(n) \
    DEF(jcc_sub_##n, X(do_jcc)(c, op, n, FLAGS_SUB)) \
    DEF(jcc_logic_##n, X(do_jcc)(c, op, n, FLAGS_LOGIC)) \
    DEF(setcc_sub_##n, X(do_setcc)(c, op, n, FLAGS_SUB)) \
    DEF(setcc_logic_##n, X(do_setcc)(c, op, n, FLAGS_LOGIC)) \
    DEF(cmov_sub_##n, X(do_cmov)(c, op, n, FLAGS_SUB)) \
    DEF(cmov_logic_##n, X(do_cmov)(c, op, n, FLAGS_LOGIC)) \
    DEF(cmp_rr_##n, X(do_fused)(c, op, ALU_CMP, FUSE_RR, n)) \
    DEF(cmp_ri_##n, X(do_fused)(c, op, ALU_CMP, FUSE_RI, n)) \
    DEF(cmp_rm_##n, X(do_fused)(c, op, ALU_CMP, FUSE_RM, n)) \
    DEF(cmp_mr_##n, X(do_fused)(c, op, ALU_CMP, FUSE_MR, n)) \
    DEF(cmp_mi_##n, X(do_fused)(c, op, ALU_CMP, FUSE_MI, n)) \
    DEF(test_rr_##n, X(do_fused)(c, op, ALU_TEST, FUSE_RR, n)) \
    DEF(test_ri_##n, X(do_fused)(c, op, ALU_TEST, FUSE_RI, n)) \
    DEF(test_mr_##n, X(do_fused)(c, op, ALU_TEST, FUSE_MR, n)) \
    DEF(test_mi_##n, X(do_fused)(c, op, ALU_TEST, FUSE_MI, n)) \
    DEF(sub_rr_##n, X(do_fused)(c, op, ALU_SUB, FUSE_RR, n)) \
    DEF(sub_ri_##n, X(do_fused)(c, op, ALU_SUB, FUSE_RI, n))
#define DEF_CC_RES(n) \
    DEF(jcc_res_##n, X(do_jcc)(c, op, n, 0)) \
    DEF(setcc_res_##n, X(do_setcc)(c, op, n, 0)) \
    DEF(cmov_res_##n, X(do_cmov)(c, op, n, 0)) \
    DEF(dec_jcc_##n, X(do_step_jcc)(c, op, UN_DEC, n)) \
    DEF(inc_jcc_##n, X(do_step_jcc)(c, op, UN_INC, n))
DEF_CC(0)
DEF_CC(1)
DEF_CC(2)
DEF_CC(3)
DEF_CC(4)
DEF_CC(5)
DEF_CC(6)
DEF_CC(7)
DEF_CC(8)
DEF_CC(9)
DEF_CC(10)
DEF_CC(11)
DEF_CC(12)
DEF_CC(13)
DEF_CC(14)
DEF_CC(15)
DEF_CC_RES(4)
DEF_CC_RES(5)
DEF_CC_RES(8)
DEF_CC_RES(9)
#undef DEF_CC
#undef DEF_CC_RES

/* ---- the table of this size ------------------------------------------------------------------ */

#define CC_LIST(name) \
    { \
        X(name##_0), X(name##_1), X(name##_2), X(name##_3), X(name##_4), \
            X(name##_5), X(name##_6), X(name##_7), X(name##_8), X(name##_9), \
            X(name##_10), X(name##_11), X(name##_12), X(name##_13), \
            X(name##_14), X(name##_15) \
    }
#define CC_RES_LIST(name) \
    { \
        [4] = X(name##_4), [5] = X(name##_5), [8] = X(name##_8), \
        [9] = X(name##_9) \
    }
#define ALU_FORM(what, form) \
    { \
        X(what##_##form##0), X(what##_##form##1) \
    }
#define ALU_FORM_AT(what, form, fl) \
    { \
        [fl] = X(what##_##form##fl) \
    }
#define ALU_ROW(what) \
    { \
        ALU_FORM(what, rr), ALU_FORM(what, ri), ALU_FORM(what, rm_b), \
            ALU_FORM(what, rm_bi), ALU_FORM(what, rm_s), ALU_FORM(what, rm_g), \
            ALU_FORM(what, mr_b), ALU_FORM(what, mr_bi), ALU_FORM(what, mr_s), \
            ALU_FORM(what, mr_g), ALU_FORM(what, mi_b), ALU_FORM(what, mi_bi), \
            ALU_FORM(what, mi_s), ALU_FORM(what, mi_g) \
    }
#define ALU_ROW_AT(what, fl) \
    { \
        ALU_FORM_AT(what, rr, fl), ALU_FORM_AT(what, ri, fl), \
            ALU_FORM_AT(what, rm_b, fl), ALU_FORM_AT(what, rm_bi, fl), \
            ALU_FORM_AT(what, rm_s, fl), ALU_FORM_AT(what, rm_g, fl), \
            ALU_FORM_AT(what, mr_b, fl), ALU_FORM_AT(what, mr_bi, fl), \
            ALU_FORM_AT(what, mr_s, fl), ALU_FORM_AT(what, mr_g, fl), \
            ALU_FORM_AT(what, mi_b, fl), ALU_FORM_AT(what, mi_bi, fl), \
            ALU_FORM_AT(what, mi_s, fl), ALU_FORM_AT(what, mi_g, fl) \
    }
#define BOTH(name) \
    { \
        X(name##0), X(name##1) \
    }
#define UNARY_M(what) \
    { \
        BOTH(what##_b), BOTH(what##_bi), BOTH(what##_s), BOTH(what##_g) \
    }

#define SIZE_OPS_COMMON \
    .alu = { \
        [ALU_ADD] = ALU_ROW(add), \
        [ALU_OR] = ALU_ROW(or), \
        [ALU_ADC] = ALU_ROW(adc), \
        [ALU_SBB] = ALU_ROW(sbb), \
        [ALU_AND] = ALU_ROW(and), \
        [ALU_SUB] = ALU_ROW(sub), \
        [ALU_XOR] = ALU_ROW(xor), \
        [ALU_CMP] = ALU_ROW_AT(cmp, 1), \
        [ALU_TEST] = ALU_ROW_AT(test, 1), \
        [ALU_MOV] = ALU_ROW_AT(mov, 0), \
    }, \
    .unary = { \
        [UN_INC] = BOTH(inc), \
        [UN_DEC] = BOTH(dec), \
        [UN_NEG] = BOTH(neg), \
        [UN_NOT] = { X(not0), X(not0) }, \
        [UN_SHL] = BOTH(shl), \
        [UN_SHR] = BOTH(shr), \
        [UN_SAR] = BOTH(sar), \
        [UN_ROL] = { X(rol0) }, \
        [UN_ROR] = { X(ror0) }, \
        [UN_SHL_CL] = BOTH(shl_cl), \
        [UN_SHR_CL] = BOTH(shr_cl), \
        [UN_SAR_CL] = BOTH(sar_cl), \
        [UN_ROL_CL] = { X(rol_cl0) }, \
        [UN_ROR_CL] = { X(ror_cl0) }, \
    }, \
    .unary_m = { \
        UNARY_M(inc), \
        UNARY_M(dec), \
        UNARY_M(neg), \
        { { X(not_b0), X(not_b0) }, \
          { X(not_bi0), X(not_bi0) }, { X(not_s0), X(not_s0) }, \
          { X(not_g0), X(not_g0) } }, \
    }, \
    .xchg_rr = X(xchg_rr), \
    .jcc_sub = CC_LIST(jcc_sub), \
    .jcc_logic = CC_LIST(jcc_logic), \
    .jcc_res = CC_RES_LIST(jcc_res), \
    .setcc_sub = CC_LIST(setcc_sub), \
    .setcc_logic = CC_LIST(setcc_logic), \
    .setcc_res = CC_RES_LIST(setcc_res), \
    .cmov_sub = CC_LIST(cmov_sub), \
    .cmov_logic = CC_LIST(cmov_logic), \
    .cmov_res = CC_RES_LIST(cmov_res), \
    .cmp_jcc = { CC_LIST(cmp_rr), CC_LIST(cmp_ri), CC_LIST(cmp_rm), \
                 CC_LIST(cmp_mr), CC_LIST(cmp_mi) }, \
    .test_jcc = { CC_LIST(test_rr), CC_LIST(test_ri), { NULL }, \
                  CC_LIST(test_mr), CC_LIST(test_mi) }, \
    .sub_jcc = { CC_LIST(sub_rr), CC_LIST(sub_ri) }, \
    .dec_jcc = CC_RES_LIST(dec_jcc), \
    .inc_jcc = CC_RES_LIST(inc_jcc)

#if SIZE > 1
static const SizeOps X(ops) = {
    SIZE_OPS_COMMON,
    .imul_rr = BOTH(imul_rr),
    .imul_rri = BOTH(imul_rri),
    .imul_rm = { BOTH(imul_b), BOTH(imul_bi), BOTH(imul_s), BOTH(imul_g) },
    .bt_rr = X(bt_rr),
    .bt_ri = X(bt_ri),
    .lea = { X(lea_b), X(lea_bi), NULL, X(lea_g) },
};
#else
static const SizeOps X(ops) = { SIZE_OPS_COMMON };
#endif

#undef ALU_WRITES
#undef DEF
#undef DEF_ALU_EA
#undef DEF_ALU_FL
#undef DEF_ALU
#undef DEF_UNARY_FL
#undef DEF_SHIFT_FL
#undef CC_LIST
#undef CC_RES_LIST
#undef ALU_FORM
#undef ALU_FORM_AT
#undef ALU_ROW
#undef ALU_ROW_AT
#undef BOTH
#undef UNARY_M
#undef SIZE_OPS_COMMON
#undef SIZE
#undef LOG2
#undef T
#undef ST
#undef X
