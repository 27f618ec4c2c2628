/* Templates of the stack and of jumps, and the code behind a block. See jit-gen.h. */
#include "util/osdep.h"
#include "accel/tcg/jit-gen.h"
#include "target-x86/operand.h"

#if defined(__x86_64__)

/* ---- the stack ------------------------------------------------------------------------------------- */

/* T0 = rSP + @d, cut to the stack's width. */
static void gen_sp(Gen *g, int d)
{
    asm_rm(&g->a, g->code64 ? 3 : 2, 0x8d, T0, asm_at(jit_host[R_RSP], d));
}

static void gen_move_sp(Gen *g, int d)
{
    asm_rm(&g->a, g->code64 ? 3 : 2, 0x8d, jit_host[R_RSP],
           asm_at(jit_host[R_RSP], d));
}

static bool gen_simple_push(const Gen *g, unsigned k, unsigned cls)
{
    const OpInfo *in = &g->info[k];

    return k < g->tb->n && in->how == HOW_EMIT && in->cls == cls &&
           in->mem < 0 && !(in->r1 == R_RSP);
}

/* How many in a row, from g->i on, can be done with one check. */
static unsigned gen_push_run(const Gen *g, unsigned cls)
{
    unsigned n = 0;

    while (gen_simple_push(g, g->i + n, cls)) {
        n++;
    }
    return MAX(n, 1);
}

void gen_push(Gen *g, const Insn *op)
{
    int w = g->code64 ? 8 : 4;
    unsigned log2 = g->code64 ? 3 : 2, n = gen_push_run(g, CL_PUSH);

    gen_touch(g, R_RSP);
    gen_sp(g, -w * (int)n);
    gen_access(g, w * n, true, false);
    g->tail[g->n_tails - 1].count = n;
    for (unsigned k = 0; k < n; k++) {
        AsmMem at = asm_at(T0, w * (int)(n - 1 - k));

        if (g->info[g->i + k].imm) {
            asm_rm(&g->a, log2, 0xc7, 0, at);
            asm_32(&g->a, op[k].imm);
        } else {
            asm_rm(&g->a, log2, 0x89, gen_use(g, g->info[g->i + k].r1, T1), at);
        }
    }
    gen_move_sp(g, -w * (int)n);
    g->done = n;
}

void gen_pop(Gen *g, const Insn *op)
{
    int w = g->code64 ? 8 : 4;
    unsigned log2 = g->code64 ? 3 : 2, n = gen_push_run(g, CL_POP);

    gen_touch(g, R_RSP);
    for (unsigned k = 0; k < n; k++) {
        gen_touch(g, g->info[g->i + k].r1);
    }
    gen_sp(g, 0);
    gen_access(g, w * n, false, false);
    g->tail[g->n_tails - 1].count = n;
    gen_move_sp(g, w * (int)n);
    for (unsigned k = 0; k < n; k++) {
        unsigned r = g->info[g->i + k].r1, d = gen_def(r, T1);

        asm_rm(&g->a, log2, 0x8b, d, asm_at(T0, w * (int)k));
        gen_put(g, r, d);
    }
    g->done = n;
}

void gen_leave(Gen *g, const Insn *op)
{
    unsigned log2 = g->code64 ? 3 : 2;

    gen_touch(g, R_RSP);
    gen_touch(g, R_RBP);
    asm_rr(&g->a, log2, 0x8b, T0, jit_host[R_RBP]);
    gen_access(g, 1 << log2, false, false);
    asm_rm(&g->a, log2, 0x8d, jit_host[R_RSP],
           asm_at(jit_host[R_RBP], 1 << log2));
    asm_rm(&g->a, log2, 0x8b, jit_host[R_RBP], asm_at(T0, 0));
}

/* ---- ends -------------------------------------------------------------------------------------------- */

/* @n instructions are done. The host's flags: less if that was all. */
static void gen_spend(Gen *g, unsigned n)
{
    asm_alu_ri(&g->a, 3, ALU_SUB, BUDGET, n);
    asm_rm(&g->a, 3, 0x3b, BUDGET, jit_field(JIT_OFF(floor)));
    g->hf = HF_NONE;
}

/* The same; where it goes on if that was all is the tail's. */
static Tail *gen_count(Gen *g, unsigned n, TailKind kind)
{
    gen_spend(g, n);
    return gen_tail(g, kind, asm_jcc(&g->a, 0xc));
}

/* Back to the start of this block. Whatever ends it while it runs leaves it
 * otherwise. */
static void gen_go_start(Gen *g, unsigned n)
{
    Tail *s;

    gen_spend(g, n);
    asm_land_at(asm_jcc(&g->a, 0xd), g->code);
    s = gen_tail(g, TAIL_STOP, asm_jmp(&g->a));
    s->at = g->start;
}

/* To the block at offset @at of the page, which op->target is or will be. */
static void gen_go_near(Gen *g, const Insn *op, int at, unsigned n)
{
    Tail *s;

    if (at == g->start) {
        gen_go_start(g, n);
        return;
    }
    s = gen_count(g, n, TAIL_STOP);
    s->at = at;
    asm_rip(&g->a, 3, 0x8b, T0, &op->target);
    if (!op->target) { /* once there it stays */
        asm_rr(&g->a, 3, 0x85, T0, T0);
        s = gen_tail(g, TAIL_LINK, asm_jcc(&g->a, 4));
        s->at = at;
        s->fn = op_hop_link;
        s->op = op - g->tb->op;
    }
    asm_rm(&g->a, 2, 0xff | ASM_FIXED, 4, asm_at(T0, offsetof(Tb, entry)));
}

/* T0: a block. Is it what is at T1 now? Jumps to @s if not; uses T2. */
static void gen_match(Gen *g, uint8_t *jump[2])
{
    Asm *a = &g->a;

    asm_rm(a, 3, 0x3b, T1, asm_at(T0, offsetof(Tb, v_lin)));
    jump[0] = asm_jcc(a, 5);
    if (g->code64) {
        asm_mov_rr(a, T2, T1);
        asm_rr(a, 3, 0xc1, 5, T2);
        asm_8(a, 63);
        asm_rm(a, 3, 0x8b, T2, (AsmMem) { CPU, T2, 3, JIT_OFF(vtag) });
    } else {
        asm_rm(a, 3, 0x8b, T2, jit_field(JIT_OFF(vtag)));
    }
    asm_rm(a, 3, 0x3b, T2, asm_at(T0, offsetof(Tb, v_tag)));
    jump[1] = asm_jcc(a, 5);
}

/* To block T0, which is at T1. */
static void gen_enter(Gen *g)
{
    asm_mov_rr(&g->a, T2, T1);
    asm_alu_ri(&g->a, 3, ALU_AND, T2, -PAGE_SIZE);
    asm_rm(&g->a, 3, 0x89, T2, jit_field(JIT_OFF(jit_page)));
    asm_rm(&g->a, 2, 0xff | ASM_FIXED, 4, asm_at(T0, offsetof(Tb, entry)));
}

/* To another page, @at from the start of this one. */
static void gen_go_far(Gen *g, const Insn *op, int at, unsigned n)
{
    unsigned log2 = g->code64 ? 3 : 2;
    uint8_t *jump[2];
    Tail *s;

    if (!op->target) {
        ((Insn *)op)->target = g->tc->scratch;
    }
    asm_rm(&g->a, log2, 0x8b, T1, jit_field(JIT_OFF(jit_page)));
    asm_rm(&g->a, log2, 0x8d, T1, asm_at(T1, at));
    gen_count(g, n, TAIL_STOP_T1);
    asm_rip(&g->a, 3, 0x8b, T0, &op->target);
    gen_match(g, jump);
    s = gen_tail(g, TAIL_LINK_T1, jump[0]);
    s->jump[1] = jump[1];
    s->fn = op_hop_guess;
    s->op = op - g->tb->op;
    gen_enter(g);
}

static void gen_go(Gen *g, const Insn *op, int at, unsigned n)
{
    if (at >= 0 && at < PAGE_SIZE) {
        gen_go_near(g, op, at, n);
    } else {
        gen_go_far(g, op, at, n);
    }
}

/* T0 = the block at T1 by the jump cache, or the reference function. */
static void gen_lookup(Gen *g)
{
    Asm *a = &g->a;
    uint8_t *jump[2];
    Tail *s;

    asm_mov_rr(a, T2, T1);
    asm_rr(a, 3, 0xc1, 5, T2);
    asm_8(a, 14);
    asm_rr(a, 3, 0x33, T2, T1);
    asm_alu_ri(a, 2, ALU_AND, T2, JUMP_CACHE - 1);
    asm_rm(a, 3, 0x8b, T0, (AsmMem) { CPU, T2, 3, JIT_OFF(jump) });
    gen_match(g, jump);
    s = gen_tail(g, TAIL_LEAVE, jump[0]);
    s->jump[1] = jump[1];
    s->fn = op_sem_jump;
}

/* Behind the last operation, committed: to block T0 at T1. */
static void gen_jump_t1(Gen *g)
{
    gen_count(g, g->tb->n, TAIL_STOP_T1);
    gen_enter(g);
}

/* Where an indirect jump or call goes, to T1. */
static void gen_target_mem(Gen *g, const Insn *op, const OpInfo *in)
{
    gen_ea(g, op, in->disp);
    gen_seg(g, op);
    gen_access_or(g, 8, false, op_sem_jump);
    asm_rm(&g->a, 3, 0x8b, T1, asm_at(T0, 0));
}

static void gen_target_reg(Gen *g, const OpInfo *in)
{
    if (g->code64) {
        gen_get(g, T1, in->r1);
    } else {
        asm_rr(&g->a, 2, 0x8b, T1, jit_host[in->r1]);
    }
}

void gen_jmp(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];

    gen_flush_pend(g);
    if (in->imm) {
        gen_go(g, op, g->start + op->disp, g->tb->n);
        return;
    }
    if (in->mem >= 0) {
        gen_target_mem(g, op, in);
    } else {
        gen_target_reg(g, in);
    }
    gen_lookup(g);
    gen_jump_t1(g);
}

/* The return address goes to [@to]; uses @tmp. */
static void gen_put_return(Gen *g, const Insn *op, unsigned to, unsigned tmp)
{
    unsigned log2 = g->code64 ? 3 : 2;

    asm_rm(&g->a, log2, 0x8b, tmp, jit_field(JIT_OFF(jit_page)));
    asm_rm(&g->a, log2, 0x8d, tmp, asm_at(tmp, g->start + op->off + op->len));
    asm_rm(&g->a, log2, 0x89, tmp, asm_at(to, 0));
}

void gen_call(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    int w = g->code64 ? 8 : 4;

    gen_flush_pend(g);
    if (in->imm) {
        gen_sp(g, -w);
        gen_access_or(g, w, true, op_sem_jump);
        gen_put_return(g, op, T0, T1);
        gen_move_sp(g, -w);
        gen_go(g, op, g->start + op->disp, g->tb->n);
        return;
    }
    if (in->mem >= 0) {
        gen_target_mem(g, op, in);
        asm_rm(&g->a, 3, 0x89, T1, jit_field(JIT_OFF(jit_tmp[0])));
    }
    gen_sp(g, -w);
    gen_access_or(g, w, true, op_sem_jump);
    asm_rm(&g->a, 3, 0x89, T0, jit_field(JIT_OFF(jit_tmp[1])));
    if (in->mem >= 0) {
        asm_rm(&g->a, 3, 0x8b, T1, jit_field(JIT_OFF(jit_tmp[0])));
    } else {
        gen_target_reg(g, in);
    }
    gen_lookup(g);
    asm_rm(&g->a, 3, 0x89, T0, jit_field(JIT_OFF(jit_tmp[0])));
    asm_rm(&g->a, 3, 0x8b, T0, jit_field(JIT_OFF(jit_tmp[1])));
    gen_put_return(g, op, T0, T2);
    asm_rm(&g->a, 3, 0x8b, T0, jit_field(JIT_OFF(jit_tmp[0])));
    gen_move_sp(g, -w);
    gen_jump_t1(g);
}

void gen_ret(Gen *g, const Insn *op)
{
    int w = g->code64 ? 8 : 4;

    gen_flush_pend(g);
    gen_sp(g, 0);
    gen_access_or(g, w, false, op_sem_jump);
    asm_rm(&g->a, g->code64 ? 3 : 2, 0x8b, T1, asm_at(T0, 0));
    gen_lookup(g);
    gen_move_sp(g, w + (int)op->imm);
    gen_jump_t1(g);
}

/* A loop of this block alone: the way back is more likely. */
static void gen_again(Gen *g, const Insn *op, unsigned cc)
{
    uint8_t *over = asm_jcc(&g->a, cc ^ 1);
    bool dead = gen_dead_at(g, 0);
    unsigned hf = g->hf, stop = g->n_tails;

    if (!dead) {
        gen_store_pend(g, &g->pend);
    }
    gen_go(g, op, g->start, op->imm);
    if (dead) {
        g->tail[stop].pend = g->pend;
    }
    asm_land(&g->a, over);
    g->hf = hf;
}

void gen_jcc(Gen *g, const Insn *op)
{
    unsigned cc = gen_cond(g, gen_cc(op));
    Tail *s;

    if (op->disp == 0) {
        gen_again(g, op, cc);
        return;
    }
    s = gen_tail(g, TAIL_TAKEN, asm_jcc(&g->a, cc));
    s->pend = g->pend;
}

void gen_leave_to(Gen *g, const Insn *op, InsnFn *fn)
{
    asm_rip(&g->a, 3, 0x8d, T0, op);
    asm_mov_ri(&g->a, T1, g->start);
    asm_mov_ri(&g->a, T2, (uintptr_t)fn);
    asm_jmp_to(&g->a, g->j->th.leave_at);
}

void gen_fall(Gen *g)
{
    gen_flush_pend(g);
    gen_go(g, &g->tb->op[g->tb->n], g->start + g->tb->size, g->tb->n);
}

/* ---- code behind the block ------------------------------------------------------------------------------ */

/* Into C with operation and @what, and back. */
static void gen_tail_call(Gen *g, const Tail *s, unsigned what,
                          const void *thunk)
{
    gen_store_pend(g, &s->pend);
    asm_rip(&g->a, 3, 0x8d, T0, &g->tb->op[s->op]);
    asm_mov_ri(&g->a, T1, g->start);
    asm_mov_ri(&g->a, T2, what);
    asm_call_to(&g->a, thunk);
    asm_land_at(asm_jmp(&g->a), s->back);
}

static void gen_tail_exact_cf(Gen *g, const Tail *s)
{
    Asm *a = &g->a;

    asm_rm(a, 3, 0x8b, T1, jit_field(JIT_OFF(cpu.s.rflags)));
    asm_alu_ri(a, 3, ALU_AND, T1, ~(int64_t)FL_CF);
    asm_rr(a, 3, 0x0b, T1, T2);
    asm_rm(a, 3, 0x89, T1, jit_field(JIT_OFF(cpu.s.rflags)));
    asm_land_at(asm_jmp(a), s->back);
}

/* T0 is the template's. */
static void gen_tail_carry(Gen *g, const Tail *s)
{
    Asm *a = &g->a;

    asm_rm(a, 3, 0x89, T0, jit_field(JIT_OFF(jit_tmp[2])));
    asm_call_to(a, g->j->th.carry);
    asm_rm(a, 3, 0x89, T0, jit_field(LAZY_SRC));
    asm_rm(a, 3, 0x8b, T0, jit_field(JIT_OFF(jit_tmp[2])));
    asm_land_at(asm_jmp(a), s->back);
}

void gen_put_tail(Gen *g, Tail *s)
{
    const Insn *op = &g->tb->op[s->op];
    const OpInfo *in = &g->info[s->op];
    const JitThunks *th = &g->j->th;
    Asm *a = &g->a;

    for (unsigned k = 0; k < G_N_ELEMENTS(s->jump); k++) {
        if (s->jump[k]) {
            asm_land(a, s->jump[k]);
        }
    }
    switch (s->kind) {
    case TAIL_LOAD:
        asm_rm(a, 3, 0x89, T0, jit_field(JIT_OFF(jit_tmp[0])));
        gen_tail_call(g, s, in->r1 << 2 | in->log2, th->slow_load);
        break;
    case TAIL_SLOW:
        gen_tail_call(g, s, s->count, s->flags ? th->slow_flags : th->slow);
        break;
    case TAIL_LEAVE:
        gen_store_pend(g, &s->pend);
        gen_leave_to(g, op, s->fn);
        break;
    case TAIL_TAKEN:
        gen_store_pend(g, &s->pend);
        gen_go(g, op, g->start + op->disp, op->imm);
        break;
    case TAIL_STOP:
        gen_store_pend(g, &s->pend);
        asm_mov_ri(a, T1, s->at);
        asm_jmp_to(a, th->stop_at);
        break;
    case TAIL_STOP_T1:
        asm_jmp_to(a, th->stop);
        break;
    case TAIL_LINK:
        asm_rip(a, 3, 0x8d, T0, op);
        asm_mov_ri(a, T1, s->at);
        asm_mov_ri(a, T2, (uintptr_t)s->fn);
        asm_jmp_to(a, th->leave_at);
        break;
    case TAIL_LINK_T1:
        asm_rm(a, 3, 0x89, T1, jit_field(JIT_OFF(cpu.s.rip)));
        asm_rip(a, 3, 0x8d, T0, op);
        asm_mov_ri(a, T2, (uintptr_t)s->fn);
        asm_jmp_to(a, th->leave);
        break;
    case TAIL_CARRY:
        gen_tail_carry(g, s);
        break;
    case TAIL_EXACT_CF:
        gen_tail_exact_cf(g, s);
        break;
    }
}

#endif
