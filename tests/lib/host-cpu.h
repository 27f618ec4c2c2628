/*
 * Runs instructions on the host itself with any register contents: general,
 * flags, ymm, x87, and a window of memory.
 *
 * Works in a child process. The code page is full of INT3, so wherever the
 * instruction ends it traps there, and an instruction that faults is a signal
 * as well: one way out for all. 32-bit code needs no kernel support: the 32-bit
 * user code segment is in the GDT of every x86-64 Linux.
 *
 * The makefile links this into every tests/GROUP/test-NAME.c that includes it.
 */
#ifndef TESTS_LIB_HOST_CPU_H
#define TESTS_LIB_HOST_CPU_H

#include "util/osdep.h"

enum {
    HOST_CODE = 0x20000000,        /* one page of it, nothing around it */
    HOST_INSN = HOST_CODE + 0x800, /* the instruction's address */
    HOST_MEM = 0x20010000,         /* the window; absent pages on both sides */
    HOST_MEM_SIZE = 0x2000,
    HOST_CS64 = 0x33, /* the user's selectors of Linux */
    HOST_CS32 = 0x23,
    HOST_DS = 0x2b,
    HOST_BYTES = 256, /* at most */
};

typedef struct HostState {
    uint8_t fx[512]; /* as FXSAVE64 */
    uint8_t ymm[16][32];
    uint64_t gpr[16];
    uint64_t rflags;
    uint64_t rip;   /* out: where it ended, or the fault's address */
    int64_t vector; /* out: -1, or the exception */
    uint64_t error, cr2;
    uint8_t mem[HOST_MEM_SIZE];
} __attribute__((aligned(64))) HostState;

typedef struct HostJob {
    HostState in, out;
    uint8_t bytes[HOST_BYTES];
    uint32_t len, bits; /* bits: 32 or 64 */
    bool done;          /* false afterwards: the child did not survive it */
} HostJob;

/* False: not with this host (no AVX, addresses taken). */
bool host_cpu_usable(void);
/* @n jobs in shared memory; zeroed. */
HostJob *host_jobs_new(unsigned n);
void host_jobs_free(HostJob *jobs, unsigned n);
/* Fills in out and done of the @n jobs. */
void host_run_jobs(HostJob *jobs, unsigned n);
/* The host has the feature @id (CpuFeature) in CPUID. */
bool host_has_feature(unsigned id);

#endif
