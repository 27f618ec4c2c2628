/*
 * tap: a network interface of the host, made here, made before (ifname=), or
 * opened by the caller (fd=, fds=). Linux, Documentation/networking/tuntap.rst.
 *
 * With the vnet header the kernel takes frames that still want a checksum or
 * segments, and gives us such frames as the card takes (TUNSETOFFLOAD).
 */
#include "util/osdep.h"
#include "net/internal.h"

#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <linux/if_tun.h>
#include <glib-unix.h>
#include "util/error.h"
#include "util/log.h"
#include "util/mainloop.h"

enum { BURST = 64 };

/* The kernel's struct virtio_net_hdr: byte order of the host. */
typedef struct TapHeader {
    uint8_t flags, gso_type;
    uint16_t hdr_len, gso_size, csum_start, csum_offset;
} TapHeader;
_Static_assert(sizeof(TapHeader) == 10, "virtio_net_hdr");

typedef struct TapPort TapPort;

typedef struct TapQueue {
    TapPort *tap;
    unsigned index;
    int fd;
    unsigned in_watch, out_watch;
    bool full;
} TapQueue;

struct TapPort {
    NetPort port;
    TapQueue *queue;
    bool vnet_hdr;
    char *ifname, *downscript; /* NULL: none */
    uint8_t *buf;
};

static bool tap_readable(int fd, GIOCondition cond, void *opaque);

static TapPort *tap_of(NetPort *port)
{
    return container_of(port, TapPort, port);
}

/* ---- frames ----------------------------------------------------------------------- */

static void tap_deliver(TapQueue *q, size_t len)
{
    TapPort *t = q->tap;
    size_t head = t->vnet_hdr ? sizeof(TapHeader) : 0;
    struct iovec iov = { t->buf + head, len - head };
    NetFrame f = { .iov = &iov, .n = 1, .queue = q->index };
    TapHeader h;

    if (len <= head) {
        return;
    }
    if (head) {
        memcpy(&h, t->buf, sizeof(h));
        f.off = (NetOffload) { h.flags,    h.gso_type,   h.hdr_len,
                               h.gso_size, h.csum_start, h.csum_offset };
    }
    net_send_queued(&t->port, &f);
}

static bool tap_readable(int fd, GIOCondition cond, void *opaque)
{
    TapQueue *q = opaque;

    for (int i = 0; i < BURST; i++) {
        ssize_t n;

        if (q->tap->port.blocked || q->tap->port.waiting.length) {
            q->in_watch = 0; /* until writable() */
            return false;
        }
        n = read(fd, q->tap->buf, NET_MAX_FRAME);
        if (n <= 0) {
            break;
        }
        tap_deliver(q, (size_t)n);
    }
    return true;
}

static void tap_writable(NetPort *port)
{
    TapPort *t = tap_of(port);

    for (unsigned i = 0; i < port->queues; i++) {
        TapQueue *q = &t->queue[i];

        if (!q->in_watch) {
            q->in_watch = mainloop_add_fd(q->fd, G_IO_IN, tap_readable, q);
        }
    }
}

static bool tap_room(int fd, GIOCondition cond, void *opaque)
{
    TapQueue *q = opaque;

    q->out_watch = 0;
    q->full = false;
    net_resume(&q->tap->port);
    return false;
}

static bool tap_receive(NetPort *port, const NetFrame *f)
{
    TapPort *t = tap_of(port);
    TapQueue *q = &t->queue[f->queue % port->queues];
    const NetOffload *o = &f->off;
    TapHeader h = { o->flags & NET_F_NEEDS_CSUM,
                    o->gso_type,
                    o->hdr_len,
                    o->gso_size,
                    o->csum_start,
                    o->csum_offset };
    g_autofree struct iovec *iov = NULL;
    ssize_t n;

    if (q->full) {
        return false;
    }
    if (t->vnet_hdr) {
        iov = g_new(struct iovec, f->n + 1);
        iov[0] = (struct iovec) { &h, sizeof(h) };
        memcpy(iov + 1, f->iov, sizeof(*iov) * f->n);
        n = writev(q->fd, iov, MIN(f->n + 1, IOV_MAX));
    } else {
        n = writev(q->fd, f->iov, MIN(f->n, IOV_MAX));
    }
    if (n < 0 && errno == EAGAIN) {
        q->full = true;
        q->out_watch = mainloop_add_fd(q->fd, G_IO_OUT, tap_room, q);
        return false;
    }
    if (n < 0) {
        port->stats.dropped++; /* EIO: the interface is down */
    }
    return true;
}

/* What the card takes is what the kernel may leave undone. */
static void tap_peer_changed(NetPort *port)
{
    TapPort *t = tap_of(port);
    unsigned a = port->peer ? port->peer->accepts : 0;
    unsigned flags = 0;

    if (!t->vnet_hdr) {
        return;
    }
    if (a & NET_CSUM) {
        flags = TUN_F_CSUM | (a & NET_TSO4 ? TUN_F_TSO4 : 0) |
                (a & NET_TSO6 ? TUN_F_TSO6 : 0);
        if (flags & (TUN_F_TSO4 | TUN_F_TSO6) && a & NET_ECN) {
            flags |= TUN_F_TSO_ECN;
        }
    }
    for (unsigned i = 0; i < port->queues; i++) {
        ioctl(t->queue[i].fd, TUNSETOFFLOAD, flags);
    }
}

/* ---- opening ---------------------------------------------------------------------- */

/* "script ifname" */
static bool run_script(const char *script, const char *ifname, GError **errp)
{
    char *argv[] = { (char *)script, (char *)ifname, NULL };
    g_autoptr(GError) err = NULL;
    int status;

    if (!g_spawn_sync(NULL, argv, NULL, G_SPAWN_CHILD_INHERITS_STDIN, NULL,
                      NULL, NULL, NULL, &status, &err)) {
        error_setg(errp, "could not launch network script %s: %s", script,
                   err->message);
        return false;
    }
    if (!g_spawn_check_wait_status(status, &err)) {
        error_setg(errp, "network script %s failed: %s", script, err->message);
        return false;
    }
    return true;
}

static void tap_close(NetPort *port)
{
    TapPort *t = tap_of(port);
    g_autoptr(GError) err = NULL;

    if (t->downscript && !run_script(t->downscript, t->ifname, &err)) {
        warn_report("%s", err->message);
    }
    for (unsigned i = 0; i < port->queues; i++) {
        TapQueue *q = &t->queue[i];

        if (q->in_watch) {
            mainloop_remove(q->in_watch);
        }
        if (q->out_watch) {
            mainloop_remove(q->out_watch);
        }
        if (q->fd >= 0) {
            close(q->fd);
        }
    }
    g_free(t->queue);
    g_free(t->ifname);
    g_free(t->downscript);
    g_free(t->buf);
}

static const NetPortOps tap_ops = {
    .type = "tap",
    .receive = tap_receive,
    .writable = tap_writable,
    .peer_changed = tap_peer_changed,
    .close = tap_close,
};

static void no_permission(const char *what, int err, GError **errp)
{
    if (err == EPERM || err == EACCES) {
        error_setg(errp,
                   "%s: %s; rhea needs CAP_NET_ADMIN, or an interface made for "
                   "you (as root: ip tuntap add dev tap0 mode tap user %s) and "
                   "named with ifname=tap0,script=no,downscript=no",
                   what, g_strerror(err), g_get_user_name());
    } else if (err == ENOENT || err == ENODEV || err == ENXIO) {
        error_setg(errp, "%s: %s; the host's kernel has no tun driver here",
                   what, g_strerror(err));
    } else if (err == EBUSY) {
        error_setg(errp, "%s: %s; another process uses the interface", what,
                   g_strerror(err));
    } else {
        error_setg(errp, "%s: %s", what, g_strerror(err));
    }
}

/* Opens one queue of the interface; its name comes back in @ifr. */
static int open_queue(const char *ifname, bool multi, bool *vnet_hdr,
                      bool want_vnet_hdr, struct ifreq *ifr, GError **errp)
{
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    unsigned features = 0;

    if (fd < 0) {
        no_permission("could not open /dev/net/tun", errno, errp);
        return -1;
    }
    if (ioctl(fd, TUNGETFEATURES, &features) < 0) {
        features = 0;
    }
    memset(ifr, 0, sizeof(*ifr));
    *vnet_hdr = want_vnet_hdr && features & IFF_VNET_HDR;
    ifr->ifr_flags = IFF_TAP | IFF_NO_PI | (*vnet_hdr ? IFF_VNET_HDR : 0) |
                     (multi ? IFF_MULTI_QUEUE : 0);
    g_strlcpy(ifr->ifr_name, ifname ? ifname : "tap%d", IFNAMSIZ);
    if (ioctl(fd, TUNSETIFF, ifr) < 0) {
        g_autofree char *what =
            g_strdup_printf("could not configure /dev/net/tun (%s)",
                            ifname ? ifname : "a new interface");

        no_permission(what, errno, errp);
        close(fd);
        return -1;
    }
    return fd;
}

/* An inherited descriptor: is it a tap, and does it have the header? */
static bool adopt_fd(int fd, bool *vnet_hdr, char name[IFNAMSIZ], GError **errp)
{
    struct ifreq ifr = { 0 };

    if (ioctl(fd, TUNGETIFF, &ifr) < 0) {
        error_setg(errp, "fd=%d is not a tap device", fd);
        return false;
    }
    if (!(ifr.ifr_flags & IFF_TAP)) {
        error_setg(errp, "fd=%d is a tun device; a tap is needed", fd);
        return false;
    }
    *vnet_hdr = ifr.ifr_flags & IFF_VNET_HDR;
    g_strlcpy(name, ifr.ifr_name, IFNAMSIZ);
    return true;
}

static void add_queue(TapPort *t, int fd)
{
    unsigned i = t->port.queues++;

    t->queue[i] = (TapQueue) { .tap = t, .index = i, .fd = fd };
    g_unix_set_fd_nonblocking(fd, true, NULL);
    if (t->vnet_hdr) {
        int size = sizeof(TapHeader);

        ioctl(fd, TUNSETVNETHDRSZ, &size);
    }
}

static TapPort *tap_new(const char *id)
{
    TapPort *t = (TapPort *)net_port_new(sizeof(*t), &tap_ops, id);

    t->queue = g_new0(TapQueue, NET_MAX_QUEUES);
    t->buf = g_malloc(NET_MAX_FRAME);
    t->port.queues = 0;
    return t;
}

static bool parse_fds(const char *text, int *fds, unsigned *n, GError **errp)
{
    g_auto(GStrv) words = g_strsplit(text, ":", -1);

    for (*n = 0; words[*n]; ++*n) {
        uint64_t v;

        if (*n >= NET_MAX_QUEUES) {
            error_setg(errp, "fds: at most %d", NET_MAX_QUEUES);
            return false;
        }
        if (!parse_u64(words[*n], &v, errp) || v > INT_MAX) {
            g_prefix_error(errp, "fds=%s: ", text);
            return false;
        }
        fds[*n] = (int)v;
        fcntl(fds[*n], F_SETFD, FD_CLOEXEC);
    }
    return true;
}

static NetPort *tap_from_fds(const char *id, const int *fds, unsigned n,
                             const char *info, GError **errp)
{
    TapPort *t = tap_new(id);
    char name[IFNAMSIZ] = "";

    for (unsigned i = 0; i < n; i++) {
        bool vnet_hdr;

        if (!adopt_fd(fds[i], &vnet_hdr, name, errp)) {
            net_port_free(&t->port);
            return NULL;
        }
        if (i && vnet_hdr != t->vnet_hdr) {
            error_setg(errp, "vnet_hdr of given tap fds is not the same");
            net_port_free(&t->port);
            return NULL;
        }
        t->vnet_hdr = vnet_hdr;
        add_queue(t, fds[i]);
    }
    t->ifname = g_strdup(name);
    t->port.accepts = t->vnet_hdr ? NET_OFFLOADS & ~(unsigned)NET_UFO : 0;
    net_set_info(&t->port, "%s", info);
    tap_writable(&t->port);
    return &t->port;
}

typedef struct TapOptions {
    const char *ifname, *script, *downscript;
    bool vnet_hdr;
    uint64_t queues;
} TapOptions;

static NetPort *tap_from_name(const char *id, const TapOptions *o,
                              GError **errp)
{
    TapPort *t = tap_new(id);
    struct ifreq ifr;

    for (unsigned i = 0; i < o->queues; i++) {
        int fd = open_queue(i ? t->ifname : o->ifname, o->queues > 1,
                            &t->vnet_hdr, o->vnet_hdr, &ifr, errp);

        if (fd < 0) {
            goto fail;
        }
        add_queue(t, fd);
        g_free(t->ifname);
        t->ifname = g_strdup(ifr.ifr_name);
    }
    t->port.accepts = t->vnet_hdr ? NET_OFFLOADS & ~(unsigned)NET_UFO : 0;
    if (o->script && !run_script(o->script, t->ifname, errp)) {
        goto fail;
    }
    t->downscript = g_strdup(o->downscript);
    net_set_info(&t->port, "ifname=%s,script=%s,downscript=%s", t->ifname,
                 o->script ? o->script : "no",
                 o->downscript ? o->downscript : "no");
    tap_writable(&t->port);
    return &t->port;
fail:
    net_port_free(&t->port);
    return NULL;
}

/* NULL for "no"; the default script only where there is one. */
static const char *script_option(KeyVal *kv, const char *key,
                                 const char *defval)
{
    const char *v = keyval_get(kv, key);

    if (!v) {
        return g_file_test(defval, G_FILE_TEST_IS_EXECUTABLE) ? defval : NULL;
    }
    return strcmp(v, "no") && *v ? v : NULL;
}

static bool tap_options(KeyVal *kv, TapOptions *o, GError **errp)
{
    bool vhost;

    o->ifname = keyval_get(kv, "ifname");
    o->script = script_option(kv, "script", "/etc/qemu-ifup");
    o->downscript = script_option(kv, "downscript", "/etc/qemu-ifdown");
    if (!keyval_bool(kv, "vnet_hdr", true, &o->vnet_hdr, errp) ||
        !keyval_bool(kv, "vhost", false, &vhost, errp) ||
        !keyval_u64(kv, "queues", 1, &o->queues, errp)) {
        return false;
    }
    if (vhost) {
        error_setg(errp, "vhost=on is not supported; leave it out");
        return false;
    }
    if (o->queues < 1 || o->queues > NET_MAX_QUEUES) {
        error_setg(errp, "queues must be 1 to %d", NET_MAX_QUEUES);
        return false;
    }
    if (o->ifname && (!*o->ifname || strlen(o->ifname) >= IFNAMSIZ)) {
        error_setg(errp, "ifname must be 1 to %d characters", IFNAMSIZ - 1);
        return false;
    }
    return true;
}

static NetPort *tap_open(const NetEnv *env, const char *id, KeyVal *kv,
                         GError **errp)
{
    const char *fds = keyval_get(kv, "fds"), *fd_text = keyval_get(kv, "fd");
    TapOptions o;
    int fd, list[NET_MAX_QUEUES];
    unsigned n = 1;

    if (!tap_options(kv, &o, errp) || !net_option_fd(kv, "fd", &fd, errp)) {
        return NULL;
    }
    if (!fds && fd < 0) {
        return tap_from_name(id, &o, errp);
    }
    if (o.ifname || keyval_get(kv, "script") || keyval_get(kv, "downscript") ||
        keyval_get(kv, "vnet_hdr") || keyval_get(kv, "queues") ||
        (fds && fd_text)) {
        error_setg(errp, "ifname=, script=, downscript=, vnet_hdr= and queues= "
                         "are invalid with fd= or fds=, and those with each "
                         "other");
        return NULL;
    }
    if (fds) {
        g_autofree char *info = g_strdup_printf("fds=%s", fds);

        return parse_fds(fds, list, &n, errp)
                   ? tap_from_fds(id, list, n, info, errp)
                   : NULL;
    } else {
        g_autofree char *info = g_strdup_printf("fd=%d", fd);

        return tap_from_fds(id, &fd, 1, info, errp);
    }
}

const NetBackend net_tap = {
    .name = "tap",
    .help = "ifname=name,script=file|no,downscript=file|no,vnet_hdr=on|off,"
            "queues=n | fd=n | fds=n:n...",
    .open = tap_open,
};
