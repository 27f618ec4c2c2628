/*
 * Work for when the guest has nothing to do.
 *
 * A guest that gives a device work mostly has more to give, and then waits. To
 * wake the main loop for the first piece costs more than the piece, and the
 * guest is interrupted for each. So a device may ask to be called when a vCPU
 * has come to HLT: in the vCPU's thread, which has nothing better to do.
 *
 * A guest that does not come to HLT is looked at every few ten thousand
 * instructions: the device is asked whether it wants to wait on.
 *
 * Machine lock held in all of these, and when the functions are called.
 */
#ifndef SYSTEM_LATER_H
#define SYSTEM_LATER_H

#include "system/machine.h"

/* @idle: a vCPU is about to sleep. Else it is only a look: false, not yet. */
typedef bool LaterFn(void *opaque, bool idle);

/*
 * @fn is called until it returns true, from a vCPU's thread; it may be called
 * once after machine_not_later() inside another's. False: nobody would (all
 * sleep, or the accelerator does not look): do it now.
 */
bool machine_later(Machine *m, LaterFn *fn, void *opaque);
/* As above with @idle, but after this instruction. A vCPU's thread; others get
 * false. */
bool machine_soon(Machine *m, LaterFn *fn, void *opaque);
/* Not any more; it need not be there. */
void machine_not_later(Machine *m, LaterFn *fn, void *opaque);

/* This thread is a vCPU's that has nothing to do: why wait? */
bool machine_is_idle(const Machine *m);

/* ---- for accel/cpus.c and the accelerators -------------------------------- */

/* This thread is a vCPU's. */
void machine_later_join(const Machine *m);
/* Any thread, no lock. */
static inline bool machine_has_later(const Machine *m)
{
    return __atomic_load_n(&m->n_later, __ATOMIC_SEQ_CST) != 0;
}

void machine_run_later(Machine *m, bool idle);
/* A vCPU's thread, no lock: it is about to sleep. Gives a turn (util/turn.h) to
 * those that waited for that. */
void machine_idle_turn(Machine *m);

#endif
