/*
 * A CPU without an engine: target-x86/access.h over one flat buffer.
 *
 * A test makes a FakeCpu, chooses a mode, fills memory and registers, and runs
 * sem_*() functions (fake_exec) or encoded instructions (fake_bytes). Guest
 * memory is a window of @size bytes at linear address @base; whatever is
 * outside raises #PF. Each page of it can be made absent, read-only or MMIO.
 * There is no paging and no engine: faults end in FakeCpu.cpu.fault.
 *
 * The makefile links this into every tests/GROUP/test-NAME.c that includes it.
 */
#ifndef TESTS_LIB_FAKE_ACCESS_H
#define TESTS_LIB_FAKE_ACCESS_H

#include "target-x86/access.h"
#include "target-x86/insn.h"

typedef enum FakeMode {
    FAKE_REAL,   /* segments at base 0, limit 0xffff */
    FAKE_VM86,   /* CPL 3, IOPL 0 */
    FAKE_PROT16, /* flat, CPL 0 */
    FAKE_PROT32,
    FAKE_COMPAT32, /* 32-bit code under EFER.LMA */
    FAKE_LONG64,
} FakeMode;

typedef enum FakePage { FAKE_RW, FAKE_RO, FAKE_ABSENT, FAKE_MMIO } FakePage;

/* How fake_exec() ended: 0 and the UNWIND_* of seg.h. */
typedef enum FakeExit {
    FAKE_DONE,    /* the function returned */
    FAKE_FAULT,   /* x86_raise*(): cpu.fault has it */
    FAKE_RESTART, /* x86_restart() */
    FAKE_UD,      /* fake_bytes(): no such instruction, or no sem for it */
} FakeExit;

typedef struct FakeIo {
    uint16_t port;
    uint8_t size;
    bool write;
    uint64_t value;
} FakeIo;

typedef struct FakeCpu {
    X86Cpu cpu; /* first: the functions of access.h cast */
    uint8_t *ram;
    uint64_t base;
    size_t size;
    uint8_t *page; /* FakePage of each 4 KiB */

    FakeIo io[64]; /* what was asked of ports, in order */
    unsigned n_io;
    uint64_t io_next; /* what the next port read gives; then one more */

    int leave_after; /* cpu_should_leave() says yes at this call; 0: never */
    bool exclusive;  /* between mem_exclusive_begin() and end() */
    unsigned n_exclusive, n_flush;
    uint64_t wrote; /* bytes told to mem_run_wrote() */
} FakeCpu;

FakeCpu *fake_new(FakeMode mode, uint64_t base, size_t size);
void fake_free(FakeCpu *f);
/* Fresh registers and segments; memory and page kinds stay. */
void fake_mode(FakeCpu *f, FakeMode mode);
void fake_set_cpl(FakeCpu *f, unsigned cpl);
void fake_set_page(FakeCpu *f, uint64_t lin, FakePage kind);
/* Host pointer to linear address @lin, which is in the window. */
void *fake_ptr(FakeCpu *f, uint64_t lin);

FakeExit fake_exec(FakeCpu *f, InsnFn *fn, const Insn *in);
/* Decodes at most @len bytes as if at s.rip, runs them, moves s.rip on as the
 * engine does. @out (may be NULL) gets what was decoded. */
FakeExit fake_bytes(FakeCpu *f, const void *bytes, size_t len, Insn *out);

/* The vector that @call raised, or -1. @b has the X86Cpu *c. */
#define ATTEMPT(b, call) \
    (sigsetjmp((b)->c->unwind, 0) == 0 \
         ? ((b)->c->fault = (X86Fault) { .vector = -1 }, (call), -1) \
         : (b)->c->fault.vector)

#endif
