/*
 * The stack. SDM 1 chapter 6; SDM 2, PUSH, POP, PUSHF, POPF, ENTER, LEAVE.
 *
 * Everything that can fault happens before rSP or anything else changes.
 */
#include "util/osdep.h"
#include "target-x86/sem.h"

static uint64_t sp_cut(const X86Cpu *c, uint64_t sp)
{
    return sp & size_mask(c->mode.stack_size);
}

/* PUSH rSP pushes the value from before; memory is addressed by it too. */
void sem_PUSH(X86Cpu *c, const Insn *in)
{
    sp_push(c, op_read(c, in, 0), insn_osz(in));
}

/* Memory is addressed by rSP after the increment; POP rSP gets the value. */
void sem_POP(X86Cpu *c, const Insn *in)
{
    unsigned size = insn_osz(in);
    uint64_t v = sp_peek(c, 0, size);
    uint64_t old = c->s.gpr[R_RSP], off;

    sp_set(c, old + size);
    if (in->is_mem) {
        off = op_addr(c, in);
        c->s.gpr[R_RSP] = old;
        mem_st(c, in->seg, off, v, size);
        sp_set(c, old + size);
    } else {
        gpr_set(c, in->rm, v, size);
    }
}

void sem_PUSH_SREG(X86Cpu *c, const Insn *in)
{
    sp_push(c, op_read(c, in, 0), insn_osz(in));
}

void sem_POP_SREG(X86Cpu *c, const Insn *in)
{
    unsigned seg = insn_row(in)->op[0].reg;
    unsigned width = c->mode.stack_size; /* POP SS may change it */
    uint64_t sp = c->s.gpr[R_RSP] + insn_osz(in);

    seg_load(c, seg, sp_peek(c, 0, insn_osz(in)));
    gpr_set(c, R_RSP, sp, width);
    if (seg == S_SS) {
        c->s.ss_shadow = true;
    }
}

/* ---- all registers ------------------------------------------------------------ */

/* rAX first, so it ends highest; rSP as it was before. */
void sem_PUSHA(X86Cpu *c, const Insn *in)
{
    unsigned size = insn_osz(in);
    uint64_t sp = c->s.gpr[R_RSP];

    for (unsigned i = 1; i <= 8; i++) {
        mem_probe(c, S_SS, sp_cut(c, sp - i * size), size, true);
    }
    for (unsigned i = 0; i < 8; i++) {
        mem_st(c, S_SS, sp_cut(c, sp - (i + 1) * size), gpr_get(c, i, size),
               size);
    }
    sp_set(c, sp - 8 * size);
}

/* The slot of rSP is skipped. */
void sem_POPA(X86Cpu *c, const Insn *in)
{
    unsigned size = insn_osz(in);
    uint64_t v[8];

    for (unsigned i = 0; i < 8; i++) {
        v[i] = i == R_RSP ? 0 : sp_peek(c, (7 - i) * size, size);
    }
    for (unsigned i = 0; i < 8; i++) {
        if (i != R_RSP) {
            gpr_set(c, i, v[i], size);
        }
    }
    sp_set(c, c->s.gpr[R_RSP] + 8 * size);
}

/* ---- flags ----------------------------------------------------------------------- */

static unsigned flags_iopl(uint64_t fl)
{
    return (fl & FL_IOPL) >> 12;
}

/* In virtual-8086 mode below IOPL 3 the 16-bit forms work on VIF, given
 * CR4.VME; the others are #GP(0). True: VIF it is. */
static bool flags_vme(X86Cpu *c, uint64_t fl, unsigned size)
{
    if (!c->mode.vm86 || flags_iopl(fl) == 3) {
        return false;
    }
    if (!(c->s.cr4 & CR4_VME) || size != 2) {
        x86_raise_err(c, EXC_GP, 0);
    }
    return true;
}

void sem_PUSHF(X86Cpu *c, const Insn *in)
{
    unsigned size = insn_osz(in);
    uint64_t fl = flags_get(c) & ~(uint64_t)(FL_VM | FL_RF);

    if (flags_vme(c, fl, size)) {
        fl = (fl & ~(uint64_t)FL_IF) | FL_IOPL | (fl & FL_VIF ? FL_IF : 0);
    }
    sp_push(c, fl | 2, size);
}

void sem_POPF(X86Cpu *c, const Insn *in)
{
    unsigned size = insn_osz(in);
    uint64_t old = flags_get(c), v, mask;
    bool vme = flags_vme(c, old, size);

    mask = FL_ARITH | FL_TF | FL_DF | FL_NT;
    mask |= size == 2 ? 0 : FL_AC | FL_ID;
    v = sp_peek(c, 0, size);
    if (vme) {
        if ((v & FL_TF) || ((v & FL_IF) && (old & FL_VIP))) {
            x86_raise_err(c, EXC_GP, 0);
        }
        v |= v & FL_IF ? FL_VIF : 0;
        mask |= FL_VIF;
    } else {
        mask |= c->mode.cpl <= flags_iopl(old) ? FL_IF : 0;
        mask |= c->mode.cpl == 0 ? FL_IOPL : 0;
    }
    sp_set(c, c->s.gpr[R_RSP] + size);
    c->s.rflags = ((old & ~mask) | (v & mask)) & ~(uint64_t)FL_RF;
    if ((old ^ c->s.rflags) & (FL_TF | FL_AC | FL_IOPL)) {
        x86_update_mode(c);
    }
}

/* ---- frames ------------------------------------------------------------------------ */

/* Copies the outer frame pointers: @level - 1 of them, below @bp to below
 * @sp. They may overlap, so in order; all has been probed. */
static void enter_copy(X86Cpu *c, uint64_t bp, uint64_t sp, unsigned level,
                       unsigned size)
{
    for (unsigned i = 1; i < level; i++) {
        uint64_t v = mem_ld(c, S_SS, sp_cut(c, bp - i * size), size);

        mem_st(c, S_SS, sp_cut(c, sp - i * size), v, size);
    }
}

void sem_ENTER(X86Cpu *c, const Insn *in)
{
    unsigned size = insn_osz(in), level = (in->imm >> 16) & 31;
    uint64_t sp = c->s.gpr[R_RSP], bp = c->s.gpr[R_RBP];
    uint64_t frame = sp - size, end;

    /* rBP, and with a level its copies and the new frame pointer. */
    end = frame - level * size;
    for (unsigned i = 0; i <= level; i++) {
        mem_probe(c, S_SS, sp_cut(c, frame - i * size), size, true);
    }
    for (unsigned i = 1; i < level; i++) {
        mem_probe(c, S_SS, sp_cut(c, bp - i * size), size, false);
    }
    end -= (uint16_t)in->imm;
    mem_probe(c, S_SS, sp_cut(c, end), size, true);

    mem_st(c, S_SS, sp_cut(c, frame), gpr_get(c, R_RBP, size), size);
    if (level > 0) {
        enter_copy(c, bp, frame, level, size);
        mem_st(c, S_SS, sp_cut(c, frame - level * size), sp_cut(c, frame),
               size);
    }
    gpr_set(c, R_RBP, sp_cut(c, frame), size);
    sp_set(c, end);
}

void sem_LEAVE(X86Cpu *c, const Insn *in)
{
    unsigned size = insn_osz(in);
    uint64_t bp = sp_cut(c, c->s.gpr[R_RBP]);
    uint64_t v = mem_ld(c, S_SS, bp, size);

    sp_set(c, bp + size);
    gpr_set(c, R_RBP, v, size);
}
