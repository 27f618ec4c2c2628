/* What several of the small image formats need. */
#ifndef BLOCK_FORMAT_H
#define BLOCK_FORMAT_H

#include "block/block.h"

/* A finding of check: counted as a corruption, its line added to the messages.
 * @text ends with a newline. */
void format_corrupt(CheckResult *res, const char *text, ...)
    G_GNUC_PRINTF(2, 3);
/* Only the line. */
void format_note(CheckResult *res, const char *text, ...) G_GNUC_PRINTF(2, 3);
/* check() of those that cannot repair begins with it: false when @fix asks. */
bool format_no_repair(unsigned fix, GError **errp);
/* For map(): takes the lock; false: with MAP_NOWAIT, and somebody writes tables
 * under it. */
bool format_lock(GMutex *lock, unsigned flags);
/* Calls @one with each piece of a request that lies in one block of @block bytes,
 * from the front, until one does not return 0. Returns the last result. */
typedef int FormatPiece(BlockNode *bn, uint64_t off, const struct iovec *iov,
                        int n);
int format_pieces(BlockNode *bn, uint64_t off, const struct iovec *iov, int n,
                  uint64_t block, FormatPiece *one);
/* A new file for a format that takes its end for the end of what is used;
 * refused where the file has a fixed size (devices, servers). */
BlockNode *format_create_file(const char *filename, uint64_t size, KeyVal *opts,
                              GError **errp);
/* RFC 4122, version 4; as bytes. */
void format_random_uuid(uint8_t out[16]);
/* The Castagnoli polynomial; begin with 0. */
uint32_t format_crc32c(uint32_t crc, const void *buf, size_t len);

#endif
