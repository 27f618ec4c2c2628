/*
 * nbd: a disk that a server has, through libnbd. The NBD protocol,
 * doc/proto.md.
 *
 * Each connection has a thread that moves bytes; callers hand in a request and
 * sleep until it is answered, so many can be under way. A server that closes
 * the connection, breaks the protocol or does not answer in time is given up:
 * from then on every request is -EIO. There is no reconnecting and no TLS.
 *
 * libnbd calls back with its own lock held: s->lock is never held around a call
 * to it.
 */
#include "util/osdep.h"
#include "block/drivers.h"
#include "block/nbd-address.h"

#include "util/error.h"
#include "util/iov.h"

#if CONFIG_LIBNBD

#include <fcntl.h>
#include <libnbd.h>
#include <poll.h>
#include <sys/eventfd.h>

enum {
    CONNECT_SECONDS = 30,
    REQUEST_SECONDS = 60,
    GOODBYE_MS = 1000,
    TRANSFER_MAX = 32 << 20, /* what every server takes */
    SPAN_MAX = 1 << 30,      /* of requests that carry no data */
    BLOCK_MAX = 64 << 10,    /* minimum block sizes above are refused */
};

typedef struct NbdState {
    struct nbd_handle *h; /* NULL once it is closed */
    GThread *thread;
    int wake; /* eventfd: there is something to send, or to stop */
    GMutex lock;
    GCond idle;       /* issuing became 0 */
    unsigned issuing; /* callers inside of libnbd */
    bool dead, closed, stop;
    GQueue pending;  /* of NbdRequest, oldest first */
    int64_t timeout; /* microseconds; 0: none */
    uint64_t max;    /* bytes of a transfer */
    bool can_flush, can_trim, can_zero, can_status;
    GMutex edge; /* one write of a part of a block at a time */
} NbdState;

typedef enum NbdOp {
    OP_READ,
    OP_WRITE,
    OP_FLUSH,
    OP_TRIM,
    OP_ZERO,
    OP_STATUS
} NbdOp;

/* On the caller's stack. */
typedef struct NbdRequest {
    NbdState *s;
    GCond cond; /* its own: an answer wakes one thread, not all */
    bool done;
    int ret;
    int64_t deadline;
    uint64_t status_len; /* OP_STATUS: the first extent */
    uint32_t status;
} NbdRequest;

/* ---- the thread -------------------------------------------------------------------- */

static void wake_up(NbdState *s)
{
    uint64_t one = 1;

    if (write(s->wake, &one, sizeof(one)) < 0) {
        /* the counter is full: it is awake */
    }
}

/* Until when to sleep; below 0: for ever. False: a request is overdue. */
static bool next_deadline(NbdState *s, int *ms)
{
    NbdRequest *r;
    int64_t left = 0;

    g_mutex_lock(&s->lock);
    r = g_queue_peek_head(&s->pending);
    if (r && r->deadline) {
        left = r->deadline - g_get_monotonic_time();
    }
    *ms = r && r->deadline ? (int)(left / 1000 + 1) : -1;
    g_mutex_unlock(&s->lock);
    return left >= 0;
}

/* One turn of libnbd's state machine; false: the connection is over. */
static bool turn(NbdState *s, int ms)
{
    unsigned dir = nbd_aio_get_direction(s->h);
    struct pollfd p[2] = { { .fd = nbd_aio_get_fd(s->h) },
                           { .fd = s->wake, .events = POLLIN } };
    uint64_t count;

    p[0].events = (short)((dir & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) |
                          (dir & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0));
    if (p[0].fd < 0) {
        return false;
    }
    if (poll(p, 2, ms) < 0) {
        return errno == EINTR;
    }
    if (p[1].revents && read(s->wake, &count, sizeof(count)) < 0) {
        return errno == EAGAIN;
    }
    /* Another thread may have moved the machine since: ask again. */
    dir = nbd_aio_get_direction(s->h);
    if ((p[0].revents & (POLLIN | POLLHUP | POLLERR)) &&
        (dir & LIBNBD_AIO_DIRECTION_READ)) {
        nbd_aio_notify_read(s->h);
    } else if ((p[0].revents & (POLLOUT | POLLHUP | POLLERR)) &&
               (dir & LIBNBD_AIO_DIRECTION_WRITE)) {
        nbd_aio_notify_write(s->h);
    }
    return !nbd_aio_is_dead(s->h) && !nbd_aio_is_closed(s->h);
}

static bool stopping(NbdState *s)
{
    bool stop;

    g_mutex_lock(&s->lock);
    stop = s->stop;
    g_mutex_unlock(&s->lock);
    return stop;
}

static void say_goodbye(NbdState *s)
{
    int64_t end = g_get_monotonic_time() + GOODBYE_MS * 1000;

    if (nbd_aio_disconnect(s->h, 0) < 0) {
        return;
    }
    while (g_get_monotonic_time() < end && turn(s, 50)) {
    }
}

static void wake_request(gpointer r, gpointer unused)
{
    g_cond_signal(&((NbdRequest *)r)->cond);
}

static void *nbd_thread(void *opaque)
{
    NbdState *s = opaque;
    bool alive = true;
    int ms;

    while (alive && !stopping(s)) {
        alive = next_deadline(s, &ms) && turn(s, ms);
    }
    if (alive) {
        say_goodbye(s);
    }
    g_mutex_lock(&s->lock);
    s->dead = true;
    while (s->issuing) {
        g_cond_wait(&s->idle, &s->lock);
    }
    g_mutex_unlock(&s->lock);
    nbd_close(s->h); /* it calls no one back later: buffers are free again */
    g_mutex_lock(&s->lock);
    s->h = NULL;
    s->closed = true;
    g_queue_foreach(&s->pending, wake_request, NULL);
    g_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- one request -------------------------------------------------------------------- */

static int completed(void *opaque, int *error)
{
    NbdRequest *r = opaque;
    NbdState *s = r->s;

    g_mutex_lock(&s->lock);
    r->ret = *error ? -*error : 0;
    r->done = true;
    g_queue_remove(&s->pending, r); /* or its deadline would count */
    g_cond_signal(&r->cond);
    g_mutex_unlock(&s->lock);
    return 1; /* libnbd forgets it */
}

static int got_status(void *opaque, const char *context, uint64_t off,
                      uint32_t *entries, size_t n, int *error)
{
    NbdRequest *r = opaque;

    if (strcmp(context, LIBNBD_CONTEXT_BASE_ALLOCATION) != 0 || n < 2) {
        return 0;
    }
    r->status_len = entries[0];
    r->status = entries[1];
    for (size_t i = 2; i + 1 < n && entries[i + 1] == r->status; i += 2) {
        r->status_len += entries[i];
    }
    return 0;
}

static int64_t issue(NbdState *s, NbdRequest *r, NbdOp op, uint64_t off,
                     void *buf, uint64_t len, uint32_t flags)
{
    nbd_completion_callback done = { .callback = completed, .user_data = r };
    nbd_extent_callback extents = { .callback = got_status, .user_data = r };

    switch (op) {
    case OP_READ:
        return nbd_aio_pread(s->h, buf, len, off, done, flags);
    case OP_WRITE:
        return nbd_aio_pwrite(s->h, buf, len, off, done, flags);
    case OP_FLUSH:
        return nbd_aio_flush(s->h, done, flags);
    case OP_TRIM:
        return nbd_aio_trim(s->h, len, off, done, flags);
    case OP_ZERO:
        return nbd_aio_zero(s->h, len, off, done, flags);
    default:
        return nbd_aio_block_status(s->h, len, off, extents, done, flags);
    }
}

/* With the lock. */
static int wait_for(NbdState *s, NbdRequest *r)
{
    while (!r->done && !s->closed) {
        g_cond_wait(&r->cond, &s->lock);
    }
    g_queue_remove(&s->pending, r);
    return r->done ? r->ret : -EIO;
}

static int request_for(NbdState *s, NbdRequest *r, NbdOp op, uint64_t off,
                       void *buf, uint64_t len, uint32_t flags)
{
    int ret = 0;
    bool first;

    r->s = s;
    g_cond_init(&r->cond);
    g_mutex_lock(&s->lock);
    if (s->dead) {
        g_mutex_unlock(&s->lock);
        g_cond_clear(&r->cond);
        return -EIO;
    }
    s->issuing++;
    r->deadline = s->timeout ? g_get_monotonic_time() + s->timeout : 0;
    first = g_queue_is_empty(&s->pending);
    g_queue_push_tail(&s->pending, r);
    g_mutex_unlock(&s->lock);
    if (issue(s, r, op, off, buf, len, flags) < 0) {
        ret = nbd_get_errno() ? -nbd_get_errno() : -EIO;
    }
    /* The thread waits for answers already; it must learn of the first
     * deadline, and of what the socket did not take at once. */
    if (first || (nbd_aio_get_direction(s->h) & LIBNBD_AIO_DIRECTION_WRITE)) {
        wake_up(s);
    }
    g_mutex_lock(&s->lock);
    if (--s->issuing == 0) {
        g_cond_signal(&s->idle);
    }
    if (ret < 0) { /* never sent, or called back with the error already */
        g_queue_remove(&s->pending, r);
    } else {
        ret = wait_for(s, r);
    }
    g_mutex_unlock(&s->lock);
    g_cond_clear(&r->cond);
    return ret == -ESHUTDOWN || ret == -ENOTCONN || ret == -EINVAL ? -EIO : ret;
}

static int request(NbdState *s, NbdOp op, uint64_t off, void *buf, uint64_t len,
                   uint32_t flags)
{
    NbdRequest r = { 0 };

    return request_for(s, &r, op, off, buf, len, flags);
}

/* ---- data ---------------------------------------------------------------------------- */

/* What the server's block size does not divide: with what surrounds it. */
static int partial(BlockNode *bn, bool write, uint64_t off, uint8_t *buf,
                   size_t len)
{
    NbdState *s = bn->s;
    uint64_t mask = bn->align - 1;
    uint64_t first = off & ~mask, end = (off + len + mask) & ~mask;
    g_autofree uint8_t *all = g_try_malloc(end - first);
    int ret;

    if (!all) {
        return -ENOMEM;
    }
    g_mutex_lock(&s->edge);
    ret = request(s, OP_READ, first, all, end - first, 0);
    if (ret == 0 && write) {
        memcpy(all + (off - first), buf, len);
        ret = request(s, OP_WRITE, first, all, end - first, 0);
    } else if (ret == 0) {
        memcpy(buf, all + (off - first), len);
    }
    g_mutex_unlock(&s->edge);
    return ret;
}

static int transfer_buf(BlockNode *bn, bool write, uint64_t off, uint8_t *buf,
                        size_t len)
{
    NbdState *s = bn->s;
    int ret = 0;

    while (len && ret == 0) {
        size_t n = MIN(len, s->max);

        if ((off | n) & (bn->align - 1)) {
            n = MIN(n, s->max - bn->align);
            ret = partial(bn, write, off, buf, n);
        } else {
            ret = request(s, write ? OP_WRITE : OP_READ, off, buf, n, 0);
        }
        off += n;
        buf += n;
        len -= n;
    }
    return ret;
}

static int transfer(BlockNode *bn, bool write, uint64_t off,
                    const struct iovec *iov, int n)
{
    size_t len = iov_size(iov, n);
    g_autofree uint8_t *buf = NULL;
    int ret;

    if (n == 1) {
        return transfer_buf(bn, write, off, iov->iov_base, len);
    }
    buf = g_try_malloc(len);
    if (!buf) {
        return -ENOMEM;
    }
    if (write) {
        iov_to_buf(iov, n, 0, buf, len);
    }
    ret = transfer_buf(bn, write, off, buf, len);
    if (ret == 0 && !write) {
        iov_from_buf(iov, n, 0, buf, len);
    }
    return ret;
}

static int nbdc_read(BlockNode *bn, uint64_t off, const struct iovec *iov,
                     int n)
{
    return transfer(bn, false, off, iov, n);
}

static int nbdc_write(BlockNode *bn, uint64_t off, const struct iovec *iov,
                      int n, unsigned flags)
{
    return flags & WRITE_COMPRESSED ? -ENOTSUP
                                    : transfer(bn, true, off, iov, n);
}

static int span(BlockNode *bn, NbdOp op, uint64_t off, uint64_t len,
                uint32_t flags)
{
    int ret = 0;

    if ((off | len) & (bn->align - 1)) {
        return -ENOTSUP;
    }
    while (len && ret == 0) {
        uint64_t n = MIN(len, SPAN_MAX);

        ret = request(bn->s, op, off, NULL, n, flags);
        off += n;
        len -= n;
    }
    return ret;
}

static int nbdc_zero(BlockNode *bn, uint64_t off, uint64_t len, unsigned flags)
{
    NbdState *s = bn->s;

    return s->can_zero
               ? span(bn, OP_ZERO, off, len,
                      flags & ZERO_MAY_UNMAP ? 0 : LIBNBD_CMD_FLAG_NO_HOLE)
               : -ENOTSUP;
}

static int nbdc_discard(BlockNode *bn, uint64_t off, uint64_t len)
{
    NbdState *s = bn->s;

    return s->can_trim ? span(bn, OP_TRIM, off, len, 0) : -ENOTSUP;
}

static int nbdc_flush(BlockNode *bn)
{
    NbdState *s = bn->s;

    if (!s->can_flush || (bn->flags & BLOCK_NO_FLUSH)) {
        return 0;
    }
    return request(s, OP_FLUSH, 0, NULL, 0, 0);
}

static int nbdc_map(BlockNode *bn, uint64_t off, uint64_t len, unsigned flags,
                    BlockExtent *out)
{
    NbdState *s = bn->s;
    uint64_t mask = bn->align - 1, skip = off & mask, span_len;
    NbdRequest r = { 0 };
    int ret;

    out->has_offset = out->in_place = true;
    out->host_offset = off;
    out->file = bn;
    out->len = len;
    if (!s->can_status || (flags & MAP_NOWAIT)) {
        return 0;
    }
    span_len = MIN((skip + len + mask) & ~mask, SPAN_MAX);
    ret = request_for(s, &r, OP_STATUS, off - skip, NULL, span_len, 0);
    if (ret < 0) {
        return ret;
    }
    if (r.status_len > skip) { /* else a server that says nothing: data */
        out->len = MIN(len, r.status_len - skip);
        out->allocated = !(r.status & LIBNBD_STATE_HOLE);
        out->kind = r.status & LIBNBD_STATE_ZERO ? EXTENT_ZERO : EXTENT_DATA;
    }
    return 0;
}

/* For formats that are made on an export: it is large enough or it is not. */
static bool nbdc_resize(BlockNode *bn, uint64_t size, const char *prealloc,
                        bool shrink, GError **errp)
{
    if (size > bn->size) {
        error_setg(errp, "Cannot grow NBD nodes");
    }
    return size <= bn->size;
}

/* ---- open ------------------------------------------------------------------------------ */

static bool nbd_failed(GError **errp, const NbdAddress *a, const char *what)
{
    g_autofree char *text = nbd_address_text(a);
    const char *why = nbd_get_error();

    error_setg(errp, "%s '%s': %s", what, text, why ? why : "no answer");
    return false;
}

/* Until the export is there; the thread does not run yet. */
static bool handshake(NbdState *s, const NbdAddress *a, GError **errp)
{
    int64_t end = g_get_monotonic_time() + CONNECT_SECONDS * G_USEC_PER_SEC;
    int ret;

    ret = a->path ? nbd_aio_connect_unix(s->h, a->path)
                  : nbd_aio_connect_tcp(s->h, a->host, a->port);
    if (ret < 0) {
        return nbd_failed(errp, a, "Failed to connect to");
    }
    while (!nbd_aio_is_ready(s->h)) {
        int64_t left = end - g_get_monotonic_time();

        if (left <= 0) {
            error_setg(errp,
                       "the NBD server did not finish its greeting in "
                       "%d seconds",
                       CONNECT_SECONDS);
            return false;
        }
        if (!turn(s, (int)(left / 1000 + 1))) {
            return nbd_failed(errp, a, "Failed to connect to");
        }
    }
    return true;
}

static bool look_at_export(BlockNode *bn, const NbdAddress *a, GError **errp)
{
    NbdState *s = bn->s;
    int64_t size = nbd_get_size(s->h);
    int64_t min = nbd_get_block_size(s->h, LIBNBD_SIZE_MINIMUM);
    int64_t max = nbd_get_block_size(s->h, LIBNBD_SIZE_MAXIMUM);

    if (size < 0) {
        return nbd_failed(errp, a, "the size is unknown of");
    }
    min = min > 0 ? min : 1;
    if (min > BLOCK_MAX || (min & (min - 1)) || (max > 0 && max < 2 * min)) {
        error_setg(errp,
                   "the NBD server asks for blocks of %" PRId64 " to %" PRId64
                   " bytes",
                   min, max);
        return false;
    }
    if (size % min) {
        error_setg(errp,
                   "export size %" PRId64 " is not multiple of minimum "
                   "block size %" PRId64,
                   size, min);
        return false;
    }
    bn->size = (uint64_t)size;
    bn->align = (uint32_t)min;
    s->max = (uint64_t)(max > 0 && max < TRANSFER_MAX ? max : TRANSFER_MAX);
    s->max &= ~(uint64_t)(min - 1);
    s->can_flush = nbd_can_flush(s->h) > 0;
    s->can_trim = nbd_can_trim(s->h) > 0;
    s->can_zero = nbd_can_zero(s->h) > 0;
    s->can_status =
        nbd_can_meta_context(s->h, LIBNBD_CONTEXT_BASE_ALLOCATION) > 0;
    if (nbd_is_read_only(s->h) > 0 && !bn->read_only) {
        if (!(bn->flags & BLOCK_AUTO_RDONLY)) {
            error_setg(errp, "the export is read-only");
            return false;
        }
        bn->read_only = true;
    }
    return true;
}

static bool connect_to(BlockNode *bn, const NbdAddress *a, GError **errp)
{
    NbdState *s = bn->s;

    s->h = nbd_create();
    if (!s->h || nbd_set_export_name(s->h, a->export) < 0 ||
        nbd_add_meta_context(s->h, LIBNBD_CONTEXT_BASE_ALLOCATION) < 0) {
        return nbd_failed(errp, a, "Failed to prepare for");
    }
    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->wake < 0) {
        error_setg_errno(errp, errno, "Could not make an eventfd");
        return false;
    }
    return handshake(s, a, errp) && look_at_export(bn, a, errp);
}

static bool nbdc_open(BlockNode *bn, KeyVal *options, GError **errp)
{
    NbdState *s = bn->s;
    NbdAddress a;
    uint64_t seconds;
    bool ok;

    if (!keyval_u64(options, "request-timeout", REQUEST_SECONDS, &seconds,
                    errp) ||
        !nbd_address_parse(&a, bn->filename, options, errp)) {
        return false;
    }
    if (seconds > 86400) {
        error_setg(errp, "request-timeout is 0 (none) to 86400 seconds");
        nbd_address_clear(&a);
        return false;
    }
    s->timeout = (int64_t)seconds * G_USEC_PER_SEC;
    s->wake = -1;
    ok = connect_to(bn, &a, errp);
    if (ok) {
        g_free(bn->filename);
        bn->filename = nbd_address_text(&a);
        g_mutex_init(&s->lock);
        g_mutex_init(&s->edge);
        g_cond_init(&s->idle);
        g_queue_init(&s->pending);
        s->thread = g_thread_new("nbd", nbd_thread, s);
    } else {
        nbd_close(s->h);
        if (s->wake >= 0) {
            close(s->wake);
        }
    }
    nbd_address_clear(&a);
    return ok;
}

static void nbdc_close(BlockNode *bn)
{
    NbdState *s = bn->s;

    g_mutex_lock(&s->lock);
    s->stop = true;
    g_mutex_unlock(&s->lock);
    wake_up(s);
    g_thread_join(s->thread);
    close(s->wake);
    g_mutex_clear(&s->lock);
    g_mutex_clear(&s->edge);
    g_cond_clear(&s->idle);
}

const BlockDriver block_nbd = {
    .name = "nbd",
    .prefix = "nbd:",
    .size = sizeof(NbdState),
    .open = nbdc_open,
    .close = nbdc_close,
    .read = nbdc_read,
    .write = nbdc_write,
    .zero = nbdc_zero,
    .discard = nbdc_discard,
    .flush = nbdc_flush,
    .map = nbdc_map,
    .resize = nbdc_resize,
};

#else

static bool nbdc_open(BlockNode *bn, KeyVal *options, GError **errp)
{
    error_setg(errp, "nbd is not supported: this program was built without "
                     "libnbd");
    return false;
}

const BlockDriver block_nbd = {
    .name = "nbd",
    .prefix = "nbd:",
    .open = nbdc_open,
};

#endif
