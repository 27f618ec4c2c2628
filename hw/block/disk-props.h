/* What the properties of every disk have in common, whatever its bus. */
#ifndef HW_BLOCK_DISK_PROPS_H
#define HW_BLOCK_DISK_PROPS_H

#include "block/block.h"

/* logical_block_size, physical_block_size: powers of two from 512 to 2 MiB,
 * the second no smaller than the first. */
bool disk_check_block_sizes(uint32_t logical, uint32_t physical, GError **errp);
/* write-cache: on, off or auto (@text, also NULL). auto is as @bn was opened;
 * no node, no medium: on. */
bool disk_write_cache(const char *text, const BlockNode *bn, bool *on,
                      GError **errp);

#endif
