/* See later.h. */
#include "util/osdep.h"
#include "system/later.h"
#include "util/turn.h"

struct Later {
    LaterFn *fn;
    void *opaque;
};

/* The machine whose vCPU this thread is: it will sleep or be looked at. */
static __thread const Machine *later_own;
static __thread bool later_idle;

void machine_later_join(const Machine *m)
{
    later_own = m;
}

static void later_remove(Machine *m, unsigned i)
{
    unsigned n = m->n_later - 1;

    m->later[i] = m->later[n];
    __atomic_store_n(&m->n_later, n, __ATOMIC_SEQ_CST);
}

/*
 * A vCPU counts itself as asleep and then looks at n_later; here it is the
 * other way round: one of the two sees the other.
 */
bool machine_later(Machine *m, LaterFn *fn, void *opaque)
{
    unsigned n = m->n_later;

    if (!m->cpus_look || n == MACHINE_LATER_MAX) {
        return false;
    }
    if (!m->later) {
        m->later = g_new(Later, MACHINE_LATER_MAX);
    }
    m->later[n] = (Later) { fn, opaque };
    __atomic_store_n(&m->n_later, n + 1, __ATOMIC_SEQ_CST);
    if (later_own != m &&
        __atomic_load_n(&m->cpus_asleep, __ATOMIC_SEQ_CST) >= m->ncpus) {
        later_remove(m, n);
        return false;
    }
    return true;
}

bool machine_soon(Machine *m, LaterFn *fn, void *opaque)
{
    if (later_own != m || !machine_later(m, fn, opaque)) {
        return false;
    }
    m->cpus_soon(m);
    return true;
}

void machine_not_later(Machine *m, LaterFn *fn, void *opaque)
{
    for (unsigned i = 0; i < m->n_later; i++) {
        if (m->later[i].fn == fn && m->later[i].opaque == opaque) {
            later_remove(m, i);
            return;
        }
    }
}

/* What they ask for meanwhile is for the next time. */
void machine_run_later(Machine *m, bool idle)
{
    Later now[MACHINE_LATER_MAX];
    unsigned n = m->n_later;

    if (!n) {
        return;
    }
    memcpy(now, m->later, n * sizeof(*now));
    __atomic_store_n(&m->n_later, 0, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < n; i++) {
        if (!now[i].fn(now[i].opaque, idle) &&
            !machine_later(m, now[i].fn, now[i].opaque)) {
            now[i].fn(now[i].opaque, true);
        }
    }
}

bool machine_is_idle(const Machine *m)
{
    return later_idle && later_own == m;
}

void machine_idle_turn(Machine *m)
{
    Turn turn;

    machine_lock(m);
    later_idle = true;
    turn_begin(&turn, true);
    machine_run_later(m, true);
    turn_end(&turn);
    if (turn.n) {
        machine_unlock(m);
        turn_work(&turn);
        machine_lock(m);
        turn_done(&turn);
    }
    later_idle = false;
    machine_unlock(m);
}
