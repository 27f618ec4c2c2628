/*
 * unix and TCP sockets, listening or connecting, plain or telnet (RFC 854).
 *
 * One peer at a time. A listening chardev without a peer drops what the guest
 * writes and goes back to listening when the peer leaves. What a peer sent before
 * it left waits for a guest that reads slowly, but only until the next one comes.
 */
#include "util/osdep.h"
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "util/error.h"
#include "util/log.h"
#include "util/mainloop.h"
#include "util/sockets.h"
#include "chardev/internal.h"

typedef struct SocketChar {
    FdChar f;
    int listen_fd;
    unsigned listen_watch;
    char *unix_path; /* to remove at the end, if we made it */
    bool telnet, nodelay;
    int telnet_state;
    uint64_t reconnect_s;
    unsigned reconnect_timer;
    struct sockaddr_storage addr; /* for reconnecting */
    socklen_t addr_len;
} SocketChar;

static void socket_hangup(FdChar *f);

/* ---- telnet: take commands out of the input ------------------------------------ */

enum { TN_DATA, TN_IAC, TN_OPTION, TN_SUB, TN_SUB_IAC };
enum { IAC = 255, TN_SB = 250, TN_SE = 240, TN_BREAK = 243, TN_WILL = 251 };

static bool telnet_byte(SocketChar *s, uint8_t b)
{
    switch (s->telnet_state) {
    case TN_DATA:
        if (b == IAC) {
            s->telnet_state = TN_IAC;
            return false;
        }
        return b != 0; /* CR NUL is CR */
    case TN_IAC:
        s->telnet_state = b >= TN_WILL && b != IAC ? TN_OPTION
                          : b == TN_SB             ? TN_SUB
                                                   : TN_DATA;
        if (b == TN_BREAK) {
            chardev_event(&s->f.c, CHAR_BREAK);
        }
        return b == IAC;
    case TN_SUB:
        s->telnet_state = b == IAC ? TN_SUB_IAC : TN_SUB;
        return false;
    case TN_SUB_IAC:
        s->telnet_state = b == TN_SE ? TN_DATA : TN_SUB;
        return false;
    default:
        s->telnet_state = TN_DATA;
        return false;
    }
}

static void telnet_filter(FdChar *f, uint8_t *buf, size_t len)
{
    SocketChar *s = container_of(f, SocketChar, f);
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        if (telnet_byte(s, buf[i])) {
            buf[n++] = buf[i];
        }
    }
    if (n) {
        chardev_deliver(&f->c, buf, n);
    }
}

/* WILL ECHO, WILL SUPPRESS-GO-AHEAD, WILL and DO BINARY: a raw line. */
static void telnet_greet(SocketChar *s)
{
    static const uint8_t greeting[] = { IAC, 251, 1, IAC, 251, 3,
                                        IAC, 251, 0, IAC, 253, 0 };

    fdchar_write(&s->f.c, greeting, sizeof(greeting));
}

/* ---- connections ------------------------------------------------------------------ */

static bool is_unix_socket(int fd)
{
    int family;
    socklen_t len = sizeof(family);

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) == 0 &&
           family == AF_UNIX;
}

static void socket_connected(SocketChar *s, int fd)
{
    int one = 1;

    fcntl(fd, F_SETFL, O_NONBLOCK);
    if (s->nodelay) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    }
    s->telnet_state = TN_DATA;
    fdchar_init(&s->f, fd, fd);
    s->f.takes_fds = is_unix_socket(fd);
    if (s->telnet) {
        telnet_greet(s);
    }
    chardev_event(&s->f.c, CHAR_OPENED);
    fdchar_resume(&s->f.c);
}

static bool socket_accept(int listen_fd, GIOCondition cond, void *opaque)
{
    SocketChar *s = opaque;
    int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0) {
        return true;
    }
    s->listen_watch = 0;   /* one at a time; the next waits in the backlog */
    if (s->f.in_fd >= 0) { /* deserted */
        fdchar_close(&s->f);
        chardev_event(&s->f.c, CHAR_CLOSED);
    }
    socket_connected(s, fd);
    return false;
}

static void socket_listen_on(SocketChar *s)
{
    if (s->listen_fd >= 0 && !s->listen_watch) {
        s->listen_watch =
            mainloop_add_fd(s->listen_fd, G_IO_IN, socket_accept, s);
    }
}

static gboolean socket_reconnect(void *opaque)
{
    SocketChar *s = opaque;
    int fd = socket(s->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 ||
        !socket_join(fd, (struct sockaddr *)&s->addr, s->addr_len, false)) {
        return G_SOURCE_CONTINUE;
    }
    s->reconnect_timer = 0;
    socket_connected(s, fd);
    return G_SOURCE_REMOVE;
}

static void socket_hangup(FdChar *f)
{
    SocketChar *s = container_of(f, SocketChar, f);

    fdchar_close(f);
    chardev_event(&f->c, CHAR_CLOSED);
    socket_listen_on(s);
    if (s->reconnect_s && !s->reconnect_timer) {
        s->reconnect_timer =
            g_timeout_add_seconds(s->reconnect_s, socket_reconnect, s);
    }
}

static void socket_deserted(FdChar *f)
{
    SocketChar *s = container_of(f, SocketChar, f);

    if (s->reconnect_s) {
        socket_hangup(f);
    } else {
        socket_listen_on(s);
    }
}

/* ---- addresses --------------------------------------------------------------------- */

static bool resolve_unix(SocketChar *s, const char *path, GError **errp)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&s->addr;

    if (strlen(path) >= sizeof(un->sun_path)) {
        error_setg(errp, "UNIX socket path '%s' is too long: at most %zu bytes",
                   path, sizeof(un->sun_path) - 1);
        return false;
    }
    un->sun_family = AF_UNIX;
    g_strlcpy(un->sun_path, path, sizeof(un->sun_path));
    s->addr_len = sizeof(*un);
    return true;
}

static bool resolve_inet(SocketChar *s, const char *host, const char *port,
                         bool server, GError **errp)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
                              .ai_flags = server ? AI_PASSIVE : 0 };
    struct addrinfo *list;
    int rc = getaddrinfo(host && *host ? host : NULL, port, &hints, &list);

    if (rc) {
        error_setg(errp, "address resolution failed for %s:%s: %s",
                   host ? host : "", port, gai_strerror(rc));
        return false;
    }
    memcpy(&s->addr, list->ai_addr, list->ai_addrlen);
    s->addr_len = list->ai_addrlen;
    freeaddrinfo(list);
    return true;
}

static char *inet_where(const SocketChar *s, const char *host, const char *port,
                        bool server)
{
    return g_strdup_printf("%s:%s:%s%s", s->telnet ? "telnet" : "tcp",
                           host ? host : "", port, server ? ",server=on" : "");
}

static bool socket_resolve(SocketChar *s, KeyVal *kv, bool server,
                           GError **errp)
{
    const char *path = keyval_get(kv, "path");
    const char *host = keyval_get(kv, "host");
    const char *port = keyval_get(kv, "port");

    /* Accepted for scripts: the resolver decides. */
    keyval_get(kv, "ipv4");
    keyval_get(kv, "ipv6");
    keyval_get(kv, "to");
    if (path) {
        s->f.c.where =
            g_strdup_printf("unix:%s%s", path, server ? ",server=on" : "");
        return resolve_unix(s, path, errp);
    }
    if (!port) {
        error_setg(errp, "chardev: socket: give path=, or host= and port=");
        return false;
    }
    s->f.c.where = inet_where(s, host, port, server);
    return resolve_inet(s, host, port, server, errp);
}

/* port=0: the one that the kernel has found, for who asks where to connect. */
static void socket_note_port(SocketChar *s, const char *host)
{
    struct sockaddr_storage sa = { 0 };
    socklen_t len = sizeof(sa);
    char port[8];

    if (getsockname(s->listen_fd, (struct sockaddr *)&sa, &len) == 0 &&
        getnameinfo((struct sockaddr *)&sa, len, NULL, 0, port, sizeof(port),
                    NI_NUMERICSERV) == 0) {
        g_free(s->f.c.where);
        s->f.c.where = inet_where(s, host, port, true);
    }
}

static int socket_make(SocketChar *s, bool server, GError **errp)
{
    struct sockaddr *sa = (struct sockaddr *)&s->addr;
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        error_setg_errno(errp, errno, "could not make a socket");
        return -1;
    }
    if (!socket_join(fd, sa, s->addr_len, server)) {
        error_setg_errno(errp, errno, "Failed to %s socket %s",
                         server ? "bind" : "connect", s->f.c.where);
        return -1;
    }
    return fd;
}

static bool socket_options(SocketChar *s, KeyVal *kv, bool *server, bool *wait,
                           GError **errp)
{
    return keyval_bool(kv, "server", false, server, errp) &&
           keyval_bool(kv, "wait", *server, wait, errp) &&
           keyval_bool(kv, "telnet", false, &s->telnet, errp) &&
           keyval_bool(kv, "nodelay", false, &s->nodelay, errp) &&
           keyval_u64(kv, "reconnect", 0, &s->reconnect_s, errp);
}

/* fd=N: a socket that the caller made; listening if server=on. */
static bool socket_inherit(SocketChar *s, KeyVal *kv, int *fd, GError **errp)
{
    uint64_t n;

    *fd = -1;
    if (!keyval_get(kv, "fd")) {
        return true;
    }
    if (!keyval_u64(kv, "fd", 0, &n, errp)) {
        return false;
    }
    if (n > INT_MAX || fcntl((int)n, F_GETFD) < 0) {
        error_setg(errp, "chardev: socket: fd=%" PRIu64 " is not open", n);
        return false;
    }
    *fd = n;
    s->f.c.where = g_strdup_printf("fd:%d", *fd);
    return true;
}

static bool socket_open(Chardev *c, KeyVal *kv, GError **errp)
{
    SocketChar *s = container_of(c, SocketChar, f.c);
    bool server, wait;
    int fd;

    fdchar_init(&s->f, -1, -1);
    s->f.hangup = socket_hangup;
    s->f.deserted = socket_deserted;
    s->listen_fd = -1;
    if (!socket_options(s, kv, &server, &wait, errp) ||
        !socket_inherit(s, kv, &fd, errp)) {
        return false;
    }
    s->f.filter = s->telnet ? telnet_filter : NULL;
    if (fd < 0) {
        if (!socket_resolve(s, kv, server, errp)) {
            return false;
        }
        fd = socket_make(s, server, errp);
        if (fd < 0) {
            return false;
        }
        if (server && s->addr.ss_family == AF_UNIX) {
            s->unix_path = g_strdup(((struct sockaddr_un *)&s->addr)->sun_path);
        }
    }
    if (!server) {
        socket_connected(s, fd);
        return true;
    }
    s->listen_fd = fd;
    if (g_strcmp0(keyval_get(kv, "port"), "0") == 0) {
        socket_note_port(s, keyval_get(kv, "host"));
    }
    if (wait) {
        info_report("QEMU waiting for connection on: disconnected:%s",
                    c->where);
        while (s->f.in_fd < 0) {
            socket_accept(fd, G_IO_IN, s);
        }
        return true;
    }
    socket_listen_on(s);
    return true;
}

static void socket_close(Chardev *c)
{
    SocketChar *s = container_of(c, SocketChar, f.c);

    fdchar_close(&s->f);
    if (s->listen_watch) {
        mainloop_remove(s->listen_watch);
    }
    if (s->reconnect_timer) {
        g_source_remove(s->reconnect_timer);
    }
    if (s->listen_fd >= 0) {
        close(s->listen_fd);
    }
    if (s->unix_path) {
        unlink(s->unix_path);
        g_free(s->unix_path);
    }
}

static int socket_take_fd(Chardev *c)
{
    return fdchar_take_fd(container_of(c, FdChar, c));
}

const CharBackend char_socket = {
    .name = "socket",
    .size = sizeof(SocketChar),
    .open = socket_open,
    .close = socket_close,
    .write = fdchar_write,
    .resume = fdchar_resume,
    .take_fd = socket_take_fd,
};
