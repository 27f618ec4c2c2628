/* A stream into memory that keeps the last bytes: "ringbuf,size=64k". */
#include "util/osdep.h"
#include "util/bits.h"
#include "util/error.h"
#include "chardev/internal.h"

typedef struct RingBuf {
    Chardev c;
    uint8_t *data;
    uint64_t size;       /* a power of two */
    uint64_t prod, cons; /* counts of bytes; prod - cons <= size */
} RingBuf;

static bool ringbuf_open(Chardev *c, KeyVal *options, GError **errp)
{
    RingBuf *r = container_of(c, RingBuf, c);

    if (!keyval_size(options, "size", 1, 65536, &r->size, errp)) {
        return false;
    }
    if (!is_pow2(r->size) || r->size > GIB) {
        error_setg(errp, "size of ringbuf chardev must be a power of two up "
                         "to 1G");
        return false;
    }
    r->data = g_try_malloc(r->size);
    if (!r->data) {
        error_setg(errp, "no memory for a ringbuf of %" PRIu64 " bytes",
                   r->size);
        return false;
    }
    c->is_open = true;
    return true;
}

static void ringbuf_close(Chardev *c)
{
    g_free(container_of(c, RingBuf, c)->data);
}

static ssize_t ringbuf_write(Chardev *c, const uint8_t *buf, size_t len)
{
    RingBuf *r = container_of(c, RingBuf, c);

    for (size_t i = 0; i < len; i++) {
        r->data[r->prod++ & (r->size - 1)] = buf[i];
    }
    if (r->prod - r->cons > r->size) {
        r->cons = r->prod - r->size;
    }
    return len;
}

GByteArray *ringbuf_take(Chardev *c, size_t max)
{
    RingBuf *r = container_of(c, RingBuf, c);
    GByteArray *out;

    if (c->backend != &char_ringbuf) {
        return NULL;
    }
    out = g_byte_array_new();
    while (r->cons != r->prod && out->len < max) {
        g_byte_array_append(out, &r->data[r->cons++ & (r->size - 1)], 1);
    }
    return out;
}

const CharBackend char_ringbuf = {
    .name = "ringbuf",
    .size = sizeof(RingBuf),
    .open = ringbuf_open,
    .close = ringbuf_close,
    .write = ringbuf_write,
};
