/*
 * gdb's remote serial protocol, see the gdb manual, appendix E.
 *
 * A packet is "$data#xx" and is acknowledged with '+', until gdb turns that off;
 * byte 3 interrupts. Everything here is in the main loop; while the guest runs
 * only the interrupt is looked at, and the reply to "continue" is sent when the
 * machine stops, for whatever reason (machine events).
 *
 * Addresses are linear, translated as the processor chosen by "H g" would with no
 * protection in the way; after "Qqemu.PhyMemMode:1" they are physical.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"
#include "util/trace.h"
#include "accel/accel.h"
#include "chardev/chardev.h"
#include "monitor/gdbstub.h"
#include "monitor/monitor.h"

enum {
    PACKET_MAX = 16384, /* what we say in qSupported */
    BREAK_MAX = 64,
    SIG_INT = 2,
    SIG_TRAP = 5,
};

typedef struct GdbStub {
    Machine *m;
    Chardev *c;
    bool own_chardev; /* made for us */
    char *id;
    GString *in; /* of the packet that is coming */
    enum { RX_IDLE, RX_DATA, RX_SUM1, RX_SUM2 } rx;
    bool escaped;
    uint8_t sum, sum_seen;
    GByteArray *out; /* not yet taken by the chardev */
    bool no_ack, physical;
    bool attached; /* gdb is there */
    bool waiting;  /* it continued and waits for a stop */
    X86Cpu *cpu;   /* of "Hg", and of the last stop */
    hwaddr breaks[BREAK_MAX];
    unsigned n_breaks;
    CpuWatch watch[CPU_WATCH_MAX];
    unsigned n_watch;
} GdbStub;

/* ---- sending ------------------------------------------------------------------------ */

static void flush(GdbStub *g)
{
    while (g->out->len) {
        size_t n = chardev_write(g->c, g->out->data, g->out->len);

        if (!n) {
            return; /* writable() comes */
        }
        g_byte_array_remove_range(g->out, 0, (guint)n);
    }
}

static void put(GdbStub *g, const void *buf, size_t len)
{
    g_byte_array_append(g->out, buf, (guint)len);
}

/* @data may hold any bytes. */
static void reply_bytes(GdbStub *g, const char *data, size_t len)
{
    uint8_t sum = 0;
    char tail[4];

    put(g, "$", 1);
    for (size_t i = 0; i < len; i++) {
        char c = data[i];

        if (c == '$' || c == '#' || c == '}' || c == '*') {
            put(g, "}", 1);
            sum += '}';
            c ^= 0x20;
        }
        put(g, &c, 1);
        sum += (uint8_t)c;
    }
    g_snprintf(tail, sizeof(tail), "#%02x", sum);
    put(g, tail, 3);
    flush(g);
}

static void reply(GdbStub *g, const char *text)
{
    reply_bytes(g, text, strlen(text));
}

static void reply_hex(GdbStub *g, const uint8_t *p, size_t len)
{
    GString *s = g_string_sized_new(2 * len);

    for (size_t i = 0; i < len; i++) {
        g_string_append_printf(s, "%02x", p[i]);
    }
    reply(g, s->str);
    g_string_free(s, TRUE);
}

/* ---- parsing ------------------------------------------------------------------------ */

static bool take_hex(const char **p, uint64_t *v)
{
    const char *start = *p;
    int digit;

    *v = 0;
    while (*p - start < 16 && (digit = g_ascii_xdigit_value(**p)) >= 0) {
        *v = *v << 4 | (unsigned)digit;
        (*p)++;
    }
    return *p != start;
}

static bool take_char(const char **p, char c)
{
    if (**p != c) {
        return false;
    }
    (*p)++;
    return true;
}

/* Pairs of hexadecimal digits up to the end; NULL: something else. */
static GByteArray *take_bytes(const char *p)
{
    GByteArray *out = g_byte_array_new();

    for (; p[0]; p += 2) {
        int hi = g_ascii_xdigit_value(p[0]);
        int lo = hi < 0 ? -1 : g_ascii_xdigit_value(p[1]);
        uint8_t b = (uint8_t)(hi << 4 | lo);

        if (lo < 0) {
            g_byte_array_unref(out);
            return NULL;
        }
        g_byte_array_append(out, &b, 1);
    }
    return out;
}

/* Thread 0 is any, -1 all: both are the current one here. NULL: no such. */
static X86Cpu *thread_cpu(GdbStub *g, const char **p)
{
    uint64_t n;

    if (take_char(p, '-')) {
        take_hex(p, &n);
        return g->cpu;
    }
    if (!take_hex(p, &n)) {
        return NULL;
    }
    if (n == 0) {
        return g->cpu;
    }
    return n <= g->m->ncpus ? g->m->cpu[n - 1] : NULL;
}

/* ---- memory ------------------------------------------------------------------------- */

static bool find_page(GdbStub *g, uint64_t lin, hwaddr *phys)
{
    if (g->physical) {
        *phys = lin;
        return true;
    }
    return g->m->accel->ops->translate(g->cpu, lin, phys);
}

/* Page by page; how many bytes went before one that is not there. */
static size_t memory(GdbStub *g, uint64_t lin, uint8_t *buf, size_t len,
                     bool write)
{
    size_t done = 0;

    cpu_state(g->cpu);
    while (done < len) {
        size_t n = MIN(len - done, 4096 - ((lin + done) & 4095));
        hwaddr phys;

        if (!find_page(g, lin + done, &phys)) {
            break;
        }
        if (!(write ? as_write_rom(g->m->mem, phys, buf + done, n)
                    : as_read(g->m->mem, phys, buf + done, n))) {
            break;
        }
        done += n;
    }
    return done;
}

static void cmd_read_memory(GdbStub *g, const char *p)
{
    g_autofree uint8_t *buf = NULL;
    uint64_t addr, len;
    size_t n;

    if (!take_hex(&p, &addr) || !take_char(&p, ',') || !take_hex(&p, &len)) {
        reply(g, "E22");
        return;
    }
    len = MIN(len, (PACKET_MAX - 16) / 2);
    buf = g_malloc(len + 1);
    n = memory(g, addr, buf, len, false);
    if (n || !len) {
        reply_hex(g, buf, n);
    } else {
        reply(g, "E14");
    }
}

/* Memory or control registers are others: what a processor remembers of page
 * tables may be wrong. */
static void forget_translations(GdbStub *g)
{
    for (unsigned i = 0; i < g->m->ncpus; i++) {
        cpu_raise(g->m->cpu[i], CPU_FLUSH);
    }
}

/* While a snapshot is written nothing may change: E16 is EBUSY. */
static bool may_change(GdbStub *g)
{
    if (g->m->held) {
        reply(g, "E16");
    }
    return !g->m->held;
}

static void write_memory(GdbStub *g, uint64_t addr, uint8_t *data, size_t len)
{
    if (may_change(g)) {
        reply(g, memory(g, addr, data, len, true) == len ? "OK" : "E14");
        forget_translations(g);
    }
}

static void cmd_write_memory(GdbStub *g, const char *p)
{
    g_autoptr(GByteArray) bytes = NULL;
    uint64_t addr, len;

    if (!take_hex(&p, &addr) || !take_char(&p, ',') || !take_hex(&p, &len) ||
        !take_char(&p, ':') || !(bytes = take_bytes(p)) || bytes->len != len) {
        reply(g, "E22");
        return;
    }
    write_memory(g, addr, bytes->data, bytes->len);
}

/* The data is binary, from the packet's ':' to its end. */
static void cmd_write_binary(GdbStub *g, const char *p)
{
    const char *end = g->in->str + g->in->len;
    uint64_t addr, len;

    if (!take_hex(&p, &addr) || !take_char(&p, ',') || !take_hex(&p, &len) ||
        !take_char(&p, ':') || (uint64_t)(end - p) != len) {
        reply(g, "E22");
        return;
    }
    write_memory(g, addr, (uint8_t *)(uintptr_t)p, len);
}

/* ---- registers ----------------------------------------------------------------------- */

static void cmd_read_registers(GdbStub *g, const char *p)
{
    g_autoptr(GByteArray) all = g_byte_array_new();

    for (unsigned i = 0; i < gdb_reg_count(); i++) {
        gdb_reg_read(g->cpu, i, all);
    }
    reply_hex(g, all->data, all->len);
}

static void cmd_write_registers(GdbStub *g, const char *p)
{
    g_autoptr(GByteArray) bytes = take_bytes(p);
    size_t at = 0, n = 1;

    if (!bytes) {
        reply(g, "E22");
        return;
    }
    if (!may_change(g)) {
        return;
    }
    for (unsigned i = 0; n && i < gdb_reg_count(); i++) {
        n = gdb_reg_write(g->cpu, i, bytes->data + at, bytes->len - at);
        at += n;
    }
    forget_translations(g);
    reply(g, "OK");
}

static void cmd_read_register(GdbStub *g, const char *p)
{
    g_autoptr(GByteArray) value = g_byte_array_new();
    uint64_t n;

    if (take_hex(&p, &n) && n < gdb_reg_count() &&
        gdb_reg_read(g->cpu, (unsigned)n, value)) {
        reply_hex(g, value->data, value->len);
    } else {
        reply(g, "E22");
    }
}

static void cmd_write_register(GdbStub *g, const char *p)
{
    g_autoptr(GByteArray) bytes = NULL;
    uint64_t n;

    if (!may_change(g)) {
        return;
    }
    if (take_hex(&p, &n) && n < gdb_reg_count() && take_char(&p, '=') &&
        (bytes = take_bytes(p)) != NULL &&
        gdb_reg_write(g->cpu, (unsigned)n, bytes->data, bytes->len)) {
        forget_translations(g);
        reply(g, "OK");
    } else {
        reply(g, "E22");
    }
}

/* ---- stops --------------------------------------------------------------------------- */

static void reply_stop(GdbStub *g, int sig)
{
    g_autofree char *text = NULL;
    unsigned hit = g->cpu->watch_hit;

    if (sig == SIG_TRAP && hit && hit <= g->n_watch) {
        const CpuWatch *w = &g->watch[hit - 1];

        text = g_strdup_printf("T%02xthread:%02x;%swatch:%" PRIx64 ";", sig,
                               g->cpu->index + 1,
                               !w->read   ? ""
                               : w->write ? "a"
                                          : "r",
                               w->addr);
    } else {
        text = g_strdup_printf("T%02xthread:%02x;", sig, g->cpu->index + 1);
    }
    reply(g, text);
}

static void on_event(Machine *m, const char *event, const EventValue *values,
                     void *opaque)
{
    GdbStub *g = opaque;
    X86Cpu *cpu;

    if (!g->waiting) {
        return;
    }
    if (!strcmp(event, "SHUTDOWN") && !m->cfg.no_shutdown) {
        g->waiting = false;
        reply(g, "W00");
    } else if (!strcmp(event, "STOP")) {
        g->waiting = false;
        cpu = __atomic_exchange_n(&m->debug_cpu, NULL, __ATOMIC_ACQ_REL);
        if (m->state == RUN_DEBUG && cpu) {
            g->cpu = cpu;
        }
        reply_stop(g, m->state == RUN_DEBUG ? SIG_TRAP : SIG_INT);
    }
}

/* ---- running -------------------------------------------------------------------------- */

/* Every processor gets the breakpoints; @step alone makes one step. */
static void arm(GdbStub *g, const X86Cpu *step)
{
    const AccelOps *ops = g->m->accel->ops;

    for (unsigned i = 0; i < g->m->ncpus; i++) {
        X86Cpu *c = g->m->cpu[i];

        cpu_state(c);
        ops->set_debug(c, g->breaks, g->n_breaks, c == step);
        if (ops->set_watch) {
            ops->set_watch(c, g->watch, g->n_watch);
        }
    }
}

static void run(GdbStub *g, bool step)
{
    g_autoptr(GError) err = NULL;

    arm(g, step ? g->cpu : NULL);
    g->m->debug_cpu = NULL;
    g->waiting = true;
    if (!machine_start(g->m, &err)) {
        warn_report("gdb: %s", err->message);
        g->waiting = false;
        reply_stop(g, SIG_INT);
    }
}

/* "c", "s", with an address to go on from. */
static void resume(GdbStub *g, const char *p, bool step)
{
    uint64_t addr;

    if (take_hex(&p, &addr)) {
        uint8_t buf[8];

        st_le64(buf, addr);
        gdb_reg_write(g->cpu, 16, buf, sizeof(buf)); /* rip */
    }
    run(g, step);
}

static void cmd_continue(GdbStub *g, const char *p)
{
    resume(g, p, false);
}

static void cmd_step(GdbStub *g, const char *p)
{
    resume(g, p, true);
}

/* "C05", "C05;addr": signals mean nothing to a machine. */
static void cmd_continue_signal(GdbStub *g, const char *p)
{
    const char *addr = strchr(p, ';');

    resume(g, addr ? addr + 1 : "", false);
}

static void cmd_step_signal(GdbStub *g, const char *p)
{
    const char *addr = strchr(p, ';');

    resume(g, addr ? addr + 1 : "", true);
}

/* ";s:1;c": the first action that steps chooses the processor; the others run
 * meanwhile. */
static void cmd_vcont(GdbStub *g, const char *p)
{
    bool step = false, any = false;

    while (take_char(&p, ';')) {
        char action = *p ? *p++ : 0;
        X86Cpu *cpu = g->cpu;
        uint64_t sig;

        if (action == 'C' || action == 'S') {
            take_hex(&p, &sig);
        }
        if (take_char(&p, ':') && !(cpu = thread_cpu(g, &p))) {
            reply(g, "E22");
            return;
        }
        if (!strchr("cCsS", action) || !action) {
            reply(g, "");
            return;
        }
        any = true;
        if ((action == 's' || action == 'S') && !step) {
            step = true;
            g->cpu = cpu;
        }
    }
    if (any) {
        run(g, step);
    } else {
        reply(g, "E22");
    }
}

/* ---- breakpoints ------------------------------------------------------------------------ */

static bool break_add(GdbStub *g, uint64_t addr)
{
    for (unsigned i = 0; i < g->n_breaks; i++) {
        if (g->breaks[i] == addr) {
            return true;
        }
    }
    if (g->n_breaks == BREAK_MAX) {
        return false;
    }
    g->breaks[g->n_breaks++] = addr;
    return true;
}

static bool break_del(GdbStub *g, uint64_t addr)
{
    for (unsigned i = 0; i < g->n_breaks; i++) {
        if (g->breaks[i] == addr) {
            g->breaks[i] = g->breaks[--g->n_breaks];
            break;
        }
    }
    return true;
}

static bool watch_add(GdbStub *g, const CpuWatch *w)
{
    if (g->n_watch == CPU_WATCH_MAX || !w->len || w->len > 1 << 20) {
        return false;
    }
    g->watch[g->n_watch++] = *w;
    return true;
}

static bool watch_del(GdbStub *g, const CpuWatch *w)
{
    for (unsigned i = 0; i < g->n_watch; i++) {
        const CpuWatch *v = &g->watch[i];

        if (v->addr == w->addr && v->len == w->len && v->read == w->read &&
            v->write == w->write) {
            g->watch[i] = g->watch[--g->n_watch];
            break;
        }
    }
    return true;
}

/* "0,addr,kind": 0 and 1 are breakpoints, 2 write, 3 read, 4 access. */
static void change_break(GdbStub *g, const char *p, bool add)
{
    uint64_t type, addr, kind;
    CpuWatch w;
    bool ok;

    if (!take_hex(&p, &type) || !take_char(&p, ',') || !take_hex(&p, &addr) ||
        !take_char(&p, ',') || !take_hex(&p, &kind)) {
        reply(g, "E22");
        return;
    }
    w = (CpuWatch) { addr, kind, type != 2, type != 3 };
    if (type <= 1) {
        ok = add ? break_add(g, addr) : break_del(g, addr);
    } else if (type <= 4 && g->m->accel->ops->set_watch) {
        ok = add ? watch_add(g, &w) : watch_del(g, &w);
    } else {
        reply(g, "");
        return;
    }
    reply(g, ok ? "OK" : "E28");
}

static void cmd_insert(GdbStub *g, const char *p)
{
    change_break(g, p, true);
}

static void cmd_remove(GdbStub *g, const char *p)
{
    change_break(g, p, false);
}

/* ---- queries ----------------------------------------------------------------------------- */

static void cmd_supported(GdbStub *g, const char *p)
{
    g_autofree char *text =
        g_strdup_printf("PacketSize=%x;qXfer:features:read+;vContSupported+;"
                        "QStartNoAckMode+;hwbreak+;swbreak-",
                        PACKET_MAX);

    reply(g, text);
}

/* "target.xml:offset,length" */
static void cmd_features(GdbStub *g, const char *p)
{
    g_autofree char *xml = gdb_target_xml();
    g_autofree char *piece = NULL;
    uint64_t off, len, all = strlen(xml);

    if (!g_str_has_prefix(p, "target.xml:")) {
        reply(g, "E00");
        return;
    }
    p += strlen("target.xml:");
    if (!take_hex(&p, &off) || !take_char(&p, ',') || !take_hex(&p, &len)) {
        reply(g, "E22");
        return;
    }
    off = MIN(off, all);
    len = MIN(MIN(len, all - off), PACKET_MAX / 2);
    piece = g_strdup_printf("%c%.*s", off + len < all ? 'm' : 'l', (int)len,
                            xml + off);
    reply(g, piece);
}

static void cmd_threads(GdbStub *g, const char *p)
{
    g_autoptr(GString) s = g_string_new("m");

    for (unsigned i = 0; i < g->m->ncpus; i++) {
        g_string_append_printf(s, "%s%x", i ? "," : "", i + 1);
    }
    reply(g, s->str);
}

static void cmd_threads_end(GdbStub *g, const char *p)
{
    reply(g, "l");
}

static void cmd_thread_info(GdbStub *g, const char *p)
{
    X86Cpu *c = thread_cpu(g, &p);
    g_autofree char *text = NULL;

    if (!c) {
        reply(g, "E22");
        return;
    }
    cpu_state(c);
    text = g_strdup_printf("CPU#%u [%s]", c->index,
                           c->s.halted ? "halted " : "running");
    reply_hex(g, (const uint8_t *)text, strlen(text));
}

static void cmd_current_thread(GdbStub *g, const char *p)
{
    g_autofree char *text = g_strdup_printf("QC%02x", g->cpu->index + 1);

    reply(g, text);
}

static void cmd_attached(GdbStub *g, const char *p)
{
    reply(g, "1");
}

/* "monitor info registers" */
static void cmd_monitor(GdbStub *g, const char *p)
{
    g_autoptr(GByteArray) line = take_bytes(p);
    g_autoptr(GString) out = g_string_new(NULL);

    if (!line) {
        reply(g, "E22");
        return;
    }
    g_byte_array_append(line, (const uint8_t *)"", 1);
    monitor_run_line(g->m, (const char *)line->data, out);
    g_string_truncate(out, MIN(out->len, (PACKET_MAX - 16) / 2));
    if (out->len) {
        reply_hex(g, (const uint8_t *)out->str, out->len);
    } else {
        reply(g, "OK");
    }
}

static void cmd_phy_mode(GdbStub *g, const char *p)
{
    g->physical = *p == '1';
    reply(g, "OK");
}

static void cmd_phy_query(GdbStub *g, const char *p)
{
    reply(g, g->physical ? "1" : "0");
}

static void cmd_no_ack(GdbStub *g, const char *p)
{
    reply(g, "OK");
    g->no_ack = true;
}

static void cmd_vcont_query(GdbStub *g, const char *p)
{
    reply(g, "vCont;c;C;s;S");
}

static void cmd_symbol(GdbStub *g, const char *p)
{
    reply(g, "OK");
}

/* ---- session ----------------------------------------------------------------------------- */

static void cmd_why(GdbStub *g, const char *p)
{
    reply_stop(g, SIG_TRAP);
}

static void cmd_choose(GdbStub *g, const char *p)
{
    bool general = *p == 'g';
    X86Cpu *c = *p ? (p++, thread_cpu(g, &p)) : NULL;

    if (c && general) {
        g->cpu = c;
    }
    reply(g, c ? "OK" : "E22");
}

static void cmd_alive(GdbStub *g, const char *p)
{
    reply(g, thread_cpu(g, &p) ? "OK" : "E22");
}

static void forget(GdbStub *g)
{
    g->n_breaks = g->n_watch = 0;
    g->waiting = g->attached = g->no_ack = g->physical = false;
    arm(g, NULL);
}

/* The guest runs on, as it did before gdb came. */
static void let_go(GdbStub *g)
{
    if (g->m->state == RUN_RUNNING) {
        machine_stop(g->m, RUN_PAUSED);
    }
    forget(g);
    machine_start(g->m, NULL);
}

static void cmd_detach(GdbStub *g, const char *p)
{
    reply(g, "OK");
    let_go(g);
}

static void cmd_kill(GdbStub *g, const char *p)
{
    if (*p || g->in->str[0] == 'v') {
        reply(g, "OK");
    }
    machine_request_quit(g->m, "host-ui");
}

typedef struct Command {
    const char *prefix;
    void (*run)(GdbStub *g, const char *rest);
} Command;

/* The first that fits. What is in no row gets the empty answer: not known. */
static const Command commands[] = {
    { "?", cmd_why },
    { "g", cmd_read_registers },
    { "G", cmd_write_registers },
    { "p", cmd_read_register },
    { "P", cmd_write_register },
    { "m", cmd_read_memory },
    { "M", cmd_write_memory },
    { "X", cmd_write_binary },
    { "vCont?", cmd_vcont_query },
    { "vCont", cmd_vcont },
    { "vKill", cmd_kill },
    { "c", cmd_continue },
    { "C", cmd_continue_signal },
    { "s", cmd_step },
    { "S", cmd_step_signal },
    { "Z", cmd_insert },
    { "z", cmd_remove },
    { "H", cmd_choose },
    { "T", cmd_alive },
    { "D", cmd_detach },
    { "k", cmd_kill },
    { "qSupported", cmd_supported },
    { "qXfer:features:read:", cmd_features },
    { "qfThreadInfo", cmd_threads },
    { "qsThreadInfo", cmd_threads_end },
    { "qThreadExtraInfo,", cmd_thread_info },
    { "qC", cmd_current_thread },
    { "qAttached", cmd_attached },
    { "qRcmd,", cmd_monitor },
    { "qSymbol::", cmd_symbol },
    { "qqemu.PhyMemMode", cmd_phy_query },
    { "Qqemu.PhyMemMode:", cmd_phy_mode },
    { "QStartNoAckMode", cmd_no_ack },
};

static void packet(GdbStub *g)
{
    trace(gdbstub_io_command, g->in->str);
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        const Command *c = &commands[i];

        if (g_str_has_prefix(g->in->str, c->prefix)) {
            c->run(g, g->in->str + strlen(c->prefix));
            return;
        }
    }
    reply(g, "");
}

/* ---- receiving ----------------------------------------------------------------------------- */

static void interrupt(GdbStub *g)
{
    if (g->m->state == RUN_RUNNING) {
        machine_stop(g->m, RUN_PAUSED); /* on_event() answers */
    } else if (g->waiting) {
        g->waiting = false;
        reply_stop(g, SIG_INT);
    }
}

static void packet_end(GdbStub *g)
{
    g->rx = RX_IDLE;
    if (!g->no_ack) {
        put(g, g->sum == g->sum_seen ? "+" : "-", 1);
        flush(g);
        if (g->sum != g->sum_seen) {
            return;
        }
    }
    packet(g);
}

static void data_byte(GdbStub *g, uint8_t b)
{
    if (b == '#' && !g->escaped) {
        g->rx = RX_SUM1;
        return;
    }
    g->sum += b;
    if (b == '}' && !g->escaped) {
        g->escaped = true;
        return;
    }
    if (g->in->len >= PACKET_MAX) {
        g->rx = RX_IDLE; /* longer than we said: not gdb */
        return;
    }
    g_string_append_c(g->in, (char)(g->escaped ? b ^ 0x20 : b));
    g->escaped = false;
}

static void rx_byte(GdbStub *g, uint8_t b)
{
    int digit = g_ascii_xdigit_value((char)b);

    switch (g->rx) {
    case RX_IDLE:
        if (b == 3) {
            interrupt(g);
        } else if (b == '$') {
            g_string_truncate(g->in, 0);
            g->sum = 0;
            g->escaped = false;
            g->rx = RX_DATA;
        }
        break;
    case RX_DATA:
        data_byte(g, b);
        break;
    case RX_SUM1:
        g->sum_seen = (uint8_t)((digit < 0 ? 0 : digit) << 4);
        g->rx = RX_SUM2;
        break;
    case RX_SUM2:
        g->sum_seen |= (uint8_t)(digit < 0 ? 0 : digit);
        packet_end(g);
        break;
    }
}

static size_t gdb_can_receive(void *opaque)
{
    GdbStub *g = opaque;

    return g->out->len > 4 * PACKET_MAX ? 0 : 4096;
}

static void gdb_receive(void *opaque, const uint8_t *buf, size_t len)
{
    GdbStub *g = opaque;

    for (size_t i = 0; i < len; i++) {
        rx_byte(g, buf[i]);
    }
}

static void gdb_writable(void *opaque)
{
    GdbStub *g = opaque;

    flush(g);
    chardev_resume(g->c);
}

/* gdb comes: the machine stops for it. gdb goes without a word: it runs on. */
static void gdb_event(void *opaque, CharEvent event)
{
    GdbStub *g = opaque;

    if (event == CHAR_OPENED && !g->attached) {
        g->attached = true;
        g->rx = RX_IDLE; /* the last one may have gone in a packet */
        g_byte_array_set_size(g->out, 0);
        if (g->m->state == RUN_RUNNING) {
            machine_stop(g->m, RUN_PAUSED);
        }
    } else if (event == CHAR_CLOSED && g->attached) {
        let_go(g);
    }
}

static const CharClient gdb_client = {
    .can_receive = gdb_can_receive,
    .receive = gdb_receive,
    .writable = gdb_writable,
    .event = gdb_event,
};

/* ---- life ------------------------------------------------------------------------------------ */

/* A socket listens, and nobody waits for it, unless the user says other. */
static Chardev *open_chardev(Machine *m, const char *where, bool *own,
                             GError **errp)
{
    g_autofree char *text = NULL;
    Chardev *c = g_hash_table_lookup(m->chardevs, where);

    *own = !c;
    if (c) {
        return c;
    }
    text = g_str_has_prefix(where, "tcp:") || g_str_has_prefix(where, "unix:")
               ? g_strconcat(where, ",server=on,wait=off", NULL)
               : g_strdup(where);
    return chardev_new_legacy(m->chardevs, "gdb", text, errp);
}

bool gdbstub_open(Machine *m, const char *where, GError **errp)
{
    GdbStub *g;
    Chardev *c;
    bool own;

    gdbstub_close(m);
    if (!strcmp(where, "none")) {
        return true;
    }
    if (!m->ncpus || !m->accel->ops->set_debug) {
        error_setg(errp, "gdbstub: there is no processor to debug");
        return false;
    }
    c = open_chardev(m, where, &own, errp);
    if (!c) {
        return false;
    }
    g = g_new0(GdbStub, 1);
    g->m = m;
    g->c = c;
    g->own_chardev = own;
    g->in = g_string_new(NULL);
    g->out = g_byte_array_new();
    g->cpu = m->cpu[0];
    m->gdb = g;
    machine_watch(m, on_event, g);
    if (!chardev_attach(c, &gdb_client, g, errp)) {
        g->c = NULL;
        gdbstub_close(m);
        return false;
    }
    return true;
}

void gdbstub_close(Machine *m)
{
    GdbStub *g = m->gdb;

    if (!g) {
        return;
    }
    m->gdb = NULL;
    machine_unwatch(m, on_event, g);
    if (g->c) {
        chardev_detach(g->c, g);
        if (g->own_chardev) {
            g_hash_table_remove(m->chardevs, g->c->id);
            chardev_free(g->c);
        }
    }
    g_string_free(g->in, TRUE);
    g_byte_array_unref(g->out);
    g_free(g);
}
