/* Byte streams on file descriptors: what stdio, pty, file, pipe and socket
 * have in common. Descriptors need not be non-blocking: poll is asked first. */
#include "util/osdep.h"
#include <poll.h>
#include <sys/socket.h>
#include "util/mainloop.h"
#include "chardev/internal.h"

enum { FDCHAR_CHUNK = 4096 };

void fdchar_init(FdChar *f, int in_fd, int out_fd)
{
    f->in_fd = in_fd;
    f->out_fd = out_fd;
    f->alone = false;
}

static void fdchar_unwatch(unsigned *watch)
{
    if (*watch) {
        mainloop_remove(*watch);
        *watch = 0;
    }
}

static void fdchar_drop_fds(FdChar *f)
{
    while (f->n_fds) {
        close(f->fds[--f->n_fds]);
    }
}

int fdchar_take_fd(FdChar *f)
{
    int fd = f->n_fds ? f->fds[0] : -1;

    if (f->n_fds) {
        f->n_fds--;
        memmove(f->fds, f->fds + 1, f->n_fds * sizeof(int));
    }
    return fd;
}

void fdchar_close(FdChar *f)
{
    fdchar_drop_fds(f);
    fdchar_unwatch(&f->in_watch);
    fdchar_unwatch(&f->out_watch);
    fdchar_unwatch(&f->hup_watch);
    if (f->out_fd > STDERR_FILENO && f->out_fd != f->in_fd) {
        close(f->out_fd);
    }
    if (f->in_fd > STDERR_FILENO) {
        close(f->in_fd);
    }
    f->in_fd = f->out_fd = -1;
}

/* The kernel has closed what did not fit. New ones take the place of those that
 * nobody took. */
static void fdchar_keep_fds(FdChar *f, struct msghdr *msg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            fdchar_drop_fds(f);
            f->n_fds = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
            memcpy(f->fds, CMSG_DATA(c), f->n_fds * sizeof(int));
        }
    }
}

static ssize_t fdchar_read(FdChar *f, int fd, void *buf, size_t len)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(FDCHAR_FDS * sizeof(int))];
    } control;
    struct iovec iov = { buf, len };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = &control,
                          .msg_controllen = sizeof(control) };
    ssize_t n;

    if (!f->takes_fds) {
        return read(fd, buf, len);
    }
    n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
    if (n >= 0) {
        fdchar_keep_fds(f, &msg);
    }
    return n;
}

static bool fdchar_deserted(int fd, GIOCondition cond, void *opaque)
{
    FdChar *f = opaque;

    f->hup_watch = 0;
    f->alone = true;
    f->deserted(f);
    return false;
}

/* No room: nothing is read until fdchar_resume(), not even that nobody is there
 * any more. */
static void fdchar_watch_hup(FdChar *f)
{
    if (f->deserted && !f->alone && !f->hup_watch) {
        f->hup_watch = mainloop_add_fd(f->in_fd, G_IO_HUP, fdchar_deserted, f);
    }
}

static bool fdchar_readable(int fd, GIOCondition cond, void *opaque)
{
    FdChar *f = opaque;
    uint8_t buf[FDCHAR_CHUNK];
    size_t room = chardev_room(&f->c);
    ssize_t n;

    if (!room) {
        f->in_watch = 0;
        fdchar_watch_hup(f);
        return false;
    }
    n = fdchar_read(f, fd, buf, MIN(room, sizeof(buf)));
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

    if (f->in_fd < 0 || f->in_watch) {
        return;
    }
    if (!chardev_room(c)) {
        fdchar_watch_hup(f);
    } else {
        fdchar_unwatch(&f->hup_watch);
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
