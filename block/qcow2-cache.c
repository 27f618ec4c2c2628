/*
 * The table cache: pieces ("slices") of L2 tables or refcount blocks, written
 * back later.
 *
 * Order: a dirty refcount slice may be written at any time, because counts that
 * fall wait for qcow2_sync() before they get here. A dirty L2 slice may be
 * written by qcow2_sync() alone, after what it refers to. So eviction of a
 * dirty L2 slice means a sync of everything; it is rare, since clean slices are
 * preferred.
 */
#include "util/osdep.h"
#include "block/blkdebug.h"
#include "block/qcow2.h"

enum {
    MIN_ENTRIES = 32,
    NONE = -1,
    CLEAN_SEARCH = 64, /* old entries looked at for a clean one */
};

typedef struct Entry {
    uint64_t off;
    uint8_t *data;
    bool dirty;
    int newer, older; /* by last use */
    int chain;        /* next of the same hash */
} Entry;

struct Qcow2Cache {
    bool is_l2;
    unsigned slice;
    Entry *entries; /* grows up to max */
    int used, room, max;
    int newest, oldest, spare; /* spare: forgotten entries, by chain */
    int *hash;
    unsigned hash_mask;
    unsigned dirty;
};

static unsigned cache_hash(const Qcow2Cache *c, uint64_t off)
{
    uint64_t h = off / c->slice * UINT64_C(0x9e3779b97f4a7c15);

    return (unsigned)(h >> 32) & c->hash_mask;
}

Qcow2Cache *qcow2_cache_new(bool is_l2, unsigned slice, size_t bytes)
{
    Qcow2Cache *c = g_new0(Qcow2Cache, 1);
    unsigned buckets = 64;

    c->is_l2 = is_l2;
    c->slice = slice;
    c->max = (int)MAX(MIN(bytes / slice, INT_MAX / 2), MIN_ENTRIES);
    while (buckets < (unsigned)c->max && buckets < (1u << 20)) {
        buckets *= 2;
    }
    c->hash = g_new(int, buckets);
    c->hash_mask = buckets - 1;
    qcow2_cache_empty(c);
    return c;
}

void qcow2_cache_empty(Qcow2Cache *c)
{
    for (int i = 0; i < c->used; i++) {
        g_free(c->entries[i].data);
    }
    c->used = 0;
    c->dirty = 0;
    c->newest = c->oldest = c->spare = NONE;
    for (unsigned i = 0; i <= c->hash_mask; i++) {
        c->hash[i] = NONE;
    }
}

void qcow2_cache_free(Qcow2Cache *c)
{
    if (c) {
        qcow2_cache_empty(c);
        g_free(c->entries);
        g_free(c->hash);
        g_free(c);
    }
}

static void lru_unlink(Qcow2Cache *c, int i)
{
    Entry *e = &c->entries[i];

    if (e->newer != NONE) {
        c->entries[e->newer].older = e->older;
    } else {
        c->newest = e->older;
    }
    if (e->older != NONE) {
        c->entries[e->older].newer = e->newer;
    } else {
        c->oldest = e->newer;
    }
}

static void lru_push(Qcow2Cache *c, int i)
{
    Entry *e = &c->entries[i];

    e->newer = NONE;
    e->older = c->newest;
    if (c->newest != NONE) {
        c->entries[c->newest].newer = i;
    } else {
        c->oldest = i;
    }
    c->newest = i;
}

static int cache_find(const Qcow2Cache *c, uint64_t off)
{
    int i = c->hash[cache_hash(c, off)];

    while (i != NONE && c->entries[i].off != off) {
        i = c->entries[i].chain;
    }
    return i;
}

/* Out of the hash and the list; its memory stays. */
static void cache_forget(Qcow2Cache *c, int i)
{
    Entry *e = &c->entries[i];
    int *p = &c->hash[cache_hash(c, e->off)];

    while (*p != i) {
        p = &c->entries[*p].chain;
    }
    *p = e->chain;
    lru_unlink(c, i);
    c->dirty -= e->dirty;
    e->dirty = false;
    e->chain = c->spare;
    c->spare = i;
}

/* An entry that may be reused: forgotten, new, or the oldest clean one. */
static int cache_make_room(BlockNode *bn, Qcow2Cache *c, bool nowait)
{
    int i, ret, n = 0;

    if (c->spare != NONE) {
        return 0;
    }
    if (c->used < c->max) {
        if (c->used == c->room) {
            c->room = MIN(MAX(c->room * 2, MIN_ENTRIES), c->max);
            c->entries = g_renew(Entry, c->entries, c->room);
        }
        i = c->used;
        c->entries[i].data = g_try_malloc(c->slice);
        if (!c->entries[i].data) {
            return -ENOMEM;
        }
        c->entries[i].dirty = false;
        c->entries[i].chain = c->spare;
        c->spare = i;
        c->used++;
        return 0;
    }
    for (i = c->oldest; i != NONE && n < CLEAN_SEARCH; n++) {
        if (!c->entries[i].dirty) {
            cache_forget(c, i);
            return 0;
        }
        i = c->entries[i].newer;
    }
    if (nowait) {
        return -EAGAIN;
    }
    ret = c->is_l2 ? qcow2_sync(bn) : qcow2_cache_write(bn, c);
    if (ret < 0) {
        return ret;
    }
    /* A sync applies frees, so other slices may be dirty; the oldest is not. */
    if (c->spare == NONE) {
        cache_forget(c, c->oldest);
    }
    return 0;
}

int qcow2_cache_get(BlockNode *bn, Qcow2Cache *c, uint64_t off, bool nowait,
                    uint8_t **data)
{
    int i = cache_find(c, off), ret;
    Entry *e;

    if (i != NONE) {
        if (i != c->newest) {
            lru_unlink(c, i);
            lru_push(c, i);
        }
        *data = c->entries[i].data;
        return 0;
    }
    if (nowait) {
        return -EAGAIN;
    }
    ret = cache_make_room(bn, c, nowait);
    if (ret < 0) {
        return ret;
    }
    i = c->spare;
    e = &c->entries[i];
    block_event(bn->file, c->is_l2 ? BLKDBG_L2_LOAD : BLKDBG_REFBLOCK_LOAD);
    ret = block_pread(bn->file, off, e->data, c->slice);
    if (ret < 0) {
        return ret;
    }
    c->spare = e->chain;
    e->off = off;
    e->dirty = false;
    e->chain = c->hash[cache_hash(c, off)];
    c->hash[cache_hash(c, off)] = i;
    lru_push(c, i);
    *data = e->data;
    return 0;
}

void qcow2_cache_dirty(Qcow2Cache *c, const uint8_t *data)
{
    /* It was fetched a moment ago. */
    for (int i = c->newest; i != NONE; i = c->entries[i].older) {
        if (c->entries[i].data == data) {
            c->dirty += !c->entries[i].dirty;
            c->entries[i].dirty = true;
            return;
        }
    }
    g_assert_not_reached();
}

bool qcow2_cache_is_dirty(const Qcow2Cache *c)
{
    return c->dirty > 0;
}

static int by_offset(const void *a, const void *b, void *opaque)
{
    const Qcow2Cache *c = opaque;
    uint64_t x = c->entries[*(const int *)a].off;
    uint64_t y = c->entries[*(const int *)b].off;

    return x < y ? -1 : x > y;
}

/* Slices that are neighbours in the file go out in one request. */
int qcow2_cache_write(BlockNode *bn, Qcow2Cache *c)
{
    g_autofree int *list = NULL;
    struct iovec iov[64];
    unsigned n = 0;

    if (!c->dirty) {
        return 0;
    }
    list = g_new(int, c->dirty);
    for (int i = 0; i < c->used; i++) {
        if (c->entries[i].dirty) {
            list[n++] = i;
        }
    }
    g_qsort_with_data(list, (gint)n, sizeof(int), by_offset, c);
    for (unsigned i = 0; i < n;) {
        uint64_t off = c->entries[list[i]].off;
        unsigned k = 0;
        int ret;

        while (i + k < n && k < G_N_ELEMENTS(iov) &&
               c->entries[list[i + k]].off == off + (uint64_t)k * c->slice) {
            iov[k].iov_base = c->entries[list[i + k]].data;
            iov[k].iov_len = c->slice;
            k++;
        }
        ret = qcow2_check_write(bn, off, (uint64_t)k * c->slice,
                                c->is_l2 ? OVERLAP_L2 : OVERLAP_REFBLOCK);
        if (ret == 0) {
            block_event(bn->file,
                        c->is_l2 ? BLKDBG_L2_UPDATE : BLKDBG_REFBLOCK_UPDATE);
            ret = block_pwritev(bn->file, off, iov, (int)k, 0);
        }
        if (ret < 0) {
            return ret;
        }
        for (; k; k--, i++) {
            c->entries[list[i]].dirty = false;
            c->dirty--;
        }
    }
    ((Qcow2State *)bn->s)->unsynced = true;
    return 0;
}

void qcow2_cache_drop(Qcow2Cache *c, uint64_t off, uint64_t len)
{
    for (uint64_t at = 0; at < len; at += c->slice) {
        int i = cache_find(c, off + at);

        if (i != NONE) {
            cache_forget(c, i);
        }
    }
}
