/*
 * IN and OUT. SDM 1, chapter 19. INS and OUTS are in sem-string.c.
 */
#include "util/osdep.h"
#include "target-x86/sem.h"

/* The TSS's I/O permission bitmap: two bytes are read, so that one more than
 * the last has to be below the limit. */
static bool io_bitmap_allows(X86Cpu *c, uint16_t port, unsigned size)
{
    const X86Seg *tr = &c->s.tr;
    unsigned type = (tr->attr & SEG_TYPE) >> SEG_TYPE_SHIFT;
    uint32_t at, bits;

    if ((type | 2) != DESC_TSS32_BUSY || tr->limit < 103) {
        return false;
    }
    at = lin_ld(c, tr->base + 102, 2, LIN_SYS);
    at += port / 8;
    if (at + 1 > tr->limit) {
        return false;
    }
    bits = lin_ld(c, tr->base + at, 2, LIN_SYS);
    return ((bits >> (port & 7)) & ((1u << size) - 1)) == 0;
}

void io_check(X86Cpu *c, uint16_t port, unsigned size)
{
    unsigned iopl = (c->s.rflags & FL_IOPL) >> 12;

    if ((c->mode.vm86 || (c->mode.protected_mode && c->mode.cpl > iopl)) &&
        !io_bitmap_allows(c, port, size)) {
        x86_raise_err(c, EXC_GP, 0);
    }
}

/* E4-E7 have the port as an immediate, EC-EF in DX; odd ones are not bytes. */
static uint16_t io_port(const X86Cpu *c, const Insn *in)
{
    return insn_row(in)->opcode & 8 ? (uint16_t)c->s.gpr[R_RDX]
                                    : (uint8_t)in->imm;
}

static unsigned io_size(const Insn *in)
{
    return insn_row(in)->opcode & 1 ? MIN(insn_osz(in), 4) : 1;
}

void sem_IN(X86Cpu *c, const Insn *in)
{
    uint16_t port = io_port(c, in);
    unsigned size = io_size(in);

    io_check(c, port, size);
    gpr_set(c, R_RAX, io_ld(c, port, size), size);
}

void sem_OUT(X86Cpu *c, const Insn *in)
{
    uint16_t port = io_port(c, in);
    unsigned size = io_size(in);

    io_check(c, port, size);
    io_st(c, port, gpr_get(c, R_RAX, size), size);
}
