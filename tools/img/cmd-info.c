/* info: what an image is. */
#include "util/osdep.h"
#include "tools/img/img.h"
#include "util/log.h"

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
    g_autofree char *vsize = block_size_text(bn->size);
    g_autofree char *dsize = info_get(d, "actual-size")
                                 ? block_size_text(int_of(d, "actual-size"))
                                 : g_strdup("unavailable");
    g_autoptr(GArray) list = block_snapshots(bn);
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
        InfoItem *d = info_add(list, NULL, block_describe(nodes->pdata[i]));

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
