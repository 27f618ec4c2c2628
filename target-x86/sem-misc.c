/*
 * Flag instructions, no-operations, cache hints, and the opcodes that are
 * there to be invalid. SDM 2.
 */
#include "util/osdep.h"
#include "target-x86/sem.h"

/* ---- flags ------------------------------------------------------------------- */

void sem_CLC(X86Cpu *c, const Insn *in)
{
    flags_change(c, FL_CF, 0);
}

void sem_STC(X86Cpu *c, const Insn *in)
{
    flags_change(c, FL_CF, FL_CF);
}

void sem_CMC(X86Cpu *c, const Insn *in)
{
    flags_change(c, FL_CF, flags_carry(c) ? 0 : FL_CF);
}

void sem_CLD(X86Cpu *c, const Insn *in)
{
    c->s.rflags &= ~(uint64_t)FL_DF;
}

void sem_STD(X86Cpu *c, const Insn *in)
{
    c->s.rflags |= FL_DF;
}

void sem_LAHF(X86Cpu *c, const Insn *in)
{
    gpr_set(c, INSN_HIGH | 4, (flags_arith(c) & 0xff) | 2, 1);
}

void sem_SAHF(X86Cpu *c, const Insn *in)
{
    flags_change(c, FL_ARITH & 0xff, gpr_get(c, INSN_HIGH | 4, 1));
}

/*
 * CLI and STI work on IF, or where IOPL forbids that and VME or PVI allow it
 * on VIF. SDM 3A, 21.3: virtual interrupts. Which it is; #GP(0) if neither.
 */
static uint32_t flags_if_or_vif(X86Cpu *c)
{
    unsigned iopl = (c->s.rflags & FL_IOPL) >> 12;

    if (c->mode.cpl <= iopl) { /* real mode is CPL 0 */
        return FL_IF;
    }
    if (c->mode.vm86 ? c->s.cr4 & CR4_VME
                     : c->mode.cpl == 3 && (c->s.cr4 & CR4_PVI)) {
        return FL_VIF;
    }
    x86_raise_err(c, EXC_GP, 0);
}

void sem_CLI(X86Cpu *c, const Insn *in)
{
    c->s.rflags &= ~(uint64_t)flags_if_or_vif(c);
}

/* The next instruction runs before an interrupt does, if IF was clear. */
void sem_STI(X86Cpu *c, const Insn *in)
{
    uint32_t bit = flags_if_or_vif(c);

    if (bit == FL_VIF && (c->s.rflags & FL_VIP)) {
        x86_raise_err(c, EXC_GP, 0);
    }
    if (bit == FL_IF && !(c->s.rflags & FL_IF)) {
        c->s.irq_shadow = true;
    }
    c->s.rflags |= bit;
}

/* D6, in no Intel manual until lately: AL = CF ? FF : 0. */
void sem_SALC(X86Cpu *c, const Insn *in)
{
    gpr_set(c, R_RAX, flags_carry(c) ? 0xff : 0, 1);
}

/* ---- nothing ---------------------------------------------------------------------- */

/* NOP with modrm, prefetches and hints too: memory is not touched. */
void sem_NOP(X86Cpu *c, const Insn *in)
{
}

/* Lets a vCPU that shares our core get to where it releases the lock. */
void sem_PAUSE(X86Cpu *c, const Insn *in)
{
    __builtin_ia32_pause();
}

void sem_LFENCE(X86Cpu *c, const Insn *in)
{
}

void sem_SFENCE(X86Cpu *c, const Insn *in)
{
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

/* Guest stores are host stores: other vCPUs see them in the host's order. */
void sem_MFENCE(X86Cpu *c, const Insn *in)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Faults as a byte load does; there is no cache to flush. */
static void cache_line(X86Cpu *c, const Insn *in)
{
    mem_probe(c, in->seg, op_addr(c, in), 1, false);
}

void sem_CLFLUSH(X86Cpu *c, const Insn *in)
{
    cache_line(c, in);
}

void sem_CLFLUSHOPT(X86Cpu *c, const Insn *in)
{
    cache_line(c, in);
}

void sem_CLWB(X86Cpu *c, const Insn *in)
{
    cache_line(c, in);
}

/* ---- invalid ------------------------------------------------------------------------- */

void sem_UD0(X86Cpu *c, const Insn *in)
{
    x86_raise(c, EXC_UD);
}

void sem_UD1(X86Cpu *c, const Insn *in)
{
    x86_raise(c, EXC_UD);
}

void sem_UD2(X86Cpu *c, const Insn *in)
{
    x86_raise(c, EXC_UD);
}
