/* Model-specific registers: RDMSR, WRMSR, and readers outside the guest. */
#ifndef TARGET_X86_MSR_H
#define TARGET_X86_MSR_H

#include "target-x86/cpu.h"

/*
 * false: #GP(0), nothing changed: no such MSR in this processor, a value with
 * reserved bits, or one that cannot be written (read). In the vCPU's thread,
 * or while it is paused; the machine lock need not be held.
 */
bool x86_rdmsr(X86Cpu *c, uint32_t msr, uint64_t *v);
bool x86_wrmsr(X86Cpu *c, uint32_t msr, uint64_t v);
/* "IA32_EFER", or NULL. */
const char *x86_msr_name(uint32_t msr);

#endif
