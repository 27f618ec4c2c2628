/*
 * One virtual machine. Everything that belongs to a VM hangs off this struct;
 * there are no other globals, so a test can make two.
 *
 * The machine lock is recursive. The main thread holds it while it handles
 * events, a vCPU while it is inside a RegionOps callback; nobody holds it
 * while guest code runs.
 */
#ifndef SYSTEM_MACHINE_H
#define SYSTEM_MACHINE_H

#include "system/device.h"
#include "system/event.h"
#include "system/irq.h"
#include "system/memory.h"
#include "system/watchdog.h"

typedef struct X86Cpu X86Cpu;
typedef struct Accel Accel;
typedef struct Chardev Chardev;
typedef struct KeyVal KeyVal;
typedef struct CpuModel CpuModel;
typedef struct HostKernel HostKernel;
typedef struct BlockGraph BlockGraph;
typedef struct Later Later;

typedef struct MachineClass {
    const char *name;  /* "pc", "q35", "microvm", "none" */
    const char *alias; /* "pc-i440fx-7.2", or NULL */
    const char *desc;
    unsigned max_cpus;
    /* Where -drive if=virtio and -nic put their devices: "PCI", "virtio-bus";
     * NULL: there are none. */
    const char *virtio_bus;
    bool irqchip; /* has 8259s, local APICs and an I/O APIC of hw/intc, which an
                   * accelerator may have in the host's kernel */
    void (*print_options)(const struct MachineClass *mc, GString *out);
    bool (*build)(Machine *m, GError **errp); /* map RAM, make devices */
    void (*reset)(Machine *m); /* after the devices' and the CPUs' reset */
    void (*unbuild)(
        Machine *m); /* frees m->board, after the devices; or NULL */
} MachineClass;

typedef enum RunState {
    RUN_PRELAUNCH,
    RUN_RUNNING,
    RUN_PAUSED,
    RUN_SHUTDOWN,
    RUN_GUEST_PANICKED,
    RUN_SAVE_VM,
    RUN_RESTORE_VM,
    RUN_INMIGRATE,      /* waits for -incoming */
    RUN_FINISH_MIGRATE, /* is being sent */
    RUN_POSTMIGRATE,    /* was sent */
    RUN_INTERNAL_ERROR,
    RUN_DEBUG,
    RUN_IO_ERROR, /* a disk's; "cont" tries again */
    RUN_WATCHDOG, /* a watchdog's; "cont" goes on */
} RunState;

typedef enum ResetCause {
    RESET_GUEST, /* port CF9, 8042, ACPI reset register */
    RESET_HOST,  /* system_reset */
    RESET_TRIPLE_FAULT,
} ResetCause;

enum {
    MACHINE_GSIS = 24,
    MACHINE_SERIALS = 4,
    MACHINE_MAX_CPUS = 255,
    MACHINE_LATER_MAX = 64,
};

/* What a panic that the guest reports leads to. */
typedef enum PanicAction {
    PANIC_SHUTDOWN, /* or a pause, with -no-shutdown */
    PANIC_PAUSE,
    PANIC_EXIT_FAILURE,
    PANIC_NONE,
} PanicAction;

/* What the command line says; strings are owned by the Machine. */
typedef struct MachineConfig {
    uint64_t ram_size, max_ram; /* max_ram: -m maxmem=, or 0 */
    unsigned ram_slots;
    bool ram_given; /* by -m size=; else a memory back end says it */
    unsigned ncpus, sockets, dies, cores, threads, max_cpus;
    char *cpu_model; /* "max,-avx2"; NULL: the accelerator's default */
    char *kernel, *initrd, *append, *firmware, *dtb;
    char *name;
    char *uuid;
    bool no_reboot;     /* -no-reboot, -action reboot=shutdown */
    bool no_shutdown;   /* -no-shutdown, -action shutdown=pause */
    bool start_paused;  /* -S */
    bool stats_on_exit; /* --stats-on-exit */
    PanicAction panic_action;
    WatchdogAction watchdog_action;
    bool no_acpi, no_hpet;
    int64_t rtc_offset_sec; /* -rtc base=: guest clock minus host UTC */
    bool rtc_local;
    bool rtc_vm;          /* -rtc clock=vm: it stands while the machine does */
    KeyVal *machine_opts; /* of all -machine options, merged */
    GPtrArray *globals;   /* of char *: "driver.prop=value" */
    GPtrArray *fw_cfg;    /* of char *: -fw_cfg arguments */
    GPtrArray *smbios;    /* of char *: -smbios arguments */
    GPtrArray *flat;      /* of char *: -flat arguments */
} MachineConfig;

struct Machine {
    const MachineClass *cls;
    MachineConfig cfg;
    GRecMutex lock;
    GThread *lock_owner; /* atomic; these two of machine_lock() */
    unsigned lock_depth;
    AddressSpace *mem, *io;
    void *ram_host; /* of -machine memory-backend=; NULL: none was named */
    Clock *vclock;
    unsigned ncpus;
    X86Cpu **cpu;
    Accel *accel;
    HostKernel *host; /* system/host-kernel.h; of the accelerator, or NULL */
    void *cpus;       /* of accel/cpus.c */
    const CpuModel *cpu_model; /* resolved, before cpus_create() */
    IrqLine gsi[MACHINE_GSIS]; /* legacy interrupt inputs, wired by build() */
    Chardev *serial[MACHINE_SERIALS]; /* host ends of COM1-4, may be NULL */
    Chardev *debugcon;
    GPtrArray *devices;   /* in realize order; owned */
    GHashTable *chardevs; /* id -> Chardev */
    GPtrArray *objects;   /* -object; of Device *, see system/object.h */
    GPtrArray *drives;    /* these three: of hw/block/drive.c */
    GPtrArray *blockdevs;
    BlockGraph *block_graph;
    GPtrArray *netdevs;    /* -netdev; of NetPort * */
    GPtrArray *pci_buses;  /* of hw/pci/bus.c */
    GPtrArray *scsi_buses; /* of hw/scsi/scsi.c */
    void *monitors;        /* of monitor/monitor.c */
    RunState state;
    int exit_code;
    ResetCause reset_cause; /* of the last reset */
    void *board;            /* what build() wants to find again in reset() */
    X86Cpu *debug_cpu; /* atomic: who came to a breakpoint; see gdbstub.c */
    void *requests;    /* of machine.c */
    void *gdb;         /* of gdbstub.c */
    void *migration;   /* of migrate.c */
    void *snapshot;    /* the SnapImage that RAM lies over, or NULL */
    /* Set by cpus_create(), called by machine.c from the main loop: start, stop
     * and reset the vCPUs. NULL in device tests. */
    void (*cpus_pause)(Machine *m);
    void (*cpus_resume)(Machine *m);
    void (*cpus_reset)(Machine *m);
    /* A non-maskable interrupt to every vCPU, as the board wires it (PCs: to
     * LINT1 of the local APICs); lock held, any thread. */
    void (*cpus_nmi)(Machine *m);
    /* In a vCPU's thread: it waits before its next instruction until a
     * cpus_resume() when machine_is_asked() is false, true. Elsewhere: nothing,
     * false. */
    bool (*cpus_hold)(Machine *m);
    /* Set by hw/block: after STOP was told, before anything else. May run the
     * main loop. */
    void (*settle_disks)(Machine *m);
    /* In a vCPU's thread, lock not held: it executed HLT and nothing pending
     * would wake it. May be NULL. */
    void (*on_halt)(X86Cpu *cpu);
    /* Of later.c. cpus_look: vCPUs call machine_run_later(), see there; cpus_soon
     * makes this thread's vCPU call machine_idle_turn() after its instruction.
     */
    bool cpus_look;
    void (*cpus_soon)(Machine *m);
    unsigned cpus_asleep; /* atomic: vCPUs that wait for an interrupt */
    unsigned n_later;     /* atomic */
    Later *later;
    GSList *watchers; /* of event.c */
    /* Power button, wired by build(). */
    IrqLine power_button;
    unsigned pins;     /* of machine_pin() */
    unsigned deferred; /* of machine_defer(), to come */
    bool holds_kept;   /* cpus_resume() was called meanwhile */
    /* Of machine_hold(): for whom it is held, and what comes after. */
    const char *held;
    bool start_after, reset_after;
    RunState state_after;
    ResetCause reset_after_cause;
};

extern const MachineClass *const machine_classes[]; /* hw/registry.c */

/* Empty, with lock, address spaces, lists and clock: @clk, which it then owns,
 * or NULL for the host's, which machine_start() starts. */
Machine *machine_new(const MachineClass *cls, Clock *clk);
/* For build(): cfg.ram_size bytes of guest memory, those of the memory back end
 * if there is one. region_fini() as ever. */
bool machine_init_ram(Machine *m, Region *r, const char *name, GError **errp);
/* After cpus_destroy(). Frees the devices, the last one first; the Chardevs
 * in m->chardevs must live until then and are their maker's to free. */
void machine_free(Machine *m);

static inline void machine_lock(Machine *m)
{
    g_rec_mutex_lock(&m->lock);
    if (m->lock_depth++ == 0) {
        __atomic_store_n(&m->lock_owner, g_thread_self(), __ATOMIC_RELAXED);
    }
}

static inline void machine_unlock(Machine *m)
{
    if (--m->lock_depth == 0) {
        __atomic_store_n(&m->lock_owner, NULL, __ATOMIC_RELAXED);
    }
    g_rec_mutex_unlock(&m->lock);
}

/* Lets go of the lock however often this thread holds it, and takes it back as
 * often. Main thread, to wait for a vCPU. Not from inside a RegionOps. */
unsigned machine_unlock_all(Machine *m);
void machine_relock(Machine *m, unsigned held);

/* Safe from any thread; acted on by the main loop. A vCPU that asks for one of
 * the first three executes nothing more until then. */
void machine_request_reset(Machine *m, ResetCause cause);
/* @exit_code of the process, unless -no-shutdown. */
void machine_request_shutdown(Machine *m, int exit_code);
/* Ends the process with status 0, -no-shutdown or not. @reason is a constant
 * of QMP: "host-qmp-quit", "host-signal", "host-ui". Main thread. */
void machine_request_quit(Machine *m, const char *reason);
/* The guest says that it panicked: what cfg.panic_action says. */
void machine_request_panic(Machine *m);
/* Stops the vCPUs in state @why (RUN_PAUSED, RUN_DEBUG, RUN_IO_ERROR ...). */
void machine_request_stop(Machine *m, RunState why);
void machine_request_powerdown(Machine *m);

/* Calls @fn from the main loop; a vCPU that asks executes nothing more until
 * then. False, and nothing is done: this is the main thread, call it yourself.
 * Machine lock held. */
bool machine_defer(Machine *m, void (*fn)(void *opaque), void *opaque);

/* Main thread, or all vCPUs paused: something that vCPUs are held for is yet to
 * be done. */
bool machine_is_asked(const Machine *m);

/* Main thread. */
bool machine_start(Machine *m, GError **errp); /* cont */
void machine_stop(Machine *m, RunState why);
/*
 * For what takes its time while the machine must not change: a snapshot, a
 * migration. Stops it in state @why; until machine_release() it does not start,
 * and a reset waits. @what is for who is refused, a constant: "a snapshot is
 * being saved". Error: somebody else holds it.
 */
bool machine_hold(Machine *m, const char *what, RunState why, GError **errp);
/* It runs again if it ran and nobody said "stop" meanwhile. */
void machine_release(Machine *m);
/* False and @errp when it is held. */
bool machine_is_free(const Machine *m, GError **errp);
/* Processors, then devices, then cls->reset(), which may set up the boot
 * processor. Pauses running vCPUs meanwhile. */
void machine_reset(Machine *m);
/*
 * The vCPUs stand still until the matching machine_unpin(), also if the main loop
 * runs in between and starts, resets or looks at the machine; then they run if it
 * does. Main thread; nests.
 */
void machine_pin(Machine *m);
void machine_unpin(Machine *m);
bool panic_action_parse(const char *text, PanicAction *out, GError **errp);
const char *run_state_name(RunState state); /* "running", "prelaunch" */

#endif
