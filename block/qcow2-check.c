/*
 * qcow2: counting all references and comparing them with the refcounts.
 *
 * A snapshot refers to the same tables as its neighbours, so an L2 table is
 * read once and counts as often as it is referred to; a hostile image cannot
 * make us walk it again and again. Memory is four bytes per cluster of the
 * file, nothing for what it merely claims.
 *
 * Findings are worded as QEMU's, one line each.
 */
#include "util/osdep.h"
#include "block/qcow2.h"

#include "util/error.h"

#include <stdarg.h>

typedef struct Check {
    BlockNode *bn;
    Qcow2State *s;
    CheckResult *res;
    unsigned fix;
    uint64_t n;      /* clusters of the file */
    uint32_t *refs;  /* of each, counted; saturates */
    GHashTable *l2s; /* table offset -> times referred to */
    bool rebuild;    /* the blocks themselves are wrong */
} Check;

static void G_GNUC_PRINTF(2, 3) say(Check *c, const char *fmt, ...)
{
    va_list ap;

    if (c->res->messages) {
        va_start(ap, fmt);
        g_string_append_vprintf(c->res->messages, fmt, ap);
        va_end(ap);
        g_string_append_c(c->res->messages, '\n');
    }
}

static bool beyond(const Check *c, uint64_t off, uint64_t len)
{
    uint64_t end = c->n << c->s->cluster_bits;

    return len > end || off > end - len;
}

static void count_range(Check *c, uint64_t off, uint64_t len, uint64_t times)
{
    uint64_t last;

    if (!len) {
        return;
    }
    if (beyond(c, off, len)) {
        say(c,
            "ERROR: counting reference for region exceeding the end of the "
            "file by one cluster or more: offset 0x%" PRIx64 " size 0x%" PRIx64,
            off, len);
        c->res->corruptions++;
        return;
    }
    last = (off + len - 1) >> c->s->cluster_bits;
    for (uint64_t i = off >> c->s->cluster_bits; i <= last; i++) {
        c->refs[i] = (uint32_t)MIN(c->refs[i] + times, UINT32_MAX);
    }
}

static int count_cb(void *opaque, uint64_t off, uint64_t len)
{
    count_range(opaque, off, len, 1);
    return 0;
}

/* ---- references ------------------------------------------------------------------------ */

static void count_entry(Check *c, uint64_t e, uint64_t bitmap, uint64_t times)
{
    Qcow2State *s = c->s;
    uint64_t off, len;

    if (e & OFLAG_COMPRESSED) {
        if (e & OFLAG_COPIED) {
            say(c,
                "ERROR: coffset=0x%" PRIx64 ": copied flag must never be "
                "set for compressed clusters",
                e & s->coffset_mask);
            c->res->corruptions++;
        }
        if (s->data_file) {
            say(c,
                "ERROR compressed cluster %" PRIu64 " with data file, "
                "entry=0x%" PRIx64,
                UINT64_C(0), e);
            c->res->corruptions++;
            return;
        }
        qcow2_compressed_range(s, e, &off, &len);
        count_range(c, off, len, times);
        return;
    }
    for (unsigned sc = 0; sc < s->nsub; sc++) {
        if (qcow2_kind(s, e, bitmap, sc) == CLUSTER_INVALID) {
            say(c, "ERROR: invalid bitmap 0x%" PRIx64 " of L2 entry 0x%" PRIx64,
                bitmap, e);
            c->res->corruptions++;
            break;
        }
    }
    off = e & ENTRY_OFFSET;
    if (!off || s->data_file) {
        return;
    }
    if (off & (s->cluster_size - 1)) {
        say(c,
            "ERROR offset=%" PRIx64 ": Cluster is not properly aligned; L2 "
            "entry corrupted.",
            off);
        c->res->corruptions++;
        return;
    }
    count_range(c, off, s->cluster_size, times);
}

static void count_l2(gpointer key, gpointer value, gpointer opaque)
{
    Check *c = opaque;
    Qcow2State *s = c->s;
    uint64_t off = *(uint64_t *)key, times = *(uint64_t *)value;
    g_autofree uint8_t *buf = g_try_malloc(s->cluster_size);

    if (!buf || block_pread(c->bn->file, off, buf, s->cluster_size) < 0) {
        say(c, "ERROR: I/O error in check_refcounts_l2");
        c->res->check_errors++;
        return;
    }
    for (unsigned i = 0; i < 1u << s->l2_bits; i++) {
        uint64_t e = l2_entry(s, buf, i), b = l2_bitmap(s, buf, i);

        if (e || b) {
            count_entry(c, e, b, times);
        }
    }
}

static void count_l1(Check *c, const uint64_t *l1, uint32_t n)
{
    Qcow2State *s = c->s;

    for (uint32_t i = 0; i < n; i++) {
        uint64_t off = l1[i] & ENTRY_OFFSET, *times;

        if (!off) {
            continue;
        }
        if (off & (s->cluster_size - 1)) {
            say(c,
                "ERROR l2_offset=%" PRIx64 ": Table is not cluster aligned; "
                "L1 entry corrupted",
                off);
            c->res->corruptions++;
            continue;
        }
        count_range(c, off, s->cluster_size, 1);
        if (beyond(c, off, s->cluster_size)) {
            continue;
        }
        times = g_hash_table_lookup(c->l2s, &off);
        if (times) {
            ++*times;
        } else {
            uint64_t *key = g_new(uint64_t, 1);

            *key = off;
            times = g_new(uint64_t, 1);
            *times = 1;
            g_hash_table_insert(c->l2s, key, times);
        }
    }
}

static void count_snapshot(Check *c, const Qcow2Snapshot *sn)
{
    g_autofree uint64_t *l1 = NULL;
    uint64_t bytes = (uint64_t)sn->l1_size * 8;

    count_range(c, sn->l1_offset, bytes, 1);
    if (beyond(c, sn->l1_offset, bytes)) {
        return;
    }
    l1 = g_try_malloc(bytes + 8);
    if (!l1 || block_pread(c->bn->file, sn->l1_offset, l1, bytes) < 0) {
        say(c, "ERROR: I/O error in check_refcounts_l1");
        c->res->check_errors++;
        return;
    }
    for (uint32_t i = 0; i < sn->l1_size; i++) {
        l1[i] = ld_be64(&l1[i]);
    }
    count_l1(c, l1, sn->l1_size);
}

/* How the guest's clusters lie in the file. */
static void count_fragments(Check *c)
{
    Qcow2State *s = c->s;
    uint64_t next = 0, range = qcow2_l2_range(s);
    g_autofree uint8_t *buf = g_try_malloc(s->cluster_size);

    for (uint32_t i = 0; buf && i < s->h.l1_size; i++) {
        uint64_t off = s->l1[i] & ENTRY_OFFSET;

        if (i * range >= s->h.size + range || !off ||
            beyond(c, off, s->cluster_size) ||
            block_pread(c->bn->file, off, buf, s->cluster_size) < 0) {
            continue;
        }
        for (unsigned k = 0; k < 1u << s->l2_bits; k++) {
            uint64_t e = l2_entry(s, buf, k);

            if (e & OFLAG_COMPRESSED) {
                c->res->allocated_clusters++;
                c->res->compressed_clusters++;
                c->res->fragmented_clusters++;
            } else if ((e & ENTRY_OFFSET) ||
                       (s->data_file && (e & OFLAG_COPIED))) {
                uint64_t at = e & ENTRY_OFFSET;

                c->res->allocated_clusters++;
                if (next && at != next) {
                    c->res->fragmented_clusters++;
                }
                next = at + s->cluster_size;
            }
        }
    }
}

static void count_refblocks(Check *c)
{
    Qcow2State *s = c->s;

    count_range(c, s->h.reftable_offset,
                (uint64_t)s->h.reftable_clusters << s->cluster_bits, 1);
    for (uint32_t i = 0; i < s->reftable_len; i++) {
        uint64_t off = s->reftable[i] & REFT_OFFSET;

        if (!off) {
            continue;
        }
        if (off & (s->cluster_size - 1)) {
            say(c,
                "ERROR refcount block %u is not cluster aligned; refcount "
                "table entry corrupted",
                i);
            c->res->corruptions++;
            c->rebuild = true;
            continue;
        }
        if (beyond(c, off, s->cluster_size)) {
            say(c, "ERROR refcount block %u is outside image", i);
            c->res->corruptions++;
            c->rebuild = true;
            continue;
        }
        count_range(c, off, s->cluster_size, 1);
        if (c->refs[off >> s->cluster_bits] != 1) {
            say(c, "ERROR refcount block %u refcount=%u", i,
                c->refs[off >> s->cluster_bits]);
            c->res->corruptions++;
            c->rebuild = true;
        }
    }
}

static void count_all(Check *c)
{
    Qcow2State *s = c->s;

    count_range(c, 0, s->cluster_size, 1);
    count_range(c, s->h.l1_offset, (uint64_t)s->h.l1_size * 8, 1);
    if (!s->h.l1_size && s->h.l1_offset) {
        count_range(c, s->h.l1_offset, 1, 1);
    }
    count_l1(c, s->l1, s->h.l1_size);
    for (uint32_t i = 0; i < s->h.nb_snapshots; i++) {
        count_snapshot(c, &s->snapshots[i]);
    }
    g_hash_table_foreach(c->l2s, count_l2, c);
    count_range(c, s->h.snapshots_offset, s->snapshots_len, 1);
    if (s->h.crypt_method == CRYPT_LUKS) {
        count_range(c, s->crypto_hdr.off, s->crypto_hdr.len, 1);
    }
    if (qcow2_bitmaps_walk(c->bn, count_cb, c) < 0) {
        say(c, "ERROR: the bitmap directory cannot be read");
        c->res->corruptions++;
    }
    count_refblocks(c);
}

/* ---- comparing --------------------------------------------------------------------------- */

static void fix_count(Check *c, uint64_t cluster, bool leak)
{
    if (qcow2_refcount_set(c->bn, cluster, c->refs[cluster]) < 0) {
        c->res->check_errors++;
    } else if (leak) {
        c->res->leaks_fixed++;
    } else {
        c->res->corruptions_fixed++;
    }
}

/* Something in use with a refcount of 0 may be overwritten while refcounts are
 * repaired one by one: then they are all written anew elsewhere. */
static void find_uncounted(Check *c)
{
    uint64_t stored;

    for (uint64_t i = 0; i < c->n && !c->rebuild; i++) {
        c->rebuild = c->refs[i] &&
                     (qcow2_refcount(c->bn, i, false, &stored) < 0 || !stored);
    }
}

/* One look at all clusters; @fix: those of these kinds are repaired. */
static void compare_pass(Check *c, unsigned fix)
{
    for (uint64_t i = 0; i < c->n; i++) {
        uint64_t stored;
        bool leak, repair;

        if (qcow2_refcount(c->bn, i, false, &stored) < 0) {
            say(c, "Can't get refcount for cluster %" PRIu64, i);
            c->res->check_errors++;
            continue;
        }
        if (stored == c->refs[i]) {
            continue;
        }
        leak = stored > c->refs[i];
        repair = fix & (leak ? CHECK_FIX_LEAKS : CHECK_FIX_ERRORS);
        say(c, "%s cluster %" PRIu64 " refcount=%" PRIu64 " reference=%u",
            repair ? "Repairing"
            : leak ? "Leaked"
                   : "ERROR",
            i, stored, c->refs[i]);
        if (leak) {
            c->res->leaks++;
        } else {
            c->res->corruptions++;
        }
        if (repair) {
            fix_count(c, i, leak);
        }
    }
}

/* As QEMU: what is found is told first, then what is done about it. */
static void compare_counts(Check *c)
{
    CheckResult before = *c->res;
    bool found;

    compare_pass(c, 0);
    found = c->res->leaks != before.leaks ||
            c->res->corruptions != before.corruptions;
    if (c->fix && found) {
        *c->res = before;
        compare_pass(c, c->fix);
    }
}

/* An entry whose COPIED disagrees with the stored count. */
static bool copied_wrong(Check *c, uint64_t e, uint64_t *count)
{
    Qcow2State *s = c->s;
    uint64_t cluster = (e & ENTRY_OFFSET) >> s->cluster_bits;
    bool copied = e & OFLAG_COPIED;

    if (!(e & ENTRY_OFFSET) || (e & ENTRY_OFFSET & (s->cluster_size - 1)) ||
        cluster >= c->n || qcow2_refcount(c->bn, cluster, false, count) < 0) {
        return false;
    }
    return (*count == 1) != copied;
}

static void check_copied_l2(Check *c, uint64_t table)
{
    Qcow2State *s = c->s;
    g_autofree uint8_t *buf = g_try_malloc(s->cluster_size);

    if (!buf || block_pread(c->bn->file, table, buf, s->cluster_size) < 0) {
        c->res->check_errors++;
        return;
    }
    for (unsigned i = 0; i < 1u << s->l2_bits; i++) {
        uint64_t e = l2_entry(s, buf, i), count;

        if ((e & OFLAG_COMPRESSED) || s->data_file ||
            !copied_wrong(c, e, &count)) {
            continue;
        }
        say(c,
            "%s OFLAG_COPIED data cluster: l2_entry=%" PRIx64
            " refcount=%" PRIu64,
            c->fix & CHECK_FIX_ERRORS ? "Repairing" : "ERROR", e, count);
        c->res->corruptions++;
    }
}

static void check_copied(Check *c)
{
    Qcow2State *s = c->s;
    uint64_t before = c->res->corruptions, found;

    for (uint32_t i = 0; i < s->h.l1_size; i++) {
        uint64_t e = s->l1[i], count;

        if (!(e & ENTRY_OFFSET) || (e & ENTRY_OFFSET & (s->cluster_size - 1)) ||
            beyond(c, e & ENTRY_OFFSET, s->cluster_size)) {
            continue;
        }
        if (copied_wrong(c, e, &count)) {
            say(c,
                "%s OFLAG_COPIED L2 cluster: l1_index=%u l1_entry=%" PRIx64
                " refcount=%" PRIu64,
                c->fix & CHECK_FIX_ERRORS ? "Repairing" : "ERROR", i, e, count);
            c->res->corruptions++;
        }
        check_copied_l2(c, e & ENTRY_OFFSET);
    }
    found = c->res->corruptions - before;
    if (found && (c->fix & CHECK_FIX_ERRORS)) {
        if (qcow2_fix_copied(c->bn) == 0) {
            c->res->corruptions_fixed += found;
        } else {
            c->res->check_errors++;
        }
    }
}

/* ---- refcounts all anew -------------------------------------------------------------------- */

/* The counts of the clusters from @first on: those of @refs, then 1 for each of
 * the @area clusters behind them. */
static void fill_refblock(const Qcow2State *s, uint8_t *block, uint64_t first,
                          const uint32_t *refs, uint64_t n, uint64_t area)
{
    uint64_t per = (UINT64_C(8) << s->cluster_bits) >> s->h.refcount_order;

    memset(block, 0, s->cluster_size);
    for (uint64_t i = 0; i < per; i++) {
        uint64_t c = first + i, v = c < n ? refs[c] : c < n + area;

        if (v) {
            qcow2_refcount_put(s, block, i, v);
        }
    }
}

/*
 * Writes refcount blocks of width 1 << @order and their table behind the last
 * used cluster, and switches the header over. @refs are the counts without the
 * old blocks and table, which thereby become free.
 */
static int write_new_refcounts(BlockNode *bn, const uint32_t *refs, uint64_t n,
                               unsigned order)
{
    Qcow2State *s = bn->s;
    Qcow2Header old = s->h;
    unsigned rb_bits = s->cluster_bits + 3 - order;
    uint64_t per_table = s->cluster_size / 8, area, blocks = 1, tables = 1;
    g_autofree uint8_t *table = NULL, *block = NULL;
    int ret = 0;

    for (uint64_t i = 0; i < n; i++) {
        if (refs[i] > bits_mask(1u << order)) {
            return -ERANGE;
        }
    }
    for (area = 0; area != blocks + tables;) {
        area = blocks + tables;
        blocks = ((n + area) >> rb_bits) + 1;
        tables = (blocks + per_table - 1) / per_table;
    }
    if (tables << s->cluster_bits > QCOW2_MAX_REFTABLE_BYTES) {
        return -EFBIG;
    }
    table = g_try_malloc0(tables << s->cluster_bits);
    block = g_try_malloc(s->cluster_size);
    if (!table || !block) {
        return -ENOMEM;
    }
    s->h.refcount_order = order;
    for (uint64_t b = 0; b < blocks && ret == 0; b++) {
        fill_refblock(s, block, b << rb_bits, refs, n, area);
        st_be64(table + b * 8, (n + b) << s->cluster_bits);
        ret = block_pwrite(bn->file, (n + b) << s->cluster_bits, block,
                           s->cluster_size);
    }
    if (ret == 0) {
        ret = block_pwrite(bn->file, (n + blocks) << s->cluster_bits, table,
                           tables << s->cluster_bits);
    }
    if (ret == 0) {
        ret = qcow2_fsync(bn);
    }
    if (ret == 0) {
        s->h.reftable_offset = (n + blocks) << s->cluster_bits;
        s->h.reftable_clusters = (uint32_t)tables;
        ret = qcow2_write_header(bn);
    }
    if (ret == 0) {
        ret = qcow2_fsync(bn);
    }
    if (ret < 0) {
        s->h = old;
        return ret;
    }
    qcow2_set_geometry(s);
    qcow2_cache_empty(s->ref_cache);
    g_free(s->reftable);
    s->reftable_len = (uint32_t)(tables * per_table);
    s->reftable = g_new0(uint64_t, s->reftable_len);
    qcow2_overlap_forget(s);
    for (uint32_t i = 0; i < s->reftable_len; i++) {
        s->reftable[i] = ld_be64(table + (size_t)i * 8);
    }
    s->reftable_dirty = false;
    s->free_hint = s->byte_off = 0;
    s->eof = MAX(s->eof, (n + area) << s->cluster_bits);
    return 0;
}

/* @refs without the present blocks and table. */
static void uncount_refblocks(BlockNode *bn, uint32_t *refs, uint64_t n)
{
    Qcow2State *s = bn->s;
    uint64_t t = s->h.reftable_offset >> s->cluster_bits;

    for (uint64_t i = t; i < t + s->h.reftable_clusters && i < n; i++) {
        refs[i] -= refs[i] > 0;
    }
    for (uint32_t i = 0; i < s->reftable_len; i++) {
        uint64_t c = (s->reftable[i] & REFT_OFFSET) >> s->cluster_bits;

        if (c && c < n) {
            refs[c] -= refs[c] > 0;
        }
    }
}

bool qcow2_change_refcount_bits(BlockNode *bn, uint64_t bits, GError **errp)
{
    Qcow2State *s = bn->s;
    g_autofree uint32_t *refs = NULL;
    uint64_t n, v;
    int ret;

    if (!is_pow2(bits) || bits > 64) {
        error_setg(errp, "Refcount width must be a power of two and may not "
                         "exceed 64 bits");
        return false;
    }
    if (s->h.version < 3) {
        error_setg(errp, "Different refcount widths than 16 bits require "
                         "compatibility level 1.1 or above (use compat=1.1 or "
                         "greater)");
        return false;
    }
    g_mutex_lock(&s->lock);
    ret = qcow2_flush_locked(bn);
    n = to_clusters(s, MAX(bn->file->size, s->eof == UINT64_MAX ? 0 : s->eof));
    refs = g_try_new0(uint32_t, n);
    ret = ret == 0 && !refs ? -ENOMEM : ret;
    for (uint64_t i = 0; i < n && ret == 0; i++) {
        ret = qcow2_refcount(bn, i, false, &v);
        refs[i] = (uint32_t)MIN(v, UINT32_MAX);
    }
    if (ret == 0) {
        uncount_refblocks(bn, refs, n);
        ret =
            write_new_refcounts(bn, refs, n, (unsigned)g_bit_nth_lsf(bits, -1));
    }
    g_mutex_unlock(&s->lock);
    if (ret == -ERANGE) {
        error_setg(errp,
                   "Cannot decrease refcount entry width to %" PRIu64
                   " bits: a cluster has a greater refcount",
                   bits);
    } else if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not change refcount_bits");
    }
    return ret == 0;
}

/* ---- check --------------------------------------------------------------------------------- */

static void find_end(Check *c)
{
    uint64_t count, i = c->n;

    while (i > 0 && !c->refs[i - 1] &&
           (qcow2_refcount(c->bn, i - 1, false, &count) < 0 || !count)) {
        i--;
    }
    c->res->image_end_offset = i << c->s->cluster_bits;
}

static void run_check(Check *c)
{
    Qcow2State *s = c->s;

    count_all(c);
    count_fragments(c);
    find_uncounted(c);
    if (c->rebuild && (c->fix & CHECK_FIX_ERRORS)) {
        unsigned fix = c->fix;
        uint64_t was;

        c->fix = 0;
        compare_counts(c);
        c->fix = fix;
        was = c->res->corruptions;
        say(c, "Rebuilding refcount structure");
        uncount_refblocks(c->bn, c->refs, c->n);
        if (write_new_refcounts(c->bn, c->refs, c->n, s->h.refcount_order) <
            0) {
            c->res->check_errors++;
        } else {
            c->res->corruptions_fixed += was;
            c->res->leaks_fixed += c->res->leaks;
        }
        check_copied(c);
        find_end(c);
        return;
    }
    compare_counts(c);
    check_copied(c);
    find_end(c);
}

static int finish_repair(BlockNode *bn, const CheckResult *res)
{
    Qcow2State *s = bn->s;
    int ret = qcow2_flush_locked(bn);

    if (ret == 0 && !res->check_errors &&
        res->corruptions == res->corruptions_fixed) {
        ret = qcow2_set_incompatible(bn, 0, INCOMPAT_DIRTY | INCOMPAT_CORRUPT);
        s->lazy = false;
    }
    return ret;
}

bool qcow2_check(BlockNode *bn, CheckResult *res, unsigned fix, GError **errp)
{
    Qcow2State *s = bn->s;
    Check c = { .bn = bn, .s = s, .res = res, .fix = fix };
    int ret;

    g_mutex_lock(&s->lock);
    s->broken = false; /* whatever was found before is found again */
    ret = qcow2_flush_locked(bn);
    c.n = to_clusters(s, bn->file->size);
    c.refs = g_try_new0(uint32_t, MAX(c.n, 1));
    if (ret < 0 || !c.refs) {
        g_mutex_unlock(&s->lock);
        g_free(c.refs);
        error_setg_errno(errp, ret < 0 ? -ret : ENOMEM,
                         "Check failed for an image file of %" PRIu64 " bytes",
                         bn->file->size);
        return false;
    }
    c.l2s = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    res->total_clusters = to_clusters(s, s->h.size);
    run_check(&c);
    if (fix && !bn->read_only) {
        ret = finish_repair(bn, res);
    }
    g_hash_table_unref(c.l2s);
    g_free(c.refs);
    g_mutex_unlock(&s->lock);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not write the repaired tables");
    }
    return ret == 0;
}
