/*
 * Frames over datagrams, one in each: UDP, multicast, unix datagram sockets.
 * What the socket does not take is dropped, as a wire would.
 */
#include "util/osdep.h"
#include "net/internal.h"

#include <arpa/inet.h>
#include <sys/un.h>
#include <glib-unix.h>
#include "util/error.h"
#include "util/mainloop.h"

enum { BURST = 64 }; /* frames before others get their turn */

/* A multicast frame of ours that came back? */
static bool is_own(const NetDgram *d, const NetAddr *from)
{
    const struct sockaddr_in *a = (const struct sockaddr_in *)&d->own.ss;
    const struct sockaddr_in *b = (const struct sockaddr_in *)&from->ss;

    return d->own.len && from->len >= sizeof(*b) &&
           a->sin_port == b->sin_port &&
           a->sin_addr.s_addr == b->sin_addr.s_addr;
}

static bool dgram_readable(int fd, GIOCondition cond, void *opaque)
{
    NetDgram *d = opaque;
    g_autofree uint8_t *buf = g_malloc(NET_MAX_FRAME);

    for (int i = 0; i < BURST; i++) {
        NetAddr from = { .len = sizeof(from.ss) };
        ssize_t n;

        if (d->port.blocked || d->port.waiting.length) {
            d->in_watch = 0; /* until writable() */
            return false;
        }
        n = recvfrom(fd, buf, NET_MAX_FRAME, 0, (struct sockaddr *)&from.ss,
                     &from.len);
        if (n < 0) {
            break; /* EAGAIN, or an ICMP error of an earlier send */
        }
        if (n > 0 && !is_own(d, &from)) {
            net_send_buf(&d->port, buf, (size_t)n);
        }
    }
    return true;
}

void net_dgram_writable(NetPort *port)
{
    NetDgram *d = container_of(port, NetDgram, port);

    if (!d->in_watch) {
        d->in_watch = mainloop_add_fd(d->fd, G_IO_IN, dgram_readable, d);
    }
}

void net_dgram_start(NetDgram *d, int fd)
{
    d->fd = fd;
    g_unix_set_fd_nonblocking(fd, true, NULL);
    net_dgram_writable(&d->port);
}

bool net_dgram_receive(NetPort *port, const NetFrame *f)
{
    NetDgram *d = container_of(port, NetDgram, port);
    struct msghdr msg = { .msg_iov = (struct iovec *)f->iov,
                          .msg_iovlen = f->n };

    if (d->dest.len) {
        msg.msg_name = &d->dest.ss;
        msg.msg_namelen = d->dest.len;
    }
    if (sendmsg(d->own.len ? d->send_fd : d->fd, &msg,
                MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        port->stats.dropped++;
    }
    return true;
}

void net_dgram_close(NetPort *port)
{
    NetDgram *d = container_of(port, NetDgram, port);

    if (d->in_watch) {
        mainloop_remove(d->in_watch);
    }
    if (d->fd >= 0) {
        close(d->fd);
    }
    if (d->own.len) {
        close(d->send_fd);
    }
    if (d->unix_path) {
        unlink(d->unix_path);
        g_free(d->unix_path);
    }
}

int net_dgram_bind(const NetAddr *addr, bool reuse, GError **errp)
{
    const struct sockaddr *sa = (const struct sockaddr *)&addr->ss;
    int fd = socket(sa->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int one = 1;

    if (fd < 0) {
        error_setg_errno(errp, errno, "can't create datagram socket");
        return -1;
    }
    if (sa->sa_family == AF_UNIX) {
        unlink(((const struct sockaddr_un *)sa)->sun_path);
    } else if (reuse) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    }
    if (bind(fd, sa, addr->len) < 0) {
        int saved = errno;
        g_autofree char *text = net_addr_text(addr);
        g_autofree char *owner = saved == EADDRINUSE && sa->sa_family != AF_UNIX
                                     ? net_port_owner(addr, SOCK_DGRAM)
                                     : g_strdup("");

        error_setg(errp, "can't bind %s: %s%s", text, g_strerror(saved), owner);
        close(fd);
        return -1;
    }
    return fd;
}

void net_dgram_mcast_sender(NetDgram *d, const struct in_addr *local)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), one = 1;

    d->own.len = sizeof(d->own.ss);
    if (fd < 0 ||
        setsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &one, sizeof(one)) < 0 ||
        (local && setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, local,
                             sizeof(*local)) < 0) ||
        connect(fd, (const struct sockaddr *)&d->dest.ss, d->dest.len) < 0 ||
        getsockname(fd, (struct sockaddr *)&d->own.ss, &d->own.len) < 0) {
        if (fd >= 0) {
            close(fd);
        }
        d->own.len = 0; /* then the receiving socket sends, and hears it */
        return;
    }
    d->send_fd = fd;
}

int net_dgram_mcast(const NetAddr *group, const struct in_addr *local,
                    GError **errp)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&group->ss;
    struct ip_mreq req = { .imr_multiaddr = in->sin_addr };
    int fd, one = 1;

    if (in->sin_family != AF_INET ||
        !IN_MULTICAST(ntohl(in->sin_addr.s_addr))) {
        g_autofree char *text = net_addr_text(group);

        error_setg(errp,
                   "%s is not a multicast address (224.0.0.0 to "
                   "239.255.255.255)",
                   text);
        return -1;
    }
    fd = net_dgram_bind(group, true, errp);
    if (fd < 0) {
        return -1;
    }
    if (local) {
        req.imr_interface = *local;
    }
    if (setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &req, sizeof(req)) < 0 ||
        setsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &one, sizeof(one)) < 0 ||
        (local && setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, local,
                             sizeof(*local)) < 0)) {
        g_autofree char *text = net_addr_text(group);

        error_setg_errno(errp, errno, "can't join multicast group %s", text);
        close(fd);
        return -1;
    }
    return fd;
}
