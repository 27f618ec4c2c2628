/*
 * The board of machine "pc": what build() made and reset() needs again.
 */
#ifndef HW_I386_PC_H
#define HW_I386_PC_H

#include "hw/acpi/pm.h"
#include "hw/i386/boot.h"
#include "hw/i386/machine-opts.h"
#include "hw/pci/pci.h"

typedef struct PcBoard {
    Machine *machine;
    PcOptions opts;
    Region ram;          /* all of it; the guest sees the windows below */
    Region ram_low;      /* 0-9FFFF; from there to 1 MiB: hw/pci/i440fx.c */
    Region ram_below_4g; /* from 1 MiB */
    Region ram_above_4g;
    uint64_t below_4g, above_4g; /* bytes */
    E820 e820;
    BootPlan *plan;
    FlatBoot *flat; /* -flat, or NULL */
    bool warned_nothing;
    bool has_pci;

    /* Owned by machine->devices; NULL where left out. */
    Device *pic, *ioapic, *pit, *rtc, *hpet, *pm, *i8042, *port92, *fw_cfg;
    Device *host_bridge;
    IrqLine pic_in[16], ioapic_in[MACHINE_GSIS];
    uint8_t gsi_by[16]; /* who holds it high: 1 the device, 2 PCI */
} PcBoard;

/* PCI memory BARs lie below this address. */
#define PC_PCI_MEM_END UINT64_C(0xfec00000)

/* pc-pci.c. The chips; after the interrupt controllers and b->pm. */
bool pc_add_pci(PcBoard *b, Device *cf9, GError **errp);
/* At reset without firmware: routes, BARs, shadow RAM. */
void pc_pci_setup(PcBoard *b);
PciWindows pc_pci_windows(const PcBoard *b);
/* The interrupt that pin @pin (0 to 3) of @slot has after reset. */
unsigned pc_pci_irq(unsigned slot, unsigned pin);
/* The table of PIRQs for kernels without ACPI. */
bool pc_plan_pir(PcBoard *b, GError **errp);

/* pc.c: an interrupt that the ISA bridge's router drives. */
void pc_pirq_set(void *opaque, int n, int level);
/*
 * pc.c: pieces of a board, each made as b->opts says; machine "microvm" is made
 * of some of them. m->board is a PcBoard or begins with one.
 */
bool pc_map_ram(PcBoard *b, GError **errp);
void pc_map_window(PcBoard *b, Region *r, const char *name, hwaddr base,
                   hwaddr offset, uint64_t size);
void pc_unmap(Region *r); /* if it is mapped */
bool pc_prepare_cpus(PcBoard *b, GError **errp);
/* -kernel or -flat, and the tables, into b->plan. */
bool pc_plan_boot(PcBoard *b, GError **errp);
bool pc_add_interrupts(PcBoard *b, GError **errp);
bool pc_add_timers(PcBoard *b, GError **errp);
bool pc_add_pm(PcBoard *b, GError **errp);
bool pc_add_fw_cfg(PcBoard *b, GError **errp);
bool pc_add_serials(PcBoard *b, GError **errp);
bool pc_add_debugcon(PcBoard *b, GError **errp);
/* Any other device. @out may be NULL. */
bool pc_add(PcBoard *b, const DeviceClass *cls, Device **out, GError **errp);
/* Realizes @dev, which machine->devices owns from here on; frees it if not. */
bool pc_realize(Device *dev, GError **errp);
void pc_reset(Machine *m);
void pc_unbuild(Machine *m);

/* pc-tables.c: ACPI, SMBIOS, MP tables and BIOS data area into @b->plan; @env
 * learns where they are. */
bool pc_plan_tables(PcBoard *b, BootEnv *env, GError **errp);

#endif
