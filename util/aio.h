/*
 * File transfers that do not wait: io_uring where there is one, else worker
 * threads. Belongs to who holds the machine lock.
 *
 * In a turn (util/turn.h) what is in the page cache is read at once, and writes
 * to it are left to the turn.
 */
#ifndef UTIL_AIO_H
#define UTIL_AIO_H

#include "util/osdep.h"

typedef struct Aio Aio;
/* @ret: bytes transferred, which may be fewer at the end of the file, or
 * -errno. For AIO_FSYNC 0. */
typedef void AioDone(void *opaque, int ret);
typedef enum AioOp {
    AIO_READ,
    AIO_READ_CACHED, /* from the page cache: AIO_READ without O_DIRECT */
    AIO_WRITE,
    AIO_WRITE_CACHED, /* to the page cache: AIO_WRITE without O_DIRECT */
    AIO_FSYNC,
} AioOp;

/* @threads: do not use io_uring. Never fails: threads always work. */
Aio *aio_new(bool threads);
void aio_free(Aio *aio); /* nothing may be in flight */
bool aio_is_uring(const Aio *aio);
/* @iov lives until @done, which is called from the main loop, or at the end of
 * this thread's turn. The request may be held back until aio_kick(). @n at most
 * 1024. */
void aio_submit(Aio *aio, AioOp op, int fd, uint64_t off,
                const struct iovec *iov, int n, AioDone *done, void *opaque);
void aio_kick(Aio *aio);
/* The same at once, also inside a callback: for who waits there. True: some
 * requests have ended meanwhile. */
bool aio_flush(Aio *aio);

#endif
