/* Events inside formats that a blkdebug node below may have rules for. */
#ifndef BLOCK_BLKDEBUG_H
#define BLOCK_BLKDEBUG_H

#include "block/block.h"

enum {
#define EVENT(ID, name, here) BLKDBG_##ID,
#include "block/blkdebug.def"
    BLKDBG_EVENTS,
};

/* @bn: the file below the format. Costs nothing where no blkdebug is. */
static inline void block_event(BlockNode *bn, unsigned event)
{
    if (G_UNLIKELY(bn->drv->debug_event)) {
        bn->drv->debug_event(bn, event);
    }
}

#endif
