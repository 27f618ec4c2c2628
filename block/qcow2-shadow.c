/*
 * Changing snapshots in one step: all tables as they will be are written beside
 * those that are, and one write of 48 bytes inside the header's first sector
 * (size, L1, refcount table, snapshot table) changes over. Before it the image
 * is what it was, after it is what it shall be, to the bit: no leak, and no
 * COPIED flag that disagrees with a refcount. Whatever goes wrong before it
 * (refcounts too narrow, no space, an I/O error) is undone by forgetting.
 *
 * Between begin and commit the refcount blocks in the cache are copies, and the
 * table in memory leads to them; the disk knows neither. Clusters are allocated
 * as always, but only such as were free before too. L2 tables are not changed
 * in place, the L1 table in memory may be. The gate is closed, nothing is
 * dirty, and s->l1, s->h and bn->size are put back by abort.
 */
#include "util/osdep.h"
#include "block/qcow2.h"

struct Qcow2Shadow {
    Qcow2Header h; /* what is on disk, here and below */
    uint64_t size;
    uint64_t *l1;
    uint64_t *reftable;
    uint32_t reftable_len;
    uint64_t free_hint, byte_off, snapshots_len;
    GArray *freed; /* of Qcow2Range */
};

int qcow2_shadow_was_free(BlockNode *bn, uint64_t cluster, bool *is_free)
{
    Qcow2State *s = bn->s;
    uint64_t count;
    int ret = qcow2_refcount_in(bn, s->shadow->reftable,
                                s->shadow->reftable_len, cluster, &count);

    *is_free = count == 0;
    return ret;
}

void qcow2_shadow_freed(Qcow2State *s, uint64_t cluster)
{
    GArray *a = s->shadow->freed;
    Qcow2Range r = { cluster << s->cluster_bits, s->cluster_size };

    if (a->len) {
        Qcow2Range *last = &g_array_index(a, Qcow2Range, a->len - 1);

        if (last->off + last->len == r.off) {
            last->len += r.len;
            return;
        }
    }
    g_array_append_val(a, r);
}

int qcow2_shadow_grow_reftable(BlockNode *bn, uint64_t need)
{
    Qcow2State *s = bn->s;
    uint64_t per = s->cluster_size / 8;
    uint64_t len = (need + 1 + per - 1) / per * per;
    uint64_t *table;

    if (len * 8 > QCOW2_MAX_REFTABLE_BYTES) {
        return -EFBIG;
    }
    table = g_try_new0(uint64_t, len);
    if (!table) {
        return -ENOMEM;
    }
    memcpy(table, s->reftable, (size_t)s->reftable_len * 8);
    g_free(s->reftable);
    s->reftable = table;
    s->reftable_len = (uint32_t)len;
    return 0;
}

/* Copies of all refcount blocks in a row from @to on. They are not counted yet:
 * until all are in place none may change. */
static int copy_refblocks(BlockNode *bn, uint64_t to)
{
    Qcow2State *s = bn->s;
    g_autofree uint8_t *buf = g_try_malloc(s->cluster_size);
    int ret = buf ? 0 : -ENOMEM;

    for (uint32_t i = 0; i < s->reftable_len && ret == 0; i++) {
        uint64_t off = s->reftable[i] & REFT_OFFSET;

        if (!off) {
            continue;
        }
        ret = block_pread(bn->file, off, buf, s->cluster_size);
        if (ret == 0) {
            ret = block_pwrite(bn->file, to, buf, s->cluster_size);
        }
        s->reftable[i] = to;
        to += s->cluster_size;
    }
    return ret;
}

int qcow2_shadow_begin(BlockNode *bn)
{
    Qcow2State *s = bn->s;
    Qcow2Shadow *sh;
    uint64_t n = 0, first = 0;
    int ret = s->broken ? -EIO : qcow2_flush_locked(bn);

    if (ret == 0 && s->lazy) {
        ret = qcow2_write_refcounts(bn);
    }
    for (uint32_t i = 0; i < s->reftable_len; i++) {
        n += !!(s->reftable[i] & REFT_OFFSET);
    }
    if (ret == 0) {
        ret = qcow2_find_free(bn, n, &first);
    }
    if (ret < 0) {
        return ret;
    }
    sh = g_new0(Qcow2Shadow, 1);
    sh->h = s->h;
    sh->size = bn->size;
    sh->l1 = g_memdup2(s->l1, (size_t)s->h.l1_size * 8);
    sh->reftable = g_memdup2(s->reftable, (size_t)s->reftable_len * 8);
    sh->reftable_len = s->reftable_len;
    sh->free_hint = s->free_hint;
    sh->byte_off = s->byte_off;
    sh->snapshots_len = s->snapshots_len;
    sh->freed = g_array_new(false, false, sizeof(Qcow2Range));
    s->shadow = sh;
    qcow2_overlap_forget(s);
    ret = copy_refblocks(bn, first << s->cluster_bits);
    qcow2_cache_empty(s->ref_cache);
    s->free_hint = first + n;
    if (ret == 0) {
        ret = qcow2_refcount_add(bn, first << s->cluster_bits,
                                 n << s->cluster_bits, 1);
    }
    if (ret < 0) {
        qcow2_shadow_abort(bn);
    }
    return ret;
}

static void shadow_free(Qcow2State *s)
{
    Qcow2Shadow *sh = g_steal_pointer(&s->shadow);

    qcow2_overlap_forget(s);
    g_free(sh->l1);
    g_free(sh->reftable);
    g_array_unref(sh->freed);
    g_free(sh);
}

void qcow2_shadow_abort(BlockNode *bn)
{
    Qcow2State *s = bn->s;
    Qcow2Shadow *sh = s->shadow;

    qcow2_cache_empty(s->ref_cache);
    qcow2_cache_empty(s->l2_cache);
    g_free(s->l1);
    s->l1 = g_steal_pointer(&sh->l1);
    g_free(s->reftable);
    s->reftable = g_steal_pointer(&sh->reftable);
    s->reftable_len = sh->reftable_len;
    s->reftable_dirty = s->l1_dirty = false;
    s->h = sh->h;
    bn->size = sh->size;
    s->free_hint = sh->free_hint;
    s->byte_off = sh->byte_off;
    s->snapshots_len = sh->snapshots_len;
    shadow_free(s);
}

int qcow2_write_table(BlockNode *bn, const uint64_t *table, uint64_t n,
                      uint64_t off)
{
    g_autofree uint8_t *be = g_try_malloc(n * 8 + 1);

    if (!be) {
        return -ENOMEM;
    }
    for (uint64_t i = 0; i < n; i++) {
        st_be64(be + i * 8, table[i]);
    }
    ((Qcow2State *)bn->s)->unsynced = true;
    return n ? block_pwrite(bn->file, off, be, n * 8) : 0;
}

/* The L1 table gets a new place. */
static int place_l1(BlockNode *bn)
{
    Qcow2State *s = bn->s;
    const Qcow2Header *old = &s->shadow->h;
    uint64_t bytes = MAX((uint64_t)s->h.l1_size * 8, 1), off;
    int ret = qcow2_alloc(bn, to_clusters(s, bytes), false, &off);

    if (ret == 0) {
        ret = qcow2_write_table(bn, s->l1, s->h.l1_size, off);
    }
    if (ret == 0 && old->l1_offset) {
        ret = qcow2_refcount_add(bn, old->l1_offset,
                                 MAX((uint64_t)old->l1_size * 8, 1), -1);
    }
    s->h.l1_offset = off;
    return ret;
}

/* And the refcount table, last: to find room for it may change it. */
static int place_reftable(BlockNode *bn)
{
    Qcow2State *s = bn->s;
    const Qcow2Shadow *sh = s->shadow;
    uint64_t bytes, off;
    int ret = qcow2_refcount_add(
        bn, sh->h.reftable_offset,
        (uint64_t)sh->h.reftable_clusters << s->cluster_bits, -1);

    for (uint32_t i = 0; i < sh->reftable_len && ret == 0; i++) {
        if (sh->reftable[i] & REFT_OFFSET) {
            ret = qcow2_refcount_add(bn, sh->reftable[i] & REFT_OFFSET,
                                     s->cluster_size, -1);
        }
    }
    while (ret == 0) {
        bytes = (uint64_t)s->reftable_len * 8;
        ret = qcow2_alloc(bn, to_clusters(s, bytes), false, &off);
        if (ret < 0 || bytes == (uint64_t)s->reftable_len * 8) {
            break;
        }
        ret = qcow2_refcount_add(bn, off, bytes, -1);
    }
    if (ret == 0) {
        ret = qcow2_write_table(bn, s->reftable, s->reftable_len, off);
    }
    if (ret == 0) {
        s->h.reftable_offset = off;
        s->h.reftable_clusters = (uint32_t)to_clusters(s, bytes);
    }
    return ret;
}

/* The one write that counts. */
static int write_switch(BlockNode *bn)
{
    enum { FROM = 24, LEN = 48 };
    Qcow2State *s = bn->s;
    uint8_t be[LEN];

    st_be64(be, s->h.size);
    st_be32(be + 8, s->h.crypt_method);
    st_be32(be + 12, s->h.l1_size);
    st_be64(be + 16, s->h.l1_offset);
    st_be64(be + 24, s->h.reftable_offset);
    st_be32(be + 32, s->h.reftable_clusters);
    st_be32(be + 36, s->h.nb_snapshots);
    st_be64(be + 40, s->h.snapshots_offset);
    return block_pwrite(bn->file, FROM, be, LEN);
}

int qcow2_shadow_commit(BlockNode *bn)
{
    Qcow2State *s = bn->s;
    Qcow2Shadow *sh = s->shadow;
    int ret = place_l1(bn);

    if (ret == 0) {
        ret = place_reftable(bn);
    }
    if (ret == 0) {
        ret = qcow2_cache_write(bn, s->ref_cache);
    }
    if (ret == 0) {
        ret = qcow2_fsync(bn);
    }
    if (ret < 0) {
        qcow2_shadow_abort(bn);
        return ret;
    }
    ret = write_switch(bn);
    if (ret == 0) {
        ret = qcow2_fsync(bn);
    }
    if (ret < 0) { /* which of the two the disk has nobody knows */
        s->broken = true;
        qcow2_shadow_abort(bn);
        return ret;
    }
    s->reftable_dirty = s->l1_dirty = false;
    s->free_hint = MIN(s->free_hint, sh->free_hint);
    for (guint i = 0; i < sh->freed->len; i++) {
        const Qcow2Range *r = &g_array_index(sh->freed, Qcow2Range, i);

        s->free_hint = MIN(s->free_hint, r->off >> s->cluster_bits);
        if (s->discard_freed) { /* only saves space: may fail */
            (void)block_discard(bn->file, r->off, r->len);
        }
    }
    shadow_free(s);
    return 0;
}
