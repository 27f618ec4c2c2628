/*
 * Migration of a stopped machine, see migrate.h.
 *
 * A thread moves the bytes, because a pipe or a socket may make it wait for
 * ever: the main loop goes on, with "info migrate" and "migrate_cancel". The
 * thread that sends only reads RAM, which nobody writes while the machine
 * stands; the one that receives fills an image that the machine takes when it is
 * complete and right.
 */
#include "util/osdep.h"
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "util/error.h"
#include "util/keyval.h"
#include "util/log.h"
#include "util/trace.h"
#include "util/mainloop.h"
#include "util/sockets.h"
#include "util/worker.h"
#include "hw/block/drive.h"
#include "system/migrate.h"
#include "system/snapshot-stream.h"

enum { PACE_US = 10000, POLL_MS = 100 };

typedef struct Migration {
    Machine *m;
    MigrateStatus status;
    bool incoming, deferred, autostart;
    char *uri;
    int fd, listen_fd;
    unsigned listen_id;
    GMutex child_lock;
    GPid child;             /* of exec:; 0 under child_lock once it is reaped */
    int cancelled;          /* atomic */
    uint64_t bytes;         /* atomic */
    uint64_t ram_done;      /* atomic: bytes of RAM, sent or zero */
    uint64_t max_bandwidth; /* atomic; 0: no limit */
    int64_t began_us, ended_us;
    GByteArray *state;
    SnapImage *image;
    GError *err;
} Migration;

const char *migrate_status_name(MigrateStatus s)
{
    static const char *const names[] = {
        [MIGRATE_NONE] = "none",           [MIGRATE_ACTIVE] = "active",
        [MIGRATE_COMPLETED] = "completed", [MIGRATE_FAILED] = "failed",
        [MIGRATE_CANCELLED] = "cancelled",
    };

    return names[s];
}

/* ---- the other end --------------------------------------------------------------- */

static int open_exec(Migration *g, const char *command, GError **errp)
{
    const char *argv[] = { "/bin/sh", "-c", command, NULL };
    int fd = -1;
    bool ok = g_spawn_async_with_pipes(NULL, (char **)argv, NULL,
                                       G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL,
                                       &g->child, g->incoming ? NULL : &fd,
                                       g->incoming ? &fd : NULL, NULL, errp);

    return ok ? fd : -1;
}

static int open_file(Migration *g, const char *path, GError **errp)
{
    int fd =
        g->incoming
            ? open(path, O_RDONLY | O_CLOEXEC)
            : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK,
                   0600);

    if (fd < 0) {
        error_setg_errno(errp, errno, "cannot open '%s'", path);
    }
    return fd;
}

/* Connects, or listens when it comes in. */
static int join(Migration *g, int fd, const struct sockaddr *sa, socklen_t len)
{
    return fd >= 0 && socket_join(fd, sa, len, g->incoming) ? fd : -1;
}

static int open_unix(Migration *g, const char *path, GError **errp)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    int fd;

    if (strlen(path) >= sizeof(sa.sun_path)) {
        error_setg(errp, "the socket's path has at most %zu bytes: '%s'",
                   sizeof(sa.sun_path) - 1, path);
        return -1;
    }
    g_strlcpy(sa.sun_path, path, sizeof(sa.sun_path));
    fd = join(g, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
              (struct sockaddr *)&sa, sizeof(sa));
    if (fd < 0) {
        error_setg_errno(errp, errno, "%s '%s'",
                         g->incoming ? "cannot listen on" : "cannot connect to",
                         path);
    }
    return fd;
}

static int open_tcp(Migration *g, const char *where, GError **errp)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
                              .ai_flags = g->incoming ? AI_PASSIVE : 0 };
    struct addrinfo *list = NULL;
    g_autofree char *host = g_strdup(where);
    char *port = strrchr(host, ':');
    int fd = -1, gai;

    if (!port || !port[1]) {
        error_setg(errp, "'tcp:%s': must be tcp:HOST:PORT", where);
        return -1;
    }
    *port++ = 0;
    gai = getaddrinfo(*host ? host : NULL, port, &hints, &list);
    if (gai) {
        error_setg(errp, "address '%s': %s", where, gai_strerror(gai));
        return -1;
    }
    for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
        fd = join(g, socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, 0),
                  a->ai_addr, a->ai_addrlen);
    }
    if (fd < 0) {
        error_setg_errno(errp, errno, "%s '%s'",
                         g->incoming ? "cannot listen on" : "cannot connect to",
                         where);
    }
    freeaddrinfo(list);
    return fd;
}

static int open_fd(Migration *g, const char *number, GError **errp)
{
    uint64_t n;

    if (!parse_u64(number, &n, NULL) || n > INT_MAX ||
        fcntl((int)n, F_GETFD) < 0) {
        error_setg(errp, "'fd:%s': not an open file descriptor", number);
        return -1;
    }
    return (int)n;
}

typedef struct Scheme {
    const char *prefix;
    int (*open)(Migration *g, const char *rest, GError **errp);
    bool listens;
} Scheme;

static const Scheme schemes[] = {
    { "exec:", open_exec, false }, { "file:", open_file, false },
    { "unix:", open_unix, true },  { "tcp:", open_tcp, true },
    { "fd:", open_fd, false },
};

static const Scheme *scheme_of(const char *uri, GError **errp)
{
    for (size_t i = 0; i < G_N_ELEMENTS(schemes); i++) {
        if (g_str_has_prefix(uri, schemes[i].prefix)) {
            return &schemes[i];
        }
    }
    error_setg(errp,
               "unknown migration protocol: '%s' (there are exec:COMMAND, "
               "file:PATH, unix:PATH, tcp:HOST:PORT, fd:N)",
               uri);
    return NULL;
}

/* ---- common ------------------------------------------------------------------------ */

static Migration *migration_of(Machine *m)
{
    if (!m->migration) {
        Migration *g = g_new0(Migration, 1);

        g->m = m;
        g->fd = g->listen_fd = -1;
        g_mutex_init(&g->child_lock);
        m->migration = g;
    }
    return m->migration;
}

static bool begin(Migration *g, const char *uri, bool incoming, GError **errp)
{
    if (g->status == MIGRATE_ACTIVE) {
        error_setg(errp, "There's a migration process in progress");
        return false;
    }
    g_clear_error(&g->err);
    g_free(g->uri);
    g->uri = g_strdup(uri);
    g->incoming = incoming;
    g->bytes = g->ram_done = 0;
    g->child = 0;
    g->cancelled = 0;
    g->began_us = g_get_monotonic_time();
    return true;
}

static void set_status(Migration *g, MigrateStatus status)
{
    trace(migrate_set_state, migrate_status_name(status));
    g->status = status;
    if (status != MIGRATE_ACTIVE) {
        g->ended_us = g_get_monotonic_time();
    }
    machine_emit(g->m, "MIGRATION",
                 EVENT_STR("status", migrate_status_name(status)));
    if (status == MIGRATE_ACTIVE && !g->incoming) { /* the one there is */
        machine_emit(g->m, "MIGRATION_PASS", EVENT_INT("pass", 1));
    }
}

/* Waits until it has ended. Until it is reaped nobody else has its number, which
 * kill_child() needs. */
static int reap_child(Migration *g)
{
    siginfo_t info;
    int status = 0;

    while (waitid(P_PID, (id_t)g->child, &info, WEXITED | WNOWAIT) < 0 &&
           errno == EINTR) {
    }
    g_mutex_lock(&g->child_lock);
    waitpid(g->child, &status, 0);
    g_spawn_close_pid(g->child);
    g->child = 0;
    g_mutex_unlock(&g->child_lock);
    return status;
}

static void kill_child(Migration *g)
{
    g_mutex_lock(&g->child_lock);
    if (g->child) {
        kill(g->child, SIGTERM);
    }
    g_mutex_unlock(&g->child_lock);
}

/* Closes the pipe; a command that failed makes the migration fail. */
static bool hang_up(Migration *g, GError **errp)
{
    int status;

    if (g->fd >= 0 && close(g->fd) < 0) {
        error_setg_errno(errp, errno, "cannot finish writing");
    }
    g->fd = -1;
    if (!g->child) {
        return !errp || !*errp;
    }
    status = reap_child(g);
    if (status && !*errp) {
        error_setg(errp, "the command '%s' failed (status %d)",
                   g->uri + strlen("exec:"),
                   WIFEXITED(status) ? WEXITSTATUS(status) : status);
    }
    return !*errp;
}

/* Waits until the bytes sent so far are no more than the limit allows. */
static void pace(const Migration *g)
{
    while (!__atomic_load_n(&g->cancelled, __ATOMIC_RELAXED)) {
        uint64_t limit = __atomic_load_n(&g->max_bandwidth, __ATOMIC_RELAXED);
        int64_t us = g_get_monotonic_time() - g->began_us;

        if (!limit || (double)g->bytes <= (double)limit * (double)us / 1e6) {
            return;
        }
        g_usleep(PACE_US);
    }
}

/* The other end may never read or write: nobody waits for it in a system call
 * that only it can end. */
static void set_fd(Migration *g, int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags >= 0) {
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    }
    g->fd = fd;
}

/* A little while, until the other end moves. */
static void wait_for_other_end(const Migration *g)
{
    struct pollfd p = { g->fd, g->incoming ? POLLIN : POLLOUT, 0 };

    poll(&p, 1, POLL_MS);
}

/* All of @len bytes in or out; called on a worker. 0 or -errno. */
static int move_bytes(Migration *g, char *p, size_t len)
{
    while (len > 0) {
        ssize_t n;

        if (__atomic_load_n(&g->cancelled, __ATOMIC_RELAXED)) {
            return -ECANCELED;
        }
        n = g->incoming ? read(g->fd, p, len) : write(g->fd, p, len);
        if (n == 0) {
            return -EIO;
        }
        if (n < 0 && errno == EAGAIN) {
            wait_for_other_end(g);
        } else if (n < 0 && errno != EINTR) {
            return -errno;
        }
        if (n > 0) {
            p += n;
            len -= (size_t)n;
            __atomic_fetch_add(&g->bytes, (uint64_t)n, __ATOMIC_RELAXED);
            if (!g->incoming) {
                pace(g);
            }
        }
    }
    return 0;
}

/* ---- out ---------------------------------------------------------------------------- */

static int send_bytes(void *opaque, const void *buf, size_t len)
{
    return move_bytes(opaque, (char *)buf, len);
}

static int send_work(void *opaque)
{
    Migration *g = opaque;
    SnapSink sink = { send_bytes, g, false, &g->ram_done };
    GError *err = NULL;

    if (!snap_write(g->m, g->state, &sink, &err) || !hang_up(g, &err)) {
        g->err = err;
    }
    return 0;
}

static void send_done(void *opaque, int ret)
{
    Migration *g = opaque;
    Machine *m = g->m;

    if (g->err) {
        g_autoptr(GError) err = NULL;

        hang_up(g, &err);
    }
    g_clear_pointer(&g->state, g_byte_array_unref);
    if (!g->err) {
        m->start_after = false;
        machine_release(m);
        m->state = RUN_POSTMIGRATE;
        set_status(g, MIGRATE_COMPLETED);
        return;
    }
    set_status(g, g->cancelled ? MIGRATE_CANCELLED : MIGRATE_FAILED);
    machine_release(m);
}

bool migrate_start(Machine *m, const char *uri, GError **errp)
{
    Migration *g = migration_of(m);
    const Scheme *s = scheme_of(uri, errp);
    int fd;

    if (s && m->state == RUN_INMIGRATE) {
        error_setg(errp, "Guest is waiting for an incoming migration");
        return false;
    }
    if (!s || !begin(g, uri, false, errp)) {
        return false;
    }
    fd = s->open(g, uri + strlen(s->prefix), errp);
    if (fd < 0) {
        return false;
    }
    set_fd(g, fd);
    if (!machine_hold(m, "the machine is being sent", RUN_FINISH_MIGRATE,
                      errp)) {
        close(g->fd);
        g->fd = -1;
        return false;
    }
    drives_drain(m);
    g->state = snap_take_state(m, errp);
    if (!g->state) {
        close(g->fd);
        g->fd = -1;
        machine_release(m);
        return false;
    }
    set_status(g, MIGRATE_ACTIVE);
    worker_run(send_work, send_done, g);
    return true;
}

void migrate_cancel(Machine *m)
{
    Migration *g = m->migration;

    if (g && g->status == MIGRATE_ACTIVE) {
        __atomic_store_n(&g->cancelled, 1, __ATOMIC_RELAXED);
        kill_child(g); /* the thread looks at `cancelled` by itself */
    }
}

void migrate_wait(Machine *m)
{
    Migration *g = m->migration;

    while (g && g->status == MIGRATE_ACTIVE) {
        mainloop_iterate(true);
    }
}

void migrate_set_max_bandwidth(Machine *m, uint64_t bytes_per_s)
{
    __atomic_store_n(&migration_of(m)->max_bandwidth, bytes_per_s,
                     __ATOMIC_RELAXED);
}

void migrate_query(Machine *m, MigrateInfo *out)
{
    Migration *g = migration_of(m);
    int64_t end =
        g->status == MIGRATE_ACTIVE ? g_get_monotonic_time() : g->ended_us;

    *out = (MigrateInfo) {
        .status = g->status,
        .incoming = g->incoming,
        .bytes = __atomic_load_n(&g->bytes, __ATOMIC_RELAXED),
        .ram_bytes = snap_ram_size(m),
        .ram_done = __atomic_load_n(&g->ram_done, __ATOMIC_RELAXED),
        .total_ms = (end - g->began_us) / 1000,
        .max_bandwidth = g->max_bandwidth,
        .error = g->err ? g->err->message : NULL,
    };
}

/* ---- in ----------------------------------------------------------------------------- */

static int receive_bytes(void *opaque, void *buf, size_t len)
{
    return move_bytes(opaque, buf, len);
}

static int receive_work(void *opaque)
{
    Migration *g = opaque;
    SnapSource src = { receive_bytes, g };

    g->image = snap_read(g->m, &src, g->uri, &g->err);
    return 0;
}

/* What QEMU does, too: a machine that did not arrive is none. */
static void receive_failed(Migration *g)
{
    set_status(g, MIGRATE_FAILED);
    error_report("load of migration failed: %s", g->err->message);
    machine_request_shutdown(g->m, 1);
}

static void receive_done(void *opaque, int ret)
{
    Migration *g = opaque;
    Machine *m = g->m;
    SnapImage *before = NULL;
    g_autoptr(GError) ignored = NULL;

    if (g->image) {
        before = snap_try(m, g->image, &g->err);
    }
    if (before) {
        snap_free(before);
        if (snap_take_ram(m, g->image, &g->err)) {
            g->image = NULL;
        }
    }
    g_clear_pointer(&g->image, snap_free);
    hang_up(g, &ignored);
    if (g->err) {
        receive_failed(g);
        return;
    }
    m->state = RUN_PAUSED;
    set_status(g, MIGRATE_COMPLETED);
    if (g->autostart) {
        machine_start(m, NULL);
    }
}

static void receive(Migration *g)
{
    set_status(g, MIGRATE_ACTIVE);
    worker_run(receive_work, receive_done, g);
}

static bool accept_one(int fd, GIOCondition cond, void *opaque)
{
    Migration *g = opaque;

    int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

    if (peer < 0) {
        return true;
    }
    set_fd(g, peer);
    close(g->listen_fd);
    g->listen_fd = -1;
    g->listen_id = 0;
    receive(g);
    return false;
}

bool migrate_listen(Machine *m, const char *uri, bool autostart, GError **errp)
{
    Migration *g = migration_of(m);

    g->autostart = autostart;
    m->state = RUN_INMIGRATE;
    if (!strcmp(uri, "defer")) {
        g->deferred = true;
        return true;
    }
    g->deferred = true;
    return migrate_incoming(m, uri, errp);
}

bool migrate_incoming(Machine *m, const char *uri, GError **errp)
{
    Migration *g = migration_of(m);
    const Scheme *s;
    int fd;

    if (m->state != RUN_INMIGRATE || !g->deferred) {
        error_setg(errp, "'-incoming' was not specified on the command line");
        return false;
    }
    s = scheme_of(uri, errp);
    if (!s || !begin(g, uri, true, errp)) {
        return false;
    }
    fd = s->open(g, uri + strlen(s->prefix), errp);
    if (fd < 0) {
        return false;
    }
    g->deferred = false;
    if (s->listens) {
        g->listen_fd = fd;
        g->listen_id = mainloop_add_fd(fd, G_IO_IN, accept_one, g);
    } else {
        set_fd(g, fd);
        receive(g);
    }
    return true;
}

void migrate_free(Machine *m)
{
    Migration *g = m->migration;

    if (!g) {
        return;
    }
    migrate_cancel(m);
    migrate_wait(m);
    if (g->listen_id) {
        mainloop_remove(g->listen_id);
        close(g->listen_fd);
    }
    g_clear_error(&g->err);
    g_mutex_clear(&g->child_lock);
    g_free(g->uri);
    g_free(g);
    m->migration = NULL;
}
