/*
 * Work off the main thread: a pool of threads, and a call back on the main
 * loop when it is done.
 */
#ifndef UTIL_WORKER_H
#define UTIL_WORKER_H

#include "util/mainloop.h"

typedef int WorkFn(void *opaque);
typedef void WorkDone(void *opaque, int ret);

/* Runs @fn on some thread, then @done, with what it returned, from the main
 * loop. Any thread. */
void worker_run(WorkFn *fn, WorkDone *done, void *opaque);

/* A group of threads for one operation that waits for them itself: no main loop
 * is needed. @threads 0: one per processor. */
typedef struct WorkGroup WorkGroup;
typedef void GroupFn(void *item, void *opaque);
WorkGroup *work_group_new(unsigned threads, GroupFn *fn, void *opaque);
/* Waits while @max items are unfinished (0: never). */
void work_group_push(WorkGroup *g, void *item, unsigned max);
void work_group_free(WorkGroup *g); /* waits as well */
unsigned worker_cpus(void);

#endif
