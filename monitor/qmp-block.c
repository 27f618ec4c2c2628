/* QMP about disks: what is there, nodes, sizes, media, limits. */
#include "util/osdep.h"
#include "util/error.h"
#include "hw/block/drive.h"
#include "monitor/qmp-cmds.h"

#if CONFIG_JSON_C

/* ---- describing ---------------------------------------------------------------- */

static json_object *info_json(const InfoItem *item);

static void info_member(json_object *to, const InfoItem *item)
{
    if (json_object_is_type(to, json_type_array)) {
        js_add(to, info_json(item));
    } else {
        js_put(to, item->name, info_json(item));
    }
}

static json_object *info_json(const InfoItem *item)
{
    json_object *o;

    switch (item->kind) {
    case INFO_BOOL:
        return json_object_new_boolean(item->u != 0);
    case INFO_INT:
        return json_object_new_uint64(item->u);
    case INFO_STR:
        return json_object_new_string(item->str);
    default:
        o = item->kind == INFO_DICT ? json_object_new_object()
                                    : json_object_new_array();
        for (guint i = 0; i < item->items->len; i++) {
            info_member(o, item->items->pdata[i]);
        }
        return o;
    }
}

/* ImageInfo, with those of the backing files inside. */
static json_object *image_json(BlockNode *bn)
{
    g_autoptr(InfoItem) info = block_describe(bn);
    json_object *o = info_json(info);

    if (bn->backing) {
        js_put(o, "backing-image", image_json(bn->backing));
    }
    return o;
}

static unsigned chain_depth(const BlockNode *bn)
{
    unsigned n = 0;

    for (; bn->backing; bn = bn->backing) {
        n++;
    }
    return n;
}

static const char *const limit_names[LIMIT_KINDS] = {
    [LIMIT_BPS_TOTAL] = "bps",     [LIMIT_BPS_READ] = "bps_rd",
    [LIMIT_BPS_WRITE] = "bps_wr",  [LIMIT_IOPS_TOTAL] = "iops",
    [LIMIT_IOPS_READ] = "iops_rd", [LIMIT_IOPS_WRITE] = "iops_wr",
};

/* @blk NULL: no limits. */
static void put_limits(json_object *o, const Blk *blk)
{
    BlkLimits limits = { 0 };

    if (blk) {
        blk_get_limits(blk, &limits);
    }
    for (int i = 0; i < LIMIT_KINDS; i++) {
        js_int(o, limit_names[i], (int64_t)limits.avg[i]);
    }
    for (int i = 0; i < LIMIT_KINDS; i++) {
        if (limits.max[i] > 0) {
            g_autofree char *name = g_strconcat(limit_names[i], "_max", NULL);

            js_int(o, name, (int64_t)limits.max[i]);
        }
    }
    if (limits.iops_size) {
        js_u64(o, "iops_size", limits.iops_size);
    }
}

/* BlockDeviceInfo. */
static json_object *node_json(BlockNode *bn, const Blk *blk, bool flat)
{
    json_object *o = json_object_new_object();
    json_object *cache = js_put(o, "cache", json_object_new_object());
    json_object *image = js_put(o, "image", image_json(bn));

    if (flat) {
        json_object_object_del(image, "backing-image");
    }
    js_bool(cache, "writeback", !(bn->flags & BLOCK_WRITETHROUGH));
    js_bool(cache, "direct", (bn->flags & BLOCK_DIRECT) != 0);
    js_bool(cache, "no-flush", (bn->flags & BLOCK_NO_FLUSH) != 0);
    js_str(o, "file", bn->filename);
    js_str(o, "node-name", bn->name);
    js_str(o, "drv", bn->drv->name);
    js_bool(o, "ro", bn->read_only);
    js_bool(o, "encrypted", js_get_bool(image, "encrypted"));
    js_int(o, "backing_file_depth", chain_depth(bn));
    if (bn->backing) {
        js_str(o, "backing_file", bn->backing->filename);
    }
    js_str(o, "detect_zeroes", "off");
    js_int(o, "write_threshold", 0);
    put_limits(o, blk);
    return o;
}

/* The device that has @d, as clients know it; NULL: none. In QEMU a virtio disk
 * is a part of the PCI function, and libvirt looks for it by that name. */
static char *user_path(const Drive *d)
{
    g_autofree char *path = d->user ? qom_path(d->user) : NULL;

    return path && !strcmp(d->user->cls->name, "virtio-blk-pci")
               ? g_strconcat(path, "/virtio-backend", NULL)
               : g_steal_pointer(&path);
}

/* "" where the disk is known by its node's name only, as in QEMU. */
static const char *device_name(const Drive *d)
{
    return d->blockdev ? "" : d->id;
}

static bool has_tray(const Drive *d)
{
    return d->user && d->tray;
}

static void put_drive(json_object *o, const Drive *d)
{
    BlockNode *bn = blk_node(d->blk);
    g_autofree char *path = user_path(d);

    js_str(o, "device", device_name(d));
    js_str(o, "qdev", path);
    js_str(o, "type", "unknown");
    js_bool(o, "locked", has_tray(d) && d->tray(d->user, TRAY_OP_IS_LOCKED));
    js_bool(o, "removable", d->cdrom);
    if (d->cdrom) {
        js_bool(o, "tray_open",
                has_tray(d) ? d->tray(d->user, TRAY_OP_IS_OPEN) : bn == NULL);
    }
    if (d->user && d->may_stop) {
        js_str(o, "io-status", d->io_status ? d->io_status : "ok");
    }
    if (bn) {
        js_put(o, "inserted", node_json(bn, d->blk, false));
    }
}

json_object *qmp_query_block(Machine *m, const Args *args, GError **errp)
{
    json_object *list = json_object_new_array();
    GPtrArray *drives = machine_drives(m);

    for (guint i = 0; i < drives->len; i++) {
        put_drive(js_add(list, json_object_new_object()), drives->pdata[i]);
    }
    return list;
}

json_object *qmp_query_named_block_nodes(Machine *m, const Args *args,
                                         GError **errp)
{
    json_object *list = json_object_new_array();
    g_autoptr(GPtrArray) nodes = block_graph_nodes(machine_block_graph(m));

    for (guint i = nodes->len; i-- > 0;) { /* the last first, as in QEMU */
        js_add(list, node_json(nodes->pdata[i], NULL,
                               args_bool(args, "flat", false)));
    }
    return list;
}

/* ---- statistics ------------------------------------------------------------------ */

static const struct {
    BlkOp op;
    const char *name;
} counted[] = { { BLK_READ, "rd" },
                { BLK_WRITE, "wr" },
                { BLK_FLUSH, "flush" },
                { BLK_DISCARD, "unmap" } };

static void put_count(json_object *o, const char *fmt, const char *name,
                      uint64_t v)
{
    g_auto(GStrv) parts = g_strsplit(fmt, "*", 2);
    g_autofree char *key = g_strconcat(parts[0], name, parts[1], NULL);

    js_u64(o, key, v);
}

static json_object *stats_json(const Blk *blk)
{
    json_object *o = json_object_new_object();

    for (size_t i = 0; i < G_N_ELEMENTS(counted); i++) {
        const BlkStats *s = blk_stats(blk, counted[i].op);
        const char *name = counted[i].name;

        if (counted[i].op != BLK_FLUSH) {
            put_count(o, "*_bytes", name, s->bytes);
            put_count(o, "*_merged", name, 0); /* nothing is merged */
        }
        put_count(o, "*_operations", name, s->ops);
        put_count(o, "*_total_time_ns", name, s->ns);
        put_count(o, "failed_*_operations", name, s->failed);
        put_count(o, "invalid_*_operations", name, s->invalid);
    }
    js_u64(o, "wr_highest_offset", blk_highest_write(blk));
    js_bool(o, "account_invalid", true);
    js_bool(o, "account_failed", true);
    js_put(o, "timed_stats", json_object_new_array());
    return o;
}

json_object *qmp_query_blockstats(Machine *m, const Args *args, GError **errp)
{
    json_object *list = json_object_new_array();
    GPtrArray *drives = machine_drives(m);

    for (guint i = 0; i < drives->len; i++) {
        const Drive *d = drives->pdata[i];
        BlockNode *bn = blk_node(d->blk);
        json_object *o = js_add(list, json_object_new_object());
        g_autofree char *path = user_path(d);

        js_str(o, "device", device_name(d));
        js_str(o, "qdev", path);
        if (bn) {
            js_str(o, "node-name", bn->name);
        }
        js_put(o, "stats", stats_json(d->blk));
    }
    return list;
}

/* ---- finding ----------------------------------------------------------------------- */

/* The drive whose device has the id or path @qdev. */
static Drive *drive_of_user(Machine *m, const char *qdev)
{
    GPtrArray *drives = machine_drives(m);

    for (guint i = 0; i < drives->len; i++) {
        Drive *d = drives->pdata[i];
        g_autofree char *path = user_path(d);

        if (d->user && (!g_strcmp0(d->user->id, qdev) || !strcmp(path, qdev))) {
            return d;
        }
    }
    return NULL;
}

/* Who has @bn on top of its chain; NULL: nobody. */
static Drive *drive_of_node(Machine *m, const BlockNode *bn)
{
    GPtrArray *drives = machine_drives(m);

    for (guint i = 0; i < drives->len; i++) {
        Drive *d = drives->pdata[i];

        if (blk_node(d->blk) == bn) {
            return d;
        }
    }
    return NULL;
}

BlockNode *qmp_find_node(Machine *m, const char *device, const char *node,
                         GError **errp)
{
    Drive *d = device ? drive_find(m, device) : NULL;
    BlockNode *bn = d ? blk_node(d->blk) : NULL;

    if (!bn && (node || device)) {
        bn = block_graph_find(machine_block_graph(m), node ? node : device);
    }
    if (!bn) {
        error_setg(errp, "Cannot find device='%s' nor node-name='%s'",
                   device ? device : "", node ? node : "");
    }
    return bn;
}

/* By "device" (-drive's id) or "id" (that of the device it is in). */
static Drive *find_drive(Machine *m, const Args *args, GError **errp)
{
    const char *device = args_str(args, "device"), *id = args_str(args, "id");
    const char *name = device ? device : id;
    Drive *d = device ? drive_find(m, device)
               : id   ? drive_of_user(m, id)
                      : NULL;

    if (!name) {
        error_setg(errp, "Parameter 'device' is missing");
    } else if (!d) {
        error_set_class(errp, ERROR_CLASS_DEVICE_NOT_FOUND,
                        "Device '%s' not found", name);
    }
    return d;
}

/* ---- nodes and sizes ------------------------------------------------------------------ */

json_object *qmp_blockdev_add(Machine *m, const Args *args, GError **errp)
{
    g_autofree char *text = js_text(args_object(args));

    if (!args_str(args, "node-name")) {
        error_setg(errp, "'node-name' must be specified for the root node");
        return NULL;
    }
    blockdev_add(m, text, errp);
    return NULL;
}

json_object *qmp_blockdev_del(Machine *m, const Args *args, GError **errp)
{
    blockdev_del(m, args_str(args, "node-name"), errp);
    return NULL;
}

json_object *qmp_block_resize(Machine *m, const Args *args, GError **errp)
{
    BlockNode *bn = qmp_find_node(m, args_str(args, "device"),
                                  args_str(args, "node-name"), errp);
    int64_t size = args_int(args, "size", 0);
    Drive *d = bn ? drive_of_node(m, bn) : NULL;

    if (!bn || !block_is_idle(bn, errp)) {
        return NULL;
    }
    if (size < 0) {
        error_setg(errp, "Parameter 'size' expects a >0 size");
        return NULL;
    }
    if (bn->read_only) {
        error_setg(errp, "Device '%s' is read only: it cannot be resized",
                   d ? d->id : bn->name);
        return NULL;
    }
    if (d) {
        blk_drain(d->blk);
    }
    if (block_resize(bn, (uint64_t)size, "off", true, errp) && d &&
        d->resized && d->user) {
        d->resized(d->user);
    }
    return NULL;
}

json_object *qmp_block_set_io_throttle(Machine *m, const Args *args,
                                       GError **errp)
{
    Drive *d = find_drive(m, args, errp);
    BlkLimits limits = { 0 };

    if (!d) {
        return NULL;
    }
    for (int i = 0; i < LIMIT_KINDS; i++) {
        g_autofree char *max = g_strconcat(limit_names[i], "_max", NULL);

        limits.avg[i] = (double)args_int(args, limit_names[i], 0);
        limits.max[i] = (double)args_int(args, max, 0);
    }
    limits.iops_size = (uint64_t)args_int(args, "iops_size", 0);
    blk_set_limits(d->blk, &limits, errp);
    return NULL;
}

/* ---- media -------------------------------------------------------------------------------- */

/* Takes @bn, which may be NULL. */
static void change_medium(Drive *d, BlockNode *bn)
{
    block_close(blk_set_node(d->blk, bn), NULL);
    if (d->user && d->media_changed) {
        d->media_changed(d->user, bn != NULL);
    }
}

static bool is_removable(const Drive *d, GError **errp)
{
    if (!d->cdrom) {
        error_setg(errp, "Device '%s' is not removable", d->id);
        return false;
    }
    return !blk_node(d->blk) || block_is_idle(blk_node(d->blk), errp);
}

/* The guest may hold the tray: it is asked then, unless @force. */
static bool may_open(Drive *d, bool force, GError **errp)
{
    if (!has_tray(d) || force || d->tray(d->user, TRAY_OP_IS_OPEN) ||
        !d->tray(d->user, TRAY_OP_IS_LOCKED)) {
        return true;
    }
    d->tray(d->user, TRAY_OP_ASK);
    error_setg(errp,
               "Device '%s' is locked and force was not specified, wait for "
               "tray to open and try again",
               d->id);
    return false;
}

json_object *qmp_eject(Machine *m, const Args *args, GError **errp)
{
    Drive *d = find_drive(m, args, errp);

    if (d && is_removable(d, errp) &&
        may_open(d, args_bool(args, "force", false), errp)) {
        change_medium(d, NULL);
    }
    return NULL;
}

static int open_flags(const Drive *d, const char *mode)
{
    bool retain = !mode || !strcmp(mode, "retain");

    return (retain ? blk_node(d->blk) && !blk_read_only(d->blk)
                   : !strcmp(mode, "read-write"))
               ? BLOCK_RDWR
               : 0;
}

json_object *qmp_change_medium(Machine *m, const Args *args, GError **errp)
{
    Drive *d = find_drive(m, args, errp);
    const char *fmt = args_str(args, "format");
    BlockNode *bn;

    if (!d || !is_removable(d, errp) ||
        !may_open(d, args_bool(args, "force", false), errp)) {
        return NULL;
    }
    bn = block_open_in(machine_block_graph(m), args_str(args, "filename"),
                       fmt ? fmt : "raw", NULL,
                       open_flags(d, args_str(args, "read-only-mode")), errp);
    if (bn) {
        change_medium(d, bn);
    }
    return NULL;
}

json_object *qmp_open_tray(Machine *m, const Args *args, GError **errp)
{
    Drive *d = find_drive(m, args, errp);

    if (d && is_removable(d, errp) &&
        may_open(d, args_bool(args, "force", false), errp) && has_tray(d)) {
        d->tray(d->user, TRAY_OP_OPEN);
    }
    return NULL;
}

json_object *qmp_close_tray(Machine *m, const Args *args, GError **errp)
{
    Drive *d = find_drive(m, args, errp);

    if (d && is_removable(d, errp) && has_tray(d)) {
        d->tray(d->user, TRAY_OP_CLOSE);
    }
    return NULL;
}

/* Where discs are put in and taken out by hand. */
static Drive *find_open(Machine *m, const Args *args, GError **errp)
{
    Drive *d = find_drive(m, args, errp);

    if (!d || !is_removable(d, errp)) {
        return NULL;
    }
    if (has_tray(d) && !d->tray(d->user, TRAY_OP_IS_OPEN)) {
        error_setg(errp, "Tray of device '%s' is not open", d->id);
        return NULL;
    }
    return d;
}

json_object *qmp_remove_medium(Machine *m, const Args *args, GError **errp)
{
    Drive *d = find_open(m, args, errp);

    if (d) {
        block_close(blk_set_node(d->blk, NULL), NULL);
    }
    return NULL;
}

json_object *qmp_insert_medium(Machine *m, const Args *args, GError **errp)
{
    Drive *d = find_open(m, args, errp);
    const char *node = args_str(args, "node-name");
    BlockNode *bn;

    if (!d) {
        return NULL;
    }
    if (blk_node(d->blk)) {
        error_setg(errp, "There already is a medium in device '%s'", d->id);
        return NULL;
    }
    bn = block_graph_find(machine_block_graph(m), node);
    if (bn) {
        blk_set_node(d->blk, block_ref(bn));
    } else {
        error_setg(errp, "Node '%s' not found", node);
    }
    return NULL;
}

#endif
