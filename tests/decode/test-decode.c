/*
 * The decoder: insn.def against itself, capstone and zydis.
 *
 * Every row is encoded with every modrm byte, a choice of SIB bytes and of
 * prefixes, in every mode it has; random bytes are decoded too. Lengths and
 * mnemonics must agree with the other disassemblers, or oracle.c must know an
 * excuse. RHEA_TEST_SEED sets the seed, RHEA_TEST_N the number of random
 * strings, RHEA_TEST_VERBOSE prints every excused kind of difference.
 */
#include "util/osdep.h"
#include "target-x86/decode.h"
#include "tests/decode/oracle.h"

enum { MAX_BYTES = 16 };

/* ---- random numbers ----------------------------------------------------------- */

static uint64_t rng_state;

static uint64_t rng(void) /* xorshift64* */
{
    rng_state ^= rng_state >> 12;
    rng_state ^= rng_state << 25;
    rng_state ^= rng_state >> 27;
    return rng_state * UINT64_C(0x2545f4914f6cdd1d);
}

static uint64_t env_number(const char *name, uint64_t fallback)
{
    const char *s = g_getenv(name);

    return s ? g_ascii_strtoull(s, NULL, 0) : fallback;
}

static void rng_start(void)
{
    rng_state = env_number("RHEA_TEST_SEED", 0x5eed);
    g_test_message("RHEA_TEST_SEED=%" PRIu64, rng_state);
    rng_state = rng_state * 2 + 1;
}

/* ---- comparing ------------------------------------------------------------------ */

typedef struct Report {
    unsigned asked, bad;
    GHashTable *seen; /* kind of difference: was printed */
} Report;

static void report_start(Report *r)
{
    *r = (Report) { .seen = g_hash_table_new_full(g_str_hash, g_str_equal,
                                                  g_free, NULL) };
}

static void report_end(Report *r)
{
    g_test_message("%u opinions asked for", r->asked);
    g_hash_table_destroy(r->seen);
    if (r->bad) {
        g_test_message("%u differences", r->bad);
        g_test_fail();
    }
}

static char *hex(const uint8_t *p, size_t n)
{
    GString *s = g_string_new(NULL);

    for (size_t i = 0; i < n; i++) {
        g_string_append_printf(s, "%02x ", p[i]);
    }
    return g_string_free(s, FALSE);
}

static const char *our_name(DecodeResult res, const Insn *in)
{
    static const char *const why[] = { "", "(#UD)", "(long)", "(short)" };

    return res == DECODE_OK ? insn_rows[in->id].name : why[res];
}

static void report_difference(Report *r, OracleKind kind, const uint8_t *p,
                              unsigned bits, DecodeResult res, const Insn *in,
                              const Opinion *o, const char *excuse)
{
    static const char *const who[] = { "capstone", "zydis" };
    const char *name = o->valid ? o->name : "(bad)";
    char *key =
        g_strdup_printf("%s: %s is %s%s%s", who[kind], our_name(res, in), name,
                        excuse ? ": " : "", excuse ? excuse : "");

    r->bad += !excuse;
    if (g_hash_table_add(r->seen, key) &&
        (!excuse || g_getenv("RHEA_TEST_VERBOSE"))) {
        g_autofree char *bytes = hex(p, MAX_BYTES);

        g_test_message("%s%u bits: %s; ours %u bytes, theirs %u: %s",
                       excuse ? "(excused) " : "", bits, key, in->len, o->len,
                       bytes);
    }
    /* cppcheck-suppress memleak ; the table has it */
}

/* @p has MAX_BYTES bytes. */
static void compare(Report *r, const uint8_t *p, unsigned bits,
                    DecodeResult res, const Insn *in)
{
    for (OracleKind kind = 0; kind < ORACLES; kind++) {
        Opinion o;

        if (!oracle_have(kind)) {
            continue;
        }
        o = oracle_ask(kind, p, MAX_BYTES, bits);
        r->asked++;
        if (o.valid == (res == DECODE_OK) &&
            (!o.valid || (o.len == in->len && oracle_same_name(in, o.name)))) {
            continue;
        }
        report_difference(r, kind, p, bits, res, in, &o,
                          oracle_excuse(kind, p, MAX_BYTES, bits, res, in, &o));
    }
}

/* ---- encodings of a row ---------------------------------------------------------- */

typedef struct Variant { /* what is put around the opcode */
    uint8_t prefix[4];
    unsigned n_prefix;
    uint8_t rex; /* REX byte or 0; its low bits for VEX */
    bool l;      /* VEX.L */
    bool short_vex;
    uint8_t vvvv;
    bool fixed; /* VEX.L, W, vvvv have been chosen */
} Variant;

static bool row_has_mode(const InsnRow *row, unsigned bits)
{
    return !(row->attr & (bits == 64 ? IA_I64 : IA_O64));
}

/* The one mandatory prefix of the row, or 0. */
static uint8_t row_prefix(const InsnRow *row)
{
    static const uint8_t byte[] = { 0, 0x66, 0xf3, 0xf2 };

    for (unsigned i = 0; i < 4; i++) {
        if (row->prefixes >> i & 1) {
            return byte[i];
        }
    }
    return 0;
}

static unsigned put_vex(uint8_t *p, const InsnRow *row, const Variant *v)
{
    static const uint8_t pp[] = { 0, 1, 2, 3 };
    unsigned n = 0, prefix = __builtin_ctz(row->prefixes);
    bool w = row->attr & IA_W1 || (v->rex & 8 && !(row->attr & IA_W0));
    bool l = row->attr & IA_VEX_L1 || (v->l && !(row->attr & IA_VEX_L0));
    unsigned vvvv = row->attr & IA_VEX_NOVVVV ? 0 : v->vvvv;
    uint8_t last = pp[prefix] | l << 2 | (~vvvv & 15) << 3;

    if (v->short_vex && row->map == MAP_V2 && !w && !(v->rex & 3)) {
        p[n++] = 0xc5;
        p[n++] = last | (v->rex & 4 ? 0 : 0x80);
    } else {
        p[n++] = 0xc4;
        p[n++] = (~v->rex & 7) << 5 | (row->map - MAP_V2 + 1);
        p[n++] = last | w << 7;
    }
    return n;
}

static unsigned put_opcode(uint8_t *p, const InsnRow *row, const Variant *v,
                           unsigned plus_r)
{
    static const uint8_t escape[] = { 0, 0, 0x38, 0x3a };
    uint8_t prefix = row_prefix(row), rex = v->rex;
    unsigned n = 0;

    for (unsigned i = 0; i < v->n_prefix; i++) {
        p[n++] = v->prefix[i];
    }
    if (row->map >= MAP_V2) {
        n += put_vex(p + n, row, v);
    } else {
        rex = row->attr & IA_W1   ? rex | 0x48
              : row->attr & IA_W0 ? rex & ~8
                                  : rex;
        if (prefix) {
            p[n++] = prefix;
        }
        if (rex) {
            p[n++] = rex;
        }
        if (row->map != MAP_M1) {
            p[n++] = 0x0f;
        }
        if (escape[row->map]) {
            p[n++] = escape[row->map];
        }
    }
    p[n++] = row->opcode + plus_r;
    return n;
}

static bool modrm_fits(const InsnRow *row, uint8_t modrm)
{
    unsigned value = row->modrm >> 8, reg = modrm >> 3 & 7;
    bool mem = modrm < 0xc0;

    switch (row->modrm & 0xff) {
    case MODRM_NO:
        return modrm == 0;
    case MODRM_M:
        return mem;
    case MODRM_G:
        return !mem;
    case MODRM_RN:
        return reg == value;
    case MODRM_MN:
        return mem && reg == value;
    case MODRM_GN:
        return !mem && reg == value;
    case MODRM_BYTE:
        return modrm == value;
    }
    return true;
}

/* The bytes are no instruction although the row fits: registers that do not
 * exist, gathers without SIB or with equal registers. */
static bool may_be_undefined(const InsnRow *row)
{
    for (unsigned i = 0; i < 4; i++) {
        switch (row->op[i].kind) {
        case OPK_SEG:
        case OPK_CR:
        case OPK_DR:
        case OPK_VSIB:
            return true;
        }
    }
    return false;
}

/* 90 and REX.B: XCHG, tested by name. */
static bool is_nop_with_rex(const InsnRow *row, const Variant *v)
{
    return row->map == MAP_M1 && row->opcode == 0x90 && v->rex & 1;
}

static void try_encoding(Report *r, unsigned id, unsigned bits,
                         const Variant *v, unsigned plus_r, int modrm, int sib)
{
    const InsnRow *row = &insn_rows[id];
    uint8_t p[MAX_BYTES + 16];
    unsigned n = put_opcode(p, row, v, plus_r);
    uint64_t fill = rng();
    DecodeResult res;
    Insn in;

    if (modrm >= 0) {
        p[n++] = modrm;
    }
    if (sib >= 0) {
        p[n++] = sib;
    }
    memcpy(p + n, &fill, 8);
    fill = rng();
    memcpy(p + n + 8, &fill, 8);
    res = decode_insn(p, MAX_BYTES, bits, &in);
    if (!(res == DECODE_OK && in.id == id) && !may_be_undefined(row) &&
        !is_nop_with_rex(row, v)) {
        g_autofree char *bytes = hex(p, MAX_BYTES);

        r->bad++;
        g_test_message("row %u %s in %u bits became %s: %s", id, row->name,
                       bits, our_name(res, &in), bytes);
    }
    compare(r, p, bits, res, &in);
}

static void try_modrms(Report *r, unsigned id, unsigned bits, const Variant *v,
                       bool all)
{
    const InsnRow *row = &insn_rows[id];
    unsigned plus = row->attr & IA_PLUS_R ? 8 : 1;

    if ((row->modrm & 0xff) == MODRM_NO) {
        for (unsigned i = 0; i < plus; i++) {
            try_encoding(r, id, bits, v, i, -1, -1);
        }
        return;
    }
    for (unsigned i = 0; i < 256; i++) {
        /* mod x (0, 4, 5, 6) with one reg, unless all are wanted */
        if (!modrm_fits(row, i) ||
            (!all && (i & 7) != 0 && ((i & 7) < 4 || (i & 7) == 7)) ||
            (!all && (i >> 3 & 7) != (id & 7) &&
             modrm_fits(row, (i & ~0x38) | (id & 7) << 3))) {
            continue;
        }
        try_encoding(r, id, bits, v, 0, i, -1);
        if (i < 0xc0 && (i & 7) == 4 && all) {
            try_encoding(r, id, bits, v, 0, i, 0x25); /* no base, no index */
            try_encoding(r, id, bits, v, 0, i, 0x6d);
            try_encoding(r, id, bits, v, 0, i, 0xa4);
        }
    }
}

static void try_row(Report *r, unsigned id, unsigned bits)
{
    const InsnRow *row = &insn_rows[id];
    bool vex = row->map >= MAP_V2, any = row->prefixes == 0xf;
    bool n66 = row->prefixes == 3;
    static const uint8_t extra[] = { 0x67, 0x64, 0x2e, 0x66, 0xf2, 0xf3, 0xf0 };

    try_modrms(r, id, bits, &(Variant) { .vvvv = 3, .short_vex = true },
               bits == 64);
    for (unsigned i = 0; i < G_N_ELEMENTS(extra); i++) {
        uint8_t b = extra[i];
        Variant v = { .prefix = { b }, .n_prefix = 1, .vvvv = 5 };

        if ((b == 0x66 && !any && !n66) || (b >= 0xf2 && !any) || b == 0xf0) {
            continue;
        }
        if (b >= 0x66 && b != 0x67 && vex) {
            continue;
        }
        try_modrms(r, id, bits, &v, false);
    }
    for (unsigned rex = vex ? 0 : 0x40; rex < (vex ? 0x10 : 0x50); rex++) {
        Variant v = { .rex = rex, .l = rex & 1, .vvvv = rex & 7 };

        if (bits == 64 || (vex && !(rex & 7))) {
            try_modrms(r, id, bits, &v, false);
        }
    }
}

static void test_rows(gconstpointer data)
{
    unsigned bits = GPOINTER_TO_UINT(data);
    Report r;

    rng_start();
    report_start(&r);
    for (unsigned id = 0; id < insn_row_count; id++) {
        if (row_has_mode(&insn_rows[id], bits)) {
            try_row(&r, id, bits);
        }
    }
    report_end(&r);
}

/* ---- random bytes ------------------------------------------------------------------ */

static void test_random(gconstpointer data)
{
    unsigned bits = GPOINTER_TO_UINT(data);
    static const uint8_t favourite[] = { 0x0f, 0x0f, 0x66, 0xf2, 0xf3, 0x67,
                                         0xf0, 0x48, 0xc4, 0xc5, 0x38, 0x3a };
    uint64_t n = env_number("RHEA_TEST_N", 100000);
    Report r;

    rng_start();
    report_start(&r);
    while (n-- > 0) {
        uint8_t p[MAX_BYTES];
        DecodeResult res;
        Insn in;

        for (unsigned i = 0; i < sizeof(p); i += 8) {
            uint64_t v = rng();

            memcpy(p + i, &v, 8);
        }
        for (unsigned i = 0; i < 3 && rng() % 3; i++) {
            p[i] = favourite[rng() % sizeof(favourite)];
        }
        res = decode_insn(p, MAX_BYTES, bits, &in);
        compare(&r, p, bits, res, &in);
    }
    report_end(&r);
}

/* ---- the table against itself ------------------------------------------------------ */

static void test_no_conflicts(void)
{
    g_autoptr(GString) out = g_string_new(NULL);
    unsigned n = decode_conflicts(out);

    g_assert_cmpstr(out->str, ==, "");
    g_assert_cmpuint(n, ==, 0);
}

static void test_row_sanity(void)
{
    for (unsigned id = 0; id < insn_row_count; id++) {
        const InsnRow *row = &insn_rows[id];
        bool vex = row->map >= MAP_V2;

        g_assert_cmpuint(row->fl_write & row->fl_undef, ==, 0);
        g_assert_false((row->attr & IA_I64) && (row->attr & IA_O64));
        g_assert_true(!vex || row->attr & IA_PROT);
        g_assert_true(!(row->attr & IA_FALLBACK) ||
                      (insn_rows[id + 1].opcode == row->opcode &&
                       insn_rows[id + 1].map == row->map));
        for (const char *s = row->name; *s; s++) {
            g_assert_true(g_ascii_isupper(*s) || g_ascii_isdigit(*s));
        }
        for (unsigned i = 0; i < 4; i++) {
            bool h = row->op[i].kind == OPK_H || row->op[i].kind == OPK_B;

            g_assert_false(h && row->attr & IA_VEX_NOVVVV);
        }
    }
}

/* ---- cases with a number to check ---------------------------------------------------- */

typedef struct Case {
    unsigned bits;
    const char *bytes;
    DecodeResult res;
    const char *name;
    unsigned len;
    uint64_t imm;
    int32_t disp;
    uint8_t reg, rm, base, index, seg, opsize, adsize;
} Case;

#define N INSN_NONE
#define BAD(bits, bytes, res) \
    { \
        bits, bytes, res, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 \
    }
/* clang-format off */
static const Case cases[] = {
    /* bits bytes                 result     name    len imm disp reg rm base index seg os as */
    { 64, "88 e5",                DECODE_OK, "MOV", 2, 0, 0, 20, 21, N, N, S_DS, 2, 3 },
    { 64, "40 88 e5",             DECODE_OK, "MOV", 3, 0, 0, 4, 5, N, N, S_DS, 2, 3 },
    { 64, "41 50",                DECODE_OK, "PUSH", 2, 0, 0, 0, 8, N, N, S_DS, 3, 3 },
    { 64, "66 50",                DECODE_OK, "PUSH", 2, 0, 0, 0, 0, N, N, S_DS, 1, 3 },
    { 64, "68 ff ff ff ff",       DECODE_OK, "PUSH", 5, UINT64_MAX, 0, 0, 0, N, N, S_DS, 3, 3 },
    { 64, "83 c0 80",             DECODE_OK, "ADD", 3, -128ull, 0, 0, 0, N, N, S_DS, 2, 3 },
    { 64, "80 c0 80",             DECODE_OK, "ADD", 3, 0x80, 0, 0, 0, N, N, S_DS, 2, 3 },
    { 64, "48 b8 1 2 3 4 5 6 7 8", DECODE_OK, "MOV", 10, 0x0807060504030201, 0, 0, 0, N, N, S_DS, 3, 3 },
    { 64, "a1 1 2 3 4 5 6 7 8",   DECODE_OK, "MOV", 9, 0x0807060504030201, 0, 0, 0, N, N, S_DS, 2, 3 },
    { 64, "67 a1 1 2 3 4",        DECODE_OK, "MOV", 6, 0x04030201, 0, 0, 0, N, N, S_DS, 2, 2 },
    { 64, "8b 05 f0 ff ff ff",    DECODE_OK, "MOV", 6, 0, -16, 0, 0, INSN_RIP, N, S_DS, 2, 3 },
    { 32, "8b 05 f0 ff ff ff",    DECODE_OK, "MOV", 6, 0, -16, 0, 0, N, N, S_DS, 2, 2 },
    { 64, "8b 45 10",             DECODE_OK, "MOV", 3, 0, 16, 0, 0, R_RBP, N, S_SS, 2, 3 },
    { 64, "41 8b 45 10",          DECODE_OK, "MOV", 4, 0, 16, 0, 0, R_R13, N, S_DS, 2, 3 },
    { 64, "8b 04 24",             DECODE_OK, "MOV", 3, 0, 0, 0, 0, R_RSP, N, S_SS, 2, 3 },
    { 64, "42 8b 04 a4",          DECODE_OK, "MOV", 4, 0, 0, 0, 0, R_RSP, R_R12, S_SS, 2, 3 },
    { 64, "8b 04 25 1 0 0 0",     DECODE_OK, "MOV", 7, 0, 1, 0, 0, N, N, S_DS, 2, 3 },
    { 64, "2e 8b 00",             DECODE_OK, "MOV", 3, 0, 0, 0, 0, R_RAX, N, S_DS, 2, 3 },
    { 64, "64 8b 00",             DECODE_OK, "MOV", 3, 0, 0, 0, 0, R_RAX, N, S_FS, 2, 3 },
    { 64, "64 2e 8b 00",          DECODE_OK, "MOV", 4, 0, 0, 0, 0, R_RAX, N, S_FS, 2, 3 },
    { 32, "2e 8b 45 00",          DECODE_OK, "MOV", 4, 0, 0, 0, 0, R_RBP, N, S_CS, 2, 2 },
    { 16, "8b 42 fe",             DECODE_OK, "MOV", 3, 0, -2, 0, 0, R_RBP, R_RSI, S_SS, 1, 1 },
    { 16, "8b 06 34 12",          DECODE_OK, "MOV", 4, 0, 0x1234, 0, 0, N, N, S_DS, 1, 1 },
    { 16, "66 67 8b 04 8b",       DECODE_OK, "MOV", 5, 0, 0, 0, 0, R_RBX, R_RCX, S_DS, 2, 2 },
    { 64, "66 e9 1 2 3 4",        DECODE_OK, "JMP", 6, 0x04030201, 0, 0, 0, N, N, S_DS, 3, 3 },
    { 32, "66 e9 1 82",           DECODE_OK, "JMP", 4, 0xffffffffffff8201, 0, 0, 0, N, N, S_DS, 1, 2 },
    { 64, "c8 34 12 3",           DECODE_OK, "ENTER", 4, 0x31234, 0, 0, 0, N, N, S_DS, 3, 3 },
    { 32, "9a 1 2 3 4 5 6",       DECODE_OK, "CALLF", 7, 0x060504030201, 0, 0, 0, N, N, S_DS, 2, 2 },
    { 16, "ea 1 2 3 4",           DECODE_OK, "JMPF", 5, 0x0000040300000201, 0, 0, 0, N, N, S_DS, 1, 1 },
    { 64, "66 0f 78 c1 1 2",      DECODE_OK, "EXTRQ", 6, 0x201, 0, 0, 1, N, N, S_DS, 2, 3 },
    { 64, "90",                   DECODE_OK, "NOP", 1, 0, 0, 0, 0, N, N, S_DS, 2, 3 },
    { 64, "f3 90",                DECODE_OK, "PAUSE", 2, 0, 0, 0, 0, N, N, S_DS, 2, 3 },
    { 64, "41 90",                DECODE_OK, "XCHG", 2, 0, 0, 0, 8, N, N, S_DS, 2, 3 },
    { 64, "48 90",                DECODE_OK, "NOP", 2, 0, 0, 0, 0, N, N, S_DS, 3, 3 },
    { 32, "62 00",                DECODE_OK, "BOUND", 2, 0, 0, 0, 0, R_RAX, N, S_DS, 2, 2 },
    BAD(32, "62 c0", DECODE_UD),
    BAD(64, "62 00", DECODE_UD),
    { 32, "c5 00",                DECODE_OK, "LDS", 2, 0, 0, 0, 0, R_RAX, N, S_DS, 2, 2 },
    { 32, "c5 f8 77",             DECODE_OK, "VZEROUPPER", 3, 0, 0, 0, 0, N, N, S_DS, 2, 2 },
    { 64, "c5 fc 77",             DECODE_OK, "VZEROALL", 3, 0, 0, 0, 0, N, N, S_DS, 2, 3 },
    BAD(64, "66 c5 f8 77", DECODE_UD),
    BAD(64, "48 c5 f8 77", DECODE_UD),
    { 64, "48 66 90",             DECODE_OK, "NOP", 3, 0, 0, 0, 0, N, N, S_DS, 1, 3 },
    { 64, "0f 20 00",             DECODE_OK, "MOV", 3, 0, 0, 0, 0, N, N, S_DS, 3, 3 },
    BAD(64, "0f 20 08", DECODE_UD),
    { 64, "44 0f 20 c0",          DECODE_OK, "MOV", 4, 0, 0, 8, 0, N, N, S_DS, 3, 3 },
    BAD(64, "8e c8", DECODE_UD),
    BAD(64, "8c f0", DECODE_UD),
    { 64, "f0 01 00",             DECODE_OK, "ADD", 3, 0, 0, 0, 0, R_RAX, N, S_DS, 2, 3 },
    BAD(64, "f0 01 c0", DECODE_UD),
    BAD(64, "f0 03 00", DECODE_UD),
    BAD(64, "f0 90", DECODE_UD),
    { 64, "f3 0f bc c1",          DECODE_OK, "TZCNT", 4, 0, 0, 0, 1, N, N, S_DS, 2, 3 },
    { 64, "f2 f3 0f bc c1",       DECODE_OK, "TZCNT", 5, 0, 0, 0, 1, N, N, S_DS, 2, 3 },
    { 64, "f3 f2 0f bc c1",       DECODE_OK, "BSF", 5, 0, 0, 0, 1, N, N, S_DS, 2, 3 },
    { 64, "66 f2 0f 38 f1 c1",    DECODE_OK, "CRC32", 6, 0, 0, 0, 1, N, N, S_DS, 1, 3 },
    { 64, "66 0f 38 f1 01",       DECODE_OK, "MOVBE", 5, 0, 0, 0, 0, R_RCX, N, S_DS, 1, 3 },
    { 64, "66 66 66 66 66 66 66 66 66 66 66 66 66 66 90", DECODE_OK, "NOP", 15, 0, 0, 0, 0, N, N, S_DS, 1, 3 },
    BAD(64, "66 66 66 66 66 66 66 66 66 66 66 66 66 66 66 90", DECODE_LONG),
    { 64, "c4 e2 f1 90 04 15 0 0 0 0", DECODE_OK, "VPGATHERDQ", 10, 0, 0, 0, 0, N, 2, S_DS, 3, 3 },
    BAD(64, "c4 e2 f1 90 04 0d 0 0 0 0", DECODE_UD), /* mask is index */
    BAD(64, "c4 e2 f1 90 00", DECODE_UD),       /* no SIB */
    BAD(64, "0f", DECODE_SHORT),
    BAD(64, "8b 05 f0 ff ff", DECODE_SHORT),
    BAD(64, "", DECODE_SHORT),
};
/* clang-format on */
#undef N
#undef BAD

static unsigned from_hex(const char *s, uint8_t *p)
{
    unsigned n = 0;
    char *end;

    for (;;) {
        unsigned v = strtoul(s, &end, 16);

        if (end == s) {
            return n;
        }
        p[n++] = v;
        s = end;
    }
}

static void check_case(const Case *t)
{
    uint8_t p[32];
    unsigned n = from_hex(t->bytes, p);
    Insn in;
    DecodeResult res = decode_insn(p, n, t->bits, &in);

    g_test_message("%u bits: %s", t->bits, t->bytes);
    g_assert_cmpint(res, ==, t->res);
    if (res != DECODE_OK) {
        return;
    }
    g_assert_cmpstr(insn_rows[in.id].name, ==, t->name);
    g_assert_cmpuint(in.len, ==, t->len);
    g_assert_cmphex(in.imm, ==, t->imm);
    g_assert_cmpint(in.disp, ==, t->disp);
    g_assert_cmpuint(in.reg, ==, t->reg);
    g_assert_cmpuint(in.rm, ==, t->rm);
    g_assert_cmpuint(in.base, ==, t->base);
    g_assert_cmpuint(in.index, ==, t->index);
    g_assert_cmpuint(in.seg, ==, t->seg);
    g_assert_cmpuint(in.opsize, ==, t->opsize);
    g_assert_cmpuint(in.adsize, ==, t->adsize);
}

static void test_cases(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        check_case(&cases[i]);
    }
}

/* Cut anywhere, an instruction asks for more; whole, it needs no more. */
static void test_short(void)
{
    rng_start();
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t v[2] = { rng(), rng() };
        uint8_t p[16];
        Insn whole, in;
        unsigned bits = 16 << i % 3;

        memcpy(p, v, 16);
        if (decode_insn(p, 15, bits, &whole) != DECODE_OK) {
            continue;
        }
        g_assert_cmpint(decode_insn(p, whole.len, bits, &in), ==, DECODE_OK);
        g_assert_true(!memcmp(&in, &whole, sizeof(in)));
        for (unsigned n = 0; n < whole.len; n++) {
            g_assert_cmpint(decode_insn(p, n, bits, &in), ==, DECODE_SHORT);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/decode/no-conflicts", test_no_conflicts);
    g_test_add_func("/decode/row-sanity", test_row_sanity);
    g_test_add_func("/decode/cases", test_cases);
    g_test_add_func("/decode/short", test_short);
    for (size_t bits = 16; bits <= 64; bits *= 2) {
        g_autofree char *rows = g_strdup_printf("/decode/rows-%zu", bits);
        g_autofree char *random = g_strdup_printf("/decode/random-%zu", bits);

        g_test_add_data_func(rows, (void *)bits, test_rows);
        g_test_add_data_func(random, (void *)bits, test_random);
    }
    return g_test_run();
}
