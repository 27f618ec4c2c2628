/*
 * Jobs as clients of QMP see them: those on disks (block/live.h), which run
 * beside the guest, and snapshots of the machine, which hold it meanwhile and
 * stay in the list until they are dismissed. Main thread, machine lock held.
 */
#ifndef MONITOR_JOBS_H
#define MONITOR_JOBS_H

#include "block/live.h"
#include "monitor/qmp-cmds.h"

#if CONFIG_JSON_C

typedef struct Jobs Jobs;

Jobs *jobs_new(Machine *m);
void jobs_free(Jobs *jobs);      /* cancels and waits */
Jobs *monitors_jobs(Machine *m); /* of monitor.c */

/* job-id, speed, auto-dismiss and what is not supported. @o's strings are those
 * of @args. False and @errp: refused. After it comes jobs_started(). */
bool jobs_options(Machine *m, const Args *args, LiveOpts *o, GError **errp);
/* @job NULL: it could not be started. */
void jobs_started(const LiveOpts *o, const LiveJob *job);
LiveJobs *jobs_live(Machine *m);
/* False and @errp: a job uses a disk, and what changes all of them must wait. */
bool jobs_disks_idle(Machine *m, GError **errp);
/* Nobody has @id yet. */
bool jobs_id_free(Machine *m, const char *id, GError **errp);

/* A job that is not on a disk in use: it is in the list, running, until it is
 * over (@err NULL: well) and dismissed. */
typedef struct VmJob VmJob;
VmJob *jobs_vm_new(Machine *m, const char *id, const char *type);
void jobs_vm_over(VmJob *j, const GError *err);

/* The disk that a guest uses, by id or node name. */
Blk *qmp_find_blk(Machine *m, const char *device, GError **errp);

#endif
#endif
