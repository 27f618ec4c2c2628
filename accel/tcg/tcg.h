/*
 * The software accelerator's own state: one TcgAccel per machine, one TcgCpu
 * per vCPU around X86Cpu.
 *
 * Everything in a TcgCpu belongs to its vCPU's thread, except what says
 * otherwise. Other threads ask for something by a request (tcg_request_*),
 * which the vCPU serves between blocks. What vCPUs share is in TcgPage, which
 * is atomic.
 */
#ifndef ACCEL_TCG_TCG_H
#define ACCEL_TCG_TCG_H

#include <pthread.h>

#include "accel/accel.h"
#include "target-x86/insn.h"
#include "target-x86/mmu.h"
#include "target-x86/mode.h"

enum {
    PAGE_SHIFT = 12,
    PAGE_SIZE = 1 << PAGE_SHIFT,
    GRANULE_SHIFT = 6, /* code is tracked in pieces of 64 bytes */

    TLB_BITS = 10,
    TLB_SIZE = 1 << TLB_BITS,
    TLB_SLOTS = 8,   /* PCIDs at a time */
    TLB_FETCH = 128, /* code pages at a time */
    TLB_LOG = 256,   /* fills remembered for a cheap flush */

    JUMP_CACHE = 16384,
    BLOCK_MAX = 64, /* instructions */
    BLOCK_HASH = 16384,
    PAGE_HASH = 4096,
    ARENA_SIZE = 16 << 20,

    TIMER_SLACK_NS = 300000, /* how late the main loop may fire timers */
    BUDGET_PERIOD = 1 << 14, /* instructions between looks at requests */
    INVAL_QUEUE = 64,
    BREAKPOINTS_MAX = 64,
};
#define PAGE_MASK (~(uint64_t)(PAGE_SIZE - 1))

typedef struct TcgCpu TcgCpu;
typedef struct TcgAccel TcgAccel;
typedef struct Tb Tb;
typedef struct TbPage TbPage;

/* ---- the TLB -------------------------------------------------------------- */

/*
 * One page. A tag is the linear address of the page when the access may go
 * straight to linear address + addend; any low bit set makes the compare fail:
 * TLB_SLOW says that the page is known but special, TLB_NONE that it is not.
 */
typedef struct TlbEntry {
    uint64_t rtag, wtag;
    uint64_t addend; /* host - linear; meaningless for TLB_IO */
    uint64_t phys;   /* of the page, and TLB_* bits */
} TlbEntry;

#define TLB_NONE (~UINT64_C(0))
enum { TLB_SLOW = 1 };
enum {                     /* low bits of phys */
       TLB_IO = 1 << 0,    /* not RAM: ask the address space */
       TLB_ROM = 1 << 1,   /* writes are ignored */
       TLB_APIC = 1 << 2,  /* the local APIC's page */
       TLB_CODE = 1 << 3,  /* decoded code was here when it was filled */
       TLB_WATCH = 1 << 4, /* DR0-3 watch something in it */
       TLB_GLOBAL = 1 << 5,
       TLB_LARGE = 1 << 6,
};

typedef struct TlbFetch {
    uint64_t tag; /* of the page; TLB_NONE */
    const uint8_t *host;
} TlbFetch;

/* One address space (PCID). */
typedef struct TlbSlot {
    TlbEntry *ctx[MMU_CTX_COUNT]; /* TLB_SIZE each; NULL until needed */
    TlbFetch fetch[2][TLB_FETCH]; /* user, supervisor */
    MmuCache walk;
    uint16_t pcid;
    bool used;
    uint64_t gen; /* of block lookups in it */
    uint32_t last_use;
    uint64_t large[2];   /* large pages seen: bloom over 4 MiB, 1 GiB */
    uint64_t fetched[4]; /* pages of blocks: bloom */
    bool log_full;
    unsigned log_n;
    uint16_t log[TLB_LOG]; /* ctx << TLB_BITS | index */
} TlbSlot;

/* ---- shared between vCPUs -------------------------------------------------- */

/* A page of host memory that is guest RAM or ROM. All fields are atomic. */
typedef struct TcgPage {
    uint64_t code;   /* granules that decoded code of some vCPU may be in */
    uint8_t is_code; /* no TLB may write to it without looking */
    uint8_t wtlb;    /* some TLB may have an entry that does */
    uint16_t slow_writes;
} TcgPage;

typedef struct TcgRam {
    uint8_t *host;
    uint64_t size;
    TcgPage *page;
} TcgRam;

enum { TCG_RAMS_MAX = 256 };

struct TcgAccel {
    Accel accel;
    pthread_mutex_t lock; /* over adding to ram[] */
    unsigned n_ram;       /* atomic; ram[] below it never changes */
    TcgRam ram[TCG_RAMS_MAX];
    uint16_t *op_class; /* of interp.c: by row of insn.def */
    bool jit;           /* hot blocks are translated, if the host can */
    unsigned jit_heat;  /* ... after so many executions, at least 1 */
    size_t jit_size;    /* bytes for their code */
};

/* ---- a vCPU ---------------------------------------------------------------- */

struct TcgCpu {
    X86Cpu cpu;

    /* Hot: what handlers use. */
    TlbEntry *tlb;  /* of the current context */
    int64_t budget; /* instructions until run() looks up */
    int64_t floor;  /* below this it does; atomic: 0, from a kick on the most */
    uint64_t vtag[2]; /* what Tb.v_tag must be, by the address' top bit */
    const Insn *next; /* trampoline builds: where to go on */

    uint32_t key;       /* cpu.mode.key when vtag and tlb were worked out */
    uint32_t rflags;    /* MODE_RFLAGS of the same moment */
    uint64_t apic_base; /* likewise: the TLB knows where the APIC's page is */
    uint32_t pkru;      /* likewise */
    bool a20_masked;

    TlbSlot *slot; /* of the current PCID */
    TlbSlot *slots[TLB_SLOTS];
    uint32_t use_count;
    uint64_t gen;      /* last one given out */
    uint64_t gen_high; /* of lookups in the upper half: survives CR3 writes */
    bool high_local;   /* ... unless a page there was not global */

    TcgAccel *accel;
    MmuBus bus;
    hwaddr ram_base, ram_size; /* the RAM last found by address */
    uint8_t *ram_host;

    /* Blocks; see tb.h. */
    uint8_t *arena;
    size_t arena_used;
    size_t arena_room; /* mapped: ARENA_SIZE and the translator's */
    unsigned flushes;  /* of all blocks */
    Tb **hash;         /* BLOCK_HASH */
    TbPage **pages;    /* PAGE_HASH */
    Tb *scratch;       /* a block of one that no table knows */

    /* Counting. */
    uint32_t seen;           /* cpu.pending at the last look */
    uint64_t insns;          /* executed, up to then */
    uint64_t insns_at_clock; /* when timers were last looked at */
    int64_t budget_was;      /* given then */
    uint64_t limit;          /* stop there; 0: never */
    bool fault_waits;        /* cpu.fault is to be delivered */
    bool stepping;           /* in tcg_step() */
    bool step_tf;            /* RFLAGS.TF was set before the instruction */
    bool limit_hit;
    bool burst;           /* in tcg_run_burst() */
    bool burst_left;      /* by leave_burst() */
    bool burst_refused;   /* its first instruction is ours, come what may */
    uint64_t burst_rip;   /* where it began */
    uint64_t burst_start; /* insns then */
    /* The other engine's, or NULL: cpu.fault is its fault, and it has set the
     * state back to before the instruction. */
    bool (*take_back)(X86Cpu *c);

    /* Debugging. */
    uint64_t breakpoint[BREAKPOINTS_MAX];
    unsigned n_breakpoints;
    bool single_step;
    CpuWatch watch[CPU_WATCH_MAX];
    unsigned n_watch;
    uint64_t step_over; /* rip of the breakpoint just reported */
    bool have_step_over;
    uint64_t dr[8];   /* DR0-3 and DR7 that the TLB knows */
    uint64_t dr6_hit; /* watchpoints hit by this instruction */
    bool exclusive;   /* between mem_exclusive_begin() and end() */

    /* Requests from other threads, with CPU_REQUEST; lock over the queue. */
    bool flush_map; /* atomic: the memory map changed */
    bool inval_all;
    pthread_mutex_t inval_lock;
    unsigned inval_n;
    struct {
        const uint8_t *host;
        uint64_t len;
    } inval[INVAL_QUEUE];

    uint64_t n_blocks, n_fills; /* statistics */

    /* The translator's; see jit.h. */
    struct Jit *jit;     /* NULL: off, or this host has none */
    uint64_t jit_page;   /* of s.rip, while in translated code */
    uint64_t jit_carry;  /* a flag for the next few host instructions */
    uint64_t jit_tmp[3]; /* of one operation */
    uint64_t jit_flags;  /* RFLAGS of the host: Pend.form PEND_RAW */
    uint32_t jit_fp;     /* 1: MXCSR is the host's, with default control bits */
    const Insn *jit_at;  /* where a run of handlers came back */
    bool jit_spoilt;     /* the block that is executing was written to */

    Tb *jump[JUMP_CACHE];
};

static inline TcgCpu *tcg_cpu(X86Cpu *c)
{
    return (TcgCpu *)c;
}

extern const AccelOps tcg_accel;

/* After anything that x86_update_mode() or the TLB depends on: makes tlb and
 * vtag those of the current mode. */
void tcg_sync(TcgCpu *tc);
/* The same after an instruction that called x86_update_mode() itself, unless
 * it changed flags only. */
void tcg_sync_changed(TcgCpu *tc);
/* The record of the page that holds @host; NULL: not guest memory. */
TcgPage *tcg_page(TcgAccel *a, const void *host);

/* Any thread: blocks over these bytes are stale, in all vCPUs but @but. */
void tcg_request_inval(TcgAccel *a, const uint8_t *host, uint64_t len,
                       TcgCpu *but);

/* -d in_asm: the block, with the linear address of its first byte. */
void tcg_log_block(TcgCpu *tc, const Tb *tb, uint64_t lin);

/* ---- for an engine that completes instructions in software ----------------- */

/*
 * Its vCPU's struct begins with a TcgCpu, its accelerator owns a TcgAccel; the
 * machine's accel is its own. Guest memory may have changed behind this
 * engine's back between two bursts, nothing else of it is shared.
 */
TcgAccel *tcg_embedded_open(Machine *m);
void tcg_embedded_close(TcgAccel *a);
bool tcg_embedded_cpu_init(X86Cpu *c, TcgAccel *a, GError **errp);
void tcg_embedded_cpu_exit(X86Cpu *c);
/*
 * Executes about @n instructions from cpu->s on, in the vCPU's thread; 1 is
 * exactly one, before which no interrupt is taken. Others executed guest code
 * since the last burst, so nothing translated or decoded is believed.
 * CPU_EXIT_KICKED also at the end of the burst, which comes before an instruction
 * that this engine does not know or whose device is the other's; not before the
 * first if that was @refused by the other engine.
 */
CpuExit tcg_run_burst(X86Cpu *c, uint64_t n, bool refused);
/*
 * Delivers what another engine had accepted but not begun; the vCPU's thread,
 * or while it is paused. @kind: INT_HW (also NMI) or INT_EXCEPTION (with CR2
 * and DR6 set). false: triple fault.
 */
bool tcg_deliver(X86Cpu *c, int vector, int kind, bool has_error,
                 uint32_t error);
/* The reverse: IRET of @osz bytes a word, with the frame at RSP. false, and
 * nothing changed: it faults. Same threads. */
bool tcg_return(X86Cpu *c, unsigned osz);

/* Instructions executed. The vCPU's thread, or while it is paused. */
uint64_t tcg_insn_count(X86Cpu *c);
/* Stops the machine (RUN_PAUSED) after about @n more; 0: never. Paused. */
void tcg_set_limit(X86Cpu *c, uint64_t n);

#endif
