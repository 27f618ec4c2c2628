/*
 * What the x87 files share. SDM 1, chapter 8.
 *
 * Two ways to execute:
 *
 * Fast, when nothing can go wrong: all exceptions masked, every source register
 * occupied, every destination of a push empty. A few lines of asm load the
 * operands onto the host's (empty) stack, execute, read the status word, and
 * store the result.
 *
 * Whole (x87_run_whole): the guest's complete x87 state goes into the host, the
 * guest's own instruction runs there, and the state comes back. Stack faults,
 * unmasked exceptions and their results are the processor's own; it takes
 * 100 ns.
 *
 * Outside these, the host has an empty stack and control word 37F, the ABI's.
 */
#ifndef TARGET_X86_SEM_X87_H
#define TARGET_X86_SEM_X87_H

#include "target-x86/flags.h"
#include "target-x86/fpu.h"
#include "target-x86/sem-vec.h"

typedef struct St { /* one register, as an asm operand */
    uint8_t b[10];
} St;

static inline unsigned x87_phys(const X86Cpu *c, unsigned i)
{
    return ((c->s.fsw >> FSW_TOP_SHIFT) + i) & 7;
}

static inline St *x87_st(X86Cpu *c, unsigned i)
{
    return (St *)c->s.st[x87_phys(c, i)];
}

static inline bool x87_full(const X86Cpu *c, unsigned i)
{
    return c->s.ftw >> x87_phys(c, i) & 1;
}

static inline bool x87_masked(const X86Cpu *c)
{
    return (c->s.fcw & FSW_FLAGS) == FSW_FLAGS;
}

/* Moves TOP by @by and marks a new top full, or the old one empty. */
static inline void x87_push(X86Cpu *c)
{
    uint16_t fsw = c->s.fsw;

    fsw = (fsw & ~FSW_TOP) | ((fsw - (1u << FSW_TOP_SHIFT)) & FSW_TOP);
    c->s.fsw = fsw;
    c->s.ftw |= 1u << x87_phys(c, 0);
}

static inline void x87_pop(X86Cpu *c)
{
    uint16_t fsw = c->s.fsw;

    c->s.ftw &= ~(1u << x87_phys(c, 0));
    c->s.fsw = (fsw & ~FSW_TOP) | ((fsw + (1u << FSW_TOP_SHIFT)) & FSW_TOP);
}

/* Opcode and address of a non-control instruction. For x87 rows in->imm is
 * the modrm byte (decode.c). */
static inline void x87_note(X86Cpu *c, const Insn *in)
{
    X86State *s = &c->s;

    s->fip = insn_rip(c, in);
    s->fcs = s->seg[S_CS].sel;
    s->fop = (uint16_t)((insn_rows[in->id].opcode & 7) << 8 | (in->imm & 0xff));
}

static inline void x87_note_mem(X86Cpu *c, const Insn *in, uint64_t off)
{
    x87_note(c, in);
    c->s.fdp = off;
    c->s.fds = c->s.seg[in->seg].sel;
}

/* ---- around the fast asm ----------------------------------------------------- */

static inline void host_fcw_set(uint16_t v)
{
    asm volatile("fldcw %0" : : "m"(v));
}

/* The host's sticky flags must not be more than the guest's, as those that it
 * has afterwards are merged. */
static inline void x87_begin(const X86Cpu *c)
{
    uint16_t sw;

    asm volatile("fnstsw %0" : "=a"(sw));
    if (__builtin_expect(sw & ~c->s.fsw & FSW_FLAGS, 0)) {
        asm volatile("fnclex");
    }
    if (__builtin_expect(c->s.fcw != FCW_DEFAULT, 0)) {
        host_fcw_set(c->s.fcw);
    }
}

/* Straight after the asm, before anything that may fault. */
static inline void x87_end(const X86Cpu *c)
{
    if (__builtin_expect(c->s.fcw != FCW_DEFAULT, 0)) {
        host_fcw_set(FCW_DEFAULT);
    }
}

/* Exception flags, and those condition codes which the instruction sets. */
static inline void x87_merge(X86Cpu *c, uint16_t sw, uint16_t cc)
{
    c->s.fsw = (c->s.fsw & ~cc) | (sw & (cc | FSW_FLAGS));
}

/*
 * Executes the instruction in full generality: its memory operand is read or
 * written, its registers, tags, flags, FIP and the rest updated. Returns the
 * host's RFLAGS after it (FCOMI).
 */
uint64_t x87_run_whole(X86Cpu *c, const Insn *in);

#endif
