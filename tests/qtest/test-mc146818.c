/* The RTC: time in every format, setting it, interrupts, CMOS. */
#include "tests/qtest/qtest.h"
#include "hw/timer/mc146818.h"

/* 2024-02-28 23:59:50 UTC, a Wednesday. */
#define T0 INT64_C(1709164790)

static int64_t host_now(void *opaque)
{
    Machine *m = opaque;

    return T0 * NS_PER_SEC + clock_ns(m->vclock);
}

static Device *rtc_start_at(QTest *q, int64_t offset)
{
    Device *dev;

    qtest_start(q);
    q->m->cfg.rtc_offset_sec = offset;
    dev = device_new_class(q->m, &mc146818_class, NULL);
    mc146818_set_host_clock(dev, host_now, q->m);
    mc146818_set_output(dev, (IrqLine) { qtest_line, q, 8 });
    mc146818_set_nmi_mask(dev, (IrqLine) { qtest_line, q, 9 });
    qtest_realize(dev);
    return dev;
}

static Device *rtc_start(QTest *q)
{
    return rtc_start_at(q, 0);
}

static unsigned get(QTest *q, unsigned index)
{
    outb(q, 0x70, index);
    return inb(q, 0x71);
}

static void put(QTest *q, unsigned index, unsigned value)
{
    outb(q, 0x70, index);
    outb(q, 0x71, value);
}

/* sec min hour wday mday month year century */
static void check_time(QTest *q, const char *want)
{
    static const uint8_t index[] = { 0x32, 9, 8, 7, 6, 4, 2, 0 };
    g_autoptr(GString) s = g_string_new(NULL);

    for (unsigned i = 0; i < G_N_ELEMENTS(index); i++) {
        g_string_append_printf(s, "%s%02x", i ? " " : "", get(q, index[i]));
    }
    g_assert_cmpstr(s->str, ==, want);
}

static void test_time_runs(void)
{
    QTest q;

    rtc_start(&q);
    check_time(&q, "20 24 02 28 04 23 59 50");
    qtest_step(&q, 11 * NS_PER_SEC);
    check_time(&q, "20 24 02 29 05 00 00 01");
    qtest_step(&q, 86400 * NS_PER_SEC);
    check_time(&q, "20 24 03 01 06 00 00 01");
    put(&q, 0x0b, 0x06); /* binary */
    qtest_step(&q, 13 * 3600 * NS_PER_SEC);
    check_time(&q, "14 18 03 01 06 0d 00 01");
    put(&q, 0x0b, 0x04); /* and 12 hours */
    g_assert_cmphex(get(&q, 4), ==, 0x81);
    put(&q, 0x0b, 0x00);
    g_assert_cmphex(get(&q, 4), ==, 0x81);
    qtest_step(&q, 11 * 3600 * NS_PER_SEC);
    g_assert_cmphex(get(&q, 4), ==, 0x12); /* midnight is 12 am */
    qtest_step(&q, 12 * 3600 * NS_PER_SEC);
    g_assert_cmphex(get(&q, 4), ==, 0x92);
    qtest_end(&q);
}

static void test_base(void)
{
    QTest q;

    rtc_start_at(&q, -T0);
    check_time(&q, "19 70 01 01 05 00 00 00");
    qtest_end(&q);
    rtc_start_at(&q, INT64_C(253402300799) - T0);
    check_time(&q, "99 99 12 31 06 23 59 59");
    qtest_end(&q);
}

static void on_change(Machine *m, const char *event, const EventValue *values,
                      void *opaque)
{
    g_assert_cmpstr(event, ==, "RTC_CHANGE");
    g_assert_nonnull(event_value(values, "qom-path")->dev);
    *(int64_t *)opaque = event_value(values, "offset")->i;
}

/* As Linux does it: SET, divider in reset, new time, and back. */
static void test_set(void)
{
    QTest q;
    unsigned a;
    int64_t offset = 0;

    rtc_start(&q);
    machine_watch(q.m, on_change, &offset);
    put(&q, 0x0b, 0x82);
    a = get(&q, 0x0a);
    put(&q, 0x0a, a | 0x70);
    put(&q, 0x00, 0x30);
    put(&q, 0x02, 0x45);
    put(&q, 0x04, 0x12);
    put(&q, 0x06, 0x01);
    put(&q, 0x07, 0x31);
    put(&q, 0x08, 0x12);
    put(&q, 0x09, 0x99);
    put(&q, 0x32, 0x19);
    qtest_step(&q, 5 * NS_PER_SEC); /* it stands */
    check_time(&q, "19 99 12 31 01 12 45 30");
    put(&q, 0x0b, 0x02);
    g_assert_cmpint(offset, ==, 0);
    put(&q, 0x0a, a);
    g_assert_cmpint(offset, ==, 946644330 - (T0 + 5)); /* since 1970 */
    qtest_step(&q, NS_PER_SEC / 2 - 1000);
    g_assert_cmphex(get(&q, 0), ==, 0x30);
    qtest_step(&q, 2000); /* half a second after the divider started */
    g_assert_cmphex(get(&q, 0), ==, 0x31);
    qtest_step(&q, (11 * 3600 + 14 * 60 + 29) * NS_PER_SEC);
    check_time(&q, "20 00 01 01 02 00 00 00"); /* the guest's Sunday + 1 */

    /* A byte at a time while it runs. */
    put(&q, 0x04, 0x22);
    check_time(&q, "20 00 01 01 02 22 00 00");
    qtest_step(&q, 2 * 3600 * NS_PER_SEC);
    check_time(&q, "20 00 01 02 03 00 00 00");
    qtest_end(&q);
}

static void test_update_in_progress(void)
{
    QTest q;
    unsigned seen = 0;

    rtc_start(&q);
    for (int i = 0; i < 10000; i++) {
        qtest_step(&q, 100000);
        seen += get(&q, 0x0a) >> 7;
    }
    g_assert_cmpuint(seen, >=, 2); /* 244 us of a second in steps of 100 */
    g_assert_cmpuint(seen, <=, 3);
    put(&q, 0x0b, 0x82);
    for (int i = 0; i < 10000; i++) {
        qtest_step(&q, 100000);
        g_assert_cmphex(get(&q, 0x0a), ==, 0x26);
    }
    qtest_end(&q);
}

static void test_periodic(void)
{
    QTest q;
    unsigned n = 0;

    rtc_start(&q);
    put(&q, 0x0b, 0x42);
    for (int i = 0; i <= 20000; i++) {
        qtest_step(&q, 50000);
        if (q.level[8]) {
            g_assert_cmphex(get(&q, 0x0c) & 0xc0, ==, 0xc0);
            g_assert_cmpint(q.level[8], ==, 0);
            n++;
        }
    }
    g_assert_cmpuint(n, ==, 1024);
    /* Nobody reads register C: the line stays up, and one is all. */
    q.rises[8] = 0;
    qtest_step(&q, NS_PER_SEC);
    g_assert_cmpuint(q.rises[8], ==, 1);
    get(&q, 0x0c);
    /* The flag comes without the enable, too. */
    put(&q, 0x0b, 0x02);
    get(&q, 0x0c);
    qtest_step(&q, 10000000);
    g_assert_cmpint(q.level[8], ==, 0);
    g_assert_cmphex(get(&q, 0x0c), ==, 0x40);
    put(&q, 0x0a, 0x20); /* rate 0: none */
    get(&q, 0x0c);
    qtest_step(&q, 100000000);
    g_assert_cmphex(get(&q, 0x0c), ==, 0x00);
    qtest_end(&q);
}

static void test_update_and_alarm(void)
{
    QTest q;

    rtc_start(&q);
    put(&q, 0x0a, 0x20);
    put(&q, 0x0b, 0x12);
    get(&q, 0x0c);
    qtest_step(&q, NS_PER_SEC - 1000);
    g_assert_cmpint(q.level[8], ==, 0);
    qtest_step(&q, 2000);
    g_assert_cmpint(q.level[8], ==, 1);
    g_assert_cmphex(get(&q, 0x0c), ==, 0x90);

    /* Alarm at 00:00:05: it is 23:59:51. */
    put(&q, 0x05, 0x00);
    put(&q, 0x03, 0x00);
    put(&q, 0x01, 0x05);
    put(&q, 0x0b, 0x22);
    qtest_step(&q, 13 * NS_PER_SEC);
    g_assert_cmpint(q.level[8], ==, 0);
    qtest_step(&q, 1 * NS_PER_SEC);
    g_assert_cmpint(q.level[8], ==, 1);
    g_assert_cmphex(get(&q, 0x0c), ==, 0xb0);
    /* Any minute, any hour: once a minute. */
    put(&q, 0x05, 0xff);
    put(&q, 0x03, 0xc0);
    q.rises[8] = 0;
    for (int i = 0; i < 600; i++) {
        qtest_step(&q, NS_PER_SEC);
        get(&q, 0x0c);
    }
    g_assert_cmpuint(q.rises[8], ==, 10);
    put(&q, 0x03, 0x99); /* no minute 99 */
    q.rises[8] = 0;
    qtest_step(&q, 100000 * NS_PER_SEC);
    g_assert_cmpuint(q.rises[8], ==, 0);
    qtest_end(&q);
}

static void test_cmos(void)
{
    QTest q;
    Device *dev = rtc_start(&q);

    mc146818_set_memory(dev, 3 * GIB, 5 * GIB);
    g_assert_cmphex(get(&q, 0x15), ==, 0x80);
    g_assert_cmphex(get(&q, 0x16), ==, 0x02);
    g_assert_cmphex(get(&q, 0x17), ==, 0xff);
    g_assert_cmphex(get(&q, 0x31), ==, 0xff);
    g_assert_cmphex(get(&q, 0x34) | get(&q, 0x35) << 8, ==, 0xbf00);
    g_assert_cmphex(get(&q, 0x5b) | get(&q, 0x5c) << 8, ==, 0x4000);
    g_assert_cmphex(get(&q, 0x5d), ==, 0x01);
    put(&q, 0x40, 0xa5);
    outb(&q, 0x72, 0x40);
    outb(&q, 0x73, 0x5a);
    g_assert_cmphex(inb(&q, 0x73), ==, 0x5a);
    g_assert_cmphex(get(&q, 0x40), ==, 0xa5);
    g_assert_cmphex(mc146818_get_cmos(dev, 0xc0), ==, 0x5a);
    outb(&q, 0x70, 0x80);
    g_assert_cmpint(q.level[9], ==, 1);
    outb(&q, 0x70, 0x0d);
    g_assert_cmpint(q.level[9], ==, 0);
    g_assert_cmphex(inb(&q, 0x71), ==, 0x80);
    dev->cls->reset(dev);
    g_assert_cmphex(get(&q, 0x40), ==, 0xa5);
    qtest_end(&q);
}

static void test_state_and_garbage(void)
{
    QTest q, other;
    Device *dev = rtc_start(&q), *copy = rtc_start_at(&other, 12345);

    put(&q, 0x0b, 0x72);
    put(&q, 0x55, 0x55);
    qtest_check_state(dev, copy);
    check_time(&other, "20 24 02 28 04 23 59 50");
    qtest_garbage(&q, q.m->io, 0x70, 4);
    for (int i = 0; i < 100000; i++) {
        put(&q, g_test_rand_int_range(0, 16), g_test_rand_int() & 0xff);
        get(&q, g_test_rand_int_range(0, 16));
        qtest_step(&q, g_test_rand_int_range(0, 1000000000));
    }
    qtest_check_state(dev, copy);
    qtest_end(&q);
    qtest_end(&other);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mc146818/time", test_time_runs);
    g_test_add_func("/mc146818/base", test_base);
    g_test_add_func("/mc146818/set", test_set);
    g_test_add_func("/mc146818/uip", test_update_in_progress);
    g_test_add_func("/mc146818/periodic", test_periodic);
    g_test_add_func("/mc146818/update-alarm", test_update_and_alarm);
    g_test_add_func("/mc146818/cmos", test_cmos);
    g_test_add_func("/mc146818/state-garbage", test_state_and_garbage);
    return g_test_run();
}
