/*
 * virtio over PCI: identities, capabilities, the modern and the legacy
 * interface, both kinds of interrupts. The device is one of this test: it fills
 * what the driver lets it write, and its configuration space is eight bytes
 * that both sides write.
 */
#include "tests/qtest/pci-test.h"
#include "tests/lib/virtio-driver.h"

enum {
    SLOT = 4,
    MODERN = 0xe0000000,
    NOTIFY = MODERN + 0x3000,
    CONFIG = MODERN + 0x2000,
    ISR = MODERN + 0x1000,
    TABLE = 0xe1000000,
    LEGACY = 0xc000,
    QSIZE = 16,
};

typedef struct Toy {
    VirtioDevice v;
    VirtQueue *q[2];
    uint8_t config[8];
    unsigned resets, handled;
    VirtElem *held; /* with hold: a request that does not end */
    bool hold;
} Toy;

/* ---- the device ---------------------------------------------------------------------- */

static void toy_handle(VirtioDevice *v, VirtQueue *vq)
{
    Toy *s = container_of(v, Toy, v);
    VirtElem *e;

    while (!s->held && (e = virtq_pop(vq, sizeof(*e)))) {
        s->handled++;
        if (s->hold) {
            s->held = e;
            return;
        }
        for (int i = 0; i < e->n_in; i++) {
            memset(e->in[i].iov_base, 0xa5, e->in[i].iov_len);
        }
        virtq_push(vq, e, e->in_len);
    }
    virtq_notify(vq);
}

static uint64_t toy_features(VirtioDevice *v)
{
    return 0x5;
}

static void toy_get_config(VirtioDevice *v, uint8_t *config)
{
    memcpy(config, container_of(v, Toy, v)->config, 8);
}

static void toy_set_config(VirtioDevice *v, const uint8_t *config)
{
    memcpy(container_of(v, Toy, v)->config, config, 8);
}

static void toy_ops_reset(VirtioDevice *v)
{
    Toy *s = container_of(v, Toy, v);

    s->resets++;
    if (s->held) {
        virtq_forget(s->q[0], s->held);
        s->held = NULL;
    }
}

static const VirtioOps toy_ops = {
    .name = "virtio-toy",
    .id = 4,
    .pci_class = 0x00ff00,
    .config_size = 8,
    .features = toy_features,
    .get_config = toy_get_config,
    .set_config = toy_set_config,
    .reset = toy_ops_reset,
};

static bool toy_realize(Device *dev, GError **errp)
{
    Toy *s = container_of(dev, Toy, v.pci.dev);

    s->q[0] = virtio_add_queue(&s->v, QSIZE, toy_handle);
    s->q[1] = virtio_add_queue(&s->v, QSIZE, toy_handle);
    return virtio_realize(&s->v, &toy_ops, errp);
}

static void toy_reset(Device *dev)
{
    virtio_reset(&container_of(dev, Toy, v.pci.dev)->v);
}

static void toy_unrealize(Device *dev)
{
    Toy *s = container_of(dev, Toy, v.pci.dev);

    toy_ops_reset(&s->v);
    virtio_unrealize(&s->v);
}

static const VMState vmstate_toy = {
    .name = "toy",
    .version = 1,
    .min_version = 1,
    .fields =
        (const VMField[]) {
            VM_SUB(Toy, v, vmstate_virtio_pci),
            VM_BUFFER(Toy, config),
            VM_FIELDS_END,
        },
};

static const Property toy_props[] = {
    VIRTIO_PROPS,
    VIRTIO_PCI_PROPS,
    { .kind = PROP_END },
};

static const DeviceClass toy_class = {
    .name = "virtio-toy-pci",
    .desc = "of this test",
    .bus = "PCI",
    .size = sizeof(Toy),
    .props = toy_props,
    .vmstate = &vmstate_toy,
    .realize = toy_realize,
    .reset = toy_reset,
    .unrealize = toy_unrealize,
};

/* ---- the driver ----------------------------------------------------------------------- */

typedef struct Rig {
    PciTest t;
    Toy *toy;
    VDriver d;
    VRing r;
} Rig;

static bool rig_try(Rig *g, const char *props, GError **errp)
{
    Device *dev = device_new_class(g->t.q.m, &toy_class, "toy0");
    g_auto(GStrv) list = g_strsplit(props, ",", 0);

    g_assert_true(device_set(dev, "addr", "4", NULL));
    for (char **p = list; *p && **p; p++) {
        char *eq = strchr(*p, '=');

        *eq = '\0';
        g_assert_true(device_set(dev, *p, eq + 1, NULL));
    }
    if (!device_realize(dev, errp)) {
        device_free(dev);
        return false;
    }
    toy_reset(dev);
    g->toy = container_of(dev, Toy, v.pci.dev);
    return true;
}

static void rig_map(Rig *g)
{
    pt_write(&g->t, SLOT, 0x10, LEGACY, 4);
    pt_write(&g->t, SLOT, 0x14, TABLE, 4);
    pt_write(&g->t, SLOT, 0x20, MODERN, 4);
    pt_write(&g->t, SLOT, 0x24, 0, 4);
    pt_enable(&g->t, SLOT);
    pt_write(&g->t, 1, PIIX3_PIRQ + 3, 11, 1);
}

static void rig_start(Rig *g, const char *props)
{
    GError *err = NULL;

    memset(g, 0, sizeof(*g));
    pt_start(&g->t);
    rig_try(g, props, &err);
    g_assert_no_error(err);
    rig_map(g);
    g->d = (VDriver) { .m = g->t.q.m, .next = 0x10000 };
}

static void rig_end(Rig *g)
{
    vd_settle();
    pt_end(&g->t);
    vd_settle();
}

static uint64_t ld(Rig *g, hwaddr reg, unsigned size)
{
    return as_load(g->t.q.m->mem, MODERN + reg, size);
}

static void st(Rig *g, hwaddr reg, uint64_t value, unsigned size)
{
    as_store(g->t.q.m->mem, MODERN + reg, value, size);
}

static unsigned in(Rig *g, unsigned reg, unsigned size)
{
    return (unsigned)as_load(g->t.q.m->io, LEGACY + reg, size);
}

static void out(Rig *g, unsigned reg, unsigned value, unsigned size)
{
    as_store(g->t.q.m->io, LEGACY + reg, value, size);
}

static uint64_t offered(Rig *g)
{
    uint64_t f;

    st(g, 0, 1, 4);
    f = ld(g, 4, 4) << 32;
    st(g, 0, 0, 4);
    return f | ld(g, 4, 4);
}

static void want(Rig *g, uint64_t f)
{
    g->d.features = f;
    st(g, 8, 0, 4);
    st(g, 12, (uint32_t)f, 4);
    st(g, 8, 1, 4);
    st(g, 12, f >> 32, 4);
}

static void layout(Rig *g)
{
    VRing *r = &g->r;

    memset(r, 0, sizeof(*r));
    r->size = QSIZE;
    r->desc = vd_alloc(&g->d, 8192, 4096);
    r->avail = r->desc + 16 * QSIZE;
    r->used = r->desc + 4096;
    as_store(g->t.q.m->mem, r->avail, 0, 4);
    as_store(g->t.q.m->mem, r->used, 0, 4);
}

static void modern_ring(Rig *g, uint16_t vector)
{
    layout(g);
    st(g, 22, 0, 2);
    st(g, 26, vector, 2);
    g_assert_cmphex(ld(g, 26, 2), ==, vector);
    st(g, 32, g->r.desc, 8);
    st(g, 40, g->r.avail, 8);
    st(g, 48, g->r.used, 8);
    st(g, 28, 1, 2);
    g_assert_cmphex(ld(g, 28, 2), ==, 1);
}

static void modern_start(Rig *g, uint16_t vector)
{
    st(g, 20, 0, 1);
    st(g, 20, 3, 1);
    want(g, offered(g));
    st(g, 20, 0xb, 1);
    g_assert_cmphex(ld(g, 20, 1), ==, 0xb);
    modern_ring(g, vector);
    st(g, 20, 0xf, 1);
    vd_settle();
}

/* A buffer for the device; how it comes back is the caller's to see. */
static hwaddr offer(Rig *g)
{
    hwaddr buf = vd_alloc(&g->d, 64, 64);
    unsigned head = vd_add(&g->d, &g->r, buf, 64, VD_WRITE, false);

    vd_offer(&g->d, &g->r, head);
    return buf;
}

static void expect_done(Rig *g, hwaddr buf)
{
    unsigned head = 0;
    uint32_t len = 0;

    vd_settle();
    g_assert_true(vd_take(&g->d, &g->r, &head, &len));
    g_assert_cmpuint(len, ==, 64);
    g_assert_cmphex(pt_load(&g->t, buf), ==, 0xa5a5a5a5);
}

static bool is_done(Rig *g)
{
    vd_settle();
    return vd_used_idx(&g->d, &g->r) != g->r.last_used;
}

static void kick(Rig *g)
{
    as_store(g->t.q.m->mem, NOTIFY, 0, 2);
}

static void msix_on(Rig *g, unsigned vectors)
{
    unsigned cap = pt_cap(&g->t, SLOT, PCI_CAP_MSIX);

    for (unsigned v = 0; v < vectors; v++) {
        as_store(g->t.q.m->mem, TABLE + v * 16, PT_MSI, 8);
        as_store(g->t.q.m->mem, TABLE + v * 16 + 8, 0x40 + v, 8);
    }
    pt_write(&g->t, SLOT, cap + 2, 0x8000, 2);
}

static uint32_t message(Rig *g)
{
    uint32_t v = pt_load(&g->t, PT_MSI);

    pt_store(&g->t, PT_MSI, 0);
    return v;
}

/* ---- identities -------------------------------------------------------------------------- */

static void check_ids(const char *props, uint32_t id, uint32_t sub,
                      unsigned revision, bool legacy, bool modern, bool msix)
{
    Rig g;

    rig_start(&g, props);
    g_assert_cmphex(pt_read(&g.t, SLOT, 0, 4), ==, id);
    g_assert_cmphex(pt_read(&g.t, SLOT, PCI_SUBSYSTEM_VENDOR_ID, 4), ==, sub);
    g_assert_cmphex(pt_read(&g.t, SLOT, PCI_REVISION_ID, 1), ==, revision);
    g_assert_cmphex(pt_read(&g.t, SLOT, PCI_INTERRUPT_PIN, 1), ==, 1);
    g_assert_cmpint(pt_read(&g.t, SLOT, 0x10, 4) & 1, ==, legacy);
    g_assert_cmphex(pt_read(&g.t, SLOT, 0x20, 4) & 15, ==, modern ? 0xc : 0);
    g_assert_cmpint(pt_cap(&g.t, SLOT, PCI_CAP_VENDOR) != 0, ==, modern);
    g_assert_cmpint(pt_cap(&g.t, SLOT, PCI_CAP_MSIX) != 0, ==, msix);
    rig_end(&g);
}

static void test_ids(void)
{
    check_ids("", 0x10051af4, 0x00041af4, 0, true, true, true);
    check_ids("disable-legacy=off", 0x10051af4, 0x00041af4, 0, true, true,
              true);
    check_ids("disable-legacy=on", 0x10441af4, 0x11001af4, 1, false, true,
              true);
    check_ids("disable-modern=on", 0x10051af4, 0x00041af4, 0, true, false,
              true);
    check_ids("vectors=0", 0x10051af4, 0x00041af4, 0, true, true, false);
}

static void refuse(const char *props, const char *part)
{
    Rig g;
    g_autoptr(GError) err = NULL;

    memset(&g, 0, sizeof(g));
    pt_start(&g.t);
    g_assert_false(rig_try(&g, props, &err));
    g_assert_nonnull(strstr(err->message, part));
    pt_end(&g.t);
}

static void test_refused(void)
{
    refuse("disable-legacy=on,disable-modern=on",
           "neither modern nor legacy mode is enabled");
    refuse("disable-legacy=maybe", "must be on, off or auto, not 'maybe'");
    refuse("vectors=4096", "1 to 2048 MSI-X vectors are possible, not 4096");
    refuse("iommu_platform=on", "disable-legacy=on");
    refuse("addr=1", "in use by PIIX3");
}

/* As QEMU 7.2 shows them for a virtio-rng-pci. */
static void test_capabilities(void)
{
    static const uint32_t qemu[] = {
        0x01100009, 0x00000004, 0x00000000, 0x00001000, /* common */
        0x03104009, 0x00000004, 0x00001000, 0x00001000, /* interrupt status */
        0x04105009, 0x00000004, 0x00002000, 0x00001000, /* device */
        0x02146009, 0x00000004, 0x00003000, 0x00001000,
        0x00000004, /* notify, with its multiplier */
        0x05147009, 0x00000000, 0x00000000, 0x00000000,
        0x00000000, /* access to BARs */
        0x00028411, 0x00000001, 0x00000801,
    };
    Rig g;

    rig_start(&g, "");
    for (unsigned i = 0; i < G_N_ELEMENTS(qemu); i++) {
        g_assert_cmphex(pt_read(&g.t, SLOT, 0x40 + 4 * i, 4), ==, qemu[i]);
    }
    rig_end(&g);
}

/* ---- the modern interface ------------------------------------------------------------------ */

static void test_modern(void)
{
    Rig g;
    hwaddr buf;

    rig_start(&g, "");
    msix_on(&g, 3);
    g_assert_cmphex(ld(&g, 18, 2), ==, 2); /* queues */
    g_assert_cmphex(offered(&g) & 7, ==, 5);
    g_assert_true(offered(&g) >> VIRTIO_F_VERSION_1 & 1);
    g_assert_true(offered(&g) >> VIRTIO_F_RING_RESET & 1);
    g_assert_cmphex(ld(&g, 24, 2), ==, QSIZE);
    st(&g, 22, 1, 2);
    g_assert_cmphex(ld(&g, 30, 2), ==, 1); /* where to notify it */
    st(&g, 22, 2, 2);
    g_assert_cmphex(ld(&g, 24, 2), ==, 0); /* there is no third one */
    modern_start(&g, 1);
    g_assert_cmphex(ld(&g, 32, 4), ==, g.r.desc);
    g_assert_cmphex(ld(&g, 36, 4), ==, 0);
    g_assert_cmphex(ld(&g, 48, 8), ==, g.r.used);
    buf = offer(&g);
    g_assert_false(is_done(&g));
    kick(&g);
    expect_done(&g, buf);
    g_assert_cmphex(message(&g), ==, 0x41);
    rig_end(&g);
}

static void test_config(void)
{
    Rig g;
    unsigned generation;

    rig_start(&g, "");
    msix_on(&g, 3);
    st(&g, 16, 0, 2);
    modern_start(&g, 1);
    st(&g, 16, 2, 2);
    as_store(g.t.q.m->mem, CONFIG + 4, 0x11223344, 4);
    g_assert_cmphex(as_load(g.t.q.m->mem, CONFIG + 5, 1), ==, 0x33);
    g_assert_cmphex(as_load(g.t.q.m->mem, CONFIG + 6, 2), ==, 0x1122);
    g_assert_cmphex(as_load(g.t.q.m->mem, CONFIG + 8, 4), ==, 0xffffffff);
    generation = (unsigned)ld(&g, 21, 1);
    virtio_config_changed(&g.toy->v);
    g_assert_cmphex(ld(&g, 21, 1), !=, generation);
    g_assert_cmphex(message(&g), ==, 0x42);
    rig_end(&g);
}

static void test_vectors(void)
{
    Rig g;
    hwaddr buf;

    rig_start(&g, "vectors=2");
    msix_on(&g, 2);
    st(&g, 16, 2, 2); /* there are 0 and 1 */
    g_assert_cmphex(ld(&g, 16, 2), ==, VIRTIO_NO_VECTOR);
    st(&g, 16, 1, 2);
    g_assert_cmphex(ld(&g, 16, 2), ==, 1);
    modern_start(&g, VIRTIO_NO_VECTOR);
    buf = offer(&g);
    kick(&g);
    expect_done(&g, buf); /* without a word */
    g_assert_cmphex(message(&g), ==, 0);
    g_assert_cmpint(g.t.irq[11], ==, 0);
    rig_end(&g);
}

static void test_intx(void)
{
    Rig g;
    hwaddr buf;

    rig_start(&g, "vectors=0");
    modern_start(&g, VIRTIO_NO_VECTOR);
    buf = offer(&g);
    kick(&g);
    expect_done(&g, buf);
    g_assert_cmpint(g.t.irq[11], ==, 1);
    g_assert_cmphex(as_load(g.t.q.m->mem, ISR, 1), ==, 1);
    g_assert_cmpint(g.t.irq[11], ==, 0);
    virtio_config_changed(&g.toy->v);
    g_assert_cmphex(as_load(g.t.q.m->mem, ISR, 1), ==, 2);
    virtio_config_changed(&g.toy->v);
    g_assert_cmpint(g.t.irq[11], ==, 1);
    st(&g, 20, 0, 1); /* a reset takes it away */
    g_assert_cmpint(g.t.irq[11], ==, 0);
    rig_end(&g);
}

static void test_queue_reset(void)
{
    Rig g;
    hwaddr buf;
    unsigned head;
    uint32_t len;

    rig_start(&g, "");
    modern_start(&g, VIRTIO_NO_VECTOR);
    g.toy->hold = true;
    offer(&g);
    kick(&g);
    vd_settle();
    g_assert_nonnull(g.toy->held);
    st(&g, 58, 1, 2);
    g_assert_cmphex(ld(&g, 58, 2), ==, 1); /* a request is on its way */
    g_assert_cmphex(ld(&g, 28, 2), ==, 0);
    st(&g, 28, 1, 2); /* not now */
    g_assert_cmphex(ld(&g, 28, 2), ==, 0);
    st(&g, 24, 1, 2); /* nor a size that the request does not fit into */
    g_assert_cmphex(ld(&g, 24, 2), ==, QSIZE);
    virtq_push(g.toy->q[0], g.toy->held, 64);
    g.toy->held = NULL;
    g.toy->hold = false;
    g_assert_false(vd_take(&g.d, &g.r, &head, &len)); /* it sees no end */
    g_assert_cmphex(ld(&g, 58, 2), ==, 0);
    modern_ring(&g, VIRTIO_NO_VECTOR);
    buf = offer(&g);
    kick(&g);
    expect_done(&g, buf);
    rig_end(&g);
}

static void test_bus_master(void)
{
    Rig g;
    hwaddr buf;

    rig_start(&g, "");
    modern_start(&g, VIRTIO_NO_VECTOR);
    pt_write(&g.t, SLOT, PCI_COMMAND, 3, 2);
    buf = offer(&g);
    kick(&g);
    g_assert_false(is_done(&g));
    pt_enable(&g.t, SLOT);
    expect_done(&g, buf);
    rig_end(&g);
}

static void test_access_cap(void)
{
    Rig g;
    unsigned cap;

    rig_start(&g, "");
    cap = 0x84;
    pt_write(&g.t, SLOT, cap + 4, 4, 1);
    pt_write(&g.t, SLOT, cap + 8, 0x2000, 4);
    pt_write(&g.t, SLOT, cap + 12, 4, 4);
    pt_write(&g.t, SLOT, cap + 16, 0x55667788, 4);
    g_assert_cmphex(as_load(g.t.q.m->mem, CONFIG, 4), ==, 0x55667788);
    pt_write(&g.t, SLOT, cap + 8, 0x2001, 4);
    pt_write(&g.t, SLOT, cap + 12, 1, 4);
    g_assert_cmphex(pt_read(&g.t, SLOT, cap + 16, 4), ==, 0x77);
    pt_write(&g.t, SLOT, cap + 8, 0x3fff, 4); /* outside */
    pt_write(&g.t, SLOT, cap + 12, 4, 4);
    pt_read(&g.t, SLOT, cap + 16, 4);
    pt_write(&g.t, SLOT, cap + 8, 0xfffffffc, 4);
    pt_write(&g.t, SLOT, cap + 16, 1, 4);
    pt_write(&g.t, SLOT, cap + 12, 0, 4);
    pt_write(&g.t, SLOT, cap + 16, 1, 4);
    rig_end(&g);
}

/* ---- the legacy interface ------------------------------------------------------------------- */

static void legacy_start(Rig *g)
{
    out(g, 18, 0, 1);
    out(g, 18, 3, 1);
    out(g, 4, in(g, 0, 4), 4);
    g->d.features = in(g, 4, 4);
    layout(g);
    out(g, 14, 0, 2);
    g_assert_cmpuint(in(g, 12, 2), ==, QSIZE);
    out(g, 8, (unsigned)(g->r.desc >> 12), 4);
    g_assert_cmpuint(in(g, 8, 4), ==, g->r.desc >> 12);
    out(g, 18, 7, 1);
    vd_settle();
}

static void test_legacy(void)
{
    Rig g;
    hwaddr buf;

    rig_start(&g, "disable-modern=on");
    g_assert_cmphex(in(&g, 0, 4) & 7, ==, 5);
    legacy_start(&g);
    buf = offer(&g);
    out(&g, 16, 0, 2);
    expect_done(&g, buf);
    g_assert_cmpint(g.t.irq[11], ==, 1);
    g_assert_cmphex(in(&g, 19, 1), ==, 1);
    g_assert_cmpint(g.t.irq[11], ==, 0);
    g_assert_cmphex(in(&g, 19, 1), ==, 0);
    g_assert_cmphex(in(&g, 18, 1), ==, 7);
    out(&g, 20, 0xab, 1); /* configuration */
    g_assert_cmphex(in(&g, 20, 1), ==, 0xab);
    msix_on(&g, 3); /* and now it is four bytes further */
    g_assert_cmphex(in(&g, 24, 1), ==, 0xab);
    out(&g, 22, 1, 2);
    g_assert_cmphex(in(&g, 22, 2), ==, 1);
    out(&g, 20, 9, 2);
    g_assert_cmphex(in(&g, 20, 2), ==, 0xffff);
    buf = offer(&g);
    out(&g, 16, 0, 2);
    expect_done(&g, buf);
    g_assert_cmphex(message(&g), ==, 0x41);
    out(&g, 8, 0, 4); /* the queue is gone */
    g_assert_cmphex(in(&g, 8, 4), ==, 0);
    rig_end(&g);
}

/* ---- resets, state, garbage ------------------------------------------------------------------ */

static void test_resets(void)
{
    Rig g;
    hwaddr buf;
    unsigned before;

    rig_start(&g, "");
    modern_start(&g, VIRTIO_NO_VECTOR);
    before = g.toy->resets;
    st(&g, 20, 0, 1);
    g_assert_cmpuint(g.toy->resets, ==, before + 1);
    g_assert_cmphex(ld(&g, 20, 1), ==, 0);
    g_assert_cmphex(ld(&g, 28, 2), ==, 0);
    g_assert_cmphex(pt_read(&g.t, SLOT, 0x20, 4), ==, MODERN | 0xc);
    toy_reset(&g.toy->v.pci.dev); /* the machine's moves the BARs */
    g_assert_cmphex(pt_read(&g.t, SLOT, 0x20, 4), ==, 0xc);
    g_assert_cmphex(pt_read(&g.t, SLOT, PCI_COMMAND, 2), ==, 0);
    rig_map(&g);
    modern_start(&g, VIRTIO_NO_VECTOR);
    buf = offer(&g);
    kick(&g);
    expect_done(&g, buf);
    rig_end(&g);
}

static void test_state(void)
{
    Rig g, h;
    hwaddr buf;

    rig_start(&g, "");
    msix_on(&g, 3);
    modern_start(&g, 1);
    g.toy->hold = true;
    buf = offer(&g);
    kick(&g);
    vd_settle();
    rig_start(&h, "");
    memcpy(h.t.ram.ram, g.t.ram.ram, PT_RAM);
    qtest_check_state(&g.toy->v.pci.dev, &h.toy->v.pci.dev);
    h.r = g.r;
    h.d.next = g.d.next;
    h.d.features = g.d.features;
    expect_done(&h, buf); /* what was on its way is done again there */
    g_assert_cmphex(message(&h), ==, 0x41);
    rig_end(&h);
    rig_end(&g);
}

static void test_garbage(void)
{
    Rig g;

    rig_start(&g, "");
    for (int i = 0; i < 40000; i++) {
        unsigned size = 1u << g_test_rand_int_range(0, 4);
        uint64_t value = g_test_rand_bit() ? (uint64_t)g_test_rand_int()
                                           : (uint64_t)(g_test_rand_int() & 31);

        switch (g_test_rand_int_range(0, 5)) {
        case 0:
            st(&g, (hwaddr)g_test_rand_int_range(0, 64), value, size);
            break;
        case 1:
            st(&g, (hwaddr)g_test_rand_int_range(0, 0x4000), value, size);
            break;
        case 2:
            ld(&g, (hwaddr)g_test_rand_int_range(0, 64), size);
            break;
        case 3:
            out(&g, (unsigned)g_test_rand_int_range(0, 32), (unsigned)value,
                MIN(size, 4));
            break;
        default:
            pt_write(&g.t, SLOT,
                     0x84 + (unsigned)g_test_rand_int_range(0, 0x24),
                     (uint32_t)value, 1);
        }
        if (i % 64 == 0) {
            vd_settle();
            rig_map(&g);
        }
    }
    rig_end(&g);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-pci/ids", test_ids);
    g_test_add_func("/virtio-pci/refused", test_refused);
    g_test_add_func("/virtio-pci/capabilities", test_capabilities);
    g_test_add_func("/virtio-pci/modern", test_modern);
    g_test_add_func("/virtio-pci/config", test_config);
    g_test_add_func("/virtio-pci/vectors", test_vectors);
    g_test_add_func("/virtio-pci/intx", test_intx);
    g_test_add_func("/virtio-pci/queue-reset", test_queue_reset);
    g_test_add_func("/virtio-pci/bus-master", test_bus_master);
    g_test_add_func("/virtio-pci/access-cap", test_access_cap);
    g_test_add_func("/virtio-pci/legacy", test_legacy);
    g_test_add_func("/virtio-pci/resets", test_resets);
    g_test_add_func("/virtio-pci/state", test_state);
    g_test_add_func("/virtio-pci/garbage", test_garbage);
    return g_test_run();
}
