/*
 * Compressed clusters: raw deflate (zlib, window of 4 KiB as QEMU's) or one
 * zstd frame. Their bytes lie anywhere in the file, several to a cluster; the
 * L2 entry has the offset and the number of 512-byte sectors touched.
 */
#include "util/osdep.h"
#include "block/qcow2.h"

#include "util/iov.h"

#include <zlib.h>
#if CONFIG_LIBZSTD
#include <zstd.h>
#endif

enum { WINDOW_BITS = -12, MEM_LEVEL = 9 };

/* ---- packing ------------------------------------------------------------------------ */

static ssize_t zlib_pack(void *out, size_t out_len, const void *in, size_t len)
{
    z_stream z = { 0 };
    ssize_t ret;

    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW_BITS,
                     MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
        return -EIO;
    }
    z.next_in = (Bytef *)in;
    z.avail_in = (uInt)len;
    z.next_out = out;
    z.avail_out = (uInt)out_len;
    ret = deflate(&z, Z_FINISH) == Z_STREAM_END
              ? (ssize_t)(out_len - z.avail_out)
              : -ENOMEM;
    deflateEnd(&z);
    return ret;
}

static int zlib_unpack(void *out, size_t out_len, const void *in, size_t len)
{
    z_stream z = { 0 };
    int r;

    z.next_in = (Bytef *)in;
    z.avail_in = (uInt)len;
    z.next_out = out;
    z.avail_out = (uInt)out_len;
    if (inflateInit2(&z, WINDOW_BITS) != Z_OK) {
        return -EIO;
    }
    r = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    /* The end mark may be missing when the output is full. */
    return (r == Z_STREAM_END || r == Z_BUF_ERROR) && z.avail_out == 0 ? 0
                                                                       : -EIO;
}

#if CONFIG_LIBZSTD
static ssize_t zstd_pack(void *out, size_t out_len, const void *in, size_t len)
{
    size_t n = ZSTD_compress(out, out_len, in, len, ZSTD_CLEVEL_DEFAULT);

    return ZSTD_isError(n) ? -ENOMEM : (ssize_t)n;
}

/* The frame ends before the sector does, so not ZSTD_decompress(). */
static int zstd_unpack(void *out, size_t out_len, const void *in, size_t len)
{
    ZSTD_outBuffer o = { out, out_len, 0 };
    ZSTD_inBuffer i = { in, len, 0 };
    ZSTD_DCtx *d = ZSTD_createDCtx();
    int ret = d ? 0 : -ENOMEM;

    while (ret == 0 && o.pos < o.size) {
        size_t before = o.pos + i.pos;
        size_t n = ZSTD_decompressStream(d, &o, &i);

        if (ZSTD_isError(n) || (o.pos + i.pos == before && o.pos < o.size) ||
            (n == 0 && o.pos < o.size && i.pos == i.size)) {
            ret = -EIO;
        }
    }
    ZSTD_freeDCtx(d);
    return ret;
}
#else
static ssize_t zstd_pack(void *out, size_t out_len, const void *in, size_t len)
{
    return -ENOTSUP; /* refused when the image was opened */
}

static int zstd_unpack(void *out, size_t out_len, const void *in, size_t len)
{
    return -ENOTSUP;
}
#endif

ssize_t qcow2_pack(const Qcow2State *s, void *out, size_t out_len,
                   const void *in, size_t len)
{
    return s->h.compression_type == COMPRESSION_ZSTD
               ? zstd_pack(out, out_len, in, len)
               : zlib_pack(out, out_len, in, len);
}

int qcow2_unpack(const Qcow2State *s, void *out, size_t out_len, const void *in,
                 size_t len)
{
    return s->h.compression_type == COMPRESSION_ZSTD
               ? zstd_unpack(out, out_len, in, len)
               : zlib_unpack(out, out_len, in, len);
}

/* ---- reading -------------------------------------------------------------------------- */

static bool unpacked_have(Qcow2State *s, uint64_t entry, uint64_t off,
                          const struct iovec *iov, int n)
{
    bool have;

    g_mutex_lock(&s->unpacked_lock);
    have = s->unpacked && s->unpacked_entry == entry;
    if (have) {
        iov_from_buf(iov, n, 0, s->unpacked + off, iov_size(iov, n));
    }
    g_mutex_unlock(&s->unpacked_lock);
    return have;
}

/* Takes @buf. */
static void unpacked_keep(Qcow2State *s, uint64_t entry, uint8_t *buf)
{
    uint8_t *old;

    g_mutex_lock(&s->unpacked_lock);
    old = s->unpacked;
    s->unpacked = buf;
    s->unpacked_entry = entry;
    g_mutex_unlock(&s->unpacked_lock);
    g_free(old);
}

int qcow2_read_packed(BlockNode *bn, uint64_t entry, uint64_t off_in_cluster,
                      const struct iovec *iov, int n)
{
    Qcow2State *s = bn->s;
    g_autofree uint8_t *packed = NULL, *buf = NULL;
    uint64_t off, len;
    int ret;

    if (unpacked_have(s, entry, off_in_cluster, iov, n)) {
        return 0;
    }
    qcow2_compressed_range(s, entry, &off, &len);
    packed = g_try_malloc(len);
    buf = g_try_malloc(s->cluster_size);
    if (!packed || !buf) {
        return -ENOMEM;
    }
    /* With the lock: another write may free and reuse these bytes. Whether the
     * entry still holds was known when we came here; what is freed is not
     * reused before a sync, and a mistake shows as unreadable data. */
    g_mutex_lock(&s->lock);
    ret = block_pread(bn->file, off, packed, len);
    g_mutex_unlock(&s->lock);
    if (ret == 0) {
        ret = qcow2_unpack(s, buf, s->cluster_size, packed, len);
    }
    if (ret == 0) {
        iov_from_buf(iov, n, 0, buf + off_in_cluster, iov_size(iov, n));
        if (off_in_cluster + iov_size(iov, n) < s->cluster_size) {
            unpacked_keep(s, entry, g_steal_pointer(&buf));
        }
    }
    return ret;
}

/* ---- writing --------------------------------------------------------------------------- */

/* One cluster that is packed already. */
static int store_packed(BlockNode *bn, uint64_t off, const uint8_t *data,
                        size_t len)
{
    Qcow2State *s = bn->s;
    uint64_t host, old, sectors;
    uint8_t *slice;
    unsigned idx;
    int ret = qcow2_mark_dirty(bn);

    if (ret == 0) {
        ret = qcow2_l2_slice(bn, off, true, false, &slice, &idx);
    }
    if (ret < 0) {
        return ret;
    }
    old = l2_entry(s, slice, idx);
    if ((old & OFLAG_COPIED) && !(old & OFLAG_COMPRESSED)) {
        return -EIO; /* as QEMU: compression does not overwrite */
    }
    ret = qcow2_alloc_bytes(bn, len, &host);
    if (ret == 0) {
        ret = block_pwrite(bn->file, host, data, len);
        if (ret < 0) {
            qcow2_free_now(bn, host, len);
        }
    }
    if (ret == 0) { /* the slice may have gone */
        ret = qcow2_l2_slice(bn, off, true, false, &slice, &idx);
    }
    if (ret < 0) {
        return ret;
    }
    s->unsynced = true;
    sectors = ((host + len - 1) >> 9) - (host >> 9);
    l2_set(s, slice, idx, OFLAG_COMPRESSED | host | sectors << s->csize_shift,
           0);
    qcow2_cache_dirty(s->l2_cache, slice);
    qcow2_free_entry(bn, old);
    qcow2_bitmaps_mark(s, off, MIN(s->cluster_size, bn->size - off));
    unpacked_keep(s, 0, NULL);
    return 0;
}

static int write_one(BlockNode *bn, uint64_t off, const uint8_t *data,
                     size_t len)
{
    Qcow2State *s = bn->s;
    g_autofree uint8_t *out = g_try_malloc(s->cluster_size);
    ssize_t n =
        out ? qcow2_pack(s, out, s->cluster_size - 1, data, s->cluster_size)
            : -ENOMEM;
    int ret;

    if (!out || n == -EIO || n == -ENOTSUP) {
        return (int)n;
    }
    if (n < 0) { /* does not get smaller */
        return qcow2_write_guest(bn, off, data, len);
    }
    g_mutex_lock(&s->lock);
    ret = store_packed(bn, off, out, (size_t)n);
    g_mutex_unlock(&s->lock);
    return ret;
}

int qcow2_write_packed(BlockNode *bn, uint64_t off, const struct iovec *iov,
                       int n)
{
    Qcow2State *s = bn->s;
    size_t len = iov_size(iov, n);
    g_autofree uint8_t *buf = NULL;
    int ret = 0;

    if (s->data_file || s->crypto) {
        return -ENOTSUP;
    }
    if ((off & (s->cluster_size - 1)) ||
        ((len & (s->cluster_size - 1)) && off + len != bn->size)) {
        return -EINVAL;
    }
    buf = g_try_malloc(s->cluster_size);
    if (!buf) {
        return -ENOMEM;
    }
    for (size_t done = 0; done < len && ret == 0; done += s->cluster_size) {
        size_t part = MIN(len - done, s->cluster_size);

        iov_to_buf(iov, n, done, buf, part);
        memset(buf + part, 0, s->cluster_size - part);
        ret = write_one(bn, off + done, buf, part);
    }
    return ret;
}
