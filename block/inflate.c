/*
 * See inflate.h. RFC 1951, section numbers in the comments.
 *
 * A code is decoded by one or two look-ups: the next bits are the index of a
 * table whose entry says what the symbol is and how many bits it took. Entries:
 *
 *     0..7    bits of the code
 *     8..12   extra bits of a length or distance; SUB: index bits of the second
 *     16..30  literal, base of a length or distance, place of the second table
 */
#include "util/osdep.h"
#include "block/inflate.h"

#include "util/bits.h"

#define E_LITERAL (UINT32_C(1) << 31)
#define E_SUB     (UINT32_C(1) << 15)
#define E_END     (UINT32_C(1) << 14)
#define E_BAD     (UINT32_C(1) << 13)

enum {
    MAX_CODE = 15,
    LIT_CODES = 288,
    DIST_CODES = 32,
    LENGTH_CODES = 19,
    LENGTH_BITS = 7,
    MAX_MATCH = 258,
    /* What one turn of the fast loop may read and write. */
    FAST_IN = 32,
    FAST_OUT = MAX_MATCH + 32,
};

/* 3.2.5: base and extra bits of lengths 257.. and of distances. */
static const uint16_t length_base[29] = {
    3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23,  27,
    31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
};
static const uint8_t length_extra[29] = {
    0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
    2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
};
static const uint16_t dist_base[30] = {
    1,    2,    3,    4,    5,    7,    9,    13,    17,    25,
    33,   49,   65,   97,   129,  193,  257,  385,   513,   769,
    1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577,
};
static const uint8_t dist_extra[30] = {
    0, 0, 0, 0, 1, 1, 2, 2,  3,  3,  4,  4,  5,  5,  6,
    6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
};

typedef struct Input {
    const uint8_t *p, *end;
    uint64_t bits; /* the next ones, the first lowest */
    unsigned n;    /* of them */
} Input;

/* ---- bits -------------------------------------------------------------------------- */

/* At least 56 bits, if there are so many. */
static inline void refill(Input *i)
{
    if (G_LIKELY(i->end - i->p >= 8)) {
        i->bits |= ld_le64(i->p) << i->n;
        i->p += (63 - i->n) >> 3;
        i->n |= 56;
        return;
    }
    while (i->n <= 56 && i->p < i->end) {
        i->bits |= (uint64_t)*i->p++ << i->n;
        i->n += 8;
    }
}

static inline void take(Input *i, unsigned n)
{
    i->bits >>= n;
    i->n -= n;
}

/* False: the input ends. @n at most 32. */
static bool get_bits(Input *i, unsigned n, unsigned *out)
{
    refill(i);
    if (i->n < n) {
        return false;
    }
    *out = (unsigned)(i->bits & bits_mask(n));
    take(i, n);
    return true;
}

/* ---- tables ------------------------------------------------------------------------- */

static uint32_t literal_entry(unsigned sym)
{
    if (sym < 256) {
        return E_LITERAL | (uint32_t)sym << 16;
    }
    if (sym == 256) {
        return E_END;
    }
    if (sym - 257 < G_N_ELEMENTS(length_base)) {
        return (uint32_t)length_base[sym - 257] << 16 |
               (uint32_t)length_extra[sym - 257] << 8;
    }
    return E_BAD;
}

static uint32_t dist_entry(unsigned sym)
{
    return sym < G_N_ELEMENTS(dist_base)
               ? (uint32_t)dist_base[sym] << 16 | (uint32_t)dist_extra[sym] << 8
               : E_BAD;
}

static uint32_t plain_entry(unsigned sym)
{
    return (uint32_t)sym << 16;
}

static unsigned reversed(unsigned code, unsigned len)
{
    unsigned r = 0;

    for (unsigned i = 0; i < len; i++) {
        r = r << 1 | (code >> i & 1);
    }
    return r;
}

/* First codes of each length, 3.2.2. False: not a complete code. */
static bool first_codes(const uint8_t *lens, unsigned n, unsigned *next,
                        unsigned *used)
{
    unsigned count[MAX_CODE + 1] = { 0 }, code = 0;

    for (unsigned i = 0; i < n; i++) {
        count[lens[i]]++;
    }
    *used = n - count[0];
    count[0] = 0;
    for (unsigned len = 1; len <= MAX_CODE; len++) {
        code = (code + count[len - 1]) << 1;
        next[len] = code;
    }
    return code + count[MAX_CODE] == 1u << MAX_CODE;
}

/* Second tables behind the first, one for each of its places that begins
 * longer codes: as large as the longest needs. False: no room. */
static bool place_subtables(uint32_t *table, unsigned size, unsigned bits,
                            const uint8_t *longest)
{
    unsigned at = 1u << bits;

    for (unsigned i = 0; i < 1u << bits; i++) {
        unsigned sub = longest[i] > bits ? longest[i] - bits : 0;

        if (!sub) {
            continue;
        }
        if (at + (1u << sub) > size) {
            return false;
        }
        table[i] = E_SUB | at << 16 | sub << 8 | bits;
        at += 1u << sub;
    }
    return true;
}

static bool build(uint32_t *table, unsigned size, unsigned bits,
                  const uint8_t *lens, unsigned n,
                  uint32_t (*entry)(unsigned sym))
{
    uint8_t longest[1 << INFLATE_LIT_BITS] = { 0 };
    uint16_t codes[LIT_CODES];
    unsigned next[MAX_CODE + 1], used;
    bool complete = first_codes(lens, n, next, &used);

    if (used == 0 && entry == dist_entry) { /* literals alone: 3.2.7 */
        for (unsigned i = 0; i < 1u << bits; i++) {
            table[i] = E_BAD;
        }
        return true;
    }
    if (!complete) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        codes[i] = lens[i] ? (uint16_t)reversed(next[lens[i]]++, lens[i]) : 0;
        if (lens[i] > bits) {
            uint8_t *l = &longest[codes[i] & bits_mask(bits)];

            *l = MAX(*l, lens[i]);
        }
    }
    if (!place_subtables(table, size, bits, longest)) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        unsigned len = lens[i], code = codes[i];

        if (len && len <= bits) {
            for (unsigned k = code; k < 1u << bits; k += 1u << len) {
                table[k] = entry(i) | len;
            }
        } else if (len) {
            uint32_t e = table[code & bits_mask(bits)];
            unsigned sub = e >> 8 & 15;

            for (unsigned k = code >> bits; k < 1u << sub;
                 k += 1u << (len - bits)) {
                table[(e >> 16 & 0x7fff) + k] = entry(i) | (len - bits);
            }
        }
    }
    return true;
}

/* Takes the code's own bits; the extra ones come next. */
static inline uint32_t decode(Input *i, const uint32_t *table, unsigned bits)
{
    uint32_t e = table[i->bits & bits_mask(bits)];

    if (G_UNLIKELY(e & E_SUB)) {
        take(i, bits);
        e = table[(e >> 16 & 0x7fff) + (i->bits & bits_mask(e >> 8 & 15))];
    }
    take(i, e & 0xff);
    return e;
}

static inline unsigned extra(Input *i, uint32_t e)
{
    unsigned n = e >> 8 & 31;
    unsigned v = (e >> 16 & 0x7fff) + (unsigned)(i->bits & bits_mask(n));

    take(i, n);
    return v;
}

/* ---- blocks -------------------------------------------------------------------------- */

typedef struct Output {
    uint8_t *start, *p, *end;
} Output;

typedef enum BlockEnd { BLOCK_OVER, BLOCK_FULL, BLOCK_WRONG } BlockEnd;

/* May write up to 15 bytes too many. */
static inline void copy_match(uint8_t *to, unsigned dist, unsigned len)
{
    const uint8_t *from = to - dist;
    uint8_t *end = to + len;

    if (dist >= 16) {
        do {
            memcpy(to, from, 16);
            to += 16;
            from += 16;
        } while (to < end);
    } else if (dist >= 8) {
        do {
            memcpy(to, from, 8);
            to += 8;
            from += 8;
        } while (to < end);
    } else if (dist == 1) {
        memset(to, *from, len);
    } else {
        do {
            *to++ = *from++;
        } while (to < end);
    }
}

/* As long as neither end is near. */
static BlockEnd codes_fast(InflateTables *t, Input *in, Output *out, bool *near)
{
    Input i = *in; /* in registers */
    uint8_t *p = out->p;
    BlockEnd end = BLOCK_OVER;

    *near = false;
    for (;;) {
        uint32_t e;
        unsigned len, dist;

        if (i.end - i.p < FAST_IN || out->end - p < FAST_OUT) {
            *near = true;
            break;
        }
        refill(&i);
        e = decode(&i, t->lit, INFLATE_LIT_BITS);
        if (e & E_LITERAL) {
            *p++ = (uint8_t)(e >> 16);
            e = decode(&i, t->lit, INFLATE_LIT_BITS);
            if (e & E_LITERAL) {
                *p++ = (uint8_t)(e >> 16);
                e = decode(&i, t->lit, INFLATE_LIT_BITS);
                if (e & E_LITERAL) {
                    *p++ = (uint8_t)(e >> 16);
                    continue;
                }
            }
            refill(&i);
        }
        if (G_UNLIKELY(e & (E_END | E_BAD))) {
            end = e & E_END ? BLOCK_OVER : BLOCK_WRONG;
            break;
        }
        len = extra(&i, e);
        e = decode(&i, t->dist, INFLATE_DIST_BITS);
        if (G_UNLIKELY(e & E_BAD)) {
            end = BLOCK_WRONG;
            break;
        }
        dist = extra(&i, e);
        if (G_UNLIKELY(dist > (size_t)(p - out->start))) {
            end = BLOCK_WRONG;
            break;
        }
        copy_match(p, dist, len);
        p += len;
    }
    *in = i;
    out->p = p;
    return end;
}

/* @e and its extra bits, if the input has them. */
static bool careful(Input *i, const uint32_t *table, unsigned bits, uint32_t *e)
{
    unsigned had, need;

    refill(i);
    had = i->n;
    *e = decode(i, table, bits);
    need = had - i->n; /* wraps when there was less */
    return need <= had &&
           (*e & (E_LITERAL | E_END | E_BAD) || i->n >= (*e >> 8 & 31));
}

static BlockEnd codes_careful(InflateTables *t, Input *i, Output *out)
{
    while (out->p < out->end) {
        uint32_t e;
        unsigned len, dist;

        if (!careful(i, t->lit, INFLATE_LIT_BITS, &e) || (e & E_BAD)) {
            return BLOCK_WRONG;
        }
        if (e & E_LITERAL) {
            *out->p++ = (uint8_t)(e >> 16);
            continue;
        }
        if (e & E_END) {
            return BLOCK_OVER;
        }
        len = extra(i, e);
        if (!careful(i, t->dist, INFLATE_DIST_BITS, &e) || (e & E_BAD)) {
            return BLOCK_WRONG;
        }
        dist = extra(i, e);
        if (dist > (size_t)(out->p - out->start) ||
            len > (size_t)(out->end - out->p)) {
            return BLOCK_WRONG;
        }
        for (; len; len--, out->p++) {
            *out->p = *(out->p - dist);
        }
    }
    return BLOCK_FULL;
}

static BlockEnd codes(InflateTables *t, Input *i, Output *out)
{
    bool near;
    BlockEnd end = codes_fast(t, i, out, &near);

    return near ? codes_careful(t, i, out) : end;
}

/* 3.2.4. */
static BlockEnd stored(Input *i, Output *out)
{
    unsigned len, not_len;
    size_t n;

    take(i, i->n & 7);
    if (!get_bits(i, 16, &len) || !get_bits(i, 16, &not_len) ||
        len != (~not_len & 0xffff)) {
        return BLOCK_WRONG;
    }
    i->p -= i->n / 8; /* whole bytes go back */
    i->n = 0;
    i->bits = 0;
    n = MIN(len, (size_t)(out->end - out->p));
    if (n > (size_t)(i->end - i->p)) {
        return BLOCK_WRONG;
    }
    memcpy(out->p, i->p, n);
    out->p += n;
    i->p += n;
    return out->p == out->end ? BLOCK_FULL : BLOCK_OVER;
}

/* 3.2.6. */
static bool fixed_tables(InflateTables *t)
{
    uint8_t lens[LIT_CODES], dists[DIST_CODES];

    for (unsigned i = 0; i < LIT_CODES; i++) {
        lens[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
    }
    memset(dists, 5, sizeof(dists));
    return build(t->lit, INFLATE_LIT_SIZE, INFLATE_LIT_BITS, lens, LIT_CODES,
                 literal_entry) &&
           build(t->dist, INFLATE_DIST_SIZE, INFLATE_DIST_BITS, dists,
                 DIST_CODES, dist_entry);
}

/* The lengths of the codes, themselves packed: 3.2.7. */
static bool read_lengths(InflateTables *t, Input *i, uint8_t *lens, unsigned n)
{
    for (unsigned at = 0; at < n;) {
        unsigned sym, times, value = 0;
        uint32_t e;

        if (!careful(i, t->lit, LENGTH_BITS, &e)) {
            return false;
        }
        sym = e >> 16;
        if (sym < 16) {
            lens[at++] = (uint8_t)sym;
            continue;
        }
        if (!get_bits(i, sym == 16 ? 2 : sym == 17 ? 3 : 7, &times)) {
            return false;
        }
        times += sym == 18 ? 11 : 3;
        if (sym == 16) {
            if (!at) {
                return false;
            }
            value = lens[at - 1];
        }
        if (times > n - at) {
            return false;
        }
        memset(lens + at, (int)value, times);
        at += times;
    }
    return true;
}

static bool dynamic_tables(InflateTables *t, Input *i)
{
    static const uint8_t order[LENGTH_CODES] = {
        16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
    };
    uint8_t lens[LIT_CODES + DIST_CODES] = { 0 }, first[LENGTH_CODES] = { 0 };
    unsigned nlit, ndist, nlen, v;

    if (!get_bits(i, 5, &nlit) || !get_bits(i, 5, &ndist) ||
        !get_bits(i, 4, &nlen)) {
        return false;
    }
    nlit += 257;
    ndist += 1;
    if (nlit > 286 || ndist > 30) {
        return false;
    }
    for (unsigned k = 0; k < nlen + 4; k++) {
        if (!get_bits(i, 3, &v)) {
            return false;
        }
        first[order[k]] = (uint8_t)v;
    }
    return build(t->lit, INFLATE_LIT_SIZE, LENGTH_BITS, first, LENGTH_CODES,
                 plain_entry) &&
           read_lengths(t, i, lens, nlit + ndist) &&
           lens[256] && /* there must be an end */
           build(t->lit, INFLATE_LIT_SIZE, INFLATE_LIT_BITS, lens, nlit,
                 literal_entry) &&
           build(t->dist, INFLATE_DIST_SIZE, INFLATE_DIST_BITS, lens + nlit,
                 ndist, dist_entry);
}

bool inflate_all(InflateTables *t, uint8_t *out, size_t out_len,
                 const uint8_t *in, size_t in_len)
{
    Input i = { in, in + in_len, 0, 0 };
    Output o = { out, out, out + out_len };
    BlockEnd end = BLOCK_OVER;
    unsigned last = 0, kind;

    while (!last && end == BLOCK_OVER) {
        if (!get_bits(&i, 1, &last) || !get_bits(&i, 2, &kind)) {
            return false;
        }
        if (kind == 0) {
            end = stored(&i, &o);
        } else if (kind == 3 ||
                   !(kind == 1 ? fixed_tables(t) : dynamic_tables(t, &i))) {
            return false;
        } else {
            end = codes(t, &i, &o);
        }
    }
    return end != BLOCK_WRONG && o.p == o.end;
}
