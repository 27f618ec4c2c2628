/*
 * A PCI bus: who sits where, configuration mechanism 1, where interrupt pins
 * go.
 *
 * PCI Local Bus 3.0, 3.2.2.3.2 (mechanism 1), 3.2.2.3.4 (functions: function 0
 * must be there, and says in its header whether to look for others).
 */
#include "util/osdep.h"
#include "util/error.h"
#include "hw/pci/pci-regs.h"
#include "hw/pci/pci.h"
#include "system/hotplug.h"

#define CONFIG_ENABLE UINT32_C(0x80000000)

extern const HotplugBus pci_hotplug_bus;

struct PciBus {
    Machine *machine;
    char *name;
    PciDevice *device[PCI_DEVFNS];
    void (*set_irq)(void *opaque, uint8_t devfn, int pin, int level);
    void *irq_opaque;
    const PciHotplug *hotplug;
    void *hotplug_opaque;
};

PciBus *pci_bus_new(Machine *m, const char *name)
{
    PciBus *bus = g_new0(PciBus, 1);

    bus->machine = m;
    bus->name = g_strdup(name);
    if (!m->pci_buses) {
        m->pci_buses = g_ptr_array_new();
    }
    g_ptr_array_add(m->pci_buses, bus);
    return bus;
}

void pci_bus_free(PciBus *bus)
{
    Machine *m = bus->machine;

    for (unsigned i = 0; i < PCI_DEVFNS; i++) {
        g_assert(!bus->device[i]);
    }
    g_ptr_array_remove(m->pci_buses, bus);
    if (!m->pci_buses->len) {
        g_ptr_array_unref(m->pci_buses);
        m->pci_buses = NULL;
    }
    g_free(bus->name);
    g_free(bus);
}

PciBus *pci_bus_find(Machine *m, const char *name)
{
    for (guint i = 0; m->pci_buses && i < m->pci_buses->len; i++) {
        PciBus *bus = g_ptr_array_index(m->pci_buses, i);

        if (!name || !strcmp(bus->name, name)) {
            return bus;
        }
    }
    return NULL;
}

PciDevice *pci_bus_device(PciBus *bus, uint8_t devfn)
{
    return bus->device[devfn];
}

/* ---- places ---------------------------------------------------------------------- */

/* "4", "4.1", "0x1f.0": hexadecimal, as QEMU takes it. */
static bool addr_parse(const PciDevice *pd, uint8_t *devfn, GError **errp)
{
    const char *text = pd->addr_prop;
    char *end = NULL;
    uint64_t slot = UINT64_MAX, func = 0;

    if (g_ascii_isxdigit(*text)) {
        slot = g_ascii_strtoull(text, &end, 16);
    }
    if (end && *end == '.' && g_ascii_isxdigit(end[1])) {
        func = g_ascii_strtoull(end + 1, &end, 16);
    }
    if (!end || *end || slot >= PCI_SLOTS || func >= PCI_FUNCTIONS) {
        error_setg(errp,
                   "Property '%s.addr' doesn't take value '%s': it is a slot "
                   "of 0 to 1f and perhaps a function, 5 or 5.1",
                   pd->dev.cls->name, text);
        return false;
    }
    *devfn = PCI_DEVFN(slot, func);
    return true;
}

static bool addr_choose(const PciBus *bus, const PciDevice *pd, uint8_t *devfn,
                        GError **errp)
{
    for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
        bool free = true;

        for (unsigned f = 0; f < PCI_FUNCTIONS; f++) {
            free &= !bus->device[PCI_DEVFN(slot, f)];
        }
        if (free) {
            *devfn = PCI_DEVFN(slot, 0);
            return true;
        }
    }
    error_setg(errp,
               "PCI: no slot/function available for %s, all in use or "
               "reserved",
               pd->dev.cls->name);
    return false;
}

static bool is_multifunction(const PciDevice *pd)
{
    return pd->config[PCI_HEADER_TYPE] & PCI_HEADER_MULTIFUNCTION;
}

static bool place_free(const PciBus *bus, const PciDevice *pd, uint8_t devfn,
                       GError **errp)
{
    unsigned slot = PCI_SLOT(devfn), func = PCI_FUNC(devfn);
    const PciDevice *there = bus->device[devfn];
    const PciDevice *first = bus->device[PCI_DEVFN(slot, 0)];

    if (there) {
        error_setg(errp,
                   "PCI: slot %u function %u not available for %s, in use by "
                   "%s%s%s",
                   slot, func, pd->dev.cls->name, there->dev.cls->name,
                   there->dev.id ? ",id=" : "",
                   there->dev.id ? there->dev.id : "");
        return false;
    }
    if (func && first && !is_multifunction(first)) {
        error_setg(errp,
                   "PCI: single function device can't be populated in "
                   "function %x.%x: %s in %x.0 needs multifunction=on",
                   slot, func, first->dev.cls->name, slot);
        return false;
    }
    for (unsigned f = 1; !func && !is_multifunction(pd) && f < PCI_FUNCTIONS;
         f++) {
        if (bus->device[PCI_DEVFN(slot, f)]) {
            error_setg(errp,
                       "PCI: %x.0 indicates single function, but %x.%x is "
                       "already populated: give %s multifunction=on",
                       slot, slot, f, pd->dev.cls->name);
            return false;
        }
    }
    return true;
}

bool pci_bus_add(PciBus *bus, PciDevice *pd, GError **errp)
{
    uint8_t devfn;

    if (!(pd->addr_prop && *pd->addr_prop
              ? addr_parse(pd, &devfn, errp)
              : addr_choose(bus, pd, &devfn, errp)) ||
        !place_free(bus, pd, devfn, errp)) {
        return false;
    }
    pd->bus = bus;
    pd->devfn = devfn;
    bus->device[devfn] = pd;
    return true;
}

void pci_bus_remove(PciDevice *pd)
{
    pd->bus->device[pd->devfn] = NULL;
    pd->bus = NULL;
}

/* ---- interrupts -------------------------------------------------------------------- */

void pci_bus_set_router(PciBus *bus,
                        void (*set_irq)(void *opaque, uint8_t devfn, int pin,
                                        int level),
                        void *opaque)
{
    bus->set_irq = set_irq;
    bus->irq_opaque = opaque;
}

void pci_bus_set_irq(PciDevice *pd, int pin, int level)
{
    if (pd->bus->set_irq) {
        pd->bus->set_irq(pd->bus->irq_opaque, pd->devfn, pin, level);
    }
}

/* ---- coming and going --------------------------------------------------------------- */

void pci_bus_set_hotplug(PciBus *bus, const PciHotplug *ops, void *opaque)
{
    bus->hotplug = ops;
    bus->hotplug_opaque = opaque;
}

static bool hotplug_check(Device *dev, GError **errp)
{
    const PciDevice *pd = container_of(dev, PciDevice, dev);
    const PciBus *bus = pci_bus_find(dev->machine, pd->bus_prop);

    if (bus && !bus->hotplug) {
        error_setg(errp, "Bus '%s' does not support hotplugging", bus->name);
        return false;
    }
    return true; /* no bus: pci_realize() says so */
}

static void hotplug_plugged(Device *dev)
{
    PciDevice *pd = container_of(dev, PciDevice, dev);

    pd->bus->hotplug->plugged(pd->bus->hotplug_opaque, pd);
}

static bool hotplug_unplug(Device *dev, GError **errp)
{
    PciDevice *pd = container_of(dev, PciDevice, dev);
    const PciBus *bus = pd->bus;

    return hotplug_check(dev, errp) &&
           bus->hotplug->unplug(bus->hotplug_opaque, pd, errp);
}

const HotplugBus pci_hotplug_bus = {
    .bus = "PCI",
    .check = hotplug_check,
    .plugged = hotplug_plugged,
    .unplug = hotplug_unplug,
};

/* ---- configuration mechanism 1 ------------------------------------------------------- */

/* The function that @address means; there are no bridges behind us. */
static PciDevice *config_target(PciBus *bus, uint32_t address)
{
    if (!(address & CONFIG_ENABLE) || (address >> 16 & 0xff)) {
        return NULL;
    }
    return bus->device[address >> 8 & 0xff];
}

uint32_t pci_bus_config_read(PciBus *bus, uint32_t address, unsigned offset,
                             unsigned size)
{
    PciDevice *pd = config_target(bus, address);

    return pd ? pci_config_read(pd, (address & 0xfc) + offset, size)
              : UINT32_MAX;
}

void pci_bus_config_write(PciBus *bus, uint32_t address, unsigned offset,
                          uint32_t value, unsigned size)
{
    PciDevice *pd = config_target(bus, address);

    if (pd) {
        pci_config_write(pd, (address & 0xfc) + offset, value, size);
    }
}
