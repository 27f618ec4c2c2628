/*
 * One host end for several clients: a serial port and a monitor on one
 * terminal. Ctrl-a (or -echr) is the escape; the client in front gets the
 * keyboard, all write to the screen.
 */
#include "util/osdep.h"
#include <time.h>
#include "util/error.h"
#include "chardev/internal.h"

enum { MUX_CLIENTS = 4, MUX_FIFO = 256 };

typedef struct MuxClient {
    const CharClient *client;
    void *opaque;
    uint8_t fifo[MUX_FIFO]; /* typed while it had no room */
    size_t fifo_len;
} MuxClient;

typedef struct Mux {
    Chardev c;
    Chardev *base;
    MuxClient clients[MUX_CLIENTS];
    int n, front;
    bool escaped;
    bool timestamps, at_line_start;
    int64_t start_us;
} Mux;

/* Set once from the command line, before any mux is used. */
static int mux_escape = 1;
static void (*mux_quit)(void *opaque);
static void *mux_quit_opaque;

void chardev_set_escape(int ch)
{
    mux_escape = ch;
}

void chardev_on_quit(void (*quit)(void *opaque), void *opaque)
{
    mux_quit = quit;
    mux_quit_opaque = opaque;
}

bool chardev_is_mux(const Chardev *c)
{
    return c->backend == &char_mux;
}

static void mux_tell(Mux *m, int i, CharEvent event)
{
    if (i >= 0 && i < m->n && m->clients[i].client->event) {
        m->clients[i].client->event(m->clients[i].opaque, event);
    }
}

static void mux_focus(Mux *m, int i)
{
    if (m->front == i) {
        return;
    }
    mux_tell(m, m->front, CHAR_MUX_OUT);
    m->front = i;
    mux_tell(m, i, CHAR_MUX_IN);
}

static void mux_print(Mux *m, const char *text)
{
    m->base->backend->write(m->base, (const uint8_t *)text, strlen(text));
}

static void mux_help(Mux *m)
{
    g_autofree char *esc = mux_escape > 0 && mux_escape < 27
                               ? g_strdup_printf("C-%c", mux_escape - 1 + 'a')
                               : g_strdup_printf("\\%03o", mux_escape);
    g_autofree char *text =
        g_strdup_printf("\n\r%s h    show this help\n\r"
                        "%s x    end the emulator\n\r"
                        "%s s    write back disk data (with -snapshot)\n\r"
                        "%s t    console timestamps on or off\n\r"
                        "%s b    send a break\n\r"
                        "%s c    switch between console and monitor\n\r"
                        "%s %s  send %s\n\r",
                        esc, esc, esc, esc, esc, esc, esc, esc, esc);

    mux_print(m, text);
}

/* The key behind the escape. True: pass it on to the client. */
static bool mux_command(Mux *m, int key)
{
    if (key == mux_escape) {
        return true;
    }
    switch (key) {
    case 'h':
    case '?':
        mux_help(m);
        break;
    case 'x':
        mux_print(m, "QEMU: Terminated\n\r");
        if (mux_quit) {
            mux_quit(mux_quit_opaque);
        }
        break;
    case 'b':
        mux_tell(m, m->front, CHAR_BREAK);
        break;
    case 'c':
        mux_focus(m, m->n ? (m->front + 1) % m->n : 0);
        break;
    case 't':
        m->timestamps = !m->timestamps;
        m->at_line_start = false;
        m->start_us = g_get_monotonic_time();
        break;
    default: /* also 's': there is no disk yet that could be behind */
        break;
    }
    return false;
}

static void mux_drain(MuxClient *mc)
{
    while (mc->fifo_len) {
        size_t room =
            mc->client->can_receive ? mc->client->can_receive(mc->opaque) : 0;
        size_t n = MIN(room, mc->fifo_len);

        if (!n) {
            return;
        }
        mc->client->receive(mc->opaque, mc->fifo, n);
        mc->fifo_len -= n;
        memmove(mc->fifo, mc->fifo + n, mc->fifo_len);
    }
}

static void mux_key(Mux *m, uint8_t key)
{
    MuxClient *mc;

    if (m->escaped) {
        m->escaped = false;
        if (!mux_command(m, key)) {
            return;
        }
    } else if (key == mux_escape) {
        m->escaped = true;
        return;
    }
    if (m->front < 0) {
        return;
    }
    mc = &m->clients[m->front];
    if (mc->fifo_len < MUX_FIFO) {
        mc->fifo[mc->fifo_len++] = key;
    }
    mux_drain(mc);
}

/* ---- as the client of the base --------------------------------------------------- */

/* Always some, so that the escape is heard while the guest is not reading. */
static size_t mux_can_receive(void *opaque)
{
    return MUX_FIFO;
}

static void mux_receive(void *opaque, const uint8_t *buf, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        mux_key(opaque, buf[i]);
    }
}

static void mux_writable(void *opaque)
{
    Mux *m = opaque;

    for (int i = 0; i < m->n; i++) {
        if (m->clients[i].client->writable) {
            m->clients[i].client->writable(m->clients[i].opaque);
        }
    }
}

static void mux_event(void *opaque, CharEvent event)
{
    Mux *m = opaque;

    if (event == CHAR_OPENED || event == CHAR_CLOSED) {
        m->c.is_open = event == CHAR_OPENED;
    }
    for (int i = 0; i < m->n; i++) {
        mux_tell(m, i, event);
    }
}

static const CharClient mux_client = {
    .can_receive = mux_can_receive,
    .receive = mux_receive,
    .writable = mux_writable,
    .event = mux_event,
};

bool mux_set_base(Chardev *c, Chardev *base, GError **errp)
{
    Mux *m = container_of(c, Mux, c);

    m->base = base;
    g_free(c->where);
    c->where = g_strdup_printf("mux:%s", base->where);
    return chardev_attach(base, &mux_client, m, errp);
}

/* ---- as a chardev ------------------------------------------------------------------ */

static bool mux_open(Chardev *c, KeyVal *options, GError **errp)
{
    container_of(c, Mux, c)->front = -1;
    return true;
}

static bool mux_attach(Chardev *c, const CharClient *client, void *opaque,
                       GError **errp)
{
    Mux *m = container_of(c, Mux, c);

    if (!m->base) {
        error_setg(errp, "a mux is made with mux=on on its -chardev");
        return false;
    }
    if (m->n == MUX_CLIENTS) {
        error_setg(errp,
                   "too many uses of multiplexed chardev '%s' (maximum "
                   "is %d)",
                   c->id, MUX_CLIENTS);
        return false;
    }
    m->clients[m->n++] = (MuxClient) { .client = client, .opaque = opaque };
    if (c->is_open) {
        mux_tell(m, m->n - 1, CHAR_OPENED);
    }
    if (m->front < 0) {
        mux_focus(m, 0);
    }
    return true;
}

static void mux_detach(Chardev *c, void *opaque)
{
    Mux *m = container_of(c, Mux, c);

    for (int i = 0; i < m->n; i++) {
        if (m->clients[i].opaque == opaque) {
            memmove(&m->clients[i], &m->clients[i + 1],
                    (m->n - i - 1) * sizeof(m->clients[0]));
            m->n--;
            m->front = m->n ? 0 : -1;
            return;
        }
    }
}

static void mux_stamp(Mux *m)
{
    int64_t ms = (g_get_monotonic_time() - m->start_us) / 1000;
    g_autofree char *text = g_strdup_printf(
        "[%02d:%02d:%02d.%03d] ", (int)(ms / 3600000), (int)(ms / 60000 % 60),
        (int)(ms / 1000 % 60), (int)(ms % 1000));

    mux_print(m, text);
}

static ssize_t mux_write(Chardev *c, const uint8_t *buf, size_t len)
{
    Mux *m = container_of(c, Mux, c);

    if (!m->base) {
        return len;
    }
    if (!m->timestamps) {
        return chardev_write(m->base, buf, len);
    }
    for (size_t i = 0; i < len; i++) {
        if (m->at_line_start) {
            m->at_line_start = false;
            mux_stamp(m);
        }
        if (!chardev_write(m->base, buf + i, 1)) {
            return i;
        }
        m->at_line_start = buf[i] == '\n';
    }
    return len;
}

static void mux_resume(Chardev *c)
{
    Mux *m = container_of(c, Mux, c);

    for (int i = 0; i < m->n; i++) {
        mux_drain(&m->clients[i]);
    }
}

const CharBackend char_mux = {
    .name = "mux",
    .size = sizeof(Mux),
    .open = mux_open,
    .write = mux_write,
    .resume = mux_resume,
    .attach = mux_attach,
    .detach = mux_detach,
};
