/* A block: all of its operations in a row, and what lies behind them. See
 * jit-gen.h. */
#include "util/osdep.h"
#include "accel/tcg/jit-gen.h"
#include "target-x86/operand.h"
#include "util/log.h"

#if defined(__x86_64__)

/* ---- the block -------------------------------------------------------------------------------------------------- */

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
    unsigned i = 0, tails;

    while (i < tb->n) {
        const Insn *op = &tb->op[i];

        g->i = i;
        g->at[i] = g->a.p;
        if (g->info[i].how == HOW_LEAVE) {
            gen_flush_pend(g);
            gen_leave_to(g, op, i == 0 ? tb->plain : op->exec);
            return;
        }
        if (g->info[i].how == HOW_CALL) {
            i += gen_run(g, i);
            continue;
        }
        tails = g->n_tails;
        i += gen_template(g, op);
        while (tails < g->n_tails) {
            if (g->tail[tails].kind == TAIL_SLOW ||
                g->tail[tails].kind == TAIL_LOAD) {
                g->tail[tails].back = g->a.p;
            }
            tails++;
        }
        if (i == tb->n &&
            (g->info[i - 1].cls == CL_CALL || g->info[i - 1].cls == CL_JMP ||
             g->info[i - 1].cls == CL_RET)) {
            return;
        }
    }
    g->i = tb->n;
    g->at[tb->n] = g->a.p;
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
static void gen_tails(Gen *g)
{
    Jit *j = g->j;
    uint8_t *start = j->rw + j->cold, *hot;

    for (unsigned k = 0; k < g->n_tails; k++) {
        if (g->tail[k].kind == TAIL_TAKEN) {
            gen_put_tail(g, &g->tail[k]);
        }
    }
    hot = g->a.p;
    g->a.p = start;
    for (unsigned k = 0; k < g->n_tails; k++) {
        if (g->tail[k].kind != TAIL_TAKEN) {
            gen_put_tail(g, &g->tail[k]);
        }
    }
    j->n_bytes += g->a.p - start;
    j->cold += g->a.p - start;
    g->a.p = hot;
}

bool jit_emit_block(TcgCpu *tc, Tb *tb)
{
    Jit *j = tc->jit;
    uint8_t *start = j->rw + j->used, *tails = j->rw + j->cold;
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
    gen_forget(&g);
    g.n_tails = 0;
    memset(g.after_run, 0, sizeof(g.after_run));
    memset(g.at, 0, sizeof(g.at));
    for (unsigned i = tb->n; i-- > 0;) {
        gen_decide(&g, i);
    }
    if (!gen_worth(&g, &templates)) {
        return false;
    }
    gen_body(&g);
    gen_tails(&g);
    g_assert(g.a.p - start <= JIT_BLOCK_MAX);
    g_assert(j->rw + j->cold - tails <= JIT_BLOCK_MAX);
    if (log_enabled(LOG_OP | LOG_OUT_ASM)) {
        jit_log(&g, tails, j->rw + j->cold - tails);
    }
    for (unsigned i = 1; i <= tb->n; i++) {
        if (g.after_run[i]) {
            tb->op[i].exec = jit_ret;
        }
    }
    gen_unfuse(&g);
    tb->code = start + g.a.to_rx;
    j->n_templates += templates;
    j->n_bytes += g.a.p - start;
    j->used = (g.a.p - j->rw + 31) & ~(size_t)31;
    return true;
}

#endif
