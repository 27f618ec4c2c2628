/* migrate, migrate_cancel, migrate_incoming, info migrate. */
#include "util/osdep.h"
#include "monitor/fds.h"
#include "monitor/hmp.h"
#include "system/migrate.h"
#include "util/error.h"
#include "util/keyval.h"

void hmp_migrate(Monitor *mon, const Args *args)
{
    Machine *m = mon_machine(mon);
    g_autoptr(GError) err = NULL;
    g_autofree char *uri = fds_uri(m, args_str(args, "uri"), &err);
    MigrateInfo info;
    unsigned others;

    if (!uri || !migrate_start(m, uri, &err)) {
        mon_report(mon, g_steal_pointer(&err));
        return;
    }
    if (args_bool(args, "detach", false)) {
        return;
    }
    others = mon_let_others(mon); /* to ask how far it is, or cancel it */
    migrate_wait(m);
    mon_go_on(mon, others);
    migrate_query(m, &info);
    if (info.error) {
        error_setg(&err, "%s", info.error);
        mon_report(mon, g_steal_pointer(&err));
    }
}

void hmp_migrate_cancel(Monitor *mon, const Args *args)
{
    migrate_cancel(mon_machine(mon));
}

void hmp_migrate_incoming(Monitor *mon, const Args *args)
{
    g_autoptr(GError) err = NULL;

    if (!migrate_incoming(mon_machine(mon), args_str(args, "uri"), &err)) {
        mon_report(mon, g_steal_pointer(&err));
    }
}

void hmp_info_migrate(Monitor *mon, const Args *args)
{
    MigrateInfo info;

    migrate_query(mon_machine(mon), &info);
    if (info.status == MIGRATE_NONE) {
        return;
    }
    mon_printf(mon, "Migration status: %s%s%s%s\n",
               migrate_status_name(info.status), info.error ? " (" : "",
               info.error ? info.error : "", info.error ? ")" : "");
    mon_printf(mon, "total time: %" PRId64 " ms\n", info.total_ms);
    mon_printf(mon, "transferred ram: %" PRIu64 " kbytes\n", info.bytes >> 10);
    mon_printf(mon, "remaining ram: %" PRIu64 " kbytes\n",
               info.status == MIGRATE_ACTIVE
                   ? (info.ram_bytes - info.ram_done) >> 10
                   : 0);
    mon_printf(mon, "total ram: %" PRIu64 " kbytes\n", info.ram_bytes >> 10);
}

#if CONFIG_JSON_C

void hmp_migrate_set_capability(Monitor *mon, const Args *args)
{
    json_object *o = json_object_new_object();
    json_object *list = js_put(o, "capabilities", json_object_new_array());
    json_object *c = js_add(list, json_object_new_object());

    js_str(c, "capability", args_str(args, "capability"));
    js_bool(c, "state", args_bool(args, "state", false));
    hmp_do(mon, "migrate-set-capabilities", o);
}

void hmp_info_migrate_capabilities(Monitor *mon, const Args *args)
{
    g_autoptr(json_object) list =
        hmp_call(mon, "query-migrate-capabilities", NULL);

    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        json_object *o = json_object_array_get_idx(list, i);

        mon_printf(mon, "%s: %s\n", js_get_str(o, "capability"),
                   js_get_bool(o, "state") ? "on" : "off");
    }
}

/* A size: bytes per second, or with k, M, G; QEMU counts MiB without one. */
void hmp_migrate_set_parameter(Monitor *mon, const Args *args)
{
    const char *name = args_str(args, "parameter");
    g_autoptr(GError) err = NULL;
    json_object *o;
    uint64_t size;

    if (strcmp(name, "max-bandwidth")) {
        mon_printf(mon,
                   "Error: invalid parameter '%s': there is "
                   "max-bandwidth\n",
                   name);
        return;
    }
    if (!parse_size(args_str(args, "value"), MIB, &size, &err)) {
        mon_report(mon, g_steal_pointer(&err));
        return;
    }
    o = json_object_new_object();
    js_u64(o, name, size);
    hmp_do(mon, "migrate-set-parameters", o);
}

void hmp_info_migrate_parameters(Monitor *mon, const Args *args)
{
    g_autoptr(json_object) o = hmp_call(mon, "query-migrate-parameters", NULL);

    if (o) {
        mon_printf(mon, "max-bandwidth: %" PRId64 " bytes/second\n",
                   js_get_int(o, "max-bandwidth"));
    }
}

#endif
