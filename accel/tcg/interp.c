/*
 * Runs decoded blocks.
 *
 * Each operation of a block points to a handler, chosen when the block was
 * made for this size, these operands and this mode. A handler does its work
 * and calls the next one as its last act, which the compiler makes a jump:
 * tests/insn/test-engine-tail.sh looks at the object code.
 *
 * A handler that finds anything unusual (a TLB miss, mostly) has changed
 * nothing yet and jumps to op_sem(), which calls the reference function of the
 * row and goes on behind it. So there is one slow path, and it is the one the
 * tests compare with the host.
 *
 * s.rip is the block's first instruction until a jump or the end of the block
 * moves it; handlers of ends of blocks count instructions down from
 * TcgCpu.budget and return to the run loop when it runs out.
 */
#include "util/osdep.h"
#include "accel/tcg/interp-impl.h"
#include "target-x86/fpu.h"
#include "target-x86/operand.h"

/* ---- going on --------------------------------------------------------------- */

void op_hop(X86Cpu *c, const Insn *op)
{
    c->insn = NULL;
    return op_next(c, tb_find(tcg_cpu(c))->op);
}

void op_hop_link(X86Cpu *c, const Insn *op)
{
    TcgCpu *tc = tcg_cpu(c);
    unsigned flushes = tc->flushes;
    Tb *tb;

    c->insn = NULL;
    tb = tb_find(tc);
    if (!op->rm && flushes == tc->flushes && tb->host && !tb->host2) {
        ((Insn *)op)->target = tb;
    }
    return op_next(c, tb->op);
}

void op_hop_guess(X86Cpu *c, const Insn *op)
{
    TcgCpu *tc = tcg_cpu(c);
    unsigned flushes = tc->flushes;
    Tb *tb;

    c->insn = NULL;
    tb = tb_find(tc);
    if (flushes == tc->flushes && tb->host) {
        ((Insn *)op)->target = tb;
    }
    return op_next(c, tb->op);
}

/* ---- what is always there ----------------------------------------------------- */

void op_sem(X86Cpu *c, const Insn *op)
{
    c->insn = op;
    insn_rows[op->id].sem(c, op);
    return op_next(c, op + 1);
}

/* A memory operand that must be aligned: @priv is the mask. */
static void op_sem_align(X86Cpu *c, const Insn *op)
{
    uint64_t lin = op_addr(c, op);

    if (!c->mode.code64 || op->seg >= S_FS) {
        lin += c->s.seg[op->seg].base;
    }
    c->insn = op;
    if (unlikely(c->s.fsw & FSW_ES) && insn_rows[op->id].attr & IA_MMX) {
        x87_check_pending(c); /* CVTPD2PI has both; this comes first */
    }
    if (unlikely(lin & op->priv)) {
        x86_raise_err(c, EXC_GP, 0);
    }
    insn_rows[op->id].sem(c, op);
    return op_next(c, op + 1);
}

/* x87 and MMX: an exception that waits comes first. SDM 1, 8.6. */
static void op_sem_x87(X86Cpu *c, const Insn *op)
{
    c->insn = op;
    if (unlikely(c->s.fsw & FSW_ES)) {
        x87_check_pending(c);
    }
    insn_rows[op->id].sem(c, op);
    return op_next(c, op + 1);
}

/*
 * After an instruction that may have changed anything. false: the run loop
 * must look. A shadow is of no use while nothing waits: what comes during the
 * next instruction may as well have come after it.
 */
static bool op_settle(TcgCpu *tc)
{
    X86Cpu *c = &tc->cpu;

    if (c->mode.key != tc->key ||
        ((uint32_t)c->s.rflags & (MODE_RFLAGS | FL_RF)) != tc->rflags ||
        c->s.apic_base != tc->apic_base || c->s.pkru != tc->pkru) {
        tcg_sync_changed(tc);
    }
    if (unlikely(cpu_should_leave(c)) || c->s.halted) {
        return false; /* an interrupt that is masked is no reason */
    }
    c->s.irq_shadow = c->s.ss_shadow = false;
    return true;
}

static void op_sem_end(X86Cpu *c, const Insn *op)
{
    TcgCpu *tc = tcg_cpu(c);

    c->insn = op;
    insn_rows[op->id].sem(c, op);
    c->s.rip = insn_next_rip(c, op);
    c->insn = NULL;
    if (!op_count(tc, op_n(op)) || !op_settle(tc)) {
        return;
    }
    return op_hop(c, op);
}

void op_sem_jump(X86Cpu *c, const Insn *op)
{
    TcgCpu *tc = tcg_cpu(c);

    c->insn = op;
    insn_rows[op->id].sem(c, op);
    c->insn = NULL;
    if (!op_count(tc, op_n(op)) || !op_settle(tc)) {
        return;
    }
    return op_hop(c, op);
}

/* The end of a block that did not jump: @imm instructions before it. */
static void op_fall(X86Cpu *c, const Insn *op)
{
    c->s.rip += op->off;
    return op_chain(c, op, op->imm);
}

static void op_fall_cut(X86Cpu *c, const Insn *op)
{
    c->s.rip = insn_cut_rip(c, c->s.rip + op->off);
    return op_chain(c, op, op->imm);
}

/* ... and does not chain: into the next page, and single instructions. */
static void op_fall_far(X86Cpu *c, const Insn *op)
{
    TcgCpu *tc = tcg_cpu(c);

    c->s.rip = insn_cut_rip(c, c->s.rip + op->off);
    if (!op_count(tc, op->imm) || (tc->key & MODE_SLOW)) {
        return;
    }
    return op_hop(c, op);
}

/* Back to the run loop after the block. */
static void op_fall_stop(X86Cpu *c, const Insn *op)
{
    c->s.rip = insn_cut_rip(c, c->s.rip + op->off);
    op_count(tcg_cpu(c), op->imm);
}

static void op_sem_end_stop(X86Cpu *c, const Insn *op)
{
    c->insn = op;
    insn_rows[op->id].sem(c, op);
    c->s.rip = insn_next_rip(c, op);
    c->insn = NULL;
    op_count(tcg_cpu(c), op_n(op));
}

static void op_sem_jump_stop(X86Cpu *c, const Insn *op)
{
    c->insn = op;
    insn_rows[op->id].sem(c, op);
    c->insn = NULL;
    op_count(tcg_cpu(c), op_n(op));
}

void interp_dead(X86Cpu *c, const Insn *op)
{
    TcgCpu *tc = tcg_cpu(c);

    c->s.rip = insn_cut_rip(c, c->s.rip + op->off);
    if (!op_count(tc, op - tb_of(op)->op) || (tc->key & MODE_SLOW)) {
        return;
    }
    return op_hop(c, op);
}

static void op_ud(X86Cpu *c, const Insn *op)
{
    c->insn = op;
    x86_raise(c, EXC_UD);
}

static void op_nm(X86Cpu *c, const Insn *op)
{
    c->insn = op;
    x86_raise(c, EXC_NM);
}

static void op_gp(X86Cpu *c, const Insn *op)
{
    c->insn = op;
    x86_raise_err(c, EXC_GP, 0);
}

void interp_make_fault(Insn *op, int vector)
{
    op->exec = vector == EXC_UD ? op_ud : vector == EXC_NM ? op_nm : op_gp;
}

InterpEnd interp_end(InsnFn *fn)
{
    if (fn == op_sem || fn == op_sem_align || fn == op_sem_x87) {
        return INTERP_ON;
    }
    if (fn == op_sem_end || fn == op_sem_jump || fn == op_sem_end_stop ||
        fn == op_sem_jump_stop || fn == op_ud || fn == op_nm || fn == op_gp) {
        return INTERP_LEAVE;
    }
    return INTERP_OWN;
}

void interp_run(TcgCpu *tc, Tb *tb)
{
    X86Cpu *c = &tc->cpu;

    if (!INTERP_TRAMPOLINE) {
        tb->op[0].exec(c, tb->op);
        return;
    }
    for (const Insn *op = tb->op; op; op = tc->next) {
        tc->next = NULL;
        op->exec(c, op);
    }
}

/* ---- choosing, where it is not interp-choose.c ------------------------------------------------------------------- */

/* Bytes of the operand that may be memory; 0: not a power of two. */
static uint64_t interp_align_mask(const Insn *op)
{
    const InsnRow *row = &insn_rows[op->id];

    for (int i = 0; i < 4; i++) {
        switch (row->op[i].kind) {
        case OPK_M:
        case OPK_E:
        case OPK_W:
        case OPK_Q: {
            unsigned size = op_size(op, i);

            return size & (size - 1) ? 0 : size - 1;
        }
        default:
            break;
        }
    }
    return 0;
}

InsnFn *interp_generic(Insn *op, bool slow)
{
    uint32_t attr = insn_rows[op->id].attr;

    if (attr & IA_JUMP) {
        return slow ? op_sem_jump_stop : op_sem_jump;
    }
    if ((attr & (IA_END | IA_SHADOW | IA_IO)) ||
        insn_rows[op->id].sem == sem_CPUID) {
        return slow ? op_sem_end_stop : op_sem_end;
    }
    if ((attr & IA_ALIGN) && op->is_mem && interp_align_mask(op)) {
        op->priv = interp_align_mask(op);
        return op_sem_align;
    }
    if (attr & (IA_FWAIT | IA_MMX)) {
        return op_sem_x87;
    }
    return op_sem;
}

InsnFn *interp_fall(const Tb *tb)
{
    bool page_end = (((uintptr_t)tb->host + tb->size) & ~PAGE_MASK) == 0;

    if (tb->key & MODE_SLOW) {
        return op_fall_stop;
    }
    if (tb->host2 || !(tb->key & MODE_FLAT) || page_end) {
        return op_fall_far;
    }
    return tb->key & MODE_CODE64 ? op_fall : op_fall_cut;
}
