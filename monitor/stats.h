/* What a machine has done so far, for "info stats" and --stats-on-exit. */
#ifndef MONITOR_STATS_H
#define MONITOR_STATS_H

#include "system/machine.h"

/* A table for people. Main thread, vCPUs paused. */
void stats_print(Machine *m, GString *out);
/* "info irq": how often each input of the interrupt controllers rose. */
void stats_print_irq(Machine *m, GString *out);
/* "info jit": the accelerator's numbers alone. */
void stats_print_jit(Machine *m, GString *out);
/* "info ramblock": RAM and ROM, and where they are in this process. */
void stats_print_ram(Machine *m, GString *out);

#endif
