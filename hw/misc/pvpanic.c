/*
 * pvpanic: a port by which the guest's system says that it has failed. What
 * follows is up to -action panic=; programs hear GUEST_PANICKED.
 *
 * docs/specs/pvpanic of QEMU: reading gives the events that are known, writing
 * a bit tells of one. Linux finds it by the ACPI device QEMU0001, which is there
 * when the port answers (hw/acpi/tables.c).
 */
#include "util/osdep.h"
#include "util/error.h"
#include "util/log.h"
#include "system/machine.h"

enum { PANICKED = 1 << 0, CRASHLOADED = 1 << 1 };

extern const DeviceClass pvpanic_class;

typedef struct PvPanic {
    Device dev;
    Region port;
    uint16_t ioport; /* property */
    uint8_t events;  /* property */
} PvPanic;

static uint64_t pvpanic_read(void *opaque, hwaddr offset, unsigned size)
{
    return ((PvPanic *)opaque)->events;
}

static void pvpanic_write(void *opaque, hwaddr offset, uint64_t value,
                          unsigned size)
{
    PvPanic *p = opaque;

    if (value & ~(uint64_t)p->events) {
        log_mask(LOG_GUEST_ERROR, "pvpanic: unknown event 0x%" PRIx64 "\n",
                 value);
    }
    if (value & p->events & PANICKED) {
        machine_request_panic(p->dev.machine);
    } else if (value & p->events & CRASHLOADED) { /* it has a kernel for that */
        machine_emit(p->dev.machine, "GUEST_CRASHLOADED",
                     EVENT_STR("action", "run"));
    }
}

static const RegionOps pvpanic_ops = {
    .read = pvpanic_read,
    .write = pvpanic_write,
    .min_size = 1,
    .max_size = 1,
};

static bool pvpanic_realize(Device *dev, GError **errp)
{
    PvPanic *p = container_of(dev, PvPanic, dev);

    if (p->events & ~(PANICKED | CRASHLOADED)) {
        error_setg(errp, "events must be 0 to %d, not %u",
                   PANICKED | CRASHLOADED, p->events);
        return false;
    }
    region_init_io(&p->port, "pvpanic", 1, &pvpanic_ops, p);
    as_map(dev->machine->io, p->ioport, &p->port, 0);
    return true;
}

static void pvpanic_unrealize(Device *dev)
{
    as_unmap(&container_of(dev, PvPanic, dev)->port);
}

static const Property pvpanic_props[] = {
    { "ioport", PROP_U16, offsetof(PvPanic, ioport), 0x505, "I/O port" },
    { "events", PROP_U8, offsetof(PvPanic, events), PANICKED | CRASHLOADED,
      "what is listened to: 1 panic, 2 crash kernel loaded" },
    { .kind = PROP_END },
};

const DeviceClass pvpanic_class = {
    .name = "pvpanic",
    .desc = "Port that tells of the guest's panic",
    .category = DEVICE_MISC,
    .bus = "ISA",
    .size = sizeof(PvPanic),
    .props = pvpanic_props,
    .realize = pvpanic_realize,
    .unrealize = pvpanic_unrealize,
};
