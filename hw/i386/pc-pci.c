/*
 * PCI of machine "pc": which chips, how their interrupts arrive, and what
 * firmware would have set up before it starts a kernel.
 *
 * PIRQA and PIRQB are interrupt 10, PIRQC and PIRQD 11, as SeaBIOS leaves
 * them; the ACPI tables let a guest choose 5, 10 or 11 for each. Both
 * interrupt controllers see them. Power management has interrupt 9 to itself.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "hw/i386/pc.h"
#include "hw/misc/misc.h"
#include "hw/pci/i440fx.h"
#include "hw/pci/pci-regs.h"
#include "target-x86/cpuid.h"

enum {
    IO_BASE = 0xc000,
    IO_END = 0x10000,
    PORT_ELCR2 = 0x4d1,
    PM_DEVFN = 1 << 3 | 3,
};

static const uint8_t pirq_route[PIIX3_PIRQS] = { 10, 10, 11, 11 };

/* Memory from the end of RAM (3 GiB, 3.5 GiB at most) to the I/O APIC; what
 * pc_set_mtrrs() leaves uncached. Above RAM, if the processors reach there. */
PciWindows pc_pci_windows(const PcBoard *b)
{
    const X86Cpu *cpu = b->machine->cpu ? b->machine->cpu[0] : NULL;
    unsigned bits = cpu && cpu->model ? cpu->model->phys_bits : 36;
    uint64_t low = b->below_4g > 3 * GIB ? b->below_4g : 3 * GIB;
    uint64_t high = (4 * GIB + b->above_4g + GIB - 1) & ~(GIB - 1);
    uint64_t end = bits < 64 ? UINT64_C(1) << bits : UINT64_MAX;
    PciWindows w = {
        .io = { IO_BASE, IO_END },
        .mem = { low, PC_PCI_MEM_END },
        .mem64 = { high, MIN(end, high + 64 * GIB) },
    };

    if (w.mem64.end < w.mem64.base) {
        w.mem64.end = w.mem64.base;
    }
    return w;
}

unsigned pc_pci_irq(unsigned slot, unsigned pin)
{
    return pirq_route[piix3_pirq(PCI_DEVFN(slot, 0), (int)pin)];
}

static bool pc_pci_add(PcBoard *b, Device *dev, const char *addr, GError **errp)
{
    if ((addr && !device_set(dev, "addr", addr, errp)) ||
        !device_realize(dev, errp)) {
        device_free(dev);
        return false;
    }
    return true;
}

bool pc_add_pci(PcBoard *b, Device *cf9, GError **errp)
{
    Machine *m = b->machine;
    Device *dev = device_new_class(m, &i440fx_class, NULL);

    i440fx_set_ram(dev, &b->ram);
    i440fx_set_reset_control(dev, cf9);
    if (!pc_pci_add(b, dev, NULL, errp)) {
        return false;
    }
    b->host_bridge = dev;
    dev = device_new_class(m, &piix3_class, NULL);
    for (unsigned i = 0; i < 16; i++) {
        piix3_set_output(dev, i, (IrqLine) { pc_pirq_set, b, (int)i });
    }
    if (!pc_pci_add(b, dev, "1.0", errp)) {
        return false;
    }
    if (!b->pm) {
        return true;
    }
    dev = device_new_class(m, &piix4_pm_class, NULL);
    piix4_pm_set_pm(dev, b->pm);
    return pc_pci_add(b, dev, "1.3", errp);
}

/* ---- as firmware ------------------------------------------------------------------ */

static void write8(PciDevice *pd, unsigned off, uint8_t value)
{
    pci_config_write(pd, off, value, 1);
}

static void pc_route_interrupts(PcBoard *b, PciBus *bus)
{
    PciDevice *isa = pci_bus_device(bus, PCI_DEVFN(1, 0));

    for (unsigned i = 0; i < PIIX3_PIRQS; i++) {
        write8(isa, PIIX3_PIRQ + i, pirq_route[i]);
    }
    for (unsigned i = 0; i < PCI_DEVFNS; i++) {
        PciDevice *pd = pci_bus_device(bus, i);
        unsigned pin = pd ? pd->config[PCI_INTERRUPT_PIN] : 0;

        if (pin) {
            write8(pd, PCI_INTERRUPT_LINE,
                   i == PM_DEVFN ? PM_SCI_GSI
                                 : pc_pci_irq(PCI_SLOT(i), pin - 1));
        }
    }
    as_store(b->machine->io, PORT_ELCR2, 1 << (10 - 8) | 1 << (11 - 8), 1);
}

void pc_pci_setup(PcBoard *b)
{
    PciBus *bus = pci_bus_find(b->machine, NULL);
    PciDevice *host = pci_bus_device(bus, 0);
    PciDevice *pm = pci_bus_device(bus, PM_DEVFN);
    PciWindows w = pc_pci_windows(b);

    as_begin(b->machine->mem);
    write8(host, I440FX_PAM, 0x30);
    for (unsigned i = 1; i < 7; i++) {
        write8(host, I440FX_PAM + i, 0x33);
    }
    as_commit(b->machine->mem);
    if (pm) {
        pci_config_write(pm, PIIX4_PMBASE, PM_DEFAULT_BASE | 1, 4);
        write8(pm, PIIX4_PMREGMISC, 1);
    }
    pc_route_interrupts(b, bus);
    pci_assign(bus, &w);
}

/* ---- $PIR -------------------------------------------------------------------------- */

/*
 * The interrupt routing table of Microsoft's specification 1.0, which a kernel
 * looks for between F0000 and FFFFF when it uses neither ACPI nor an I/O APIC.
 */
enum {
    PIR_HEADER = 32,
    PIR_SLOT = 16,
    PIR_SLOTS = PCI_SLOTS - 1, /* without the host bridge's */
    PIR_LEN = PIR_HEADER + PIR_SLOTS * PIR_SLOT,
    PIR_IRQS = 1 << 5 | 1 << 10 | 1 << 11,
};

static void pir_slot(uint8_t *p, unsigned slot)
{
    p[1] = PCI_DEVFN(slot, 0);
    for (unsigned pin = 0; pin < 4; pin++) {
        p[2 + pin * 3] = PIIX3_PIRQ + piix3_pirq(PCI_DEVFN(slot, 0), (int)pin);
        st_le16(p + 3 + pin * 3, PIR_IRQS);
    }
    p[14] = slot > 1 ? slot - 1 : 0; /* the number on the board */
}

bool pc_plan_pir(PcBoard *b, GError **errp)
{
    uint8_t pir[PIR_LEN] = { '$', 'P', 'I', 'R' };
    uint8_t sum = 0;

    st_le16(pir + 4, 0x0100);
    st_le16(pir + 6, PIR_LEN);
    pir[9] = PCI_DEVFN(1, 0); /* the router, and what it is like */
    st_le16(pir + 12, 0x8086);
    st_le16(pir + 14, 0x7000);
    for (unsigned i = 0; i < PIR_SLOTS; i++) {
        pir_slot(pir + PIR_HEADER + i * PIR_SLOT, i + 1);
    }
    for (unsigned i = 0; i < PIR_LEN; i++) {
        sum += pir[i];
    }
    pir[31] = -sum;
    return boot_plan_place_table(b->plan, pir, sizeof(pir), 16, errp) != 0;
}
