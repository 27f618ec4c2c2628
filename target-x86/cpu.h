/*
 * The architectural state of one x86-64 processor.
 *
 * X86State is what the monitor prints, gdb reads, snapshots hold and KVM takes;
 * nothing derived lives in it. What the software CPU derives from it (the mode,
 * lazy flags) stands behind it in X86Cpu, its TLB and decoded blocks in the
 * accelerator's own struct around X86Cpu.
 *
 * A vCPU's state belongs to its thread while it runs and to the main thread
 * while the machine is stopped; only `pending` is shared (atomic).
 */
#ifndef TARGET_X86_CPU_H
#define TARGET_X86_CPU_H

#include <setjmp.h>
#include "system/machine.h"

enum {
    R_RAX,
    R_RCX,
    R_RDX,
    R_RBX,
    R_RSP,
    R_RBP,
    R_RSI,
    R_RDI,
    R_R8,
    R_R9,
    R_R10,
    R_R11,
    R_R12,
    R_R13,
    R_R14,
    R_R15,
};
enum { S_ES, S_CS, S_SS, S_DS, S_FS, S_GS, S_COUNT };

/* RFLAGS. SDM 1, 3.4.3. */
#define FL_CF    0x1u
#define FL_PF    0x4u
#define FL_AF    0x10u
#define FL_ZF    0x40u
#define FL_SF    0x80u
#define FL_TF    0x100u
#define FL_IF    0x200u
#define FL_DF    0x400u
#define FL_OF    0x800u
#define FL_IOPL  0x3000u
#define FL_NT    0x4000u
#define FL_RF    0x10000u
#define FL_VM    0x20000u
#define FL_AC    0x40000u
#define FL_VIF   0x80000u
#define FL_VIP   0x100000u
#define FL_ID    0x200000u
#define FL_ARITH (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF)

/* Control registers. SDM 3A, 2.5. */
#define CR0_PE         0x1u
#define CR0_MP         0x2u
#define CR0_EM         0x4u
#define CR0_TS         0x8u
#define CR0_ET         0x10u
#define CR0_NE         0x20u
#define CR0_WP         0x10000u
#define CR0_AM         0x40000u
#define CR0_NW         0x20000000u
#define CR0_CD         0x40000000u
#define CR0_PG         0x80000000u
#define CR4_VME        0x1u
#define CR4_PVI        0x2u
#define CR4_TSD        0x4u
#define CR4_DE         0x8u
#define CR4_PSE        0x10u
#define CR4_PAE        0x20u
#define CR4_MCE        0x40u
#define CR4_PGE        0x80u
#define CR4_PCE        0x100u
#define CR4_OSFXSR     0x200u
#define CR4_OSXMMEXCPT 0x400u
#define CR4_UMIP       0x800u
#define CR4_LA57       0x1000u
#define CR4_VMXE       0x2000u
#define CR4_FSGSBASE   0x10000u
#define CR4_PCIDE      0x20000u
#define CR4_OSXSAVE    0x40000u
#define CR4_SMEP       0x100000u
#define CR4_SMAP       0x200000u
#define CR4_PKE        0x400000u
#define EFER_SCE       0x1u
#define EFER_LME       0x100u
#define EFER_LMA       0x400u
#define EFER_NXE       0x800u
#define EFER_SVME      0x1000u
#define EFER_FFXSR     0x4000u
#define DR6_BD         0x2000u
#define DR6_BS         0x4000u
#define DR6_BT         0x8000u
#define DR6_INIT       0xffff0ff0u
#define DR7_GD         0x2000u
#define DR7_INIT       0x400u
#define XCR0_X87       0x1u
#define XCR0_SSE       0x2u
#define XCR0_AVX       0x4u
#define XCR0_PKRU      0x200u
#define XCR0_EXT       0xe0u /* opmask, upper halves, ZMM16-31 */

/* Exception vectors. SDM 3A, table 6-1. */
enum {
    EXC_DE = 0,
    EXC_DB = 1,
    EXC_NMI = 2,
    EXC_BP = 3,
    EXC_OF = 4,
    EXC_BR = 5,
    EXC_UD = 6,
    EXC_NM = 7,
    EXC_DF = 8,
    EXC_TS = 10,
    EXC_NP = 11,
    EXC_SS = 12,
    EXC_GP = 13,
    EXC_PF = 14,
    EXC_MF = 16,
    EXC_AC = 17,
    EXC_MC = 18,
    EXC_XM = 19,
};

/* Segment attributes: descriptor bits 40-47 in 8-15 and 52-55 in 20-23. */
#define SEG_TYPE_SHIFT 8
#define SEG_TYPE       0xf00u
#define SEG_A          0x100u /* accessed */
#define SEG_RW         0x200u /* writable data, readable code */
#define SEG_CE         0x400u /* conforming code, expand-down data */
#define SEG_CODE       0x800u
#define SEG_S          0x1000u /* code or data */
#define SEG_DPL_SHIFT  13
#define SEG_DPL        0x6000u
#define SEG_P          0x8000u
#define SEG_AVL        0x100000u
#define SEG_L          0x200000u
#define SEG_DB         0x400000u
#define SEG_G          0x800000u

typedef struct X86Seg {
    uint16_t sel;
    bool unusable;  /* loaded with a null selector */
    uint32_t attr;  /* SEG_* */
    uint32_t limit; /* in bytes, granularity applied */
    uint64_t base;
} X86Seg;

enum { MP_RUNNABLE, MP_WAIT_SIPI };

typedef struct X86State {
    union {
        struct {
            uint64_t gpr[16];
            uint64_t rip;
        };
        uint64_t base[17]; /* of addresses, by Insn.base: 16 is INSN_RIP */
    };
    uint64_t rflags;
    X86Seg seg[S_COUNT], ldt, tr;
    uint64_t gdt_base, idt_base;
    uint32_t gdt_limit, idt_limit;
    uint64_t cr0, cr2, cr3, cr4, cr8, dr[8];
    uint64_t pdpte[4]; /* PAE paging: loaded by MOV CR3 and the like */
    uint64_t efer, star, lstar, cstar, sfmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip, pat, tsc_aux, xcr0;
    uint64_t tsc_offset; /* added to the machine's virtual clock, in ticks */
    uint64_t tsc_adjust;
    uint64_t apic_base; /* IA32_APIC_BASE */
    uint64_t misc_enable, debugctl, xss, spec_ctrl, smbase;
    uint64_t mtrr_def, mtrr_fixed[11], mtrr_base[8], mtrr_mask[8];
    uint64_t mcg_status, mcg_ctl, mce[4 * 10]; /* CTL STATUS ADDR MISC */
    uint64_t feature_control, clock_modulation, therm_interrupt;
    uint64_t hwcr, syscfg, de_cfg, vm_cr, vm_hsave_pa; /* AMD */
    uint64_t amd_cfg[8]; /* LS IC DC BU BU_CFG2 NB FP_CFG DE_CFG2 */
    uint64_t pv_wall_clock, pv_system_time; /* kvmclock, for -accel kvm */
    uint64_t pv_clock; /* of CPU 0: its ns when the machine was stopped */
    uint32_t pkru;

    uint8_t st[8][10]; /* x87: physical registers, 80 bits each */
    uint16_t fcw, fsw, fop;
    uint8_t ftw; /* abridged, as in FXSAVE: 1 is occupied */
    uint64_t fip, fdp;
    uint16_t fcs, fds;
    uint8_t vec[16][32] __attribute__((aligned(16))); /* ymm; xmm is below */
    uint32_t mxcsr;

    uint8_t mp_state;
    uint8_t sipi_vector;
    bool halted;     /* HLT: waiting for an interrupt */
    bool irq_shadow; /* STI: the next instruction runs first */
    bool ss_shadow;  /* MOV SS, POP SS: and no #DB either */
    bool nmi_masked, in_smm;
    bool a20_masked; /* address line 20 forced low */
} X86State;

/* Bits of X86Cpu.pending. Any thread sets them, with cpu_raise(). */
enum {
    CPU_IRQ = 1 << 0, /* level of INTR, from the APIC or the 8259 */
    CPU_NMI = 1 << 1,
    CPU_SMI = 1 << 2,
    CPU_INIT = 1 << 3,
    CPU_SIPI = 1 << 4,
    CPU_STOP = 1 << 5,  /* leave run() so that the VM can stop, or work waits */
    CPU_FLUSH = 1 << 6, /* state or memory was replaced: drop translations */
    CPU_REQUEST = 1 << 7, /* accelerator's own: something waits in its queues */
    CPU_SOON = 1 << 8,    /* machine_soon(): call machine_idle_turn() */
};

/* What a local APIC does for its processor; hw/intc/apic.c implements it.
 * Called from the vCPU's thread with the machine lock held. */
typedef struct ApicOps {
    uint64_t (*mmio_read)(X86Cpu *cpu, hwaddr offset, unsigned size);
    void (*mmio_write)(X86Cpu *cpu, hwaddr offset, uint64_t v, unsigned size);
    int (*ack_irq)(X86Cpu *cpu); /* -1: spurious, nothing after all */
    /* x2APIC and TSC-deadline MSRs; false: #GP. */
    bool (*msr_read)(X86Cpu *cpu, uint32_t msr, uint64_t *v);
    bool (*msr_write)(X86Cpu *cpu, uint32_t msr, uint64_t v);
    bool (*set_base)(X86Cpu *cpu, uint64_t v); /* also s.apic_base */
    void (*set_tpr)(X86Cpu *cpu, uint8_t cr8); /* 0-15 */
    uint8_t (*get_tpr)(X86Cpu *cpu);
    void (*init_reset)(X86Cpu *cpu);
    /* All registers as the first KiB of its page has them (the id of an x2APIC
     * in bits 24-31), and IA32_TSC_DEADLINE: for APICs in the host's kernel.
     * put_page() is not told to the processor. */
    void (*get_page)(X86Cpu *cpu, uint8_t page[1024], uint64_t *deadline);
    void (*put_page)(X86Cpu *cpu, const uint8_t page[1024], uint64_t deadline);
} ApicOps;

/*
 * What instructions and block decoding need to know of CR0, EFER, CS, ...;
 * worked out by x86_update_mode() after any of them changed.
 */
typedef struct X86Mode {
    uint8_t code_bits;  /* 16, 32, 64: default operand size of CS */
    uint8_t stack_size; /* 2, 4, 8 bytes: width of SP */
    uint8_t cpl;
    bool protected_mode; /* CR0.PE and not VM */
    bool vm86, long_mode /* EFER.LMA */, code64, paging;
    bool flat;    /* ES CS SS DS: base 0, no limit to check, usual rights */
    bool slow;    /* TF, armed DR7, ... : one instruction at a time */
    uint32_t key; /* all of the above in one word: which blocks fit */
} X86Mode;

/* An exception on its way from x86_raise() to delivery. */
typedef struct X86Fault {
    int vector;
    bool has_error;
    bool trap; /* #DB after the instruction: RF is not set in the frame */
    uint32_t error;
    uint64_t cr2;
    uint64_t dr6; /* bits to set in DR6 for a #DB */
} X86Fault;

/* An exception that the guest's handler got, for the report of a triple fault:
 * mostly the first of them is the one that went wrong. */
typedef struct X86Delivered {
    X86Fault fault;
    uint16_t cs;
    uint64_t rip;
} X86Delivered;

/* One that came while another was being delivered. */
typedef struct X86Link {
    X86Fault fault;
    int during; /* the other's vector, or -1: the first */
} X86Link;

enum { X86_RECENT = 8, X86_CHAIN = 9 };

typedef struct LazyFlags { /* see flags.h */
    uint64_t res, src;
    uint32_t op;
} LazyFlags;

struct Insn;

/* AVX-512's part of an XSAVE area: components 5, 6 and 7. */
enum { X86_EXT_OPMASK = 64, X86_EXT_ZMM_HI = 512, X86_EXT_HI16 = 1024 };
enum { X86_EXT_SIZE = X86_EXT_OPMASK + X86_EXT_ZMM_HI + X86_EXT_HI16 };

struct X86Cpu { /* first member of the accelerator's own struct */
    X86State s;

    /* Software CPU only. s.rflags' arithmetic bits may be stale inside run():
     * go through flags.h. */
    LazyFlags lazy;
    X86Mode mode;
    const struct Insn *insn; /* executing: s.rip + insn->off is its address */
    const struct Insn *unwound; /* what that was when x86_raise() left it */
    X86Fault fault;
    uint32_t host_mxcsr; /* scratch of sem-vec.h; a local would be an escaping
                          * one, and clang makes no tail calls then */
    sigjmp_buf unwind;   /* x86_raise() and x86_restart() end here: UNWIND_* */
    X86Link chain[X86_CHAIN]; /* what led to the last triple fault, oldest
                               * first */
    unsigned chain_len;       /* 0: nothing is known of it */
    uint32_t int_count;       /* deliveries: the first column of -d int */
    /* Exceptions delivered since the reset, a ring; n_recent counts on. */
    X86Delivered recent[X86_RECENT];
    unsigned n_recent;
    unsigned n_triple;     /* triple faults reported; see accel/triple.c */
    uint64_t vectors[256]; /* deliveries by vector: info stats */

    bool state_in_accel; /* true: s is stale, pull before reading */
    uint32_t pending;    /* atomic */
    /* For an engine that has the local APIC and waits in HLT itself (see
     * system/host-kernel.h): */
    bool sleeps_in_engine; /* run() also while halted or waiting for SIPI */
    bool apic_changed;     /* apic_ops->get_page() is newer than the engine's */
    bool apic_replaced;    /* ... and has nothing to do with that */
    /* NULL, or what ends a burst of the software CPU before the instruction
     * that is executing, because the engine around it must do that one; comes
     * back if it cannot. */
    void (*leave_burst)(X86Cpu *cpu);
    unsigned index; /* 0 is the boot processor */
    uint32_t apic_id;
    /* What XSAVE and XRSTOR move for a guest that has AVX-512 (has_ext) from
     * the engine around this one; nothing here computes with it. */
    bool has_ext;
    uint8_t ext[X86_EXT_SIZE];
    uint64_t ext_bv;    /* which components are not in their initial state */
    uint64_t tsc_hz;    /* 0: X86_TSC_HZ; else of the host's processor */
    unsigned watch_hit; /* CPU_EXIT_DEBUG: 1 + number of a debugger's
                         * watchpoint, or 0 */
    Machine *machine;
    const CpuModel *model;   /* what CPUID says, resolved */
    void *thread;            /* of accel/cpus.c */
    const ApicOps *apic_ops; /* NULL: no local APIC */
    void *apic;
};

extern const VMState vmstate_x86; /* of an X86Cpu */

/* Power-on state; APs wait for SIPI. SDM 3A, 9.1. */
void x86_reset(X86Cpu *cpu);
/* The INIT signal: as reset, but caches, x87, SSE, TSC, MTRRs stay. */
void x86_init(X86Cpu *cpu);
void cpu_raise(X86Cpu *cpu, uint32_t pending_bits); /* any thread; kicks */
void cpu_lower(X86Cpu *cpu, uint32_t pending_bits); /* any thread */

/* Lowers them and returns those that were set: one that is raised between a look
 * and cpu_lower() would be lost. */
static inline uint32_t cpu_take(X86Cpu *cpu, uint32_t pending_bits)
{
    return __atomic_fetch_and(&cpu->pending, ~pending_bits, __ATOMIC_SEQ_CST) &
           pending_bits;
}
static inline uint32_t cpu_pending(const X86Cpu *cpu)
{
    return __atomic_load_n(&cpu->pending, __ATOMIC_ACQUIRE);
}
int cpu_ack_irq(X86Cpu *cpu); /* vector to deliver, or -1: it went away */
/* Up to date, and ours to change; vCPU paused, or in its own thread. From
 * another while the vCPU runs: as it was a moment ago, to look at. */
X86State *cpu_state(X86Cpu *cpu);
/* After changing s from outside (loader, snapshot, gdb). */
void x86_update_mode(X86Cpu *cpu);
/* Guest TSC now: virtual clock in ns x x86_tsc_hz() / 1e9 + tsc_offset. */
uint64_t x86_tsc(X86Cpu *cpu);
enum { X86_TSC_HZ = 1000000000 };
static inline uint64_t x86_tsc_hz(const X86Cpu *cpu)
{
    return cpu->tsc_hz ? cpu->tsc_hz : X86_TSC_HZ;
}
/* Text for "info registers" and -d cpu, in QEMU's layout. */
void x86_dump(X86Cpu *cpu, GString *out, bool fpu);

#endif
