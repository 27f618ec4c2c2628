/*
 * Copying whole images: what convert, commit, rebase, stream and backup have in
 * common. Chunks go through a group of threads; each reads, looks for zeroes
 * and writes. What the tables call zero or hole is not read at all.
 */
#include "util/osdep.h"
#include "block/copy.h"

#include "util/error.h"
#include "util/log.h"
#include "util/worker.h"

enum {
    CHUNK = 1 << 20,
    DEFAULT_WORKERS = 8, /* at most */
    TURNS = 16,
    PROGRESS_EVERY = 16 << 20,
    SECTOR = 512,
    BUFFER_ALIGN = 4096,
};

typedef struct Chunk {
    uint64_t off, len; /* in the source */
    uint64_t turn;     /* to write */
} Chunk;

/* A buffer for a chunk; threads leave them to one another, since fresh memory
 * costs as much as the copy. */
typedef struct Buffer {
    struct Buffer *next;
    size_t size;
    uint8_t *data;
} Buffer;

typedef struct Copy {
    const CopyOpts *o;
    const BlockJob *job;
    WorkGroup *group;
    GMutex lock; /* below */
    int ret;
    uint64_t bad_off;
    const char *bad_what;
    uint64_t done;
    gint stop; /* atomic: an error; what is queued is skipped */
    int64_t start;
    uint64_t moved;       /* bytes, for the rate */
    Buffer *spare;        /* under lock */
    bool in_turn;         /* see takes_turns() */
    uint64_t turns, turn; /* given out; whose it is */
    unsigned workers;
    GCond next_turn[TURNS]; /* of turn % TURNS: one wakes, not all */
} Copy;

/* ---- buffers ---------------------------------------------------------------------- */

/* Of at least @size bytes, or NULL. */
static Buffer *buffer_get(Copy *c, size_t size)
{
    Buffer *b;

    g_mutex_lock(&c->lock);
    b = c->spare;
    if (b) {
        c->spare = b->next;
    }
    g_mutex_unlock(&c->lock);
    if (!b) {
        b = g_new0(Buffer, 1);
    }
    if (b->size < size) {
        free(b->data);
        b->size = size;
        if (posix_memalign((void **)&b->data, BUFFER_ALIGN, size)) {
            g_free(b);
            return NULL;
        }
    }
    return b;
}

static void buffer_put(Copy *c, Buffer *b)
{
    g_mutex_lock(&c->lock);
    b->next = c->spare;
    c->spare = b;
    g_mutex_unlock(&c->lock);
}

static void buffers_free(Copy *c)
{
    while (c->spare) {
        Buffer *b = c->spare;

        c->spare = b->next;
        free(b->data);
        g_free(b);
    }
}

/* ---- order ------------------------------------------------------------------------- */

/*
 * Writes to the page cache of one file exclude each other in the kernel, where
 * those who wait burn time: ours sleep, and the others read meanwhile. In the
 * order of the chunks, so that the target is not fragmented. Packing is what
 * takes the time of compressed ones, so they go as they come.
 */
static bool takes_turns(const CopyOpts *o)
{
    const BlockNode *bn = o->dst;

    while (bn->file) {
        bn = bn->file;
    }
    return bn->drv->fd && !(bn->flags & BLOCK_DIRECT) && !o->compress &&
           !o->out_of_order;
}

static void turn_wait(Copy *c, const Chunk *k)
{
    if (c->in_turn) {
        g_mutex_lock(&c->lock);
        while (c->turn != k->turn) {
            g_cond_wait(&c->next_turn[k->turn % TURNS], &c->lock);
        }
        g_mutex_unlock(&c->lock);
    }
}

static void turn_over(Copy *c)
{
    if (c->in_turn) {
        g_mutex_lock(&c->lock);
        c->turn++;
        g_cond_broadcast(&c->next_turn[c->turn % TURNS]);
        g_mutex_unlock(&c->lock);
    }
}

/* ---- zeroes --------------------------------------------------------------------- */

bool buffer_is_zero(const void *buf, size_t len)
{
    const uint8_t *p = buf;

    if (!len) {
        return true;
    }
    /* The first byte is zero and each equals the one before. */
    if (p[0] || p[len - 1] || p[len / 2]) {
        return false;
    }
    return len < 2 || memcmp(p, p + 1, len - 1) == 0;
}

size_t block_zero_prefix(const void *buf, size_t len, size_t unit)
{
    const uint8_t *p = buf;
    size_t done = 0;

    while (done < len) {
        size_t part = MIN(unit, len - done);

        if (!buffer_is_zero(p + done, part)) {
            break;
        }
        done += part;
    }
    return done;
}

/* How far from @p the bytes are all zero, or all worth writing; a stretch of
 * zeroes shorter than @unit counts as data. */
static size_t same_kind(const uint8_t *p, size_t len, size_t unit, bool *zero)
{
    size_t n = MIN(unit, len);

    *zero = buffer_is_zero(p, n);
    while (n < len) {
        size_t part = MIN(unit, len - n);

        if (buffer_is_zero(p + n, part) != *zero) {
            break;
        }
        n += part;
    }
    return n;
}

/* ---- one chunk --------------------------------------------------------------------- */

static void copy_failed(Copy *c, int ret, uint64_t off, const char *what)
{
    g_mutex_lock(&c->lock);
    if (c->ret == 0) {
        c->ret = ret;
        c->bad_off = off;
        c->bad_what = what;
    }
    g_mutex_unlock(&c->lock);
    g_atomic_int_set(&c->stop, 1);
}

static int write_zero(Copy *c, uint64_t off, uint64_t len)
{
    const CopyOpts *o = c->o;

    return o->dst_is_zero ? 0
                          : block_zero(o->dst, o->dst_off + off, len,
                                       o->unmap ? ZERO_MAY_UNMAP : 0);
}

static int write_packed(Copy *c, uint64_t off, uint8_t *buf, size_t len)
{
    const CopyOpts *o = c->o;
    int ret = 0;

    for (size_t at = 0; at < len && ret == 0; at += o->cluster) {
        struct iovec iov = { buf + at, MIN(len - at, o->cluster) };

        if (o->min_sparse && buffer_is_zero(iov.iov_base, iov.iov_len)) {
            ret = write_zero(c, off + at, iov.iov_len);
        } else {
            ret = block_pwritev(o->dst, o->dst_off + off + at, &iov, 1,
                                WRITE_COMPRESSED);
        }
    }
    return ret;
}

static int write_sparse(Copy *c, uint64_t off, uint8_t *buf, size_t len)
{
    const CopyOpts *o = c->o;
    int ret = 0;

    if (o->compress) {
        return write_packed(c, off, buf, len);
    }
    if (!o->min_sparse) {
        return block_pwrite(o->dst, o->dst_off + off, buf, len);
    }
    for (size_t at = 0; at < len && ret == 0;) {
        bool zero;
        size_t n = same_kind(buf + at, len - at, o->min_sparse, &zero);

        ret = zero ? write_zero(c, off + at, n)
                   : block_pwrite(o->dst, o->dst_off + off + at, buf + at, n);
        at += n;
    }
    return ret;
}

/* Unreadable sectors become zeroes. */
static int read_salvaging(Copy *c, uint64_t off, uint8_t *buf, size_t len)
{
    int ret = block_pread(c->o->src, off, buf, len);

    if (ret == 0 || !c->o->salvage) {
        return ret;
    }
    for (size_t at = 0; at < len; at += SECTOR) {
        size_t n = MIN(SECTOR, len - at);

        if (block_pread(c->o->src, off + at, buf + at, n) < 0) {
            warn_report("error while reading offset %" PRIu64, off + at);
            memset(buf + at, 0, n);
        }
    }
    return 0;
}

/* Is what @o->compare has there the same already? For rebase. */
static bool same_below(Copy *c, uint64_t off, const uint8_t *buf, size_t len)
{
    BlockNode *other = c->o->compare;
    uint64_t have = off < other->size ? MIN(len, other->size - off) : 0;
    g_autofree uint8_t *b = g_try_malloc0(len);

    return b && (!have || block_pread(other, off, b, have) == 0) &&
           memcmp(b, buf, len) == 0;
}

static int write_differing(Copy *c, uint64_t off, uint8_t *buf, size_t len)
{
    const CopyOpts *o = c->o;
    size_t unit = MAX(o->cluster, 65536);
    int ret = 0;

    for (size_t at = 0; at < len && ret == 0; at += unit) {
        size_t n = MIN(unit, len - at);

        if (!same_below(c, off + at, buf + at, n)) {
            ret =
                o->compress && n == o->cluster
                    ? write_packed(c, off + at, buf + at, n)
                    : block_pwrite(o->dst, o->dst_off + off + at, buf + at, n);
        }
    }
    return ret;
}

static void copy_chunk(void *item, void *opaque)
{
    Copy *c = opaque;
    Chunk *k = item;
    Buffer *b = NULL;
    int ret = 0;

    if (!g_atomic_int_get(&c->stop)) {
        b = buffer_get(c, k->len);
        ret = b ? read_salvaging(c, k->off, b->data, k->len) : -ENOMEM;
        if (ret < 0) {
            copy_failed(c, ret, k->off, "reading");
        }
    }
    turn_wait(c, k);
    if (b && !g_atomic_int_get(&c->stop)) {
        ret = c->o->compare ? write_differing(c, k->off, b->data, k->len)
                            : write_sparse(c, k->off, b->data, k->len);
        if (ret < 0) {
            copy_failed(c, ret, k->off, "writing");
        }
    }
    turn_over(c);
    if (b) {
        buffer_put(c, b);
    }
    g_mutex_lock(&c->lock);
    c->done += k->len;
    g_mutex_unlock(&c->lock);
    g_free(k);
}

/* ---- the whole ------------------------------------------------------------------------ */

static bool copy_step(Copy *c, GError **errp)
{
    uint64_t done, total = c->o->total ? c->o->total : c->o->len;

    g_mutex_lock(&c->lock);
    done = c->done;
    g_mutex_unlock(&c->lock);
    return block_job_step(c->job, c->o->before + done, total, errp);
}

static void keep_rate(Copy *c, uint64_t len)
{
    int64_t due, now;

    if (!c->job || !c->job->rate_limit) {
        return;
    }
    c->moved += len;
    due = c->start +
          (int64_t)((double)c->moved / (double)c->job->rate_limit * 1e6);
    now = g_get_monotonic_time();
    if (due > now) {
        g_usleep((gulong)(due - now));
    }
}

static void skip(Copy *c, uint64_t len)
{
    g_mutex_lock(&c->lock);
    c->done += len;
    g_mutex_unlock(&c->lock);
}

/* What to do with the stretch at @off: how long it is; @data: copy it. */
static int plan(Copy *c, uint64_t off, uint64_t len, uint64_t *n, bool *data)
{
    const CopyOpts *o = c->o;
    BlockExtent e;
    BlockNode *owner;
    int ret = block_map_chain(o->src, o->base, off, len, &e, &owner, NULL);
    bool empty;

    if (ret < 0 && o->salvage) {
        *n = MIN(len, CHUNK);
        *data = true;
        return 0;
    }
    if (ret < 0) {
        return ret;
    }
    *n = e.len;
    if (o->only_holes) { /* stream, rebase: what is not in the top layer */
        *data = owner != o->src || e.kind == EXTENT_HOLE;
        if (*data && !o->compare && e.kind == EXTENT_HOLE) {
            *data = false; /* nobody has it: stays a hole */
        }
        return 0;
    }
    if (o->base && e.kind == EXTENT_HOLE) {
        *data = false; /* it is the base's */
        return 0;
    }
    empty = e.kind == EXTENT_ZERO || e.kind == EXTENT_HOLE;
    *data = !empty || !o->min_sparse;
    return *data ? 0 : write_zero(c, off, e.len);
}

static bool copy_all(Copy *c, GError **errp)
{
    const CopyOpts *o = c->o;
    uint64_t off = 0, unit = MAX(o->cluster, SECTOR);
    uint64_t chunk = MAX(CHUNK / unit, 1) * unit, shown = 0;

    while (off < o->len && !g_atomic_int_get(&c->stop)) {
        uint64_t n;
        bool data;
        int ret = plan(c, off, o->len - off, &n, &data);

        if (ret < 0) {
            copy_failed(c, ret, off, "mapping");
            break;
        }
        if (o->compress && !data && n < o->len - off) {
            n -= n % unit; /* what follows must begin with a cluster */
            data = n == 0;
            n = MAX(n, MIN(unit, o->len - off));
        }
        if (data) {
            Chunk *k = g_new(Chunk, 1);
            /* to the next border, so that compressed clusters are whole */
            uint64_t end = (off / chunk + 1) * chunk;

            if (o->compress && n < o->len - off) {
                n = MIN((off + n + unit - 1) / unit * unit, o->len) - off;
            }
            n = MIN(n, end - off);
            k->off = off;
            k->len = n;
            k->turn = c->turns++;
            keep_rate(c, n);
            work_group_push(c->group, k, 2 * c->workers);
        } else {
            skip(c, n);
        }
        off += n;
        if ((off - shown >= PROGRESS_EVERY || data) && !copy_step(c, errp)) {
            return false;
        }
        shown = off;
    }
    return true;
}

bool block_copy_range(const CopyOpts *o, const BlockJob *job, GError **errp)
{
    Copy c = { .o = o, .job = job, .start = g_get_monotonic_time() };
    bool ok;

    g_mutex_init(&c.lock);
    for (unsigned i = 0; i < TURNS; i++) {
        g_cond_init(&c.next_turn[i]);
    }
    c.in_turn = takes_turns(o);
    c.workers =
        o->workers ? o->workers : CLAMP(worker_cpus(), 2, DEFAULT_WORKERS);
    c.group = work_group_new(c.workers, copy_chunk, &c);
    ok = copy_all(&c, errp);
    if (!ok) {
        g_atomic_int_set(&c.stop, 1);
    }
    work_group_free(c.group);
    if (ok && c.ret < 0) {
        error_setg_errno(errp, -c.ret, "error while %s at byte %" PRIu64,
                         c.bad_what, c.bad_off);
        ok = false;
    }
    buffers_free(&c);
    for (unsigned i = 0; i < TURNS; i++) {
        g_cond_clear(&c.next_turn[i]);
    }
    g_mutex_clear(&c.lock);
    return ok && copy_step(&c, errp);
}
