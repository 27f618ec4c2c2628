/*
 * qcow2: changing the shape of an image: zero, discard, preallocate, resize,
 * empty, amend. The gate is closed, or nobody else uses the image.
 */
#include "util/osdep.h"
#include "block/blkdebug.h"
#include "block/qcow2.h"

#include "util/error.h"

/* ---- zeroes and discard ------------------------------------------------------------- */

static bool entry_placed(const Qcow2State *s, uint64_t e)
{
    return !(e & OFLAG_COMPRESSED) &&
           ((e & ENTRY_OFFSET) || (s->data_file && (e & OFLAG_COPIED)));
}

static const uint64_t all_zero_bits = UINT64_C(0xffffffff00000000);

/* The whole of a cluster becomes zero. */
static void zero_cluster(BlockNode *bn, uint8_t *slice, unsigned idx,
                         bool unmap)
{
    Qcow2State *s = bn->s;
    uint64_t e = l2_entry(s, slice, idx), now;
    bool keep =
        entry_placed(s, e) && (e & OFLAG_COPIED) && (!unmap || s->data_file);

    if (s->h.version < 3) {
        now = 0; /* there is no backing file */
    } else if (s->ext_l2) {
        now = keep ? e : 0;
    } else {
        now = OFLAG_ZERO | (keep ? e : 0);
    }
    l2_set(s, slice, idx, now, s->ext_l2 ? all_zero_bits : 0);
    if (!keep || s->h.version < 3) {
        qcow2_free_entry(bn, e);
    }
}

static void zero_subclusters(Qcow2State *s, uint8_t *slice, unsigned idx,
                             unsigned first, unsigned n)
{
    uint64_t bits = bits_mask(n) << first;
    uint64_t b = l2_bitmap(s, slice, idx);

    l2_set(s, slice, idx, l2_entry(s, slice, idx), (b & ~bits) | bits << 32);
}

int qcow2_zero_range(BlockNode *bn, uint64_t off, uint64_t len, bool unmap)
{
    Qcow2State *s = bn->s;
    uint64_t end = off + len;
    int ret = qcow2_mark_dirty(bn);

    if (s->data_file && (s->h.autoclear & AUTOCLEAR_DATA_FILE_RAW) &&
        ret == 0) {
        ret = block_zero(s->data_file, off, MIN(end, s->h.size) - off,
                         unmap ? ZERO_MAY_UNMAP : 0);
    }
    while (off < end && ret == 0) {
        uint64_t in = off & (s->cluster_size - 1);
        uint64_t n = MIN(s->cluster_size - in, end - off);
        uint8_t *slice;
        unsigned idx;

        ret = qcow2_l2_slice(bn, off, true, false, &slice, &idx);
        if (ret < 0) {
            return ret;
        }
        if (n == s->cluster_size) {
            zero_cluster(bn, slice, idx, unmap);
        } else if (l2_entry(s, slice, idx) & OFLAG_COMPRESSED) {
            return -ENOTSUP; /* zeroes are written instead */
        } else {
            zero_subclusters(s, slice, idx, (unsigned)(in >> s->sc_bits),
                             (unsigned)(n >> s->sc_bits));
        }
        qcow2_cache_dirty(s->l2_cache, slice);
        off += n;
    }
    return ret;
}

/* @full: the cluster is gone, the backing file may show. */
static bool discard_cluster(BlockNode *bn, uint8_t *slice, unsigned idx,
                            bool full)
{
    Qcow2State *s = bn->s;
    uint64_t e = l2_entry(s, slice, idx), b = l2_bitmap(s, slice, idx);
    bool reads_zero = s->ext_l2 ? b == all_zero_bits : e & OFLAG_ZERO;
    bool placed = entry_placed(s, e) || (e & OFLAG_COMPRESSED);
    uint64_t zero = 0, zero_map = 0;

    if (!full) {
        if (!placed && (reads_zero || (!bn->backing && !e && !b))) {
            return false;
        }
        if (s->h.version >= 3) {
            zero = s->ext_l2 ? 0 : OFLAG_ZERO;
            zero_map = s->ext_l2 ? all_zero_bits : 0;
        }
    } else if (!e && !b) {
        return false;
    }
    l2_set(s, slice, idx, zero, zero_map);
    qcow2_free_entry(bn, e);
    return true;
}

int qcow2_discard_range(BlockNode *bn, uint64_t off, uint64_t len, bool full)
{
    Qcow2State *s = bn->s;
    uint64_t end = off + len, range = qcow2_l2_range(s);
    int ret = 0;

    if (s->h.version < 3 && bn->backing && !full) {
        return -ENOTSUP; /* old data would show */
    }
    ret = qcow2_mark_dirty(bn);
    while (off < end && ret == 0) {
        uint64_t l1 = off / range;
        uint8_t *slice;
        unsigned idx;

        if (l1 >= s->h.l1_size) {
            break;
        }
        if (!(s->l1[l1] & ENTRY_OFFSET) && (full || !bn->backing)) {
            off = (l1 + 1) * range;
            continue;
        }
        ret = qcow2_l2_slice(bn, off, true, false, &slice, &idx);
        if (ret == 0 && discard_cluster(bn, slice, idx, full)) {
            qcow2_cache_dirty(s->l2_cache, slice);
        }
        off += s->cluster_size;
    }
    return ret;
}

/* ---- preallocation ---------------------------------------------------------------------- */

/* "falloc": space without content; "full": zeroes that are written. */
static int prealloc_data(BlockNode *data, uint64_t host, uint64_t len,
                         const char *mode)
{
    g_autofree uint8_t *zero = NULL;
    int ret = 0;

    if (strcmp(mode, "falloc") == 0) {
        return block_zero(data, host, len, 0);
    }
    if (strcmp(mode, "full") != 0) {
        return 0;
    }
    zero = g_malloc0(MIB);
    for (uint64_t done = 0; done < len && ret == 0; done += MIB) {
        ret = block_pwrite(data, host + done, zero, MIN(len - done, MIB));
    }
    return ret;
}

/* A link to what lies behind the end of the file would be an error. */
static int prealloc_length(BlockNode *data, uint64_t end)
{
    if (!data->growable || data->size >= end || !data->drv->resize) {
        return 0;
    }
    return block_resize(data, end, "off", false, NULL) ? 0 : -ENOSPC;
}

static int prealloc_slice(BlockNode *bn, uint64_t off, uint64_t end,
                          const char *mode, uint64_t *next)
{
    Qcow2State *s = bn->s;
    unsigned per = qcow2_slice_entries(s), idx;
    uint8_t *slice;
    uint64_t n, host;
    int ret = qcow2_l2_slice(bn, off, true, false, &slice, &idx);

    if (ret < 0) {
        return ret;
    }
    n = MIN(per - idx, to_clusters(s, end - off));
    if (s->data_file) {
        host = off;
    } else {
        ret = qcow2_alloc(bn, n, false, &host);
        if (ret == 0) { /* making room may have taken the slice */
            ret = qcow2_l2_slice(bn, off, true, false, &slice, &idx);
        }
    }
    if (ret == 0) {
        ret = prealloc_data(s->data, host, n << s->cluster_bits, mode);
    }
    if (ret == 0 && !s->data_file) {
        ret = prealloc_length(s->data, host + (n << s->cluster_bits));
    }
    for (unsigned i = 0; i < n && ret == 0; i++) {
        uint64_t e = l2_entry(s, slice, idx + i);

        if (e) {
            if (!s->data_file) {
                qcow2_free_now(bn, host + ((uint64_t)i << s->cluster_bits),
                               s->cluster_size);
            }
            continue;
        }
        l2_set(s, slice, idx + i,
               (host + ((uint64_t)i << s->cluster_bits)) | OFLAG_COPIED,
               l2_bitmap(s, slice, idx + i));
    }
    if (ret == 0) {
        qcow2_cache_dirty(s->l2_cache, slice);
        *next = off + (n << s->cluster_bits);
    }
    return ret;
}

/* The file becomes as long as the clusters say. New ones lie behind the old
 * end, so they read as zeroes. */
bool qcow2_preallocate(BlockNode *bn, uint64_t off, uint64_t len,
                       const char *mode, GError **errp)
{
    Qcow2State *s = bn->s;
    uint64_t end = off + len, file_end = 0;
    int ret = 0;

    g_mutex_lock(&s->lock);
    for (off = start_of_cluster(s, off); off < end && ret == 0;) {
        ret = prealloc_slice(bn, off, end, mode, &off);
    }
    if (ret == 0) {
        ret = qcow2_flush_locked(bn);
    }
    file_end =
        s->data_file
            ? (s->h.autoclear & AUTOCLEAR_DATA_FILE_RAW ? s->h.size : end)
            : s->eof;
    g_mutex_unlock(&s->lock);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not preallocate metadata");
        return false;
    }
    return !s->data->growable || s->data->size >= file_end ||
           block_resize(s->data, file_end, "off", false, errp);
}

/* ---- size --------------------------------------------------------------------------------- */

int qcow2_grow_l1(BlockNode *bn, uint64_t entries)
{
    Qcow2State *s = bn->s;
    uint64_t old_off = s->h.l1_offset, old_n = s->h.l1_size, off = 0;
    uint64_t bytes = entries * 8;
    g_autofree uint8_t *buf = NULL;
    uint64_t *l1;
    uint8_t be[12];
    int ret;

    if (entries <= old_n) {
        return 0;
    }
    if (entries > QCOW2_MAX_L1_BYTES / 8) {
        return -EFBIG;
    }
    buf = g_try_malloc0(bytes);
    l1 = g_try_new0(uint64_t, entries);
    ret = buf && l1 ? qcow2_flush_locked(bn) : -ENOMEM;
    if (ret == 0) {
        ret = qcow2_alloc(bn, to_clusters(s, bytes), false, &off);
    }
    if (ret < 0) {
        g_free(l1);
        return ret;
    }
    memcpy(l1, s->l1, old_n * 8);
    for (uint64_t i = 0; i < old_n; i++) {
        st_be64(buf + i * 8, l1[i]);
    }
    block_event(bn->file, BLKDBG_L1_GROW_WRITE_TABLE);
    ret = block_pwrite(bn->file, off, buf, bytes);
    s->unsynced = true;
    if (ret == 0) {
        ret = qcow2_sync(bn);
    }
    if (ret == 0) {
        st_be32(be, (uint32_t)entries);
        st_be64(be + 4, off);
        block_event(bn->file, BLKDBG_L1_GROW_ACTIVATE_TABLE);
        ret = block_pwrite(bn->file, 36, be, sizeof(be));
    }
    if (ret == 0) {
        ret = qcow2_fsync(bn);
    }
    if (ret < 0) {
        g_free(l1);
        qcow2_free_now(bn, off, bytes);
        return ret;
    }
    g_free(s->l1);
    s->l1 = l1;
    s->h.l1_size = (uint32_t)entries;
    s->h.l1_offset = off;
    if (old_n) {
        qcow2_free_later(bn, old_off, old_n * 8);
    } else { /* an image of size 0 has a cluster for it all the same */
        qcow2_free_later(bn, old_off, 1);
    }
    return 0;
}

static int set_size(BlockNode *bn, uint64_t size)
{
    Qcow2State *s = bn->s;
    uint8_t be[8];
    int ret = qcow2_flush_locked(bn);

    st_be64(be, size);
    if (ret == 0) {
        ret = block_pwrite(bn->file, 24, be, sizeof(be));
    }
    if (ret == 0) {
        s->h.size = bn->size = size;
        ret = qcow2_fsync(bn);
    }
    return ret;
}

static int shrink_to(BlockNode *bn, uint64_t size)
{
    Qcow2State *s = bn->s;
    uint64_t from = (size + s->cluster_size - 1) & ~(s->cluster_size - 1);
    uint64_t to = (s->h.size + s->cluster_size - 1) & ~(s->cluster_size - 1);
    int ret = from < to ? qcow2_discard_range(bn, from, to - from, true) : 0;

    return ret == 0 ? set_size(bn, size) : ret;
}

static int grow_to(BlockNode *bn, uint64_t size)
{
    Qcow2State *s = bn->s;
    uint64_t old = s->h.size, range = qcow2_l2_range(s), sc, from;
    int ret = qcow2_grow_l1(bn, (size - 1) / range + 1);

    /* VM state that lies behind the old end would become disk. */
    if (ret == 0) {
        uint64_t a = (old + s->cluster_size - 1) & ~(s->cluster_size - 1);

        ret = qcow2_discard_range(
            bn, a, (size + s->cluster_size - 1 - a) & ~(s->cluster_size - 1),
            true);
    }
    if (ret == 0) {
        ret = set_size(bn, size);
    }
    /* So would the part of a backing file that is longer than we were. */
    if (ret == 0 && bn->backing && bn->backing->size > old) {
        sc = UINT64_C(1) << s->sc_bits;
        from = (old + sc - 1) & ~(sc - 1);
        if (s->h.version < 3) {
            return -ENOTSUP;
        }
        if (from < size) {
            ret = qcow2_zero_range(bn, from,
                                   ((size + sc - 1) & ~(sc - 1)) - from, true);
        }
    }
    return ret;
}

bool qcow2_resize(BlockNode *bn, uint64_t size, const char *prealloc,
                  bool shrink, GError **errp)
{
    Qcow2State *s = bn->s;
    uint64_t old = bn->size;
    int ret;

    if (size & 511) {
        error_setg(errp, "The new size must be a multiple of 512");
        return false;
    }
    if (s->h.nb_snapshots && s->h.version < 3) {
        error_setg(errp, "Can't resize a v2 image which has snapshots");
        return false;
    }
    if (size < old && strcmp(prealloc, "off") != 0) {
        error_setg(errp, "Preallocation can't be used for shrinking an image");
        return false;
    }
    if (!qcow2_bitmaps_room(bn, size, errp)) {
        return false;
    }
    block_gate_close(&bn->gate);
    g_mutex_lock(&s->lock);
    ret = size < old ? shrink_to(bn, size) : size > old ? grow_to(bn, size) : 0;
    if (ret == 0) {
        qcow2_bitmaps_resized(bn);
        ret = qcow2_flush_locked(bn);
    }
    g_mutex_unlock(&s->lock);
    block_gate_open(&bn->gate);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Failed to resize the image");
        return false;
    }
    if (s->data_file && (s->h.autoclear & AUTOCLEAR_DATA_FILE_RAW) &&
        !block_resize(s->data_file, size, prealloc, shrink, errp)) {
        return false;
    }
    return size <= old || strcmp(prealloc, "off") == 0 ||
           qcow2_preallocate(bn, old, size - old, prealloc, errp);
}

bool qcow2_make_empty(BlockNode *bn, GError **errp)
{
    Qcow2State *s = bn->s;
    int ret;

    block_gate_close(&bn->gate);
    g_mutex_lock(&s->lock);
    ret = qcow2_discard_range(
        bn, 0, to_clusters(s, s->h.size) << s->cluster_bits, true);
    if (ret == 0) {
        ret = qcow2_flush_locked(bn);
    }
    g_mutex_unlock(&s->lock);
    block_gate_open(&bn->gate);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not empty the image");
    }
    return ret == 0;
}

/* ---- amend ----------------------------------------------------------------------------------- */

static bool downgrade_possible(Qcow2State *s, GError **errp)
{
    if (s->h.incompatible & ~(uint64_t)INCOMPAT_DIRTY) {
        error_setg(errp, "Cannot downgrade an image with incompatible features "
                         "set");
        return false;
    }
    if (s->h.refcount_order != 4) {
        error_setg(errp, "compat=0.10 requires refcount_bits=16");
        return false;
    }
    if (s->bitmap_ext && s->bitmap_ext->len) {
        error_setg(errp, "compat=0.10 cannot hold persistent bitmaps: remove "
                         "them first");
        return false;
    }
    return true;
}

/* Version 2 has no zero clusters: they are written out, or given up where
 * nothing is below. */
static int expand_zeroes(BlockNode *bn, const BlockJob *job, GError **errp)
{
    Qcow2State *s = bn->s;
    g_autofree uint8_t *zero = g_malloc0(s->cluster_size);
    int ret = 0;

    for (uint64_t off = 0; off < s->h.size && ret == 0;) {
        Qcow2Map m;
        uint8_t *slice;
        unsigned idx;
        uint64_t n;

        if (!block_job_step(job, off, s->h.size, errp)) {
            return -ECANCELED;
        }
        ret = qcow2_map(bn, off, s->h.size - off, false, &m);
        if (ret < 0) {
            return ret;
        }
        n = m.len;
        if (m.kind == CLUSTER_ZERO || m.kind == CLUSTER_ZERO_ALLOCATED) {
            ret = qcow2_l2_slice(bn, off, true, false, &slice, &idx);
            if (ret == 0 && !bn->backing_name) {
                qcow2_free_entry(bn, l2_entry(s, slice, idx));
                l2_set(s, slice, idx, 0, 0);
                qcow2_cache_dirty(s->l2_cache, slice);
            } else if (ret == 0) {
                g_mutex_unlock(&s->lock);
                ret = qcow2_write_guest(bn, off, zero,
                                        MIN(s->cluster_size, s->h.size - off));
                g_mutex_lock(&s->lock);
            }
            n = MIN(n, s->cluster_size);
        }
        off += n;
    }
    return ret;
}

static bool amend_compat(BlockNode *bn, const char *compat, const BlockJob *job,
                         GError **errp)
{
    Qcow2State *s = bn->s;
    bool v3 = !strcmp(compat, "1.1") || !strcmp(compat, "v3");
    int ret = 0;

    if (!v3 && strcmp(compat, "0.10") && strcmp(compat, "v2")) {
        error_setg(errp, "Unknown compatibility level %s", compat);
        return false;
    }
    if (v3 == (s->h.version >= 3)) {
        return true;
    }
    if (!v3 && !downgrade_possible(s, errp)) {
        return false;
    }
    g_mutex_lock(&s->lock);
    if (!v3) {
        ret = expand_zeroes(bn, job, errp);
        s->lazy = false;
        s->h.incompatible = s->h.compatible = s->h.autoclear = 0;
    }
    if (ret == 0) {
        ret = qcow2_flush_locked(bn);
    }
    if (ret == 0) {
        s->h.version = v3 ? 3 : 2;
        ret = qcow2_write_header(bn);
    }
    if (ret == 0) {
        ret = qcow2_fsync(bn);
    }
    g_mutex_unlock(&s->lock);
    if (ret < 0 && !(errp && *errp)) {
        error_setg_errno(errp, -ret,
                         "Could not change the compatibility "
                         "level");
    }
    return ret == 0;
}

static bool amend_lazy(BlockNode *bn, KeyVal *opts, GError **errp)
{
    Qcow2State *s = bn->s;
    bool was = s->h.compatible & COMPAT_LAZY_REFCOUNTS, lazy;
    int ret;

    if (!keyval_bool(opts, "lazy_refcounts", was, &lazy, errp)) {
        return false;
    }
    if (lazy == was) {
        return true;
    }
    if (s->h.version < 3) {
        error_setg(errp, "Lazy refcounts only supported with compatibility "
                         "level 1.1 and above (use compat=1.1 or greater)");
        return false;
    }
    g_mutex_lock(&s->lock);
    s->lazy = false;
    ret = qcow2_flush_locked(bn);
    s->h.compatible ^= COMPAT_LAZY_REFCOUNTS;
    s->h.incompatible &= ~(uint64_t)INCOMPAT_DIRTY;
    if (ret == 0) {
        ret = qcow2_write_header(bn);
    }
    if (ret == 0) {
        ret = qcow2_fsync(bn);
    }
    g_mutex_unlock(&s->lock);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not change lazy_refcounts");
    }
    return ret == 0;
}

/* Another name for the data file, or the end of the promise that it is raw. */
static bool amend_data_file(BlockNode *bn, KeyVal *opts, GError **errp)
{
    Qcow2State *s = bn->s;
    const char *name = keyval_get(opts, "data_file");
    bool was = s->h.autoclear & AUTOCLEAR_DATA_FILE_RAW, raw;
    int ret;

    if (!keyval_bool(opts, "data_file_raw", was, &raw, errp)) {
        return false;
    }
    if (name && !s->data_file) {
        error_setg(errp, "data-file can only be set for images that use an "
                         "external data file");
        return false;
    }
    if (raw && !was) {
        error_setg(errp, "data-file-raw cannot be set on existing images");
        return false;
    }
    if (!name && raw == was) {
        return true;
    }
    g_mutex_lock(&s->lock);
    if (name) {
        g_free(s->data_file_name);
        s->data_file_name = g_strdup(name[0] ? name : NULL);
    }
    if (!raw) {
        s->h.autoclear &= ~(uint64_t)AUTOCLEAR_DATA_FILE_RAW;
    }
    ret = qcow2_write_header(bn);
    if (ret == 0) {
        ret = qcow2_fsync(bn);
    }
    g_mutex_unlock(&s->lock);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not change the data file");
    }
    return ret == 0;
}

bool qcow2_amend(BlockNode *bn, KeyVal *opts, bool force, const BlockJob *job,
                 GError **errp)
{
    Qcow2State *s = bn->s;
    const char *compat = keyval_get(opts, "compat");
    const char *backing = keyval_get(opts, "backing_file");
    const char *fmt = keyval_get(opts, "backing_fmt");
    g_autoptr(KeyVal) crypt = block_sub_options(opts, "encrypt.");
    uint64_t size, bits;

    if (!keyval_size(opts, "size", 1, bn->size, &size, errp) ||
        !keyval_u64(opts, "refcount_bits", UINT64_C(1) << s->h.refcount_order,
                    &bits, errp)) {
        return false;
    }
    if ((backing && g_strcmp0(backing, bn->backing_name)) ||
        (fmt && g_strcmp0(fmt, bn->backing_fmt))) {
        error_setg(errp, "Cannot amend the backing file\n"
                         "You can use 'qemu-img rebase' instead.");
        return false;
    }
    if (!amend_data_file(bn, opts, errp)) {
        return false;
    }
    keyval_get(opts, "lazy_refcounts"); /* amend_lazy() reads it */
    if (keyval_unused(opts)) {
        error_setg(errp,
                   "Changing option '%s' is not supported; it is fixed "
                   "when the image is created",
                   keyval_unused(opts));
        return false;
    }
    if ((compat && !amend_compat(bn, compat, job, errp)) ||
        !qcow2_crypto_amend(bn, crypt, force, errp)) {
        return false;
    }
    if (bits != UINT64_C(1) << s->h.refcount_order &&
        !qcow2_change_refcount_bits(bn, bits, errp)) {
        return false;
    }
    if (!amend_lazy(bn, opts, errp)) {
        return false;
    }
    return size == bn->size || qcow2_resize(bn, size, "off", false, errp);
}
