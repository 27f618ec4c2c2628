/* What a machine has done so far, for "info stats" and --stats-on-exit. */
#ifndef MONITOR_STATS_H
#define MONITOR_STATS_H

#include "system/machine.h"

/* A table for people. Main thread, vCPUs paused. */
void stats_print(Machine *m, GString *out);

#endif
