/* The HPET: counter, one-shot and periodic comparators, legacy replacement. */
#include "tests/qtest/qtest.h"
#include "hw/timer/hpet.h"
#include "util/mainloop.h"

#define BASE HPET_DEFAULT_BASE

static uint64_t rd(QTest *q, unsigned reg)
{
    return as_load(q->m->mem, BASE + reg, 8);
}

static void wr(QTest *q, unsigned reg, uint64_t value)
{
    as_store(q->m->mem, BASE + reg, value, 8);
}

static Device *hpet_start(QTest *q)
{
    qtest_start(q);
    return qtest_device(q, &hpet_class);
}

static void test_registers(void)
{
    QTest q;

    hpet_start(&q);
    g_assert_cmphex(rd(&q, 0x000), ==, UINT64_C(0x009896808086a201));
    g_assert_cmphex(as_load(q.m->mem, BASE + 4, 4), ==, 10000000);
    for (unsigned n = 0; n < 3; n++) {
        g_assert_cmphex(rd(&q, 0x100 + 0x20 * n), ==,
                        UINT64_C(0x00ff010400000030));
        g_assert_cmphex(rd(&q, 0x108 + 0x20 * n), ==, UINT64_MAX);
        wr(&q, 0x100 + 0x20 * n, UINT64_MAX);
        /* Route 31 cannot be, and bit 14 (FSB) neither. */
        g_assert_cmphex(rd(&q, 0x100 + 0x20 * n), ==,
                        UINT64_C(0x00ff01040000017e));
        g_assert_cmphex(rd(&q, 0x108 + 0x20 * n), ==, UINT32_MAX);
    }
    /* The counter stands, can be set by halves, and runs at 100 MHz. */
    as_store(q.m->mem, BASE + 0xf4, 0x12, 4);
    as_store(q.m->mem, BASE + 0xf0, 0xfffffff0, 4);
    qtest_step(&q, NS_PER_SEC);
    g_assert_cmphex(rd(&q, 0xf0), ==, UINT64_C(0x12fffffff0));
    wr(&q, 0x10, 1);
    qtest_step(&q, 1000);
    g_assert_cmphex(rd(&q, 0xf0), ==, UINT64_C(0x1300000054));
    wr(&q, 0x10, 0);
    qtest_step(&q, 1000);
    g_assert_cmphex(rd(&q, 0xf0), ==, UINT64_C(0x1300000054));
    g_assert_cmphex(rd(&q, 0x200), ==, 0);
    qtest_end(&q);
}

static void test_one_shot(void)
{
    QTest q;

    hpet_start(&q);
    wr(&q, 0x10, 1);
    wr(&q, 0x100, 2 << 9 | 0x4); /* to 2, edge */
    wr(&q, 0x108, 100000);
    qtest_step(&q, 999999);
    g_assert_cmpuint(q.rises[2], ==, 0);
    qtest_step(&q, 1);
    g_assert_cmpuint(q.rises[2], ==, 1);
    g_assert_cmpint(q.level[2], ==, 0); /* a pulse */
    g_assert_cmphex(rd(&q, 0x20), ==, 0);
    qtest_step(&q, 100 * NS_PER_SEC);
    g_assert_cmpuint(q.rises[2], ==, 1);
    wr(&q, 0x108, rd(&q, 0xf0) - 5); /* late: at once */
    qtest_step(&q, 1000);
    g_assert_cmpuint(q.rises[2], ==, 2);
    /* 32 bits: again when the counter comes round. */
    wr(&q, 0x100, 2 << 9 | 0x104);
    wr(&q, 0x108, (uint32_t)(rd(&q, 0xf0) + 1000));
    qtest_step(&q, 20000);
    g_assert_cmpuint(q.rises[2], ==, 3);
    qtest_step(&q, (INT64_C(1) << 32) * 10);
    g_assert_cmpuint(q.rises[2], ==, 4);
    qtest_end(&q);
}

static void test_level(void)
{
    QTest q;

    hpet_start(&q);
    wr(&q, 0x10, 1);
    wr(&q, 0x140, 20 << 9 | 0x6);
    wr(&q, 0x148, 1000);
    qtest_step(&q, 10000);
    g_assert_cmpint(q.level[20], ==, 1);
    g_assert_cmphex(rd(&q, 0x20), ==, 4);
    wr(&q, 0x20, 3);
    g_assert_cmpint(q.level[20], ==, 1);
    wr(&q, 0x140, 21 << 9 | 0x6);
    g_assert_cmpint(q.level[20], ==, 0);
    g_assert_cmpint(q.level[21], ==, 1);
    wr(&q, 0x10, 0); /* halted: no interrupts */
    g_assert_cmpint(q.level[21], ==, 0);
    wr(&q, 0x10, 1);
    g_assert_cmpint(q.level[21], ==, 1);
    as_store(q.m->mem, BASE + 0x20, 4, 4);
    g_assert_cmpint(q.level[21], ==, 0);
    g_assert_cmphex(rd(&q, 0x20), ==, 0);
    qtest_end(&q);
}

/* As Linux starts its clock event device. */
static void test_periodic(void)
{
    QTest q;

    hpet_start(&q);
    wr(&q, 0x10, 3);
    as_store(q.m->mem, BASE + 0x100, 0x14c, 4);
    as_store(q.m->mem, BASE + 0x108, 100000, 4); /* first at 1 ms */
    as_store(q.m->mem, BASE + 0x108, 400000, 4); /* then every 4 ms */
    q.rises[0] = 0;
    qtest_step(&q, 1000000);
    g_assert_cmpuint(q.rises[0], ==, 1);
    g_assert_cmphex(rd(&q, 0x108), ==, 500000);
    qtest_step(&q, NS_PER_SEC);
    g_assert_cmpuint(q.rises[0], ==, 251);
    /* Too fast for a main loop: fewer, but the comparator keeps up. */
    wr(&q, 0x100, 0x14c);
    wr(&q, 0x108, 1);
    q.rises[0] = 0;
    qtest_step(&q, NS_PER_SEC / 100);
    g_assert_cmpuint(q.rises[0], <=, 501);
    qtest_end(&q);
}

/* A main loop that sleeps: the ticks it missed come after. */
static void test_catch_up(void)
{
    QTest q;
    int64_t start;

    qtest_start_on(&q, clock_new());
    qtest_device(&q, &hpet_class);
    clock_start(q.m->vclock);
    wr(&q, 0x10, 3);
    as_store(q.m->mem, BASE + 0x100, 0x14c, 4);
    start = clock_ns(q.m->vclock);
    as_store(q.m->mem, BASE + 0x108, rd(&q, 0xf0) + 100000, 4);
    as_store(q.m->mem, BASE + 0x108, 100000, 4); /* every ms */
    q.rises[0] = 0;
    g_usleep(20000);
    while (q.rises[0] < 20) {
        mainloop_iterate(true);
    }
    g_assert_cmpuint(q.rises[0], <=,
                     (clock_ns(q.m->vclock) - start) / 1000000 + 1);
    qtest_end(&q);
}

static void test_legacy(void)
{
    QTest q;
    Device *dev = hpet_start(&q);
    IrqLine pit = hpet_legacy_input(dev, HPET_LEGACY_PIT);
    IrqLine rtc = hpet_legacy_input(dev, HPET_LEGACY_RTC);

    irq_set(&pit, 1);
    irq_set(&rtc, 1);
    g_assert_cmpint(q.level[0], ==, 1);
    g_assert_cmpint(q.level[8], ==, 1);
    wr(&q, 0x10, 2);
    g_assert_cmpint(q.level[0], ==, 0);
    g_assert_cmpint(q.level[8], ==, 0);
    irq_set(&pit, 0);
    irq_set(&pit, 1);
    g_assert_cmpint(q.level[0], ==, 0);
    wr(&q, 0x10, 3);
    wr(&q, 0x120, 0x4); /* timer 1 is interrupt 8 now */
    wr(&q, 0x128, rd(&q, 0xf0) + 100);
    q.rises[8] = 0;
    qtest_step(&q, 20000);
    g_assert_cmpuint(q.rises[8], ==, 1);
    wr(&q, 0x10, 1);
    g_assert_cmpint(q.level[0], ==, 1);
    qtest_end(&q);
}

static void test_state_and_garbage(void)
{
    QTest q, other;
    Device *dev = hpet_start(&q), *copy = hpet_start(&other);

    wr(&q, 0x10, 3);
    wr(&q, 0x100, 0x14c);
    wr(&q, 0x108, 100000);
    qtest_check_state(dev, copy);
    qtest_garbage(&q, q.m->mem, BASE, 0x180);
    qtest_check_state(dev, copy);
    qtest_end(&q);
    qtest_end(&other);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hpet/registers", test_registers);
    g_test_add_func("/hpet/one-shot", test_one_shot);
    g_test_add_func("/hpet/level", test_level);
    g_test_add_func("/hpet/periodic", test_periodic);
    g_test_add_func("/hpet/catch-up", test_catch_up);
    g_test_add_func("/hpet/legacy", test_legacy);
    g_test_add_func("/hpet/state-garbage", test_state_and_garbage);
    return g_test_run();
}
