/*
 * parallels: the expandable disk images of Parallels Desktop. QEMU,
 * docs/interop/parallels.txt.
 *
 * A header, a table of 32-bit numbers (of sectors, or in the newer kind of
 * clusters), and clusters in the order in which they were first written. A
 * writer marks the header "in use" and takes that back when it closes; an image
 * so marked is not opened for writing. A new cluster's data goes to the file
 * before its entry.
 *
 * Images with a format extension (dirty bitmaps) are opened read-only: a write
 * would make the bitmaps wrong.
 */
#include "util/osdep.h"
#include "block/drivers.h"
#include "block/format.h"

#include "util/bits.h"
#include "util/error.h"
#include "util/iov.h"

enum {
    SECTOR = 512,
    PAR_HEADER = 64,
    PAR_VERSION = 2,
    PAR_IN_USE = 0x746f6e59,
    PAR_CLUSTER = 1 << 20,
    PAR_MAX_CLUSTER = 1 << 30,
};

/* Offsets of the header's fields. */
enum {
    H_MAGIC = 0,
    H_VERSION = 16,
    H_HEADS = 20,
    H_CYLS = 24,
    H_TRACKS = 28, /* sectors of a cluster */
    H_ENTRIES = 32,
    H_SECTORS = 36,
    H_IN_USE = 44,
    H_DATA = 48, /* sectors; 0: behind the table */
    H_FLAGS = 52,
    H_EXT = 56, /* sectors */
};

typedef struct ParallelsState {
    GMutex lock;   /* the table, the end */
    uint32_t *bat; /* host order; 0: not there */
    uint32_t entries;
    uint32_t cluster;    /* bytes */
    uint32_t unit;       /* bytes that an entry counts */
    uint64_t first, end; /* of the clusters in the file */
    bool unclean, marked;
} ParallelsState;

static const char old_magic[] = "WithoutFreeSpace";
static const char ext_magic[] = "WithouFreSpacExt";

static int parallels_probe(const uint8_t *head, size_t len,
                           const char *filename)
{
    return len >= PAR_HEADER && ld_le32(head + H_VERSION) == PAR_VERSION &&
                   (memcmp(head, old_magic, 16) == 0 ||
                    memcmp(head, ext_magic, 16) == 0)
               ? 100
               : 0;
}

/* ---- open ------------------------------------------------------------------------ */

static bool check_header(const uint8_t *h, uint64_t file_size, GError **errp)
{
    uint32_t tracks = ld_le32(h + H_TRACKS), n = ld_le32(h + H_ENTRIES);
    uint64_t sectors = ld_le64(h + H_SECTORS);

    if (memcmp(h, old_magic, 16) == 0) {
        sectors &= UINT32_MAX;
    }
    if (!parallels_probe(h, PAR_HEADER, NULL)) {
        error_setg(errp, "Image not in Parallels format");
    } else if (!tracks) {
        error_setg(errp, "Invalid image: Zero sectors per track");
    } else if (tracks > PAR_MAX_CLUSTER / SECTOR) {
        error_setg(errp, "Invalid image: Too big cluster");
    } else if (sectors > INT64_MAX / SECTOR || sectors / tracks > n ||
               (sectors / tracks == n && sectors % tracks)) {
        error_setg(errp,
                   "the disk has %" PRIu64 " sectors, its table room for "
                   "%" PRIu64,
                   sectors, (uint64_t)n * tracks);
    } else if (file_size < PAR_HEADER ||
               (uint64_t)n * 4 > file_size - PAR_HEADER) {
        error_setg(errp,
                   "Catalog too large: the file ends inside its table "
                   "of %" PRIu32 " clusters",
                   n);
    } else {
        return true;
    }
    return false;
}

static bool read_table(BlockNode *bn, GError **errp)
{
    ParallelsState *s = bn->s;
    int ret;

    s->bat = g_try_malloc(MAX((size_t)s->entries * 4, 4));
    if (!s->bat) {
        error_setg(errp,
                   "the table of %" PRIu32 " clusters needs too much "
                   "memory",
                   s->entries);
        return false;
    }
    ret = block_pread(bn->file, PAR_HEADER, s->bat, (size_t)s->entries * 4);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not read the Parallels table");
        return false;
    }
    for (uint32_t i = 0; i < s->entries; i++) {
        s->bat[i] = GUINT32_FROM_LE(s->bat[i]);
        if (s->bat[i]) {
            s->end = MAX(s->end, (uint64_t)s->bat[i] * s->unit + s->cluster);
        }
    }
    return true;
}

static int mark(BlockNode *bn, uint32_t value)
{
    uint32_t le = GUINT32_TO_LE(value);
    int ret = block_pwrite(bn->file, H_IN_USE, &le, 4);

    return ret < 0 ? ret : block_flush(bn->file);
}

static bool begin_writing(BlockNode *bn, const uint8_t *h, GError **errp)
{
    ParallelsState *s = bn->s;
    int ret;

    if (bn->read_only || (bn->flags & BLOCK_NO_IO)) {
        return true;
    }
    if (ld_le64(h + H_EXT)) {
        error_setg(errp, "Parallels images with a format extension can only "
                         "be read");
        return false;
    }
    if (bn->flags & BLOCK_CHECK) {
        return true;
    }
    if (s->unclean) {
        error_setg(errp, "parallels: Image was not closed correctly; cannot "
                         "be opened read/write");
        return false;
    }
    ret = mark(bn, PAR_IN_USE);
    s->marked = ret == 0;
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not mark the image as in use");
    }
    return ret == 0;
}

static bool parallels_open(BlockNode *bn, KeyVal *options, GError **errp)
{
    ParallelsState *s = bn->s;
    uint8_t h[PAR_HEADER] = { 0 };
    int ret = block_pread(bn->file, 0, h, MIN(bn->file->size, sizeof(h)));

    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not read the Parallels header");
        return false;
    }
    if (!check_header(h, bn->file->size, errp)) {
        return false;
    }
    s->entries = ld_le32(h + H_ENTRIES);
    s->cluster = ld_le32(h + H_TRACKS) * SECTOR;
    s->unit = memcmp(h, ext_magic, 16) == 0 ? s->cluster : SECTOR;
    s->unclean = ld_le32(h + H_IN_USE) == PAR_IN_USE;
    bn->size = ld_le64(h + H_SECTORS);
    bn->size = (s->unit == SECTOR ? bn->size & UINT32_MAX : bn->size) * SECTOR;
    s->first = (uint64_t)ld_le32(h + H_DATA) * SECTOR;
    if (!s->first) {
        s->first =
            (PAR_HEADER + (uint64_t)s->entries * 4 + 511) & ~UINT64_C(511);
    }
    s->first = MAX(s->first, PAR_HEADER + (uint64_t)s->entries * 4);
    s->end = (s->first + s->unit - 1) / s->unit * s->unit;
    if (!read_table(bn, errp) || !begin_writing(bn, h, errp)) {
        g_free(s->bat);
        return false;
    }
    g_mutex_init(&s->lock);
    return true;
}

static void parallels_close(BlockNode *bn)
{
    ParallelsState *s = bn->s;

    if (s->marked) {
        mark(bn, 0); /* else the next to open it will say so */
    }
    g_free(s->bat);
    g_mutex_clear(&s->lock);
}

/* ---- data ------------------------------------------------------------------------- */

/* With the lock: where @off is, or 0. */
static uint64_t place_of(ParallelsState *s, uint64_t off)
{
    uint64_t at = (uint64_t)s->bat[off / s->cluster] * s->unit;

    return at ? at + off % s->cluster : 0;
}

static uint64_t place_of_locked(ParallelsState *s, uint64_t off)
{
    uint64_t at;

    g_mutex_lock(&s->lock);
    at = place_of(s, off);
    g_mutex_unlock(&s->lock);
    return at;
}

static int read_piece(BlockNode *bn, uint64_t off, const struct iovec *iov,
                      int n)
{
    uint64_t host = place_of_locked(bn->s, off);

    if (host) {
        return block_preadv(bn->file, host, iov, n);
    }
    iov_memset(iov, n, 0, 0, iov_size(iov, n));
    return 0;
}

static int parallels_read(BlockNode *bn, uint64_t off, const struct iovec *iov,
                          int n)
{
    ParallelsState *s = bn->s;

    return format_pieces(bn, off, iov, n, s->cluster, read_piece);
}

/* With the lock: the data first, zeroes around it, then the entry. */
static int new_cluster(BlockNode *bn, uint64_t off, const struct iovec *iov,
                       int n)
{
    ParallelsState *s = bn->s;
    uint64_t index = off / s->cluster, in = off % s->cluster, host = s->end;
    uint32_t le;
    int ret;

    if (host / s->unit > UINT32_MAX) {
        return -EFBIG;
    }
    ret = block_zero(bn->file, host, s->cluster, ZERO_MAY_UNMAP);
    if (ret < 0) {
        return ret;
    }
    s->end = host + s->cluster; /* never used twice */
    ret = block_pwritev(bn->file, host + in, iov, n, 0);
    if (ret == 0) {
        le = GUINT32_TO_LE((uint32_t)(host / s->unit));
        ret = block_pwrite(bn->file, PAR_HEADER + index * 4, &le, 4);
    }
    if (ret == 0) {
        s->bat[index] = (uint32_t)(host / s->unit);
    }
    return ret;
}

static int write_piece(BlockNode *bn, uint64_t off, const struct iovec *iov,
                       int n)
{
    ParallelsState *s = bn->s;
    uint64_t host;
    int ret = 0;

    g_mutex_lock(&s->lock);
    host = place_of(s, off);
    if (!host) {
        ret = new_cluster(bn, off, iov, n);
    }
    g_mutex_unlock(&s->lock);
    if (host && host < s->first) {
        return -EIO; /* a cluster inside the tables: not to be written */
    }
    return host ? block_pwritev(bn->file, host, iov, n, 0) : ret;
}

static int parallels_write(BlockNode *bn, uint64_t off, const struct iovec *iov,
                           int n, unsigned flags)
{
    ParallelsState *s = bn->s;

    if (flags & WRITE_COMPRESSED) {
        return -ENOTSUP;
    }
    return format_pieces(bn, off, iov, n, s->cluster, write_piece);
}

static int parallels_map(BlockNode *bn, uint64_t off, uint64_t len,
                         unsigned flags, BlockExtent *out)
{
    ParallelsState *s = bn->s;
    uint64_t run = s->cluster - off % s->cluster;
    uint64_t host, next;

    if (!format_lock(&s->lock, flags)) {
        return -EAGAIN;
    }
    host = place_of(s, off);
    while (run < len) {
        next = place_of(s, off + run);
        if (next != (host ? host + run : 0)) {
            break;
        }
        run += s->cluster;
    }
    g_mutex_unlock(&s->lock);
    out->len = MIN(run, len);
    out->kind = host ? EXTENT_DATA : EXTENT_HOLE;
    out->allocated = out->has_offset = host;
    out->in_place = host >= s->first;
    out->host_offset = host;
    out->file = bn->file;
    return 0;
}

/* ---- check ------------------------------------------------------------------------- */

static void check_clusters(BlockNode *bn, CheckResult *res)
{
    ParallelsState *s = bn->s;
    uint64_t size = bn->file->size, last = 0;

    res->total_clusters = s->entries;
    for (uint32_t i = 0; i < s->entries; i++) {
        uint64_t at = (uint64_t)s->bat[i] * s->unit;

        if (!at) {
            last = 0;
            continue;
        }
        if (at > size || s->cluster > size - at || at < s->first) {
            format_corrupt(res, "ERROR cluster %" PRIu32 " is outside image\n",
                           i);
            last = 0;
            continue;
        }
        res->allocated_clusters++;
        res->fragmented_clusters += last && at != last + s->cluster;
        last = at;
    }
}

static int bat_order(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static bool check_shared(const ParallelsState *s, CheckResult *res,
                         GError **errp)
{
    g_autofree uint32_t *sorted = g_try_malloc(MAX((size_t)s->entries * 4, 4));

    if (!sorted) {
        error_setg(errp, "Out of memory");
        return false;
    }
    memcpy(sorted, s->bat, (size_t)s->entries * 4);
    qsort(sorted, s->entries, 4, bat_order);
    for (uint32_t i = 1; i < s->entries; i++) {
        if (sorted[i] && sorted[i] == sorted[i - 1]) {
            format_corrupt(res,
                           "ERROR two clusters share offset 0x%" PRIx64 "\n",
                           (uint64_t)sorted[i] * s->unit);
        }
    }
    return true;
}

static bool parallels_check(BlockNode *bn, CheckResult *res, unsigned fix,
                            GError **errp)
{
    ParallelsState *s = bn->s;
    uint64_t end = s->end;

    if (s->unclean) {
        bool mend = fix & CHECK_FIX_ERRORS;

        format_corrupt(res, "%s image was not closed correctly\n",
                       mend ? "Repairing" : "ERROR");
        if (mend && mark(bn, 0) == 0) {
            res->corruptions_fixed++;
            res->corruptions--;
            s->unclean = false;
        }
    }
    check_clusters(bn, res);
    if (!check_shared(s, res, errp)) {
        return false;
    }
    res->image_end_offset = MIN(end, bn->file->size);
    if (bn->file->size > end) {
        uint64_t leaked = bn->file->size - end;
        uint64_t n = (leaked + s->cluster - 1) / s->cluster;
        bool mend = fix & CHECK_FIX_LEAKS;

        format_note(res,
                    "%s space leaked at the end of the image %" PRIu64 "\n",
                    mend ? "Repairing" : "ERROR", leaked);
        if (mend && !block_resize(bn->file, end, "off", true, errp)) {
            return false;
        }
        *(mend ? &res->leaks_fixed : &res->leaks) += n;
    }
    return true;
}

/* ---- create ------------------------------------------------------------------------ */

static bool parse_cluster(KeyVal *opts, uint64_t *cluster, GError **errp)
{
    if (!keyval_size(opts, "cluster_size", 1, PAR_CLUSTER, cluster, errp)) {
        return false;
    }
    if (!*cluster || *cluster % SECTOR || *cluster > PAR_MAX_CLUSTER) {
        error_setg(errp, "cluster_size must be a multiple of 512 up to 1G");
        return false;
    }
    return true;
}

static bool write_header(BlockNode *f, uint64_t sectors, uint64_t n,
                         uint64_t cluster, GError **errp)
{
    uint64_t len = PAR_HEADER + n * 4;
    uint64_t first = (len + cluster - 1) / cluster * cluster;
    uint8_t h[PAR_HEADER] = { 0 };
    int ret;

    memcpy(h, ext_magic, 16);
    st_le32(h + H_VERSION, PAR_VERSION);
    st_le32(h + H_HEADS, 16);
    st_le32(h + H_CYLS, (uint32_t)(sectors / 16 / 32));
    st_le32(h + H_TRACKS, (uint32_t)(cluster / SECTOR));
    st_le32(h + H_ENTRIES, (uint32_t)n);
    st_le64(h + H_SECTORS, sectors);
    st_le32(h + H_DATA, (uint32_t)(first / SECTOR));
    if (!block_resize(f, first, "off", false, errp)) {
        return false;
    }
    ret = block_pwrite(f, 0, h, sizeof(h));
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Failed to create Parallels image");
    }
    return ret == 0;
}

static bool parallels_create(const char *filename, KeyVal *opts, GError **errp)
{
    uint64_t size, cluster, n;
    BlockNode *f;
    bool ok;

    if (!keyval_size(opts, "size", 1, 0, &size, errp) ||
        !parse_cluster(opts, &cluster, errp)) {
        return false;
    }
    size = (size + 511) & ~UINT64_C(511);
    n = size / cluster + (size % cluster != 0);
    if (n > INT32_MAX / 4) {
        error_setg(errp, "Image size is too large for this cluster size");
        return false;
    }
    f = format_create_file(filename, 0, opts, errp);
    if (!f) {
        return false;
    }
    ok = write_header(f, size / SECTOR, n, cluster, errp);
    return block_close(f, ok ? errp : NULL) && ok;
}

static const CreateOpt parallels_create_opts[] = {
    { "cluster_size", OPT_SIZE, "Parallels image cluster size", CREATE_OPT },
    { "size", OPT_SIZE, "Virtual disk size", CREATE_OPT },
    { NULL, OPT_END, NULL, CREATE_OPT },
};

const BlockDriver block_parallels = {
    .name = "parallels",
    .size = sizeof(ParallelsState),
    .is_format = true,
    .probe = parallels_probe,
    .create = parallels_create,
    .create_opts = parallels_create_opts,
    .open = parallels_open,
    .close = parallels_close,
    .read = parallels_read,
    .write = parallels_write,
    .map = parallels_map,
    .check = parallels_check,
};
