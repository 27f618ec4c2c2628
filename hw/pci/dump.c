/* The text of "info pci", as QEMU 7.2 prints it. */
#include "util/osdep.h"
#include "util/bits.h"
#include "hw/pci/pci-regs.h"
#include "hw/pci/pci.h"

/* Names of classes. PCI Code and ID Assignment 1.11; only where QEMU has one. */
static const struct {
    uint16_t code;
    const char *name;
} class_names[] = {
    { 0x0001, "VGA controller" },
    { 0x0100, "SCSI controller" },
    { 0x0101, "IDE controller" },
    { 0x0102, "Floppy controller" },
    { 0x0103, "IPI controller" },
    { 0x0104, "RAID controller" },
    { 0x0106, "SATA controller" },
    { 0x0180, "Storage controller" },
    { 0x0200, "Ethernet controller" },
    { 0x0201, "Token Ring controller" },
    { 0x0202, "FDDI controller" },
    { 0x0203, "ATM controller" },
    { 0x0280, "Network controller" },
    { 0x0300, "VGA controller" },
    { 0x0301, "XGA controller" },
    { 0x0302, "3D controller" },
    { 0x0380, "Display controller" },
    { 0x0400, "Video controller" },
    { 0x0401, "Audio controller" },
    { 0x0402, "Phone" },
    { 0x0403, "Audio controller" },
    { 0x0480, "Multimedia controller" },
    { 0x0500, "RAM controller" },
    { 0x0501, "Flash controller" },
    { 0x0580, "Memory controller" },
    { 0x0600, "Host bridge" },
    { 0x0601, "ISA bridge" },
    { 0x0602, "EISA bridge" },
    { 0x0603, "MC bridge" },
    { 0x0604, "PCI bridge" },
    { 0x0605, "PCMCIA bridge" },
    { 0x0606, "NUBUS bridge" },
    { 0x0607, "CARDBUS bridge" },
    { 0x0608, "RACEWAY bridge" },
    { 0x0680, "Bridge" },
    { 0x0700, "Serial port" },
    { 0x0701, "Parallel port" },
    { 0x0800, "Interrupt controller" },
    { 0x0801, "DMA controller" },
    { 0x0802, "Timer" },
    { 0x0803, "RTC" },
    { 0x0900, "Keyboard" },
    { 0x0901, "Pen" },
    { 0x0902, "Mouse" },
    { 0x0a00, "Dock station" },
    { 0x0b00, "i386 cpu" },
    { 0x0b40, "Co-processor" },
    { 0x0c00, "Firewire controller" },
    { 0x0c01, "Access bus controller" },
    { 0x0c02, "SSA controller" },
    { 0x0c03, "USB controller" },
    { 0x0c04, "Fibre channel controller" },
    { 0x0c05, "SMBus" },
};

const char *pci_class_name(uint16_t code)
{
    for (size_t i = 0; i < G_N_ELEMENTS(class_names); i++) {
        if (class_names[i].code == code) {
            return class_names[i].name;
        }
    }
    return NULL;
}

static void dump_class(GString *out, uint16_t code)
{
    const char *name = pci_class_name(code);

    if (name) {
        g_string_append_printf(out, "    %s", name);
    } else {
        g_string_append_printf(out, "    Class %04u", code);
    }
}

static void dump_bar(GString *out, const PciBar *bar, int n)
{
    uint64_t last = bar->addr + bar->size - 1;

    g_string_append_printf(out, "      BAR%d: ", n);
    if (bar->type & PCI_BAR_IO) {
        g_string_append_printf(out,
                               "I/O at 0x%04" PRIx64 " [0x%04" PRIx64 "].\n",
                               bar->addr, last);
    } else {
        g_string_append_printf(
            out, "%d bit%s memory at 0x%08" PRIx64 " [0x%08" PRIx64 "].\n",
            bar->type & PCI_BAR_MEM64 ? 64 : 32,
            bar->type & PCI_BAR_PREFETCH ? " prefetchable" : "", bar->addr,
            last);
    }
}

static void dump_function(GString *out, const PciDevice *pd)
{
    const uint8_t *c = pd->config;

    g_string_append_printf(out, "  Bus %2d, device %3u, function %u:\n", 0,
                           PCI_SLOT(pd->devfn), PCI_FUNC(pd->devfn));
    dump_class(out, ld_le16(c + PCI_CLASS_DEVICE));
    g_string_append_printf(out, ": PCI device %04x:%04x\n",
                           ld_le16(c + PCI_VENDOR_ID),
                           ld_le16(c + PCI_DEVICE_ID));
    g_string_append_printf(out, "      PCI subsystem %04x:%04x\n",
                           ld_le16(c + PCI_SUBSYSTEM_VENDOR_ID),
                           ld_le16(c + PCI_SUBSYSTEM_ID));
    if (c[PCI_INTERRUPT_PIN]) {
        g_string_append_printf(out, "      IRQ %d, pin %c\n",
                               c[PCI_INTERRUPT_LINE],
                               'A' + c[PCI_INTERRUPT_PIN] - 1);
    }
    for (int n = 0; n < PCI_REGIONS; n++) {
        if (pd->bar[n].region) {
            dump_bar(out, &pd->bar[n], n);
        }
    }
    g_string_append_printf(out, "      id \"%s\"\n",
                           pd->dev.id ? pd->dev.id : "");
}

void pci_dump(Machine *m, GString *out)
{
    if (!m->pci_buses) {
        g_string_append(out, "PCI devices not supported\n");
        return;
    }
    for (guint b = 0; b < m->pci_buses->len; b++) {
        PciBus *bus = g_ptr_array_index(m->pci_buses, b);

        for (unsigned i = 0; i < PCI_DEVFNS; i++) {
            const PciDevice *pd = pci_bus_device(bus, i);

            if (pd) {
                dump_function(out, pd);
            }
        }
    }
}
