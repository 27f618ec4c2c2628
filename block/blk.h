/*
 * What devices and tools use to reach a disk: requests that never wait, with a
 * callback.
 *
 * Everything here belongs to the main thread (or whoever runs the main loop);
 * in a turn (util/turn.h) under the lock of the main loop, blk_submit() and
 * plugs also to another. @done is called from the main loop or at the end of a
 * turn, never from inside blk_submit(); buffers and the iovec array must live
 * until then.
 */
#ifndef BLOCK_BLK_H
#define BLOCK_BLK_H

#include "block/block.h"

typedef struct Blk Blk;
typedef void BlkDone(void *opaque, int ret); /* 0 or -errno */

typedef enum BlkOp {
    BLK_READ,
    BLK_WRITE,
    BLK_FLUSH,
    BLK_DISCARD,
    BLK_ZERO,
    BLK_OPS,
} BlkOp;

/* Requests of one kind since the start. */
typedef struct BlkStats {
    uint64_t ops, bytes, ns; /* completed without error */
    uint64_t failed, invalid;
    uint64_t direct; /* went to the host without a worker */
} BlkStats;

/* Limits as in throttling.*: 0 means none. Average and burst ("-max") of: */
typedef enum BlkLimitKind {
    LIMIT_BPS_TOTAL,
    LIMIT_BPS_READ,
    LIMIT_BPS_WRITE,
    LIMIT_IOPS_TOTAL,
    LIMIT_IOPS_READ,
    LIMIT_IOPS_WRITE,
    LIMIT_KINDS,
} BlkLimitKind;

typedef struct BlkLimits {
    double avg[LIMIT_KINDS], max[LIMIT_KINDS]; /* per second */
    uint64_t iops_size; /* a larger request counts as several; 0: never */
} BlkLimits;

enum {
    BLK_DETECT_ZEROES_OFF,
    BLK_DETECT_ZEROES_ON,    /* zero writes become BLK_ZERO */
    BLK_DETECT_ZEROES_UNMAP, /* and may give up their space */
};

typedef enum BlkAio {
    BLK_AIO_DEFAULT,
    BLK_AIO_THREADS,
    BLK_AIO_IO_URING
} BlkAio;

/* Takes @bn (may be NULL: an empty drive). @aio: io_uring when it can. */
Blk *blk_new(const char *name, BlockNode *bn, BlkAio aio);
/* Drains and, when nobody else has a reference, closes. */
void blk_free(Blk *blk);
/* Who goes on when the device has gone: a job. */
void blk_ref(Blk *blk);
void blk_unref(Blk *blk); /* waits for nothing */
BlockNode *blk_node(const Blk *blk);
const char *blk_name(const Blk *blk);
/* Removable media: takes @bn, returns the old one, drained, to the caller. */
BlockNode *blk_set_node(Blk *blk, BlockNode *bn);
uint64_t blk_size(const Blk *blk); /* 0: empty */
bool blk_read_only(const Blk *blk);

/*
 * BLK_READ and BLK_WRITE transfer @len bytes from or to @iov[0..n). For the
 * others @iov is NULL. A request outside the disk gets -EIO, a write to a
 * read-only one -EPERM, an empty drive -ENOMEDIUM. BLK_FLUSH makes everything
 * durable that had completed before it was submitted. @flags: ZERO_MAY_UNMAP,
 * WRITE_COMPRESSED, BLK_FUA.
 */
enum { BLK_FUA = 1 << 8 }; /* a write that is durable when it is done */
void blk_submit(Blk *blk, BlkOp op, uint64_t off, uint64_t len,
                const struct iovec *iov, int n, unsigned flags, BlkDone *done,
                void *opaque);
/* Between the two, requests gather and go to the host together. Nests. */
void blk_plug(Blk *blk);
void blk_unplug(Blk *blk);
/* Runs the main loop until no request of @blk is left. */
void blk_drain(Blk *blk);
unsigned blk_in_flight(const Blk *blk);
/* From here on requests are held back; returns when none is under way (runs the
 * main loop for it). Nests. For changing chains below a disk in use. */
void blk_quiesce(Blk *blk);
void blk_resume(Blk *blk);
/* Another node for a quiesced disk: takes @bn, returns the old one. */
BlockNode *blk_swap_node(Blk *blk, BlockNode *bn);

void blk_set_write_cache(Blk *blk, bool on); /* off: writes are BLK_FUA */
void blk_set_detect_zeroes(Blk *blk, int mode);
/* What reads find in backing files goes into the disk's own layer. While no
 * request is in flight. */
void blk_set_copy_on_read(Blk *blk, bool on);
/* @blk keeps to the limits of @with from now on: requests to both count, and
 * blk_set_limits() of one changes those of all. */
void blk_share_limits(Blk *blk, Blk *with);
bool blk_set_limits(Blk *blk, const BlkLimits *limits, GError **errp);
void blk_get_limits(const Blk *blk, BlkLimits *limits);
/* throttling.* of @options into @limits. */
bool blk_parse_limits(KeyVal *options, BlkLimits *limits, GError **errp);
const BlkStats *blk_stats(const Blk *blk, BlkOp op);
/* The end of the highest write since the start; 0: none yet. */
uint64_t blk_highest_write(const Blk *blk);

#endif
