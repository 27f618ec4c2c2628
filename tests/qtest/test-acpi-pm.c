/* ACPI PM block: events, timer, power-off in all dialects, APM. */
#include "tests/qtest/qtest.h"
#include "util/mainloop.h"
#include "hw/acpi/pm.h"

static Device *pm_start(QTest *q)
{
    qtest_start(q);
    return qtest_device(q, &acpi_pm_class);
}

static unsigned inw(QTest *q, unsigned port)
{
    return as_load(q->m->io, port, 2);
}

static void outw(QTest *q, unsigned port, unsigned value)
{
    as_store(q->m->io, port, value, 2);
}

static uint32_t inl(QTest *q, unsigned port)
{
    return as_load(q->m->io, port, 4);
}

/* The machine acts on a power-off in the main loop. */
static void expect_off(QTest *q, bool want)
{
    bool off;

    while (mainloop_iterate(false)) {
    }
    off = q->m->state == RUN_SHUTDOWN;
    g_assert_cmpint(q->m->exit_code, ==, 0);
    q->m->state = RUN_RUNNING;
    g_assert_cmpint(off, ==, want);
}

static void test_power_off(void)
{
    static const char word[] = "xShuShutdown";
    QTest q;

    pm_start(&q);
    q.m->cfg.no_shutdown = true;
    q.m->state = RUN_RUNNING;
    outw(&q, 0x604, 0x0001);
    expect_off(&q, false);
    g_assert_cmphex(inw(&q, 0x604), ==, 0x0001);
    outw(&q, 0x604, 0x2000);
    expect_off(&q, true);
    outb(&q, 0x605, 0x20);
    expect_off(&q, true);
    outw(&q, 0x604, 0x2400); /* S1 or S3: not modelled, and no S5 */
    expect_off(&q, false);
    g_assert_cmphex(inw(&q, 0x604), ==, 0x0400); /* SLP_EN reads as 0 */
    outw(&q, 0x604, 0x2800);                     /* S4 */
    expect_off(&q, true);
    outw(&q, 0xb004, 0x2000);
    expect_off(&q, true);
    for (const char *p = word; *p; p++) {
        expect_off(&q, false);
        outb(&q, 0x8900, *p);
    }
    expect_off(&q, true);
    qtest_end(&q);
}

static void test_button_and_gpe(void)
{
    QTest q;
    Device *dev = pm_start(&q);
    IrqLine button = acpi_pm_power_button(dev);

    irq_set(&button, 1);
    irq_set(&button, 0);
    g_assert_cmphex(inw(&q, 0x600), ==, 0x0100);
    g_assert_cmpint(q.level[9], ==, 0);
    outw(&q, 0x602, 0xffff);
    g_assert_cmphex(inw(&q, 0x602), ==, 0x0721);
    outw(&q, 0x602, 0x0100);
    g_assert_cmpint(q.level[9], ==, 1);
    outw(&q, 0x600, 0x0001); /* clears another */
    g_assert_cmpint(q.level[9], ==, 1);
    outw(&q, 0x600, 0x0100);
    g_assert_cmpint(q.level[9], ==, 0);
    g_assert_cmphex(inw(&q, 0x600), ==, 0);

    acpi_pm_gpe(dev, 5);
    acpi_pm_gpe(dev, 31);
    acpi_pm_gpe(dev, 99);
    g_assert_cmphex(inl(&q, 0x620), ==, 0x80000020);
    outb(&q, 0x627, 0x80);
    g_assert_cmphex(inl(&q, 0x624), ==, 0x80000000);
    g_assert_cmpint(q.level[9], ==, 1);
    outb(&q, 0x623, 0x80);
    g_assert_cmpint(q.level[9], ==, 0);
    g_assert_cmphex(inl(&q, 0x620), ==, 0x20);

    /* Without SCI_EN there is no SCI; APM turns it on and off. */
    outb(&q, 0x624, 0x20);
    g_assert_cmpint(q.level[9], ==, 1);
    outb(&q, 0xb2, APM_ACPI_DISABLE);
    g_assert_cmpint(q.level[9], ==, 0);
    g_assert_cmphex(inw(&q, 0x604), ==, 0);
    outb(&q, 0xb2, APM_ACPI_ENABLE);
    g_assert_cmpint(q.level[9], ==, 1);
    outb(&q, 0xb3, 0x42);
    g_assert_cmphex(inb(&q, 0xb3), ==, 0x42);
    g_assert_cmphex(inb(&q, 0xb2), ==, APM_ACPI_ENABLE);
    qtest_end(&q);
}

static void test_timer(void)
{
    QTest q;

    pm_start(&q);
    g_assert_cmpuint(inl(&q, 0x608), ==, 0);
    qtest_step(&q, NS_PER_SEC);
    g_assert_cmpuint(inl(&q, 0x608), ==, 3579545);
    g_assert_cmphex(inl(&q, 0x608) >> 16, ==, inw(&q, 0x60a));
    as_store(q.m->io, 0x608, 0, 4);
    g_assert_cmpuint(inl(&q, 0x608), ==, 3579545);
    g_assert_cmphex(inw(&q, 0x600), ==, 0);
    outw(&q, 0x602, 0x0001);
    qtest_step(&q, 1343000000); /* bit 23 changes at 2.3435 s */
    g_assert_cmpint(q.level[9], ==, 0);
    qtest_step(&q, 1000000);
    g_assert_cmpint(q.level[9], ==, 1);
    g_assert_cmphex(inw(&q, 0x600), ==, 0x0001);
    outw(&q, 0x600, 0x0001);
    g_assert_cmpint(q.level[9], ==, 0);
    qtest_step(&q, 2344000000);
    g_assert_cmpint(q.level[9], ==, 1);
    g_assert_cmpuint(inl(&q, 0x608), <, 1 << 24); /* it has 24 bits */
    outw(&q, 0x602, 0);
    outw(&q, 0x600, 1);
    qtest_step(&q, 10 * NS_PER_SEC);
    g_assert_cmpint(q.level[9], ==, 0);
    g_assert_cmphex(inw(&q, 0x600), ==, 0x0001); /* for who polls */
    qtest_end(&q);
}

static void test_base_and_state(void)
{
    QTest q, other;
    Device *dev, *copy;
    GError *err = NULL;

    qtest_start(&q);
    dev = device_new_class(q.m, &acpi_pm_class, NULL);
    g_assert_true(device_set(dev, "iobase", "0x610", &err));
    g_assert_false(device_realize(dev, &err));
    g_assert_cmpstr(err->message, ==,
                    "iobase must be a multiple of 64, not 0x610");
    g_clear_error(&err);
    g_assert_true(device_set(dev, "iobase", "0x1000", &err));
    g_assert_true(device_set(dev, "acpi", "off", &err));
    qtest_realize(dev);
    g_assert_cmphex(inw(&q, 0x1004), ==, 0);
    g_assert_cmphex(inw(&q, 0x604), ==, 0xffff);
    copy = pm_start(&other);
    qtest_step(&q, 5 * NS_PER_SEC);
    qtest_step(&other, 5 * NS_PER_SEC);
    acpi_pm_gpe(dev, 3);
    qtest_check_state(dev, copy);
    qtest_garbage(&q, q.m->io, 0x1000, 0x40);
    qtest_end(&q);
    qtest_end(&other);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/acpi-pm/power-off", test_power_off);
    g_test_add_func("/acpi-pm/button-gpe", test_button_and_gpe);
    g_test_add_func("/acpi-pm/timer", test_timer);
    g_test_add_func("/acpi-pm/base-state", test_base_and_state);
    return g_test_run();
}
