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

json_object *qom_balloon_stats(Machine *m, GError **errp)
{
    static const char *const names[BALLOON_STATS] = {
        [BALLOON_SWAP_IN] = "stat-swap-in",
        [BALLOON_SWAP_OUT] = "stat-swap-out",
        [BALLOON_MAJOR_FAULTS] = "stat-major-faults",
        [BALLOON_MINOR_FAULTS] = "stat-minor-faults",
        [BALLOON_FREE_MEMORY] = "stat-free-memory",
        [BALLOON_TOTAL_MEMORY] = "stat-total-memory",
        [BALLOON_AVAILABLE_MEMORY] = "stat-available-memory",
        [BALLOON_DISK_CACHES] = "stat-disk-caches",
        [BALLOON_HTLB_ALLOCATIONS] = "stat-htlb-pgalloc",
        [BALLOON_HTLB_FAILURES] = "stat-htlb-pgfail",
    };
    uint64_t stats[BALLOON_STATS];
    json_object *o, *list;
    int64_t when;

    if (!balloon_stats(m, stats, &when, errp)) {
        return NULL;
    }
    o = json_object_new_object();
    list = js_put(o, "stats", json_object_new_object());
    for (unsigned i = 0; i < BALLOON_STATS; i++) {
        js_u64(list, names[i], stats[i]);
    }
    js_int(o, "last-update", when);
    return o;
}

void qom_balloon_poll(Machine *m, int64_t seconds, GError **errp)
{
    if (seconds < 0) {
        error_setg(errp, "timer value must be greater than zero");
    } else if (seconds > UINT32_MAX) {
        error_setg(errp, "timer value is too big");
    } else {
        balloon_poll_stats(m, (uint32_t)seconds, errp);
    }
}

#endif
