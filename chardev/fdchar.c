/* Byte streams on file descriptors: what stdio, pty, file, pipe and socket
 * have in common. Descriptors need not be non-blocking: poll is asked first. */
#include "util/osdep.h"
#include <poll.h>
#include "util/mainloop.h"
#include "chardev/internal.h"

enum { FDCHAR_CHUNK = 4096 };

void fdchar_init(FdChar *f, int in_fd, int out_fd)
{
    f->in_fd = in_fd;
    f->out_fd = out_fd;
}

static void fdchar_unwatch(unsigned *watch)
{
    if (*watch) {
        mainloop_remove(*watch);
        *watch = 0;
    }
}

void fdchar_close(FdChar *f)
{
    fdchar_unwatch(&f->in_watch);
    fdchar_unwatch(&f->out_watch);
    if (f->out_fd > STDERR_FILENO && f->out_fd != f->in_fd) {
        close(f->out_fd);
    }
    if (f->in_fd > STDERR_FILENO) {
        close(f->in_fd);
    }
    f->in_fd = f->out_fd = -1;
}

static bool fdchar_readable(int fd, GIOCondition cond, void *opaque)
{
    FdChar *f = opaque;
    uint8_t buf[FDCHAR_CHUNK];
    size_t room = chardev_room(&f->c);
    ssize_t n;

    if (!room) { /* until fdchar_resume() */
        f->in_watch = 0;
        return false;
    }
    n = read(fd, buf, MIN(room, sizeof(buf)));
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
        return true;
    }
    if (n <= 0) {
        f->in_watch = 0;
        if (f->hangup) {
            f->hangup(f);
        }
        return false;
    }
    if (f->filter) {
        f->filter(f, buf, n);
    } else {
        chardev_deliver(&f->c, buf, n);
    }
    /* The client may have closed us. */
    return f->in_fd == fd && f->in_watch;
}

void fdchar_resume(Chardev *c)
{
    FdChar *f = container_of(c, FdChar, c);

    if (f->in_fd >= 0 && !f->in_watch && chardev_room(c)) {
        f->in_watch = mainloop_add_fd(f->in_fd, G_IO_IN | G_IO_HUP | G_IO_ERR,
                                      fdchar_readable, f);
    }
}

static bool fdchar_has_room(int fd, GIOCondition cond, void *opaque)
{
    FdChar *f = opaque;

    f->out_watch = 0;
    chardev_writable(&f->c);
    return false;
}

ssize_t fdchar_write(Chardev *c, const uint8_t *buf, size_t len)
{
    FdChar *f = container_of(c, FdChar, c);
    size_t done = 0;

    if (f->out_fd < 0) {
        return len; /* nobody there: as into an unplugged cable */
    }
    while (done < len) {
        struct pollfd p = { .fd = f->out_fd, .events = POLLOUT };
        ssize_t n;

        if (poll(&p, 1, 0) <= 0) {
            break;
        }
        n = write(f->out_fd, buf + done, MIN(len - done, FDCHAR_CHUNK));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        if (n < 0) {
            return len; /* broken; the reading side will notice */
        }
        done += n;
    }
    if (done < len && !f->out_watch) {
        f->out_watch =
            mainloop_add_fd(f->out_fd, G_IO_OUT | G_IO_ERR, fdchar_has_room, f);
    }
    return done;
}
