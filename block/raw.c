/*
 * raw: the guest's disk is the file, or with offset= and size= a part of it.
 */
#include "util/osdep.h"
#include "block/blkdebug.h"
#include "block/drivers.h"

#include "util/error.h"

typedef struct RawState {
    uint64_t offset;
    bool has_size; /* size= was given: not to be resized */
} RawState;

static int raw_probe(const uint8_t *head, size_t len, const char *filename)
{
    return 1; /* better than nothing */
}

static bool raw_open(BlockNode *bn, KeyVal *options, GError **errp)
{
    RawState *s = bn->s;
    uint64_t fsize = bn->file->size, size;

    s->has_size = keyval_get(options, "size") != NULL;
    if (!keyval_size(options, "offset", 1, 0, &s->offset, errp)) {
        return false;
    }
    if (s->offset > fsize) {
        error_setg(errp,
                   "Offset (%" PRIu64 ") cannot be greater than size of "
                   "the containing file (%" PRIu64 ")",
                   s->offset, fsize);
        return false;
    }
    if (!keyval_size(options, "size", 1, fsize - s->offset, &size, errp)) {
        return false;
    }
    if (size > fsize - s->offset) {
        error_setg(errp,
                   "The sum of offset (%" PRIu64 ") and size (%" PRIu64
                   ") has to be smaller or equal to the actual size of "
                   "the containing file (%" PRIu64 ")",
                   s->offset, size, fsize);
        return false;
    }
    /* A disk has whole sectors: the rest of the last one reads as zeroes. */
    bn->size = s->has_size ? size : (size + 511) & ~UINT64_C(511);
    bn->align = bn->file->align;
    return true;
}

static void raw_close(BlockNode *bn)
{
}

static int raw_read(BlockNode *bn, uint64_t off, const struct iovec *iov, int n)
{
    RawState *s = bn->s;

    block_event(bn->file, BLKDBG_READ_AIO);
    return block_preadv(bn->file, s->offset + off, iov, n);
}

static int raw_write(BlockNode *bn, uint64_t off, const struct iovec *iov,
                     int n, unsigned flags)
{
    RawState *s = bn->s;

    if (flags & WRITE_COMPRESSED) {
        return -ENOTSUP;
    }
    block_event(bn->file, BLKDBG_WRITE_AIO);
    return block_pwritev(bn->file, s->offset + off, iov, n, 0);
}

static int raw_zero(BlockNode *bn, uint64_t off, uint64_t len, unsigned flags)
{
    RawState *s = bn->s;

    return block_zero(bn->file, s->offset + off, len, flags | ZERO_NO_FALLBACK);
}

static int raw_discard(BlockNode *bn, uint64_t off, uint64_t len)
{
    RawState *s = bn->s;

    return block_discard(bn->file, s->offset + off, len);
}

static int raw_map(BlockNode *bn, uint64_t off, uint64_t len, unsigned flags,
                   BlockExtent *out)
{
    RawState *s = bn->s;
    int ret = block_map(bn->file, s->offset + off, len, flags, out);

    /* A raw image has no layer below: everything is here, holes too. */
    out->allocated = true;
    /* The format check of a guessed image must see each write. */
    out->in_place &= !bn->probed || off >= 512;
    return ret;
}

static bool raw_resize(BlockNode *bn, uint64_t size, const char *prealloc,
                       bool shrink, GError **errp)
{
    RawState *s = bn->s;

    if (s->has_size) {
        error_setg(errp, "Cannot resize fixed-size raw disks");
        return false;
    }
    if (size > INT64_MAX - s->offset) {
        error_setg(errp, "Disk size too large for the chosen offset");
        return false;
    }
    if (!block_resize(bn->file, s->offset + size, prealloc, shrink, errp)) {
        return false;
    }
    bn->size = (size + 511) & ~UINT64_C(511);
    return true;
}

static bool raw_create(const char *filename, KeyVal *opts, GError **errp)
{
    const BlockDriver *proto = block_find_protocol(filename, errp);

    if (!proto) {
        return false;
    }
    if (!proto->create) {
        BlockNode *f;
        uint64_t size;

        if (!keyval_size(opts, "size", 1, 0, &size, errp)) {
            return false;
        }
        f = block_create_file(filename, size, NULL, errp);
        return f && block_close(f, errp);
    }
    return proto->create(filename, opts, errp);
}

static void raw_get_info(BlockNode *bn, BlockInfo *out)
{
    block_get_info(bn->file, out);
}

static bool raw_measure(KeyVal *opts, BlockNode *in, MeasureInfo *out,
                        GError **errp)
{
    uint64_t size;

    if (!keyval_size(opts, "size", 1, in ? in->size : 0, &size, errp)) {
        return false;
    }
    out->required = out->fully_allocated = (size + 511) & ~UINT64_C(511);
    return true;
}

const BlockDriver block_raw = {
    .name = "raw",
    .size = sizeof(RawState),
    .is_format = true,
    .probe = raw_probe,
    .create = raw_create,
    .create_opts = block_file_create_opts,
    .open = raw_open,
    .close = raw_close,
    .read = raw_read,
    .write = raw_write,
    .zero = raw_zero,
    .discard = raw_discard,
    .map = raw_map,
    .resize = raw_resize,
    .get_info = raw_get_info,
    .measure = raw_measure,
};
