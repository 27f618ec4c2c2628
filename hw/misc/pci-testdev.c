/*
 * pci-testdev: for measuring what an access to a device costs.
 *
 * As documented with QEMU (docs/specs/pci-testdev). BAR 0 is memory, BAR 1
 * I/O; each has three tests: plain, an eventfd for any value, an eventfd for
 * one value. The guest writes the number of a test to byte 0 of a BAR and then
 * reads a header there, which says where to write what, how wide, and how often
 * that came in. What an eventfd takes is not counted.
 *
 *   0 u8 test   1 u8 width   4 u32 offset   8 u32 data   12 u32 count
 *   16 name, ends with a zero
 *
 * Property "membar" adds BAR 2, memory that is not there: for those who test
 * where large BARs are put.
 */
#include "util/osdep.h"
#include <sys/eventfd.h>
#include "util/bits.h"
#include "util/error.h"
#include "hw/pci/pci.h"
#include "system/host-kernel.h"

extern const DeviceClass pci_testdev_class;

enum {
    TESTS = 3, /* for each BAR */
    TEST_PLAIN = 0,
    TEST_WILDCARD = 1,
    NO_TEST = 0xff,
    MEM_SIZE = 4096,
    MEM_TARGET = 2048, /* where the tests write: one byte each */
    IO_SIZE = 256,
    IO_TARGET = 128,
    DATA_MATCH = 0xfa,
    DATA_ANY = 0xce,
    HDR_COUNT = 12,
    HDR_NAME = 16,
    HDR_SIZE = 64,
};

typedef struct TestBar {
    struct TestDev *dev;
    Region region;
    const char *type;
    unsigned target;
    uint8_t header[HDR_SIZE];
} TestBar;

typedef struct TestDev {
    PciDevice pci;
    TestBar mem, io;
    Region membar;
    uint64_t membar_size; /* property */
    uint8_t current;      /* test; those of I/O follow those of memory */
    int fd;               /* of an eventfd test; -1: none */
    uint8_t fd_test;      /* which */
} TestDev;

static TestDev *testdev_of(Device *dev)
{
    return container_of(dev, TestDev, pci.dev);
}

/* The BAR that @test is about; NULL: no test. */
static TestBar *bar_of(TestDev *s, unsigned test)
{
    return test >= 2 * TESTS ? NULL : test < TESTS ? &s->mem : &s->io;
}

static uint8_t test_data(unsigned test)
{
    return test == TEST_WILDCARD ? DATA_ANY : DATA_MATCH;
}

static void make_header(TestBar *b, unsigned test)
{
    static const char *const names[TESTS] = { "no-eventfd", "wildcard-eventfd",
                                              "datamatch-eventfd" };

    memset(b->header, 0, sizeof(b->header));
    b->header[0] = test;
    b->header[1] = 1;
    st_le32(b->header + 4, b->target + test);
    st_le32(b->header + 8, test_data(test));
    g_snprintf((char *)b->header + HDR_NAME, HDR_SIZE - HDR_NAME, "%s-%s",
               b->type, names[test]);
}

static void event_attach(TestDev *s, bool on)
{
    void (*fn)(Region *, hwaddr, unsigned, bool, uint64_t, int) =
        on ? region_add_event : region_del_event;
    TestBar *b = bar_of(s, s->fd_test);
    unsigned test = s->fd_test % TESTS;

    fn(&b->region, b->target + test, 1, test != TEST_WILDCARD, test_data(test),
       s->fd);
}

static void event_stop(TestDev *s)
{
    if (s->fd >= 0) {
        event_attach(s, false);
        close(s->fd);
        s->fd = -1;
    }
}

static void event_start(TestDev *s)
{
    event_stop(s);
    if (!bar_of(s, s->current) || s->current % TESTS == TEST_PLAIN ||
        !host_ioeventfd(s->pci.dev.machine)) {
        return;
    }
    s->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->fd_test = s->current;
    if (s->fd >= 0) {
        event_attach(s, true);
    }
}

static void choose_test(TestBar *b, unsigned test)
{
    TestDev *s = b->dev;

    s->current = NO_TEST;
    if (test < TESTS) {
        s->current = test + (b == &s->io ? TESTS : 0);
        make_header(b, test);
    }
    event_start(s);
}

static uint64_t bar_read(void *opaque, hwaddr off, unsigned size)
{
    TestBar *b = opaque;
    TestBar *now = bar_of(b->dev, b->dev->current);

    return now && off < HDR_SIZE ? now->header[off] : 0;
}

static void bar_write(void *opaque, hwaddr off, uint64_t value, unsigned size)
{
    TestBar *b = opaque, *now;
    unsigned test;

    if (off == 0) {
        choose_test(b, value);
        return;
    }
    now = bar_of(b->dev, b->dev->current);
    test = b->dev->current % TESTS;
    if (now == b && off == b->target + test &&
        (test == TEST_WILDCARD || value == test_data(test))) {
        st_le32(b->header + HDR_COUNT, ld_le32(b->header + HDR_COUNT) + 1);
    }
}

static const RegionOps bar_ops = {
    .read = bar_read,
    .write = bar_write,
    .min_size = 1,
    .max_size = 1,
};

static uint64_t membar_read(void *opaque, hwaddr off, unsigned size)
{
    return UINT64_MAX;
}

static void membar_write(void *opaque, hwaddr off, uint64_t value,
                         unsigned size)
{
}

static const RegionOps membar_ops = {
    .read = membar_read,
    .write = membar_write,
    .min_size = 1,
    .max_size = 8,
};

static bool testdev_realize(Device *dev, GError **errp)
{
    static const PciIds ids = { .vendor = 0x1b36,
                                .device = 0x0005,
                                .class_code = 0x00ff00 };
    TestDev *s = testdev_of(dev);

    if (s->membar_size && (!is_pow2(s->membar_size) || s->membar_size < 4096)) {
        error_setg(errp, "membar must be a power of two of at least 4K");
        return false;
    }
    if (!pci_realize(&s->pci, &ids, errp)) {
        return false;
    }
    s->fd = -1;
    s->current = NO_TEST;
    s->mem.dev = s->io.dev = s;
    s->mem.type = "mmio";
    s->mem.target = MEM_TARGET;
    s->io.type = "portio";
    s->io.target = IO_TARGET;
    region_init_io(&s->mem.region, "pci-testdev-mmio", MEM_SIZE, &bar_ops,
                   &s->mem);
    region_init_io(&s->io.region, "pci-testdev-portio", IO_SIZE, &bar_ops,
                   &s->io);
    pci_add_bar(&s->pci, 0, PCI_BAR_MEM32, &s->mem.region);
    pci_add_bar(&s->pci, 1, PCI_BAR_IO, &s->io.region);
    if (s->membar_size) {
        region_init_io(&s->membar, "pci-testdev-membar", s->membar_size,
                       &membar_ops, s);
        pci_add_bar(&s->pci, 2, PCI_BAR_MEM64 | PCI_BAR_PREFETCH, &s->membar);
    }
    return true;
}

static void testdev_reset(Device *dev)
{
    TestDev *s = testdev_of(dev);

    event_stop(s);
    s->current = NO_TEST;
    memset(s->mem.header, 0, HDR_SIZE);
    memset(s->io.header, 0, HDR_SIZE);
    pci_reset(&s->pci);
}

static void testdev_unrealize(Device *dev)
{
    TestDev *s = testdev_of(dev);

    event_stop(s);
    pci_unrealize(&s->pci);
}

static bool testdev_post_load(void *obj, int version, GError **errp)
{
    TestDev *s = obj;

    if (s->current >= 2 * TESTS) {
        s->current = NO_TEST;
    }
    event_start(s);
    return true;
}

static const Property testdev_props[] = {
    { "membar", PROP_SIZE, offsetof(TestDev, membar_size), 0,
      "size of BAR 2, 64-bit memory without anything in it" },
    PCI_PROPS,
    { .kind = PROP_END },
};

static const VMField testdev_fields[] = {
    VM_SUB(TestDev, pci, vmstate_pci_device),
    VM_U8(TestDev, current),
    VM_BUFFER(TestDev, mem.header),
    VM_BUFFER(TestDev, io.header),
    VM_FIELDS_END,
};

static const VMState vmstate_testdev = {
    .name = "pci-testdev",
    .version = 1,
    .min_version = 1,
    .fields = testdev_fields,
    .post_load = testdev_post_load,
};

const DeviceClass pci_testdev_class = {
    .name = "pci-testdev",
    .desc = "PCI Test Device",
    .category = DEVICE_MISC,
    .bus = "PCI",
    .size = sizeof(TestDev),
    .props = testdev_props,
    .vmstate = &vmstate_testdev,
    .realize = testdev_realize,
    .reset = testdev_reset,
    .unrealize = testdev_unrealize,
};
