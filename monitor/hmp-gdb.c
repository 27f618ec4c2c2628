/* gdbserver. */
#include "util/osdep.h"
#include "monitor/gdbstub.h"
#include "monitor/hmp.h"

void hmp_gdbserver(Monitor *mon, const Args *args)
{
    const char *where = args_str(args, "device");
    g_autoptr(GError) err = NULL;

    where = where ? where : "tcp::1234";
    if (!gdbstub_open(mon_machine(mon), where, &err)) {
        mon_report(mon, g_steal_pointer(&err));
    } else if (strcmp(where, "none") == 0) {
        mon_printf(mon, "Disabled gdbserver\n");
    } else {
        mon_printf(mon, "Waiting for gdb connection on device '%s'\n", where);
    }
}
