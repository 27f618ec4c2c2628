/*
 * Multiplication and division. SDM 2, MUL, IMUL, DIV, IDIV, MULX.
 *
 * The host's instruction computes, for the sake of the undefined flags. Before
 * a division everything that would raise #DE has been found in C: the host
 * never sees it.
 */
#include "util/osdep.h"
#include "target-x86/sem.h"

/* insn on rDX:rAX (AX for bytes) = @hi:@lo and @s. */
#define HOST_WIDE(insn, suffix, mod) \
    asm(HOST_FL_LOAD "mov %[lo], %%rax\n\t" insn suffix " %" mod "[s]\n\t" \
                     "mov %%rax, %[lo]" HOST_FL_SAVE \
        : [lo] "+r"(*lo), "+d"(*hi), "+&a"(eax) \
        : [s] "r"(s) \
        : "cc")

#define WIDE_FN(name, insn) \
    static void name(uint64_t *lo, uint64_t *hi, uint64_t s, unsigned size, \
                     uint32_t *fl) \
    { \
        uint32_t eax = host_fl_in(*fl); \
\
        switch (size) { \
        case 1: \
            HOST_WIDE(insn, "b", "b"); \
            break; \
        case 2: \
            HOST_WIDE(insn, "w", "w"); \
            break; \
        case 4: \
            HOST_WIDE(insn, "l", "k"); \
            break; \
        default: \
            HOST_WIDE(insn, "q", "q"); \
            break; \
        } \
        *fl = host_fl_out(eax); \
    }

WIDE_FN(host_mul, "mul")
WIDE_FN(host_imul, "imul")
WIDE_FN(host_div, "div")
WIDE_FN(host_idiv, "idiv")

typedef void WideFn(uint64_t *lo, uint64_t *hi, uint64_t s, unsigned size,
                    uint32_t *fl);

/* rDX:rAX op @s, both halves back into the registers, flags. */
static void wide(X86Cpu *c, uint64_t s, unsigned size, WideFn *fn)
{
    uint64_t lo = c->s.gpr[R_RAX], hi = c->s.gpr[R_RDX];
    uint32_t fl = flags_arith(c);

    fn(&lo, &hi, s, size, &fl);
    if (size == 1) {
        gpr_set(c, R_RAX, lo, 2);
    } else {
        gpr_set(c, R_RAX, lo, size);
        gpr_set(c, R_RDX, hi, size);
    }
    flags_put(c, fl);
}

void sem_MUL(X86Cpu *c, const Insn *in)
{
    wide(c, op_read(c, in, 0), op_size(in, 0), host_mul);
}

#define HOST_IMUL2(suffix, mod) \
    asm(HOST_FL_LOAD "imul" suffix " %" mod "[b], %" mod "[a]" HOST_FL_SAVE \
        : [a] "+r"(a), "+&a"(eax) \
        : [b] "r"(b) \
        : "cc")

static uint64_t host_imul2(uint64_t a, uint64_t b, unsigned size, uint32_t *fl)
{
    uint32_t eax = host_fl_in(*fl);

    switch (size) {
    case 2:
        HOST_IMUL2("w", "w");
        break;
    case 4:
        HOST_IMUL2("l", "k");
        break;
    default:
        HOST_IMUL2("q", "q");
        break;
    }
    *fl = host_fl_out(eax);
    return a;
}

/* r/m; r, r/m; r, r/m, imm. */
void sem_IMUL(X86Cpu *c, const Insn *in)
{
    const InsnRow *row = insn_row(in);
    unsigned size = op_size(in, 0);
    uint64_t a, b;
    uint32_t fl;

    if (row->op[1].kind == OPK_NONE) {
        wide(c, op_read(c, in, 0), size, host_imul);
        return;
    }
    b = op_read(c, in, 1);
    a = row->op[2].kind == OPK_NONE ? op_read(c, in, 0) : op_read(c, in, 2);
    fl = flags_arith(c);
    op_write(c, in, 0, host_imul2(a, b, size, &fl));
    flags_put(c, fl);
}

/* op 0 = high half, op 1 = low half; the high one wins. No flags. */
void sem_MULX(X86Cpu *c, const Insn *in)
{
    unsigned bits = 8 * op_size(in, 0);
    unsigned __int128 p = gpr_get(c, R_RDX, bits / 8);

    p *= op_read(c, in, 2);
    op_write(c, in, 1, (uint64_t)p);
    op_write(c, in, 0, (uint64_t)(p >> bits));
}

/* ---- division --------------------------------------------------------------- */

/* The quotient fits if the upper half of the dividend is below the divisor. */
static bool div_fits(const X86Cpu *c, uint64_t d, unsigned size)
{
    uint64_t hi =
        size == 1 ? gpr_get(c, INSN_HIGH | 4, 1) : gpr_get(c, R_RDX, size);

    return hi < d;
}

/* The dividend of IDIV. */
static __int128 idiv_dividend(const X86Cpu *c, unsigned size)
{
    if (size == 1) {
        return size_sext(gpr_get(c, R_RAX, 2), 2);
    }
    if (size == 8) {
        return (unsigned __int128)c->s.gpr[R_RDX] << 64 | c->s.gpr[R_RAX];
    }
    return size_sext(gpr_get(c, R_RDX, size) << (8 * size) |
                         gpr_get(c, R_RAX, size),
                     2 * size);
}

static bool idiv_fits(const X86Cpu *c, uint64_t divisor, unsigned size)
{
    int64_t d = size_sext(divisor, size);
    int64_t min = (int64_t)(UINT64_C(1) << 63) >> (64 - 8 * size);
    __int128 n = idiv_dividend(c, size);
    unsigned __int128 nmag =
        n < 0 ? -(unsigned __int128)n : (unsigned __int128)n;
    uint64_t dmag = d < 0 ? -(uint64_t)d : (uint64_t)d, limit;

    if (d == 0) {
        return false;
    }
    if (n >= min && n <= -(min + 1)) { /* after CQO: the usual case */
        return n != min || d != -1;
    }
    /* The quotient's magnitude: one more below zero than above. */
    limit = (UINT64_C(1) << (8 * size - 1)) - ((n < 0) == (d < 0));
    return nmag / dmag <= limit;
}

void sem_DIV(X86Cpu *c, const Insn *in)
{
    unsigned size = op_size(in, 0);
    uint64_t d = op_read(c, in, 0);

    if (!div_fits(c, d, size)) {
        x86_raise(c, EXC_DE);
    }
    wide(c, d, size, host_div);
}

void sem_IDIV(X86Cpu *c, const Insn *in)
{
    unsigned size = op_size(in, 0);
    uint64_t d = op_read(c, in, 0);

    if (!idiv_fits(c, d, size)) {
        x86_raise(c, EXC_DE);
    }
    wide(c, d, size, host_idiv);
}
