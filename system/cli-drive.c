/*
 * Disk images: -drive, -blockdev and the short forms, which are a -drive with
 * its place filled in.
 */
#include "util/osdep.h"
#include "system/cli-opts.h"

#include "hw/block/drive.h"

/* One option. Nothing is opened before all have been read: -snapshot may come
 * last. */
typedef struct CliDrive {
    const char *option; /* "drive", "hda" */
    char *given;        /* its argument, for messages */
    char *text;         /* as for -drive */
} CliDrive;

static void cli_drive_free(void *p)
{
    CliDrive *d = p;

    g_free(d->given);
    g_free(d->text);
    g_free(d);
}

/* Takes @text. */
static void add_drive(Cli *cli, const OptionDef *def, const char *given,
                      char *text)
{
    CliDrive *d = g_new0(CliDrive, 1);

    if (!cli->drives) {
        cli->drives = g_ptr_array_new_with_free_func(cli_drive_free);
    }
    d->option = def->name;
    d->given = g_strdup(given);
    d->text = text;
    g_ptr_array_add(cli->drives, d);
}

static void print_formats(Cli *cli)
{
    cli_print(cli, "Supported formats:");
    for (int i = 0; block_drivers[i]; i++) {
        cli_print(cli, " %s", block_drivers[i]->name);
    }
    cli_print(cli, "\n");
}

OPT_FN(drive)
{
    g_autoptr(KeyVal) kv = keyval_parse(arg, NULL, errp);
    const char *format;

    if (!kv) {
        return false;
    }
    format = keyval_get(kv, "format");
    if (cli_is_help(format) || cli_is_help(arg)) {
        print_formats(cli);
        return true;
    }
    add_drive(cli, def, arg, g_strdup(arg));
    return true;
}

OPT_FN(blockdev)
{
    g_autoptr(KeyVal) kv = keyval_parse(arg, "driver", errp);

    if (!kv) {
        return false;
    }
    if (cli_is_help(keyval_get(kv, "driver"))) {
        print_formats(cli);
        return true;
    }
    g_ptr_array_add(cli->blockdevs, g_strdup(arg));
    return true;
}

/* A file name as the value of an option: its commas doubled. */
static char *quote_commas(const char *name)
{
    g_auto(GStrv) parts = g_strsplit(name, ",", -1);

    return g_strjoinv(",,", parts);
}

/* "disk.img,format=raw" where QEMU takes nothing but a name, unless there is
 * such a file. */
static char *file_options(const char *arg)
{
    g_autoptr(KeyVal) kv = NULL;

    if (strchr(arg, ',') && access(arg, F_OK) != 0) {
        kv = keyval_parse(arg, "file", NULL);
    }
    if (kv && keyval_get(kv, "file")) {
        return g_strdup(g_str_has_prefix(arg, "file=") ? arg + 5 : arg);
    }
    return quote_commas(arg);
}

/* -hda, -cdrom and others: a row says the rest of the -drive. */
OPT_FN(disk_file)
{
    static const struct {
        const char *option, *rest;
    } forms[] = {
        { "hda", "index=0,media=disk" },    { "hdb", "index=1,media=disk" },
        { "hdc", "index=2,media=disk" },    { "hdd", "index=3,media=disk" },
        { "cdrom", "index=2,media=cdrom" }, { "fda", "if=floppy,index=0" },
        { "fdb", "if=floppy,index=1" },     { "sd", "if=sd,index=0" },
        { "pflash", "if=pflash" },          { "mtdblock", "if=mtd" },
    };
    g_autofree char *file = file_options(arg);

    for (size_t i = 0; i < G_N_ELEMENTS(forms); i++) {
        if (strcmp(def->name, forms[i].option) == 0) {
            add_drive(cli, def, arg,
                      g_strdup_printf("%s,file=%s", forms[i].rest, file));
        }
    }
    return true;
}

OPT_FN(snapshot)
{
    cli->snapshot = true;
    return true;
}

char **cli_find_drive(Cli *cli, const char *id)
{
    for (guint i = 0; cli->drives && i < cli->drives->len; i++) {
        CliDrive *d = g_ptr_array_index(cli->drives, i);
        g_autoptr(KeyVal) kv = keyval_parse(d->text, NULL, NULL);

        if (kv && !g_strcmp0(keyval_get(kv, "id"), id)) {
            return &d->text;
        }
    }
    return NULL;
}

static bool build_drive(Machine *m, const Cli *cli, const CliDrive *d,
                        GError **errp)
{
    g_autofree char *text =
        g_strdup_printf("%s%s", d->text, cli->snapshot ? ",snapshot=on" : "");

    if (!drive_add(m, text, errp)) {
        g_prefix_error(errp, "-%s %s: ", d->option, d->given);
        return false;
    }
    return true;
}

/* Nodes first, as in QEMU: a -drive may stand on a -blockdev. */
bool cli_build_drives(Machine *m, Cli *cli, GError **errp)
{
    for (guint i = 0; i < cli->blockdevs->len; i++) {
        const char *text = g_ptr_array_index(cli->blockdevs, i);

        if (!blockdev_add(m, text, errp)) {
            g_prefix_error(errp, "-blockdev %s: ", text);
            return false;
        }
    }
    for (guint i = 0; cli->drives && i < cli->drives->len; i++) {
        if (!build_drive(m, cli, g_ptr_array_index(cli->drives, i), errp)) {
            return false;
        }
    }
    return true;
}
