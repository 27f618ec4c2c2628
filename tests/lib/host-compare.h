/* What the host made of an instruction against what we made of it. */
#ifndef TESTS_LIB_HOST_COMPARE_H
#define TESTS_LIB_HOST_COMPARE_H

#include "tests/lib/insn-gen.h"

/* X86State of 64-bit or 32-bit user code, without segments and CRs. */
void host_state_to_cpu(const HostState *h, X86State *s);
/* flags_sync() has been done. */
void host_state_from_cpu(const X86State *s, HostState *h);

/*
 * Differences of job->out and @ours, a line each; empty if there are none.
 * @in: the instruction that faulted, or the only one. @ours is changed where a
 * difference is forgiven.
 */
GString *host_compare(const HostJob *job, HostState *ours, const Insn *in,
                      uint64_t flag_mask);
/* Appends the operands that went in. */
void host_describe(GString *d, const HostJob *job, const Insn *in);
void host_put_bytes(GString *s, const uint8_t *p, unsigned n);

#endif
