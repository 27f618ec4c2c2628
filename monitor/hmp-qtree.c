/*
 * "info qtree": which device sits on which bus, with its properties, laid out as
 * QEMU does.
 *
 * Devices without a bus are on main-system-bus; the PCI bus is shown below them,
 * the ISA bus below the ISA bridge, and a bus of a device's own below it.
 */
#include "util/osdep.h"
#include "chardev/chardev.h"
#include "hw/pci/pci-regs.h"
#include "hw/pci/pci.h"
#include "monitor/hmp.h"
#include "util/bits.h"

/* Calls itself for the devices of a bus below. */
static void print_bus(Machine *m, GString *out, const char *name,
                      const char *type, const Device *parent, unsigned depth);

static G_GNUC_PRINTF(3, 4) void line(GString *out, unsigned depth,
                                     const char *fmt, ...)
{
    va_list ap;

    g_string_append_printf(out, "%*s", (int)depth * 2, "");
    va_start(ap, fmt);
    g_string_append_vprintf(out, fmt, ap);
    va_end(ap);
    g_string_append_c(out, '\n');
}

/* ---- a device --------------------------------------------------------------- */

static void print_prop(GString *out, const Device *dev, const Property *p,
                       unsigned depth)
{
    const char *field = (const char *)dev + p->offset;
    const Chardev *c;
    const char *s;
    uint64_t v;

    if (device_number(dev, p->name, &v)) {
        line(out, depth, "%s = %" PRIu64 " (0x%" PRIx64 ")", p->name, v, v);
        return;
    }
    switch (p->kind) {
    case PROP_BOOL:
        line(out, depth, "%s = %s", p->name,
             *(const bool *)field ? "true" : "false");
        break;
    case PROP_CHARDEV:
        c = *(Chardev *const *)field;
        line(out, depth, "%s = \"%s\"", p->name, c ? c->id : "");
        break;
    default:
        s = *(char *const *)field;
        line(out, depth, "%s = \"%s\"", p->name, s ? s : "");
        break;
    }
}

static void print_function(GString *out, const PciDevice *pd, unsigned depth)
{
    const uint8_t *c = pd->config;
    uint16_t code = ld_le16(c + PCI_CLASS_DEVICE);
    const char *name = pci_class_name(code);
    g_autofree char *other = g_strdup_printf("Class %04x", code);

    line(out, depth,
         "class %s, addr 00:%02x.%x, pci id %04x:%04x (sub %04x:%04x)",
         name ? name : other, PCI_SLOT(pd->devfn), PCI_FUNC(pd->devfn),
         ld_le16(c + PCI_VENDOR_ID), ld_le16(c + PCI_DEVICE_ID),
         ld_le16(c + PCI_SUBSYSTEM_VENDOR_ID), ld_le16(c + PCI_SUBSYSTEM_ID));
    for (int n = 0; n < PCI_REGIONS; n++) {
        const PciBar *bar = &pd->bar[n];

        if (bar->region) {
            line(out, depth, "bar %d: %s at 0x%" PRIx64 " [0x%" PRIx64 "]", n,
                 bar->type & PCI_BAR_IO ? "i/o" : "mem", bar->addr,
                 bar->addr == PCI_BAR_UNMAPPED ? PCI_BAR_UNMAPPED
                                               : bar->addr + bar->size - 1);
        }
    }
}

/* What sits on its bus; NULL: it has none, or nobody does. */
static const Device *first_child(const Device *dev)
{
    const GPtrArray *all = dev->machine->devices;

    for (guint i = 0; i < all->len; i++) {
        const Device *d = all->pdata[i];

        if (d->parent == dev) {
            return d;
        }
    }
    return NULL;
}

static void print_device(Machine *m, GString *out, const Device *dev,
                         unsigned depth)
{
    const Device *child = first_child(dev);
    const PciDevice *pci = g_strcmp0(dev->cls->bus, "PCI") == 0
                               ? container_of(dev, PciDevice, dev)
                               : NULL;

    line(out, depth, "dev: %s, id \"%s\"", dev->cls->name,
         dev->id ? dev->id : "");
    for (const Property *p = dev->cls->props; p && p->kind != PROP_END; p++) {
        if (!pci || strcmp(p->name, "addr") != 0) {
            print_prop(out, dev, p, depth + 1);
        }
    }
    if (pci) {
        line(out, depth + 1, "addr = %02x.%x", PCI_SLOT(pci->devfn),
             PCI_FUNC(pci->devfn));
        print_function(out, pci, depth + 1);
    }
    if (strcmp(dev->cls->name, "PIIX3") == 0) {
        print_bus(m, out, "isa.0", "ISA", NULL, depth + 1);
    }
    if (child) {
        g_autofree char *bus = g_ascii_strdown(child->cls->bus, -1);
        g_autofree char *name =
            g_strdup_printf("%s.0", dev->id ? dev->id : bus);

        print_bus(m, out, name, child->cls->bus, dev, depth + 1);
    }
}

/* ---- buses -------------------------------------------------------------------- */

static void print_bus(Machine *m, GString *out, const char *name,
                      const char *type, const Device *parent, unsigned depth)
{
    bool is_system = strcmp(type, "System") == 0;

    line(out, depth, "bus: %s", name);
    line(out, depth + 1, "type %s", type);
    for (guint i = 0; i < m->devices->len; i++) {
        const Device *dev = m->devices->pdata[i];

        if (dev->parent == parent &&
            (parent ||
             g_strcmp0(dev->cls->bus, is_system ? NULL : type) == 0)) {
            print_device(m, out, dev, depth + 1);
        }
    }
}

void hmp_info_qtree(Monitor *mon, const Args *args)
{
    static const char *const others[][2] = {
        { "virtio-mmio-bus.0", "virtio-bus" }, { "isa.0", "ISA" }
    };
    Machine *m = mon_machine(mon);
    g_autoptr(GString) out = g_string_new(NULL);

    print_bus(m, out, "main-system-bus", "System", NULL, 0);
    if (pci_bus_find(m, NULL)) {
        print_bus(m, out, "pci.0", "PCI", NULL, 1);
    }
    for (size_t i = pci_bus_find(m, NULL) ? G_N_ELEMENTS(others) : 0;
         i < G_N_ELEMENTS(others); i++) {
        print_bus(m, out, others[i][0], others[i][1], NULL, 1);
    }
    mon_puts(mon, out->str);
}
