/*
 * The drives of a machine: who has which, and devices for those that nobody
 * asked for by name. What the text of -drive means is in drive-opts.c.
 *
 * Two devices never share a node unless both only read: the node's file is
 * locked against other processes, but within this one nothing else would keep
 * them apart.
 */
#include "util/osdep.h"
#include "hw/block/drive.h"
#include "hw/block/errors.h"

#include "hw/block/drive-opts.h"
#include "hw/scsi/scsi.h"
#include "util/error.h"
#include "util/keyval.h"
#include "util/log.h"
#include "util/nearest.h"

static const char *const if_names[IF_COUNT] = {
    [IF_NONE] = "none",     [IF_IDE] = "ide",       [IF_SCSI] = "scsi",
    [IF_VIRTIO] = "virtio", [IF_FLOPPY] = "floppy", [IF_PFLASH] = "pflash",
    [IF_SD] = "sd",         [IF_MTD] = "mtd",
};

const char *drive_if_name(DriveIf iface)
{
    return if_names[iface];
}

static void flush_all(Machine *m)
{
    for (guint i = 0; i < m->drives->len; i++) {
        Drive *d = m->drives->pdata[i];
        BlockNode *bn = blk_node(d->blk);
        int ret = bn && !blk_read_only(d->blk) ? block_flush(bn) : 0;

        if (ret < 0) {
            warn_report("drive '%s': flush: %s", d->id, g_strerror(-ret));
        }
    }
}

/* A machine that stands has its disks in their files: other programs may look
 * at them. */
static void settle(Machine *m)
{
    drives_drain(m);
    flush_all(m);
}

GPtrArray *machine_drives(Machine *m)
{
    if (!m->drives) {
        m->drives = g_ptr_array_new();
        m->settle_disks = settle;
    }
    return m->drives;
}

BlockGraph *machine_block_graph(Machine *m)
{
    if (!m->block_graph) {
        m->block_graph = block_graph_new();
    }
    return m->block_graph;
}

static GPtrArray *machine_blockdevs(Machine *m)
{
    if (!m->blockdevs) {
        m->blockdevs = g_ptr_array_new();
    }
    return m->blockdevs;
}

Drive *drive_find(Machine *m, const char *id)
{
    GPtrArray *drives = machine_drives(m);

    for (guint i = 0; i < drives->len; i++) {
        Drive *d = drives->pdata[i];

        if (!d->blockdev && strcmp(d->id, id) == 0) {
            return d;
        }
    }
    return NULL;
}

void drive_free(Drive *d)
{
    if (!d) {
        return;
    }
    if (d->machine->drives) {
        g_ptr_array_remove(d->machine->drives, d);
    }
    drive_errors_forget(d);
    if (d->blk) {
        blk_free(d->blk);
    }
    g_free(d->id);
    g_free(d->serial);
    g_free(d->throttle_group);
    g_free(d->text);
    g_free(d->werror);
    g_free(d->rerror);
    g_free(d);
}

/* ---- who has it ------------------------------------------------------------ */

/* "virtio-blk-pci 'disk0'" */
static char *user_name(const Device *dev)
{
    return dev->id ? g_strdup_printf("%s '%s'", dev->cls->name, dev->id)
                   : g_strdup(dev->cls->name);
}

/* Who else has @bn in a way that does not go together with @write: an owned
 * text, or NULL. */
static char *node_conflict(Machine *m, BlockNode *bn, bool write)
{
    GPtrArray *drives = machine_drives(m);
    g_autoptr(GPtrArray) nodes = block_graph_nodes(machine_block_graph(m));

    for (guint i = 0; i < drives->len; i++) {
        const Drive *d = drives->pdata[i];

        if (blk_node(d->blk) != bn || !(write || !blk_read_only(d->blk))) {
            continue;
        }
        if (d->user) {
            return user_name(d->user);
        }
        return g_strdup_printf("drive '%s'", d->id);
    }
    if (bn->jobs) {
        return g_strdup_printf("a block job: %s", bn->job);
    }
    for (guint i = 0; i < nodes->len; i++) {
        const BlockNode *p = nodes->pdata[i];

        if (p->file == bn && (write || !p->read_only)) {
            return g_strdup_printf("node '%s' as its 'file'", p->name);
        }
        if (p->backing == bn && write) {
            return g_strdup_printf("node '%s' as its 'backing'", p->name);
        }
    }
    return NULL;
}

static void no_such_drive(Machine *m, const char *id, const Device *dev,
                          GError **errp)
{
    g_autoptr(GPtrArray) nodes = block_graph_nodes(machine_block_graph(m));
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *hint = NULL;

    for (guint i = 0; i < machine_drives(m)->len; i++) {
        g_ptr_array_add(names, ((Drive *)m->drives->pdata[i])->id);
    }
    for (guint i = 0; i < nodes->len; i++) {
        BlockNode *bn = nodes->pdata[i];

        if (bn->name[0] != '#') {
            g_ptr_array_add(names, bn->name);
        }
    }
    hint = did_you_mean(id, names_end(names), " (");
    error_setg(errp, "Property '%s.drive' can't find value '%s'%s",
               dev->cls->name, id, hint);
}

static Drive *drive_of_node(Machine *m, BlockNode *bn, GError **errp)
{
    g_autofree char *who = node_conflict(m, bn, !bn->read_only);
    Drive *d;

    if (who) {
        error_setg(errp, "Node '%s' is already in use by %s", bn->name, who);
        return NULL;
    }
    d = g_new0(Drive, 1);
    d->id = g_strdup(bn->name);
    d->text = g_strdup_printf("node-name=%s", bn->name);
    d->machine = m;
    d->blockdev = true;
    d->blk = blk_new(d->id, block_ref(bn), BLK_AIO_DEFAULT);
    g_ptr_array_add(machine_drives(m), d);
    return d;
}

/* if=virtio and the like belong to the device that drives_connect() makes. */
static bool is_spoken_for(const Drive *d)
{
    return d->iface != IF_NONE && !d->if_default && !d->connected;
}

Drive *drive_take(Machine *m, const char *id, Device *dev, GError **errp)
{
    Drive *d;
    BlockNode *bn;

    if (!id || !id[0]) {
        error_setg(errp, "drive property not set");
        return NULL;
    }
    d = drive_find(m, id);
    if (d && d->user) {
        g_autofree char *who = user_name(d->user);

        error_setg(errp, "Drive '%s' is already in use by another device (%s)",
                   id, who);
        return NULL;
    }
    if (d && is_spoken_for(d)) {
        error_setg(errp,
                   "Drive '%s' is already in use because it has been "
                   "automatically connected to another device (did you need "
                   "'if=none' in the drive options?)",
                   id);
        return NULL;
    }
    if (!d) {
        bn = block_graph_find(machine_block_graph(m), id);
        if (!bn) {
            no_such_drive(m, id, dev, errp);
            return NULL;
        }
        d = drive_of_node(m, bn, errp);
        if (!d) {
            return NULL;
        }
    }
    d->user = dev;
    return d;
}

/* As in QEMU a -drive goes with the device that device_del takes out. */
void drive_release(Drive *d)
{
    bool gone;

    if (!d) {
        return;
    }
    gone = d->user->unplugged;
    d->user = NULL;
    d->media_changed = NULL;
    d->resized = NULL;
    d->tray = NULL;
    if (d->blockdev || gone) {
        drive_free(d);
    }
}

bool drive_del(Machine *m, const char *id, GError **errp)
{
    Drive *d = drive_find(m, id);

    if (!d) {
        error_set_class(errp, ERROR_CLASS_DEVICE_NOT_FOUND,
                        "Device '%s' not found", id);
        return false;
    }
    if (d->user) {
        g_autofree char *who = user_name(d->user);

        error_setg(errp, "Drive '%s' is in use by %s", id, who);
        return false;
    }
    drive_free(d);
    return true;
}

/* ---- nodes ----------------------------------------------------------------- */

static bool blockdev_add_options(Machine *m, KeyVal *options, GError **errp)
{
    BlockNode *bn = blockdev_open(machine_block_graph(m), options, errp);

    if (!bn) {
        return false;
    }
    g_ptr_array_add(machine_blockdevs(m), bn);
    return true;
}

bool blockdev_add(Machine *m, const char *text, GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_parse(text, "driver", errp);

    return kv && blockdev_add_options(m, kv, errp);
}

bool blockdev_del(Machine *m, const char *node, GError **errp)
{
    BlockNode *bn = block_graph_find(machine_block_graph(m), node);
    g_autofree char *who = bn ? node_conflict(m, bn, true) : NULL;

    if (!bn) {
        error_setg(errp, "Failed to find node with node-name='%s'", node);
        return false;
    }
    if (who) {
        error_setg(errp, "Node '%s' is busy: it is in use by %s", node, who);
        return false;
    }
    if (!g_ptr_array_remove(machine_blockdevs(m), bn)) {
        error_setg(errp, "Node '%s' is not owned by the monitor", node);
        return false;
    }
    return block_close(bn, errp);
}

void drives_drain(Machine *m)
{
    GPtrArray *drives = machine_drives(m);
    bool busy = true;

    while (busy) {
        busy = false;
        for (guint i = 0; i < drives->len; i++) {
            Drive *d = drives->pdata[i];

            busy |= blk_in_flight(d->blk) > 0;
            blk_drain(d->blk);
        }
    }
}

void drives_free(Machine *m)
{
    while (m->drives && m->drives->len) {
        drive_free(m->drives->pdata[m->drives->len - 1]);
    }
    while (m->blockdevs && m->blockdevs->len) {
        BlockNode *bn = m->blockdevs->pdata[m->blockdevs->len - 1];

        g_ptr_array_set_size(m->blockdevs, (int)m->blockdevs->len - 1);
        block_close(bn, NULL);
    }
    m->settle_disks = NULL;
    g_clear_pointer(&m->drives, g_ptr_array_unref);
    g_clear_pointer(&m->blockdevs, g_ptr_array_unref);
    g_clear_pointer(&m->block_graph, block_graph_free);
}

/* ---- devices for drives ------------------------------------------------------ */

static bool connect_device(Drive *d, Device *dev, GError **errp)
{
    d->connected = true;
    if (!device_set(dev, "drive", d->id, errp) || !device_realize(dev, errp)) {
        device_free(dev);
        d->connected = false;
        return false;
    }
    return true;
}

static bool connect_virtio(Drive *d, GError **errp)
{
    const char *cls = strcmp(d->machine->cls->virtio_bus, "PCI") == 0
                          ? "virtio-blk-pci"
                          : "virtio-blk-device";
    Device *dev = device_new(d->machine, cls, NULL, errp);

    if (!dev) {
        return false;
    }
    return connect_device(d, dev, errp);
}

/* The board of bus=@n: as many are made as are missing. */
static ScsiBus *scsi_board(Machine *m, int n, GError **errp)
{
    const char *cls = strcmp(m->cls->virtio_bus, "PCI") == 0
                          ? "virtio-scsi-pci"
                          : "virtio-scsi-device";
    ScsiBus *bus;

    while (!(bus = scsi_bus_at(m, (unsigned)n))) {
        Device *dev = device_new(m, cls, NULL, errp);

        if (!dev || !device_realize(dev, errp)) {
            if (dev) {
                device_free(dev);
            }
            return NULL;
        }
        info_report("if=scsi: the controller is a %s", cls);
    }
    return bus;
}

static bool connect_scsi(Drive *d, GError **errp)
{
    ScsiBus *bus = scsi_board(d->machine, d->bus, errp);
    g_autofree char *unit = g_strdup_printf("%d", d->unit);
    Device *dev;

    dev = bus ? device_new(d->machine, d->cdrom ? "scsi-cd" : "scsi-hd", NULL,
                           errp)
              : NULL;
    if (!dev) {
        return false;
    }
    if (!device_set(dev, "bus", bus->name, errp) ||
        !device_set(dev, "scsi-id", unit, errp)) {
        device_free(dev);
        return false;
    }
    return connect_device(d, dev, errp);
}

static bool connect_one(Drive *d, GString *moved, GError **errp)
{
    const char *bus = d->machine->cls->virtio_bus;

    switch (d->iface) {
    case IF_VIRTIO:
        if (bus) {
            return connect_virtio(d, errp);
        }
        break;
    case IF_IDE:
    case IF_FLOPPY:
        if (bus) {
            if (!blk_node(d->blk)) {
                return true; /* virtio has no drives without a disc */
            }
            g_string_append_printf(moved, "%s%s", moved->len ? ", " : "",
                                   d->id);
            return connect_virtio(d, errp);
        }
        break;
    case IF_SCSI:
        if (bus) {
            return connect_scsi(d, errp);
        }
        break;
    default:
        break;
    }
    error_setg(errp,
               "machine type does not support if=%s,bus=%d,unit=%d: "
               "'%s' has no place for such a drive",
               if_names[d->iface], d->bus, d->unit, d->machine->cls->name);
    return false;
}

bool drives_connect(Machine *m, GError **errp)
{
    g_autoptr(GString) moved = g_string_new(NULL);
    GPtrArray *drives = machine_drives(m);

    for (guint i = 0; i < drives->len; i++) {
        Drive *d = drives->pdata[i];

        if (d->user || d->iface == IF_NONE) {
            continue;
        }
        if (!connect_one(d, moved, errp)) {
            g_prefix_error(errp, "-drive %s: ", d->text);
            return false;
        }
    }
    if (moved->len) {
        info_report("there is no IDE and no floppy controller yet: %s %s "
                    "virtio disk%s (/dev/vda ...)",
                    moved->str, strchr(moved->str, ',') ? "are" : "is a",
                    strchr(moved->str, ',') ? "s" : "");
    }
    return true;
}
