/*
 * The operands of a decoded instruction, as its row in insn.def names them.
 *
 * The reference path: every sem_*() function can be written with these. The
 * engine has faster handlers of its own for the common forms.
 */
#ifndef TARGET_X86_OPERAND_H
#define TARGET_X86_OPERAND_H

#include "target-x86/access.h"
#include "target-x86/insn.h"

/* Bytes of operand @n. */
unsigned op_size(const Insn *in, int n);
/* Offset of the memory operand within its segment, cut to the address size. */
uint64_t op_addr(const X86Cpu *c, const Insn *in);
/* Integer operands up to 64 bits, zero-extended. Immediates are as decoded,
 * sign-extended to 64 bits: cut them to the size of the operation. */
uint64_t op_read(X86Cpu *c, const Insn *in, int n);
/* Operand @n is in memory (OPK_E and friends by modrm; OPK_M, OPK_MOFFS). */
bool op_is_mem(const Insn *in, int n);
/* As op_read() of a destination that will be written: faults as a write. */
uint64_t op_read_rmw(X86Cpu *c, const Insn *in, int n);
/* A 32-bit register write clears the upper half. */
void op_write(X86Cpu *c, const Insn *in, int n, uint64_t v);

/* GPR @r in @size bytes; byte registers with INSN_HIGH. */
static inline uint64_t gpr_get(const X86Cpu *c, unsigned r, unsigned size)
{
    uint64_t v = c->s.gpr[r & 15];

    switch (size) {
    case 1:
        return r & INSN_HIGH ? (uint8_t)(c->s.gpr[r & 3] >> 8) : (uint8_t)v;
    case 2:
        return (uint16_t)v;
    case 4:
        return (uint32_t)v;
    default:
        return v;
    }
}

static inline void gpr_set(X86Cpu *c, unsigned r, uint64_t v, unsigned size)
{
    uint64_t *p = &c->s.gpr[r & INSN_HIGH ? r & 3 : r & 15];

    switch (size) {
    case 1:
        if (r & INSN_HIGH) {
            *p = (*p & ~UINT64_C(0xff00)) | (v & 0xff) << 8;
        } else {
            *p = (*p & ~UINT64_C(0xff)) | (v & 0xff);
        }
        break;
    case 2:
        *p = (*p & ~UINT64_C(0xffff)) | (v & 0xffff);
        break;
    case 4:
        *p = (uint32_t)v;
        break;
    default:
        *p = v;
    }
}

#endif
