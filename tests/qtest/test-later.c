/*
 * Work for when the guest has nothing to do, and a disk that is served by the
 * vCPU then. This thread plays the vCPU: the main loop never runs, so whatever
 * comes back was done here.
 */
#include "tests/qtest/qtest.h"
#include <glib/gstdio.h>
#include <sys/uio.h>
#include "hw/block/drive.h"
#include "hw/virtio/mmio.h"
#include "system/later.h"
#include "tests/lib/virtio-driver.h"
#include "util/aio.h"
#include "util/turn.h"

extern const DeviceClass virtio_blk_device_class;

enum { RAM = 1 << 20, BASE = 0xfeb00000, DISK = 1 << 16, READ = 0, WRITE = 1 };

/* With a flush: else every write is to be durable, and waits for that. */
#define FEATURES (VIRTIO_BIT(VIRTIO_F_VERSION_1) | 0xffffff)

typedef struct Rig {
    QTest q;
    Region ram;
    VDriver d;
    VRing r;
    char *path;
    int fd;
    bool uring;  /* else threads have all transfers */
    bool cached; /* the file system can say what is in the page cache, too */
} Rig;

static unsigned soon;

static void rig_soon(Machine *m)
{
    soon++;
}

static bool have_uring(void)
{
    Aio *aio = aio_new(false);
    bool have = aio_is_uring(aio);

    aio_free(aio);
    return have;
}

/* What the accelerator and cpus.c set up. */
static void be_vcpu(Machine *m, bool on)
{
    m->cpus_look = on;
    m->cpus_soon = rig_soon;
    m->ncpus = 1;
    machine_later_join(on ? m : NULL);
    soon = 0;
}

static void rig_start(Rig *g)
{
    g_autofree char *bytes = g_malloc0(DISK);
    g_autofree char *text = NULL;
    GError *err = NULL;
    struct iovec iov = { bytes, DISK };
    Device *slot, *dev;

    memset(g, 0, sizeof(*g));
    qtest_start(&g->q);
    g_assert_true(region_init_ram(&g->ram, "ram", RAM, NULL));
    as_map(g->q.m->mem, 0, &g->ram, 0);
    slot = device_new_class(g->q.m, &virtio_mmio_class, NULL);
    g_assert_true(device_set(slot, "force-legacy", "off", NULL));
    qtest_realize(slot);
    g->d = (VDriver) { .m = g->q.m, .base = BASE, .next = 0x10000 };
    for (unsigned i = 0; i < DISK; i++) {
        bytes[i] = (char)(i / 512 + 1);
    }
    g->fd = g_file_open_tmp("test-later-XXXXXX", &g->path, NULL);
    g_assert_cmpint(write(g->fd, bytes, DISK), ==, DISK);
    g->uring = have_uring();
    g->cached = g->uring && preadv2(g->fd, &iov, 1, 0, RWF_NOWAIT) == DISK;
    text = g_strdup_printf("file=%s,format=raw,if=none,id=d0", g->path);
    drive_add(g->q.m, text, &err);
    g_assert_no_error(err);
    dev = device_new_class(g->q.m, &virtio_blk_device_class, "disk");
    g_assert_true(device_set(dev, "drive", "d0", NULL));
    g_assert_true(device_realize(dev, NULL));
    dev->cls->reset(dev);
    g_assert_true(vd_negotiate(&g->d, FEATURES));
    vd_ring(&g->d, &g->r, 0, 64);
    vd_driver_ok(&g->d);
    vd_settle();
    g->q.m->state = RUN_RUNNING;
    be_vcpu(g->q.m, true);
}

static void rig_end(Rig *g)
{
    be_vcpu(g->q.m, false);
    while (g->q.m->devices->len) {
        device_free(g->q.m->devices->pdata[g->q.m->devices->len - 1]);
    }
    vd_settle();
    drives_free(g->q.m);
    region_fini(&g->ram);
    qtest_end(&g->q);
    close(g->fd);
    g_unlink(g->path);
    g_free(g->path);
}

/* A request of 4 KiB, and the notification if the device wants one. Returns
 * where the data is. */
static hwaddr request(Rig *g, uint32_t type, uint64_t sector)
{
    hwaddr head = vd_alloc(&g->d, 16, 16), status = vd_alloc(&g->d, 1, 1);
    hwaddr data = vd_alloc(&g->d, 4096, 16);
    uint16_t before = g->r.avail_idx;
    unsigned first;

    as_store(g->q.m->mem, head, type, 8);
    as_store(g->q.m->mem, head + 8, sector, 8);
    as_store(g->q.m->mem, data, 0xa5a5a5a5, 4);
    first = vd_add(&g->d, &g->r, head, 16, 0, true);
    vd_add(&g->d, &g->r, data, 4096, type == READ ? VD_WRITE : 0, true);
    vd_add(&g->d, &g->r, status, 1, VD_WRITE, false);
    vd_offer(&g->d, &g->r, first);
    if (vd_would_kick(&g->d, &g->r, before)) {
        vd_kick(&g->d, &g->r);
    }
    return data;
}

static unsigned done(Rig *g)
{
    unsigned n = 0, head;
    uint32_t len;

    while (vd_take(&g->d, &g->r, &head, &len)) {
        n++;
    }
    return n;
}

static unsigned read_first(Rig *g, hwaddr data)
{
    return (unsigned)as_load(g->q.m->mem, data, 1);
}

/* ---- the list --------------------------------------------------------------- */

static unsigned calls, idles;

static bool count_call(void *opaque, bool idle)
{
    calls++;
    idles += idle;
    return idle || !opaque;
}

static void test_list(void)
{
    static const MachineClass cls = { .name = "none" };
    Machine *m = machine_new(&cls, clock_new_manual());
    char patient[1];

    calls = idles = 0;
    machine_lock(m);
    g_assert_false(machine_later(m, count_call, patient)); /* nobody looks */
    be_vcpu(m, true);
    g_assert_true(machine_later(m, count_call, patient));
    g_assert_true(machine_later(m, count_call, NULL));
    g_assert_true(machine_has_later(m));
    machine_run_later(m, false);
    g_assert_cmpuint(calls, ==, 2); /* one had enough with that */
    machine_run_later(m, false);
    g_assert_cmpuint(calls, ==, 3);
    g_assert_false(machine_is_idle(m));
    machine_idle_turn(m);
    g_assert_cmpuint(idles, ==, 1);
    g_assert_false(machine_has_later(m));
    g_assert_true(machine_later(m, count_call, patient));
    machine_not_later(m, count_call, patient);
    g_assert_false(machine_has_later(m));
    g_assert_true(machine_soon(m, count_call, patient));
    g_assert_cmpuint(soon, ==, 1);
    /* Another thread, while all vCPUs sleep. */
    machine_later_join(NULL);
    m->cpus_asleep = 1;
    g_assert_false(machine_later(m, count_call, patient));
    g_assert_false(machine_soon(m, count_call, patient));
    m->cpus_asleep = 0;
    for (unsigned i = 1; i < MACHINE_LATER_MAX; i++) {
        g_assert_true(machine_later(m, count_call, patient));
    }
    g_assert_false(machine_later(m, count_call, patient));
    machine_unlock(m);
    machine_free(m); /* calls what waits */
    g_assert_cmpuint(idles, ==, 1 + MACHINE_LATER_MAX);
}

static void turn_note(void *opaque)
{
    g_string_append_c(opaque, turn_on() ? 'T' : 't');
}

static void turn_note_done(void *opaque)
{
    g_string_append_c(opaque, 'd');
}

static void test_turn(void)
{
    g_autoptr(GString) log = g_string_new(NULL);
    Turn t, inner;

    g_assert_false(turn_add(NULL, turn_note, log));
    g_assert_true(turn_begin(&t, true));
    g_assert_false(turn_begin(&inner, true));
    g_assert_true(turn_add(turn_note, turn_note_done, log));
    g_assert_true(turn_add(NULL, turn_note_done, log));
    turn_end(&t);
    g_assert_false(turn_on());
    turn_work(&t);
    turn_done(&t);
    g_assert_cmpstr(log->str, ==, "tdd");
    g_assert_true(turn_begin(&t, false)); /* of a thread that must not wait */
    g_assert_false(turn_add(turn_note, turn_note_done, log));
    for (unsigned i = 0; i < TURN_MAX; i++) {
        g_assert_true(turn_add(NULL, turn_note_done, log));
    }
    g_assert_false(turn_add(NULL, turn_note_done, log));
    turn_end(&t);
}

/* ---- a disk -------------------------------------------------------------------- */

/* A guest that waits for each request: after the first one it is not even made
 * to go to sleep for it. */
static void test_one_by_one(void)
{
    Rig g;

    rig_start(&g);
    if (!g.cached) {
        g_test_skip(g.uring ? "the file system does not know RWF_NOWAIT"
                            : "no io_uring here");
        rig_end(&g);
        return;
    }
    for (unsigned i = 0; i < 5; i++) {
        hwaddr data = request(&g, READ, i * 8);

        g_assert_cmpuint(soon, ==, i);
        g_assert_cmpuint(done(&g), ==, 0);
        machine_idle_turn(g.q.m);
        g_assert_cmpuint(done(&g), ==, 1);
        g_assert_cmpuint(read_first(&g, data), ==, i * 8 + 1);
    }
    rig_end(&g);
}

/* One that has more to give gives all of them first. */
static void test_many(void)
{
    hwaddr data[8];
    Rig g;

    rig_start(&g);
    for (unsigned i = 0; g.cached && i < 3; i++) {
        for (unsigned k = 0; k < 8; k++) {
            data[k] = request(&g, READ, k * 8);
            machine_lock(g.q.m);
            machine_run_later(g.q.m, false);
            machine_unlock(g.q.m);
        }
        g_assert_cmpuint(soon, ==, 0);
        g_assert_cmpuint(done(&g), ==, 0);
        machine_idle_turn(g.q.m);
        g_assert_cmpuint(done(&g), ==, 8);
        for (unsigned k = 0; k < 8; k++) {
            g_assert_cmpuint(read_first(&g, data[k]), ==, k * 8 + 1);
        }
    }
    rig_end(&g);
}

/* One that goes on with something else: not for ever. */
static void test_busy(void)
{
    Rig g;

    rig_start(&g);
    request(&g, READ, 0);
    for (unsigned i = 0; i < 3 && !soon; i++) {
        machine_lock(g.q.m);
        machine_run_later(g.q.m, false);
        machine_unlock(g.q.m);
    }
    g_assert_cmpuint(soon, ==, 1);
    machine_idle_turn(g.q.m);
    g_assert_cmpuint(done(&g), ==, g.cached);
    rig_end(&g);
}

static void test_write(void)
{
    uint8_t byte = 0;
    Rig g;

    rig_start(&g);
    for (unsigned i = 0; i < 3; i++) {
        request(&g, WRITE, i * 8);
        machine_idle_turn(g.q.m);
        if (i == 0 && g.uring) { /* after a slow one, a thread has the next */
            g_assert_cmpuint(done(&g), ==, 1);
        } else {
            while (!done(&g)) {
                mainloop_iterate(true);
            }
        }
        g_assert_cmpint(pread(g.fd, &byte, 1, i * 4096), ==, 1);
        g_assert_cmpuint(byte, ==, 0xa5);
    }
    rig_end(&g);
}

/* Requests that wait when the device is reset, or the machine ends. */
static void test_gone(void)
{
    Rig g;

    rig_start(&g);
    request(&g, READ, 0);
    vd_write(&g.d, VD_STATUS, 0);
    machine_idle_turn(g.q.m);
    g_assert_true(vd_negotiate(&g.d, FEATURES));
    vd_ring(&g.d, &g.r, 0, 64);
    vd_driver_ok(&g.d);
    machine_idle_turn(g.q.m);
    request(&g, READ, 8);
    rig_end(&g);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/later/list", test_list);
    g_test_add_func("/later/turn", test_turn);
    g_test_add_func("/later/disk/one-by-one", test_one_by_one);
    g_test_add_func("/later/disk/many", test_many);
    g_test_add_func("/later/disk/busy", test_busy);
    g_test_add_func("/later/disk/write", test_write);
    g_test_add_func("/later/disk/gone", test_gone);
    return g_test_run();
}
