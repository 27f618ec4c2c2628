/*
 * -explain: the machine that the other options make, in words, instead of its
 * start. It is built as for a start, so what would fail then fails here with
 * the same message; only monitors, the gdb stub and -incoming are not opened.
 */
#include "util/osdep.h"
#include "accel/accel.h"
#include "block/snapshot-text.h"
#include "chardev/chardev.h"
#include "hw/block/drive.h"
#include "hw/i386/pc.h"
#include "hw/pci/pci-regs.h"
#include "monitor/monitor.h"
#include "net/net.h"
#include "system/cli-opts.h"

OPT_FN(explain)
{
    cli->explain = true;
    return true;
}

/* A line of the table; @key "" goes on with the one before. */
static G_GNUC_PRINTF(3, 4) void row(GString *out, const char *key,
                                    const char *fmt, ...)
{
    va_list ap;

    g_string_append_printf(out, "%-11s", key);
    va_start(ap, fmt);
    g_string_append_vprintf(out, fmt, ap);
    va_end(ap);
    g_string_append_c(out, '\n');
}

/* ---- what runs ---------------------------------------------------------------- */

static void explain_engine(GString *out, const Machine *m, const Cli *cli)
{
    const AccelOps *now = m->accel->ops;

    row(out, "engine", "%s: %s%s", now->name, now->desc,
        cli->accels->len ? "" : " (-accel chooses)");
    for (unsigned i = 0; accels[i]; i++) {
        if (accels[i] != now && accels[i]->available(NULL)) {
            row(out, "", "%s can be used here, too: -accel %s", accels[i]->name,
                accels[i]->name);
        }
    }
}

static void explain_processors(GString *out, const Machine *m)
{
    const MachineConfig *c = &m->cfg;
    const char *model = c->cpu_model;

    row(out, "processors", "%u of model %s%s", m->ncpus,
        model ? model : m->accel->ops->default_cpu,
        model ? "" : " (-cpu and -smp choose)");
    if (m->ncpus > 1) {
        row(out, "", "sockets %u, dies %u, cores %u, threads %u", c->sockets,
            c->dies, c->cores, c->threads);
    }
}

static void explain_program(GString *out, const Machine *m)
{
    const PcBoard *b = m->board;
    const MachineConfig *c = &m->cfg;

    if (!b) {
        row(out, "starts", "nothing: this machine runs no program");
    } else if (b->plan->mode == BOOT_NOTHING) {
        row(out, "starts", "nothing (-kernel or -flat names a program)");
    } else {
        row(out, "starts", "%s: %s", c->kernel ? c->kernel : "-flat",
            b->plan->protocol);
    }
    if (c->initrd) {
        row(out, "", "initrd: %s", c->initrd);
    }
    if (c->append) {
        row(out, "", "command line: %s", c->append);
    }
}

static void explain_start(GString *out, const Machine *m, const Cli *cli)
{
    if (cli->loadvm) {
        row(out, "starts", "as snapshot %s was saved", cli->loadvm);
    } else if (cli->incoming) {
        row(out, "starts", "when a machine arrived at %s", cli->incoming);
    } else {
        explain_program(out, m);
    }
    if (m->cfg.start_paused) {
        row(out, "", "paused, until \"cont\" in a monitor or in gdb (-S)");
    }
}

/* ---- what it is connected to ---------------------------------------------------- */

/* The name that Linux gives the disk of @dev, or NULL. */
static char *linux_name(const Machine *m, const Device *dev)
{
    bool scsi = g_str_has_prefix(dev->cls->name, "scsi-hd");
    unsigned n = 0;

    if (!scsi && !g_str_has_prefix(dev->cls->name, "virtio-blk")) {
        return NULL;
    }
    for (guint i = 0; i < m->devices->len; i++) {
        const Device *d = m->devices->pdata[i];

        if (d == dev) {
            break;
        }
        n += d->cls == dev->cls;
    }
    return n < 26 ? g_strdup_printf("%s%c", scsi ? "sd" : "vd", 'a' + (int)n)
                  : NULL;
}

static void explain_disk(GString *out, const Machine *m, const Drive *d,
                         const char *key)
{
    const BlockNode *bn = blk_node(d->blk);
    g_autofree char *name = d->user ? linux_name(m, d->user) : NULL;
    g_autofree char *size = bn ? block_size_text(bn->size) : NULL;

    if (bn) {
        row(out, key, "%s: %s, %s, %s%s", d->id, bn->filename, bn->drv->name,
            size, bn->read_only ? ", read-only" : "");
        for (bn = bn->backing; bn; bn = bn->backing) {
            row(out, "", "  over %s, %s", bn->filename, bn->drv->name);
        }
    } else {
        row(out, key, "%s: empty", d->id);
    }
    if (!d->user) {
        row(out, "", "  no device has it: -device ...,drive=%s", d->id);
    } else if (name) {
        row(out, "", "  on %s; Linux calls it /dev/%s", d->user->cls->name,
            name);
    } else {
        row(out, "", "  on %s", d->user->cls->name);
    }
}

static void explain_disks(GString *out, Machine *m)
{
    const GPtrArray *drives = machine_drives(m);

    if (!drives->len) {
        row(out, "disks", "none (-drive file=F,format=raw|qcow2 adds one)");
    }
    for (guint i = 0; i < drives->len; i++) {
        explain_disk(out, m, drives->pdata[i], i ? "" : "disks");
    }
}

static void explain_network(GString *out, const Machine *m)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_auto(GStrv) lines = NULL;

    net_print(m->netdevs, text);
    lines = g_strsplit(g_strchomp(text->str), "\n", -1);
    if (!lines[0] || !*lines[0]) {
        row(out, "network", "none (-nic user adds a card)");
        return;
    }
    for (unsigned i = 0; lines[i]; i++) {
        row(out, i ? "" : "network", "%s", lines[i]);
    }
}

/* Where the host end of @port is. */
static const char *port_end(const Machine *m, const CliPort *port)
{
    const Chardev *c =
        port->is_chardev ? g_hash_table_lookup(m->chardevs, port->dev) : NULL;

    if (strcmp(port->dev, "stdio") == 0) {
        return "this terminal";
    }
    if (strcmp(port->dev, "mon:stdio") == 0) {
        return "this terminal, with a monitor: Ctrl-a c changes to it, "
               "Ctrl-a x ends";
    }
    return c && c->where ? c->where : port->dev;
}

static void explain_ports(GString *out, const Machine *m, const Cli *cli)
{
    for (guint i = 0; i < cli->serials->len; i++) {
        const CliPort *p = cli->serials->pdata[i];

        row(out, i ? "" : "serial", "COM%u, ttyS%u in Linux: %s", i + 1, i,
            port_end(m, p));
    }
    if (!cli->serials->len) {
        row(out, "serial", "not connected (-serial stdio does)");
    }
    for (guint i = 0; i < cli->monitors->len; i++) {
        const CliPort *p = cli->monitors->pdata[i];

        row(out, i ? "" : "monitor", "%s: %s",
            p->flags & MON_QMP ? "QMP, for programs" : "for people",
            port_end(m, p));
    }
    if (cli->gdb) {
        row(out, "gdb", "%s", cli->gdb);
    }
}

/* ---- devices ------------------------------------------------------------------- */

/* Where the guest finds it. */
static char *device_place(const Device *dev)
{
    uint64_t at;

    if (g_strcmp0(dev->cls->bus, "PCI") == 0) {
        const PciDevice *pd = container_of(dev, const PciDevice, dev);

        return g_strdup_printf("%02x.%x", PCI_SLOT(pd->devfn),
                               PCI_FUNC(pd->devfn));
    }
    if (device_number(dev, "iobase", &at)) {
        return g_strdup_printf("port %#" PRIx64, at);
    }
    if (device_number(dev, "base", &at)) {
        return g_strdup_printf("%#" PRIx64, at);
    }
    return g_strdup(dev->cls->bus ? dev->cls->bus : "");
}

static void explain_devices(GString *out, const Machine *m)
{
    for (guint i = 0; i < m->devices->len; i++) {
        const Device *dev = m->devices->pdata[i];
        g_autofree char *place = device_place(dev);

        row(out, i ? "" : "devices", "%-12s %-20s %s", place, dev->cls->name,
            dev->cls->desc ? dev->cls->desc : "");
    }
}

/* ---- all ------------------------------------------------------------------------ */

char *cli_explain(Cli *cli, GError **errp)
{
    Machine *m = cli_build(cli, errp);
    g_autofree char *ram = NULL;
    GString *out;

    if (!m) {
        return NULL;
    }
    out = g_string_new(NULL);
    ram = block_size_text(m->cfg.ram_size);
    row(out, "machine", "%s: %s", m->cls->name, m->cls->desc);
    explain_engine(out, m, cli);
    explain_processors(out, m);
    row(out, "memory", "%s%s", ram, m->cfg.ram_given ? "" : " (-m chooses)");
    explain_start(out, m, cli);
    explain_disks(out, m);
    explain_network(out, m);
    explain_ports(out, m, cli);
    explain_devices(out, m);
    cli_teardown(m);
    return g_string_free(out, FALSE);
}
