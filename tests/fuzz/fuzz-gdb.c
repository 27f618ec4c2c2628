/*
 * A debugger gone wild. The first byte says how the rest is read: as packets, one
 * a line, which get their frames and checksums here (so that they arrive), or as
 * the bytes of the line itself. "monitor" commands are left out: some write
 * files where they are told to; fuzz-hmp has their parsers.
 *
 * The machine is built once; each input begins with a reset and a new session.
 */
#include "util/osdep.h"
#include "tests/lib/fuzz-input.h"
#include "tests/lib/fuzz.h"
#include "tests/lib/line.h"
#include "tests/lib/monitor-vm.h"
#include "monitor/gdbstub.h"
#include "util/mainloop.h"

enum { PACKETS_MAX = 64, RUN_US = 200 };

typedef struct Fuzz {
    Machine *m;
    Line *line;
} Fuzz;

static void settle(void)
{
    while (mainloop_iterate(false)) {
    }
}

static void stop(Machine *m)
{
    if (m->state == RUN_RUNNING) {
        unsigned held = machine_unlock_all(m);

        g_usleep(RUN_US);
        machine_relock(m, held);
        settle();
    }
    if (m->state == RUN_RUNNING) {
        machine_stop(m, RUN_PAUSED);
    }
    settle();
}

/* What the stub does not take now it has no room for: answers wait. */
static void send_all(Fuzz *f, const char *p, size_t len)
{
    while (len) {
        size_t n = line_send(f->line, p, len);

        if (!n) {
            return;
        }
        p += n;
        len -= n;
    }
}

static void send_packet(Fuzz *f, const char *text)
{
    g_autofree char *frame = NULL;
    uint8_t sum = 0;

    if (g_str_has_prefix(text, "qRcmd")) {
        return;
    }
    for (const char *p = text; *p; p++) {
        sum += (uint8_t)*p;
    }
    frame = g_strdup_printf("$%s#%02x", text, sum);
    send_all(f, frame, strlen(frame));
    stop(f->m);
}

static void packets(Fuzz *f, const uint8_t *data, size_t len)
{
    g_auto(GStrv) list = input_lines(data, len, PACKETS_MAX);

    for (char **p = list; *p; p++) {
        send_packet(f, *p);
    }
}

static void session(Fuzz *f, const uint8_t *data, size_t len)
{
    if (!len) {
        return;
    }
    if (data[0] & 1) {
        packets(f, data + 1, len - 1);
    } else if (!g_strstr_len((const char *)data, (gssize)len, "qRcmd")) {
        send_all(f, (const char *)data + 1, len - 1);
        stop(f->m);
    }
    if (data[0] & 2) { /* it goes without a word */
        chardev_event(&f->line->c, CHAR_CLOSED);
        stop(f->m);
    }
}

static void build(Fuzz *f)
{
    f->m = mvm_prepare("pc", clock_new_manual());
    f->m->cfg.ram_size = 2 * MIB;
    f->m->cfg.no_shutdown = true;
    f->m->cfg.ncpus = f->m->cfg.max_cpus = f->m->ncpus = 2;
    f->m->cfg.sockets = 2;
    f->line = line_new(f->m, "gdb0");
    f->line->room = SIZE_MAX;
    mvm_build(f->m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static Fuzz f;

    if (!f.m) {
        build(&f);
    }
    settle();
    machine_reset(f.m);
    f.m->state = RUN_PAUSED;
    f.line->c.is_open = true;
    g_assert_true(gdbstub_open(f.m, "gdb0", NULL));
    session(&f, data, len);
    gdbstub_close(f.m);
    stop(f.m);
    g_byte_array_set_size(f.line->in, 0);
    return 0;
}
