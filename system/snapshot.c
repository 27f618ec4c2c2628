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
#include "util/worker.h"
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

static void let_go(void *bn)
{
    block_close(bn, NULL);
}

/* Of BlockNode *, with references, the one that keeps the state first; owned by
 * the caller. */
static GPtrArray *disks_of(Machine *m, const SnapshotWhere *w, GError **errp)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(let_go);
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
            g_ptr_array_insert(list, 0, block_ref(bn));
        } else {
            g_ptr_array_add(list, block_ref(bn));
        }
    }
    if (!list->len) {
        error_setg(errp, "No block device can store a snapshot: give the "
                         "machine a writable qcow2 disk (-drive file=x.qcow2)");
        return NULL;
    }
    return g_steal_pointer(&list);
}

/* ---- an operation ------------------------------------------------------------- */

struct SnapshotTask {
    Machine *m;
    SnapshotKind kind;
    const char *tag; /* owned; NULL: made up */
    bool overwrite;
    GPtrArray *disks;
    SnapshotInfo info;
    GByteArray *state;    /* saving: all but RAM */
    SnapImage *img;       /* loading */
    bool fresh;           /* it is not the machine's already */
    uint64_t done, total; /* atomic */
    int cancelled;        /* atomic */
    GError *err;
    SnapshotDone *fn;
    void *opaque;
};

static void task_free(SnapshotTask *t)
{
    g_clear_pointer(&t->disks, g_ptr_array_unref);
    g_clear_pointer(&t->state, g_byte_array_unref);
    g_clear_error(&t->err);
    g_free((char *)t->tag);
    g_free(t);
}

static bool task_cancelled(const SnapshotTask *t)
{
    return __atomic_load_n(&t->cancelled, __ATOMIC_RELAXED);
}

static void task_set(uint64_t *number, uint64_t value)
{
    __atomic_store_n(number, value, __ATOMIC_RELAXED);
}

/* ---- save ------------------------------------------------------------------------ */

typedef struct StateIo {
    SnapshotTask *t;
    VmStream *v;
} StateIo;

static int sink_write(void *opaque, const void *buf, size_t len)
{
    StateIo *io = opaque;

    return task_cancelled(io->t) ? -ECANCELED : vmstream_write(io->v, buf, len);
}

static bool use_zstd(Machine *m)
{
    const char *how = m->cfg.machine_opts
                          ? keyval_get(m->cfg.machine_opts, "x-snapshot-zstd")
                          : NULL;
    bool on = false;

    return how && parse_bool(how, &on, NULL) && on;
}

static bool write_state(SnapshotTask *t, BlockNode *bn, GError **errp)
{
    StateIo io = { t, vmstream_writer(bn, errp) };
    SnapSink sink = { sink_write, &io, use_zstd(t->m), &t->done };
    bool ok;
    int ret;

    if (!io.v) {
        return false;
    }
    ok = snap_write(t->m, t->state, &sink, errp);
    t->info.vm_state_size = vmstream_tell(io.v);
    ret = vmstream_close(io.v);
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

static bool prepare_save(SnapshotTask *t, GError **errp)
{
    t->info = new_info(t->m, t->tag);
    t->total = snap_ram_size(t->m);
    t->state = snap_take_state(t->m, errp);
    return t->state != NULL;
}

static bool work_save(SnapshotTask *t, GError **errp)
{
    return make_room(t->disks, t->info.name, t->overwrite, errp) &&
           write_state(t, t->disks->pdata[0], errp) &&
           create_on(t->disks, &t->info, errp);
}

/* ---- load ------------------------------------------------------------------------ */

static int source_read(void *opaque, void *buf, size_t len)
{
    StateIo *io = opaque;

    task_set(&io->t->done, vmstream_tell(io->v));
    return task_cancelled(io->t) ? -ECANCELED : vmstream_read(io->v, buf, len);
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

static SnapImage *read_image(SnapshotTask *t, BlockNode *bn, GError **errp)
{
    SnapImage *img = NULL;
    StateIo io = { t, NULL };

    task_set(&t->total, t->info.vm_state_size);
    if (!bn->drv->snapshots->view(bn, t->info.id, errp)) {
        return NULL;
    }
    io.v = vmstream_reader(bn, t->info.vm_state_size, errp);
    if (io.v) {
        SnapSource src = { source_read, &io };

        img = snap_read(t->m, &src, t->info.name, errp);
        vmstream_close(io.v);
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

/* The image, from the disk unless it is the one that RAM lies over. */
static bool work_load(SnapshotTask *t, GError **errp)
{
    BlockNode *bn = t->disks->pdata[0];
    g_autofree char *id = NULL;

    if (!find_everywhere(t->disks, t->tag, &t->info, errp)) {
        return false;
    }
    id = identity(bn, &t->info);
    t->img = t->m->snapshot;
    t->fresh = !t->img || g_strcmp0(snap_identity(t->img), id) != 0;
    if (t->fresh) {
        t->img = read_image(t, bn, errp);
        if (t->img) {
            snap_set_identity(t->img, id);
        }
    }
    return t->img != NULL;
}

/* The machine and the disks take it. */
static bool finish_load(SnapshotTask *t, GError **errp)
{
    SnapImage *before = snap_try(t->m, t->img, errp);

    if (before && apply_disks(t->m, t->disks, t->info.id, errp)) {
        snap_free(before);
        return snap_take_ram(t->m, t->img, errp);
    }
    if (before) {
        snap_undo(t->m, before);
    }
    if (t->fresh) {
        snap_free(t->img);
    }
    return false;
}

/* ---- delete ------------------------------------------------------------------------ */

static bool work_delete(SnapshotTask *t, GError **errp)
{
    bool any = false;

    for (guint i = 0; i < t->disks->len; i++) {
        BlockNode *bn = t->disks->pdata[i];
        SnapshotInfo info;

        if (!block_snapshot_find(bn, t->tag, &info, NULL)) {
            continue;
        }
        any = true;
        if (!bn->drv->snapshots->remove(bn, info.id, errp)) {
            return false;
        }
    }
    if (!any) {
        error_setg(errp, "Snapshot '%s' does not exist in any device", t->tag);
    }
    return any;
}

/* ---- all three: prepared and finished by the main thread, worked on anywhere ------- */

static const struct {
    const char *what; /* for who is refused meanwhile */
    RunState why;
    bool (*prepare)(SnapshotTask *t, GError **errp); /* these may be NULL */
    bool (*work)(SnapshotTask *t, GError **errp);
    bool (*finish)(SnapshotTask *t, GError **errp);
} kinds[] = {
    [SNAPSHOT_SAVE] = { "a snapshot is being saved", RUN_SAVE_VM, prepare_save,
                        work_save, NULL },
    [SNAPSHOT_LOAD] = { "a snapshot is being loaded", RUN_RESTORE_VM, NULL,
                        work_load, finish_load },
    [SNAPSHOT_DELETE] = { "a snapshot is being deleted", RUN_SAVE_VM, NULL,
                          work_delete, NULL },
};

/* NULL and @errp; otherwise the machine is held. */
static SnapshotTask *task_new(Machine *m, SnapshotKind kind, const char *tag,
                              const SnapshotWhere *where, GError **errp)
{
    GPtrArray *disks = disks_of(m, where, errp);
    SnapshotTask *t;

    if (!disks) {
        return NULL;
    }
    t = g_new0(SnapshotTask, 1);
    t->m = m;
    t->kind = kind;
    t->disks = disks;
    t->tag = g_strdup(tag);
    if (tag && strlen(tag) >= sizeof(t->info.name)) {
        error_setg(errp, "a snapshot's name has at most %zu bytes",
                   sizeof(t->info.name) - 1);
    } else if (machine_hold(m, kinds[kind].what, kinds[kind].why, errp)) {
        drives_drain(m);
        if (!kinds[kind].prepare || kinds[kind].prepare(t, errp)) {
            return t;
        }
        machine_release(m);
    }
    task_free(t);
    return NULL;
}

static int task_work(void *opaque)
{
    SnapshotTask *t = opaque;

    kinds[t->kind].work(t, &t->err);
    return 0;
}

static void task_finish(SnapshotTask *t)
{
    if (!t->err && kinds[t->kind].finish) {
        kinds[t->kind].finish(t, &t->err);
    }
    machine_release(t->m);
}

static bool task_now(SnapshotTask *t, GError **errp)
{
    bool ok;

    if (!t) {
        return false;
    }
    task_work(t);
    task_finish(t);
    ok = t->err == NULL;
    if (!ok) {
        g_propagate_error(errp, g_steal_pointer(&t->err));
    }
    task_free(t);
    return ok;
}

bool snapshot_save(Machine *m, const char *tag, bool overwrite,
                   const SnapshotWhere *where, GError **errp)
{
    SnapshotTask *t = task_new(m, SNAPSHOT_SAVE, tag, where, errp);

    trace(savevm_state_begin, tag ? tag : "");
    if (t) {
        t->overwrite = overwrite;
    }
    return task_now(t, errp);
}

bool snapshot_load(Machine *m, const char *tag, const SnapshotWhere *where,
                   GError **errp)
{
    trace(loadvm_state_setup, tag);
    return task_now(task_new(m, SNAPSHOT_LOAD, tag, where, errp), errp);
}

bool snapshot_delete(Machine *m, const char *tag, const SnapshotWhere *where,
                     GError **errp)
{
    return task_now(task_new(m, SNAPSHOT_DELETE, tag, where, errp), errp);
}

static void task_done(void *opaque, int ret)
{
    SnapshotTask *t = opaque;

    task_finish(t);
    t->fn(t->opaque, t->err);
    task_free(t);
}

SnapshotTask *snapshot_start(Machine *m, SnapshotKind kind, const char *tag,
                             const SnapshotWhere *where, SnapshotDone *done,
                             void *opaque, GError **errp)
{
    SnapshotTask *t = task_new(m, kind, tag, where, errp);

    if (t) {
        t->fn = done;
        t->opaque = opaque;
        worker_run(task_work, task_done, t);
    }
    return t;
}

void snapshot_progress(const SnapshotTask *t, uint64_t *current,
                       uint64_t *total)
{
    *total = MAX(__atomic_load_n(&t->total, __ATOMIC_RELAXED), 1);
    *current = MIN(__atomic_load_n(&t->done, __ATOMIC_RELAXED), *total);
}

void snapshot_cancel(SnapshotTask *t)
{
    __atomic_store_n(&t->cancelled, 1, __ATOMIC_RELAXED);
}

/* ---- list -------------------------------------------------------------------------- */

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
