/*
 * One connection to a person: a chardev, a line editor, the command table.
 *
 * Output goes through a buffer that drains as the other end reads; a client
 * that never reads costs at most MON_OUT_MAX bytes, then loses output.
 */
#include "util/osdep.h"
#include "util/error.h"
#include "accel/cpus.h"
#include "chardev/chardev.h"
#include "monitor/hmp.h"
#include "monitor/readline.h"

enum { MON_OUT_MAX = 16 << 20, MON_ROOM = 1024 };

struct Monitor {
    Machine *m;
    Chardev *c; /* NULL: output is only collected */
    Readline *rl;
    GString *out;
    unsigned cpu_index;
    bool greeted, in_front;
    bool linear_pc;
};

Machine *mon_machine(Monitor *mon)
{
    return mon->m;
}

X86Cpu *mon_cpu(Monitor *mon)
{
    return mon->m->cpu && mon->cpu_index < mon->m->ncpus
               ? mon->m->cpu[mon->cpu_index]
               : NULL;
}

bool mon_set_cpu(Monitor *mon, unsigned index)
{
    if (!mon->m->cpu || index >= mon->m->ncpus) {
        return false;
    }
    mon->cpu_index = index;
    return true;
}

void mon_set_linear_pc(Monitor *mon, bool on)
{
    mon->linear_pc = on;
}

bool mon_linear_pc(Monitor *mon)
{
    return mon->linear_pc;
}

GPtrArray *mon_history(Monitor *mon)
{
    return mon->rl ? readline_history(mon->rl) : NULL;
}

/* ---- output ------------------------------------------------------------------ */

static void mon_flush(Monitor *mon)
{
    size_t n;

    if (!mon->c || !mon->out->len) {
        return;
    }
    n = chardev_write(mon->c, mon->out->str, mon->out->len);
    g_string_erase(mon->out, 0, n);
}

static void mon_write(Monitor *mon, const char *text, size_t len)
{
    if (mon->out->len + len > MON_OUT_MAX) {
        return;
    }
    g_string_append_len(mon->out, text, len);
}

void mon_puts(Monitor *mon, const char *text)
{
    if (!mon->c) {
        mon_write(mon, text, strlen(text));
        return;
    }
    for (const char *p = text; *p; p++) {
        if (*p == '\n') {
            mon_write(mon, "\r", 1);
        }
        mon_write(mon, p, 1);
    }
    mon_flush(mon);
}

void mon_printf(Monitor *mon, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    mon_puts(mon, text);
}

void mon_report(Monitor *mon, GError *err)
{
    mon_printf(mon, "Error: %s\n", err->message);
    g_error_free(err);
}

/* ---- the line editor's side ---------------------------------------------------- */

static void mon_rl_output(void *opaque, const char *text, size_t len)
{
    mon_write(opaque, text, len);
    mon_flush(opaque);
}

static void mon_rl_line(void *opaque, const char *line)
{
    Monitor *mon = opaque;

    hmp_run(mon, line);
    if (mon->rl) {
        readline_prompt(mon->rl);
    }
}

static GPtrArray *mon_rl_complete(void *opaque, const char *before,
                                  const char *word)
{
    return hmp_complete(opaque, before, word);
}

static const ReadlineOps mon_rl_ops = {
    .output = mon_rl_output,
    .line = mon_rl_line,
    .complete = mon_rl_complete,
};

/* ---- the chardev's side ---------------------------------------------------------- */

static size_t mon_can_receive(void *opaque)
{
    return MON_ROOM;
}

static void mon_receive(void *opaque, const uint8_t *buf, size_t len)
{
    Monitor *mon = opaque;

    for (size_t i = 0; i < len; i++) {
        readline_key(mon->rl, buf[i]);
    }
}

static void mon_writable(void *opaque)
{
    mon_flush(opaque);
}

static void mon_greet(Monitor *mon)
{
    if (!mon->greeted) {
        mon->greeted = true;
        mon_printf(mon, "QEMU 7.2.0 monitor - type 'help' for more "
                        "information\n");
    } else {
        mon_puts(mon, "\n");
    }
    readline_prompt(mon->rl);
}

static void mon_event(void *opaque, CharEvent event)
{
    Monitor *mon = opaque;

    switch (event) {
    case CHAR_OPENED:
        if (!chardev_is_mux(mon->c)) {
            mon->greeted = false;
            readline_reset(mon->rl);
            mon_greet(mon);
        }
        break;
    case CHAR_MUX_IN:
        mon_greet(mon);
        break;
    case CHAR_CLOSED:
        g_string_truncate(mon->out, 0);
        readline_reset(mon->rl);
        break;
    default:
        break;
    }
}

static const CharClient mon_client = {
    .can_receive = mon_can_receive,
    .receive = mon_receive,
    .writable = mon_writable,
    .event = mon_event,
};

static Monitor *mon_new(Machine *m, Chardev *c)
{
    Monitor *mon = g_new0(Monitor, 1);

    mon->m = m;
    mon->c = c;
    mon->out = g_string_new(NULL);
    return mon;
}

static void mon_free(Monitor *mon)
{
    if (mon->c) {
        mon_flush(mon);
        chardev_detach(mon->c, mon);
    }
    if (mon->rl) {
        readline_free(mon->rl);
    }
    g_string_free(mon->out, TRUE);
    g_free(mon);
}

bool monitor_open(Machine *m, Chardev *c, bool qmp, GError **errp)
{
    Monitor *mon;

    if (qmp) {
        error_setg(errp, "QMP is not supported yet; mode=readline is");
        return false;
    }
    mon = mon_new(m, c);
    mon->rl = readline_new("(qemu) ", &mon_rl_ops, mon);
    if (!chardev_attach(c, &mon_client, mon, errp)) {
        mon->c = NULL;
        mon_free(mon);
        return false;
    }
    m->monitors = g_list_append(m->monitors, mon);
    return true;
}

void monitors_close(Machine *m)
{
    GList *list = g_steal_pointer(&m->monitors);

    for (GList *l = list; l; l = l->next) {
        mon_free(l->data);
    }
    g_list_free(list);
}

void monitor_run_line(Machine *m, const char *line, GString *out)
{
    Monitor *mon = mon_new(m, NULL);

    hmp_run(mon, line);
    g_string_append(out, mon->out->str);
    mon_free(mon);
}
