/* What the jobs on disks in use have in common; see live.h. */
#include "util/osdep.h"
#include "block/live-job.h"

#include "block/jobs.h"
#include "util/error.h"
#include "util/mainloop.h"

enum { RETRY_US = 100000 }; /* between two tries, when errors are ignored */

struct LiveJobs {
    GPtrArray *list; /* of LiveJob */
};

/* ---- the list ---------------------------------------------------------------------- */

LiveJobs *live_jobs_new(void)
{
    LiveJobs *all = g_new0(LiveJobs, 1);

    all->list = g_ptr_array_new();
    return all;
}

LiveJob *live_find(LiveJobs *all, const char *id)
{
    for (guint i = 0; i < all->list->len; i++) {
        LiveJob *job = all->list->pdata[i];

        if (strcmp(job->id, id) == 0) {
            return job;
        }
    }
    return NULL;
}

GPtrArray *live_list(LiveJobs *all)
{
    return g_ptr_array_copy(all->list, NULL, NULL);
}

LiveJob *live_of_blk(LiveJobs *all, const Blk *blk)
{
    for (guint i = 0; i < all->list->len; i++) {
        LiveJob *job = all->list->pdata[i];

        if (job->blk == blk && !job->concluded) {
            return job;
        }
    }
    return NULL;
}

/* ---- nodes ---- */

static void leave_node(void *p)
{
    BlockNode *bn = p;

    bn->jobs--;
    block_close(bn, NULL);
}

static void use_node(LiveJob *job, BlockNode *bn)
{
    bn->jobs++;
    bn->job = job->ops->type;
    g_ptr_array_add(job->nodes, block_ref(bn));
}

/* ---- life ---------------------------------------------------------------------------- */

LiveJob *live_new(LiveJobs *all, const LiveOps *ops, Blk *blk,
                  const LiveOpts *o, GError **errp)
{
    const char *id = o->id ? o->id : blk_name(blk);
    LiveJob *job;

    if (!blk_node(blk)) {
        error_setg(errp, "Device '%s' has no medium", blk_name(blk));
        return NULL;
    }
    if (live_of_blk(all, blk)) {
        error_setg(errp,
                   "Device '%s' is busy: block device is in use by "
                   "block job: %s",
                   blk_name(blk), live_of_blk(all, blk)->ops->type);
        return NULL;
    }
    if (!block_is_idle(blk_node(blk), errp)) { /* as a target */
        return NULL;
    }
    if (live_find(all, id)) {
        error_setg(errp, "Job ID '%s' already in use", id);
        return NULL;
    }
    job = g_new0(LiveJob, 1);
    job->ops = ops;
    job->all = all;
    job->blk = blk;
    blk_ref(blk);
    job->device = g_strdup(blk_name(blk));
    job->id = g_strdup(id);
    job->o = *o;
    job->speed = o->speed;
    job->chunk = LIVE_GRANULARITY;
    job->source = block_ref(blk_node(blk));
    job->busy = g_array_new(false, false, sizeof(LiveRange));
    job->untold = g_array_new(false, false, sizeof(LiveFault));
    job->nodes = g_ptr_array_new_with_free_func(leave_node);
    for (BlockNode *bn = job->source; bn; bn = bn->backing) {
        use_node(job, bn);
    }
    g_mutex_init(&job->lock);
    g_cond_init(&job->cond);
    g_ptr_array_add(all->list, job);
    return job;
}

static void live_free(LiveJob *job)
{
    g_ptr_array_remove(job->all->list, job);
    g_mutex_clear(&job->lock);
    g_cond_clear(&job->cond);
    g_array_unref(job->busy);
    g_array_unref(job->untold);
    g_ptr_array_unref(job->nodes);
    dirty_free(job->dirty);
    dirty_free(job->taken);
    g_free(job->backing_name);
    g_free(job->bitmap);
    g_free(job->error);
    g_free(job->device);
    g_free(job->id);
    g_free(job);
}

void live_drop(LiveJob *job)
{
    block_close(job->source, NULL);
    block_close(job->target, NULL);
    blk_unref(job->blk);
    live_free(job);
}

static void live_event(LiveJob *job, LiveEvent ev)
{
    if (job->o.event) {
        job->o.event(job->o.opaque, job, ev);
    }
}

static void live_set_status(LiveJob *job, LiveStatus st)
{
    if (job->status != st) {
        job->status = st;
        live_event(job, LIVE_EV_STATUS);
    }
}

static bool live_went_well(const LiveJob *job)
{
    return !job->error && (!job->cancel || job->success_on_cancel ||
                           (job->ready && !job->force));
}

static void live_conclude(LiveJob *job)
{
    g_autoptr(GError) err = NULL;
    bool ok;

    job->ending = true;
    blk_quiesce(job->blk);
    /* Not before: a guest's write that a backup could not save fails it. */
    ok = live_went_well(job);
    if (ok && !job->ops->finish(job, &err)) {
        job->error = g_strdup(err->message);
        ok = false;
    }
    job->ops->clean(job, ok);
    blk_resume(job->blk);
    blk_unref(g_steal_pointer(&job->blk));
    /* What is closed now may write: nobody waits for it. */
    g_ptr_array_set_size(job->nodes, 0);
    block_close(g_steal_pointer(&job->target), NULL);
    block_close(g_steal_pointer(&job->source), NULL);
    if (!ok && !job->error) {
        job->error = g_strdup("cancelled");
    } else if (ok) {
        job->cancel = false; /* a success all the same */
    }
    job->concluded = true;
    live_set_status(job, LIVE_CONCLUDED);
    live_event(job, LIVE_EV_CONCLUDED);
    if (!job->o.keep) {
        live_free(job);
    }
}

/* Of a job that copies or has copied all. */
static LiveStatus going_status(const LiveJob *job, bool paused)
{
    if (paused) {
        return job->told_ready ? LIVE_STANDBY : LIVE_PAUSED;
    }
    return job->told_ready ? LIVE_READY : LIVE_RUNNING;
}

static bool is_paused(LiveJob *job)
{
    bool paused;

    g_mutex_lock(&job->lock);
    paused = job->pause;
    g_mutex_unlock(&job->lock);
    return paused;
}

/* What is paused goes on before anything else becomes of it: QEMU's order. */
static void live_go_on(LiveJob *job)
{
    g_mutex_lock(&job->lock);
    job->pause = job->stopped = false;
    g_cond_broadcast(&job->cond);
    g_mutex_unlock(&job->lock);
    if (job->status == LIVE_PAUSED || job->status == LIVE_STANDBY) {
        live_set_status(job, going_status(job, false));
    }
}

static void live_end(void *opaque)
{
    LiveJob *job = opaque;

    g_thread_join(job->thread);
    live_go_on(job);
    if (!job->o.manual || !live_went_well(job)) {
        live_conclude(job);
        return;
    }
    live_set_status(job, LIVE_PENDING);
    live_event(job, LIVE_EV_PENDING);
}

/* Of a pending one that was cancelled. */
static void live_abort(void *opaque)
{
    live_conclude(opaque);
}

static gpointer live_thread(gpointer opaque)
{
    LiveJob *job = opaque;
    int ret = job->ops->run(job);

    if (ret < 0 && !live_ending(job)) {
        live_fail(job, ret, "copying");
    }
    mainloop_call(live_end, job);
    return NULL;
}

bool live_check_target(const LiveJob *job, GError **errp)
{
    if (job->target->size < job->source->size) {
        error_setg(errp, "the target has %" PRIu64 " bytes, the disk %" PRIu64,
                   job->target->size, job->source->size);
        return false;
    }
    if (job->target->read_only) {
        error_setg(errp, "the target is read-only");
        return false;
    }
    return true;
}

void live_go(LiveJob *job)
{
    if (job->target) {
        use_node(job, job->target);
    }
    live_event(job, LIVE_EV_STATUS);
    job->thread = g_thread_new("block-job", live_thread, job);
}

/* ---- in the thread ---------------------------------------------------------------------- */

static bool ending_locked(const LiveJob *job)
{
    return job->cancel || job->error;
}

bool live_ending(LiveJob *job)
{
    bool end;

    g_mutex_lock(&job->lock);
    end = ending_locked(job);
    g_mutex_unlock(&job->lock);
    return end;
}

/* When the next chunk may go, by the speed. */
static int64_t step_due(const LiveJob *job)
{
    return job->slice_start +
           (int64_t)((double)job->slice_done / (double)job->speed * 1e6);
}

bool live_step(LiveJob *job, uint64_t n)
{
    bool go;

    g_mutex_lock(&job->lock);
    job->offset += n;
    job->slice_done += n;
    if (!job->slice_start) {
        job->slice_start = g_get_monotonic_time();
    }
    for (;;) {
        int64_t due;

        if (ending_locked(job)) {
            break;
        }
        if (job->pause) {
            g_cond_wait(&job->cond, &job->lock);
            continue;
        }
        due = job->speed ? step_due(job) : 0;
        if (due <= g_get_monotonic_time()) {
            break;
        }
        g_cond_wait_until(&job->cond, &job->lock, due);
    }
    go = !ending_locked(job);
    g_mutex_unlock(&job->lock);
    return go;
}

void live_set_len(LiveJob *job, uint64_t len)
{
    g_mutex_lock(&job->lock);
    job->len = len;
    g_mutex_unlock(&job->lock);
}

int live_fail(LiveJob *job, int ret, const char *what)
{
    g_mutex_lock(&job->lock);
    if (!job->error) {
        job->error =
            g_strdup_printf("error while %s: %s", what, g_strerror(-ret));
    }
    g_cond_broadcast(&job->cond);
    g_mutex_unlock(&job->lock);
    return ret;
}

/* Main thread, before the job's end. It may have been paused meanwhile: then it
 * goes on for as long as it takes to say so. */
static void ready_call(void *opaque)
{
    LiveJob *job = opaque;
    bool paused = job->status == LIVE_PAUSED;

    if (paused) {
        live_set_status(job, LIVE_RUNNING);
    }
    job->told_ready = true;
    live_set_status(job, LIVE_READY);
    live_event(job, LIVE_EV_READY);
    if (paused && is_paused(job)) {
        live_set_status(job, LIVE_STANDBY);
    }
}

void live_set_ready(LiveJob *job)
{
    bool was;

    g_mutex_lock(&job->lock);
    was = job->ready;
    job->ready = true;
    g_mutex_unlock(&job->lock);
    if (!was) {
        mainloop_call(ready_call, job);
    }
}

/* ---- places ------------------------------------------------------------------------- */

bool live_ranges_meet(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
    return alen && blen && a < b + blen && b < a + alen;
}

bool live_range_busy(const LiveJob *job, uint64_t off, uint64_t len)
{
    for (guint i = 0; i < job->busy->len; i++) {
        const LiveRange *r = &g_array_index(job->busy, LiveRange, i);

        if (live_ranges_meet(r->off, r->len, off, len)) {
            return true;
        }
    }
    return false;
}

static void live_range_done(LiveJob *job, uint64_t off, uint64_t len)
{
    for (guint i = 0; i < job->busy->len; i++) {
        const LiveRange *r = &g_array_index(job->busy, LiveRange, i);

        if (r->off == off && r->len == len) {
            g_array_remove_index_fast(job->busy, i);
            break;
        }
    }
    g_cond_broadcast(&job->cond);
}

void live_claim(LiveJob *job, uint64_t off, uint64_t len)
{
    LiveRange r = { off, len };

    g_mutex_lock(&job->lock);
    while (live_range_busy(job, off, len)) {
        g_cond_wait(&job->cond, &job->lock);
    }
    g_array_append_val(job->busy, r);
    g_mutex_unlock(&job->lock);
}

void live_release(LiveJob *job, uint64_t off, uint64_t len)
{
    g_mutex_lock(&job->lock);
    live_range_done(job, off, len);
    g_mutex_unlock(&job->lock);
}

/* ---- errors ------------------------------------------------------------------------- */

/* Main thread: what the thread said and nobody has heard yet. */
static void tell_faults(LiveJob *job)
{
    g_mutex_lock(&job->lock);
    while (job->untold->len) {
        bool stopped;

        job->fault = g_array_index(job->untold, LiveFault, 0);
        g_array_remove_index(job->untold, 0);
        stopped = job->stopped && job->pause;
        g_mutex_unlock(&job->lock);
        live_event(job, LIVE_EV_ERROR);
        if (stopped) {
            live_set_status(job, going_status(job, true));
        }
        g_mutex_lock(&job->lock);
    }
    g_mutex_unlock(&job->lock);
}

/* The job is there: its end is called later than this. */
static void fault_call(void *opaque)
{
    tell_faults(opaque);
}

static LiveOnError fault_action(LiveOnError policy, int ret)
{
    if (policy == LIVE_ENOSPC) {
        return ret == -ENOSPC ? LIVE_STOP : LIVE_REPORT;
    }
    return policy;
}

int live_fault(LiveJob *job, int ret, bool write)
{
    LiveOnError action =
        fault_action(write ? job->o.on_target : job->o.on_source, ret);
    LiveFault fault = { write, ret == -ENOSPC, action };

    g_mutex_lock(&job->lock);
    g_array_append_val(job->untold, fault);
    job->stopped = action == LIVE_STOP && !ending_locked(job);
    job->pause |= job->stopped;
    g_mutex_unlock(&job->lock);
    mainloop_call(fault_call, job);
    if (action == LIVE_REPORT) {
        return live_fail(job, ret,
                         write ? "writing the target" : "reading the disk");
    }
    if (action == LIVE_IGNORE) { /* not at once: it may last */
        g_mutex_lock(&job->lock);
        if (!ending_locked(job)) {
            g_cond_wait_until(&job->cond, &job->lock,
                              g_get_monotonic_time() + RETRY_US);
        }
        g_mutex_unlock(&job->lock);
    }
    return live_step(job, 0) ? 0 : ret;
}

int live_copy_on(LiveJob *job, BlockNode *src, BlockNode *dst, uint64_t off,
                 uint64_t len, uint8_t *buf)
{
    bool write;
    int ret;

    do {
        ret = live_copy(job, src, dst, off, len, buf, &write);
        if (ret == 0) {
            return 0;
        }
        ret = live_fault(job, ret, write);
    } while (ret == 0);
    return ret;
}

/* ---- one stretch --------------------------------------------------------------------- */

int live_copy(LiveJob *job, BlockNode *src, BlockNode *dst, uint64_t off,
              uint64_t len, uint8_t *buf, bool *write)
{
    int ret = block_pread(src, off, buf, len);

    *write = ret == 0;
    if (ret < 0) {
        return ret;
    }
    if (buffer_is_zero(buf, len)) {
        ret = block_zero(dst, off, len, ZERO_MAY_UNMAP);
    } else {
        struct iovec iov = { buf, len };

        ret = block_pwritev(dst, off, &iov, 1,
                            job->compress ? WRITE_COMPRESSED : 0);
    }
    return ret;
}

/* ---- from outside ------------------------------------------------------------------------- */

const LiveInfo *live_info(LiveJob *job)
{
    g_mutex_lock(&job->lock);
    job->info = (LiveInfo) {
        .id = job->id,
        .type = job->ops->type,
        .device = job->device,
        .status = job->status,
        .offset = job->offset,
        .len = job->len,
        .speed = job->speed,
        .cancelled = job->cancel,
        .error = job->concluded ? job->error : NULL,
        .fault = job->fault,
        .stopped = job->stopped && job->pause,
        .manual = job->o.manual,
        .keep = job->o.keep,
    };
    g_mutex_unlock(&job->lock);
    return &job->info;
}

void live_cancel(LiveJob *job, bool force)
{
    bool pending = job->status == LIVE_PENDING && !job->ending;

    if (job->concluded) {
        return;
    }
    tell_faults(job);
    g_mutex_lock(&job->lock);
    job->cancel = true;
    job->force |= force || pending;
    job->success_on_cancel &= !pending;
    g_cond_broadcast(&job->cond);
    g_mutex_unlock(&job->lock);
    if (pending) {
        job->ending = true;
        mainloop_call(live_abort, job);
    } else {
        live_go_on(job);
    }
}

bool live_finalize(LiveJob *job, GError **errp)
{
    if (job->status != LIVE_PENDING || job->ending) {
        error_setg(errp, "Job '%s' does not wait to be finalized", job->id);
        return false;
    }
    live_conclude(job);
    return true;
}

bool live_complete(LiveJob *job, GError **errp)
{
    bool ok;

    g_mutex_lock(&job->lock);
    ok = job->told_ready && !job->cancel && !job->ending &&
         job->status != LIVE_PENDING;
    job->complete |= ok;
    g_cond_broadcast(&job->cond);
    g_mutex_unlock(&job->lock);
    if (!ok) {
        error_setg(errp, "The active block job '%s' cannot be completed",
                   job->id);
    }
    return ok;
}

static bool set_pause(LiveJob *job, bool on, GError **errp)
{
    bool ok;

    /* An error that stopped it comes before the word that it goes on. */
    tell_faults(job);
    g_mutex_lock(&job->lock);
    ok = job->pause != on && !job->ending && job->status != LIVE_PENDING;
    if (ok) {
        job->pause = on;
        job->stopped = false;
        job->slice_start = 0;
        job->slice_done = 0;
    }
    g_cond_broadcast(&job->cond);
    g_mutex_unlock(&job->lock);
    if (!ok) {
        error_setg(errp, on ? job->pause ? "Job is already paused"
                                         : "Job is about to end"
                            : "Can't resume a job that was not paused");
        return false;
    }
    live_set_status(job, going_status(job, on));
    return true;
}

bool live_pause(LiveJob *job, GError **errp)
{
    return set_pause(job, true, errp);
}

bool live_resume(LiveJob *job, GError **errp)
{
    return set_pause(job, false, errp);
}

void live_set_speed(LiveJob *job, uint64_t speed)
{
    g_mutex_lock(&job->lock);
    job->speed = speed;
    job->slice_start = 0;
    job->slice_done = 0;
    g_cond_broadcast(&job->cond);
    g_mutex_unlock(&job->lock);
}

bool live_dismiss(LiveJob *job, GError **errp)
{
    if (!job->concluded) {
        error_setg(errp, "Job '%s' has not concluded", job->id);
        return false;
    }
    live_free(job);
    return true;
}

/* Runs the main loop until @job has concluded; it must be kept. */
static void live_wait(LiveJob *job)
{
    while (!job->concluded) {
        mainloop_iterate(true);
    }
}

void live_jobs_free(LiveJobs *all)
{
    while (all && all->list->len) {
        LiveJob *job = all->list->pdata[0];

        job->o.keep = true;
        live_cancel(job, true);
        live_wait(job);
        live_free(job);
    }
    if (all) {
        g_ptr_array_unref(all->list);
        g_free(all);
    }
}
