/*
 * Snapshots of disks, dirty bitmaps, and several of such at once.
 *
 * A transaction does its actions in turn; when one fails those before it are
 * taken back, the last one first. What cannot be taken back (clearing or
 * removing a bitmap) is looked at in its turn and done when all is well; jobs
 * start after the rest, and the ones that run go on if a later one cannot start.
 */
#include "util/osdep.h"
#include "util/error.h"
#include "hw/block/drive.h"
#include "monitor/jobs.h"

#if CONFIG_JSON_C

/* ---- a new layer on a disk -------------------------------------------------------- */

/* How to get back to where it was. */
typedef struct Undo {
    Blk *blk;
    BlockNode *node; /* the old one; a reference */
    bool was_rdwr;
    char *snapshot_id;  /* of @node: to be deleted */
    char *bitmap;       /* of @node: to be removed, or set back */
    bool bitmap_was_on; /* it was only switched */
    bool switched;
} Undo;

static void undo_free(void *p)
{
    Undo *u = p;

    block_close(u->node, NULL);
    g_free(u->snapshot_id);
    g_free(u->bitmap);
    g_free(u);
}

static Undo *undo_new(Blk *blk, BlockNode *node)
{
    Undo *u = g_new0(Undo, 1);

    u->blk = blk;
    u->node = node ? block_ref(node) : NULL;
    return u;
}

static void undo_run(Undo *u)
{
    if (u->snapshot_id) {
        u->node->drv->snapshots->remove(u->node, u->snapshot_id, NULL);
    } else if (u->bitmap && u->switched) {
        block_bitmap_enable(u->node, u->bitmap, u->bitmap_was_on, NULL);
    } else if (u->bitmap) {
        block_bitmap_remove(u->node, u->bitmap, NULL);
    } else if (u->blk) {
        blk_quiesce(u->blk);
        block_close(blk_set_node(u->blk, block_ref(u->node)), NULL);
        block_reopen(u->node, u->was_rdwr, NULL);
        blk_resume(u->blk);
    }
}

/* The disk goes on in @overlay (taken), whose backing file its node is. */
static Undo *put_on_top(Blk *blk, BlockNode *overlay, GError **errp)
{
    BlockNode *old = blk_node(blk);
    Undo *u = undo_new(blk, old);

    u->was_rdwr = !old->read_only;
    blk_quiesce(blk);
    if (block_flush(old) < 0 ||
        (u->was_rdwr && !block_reopen(old, false, errp))) {
        if (errp && !*errp) {
            error_setg(errp, "could not flush '%s'", old->name);
        }
        block_close(overlay, NULL);
        g_clear_pointer(&u, undo_free);
    } else {
        block_close(blk_set_node(blk, overlay), NULL);
    }
    blk_resume(blk);
    return u;
}

static bool create_overlay(BlockNode *old, const char *path, const char *fmt,
                           GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_new();
    g_autofree char *size = g_strdup_printf("%" PRIu64, old->size);

    keyval_set(kv, "size", size);
    keyval_set(kv, "backing_file", old->filename);
    keyval_set(kv, "backing_fmt", old->drv->name);
    return block_create(path, fmt, kv, BLOCK_NO_BACKING, errp);
}

static Undo *snapshot_sync(Machine *m, const Args *args, GError **errp)
{
    const char *device = args_str(args, "device");
    const char *node = args_str(args, "node-name");
    const char *path = args_str(args, "snapshot-file");
    const char *fmt = args_str(args, "format");
    const char *name = args_str(args, "snapshot-node-name");
    g_autoptr(KeyVal) kv = keyval_new();
    BlockNode *overlay;
    Blk *blk;

    if (!device && !node) {
        error_setg(errp, "Cannot find device='' nor node-name=''");
        return NULL;
    }
    blk = qmp_find_blk(m, device ? device : node, errp);
    fmt = fmt ? fmt : "qcow2";
    if (!blk || !block_is_idle(blk_node(blk), errp) ||
        (g_strcmp0(args_str(args, "mode"), "existing") &&
         !create_overlay(blk_node(blk), path, fmt, errp))) {
        return NULL;
    }
    keyval_set(kv, "backing", blk_node(blk)->name);
    if (name) {
        keyval_set(kv, "node-name", name);
    }
    overlay =
        block_open_in(machine_block_graph(m), path, fmt, kv, BLOCK_RDWR, errp);
    return overlay ? put_on_top(blk, overlay, errp) : NULL;
}

static Undo *snapshot_node(Machine *m, const Args *args, GError **errp)
{
    Blk *blk = qmp_find_blk(m, args_str(args, "node"), errp);
    BlockNode *overlay =
        blk ? qmp_find_node(m, NULL, args_str(args, "overlay"), errp) : NULL;

    if (!overlay || !block_is_idle(blk_node(blk), errp) ||
        !block_is_idle(overlay, errp)) {
        return NULL;
    }
    if (overlay->backing && overlay->backing != blk_node(blk)) {
        error_setg(errp, "The overlay '%s' already has a backing image",
                   overlay->name);
        return NULL;
    }
    if (!overlay->backing && !overlay->drv->has_backing) {
        error_setg(errp, "The overlay does not support backing images");
        return NULL;
    }
    if (!overlay->backing) {
        overlay->backing = block_ref(blk_node(blk));
    }
    return put_on_top(blk, block_ref(overlay), errp);
}

/* ---- snapshots inside an image --------------------------------------------------------- */

static Undo *snapshot_internal(Machine *m, const Args *args, GError **errp)
{
    Blk *blk = qmp_find_blk(m, args_str(args, "device"), errp);
    const char *name = args_str(args, "name");
    int64_t now_us = g_get_real_time();
    SnapshotInfo info = { .date_sec = (uint64_t)(now_us / 1000000),
                          .date_nsec = (uint32_t)(now_us % 1000000 * 1000),
                          .vm_clock_nsec = (uint64_t)clock_ns(m->vclock),
                          .icount = UINT64_MAX };
    BlockNode *bn = blk ? blk_node(blk) : NULL;
    SnapshotInfo other;
    Undo *u;
    bool ok;

    if (!bn || !block_is_idle(bn, errp)) {
        return NULL;
    }
    if (!bn->drv->snapshots || bn->read_only) {
        error_setg(errp,
                   "Block format '%s' used by device '%s' does not support "
                   "internal snapshots, or it is read-only",
                   bn->drv->name, args_str(args, "device"));
        return NULL;
    }
    if (!name[0] ||
        g_strlcpy(info.name, name, sizeof(info.name)) >= sizeof(info.name)) {
        error_setg(errp, "Name is empty or too long");
        return NULL;
    }
    if (block_snapshot_find(bn, name, &other, NULL)) {
        error_setg(errp,
                   "Snapshot with name '%s' already exists on device '%s'",
                   name, args_str(args, "device"));
        return NULL;
    }
    blk_quiesce(blk);
    ok = bn->drv->snapshots->create(bn, &info, errp);
    blk_resume(blk);
    if (!ok) {
        return NULL;
    }
    u = undo_new(NULL, bn);
    u->snapshot_id = g_strdup(info.id);
    return u;
}

static void put_snapshot(json_object *o, const SnapshotInfo *sn)
{
    js_str(o, "id", sn->id);
    js_str(o, "name", sn->name);
    js_u64(o, "vm-state-size", sn->vm_state_size);
    js_u64(o, "date-sec", sn->date_sec);
    js_int(o, "date-nsec", sn->date_nsec);
    js_u64(o, "vm-clock-sec", sn->vm_clock_nsec / NS_PER_SEC);
    js_u64(o, "vm-clock-nsec", sn->vm_clock_nsec % NS_PER_SEC);
}

json_object *qmp_snapshot_delete_internal(Machine *m, const Args *args,
                                          GError **errp)
{
    Blk *blk = qmp_find_blk(m, args_str(args, "device"), errp);
    const char *id = args_str(args, "id"), *name = args_str(args, "name");
    SnapshotInfo sn;
    json_object *o;
    bool ok;

    if (!blk || !block_is_idle(blk_node(blk), errp)) {
        return NULL;
    }
    if (!id && !name) {
        error_setg(errp, "Name or id must be provided");
        return NULL;
    }
    if (!blk_node(blk)->drv->snapshots ||
        !block_snapshot_find(blk_node(blk), id ? id : name, &sn, NULL) ||
        (id && name && strcmp(sn.name, name))) {
        error_setg(errp,
                   "Snapshot with id '%s' and name '%s' does not exist on "
                   "device '%s'",
                   id ? id : "", name ? name : "", args_str(args, "device"));
        return NULL;
    }
    blk_quiesce(blk);
    ok = blk_node(blk)->drv->snapshots->remove(blk_node(blk), sn.id, errp);
    blk_resume(blk);
    if (!ok) {
        return NULL;
    }
    o = json_object_new_object();
    put_snapshot(o, &sn);
    return o;
}

/* ---- bitmaps ------------------------------------------------------------------------------ */

/* Runs with no request on the node in flight. */
static void quiesce_node(Machine *m, const BlockNode *bn, bool on)
{
    for (guint i = 0; i < machine_drives(m)->len; i++) {
        const Drive *d = m->drives->pdata[i];

        if (blk_node(d->blk) == bn) {
            if (on) {
                blk_quiesce(d->blk);
            } else {
                blk_resume(d->blk);
            }
        }
    }
}

static BlockNode *bitmap_node(Machine *m, const Args *args, GError **errp)
{
    return qmp_find_node(m, args_str(args, "node"), NULL, errp);
}

static Undo *bitmap_undo(BlockNode *bn, const Args *args)
{
    Undo *u = undo_new(NULL, bn);

    u->bitmap = g_strdup(args_str(args, "name"));
    return u;
}

static Undo *bitmap_add(Machine *m, const Args *args, GError **errp)
{
    BlockNode *bn = bitmap_node(m, args, errp);
    int64_t granularity = args_int(args, "granularity", 0);
    bool ok;

    if (!bn) {
        return NULL;
    }
    if (granularity && (granularity < 512 || granularity > 1 << 30 ||
                        (granularity & (granularity - 1)))) {
        error_setg(errp, "Granularity must be power of 2, at least 512");
        return NULL;
    }
    quiesce_node(m, bn, true);
    ok = block_bitmap_add(bn, args_str(args, "name"), (uint32_t)granularity,
                          args_bool(args, "persistent", false),
                          !args_bool(args, "disabled", false), errp);
    quiesce_node(m, bn, false);
    return ok ? bitmap_undo(bn, args) : NULL;
}

static Undo *bitmap_switch(Machine *m, const Args *args, bool on, GError **errp)
{
    BlockNode *bn = bitmap_node(m, args, errp);
    bool ok;
    Undo *u;

    if (!bn) {
        return NULL;
    }
    quiesce_node(m, bn, true);
    ok = block_bitmap_enable(bn, args_str(args, "name"), on, errp);
    quiesce_node(m, bn, false);
    if (!ok) {
        return NULL;
    }
    u = bitmap_undo(bn, args);
    u->switched = true;
    u->bitmap_was_on = !on;
    return u;
}

static Undo *bitmap_enable(Machine *m, const Args *args, GError **errp)
{
    return bitmap_switch(m, args, true, errp);
}

static Undo *bitmap_disable(Machine *m, const Args *args, GError **errp)
{
    return bitmap_switch(m, args, false, errp);
}

/* For what is done last: the node, if it has the bitmap. */
static BlockNode *bitmap_exists(Machine *m, const Args *args, GError **errp)
{
    BlockNode *bn = bitmap_node(m, args, errp);
    const char *name = args_str(args, "name");
    g_autoptr(GArray) list = bn ? block_bitmap_list(bn, errp) : NULL;

    for (guint i = 0; list && i < list->len; i++) {
        if (!strcmp(g_array_index(list, NodeBitmap, i).info.name, name)) {
            return bn;
        }
    }
    if (list) {
        error_setg(errp, "Dirty bitmap '%s' not found", name);
    }
    return NULL;
}

static Undo *look_at_bitmap(Machine *m, const Args *args, GError **errp)
{
    return bitmap_exists(m, args, errp) ? undo_new(NULL, NULL) : NULL;
}

static void bitmap_clear(Machine *m, const Args *args, GError **errp)
{
    BlockNode *bn = bitmap_exists(m, args, errp);

    if (bn) {
        quiesce_node(m, bn, true);
        block_bitmap_clear(bn, args_str(args, "name"), errp);
        quiesce_node(m, bn, false);
    }
}

static void bitmap_remove(Machine *m, const Args *args, GError **errp)
{
    BlockNode *bn = bitmap_exists(m, args, errp);

    if (bn) {
        quiesce_node(m, bn, true);
        block_bitmap_remove(bn, args_str(args, "name"), errp);
        quiesce_node(m, bn, false);
    }
}

json_object *qmp_bitmap_merge(Machine *m, const Args *args, GError **errp)
{
    BlockNode *bn = bitmap_node(m, args, errp);
    json_object *list = args_json(args, "bitmaps");
    bool ok = bn != NULL;

    for (size_t i = 0; ok && i < json_object_array_length(list); i++) {
        json_object *from = json_object_array_get_idx(list, i);
        bool plain = json_object_is_type(from, json_type_string);
        const char *name =
            plain ? json_object_get_string(from) : js_get_str(from, "name");
        const char *node = plain ? NULL : js_get_str(from, "node");
        BlockNode *source = node ? qmp_find_node(m, node, NULL, errp) : bn;

        if (!name || (!plain && !node)) {
            error_setg(errp,
                       "bitmaps[%zu] must be a name, or an object with "
                       "node and name",
                       i);
            return NULL;
        }
        if (!source) {
            return NULL;
        }
        quiesce_node(m, bn, true);
        ok = block_bitmap_merge(bn, args_str(args, "target"), source, name,
                                errp);
        quiesce_node(m, bn, false);
    }
    return NULL;
}

/* ---- the commands, and transactions of them ------------------------------------------------ */

static Undo *abort_all(Machine *m, const Args *args, GError **errp)
{
    error_setg(errp, "Transaction aborted using Abort action");
    return NULL;
}

static Undo *run_job(Machine *m, QmpFn *fn, const Args *args, GError **errp)
{
    GError *err = NULL;

    fn(m, args, &err);
    if (err) {
        g_propagate_error(errp, err);
        return NULL;
    }
    return undo_new(NULL, NULL);
}

static Undo *start_drive_backup(Machine *m, const Args *args, GError **errp)
{
    return run_job(m, qmp_drive_backup, args, errp);
}

static Undo *start_blockdev_backup(Machine *m, const Args *args, GError **errp)
{
    return run_job(m, qmp_blockdev_backup, args, errp);
}

/* The arguments are those of the command of the same name. */
typedef struct Action {
    const char *type;
    Undo *(*run)(Machine *m, const Args *args, GError **errp);
    void (*last)(Machine *m, const Args *args, GError **errp); /* or NULL */
    bool job;
} Action;

static const Action actions[] = {
    { "abort", abort_all, NULL, false },
    { "blockdev-snapshot-sync", snapshot_sync, NULL, false },
    { "blockdev-snapshot", snapshot_node, NULL, false },
    { "blockdev-snapshot-internal-sync", snapshot_internal, NULL, false },
    { "block-dirty-bitmap-add", bitmap_add, NULL, false },
    { "block-dirty-bitmap-enable", bitmap_enable, NULL, false },
    { "block-dirty-bitmap-disable", bitmap_disable, NULL, false },
    { "block-dirty-bitmap-clear", look_at_bitmap, bitmap_clear, false },
    { "block-dirty-bitmap-remove", look_at_bitmap, bitmap_remove, false },
    { "drive-backup", start_drive_backup, NULL, true },
    { "blockdev-backup", start_blockdev_backup, NULL, true },
};

static const Action *find_action(const char *type)
{
    for (size_t i = 0; i < G_N_ELEMENTS(actions); i++) {
        if (!strcmp(actions[i].type, type)) {
            return &actions[i];
        }
    }
    return NULL;
}

static json_object *run_alone(Machine *m, const char *type, const Args *args,
                              GError **errp)
{
    const Action *a = find_action(type);

    if (a->last) {
        a->last(m, args, errp);
    } else {
        Undo *u = a->run(m, args, errp);

        if (u) {
            undo_free(u);
        }
    }
    return NULL;
}

#define ALONE(fn, type) \
    json_object *fn(Machine *m, const Args *args, GError **errp) \
    { \
        return run_alone(m, type, args, errp); \
    }
ALONE(qmp_snapshot_sync, "blockdev-snapshot-sync")
ALONE(qmp_snapshot_node, "blockdev-snapshot")
ALONE(qmp_snapshot_internal, "blockdev-snapshot-internal-sync")
ALONE(qmp_bitmap_add, "block-dirty-bitmap-add")
ALONE(qmp_bitmap_enable, "block-dirty-bitmap-enable")
ALONE(qmp_bitmap_disable, "block-dirty-bitmap-disable")
ALONE(qmp_bitmap_clear, "block-dirty-bitmap-clear")
ALONE(qmp_bitmap_remove, "block-dirty-bitmap-remove")

/* What the action number @i says, checked as its command's. */
static Args *action_args(json_object *o, size_t i, const Action *a,
                         GError **errp)
{
    g_autofree char *path = g_strdup_printf("actions[%zu].data", i);
    const QmpCommand *c = qmp_command_find(a->type);
    json_object *data = js_get(o, "data");

    if (!data) {
        error_setg(errp, "Parameter '%s' is missing", path);
        return NULL;
    }
    return qmp_check_members(data, c ? c->args : "", path, errp)
               ? args_parse_json(NULL, c ? c->args : "", data, errp)
               : NULL;
}

static bool one_action(Machine *m, json_object *o, size_t i, bool last,
                       GPtrArray *undo, GError **errp)
{
    const Action *a = find_action(js_get_str(o, "type"));
    g_autoptr(Args) args = NULL;
    GError *err = NULL;
    Undo *u;

    args = action_args(o, i, a, errp);
    if (!args) {
        return false;
    }
    if (last) {
        if (a->last) {
            a->last(m, args, &err);
        }
    } else {
        u = a->run(m, args, &err);
        if (u) {
            g_ptr_array_add(undo, u);
        }
    }
    if (err) {
        g_propagate_error(errp, err);
        return false;
    }
    return true;
}

json_object *qmp_transaction(Machine *m, const Args *args, GError **errp)
{
    json_object *list = args_json(args, "actions");
    g_autoptr(GPtrArray) undo = g_ptr_array_new_with_free_func(undo_free);
    size_t n = json_object_array_length(list);
    bool ok = true;

    /* Jobs last: they cannot be taken back. */
    for (int jobs = 0; jobs < 2; jobs++) {
        for (size_t i = 0; ok && i < n; i++) {
            json_object *o = json_object_array_get_idx(list, i);

            if (find_action(js_get_str(o, "type"))->job == (jobs == 1)) {
                ok = one_action(m, o, i, false, undo, errp);
            }
        }
    }
    for (size_t i = 0; ok && i < n; i++) {
        ok = one_action(m, json_object_array_get_idx(list, i), i, true, undo,
                        errp);
    }
    while (!ok && undo->len) {
        undo_run(undo->pdata[undo->len - 1]);
        g_ptr_array_set_size(undo, (int)undo->len - 1);
    }
    return NULL;
}

#endif
