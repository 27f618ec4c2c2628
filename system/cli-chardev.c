/*
 * Options for the lines to people and programs: -chardev, -serial, -monitor,
 * -qmp, -mon, -nographic, and the screens that there are not yet. Where nothing
 * is said, the terminal is shared: default_ports().
 */
#include "util/osdep.h"
#include "chardev/chardev.h"
#include "monitor/monitor.h"
#include "system/cli-opts.h"
#include "util/error.h"

OPT_FN(display)
{
    if (cli_is_help(arg)) {
        cli_print(cli, "Available display backend types:\nnone\n");
        return true;
    }
    if (strcmp(arg, "none")) {
        error_setg(errp, "-display %s: not supported yet: " NO_SCREENS, arg);
        return false;
    }
    cli->display_given = true;
    return true;
}

OPT_FN(vga)
{
    if (cli_is_help(arg)) {
        cli_print(cli, "none                 no graphic card (default)\n");
        return true;
    }
    if (strcmp(arg, "none")) {
        error_setg(errp,
                   "-vga %s: not supported yet: there are no screens; "
                   "-vga none or leave it out",
                   arg);
        return false;
    }
    return true;
}

OPT_FN(vnc)
{
    if (!strcmp(arg, "none")) {
        cli->display_given = true;
        return true;
    }
    error_setg(errp, "-vnc: not supported yet: " NO_SCREENS);
    return false;
}

OPT_FN(nographic)
{
    cli->nographic = true;
    return true;
}

OPT_FN(chardev)
{
    if (cli_is_help(arg)) {
        cli_print(cli, "Available chardev backend types: \n");
        for (int i = 0; char_backends[i]; i++) {
            cli_print(cli, "  %s\n", char_backends[i]->name);
        }
        return true;
    }
    g_ptr_array_add(cli->chardevs, g_strdup(arg));
    return true;
}

static void add_port(GPtrArray *list, const char *dev, unsigned flags,
                     bool chardev)
{
    CliPort *p = g_new0(CliPort, 1);

    p->dev = g_strdup(dev);
    p->flags = flags;
    p->is_chardev = chardev;
    g_ptr_array_add(list, p);
}

OPT_FN(serial)
{
    cli->serial_given = true;
    if (cli->serials->len >= MACHINE_SERIALS) {
        error_setg(errp, "-serial %s: a pc has %d serial ports", arg,
                   MACHINE_SERIALS);
        return false;
    }
    add_port(cli->serials, arg, 0, false);
    return true;
}

OPT_FN(parallel)
{
    if (!strcmp(arg, "none") || !strcmp(arg, "null")) {
        return true;
    }
    error_setg(errp,
               "-parallel %s: not supported yet: there is no parallel port; "
               "-parallel none or leave it out",
               arg);
    return false;
}

OPT_FN(monitor)
{
    cli->monitor_given = true;
    add_port(cli->monitors, arg, 0, false);
    return true;
}

OPT_FN(gdb_default)
{
    cli_set_string(&cli->gdb, "tcp::1234");
    return true;
}

OPT_FN(qmp)
{
    add_port(cli->monitors, arg, MON_QMP, false);
    return true;
}

OPT_FN(qmp_pretty)
{
    add_port(cli->monitors, arg, MON_QMP | MON_PRETTY, false);
    return true;
}

OPT_FN(mon)
{
    static const char *const keys[] = { "chardev", "mode", "pretty", "id",
                                        NULL };
    g_autoptr(KeyVal) kv = keyval_parse(arg, "chardev", errp);
    const char *dev, *mode;
    unsigned flags;
    bool pretty;

    if (!kv || !keyval_bool(kv, "pretty", false, &pretty, errp)) {
        return false;
    }
    dev = keyval_get(kv, "chardev");
    mode = keyval_get(kv, "mode");
    keyval_get(kv, "id");
    if (!dev) {
        error_setg(errp, "-mon %s: chardev= is missing", arg);
        return false;
    }
    if (mode && strcmp(mode, "readline") && strcmp(mode, "control")) {
        error_setg(errp, "-mon mode=%s: must be readline or control", mode);
        return false;
    }
    flags = mode && !strcmp(mode, "control") ? MON_QMP : 0;
    if (pretty && !flags) {
        error_setg(errp, "-mon pretty=on is for mode=control");
        return false;
    }
    cli->monitor_given = true;
    add_port(cli->monitors, dev, flags | (pretty ? MON_PRETTY : 0), true);
    return cli_refuse_unused(kv, "mon", keys, errp);
}

OPT_FN(echr)
{
    uint64_t v;

    if (!parse_u64(arg, &v, errp)) {
        g_prefix_error(errp, "-echr %s: ", arg);
        return false;
    }
    if (v > 255) {
        error_setg(errp, "-echr %s: must be 0 to 255", arg);
        return false;
    }
    cli->echr = v;
    return true;
}

/* ---- building ------------------------------------------------------------------- */

/* The chardev behind "-serial TEXT" or "chardev:ID"; NULL without an error
 * for "none". */
static bool open_port(Machine *m, const char *label, const CliPort *port,
                      Chardev **out, GError **errp)
{
    g_autoptr(GError) err = NULL;

    if (port->is_chardev) {
        *out = g_hash_table_lookup(m->chardevs, port->dev);
        if (!*out) {
            error_setg(errp, "chardev '%s' not found", port->dev);
            return false;
        }
        return true;
    }
    *out = chardev_new_legacy(m->chardevs, label, port->dev, &err);
    if (err) {
        g_propagate_error(errp, g_steal_pointer(&err));
        return false;
    }
    return true;
}

/*
 * Without a screen to put the console on, a plain start behaves as -nographic
 * does: serial port and monitor share the terminal.
 */
static void default_ports(Cli *cli)
{
    bool console =
        cli->nographic ||
        (!cli_daemonizes(cli) && !cli->display_given && !cli->serial_given &&
         !cli->monitor_given && !cli->monitors->len);

    if (cli->cfg.flat->len && !cli->nographic) { /* a lesson: no monitor */
        if (!cli->serial_given && !cli->nodefaults) {
            add_port(cli->serials, "stdio", 0, false);
        }
        return;
    }
    if (cli->nodefaults || !console) {
        return;
    }
    if (!cli->serial_given) {
        add_port(cli->serials, cli->monitor_given ? "stdio" : "mon:stdio",
                 false, false);
    } else if (!cli->monitor_given && cli->nographic) {
        const CliPort *s = g_ptr_array_index(cli->serials, 0);

        /* QEMU shares stdio here; we do too, unless it is taken. */
        if (!strstr(s->dev, "stdio")) {
            add_port(cli->monitors, "stdio", 0, false);
        }
    }
}

/* In the background there is no terminal. */
static bool check_stdio(Cli *cli, GError **errp)
{
    GPtrArray *const ports[] = { cli->serials, cli->monitors };

    if (!cli_daemonizes(cli)) {
        return true;
    }
    for (guint i = 0; i < cli->chardevs->len; i++) {
        const char *text = g_ptr_array_index(cli->chardevs, i);

        if (g_str_has_prefix(text, "stdio,") || strstr(text, "backend=stdio")) {
            error_setg(errp, "-chardev %s: cannot use stdio with -daemonize",
                       text);
            return false;
        }
    }
    for (size_t k = 0; k < G_N_ELEMENTS(ports); k++) {
        for (guint i = 0; i < ports[k]->len; i++) {
            const CliPort *p = g_ptr_array_index(ports[k], i);

            if (!p->is_chardev &&
                (!strcmp(p->dev, "stdio") || !strcmp(p->dev, "mon:stdio"))) {
                error_setg(errp, "-%s %s: cannot use stdio with -daemonize",
                           k ? "monitor" : "serial", p->dev);
                return false;
            }
        }
    }
    return true;
}

bool cli_build_chardevs(Machine *m, Cli *cli, GError **errp)
{
    default_ports(cli);
    if (!check_stdio(cli, errp)) {
        return false;
    }
    chardev_set_escape(cli->echr);
    for (guint i = 0; i < cli->chardevs->len; i++) {
        const char *text = g_ptr_array_index(cli->chardevs, i);

        if (!chardev_new(m->chardevs, text, errp)) {
            g_prefix_error(errp, "-chardev %s: ", text);
            return false;
        }
    }
    for (guint i = 0; i < cli->serials->len; i++) {
        const CliPort *port = g_ptr_array_index(cli->serials, i);
        g_autofree char *label = g_strdup_printf("serial%u", i);

        if (!open_port(m, label, port, &m->serial[i], errp)) {
            g_prefix_error(errp, "-serial %s: ", port->dev);
            return false;
        }
    }
    if (cli->debugcon) {
        CliPort port = { .dev = cli->debugcon };

        if (!open_port(m, "debugcon", &port, &m->debugcon, errp)) {
            g_prefix_error(errp, "-debugcon %s: ", cli->debugcon);
            return false;
        }
    }
    return true;
}

/* A "mon:" serial line made a monitor chardev of its own: see chardev.h. */
bool cli_build_monitors(Machine *m, Cli *cli, GError **errp)
{
    for (guint i = 0; i < cli->serials->len; i++) {
        const CliPort *port = g_ptr_array_index(cli->serials, i);

        if (g_str_has_prefix(port->dev, "mon:") &&
            !monitor_open(m, m->serial[i], 0, errp)) {
            return false;
        }
    }
    for (guint i = 0; i < cli->monitors->len; i++) {
        const CliPort *port = g_ptr_array_index(cli->monitors, i);
        g_autofree char *label = g_strdup_printf("compat_monitor%u", i);
        Chardev *c;

        if (!open_port(m, label, port, &c, errp)) {
            g_prefix_error(
                errp, "-%s %s: ", port->flags & MON_QMP ? "qmp" : "monitor",
                port->dev);
            return false;
        }
        if (c && !monitor_open(m, c, port->flags, errp)) {
            return false;
        }
    }
    return true;
}
