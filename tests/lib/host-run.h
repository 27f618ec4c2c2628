/*
 * Runs one instruction on the host itself: registers in, registers out.
 *
 * User-mode instructions without a stack or branch of their own. #DE, #UD,
 * #GP and #PF come back as a vector instead of a signal.
 */
#ifndef TESTS_LIB_HOST_RUN_H
#define TESTS_LIB_HOST_RUN_H

#include "util/osdep.h"

typedef struct HostRegs {
    uint64_t gpr[16]; /* as in X86State; rSP is not loaded */
    uint64_t flags;   /* arithmetic flags and DF */
} HostRegs;

/* -1, or the vector of the exception it raised; then @r is as it was. */
int host_run(const void *bytes, size_t len, HostRegs *r);
/* The same in 32-bit code: EAX and flags only. -2: this host cannot. */
int host_run32(const void *bytes, size_t len, HostRegs *r);

#endif
