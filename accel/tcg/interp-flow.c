/*
 * Handlers of jumps, calls and the stack in 64-bit and flat 32-bit code.
 *
 * An indirect jump that finds its target in the jump cache needs no check of
 * the target: a block is there, so it was canonical and could be fetched.
 */
#include "util/osdep.h"
#include "accel/tcg/interp-impl.h"

/* ---- the stack -------------------------------------------------------------- */

/* Where a push of @w bytes writes: the new rSP. */
static ALWAYS_INLINE uint64_t flow_below(const X86Cpu *c, unsigned w)
{
    uint64_t sp = c->s.gpr[R_RSP] - w;

    return w == 8 ? sp : (uint32_t)sp;
}

static ALWAYS_INLINE uint64_t flow_sp(const X86Cpu *c, unsigned w)
{
    return w == 8 ? c->s.gpr[R_RSP] : (uint32_t)c->s.gpr[R_RSP];
}

static ALWAYS_INLINE void flow_put(void *p, uint64_t v, unsigned w)
{
    if (w == 8) {
        *(uint64_t *)p = v;
    } else {
        *(uint32_t *)p = v;
    }
}

static ALWAYS_INLINE uint64_t flow_get(const void *p, unsigned w)
{
    return w == 8 ? *(const uint64_t *)p : *(const uint32_t *)p;
}

static ALWAYS_INLINE uint64_t flow_cut(uint64_t v, unsigned w)
{
    return w == 8 ? v : (uint32_t)v;
}

static ALWAYS_INLINE void flow_push(X86Cpu *c, const Insn *op, uint64_t v,
                                    unsigned w)
{
    uint64_t sp = flow_below(c, w);
    void *p;

    if (unlikely(!op_tlb_write(c, sp, w, &p))) {
        return op_sem(c, op);
    }
    flow_put(p, v, w);
    c->s.gpr[R_RSP] = sp;
    return op_next(c, op + 1);
}

static ALWAYS_INLINE void flow_pop_r(X86Cpu *c, const Insn *op, unsigned w)
{
    uint64_t sp = flow_sp(c, w);
    void *p;

    if (unlikely(!op_tlb_read(c, sp, w, &p))) {
        return op_sem(c, op);
    }
    c->s.gpr[R_RSP] = flow_cut(sp + w, w);
    *(uint64_t *)op_reg(c, op_args(op)->r1) = flow_get(p, w);
    return op_next(c, op + 1);
}

static ALWAYS_INLINE void flow_leave(X86Cpu *c, const Insn *op, unsigned w)
{
    uint64_t bp = flow_cut(c->s.gpr[R_RBP], w);
    void *p;

    if (unlikely(!op_tlb_read(c, bp, w, &p))) {
        return op_sem(c, op);
    }
    c->s.gpr[R_RBP] = flow_get(p, w);
    c->s.gpr[R_RSP] = flow_cut(bp + w, w);
    return op_next(c, op + 1);
}

/* ---- direct -------------------------------------------------------------------- */

/* @op->disp is the distance from s.rip. */
static ALWAYS_INLINE void flow_go(X86Cpu *c, const Insn *op, unsigned w,
                                  bool far)
{
    c->s.rip = flow_cut(c->s.rip + (int64_t)op->disp, w);
    if (far) {
        return op_chain_far(c, op, op_n(op));
    }
    return op_chain(c, op, op_n(op));
}

static ALWAYS_INLINE void flow_call(X86Cpu *c, const Insn *op, unsigned w,
                                    bool far)
{
    uint64_t sp = flow_below(c, w);
    void *p;

    if (unlikely(!op_tlb_write(c, sp, w, &p))) {
        return op_sem_jump(c, op);
    }
    flow_put(p, c->s.rip + op->off + op->len, w);
    c->s.gpr[R_RSP] = sp;
    return flow_go(c, op, w, far);
}

/* ---- indirect ------------------------------------------------------------------- */

/* To @to, whose block is @tb; everything else is committed. */
static ALWAYS_INLINE void flow_enter(X86Cpu *c, const Insn *op, uint64_t to,
                                     const Tb *tb)
{
    c->s.rip = to;
    if (unlikely(!op_count(tcg_cpu(c), op_n(op)))) {
        return;
    }
    return op_next(c, tb->op);
}

static ALWAYS_INLINE void flow_ret(X86Cpu *c, const Insn *op, unsigned w)
{
    TcgCpu *tc = tcg_cpu(c);
    uint64_t sp = flow_sp(c, w), to;
    const Tb *tb;
    void *p;

    if (unlikely(!op_tlb_read(c, sp, w, &p))) {
        return op_sem_jump(c, op);
    }
    to = flow_get(p, w);
    tb = op_cached(tc, to);
    if (unlikely(!tb_matches(tc, tb, to))) {
        return op_sem_jump(c, op);
    }
    c->s.gpr[R_RSP] = flow_cut(sp + w + op->imm, w);
    return flow_enter(c, op, to, tb);
}

static ALWAYS_INLINE void flow_jmp_to(X86Cpu *c, const Insn *op, uint64_t to)
{
    TcgCpu *tc = tcg_cpu(c);
    const Tb *tb = op_cached(tc, to);

    if (unlikely(!tb_matches(tc, tb, to))) {
        return op_sem_jump(c, op);
    }
    return flow_enter(c, op, to, tb);
}

static ALWAYS_INLINE void flow_call_to(X86Cpu *c, const Insn *op, uint64_t to,
                                       unsigned w)
{
    TcgCpu *tc = tcg_cpu(c);
    uint64_t sp = flow_below(c, w);
    const Tb *tb = op_cached(tc, to);
    void *p;

    if (unlikely(!tb_matches(tc, tb, to) || !op_tlb_write(c, sp, w, &p))) {
        return op_sem_jump(c, op);
    }
    flow_put(p, c->s.rip + op->off + op->len, w);
    c->s.gpr[R_RSP] = sp;
    return flow_enter(c, op, to, tb);
}

static ALWAYS_INLINE void flow_mem(X86Cpu *c, const Insn *op, OpEa ea,
                                   bool call)
{
    uint64_t lin = op_ea(c, op, ea);
    void *p;

    if (unlikely(!op_tlb_read(c, lin, 8, &p))) {
        return op_sem_jump(c, op);
    }
    if (call) {
        return flow_call_to(c, op, *(uint64_t *)p, 8);
    }
    return flow_jmp_to(c, op, *(uint64_t *)p);
}

/* ---- the handlers ----------------------------------------------------------------- */

#define DEF(name, call) \
    static void name(X86Cpu *c, const Insn *op) \
    { \
        return call; \
    }

#define FLOW_R1(w) flow_cut(*(uint64_t *)op_reg(c, op_args(op)->r1), w)

#define DEF_WIDTH(w) \
    DEF(push_r##w, flow_push(c, op, FLOW_R1(w), w)) \
    DEF(push_i##w, flow_push(c, op, op->imm, w)) \
    DEF(pop_r##w, flow_pop_r(c, op, w)) \
    DEF(leave##w, flow_leave(c, op, w)) \
    DEF(call##w, flow_call(c, op, w, false)) \
    DEF(call_far##w, flow_call(c, op, w, true)) \
    DEF(jmp##w, flow_go(c, op, w, false)) \
    DEF(jmp_far##w, flow_go(c, op, w, true)) \
    DEF(ret##w, flow_ret(c, op, w)) \
    DEF(call_r##w, flow_call_to(c, op, FLOW_R1(w), w)) \
    DEF(jmp_r##w, flow_jmp_to(c, op, FLOW_R1(w)))
DEF_WIDTH(8)
DEF_WIDTH(4)

DEF(jmp_m_b, flow_mem(c, op, EA_B, false))
DEF(jmp_m_bi, flow_mem(c, op, EA_BI, false))
DEF(jmp_m_s, flow_mem(c, op, EA_S, false))
DEF(jmp_m_g, flow_mem(c, op, EA_G, false))
DEF(call_m_b, flow_mem(c, op, EA_B, true))
DEF(call_m_bi, flow_mem(c, op, EA_BI, true))
DEF(call_m_s, flow_mem(c, op, EA_S, true))
DEF(call_m_g, flow_mem(c, op, EA_G, true))

InsnFn *const interp_push_r[2] = { push_r8, push_r4 };
InsnFn *const interp_push_i[2] = { push_i8, push_i4 };
InsnFn *const interp_pop_r[2] = { pop_r8, pop_r4 };
InsnFn *const interp_leave[2] = { leave8, leave4 };
InsnFn *const interp_call[2][2] = { { call8, call_far8 },
                                    { call4, call_far4 } };
InsnFn *const interp_jmp[2][2] = { { jmp8, jmp_far8 }, { jmp4, jmp_far4 } };
InsnFn *const interp_ret[2] = { ret8, ret4 };
InsnFn *const interp_call_r[2] = { call_r8, call_r4 };
InsnFn *const interp_jmp_r[2] = { jmp_r8, jmp_r4 };
InsnFn *const interp_jmp_m[EA_COUNT] = { jmp_m_b, jmp_m_bi, jmp_m_s, jmp_m_g };
InsnFn *const interp_call_m[EA_COUNT] = { call_m_b, call_m_bi, call_m_s,
                                          call_m_g };

/* ---- runs -------------------------------------------------------------------------------- */

/* @n pushes with one look at the TLB. Across pages, and if anything is amiss:
 * one by one. */
static ALWAYS_INLINE void flow_push_run(X86Cpu *c, const Insn *op, unsigned n)
{
    uint64_t sp = c->s.gpr[R_RSP] - 8 * n;
    uint64_t *to;
    void *p;

    if (unlikely(!op_tlb_write(c, sp, 8 * n, &p))) {
        return push_r8(c, op);
    }
    to = p;
    for (unsigned i = 0; i < n; i++) {
        to[n - 1 - i] = *(uint64_t *)op_reg(c, op_args(op + i)->r1);
    }
    c->s.gpr[R_RSP] = sp;
    return op_next(c, op + n);
}

static ALWAYS_INLINE void flow_pop_run(X86Cpu *c, const Insn *op, unsigned n)
{
    uint64_t sp = c->s.gpr[R_RSP];
    const uint64_t *from;
    void *p;

    if (unlikely(!op_tlb_read(c, sp, 8 * n, &p))) {
        return pop_r8(c, op);
    }
    from = p;
    for (unsigned i = 0; i < n; i++) {
        *(uint64_t *)op_reg(c, op_args(op + i)->r1) = from[i];
    }
    c->s.gpr[R_RSP] = sp + 8 * n;
    return op_next(c, op + n);
}

#define DEF_RUN(n) \
    DEF(push_run##n, flow_push_run(c, op, n)) \
    DEF(pop_run##n, flow_pop_run(c, op, n))
DEF_RUN(2)
DEF_RUN(3)
DEF_RUN(4)
DEF_RUN(5)
DEF_RUN(6)
DEF_RUN(7)

InsnFn *const interp_push_run[RUN_MAX + 1] = {
    NULL,      push_r8,   push_run2, push_run3,
    push_run4, push_run5, push_run6, push_run7,
};
InsnFn *const interp_pop_run[RUN_MAX + 1] = {
    NULL, pop_r8, pop_run2, pop_run3, pop_run4, pop_run5, pop_run6, pop_run7,
};

/* ---- any condition -------------------------------------------------------------------- */

InsnFn *interp_condition(CondUse use, uint32_t lazy, unsigned cc)
{
    const SizeOps *so = interp_size_ops[lazy & 3];
    InsnFn *const *const fns[3][3] = {
        { so->jcc_res, so->jcc_sub, so->jcc_logic },
        { so->setcc_res, so->setcc_sub, so->setcc_logic },
        { so->cmov_res, so->cmov_sub, so->cmov_logic },
    };

    switch (lazy & ~3u) {
    case FLAGS_EXACT:
        return NULL;
    case FLAGS_SUB:
        return fns[use][1][cc];
    case FLAGS_LOGIC:
        return fns[use][2][cc];
    default:
        return fns[use][0][cc];
    }
}

/* The next time it goes straight to the handler for flags like these. The first
 * of a block has to be the translator's. */
static void flow_learn(const X86Cpu *c, const Insn *op, CondUse use)
{
    InsnFn *fn = interp_condition(use, c->lazy.op, op->reg);

    if (fn && op->off) {
        ((Insn *)op)->exec = fn;
    }
}

void op_jcc(X86Cpu *c, const Insn *op)
{
    flow_learn(c, op, COND_JCC);
    if (flags_cond(c, op->reg)) {
        return op_taken(c, op);
    }
    return op_not_taken(c, op);
}

void op_setcc(X86Cpu *c, const Insn *op)
{
    flow_learn(c, op, COND_SETCC);
    *(uint8_t *)op_reg(c, op_args(op)->r1) = flags_cond(c, op->reg);
    return op_next(c, op + 1);
}

/* Without the condition a 32-bit register is written too. */
void op_cmov(X86Cpu *c, const Insn *op)
{
    const OpArgs *r = op_args(op);
    bool yes = flags_cond(c, op->reg);
    uint64_t v = *(uint64_t *)op_reg(c, yes ? r->r2 : r->r1);

    flow_learn(c, op, COND_CMOV);
    *(uint64_t *)op_reg(c, r->r1) = op->opsize == 2 ? (uint32_t)v : v;
    return op_next(c, op + 1);
}
