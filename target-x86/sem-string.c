/*
 * String instructions. SDM 1, 7.3.9; SDM 2, REP.
 *
 * With REP the work is done in chunks: as many elements as lie in one page on
 * both sides go through mem_run() and the host's memcpy, memset, memchr; an
 * element that crosses a page, or is not RAM, goes by itself. After each chunk
 * rSI, rDI and rCX are exact, so a fault in the next one, or an event, finds
 * the instruction restartable.
 *
 * Overlap: MOVS is defined element by element. A forward copy onto bytes just
 * ahead repeats them with the distance as the period; nobody may use memmove
 * for that.
 *
 * CMPS and SCAS set the flags at the end only: a fault leaves those from
 * before (SDM 2, REP), and after a restart at least one more comparison comes.
 */
#include "util/osdep.h"
#include "target-x86/sem.h"

/* One instruction in progress. */
typedef struct Str {
    const Insn *in;
    unsigned size; /* of an element */
    unsigned asz;  /* of rSI, rDI, rCX */
    int dir;       /* 1, -1 */
    uint64_t mask; /* of addresses */

    bool stop;     /* CMPS, SCAS: the condition ended it */
    bool compared; /* a and b are the last two compared */
    uint64_t a, b;
} Str;

/* Does 1 to @n elements, moves rSI and rDI, tells how many. */
typedef uint64_t StrFn(X86Cpu *c, Str *s, uint64_t n);

/* ---- one element ------------------------------------------------------------- */

static inline uint64_t str_load(const uint8_t *p, unsigned size)
{
    uint16_t w;
    uint32_t d;
    uint64_t q;

    switch (size) {
    case 1:
        return *p;
    case 2:
        memcpy(&w, p, 2);
        return w;
    case 4:
        memcpy(&d, p, 4);
        return d;
    default:
        memcpy(&q, p, 8);
        return q;
    }
}

static inline void str_store(uint8_t *p, uint64_t v, unsigned size)
{
    switch (size) {
    case 1:
        *p = v;
        break;
    case 2:
        memcpy(p, &v, 2);
        break;
    case 4:
        memcpy(p, &v, 4);
        break;
    default:
        memcpy(p, &v, 8);
    }
}

static inline uint64_t str_off(const X86Cpu *c, const Str *s, unsigned reg)
{
    return c->s.gpr[reg] & s->mask;
}

static inline void str_advance(X86Cpu *c, const Str *s, unsigned reg,
                               uint64_t n)
{
    uint64_t by = n * s->size;
    uint64_t to = c->s.gpr[reg] + (s->dir > 0 ? by : -by);

    if (likely(s->asz == 8)) {
        c->s.gpr[reg] = to;
    } else {
        gpr_set(c, reg, to, s->asz);
    }
}

/*
 * Of @n elements at @off, how many before the address wraps at its size. In
 * 64 bits mem_run() never goes that far.
 */
static uint64_t str_unwrapped(const Str *s, uint64_t off, uint64_t n)
{
    if (s->asz == 8) {
        return n;
    }
    return MIN(n, (s->dir > 0 ? s->mask - off : off) / s->size + 1);
}

/*
 * Host memory for up to *@n elements at seg:reg, or NULL; *@n is what there
 * is of them.
 */
static inline uint8_t *str_run(X86Cpu *c, const Str *s, unsigned seg,
                               unsigned reg, bool write, uint64_t *n)
{
    uint64_t off = str_off(c, s, reg), avail;
    uint8_t *p = mem_run(c, seg, off, s->size, s->dir, write, &avail);

    if (p) {
        *n = MIN(*n, avail >> size_log2(s->size));
        *n = str_unwrapped(s, off, *n);
    }
    return p;
}

/* The lowest byte of @n elements of which @p is the first. */
static inline uint8_t *str_lowest(const Str *s, uint8_t *p, uint64_t n)
{
    return s->dir > 0 ? p : p - (n - 1) * s->size;
}

/* ---- the loop -------------------------------------------------------------------- */

static inline Str str_begin(const X86Cpu *c, const Insn *in)
{
    return (Str) {
        .in = in,
        .size = insn_row(in)->opcode & 1 ? insn_osz(in) : 1,
        .asz = 1u << in->adsize,
        .mask = insn_admask(in),
        .dir = c->s.rflags & FL_DF ? -1 : 1,
    };
}

static void str_flags(X86Cpu *c, const Str *s)
{
    if (s->compared) {
        flags_lazy(c, FLAGS_SUB, size_log2(s->size),
                   (s->a - s->b) & size_mask(s->size), s->b);
    }
}

/*
 * A single step or a breakpoint wants to see each iteration; a pending event
 * is looked at after each chunk. Either way the rest is done again from here.
 */
static inline __attribute__((always_inline)) void str_repeat(X86Cpu *c, Str *s,
                                                             StrFn *fn)
{
    uint64_t n;

    if (s->in->rep == REP_NONE) {
        fn(c, s, 1);
        str_flags(c, s);
        return;
    }
    n = str_off(c, s, R_RCX);
    while (n > 0 && !s->stop) {
        n -= fn(c, s, c->mode.slow ? 1 : n);
        gpr_set(c, R_RCX, n, s->asz);
        if (n > 0 && !s->stop && (c->mode.slow || cpu_should_leave(c))) {
            str_flags(c, s);
            x86_restart(c);
        }
    }
    str_flags(c, s);
}

/* ---- MOVS ------------------------------------------------------------------------- */

/* @len bytes at @d continue the @period bytes before @d. */
static void str_periodic(uint8_t *d, uint64_t period, uint64_t len)
{
    uint64_t done = MIN(period, len);

    memcpy(d, d - period, done);
    while (done < len) {
        uint64_t n = MIN(done, len - done);

        memcpy(d + done, d, n);
        done += n;
    }
}

/* Element by element, whatever the overlap. */
static void str_copy_slow(uint8_t *d, const uint8_t *s, uint64_t n,
                          unsigned size, int dir)
{
    for (; n > 0; n--) {
        str_store(d, str_load(s, size), size);
        d += dir * (int)size;
        s += dir * (int)size;
    }
}

/* @d and @p point at the first element, the highest if going down. */
static void str_copy(const Str *s, uint8_t *d, uint8_t *p, uint64_t n)
{
    uint64_t len = n * s->size;
    uint64_t ahead = s->dir > 0 ? d - p : p - d; /* huge if behind */

    if (ahead >= len || ahead == 0) {
        memmove(str_lowest(s, d, n), str_lowest(s, p, n), len);
    } else if (s->dir > 0 && ahead >= s->size) {
        str_periodic(d, ahead, len);
    } else {
        str_copy_slow(d, p, n, s->size, s->dir);
    }
}

static uint64_t str_movs(X86Cpu *c, Str *s, uint64_t n)
{
    unsigned seg = s->in->seg;
    uint8_t *p = str_run(c, s, seg, R_RSI, false, &n), *d;

    d = p ? str_run(c, s, S_ES, R_RDI, true, &n) : NULL;
    if (d) {
        str_copy(s, d, p, n);
        mem_run_wrote(c, str_lowest(s, d, n), n * s->size);
    } else {
        uint64_t v = mem_ld(c, seg, str_off(c, s, R_RSI), s->size);

        mem_st(c, S_ES, str_off(c, s, R_RDI), v, s->size);
        n = 1;
    }
    str_advance(c, s, R_RSI, n);
    str_advance(c, s, R_RDI, n);
    return n;
}

void sem_MOVS(X86Cpu *c, const Insn *in)
{
    Str s = str_begin(c, in);

    if (in->rep == REP_NONE) {
        uint64_t v = mem_ld(c, in->seg, str_off(c, &s, R_RSI), s.size);

        mem_st(c, S_ES, str_off(c, &s, R_RDI), v, s.size);
        str_advance(c, &s, R_RSI, 1);
        str_advance(c, &s, R_RDI, 1);
        return;
    }
    str_repeat(c, &s, str_movs);
}

/* ---- STOS -------------------------------------------------------------------------- */

static void str_fill(uint8_t *d, uint64_t v, uint64_t n, unsigned size)
{
    uint64_t byte = (v & 0xff) * UINT64_C(0x0101010101010101);

    if (v == (byte & size_mask(size))) {
        memset(d, v & 0xff, n * size);
    } else {
        str_store(d, v, size);
        if (n > 1) {
            str_periodic(d + size, size, (n - 1) * size);
        }
    }
}

static uint64_t str_stos(X86Cpu *c, Str *s, uint64_t n)
{
    uint64_t v = c->s.gpr[R_RAX] & size_mask(s->size);
    uint8_t *d = str_run(c, s, S_ES, R_RDI, true, &n);

    if (d) {
        d = str_lowest(s, d, n);
        str_fill(d, v, n, s->size);
        mem_run_wrote(c, d, n * s->size);
    } else {
        mem_st(c, S_ES, str_off(c, s, R_RDI), v, s->size);
        n = 1;
    }
    str_advance(c, s, R_RDI, n);
    return n;
}

void sem_STOS(X86Cpu *c, const Insn *in)
{
    Str s = str_begin(c, in);

    if (in->rep == REP_NONE) {
        mem_st(c, S_ES, str_off(c, &s, R_RDI), c->s.gpr[R_RAX], s.size);
        str_advance(c, &s, R_RDI, 1);
        return;
    }
    str_repeat(c, &s, str_stos);
}

/* ---- LODS --------------------------------------------------------------------------- */

/* Repeated, only the last of a chunk is seen by anybody. */
static uint64_t str_lods(X86Cpu *c, Str *s, uint64_t n)
{
    unsigned seg = s->in->seg;
    uint8_t *p = str_run(c, s, seg, R_RSI, false, &n);
    uint64_t v;

    if (p) {
        v = str_load(p + (int64_t)(n - 1) * s->dir * (int)s->size, s->size);
    } else {
        v = mem_ld(c, seg, str_off(c, s, R_RSI), s->size);
        n = 1;
    }
    gpr_set(c, R_RAX, v, s->size);
    str_advance(c, s, R_RSI, n);
    return n;
}

void sem_LODS(X86Cpu *c, const Insn *in)
{
    Str s = str_begin(c, in);

    if (in->rep == REP_NONE) {
        uint64_t v = mem_ld(c, in->seg, str_off(c, &s, R_RSI), s.size);

        gpr_set(c, R_RAX, v, s.size);
        str_advance(c, &s, R_RSI, 1);
        return;
    }
    str_repeat(c, &s, str_lods);
}

/* ---- CMPS ------------------------------------------------------------------------------ */

/* How many of @len bytes are equal before the first that is not. */
static uint64_t str_equal(const uint8_t *a, const uint8_t *b, uint64_t len)
{
    uint64_t i = 0;

    while (len - i >= 256 && memcmp(a + i, b + i, 256) == 0) {
        i += 256;
    }
    while (len - i >= 8) {
        uint64_t x = str_load(a + i, 8) ^ str_load(b + i, 8);

        if (x != 0) {
            return i + __builtin_ctzll(x) / 8;
        }
        i += 8;
    }
    while (i < len && a[i] == b[i]) {
        i++;
    }
    return i;
}

/* Index of the element that ends the scan of @n, or @n. */
static uint64_t str_find_pair(const Str *s, const uint8_t *a, const uint8_t *b,
                              uint64_t n)
{
    bool until_equal = s->in->rep == REP_F2;
    int step = s->dir * (int)s->size;

    if (!until_equal && s->dir > 0) {
        return str_equal(a, b, n * s->size) / s->size;
    }
    for (uint64_t i = 0; i < n; i++) {
        if ((str_load(a, s->size) == str_load(b, s->size)) == until_equal) {
            return i;
        }
        a += step;
        b += step;
    }
    return n;
}

/* What the last of the chunk says of going on. */
static void str_judge(Str *s, uint64_t a, uint64_t b)
{
    s->a = a;
    s->b = b;
    s->compared = true;
    s->stop = s->in->rep == REP_F3 ? a != b : a == b;
}

static uint64_t str_cmps(X86Cpu *c, Str *s, uint64_t n)
{
    unsigned seg = s->in->seg;
    uint8_t *a = str_run(c, s, seg, R_RSI, false, &n), *b;
    uint64_t va, vb;

    b = a ? str_run(c, s, S_ES, R_RDI, false, &n) : NULL;
    if (b) {
        n = MIN(n, str_find_pair(s, a, b, n) + 1);
        a += (int64_t)(n - 1) * s->dir * (int)s->size;
        b += (int64_t)(n - 1) * s->dir * (int)s->size;
        va = str_load(a, s->size);
        vb = str_load(b, s->size);
    } else {
        va = mem_ld(c, seg, str_off(c, s, R_RSI), s->size);
        vb = mem_ld(c, S_ES, str_off(c, s, R_RDI), s->size);
        n = 1;
    }
    str_judge(s, va, vb);
    str_advance(c, s, R_RSI, n);
    str_advance(c, s, R_RDI, n);
    return n;
}

void sem_CMPS(X86Cpu *c, const Insn *in)
{
    Str s = str_begin(c, in);

    str_repeat(c, &s, str_cmps);
}

/* ---- SCAS ------------------------------------------------------------------------------- */

/* How many of @n elements equal @v before the first that does not. */
static uint64_t str_span(const uint8_t *p, uint64_t v, uint64_t n,
                         unsigned size)
{
    uint64_t pattern = v, len = n * size, i = 0;

    for (unsigned bits = 8 * size; bits < 64; bits *= 2) {
        pattern |= pattern << bits;
    }
    while (len - i >= 8) {
        uint64_t x = str_load(p + i, 8) ^ pattern;

        if (x != 0) {
            return (i + __builtin_ctzll(x) / 8) / size;
        }
        i += 8;
    }
    while (i < len && str_load(p + i, size) == v) {
        i += size;
    }
    return i / size;
}

#define STR_FIND(type) \
    for (i = 0; i < n; i++) { \
        type e; \
        memcpy(&e, p + i * sizeof(e), sizeof(e)); \
        if (e == (type)v) { \
            break; \
        } \
    } \
    return i

/* Index of the first of @n elements that equals @v, or @n. */
static uint64_t str_find(const uint8_t *p, uint64_t v, uint64_t n,
                         unsigned size)
{
    const uint8_t *hit;
    uint64_t i;

    switch (size) {
    case 1:
        hit = memchr(p, v, n);
        return hit ? (uint64_t)(hit - p) : n;
    case 2:
        STR_FIND(uint16_t);
    case 4:
        STR_FIND(uint32_t);
    default:
        STR_FIND(uint64_t);
    }
}

/* Index of the element that ends the scan of @n, or @n. */
static uint64_t str_find_scas(const Str *s, const uint8_t *p, uint64_t v,
                              uint64_t n)
{
    bool until_equal = s->in->rep == REP_F2;

    if (s->dir > 0) {
        return until_equal ? str_find(p, v, n, s->size)
                           : str_span(p, v, n, s->size);
    }
    for (uint64_t i = 0; i < n; i++) {
        if ((str_load(p, s->size) == v) == until_equal) {
            return i;
        }
        p -= s->size;
    }
    return n;
}

static uint64_t str_scas(X86Cpu *c, Str *s, uint64_t n)
{
    uint64_t v = c->s.gpr[R_RAX] & size_mask(s->size), e;
    uint8_t *p = str_run(c, s, S_ES, R_RDI, false, &n);

    if (p) {
        n = MIN(n, str_find_scas(s, p, v, n) + 1);
        e = str_load(p + (int64_t)(n - 1) * s->dir * (int)s->size, s->size);
    } else {
        e = mem_ld(c, S_ES, str_off(c, s, R_RDI), s->size);
        n = 1;
    }
    str_judge(s, v, e);
    str_advance(c, s, R_RDI, n);
    return n;
}

void sem_SCAS(X86Cpu *c, const Insn *in)
{
    Str s = str_begin(c, in);

    str_repeat(c, &s, str_scas);
}

/* ---- INS, OUTS ----------------------------------------------------------------------------- */

static uint16_t str_port(const X86Cpu *c)
{
    return c->s.gpr[R_RDX];
}

/* Memory is known to be writable before the port is read: that cannot be
 * undone. */
static uint64_t str_ins(X86Cpu *c, Str *s, uint64_t n)
{
    uint64_t off = str_off(c, s, R_RDI);
    uint8_t *d = str_run(c, s, S_ES, R_RDI, true, &n), *p = d;

    if (d) {
        for (uint64_t i = 0; i < n; i++) {
            str_store(p, io_ld(c, str_port(c), s->size), s->size);
            p += s->dir * (int)s->size;
        }
        mem_run_wrote(c, str_lowest(s, d, n), n * s->size);
    } else {
        mem_probe(c, S_ES, off, s->size, true);
        mem_st(c, S_ES, off, io_ld(c, str_port(c), s->size), s->size);
        n = 1;
    }
    str_advance(c, s, R_RDI, n);
    return n;
}

static uint64_t str_outs(X86Cpu *c, Str *s, uint64_t n)
{
    unsigned seg = s->in->seg;
    uint8_t *p = str_run(c, s, seg, R_RSI, false, &n);

    if (p) {
        for (uint64_t i = 0; i < n; i++) {
            io_st(c, str_port(c), str_load(p, s->size), s->size);
            p += s->dir * (int)s->size;
        }
    } else {
        io_st(c, str_port(c), mem_ld(c, seg, str_off(c, s, R_RSI), s->size),
              s->size);
        n = 1;
    }
    str_advance(c, s, R_RSI, n);
    return n;
}

static Str str_begin_io(X86Cpu *c, const Insn *in)
{
    Str s = str_begin(c, in);

    s.size = MIN(s.size, 4);
    io_check(c, str_port(c), s.size);
    return s;
}

void sem_INS(X86Cpu *c, const Insn *in)
{
    Str s = str_begin_io(c, in);

    str_repeat(c, &s, str_ins);
}

void sem_OUTS(X86Cpu *c, const Insn *in)
{
    Str s = str_begin_io(c, in);

    str_repeat(c, &s, str_outs);
}
