/*
 * virtio-rng: entropy. virtio 1.2, 5.4.
 *
 * The guest gives buffers, the device fills them from a back end, at most
 * max-bytes in each period; what is over waits for the next one.
 */
#include "util/osdep.h"
#include "util/error.h"
#include "util/iov.h"
#include "hw/virtio/rng-backend.h"
#include "hw/virtio/virtio.h"

extern const DeviceClass virtio_rng_device_class, virtio_rng_pci_class;
extern const DeviceClass rng_builtin_object;

enum { QUEUE_SIZE = 8, BUFFER_MAX = 4096 };

typedef struct VirtioRng {
    VirtioDevice v;
    VirtQueue *vq;
    Device *backend;
    bool own_backend; /* made by us, for a device without rng= */
    uint64_t left;    /* bytes in this period */
    Timer period_end; /* armed while a period is counted */

    char *rng; /* properties */
    uint64_t max_bytes;
    uint32_t period_ms;
} VirtioRng;

static VirtioRng *rng_of(VirtioDevice *v)
{
    return container_of(v, VirtioRng, v);
}

static void rng_go_on(void *opaque)
{
    VirtioRng *s = opaque;

    virtq_schedule(s->vq);
}

static void rng_new_period(void *opaque)
{
    VirtioRng *s = opaque;

    s->left = s->max_bytes;
    virtq_schedule(s->vq);
}

static void rng_count(VirtioRng *s, size_t n)
{
    s->left -= n;
    if (s->max_bytes != INT64_MAX && !timer_armed(&s->period_end)) {
        timer_arm(&s->period_end, clock_ns(s->v.pci.dev.machine->vclock) +
                                      (int64_t)s->period_ms * 1000000);
    }
}

static void rng_handle(VirtioDevice *v, VirtQueue *vq)
{
    VirtioRng *s = rng_of(v);
    uint8_t buf[BUFFER_MAX];
    VirtElem *e;

    while (s->left && (e = virtq_pop(vq, sizeof(*e))) != NULL) {
        size_t want = MIN(MIN(e->in_len, s->left), sizeof(buf));
        ssize_t n = want ? rng_read(s->backend, buf, want, rng_go_on, s) : 0;

        if (n == -EAGAIN) {
            virtq_unpop(vq, e);
            break;
        }
        n = MAX(n, 0); /* an empty buffer: the driver asks again */
        iov_from_buf(e->in, e->n_in, 0, buf, (size_t)n);
        rng_count(s, (size_t)n);
        virtq_push(vq, e, (size_t)n);
    }
    virtq_notify(vq);
}

static uint64_t rng_features(VirtioDevice *v)
{
    return 0;
}

static void rng_dev_reset(VirtioDevice *v)
{
    VirtioRng *s = rng_of(v);

    rng_cancel(s->backend, s);
    timer_cancel(&s->period_end);
    s->left = s->max_bytes;
}

static const VirtioOps virtio_rng_ops = {
    .name = "virtio-rng",
    .id = 4,
    .pci_class = 0x00ff00,
    .features = rng_features,
    .reset = rng_dev_reset,
};

/* ---- class ---------------------------------------------------------------------- */

static bool rng_find_backend(VirtioRng *s, GError **errp)
{
    Device *dev = &s->v.pci.dev;

    if (s->rng) {
        s->backend = object_find(dev->machine, s->rng, "rng-", errp);
        if (s->backend) {
            object_ref(s->backend);
        }
        return s->backend != NULL;
    }
    s->backend = device_new_class(dev->machine, &rng_builtin_object, NULL);
    s->own_backend = true;
    return s->backend->cls->realize(s->backend, errp);
}

static void rng_drop_backend(VirtioRng *s)
{
    if (s->own_backend) {
        s->backend->cls->unrealize(s->backend);
        device_free(s->backend);
    } else {
        object_unref(s->backend);
    }
    s->backend = NULL;
}

static bool rng_realize(Device *dev, GError **errp)
{
    VirtioRng *s = container_of(dev, VirtioRng, v.pci.dev);

    if (s->max_bytes > INT64_MAX) {
        error_setg(errp, "'max-bytes' parameter must be non-negative, and less "
                         "than 2^63");
        return false;
    }
    if (!s->period_ms) {
        error_setg(errp, "'period' parameter expects a positive integer");
        return false;
    }
    if (!rng_find_backend(s, errp)) {
        return false;
    }
    s->left = s->max_bytes;
    timer_init(&s->period_end, dev->machine->vclock, rng_new_period, s);
    s->vq = virtio_add_queue(&s->v, QUEUE_SIZE, rng_handle);
    if (!virtio_realize(&s->v, &virtio_rng_ops, errp)) {
        rng_drop_backend(s);
        return false;
    }
    return true;
}

static void rng_unrealize(Device *dev)
{
    VirtioRng *s = container_of(dev, VirtioRng, v.pci.dev);

    rng_cancel(s->backend, s);
    timer_cancel(&s->period_end);
    virtio_unrealize(&s->v);
    rng_drop_backend(s);
}

static void rng_reset(Device *dev)
{
    virtio_reset(&container_of(dev, VirtioRng, v.pci.dev)->v);
}

static bool rng_post_load(void *obj, int version, GError **errp)
{
    VirtioRng *s = obj;

    s->left = MIN(s->left, s->max_bytes);
    return true;
}

VIRTIO_VMSTATES(rng, "virtio-rng", VirtioRng, rng_post_load,
                VM_U64(VirtioRng, left), VM_TIMER_FIELD(VirtioRng, period_end))

/* clang-format off */
#define RNG_PROPS \
    { "rng", PROP_STRING, offsetof(VirtioRng, rng), 0, \
      "-object rng-random or rng-builtin to read from (the latter)" }, \
    { "max-bytes", PROP_U64, offsetof(VirtioRng, max_bytes), INT64_MAX, \
      "bytes given in each period" }, \
    { "period", PROP_U32, offsetof(VirtioRng, period_ms), 65536, \
      "milliseconds of a period" }
/* clang-format on */

static const Property rng_device_props[] = {
    RNG_PROPS,
    VIRTIO_PROPS,
    VIRTIO_MMIO_PROPS,
    { .kind = PROP_END },
};

const DeviceClass virtio_rng_device_class = {
    .name = "virtio-rng-device",
    .desc = "Entropy, on virtio-mmio",
    .category = DEVICE_MISC,
    .bus = "virtio-bus",
    .size = sizeof(VirtioRng),
    .props = rng_device_props,
    .vmstate = &vmstate_rng_device,
    .realize = rng_realize,
    .reset = rng_reset,
    .unrealize = rng_unrealize,
};

static const Property rng_pci_props[] = {
    RNG_PROPS,
    VIRTIO_PROPS,
    VIRTIO_PCI_PROPS,
    { .kind = PROP_END },
};

const DeviceClass virtio_rng_pci_class = {
    .name = "virtio-rng-pci",
    .alias = "virtio-rng",
    .desc = "Entropy",
    .category = DEVICE_MISC,
    .bus = "PCI",
    .size = sizeof(VirtioRng),
    .props = rng_pci_props,
    .vmstate = &vmstate_rng_pci,
    .realize = rng_realize,
    .reset = rng_reset,
    .unrealize = rng_unrealize,
};
