/* The I/O APIC: registers, edge and level pins, EOI, delivery modes. */
#include "tests/qtest/qtest.h"
#include "hw/intc/apic.h"
#include "hw/intc/ioapic.h"

#define BASE IOAPIC_DEFAULT_BASE

/* Fake local APICs: the last message, and who wants to know of EOIs. */
static struct {
    unsigned n;
    uint8_t dest, vector;
    bool logical, level;
    unsigned mode;
    void (*eoi)(void *opaque, uint8_t vector);
    void *eoi_opaque;
} bus;

void apic_deliver(Machine *m, uint8_t dest, bool logical,
                  unsigned delivery_mode, uint8_t vector, bool level)
{
    bus.n++;
    bus.dest = dest;
    bus.logical = logical;
    bus.mode = delivery_mode;
    bus.vector = vector;
    bus.level = level;
}

void apic_route_pin(Machine *m, unsigned pin, bool used, uint8_t dest,
                    bool logical, unsigned delivery_mode, uint8_t vector,
                    bool level)
{
}

void apic_connect_ioapic(Machine *m, void (*eoi)(void *opaque, uint8_t vector),
                         void *opaque)
{
    bus.eoi = eoi;
    bus.eoi_opaque = opaque;
}

static Device *ioapic_start(QTest *q)
{
    memset(&bus, 0, sizeof(bus));
    qtest_start(q);
    return qtest_device(q, &ioapic_class);
}

static uint32_t rd(QTest *q, unsigned reg)
{
    as_store(q->m->mem, BASE, reg, 4);
    return as_load(q->m->mem, BASE + 0x10, 4);
}

static void wr(QTest *q, unsigned reg, uint32_t value)
{
    as_store(q->m->mem, BASE, reg, 4);
    as_store(q->m->mem, BASE + 0x10, value, 4);
}

static void set(Device *dev, int pin, int level)
{
    IrqLine line = ioapic_input(dev, pin);

    irq_set(&line, level);
}

static void test_registers(void)
{
    QTest q;

    ioapic_start(&q);
    g_assert_cmphex(rd(&q, 0), ==, 0);
    g_assert_cmphex(rd(&q, 1), ==, 0x00170020);
    wr(&q, 0, 0xffffffff);
    g_assert_cmphex(rd(&q, 0), ==, 0x0f000000);
    g_assert_cmphex(rd(&q, 2), ==, 0x0f000000);
    wr(&q, 1, 0);
    g_assert_cmphex(rd(&q, 1), ==, 0x00170020);
    for (unsigned i = 0; i < IOAPIC_PINS; i++) {
        g_assert_cmphex(rd(&q, 0x10 + 2 * i), ==, 0x10000);
        g_assert_cmphex(rd(&q, 0x11 + 2 * i), ==, 0);
        wr(&q, 0x10 + 2 * i, 0xffffffff);
        wr(&q, 0x11 + 2 * i, 0xffffffff);
        g_assert_cmphex(rd(&q, 0x10 + 2 * i), ==, 0x1afff);
        g_assert_cmphex(rd(&q, 0x11 + 2 * i), ==, 0xff000000);
    }
    g_assert_cmphex(rd(&q, 0x40), ==, 0xffffffff);
    g_assert_cmphex(rd(&q, 0x05), ==, 0xffffffff);
    qtest_end(&q);
}

static void test_edge(void)
{
    QTest q;
    Device *dev = ioapic_start(&q);

    wr(&q, 0x10 + 2 * 4, 0x10031);
    wr(&q, 0x11 + 2 * 4, 0x05000000);
    set(dev, 4, 1); /* masked: lost */
    wr(&q, 0x10 + 2 * 4, 0x00931);
    g_assert_cmpuint(bus.n, ==, 0);
    set(dev, 4, 1); /* no edge */
    g_assert_cmpuint(bus.n, ==, 0);
    set(dev, 4, 0);
    set(dev, 4, 1);
    g_assert_cmpuint(bus.n, ==, 1);
    g_assert_cmphex(bus.vector, ==, 0x31);
    g_assert_cmphex(bus.dest, ==, 5);
    g_assert_true(bus.logical);
    g_assert_false(bus.level);
    g_assert_cmpuint(bus.mode, ==, APIC_DM_LOWEST);
    g_assert_cmphex(rd(&q, 0x10 + 2 * 4), ==, 0x931);
    qtest_end(&q);
}

static void test_level(void)
{
    QTest q;
    Device *dev = ioapic_start(&q);

    wr(&q, 0x10 + 2 * 10, 0x18061);
    set(dev, 10, 1);
    g_assert_cmpuint(bus.n, ==, 0);
    wr(&q, 0x10 + 2 * 10, 0x08061); /* a level waits for the unmasking */
    g_assert_cmpuint(bus.n, ==, 1);
    g_assert_true(bus.level);
    g_assert_cmphex(rd(&q, 0x10 + 2 * 10), ==, 0xc061);
    set(dev, 10, 0);
    set(dev, 10, 1);
    g_assert_cmpuint(bus.n, ==, 1); /* not before the EOI */
    bus.eoi(bus.eoi_opaque, 0x62);
    g_assert_cmpuint(bus.n, ==, 1);
    bus.eoi(bus.eoi_opaque, 0x61);
    g_assert_cmpuint(bus.n, ==, 2); /* still high */
    set(dev, 10, 0);
    as_store(q.m->mem, BASE + 0x40, 0x61, 4); /* the EOI register */
    g_assert_cmpuint(bus.n, ==, 2);
    g_assert_cmphex(rd(&q, 0x10 + 2 * 10), ==, 0x8061);
    /* To edge and back clears remote IRR: what Linux does to be sure. */
    set(dev, 10, 1);
    g_assert_cmphex(rd(&q, 0x10 + 2 * 10), ==, 0xc061);
    wr(&q, 0x10 + 2 * 10, 0x10061);
    g_assert_cmphex(rd(&q, 0x10 + 2 * 10), ==, 0x10061);
    wr(&q, 0x10 + 2 * 10, 0x08061);
    g_assert_cmpuint(bus.n, ==, 4);
    /* NMI knows no level. */
    wr(&q, 0x10 + 2 * 11, 0x08400);
    set(dev, 11, 1);
    g_assert_cmpuint(bus.mode, ==, APIC_DM_NMI);
    g_assert_cmphex(rd(&q, 0x10 + 2 * 11), ==, 0x08400);
    qtest_end(&q);
}

static void test_state_and_garbage(void)
{
    QTest q, other;
    Device *dev = ioapic_start(&q), *copy = ioapic_start(&other);
    g_autoptr(GString) text = g_string_new(NULL);

    wr(&q, 0x10 + 2 * 10, 0x08061);
    set(dev, 10, 1);
    qtest_check_state(dev, copy);
    g_assert_cmphex(rd(&other, 0x10 + 2 * 10), ==, 0xc061);
    qtest_garbage(&q, q.m->mem, BASE, 0x50);
    for (int i = 0; i < 10000; i++) {
        wr(&q, g_test_rand_int() & 0xff, g_test_rand_int());
        set(dev, g_test_rand_int_range(0, IOAPIC_PINS), g_test_rand_bit());
    }
    qtest_check_state(dev, copy);
    ioapic_dump(dev, text);
    g_assert_nonnull(strstr(text->str, "pin 23"));
    g_assert_null(ioapic_input(dev, 24).set);
    qtest_end(&q);
    qtest_end(&other);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ioapic/registers", test_registers);
    g_test_add_func("/ioapic/edge", test_edge);
    g_test_add_func("/ioapic/level", test_level);
    g_test_add_func("/ioapic/state-garbage", test_state_and_garbage);
    return g_test_run();
}
