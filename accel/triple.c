/*
 * The report of a triple fault: what went wrong, with which registers, in
 * which code.
 *
 * In the log with -d cpu_reset or int; on stderr, too, if the user said that a
 * reset (-no-reboot) or the end (-no-shutdown) is to be looked at. A guest may
 * reset itself for ever, so without -no-reboot a processor reports a few only.
 */
#include "util/osdep.h"
#include "accel/triple.h"
#include "target-x86/disas.h"
#include "target-x86/seg.h"
#include "util/log.h"

enum {
    REPORTS_MAX = 3,
    CODE_LINES = 6,
    INSN_MAX = 15,
    PAGE = 4096,
};

/* Up to @max bytes at @lin that are RAM or ROM; devices are not touched. */
static size_t triple_read(X86Cpu *cpu, uint64_t lin, uint8_t *buf, size_t max)
{
    const AccelOps *ops = cpu->machine->accel->ops;
    AddressSpace *as = cpu->machine->mem;
    size_t done = 0;

    while (done < max && ops->translate) {
        uint64_t at = lin + done;
        size_t n = MIN(max - done, PAGE - (at & (PAGE - 1)));
        hwaddr phys;
        const void *p;

        if (!ops->translate(cpu, at, &phys) ||
            !(p = as_ram(as, phys, n, false))) {
            break;
        }
        memcpy(buf + done, p, n);
        done += n;
    }
    return done;
}

static void triple_code(X86Cpu *cpu, GString *out)
{
    const X86State *s = &cpu->s;
    const X86Seg *cs = &s->seg[S_CS];
    bool code64 = s->efer & EFER_LMA && cs->attr & SEG_L;
    unsigned bits = code64 ? 64 : cs->attr & SEG_DB ? 32 : 16;
    uint64_t lin = code64 ? s->rip : (uint32_t)(cs->base + s->rip);
    uint8_t buf[CODE_LINES * INSN_MAX];
    size_t n = triple_read(cpu, lin, buf, sizeof(buf));

    g_string_append(out, "Code:\n");
    if (!n || !x86_disas(out, buf, n, lin, bits, CODE_LINES)) {
        g_string_append_printf(out, "0x%08" PRIx64 ":  not in memory\n", lin);
    }
}

static bool triple_to_user(const X86Cpu *cpu)
{
    const MachineConfig *cfg = &cpu->machine->cfg;

    return cfg->no_reboot || (cfg->no_shutdown && cpu->n_triple < REPORTS_MAX);
}

void cpu_report_triple(X86Cpu *cpu)
{
    g_autoptr(GString) text = NULL;
    bool to_user = triple_to_user(cpu),
         to_log = log_enabled(LOG_INT | LOG_RESET);

    if (!to_user && !to_log) {
        return;
    }
    text = g_string_new(NULL);
    cpu_state(cpu);
    x86_triple_report(cpu, text);
    if (!cpu->chain_len) {
        g_string_append_printf(
            text, "  -accel %s does not say which exceptions; tcg does\n",
            cpu->machine->accel->ops->name);
    }
    x86_dump(cpu, text, false);
    triple_code(cpu, text);
    if (to_log) {
        log_write("%s", text->str);
    }
    if (to_user && !(to_log && log_to_stderr())) {
        cpu->n_triple++;
        g_string_truncate(text, text->len - 1);
        error_report("%s", text->str);
    }
}
