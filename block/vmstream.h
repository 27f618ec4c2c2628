/*
 * The VM state of a snapshot as a stream: written or read from front to back in
 * small pieces, while threads move whole buffers to and from the image.
 *
 * One thread at a time uses a stream. No other request may change the snapshots
 * of the node meanwhile.
 *
 * To take a snapshot: a writer on the node that keeps the VM state, everything
 * into it, vmstream_close(), and its length into SnapshotInfo.vm_state_size for
 * SnapshotOps.create(), which moves the state into the snapshot. To go back:
 * SnapshotOps.apply(), then a reader.
 */
#ifndef BLOCK_VMSTREAM_H
#define BLOCK_VMSTREAM_H

#include "block/block.h"

typedef struct VmStream VmStream;

/* NULL, with a message: the format keeps no VM state, or is read-only. */
VmStream *vmstream_writer(BlockNode *bn, GError **errp);
/* Of the state that is in the active area: after apply(). @len: its bytes. */
VmStream *vmstream_reader(BlockNode *bn, uint64_t len, GError **errp);
/* 0 or -errno, perhaps of an earlier buffer; then nothing more is written. */
int vmstream_write(VmStream *v, const void *buf, size_t len);
/* All @len bytes; -EIO past the end of the state. */
int vmstream_read(VmStream *v, void *buf, size_t len);
/* Bytes written or read so far. */
uint64_t vmstream_tell(const VmStream *v);
/* Waits for what is under way and frees the stream. Of a writer: 0 when all is
 * in the image (not yet flushed: create() does that), else the first error. */
int vmstream_close(VmStream *v);

#endif
