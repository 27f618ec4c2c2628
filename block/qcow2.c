/*
 * qcow2: open, close, and the data requests: decide with qcow2_map() or
 * qcow2_write_begin() under the lock, transfer without it, then link.
 */
#include "util/osdep.h"
#include "block/drivers.h"
#include "block/blkdebug.h"
#include "block/qcow2.h"

#include "util/error.h"
#include "util/iov.h"
#include "util/log.h"

#include <stdarg.h>

enum {
    L2_CACHE_MAX = 32 << 20, /* as QEMU: the whole of an image up to 256 GiB */
    REF_CACHE_MIN = 256 << 10,
    COPY_IOVS = 1024,
};

G_STATIC_ASSERT(sizeof(Qcow2Write) <= sizeof(((WritePlan *)0)->priv));

int qcow2_corrupt(BlockNode *bn, const char *fmt, ...)
{
    Qcow2State *s = bn->s;
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    if (!s->broken) {
        s->broken = true;
        if (bn->read_only || (bn->flags & BLOCK_CHECK)) {
            error_report("qcow2: Image is corrupt: %s; further non-fatal "
                         "corruption events will be suppressed",
                         text);
        } else {
            error_report("qcow2: Marking image as corrupt: %s; further "
                         "corruption events will be suppressed",
                         text);
            (void)qcow2_set_incompatible(bn, INCOMPAT_CORRUPT, 0);
        }
    }
    return -EIO;
}

/* ---- open and close --------------------------------------------------------------- */

static int qcow2_probe(const uint8_t *head, size_t len, const char *filename)
{
    return len >= 8 && ld_be32(head) == QCOW2_MAGIC && ld_be32(head + 4) >= 2
               ? 100
               : 0;
}

/* A table of @n entries in host order. Past the end of the file there is
 * nothing, and nothing is what that costs. */
static uint64_t *load_table(BlockNode *bn, uint64_t off, uint64_t n)
{
    uint64_t have = off < bn->file->size ? (bn->file->size - off + 7) / 8 : 0;
    uint64_t *t = g_try_new0(uint64_t, MAX(n, 1));

    have = MIN(have, n);
    if (!t || (have && block_pread(bn->file, off, t, have * 8) < 0)) {
        g_free(t);
        return NULL;
    }
    for (uint64_t i = 0; i < have; i++) {
        t[i] = ld_be64(&t[i]);
    }
    return t;
}

static size_t l2_cache_bytes(const BlockNode *bn, uint64_t asked)
{
    const Qcow2State *s = bn->s;
    uint64_t whole = to_clusters(s, bn->size) * s->l2_entry_size;

    return (size_t)MIN(MAX(whole, 64 * s->slice), asked ? asked : L2_CACHE_MAX);
}

/* The tables, after the header. */
static bool qcow2_load(BlockNode *bn, GError **errp)
{
    Qcow2State *s = bn->s;

    s->reftable_len =
        (uint32_t)(s->h.reftable_clusters * (s->cluster_size / 8));
    s->l1 = load_table(bn, s->h.l1_offset, s->h.l1_size);
    block_event(bn->file, BLKDBG_REFTABLE_LOAD);
    s->reftable = load_table(bn, s->h.reftable_offset, s->reftable_len);
    if (!s->l1 || !s->reftable) {
        error_setg(errp, "Could not read %s",
                   s->l1 ? "refcount table" : "L1 table");
        return false;
    }
    s->eof = bn->file->growable ? (bn->file->size + s->cluster_size - 1) &
                                      ~(s->cluster_size - 1)
                                : UINT64_MAX;
    return true;
}

static void qcow2_unload(BlockNode *bn)
{
    Qcow2State *s = bn->s;

    g_clear_pointer(&s->l1, g_free);
    g_clear_pointer(&s->reftable, g_free);
    qcow2_overlap_forget(s);
    s->l1_dirty = s->reftable_dirty = false;
    s->free_hint = s->byte_off = 0;
}

static bool open_data_file(BlockNode *bn, KeyVal *options, GError **errp)
{
    Qcow2State *s = bn->s;
    g_autoptr(KeyVal) sub = block_sub_options(options, "data-file.");
    const char *ref = keyval_get(options, "data-file");
    g_autofree char *path = NULL;

    s->data = bn->file;
    if (!(s->h.incompatible & INCOMPAT_DATA_FILE)) {
        return true;
    }
    if (ref) {
        s->data_file = s->data = block_open_ref(bn->graph, ref, errp);
        return s->data_file != NULL;
    }
    if (!keyval_get(sub, "filename") && !keyval_get(sub, "driver")) {
        if (!s->data_file_name) {
            error_setg(errp, "'data-file' is required for this image");
            return false;
        }
        path = block_combine_path(bn->filename, s->data_file_name);
    }
    s->data_file = block_open_in(bn->graph, path,
                                 keyval_get(sub, "driver") ? NULL : "file", sub,
                                 bn->file->flags | BLOCK_RESIZE, errp);
    s->data = s->data_file;
    return s->data_file != NULL;
}

static void state_free(BlockNode *bn)
{
    Qcow2State *s = bn->s;

    qcow2_unload(bn);
    qcow2_crypto_close(s);
    qcow2_free_snapshots(s);
    qcow2_cache_free(s->l2_cache);
    qcow2_cache_free(s->ref_cache);
    if (s->pending) {
        g_array_unref(s->pending);
    }
    g_free(s->unpacked);
    qcow2_codecs_free(s);
    qcow2_free_header(s);
    block_close(s->data_file, NULL);
    g_mutex_clear(&s->lock);
    g_mutex_clear(&s->unpacked_lock);
    g_cond_clear(&s->alloc_done);
    g_clear_pointer(&bn->backing_name, g_free);
    g_clear_pointer(&bn->backing_fmt, g_free);
}

/* Autoclear bits of features that we would not keep up to date; a dirty image
 * is repaired, a corrupt one refused. */
static bool prepare_writing(BlockNode *bn, GError **errp)
{
    Qcow2State *s = bn->s;
    uint64_t known = AUTOCLEAR_BITMAPS | AUTOCLEAR_DATA_FILE_RAW;
    CheckResult res = { 0 };

    if (bn->read_only) {
        return true;
    }
    if ((s->h.incompatible & INCOMPAT_CORRUPT) && !(bn->flags & BLOCK_CHECK)) {
        error_setg(errp, "qcow2: Image is corrupt; cannot be opened "
                         "read/write");
        return false;
    }
    if (s->h.autoclear & ~known) {
        s->h.autoclear &= known;
        if (qcow2_write_header(bn) < 0) {
            error_setg(errp, "Could not update qcow2 header");
            return false;
        }
    }
    if ((s->h.incompatible & INCOMPAT_DIRTY) && !(bn->flags & BLOCK_CHECK)) {
        if (!qcow2_check(bn, &res, CHECK_FIX_ERRORS | CHECK_FIX_LEAKS, errp)) {
            g_prefix_error(errp, "Could not repair dirty image: ");
            return false;
        }
        if (res.corruptions > res.corruptions_fixed || res.check_errors) {
            error_setg(errp,
                       "Could not repair dirty image: %" PRIu64
                       " errors are left",
                       res.corruptions - res.corruptions_fixed);
            return false;
        }
    }
    return true;
}

static bool open_steps(BlockNode *bn, KeyVal *options, GError **errp)
{
    Qcow2State *s = bn->s;
    uint64_t l2_bytes, ref_bytes, all_bytes;
    bool lazy;

    if (!qcow2_read_header(bn, errp) ||
        !qcow2_overlap_options(s, options, errp) ||
        !keyval_size(options, "cache-size", 1, 0, &all_bytes, errp) ||
        !keyval_size(options, "l2-cache-size", 1, all_bytes, &l2_bytes, errp) ||
        !keyval_size(options, "refcount-cache-size", 1, REF_CACHE_MIN,
                     &ref_bytes, errp) ||
        !keyval_bool(options, "lazy-refcounts",
                     s->h.compatible & COMPAT_LAZY_REFCOUNTS, &lazy, errp)) {
        return false;
    }
    if (lazy && s->h.version < 3) {
        error_setg(errp, "Lazy refcounts require a qcow2 image with at least "
                         "qemu 1.1 compatibility level");
        return false;
    }
    s->l2_cache = qcow2_cache_new(true, s->slice, l2_cache_bytes(bn, l2_bytes));
    s->ref_cache =
        qcow2_cache_new(false, s->slice, MAX(ref_bytes, 4 * s->cluster_size));
    s->discard_freed = bn->flags & BLOCK_UNMAP;
    return qcow2_load(bn, errp) && open_data_file(bn, options, errp) &&
           qcow2_read_snapshots(bn, errp) &&
           qcow2_crypto_open(bn, options, errp) && prepare_writing(bn, errp) &&
           qcow2_bitmaps_open(bn, errp);
}

static bool qcow2_open(BlockNode *bn, KeyVal *options, GError **errp)
{
    Qcow2State *s = bn->s;

    g_mutex_init(&s->lock);
    g_mutex_init(&s->unpacked_lock);
    g_cond_init(&s->alloc_done);
    g_queue_init(&s->allocs);
    s->pending = g_array_new(false, false, sizeof(Qcow2Range));
    if (!open_steps(bn, options, errp)) {
        state_free(bn);
        return false;
    }
    return true;
}

static void qcow2_close(BlockNode *bn)
{
    Qcow2State *s = bn->s;

    g_mutex_lock(&s->lock);
    if (!bn->read_only && !s->broken) {
        int ret;

        qcow2_bitmaps_close(bn);
        ret = qcow2_flush_locked(bn);
        if (ret == 0 && s->lazy) {
            s->lazy = false;
            ret = qcow2_sync(bn);
            if (ret == 0) {
                ret = qcow2_set_incompatible(bn, 0, INCOMPAT_DIRTY);
            }
        }
        if (s->reserved && bn->file->size == s->reserved) {
            block_resize(bn->file, s->eof, "off", true, NULL);
        }
        if (ret < 0 && !s->flush_failed) {
            error_report("qcow2: could not close '%s' cleanly: %s",
                         bn->filename, g_strerror(-ret));
        }
    } else {
        qcow2_bitmaps_close(bn);
    }
    g_mutex_unlock(&s->lock);
    state_free(bn);
}

/* Everything, frees too: the second sync writes what the first has freed. */
int qcow2_flush_locked(BlockNode *bn)
{
    Qcow2State *s = bn->s;
    int ret = qcow2_sync(bn);

    if (ret == 0 && !s->lazy && qcow2_cache_is_dirty(s->ref_cache)) {
        ret = qcow2_sync(bn);
    }
    return ret;
}

static int qcow2_flush(BlockNode *bn)
{
    Qcow2State *s = bn->s;
    bool tables;
    int ret = 0;

    if (bn->read_only) {
        return 0;
    }
    g_mutex_lock(&s->lock);
    tables = qcow2_cache_is_dirty(s->l2_cache) || s->l1_dirty ||
             qcow2_cache_is_dirty(s->ref_cache) || s->reftable_dirty ||
             qcow2_has_pending(s);
    if (tables) {
        ret = qcow2_sync(bn);
    }
    /* What the sync has freed, so that a stopped machine's image has no leak. */
    if (ret == 0 && !s->lazy && qcow2_cache_is_dirty(s->ref_cache)) {
        ret = qcow2_cache_write(bn, s->ref_cache);
    }
    g_mutex_unlock(&s->lock);
    /* Overwrites go by without us: the file is flushed in any case. */
    if (ret == 0 && s->data_file) {
        ret = block_flush(s->data_file);
    }
    ret = ret == 0 ? block_flush(bn->file) : ret;
    __atomic_store_n(&s->flush_failed, ret < 0, __ATOMIC_RELAXED);
    return ret;
}

/* ---- reads --------------------------------------------------------------------------- */

/* From the backing file, zeroes past its end. */
static int read_backing(BlockNode *bn, uint64_t off, const struct iovec *iov,
                        int n, size_t len)
{
    BlockNode *b = bn->backing;
    struct iovec part[COPY_IOVS];
    uint64_t have = b && off < b->size ? MIN(b->size - off, len) : 0;
    int k;

    if (have < len) {
        iov_memset(iov, n, have, 0, len - have);
    }
    if (!have) {
        return 0;
    }
    k = iov_slice(iov, n, 0, have, part);
    return block_preadv(b, off, part, k);
}

static int read_data(BlockNode *bn, uint64_t guest, uint64_t host,
                     const struct iovec *iov, int n, size_t len)
{
    Qcow2State *s = bn->s;
    g_autofree uint8_t *buf = NULL;
    size_t skip, whole;
    int ret;

    if (s->h.crypt_method && !s->crypto) {
        return -EACCES; /* opened for its metadata, without the key */
    }
    if (!s->crypto) {
        block_event(bn->file, BLKDBG_READ_AIO);
        return block_preadv(s->data, host, iov, n);
    }
    /* whole sectors are what can be deciphered */
    skip = guest & 511;
    whole = (skip + len + 511) & ~(size_t)511;
    buf = g_try_malloc(whole);
    ret = buf ? block_pread(s->data, host - skip, buf, whole) : -ENOMEM;
    if (ret == 0) {
        ret = qcow2_crypto_run(s, false, guest - skip, host - skip, buf, whole);
    }
    if (ret == 0) {
        iov_from_buf(iov, n, 0, buf + skip, len);
    }
    return ret;
}

static int read_extent(BlockNode *bn, const Qcow2Map *m, uint64_t off,
                       const struct iovec *iov, int n)
{
    switch (m->kind) {
    case CLUSTER_UNALLOCATED:
    case CLUSTER_UNALLOCATED_SC:
        return read_backing(bn, off, iov, n, m->len);
    case CLUSTER_ZERO:
    case CLUSTER_ZERO_ALLOCATED:
        iov_memset(iov, n, 0, 0, m->len);
        return 0;
    case CLUSTER_COMPRESSED:
        return qcow2_read_packed(bn, off, m->entry, iov, n);
    default:
        return read_data(bn, off, m->host, iov, n, m->len);
    }
}

static int read_ungated(BlockNode *bn, uint64_t off, const struct iovec *iov,
                        int n)
{
    Qcow2State *s = bn->s;
    size_t len = iov_size(iov, n), done = 0;

    if (n > COPY_IOVS) {
        return -EINVAL;
    }
    while (done < len) {
        struct iovec part[COPY_IOVS];
        Qcow2Map m;
        int k, ret;

        g_mutex_lock(&s->lock);
        ret = qcow2_map(bn, off + done, len - done, false, &m);
        g_mutex_unlock(&s->lock);
        if (ret == 0) {
            k = iov_slice(iov, n, done, m.len, part);
            ret = read_extent(bn, &m, off + done, part, k);
        }
        if (ret == -EAGAIN) {
            continue;
        }
        if (ret < 0) {
            return ret;
        }
        done += m.len;
    }
    return 0;
}

int qcow2_read_guest(BlockNode *bn, uint64_t off, void *buf, size_t len)
{
    struct iovec iov = { buf, len };

    return read_ungated(bn, off, &iov, 1);
}

static int qcow2_read(BlockNode *bn, uint64_t off, const struct iovec *iov,
                      int n)
{
    int ret;

    block_gate_enter(&bn->gate, true);
    ret = read_ungated(bn, off, iov, n);
    block_gate_leave(&bn->gate);
    return ret;
}

/* ---- writes ---------------------------------------------------------------------------- */

/* What is around the data, up to the image's end; zeroes behind it. */
static int read_around(BlockNode *bn, uint64_t from, uint64_t to, uint8_t *buf)
{
    uint64_t have = from < bn->size ? MIN(to, bn->size) - from : 0;

    memset(buf + have, 0, to - from - have);
    block_event(bn->file, BLKDBG_COW_READ);
    return have ? qcow2_read_guest(bn, from, buf, have) : 0;
}

/* The data with what is to be filled around it, in one request. */
static int write_filled(BlockNode *bn, const Qcow2Write *w,
                        const struct iovec *iov, int n)
{
    Qcow2State *s = bn->s;
    uint64_t head = w->fresh ? 0 : w->off - w->cow_from;
    uint64_t tail = w->fresh ? 0 : w->cow_to - (w->off + w->len);
    uint64_t host = w->host - head;
    g_autofree uint8_t *around = NULL;
    struct iovec all[COPY_IOVS + 2];
    int k = 0, ret = 0;

    around = g_try_malloc(head + tail + (s->crypto ? w->len : 0) + 1);
    if (!around) {
        return -ENOMEM;
    }
    if (head) {
        ret = read_around(bn, w->cow_from, w->off, around);
        all[k].iov_base = around;
        all[k++].iov_len = head;
    }
    if (s->crypto) {
        iov_to_buf(iov, n, 0, around + head, w->len);
        all[k].iov_base = around + head;
        all[k++].iov_len = w->len;
    } else {
        memcpy(all + k, iov, sizeof(*iov) * (size_t)n);
        k += n;
    }
    if (tail && ret == 0) {
        uint8_t *p = around + head + (s->crypto ? w->len : 0);

        ret = read_around(bn, w->off + w->len, w->cow_to, p);
        all[k].iov_base = p;
        all[k++].iov_len = tail;
    }
    if (ret == 0 && s->crypto) {
        ret = qcow2_crypto_run(s, true, w->off - head, host, around,
                               head + w->len + tail);
    }
    if (ret == 0) {
        block_event(bn->file,
                    head || tail ? BLKDBG_COW_WRITE : BLKDBG_WRITE_AIO);
    }
    return ret < 0 ? ret : block_pwritev(s->data, host, all, k, 0);
}

static int write_ungated(BlockNode *bn, uint64_t off, const struct iovec *iov,
                         int n)
{
    Qcow2State *s = bn->s;
    size_t len = iov_size(iov, n), done = 0;

    if (n > COPY_IOVS) {
        return -EINVAL;
    }
    while (done < len) {
        struct iovec part[COPY_IOVS];
        Qcow2Write w;
        int k, ret;

        g_mutex_lock(&s->lock);
        ret = qcow2_write_begin(bn, off + done, len - done, false, &w);
        g_mutex_unlock(&s->lock);
        if (ret < 0) {
            return ret;
        }
        k = iov_slice(iov, n, done, w.len, part);
        ret = write_filled(bn, &w, part, k);
        g_mutex_lock(&s->lock);
        ret = qcow2_write_end(bn, &w, ret);
        g_mutex_unlock(&s->lock);
        if (ret < 0) {
            return ret;
        }
        done += w.len;
    }
    return 0;
}

int qcow2_write_guest(BlockNode *bn, uint64_t off, const void *buf, size_t len)
{
    struct iovec iov = { (void *)buf, len };

    return write_ungated(bn, off, &iov, 1);
}

static int qcow2_write(BlockNode *bn, uint64_t off, const struct iovec *iov,
                       int n, unsigned flags)
{
    int ret;

    block_gate_enter(&bn->gate, true);
    ret = flags & WRITE_COMPRESSED ? qcow2_write_packed(bn, off, iov, n)
                                   : write_ungated(bn, off, iov, n);
    block_gate_leave(&bn->gate);
    return ret;
}

/* ---- for block/blk.c: without waiting ---------------------------------------------------- */

static int plan_begin(BlockNode *bn, uint64_t off, uint64_t len,
                      WritePlan *plan)
{
    Qcow2State *s = bn->s;
    Qcow2Write *w = (Qcow2Write *)plan->priv;
    int ret;

    if (!g_mutex_trylock(&s->lock)) {
        return -EAGAIN;
    }
    ret = qcow2_write_begin(bn, off, len, true, w);
    g_mutex_unlock(&s->lock);
    plan->off = off;
    plan->len = len;
    plan->host_offset = w->host;
    plan->file = s->data;
    return ret;
}

static int plan_end(BlockNode *bn, WritePlan *plan, int ret)
{
    Qcow2State *s = bn->s;

    g_mutex_lock(&s->lock);
    ret = qcow2_write_end(bn, (Qcow2Write *)plan->priv, ret);
    g_mutex_unlock(&s->lock);
    return ret;
}

static void map_to_extent(BlockNode *bn, uint64_t off, const Qcow2Map *m,
                          BlockExtent *out)
{
    Qcow2State *s = bn->s;

    out->len = m->len;
    out->file = s->data;
    out->host_offset = m->host;
    out->allocated = true;
    switch (m->kind) {
    case CLUSTER_UNALLOCATED:
    case CLUSTER_UNALLOCATED_SC:
        out->kind = EXTENT_HOLE;
        out->allocated = false;
        break;
    case CLUSTER_ZERO:
    case CLUSTER_ZERO_ALLOCATED:
        out->kind = EXTENT_ZERO;
        out->has_offset =
            m->kind == CLUSTER_ZERO_ALLOCATED && !s->h.crypt_method;
        break;
    case CLUSTER_COMPRESSED:
        out->kind = EXTENT_COMPRESSED;
        break;
    default:
        out->kind = EXTENT_DATA;
        out->has_offset = !s->h.crypt_method;
        out->in_place =
            m->copied && !s->h.crypt_method &&
            qcow2_bitmaps_have(s, off, m->len) &&
            (s->data_file || !qcow2_overlap(bn, m->host, m->len, 0));
        break;
    }
}

/* More clusters are counted than the host has space for: their data are holes,
 * which whoever asks may look for. As QEMU, with some slack. */
static bool has_holes_below(BlockNode *bn)
{
    Qcow2State *s = bn->s;
    uint64_t real = to_clusters(s, block_allocated(bn->file));
    uint64_t n = to_clusters(s, bn->file->size);
    uint64_t most = MAX(real * 10 / 9, real + 2), used = 0, count;

    if (s->sparse) {
        return s->sparse > 0;
    }
    s->sparse = -1;
    for (uint64_t i = 0; i < n && used <= most && n > most; i++) {
        if (qcow2_refcount(bn, i, false, &count) < 0) {
            return false;
        }
        used += count != 0;
    }
    s->sparse = used > most ? 1 : -1;
    return s->sparse > 0;
}

static int qcow2_map_request(BlockNode *bn, uint64_t off, uint64_t len,
                             unsigned flags, BlockExtent *out)
{
    Qcow2State *s = bn->s;
    Qcow2Map m;
    int ret;

    if (flags & MAP_NOWAIT) {
        if (!g_mutex_trylock(&s->lock)) {
            return -EAGAIN;
        }
    } else {
        g_mutex_lock(&s->lock);
    }
    ret = qcow2_map(bn, off, len, flags & MAP_NOWAIT, &m);
    if (ret == 0) {
        map_to_extent(bn, off, &m, out);
        out->recurse = out->kind == EXTENT_DATA && out->has_offset &&
                       !(flags & MAP_NOWAIT) && !s->data_file &&
                       bn->read_only && has_holes_below(bn);
    }
    g_mutex_unlock(&s->lock);
    return ret;
}

/* ---- zeroes and discard -------------------------------------------------------------------- */

static int qcow2_zero(BlockNode *bn, uint64_t off, uint64_t len, unsigned flags)
{
    Qcow2State *s = bn->s;
    uint64_t mask = (UINT64_C(1) << s->sc_bits) - 1;
    uint64_t first = (off + mask) & ~mask, end = off + len, last = end & ~mask;
    static const uint8_t zeroes[4096];
    int ret = 0;

    if (end == bn->size) {
        last = (end + mask) & ~mask; /* the rest of it is nobody's */
    }
    if (s->h.version < 3 && (bn->backing || bn->backing_name)) {
        return -ENOTSUP; /* no way to say zero */
    }
    /* The borders are written. */
    for (uint64_t at = off; ret == 0 && at < end;) {
        uint64_t stop = at < first ? MIN(first, end) : at < last ? last : end;
        uint64_t n = MIN(stop - at, sizeof(zeroes));

        if (at >= first && at < last) {
            at = last;
            continue;
        }
        block_gate_enter(&bn->gate, true);
        ret = qcow2_write_guest(bn, at, zeroes, n);
        block_gate_leave(&bn->gate);
        at += n;
    }
    if (ret == 0 && first < last) {
        block_gate_close(&bn->gate);
        g_mutex_lock(&s->lock);
        qcow2_bitmaps_mark(s, first, MIN(last, bn->size) - first);
        ret = qcow2_zero_range(bn, first, last - first, flags & ZERO_MAY_UNMAP);
        g_mutex_unlock(&s->lock);
        block_gate_open(&bn->gate);
    }
    return ret;
}

static int qcow2_discard(BlockNode *bn, uint64_t off, uint64_t len)
{
    Qcow2State *s = bn->s;
    uint64_t mask = s->cluster_size - 1, end = off + len;
    uint64_t first = (off + mask) & ~mask, last = end & ~mask;
    int ret = 0;

    if (end == bn->size) {
        last = (end + mask) & ~mask;
    }
    if (first >= last) {
        return 0;
    }
    block_gate_close(&bn->gate);
    g_mutex_lock(&s->lock);
    qcow2_bitmaps_mark(s, first, MIN(last, bn->size) - first);
    ret = qcow2_discard_range(bn, first, last - first, false);
    g_mutex_unlock(&s->lock);
    block_gate_open(&bn->gate);
    return ret;
}

/* ---- the rest --------------------------------------------------------------------------------- */

static void qcow2_get_info(BlockNode *bn, BlockInfo *out)
{
    Qcow2State *s = bn->s;

    out->cluster_size = (uint32_t)s->cluster_size;
    out->dirty = s->h.incompatible & INCOMPAT_DIRTY;
    out->corrupt = s->h.incompatible & INCOMPAT_CORRUPT;
    out->encrypted = s->h.crypt_method != CRYPT_NONE;
    out->vm_state_offset =
        ((bn->size + qcow2_l2_range(s) - 1) / qcow2_l2_range(s)) *
        qcow2_l2_range(s);
}

static bool qcow2_change_backing(BlockNode *bn, const char *name,
                                 const char *fmt, GError **errp)
{
    Qcow2State *s = bn->s;
    int ret;

    if (name && strlen(name) > QCOW2_MAX_BACKING_NAME) {
        error_setg(errp, "Backing file name too long (%u bytes at most)",
                   QCOW2_MAX_BACKING_NAME);
        return false;
    }
    g_mutex_lock(&s->lock);
    g_free(bn->backing_name);
    g_free(bn->backing_fmt);
    bn->backing_name = g_strdup(name && name[0] ? name : NULL);
    bn->backing_fmt = g_strdup(bn->backing_name ? fmt : NULL);
    ret = qcow2_flush_locked(bn);
    if (ret == 0) {
        ret = qcow2_write_header(bn);
    }
    if (ret == 0) {
        ret = qcow2_fsync(bn);
    }
    g_mutex_unlock(&s->lock);
    if (ret < 0) {
        error_setg_errno(errp, -ret,
                         "Could not change the backing file to '%s'",
                         name ? name : "");
    }
    return ret == 0;
}

static uint64_t qcow2_allocated(BlockNode *bn)
{
    Qcow2State *s = bn->s;

    return block_allocated(bn->file) +
           (s->data_file ? block_allocated(s->data_file) : 0);
}

const BlockDriver block_qcow2 = {
    .name = "qcow2",
    .size = sizeof(Qcow2State),
    .is_format = true,
    .has_backing = true,
    .probe = qcow2_probe,
    .create = qcow2_create,
    .create_opts = qcow2_create_opts,
    .open = qcow2_open,
    .close = qcow2_close,
    .read = qcow2_read,
    .write = qcow2_write,
    .zero = qcow2_zero,
    .discard = qcow2_discard,
    .flush = qcow2_flush,
    .map = qcow2_map_request,
    .write_begin = plan_begin,
    .write_end = plan_end,
    .resize = qcow2_resize,
    .check = qcow2_check,
    .get_info = qcow2_get_info,
    .specific = qcow2_specific,
    .allocated = qcow2_allocated,
    .change_backing = qcow2_change_backing,
    .make_empty = qcow2_make_empty,
    .amend = qcow2_amend,
    .measure = qcow2_measure,
    .snapshots = &qcow2_snapshot_ops,
    .bitmaps = &qcow2_bitmap_ops,
};
