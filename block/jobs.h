/*
 * Operations on whole images. Each runs in the calling thread until it is done,
 * reports through @job, and leaves valid images behind at every moment, also
 * when cancelled, killed, or out of space.
 */
#ifndef BLOCK_JOBS_H
#define BLOCK_JOBS_H

#include "block/block.h"

/* "convert": copies what the guest sees in @src, one after another, to @dst. */
typedef struct ConvertOpts {
    BlockNode **src; /* not owned; opened with their backing chains */
    unsigned nsrc;
    BlockNode *dst; /* at least as large as all of @src together */
    bool compress;
    bool dst_is_zero;    /* a new image: holes need not be written */
    bool dst_backing;    /* -B: only what differs from src's backing @base */
    BlockNode *base;     /* with dst_backing: data below this layer of src[0] is
                           not copied; NULL: only the top layer is */
    uint64_t min_sparse; /* -S: this many zero bytes make a hole; 0: none, all
                            is written */
    unsigned workers;    /* -m; 0: 8, bounded by the processors for compress */
    bool out_of_order;   /* -W: writes need not be in order of offset */
    bool salvage;        /* unreadable sectors become zeroes, with a warning */
} ConvertOpts;

bool block_convert(const ConvertOpts *o, const BlockJob *job, GError **errp);

/*
 * "commit": all data of @top and of the layers between goes into @base, one of
 * its backing files, opened for writing here. @base grows if need be. With
 * @empty, and when @base is the direct backing file, @top is emptied then.
 */
bool block_commit(BlockNode *top, BlockNode *base, bool empty,
                  const BlockJob *job, GError **errp);

/*
 * "rebase": @bn gets the backing file @name (NULL: none) of format @fmt (NULL:
 * as it is guessed). Safe: what would read differently is copied into @bn
 * first, with @compress compressed. Unsafe: only the name changes.
 */
bool block_rebase(BlockNode *bn, const char *name, const char *fmt, bool unsafe,
                  bool compress, const BlockJob *job, GError **errp);

/* The length of the zeroes at the front of @buf, rounded down to @unit. */
size_t block_zero_prefix(const void *buf, size_t len, size_t unit);
bool buffer_is_zero(const void *buf, size_t len);

#endif
