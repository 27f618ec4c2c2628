/*
 * Arithmetic flags of the software CPU.
 *
 * An engine handler that must leave flags behind stores what they follow from
 * (result, second operand, kind and size: LazyFlags) instead of six bits.
 * Whoever needs them goes through here. c->lazy.op == FLAGS_EXACT means that
 * s.rflags has them. Outside AccelOps.run() that is always so.
 *
 * For additions and subtractions @res is the result and @src the second
 * operand; the first operand follows from both. Bits above the size do not
 * matter. ADC and SBB leave FLAGS_ADD or FLAGS_SUB when their carry-in was 0.
 */
#ifndef TARGET_X86_FLAGS_H
#define TARGET_X86_FLAGS_H

#include "target-x86/cpu.h"

/* op = kind * 4 + log2(size) */
enum {
    FLAGS_EXACT = 0,
    FLAGS_ADD = 4,    /* res = a + src */
    FLAGS_SUB = 8,    /* res = a - src */
    FLAGS_LOGIC = 12, /* CF OF AF 0 */
    FLAGS_INC = 16,   /* CF in src bit 0 */
    FLAGS_DEC = 20,   /* CF in src bit 0 */
    FLAGS_ADC = 24,   /* res = a + src + 1 */
    FLAGS_SBB = 28,   /* res = a - src - 1 */
    FLAGS_SHL = 32,   /* src: what the last bit was shifted out of */
    FLAGS_SHR = 36,   /* likewise */
    FLAGS_SAR = 40,   /* likewise */
    FLAGS_MUL = 44,   /* CF and OF in src bit 0 */
};

/* The six bits, computed; nothing is changed. */
uint32_t flags_arith(const X86Cpu *c);

static inline void flags_lazy(X86Cpu *c, uint32_t kind, unsigned size_log2,
                              uint64_t res, uint64_t src)
{
    c->lazy.res = res;
    c->lazy.src = src;
    c->lazy.op = kind + size_log2;
}

/* Makes s.rflags exact. */
static inline void flags_sync(X86Cpu *c)
{
    if (c->lazy.op != FLAGS_EXACT) {
        c->s.rflags = (c->s.rflags & ~(uint64_t)FL_ARITH) | flags_arith(c);
        c->lazy.op = FLAGS_EXACT;
    }
}

/* All of RFLAGS, exact. */
static inline uint64_t flags_get(X86Cpu *c)
{
    flags_sync(c);
    return c->s.rflags;
}

/* Replaces the six arithmetic bits; others in @arith are ignored. */
static inline void flags_put(X86Cpu *c, uint32_t arith)
{
    c->s.rflags = (c->s.rflags & ~(uint64_t)FL_ARITH) | (arith & FL_ARITH);
    c->lazy.op = FLAGS_EXACT;
}

/* Replaces only the bits in @mask. */
static inline void flags_change(X86Cpu *c, uint32_t mask, uint32_t bits)
{
    flags_sync(c);
    c->s.rflags = (c->s.rflags & ~(uint64_t)mask) | (bits & mask);
}

/* Condition @cc, 0-15 as in Jcc (O NO B AE E NE BE A S NS P NP L GE LE G). */
bool flags_cond(const X86Cpu *c, unsigned cc);
/* CF alone, 0 or 1. */
bool flags_carry(const X86Cpu *c);

#endif
