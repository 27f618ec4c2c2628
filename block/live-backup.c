/*
 * backup: the disk as it was when the job began. A map says what is not saved
 * yet. The thread saves it from the front; a guest's write first saves what it
 * is about to overwrite.
 */
#include "util/osdep.h"
#include "block/live-job.h"

#include "util/error.h"

/* One chunk, by whoever comes first; others wait for it. */
static int save_chunk(LiveJob *job, uint64_t off, uint8_t *buf, bool *write)
{
    uint64_t len = MIN(job->chunk, job->source->size - off);
    int ret = 0;
    bool failed;

    live_claim(job, off, len);
    g_mutex_lock(&job->lock);
    failed = job->error != NULL;
    g_mutex_unlock(&job->lock);
    if (dirty_test(job->dirty, off) && !failed) {
        ret = live_copy(job, job->source, job->target, off, len, buf, write);
        if (ret == 0) {
            dirty_clear(job->dirty, off, len);
        }
    }
    live_release(job, off, len);
    return ret;
}

static void backup_before(void *opaque, uint64_t off, uint64_t len)
{
    LiveJob *job = opaque;
    uint64_t end = off + len;
    g_autofree uint8_t *buf = NULL;

    for (off -= off % job->chunk; off < end; off += job->chunk) {
        bool write;
        int ret;

        if (!dirty_test(job->dirty, off)) {
            continue;
        }
        if (!buf) {
            buf = g_try_malloc(job->chunk);
        }
        /* The guest goes on in any case; it is the backup that fails. */
        if (!buf) {
            live_fail(job, -ENOMEM, "saving what the guest overwrites");
            return;
        }
        ret = save_chunk(job, off, buf, &write);
        if (ret < 0) {
            live_fail(job, ret,
                      write ? "writing the target" : "reading the disk");
            return;
        }
    }
}

static void backup_after(void *opaque, uint64_t off, uint64_t len)
{
}

static int backup_scan(LiveJob *job)
{
    BlockNode *bn = job->source;

    for (uint64_t off = 0; off < bn->size;) {
        BlockExtent e;
        int ret = block_map(bn, off, bn->size - off, 0, &e);

        if (ret < 0) {
            return ret;
        }
        /* What the guest makes of it meanwhile is saved by its write. */
        if (e.kind == EXTENT_HOLE) {
            uint64_t a = (off + job->chunk - 1) / job->chunk * job->chunk;
            uint64_t b = (off + e.len) / job->chunk * job->chunk;

            if (off + e.len == bn->size) {
                b = bn->size;
            }
            if (a < b) {
                dirty_clear(job->dirty, a, b - a);
            }
        }
        off += e.len;
    }
    return 0;
}

static int backup_run(LiveJob *job)
{
    g_autofree uint8_t *buf = g_try_malloc(job->chunk);
    uint64_t off = 0, len;
    int ret = buf ? 0 : live_fail(job, -ENOMEM, "starting");

    live_set_len(job, dirty_count(job->dirty));
    if (job->sync == LIVE_NONE) {
        while (!live_ending(job)) {
            g_mutex_lock(&job->lock);
            if (!job->cancel && !job->error) {
                g_cond_wait(&job->cond, &job->lock);
            }
            g_mutex_unlock(&job->lock);
        }
        return 0;
    }
    while (ret == 0 && dirty_next(job->dirty, off, job->chunk, &off, &len)) {
        bool write;

        ret = save_chunk(job, off, buf, &write);
        if (ret < 0) {
            ret = live_fault(job, ret, write);
            continue;
        }
        off += len;
        if (!live_step(job, len)) {
            break;
        }
    }
    return ret;
}

static bool backup_finish(LiveJob *job, GError **errp)
{
    int ret = block_flush(job->target);

    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not flush the target");
    }
    return ret == 0;
}

static void backup_clean(LiveJob *job, bool ok)
{
    block_watch_remove(job->source, &job->watch);
    if (job->taken && !ok) {
        block_bitmap_give_back(job->source, job->bitmap, job->taken);
    }
}

static const LiveOps backup_ops = {
    .type = "backup",
    .run = backup_run,
    .finish = backup_finish,
    .clean = backup_clean,
};

/* Chunks: whole clusters of the target, so that none is filled from what the
 * guest has changed. */
static bool backup_prepare(LiveJob *job, GError **errp)
{
    BlockInfo info;

    block_get_info(job->target, &info);
    job->chunk = MAX(LIVE_GRANULARITY, info.cluster_size);
    if (!live_check_target(job, errp)) {
        return false;
    }
    if (job->compress && !info.cluster_size) {
        error_setg(errp, "Compression is not supported for this target");
        return false;
    }
    job->dirty = dirty_new(job->source->size, job->chunk);
    if (!job->dirty) {
        error_setg(errp, "the disk is too large");
        return false;
    }
    return true;
}

/* With the guest held: what belongs to the backup. */
static bool backup_begin(LiveJob *job, GError **errp)
{
    int ret = 0;

    if (job->sync == LIVE_INCREMENTAL) {
        job->taken = block_bitmap_take(job->source, job->bitmap, true, errp);
        if (!job->taken) {
            return false;
        }
        for (uint64_t off = 0, len;
             dirty_next(job->taken, off, UINT64_MAX, &off, &len); off += len) {
            dirty_mark(job->dirty, off, len);
        }
    } else {
        dirty_mark(job->dirty, 0, job->source->size);
    }
    if (job->sync == LIVE_TOP) {
        ret = backup_scan(job);
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not read the tables");
        return false;
    }
    job->watch = (BlockWatch) { backup_before, backup_after, job, NULL };
    block_watch_add(job->source, &job->watch);
    return true;
}

LiveJob *live_backup_start(LiveJobs *all, Blk *blk, BlockNode *target,
                           LiveSync sync, const char *bitmap, bool compress,
                           const LiveOpts *o, GError **errp)
{
    LiveJob *job = live_new(all, &backup_ops, blk, o, errp);
    bool ok = false;

    if (!job) {
        return NULL;
    }
    job->target = block_ref(target);
    job->sync = sync;
    job->compress = compress;
    job->bitmap = g_strdup(bitmap);
    job->success_on_cancel = sync == LIVE_NONE;
    if (target == job->source) {
        error_setg(errp, "Source and target cannot be the same");
    } else if ((sync == LIVE_INCREMENTAL) != (bitmap != NULL)) {
        error_setg(errp, bitmap ? "a bitmap goes with sync mode 'incremental'"
                                : "must provide a valid bitmap name for "
                                  "'incremental' sync mode");
    } else if (block_is_idle(target, errp) && backup_prepare(job, errp)) {
        blk_quiesce(blk);
        ok = backup_begin(job, errp);
        blk_resume(blk);
    }
    if (!ok) {
        live_drop(job);
        return NULL;
    }
    live_go(job);
    return job;
}
