/*
 * vmdk: VMware's disk images, see vmdk.h.
 *
 * A new grain is appended: its bytes go to the file first, then the entry of
 * its table, then the same entry of the second table, so that a crash in
 * between leaves an unused grain and nothing else. An image that may be a
 * parent has a CID, which changes with the first write after opening; a child
 * whose parent's CID is not the one it knows is not read.
 *
 * Grains of "streamOptimized" are compressed and written once, whole.
 */
#include "util/osdep.h"
#include "block/drivers.h"
#include "block/format.h"
#include "block/vmdk.h"

#include "util/bits.h"
#include "util/iov.h"
#include "util/log.h"

#include <zlib.h>

enum { INFLATE_STEP = 64 << 10, COPY_STEP = 1 << 20 };

typedef enum Grain { GRAIN_NONE, GRAIN_ZERO, GRAIN_STORED, GRAIN_BAD } Grain;

static int vmdk_probe(const uint8_t *head, size_t len, const char *filename)
{
    size_t at = 0;

    if (len >= 4 &&
        (memcmp(head, "KDMV", 4) == 0 || memcmp(head, "COWD", 4) == 0)) {
        return 100;
    }
    /* Comments and empty lines, then the version. */
    while (at < len) {
        const uint8_t *nl = memchr(head + at, '\n', len - at);
        size_t n = nl ? (size_t)(nl - head) - at : len - at;
        const char *p = (const char *)head + at;

        if (n && p[n - 1] == '\r') {
            n--;
        }
        if (n == 9 && memcmp(p, "version=", 8) == 0) {
            return p[8] >= '1' && p[8] <= '3' ? 100 : 0;
        }
        if (!nl || (*p != '#' && strspn(p, " ") < n)) {
            return 0;
        }
        at = (size_t)(nl - head) + 1;
    }
    return 0;
}

/* ---- where things are ------------------------------------------------------------- */

static VmdkExtent *extent_at(const VmdkState *s, uint64_t off)
{
    unsigned lo = 0, hi = s->n;

    while (hi - lo > 1) {
        unsigned mid = lo + (hi - lo) / 2;

        if (s->extents[mid].start <= off) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    return &s->extents[lo];
}

/* With the lock: the table @index, or NULL and *ret. */
static uint32_t *load_table(VmdkExtent *e, uint32_t index, int *ret)
{
    VmdkTable *t = &e->cache[index % VMDK_CACHED];
    size_t len = (size_t)e->gtes * 4;

    *ret = 0;
    if (t->gte && t->index == index) {
        return t->gte;
    }
    if (!t->gte) {
        t->gte = g_malloc(len);
    }
    t->index = index;
    *ret =
        block_pread(e->file, (uint64_t)e->gd[index] * VMDK_SECTOR, t->gte, len);
    if (*ret < 0) {
        g_clear_pointer(&t->gte, g_free);
        return NULL;
    }
    for (uint32_t i = 0; i < e->gtes; i++) {
        t->gte[i] = GUINT32_FROM_LE(t->gte[i]);
    }
    return t->gte;
}

static Grain grain_kind(const VmdkExtent *e, uint32_t gte)
{
    return !gte                                          ? GRAIN_NONE
           : gte == VMDK_GTE_ZEROED && e->has_zero_grain ? GRAIN_ZERO
           : (uint64_t)gte * VMDK_SECTOR < e->overhead   ? GRAIN_BAD
                                                         : GRAIN_STORED;
}

/* With the lock: grain number @g of the extent. Below 0: -errno. */
static int look_up(VmdkExtent *e, uint64_t g, uint32_t *gte)
{
    uint32_t index = (uint32_t)(g / e->gtes);
    uint32_t *t;
    int ret;

    *gte = 0;
    if (!e->gd[index]) {
        return GRAIN_NONE;
    }
    t = load_table(e, index, &ret);
    if (!t) {
        return ret;
    }
    *gte = t[g % e->gtes];
    return (int)grain_kind(e, *gte);
}

/* Bytes of the grain @g that belong to the disk: the last may be shorter. */
static uint64_t grain_len(const VmdkExtent *e, uint64_t g)
{
    return MIN(e->grain, e->size - g * e->grain);
}

/* ---- the parent ------------------------------------------------------------------- */

/* The parent is what it was when the child was made; else -EINVAL. */
static int check_parent(BlockNode *bn)
{
    VmdkState *s = bn->s;
    const VmdkState *p;
    bool same;

    if (!bn->backing || g_atomic_int_get(&s->cid_checked) > 0) {
        return 0;
    }
    if (g_atomic_int_get(&s->cid_checked) < 0) {
        return -EINVAL;
    }
    p = bn->backing->s;
    same = bn->backing->drv == bn->drv && p->cid == s->parent_cid;
    if (!same) {
        error_report("%s: the backing file '%s' was changed since (its CID is "
                     "not %08x)",
                     bn->filename, bn->backing->filename, s->parent_cid);
    }
    g_atomic_int_set(&s->cid_checked, same ? 1 : -1);
    return same ? 0 : -EINVAL;
}

static int read_below(BlockNode *bn, uint64_t off, const struct iovec *iov,
                      int n)
{
    size_t len = iov_size(iov, n), have = 0;
    g_autofree struct iovec *part = g_new(struct iovec, (gsize)n);
    int ret = check_parent(bn), k;

    if (ret < 0) {
        return ret;
    }
    if (bn->backing && off < bn->backing->size) {
        have = MIN(len, bn->backing->size - off);
        k = iov_slice(iov, n, 0, have, part);
        ret = block_preadv(bn->backing, off, part, k);
    }
    iov_memset(iov, n, have, 0, len - have);
    return ret;
}

/* ---- compressed grains -------------------------------------------------------------- */

/* @len bytes behind the first @skip of what @in unpacks to. */
static int inflate_part(const uint8_t *in, size_t in_len, size_t skip,
                        uint8_t *out, size_t len)
{
    z_stream z = { .next_in = (uint8_t *)in, .avail_in = (uInt)in_len };
    g_autofree uint8_t *drop = skip ? g_malloc(INFLATE_STEP) : NULL;
    int ret = Z_OK;

    if (inflateInit(&z) != Z_OK) {
        return -ENOMEM;
    }
    while ((skip || len) && ret == Z_OK) {
        size_t n = skip ? MIN(skip, INFLATE_STEP) : len;
        size_t got;

        z.next_out = skip ? drop : out;
        z.avail_out = (uInt)n;
        ret = inflate(&z, Z_NO_FLUSH);
        got = n - z.avail_out;
        if (skip) {
            skip -= got;
        } else {
            out += got;
            len -= got;
        }
    }
    inflateEnd(&z);
    return skip || len ? -EIO : 0;
}

static int read_packed(VmdkExtent *e, uint64_t at, uint64_t in,
                       const struct iovec *iov, int n)
{
    size_t len = iov_size(iov, n), room = 2 * (size_t)e->grain;
    uint64_t have = at < e->file->size ? e->file->size - at : 0;
    g_autofree uint8_t *packed = NULL, *out = NULL;
    uint8_t marker[VMDK_MARKER];
    int ret;

    if (e->has_marker) {
        ret =
            have < sizeof(marker) ? -EIO : block_pread(e->file, at, marker, 12);
        if (ret < 0) {
            return ret;
        }
        have -= VMDK_MARKER;
        at += VMDK_MARKER;
        if (!ld_le32(marker + 8) || ld_le32(marker + 8) > MIN(room, have)) {
            return -EIO;
        }
        room = ld_le32(marker + 8);
    }
    room = MIN(room, have);
    packed = g_try_malloc(MAX(room, 1));
    out = g_try_malloc(len);
    if (!packed || !out) {
        return -ENOMEM;
    }
    ret = room ? block_pread(e->file, at, packed, room) : -EIO;
    if (ret == 0) {
        ret = inflate_part(packed, room, in, out, len);
    }
    if (ret == 0) {
        iov_from_buf(iov, n, 0, out, len);
    }
    return ret;
}

/* The marker and the packed bytes, whole sectors: a new buffer. */
static uint8_t *pack(uint64_t lba, const uint8_t *in, size_t len, size_t *out)
{
    uLongf n = compressBound((uLong)len);
    uint8_t *buf = g_try_malloc0(VMDK_MARKER + n + VMDK_SECTOR);

    if (!buf || compress(buf + VMDK_MARKER, &n, in, (uLong)len) != Z_OK) {
        g_free(buf);
        return NULL;
    }
    st_le64(buf, lba);
    st_le32(buf + 8, (uint32_t)n);
    *out = (VMDK_MARKER + n + VMDK_SECTOR - 1) / VMDK_SECTOR * VMDK_SECTOR;
    return buf;
}

/* ---- read ------------------------------------------------------------------------- */

/* Inside one grain of @e; @at is the offset in the extent. */
static int read_grain(BlockNode *bn, VmdkExtent *e, uint64_t at,
                      const struct iovec *iov, int n)
{
    VmdkState *s = bn->s;
    uint64_t in = at % e->grain;
    uint32_t gte;
    int kind;

    g_mutex_lock(&s->lock);
    kind = look_up(e, at / e->grain, &gte);
    g_mutex_unlock(&s->lock);
    switch (kind) {
    case GRAIN_NONE:
        return read_below(bn, e->start + at, iov, n);
    case GRAIN_ZERO:
        iov_memset(iov, n, 0, 0, iov_size(iov, n));
        return 0;
    case GRAIN_STORED:
        return e->compressed
                   ? read_packed(e, (uint64_t)gte * VMDK_SECTOR, in, iov, n)
                   : block_preadv(e->file, (uint64_t)gte * VMDK_SECTOR + in,
                                  iov, n);
    default:
        return kind < 0 ? kind : -EIO;
    }
}

/* How much of @len bytes at @off is in one extent, and one grain. */
static size_t piece(const VmdkExtent *e, uint64_t off, size_t len)
{
    uint64_t at = off - e->start;

    len = MIN(len, e->size - at);
    return e->flat ? len : MIN(len, e->grain - at % e->grain);
}

static int vmdk_read(BlockNode *bn, uint64_t off, const struct iovec *iov,
                     int n)
{
    size_t len = iov_size(iov, n), done = 0;
    g_autofree struct iovec *part = g_new(struct iovec, (gsize)n);
    int ret = 0;

    while (done < len && ret == 0) {
        VmdkExtent *e = extent_at(bn->s, off + done);
        uint64_t at = off + done - e->start;
        size_t m = piece(e, off + done, len - done);
        int k = iov_slice(iov, n, done, m, part);

        if (e->zero) {
            iov_memset(part, k, 0, 0, m);
        } else if (e->flat) {
            ret = block_preadv(e->file, e->flat_off + at, part, k);
        } else {
            ret = read_grain(bn, e, at, part, k);
        }
        done += m;
    }
    return ret;
}

/* ---- write ------------------------------------------------------------------------ */

/* With the lock: where a new grain or table begins, which the file's end is. */
static int next_place(VmdkExtent *e, uint64_t len, uint64_t *out)
{
    if (!e->next) {
        uint64_t end = MAX(e->file->size, MAX(e->overhead, VMDK_HEADER));

        e->next = (end + e->grain - 1) / e->grain * e->grain;
    }
    *out = e->next;
    if (e->next / VMDK_SECTOR > UINT32_MAX) {
        return -EFBIG;
    }
    e->next += len; /* never used twice, whatever happens next */
    return 0;
}

/* With the lock: a table of zeroes where the directory has none. */
static int add_table(VmdkExtent *e, uint32_t index)
{
    uint64_t len = ((uint64_t)e->gtes * 4 + 511) & ~UINT64_C(511);
    uint64_t room = (2 * len + e->grain - 1) / e->grain * e->grain, at;
    uint32_t first, second;
    int ret = next_place(e, room, &at);

    if (ret == 0) {
        ret = block_zero(e->file, at, room, 0);
    }
    if (ret < 0) {
        return ret;
    }
    first = GUINT32_TO_LE((uint32_t)(at / VMDK_SECTOR));
    second = GUINT32_TO_LE((uint32_t)((at + len) / VMDK_SECTOR));
    ret = block_pwrite(e->file, e->gd_off + (uint64_t)index * 4, &first, 4);
    if (ret == 0) {
        e->gd[index] = (uint32_t)(at / VMDK_SECTOR);
    }
    if (ret == 0 && e->rgd) {
        ret =
            block_pwrite(e->file, e->rgd_off + (uint64_t)index * 4, &second, 4);
        e->rgd[index] = (uint32_t)((at + len) / VMDK_SECTOR);
    }
    return ret;
}

/* With the lock: the entry of grain @g becomes @gte, in both tables. */
static int set_entry(VmdkExtent *e, uint64_t g, uint32_t gte)
{
    uint32_t index = (uint32_t)(g / e->gtes), slot = (uint32_t)(g % e->gtes);
    uint32_t le = GUINT32_TO_LE(gte), *t;
    int ret = e->gd[index] ? 0 : add_table(e, index);

    if (ret < 0) {
        return ret;
    }
    t = load_table(e, index, &ret);
    if (!t) {
        return ret;
    }
    ret = block_pwrite(
        e->file, (uint64_t)e->gd[index] * VMDK_SECTOR + (uint64_t)slot * 4, &le,
        4);
    if (ret == 0) {
        t[slot] = gte;
    }
    if (ret == 0 && e->rgd && e->rgd[index]) {
        ret = block_pwrite(
            e->file, (uint64_t)e->rgd[index] * VMDK_SECTOR + (uint64_t)slot * 4,
            &le, 4);
    }
    return ret;
}

/* What surrounds the written part of a new grain: the parent's or zeroes. */
static int fill(BlockNode *bn, VmdkExtent *e, uint64_t guest, uint64_t host,
                uint64_t len, bool zeroes)
{
    g_autofree uint8_t *buf = NULL;
    int ret = 0;

    if (!bn->backing || zeroes) {
        return len ? block_zero(e->file, host, len, ZERO_MAY_UNMAP) : 0;
    }
    buf = len ? g_try_malloc(MIN(len, COPY_STEP)) : NULL;
    if (len && !buf) {
        return -ENOMEM;
    }
    while (len && ret == 0) {
        struct iovec iov = { buf, MIN(len, COPY_STEP) };

        ret = read_below(bn, guest, &iov, 1);
        if (ret == 0) {
            ret = block_pwrite(e->file, host, buf, iov.iov_len);
        }
        guest += iov.iov_len;
        host += iov.iov_len;
        len -= iov.iov_len;
    }
    return ret;
}

/* With the lock. */
static int new_grain(BlockNode *bn, VmdkExtent *e, uint64_t at, bool zeroes,
                     const struct iovec *iov, int n)
{
    uint64_t g = at / e->grain, in = at % e->grain, host;
    uint64_t end = in + iov_size(iov, n), guest = e->start + at;
    int ret = next_place(e, e->grain, &host);

    if (ret == 0) {
        ret = fill(bn, e, guest - in, host, in, zeroes);
    }
    if (ret == 0) {
        ret = block_pwritev(e->file, host + in, iov, n, 0);
    }
    if (ret == 0) {
        ret = fill(bn, e, guest - in + end, host + end, e->grain - end, zeroes);
    }
    return ret < 0 ? ret : set_entry(e, g, (uint32_t)(host / VMDK_SECTOR));
}

/* A whole grain, once: streams are not for changing. */
static int write_packed(BlockNode *bn, VmdkExtent *e, uint64_t at,
                        const struct iovec *iov, int n)
{
    VmdkState *s = bn->s;
    size_t len = iov_size(iov, n), packed_len;
    uint64_t g = at / e->grain, host;
    g_autofree uint8_t *buf = NULL, *packed = NULL;
    uint32_t gte;
    int ret;

    if (at % e->grain || len != grain_len(e, g)) {
        return -EINVAL;
    }
    buf = g_try_malloc(len);
    if (!buf) {
        return -ENOMEM;
    }
    iov_to_buf(iov, n, 0, buf, len);
    packed = pack(at / VMDK_SECTOR, buf, len, &packed_len);
    if (!packed) {
        return -ENOMEM;
    }
    if (!e->has_marker) {
        memmove(packed, packed + VMDK_MARKER, packed_len - VMDK_MARKER);
    }
    g_mutex_lock(&s->lock);
    ret = look_up(e, g, &gte);
    if (ret >= 0) {
        ret = ret == GRAIN_NONE || ret == GRAIN_ZERO ? 0 : -EIO;
    }
    if (ret == 0) {
        ret = next_place(e, packed_len, &host);
    }
    if (ret == 0) {
        ret = block_pwrite(e->file, host, packed, packed_len);
    }
    if (ret == 0) {
        ret = set_entry(e, g, (uint32_t)(host / VMDK_SECTOR));
    }
    g_mutex_unlock(&s->lock);
    return ret;
}

static int write_grain(BlockNode *bn, VmdkExtent *e, uint64_t at,
                       const struct iovec *iov, int n)
{
    VmdkState *s = bn->s;
    uint32_t gte;
    int kind;

    g_mutex_lock(&s->lock);
    kind = look_up(e, at / e->grain, &gte);
    if (kind == GRAIN_NONE || kind == GRAIN_ZERO) {
        int ret = new_grain(bn, e, at, kind == GRAIN_ZERO, iov, n);

        g_mutex_unlock(&s->lock);
        return ret;
    }
    g_mutex_unlock(&s->lock);
    if (kind != GRAIN_STORED) {
        return kind < 0 ? kind : -EIO;
    }
    return block_pwritev(e->file, (uint64_t)gte * VMDK_SECTOR + at % e->grain,
                         iov, n, 0);
}

static int vmdk_write(BlockNode *bn, uint64_t off, const struct iovec *iov,
                      int n, unsigned flags)
{
    size_t len = iov_size(iov, n), done = 0;
    g_autofree struct iovec *part = g_new(struct iovec, (gsize)n);
    int ret = vmdk_touch_cid(bn);

    while (done < len && ret == 0) {
        VmdkExtent *e = extent_at(bn->s, off + done);
        uint64_t at = off + done - e->start;
        size_t m = piece(e, off + done, len - done);
        int k = iov_slice(iov, n, done, m, part);

        if (e->zero) {
            ret = -EPERM; /* nothing to write to */
        } else if (e->compressed) {
            ret = write_packed(bn, e, at, part, k);
        } else if (flags & WRITE_COMPRESSED) {
            ret = -ENOTSUP;
        } else if (e->flat) {
            ret = block_pwritev(e->file, e->flat_off + at, part, k, 0);
        } else {
            ret = write_grain(bn, e, at, part, k);
        }
        done += m;
    }
    return ret;
}

/* ---- zeroes ------------------------------------------------------------------------ */

/* Inside one grain: done when it reads as zeroes already or its entry can say
 * so, -ENOTSUP when zeroes must be written. */
static int zero_grain(BlockNode *bn, VmdkExtent *e, uint64_t at, uint64_t len)
{
    VmdkState *s = bn->s;
    uint64_t g = at / e->grain;
    uint32_t gte;
    int ret;

    g_mutex_lock(&s->lock);
    ret = look_up(e, g, &gte);
    if (ret == GRAIN_ZERO || (ret == GRAIN_NONE && !bn->backing)) {
        ret = 0;
    } else if (ret >= 0 && ret != GRAIN_BAD && e->has_zero_grain &&
               at % e->grain == 0 && len == grain_len(e, g)) {
        ret = set_entry(e, g, VMDK_GTE_ZEROED);
    } else if (ret >= 0) {
        ret = -ENOTSUP;
    }
    g_mutex_unlock(&s->lock);
    return ret;
}

static int write_zeroes(BlockNode *bn, uint64_t off, uint64_t len)
{
    g_autofree uint8_t *buf = g_try_malloc0(MIN(len, COPY_STEP));
    int ret = buf ? 0 : -ENOMEM;

    while (len && ret == 0) {
        struct iovec iov = { buf, MIN(len, COPY_STEP) };

        ret = vmdk_write(bn, off, &iov, 1, 0);
        off += iov.iov_len;
        len -= iov.iov_len;
    }
    return ret;
}

static int vmdk_zero(BlockNode *bn, uint64_t off, uint64_t len, unsigned flags)
{
    int ret = vmdk_touch_cid(bn);

    while (len && ret == 0) {
        VmdkExtent *e = extent_at(bn->s, off);
        uint64_t m = piece(e, off, (size_t)len);

        if (e->zero) {
            ret = 0;
        } else if (e->flat) {
            ret = block_zero(e->file, e->flat_off + (off - e->start), m, flags);
        } else {
            ret = zero_grain(bn, e, off - e->start, m);
            if (ret == -ENOTSUP && !(flags & ZERO_NO_FALLBACK)) {
                ret = write_zeroes(bn, off, m);
            }
        }
        off += m;
        len -= m;
    }
    return ret;
}

/* ---- map, flush, info -------------------------------------------------------------- */

/* With the lock: the run of grains of one kind, one after the other. */
static int map_grains(BlockNode *bn, VmdkExtent *e, uint64_t at, uint64_t len,
                      BlockExtent *out)
{
    uint64_t g = at / e->grain, end = (g / e->gtes + 1) * e->gtes;
    uint64_t run = e->grain - at % e->grain;
    uint32_t gte, next;
    int kind = look_up(e, g, &gte);

    if (kind < 0 || kind == GRAIN_BAD) {
        return kind < 0 ? kind : -EIO;
    }
    for (uint32_t want = gte; run < len && ++g < end; run += e->grain) {
        want += kind == GRAIN_STORED ? e->grain / VMDK_SECTOR : 0;
        if (look_up(e, g, &next) != kind || (next != want && !e->compressed)) {
            break;
        }
    }
    out->len = MIN(run, len);
    out->allocated = kind == GRAIN_STORED;
    out->kind = kind == GRAIN_NONE   ? EXTENT_HOLE
                : kind == GRAIN_ZERO ? EXTENT_ZERO
                : e->compressed      ? EXTENT_COMPRESSED
                                     : EXTENT_DATA;
    if (out->kind == EXTENT_DATA) {
        out->has_offset = true;
        out->host_offset = (uint64_t)gte * VMDK_SECTOR + at % e->grain;
        out->file = e->file;
    }
    return 0;
}

/* With the lock: is what says where @at is in memory? */
static bool in_memory(const VmdkExtent *e, uint64_t at)
{
    uint32_t index = (uint32_t)(at / e->grain / e->gtes);
    const VmdkTable *t = &e->cache[index % VMDK_CACHED];

    return !e->gd[index] || (t->gte && t->index == index);
}

static int vmdk_map(BlockNode *bn, uint64_t off, uint64_t len, unsigned flags,
                    BlockExtent *out)
{
    VmdkState *s = bn->s;
    VmdkExtent *e = extent_at(s, off);
    uint64_t at = off - e->start;
    int ret = 0;

    len = MIN(len, e->size - at);
    if (e->flat) {
        out->len = len;
        out->kind = e->zero ? EXTENT_ZERO : EXTENT_DATA;
        out->allocated = out->has_offset = out->recurse = !e->zero;
        out->host_offset = e->zero ? 0 : e->flat_off + at;
        out->file = e->file;
    } else {
        if (!format_lock(&s->lock, flags)) {
            return -EAGAIN;
        }
        ret = (flags & MAP_NOWAIT) && !in_memory(e, at)
                  ? -EAGAIN
                  : map_grains(bn, e, at, len, out);
        g_mutex_unlock(&s->lock);
    }
    /* The first write must pass through here: it changes the CID. */
    out->in_place = out->has_offset && g_atomic_int_get(&s->cid_fresh);
    return ret;
}

static int vmdk_flush(BlockNode *bn)
{
    VmdkState *s = bn->s;
    int ret = block_flush(bn->file);

    for (unsigned i = 0; i < s->n; i++) {
        if (s->extents[i].own_file) {
            int r = block_flush(s->extents[i].file);

            ret = ret < 0 ? ret : r;
        }
    }
    return ret;
}

static uint64_t vmdk_allocated(BlockNode *bn)
{
    VmdkState *s = bn->s;
    uint64_t n = block_allocated(bn->file);

    for (unsigned i = 0; i < s->n; i++) {
        n += s->extents[i].own_file ? block_allocated(s->extents[i].file) : 0;
    }
    return n;
}

static void vmdk_get_info(BlockNode *bn, BlockInfo *out)
{
    VmdkState *s = bn->s;

    out->cluster_size = s->extents[0].grain;
    out->compressed_only = true;
    for (unsigned i = 0; i < s->n; i++) {
        out->compressed_only &= s->extents[i].compressed;
    }
}

static InfoItem *vmdk_specific(BlockNode *bn)
{
    VmdkState *s = bn->s;
    InfoItem *d = info_new(INFO_DICT), *l;

    info_add_int(d, "cid", s->cid);
    info_add_int(d, "parent-cid", s->parent_cid);
    info_add_str(d, "create-type", s->create_type);
    l = info_add(d, "extents", info_new(INFO_LIST));
    for (unsigned i = 0; i < s->n; i++) {
        const VmdkExtent *e = &s->extents[i];
        InfoItem *x = info_add(l, NULL, info_new(INFO_DICT));

        if (e->compressed) {
            info_add_bool(x, "compressed", true);
        }
        info_add_int(x, "virtual-size", e->size);
        info_add_str(x, "filename", e->file ? e->file->filename : "");
        if (!e->flat) {
            info_add_int(x, "cluster-size", e->grain);
        }
        info_add_str(x, "format", e->type);
    }
    return d;
}

/* ---- check ------------------------------------------------------------------------- */

/* The first fault ends it, as in QEMU: a table that is wrong is wrong a
 * thousand times. Tables that are not there cost nothing. */
static void check_extent(VmdkExtent *e, CheckResult *res)
{
    uint64_t grains = e->size / e->grain + (e->size % e->grain != 0);

    for (uint64_t g = 0; g < grains; g++) {
        uint64_t sector = (e->start + g * e->grain) / VMDK_SECTOR;
        uint32_t gte;
        int kind;

        if (!e->gd[g / e->gtes]) {
            g += e->gtes - 1 - g % e->gtes;
            continue;
        }
        kind = look_up(e, g, &gte);
        if (kind < 0) {
            format_corrupt(
                res,
                "ERROR: could not get cluster_offset for sector %" PRIu64 "\n",
                sector);
            return;
        }
        if (kind == GRAIN_BAD) {
            format_corrupt(
                res,
                "ERROR: cluster offset inside the tables for sector %" PRIu64
                "\n",
                sector);
            return;
        }
        if (kind == GRAIN_STORED &&
            (uint64_t)gte * VMDK_SECTOR >= e->file->size) {
            format_corrupt(
                res,
                "ERROR: cluster offset after file size for sector %" PRIu64
                "\n",
                sector);
            return;
        }
    }
}

static bool vmdk_check(BlockNode *bn, CheckResult *res, unsigned fix,
                       GError **errp)
{
    VmdkState *s = bn->s;

    if (!format_no_repair(fix, errp)) {
        return false;
    }
    g_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->n; i++) {
        if (!s->extents[i].flat) {
            check_extent(&s->extents[i], res);
        }
    }
    g_mutex_unlock(&s->lock);
    return true;
}

const BlockDriver block_vmdk = {
    .name = "vmdk",
    .size = sizeof(VmdkState),
    .is_format = true,
    .has_backing = true,
    .probe = vmdk_probe,
    .create = vmdk_create,
    .create_opts = vmdk_create_opts,
    .open = vmdk_open,
    .close = vmdk_close,
    .read = vmdk_read,
    .write = vmdk_write,
    .zero = vmdk_zero,
    .flush = vmdk_flush,
    .map = vmdk_map,
    .check = vmdk_check,
    .get_info = vmdk_get_info,
    .specific = vmdk_specific,
    .allocated = vmdk_allocated,
};
