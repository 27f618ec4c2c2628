/*
 * Objects that are nothing but a few values: secret, iothread.
 */
#include "util/osdep.h"
#include "system/object.h"

#include "util/keyval.h"
#include "util/secret.h"

/* ---- secret -------------------------------------------------------------------- */

typedef struct SecretObject {
    Device dev;
    char *data, *file, *format;
} SecretObject;

/* The table of util/secret.h, where image formats look, is the process's. */
static bool secret_realize(Device *dev, GError **errp)
{
    SecretObject *s = container_of(dev, SecretObject, dev);
    g_autoptr(KeyVal) kv = keyval_new();

    keyval_set(kv, "id", dev->id);
    if (s->data) {
        keyval_set(kv, "data", s->data);
    }
    if (s->file) {
        keyval_set(kv, "file", s->file);
    }
    keyval_set(kv, "format", s->format);
    return secret_add(kv, errp);
}

static void secret_unrealize(Device *dev)
{
    secret_remove(dev->id);
}

static const Property secret_props[] = {
    { "data", PROP_STRING, offsetof(SecretObject, data), 0, "the secret" },
    { "file", PROP_STRING, offsetof(SecretObject, file), 0,
      "file that holds it" },
    { "format", PROP_STRING, offsetof(SecretObject, format), (uintptr_t) "raw",
      "raw or base64" },
    { .kind = PROP_END },
};

const DeviceClass secret_object = {
    .name = "secret",
    .desc = "A password for disk images",
    .bus = OBJECT_BUS,
    .size = sizeof(SecretObject),
    .props = secret_props,
    .realize = secret_realize,
    .unrealize = secret_unrealize,
};

/* ---- iothread -------------------------------------------------------------------- */

/*
 * In QEMU a thread that serves a device's queues. Here queues are served in the
 * main loop and the host's I/O runs in io_uring or in workers, so that the
 * object is accepted, and devices that name it work, without another thread.
 */
typedef struct IoThread {
    Device dev;
    uint64_t poll_max_ns, poll_grow, poll_shrink, aio_max_batch;
} IoThread;

static const Property iothread_props[] = {
    { "poll-max-ns", PROP_U64, offsetof(IoThread, poll_max_ns), 32768,
      "without effect" },
    { "poll-grow", PROP_U64, offsetof(IoThread, poll_grow), 0,
      "without effect" },
    { "poll-shrink", PROP_U64, offsetof(IoThread, poll_shrink), 0,
      "without effect" },
    { "aio-max-batch", PROP_U64, offsetof(IoThread, aio_max_batch), 0,
      "without effect" },
    { .kind = PROP_END },
};

const DeviceClass iothread_object = {
    .name = "iothread",
    .desc = "Accepted; I/O needs no thread of its own here",
    .bus = OBJECT_BUS,
    .size = sizeof(IoThread),
    .props = iothread_props,
};
