/* rebase: another backing file, with the same content to the guest. */
#include "util/osdep.h"
#include "block/copy.h"

#include "util/error.h"

/* Opens the new backing file, NULL for none. */
static bool open_new(BlockNode *bn, const char *name, const char *fmt,
                     BlockNode **out, GError **errp)
{
    g_autofree char *path = NULL;
    GError *err = NULL;

    *out = NULL;
    if (!name || !name[0]) {
        return true;
    }
    path = block_combine_path(bn->filename, name);
    *out = block_open(path, fmt, NULL, 0, &err);
    if (!*out) {
        g_propagate_prefixed_error(errp, err,
                                   "Could not open new backing "
                                   "file '%s': ",
                                   name);
    }
    return *out != NULL;
}

static bool copy_differences(BlockNode *bn, BlockNode *now, bool compress,
                             const BlockJob *job, GError **errp)
{
    BlockInfo info;
    CopyOpts c = {
        .src = bn,
        .dst = bn,
        .len = bn->size,
        .only_holes = true,
        .compress = compress,
    };
    BlockNode *none = NULL;
    bool ok;

    block_get_info(bn, &info);
    c.cluster = info.cluster_size ? info.cluster_size : 65536;
    if (!now) { /* compared with zeroes */
        none = block_open("null-co://", "null-co", NULL, 0, errp);
        if (!none) {
            return false;
        }
        none->size = 0;
        now = none;
    }
    c.compare = now;
    ok = block_copy_range(&c, job, errp);
    block_close(none, NULL);
    return ok;
}

bool block_rebase(BlockNode *bn, const char *name, const char *fmt, bool unsafe,
                  bool compress, const BlockJob *job, GError **errp)
{
    BlockNode *now = NULL;
    bool ok;

    if (fmt && !block_find_driver(fmt)) {
        error_setg(errp, "Invalid format name: '%s'", fmt);
        return false;
    }
    if (unsafe) {
        return block_change_backing(bn, name, fmt, errp);
    }
    if (!open_new(bn, name, fmt, &now, errp)) {
        return false;
    }
    ok = copy_differences(bn, now, compress, job, errp);
    if (ok) {
        ok = block_change_backing(bn, name,
                                  fmt   ? fmt
                                  : now ? now->drv->name
                                        : NULL,
                                  errp);
    }
    if (ok) { /* from here on the guest sees the new one */
        block_close(bn->backing, NULL);
        bn->backing = now;
    } else {
        block_close(now, NULL);
    }
    return ok;
}
