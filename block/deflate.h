/*
 * Packing of a whole buffer into a deflate stream, faster than zlib's, which
 * must be able to stop anywhere and to keep windows. RFC 1951. Matches reach
 * back less than 4 KiB, as readers of qcow2 expect.
 */
#ifndef BLOCK_DEFLATE_H
#define BLOCK_DEFLATE_H

#include "util/osdep.h"

enum {
    DEFLATE_WINDOW = 1 << 12,
    DEFLATE_HASH_BITS = 13,
    DEFLATE_HASH3_BITS = 11,
    DEFLATE_BLOCK = 64 << 10, /* bytes that one block of the stream packs */
    DEFLATE_LIT_CODES = 288,
    DEFLATE_DIST_CODES = 30,
    DEFLATE_MAX_CODE = 15,
    DEFLATE_SLACK = 8, /* bytes behind the room that may be written, too */
};

/* Literals, then perhaps (@len) a copy of what was @dist bytes before. */
typedef struct DeflateSeq {
    uint32_t literals;
    uint16_t len, dist;
} DeflateSeq;

/* A prefix code; bits as they go into the stream, the first lowest. */
typedef struct DeflateCode {
    uint16_t bits[DEFLATE_LIT_CODES];
    uint8_t len[DEFLATE_LIT_CODES];
} DeflateCode;

/* Working memory: its content means nothing between calls. */
typedef struct DeflateTables {
    uint16_t
        head[1 << DEFLATE_HASH_BITS]; /* where these four bytes were last */
    uint16_t head3[1 << DEFLATE_HASH3_BITS];
    uint16_t prev[DEFLATE_WINDOW]; /* and where before that */
    DeflateSeq
        seqs[DEFLATE_BLOCK / 3 + 300]; /* a block may end a little late */
    uint32_t lit_freq[DEFLATE_LIT_CODES], dist_freq[DEFLATE_DIST_CODES];
    DeflateCode lit, dist;
} DeflateTables;

/* Bytes written to @out, at most @room (and then DEFLATE_SLACK more of no
 * meaning); 0: they do not suffice. @len at least 1. */
size_t deflate_all(DeflateTables *t, uint8_t *out, size_t room,
                   const uint8_t *in, size_t len);

#endif
