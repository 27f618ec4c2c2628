/*
 * Every x87, MMX, SSE and AVX row of insn.def against the processor below us:
 * random encodings and hard operands (denormals, NaNs, infinities, halfway
 * cases), with random rounding, FTZ, DAZ, precision, sticky flags, empty x87
 * registers and, now and then, unmasked exceptions. Registers, flags, MXCSR,
 * the x87 state and memory must come out the same.
 *
 * Environment: SIMD_SEED, SIMD_ROUNDS and SIMD_ROW (a name) choose what is run.
 */
#ifndef TESTS_LIB_SIMD_CASE_H
#define TESTS_LIB_SIMD_CASE_H

#include "target-x86/insn.h"

enum { SIMD_MEM = 0x4000 };

/* What is tested: 64-bit mode, all of SSE and AVX enabled. */
typedef struct SimdTarget {
    X86State *s;
    uint8_t *mem;  /* SIMD_MEM bytes of guest memory */
    uint64_t base; /* where the guest has them */
    /* Registers other than those of x87, SSE, AVX and GPRs. */
    void (*reset)(void *opaque);
    /* Executes one instruction. Vector of the exception, or -1. */
    int (*run)(void *opaque, const uint8_t *bytes, unsigned len);
    void *opaque;
    bool fewer; /* it has not all that the host has: #UD is no difference */
} SimdTarget;

/* g_assert()s that no row differs. Needs a host with AVX. */
void simd_run_rows(const SimdTarget *t);

#endif
