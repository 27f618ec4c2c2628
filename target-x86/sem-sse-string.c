/*
 * SSE4.2 string comparisons, and SSE4a's bit fields.
 *
 * PCMPESTRI, PCMPESTRM, PCMPISTRI and PCMPISTRM are one operation with two ways
 * to give lengths and two forms of result. The host's PCMPESTRM with a bit
 * mask as its result computes the operation (IntRes2); the rest follows here.
 * SDM 2B, 4.1; AMD APM 4.
 */
#include "util/osdep.h"
#include "target-x86/flags.h"
#include "target-x86/sem-vec.h"

#define STR_WORDS    0x01u /* 8 words rather than 16 bytes */
#define STR_EXPANDED 0x40u /* xSTRI: the last index; xSTRM: element masks */

typedef struct StrOp {
    V a, b; /* first and second operand */
    unsigned imm, count /* elements in a register */, len_a, len_b;
} StrOp;

#define STR_CASE(n) \
    case n: \
        asm("pcmpestrm %5, %2, %1" \
            : "=Yz"(res) \
            : "x"(op->a), "x"(op->b), "a"(op->len_a), "d"(op->len_b), "i"(n)); \
        break;
#define STR_CASES_8(n) \
    STR_CASE(n) \
    STR_CASE(n + 1) \
    STR_CASE(n + 2) \
    STR_CASE(n + 3) \
    STR_CASE(n + 4) \
    STR_CASE(n + 5) \
    STR_CASE(n + 6) \
    STR_CASE(n + 7)

/* IntRes2: a bit per element of the second operand. */
static unsigned str_compare(const StrOp *op)
{
    V res = v_zero();

    switch (op->imm & 0x3f) {
        STR_CASES_8(0)
        STR_CASES_8(8)
        STR_CASES_8(16)
        STR_CASES_8(24)
        STR_CASES_8(32)
        STR_CASES_8(40)
        STR_CASES_8(48)
        STR_CASES_8(56)
    }
    return (unsigned)v_q0(res);
}

/* The magnitude of a length register, at most @count. */
static unsigned str_explicit_len(const X86Cpu *c, const Insn *in, unsigned reg,
                                 unsigned count)
{
    uint64_t v = c->s.gpr[reg];
    int64_t len = in->rex_w ? (int64_t)v : (int32_t)v;
    uint64_t mag = len < 0 ? 0 - (uint64_t)len : (uint64_t)len;

    return mag < count ? (unsigned)mag : count;
}

/* Elements before the first zero. */
static unsigned str_implicit_len(V v, unsigned count)
{
    V zero =
        count == 8 ? _mm_cmpeq_epi16(v, v_zero()) : _mm_cmpeq_epi8(v, v_zero());
    unsigned mask = (unsigned)_mm_movemask_epi8(zero);

    if (!mask) {
        return count;
    }
    return (unsigned)__builtin_ctz(mask) / (16 / count);
}

static void str_flags(X86Cpu *c, const StrOp *op, unsigned res)
{
    flags_put(c, (res ? FL_CF : 0) | (op->len_b < op->count ? FL_ZF : 0) |
                     (op->len_a < op->count ? FL_SF : 0) |
                     (res & 1 ? FL_OF : 0));
}

static void str_index(X86Cpu *c, const StrOp *op, unsigned res)
{
    unsigned idx = op->count;

    if (res) {
        idx = op->imm & STR_EXPANDED ? 31 - (unsigned)__builtin_clz(res)
                                     : (unsigned)__builtin_ctz(res);
    }
    gpr_set(c, R_RCX, idx, 4);
}

static void str_mask(X86Cpu *c, const Insn *in, const StrOp *op, unsigned res)
{
    V mask = v_64(res);

    if (op->imm & STR_EXPANDED) {
        uint8_t buf[16];
        unsigned size = 16 / op->count;

        for (unsigned i = 0; i < 16; i++) {
            buf[i] = res >> i / size & 1 ? 0xff : 0;
        }
        mask = v_ld(buf);
    }
    v_put_reg(c, in, 0, (VPair) { mask, v_zero() });
}

static StrOp str_op(X86Cpu *c, const Insn *in, bool implicit)
{
    StrOp op = { .a = v_reg(c, in->reg), .imm = (uint8_t)in->imm };

    op.b = v_src128(c, in);
    op.count = op.imm & STR_WORDS ? 8 : 16;
    if (implicit) {
        op.len_a = str_implicit_len(op.a, op.count);
        op.len_b = str_implicit_len(op.b, op.count);
    } else {
        op.len_a = str_explicit_len(c, in, R_RAX, op.count);
        op.len_b = str_explicit_len(c, in, R_RDX, op.count);
    }
    return op;
}

static void str_to_index(X86Cpu *c, const Insn *in, bool implicit)
{
    StrOp op = str_op(c, in, implicit);
    unsigned res = str_compare(&op);

    str_index(c, &op, res);
    str_flags(c, &op, res);
}

static void str_to_mask(X86Cpu *c, const Insn *in, bool implicit)
{
    StrOp op = str_op(c, in, implicit);
    unsigned res = str_compare(&op);

    str_mask(c, in, &op, res);
    str_flags(c, &op, res);
}

SEM(PCMPESTRI)
{
    str_to_index(c, in, false);
}

SEM(PCMPISTRI)
{
    str_to_index(c, in, true);
}

SEM(PCMPESTRM)
{
    str_to_mask(c, in, false);
}

SEM(PCMPISTRM)
{
    str_to_mask(c, in, true);
}

/* ---- SSE4a: fields of the low quadword -------------------------------------------- */

/* Length 0 means 64. What lies outside the quadword is undefined: cut off. */
static uint64_t field_mask(unsigned len)
{
    return len & 63 ? (UINT64_C(1) << (len & 63)) - 1 : UINT64_MAX;
}

/* Immediates (length | index << 8), or bytes 0 and 1 of the second operand;
 * the upper half of the destination is undefined: kept. */
SEM(EXTRQ)
{
    bool imm = insn_rows[in->id].opcode == 0x78;
    unsigned reg = imm ? in->rm : in->reg;
    uint64_t ctl = imm ? in->imm : v_q0(v_reg(c, in->rm));
    V d = v_reg(c, reg);
    uint64_t v = v_q0(d) >> (ctl >> 8 & 63) & field_mask((unsigned)ctl);

    v_st(c->s.vec[reg], v_128(v, v_q1(d)));
}

SEM(INSERTQ)
{
    bool imm = insn_rows[in->id].opcode == 0x78;
    V d = v_reg(c, in->reg), s = v_reg(c, in->rm);
    uint64_t ctl = imm ? in->imm : v_q1(s);
    unsigned idx = ctl >> 8 & 63;
    uint64_t mask = field_mask((unsigned)ctl);
    uint64_t v = (v_q0(d) & ~(mask << idx)) | (v_q0(s) & mask) << idx;

    v_st(c->s.vec[in->reg], v_128(v, v_q1(d)));
}
