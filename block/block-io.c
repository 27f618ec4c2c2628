/*
 * Data requests of a node: checked here once, so that a driver sees only what
 * lies inside the image; and the gate.
 */
#include "util/osdep.h"
#include "block/block.h"

#include "util/error.h"
#include "util/iov.h"
#include "util/log.h"
#include "util/trace.h"

enum { ZERO_BUF = 1 << 20 };

/* ---- the gate ------------------------------------------------------------------ */

bool block_gate_enter(BlockGate *g, bool wait)
{
    bool in = true;

    g_mutex_lock(&g->lock);
    while (g->exclusive || g->waiting) {
        if (!wait) {
            in = false;
            break;
        }
        g_cond_wait(&g->cond, &g->lock);
    }
    g->shared += in;
    g_mutex_unlock(&g->lock);
    return in;
}

void block_gate_leave(BlockGate *g)
{
    g_mutex_lock(&g->lock);
    if (--g->shared == 0 && g->waiting) {
        g_cond_broadcast(&g->cond);
    }
    g_mutex_unlock(&g->lock);
}

void block_gate_close(BlockGate *g)
{
    g_mutex_lock(&g->lock);
    g->waiting++;
    while (g->exclusive || g->shared) {
        g_cond_wait(&g->cond, &g->lock);
    }
    g->waiting--;
    g->exclusive = true;
    g_mutex_unlock(&g->lock);
}

void block_gate_open(BlockGate *g)
{
    g_mutex_lock(&g->lock);
    g->exclusive = false;
    g_cond_broadcast(&g->cond);
    g_mutex_unlock(&g->lock);
}

void block_grew(BlockNode *bn, uint64_t end)
{
    uint64_t old = __atomic_load_n(&bn->size, __ATOMIC_RELAXED);

    while (bn->growable && end > old &&
           !__atomic_compare_exchange_n(&bn->size, &old, end, true,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

/* ---- watches --------------------------------------------------------------------- */

void block_watch_add(BlockNode *bn, BlockWatch *w)
{
    w->next = bn->watches;
    bn->watches = w;
}

void block_watch_remove(BlockNode *bn, BlockWatch *w)
{
    BlockWatch **p = &bn->watches;

    while (*p && *p != w) {
        p = &(*p)->next;
    }
    if (*p) {
        *p = w->next;
    }
}

bool block_watch_waits(const BlockNode *bn)
{
    for (const BlockWatch *w = bn->watches; w; w = w->next) {
        if (w->before) {
            return true;
        }
    }
    return false;
}

static void watch_before(BlockNode *bn, uint64_t off, uint64_t len)
{
    for (const BlockWatch *w = bn->watches; w; w = w->next) {
        if (w->before) {
            w->before(w->opaque, off, len);
        }
    }
}

void block_wrote(BlockNode *bn, uint64_t off, uint64_t len)
{
    for (const BlockWatch *w = bn->watches; w; w = w->next) {
        w->after(w->opaque, off, len);
    }
}

/* ---- data ------------------------------------------------------------------------ */

static bool outside(const BlockNode *bn, uint64_t off, uint64_t len)
{
    /* others may be making it larger: block_grew() */
    uint64_t size = __atomic_load_n(&bn->size, __ATOMIC_RELAXED);

    if (bn->growable) {
        size = INT64_MAX;
    }
    return len > size || off > size - len;
}

int block_preadv(BlockNode *bn, uint64_t off, const struct iovec *iov, int n)
{
    size_t len = iov_size(iov, n);

    trace(blk_co_preadv, (void *)bn, off, n);
    if (outside(bn, off, len)) {
        return -EIO;
    }
    if (!len) {
        return 0;
    }
    return bn->drv->read ? bn->drv->read(bn, off, iov, n) : -ENOTSUP;
}

/* The format that the image would have after this write, when its own was
 * guessed: a guest must not choose what its disk is at the next start. */
static const char *becomes_format(BlockNode *bn, uint64_t off,
                                  const struct iovec *iov, int n)
{
    uint8_t head[512] = { 0 };
    size_t len;

    if (!bn->probed || off >= sizeof(head) ||
        strcmp(bn->drv->name, "raw") != 0) {
        return NULL;
    }
    if (off && block_pread(bn, 0, head, off) < 0) {
        return "another format";
    }
    len = iov_to_buf(iov, n, 0, head + off, sizeof(head) - off);
    for (unsigned i = 0; block_drivers[i]; i++) {
        const BlockDriver *drv = block_drivers[i];

        if (drv->is_format && drv != bn->drv && drv->probe &&
            drv->probe(head, off + len, NULL) > 1) {
            return drv->name;
        }
    }
    return NULL;
}

static int refuse_format(BlockNode *bn, const char *format)
{
    if (!__atomic_exchange_n(&bn->refused, true, __ATOMIC_RELAXED)) {
        warn_report("%s: a write that would make this raw image %s at the "
                    "next start was refused, since its format was guessed: "
                    "say format=raw",
                    bn->filename, format);
    }
    return -EPERM;
}

static int write_checks(BlockNode *bn, uint64_t off, uint64_t len)
{
    if (bn->read_only) {
        return -EPERM;
    }
    return outside(bn, off, len) ? -EIO : 0;
}

static int write_through(BlockNode *bn, int ret)
{
    if (ret == 0 && (bn->flags & BLOCK_WRITETHROUGH)) {
        ret = block_flush(bn);
    }
    return ret;
}

int block_pwritev(BlockNode *bn, uint64_t off, const struct iovec *iov, int n,
                  unsigned flags)
{
    size_t len = iov_size(iov, n);
    int ret = write_checks(bn, off, len);
    const char *format;

    trace(blk_co_pwritev, (void *)bn, off, n);
    if (ret < 0 || !len) {
        return ret;
    }
    format = becomes_format(bn, off, iov, n);
    if (format) {
        return refuse_format(bn, format);
    }
    watch_before(bn, off, len);
    ret = bn->drv->write ? bn->drv->write(bn, off, iov, n, flags) : -ENOTSUP;
    block_wrote(bn, off, len);
    return write_through(bn, ret);
}

int block_pwrite_unwatched(BlockNode *bn, uint64_t off, const void *buf,
                           size_t len)
{
    struct iovec iov = { (void *)buf, len };
    int ret = write_checks(bn, off, len);

    if (ret < 0) {
        return ret;
    }
    return bn->drv->write ? bn->drv->write(bn, off, &iov, 1, 0) : -ENOTSUP;
}

int block_pread(BlockNode *bn, uint64_t off, void *buf, size_t len)
{
    struct iovec iov = { buf, len };

    return block_preadv(bn, off, &iov, 1);
}

int block_pwrite(BlockNode *bn, uint64_t off, const void *buf, size_t len)
{
    struct iovec iov = { (void *)buf, len };

    return block_pwritev(bn, off, &iov, 1, 0);
}

static int write_zeroes(BlockNode *bn, uint64_t off, uint64_t len)
{
    size_t size = MIN(len, ZERO_BUF);
    g_autofree void *buf = g_try_malloc0(size);
    int ret = buf ? 0 : -ENOMEM;

    while (len && ret == 0) {
        struct iovec iov = { buf, MIN(len, size) };

        ret = bn->drv->write ? bn->drv->write(bn, off, &iov, 1, 0) : -ENOTSUP;
        off += iov.iov_len;
        len -= iov.iov_len;
    }
    return ret;
}

int block_zero(BlockNode *bn, uint64_t off, uint64_t len, unsigned flags)
{
    int ret = write_checks(bn, off, len);

    if (ret < 0 || !len) {
        return ret;
    }
    if (!(bn->flags & BLOCK_UNMAP)) {
        flags &= ~ZERO_MAY_UNMAP;
    }
    watch_before(bn, off, len);
    ret = bn->drv->zero ? bn->drv->zero(bn, off, len, flags) : -ENOTSUP;
    if (ret == -ENOTSUP && !(flags & ZERO_NO_FALLBACK)) {
        ret = write_zeroes(bn, off, len);
    }
    block_wrote(bn, off, len);
    return write_through(bn, ret);
}

int block_discard(BlockNode *bn, uint64_t off, uint64_t len)
{
    int ret = write_checks(bn, off, len);

    if (ret < 0 || !len || !(bn->flags & BLOCK_UNMAP) || !bn->drv->discard) {
        return ret;
    }
    watch_before(bn, off, len);
    ret = bn->drv->discard(bn, off, len);
    block_wrote(bn, off, len);
    return ret == -ENOTSUP ? 0 : write_through(bn, ret);
}

int block_flush(BlockNode *bn)
{
    if (bn->drv->flush) {
        return bn->drv->flush(bn);
    }
    return bn->file ? block_flush(bn->file) : 0;
}

/* ---- maps ------------------------------------------------------------------------- */

int block_map(BlockNode *bn, uint64_t off, uint64_t len, unsigned flags,
              BlockExtent *out)
{
    int ret = 0;

    memset(out, 0, sizeof(*out));
    if (!len || outside(bn, off, len)) {
        return -EINVAL;
    }
    out->kind = EXTENT_DATA;
    out->allocated = true;
    out->len = len;
    if (bn->drv->map) {
        ret = bn->drv->map(bn, off, len, flags, out);
    }
    return ret;
}

int block_map_chain(BlockNode *bn, BlockNode *base, uint64_t off, uint64_t len,
                    BlockExtent *out, BlockNode **owner, int *depth)
{
    int d = 0, ret;

    for (;; bn = bn->backing, d++) {
        if (owner) {
            *owner = bn;
        }
        if (depth) {
            *depth = d;
        }
        if (off >= bn->size) { /* a backing file that is shorter */
            memset(out, 0, sizeof(*out));
            out->kind = EXTENT_ZERO;
            out->len = len;
            return 0;
        }
        len = MIN(len, bn->size - off);
        ret = block_map(bn, off, len, 0, out);
        if (ret < 0) {
            return ret;
        }
        len = out->len;
        if (out->kind != EXTENT_HOLE || !bn->backing || bn->backing == base) {
            return 0;
        }
    }
}

int block_is_zero(BlockNode *bn, uint64_t off, uint64_t len, uint64_t *n)
{
    BlockExtent e;
    int ret = block_map_chain(bn, NULL, off, len, &e, NULL, NULL);

    if (ret < 0) {
        return ret;
    }
    *n = e.len;
    return e.kind == EXTENT_ZERO || e.kind == EXTENT_HOLE;
}

/* ---- progress ----------------------------------------------------------------------- */

bool block_job_step(const BlockJob *job, uint64_t done, uint64_t total,
                    GError **errp)
{
    if (!job) {
        return true;
    }
    if (job->cancel && __atomic_load_n(job->cancel, __ATOMIC_RELAXED)) {
        error_setg(errp, "cancelled");
        return false;
    }
    if (job->progress) {
        job->progress(job->opaque, done, total);
    }
    return true;
}
