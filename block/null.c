/* null-co, null-aio: a disk that forgets; for measuring what is above it. */
#include "util/osdep.h"
#include "block/drivers.h"

#include "util/iov.h"

enum { NULL_DEFAULT_SIZE = 1 << 30 };

typedef struct NullState {
    bool read_zeroes;
    uint64_t latency_ns;
} NullState;

static bool null_open(BlockNode *bn, KeyVal *options, GError **errp)
{
    NullState *s = bn->s;

    return keyval_size(options, "size", 1, NULL_DEFAULT_SIZE, &bn->size,
                       errp) &&
           keyval_u64(options, "latency-ns", 0, &s->latency_ns, errp) &&
           keyval_bool(options, "read-zeroes", false, &s->read_zeroes, errp);
}

static void null_close(BlockNode *bn)
{
}

static int null_wait(BlockNode *bn)
{
    NullState *s = bn->s;

    if (s->latency_ns) {
        g_usleep(MAX(s->latency_ns / 1000, 1));
    }
    return 0;
}

static int null_read(BlockNode *bn, uint64_t off, const struct iovec *iov,
                     int n)
{
    NullState *s = bn->s;

    if (s->read_zeroes) {
        iov_memset(iov, n, 0, 0, iov_size(iov, n));
    }
    return null_wait(bn);
}

static int null_write(BlockNode *bn, uint64_t off, const struct iovec *iov,
                      int n, unsigned flags)
{
    return null_wait(bn);
}

static int null_zero(BlockNode *bn, uint64_t off, uint64_t len, unsigned flags)
{
    return null_wait(bn);
}

static int null_discard(BlockNode *bn, uint64_t off, uint64_t len)
{
    return null_wait(bn);
}

static int null_flush(BlockNode *bn)
{
    return null_wait(bn);
}

static int null_map(BlockNode *bn, uint64_t off, uint64_t len, unsigned flags,
                    BlockExtent *out)
{
    NullState *s = bn->s;

    out->kind = s->read_zeroes ? EXTENT_ZERO : EXTENT_DATA;
    return 0;
}

static uint64_t null_allocated(BlockNode *bn)
{
    return 0;
}

#define NULL_FUNCTIONS \
    .size = sizeof(NullState), .open = null_open, .close = null_close, \
    .read = null_read, .write = null_write, .zero = null_zero, \
    .discard = null_discard, .flush = null_flush, .map = null_map, \
    .allocated = null_allocated

const BlockDriver block_null = {
    .name = "null-co",
    .prefix = "null-co:",
    NULL_FUNCTIONS,
};

const BlockDriver block_null_zero = {
    .name = "null-aio",
    .prefix = "null-aio:",
    NULL_FUNCTIONS,
};
