/* Small ports: 92, CF9, 80, debug exit, pc-testdev. */
#include "tests/qtest/qtest.h"
#include "util/mainloop.h"
#include "hw/misc/misc.h"

extern const DeviceClass debugexit_class, pc_testdev_class, pvpanic_class;

static unsigned resets;
static char last_event[32];

static void on_event(Machine *m, const char *event, const EventValue *values,
                     void *opaque)
{
    g_strlcpy(last_event, event, sizeof(last_event));
    resets += strcmp(event, "RESET") == 0;
}

static void start(QTest *q)
{
    qtest_start(q);
    resets = 0;
    last_event[0] = 0;
    machine_watch(q->m, on_event, NULL);
}

static unsigned count_resets(void)
{
    while (mainloop_iterate(false)) {
    }
    return resets;
}

static void test_port92(void)
{
    QTest q;
    Device *dev;

    start(&q);
    dev = device_new_class(q.m, &port92_class, NULL);
    port92_set_a20(dev, (IrqLine) { qtest_line, &q, 20 });
    qtest_realize(dev);
    g_assert_cmpint(q.level[20], ==, 1); /* on at reset */
    g_assert_cmphex(inb(&q, 0x92), ==, 0x02);
    outb(&q, 0x92, 0x00);
    g_assert_cmpint(q.level[20], ==, 0);
    port92_a20_changed(dev, true); /* the 8042 turned it on */
    g_assert_cmphex(inb(&q, 0x92), ==, 0x02);
    outb(&q, 0x92, 0xfe);
    g_assert_cmphex(inb(&q, 0x92), ==, 0xfa);
    g_assert_cmpuint(count_resets(), ==, 0);
    outb(&q, 0x92, 0x03);
    g_assert_cmpuint(count_resets(), ==, 1);
    g_assert_cmphex(inb(&q, 0x92), ==, 0x02);
    qtest_end(&q);
}

static void test_cf9(void)
{
    QTest q;

    start(&q);
    qtest_device(&q, &cf9_class);
    outb(&q, 0xcf9, 0x02);
    g_assert_cmphex(inb(&q, 0xcf9), ==, 0x02);
    g_assert_cmpuint(count_resets(), ==, 0);
    outb(&q, 0xcf9, 0x06);
    g_assert_cmpuint(count_resets(), ==, 1);
    g_assert_cmphex(inb(&q, 0xcf9), ==, 0x00);
    outb(&q, 0xcf9, 0x0e);
    g_assert_cmpuint(count_resets(), ==, 2);
    qtest_end(&q);
}

static void test_port80(void)
{
    QTest q;

    start(&q);
    qtest_device(&q, &port80_class);
    outb(&q, 0x80, 0xa5);
    g_assert_cmphex(inb(&q, 0x80), ==, 0xa5);
    outb(&q, 0xed, 0x11);
    g_assert_cmphex(inb(&q, 0x80), ==, 0x11);
    qtest_end(&q);
}

/* Writing @value, with property success=@success, exits with @want. */
static void expect_exit(const char *success, unsigned value, unsigned size,
                        int want)
{
    QTest q;
    Device *dev;
    GError *err = NULL;

    start(&q);
    q.m->state = RUN_RUNNING;
    dev = device_new_class(q.m, &debugexit_class, NULL);
    g_assert_true(device_set(dev, "iobase", "0xf4", &err));
    g_assert_true(device_set(dev, "iosize", "4", &err));
    if (success) {
        g_assert_true(device_set(dev, "success", success, &err));
    }
    qtest_realize(dev);
    g_assert_cmphex(inb(&q, 0xf4), ==, 0);
    as_store(q.m->io, 0xf4, value, size);
    count_resets();
    g_assert_cmpstr(last_event, ==, "SHUTDOWN");
    g_assert_cmpint(q.m->exit_code, ==, want);
    qtest_end(&q);
}

static void test_debug_exit(void)
{
    QTest q;
    Device *dev;
    GError *err = NULL;

    expect_exit(NULL, 0x10, 1, 0x21);
    expect_exit(NULL, 0, 4, 1);
    expect_exit("0x10", 0x10, 4, 0);
    expect_exit("0x10", 0x11, 4, 0x23);
    expect_exit("0", 0, 1, 0);

    start(&q);
    dev = device_new_class(q.m, &debugexit_class, NULL);
    g_assert_true(device_set(dev, "iosize", "5", &err));
    g_assert_false(device_realize(dev, &err));
    g_assert_cmpstr(err->message, ==, "iosize must be 1 to 4, not 5");
    g_clear_error(&err);
    device_free(dev);
    qtest_end(&q);
}

static void test_testdev(void)
{
    QTest q;
    Region ram;
    GError *err = NULL;

    start(&q);
    q.m->cfg.ram_size = 64 * MIB;
    g_assert_true(region_init_ram(&ram, "ram", MIB, &err));
    as_map(q.m->mem, 0, &ram, 0);
    qtest_device(&q, &pc_testdev_class);
    g_assert_cmphex(as_load(q.m->io, 0xd1, 4), ==, 64 * MIB);
    as_store(q.m->io, 0xe0, 0x12345678, 4);
    g_assert_cmphex(as_load(q.m->io, 0xe1, 1), ==, 0x56);
    as_store(q.m->io, 0xe2, 0xabcd, 2);
    g_assert_cmphex(as_load(q.m->io, 0xe0, 4), ==, 0xabcd5678);
    g_assert_cmphex(as_load(q.m->io, 0xe8, 4), ==, 0xabcd5678);
    as_store(q.m->io, 0xe4, 0x1000, 4);
    as_store(q.m->io, 0xe4, 0xfffff000, 4);
    outb(&q, 0xf1, 'x'); /* no chardev: nowhere */
    outb(&q, 0x2000 + 5, 1);
    g_assert_cmpint(q.level[5], ==, 1);
    as_store(q.m->io, 0x2000 + 5, 0, 4);
    g_assert_cmpint(q.level[5], ==, 0);
    as_store(q.m->mem, 0xff000ffc, UINT64_C(0x1122334455667788), 8);
    g_assert_cmphex(as_load(q.m->mem, 0xff001000, 4), ==, 0x11223344);
    g_assert_cmphex(as_load(q.m->mem, 0xff00fffe, 2), ==, 0);
    qtest_garbage(&q, q.m->io, 0xe0, 12);
    qtest_garbage(&q, q.m->mem, 0xff000000, 0x10010);
    as_unmap(&ram);
    region_fini(&ram);
    qtest_end(&q);
}

static void test_pvpanic(void)
{
    QTest q;
    Device *dev;

    start(&q);
    dev = device_new_class(q.m, &pvpanic_class, NULL);
    qtest_realize(dev);
    q.m->cfg.panic_action = PANIC_PAUSE;
    g_assert_cmphex(inb(&q, 0x505), ==, 3);
    outb(&q, 0x505, 0xf0);
    g_assert_cmpstr(last_event, ==, "");
    outb(&q, 0x505, 2);
    g_assert_cmpstr(last_event, ==, "GUEST_CRASHLOADED");
    outb(&q, 0x505, 1);
    count_resets();
    g_assert_cmpstr(last_event, ==, "GUEST_PANICKED");
    g_assert_cmpint(q.m->state, ==, RUN_GUEST_PANICKED);
    qtest_end(&q);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pc-misc/port92", test_port92);
    g_test_add_func("/pc-misc/cf9", test_cf9);
    g_test_add_func("/pc-misc/port80", test_port80);
    g_test_add_func("/pc-misc/debug-exit", test_debug_exit);
    g_test_add_func("/pc-misc/testdev", test_testdev);
    g_test_add_func("/pc-misc/pvpanic", test_pvpanic);
    return g_test_run();
}
