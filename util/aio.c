/*
 * See aio.h.
 *
 * A request is queued in the ring's memory and costs no system call of its own:
 * aio_kick() submits all. Completions wake the main loop by an eventfd, once
 * for as many as there are.
 */
#include "util/osdep.h"
#include "util/aio.h"

#include "util/iov.h"
#include "util/mainloop.h"
#include "util/worker.h"

#if CONFIG_LIBURING
#include <liburing.h>
#include <sys/eventfd.h>
#endif

enum { RING_ENTRIES = 256 };

typedef struct AioReq {
    AioDone *done;
    void *opaque;
    struct AioReq *next; /* in the free list */
    AioOp op;
    int fd;
    int n;
    const struct iovec *iov;
    uint64_t off;
} AioReq;

struct Aio {
    bool uring;
    AioReq *free_reqs;
#if CONFIG_LIBURING
    struct io_uring ring;
    int event_fd;
    unsigned watch;
    unsigned in_flight; /* in the ring; at most its completion queue */
    unsigned held;      /* queued, not submitted */
    GQueue waiting;     /* of AioReq, for room in the ring */
#endif
};

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

/* ---- threads -------------------------------------------------------------------- */

static int thread_transfer(void *opaque)
{
    const AioReq *r = opaque;
    ssize_t ret;

    do {
        switch (r->op) {
        case AIO_READ:
            ret = preadv(r->fd, r->iov, r->n, (off_t)r->off);
            break;
        case AIO_WRITE:
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
static void ring_push(Aio *aio, AioReq *r)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&aio->ring);

    if (!sqe) {
        io_uring_submit(&aio->ring);
        aio->held = 0;
        sqe = io_uring_get_sqe(&aio->ring);
    }
    if (r->op == AIO_FSYNC) {
        io_uring_prep_fsync(sqe, r->fd, IORING_FSYNC_DATASYNC);
    } else if (r->op == AIO_READ && r->n == 1) {
        io_uring_prep_read(sqe, r->fd, r->iov->iov_base,
                           (unsigned)r->iov->iov_len, r->off);
    } else if (r->op == AIO_READ) {
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
    aio->watch = mainloop_add_fd(aio->event_fd, G_IO_IN, ring_reap, aio);
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

static void ring_free(Aio *aio)
{
    mainloop_remove(aio->watch);
    io_uring_queue_exit(&aio->ring);
    close(aio->event_fd);
}

void aio_kick(Aio *aio)
{
    if (aio->uring && aio->held) {
        aio->held = 0;
        io_uring_submit(&aio->ring);
    }
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

void aio_kick(Aio *aio)
{
}
#endif

/* ---- both ------------------------------------------------------------------------ */

Aio *aio_new(bool threads)
{
    Aio *aio = g_new0(Aio, 1);

    aio->uring = !threads && ring_init(aio);
    return aio;
}

void aio_free(Aio *aio)
{
    if (aio->uring) {
        ring_free(aio);
    }
    while (aio->free_reqs) {
        g_free(req_get(aio));
    }
    g_free(aio);
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
    if (aio->uring) {
        ring_submit(aio, r);
    } else {
        worker_run(thread_transfer, thread_done, r);
    }
}
