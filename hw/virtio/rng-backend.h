/* Where random bytes come from: -object rng-random, rng-builtin. Main thread. */
#ifndef HW_VIRTIO_RNG_BACKEND_H
#define HW_VIRTIO_RNG_BACKEND_H

#include "system/object.h"

/* Up to @len random bytes; how many, at least 1; -EAGAIN: none now, then
 * @ready is called once when there are; another -errno. */
ssize_t rng_read(Device *obj, void *buf, size_t len,
                 void (*ready)(void *opaque), void *opaque);
/* @ready of @opaque is not called any more. */
void rng_cancel(Device *obj, void *opaque);

#endif
