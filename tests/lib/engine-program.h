/*
 * Random straight code with forward jumps for the engine, and the state before
 * and after it. Flags that the manual leaves undefined may differ; instructions
 * that would read such a flag are not generated.
 *
 * The makefile links this into every tests/GROUP/test-NAME.c that includes it.
 */
#ifndef TESTS_LIB_ENGINE_PROGRAM_H
#define TESTS_LIB_ENGINE_PROGRAM_H

#include "tests/lib/engine-vm.h"

enum {
    DATA_SIZE = 4096,
    PROGRAM_MAX = 60 /* instructions */,
    /* Stays put: base of memory operands, index, stack. */
    BASE = R_RDI,
    INDEX = R_RBX,
};

typedef struct Program {
    uint8_t code[PROGRAM_MAX * 16];
    unsigned len, n;
    uint32_t undefined; /* flags, where the code is now */
    uint32_t ever;      /* flags that were, somewhere: for a #DE there */
    bool code64;
    bool simd;              /* SSE and AVX too; the machine must allow them */
    const CpuModel *model;  /* whose instructions; NULL: all */
    const char *const *but; /* but these, by name; or NULL */
} Program;

typedef struct Outcome {
    X86State s;
    uint8_t data[DATA_SIZE], stack[1024];
    int vector;
} Outcome;

/* Less than @n; the test's own random numbers. */
unsigned program_random(unsigned n);
/* Lets @vm's guest use AVX. */
void program_allow_simd(Evm *vm);
/* One more instruction. */
void program_add(Program *pr);
/* Registers, flags and data before it. */
void program_start(Outcome *o, bool code64);
/* Into the machine, and out of it. */
void outcome_start(Evm *vm, const Outcome *o);
void outcome_take(Evm *vm, Outcome *o);
bool outcome_equal(const Program *pr, const Outcome *a, const Outcome *b);
/* The program, and what differs. */
void outcome_show(const Program *pr, const Outcome *a, const Outcome *b);

#endif
