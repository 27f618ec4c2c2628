/*
 * vCPU threads and their run loop, for every accelerator.
 *
 * A vCPU is running (inside AccelOps.run()), idle (halted or waiting for
 * SIPI, asleep on its condition variable) or paused. Everything below is
 * called from the main thread unless it says otherwise.
 */
#ifndef ACCEL_CPUS_H
#define ACCEL_CPUS_H

#include "accel/accel.h"

/* Makes m->ncpus CPUs (m->cpu[]) of m->cpu_model for m->accel, threads paused.
 * Sets m->cpus_pause/resume/reset/hold. Not reset yet. */
bool cpus_create(Machine *m, GError **errp);
/* Ends the threads and frees the CPUs, whatever they are at. Before
 * accel_close() and machine_free(). */
void cpus_destroy(Machine *m);

/* Returns when every vCPU stands between two instructions. The machine lock
 * is let go of meanwhile, however often the caller holds it. */
void cpus_pause(Machine *m);
void cpus_resume(Machine *m);

/* The host's id of its thread. Any thread. */
int cpu_thread_id(X86Cpu *cpu);
/* Runs @fn in the vCPU's thread between instructions, paused or not, machine
 * lock not held; waits for it as cpus_pause() does. */
void cpu_run_on(X86Cpu *cpu, void (*fn)(X86Cpu *cpu, void *opaque),
                void *opaque);

/*
 * From a vCPU thread inside run(), machine lock not held: waits until no
 * other vCPU is inside guest code, and keeps it so until the end call. A vCPU
 * that waits here counts as outside. With one vCPU there is nothing to do.
 */
void cpus_exclusive_begin(X86Cpu *cpu);
void cpus_exclusive_end(X86Cpu *cpu);

#endif
