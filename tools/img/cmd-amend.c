/* amend: changes options of an existing image. */
#include "util/osdep.h"
#include "tools/img/img.h"

#include "util/log.h"

static const CreateOpt *find(const CreateOpt *o, const char *name)
{
    for (; o && o->kind != OPT_END; o++) {
        if (strcmp(o->name, name) == 0) {
            return o;
        }
    }
    return NULL;
}

static gint by_text(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int help(const char *fmt)
{
    static const char *const types[] = { [OPT_SIZE] = "size",
                                         [OPT_STR] = "str",
                                         [OPT_BOOL] = "bool (on/off)",
                                         [OPT_NUM] = "num" };
    const BlockDriver *drv = block_find_driver(fmt);
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);

    if (!drv) {
        error_report("Unknown file format '%s'", fmt);
        return 1;
    }
    if (!drv->amend) {
        error_report("Format driver '%s' does not support option amendment",
                     fmt);
        return 1;
    }
    for (const CreateOpt *o = drv->create_opts; o->kind != OPT_END; o++) {
        g_autofree char *head =
            g_strdup_printf("  %s=<%s>", o->name, types[o->kind]);

        if (o->amend) {
            g_ptr_array_add(lines,
                            g_strdup_printf("%-24s - %s", head, o->help));
        }
    }
    g_ptr_array_sort(lines, by_text);
    printf("Amend options for '%s':\n", fmt);
    for (guint i = 0; i < lines->len; i++) {
        printf("%s\n", (char *)lines->pdata[i]);
    }
    return 0;
}

typedef struct Names {
    const BlockDriver *drv;
    bool bad;
} Names;

static void check_name(const char *key, const char *value, void *opaque)
{
    Names *n = opaque;
    const CreateOpt *o = find(n->drv->create_opts, key);

    if (n->bad || (o && o->amend)) {
        return;
    }
    error_report("Invalid parameter '%s'%s", key,
                 o ? "\nThis option is only supported for image creation" : "");
    n->bad = true;
}

static int amend_node(const ImgArgs *a, BlockNode *bn, KeyVal *kv)
{
    Names n = { bn->drv, false };
    GError *err = NULL;

    if (!bn->drv->amend) {
        error_report("Format driver '%s' does not support option amendment",
                     bn->drv->name);
        return 1;
    }
    keyval_foreach(kv, check_name, &n);
    if (n.bad) {
        return 1;
    }
    if (!block_amend(bn, kv, img_has(a, IMG_FORCE), img_progress(a, 1.0),
                     &err)) {
        img_progress_end();
        img_error(err, "%s", "");
        return 1;
    }
    img_progress_set(100);
    return 0;
}

int cmd_amend(ImgArgs *a)
{
    const char *cache = img_opt(a, 't');
    unsigned flags = BLOCK_RDWR | BLOCK_RESIZE | BLOCK_UNMAP;
    g_autofree char *joined = NULL;
    g_autoptr(KeyVal) kv = NULL;
    GError *err = NULL;
    BlockNode *bn;
    int ret;

    if (!img_has(a, 'o')) {
        img_usage("Must specify options (-o)");
    }
    if (!img_join_options(a, &joined)) {
        return 1;
    }
    if (img_is_help(joined) && img_has(a, 'f')) {
        return help(img_opt(a, 'f'));
    }
    if (a->nfiles != 1) {
        img_usage("Expecting one image file name");
    }
    if (cache && !block_cache_mode(cache, &flags)) {
        error_report("Invalid cache option: %s", cache);
        return 1;
    }
    bn = img_open_arg(a, a->files[0], flags);
    if (!bn) {
        return 1;
    }
    if (img_is_help(joined)) {
        ret = help(bn->drv->name);
        img_close(bn, &ret);
        return ret;
    }
    kv = keyval_parse(joined, NULL, &err);
    if (!kv) {
        img_error(err, "%s", "");
    }
    ret = kv ? amend_node(a, bn, kv) : 1;
    img_close(bn, &ret);
    return ret;
}
