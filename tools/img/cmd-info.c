/* info: what an image is. */
#include "util/osdep.h"
#include "tools/img/img.h"
#include "util/log.h"

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
            g_autoptr(GString) text = g_string_new(i ? "\n" : NULL);

            block_add_description(text, nodes->pdata[i], d);
            fputs(text->str, stdout);
        }
    }
    if (json && ret == 0) {
        g_autofree char *text = info_json_text(
            img_has(a, IMG_BACKING_CHAIN) ? list : list->items->pdata[0]);

        printf("%s\n", text);
    }
    for (guint i = 0; i < nodes->len; i++) {
        block_close(nodes->pdata[i], NULL);
    }
    return ret;
}
