/*
 * dgram: connects machines over UDP, a multicast group or unix datagram
 * sockets: local.type= and remote.type= inet, unix or fd.
 */
#include "util/osdep.h"
#include "net/internal.h"

#include "util/error.h"

static const NetPortOps dgram_ops = {
    .type = "dgram",
    .receive = net_dgram_receive,
    .writable = net_dgram_writable,
    .close = net_dgram_close,
};

typedef struct DgramEnds {
    bool has_local, has_remote;
    NetAddr local, remote;
    int fd;
} DgramEnds;

static bool dgram_read_ends(KeyVal *kv, DgramEnds *e, GError **errp)
{
    int unused;

    e->fd = -1;
    e->has_local = keyval_get(kv, "local.type");
    e->has_remote = keyval_get(kv, "remote.type");
    if (!e->has_local && !e->has_remote) {
        error_setg(errp, "dgram requires local= or remote= parameter");
        return false;
    }
    if (e->has_remote && !net_option_addr(kv, "remote", SOCK_DGRAM, false,
                                          &e->remote, &unused, errp)) {
        return false;
    }
    return !e->has_local || net_option_addr(kv, "local", SOCK_DGRAM, true,
                                            &e->local, &e->fd, errp);
}

static bool is_mcast(const NetAddr *a)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&a->ss;

    return in->sin_family == AF_INET &&
           IN_MULTICAST(ntohl(in->sin_addr.s_addr));
}

static int dgram_socket(const DgramEnds *e, GError **errp)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&e->local.ss;

    if (e->fd >= 0) {
        return e->fd;
    }
    if (e->has_remote && is_mcast(&e->remote)) {
        return net_dgram_mcast(&e->remote, e->has_local ? &in->sin_addr : NULL,
                               errp);
    }
    if (!e->has_local || !e->has_remote) {
        error_setg(errp, "dgram needs both local= and remote=, unless remote "
                         "is a multicast address or local.type=fd");
        return -1;
    }
    if (e->local.ss.ss_family != e->remote.ss.ss_family) {
        error_setg(errp, "dgram: local and remote must be of one type");
        return -1;
    }
    return net_dgram_bind(&e->local, true, errp);
}

static NetPort *dgram_open(const NetEnv *env, const char *id, KeyVal *kv,
                           GError **errp)
{
    DgramEnds e = { 0 };
    NetDgram *d;
    int fd;

    if (!dgram_read_ends(kv, &e, errp)) {
        return NULL;
    }
    fd = dgram_socket(&e, errp);
    if (fd < 0) {
        return NULL;
    }
    d = (NetDgram *)net_port_new(sizeof(*d), &dgram_ops, id);
    if (e.fd >= 0) {
        net_set_info(&d->port, "fd=%d", fd);
    } else {
        g_autofree char *local = e.has_local ? net_addr_text(&e.local) : NULL;
        g_autofree char *remote = net_addr_text(&e.remote);

        d->dest = e.remote;
        if (is_mcast(&e.remote)) {
            net_dgram_mcast_sender(
                d, e.has_local ? &((struct sockaddr_in *)&e.local.ss)->sin_addr
                               : NULL);
            net_set_info(&d->port, "mcast=%s", remote);
        } else if (e.remote.ss.ss_family == AF_UNIX) {
            net_set_info(&d->port, "udp=%s:%s", local, remote);
            d->unix_path = g_strdup(local);
        } else {
            net_set_info(&d->port, "udp=%s/%s", local, remote);
        }
    }
    net_dgram_start(d, fd);
    return &d->port;
}

const NetBackend net_dgram = {
    .name = "dgram",
    .help = "local.type=inet|unix|fd,..., remote.type=inet|unix,...; "
            "remote may be a multicast group",
    .open = dgram_open,
};
