/*
 * isa-debug-exit: a port whose write ends the VM with a chosen exit status.
 *
 * Guest test suites use it (kvm-unit-tests writes its verdict to port 0xf4).
 * The process exits with (value << 1) | 1, so that a guest cannot report plain
 * success by accident. With success=N the value N makes it exit with 0, which
 * is what a Makefile or a CI job wants to see.
 */
#include "util/osdep.h"
#include "util/error.h"
#include "system/machine.h"

#define NO_SUCCESS UINT64_MAX

extern const DeviceClass debugexit_class;

typedef struct DebugExit {
    Device dev;
    Region port;
    uint16_t iobase;  /* property */
    uint8_t iosize;   /* property */
    uint64_t success; /* property: written value, or NO_SUCCESS */
} DebugExit;

static uint64_t debugexit_read(void *opaque, hwaddr offset, unsigned size)
{
    return 0;
}

static void debugexit_write(void *opaque, hwaddr offset, uint64_t value,
                            unsigned size)
{
    DebugExit *d = opaque;

    machine_request_shutdown(d->dev.machine,
                             value == d->success ? 0 : (int)(value << 1) | 1);
}

static const RegionOps debugexit_ops = {
    .read = debugexit_read,
    .write = debugexit_write,
    .min_size = 1,
    .max_size = 4,
};

static bool debugexit_realize(Device *dev, GError **errp)
{
    DebugExit *d = container_of(dev, DebugExit, dev);

    if (d->iosize == 0 || d->iosize > 4) {
        error_setg(errp, "iosize must be 1 to 4, not %u", d->iosize);
        return false;
    }
    if (d->iobase > 0x10000 - d->iosize) {
        error_setg(errp, "iobase must be at most 0x%x, not 0x%x",
                   0x10000 - d->iosize, d->iobase);
        return false;
    }
    region_init_io(&d->port, "isa-debug-exit", d->iosize, &debugexit_ops, d);
    as_map(dev->machine->io, d->iobase, &d->port, 0);
    return true;
}

static void debugexit_unrealize(Device *dev)
{
    as_unmap(&container_of(dev, DebugExit, dev)->port);
}

static const Property debugexit_props[] = {
    { "iobase", PROP_U16, offsetof(DebugExit, iobase), 0x501, "I/O port" },
    { "iosize", PROP_U8, offsetof(DebugExit, iosize), 2, "ports taken" },
    { "success", PROP_U64, offsetof(DebugExit, success), NO_SUCCESS,
      "written value that makes the exit status 0; default: none" },
    { .kind = PROP_END },
};

const DeviceClass debugexit_class = {
    .name = "isa-debug-exit",
    .desc = "Port that ends the VM with an exit status",
    .category = DEVICE_MISC,
    .bus = "ISA",
    .size = sizeof(DebugExit),
    .props = debugexit_props,
    .realize = debugexit_realize,
    .unrealize = debugexit_unrealize,
};
