/*
 * What an image is, in QEMU's words: for rhea-img, and for "info block -v" of
 * the monitor. Strings that are returned are the caller's.
 */
#ifndef BLOCK_INFO_TEXT_H
#define BLOCK_INFO_TEXT_H

#include "block/block.h"
#include "block/info.h"

/* JSON over several lines, in QEMU's order of names; no newline at the end. */
char *info_json_text(const InfoItem *item);
/* A line an item, "lazy refcounts: false", @indent times four blanks deep. */
void info_add_lines(GString *s, const InfoItem *items, int indent);
/* "Snapshot list:" and a table of SnapshotInfo; nothing if there are none. */
void block_add_snapshots(GString *s, const GArray *list);
/* All of it, as "rhea-img info" says it. @d is block_describe() of @bn. */
void block_add_description(GString *s, BlockNode *bn, const InfoItem *d);

#endif
