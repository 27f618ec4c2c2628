/*
 * mirror, and the commit of the active layer, which is a mirror into one of its
 * backing files.
 *
 * A map says what is to be copied. A guest's write, once it is over, marks what
 * it wrote; the thread clears a mark before it reads. When no mark is left the
 * job is ready. The last marks are copied while the guest is held, then the
 * target takes the disk's place.
 *
 * With MIRROR_BLOCKING the write itself copies what it wrote, after the thread
 * has left that place, so that the marks never grow.
 */
#include "util/osdep.h"
#include "block/live-job.h"

#include "util/bits.h"
#include "util/error.h"

enum {
    LAST_MAX = 16 << 20, /* copied while the guest is held */
    SYNC_MAX =
        16 << 20, /* of a write that waits for the target: discards may be
                            as large as the disk, and are left to the thread */
};

static void mirror_wrote(void *opaque, uint64_t off, uint64_t len)
{
    LiveJob *job = opaque;

    dirty_mark(job->dirty, off, len);
    g_mutex_lock(&job->lock);
    g_cond_broadcast(&job->cond);
    g_mutex_unlock(&job->lock);
}

/* That a write has a watch that waits sends it to a worker. */
static void mirror_will_write(void *opaque, uint64_t off, uint64_t len)
{
}

/* One piece of what a guest's write has changed. On an error the mark stays: the
 * thread meets it again and knows what to do. */
static bool mirror_follow(LiveJob *job, uint64_t off, uint64_t len,
                          uint8_t *buf)
{
    bool write;
    int ret;

    live_claim(job, off, len);
    dirty_clear(job->dirty, off, len);
    ret = live_copy(job, job->source, job->target, off, len, buf, &write);
    if (ret < 0) {
        dirty_mark(job->dirty, off, len);
    }
    live_release(job, off, len);
    return ret == 0;
}

static void mirror_wrote_blocking(void *opaque, uint64_t off, uint64_t len)
{
    LiveJob *job = opaque;
    uint64_t g = job->chunk,
             end = MIN((off + len + g - 1) / g * g, job->source->size);
    g_autofree uint8_t *buf = NULL;
    bool ok = true;

    mirror_wrote(job, off, len);
    if (len > SYNC_MAX || live_ending(job)) {
        return;
    }
    off -= off % g;
    buf = g_try_malloc(MIN(end - off, LIVE_CHUNK));
    while (buf && ok && off < end) {
        uint64_t n = MIN(end - off, LIVE_CHUNK);

        ok = mirror_follow(job, off, n, buf);
        off += n;
    }
}

/* What is to be copied at first. */
static int mirror_scan(LiveJob *job)
{
    BlockNode *bn = job->source;
    uint64_t off = 0;

    while (off < bn->size && job->sync != LIVE_NONE) {
        BlockExtent e;
        int ret;

        if (job->sync == LIVE_TOP) {
            ret = block_map_chain(bn, job->base ? job->base : bn->backing, off,
                                  bn->size - off, &e, NULL, NULL);
        } else {
            ret =
                block_map_chain(bn, NULL, off, bn->size - off, &e, NULL, NULL);
        }
        if (ret < 0) {
            return live_fail(job, ret, "reading the tables");
        }
        if (e.kind != EXTENT_HOLE &&
            !(e.kind == EXTENT_ZERO && job->target_zero &&
              job->sync == LIVE_FULL)) {
            dirty_mark(job->dirty, off, e.len);
        } else if (e.kind == EXTENT_HOLE && job->sync == LIVE_FULL &&
                   !job->target_zero) {
            dirty_mark(job->dirty, off, e.len);
        }
        off += e.len;
        if (live_ending(job)) {
            return 0;
        }
    }
    return 0;
}

static int mirror_stretch(LiveJob *job, uint64_t *from, uint8_t *buf, bool held,
                          uint64_t *done)
{
    uint64_t off, len;
    bool write;
    int ret;

    *done = 0;
    if (!dirty_next(job->dirty, *from, LIVE_CHUNK, &off, &len) &&
        (!*from || !dirty_next(job->dirty, 0, LIVE_CHUNK, &off, &len))) {
        return 0;
    }
    if (job->blocking) {
        live_claim(job, off, len);
    }
    dirty_clear(job->dirty, off, len);
    ret = live_copy(job, job->source, job->target, off, len, buf, &write);
    if (ret < 0) { /* what comes in its place meanwhile counts, too */
        dirty_mark(job->dirty, off, len);
    }
    if (job->blocking) {
        live_release(job, off, len);
    }
    if (ret < 0) {
        *done = 1; /* there is more */
        return held ? ret : live_fault(job, ret, write);
    }
    *from = off + len;
    *done = len;
    return 0;
}

/* Nothing is dirty: until that changes, or the end is asked for. */
static void mirror_rest(LiveJob *job)
{
    g_mutex_lock(&job->lock);
    if (!job->cancel && !job->complete && !dirty_count(job->dirty)) {
        g_cond_wait_until(&job->cond, &job->lock,
                          g_get_monotonic_time() + G_TIME_SPAN_SECOND / 10);
    }
    g_mutex_unlock(&job->lock);
}

static bool mirror_asked(LiveJob *job)
{
    bool asked;

    g_mutex_lock(&job->lock);
    asked = job->complete || (job->ready && job->cancel && !job->force);
    g_mutex_unlock(&job->lock);
    return asked;
}

static int mirror_run(LiveJob *job)
{
    g_autofree uint8_t *buf = g_try_malloc(LIVE_CHUNK);
    uint64_t from = 0, n;
    int ret = buf ? mirror_scan(job) : live_fail(job, -ENOMEM, "starting");

    live_set_len(job, dirty_count(job->dirty));
    while (ret == 0) {
        ret = mirror_stretch(job, &from, buf, false, &n);
        if (ret < 0) {
            break;
        }
        live_set_len(job, job->offset + n + dirty_count(job->dirty));
        if (!n) {
            live_set_ready(job);
        }
        if (mirror_asked(job) && dirty_count(job->dirty) <= LAST_MAX) {
            break;
        }
        if (!live_step(job, n) && !mirror_asked(job)) {
            break;
        }
        if (!n) {
            mirror_rest(job);
        }
    }
    return ret;
}

/* What the target lacks, with the guest held. */
static bool mirror_last(LiveJob *job, GError **errp)
{
    g_autofree uint8_t *buf = g_try_malloc(LIVE_CHUNK);
    uint64_t from = 0, n = 1;
    int ret = buf ? 0 : -ENOMEM;

    while (ret == 0 && n) {
        ret = mirror_stretch(job, &from, buf, true, &n);
    }
    if (ret == 0) {
        ret = block_flush(job->target);
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "the target could not be completed");
    }
    return ret == 0;
}

/* A target that has only the upper layers gets what the rest is read from. */
static bool mirror_backing(LiveJob *job, GError **errp)
{
    BlockNode *t = job->target, *below = NULL;

    if (!t->drv->has_backing || t->backing) {
        return true;
    }
    if (job->sync == LIVE_TOP) {
        below = job->source->backing;
    } else if (job->sync == LIVE_NONE) {
        below = job->source;
    }
    t->backing = below ? block_ref(below) : NULL;
    return true;
}

static bool mirror_finish(LiveJob *job, GError **errp)
{
    if (!mirror_last(job, errp)) {
        return false;
    }
    if (!job->complete) {
        return true; /* cancelled when ready: the copy stays, no more */
    }
    block_watch_remove(job->source, &job->watch);
    if (!job->base && !mirror_backing(job, errp)) {
        return false;
    }
    block_close(blk_swap_node(job->blk, block_ref(job->target)), NULL);
    return true;
}

static void mirror_clean(LiveJob *job, bool ok)
{
    block_watch_remove(job->source, &job->watch);
    if (!(ok && job->complete)) {
        live_give_base_back(job);
    }
}

static const LiveOps live_mirror_ops = {
    .type = "mirror",
    .waits = true,
    .run = mirror_run,
    .finish = mirror_finish,
    .clean = mirror_clean,
};

const LiveOps live_active_commit_ops = {
    .type = "commit",
    .waits = true,
    .run = mirror_run,
    .finish = mirror_finish,
    .clean = mirror_clean,
};

bool live_mirror_prepare(LiveJob *job, uint32_t granularity, GError **errp)
{
    uint32_t g = granularity ? granularity : LIVE_GRANULARITY;

    if (!is_pow2(g) || g < 512 || g > (64 << 20)) {
        error_setg(errp, "Parameter 'granularity' expects a power of 2 between "
                         "512 and 64 MiB");
        return false;
    }
    if (!live_check_target(job, errp)) {
        return false;
    }
    job->dirty = dirty_new(job->source->size, g);
    if (!job->dirty) {
        error_setg(errp, "too many bits: use a larger granularity");
        return false;
    }
    job->chunk = g;
    job->watch.before = job->blocking ? mirror_will_write : NULL;
    job->watch.after = job->blocking ? mirror_wrote_blocking : mirror_wrote;
    job->watch.opaque = job;
    return true;
}

LiveJob *live_mirror_start(LiveJobs *all, Blk *blk, BlockNode *target,
                           LiveSync sync, uint32_t granularity, unsigned flags,
                           const LiveOpts *o, GError **errp)
{
    LiveJob *job = live_new(all, &live_mirror_ops, blk, o, errp);

    if (!job) {
        return NULL;
    }
    job->target = block_ref(target);
    job->sync = sync == LIVE_TOP && !job->source->backing ? LIVE_FULL : sync;
    job->target_zero = flags & MIRROR_TARGET_ZERO;
    job->blocking = flags & MIRROR_BLOCKING;
    if (target == job->source) {
        error_setg(errp, "Can't mirror node into itself");
    } else if (sync == LIVE_INCREMENTAL) {
        error_setg(errp, "Sync mode 'incremental' not supported");
    } else if (block_is_idle(target, errp) &&
               live_mirror_prepare(job, granularity, errp)) {
        blk_quiesce(blk);
        block_watch_add(job->source, &job->watch);
        blk_resume(blk);
        live_go(job);
        return job;
    }
    live_drop(job);
    return NULL;
}
