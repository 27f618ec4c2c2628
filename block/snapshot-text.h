/* How lists of snapshots look, in rhea-img and in the monitor. */
#ifndef BLOCK_SNAPSHOT_TEXT_H
#define BLOCK_SNAPSHOT_TEXT_H

#include "block/block.h"

/* "64 MiB", as QEMU writes sizes. All strings are freed by the caller. */
char *block_size_text(uint64_t v);
/* One row of the list, and the row of titles with its newline (a constant). */
char *block_snapshot_line(const SnapshotInfo *sn);
const char *block_snapshot_header(void);

#endif
