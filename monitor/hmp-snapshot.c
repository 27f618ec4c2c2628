/* savevm, loadvm, delvm, info snapshots. */
#include "util/osdep.h"
#include "monitor/hmp.h"
#include "monitor/jobs.h"
#include "system/snapshot.h"

/* Without QMP there are no jobs. */
static bool disks_idle(Machine *m, GError **errp)
{
#if CONFIG_JSON_C
    return jobs_disks_idle(m, errp);
#else
    return true;
#endif
}

void hmp_savevm(Monitor *mon, const Args *args)
{
    g_autoptr(GError) err = NULL;

    if (!disks_idle(mon_machine(mon), &err) ||
        !snapshot_save(mon_machine(mon), args_str(args, "name"), true, NULL,
                       &err)) {
        mon_report(mon, g_steal_pointer(&err));
    }
}

void hmp_loadvm(Monitor *mon, const Args *args)
{
    g_autoptr(GError) err = NULL;

    if (!disks_idle(mon_machine(mon), &err) ||
        !snapshot_load(mon_machine(mon), args_str(args, "name"), NULL, &err)) {
        mon_report(mon, g_steal_pointer(&err));
    }
}

void hmp_delvm(Monitor *mon, const Args *args)
{
    g_autoptr(GError) err = NULL;

    if (!disks_idle(mon_machine(mon), &err) ||
        !snapshot_delete(mon_machine(mon), args_str(args, "name"), NULL,
                         &err)) {
        mon_report(mon, g_steal_pointer(&err));
    }
}

void hmp_info_snapshots(Monitor *mon, const Args *args)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(GString) out = g_string_new(NULL);

    if (snapshot_list(mon_machine(mon), out, &err)) {
        mon_puts(mon, out->str);
    } else {
        mon_report(mon, g_steal_pointer(&err));
    }
}
