/* Commands that make the machine do something. */
#include "util/osdep.h"
#include "util/log.h"
#include "accel/cpus.h"
#include "monitor/guest-memory.h"
#include "monitor/hmp.h"

bool mon_cpus_hold(Monitor *mon)
{
    return guest_hold(mon_machine(mon));
}

void mon_cpus_release(Monitor *mon, bool held)
{
    guest_release(mon_machine(mon), held);
}

void hmp_help(Monitor *mon, const Args *args)
{
    hmp_print_help(mon, args_str(args, "name"));
}

void hmp_quit(Monitor *mon, const Args *args)
{
    machine_request_quit(mon_machine(mon), "host-qmp-quit");
}

void hmp_stop(Monitor *mon, const Args *args)
{
    machine_stop(mon_machine(mon), RUN_PAUSED);
}

void hmp_cont(Monitor *mon, const Args *args)
{
    g_autoptr(GError) err = NULL;

    if (!machine_start(mon_machine(mon), &err)) {
        mon_report(mon, g_steal_pointer(&err));
    }
}

void hmp_system_reset(Monitor *mon, const Args *args)
{
    machine_request_reset(mon_machine(mon), RESET_HOST);
}

void hmp_system_powerdown(Monitor *mon, const Args *args)
{
    machine_request_powerdown(mon_machine(mon));
}

void hmp_nmi(Monitor *mon, const Args *args)
{
    Machine *m = mon_machine(mon);

    if (m->cpus_nmi) {
        m->cpus_nmi(m);
    }
}

void hmp_system_wakeup(Monitor *mon, const Args *args)
{
    mon_puts(mon, "Error: wake-up from suspend is not supported by this "
                  "guest\n");
}

void hmp_watchdog_action(Monitor *mon, const Args *args)
{
    g_autoptr(GError) err = NULL;

    if (!watchdog_action_parse(args_str(args, "action"),
                               &mon_machine(mon)->cfg.watchdog_action, &err)) {
        mon_report(mon, g_steal_pointer(&err));
    }
}

void hmp_cpu(Monitor *mon, const Args *args)
{
    if (!mon_set_cpu(mon, args_int(args, "index", 0))) {
        mon_printf(mon, "Error: invalid CPU index; there are %u\n",
                   mon_machine(mon)->ncpus);
    }
}

void hmp_log(Monitor *mon, const Args *args)
{
    const char *items = args_str(args, "items");
    g_autoptr(GError) err = NULL;
    int mask = 0;

    if (!strcmp(items, "none")) {
        log_flags = 0;
    } else if (!strcmp(items, "help")) {
        g_autofree char *text = NULL;
        size_t len;
        FILE *f = open_memstream(&text, &len);

        if (f) {
            log_print_help(f);
            fclose(f);
            mon_puts(mon, text);
        }
    } else if (log_parse(items, &mask, &err)) {
        log_flags = mask;
    } else {
        mon_report(mon, g_steal_pointer(&err));
    }
}

void hmp_logfile(Monitor *mon, const Args *args)
{
    g_autoptr(GError) err = NULL;

    if (!log_set_file(args_str(args, "filename"), &err)) {
        mon_report(mon, g_steal_pointer(&err));
    }
}
