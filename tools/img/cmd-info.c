/* info: what an image is. */
#include "util/osdep.h"
#include "tools/img/img.h"

#include "util/error.h"
#include "util/log.h"

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

static GArray *snapshots_of(BlockNode *bn)
{
    GArray *list =
        bn->drv->snapshots ? bn->drv->snapshots->list(bn, NULL) : NULL;

    if (list && !list->len) {
        g_clear_pointer(&list, g_array_unref);
    }
    return list;
}

static InfoItem *describe(BlockNode *bn)
{
    InfoItem *d = info_new(INFO_DICT);
    g_autoptr(GArray) list = snapshots_of(bn);
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

/* ---- for people -------------------------------------------------------------------- */

static const char *text_of(const InfoItem *d, const char *name)
{
    const InfoItem *i = info_get(d, name);

    return i ? i->str : NULL;
}

static uint64_t int_of(const InfoItem *d, const char *name)
{
    const InfoItem *i = info_get(d, name);

    return i ? i->u : 0;
}

static void print_backing(const InfoItem *d)
{
    const char *name = text_of(d, "backing-filename");
    const char *full = text_of(d, "full-backing-filename");
    const char *fmt = text_of(d, "backing-filename-format");

    if (!name) {
        return;
    }
    printf("backing file: %s", name);
    if (!full) {
        printf(" (cannot determine actual path)");
    } else if (strcmp(name, full) != 0) {
        printf(" (actual path: %s)", full);
    }
    printf("\n");
    if (fmt) {
        printf("backing file format: %s\n", fmt);
    }
}

static void print_info(BlockNode *bn, const InfoItem *d)
{
    g_autofree char *vsize = img_size_text(bn->size);
    g_autofree char *dsize = info_get(d, "actual-size")
                                 ? img_size_text(int_of(d, "actual-size"))
                                 : g_strdup("unavailable");
    g_autoptr(GArray) list = snapshots_of(bn);
    const InfoItem *specific = info_get(d, "format-specific");
    const InfoItem *data = specific ? info_get(specific, "data") : NULL;

    printf("image: %s\nfile format: %s\nvirtual size: %s (%" PRIu64
           " bytes)\ndisk size: %s\n",
           bn->filename, bn->drv->name, vsize, bn->size, dsize);
    if (info_get(d, "encrypted")) {
        printf("encrypted: yes\n");
    }
    if (info_get(d, "cluster-size")) {
        printf("cluster_size: %" PRIu64 "\n", int_of(d, "cluster-size"));
    }
    if (int_of(d, "dirty-flag")) {
        printf("cleanly shut down: no\n");
    }
    print_backing(d);
    if (list) {
        img_print_snapshots(list);
    }
    if (data && data->items->len) {
        printf("Format specific information:\n");
        img_print_items(data, 1);
    }
}

/* ---- the chain ---------------------------------------------------------------------- */

/* The images of the chain, each alone: one that lacks its backing file can be
 * described too. */
static bool collect(const ImgArgs *a, const char *name, GPtrArray *nodes)
{
    g_autoptr(GHashTable) seen =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    bool chain = img_has(a, IMG_BACKING_CHAIN);
    g_autofree char *next = g_strdup(name), *fmt = g_strdup(img_opt(a, 'f'));
    bool image_opts = img_has(a, IMG_IMAGE_OPTS);
    unsigned flags = BLOCK_NO_BACKING | BLOCK_NO_IO |
                     (img_has(a, 'U') ? BLOCK_FORCE_SHARE : 0);

    while (next) {
        BlockNode *bn;

        if (!g_hash_table_add(seen, g_strdup(next))) {
            error_report("Backing file '%s' creates an infinite loop.", next);
            return false;
        }
        bn = img_open(a, image_opts, next, fmt, flags);
        if (!bn) {
            return false;
        }
        g_ptr_array_add(nodes, bn);
        g_clear_pointer(&next, g_free);
        g_clear_pointer(&fmt, g_free);
        if (chain && bn->backing_name && bn->backing_name[0]) {
            next = block_backing_path(bn);
            fmt = bn->backing_fmt && bn->backing_fmt[0]
                      ? g_strdup(bn->backing_fmt)
                      : NULL;
        }
        image_opts = false;
    }
    return true;
}

int cmd_info(ImgArgs *a)
{
    g_autoptr(GPtrArray) nodes = g_ptr_array_new();
    bool json = img_json(a);
    g_autoptr(InfoItem) list = info_new(INFO_LIST);
    int ret = 0;

    if (a->nfiles != 1) {
        img_usage("Expecting one image file name");
    }
    if (!collect(a, a->files[0], nodes)) {
        ret = 1;
    }
    for (guint i = 0; ret == 0 && i < nodes->len; i++) {
        InfoItem *d = info_add(list, NULL, describe(nodes->pdata[i]));

        if (!json) {
            printf("%s", i ? "\n" : "");
            print_info(nodes->pdata[i], d);
        }
    }
    if (json && ret == 0) {
        g_autofree char *text = img_json_text(
            img_has(a, IMG_BACKING_CHAIN) ? list : list->items->pdata[0]);

        printf("%s\n", text);
    }
    for (guint i = 0; i < nodes->len; i++) {
        block_close(nodes->pdata[i], NULL);
    }
    return ret;
}
