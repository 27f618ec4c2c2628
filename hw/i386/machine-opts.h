/* -machine options: which exist, which mean something here. */
#ifndef HW_I386_MACHINE_OPTS_H
#define HW_I386_MACHINE_OPTS_H

#include "system/machine.h"

typedef struct PcOptions {
    bool acpi, hpet, i8042, pic, pit, rtc, smbios_v2, smbios_v3;
    bool isa_serial, auto_cmdline;   /* of machine "microvm" */
    uint64_t max_below_4g;           /* bytes; 0: the usual split */
    char oem_id[7], oem_table_id[9]; /* of the ACPI tables */
} PcOptions;

/* Checks m->cfg.machine_opts and copies kernel=, initrd=, append= and dtb= to
 * the configuration where the command line left them out. An unknown option
 * is an error that names the nearest one. */
bool machine_read_options(Machine *m, PcOptions *out, GError **errp);
/* "-machine NAME,help": those with an effect, one a line, then the others. */
void machine_print_options(const MachineClass *mc, GString *out);

#endif
