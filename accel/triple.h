/* Telling the user of a triple fault. */
#ifndef ACCEL_TRIPLE_H
#define ACCEL_TRIPLE_H

#include "accel/accel.h"

/* In the vCPU's thread, after run() ended with CPU_EXIT_TRIPLE_FAULT and before
 * the machine is reset. */
void cpu_report_triple(X86Cpu *cpu);

#endif
