/* CPU registers by the names people type: $rax, $eip, $pc, $cs, $cr3. */
#ifndef MONITOR_REGS_H
#define MONITOR_REGS_H

#include "target-x86/cpu.h"

/* vCPU paused, or the caller's own thread. */
bool monitor_register(X86Cpu *cpu, const char *name, uint64_t *value);

#endif
