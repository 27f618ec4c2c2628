/*
 * Moves and conversions. SDM 2.
 */
#include "util/osdep.h"
#include "target-x86/sem.h"
#include "util/bits.h"

void sem_MOV(X86Cpu *c, const Insn *in)
{
    op_write(c, in, 0, op_read(c, in, 1));
}

/* Also MOVNTI: the host's caches are nobody's business here. */
void sem_MOVNTI(X86Cpu *c, const Insn *in)
{
    op_write(c, in, 0, op_read(c, in, 1));
}

void sem_MOVZX(X86Cpu *c, const Insn *in)
{
    op_write(c, in, 0, op_read(c, in, 1));
}

void sem_MOVSX(X86Cpu *c, const Insn *in)
{
    op_write(c, in, 0, size_sext(op_read(c, in, 1), op_size(in, 1)));
}

void sem_MOVSXD(X86Cpu *c, const Insn *in)
{
    op_write(c, in, 0, size_sext(op_read(c, in, 1), op_size(in, 1)));
}

void sem_LEA(X86Cpu *c, const Insn *in)
{
    op_write(c, in, 0, op_addr(c, in));
}

void sem_CMOVCC(X86Cpu *c, const Insn *in)
{
    uint64_t v = op_read(c, in, 1); /* read, and faults, in any case */

    if (!flags_cond(c, insn_row(in)->opcode & 15)) {
        v = op_read(c, in, 0);
    }
    op_write(c, in, 0, v);
}

void sem_SETCC(X86Cpu *c, const Insn *in)
{
    op_write(c, in, 0, flags_cond(c, insn_row(in)->opcode & 15));
}

/* CBW, CWDE, CDQE. */
void sem_CBW(X86Cpu *c, const Insn *in)
{
    unsigned size = insn_osz(in);

    gpr_set(c, R_RAX, size_sext(c->s.gpr[R_RAX], size / 2), size);
}

/* CWD, CDQ, CQO. */
void sem_CWD(X86Cpu *c, const Insn *in)
{
    unsigned size = insn_osz(in);

    gpr_set(c, R_RDX, size_sext(c->s.gpr[R_RAX], size) >> 63, size);
}

/* 16 bits are undefined: real processors clear them. */
void sem_BSWAP(X86Cpu *c, const Insn *in)
{
    unsigned size = op_size(in, 0);
    uint64_t v = op_read(c, in, 0);

    op_write(c, in, 0,
             size == 8   ? __builtin_bswap64(v)
             : size == 4 ? __builtin_bswap32(v)
                         : 0);
}

void sem_MOVBE(X86Cpu *c, const Insn *in)
{
    unsigned size = op_size(in, 0);

    op_write(c, in, 0, __builtin_bswap64(op_read(c, in, 1)) >> (64 - 8 * size));
}

void sem_XLAT(X86Cpu *c, const Insn *in)
{
    uint64_t off = c->s.gpr[R_RBX] + (uint8_t)c->s.gpr[R_RAX];

    gpr_set(c, R_RAX, mem_ld(c, in->seg, off & insn_admask(in), 1), 1);
}

/* ---- segment registers ------------------------------------------------------- */

static void mov_to_seg(X86Cpu *c, unsigned seg, uint16_t sel)
{
    if (seg == S_CS || seg >= S_COUNT) {
        x86_raise(c, EXC_UD);
    }
    seg_load(c, seg, sel);
    if (seg == S_SS) {
        c->s.ss_shadow = true;
    }
}

/* Memory gets 16 bits whatever the operand size, a register all of it. */
void sem_MOV_SREG(X86Cpu *c, const Insn *in)
{
    uint64_t sel;

    if (insn_row(in)->op[0].kind == OPK_SEG) {
        sel = in->is_mem ? mem_ld(c, in->seg, op_addr(c, in), 2)
                         : c->s.gpr[in->rm & 15];
        mov_to_seg(c, in->reg, sel);
        return;
    }
    if (in->reg >= S_COUNT) {
        x86_raise(c, EXC_UD);
    }
    sel = c->s.seg[in->reg].sel;
    if (in->is_mem) {
        mem_st(c, in->seg, op_addr(c, in), sel, 2);
    } else {
        gpr_set(c, in->rm, sel, insn_osz(in));
    }
}

/* LDS and its brothers: offset, then selector. */
static void mov_far_pointer(X86Cpu *c, const Insn *in, unsigned seg)
{
    unsigned size = insn_osz(in);
    uint64_t at = op_addr(c, in);
    uint64_t off = mem_ld(c, in->seg, at, size);
    uint16_t sel = mem_ld(c, in->seg, (at + size) & insn_admask(in), 2);

    seg_load(c, seg, sel);
    gpr_set(c, in->reg, off, size);
}

void sem_LES(X86Cpu *c, const Insn *in)
{
    mov_far_pointer(c, in, S_ES);
}

void sem_LDS(X86Cpu *c, const Insn *in)
{
    mov_far_pointer(c, in, S_DS);
}

void sem_LSS(X86Cpu *c, const Insn *in)
{
    mov_far_pointer(c, in, S_SS);
}

void sem_LFS(X86Cpu *c, const Insn *in)
{
    mov_far_pointer(c, in, S_FS);
}

void sem_LGS(X86Cpu *c, const Insn *in)
{
    mov_far_pointer(c, in, S_GS);
}
