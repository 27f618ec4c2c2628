/*
 * The guest's writes to qcow2: where they go, decided before the data moves, and
 * the links made after. See the invariants in qcow2-alloc.c.
 *
 * A write in flight owns its clusters in s->allocs from write_begin to
 * write_end; another write to the same clusters waits, or joins it. Nobody sees
 * them until they are linked.
 */
#include "util/osdep.h"
#include "block/qcow2.h"

enum {
    PENDING_MAX = 16384,        /* ranges; then somebody syncs */
    RUN_MAX_CLUSTERS = 1 << 12, /* of one write */
    RESERVE = 1 << 20,          /* bytes behind a new cluster */
};

/* Cuts [off, off + *len) before the first cluster that a write in flight
 * holds; 0: it begins in one. */
static void cut_at_conflict(const Qcow2State *s, uint64_t off, uint64_t *len)
{
    for (const GList *l = s->allocs.head; l; l = l->next) {
        const Qcow2Write *a = l->data;

        if (a->linked || a->end <= start_of_cluster(s, off) ||
            a->start >= off + *len) {
            continue;
        }
        *len = a->start > off ? a->start - off : 0;
        if (!*len) {
            return;
        }
    }
}

static Qcow2Write *alloc_of(const Qcow2State *s, uint64_t off)
{
    for (GList *l = s->allocs.head; l; l = l->next) {
        Qcow2Write *a = l->data;

        if (off >= a->start && off < a->end) {
            return a;
        }
    }
    return NULL;
}

/*
 * Small writes one after the other meet in a cluster that is on its way. Where
 * it reads as zeroes until written they need not wait: all write their part and
 * the first that is done links it. Of a run of clusters that would link some
 * which are behind the end of the file still.
 */
static bool write_join(BlockNode *bn, uint64_t off, uint64_t len, Qcow2Write *w)
{
    Qcow2State *s = bn->s;
    Qcow2Write *a = alloc_of(s, off);

    if (!a || !a->fresh || a->linked || a->keep || s->ext_l2 ||
        a->end - a->start != s->cluster_size || len > a->end - off) {
        return false;
    }
    memset(w, 0, sizeof(*w));
    w->off = w->cow_from = off;
    w->len = len;
    w->cow_to = off + len;
    w->host = a->host - (a->off - a->start) + (off - a->start);
    w->joins = a->joined = true;
    qcow2_bitmaps_mark(s, off, len);
    return true;
}

static bool needs_new(const Qcow2State *s, uint64_t entry)
{
    if (entry & OFLAG_COMPRESSED) {
        return true;
    }
    return !(entry & OFLAG_COPIED) ||
           (!(entry & ENTRY_OFFSET) && !s->data_file);
}

/* Does the cluster at @entry keep anything outside the written subclusters
 * that would go with its old place? */
static bool copies_all(uint64_t entry)
{
    return (entry & OFLAG_COMPRESSED) || (entry & ENTRY_OFFSET);
}

/* What is to be filled around the data: to the borders of subclusters, or of
 * clusters where the old one is given up. */
static void find_cow(const Qcow2State *s, Qcow2Write *w, uint64_t first_entry,
                     uint64_t last_entry)
{
    uint64_t sc = (UINT64_C(1) << s->sc_bits) - 1;
    uint64_t c = s->cluster_size - 1;
    uint64_t a = !w->keep && copies_all(first_entry) ? c : sc;
    uint64_t b = !w->keep && copies_all(last_entry) ? c : sc;

    w->cow_from = w->off & ~a;
    w->cow_to = (w->off + w->len + b) & ~b;
    if (s->data_file) { /* it is no longer than the disk */
        w->cow_to = MIN(w->cow_to, MAX(s->h.size, w->off + w->len));
    }
}

/* Does [from, to) read as zeroes without looking anywhere? */
static bool cow_is_zero(BlockNode *bn, uint64_t from, uint64_t to)
{
    while (from < to && from < bn->size) {
        Qcow2Map m;

        if (qcow2_map(bn, from, MIN(to, bn->size) - from, true, &m) < 0) {
            return false;
        }
        switch (m.kind) {
        case CLUSTER_ZERO:
        case CLUSTER_ZERO_ALLOCATED:
            break;
        case CLUSTER_UNALLOCATED:
        case CLUSTER_UNALLOCATED_SC:
            if (bn->backing && from < bn->backing->size) {
                return false;
            }
            break;
        default:
            return false;
        }
        from += m.len;
    }
    return true;
}

/*
 * Clusters [host, end) at the end of the file are new. With O_DIRECT every write
 * there would be one that makes the file longer, and the host does these one at
 * a time: room is made for more than one. Nothing lies behind @host yet.
 */
static void reserve(BlockNode *bn, uint64_t host, uint64_t end)
{
    Qcow2State *s = bn->s;
    uint64_t from = MAX(host, s->reserved);

    if ((bn->file->flags & BLOCK_DIRECT) && bn->file->growable &&
        end > s->reserved &&
        block_zero(bn->file, from, end + RESERVE - from, ZERO_NO_FALLBACK) ==
            0) {
        s->reserved = end + RESERVE;
    }
}

/* New clusters for @w, from the one of w->off on, as many as are in a row
 * within the slice. */
static int begin_new(BlockNode *bn, Qcow2Write *w, const uint8_t *slice,
                     unsigned idx, bool nowait)
{
    Qcow2State *s = bn->s;
    uint64_t start = start_of_cluster(s, w->off), host, n = 0;
    uint64_t want = to_clusters(s, w->off + w->len - start), eof = s->eof;
    uint64_t first = l2_entry(s, slice, idx), last = first;
    unsigned per = qcow2_slice_entries(s);
    int ret;

    want = MIN(want, RUN_MAX_CLUSTERS);
    while (n < want && idx + n < per &&
           needs_new(s, l2_entry(s, slice, idx + (unsigned)n))) {
        last = l2_entry(s, slice, idx + (unsigned)n++);
    }
    if (start + (n << s->cluster_bits) < w->off + w->len) {
        if (nowait) {
            return -EAGAIN;
        }
        w->len = start + (n << s->cluster_bits) - w->off;
    }
    w->start = start;
    w->end = start + (n << s->cluster_bits);
    find_cow(s, w, first, last);
    w->fresh = cow_is_zero(bn, w->cow_from, w->off) &&
               cow_is_zero(bn, w->off + w->len, w->cow_to);
    w->fresh &= !s->crypto; /* zeroes must be enciphered to be zeroes */
    if (nowait && !w->fresh) {
        return -EAGAIN;
    }
    if (s->data_file) {
        host = start;
        w->fresh = false;
    } else {
        ret = qcow2_alloc(bn, n, nowait, &host);
        if (ret < 0) {
            return ret;
        }
        w->fresh &= host >= eof;
        if (host >= eof) {
            reserve(bn, host, host + (n << s->cluster_bits));
        }
    }
    w->host = host + (w->off - start);
    if (nowait && !w->fresh &&
        (w->cow_from < w->off || w->cow_to > w->off + w->len)) {
        if (!s->data_file) {
            qcow2_free_now(bn, host, n << s->cluster_bits);
        }
        return -EAGAIN;
    }
    return 0;
}

/* A place that is there already: preallocated zeroes, or subclusters. */
static int begin_kept(BlockNode *bn, Qcow2Write *w, const Qcow2Map *m)
{
    Qcow2State *s = bn->s;
    int ret;

    w->keep = true;
    w->host = m->host;
    w->len = MIN(w->len, m->len);
    ret = s->data_file ? 0 : qcow2_check_write(bn, w->host, w->len, 0);
    if (ret < 0) {
        return ret;
    }
    w->start = start_of_cluster(s, w->off);
    w->end = start_of_cluster(s, w->off + w->len + s->cluster_size - 1);
    find_cow(s, w, 0, 0);
    return 0;
}

/* An overwrite of clusters that are this image's alone. */
static int begin_in_place(BlockNode *bn, Qcow2Write *w, const Qcow2Map *m)
{
    Qcow2State *s = bn->s;
    int ret = s->data_file ? 0 : qcow2_check_write(bn, m->host, m->len, 0);

    if (ret < 0) {
        return ret;
    }
    w->len = m->len;
    w->host = m->host;
    w->cow_from = s->crypto ? w->off & ~UINT64_C(511) : w->off;
    w->cow_to = w->off + w->len;
    if (s->crypto) { /* whole sectors */
        w->cow_to = (w->cow_to + 511) & ~UINT64_C(511);
    }
    return 0;
}

int qcow2_write_begin(BlockNode *bn, uint64_t off, uint64_t len, bool nowait,
                      Qcow2Write *w)
{
    Qcow2State *s = bn->s;
    uint64_t cut = len;
    uint8_t *slice;
    unsigned idx;
    Qcow2Map m;
    int ret;

    if (s->broken) {
        return -EIO;
    }
    if (s->h.crypt_method && !s->crypto) {
        return -EACCES; /* opened without the key */
    }
    cut_at_conflict(s, off, &cut);
    while (!cut) {
        if (write_join(bn, off, len, w)) {
            return 0;
        }
        if (nowait) {
            return -EBUSY;
        }
        g_cond_wait(&s->alloc_done, &s->lock);
        cut = len;
        cut_at_conflict(s, off, &cut);
    }
    if (nowait && (cut < len || s->crypto || s->pending->len > PENDING_MAX ||
                   ((s->h.compatible & COMPAT_LAZY_REFCOUNTS) && !s->lazy))) {
        return -EAGAIN;
    }
    memset(w, 0, sizeof(*w));
    w->off = off;
    w->len = cut;
    ret = qcow2_map(bn, off, cut, nowait, &m);
    if (ret < 0) {
        return ret;
    }
    qcow2_bitmaps_mark(s, off, cut);
    if (m.kind == CLUSTER_NORMAL && m.copied) {
        ret = begin_in_place(bn, w, &m);
        return ret == 0 && nowait && m.len < len ? -EAGAIN : ret;
    }
    if (!nowait) {
        ret = s->pending->len > PENDING_MAX ? qcow2_sync(bn) : 0;
        if (ret == 0) {
            ret = qcow2_mark_dirty(bn);
        }
        if (ret < 0) {
            return ret;
        }
    }
    ret = qcow2_l2_slice(bn, off, true, nowait, &slice, &idx);
    if (ret < 0) {
        return ret;
    }
    if (needs_new(s, l2_entry(s, slice, idx))) {
        ret = begin_new(bn, w, slice, idx, nowait);
    } else {
        ret = nowait ? -EAGAIN : begin_kept(bn, w, &m);
    }
    if (ret == 0) {
        g_queue_push_tail(&s->allocs, w);
    }
    return ret;
}

/* The bits of the subclusters of cluster @at that @w has filled. */
static uint64_t link_bitmap(const Qcow2State *s, const Qcow2Write *w,
                            uint64_t at, uint64_t bitmap)
{
    for (unsigned sc = 0; sc < s->nsub; sc++) {
        uint64_t a = at + ((uint64_t)sc << s->sc_bits);

        if (a >= w->cow_from && a < w->cow_to) {
            bitmap |= UINT64_C(1) << sc;
            bitmap &= ~(UINT64_C(1) << (32 + sc));
        }
    }
    return bitmap;
}

static int link_clusters(BlockNode *bn, const Qcow2Write *w)
{
    Qcow2State *s = bn->s;
    uint64_t host = w->host - (w->off - w->start);

    for (uint64_t at = w->start; at < w->end;
         at += s->cluster_size, host += s->cluster_size) {
        uint64_t old, bitmap;
        uint8_t *slice;
        unsigned idx;
        int ret = qcow2_l2_slice(bn, at, true, false, &slice, &idx);

        if (ret < 0) {
            return ret;
        }
        old = l2_entry(s, slice, idx);
        bitmap = l2_bitmap(s, slice, idx);
        l2_set(s, slice, idx, host | OFLAG_COPIED,
               link_bitmap(s, w, at, bitmap));
        qcow2_cache_dirty(s->l2_cache, slice);
        if (!w->keep) {
            qcow2_free_entry(bn, old);
        }
    }
    return 0;
}

int qcow2_write_end(BlockNode *bn, Qcow2Write *w, int ret)
{
    Qcow2State *s = bn->s;

    s->unsynced = true;
    if (w->joins) {
        Qcow2Write *a = alloc_of(s, w->off);

        if (a && ret == 0 && !a->linked) { /* else it is linked already */
            ret = link_clusters(bn, a);
            a->linked = ret == 0;
        }
        return ret;
    }
    if (w->start == w->end) {
        return ret;
    }
    if (w->linked) {
        /* nothing is left to do */
    } else if (ret == 0 || w->joined) {
        int linked = link_clusters(bn, w);

        ret = ret ? ret : linked;
    } else if (!w->keep && !s->data_file) {
        qcow2_free_now(bn, w->host - (w->off - w->start), w->end - w->start);
    }
    g_queue_remove(&s->allocs, w);
    g_cond_broadcast(&s->alloc_done);
    return ret;
}
