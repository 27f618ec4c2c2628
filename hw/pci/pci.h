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

    PciBus *bus;   /* NULL: has no place yet */
    uint8_t devfn; /* device << 3 | function */
    /* What the guest reads. realize() fills in what it shall be after every
     * reset. */
    uint8_t config[PCI_CONFIG_SIZE];
    uint8_t wmask[PCI_CONFIG_SIZE];    /* bits the guest may write */
    uint8_t w1cmask[PCI_CONFIG_SIZE];  /* bits it clears by writing ones */
    uint8_t dynmask[PCI_CONFIG_SIZE];  /* bits that only the function changes */
    uint8_t power_on[PCI_CONFIG_SIZE]; /* taken at the first reset */
    uint8_t state[PCI_CONFIG_SIZE];    /* config[] on its way out or in */
    bool has_power_on;
    uint8_t state_devfn; /* of the function whose state this is */
    unsigned cap_end;    /* where the next capability goes */
    PciBar bar[PCI_REGIONS];
    bool irq_level;   /* what the function wants on its pin */
    bool irq_out;     /* what the bus was told */
    Region rom;       /* of romfile */
    Msix *msix;       /* NULL: none */
    unsigned msi_cap; /* offset; 0: none */
    /* MSI-X table and pending bits; of msix.c, here for the state table. */
    uint8_t *msix_bytes;
    uint32_t msix_len;
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

/* config[], interrupt level, MSI and MSI-X: one VM_SUB row. */
extern const VMState vmstate_pci_device;

/* Finds the bus and a free place, fills the header (sub_vendor 0: QEMU's
 * 1af4:1100), loads the ROM. If the class's realize() fails after this, it
 * calls pci_unrealize(). */
bool pci_realize(PciDevice *pd, const PciIds *ids, GError **errp);
/* In the class's reset: header registers, BARs, interrupts. */
void pci_reset(PciDevice *pd);
/* Unmaps the BARs and leaves the bus. The device frees its regions after. */
void pci_unrealize(PciDevice *pd);

/* @r has a size that is a power of two (io: at least 4, memory: 16). @n: BAR
 * number, or PCI_ROM. @r is the caller's; it is mapped while the guest decodes
 * it. */
void pci_add_bar(PciDevice *pd, int n, uint8_t type, Region *r);
/* Offset of @size zeroed bytes of a new capability, its id and link written; 0
 * and @errp when the 192 bytes are full. */
unsigned pci_add_cap(PciDevice *pd, uint8_t id, unsigned size, GError **errp);

/* The INTx pin; the bus does not see it while MSI or MSI-X is on. */
void pci_set_irq(PciDevice *pd, int level);
bool pci_bus_master(const PciDevice *pd); /* may it do DMA? */
/* false: not allowed to, or nothing is there. */
bool pci_dma_read(PciDevice *pd, hwaddr addr, void *buf, size_t len);
bool pci_dma_write(PciDevice *pd, hwaddr addr, const void *buf, size_t len);
/* The write of a message interrupt, if the function may do DMA. */
void pci_send_msi(PciDevice *pd, uint64_t addr, uint32_t data);

/* ---- MSI-X: table and pending bits in BAR @bar, vectors 0..@n-1 --------------- */

enum { MSIX_MAX_VECTORS = 2048 };

/* @errp: no room in the configuration space; @n out of range. */
bool msix_init(PciDevice *pd, unsigned n, int bar, GError **errp);
bool msix_enabled(const PciDevice *pd);
unsigned msix_vectors(const PciDevice *pd); /* 0: none */
/* Sends, or sets the pending bit of a masked vector. */
void msix_notify(PciDevice *pd, unsigned vector);
/* Address and data of @vector; false: MSI-X is off, or the vector masked. */
bool msix_message(const PciDevice *pd, unsigned vector, uint64_t *addr,
                  uint32_t *data);
/* @changed hears of every vector whose message or mask changed, or with
 * @vector -1 of all: for irqfds. */
void msix_watch(PciDevice *pd, void (*changed)(PciDevice *pd, int vector));

/* Where the accelerator has irqfds: from now on messages go to the kernel
 * through eventfds, one for each vector, which follow table and masks. Or no
 * more (@on false, also when the function goes). */
void msix_use_irqfds(PciDevice *pd, bool on);
/* What to write to, from any thread, to send @vector; -1: nothing now. */
int msix_irqfd(const PciDevice *pd, unsigned vector);

/* ---- MSI, up to 32 vectors, 64-bit address ------------------------------------- */

/* @n: a power of two. @masks: with a mask for each vector. */
bool msi_init(PciDevice *pd, unsigned n, bool masks, GError **errp);
bool msi_enabled(const PciDevice *pd);
/* Vectors the guest did not allow go to vector 0... as one message. */
void msi_notify(PciDevice *pd, unsigned vector);

/* Of pci.c only. */
void msix_config_written(PciDevice *pd, unsigned off, unsigned size);
void msix_reset(PciDevice *pd);
void msix_free(PciDevice *pd);
bool msix_loaded(PciDevice *pd, GError **errp);
void msi_config_written(PciDevice *pd, unsigned off, unsigned size);

/* ---- buses --------------------------------------------------------------------- */

enum { PCI_SLOTS = 32, PCI_FUNCTIONS = 8, PCI_DEVFNS = 256 };

/* In the order they were made: pci_bus_find(m, NULL) is the first. */
PciBus *pci_bus_new(Machine *m, const char *name);
/* No function is on it any more. */
void pci_bus_free(PciBus *bus);
/* Where pins 0..3 of the functions go: every change of a level. */
void pci_bus_set_router(PciBus *bus,
                        void (*set_irq)(void *opaque, uint8_t devfn, int pin,
                                        int level),
                        void *opaque);
/* NULL: no such bus. */
PciBus *pci_bus_find(Machine *m, const char *name);
PciDevice *pci_bus_device(PciBus *bus, uint8_t devfn); /* NULL: nobody */
/* @pd takes its place (property addr, or the first free slot). */
bool pci_bus_add(PciBus *bus, PciDevice *pd, GError **errp);
void pci_bus_remove(PciDevice *pd);
void pci_bus_set_irq(PciDevice *pd, int pin, int level);

/* Who tells the guest that functions come and go (hw/acpi/pcihp.h). */
typedef struct PciHotplug {
    void (*plugged)(void *opaque, PciDevice *pd);
    bool (*unplug)(void *opaque, PciDevice *pd, GError **errp);
} PciHotplug;
/* @ops NULL: nobody, as at the beginning. */
void pci_bus_set_hotplug(PciBus *bus, const PciHotplug *ops, void *opaque);

/* Configuration space as the guest sees it; @off + @size stays in one dword. */
uint32_t pci_config_read(PciDevice *pd, unsigned off, unsigned size);
void pci_config_write(PciDevice *pd, unsigned off, uint32_t value,
                      unsigned size);
/* Configuration mechanism 1: what CF8 and CFC (offset 0..3) do. All ones where
 * nobody answers. */
uint32_t pci_bus_config_read(PciBus *bus, uint32_t address, unsigned offset,
                             unsigned size);
void pci_bus_config_write(PciBus *bus, uint32_t address, unsigned offset,
                          uint32_t value, unsigned size);

/* Without firmware: gives every BAR an address inside the windows and turns
 * decoding on. @end is the byte behind a window. */
typedef struct PciWindow {
    uint64_t base, end;
} PciWindow;

typedef struct PciWindows {
    PciWindow io, mem, mem64;
} PciWindows;

void pci_assign(PciBus *bus, const PciWindows *w);
/* "Host bridge"; NULL: no name for class and subclass @code. */
const char *pci_class_name(uint16_t code);
/* The text of "info pci". */
void pci_dump(Machine *m, GString *out);

#endif
