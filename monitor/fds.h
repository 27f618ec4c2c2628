/*
 * File descriptors that clients of QMP have passed, by the names they gave
 * them. Main thread.
 */
#ifndef MONITOR_FDS_H
#define MONITOR_FDS_H

#include "monitor/monitor.h"

/* Names the descriptor that came with a line of @mon; @errp: none came, or the
 * name begins with a digit. */
bool fds_take_passed(Monitor *mon, const char *name, GError **errp);
/* The caller's from now on; -1 and @errp: no such name. */
int fds_take(Machine *m, const char *name, GError **errp);
/* "fd:NAME" to "fd:NUMBER", the descriptor being taken; other texts, and numbers,
 * as they are. New; NULL and @errp: no such name. */
char *fds_uri(Machine *m, const char *uri, GError **errp);
/* Those of monitors_fds(), and the table. */
void fds_close_all(GHashTable *fds);

#endif
