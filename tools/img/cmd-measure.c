/* measure: how large a new image would become. */
#include "util/osdep.h"
#include "tools/img/img.h"

#include "util/log.h"

static void print_measure(const MeasureInfo *m, bool json)
{
    g_autoptr(InfoItem) d = info_new(INFO_DICT);

    if (!json) {
        printf("required size: %" PRIu64 "\nfully allocated size: %" PRIu64
               "\n",
               m->required, m->fully_allocated);
        if (m->has_bitmaps) {
            printf("bitmaps size: %" PRIu64 "\n", m->bitmaps);
        }
        return;
    }
    info_add_int(d, "required", m->required);
    info_add_int(d, "fully-allocated", m->fully_allocated);
    if (m->has_bitmaps) {
        info_add_int(d, "bitmaps", m->bitmaps);
    }
    g_autofree char *text = info_json_text(d);

    printf("%s\n", text);
}

static KeyVal *options(const ImgArgs *a, const char *fmt)
{
    g_autofree char *joined = NULL;
    GError *err = NULL;
    KeyVal *kv;

    if (!img_join_options(a, &joined)) {
        return NULL;
    }
    if (joined && img_is_help(joined)) {
        img_print_options(fmt, a->nfiles ? a->files[0] : NULL);
        exit(0);
    }
    kv = joined ? keyval_parse(joined, NULL, &err) : keyval_new();
    if (!kv) {
        img_error(err, "%s", "");
    }
    return kv;
}

static bool options_known(const char *fmt, KeyVal *kv)
{
    const BlockDriver *drv = block_find_driver(fmt);
    const char *unknown = drv ? img_unknown_option(drv, kv) : NULL;

    if (unknown) {
        error_report("Invalid parameter '%s'", unknown);
        error_report("Invalid options for file format '%s'", fmt);
    }
    return !unknown;
}

int cmd_measure(ImgArgs *a)
{
    const char *fmt = img_opt(a, 'O') ? img_opt(a, 'O') : "raw";
    const char *size = img_opt(a, IMG_SIZE), *snapshot = img_opt(a, 'l');
    bool json = img_json(a);
    g_autoptr(KeyVal) kv = NULL;
    MeasureInfo m;
    GError *err = NULL;
    BlockNode *bn = NULL;
    int64_t n;
    int ret = 1;

    if (size && !img_size(size, "image size", 0, INT64_MAX, &n)) {
        return 1;
    }
    if (a->nfiles > 1) {
        error_report("At most one filename argument is allowed.");
        return 1;
    }
    if (a->nfiles == 1 && size) {
        error_report("--size N cannot be used together with a filename.");
        return 1;
    }
    if (!a->nfiles && !size) {
        error_report("Either --size N or one filename must be specified.");
        return 1;
    }
    kv = options(a, fmt);
    if (!kv) {
        return 1;
    }
    if (size) {
        g_autofree char *text = g_strdup_printf("%" PRId64, n);

        keyval_set(kv, "size", text);
    } else {
        bn = img_open_arg(a, a->files[0], 0);
        if (!bn) {
            return 1;
        }
        if (snapshot && (!bn->drv->snapshots ||
                         !bn->drv->snapshots->load(bn, snapshot, &err))) {
            img_error(err, "Failed to load snapshot: ");
            block_close(bn, NULL);
            return 1;
        }
    }
    if (!options_known(fmt, kv)) {
        /* said */
    } else if (block_measure(fmt, kv, bn, &m, &err)) {
        print_measure(&m, json);
        ret = 0;
    } else {
        img_error(err, "%s", "");
    }
    block_close(bn, NULL);
    return ret;
}
