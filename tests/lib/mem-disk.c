/* See mem-disk.h. */
#include "util/osdep.h"
#include "tests/lib/mem-disk.h"

#include "util/iov.h"

enum { MAX_BYTES = 256 << 20 };

static void op_clear(gpointer p)
{
    g_free(((MemOp *)p)->data);
}

void mem_disk_init(MemDisk *d, const void *data, size_t len)
{
    memset(d, 0, sizeof(*d));
    d->bytes = g_byte_array_new();
    g_byte_array_append(d->bytes, data, (guint)len);
    d->max = MAX_BYTES;
    d->fail_errno = EIO;
}

void mem_disk_clear(MemDisk *d)
{
    g_byte_array_unref(d->bytes);
    if (d->log) {
        g_array_unref(d->log);
    }
}

void mem_disk_record(MemDisk *d)
{
    d->log = g_array_new(false, false, sizeof(MemOp));
    g_array_set_clear_func(d->log, op_clear);
}

static void grow(GByteArray *a, uint64_t end)
{
    if (end > a->len) {
        guint old = a->len;

        g_byte_array_set_size(a, (guint)end);
        memset(a->data + old, 0, end - old);
    }
}

void mem_op_apply(GByteArray *bytes, const MemOp *op)
{
    if (op->kind == MEM_WRITE) {
        grow(bytes, op->off + op->len);
        memcpy(bytes->data + op->off, op->data, op->len);
    }
}

static int mem_read(BlockNode *bn, uint64_t off, const struct iovec *iov, int n)
{
    MemDisk *d = *(MemDisk **)bn->s;
    size_t len = iov_size(iov, n);
    size_t have = off < d->bytes->len ? MIN(len, d->bytes->len - off) : 0;

    d->reads += len;
    if (have) {
        iov_from_buf(iov, n, 0, d->bytes->data + off, have);
    }
    iov_memset(iov, n, have, 0, len - have);
    return 0;
}

static int mem_write(BlockNode *bn, uint64_t off, const struct iovec *iov,
                     int n, unsigned flags)
{
    MemDisk *d = *(MemDisk **)bn->s;
    size_t len = iov_size(iov, n);
    MemOp op = { MEM_WRITE, off, len, NULL };
    unsigned fail_at = (unsigned)g_atomic_int_get(&d->fail_at);

    d->writes++;
    if (fail_at &&
        (d->writes == fail_at || (d->fail_on && d->writes > fail_at))) {
        return -d->fail_errno;
    }
    if (len > d->max || off > d->max - len) {
        return -ENOSPC;
    }
    op.data = g_malloc(len);
    iov_to_buf(iov, n, 0, op.data, len);
    mem_op_apply(d->bytes, &op);
    bn->size = d->bytes->len;
    if (d->log) {
        g_array_append_val(d->log, op);
    } else {
        g_free(op.data);
    }
    return 0;
}

static int mem_zero(BlockNode *bn, uint64_t off, uint64_t len, unsigned flags)
{
    g_autofree uint8_t *buf = g_try_malloc0(len);
    struct iovec iov = { buf, len };

    return buf ? mem_write(bn, off, &iov, 1, 0) : -ENOTSUP;
}

static int mem_flush(BlockNode *bn)
{
    MemDisk *d = *(MemDisk **)bn->s;
    MemOp op = { MEM_FLUSH, 0, 0, NULL };

    if (d->log) {
        g_array_append_val(d->log, op);
    }
    return 0;
}

/* Longer alone: its last byte is written. */
static bool mem_resize(BlockNode *bn, uint64_t size, const char *prealloc,
                       bool shrink, GError **errp)
{
    uint8_t zero = 0;
    struct iovec iov = { &zero, 1 };

    return size <= bn->size || mem_write(bn, size - 1, &iov, 1, 0) == 0;
}

static void mem_close(BlockNode *bn)
{
}

static const BlockDriver mem_driver = {
    .name = "mem",
    .size = sizeof(MemDisk *),
    .close = mem_close,
    .read = mem_read,
    .write = mem_write,
    .zero = mem_zero,
    .flush = mem_flush,
    .resize = mem_resize,
};

BlockNode *mem_disk_node(MemDisk *d, unsigned flags)
{
    BlockNode *bn = block_node_new(&mem_driver, flags);

    *(MemDisk **)bn->s = d;
    bn->size = d->bytes->len;
    bn->growable = true;
    bn->filename = g_strdup("mem");
    return bn;
}
