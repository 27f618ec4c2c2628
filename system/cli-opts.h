/*
 * Private to system/cli*.c: the functions that options.def names, and what
 * they share.
 */
#ifndef SYSTEM_CLI_OPTS_H
#define SYSTEM_CLI_OPTS_H

#include "system/cli.h"
#include "util/keyval.h"

/* All of them, wherever they are. */
#define SECTION(text)
#define OPT(name, fn, arg, help) \
    bool opt_##fn(Cli *cli, const OptionDef *def, const char *arg_text, \
                  GError **errp);
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

/* cli-object.c, cli-drive.c, cli-net.c: what the options asked for, in their order. */
bool cli_build_objects(Machine *m, Cli *cli, bool late, GError **errp);
bool cli_build_drives(Machine *m, Cli *cli, GError **errp);
bool cli_build_netdevs(Machine *m, Cli *cli, GError **errp);
bool cli_build_nics(Machine *m, Cli *cli, GError **errp);

#endif
