/*
 * Forwardings of the "user" back end: ports of the host into the guest
 * (hostfwd), and addresses of the guest's network to the host (guestfwd).
 */
#include "util/osdep.h"
#include "net/net.h"
#include "util/error.h"
#if CONFIG_LIBSLIRP
#include "net/user.h"

#include <arpa/inet.h>
#include <sys/un.h>
#include "chardev/chardev.h"
#include "util/log.h"

typedef struct HostFwd {
    bool udp;
    NetAddr host, guest;
    unsigned host_port;
} HostFwd;

/* ---- hostfwd ------------------------------------------------------------------------- */

/* The text up to @stop; "[...]" may contain it. *@p moves behind it. */
static char *next_part(const char **p, char stop)
{
    const char *q = *p, *end;
    char *part;

    if (*q == '[' && (end = strchr(q, ']')) && end[1] == stop) {
        part = g_strndup(q + 1, (gsize)(end - q - 1));
        *p = end + 1 + (stop != 0);
        return part;
    }
    end = stop ? strchr(q, stop) : q + strlen(q);
    if (!end) {
        return NULL;
    }
    part = g_strndup(q, (gsize)(end - q));
    *p = end + (stop != 0);
    return part;
}

static bool make_addr(const char *host, unsigned port, bool v6, NetAddr *out)
{
    struct sockaddr_in *in = (struct sockaddr_in *)&out->ss;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out->ss;

    memset(out, 0, sizeof(*out));
    if (strchr(host, ':') || (v6 && !*host)) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)port);
        out->len = sizeof(*in6);
        return !*host || inet_pton(AF_INET6, host, &in6->sin6_addr) == 1;
    }
    in->sin_family = AF_INET;
    in->sin_port = htons((uint16_t)port);
    out->len = sizeof(*in);
    return !*host || inet_pton(AF_INET, host, &in->sin_addr) == 1;
}

static bool parse_port(const char *text, bool zero, unsigned *port)
{
    uint64_t v;

    if (!text || !parse_u64(text, &v, NULL) || v > 65535 || (!v && !zero)) {
        return false;
    }
    *port = (unsigned)v;
    return true;
}

static bool parse_protocol(const char **p, bool *udp)
{
    g_autofree char *protocol = next_part(p, ':');

    if (!protocol ||
        (*protocol && strcmp(protocol, "tcp") && strcmp(protocol, "udp"))) {
        return false;
    }
    *udp = !strcmp(protocol, "udp");
    return true;
}

static bool parse_hostfwd(const char *text, HostFwd *fwd, GError **errp)
{
    const char *p = text, *why = "bad protocol (tcp or udp)";
    g_autofree char *host = NULL, *hport = NULL, *guest = NULL, *gport = NULL;
    unsigned port;

    if (!parse_protocol(&p, &fwd->udp)) {
        goto bad;
    }
    why = "bad host address";
    host = next_part(&p, ':');
    if (!host) {
        goto bad;
    }
    why = "bad host port";
    hport = next_part(&p, '-');
    if (!parse_port(hport, true, &fwd->host_port)) {
        goto bad;
    }
    why = "bad host address";
    if (!make_addr(host, fwd->host_port, false, &fwd->host)) {
        goto bad;
    }
    why = "bad guest address";
    guest = next_part(&p, ':');
    if (!guest) {
        goto bad;
    }
    why = "bad guest port";
    gport = next_part(&p, '\0');
    if (!parse_port(gport, false, &port)) {
        goto bad;
    }
    why = "bad guest address";
    if (make_addr(guest, port, false, &fwd->guest)) {
        return true;
    }
bad:
    error_setg(errp,
               "Invalid host forwarding rule '%s' (%s); it must be "
               "tcp|udp:[host]:port-[guest]:port",
               text, why);
    return false;
}

/* Our own attempt at the address, to learn why libslirp's failed. */
static char *why_not(const HostFwd *fwd)
{
    int type = fwd->udp ? SOCK_DGRAM : SOCK_STREAM, one = 1, err;
    int fd = socket(fwd->host.ss.ss_family, type | SOCK_CLOEXEC, 0);
    g_autofree char *where = net_addr_text(&fwd->host);
    g_autofree char *owner = NULL;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    err = bind(fd, (const struct sockaddr *)&fwd->host.ss, fwd->host.len) < 0 ||
                  (!fwd->udp && listen(fd, 1) < 0)
              ? errno
              : 0;
    if (fd >= 0) {
        close(fd);
    }
    switch (err) {
    case EADDRINUSE:
        owner = net_port_owner(&fwd->host, type);
        return g_strdup_printf("%s is in use%s", where, owner);
    case EADDRNOTAVAIL:
        return g_strdup_printf("%s is not an address of this host", where);
    case EACCES:
        return g_strdup_printf("%s: ports below 1024 need root", where);
    default:
        return g_strdup_printf("%s: %s", where,
                               err ? g_strerror(err) : "libslirp refused");
    }
}

/* Descriptors of the forwardings there are, from libslirp's table. */
static GHashTable *listening(UserPort *u)
{
    GHashTable *fds = g_hash_table_new(NULL, NULL);
    g_autofree char *text = slirp_connection_info(u->slirp);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (int i = 0; lines[i]; i++) {
        int fd;

        if (sscanf(lines[i], " %*3s[HOST_FORWARD] %d", &fd) == 1) {
            g_hash_table_add(fds, GINT_TO_POINTER(fd));
        }
    }
    return fds;
}

/* Port 0 asked for any: says which it is. */
static void report_port(UserPort *u, const char *text, GHashTable *before)
{
    g_autoptr(GHashTable) now = listening(u);
    GHashTableIter it;
    void *key;

    g_hash_table_iter_init(&it, now);
    while (g_hash_table_iter_next(&it, &key, NULL)) {
        NetAddr a = { .len = sizeof(a.ss) };

        if (!g_hash_table_contains(before, key) &&
            !getsockname(GPOINTER_TO_INT(key), (struct sockaddr *)&a.ss,
                         &a.len)) {
            g_autofree char *where = net_addr_text(&a);

            info_report("netdev %s: hostfwd %s listens on %s", u->port.id, text,
                        where);
        }
    }
}

bool user_add_hostfwd(UserPort *u, const char *text, GError **errp)
{
    HostFwd fwd = { 0 };
    g_autoptr(GHashTable) before = NULL;
    g_autofree char *why = NULL;

    if (!parse_hostfwd(text, &fwd, errp)) {
        return false;
    }
    if (!fwd.host_port) {
        before = listening(u);
    }
    if (slirp_add_hostxfwd(u->slirp, (struct sockaddr *)&fwd.host.ss,
                           fwd.host.len, (struct sockaddr *)&fwd.guest.ss,
                           fwd.guest.len,
                           fwd.udp ? SLIRP_HOSTFWD_UDP : 0) < 0) {
        why = why_not(&fwd);
        error_setg(errp, "Could not set up host forwarding rule '%s': %s", text,
                   why);
        return false;
    }
    if (before) {
        report_port(u, text, before);
    }
    return true;
}

static UserPort *find_user(const GPtrArray *ports, const char *id,
                           GError **errp)
{
    UserPort *found = NULL;

    for (guint i = 0; i < ports->len; i++) {
        UserPort *u = user_of(ports->pdata[i]);

        if (u && (!id || !strcmp(u->port.id, id))) {
            if (found) {
                error_setg(errp, "there are several user back ends: name one");
                return NULL;
            }
            found = u;
        }
    }
    if (!found && id && !net_find(ports, id)) {
        error_setg(errp, "unrecognized netdev id '%s'", id);
    } else if (!found && id) {
        error_setg(errp, "invalid host forwarding: '%s' is not a user back end",
                   id);
    } else if (!found) {
        error_setg(errp, "user mode network stack not in use");
    }
    return found;
}

bool net_hostfwd_add(const GPtrArray *ports, const char *id, const char *text,
                     GError **errp)
{
    UserPort *u = find_user(ports, id, errp);

    return u && user_add_hostfwd(u, text, errp);
}

bool net_hostfwd_remove(const GPtrArray *ports, const char *id,
                        const char *text, GError **errp)
{
    UserPort *u = find_user(ports, id, errp);
    g_autofree char *host = NULL;
    const char *p = text;
    NetAddr addr;
    unsigned port;
    bool udp;

    if (!u) {
        return false;
    }
    if (!parse_protocol(&p, &udp) || !(host = next_part(&p, ':')) ||
        !parse_port(p, false, &port) || !make_addr(host, port, false, &addr)) {
        error_setg(errp, "invalid format");
        return false;
    }
    if (slirp_remove_hostxfwd(u->slirp, (struct sockaddr *)&addr.ss, addr.len,
                              udp ? SLIRP_HOSTFWD_UDP : 0) < 0) {
        error_setg(errp, "host forwarding rule for %s not found", text);
        return false;
    }
    return true;
}

void net_usernet_print(const GPtrArray *ports, GString *out)
{
    for (guint i = 0; i < ports->len; i++) {
        NetPort *port = ports->pdata[i];
        UserPort *u = user_of(port);

        if (u) {
            g_autofree char *info = slirp_connection_info(u->slirp);
            bool hub = port->peer && port->peer->hub >= 0;

            g_string_append_printf(out, "Hub %d (%s):\n%s",
                                   hub ? port->peer->hub : -1, port->id, info);
        }
    }
}

/* ---- guestfwd ------------------------------------------------------------------------- */

typedef struct GuestFwd {
    UserPort *u;
    struct in_addr server;
    unsigned port;
    Chardev *chr;
} GuestFwd;

static size_t guestfwd_room(void *opaque)
{
    GuestFwd *g = opaque;

    return slirp_socket_can_recv(g->u->slirp, g->server, (int)g->port);
}

static void guestfwd_input(void *opaque, const uint8_t *buf, size_t len)
{
    GuestFwd *g = opaque;

    slirp_socket_recv(g->u->slirp, g->server, (int)g->port, buf, (int)len);
}

static ssize_t guestfwd_output(const void *buf, size_t len, void *opaque)
{
    GuestFwd *g = opaque;

    return (ssize_t)chardev_write(g->chr, buf, len);
}

static const CharClient guestfwd_client = {
    .can_receive = guestfwd_room,
    .receive = guestfwd_input,
};

void user_notify(void *opaque)
{
    UserPort *u = opaque;

    u->room = true; /* not now: we are called from within libslirp */
}

void user_resume_guestfwds(UserPort *u)
{
    u->room = false;
    for (guint i = 0; i < u->guestfwds->len; i++) {
        const GuestFwd *g = u->guestfwds->pdata[i];

        if (g->chr) {
            chardev_resume(g->chr);
        }
    }
}

void user_free_guestfwds(UserPort *u)
{
    for (guint i = 0; u->guestfwds && i < u->guestfwds->len; i++) {
        GuestFwd *g = u->guestfwds->pdata[i];

        if (g->chr) {
            chardev_detach(g->chr, g);
        }
        g_free(g);
    }
    g_clear_pointer(&u->guestfwds, g_ptr_array_unref);
}

static bool guestfwd_chardev(GuestFwd *g, const char *text, const NetEnv *env,
                             GError **errp)
{
    g_autofree char *label = g_strdup_printf("guestfwd.tcp.%u", g->port);
    g_autoptr(GError) err = NULL;

    if (!env->chardevs) {
        error_setg(errp, "there are no character devices here");
        return false;
    }
    g->chr = chardev_new_legacy(env->chardevs, label, text, &err);
    if (err) {
        g_propagate_error(errp, g_steal_pointer(&err));
        return false;
    }
    if (!g->chr) {
        error_setg(errp, "'none' is no place to forward to");
        return false;
    }
    if (!chardev_attach(g->chr, &guestfwd_client, g, errp)) {
        g->chr = NULL;
        return false;
    }
    return true;
}

/* tcp:server:port-cmd:command, tcp:server:port-chardev */
bool user_add_guestfwd(UserPort *u, const char *text, const NetEnv *env,
                       GError **errp)
{
    const char *p = text;
    g_autofree char *server = NULL, *port = NULL;
    GuestFwd *g = g_new0(GuestFwd, 1);
    NetAddr addr;
    bool udp;
    int rc;

    g->u = u;
    g_ptr_array_add(u->guestfwds, g);
    if (!parse_protocol(&p, &udp) || udp || !(server = next_part(&p, ':')) ||
        !(port = next_part(&p, '-')) || !parse_port(port, false, &g->port) ||
        !make_addr(server, g->port, false, &addr) ||
        addr.ss.ss_family != AF_INET || !*p) {
        error_setg(errp,
                   "Invalid guest forwarding rule '%s'; it must be "
                   "tcp:[server]:port-cmd:command or "
                   "tcp:[server]:port-chardev",
                   text);
        return false;
    }
    g->server = ((struct sockaddr_in *)&addr.ss)->sin_addr;
    if (g_str_has_prefix(p, "cmd:")) {
        rc = slirp_add_exec(u->slirp, p + 4, &g->server, (int)g->port);
    } else {
        if (!guestfwd_chardev(g, p, env, errp)) {
            g_prefix_error(errp, "guestfwd '%s': ", text);
            return false;
        }
        rc = slirp_add_guestfwd(u->slirp, guestfwd_output, g, &g->server,
                                (int)g->port);
    }
    if (rc < 0) {
        error_setg(errp,
                   "conflicting/invalid host:port in guest forwarding rule "
                   "'%s': the address must be one of the guest's network, and "
                   "not the host's",
                   text);
    }
    return rc >= 0;
}

#else

static bool no_user(GError **errp)
{
    error_setg(errp, "user mode network stack not in use (this rhea was built "
                     "without libslirp)");
    return false;
}

bool net_hostfwd_add(const GPtrArray *ports, const char *id, const char *text,
                     GError **errp)
{
    return no_user(errp);
}

bool net_hostfwd_remove(const GPtrArray *ports, const char *id,
                        const char *text, GError **errp)
{
    return no_user(errp);
}

void net_usernet_print(const GPtrArray *ports, GString *out)
{
}
#endif
