/*
 * Unpacking of a whole deflate stream into a buffer of known size, faster than
 * zlib's, which must be able to stop anywhere. RFC 1951.
 */
#ifndef BLOCK_INFLATE_H
#define BLOCK_INFLATE_H

#include "util/osdep.h"

enum {
    INFLATE_LIT_BITS = 11,
    INFLATE_DIST_BITS = 8,
    /* A symbol whose code is longer than the index takes at most this many
     * places of a second table. */
    INFLATE_LIT_SIZE = (1 << INFLATE_LIT_BITS) + 288 * 16,
    INFLATE_DIST_SIZE = (1 << INFLATE_DIST_BITS) + 32 * 128,
};

/* Working memory: its content means nothing between calls. */
typedef struct InflateTables {
    uint32_t lit[INFLATE_LIT_SIZE], dist[INFLATE_DIST_SIZE];
} InflateTables;

/* True: @out is full, and the stream is right that far. False: something is
 * unusual (wrong, too short, ends in the middle of a match): @out holds
 * anything, and zlib has the last word. Safe on any input. */
bool inflate_all(InflateTables *t, uint8_t *out, size_t out_len,
                 const uint8_t *in, size_t in_len);

#endif
