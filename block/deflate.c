/*
 * See deflate.h. RFC 1951, section numbers in the comments.
 *
 * The input is cut into blocks. For each, repetitions are looked for (hash
 * chains, and a match waits for a better one at the next byte), then codes are
 * made from the counts. The size of a block is known before a bit of it is
 * written: who has no room for it ends there.
 *
 * Positions are kept in 16 bits: what an entry says may be 64 KiB off. That is
 * harmless, since bytes are compared before they count as a match.
 */
#include "util/osdep.h"
#include "block/deflate.h"

#include "util/bits.h"

enum {
    MIN_MATCH = 3,
    MAX_MATCH = 258,
    NICE_MATCH = 100, /* long enough: no better one is looked for */
    DEPTH = 40,       /* entries of a chain that are looked at */
    NEAR = 1024,      /* a match of three bytes farther away is no gain */
    /* Bytes in a row without a match; for as many again, one position more is
     * passed over between two that are looked at. */
    DULL = 512,
    MAX_STEP = 8,
    END_OF_BLOCK = 256,
    FIRST_LENGTH = 257,
    LENGTH_SYMS = 19,
    LENGTH_LIMIT = 7,
    STORED_MAX = 65535,
};

/* 3.2.5: bases and extra bits of lengths 257.. */
static const uint16_t length_base[29] = {
    3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23,  27,
    31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
};
static const uint8_t length_extra[29] = {
    0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
    2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
};

typedef struct Packer {
    DeflateTables *t;
    const uint8_t *in;
    size_t len, pos;
    size_t nseqs;
    uint64_t extra_bits; /* of the block's lengths and distances */
    uint8_t *out, *end;
    uint64_t acc; /* bits that are not in @out yet */
    unsigned nacc;
} Packer;

/* ---- codes ----------------------------------------------------------------------- */

static unsigned length_slot(unsigned len)
{
    unsigned v = len - MIN_MATCH, n;

    if (v < 8) {
        return v;
    }
    if (len == MAX_MATCH) {
        return 28;
    }
    n = 31 - (unsigned)__builtin_clz(v);
    return (n - 1) * 4 + (v >> (n - 2) & 3);
}

static unsigned dist_slot(unsigned dist)
{
    unsigned v = dist - 1, n;

    if (v < 4) {
        return v;
    }
    n = 31 - (unsigned)__builtin_clz(v);
    return n * 2 + (v >> (n - 1) & 1);
}

static unsigned dist_extra(unsigned slot)
{
    return slot < 4 ? 0 : slot / 2 - 1;
}

static unsigned dist_base(unsigned slot)
{
    return slot < 4 ? slot + 1 : ((2u + (slot & 1)) << dist_extra(slot)) + 1;
}

typedef struct Leaf {
    uint32_t freq;
    uint16_t sym;
} Leaf;

/* The rarest first; equal ones in the order of symbols. Two passes over a byte
 * of the counts each: they are below 2^17, the highest bit is clamped. */
static unsigned sort_leaves(const uint32_t *freq, unsigned n, Leaf *leaves)
{
    Leaf half[DEFLATE_LIT_CODES];
    unsigned at[256] = { 0 }, used = 0, sum = 0;

    for (unsigned i = 0; i < n; i++) {
        if (freq[i]) {
            leaves[used++] = (Leaf) { MIN(freq[i], 65535), (uint16_t)i };
            at[MIN(freq[i], 65535) & 255]++;
        }
    }
    for (unsigned i = 0; i < 256; i++) {
        unsigned c = at[i];

        at[i] = sum;
        sum += c;
    }
    for (unsigned i = 0; i < used; i++) {
        half[at[leaves[i].freq & 255]++] = leaves[i];
    }
    memset(at, 0, sizeof(at));
    for (unsigned i = 0; i < used; i++) {
        at[half[i].freq >> 8]++;
    }
    sum = 0;
    for (unsigned i = 0; i < 256; i++) {
        unsigned c = at[i];

        at[i] = sum;
        sum += c;
    }
    for (unsigned i = 0; i < used; i++) {
        leaves[at[half[i].freq >> 8]++] = half[i];
    }
    return used;
}

/* How many codes there are of each length: Huffman's tree over @leaves. */
static void tree_lengths(const Leaf *leaves, unsigned used, unsigned *count)
{
    uint32_t weight[DEFLATE_LIT_CODES];
    uint16_t parent[2 * DEFLATE_LIT_CODES];
    uint8_t depth[DEFLATE_LIT_CODES];
    unsigned leaf = 0, inner = 0, made = 0;

    /* The two lightest of leaves and inner nodes, each row in order already,
     * get a parent. Nodes: leaves, then inner ones. */
    while (made < used - 1) {
        weight[made] = 0;
        for (unsigned k = 0; k < 2; k++) {
            if (leaf < used &&
                (inner >= made || leaves[leaf].freq <= weight[inner])) {
                weight[made] += leaves[leaf].freq;
                parent[leaf++] = (uint16_t)made;
            } else {
                weight[made] += weight[inner];
                parent[DEFLATE_LIT_CODES + inner++] = (uint16_t)made;
            }
        }
        made++;
    }
    depth[made - 1] = 0;
    for (unsigned i = made - 1; i-- > 0;) {
        depth[i] = (uint8_t)(depth[parent[DEFLATE_LIT_CODES + i]] + 1);
    }
    for (unsigned i = 0; i < used; i++) {
        count[MIN(depth[parent[i]] + 1, 31)]++;
    }
}

/* Codes longer than @limit become that long; to make place for them, others
 * become longer, too. */
static void limit_lengths(unsigned *count, unsigned limit)
{
    unsigned total = 0;

    for (unsigned len = limit + 1; len < 32; len++) {
        count[limit] += count[len];
        count[len] = 0;
    }
    for (unsigned len = 1; len <= limit; len++) {
        total += count[len] << (limit - len);
    }
    while (total > 1u << limit) {
        unsigned len = limit - 1;

        while (!count[len]) {
            len--;
        }
        /* a leaf goes one down, and one of the deepest comes beside it */
        count[len]--;
        count[len + 1] += 2;
        count[limit]--;
        total--;
    }
}

static unsigned reversed(unsigned code, unsigned len)
{
    unsigned r = 0;

    for (unsigned i = 0; i < len; i++) {
        r = r << 1 | (code >> i & 1);
    }
    return r;
}

/* 3.2.2. */
static void assign_bits(DeflateCode *c, unsigned n, const unsigned *count)
{
    unsigned next[DEFLATE_MAX_CODE + 1] = { 0 }, code = 0;

    for (unsigned len = 1; len <= DEFLATE_MAX_CODE; len++) {
        next[len] = code;
        code = (code + count[len]) << 1;
    }
    for (unsigned i = 0; i < n; i++) {
        if (c->len[i]) {
            c->bits[i] = (uint16_t)reversed(next[c->len[i]]++, c->len[i]);
        }
    }
}

/* The best code for @freq with no more than @limit bits. It has two symbols at
 * least: readers are of several minds about codes with one. */
static void make_code(DeflateCode *c, uint32_t *freq, unsigned n,
                      unsigned limit)
{
    Leaf leaves[DEFLATE_LIT_CODES];
    unsigned used = sort_leaves(freq, n, leaves), count[32] = { 0 }, at = 0;

    for (unsigned i = 0; used < 2; i++) {
        if (!freq[i]) {
            freq[i] = 1;
            used = sort_leaves(freq, n, leaves);
        }
    }
    tree_lengths(leaves, used, count);
    limit_lengths(count, limit);
    memset(c->len, 0, sizeof(c->len));
    for (unsigned len = limit; len > 0; len--) {
        for (unsigned k = count[len]; k > 0; k--) {
            c->len[leaves[at++].sym] = (uint8_t)len;
        }
    }
    assign_bits(c, n, count);
}

/* 3.2.6. */
static void fixed_codes(DeflateTables *t)
{
    unsigned lit[32] = { [7] = 24, [8] = 152, [9] = 112 }, dist[32] = { 0 };

    for (unsigned i = 0; i < DEFLATE_LIT_CODES; i++) {
        t->lit.len[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
    }
    memset(t->dist.len, 5, DEFLATE_DIST_CODES);
    dist[5] = DEFLATE_DIST_CODES;
    assign_bits(&t->lit, DEFLATE_LIT_CODES, lit);
    assign_bits(&t->dist, DEFLATE_DIST_CODES, dist);
}

static uint64_t cost(const DeflateCode *c, const uint32_t *freq, unsigned n)
{
    uint64_t bits = 0;

    for (unsigned i = 0; i < n; i++) {
        bits += (uint64_t)freq[i] * c->len[i];
    }
    return bits;
}

/* ---- bits ------------------------------------------------------------------------ */

/* Whole bytes go out; up to 7 bits stay. */
static inline void flush_bits(Packer *p)
{
    st_le64(p->out, p->acc);
    p->out += p->nacc >> 3;
    p->acc >>= p->nacc & 56;
    p->nacc &= 7;
}

/* Up to 56 bits between two flushes. */
static inline void put(Packer *p, uint64_t bits, unsigned n)
{
    p->acc |= bits << p->nacc;
    p->nacc += n;
}

/* Is there room for @bits more, and for the last byte's rest? */
static bool has_room(const Packer *p, uint64_t bits)
{
    return (p->nacc + bits + 7) / 8 <= (size_t)(p->end - p->out);
}

/* ---- the codes' lengths, packed: 3.2.7 --------------------------------------------- */

typedef struct Lengths {
    uint8_t sym[DEFLATE_LIT_CODES + DEFLATE_DIST_CODES];
    uint8_t extra[DEFLATE_LIT_CODES + DEFLATE_DIST_CODES];
    unsigned n, nlit, ndist, nlen;
    uint32_t freq[LENGTH_SYMS];
    DeflateCode code;
    uint64_t bits; /* of all this in the stream */
} Lengths;

static const uint8_t length_order[LENGTH_SYMS] = {
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
};

static unsigned length_sym_extra(unsigned sym)
{
    return sym < 16 ? 0 : sym == 16 ? 2 : sym == 17 ? 3 : 7;
}

static void lengths_add(Lengths *l, unsigned sym, unsigned extra)
{
    l->sym[l->n] = (uint8_t)sym;
    l->extra[l->n++] = (uint8_t)extra;
    l->freq[sym]++;
}

/* @times the length @len, by symbols for repetition where that is shorter. */
static void lengths_run(Lengths *l, unsigned len, unsigned times)
{
    if (len) {
        lengths_add(l, len, 0);
        times--;
    }
    while (times >= 3) {
        unsigned most = len ? 6 : 138, n = MIN(times, most);

        if (len) {
            lengths_add(l, 16, n - 3);
        } else if (n < 11) {
            lengths_add(l, 17, n - 3);
        } else {
            lengths_add(l, 18, n - 11);
        }
        times -= n;
    }
    while (times--) {
        lengths_add(l, len, 0);
    }
}

static void lengths_make(Lengths *l, const DeflateTables *t)
{
    uint8_t all[DEFLATE_LIT_CODES + DEFLATE_DIST_CODES];
    unsigned total;

    memset(l, 0, sizeof(*l));
    for (l->nlit = 286; !t->lit.len[l->nlit - 1]; l->nlit--) {
    }
    for (l->ndist = DEFLATE_DIST_CODES; !t->dist.len[l->ndist - 1];
         l->ndist--) {
    }
    memcpy(all, t->lit.len, l->nlit);
    memcpy(all + l->nlit, t->dist.len, l->ndist);
    total = l->nlit + l->ndist;
    for (unsigned i = 0, run; i < total; i += run) {
        for (run = 1; i + run < total && all[i + run] == all[i]; run++) {
        }
        lengths_run(l, all[i], run);
    }
    make_code(&l->code, l->freq, LENGTH_SYMS, LENGTH_LIMIT);
    for (l->nlen = LENGTH_SYMS;
         l->nlen > 4 && !l->code.len[length_order[l->nlen - 1]]; l->nlen--) {
    }
    l->bits = 14 + 3 * l->nlen;
    for (unsigned i = 0; i < l->n; i++) {
        l->bits += l->code.len[l->sym[i]] + length_sym_extra(l->sym[i]);
    }
}

static void lengths_write(Packer *p, const Lengths *l)
{
    put(p, l->nlit - 257, 5);
    put(p, l->ndist - 1, 5);
    put(p, l->nlen - 4, 4);
    flush_bits(p);
    for (unsigned i = 0; i < l->nlen; i++) {
        put(p, l->code.len[length_order[i]], 3);
        flush_bits(p);
    }
    for (unsigned i = 0; i < l->n; i++) {
        put(p, l->code.bits[l->sym[i]], l->code.len[l->sym[i]]);
        put(p, l->extra[i], length_sym_extra(l->sym[i]));
        flush_bits(p);
    }
}

/* ---- one block --------------------------------------------------------------------- */

/* A match: four pieces, 48 bits at most. */
static inline void put_match(Packer *p, unsigned len, unsigned dist)
{
    const DeflateTables *t = p->t;
    unsigned ls = length_slot(len), ds = dist_slot(dist);

    put(p, t->lit.bits[FIRST_LENGTH + ls], t->lit.len[FIRST_LENGTH + ls]);
    put(p, len - length_base[ls], length_extra[ls]);
    put(p, t->dist.bits[ds], t->dist.len[ds]);
    put(p, dist - dist_base(ds), dist_extra(ds));
}

static void write_codes(Packer *out, const uint8_t *in)
{
    Packer p = *out; /* in registers */
    const DeflateTables *t = p.t;

    for (size_t i = 0; i < p.nseqs; i++) {
        const DeflateSeq *s = &t->seqs[i];
        uint32_t n = s->literals;

        for (; n >= 3; n -= 3, in += 3) { /* 45 bits */
            put(&p, t->lit.bits[in[0]], t->lit.len[in[0]]);
            put(&p, t->lit.bits[in[1]], t->lit.len[in[1]]);
            put(&p, t->lit.bits[in[2]], t->lit.len[in[2]]);
            flush_bits(&p);
        }
        for (; n > 0; n--, in++) {
            put(&p, t->lit.bits[*in], t->lit.len[*in]);
        }
        flush_bits(&p);
        if (s->len) {
            put_match(&p, s->len, s->dist);
            flush_bits(&p);
            in += s->len;
        }
    }
    put(&p, t->lit.bits[END_OF_BLOCK], t->lit.len[END_OF_BLOCK]);
    flush_bits(&p);
    *out = p;
}

/* 3.2.4: each piece begins with a byte. */
static bool write_stored(Packer *p, const uint8_t *in, size_t len, bool last)
{
    while (len) {
        size_t n = MIN(len, STORED_MAX);

        if (!has_room(p, 3 + 7 + 32 + 8 * (uint64_t)n)) {
            return false;
        }
        put(p, last && n == len, 3); /* kind 0 */
        p->nacc = (p->nacc + 7) & ~7u;
        put(p, n | (uint64_t)(~n & 0xffff) << 16, 32);
        flush_bits(p);
        memcpy(p->out, in, n);
        p->out += n;
        in += n;
        len -= n;
    }
    return true;
}

/* The bytes from @from to p->pos, as the sequences and counts have them. */
static bool write_block(Packer *p, size_t from, bool last)
{
    DeflateTables *t = p->t;
    size_t len = p->pos - from;
    uint64_t dynamic, fixed, stored;
    Lengths l;

    t->lit_freq[END_OF_BLOCK] = 1;
    fixed_codes(t);
    fixed = cost(&t->lit, t->lit_freq, DEFLATE_LIT_CODES) +
            cost(&t->dist, t->dist_freq, DEFLATE_DIST_CODES) + p->extra_bits;
    make_code(&t->lit, t->lit_freq, DEFLATE_LIT_CODES - 2, DEFLATE_MAX_CODE);
    make_code(&t->dist, t->dist_freq, DEFLATE_DIST_CODES, DEFLATE_MAX_CODE);
    lengths_make(&l, t);
    dynamic = cost(&t->lit, t->lit_freq, DEFLATE_LIT_CODES) +
              cost(&t->dist, t->dist_freq, DEFLATE_DIST_CODES) + p->extra_bits +
              l.bits;
    stored = 8 * (uint64_t)len + 40 * (len / STORED_MAX + 1);
    if (stored <= MIN(dynamic, fixed)) {
        return write_stored(p, p->in + from, len, last);
    }
    if (!has_room(p, 3 + MIN(dynamic, fixed))) {
        return false;
    }
    if (fixed <= dynamic) {
        fixed_codes(t);
        put(p, last | 1 << 1, 3);
    } else {
        put(p, last | 2 << 1, 3);
        lengths_write(p, &l);
    }
    write_codes(p, p->in + from);
    return true;
}

/* ---- matches ------------------------------------------------------------------------ */

typedef struct Match {
    unsigned len, dist; /* len 0: none */
} Match;

static inline unsigned hash4(const uint8_t *p)
{
    return (ld_le32(p) * UINT32_C(0x9e3779b1)) >> (32 - DEFLATE_HASH_BITS);
}

static inline unsigned hash3(const uint8_t *p)
{
    return ((ld_le32(p) << 8) * UINT32_C(0x9e3779b1)) >>
           (32 - DEFLATE_HASH3_BITS);
}

/* From @n on; both have @max bytes. */
static inline unsigned same_bytes(const uint8_t *a, const uint8_t *b,
                                  unsigned n, unsigned max)
{
    while (n + 8 <= max) {
        uint64_t d = ld_le64(a + n) ^ ld_le64(b + n);

        if (d) {
            return n + ((unsigned)__builtin_ctzll(d) >> 3);
        }
        n += 8;
    }
    while (n < max && a[n] == b[n]) {
        n++;
    }
    return n;
}

/* The position comes first in its chain; the one that was first. */
static inline unsigned insert(DeflateTables *t, const uint8_t *in, size_t pos)
{
    unsigned h = hash4(in + pos), old = t->head[h];

    t->prev[pos & (DEFLATE_WINDOW - 1)] = (uint16_t)old;
    t->head[h] = (uint16_t)pos;
    t->head3[hash3(in + pos)] = (uint16_t)pos;
    return old;
}

/* The longest match at @pos that is longer than @best, else none; @pos is
 * inserted. Four bytes at least are there. */
static inline Match longest(Packer *p, size_t pos, unsigned best,
                            unsigned depth)
{
    DeflateTables *t = p->t;
    const uint8_t *here = p->in + pos;
    unsigned max = (unsigned)MIN(p->len - pos, MAX_MATCH), last = 0;
    unsigned near3 = (uint16_t)(pos - t->head3[hash3(here)]);
    unsigned dist = (uint16_t)(pos - insert(t, p->in, pos));
    uint32_t first = ld_le32(here);
    Match m = { 0, 0 };

    if (best < MIN_MATCH && near3 && near3 <= NEAR && near3 <= pos &&
        ((ld_le32(here - near3) ^ first) & 0xffffff) == 0) {
        m = (Match) { MIN_MATCH, near3 };
        best = MIN_MATCH;
    }
    best = MAX(best, MIN_MATCH);
    while (depth-- && best < max && dist > last && dist < DEFLATE_WINDOW &&
           dist <= pos) {
        const uint8_t *there = here - dist;

        if (ld_le32(there) == first &&
            ld_le32(there + best - 3) == ld_le32(here + best - 3)) {
            unsigned n = same_bytes(here, there, 4, max);

            if (n > best) {
                m = (Match) { n, dist };
                best = n;
                if (n >= NICE_MATCH) {
                    break;
                }
            }
        }
        last = dist;
        dist = (uint16_t)(pos - t->prev[(pos - dist) & (DEFLATE_WINDOW - 1)]);
    }
    return m;
}

/* Bits that a match saves, about. */
static inline int worth(Match m)
{
    return 4 * (int)m.len - (31 - __builtin_clz(m.dist));
}

static inline void count_literals(Packer *p, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        p->t->lit_freq[p->in[i]]++;
    }
}

static inline void add_seq(Packer *p, size_t literals_from, Match m)
{
    DeflateTables *t = p->t;
    DeflateSeq *s = &t->seqs[p->nseqs++];

    s->literals = (uint32_t)(p->pos - literals_from);
    s->len = (uint16_t)m.len;
    s->dist = (uint16_t)m.dist;
    count_literals(p, literals_from, p->pos);
    if (m.len) {
        unsigned ls = length_slot(m.len), ds = dist_slot(m.dist);

        t->lit_freq[FIRST_LENGTH + ls]++;
        t->dist_freq[ds]++;
        p->extra_bits += length_extra[ls] + dist_extra(ds);
    }
}

/* A match at p->pos, or a better one that begins a little later. */
static Match improve(Packer *p, Match m, size_t last)
{
    while (m.len < NICE_MATCH && p->pos + 1 < last) {
        Match next = longest(p, p->pos + 1, m.len - 1, DEPTH / 2);

        if (!next.len || worth(next) <= worth(m) + 2) {
            /* its position is in the chains already */
            return m;
        }
        m = next;
        p->pos++;
    }
    return m;
}

/* Sequences and counts of the bytes from p->pos to (about) @end. */
static void find_block(Packer *p, size_t end)
{
    DeflateTables *t = p->t;
    size_t from = p->pos, last = p->len >= 4 ? p->len - 3 : 0;

    memset(t->lit_freq, 0, sizeof(t->lit_freq));
    memset(t->dist_freq, 0, sizeof(t->dist_freq));
    p->nseqs = 0;
    p->extra_bits = 0;
    while (p->pos < end && p->pos < last) {
        Match m = longest(p, p->pos, 0, DEPTH);

        if (!m.len) {
            p->pos += MIN(1 + (p->pos - from) / DULL, MAX_STEP);
            continue;
        }
        m = improve(p, m, last);
        add_seq(p, from, m);
        from = p->pos + m.len;
        /* improve() has looked one byte ahead */
        for (size_t i = p->pos + 2; i < MIN(from, last); i++) {
            insert(t, p->in, i);
        }
        p->pos = from;
    }
    p->pos = p->pos >= last ? p->len : p->pos;
    add_seq(p, from, (Match) { 0, 0 });
}

size_t deflate_all(DeflateTables *t, uint8_t *out, size_t room,
                   const uint8_t *in, size_t len)
{
    Packer p = { .t = t, .in = in, .len = len, .out = out, .end = out + room };

    memset(t->head, 0, sizeof(t->head));
    memset(t->head3, 0, sizeof(t->head3));
    memset(t->prev, 0, sizeof(t->prev));
    while (p.pos < len) {
        size_t from = p.pos;

        find_block(&p, MIN(from + DEFLATE_BLOCK - MAX_MATCH, len));
        if (!write_block(&p, from, p.pos == len)) {
            return 0;
        }
    }
    return (size_t)(p.out - out) + (p.nacc > 0);
}
