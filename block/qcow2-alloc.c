/*
 * Clusters and refcounts of qcow2, and the order in which things reach the
 * disk.
 *
 * The invariants. At every moment, whatever subset of the writes since the last
 * fsync the disk has kept:
 *
 *  1. A cluster is referred to by a table on disk only if its refcount on disk
 *     is at least the number of references (unless the dirty bit says that
 *     refcounts are to be rebuilt: lazy refcounts).
 *  2. A table is linked on disk (L2 by L1, refcount block by refcount table,
 *     L1 and refcount table by the header) only after its content is on disk.
 *  3. A refcount falls, even in memory, only after the last link that it
 *     counted is gone on disk. So a freed cluster is not used again before.
 *  4. An L2 entry reaches the disk only after the data of its cluster: what a
 *     cluster held before it was copied must not be lost with it.
 *  5. COPIED is set in an active entry exactly where the refcount is one. What
 *     changes both, taking, deleting or applying a snapshot, is done beside the
 *     tables in use and shown in one step: qcow2-shadow.c.
 *  6. Nothing in the header changes its place before the new one is synced; the
 *     old one is freed after the header is.
 *  7. When a guest's flush returns, all data that was written before, the
 *     refcounts, the L2 and the L1 tables are on disk, in this order.
 *
 * How they are kept: refcounts that rise are changed in the cache at once and
 * may be written at any time (too high a count is a leak, no more). Links are
 * changed in the L2 cache and in s->l1, and are written by qcow2_sync() alone:
 *
 *     refcount blocks, data | refcount table | L2 | L1 | then pending frees
 *
 * with an fsync at each bar. Frees gather in s->pending; qcow2_sync() lowers
 * their refcounts when the tables without their links are on disk. There is
 * only this one direction, so no cache ever waits for the other.
 */
#include "util/osdep.h"
#include "block/blkdebug.h"
#include "block/qcow2.h"

/* ---- reading refcounts ---------------------------------------------------------- */

static uint64_t qcow2_refcount_at(const Qcow2State *s, const uint8_t *block,
                                  uint64_t idx)
{
    switch (s->h.refcount_order) {
    case 0:
        return block[idx / 8] >> (idx % 8) & 1;
    case 1:
        return block[idx / 4] >> (2 * (idx % 4)) & 3;
    case 2:
        return block[idx / 2] >> (4 * (idx % 2)) & 15;
    case 3:
        return block[idx];
    case 4:
        return ld_be16(block + idx * 2);
    case 5:
        return ld_be32(block + idx * 4);
    default:
        return ld_be64(block + idx * 8);
    }
}

void qcow2_refcount_put(const Qcow2State *s, uint8_t *block, uint64_t idx,
                        uint64_t value)
{
    unsigned bits = 1u << s->h.refcount_order, per, shift;
    uint8_t mask;

    switch (s->h.refcount_order) {
    case 0:
    case 1:
    case 2:
        per = 8 / bits;
        shift = bits * (unsigned)(idx % per);
        mask = (uint8_t)(((1u << bits) - 1) << shift);
        block[idx / per] =
            (uint8_t)((block[idx / per] & ~mask) | (value << shift));
        break;
    case 3:
        block[idx] = (uint8_t)value;
        break;
    case 4:
        st_be16(block + idx * 2, (uint16_t)value);
        break;
    case 5:
        st_be32(block + idx * 4, (uint32_t)value);
        break;
    default:
        st_be64(block + idx * 8, value);
        break;
    }
}

/* The slice with the count of @cluster, *idx in it; *slice NULL: no block. */
static int slice_in(BlockNode *bn, const uint64_t *reftable, uint32_t len,
                    uint64_t cluster, bool nowait, uint8_t **slice,
                    uint64_t *idx)
{
    Qcow2State *s = bn->s;
    uint64_t block = cluster >> s->refblock_bits, off, byte;
    uint64_t in = cluster & bits_mask(s->refblock_bits);
    uint64_t per = ((uint64_t)s->slice * 8) >> s->h.refcount_order;

    *slice = NULL;
    *idx = in % per;
    if (block >= len) {
        return 0;
    }
    off = reftable[block] & REFT_OFFSET;
    if (!off) {
        return 0;
    }
    if (off & (s->cluster_size - 1)) {
        return qcow2_corrupt(bn,
                             "Refblock offset %#" PRIx64
                             " unaligned (reftable index: %#" PRIx64 ")",
                             off, block);
    }
    byte = in / per * s->slice;
    return qcow2_cache_get(bn, s->ref_cache, off + byte, nowait, slice);
}

static int refcount_slice(BlockNode *bn, uint64_t cluster, bool nowait,
                          uint8_t **slice, uint64_t *idx)
{
    Qcow2State *s = bn->s;

    return slice_in(bn, s->reftable, s->reftable_len, cluster, nowait, slice,
                    idx);
}

int qcow2_refcount_in(BlockNode *bn, const uint64_t *reftable, uint32_t len,
                      uint64_t cluster, uint64_t *out)
{
    uint8_t *slice;
    uint64_t idx;
    int ret = slice_in(bn, reftable, len, cluster, false, &slice, &idx);

    *out = ret == 0 && slice ? qcow2_refcount_at(bn->s, slice, idx) : 0;
    return ret;
}

int qcow2_refcount(BlockNode *bn, uint64_t cluster, bool nowait, uint64_t *out)
{
    uint8_t *slice;
    uint64_t idx;
    int ret = refcount_slice(bn, cluster, nowait, &slice, &idx);

    *out = ret == 0 && slice ? qcow2_refcount_at(bn->s, slice, idx) : 0;
    return ret;
}

/* ---- refcount blocks and their table ---------------------------------------------- */

static void reftable_set(Qcow2State *s, uint64_t i, uint64_t off)
{
    s->reftable[i] = off;
    qcow2_overlap_add(s, OVERLAP_REFBLOCK, off);
    s->reft_dirty_first =
        s->reftable_dirty ? MIN(s->reft_dirty_first, (uint32_t)i) : (uint32_t)i;
    s->reft_dirty_end = s->reftable_dirty
                            ? MAX(s->reft_dirty_end, (uint32_t)i + 1)
                            : (uint32_t)i + 1;
    s->reftable_dirty = true;
}

static void used_up_to(Qcow2State *s, uint64_t end)
{
    if (end > s->eof) {
        s->eof = end;
    }
}

/* The first run of @n free clusters from the hint on. */
static int find_free(BlockNode *bn, uint64_t n, bool nowait, uint64_t *out)
{
    Qcow2State *s = bn->s;
    uint64_t first = MAX(s->free_hint, 1), i, count; /* 0 is the header */
    uint64_t limit = (UINT64_C(1) << 55) >> s->cluster_bits;
    bool was_free = true;
    int ret;

    for (i = first; i - first < n; i++) {
        if (i >= limit) {
            return -EFBIG;
        }
        if (i >> s->refblock_bits >= s->reftable_len) {
            break; /* nothing is used from here on */
        }
        ret = qcow2_refcount(bn, i, nowait, &count);
        if (ret == 0 && !count && s->shadow) {
            ret = qcow2_shadow_was_free(bn, i, &was_free);
        }
        if (ret < 0) {
            return ret;
        }
        if (count || !was_free) {
            first = i + 1;
        }
    }
    *out = first;
    return first + n > limit ? -EFBIG : 0;
}

int qcow2_find_free(BlockNode *bn, uint64_t n, uint64_t *out)
{
    return find_free(bn, n, false, out);
}

/* The bytes of a new area: @blocks refcount blocks, which count the area
 * alone, and then @table in @tclusters clusters. NULL: no memory. */
static uint8_t *reftable_area(const Qcow2State *s, const uint64_t *table,
                              uint64_t blocks, uint64_t tclusters)
{
    uint64_t n = blocks + tclusters;
    uint8_t *area = g_try_malloc0(n << s->cluster_bits);

    for (uint64_t i = 0; area && i < n; i++) {
        qcow2_refcount_put(s,
                           area + ((i >> s->refblock_bits) << s->cluster_bits),
                           i & bits_mask(s->refblock_bits), 1);
    }
    for (uint64_t i = 0; area && i < tclusters * s->cluster_size / 8; i++) {
        st_be64(area + (blocks << s->cluster_bits) + i * 8, table[i]);
    }
    return area;
}

/* A larger refcount table that has room for block @need, with the refcount
 * block for itself, in an area that no block covered before. */
static int grow_reftable(BlockNode *bn, uint64_t need)
{
    Qcow2State *s = bn->s;
    uint64_t old_len = s->reftable_len;
    uint64_t first = old_len << s->refblock_bits; /* cluster */
    uint64_t len = MAX(need + 2, old_len + old_len / 2 + 1);
    uint64_t per = s->cluster_size / 8;
    uint64_t tclusters = (len + per - 1) / per;
    uint64_t old_off = s->h.reftable_offset;
    uint32_t old_clusters = s->h.reftable_clusters;
    uint64_t start = first << s->cluster_bits;
    g_autofree uint8_t *area = NULL;
    uint64_t *table;
    uint64_t blocks = 1;
    int ret;

    len = tclusters * per;
    if (len * 8 > QCOW2_MAX_REFTABLE_BYTES) {
        return -EFBIG;
    }
    while (blocks + tclusters > blocks << s->refblock_bits) {
        blocks++;
    }
    table = g_try_new0(uint64_t, len);
    if (!table) {
        return -ENOMEM;
    }
    memcpy(table, s->reftable, old_len * 8);
    for (uint64_t i = 0; i < blocks; i++) {
        table[old_len + i] = start + (i << s->cluster_bits);
    }
    area = reftable_area(s, table, blocks, tclusters);
    /* Blocks that the old table does not name yet come with the new one. */
    ret = area ? qcow2_cache_write(bn, s->ref_cache) : -ENOMEM;
    if (ret == 0) {
        block_event(bn->file, BLKDBG_REFTABLE_GROW);
        ret = block_pwrite(bn->file, start, area,
                           (blocks + tclusters) << s->cluster_bits);
    }
    if (ret == 0) {
        ret = qcow2_fsync(bn);
    }
    if (ret < 0) {
        g_free(table);
        return ret;
    }
    used_up_to(s, start + ((blocks + tclusters) << s->cluster_bits));
    s->h.reftable_offset = start + (blocks << s->cluster_bits);
    s->h.reftable_clusters = (uint32_t)tclusters;
    ret = qcow2_write_header(bn);
    if (ret == 0) {
        ret = qcow2_fsync(bn);
    }
    if (ret < 0) { /* nobody knows which of them the disk has: write no more */
        s->h.reftable_offset = old_off;
        s->h.reftable_clusters = old_clusters;
        s->broken = true;
        g_free(table);
        return ret;
    }
    g_free(s->reftable);
    s->reftable = table;
    s->reftable_len = (uint32_t)len;
    s->reftable_dirty = false;
    qcow2_overlap_forget(s);
    qcow2_free_later(bn, old_off, (uint64_t)old_clusters << s->cluster_bits);
    return 0;
}

/* Makes refcount block @b, which is missing. The free clusters change. */
static int new_refblock(BlockNode *bn, uint64_t b)
{
    Qcow2State *s = bn->s;
    uint64_t p, holder;
    g_autofree uint8_t *zero = NULL;
    uint8_t *slice;
    uint64_t idx;
    int ret;

    if (b >= s->reftable_len) {
        return s->shadow ? qcow2_shadow_grow_reftable(bn, b)
                         : grow_reftable(bn, b);
    }
    ret = find_free(bn, 1, false, &p);
    if (ret < 0) {
        return ret;
    }
    holder = p >> s->refblock_bits;
    if (s->shadow && holder != b &&
        (holder >= s->reftable_len || !(s->reftable[holder] & REFT_OFFSET))) {
        /* Clusters of @b may be taken without being counted yet. */
        return new_refblock(bn, holder);
    }
    if (holder >= s->reftable_len || !(s->reftable[holder] & REFT_OFFSET)) {
        if (holder != b) {
            p = b << s->refblock_bits; /* all of its clusters are free */
        }
    }
    zero = g_try_malloc0(s->cluster_size);
    block_event(bn->file, BLKDBG_REFBLOCK_ALLOC);
    ret = zero ? block_pwrite(bn->file, p << s->cluster_bits, zero,
                              s->cluster_size)
               : -ENOMEM;
    if (ret < 0) {
        return ret;
    }
    s->unsynced = true;
    used_up_to(s, (p + 1) << s->cluster_bits);
    qcow2_cache_drop(s->ref_cache, p << s->cluster_bits, s->cluster_size);
    reftable_set(s, b, p << s->cluster_bits);
    ret = refcount_slice(bn, p, false, &slice, &idx);
    if (ret < 0 || !slice) {
        s->reftable[b] = 0;
        return ret < 0 ? ret : -EIO;
    }
    qcow2_refcount_put(s, slice, idx, 1);
    qcow2_cache_dirty(s->ref_cache, slice);
    return 0;
}

/* ---- changing refcounts -------------------------------------------------------------- */

static void cluster_is_free(Qcow2State *s, uint64_t cluster)
{
    uint64_t off = cluster << s->cluster_bits;

    if (s->shadow) {
        qcow2_shadow_freed(s, cluster);
    } else {
        s->free_hint = MIN(s->free_hint, cluster);
    }
    qcow2_cache_drop(s->l2_cache, off, s->cluster_size);
    qcow2_cache_drop(s->ref_cache, off, s->cluster_size);
    if (s->byte_off && start_of_cluster(s, s->byte_off) == off) {
        s->byte_off = 0;
    }
}

static int refcount_change(BlockNode *bn, uint64_t cluster, int delta,
                           uint64_t *now)
{
    Qcow2State *s = bn->s;
    uint8_t *slice;
    uint64_t idx, v;
    int ret = refcount_slice(bn, cluster, false, &slice, &idx);

    while (ret == 0 && !slice && delta > 0) {
        ret = new_refblock(bn, cluster >> s->refblock_bits);
        if (ret == 0) {
            ret = refcount_slice(bn, cluster, false, &slice, &idx);
        }
    }
    if (ret < 0) {
        return ret;
    }
    v = slice ? qcow2_refcount_at(s, slice, idx) : 0;
    if (!slice || (delta < 0 && v == 0)) {
        return qcow2_corrupt(
            bn, "Refcount of cluster %#" PRIx64 " would fall below zero",
            cluster << s->cluster_bits);
    }
    if (delta > 0 && v == s->refcount_max) {
        return -EINVAL;
    }
    v += (uint64_t)(int64_t)delta;
    qcow2_refcount_put(s, slice, idx, v);
    qcow2_cache_dirty(s->ref_cache, slice);
    *now = v;
    return 0;
}

int qcow2_refcount_set(BlockNode *bn, uint64_t cluster, uint64_t value)
{
    Qcow2State *s = bn->s;
    uint8_t *slice;
    uint64_t idx, now;
    int ret = value > s->refcount_max ? -EINVAL : 0;

    if (ret == 0 && value) { /* makes the block if there is none */
        ret = qcow2_refcount(bn, cluster, false, &now);
        if (ret == 0 && !now) {
            ret = refcount_change(bn, cluster, 1, &now);
        }
    }
    if (ret == 0) {
        ret = refcount_slice(bn, cluster, false, &slice, &idx);
    }
    if (ret == 0 && slice) {
        qcow2_refcount_put(s, slice, idx, value);
        qcow2_cache_dirty(s->ref_cache, slice);
        if (!value) {
            cluster_is_free(s, cluster);
        }
    }
    return ret;
}

int qcow2_refcount_add(BlockNode *bn, uint64_t off, uint64_t len, int delta)
{
    Qcow2State *s = bn->s;
    uint64_t first = off >> s->cluster_bits, last, now = 0;
    int ret;

    if (!len) {
        return 0;
    }
    last = (off + len - 1) >> s->cluster_bits;
    for (uint64_t c = first; c <= last; c++) {
        ret = refcount_change(bn, c, delta, &now);
        if (ret < 0) {
            while (c-- > first && refcount_change(bn, c, -delta, &now) == 0) {
            }
            return ret;
        }
        if (now == 0) {
            cluster_is_free(s, c);
        }
    }
    return 0;
}

int qcow2_alloc(BlockNode *bn, uint64_t n, bool nowait, uint64_t *off)
{
    Qcow2State *s = bn->s;
    uint64_t first, had, last;
    int ret;

    if (s->broken) {
        return -EIO;
    }
    block_event(bn->file, BLKDBG_CLUSTER_ALLOC);
    for (;;) {
        uint32_t len = s->reftable_len;
        bool missing = false;

        ret = find_free(bn, n, nowait, &first);
        if (ret < 0) {
            return ret;
        }
        last = first + n - 1;
        /* Blocks first: making one takes a cluster, perhaps one of these. */
        for (uint64_t b = first >> s->refblock_bits;
             b <= last >> s->refblock_bits && !missing; b++) {
            if (b >= len || !(s->reftable[b] & REFT_OFFSET)) {
                ret = nowait ? -EAGAIN : new_refblock(bn, b);
                if (ret < 0) {
                    return ret;
                }
                missing = true;
            }
        }
        if (!missing) {
            break;
        }
    }
    /* Refcounts that are too low make us find tables among free clusters. */
    if (qcow2_overlap(bn, first << s->cluster_bits, n << s->cluster_bits, 0)) {
        return qcow2_corrupt(bn,
                             "Preventing invalid allocation of clusters at "
                             "%#" PRIx64 ": a table is there",
                             first << s->cluster_bits);
    }
    had = s->free_hint;
    s->free_hint = last + 1;
    ret = qcow2_refcount_add(bn, first << s->cluster_bits, n << s->cluster_bits,
                             1);
    if (ret < 0) {
        s->free_hint = had;
        return ret;
    }
    *off = first << s->cluster_bits;
    used_up_to(s, *off + (n << s->cluster_bits));
    return 0;
}

int qcow2_alloc_bytes(BlockNode *bn, uint64_t n, uint64_t *off)
{
    Qcow2State *s = bn->s;
    uint64_t at = s->byte_off, rest, next, fresh;
    int ret;

    block_event(bn->file, BLKDBG_CLUSTER_ALLOC_BYTES);
    rest = at ? s->cluster_size - (at & (s->cluster_size - 1)) : 0;
    if (at && n <= rest) {
        uint64_t count;

        ret = qcow2_refcount(bn, at >> s->cluster_bits, false, &count);
        if (ret == 0 && count < s->refcount_max) {
            ret = qcow2_refcount_add(bn, at, n, 1);
            *off = at;
            next = at + n;
            goto done;
        }
        if (ret < 0) {
            return ret;
        }
        at = 0;
    }
    ret = qcow2_alloc(bn, 1, false, &fresh);
    if (ret < 0) {
        return ret;
    }
    next = fresh + n;
    *off = fresh;
    /* It may begin in the rest of the last one, if they are neighbours. */
    if (at && fresh == at + rest) {
        uint64_t count;

        ret = qcow2_refcount(bn, at >> s->cluster_bits, false, &count);
        if (ret == 0 && count < s->refcount_max) {
            ret = qcow2_refcount_add(bn, at, 1, 1);
            *off = at;
            next = at + n;
        }
    }
done:
    if (ret < 0) {
        return ret;
    }
    s->byte_off = next & (s->cluster_size - 1) ? next : 0;
    return 0;
}

/* ---- freeing ---------------------------------------------------------------------------- */

void qcow2_free_later(BlockNode *bn, uint64_t off, uint64_t len)
{
    Qcow2State *s = bn->s;
    Qcow2Range r = { off, len };

    if (s->pending->len) {
        Qcow2Range *p =
            &g_array_index(s->pending, Qcow2Range, s->pending->len - 1);

        if (p->off + p->len == off && !(off & (s->cluster_size - 1))) {
            p->len += len;
            return;
        }
    }
    g_array_append_val(s->pending, r);
}

void qcow2_free_entry(BlockNode *bn, uint64_t entry)
{
    Qcow2State *s = bn->s;
    uint64_t off, len;

    if (entry & OFLAG_COMPRESSED) {
        qcow2_compressed_range(s, entry, &off, &len);
        qcow2_free_later(bn, off, len);
    } else if ((entry & ENTRY_OFFSET) && !s->data_file) {
        qcow2_free_later(bn, entry & ENTRY_OFFSET, s->cluster_size);
    }
}

void qcow2_free_now(BlockNode *bn, uint64_t off, uint64_t len)
{
    /* A failure is a leak; the one that led here is what the caller says. */
    (void)qcow2_refcount_add(bn, off, len, -1);
}

bool qcow2_has_pending(const Qcow2State *s)
{
    return s->pending->len > 0;
}

/* Gives back to the host what is free now in [off, off + len). */
static void discard_freed(BlockNode *bn, uint64_t off, uint64_t len)
{
    Qcow2State *s = bn->s;
    uint64_t run = 0, end = off + len, count;

    for (uint64_t at = start_of_cluster(s, off); at < end;
         at += s->cluster_size) {
        bool is_free =
            qcow2_refcount(bn, at >> s->cluster_bits, false, &count) == 0 &&
            count == 0;

        if (is_free) {
            run += s->cluster_size;
        }
        if (run && (!is_free || at + s->cluster_size >= end)) {
            block_discard(bn->file, at + (is_free ? s->cluster_size : 0) - run,
                          run);
            run = 0;
        }
    }
}

static int apply_pending(BlockNode *bn)
{
    Qcow2State *s = bn->s;
    g_autoptr(GArray) list = s->pending;
    int ret = 0;

    s->pending = g_array_new(false, false, sizeof(Qcow2Range));
    for (guint i = 0; i < list->len; i++) {
        const Qcow2Range *r = &g_array_index(list, Qcow2Range, i);
        int one;

        block_event(bn->file, BLKDBG_CLUSTER_FREE);
        one = qcow2_refcount_add(bn, r->off, r->len, -1);

        if (one == 0 && s->discard_freed) {
            discard_freed(bn, r->off, r->len);
        }
        ret = ret ? ret : one;
    }
    return ret;
}

/* ---- the order of writing ------------------------------------------------------------------ */

int qcow2_fsync(BlockNode *bn)
{
    Qcow2State *s = bn->s;
    int ret = s->data_file ? block_flush(s->data_file) : 0;

    if (ret == 0) {
        ret = block_flush(bn->file);
    }
    if (ret == 0) {
        s->unsynced = false;
    }
    return ret;
}

static int fsync_if_needed(BlockNode *bn)
{
    return ((Qcow2State *)bn->s)->unsynced ? qcow2_fsync(bn) : 0;
}

/* Entries [first, end) of a table in host order to @off. */
static int write_entries(BlockNode *bn, unsigned kind, uint64_t off,
                         const uint64_t *table, uint32_t first, uint32_t end)
{
    Qcow2State *s = bn->s;
    g_autofree uint8_t *buf = g_try_malloc((size_t)(end - first) * 8);
    int ret;

    if (!buf) {
        return -ENOMEM;
    }
    for (uint32_t i = first; i < end; i++) {
        st_be64(buf + (size_t)(i - first) * 8, table[i]);
    }
    ret = qcow2_check_write(bn, off + (uint64_t)first * 8,
                            (uint64_t)(end - first) * 8, kind);
    if (ret < 0) {
        return ret;
    }
    block_event(bn->file,
                kind == OVERLAP_L1 ? BLKDBG_L1_UPDATE : BLKDBG_REFTABLE_UPDATE);
    ret = block_pwrite(bn->file, off + (uint64_t)first * 8, buf,
                       (size_t)(end - first) * 8);
    s->unsynced = true;
    return ret;
}

/* Refcount blocks, and then the table with the new ones. */
int qcow2_write_refcounts(BlockNode *bn)
{
    Qcow2State *s = bn->s;
    int ret = qcow2_cache_write(bn, s->ref_cache);

    if (ret < 0 || !s->reftable_dirty) {
        return ret;
    }
    ret = qcow2_fsync(bn);
    if (ret == 0) {
        ret =
            write_entries(bn, OVERLAP_REFTABLE, s->h.reftable_offset,
                          s->reftable, s->reft_dirty_first, s->reft_dirty_end);
    }
    if (ret == 0) {
        s->reftable_dirty = false;
    }
    return ret;
}

static int write_links(BlockNode *bn)
{
    Qcow2State *s = bn->s;
    int ret = qcow2_cache_write(bn, s->l2_cache);

    if (ret == 0 && s->l1_dirty) {
        ret = fsync_if_needed(bn);
        if (ret == 0) {
            ret = write_entries(bn, OVERLAP_L1, s->h.l1_offset, s->l1,
                                s->l1_dirty_first, s->l1_dirty_end);
        }
        if (ret == 0) {
            s->l1_dirty = false;
        }
    }
    return ret;
}

int qcow2_sync(BlockNode *bn)
{
    Qcow2State *s = bn->s;
    int ret = 0;

    if (bn->read_only || s->broken) {
        return 0;
    }
    if (!s->lazy) {
        ret = qcow2_write_refcounts(bn);
    }
    if (ret == 0 && (qcow2_cache_is_dirty(s->l2_cache) || s->l1_dirty)) {
        ret = fsync_if_needed(bn); /* invariants 1, 4 */
        if (ret == 0) {
            ret = write_links(bn);
        }
    }
    if (ret == 0) {
        ret = fsync_if_needed(bn);
    }
    if (ret == 0 && qcow2_has_pending(s)) {
        ret = apply_pending(bn); /* invariant 3 */
    }
    return ret;
}

int qcow2_mark_dirty(BlockNode *bn)
{
    Qcow2State *s = bn->s;
    int ret;

    if (!(s->h.compatible & COMPAT_LAZY_REFCOUNTS) || s->lazy ||
        s->h.version < 3) {
        return 0;
    }
    ret = qcow2_sync(bn);
    if (ret == 0) {
        ret = qcow2_set_incompatible(bn, INCOMPAT_DIRTY, 0);
    }
    s->lazy = ret == 0;
    return ret;
}
