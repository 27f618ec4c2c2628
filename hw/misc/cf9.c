/*
 * Port CF9, the reset control register of the PIIX3 and its successors.
 *
 * Intel 82371SB data sheet (290550), 2.2.19. Bit 2 going from 0 to 1 resets;
 * bit 1 says how hard, bit 3 (ICH) with the power taken away: which makes
 * no difference here.
 *
 * It lies in the middle of CONFADD (CF8-CFB), which is only accessed as four
 * bytes: a host bridge has that port range and passes bytes at CF9 on to us.
 */
#include "util/osdep.h"
#include "hw/misc/misc.h"

#define RCR_RESET    0x04u
#define RCR_WRITABLE 0x0au

enum { CF9_PRIORITY = -1 }; /* below a host bridge */

typedef struct Cf9 {
    Device dev;
    Region port;
    uint8_t value;
} Cf9;

static uint64_t cf9_read(void *opaque, hwaddr offset, unsigned size)
{
    Cf9 *s = opaque;

    return s->value;
}

static void cf9_write(void *opaque, hwaddr offset, uint64_t value,
                      unsigned size)
{
    Cf9 *s = opaque;

    s->value = value & RCR_WRITABLE;
    if (value & RCR_RESET) {
        machine_request_reset(s->dev.machine, RESET_GUEST);
    }
}

uint8_t cf9_get(Device *dev)
{
    return container_of(dev, Cf9, dev)->value;
}

void cf9_set(Device *dev, uint8_t value)
{
    cf9_write(container_of(dev, Cf9, dev), 0, value, 1);
}

static const RegionOps cf9_ops = {
    .read = cf9_read,
    .write = cf9_write,
    .min_size = 1,
    .max_size = 1,
};

static void cf9_reset(Device *dev)
{
    container_of(dev, Cf9, dev)->value = 0;
}

static bool cf9_realize(Device *dev, GError **errp)
{
    Cf9 *s = container_of(dev, Cf9, dev);

    region_init_io(&s->port, "reset-control", 1, &cf9_ops, s);
    as_map(dev->machine->io, 0xcf9, &s->port, CF9_PRIORITY);
    return true;
}

static void cf9_unrealize(Device *dev)
{
    as_unmap(&container_of(dev, Cf9, dev)->port);
}

static const VMField cf9_fields[] = {
    VM_U8(Cf9, value),
    VM_FIELDS_END,
};

static const VMState vmstate_cf9 = {
    .name = "cf9",
    .version = 1,
    .min_version = 1,
    .fields = cf9_fields,
};

const DeviceClass cf9_class = {
    .name = "reset-control",
    .desc = "Reset control register at port CF9",
    .size = sizeof(Cf9),
    .vmstate = &vmstate_cf9,
    .internal = true,
    .realize = cf9_realize,
    .reset = cf9_reset,
    .unrealize = cf9_unrealize,
};
