/* Starting jobs on disks: mirror, backup, stream, commit. */
#include "util/osdep.h"
#include "util/error.h"
#include "hw/block/drive.h"
#include "monitor/jobs.h"

#if CONFIG_JSON_C

Blk *qmp_find_blk(Machine *m, const char *device, GError **errp)
{
    Drive *d = drive_find(m, device);
    BlockNode *bn;

    if (d && blk_node(d->blk)) {
        return d->blk;
    }
    if (d) {
        error_setg(errp, "Device '%s' has no medium", device);
        return NULL;
    }
    bn = qmp_find_node(m, NULL, device, errp);
    for (guint i = 0; bn && i < machine_drives(m)->len; i++) {
        d = m->drives->pdata[i];
        if (blk_node(d->blk) == bn) {
            return d->blk;
        }
    }
    if (bn) {
        error_setg(errp,
                   "Node '%s' is not the disk of a device: jobs work on disks "
                   "in use",
                   device);
    }
    return NULL;
}

/* What the table lets through: "incremental" and "bitmap" mean the same. */
static LiveSync sync_of(const Args *args)
{
    const char *text = args_str(args, "sync");

    return !strcmp(text, "full")   ? LIVE_FULL
           : !strcmp(text, "top")  ? LIVE_TOP
           : !strcmp(text, "none") ? LIVE_NONE
                                   : LIVE_INCREMENTAL;
}

/* ---- targets ----------------------------------------------------------------- */

/* The file that a job writes to, made unless mode=existing. New reference. */
static BlockNode *open_target(Machine *m, BlockNode *source, const Args *args,
                              LiveSync sync, GError **errp)
{
    const char *path = args_str(args, "target");
    const char *fmt = args_str(args, "format");
    BlockNode *backing = sync == LIVE_TOP    ? source->backing
                         : sync == LIVE_NONE ? source
                                             : NULL;
    g_autoptr(KeyVal) create = keyval_new();
    g_autoptr(KeyVal) open = keyval_new();
    g_autofree char *size = g_strdup_printf("%" PRIu64, source->size);

    fmt = fmt ? fmt : source->drv->name;
    if (g_strcmp0(args_str(args, "mode"), "existing")) {
        keyval_set(create, "size", size);
        if (backing) {
            keyval_set(create, "backing_file", backing->filename);
            keyval_set(create, "backing_fmt", backing->drv->name);
        }
        if (!block_create(path, fmt, create, BLOCK_NO_BACKING, errp)) {
            return NULL;
        }
    }
    if (args_str(args, "node-name")) {
        keyval_set(open, "node-name", args_str(args, "node-name"));
    }
    return block_open_in(machine_block_graph(m), path, fmt, open,
                         BLOCK_RDWR | BLOCK_NO_BACKING, errp);
}

static BlockNode *node_target(Machine *m, const Args *args, GError **errp)
{
    BlockNode *bn = qmp_find_node(m, NULL, args_str(args, "target"), errp);

    return bn ? block_ref(bn) : NULL;
}

/* ---- mirror -------------------------------------------------------------------- */

/* Takes @target. */
static void mirror(Machine *m, const Args *args, Blk *blk, LiveSync sync,
                   BlockNode *target, bool target_zero, GError **errp)
{
    unsigned flags = target_zero ? MIRROR_TARGET_ZERO : 0;
    LiveOpts o;

    if (!g_strcmp0(args_str(args, "copy-mode"), "write-blocking")) {
        flags |= MIRROR_BLOCKING;
    }
    if (target && jobs_options(m, args, &o, errp)) {
        jobs_started(
            &o, live_mirror_start(jobs_live(m), blk, target, sync,
                                  (uint32_t)args_int(args, "granularity", 0),
                                  flags, &o, errp));
    }
    block_close(target, NULL);
}

static bool refuse_mirror(const Args *args, GError **errp)
{
    int64_t granularity = args_int(args, "granularity", 0);

    if (granularity && (granularity < 512 || granularity > 64 << 20)) {
        error_setg(errp, "Parameter 'granularity' expects a value in range "
                         "[512B, 64MB]");
        return true;
    }
    if (args_str(args, "replaces")) {
        error_setg(errp, "mirror with replaces= is not supported");
        return true;
    }
    return false;
}

json_object *qmp_drive_mirror(Machine *m, const Args *args, GError **errp)
{
    Blk *blk = qmp_find_blk(m, args_str(args, "device"), errp);
    bool existing = !g_strcmp0(args_str(args, "mode"), "existing");
    LiveSync sync = sync_of(args);

    if (blk && !refuse_mirror(args, errp)) {
        mirror(m, args, blk, sync,
               open_target(m, blk_node(blk), args, sync, errp), !existing,
               errp);
    }
    return NULL;
}

json_object *qmp_blockdev_mirror(Machine *m, const Args *args, GError **errp)
{
    Blk *blk = qmp_find_blk(m, args_str(args, "device"), errp);
    LiveSync sync = sync_of(args);

    if (blk && !refuse_mirror(args, errp)) {
        mirror(m, args, blk, sync, node_target(m, args, errp), false, errp);
    }
    return NULL;
}

/* ---- backup ---------------------------------------------------------------------- */

static bool refuse_backup(const Args *args, LiveSync sync, GError **errp)
{
    const char *mode = args_str(args, "bitmap-mode");

    if (mode && strcmp(mode, "on-success")) {
        error_setg(errp, "bitmap-mode=%s is not supported; on-success is",
                   mode);
        return true;
    }
    if (sync == LIVE_INCREMENTAL && !args_str(args, "bitmap")) {
        error_setg(errp, "must provide a valid bitmap name for 'incremental' "
                         "sync mode");
        return true;
    }
    return false;
}

/* Takes @target. */
static void backup(Machine *m, const Args *args, Blk *blk, LiveSync sync,
                   BlockNode *target, GError **errp)
{
    LiveOpts o;

    if (target && jobs_options(m, args, &o, errp)) {
        jobs_started(&o, live_backup_start(jobs_live(m), blk, target, sync,
                                           args_str(args, "bitmap"),
                                           args_bool(args, "compress", false),
                                           &o, errp));
    }
    block_close(target, NULL);
}

json_object *qmp_drive_backup(Machine *m, const Args *args, GError **errp)
{
    Blk *blk = qmp_find_blk(m, args_str(args, "device"), errp);
    LiveSync sync = sync_of(args);

    if (blk && !refuse_backup(args, sync, errp)) {
        backup(m, args, blk, sync,
               open_target(m, blk_node(blk), args, sync, errp), errp);
    }
    return NULL;
}

json_object *qmp_blockdev_backup(Machine *m, const Args *args, GError **errp)
{
    Blk *blk = qmp_find_blk(m, args_str(args, "device"), errp);
    LiveSync sync = sync_of(args);

    if (blk && !refuse_backup(args, sync, errp)) {
        backup(m, args, blk, sync, node_target(m, args, errp), errp);
    }
    return NULL;
}

/* ---- stream, commit ---------------------------------------------------------------- */

/* A layer of @bn's chain by node name or by file name; NULL without an error:
 * neither was given. */
static BlockNode *layer(Machine *m, BlockNode *bn, const Args *args,
                        const char *by_node, const char *by_file, GError **errp)
{
    const char *node = args_str(args, by_node), *file = args_str(args, by_file);
    BlockNode *found;

    if (node && file) {
        error_setg(errp, "'%s' and '%s' cannot be specified at the same time",
                   by_node, by_file);
        return NULL;
    }
    if (node) {
        return qmp_find_node(m, NULL, node, errp);
    }
    if (!file) {
        return NULL;
    }
    found = block_find_in_chain(bn, file);
    if (!found) {
        error_setg(errp, "Can't find '%s' in the backing chain", file);
    }
    return found;
}

json_object *qmp_block_stream(Machine *m, const Args *args, GError **errp)
{
    Blk *blk = qmp_find_blk(m, args_str(args, "device"), errp);
    GError *err = NULL;
    BlockNode *base;
    LiveOpts o;

    if (!blk) {
        return NULL;
    }
    base = layer(m, blk_node(blk), args, "base-node", "base", &err);
    if (err) {
        g_propagate_error(errp, err);
    } else if (jobs_options(m, args, &o, errp)) {
        jobs_started(&o, live_stream_start(jobs_live(m), blk, base,
                                           args_str(args, "backing-file"), &o,
                                           errp));
    }
    return NULL;
}

json_object *qmp_block_commit(Machine *m, const Args *args, GError **errp)
{
    Blk *blk = qmp_find_blk(m, args_str(args, "device"), errp);
    BlockNode *bn = blk ? blk_node(blk) : NULL, *top, *base;
    GError *err = NULL;
    LiveOpts o;

    if (!blk) {
        return NULL;
    }
    top = layer(m, bn, args, "top-node", "top", &err);
    base = err ? NULL : layer(m, bn, args, "base-node", "base", &err);
    if (err) {
        g_propagate_error(errp, err);
        return NULL;
    }
    for (BlockNode *n = bn; !base && n->backing; n = n->backing) {
        base = n->backing->backing ? NULL : n->backing;
    }
    if (!base) {
        error_setg(errp, "'%s' has no backing file to commit to", bn->name);
    } else if (jobs_options(m, args, &o, errp)) {
        jobs_started(&o, live_commit_start(
                             jobs_live(m), blk, top == bn ? NULL : top, base,
                             args_str(args, "backing-file"), &o, errp));
    }
    return NULL;
}

#endif
