/*
 * Port 80, where firmware writes POST codes and Linux writes to wait a bit.
 *
 * It is the page register of no DMA channel, and reads back what was written.
 * Port ED, the other one that kernels wait with, takes writes likewise.
 */
#include "util/osdep.h"
#include "hw/misc/misc.h"

typedef struct Port80 {
    Device dev;
    Region port80, port_ed;
    uint8_t code;
} Port80;

static uint64_t port80_read(void *opaque, hwaddr offset, unsigned size)
{
    Port80 *s = opaque;

    return s->code;
}

static void port80_write(void *opaque, hwaddr offset, uint64_t value,
                         unsigned size)
{
    Port80 *s = opaque;

    s->code = value;
}

static const RegionOps port80_ops = {
    .read = port80_read,
    .write = port80_write,
    .min_size = 1,
    .max_size = 1,
};

static void port80_reset(Device *dev)
{
    container_of(dev, Port80, dev)->code = 0;
}

static bool port80_realize(Device *dev, GError **errp)
{
    Port80 *s = container_of(dev, Port80, dev);

    region_init_io(&s->port80, "port80", 1, &port80_ops, s);
    region_init_io(&s->port_ed, "port-ed", 1, &port80_ops, s);
    as_map(dev->machine->io, 0x80, &s->port80, 0);
    as_map(dev->machine->io, 0xed, &s->port_ed, 0);
    return true;
}

static void port80_unrealize(Device *dev)
{
    Port80 *s = container_of(dev, Port80, dev);

    as_unmap(&s->port80);
    as_unmap(&s->port_ed);
}

static const VMField port80_fields[] = {
    VM_U8(Port80, code),
    VM_FIELDS_END,
};

static const VMState vmstate_port80 = {
    .name = "port80",
    .version = 1,
    .min_version = 1,
    .fields = port80_fields,
};

const DeviceClass port80_class = {
    .name = "port80",
    .desc = "POST codes",
    .bus = "ISA",
    .size = sizeof(Port80),
    .vmstate = &vmstate_port80,
    .internal = true,
    .realize = port80_realize,
    .reset = port80_reset,
    .unrealize = port80_unrealize,
};
