/* What a watchdog leads to, see watchdog.h. */
#include "util/osdep.h"
#include "util/error.h"
#include "util/log.h"
#include "system/machine.h"
#include "system/watchdog.h"

static const char *const watchdog_action_names[] = {
    [WATCHDOG_RESET] = "reset",       [WATCHDOG_SHUTDOWN] = "shutdown",
    [WATCHDOG_POWEROFF] = "poweroff", [WATCHDOG_INJECT_NMI] = "inject-nmi",
    [WATCHDOG_PAUSE] = "pause",       [WATCHDOG_DEBUG] = "debug",
    [WATCHDOG_NONE] = "none",         NULL,
};

bool watchdog_action_parse(const char *text, WatchdogAction *out, GError **errp)
{
    g_autofree char *list = NULL;

    for (int i = 0; i < WATCHDOG_ACTIONS; i++) {
        if (!strcmp(text, watchdog_action_names[i])) {
            *out = (WatchdogAction)i;
            return true;
        }
    }
    list = g_strjoinv(", ", (char **)watchdog_action_names);
    error_setg(errp, "Parameter 'watchdog' does not accept value '%s' (%s)",
               text, list);
    return false;
}

void watchdog_expired(Machine *m)
{
    WatchdogAction action = m->cfg.watchdog_action;

    machine_emit(m, "WATCHDOG",
                 EVENT_STR("action", watchdog_action_names[action]));
    switch (action) {
    case WATCHDOG_RESET:
        machine_request_reset(m, RESET_GUEST);
        break;
    case WATCHDOG_SHUTDOWN:
        machine_request_powerdown(m);
        break;
    case WATCHDOG_POWEROFF:
        machine_request_shutdown(m, 0);
        break;
    case WATCHDOG_INJECT_NMI:
        if (m->cpus_nmi) {
            m->cpus_nmi(m);
        }
        break;
    case WATCHDOG_PAUSE:
        machine_request_stop(m, RUN_WATCHDOG);
        break;
    case WATCHDOG_DEBUG:
        log_write("watchdog: timer fired\n");
        break;
    default:
        break;
    }
}
