/* i6300esb and ib700, and what follows when they run out. */
#include "tests/qtest/pci-test.h"
#include "util/mainloop.h"

extern const DeviceClass i6300esb_class, ib700_class;

enum { BASE = 0xfe000000, SLOT = 4 };

#define SECOND (INT64_C(1000) * 1000 * 1000)

static GString *events;

static void on_event(Machine *m, const char *event, const EventValue *values,
                     void *opaque)
{
    const EventValue *action = event_value(values, "action");

    g_string_append_printf(events, "%s%s%s ", event, action ? ":" : "",
                           action ? action->s : "");
}

/* What has happened since the last time. */
static void expect(const char *want)
{
    while (mainloop_iterate(false)) {
    }
    g_assert_cmpstr(events->str, ==, want);
    g_string_truncate(events, 0);
}

static void watch(Machine *m)
{
    if (!events) {
        events = g_string_new(NULL);
    }
    machine_watch(m, on_event, NULL);
    m->state = RUN_RUNNING;
}

static void pressed(void *opaque, int n, int level)
{
    if (level) {
        g_string_append(events, "pressed ");
    }
}

static void test_ib700(void)
{
    QTest q;

    qtest_start(&q);
    watch(q.m);
    qtest_device(&q, &ib700_class);
    outb(&q, 0x443, 0x05); /* 20 s */
    clock_step(q.m->vclock, 19 * SECOND);
    outb(&q, 0x443, 0xf5);
    clock_step(q.m->vclock, 19 * SECOND);
    expect("");
    clock_step(q.m->vclock, 1 * SECOND);
    expect("WATCHDOG:reset RESET ");
    clock_step(q.m->vclock, 100 * SECOND); /* the reset stopped it */
    expect("");
    outb(&q, 0x443, 0);
    outb(&q, 0x441, 0);
    clock_step(q.m->vclock, 100 * SECOND);
    expect("");
    outb(&q, 0x443, 15);
    clock_step(q.m->vclock, 1);
    expect("WATCHDOG:reset RESET ");
    machine_unwatch(q.m, on_event, NULL);
    qtest_end(&q);
}

/* One row: -action watchdog=, and what is heard of it. */
static const struct {
    const char *name, *heard;
    RunState state;
} actions[] = {
    { "none", "WATCHDOG:none ", RUN_RUNNING },
    { "debug", "WATCHDOG:debug ", RUN_RUNNING },
    { "pause", "WATCHDOG:pause STOP ", RUN_WATCHDOG },
    { "inject-nmi", "WATCHDOG:inject-nmi nmi ", RUN_RUNNING },
    { "shutdown", "WATCHDOG:shutdown POWERDOWN pressed ", RUN_RUNNING },
    { "poweroff", "WATCHDOG:poweroff SHUTDOWN STOP ", RUN_SHUTDOWN },
    { "reset", "WATCHDOG:reset RESET ", RUN_RUNNING },
};

static void fake_nmi(Machine *m)
{
    g_string_append(events, "nmi ");
}

static void test_actions(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(actions); i++) {
        GError *err = NULL;
        QTest q;

        qtest_start(&q);
        watch(q.m);
        q.m->cpus_nmi = fake_nmi;
        q.m->cfg.no_shutdown = true;
        q.m->power_button = (IrqLine) { pressed, NULL, 0 };
        g_assert_true(watchdog_action_parse(actions[i].name,
                                            &q.m->cfg.watchdog_action, &err));
        qtest_device(&q, &ib700_class);
        outb(&q, 0x443, 15);
        clock_step(q.m->vclock, 1);
        expect(actions[i].heard);
        g_assert_cmpint(q.m->state, ==, actions[i].state);
        g_assert_false(
            watchdog_action_parse("bark", &q.m->cfg.watchdog_action, &err));
        g_assert_nonnull(strstr(err->message, "'bark' (reset, shutdown,"));
        g_clear_error(&err);
        machine_unwatch(q.m, on_event, NULL);
        qtest_end(&q);
    }
}

/* ---- i6300esb ----------------------------------------------------------------- */

static void esb_start(PciTest *t)
{
    pt_start(t);
    watch(t->q.m);
    pt_add(t, &i6300esb_class, "4");
    pt_write(t, SLOT, PCI_BASE_ADDRESS, BASE, 4);
    pt_enable(t, SLOT);
}

static void esb_end(PciTest *t)
{
    machine_unwatch(t->q.m, on_event, NULL);
    pt_end(t);
}

static void unlock(PciTest *t)
{
    as_store(t->q.m->mem, BASE + 0xc, 0x80, 2);
    as_store(t->q.m->mem, BASE + 0xc, 0x86, 2);
}

static void set(PciTest *t, unsigned reg, uint32_t value)
{
    unlock(t);
    as_store(t->q.m->mem, BASE + reg, value, 4);
}

/* As Linux: 1 kHz, no interrupt, 10 s in two halves. */
static void test_esb(void)
{
    PciTest t;

    esb_start(&t);
    g_assert_cmphex(pt_read(&t, SLOT, 0, 4), ==, 0x25ab8086);
    pt_write(&t, SLOT, 0x60, 0x03, 2);
    set(&t, 0, 5 * 1024);
    set(&t, 4, 5 * 1024);
    as_store(t.q.m->mem, BASE, 1, 4); /* not unlocked */
    g_assert_cmphex(pt_load(&t, BASE), ==, 5 * 1024);
    pt_write(&t, SLOT, 0x68, 0x02, 1);
    clock_step(t.q.m->vclock, 9 * SECOND);
    set(&t, 0xc, 0x100);
    clock_step(t.q.m->vclock, 9 * SECOND);
    expect("");
    g_assert_cmphex(pt_load(&t, BASE + 0xc), ==, 0);
    clock_step(t.q.m->vclock, 2 * SECOND);
    expect("WATCHDOG:reset RESET ");
    pt_write(&t, SLOT, PCI_BASE_ADDRESS, BASE, 4);
    pt_enable(&t, SLOT);
    g_assert_cmphex(pt_load(&t, BASE + 0xc), ==, 0x200); /* why */
    set(&t, 0xc, 0x200);
    g_assert_cmphex(pt_load(&t, BASE + 0xc), ==, 0);
    esb_end(&t);
}

static void test_esb_lock(void)
{
    PciTest t;

    esb_start(&t);
    pt_write(&t, SLOT, 0x60, 0x27, 2); /* 1 MHz, no pin */
    set(&t, 0, 1);
    set(&t, 4, 1);
    pt_write(&t, SLOT, 0x68, 0x03, 1); /* on, for ever */
    pt_write(&t, SLOT, 0x68, 0x00, 1);
    g_assert_cmphex(pt_read(&t, SLOT, 0x68, 1), ==, 0x03);
    clock_step(t.q.m->vclock, SECOND);
    expect("");
    i6300esb_class.reset(t.q.m->devices->pdata[2]);
    pt_write(&t, SLOT, 0x68, 0x06, 1); /* free running: round and round */
    clock_step(t.q.m->vclock, SECOND);
    expect("");
    pt_write(&t, SLOT, PCI_BASE_ADDRESS, BASE, 4);
    pt_enable(&t, SLOT);
    set(&t, 4, 0); /* ... as fast as it goes */
    set(&t, 0xc, 0x100);
    clock_step(t.q.m->vclock, SECOND);
    expect("");
    pt_write(&t, SLOT, 0x68, 0x00, 1);
    g_assert_cmphex(pt_read(&t, SLOT, 0x68, 1), ==, 0x00);
    esb_end(&t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/watchdog/ib700", test_ib700);
    g_test_add_func("/watchdog/actions", test_actions);
    g_test_add_func("/watchdog/i6300esb", test_esb);
    g_test_add_func("/watchdog/i6300esb-lock", test_esb_lock);
    return g_test_run();
}
