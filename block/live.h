/*
 * Jobs on a disk that a guest is using: mirror, backup, stream, commit.
 *
 * A job copies in a thread of its own, while requests of the guest go on. All
 * calls and all events are on the main thread. When it starts and when it ends
 * the Blk is quiesced for a moment, since chains change then.
 *
 *     live_*_start() -> RUNNING -> [READY -> live_complete()]
 *         -> [PENDING -> live_finalize()] -> CONCLUDED
 *
 * At every moment the images are valid: the disk that the guest uses is
 * complete, and a target is an image that holds part of the data; after the
 * job it holds all (mirror: the view at the moment of completion; backup: that
 * of the start). A cancelled or failed job leaves the guest's disk as it was.
 */
#ifndef BLOCK_LIVE_H
#define BLOCK_LIVE_H

#include "block/blk.h"
#include "block/dirty.h"

typedef struct LiveJob LiveJob;

typedef enum LiveSync {
    LIVE_FULL,        /* all the guest sees */
    LIVE_TOP,         /* what the top layer has */
    LIVE_NONE,        /* what is written from now on (backup: overwritten) */
    LIVE_INCREMENTAL, /* what a dirty bitmap says; backup only */
} LiveSync;

/* As QMP's JobStatus has them. */
typedef enum LiveStatus {
    LIVE_RUNNING,
    LIVE_PAUSED,
    LIVE_READY,   /* mirror, active commit: in step, waits for complete */
    LIVE_STANDBY, /* ready and paused */
    LIVE_PENDING, /* all is copied; chains change when somebody says so */
    LIVE_CONCLUDED,
} LiveStatus;

/* What an error while copying does: QMP's BlockdevOnError. */
typedef enum LiveOnError {
    LIVE_REPORT, /* ends the job */
    LIVE_IGNORE, /* it tries again (stream: goes on, and fails at its end) */
    LIVE_STOP,   /* pauses the job, which tries again when resumed */
    LIVE_ENOSPC, /* full disks: LIVE_STOP, other errors: LIVE_REPORT */
} LiveOnError;

typedef struct LiveFault {
    bool write;         /* of the target; else reading the source */
    bool nospace;       /* a full disk */
    LiveOnError action; /* what was done: not LIVE_ENOSPC */
} LiveFault;

typedef enum LiveEvent {
    LIVE_EV_STATUS,    /* JOB_STATUS_CHANGE */
    LIVE_EV_READY,     /* BLOCK_JOB_READY */
    LIVE_EV_PENDING,   /* BLOCK_JOB_PENDING: waits for live_finalize() */
    LIVE_EV_ERROR,     /* BLOCK_JOB_ERROR: see LiveInfo.fault */
    LIVE_EV_CONCLUDED, /* BLOCK_JOB_COMPLETED or _CANCELLED: see LiveInfo. The
                          last event; the job is freed after it, unless it was
                          started with keep */
} LiveEvent;

typedef struct LiveInfo {
    const char *id, *type; /* "mirror", "backup", "stream", "commit" */
    const char *device;    /* the Blk's name */
    LiveStatus status;
    uint64_t offset, len; /* bytes done and to be done */
    uint64_t speed;       /* bytes per second; 0: no limit */
    bool cancelled;       /* asked for */
    const char *error;    /* CONCLUDED without success: why; else NULL */
    LiveFault fault;      /* the last one */
    bool manual, keep;    /* of LiveOpts */
    bool stopped;         /* by it, with LIVE_STOP, and not resumed yet */
} LiveInfo;

typedef void LiveEventFn(void *opaque, LiveJob *job, LiveEvent ev);

/* What all jobs have. */
typedef struct LiveOpts {
    const char *id; /* NULL: the Blk's name */
    uint64_t speed;
    LiveEventFn *event; /* may be NULL */
    void *opaque;
    bool manual; /* auto-finalize=off: ends by live_finalize() */
    bool keep;   /* auto-dismiss=off: live_dismiss() frees it */
    LiveOnError on_source,
        on_target; /* errors; one policy for stream, commit */
} LiveOpts;

/* What runs on a machine's disks; also what keeps two jobs apart. */
typedef struct LiveJobs LiveJobs;
LiveJobs *live_jobs_new(void);
void live_jobs_free(LiveJobs *all); /* cancels and waits */
LiveJob *live_find(LiveJobs *all, const char *id);
/* In the order of their start. The array alone is the caller's. */
GPtrArray *live_list(LiveJobs *all);
/* The job that uses @blk, or NULL. */
LiveJob *live_of_blk(LiveJobs *all, const Blk *blk);

/*
 * "mirror": @target (a reference is taken) becomes a copy of the disk, follows
 * it, and replaces it on live_complete(). At least as large; opened for
 * writing, for LIVE_TOP and LIVE_NONE with BLOCK_NO_BACKING. @granularity 0:
 * 64 KiB. On live_cancel() in READY the target stays a full copy of that moment
 * and the guest keeps its disk.
 */
enum {
    MIRROR_TARGET_ZERO = 1 << 0, /* it reads as zeroes now */
    MIRROR_BLOCKING = 1 << 1,    /* write-blocking: a guest's write is over when
                                    the target has it, too */
};
LiveJob *live_mirror_start(LiveJobs *all, Blk *blk, BlockNode *target,
                           LiveSync sync, uint32_t granularity, unsigned flags,
                           const LiveOpts *o, GError **errp);

/*
 * "backup": the disk as it is now goes to @target (a reference is taken); a
 * guest's write waits until what it overwrites is saved. @bitmap, for
 * LIVE_INCREMENTAL: the name of a dirty bitmap of the disk's node, which is
 * cleared when the job succeeds, up to what was written since its start.
 * LIVE_NONE runs until it is cancelled, and is then a success.
 */
LiveJob *live_backup_start(LiveJobs *all, Blk *blk, BlockNode *target,
                           LiveSync sync, const char *bitmap, bool compress,
                           const LiveOpts *o, GError **errp);

/* "block-stream": the disk takes over what it gets from the layers above
 * @base (NULL: all), which becomes its backing file, by @backing_name if that
 * is not NULL. */
LiveJob *live_stream_start(LiveJobs *all, Blk *blk, BlockNode *base,
                           const char *backing_name, const LiveOpts *o,
                           GError **errp);

/* "block-commit": the data of @top (NULL: the disk itself) and of the layers
 * down to @base goes into @base, which takes their place. When @top is the
 * disk, the job gets READY and waits for live_complete(). */
LiveJob *live_commit_start(LiveJobs *all, Blk *blk, BlockNode *top,
                           BlockNode *base, const char *backing_name,
                           const LiveOpts *o, GError **errp);

/* Valid until the next call. */
const LiveInfo *live_info(LiveJob *job);
/* Returns at once; LIVE_EV_CONCLUDED tells the end. @force: also a READY mirror
 * is broken off. */
void live_cancel(LiveJob *job, bool force);
/* False: not READY. */
bool live_complete(LiveJob *job, GError **errp);
bool live_pause(LiveJob *job, GError **errp);
bool live_resume(LiveJob *job, GError **errp);
void live_set_speed(LiveJob *job, uint64_t speed);
/* False: not PENDING. */
bool live_finalize(LiveJob *job, GError **errp);
/* Frees a concluded job that was kept. */
bool live_dismiss(LiveJob *job, GError **errp);

#endif
