/* QMP: sending the machine elsewhere. */
#include "util/osdep.h"
#include "util/error.h"
#include "monitor/fds.h"
#include "monitor/qmp-cmds.h"
#include "system/migrate.h"

#if CONFIG_JSON_C

json_object *qmp_migrate(Machine *m, const Args *args, GError **errp)
{
    static const char *const unknown[] = { "blk", "inc", "resume" };
    g_autofree char *uri = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++) {
        if (args_bool(args, unknown[i], false)) {
            error_setg(errp, "migrate with %s=true is not supported",
                       unknown[i]);
            return NULL;
        }
    }
    uri = fds_uri(m, args_str(args, "uri"), errp);
    if (uri) {
        migrate_start(m, uri, errp);
    }
    return NULL;
}

json_object *qmp_migrate_cancel(Machine *m, const Args *args, GError **errp)
{
    migrate_cancel(m);
    return NULL;
}

json_object *qmp_migrate_incoming(Machine *m, const Args *args, GError **errp)
{
    g_autofree char *uri = fds_uri(m, args_str(args, "uri"), errp);

    if (uri) {
        migrate_incoming(m, uri, errp);
    }
    return NULL;
}

json_object *qmp_query_migrate(Machine *m, const Args *args, GError **errp)
{
    json_object *o = json_object_new_object();
    MigrateInfo info;
    json_object *ram;

    migrate_query(m, &info);
    if (info.status == MIGRATE_NONE) {
        return o;
    }
    js_str(o, "status", migrate_status_name(info.status));
    js_int(o, "total-time", info.total_ms);
    if (info.status == MIGRATE_FAILED) {
        js_str(o, "error-desc", info.error);
    }
    ram = js_put(o, "ram", json_object_new_object());
    js_u64(ram, "transferred", info.bytes);
    js_u64(ram, "total", info.ram_bytes);
    js_u64(ram, "remaining",
           info.status == MIGRATE_ACTIVE ? info.ram_bytes - info.ram_done : 0);
    js_int(ram, "page-size", 4096);
    return o;
}

json_object *qmp_query_migrate_parameters(Machine *m, const Args *args,
                                          GError **errp)
{
    json_object *o = json_object_new_object();
    MigrateInfo info;

    migrate_query(m, &info);
    js_u64(o, "max-bandwidth", info.max_bandwidth);
    return o;
}

json_object *qmp_migrate_set_parameters(Machine *m, const Args *args,
                                        GError **errp)
{
    int64_t max = args_int(args, "max-bandwidth", 0);

    if (max < 0) {
        error_setg(errp, "Parameter 'max_bandwidth' expects a non-negative "
                         "number of bytes per second (0: no limit)");
    } else if (args_has(args, "max-bandwidth")) {
        migrate_set_max_bandwidth(m, (uint64_t)max);
    }
    return NULL;
}

/* The MIGRATION event, which always comes. */
json_object *qmp_query_migrate_capabilities(Machine *m, const Args *args,
                                            GError **errp)
{
    json_object *list = json_object_new_array();
    json_object *o = js_add(list, json_object_new_object());

    js_bool(o, "state", true);
    js_str(o, "capability", "events");
    return list;
}

json_object *qmp_migrate_set_capabilities(Machine *m, const Args *args,
                                          GError **errp)
{
    json_object *list = args_json(args, "capabilities");

    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *o = json_object_array_get_idx(list, i);

        if (!js_get_bool(o, "state")) {
            error_setg(errp, "the capability '%s' cannot be turned off",
                       js_get_str(o, "capability"));
            return NULL;
        }
    }
    return NULL;
}

#endif
