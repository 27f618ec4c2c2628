/*
 * Requests of devices; see blk.h. The path of one:
 *
 *   submit -> checks -> throttle -> direct:  map or plan, io_uring, end
 *                                -> worker:  the synchronous call
 *
 * Direct needs everything it asks for to be in memory; the decision is made
 * with MAP_NOWAIT and inside the node's gate, which is left when the transfer
 * is over, so that nobody frees the clusters under it.
 */
#include "util/osdep.h"
#include "block/blk.h"
#include "block/copy-on-read.h"

#include "block/jobs.h"
#include "util/aio.h"
#include "util/error.h"
#include "util/iov.h"
#include "util/mainloop.h"
#include "util/worker.h"

enum {
    IOV_DIRECT_MAX = 1024,
    CHAIN_DIRECT_MAX = 16, /* layers that a direct read looks through */
};

typedef struct BlkReq {
    Blk *blk;
    BlockNode *bn;
    BlkOp op, asked; /* after and before zero detection */
    uint64_t off, len;
    const struct iovec *iov;
    int n;
    unsigned flags;
    BlkDone *done;
    void *opaque;
    int64_t start; /* us */
    int ret;
    bool gated, planned, running;
    BlockNode *file; /* of a direct transfer */
    uint64_t host_offset;
    WritePlan plan;
    struct BlkReq *next;
} BlkReq;

typedef struct Bucket {
    double avg, max, level; /* units per second; units */
    int64_t last;           /* us */
} Bucket;

/* Of one disk, or of several (throttling.group). */
typedef struct Limits {
    GSList *blks; /* that keep to them */
    BlkLimits limits;
    Bucket buckets[LIMIT_KINDS];
    bool limited;
} Limits;

struct Blk {
    unsigned refs;
    char *name;
    BlockNode *bn; /* owned; NULL: empty */
    Aio *aio;
    BlkAio aio_kind;
    unsigned in_flight, plugged;
    unsigned
        running;    /* of those: on their way, neither throttled nor blocked */
    GQueue blocked; /* of BlkReq: until the write before them is over */
    bool write_cache;
    int detect_zeroes;
    BlkStats stats[BLK_OPS];
    uint64_t highest; /* end of the highest write */
    Limits *limit;
    bool copy_on_read;
    CopyOnRead *cor;   /* NULL: off, or there is no layer below */
    GQueue throttled;  /* of BlkReq */
    unsigned drainers; /* the main loop waits for requests to end */
    unsigned quiesced;
    GQueue held; /* of BlkReq: came while quiesced */
    guint timer;
    BlkReq *free_reqs;
};

static void blk_start(BlkReq *r);
static void blk_unblock(Blk *blk);

/* ---- the end of a request ---------------------------------------------------------- */

static BlkReq *req_get(Blk *blk)
{
    BlkReq *r = blk->free_reqs;

    if (r) {
        blk->free_reqs = r->next;
    } else {
        r = g_new(BlkReq, 1);
    }
    return r;
}

static void drain_wake(void *opaque)
{
}

static void req_finish(BlkReq *r)
{
    Blk *blk = r->blk;
    BlkStats *st = &blk->stats[r->asked];
    BlkDone *done = r->done;
    void *opaque = r->opaque;
    int ret = r->ret;

    if (r->running) {
        blk->running--;
        /* Nobody waits for a transfer in place. */
        if (!r->gated || r->planned || !blk->running) {
            blk_unblock(blk);
        }
    }
    if (ret == 0) {
        st->ops++;
        st->bytes += r->len;
        st->ns += (uint64_t)(g_get_monotonic_time() - r->start) * 1000;
        if (r->asked == BLK_WRITE || r->asked == BLK_ZERO) {
            blk->highest = MAX(blk->highest, r->off + r->len);
        }
    } else {
        st->failed++;
    }
    r->next = blk->free_reqs;
    blk->free_reqs = r;
    /* While in_flight counts it, blk_drain() and blk_free() wait for it. */
    done(opaque, ret);
    blk->in_flight--;
    if (blk->drainers) {
        mainloop_call(drain_wake, NULL); /* this may be another thread */
    }
}

/* Those that waited try again, each once. */
static void blk_unblock(Blk *blk)
{
    guint n = blk->blocked.length;

    while (n--) {
        blk_start(g_queue_pop_head(&blk->blocked));
    }
}

static void req_finish_call(void *opaque)
{
    req_finish(opaque);
}

static void req_later(BlkReq *r, int ret)
{
    r->ret = ret;
    mainloop_call(req_finish_call, r);
}

static int req_flush(void *opaque)
{
    const BlkReq *r = opaque;

    return block_flush(r->bn);
}

static void req_flushed(void *opaque, int ret)
{
    BlkReq *r = opaque;

    r->ret = ret;
    req_finish(r);
}

static bool req_writes(const BlkReq *r)
{
    return r->op != BLK_READ && r->op != BLK_FLUSH;
}

/* The data is where it belongs, or is not. */
static void req_done(BlkReq *r, int ret)
{
    if (ret == 0 && (r->flags & BLK_FUA) && req_writes(r)) {
        worker_run(req_flush, req_flushed, r);
        return;
    }
    r->ret = ret;
    req_finish(r);
}

/* ---- by a worker -------------------------------------------------------------------- */

static int worker_transfer(void *opaque)
{
    const BlkReq *r = opaque;

    switch (r->op) {
    case BLK_READ:
        return r->blk->cor ? cor_preadv(r->blk->cor, r->off, r->iov, r->n)
                           : block_preadv(r->bn, r->off, r->iov, r->n);
    case BLK_WRITE:
        return block_pwritev(r->bn, r->off, r->iov, r->n,
                             r->flags & WRITE_COMPRESSED);
    case BLK_DISCARD:
        return block_discard(r->bn, r->off, r->len);
    case BLK_ZERO:
        return block_zero(r->bn, r->off, r->len, r->flags & ZERO_MAY_UNMAP);
    default:
        return block_flush(r->bn);
    }
}

static void worker_done(void *opaque, int ret)
{
    req_done(opaque, ret);
}

/* ---- direct ------------------------------------------------------------------------- */

static void direct_end(BlkReq *r, int ret)
{
    if (r->op == BLK_WRITE && ret == 0 && r->file) {
        block_grew(r->file, r->host_offset + r->len);
    }
    if (r->planned) {
        ret = r->bn->drv->write_end(r->bn, &r->plan, ret);
    }
    if (r->op == BLK_WRITE) {
        block_wrote(r->bn, r->off, r->len);
    }
    if (r->gated) {
        block_gate_leave(&r->bn->gate);
    }
    req_done(r, ret);
}

static int direct_rest(void *opaque)
{
    const BlkReq *r = opaque;

    return r->op == BLK_READ
               ? block_preadv(r->file, r->host_offset, r->iov, r->n)
               : block_pwritev(r->file, r->host_offset, r->iov, r->n, 0);
}

static void direct_rest_done(void *opaque, int ret)
{
    direct_end(opaque, ret);
}

static void direct_done(void *opaque, int ret)
{
    BlkReq *r = opaque;

    if (ret >= 0 && (uint64_t)ret < r->len && r->op != BLK_FLUSH) {
        /* The end of the file, or an interruption: the driver knows what to
         * do. */
        worker_run(direct_rest, direct_rest_done, r);
        return;
    }
    direct_end(r, MIN(ret, 0));
}

static bool direct_aligned(const BlockNode *file, const BlkReq *r)
{
    uint64_t bits = r->host_offset;

    if (!(file->flags & BLOCK_DIRECT)) {
        return true;
    }
    for (int i = 0; i < r->n; i++) {
        bits |= (uintptr_t)r->iov[i].iov_base | r->iov[i].iov_len;
    }
    return !(bits & (file->align - 1));
}

/* From a node and an offset to a host file; -EAGAIN: not without waiting. A
 * read of zeroes leaves r->file NULL. */
static int direct_resolve(BlkReq *r, BlockNode *bn, uint64_t off)
{
    for (int i = 0; i < CHAIN_DIRECT_MAX; i++) {
        BlockExtent e;
        int ret;

        if (bn->drv->fd && bn->drv->fd(bn) >= 0) {
            r->file = bn;
            r->host_offset = off;
            return 0;
        }
        if (!bn->drv->map || off > bn->size || r->len > bn->size - off) {
            return -EAGAIN;
        }
        ret = block_map(bn, off, r->len, MAP_NOWAIT, &e);
        if (ret < 0 || e.len < r->len) {
            return -EAGAIN;
        }
        if (e.kind == EXTENT_DATA && e.has_offset &&
            (r->op == BLK_READ || e.in_place)) {
            bn = e.file;
            off = e.host_offset;
        } else if (e.kind == EXTENT_HOLE && r->op == BLK_READ && bn->backing) {
            if (r->blk->cor) {
                return -EAGAIN; /* a worker copies */
            }
            bn = bn->backing;
        } else if (r->op == BLK_READ &&
                   (e.kind == EXTENT_ZERO || e.kind == EXTENT_HOLE)) {
            return 0;
        } else {
            return -EAGAIN;
        }
    }
    return -EAGAIN;
}

static int direct_plan(BlkReq *r)
{
    const BlockDriver *drv = r->bn->drv;
    int ret;

    if (r->op != BLK_WRITE || !drv->write_begin) {
        return -EAGAIN;
    }
    ret = drv->write_begin(r->bn, r->off, r->len, &r->plan);
    if (ret < 0) {
        return ret;
    }
    r->planned = true;
    r->host_offset = r->plan.host_offset;
    r->file = r->plan.file;
    return 0;
}

static bool direct_flush(BlkReq *r)
{
    BlockNode *bn = r->bn;

    /* Only where there is nothing but the file to flush. */
    while (!bn->drv->flush && bn->file) {
        bn = bn->file;
    }
    if (!bn->drv->fd || bn->drv->fd(bn) < 0 || (bn->flags & BLOCK_NO_FLUSH)) {
        return false;
    }
    aio_submit(r->blk->aio, AIO_FSYNC, bn->drv->fd(bn), 0, NULL, 0, direct_done,
               r);
    return true;
}

static AioOp direct_op(const BlkReq *r)
{
    if (r->file->flags & BLOCK_DIRECT) {
        return r->op == BLK_READ ? AIO_READ : AIO_WRITE;
    }
    return r->op == BLK_READ ? AIO_READ_CACHED : AIO_WRITE_CACHED;
}

/* True: on its way. */
static bool direct_transfer(BlkReq *r)
{
    Blk *blk = r->blk;
    int ret;

    if (!aio_is_uring(blk->aio)) {
        return false; /* a worker in either case: once is enough */
    }
    if (r->op == BLK_FLUSH) {
        return direct_flush(r);
    }
    if (r->op > BLK_WRITE || r->n > IOV_DIRECT_MAX || r->len > INT_MAX ||
        (r->flags & WRITE_COMPRESSED) ||
        (r->op == BLK_WRITE && block_watch_waits(r->bn)) ||
        !block_gate_enter(&r->bn->gate, false)) {
        return false;
    }
    r->gated = true;
    ret = direct_resolve(r, r->bn, r->off);
    if (ret < 0) {
        ret = direct_plan(r);
    }
    if (ret < 0) {
        block_gate_leave(&r->bn->gate);
        r->gated = false;
        if (ret == -EBUSY && blk->running > 1) {
            blk->running--;
            r->running = false;
            g_queue_push_tail(&blk->blocked, r);
            return true;
        }
        return false;
    }
    blk->stats[r->asked].direct++;
    if (!r->file) {
        iov_memset(r->iov, r->n, 0, 0, r->len);
        block_gate_leave(&r->bn->gate);
        r->gated = false;
        req_later(r, 0);
    } else if (!r->file->drv->fd || !direct_aligned(r->file, r)) {
        worker_run(direct_rest, direct_rest_done, r);
    } else {
        aio_submit(blk->aio, direct_op(r), r->file->drv->fd(r->file),
                   r->host_offset, r->iov, r->n, direct_done, r);
    }
    return true;
}

static void blk_start(BlkReq *r)
{
    r->running = true;
    r->blk->running++;
    if (direct_transfer(r)) {
        if (!r->blk->plugged) {
            aio_kick(r->blk->aio);
        }
        return;
    }
    worker_run(worker_transfer, worker_done, r);
}

/* ---- throttling ---------------------------------------------------------------------- */

static double bucket_units(const Blk *blk, const BlkReq *r, int kind)
{
    uint64_t size = blk->limit->limits.iops_size;

    switch (kind) {
    case LIMIT_BPS_READ:
    case LIMIT_IOPS_READ:
        if (r->op != BLK_READ) {
            return 0;
        }
        break;
    case LIMIT_BPS_WRITE:
    case LIMIT_IOPS_WRITE:
        if (!req_writes(r)) {
            return 0;
        }
        break;
    default:
        break;
    }
    if (kind <= LIMIT_BPS_WRITE) {
        return (double)r->len;
    }
    return size && r->len > size ? (double)r->len / (double)size : 1;
}

static void bucket_leak(Bucket *b, int64_t now)
{
    b->level -= b->avg * (double)(now - b->last) / 1e6;
    b->level = MAX(b->level, 0);
    b->last = now;
}

/* Microseconds until the next request may go; 0: now. */
static int64_t throttle_wait(Blk *blk, const BlkReq *r)
{
    int64_t now = g_get_monotonic_time(), wait = 0;

    for (int k = 0; k < LIMIT_KINDS; k++) {
        Bucket *b = &blk->limit->buckets[k];
        double room = b->max > 0 ? b->max : b->avg / 10;

        if (b->avg <= 0 || bucket_units(blk, r, k) <= 0) {
            continue;
        }
        bucket_leak(b, now);
        if (b->level > room) {
            wait = MAX(wait, (int64_t)((b->level - room) / b->avg * 1e6) + 1);
        }
    }
    return wait;
}

static void throttle_account(Blk *blk, const BlkReq *r)
{
    for (int k = 0; k < LIMIT_KINDS; k++) {
        if (blk->limit->buckets[k].avg > 0) {
            blk->limit->buckets[k].level += bucket_units(blk, r, k);
        }
    }
}

static gboolean throttle_run(gpointer opaque)
{
    Blk *blk = opaque;
    BlkReq *r;

    blk->timer = 0;
    while ((r = g_queue_peek_head(&blk->throttled))) {
        /* Who waits for requests to end does not wait for the limit. */
        int64_t wait = blk->drainers ? 0 : throttle_wait(blk, r);

        if (wait > 0) {
            blk->timer =
                g_timeout_add((guint)(wait / 1000 + 1), throttle_run, blk);
            break;
        }
        g_queue_pop_head(&blk->throttled);
        throttle_account(blk, r);
        blk_start(r);
    }
    return G_SOURCE_REMOVE;
}

/* Those that wait look again at what holds them. */
static void throttle_again(Blk *blk)
{
    if (blk->timer) {
        g_source_remove(blk->timer);
        throttle_run(blk);
    }
}

static void blk_throttle(BlkReq *r)
{
    Blk *blk = r->blk;

    if (blk->quiesced) {
        g_queue_push_tail(&blk->held, r);
        return;
    }
    if (!blk->limit->limited || r->op == BLK_FLUSH) {
        blk_start(r);
        return;
    }
    g_queue_push_tail(&blk->throttled, r);
    if (!blk->timer) {
        throttle_run(blk);
    }
}

static void limits_join(Blk *blk, Limits *l)
{
    l->blks = g_slist_prepend(l->blks, blk);
    blk->limit = l;
}

static void limits_leave(Blk *blk)
{
    Limits *l = g_steal_pointer(&blk->limit);

    l->blks = g_slist_remove(l->blks, blk);
    if (!l->blks) {
        g_free(l);
    }
}

void blk_share_limits(Blk *blk, Blk *with)
{
    if (blk->limit != with->limit) {
        limits_leave(blk);
        limits_join(blk, with->limit);
        throttle_again(blk);
    }
}

bool blk_set_limits(Blk *blk, const BlkLimits *limits, GError **errp)
{
    static const int split[][2] = {
        { LIMIT_BPS_TOTAL, LIMIT_BPS_READ },
        { LIMIT_BPS_TOTAL, LIMIT_BPS_WRITE },
        { LIMIT_IOPS_TOTAL, LIMIT_IOPS_READ },
        { LIMIT_IOPS_TOTAL, LIMIT_IOPS_WRITE },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(split); i++) {
        if ((limits->avg[split[i][0]] > 0 && limits->avg[split[i][1]] > 0) ||
            (limits->max[split[i][0]] > 0 && limits->max[split[i][1]] > 0)) {
            error_setg(errp, "bps/iops/max total values and read/write values "
                             "cannot be used at the same time");
            return false;
        }
    }
    for (int k = 0; k < LIMIT_KINDS; k++) {
        if (limits->max[k] > 0 && limits->avg[k] <= 0) {
            error_setg(errp, "bps_max/iops_max require corresponding bps/iops "
                             "values");
            return false;
        }
        if (limits->max[k] > 0 && limits->max[k] < limits->avg[k]) {
            error_setg(errp, "bps_max/iops_max cannot be lower than bps/iops");
            return false;
        }
    }
    blk->limit->limits = *limits;
    blk->limit->limited = false;
    for (int k = 0; k < LIMIT_KINDS; k++) {
        blk->limit->buckets[k].avg = limits->avg[k];
        blk->limit->buckets[k].max = limits->max[k];
        blk->limit->buckets[k].last = g_get_monotonic_time();
        blk->limit->buckets[k].level = 0;
        blk->limit->limited |= limits->avg[k] > 0;
    }
    for (GSList *p = blk->limit->blks; p; p = p->next) {
        throttle_again(p->data);
    }
    return true;
}

void blk_get_limits(const Blk *blk, BlkLimits *limits)
{
    *limits = blk->limit->limits;
}

bool blk_parse_limits(KeyVal *options, BlkLimits *limits, GError **errp)
{
    static const char *const names[LIMIT_KINDS] = {
        "bps-total",  "bps-read",  "bps-write",
        "iops-total", "iops-read", "iops-write",
    };

    memset(limits, 0, sizeof(*limits));
    for (int k = 0; k < LIMIT_KINDS; k++) {
        g_autofree char *avg = g_strdup_printf("throttling.%s", names[k]);
        g_autofree char *max = g_strdup_printf("throttling.%s-max", names[k]);
        uint64_t a, m;

        if (!keyval_size(options, avg, 1, 0, &a, errp) ||
            !keyval_size(options, max, 1, 0, &m, errp)) {
            return false;
        }
        limits->avg[k] = (double)a;
        limits->max[k] = (double)m;
    }
    return keyval_size(options, "throttling.iops-size", 1, 0,
                       &limits->iops_size, errp);
}

/* ---- submit --------------------------------------------------------------------------- */

static int req_check(const Blk *blk, const BlkReq *r)
{
    if (!blk->bn) {
        return -ENOMEDIUM;
    }
    if (req_writes(r) && blk->bn->read_only) {
        return -EPERM;
    }
    if (r->op != BLK_FLUSH &&
        (r->len > blk->bn->size || r->off > blk->bn->size - r->len)) {
        return -EIO;
    }
    if (r->op <= BLK_WRITE && iov_size(r->iov, r->n) != r->len) {
        return -EINVAL;
    }
    return 0;
}

static bool all_zero(const struct iovec *iov, int n)
{
    for (int i = 0; i < n; i++) {
        if (!buffer_is_zero(iov[i].iov_base, iov[i].iov_len)) {
            return false;
        }
    }
    return true;
}

static void req_detect_zeroes(BlkReq *r)
{
    int mode = r->blk->detect_zeroes;

    if (r->op == BLK_WRITE && mode != BLK_DETECT_ZEROES_OFF &&
        !(r->flags & WRITE_COMPRESSED) && all_zero(r->iov, r->n)) {
        r->op = BLK_ZERO;
        r->flags |= mode == BLK_DETECT_ZEROES_UNMAP ? ZERO_MAY_UNMAP : 0;
    }
}

void blk_submit(Blk *blk, BlkOp op, uint64_t off, uint64_t len,
                const struct iovec *iov, int n, unsigned flags, BlkDone *done,
                void *opaque)
{
    BlkReq *r = req_get(blk);
    int ret;

    r->blk = blk;
    r->bn = blk->bn;
    r->op = r->asked = op;
    r->off = off;
    r->len = len;
    r->iov = iov;
    r->n = n;
    r->flags = flags;
    r->done = done;
    r->opaque = opaque;
    r->start = g_get_monotonic_time();
    r->gated = r->planned = r->running = false;
    r->file = NULL;
    blk->in_flight++;
    ret = req_check(blk, r);
    if (ret < 0 || (op != BLK_FLUSH && !len)) {
        blk->stats[op].invalid += ret < 0;
        req_later(r, ret);
        return;
    }
    if (!blk->write_cache || (blk->bn->flags & BLOCK_WRITETHROUGH)) {
        r->flags |= BLK_FUA;
    }
    req_detect_zeroes(r);
    blk_throttle(r);
}

void blk_plug(Blk *blk)
{
    blk->plugged++;
}

void blk_unplug(Blk *blk)
{
    if (--blk->plugged == 0) {
        aio_kick(blk->aio);
    }
}

/* Until @left of them are left that are held back. */
static void drain_to(Blk *blk, const guint *left)
{
    blk->drainers++;
    blk_ref(blk); /* the main loop may let go of it */
    throttle_again(blk);
    while (blk->in_flight > *left) {
        if (!aio_flush(blk->aio)) {
            mainloop_iterate(true);
        }
    }
    blk->drainers--;
    blk_unref(blk);
}

void blk_drain(Blk *blk)
{
    static const guint none;

    drain_to(blk, &none);
}

void blk_quiesce(Blk *blk)
{
    blk->quiesced++;
    drain_to(blk, &blk->held.length);
}

void blk_resume(Blk *blk)
{
    GQueue now = G_QUEUE_INIT;

    if (--blk->quiesced) {
        return;
    }
    while (!g_queue_is_empty(&blk->held)) {
        g_queue_push_tail(&now, g_queue_pop_head(&blk->held));
    }
    blk_plug(blk);
    while (!g_queue_is_empty(&now)) {
        BlkReq *r = g_queue_pop_head(&now);

        r->bn = blk->bn; /* it may be another now */
        blk_throttle(r);
    }
    blk_unplug(blk);
}

static void set_node(Blk *blk, BlockNode *bn)
{
    g_clear_pointer(&blk->cor, cor_free);
    blk->bn = bn;
    if (blk->copy_on_read && bn && !bn->read_only) {
        blk->cor = cor_new(bn);
    }
}

void blk_set_copy_on_read(Blk *blk, bool on)
{
    blk->copy_on_read = on;
    set_node(blk, blk->bn);
}

BlockNode *blk_swap_node(Blk *blk, BlockNode *bn)
{
    BlockNode *old = blk->bn;

    set_node(blk, bn);
    return old;
}

unsigned blk_in_flight(const Blk *blk)
{
    return blk->in_flight;
}

/* ---- set-up ----------------------------------------------------------------------------- */

Blk *blk_new(const char *name, BlockNode *bn, BlkAio aio)
{
    Blk *blk = g_new0(Blk, 1);

    blk->refs = 1;
    limits_join(blk, g_new0(Limits, 1));
    blk->name = g_strdup(name);
    blk->bn = bn;
    blk->aio_kind = aio;
    blk->aio = aio_new(aio == BLK_AIO_THREADS);
    blk->write_cache = true;
    g_queue_init(&blk->throttled);
    g_queue_init(&blk->held);
    g_queue_init(&blk->blocked);
    return blk;
}

void blk_ref(Blk *blk)
{
    blk->refs++;
}

void blk_unref(Blk *blk)
{
    if (--blk->refs) {
        return;
    }
    if (blk->timer) {
        g_source_remove(blk->timer);
    }
    cor_free(blk->cor);
    limits_leave(blk);
    block_close(blk->bn, NULL);
    aio_free(blk->aio);
    while (blk->free_reqs) {
        g_free(req_get(blk));
    }
    g_free(blk->name);
    g_free(blk);
}

void blk_free(Blk *blk)
{
    if (blk) {
        blk_drain(blk);
        blk_unref(blk);
    }
}

BlockNode *blk_node(const Blk *blk)
{
    return blk->bn;
}

const char *blk_name(const Blk *blk)
{
    return blk->name;
}

BlockNode *blk_set_node(Blk *blk, BlockNode *bn)
{
    BlockNode *old;

    blk_drain(blk);
    old = blk->bn; /* not before: a job may have ended meanwhile */
    set_node(blk, bn);
    return old;
}

uint64_t blk_size(const Blk *blk)
{
    return blk->bn ? blk->bn->size : 0;
}

bool blk_read_only(const Blk *blk)
{
    return blk->bn && blk->bn->read_only;
}

void blk_set_write_cache(Blk *blk, bool on)
{
    blk->write_cache = on;
}

void blk_set_detect_zeroes(Blk *blk, int mode)
{
    blk->detect_zeroes = mode;
}

uint64_t blk_highest_write(const Blk *blk)
{
    return blk->highest;
}

const BlkStats *blk_stats(const Blk *blk, BlkOp op)
{
    return &blk->stats[op];
}
