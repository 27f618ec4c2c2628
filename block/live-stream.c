/*
 * stream and commit: data moves up or down a chain that the guest is using.
 *
 * stream writes to the layer that the guest writes to, so the two must not meet
 * in one place: the job says where it is, and waits for the guest's writes
 * there; those that come wait for the job. commit (of layers below the disk)
 * writes to a base what the layers above it hide, so nobody sees it.
 */
#include "util/osdep.h"
#include "block/live-job.h"

#include "util/error.h"

/* ---- one at a time in a place ------------------------------------------------------- */

static void stream_before(void *opaque, uint64_t off, uint64_t len)
{
    LiveJob *job = opaque;
    LiveRange r = { off, len };

    g_mutex_lock(&job->lock);
    while (live_ranges_meet(off, len, job->own_off, job->own_len)) {
        g_cond_wait(&job->cond, &job->lock);
    }
    g_array_append_val(job->busy, r);
    g_mutex_unlock(&job->lock);
}

static void stream_after(void *opaque, uint64_t off, uint64_t len)
{
    live_release(opaque, off, len);
}

static void stream_enter(LiveJob *job, uint64_t off, uint64_t len)
{
    g_mutex_lock(&job->lock);
    job->own_off = off;
    job->own_len = len;
    while (live_range_busy(job, off, len)) {
        g_cond_wait(&job->cond, &job->lock);
    }
    g_mutex_unlock(&job->lock);
}

static void stream_leave(LiveJob *job)
{
    g_mutex_lock(&job->lock);
    job->own_len = 0;
    g_cond_broadcast(&job->cond);
    g_mutex_unlock(&job->lock);
}

/* ---- stream ---------------------------------------------------------------------------- */

/* Zeroes that a lower layer says must not become what the base has. */
static int stream_zero(LiveJob *job, uint64_t off, uint64_t len, uint8_t *buf)
{
    BlockNode *bn = job->source;
    int ret = bn->drv->zero ? bn->drv->zero(bn, off, len, 0) : -ENOTSUP;

    if (ret == -ENOTSUP) {
        memset(buf, 0, len);
        ret = block_pwrite_unwatched(bn, off, buf, len);
    }
    return ret;
}

/* At @off, up to @len: fills what is a hole here and data below. */
static int stream_stretch(LiveJob *job, uint64_t off, uint64_t *len,
                          uint8_t *buf, bool *write)
{
    BlockNode *bn = job->source, *owner;
    BlockExtent e;
    int ret = block_map_chain(bn, job->base, off, *len, &e, &owner, NULL);

    *write = false;
    if (ret < 0) {
        return ret;
    }
    *len = e.len;
    if (owner == bn || e.kind == EXTENT_HOLE) {
        return 0;
    }
    if (e.kind == EXTENT_ZERO) {
        *write = true;
        ret = job->base ? stream_zero(job, off, e.len, buf) : 0;
    } else {
        ret = block_pread(bn, off, buf, e.len);
        if (ret == 0) {
            *write = true;
            ret = block_pwrite_unwatched(bn, off, buf, e.len);
        }
    }
    return ret;
}

static int stream_run(LiveJob *job)
{
    BlockNode *bn = job->source;
    g_autofree uint8_t *buf = g_try_malloc(LIVE_CHUNK);
    int ret = 0, ignored = 0;

    if (!buf) {
        return live_fail(job, -ENOMEM, "starting");
    }
    live_set_len(job, bn->size);
    for (uint64_t off = 0; off < bn->size && ret == 0;) {
        uint64_t len = MIN(LIVE_CHUNK, bn->size - off);

        bool write;

        stream_enter(job, off, len);
        ret = stream_stretch(job, off, &len, buf, &write);
        stream_leave(job);
        if (ret < 0) {
            int failed = ret;

            ret = live_fault(job, failed, write);
            if (ret < 0 || job->o.on_source != LIVE_IGNORE) {
                continue;
            }
            ignored = failed; /* left as it is: the base stays in the chain */
        }
        off += len;
        if (!live_step(job, len)) {
            break;
        }
    }
    return ret < 0 || !ignored ? ret
                               : live_fail(job, ignored, "reading the disk");
}

/* The layer @bn gets the backing file @base, of which it takes a reference. */
static bool set_backing(BlockNode *bn, BlockNode *base, const char *name,
                        GError **errp)
{
    bool was_ro = bn->read_only, ok;
    BlockNode *old = bn->backing;
    g_autofree char *own = g_strdup(name ? name : base ? base->filename : NULL);

    if (was_ro && !block_reopen(bn, true, errp)) {
        return false;
    }
    ok = block_change_backing(bn, own, base ? base->drv->name : NULL, errp);
    if (was_ro) {
        ok = block_reopen(bn, false, ok ? errp : NULL) && ok;
    }
    if (ok) {
        bn->backing = base ? block_ref(base) : NULL;
        block_close(old, NULL);
    }
    return ok;
}

static bool stream_finish(LiveJob *job, GError **errp)
{
    int ret = block_flush(job->source);

    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not flush the disk");
        return false;
    }
    return set_backing(job->source, job->base, job->backing_name, errp);
}

static void stream_clean(LiveJob *job, bool ok)
{
    block_watch_remove(job->source, &job->watch);
}

static const LiveOps stream_ops = {
    .type = "stream",
    .run = stream_run,
    .finish = stream_finish,
    .clean = stream_clean,
};

static bool is_below(const BlockNode *bn, const BlockNode *base)
{
    while (bn && bn != base) {
        bn = bn->backing;
    }
    return bn != NULL;
}

LiveJob *live_stream_start(LiveJobs *all, Blk *blk, BlockNode *base,
                           const char *backing_name, const LiveOpts *o,
                           GError **errp)
{
    LiveJob *job = live_new(all, &stream_ops, blk, o, errp);

    if (!job) {
        return NULL;
    }
    job->base = base;
    job->backing_name = g_strdup(backing_name);
    if (job->source->read_only) {
        error_setg(errp, "Device '%s' is read-only", blk_name(blk));
    } else if (base && !is_below(job->source->backing, base)) {
        error_setg(errp, "Can't find '%s' in the backing chain",
                   base->filename);
    } else {
        job->watch = (BlockWatch) { stream_before, stream_after, job, NULL };
        blk_quiesce(blk);
        block_watch_add(job->source, &job->watch);
        blk_resume(blk);
        live_go(job);
        return job;
    }
    live_drop(job);
    return NULL;
}

/* ---- commit of layers below the disk ------------------------------------------------------ */

static int commit_run(LiveJob *job)
{
    BlockNode *top = job->top;
    g_autofree uint8_t *buf = g_try_malloc(LIVE_CHUNK);
    int ret = buf ? 0 : live_fail(job, -ENOMEM, "starting");

    live_set_len(job, top->size);
    for (uint64_t off = 0; off < top->size && ret == 0;) {
        uint64_t len = MIN(LIVE_CHUNK, top->size - off);
        BlockExtent e;

        ret = block_map_chain(top, job->base, off, len, &e, NULL, NULL);
        if (ret < 0) {
            live_fail(job, ret, "reading the tables");
        } else if (e.kind != EXTENT_HOLE) {
            ret = live_copy_on(job, top, job->base, off, e.len, buf);
        }
        off += e.len;
        if (ret < 0 || !live_step(job, e.len)) {
            break;
        }
    }
    return ret;
}

static bool commit_finish(LiveJob *job, GError **errp)
{
    BlockNode *above = job->source;
    int ret = block_flush(job->base);

    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not flush '%s'",
                         job->base->filename);
        return false;
    }
    while (above->backing != job->top) {
        above = above->backing;
    }
    return set_backing(above, job->base, job->backing_name, errp);
}

void live_give_base_back(LiveJob *job)
{
    if (job->base && job->base_was_ro) {
        block_reopen(job->base, false, NULL);
    }
}

static void commit_clean(LiveJob *job, bool ok)
{
    live_give_base_back(job);
}

static const LiveOps commit_ops = {
    .type = "commit",
    .run = commit_run,
    .finish = commit_finish,
    .clean = commit_clean,
};

/* With the guest held: the base can be written and is large enough. */
static bool commit_base(LiveJob *job, GError **errp)
{
    job->base_was_ro = job->base->read_only;
    if (job->base_was_ro && !block_reopen(job->base, true, errp)) {
        return false;
    }
    if (job->base->size >= job->top->size ||
        block_resize(job->base, job->top->size, "off", false, errp)) {
        return true;
    }
    live_give_base_back(job);
    return false;
}

LiveJob *live_commit_start(LiveJobs *all, Blk *blk, BlockNode *top,
                           BlockNode *base, const char *backing_name,
                           const LiveOpts *o, GError **errp)
{
    bool active = !top || top == blk_node(blk), ok = false;
    LiveJob *job;

    if (base && !block_is_idle(base, errp)) {
        return NULL;
    }
    job = live_new(all, active ? &live_active_commit_ops : &commit_ops, blk, o,
                   errp);
    if (!job) {
        return NULL;
    }
    job->top = active ? job->source : top;
    job->base = base;
    job->backing_name = g_strdup(backing_name);
    if (!base || !is_below(job->source, job->top) ||
        !is_below(job->top->backing, base)) {
        error_setg(errp, "'%s' is not in the backing chain of '%s'",
                   base ? base->filename : "", job->top->filename);
        live_drop(job);
        return NULL;
    }
    blk_quiesce(blk);
    ok = commit_base(job, errp);
    if (ok && active) {
        job->target = block_ref(base);
        job->sync = LIVE_TOP;
        ok = live_mirror_prepare(job, 0, errp);
        if (ok) {
            block_watch_add(job->source, &job->watch);
        }
    }
    blk_resume(blk);
    if (!ok) {
        live_drop(job);
        return NULL;
    }
    live_go(job);
    return job;
}
