/*
 * The Linux KVM API as an accelerator: one KvmAccel per machine (a VM file
 * descriptor), one KvmCpu per vCPU around X86Cpu (a vCPU file descriptor and
 * the page it shares with the kernel).
 *
 * What KVM cannot execute, the software CPU does: every KvmCpu holds a TcgCpu,
 * and both work on the same X86State and the same memory, in turn.
 *
 * Everything in a KvmCpu belongs to its vCPU's thread, or to the main thread
 * while the vCPU is paused, except what says otherwise.
 */
#ifndef ACCEL_KVM_KVM_H
#define ACCEL_KVM_KVM_H

#include <linux/kvm.h>
#include "accel/tcg/tcg.h"
#include "system/host-kernel.h"

enum {
    KVM_EXITS_MAX = 64, /* reasons that are counted one by one */
    KVM_HW_BREAKPOINTS = 4,
    KVM_MSRS_MAX = 128,
};

typedef struct KvmCpu KvmCpu;
typedef struct KvmAccel KvmAccel;

#define KVM_REWALK_ADDR 0xfffbb000u /* see kvm_memory_rewalk() */

enum { KVM_CATCH_UD, KVM_CATCH_PF, KVM_CATCHES };

/* One user memory region. */
typedef struct KvmSlot {
    hwaddr base, size;
    uint8_t *host;
    uint32_t flags;
    bool used;
} KvmSlot;

/* What the host can do, once asked. */
typedef struct KvmCaps {
    bool readonly_mem, sregs2, xsave, xcrs, events, debugregs, user_msr,
        msr_filter, emul_exit, user_nmi, guest_debug, mp_state, get_tsc;
    int xsave_size; /* of KVM_GET_XSAVE2; 0: KVM_GET_XSAVE */
    unsigned slots, mce_banks;
    unsigned coalesced_page; /* of the vCPU's mapping; 0: no ring */
    bool coalesced_pio, ioeventfd, ioevent_any;
    bool clock, tsc_control; /* kvmclock; a TSC at any rate */
    bool tsc_deadline, irqchip, split_irqchip, pit2, signal_msi;
    unsigned irq_routes;
    bool shadow_mmu; /* no second level of page tables, as far as is known */
} KvmCaps;

/* An eventfd that the kernel signals. Compared as bytes: no padding. */
typedef struct KvmIoEvent {
    hwaddr addr;
    uint64_t value;
    unsigned size;
    int fd;
    uint32_t match, pio;
} KvmIoEvent;

/* Addresses whose writes may wait. Likewise. */
typedef struct KvmZone {
    hwaddr addr;
    uint32_t size, pio;
} KvmZone;

enum { KVM_PROBE_LEAVES = 10 };

/* What a small guest shows. */
typedef struct KvmProbe {
    bool done;
    bool adds_cpuid; /* guests see features that we did not give them */
    bool interprets; /* so slowly that it is no hardware */
    bool hide_leaf7; /* it would show AVX-512, which nobody here executes */
    bool warned;     /* of what CPUID shows in vain */
    bool user_runs;  /* user code, by itself: see user.c */
    uint64_t insns_per_sec;
    uint32_t answer[KVM_PROBE_LEAVES][4];
} KvmProbe;

struct KvmAccel {
    Accel accel;
    TcgAccel *soft;
    int fd, vm;
    int run_size;
    KvmCaps caps;
    KvmProbe probe;
    KvmSlot *slot; /* caps.slots, of which n_slots were ever used */
    unsigned n_slots;
    struct kvm_cpuid2 *supported; /* KVM_GET_SUPPORTED_CPUID */
    CpuModel
        *whole; /* as it was asked for, for guests that KVM does not take */
    Timer turn; /* calls KVM off for a burst; see complete.c */
    HostKernel host;           /* machine->host */
    GArray *io_events, *zones; /* of KvmIoEvent, KvmZone: as the kernel has */
    GArray *routes;            /* of struct kvm_irq_routing_entry: irq.c */
    struct kvm_coalesced_mmio_ring *ring; /* in a vCPU's mapping */
    bool in_flush;
    uint64_t coalesced; /* writes taken from it */
    bool turns;         /* -accel kvm,turns=off: see complete.c */
    bool completion;    /* -accel kvm,completion=off: the VM stops instead */
};

/* Exits to one port or address. */
typedef struct KvmPlace {
    uint64_t addr;
    bool mmio, write;
    uint64_t count, ns;
} KvmPlace;

typedef struct KvmStats {
    GMutex lock; /* the monitor looks while the vCPU runs */
    uint64_t exits[KVM_EXITS_MAX], ns[KVM_EXITS_MAX];
    KvmPlace place; /* of the exit being handled, if has_place */
    bool has_place;
    GHashTable *places;    /* KvmPlace, by itself */
    GHashTable *completed; /* mnemonic -> uint64_t */
    uint64_t failures, bursts, burst_insns, burst_ns, in_kvm_ns;
} KvmStats;

struct KvmCpu {
    TcgCpu tcg;
    KvmAccel *kvm;
    int fd;
    struct kvm_run *run;
    bool in_kvm; /* atomic: the thread is about to call KVM_RUN, or in it */
    pthread_t thread;
    bool has_thread;
    bool io_pending;     /* the last exit's access ends with the next KVM_RUN */
    bool tsc_dirty;      /* push the TSC even if its offset did not change */
    bool tsc_kept;       /* the machine stands still: s.tsc_offset holds */
    uint64_t tsc_hz;     /* of the host */
    uint64_t tsc_offset; /* as last pulled or pushed */
    uint32_t irr[8];     /* of the kernel's APIC, when it was pulled */
    bool failed;         /* an ioctl that must not fail did; told once */
    bool unfit; /* KVM does not take the state: the software CPU executes */
    bool unfit_told;
    void *xsave;               /* xsave_size bytes */
    uint8_t msr[KVM_MSRS_MAX]; /* rows of msr.c that the host takes */
    unsigned n_msrs;

    /* Completion in software. */
    int64_t now;       /* host ns when the last exit was handled; 0: long ago */
    uint64_t burst;    /* instructions next time */
    int64_t burst_end; /* host ns; when KVM went on */
    int64_t burst_end_cpu; /* the thread's own ns, after a turn's burst */
    bool turns;            /* bursts also come without a failure */
    bool in_burst;         /* atomic: the software CPU executes */
    bool soft_debug;       /* more breakpoints than debug registers */
    struct kvm_guest_debug debug;   /* as KVM has it */
    uint64_t catch_at[KVM_CATCHES]; /* handlers' entries; 0: none. user.c */

    KvmStats stats;
};

extern const AccelOps kvm_accel;

/* KVM_SET_GUEST_DEBUG, if anything about it is new. */
void kvm_debug_update(KvmCpu *kc);

static inline KvmCpu *kvm_cpu(X86Cpu *c)
{
    return (KvmCpu *)c;
}

static inline X86Cpu *kvm_x86(KvmCpu *kc)
{
    return &kc->tcg.cpu;
}

/* An ioctl with -d kvm: its name, its result. -1 and errno. */
int kvm_call(int fd, unsigned long request, const char *name, void *arg);
#define KVM_CALL(fd, request, arg) \
    kvm_call((fd), (request), #request, (void *)(uintptr_t)(arg))

/* ---- open.c, host.c: what the host has -------------------------------------- */

/*
 * Opens @path (NULL: /dev/kvm), checks that it is KVM, that it speaks version
 * 12, makes a VM, which must have all that cannot be missed. The errors say what is wrong and what to do. @fd and @vm
 * are the caller's to close.
 */
bool kvm_host_open(const char *path, int *fd, int *vm, GError **errp);
/* "-accel kvm,help". */
void kvm_host_report(const char *path, GString *out);
void kvm_host_caps(int vm, KvmCaps *caps);

/* ---- probe.c ------------------------------------------------------------------ */

/* Runs a guest with @cpuid in a VM of its own; all 0 if that fails. */
void kvm_probe_guest(int fd, size_t run_size, struct kvm_cpuid2 *cpuid,
                     KvmProbe *p);
/* Does a guest with @cpuid execute an AVX-512 instruction? */
bool kvm_probe_avx512(int fd, size_t run_size, struct kvm_cpuid2 *cpuid);
/* What it saw: EAX EBX ECX EDX, or NULL. */
const uint32_t *kvm_probe_leaf(const KvmProbe *p, uint32_t leaf, uint32_t sub);

/* Does SYSCALL in user mode reach the kernel's code in kernel mode? */
bool kvm_probe_syscall(int fd, size_t run_size, struct kvm_cpuid2 *cpuid);

/* ---- user.c: user mode where the kernel does not see all of it ------------- */

void kvm_user_init(KvmCpu *kc);
/* Where the guest's handlers begin now, for kvm_debug_update(). */
void kvm_user_watch(KvmCpu *kc);
/* After KVM_EXIT_DEBUG: was it for us? Then @exit is what came of it. */
bool kvm_user_caught(KvmCpu *kc, CpuExit *exit);
/*
 * Before a burst: KVM may have stopped at the handler, where a breakpoint is,
 * without a word of that. true: s is where it came from.
 */
bool kvm_user_take_back(KvmCpu *kc);
/* The next instruction cannot be single-stepped by KVM. */
bool kvm_user_step_is_soft(KvmCpu *kc);

/* ---- memory.c: the flat map as slots ----------------------------------------- */

void kvm_memory_map_changed(Accel *accel, const FlatMap *map);
/* KVM_GET_DIRTY_LOG of what lies in @ram; bits are or-ed into @bitmap. */
void kvm_memory_dirty_sync(Accel *accel, Region *ram, unsigned long *bitmap);
/* Guest memory, and page tables in it, was written behind the kernel's back. */
void kvm_memory_rewalk(KvmAccel *a);
void kvm_memory_close(KvmAccel *a);

/* ---- ioevent.c: ioeventfds, coalesced writes ----------------------------------- */

void kvm_ioevent_init(KvmAccel *a);
void kvm_ioevent_close(KvmAccel *a);
/* @map is that of ports (@pio) or of memory. */
void kvm_ioevent_map_changed(KvmAccel *a, const FlatMap *map, bool pio);
/* The first vCPU's mapping has the ring for all. */
void kvm_coalesced_attach(KvmAccel *a, struct kvm_run *run);
/* Any thread: carries out the writes that wait. */
void kvm_coalesced_flush(KvmAccel *a);

/* ---- irq.c: controllers in the kernel --------------------------------------------- */

void kvm_irq_init(KvmAccel *a);
void kvm_irq_close(KvmAccel *a);
/* Which are there, by -machine or -accel kernel-irqchip=; before vCPUs. */
bool kvm_irq_open(KvmAccel *a, KeyVal *options, GError **errp);
/* KVM_EXIT_IOAPIC_EOI */
void kvm_irq_exit_eoi(KvmAccel *a, uint8_t vector);

/* ---- state.c, xsave.c, msr.c: X86State to and from the kernel --------------- */

void kvm_pull(X86Cpu *c);
void kvm_push(X86Cpu *c);
/* The page tables were changed from outside. */
void kvm_drop_translations(KvmCpu *kc);
/* s.nmi_masked from the kernel; nothing else. */
void kvm_pull_nmi_masked(KvmCpu *kc);
/* s.tsc_offset, likewise. */
void kvm_pull_tsc(KvmCpu *kc);
/* The TSC stands still while the machine does: at the stop, at the start. */
void kvm_tsc_keep(KvmCpu *kc);
void kvm_tsc_give(KvmCpu *kc);
/* Which MSRs there are; after the CPUID was set. */
void kvm_probe_msrs(KvmCpu *kc);
/* kvmclock: what it says is kept while the machine stands still, in CPU 0's
 * s.pv_clock, and given back. */
void kvm_clock_keep(KvmCpu *kc);
void kvm_clock_give(KvmCpu *kc);

/* ---- cpuid.c ------------------------------------------------------------------ */

bool kvm_cpuid_supported(KvmAccel *a, GError **errp);
/* Takes out of @cm what this host's KVM cannot give a guest. */
void kvm_limit_model(Accel *accel, CpuModel *cm);
bool kvm_cpuid_set(KvmCpu *kc, GError **errp);
/* Guests have AVX-512's registers: given to them, or shown whatever we say. */
bool kvm_cpu_has_ext(KvmCpu *kc);

/* ---- stats.c: info kvm, info exits -------------------------------------------- */

void kvm_stats_init(KvmStats *st);
/* AccelOps.stats */
void kvm_stats(X86Cpu *c, CpuStatFn *fn, void *opaque);
void kvm_stats_fini(KvmStats *st);
void kvm_stats_exit(KvmCpu *kc, unsigned reason, int64_t ns);
/* The exit being handled is one to this place; kvm_stats_exit() adds the time. */
void kvm_stats_place(KvmCpu *kc, uint64_t addr, bool mmio, bool write);
void kvm_stats_completed(KvmCpu *kc, const char *mnemonic);
const char *kvm_exit_name(unsigned reason);
/* The texts of the monitor; the machine's accel must be kvm. Main thread. */
void kvm_info(Machine *m, GString *out);
void kvm_info_exits(Machine *m, GString *out);
/*
 * The same numbers for programs, one call for each line. Main thread; nothing
 * if the machine's accelerator is another. @name: reason of an exit, kind of an
 * access ("in", "out", "mmio-read", "mmio-write"), mnemonic, "kvm" or
 * "software"; @addr: port or address; @ns: the handling's, or the engine's.
 */
typedef enum KvmStatKind {
    KVM_STAT_EXIT,
    KVM_STAT_PLACE,
    KVM_STAT_COMPLETED, /* in software, by instruction */
    KVM_STAT_ENGINE,    /* @count: of bursts' instructions */
} KvmStatKind;
typedef void KvmStatFn(KvmStatKind kind, const char *name, uint64_t addr,
                       uint64_t count, uint64_t ns, void *opaque);
void kvm_stats_foreach(Machine *m, KvmStatFn *fn, void *opaque);
/* The machine runs on kvm. */
bool kvm_enabled(const Machine *m);

/* ---- complete.c: what KVM refuses ---------------------------------------------- */

/* The engine below executes from cpu->s on; how far is its own business. */
CpuExit kvm_complete(KvmCpu *kc);
/* The instruction at cs:rip; false: none that the software CPU has. */
bool kvm_insn_at_rip(KvmCpu *kc, uint8_t bytes[15], Insn *in);
/* ... about @n instructions, because KVM cannot for another reason. */
CpuExit kvm_run_soft(KvmCpu *kc, uint64_t n);
/* Any thread: the kernel's controllers have got an interrupt, which only KVM
 * delivers. Bursts end for it. */
void kvm_end_bursts(Machine *m);
/* On an interpreter: has KVM had its turn? Then a burst, by the next. */
bool kvm_takes_turns(const KvmAccel *a);
bool kvm_turn_over(KvmCpu *kc);
/* @refused: the first instruction, too, whatever it is. */
CpuExit kvm_soft_turn(KvmCpu *kc, bool refused);
void kvm_turns_start(KvmCpu *kc); /* when the vCPU is made */
void kvm_turns_stop(KvmAccel *a);

static inline int64_t kvm_host_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

#endif
