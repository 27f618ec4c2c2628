/* rebase: another backing file for an overlay. */
#include "util/osdep.h"
#include "tools/img/img.h"

#include "block/jobs.h"
#include "util/log.h"

static int rebase(const ImgArgs *a, BlockNode *bn, const char *name,
                  const char *fmt)
{
    bool unsafe = img_has(a, 'u');
    GError *err = NULL;

    if (fmt && !block_find_driver(fmt)) {
        error_report("Invalid format name: '%s'", fmt);
        return 1;
    }
    if (!bn->drv->change_backing) {
        error_report("Could not change the backing file to '%s': %s",
                     name ? name : "", g_strerror(ENOTSUP));
        return 1;
    }
    if (name && name[0] && !fmt) {
        error_report("Could not change the backing file to '%s': backing "
                     "format must be specified",
                     name);
        return 1;
    }
    if (!block_rebase(bn, name && name[0] ? name : NULL, fmt, unsafe,
                      img_has(a, 'c'), img_progress(a, 1.0), &err)) {
        img_progress_end();
        img_error(err, "%s", "");
        return 1;
    }
    img_progress_set(100);
    return 0;
}

int cmd_rebase(ImgArgs *a)
{
    const char *cache = img_opt(a, 't'), *src_cache = img_opt(a, 'T');
    const char *name = img_opt(a, 'b');
    unsigned flags = BLOCK_RDWR | BLOCK_UNMAP, src = 0;
    BlockNode *bn;
    int ret;

    if (a->nfiles != 1) {
        if (!img_has(a, 'u') && !name) {
            img_usage("Must specify backing file (-b) or use unsafe mode (-u)");
        }
        img_usage("Expecting one image file name");
    }
    if (!img_has(a, 'u') && !name) {
        img_usage("Must specify backing file (-b) or use unsafe mode (-u)");
    }
    if (cache && !block_cache_mode(cache, &flags)) {
        error_report("Invalid cache option: %s", cache);
        return 1;
    }
    if (src_cache && !block_cache_mode(src_cache, &src)) {
        error_report("Invalid source cache option: %s", src_cache);
        return 1;
    }
    flags |= img_has(a, 'u') ? BLOCK_NO_BACKING : 0;
    /* -U is about the backing files alone */
    bn = img_open(a, img_has(a, IMG_IMAGE_OPTS), a->files[0], img_opt(a, 'f'),
                  flags);
    if (!bn) {
        return 1;
    }
    ret = rebase(a, bn, name, img_opt(a, 'F'));
    img_close(bn, &ret);
    return ret;
}
