/*
 * What the device tests share: a machine without CPU, whose clock moves by
 * steps and whose interrupt lines are only written down.
 */
#ifndef TESTS_QTEST_H
#define TESTS_QTEST_H

#include "util/osdep.h"
#include "util/error.h"
#include "system/clock.h"
#include "system/machine.h"

typedef struct QTest {
    Machine *m;
    int level[MACHINE_GSIS];
    unsigned rises[MACHINE_GSIS]; /* 0 to 1 */
    unsigned sets[MACHINE_GSIS];
} QTest;

static inline void qtest_line(void *opaque, int n, int level)
{
    QTest *q = opaque;

    q->rises[n] += level && !q->level[n];
    q->level[n] = level;
    q->sets[n]++;
}

static inline void qtest_start_on(QTest *q, Clock *clk)
{
    static const MachineClass fake = { .name = "fake", .max_cpus = 1 };

    memset(q, 0, sizeof(*q));
    q->m = machine_new(&fake, clk);
    for (int i = 0; i < MACHINE_GSIS; i++) {
        q->m->gsi[i] = (IrqLine) { qtest_line, q, i };
    }
}

static inline void qtest_start(QTest *q)
{
    qtest_start_on(q, clock_new_manual());
}

/* Frees the devices too. */
static inline void qtest_end(QTest *q)
{
    machine_free(q->m);
}

static inline void qtest_realize(Device *dev)
{
    GError *err = NULL;

    device_realize(dev, &err);
    g_assert_no_error(err);
    if (dev->cls->reset) {
        dev->cls->reset(dev);
    }
}

static inline Device *qtest_device(QTest *q, const DeviceClass *cls)
{
    Device *dev = device_new_class(q->m, cls, NULL);

    qtest_realize(dev);
    return dev;
}

static inline void outb(QTest *q, unsigned port, unsigned value)
{
    as_store(q->m->io, port, value, 1);
}

static inline unsigned inb(QTest *q, unsigned port)
{
    return as_load(q->m->io, port, 1);
}

static inline void qtest_step(QTest *q, int64_t ns)
{
    clock_step(q->m->vclock, ns);
}

/*
 * The state table: save @dev, load that into @other (made the same way), save
 * again: same bytes. Every shorter stream is refused. @other is then like
 * @dev.
 */
static inline void qtest_check_state(Device *dev, Device *other)
{
    const VMState *desc = dev->cls->vmstate;
    g_autoptr(GByteArray) first = g_byte_array_new();
    g_autoptr(GByteArray) second = g_byte_array_new();
    GError *err = NULL;
    size_t pos = 0;
    int64_t late =
        clock_ns(dev->machine->vclock) - clock_ns(other->machine->vclock);

    if (late > 0) {
        clock_step(other->machine->vclock, late);
    }
    g_assert_true(vmstate_save(first, desc, dev, &err));
    for (unsigned len = 0; len < first->len; len++) {
        g_autoptr(GByteArray) cut = g_byte_array_new();
        g_autoptr(GError) cut_err = NULL;
        size_t cut_pos = 0;

        g_byte_array_append(cut, first->data, len);
        g_assert_false(vmstate_load(cut, &cut_pos, desc, other, &cut_err));
        g_assert_nonnull(cut_err);
    }
    vmstate_load(first, &pos, desc, other, &err);
    g_assert_no_error(err);
    g_assert_cmpuint(pos, ==, first->len);
    g_assert_true(vmstate_save(second, desc, other, &err));
    g_assert_cmpmem(first->data, first->len, second->data, second->len);
}

/* Accesses of all sizes and values to @len ports from @base. The test is that
 * nothing falls over. */
static inline void qtest_garbage(QTest *q, AddressSpace *as, hwaddr base,
                                 unsigned len)
{
    for (int i = 0; i < 20000; i++) {
        hwaddr addr = base + g_test_rand_int_range(0, len);
        unsigned size = 1u << g_test_rand_int_range(0, 3);
        uint64_t value = (uint32_t)g_test_rand_int();

        if (g_test_rand_bit()) {
            as_store(as, addr, value, size);
        } else {
            as_load(as, addr, size);
        }
        if (i % 16 == 0) {
            qtest_step(q, g_test_rand_int_range(0, 1000000));
        }
    }
}

#endif
