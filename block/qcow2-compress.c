/*
 * Compressed clusters: raw deflate (zlib, window of 4 KiB as QEMU's) or one
 * zstd frame. Their bytes lie anywhere in the file, several to a cluster; the
 * L2 entry has the offset and the number of 512-byte sectors touched.
 */
#include "util/osdep.h"
#include "block/blkdebug.h"
#include "block/qcow2.h"

#include "util/iov.h"

#include <math.h>
#include <zlib.h>
#if CONFIG_LIBDEFLATE
#include <libdeflate.h>
#endif
#if CONFIG_LIBZSTD
#include <zstd.h>
#endif

enum { WINDOW_BITS = -12, WINDOW = 4096, MEM_LEVEL = 9 };

/* ---- codecs ------------------------------------------------------------------------- */

/* What packing and unpacking needs besides the data. To make it anew costs as
 * much as a small cluster, so threads hand it on. */
struct Qcow2Codec {
    Qcow2Codec *next;
    z_stream deflate, inflate;
    bool can_deflate, can_inflate;
#if CONFIG_LIBDEFLATE
    struct libdeflate_decompressor *unpack;
#endif
#if CONFIG_LIBZSTD
    ZSTD_CCtx *zstd_pack;
    ZSTD_DCtx *zstd_unpack;
#endif
    uint8_t *packed, *plain; /* a cluster each */
};

static Qcow2Codec *codec_get(Qcow2State *s)
{
    Qcow2Codec *c;

    g_mutex_lock(&s->unpacked_lock);
    c = s->codecs;
    if (c) {
        s->codecs = c->next;
    }
    g_mutex_unlock(&s->unpacked_lock);
    if (!c) {
        c = g_new0(Qcow2Codec, 1);
        /* compressed bytes may begin anywhere in a sector */
        c->packed = g_malloc(s->cluster_size + 1024);
        c->plain = g_malloc(s->cluster_size);
    }
    return c;
}

static void codec_put(Qcow2State *s, Qcow2Codec *c)
{
    g_mutex_lock(&s->unpacked_lock);
    c->next = s->codecs;
    s->codecs = c;
    g_mutex_unlock(&s->unpacked_lock);
}

static void codec_free(Qcow2Codec *c)
{
    if (c->can_deflate) {
        deflateEnd(&c->deflate);
    }
    if (c->can_inflate) {
        inflateEnd(&c->inflate);
    }
#if CONFIG_LIBDEFLATE
    libdeflate_free_decompressor(c->unpack);
#endif
#if CONFIG_LIBZSTD
    ZSTD_freeCCtx(c->zstd_pack);
    ZSTD_freeDCtx(c->zstd_unpack);
#endif
    g_free(c->packed);
    g_free(c->plain);
    g_free(c);
}

void qcow2_codecs_free(Qcow2State *s)
{
    while (s->codecs) {
        Qcow2Codec *c = s->codecs;

        s->codecs = c->next;
        codec_free(c);
    }
}

/* All byte values are about as frequent: Huffman codes would gain less than a
 * sector in a cluster of 64 KiB. */
static bool is_even(const uint8_t *p, size_t len)
{
    uint32_t count[2][256] = { { 0 } };
    double bits = 0;

    for (size_t i = 0; i < len; i += 2) {
        count[0][p[i]]++;
        count[1][p[i + 1]]++;
    }
    for (unsigned v = 0; v < 256; v++) {
        double n = count[0][v] + count[1][v];

        bits += n > 0 ? n * log2((double)len / n) : 0;
    }
    return bits > 7.95 * (double)len;
}

/* Some four bytes are there again within deflate's window, as far as the last
 * place of each hash tells: more often than noise does it, which is never. */
static bool repeats(const uint8_t *p, size_t len)
{
    uint32_t last[1024] = { 0 };
    unsigned found = 0;

    for (uint32_t i = 0; i + 4 <= len; i++) {
        uint32_t v, w, *at;

        memcpy(&v, p + i, 4);
        at = &last[v * 0x9e3779b1u >> 22];
        memcpy(&w, p + *at, 4);
        found += v == w && i - *at - 1 < WINDOW;
        *at = i;
    }
    return found > len / 1024;
}

/* Deflate would spend its time on @in for nothing. Media and archives are such;
 * a small cluster costs little anyway and says little. */
static bool is_noise(const uint8_t *in, size_t len)
{
    return len >= 16 * 1024 && is_even(in, len) && !repeats(in, len);
}

static ssize_t zlib_pack(Qcow2Codec *c, void *out, size_t out_len,
                         const void *in, size_t len)
{
    z_stream *z = &c->deflate;

    if (is_noise(in, len)) {
        return -ENOMEM;
    }
    if (c->can_deflate) {
        deflateReset(z);
    } else if (deflateInit2(z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW_BITS,
                            MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
        return -EIO;
    }
    c->can_deflate = true;
    z->next_in = (Bytef *)in;
    z->avail_in = (uInt)len;
    z->next_out = out;
    z->avail_out = (uInt)out_len;
    return deflate(z, Z_FINISH) == Z_STREAM_END
               ? (ssize_t)(out_len - z->avail_out)
               : -ENOMEM;
}

#if CONFIG_LIBDEFLATE
/* A stream that ends where it should: the others are zlib's. */
static bool unpack_whole(Qcow2Codec *c, void *out, size_t out_len,
                         const void *in, size_t len)
{
    if (!c->unpack) {
        c->unpack = libdeflate_alloc_decompressor();
    }
    return c->unpack &&
           libdeflate_deflate_decompress_ex(c->unpack, in, len, out, out_len,
                                            NULL, NULL) == LIBDEFLATE_SUCCESS;
}
#else
static bool unpack_whole(Qcow2Codec *c, void *out, size_t out_len,
                         const void *in, size_t len)
{
    return false;
}
#endif

static int zlib_unpack(Qcow2Codec *c, void *out, size_t out_len, const void *in,
                       size_t len)
{
    z_stream *z = &c->inflate;
    int r;

    if (unpack_whole(c, out, out_len, in, len)) {
        return 0;
    }
    if (c->can_inflate) {
        inflateReset(z);
    } else if (inflateInit2(z, WINDOW_BITS) != Z_OK) {
        return -EIO;
    }
    c->can_inflate = true;
    z->next_in = (Bytef *)in;
    z->avail_in = (uInt)len;
    z->next_out = out;
    z->avail_out = (uInt)out_len;
    r = inflate(z, Z_FINISH);
    /* The end mark may be missing when the output is full. */
    return (r == Z_STREAM_END || r == Z_BUF_ERROR) && z->avail_out == 0 ? 0
                                                                        : -EIO;
}

#if CONFIG_LIBZSTD
static ssize_t zstd_pack(Qcow2Codec *c, void *out, size_t out_len,
                         const void *in, size_t len)
{
    size_t n;

    if (!c->zstd_pack) {
        c->zstd_pack = ZSTD_createCCtx();
    }
    if (!c->zstd_pack) {
        return -EIO;
    }
    n = ZSTD_compressCCtx(c->zstd_pack, out, out_len, in, len,
                          ZSTD_CLEVEL_DEFAULT);
    return ZSTD_isError(n) ? -ENOMEM : (ssize_t)n;
}

/* Frame after frame, as a stream. */
static int zstd_unpack_stream(ZSTD_DCtx *d, void *out, size_t out_len,
                              const void *in, size_t len)
{
    ZSTD_outBuffer o = { out, out_len, 0 };
    ZSTD_inBuffer i = { in, len, 0 };

    ZSTD_DCtx_reset(d, ZSTD_reset_session_only);
    while (o.pos < o.size) {
        size_t before = o.pos + i.pos;
        size_t n = ZSTD_decompressStream(d, &o, &i);

        if (ZSTD_isError(n) || (o.pos + i.pos == before && o.pos < o.size) ||
            (n == 0 && o.pos < o.size && i.pos == i.size)) {
            return -EIO;
        }
    }
    return 0;
}

/* As a rule there is one frame, that ends before the sector does. */
static int zstd_unpack(Qcow2Codec *c, void *out, size_t out_len, const void *in,
                       size_t len)
{
    size_t frame = ZSTD_findFrameCompressedSize(in, len), n;

    if (!c->zstd_unpack) {
        c->zstd_unpack = ZSTD_createDCtx();
    }
    if (!c->zstd_unpack) {
        return -ENOMEM;
    }
    if (!ZSTD_isError(frame)) {
        n = ZSTD_decompressDCtx(c->zstd_unpack, out, out_len, in, frame);
        if (!ZSTD_isError(n) && n == out_len) {
            return 0;
        }
    }
    return zstd_unpack_stream(c->zstd_unpack, out, out_len, in, len);
}
#else
static ssize_t zstd_pack(Qcow2Codec *c, void *out, size_t out_len,
                         const void *in, size_t len)
{
    return -ENOTSUP; /* refused when the image was opened */
}

static int zstd_unpack(Qcow2Codec *c, void *out, size_t out_len, const void *in,
                       size_t len)
{
    return -ENOTSUP;
}
#endif

/* A cluster. Bytes packed, or -ENOMEM: it does not get smaller. */
static ssize_t codec_pack(const Qcow2State *s, Qcow2Codec *c, const void *in)
{
    size_t max = s->cluster_size - 1;

    return s->h.compression_type == COMPRESSION_ZSTD
               ? zstd_pack(c, c->packed, max, in, s->cluster_size)
               : zlib_pack(c, c->packed, max, in, s->cluster_size);
}

/* Of c->packed. */
static int codec_unpack(const Qcow2State *s, Qcow2Codec *c, void *out,
                        size_t len)
{
    return s->h.compression_type == COMPRESSION_ZSTD
               ? zstd_unpack(c, out, s->cluster_size, c->packed, len)
               : zlib_unpack(c, out, s->cluster_size, c->packed, len);
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

/* A copy of c->plain, for the next piece of the same cluster. */
static void unpacked_keep(Qcow2State *s, uint64_t entry, Qcow2Codec *c)
{
    uint8_t *old;

    g_mutex_lock(&s->unpacked_lock);
    old = s->unpacked;
    s->unpacked = c ? c->plain : NULL;
    s->unpacked_entry = entry;
    if (c) {
        c->plain = old;
        old = NULL;
    }
    g_mutex_unlock(&s->unpacked_lock);
    g_free(old);
    if (c && !c->plain) {
        c->plain = g_malloc(s->cluster_size);
    }
}

static int read_codec(BlockNode *bn, Qcow2Codec *c, uint64_t entry,
                      uint64_t in_cluster, const struct iovec *iov, int n)
{
    Qcow2State *s = bn->s;
    size_t want = iov_size(iov, n);
    bool whole = n == 1 && want == s->cluster_size;
    uint64_t off, len;
    int ret;

    qcow2_compressed_range(s, entry, &off, &len);
    if (len > s->cluster_size + 1024) {
        return -EIO;
    }
    block_event(bn->file, BLKDBG_READ_COMPRESSED);
    ret = block_pread(bn->file, off, c->packed, len);
    if (ret == 0) {
        ret = codec_unpack(s, c, whole ? iov->iov_base : c->plain, len);
    }
    if (ret == 0 && !whole) {
        iov_from_buf(iov, n, 0, c->plain + in_cluster, want);
        if (in_cluster + want < s->cluster_size) {
            unpacked_keep(s, entry, c);
        }
    }
    return ret;
}

/* Has the cluster been written meanwhile? Then its bytes may be another's. */
static bool entry_changed(BlockNode *bn, uint64_t guest, uint64_t entry)
{
    Qcow2State *s = bn->s;
    Qcow2Map m;
    bool changed;

    g_mutex_lock(&s->lock);
    changed = qcow2_map(bn, guest, 1, false, &m) == 0 &&
              (m.kind != CLUSTER_COMPRESSED || m.entry != entry);
    g_mutex_unlock(&s->lock);
    return changed;
}

int qcow2_read_packed(BlockNode *bn, uint64_t guest, uint64_t entry,
                      const struct iovec *iov, int n)
{
    Qcow2State *s = bn->s;
    uint64_t in_cluster = guest & (s->cluster_size - 1);
    Qcow2Codec *c;
    int ret;

    if (unpacked_have(s, entry, in_cluster, iov, n)) {
        return 0;
    }
    c = codec_get(s);
    ret = read_codec(bn, c, entry, in_cluster, iov, n);
    codec_put(s, c);
    return entry_changed(bn, guest, entry) ? -EAGAIN : ret;
}

/* ---- writing --------------------------------------------------------------------------- */

/* Links a cluster whose bytes are in the file. */
static int link_packed(BlockNode *bn, uint64_t off, uint64_t host, size_t len)
{
    Qcow2State *s = bn->s;
    uint64_t old, sectors = ((host + len - 1) >> 9) - (host >> 9);
    uint8_t *slice;
    unsigned idx;
    int ret = qcow2_l2_slice(bn, off, true, false, &slice, &idx);

    if (ret < 0) {
        return ret;
    }
    old = l2_entry(s, slice, idx);
    if ((old & OFLAG_COPIED) && !(old & OFLAG_COMPRESSED)) {
        return -EIO; /* as QEMU: compression does not overwrite */
    }
    s->unsynced = true;
    l2_set(s, slice, idx, OFLAG_COMPRESSED | host | sectors << s->csize_shift,
           0);
    qcow2_cache_dirty(s->l2_cache, slice);
    qcow2_free_entry(bn, old);
    qcow2_bitmaps_mark(s, off, MIN(s->cluster_size, bn->size - off));
    unpacked_keep(s, 0, NULL);
    return 0;
}

/* One cluster that is packed already. The lock is not held for the transfer:
 * others pack and write meanwhile. */
static int store_packed(BlockNode *bn, uint64_t off, const uint8_t *data,
                        size_t len)
{
    Qcow2State *s = bn->s;
    uint64_t host = 0;
    int ret;

    g_mutex_lock(&s->lock);
    ret = s->broken ? -EIO : qcow2_mark_dirty(bn);
    if (ret == 0) {
        ret = qcow2_alloc_bytes(bn, len, &host);
    }
    g_mutex_unlock(&s->lock);
    if (ret < 0) {
        return ret;
    }
    block_event(bn->file, BLKDBG_WRITE_COMPRESSED);
    ret = block_pwrite(bn->file, host, data, len);
    g_mutex_lock(&s->lock);
    if (ret == 0) {
        ret = link_packed(bn, off, host, len);
    }
    if (ret < 0) {
        qcow2_free_now(bn, host, len);
    }
    g_mutex_unlock(&s->lock);
    return ret;
}

/* @len: of @data, a cluster, that is inside the image. */
static int write_one(BlockNode *bn, uint64_t off, const uint8_t *data,
                     size_t len)
{
    Qcow2State *s = bn->s;
    Qcow2Codec *c = codec_get(s);
    ssize_t n = codec_pack(s, c, data);
    int ret = (int)n;

    if (n == -ENOMEM) { /* does not get smaller */
        ret = qcow2_write_guest(bn, off, data, len);
    } else if (n >= 0) {
        ret = store_packed(bn, off, c->packed, (size_t)n);
    }
    codec_put(s, c);
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
    for (size_t done = 0; done < len && ret == 0; done += s->cluster_size) {
        size_t part = MIN(len - done, s->cluster_size);

        if (n == 1 && part == s->cluster_size) {
            ret = write_one(bn, off + done, (uint8_t *)iov->iov_base + done,
                            part);
            continue;
        }
        buf = buf ? buf : g_malloc(s->cluster_size);
        iov_to_buf(iov, n, done, buf, part);
        memset(buf + part, 0, s->cluster_size - part);
        ret = write_one(bn, off + done, buf, part);
    }
    return ret;
}
