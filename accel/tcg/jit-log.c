/*
 * What the translator did with a block, for -d op and -d out_asm: how each
 * operation is executed, and the host's code.
 *
 * Blocks have no address; shown is the one that this was first executed at.
 */
#include "util/osdep.h"
#include "accel/tcg/jit-gen.h"
#include "target-x86/disas.h"
#include "util/log.h"

#if defined(__x86_64__)

static const char *const how_names[] = {
    [HOW_EMIT] = "template",
    [HOW_CALL] = "handler",
    [HOW_LEAVE] = "interpreter",
};

static void jit_log_ops(const Gen *g, uint64_t lin, GString *out)
{
    g_string_append(out, "OP:\n");
    for (unsigned i = 0; i < g->tb->n; i++) {
        const Insn *op = &g->tb->op[i];
        const OpInfo *in = &g->info[i];

        g_string_append_printf(out, " ---- %016" PRIx64 "  %-12s %s\n",
                               lin + op->off, insn_rows[op->id].name,
                               how_names[in->how]);
        if (in->how == HOW_LEAVE) {
            break;
        }
    }
    g_string_append(out, "\n");
}

/* Code at @code, where it was written. */
static void jit_log_code(const Gen *g, const uint8_t *code, size_t len,
                         GString *out)
{
    x86_disas(out, code, len, (uintptr_t)code + g->a.to_rx, 64, 0);
}

/* Operation by operation; those that share code with the one before have no
 * line of their own. */
static void jit_log_out(const Gen *g, uint64_t lin, const uint8_t *tails,
                        size_t tails_len, GString *out)
{
    const uint8_t *end = g->a.p;

    g_string_append_printf(out, "OUT: [size=%zu]\n",
                           (size_t)(end - g->code) + tails_len);
    for (unsigned i = 0; i <= g->tb->n && g->at[i]; i++) {
        const uint8_t *next = end;

        for (unsigned k = i + 1; k <= g->tb->n; k++) {
            if (g->at[k]) {
                next = g->at[k];
                break;
            }
        }
        g_string_append_printf(out, "  -- guest addr 0x%016" PRIx64 "%s\n",
                               lin + g->tb->op[i].off,
                               i == g->tb->n ? " (the way out)" : "");
        jit_log_code(g, g->at[i], next - g->at[i], out);
        while (i < g->tb->n && !g->at[i + 1]) {
            i++;
        }
    }
    if (tails_len) {
        g_string_append(out, "  -- tails\n");
        jit_log_code(g, tails, tails_len, out);
    }
    g_string_append(out, "\n");
}

void jit_log(const Gen *g, const uint8_t *tails, size_t tails_len)
{
    uint64_t lin = g->tc->cpu.s.rip;
    g_autoptr(GString) out = NULL;

    if (!log_in_range(lin)) {
        return;
    }
    out = g_string_new(NULL);
    if (log_enabled(LOG_OP)) {
        jit_log_ops(g, lin, out);
    }
    if (log_enabled(LOG_OUT_ASM)) {
        jit_log_out(g, lin, tails, tails_len, out);
    }
    log_write("%s", out->str);
}

#endif
