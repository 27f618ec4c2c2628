/*
 * virtio-balloon behind each interface: pages that go and come back, wishes of
 * the monitor, statistics, free page reports, an end in the middle, the state
 * while a buffer of the guest's waits. virtio 1.2, 5.5.
 */
#include "tests/lib/cost.h"
#include "tests/lib/virtio-faces.h"
#include "hw/virtio/balloon.h"

extern const DeviceClass virtio_balloon_device_class, virtio_balloon_pci_class;

enum { INFLATE, DEFLATE, STATS, REPORTING, QUEUES };
enum { QSIZE = 16, CFG_NUM_PAGES = 0, CFG_ACTUAL = 4, CFG_POISON = 12 };
enum { PAGE_AT = 0x80000, FILL = 0x5a5a5a5a };

typedef struct Rig {
    VirtioRig g;
    VRing r[QUEUES];
    int64_t actual; /* of the last event; -1: none */
} Rig;

static void on_event(Machine *m, const char *event, const EventValue *values,
                     void *opaque)
{
    if (!strcmp(event, "BALLOON_CHANGE")) {
        ((Rig *)opaque)->actual = values[0].i;
    }
}

static void start(Rig *t, gconstpointer kind)
{
    Device *dev;

    rig_start(&t->g, (RigKind)GPOINTER_TO_INT(kind));
    t->actual = -1;
    machine_watch(t->g.t.q.m, on_event, t);
    dev = rig_device(&t->g, &virtio_balloon_device_class,
                     &virtio_balloon_pci_class);
    device_set(dev, "free-page-reporting", "on", NULL);
    device_set(dev, "guest-stats-polling-interval", "1", NULL);
    rig_plug(&t->g);
}

static void driver(Rig *t)
{
    t->g.d.next = RIG_DATA;
    rig_negotiate(&t->g, UINT64_MAX);
    for (unsigned q = 0; q < QUEUES; q++) {
        vd_ring(&t->g.d, &t->r[q], q, QSIZE);
    }
    vd_driver_ok(&t->g.d);
}

static void fill(Rig *t, hwaddr page)
{
    for (unsigned i = 0; i < 4096; i += 4) {
        as_store(t->g.t.q.m->mem, page + i, FILL, 4);
    }
}

static uint32_t word(Rig *t, hwaddr at)
{
    return (uint32_t)as_load(t->g.t.q.m->mem, at, 4);
}

static bool taken(Rig *t, unsigned queue)
{
    unsigned head = 0;
    uint32_t len = 0;

    vd_settle();
    return vd_take(&t->g.d, &t->r[queue], &head, &len);
}

static void give(Rig *t, unsigned queue, hwaddr at, uint32_t len,
                 unsigned flags)
{
    VRing *r = &t->r[queue];

    vd_offer(&t->g.d, r, vd_add(&t->g.d, r, at, len, flags, false));
    vd_kick(&t->g.d, r);
}

/* Page numbers to the inflate or deflate queue. */
static void give_pages(Rig *t, unsigned queue, const uint32_t *pfn, unsigned n)
{
    hwaddr list = vd_alloc(&t->g.d, 4 * n, 4);

    for (unsigned i = 0; i < n; i++) {
        as_store(t->g.t.q.m->mem, list + 4 * i, pfn[i], 4);
    }
    give(t, queue, list, 4 * n, 0);
}

static void test_pages(gconstpointer kind)
{
    static const uint32_t pages[] = { PAGE_AT / 4096, PAGE_AT / 4096 + 1,
                                      PAGE_AT / 4096 + 5 };
    Rig t = { 0 };

    start(&t, kind);
    driver(&t);
    for (unsigned i = 0; i < 8; i++) {
        fill(&t, PAGE_AT + i * 4096);
    }
    give_pages(&t, INFLATE, pages, 3);
    g_assert_true(taken(&t, INFLATE));
    for (unsigned i = 0; i < 8; i++) {
        bool gone = i == 0 || i == 1 || i == 5;

        g_assert_cmphex(word(&t, PAGE_AT + i * 4096 + 40), ==, gone ? 0 : FILL);
    }
    give_pages(&t, DEFLATE, pages, 3);
    g_assert_true(taken(&t, DEFLATE));
    fill(&t, PAGE_AT);
    g_assert_cmphex(word(&t, PAGE_AT), ==, FILL);
    rig_end(&t.g);
}

/* Numbers of what is not RAM, and a list that does not end at a number. */
static void test_wrong_pages(gconstpointer kind)
{
    static const uint32_t pages[] = { UINT32_MAX, PT_RAM / 4096,
                                      RIG_MMIO_BASE / 4096, 0x80000000,
                                      PAGE_AT / 4096 };
    Rig t = { 0 };
    hwaddr list;

    start(&t, kind);
    driver(&t);
    fill(&t, PAGE_AT);
    give_pages(&t, INFLATE, pages, G_N_ELEMENTS(pages));
    g_assert_true(taken(&t, INFLATE));
    g_assert_cmphex(word(&t, PAGE_AT), ==, 0);
    fill(&t, PAGE_AT);
    list = vd_alloc(&t.g.d, 8, 4);
    as_store(t.g.t.q.m->mem, list, PAGE_AT / 4096, 4);
    give(&t, INFLATE, list, 3, 0);
    g_assert_true(taken(&t, INFLATE));
    g_assert_cmphex(word(&t, PAGE_AT), ==, FILL);
    rig_end(&t.g);
}

/* Lists that name every page many times: the work has an end, and the device
 * goes on with the next buffer. */
static void test_huge_list(gconstpointer kind)
{
    enum { LEN = 512 << 10, TIMES = 120 };
    static const uint32_t page = PAGE_AT / 4096;
    Rig t = { 0 };
    VRing *r = &t.r[INFLATE];
    unsigned head = 0;
    int64_t before;

    start(&t, kind);
    t.g.d.next = RIG_DATA;
    rig_negotiate(&t.g, UINT64_MAX);
    vd_ring(&t.g.d, r, INFLATE, 128);
    vd_driver_ok(&t.g.d);
    for (unsigned i = 0; i < LEN; i += 4) {
        as_store(t.g.t.q.m->mem, 0x100000 + i, i / 4 % 2 ? 0x90 : 0x94, 4);
    }
    for (unsigned i = 0; i < TIMES; i++) {
        unsigned at = vd_add(&t.g.d, r, 0x100000, LEN, 0, i < TIMES - 1);

        head = i ? head : at;
    }
    before = cost_us();
    vd_offer(&t.g.d, r, head);
    vd_kick(&t.g.d, r);
    g_assert_true(taken(&t, INFLATE));
    g_assert_cmpint(cost_us() - before, <, 5 * G_USEC_PER_SEC);
    fill(&t, PAGE_AT);
    give_pages(&t, INFLATE, &page, 1);
    g_assert_true(taken(&t, INFLATE));
    g_assert_cmphex(word(&t, PAGE_AT), ==, 0);
    rig_end(&t.g);
}

static void test_wish(gconstpointer kind)
{
    Rig t = { 0 };
    uint64_t bytes = 0;

    start(&t, kind);
    driver(&t);
    vd_read(&t.g.d, VD_ISR);
    vd_write(&t.g.d, VD_ACK, 3);
    g_assert_true(balloon_set(t.g.t.q.m, PT_RAM - 0x40000, NULL));
    g_assert_cmpuint(vd_read(&t.g.d, VD_ISR) & 2, ==, 2);
    g_assert_cmpuint(vd_config(&t.g.d, CFG_NUM_PAGES, 4), ==, 64);
    vd_set_config(&t.g.d, CFG_ACTUAL, 64, 4);
    g_assert_cmpint(t.actual, ==, PT_RAM - 0x40000);
    g_assert_true(balloon_actual(t.g.t.q.m, &bytes, NULL));
    g_assert_cmpuint(bytes, ==, PT_RAM - 0x40000);
    vd_set_config(&t.g.d, CFG_ACTUAL, UINT32_MAX, 4); /* more than there is */
    g_assert_true(balloon_actual(t.g.t.q.m, &bytes, NULL));
    g_assert_cmpuint(bytes, ==, 0);
    rig_end(&t.g);
}

/* A free memory of @kib, and a tag that nobody knows. */
static void give_stats(Rig *t, uint64_t kib)
{
    Machine *m = t->g.t.q.m;
    hwaddr at = vd_alloc(&t->g.d, 20, 8);

    as_store(m->mem, at, BALLOON_FREE_MEMORY, 2);
    as_store(m->mem, at + 2, kib, 8);
    as_store(m->mem, at + 10, 0x7777, 2);
    as_store(m->mem, at + 12, 1, 8);
    give(t, STATS, at, 20, 0);
    vd_settle();
}

static uint64_t free_memory(Rig *t)
{
    uint64_t stats[BALLOON_STATS];
    int64_t when;

    g_assert_true(balloon_stats(t->g.t.q.m, stats, &when, NULL));
    g_assert_cmphex(stats[BALLOON_SWAP_IN], ==, UINT64_MAX);
    g_assert_true((stats[BALLOON_FREE_MEMORY] == UINT64_MAX) == (when == 0));
    return stats[BALLOON_FREE_MEMORY];
}

static void test_stats(gconstpointer kind)
{
    Rig t = { 0 };

    start(&t, kind);
    driver(&t);
    g_assert_cmphex(free_memory(&t), ==, UINT64_MAX);
    give_stats(&t, 1000);
    g_assert_cmphex(free_memory(&t), ==, 1000);
    g_assert_false(taken(&t, STATS)); /* until we ask again */
    qtest_step(&t.g.t.q, 1000000000);
    g_assert_true(taken(&t, STATS));
    give_stats(&t, 2000);
    g_assert_cmphex(free_memory(&t), ==, 2000);
    give_stats(&t, 3000); /* a second buffer: the first goes back */
    g_assert_true(taken(&t, STATS));
    g_assert_false(taken(&t, STATS));
    g_assert_cmphex(free_memory(&t), ==, 3000);
    rig_end(&t.g);
}

static void test_report(gconstpointer kind)
{
    Rig t = { 0 };

    start(&t, kind);
    driver(&t);
    fill(&t, PAGE_AT);
    fill(&t, PAGE_AT + 4096);
    give(&t, REPORTING, PAGE_AT, 4096 + 100, VD_WRITE); /* one whole page */
    g_assert_true(taken(&t, REPORTING));
    g_assert_cmphex(word(&t, PAGE_AT), ==, 0);
    g_assert_cmphex(word(&t, PAGE_AT + 4096), ==, FILL);
    vd_set_config(&t.g.d, CFG_POISON, 0xaa, 4); /* free pages keep that */
    fill(&t, PAGE_AT);
    give(&t, REPORTING, PAGE_AT, 4096, VD_WRITE);
    g_assert_true(taken(&t, REPORTING));
    g_assert_cmphex(word(&t, PAGE_AT), ==, FILL);
    rig_end(&t.g);
}

/* While its buffer waits here the guest resets the device. */
static void test_reset(gconstpointer kind)
{
    Rig t = { 0 };

    start(&t, kind);
    driver(&t);
    give_stats(&t, 1000);
    vd_write(&t.g.d, VD_STATUS, 0);
    g_assert_cmphex(free_memory(&t), ==, UINT64_MAX);
    qtest_step(&t.g.t.q, 5000000000);
    g_assert_false(taken(&t, STATS));
    driver(&t);
    g_assert_false(taken(&t, STATS));
    give_stats(&t, 3000);
    g_assert_cmphex(free_memory(&t), ==, 3000);
    qtest_step(&t.g.t.q, 1000000000);
    g_assert_true(taken(&t, STATS));
    t.g.dev->cls->reset(t.g.dev);
    rig_end(&t.g);
}

static void test_state(gconstpointer kind)
{
    Rig a = { 0 }, b = { 0 };
    uint64_t bytes;

    start(&a, kind);
    start(&b, kind);
    driver(&a);
    driver(&b);
    give_stats(&b, 7); /* what it has is forgotten */
    give_stats(&a, 1000);
    balloon_set(a.g.t.q.m, PT_RAM / 2, NULL);
    vd_set_config(&a.g.d, CFG_ACTUAL, 100, 4);
    qtest_step(&a.g.t.q, 400000000);
    rig_copy(&a.g, &b.g);
    memcpy(b.r, a.r, sizeof(b.r));
    g_assert_cmpuint(vd_config(&b.g.d, CFG_NUM_PAGES, 4), ==,
                     PT_RAM / 2 / 4096);
    g_assert_true(balloon_actual(b.g.t.q.m, &bytes, NULL));
    g_assert_cmpuint(bytes, ==, PT_RAM - 100 * 4096);
    g_assert_false(taken(&b, STATS));
    g_assert_cmphex(free_memory(&b), ==, 1000); /* read from its buffer */
    qtest_step(&b.g.t.q, 1000000000);
    g_assert_true(taken(&b, STATS));
    give_stats(&b, 2000);
    g_assert_cmphex(free_memory(&b), ==, 2000);
    rig_end(&a.g);
    rig_end(&b.g);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_add_tests("virtio-balloon", "pages", test_pages);
    rig_add_tests("virtio-balloon", "wrong-pages", test_wrong_pages);
    rig_add_tests("virtio-balloon", "huge-list", test_huge_list);
    rig_add_tests("virtio-balloon", "wish", test_wish);
    rig_add_tests("virtio-balloon", "stats", test_stats);
    rig_add_tests("virtio-balloon", "report", test_report);
    rig_add_tests("virtio-balloon", "reset", test_reset);
    rig_add_tests("virtio-balloon", "state", test_state);
    return g_test_run();
}
