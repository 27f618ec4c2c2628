/* QMP: memory into files. */
#include "util/osdep.h"
#include <fcntl.h>
#include "util/error.h"
#include "monitor/fds.h"
#include "monitor/guest-memory.h"
#include "monitor/qmp-cmds.h"

#if CONFIG_JSON_C

json_object *qmp_memsave(Machine *m, const Args *args, GError **errp)
{
    int64_t index = args_int(args, "cpu-index", 0);

    if (index < 0 || !m->cpu || index >= (int64_t)m->ncpus) {
        error_setg(errp, "Parameter 'cpu-index' expects a CPU number");
        return NULL;
    }
    guest_save(m, m->cpu[index], (uint64_t)args_int(args, "val", 0),
               (uint64_t)args_int(args, "size", 0), args_str(args, "filename"),
               errp);
    return NULL;
}

json_object *qmp_pmemsave(Machine *m, const Args *args, GError **errp)
{
    guest_save(m, NULL, (uint64_t)args_int(args, "val", 0),
               (uint64_t)args_int(args, "size", 0), args_str(args, "filename"),
               errp);
    return NULL;
}

/* ---- dump-guest-memory -------------------------------------------------------- */

static int open_target(Machine *m, const char *protocol, GError **errp)
{
    int fd;

    if (g_str_has_prefix(protocol, "fd:")) {
        return fds_take(m, protocol + strlen("fd:"), errp);
    }
    if (!g_str_has_prefix(protocol, "file:")) {
        error_setg(errp, "parameter 'protocol' must start with 'file:' or "
                         "'fd:'");
        return -1;
    }
    protocol += strlen("file:");
    fd = open(protocol, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        error_setg_errno(errp, errno, "Could not open '%s'", protocol);
    }
    return fd;
}

static void emit_completed(Machine *m, uint64_t total, const GError *err)
{
    machine_emit(m, "DUMP_COMPLETED", EVENT_INT("result.total", (int64_t)total),
                 EVENT_STR("result.status", err ? "failed" : "completed"),
                 EVENT_INT("result.completed", err ? 0 : (int64_t)total),
                 EVENT_STR("error", err ? err->message : NULL));
}

json_object *qmp_dump_guest_memory(Machine *m, const Args *args, GError **errp)
{
    bool has_begin = args_has(args, "begin");
    uint64_t total = 0;
    GError *err = NULL;
    int fd;

    if (args_bool(args, "paging", false)) {
        error_setg(errp, "paging=true is not supported: the dump has physical "
                         "addresses, which crash and gdb translate");
        return NULL;
    }
    if (has_begin != args_has(args, "length")) {
        error_setg(errp, "Parameter '%s' is missing",
                   has_begin ? "length" : "begin");
        return NULL;
    }
    if (args_int(args, "begin", 0) < 0 || args_int(args, "length", 1) <= 0) {
        error_setg(errp, "begin and length must not be negative");
        return NULL;
    }
    fd = open_target(m, args_str(args, "protocol"), errp);
    if (fd < 0) {
        return NULL;
    }
    guest_dump_elf(m, fd, (hwaddr)args_int(args, "begin", 0),
                   (uint64_t)args_int(args, "length", 0), &total, &err);
    emit_completed(m, total, err);
    if (err) {
        g_propagate_error(errp, err);
    }
    return NULL;
}

/* A dump is over when its command is: there is never one under way. */
json_object *qmp_query_dump(Machine *m, const Args *args, GError **errp)
{
    json_object *o = json_object_new_object();

    js_int(o, "total", 0);
    js_str(o, "status", "none");
    js_int(o, "completed", 0);
    return o;
}

json_object *qmp_query_dump_capability(Machine *m, const Args *args,
                                       GError **errp)
{
    json_object *o = json_object_new_object();
    json_object *list = js_put(o, "formats", json_object_new_array());

    js_add(list, json_object_new_string("elf"));
    return o;
}

#endif
