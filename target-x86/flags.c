/*
 * The six arithmetic flags from what produced them. SDM 1, 3.4.3.1.
 *
 * Results are shifted up so that their sign is bit 63: then one formula serves
 * all sizes. AF and PF come from the low bits as they are.
 */
#include "util/osdep.h"
#include "target-x86/flags.h"

/* The operands of the last addition or subtraction, sign in bit 63. */
typedef struct FlagsAbr {
    uint64_t a, b, res;
} FlagsAbr;

static unsigned flags_shift(const X86Cpu *c)
{
    return 64 - (8u << (c->lazy.op & 3));
}

static inline __attribute__((always_inline)) FlagsAbr flags_operands(
    const X86Cpu *c)
{
    unsigned sh = flags_shift(c);
    uint64_t a = 0;

    switch (c->lazy.op & ~3u) {
    case FLAGS_ADD:
        a = c->lazy.res - c->lazy.src;
        break;
    case FLAGS_SUB:
        a = c->lazy.res + c->lazy.src;
        break;
    case FLAGS_ADC:
        a = c->lazy.res - c->lazy.src - 1;
        break;
    case FLAGS_SBB:
        a = c->lazy.res + c->lazy.src + 1;
        break;
    }
    return (FlagsAbr) { a << sh, c->lazy.src << sh, c->lazy.res << sh };
}

/* SF, ZF, PF of the result. */
static uint32_t flags_szp(const X86Cpu *c)
{
    uint64_t res = c->lazy.res << flags_shift(c);

    return (res >> 63 ? FL_SF : 0) | (res == 0 ? FL_ZF : 0) |
           (__builtin_parity(c->lazy.res & 0xff) ? 0 : FL_PF);
}

bool flags_carry(const X86Cpu *c)
{
    FlagsAbr f;

    switch (c->lazy.op & ~3u) {
    case FLAGS_EXACT:
        return c->s.rflags & FL_CF;
    case FLAGS_INC:
    case FLAGS_DEC:
    case FLAGS_SHR:
    case FLAGS_SAR:
    case FLAGS_MUL:
        return c->lazy.src & 1;
    case FLAGS_SHL:
        return c->lazy.src << flags_shift(c) >> 63;
    case FLAGS_LOGIC:
        return false;
    }
    f = flags_operands(c);
    switch (c->lazy.op & ~3u) {
    case FLAGS_ADD:
        return f.res < f.b;
    case FLAGS_ADC:
        return f.res <= f.b;
    case FLAGS_SUB:
        return f.a < f.b;
    default: /* FLAGS_SBB */
        return f.a <= f.b;
    }
}

static uint32_t flags_oa(const X86Cpu *c)
{
    FlagsAbr f = flags_operands(c);
    unsigned sh = flags_shift(c);
    uint64_t of = 0, af = ((f.a ^ f.b ^ f.res) >> sh) & FL_AF;

    switch (c->lazy.op & ~3u) {
    case FLAGS_ADD:
    case FLAGS_ADC:
        of = (f.a ^ f.res) & (f.b ^ f.res);
        break;
    case FLAGS_SUB:
    case FLAGS_SBB:
        of = (f.a ^ f.b) & (f.a ^ f.res);
        break;
    case FLAGS_LOGIC:
    case FLAGS_SAR:
        af = 0;
        break;
    case FLAGS_SHL:
        of = f.b ^ f.res;
        af = 0;
        break;
    case FLAGS_SHR:
        of = f.b;
        af = 0;
        break;
    case FLAGS_MUL:
        of = c->lazy.src & 1 ? UINT64_MAX : 0;
        af = 0;
        break;
    case FLAGS_INC:
        of = f.res == UINT64_C(1) << 63 ? UINT64_MAX : 0;
        af = (c->lazy.res & 15) == 0 ? FL_AF : 0;
        break;
    case FLAGS_DEC:
        of =
            f.res == (UINT64_C(1) << 63) - (UINT64_C(1) << sh) ? UINT64_MAX : 0;
        af = (c->lazy.res & 15) == 15 ? FL_AF : 0;
        break;
    }
    return (of >> 63 ? FL_OF : 0) | af;
}

uint32_t flags_arith(const X86Cpu *c)
{
    if (c->lazy.op == FLAGS_EXACT) {
        return c->s.rflags & FL_ARITH;
    }
    return flags_szp(c) | flags_oa(c) | (flags_carry(c) ? FL_CF : 0);
}

static bool flags_test(uint32_t fl, unsigned cc)
{
    bool sf = fl & FL_SF, of = fl & FL_OF;

    switch (cc >> 1) {
    case 0:
        return of;
    case 1:
        return fl & FL_CF;
    case 2:
        return fl & FL_ZF;
    case 3:
        return fl & (FL_CF | FL_ZF);
    case 4:
        return sf;
    case 5:
        return fl & FL_PF;
    case 6:
        return sf != of;
    default:
        return (fl & FL_ZF) || sf != of;
    }
}

/* flags_test() of a lazy result: the flags it takes and no others. */
static bool flags_test_lazy(const X86Cpu *c, unsigned cc)
{
    int64_t res = c->lazy.res << flags_shift(c);

    switch (cc >> 1) {
    case 0:
        return flags_oa(c) & FL_OF;
    case 1:
        return flags_carry(c);
    case 2:
        return res == 0;
    case 3:
        return res == 0 || flags_carry(c);
    case 4:
        return res < 0;
    case 5:
        return !__builtin_parity(c->lazy.res & 0xff);
    case 6:
        return (res < 0) != ((flags_oa(c) & FL_OF) != 0);
    default:
        return res == 0 || (res < 0) != ((flags_oa(c) & FL_OF) != 0);
    }
}

/* Without computing all six: most conditions follow a CMP or a TEST. */
bool flags_cond(const X86Cpu *c, unsigned cc)
{
    uint32_t kind = c->lazy.op & ~3u;
    bool yes;

    if (kind == FLAGS_SUB) {
        FlagsAbr f = flags_operands(c);

        switch (cc >> 1) {
        case 1:
            return (f.a < f.b) ^ (cc & 1);
        case 2:
            return (f.a == f.b) ^ (cc & 1);
        case 3:
            return (f.a <= f.b) ^ (cc & 1);
        case 4:
            return (f.res >> 63) ^ (cc & 1);
        case 6:
            return ((int64_t)f.a < (int64_t)f.b) ^ (cc & 1);
        case 7:
            return ((int64_t)f.a <= (int64_t)f.b) ^ (cc & 1);
        }
    } else if (kind == FLAGS_LOGIC) {
        int64_t res = c->lazy.res << flags_shift(c);

        switch (cc >> 1) {
        case 0:
        case 1:
            return cc & 1;
        case 2:
        case 3:
            return (res == 0) ^ (cc & 1);
        case 4:
        case 6:
            return (res < 0) ^ (cc & 1);
        case 7:
            return (res <= 0) ^ (cc & 1);
        }
    }
    yes = kind == FLAGS_EXACT ? flags_test(c->s.rflags, cc)
                              : flags_test_lazy(c, cc);
    return yes ^ (cc & 1);
}
