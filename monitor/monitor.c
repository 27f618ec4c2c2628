/*
 * Connections: a chardev, and behind it a line editor with the commands of the
 * human monitor, or a session of QMP.
 *
 * Output goes through a buffer that drains as the other end reads. A person's
 * monitor that nobody reads costs at most MON_OUT_MAX bytes, then loses output;
 * QMP's takes no more requests above MON_CLOGGED, so it may grow by one reply.
 */
#include "util/osdep.h"
#include "util/error.h"
#include "accel/cpus.h"
#include "chardev/chardev.h"
#include "monitor/event.h"
#include "monitor/fds.h"
#include "monitor/hmp.h"
#include "monitor/jobs.h"
#include "monitor/keys.h"
#include "monitor/qmp.h"
#include "monitor/readline.h"
#include "monitor/symbols.h"

enum { MON_OUT_MAX = 16 << 20, MON_CLOGGED = 1 << 20, MON_ROOM = 1024 };

/* All of a machine's; in m->monitors. */
typedef struct Monitors {
    GList *list;     /* of Monitor */
    GHashTable *fds; /* name -> int, of fds.c */
    HeldKeys keys;
    Symbols *symbols; /* NULL: nobody asked yet */
#if CONFIG_JSON_C
    EventQueue *events;
    Jobs *jobs;
#endif
    unsigned running; /* commands; a command may run the main loop */
    guint again;      /* source: those that were made to wait */
    bool made_wait;
} Monitors;

struct Monitor {
    Machine *m;
    Chardev *c;   /* NULL: output is only collected */
    Readline *rl; /* a person's */
#if CONFIG_JSON_C
    Qmp *qmp; /* a program's */
#endif
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
    if (n) { /* or megabytes move to where they are */
        g_string_erase(mon->out, 0, n);
    }
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

/* ---- one command at a time ------------------------------------------------------ */

static Monitors *all_monitors(Machine *m);

bool mon_is_busy(Monitor *mon)
{
    Monitors *all = all_monitors(mon->m);

    all->made_wait |= all->running > 0;
    return all->running > 0;
}

void mon_begin(Monitor *mon)
{
    all_monitors(mon->m)->running++;
}

static gboolean go_on(void *opaque)
{
    Monitors *all = opaque;

    all->again = 0;
    for (GList *l = all->list; l; l = l->next) {
        Monitor *mon = l->data;

#if CONFIG_JSON_C
        if (mon->qmp) {
            qmp_resume(mon->qmp);
            continue;
        }
#endif
        chardev_resume(mon->c);
    }
    return G_SOURCE_REMOVE;
}

static void not_busy(Monitors *all)
{
    if (!all->running && all->made_wait && !all->again) {
        all->made_wait = false;
        all->again = g_idle_add_full(G_PRIORITY_DEFAULT, go_on, all, NULL);
    }
}

void mon_end(Monitor *mon)
{
    Monitors *all = all_monitors(mon->m);

    all->running--;
    not_busy(all);
}

unsigned mon_let_others(Monitor *mon)
{
    Monitors *all = all_monitors(mon->m);
    unsigned n = all->running;

    all->running = 0;
    not_busy(all);
    return n;
}

void mon_go_on(Monitor *mon, unsigned n)
{
    all_monitors(mon->m)->running += n;
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

    mon_begin(mon);
    hmp_run(mon, line);
    mon_end(mon);
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

/* ---- the chardev's side: people ---------------------------------------------------- */

static bool is_clogged(const Monitor *mon)
{
    return mon->out->len >= MON_CLOGGED;
}

/* Who does not read is not listened to: else commands whose answers are lost
 * would keep the main loop from everybody. */
static size_t mon_can_receive(void *opaque)
{
    return is_clogged(opaque) || mon_is_busy(opaque) ? 0 : MON_ROOM;
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
    Monitor *mon = opaque;

    mon_flush(mon);
    chardev_resume(mon->c);
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

/* ---- the chardev's side: programs ---------------------------------------------------- */

#if CONFIG_JSON_C

bool mon_is_clogged(Monitor *mon)
{
    return is_clogged(mon);
}

void mon_input_resume(Monitor *mon)
{
    chardev_resume(mon->c);
}

int mon_take_fd(Monitor *mon)
{
    return mon && mon->c ? chardev_take_fd(mon->c) : -1;
}

static void qmp_send(Monitor *mon, const char *line)
{
    for (const char *p = line; *p;) { /* pretty ones have several lines */
        size_t n = strcspn(p, "\n");

        g_string_append_len(mon->out, p, (gssize)n);
        g_string_append(mon->out, p[n] ? "\r\n" : "");
        p += n + (p[n] != '\0');
    }
    g_string_append(mon->out, "\r\n");
    mon_flush(mon);
}

static size_t qmp_client_room(void *opaque)
{
    return qmp_room(((Monitor *)opaque)->qmp);
}

static void qmp_client_receive(void *opaque, const uint8_t *buf, size_t len)
{
    qmp_receive(((Monitor *)opaque)->qmp, buf, len);
}

static void qmp_client_writable(void *opaque)
{
    Monitor *mon = opaque;

    mon_flush(mon);
    if (!mon_is_clogged(mon)) {
        qmp_resume(mon->qmp);
    }
}

static void qmp_client_event(void *opaque, CharEvent event)
{
    Monitor *mon = opaque;

    if (event == CHAR_OPENED) {
        g_string_truncate(mon->out, 0);
        qmp_greet(mon->qmp);
    } else if (event == CHAR_CLOSED) {
        g_string_truncate(mon->out, 0);
        qmp_hangup(mon->qmp);
    }
}

static const CharClient qmp_client = {
    .can_receive = qmp_client_room,
    .receive = qmp_client_receive,
    .writable = qmp_client_writable,
    .event = qmp_client_event,
};

/* To every client of QMP. */
static void send_event(void *opaque, json_object *event)
{
    Monitors *all = opaque;

    for (GList *l = all->list; l; l = l->next) {
        Monitor *mon = l->data;

        if (mon->qmp) {
            qmp_event(mon->qmp, event);
        }
    }
}

static void on_machine_event(Machine *m, const char *event,
                             const EventValue *values, void *opaque)
{
    Monitors *all = opaque;

    event_queue_emit(all->events, event, values);
}

#endif

/* ---- life --------------------------------------------------------------------------- */

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
#if CONFIG_JSON_C
    qmp_free(mon->qmp);
#endif
    g_string_free(mon->out, TRUE);
    g_free(mon);
}

static Monitors *all_monitors(Machine *m)
{
    Monitors *all = m->monitors;

    if (!all) {
        m->monitors = all = g_new0(Monitors, 1);
        all->fds =
            g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
#if CONFIG_JSON_C
        all->events = event_queue_new(send_event, all);
        all->jobs = jobs_new(m);
        machine_watch(m, on_machine_event, all);
#endif
    }
    return all;
}

GHashTable *monitors_fds(Machine *m)
{
    return all_monitors(m)->fds;
}

#if CONFIG_JSON_C
Jobs *monitors_jobs(Machine *m)
{
    return all_monitors(m)->jobs;
}
#endif

const Symbols *monitors_symbols(Machine *m)
{
    Monitors *all = all_monitors(m);

    if (!all->symbols) {
        all->symbols = symbols_load(m->cfg.kernel);
    }
    return all->symbols;
}

HeldKeys *monitors_keys(Machine *m)
{
    return &all_monitors(m)->keys;
}

static bool attach_qmp(Monitor *mon, bool pretty, GError **errp)
{
#if CONFIG_JSON_C
    mon->qmp = qmp_new(mon, pretty, qmp_send);
    return chardev_attach(mon->c, &qmp_client, mon, errp);
#else
    error_setg(errp, "QMP needs json-c, which this build lacks (./configure "
                     "with libjson-c-dev installed); mode=readline works");
    return false;
#endif
}

static bool attach_hmp(Monitor *mon, GError **errp)
{
    mon->rl = readline_new("(qemu) ", &mon_rl_ops, mon);
    return chardev_attach(mon->c, &mon_client, mon, errp);
}

bool monitor_open(Machine *m, Chardev *c, unsigned flags, GError **errp)
{
    Monitor *mon = mon_new(m, c);
    Monitors *all = all_monitors(m);

    if (!(flags & MON_QMP ? attach_qmp(mon, flags & MON_PRETTY, errp)
                          : attach_hmp(mon, errp))) {
        mon->c = NULL;
        mon_free(mon);
        return false;
    }
    all->list = g_list_append(all->list, mon);
    return true;
}

/* What was said last reaches who reads it; nobody who does not delays the end
 * for more than a second. */
static void last_words(Monitors *all)
{
    int64_t end = g_get_monotonic_time() + 1000000;

    for (GList *l = all->list; l; l = l->next) {
        Monitor *mon = l->data;

        mon_flush(mon);
        while (mon->out->len && g_get_monotonic_time() < end) {
            g_usleep(1000);
            mon_flush(mon);
        }
    }
}

void monitors_close(Machine *m)
{
    Monitors *all = m->monitors;

    if (!all) {
        return;
    }
#if CONFIG_JSON_C
    jobs_free(all->jobs);
#endif
    last_words(all);
    m->monitors = NULL;
    g_list_free_full(all->list, (GDestroyNotify)(void *)mon_free);
#if CONFIG_JSON_C
    machine_unwatch(m, on_machine_event, all);
    event_queue_free(all->events);
#endif
    if (all->again) {
        g_source_remove(all->again);
    }
    symbols_free(all->symbols);
    keys_forget(&all->keys);
    fds_close_all(all->fds);
    g_free(all);
}

void monitor_run_line_on(Machine *m, unsigned cpu, const char *line,
                         GString *out)
{
    Monitor *mon = mon_new(m, NULL);

    mon->cpu_index = cpu;
    hmp_run(mon, line);
    g_string_append(out, mon->out->str);
    mon_free(mon);
}

void monitor_run_line(Machine *m, const char *line, GString *out)
{
    monitor_run_line_on(m, 0, line, out);
}

bool monitor_check_line(Machine *m, const char *line, GError **errp)
{
    Monitor *mon = mon_new(m, NULL);
    bool ok = hmp_check(mon, line, errp);

    mon_free(mon);
    return ok;
}

GPtrArray *monitor_complete(Machine *m, const char *before, const char *word)
{
    Monitor *mon = mon_new(m, NULL);
    GPtrArray *words = hmp_complete(mon, before, word);

    mon_free(mon);
    return words;
}
