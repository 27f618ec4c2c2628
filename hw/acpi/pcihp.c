/*
 * PCI hot plug by ACPI, as PCs of QEMU have it: docs/specs/acpi_pci_hotplug of
 * QEMU; ACPI 6.4, 6.3.3 (_EJx) and 5.6.6 (notifications).
 *
 * device_add sets the slot's bit in PCIHP_UP, device_del the one in PCIHP_DOWN,
 * and both raise GPE 1. The guest's _E01 reads the two and notifies the slots'
 * objects: 1, look again, or 3, let go. For 3 its driver leaves the device and
 * then calls _EJ0, which writes the slot's bit to PCIHP_EJECT.
 *
 * A guest may eject what nobody asked for; it then is gone all the same. It may
 * also do nothing: device_del can be repeated.
 *
 * Bus 0 is the only one; selecting another shows empty slots.
 */
#include "util/osdep.h"
#include "hw/acpi/pcihp.h"

#include "hw/acpi/pm.h"
#include "hw/pci/pci-regs.h"
#include "system/hotplug.h"
#include "util/mainloop.h"

static const uint32_t removable = ~UINT32_C(0) << PCIHP_FIRST_SLOT;

/* ---- the guest's side ------------------------------------------------------- */

static void eject_slot(PciHp *hp, unsigned slot, void (*go)(Device *dev))
{
    hp->up &= ~(UINT32_C(1) << slot);
    hp->down &= ~(UINT32_C(1) << slot);
    for (unsigned f = PCI_FUNCTIONS; f > 0; f--) {
        PciDevice *pd = pci_bus_device(hp->bus, PCI_DEVFN(slot, f - 1));

        if (pd && hotplug_possible(&pd->dev)) {
            go(&pd->dev);
        }
    }
}

static void eject_slots(PciHp *hp, uint32_t slots, void (*go)(Device *dev))
{
    for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
        if (slots >> slot & 1) {
            eject_slot(hp, slot, go);
        }
    }
}

static void eject_later(void *opaque)
{
    PciHp *hp = opaque;
    uint32_t slots = hp->ejecting;

    if (!machine_is_free(hp->pm->machine, NULL)) {
        return; /* until it runs again */
    }
    hp->ejecting = 0;
    eject_slots(hp, slots, hotplug_remove);
}

static void on_machine_event(Machine *m, const char *event,
                             const EventValue *values, void *opaque)
{
    PciHp *hp = opaque;

    if (hp->ejecting && strcmp(event, "RESUME") == 0) {
        mainloop_call(eject_later, hp);
    }
}

/* As QEMU one slot per write, the lowest. The vCPU goes on when it is empty. */
static void eject(PciHp *hp, uint32_t slots)
{
    bool waits = hp->ejecting;

    slots &= removable & -slots;
    if (hp->select || !slots) {
        return;
    }
    hp->ejecting |= slots;
    if (!waits && !machine_defer(hp->pm->machine, eject_later, hp)) {
        eject_later(hp);
    }
}

static uint64_t pcihp_read(void *opaque, hwaddr offset, unsigned size)
{
    PciHp *hp = opaque;
    uint32_t v;

    if (offset == PCIHP_SELECT) {
        return hp->select;
    }
    if (hp->select) {
        return 0;
    }
    switch (offset) {
    case PCIHP_UP:
        v = hp->up;
        hp->up = 0;
        return v;
    case PCIHP_DOWN:
        return hp->down;
    case PCIHP_RMV:
        return removable;
    default:
        return 0;
    }
}

static void pcihp_write(void *opaque, hwaddr offset, uint64_t value,
                        unsigned size)
{
    PciHp *hp = opaque;

    if (offset == PCIHP_SELECT) {
        hp->select = (uint32_t)value;
    } else if (offset == PCIHP_EJECT) {
        eject(hp, (uint32_t)value);
    }
}

static const RegionOps pcihp_ops = {
    .read = pcihp_read,
    .write = pcihp_write,
    .min_size = 4,
    .max_size = 4,
};

/* ---- the monitor's side ------------------------------------------------------- */

static void plugged(void *opaque, PciDevice *pd)
{
    PciHp *hp = opaque;

    hp->up |= UINT32_C(1) << PCI_SLOT(pd->devfn);
    acpi_pm_gpe(hp->pm, PCIHP_GPE);
}

static bool unplug(void *opaque, PciDevice *pd, GError **errp)
{
    PciHp *hp = opaque;

    hp->down |= UINT32_C(1) << PCI_SLOT(pd->devfn);
    acpi_pm_gpe(hp->pm, PCIHP_GPE);
    return true;
}

static const PciHotplug bus_ops = { plugged, unplug };

/* ---- life ----------------------------------------------------------------------- */

void pcihp_init(PciHp *hp, PciBus *bus, Device *pm)
{
    hp->bus = bus;
    hp->pm = pm;
    region_init_io(&hp->ports, "acpi-pci-hotplug", PCIHP_LEN, &pcihp_ops, hp);
    as_map(pm->machine->io, PCIHP_BASE, &hp->ports, 0);
    pci_bus_set_hotplug(bus, &bus_ops, hp);
    machine_watch(pm->machine, on_machine_event, hp);
}

void pcihp_fini(PciHp *hp)
{
    machine_unwatch(hp->pm->machine, on_machine_event, hp);
    pci_bus_set_hotplug(hp->bus, NULL, NULL);
    as_unmap(&hp->ports);
}

void pcihp_reset(PciHp *hp)
{
    eject_slots(hp, hp->down, hotplug_remove_paused);
    hp->up = hp->down = hp->select = 0;
}
