/*
 * What the tests of PCI functions share: a machine with RAM, host bridge and
 * ISA bridge, configuration accesses by ports as a guest makes them.
 */
#ifndef TESTS_PCI_TEST_H
#define TESTS_PCI_TEST_H

#include "tests/qtest/qtest.h"
#include "util/bits.h"
#include "hw/pci/i440fx.h"
#include "hw/pci/pci-regs.h"

enum { PT_RAM = 2 << 20, PT_MSI = 0x2000 /* where messages are caught */ };

typedef struct PciTest {
    QTest q;
    Region ram, low, high;
    Device *host, *isa;
    int irq[16]; /* outputs of the ISA bridge */
} PciTest;

static inline void pt_line(void *opaque, int n, int level)
{
    PciTest *t = opaque;

    t->irq[n] = level;
}

static inline Device *pt_add(PciTest *t, const DeviceClass *cls,
                             const char *addr)
{
    Device *dev = device_new_class(t->q.m, cls, NULL);
    GError *err = NULL;

    if (addr) {
        device_set(dev, "addr", addr, &err);
        g_assert_no_error(err);
    }
    qtest_realize(dev);
    return dev;
}

static inline void pt_start(PciTest *t)
{
    GError *err = NULL;

    memset(t, 0, sizeof(*t));
    qtest_start(&t->q);
    region_init_ram(&t->ram, "ram", PT_RAM, &err);
    g_assert_no_error(err);
    region_init_alias(&t->low, "low", &t->ram, 0, 0xa0000);
    region_init_alias(&t->high, "high", &t->ram, MIB, PT_RAM - MIB);
    as_map(t->q.m->mem, 0, &t->low, 0);
    as_map(t->q.m->mem, MIB, &t->high, 0);
    t->host = device_new_class(t->q.m, &i440fx_class, NULL);
    i440fx_set_ram(t->host, &t->ram);
    qtest_realize(t->host);
    t->isa = device_new_class(t->q.m, &piix3_class, NULL);
    for (unsigned i = 0; i < 16; i++) {
        piix3_set_output(t->isa, i, (IrqLine) { pt_line, t, (int)i });
    }
    device_set(t->isa, "addr", "1.0", &err);
    g_assert_no_error(err);
    qtest_realize(t->isa);
}

static inline void pt_end(PciTest *t)
{
    Machine *m = t->q.m;

    while (m->devices->len) {
        device_free(m->devices->pdata[m->devices->len - 1]);
    }
    as_unmap(&t->low);
    as_unmap(&t->high);
    region_fini(&t->ram);
    qtest_end(&t->q);
}

static inline uint32_t pt_read(PciTest *t, unsigned slot, unsigned off,
                               unsigned size)
{
    as_store(t->q.m->io, 0xcf8, 0x80000000 | slot << 11 | (off & ~3u), 4);
    return (uint32_t)as_load(t->q.m->io, 0xcfc + (off & 3), size);
}

static inline void pt_write(PciTest *t, unsigned slot, unsigned off,
                            uint32_t value, unsigned size)
{
    as_store(t->q.m->io, 0xcf8, 0x80000000 | slot << 11 | (off & ~3u), 4);
    as_store(t->q.m->io, 0xcfc + (off & 3), value, size);
}

/* Memory and I/O decoding, bus master. */
static inline void pt_enable(PciTest *t, unsigned slot)
{
    pt_write(t, slot, PCI_COMMAND, 7, 2);
}

static inline uint32_t pt_load(PciTest *t, hwaddr addr)
{
    return (uint32_t)as_load(t->q.m->mem, addr, 4);
}

static inline void pt_store(PciTest *t, hwaddr addr, uint32_t value)
{
    as_store(t->q.m->mem, addr, value, 4);
}

/* The first capability @id of the function in @slot; 0: it has none. */
static inline unsigned pt_cap(PciTest *t, unsigned slot, uint8_t id)
{
    unsigned at = pt_read(t, slot, PCI_CAPABILITY_LIST, 1);

    for (unsigned i = 0; at && i < 48; i++) {
        if (pt_read(t, slot, at, 1) == id) {
            return at;
        }
        at = pt_read(t, slot, at + 1, 1);
    }
    return 0;
}

#endif
