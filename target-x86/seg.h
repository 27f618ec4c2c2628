/*
 * Descriptors, far transfers, interrupts, task switches: protection as in
 * SDM 3A chapters 3, 5, 6 and 7. Software CPU only; vCPU thread; all may leave
 * through x86_raise().
 */
#ifndef TARGET_X86_SEG_H
#define TARGET_X86_SEG_H

#include "target-x86/access.h"
#include "target-x86/insn.h"

/*
 * CPL is the DPL in SS's attributes, as in the hidden part of real processors:
 * everything here keeps it so (a null SS too), x86_update_mode() reads it from
 * there. In virtual-8086 mode all segments have DPL 3, in real mode 0.
 *
 * A null selector leaves sel, unusable = true, and base, limit and attributes
 * 0 but for the DPL of SS.
 */

/* #DB for an access to debug registers with DR7.GD: a fault. */
G_NORETURN void x86_raise_gd(X86Cpu *c);

/* SDM 3A, table 6-5: @second came while @first was being delivered. */
typedef enum Escalation {
    ESCALATE_NONE, /* one after the other */
    ESCALATE_DOUBLE,
    ESCALATE_TRIPLE,
} Escalation;
Escalation x86_escalate(int first, int second);

/* What x86_raise() and the others give to siglongjmp(c->unwind). c->insn is
 * NULL then and s.rip is where to go on. */
enum {
    UNWIND_FAULT = 1, /* c->fault: x86_deliver_fault() */
    UNWIND_RESTART,   /* x86_restart() */
};

/* MOV/POP/LDS to a segment register (not CS), in any mode. */
void seg_load(X86Cpu *c, unsigned seg, uint16_t sel);
/* Real and virtual-8086 mode, or a loader: base = sel << 4. */
void seg_load_real(X86Cpu *c, unsigned seg, uint16_t sel);

/* JMP/CALL/RET far, IRET: set s.rip. @osz: operand size in bytes. */
void far_jmp(X86Cpu *c, uint16_t sel, uint64_t off, unsigned osz,
             uint64_t next_rip);
void far_call(X86Cpu *c, uint16_t sel, uint64_t off, unsigned osz,
              uint64_t next_rip);
void far_ret(X86Cpu *c, unsigned osz, unsigned pop);
void far_iret(X86Cpu *c, unsigned osz);

typedef enum IntKind {
    INT_HW,      /* external interrupt, NMI */
    INT_SOFT,    /* INT n: DPL checked */
    INT_SOFT_BP, /* INT3, INTO: DPL checked, no IOPL check in VM86 */
    INT_ICEBP,   /* F1 */
    INT_EXCEPTION,
} IntKind;

/*
 * Delivers through the IVT or IDT: pushes the frame and goes to the handler.
 * The return address is s.rip; while an instruction executes (c->insn is set:
 * INT n, INT3, INTO, ICEBP) it is the next instruction's, and s.rip must still
 * be the block's. May raise; x86_deliver_fault() deals with that.
 */
void x86_interrupt(X86Cpu *c, int vector, IntKind kind, bool has_error,
                   uint32_t error);
/*
 * c->fault (as x86_raise() left it) to the guest, with double-fault and
 * triple-fault rules (SDM 3A, 6.15 table 6-5). false: triple fault.
 * Owns c->unwind while it runs.
 */
bool x86_deliver_fault(X86Cpu *c);

/*
 * What happens between instructions, in the order of SDM 3A 6.9: INIT, SIPI,
 * NMI, INTR (if IF and no shadow). Returns true if s changed (a handler was
 * entered, the CPU was reset, HLT ended). Owns c->unwind while it runs; after
 * a fault on the way returns through x86_deliver_fault(); *triple tells of a
 * triple fault.
 */
bool x86_take_events(X86Cpu *c, bool *triple);
/* pending has something that would end HLT. */
bool x86_has_work(const X86Cpu *c);

/*
 * SDM 3A 7.3. @kind: by JMP, CALL or gate, IRET. @ext: bit 0 of error codes.
 * The old task will go on at @next_rip. @has_error: @error is pushed on the
 * new task's stack (a task gate in the IDT).
 */
typedef enum TaskSwitch { TASK_JMP, TASK_CALL, TASK_IRET } TaskSwitch;
void task_switch(X86Cpu *c, uint16_t tss_sel, TaskSwitch kind,
                 uint64_t next_rip, unsigned ext, bool has_error,
                 uint32_t error);

/*
 * CR, EFER, XCR0 writes with their checks and consequences (TLB, mode,
 * PDPTEs). A value the processor does not take changes nothing: #GP(0) while
 * an instruction executes, else (gdb, monitor) false.
 * x86_set_cr3: bit 63 is "no flush" with CR4.PCIDE.
 */
bool x86_set_cr0(X86Cpu *c, uint64_t v);
bool x86_set_cr3(X86Cpu *c, uint64_t v);
bool x86_set_cr4(X86Cpu *c, uint64_t v);
bool x86_set_cr8(X86Cpu *c, uint64_t v);
bool x86_set_efer(X86Cpu *c, uint64_t v);
bool x86_set_xcr0(X86Cpu *c, uint64_t v);
bool x86_set_dr(X86Cpu *c, unsigned n, uint64_t v);
/* XCR0 bits that this CPU model has. */
uint64_t x86_xcr0_mask(const X86Cpu *c);
/* PDPTEs from memory at s.cr3; false: one has reserved bits set. */
bool x86_load_pdptes(X86Cpu *c, uint64_t cr3, uint64_t out[4]);

/* Canonical for the paging mode (48 bits, 57 with CR4.LA57). */
bool x86_canonical(const X86Cpu *c, uint64_t lin);
/* ... for the processor, whatever CR4 says: bases in MSRs and GDTR. */
bool x86_canonical_max(const X86Cpu *c, uint64_t lin);

/* The last triple fault in words, a line for each exception, oldest first:
 * vector, error code, CR2, where; and those delivered before. triple.c */
void x86_triple_report(const X86Cpu *c, GString *out);
/* "#PF"; NULL: no exception. */
const char *x86_vector_name(unsigned vector);

/* ---- for the files of this layer ---------------------------------------- */

typedef struct SegDesc {
    uint32_t lo, hi;
    uint32_t hi2; /* upper half of a 16-byte system descriptor: base 63:32 */
    uint64_t lin; /* where it stands */
} SegDesc;

static inline uint32_t desc_limit(const SegDesc *d)
{
    uint32_t limit = (d->lo & 0xffff) | (d->hi & 0xf0000);

    return d->hi & SEG_G ? limit << 12 | 0xfff : limit;
}

static inline uint64_t desc_base(const SegDesc *d)
{
    return (d->lo >> 16) | (d->hi & 0xff) << 16 | (d->hi & 0xff000000u);
}

static inline unsigned desc_dpl(const SegDesc *d)
{
    return (d->hi & SEG_DPL) >> SEG_DPL_SHIFT;
}

static inline unsigned desc_type(const SegDesc *d)
{
    return (d->hi & SEG_TYPE) >> SEG_TYPE_SHIFT;
}

static inline bool desc_is_code(const SegDesc *d)
{
    return (d->hi & (SEG_S | SEG_CODE)) == (SEG_S | SEG_CODE);
}

static inline bool desc_is_writable_data(const SegDesc *d)
{
    return (d->hi & (SEG_S | SEG_CODE | SEG_RW)) == (SEG_S | SEG_RW);
}

/* System descriptor types. SDM 3A, table 3-2. */
enum {
    DESC_TSS16 = 1,
    DESC_LDT = 2,
    DESC_TSS16_BUSY = 3,
    DESC_CALL16 = 4,
    DESC_TASK_GATE = 5,
    DESC_INT16 = 6,
    DESC_TRAP16 = 7,
    DESC_TSS32 = 9,
    DESC_TSS32_BUSY = 11,
    DESC_CALL32 = 12,
    DESC_INT32 = 14,
    DESC_TRAP32 = 15,
};

/* false: null or beyond the table's limit. Reads 8 bytes. */
bool desc_read(X86Cpu *c, uint16_t sel, SegDesc *d);
/* The upper 8 bytes of a system descriptor in long mode. false: beyond the
 * limit, or its type field is not 0. */
bool desc_read_hi(X86Cpu *c, uint16_t sel, SegDesc *d);
/* Sets the accessed bit in memory and in @d; may fault. */
void desc_set_accessed(X86Cpu *c, SegDesc *d);
/* Sets or clears the busy bit of a TSS descriptor in memory. */
void desc_set_busy(X86Cpu *c, uint64_t lin, bool busy);
/* Commits; nothing is checked, x86_update_mode() is the caller's. */
void seg_set(X86Cpu *c, unsigned seg, uint16_t sel, const SegDesc *d);
void seg_set_null(X86Cpu *c, unsigned seg, uint16_t sel, unsigned dpl);
/* The ring 0-2 stack of the TSS for @dpl; raises #TS(tr | @ext). */
void tss_stack(X86Cpu *c, unsigned dpl, unsigned ext, uint16_t *ss,
               uint64_t *sp);
/* Rights of a new SS at @cpl for a stack switch; #TS(sel | @ext), #SS. */
void ss_check_new(X86Cpu *c, uint16_t sel, unsigned cpl, unsigned ext,
                  SegDesc *d);

/* JMP or CALL to the TSS or task gate @d; #GP if it is neither. */
void task_transfer(X86Cpu *c, uint16_t sel, const SegDesc *d, TaskSwitch kind,
                   uint64_t next_rip);

/* A stack that is being built or taken apart before anything is committed. */
typedef struct Stack {
    uint64_t base, sp, mask;
    uint32_t limit, attr;
    bool is64; /* no limit, canonical check */
    LinAs as;
    uint32_t err; /* error code of #SS */
} Stack;

/* The current one, at the current CPL. */
void stk_current(X86Cpu *c, Stack *st);
/* The one that @d and @sp describe, for code at @cpl. */
void stk_new(Stack *st, const SegDesc *d, uint64_t sp, unsigned cpl,
             uint32_t err);
/* Raises unless @n pushes of @size bytes will succeed. */
void stk_room(X86Cpu *c, const Stack *st, unsigned n, unsigned size);
void stk_push(X86Cpu *c, Stack *st, uint64_t v, unsigned size);
uint64_t stk_pop(X86Cpu *c, Stack *st, unsigned size);
/* RSP, with only the bits that the stack size covers changed. */
void stk_commit(X86Cpu *c, const Stack *st);

#endif
