/*
 * The Machine: its life, its run states, and what may be asked of it.
 *
 * A request (reset, shutdown, stop, power button) comes from any thread, most
 * often from a vCPU inside a device register. It is written down, the vCPU
 * that asked stops before its next instruction, and the main loop acts: only
 * there can all vCPUs be paused. Of several requests shutdown wins.
 *
 * Order of a reset: processors, then devices in the order they were realized,
 * then the board, which may load a kernel and set the boot processor's state.
 */
#include "util/osdep.h"
#include "system/later.h"
#include "system/machine.h"

#include <pthread.h>
#include "util/error.h"
#include "util/keyval.h"
#include "util/log.h"
#include "util/mainloop.h"

enum {
    REQ_STOP = 1 << 0,
    REQ_SHUTDOWN = 1 << 1,
    REQ_RESET = 1 << 2,
    REQ_POWERDOWN = 1 << 3,
    REQ_RECLAIM = 1 << 4, /* too many old flat maps */
    REQ_PANIC = 1 << 5,
};

enum { OLD_MAPS_MAX = 500 };

/* Shared with the main loop's queue, so it may outlive the machine. */
typedef struct Requests {
    pthread_mutex_t lock;
    Machine *m;    /* NULL: gone */
    bool queued;   /* machine_act() will run */
    unsigned what; /* REQ_* */
    ResetCause cause;
    int exit_code;
    const char *reason; /* of the shutdown */
    RunState why;
} Requests;

static const char *const run_state_names[] = {
    [RUN_PRELAUNCH] = "prelaunch",
    [RUN_RUNNING] = "running",
    [RUN_PAUSED] = "paused",
    [RUN_SHUTDOWN] = "shutdown",
    [RUN_GUEST_PANICKED] = "guest-panicked",
    [RUN_SAVE_VM] = "save-vm",
    [RUN_RESTORE_VM] = "restore-vm",
    [RUN_INMIGRATE] = "inmigrate",
    [RUN_FINISH_MIGRATE] = "finish-migrate",
    [RUN_POSTMIGRATE] = "postmigrate",
    [RUN_INTERNAL_ERROR] = "internal-error",
    [RUN_DEBUG] = "debug",
    [RUN_IO_ERROR] = "io-error",
    [RUN_WATCHDOG] = "watchdog",
};

const char *run_state_name(RunState state)
{
    return run_state_names[state];
}

static const char *const panic_action_names[] = {
    [PANIC_SHUTDOWN] = "shutdown",
    [PANIC_PAUSE] = "pause",
    [PANIC_EXIT_FAILURE] = "exit-failure",
    [PANIC_NONE] = "none",
};

bool panic_action_parse(const char *text, PanicAction *out, GError **errp)
{
    for (size_t i = 0; i < G_N_ELEMENTS(panic_action_names); i++) {
        if (!strcmp(text, panic_action_names[i])) {
            *out = (PanicAction)i;
            return true;
        }
    }
    error_setg(errp, "panic=%s: must be shutdown, pause, exit-failure or none",
               text);
    return false;
}

/* ---- the lock ---------------------------------------------------------------- */

/*
 * The main thread holds the lock once for the main loop and any number of
 * times by machine_lock(); whoever waits for a vCPU must let go of all of
 * them, because the vCPU may be waiting for the lock.
 */
unsigned machine_unlock_all(Machine *m)
{
    unsigned loop = mainloop_holds(&m->lock), own = 0;

    if (__atomic_load_n(&m->lock_owner, __ATOMIC_RELAXED) == g_thread_self()) {
        own = m->lock_depth;
    }
    for (unsigned i = 0; i < own; i++) {
        machine_unlock(m);
    }
    if (loop) {
        g_rec_mutex_unlock(&m->lock);
    }
    return own << 1 | loop;
}

void machine_relock(Machine *m, unsigned held)
{
    if (held & 1) {
        g_rec_mutex_lock(&m->lock);
    }
    for (unsigned i = 0; i < held >> 1; i++) {
        machine_lock(m);
    }
}

/* ---- starting, stopping, reset ------------------------------------------------- */

/* SHUTDOWN and RESET say who wanted it. */
static void emit_cause(Machine *m, const char *event, const char *reason)
{
    machine_emit(m, event,
                 EVENT_BOOL("guest", g_str_has_prefix(reason, "guest-")),
                 EVENT_STR("reason", reason));
}

/* After these the guest cannot go on where it was. */
static bool needs_reset(RunState state)
{
    return state == RUN_SHUTDOWN || state == RUN_INTERNAL_ERROR ||
           state == RUN_GUEST_PANICKED;
}

static void resume_cpus(Machine *m)
{
    if (m->state == RUN_RUNNING && !m->pins && m->cpus_resume) {
        m->cpus_resume(m);
    }
}

void machine_pin(Machine *m)
{
    if (!m->pins++ && m->state == RUN_RUNNING && m->cpus_pause) {
        m->cpus_pause(m);
    }
}

void machine_unpin(Machine *m)
{
    m->pins--;
    resume_cpus(m);
}

bool machine_start(Machine *m, GError **errp)
{
    if (m->state == RUN_RUNNING) {
        return true;
    }
    if (!machine_is_free(m, errp)) {
        return false;
    }
    if (m->state == RUN_INMIGRATE) {
        error_setg(errp, "Guest is waiting for an incoming migration");
        return false;
    }
    if (needs_reset(m->state)) {
        error_setg(errp, "Resetting the Virtual Machine is required");
        return false;
    }
    m->state = RUN_RUNNING;
    machine_emit(m, "RESUME");
    clock_start(m->vclock);
    resume_cpus(m);
    return true;
}

static void halt(Machine *m, RunState why)
{
    clock_stop(m->vclock);
    if (m->cpus_pause) {
        m->cpus_pause(m);
    }
    m->state = why;
}

/* One that runs. */
static void stop(Machine *m, RunState why)
{
    halt(m, why);
    machine_emit(m, "STOP");
    if (m->settle_disks) {
        m->settle_disks(m);
    }
}

void machine_stop(Machine *m, RunState why)
{
    if (m->held) {
        m->start_after = false;
        m->state_after = why;
        return;
    }
    if (m->state != RUN_RUNNING) {
        if (why != RUN_PAUSED && !needs_reset(m->state)) {
            m->state = why;
        }
        return;
    }
    stop(m, why);
}

bool machine_is_free(const Machine *m, GError **errp)
{
    if (m->held) {
        error_setg(errp, "%s: wait until that is over", m->held);
    }
    return !m->held;
}

/* Nobody looks things up while the vCPUs are paused. */
static void reclaim_paused(Machine *m)
{
    as_reclaim(m->mem);
    as_reclaim(m->io);
}

static void reset_paused(Machine *m)
{
    reclaim_paused(m);
    if (m->cpus_reset) {
        m->cpus_reset(m);
    }
    for (guint i = 0; i < m->devices->len; i++) {
        Device *dev = m->devices->pdata[i];

        if (dev->cls->reset) {
            dev->cls->reset(dev);
        }
        /* It may have run the main loop, where others were unplugged. */
        g_ptr_array_find(m->devices, dev, &i);
    }
    if (m->cls && m->cls->reset) {
        m->cls->reset(m);
    }
}

void machine_reset(Machine *m)
{
    machine_pin(m);
    reset_paused(m);
    machine_unpin(m);
}

/* ---- requests ------------------------------------------------------------------ */

/* Nobody hears of a STOP when the process ends: as in QEMU. */
static void act_shutdown(Machine *m, int exit_code, const char *reason)
{
    emit_cause(m, "SHUTDOWN", reason);
    if (m->cfg.no_shutdown) {
        machine_stop(m, RUN_SHUTDOWN);
        return;
    }
    m->start_after = false;
    if (m->state == RUN_RUNNING) {
        halt(m, RUN_SHUTDOWN);
    } else {
        machine_stop(m, RUN_SHUTDOWN);
    }
    m->exit_code = exit_code;
    mainloop_quit();
}

/* What a guest's kernel asks for with pvpanic. */
static void act_panic(Machine *m)
{
    PanicAction action = m->cfg.panic_action;
    bool pause = action == PANIC_PAUSE ||
                 (action == PANIC_SHUTDOWN && m->cfg.no_shutdown);

    if (action == PANIC_NONE) {
        machine_emit(m, "GUEST_PANICKED", EVENT_STR("action", "run"));
        resume_cpus(m); /* the one that was held */
        return;
    }
    machine_emit(m, "GUEST_PANICKED",
                 EVENT_STR("action", pause ? "pause" : "poweroff"));
    machine_stop(m, RUN_GUEST_PANICKED);
    if (!pause) {
        act_shutdown(m, action == PANIC_EXIT_FAILURE, "guest-panic");
    }
}

static const char *reset_reason(ResetCause cause)
{
    return cause == RESET_HOST ? "host-qmp-system-reset" : "guest-reset";
}

static void act_reset(Machine *m, ResetCause cause)
{
    if (m->cfg.no_reboot) {
        act_shutdown(m, 0, reset_reason(cause));
        return;
    }
    if (m->held) {
        m->reset_after = true;
        m->reset_after_cause = cause;
        return;
    }
    m->reset_cause = cause;
    machine_reset(m);
    if (m->state != RUN_RUNNING) {
        m->state = RUN_PRELAUNCH;
    }
    emit_cause(m, "RESET", reset_reason(cause));
}

bool machine_hold(Machine *m, const char *what, RunState why, GError **errp)
{
    if (!machine_is_free(m, errp)) {
        return false;
    }
    m->start_after = m->state == RUN_RUNNING;
    m->state_after = m->state;
    m->reset_after = false;
    m->held = what; /* before the main loop may run */
    if (m->start_after) {
        m->state_after = RUN_PAUSED;
        stop(m, why);
    }
    return true;
}

void machine_release(Machine *m)
{
    g_autoptr(GError) err = NULL;

    m->held = NULL;
    m->state = m->state_after;
    if (m->reset_after) {
        act_reset(m, m->reset_after_cause);
    }
    if (m->start_after && !machine_start(m, &err)) {
        error_report("%s", err->message);
    }
}

static void act_reclaim(Machine *m)
{
    machine_pin(m);
    reclaim_paused(m);
    machine_unpin(m);
}

static void act(Machine *m, const Requests *r)
{
    if (r->what & REQ_RECLAIM) {
        act_reclaim(m);
    }
    if (r->what & REQ_SHUTDOWN) {
        act_shutdown(m, r->exit_code, r->reason);
        if (!m->cfg.no_shutdown) {
            return;
        }
    }
    if (r->what & REQ_PANIC) {
        act_panic(m);
    }
    if (r->what & REQ_RESET) {
        act_reset(m, r->cause);
    }
    if (r->what & REQ_POWERDOWN) {
        machine_emit(m, "POWERDOWN");
        irq_pulse(&m->power_button);
    }
    if (r->what & REQ_STOP) {
        machine_stop(m, r->why);
    }
}

static void requests_free(Requests *r)
{
    pthread_mutex_destroy(&r->lock);
    g_free(r);
}

/* In the main loop. */
static void machine_act(void *opaque)
{
    Requests *r = opaque, now;

    pthread_mutex_lock(&r->lock);
    now = *r;
    r->what = 0;
    r->queued = false;
    pthread_mutex_unlock(&r->lock);
    if (!now.m) {
        requests_free(r);
        return;
    }
    act(now.m, &now);
    if (now.m->holds_kept) {
        resume_cpus(now.m);
    }
}

/* Writes @what down; the caller has filled in the rest under the lock. */
static void request_locked(Requests *r, unsigned what)
{
    r->what |= what;
    if (!r->queued) {
        r->queued = true;
        mainloop_call(machine_act, r);
    }
}

/* The vCPU that asks does not go on, so that the guest does not see a reset
 * or a power-off take its time. */
static void hold_current_cpu(Machine *m)
{
    if (m->cpus_hold) {
        m->cpus_hold(m);
    }
}

void machine_request_reset(Machine *m, ResetCause cause)
{
    Requests *r = m->requests;

    pthread_mutex_lock(&r->lock);
    r->cause = cause;
    request_locked(r, REQ_RESET);
    pthread_mutex_unlock(&r->lock);
    hold_current_cpu(m);
}

void machine_request_shutdown(Machine *m, int exit_code)
{
    Requests *r = m->requests;

    pthread_mutex_lock(&r->lock);
    if (!(r->what & REQ_SHUTDOWN)) { /* the first one's status counts */
        r->exit_code = exit_code;
        r->reason = "guest-shutdown";
    }
    request_locked(r, REQ_SHUTDOWN);
    pthread_mutex_unlock(&r->lock);
    hold_current_cpu(m);
}

void machine_request_quit(Machine *m, const char *reason)
{
    Requests *r = m->requests;

    m->cfg.no_shutdown = false;
    pthread_mutex_lock(&r->lock);
    if (!(r->what & REQ_SHUTDOWN)) {
        r->exit_code = 0;
        r->reason = reason;
    }
    request_locked(r, REQ_SHUTDOWN);
    pthread_mutex_unlock(&r->lock);
}

void machine_request_panic(Machine *m)
{
    Requests *r = m->requests;

    pthread_mutex_lock(&r->lock);
    request_locked(r, REQ_PANIC);
    pthread_mutex_unlock(&r->lock);
    hold_current_cpu(m);
}

void machine_request_stop(Machine *m, RunState why)
{
    Requests *r = m->requests;

    pthread_mutex_lock(&r->lock);
    r->why = why;
    request_locked(r, REQ_STOP);
    pthread_mutex_unlock(&r->lock);
    hold_current_cpu(m);
}

void machine_request_powerdown(Machine *m)
{
    Requests *r = m->requests;

    pthread_mutex_lock(&r->lock);
    request_locked(r, REQ_POWERDOWN);
    pthread_mutex_unlock(&r->lock);
}

/* A guest that moves its windows about all the time waits for us here. */
static void machine_map_changed(void *opaque, const FlatMap *map)
{
    Machine *m = opaque;
    Requests *r = m->requests;

    if (as_old_maps(m->mem) < OLD_MAPS_MAX &&
        as_old_maps(m->io) < OLD_MAPS_MAX) {
        return;
    }
    pthread_mutex_lock(&r->lock);
    request_locked(r, REQ_RECLAIM);
    pthread_mutex_unlock(&r->lock);
    hold_current_cpu(m);
}

typedef struct Deferred {
    Machine *m;
    void (*fn)(void *opaque);
    void *opaque;
} Deferred;

static void deferred_run(void *opaque)
{
    Deferred *d = opaque;

    d->fn(d->opaque);
    if (!--d->m->deferred) {
        resume_cpus(d->m);
    }
    g_free(d);
}

bool machine_defer(Machine *m, void (*fn)(void *opaque), void *opaque)
{
    Deferred *d;

    if (!m->cpus_hold || !m->cpus_hold(m)) {
        return false;
    }
    d = g_new(Deferred, 1);
    *d = (Deferred) { m, fn, opaque };
    m->deferred++;
    mainloop_call(deferred_run, d);
    return true;
}

bool machine_is_asked(const Machine *m)
{
    Requests *r = m->requests;
    bool queued;

    pthread_mutex_lock(&r->lock);
    queued = r->queued;
    pthread_mutex_unlock(&r->lock);
    return queued || m->deferred;
}

static Requests *requests_new(Machine *m)
{
    Requests *r = g_new0(Requests, 1);

    pthread_mutex_init(&r->lock, NULL);
    r->m = m;
    return r;
}

static void requests_leave(Requests *r)
{
    bool queued;

    pthread_mutex_lock(&r->lock);
    r->m = NULL;
    queued = r->queued;
    pthread_mutex_unlock(&r->lock);
    if (!queued) {
        requests_free(r);
    }
}

/* ---- memory ------------------------------------------------------------------ */

bool machine_init_ram(Machine *m, Region *r, const char *name, GError **errp)
{
    if (m->ram_host) {
        region_init_ram_ptr(r, name, m->cfg.ram_size, m->ram_host);
        return true;
    }
    return region_init_ram(r, name, m->cfg.ram_size, errp);
}

/* ---- life -------------------------------------------------------------------- */

static void config_init(MachineConfig *cfg)
{
    cfg->ncpus = cfg->max_cpus = 1;
    cfg->sockets = cfg->dies = cfg->cores = cfg->threads = 1;
    cfg->machine_opts = keyval_new();
    cfg->globals = g_ptr_array_new_with_free_func(g_free);
    cfg->fw_cfg = g_ptr_array_new_with_free_func(g_free);
    cfg->smbios = g_ptr_array_new_with_free_func(g_free);
    cfg->flat = g_ptr_array_new_with_free_func(g_free);
}

static void config_fini(MachineConfig *cfg)
{
    g_free(cfg->cpu_model);
    g_free(cfg->kernel);
    g_free(cfg->initrd);
    g_free(cfg->append);
    g_free(cfg->firmware);
    g_free(cfg->dtb);
    g_free(cfg->name);
    g_free(cfg->uuid);
    keyval_free(cfg->machine_opts);
    g_ptr_array_unref(cfg->globals);
    g_ptr_array_unref(cfg->fw_cfg);
    g_ptr_array_unref(cfg->smbios);
    g_ptr_array_unref(cfg->flat);
}

Machine *machine_new(const MachineClass *cls, Clock *clk)
{
    Machine *m = g_new0(Machine, 1);

    m->cls = cls;
    config_init(&m->cfg);
    g_rec_mutex_init(&m->lock);
    m->mem = as_new("memory", 0, &m->lock);
    m->io = as_new("I/O", 65536, &m->lock);
    m->vclock = clk ? clk : clock_new();
    m->devices = g_ptr_array_new();
    m->netdevs = g_ptr_array_new();
    m->chardevs = g_hash_table_new(g_str_hash, g_str_equal);
    m->requests = requests_new(m);
    as_watch(m->mem, machine_map_changed, m);
    as_watch(m->io, machine_map_changed, m);
    m->state = RUN_PRELAUNCH;
    return m;
}

void machine_free(Machine *m)
{
    if (!m) {
        return;
    }
    while (m->devices->len) {
        device_free(m->devices->pdata[m->devices->len - 1]);
    }
    machine_run_later(m, true);
    g_free(m->later);
    g_ptr_array_unref(m->devices);
    g_ptr_array_unref(m->netdevs);
    if (m->cls && m->cls->unbuild) {
        m->cls->unbuild(m);
    }
    g_hash_table_unref(m->chardevs);
    g_slist_free_full(m->watchers, g_free);
    requests_leave(m->requests);
    as_free(m->mem);
    as_free(m->io);
    clock_free(m->vclock);
    g_rec_mutex_clear(&m->lock);
    config_fini(&m->cfg);
    g_free(m);
}
