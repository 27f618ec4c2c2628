/*
 * See copy-on-read.h. A copy and a write of the guest must not meet in one
 * place, or old data would be put over new: each waits for the other, the write
 * as a watched one (BlockWatch). Two copies of one place wait, too.
 */
#include "util/osdep.h"
#include "block/copy-on-read.h"

#include "util/iov.h"

enum { COPY_MAX = 1 << 20 };

typedef struct Range {
    uint64_t off, len;
} Range;

struct CopyOnRead {
    BlockNode *bn;
    BlockWatch watch;
    GMutex lock;
    GCond cond;
    GArray *writes, *copies; /* of Range: under way */
};

/* ---- who is where ------------------------------------------------------------- */

static bool meets(const GArray *list, uint64_t off, uint64_t len)
{
    for (guint i = 0; i < list->len; i++) {
        const Range *r = &g_array_index(list, Range, i);

        if (off < r->off + r->len && r->off < off + len) {
            return true;
        }
    }
    return false;
}

static void leave(CopyOnRead *c, GArray *list, uint64_t off, uint64_t len)
{
    g_mutex_lock(&c->lock);
    for (guint i = 0; i < list->len; i++) {
        const Range *r = &g_array_index(list, Range, i);

        if (r->off == off && r->len == len) {
            g_array_remove_index_fast(list, i);
            break;
        }
    }
    g_cond_broadcast(&c->cond);
    g_mutex_unlock(&c->lock);
}

static void write_begins(void *opaque, uint64_t off, uint64_t len)
{
    CopyOnRead *c = opaque;
    Range r = { off, len };

    g_mutex_lock(&c->lock);
    while (meets(c->copies, off, len)) {
        g_cond_wait(&c->cond, &c->lock);
    }
    g_array_append_val(c->writes, r);
    g_mutex_unlock(&c->lock);
}

static void write_ends(void *opaque, uint64_t off, uint64_t len)
{
    CopyOnRead *c = opaque;

    leave(c, c->writes, off, len);
}

static void copy_begins(CopyOnRead *c, uint64_t off, uint64_t len)
{
    Range r = { off, len };

    g_mutex_lock(&c->lock);
    while (meets(c->writes, off, len) || meets(c->copies, off, len)) {
        g_cond_wait(&c->cond, &c->lock);
    }
    g_array_append_val(c->copies, r);
    g_mutex_unlock(&c->lock);
}

/* ---- copying -------------------------------------------------------------------- */

/* Is the stretch at @off, *@len bytes at most, data of a layer below? */
static bool is_below(CopyOnRead *c, uint64_t off, uint64_t *len)
{
    BlockNode *owner = NULL;
    BlockExtent e;

    if (block_map_chain(c->bn, NULL, off, *len, &e, &owner, NULL) < 0) {
        return false; /* the read says what is wrong */
    }
    *len = MIN(*len, e.len);
    return owner != c->bn &&
           (e.kind == EXTENT_DATA || e.kind == EXTENT_COMPRESSED);
}

static void copy(CopyOnRead *c, uint64_t off, uint64_t len)
{
    g_autofree uint8_t *buf = g_try_malloc(len);
    uint64_t n = len;

    if (!buf) {
        return;
    }
    copy_begins(c, off, len);
    /* Somebody may have been here first. */
    if (is_below(c, off, &n) && block_pread(c->bn, off, buf, n) == 0) {
        (void)block_pwrite_unwatched(c->bn, off, buf, n);
    }
    leave(c, c->copies, off, len);
}

int cor_preadv(CopyOnRead *c, uint64_t off, const struct iovec *iov, int n)
{
    uint64_t end = off + iov_size(iov, n);

    for (uint64_t at = off; c->bn->backing && at < end;) {
        uint64_t len = MIN(end - at, COPY_MAX);

        if (is_below(c, at, &len)) {
            copy(c, at, len);
        }
        at += MAX(len, 1);
    }
    return block_preadv(c->bn, off, iov, n);
}

/* ---- life ------------------------------------------------------------------------- */

CopyOnRead *cor_new(BlockNode *bn)
{
    CopyOnRead *c = g_new0(CopyOnRead, 1);

    c->bn = bn;
    g_mutex_init(&c->lock);
    g_cond_init(&c->cond);
    c->writes = g_array_new(FALSE, FALSE, sizeof(Range));
    c->copies = g_array_new(FALSE, FALSE, sizeof(Range));
    c->watch = (BlockWatch) { write_begins, write_ends, c, NULL };
    block_watch_add(bn, &c->watch);
    return c;
}

void cor_free(CopyOnRead *c)
{
    if (!c) {
        return;
    }
    block_watch_remove(c->bn, &c->watch);
    g_array_unref(c->writes);
    g_array_unref(c->copies);
    g_mutex_clear(&c->lock);
    g_cond_clear(&c->cond);
    g_free(c);
}
