/*
 * Split rings, status and features, with a driver on an mmio slot and a device
 * that echoes: what is in the out buffers goes, reversed, into the in buffers.
 */
#include "tests/lib/virtio-rig.h"
#include "util/iov.h"

enum {
    RAM = 4 << 20,
    F_FINE = 3, /* feature of the echo device that it takes */
    F_HATE = 4, /* offered, but FEATURES_OK is refused with it */
    QSIZE = 16,
};

typedef struct Echo {
    VirtioDevice v;
    uint32_t word; /* config space */
    unsigned handled, resets, hold;
    VirtElem *held[QSIZE];
} Echo;

static void echo_handle(VirtioDevice *v, VirtQueue *vq)
{
    Echo *echo = container_of(v, Echo, v);
    VirtElem *e;

    echo->handled++;
    while ((e = virtq_pop(vq, sizeof(*e)))) {
        g_autofree uint8_t *buf = g_malloc(e->out_len + 1);
        size_t n = MIN(e->out_len, e->in_len);

        if (echo->hold) {
            echo->held[--echo->hold] = e;
            continue;
        }
        iov_to_buf(e->out, e->n_out, 0, buf, e->out_len);
        for (size_t i = 0; i < n; i++) {
            iov_from_buf(e->in, e->n_in, i, &buf[e->out_len - 1 - i], 1);
        }
        virtq_push(vq, e, n);
    }
    virtq_notify(vq);
}

static uint64_t echo_features(VirtioDevice *v)
{
    return 1 << F_FINE | 1 << F_HATE;
}

static bool echo_set_features(VirtioDevice *v, uint64_t features)
{
    return !(features >> F_HATE & 1);
}

static void echo_get_config(VirtioDevice *v, uint8_t *config)
{
    st_le32(config, container_of(v, Echo, v)->word);
}

static void echo_set_config(VirtioDevice *v, const uint8_t *config)
{
    container_of(v, Echo, v)->word = ld_le32(config);
}

static void echo_reset(VirtioDevice *v)
{
    container_of(v, Echo, v)->resets++;
}

static const VirtioOps echo_ops = {
    .name = "echo",
    .id = 4242,
    .config_size = 6,
    .features = echo_features,
    .set_features = echo_set_features,
    .get_config = echo_get_config,
    .set_config = echo_set_config,
    .reset = echo_reset,
};

static bool echo_realize(Device *dev, GError **errp)
{
    Echo *e = container_of(dev, Echo, v.pci.dev);

    virtio_add_queue(&e->v, QSIZE, echo_handle);
    virtio_add_queue(&e->v, QSIZE, echo_handle);
    e->word = 0x12345678;
    return virtio_realize(&e->v, &echo_ops, errp);
}

static void echo_class_reset(Device *dev)
{
    virtio_reset(&container_of(dev, Echo, v.pci.dev)->v);
}

static void echo_unrealize(Device *dev)
{
    virtio_unrealize(&container_of(dev, Echo, v.pci.dev)->v);
}

static const VMState vmstate_echo = {
    .name = "echo",
    .version = 1,
    .min_version = 1,
    .fields =
        (const VMField[]) {
            VM_SUB(Echo, v, vmstate_virtio),
            VM_FIELDS_END,
        },
};

static const Property echo_props[] = {
    VIRTIO_PROPS,
    VIRTIO_MMIO_PROPS,
    { .kind = PROP_END },
};

static const DeviceClass echo_class = {
    .name = "echo-device",
    .bus = "virtio-bus",
    .size = sizeof(Echo),
    .props = echo_props,
    .vmstate = &vmstate_echo,
    .realize = echo_realize,
    .reset = echo_class_reset,
    .unrealize = echo_unrealize,
};

/* ---- set-up ------------------------------------------------------------------------ */

typedef struct Rig {
    QTest q;
    Region ram;
    Device *slot;
    Echo *echo;
    VDriver d;
    VRing r;
} Rig;

static void rig_start(Rig *g, bool legacy)
{
    memset(g, 0, sizeof(*g));
    g->slot = rig_slot(&g->q, &g->ram, RAM, legacy, &g->d);
    g->echo = (Echo *)qtest_device(&g->q, &echo_class);
}

static void rig_end(Rig *g)
{
    vd_settle();
    rig_unplug(&g->q);
    region_fini(&g->ram);
    qtest_end(&g->q);
}

/* Up to DRIVER_OK, with queue 0. */
static void rig_ready(Rig *g, uint64_t features)
{
    g_assert_true(vd_negotiate(&g->d, features));
    vd_ring(&g->d, &g->r, 0, QSIZE);
    vd_driver_ok(&g->d);
}

static void put_text(Rig *g, hwaddr at, const char *text)
{
    as_write(g->q.m->mem, at, text, strlen(text));
}

static void expect_text(Rig *g, hwaddr at, const char *text)
{
    char buf[64] = { 0 };

    as_read(g->q.m->mem, at, buf, strlen(text));
    g_assert_cmpstr(buf, ==, text);
}

static bool is_broken(Rig *g)
{
    return vd_read(&g->d, VD_STATUS) & VIRTIO_S_NEEDS_RESET;
}

/* ---- what works ---------------------------------------------------------------------- */

static void echo_once(Rig *g, const char *text, const char *want)
{
    hwaddr out = vd_alloc(&g->d, 64, 16), in = vd_alloc(&g->d, 64, 16);
    unsigned head;

    put_text(g, out, text);
    head = vd_add(&g->d, &g->r, out, (uint32_t)strlen(text), 0, true);
    vd_add(&g->d, &g->r, in, 64, VD_WRITE, false);
    vd_offer(&g->d, &g->r, head);
    vd_kick(&g->d, &g->r);
    g_assert_cmpuint(vd_wait(&g->d, &g->r), ==, strlen(text));
    expect_text(g, in, want);
}

static void test_echo(gconstpointer data)
{
    bool legacy = GPOINTER_TO_INT(data) & 1, events = GPOINTER_TO_INT(data) & 2;
    Rig g;

    rig_start(&g, legacy);
    g_assert_cmphex(vd_read(&g.d, 0), ==, 0x74726976);
    g_assert_cmpuint(vd_read(&g.d, 4), ==, legacy ? 1 : 2);
    g_assert_cmpuint(vd_read(&g.d, VD_DEVICE_ID), ==, 4242);
    rig_ready(&g, events ? VD_EVENTS : VD_MODERN);
    for (int i = 0; i < 100; i++) { /* round the ring */
        echo_once(&g, "hello", "olleh");
    }
    g_assert_cmpint(g.q.level[16], ==, 1);
    g_assert_cmpuint(vd_read(&g.d, VD_ISR), ==, 1);
    vd_write(&g.d, VD_ACK, 1);
    g_assert_cmpint(g.q.level[16], ==, 0);
    rig_end(&g);
}

static void test_indirect(void)
{
    Rig g;
    hwaddr table, buf;
    unsigned head;

    rig_start(&g, false);
    rig_ready(&g, VD_MODERN);
    table = vd_alloc(&g.d, 16 * 40, 16);
    buf = vd_alloc(&g.d, 4096, 16);
    for (unsigned i = 0; i < 20; i++) { /* more than the ring has */
        put_text(&g, buf + i, i % 2 ? "x" : "y");
        vd_desc(&g.d, table, i, buf + i, 1, VD_NEXT, i + 1);
        vd_desc(&g.d, table, 20 + i, buf + 100 + i, 1,
                VD_WRITE | (i < 19 ? VD_NEXT : 0), 21 + i);
    }
    head = vd_add(&g.d, &g.r, table, 16 * 40, VD_INDIRECT, false);
    vd_offer(&g.d, &g.r, head);
    vd_kick(&g.d, &g.r);
    g_assert_cmpuint(vd_wait(&g.d, &g.r), ==, 20);
    expect_text(&g, buf + 100, "xyxyxyxyxyxyxyxyxyxy");
    rig_end(&g);
}

/* Requests and interrupts: as many as asked for. */
static void test_suppression(void)
{
    Rig g;
    hwaddr buf;
    uint16_t before;

    rig_start(&g, false);
    rig_ready(&g, VD_EVENTS);
    buf = vd_alloc(&g.d, 64, 16);
    vd_settle();
    g.echo->handled = 0;
    before = g.r.avail_idx;
    vd_offer(&g.d, &g.r, vd_add(&g.d, &g.r, buf, 4, 0, false));
    g_assert_true(vd_would_kick(&g.d, &g.r, before));
    before = g.r.avail_idx;
    vd_offer(&g.d, &g.r, vd_add(&g.d, &g.r, buf, 4, 0, false));
    g_assert_false(vd_would_kick(&g.d, &g.r, before)); /* one is enough */
    /* used_event: not before the third */
    as_store(g.q.m->mem, g.r.avail + 4 + 2 * QSIZE, 2, 2);
    vd_kick(&g.d, &g.r);
    vd_settle();
    g_assert_cmpuint(vd_used_idx(&g.d, &g.r), ==, 2);
    g_assert_cmpuint(g.echo->handled, ==, 1);
    vd_write(&g.d, VD_ACK, 3);
    g.q.rises[16] = 0;
    vd_offer(&g.d, &g.r, vd_add(&g.d, &g.r, buf, 4, 0, false));
    vd_kick(&g.d, &g.r);
    vd_settle();
    g_assert_cmpuint(g.q.rises[16], ==, 1);
    vd_write(&g.d, VD_ACK, 3);
    vd_offer(&g.d, &g.r, vd_add(&g.d, &g.r, buf, 4, 0, false));
    vd_kick(&g.d, &g.r);
    vd_settle();
    g_assert_cmpuint(vd_used_idx(&g.d, &g.r), ==, 4);
    g_assert_cmpuint(g.q.rises[16], ==, 1); /* the event index has passed */
    rig_end(&g);
}

static void test_no_interrupt_flag(void)
{
    Rig g;

    rig_start(&g, false);
    rig_ready(&g, VD_MODERN);
    as_store(g.q.m->mem, g.r.avail, 1, 2);
    echo_once(&g, "abc", "cba");
    g_assert_cmpint(g.q.level[16], ==, 0);
    as_store(g.q.m->mem, g.r.avail, 0, 2);
    echo_once(&g, "abc", "cba");
    g_assert_cmpint(g.q.level[16], ==, 1);
    rig_end(&g);
}

static void test_early_notify(void)
{
    Rig g;
    hwaddr buf;

    rig_start(&g, false);
    g_assert_true(vd_negotiate(&g.d, VD_MODERN));
    vd_ring(&g.d, &g.r, 0, QSIZE);
    buf = vd_alloc(&g.d, 64, 16);
    vd_offer(&g.d, &g.r, vd_add(&g.d, &g.r, buf, 4, 0, false));
    vd_kick(&g.d, &g.r);
    vd_settle();
    g_assert_cmpuint(vd_used_idx(&g.d, &g.r), ==, 0); /* not before DRIVER_OK */
    vd_driver_ok(&g.d);
    vd_settle();
    g_assert_cmpuint(vd_used_idx(&g.d, &g.r), ==, 1);
    rig_end(&g);
}

static void test_stopped_machine(void)
{
    Rig g;
    hwaddr buf;

    rig_start(&g, false);
    rig_ready(&g, VD_MODERN);
    g_assert_true(machine_start(g.q.m, NULL));
    machine_stop(g.q.m, RUN_PAUSED);
    buf = vd_alloc(&g.d, 64, 16);
    vd_offer(&g.d, &g.r, vd_add(&g.d, &g.r, buf, 4, 0, false));
    vd_kick(&g.d, &g.r);
    vd_settle();
    g_assert_cmpuint(vd_used_idx(&g.d, &g.r), ==, 0);
    g_assert_true(machine_start(g.q.m, NULL));
    vd_settle();
    g_assert_cmpuint(vd_used_idx(&g.d, &g.r), ==, 1);
    rig_end(&g);
}

static void test_map_change(void)
{
    static Region over;
    Rig g;

    rig_start(&g, false);
    rig_ready(&g, VD_MODERN);
    echo_once(&g, "one", "eno");
    g_assert_true(region_init_ram(&over, "over", RAM, NULL));
    memcpy(over.ram, g.ram.ram, RAM);
    as_map(g.q.m->mem, 0, &over, 1); /* other memory with the same bytes */
    echo_once(&g, "two", "owt");
    region_fini(&over);
    rig_end(&g);
}

/* ---- status and features --------------------------------------------------------------- */

static void test_features(void)
{
    Rig g;

    rig_start(&g, false);
    g_assert_cmphex(vd_offered(&g.d), ==,
                    VD_EVENTS | 1 << F_FINE | 1 << F_HATE);
    g_assert_false(vd_negotiate(&g.d, VD_MODERN | 1 << F_HATE));
    g_assert_true(vd_negotiate(&g.d, VD_MODERN | 1 << F_FINE));
    vd_want(&g.d, 0); /* too late */
    g_assert_true(virtio_has(&g.echo->v, F_FINE));
    vd_write(&g.d, VD_STATUS, 0);
    vd_write(&g.d, VD_STATUS, 3);
    vd_want(&g.d, VD_MODERN | 1 << 7); /* not offered */
    vd_write(&g.d, VD_STATUS, 11);
    g_assert_cmpuint(vd_read(&g.d, VD_STATUS), ==, 3);
    rig_end(&g);
}

static void test_reset(void)
{
    Rig g;
    unsigned before;

    rig_start(&g, false);
    rig_ready(&g, VD_MODERN);
    echo_once(&g, "abc", "cba");
    before = g.echo->resets;
    vd_write(&g.d, VD_STATUS, 0);
    g_assert_cmpuint(g.echo->resets, ==, before + 1);
    g_assert_cmpuint(vd_read(&g.d, VD_STATUS), ==, 0);
    g_assert_cmpuint(vd_read(&g.d, VD_QUEUE_READY), ==, 0);
    g_assert_cmpuint(vd_read(&g.d, VD_ISR), ==, 0);
    g_assert_cmpint(g.q.level[16], ==, 0);
    rig_ready(&g, VD_EVENTS);
    echo_once(&g, "abc", "cba");
    rig_end(&g);
}

/* What was taken before a reset is given back to nobody. */
static void test_reset_in_flight(void)
{
    Rig g;
    hwaddr buf;
    VirtQueue *vq;

    rig_start(&g, false);
    rig_ready(&g, VD_MODERN);
    buf = vd_alloc(&g.d, 64, 16);
    g.echo->hold = 1;
    vd_offer(&g.d, &g.r, vd_add(&g.d, &g.r, buf, 4, VD_WRITE, false));
    vd_kick(&g.d, &g.r);
    vd_settle();
    g_assert_nonnull(g.echo->held[0]);
    rig_ready(&g, VD_MODERN);
    vq = g.echo->v.queue[0];
    virtq_push(vq, g.echo->held[0], 4);
    g_assert_cmpuint(vd_used_idx(&g.d, &g.r), ==, 0);
    rig_end(&g);
}

static void test_config(void)
{
    Rig g;
    uint32_t generation;

    rig_start(&g, false);
    rig_ready(&g, VD_MODERN);
    g_assert_cmphex(vd_read(&g.d, VD_CONFIG), ==, 0x12345678);
    g_assert_cmphex(as_load(g.q.m->mem, BASE + VD_CONFIG + 1, 1), ==, 0x56);
    g_assert_cmphex(as_load(g.q.m->mem, BASE + VD_CONFIG + 2, 2), ==, 0x1234);
    g_assert_cmphex(vd_read(&g.d, VD_CONFIG + 4), ==, 0xffffffff);
    as_store(g.q.m->mem, BASE + VD_CONFIG + 3, 0xab, 1);
    g_assert_cmphex(g.echo->word, ==, 0xab345678);
    generation = vd_read(&g.d, VD_GENERATION);
    virtio_config_changed(&g.echo->v);
    g_assert_cmpuint(vd_read(&g.d, VD_GENERATION), !=, generation);
    g_assert_cmpuint(vd_read(&g.d, VD_ISR), ==, 2);
    rig_end(&g);
}

/* ---- hostile rings ----------------------------------------------------------------------- */

typedef struct Hostile {
    const char *name;
    unsigned n;
    struct {
        hwaddr addr;
        uint32_t len;
        unsigned flags, next;
    } desc[4];
    unsigned head, moves; /* of the available index */
} Hostile;

static const Hostile hostile[] = {
    { "loop",
      2,
      { { 0x1000, 1, VD_NEXT, 1 }, { 0x1000, 1, VD_NEXT, 0 } },
      0,
      1 },
    { "loop-of-one", 1, { { 0x1000, 1, VD_NEXT, 0 } }, 0, 1 },
    { "next-outside", 1, { { 0x1000, 1, VD_NEXT, QSIZE } }, 0, 1 },
    { "head-outside", 1, { { 0x1000, 1, 0, 0 } }, 0xffff, 1 },
    { "empty-buffer", 1, { { 0x1000, 0, 0, 0 } }, 0, 1 },
    { "hole", 1, { { 0x80000000, 16, 0, 0 } }, 0, 1 },
    { "half-a-hole", 1, { { RAM - 8, 16, 0, 0 } }, 0, 1 },
    { "wraps", 1, { { UINT64_MAX - 7, 16, 0, 0 } }, 0, 1 },
    { "device-register", 1, { { BASE, 16, VD_WRITE, 0 } }, 0, 1 },
    { "out-behind-in",
      2,
      { { 0x1000, 1, VD_WRITE | VD_NEXT, 1 }, { 0x1000, 1, 0, 0 } },
      0,
      1 },
    { "table-odd", 1, { { 0x1000, 17, VD_INDIRECT, 0 } }, 0, 1 },
    { "table-empty", 1, { { 0x1000, 0, VD_INDIRECT, 0 } }, 0, 1 },
    { "table-nowhere", 1, { { 0x80000000, 16, VD_INDIRECT, 0 } }, 0, 1 },
    { "table-of-itself", 1, { { 0x10000, 16 * QSIZE, VD_INDIRECT, 0 } }, 0, 1 },
    { "twice-the-same", 1, { { 0x1000, 1, 0, 0 } }, 0, 2 },
    { "index-jumps", 1, { { 0x1000, 1, 0, 0 } }, 0, QSIZE + 1 },
};

static void test_hostile(gconstpointer data)
{
    const Hostile *h = data;
    Rig g;

    rig_start(&g, false);
    rig_ready(&g, VD_MODERN);
    g_assert_cmphex(g.r.desc, ==, 0x10000);
    if (h->moves == 2) {
        g.echo->hold = 1; /* keep the first */
    }
    for (unsigned i = 0; i < h->n; i++) {
        vd_desc(&g.d, g.r.desc, i, h->desc[i].addr, h->desc[i].len,
                h->desc[i].flags, h->desc[i].next);
    }
    for (unsigned i = 0; i < h->moves; i++) {
        vd_offer(&g.d, &g.r, h->head);
    }
    vd_kick(&g.d, &g.r);
    vd_settle();
    g_assert_true(is_broken(&g));
    g_assert_cmpuint(vd_read(&g.d, VD_ISR) & 2, ==, 2);
    g_assert_cmpuint(vd_used_idx(&g.d, &g.r), ==, 0);
    vd_kick(&g.d, &g.r); /* nothing more happens */
    vd_settle();
    g_free(g.echo->held[0]);
    rig_ready(&g, VD_MODERN); /* and a reset mends it */
    echo_once(&g, "abc", "cba");
    rig_end(&g);
}

static void test_bad_rings(void)
{
    static const hwaddr bad[] = { 0x80000000, RAM - 16, UINT64_MAX - 15,
                                  0x10001 };
    Rig g;

    rig_start(&g, false);
    for (unsigned i = 0; i < 3 * G_N_ELEMENTS(bad); i++) {
        g_assert_true(vd_negotiate(&g.d, VD_MODERN));
        vd_write(&g.d, VD_QUEUE_SEL, 0);
        vd_write(&g.d, VD_QUEUE_NUM, QSIZE);
        vd_write_address(&g.d, VD_DESC, i % 3 == 0 ? bad[i / 3] : 0x20000);
        vd_write_address(&g.d, VD_AVAIL, i % 3 == 1 ? bad[i / 3] : 0x30000);
        vd_write_address(&g.d, VD_USED, i % 3 == 2 ? bad[i / 3] : 0x40000);
        vd_write(&g.d, VD_QUEUE_READY, 1);
        vd_driver_ok(&g.d);
        vd_write(&g.d, VD_NOTIFY, 0);
        vd_settle();
        g_assert_true(is_broken(&g));
    }
    rig_end(&g);
}

static void test_bad_sizes(void)
{
    static const unsigned bad[] = { 0, 3, 17, 32, 65536, 0xffffffff };
    Rig g;

    rig_start(&g, false);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_true(vd_negotiate(&g.d, VD_MODERN));
        vd_write(&g.d, VD_QUEUE_SEL, 0);
        vd_write(&g.d, VD_QUEUE_NUM, bad[i]);
        g_assert_cmpuint(virtq_setup(&g.echo->v, 0)->size, ==, QSIZE);
    }
    vd_write(&g.d, VD_QUEUE_SEL, 2);
    g_assert_cmpuint(vd_read(&g.d, VD_QUEUE_NUM_MAX), ==, 0);
    vd_write(&g.d, VD_QUEUE_NUM, 8);
    vd_write(&g.d, VD_QUEUE_READY, 1);
    vd_write(&g.d, VD_NOTIFY, 2);
    vd_write(&g.d, VD_NOTIFY, 0xffffffff);
    rig_end(&g);
}

/* All the bytes and none of the sense. */
static void test_garbage(void)
{
    Rig g;

    for (int legacy = 0; legacy < 2; legacy++) {
        rig_start(&g, legacy);
        for (int i = 0; i < 20; i++) {
            qtest_garbage(&g.q, g.q.m->mem, BASE, VIRTIO_MMIO_SIZE);
            for (hwaddr a = 0; a < 0x20000; a += 4) {
                as_store(g.q.m->mem, a, (uint32_t)g_test_rand_int() & 0x10f0f,
                         4);
            }
            vd_settle();
        }
        rig_end(&g);
    }
}

/* ---- state ----------------------------------------------------------------------------------- */

static void copy_state(Device *from, Device *to)
{
    g_autoptr(GByteArray) s = g_byte_array_new();
    GError *err = NULL;
    size_t pos = 0;

    g_assert_true(vmstate_save(s, from->cls->vmstate, from, NULL));
    vmstate_load(s, &pos, to->cls->vmstate, to, &err);
    g_assert_no_error(err);
}

/* Three requests are taken, one is done; the others come again elsewhere. */
static void test_state_in_flight(void)
{
    Rig a, b;
    hwaddr buf;
    unsigned head;
    uint32_t len = 0;

    rig_start(&a, false);
    rig_start(&b, false);
    rig_ready(&a, VD_EVENTS);
    buf = vd_alloc(&a.d, 64, 16);
    a.echo->hold = 2;
    for (unsigned i = 0; i < 3; i++) {
        put_text(&a, buf + 8 * i, "ab");
        head = vd_add(&a.d, &a.r, buf + 8 * i, 2, 0, true);
        vd_add(&a.d, &a.r, buf + 8 * i + 4, 4, VD_WRITE, false);
        vd_offer(&a.d, &a.r, head);
    }
    vd_kick(&a.d, &a.r);
    vd_settle();
    g_assert_cmpuint(vd_used_idx(&a.d, &a.r), ==, 1);

    memcpy(b.ram.ram, a.ram.ram, RAM);
    copy_state(a.slot, b.slot);
    copy_state(&a.echo->v.pci.dev, &b.echo->v.pci.dev);
    qtest_check_state(&a.echo->v.pci.dev, &b.echo->v.pci.dev);
    b.r = a.r;
    b.d.features = a.d.features;
    vd_settle(); /* the loaded device looks at its queues itself */
    g_assert_cmpuint(vd_used_idx(&b.d, &b.r), ==, 3);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_true(vd_take(&b.d, &b.r, &head, &len));
        g_assert_cmpuint(len, ==, 2);
        expect_text(&b, buf + 8 * i + 4, "ba");
    }
    echo_once(&b, "go on", "no og");
    for (unsigned i = 0; i < 2; i++) {
        virtq_unpop(a.echo->v.queue[0], a.echo->held[1 - i]);
    }
    rig_end(&a);
    rig_end(&b);
}

static void test_state_hostile(void)
{
    Rig a, b;

    rig_start(&a, false);
    rig_start(&b, false);
    rig_ready(&a, VD_EVENTS);
    echo_once(&a, "abc", "cba");
    for (int i = 0; i < 2000; i++) {
        g_autoptr(GByteArray) s = g_byte_array_new();
        g_autoptr(GError) err = NULL;
        size_t pos = 0;

        g_assert_true(vmstate_save(s, &vmstate_echo, &a.echo->v.pci.dev, NULL));
        s->data[g_test_rand_int_range(0, (int)s->len)] =
            (uint8_t)g_test_rand_int();
        if (vmstate_load(s, &pos, &vmstate_echo, &b.echo->v.pci.dev, &err)) {
            vd_settle();
        }
    }
    rig_end(&a);
    rig_end(&b);
}

static void test_slots(void)
{
    Rig g;
    Device *second;
    g_autoptr(GError) err = NULL;

    rig_start(&g, false);
    second = device_new_class(g.q.m, &echo_class, NULL);
    g_assert_false(device_realize(second, &err));
    g_assert_nonnull(strstr(err->message, "no virtio-mmio slot left"));
    device_free(second);
    g_clear_error(&err);
    second = device_new_class(g.q.m, &echo_class, NULL);
    g_assert_true(device_set(second, "bus", "virtio-mmio-bus.7", NULL));
    g_assert_false(device_realize(second, &err));
    g_assert_cmpstr(err->message, ==, "Bus 'virtio-mmio-bus.7' not found");
    device_free(second);
    device_free(&g.echo->v.pci.dev); /* unplug: the slot is empty */
    g_assert_cmpuint(vd_read(&g.d, VD_DEVICE_ID), ==, 0);
    g.echo = (Echo *)qtest_device(&g.q, &echo_class);
    rig_ready(&g, VD_MODERN);
    echo_once(&g, "abc", "cba");
    rig_end(&g);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/virtq/echo/modern", GINT_TO_POINTER(0), test_echo);
    g_test_add_data_func("/virtq/echo/legacy", GINT_TO_POINTER(1), test_echo);
    g_test_add_data_func("/virtq/echo/events", GINT_TO_POINTER(2), test_echo);
    g_test_add_data_func("/virtq/echo/legacy-events", GINT_TO_POINTER(3),
                         test_echo);
    g_test_add_func("/virtq/indirect", test_indirect);
    g_test_add_func("/virtq/suppression", test_suppression);
    g_test_add_func("/virtq/no-interrupt", test_no_interrupt_flag);
    g_test_add_func("/virtq/early-notify", test_early_notify);
    g_test_add_func("/virtq/stopped-machine", test_stopped_machine);
    g_test_add_func("/virtq/map-change", test_map_change);
    g_test_add_func("/virtq/features", test_features);
    g_test_add_func("/virtq/reset", test_reset);
    g_test_add_func("/virtq/reset-in-flight", test_reset_in_flight);
    g_test_add_func("/virtq/config", test_config);
    for (size_t i = 0; i < G_N_ELEMENTS(hostile); i++) {
        g_autofree char *path =
            g_strdup_printf("/virtq/hostile/%s", hostile[i].name);

        g_test_add_data_func(path, &hostile[i], test_hostile);
    }
    g_test_add_func("/virtq/bad-rings", test_bad_rings);
    g_test_add_func("/virtq/bad-sizes", test_bad_sizes);
    g_test_add_func("/virtq/garbage", test_garbage);
    g_test_add_func("/virtq/state/in-flight", test_state_in_flight);
    g_test_add_func("/virtq/state/hostile", test_state_hostile);
    g_test_add_func("/virtq/slots", test_slots);
    return g_test_run();
}
