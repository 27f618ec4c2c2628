/*
 * Port 92, "system control port A": A20 without the keyboard controller, and a
 * fast reset of the processor.
 *
 * IBM PS/2 Hardware Interface Technical Reference, 1988. On the chip sets the
 * A20 of port 92 and of the keyboard controller are ORed; here as in QEMU
 * whoever writes last wins, which is what SeaBIOS counts on.
 */
#include "util/osdep.h"
#include "hw/misc/misc.h"

#define P92_RESET    0x01u
#define P92_A20      0x02u
#define P92_WRITABLE 0xfbu

typedef struct Port92 {
    Device dev;
    Region port;
    IrqLine a20;
    uint8_t value;
} Port92;

static uint64_t port92_read(void *opaque, hwaddr offset, unsigned size)
{
    Port92 *s = opaque;

    return s->value;
}

static void port92_write(void *opaque, hwaddr offset, uint64_t value,
                         unsigned size)
{
    Port92 *s = opaque;
    uint8_t old = s->value;

    s->value = value & P92_WRITABLE;
    irq_set(&s->a20, !!(value & P92_A20));
    if ((value & P92_RESET) && !(old & P92_RESET)) {
        machine_request_reset(s->dev.machine, RESET_GUEST);
    }
}

static const RegionOps port92_ops = {
    .read = port92_read,
    .write = port92_write,
    .min_size = 1,
    .max_size = 1,
};

void port92_set_a20(Device *dev, IrqLine a20)
{
    container_of(dev, Port92, dev)->a20 = a20;
}

void port92_a20_changed(Device *dev, bool on)
{
    Port92 *s = container_of(dev, Port92, dev);

    s->value = (s->value & ~P92_A20) | (on ? P92_A20 : 0);
}

/* A20 works after reset, as the firmware of a PC leaves it. */
static void port92_reset(Device *dev)
{
    Port92 *s = container_of(dev, Port92, dev);

    s->value = P92_A20;
    irq_set(&s->a20, 1);
}

static bool port92_realize(Device *dev, GError **errp)
{
    Port92 *s = container_of(dev, Port92, dev);

    region_init_io(&s->port, "port92", 1, &port92_ops, s);
    as_map(dev->machine->io, 0x92, &s->port, 0);
    return true;
}

static void port92_unrealize(Device *dev)
{
    as_unmap(&container_of(dev, Port92, dev)->port);
}

static bool port92_post_load(void *obj, int version, GError **errp)
{
    Port92 *s = obj;

    irq_set(&s->a20, !!(s->value & P92_A20));
    return true;
}

static const VMField port92_fields[] = {
    VM_U8(Port92, value),
    VM_FIELDS_END,
};

static const VMState vmstate_port92 = {
    .name = "port92",
    .version = 1,
    .min_version = 1,
    .fields = port92_fields,
    .post_load = port92_post_load,
};

const DeviceClass port92_class = {
    .name = "port92",
    .desc = "A20 and fast reset",
    .bus = "ISA",
    .size = sizeof(Port92),
    .vmstate = &vmstate_port92,
    .internal = true,
    .realize = port92_realize,
    .reset = port92_reset,
    .unrealize = port92_unrealize,
};
