/* Descriptors by name. */
#include "util/osdep.h"
#include "util/error.h"
#include "monitor/fds.h"
#include "monitor/qmp.h"

#if CONFIG_JSON_C

/* Takes @fd; one of the same name is closed. */
static void fds_put(Machine *m, const char *name, int fd)
{
    GHashTable *fds = monitors_fds(m);
    int *slot = g_hash_table_lookup(fds, name);

    if (slot) {
        close(*slot);
    } else {
        slot = g_new(int, 1);
        g_hash_table_insert(fds, g_strdup(name), slot);
    }
    *slot = fd;
}

bool fds_take_passed(Monitor *mon, const char *name, GError **errp)
{
    int fd = mon_take_fd(mon);

    if (fd < 0) {
        error_setg(errp, "No file descriptor supplied via SCM_RIGHTS");
        return false;
    }
    if (g_ascii_isdigit(name[0])) {
        error_setg(errp, "Parameter 'fdname' expects a name not starting with "
                         "a digit");
        close(fd);
        return false;
    }
    fds_put(mon_machine(mon), name, fd);
    return true;
}

#endif

int fds_take(Machine *m, const char *name, GError **errp)
{
    GHashTable *fds = monitors_fds(m);
    const int *slot = g_hash_table_lookup(fds, name);
    int fd;

    if (!slot) {
        error_setg(errp, "File descriptor named '%s' not found", name);
        return -1;
    }
    fd = *slot;
    g_hash_table_remove(fds, name);
    return fd;
}

char *fds_uri(Machine *m, const char *uri, GError **errp)
{
    const char *name = uri + strlen("fd:");
    int fd;

    if (!g_str_has_prefix(uri, "fd:") || g_ascii_isdigit(*name)) {
        return g_strdup(uri);
    }
    fd = fds_take(m, name, errp);
    return fd < 0 ? NULL : g_strdup_printf("fd:%d", fd);
}

void fds_close_all(GHashTable *fds)
{
    GHashTableIter it;
    void *slot;

    g_hash_table_iter_init(&it, fds);
    while (g_hash_table_iter_next(&it, NULL, &slot)) {
        close(*(int *)slot);
    }
    g_hash_table_unref(fds);
}
