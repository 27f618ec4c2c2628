/*
 * Frames over a byte stream: a 32-bit big-endian length, then the frame. The
 * protocol of QEMU's socket and stream back ends; one peer at a time.
 *
 * Written whole or not at all from the sender's view: when the socket takes
 * only a part, the rest waits in @out and the port is busy until it is gone.
 * Reading stops while our peer has no room.
 */
#include "util/osdep.h"
#include "net/internal.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <glib-unix.h>
#include "util/bits.h"
#include "util/error.h"
#include "util/iov.h"
#include "util/log.h"
#include "util/mainloop.h"
#include "util/sockets.h"

enum { READ_CHUNK = 65536, LENGTH = 4 };

static bool stream_readable(int fd, GIOCondition cond, void *opaque);
static bool stream_flush(int fd, GIOCondition cond, void *opaque);

static void drop_watch(unsigned *id)
{
    if (*id) {
        mainloop_remove(*id);
        *id = 0;
    }
}

static void stream_read_on(NetStream *s)
{
    if (s->fd >= 0 && !s->in_watch) {
        s->in_watch = mainloop_add_fd(s->fd, G_IO_IN | G_IO_HUP | G_IO_ERR,
                                      stream_readable, s);
    }
}

void net_stream_init(NetStream *s)
{
    s->listen_fd = s->fd = -1;
    s->in = g_byte_array_new();
    s->out = g_byte_array_new();
}

/* ---- the connection --------------------------------------------------------------- */

static void stream_connected(NetStream *s, int fd, const NetAddr *peer)
{
    int one = 1;

    g_unix_set_fd_nonblocking(fd, true, NULL);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    s->fd = fd;
    g_byte_array_set_size(s->in, 0);
    g_byte_array_set_size(s->out, 0);
    stream_read_on(s);
    s->state_changed(s, peer);
}

static bool stream_accept(int fd, GIOCondition cond, void *opaque)
{
    NetStream *s = opaque;
    NetAddr peer = { .len = sizeof(peer.ss) };
    int conn =
        accept4(fd, (struct sockaddr *)&peer.ss, &peer.len, SOCK_CLOEXEC);

    if (conn < 0) {
        return true;
    }
    s->listen_watch = 0; /* others wait until this one is gone */
    stream_connected(s, conn, &peer);
    return false;
}

static void stream_listen_on(NetStream *s)
{
    if (!s->listen_watch) {
        s->listen_watch =
            mainloop_add_fd(s->listen_fd, G_IO_IN, stream_accept, s);
    }
}

/* The peer went. */
static void stream_gone(NetStream *s)
{
    drop_watch(&s->in_watch);
    drop_watch(&s->out_watch);
    close(s->fd);
    s->fd = -1;
    g_byte_array_set_size(s->in, 0);
    g_byte_array_set_size(s->out, 0);
    if (s->listen_fd >= 0) {
        stream_listen_on(s);
    }
    s->state_changed(s, NULL);
    net_resume(&s->port); /* what comes now is dropped */
}

static bool stream_error(const NetAddr *addr, const char *what, int type,
                         GError **errp)
{
    int saved = errno;
    g_autofree char *text = net_addr_text(addr);
    g_autofree char *owner =
        saved == EADDRINUSE && addr->ss.ss_family != AF_UNIX
            ? net_port_owner(addr, type)
            : g_strdup("");

    error_setg(errp, "can't %s socket %s: %s%s", what, text, g_strerror(saved),
               owner);
    return false;
}

bool net_stream_listen(NetStream *s, const NetAddr *addr, GError **errp)
{
    const struct sockaddr *sa = (const struct sockaddr *)&addr->ss;
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        error_setg_errno(errp, errno, "can't create stream socket");
        return false;
    }
    if (!socket_join(fd, sa, addr->len, true)) {
        stream_error(addr, "bind", SOCK_STREAM, errp);
        return false;
    }
    if (sa->sa_family == AF_UNIX) {
        s->unix_path = g_strdup(((const struct sockaddr_un *)sa)->sun_path);
    }
    net_stream_use_fd(s, fd, true);
    return true;
}

bool net_stream_connect(NetStream *s, const NetAddr *addr, GError **errp)
{
    const struct sockaddr *sa = (const struct sockaddr *)&addr->ss;
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        error_setg_errno(errp, errno, "can't create stream socket");
        return false;
    }
    if (!socket_join(fd, sa, addr->len, false)) {
        stream_error(addr, "connect", SOCK_STREAM, errp);
        return false;
    }
    stream_connected(s, fd, addr);
    return true;
}

void net_stream_use_fd(NetStream *s, int fd, bool is_listening)
{
    if (is_listening) {
        s->listen_fd = fd;
        stream_listen_on(s);
    } else {
        NetAddr peer = { .len = 0 };

        stream_connected(s, fd, &peer);
    }
}

/* ---- receiving -------------------------------------------------------------------- */

/* Frames in @in go out until one is not complete. False: nonsense. */
static bool stream_split(NetStream *s)
{
    size_t at = 0;
    bool ok = true;

    while (s->in->len - at >= LENGTH) {
        uint32_t len = ld_be32(s->in->data + at);

        if (len == 0 || len > NET_MAX_FRAME) {
            ok = false;
            break;
        }
        if (s->in->len - at - LENGTH < len) {
            break;
        }
        net_send_buf(&s->port, s->in->data + at + LENGTH, len);
        at += LENGTH + len;
    }
    g_byte_array_remove_range(s->in, 0, at);
    return ok;
}

static bool stream_readable(int fd, GIOCondition cond, void *opaque)
{
    NetStream *s = opaque;
    guint have = s->in->len;
    ssize_t n;

    if (s->port.blocked || s->port.waiting.length) {
        s->in_watch = 0; /* until writable() */
        return false;
    }
    g_byte_array_set_size(s->in, have + READ_CHUNK);
    n = read(fd, s->in->data + have, READ_CHUNK);
    g_byte_array_set_size(s->in, have + (guint)MAX(n, 0));
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return true;
    }
    if (n <= 0 || !stream_split(s)) {
        if (n > 0) {
            warn_report("netdev %s: the peer sent a frame length that cannot "
                        "be; connection closed",
                        s->port.id);
        }
        s->in_watch = 0;
        stream_gone(s);
        return false;
    }
    return true;
}

void net_stream_writable(NetPort *port)
{
    stream_read_on(container_of(port, NetStream, port));
}

/* ---- sending ---------------------------------------------------------------------- */

static bool stream_flush(int fd, GIOCondition cond, void *opaque)
{
    NetStream *s = opaque;
    ssize_t n = send(fd, s->out->data, s->out->len, MSG_NOSIGNAL);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return true;
    }
    if (n < 0) {
        s->out_watch = 0;
        stream_gone(s);
        return false;
    }
    g_byte_array_remove_range(s->out, 0, (guint)n);
    if (s->out->len) {
        return true;
    }
    s->out_watch = 0;
    net_resume(&s->port);
    return false;
}

/* What @iov has after its first @skip bytes. */
static void stream_keep(NetStream *s, const struct iovec *iov, int n,
                        size_t skip)
{
    for (int i = 0; i < n; i++) {
        size_t off = MIN(skip, iov[i].iov_len);

        g_byte_array_append(s->out, (const guint8 *)iov[i].iov_base + off,
                            (guint)(iov[i].iov_len - off));
        skip -= off;
    }
    s->out_watch =
        mainloop_add_fd(s->fd, G_IO_OUT | G_IO_HUP | G_IO_ERR, stream_flush, s);
}

bool net_stream_receive(NetPort *port, const NetFrame *f)
{
    NetStream *s = container_of(port, NetStream, port);
    g_autofree struct iovec *iov = NULL;
    struct msghdr msg = { 0 };
    uint8_t len[LENGTH];
    ssize_t n;

    if (s->fd < 0) {
        return true; /* nobody is there: dropped */
    }
    if (s->out->len) {
        return false;
    }
    iov = g_new(struct iovec, f->n + 1);
    st_be32(len, (uint32_t)iov_size(f->iov, f->n));
    iov[0] = (struct iovec) { len, sizeof(len) };
    memcpy(iov + 1, f->iov, sizeof(*iov) * f->n);
    msg.msg_iov = iov;
    msg.msg_iovlen = f->n + 1;
    n = sendmsg(s->fd, &msg, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        return true; /* the reader's watch finds out that it is gone */
    }
    if (n < 0) {
        n = 0;
    }
    if ((size_t)n < iov_size(iov, f->n + 1)) {
        stream_keep(s, iov, f->n + 1, (size_t)n);
    }
    return true;
}

void net_stream_close(NetPort *port)
{
    NetStream *s = container_of(port, NetStream, port);

    drop_watch(&s->listen_watch);
    drop_watch(&s->in_watch);
    drop_watch(&s->out_watch);
    if (s->fd >= 0) {
        close(s->fd);
    }
    if (s->listen_fd >= 0) {
        close(s->listen_fd);
    }
    if (s->unix_path) {
        unlink(s->unix_path);
        g_free(s->unix_path);
    }
    g_byte_array_unref(s->in);
    g_byte_array_unref(s->out);
}
