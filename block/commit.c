/*
 * commit: the data of a layer goes down into one of its backing files.
 *
 * At every moment the guest's view of @top is unchanged: @base gets what @top
 * shows already, and @top is emptied only when @base is on disk.
 */
#include "util/osdep.h"
#include "block/copy.h"

#include "util/error.h"

static bool commit_copy(BlockNode *top, BlockNode *base, const BlockJob *job,
                        GError **errp)
{
    CopyOpts c = {
        .src = top,
        .dst = base,
        .base = base,
        .len = top->size,
        .min_sparse = 65536,
        .unmap = false,
        .cluster = 65536,
    };
    int ret;

    if (!block_copy_range(&c, job, errp)) {
        return false;
    }
    ret = block_flush(base);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not flush '%s'", base->filename);
    }
    return ret == 0;
}

bool block_commit(BlockNode *top, BlockNode *base, bool empty,
                  const BlockJob *job, GError **errp)
{
    BlockNode *n = top->backing;
    bool was_ro = base->read_only, ok;

    while (n && n != base) {
        n = n->backing;
    }
    if (!n) {
        error_setg(errp, "'%s' is not in this backing file chain",
                   base->filename);
        return false;
    }
    if (was_ro && !block_reopen(base, true, errp)) {
        return false;
    }
    ok = base->size >= top->size ||
         block_resize(base, top->size, "off", false, errp);
    ok = ok && commit_copy(top, base, job, errp);
    if (ok && empty && top->backing == base && top->drv->make_empty) {
        ok = block_make_empty(top, errp);
    }
    if (was_ro) {
        ok = block_reopen(base, false, ok ? errp : NULL) && ok;
    }
    return ok;
}
