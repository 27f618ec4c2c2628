/*
 * The board of machine "pc": what build() made and reset() needs again.
 */
#ifndef HW_I386_PC_H
#define HW_I386_PC_H

#include "hw/i386/boot.h"
#include "hw/i386/machine-opts.h"

typedef struct PcBoard {
    Machine *machine;
    PcOptions opts;
    Region ram;          /* all of it; the guest sees the windows below */
    Region ram_low;      /* 0-9FFFF */
    Region ram_bios;     /* C0000-FFFFF: where firmware is shadowed */
    Region ram_below_4g; /* from 1 MiB */
    Region ram_above_4g;
    uint64_t below_4g, above_4g; /* bytes */
    E820 e820;
    BootPlan *plan;
    FlatBoot *flat; /* -flat, or NULL */
    bool warned_nothing;

    /* Owned by machine->devices; NULL where left out. */
    Device *pic, *ioapic, *pit, *rtc, *hpet, *pm, *i8042, *port92, *fw_cfg;
    IrqLine pic_in[16], ioapic_in[MACHINE_GSIS];
} PcBoard;

/* pc-tables.c: ACPI, SMBIOS, MP tables and BIOS data area into @b->plan; @env
 * learns where they are. */
bool pc_plan_tables(PcBoard *b, BootEnv *env, GError **errp);

#endif
