/*
 * pc-testdev: what kvm-unit-tests wants of a PC beyond the hardware.
 *
 *   d1  memory size in bytes, 32 bits (of the older "testdev")
 *   e0  four bytes that hold what is written, in accesses of any size
 *   e4  a page to flush: whatever the accelerator keeps of it is dropped
 *   e8  the same four bytes as e0, but accesses are split into bytes
 *   f1  bytes for the chardev (of the older "testdev")
 *   2000-2017  the level of interrupt line 0 to 23
 *   memory ff000000-ff00ffff: bytes behind an I/O region
 *
 * See kvm-unit-tests, x86/ioapic.c, x86/emulator.c, lib/x86/io.c.
 */
#include "util/osdep.h"
#include "chardev/chardev.h"
#include "system/machine.h"
#include "util/bits.h"

extern const DeviceClass pc_testdev_class;

enum {
    PORT_MEM_SIZE = 0xd1,
    PORT_DATA = 0xe0,
    PORT_FLUSH = 0xe4,
    PORT_BYTES = 0xe8,
    PORT_CHAR = 0xf1,
    PORT_IRQ = 0x2000,
    IOMEM_SIZE = 0x10000,
    PAGE = 4096,
};

#define IOMEM_BASE UINT64_C(0xff000000)

typedef struct TestDev {
    Device dev;
    Region mem_size, data_port, flush, bytes, chr_port, irq, iomem;
    Chardev *chr; /* property */
    uint8_t data[4];
    uint8_t buf[IOMEM_SIZE];
} TestDev;

static bool testdev_inside(hwaddr offset, unsigned size, size_t len)
{
    return offset < len && size <= len - offset;
}

static uint64_t testdev_data_read(void *opaque, hwaddr offset, unsigned size)
{
    TestDev *t = opaque;

    return testdev_inside(offset, size, sizeof(t->data))
               ? ld_le(t->data + offset, size)
               : UINT64_MAX;
}

static void testdev_data_write(void *opaque, hwaddr offset, uint64_t value,
                               unsigned size)
{
    TestDev *t = opaque;

    if (testdev_inside(offset, size, sizeof(t->data))) {
        st_le(t->data + offset, value, size);
    }
}

static uint64_t testdev_iomem_read(void *opaque, hwaddr offset, unsigned size)
{
    TestDev *t = opaque;

    return testdev_inside(offset, size, sizeof(t->buf))
               ? ld_le(t->buf + offset, size)
               : UINT64_MAX;
}

static void testdev_iomem_write(void *opaque, hwaddr offset, uint64_t value,
                                unsigned size)
{
    TestDev *t = opaque;

    if (testdev_inside(offset, size, sizeof(t->buf))) {
        st_le(t->buf + offset, value, size);
    }
}

static uint64_t testdev_nothing(void *opaque, hwaddr offset, unsigned size)
{
    return 0;
}

static void testdev_ignore(void *opaque, hwaddr offset, uint64_t value,
                           unsigned size)
{
}

static void testdev_flush(void *opaque, hwaddr offset, uint64_t value,
                          unsigned size)
{
    TestDev *t = opaque;
    AddressSpace *mem = t->dev.machine->mem;
    hwaddr page = value & ~UINT64_C(0xfff);

    if (as_ram(mem, page, PAGE, false)) {
        as_ram_written(mem, page, PAGE);
    }
}

static uint64_t testdev_mem_size(void *opaque, hwaddr offset, unsigned size)
{
    TestDev *t = opaque;

    return MIN(t->dev.machine->cfg.ram_size, UINT32_MAX) >> (8 * offset);
}

static void testdev_char(void *opaque, hwaddr offset, uint64_t value,
                         unsigned size)
{
    TestDev *t = opaque;
    uint8_t byte = value;

    if (t->chr) {
        chardev_write(t->chr, &byte, 1); /* if full, the byte is lost */
    }
}

static void testdev_irq(void *opaque, hwaddr offset, uint64_t value,
                        unsigned size)
{
    TestDev *t = opaque;

    irq_set(&t->dev.machine->gsi[offset], value != 0);
}

static const RegionOps testdev_data_ops = {
    .read = testdev_data_read,
    .write = testdev_data_write,
    .min_size = 1,
    .max_size = 4,
};

static const RegionOps testdev_bytes_ops = {
    .read = testdev_data_read,
    .write = testdev_data_write,
    .min_size = 1,
    .max_size = 1,
};

static const RegionOps testdev_flush_ops = {
    .read = testdev_nothing,
    .write = testdev_flush,
    .min_size = 1,
    .max_size = 4,
};

static const RegionOps testdev_mem_size_ops = {
    .read = testdev_mem_size,
    .write = testdev_ignore,
    .min_size = 1,
    .max_size = 4,
};

static const RegionOps testdev_char_ops = {
    .read = testdev_nothing,
    .write = testdev_char,
    .min_size = 1,
    .max_size = 1,
};

/* One access is one line, whatever its width. */
static const RegionOps testdev_irq_ops = {
    .read = testdev_nothing,
    .write = testdev_irq,
    .min_size = 1,
    .max_size = 4,
};

static const RegionOps testdev_iomem_ops = {
    .read = testdev_iomem_read,
    .write = testdev_iomem_write,
    .min_size = 1,
    .max_size = 8,
};

/* Nobody types here. */
static const CharClient testdev_client = {
    .event = NULL,
};

static void testdev_reset(Device *dev)
{
    TestDev *t = container_of(dev, TestDev, dev);

    memset(t->data, 0, sizeof(t->data));
    memset(t->buf, 0, sizeof(t->buf));
}

static bool testdev_realize(Device *dev, GError **errp)
{
    TestDev *t = container_of(dev, TestDev, dev);
    AddressSpace *io = dev->machine->io;

    if (t->chr && !chardev_attach(t->chr, &testdev_client, t, errp)) {
        return false;
    }
    region_init_io(&t->mem_size, "testdev-mem-size", 4, &testdev_mem_size_ops,
                   t);
    region_init_io(&t->data_port, "testdev-ioport", 4, &testdev_data_ops, t);
    region_init_io(&t->flush, "testdev-flush", 4, &testdev_flush_ops, t);
    region_init_io(&t->bytes, "testdev-ioport-byte", 4, &testdev_bytes_ops, t);
    region_init_io(&t->chr_port, "testdev-serial", 1, &testdev_char_ops, t);
    region_init_io(&t->irq, "testdev-irq-line", MACHINE_GSIS, &testdev_irq_ops,
                   t);
    region_init_io(&t->iomem, "testdev-iomem", IOMEM_SIZE, &testdev_iomem_ops,
                   t);
    as_begin(io);
    as_map(io, PORT_MEM_SIZE, &t->mem_size, 0);
    as_map(io, PORT_DATA, &t->data_port, 0);
    as_map(io, PORT_FLUSH, &t->flush, 0);
    as_map(io, PORT_BYTES, &t->bytes, 0);
    as_map(io, PORT_CHAR, &t->chr_port, 0);
    as_map(io, PORT_IRQ, &t->irq, 0);
    as_commit(io);
    as_map(dev->machine->mem, IOMEM_BASE, &t->iomem, 0);
    return true;
}

static void testdev_unrealize(Device *dev)
{
    TestDev *t = container_of(dev, TestDev, dev);

    as_unmap(&t->mem_size);
    as_unmap(&t->data_port);
    as_unmap(&t->flush);
    as_unmap(&t->bytes);
    as_unmap(&t->chr_port);
    as_unmap(&t->irq);
    as_unmap(&t->iomem);
    if (t->chr) {
        chardev_detach(t->chr, t);
    }
}

static const Property testdev_props[] = {
    { "chardev", PROP_CHARDEV, offsetof(TestDev, chr), 0,
      "where bytes written to port f1 go" },
    { .kind = PROP_END },
};

static const VMField testdev_fields[] = {
    VM_BUFFER(TestDev, data),
    VM_BUFFER(TestDev, buf),
    VM_FIELDS_END,
};

static const VMState vmstate_testdev = {
    .name = "pc-testdev",
    .version = 1,
    .min_version = 1,
    .fields = testdev_fields,
};

const DeviceClass pc_testdev_class = {
    .name = "pc-testdev",
    .desc = "Ports for kvm-unit-tests",
    .category = DEVICE_MISC,
    .bus = "ISA",
    .size = sizeof(TestDev),
    .props = testdev_props,
    .vmstate = &vmstate_testdev,
    .realize = testdev_realize,
    .reset = testdev_reset,
    .unrealize = testdev_unrealize,
};
