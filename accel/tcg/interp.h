/* Handlers of decoded operations. Private to accel/tcg. */
#ifndef ACCEL_TCG_INTERP_H
#define ACCEL_TCG_INTERP_H

#include "accel/tcg/tb.h"

/*
 * Without optimisation, and under sanitizers, a call at the end of a handler
 * is not a jump: there each handler notes where to go on and returns.
 */
#ifndef INTERP_TRAMPOLINE
#if !defined(__OPTIMIZE__) || defined(__SANITIZE_ADDRESS__) || \
    defined(__SANITIZE_THREAD__)
#define INTERP_TRAMPOLINE 1
#else
#define INTERP_TRAMPOLINE 0
#endif
#endif

/* Runs from the block on until a handler returns to the run loop. */
void interp_run(TcgCpu *tc, Tb *tb);
/* Chooses handlers for a block that was just decoded. */
void interp_specialise(TcgCpu *tc, Tb *tb);
/* The handler of a dead block's operations. */
void interp_dead(X86Cpu *c, const Insn *op);
/* Makes the operation raise @vector. #GP has error code 0. */
void interp_make_fault(Insn *op, int vector);
/* A conditional jump, in a block at @host, that need not end the block: the
 * code behind it goes on there. @in->off is set. */
bool interp_passes(const Insn *in, const uint8_t *host, uint32_t key);
/* Classes of rows by their names. */
uint16_t *interp_classify(void);

#endif
