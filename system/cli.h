/*
 * From the command line to a machine that runs.
 *
 * Main thread. Errors come back as one line, without the program's name.
 */
#ifndef SYSTEM_CLI_H
#define SYSTEM_CLI_H

#include "system/options.h"
#include "system/machine.h"

typedef struct CliProcess CliProcess;

/* What the options said so far; strings are its own. */
struct Cli {
    KeyVal *machine;       /* all -machine options, the last value winning */
    GString *accels;       /* "kvm:tcg", in the order given */
    KeyVal *accel_options; /* of all -accel, likewise */
    GPtrArray *chardevs, *devices, *objects, *blockdevs; /* of char * */
    GPtrArray *netdevs;                                  /* of char * */
    GPtrArray *nics;               /* of cli-net.c; may be NULL */
    GPtrArray *drives;             /* of cli-drive.c; may be NULL */
    GPtrArray *serials, *monitors; /* of CliPort */
    char *debugcon, *loadvm, *incoming, *gdb;
    CliProcess *process; /* of cli-process.c */
    char *process_name;  /* -name process= */
    char *mem_path;
    bool mem_prealloc;
    MachineConfig cfg;
    int echr;
    bool snapshot;  /* of all drives */
    bool net_given; /* -netdev, -nic or -net */
    bool nographic, display_given, nodefaults, serial_given, monitor_given;
    bool explain;   /* -explain: say what would start, and end */
    GString *print; /* text asked for (-version, -device help): print, exit 0 */
};

/* A -serial, -monitor, -qmp or -mon. */
typedef struct CliPort {
    char *dev;
    unsigned flags;  /* MON_* of monitor/monitor.h; 0 for a -serial */
    bool is_chardev; /* dev is the id of a chardev */
} CliPort;

/* All options into a Cli: nothing is opened or built. */
Cli *cli_parse(int argc, char **argv, GError **errp);
void cli_free(Cli *cli);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Cli, cli_free)

/* The machine, reset and ready; @cli's configuration moves into it. */
Machine *cli_build(Cli *cli, GError **errp);
/* For -explain: builds the machine, takes it down, and returns the text (the
 * caller's), or NULL. Main thread. */
char *cli_explain(Cli *cli, GError **errp);
/* Ends monitors, CPUs, devices, chardevs. */
void cli_teardown(Machine *m);

#endif
