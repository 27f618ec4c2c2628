/* Private to the jobs on disks in use; see live.h. */
#ifndef BLOCK_LIVE_JOB_H
#define BLOCK_LIVE_JOB_H

#include "block/live.h"

enum {
    LIVE_CHUNK = 512 << 10,      /* copied at a time */
    LIVE_GRANULARITY = 64 << 10, /* default */
};

typedef struct LiveOps {
    const char *type;
    bool waits; /* gets READY */
    /* The thread. 0, or -errno after live_fail(). Returns soon when
     * live_step() says so. */
    int (*run)(LiveJob *job);
    /* Main thread, quiesced, after a run that went well. */
    bool (*finish)(LiveJob *job, GError **errp);
    /* Main thread, quiesced, in any case: gives back what start took. */
    void (*clean)(LiveJob *job, bool ok);
} LiveOps;

struct LiveJob {
    const LiveOps *ops;
    LiveJobs *all;
    Blk *blk; /* a reference until it has concluded */
    char *id, *device;
    LiveOpts o;
    LiveStatus status; /* main thread */
    LiveInfo info;     /* what live_info() returned */
    GThread *thread;
    bool concluded;
    bool told_ready; /* LIVE_EV_READY was sent; `ready` may be before it */
    bool ending;     /* live_conclude() has begun, or is on its way */

    GMutex lock; /* below */
    GCond cond;  /* something was asked for */
    bool pause, cancel, force, complete, ready;
    uint64_t speed, offset, len;
    int64_t slice_start; /* us; of the present speed */
    uint64_t slice_done;
    char *error;
    LiveFault fault; /* the last that was told */
    GArray *untold;  /* of LiveFault, under lock: not announced yet */
    bool stopped;

    /* Of the operations. */
    BlockNode *source, *target; /* one reference each; target may be NULL */
    BlockNode *base, *top;      /* not owned; in the source's chain */
    GPtrArray *nodes; /* of BlockNode, one reference each: marked as used */
    LiveSync sync;
    bool target_zero, compress, base_was_ro, success_on_cancel;
    bool blocking; /* mirror: the guest's writes wait for the target */
    char *backing_name, *bitmap;
    DirtyMap *dirty; /* mirror: to be copied; backup: not saved yet */
    DirtyMap *taken; /* of the bitmap */
    uint32_t chunk;
    BlockWatch watch;
    GArray *busy; /* of LiveRange, under lock: backup, blocking mirror: being
                     copied; stream: the guest's writes */
    uint64_t own_off, own_len; /* stream: what the job is at */
};

typedef struct LiveRange {
    uint64_t off, len;
} LiveRange;

/* NULL, with a message, if the disk is empty, busy or the id is taken. The
 * disk's node gets a reference as job->source. */
LiveJob *live_new(LiveJobs *all, const LiveOps *ops, Blk *blk,
                  const LiveOpts *o, GError **errp);
/* Mirror, backup: the target can take the whole disk. */
bool live_check_target(const LiveJob *job, GError **errp);
/* Commit, also an active one: the base is read-only again if it was. */
void live_give_base_back(LiveJob *job);
/* Starts the thread. */
void live_go(LiveJob *job);
/* Undoes live_new(); for failures before live_go(). */
void live_drop(LiveJob *job);
/* In the thread, now and then: @n more bytes are done. Waits while the job is
 * paused or too fast. False: end. */
bool live_step(LiveJob *job, uint64_t n);
void live_set_len(LiveJob *job, uint64_t len);
/* The first failure is kept. Returns @ret. */
int live_fail(LiveJob *job, int ret, const char *what);
void live_set_ready(LiveJob *job);
/* Any of the ends was asked for. */
bool live_ending(LiveJob *job);
/* A stretch, with zeroes as zeroes. 0 or -errno; then @write says which of the
 * two it was. */
int live_copy(LiveJob *job, BlockNode *src, BlockNode *dst, uint64_t off,
              uint64_t len, uint8_t *buf, bool *write);
/* In the thread: an error, handled by the job's policy, which may pause it. 0:
 * try again (or ignore it); @ret: the job ends. The guest's writes must not be
 * waiting for the thread. */
int live_fault(LiveJob *job, int ret, bool write);
/* live_copy() and live_fault() until it is done or over. */
int live_copy_on(LiveJob *job, BlockNode *src, BlockNode *dst, uint64_t off,
                 uint64_t len, uint8_t *buf);

/* Of job->busy; with the lock held. */
bool live_range_busy(const LiveJob *job, uint64_t off, uint64_t len);
bool live_ranges_meet(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen);
/* Waits until nobody else is in the range, and takes it; gives it back. */
void live_claim(LiveJob *job, uint64_t off, uint64_t len);
void live_release(LiveJob *job, uint64_t off, uint64_t len);

extern const LiveOps live_active_commit_ops;
/* Has a source, target and sync; the rest of a mirror's start. */
bool live_mirror_prepare(LiveJob *job, uint32_t granularity, GError **errp);

#endif
