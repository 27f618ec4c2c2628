/* Lists of jobs, their events, and what can be asked of one. */
#include "util/osdep.h"
#include "util/error.h"
#include "util/mainloop.h"
#include "hw/block/drive.h"
#include "monitor/jobs.h"
#include "system/snapshot.h"

#if CONFIG_JSON_C

/* An operation on the whole machine, or a new image, until it is dismissed. */
struct VmJob {
    Machine *m;
    char *id, *error; /* error NULL: it went well */
    const char *type;
    SnapshotTask *task; /* NULL: starting, or over */
    bool over;
    uint64_t current, total;
};

struct Jobs {
    Machine *m;
    LiveJobs *live;
    GQueue vm; /* of VmJob */
};

static const char *const status_names[] = {
    [LIVE_RUNNING] = "running", [LIVE_PAUSED] = "paused",
    [LIVE_READY] = "ready",     [LIVE_STANDBY] = "standby",
    [LIVE_PENDING] = "pending", [LIVE_CONCLUDED] = "concluded",
};

static void vm_job_free(void *p)
{
    VmJob *j = p;

    g_free(j->id);
    g_free(j->error);
    g_free(j);
}

Jobs *jobs_new(Machine *m)
{
    Jobs *jobs = g_new0(Jobs, 1);

    jobs->m = m;
    jobs->live = live_jobs_new();
    g_queue_init(&jobs->vm);
    return jobs;
}

/* The one that runs; NULL: none. */
static VmJob *running(Jobs *jobs)
{
    for (GList *l = jobs->vm.head; l; l = l->next) {
        VmJob *j = l->data;

        if (!j->over) {
            return j;
        }
    }
    return NULL;
}

void jobs_free(Jobs *jobs)
{
    VmJob *j;

    live_jobs_free(jobs->live);
    while ((j = running(jobs))) {
        if (j->task) {
            snapshot_cancel(j->task);
        }
        mainloop_iterate(true);
    }
    g_queue_foreach(&jobs->vm, (GFunc)(void *)vm_job_free, NULL);
    g_queue_clear(&jobs->vm);
    g_free(jobs);
}

LiveJobs *jobs_live(Machine *m)
{
    return monitors_jobs(m)->live;
}

static VmJob *find_vm_job(Machine *m, const char *id)
{
    for (GList *l = monitors_jobs(m)->vm.head; l; l = l->next) {
        VmJob *j = l->data;

        if (!strcmp(j->id, id)) {
            return j;
        }
    }
    return NULL;
}

bool jobs_id_free(Machine *m, const char *id, GError **errp)
{
    if (!g_ascii_isalpha(id[0]) ||
        id[strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                      "0123456789-._")]) {
        error_setg(errp, "Invalid job ID '%s'", id);
        return false;
    }
    if (find_vm_job(m, id) || live_find(jobs_live(m), id)) {
        error_setg(errp, "Job ID '%s' already in use", id);
        return false;
    }
    return true;
}

/* QEMU's words for a disk that a job uses. */
bool jobs_disks_idle(Machine *m, GError **errp)
{
    g_autoptr(GPtrArray) live = live_list(jobs_live(m));

    for (guint i = 0; i < live->len; i++) {
        const LiveInfo *info = live_info(live->pdata[i]);

        if (info->status != LIVE_CONCLUDED) {
            error_setg(errp,
                       "Node '%s' is busy: block device is in use by "
                       "block job: %s",
                       info->device, info->type);
            return false;
        }
    }
    return true;
}

/* ---- events ------------------------------------------------------------------ */

static void emit_status(Machine *m, const char *id, const char *status)
{
    machine_emit(m, "JOB_STATUS_CHANGE", EVENT_STR("status", status),
                 EVENT_STR("id", id));
}

static void emit_end(Machine *m, const char *id, bool ok)
{
    emit_status(m, id, ok ? "waiting" : "aborting");
    if (ok) {
        emit_status(m, id, "pending");
    }
}

static void emit_block_job(Machine *m, const char *event, const LiveInfo *i,
                           const char *error)
{
    machine_emit(m, event, EVENT_STR("device", i->id),
                 EVENT_INT("len", (int64_t)i->len),
                 EVENT_INT("offset", (int64_t)i->offset),
                 EVENT_INT("speed", (int64_t)i->speed),
                 EVENT_STR("type", i->type), EVENT_STR("error", error));
}

/* QEMU's order: how it ended comes before "concluded". */
static void emit_concluded(Machine *m, const LiveInfo *i, bool was_pending)
{
    bool cancelled = i->error && i->cancelled;

    if (!was_pending || i->error) {
        emit_end(m, i->id, !i->error);
    }
    emit_block_job(m, cancelled ? "BLOCK_JOB_CANCELLED" : "BLOCK_JOB_COMPLETED",
                   i, cancelled ? NULL : i->error);
    emit_status(m, i->id, "concluded");
}

static void emit_error(Machine *m, const LiveInfo *i)
{
    static const char *const actions[] = {
        [LIVE_REPORT] = "report",
        [LIVE_IGNORE] = "ignore",
        [LIVE_STOP] = "stop",
    };

    machine_emit(m, "BLOCK_JOB_ERROR", EVENT_STR("device", i->id),
                 EVENT_STR("operation", i->fault.write ? "write" : "read"),
                 EVENT_STR("action", actions[i->fault.action]));
}

/* Of one job on a disk, from its start to its last event. */
typedef struct Client {
    Machine *m;
    bool keep, created, pending;
} Client;

static void on_event(void *opaque, LiveJob *job, LiveEvent ev)
{
    Client *c = opaque;
    const LiveInfo *i = live_info(job);

    if (!c->created) {
        c->created = true;
        emit_status(c->m, i->id, "created");
    }
    switch (ev) {
    case LIVE_EV_STATUS:
        if (i->status == LIVE_PENDING) {
            emit_end(c->m, i->id, true);
        } else if (i->status != LIVE_CONCLUDED) {
            emit_status(c->m, i->id, status_names[i->status]);
        }
        break;
    case LIVE_EV_PENDING:
        c->pending = true;
        machine_emit(c->m, "BLOCK_JOB_PENDING", EVENT_STR("type", i->type),
                     EVENT_STR("id", i->id));
        break;
    case LIVE_EV_READY:
        emit_block_job(c->m, "BLOCK_JOB_READY", i, NULL);
        break;
    case LIVE_EV_ERROR:
        emit_error(c->m, i);
        break;
    case LIVE_EV_CONCLUDED:
        emit_concluded(c->m, i, c->pending);
        if (!c->keep) {
            emit_status(c->m, i->id, "null");
        }
        g_free(c);
        break;
    }
}

void jobs_started(const LiveOpts *o, const LiveJob *job)
{
    if (!job) {
        g_free(o->opaque);
    }
}

/* The value of @name; what it has not, "on-error" may have. */
static LiveOnError on_error(const Args *args, const char *name)
{
    static const char *const names[] = {
        [LIVE_REPORT] = "report",
        [LIVE_IGNORE] = "ignore",
        [LIVE_STOP] = "stop",
        [LIVE_ENOSPC] = "enospc",
    };
    const char *v = args_str(args, name);

    v = v ? v : args_str(args, "on-error");
    for (unsigned i = 0; v && i < G_N_ELEMENTS(names); i++) {
        if (!strcmp(v, names[i])) {
            return i;
        }
    }
    return v ? LIVE_ENOSPC : LIVE_REPORT; /* "auto" */
}

bool jobs_options(Machine *m, const Args *args, LiveOpts *o, GError **errp)
{
    const char *id = args_str(args, "job-id");
    int64_t speed = args_int(args, "speed", 0);
    Client *c;

    if (id && !jobs_id_free(m, id, errp)) {
        return false;
    }
    if (speed < 0) {
        error_setg(errp, "Parameter 'speed' expects a non-negative value");
        return false;
    }
    c = g_new0(Client, 1);
    c->m = m;
    c->keep = !args_bool(args, "auto-dismiss", true);
    *o = (LiveOpts) { .id = id,
                      .speed = (uint64_t)speed,
                      .event = on_event,
                      .opaque = c,
                      .keep = c->keep,
                      .manual = !args_bool(args, "auto-finalize", true),
                      .on_source = on_error(args, "on-source-error"),
                      .on_target = on_error(args, "on-target-error") };
    return true;
}

/* ---- lists --------------------------------------------------------------------- */

static void put_live(json_object *o, const LiveInfo *i)
{
    js_str(o, "id", i->id);
    js_str(o, "type", i->type);
    js_str(o, "status", status_names[i->status]);
    js_u64(o, "current-progress", i->offset);
    js_u64(o, "total-progress", i->len);
    if (i->status == LIVE_CONCLUDED) {
        js_str(o, "error", i->error);
    }
}

static void put_vm_job(json_object *o, VmJob *j)
{
    if (j->task) {
        snapshot_progress(j->task, &j->current, &j->total);
    }
    js_str(o, "id", j->id);
    js_str(o, "type", j->type);
    js_str(o, "status", j->over ? "concluded" : "running");
    js_u64(o, "current-progress", j->current);
    js_u64(o, "total-progress", j->total);
    js_str(o, "error", j->error);
}

json_object *qmp_query_jobs(Machine *m, const Args *args, GError **errp)
{
    json_object *list = json_object_new_array();
    g_autoptr(GPtrArray) live = live_list(jobs_live(m));

    for (guint i = 0; i < live->len; i++) {
        put_live(js_add(list, json_object_new_object()),
                 live_info(live->pdata[i]));
    }
    for (GList *l = monitors_jobs(m)->vm.head; l; l = l->next) {
        put_vm_job(js_add(list, json_object_new_object()), l->data);
    }
    return list;
}

json_object *qmp_query_block_jobs(Machine *m, const Args *args, GError **errp)
{
    json_object *list = json_object_new_array();
    g_autoptr(GPtrArray) live = live_list(jobs_live(m));

    for (guint k = 0; k < live->len; k++) {
        const LiveInfo *i = live_info(live->pdata[k]);
        json_object *o = js_add(list, json_object_new_object());
        bool ready = i->status == LIVE_READY || i->status == LIVE_STANDBY;
        bool paused = i->status == LIVE_PAUSED || i->status == LIVE_STANDBY;

        js_bool(o, "auto-finalize", !i->manual);
        js_bool(o, "auto-dismiss", !i->keep);
        js_str(o, "io-status",
               !i->stopped        ? "ok"
               : i->fault.nospace ? "nospace"
                                  : "failed");
        js_str(o, "device", i->id);
        js_bool(o, "busy", i->status == LIVE_RUNNING);
        js_bool(o, "paused", paused);
        js_bool(o, "ready", ready);
        js_str(o, "status", status_names[i->status]);
        js_u64(o, "len", i->len);
        js_u64(o, "offset", i->offset);
        js_u64(o, "speed", i->speed);
        js_str(o, "type", i->type);
        if (i->status == LIVE_CONCLUDED) {
            js_str(o, "error", i->error);
        }
    }
    return list;
}

/* ---- verbs ------------------------------------------------------------------------ */

/* As QEMU says it when a job cannot do what is asked now. */
static void refuse_verb(const char *id, const char *state, const char *verb,
                        GError **errp)
{
    error_setg(errp, "Job '%s' in state '%s' cannot accept command verb '%s'",
               id, state, verb);
}

/* "resume" of what is not paused is refused in other words. */
static bool takes_verb(LiveStatus status, const char *verb)
{
    bool over = status == LIVE_PENDING || status == LIVE_CONCLUDED;

    if (!strcmp(verb, "finalize")) {
        return status == LIVE_PENDING;
    }
    if (!strcmp(verb, "complete")) {
        return status == LIVE_READY || status == LIVE_STANDBY;
    }
    if (!strcmp(verb, "cancel")) {
        return status != LIVE_CONCLUDED;
    }
    return !over || !strcmp(verb, "resume");
}

/* job-* say "id", block-job-* "device" and know only those on disks. */
static LiveJob *find_job(Machine *m, const Args *args, const char *verb,
                         GError **errp)
{
    const char *device = args_str(args, "device");
    const char *id = device ? device : args_str(args, "id");
    LiveJob *job = live_find(jobs_live(m), id);
    const VmJob *vm = device ? NULL : find_vm_job(m, id);

    if (!job && vm) {
        refuse_verb(id, vm->over ? "concluded" : "running", verb, errp);
    } else if (!job && device) {
        error_set_class(errp, ERROR_CLASS_DEVICE_NOT_ACTIVE,
                        "Block job '%s' not found", id);
    } else if (!job) {
        error_setg(errp, "Job not found");
    } else if (job && !takes_verb(live_info(job)->status, verb)) {
        refuse_verb(id, status_names[live_info(job)->status], verb, errp);
        job = NULL;
    }
    return job;
}

json_object *qmp_job_cancel(Machine *m, const Args *args, GError **errp)
{
    const char *id = args_str(args, "id");
    VmJob *vm = id ? find_vm_job(m, id) : NULL;
    LiveJob *job;

    if (vm && vm->task) {
        snapshot_cancel(vm->task);
        return NULL;
    }
    job = find_job(m, args, "cancel", errp);
    if (job) { /* job-cancel always breaks off */
        live_cancel(job, id || args_bool(args, "force", false));
    }
    return NULL;
}

static json_object *ask_job(Machine *m, const Args *args, const char *verb,
                            bool (*ask)(LiveJob *, GError **), GError **errp)
{
    LiveJob *job = find_job(m, args, verb, errp);

    if (job) {
        ask(job, errp);
    }
    return NULL;
}

json_object *qmp_job_complete(Machine *m, const Args *args, GError **errp)
{
    return ask_job(m, args, "complete", live_complete, errp);
}

json_object *qmp_job_pause(Machine *m, const Args *args, GError **errp)
{
    return ask_job(m, args, "pause", live_pause, errp);
}

json_object *qmp_job_resume(Machine *m, const Args *args, GError **errp)
{
    return ask_job(m, args, "resume", live_resume, errp);
}

json_object *qmp_job_finalize(Machine *m, const Args *args, GError **errp)
{
    return ask_job(m, args, "finalize", live_finalize, errp);
}

json_object *qmp_job_dismiss(Machine *m, const Args *args, GError **errp)
{
    const char *id = args_str(args, "id");
    VmJob *vm = find_vm_job(m, id);
    LiveJob *job = live_find(jobs_live(m), id);

    if (vm && !vm->over) {
        refuse_verb(id, "running", "dismiss", errp);
    } else if (vm) {
        g_queue_remove(&monitors_jobs(m)->vm, vm);
        emit_status(m, id, "null");
        vm_job_free(vm);
    } else if (!job) {
        error_setg(errp, "Job not found");
    } else if (live_info(job)->status != LIVE_CONCLUDED) {
        refuse_verb(id, status_names[live_info(job)->status], "dismiss", errp);
    } else if (live_dismiss(job, errp)) {
        emit_status(m, id, "null");
    }
    return NULL;
}

json_object *qmp_block_job_set_speed(Machine *m, const Args *args,
                                     GError **errp)
{
    LiveJob *job = find_job(m, args, "set-speed", errp);
    int64_t speed = args_int(args, "speed", 0);

    if (job && speed < 0) {
        error_setg(errp, "Parameter 'speed' expects a non-negative value");
    } else if (job) {
        live_set_speed(job, (uint64_t)speed);
    }
    return NULL;
}

/* ---- snapshots of the machine, as jobs ------------------------------------------------ */

VmJob *jobs_vm_new(Machine *m, const char *id, const char *type)
{
    VmJob *j = g_new0(VmJob, 1);

    j->m = m;
    j->id = g_strdup(id);
    j->type = type;
    j->total = 1;
    g_queue_push_tail(&monitors_jobs(m)->vm, j);
    emit_status(m, id, "created");
    emit_status(m, id, "running");
    return j;
}

void jobs_vm_over(VmJob *j, const GError *err)
{
    j->error = err ? g_strdup(err->message) : NULL;
    j->task = NULL;
    j->over = true;
    j->current = err ? j->current : j->total;
    emit_end(j->m, j->id, !err);
    emit_status(j->m, j->id, "concluded");
}

static void on_snapshot_done(void *opaque, const GError *err)
{
    VmJob *j = opaque;

    snapshot_progress(j->task, &j->current, &j->total);
    jobs_vm_over(j, err);
}

/* Nothing but a bad job id fails the command itself: the job says the rest. */
static void snapshot_job(Machine *m, const Args *args, const char *type,
                         SnapshotKind kind, GError **errp)
{
    const char *id = args_str(args, "job-id");
    json_object *list = args_json(args, "devices");
    g_autoptr(GPtrArray) devices = g_ptr_array_new();
    g_autoptr(GError) err = NULL;
    SnapshotWhere where = { .vmstate = args_str(args, "vmstate") };
    VmJob *j;

    if (!jobs_id_free(m, id, errp)) {
        return;
    }
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        g_ptr_array_add(devices, (char *)json_object_get_string(
                                     json_object_array_get_idx(list, i)));
    }
    g_ptr_array_add(devices, NULL);
    where.devices = (const char *const *)devices->pdata;
    j = jobs_vm_new(m, id, type);
    j->task = jobs_disks_idle(m, &err)
                  ? snapshot_start(m, kind, args_str(args, "tag"), &where,
                                   on_snapshot_done, j, &err)
                  : NULL;
    if (!j->task) {
        jobs_vm_over(j, err);
    }
}

json_object *qmp_snapshot_save(Machine *m, const Args *args, GError **errp)
{
    snapshot_job(m, args, "snapshot-save", SNAPSHOT_SAVE, errp);
    return NULL;
}

json_object *qmp_snapshot_load(Machine *m, const Args *args, GError **errp)
{
    snapshot_job(m, args, "snapshot-load", SNAPSHOT_LOAD, errp);
    return NULL;
}

json_object *qmp_snapshot_delete(Machine *m, const Args *args, GError **errp)
{
    snapshot_job(m, args, "snapshot-delete", SNAPSHOT_DELETE, errp);
    return NULL;
}

#endif
