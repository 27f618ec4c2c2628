/*
 * Jumps, calls, returns, loops, software interrupts. SDM 2.
 *
 * A target beyond the limit of CS, or not canonical, is #GP(0) at the branch
 * itself: checked before anything is committed. Far transfers and interrupts
 * are those of seg.h.
 */
#include "util/osdep.h"
#include "target-x86/sem.h"

/* @target cut to the operand size; raises #GP(0). */
static uint64_t branch_check(X86Cpu *c, const Insn *in, uint64_t target)
{
    if (c->mode.code64) {
        /* Canonical for 48 bits is so for 57 too. */
        if ((uint64_t)((int64_t)(target << 16) >> 16) != target &&
            !x86_canonical(c, target)) {
            x86_raise_err(c, EXC_GP, 0);
        }
        return target;
    }
    target &= in->opsize == 1 ? 0xffff : 0xffffffff;
    if (target > c->s.seg[S_CS].limit) {
        x86_raise_err(c, EXC_GP, 0);
    }
    return target;
}

/* Operand 0: relative, register or memory. */
static uint64_t branch_target(X86Cpu *c, const Insn *in)
{
    if (insn_row(in)->op[0].kind == OPK_REL) {
        return branch_check(c, in, insn_next_rip(c, in) + in->simm);
    }
    return branch_check(c, in, op_read(c, in, 0));
}

static void branch_if(X86Cpu *c, const Insn *in, bool taken)
{
    c->s.rip = taken ? branch_target(c, in) : insn_next_rip(c, in);
}

/* ---- near -------------------------------------------------------------------- */

void sem_JMP(X86Cpu *c, const Insn *in)
{
    c->s.rip = branch_target(c, in);
}

void sem_JCC(X86Cpu *c, const Insn *in)
{
    branch_if(c, in, flags_cond(c, insn_row(in)->opcode & 15));
}

void sem_CALL(X86Cpu *c, const Insn *in)
{
    uint64_t target = branch_target(c, in);

    sp_push(c, insn_next_rip(c, in), insn_osz(in));
    c->s.rip = target;
}

void sem_RET(X86Cpu *c, const Insn *in)
{
    bool has_imm = insn_row(in)->op[0].kind == OPK_IMM;
    uint64_t target = sp_peek(c, 0, insn_osz(in));

    target = branch_check(c, in, target);
    sp_set(c,
           c->s.gpr[R_RSP] + insn_osz(in) + (has_imm ? (uint16_t)in->imm : 0));
    c->s.rip = target;
}

/* rCX - 1 in the address size, and the target if the loop goes on. */
static void branch_loop(X86Cpu *c, const Insn *in, bool cond)
{
    uint64_t count = (c->s.gpr[R_RCX] - 1) & insn_admask(in);

    branch_if(c, in, count != 0 && cond);
    gpr_set(c, R_RCX, count, 1u << in->adsize);
}

void sem_LOOP(X86Cpu *c, const Insn *in)
{
    branch_loop(c, in, true);
}

void sem_LOOPE(X86Cpu *c, const Insn *in)
{
    branch_loop(c, in, flags_cond(c, 4));
}

void sem_LOOPNE(X86Cpu *c, const Insn *in)
{
    branch_loop(c, in, flags_cond(c, 5));
}

/* JCXZ, JECXZ, JRCXZ. */
void sem_JRCXZ(X86Cpu *c, const Insn *in)
{
    branch_if(c, in, (c->s.gpr[R_RCX] & insn_admask(in)) == 0);
}

/* ---- far --------------------------------------------------------------------------- */

typedef struct FarPointer {
    uint16_t sel;
    uint64_t off;
} FarPointer;

static FarPointer branch_far(X86Cpu *c, const Insn *in)
{
    unsigned size = insn_osz(in);
    FarPointer p;
    uint64_t at;

    if (insn_row(in)->op[0].kind == OPK_FAR) {
        return (FarPointer) { in->imm >> 32, (uint32_t)in->imm };
    }
    at = op_addr(c, in);
    p.off = mem_ld(c, in->seg, at, size);
    p.sel = mem_ld(c, in->seg, (at + size) & insn_admask(in), 2);
    return p;
}

void sem_JMPF(X86Cpu *c, const Insn *in)
{
    FarPointer p = branch_far(c, in);

    far_jmp(c, p.sel, p.off, insn_osz(in), insn_next_rip(c, in));
}

void sem_CALLF(X86Cpu *c, const Insn *in)
{
    FarPointer p = branch_far(c, in);

    far_call(c, p.sel, p.off, insn_osz(in), insn_next_rip(c, in));
}

void sem_RETF(X86Cpu *c, const Insn *in)
{
    bool has_imm = insn_row(in)->op[0].kind == OPK_IMM;

    far_ret(c, insn_osz(in), has_imm ? (uint16_t)in->imm : 0);
}

void sem_IRET(X86Cpu *c, const Insn *in)
{
    far_iret(c, insn_osz(in));
}

/* ---- interrupts ------------------------------------------------------------------------ */

void sem_INT(X86Cpu *c, const Insn *in)
{
    x86_interrupt(c, (uint8_t)in->imm, INT_SOFT, false, 0);
}

void sem_INT3(X86Cpu *c, const Insn *in)
{
    x86_interrupt(c, EXC_BP, INT_SOFT_BP, false, 0);
}

void sem_INTO(X86Cpu *c, const Insn *in)
{
    if (flags_cond(c, 0)) {
        x86_interrupt(c, EXC_OF, INT_SOFT_BP, false, 0);
    } else {
        c->s.rip = insn_next_rip(c, in);
    }
}

void sem_ICEBP(X86Cpu *c, const Insn *in)
{
    x86_interrupt(c, EXC_DB, INT_ICEBP, false, 0);
}

/* A fault, unlike INTO: the return address is BOUND itself. */
void sem_BOUND(X86Cpu *c, const Insn *in)
{
    unsigned size = insn_osz(in);
    uint64_t at = op_addr(c, in);
    int64_t i = size_sext(c->s.gpr[in->reg], size);
    int64_t lower = size_sext(mem_ld(c, in->seg, at, size), size), upper;

    at = (at + size) & insn_admask(in);
    upper = size_sext(mem_ld(c, in->seg, at, size), size);
    if (i < lower || i > upper) {
        x86_raise(c, EXC_BR);
    }
}
