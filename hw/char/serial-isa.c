/*
 * isa-serial: a 16550A at one of the four places where PC software looks, or
 * anywhere else. See serial.c for the chip.
 */
#include "util/osdep.h"
#include "util/error.h"
#include "hw/char/serial.h"

enum { INDEX_NEXT = UINT32_MAX, IOBASE_OF_INDEX = 0, IRQ_OF_INDEX = 255 };

typedef struct IsaSerial {
    Device dev;
    Region ports;
    Serial uart;
    uint32_t index;  /* property: 0 is COM1 */
    uint16_t iobase; /* property */
    uint8_t irq;     /* property */
    Chardev *chr;    /* property */
} IsaSerial;

static const uint16_t com_iobase[MACHINE_SERIALS] = { 0x3f8, 0x2f8, 0x3e8,
                                                      0x2e8 };
static const uint8_t com_irq[MACHINE_SERIALS] = { 4, 3, 4, 3 };

static uint64_t isa_serial_read(void *opaque, hwaddr offset, unsigned size)
{
    IsaSerial *s = opaque;

    return serial_read(&s->uart, offset);
}

static void isa_serial_write(void *opaque, hwaddr offset, uint64_t value,
                             unsigned size)
{
    IsaSerial *s = opaque;

    serial_write(&s->uart, offset, value);
}

static const RegionOps isa_serial_ops = {
    .read = isa_serial_read,
    .write = isa_serial_write,
    .min_size = 1,
    .max_size = 1,
};

/* COM1 and COM3 share a line, which is high as long as one of them holds it. */
static void isa_serial_line(void *opaque, int n, int level)
{
    const Machine *m = opaque;
    bool any = false;

    for (guint i = 0; i < m->devices->len; i++) {
        const Device *dev = m->devices->pdata[i];

        if (dev->cls == &isa_serial_class) {
            const IsaSerial *s = container_of(dev, const IsaSerial, dev);

            any |= s->irq == n && s->uart.irq_level;
        }
    }
    irq_set(&m->gsi[n], any);
}

/* The lowest index no other isa-serial has. */
static uint32_t isa_serial_next_index(const Machine *m)
{
    uint32_t taken = 0, index = 0;

    for (unsigned i = 0; i < m->devices->len; i++) {
        const Device *dev = m->devices->pdata[i];

        if (dev->cls == &isa_serial_class) {
            const IsaSerial *s = container_of(dev, const IsaSerial, dev);

            taken |= s->index < 32 ? UINT32_C(1) << s->index : 0;
        }
    }
    while (index < MACHINE_SERIALS && (taken & (UINT32_C(1) << index))) {
        index++;
    }
    return index;
}

static bool isa_serial_place(IsaSerial *s, GError **errp)
{
    if (s->index == INDEX_NEXT) {
        s->index = isa_serial_next_index(s->dev.machine);
    }
    if (s->index >= MACHINE_SERIALS) {
        error_setg(errp,
                   "Max. supported number of ISA serial ports is %d. "
                   "index must be 0 to 3",
                   MACHINE_SERIALS);
        return false;
    }
    if (s->iobase == IOBASE_OF_INDEX) {
        s->iobase = com_iobase[s->index];
    }
    if (s->irq == IRQ_OF_INDEX) {
        s->irq = com_irq[s->index];
    }
    if (s->irq >= 16) {
        error_setg(errp, "irq must be 0 to 15, not %u", s->irq);
        return false;
    }
    if (s->iobase > 0x10000 - SERIAL_PORTS) {
        error_setg(errp, "iobase must be at most 0xfff8, not 0x%x", s->iobase);
        return false;
    }
    return true;
}

static bool isa_serial_realize(Device *dev, GError **errp)
{
    IsaSerial *s = container_of(dev, IsaSerial, dev);

    if (!isa_serial_place(s, errp)) {
        return false;
    }
    s->uart.machine = dev->machine;
    s->uart.irq = (IrqLine) { isa_serial_line, dev->machine, s->irq };
    s->uart.chr = s->chr;
    if (!serial_realize(&s->uart, errp)) {
        return false;
    }
    region_init_io(&s->ports, "serial", SERIAL_PORTS, &isa_serial_ops, s);
    as_map(dev->machine->io, s->iobase, &s->ports, 0);
    return true;
}

static void isa_serial_reset(Device *dev)
{
    serial_reset(&container_of(dev, IsaSerial, dev)->uart);
}

static void isa_serial_unrealize(Device *dev)
{
    IsaSerial *s = container_of(dev, IsaSerial, dev);

    as_unmap(&s->ports);
    serial_unrealize(&s->uart);
}

void isa_serial_set_chardev(Device *dev, Chardev *chr)
{
    container_of(dev, IsaSerial, dev)->chr = chr;
}

static const Property isa_serial_props[] = {
    { "index", PROP_U32, offsetof(IsaSerial, index), INDEX_NEXT,
      "0 to 3: COM1 to COM4; default: the next free one" },
    { "iobase", PROP_U16, offsetof(IsaSerial, iobase), IOBASE_OF_INDEX,
      "first I/O port; default: by index" },
    { "irq", PROP_U8, offsetof(IsaSerial, irq), IRQ_OF_INDEX,
      "interrupt, 0 to 15; default: by index" },
    { "chardev", PROP_CHARDEV, offsetof(IsaSerial, chr), 0,
      "host end of the line" },
    { .kind = PROP_END },
};

static const VMField isa_serial_fields[] = {
    VM_SUB(IsaSerial, uart, vmstate_serial),
    VM_FIELDS_END,
};

static const VMState vmstate_isa_serial = {
    .name = "isa-serial",
    .version = 1,
    .min_version = 1,
    .fields = isa_serial_fields,
};

const DeviceClass isa_serial_class = {
    .name = "isa-serial",
    .desc = "16550A serial port",
    .category = DEVICE_INPUT,
    .bus = "ISA",
    .size = sizeof(IsaSerial),
    .props = isa_serial_props,
    .vmstate = &vmstate_isa_serial,
    .realize = isa_serial_realize,
    .reset = isa_serial_reset,
    .unrealize = isa_serial_unrealize,
};
