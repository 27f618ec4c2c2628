/* bitmap: the dirty bitmaps kept in an image. */
#include "util/osdep.h"
#include "tools/img/img.h"

#include "util/error.h"
#include "util/log.h"

typedef struct Bitmap {
    const ImgArgs *a;
    BlockNode *bn, *src;
    const char *name;
    int64_t granularity;
} Bitmap;

static const char *action_name(int ch)
{
    switch (ch) {
    case IMG_ADD:
        return "add";
    case IMG_REMOVE:
        return "remove";
    case IMG_CLEAR:
        return "clear";
    case IMG_ENABLE:
        return "enable";
    case IMG_DISABLE:
        return "disable";
    case IMG_MERGE:
        return "merge";
    default:
        return NULL;
    }
}

static bool run_action(const Bitmap *b, const ImgOpt *o, GError **errp)
{
    const BitmapOps *ops = b->bn->drv->bitmaps;
    BitmapInfo info = { .granularity = (uint32_t)b->granularity,
                        .enabled = !img_has(b->a, IMG_DISABLE) };

    if (!ops) {
        error_setg(errp, "Can't store persistent bitmaps to %s: %s",
                   b->bn->name, g_strerror(ENOTSUP));
        return false;
    }
    switch (o->ch) {
    case IMG_ADD:
        if (strlen(b->name) >= sizeof(info.name)) {
            error_setg(errp, "Bitmap name is longer than %zu bytes",
                       sizeof(info.name) - 1);
            return false;
        }
        if (b->granularity &&
            (b->granularity < 512 || (b->granularity & (b->granularity - 1)))) {
            error_setg(errp, "Granularity must be power of 2 and at least 512");
            return false;
        }
        g_strlcpy(info.name, b->name, sizeof(info.name));
        return ops->add(b->bn, &info, errp);
    case IMG_REMOVE:
        return ops->remove(b->bn, b->name, errp);
    case IMG_CLEAR:
        return ops->clear(b->bn, b->name, errp);
    case IMG_ENABLE:
    case IMG_DISABLE:
        return ops->enable(b->bn, b->name, o->ch == IMG_ENABLE, errp);
    default:
        return ops->merge(b->bn, b->name, b->src ? b->src : b->bn, o->value,
                          errp);
    }
}

static int run_actions(const Bitmap *b)
{
    for (guint i = 0; i < b->a->opts->len; i++) {
        const ImgOpt *o = &g_array_index(b->a->opts, ImgOpt, i);
        GError *err = NULL;

        if (action_name(o->ch) && !run_action(b, o, &err)) {
            img_error(err,
                      "Operation %s on bitmap %s failed: ", action_name(o->ch),
                      b->name);
            return 1;
        }
    }
    return 0;
}

int cmd_bitmap(ImgArgs *a)
{
    const char *src = img_opt(a, 'b'), *src_fmt = img_opt(a, 'F');
    const char *g = img_opt(a, 'g');
    Bitmap b = { .a = a };
    bool any = false;
    int ret = 1;

    for (guint i = 0; i < a->opts->len; i++) {
        any |= action_name(g_array_index(a->opts, ImgOpt, i).ch) != NULL;
    }
    if (g && !img_size(g, "granularity", 1, INT64_MAX, &b.granularity)) {
        return 1;
    }
    if (a->nfiles != 2 && any) {
        error_report("Expecting filename and bitmap name");
        return 1;
    }
    if (!any) {
        error_report("Need at least one of --add, --remove, --clear, "
                     "--enable, --disable, or --merge");
        return 1;
    }
    if (g && !img_has(a, IMG_ADD)) {
        error_report("granularity only supported with --add");
        return 1;
    }
    if (src_fmt && !src) {
        error_report("-F only supported with -b");
        return 1;
    }
    if (src && !img_has(a, IMG_MERGE)) {
        error_report("Merge bitmap source file only supported with --merge");
        return 1;
    }
    b.name = a->files[1];
    b.bn = img_open_arg(a, a->files[0], BLOCK_RDWR | BLOCK_UNMAP);
    if (!b.bn) {
        return 1;
    }
    if (src) {
        b.src = img_open(a, false, src, src_fmt, BLOCK_NO_BACKING);
    }
    if (!src || b.src) {
        ret = run_actions(&b);
    }
    block_close(b.src, NULL);
    img_close(b.bn, &ret);
    return ret;
}
