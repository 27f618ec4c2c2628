/*
 * ib700: the watchdog of the iBase IB700 single board computer, which Linux
 * drives with ib700wdt (the manual of the board; drivers/watchdog/ib700wdt.c of
 * Linux says the same).
 *
 * A write to port 0x443 starts the countdown, or starts it again; the low four
 * bits are the time, 15: at once, 0: 30 seconds. A write to 0x441 stops it.
 * There is nothing to read, and no interrupt before the end.
 */
#include "util/osdep.h"
#include "system/machine.h"

extern const DeviceClass ib700_class;

enum { IB700_BASE = 0x441, IB700_STOP = 0, IB700_START = 2, IB700_PORTS = 3 };

#define STEP_NS (INT64_C(2) * 1000 * 1000 * 1000)

typedef struct Ib700 {
    Device dev;
    Region ports;
    Timer timer;
} Ib700;

static void ib700_expired(void *opaque)
{
    watchdog_expired(((Ib700 *)opaque)->dev.machine);
}

static uint64_t ib700_read(void *opaque, hwaddr offset, unsigned size)
{
    return UINT64_MAX;
}

static void ib700_write(void *opaque, hwaddr offset, uint64_t value,
                        unsigned size)
{
    Ib700 *w = opaque;
    int64_t steps = 15 - (int64_t)(value & 15);

    if (offset == IB700_STOP) {
        timer_cancel(&w->timer);
    } else if (offset == IB700_START) {
        timer_arm(&w->timer,
                  clock_ns(w->dev.machine->vclock) + steps * STEP_NS);
    }
}

static const RegionOps ib700_ops = {
    .read = ib700_read,
    .write = ib700_write,
    .min_size = 1,
    .max_size = 1,
};

static bool ib700_realize(Device *dev, GError **errp)
{
    Ib700 *w = container_of(dev, Ib700, dev);

    timer_init(&w->timer, dev->machine->vclock, ib700_expired, w);
    region_init_io(&w->ports, "ib700", IB700_PORTS, &ib700_ops, w);
    as_map(dev->machine->io, IB700_BASE, &w->ports, 0);
    return true;
}

static void ib700_reset(Device *dev)
{
    timer_cancel(&container_of(dev, Ib700, dev)->timer);
}

static void ib700_unrealize(Device *dev)
{
    Ib700 *w = container_of(dev, Ib700, dev);

    timer_cancel(&w->timer);
    as_unmap(&w->ports);
}

static const VMField ib700_fields[] = {
    VM_TIMER_FIELD(Ib700, timer),
    VM_FIELDS_END,
};

static const VMState vmstate_ib700 = {
    .name = "ib700",
    .version = 1,
    .min_version = 1,
    .fields = ib700_fields,
};

const DeviceClass ib700_class = {
    .name = "ib700",
    .desc = "iBASE 700 watchdog",
    .category = DEVICE_WATCHDOG,
    .bus = "ISA",
    .size = sizeof(Ib700),
    .vmstate = &vmstate_ib700,
    .realize = ib700_realize,
    .reset = ib700_reset,
    .unrealize = ib700_unrealize,
};
