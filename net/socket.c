/*
 * socket: the older back end that connects machines, over TCP (listen=,
 * connect=), multicast (mcast=), UDP (udp=) or an inherited socket (fd=).
 */
#include "util/osdep.h"
#include "net/internal.h"

#include <arpa/inet.h>
#include "util/error.h"

static void socket_state(NetStream *s, const NetAddr *peer)
{
    if (!peer) {
        net_set_info(&s->port, "socket: disconnected");
    } else if (!peer->len) {
        net_set_info(&s->port, "socket: fd=%d", s->fd);
    } else {
        g_autofree char *text = net_addr_text(peer);

        net_set_info(&s->port, "socket: %s %s",
                     s->is_server ? "connection from" : "connect to", text);
    }
}

static const NetPortOps socket_stream_ops = {
    .type = "socket",
    .receive = net_stream_receive,
    .writable = net_stream_writable,
    .close = net_stream_close,
};

static const NetPortOps socket_dgram_ops = {
    .type = "socket",
    .receive = net_dgram_receive,
    .writable = net_dgram_writable,
    .close = net_dgram_close,
};

static NetPort *open_tcp(const char *id, const char *text, bool server,
                         GError **errp)
{
    NetStream *s;
    NetAddr addr;

    if (!net_resolve_pair(text, SOCK_STREAM, server, &addr, errp)) {
        return NULL;
    }
    s = (NetStream *)net_port_new(sizeof(*s), &socket_stream_ops, id);
    net_stream_init(s);
    s->is_server = server;
    s->state_changed = socket_state;
    net_set_info(&s->port, "socket: wait from %s", text);
    if (!(server ? net_stream_listen(s, &addr, errp)
                 : net_stream_connect(s, &addr, errp))) {
        net_port_free(&s->port);
        return NULL;
    }
    return &s->port;
}

static NetPort *dgram_port(const char *id, int fd, const NetAddr *dest,
                           const char *info)
{
    NetDgram *d = (NetDgram *)net_port_new(sizeof(*d), &socket_dgram_ops, id);

    if (dest) {
        d->dest = *dest;
    }
    net_set_info(&d->port, "%s", info);
    net_dgram_start(d, fd);
    return &d->port;
}

static NetPort *open_mcast(const char *id, const char *text, const char *local,
                           GError **errp)
{
    g_autofree char *info = g_strdup_printf("socket: mcast=%s", text);
    struct in_addr iface;
    NetAddr group;
    NetPort *port;
    int fd;

    if (local && inet_pton(AF_INET, local, &iface) != 1) {
        error_setg(errp, "localaddr '%s' is not an IPv4 address", local);
        return NULL;
    }
    if (!net_resolve_pair(text, SOCK_DGRAM, false, &group, errp)) {
        return NULL;
    }
    fd = net_dgram_mcast(&group, local ? &iface : NULL, errp);
    if (fd < 0) {
        return NULL;
    }
    port = dgram_port(id, fd, &group, info);
    net_dgram_mcast_sender(container_of(port, NetDgram, port),
                           local ? &iface : NULL);
    return port;
}

static NetPort *open_udp(const char *id, const char *text, const char *local,
                         GError **errp)
{
    g_autofree char *info = g_strdup_printf("socket: udp=%s", text);
    NetAddr dest, addr;
    int fd;

    if (!local) {
        error_setg(errp, "localaddr= is mandatory with udp=");
        return NULL;
    }
    if (!net_resolve_pair(local, SOCK_DGRAM, true, &addr, errp) ||
        !net_resolve_pair(text, SOCK_DGRAM, false, &dest, errp)) {
        return NULL;
    }
    fd = net_dgram_bind(&addr, true, errp);
    return fd < 0 ? NULL : dgram_port(id, fd, &dest, info);
}

static NetPort *open_fd(const char *id, int fd, GError **errp)
{
    int type = 0, listening = 0;
    socklen_t len = sizeof(type);
    NetStream *s;

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0) {
        error_setg_errno(errp, errno, "fd=%d is not a socket", fd);
        return NULL;
    }
    if (type == SOCK_DGRAM) {
        g_autofree char *info = g_strdup_printf("socket: fd=%d", fd);

        return dgram_port(id, fd, NULL, info);
    }
    len = sizeof(listening);
    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len);
    s = (NetStream *)net_port_new(sizeof(*s), &socket_stream_ops, id);
    net_stream_init(s);
    s->is_server = listening;
    s->state_changed = socket_state;
    net_stream_use_fd(s, fd, listening);
    return &s->port;
}

static NetPort *socket_open(const NetEnv *env, const char *id, KeyVal *kv,
                            GError **errp)
{
    const char *to_listen = keyval_get(kv, "listen");
    const char *to_connect = keyval_get(kv, "connect");
    const char *mcast = keyval_get(kv, "mcast"), *udp = keyval_get(kv, "udp");
    const char *local = keyval_get(kv, "localaddr");
    int fd;

    if (!net_option_fd(kv, "fd", &fd, errp)) {
        return NULL;
    }
    if (!!to_listen + !!to_connect + !!mcast + !!udp + (fd >= 0) != 1) {
        error_setg(errp, "exactly one of listen=, connect=, mcast=, udp= or "
                         "fd= is required");
        return NULL;
    }
    if (local && !mcast && !udp) {
        error_setg(errp, "localaddr= is only valid with mcast= or udp=");
        return NULL;
    }
    return mcast        ? open_mcast(id, mcast, local, errp)
           : udp        ? open_udp(id, udp, local, errp)
           : to_listen  ? open_tcp(id, to_listen, true, errp)
           : to_connect ? open_tcp(id, to_connect, false, errp)
                        : open_fd(id, fd, errp);
}

const NetBackend net_socket = {
    .name = "socket",
    .help = "listen=[host]:port | connect=host:port | "
            "mcast=group:port[,localaddr=addr] | "
            "udp=host:port,localaddr=host:port | fd=n",
    .open = socket_open,
};
