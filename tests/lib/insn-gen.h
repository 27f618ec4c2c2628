/*
 * Makes instructions and operands for them, to be run on the host
 * (tests/lib/host-cpu.h) and on ours.
 *
 * Values are boundary cases and noise, addresses mostly inside the window,
 * sometimes across its ends. Same seed, same instructions.
 *
 * The makefile links this into every tests/GROUP/test-NAME.c that includes it.
 */
#ifndef TESTS_LIB_INSN_GEN_H
#define TESTS_LIB_INSN_GEN_H

#include "target-x86/cpuid.h"
#include "target-x86/insn.h"
#include "tests/lib/host-cpu.h"

void gen_seed(uint64_t seed);
uint64_t gen_random(void);
unsigned gen_below(unsigned n);
bool gen_one_in(unsigned n);

/*
 * Rows that a user-mode host process can run and repeat: not privileged ones,
 * far transfers and segment loads (the host's descriptor tables are not ours),
 * what asks the machine (CPUID, time, random numbers) or would pull the rug
 * from under the process (FS base).
 */
bool gen_row_usable(unsigned id);
/* Only rows whose feature @model has, too, and none of the names in @but (with
 * spaces between); NULL: all. */
void gen_limit(const CpuModel *model, const char *but);
/* The row's name is one of @list, which is separated by blanks. */
bool insn_is(const Insn *in, const char *list);
bool row_has_operand(const InsnRow *row, OpKind kind);

/* One encoding of row @id with operands for it: bytes, len, bits and in of
 * @job. False: not this time, try again. */
bool gen_single(HostJob *job, unsigned id, unsigned bits, Insn *in);

/*
 * Up to @n instructions in a row that mostly do not fault, with forward
 * branches among them; no instruction reads a flag that is undefined.
 * @undefined has HOST_BYTES + 1 elements: flags that may be undefined before
 * the instruction at that offset, or at the end.
 */
void gen_block(HostJob *job, unsigned bits, unsigned n, uint32_t *undefined);

#endif
