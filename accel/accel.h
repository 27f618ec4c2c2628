/*
 * What can execute guest code: "tcg" (this host's C code), "kvm".
 *
 * An accelerator runs one vCPU on the calling thread until something else must
 * happen, and nothing more. Threads, pausing, and the run loop are common
 * code (accel/cpus.c). Guest I/O inside run() goes through as_load()/
 * as_store() on cpu->machine, so there is no list of exits to interpret.
 *
 * State: between runs the accelerator may hold the registers
 * (cpu->state_in_accel). cpu_state() pulls them once; the next run pushes.
 */
#ifndef ACCEL_ACCEL_H
#define ACCEL_ACCEL_H

#include "target-x86/cpu.h"

typedef enum CpuExit {
    CPU_EXIT_KICKED, /* look at cpu->pending and call run() again */
    CPU_EXIT_HALTED, /* nothing to do until an interrupt */
    CPU_EXIT_DEBUG,  /* breakpoint or single step */
    CPU_EXIT_TRIPLE_FAULT,
    CPU_EXIT_FAILED, /* logged; the VM goes to RUN_INTERNAL_ERROR */
} CpuExit;

/* A debugger's watchpoint on linear addresses. */
typedef struct CpuWatch {
    uint64_t addr, len;
    bool read, write; /* what stops */
} CpuWatch;

enum { CPU_WATCH_MAX = 16 };

/* Takes a number of "info stats". */
typedef void CpuStatFn(const char *name, uint64_t value, void *opaque);

typedef struct AccelOps {
    const char *name;
    const char *desc;
    const char *default_cpu; /* CPU model: "max" */
    /* What -accel NAME,x= may be; NULL-terminated. Those of QEMU's that change
     * nothing here are among them. */
    const char *const *options;
    size_t cpu_size; /* of the struct that begins with an X86Cpu */
    bool (*available)(GError **errp); /* for -accel help */
    /* Optional: what the host offers, for -accel NAME,help. */
    void (*report)(const char *device, GString *out);

    Accel *(*open)(Machine *m, KeyVal *options, GError **errp);
    void (*close)(Accel *accel);
    /* Optional: takes out of a model what guests cannot have here. */
    void (*limit_model)(Accel *accel, CpuModel *cm);
    bool (*cpu_init)(X86Cpu *cpu, GError **errp); /* in the main thread */
    void (*cpu_exit)(X86Cpu *cpu);

    CpuExit (*run)(X86Cpu *cpu);
    bool looks; /* run() calls machine_run_later() now and then, and serves
                 * CPU_SOON */
    void (*kick)(X86Cpu *cpu); /* any thread: run() returns soon */
    void (*pull)(X86Cpu *cpu); /* accelerator -> cpu->s */
    /* cpu->s -> accelerator, before run(). NULL: run() itself does it. */
    void (*push)(X86Cpu *cpu);

    /* Optional, NULL if there is nothing to do. */
    void (*map_changed)(Accel *accel, const FlatMap *map);
    void (*io_changed)(Accel *accel, const FlatMap *map);       /* ports */
    void (*ram_written)(Accel *accel, hwaddr addr, hwaddr len); /* by DMA */
    void (*dirty_sync)(Accel *accel, Region *ram, unsigned long *bitmap);
    bool (*set_debug)(X86Cpu *cpu, const hwaddr *breakpoints, unsigned n,
                      bool single_step);
    /* Stops behind the instruction that touches one; cpu->watch_hit says which.
     * vCPU paused. False: more than CPU_WATCH_MAX. */
    bool (*set_watch)(X86Cpu *cpu, const CpuWatch *watch, unsigned n);
    /* Guest-linear to guest-physical for debuggers; no side effects. */
    bool (*translate)(X86Cpu *cpu, uint64_t lin, hwaddr *phys);
    /* Calls @fn for each number that tells what the vCPU did; paused. */
    void (*stats)(X86Cpu *cpu, CpuStatFn *fn, void *opaque);
} AccelOps;

struct Accel { /* first member of KvmAccel, TcgAccel */
    const AccelOps *ops;
    Machine *machine;
};

extern const AccelOps *const accels[]; /* accel.c; NULL-terminated */

const AccelOps *accel_find(const char *name); /* NULL: no such */
/*
 * Opens the first of @names ("kvm:tcg") that works into m->accel. Names that
 * do not exist are skipped with QEMU's warning lines if another follows.
 */
bool accel_open(Machine *m, const char *names, KeyVal *options, GError **errp);
/* Does each key of @options belong to one of @names? */
bool accel_check_options(const char *names, KeyVal *options, GError **errp);
void accel_close(Machine *m);

#endif
