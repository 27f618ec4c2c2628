/* Private to the whole-image operations; see jobs.h. */
#ifndef BLOCK_COPY_H
#define BLOCK_COPY_H

#include "block/jobs.h"

typedef struct CopyOpts {
    BlockNode *src, *dst;
    uint64_t len;       /* of src, from its start */
    uint64_t dst_off;   /* where it goes */
    BlockNode *base;    /* without this layer of src and below */
    bool only_holes;    /* only what is not in src's top layer (src == dst) */
    BlockNode *compare; /* only where it differs from this */
    bool compress, dst_is_zero, unmap, salvage, out_of_order;
    uint64_t min_sparse; /* 0: zeroes are written as data */
    uint64_t cluster;    /* of dst */
    unsigned workers;
    uint64_t before, total; /* progress of a longer operation */
} CopyOpts;

bool block_copy_range(const CopyOpts *o, const BlockJob *job, GError **errp);

#endif
