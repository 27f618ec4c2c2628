/*
 * x87 loads, stores, constants and register moves.
 */
#include "util/osdep.h"
#include "target-x86/sem-x87.h"

#define ST_IN(p)  "m"(*(const St *)(p))
#define ST_OUT(p) "=m"(*(St *)(p))

/* ---- loads ---------------------------------------------------------------------- */

static inline bool push_ready(const X86Cpu *c)
{
    return x87_masked(c) && !x87_full(c, 7);
}

/* The value at @v goes to ST(7), which the push makes ST0. */
#define LOAD(insn, c, v, sw) \
    do { \
        x87_begin(c); \
        asm volatile(insn " %2\n\t" \
                          "fnstsw %0\n\t" \
                          "fstpt %1" \
                     : "=&a"(sw), ST_OUT(x87_st(c, 7)) \
                     : "m"(v)); \
        x87_end(c); \
    } while (0)

static inline void load_done(X86Cpu *c, const Insn *in, uint64_t off,
                             uint16_t sw)
{
    x87_note_mem(c, in, off);
    x87_merge(c, sw, FSW_C1);
    x87_push(c);
}

/* FLD ST(i) and FLD m80 move bits and raise nothing but stack faults. */
static void load_register(X86Cpu *c, const Insn *in)
{
    if (!push_ready(c) || !x87_full(c, in->rm & 7)) {
        x87_run_whole(c, in);
        return;
    }
    *x87_st(c, 7) = *x87_st(c, in->rm & 7);
    x87_note(c, in);
    x87_merge(c, 0, FSW_C1);
    x87_push(c);
}

static void load_m80(X86Cpu *c, const Insn *in, uint64_t off)
{
    St v;

    mem_ld_buf(c, in->seg, off, &v, sizeof(v));
    *x87_st(c, 7) = v;
    load_done(c, in, off, 0);
}

static inline void st_make(St *st, uint64_t man, unsigned exp_sign)
{
    uint16_t e = (uint16_t)exp_sign;

    memcpy(st->b, &man, 8);
    memcpy(st->b + 8, &e, 2);
}

/* Normal numbers and zeros widen without the host. false: not one of them. */
static inline bool widen64(St *st, uint64_t v)
{
    unsigned exp = v >> 52 & 0x7ff, sign = (unsigned)(v >> 63) << 15;

    if (!(v << 1)) {
        st_make(st, 0, sign);
        return true;
    }
    if (exp == 0 || exp == 0x7ff) {
        return false;
    }
    st_make(st, v << 11 | UINT64_C(1) << 63, sign | (exp + 0x3fff - 0x3ff));
    return true;
}

static inline bool widen32(St *st, uint32_t v)
{
    unsigned exp = v >> 23 & 0xff, sign = v >> 31 << 15;

    if (!(v << 1)) {
        st_make(st, 0, sign);
        return true;
    }
    if (exp == 0 || exp == 0xff) {
        return false;
    }
    st_make(st, (uint64_t)v << 40 | UINT64_C(1) << 63,
            sign | (exp + 0x3fff - 0x7f));
    return true;
}

/* A double that needs no rounding. */
static inline bool narrow64(const St *st, uint64_t *v)
{
    uint64_t man;
    uint16_t e;
    unsigned exp;

    memcpy(&man, st->b, 8);
    memcpy(&e, st->b + 8, 2);
    exp = (e & 0x7fff) - (0x3fff - 0x3ff);
    if (!(man >> 63) || (man & 0x7ff) || exp - 1 >= 0x7fe) {
        return false;
    }
    *v =
        (uint64_t)(e >> 15) << 63 | (uint64_t)exp << 52 | (man << 1 >> 1) >> 11;
    return true;
}

SEM(FLD)
{
    uint64_t off;
    uint16_t sw;

    if (!in->is_mem) {
        load_register(c, in);
        return;
    }
    if (!push_ready(c)) {
        x87_run_whole(c, in);
        return;
    }
    off = op_addr(c, in);
    if (insn_rows[in->id].opcode == 0xdd) {
        uint64_t v = mem_ld(c, in->seg, off, 8);

        sw = 0;
        if (!widen64(x87_st(c, 7), v)) {
            LOAD("fldl", c, v, sw);
        }
        load_done(c, in, off, sw);
    } else if (insn_rows[in->id].opcode == 0xd9) {
        uint32_t v = (uint32_t)mem_ld(c, in->seg, off, 4);

        sw = 0;
        if (!widen32(x87_st(c, 7), v)) {
            LOAD("flds", c, v, sw);
        }
        load_done(c, in, off, sw);
    } else {
        load_m80(c, in, off);
    }
}

SEM(FILD)
{
    uint64_t off, v, mag;
    unsigned size, shift;

    if (!push_ready(c)) {
        x87_run_whole(c, in);
        return;
    }
    off = op_addr(c, in);
    size = op_size(in, 0);
    v = mem_ld(c, in->seg, off, size);
    if (size != 8) {
        v = (uint64_t)(size == 4 ? (int64_t)(int32_t)v : (int64_t)(int16_t)v);
    }
    if (v == 0) {
        st_make(x87_st(c, 7), 0, 0);
    } else { /* always exact */
        mag = v >> 63 ? 0 - v : v;
        shift = (unsigned)__builtin_clzll(mag);
        st_make(x87_st(c, 7), mag << shift,
                (unsigned)(v >> 63) << 15 | (0x403e - shift));
    }
    load_done(c, in, off, 0);
}

SEM(FBLD)
{
    uint64_t off;
    uint16_t sw;
    St v;

    if (!push_ready(c)) {
        x87_run_whole(c, in);
        return;
    }
    off = op_addr(c, in);
    mem_ld_buf(c, in->seg, off, &v, sizeof(v));
    LOAD("fbld", c, v, sw);
    load_done(c, in, off, sw);
}

/* The rounding of the transcendental ones follows the control word. */
#define CONSTANT(name, insn) \
    SEM(name) \
    { \
        uint16_t sw; \
        if (!push_ready(c)) { \
            x87_run_whole(c, in); \
            return; \
        } \
        x87_begin(c); \
        asm volatile(insn "\n\t" \
                          "fnstsw %0\n\t" \
                          "fstpt %1" \
                     : "=&a"(sw), ST_OUT(x87_st(c, 7))); \
        x87_end(c); \
        x87_note(c, in); \
        x87_merge(c, sw, FSW_C1); \
        x87_push(c); \
    }

CONSTANT(FLD1, "fld1")
CONSTANT(FLDL2T, "fldl2t")
CONSTANT(FLDL2E, "fldl2e")
CONSTANT(FLDPI, "fldpi")
CONSTANT(FLDLG2, "fldlg2")
CONSTANT(FLDLN2, "fldln2")
CONSTANT(FLDZ, "fldz")

/* ---- stores ----------------------------------------------------------------------- */

static inline bool store_ready(const X86Cpu *c)
{
    return x87_masked(c) && x87_full(c, 0);
}

/* ST0 to @v; the host's instruction pops. */
#define STORE(insn, c, v, sw) \
    do { \
        x87_begin(c); \
        asm volatile("fldt %2\n\t" insn " %1\n\t" \
                     "fnstsw %0" \
                     : "=&a"(sw), "=m"(v) \
                     : ST_IN(x87_st(c, 0))); \
        x87_end(c); \
    } while (0)

/* Memory first: it may fault. */
static inline void store_done(X86Cpu *c, const Insn *in, uint64_t v,
                              unsigned size, uint16_t sw, bool pop)
{
    uint64_t off = op_addr(c, in);

    mem_st(c, in->seg, off, v, size);
    x87_note_mem(c, in, off);
    x87_merge(c, sw, FSW_C1);
    if (pop) {
        x87_pop(c);
    }
}

static inline void store_float(X86Cpu *c, const Insn *in, bool pop)
{
    uint64_t v64;
    uint32_t v32;
    uint16_t sw;

    if (insn_rows[in->id].opcode == 0xdd) {
        sw = 0;
        if (!narrow64(x87_st(c, 0), &v64)) {
            STORE("fstpl", c, v64, sw);
        }
        store_done(c, in, v64, 8, sw, pop);
    } else {
        STORE("fstps", c, v32, sw);
        store_done(c, in, v32, 4, sw, pop);
    }
}

static inline void store_register(X86Cpu *c, const Insn *in, bool pop)
{
    unsigned i = in->rm & 7;

    *x87_st(c, i) = *x87_st(c, 0);
    c->s.ftw |= 1u << x87_phys(c, i);
    x87_note(c, in);
    x87_merge(c, 0, FSW_C1);
    if (pop) {
        x87_pop(c);
    }
}

SEM(FST)
{
    if (!store_ready(c)) {
        x87_run_whole(c, in);
    } else if (in->is_mem) {
        store_float(c, in, false);
    } else {
        store_register(c, in, false);
    }
}

SEM(FSTP)
{
    if (!store_ready(c)) {
        x87_run_whole(c, in);
    } else if (!in->is_mem) {
        store_register(c, in, true);
    } else if (insn_rows[in->id].opcode == 0xdb) { /* m80: bits as they are */
        uint64_t off = op_addr(c, in);

        mem_st_buf(c, in->seg, off, x87_st(c, 0), sizeof(St));
        x87_note_mem(c, in, off);
        x87_merge(c, 0, FSW_C1);
        x87_pop(c);
    } else {
        store_float(c, in, true);
    }
}

SEM(FSTPNCE)
{
    sem_FSTP(c, in);
}

#define STORE_INT(name, insn16, insn32, insn64, pop) \
    SEM(name) \
    { \
        unsigned size = op_size(in, 0); \
        uint64_t v64; \
        uint32_t v32; \
        uint16_t v16, sw; \
        if (!store_ready(c)) { \
            x87_run_whole(c, in); \
        } else if (size == 8) { \
            STORE(insn64, c, v64, sw); \
            store_done(c, in, v64, 8, sw, pop); \
        } else if (size == 4) { \
            STORE(insn32, c, v32, sw); \
            store_done(c, in, v32, 4, sw, pop); \
        } else { \
            STORE(insn16, c, v16, sw); \
            store_done(c, in, v16, 2, sw, pop); \
        } \
    }

STORE_INT(FIST, "fistps", "fistpl", "fistpll", false)
STORE_INT(FISTP, "fistps", "fistpl", "fistpll", true)
STORE_INT(FISTTP, "fisttps", "fisttpl", "fisttpll", true)

SEM(FBSTP)
{
    uint64_t off;
    uint16_t sw;
    St v;

    if (!store_ready(c)) {
        x87_run_whole(c, in);
        return;
    }
    STORE("fbstp", c, v, sw);
    off = op_addr(c, in);
    mem_st_buf(c, in->seg, off, &v, sizeof(v));
    x87_note_mem(c, in, off);
    x87_merge(c, sw, FSW_C1);
    x87_pop(c);
}

/* ---- between registers --------------------------------------------------------------- */

SEM(FXCH)
{
    unsigned i = in->rm & 7;
    St v = *x87_st(c, 0);

    if (!x87_full(c, 0) || !x87_full(c, i)) {
        x87_run_whole(c, in);
        return;
    }
    *x87_st(c, 0) = *x87_st(c, i);
    *x87_st(c, i) = v;
    x87_note(c, in);
    x87_merge(c, 0, FSW_C1);
}

/* An empty source or destination is a stack underflow even if the condition
 * is false; masked, ST0 becomes the default NaN. */
static void fcmov_underflow(X86Cpu *c)
{
    static const St indefinite = { { 0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff } };

    c->s.fsw = (c->s.fsw & ~FSW_C1) | FSW_IE | FSW_SF;
    if (c->s.fcw & FSW_IE) {
        *x87_st(c, 0) = indefinite;
        c->s.ftw |= 1u << x87_phys(c, 0);
    }
    x87_update_es(c);
}

/* modrm.reg is B, E, BE or U (unordered: PF); opcode DB negates. */
SEM(FCMOVCC)
{
    static const uint8_t conditions[4] = { 2, 4, 6, 10 };
    bool negated = insn_rows[in->id].opcode == 0xdb;
    unsigned i = in->rm & 7;

    x87_note(c, in);
    if (!x87_full(c, 0) || !x87_full(c, i)) {
        fcmov_underflow(c);
        return;
    }
    if (flags_cond(c, conditions[in->reg & 3]) != negated) {
        *x87_st(c, 0) = *x87_st(c, i);
    }
}
