/* What "info" and query-block tell about one image. */
#include "util/osdep.h"
#include "block/block.h"

static void add_snapshots(InfoItem *to, const GArray *list)
{
    InfoItem *l = info_add(to, "snapshots", info_new(INFO_LIST));

    for (guint i = 0; i < list->len; i++) {
        const SnapshotInfo *sn = &g_array_index(list, SnapshotInfo, i);
        InfoItem *d = info_add(l, NULL, info_new(INFO_DICT));

        info_add_str(d, "id", sn->id);
        info_add_str(d, "name", sn->name);
        info_add_int(d, "vm-state-size", sn->vm_state_size);
        info_add_int(d, "date-sec", sn->date_sec);
        info_add_int(d, "date-nsec", sn->date_nsec);
        info_add_int(d, "vm-clock-sec", sn->vm_clock_nsec / 1000000000);
        info_add_int(d, "vm-clock-nsec", sn->vm_clock_nsec % 1000000000);
        if (sn->icount != UINT64_MAX) {
            info_add_int(d, "icount", sn->icount);
        }
    }
}

GArray *block_snapshots(BlockNode *bn)
{
    GArray *list =
        bn->drv->snapshots ? bn->drv->snapshots->list(bn, NULL) : NULL;

    if (list && !list->len) {
        g_clear_pointer(&list, g_array_unref);
    }
    return list;
}

InfoItem *block_describe(BlockNode *bn)
{
    InfoItem *d = info_new(INFO_DICT);
    g_autoptr(GArray) list = block_snapshots(bn);
    InfoItem *specific = block_specific(bn);
    BlockInfo bi;

    block_get_info(bn, &bi);
    info_add_str(d, "filename", bn->filename);
    info_add_str(d, "format", bn->drv->name);
    info_add_int(d, "virtual-size", bn->size);
    if (block_allocated(bn) != UINT64_MAX) {
        info_add_int(d, "actual-size", block_allocated(bn));
    }
    if (bi.encrypted) {
        info_add_bool(d, "encrypted", true);
    }
    if (bi.cluster_size) {
        info_add_int(d, "cluster-size", bi.cluster_size);
    }
    if (bi.valid) {
        info_add_bool(d, "dirty-flag", bi.dirty);
    }
    if (specific) {
        InfoItem *u = info_add(d, "format-specific", info_new(INFO_DICT));

        info_add_str(u, "type", bn->drv->name);
        info_add(u, "data", specific);
    }
    if (bn->backing_name && bn->backing_name[0]) {
        g_autofree char *full = block_backing_path(bn);

        info_add_str(d, "backing-filename", bn->backing_name);
        if (full) {
            info_add_str(d, "full-backing-filename", full);
        }
        if (bn->backing_fmt && bn->backing_fmt[0]) {
            info_add_str(d, "backing-filename-format", bn->backing_fmt);
        }
    }
    if (list) {
        add_snapshots(d, list);
    }
    return d;
}
