/* stream: a layer takes over what it gets from those below. */
#include "util/osdep.h"
#include "block/copy.h"

#include "util/error.h"

bool block_stream(BlockNode *bn, BlockNode *base, const BlockJob *job,
                  GError **errp)
{
    BlockInfo info;
    CopyOpts c = {
        .src = bn,
        .dst = bn,
        .len = bn->size,
        .base = base,
        .only_holes = true,
        .min_sparse = 65536,
    };
    BlockNode *above = bn, *old;
    g_autofree char *name = NULL, *fmt = NULL;

    while (above && above->backing != base) {
        above = above->backing;
    }
    if (!above || (above == bn && base)) {
        error_setg(errp,
                   base ? "'%s' is not below the layers to stream"
                        : "'%s' has no backing file",
                   base ? base->filename : bn->filename);
        return false;
    }
    block_get_info(bn, &info);
    c.cluster = info.cluster_size ? info.cluster_size : 65536;
    if (!block_copy_range(&c, job, errp)) {
        return false;
    }
    name = g_strdup(base ? base->filename : NULL);
    fmt = g_strdup(base ? base->drv->name : NULL);
    if (!block_change_backing(bn, name, fmt, errp)) {
        return false;
    }
    /* The layers between are of no use any more. */
    old = bn->backing;
    bn->backing = base ? block_ref(base) : NULL;
    block_close(old, NULL);
    return true;
}
