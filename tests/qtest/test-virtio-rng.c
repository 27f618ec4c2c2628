/*
 * virtio-rng behind each interface: bytes, their rate, an end in the middle, the
 * state while a request waits. virtio 1.2, 5.4.
 */
#include "tests/lib/virtio-faces.h"
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "hw/virtio/rng-backend.h"

extern const DeviceClass virtio_rng_device_class, virtio_rng_pci_class;

enum { BUF = 64, QSIZE = 8 };

typedef struct Rig {
    VirtioRig g;
    VRing r;
} Rig;

static void start(Rig *t, gconstpointer kind, const char *props)
{
    Device *dev;

    rig_start(&t->g, (RigKind)GPOINTER_TO_INT(kind));
    if (strstr(props, "rng=r0")) {
        g_assert_true(
            object_add(t->g.t.q.m, "rng-random,id=r0,filename=entropy", NULL));
    }
    dev = rig_device(&t->g, &virtio_rng_device_class, &virtio_rng_pci_class);
    rig_set(dev, props);
    rig_plug(&t->g);
}

static void driver(Rig *t)
{
    rig_negotiate(&t->g, UINT64_MAX);
    vd_ring(&t->g.d, &t->r, 0, QSIZE);
    vd_driver_ok(&t->g.d);
}

/* As at the program's end: who uses objects goes before them. */
static void end(Rig *t)
{
    rig_drop_devices(&t->g);
    objects_free(t->g.t.q.m);
    rig_end(&t->g);
}

static hwaddr ask(Rig *t, uint32_t len)
{
    hwaddr buf = vd_alloc(&t->g.d, len, 64);

    vd_offer(&t->g.d, &t->r, vd_add(&t->g.d, &t->r, buf, len, VD_WRITE, false));
    vd_kick(&t->g.d, &t->r);
    vd_settle();
    return buf;
}

/* How many bytes came; -1: no answer. */
static int answer(Rig *t)
{
    unsigned head = 0;
    uint32_t len = 0;

    vd_settle();
    return vd_take(&t->g.d, &t->r, &head, &len) ? (int)len : -1;
}

static bool is_random(Rig *t, hwaddr buf, unsigned len)
{
    unsigned ones = 0;

    for (unsigned i = 0; i < len; i += 8) {
        ones += (unsigned)__builtin_popcountll(
            as_load(t->g.t.q.m->mem, buf + i, 8));
    }
    return ones > 2 * len && ones < 6 * len;
}

static void test_bytes(gconstpointer kind)
{
    Rig t = { 0 };
    hwaddr a, b;

    start(&t, kind, "");
    driver(&t);
    a = ask(&t, BUF);
    g_assert_cmpint(answer(&t), ==, BUF);
    b = ask(&t, BUF);
    g_assert_cmpint(answer(&t), ==, BUF);
    g_assert_true(is_random(&t, a, BUF) && is_random(&t, b, BUF));
    g_assert_cmphex(as_load(t.g.t.q.m->mem, a, 8), !=,
                    as_load(t.g.t.q.m->mem, b, 8));
    ask(&t, 1);
    g_assert_cmpint(answer(&t), ==, 1);
    ask(&t, 100000); /* what it gives at once has an end */
    g_assert_cmpint(answer(&t), ==, 4096);
    end(&t);
}

static void test_rate(gconstpointer kind)
{
    Rig t = { 0 };

    start(&t, kind, "max-bytes=80,period=100");
    driver(&t);
    ask(&t, BUF);
    g_assert_cmpint(answer(&t), ==, BUF);
    ask(&t, BUF);
    g_assert_cmpint(answer(&t), ==, 16);
    ask(&t, BUF);
    g_assert_cmpint(answer(&t), ==, -1);
    qtest_step(&t.g.t.q, 99000000);
    g_assert_cmpint(answer(&t), ==, -1);
    qtest_step(&t.g.t.q, 1000000);
    g_assert_cmpint(answer(&t), ==, BUF);
    end(&t);
}

/* A buffer that is not for writing gets nothing. */
static void test_read_only(gconstpointer kind)
{
    Rig t = { 0 };
    hwaddr buf;

    start(&t, kind, "");
    driver(&t);
    buf = vd_alloc(&t.g.d, BUF, 64);
    vd_offer(&t.g.d, &t.r, vd_add(&t.g.d, &t.r, buf, BUF, 0, false));
    vd_kick(&t.g.d, &t.r);
    g_assert_cmpint(answer(&t), ==, 0);
    end(&t);
}

static void wait_for(Rig *t, int want)
{
    int got;

    while ((got = answer(t)) < 0) {
        mainloop_iterate(true);
    }
    g_assert_cmpint(got, ==, want);
}

/* The host has none: the request waits, a reset ends it, the next driver gets
 * what comes then. */
static void test_reset(gconstpointer kind)
{
    Rig t = { 0 };
    int fd;

    g_assert_cmpint(mkfifo("entropy", 0600), ==, 0);
    fd = open("entropy", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    start(&t, kind, "rng=r0");
    driver(&t);
    ask(&t, BUF);
    g_assert_cmpint(answer(&t), ==, -1);
    vd_write(&t.g.d, VD_STATUS, 0);
    g_assert_cmpint(write(fd, "0123456789", 10), ==, 10);
    g_assert_cmpint(answer(&t), ==, -1);
    driver(&t);
    ask(&t, BUF);
    g_assert_cmpint(answer(&t), ==, 10);
    ask(&t, BUF);
    g_assert_cmpint(answer(&t), ==, -1);
    g_assert_cmpint(write(fd, "abc", 3), ==, 3);
    wait_for(&t, 3);
    ask(&t, BUF); /* and nothing waits for it when the device goes */
    end(&t);
    close(fd);
    g_unlink("entropy");
}

static void count(void *opaque)
{
    (*(unsigned *)opaque)++;
}

/* A guest may notify as often as it likes: who waits is called once. */
static void test_waits_once(void)
{
    Machine *m = machine_new(NULL, clock_new_manual());
    unsigned calls = 0;
    uint8_t byte;
    Device *obj;
    int fd;

    g_assert_cmpint(mkfifo("entropy", 0600), ==, 0);
    fd = open("entropy", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    g_assert_true(object_add(m, "rng-random,id=r0,filename=entropy", NULL));
    obj = object_find(m, "r0", NULL, NULL);
    for (unsigned i = 0; i < 1000; i++) {
        g_assert_cmpint(rng_read(obj, &byte, 1, count, &calls), ==, -EAGAIN);
    }
    g_assert_cmpint(write(fd, "x", 1), ==, 1);
    while (!calls) {
        mainloop_iterate(true);
    }
    g_assert_cmpuint(calls, ==, 1);
    objects_free(m);
    machine_free(m);
    close(fd);
    g_unlink("entropy");
}

static void test_state(gconstpointer kind)
{
    Rig a = { 0 }, b = { 0 };

    start(&a, kind, "max-bytes=16,period=100");
    start(&b, kind, "max-bytes=16,period=100");
    driver(&a);
    ask(&a, BUF);
    g_assert_cmpint(answer(&a), ==, 16);
    ask(&a, BUF);
    g_assert_cmpint(answer(&a), ==, -1);
    qtest_step(&a.g.t.q, 30000000);
    rig_copy(&a.g, &b.g);
    b.r = a.r;
    g_assert_cmpint(answer(&b), ==, -1);
    qtest_step(&b.g.t.q, 69000000);
    g_assert_cmpint(answer(&b), ==, -1);
    qtest_step(&b.g.t.q, 1000000);
    g_assert_cmpint(answer(&b), ==, 16);
    end(&a);
    end(&b);
}

int main(int argc, char **argv)
{
    g_autofree char *dir = g_dir_make_tmp("rng-XXXXXX", NULL);
    int ret;

    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(g_chdir(dir), ==, 0);
    rig_add_tests("virtio-rng", "bytes", test_bytes);
    rig_add_tests("virtio-rng", "rate", test_rate);
    rig_add_tests("virtio-rng", "read-only", test_read_only);
    rig_add_tests("virtio-rng", "reset", test_reset);
    rig_add_tests("virtio-rng", "state", test_state);
    g_test_add_func("/virtio-rng/waits-once", test_waits_once);
    ret = g_test_run();
    g_rmdir(dir);
    return ret;
}
