/*
 * A file in memory that remembers every write and flush, and fails when told
 * to: for crash and error tests, and for fuzzing.
 */
#ifndef TESTS_LIB_MEM_DISK_H
#define TESTS_LIB_MEM_DISK_H

#include "block/block.h"

typedef struct MemOp {
    enum { MEM_WRITE, MEM_FLUSH } kind;
    uint64_t off;
    size_t len;
    uint8_t *data;
} MemOp;

typedef struct MemDisk {
    GByteArray *bytes;
    GArray *log;      /* of MemOp; NULL: not recorded */
    size_t max;       /* larger: -ENOSPC */
    unsigned writes;  /* so far */
    unsigned fail_at; /* atomic: this write fails with fail_errno; 0: none */
    bool fail_on;     /* and all after it */
    int fail_errno;
    uint64_t reads; /* bytes, for limits on work */
} MemDisk;

void mem_disk_init(MemDisk *d, const void *data, size_t len);
void mem_disk_clear(MemDisk *d);
void mem_disk_record(MemDisk *d);
/* A node over @d, which stays the caller's. */
BlockNode *mem_disk_node(MemDisk *d, unsigned flags);
void mem_op_apply(GByteArray *bytes, const MemOp *op);

#endif
