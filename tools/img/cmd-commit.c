/* commit: writes an overlay's data into its backing file. */
#include "util/osdep.h"
#include "tools/img/img.h"

#include "block/jobs.h"
#include "util/log.h"

/* Where -b points; NULL: reported. */
static BlockNode *find_base(const ImgArgs *a, BlockNode *bn)
{
    const char *base = img_opt(a, 'b');
    BlockNode *found;

    if (!bn->backing) {
        error_report("Image does not have a backing file");
        return NULL;
    }
    if (!base) {
        return bn->backing;
    }
    found = block_find_in_chain(bn, base);
    if (!found || found == bn) {
        error_report("Did not find '%s' in the backing chain of '%s'", base,
                     a->files[0]);
        return NULL;
    }
    return found;
}

int cmd_commit(ImgArgs *a)
{
    const char *cache = img_opt(a, 't'), *rate = img_opt(a, 'r');
    unsigned flags = BLOCK_RDWR | BLOCK_UNMAP;
    BlockNode *bn, *base;
    BlockJob job;
    GError *err = NULL;
    int64_t limit = 0;
    int ret = 1;

    if (a->nfiles != 1) {
        img_usage("Expecting one image file name");
    }
    if (rate && !img_size(rate, "rate limit", 0, INT64_MAX, &limit)) {
        return 1;
    }
    if (cache && !block_cache_mode(cache, &flags)) {
        error_report("Invalid cache option: %s", cache);
        return 1;
    }
    bn = img_open_arg(a, a->files[0], flags);
    if (!bn) {
        return 1;
    }
    base = find_base(a, bn);
    if (base) {
        job = *img_progress(a, 1.0);
        job.rate_limit = (uint64_t)limit;
        /* An intermediate target is never followed by emptying the top. */
        if (block_commit(bn, base, !img_has(a, 'd') && !img_has(a, 'b'), &job,
                         &err)) {
            img_progress_set(100);
            img_progress_end();
            img_say(a, "Image committed.\n");
            ret = 0;
        } else {
            img_progress_end();
            img_error(err, "%s", "");
        }
    }
    img_close(bn, &ret);
    return ret;
}
