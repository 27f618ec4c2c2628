/*
 * Copy on read: what a read finds in a backing file goes into the layer above,
 * so that the next one finds it there.
 */
#ifndef BLOCK_COPY_ON_READ_H
#define BLOCK_COPY_ON_READ_H

#include "block/block.h"

typedef struct CopyOnRead CopyOnRead;

/* For reads of @bn, which must outlive it and be writable. Main thread, while no
 * request is in flight; so is cor_free(). NULL is fine for that. */
CopyOnRead *cor_new(BlockNode *bn);
void cor_free(CopyOnRead *c);
/* block_preadv(), from any number of threads. A copy that cannot be written is
 * no error of the read. */
int cor_preadv(CopyOnRead *c, uint64_t off, const struct iovec *iov, int n);

#endif
