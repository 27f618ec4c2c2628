/* The interval timer: six modes, read-back, BCD, the gate at port 61. */
#include "tests/qtest/qtest.h"
#include "hw/timer/i8254.h"

static Device *pit_start(QTest *q)
{
    Device *dev;

    qtest_start(q);
    dev = device_new_class(q->m, &i8254_class, NULL);
    i8254_set_output(dev, (IrqLine) { qtest_line, q, 0 });
    qtest_realize(dev);
    return dev;
}

/* To the middle of tick @tick from where the test began counting. */
static void to_tick(QTest *q, int64_t from_ns, int64_t tick)
{
    int64_t ns = from_ns + (2 * tick + 1) * NS_PER_SEC / (2 * PIT_HZ);

    qtest_step(q, ns - clock_ns(q->m->vclock));
}

static void load(QTest *q, int ch, unsigned control, unsigned count)
{
    outb(q, 0x43, ch << 6 | 0x30 | control);
    outb(q, 0x40 + ch, count & 0xff);
    outb(q, 0x40 + ch, count >> 8);
}

static unsigned count_now(QTest *q, int ch)
{
    unsigned lsb;

    outb(q, 0x43, ch << 6);
    lsb = inb(q, 0x40 + ch);
    return lsb | inb(q, 0x40 + ch) << 8;
}

static unsigned status(QTest *q, int ch)
{
    outb(q, 0x43, 0xe0 | 2u << ch);
    return inb(q, 0x40 + ch);
}

static void test_mode0(void)
{
    QTest q;

    pit_start(&q);
    load(&q, 0, 0x00, 1000);
    g_assert_cmpint(q.level[0], ==, 0);
    to_tick(&q, 0, 10);
    g_assert_cmpuint(count_now(&q, 0), ==, 990);
    g_assert_cmphex(status(&q, 0), ==, 0x30);
    to_tick(&q, 0, 999);
    g_assert_cmpint(q.level[0], ==, 0);
    to_tick(&q, 0, 1000);
    g_assert_cmpint(q.level[0], ==, 1);
    g_assert_cmphex(status(&q, 0), ==, 0xb0);
    g_assert_cmpuint(count_now(&q, 0), ==, 0);
    to_tick(&q, 0, 1001);
    g_assert_cmphex(count_now(&q, 0), ==, 0xffff); /* goes on */
    outb(&q, 0x40, 0x10); /* the first byte: OUT low, not counting */
    g_assert_cmpint(q.level[0], ==, 0);
    g_assert_cmphex(status(&q, 0), ==, 0x70); /* null count */
    qtest_step(&q, NS_PER_SEC);
    g_assert_cmpint(q.level[0], ==, 0);
    outb(&q, 0x40, 0x00);
    qtest_step(&q, 100000);
    g_assert_cmpint(q.level[0], ==, 1);
    qtest_end(&q);
}

static void test_mode2_rate(void)
{
    QTest q;

    pit_start(&q);
    load(&q, 0, 0x04, 11932); /* 100 Hz */
    q.rises[0] = 0;
    qtest_step(&q, NS_PER_SEC);
    g_assert_cmpuint(q.rises[0], ==, 99); /* 11932 is a bit too much */
    qtest_step(&q, NS_PER_SEC / 100);
    g_assert_cmpuint(q.rises[0], ==, 100);
    /* OUT is low in the last tick only. */
    load(&q, 2, 0x04, 5);
    outb(&q, 0x61, 1);
    {
        int64_t t0 = clock_ns(q.m->vclock);

        for (int i = 0; i < 12; i++) {
            to_tick(&q, t0, i);
            /* t0 is somewhere inside a tick: look at the count instead. */
            g_assert_cmpint(!(inb(&q, 0x61) & 0x20), ==, count_now(&q, 2) == 1);
        }
    }
    qtest_end(&q);
}

static void test_mode2_new_count(void)
{
    QTest q;

    pit_start(&q);
    load(&q, 0, 0x04, 1000);
    to_tick(&q, 0, 300);
    outb(&q, 0x40, 100);
    outb(&q, 0x40, 0);
    g_assert_cmpuint(count_now(&q, 0), ==, 700); /* the period ends first */
    g_assert_cmphex(status(&q, 0) & 0x40, ==, 0x40);
    to_tick(&q, 0, 1000);
    g_assert_cmpuint(count_now(&q, 0), ==, 100);
    g_assert_cmphex(status(&q, 0) & 0x40, ==, 0);
    to_tick(&q, 0, 1130);
    g_assert_cmpuint(count_now(&q, 0), ==, 70);
    qtest_end(&q);
}

static void test_mode3_square(void)
{
    static const struct {
        unsigned n, high;
    } row[] = { { 6, 3 }, { 7, 4 } };
    QTest q;

    pit_start(&q);
    for (unsigned i = 0; i < G_N_ELEMENTS(row); i++) {
        int64_t t0;

        /* Begin at the start of a tick. */
        qtest_step(&q, NS_PER_SEC - clock_ns(q.m->vclock) % NS_PER_SEC);
        t0 = clock_ns(q.m->vclock);
        outb(&q, 0x61, 1);
        load(&q, 2, 0x06, row[i].n);
        for (unsigned t = 0; t < 3 * row[i].n; t++) {
            to_tick(&q, t0, t);
            g_assert_cmpint(!!(inb(&q, 0x61) & 0x20), ==,
                            t % row[i].n < row[i].high);
            g_assert_cmpuint(count_now(&q, 2) % 2, ==, 0);
        }
    }
    /* The square wave of channel 0 makes one edge a period. */
    load(&q, 0, 0x06, 0);
    q.rises[0] = 0;
    qtest_step(&q, 10 * NS_PER_SEC);
    g_assert_cmpuint(q.rises[0], ==, 182);
    qtest_end(&q);
}

static void test_gated_modes(void)
{
    QTest q;
    int64_t t0;

    pit_start(&q);
    /* Mode 1: low from the trigger on. */
    outb(&q, 0x61, 0);
    load(&q, 2, 0x02, 100);
    g_assert_cmphex(inb(&q, 0x61) & 0x20, ==, 0x20);
    outb(&q, 0x61, 1);
    g_assert_cmphex(inb(&q, 0x61) & 0x20, ==, 0);
    to_tick(&q, 0, 50);
    outb(&q, 0x61, 0);
    outb(&q, 0x61, 1); /* again, from the start */
    to_tick(&q, 0, 120);
    g_assert_cmphex(inb(&q, 0x61) & 0x20, ==, 0);
    to_tick(&q, 0, 151);
    g_assert_cmphex(inb(&q, 0x61) & 0x20, ==, 0x20);

    /* Mode 0: the gate holds the count. */
    qtest_step(&q, NS_PER_SEC - clock_ns(q.m->vclock));
    t0 = NS_PER_SEC;
    load(&q, 2, 0x00, 1000);
    to_tick(&q, t0, 100);
    outb(&q, 0x61, 0);
    to_tick(&q, t0, 5000);
    g_assert_cmpuint(count_now(&q, 2), ==, 900);
    outb(&q, 0x61, 1);
    to_tick(&q, t0, 5100);
    g_assert_cmpuint(count_now(&q, 2), ==, 800);

    /* Mode 2: the gate forces OUT high and reloads. */
    load(&q, 2, 0x04, 1000);
    to_tick(&q, t0, 5300);
    outb(&q, 0x61, 0);
    g_assert_cmphex(inb(&q, 0x61) & 0x20, ==, 0x20);
    outb(&q, 0x61, 1);
    g_assert_cmpuint(count_now(&q, 2), ==, 1000);

    /* Mode 5: a strobe of one tick after the trigger; mode 4: after the
     * load. */
    for (int mode = 4; mode <= 5; mode++) {
        unsigned low = 0;

        qtest_step(&q, NS_PER_SEC - clock_ns(q.m->vclock) % NS_PER_SEC);
        t0 = clock_ns(q.m->vclock);
        outb(&q, 0x61, mode == 4);
        load(&q, 2, mode << 1, 20);
        outb(&q, 0x61, 1);
        for (int t = 0; t < 100; t++) {
            to_tick(&q, t0, t);
            if (!(inb(&q, 0x61) & 0x20)) {
                g_assert_cmpint(t, ==, 20);
                low++;
            }
        }
        g_assert_cmpuint(low, ==, 1);
    }
    qtest_end(&q);
}

static void test_reading(void)
{
    QTest q;

    pit_start(&q);
    load(&q, 0, 0x04, 0x1234);
    to_tick(&q, 0, 4);
    outb(&q, 0x43, 0x00);
    qtest_step(&q, 100000);
    outb(&q, 0x43, 0x00); /* ignored: there is a latched count */
    g_assert_cmphex(inb(&q, 0x40), ==, 0x30);
    g_assert_cmphex(inb(&q, 0x40), ==, 0x12);
    g_assert_cmphex(inb(&q, 0x40), !=, 0x30); /* live again */
    inb(&q, 0x40);
    /* Read-back of both: status first. */
    outb(&q, 0x43, 0xc2);
    g_assert_cmphex(inb(&q, 0x40), ==, 0xb4);
    {
        unsigned lsb = inb(&q, 0x40), msb = inb(&q, 0x40);

        g_assert_cmphex(msb << 8 | lsb, <, 0x1230);
    }
    /* One byte only. */
    outb(&q, 0x43, 0x24);
    outb(&q, 0x40, 0x02); /* MSB: 0x0200 */
    outb(&q, 0x43, 0x00);
    g_assert_cmphex(inb(&q, 0x40), ==, 0x02);
    outb(&q, 0x43, 0x14);
    outb(&q, 0x40, 0x50);
    outb(&q, 0x43, 0x00);
    g_assert_cmphex(inb(&q, 0x40), ==, 0x50);
    /* BCD counts 10000 for 0. */
    qtest_step(&q, NS_PER_SEC - clock_ns(q.m->vclock));
    load(&q, 0, 0x05, 0x0000);
    g_assert_cmphex(count_now(&q, 0), ==, 0x0000);
    qtest_step(&q, 1000);
    g_assert_cmphex(count_now(&q, 0), ==, 0x9999);
    load(&q, 0, 0x05, 0x0100);
    qtest_step(&q, 840);
    g_assert_cmphex(count_now(&q, 0), ==, 0x0099);
    qtest_end(&q);
}

static void test_port61(void)
{
    QTest q;
    unsigned toggles = 0, last;

    pit_start(&q);
    outb(&q, 0x61, 0xff);
    g_assert_cmphex(inb(&q, 0x61) & 0xcf, ==, 0x0f);
    last = inb(&q, 0x61) & 0x10;
    for (int i = 0; i < 1000; i++) {
        unsigned now;

        qtest_step(&q, 1000);
        now = inb(&q, 0x61) & 0x10;
        toggles += now != last;
        last = now;
    }
    g_assert_cmpuint(toggles, ==, 66); /* every 15 us of refresh */
    qtest_end(&q);
}

static void test_storm(void)
{
    QTest q;

    pit_start(&q);
    for (unsigned mode = 0; mode < 6; mode++) {
        for (unsigned n = 1; n < 4; n++) {
            load(&q, 0, mode << 1, n);
            q.sets[0] = 0;
            qtest_step(&q, NS_PER_SEC / 100);
            g_assert_cmpuint(q.sets[0], <, 1100);
        }
    }
    qtest_end(&q);
}

static void test_state_and_garbage(void)
{
    QTest q, other;
    Device *dev = pit_start(&q), *copy = pit_start(&other);

    load(&q, 0, 0x04, 4711);
    outb(&q, 0x43, 0x00);
    qtest_check_state(dev, copy);
    qtest_garbage(&q, q.m->io, 0x40, 4);
    qtest_garbage(&q, q.m->io, 0x61, 1);
    qtest_check_state(dev, copy);
    qtest_end(&q);
    qtest_end(&other);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/i8254/mode0", test_mode0);
    g_test_add_func("/i8254/mode2", test_mode2_rate);
    g_test_add_func("/i8254/mode2-new-count", test_mode2_new_count);
    g_test_add_func("/i8254/mode3", test_mode3_square);
    g_test_add_func("/i8254/gated", test_gated_modes);
    g_test_add_func("/i8254/reading", test_reading);
    g_test_add_func("/i8254/port61", test_port61);
    g_test_add_func("/i8254/storm", test_storm);
    g_test_add_func("/i8254/state-garbage", test_state_and_garbage);
    return g_test_run();
}
