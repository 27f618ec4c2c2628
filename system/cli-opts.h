/*
 * Private to system/cli*.c: the functions that options.def names, and what
 * they share.
 */
#ifndef SYSTEM_CLI_OPTS_H
#define SYSTEM_CLI_OPTS_H

#include "system/cli.h"
#include "util/keyval.h"

#define RAM_DEFAULT (128 * MIB)
#define NO_SCREENS \
    "there are no screens; -nographic has the serial port on this terminal"

/* All of them, wherever they are. */
#define SECTION(text)
#define OPT(name, fn, arg, help) \
    bool opt_##fn(Cli *cli, const OptionDef *def, const char *arg_text, \
                  GError **errp);
#define LATER(name, arg, help, instead)
#include "system/options.def"

/* The head of one. */
#define OPT_FN(name) \
    bool opt_##name(Cli *cli, const OptionDef *def, const char *arg, \
                    GError **errp)

void cli_print(Cli *cli, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
bool cli_is_help(const char *text); /* "help", "?" */
void cli_set_string(char **where, const char *text);
/* "NAME options:" and a line for each property. */
void cli_print_props(Cli *cli, const DeviceClass *dc);
/* The keys nobody read, as an error that names @option. @known: for the
 * nearest name; ends with NULL. */
bool cli_refuse_unused(KeyVal *kv, const char *option, const char *const *known,
                       GError **errp);

/* --stats-on-exit; vCPUs paused. */
void cli_print_stats(Machine *m);
CliProcess *cli_process_new(void);
void cli_process_free(CliProcess *p);
bool cli_daemonizes(const Cli *cli);
/* The memory back end, if one was named: after the objects. */
bool cli_build_memory(Machine *m, Cli *cli, GError **errp);
/* A word for each -global whose driver does not exist. */
void cli_check_globals(const Machine *m);
/* Where the text of an option of @group ("device", "drive") with id=@id is, or
 * NULL. */
char **cli_find_option(Cli *cli, const char *group, const char *id);
/* For it: that of the -drive with @id. */
char **cli_find_drive(Cli *cli, const char *id);

/* cli-chardev.c, cli-object.c, cli-drive.c, cli-net.c: what the options asked
 * for, in their order. */
bool cli_build_chardevs(Machine *m, Cli *cli, GError **errp);
bool cli_build_monitors(Machine *m, Cli *cli, GError **errp);
bool cli_build_objects(Machine *m, Cli *cli, bool late, GError **errp);
bool cli_build_drives(Machine *m, Cli *cli, GError **errp);
bool cli_build_netdevs(Machine *m, Cli *cli, GError **errp);
bool cli_build_nics(Machine *m, Cli *cli, GError **errp);

#endif
