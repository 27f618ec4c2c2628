/*
 * stream: connects machines over a TCP or unix stream socket that listens
 * (server=on) or connects; addr.type=inet, unix or fd.
 */
#include "util/osdep.h"
#include "net/internal.h"

static void stream_state(NetStream *s, const NetAddr *peer)
{
    if (!peer) {
        net_set_info(&s->port, "%s", s->is_server ? "listening" : "");
    } else if (!peer->len) {
        net_set_info(&s->port, "fd=%d", s->fd);
    } else {
        bool local = peer->ss.ss_family == AF_UNIX;
        g_autofree char *text = local && s->unix_path ? g_strdup(s->unix_path)
                                                      : net_addr_text(peer);

        net_set_info(&s->port, "%s%s%s", local ? "unix:" : "tcp:", text,
                     s->is_server ? ",server=on" : "");
    }
}

static const NetPortOps stream_ops = {
    .type = "stream",
    .receive = net_stream_receive,
    .writable = net_stream_writable,
    .close = net_stream_close,
};

static NetPort *stream_open(const NetEnv *env, const char *id, KeyVal *kv,
                            GError **errp)
{
    NetStream *s;
    NetAddr addr;
    bool server, ok = true;
    int fd;

    if (!keyval_bool(kv, "server", false, &server, errp) ||
        !net_option_addr(kv, "addr", SOCK_STREAM, server, &addr, &fd, errp)) {
        return NULL;
    }
    s = (NetStream *)net_port_new(sizeof(*s), &stream_ops, id);
    net_stream_init(s);
    s->is_server = server;
    s->state_changed = stream_state;
    stream_state(s, NULL);
    if (fd >= 0) {
        net_stream_use_fd(s, fd, server);
    } else {
        ok = server ? net_stream_listen(s, &addr, errp)
                    : net_stream_connect(s, &addr, errp);
    }
    if (!ok) {
        net_port_free(&s->port);
        return NULL;
    }
    return &s->port;
}

const NetBackend net_stream = {
    .name = "stream",
    .help = "server=on|off,addr.type=inet,addr.host=h,addr.port=p | "
            "addr.type=unix,addr.path=p | addr.type=fd,addr.str=n",
    .open = stream_open,
};
