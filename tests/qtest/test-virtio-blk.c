/*
 * virtio-blk on an mmio slot: every kind of request, in every cut, good and
 * bad; on a raw file, and on a disk in memory that fails when told to.
 */
#include "tests/lib/virtio-rig.h"
#include <glib/gstdio.h>

extern const DeviceClass virtio_blk_device_class;

enum {
    RAM = 8 << 20,
    DISK = 1 << 20,
    IN = 0,
    OUT = 1,
    FLUSH = 4,
    GET_ID = 8,
    DISCARD = 11,
    ZEROES = 13,
    OK = 0,
    IOERR = 1,
    UNSUPP = 2,
};

typedef struct Rig {
    QTest q;
    Region ram;
    Device *slot, *dev;
    VDriver d;
    VRing r;
    char *path;
    MemDisk disk;
    unsigned stops, io_errors;
} Rig;

static void rig_event(Machine *m, const char *event, const EventValue *values,
                      void *opaque)
{
    Rig *g = opaque;

    g->stops += !strcmp(event, "STOP");
    g->io_errors += !strcmp(event, "BLOCK_IO_ERROR");
}

static void rig_machine(Rig *g)
{
    memset(g, 0, sizeof(*g));
    g->slot = rig_slot(&g->q, &g->ram, RAM, false, &g->d);
    machine_watch(g->q.m, rig_event, g);
}

static bool rig_device(Rig *g, const char *props, GError **errp)
{
    g->dev = device_new_class(g->q.m, &virtio_blk_device_class, "disk");
    g_assert_true(device_set(g->dev, "drive", "d0", NULL));
    rig_set(g->dev, props);
    if (!device_realize(g->dev, errp)) {
        device_free(g->dev);
        return false;
    }
    g->dev->cls->reset(g->dev);
    return true;
}

static void rig_file(Rig *g, const char *drive_options)
{
    g_autofree char *bytes = g_malloc0(DISK);
    g_autofree char *text = NULL;
    GError *err = NULL;
    int fd;

    rig_machine(g);
    for (unsigned i = 0; i < DISK; i++) {
        bytes[i] = (char)(i / 512 + i);
    }
    fd = g_file_open_tmp("test-virtio-blk-XXXXXX", &g->path, NULL);
    g_assert_cmpint(write(fd, bytes, DISK), ==, DISK);
    close(fd);
    text = g_strdup_printf("file=%s,format=raw,if=none,id=d0%s", g->path,
                           drive_options);
    drive_add(g->q.m, text, &err);
    g_assert_no_error(err);
}

/* A disk in memory: d0. */
static void rig_memory(Rig *g)
{
    rig_machine(g);
    rig_drive(&g->q, &g->disk, "d0", DISK);
}

static void rig_end(Rig *g)
{
    rig_unplug(&g->q);
    vd_settle();
    machine_unwatch(g->q.m, rig_event, g);
    drives_free(g->q.m);
    region_fini(&g->ram);
    qtest_end(&g->q);
    if (g->path) {
        g_unlink(g->path);
        g_free(g->path);
    }
    if (g->disk.bytes) {
        mem_disk_clear(&g->disk);
    }
}

static void rig_ready(Rig *g, uint64_t features)
{
    g_assert_true(vd_negotiate(&g->d, features));
    vd_ring(&g->d, &g->r, 0, 64);
    vd_driver_ok(&g->d);
    vd_settle();
}

static void start(Rig *g, const char *props)
{
    GError *err = NULL;

    rig_device(g, props, &err);
    g_assert_no_error(err);
    rig_ready(g, VD_ALL);
}

/* ---- requests ------------------------------------------------------------------------- */

typedef struct Req {
    hwaddr head, data, status;
    uint32_t len;
} Req;

/* Puts a request into the ring; @cut: bytes of each data buffer, 0: one. */
static Req offer(Rig *g, uint32_t type, uint64_t sector, hwaddr data,
                 uint32_t len, uint32_t cut)
{
    Req q = { .head = vd_alloc(&g->d, 16, 16), .data = data, .len = len };
    unsigned head, flags = type & 1 ? 0 : VD_WRITE;

    q.status = vd_alloc(&g->d, 1, 16);
    as_store(g->q.m->mem, q.head, type, 4);
    as_store(g->q.m->mem, q.head + 4, 0, 4);
    as_store(g->q.m->mem, q.head + 8, sector, 8);
    as_store(g->q.m->mem, q.status, 0xee, 1);
    head = vd_add(&g->d, &g->r, q.head, 16, 0, true);
    for (uint32_t at = 0; at < len; at += cut ? cut : len) {
        vd_add(&g->d, &g->r, data + at, MIN(cut ? cut : len, len - at), flags,
               true);
    }
    vd_add(&g->d, &g->r, q.status, 1, VD_WRITE, false);
    vd_offer(&g->d, &g->r, head);
    return q;
}

static unsigned request(Rig *g, uint32_t type, uint64_t sector, hwaddr data,
                        uint32_t len)
{
    Req q = offer(g, type, sector, data, len, 0);
    uint32_t used;

    vd_kick(&g->d, &g->r);
    used = vd_wait(&g->d, &g->r);
    g_assert_cmpuint(used, ==, (type & 1 ? 0 : len) + 1);
    return (unsigned)as_load(g->q.m->mem, q.status, 1);
}

static void expect_disk(Rig *g, hwaddr data, uint32_t sector, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++) {
        uint32_t at = sector * 512 + i;

        g_assert_cmphex(g->ram.ram[data + i], ==, (at / 512 + at) & 0xff);
    }
}

/* ---- what works --------------------------------------------------------------------------- */

static void test_read_write(void)
{
    Rig g;
    hwaddr a, b;

    rig_file(&g, "");
    start(&g, "");
    a = vd_alloc(&g.d, 65536, 4096);
    b = vd_alloc(&g.d, 65536, 4096);
    g_assert_cmpuint(request(&g, IN, 3, a, 4096), ==, OK);
    expect_disk(&g, a, 3, 4096);
    memset(g.ram.ram + a, 0x5a, 65536);
    g_assert_cmpuint(request(&g, OUT, 100, a, 65536), ==, OK);
    g_assert_cmpuint(request(&g, FLUSH, 0, a, 0), ==, OK);
    g_assert_cmpuint(request(&g, IN, 99, b, 1024), ==, OK);
    expect_disk(&g, b, 99, 512);
    g_assert_cmphex(g.ram.ram[b + 512], ==, 0x5a);
    g_assert_cmpuint(request(&g, IN, DISK / 512 - 1, b, 512), ==, OK);
    expect_disk(&g, b, DISK / 512 - 1, 512);
    rig_end(&g);
}

/* The specification leaves the cuts between buffers to the driver. */
static void test_any_layout(void)
{
    static const uint32_t cuts[] = { 1, 7, 511, 512, 513, 4096 };
    Rig g;
    hwaddr table, m;
    unsigned head;

    rig_file(&g, "");
    start(&g, "");
    m = vd_alloc(&g.d, 65536, 4096);
    for (size_t c = 0; c < G_N_ELEMENTS(cuts); c++) {
        /* header, data and status in one stretch, cut anywhere */
        unsigned n = 0, out = 16, in = 1024 + 1;

        table = vd_alloc(&g.d, 1024 * 16, 16);
        memset(g.ram.ram + m, 0, 4096);
        as_store(g.q.m->mem, m + 8, 5, 8);
        for (uint32_t at = 0; at < out; at += cuts[c], n++) {
            vd_desc(&g.d, table, n, m + at, MIN(cuts[c], out - at), VD_NEXT,
                    n + 1);
        }
        if (cuts[c] == 1) {
            in = 512 + 1;
        }
        for (uint32_t at = 0; at < in; at += cuts[c], n++) {
            vd_desc(&g.d, table, n, m + out + at, MIN(cuts[c], in - at),
                    VD_WRITE | (at + cuts[c] < in ? VD_NEXT : 0), n + 1);
        }
        g.ram.ram[m + out + in - 1] = 0xee;
        head = vd_add(&g.d, &g.r, table, 16 * n, VD_INDIRECT, false);
        vd_offer(&g.d, &g.r, head);
        vd_kick(&g.d, &g.r);
        g_assert_cmpuint(vd_wait(&g.d, &g.r), ==, in);
        g_assert_cmphex(g.ram.ram[m + out + in - 1], ==, OK);
        expect_disk(&g, m + out, 5, in - 1);
    }
    rig_end(&g);
}

static void test_many(void)
{
    Rig g;
    hwaddr m;
    Req q[16];

    rig_file(&g, "");
    start(&g, "");
    m = vd_alloc(&g.d, 16 * 4096, 4096);
    for (int round = 0; round < 20; round++) {
        memset(g.ram.ram + m, 0, 16 * 4096);
        for (unsigned i = 0; i < 16; i++) {
            q[i] =
                offer(&g, IN, i * 8, m + i * 4096, 4096, i % 2 ? 4096 : 2048);
        }
        vd_kick(&g.d, &g.r);
        for (unsigned i = 0; i < 16; i++) {
            vd_wait(&g.d, &g.r);
        }
        for (unsigned i = 0; i < 16; i++) {
            g_assert_cmphex(g.ram.ram[q[i].status], ==, OK);
            expect_disk(&g, q[i].data, i * 8, 4096);
        }
    }
    rig_end(&g);
}

static void test_id(void)
{
    Rig g;
    hwaddr a;

    rig_file(&g, "");
    start(&g, "serial=RHEA-0123456789abcde");
    a = vd_alloc(&g.d, 64, 16);
    memset(g.ram.ram + a, 'x', 64);
    g_assert_cmpuint(request(&g, GET_ID, 0, a, 20), ==, OK);
    g_assert_cmpmem(g.ram.ram + a, 21, "RHEA-0123456789abcdex", 21);
    g_assert_cmpuint(request(&g, GET_ID, 0, a, 4), ==, OK);
    rig_end(&g);
}

static unsigned range(Rig *g, uint32_t type, uint64_t sector, uint32_t n,
                      uint32_t flags)
{
    hwaddr a = vd_alloc(&g->d, 16, 16);

    as_store(g->q.m->mem, a, sector, 8);
    as_store(g->q.m->mem, a + 8, n, 4);
    as_store(g->q.m->mem, a + 12, flags, 4);
    return request(g, type, 0, a, 16);
}

static void test_ranges(void)
{
    Rig g;
    hwaddr a;

    rig_file(&g, ",discard=unmap");
    start(&g, "max-discard-sectors=100");
    a = vd_alloc(&g.d, 8192, 16);
    g_assert_cmpuint(range(&g, ZEROES, 8, 8, 0), ==, OK);
    g_assert_cmpuint(range(&g, ZEROES, 24, 8, 1), ==, OK);
    g_assert_cmpuint(range(&g, DISCARD, 40, 8, 0), ==, OK);
    g_assert_cmpuint(request(&g, IN, 7, a, 8192), ==, OK);
    expect_disk(&g, a, 7, 512);
    for (int i = 0; i < 4096; i++) {
        g_assert_cmphex(g.ram.ram[a + 512 + i], ==, 0);
    }
    expect_disk(&g, a + 512 + 4096, 16, 2048);
    g_assert_cmpuint(range(&g, DISCARD, 0, 8, 1), ==, UNSUPP);
    g_assert_cmpuint(range(&g, ZEROES, 0, 8, 2), ==, UNSUPP);
    g_assert_cmpuint(range(&g, DISCARD, 0, 101, 0), ==, IOERR);
    g_assert_cmpuint(range(&g, DISCARD, DISK / 512 - 1, 2, 0), ==, IOERR);
    g_assert_cmpuint(range(&g, DISCARD, UINT64_MAX, 2, 0), ==, IOERR);
    g_assert_cmpuint(range(&g, DISCARD, UINT64_C(1) << 55, 8, 0), ==, IOERR);
    g_assert_cmpuint(range(&g, ZEROES, 0, 0, 0), ==, OK);
    rig_end(&g);
}

static void test_config(void)
{
    Rig g;
    Drive *d;

    rig_file(&g, "");
    start(&g, "logical_block_size=4096,physical_block_size=8192,num-queues=3,"
              "min_io_size=8192,opt_io_size=65536,queue-size=128");
    g_assert_cmphex(g.d.features & 0xffffff, ==,
                    1 << 2 | 1 << 4 | 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11 |
                        1 << 12 | 1 << 13 | 1 << 14);
    g_assert_cmpuint(vd_read(&g.d, VD_CONFIG), ==, DISK / 512);
    g_assert_cmpuint(vd_read(&g.d, VD_CONFIG + 12), ==, 126);
    g_assert_cmpuint(vd_read(&g.d, VD_CONFIG + 20), ==, 4096);
    g_assert_cmphex(vd_read(&g.d, VD_CONFIG + 24), ==, 2 << 16 | 1);
    g_assert_cmpuint(vd_read(&g.d, VD_CONFIG + 28), ==, 16);
    g_assert_cmphex(vd_read(&g.d, VD_CONFIG + 32), ==, 3 << 16 | 1);
    for (unsigned i = 0; i < 4; i++) {
        vd_write(&g.d, VD_QUEUE_SEL, i);
        g_assert_cmpuint(vd_read(&g.d, VD_QUEUE_NUM_MAX), ==, i < 3 ? 128 : 0);
    }
    /* whole blocks only */
    g_assert_cmpuint(request(&g, IN, 1, 0x400000, 4096), ==, IOERR);
    g_assert_cmpuint(request(&g, IN, 8, 0x400000, 512), ==, IOERR);
    g_assert_cmpuint(request(&g, IN, 8, 0x400000, 4096), ==, OK);
    /* write cache */
    as_store(g.q.m->mem, BASE + VD_CONFIG + 32, 0, 1);
    g_assert_cmphex(as_load(g.q.m->mem, BASE + VD_CONFIG + 32, 1), ==, 0);
    vd_write(&g.d, VD_STATUS, 0);
    g_assert_cmphex(as_load(g.q.m->mem, BASE + VD_CONFIG + 32, 1), ==, 1);
    /* a driver that cannot flush gets a disk that need not be flushed */
    rig_ready(&g, VIRTIO_BIT(VIRTIO_F_VERSION_1));
    g_assert_cmphex(as_load(g.q.m->mem, BASE + VD_CONFIG + 32, 1), ==, 0);
    /* resize */
    d = drive_find(g.q.m, "d0");
    vd_write(&g.d, VD_ACK, 3);
    d->resized(d->user);
    g_assert_cmpuint(vd_read(&g.d, VD_ISR), ==, 2);
    g_assert_cmpuint(vd_read(&g.d, VD_GENERATION), ==, 1);
    rig_end(&g);
}

static void test_queues(void)
{
    Rig g;
    VRing other;
    hwaddr m;

    rig_file(&g, "");
    g_assert_true(rig_device(&g, "num-queues=2", NULL));
    g_assert_true(vd_negotiate(&g.d, VD_ALL));
    vd_ring(&g.d, &g.r, 0, 64);
    vd_ring(&g.d, &other, 1, 8);
    vd_driver_ok(&g.d);
    m = vd_alloc(&g.d, 4096, 4096);
    g_assert_cmpuint(request(&g, IN, 0, m, 512), ==, OK);
    g.r = other;
    g_assert_cmpuint(request(&g, IN, 0, m, 512), ==, OK);
    rig_end(&g);
}

/* ---- what does not ------------------------------------------------------------------------ */

static void test_refused(void)
{
    Rig g;
    hwaddr a;

    rig_file(&g, "");
    start(&g, "");
    a = vd_alloc(&g.d, 8192, 16);
    g_assert_cmpuint(request(&g, IN, DISK / 512, a, 512), ==, IOERR);
    g_assert_cmpuint(request(&g, IN, DISK / 512 - 1, a, 1024), ==, IOERR);
    g_assert_cmpuint(request(&g, OUT, UINT64_MAX, a, 512), ==, IOERR);
    g_assert_cmpuint(request(&g, OUT, UINT64_C(1) << 55, a, 512), ==, IOERR);
    g_assert_cmpuint(request(&g, IN, 0, a, 100), ==, IOERR);
    g_assert_cmpuint(request(&g, IN, 0, a, 0), ==, OK);
    g_assert_cmpuint(request(&g, 2, 0, a, 512), ==, UNSUPP); /* SCSI */
    g_assert_cmpuint(request(&g, 0xffffffff, 0, a, 512), ==, UNSUPP);
    g_assert_cmpuint(request(&g, IN, 0, a, 512), ==, OK);
    rig_end(&g);
}

static void test_read_only(void)
{
    Rig g;
    hwaddr a;

    rig_file(&g, ",readonly=on");
    start(&g, "");
    g_assert_cmphex(g.d.features & 1 << 5, ==, 1 << 5);
    a = vd_alloc(&g.d, 8192, 16);
    g_assert_cmpuint(request(&g, OUT, 0, a, 512), ==, IOERR);
    g_assert_cmpuint(request(&g, IN, 0, a, 512), ==, OK);
    rig_end(&g);
}

/* Neither header nor status: there is nobody to tell but the status register. */
static void test_headless(void)
{
    static const struct {
        uint32_t out, in;
    } bad[] = { { 0, 16 }, { 15, 16 }, { 16, 0 } };
    Rig g;

    rig_file(&g, "");
    start(&g, "");
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        hwaddr a = vd_alloc(&g.d, 64, 16);
        unsigned head = g.r.next_desc % 64;

        if (bad[i].out) {
            vd_add(&g.d, &g.r, a, bad[i].out, 0, bad[i].in);
        }
        if (bad[i].in) {
            vd_add(&g.d, &g.r, a + 32, bad[i].in, VD_WRITE, false);
        }
        vd_offer(&g.d, &g.r, head);
        vd_kick(&g.d, &g.r);
        vd_settle();
        g_assert_true(vd_read(&g.d, VD_STATUS) & VIRTIO_S_NEEDS_RESET);
        rig_ready(&g, VD_ALL);
    }
    g_assert_cmpuint(request(&g, IN, 0, 0x400000, 512), ==, OK);
    rig_end(&g);
}

static void expect_refusal(const char *props, const char *text)
{
    g_autoptr(GError) err = NULL;
    Rig g;

    rig_file(&g, "");
    g_assert_false(rig_device(&g, props, &err));
    if (!strstr(err->message, text)) {
        g_test_message("%s: %s", props, err->message);
        g_test_fail();
    }
    g_assert_true(rig_device(&g, "", NULL)); /* the drive is free again */
    rig_end(&g);
}

static void test_properties(void)
{
    expect_refusal("num-queues=0", "num-queues must be 1 to 1024, not 0");
    expect_refusal("queue-size=100", "queue-size must be a power of two");
    expect_refusal("queue-size=2048", "queue-size must be a power of two");
    expect_refusal("logical_block_size=100", "logical_block_size must be");
    expect_refusal("logical_block_size=4096,physical_block_size=512",
                   "logical_block_size > physical_block_size");
    expect_refusal("serial=123456789012345678901", "at most 20 fit");
    expect_refusal("werror=panic",
                   "werror must be report, stop, ignore, enosp");
    expect_refusal("rerror=enospc", "rerror must be report, stop, ignore or");
    expect_refusal("write-cache=maybe", "write-cache must be on, off or auto");
    expect_refusal("min_io_size=100", "min_io_size must be a multiple");
}

static void test_drive_taken(void)
{
    g_autoptr(GError) err = NULL;
    Device *second;
    Rig g;

    rig_file(&g, "");
    start(&g, "");
    second = device_new_class(g.q.m, &virtio_blk_device_class, NULL);
    g_assert_true(device_set(second, "drive", "d0", NULL));
    g_assert_false(device_realize(second, &err));
    g_assert_nonnull(strstr(err->message, "in use"));
    device_free(second);
    rig_end(&g);
}

/* ---- errors of the host ---------------------------------------------------------------------- */

static void test_report(void)
{
    Rig g;
    hwaddr a;

    rig_memory(&g);
    start(&g, "werror=report");
    a = vd_alloc(&g.d, 8192, 16);
    g.disk.fail_at = 1;
    g.disk.fail_errno = EIO;
    g_assert_cmpuint(request(&g, OUT, 0, a, 512), ==, IOERR);
    g_assert_cmpuint(g.io_errors, ==, 1);
    g_assert_cmpuint(request(&g, OUT, 0, a, 512), ==, OK);
    rig_end(&g);
}

static void test_ignore(void)
{
    Rig g;

    rig_memory(&g);
    start(&g, "werror=ignore");
    g.disk.fail_at = 1;
    g.disk.fail_errno = EIO;
    g_assert_cmpuint(request(&g, OUT, 0, 0x400000, 512), ==, OK);
    g_assert_cmpuint(g.io_errors, ==, 1);
    rig_end(&g);
}

static void run_until_stop(Rig *g)
{
    while (!g->stops) {
        mainloop_iterate(true);
    }
}

/* No space: the machine stops; when it goes on the request is done. */
static void test_stop(void)
{
    Rig g;
    Req q;
    Drive *d;

    rig_memory(&g);
    start(&g, ""); /* enospc is the rule */
    d = drive_find(g.q.m, "d0");
    g_assert_true(machine_start(g.q.m, NULL));
    g.disk.fail_at = 1;
    g.disk.fail_errno = ENOSPC;
    memset(g.ram.ram + 0x400000, 0x77, 1024);
    q = offer(&g, OUT, 4, 0x400000, 1024, 0);
    vd_kick(&g.d, &g.r);
    run_until_stop(&g);
    g_assert_cmpint(g.q.m->state, ==, RUN_IO_ERROR);
    g_assert_cmphex(g.ram.ram[q.status], ==, 0xee);
    g_assert_cmpstr(d->io_status, ==, "nospace"); /* of query-block */
    g_assert_true(d->may_stop);
    g_assert_cmpuint(blk_highest_write(d->blk), ==, 0);
    g_assert_true(machine_start(g.q.m, NULL));
    g_assert_null(d->io_status);
    vd_wait(&g.d, &g.r);
    g_assert_cmpuint(blk_highest_write(d->blk), ==, 6 * 512);
    g_assert_cmphex(g.ram.ram[q.status], ==, OK);
    g_assert_cmphex(g.disk.bytes->data[4 * 512], ==, 0x77);
    rig_end(&g);
}

/* The same, but it goes on elsewhere. */
static void test_stop_and_move(void)
{
    g_autoptr(GByteArray) s = g_byte_array_new();
    size_t pos = 0;
    GError *err = NULL;
    Rig a, b;
    Req q;

    rig_memory(&a);
    rig_memory(&b);
    start(&a, "werror=stop");
    g_assert_true(rig_device(&b, "werror=stop", NULL));
    g_assert_true(machine_start(a.q.m, NULL));
    a.disk.fail_at = 1;
    a.disk.fail_errno = EIO;
    memset(a.ram.ram + 0x400000, 0x77, 1024);
    q = offer(&a, OUT, 4, 0x400000, 1024, 0);
    vd_kick(&a.d, &a.r);
    run_until_stop(&a);

    memcpy(b.ram.ram, a.ram.ram, RAM);
    qtest_check_state(a.slot, b.slot);
    qtest_check_state(a.dev, b.dev);
    g_assert_true(vmstate_save(s, a.dev->cls->vmstate, a.dev, NULL));
    vmstate_load(s, &pos, b.dev->cls->vmstate, b.dev, &err);
    g_assert_no_error(err);
    b.r = a.r;
    b.d.features = a.d.features;
    vd_wait(&b.d, &b.r);
    g_assert_cmphex(b.ram.ram[q.status], ==, OK);
    g_assert_cmphex(b.disk.bytes->data[4 * 512], ==, 0x77);
    rig_end(&a);
    rig_end(&b);
}

/* Held back or not, an interrupt comes; and at once when the machine stops. */
static void test_interrupts(void)
{
    Rig g;

    rig_file(&g, "");
    start(&g, "");
    g_assert_true(machine_start(g.q.m, NULL));
    for (int i = 0; i < 40; i++) {
        for (int n = 0; n <= i % 20; n++) {
            offer(&g, IN, 0, 0x400000, 512, 0);
        }
        vd_kick(&g.d, &g.r);
        for (int n = 0; n <= i % 20; n++) {
            vd_wait(&g.d, &g.r);
        }
        if (i % 10 == 9) {
            machine_stop(g.q.m, RUN_PAUSED);
            g_assert_cmpint(g.q.level[16], ==, 1);
            g_assert_true(machine_start(g.q.m, NULL));
        }
        while (!g.q.level[16]) {
            mainloop_iterate(true);
        }
        vd_write(&g.d, VD_ACK, 3);
        /* the driver has seen all up to here */
        as_store(g.q.m->mem, g.r.avail + 4 + 2 * 64, g.r.last_used, 2);
    }
    rig_end(&g);
}

/* ---- in the middle ----------------------------------------------------------------------------- */

/* What was on its way is done before the reset is, and nobody hears of it. */
static void test_reset_in_flight(void)
{
    Rig g;
    hwaddr used;

    rig_file(&g, "");
    start(&g, "");
    for (int i = 0; i < 50; i++) {
        for (unsigned n = 0; n < 8; n++) {
            offer(&g, n % 2 ? OUT : IN, 8 * n, 0x400000 + 4096 * n, 4096, 0);
        }
        vd_kick(&g.d, &g.r);
        if (i % 2) {
            mainloop_iterate(false);
        }
        used = g.r.used;
        vd_write(&g.d, VD_STATUS, 0);
        g_assert_cmpuint(vd_read(&g.d, VD_STATUS), ==, 0);
        memset(g.ram.ram + used, 0, 4);
        vd_settle();
        g_assert_cmpuint(as_load(g.q.m->mem, used + 2, 2), ==, 0);
        g.d.next = 0x10000;
        rig_ready(&g, VD_ALL);
        g_assert_cmpuint(request(&g, IN, 0, 0x400000, 512), ==, OK);
    }
    rig_end(&g);
}

/* Saved after every main loop step of some I/O: loaded elsewhere, all requests
 * are answered there, too. */
static void test_state_in_the_middle(void)
{
    for (int steps = 0; steps < 12; steps++) {
        g_autoptr(GByteArray) s = g_byte_array_new();
        GError *err = NULL;
        size_t pos = 0;
        Rig a, b;
        Req q[8];

        rig_file(&a, "");
        rig_file(&b, "");
        start(&a, "");
        g_assert_true(rig_device(&b, "", NULL));
        for (unsigned n = 0; n < 8; n++) {
            q[n] = offer(&a, IN, 8 * n, 0x400000 + 4096 * n, 4096, 1024);
        }
        vd_kick(&a.d, &a.r);
        for (int i = 0; i < steps; i++) {
            mainloop_iterate(false);
        }
        memcpy(b.ram.ram, a.ram.ram, RAM);
        qtest_check_state(a.slot, b.slot);
        g_assert_true(vmstate_save(s, a.dev->cls->vmstate, a.dev, NULL));
        vmstate_load(s, &pos, b.dev->cls->vmstate, b.dev, &err);
        g_assert_no_error(err);
        b.r = a.r;
        b.d.features = a.d.features;
        for (unsigned n = 0; n < 8; n++) {
            vd_wait(&b.d, &b.r);
        }
        for (unsigned n = 0; n < 8; n++) {
            g_assert_cmphex(b.ram.ram[q[n].status], ==, OK);
            expect_disk(&b, q[n].data, 8 * n, 4096);
        }
        rig_end(&a);
        rig_end(&b);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*fn)(void);
    } tests[] = {
        { "read-write", test_read_write },
        { "any-layout", test_any_layout },
        { "many", test_many },
        { "id", test_id },
        { "ranges", test_ranges },
        { "config", test_config },
        { "queues", test_queues },
        { "refused", test_refused },
        { "read-only", test_read_only },
        { "headless", test_headless },
        { "properties", test_properties },
        { "drive-taken", test_drive_taken },
        { "error/report", test_report },
        { "error/ignore", test_ignore },
        { "error/stop", test_stop },
        { "error/stop-and-move", test_stop_and_move },
        { "interrupts", test_interrupts },
        { "reset-in-flight", test_reset_in_flight },
        { "state-in-the-middle", test_state_in_the_middle },
    };

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path =
            g_strdup_printf("/virtio-blk/%s", tests[i].name);

        g_test_add_func(path, tests[i].fn);
    }
    return g_test_run();
}
