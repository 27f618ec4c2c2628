/*
 * The PIIX3's ISA bridge: the router that takes the four PCI interrupts to
 * ISA interrupts.
 *
 * Intel 82371SB data sheet (290550): PIRQ route control 2.2.8. The trigger
 * mode of an interrupt (ELCR) is the 8259's, the reset control register
 * hw/misc/cf9.c's.
 *
 * Slots are wired as on QEMU's board: pin INTA# of slot 1 is PIRQA, of slot 2
 * PIRQB and so on; the other pins follow. An interrupt is high as long as one
 * function asserts a pin that is routed to it.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "hw/pci/i440fx.h"
#include "hw/pci/pci-regs.h"

#define PIRQ_DISABLED 0x80u
#define IRQS_ROUTABLE 0xdef8u /* not 0, 1, 2, 8 and 13 */

typedef struct Piix3 {
    PciDevice pci;
    IrqLine line[16];
    /* What follows can be worked out again and is not state. */
    uint64_t asserted[PIIX3_PIRQS][PCI_DEVFNS / 64]; /* by which functions */
    uint16_t out;                                    /* levels of line[] */
} Piix3;

extern const DeviceClass piix3_class;

static Piix3 *piix3_of(Device *dev)
{
    return container_of(dev, Piix3, pci.dev);
}

unsigned piix3_pirq(uint8_t devfn, int pin)
{
    return ((unsigned)pin + PCI_SLOT(devfn) + 3) % PIIX3_PIRQS;
}

void piix3_set_output(Device *dev, unsigned irq, IrqLine line)
{
    piix3_of(dev)->line[irq] = line;
}

static bool pirq_level(const Piix3 *s, unsigned pirq)
{
    uint64_t any = 0;

    for (unsigned i = 0; i < PCI_DEVFNS / 64; i++) {
        any |= s->asserted[pirq][i];
    }
    return any;
}

static void update(Piix3 *s)
{
    uint16_t out = 0, changed;

    for (unsigned i = 0; i < PIIX3_PIRQS; i++) {
        uint8_t route = s->pci.config[PIIX3_PIRQ + i];

        if (!(route & PIRQ_DISABLED) && pirq_level(s, i)) {
            out |= 1u << (route & 15);
        }
    }
    out &= IRQS_ROUTABLE;
    changed = out ^ s->out;
    s->out = out;
    for (unsigned irq = 0; irq < 16; irq++) {
        if (changed >> irq & 1) {
            irq_set(&s->line[irq], out >> irq & 1);
        }
    }
}

static void piix3_set_irq(void *opaque, uint8_t devfn, int pin, int level)
{
    Piix3 *s = opaque;
    uint64_t *word = &s->asserted[piix3_pirq(devfn, pin)][devfn / 64];
    uint64_t bit = UINT64_C(1) << devfn % 64;

    *word = level ? *word | bit : *word & ~bit;
    update(s);
}

static void piix3_config_written(PciDevice *pd, unsigned off, unsigned size)
{
    update(container_of(pd, Piix3, pci));
}

/* ---- device -------------------------------------------------------------------- */

/* Registers and their values after power-on, those we give a meaning and those
 * that are only kept. */
static const struct {
    uint8_t off, value, wmask;
} registers[] = {
    { 0x4c, 0x4d, 0xff }, /* ISA recovery */
    { 0x4e, 0x03, 0xff }, /* X-bus chip selects */
    { 0x4f, 0x00, 0x01 },
    { PIIX3_PIRQ + 0, PIRQ_DISABLED, 0x8f },
    { PIIX3_PIRQ + 1, PIRQ_DISABLED, 0x8f },
    { PIIX3_PIRQ + 2, PIRQ_DISABLED, 0x8f },
    { PIIX3_PIRQ + 3, PIRQ_DISABLED, 0x8f },
    { 0x69, 0x02, 0xfe }, /* top of memory */
    { 0x6a, 0x00, 0xff }, /* miscellaneous status */
    { 0x70, 0x80, 0xff }, /* motherboard interrupts */
    { 0x76, 0x0c, 0x8f }, /* motherboard DMA */
    { 0x77, 0x0c, 0x8f },
    { 0x78, 0x02, 0xff }, /* programmable chip select */
    { 0x80, 0x00, 0x7f }, /* I/O APIC base */
    { 0x82, 0x00, 0xff }, /* deterministic latency */
    { 0xa0, 0x08, 0xff }, /* SMI control, enable, timers */
    { 0xa2, 0x00, 0xff },
    { 0xa3, 0x00, 0xff },
    { 0xa8, 0x0f, 0xff },
};

static bool piix3_realize(Device *dev, GError **errp)
{
    static const PciIds ids = { .vendor = 0x8086,
                                .device = 0x7000,
                                .class_code = 0x060100 };
    Piix3 *s = piix3_of(dev);

    s->pci.multifunction = true;
    if (!pci_realize(&s->pci, &ids, errp)) {
        return false;
    }
    st_le16(s->pci.config + PCI_COMMAND,
            PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    st_le16(s->pci.config + PCI_STATUS, PCI_STATUS_DEVSEL_MEDIUM);
    for (size_t i = 0; i < G_N_ELEMENTS(registers); i++) {
        s->pci.config[registers[i].off] = registers[i].value;
        s->pci.wmask[registers[i].off] = registers[i].wmask;
    }
    s->pci.config_written = piix3_config_written;
    pci_bus_set_router(s->pci.bus, piix3_set_irq, s);
    return true;
}

static void piix3_reset(Device *dev)
{
    Piix3 *s = piix3_of(dev);

    pci_reset(&s->pci);
    update(s);
}

static void piix3_unrealize(Device *dev)
{
    Piix3 *s = piix3_of(dev);

    pci_bus_set_router(s->pci.bus, NULL, NULL);
    pci_unrealize(&s->pci);
}

static bool piix3_post_load(void *obj, int version, GError **errp)
{
    update(obj);
    return true;
}

static const Property piix3_props[] = {
    PCI_PROPS,
    { .kind = PROP_END },
};

static const VMField piix3_fields[] = {
    VM_SUB(Piix3, pci, vmstate_pci_device),
    VM_FIELDS_END,
};

static const VMState vmstate_piix3 = {
    .name = "PIIX3",
    .version = 1,
    .min_version = 1,
    .fields = piix3_fields,
    .post_load = piix3_post_load,
};

const DeviceClass piix3_class = {
    .name = "PIIX3",
    .desc = "ISA bridge",
    .bus = "PCI",
    .size = sizeof(Piix3),
    .props = piix3_props,
    .vmstate = &vmstate_piix3,
    .internal = true,
    .realize = piix3_realize,
    .reset = piix3_reset,
    .unrealize = piix3_unrealize,
};
