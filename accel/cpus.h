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

/* Makes m->ncpus CPUs (m->cpu[]) for m->accel, threads paused. Sets
 * m->cpus_pause/resume/reset. */
bool cpus_create(Machine *m, GError **errp);
void cpus_destroy(Machine *m);

void cpus_pause(Machine *m);  /* returns when no vCPU runs */
void cpus_resume(Machine *m);
void cpus_reset(Machine *m);  /* x86_reset() of all; paused */

/* Any thread: makes run() return soon, or wakes an idle vCPU. */
void cpu_kick(X86Cpu *cpu);
/* Runs @fn in the vCPU's thread between instructions; waits for it. */
void cpu_run_on(X86Cpu *cpu, void (*fn)(X86Cpu *cpu, void *opaque),
                void *opaque);

/*
 * From a vCPU thread inside run(), machine lock not held: waits until no
 * other vCPU is inside guest code, and keeps it so until the end call. A vCPU
 * that waits here counts as outside.
 */
void cpus_exclusive_begin(X86Cpu *cpu);
void cpus_exclusive_end(X86Cpu *cpu);

#endif
