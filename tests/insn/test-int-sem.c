/*
 * Integer instructions against the host processor: same bytes, same registers
 * in, same registers, memory and flags out, undefined flags included. Then the
 * lazy flags against what they stand for, and the decimal adjustments, which
 * exist in 32-bit code only.
 */
#include "util/osdep.h"
#include <sys/mman.h>
#include "target-x86/flags.h"
#include "tests/lib/fake-access.h"
#include "tests/lib/host-run.h"

enum { WINDOW = 8192, ROUNDS = 60 };

static const uint64_t edges[] = {
    0,
    1,
    2,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0x8000,
    0xffff,
    0x10000,
    0x7fffffff,
    0x80000000,
    0xffffffff,
    0x100000000,
    INT64_MAX,
    0x8000000000000000,
    UINT64_MAX,
    0xfffffffffffffffe,
    0x5555555555555555,
    0x1234567890abcdef,
};

static uint64_t some_value(GRand *r)
{
    if (g_rand_int(r) % 4 == 0) {
        return (uint64_t)g_rand_int(r) << 32 | g_rand_int(r);
    }
    return edges[g_rand_int(r) % G_N_ELEMENTS(edges)];
}

/* What both sides work on: the host's buffer is at the same guest address. */
typedef struct Pair {
    FakeCpu *f;
    uint8_t *host;
    GRand *rand;
} Pair;

static Pair pair_new(void)
{
    Pair p;

    p.host = mmap(NULL, WINDOW, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_assert(p.host != MAP_FAILED);
    p.f = fake_new(FAKE_LONG64, (uintptr_t)p.host, WINDOW);
    p.rand = g_rand_new_with_seed(g_test_rand_int());
    return p;
}

static void pair_free(Pair *p)
{
    munmap(p->host, WINDOW);
    fake_free(p->f);
    g_rand_free(p->rand);
}

static void pair_fill(Pair *p, HostRegs *r)
{
    X86State *s = &p->f->cpu.s;

    for (unsigned i = 0; i < 16; i++) {
        r->gpr[i] = some_value(p->rand);
    }
    r->gpr[R_RBX] = (uintptr_t)p->host + WINDOW / 2;
    r->flags = g_rand_int(p->rand) & FL_ARITH;
    for (unsigned i = 0; i < WINDOW; i += 8) {
        uint64_t v = some_value(p->rand);

        memcpy(p->host + i, &v, 8);
    }
    memcpy(p->f->ram, p->host, WINDOW);
    memcpy(s->gpr, r->gpr, sizeof(s->gpr));
    s->rflags = r->flags | 2;
    s->rip = 0;
    p->f->cpu.lazy.op = FLAGS_EXACT;
}

static char *hex(const uint8_t *b, unsigned len)
{
    GString *s = g_string_new(NULL);

    for (unsigned i = 0; i < len; i++) {
        g_string_append_printf(s, "%02x ", b[i]);
    }
    return g_string_free(s, FALSE);
}

/* Undefined flags are the host's own too, but for OF of shifts by a constant:
 * a processor need not give the same there as for CL. */
static uint32_t compared_flags(const Insn *in)
{
    const InsnRow *row = &insn_rows[in->id];
    bool by_imm = (row->opcode & ~1) == 0xc0 && row->op[1].kind == OPK_IMM;

    return FL_ARITH & ~(by_imm ? row->fl_undef & FL_OF : 0);
}

static void pair_compare(Pair *p, const Insn *insn, const HostRegs *in,
                         const HostRegs *out, const char *what)
{
    const X86State *s = &p->f->cpu.s;
    uint32_t mask = compared_flags(insn);

    for (unsigned i = 0; i < 16; i++) {
        if (i != R_RSP && s->gpr[i] != out->gpr[i]) {
            g_test_message("%s: gpr %u was %016" PRIx64 " (rax %" PRIx64
                           " rcx %" PRIx64 " rdx %" PRIx64 ")",
                           what, i, in->gpr[i], in->gpr[0], in->gpr[1],
                           in->gpr[2]);
            g_assert_cmphex(s->gpr[i], ==, out->gpr[i]);
        }
    }
    if ((flags_get(&p->f->cpu) ^ out->flags) & mask) {
        g_test_message(
            "%s: flags in %x (rax %" PRIx64 " rcx %" PRIx64 " rdx %" PRIx64 ")",
            what, (unsigned)in->flags, in->gpr[0], in->gpr[1], in->gpr[2]);
        g_assert_cmphex(flags_get(&p->f->cpu) & mask, ==, out->flags & mask);
    }
    g_assert_cmpmem(p->f->ram, WINDOW, p->host, WINDOW);
}

/* One encoding, once. False: the host does not have it. */
static bool pair_once(Pair *p, const uint8_t *bytes, unsigned len,
                      void (*prepare)(HostRegs *r))
{
    HostRegs r = { 0 }, in;
    Insn insn;
    FakeExit how;
    g_autofree char *what = NULL;
    int vector;

    pair_fill(p, &r);
    if (prepare) {
        prepare(&r);
        memcpy(p->f->cpu.s.gpr, r.gpr, sizeof(r.gpr));
    }
    in = r;
    how = fake_bytes(p->f, bytes, len, &insn);
    what = hex(bytes, how == FAKE_UD ? len : insn.len);
    if (how == FAKE_UD) { /* then the host agrees */
        g_test_message("%s: not decoded", what);
        g_assert_cmpint(host_run(bytes, len, &r), ==, EXC_UD);
        return false;
    }
    vector = host_run(bytes, insn.len, &r);
    if (vector == 6 && how == FAKE_DONE) {
        g_test_message("%s: not on this host", what);
        return false;
    }
    if (vector != (how == FAKE_FAULT ? p->f->cpu.fault.vector : -1)) {
        g_test_message("%s: host vector %d, ours %d (rax %" PRIx64
                       " rcx %" PRIx64 " rdx %" PRIx64 ")",
                       what, vector, p->f->cpu.fault.vector, in.gpr[0],
                       in.gpr[1], in.gpr[2]);
        g_assert_cmpint(vector, ==, p->f->cpu.fault.vector);
    }
    pair_compare(p, &insn, &in, &r, what);
    return true;
}

static void pair_run(Pair *p, const uint8_t *bytes, unsigned len,
                     void (*prepare)(HostRegs *r))
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (!pair_once(p, bytes, len, prepare)) {
            return;
        }
    }
}

/* "01 d1" with no prefix, 66, REX.W, and both of the last. */
static void pair_sizes(Pair *p, const uint8_t *bytes, unsigned len,
                       void (*prepare)(HostRegs *r))
{
    static const uint8_t prefix[][3] = {
        { 0 },
        { 1, 0x66 },
        { 1, 0x48 },
        { 2, 0x66, 0x48 },
    };
    uint8_t b[16];

    for (unsigned i = 0; i < G_N_ELEMENTS(prefix); i++) {
        memcpy(b, prefix[i] + 1, prefix[i][0]);
        memcpy(b + prefix[i][0], bytes, len);
        pair_run(p, b, prefix[i][0] + len, prepare);
    }
}

/* Text of hex bytes; "F3|0f bd d1": a mandatory prefix goes before REX. */
static void pair_text(Pair *p, const char *text, bool sizes,
                      void (*prepare)(HostRegs *r))
{
    uint8_t b[16], pfx = 0;
    unsigned len = 0, n;
    int used;

    if (text[2] == '|') {
        sscanf(text, "%x", &n);
        pfx = n;
        text += 3;
    }
    while (sscanf(text, " %x%n", &n, &used) == 1) {
        b[len++] = n;
        text += used;
    }
    if (!pfx) {
        (sizes ? pair_sizes : pair_run)(p, b, len, prepare);
        return;
    }
    for (unsigned w = 0; w < (sizes ? 3 : 1); w++) {
        static const uint8_t extra[] = { 0, 0x48, 0x66 };
        uint8_t e[16] = { pfx, extra[w] };

        if (extra[w] == 0x66) {
            e[0] = 0x66;
            e[1] = pfx;
        }
        memcpy(e + (w ? 2 : 1), b, len);
        pair_run(p, e, len + (w ? 2 : 1), prepare);
    }
}

/* ---- the encodings ------------------------------------------------------------ */

static void test_alu(void)
{
    Pair p = pair_new();

    for (unsigned op = 0; op < 0x40; op += 8) {
        uint8_t lock[] = { 0xf0, op, 0x13 };
        uint8_t b[6] = { op, 0xd1, 0x80, 0x12, 0x34, 0x96 };

        pair_run(&p, b, 2, NULL); /* cl, dl */
        b[1] = 0xe5;              /* ch, ah */
        pair_run(&p, b, 2, NULL);
        b[1] = 0x33; /* [rbx], dh */
        pair_run(&p, b, 2, NULL);
        b[0] = op + 1;
        pair_sizes(&p, b, 2, NULL);
        b[1] = 0xd1;
        pair_sizes(&p, b, 2, NULL);
        b[0] = op + 2;
        pair_run(&p, b, 2, NULL);
        b[0] = op + 3;
        pair_sizes(&p, b, 2, NULL);
        b[0] = op + 4;
        pair_run(&p, b, 2, NULL);
        b[0] = op + 5;
        pair_sizes(&p, b, 6, NULL);
        b[0] = 0x80;
        b[1] = 0xc1 + op;
        pair_run(&p, b, 3, NULL);
        b[0] = 0x81;
        pair_sizes(&p, b, 6, NULL);
        b[0] = 0x83;
        pair_sizes(&p, b, 3, NULL);
        if (op != 0x38) {
            pair_run(&p, lock, 3, NULL);
            lock[1]++;
            pair_run(&p, lock, 3, NULL);
        }
    }
    pair_free(&p);
}

static void test_unary(void)
{
    static const char *const v[] = {
        "f7 d1",
        "f7 d9",
        "ff c1",
        "ff c9",
        "f7 13",
        "f7 1b",
        "ff 03",
        "ff 0b",
        "85 d1",
        "85 13",
        "a9 12 34 96 81",
        "f7 c1 12 34 96 81",
        "91",
        "87 d1",
        "87 13",
        "87 c9",
        "0f c1 d1",
        "0f c1 c9",
        "0f c1 13",
        "98",
        "99",
        "0f c9",
        "0f b6 d1",
        "0f b7 d1",
        "0f be d1",
        "0f bf d1",
        "0f b6 13",
        "0f bf 13",
        "63 d1",
        "63 13",
        "89 d1",
        "8b 13",
        "b9 12 34 96 81 55 66 77 88",
        "c7 c1 12 34 96 81",
        "c7 03 12 34 96 81",
        "0f 1f 03",
        "8d 54 4b 80",
        "8d 14 8d 12 34 56 81",

        "67 8d 54 8a 80",
        "0f c3 13",
        "0f 38 f0 13",
        "0f 38 f1 13",
    };
    static const char *const b[] = {
        "f6 d1",       "f6 d9",       "fe c1",
        "fe cd",       "fe 03",       "f6 1b",
        "84 d1",       "84 e5",       "a8 81",
        "f6 c1 81",    "86 d1",       "86 e5",
        "86 13",       "0f c0 d1",    "0f c0 e4",
        "0f c0 c4",    "0f c0 13",    "88 e5",
        "8a 33",       "b5 81",       "c6 03 77",
        "9f",          "9e",          "f5",
        "f8",          "f9",          "f0 f7 13",
        "f0 f7 1b",    "f0 ff 03",    "f0 fe 0b",
        "f0 0f c1 13", "f0 0f c0 13", "f0 48 0f c1 13",
        "f0 66 ff 03", "f0 48 ff 0b", "0f ae f0",
        "0f ae e8",    "0f ae f8",    "0f ae 3b",
    };
    Pair p = pair_new();

    for (unsigned i = 0; i < G_N_ELEMENTS(v); i++) {
        pair_text(&p, v[i], true, NULL);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(b); i++) {
        pair_text(&p, b[i], false, NULL);
    }
    pair_free(&p);
}

static void test_conditions(void)
{
    Pair p = pair_new();

    for (unsigned cc = 0; cc < 16; cc++) {
        uint8_t b[3] = { 0x0f, 0x40 + cc, 0xd1 };

        pair_sizes(&p, b, 3, NULL);
        b[1] = 0x90 + cc;
        pair_run(&p, b, 3, NULL);
        b[2] = 0xc5;
        pair_run(&p, b, 3, NULL);
        b[2] = 0x03;
        pair_run(&p, b, 3, NULL);
    }
    pair_free(&p);
}

static void shift_count(HostRegs *r)
{
    r->gpr[R_RCX] =
        (r->gpr[R_RCX] & ~UINT64_C(0xff)) | g_test_rand_int_range(0, 70);
}

static void test_shifts(void)
{
    static const uint8_t counts[] = { 0,  1,  2,  7,  8,  9,  15, 16, 17,
                                      18, 31, 32, 33, 40, 63, 64, 65 };
    Pair p = pair_new();

    for (unsigned n = 0; n < 8; n++) {
        uint8_t b[3] = { 0xd2, 0xc2 | n << 3, 0 };

        pair_run(&p, b, 2, shift_count); /* dl, cl */
        b[1] = 0xc6 | n << 3;            /* dh, cl */
        pair_run(&p, b, 2, shift_count);
        b[1] = 0x03 | n << 3; /* [rbx], cl */
        pair_run(&p, b, 2, shift_count);
        b[0] = 0xd3;
        pair_sizes(&p, b, 2, shift_count);
        b[1] = 0xc2 | n << 3;
        pair_sizes(&p, b, 2, shift_count);
        b[0] = 0xd0;
        pair_run(&p, b, 2, NULL);
        b[0] = 0xd1;
        pair_sizes(&p, b, 2, NULL);
        for (unsigned i = 0; i < G_N_ELEMENTS(counts); i++) {
            b[2] = counts[i];
            b[0] = 0xc0;
            pair_run(&p, b, 3, NULL);
            b[0] = 0xc1;
            pair_sizes(&p, b, 3, NULL);
        }
    }
    for (unsigned op = 0xa4; op <= 0xac; op += 8) {
        uint8_t b[4] = { 0x0f, op, 0xd6, 0 };

        for (unsigned i = 0; i < G_N_ELEMENTS(counts); i++) {
            b[3] = counts[i];
            pair_sizes(&p, b, 4, NULL);
        }
        b[1] = op + 1;
        pair_sizes(&p, b, 3, shift_count);
        b[2] = 0x13;
        pair_sizes(&p, b, 3, shift_count);
    }
    pair_free(&p);
}

/* Half of the time a dividend that a division by most things survives. */
static void small_dividend(HostRegs *r)
{
    switch (g_test_rand_int_range(0, 4)) {
    case 0:
        r->gpr[R_RDX] = 0;
        break;
    case 1:
        r->gpr[R_RDX] = (int64_t)r->gpr[R_RAX] >> 63;
        break;
    case 2:
        r->gpr[R_RDX] = (int32_t)r->gpr[R_RAX] >> 31;
        r->gpr[R_RAX] = (int16_t)(int8_t)r->gpr[R_RAX];
        break;
    }
}

static void test_muldiv(void)
{
    Pair p = pair_new();

    for (unsigned n = 4; n < 8; n++) {
        uint8_t b[2] = { 0xf6, 0xc1 | n << 3 };

        for (unsigned i = 0; i < 10; i++) {
            b[0] = 0xf6;
            b[1] = 0xc1 | n << 3; /* cl */
            pair_run(&p, b, 2, small_dividend);
            b[1] = 0xc4 | n << 3; /* ah */
            pair_run(&p, b, 2, small_dividend);
            b[0] = 0xf7;
            b[1] = 0xc1 | n << 3;
            pair_sizes(&p, b, 2, small_dividend);
            b[1] = 0x03 | n << 3;
            pair_sizes(&p, b, 2, small_dividend);
        }
    }
    pair_text(&p, "0f af d1", true, NULL);
    pair_text(&p, "0f af 13", true, NULL);
    pair_text(&p, "69 d1 12 34 96 81", true, NULL);
    pair_text(&p, "6b d1 81", true, NULL);
    pair_text(&p, "6b d1 7f", true, NULL);
    pair_text(&p, "c4 e2 7b f6 d1", false, NULL); /* mulx edx, eax, ecx */
    pair_text(&p, "c4 e2 fb f6 d1", false, NULL);
    pair_text(&p, "c4 e2 b3 f6 c9", false, NULL); /* hi and lo differ */
    pair_text(&p, "c4 e2 f3 f6 ca", false, NULL); /* hi is lo: rcx */
    pair_free(&p);
}

static void near_bit(HostRegs *r)
{
    r->gpr[R_RDX] = g_test_rand_int_range(-8000, 8000);
}

static void test_bits(void)
{
    static const char *const v[] = {
        "0f a3 d1",       "0f ab d1",       "0f b3 d1",       "0f bb d1",
        "0f ba e1 05",    "0f ba e9 25",    "0f ba f1 3f",    "0f ba f9 ff",
        "0f ba 23 21",    "0f ba 2b 21",    "0f ba 33 21",    "0f ba 3b 21",
        "0f bc d1",       "0f bd d1",       "f3|0f bc d1",    "f3|0f bd d1",
        "f3|0f b8 d1",    "f3|0f bc 13",    "0f bc 13",       "f2|0f 38 f1 d1",
        "f2|0f 38 f0 d1", "f2|0f 38 f0 f5", "f2|0f 38 f1 13", "f3|0f 38 f6 d1",
    };
    static const char *const mem[] = { "0f a3 13", "0f ab 13", "0f b3 13",
                                       "0f bb 13" };
    static const char *const lock[] = { "f0 0f ab 13", "f0 48 0f b3 13",
                                        "f0 66 0f bb 13", "f0 0f ba 2b 04" };
    /* W0; W1 is made of it: VEX's third byte has bit 7 */
    static const char *const vex[] = {
        "c4 e2 70 f2 d6",    "c4 e2 70 f3 ce",    "c4 e2 70 f3 d6",
        "c4 e2 70 f3 de",    "c4 e2 70 f5 d6",    "c4 e2 72 f5 d6",
        "c4 e2 73 f5 d6",    "c4 e2 70 f7 d6",    "c4 e2 71 f7 d6",
        "c4 e2 72 f7 d6",    "c4 e2 73 f7 d6",    "c4 e3 7b f0 d6 05",
        "c4 e3 7b f0 d6 25", "c4 e3 7b f0 d6 00", "c4 e2 70 f2 13",
        "c4 e2 70 f7 13",
    };
    Pair p = pair_new();

    for (unsigned i = 0; i < G_N_ELEMENTS(v); i++) {
        pair_text(&p, v[i], true, NULL);
    }
    pair_text(&p, "66 0f 38 f6 d1", false, NULL);
    pair_text(&p, "66 48 0f 38 f6 d1", false, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(mem); i++) {
        pair_text(&p, mem[i], true, near_bit);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(lock); i++) {
        pair_text(&p, lock[i], false, near_bit);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(vex); i++) {
        g_autofree char *w1 = g_strdup(vex[i]);

        pair_text(&p, vex[i], false, NULL);
        w1[6] = 'f';
        pair_text(&p, w1, false, NULL);
    }
    pair_free(&p);
}

static void test_cmpxchg(void)
{
    static const char *const v[] = {
        "0f b1 d1", "0f b1 c1", "0f b1 c8", "0f b1 c0", "0f b1 13", "0f b1 03",
    };
    static const char *const b[] = {
        "0f b0 d1",       "0f b0 c4",    "0f b0 e5",    "0f b0 c0",
        "0f b0 13",       "f0 0f b0 13", "f0 0f b1 13", "f0 48 0f b1 13",
        "f0 66 0f b1 13", "0f c7 0b",    "f0 0f c7 0b", "48 0f c7 0b",
        "f0 48 0f c7 0b",
    };
    Pair p = pair_new();

    for (unsigned k = 0; k < 5; k++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(v); i++) {
            pair_text(&p, v[i], true, NULL);
        }
        for (unsigned i = 0; i < G_N_ELEMENTS(b); i++) {
            pair_text(&p, b[i], false, NULL);
        }
    }
    pair_free(&p);
}

/* ENTER and LEAVE with a 16-bit operand in 64-bit code, and POP to memory:
 * through rSP, so not by host_run(). See test-stack.c. */

/* ---- lazy flags --------------------------------------------------------------- */

#define HOST_OP(op, suffix, mod) \
    asm("bt $0, %[cf]\n\t" op suffix " %" mod "[b], %" mod \
        "[a]\n\tpushf\n\tpop %[fl]" \
        : [a] "+r"(a), [fl] "=&r"(fl) \
        : [b] "r"(b), [cf] "r"(cf) \
        : "cc")
#define HOST_OPS(op) \
    do { \
        switch (size) { \
        case 0: \
            HOST_OP(op, "b", "b"); \
            break; \
        case 1: \
            HOST_OP(op, "w", "w"); \
            break; \
        case 2: \
            HOST_OP(op, "l", "k"); \
            break; \
        default: \
            HOST_OP(op, "q", "q"); \
        } \
    } while (0)

static bool cond_of(uint64_t fl, unsigned cc)
{
    bool c = fl & FL_CF, z = fl & FL_ZF, s = fl & FL_SF, o = fl & FL_OF;
    bool p = fl & FL_PF;
    bool yes[] = { o, c, z, c || z, s, p, s != o, z || s != o };

    return yes[cc >> 1] ^ (cc & 1);
}

static void check_lazy(uint32_t kind, unsigned size, uint64_t res, uint64_t src,
                       uint64_t fl)
{
    X86Cpu c = { 0 };

    flags_lazy(&c, kind, size, res, src);
    g_assert_cmphex(flags_arith(&c), ==, fl & FL_ARITH);
    g_assert_cmpint(flags_carry(&c), ==, (fl & FL_CF) != 0);
    for (unsigned cc = 0; cc < 16; cc++) {
        g_assert_cmpint(flags_cond(&c, cc), ==, cond_of(fl, cc));
    }
    g_assert_cmphex(flags_get(&c), ==, fl & FL_ARITH);
    for (unsigned cc = 0; cc < 16; cc++) {
        g_assert_cmpint(flags_cond(&c, cc), ==, cond_of(fl, cc));
    }
}

/* Shifts with a count: AF is undefined, OF too but for 1. */
static void check_lazy_shift(uint64_t x, unsigned size, unsigned n)
{
    static const uint8_t op[] = { 0xe1, 0xe9, 0xf9 };
    static const uint32_t kind[] = { FLAGS_SHL, FLAGS_SHR, FLAGS_SAR };
    static const uint8_t prefix[] = { 0x40, 0x66, 0x40, 0x48 };
    unsigned bits = 8u << size;
    uint64_t v = x << (64 - bits) >> (64 - bits);
    int64_t s = (int64_t)(x << (64 - bits)) >> (64 - bits);

    for (unsigned i = 0; i < 3; i++) {
        uint8_t code[4] = { prefix[size], size ? 0xc1 : 0xc0, op[i], n };
        uint64_t src = i == 0   ? v << (n - 1)
                       : i == 1 ? v >> (n - 1)
                                : (uint64_t)s >> (n - 1);
        uint64_t res = i == 0 ? v << n : i == 1 ? v >> n : (uint64_t)(s >> n);
        uint32_t mask = FL_ARITH & ~FL_AF & ~(n > 1 ? FL_OF : 0);
        HostRegs r = { .gpr[R_RCX] = x };
        X86Cpu c = { 0 };

        g_assert_cmpint(host_run(code, 4, &r), ==, -1);
        flags_lazy(&c, kind[i], size, res, src);
        g_assert_cmphex(flags_arith(&c) & mask, ==, r.flags & mask);
        g_assert_cmpint(flags_carry(&c), ==, r.flags & FL_CF);
        for (unsigned cc = 0; cc < 16; cc++) {
            g_assert_cmpint(flags_cond(&c, cc), ==,
                            cond_of(flags_arith(&c), cc));
        }
    }
}

static void test_lazy_shift(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(g_test_rand_int());

    for (unsigned i = 0; i < 2000; i++) {
        unsigned size = g_rand_int(rand) & 3;
        unsigned most = MIN(8u << size, size == 3 ? 63 : 31);

        check_lazy_shift(some_value(rand), size,
                         g_rand_int_range(rand, 1, most));
    }
}

static void test_lazy(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(g_test_rand_int());

    for (unsigned i = 0; i < 20000; i++) {
        uint64_t x = some_value(rand), b = some_value(rand), a, fl;
        uint64_t cf = g_rand_int(rand) & 1;
        unsigned size = g_rand_int(rand) & 3;

        a = x;
        HOST_OPS("adc");
        check_lazy(cf ? FLAGS_ADC : FLAGS_ADD, size, a, b, fl);
        a = x;
        HOST_OPS("sbb");
        check_lazy(cf ? FLAGS_SBB : FLAGS_SUB, size, a, b, fl);
        a = x;
        HOST_OPS("and");
        check_lazy(FLAGS_LOGIC, size, a, b, fl);
        a = x;
        b = 1;
        HOST_OPS("add");
        fl = (fl & ~(uint64_t)FL_CF) | cf;
        check_lazy(FLAGS_INC, size, a, cf, fl);
        a = x;
        HOST_OPS("sub");
        fl = (fl & ~(uint64_t)FL_CF) | cf;
        check_lazy(FLAGS_DEC, size, a, cf, fl);
    }
}

/* ---- decimal -------------------------------------------------------------------- */

/* All of AX, AF and CF: AX alone decides for most. */
static void test_bcd(void)
{
    static const uint8_t code[][2] = {
        { 0x27 },     { 0x2f },    { 0x37 },       { 0x3f }, { 0xd4, 10 },
        { 0xd5, 10 }, { 0xd4, 7 }, { 0xd5, 0x81 }, { 0xd6 },
    };
    FakeCpu *f = fake_new(FAKE_PROT32, 0x1000, 4096);
    HostRegs probe = { .flags = 0 };

    if (host_run32("\x90", 1, &probe) != -1) {
        g_test_skip("no 32-bit code on this host");
        fake_free(f);
        return;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(code); i++) {
        unsigned len = code[i][0] >= 0xd4 && code[i][0] <= 0xd5 ? 2 : 1;

        for (unsigned v = 0; v < 0x10000 * 4; v += g_test_thorough() ? 1 : 7) {
            uint32_t fl = (v >> 16 & 1 ? FL_AF : 0) | (v >> 17 ? FL_CF : 0) |
                          (v & 1 ? FL_OF | FL_ZF : FL_SF | FL_PF);
            HostRegs r = { .gpr[0] = 0xa5a50000 | (v & 0xffff), .flags = fl };

            f->cpu.s.gpr[R_RAX] = r.gpr[0];
            f->cpu.s.rflags = fl | 2;
            f->cpu.lazy.op = FLAGS_EXACT;
            g_assert_cmpint(fake_bytes(f, code[i], len, NULL), ==, FAKE_DONE);
            g_assert_cmpint(host_run32(code[i], len, &r), ==, -1);
            if (r.gpr[0] != f->cpu.s.gpr[R_RAX] ||
                ((r.flags ^ flags_get(&f->cpu)) & FL_ARITH)) {
                g_test_message("%02x %02x: ax %04x flags %x", code[i][0],
                               code[i][1], v & 0xffff, fl);
                g_assert_cmphex(f->cpu.s.gpr[R_RAX], ==, r.gpr[0]);
                g_assert_cmphex(flags_get(&f->cpu) & FL_ARITH, ==,
                                r.flags & FL_ARITH);
            }
        }
    }
    g_assert_cmpint(fake_bytes(f, "\xd4\x00", 2, NULL), ==, FAKE_FAULT);
    g_assert_cmpint(f->cpu.fault.vector, ==, EXC_DE);
    fake_free(f);
}

/* ---- LOCK --------------------------------------------------------------------------- */

/* Split locks stop the whole host: few of them. */
enum { LOCK_TIMES = 100000, SPLIT_TIMES = 300 };

typedef struct LockWork {
    FakeCpu *f;
    const char *code;
    unsigned times;
} LockWork;

static void *lock_thread(void *opaque)
{
    LockWork *w = opaque;

    for (unsigned i = 0; i < w->times; i++) {
        w->f->cpu.s.gpr[R_RCX] = 1;
        fake_bytes(w->f, w->code, 4, NULL);
    }
    return NULL;
}

/* Two CPUs on one memory, also where the operand straddles a cache line. */
static void test_lock_atomic(void)
{
    static const char code[][4] = { "\xf0\xff\x03", "\xf0\x01\x0b",
                                    "\xf0\x0f\xc1\x0b" };

    for (unsigned i = 0; i < 2 * G_N_ELEMENTS(code); i++) {
        FakeCpu *f[2];
        GThread *t[2];
        LockWork w[2];
        unsigned times = i & 1 ? SPLIT_TIMES : LOCK_TIMES;
        uint8_t *mine;
        uint32_t sum;

        for (unsigned k = 0; k < 2; k++) {
            f[k] = fake_new(FAKE_LONG64, 0x1000, 4096);
            f[k]->cpu.s.gpr[R_RBX] = 0x1000 + (i & 1 ? 62 : 64);
        }
        mine = f[1]->ram;
        f[1]->ram = f[0]->ram;
        for (unsigned k = 0; k < 2; k++) {
            w[k] = (LockWork) { f[k], code[i / 2], times };
            t[k] = g_thread_new("cpu", lock_thread, &w[k]);
        }
        g_thread_join(t[0]);
        g_thread_join(t[1]);
        memcpy(&sum, fake_ptr(f[0], f[0]->cpu.s.gpr[R_RBX]), 4);
        g_assert_cmpuint(sum, ==, 2 * times);
        f[1]->ram = mine;
        fake_free(f[0]);
        fake_free(f[1]);
    }
}

/* Split over pages, or not RAM: the others are stopped. */
static void test_lock_exclusive(void)
{
    static const struct {
        const char *code;
        unsigned len;
    } insn[] = {
        { "\xf0\xff\x03", 3 },
        { "\xf0\x48\x0f\xb1\x0b", 5 },
        { "\x48\x87\x0b", 3 },
        { "\xf0\x0f\xc7\x0b", 4 },
        { "\xf0\x48\x0f\xba\x2b\x05", 6 },
    };
    FakeCpu *f = fake_new(FAKE_LONG64, 0x1000, 3 * 4096);
    uint8_t before[16];

    for (unsigned i = 0; i < G_N_ELEMENTS(insn); i++) {
        f->cpu.s.gpr[R_RBX] = 0x1ffd;
        f->n_exclusive = 0;
        g_assert_cmpint(fake_bytes(f, insn[i].code, insn[i].len, NULL), ==,
                        FAKE_DONE);
        g_assert_cmpuint(f->n_exclusive, ==, 1);
        g_assert_false(f->exclusive);

        fake_set_page(f, 0x2000, FAKE_RO);
        memcpy(before, fake_ptr(f, 0x1ff8), 16);
        g_assert_cmpint(fake_bytes(f, insn[i].code, insn[i].len, NULL), ==,
                        FAKE_FAULT);
        g_assert_cmpint(f->cpu.fault.vector, ==, EXC_PF);
        g_assert_cmphex(f->cpu.fault.cr2, ==, 0x2000);
        g_assert_false(f->exclusive);
        g_assert_cmpmem(before, 16, fake_ptr(f, 0x1ff8), 16);
        fake_set_page(f, 0x2000, FAKE_RW);

        fake_set_page(f, 0x3000, FAKE_MMIO);
        f->cpu.s.gpr[R_RBX] = 0x3010;
        f->n_exclusive = 0;
        g_assert_cmpint(fake_bytes(f, insn[i].code, insn[i].len, NULL), ==,
                        FAKE_DONE);
        g_assert_cmpuint(f->n_exclusive, ==, 1);
    }
    /* CMPXCHG16B has to be aligned. */
    f->cpu.s.gpr[R_RBX] = 0x1008;
    g_assert_cmpint(fake_bytes(f, "\x48\x0f\xc7\x0b", 4, NULL), ==, FAKE_FAULT);
    g_assert_cmpint(f->cpu.fault.vector, ==, EXC_GP);
    fake_free(f);
}

static void test_random(void)
{
    FakeCpu *f = fake_new(FAKE_LONG64, 0x1000, 4096);
    uint64_t all = 0;

    for (unsigned i = 0; i < 16; i++) {
        f->cpu.s.rflags = FL_ARITH | 2;
        g_assert_cmpint(
            fake_bytes(f, i & 1 ? "\x48\x0f\xc7\xf9" : "\x48\x0f\xc7\xf1", 4,
                       NULL),
            ==, FAKE_DONE);
        g_assert_cmphex(flags_get(&f->cpu) & FL_ARITH, ==, FL_CF);
        all |= f->cpu.s.gpr[R_RCX];
    }
    g_assert_cmpint(__builtin_popcountll(all), >, 48);
    fake_free(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/int/lazy-flags", test_lazy);
    g_test_add_func("/int/lazy-shifts", test_lazy_shift);
    g_test_add_func("/int/alu", test_alu);
    g_test_add_func("/int/unary", test_unary);
    g_test_add_func("/int/conditions", test_conditions);
    g_test_add_func("/int/shifts", test_shifts);
    g_test_add_func("/int/muldiv", test_muldiv);
    g_test_add_func("/int/bits", test_bits);
    g_test_add_func("/int/cmpxchg", test_cmpxchg);
    g_test_add_func("/int/bcd", test_bcd);
    g_test_add_func("/int/lock/atomic", test_lock_atomic);
    g_test_add_func("/int/lock/exclusive", test_lock_exclusive);
    g_test_add_func("/int/random", test_random);
    return g_test_run();
}
