/*
 * What follows when a watchdog timer runs out: -action watchdog=, and the
 * monitor's watchdog_action. The devices are in hw/watchdog.
 *
 * Main thread, or a vCPU's; machine lock held.
 */
#ifndef SYSTEM_WATCHDOG_H
#define SYSTEM_WATCHDOG_H

#include <glib.h>
#include <stdbool.h>

typedef struct Machine Machine;

typedef enum WatchdogAction {
    WATCHDOG_RESET,
    WATCHDOG_SHUTDOWN, /* presses the power button */
    WATCHDOG_POWEROFF,
    WATCHDOG_INJECT_NMI,
    WATCHDOG_PAUSE,
    WATCHDOG_DEBUG, /* a line on stderr */
    WATCHDOG_NONE,
    WATCHDOG_ACTIONS,
} WatchdogAction;

/* @errp lists the names. */
bool watchdog_action_parse(const char *text, WatchdogAction *out,
                           GError **errp);
/* Tells clients (event WATCHDOG) and does what m->cfg.watchdog_action says. */
void watchdog_expired(Machine *m);

#endif
