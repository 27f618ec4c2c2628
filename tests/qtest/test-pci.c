/* PCI: configuration accesses, BARs, interrupts, messages, the chips of a PC. */
#include "tests/qtest/pci-test.h"
#include "hw/misc/misc.h"
#include "system/host-kernel.h"

extern const DeviceClass edu_class, pci_testdev_class;

enum { SLOT = 4, EDU_BASE = 0xe0000000u };

/* ---- a function with messages of both kinds ---------------------------------------- */

typedef struct Fake {
    PciDevice pci;
    Region bar;
    uint8_t reg[64];
} Fake;

static uint64_t fake_read(void *opaque, hwaddr off, unsigned size)
{
    return ((Fake *)opaque)->reg[off % 64];
}

static void fake_write(void *opaque, hwaddr off, uint64_t value, unsigned size)
{
    ((Fake *)opaque)->reg[off % 64] = value;
}

static const RegionOps fake_ops = { .read = fake_read,
                                    .write = fake_write,
                                    .max_size = 1 };

static bool fake_realize(Device *dev, GError **errp)
{
    static const PciIds ids = {
        .vendor = 0x1af4, .device = 0x10f0, .class_code = 0x020000, .irq_pin = 1
    };
    Fake *f = container_of(dev, Fake, pci.dev);

    if (!pci_realize(&f->pci, &ids, errp)) {
        return false;
    }
    if (!msi_init(&f->pci, 4, true, errp) || !msix_init(&f->pci, 8, 1, errp)) {
        pci_unrealize(&f->pci);
        return false;
    }
    region_init_io(&f->bar, "fake", 256, &fake_ops, f);
    pci_add_bar(&f->pci, 4, PCI_BAR_MEM64 | PCI_BAR_PREFETCH, &f->bar);
    return true;
}

static void fake_reset(Device *dev)
{
    pci_reset(&container_of(dev, Fake, pci.dev)->pci);
}

static void fake_unrealize(Device *dev)
{
    pci_unrealize(&container_of(dev, Fake, pci.dev)->pci);
}

static const VMField fake_fields[] = {
    VM_SUB(Fake, pci, vmstate_pci_device),
    VM_FIELDS_END,
};

static const VMState vmstate_fake = {
    .name = "fake", .version = 1, .min_version = 1, .fields = fake_fields
};

static const Property fake_props[] = { PCI_PROPS, { .kind = PROP_END } };

static const DeviceClass fake_class = {
    .name = "fake",
    .desc = "of this test",
    .bus = "PCI",
    .size = sizeof(Fake),
    .props = fake_props,
    .vmstate = &vmstate_fake,
    .realize = fake_realize,
    .reset = fake_reset,
    .unrealize = fake_unrealize,
};

static PciDevice *fake_pci(Device *dev)
{
    return &container_of(dev, Fake, pci.dev)->pci;
}

/* ---- configuration space -------------------------------------------------------------- */

static void test_config(void)
{
    PciTest t;

    pt_start(&t);
    pt_add(&t, &edu_class, "4");
    g_assert_cmphex(pt_read(&t, 0, 0, 4), ==, 0x12378086);
    g_assert_cmphex(pt_read(&t, 1, 0, 4), ==, 0x70008086);
    g_assert_cmphex(pt_read(&t, 1, PCI_HEADER_TYPE, 1), ==, 0x80);
    g_assert_cmphex(pt_read(&t, SLOT, 0, 4), ==, 0x11e81234);
    g_assert_cmphex(pt_read(&t, SLOT, PCI_DEVICE_ID, 2), ==, 0x11e8);
    g_assert_cmphex(pt_read(&t, SLOT, 1, 1), ==, 0x12);
    g_assert_cmphex(pt_read(&t, SLOT, PCI_CLASS_DEVICE, 2), ==, 0x00ff);
    g_assert_cmphex(pt_read(&t, SLOT, PCI_SUBSYSTEM_VENDOR_ID, 4), ==,
                    0x11001af4);
    g_assert_cmphex(pt_read(&t, 5, 0, 4), ==, 0xffffffff); /* nobody */
    pt_write(&t, SLOT, 0, 0x55555555, 4);                  /* read-only */
    g_assert_cmphex(pt_read(&t, SLOT, 0, 4), ==, 0x11e81234);
    pt_write(&t, SLOT, PCI_INTERRUPT_LINE, 0x5a, 1);
    g_assert_cmphex(pt_read(&t, SLOT, PCI_INTERRUPT_LINE, 2), ==, 0x015a);
    pt_write(&t, SLOT, PCI_COMMAND, 0xffff, 2);
    g_assert_cmphex(pt_read(&t, SLOT, PCI_COMMAND, 2), ==, 0x0507);
    /* Another bus, and the enable bit. */
    as_store(t.q.m->io, 0xcf8, 0x80010000 | SLOT << 11, 4);
    g_assert_cmphex(as_load(t.q.m->io, 0xcfc, 4), ==, 0xffffffff);
    as_store(t.q.m->io, 0xcf8, SLOT << 11, 4);
    g_assert_cmphex(as_load(t.q.m->io, 0xcfc, 4), ==, 0xffffffff);
    /* Only a dword reaches the address register. */
    as_store(t.q.m->io, 0xcf8, 0x80000000 | SLOT << 11, 4);
    as_store(t.q.m->io, 0xcf8, 0, 2);
    as_store(t.q.m->io, 0xcfb, 0, 1);
    g_assert_cmphex(as_load(t.q.m->io, 0xcf8, 4), ==, 0x80000000 | SLOT << 11);
    pt_end(&t);
}

static void test_cf9(void)
{
    PciTest t;
    Device *cf9, *host;

    memset(&t, 0, sizeof(t));
    qtest_start(&t.q);
    cf9 = qtest_device(&t.q, &cf9_class);
    host = device_new_class(t.q.m, &i440fx_class, NULL);
    i440fx_set_reset_control(host, cf9);
    qtest_realize(host);
    as_store(t.q.m->io, 0xcf8, 0x80000204, 4);
    g_assert_cmphex(inb(&t.q, 0xcf9), ==, 0);
    outb(&t.q, 0xcf9, 0x02);
    g_assert_cmphex(inb(&t.q, 0xcf9), ==, 0x02);
    g_assert_cmphex(as_load(t.q.m->io, 0xcf8, 4), ==, 0x80000204);
    qtest_end(&t.q);
}

/* ---- BARs -------------------------------------------------------------------------------- */

static void test_sizing(void)
{
    PciTest t;
    Device *dev;
    GError *err = NULL;

    pt_start(&t);
    dev = device_new_class(t.q.m, &pci_testdev_class, NULL);
    device_set(dev, "addr", "4", &err);
    device_set(dev, "membar", "8G", &err);
    g_assert_no_error(err);
    qtest_realize(dev);
    for (unsigned off = PCI_BASE_ADDRESS; off < 0x28; off += 4) {
        pt_write(&t, SLOT, off, 0xffffffff, 4);
    }
    g_assert_cmphex(pt_read(&t, SLOT, 0x10, 4), ==, 0xfffff000);
    g_assert_cmphex(pt_read(&t, SLOT, 0x14, 4), ==, 0xffffff01);
    g_assert_cmphex(pt_read(&t, SLOT, 0x18, 4), ==, 0x0000000c);
    g_assert_cmphex(pt_read(&t, SLOT, 0x1c, 4), ==, 0xfffffffe);
    g_assert_cmphex(pt_read(&t, SLOT, 0x20, 4), ==, 0);
    pt_write(&t, SLOT, PCI_ROM_ADDRESS, 0xffffffff, 4);
    g_assert_cmphex(pt_read(&t, SLOT, PCI_ROM_ADDRESS, 4), ==, 0);
    pt_enable(&t, SLOT); /* with all ones in them they are nowhere */
    g_assert_null(as_find(t.q.m->mem, 0xfffff000));
    pt_write(&t, SLOT, 0x1c, 8, 4); /* beyond 32 bits */
    pt_write(&t, SLOT, 0x18, 0, 4);
    g_assert_nonnull(as_find(t.q.m->mem, UINT64_C(0x9ffffffff)));
    g_assert_null(as_find(t.q.m->mem, UINT64_C(0xa00000000)));
    pt_end(&t);
}

static bool edu_at(PciTest *t, hwaddr base)
{
    return pt_load(t, base) == 0x010000ed;
}

static void test_move(void)
{
    PciTest t;

    pt_start(&t);
    pt_add(&t, &edu_class, "4");
    pt_write(&t, SLOT, 0x10, EDU_BASE, 4);
    g_assert_false(edu_at(&t, EDU_BASE)); /* does not decode yet */
    pt_enable(&t, SLOT);
    g_assert_true(edu_at(&t, EDU_BASE));
    pt_write(&t, SLOT, 0x10, EDU_BASE + 0x300000, 4);
    g_assert_false(edu_at(&t, EDU_BASE));
    g_assert_true(edu_at(&t, EDU_BASE + 0x300000));
    pt_write(&t, SLOT, 0x12, 0x00, 1); /* one byte of it */
    g_assert_true(edu_at(&t, EDU_BASE));
    pt_write(&t, SLOT, PCI_COMMAND, 1, 2); /* I/O only */
    g_assert_false(edu_at(&t, EDU_BASE));
    pt_enable(&t, SLOT);
    pt_write(&t, SLOT, 0x10, 0, 4); /* address 0 is no address */
    g_assert_false(edu_at(&t, 0));
    pt_write(&t, SLOT, 0x10, 0x100000, 4); /* RAM is in front */
    g_assert_false(edu_at(&t, 0x100000));
    pt_write(&t, SLOT, 0x10, EDU_BASE, 4);
    edu_class.reset(t.q.m->devices->pdata[2]);
    g_assert_false(edu_at(&t, EDU_BASE));
    g_assert_cmphex(pt_read(&t, SLOT, 0x10, 4), ==, 0);
    pt_end(&t);
}

static void test_overlap(void)
{
    PciTest t;

    pt_start(&t);
    pt_add(&t, &edu_class, "4");
    pt_add(&t, &pci_testdev_class, "5");
    pt_write(&t, 4, 0x10, EDU_BASE, 4);
    pt_write(&t, 5, 0x10, EDU_BASE + 0x1000, 4);
    pt_write(&t, 5, 0x14, 0xcf00, 4);
    pt_enable(&t, 4);
    pt_enable(&t, 5);
    g_assert_true(edu_at(&t, EDU_BASE));
    pt_load(&t, EDU_BASE + 0xffe); /* across the border */
    pt_store(&t, EDU_BASE + 0x1ffe, 0x12345678);
    pt_write(&t, 5, 0x10, EDU_BASE + 0x300000, 4);
    g_assert_true(edu_at(&t, EDU_BASE));
    pt_write(&t, 5, 0x14, 0xc00, 4); /* over the configuration ports */
    pt_read(&t, 5, 0, 4);
    pt_end(&t);
}

static void test_rom(void)
{
    g_autofree char *path = NULL;
    uint8_t image[3000] = { 0x55, 0xaa, 6 };
    GError *err = NULL;
    PciTest t;
    Device *dev;
    int fd = g_file_open_tmp("rhea-rom-XXXXXX", &path, &err);

    g_assert_no_error(err);
    g_assert_cmpint(write(fd, image, sizeof(image)), ==, sizeof(image));
    close(fd);
    pt_start(&t);
    dev = device_new_class(t.q.m, &edu_class, NULL);
    device_set(dev, "romfile", path, &err);
    device_set(dev, "addr", "4", &err);
    g_assert_no_error(err);
    qtest_realize(dev);
    pt_write(&t, SLOT, PCI_ROM_ADDRESS, 0xffffffff, 4);
    g_assert_cmphex(pt_read(&t, SLOT, PCI_ROM_ADDRESS, 4), ==, 0xfffff001);
    pt_write(&t, SLOT, PCI_ROM_ADDRESS, 0xe1000000, 4);
    pt_enable(&t, SLOT);
    g_assert_null(as_find(t.q.m->mem, 0xe1000000));
    pt_write(&t, SLOT, PCI_ROM_ADDRESS, 0xe1000001, 4);
    g_assert_cmphex(pt_load(&t, 0xe1000000), ==, 0x0006aa55);
    pt_store(&t, 0xe1000000, 0);
    g_assert_cmphex(pt_load(&t, 0xe1000000), ==, 0x0006aa55);
    pt_end(&t);
    unlink(path);
}

/* ---- places ---------------------------------------------------------------------------- */

static void refuse(PciTest *t, const char *prop, const char *value,
                   const char *part)
{
    Device *dev = device_new_class(t->q.m, &edu_class, NULL);
    g_autoptr(GError) err = NULL;

    g_assert_true(device_set(dev, prop, value, &err));
    g_assert_false(device_realize(dev, &err));
    g_assert_nonnull(strstr(err->message, part));
    device_free(dev);
}

static void test_places(void)
{
    PciTest t;
    Device *dev;

    pt_start(&t);
    refuse(&t, "addr", "1",
           "slot 1 function 0 not available for edu, in use "
           "by PIIX3");
    refuse(&t, "addr", "20", "doesn't take value '20'");
    refuse(&t, "addr", "4.8", "doesn't take value '4.8'");
    refuse(&t, "addr", "zz", "doesn't take value 'zz'");
    refuse(&t, "addr", "4.", "doesn't take value '4.'");
    refuse(&t, "bus", "pci.7", "Bus 'pci.7' not found");
    refuse(&t, "romfile", "/nonexistent", "failed to find romfile");
    dev = pt_add(&t, &edu_class, NULL); /* the first that is free */
    g_assert_cmpuint(fake_pci(dev)->devfn, ==, PCI_DEVFN(2, 0));
    refuse(&t, "addr", "2.1",
           "single function device can't be populated in "
           "function 2.1");
    pt_add(&t, &edu_class, "0x1f.1");
    refuse(&t, "addr", "1f",
           "1f.0 indicates single function, but 1f.1 is "
           "already populated");
    for (unsigned i = 0; i < 28; i++) {
        pt_add(&t, &edu_class, NULL);
    }
    refuse(&t, "addr", "", "no slot/function available for edu");
    pt_end(&t);
}

static void test_no_bus(void)
{
    QTest q;
    Device *dev;
    g_autoptr(GError) err = NULL;

    qtest_start(&q);
    dev = device_new_class(q.m, &edu_class, NULL);
    g_assert_false(device_realize(dev, &err));
    g_assert_cmpstr(err->message, ==, "No 'PCI' bus found for device 'edu'");
    device_free(dev);
    qtest_end(&q);
}

static void test_assign(void)
{
    static const PciWindows w = { { 0xc000, 0x10000 },
                                  { 0xfe000000, 0xfec00000 },
                                  { UINT64_C(1) << 32, UINT64_C(1) << 34 } };
    GError *err = NULL;
    PciTest t;
    Device *dev;

    pt_start(&t);
    pt_add(&t, &edu_class, "4");
    pt_add(&t, &pci_testdev_class, "5");
    dev = device_new_class(t.q.m, &pci_testdev_class, NULL);
    device_set(dev, "membar", "1G", &err);
    device_set(dev, "addr", "6", &err);
    g_assert_no_error(err);
    qtest_realize(dev);
    pt_add(&t, &fake_class, "7");
    for (int round = 0; round < 2; round++) {
        pci_assign(pci_bus_find(t.q.m, NULL), &w);
        g_assert_cmphex(pt_read(&t, 4, 0x10, 4), ==, 0xfea00000);
        g_assert_cmphex(pt_read(&t, 5, 0x10, 4), ==, 0xfeb00000);
        g_assert_cmphex(pt_read(&t, 5, 0x14, 4), ==, 0xc001);
        g_assert_cmphex(pt_read(&t, 6, 0x10, 4), ==, 0xfeb01000);
        g_assert_cmphex(pt_read(&t, 6, 0x14, 4), ==, 0xc101);
        g_assert_cmphex(pt_read(&t, 6, 0x18, 4), ==, 0xc);
        g_assert_cmphex(pt_read(&t, 6, 0x1c, 4), ==, 1);
        g_assert_cmphex(pt_read(&t, 7, 0x14, 4), ==, 0xfeb02000);
        g_assert_cmphex(pt_read(&t, 7, 0x20, 4), ==, 0xfe9ff00c);
        g_assert_cmphex(pt_read(&t, 4, PCI_COMMAND, 2), ==, 2);
        g_assert_cmphex(pt_read(&t, 5, PCI_COMMAND, 2), ==, 3);
        g_assert_true(edu_at(&t, 0xfea00000));
    }
    pt_end(&t);
}

/* ---- interrupt pins ----------------------------------------------------------------------- */

static void test_pins(void)
{
    PciTest t;
    PciDevice *a, *b;

    pt_start(&t);
    a = fake_pci(pt_add(&t, &edu_class, "4"));
    b = fake_pci(pt_add(&t, &edu_class, "8")); /* the same PIRQ */
    pci_set_irq(a, 1);
    g_assert_cmpint(t.irq[11], ==, 0); /* not routed */
    g_assert_cmphex(pt_read(&t, 4, PCI_STATUS, 2) & 8, ==, 8);
    pt_write(&t, 1, PIIX3_PIRQ + 3, 11, 1); /* pin A of slot 4 is PIRQD */
    g_assert_cmpint(t.irq[11], ==, 1);
    pci_set_irq(b, 1);
    pci_set_irq(a, 0);
    g_assert_cmpint(t.irq[11], ==, 1); /* shared */
    pt_write(&t, 8, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, 2);
    g_assert_cmpint(t.irq[11], ==, 0);
    g_assert_cmphex(pt_read(&t, 8, PCI_STATUS, 2) & 8, ==, 8);
    pt_write(&t, 8, PCI_COMMAND, 0, 2);
    g_assert_cmpint(t.irq[11], ==, 1);
    pt_write(&t, 1, PIIX3_PIRQ + 3, 5, 1); /* moves while it is high */
    g_assert_cmpint(t.irq[11], ==, 0);
    g_assert_cmpint(t.irq[5], ==, 1);
    pt_write(&t, 1, PIIX3_PIRQ + 3, 8, 1); /* not for PCI */
    g_assert_cmpint(t.irq[5], ==, 0);
    g_assert_cmpint(t.irq[8], ==, 0);
    pt_write(&t, 1, PIIX3_PIRQ + 3, 0x85, 1);
    g_assert_cmpint(t.irq[5], ==, 0);
    pt_write(&t, 1, PIIX3_PIRQ + 3, 5, 1);
    g_assert_cmpint(t.irq[5], ==, 1);
    device_free(&b->dev); /* takes its interrupt along */
    g_assert_cmpint(t.irq[5], ==, 0);
    g_assert_cmpuint(piix3_pirq(PCI_DEVFN(1, 0), 0), ==, 0);
    g_assert_cmpuint(piix3_pirq(PCI_DEVFN(2, 0), 0), ==, 1);
    g_assert_cmpuint(piix3_pirq(PCI_DEVFN(0, 0), 0), ==, 3);
    g_assert_cmpuint(piix3_pirq(PCI_DEVFN(31, 7), 3), ==, 1);
    pt_end(&t);
}

/* ---- messages ----------------------------------------------------------------------------- */

/* The message that was written last, which is taken away. */
static uint32_t message(PciTest *t)
{
    uint32_t v = pt_load(t, PT_MSI);

    pt_store(t, PT_MSI, 0);
    return v;
}

static void test_msi(void)
{
    PciTest t;
    PciDevice *pd;
    unsigned cap;

    pt_start(&t);
    pd = fake_pci(pt_add(&t, &fake_class, "4"));
    cap = pt_cap(&t, SLOT, PCI_CAP_MSI);
    g_assert_cmphex(pt_read(&t, SLOT, cap + 2, 2), ==, 0x0184);
    pt_enable(&t, SLOT);
    pt_write(&t, SLOT, cap + 4, PT_MSI | 3, 4);
    g_assert_cmphex(pt_read(&t, SLOT, cap + 4, 4), ==, PT_MSI);
    pt_write(&t, SLOT, cap + 12, 0x4567, 2);
    msi_notify(pd, 1);
    g_assert_cmphex(message(&t), ==, 0); /* off */
    pci_set_irq(pd, 1);
    pt_write(&t, 1, PIIX3_PIRQ + 3, 11, 1);
    g_assert_cmpint(t.irq[11], ==, 1);
    pt_write(&t, SLOT, cap + 2, 0x0001, 2); /* on, one message */
    g_assert_cmpint(t.irq[11], ==, 0);
    msi_notify(pd, 3);
    g_assert_cmphex(message(&t), ==, 0x4567);
    pt_write(&t, SLOT, cap + 2, 0x0071, 2); /* 128 are more than there are */
    msi_notify(pd, 2);
    g_assert_cmphex(message(&t), ==, 0x4566);
    pt_write(&t, SLOT, cap + 16, 0x4, 4); /* masked */
    msi_notify(pd, 2);
    msi_notify(pd, 1);
    g_assert_cmphex(message(&t), ==, 0x4565);
    g_assert_cmphex(pt_read(&t, SLOT, cap + 20, 4), ==, 4);
    pt_write(&t, SLOT, cap + 20, 0, 4); /* read-only */
    pt_write(&t, SLOT, cap + 16, 0, 1);
    g_assert_cmphex(message(&t), ==, 0x4566);
    g_assert_cmphex(pt_read(&t, SLOT, cap + 20, 4), ==, 0);
    pt_write(&t, SLOT, PCI_COMMAND, 3, 2); /* no bus master, no message */
    msi_notify(pd, 0);
    g_assert_cmphex(message(&t), ==, 0);
    pt_end(&t);
}

enum { TABLE = 0xe2000000, PBA = TABLE + 2048 };

static void set_vector(PciTest *t, unsigned v, uint32_t data, uint32_t control)
{
    as_store(t->q.m->mem, TABLE + v * 16, PT_MSI, 8);
    as_store(t->q.m->mem, TABLE + v * 16 + 8, data | (uint64_t)control << 32,
             8);
}

static PciDevice *start_msix(PciTest *t, unsigned *cap)
{
    PciDevice *pd;

    pt_start(t);
    pd = fake_pci(pt_add(t, &fake_class, "4"));
    *cap = pt_cap(t, SLOT, PCI_CAP_MSIX);
    pt_write(t, SLOT, 0x14, TABLE, 4);
    pt_enable(t, SLOT);
    return pd;
}

static void test_msix_table(void)
{
    PciTest t;
    unsigned cap;

    start_msix(&t, &cap);
    g_assert_cmphex(pt_read(&t, SLOT, cap + 2, 2), ==, 7);
    g_assert_cmphex(pt_read(&t, SLOT, cap + 4, 4), ==, 1);
    g_assert_cmphex(pt_read(&t, SLOT, cap + 8, 4), ==, 2048 | 1);
    g_assert_cmphex(pt_load(&t, TABLE + 7 * 16 + 12), ==, 1);
    g_assert_cmphex(pt_load(&t, TABLE + 8 * 16 + 12), ==, 0); /* behind it */
    set_vector(&t, 2, 0x1234, 0xffffffff);
    g_assert_cmphex(pt_load(&t, TABLE + 2 * 16), ==, PT_MSI);
    g_assert_cmphex(pt_load(&t, TABLE + 2 * 16 + 8), ==, 0x1234);
    g_assert_cmphex(pt_load(&t, TABLE + 2 * 16 + 12), ==, 1);
    g_assert_cmphex(as_load(t.q.m->mem, TABLE + 2 * 16 + 8, 8), ==,
                    UINT64_C(0x100001234));
    as_store(t.q.m->mem, TABLE + 2 * 16 + 8, 0, 1); /* too narrow */
    g_assert_cmphex(pt_load(&t, TABLE + 2 * 16 + 8), ==, 0x1234);
    pt_store(&t, PBA, 0xffffffff); /* read-only */
    g_assert_cmphex(pt_load(&t, PBA), ==, 0);
    pt_end(&t);
}

static void test_msix(void)
{
    PciTest t;
    unsigned cap;
    PciDevice *pd = start_msix(&t, &cap);

    set_vector(&t, 1, 0x41, 0);
    set_vector(&t, 2, 0x42, 1);
    msix_notify(pd, 1);
    g_assert_cmphex(message(&t), ==, 0); /* off: lost */
    pt_write(&t, SLOT, cap + 2, 0x8000, 2);
    g_assert_true(msix_enabled(pd));
    msix_notify(pd, 1);
    g_assert_cmphex(message(&t), ==, 0x41);
    msix_notify(pd, 2); /* masked */
    msix_notify(pd, 8); /* there are 0 to 7 */
    msix_notify(pd, 0xffff);
    g_assert_cmphex(message(&t), ==, 0);
    g_assert_cmphex(pt_load(&t, PBA), ==, 4);
    g_assert_cmphex(as_load(t.q.m->mem, PBA, 8), ==, 4);
    set_vector(&t, 2, 0x42, 0);
    g_assert_cmphex(message(&t), ==, 0x42);
    g_assert_cmphex(pt_load(&t, PBA), ==, 0);
    pt_write(&t, SLOT, cap + 2, 0xc000, 2); /* all masked */
    msix_notify(pd, 1);
    g_assert_cmphex(pt_load(&t, PBA), ==, 2);
    set_vector(&t, 1, 0x51, 0);
    g_assert_cmphex(message(&t), ==, 0);
    pt_write(&t, SLOT, cap + 2, 0x8000, 2);
    g_assert_cmphex(message(&t), ==, 0x51);
    fake_class.reset(&pd->dev);
    g_assert_false(msix_enabled(pd));
    pt_end(&t);
}

static int watched;

static void on_vector(PciDevice *pd, int vector)
{
    watched = vector;
}

static void test_msix_watch(void)
{
    PciTest t;
    unsigned cap;
    PciDevice *pd = start_msix(&t, &cap);
    uint64_t addr;
    uint32_t data;

    msix_watch(pd, on_vector);
    watched = -2;
    set_vector(&t, 3, 0x43, 0);
    g_assert_cmpint(watched, ==, 3);
    g_assert_false(msix_message(pd, 3, &addr, &data));
    pt_write(&t, SLOT, cap + 2, 0x8000, 2);
    g_assert_cmpint(watched, ==, -1);
    g_assert_true(msix_message(pd, 3, &addr, &data));
    g_assert_cmphex(addr, ==, PT_MSI);
    g_assert_cmphex(data, ==, 0x43);
    g_assert_false(msix_message(pd, 4, &addr, &data));
    pt_end(&t);
}

/* ---- irqfds: a host kernel that only writes down ---------------------------------------- */

typedef struct FakeKernel {
    unsigned routes, fds; /* there are now */
    uint32_t data;        /* of the route set last */
} FakeKernel;

static FakeKernel fake_kernel;

static int fake_route_add(Machine *m, uint64_t addr, uint32_t data)
{
    fake_kernel.routes++;
    fake_kernel.data = data;
    return 24;
}

static void fake_route_set(Machine *m, int gsi, uint64_t addr, uint32_t data)
{
    fake_kernel.data = data;
}

static void fake_route_del(Machine *m, int gsi)
{
    fake_kernel.routes--;
}

static int fake_irqfd_set(Machine *m, int fd, int resample, int gsi, bool on)
{
    g_assert_cmpint(gsi, ==, 24);
    fake_kernel.fds += on ? 1 : -1;
    return 0;
}

static uint64_t fd_count(int fd)
{
    uint64_t n = 0;

    return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static void test_irqfds(void)
{
    static const HostKernelOps ops = { .route_add = fake_route_add,
                                       .route_set = fake_route_set,
                                       .route_del = fake_route_del,
                                       .irqfd_set = fake_irqfd_set };
    HostKernel host = { .ops = &ops };
    PciTest t;
    unsigned cap;
    PciDevice *pd = start_msix(&t, &cap);
    int fd;

    t.q.m->host = &host;
    msix_use_irqfds(pd, true); /* the local APICs are ours */
    g_assert_cmpint(msix_irqfd(pd, 1), ==, -1);
    host.lapic = true;
    set_vector(&t, 1, 0x41, 0);
    set_vector(&t, 2, 0x42, 0); /* not to an APIC */
    as_store(t.q.m->mem, TABLE + 16, 0xfee01000, 8);
    pt_write(&t, SLOT, cap + 2, 0x8000, 2);
    msix_use_irqfds(pd, true);
    g_assert_cmpuint(fake_kernel.routes, ==, 1);
    g_assert_cmpuint(fake_kernel.fds, ==, 1);
    fd = msix_irqfd(pd, 1);
    g_assert_cmpint(fd, >=, 0);
    msix_notify(pd, 1);
    g_assert_cmpuint(fd_count(fd), ==, 1);
    msix_notify(pd, 2);
    g_assert_cmphex(message(&t), ==, 0x42);
    pt_store(&t, TABLE + 16 + 8, 0x51); /* the route follows */
    g_assert_cmphex(fake_kernel.data, ==, 0x51);
    pt_store(&t, TABLE + 16 + 12, 1); /* masked: ours to keep */
    g_assert_cmpuint(fake_kernel.fds, ==, 0);
    msix_notify(pd, 1);
    g_assert_cmphex(pt_load(&t, PBA), ==, 2);
    g_assert_cmpuint(fd_count(fd), ==, 0);
    pt_store(&t, TABLE + 16 + 12, 0);
    g_assert_cmpuint(fd_count(fd), ==, 1);
    pt_write(&t, SLOT, PCI_COMMAND, 3, 2); /* no bus master */
    g_assert_cmpint(msix_irqfd(pd, 1), ==, -1);
    msix_use_irqfds(pd, false);
    g_assert_cmpuint(fake_kernel.routes, ==, 0);
    g_assert_cmpuint(fake_kernel.fds, ==, 0);
    pt_enable(&t, SLOT);
    msix_use_irqfds(pd, true);
    g_assert_cmpuint(fake_kernel.fds, ==, 1);
    pt_end(&t); /* takes them along */
    g_assert_cmpuint(fake_kernel.routes, ==, 0);
    g_assert_cmpuint(fake_kernel.fds, ==, 0);
}

/* ---- state ------------------------------------------------------------------------------ */

static void test_state(void)
{
    PciTest t, u;
    unsigned cap;
    PciDevice *pd = start_msix(&t, &cap), *other;

    pt_start(&u);
    other = fake_pci(pt_add(&u, &fake_class, "4"));
    set_vector(&t, 1, 0x41, 0);
    set_vector(&t, 2, 0x42, 1);
    pt_write(&t, SLOT, cap + 2, 0x8000, 2);
    msix_notify(pd, 2);
    pci_set_irq(pd, 1);
    qtest_check_state(&pd->dev, &other->dev);
    g_assert_cmphex(pt_load(&u, PBA), ==, 4); /* the BAR has moved there */
    msix_notify(other, 1);
    g_assert_cmphex(message(&u), ==, 0x41);
    set_vector(&u, 2, 0x42, 0);
    g_assert_cmphex(message(&u), ==, 0x42);
    pt_end(&t);
    pt_end(&u);
}

/* ---- shadow RAM ------------------------------------------------------------------------- */

static void test_pam(void)
{
    PciTest t;

    pt_start(&t);
    pt_store(&t, 0xc8000, 0x11111111);
    g_assert_cmphex(pt_load(&t, 0xc8000), ==, 0xffffffff);
    pt_write(&t, 0, I440FX_PAM + 2, 0x03, 1);
    pt_store(&t, 0xc8000, 0x22222222);
    g_assert_cmphex(pt_load(&t, 0xc8000), ==, 0x22222222);
    g_assert_cmphex(pt_load(&t, 0xcc000), ==, 0xffffffff);
    pt_write(&t, 0, I440FX_PAM + 2, 0x31, 1);
    pt_store(&t, 0xc8000, 0x33333333); /* cannot be written */
    g_assert_cmphex(pt_load(&t, 0xc8000), ==, 0x22222222);
    pt_store(&t, 0xcc000, 0x44444444);
    g_assert_cmphex(pt_load(&t, 0xcc000), ==, 0x44444444);
    pt_write(&t, 0, I440FX_PAM, 0xff, 1);
    g_assert_cmphex(pt_read(&t, 0, I440FX_PAM, 1), ==, 0x33);
    pt_store(&t, 0xffffc, 0x55555555);
    g_assert_cmphex(pt_load(&t, 0xffffc), ==, 0x55555555);
    i440fx_class.reset(t.host);
    g_assert_cmphex(pt_load(&t, 0xffffc), ==, 0xffffffff);
    pt_end(&t);
}

static void test_smram(void)
{
    PciTest t;

    pt_start(&t);
    g_assert_cmphex(pt_read(&t, 0, I440FX_SMRAM, 1), ==, 0x02);
    g_assert_cmphex(pt_load(&t, 0xa0000), ==, 0xffffffff);
    pt_write(&t, 0, I440FX_SMRAM, 0x4a, 1); /* enabled, open */
    pt_store(&t, 0xb0000, 0x12345678);
    g_assert_cmphex(pt_load(&t, 0xb0000), ==, 0x12345678);
    pt_write(&t, 0, I440FX_SMRAM, 0x5a, 1); /* locked, and thereby closed */
    g_assert_cmphex(pt_load(&t, 0xb0000), ==, 0xffffffff);
    pt_write(&t, 0, I440FX_SMRAM, 0x4a, 1);
    g_assert_cmphex(pt_read(&t, 0, I440FX_SMRAM, 1), ==, 0x1a);
    i440fx_class.reset(t.host);
    pt_write(&t, 0, I440FX_SMRAM, 0x4a, 1);
    g_assert_cmphex(pt_load(&t, 0xb0000), ==, 0x12345678);
    pt_end(&t);
}

/* ---- edu and pci-testdev -------------------------------------------------------------------- */

static void test_edu(void)
{
    PciTest t;
    const hwaddr b = EDU_BASE;

    pt_start(&t);
    pt_add(&t, &edu_class, "4");
    pt_write(&t, SLOT, 0x10, EDU_BASE, 4);
    pt_write(&t, 1, PIIX3_PIRQ + 3, 11, 1);
    pt_enable(&t, SLOT);
    pt_store(&t, b + 4, 0x12345678);
    g_assert_cmphex(pt_load(&t, b + 4), ==, 0xedcba987);
    g_assert_cmphex(as_load(t.q.m->mem, b, 1), ==, 0xff); /* 32 bits only */
    pt_store(&t, b + 0x20, 0x80);
    pt_store(&t, b + 8, 10);
    g_assert_cmphex(pt_load(&t, b + 0x20), ==, 0x81);
    qtest_step(&t.q, 1000000);
    g_assert_cmpuint(pt_load(&t, b + 8), ==, 3628800);
    g_assert_cmphex(pt_load(&t, b + 0x24), ==, 1);
    g_assert_cmpint(t.irq[11], ==, 1);
    pt_store(&t, b + 0x64, 1);
    g_assert_cmpint(t.irq[11], ==, 0);
    pt_store(&t, b + 8, 0xffffffff); /* not a second later */
    qtest_step(&t.q, 1000000);
    g_assert_cmpuint(pt_load(&t, b + 8), ==, 0);
    pt_store(&t, b + 0x64, 1);

    pt_store(&t, 0x5000, 0xcafe1234); /* there and back */
    as_store(t.q.m->mem, b + 0x80, 0x5000, 8);
    as_store(t.q.m->mem, b + 0x88, 0x40000, 8);
    as_store(t.q.m->mem, b + 0x90, 4096, 8);
    as_store(t.q.m->mem, b + 0x98, 5, 8);
    as_store(t.q.m->mem, b + 0x80, 1, 8); /* not while it runs */
    g_assert_cmphex(as_load(t.q.m->mem, b + 0x80, 8), ==, 0x5000);
    qtest_step(&t.q, 200000000);
    g_assert_cmphex(as_load(t.q.m->mem, b + 0x98, 8), ==, 4);
    g_assert_cmphex(pt_load(&t, b + 0x24), ==, 0x100);
    as_store(t.q.m->mem, b + 0x80, 0x40000, 8);
    as_store(t.q.m->mem, b + 0x88, 0xf0006000, 8); /* 28 bits */
    as_store(t.q.m->mem, b + 0x98, 3, 8);
    qtest_step(&t.q, 200000000);
    g_assert_cmphex(pt_load(&t, 0x6000), ==, 0xcafe1234);
    as_store(t.q.m->mem, b + 0x90, 4097, 8); /* outside of the buffer */
    as_store(t.q.m->mem, b + 0x98, 3, 8);
    qtest_step(&t.q, 200000000);
    pt_end(&t);
}

static void test_testdev(void)
{
    PciTest t;

    pt_start(&t);
    pt_add(&t, &pci_testdev_class, "4");
    pt_write(&t, SLOT, 0x10, 0xe3000000, 4);
    pt_write(&t, SLOT, 0x14, 0xc000, 4);
    pt_enable(&t, SLOT);
    g_assert_cmphex(pt_load(&t, 0xe3000000), ==, 0);
    as_store(t.q.m->mem, 0xe3000000, 2, 1);
    g_assert_cmphex(pt_load(&t, 0xe3000000), ==, 0x0102);
    g_assert_cmphex(pt_load(&t, 0xe3000004), ==, 2050);
    g_assert_cmphex(pt_load(&t, 0xe3000008), ==, 0xfa);
    g_assert_cmphex(pt_load(&t, 0xe3000010), ==, 0x6f696d6d); /* "mmio" */
    as_store(t.q.m->mem, 0xe3000000 + 2050, 0xfa, 1);
    as_store(t.q.m->mem, 0xe3000000 + 2050, 0xfb, 1);
    g_assert_cmphex(pt_load(&t, 0xe300000c), ==, 1);
    outb(&t.q, 0xc000, 1); /* any value */
    outb(&t.q, 0xc000 + 129, 0x77);
    outb(&t.q, 0xc000 + 129, 0x78);
    g_assert_cmphex(as_load(t.q.m->io, 0xc00c, 4), ==, 2);
    outb(&t.q, 0xc000, 3); /* no such test */
    g_assert_cmphex(as_load(t.q.m->io, 0xc00c, 4), ==, 0);
    pt_end(&t);
}

/* ---- the rest --------------------------------------------------------------------------- */

static void test_dump(void)
{
    g_autoptr(GString) s = g_string_new(NULL);
    PciTest t;

    pt_start(&t);
    pt_add(&t, &edu_class, "4");
    pt_write(&t, SLOT, 0x10, 0xfea00000, 4);
    pt_write(&t, SLOT, PCI_INTERRUPT_LINE, 11, 1);
    pt_enable(&t, SLOT);
    pci_dump(t.q.m, s);
    g_assert_cmpstr(s->str, ==,
                    "  Bus  0, device   0, function 0:\n"
                    "    Host bridge: PCI device 8086:1237\n"
                    "      PCI subsystem 1af4:1100\n"
                    "      id \"\"\n"
                    "  Bus  0, device   1, function 0:\n"
                    "    ISA bridge: PCI device 8086:7000\n"
                    "      PCI subsystem 1af4:1100\n"
                    "      id \"\"\n"
                    "  Bus  0, device   4, function 0:\n"
                    "    Class 0255: PCI device 1234:11e8\n"
                    "      PCI subsystem 1af4:1100\n"
                    "      IRQ 11, pin A\n"
                    "      BAR0: 32 bit memory at 0xfea00000 [0xfeafffff].\n"
                    "      id \"\"\n");
    pt_end(&t);
}

static void test_garbage(void)
{
    PciTest t;

    pt_start(&t);
    pt_add(&t, &fake_class, "4");
    pt_add(&t, &edu_class, "5");
    pt_add(&t, &pci_testdev_class, "6");
    for (int i = 0; i < 60000; i++) {
        static const unsigned slots[] = { 0, 1, 4, 5, 6, 9 };
        unsigned slot = slots[g_test_rand_int_range(0, 6)];
        unsigned size = 1u << g_test_rand_int_range(0, 3);
        unsigned off = (unsigned)g_test_rand_int_range(0, 256) & ~(size - 1);
        hwaddr at = (hwaddr)(uint32_t)g_test_rand_int();

        pt_write(&t, slot, off, (uint32_t)g_test_rand_int(), size);
        pt_read(&t, slot, off, size);
        as_store(t.q.m->mem, at, (uint64_t)g_test_rand_int(), 4);
        as_load(t.q.m->mem, at & 0xfffff, 4);
        if (i % 32 == 0) {
            as_reclaim(t.q.m->mem);
            as_reclaim(t.q.m->io);
            qtest_step(&t.q, g_test_rand_int_range(0, 100000000));
        }
    }
    pt_end(&t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pci/config", test_config);
    g_test_add_func("/pci/cf9", test_cf9);
    g_test_add_func("/pci/bars/sizing", test_sizing);
    g_test_add_func("/pci/bars/move", test_move);
    g_test_add_func("/pci/bars/overlap", test_overlap);
    g_test_add_func("/pci/bars/rom", test_rom);
    g_test_add_func("/pci/bars/assign", test_assign);
    g_test_add_func("/pci/places", test_places);
    g_test_add_func("/pci/places/no-bus", test_no_bus);
    g_test_add_func("/pci/pins", test_pins);
    g_test_add_func("/pci/msi", test_msi);
    g_test_add_func("/pci/msix/table", test_msix_table);
    g_test_add_func("/pci/msix/deliver", test_msix);
    g_test_add_func("/pci/msix/watch", test_msix_watch);
    g_test_add_func("/pci/msix/irqfds", test_irqfds);
    g_test_add_func("/pci/state", test_state);
    g_test_add_func("/pci/i440fx/pam", test_pam);
    g_test_add_func("/pci/i440fx/smram", test_smram);
    g_test_add_func("/pci/edu", test_edu);
    g_test_add_func("/pci/testdev", test_testdev);
    g_test_add_func("/pci/dump", test_dump);
    g_test_add_func("/pci/garbage", test_garbage);
    return g_test_run();
}
