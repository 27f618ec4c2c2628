/*
 * PCI functions and the buses they sit on. PCI Local Bus 3.0; message
 * interrupts: 6.8.
 *
 * A function's struct begins with a PciDevice; its DeviceClass has bus "PCI".
 * realize() calls pci_realize(), which finds the function a place on its bus,
 * then adds BARs and capabilities. Configuration accesses are answered here
 * from config[], through wmask[] and w1cmask[].
 *
 * Main thread or a vCPU's, machine lock held.
 */
#ifndef HW_PCI_PCI_H
#define HW_PCI_PCI_H

#include "system/device.h"
#include "system/irq.h"
#include "system/machine.h"
#include "system/memory.h"

typedef struct PciBus PciBus;
typedef struct PciDevice PciDevice;
typedef struct Msix Msix; /* of msix.c */
typedef struct Msi Msi;   /* of msi.c */

enum {
    PCI_CONFIG_SIZE = 256,
    PCI_BARS = 6,
    PCI_ROM = PCI_BARS, /* the expansion ROM's place in bar[] */
    PCI_REGIONS,
};

/* Low bits of a BAR. */
enum {
    PCI_BAR_MEM32 = 0x0,
    PCI_BAR_IO = 0x1,
    PCI_BAR_MEM64 = 0x4, /* takes the next BAR's place as well */
    PCI_BAR_PREFETCH = 0x8,
};

typedef struct PciIds {
    uint16_t vendor, device, sub_vendor, sub_device;
    uint32_t class_code; /* 24 bits: class, subclass, interface */
    uint8_t revision;
    uint8_t irq_pin; /* 1 INTA# ... 4 INTD#; 0: none */
} PciIds;

typedef struct PciBar {
    Region *region; /* the device's; mapped where the guest wants it */
    uint8_t type;   /* PCI_BAR_* */
    uint64_t size;  /* a power of two */
    uint64_t addr;  /* where it is mapped; PCI_BAR_UNMAPPED: nowhere */
} PciBar;

#define PCI_BAR_UNMAPPED UINT64_MAX

struct PciDevice {
    Device dev;
    /* Properties of every function, see PCI_PROPS. */
    char *addr_prop; /* "4", "4.1", "0x1f.0" */
    char *bus_prop;  /* "pci.0" */
    char *romfile;
    bool rombar, multifunction;

    PciBus *bus;
    uint8_t devfn; /* device << 3 | function */
    uint8_t config[PCI_CONFIG_SIZE];
    uint8_t wmask[PCI_CONFIG_SIZE];   /* bits the guest may write */
    uint8_t w1cmask[PCI_CONFIG_SIZE]; /* bits it clears by writing ones */
    PciBar bar[PCI_REGIONS];
    bool irq_level; /* what the function drives on its pin */
    Msix *msix;
    Msi *msi;
    /* Optional, after the bytes changed: BARs are already moved. */
    void (*config_written)(PciDevice *pd, unsigned off, unsigned size);
    /* Optional, before the bytes are read. */
    void (*config_reading)(PciDevice *pd, unsigned off, unsigned size);
};

/* Rows for the property table of a class whose instance begins with a
 * PciDevice. */
#define PCI_PROPS \
    { "addr", PROP_STRING, offsetof(PciDevice, addr_prop), 0, \
      "place on the bus: device[.function], hexadecimal" }, \
        { "bus", PROP_STRING, offsetof(PciDevice, bus_prop), 0, \
          "bus to sit on (pci.0)" }, \
        { "romfile", PROP_STRING, offsetof(PciDevice, romfile), 0, \
          "expansion ROM image" }, \
        { "rombar", PROP_BOOL, offsetof(PciDevice, rombar), 1, \
          "show the expansion ROM in a BAR" }, \
    { \
        "multifunction", PROP_BOOL, offsetof(PciDevice, multifunction), 0, \
            "other functions follow in the same place" \
    }

/* config[], masks, BARs, interrupt level, MSI and MSI-X: one VM_SUB row. */
extern const VMState vmstate_pci_device;

/* Finds the bus and a free place, fills the header. */
bool pci_realize(PciDevice *pd, const PciIds *ids, GError **errp);
/* In the class's reset: header registers, BARs, interrupts. */
void pci_reset(PciDevice *pd);
void pci_unrealize(PciDevice *pd);

/* @r has a size that is a power of two (io: at least 4, memory: 16). @n: BAR
 * number, or PCI_ROM. @r is the caller's; it is mapped while the guest decodes
 * it. */
void pci_add_bar(PciDevice *pd, int n, uint8_t type, Region *r);
/* Offset of @size zeroed bytes of a new capability, its id and link written; 0
 * and @errp when the 192 bytes are full. */
unsigned pci_add_cap(PciDevice *pd, uint8_t id, unsigned size, GError **errp);

/* The INTx pin; nothing happens while MSI or MSI-X is on. */
void pci_set_irq(PciDevice *pd, int level);
bool pci_bus_master(const PciDevice *pd); /* may it do DMA? */
bool pci_dma_read(PciDevice *pd, hwaddr addr, void *buf, size_t len);
bool pci_dma_write(PciDevice *pd, hwaddr addr, const void *buf, size_t len);

/* ---- MSI-X: table and pending bits in BAR @bar, vectors 0..@n-1 --------------- */

bool msix_init(PciDevice *pd, unsigned n, int bar, GError **errp);
bool msix_enabled(const PciDevice *pd);
unsigned msix_vectors(const PciDevice *pd);
/* Sends, or sets the pending bit of a masked vector. */
void msix_notify(PciDevice *pd, unsigned vector);

/* ---- MSI, one message, 64-bit address, per-vector mask ------------------------ */

bool msi_init(PciDevice *pd, unsigned n, GError **errp);
bool msi_enabled(const PciDevice *pd);
void msi_notify(PciDevice *pd, unsigned vector);

/* ---- buses --------------------------------------------------------------------- */

/* @set_irq: pin 0..3 of device number @dev. Configuration accesses by ports CF8
 * and CFC are the host bridge's. */
PciBus *pci_bus_new(Machine *m, const char *name,
                    void (*set_irq)(void *opaque, unsigned devfn, int pin,
                                    int level),
                    void *opaque);
void pci_bus_free(PciBus *bus);
PciBus *pci_bus_find(Machine *m, const char *name); /* NULL name: the first */
PciDevice *pci_bus_device(PciBus *bus, uint8_t devfn);
uint32_t pci_config_read(PciDevice *pd, unsigned off, unsigned size);
void pci_config_write(PciDevice *pd, unsigned off, uint32_t value,
                      unsigned size);
/* Without firmware: gives every BAR an address inside the machine's windows,
 * programs interrupt lines and turns decoding on. */
void pci_assign(PciBus *bus, hwaddr mem, hwaddr mem_end, hwaddr mem64,
                hwaddr mem64_end, unsigned io, unsigned io_end);
/* The text of "info pci". */
void pci_dump(Machine *m, GString *out);

#endif
