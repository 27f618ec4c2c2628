/*
 * Guest offset to cluster: L1, L2, and with extended L2 entries the bitmap of
 * subclusters. Deciding only; nothing is changed but for qcow2_l2_slice() with
 * @write.
 */
#include "util/osdep.h"
#include "block/blkdebug.h"
#include "block/qcow2.h"

uint64_t l2_entry(const Qcow2State *s, const uint8_t *slice, unsigned idx)
{
    return ld_be64(slice + (size_t)idx * s->l2_entry_size);
}

uint64_t l2_bitmap(const Qcow2State *s, const uint8_t *slice, unsigned idx)
{
    return s->ext_l2 ? ld_be64(slice + (size_t)idx * s->l2_entry_size + 8) : 0;
}

void l2_set(const Qcow2State *s, uint8_t *slice, unsigned idx, uint64_t entry,
            uint64_t bitmap)
{
    uint8_t *p = slice + (size_t)idx * s->l2_entry_size;

    st_be64(p, entry);
    if (s->ext_l2) {
        st_be64(p + 8, bitmap);
    }
}

/* In an external file a cluster may be at offset 0; COPIED tells. */
static bool has_place(const Qcow2State *s, uint64_t entry)
{
    return (entry & ENTRY_OFFSET) || (s->data_file && (entry & OFLAG_COPIED));
}

ClusterKind qcow2_kind(const Qcow2State *s, uint64_t entry, uint64_t bitmap,
                       unsigned sc)
{
    bool zero, alloc;

    if (entry & OFLAG_COMPRESSED) {
        return s->data_file || (s->ext_l2 && bitmap) ? CLUSTER_INVALID
                                                     : CLUSTER_COMPRESSED;
    }
    if (!s->ext_l2) {
        if (entry & OFLAG_ZERO) {
            return has_place(s, entry) ? CLUSTER_ZERO_ALLOCATED : CLUSTER_ZERO;
        }
        return has_place(s, entry) ? CLUSTER_NORMAL : CLUSTER_UNALLOCATED;
    }
    zero = bitmap >> (32 + sc) & 1;
    alloc = bitmap >> sc & 1;
    if (zero && alloc) {
        return CLUSTER_INVALID;
    }
    if (has_place(s, entry)) {
        return zero    ? CLUSTER_ZERO_ALLOCATED
               : alloc ? CLUSTER_NORMAL
                       : CLUSTER_UNALLOCATED_SC;
    }
    return zero ? CLUSTER_ZERO : alloc ? CLUSTER_INVALID : CLUSTER_UNALLOCATED;
}

uint64_t qcow2_l2_range(const Qcow2State *s)
{
    return UINT64_C(1) << (s->l2_bits + s->cluster_bits);
}

unsigned qcow2_slice_entries(const Qcow2State *s)
{
    return s->slice / s->l2_entry_size;
}

void qcow2_compressed_range(const Qcow2State *s, uint64_t entry, uint64_t *off,
                            uint64_t *len)
{
    uint64_t at = entry & s->coffset_mask;
    uint64_t sectors = (entry >> s->csize_shift & s->csize_mask) + 1;

    *off = at;
    *len = sectors * 512 - (at & 511);
}

/* A new L2 table: empty, or a copy of one that a snapshot also has. */
static int new_l2_table(BlockNode *bn, uint64_t l1_idx)
{
    Qcow2State *s = bn->s;
    uint64_t old = s->l1[l1_idx] & ENTRY_OFFSET, off;
    g_autofree uint8_t *table = g_try_malloc0(s->cluster_size);
    int ret = table ? qcow2_alloc(bn, 1, false, &off) : -ENOMEM;

    if (ret < 0) {
        return ret;
    }
    /* A shared table has no dirty slices: it is never written in place. */
    if (old) {
        block_event(bn->file, BLKDBG_L2_ALLOC_COW_READ);
    }
    ret = old ? block_pread(bn->file, old, table, s->cluster_size) : 0;
    block_event(bn->file, BLKDBG_L2_ALLOC_WRITE);
    if (ret == 0) {
        ret = block_pwrite(bn->file, off, table, s->cluster_size);
    }
    if (ret < 0) {
        qcow2_free_now(bn, off, s->cluster_size);
        return ret;
    }
    s->unsynced = true;
    qcow2_cache_drop(s->l2_cache, off, s->cluster_size);
    s->l1[l1_idx] = off | OFLAG_COPIED;
    qcow2_overlap_add(s, OVERLAP_L2, off);
    s->l1_dirty_first =
        s->l1_dirty ? MIN(s->l1_dirty_first, l1_idx) : (uint32_t)l1_idx;
    s->l1_dirty_end =
        s->l1_dirty ? MAX(s->l1_dirty_end, l1_idx + 1) : (uint32_t)l1_idx + 1;
    s->l1_dirty = true;
    if (old) {
        qcow2_free_later(bn, old, s->cluster_size);
    }
    return 0;
}

int qcow2_l2_slice(BlockNode *bn, uint64_t off, bool write, bool nowait,
                   uint8_t **slice, unsigned *idx)
{
    Qcow2State *s = bn->s;
    uint64_t cluster = off >> s->cluster_bits;
    uint64_t l1_idx = cluster >> s->l2_bits;
    uint64_t l2_idx = cluster & bits_mask(s->l2_bits);
    unsigned per = qcow2_slice_entries(s);
    uint64_t table;
    int ret;

    *slice = NULL;
    *idx = (unsigned)(l2_idx % per);
    if (l1_idx >= s->h.l1_size) {
        return write ? -EFBIG : 0;
    }
    if (write && !(s->l1[l1_idx] & OFLAG_COPIED)) {
        ret = nowait ? -EAGAIN : new_l2_table(bn, l1_idx);
        if (ret < 0) {
            return ret;
        }
    }
    table = s->l1[l1_idx] & ENTRY_OFFSET;
    if (!table) {
        return write ? qcow2_corrupt(bn,
                                     "L2 table %#" PRIx64
                                     " at offset 0 (L1 index: %#" PRIx64 ")",
                                     table, l1_idx)
                     : 0;
    }
    if (table & (s->cluster_size - 1)) {
        return qcow2_corrupt(bn,
                             "L2 table offset %#" PRIx64
                             " unaligned (L1 index: %#" PRIx64 ")",
                             table, l1_idx);
    }
    return qcow2_cache_get(bn, s->l2_cache, table + l2_idx / per * s->slice,
                           nowait, slice);
}

static int check_entry(BlockNode *bn, ClusterKind kind, uint64_t entry,
                       uint64_t off)
{
    Qcow2State *s = bn->s;

    if (kind == CLUSTER_INVALID) {
        return qcow2_corrupt(
            bn, "Invalid L2 entry %#" PRIx64 " at guest offset %#" PRIx64,
            entry, off);
    }
    if ((kind == CLUSTER_NORMAL || kind == CLUSTER_ZERO_ALLOCATED ||
         kind == CLUSTER_UNALLOCATED_SC) &&
        (entry & ENTRY_OFFSET & (s->cluster_size - 1))) {
        return qcow2_corrupt(bn,
                             "Cluster allocation offset %#" PRIx64
                             " unaligned (guest offset: %#" PRIx64 ")",
                             entry & ENTRY_OFFSET, off);
    }
    if (s->data_file && kind == CLUSTER_NORMAL &&
        (entry & ENTRY_OFFSET) != start_of_cluster(s, off)) {
        return qcow2_corrupt(bn,
                             "External data file host cluster offset "
                             "%#" PRIx64 " does not match guest cluster "
                             "offset: %#" PRIx64,
                             entry & ENTRY_OFFSET, start_of_cluster(s, off));
    }
    return 0;
}

int qcow2_map(BlockNode *bn, uint64_t off, uint64_t len, bool nowait,
              Qcow2Map *out)
{
    Qcow2State *s = bn->s;
    unsigned idx, per = qcow2_slice_entries(s);
    unsigned sc = (unsigned)((off & (s->cluster_size - 1)) >> s->sc_bits);
    uint64_t in_sc = off & bits_mask(s->sc_bits), n, entry, bitmap, next;
    uint8_t *slice;
    bool placed;
    int ret = qcow2_l2_slice(bn, off, false, nowait, &slice, &idx);

    if (ret < 0) {
        return ret;
    }
    memset(out, 0, sizeof(*out));
    if (!slice) {
        out->kind = CLUSTER_UNALLOCATED;
        out->len =
            MIN(len, qcow2_l2_range(s) - (off & (qcow2_l2_range(s) - 1)));
        return 0;
    }
    entry = l2_entry(s, slice, idx);
    bitmap = l2_bitmap(s, slice, idx);
    out->kind = qcow2_kind(s, entry, bitmap, sc);
    out->copied = entry & OFLAG_COPIED;
    out->entry = entry;
    ret = check_entry(bn, out->kind, entry, off);
    if (ret < 0) {
        return ret;
    }
    if (out->kind == CLUSTER_COMPRESSED) {
        out->len = MIN(len, s->cluster_size - (off & (s->cluster_size - 1)));
        return 0;
    }
    placed = has_place(s, entry);
    if (placed) {
        out->host = (entry & ENTRY_OFFSET) + (off & (s->cluster_size - 1));
    }
    n = (UINT64_C(1) << s->sc_bits) - in_sc;
    next = entry & ENTRY_OFFSET;
    while (n < len) {
        if (++sc == s->nsub) {
            sc = 0;
            if (++idx == per) {
                break;
            }
            entry = l2_entry(s, slice, idx);
            bitmap = l2_bitmap(s, slice, idx);
            next += s->cluster_size;
            if (placed && ((entry & ENTRY_OFFSET) != next ||
                           !(entry & OFLAG_COPIED) != !out->copied)) {
                break;
            }
        }
        if (qcow2_kind(s, entry, bitmap, sc) != out->kind) {
            break;
        }
        n += UINT64_C(1) << s->sc_bits;
    }
    out->len = MIN(n, len);
    return 0;
}
