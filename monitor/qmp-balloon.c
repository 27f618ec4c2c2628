/* balloon, query-balloon and what a person types for them. */
#include "util/osdep.h"
#include "hw/virtio/balloon.h"
#include "monitor/hmp.h"
#include "monitor/qmp-cmds.h"
#include "util/error.h"

void hmp_balloon(Monitor *mon, const Args *args)
{
    g_autoptr(GError) err = NULL;

    if (!balloon_set(mon_machine(mon),
                     (uint64_t)args_int(args, "value", 0) << 20, &err)) {
        mon_report(mon, g_steal_pointer(&err));
    }
}

void hmp_info_balloon(Monitor *mon, const Args *args)
{
    g_autoptr(GError) err = NULL;
    uint64_t bytes;

    if (balloon_actual(mon_machine(mon), &bytes, &err)) {
        mon_printf(mon, "balloon: actual=%" PRIu64 "\n", bytes >> 20);
    } else {
        mon_report(mon, g_steal_pointer(&err));
    }
}

#if CONFIG_JSON_C

json_object *qmp_balloon(Machine *m, const Args *args, GError **errp)
{
    int64_t bytes = args_int(args, "value", 0);

    balloon_set(m, bytes > 0 ? (uint64_t)bytes : 0, errp);
    return NULL;
}

json_object *qmp_query_balloon(Machine *m, const Args *args, GError **errp)
{
    json_object *o;
    uint64_t bytes;

    if (!balloon_actual(m, &bytes, errp)) {
        return NULL;
    }
    o = json_object_new_object();
    js_int(o, "actual", (int64_t)bytes);
    return o;
}

#endif
