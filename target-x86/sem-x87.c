/*
 * x87 arithmetic, comparisons and transcendentals. sem-x87.h tells how they
 * are executed; loads and stores are in sem-x87-mov.c, control and
 * environments in sem-x87-env.c.
 */
#include "util/osdep.h"
#include "target-x86/sem-x87.h"

#define ST_IN(p)  "m"(*(const St *)(p))
#define ST_OUT(p) "=m"(*(St *)(p))

/* ---- two operands ---------------------------------------------------------------- */

/* Where a register form's operands are: FADD ST0, STi or the reverse. */
typedef struct X87Regs {
    St *dst, *src;
    bool ready; /* the fast path is good for them */
} X87Regs;

static inline X87Regs arith_regs(X86Cpu *c, const Insn *in)
{
    unsigned i = in->rm & 7;
    bool to_sti = insn_rows[in->id].op[0].kind == OPK_STI;
    X87Regs r = {
        .dst = x87_st(c, to_sti ? i : 0),
        .src = x87_st(c, to_sti ? 0 : i),
        .ready = x87_masked(c) && x87_full(c, 0) && x87_full(c, i),
    };

    return r;
}

static inline bool arith_mem_ready(const X86Cpu *c)
{
    return x87_masked(c) && x87_full(c, 0);
}

/* dst = op(dst, src) in the host's ST0, ST1. */
#define ARITH_REGS(op, r, sw) \
    asm volatile("fldt %3\n\t" \
                 "fldt %2\n\t" #op " %%st(1), %%st\n\t" \
                 "fnstsw %0\n\t" \
                 "fstpt %1\n\t" \
                 "fstp %%st(0)" \
                 : "=&a"(sw), ST_OUT(r.dst) \
                 : ST_IN(r.dst), ST_IN(r.src))

#define ARITH_MEM(insn, c, v, sw) \
    asm volatile("fldt %2\n\t" insn " %3\n\t" \
                 "fnstsw %0\n\t" \
                 "fstpt %1" \
                 : "=&a"(sw), ST_OUT(x87_st(c, 0)) \
                 : ST_IN(x87_st(c, 0)), "m"(v))

/* The memory operand of D8 (float), DC (double), DA and DE (integers). */
#define ARITH_LOADED(c, in, off, type, insn, sw) \
    do { \
        type v = (type)mem_ld(c, in->seg, off, sizeof(type)); \
        x87_begin(c); \
        ARITH_MEM(insn, c, v, sw); \
        x87_end(c); \
    } while (0)

#define ARITH(name, op) \
    SEM(F##name) \
    { \
        uint64_t off; \
        uint16_t sw; \
        if (!in->is_mem) { \
            X87Regs r = arith_regs(c, in); \
            if (!r.ready) { \
                x87_run_whole(c, in); \
                return; \
            } \
            x87_begin(c); \
            ARITH_REGS(f##op, r, sw); \
            x87_end(c); \
            x87_note(c, in); \
            x87_merge(c, sw, FSW_C1); \
            return; \
        } \
        if (!arith_mem_ready(c)) { \
            x87_run_whole(c, in); \
            return; \
        } \
        off = op_addr(c, in); \
        if (insn_rows[in->id].opcode == 0xd8) { \
            ARITH_LOADED(c, in, off, uint32_t, "f" #op "s", sw); \
        } else { \
            ARITH_LOADED(c, in, off, uint64_t, "f" #op "l", sw); \
        } \
        x87_note_mem(c, in, off); \
        x87_merge(c, sw, FSW_C1); \
    } \
    SEM(FI##name) \
    { \
        uint64_t off; \
        uint16_t sw; \
        if (!arith_mem_ready(c)) { \
            x87_run_whole(c, in); \
            return; \
        } \
        off = op_addr(c, in); \
        if (insn_rows[in->id].opcode == 0xda) { \
            ARITH_LOADED(c, in, off, uint32_t, "fi" #op "l", sw); \
        } else { \
            ARITH_LOADED(c, in, off, uint16_t, "fi" #op "s", sw); \
        } \
        x87_note_mem(c, in, off); \
        x87_merge(c, sw, FSW_C1); \
    } \
    SEM(F##name##P) \
    { \
        X87Regs r = arith_regs(c, in); \
        uint16_t sw; \
        if (!r.ready) { \
            x87_run_whole(c, in); \
            return; \
        } \
        x87_begin(c); \
        ARITH_REGS(f##op, r, sw); \
        x87_end(c); \
        x87_note(c, in); \
        x87_merge(c, sw, FSW_C1); \
        x87_pop(c); \
    }

ARITH(ADD, add)
ARITH(MUL, mul)
ARITH(SUB, sub)
ARITH(SUBR, subr)
ARITH(DIV, div)
ARITH(DIVR, divr)

/* ---- comparisons -------------------------------------------------------------------- */

/* Compares with ST(i); the host's instruction pops both. */
#define COMPARE_REGS(op, a, b, sw) \
    asm volatile("fldt %2\n\t" \
                 "fldt %1\n\t" #op "\n\t" \
                 "fnstsw %0" \
                 : "=&a"(sw) \
                 : ST_IN(a), ST_IN(b))

#define COMPARE_MEM(insn, a, v, sw) \
    asm volatile("fldt %1\n\t" insn " %2\n\t" \
                 "fnstsw %0" \
                 : "=&a"(sw) \
                 : ST_IN(a), "m"(v))

static inline bool regs_ready(const X86Cpu *c, unsigned i)
{
    return x87_masked(c) && x87_full(c, 0) && x87_full(c, i);
}

/* FUCOM differs from FCOM in what it says of quiet NaNs. */
#define COMPARE(name, op, i, pops) \
    SEM(name) \
    { \
        unsigned n = i; \
        uint16_t sw; \
        if (!regs_ready(c, n)) { \
            x87_run_whole(c, in); \
            return; \
        } \
        x87_begin(c); \
        COMPARE_REGS(op, x87_st(c, 0), x87_st(c, n), sw); \
        x87_end(c); \
        x87_note(c, in); \
        x87_merge(c, sw, FSW_CC); \
        for (int k = 0; k < pops; k++) { \
            x87_pop(c); \
        } \
    }

COMPARE(FUCOM, fucompp, in->rm & 7, 0)
COMPARE(FUCOMP, fucompp, in->rm & 7, 1)
COMPARE(FUCOMPP, fucompp, 1, 2)
COMPARE(FCOMPP, fcompp, 1, 2)

static void compare_mem(X86Cpu *c, const Insn *in)
{
    uint64_t off = op_addr(c, in);
    uint16_t sw;

    if (insn_rows[in->id].opcode == 0xd8) {
        uint32_t v = (uint32_t)mem_ld(c, in->seg, off, 4);

        x87_begin(c);
        COMPARE_MEM("fcomps", x87_st(c, 0), v, sw);
    } else {
        uint64_t v = mem_ld(c, in->seg, off, 8);

        x87_begin(c);
        COMPARE_MEM("fcompl", x87_st(c, 0), v, sw);
    }
    x87_end(c);
    x87_note_mem(c, in, off);
    x87_merge(c, sw, FSW_CC);
}

static void compare_reg(X86Cpu *c, const Insn *in)
{
    uint16_t sw;

    x87_begin(c);
    COMPARE_REGS(fcompp, x87_st(c, 0), x87_st(c, in->rm & 7), sw);
    x87_end(c);
    x87_note(c, in);
    x87_merge(c, sw, FSW_CC);
}

static inline void compare(X86Cpu *c, const Insn *in, bool pop)
{
    if (in->is_mem ? !arith_mem_ready(c) : !regs_ready(c, in->rm & 7)) {
        x87_run_whole(c, in);
        return;
    }
    if (in->is_mem) {
        compare_mem(c, in);
    } else {
        compare_reg(c, in);
    }
    if (pop) {
        x87_pop(c);
    }
}

SEM(FCOM)
{
    compare(c, in, false);
}

SEM(FCOMP)
{
    compare(c, in, true);
}

static inline void compare_int(X86Cpu *c, const Insn *in, bool pop)
{
    uint64_t off;
    uint16_t sw;

    if (!arith_mem_ready(c)) {
        x87_run_whole(c, in);
        return;
    }
    off = op_addr(c, in);
    if (insn_rows[in->id].opcode == 0xda) {
        uint32_t v = (uint32_t)mem_ld(c, in->seg, off, 4);

        x87_begin(c);
        COMPARE_MEM("ficompl", x87_st(c, 0), v, sw);
    } else {
        uint16_t v = (uint16_t)mem_ld(c, in->seg, off, 2);

        x87_begin(c);
        COMPARE_MEM("ficomps", x87_st(c, 0), v, sw);
    }
    x87_end(c);
    x87_note_mem(c, in, off);
    x87_merge(c, sw, FSW_CC);
    if (pop) {
        x87_pop(c);
    }
}

SEM(FICOM)
{
    compare_int(c, in, false);
}

SEM(FICOMP)
{
    compare_int(c, in, true);
}

/* Those that compare into RFLAGS: OF, SF and AF become 0; C1 stays. */
#define COMPARE_FLAGS(name, op, pop) \
    SEM(name) \
    { \
        unsigned i = in->rm & 7; \
        bool cf, pf, zf; \
        uint16_t sw; \
        if (!regs_ready(c, i)) { \
            flags_put(c, (uint32_t)x87_run_whole(c, in)); \
            return; \
        } \
        x87_begin(c); \
        asm volatile("fldt %5\n\t" \
                     "fldt %4\n\t" #op " %%st(1), %%st\n\t" \
                     "fnstsw %0\n\t" \
                     "fstp %%st(0)" \
                     : "=&a"(sw), "=@ccc"(cf), "=@ccp"(pf), "=@ccz"(zf) \
                     : ST_IN(x87_st(c, 0)), ST_IN(x87_st(c, i))); \
        x87_end(c); \
        x87_note(c, in); \
        x87_merge(c, sw, 0); \
        if (pop) { \
            x87_pop(c); \
        } \
        flags_put(c, (cf ? FL_CF : 0) | (pf ? FL_PF : 0) | (zf ? FL_ZF : 0)); \
    }

COMPARE_FLAGS(FCOMI, fcomip, false)
COMPARE_FLAGS(FCOMIP, fcomip, true)
COMPARE_FLAGS(FUCOMI, fucomip, false)
COMPARE_FLAGS(FUCOMIP, fucomip, true)

/* FTST, FXAM: of ST0 alone. FXAM knows empty registers: no stack fault. */
#define EXAMINE(name, op, ready) \
    SEM(name) \
    { \
        uint16_t sw; \
        if (!(ready)) { \
            x87_run_whole(c, in); \
            return; \
        } \
        x87_begin(c); \
        asm volatile("fldt %1\n\t" #op "\n\t" \
                     "fnstsw %0\n\t" \
                     "fstp %%st(0)" \
                     : "=&a"(sw) \
                     : ST_IN(x87_st(c, 0))); \
        x87_end(c); \
        x87_note(c, in); \
        x87_merge(c, sw, FSW_CC); \
    }

EXAMINE(FTST, ftst, arith_mem_ready(c))
EXAMINE(FXAM, fxam, arith_mem_ready(c))

/* ---- ST0 = op(ST0) --------------------------------------------------------------------- */

#define UNARY(name, op, cc) \
    SEM(name) \
    { \
        uint16_t sw; \
        if (!arith_mem_ready(c)) { \
            x87_run_whole(c, in); \
            return; \
        } \
        x87_begin(c); \
        asm volatile("fldt %2\n\t" #op "\n\t" \
                     "fnstsw %0\n\t" \
                     "fstpt %1" \
                     : "=&a"(sw), ST_OUT(x87_st(c, 0)) \
                     : ST_IN(x87_st(c, 0))); \
        x87_end(c); \
        x87_note(c, in); \
        x87_merge(c, sw, cc); \
    }

UNARY(FSQRT, fsqrt, FSW_C1)
UNARY(FRNDINT, frndint, FSW_C1)
UNARY(F2XM1, f2xm1, FSW_C1)
UNARY(FSIN, fsin, FSW_C1 | FSW_C2)
UNARY(FCOS, fcos, FSW_C1 | FSW_C2)

SEM(FCHS)
{
    if (!x87_full(c, 0)) {
        x87_run_whole(c, in);
        return;
    }
    x87_st(c, 0)->b[9] ^= 0x80;
    c->s.fsw &= ~FSW_C1;
    x87_note(c, in);
}

SEM(FABS)
{
    if (!x87_full(c, 0)) {
        x87_run_whole(c, in);
        return;
    }
    x87_st(c, 0)->b[9] &= 0x7f;
    c->s.fsw &= ~FSW_C1;
    x87_note(c, in);
}

/* A normal number: no zero, denormal, infinity, NaN or unsupported form. */
static inline bool st_is_normal(const St *st)
{
    uint16_t exp;

    memcpy(&exp, st->b + 8, 2);
    exp &= 0x7fff;
    return exp && exp != 0x7fff && (st->b[7] & 0x80);
}

/* An invalid remainder leaves C0 and C3 as they were. */
static inline bool prem_ready(X86Cpu *c)
{
    return regs_ready(c, 1) && st_is_normal(x87_st(c, 0)) &&
           st_is_normal(x87_st(c, 1));
}

/* ---- ST0 = op(ST0, ST1) ------------------------------------------------------------------ */

#define BINARY(name, op, ready, cc) \
    SEM(name) \
    { \
        uint16_t sw; \
        if (!(ready)) { \
            x87_run_whole(c, in); \
            return; \
        } \
        x87_begin(c); \
        asm volatile("fldt %3\n\t" \
                     "fldt %2\n\t" #op "\n\t" \
                     "fnstsw %0\n\t" \
                     "fstpt %1\n\t" \
                     "fstp %%st(0)" \
                     : "=&a"(sw), ST_OUT(x87_st(c, 0)) \
                     : ST_IN(x87_st(c, 0)), ST_IN(x87_st(c, 1))); \
        x87_end(c); \
        x87_note(c, in); \
        x87_merge(c, sw, cc); \
    }

BINARY(FPREM, fprem, prem_ready(c), FSW_CC)
BINARY(FPREM1, fprem1, prem_ready(c), FSW_CC)
BINARY(FSCALE, fscale, regs_ready(c, 1), FSW_C1)

/* ST1 = op(ST0, ST1), then pop. */
#define BINARY_POP(name, op) \
    SEM(name) \
    { \
        uint16_t sw; \
        if (!regs_ready(c, 1)) { \
            x87_run_whole(c, in); \
            return; \
        } \
        x87_begin(c); \
        asm volatile("fldt %3\n\t" \
                     "fldt %2\n\t" #op "\n\t" \
                     "fnstsw %0\n\t" \
                     "fstpt %1" \
                     : "=&a"(sw), ST_OUT(x87_st(c, 1)) \
                     : ST_IN(x87_st(c, 0)), ST_IN(x87_st(c, 1))); \
        x87_end(c); \
        x87_note(c, in); \
        x87_merge(c, sw, FSW_C1); \
        x87_pop(c); \
    }

BINARY_POP(FYL2X, fyl2x)
BINARY_POP(FYL2XP1, fyl2xp1)
BINARY_POP(FPATAN, fpatan)

/* ---- one operand, two results ---------------------------------------------------------------- */

static inline bool split_ready(X86Cpu *c)
{
    return arith_mem_ready(c) && !x87_full(c, 7);
}

/* FPTAN and FSINCOS push only if |ST0| is below 2^63. */
static inline bool trig_ready(X86Cpu *c)
{
    uint16_t exp;

    memcpy(&exp, x87_st(c, 0)->b + 8, 2);
    return split_ready(c) && (exp & 0x7fff) < 0x3fff + 63;
}

#define SPLIT(name, op, ready, cc) \
    SEM(name) \
    { \
        uint16_t sw; \
        if (!ready(c)) { \
            x87_run_whole(c, in); \
            return; \
        } \
        x87_begin(c); \
        asm volatile("fldt %3\n\t" #op "\n\t" \
                     "fnstsw %0\n\t" \
                     "fstpt %2\n\t" \
                     "fstpt %1" \
                     : "=&a"(sw), ST_OUT(x87_st(c, 0)), ST_OUT(x87_st(c, 7)) \
                     : ST_IN(x87_st(c, 0))); \
        x87_end(c); \
        x87_note(c, in); \
        x87_merge(c, sw, cc); \
        x87_push(c); \
    }

SPLIT(FXTRACT, fxtract, split_ready, FSW_C1)
SPLIT(FPTAN, fptan, trig_ready, FSW_C1 | FSW_C2)
SPLIT(FSINCOS, fsincos, trig_ready, FSW_C1 | FSW_C2)
