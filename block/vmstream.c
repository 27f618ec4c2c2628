/* VM state as a stream; see vmstream.h. */
#include "util/osdep.h"
#include "block/vmstream.h"

#include "util/error.h"
#include "util/worker.h"

enum {
    BUF = 1 << 20, /* whole clusters of any size up to 1 MiB */
    DEPTH = 4,     /* buffers on their way or read ahead */
    THREADS = 2,
};

typedef struct VmBuf {
    VmStream *v;
    uint64_t off; /* of the state */
    size_t len;
    int ret;
    bool busy; /* a thread has it */
    uint8_t data[BUF];
} VmBuf;

struct VmStream {
    BlockNode *bn;
    bool writing;
    uint64_t len;   /* of the state, when reading */
    uint64_t pos;   /* of the next byte */
    uint64_t ahead; /* up to here buffers were asked for, when reading */
    VmBuf *ring[DEPTH];
    unsigned at; /* the buffer with pos */
    WorkGroup *group;
    GMutex lock; /* of the buffers' busy and ret */
    GCond idle;
    int ret;
};

static void vmstream_move(void *item, void *opaque)
{
    VmBuf *b = item;
    VmStream *v = opaque;
    const SnapshotOps *ops = v->bn->drv->snapshots;
    int ret = v->writing ? ops->vmstate_write(v->bn, b->off, b->data, b->len)
                         : ops->vmstate_read(v->bn, b->off, b->data, b->len);

    g_mutex_lock(&v->lock);
    b->ret = ret;
    b->busy = false;
    g_cond_broadcast(&v->idle);
    g_mutex_unlock(&v->lock);
}

static void vmstream_push(VmStream *v, VmBuf *b)
{
    b->busy = true;
    work_group_push(v->group, b, 0);
}

/* Waits for @b; a failure is that of the stream. */
static int vmstream_wait(VmStream *v, VmBuf *b)
{
    g_mutex_lock(&v->lock);
    while (b->busy) {
        g_cond_wait(&v->idle, &v->lock);
    }
    v->ret = v->ret ? v->ret : b->ret;
    b->ret = 0;
    g_mutex_unlock(&v->lock);
    return v->ret;
}

static VmStream *vmstream_new(BlockNode *bn, bool writing, GError **errp)
{
    VmStream *v;

    if (!bn->drv->snapshots || !bn->drv->snapshots->vmstate_write) {
        error_setg(errp, "format '%s' of '%s' keeps no VM state: use qcow2",
                   bn->drv->name, bn->filename);
        return NULL;
    }
    if (writing && bn->read_only) {
        error_setg(errp, "'%s' is read-only", bn->filename);
        return NULL;
    }
    v = g_new0(VmStream, 1);
    v->bn = bn;
    v->writing = writing;
    g_mutex_init(&v->lock);
    g_cond_init(&v->idle);
    for (unsigned i = 0; i < DEPTH; i++) {
        v->ring[i] = g_new0(VmBuf, 1);
    }
    v->group = work_group_new(THREADS, vmstream_move, v);
    return v;
}

VmStream *vmstream_writer(BlockNode *bn, GError **errp)
{
    return vmstream_new(bn, true, errp);
}

static void vmstream_read_ahead(VmStream *v, VmBuf *b)
{
    if (v->ahead < v->len) {
        b->off = v->ahead;
        b->len = MIN(BUF, v->len - v->ahead);
        v->ahead += b->len;
        vmstream_push(v, b);
    }
}

VmStream *vmstream_reader(BlockNode *bn, uint64_t len, GError **errp)
{
    VmStream *v = vmstream_new(bn, false, errp);

    if (v) {
        v->len = len;
        for (unsigned i = 0; i < DEPTH; i++) {
            vmstream_read_ahead(v, v->ring[i]);
        }
    }
    return v;
}

int vmstream_write(VmStream *v, const void *buf, size_t len)
{
    const uint8_t *p = buf;

    while (len) {
        VmBuf *b = v->ring[v->at];
        size_t n = MIN(len, BUF - b->len);

        memcpy(b->data + b->len, p, n);
        b->len += n;
        v->pos += n;
        p += n;
        len -= n;
        if (b->len == BUF) {
            vmstream_push(v, b);
            v->at = (v->at + 1) % DEPTH;
            b = v->ring[v->at];
            if (vmstream_wait(v, b) < 0) {
                return v->ret;
            }
            b->off = v->pos;
            b->len = 0;
        }
    }
    return v->ret;
}

int vmstream_read(VmStream *v, void *buf, size_t len)
{
    uint8_t *p = buf;

    if (len > v->len - v->pos) {
        return -EIO;
    }
    while (len) {
        VmBuf *b = v->ring[v->at];
        size_t in = v->pos % BUF, n;

        if (vmstream_wait(v, b) < 0) {
            return v->ret;
        }
        n = MIN(len, b->len - in);
        memcpy(p, b->data + in, n);
        v->pos += n;
        p += n;
        len -= n;
        if (in + n == BUF) {
            v->at = (v->at + 1) % DEPTH;
            vmstream_read_ahead(v, b);
        }
    }
    return 0;
}

uint64_t vmstream_tell(const VmStream *v)
{
    return v->pos;
}

int vmstream_close(VmStream *v)
{
    int ret;

    if (!v) {
        return 0;
    }
    if (v->writing && v->ret == 0 && v->ring[v->at]->len) {
        vmstream_push(v, v->ring[v->at]);
    }
    work_group_free(v->group);
    for (unsigned i = 0; i < DEPTH; i++) {
        v->ret = v->ret ? v->ret : v->ring[i]->ret;
        g_free(v->ring[i]);
    }
    ret = v->writing ? v->ret : 0;
    g_mutex_clear(&v->lock);
    g_cond_clear(&v->idle);
    g_free(v);
    return ret;
}
