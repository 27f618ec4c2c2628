/*
 * vdi: VirtualBox's disk image. A header, a map of 32-bit block numbers, and
 * the blocks in the order in which they were first written.
 *
 * New blocks are appended: the data goes to the file first, then the entry of
 * the map, then the count in the header, so that a crash in between leaves an
 * unused block and nothing else.
 */
#include "util/osdep.h"
#include "block/drivers.h"
#include "block/format.h"

#include "util/bits.h"
#include "util/error.h"
#include "util/iov.h"

enum {
    VDI_SIGNATURE = 0xbeda107f,
    VDI_VERSION = 0x00010001,
    VDI_HEADER = 512,
    VDI_DYNAMIC = 1,
    VDI_STATIC = 2,
    VDI_BLOCK = 1 << 20,
    VDI_MAX_BLOCKS = 0x20000000,
};

#define VDI_FREE   0xffffffffu /* never written */
#define VDI_ZEROED 0xfffffffeu

/* Offsets of the header's fields. */
enum {
    H_TEXT = 0,
    H_SIGNATURE = 64,
    H_VERSION = 68,
    H_SIZE = 72,
    H_TYPE = 76,
    H_FLAGS = 80,
    H_MAP = 340,
    H_DATA = 344,
    H_SECTOR = 360,
    H_DISK_SIZE = 368,
    H_BLOCK_SIZE = 376,
    H_EXTRA = 380,
    H_BLOCKS = 384,
    H_ALLOCATED = 388,
    H_UUIDS = 392, /* image, snapshot, link, parent */
};

typedef struct VdiState {
    GMutex lock;   /* of the map and the count */
    uint32_t *map; /* host order */
    uint32_t blocks, allocated, type;
    uint32_t map_off, data_off;
} VdiState;

static int vdi_probe(const uint8_t *head, size_t len, const char *filename)
{
    return len >= H_SIGNATURE + 4 &&
                   ld_le32(head + H_SIGNATURE) == VDI_SIGNATURE
               ? 100
               : 0;
}

static bool check_header(const uint8_t *h, uint64_t file_size, GError **errp)
{
    uint64_t size = ld_le64(h + H_DISK_SIZE);
    uint32_t blocks = ld_le32(h + H_BLOCKS);
    static const uint8_t none[16];

    if (ld_le32(h + H_SIGNATURE) != VDI_SIGNATURE) {
        error_setg(errp,
                   "Image not in VDI format (bad signature %08" PRIx32 ")",
                   ld_le32(h + H_SIGNATURE));
    } else if (ld_le32(h + H_VERSION) != VDI_VERSION) {
        error_setg(errp, "unsupported VDI image (version %u.%u)",
                   ld_le32(h + H_VERSION) >> 16,
                   ld_le32(h + H_VERSION) & 0xffff);
    } else if (ld_le32(h + H_MAP) % 512) {
        error_setg(errp,
                   "unsupported VDI image (unaligned block map offset "
                   "0x%" PRIx32 ")",
                   ld_le32(h + H_MAP));
    } else if (ld_le32(h + H_DATA) % 512) {
        error_setg(errp,
                   "unsupported VDI image (unaligned data offset "
                   "0x%" PRIx32 ")",
                   ld_le32(h + H_DATA));
    } else if (ld_le32(h + H_SECTOR) != 512) {
        error_setg(errp,
                   "unsupported VDI image (sector size %" PRIu32 " is not 512)",
                   ld_le32(h + H_SECTOR));
    } else if (ld_le32(h + H_BLOCK_SIZE) != VDI_BLOCK) {
        error_setg(errp,
                   "unsupported VDI image (block size %" PRIu32
                   " is not 1048576)",
                   ld_le32(h + H_BLOCK_SIZE));
    } else if (blocks > VDI_MAX_BLOCKS || size > (uint64_t)blocks * VDI_BLOCK) {
        error_setg(errp,
                   "unsupported VDI image (disk size %" PRIu64
                   ", image bitmap has room for %" PRIu64 ")",
                   size, (uint64_t)blocks * VDI_BLOCK);
    } else if (memcmp(h + H_UUIDS + 32, none, 16) != 0) {
        error_setg(errp, "unsupported VDI image (non-NULL link UUID)");
    } else if (memcmp(h + H_UUIDS + 48, none, 16) != 0) {
        error_setg(errp, "unsupported VDI image (non-NULL parent UUID)");
    } else if ((uint64_t)ld_le32(h + H_MAP) + (uint64_t)blocks * 4 >
               file_size) {
        error_setg(errp, "the file ends inside its map of %" PRIu32 " blocks",
                   blocks);
    } else {
        return true;
    }
    return false;
}

static bool vdi_open(BlockNode *bn, KeyVal *options, GError **errp)
{
    VdiState *s = bn->s;
    uint8_t h[VDI_HEADER] = { 0 };
    int ret = block_pread(bn->file, 0, h, sizeof(h));

    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not read the VDI header");
        return false;
    }
    if (!check_header(h, bn->file->size, errp)) {
        return false;
    }
    s->blocks = ld_le32(h + H_BLOCKS);
    s->allocated = ld_le32(h + H_ALLOCATED);
    s->type = ld_le32(h + H_TYPE);
    s->map_off = ld_le32(h + H_MAP);
    s->data_off = ld_le32(h + H_DATA);
    /* VirtualBox also makes disks that are no whole number of sectors. */
    bn->size = (ld_le64(h + H_DISK_SIZE) + 511) & ~UINT64_C(511);
    s->map = g_try_malloc(MAX((size_t)s->blocks * 4, 4));
    if (!s->map) {
        error_setg(errp, "the map of %" PRIu32 " blocks needs too much memory",
                   s->blocks);
        return false;
    }
    ret = block_pread(bn->file, s->map_off, s->map, (size_t)s->blocks * 4);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not read the VDI block map");
        g_free(s->map);
        return false;
    }
    for (uint32_t i = 0; i < s->blocks; i++) {
        s->map[i] = GUINT32_FROM_LE(s->map[i]);
    }
    g_mutex_init(&s->lock);
    return true;
}

static void vdi_close(BlockNode *bn)
{
    VdiState *s = bn->s;

    g_free(s->map);
    g_mutex_clear(&s->lock);
}

static uint64_t block_offset(const VdiState *s, uint32_t entry)
{
    return s->data_off + (uint64_t)entry * VDI_BLOCK;
}

static bool stored(uint32_t entry)
{
    return entry < VDI_ZEROED;
}

static uint32_t entry_of(VdiState *s, uint64_t off)
{
    uint32_t e;

    g_mutex_lock(&s->lock);
    e = s->map[off / VDI_BLOCK];
    g_mutex_unlock(&s->lock);
    return e;
}

/* ---- data ----------------------------------------------------------------------------- */

static int read_piece(BlockNode *bn, uint64_t off, const struct iovec *iov,
                      int n)
{
    VdiState *s = bn->s;
    uint32_t e = entry_of(s, off);

    if (stored(e)) {
        return block_preadv(bn->file, block_offset(s, e) + off % VDI_BLOCK, iov,
                            n);
    }
    iov_memset(iov, n, 0, 0, iov_size(iov, n));
    return 0;
}

static int vdi_read(BlockNode *bn, uint64_t off, const struct iovec *iov, int n)
{
    return format_pieces(bn, off, iov, n, VDI_BLOCK, read_piece);
}

/* With the lock: a new block with @iov at @in, zeroes around it. */
static int new_block(BlockNode *bn, uint32_t index, uint64_t in,
                     const struct iovec *iov, int n)
{
    VdiState *s = bn->s;
    g_autofree uint8_t *buf = g_try_malloc0(VDI_BLOCK);
    uint32_t e = s->allocated, le = GUINT32_TO_LE(e);
    uint32_t count = GUINT32_TO_LE(e + 1);
    int ret;

    if (!buf) {
        return -ENOMEM;
    }
    if (e >= VDI_ZEROED) {
        return -ENOSPC;
    }
    iov_to_buf(iov, n, 0, buf + in, VDI_BLOCK - in);
    ret = block_pwrite(bn->file, block_offset(s, e), buf, VDI_BLOCK);
    if (ret == 0) {
        ret = block_pwrite(bn->file, H_ALLOCATED, &count, 4);
    }
    if (ret == 0) {
        s->allocated = e + 1; /* never used twice, whatever happens next */
        ret = block_pwrite(bn->file, s->map_off + (uint64_t)index * 4, &le, 4);
    }
    if (ret == 0) {
        s->map[index] = e;
    }
    return ret;
}

static int write_piece(BlockNode *bn, uint64_t off, const struct iovec *iov,
                       int n)
{
    VdiState *s = bn->s;
    uint64_t in = off % VDI_BLOCK;
    uint32_t e;
    int ret = 0;

    g_mutex_lock(&s->lock);
    e = s->map[off / VDI_BLOCK];
    if (!stored(e)) {
        ret = new_block(bn, (uint32_t)(off / VDI_BLOCK), in, iov, n);
    }
    g_mutex_unlock(&s->lock);
    return stored(e)
               ? block_pwritev(bn->file, block_offset(s, e) + in, iov, n, 0)
               : ret;
}

static int vdi_write(BlockNode *bn, uint64_t off, const struct iovec *iov,
                     int n, unsigned flags)
{
    if (flags & WRITE_COMPRESSED) {
        return -ENOTSUP;
    }
    return format_pieces(bn, off, iov, n, VDI_BLOCK, write_piece);
}

static int vdi_map(BlockNode *bn, uint64_t off, uint64_t len, unsigned flags,
                   BlockExtent *out)
{
    VdiState *s = bn->s;
    uint64_t i = off / VDI_BLOCK, run = VDI_BLOCK - off % VDI_BLOCK;
    uint32_t e;

    if (!format_lock(&s->lock, flags)) {
        return -EAGAIN;
    }
    e = s->map[i];
    while (!stored(e) && run < len && !stored(s->map[i + 1])) {
        run += VDI_BLOCK;
        i++;
    }
    g_mutex_unlock(&s->lock);
    out->len = MIN(len, run);
    if (!stored(e)) {
        out->kind = EXTENT_ZERO; /* there is never a layer below */
        out->allocated = false;
        return 0;
    }
    out->kind = EXTENT_DATA;
    out->has_offset = out->in_place = true;
    out->recurse = s->type == VDI_STATIC;
    out->host_offset = block_offset(s, e) + off % VDI_BLOCK;
    out->file = bn->file;
    return 0;
}

static void vdi_get_info(BlockNode *bn, BlockInfo *out)
{
    out->cluster_size = VDI_BLOCK;
}

/* ---- check ------------------------------------------------------------------------------ */

static bool vdi_check(BlockNode *bn, CheckResult *res, unsigned fix,
                      GError **errp)
{
    VdiState *s = bn->s;
    g_autofree uint8_t *used = NULL;
    uint64_t count = 0;

    if (!format_no_repair(fix, errp)) {
        return false;
    }
    used = g_try_malloc0((size_t)s->blocks / 8 + 1);
    if (!used) {
        error_setg(errp, "Out of memory");
        return false;
    }
    for (uint32_t i = 0; i < s->blocks; i++) {
        uint32_t e = s->map[i];

        if (!stored(e)) {
            continue;
        }
        count++;
        if (e >= s->allocated || e >= s->blocks) {
            format_corrupt(res,
                           "ERROR: block index %" PRIu32
                           " out of range, is %" PRIu32 "\n",
                           i, e);
        } else if (used[e / 8] & (1 << e % 8)) {
            format_corrupt(res,
                           "ERROR: block index %" PRIu32
                           " also used by %" PRIu32 "\n",
                           e, i);
        } else {
            used[e / 8] |= (uint8_t)(1 << e % 8);
        }
    }
    if (count != s->allocated) {
        format_corrupt(res,
                       "ERROR: allocated blocks mismatch, is %" PRIu64
                       ", should be %" PRIu32 "\n",
                       count, s->allocated);
    }
    return true;
}

/* ---- create ------------------------------------------------------------------------------- */

static void fill_header(uint8_t *h, uint64_t size, uint32_t blocks,
                        uint64_t map_len, bool fixed)
{
    static const char text[] = "<<< Rhea VM Virtual Disk Image >>>\n";

    memcpy(h + H_TEXT, text, sizeof(text));
    st_le32(h + H_SIGNATURE, VDI_SIGNATURE);
    st_le32(h + H_VERSION, VDI_VERSION);
    st_le32(h + H_SIZE, 0x180);
    st_le32(h + H_TYPE, fixed ? VDI_STATIC : VDI_DYNAMIC);
    st_le32(h + H_MAP, VDI_HEADER);
    st_le32(h + H_DATA, (uint32_t)(VDI_HEADER + map_len));
    st_le32(h + H_SECTOR, 512);
    st_le64(h + H_DISK_SIZE, size);
    st_le32(h + H_BLOCK_SIZE, VDI_BLOCK);
    st_le32(h + H_BLOCKS, blocks);
    st_le32(h + H_ALLOCATED, fixed ? blocks : 0);
    format_random_uuid(h + H_UUIDS);
    format_random_uuid(h + H_UUIDS + 16);
}

static bool write_image(BlockNode *f, uint64_t size, bool fixed, GError **errp)
{
    uint32_t blocks = (uint32_t)((size + VDI_BLOCK - 1) / VDI_BLOCK);
    uint64_t map_len = ((uint64_t)blocks * 4 + 511) & ~UINT64_C(511);
    g_autofree uint8_t *map = g_try_malloc0(MAX(map_len, 512));
    uint8_t h[VDI_HEADER] = { 0 };
    int ret;

    if (!map) {
        error_setg(errp, "the map of %" PRIu32 " blocks needs too much memory",
                   blocks);
        return false;
    }
    for (uint32_t i = 0; i < blocks; i++) {
        st_le32(map + (size_t)i * 4, fixed ? i : VDI_FREE);
    }
    fill_header(h, size, blocks, map_len, fixed);
    ret = block_pwrite(f, 0, h, sizeof(h));
    if (ret == 0) {
        ret = block_pwrite(f, VDI_HEADER, map, map_len);
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Error writing header");
        return false;
    }
    return !fixed ||
           block_resize(f, VDI_HEADER + map_len + (uint64_t)blocks * VDI_BLOCK,
                        "off", false, errp);
}

static bool vdi_create(const char *filename, KeyVal *opts, GError **errp)
{
    uint64_t size;
    bool fixed, ok;
    BlockNode *f;

    if (!keyval_size(opts, "size", 1, 0, &size, errp) ||
        !keyval_bool(opts, "static", false, &fixed, errp)) {
        return false;
    }
    if (size > (uint64_t)VDI_MAX_BLOCKS * VDI_BLOCK) {
        error_setg(errp,
                   "Unsupported VDI image size (size is 0x%" PRIx64
                   ", max supported is 0x%" PRIx64 ")",
                   size, (uint64_t)VDI_MAX_BLOCKS * VDI_BLOCK);
        return false;
    }
    f = block_create_file(filename, 0, opts, errp);
    if (!f) {
        return false;
    }
    ok = write_image(f, size, fixed, errp);
    return block_close(f, ok ? errp : NULL) && ok;
}

static const CreateOpt vdi_create_opts[] = {
    { "size", OPT_SIZE, "Virtual disk size", CREATE_OPT },
    { "static", OPT_BOOL, "VDI static (pre-allocated) image", CREATE_OPT },
    { NULL, OPT_END, NULL, CREATE_OPT },
};

const BlockDriver block_vdi = {
    .name = "vdi",
    .size = sizeof(VdiState),
    .is_format = true,
    .probe = vdi_probe,
    .create = vdi_create,
    .create_opts = vdi_create_opts,
    .open = vdi_open,
    .close = vdi_close,
    .read = vdi_read,
    .write = vdi_write,
    .map = vdi_map,
    .check = vdi_check,
    .get_info = vdi_get_info,
};
