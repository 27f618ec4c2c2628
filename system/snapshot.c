/*
 * Snapshots on disks, see snapshot.h.
 *
 * Saving: the machine stands still and every request is done; the state goes
 * behind the end of the first disk, then every disk keeps its contents under the
 * name. If a disk refuses, those before it give theirs up again.
 *
 * Loading: the state is read and checked while the disks still show the present;
 * then the machine takes it; last the disks go back. With several disks the
 * present is kept under a name of its own until all of them have: if one refuses,
 * they return to it.
 *
 * The image that was loaded last stays in memory: going back to it again reads
 * nothing and restores only the pages that were written since.
 */
#include "util/osdep.h"
#include "util/error.h"
#include "util/log.h"
#include "util/trace.h"
#include "util/keyval.h"
#include "block/snapshot-text.h"
#include "block/vmstream.h"
#include "hw/block/drive.h"
#include "system/snapshot-stream.h"
#include "system/snapshot.h"

#define UNDO_TAG "rhea-before-loadvm"

/* ---- disks ---------------------------------------------------------------------- */

static bool disk_counts(const Drive *d)
{
    BlockNode *bn = blk_node(d->blk);

    return bn && !blk_read_only(d->blk);
}

static bool wanted(const SnapshotWhere *w, const Drive *d)
{
    const char *node = blk_node(d->blk)->name;

    return !w || !w->devices || g_strv_contains(w->devices, d->id) ||
           (node && g_strv_contains(w->devices, node));
}

static bool devices_exist(Machine *m, const SnapshotWhere *w, GError **errp)
{
    GPtrArray *drives = machine_drives(m);

    for (guint i = 0; w && w->devices && w->devices[i]; i++) {
        bool found = false;

        for (guint k = 0; k < drives->len; k++) {
            const char *one[] = { w->devices[i], NULL };
            SnapshotWhere only = { .devices = one };
            Drive *d = drives->pdata[k];

            found |= blk_node(d->blk) && wanted(&only, d);
        }
        if (!found) {
            error_setg(errp, "No block device node '%s'", w->devices[i]);
            return false;
        }
    }
    return true;
}

/* Of BlockNode *, the one that keeps the state first; owned by the caller. */
static GPtrArray *disks_of(Machine *m, const SnapshotWhere *w, GError **errp)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new();
    GPtrArray *drives = machine_drives(m);

    if (!devices_exist(m, w, errp)) {
        return NULL;
    }
    for (guint i = 0; i < drives->len; i++) {
        Drive *d = drives->pdata[i];
        BlockNode *bn = blk_node(d->blk);

        if (!disk_counts(d) || !wanted(w, d)) {
            continue;
        }
        if (!bn->drv->snapshots) {
            error_setg(errp,
                       "Device '%s' is writable but does not support snapshots "
                       "(its format is %s): use a qcow2 image, or readonly=on",
                       d->id, bn->drv->name);
            return NULL;
        }
        if (w && w->vmstate &&
            (!strcmp(w->vmstate, d->id) || !g_strcmp0(w->vmstate, bn->name))) {
            g_ptr_array_insert(list, 0, bn);
        } else {
            g_ptr_array_add(list, bn);
        }
    }
    if (!list->len) {
        error_setg(errp, "No block device can store a snapshot: give the "
                         "machine a writable qcow2 disk (-drive file=x.qcow2)");
        return NULL;
    }
    return g_steal_pointer(&list);
}

/* ---- standing still --------------------------------------------------------------- */

static bool freeze(Machine *m, RunState why)
{
    bool running = m->state == RUN_RUNNING;

    if (running) {
        machine_stop(m, why);
    }
    drives_drain(m);
    return running;
}

static void thaw(Machine *m, bool running)
{
    g_autoptr(GError) err = NULL;

    if (running && !machine_start(m, &err)) {
        error_report("%s", err->message);
    }
}

/* ---- save ------------------------------------------------------------------------ */

static int sink_write(void *opaque, const void *buf, size_t len)
{
    return vmstream_write(opaque, buf, len);
}

static bool use_zstd(Machine *m)
{
    const char *how = m->cfg.machine_opts
                          ? keyval_get(m->cfg.machine_opts, "x-snapshot-zstd")
                          : NULL;
    bool on = false;

    return how && parse_bool(how, &on, NULL) && on;
}

static bool write_state(Machine *m, BlockNode *bn, uint64_t *len, GError **errp)
{
    g_autoptr(GByteArray) state = snap_take_state(m, errp);
    VmStream *v = state ? vmstream_writer(bn, errp) : NULL;
    SnapSink sink = { sink_write, v, use_zstd(m) };
    bool ok;
    int ret;

    if (!v) {
        return false;
    }
    ok = snap_write(m, state, &sink, errp);
    *len = vmstream_tell(v);
    ret = vmstream_close(v);
    if (ok && ret < 0) {
        error_setg_errno(errp, -ret, "Error while writing VM state");
        ok = false;
    }
    return ok;
}

static void remove_from(GPtrArray *disks, guint n, const char *tag)
{
    for (guint i = 0; i < n; i++) {
        BlockNode *bn = disks->pdata[i];
        g_autoptr(GError) err = NULL;

        if (!bn->drv->snapshots->remove(bn, tag, &err)) {
            error_report("snapshot '%s' is left on '%s': %s", tag, bn->name,
                         err->message);
        }
    }
}

static bool create_on(GPtrArray *disks, const SnapshotInfo *info, GError **errp)
{
    for (guint i = 0; i < disks->len; i++) {
        BlockNode *bn = disks->pdata[i];
        SnapshotInfo own = *info;

        own.vm_state_size = i == 0 ? info->vm_state_size : 0;
        if (!bn->drv->snapshots->create(bn, &own, errp)) {
            remove_from(disks, i, info->name);
            return false;
        }
    }
    return true;
}

static SnapshotInfo new_info(Machine *m, const char *tag)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    SnapshotInfo info = { .icount = UINT64_MAX };

    if (tag) {
        g_strlcpy(info.name, tag, sizeof(info.name));
    } else {
        g_autofree char *made = g_date_time_format(now, "vm-%Y%m%d%H%M%S");

        g_strlcpy(info.name, made, sizeof(info.name));
    }
    info.date_sec = (uint64_t)g_date_time_to_unix(now);
    info.date_nsec = (uint32_t)g_date_time_get_microsecond(now) * 1000;
    info.vm_clock_nsec = (uint64_t)clock_ns(m->vclock);
    return info;
}

static bool has_by_name(BlockNode *bn, const char *tag, SnapshotInfo *out)
{
    g_autoptr(GArray) list = bn->drv->snapshots->list(bn, NULL);

    for (guint i = 0; list && i < list->len; i++) {
        const SnapshotInfo *sn = &g_array_index(list, SnapshotInfo, i);

        if (!strcmp(sn->name, tag)) {
            *out = *sn;
            return true;
        }
    }
    return false;
}

/* Removes what has the name already. */
static bool make_room(GPtrArray *disks, const char *tag, bool overwrite,
                      GError **errp)
{
    SnapshotInfo found;

    for (guint i = 0; i < disks->len; i++) {
        BlockNode *bn = disks->pdata[i];

        if (!has_by_name(bn, tag, &found)) {
            continue;
        }
        if (!overwrite) {
            error_setg(errp,
                       "Snapshot '%s' already exists in one or more devices",
                       tag);
            return false;
        }
        if (!bn->drv->snapshots->remove(bn, found.id, errp)) {
            return false;
        }
    }
    return true;
}

bool snapshot_save(Machine *m, const char *tag, bool overwrite,
                   const SnapshotWhere *where, GError **errp)
{
    g_autoptr(GPtrArray) disks = disks_of(m, where, errp);
    SnapshotInfo info;
    bool running, ok;

    trace(savevm_state_begin, tag ? tag : "");
    if (!disks) {
        return false;
    }
    if (tag && strlen(tag) >= sizeof(info.name)) {
        error_setg(errp, "a snapshot's name has at most %zu bytes",
                   sizeof(info.name) - 1);
        return false;
    }
    running = freeze(m, RUN_SAVE_VM);
    info = new_info(m, tag);
    ok = make_room(disks, info.name, overwrite, errp) &&
         write_state(m, disks->pdata[0], &info.vm_state_size, errp) &&
         create_on(disks, &info, errp);
    thaw(m, running);
    return ok;
}

/* ---- load ------------------------------------------------------------------------ */

static int source_read(void *opaque, void *buf, size_t len)
{
    return vmstream_read(opaque, buf, len);
}

static bool find_everywhere(GPtrArray *disks, const char *tag,
                            SnapshotInfo *first, GError **errp)
{
    for (guint i = 0; i < disks->len; i++) {
        SnapshotInfo info;

        if (!block_snapshot_find(disks->pdata[i], tag, &info, NULL)) {
            error_setg(errp,
                       "Snapshot '%s' does not exist in one or more devices",
                       tag);
            return false;
        }
        if (i == 0) {
            *first = info;
        }
    }
    if (!first->vm_state_size) {
        error_setg(errp,
                   "This is a disk-only snapshot. Revert to it offline using "
                   "rhea-img snapshot -a");
        return false;
    }
    return true;
}

/* What tells two snapshots of one name apart. Freed by the caller. */
static char *identity(const BlockNode *bn, const SnapshotInfo *info)
{
    return g_strdup_printf("%s/%s/%s/%" PRIu64 ".%09u/%" PRIu64, bn->name,
                           info->id, info->name, info->date_sec,
                           info->date_nsec, info->vm_state_size);
}

static SnapImage *read_image(Machine *m, BlockNode *bn,
                             const SnapshotInfo *info, GError **errp)
{
    SnapImage *img = NULL;
    VmStream *v;

    if (!bn->drv->snapshots->view(bn, info->id, errp)) {
        return NULL;
    }
    v = vmstream_reader(bn, info->vm_state_size, errp);
    if (v) {
        SnapSource src = { source_read, v };

        img = snap_read(m, &src, info->name, errp);
        vmstream_close(v);
    }
    bn->drv->snapshots->view(bn, NULL, NULL);
    return img;
}

/* Back to where they were: @n disks are at the snapshot already. */
static void undo_disks(GPtrArray *disks, guint n)
{
    for (guint i = 0; i < n; i++) {
        BlockNode *bn = disks->pdata[i];
        g_autoptr(GError) err = NULL;

        if (!bn->drv->snapshots->apply(bn, UNDO_TAG, &err)) {
            error_report("disk '%s' is at the snapshot, the others are not: %s",
                         bn->name, err->message);
        }
    }
}

static bool apply_disks(Machine *m, GPtrArray *disks, const char *tag,
                        GError **errp)
{
    SnapshotInfo undo = new_info(m, UNDO_TAG);
    bool ok = true;
    guint i;

    if (disks->len > 1 && (!make_room(disks, UNDO_TAG, true, errp) ||
                           !create_on(disks, &undo, errp))) {
        return false;
    }
    for (i = 0; ok && i < disks->len; i++) {
        BlockNode *bn = disks->pdata[i];

        ok = bn->drv->snapshots->apply(bn, tag, errp);
    }
    if (disks->len > 1) {
        if (!ok) {
            undo_disks(disks, i - 1);
        }
        remove_from(disks, disks->len, UNDO_TAG);
    }
    return ok;
}

static bool load_frozen(Machine *m, GPtrArray *disks, const char *tag,
                        GError **errp)
{
    g_autofree char *id = NULL;
    SnapshotInfo info;
    SnapImage *img = m->snapshot, *before;
    bool fresh;

    if (!find_everywhere(disks, tag, &info, errp)) {
        return false;
    }
    id = identity(disks->pdata[0], &info);
    fresh = !img || g_strcmp0(snap_identity(img), id) != 0;
    if (fresh) {
        img = read_image(m, disks->pdata[0], &info, errp);
        if (!img) {
            return false;
        }
        snap_set_identity(img, id);
    }
    before = snap_try(m, img, errp);
    if (!before) {
        if (fresh) {
            snap_free(img);
        }
        return false;
    }
    if (!apply_disks(m, disks, info.id, errp)) {
        snap_undo(m, before);
        if (fresh) {
            snap_free(img);
        }
        return false;
    }
    snap_free(before);
    return snap_take_ram(m, img, errp);
}

bool snapshot_load(Machine *m, const char *tag, const SnapshotWhere *where,
                   GError **errp)
{
    g_autoptr(GPtrArray) disks = disks_of(m, where, errp);
    bool running, ok;

    trace(loadvm_state_setup, tag);
    if (!disks) {
        return false;
    }
    running = freeze(m, RUN_RESTORE_VM);
    ok = load_frozen(m, disks, tag, errp);
    thaw(m, running);
    return ok;
}

/* ---- delete, list ------------------------------------------------------------------ */

bool snapshot_delete(Machine *m, const char *tag, const SnapshotWhere *where,
                     GError **errp)
{
    g_autoptr(GPtrArray) disks = disks_of(m, where, errp);
    bool any = false, running, ok = true;

    if (!disks) {
        return false;
    }
    running = freeze(m, RUN_SAVE_VM);
    for (guint i = 0; ok && i < disks->len; i++) {
        BlockNode *bn = disks->pdata[i];
        SnapshotInfo info;

        if (block_snapshot_find(bn, tag, &info, NULL)) {
            any = true;
            ok = bn->drv->snapshots->remove(bn, info.id, errp);
        }
    }
    thaw(m, running);
    if (ok && !any) {
        error_setg(errp, "Snapshot '%s' does not exist in any device", tag);
    }
    return ok && any;
}

static bool everywhere(GPtrArray *disks, const char *name)
{
    SnapshotInfo info;

    for (guint i = 1; i < disks->len; i++) {
        if (!has_by_name(disks->pdata[i], name, &info)) {
            return false;
        }
    }
    return true;
}

bool snapshot_list(Machine *m, GString *out, GError **errp)
{
    g_autoptr(GPtrArray) disks = disks_of(m, NULL, errp);
    g_autoptr(GArray) list = NULL;
    BlockNode *bn;
    bool any = false;

    if (!disks) {
        return false;
    }
    bn = disks->pdata[0];
    list = bn->drv->snapshots->list(bn, errp);
    if (!list) {
        return false;
    }
    for (guint i = 0; i < list->len; i++) {
        SnapshotInfo *sn = &g_array_index(list, SnapshotInfo, i);
        g_autofree char *line = NULL;

        if (!everywhere(disks, sn->name)) {
            continue;
        }
        if (!any) {
            g_string_append(out, "List of snapshots present on all disks:\n");
            g_string_append(out, block_snapshot_header());
        }
        any = true;
        g_strlcpy(sn->id, "--", sizeof(sn->id));
        line = block_snapshot_line(sn);
        g_string_append_printf(out, "%s\n", line);
    }
    if (!any) {
        g_string_append(out, "There is no snapshot available.\n");
    }
    return true;
}
