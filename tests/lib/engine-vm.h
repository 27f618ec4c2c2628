/*
 * A machine with RAM and one CPU, run from the test's own thread. The software
 * CPU's, or that of the engine that EVM_ENGINE in the environment names. With
 * EVM_JIT=N it translates a block after so many executions; off: never.
 *
 * The guest's first megabytes: 0x1000 page tables (identity, 2 MiB pages, 4 GiB),
 * 0x8000 GDT, 0x9000 IDT, 0xa000 a stub per vector, 0xb000 TSS. Every exception
 * ends in `hlt` of its stub, so that evm_run() returns its vector and the
 * frame is on the stack. Programs go where the test likes, EVM_CODE for most.
 */
#ifndef TESTS_LIB_ENGINE_VM_H
#define TESTS_LIB_ENGINE_VM_H

#include "accel/accel.h"

enum {
    EVM_RAM = 16 << 20,
    EVM_TABLES = 0x1000,
    EVM_GDT = 0x8000,
    EVM_IDT = 0x9000,
    EVM_STUBS = 0xa000,
    EVM_TSS = 0xb000,
    EVM_CODE = 0x100000,
    EVM_STACK = 0x90000,
    EVM_DATA = 0x200000,
};

typedef enum EvmMode { EVM_REAL, EVM_PROT32, EVM_LONG64, EVM_USER64 } EvmMode;

typedef struct Evm {
    Machine *m;
    X86Cpu *c;
    CpuModel *model;
    bool smp;
    unsigned halted; /* atomic: set of CPU indexes */
    Region ram;
} Evm;

Evm *evm_new(EvmMode mode);
/* With @ncpus vCPU threads, paused, all in @mode at EVM_CODE; for evm_run_all().
 * vm->c is the first one. */
Evm *evm_new_smp(EvmMode mode, unsigned ncpus);
/* Runs until all have halted, or @seconds have passed: false, and they go on
 * when it is called again. */
bool evm_run_all(Evm *vm, unsigned seconds);
/* Of one engine, or NULL if this host has it not. */
Evm *evm_new_on(EvmMode mode, const char *engine);
/* The same with the accelerator's @options ("kvm,kernel-irqchip=on") and, if not
 * NULL, a machine class for it to look at. */
Evm *evm_new_with(EvmMode mode, const char *engine, const char *options,
                  const MachineClass *cls);
/* One instruction: CPU_EXIT_DEBUG, or what else came of it. */
CpuExit evm_single_step(Evm *vm);
/* The software CPU executes, whose instructions can be counted. */
bool evm_is_tcg(const Evm *vm);
void evm_free(Evm *vm);
/* Registers, tables and segments of @mode again; memory else stays. */
void evm_mode(Evm *vm, EvmMode mode);
void evm_write(Evm *vm, hwaddr addr, const void *bytes, size_t len);
void *evm_ptr(Evm *vm, hwaddr addr);
/* The 4 KiB page at @lin, below 2 MiB boundary rules: splits the 2 MiB page
 * the first time, then sets its entry. */
void evm_map(Evm *vm, uint64_t lin, uint64_t entry);
/*
 * Runs from s.rip until HLT, @max instructions (0: no end) or the end of
 * everything. Returns the vector of the stub where it stopped, EVM_HALT for
 * another hlt, EVM_LIMIT, EVM_TRIPLE.
 */
int evm_run(Evm *vm, uint64_t max);
enum { EVM_HALT = 256, EVM_LIMIT, EVM_TRIPLE };

/* The frame that a long mode stub left: at RSP. */
typedef struct EvmFrame {
    uint64_t error, rip, cs, rflags, rsp, ss;
} EvmFrame;
EvmFrame evm_frame(Evm *vm, int vector);

/* Assembles @text (64-bit, AT&T) into the test: evm_##name to its end. */
#define EVM_PROGRAM(name, text) \
    extern const uint8_t evm_##name[], evm_##name##_end[]; \
    __asm__(".pushsection .rodata\n.balign 4096\nevm_" #name ":\n" text \
            "\nevm_" #name "_end:\n.popsection\n")
#define EVM_LOAD(vm, addr, name) \
    evm_write(vm, addr, evm_##name, evm_##name##_end - evm_##name)

#endif
