/*
 * vhdx: Hyper-V's disk images. Microsoft, [MS-VHDX].
 *
 * Two headers, of which the newer valid one counts, and two region tables lead
 * to the metadata (sizes) and to the block allocation table. Its entries are a
 * state and an offset in MiB; after each chunk of them stands one for a bitmap,
 * which only differencing disks use: these are refused. A log that was not
 * played back is, when the image is opened for writing (vhdx-log.c).
 *
 * Nothing is logged when we write: a new block's data goes to the file first,
 * then the eight bytes of its entry, so that the file is whole at each moment.
 * Before the first write both headers get new identifiers, one at a time.
 */
#include "util/osdep.h"
#include "block/drivers.h"
#include "block/format.h"
#include "block/vhdx.h"

#include "util/bits.h"
#include "util/error.h"
#include "util/iov.h"

/* As they lie in the file. */
const uint8_t vhdx_guids[GUID_COUNT][16] = {
    [GUID_BAT] = { 0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42, 0x9d, 0x64,
                   0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08 },
    [GUID_META] = { 0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b, 0xb8, 0xfe,
                    0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e },
    [GUID_PARAMS] = { 0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d, 0xb3,
                      0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b },
    [GUID_SIZE] = { 0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48, 0xb2, 0x11,
                    0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8 },
    [GUID_SECTOR] = { 0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47, 0xba,
                      0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f },
    [GUID_PAGE83] = { 0xab, 0x12, 0xca, 0xbe, 0xe6, 0xb2, 0x23, 0x45, 0x93,
                      0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46 },
    [GUID_PHYSICAL] = { 0xc7, 0x48, 0xa3, 0xcd, 0x5d, 0x44, 0x71, 0x44, 0x9c,
                        0xc9, 0xe9, 0x88, 0x52, 0x51, 0xc5, 0x56 },
};

static int vhdx_probe(const uint8_t *head, size_t len, const char *filename)
{
    return len >= 8 && memcmp(head, "vhdxfile", 8) == 0 ? 100 : 0;
}

/* ---- headers ---------------------------------------------------------------------- */

void vhdx_set_sum(uint8_t *p, size_t len)
{
    st_le32(p + VHDX_H_SUM, 0);
    st_le32(p + VHDX_H_SUM, format_crc32c(0, p, len));
}

static bool sum_right(uint8_t *p, size_t len)
{
    uint32_t sum = ld_le32(p + VHDX_H_SUM);
    bool right;

    st_le32(p + VHDX_H_SUM, 0);
    right = format_crc32c(0, p, len) == sum;
    st_le32(p + VHDX_H_SUM, sum);
    return right;
}

static bool read_checked(BlockNode *bn, uint64_t off, uint8_t *buf, size_t len,
                         const char *signature)
{
    return off < bn->file->size && len <= bn->file->size - off &&
           block_pread(bn->file, off, buf, len) == 0 &&
           memcmp(buf, signature, 4) == 0 && sum_right(buf, len);
}

static bool read_header(BlockNode *bn, GError **errp)
{
    VhdxState *s = bn->s;
    uint8_t *out = s->header;
    static const uint64_t places[] = { VHDX_HEADER_1, VHDX_HEADER_2 };
    uint8_t h[VHDX_HEADER_LEN];
    bool found = false;

    for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
        if (read_checked(bn, places[i], h, sizeof(h), "head") &&
            ld_le16(h + VHDX_H_VERSION) == 1 &&
            (!found ||
             ld_le64(h + VHDX_H_SEQUENCE) > ld_le64(out + VHDX_H_SEQUENCE))) {
            memcpy(out, h, sizeof(h));
            s->newer = i;
            found = true;
        }
    }
    if (!found) {
        error_setg(errp, "No valid VHDX header found");
    }
    return found;
}

/* Is there an entry of the current log with something in it? */
static int log_in_use(BlockNode *bn, uint64_t off, uint64_t len,
                      const uint8_t *guid)
{
    uint8_t e[64];

    for (uint64_t at = 0; at < len; at += VHDX_LOG_SECTOR) {
        int ret = block_pread(bn->file, off + at, e, sizeof(e));

        if (ret < 0) {
            return ret;
        }
        /* signature, sum, length, tail, sequence, descriptors, 0, guid */
        if (memcmp(e, "loge", 4) == 0 && memcmp(e + 32, guid, 16) == 0 &&
            ld_le32(e + 24)) {
            return 1;
        }
    }
    return 0;
}

static int write_header(BlockNode *bn);

/* What it says is in the file then, and both headers name no log. */
static bool play_log(BlockNode *bn, uint64_t off, uint64_t len, GError **errp)
{
    VhdxState *s = bn->s;
    int ret;

    if (!vhdx_log_replay(bn, off, len, s->header + VHDX_H_LOG_GUID, errp)) {
        return false;
    }
    s->replayed = true;
    memset(s->header + VHDX_H_LOG_GUID, 0, 16);
    ret = write_header(bn);
    ret = ret < 0 ? ret : write_header(bn);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not write the VHDX header");
    }
    return ret == 0;
}

static bool check_log(BlockNode *bn, const uint8_t *h, GError **errp)
{
    static const uint8_t none[16];
    uint64_t off = ld_le64(h + VHDX_H_LOG_OFF),
             len = ld_le32(h + VHDX_H_LOG_LEN);
    int ret;

    if (memcmp(h + VHDX_H_LOG_GUID, none, 16) == 0) {
        return true;
    }
    if (ld_le16(h + VHDX_H_LOG_VERSION) != 0) {
        error_setg(errp, "VHDX log version %u is not supported",
                   ld_le16(h + VHDX_H_LOG_VERSION));
        return false;
    }
    if (off > bn->file->size || len > bn->file->size - off) {
        error_setg(
            errp, "the VHDX log is to be at 0x%" PRIx64 ", where the file ends",
            off);
        return false;
    }
    ret = log_in_use(bn, off, len, h + VHDX_H_LOG_GUID);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not read the VHDX log");
    } else if (ret && bn->read_only) {
        error_setg(errp,
                   "VHDX image file '%s' opened read-only, but contains a log "
                   "that needs to be replayed: open it for writing once, as "
                   "'rhea-img check -r all' does",
                   bn->filename);
    } else if (ret) {
        return play_log(bn, off, len, errp);
    }
    return ret == 0;
}

/* ---- regions ----------------------------------------------------------------------- */

static bool read_region(BlockNode *bn, const uint8_t *e, GError **errp)
{
    VhdxState *s = bn->s;
    uint64_t off = ld_le64(e + 16), len = ld_le32(e + 24);
    bool bat = memcmp(e, vhdx_guids[GUID_BAT], 16) == 0;

    if (!bat && memcmp(e, vhdx_guids[GUID_META], 16) != 0) {
        if (ld_le32(e + 28) & 1) {
            error_setg(errp, "the VHDX image needs a region that is not known");
            return false;
        }
        return true;
    }
    if (off < VHDX_BLOCK_MIN || off > bn->file->size ||
        len > bn->file->size - off) {
        error_setg(errp,
                   "the VHDX region %s (0x%" PRIx64 " bytes at 0x%" PRIx64
                   ") is not inside the file",
                   bat ? "BAT" : "Metadata", len, off);
        return false;
    }
    *(bat ? &s->bat_off : &s->meta_off) = off;
    *(bat ? &s->bat_len : &s->meta_len) = len;
    return true;
}

static bool read_regions(BlockNode *bn, GError **errp)
{
    VhdxState *s = bn->s;
    g_autofree uint8_t *t = g_malloc(VHDX_REGIONS_LEN);
    uint32_t n;

    if (!read_checked(bn, VHDX_REGIONS_1, t, VHDX_REGIONS_LEN, "regi") &&
        !read_checked(bn, VHDX_REGIONS_2, t, VHDX_REGIONS_LEN, "regi")) {
        error_setg(errp, "No valid VHDX region table found");
        return false;
    }
    n = ld_le32(t + 8);
    if (n > VHDX_REGIONS_MAX) {
        error_setg(errp, "the VHDX region table claims %" PRIu32 " entries", n);
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!read_region(bn, t + 16 + i * 32, errp)) {
            return false;
        }
    }
    if (!s->bat_off || !s->meta_off) {
        error_setg(errp, "the VHDX region table has no %s",
                   s->bat_off ? "metadata" : "BAT");
        return false;
    }
    return true;
}

/* ---- metadata ----------------------------------------------------------------------- */

/* The item's bytes; all that we know have at most 16. */
static bool read_item(BlockNode *bn, const uint8_t *e, uint8_t *out,
                      size_t want, GError **errp)
{
    VhdxState *s = bn->s;
    uint32_t off = ld_le32(e + 16), len = ld_le32(e + 20);
    int ret;

    if (len < want || off > s->meta_len || len > s->meta_len - off) {
        error_setg(errp,
                   "a VHDX metadata item (%" PRIu32 " bytes at 0x%" PRIx32
                   ") is not inside its region",
                   len, off);
        return false;
    }
    ret = block_pread(bn->file, s->meta_off + off, out, want);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not read the VHDX metadata");
    }
    return ret == 0;
}

static bool take_item(BlockNode *bn, const uint8_t *e, GError **errp)
{
    VhdxState *s = bn->s;
    uint8_t v[8];

    if (memcmp(e, vhdx_guids[GUID_PARAMS], 16) == 0) {
        if (!read_item(bn, e, v, 8, errp)) {
            return false;
        }
        s->block = ld_le32(v);
        if (ld_le32(v + 4) & 2) {
            error_setg(errp, "VHDX images with a parent are not supported");
            return false;
        }
    } else if (memcmp(e, vhdx_guids[GUID_SIZE], 16) == 0) {
        if (!read_item(bn, e, v, 8, errp)) {
            return false;
        }
        bn->size = ld_le64(v);
    } else if (memcmp(e, vhdx_guids[GUID_SECTOR], 16) == 0) {
        if (!read_item(bn, e, v, 4, errp)) {
            return false;
        }
        s->sector = ld_le32(v);
    } else if (memcmp(e, vhdx_guids[GUID_PAGE83], 16) != 0 &&
               memcmp(e, vhdx_guids[GUID_PHYSICAL], 16) != 0 &&
               (ld_le32(e + 24) & 4)) {
        error_setg(errp, "the VHDX image needs a metadata item that is not "
                         "known");
        return false;
    }
    return true;
}

static bool check_metadata(const BlockNode *bn, GError **errp)
{
    const VhdxState *s = bn->s;

    if (s->block < VHDX_BLOCK_MIN || s->block > VHDX_BLOCK_MAX ||
        !is_pow2(s->block)) {
        error_setg(errp,
                   "the VHDX block size %" PRIu32 " is no power of two "
                   "from 1 to 256 MiB",
                   s->block);
    } else if (s->sector != 512 && s->sector != 4096) {
        error_setg(errp, "the VHDX sector size %" PRIu32 " is not 512 or 4096",
                   s->sector);
    } else if (bn->size > VHDX_MAX_SIZE || bn->size % s->sector) {
        error_setg(errp, "the VHDX disk size 0x%" PRIx64 " is invalid",
                   bn->size);
    } else {
        return true;
    }
    return false;
}

static bool read_metadata(BlockNode *bn, GError **errp)
{
    VhdxState *s = bn->s;
    g_autofree uint8_t *t = g_malloc0(VHDX_META_LEN);
    int ret =
        block_pread(bn->file, s->meta_off, t, MIN(s->meta_len, VHDX_META_LEN));
    unsigned n = ld_le16(t + 10);

    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not read the VHDX metadata");
        return false;
    }
    if (memcmp(t, "metadata", 8) != 0 || n > VHDX_META_MAX) {
        error_setg(errp, "the VHDX metadata table is invalid");
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        if (!take_item(bn, t + 32 + (size_t)i * 32, errp)) {
            return false;
        }
    }
    return check_metadata(bn, errp);
}

/* ---- the table of blocks -------------------------------------------------------------- */

static bool read_bat(BlockNode *bn, GError **errp)
{
    VhdxState *s = bn->s;
    uint64_t raw_n;
    int ret;

    s->chunk_ratio =
        (uint32_t)((UINT64_C(1) << 23) * s->sector / s->block); /* 16 .. 2^15 */
    s->blocks = (bn->size + s->block - 1) / s->block;
    raw_n = s->blocks ? s->blocks + (s->blocks - 1) / s->chunk_ratio : 0;
    if (raw_n > s->bat_len / 8) {
        error_setg(errp,
                   "the VHDX BAT has room for %" PRIu64 " entries and needs "
                   "%" PRIu64,
                   s->bat_len / 8, raw_n);
        return false;
    }
    s->bat = g_try_malloc(MAX(raw_n * 8, 8));
    if (!s->bat) {
        error_setg(errp, "the VHDX BAT needs too much memory");
        return false;
    }
    ret = block_pread(bn->file, s->bat_off, s->bat, raw_n * 8);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not read the VHDX BAT");
        g_free(s->bat);
        return false;
    }
    for (uint64_t i = 0; i < s->blocks; i++) {
        s->bat[i] = GUINT64_FROM_LE(s->bat[i + i / s->chunk_ratio]);
    }
    return true;
}

static bool vhdx_open(BlockNode *bn, KeyVal *options, GError **errp)
{
    VhdxState *s = bn->s;
    uint8_t id[8] = { 0 };

    if (block_pread(bn->file, 0, id, MIN(bn->file->size, 8)) < 0 ||
        !vhdx_probe(id, 8, NULL)) {
        error_setg(errp, "Image not in VHDX format");
        return false;
    }
    if (!read_header(bn, errp) || !check_log(bn, s->header, errp) ||
        !read_regions(bn, errp) || !read_metadata(bn, errp) ||
        !read_bat(bn, errp)) {
        return false;
    }
    g_mutex_init(&s->lock);
    return true;
}

static void vhdx_close(BlockNode *bn)
{
    VhdxState *s = bn->s;

    g_free(s->bat);
    g_mutex_clear(&s->lock);
}

static uint64_t entry_of(VhdxState *s, uint64_t off)
{
    uint64_t e;

    g_mutex_lock(&s->lock);
    e = s->bat[off / s->block];
    g_mutex_unlock(&s->lock);
    return e;
}

/* Only a parent gives these a meaning. */
static bool strange(uint64_t e)
{
    return VHDX_BAT_STATE(e) == VHDX_PARTIAL || VHDX_BAT_STATE(e) == 4 ||
           (VHDX_BAT_STATE(e) == VHDX_PRESENT &&
            VHDX_BAT_OFFSET(e) > INT64_MAX - VHDX_BLOCK_MAX);
}

/* ---- data ----------------------------------------------------------------------------- */

static int read_piece(BlockNode *bn, uint64_t off, const struct iovec *iov,
                      int n)
{
    VhdxState *s = bn->s;
    uint64_t e = entry_of(s, off);

    if (strange(e)) {
        return -EIO;
    }
    if (VHDX_BAT_STATE(e) == VHDX_PRESENT) {
        return block_preadv(bn->file, VHDX_BAT_OFFSET(e) + off % s->block, iov,
                            n);
    }
    iov_memset(iov, n, 0, 0, iov_size(iov, n));
    return 0;
}

static int vhdx_read(BlockNode *bn, uint64_t off, const struct iovec *iov,
                     int n)
{
    VhdxState *s = bn->s;

    return format_pieces(bn, off, iov, n, s->block, read_piece);
}

/* ---- writing -------------------------------------------------------------------------- */

static bool overlaps(uint64_t off, uint64_t len, uint64_t from, uint64_t n)
{
    return off < from + n && from < off + len;
}

/* A block that lies on the tables must not be written. */
static bool on_tables(const VhdxState *s, uint64_t off)
{
    return off < VHDX_BLOCK_MIN ||
           overlaps(off, s->block, s->bat_off, s->bat_len) ||
           overlaps(off, s->block, s->meta_off, s->meta_len) ||
           overlaps(off, s->block, ld_le64(s->header + VHDX_H_LOG_OFF),
                    ld_le32(s->header + VHDX_H_LOG_LEN));
}

/* With the lock: the header that does not count becomes the one that does. */
static int write_header(BlockNode *bn)
{
    VhdxState *s = bn->s;
    unsigned other = !s->newer;
    int ret;

    st_le64(s->header + VHDX_H_SEQUENCE,
            ld_le64(s->header + VHDX_H_SEQUENCE) + 1);
    vhdx_set_sum(s->header, VHDX_HEADER_LEN);
    ret = block_pwrite(bn->file, other ? VHDX_HEADER_2 : VHDX_HEADER_1,
                       s->header, VHDX_HEADER_LEN);
    if (ret == 0) {
        s->newer = other;
        ret = block_flush(bn->file);
    }
    return ret;
}

/* New identifiers, before the first write after opening. */
static int touch(BlockNode *bn)
{
    VhdxState *s = bn->s;
    int ret = 0;

    if (g_atomic_int_get(&s->touched)) {
        return 0;
    }
    g_mutex_lock(&s->lock);
    if (!g_atomic_int_get(&s->touched)) {
        format_random_uuid(s->header + VHDX_H_FILE_GUID);
        format_random_uuid(s->header + VHDX_H_DATA_GUID);
        memset(s->header + VHDX_H_LOG_GUID, 0, 16);
        ret = write_header(bn);
        if (ret == 0) {
            ret = write_header(bn);
        }
        g_atomic_int_set(&s->touched, ret == 0);
    }
    g_mutex_unlock(&s->lock);
    return ret;
}

/* With the lock: zeroes, then the written part, then the entry. */
static int new_block(BlockNode *bn, uint64_t off, const struct iovec *iov,
                     int n)
{
    VhdxState *s = bn->s;
    uint64_t i = off / s->block, at, le;
    int ret;

    if (!s->end) {
        s->end = (bn->file->size + VHDX_BLOCK_MIN - 1) &
                 ~(uint64_t)(VHDX_BLOCK_MIN - 1);
    }
    at = s->end;
    if (on_tables(s, at)) {
        return -EIO;
    }
    ret = block_zero(bn->file, at, s->block, ZERO_MAY_UNMAP);
    if (ret < 0) {
        return ret;
    }
    s->end = at + s->block; /* never used twice, whatever happens next */
    ret = block_pwritev(bn->file, at + off % s->block, iov, n, 0);
    if (ret == 0) {
        le = GUINT64_TO_LE(at | VHDX_PRESENT);
        ret = block_pwrite(bn->file, s->bat_off + (i + i / s->chunk_ratio) * 8,
                           &le, 8);
    }
    if (ret == 0) {
        s->bat[i] = at | VHDX_PRESENT;
    }
    return ret;
}

static int write_piece(BlockNode *bn, uint64_t off, const struct iovec *iov,
                       int n)
{
    VhdxState *s = bn->s;
    uint64_t e, host;
    int ret = 0;

    g_mutex_lock(&s->lock);
    e = s->bat[off / s->block];
    if (!strange(e) && VHDX_BAT_STATE(e) != VHDX_PRESENT) {
        ret = new_block(bn, off, iov, n);
    }
    g_mutex_unlock(&s->lock);
    if (strange(e)) {
        return -EIO;
    }
    if (VHDX_BAT_STATE(e) != VHDX_PRESENT) {
        return ret;
    }
    host = VHDX_BAT_OFFSET(e);
    return on_tables(s, host)
               ? -EIO
               : block_pwritev(bn->file, host + off % s->block, iov, n, 0);
}

static int vhdx_write(BlockNode *bn, uint64_t off, const struct iovec *iov,
                      int n, unsigned flags)
{
    VhdxState *s = bn->s;
    int ret = flags & WRITE_COMPRESSED ? -ENOTSUP : touch(bn);

    return ret ? ret : format_pieces(bn, off, iov, n, s->block, write_piece);
}

/* Blocks that are not there read as zeroes already. */
static int vhdx_zero(BlockNode *bn, uint64_t off, uint64_t len, unsigned flags)
{
    VhdxState *s = bn->s;
    int ret = touch(bn);

    while (len && ret == 0) {
        uint64_t m = MIN(len, s->block - off % s->block);
        uint64_t e = entry_of(s, off), at = VHDX_BAT_OFFSET(e);

        if (strange(e) ||
            (VHDX_BAT_STATE(e) == VHDX_PRESENT && on_tables(s, at))) {
            ret = -EIO;
        } else if (VHDX_BAT_STATE(e) == VHDX_PRESENT) {
            ret = block_zero(bn->file, at + off % s->block, m, flags);
        }
        off += m;
        len -= m;
    }
    return ret;
}

static int vhdx_map(BlockNode *bn, uint64_t off, uint64_t len, unsigned flags,
                    BlockExtent *out)
{
    VhdxState *s = bn->s;
    uint64_t i = off / s->block, run = s->block - off % s->block, e;
    bool data;

    if (!format_lock(&s->lock, flags)) {
        return -EAGAIN;
    }
    e = s->bat[i];
    data = VHDX_BAT_STATE(e) == VHDX_PRESENT;
    while (!data && run < len &&
           VHDX_BAT_STATE(s->bat[i + 1]) == VHDX_BAT_STATE(e)) {
        run += s->block;
        i++;
    }
    g_mutex_unlock(&s->lock);
    if (strange(e)) {
        return -EIO;
    }
    out->len = MIN(run, len);
    out->kind = data ? EXTENT_DATA : EXTENT_ZERO;
    out->allocated = out->has_offset = data;
    out->host_offset = data ? VHDX_BAT_OFFSET(e) + off % s->block : 0;
    out->in_place = data && g_atomic_int_get(&s->touched) &&
                    !on_tables(s, VHDX_BAT_OFFSET(e));
    out->file = bn->file;
    return 0;
}

static void vhdx_get_info(BlockNode *bn, BlockInfo *out)
{
    const VhdxState *s = bn->s;

    out->cluster_size = s->block;
}

static bool vhdx_check(BlockNode *bn, CheckResult *res, unsigned fix,
                       GError **errp)
{
    const VhdxState *s = bn->s;
    uint64_t size = bn->file->size;

    if (s->replayed) { /* the one repair there is was made by opening it */
        res->corruptions_fixed++;
    }
    for (uint64_t i = 0; i < s->blocks; i++) {
        uint64_t e = s->bat[i], off = VHDX_BAT_OFFSET(e);
        uint64_t len = MIN(s->block, bn->size - i * s->block);

        if (strange(e)) {
            format_corrupt(res, "VHDX BAT entry %" PRIu64 " has state %u\n", i,
                           (unsigned)VHDX_BAT_STATE(e));
        } else if (VHDX_BAT_STATE(e) == VHDX_PRESENT &&
                   (off < VHDX_BLOCK_MIN || off > size || len > size - off)) {
            format_corrupt(res,
                           "VHDX BAT entry %" PRIu64 " offset 0x%" PRIx64
                           " is not inside the file\n",
                           i, off);
        }
    }
    return true;
}

const BlockDriver block_vhdx = {
    .name = "vhdx",
    .size = sizeof(VhdxState),
    .is_format = true,
    .probe = vhdx_probe,
    .create = vhdx_create,
    .create_opts = vhdx_create_opts,
    .open = vhdx_open,
    .close = vhdx_close,
    .read = vhdx_read,
    .write = vhdx_write,
    .zero = vhdx_zero,
    .map = vhdx_map,
    .check = vhdx_check,
    .get_info = vhdx_get_info,
};
