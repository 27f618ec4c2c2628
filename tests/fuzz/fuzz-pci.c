/*
 * A guest that plays with PCI: configuration accesses, BARs, memory that
 * devices read by DMA, time, resets, saved states. The machine has every PCI
 * device that needs nothing from the host, and a disk of nothing.
 *
 * The input is a list of operations, a byte each with arguments behind it; see
 * run_op(). tests/fuzz/pack-pci.py writes seeds: drivers that behave.
 */
#include "tests/lib/fuzz.h"
#include "tests/qtest/pci-test.h"
#include "hw/block/drive.h"
#include "util/log.h"
#include "util/mainloop.h"

enum { OPS_MAX = 400, PCI_MAX = 30, FIRST_SLOT = 2 };

extern const DeviceClass virtio_blk_pci_class;

typedef struct Input {
    const uint8_t *p;
    size_t left;
} Input;

typedef struct Fuzz {
    PciTest t;
    PciDevice *pd[PCI_MAX];
    unsigned n;
} Fuzz;

static uint8_t take(Input *in)
{
    if (!in->left) {
        return 0;
    }
    in->left--;
    return *in->p++;
}

static uint32_t take_n(Input *in, unsigned n)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < n; i++) {
        v |= (uint32_t)take(in) << (8 * i);
    }
    return v;
}

static void add_device(Fuzz *f, const DeviceClass *cls)
{
    Device *dev = device_new_class(f->t.q.m, cls, NULL);

    if (cls == &virtio_blk_pci_class) {
        device_set(dev, "drive", "d0", NULL);
    }
    if (!device_realize(dev, NULL)) {
        device_free(dev);
        return;
    }
    cls->reset(dev);
    f->pd[f->n++] = container_of(dev, PciDevice, dev);
}

static void assign(Fuzz *f)
{
    static const PciWindows w = { { 0xc000, 0x10000 },
                                  { 0xe0000000, 0xfec00000 },
                                  { UINT64_C(1) << 32, UINT64_C(1) << 36 } };

    pci_assign(pci_bus_find(f->t.q.m, NULL), &w);
    for (unsigned i = 0; i < f->n; i++) {
        pci_config_write(f->pd[i], PCI_COMMAND, 7, 2);
    }
}

static void start(Fuzz *f)
{
    memset(f, 0, sizeof(*f));
    pt_start(&f->t);
    f->pd[f->n++] = pci_bus_device(pci_bus_find(f->t.q.m, NULL), 0);
    f->pd[f->n++] =
        pci_bus_device(pci_bus_find(f->t.q.m, NULL), PCI_DEVFN(1, 0));
    drive_add(f->t.q.m, "if=none,id=d0,driver=null-co,size=1M", NULL);
    for (unsigned i = 0; device_classes[i] && f->n < PCI_MAX; i++) {
        const DeviceClass *cls = device_classes[i];

        if (cls->bus && !strcmp(cls->bus, "PCI") && !cls->internal) {
            add_device(f, cls);
        }
    }
    assign(f);
    g_assert_cmpuint(f->n, >, 0);
}

static void settle(void)
{
    for (int i = 0; i < 1000 && mainloop_iterate(false); i++) {
    }
}

static void op_config(Fuzz *f, Input *in, bool write)
{
    PciDevice *pd = f->pd[take(in) % f->n];
    unsigned off = take(in), size = 1u << take(in) % 3;

    off &= ~(size - 1);
    if (write) {
        pci_config_write(pd, off, take_n(in, size), size);
    } else {
        pci_config_read(pd, off, size);
    }
}

static void op_bar(Fuzz *f, Input *in, bool write)
{
    PciDevice *pd = f->pd[take(in) % f->n];
    const PciBar *bar = &pd->bar[take(in) % PCI_REGIONS];
    unsigned off = take_n(in, 2), size = 1u << take(in) % 4;
    Machine *m = f->t.q.m;
    AddressSpace *as = bar->type & PCI_BAR_IO ? m->io : m->mem;
    hwaddr at;

    if (!bar->region || bar->addr == PCI_BAR_UNMAPPED) {
        return;
    }
    at = bar->addr + off % bar->size;
    if (write) {
        as_store(as, at, take_n(in, 4), size);
    } else {
        as_load(as, at, size);
    }
}

static void op_memory(Fuzz *f, Input *in)
{
    hwaddr at = take_n(in, 3) % PT_RAM;
    unsigned n = take(in);
    uint8_t buf[256];

    for (unsigned i = 0; i < n; i++) {
        buf[i] = take(in);
    }
    as_write(f->t.q.m->mem, at, buf, n);
}

/* Out and in again: what was saved must load. */
static void op_state(Fuzz *f, Input *in)
{
    Device *dev = &f->pd[take(in) % f->n]->dev;
    g_autoptr(GByteArray) s = g_byte_array_new();
    uint8_t bit = take(in);
    size_t pos = 0;
    bool ok;

    vmstate_save(s, dev->cls->vmstate, dev, NULL);
    if (bit >= 8) { /* a damaged one */
        s->data[take_n(in, 2) % s->len] ^= bit;
    }
    ok = vmstate_load(s, &pos, dev->cls->vmstate, dev, NULL);
    g_assert(ok || bit >= 8);
    if (!ok) {
        dev->cls->reset(dev);
    }
}

static void run_op(Fuzz *f, Input *in)
{
    Device *dev;

    switch (take(in) % 9) {
    case 0:
        op_config(f, in, true);
        break;
    case 1:
        op_config(f, in, false);
        break;
    case 2:
        op_bar(f, in, true);
        break;
    case 3:
        op_bar(f, in, false);
        break;
    case 4:
        op_memory(f, in);
        break;
    case 5:
        qtest_step(&f->t.q, (int64_t)take(in) * 1000000);
        break;
    case 6:
        settle();
        break;
    case 7:
        op_state(f, in);
        break;
    default:
        dev = &f->pd[take(in) % f->n]->dev;
        dev->cls->reset(dev);
        assign(f);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input in = { data, size };
    Machine *m;
    Fuzz f;

    log_flags = 0;
    start(&f);
    for (unsigned i = 0; i < OPS_MAX && in.left; i++) {
        run_op(&f, &in);
    }
    settle();
    m = f.t.q.m;
    while (m->devices->len) {
        device_free(m->devices->pdata[m->devices->len - 1]);
    }
    settle();
    drives_free(m);
    pt_end(&f.t);
    return 0;
}
