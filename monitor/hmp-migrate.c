/* migrate, migrate_cancel, migrate_incoming, info migrate. */
#include "util/osdep.h"
#include "monitor/hmp.h"
#include "system/migrate.h"
#include "util/error.h"

void hmp_migrate(Monitor *mon, const Args *args)
{
    Machine *m = mon_machine(mon);
    g_autoptr(GError) err = NULL;
    MigrateInfo info;

    if (!migrate_start(m, args_str(args, "uri"), &err)) {
        mon_report(mon, g_steal_pointer(&err));
        return;
    }
    if (args_bool(args, "detach", false)) {
        return;
    }
    migrate_wait(m);
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
    mon_printf(mon, "total ram: %" PRIu64 " kbytes\n", info.ram_bytes >> 10);
}
