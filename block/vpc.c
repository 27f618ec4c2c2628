/*
 * vpc: Virtual PC's and Hyper-V's VHD. Microsoft, "Virtual Hard Disk Image
 * Format Specification", 2006.
 *
 * A fixed disk is the data and a footer of 512 bytes. A dynamic one begins with
 * a copy of the footer, then a header, a table of 32-bit sector numbers, and
 * blocks, each behind a bitmap of its sectors; the footer follows. As in QEMU
 * the bitmaps are written and not looked at: a block that is there is all there.
 *
 * A new block: the footer goes behind it, then its bitmap takes the old
 * footer's place, then the table names it, so that the file ends with a footer
 * at every moment. Differencing disks are not supported.
 */
#include "util/osdep.h"
#include "block/drivers.h"
#include "block/format.h"

#include "util/bits.h"
#include "util/error.h"
#include "util/iov.h"
#include "util/log.h"

#include <time.h>

enum {
    SECTOR = 512,
    VPC_FOOTER = 512,
    VPC_DYN_HEADER = 1024,
    VPC_FIXED = 2,
    VPC_DYNAMIC = 3,
    VPC_DIFFERENCING = 4,
    VPC_BLOCK = 2 << 20,
    VPC_MAX_GEOMETRY = 65535 * 16 * 255,
    VPC_EPOCH = 946684800, /* 2000-01-01 */
};

#define VPC_MAX_SECTORS UINT64_C(0xff000000) /* 2040 GiB */
#define VPC_FREE        0xffffffffu

/* Offsets of the footer's fields; all big-endian. */
enum {
    F_COOKIE = 0,
    F_FEATURES = 8,
    F_VERSION = 12,
    F_DATA_OFF = 16,
    F_TIME = 24,
    F_APP = 28,
    F_APP_VERSION = 32,
    F_OS = 36,
    F_ORIG_SIZE = 40,
    F_SIZE = 48,
    F_CYLS = 56,
    F_HEADS = 58,
    F_SECS = 59,
    F_TYPE = 60,
    F_SUM = 64,
    F_UUID = 68,
};

/* And of the header of dynamic disks. */
enum {
    D_COOKIE = 0,
    D_DATA_OFF = 8,
    D_TABLE = 16,
    D_VERSION = 24,
    D_ENTRIES = 28,
    D_BLOCK = 32,
    D_SUM = 36,
};

typedef struct VpcState {
    GMutex lock; /* the table, the end */
    uint8_t footer[VPC_FOOTER];
    bool dynamic;
    uint32_t *bat;    /* host order: the sector of a block's bitmap */
    uint8_t *whole;   /* one bit for each block whose bitmap we know is full */
    uint32_t entries; /* that matter for the disk's size */
    uint32_t block;   /* bytes */
    uint32_t bitmap;  /* bytes in front of a block */
    uint64_t bat_off, end; /* end: where the footer is */
} VpcState;

static int vpc_probe(const uint8_t *head, size_t len, const char *filename)
{
    return len >= 8 && memcmp(head, "conectix", 8) == 0 ? 100 : 0;
}

static uint32_t checksum(const uint8_t *p, size_t len, size_t field)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < len; i++) {
        sum += i >= field && i < field + 4 ? 0 : p[i];
    }
    return ~sum;
}

/* ---- open ------------------------------------------------------------------------ */

static bool read_footer(BlockNode *bn, GError **errp)
{
    VpcState *s = bn->s;
    uint64_t size = bn->file->size;
    int ret = size < VPC_FOOTER
                  ? -EINVAL
                  : block_pread(bn->file, 0, s->footer, VPC_FOOTER);

    s->dynamic = ret == 0 && memcmp(s->footer, "conectix", 8) == 0;
    if (ret == 0 && !s->dynamic) {
        ret = block_pread(bn->file, size - VPC_FOOTER, s->footer, VPC_FOOTER);
        ret = ret == 0 && memcmp(s->footer, "conectix", 8) ? -EINVAL : ret;
    }
    if (ret == -EINVAL) {
        error_setg(errp, "invalid VPC image");
    } else if (ret < 0) {
        error_setg_errno(errp, -ret, "Unable to read VHD footer");
    }
    return ret == 0;
}

/* Virtual PC goes by the geometry, Hyper-V and others by the size. */
static bool size_counts(const uint8_t *footer, KeyVal *options, bool *out,
                        GError **errp)
{
    static const char apps[][5] = { "win ", "qem2", "d2v ", "tap\0", "CTXS" };
    const char *calc = keyval_get(options, "force_size_calc");

    *out = false;
    if (calc && strcmp(calc, "chs") && strcmp(calc, "current_size")) {
        error_setg(errp,
                   "Invalid size calculation algorithm '%s' (chs or "
                   "current_size)",
                   calc);
        return false;
    }
    if (calc) {
        *out = calc[1] == 'u';
        return true;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(apps); i++) {
        *out |= memcmp(footer + F_APP, apps[i], 4) == 0;
    }
    return true;
}

static bool find_size(BlockNode *bn, KeyVal *options, GError **errp)
{
    VpcState *s = bn->s;
    const uint8_t *f = s->footer;
    uint64_t sectors = (uint64_t)ld_be16(f + F_CYLS) * f[F_HEADS] * f[F_SECS];
    const char *calc = keyval_get(options, "force_size_calc");
    bool by_size;

    if (!size_counts(f, options, &by_size, errp)) {
        return false;
    }
    if (by_size || (sectors == VPC_MAX_GEOMETRY && !calc)) {
        sectors = ld_be64(f + F_SIZE) / SECTOR;
    }
    if (sectors > VPC_MAX_SECTORS) {
        error_setg(errp,
                   "the VHD claims %" PRIu64 " sectors, more than 2040 GiB",
                   sectors);
        return false;
    }
    bn->size = sectors * SECTOR;
    return true;
}

static bool check_dynamic(const BlockNode *bn, const uint8_t *h, GError **errp)
{
    uint32_t block = ld_be32(h + D_BLOCK), n = ld_be32(h + D_ENTRIES);
    uint64_t table = ld_be64(h + D_TABLE), size = bn->file->size;

    if (memcmp(h, "cxsparse", 8) != 0) {
        error_setg(errp, "invalid VHD: no dynamic disk header");
    } else if (!is_pow2(block) || block < SECTOR || block > 1u << 30) {
        error_setg(errp, "Invalid block size %" PRIu32, block);
    } else if ((uint64_t)block * n < bn->size) {
        error_setg(errp, "Page table too small");
    } else if (table > size || (uint64_t)n * 4 > size - table) {
        error_setg(errp,
                   "the file ends inside the VHD's table of %" PRIu32 " blocks",
                   n);
    } else {
        return true;
    }
    return false;
}

static bool read_table(BlockNode *bn, GError **errp)
{
    VpcState *s = bn->s;
    int ret;

    s->bat = g_try_malloc(MAX((size_t)s->entries * 4, 4));
    s->whole = g_try_malloc0(s->entries / 8 + 1);
    if (!s->bat || !s->whole) {
        error_setg(errp,
                   "the table of %" PRIu32 " blocks needs too much "
                   "memory",
                   s->entries);
        return false;
    }
    ret = block_pread(bn->file, s->bat_off, s->bat, (size_t)s->entries * 4);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not read the VHD's table");
        return false;
    }
    for (uint32_t i = 0; i < s->entries; i++) {
        uint64_t end;

        s->bat[i] = GUINT32_FROM_BE(s->bat[i]);
        if (s->bat[i] != VPC_FREE) {
            end = (uint64_t)s->bat[i] * SECTOR + s->bitmap + s->block;
            s->end = MAX(s->end, end);
        }
    }
    if (s->end > bn->file->size) {
        error_setg(errp, "block-vpc: free_data_block_offset points after the "
                         "end of file. The image has been truncated.");
        return false;
    }
    return true;
}

static bool open_dynamic(BlockNode *bn, GError **errp)
{
    VpcState *s = bn->s;
    uint8_t h[VPC_DYN_HEADER];
    uint64_t at = ld_be64(s->footer + F_DATA_OFF);
    int ret;

    if (ld_be32(s->footer + F_TYPE) == VPC_DIFFERENCING) {
        error_setg(errp, "Differencing VHD images are not supported");
        return false;
    }
    if (bn->file->size < sizeof(h) || at > bn->file->size - sizeof(h)) {
        error_setg(errp,
                   "invalid VHD: the dynamic disk header is to be at "
                   "0x%" PRIx64,
                   at);
        return false;
    }
    ret = block_pread(bn->file, at, h, sizeof(h));
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Error reading dynamic VHD header");
        return false;
    }
    if (!check_dynamic(bn, h, errp)) {
        return false;
    }
    s->block = ld_be32(h + D_BLOCK);
    s->bitmap = (s->block / (8 * SECTOR) + 511) & ~511u;
    s->bitmap = MAX(s->bitmap, SECTOR);
    s->bat_off = ld_be64(h + D_TABLE);
    s->end = (s->bat_off + (uint64_t)ld_be32(h + D_ENTRIES) * 4 + 511) &
             ~UINT64_C(511);
    s->entries = (uint32_t)((bn->size + s->block - 1) / s->block);
    return read_table(bn, errp);
}

static void vpc_close(BlockNode *bn)
{
    VpcState *s = bn->s;

    g_free(s->bat);
    g_free(s->whole);
    g_mutex_clear(&s->lock);
}

static bool vpc_open(BlockNode *bn, KeyVal *options, GError **errp)
{
    VpcState *s = bn->s;
    bool ok;

    if (!read_footer(bn, errp) || !find_size(bn, options, errp)) {
        return false;
    }
    if (ld_be32(s->footer + F_SUM) != checksum(s->footer, VPC_FOOTER, F_SUM)) {
        warn_report("block-vpc: The header checksum of '%s' is incorrect.",
                    bn->filename);
    }
    g_mutex_init(&s->lock);
    ok = !s->dynamic || open_dynamic(bn, errp);
    if (!ok) {
        vpc_close(bn);
    }
    return ok;
}

/* ---- data ------------------------------------------------------------------------- */

static uint32_t entry_of(VpcState *s, uint64_t off)
{
    uint32_t e;

    g_mutex_lock(&s->lock);
    e = s->bat[off / s->block];
    g_mutex_unlock(&s->lock);
    return e;
}

static uint64_t data_offset(const VpcState *s, uint32_t entry, uint64_t off)
{
    return (uint64_t)entry * SECTOR + s->bitmap + off % s->block;
}

static int read_piece(BlockNode *bn, uint64_t off, const struct iovec *iov,
                      int n)
{
    VpcState *s = bn->s;
    uint32_t e = entry_of(s, off);

    if (e != VPC_FREE) {
        return block_preadv(bn->file, data_offset(s, e, off), iov, n);
    }
    iov_memset(iov, n, 0, 0, iov_size(iov, n));
    return 0;
}

static int vpc_read(BlockNode *bn, uint64_t off, const struct iovec *iov, int n)
{
    VpcState *s = bn->s;

    return s->dynamic ? format_pieces(bn, off, iov, n, s->block, read_piece)
                      : block_preadv(bn->file, off, iov, n);
}

/* With the lock. */
static int fill_bitmap(BlockNode *bn, uint32_t index, uint32_t entry)
{
    VpcState *s = bn->s;
    g_autofree uint8_t *buf = NULL;
    int ret;

    if (s->whole[index / 8] & (1 << index % 8)) {
        return 0;
    }
    buf = g_malloc(s->bitmap); /* at most 256 KiB */
    memset(buf, 0xff, s->bitmap);
    ret = block_pwrite(bn->file, (uint64_t)entry * SECTOR, buf, s->bitmap);
    if (ret == 0) {
        s->whole[index / 8] |= (uint8_t)(1 << index % 8);
    }
    return ret;
}

/* With the lock: a block of zeroes for @index. */
static int new_block(BlockNode *bn, uint32_t index)
{
    VpcState *s = bn->s;
    uint64_t at = s->end, next = at + s->bitmap + s->block;
    uint32_t be = GUINT32_TO_BE((uint32_t)(at / SECTOR));
    int ret;

    if (at / SECTOR >= VPC_FREE) {
        return -EFBIG;
    }
    ret = block_pwrite(bn->file, next, s->footer, VPC_FOOTER);
    if (ret == 0) {
        s->end = next; /* never used twice, whatever happens next */
        ret = fill_bitmap(bn, index, (uint32_t)(at / SECTOR));
    }
    if (ret == 0) { /* what an old file or device had there */
        ret = block_zero(bn->file, at + s->bitmap, s->block, ZERO_MAY_UNMAP);
    }
    if (ret == 0) {
        ret = block_pwrite(bn->file, s->bat_off + (uint64_t)index * 4, &be, 4);
    }
    if (ret == 0) {
        s->bat[index] = (uint32_t)(at / SECTOR);
    }
    return ret;
}

static int write_piece(BlockNode *bn, uint64_t off, const struct iovec *iov,
                       int n)
{
    VpcState *s = bn->s;
    uint32_t index = (uint32_t)(off / s->block), e;
    int ret;

    g_mutex_lock(&s->lock);
    e = s->bat[index];
    ret = e == VPC_FREE ? new_block(bn, index) : fill_bitmap(bn, index, e);
    e = s->bat[index];
    g_mutex_unlock(&s->lock);
    return ret ? ret
               : block_pwritev(bn->file, data_offset(s, e, off), iov, n, 0);
}

static int vpc_write(BlockNode *bn, uint64_t off, const struct iovec *iov,
                     int n, unsigned flags)
{
    VpcState *s = bn->s;

    if (flags & WRITE_COMPRESSED) {
        return -ENOTSUP;
    }
    return s->dynamic ? format_pieces(bn, off, iov, n, s->block, write_piece)
                      : block_pwritev(bn->file, off, iov, n, 0);
}

/* Blocks that are not there read as zeroes already. */
static int vpc_zero(BlockNode *bn, uint64_t off, uint64_t len, unsigned flags)
{
    VpcState *s = bn->s;
    int ret = 0;

    if (!s->dynamic) {
        return block_zero(bn->file, off, len, flags);
    }
    while (len && ret == 0) {
        uint64_t m = MIN(len, s->block - off % s->block);
        uint32_t e = entry_of(s, off);

        if (e != VPC_FREE) {
            ret = block_zero(bn->file, data_offset(s, e, off), m,
                             flags & ~ZERO_MAY_UNMAP);
        }
        off += m;
        len -= m;
    }
    return ret;
}

static int vpc_map(BlockNode *bn, uint64_t off, uint64_t len, unsigned flags,
                   BlockExtent *out)
{
    VpcState *s = bn->s;
    uint64_t index, run;
    uint32_t e, want;

    out->file = bn->file;
    out->len = len;
    if (!s->dynamic) {
        out->has_offset = out->in_place = out->recurse = true;
        out->host_offset = off;
        return 0;
    }
    index = off / s->block;
    run = s->block - off % s->block;
    if (!format_lock(&s->lock, flags)) {
        return -EAGAIN;
    }
    want = e = s->bat[index];
    out->in_place = s->whole[index / 8] & (1 << index % 8);
    while (e == VPC_FREE && run < len && s->bat[++index] == want) {
        run += s->block;
    }
    g_mutex_unlock(&s->lock);
    out->len = MIN(run, len);
    out->allocated = out->has_offset = e != VPC_FREE;
    out->kind = e == VPC_FREE ? EXTENT_ZERO : EXTENT_DATA;
    out->host_offset = out->has_offset ? data_offset(s, e, off) : 0;
    out->in_place &= out->has_offset;
    return 0;
}

static void vpc_get_info(BlockNode *bn, BlockInfo *out)
{
    const VpcState *s = bn->s;

    out->cluster_size = s->dynamic ? s->block : 0;
}

/* ---- create ------------------------------------------------------------------------ */

typedef struct Geometry {
    uint64_t cyls, heads, secs;
} Geometry;

/* The specification's appendix, "CHS calculation". */
static Geometry geometry_of(uint64_t sectors)
{
    Geometry g;
    uint64_t tracks;

    sectors = MIN(sectors, VPC_MAX_GEOMETRY);
    if (sectors >= UINT64_C(65535) * 16 * 63) {
        g.secs = 255;
        g.heads = 16;
        g.cyls = sectors / g.secs / g.heads;
        return g;
    }
    g.secs = 17;
    tracks = sectors / g.secs;
    g.heads = MAX((tracks + 1023) / 1024, 4);
    if (tracks >= g.heads * 1024 || g.heads > 16) {
        g.secs = 31;
        g.heads = 16;
        tracks = sectors / g.secs;
    }
    if (tracks >= g.heads * 1024) {
        g.secs = 63;
        g.heads = 16;
        tracks = sectors / g.secs;
    }
    g.cyls = tracks / g.heads;
    return g;
}

static uint64_t geometry_sectors(Geometry g)
{
    return g.cyls * g.heads * g.secs;
}

/* The smallest geometry that holds @sectors; the disk becomes as large. */
static Geometry geometry_for(uint64_t *sectors)
{
    uint64_t want = MIN(*sectors, VPC_MAX_GEOMETRY);
    Geometry g = { 0, 0, 0 };

    for (uint64_t i = 0; want > geometry_sectors(g); i++) {
        g = geometry_of(want + i);
    }
    if (geometry_sectors(g) != VPC_MAX_GEOMETRY) {
        *sectors = geometry_sectors(g);
    }
    return g;
}

static void make_footer(uint8_t *f, Geometry g, uint64_t size, bool fixed,
                        bool force_size)
{
    memcpy(f + F_COOKIE, "conectix", 8);
    st_be32(f + F_FEATURES, 2);
    st_be32(f + F_VERSION, 0x00010000);
    st_be64(f + F_DATA_OFF, fixed ? UINT64_MAX : VPC_FOOTER);
    st_be32(f + F_TIME, (uint32_t)(time(NULL) - VPC_EPOCH));
    memcpy(f + F_APP, force_size ? "qem2" : "qemu", 4);
    st_be32(f + F_APP_VERSION, 0x00050003);
    memcpy(f + F_OS, "Wi2k", 4);
    st_be64(f + F_ORIG_SIZE, size);
    st_be64(f + F_SIZE, size);
    st_be16(f + F_CYLS, (uint16_t)g.cyls);
    f[F_HEADS] = (uint8_t)g.heads;
    f[F_SECS] = (uint8_t)g.secs;
    st_be32(f + F_TYPE, fixed ? VPC_FIXED : VPC_DYNAMIC);
    format_random_uuid(f + F_UUID);
    st_be32(f + F_SUM, checksum(f, VPC_FOOTER, F_SUM));
}

static bool write_dynamic(BlockNode *file, const uint8_t *footer, uint64_t size,
                          GError **errp)
{
    uint64_t n = (size + VPC_BLOCK - 1) / VPC_BLOCK;
    size_t len = (n * 4 + 511) & ~UINT64_C(511);
    uint64_t table = VPC_FOOTER + VPC_DYN_HEADER;
    uint8_t h[VPC_DYN_HEADER] = { 0 };
    g_autofree uint8_t *bat = g_malloc(len + 1); /* 4 MiB at most */
    int ret = block_pwrite(file, 0, footer, VPC_FOOTER);

    memset(bat, 0xff, len);
    memcpy(h + D_COOKIE, "cxsparse", 8);
    st_be64(h + D_DATA_OFF, UINT64_MAX);
    st_be64(h + D_TABLE, table);
    st_be32(h + D_VERSION, 0x00010000);
    st_be32(h + D_ENTRIES, (uint32_t)n);
    st_be32(h + D_BLOCK, VPC_BLOCK);
    st_be32(h + D_SUM, checksum(h, sizeof(h), D_SUM));
    if (ret == 0) {
        ret = block_pwrite(file, VPC_FOOTER, h, sizeof(h));
    }
    if (ret == 0) {
        ret = block_pwrite(file, table, bat, len);
    }
    if (ret == 0) {
        ret = block_pwrite(file, table + len, footer, VPC_FOOTER);
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Error writing the VHD's tables");
    }
    return ret == 0;
}

static bool write_fixed(BlockNode *file, const uint8_t *footer, uint64_t size,
                        GError **errp)
{
    int ret = block_pwrite(file, size, footer, VPC_FOOTER);

    if (ret < 0) {
        error_setg_errno(errp, -ret, "Error writing the VHD's footer");
    }
    return ret == 0;
}

static bool vpc_create(const char *filename, KeyVal *opts, GError **errp)
{
    const char *sub = keyval_get(opts, "subformat");
    bool fixed = sub && strcmp(sub, "fixed") == 0, force, ok;
    uint8_t footer[VPC_FOOTER] = { 0 };
    Geometry g = { 65535, 16, 255 };
    uint64_t size, sectors;
    BlockNode *file;

    if (!keyval_size(opts, "size", 1, 0, &size, errp) ||
        !keyval_bool(opts, "force_size", false, &force, errp)) {
        return false;
    }
    if (sub && !fixed && strcmp(sub, "dynamic") != 0) {
        error_setg(errp, "Parameter 'subformat' does not accept value '%s'",
                   sub);
        return false;
    }
    sectors = size / SECTOR + (size % SECTOR != 0);
    if (!force) {
        g = geometry_for(&sectors);
    }
    if (sectors > VPC_MAX_SECTORS) {
        error_setg(errp, "The image size is too large for file format 'vpc'");
        return false;
    }
    make_footer(footer, g, sectors * SECTOR, fixed, force);
    file = format_create_file(filename, 0, opts, errp);
    if (!file) {
        return false;
    }
    ok = fixed ? write_fixed(file, footer, sectors * SECTOR, errp)
               : write_dynamic(file, footer, sectors * SECTOR, errp);
    return block_close(file, ok ? errp : NULL) && ok;
}

static const CreateOpt vpc_create_opts[] = {
    { "force_size", OPT_BOOL,
      "Force disk size calculation to use the actual size specified, rather "
      "than using the nearest CHS-based calculation",
      CREATE_OPT },
    { "size", OPT_SIZE, "Virtual disk size", CREATE_OPT },
    { "subformat", OPT_STR,
      "Type of virtual hard disk format. Supported formats are {dynamic "
      "(default) | fixed} ",
      CREATE_OPT },
    { NULL, OPT_END, NULL, CREATE_OPT },
};

const BlockDriver block_vpc = {
    .name = "vpc",
    .size = sizeof(VpcState),
    .is_format = true,
    .probe = vpc_probe,
    .create = vpc_create,
    .create_opts = vpc_create_opts,
    .open = vpc_open,
    .close = vpc_close,
    .read = vpc_read,
    .write = vpc_write,
    .zero = vpc_zero,
    .map = vpc_map,
    .get_info = vpc_get_info,
};
