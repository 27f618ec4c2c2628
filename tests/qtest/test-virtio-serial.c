/*
 * virtio-serial behind each interface: control messages, bytes both ways, a host
 * end that is slow or away, an end in the middle, the state with half a buffer
 * written. virtio 1.2, 5.3.
 */
#include "tests/lib/virtio-faces.h"
#include "tests/lib/line.h"

extern const DeviceClass virtio_serial_device_class, virtio_serial_pci_class;
extern const DeviceClass virtconsole_class, virtserialport_class;

enum { IN0, OUT0, CTRL_IN, CTRL_OUT, IN1, OUT1, QUEUES };
enum { QSIZE = 32, BUFS = 16, BUF = 64, F_MULTIPORT = 1 };
enum { READY, ADD, REMOVE, PORT_READY, CONSOLE, RESIZE, OPEN, NAME };

typedef struct Rig {
    VirtioRig g;
    VRing r[QUEUES];
    hwaddr buf[QUEUES]; /* BUFS of BUF bytes; of the queues to the guest */
    Line *line[2];
    GString *events;
} Rig;

static void on_event(Machine *m, const char *event, const EventValue *values,
                     void *opaque)
{
    Rig *t = opaque;

    if (!strcmp(event, "VSERPORT_CHANGE")) {
        g_string_append_printf(t->events, "%s=%d ",
                               event_value(values, "id")->s,
                               (int)event_value(values, "open")->i);
    }
}

static void add_port(Rig *t, const DeviceClass *cls, const char *id,
                     const char *name, Line *line)
{
    Device *dev = device_new_class(t->g.t.q.m, cls, id);

    g_assert_true(device_set(dev, "chardev", line->c.id, NULL));
    if (name) {
        g_assert_true(device_set(dev, "name", name, NULL));
    }
    qtest_realize(dev);
}

static void start(Rig *t, gconstpointer kind)
{
    Device *dev;
    Machine *m;

    rig_start(&t->g, (RigKind)GPOINTER_TO_INT(kind));
    m = t->g.t.q.m;
    t->events = g_string_new(NULL);
    machine_watch(m, on_event, t);
    t->line[0] = line_new(m, "c0");
    t->line[1] = line_new(m, "c1");
    t->line[0]->room = t->line[1]->room = SIZE_MAX;
    dev = rig_device(&t->g, &virtio_serial_device_class,
                     &virtio_serial_pci_class);
    g_assert_true(device_set(dev, "max_ports", "4", NULL));
    rig_plug(&t->g);
    add_port(t, &virtconsole_class, "con", NULL, t->line[0]);
    add_port(t, &virtserialport_class, "port", "org.rhea.1", t->line[1]);
}

static void end(Rig *t)
{
    Machine *m = t->g.t.q.m;

    rig_drop_devices(&t->g);
    line_free(m, t->line[0]);
    line_free(m, t->line[1]);
    g_string_free(t->events, TRUE);
    rig_end(&t->g);
}

/* Writable buffers for all that comes; they are given again by receive(). */
static void give_buffers(Rig *t, unsigned queue)
{
    VRing *r = &t->r[queue];

    t->buf[queue] = vd_alloc(&t->g.d, BUFS * BUF, 64);
    for (unsigned i = 0; i < BUFS; i++) {
        vd_offer(
            &t->g.d, r,
            vd_add(&t->g.d, r, t->buf[queue] + i * BUF, BUF, VD_WRITE, false));
    }
    vd_kick(&t->g.d, r);
}

static void driver(Rig *t, uint64_t features)
{
    bool multi = features >> F_MULTIPORT & 1;

    t->g.d.next = RIG_DATA;
    rig_negotiate(&t->g, features);
    for (unsigned q = 0; q < (multi ? (unsigned)QUEUES : 2u); q++) {
        vd_ring(&t->g.d, &t->r[q], q, QSIZE);
    }
    vd_driver_ok(&t->g.d);
    for (unsigned q = 0; q < (multi ? (unsigned)QUEUES : 2u); q += 2) {
        give_buffers(t, q);
    }
    vd_settle();
}

/* What came on @queue next, in @buf; -1: nothing. */
static int receive(Rig *t, unsigned queue, char *buf, size_t max)
{
    VRing *r = &t->r[queue];
    unsigned head = 0;
    uint32_t len = 0;

    vd_settle();
    if (!vd_take(&t->g.d, r, &head, &len)) {
        return -1;
    }
    g_assert_cmpuint(len, <=, max);
    as_read(t->g.t.q.m->mem, as_load(t->g.t.q.m->mem, r->desc + 16 * head, 8),
            buf, len);
    vd_offer(&t->g.d, r, head);
    vd_kick(&t->g.d, r);
    return (int)len;
}

static void put(Rig *t, unsigned queue, const void *data, uint32_t len)
{
    VRing *r = &t->r[queue];
    hwaddr at = vd_alloc(&t->g.d, len, 8);

    as_write(t->g.t.q.m->mem, at, data, len);
    vd_offer(&t->g.d, r, vd_add(&t->g.d, r, at, len, 0, false));
    vd_kick(&t->g.d, r);
    vd_settle();
}

static bool taken(Rig *t, unsigned queue)
{
    unsigned head;
    uint32_t len;

    vd_settle();
    return vd_take(&t->g.d, &t->r[queue], &head, &len);
}

static void tell(Rig *t, uint32_t port, unsigned event, unsigned value)
{
    uint8_t msg[8];

    st_le32(msg, port);
    st_le16(msg + 4, event);
    st_le16(msg + 6, value);
    put(t, CTRL_OUT, msg, 8);
}

static void expect_message(Rig *t, uint32_t port, unsigned event,
                           unsigned value, const char *text)
{
    char buf[BUF + 1] = { 0 };
    int n = receive(t, CTRL_IN, buf, BUF);

    g_assert_cmpint(n, ==, 8 + (text ? (int)strlen(text) : 0));
    g_assert_cmpuint(ld_le32(buf), ==, port);
    g_assert_cmpuint(ld_le16(buf + 4), ==, event);
    g_assert_cmpuint(ld_le16(buf + 6), ==, value);
    g_assert_cmpstr(buf + 8, ==, text ? text : "");
}

static void expect_silence(Rig *t)
{
    char buf[BUF];

    g_assert_cmpint(receive(t, CTRL_IN, buf, BUF), ==, -1);
}

/* As Linux does it. Behind it both ports are open at both ends. */
static void handshake(Rig *t)
{
    driver(t, UINT64_MAX);
    tell(t, UINT32_MAX, READY, 1);
    expect_message(t, 0, ADD, 1, NULL);
    expect_message(t, 1, ADD, 1, NULL);
    tell(t, 0, PORT_READY, 1);
    expect_message(t, 0, CONSOLE, 1, NULL);
    expect_message(t, 0, OPEN, 1, NULL);
    tell(t, 1, PORT_READY, 1);
    expect_message(t, 1, NAME, 1, "org.rhea.1");
    expect_message(t, 1, OPEN, 1, NULL);
    tell(t, 0, OPEN, 1);
    tell(t, 1, OPEN, 1);
    expect_silence(t);
}

static void expect_line(Line *line, const char *want, size_t len)
{
    g_assert_cmpmem(line->in->data, line->in->len, want, len);
    g_byte_array_set_size(line->in, 0);
}

static void test_talk(gconstpointer kind)
{
    Rig t = { 0 };
    char buf[BUF];

    start(&t, kind);
    g_assert_cmpuint(vd_config(&t.g.d, 4, 4), ==, 4); /* ports */
    g_assert_cmpint(line_send(t.line[0], "x", 1), ==, 0);
    handshake(&t);
    g_assert_cmpstr(t.events->str, ==, "port=1 ");
    put(&t, OUT0, "hello", 5);
    put(&t, OUT1, "there", 5);
    g_assert_true(taken(&t, OUT0) && taken(&t, OUT1));
    expect_line(t.line[0], "hello", 5);
    expect_line(t.line[1], "there", 5);
    g_assert_cmpint(line_send(t.line[1], "answer", 6), ==, 6);
    g_assert_cmpint(receive(&t, IN1, buf, BUF), ==, 6);
    g_assert_cmpmem(buf, 6, "answer", 6);
    g_assert_cmpint(receive(&t, IN0, buf, BUF), ==, -1);
    tell(&t, 1, OPEN, 0);
    g_assert_cmpstr(t.events->str, ==, "port=1 port=0 ");
    g_assert_cmpint(line_send(t.line[1], "x", 1), ==, 0);
    end(&t);
}

/* No control queues: port 0 and nothing else. */
static void test_single(gconstpointer kind)
{
    Rig t = { 0 };
    char buf[BUF];

    start(&t, kind);
    driver(&t, 0);
    put(&t, OUT0, "hello", 5);
    expect_line(t.line[0], "hello", 5);
    g_assert_cmpint(line_send(t.line[0], "hi", 2), ==, 2);
    g_assert_cmpint(receive(&t, IN0, buf, BUF), ==, 2);
    g_assert_cmpint(line_send(t.line[1], "x", 1), ==, 0);
    chardev_event(&t.line[0]->c, CHAR_CLOSED);
    chardev_event(&t.line[0]->c, CHAR_OPENED);
    put(&t, OUT0, "again", 5);
    expect_line(t.line[0], "again", 5);
    end(&t);
}

static void test_emergency(gconstpointer kind)
{
    Rig t = { 0 };

    start(&t, kind);
    vd_set_config(&t.g.d, 8, '!', 4);
    expect_line(t.line[0], "!", 1);
    end(&t);
}

/* The host hangs up and comes back; the guest hears of both. */
static void test_away(gconstpointer kind)
{
    Rig t = { 0 };

    start(&t, kind);
    handshake(&t);
    chardev_event(&t.line[1]->c, CHAR_CLOSED);
    expect_message(&t, 1, OPEN, 0, NULL);
    chardev_event(&t.line[1]->c, CHAR_OPENED);
    expect_message(&t, 1, OPEN, 1, NULL);
    put(&t, OUT1, "back", 4);
    expect_line(t.line[1], "back", 4);
    end(&t);
}

/* More than the host takes at once: the guest's buffer waits. */
static void test_slow(gconstpointer kind)
{
    g_autofree char *text = g_strnfill(10000, 'z');
    Rig t = { 0 };

    start(&t, kind);
    handshake(&t);
    t.line[0]->room = 100;
    put(&t, OUT0, text, 10000);
    put(&t, OUT0, "end", 3);
    g_assert_false(taken(&t, OUT0));
    g_assert_cmpuint(t.line[0]->in->len, ==, 100);
    put(&t, OUT1, "other", 5); /* the other port does not wait */
    expect_line(t.line[1], "other", 5);
    line_make_room(t.line[0], 5000);
    g_assert_false(taken(&t, OUT0));
    line_make_room(t.line[0], SIZE_MAX);
    g_assert_true(taken(&t, OUT0) && taken(&t, OUT0));
    g_assert_cmpuint(t.line[0]->in->len, ==, 10003);
    g_assert_cmpmem(t.line[0]->in->data + 9999, 4, "zend", 4);
    end(&t);
}

/* A request of many times the same megabyte does not stop everything else. */
static void test_huge(gconstpointer kind)
{
    enum { TIMES = 60, LEN = 1 << 20 };
    Rig t = { 0 };
    VRing *r = &t.r[OUT0];
    unsigned head = 0;

    start(&t, kind);
    driver(&t, 0);
    for (unsigned i = 0; i < TIMES; i++) {
        unsigned at = vd_add(&t.g.d, r, 0x100000, LEN, 0, i < TIMES - 1);

        head = i ? head : at;
        if (t.g.kind != RIG_PCI_LEGACY && i == QSIZE - 1) {
            vd_desc(&t.g.d, r->desc, at, 0x100000, LEN, 0, 0);
            break; /* the ring is full */
        }
    }
    vd_offer(&t.g.d, r, head);
    vd_kick(&t.g.d, r);
    mainloop_iterate(false);
    g_assert_cmpuint(vd_used_idx(&t.g.d, r), ==, 0); /* it takes turns */
    g_assert_true(taken(&t, OUT0));
    end(&t);
}

/* Messages for ports that are not there, and messages that are none. */
static void test_wrong_messages(gconstpointer kind)
{
    Rig t = { 0 };

    start(&t, kind);
    handshake(&t);
    tell(&t, 3, PORT_READY, 1);
    tell(&t, UINT32_MAX, OPEN, 1);
    tell(&t, 1, 4711, 1);
    tell(&t, UINT32_MAX, READY, 0);
    put(&t, CTRL_OUT, "short", 5);
    expect_silence(&t);
    for (unsigned i = 0; i < 100; i++) { /* asks, and reads nothing */
        tell(&t, 0, PORT_READY, 1);
    }
    expect_message(&t, 0, CONSOLE, 1, NULL);
    put(&t, OUT0, "x", 1);
    expect_line(t.line[0], "x", 1);
    end(&t);
}

static void test_reset(gconstpointer kind)
{
    Rig t = { 0 };
    char buf[BUF];

    start(&t, kind);
    handshake(&t);
    t.line[0]->room = 2;
    put(&t, OUT0, "hello", 5);
    vd_write(&t.g.d, VD_STATUS, 0);
    g_assert_cmpstr(t.events->str, ==, "port=1 port=0 ");
    line_make_room(t.line[0], SIZE_MAX);
    expect_line(t.line[0], "he", 2);
    g_assert_cmpint(line_send(t.line[0], "x", 1), ==, 0);
    handshake(&t);
    put(&t, OUT0, "again", 5);
    expect_line(t.line[0], "again", 5);
    g_assert_cmpint(line_send(t.line[0], "x", 1), ==, 1);
    g_assert_cmpint(receive(&t, IN0, buf, BUF), ==, 1);
    t.line[1]->room = 1;
    put(&t, OUT1, "hello", 5);
    t.g.dev->cls->reset(t.g.dev); /* of the machine */
    end(&t);
}

/* Half a buffer is written, another one waits, the host end is away there. */
static void test_state(gconstpointer kind)
{
    Rig a = { 0 }, b = { 0 };

    start(&a, kind);
    start(&b, kind);
    handshake(&a);
    a.line[0]->room = 3;
    put(&a, OUT0, "hello", 5);
    put(&a, OUT0, ", world", 7);
    expect_line(a.line[0], "hel", 3);
    b.line[0]->room = 0;
    b.line[1]->c.is_open = false;
    rig_copy(&a.g, &b.g);
    memcpy(b.r, a.r, sizeof(b.r));
    expect_message(&b, 1, OPEN, 0, NULL);
    g_assert_cmpuint(b.line[0]->in->len, ==, 0);
    line_make_room(b.line[0], SIZE_MAX);
    g_assert_true(taken(&b, OUT0) && taken(&b, OUT0));
    expect_line(b.line[0], "lo, world", 9);
    chardev_event(&b.line[1]->c, CHAR_OPENED);
    expect_message(&b, 1, OPEN, 1, NULL);
    put(&b, OUT1, "x", 1);
    expect_line(b.line[1], "x", 1);
    end(&a);
    end(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_add_tests("virtio-serial", "talk", test_talk);
    rig_add_tests("virtio-serial", "single", test_single);
    rig_add_tests("virtio-serial", "emergency", test_emergency);
    rig_add_tests("virtio-serial", "away", test_away);
    rig_add_tests("virtio-serial", "slow", test_slow);
    rig_add_tests("virtio-serial", "huge", test_huge);
    rig_add_tests("virtio-serial", "wrong-messages", test_wrong_messages);
    rig_add_tests("virtio-serial", "reset", test_reset);
    rig_add_tests("virtio-serial", "state", test_state);
    return g_test_run();
}
