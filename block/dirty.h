/*
 * Dirty bitmaps in memory: which parts of a disk were written. And the bitmaps
 * of a node by name, those in memory and those stored in the image alike: what
 * block-dirty-bitmap-* of the monitor does.
 */
#ifndef BLOCK_DIRTY_H
#define BLOCK_DIRTY_H

#include "block/block.h"

/* Any thread. */
typedef struct DirtyMap DirtyMap;
/* @granularity: bytes per bit, a power of two, at least 512. NULL: too many
 * bits. All clear. */
DirtyMap *dirty_new(uint64_t size, uint32_t granularity);
void dirty_free(DirtyMap *d);
void dirty_mark(DirtyMap *d, uint64_t off, uint64_t len);
void dirty_clear(DirtyMap *d, uint64_t off, uint64_t len); /* whole bits */
/* The first dirty stretch at or after @from, at most @max bytes long; whole
 * bits, cut at the end of the disk. */
bool dirty_next(DirtyMap *d, uint64_t from, uint64_t max, uint64_t *off,
                uint64_t *len);
bool dirty_test(DirtyMap *d, uint64_t off);
uint64_t dirty_count(DirtyMap *d); /* bytes */

/* A bitmap as block_bitmap_list() shows it. */
typedef struct NodeBitmap {
    BitmapInfo info;
    bool persistent;
} NodeBitmap;

/* Main thread, no request in flight (blk_quiesce()). */
bool block_bitmap_add(BlockNode *bn, const char *name, uint32_t granularity,
                      bool persistent, bool enabled, GError **errp);
bool block_bitmap_remove(BlockNode *bn, const char *name, GError **errp);
bool block_bitmap_clear(BlockNode *bn, const char *name, GError **errp);
bool block_bitmap_enable(BlockNode *bn, const char *name, bool on,
                         GError **errp);
/* Bits of @from's @from_name are set in @name too. */
bool block_bitmap_merge(BlockNode *bn, const char *name, BlockNode *from,
                        const char *from_name, GError **errp);
GArray *block_bitmap_list(BlockNode *bn, GError **errp); /* of NodeBitmap */
/* What it says, as a new map; with @clear it says nothing from then on. */
DirtyMap *block_bitmap_take(BlockNode *bn, const char *name, bool clear,
                            GError **errp);
/* Sets the bits of @d again: what was taken is not done with. */
void block_bitmap_give_back(BlockNode *bn, const char *name, DirtyMap *d);
/* When the node is closed. */
void block_bitmaps_free(BlockNode *bn);

#endif
