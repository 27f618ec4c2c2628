/*
 * See aio.h.
 *
 * A request is queued in the ring's memory and costs no system call of its own:
 * aio_kick() submits all. Completions wake the main loop by an eventfd, once
 * for as many as there are.
 *
 * Writes to the page cache are better off with one thread of ours than with
 * the ring, which gives each to a kernel thread of its own, all waiting for the
 * lock of the same file. The thread takes all that has gathered and writes
 * neighbours in one call. Only whole pages: a part of one may have to be read
 * first, and that should not hold up the others.
 *
 * In a turn this thread does it instead: nobody needs to be woken. If it had to
 * wait for long (a disk that cannot take more makes writers wait), the writer
 * has the next ones.
 */
#include "util/osdep.h"
#include "util/aio.h"

#include "util/iov.h"
#include "util/mainloop.h"
#include "util/turn.h"
#include "util/worker.h"

#if CONFIG_LIBURING
#include <liburing.h>
#include <sys/eventfd.h>
#endif
#include <sys/resource.h>

enum {
    RING_ENTRIES = 256,
    PAGE = 4096,
    MERGE_IOVS = 256,
    SLOW_US = 2000,   /* for a batch of writes in a turn ... */
    SLOW_LEFT = 1000, /* ... then so many are the writer's */
};

typedef struct AioReq {
    AioDone *done;
    void *opaque;
    struct AioReq *next; /* in the free list */
    AioOp op;
    size_t len;
    int ret;
    int fd;
    int n;
    const struct iovec *iov;
    uint64_t off;
} AioReq;

struct Aio {
    bool uring;
    bool reaping; /* what the callbacks submit goes out together */
    AioReq *free_reqs;
#if CONFIG_LIBURING
    struct io_uring ring;
    int event_fd;
    unsigned watch;
    unsigned in_flight; /* in the ring; at most its completion queue */
    unsigned held;      /* of those, not submitted */
    guint retry;        /* timer */
    GQueue waiting;     /* of AioReq, for room in the ring */
#endif
    GThread *writer; /* made by the first cached write */
    AioReq *held_writes, **held_tail;
    GMutex lock; /* below */
    GCond cond;
    AioReq *to_write, **to_tail;
    AioReq *written, **written_tail;
    bool told, stop;      /* told: writer_reap() is on its way */
    AioReq *finished;     /* the lock's: writer_reap() is at them */
    struct AioTurn *turn; /* its end will look at `finished` */
    unsigned slow;        /* batches that are not for a turn */
};

/* Reads of a turn. It may outlive the Aio, whose user need not wait for it. */
typedef struct AioTurn {
    Aio *aio; /* NULL: gone */
} AioTurn;

/* Writes of a turn; they are in flight until it ends. */
typedef struct AioBatch {
    Aio *aio;
    AioReq *list;
    bool slow;
} AioBatch;

static AioReq *req_get(Aio *aio)
{
    AioReq *r = aio->free_reqs;

    if (r) {
        aio->free_reqs = r->next;
    } else {
        r = g_new(AioReq, 1);
    }
    return r;
}

static void req_put(Aio *aio, AioReq *r)
{
    r->next = aio->free_reqs;
    aio->free_reqs = r;
}

static void list_append(AioReq ***tail, AioReq *first, AioReq **last)
{
    **tail = first;
    *tail = last;
}

/* ---- the writer ------------------------------------------------------------------ */

/* What the writer has done. A callback may wait for the others here. */
static bool writer_finish(Aio *aio)
{
    AioReq *r;
    bool any = false;

    while ((r = aio->finished)) {
        AioDone *done = r->done;
        void *arg = r->opaque;
        int ret = r->ret;

        aio->finished = r->next;
        req_put(aio, r);
        done(arg, ret);
        any = true;
    }
    return any;
}

static AioReq **finished_end(Aio *aio)
{
    AioReq **end = &aio->finished;

    while (*end) {
        end = &(*end)->next;
    }
    return end;
}

/* What the callbacks submit goes out together. */
static void finish_and_kick(Aio *aio)
{
    aio->reaping = true;
    writer_finish(aio);
    aio->reaping = false;
    aio_kick(aio);
}

static void writer_reap(void *opaque)
{
    Aio *aio = opaque;
    AioReq **end = finished_end(aio);

    g_mutex_lock(&aio->lock);
    *end = aio->written;
    aio->written = NULL;
    aio->written_tail = &aio->written;
    aio->told = false;
    g_mutex_unlock(&aio->lock);
    finish_and_kick(aio);
}

static int write_some(int fd, uint64_t off, const struct iovec *iov, int n)
{
    ssize_t ret;

    do {
        ret = pwritev(fd, iov, n, (off_t)off);
    } while (ret < 0 && errno == EINTR);
    return ret < 0 ? -errno : (int)ret;
}

/* @r and those after it that continue it; the first that does not. */
static AioReq *write_run(AioReq *r)
{
    struct iovec iov[MERGE_IOVS];
    AioReq *end = r;
    size_t len = 0;
    int n = 0, ret;

    while (end && end->fd == r->fd && end->off == r->off + len &&
           n + end->n <= MERGE_IOVS) {
        memcpy(iov + n, end->iov, sizeof(*iov) * (size_t)end->n);
        n += end->n;
        len += end->len;
        end = end->next;
    }
    if (end == r) { /* too many pieces for the array */
        r->ret = write_some(r->fd, r->off, r->iov, r->n);
        return r->next;
    }
    ret = write_some(r->fd, r->off, iov, n);
    for (; r != end; r = r->next) {
        /* A run that failed is told apart one by one. */
        r->ret = ret == (int)len ? (int)r->len
                                 : write_some(r->fd, r->off, r->iov, r->n);
    }
    return end;
}

static gpointer writer_thread(gpointer opaque)
{
    Aio *aio = opaque;

    g_mutex_lock(&aio->lock);
    for (;;) {
        AioReq *list = aio->to_write, **last = aio->to_tail;
        bool tell;

        if (!list) {
            if (aio->stop) {
                break;
            }
            g_cond_wait(&aio->cond, &aio->lock);
            continue;
        }
        aio->to_write = NULL;
        aio->to_tail = &aio->to_write;
        g_mutex_unlock(&aio->lock);
        for (AioReq *r = list; r;) {
            r = write_run(r);
        }
        g_mutex_lock(&aio->lock);
        list_append(&aio->written_tail, list, last);
        tell = !aio->told;
        aio->told = true;
        if (tell) {
            g_mutex_unlock(&aio->lock);
            mainloop_call(writer_reap, aio);
            g_mutex_lock(&aio->lock);
        }
    }
    g_mutex_unlock(&aio->lock);
    return NULL;
}

static bool writer_takes(const AioReq *r)
{
    return r->op == AIO_WRITE_CACHED && !(r->off % PAGE) && !(r->len % PAGE);
}

static void writer_hold(Aio *aio, AioReq *r)
{
    r->next = NULL;
    list_append(&aio->held_tail, r, &r->next);
}

/* ---- in a turn ------------------------------------------------------------------- */

static void turn_read_done(void *opaque)
{
    AioTurn *t = opaque;

    if (t->aio) {
        t->aio->turn = NULL;
        finish_and_kick(t->aio);
    }
    g_free(t);
}

static bool turn_wait(Aio *aio)
{
    AioTurn *t;

    if (aio->turn) {
        return true;
    }
    t = g_new(AioTurn, 1);
    t->aio = aio;
    if (!turn_add(NULL, turn_read_done, t)) {
        g_free(t);
        return false;
    }
    aio->turn = t;
    return true;
}

/* All of it is in the page cache and there now. */
static bool turn_read(Aio *aio, AioReq *r)
{
    if (r->op != AIO_READ_CACHED || !turn_on() ||
        preadv2(r->fd, r->iov, r->n, (off_t)r->off, RWF_NOWAIT) !=
            (ssize_t)r->len) {
        return false;
    }
    if (!turn_wait(aio)) {
        return false;
    }
    r->ret = (int)r->len;
    r->next = NULL;
    *finished_end(aio) = r;
    return true;
}

/* How often this thread went to sleep so far. */
static long thread_sleeps(void)
{
    struct rusage ru;

    return getrusage(RUSAGE_THREAD, &ru) == 0 ? ru.ru_nvcsw : 0;
}

static void turn_write(void *opaque)
{
    AioBatch *b = opaque;
    gint64 start = g_get_monotonic_time();
    long sleeps = thread_sleeps();

    for (AioReq *r = b->list; r;) {
        r = write_run(r);
    }
    b->slow =
        g_get_monotonic_time() - start > SLOW_US && thread_sleeps() != sleeps;
}

static void turn_write_done(void *opaque)
{
    AioBatch *b = opaque;
    Aio *aio = b->aio;

    aio->slow = b->slow ? SLOW_LEFT : aio->slow;
    *finished_end(aio) = b->list;
    g_free(b);
    finish_and_kick(aio);
}

/* The writes that gathered: here. */
static bool turn_take_writes(Aio *aio)
{
    AioBatch *b;

    if (!turn_on()) {
        return false;
    }
    if (aio->slow) {
        aio->slow--;
        return false;
    }
    b = g_new(AioBatch, 1);
    b->aio = aio;
    b->list = aio->held_writes;
    if (!turn_add(turn_write, turn_write_done, b)) {
        g_free(b);
        return false;
    }
    aio->held_writes = NULL;
    aio->held_tail = &aio->held_writes;
    return true;
}

static void writer_kick(Aio *aio)
{
    if (!aio->held_writes || turn_take_writes(aio)) {
        return;
    }
    if (!aio->writer) {
        aio->writer = g_thread_new("aio-writer", writer_thread, aio);
    }
    g_mutex_lock(&aio->lock);
    list_append(&aio->to_tail, aio->held_writes, aio->held_tail);
    g_cond_signal(&aio->cond);
    g_mutex_unlock(&aio->lock);
    aio->held_writes = NULL;
    aio->held_tail = &aio->held_writes;
}

static void writer_stop(Aio *aio)
{
    if (aio->writer) {
        g_mutex_lock(&aio->lock);
        aio->stop = true;
        g_cond_signal(&aio->cond);
        g_mutex_unlock(&aio->lock);
        g_thread_join(aio->writer);
    }
}

/* ---- threads -------------------------------------------------------------------- */

static int thread_transfer(void *opaque)
{
    const AioReq *r = opaque;
    ssize_t ret;

    do {
        switch (r->op) {
        case AIO_READ:
        case AIO_READ_CACHED:
            ret = preadv(r->fd, r->iov, r->n, (off_t)r->off);
            break;
        case AIO_WRITE:
        case AIO_WRITE_CACHED:
            ret = pwritev(r->fd, r->iov, r->n, (off_t)r->off);
            break;
        default:
            ret = fdatasync(r->fd);
            break;
        }
    } while (ret < 0 && errno == EINTR);
    return ret < 0 ? -errno : (int)ret;
}

static void thread_done(void *opaque, int ret)
{
    AioReq *r = opaque;

    r->done(r->opaque, ret);
    g_free(r);
}

/* ---- io_uring -------------------------------------------------------------------- */

#if CONFIG_LIBURING
static bool aio_reads(const AioReq *r)
{
    return r->op == AIO_READ || r->op == AIO_READ_CACHED;
}

static void ring_push(Aio *aio, AioReq *r)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&aio->ring);

    g_assert(sqe); /* in_flight is below the number of entries */
    if (r->op == AIO_FSYNC) {
        io_uring_prep_fsync(sqe, r->fd, IORING_FSYNC_DATASYNC);
    } else if (aio_reads(r) && r->n == 1) {
        io_uring_prep_read(sqe, r->fd, r->iov->iov_base,
                           (unsigned)r->iov->iov_len, r->off);
    } else if (aio_reads(r)) {
        io_uring_prep_readv(sqe, r->fd, r->iov, (unsigned)r->n, r->off);
    } else if (r->n == 1) {
        io_uring_prep_write(sqe, r->fd, r->iov->iov_base,
                            (unsigned)r->iov->iov_len, r->off);
    } else {
        io_uring_prep_writev(sqe, r->fd, r->iov, (unsigned)r->n, r->off);
    }
    io_uring_sqe_set_data(sqe, r);
    aio->in_flight++;
    aio->held++;
}

static bool ring_reap(int fd, GIOCondition cond, void *opaque)
{
    Aio *aio = opaque;
    struct io_uring_cqe *cqe;
    uint64_t n;

    if (read(fd, &n, sizeof(n)) < 0 && errno != EAGAIN) {
        return true;
    }
    aio->reaping = true;
    while (io_uring_peek_cqe(&aio->ring, &cqe) == 0) {
        AioReq *r = io_uring_cqe_get_data(cqe);
        AioDone *done = r->done;
        void *arg = r->opaque;
        int res = cqe->res;

        io_uring_cqe_seen(&aio->ring, cqe);
        aio->in_flight--;
        if (res == -EINTR || res == -EAGAIN) {
            ring_push(aio, r);
            continue;
        }
        req_put(aio, r);
        done(arg, res);
    }
    while (aio->in_flight < RING_ENTRIES && !g_queue_is_empty(&aio->waiting)) {
        ring_push(aio, g_queue_pop_head(&aio->waiting));
    }
    aio->reaping = false;
    aio_kick(aio);
    return true;
}

static bool ring_init(Aio *aio)
{
    if (io_uring_queue_init(RING_ENTRIES, &aio->ring, 0) < 0) {
        return false;
    }
    aio->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (aio->event_fd < 0 ||
        io_uring_register_eventfd(&aio->ring, aio->event_fd) < 0) {
        if (aio->event_fd >= 0) {
            close(aio->event_fd);
        }
        io_uring_queue_exit(&aio->ring);
        return false;
    }
    g_queue_init(&aio->waiting);
    aio->watch = mainloop_add_fd_nested(aio->event_fd, G_IO_IN, ring_reap, aio);
    return true;
}

static void ring_submit(Aio *aio, AioReq *r)
{
    if (aio->in_flight >= RING_ENTRIES) {
        g_queue_push_tail(&aio->waiting, r);
    } else {
        ring_push(aio, r);
    }
}

static gboolean ring_retry(void *opaque);

/* The kernel may take only some (it stops behind one that it finds wrong), or
 * none (no memory for them now). */
static void ring_kick(Aio *aio)
{
    int ret = 0;

    while (aio->held && ret >= 0) {
        ret = io_uring_submit(&aio->ring);
        aio->held = io_uring_sq_ready(&aio->ring);
    }
    /* With others under way their end is the time to try again. */
    if (aio->held && aio->held == aio->in_flight && !aio->retry) {
        aio->retry = g_timeout_add(1, ring_retry, aio);
    }
}

static gboolean ring_retry(void *opaque)
{
    Aio *aio = opaque;

    aio->retry = 0;
    ring_kick(aio);
    return G_SOURCE_REMOVE;
}

static void ring_free(Aio *aio)
{
    if (aio->retry) {
        g_source_remove(aio->retry);
    }
    mainloop_remove(aio->watch);
    io_uring_queue_exit(&aio->ring);
    close(aio->event_fd);
}

#else
static bool ring_init(Aio *aio)
{
    return false;
}

static void ring_submit(Aio *aio, AioReq *r)
{
}

static void ring_free(Aio *aio)
{
}

static void ring_kick(Aio *aio)
{
}
#endif

/* ---- both ------------------------------------------------------------------------ */

Aio *aio_new(bool threads)
{
    Aio *aio = g_new0(Aio, 1);

    g_mutex_init(&aio->lock);
    g_cond_init(&aio->cond);
    aio->held_tail = &aio->held_writes;
    aio->to_tail = &aio->to_write;
    aio->written_tail = &aio->written;
    aio->uring = !threads && ring_init(aio);
    return aio;
}

void aio_free(Aio *aio)
{
    writer_stop(aio);
    if (aio->turn) {
        aio->turn->aio = NULL;
    }
    if (aio->uring) {
        ring_free(aio);
    }
    g_mutex_clear(&aio->lock);
    g_cond_clear(&aio->cond);
    while (aio->free_reqs) {
        g_free(req_get(aio));
    }
    g_free(aio);
}

bool aio_flush(Aio *aio)
{
    writer_kick(aio);
    if (aio->uring) {
        ring_kick(aio);
    }
    return writer_finish(aio);
}

void aio_kick(Aio *aio)
{
    if (!aio->reaping) { /* else it follows at the end of that */
        writer_kick(aio);
        if (aio->uring) {
            ring_kick(aio);
        }
    }
}

bool aio_is_uring(const Aio *aio)
{
    return aio->uring;
}

void aio_submit(Aio *aio, AioOp op, int fd, uint64_t off,
                const struct iovec *iov, int n, AioDone *done, void *opaque)
{
    AioReq *r = req_get(aio);

    r->done = done;
    r->opaque = opaque;
    r->op = op;
    r->fd = fd;
    r->iov = iov;
    r->n = n;
    r->off = off;
    r->len = iov_size(iov, n);
    if (turn_read(aio, r)) {
        return;
    }
    if (aio->uring && writer_takes(r)) {
        writer_hold(aio, r);
    } else if (aio->uring) {
        ring_submit(aio, r);
    } else {
        worker_run(thread_transfer, thread_done, r);
    }
}
