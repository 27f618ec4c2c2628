/*
 * Random bytes of the host: a device file that may make us wait (rng-random),
 * or the kernel's generator (rng-builtin).
 */
#include "util/osdep.h"
#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>
#include "hw/virtio/rng-backend.h"
#include "util/error.h"
#include "util/mainloop.h"

typedef struct Waiter {
    void (*ready)(void *opaque);
    void *opaque;
} Waiter;

typedef struct RngBackend {
    Device dev;
    char *filename;
    int fd;          /* -1: the builtin one */
    unsigned watch;  /* 0: nobody waits */
    GArray *waiters; /* of Waiter */
} RngBackend;

static RngBackend *backend_of(Device *dev)
{
    return container_of(dev, RngBackend, dev);
}

static bool rng_readable(int fd, GIOCondition cond, void *opaque)
{
    RngBackend *b = opaque;
    GArray *now = b->waiters;

    b->waiters = g_array_new(FALSE, FALSE, sizeof(Waiter));
    b->watch = 0;
    for (guint i = 0; i < now->len; i++) {
        Waiter *w = &g_array_index(now, Waiter, i);

        w->ready(w->opaque);
    }
    g_array_free(now, TRUE);
    return false;
}

ssize_t rng_read(Device *obj, void *buf, size_t len,
                 void (*ready)(void *opaque), void *opaque)
{
    RngBackend *b = backend_of(obj);
    Waiter w = { ready, opaque };
    ssize_t n;

    do {
        n = b->fd < 0 ? getrandom(buf, len, 0) : read(b->fd, buf, len);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        return n;
    }
    if (n == 0 || errno != EAGAIN) {
        return n == 0 ? -EIO : -errno;
    }
    rng_cancel(obj, opaque); /* who asks again waits once */
    g_array_append_val(b->waiters, w);
    if (!b->watch) {
        b->watch = mainloop_add_fd(b->fd, G_IO_IN, rng_readable, b);
    }
    return -EAGAIN;
}

void rng_cancel(Device *obj, void *opaque)
{
    RngBackend *b = backend_of(obj);

    for (guint i = b->waiters->len; i > 0; i--) {
        if (g_array_index(b->waiters, Waiter, i - 1).opaque == opaque) {
            g_array_remove_index(b->waiters, i - 1);
        }
    }
}

static bool builtin_realize(Device *dev, GError **errp)
{
    RngBackend *b = backend_of(dev);

    b->fd = -1;
    b->waiters = g_array_new(FALSE, FALSE, sizeof(Waiter));
    return true;
}

static bool random_realize(Device *dev, GError **errp)
{
    RngBackend *b = backend_of(dev);

    b->fd = open(b->filename, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (b->fd < 0) {
        error_setg_errno(errp, errno, "Could not open '%s'", b->filename);
        return false;
    }
    b->waiters = g_array_new(FALSE, FALSE, sizeof(Waiter));
    return true;
}

static void rng_unrealize(Device *dev)
{
    RngBackend *b = backend_of(dev);

    if (b->watch) {
        mainloop_remove(b->watch);
    }
    if (b->fd >= 0) {
        close(b->fd);
    }
    g_array_free(b->waiters, TRUE);
}

static const Property random_props[] = {
    { "filename", PROP_STRING, offsetof(RngBackend, filename),
      (uintptr_t) "/dev/urandom", "device to read from" },
    { .kind = PROP_END },
};

const DeviceClass rng_random_object = {
    .name = "rng-random",
    .desc = "Random bytes of a device of the host",
    .bus = OBJECT_BUS,
    .size = sizeof(RngBackend),
    .props = random_props,
    .realize = random_realize,
    .unrealize = rng_unrealize,
};

const DeviceClass rng_builtin_object = {
    .name = "rng-builtin",
    .desc = "Random bytes of the host's kernel",
    .bus = OBJECT_BUS,
    .size = sizeof(RngBackend),
    .realize = builtin_realize,
    .unrealize = rng_unrealize,
};
