/* convert, and the plain copy of backup and mirror. */
#include "util/osdep.h"
#include "block/copy.h"

#include "util/error.h"
#include "util/worker.h"

static uint64_t cluster_of(BlockNode *bn)
{
    BlockInfo info;

    block_get_info(bn, &info);
    return info.cluster_size ? info.cluster_size : 65536;
}

/* Streams: written compressed, and in the order of the disk unless -W says that
 * it does not matter. */
static void look_at_target(CopyOpts *c, const ConvertOpts *o)
{
    BlockInfo info;

    block_get_info(o->dst, &info);
    if (info.compressed_only) {
        c->compress = true;
        c->workers = o->out_of_order ? c->workers : 1;
    }
}

bool block_convert(const ConvertOpts *o, const BlockJob *job, GError **errp)
{
    CopyOpts c = {
        .dst = o->dst,
        .compress = o->compress,
        .dst_is_zero = o->dst_is_zero,
        .salvage = o->salvage,
        .out_of_order = o->out_of_order,
        .min_sparse = o->min_sparse,
        .unmap = true,
        .cluster = cluster_of(o->dst),
        .workers = o->compress && !o->workers ? worker_cpus() : o->workers,
    };

    look_at_target(&c, o);
    for (unsigned i = 0; i < o->nsrc; i++) {
        c.total += o->src[i]->size;
    }
    if (c.total > o->dst->size) {
        error_setg(errp,
                   "the target has %" PRIu64 " bytes, the source %" PRIu64,
                   o->dst->size, c.total);
        return false;
    }
    for (unsigned i = 0; i < o->nsrc; i++) {
        c.src = o->src[i];
        c.len = c.src->size;
        c.base = o->dst_backing ? o->base ? o->base : c.src->backing : NULL;
        if (!block_copy_range(&c, job, errp)) {
            return false;
        }
        c.dst_off += c.len;
        c.before += c.len;
    }
    return true;
}
