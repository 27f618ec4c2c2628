/* What the fuzzers of image formats do with an image that opened. */
#ifndef TESTS_LIB_FUZZ_IMAGE_H
#define TESTS_LIB_FUZZ_IMAGE_H

#include "block/block.h"

enum { READ = 70000, STEPS = 16 };

/* Reads and maps from the start, in steps, and the last sector. Work is bounded
 * by what is there. */
static inline void read_around(BlockNode *bn)
{
    g_autofree uint8_t *buf = g_malloc(READ);
    BlockExtent e;
    uint64_t off = 0;

    for (unsigned i = 0; i < STEPS && off < bn->size; i++) {
        uint64_t n = MIN(bn->size - off, READ);

        block_pread(bn, off, buf, n);
        if (block_map(bn, off, bn->size - off, 0, &e) < 0) {
            break;
        }
        g_assert_cmpuint(e.len, >, 0);
        g_assert_cmpuint(e.len, <=, bn->size - off);
        off += i % 2 ? e.len : n;
    }
    if (bn->size > 512) {
        block_pread(bn, bn->size - 512, buf, 512);
    }
}

#endif
