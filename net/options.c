/* Options and addresses that several back ends read. */
#include "util/osdep.h"
#include "net/internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <sys/un.h>
#include "util/error.h"

GPtrArray *net_option_list(KeyVal *kv, const char *key)
{
    GPtrArray *list = keyval_all(kv, key);

    for (unsigned i = 0;; i++) {
        g_autofree char *plain = g_strdup_printf("%s.%u", key, i);
        g_autofree char *member = g_strdup_printf("%s.str", plain);
        const char *v = keyval_get(kv, plain);

        v = v ? v : keyval_get(kv, member);
        if (!v) {
            return list;
        }
        g_ptr_array_add(list, (char *)v);
    }
}

bool net_option_fd(KeyVal *kv, const char *key, int *fd, GError **errp)
{
    uint64_t n;

    *fd = -1;
    if (!keyval_get(kv, key)) {
        return true;
    }
    if (!keyval_u64(kv, key, 0, &n, errp)) {
        return false;
    }
    if (n > INT_MAX || fcntl((int)n, F_GETFD) < 0) {
        error_setg(errp, "%s=%" PRIu64 " is not an open file descriptor", key,
                   n);
        return false;
    }
    *fd = (int)n;
    fcntl(*fd, F_SETFD, FD_CLOEXEC);
    return true;
}

/* ---- addresses ----------------------------------------------------------------- */

static bool net_resolve(const char *host, const char *port, int type,
                        bool passive, NetAddr *out, GError **errp)
{
    struct addrinfo hints = { .ai_socktype = type,
                              .ai_flags = passive ? AI_PASSIVE : 0 };
    struct addrinfo *ai;
    int rc;

    if (!port || !*port) {
        error_setg(errp, "address '%s:' has no port", host ? host : "");
        return false;
    }
    if (!host || !*host) {
        host = passive ? NULL : "127.0.0.1";
        hints.ai_family = AF_INET;
    }
    rc = getaddrinfo(host, port, &hints, &ai);
    if (rc) {
        error_setg(errp, "address resolution failed for %s:%s: %s",
                   host ? host : "", port, gai_strerror(rc));
        return false;
    }
    memset(out, 0, sizeof(*out));
    memcpy(&out->ss, ai->ai_addr, ai->ai_addrlen);
    out->len = ai->ai_addrlen;
    freeaddrinfo(ai);
    return true;
}

bool net_resolve_pair(const char *text, int type, bool passive, NetAddr *out,
                      GError **errp)
{
    g_autofree char *host = g_strdup(text);
    char *colon = strrchr(host, ':'), *start = host;
    size_t len;

    if (!colon) {
        error_setg(errp, "'%s' must be host:port", text);
        return false;
    }
    *colon = '\0';
    len = strlen(host);
    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = '\0';
        start++;
    }
    return net_resolve(start, colon + 1, type, passive, out, errp);
}

static bool net_addr_unix(const char *path, NetAddr *out, GError **errp)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&out->ss;

    if (!path || !*path) {
        error_setg(errp, "a unix address needs its path");
        return false;
    }
    if (strlen(path) >= sizeof(un->sun_path)) {
        error_setg(errp, "socket path '%s' is too long (at most %zu bytes)",
                   path, sizeof(un->sun_path) - 1);
        return false;
    }
    memset(out, 0, sizeof(*out));
    un->sun_family = AF_UNIX;
    g_strlcpy(un->sun_path, path, sizeof(un->sun_path));
    out->len = sizeof(*un);
    return true;
}

char *net_addr_text(const NetAddr *addr)
{
    char host[NI_MAXHOST], port[NI_MAXSERV];
    bool v6 = addr->ss.ss_family == AF_INET6;

    if (addr->ss.ss_family == AF_UNIX) {
        return g_strdup(((const struct sockaddr_un *)&addr->ss)->sun_path);
    }
    if (getnameinfo((const struct sockaddr *)&addr->ss, addr->len, host,
                    sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV)) {
        return g_strdup("?");
    }
    return g_strdup_printf(v6 ? "[%s]:%s" : "%s:%s", host, port);
}

static const char *addr_member(KeyVal *kv, const char *prefix, const char *name)
{
    g_autofree char *key = g_strdup_printf("%s.%s", prefix, name);

    return keyval_get(kv, key);
}

bool net_option_addr(KeyVal *kv, const char *prefix, int type, bool passive,
                     NetAddr *out, int *fd, GError **errp)
{
    const char *kind = addr_member(kv, prefix, "type");
    g_autofree char *fd_key = g_strdup_printf("%s.str", prefix);

    *fd = -1;
    memset(out, 0, sizeof(*out));
    if (!g_strcmp0(kind, "inet")) {
        /* Ours resolves both families; these only narrow it. */
        addr_member(kv, prefix, "ipv4");
        addr_member(kv, prefix, "ipv6");
        return net_resolve(addr_member(kv, prefix, "host"),
                           addr_member(kv, prefix, "port"), type, passive, out,
                           errp);
    }
    if (!g_strcmp0(kind, "unix")) {
        return net_addr_unix(addr_member(kv, prefix, "path"), out, errp);
    }
    if (!g_strcmp0(kind, "fd")) {
        if (!net_option_fd(kv, fd_key, fd, errp)) {
            return false;
        }
        if (*fd < 0) {
            error_setg(errp, "Parameter '%s' is missing", fd_key);
        }
        return *fd >= 0;
    }
    error_setg(errp, "%s.type must be inet, unix or fd%s%s%s", prefix,
               kind ? ", not '" : "", kind ? kind : "", kind ? "'" : "");
    return false;
}

/* ---- who has a port --------------------------------------------------------------- */

/* The inode of the socket that listens on @port, from one of /proc/net's
 * tables; 0: none. */
static unsigned long find_inode(const char *table, unsigned port, bool is_tcp)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    if (!g_file_get_contents(table, &text, NULL, NULL)) {
        return 0;
    }
    lines = g_strsplit(text, "\n", -1);
    for (int i = 1; lines[0] && lines[i]; i++) {
        unsigned local, state;
        unsigned long inode;

        if (sscanf(lines[i],
                   " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s "
                   "%*u %*d %lu",
                   &local, &state, &inode) == 3 &&
            local == port && (!is_tcp || state == 10)) {
            return inode;
        }
    }
    return 0;
}

static bool process_has(const char *pid, const char *link)
{
    g_autofree char *dir = g_strdup_printf("/proc/%s/fd", pid);
    DIR *d = opendir(dir);
    bool found = false;
    struct dirent *e;

    while (d && !found && (e = readdir(d))) {
        g_autofree char *path = g_build_filename(dir, e->d_name, NULL);
        char target[64];
        ssize_t n = readlink(path, target, sizeof(target) - 1);

        if (n > 0) {
            target[n] = '\0';
            found = !strcmp(target, link);
        }
    }
    if (d) {
        closedir(d);
    }
    return found;
}

static char *find_process(unsigned long inode)
{
    g_autofree char *link = g_strdup_printf("socket:[%lu]", inode);
    DIR *proc = opendir("/proc");
    char *found = NULL;
    struct dirent *e;

    while (proc && !found && (e = readdir(proc))) {
        if (g_ascii_isdigit(e->d_name[0]) && process_has(e->d_name, link)) {
            g_autofree char *path = g_strdup_printf("/proc/%s/comm", e->d_name);
            g_autofree char *name = NULL;

            g_file_get_contents(path, &name, NULL, NULL);
            found = atoi(e->d_name) == getpid()
                        ? g_strdup(" by this rhea")
                        : g_strdup_printf(" by pid %s (%s)", e->d_name,
                                          name ? g_strchomp(name) : "?");
        }
    }
    if (proc) {
        closedir(proc);
    }
    return found;
}

char *net_port_owner(const NetAddr *addr, int type)
{
    static const char *const tables[2][2] = {
        { "/proc/net/udp", "/proc/net/udp6" },
        { "/proc/net/tcp", "/proc/net/tcp6" },
    };
    bool is_tcp = type == SOCK_STREAM;
    /* Both families keep it in the same place. */
    unsigned port = ntohs(((const struct sockaddr_in *)&addr->ss)->sin_port);
    unsigned long inode = 0;
    char *who;

    for (int i = 0; i < 2 && !inode; i++) {
        inode = find_inode(tables[is_tcp][i], port, is_tcp);
    }
    who = inode ? find_process(inode) : NULL;
    return who ? who : g_strdup("");
}
