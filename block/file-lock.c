/* See file-lock.h. */
#include "util/osdep.h"
#include "block/file-lock.h"

#include "util/error.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { PERM_BASE = 100, UNSHARED_BASE = 200, PERMS = 4 };

static const char *const perm_names[PERMS] = {
    "consistent read",
    "write",
    "write unchanged",
    "resize",
};

static int byte_lock(int fd, int cmd, short type, off_t at)
{
    struct flock fl = {
        .l_type = type,
        .l_whence = SEEK_SET,
        .l_start = at,
        .l_len = 1,
    };

    if (fcntl(fd, cmd, &fl) < 0) {
        return -errno;
    }
    return cmd == F_OFD_GETLK && fl.l_type != F_UNLCK ? -EAGAIN : 0;
}

/* Does the process @pid hold a lock on @st, by what /proc tells? */
static bool holds_lock(const char *pid, const struct stat *st)
{
    g_autofree char *dir = g_strdup_printf("/proc/%s/fdinfo", pid);
    g_autofree char *want =
        g_strdup_printf("%02x:%02x:%" PRIu64 " ", major(st->st_dev),
                        minor(st->st_dev), (uint64_t)st->st_ino);
    DIR *d = opendir(dir);
    struct dirent *e;
    bool found = false;

    while (d && !found && (e = readdir(d))) {
        g_autofree char *path = g_build_filename(dir, e->d_name, NULL);
        g_autofree char *text = NULL;

        if (e->d_name[0] != '.' &&
            g_file_get_contents(path, &text, NULL, NULL)) {
            found = strstr(text, "lock:") && strstr(text, want);
        }
    }
    if (d) {
        closedir(d);
    }
    return found;
}

/* " (qemu-system-x86, process 12)", or "" if it cannot be known. */
static char *lock_holder(int fd)
{
    g_autofree char *self = g_strdup_printf("%d", (int)getpid());
    struct stat st;
    struct dirent *e;
    char *text = NULL;
    DIR *d;

    if (fstat(fd, &st) < 0 || !(d = opendir("/proc"))) {
        return g_strdup("");
    }
    while (!text && (e = readdir(d))) {
        g_autofree char *path = NULL, *comm = NULL;

        if (!g_ascii_isdigit(e->d_name[0]) || strcmp(e->d_name, self) == 0 ||
            !holds_lock(e->d_name, &st)) {
            continue;
        }
        path = g_strdup_printf("/proc/%s/comm", e->d_name);
        if (g_file_get_contents(path, &comm, NULL, NULL)) {
            text = g_strdup_printf(" (%s, process %s)", g_strstrip(comm),
                                   e->d_name);
        }
    }
    closedir(d);
    return text ? text : g_strdup("");
}

static bool lock_conflict(int fd, const char *filename, const char *how,
                          int perm, GError **errp)
{
    g_autofree char *holder = lock_holder(fd);

    error_setg(errp,
               "Failed to get %s\"%s\" lock\n"
               "Is another process using the image [%s]?%s",
               how, perm_names[perm], filename, holder);
    return false;
}

bool file_lock(int fd, const char *filename, unsigned perm, unsigned shared,
               GError **errp)
{
    for (int i = 0; i < PERMS; i++) {
        bool need = perm & (1u << i), deny = !(shared & (1u << i));

        if ((need && byte_lock(fd, F_OFD_SETLK, F_RDLCK, PERM_BASE + i) < 0) ||
            (deny &&
             byte_lock(fd, F_OFD_SETLK, F_RDLCK, UNSHARED_BASE + i) < 0)) {
            return true; /* no locks here, as on some network file systems */
        }
    }
    for (int i = 0; i < PERMS; i++) {
        if ((perm & (1u << i)) &&
            byte_lock(fd, F_OFD_GETLK, F_WRLCK, UNSHARED_BASE + i) == -EAGAIN) {
            return lock_conflict(fd, filename, "", i, errp);
        }
        if (!(shared & (1u << i)) &&
            byte_lock(fd, F_OFD_GETLK, F_WRLCK, PERM_BASE + i) == -EAGAIN) {
            return lock_conflict(fd, filename, "shared ", i, errp);
        }
    }
    return true;
}
