/*
 * An assembler for x86-64 hosts: only the forms that the translator uses.
 *
 * Code is written through one mapping and runs in another, @to_rx bytes away.
 * Whoever emits has made sure of room: the longest instruction is 15 bytes.
 */
#ifndef ACCEL_TCG_JIT_EMIT_H
#define ACCEL_TCG_JIT_EMIT_H

#include "util/osdep.h"

enum {
    HOST_RAX,
    HOST_RCX,
    HOST_RDX,
    HOST_RBX,
    HOST_RSP,
    HOST_RBP,
    HOST_RSI,
    HOST_RDI,
    HOST_R8,
    HOST_R9,
    HOST_R10,
    HOST_R11,
    HOST_R12,
    HOST_R13,
    HOST_R14,
    HOST_R15,
    HOST_NONE, /* no base, no index */
};

typedef struct Asm {
    uint8_t *p;     /* where the next byte goes */
    intptr_t to_rx; /* from there to where it runs */
} Asm;

/* A memory operand of the host. */
typedef struct AsmMem {
    uint8_t base, index; /* HOST_* */
    uint8_t scale;       /* index << scale */
    int32_t disp;
} AsmMem;

/* Opcodes are the byte, and these. The low bit of most is "not a byte": the
 * functions below clear it for bytes unless ASM_FIXED. */
enum {
    ASM_0F = 1 << 8,
    ASM_FIXED = 1 << 9,
    ASM_BYTE_RM = 1 << 10, /* MOVZX and the like: rm is a byte register */
    ASM_F3 = 1 << 11,
    ASM_38 = 1 << 12, /* 0F 38 */
};

static inline AsmMem asm_at(unsigned base, int32_t disp)
{
    return (AsmMem) { .base = base, .index = HOST_NONE, .disp = disp };
}

static inline void asm_8(Asm *a, unsigned v)
{
    *a->p++ = v;
}

static inline void asm_32(Asm *a, uint32_t v)
{
    memcpy(a->p, &v, 4);
    a->p += 4;
}

static inline void asm_64(Asm *a, uint64_t v)
{
    memcpy(a->p, &v, 8);
    a->p += 8;
}

/* Prefixes and opcode. @log2 is that of the operand size. */
static inline void asm_op(Asm *a, unsigned log2, unsigned op, unsigned reg,
                          unsigned index, unsigned base, bool byte_reg)
{
    unsigned rex = (log2 == 3) << 3 | (reg >> 3 & 1) << 2 |
                   (index != HOST_NONE ? index >> 3 & 1 : 0) << 1 |
                   (base != HOST_NONE ? base >> 3 & 1 : 0);

    if (log2 == 1) {
        asm_8(a, 0x66);
    }
    if (op & ASM_F3) {
        asm_8(a, 0xf3);
    }
    if (rex || byte_reg) {
        asm_8(a, 0x40 | rex);
    }
    if (op & (ASM_0F | ASM_38)) {
        asm_8(a, 0x0f);
    }
    if (op & ASM_38) {
        asm_8(a, 0x38);
    }
    asm_8(a, log2 == 0 && !(op & ASM_FIXED) ? (op & 0xfe) : (op & 0xff));
}

/* Both are registers; @reg may be the digit of a group. */
static inline void asm_rr(Asm *a, unsigned log2, unsigned op, unsigned reg,
                          unsigned rm)
{
    bool byte = (log2 == 0 && !(op & ASM_BYTE_RM)) ? reg >= 4 || rm >= 4
                : op & ASM_BYTE_RM                 ? rm >= 4
                                                   : false;

    asm_op(a, log2, op, reg, HOST_NONE, rm, byte);
    asm_8(a, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

/* The operand bytes of [m]. */
static inline void asm_modrm(Asm *a, unsigned reg, AsmMem m)
{
    unsigned r = (reg & 7) << 3, b = m.base & 7;
    bool sib = m.index != HOST_NONE || m.base == HOST_NONE || b == HOST_RSP;
    unsigned x = m.index == HOST_NONE ? HOST_RSP : m.index & 7;

    if (m.base == HOST_NONE) { /* index and displacement, or that alone */
        asm_8(a, r | 4);
        asm_8(a, m.scale << 6 | x << 3 | 5);
        asm_32(a, m.disp);
        return;
    }
    if (m.disp == 0 && b != HOST_RBP) {
        asm_8(a, r | (sib ? 4 : b));
    } else if (m.disp == (int8_t)m.disp) {
        asm_8(a, 0x40 | r | (sib ? 4 : b));
    } else {
        asm_8(a, 0x80 | r | (sib ? 4 : b));
    }
    if (sib) {
        asm_8(a, m.scale << 6 | x << 3 | b);
    }
    if (m.disp == 0 && b != HOST_RBP) {
        return;
    }
    if (m.disp == (int8_t)m.disp) {
        asm_8(a, m.disp);
    } else {
        asm_32(a, m.disp);
    }
}

static inline void asm_rm(Asm *a, unsigned log2, unsigned op, unsigned reg,
                          AsmMem m)
{
    bool byte = log2 == 0 && !(op & ASM_BYTE_RM) && reg >= 4;

    asm_op(a, log2, op, reg, m.index, m.base, byte);
    asm_modrm(a, reg, m);
}

/* [rip + ...]: data or code at @at, where it is for the running code. */
static inline void asm_rip(Asm *a, unsigned log2, unsigned op, unsigned reg,
                           const void *at)
{
    asm_op(a, log2, op, reg, HOST_NONE, HOST_NONE, false);
    asm_8(a, (reg & 7) << 3 | 5);
    asm_32(a, (intptr_t)at - ((intptr_t)a->p + a->to_rx + 4));
}

/* An immediate as wide as the operand, but at most 32 bits. */
static inline void asm_imm(Asm *a, unsigned log2, int64_t v)
{
    switch (log2) {
    case 0:
        asm_8(a, v);
        break;
    case 1:
        asm_8(a, v);
        asm_8(a, v >> 8);
        break;
    default:
        asm_32(a, v);
    }
}

/* ADD OR ADC SBB AND SUB XOR CMP are 0 to 7. */
static inline void asm_alu_ri(Asm *a, unsigned log2, unsigned what,
                              unsigned reg, int64_t v)
{
    if (log2 > 0 && v == (int8_t)v) {
        asm_rr(a, log2, 0x83, what, reg);
        asm_8(a, v);
    } else {
        asm_rr(a, log2, 0x81, what, reg);
        asm_imm(a, log2, v);
    }
}

static inline void asm_alu_mi(Asm *a, unsigned log2, unsigned what, AsmMem m,
                              int64_t v)
{
    if (log2 > 0 && v == (int8_t)v) {
        asm_rm(a, log2, 0x83, what, m);
        asm_8(a, v);
    } else {
        asm_rm(a, log2, 0x81, what, m);
        asm_imm(a, log2, v);
    }
}

static inline void asm_mov_rr(Asm *a, unsigned to, unsigned from)
{
    asm_rr(a, 3, 0x8b, to, from);
}

static inline void asm_mov_ri(Asm *a, unsigned reg, uint64_t v)
{
    if (v == (uint32_t)v) {
        asm_op(a, 2, 0xb8 | (reg & 7) | ASM_FIXED, 0, HOST_NONE, reg, false);
        asm_32(a, v);
    } else if ((int64_t)v == (int32_t)v) {
        asm_rr(a, 3, 0xc7, 0, reg);
        asm_32(a, v);
    } else {
        asm_op(a, 3, 0xb8 | (reg & 7) | ASM_FIXED, 0, HOST_NONE, reg, false);
        asm_64(a, v);
    }
}

/* Jumps have 32-bit distances; those to places not known yet are returned, for
 * asm_land(). */
static inline uint8_t *asm_jcc(Asm *a, unsigned cc)
{
    asm_8(a, 0x0f);
    asm_8(a, 0x80 | cc);
    asm_32(a, 0);
    return a->p;
}

static inline uint8_t *asm_jmp(Asm *a)
{
    asm_8(a, 0xe9);
    asm_32(a, 0);
    return a->p;
}

static inline void asm_land_at(uint8_t *jump, const uint8_t *to)
{
    int32_t d = to - jump;

    memcpy(jump - 4, &d, 4);
}

static inline void asm_land(Asm *a, uint8_t *jump)
{
    asm_land_at(jump, a->p);
}

/* To code at @at, where it runs. */
static inline void asm_jmp_to(Asm *a, const void *at)
{
    asm_8(a, 0xe9);
    asm_32(a, (intptr_t)at - ((intptr_t)a->p + a->to_rx + 4));
}

static inline void asm_call_to(Asm *a, const void *at)
{
    asm_8(a, 0xe8);
    asm_32(a, (intptr_t)at - ((intptr_t)a->p + a->to_rx + 4));
}

static inline void asm_push(Asm *a, unsigned reg)
{
    asm_op(a, 2, 0x50 | (reg & 7) | ASM_FIXED, 0, HOST_NONE, reg, false);
}

static inline void asm_pop(Asm *a, unsigned reg)
{
    asm_op(a, 2, 0x58 | (reg & 7) | ASM_FIXED, 0, HOST_NONE, reg, false);
}

static inline void asm_ret(Asm *a)
{
    asm_8(a, 0xc3);
}

#endif
