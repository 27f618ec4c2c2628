/*
 * Operands by the row's codes: operand.h.
 *
 * A row whose operands are not integers (vectors, x87, control registers) has
 * semantics that fetch them themselves; asking here for one is a mistake in
 * the table, and tests/decode would have found it.
 */
#include "util/osdep.h"
#include "target-x86/operand.h"
#include "util/bits.h"

/* Sizes that the encoding does not change. */
static const uint16_t op_fixed_size[] = {
    [OPS_B] = 1,   [OPS_W] = 2,     [OPS_D] = 4,
    [OPS_Q] = 8,   [OPS_T] = 10,    [OPS_DQ] = 16,
    [OPS_QQ] = 32, [OPS_FXS] = 512, [OPS_XSV] = 832,
};

unsigned op_size(const Insn *in, int n)
{
    unsigned size = insn_rows[in->id].op[n].size;
    unsigned v = 1u << in->opsize;

    switch (size) {
    case OPS_V:
    case OPS_BS:
        return v;
    case OPS_Z:
        return MIN(v, 4);
    case OPS_Y:
        return in->rex_w && in->code64 ? 8 : 4;
    case OPS_X:
        return 16u << in->vex_l;
    case OPS_XH:
        return 8u << in->vex_l;
    case OPS_XQ:
        return 4u << in->vex_l;
    case OPS_XO:
        return 2u << in->vex_l;
    case OPS_A:
        return 2 * v;
    case OPS_P:
        return 2 + v;
    case OPS_S:
        return in->code64 ? 10 : 6;
    case OPS_ENV:
        return in->opsize == 1 ? 14 : 28;
    case OPS_FSV:
        return in->opsize == 1 ? 94 : 108;
    }
    return op_fixed_size[size];
}

/* Cut to the address size. */
static inline uint64_t op_cut(const Insn *in, uint64_t off)
{
    return off & (UINT64_MAX >> (64 - (8u << in->adsize)));
}

uint64_t op_addr(const X86Cpu *c, const Insn *in)
{
    uint64_t off = (int64_t)in->disp;

    if (in->base < 16) {
        off += c->s.gpr[in->base];
    } else if (in->base == INSN_RIP) {
        off += insn_next_rip(c, in);
    }
    if (in->index < 16) {
        off += c->s.gpr[in->index] << in->scale;
    }
    return op_cut(in, off);
}

bool op_is_mem(const Insn *in, int n)
{
    switch (insn_rows[in->id].op[n].kind) {
    case OPK_E:
    case OPK_M:
    case OPK_W:
    case OPK_Q:
        return in->is_mem;
    case OPK_MOFFS:
        return true;
    }
    return false;
}

static uint64_t op_offset(const X86Cpu *c, const Insn *in, unsigned kind)
{
    return kind == OPK_MOFFS ? op_cut(in, in->imm) : op_addr(c, in);
}

/* The GPR that operand @o is, or -1. */
static inline int op_gpr(const Insn *in, const InsnOperand *o)
{
    switch (o->kind) {
    case OPK_G:
        return in->reg;
    case OPK_E:
        return in->is_mem ? -1 : in->rm;
    case OPK_R:
    case OPK_Z:
        return in->rm;
    case OPK_B:
        return in->vvvv;
    case OPK_FIXED:
        return o->reg;
    }
    return -1;
}

uint64_t op_read(X86Cpu *c, const Insn *in, int n)
{
    const InsnOperand *o = &insn_rows[in->id].op[n];
    int r = op_gpr(in, o);

    if (r >= 0) {
        return gpr_get(c, r, op_size(in, n));
    }
    switch (o->kind) {
    case OPK_E:
    case OPK_M:
    case OPK_MOFFS:
        return mem_ld(c, in->seg, op_offset(c, in, o->kind), op_size(in, n));
    case OPK_IMM:
    case OPK_REL:
        return in->imm;
    case OPK_ONE:
        return 1;
    case OPK_SEG:
        return c->s.seg[in->reg].sel;
    case OPK_FSEG:
        return c->s.seg[o->reg].sel;
    }
    g_assert_not_reached();
}

uint64_t op_read_rmw(X86Cpu *c, const Insn *in, int n)
{
    const InsnOperand *o = &insn_rows[in->id].op[n];
    int r = op_gpr(in, o);

    if (r >= 0) {
        return gpr_get(c, r, op_size(in, n));
    }
    return mem_ld_rmw(c, in->seg, op_offset(c, in, o->kind), op_size(in, n));
}

void op_write(X86Cpu *c, const Insn *in, int n, uint64_t v)
{
    const InsnOperand *o = &insn_rows[in->id].op[n];
    int r = op_gpr(in, o);

    if (r >= 0) {
        gpr_set(c, r, v, op_size(in, n));
        return;
    }
    mem_st(c, in->seg, op_offset(c, in, o->kind), v, op_size(in, n));
}
