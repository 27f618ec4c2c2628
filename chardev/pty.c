/*
 * A pseudo terminal. Nobody has it open at first: what the guest writes is
 * dropped then, and once a second we look whether somebody came.
 */
#include "util/osdep.h"
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <termios.h>
#include "util/error.h"
#include "util/log.h"
#include "chardev/internal.h"

typedef struct PtyChar {
    FdChar f;
    int master;
    unsigned poll_timer; /* glib source; 0: none */
} PtyChar;

enum { PTY_POLL_MS = 500 };

static void pty_hangup(FdChar *f);

/* While the other end is closed, POLLHUP is set. */
static gboolean pty_look(void *opaque)
{
    PtyChar *p = opaque;
    struct pollfd pfd = { .fd = p->master, .events = POLLIN };

    if (poll(&pfd, 1, 0) >= 0 && (pfd.revents & POLLHUP)) {
        return G_SOURCE_CONTINUE;
    }
    p->poll_timer = 0;
    p->f.in_fd = p->f.out_fd = p->master;
    chardev_event(&p->f.c, CHAR_OPENED);
    fdchar_resume(&p->f.c);
    return G_SOURCE_REMOVE;
}

static void pty_hangup(FdChar *f)
{
    PtyChar *p = container_of(f, PtyChar, f);

    f->in_fd = f->out_fd = -1;
    chardev_event(&f->c, CHAR_CLOSED);
    if (!p->poll_timer) {
        p->poll_timer = g_timeout_add(PTY_POLL_MS, pty_look, p);
    }
}

static bool pty_open(Chardev *c, KeyVal *options, GError **errp)
{
    PtyChar *p = container_of(c, PtyChar, f.c);
    char name[256];
    struct termios t;
    int slave;

    fdchar_init(&p->f, -1, -1);
    if (openpty(&p->master, &slave, name, NULL, NULL) < 0) {
        p->master = -1;
        error_setg_errno(errp, errno, "could not make a pseudo terminal");
        return false;
    }
    if (!tcgetattr(slave, &t)) {
        cfmakeraw(&t);
        tcsetattr(slave, TCSAFLUSH, &t);
    }
    close(slave);
    fcntl(p->master, F_SETFD, FD_CLOEXEC);
    fcntl(p->master, F_SETFL, O_NONBLOCK);
    p->f.hangup = pty_hangup;
    p->poll_timer = g_timeout_add(PTY_POLL_MS, pty_look, p);
    c->where = g_strdup_printf("pty:%s", name);
    info_report("char device redirected to %s (label %s)", name, c->id);
    return true;
}

static void pty_close(Chardev *c)
{
    PtyChar *p = container_of(c, PtyChar, f.c);

    if (p->poll_timer) {
        g_source_remove(p->poll_timer);
    }
    p->f.in_fd = p->master;
    p->f.out_fd = -1;
    fdchar_close(&p->f);
}

const CharBackend char_pty = {
    .name = "pty",
    .size = sizeof(PtyChar),
    .open = pty_open,
    .close = pty_close,
    .write = fdchar_write,
    .resume = fdchar_resume,
};
