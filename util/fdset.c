/* See fdset.h. */
#include "util/osdep.h"
#include "util/fdset.h"

#include <fcntl.h>
#include "util/error.h"

typedef struct SetFd {
    int64_t set;
    int fd;
    char *opaque;
} SetFd;

static GArray *fds; /* of SetFd, by set; see the header */

static int64_t new_set(void)
{
    int64_t n = 0;

    for (guint i = 0; i < fds->len; i++) {
        int64_t set = g_array_index(fds, SetFd, i).set;

        if (set > n) {
            break; /* the first gap */
        }
        n = set + 1;
    }
    return n;
}

int64_t fdset_add(int fd, int64_t set, const char *opaque, GError **errp)
{
    SetFd e = { set, fd, g_strdup(opaque) };
    guint at;

    if (!fds) {
        fds = g_array_new(false, false, sizeof(SetFd));
    }
    if (set < 0) {
        e.set = new_set();
    }
    for (at = 0; at < fds->len; at++) {
        if (g_array_index(fds, SetFd, at).set > e.set) {
            break;
        }
    }
    g_array_insert_val(fds, at, e);
    return e.set;
}

bool fdset_remove(int64_t set, int fd, GError **errp)
{
    bool found = false;

    for (guint i = fds ? fds->len : 0; i-- > 0;) {
        SetFd *e = &g_array_index(fds, SetFd, i);

        if (e->set == set && (fd < 0 || e->fd == fd)) {
            close(e->fd);
            g_free(e->opaque);
            g_array_remove_index(fds, i);
            found = true;
        }
    }
    if (!found && fd >= 0) {
        error_setg(errp,
                   "File descriptor named 'fdset-id:%" PRId64 ", fd:%d' not "
                   "found",
                   set, fd);
    } else if (!found) {
        error_setg(errp,
                   "File descriptor named 'fdset-id:%" PRId64 "' not found",
                   set);
    }
    return found;
}

void fdset_foreach(void (*fn)(int64_t set, int fd, const char *text,
                              void *opaque),
                   void *opaque)
{
    for (guint i = 0; fds && i < fds->len; i++) {
        const SetFd *e = &g_array_index(fds, SetFd, i);

        fn(e->set, e->fd, e->opaque, opaque);
    }
}

/* ---- opening -------------------------------------------------------------------- */

/* The flags of a descriptor that can still be changed. */
#define SETTABLE (O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME)

static int dup_with_flags(int fd, int flags)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0), now;

    if (copy < 0) {
        return -1;
    }
    now = fcntl(copy, F_GETFL);
    if (now < 0 ||
        ((now ^ flags) & SETTABLE &&
         fcntl(copy, F_SETFL, (now & ~SETTABLE) | (flags & SETTABLE)) < 0) ||
        (flags & O_TRUNC && ftruncate(copy, 0) < 0)) {
        int e = errno;

        close(copy);
        errno = e;
        return -1;
    }
    return copy;
}

static int open_from_set(int64_t set, int flags)
{
    bool any = false;

    for (guint i = 0; fds && i < fds->len; i++) {
        const SetFd *e = &g_array_index(fds, SetFd, i);
        int have = e->set == set ? fcntl(e->fd, F_GETFL) : -1;

        any |= e->set == set;
        if (have >= 0 && (have & O_ACCMODE) == (flags & O_ACCMODE)) {
            return dup_with_flags(e->fd, flags);
        }
    }
    errno = any ? EACCES : ENOENT;
    return -1;
}

int fdset_open(const char *path, int flags, mode_t mode)
{
    static const char prefix[] = "/dev/fdset/";
    char *end;
    int64_t set;

    if (!g_str_has_prefix(path, prefix)) {
        return open(path, flags | O_CLOEXEC, mode);
    }
    path += strlen(prefix);
    errno = 0;
    set = g_ascii_strtoll(path, &end, 10);
    if (!g_ascii_isdigit(*path) || *end || errno) {
        errno = EINVAL;
        return -1;
    }
    return open_from_set(set, flags);
}

bool file_get_contents(const char *path, char **contents, gsize *len,
                       GError **errp)
{
    int fd = fdset_open(path, O_RDONLY, 0);
    GString *s = g_string_new(NULL);
    char buf[4096];
    ssize_t n = 0;

    if (fd >= 0) {
        lseek(fd, 0, SEEK_SET); /* duplicates share their place */
    }
    while (fd >= 0 && (n = read(fd, buf, sizeof(buf))) != 0) {
        if (n > 0) {
            g_string_append_len(s, buf, n);
        } else if (errno != EINTR) {
            break;
        }
    }
    if (fd < 0 || n < 0) {
        error_setg_errno(errp, errno, "Could not %s '%s'",
                         fd < 0 ? "open" : "read", path);
        g_string_free(s, true);
    } else {
        if (len) {
            *len = s->len;
        }
        *contents = g_string_free(s, false);
    }
    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0 && n >= 0;
}
