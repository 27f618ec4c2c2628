/*
 * isa-debugcon: a port whose bytes go to a chardev, as in Bochs and QEMU.
 *
 * Reading it gives a constant by which a guest finds it. The port cannot say
 * that it is busy, so bytes that the host end does not take wait here; beyond
 * BACKLOG of them the rest is dropped. They are on their way to the host, not
 * state of the guest, and stay out of snapshots.
 */
#include "util/osdep.h"
#include "util/log.h"
#include "chardev/chardev.h"
#include "hw/char/serial.h"

enum { BACKLOG = 1 << 20 };

typedef struct DebugCon {
    Device dev;
    Region port;
    uint16_t iobase;   /* property */
    uint8_t readback;  /* property */
    Chardev *chr;      /* property */
    GByteArray *queue; /* what the host end did not take yet */
} DebugCon;

static uint64_t debugcon_read(void *opaque, hwaddr offset, unsigned size)
{
    DebugCon *d = opaque;

    return d->readback;
}

static void debugcon_writable(void *opaque)
{
    DebugCon *d = opaque;
    size_t sent = chardev_write(d->chr, d->queue->data, d->queue->len);

    g_byte_array_remove_range(d->queue, 0, sent);
}

static void debugcon_write(void *opaque, hwaddr offset, uint64_t value,
                           unsigned size)
{
    DebugCon *d = opaque;
    uint8_t byte = value;

    if (!d->chr) {
        return;
    }
    if (d->queue->len == 0 && chardev_write(d->chr, &byte, 1) == 1) {
        return;
    }
    if (d->queue->len < BACKLOG) {
        g_byte_array_append(d->queue, &byte, 1);
    } else {
        log_mask(LOG_GUEST_ERROR, "isa-debugcon: byte %02x dropped\n", byte);
    }
}

static const RegionOps debugcon_ops = {
    .read = debugcon_read,
    .write = debugcon_write,
    .min_size = 1,
    .max_size = 1,
};

static const CharClient debugcon_client = {
    .writable = debugcon_writable,
};

static bool debugcon_realize(Device *dev, GError **errp)
{
    DebugCon *d = container_of(dev, DebugCon, dev);

    if (d->chr && !chardev_attach(d->chr, &debugcon_client, d, errp)) {
        return false;
    }
    d->queue = g_byte_array_new();
    region_init_io(&d->port, "isa-debugcon", 1, &debugcon_ops, d);
    as_map(dev->machine->io, d->iobase, &d->port, 0);
    return true;
}

static void debugcon_unrealize(Device *dev)
{
    DebugCon *d = container_of(dev, DebugCon, dev);

    as_unmap(&d->port);
    if (d->chr) {
        chardev_detach(d->chr, d);
    }
    g_byte_array_unref(d->queue);
}

void isa_debugcon_set_chardev(Device *dev, Chardev *chr)
{
    container_of(dev, DebugCon, dev)->chr = chr;
}

static const Property debugcon_props[] = {
    { "iobase", PROP_U16, offsetof(DebugCon, iobase), 0xe9, "I/O port" },
    { "readback", PROP_U8, offsetof(DebugCon, readback), 0xe9,
      "what reading the port gives" },
    { "chardev", PROP_CHARDEV, offsetof(DebugCon, chr), 0,
      "where the bytes go" },
    { .kind = PROP_END },
};

const DeviceClass isa_debugcon_class = {
    .name = "isa-debugcon",
    .desc = "Port whose bytes go to a chardev",
    .category = DEVICE_MISC,
    .bus = "ISA",
    .size = sizeof(DebugCon),
    .props = debugcon_props,
    .realize = debugcon_realize,
    .unrealize = debugcon_unrealize,
};
