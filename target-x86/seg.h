/*
 * Descriptors, far transfers, interrupts, task switches: protection as in
 * SDM 3A chapters 3, 5, 6 and 7. Software CPU only; vCPU thread; all may leave
 * through x86_raise().
 */
#ifndef TARGET_X86_SEG_H
#define TARGET_X86_SEG_H

#include "target-x86/access.h"
#include "target-x86/insn.h"

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
    INT_HW,        /* external interrupt, NMI */
    INT_SOFT,      /* INT n: DPL checked */
    INT_SOFT_BP,   /* INT3, INTO: DPL checked, no IOPL check in VM86 */
    INT_ICEBP,     /* F1 */
    INT_EXCEPTION,
} IntKind;

/*
 * Delivers through the IVT or IDT: pushes the frame with s.rip as the return
 * address and goes to the handler. May raise; x86_deliver_fault() deals with
 * that.
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

/* SDM 3A 7.3. @kind: by JMP, CALL or gate, IRET. */
typedef enum TaskSwitch { TASK_JMP, TASK_CALL, TASK_IRET } TaskSwitch;
void task_switch(X86Cpu *c, uint16_t tss_sel, TaskSwitch kind,
                 uint64_t next_rip, bool has_error, uint32_t error);

/* CR, EFER, DR, XCR0 writes with their checks and consequences (#GP). Also
 * used for a gdb or monitor write with @c->insn == NULL: then false. */
void x86_set_cr0(X86Cpu *c, uint64_t v);
void x86_set_cr3(X86Cpu *c, uint64_t v);
void x86_set_cr4(X86Cpu *c, uint64_t v);
void x86_set_efer(X86Cpu *c, uint64_t v);

/* #GP or #SS unless @lin is canonical for the paging mode. */
bool x86_canonical(const X86Cpu *c, uint64_t lin);

#endif
