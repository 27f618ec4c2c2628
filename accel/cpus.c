/*
 * vCPU threads: one run loop for all accelerators.
 *
 * One lock guards who runs and why not. A vCPU enters guest code only from
 * cpu_loop(), after it has seen under that lock that there is no reason to
 * wait; whoever has one writes it down under the lock and then kicks. CPU_STOP is cleared in the same critical section in which the vCPU
 * counts itself in, so a kick is never lost: either the reason was seen, or
 * CPU_STOP is set when run() looks.
 *
 * Two counts: "inside" are those that execute guest code now, "busy" those
 * that are somewhere in run() at all. An exclusive section waits until nobody
 * else is inside; the vCPU that waits for it is busy but not inside, so two
 * may wait for each other's sections in turn. A pause waits until nobody is
 * busy: then every vCPU stands between two instructions.
 *
 * Sleep and wake: cpu_raise() sets its bit and then reads `asleep`; the vCPU
 * sets `asleep` and then reads the bits. Both are sequentially consistent, so
 * one of them sees the other, and raising costs no lock while the vCPU runs.
 *
 * Order of locks: machine lock, then this one. pthread's, not glib's: the
 * thread sanitizer knows those.
 */
#include "util/osdep.h"
#include "accel/cpus.h"
#include "accel/triple.h"
#include "system/later.h"
#include "target-x86/cpuid.h"

#include <pthread.h>
#include <signal.h>
#include "target-x86/seg.h"
#include "util/error.h"
#include "util/log.h"

typedef struct Cpus Cpus;

typedef struct Work {
    void (*fn)(X86Cpu *cpu, void *opaque);
    void *opaque;
    bool done;
    struct Work *next;
} Work;

typedef struct CpuThread {
    X86Cpu *cpu;
    Cpus *all;
    pthread_t id;
    int tid; /* as ps and top show it; 0 until the thread runs */
    pthread_cond_t wake;
    bool asleep; /* atomic: waits for work on `wake` */

    /* Under all->lock. */
    bool quit;
    bool hold; /* asked for a reset or stop; waits until it is done */
    bool busy; /* in run(), or does work */
    Work *work, **work_tail;
} CpuThread;

/* The vCPUs of one machine. */
struct Cpus {
    Machine *m;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* inside, busy, owner or a work item */
    bool running;           /* between cpus_resume() and cpus_pause() */
    unsigned inside, busy;
    const CpuThread *owner; /* of the exclusive section */
    unsigned waiting;       /* for the exclusive section */
    unsigned started;       /* threads */
    unsigned n;             /* CPUs that were made */
    CpuThread *thread;      /* [m->ncpus] */
};

/* The vCPU whose thread this is. */
static __thread CpuThread *current;

static const AccelOps *cpu_ops(const X86Cpu *cpu)
{
    return cpu->machine->accel->ops;
}

/* ---- kicks and pending events ---------------------------------------------- */

static void cpu_wake(CpuThread *t)
{
    if (__atomic_load_n(&t->asleep, __ATOMIC_SEQ_CST)) {
        pthread_mutex_lock(&t->all->lock);
        pthread_cond_signal(&t->wake);
        pthread_mutex_unlock(&t->all->lock);
    }
}

void cpu_raise(X86Cpu *cpu, uint32_t pending_bits)
{
    uint32_t old =
        __atomic_fetch_or(&cpu->pending, pending_bits, __ATOMIC_SEQ_CST);
    CpuThread *t = cpu->thread;

    if ((old & pending_bits) == pending_bits || !t) {
        return; /* it has been told, or nobody runs it */
    }
    if (t != current) {
        cpu_wake(t);
    }
    cpu_ops(cpu)->kick(cpu);
}

void cpu_lower(X86Cpu *cpu, uint32_t pending_bits)
{
    __atomic_fetch_and(&cpu->pending, ~pending_bits, __ATOMIC_SEQ_CST);
}

/* Any thread: makes run() return soon. */
static void cpu_kick(X86Cpu *cpu)
{
    cpu_raise(cpu, CPU_STOP);
}

int cpu_ack_irq(X86Cpu *cpu)
{
    int vector = -1;

    machine_lock(cpu->machine);
    if (cpu->apic_ops) {
        vector = cpu->apic_ops->ack_irq(cpu);
    } else {
        cpu_lower(cpu, CPU_IRQ); /* nobody to ask for a vector */
    }
    machine_unlock(cpu->machine);
    return vector;
}

/* ---- the thread --------------------------------------------------------------- */

/*
 * Makes the others come out of run(); they find the reason under the lock.
 * Also those that wait for an exclusive section: they would go on after it.
 */
static void kick_busy_locked(Cpus *all)
{
    for (unsigned i = 0; i < all->n; i++) {
        if (all->thread[i].busy && &all->thread[i] != current) {
            cpu_kick(all->thread[i].cpu);
        }
    }
}

static void wake_all_locked(Cpus *all)
{
    for (unsigned i = 0; i < all->n; i++) {
        pthread_cond_signal(&all->thread[i].wake);
    }
}

static void enter_locked(CpuThread *t)
{
    t->all->inside++;
}

static void leave_locked(CpuThread *t)
{
    t->all->inside--;
    pthread_cond_broadcast(&t->all->changed);
}

static void busy_begin_locked(CpuThread *t)
{
    t->busy = true;
    t->all->busy++;
    enter_locked(t);
}

static void busy_end_locked(CpuThread *t)
{
    t->busy = false;
    t->all->busy--;
    leave_locked(t);
}

static void do_work_locked(CpuThread *t)
{
    Cpus *all = t->all;
    Work *w = t->work;

    t->work = w->next;
    if (!t->work) {
        t->work_tail = &t->work;
    }
    busy_begin_locked(t);
    pthread_mutex_unlock(&all->lock);
    w->fn(t->cpu, w->opaque);
    pthread_mutex_lock(&all->lock);
    w->done = true; /* @w is gone after this */
    busy_end_locked(t);
}

static bool cpu_idle(const X86Cpu *cpu)
{
    return !cpu->sleeps_in_engine &&
           (cpu->s.halted || cpu->s.mp_state == MP_WAIT_SIPI) &&
           !x86_has_work(cpu);
}

/* What waited until this vCPU has nothing to do. */
static void run_later_locked(CpuThread *t)
{
    busy_begin_locked(t);
    pthread_mutex_unlock(&t->all->lock);
    machine_idle_turn(t->all->m);
    pthread_mutex_lock(&t->all->lock);
    busy_end_locked(t);
}

static void sleep_locked(CpuThread *t)
{
    Machine *m = t->all->m;

    if (machine_has_later(m)) {
        run_later_locked(t);
        return; /* it may have had work for us */
    }
    __atomic_store_n(&t->asleep, true, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&m->cpus_asleep, 1, __ATOMIC_SEQ_CST);
    if (cpu_idle(t->cpu) && !machine_has_later(m)) {
        pthread_cond_wait(&t->wake, &t->all->lock);
    }
    __atomic_fetch_sub(&m->cpus_asleep, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&t->asleep, false, __ATOMIC_SEQ_CST);
}

static CpuExit cpu_run(X86Cpu *cpu)
{
    const AccelOps *ops = cpu_ops(cpu);

    if (ops->push && !cpu->state_in_accel) {
        ops->push(cpu);
        cpu->state_in_accel = true;
    }
    return ops->run(cpu);
}

/* Requests hold this vCPU, so it cannot run on before they were acted on. */
static void cpu_handle_exit(X86Cpu *cpu, CpuExit exit)
{
    Machine *m = cpu->machine;

    switch (exit) {
    case CPU_EXIT_KICKED: /* maybe behind HLT: it will not run again */
    case CPU_EXIT_HALTED:
        if (m->on_halt && cpu_idle(cpu)) {
            m->on_halt(cpu);
        }
        break;
    case CPU_EXIT_DEBUG:
        __atomic_store_n(&m->debug_cpu, cpu, __ATOMIC_RELEASE);
        machine_request_stop(m, RUN_DEBUG);
        break;
    case CPU_EXIT_TRIPLE_FAULT:
        cpu_report_triple(cpu);
        machine_request_reset(m, RESET_TRIPLE_FAULT);
        break;
    case CPU_EXIT_FAILED:
        machine_request_stop(m, RUN_INTERNAL_ERROR);
        break;
    }
}

static void run_guest_locked(CpuThread *t)
{
    Cpus *all = t->all;
    CpuExit exit;

    cpu_lower(t->cpu, CPU_STOP); /* all reasons have been looked at */
    busy_begin_locked(t);
    pthread_mutex_unlock(&all->lock);

    exit = cpu_run(t->cpu);
    cpu_handle_exit(t->cpu, exit);

    pthread_mutex_lock(&all->lock);
    busy_end_locked(t);
}

static void *cpu_loop(void *opaque)
{
    CpuThread *t = opaque;
    Cpus *all = t->all;

    __atomic_store_n(&t->tid, gettid(), __ATOMIC_RELAXED);
    current = t;
    machine_later_join(all->m);
    pthread_mutex_lock(&all->lock);
    while (!t->quit) {
        if (all->owner || all->waiting) {
            pthread_cond_wait(&t->wake, &all->lock);
        } else if (t->work) {
            do_work_locked(t);
        } else if (!all->running || t->hold) {
            pthread_cond_wait(&t->wake, &all->lock);
        } else if (cpu_idle(t->cpu)) {
            sleep_locked(t);
        } else {
            run_guest_locked(t);
        }
    }
    pthread_mutex_unlock(&all->lock);
    return NULL;
}

/* ---- pause and resume ---------------------------------------------------------- */

static Cpus *machine_cpus(const Machine *m)
{
    return m->cpus;
}

void cpus_pause(Machine *m)
{
    Cpus *all = machine_cpus(m);
    unsigned held = machine_unlock_all(m);

    g_assert(!current || current->all != all); /* would wait for itself */
    pthread_mutex_lock(&all->lock);
    all->running = false;
    kick_busy_locked(all);
    while (all->busy) {
        pthread_cond_wait(&all->changed, &all->lock);
    }
    pthread_mutex_unlock(&all->lock);
    machine_relock(m, held);
}

void cpus_resume(Machine *m)
{
    Cpus *all = machine_cpus(m);
    bool asked = machine_is_asked(m);

    m->holds_kept = asked;
    pthread_mutex_lock(&all->lock);
    all->running = true;
    for (unsigned i = 0; !asked && i < all->n; i++) {
        all->thread[i].hold = false;
    }
    wake_all_locked(all);
    pthread_mutex_unlock(&all->lock);
}

/* x86_reset() of all, CPU_FLUSH; paused. */
static void cpus_reset(Machine *m)
{
    for (unsigned i = 0; i < m->ncpus; i++) {
        X86Cpu *cpu = m->cpu[i];

        cpu->state_in_accel = false; /* nothing of the old state is wanted */
        __atomic_store_n(&cpu->pending, CPU_FLUSH, __ATOMIC_SEQ_CST);
        x86_reset(cpu);
    }
}

/* Machine.cpus_nmi */
static void cpus_nmi(Machine *m)
{
    for (unsigned i = 0; i < m->ncpus; i++) {
        cpu_raise(m->cpu[i], CPU_NMI);
    }
}

/* Machine.cpus_hold */
static bool cpus_hold(Machine *m)
{
    CpuThread *t = current;

    if (!t || t->all->m != m) {
        return false;
    }
    pthread_mutex_lock(&t->all->lock);
    t->hold = true;
    pthread_mutex_unlock(&t->all->lock);
    cpu_kick(t->cpu);
    return true;
}

/* Machine.cpus_soon */
static void cpus_soon(Machine *m)
{
    cpu_raise(current->cpu, CPU_SOON);
}

void cpu_run_on(X86Cpu *cpu, void (*fn)(X86Cpu *cpu, void *opaque),
                void *opaque)
{
    CpuThread *t = cpu->thread;
    Cpus *all = t->all;
    Work w = { .fn = fn, .opaque = opaque };
    unsigned held;

    if (t == current) {
        fn(cpu, opaque);
        return;
    }
    held = machine_unlock_all(cpu->machine);
    pthread_mutex_lock(&all->lock);
    *t->work_tail = &w;
    t->work_tail = &w.next;
    if (t->busy) {
        cpu_kick(cpu);
    }
    pthread_cond_signal(&t->wake);
    while (!w.done) {
        pthread_cond_wait(&all->changed, &all->lock);
    }
    pthread_mutex_unlock(&all->lock);
    machine_relock(cpu->machine, held);
}

/* ---- state --------------------------------------------------------------------- */

static void cpu_pull(X86Cpu *cpu, void *opaque)
{
    if (cpu->state_in_accel && cpu_ops(cpu)->pull) {
        cpu_ops(cpu)->pull(cpu);
        cpu->state_in_accel = false;
    }
}

/* Somebody else's vCPU that may be in guest code. */
static bool cpu_is_away(const CpuThread *t)
{
    bool running;

    if (!t || t == current) {
        return false;
    }
    pthread_mutex_lock(&t->all->lock);
    running = t->all->running;
    pthread_mutex_unlock(&t->all->lock);
    return running;
}

X86State *cpu_state(X86Cpu *cpu)
{
    if (cpu_is_away(cpu->thread) && cpu_ops(cpu)->pull) {
        cpu_run_on(cpu, cpu_pull, NULL); /* a look; it runs on afterwards */
    } else {
        cpu_pull(cpu, NULL);
    }
    return &cpu->s;
}

/* ---- exclusive sections ---------------------------------------------------------- */

void cpus_exclusive_begin(X86Cpu *cpu)
{
    CpuThread *t = cpu->thread;
    Cpus *all = t->all;

    if (all->n == 1) {
        return;
    }
    pthread_mutex_lock(&all->lock);
    leave_locked(t);
    all->waiting++;
    while (all->owner) {
        pthread_cond_wait(&all->changed, &all->lock);
    }
    all->waiting--;
    all->owner = t;
    kick_busy_locked(all);
    while (all->inside) {
        pthread_cond_wait(&all->changed, &all->lock);
    }
    pthread_mutex_unlock(&all->lock);
}

void cpus_exclusive_end(X86Cpu *cpu)
{
    CpuThread *t = cpu->thread;
    Cpus *all = t->all;

    if (all->n == 1) {
        return;
    }
    pthread_mutex_lock(&all->lock);
    all->owner = NULL;
    enter_locked(t);
    if (all->waiting) {
        pthread_cond_broadcast(&all->changed);
    } else {
        wake_all_locked(all);
    }
    pthread_mutex_unlock(&all->lock);
}

/* ---- making and ending -------------------------------------------------------- */

static X86Cpu *cpu_new(Machine *m, CpuThread *t, unsigned index)
{
    size_t size = (m->accel->ops->cpu_size + 63) & ~(size_t)63;
    X86Cpu *cpu = aligned_alloc(64, size);

    if (!cpu) {
        g_error("out of memory for a vCPU of %zu bytes", size);
    }
    memset(cpu, 0, size);
    cpu->machine = m;
    cpu->index = index;
    cpu->apic_id =
        m->cpu_model ? cpu_model_apic_id(m->cpu_model, index) : index;
    cpu->model = m->cpu_model;
    cpu->thread = t;
    t->cpu = cpu;
    t->work_tail = &t->work;
    pthread_cond_init(&t->wake, NULL);
    return cpu;
}

/* Signals are the main thread's; those of the CPU itself come anyway. */
static bool start_thread(Machine *m, CpuThread *t, GError **errp)
{
    g_autofree char *accel = g_ascii_strup(m->accel->ops->name, -1);
    g_autofree char *name = g_strdup_printf("CPU %u/%s", t->cpu->index, accel);
    sigset_t all, old;
    int err;

    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    err = pthread_create(&t->id, NULL, cpu_loop, t);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (err) {
        error_setg_errno(errp, err, "cannot start the thread of CPU %u",
                         t->cpu->index);
        return false;
    }
    name[MIN(strlen(name), 15)] = '\0'; /* the kernel's limit */
    pthread_setname_np(t->id, name);
    return true;
}

int cpu_thread_id(X86Cpu *cpu)
{
    CpuThread *t = cpu->thread;

    return __atomic_load_n(&t->tid, __ATOMIC_RELAXED);
}

static void cpu_delete(CpuThread *t)
{
    pthread_cond_destroy(&t->wake);
    free(t->cpu);
}

bool cpus_create(Machine *m, GError **errp)
{
    Cpus *all = g_new0(Cpus, 1);

    all->m = m;
    pthread_mutex_init(&all->lock, NULL);
    pthread_cond_init(&all->changed, NULL);
    all->thread = g_new0(CpuThread, m->ncpus);
    m->cpus = all;
    m->cpu = g_new0(X86Cpu *, m->ncpus);
    m->cpus_pause = cpus_pause;
    m->cpus_resume = cpus_resume;
    m->cpus_reset = cpus_reset;
    m->cpus_hold = cpus_hold;
    m->cpus_nmi = cpus_nmi;
    m->cpus_look = m->accel->ops->looks;
    m->cpus_soon = cpus_soon;
    for (unsigned i = 0; i < m->ncpus; i++) {
        CpuThread *t = &all->thread[i];

        t->all = all;
        m->cpu[i] = cpu_new(m, t, i);
        if (!m->accel->ops->cpu_init(m->cpu[i], errp)) {
            cpu_delete(t);
            m->cpu[i] = NULL;
            cpus_destroy(m);
            return false;
        }
        all->n++;
    }
    for (unsigned i = 0; i < all->n; i++) {
        if (!start_thread(m, &all->thread[i], errp)) {
            cpus_destroy(m);
            return false;
        }
        all->started++;
    }
    return true;
}

static void join_threads(Machine *m, Cpus *all)
{
    unsigned held;

    cpus_pause(m);
    pthread_mutex_lock(&all->lock);
    for (unsigned i = 0; i < all->n; i++) {
        all->thread[i].quit = true;
    }
    wake_all_locked(all);
    pthread_mutex_unlock(&all->lock);
    held = machine_unlock_all(m);
    for (unsigned i = 0; i < all->started; i++) {
        pthread_join(all->thread[i].id, NULL);
    }
    machine_relock(m, held);
}

void cpus_destroy(Machine *m)
{
    Cpus *all = machine_cpus(m);

    if (!all) {
        return;
    }
    join_threads(m, all);
    for (unsigned i = 0; i < all->n; i++) {
        if (m->accel->ops->cpu_exit) {
            m->accel->ops->cpu_exit(m->cpu[i]);
        }
        cpu_delete(&all->thread[i]);
    }
    m->cpus_pause = m->cpus_resume = m->cpus_reset = NULL;
    m->cpus_hold = NULL;
    m->cpus_nmi = NULL;
    m->cpus_look = false;
    m->cpus = NULL;
    g_free(m->cpu);
    m->cpu = NULL;
    pthread_cond_destroy(&all->changed);
    pthread_mutex_destroy(&all->lock);
    g_free(all->thread);
    g_free(all);
}
