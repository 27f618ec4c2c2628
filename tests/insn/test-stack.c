/*
 * Stack, near branches, the interrupt flag, ports: what depends on the mode and
 * so cannot be compared with the host.
 */
#include "util/osdep.h"
#include "target-x86/flags.h"
#include "tests/lib/fake-access.h"

enum { WINDOW = 0x20000 };

#define RUN(f, code) fake_bytes(f, code, sizeof(code) - 1, NULL)

static void put(FakeCpu *f, uint64_t lin, uint64_t v, unsigned size)
{
    memcpy(fake_ptr(f, lin), &v, size);
}

static uint64_t get(FakeCpu *f, uint64_t lin, unsigned size)
{
    uint64_t v = 0;

    memcpy(&v, fake_ptr(f, lin), size);
    return v;
}

/* Macros, so that a failure names the line. */
#define expect_done(how) g_assert_cmpint(how, ==, FAKE_DONE)
#define expect_fault(f, how, v) \
    do { \
        g_assert_cmpint(how, ==, FAKE_FAULT); \
        g_assert_cmpint((f)->cpu.fault.vector, ==, v); \
    } while (0)

/* ---- push, pop ------------------------------------------------------------------- */

static void test_push_pop64(void)
{
    FakeCpu *f = fake_new(FAKE_LONG64, 0, WINDOW);
    uint64_t *g = f->cpu.s.gpr;

    g[R_RSP] = 0x1000;
    expect_done(RUN(f, "\x54")); /* push rsp: the old value */
    g_assert_cmphex(g[R_RSP], ==, 0xff8);
    g_assert_cmphex(get(f, 0xff8, 8), ==, 0x1000);
    expect_done(RUN(f, "\x5c")); /* pop rsp: the value, no increment */
    g_assert_cmphex(g[R_RSP], ==, 0x1000);

    put(f, 0x1000, 0x1122334455667788, 8);
    expect_done(RUN(f, "\x8f\x04\x24")); /* pop [rsp]: after the increment */
    g_assert_cmphex(g[R_RSP], ==, 0x1008);
    g_assert_cmphex(get(f, 0x1008, 8), ==, 0x1122334455667788);
    expect_done(RUN(f, "\xff\x34\x24")); /* push [rsp]: before */
    g_assert_cmphex(g[R_RSP], ==, 0x1000);
    g_assert_cmphex(get(f, 0x1000, 8), ==, 0x1122334455667788);

    expect_done(RUN(f, "\x6a\x80"));
    g_assert_cmphex(get(f, 0xff8, 8), ==, 0xffffffffffffff80);
    expect_done(RUN(f, "\x66\x6a\x80"));
    g_assert_cmphex(g[R_RSP], ==, 0xff6);
    g_assert_cmphex(get(f, 0xff6, 2), ==, 0xff80);
    expect_done(RUN(f, "\x68\x01\x00\x00\x80"));
    g_assert_cmphex(get(f, 0xfee, 8), ==, 0xffffffff80000001);

    g[R_RAX] = UINT64_MAX;
    expect_done(RUN(f, "\x66\x58")); /* pop ax */
    g_assert_cmphex(g[R_RAX], ==, 0xffffffffffff0001);

    f->cpu.s.seg[S_FS].sel = 0x1234;
    expect_done(RUN(f, "\x0f\xa0"));
    g_assert_cmphex(get(f, g[R_RSP], 8), ==, 0x1234);
    fake_free(f);
}

/* A fault leaves rSP and all else as it was. */
static void test_push_pop_faults(void)
{
    FakeCpu *f = fake_new(FAKE_LONG64, 0, WINDOW);
    uint64_t *g = f->cpu.s.gpr;

    fake_set_page(f, 0x1000, FAKE_RO);
    fake_set_page(f, 0x3000, FAKE_ABSENT);
    g[R_RSP] = 0x2000;
    expect_fault(f, RUN(f, "\x50"), EXC_PF);
    g_assert_cmphex(g[R_RSP], ==, 0x2000);
    g_assert_cmphex(f->cpu.fault.error, ==, 3);

    g[R_RSP] = 0x2ff8;
    g[R_RAX] = 0x3000;
    expect_fault(f, RUN(f, "\x8f\x00"), EXC_PF); /* pop [rax] */
    g_assert_cmphex(g[R_RSP], ==, 0x2ff8);
    expect_fault(f, RUN(f, "\x8f\x04\x24"), EXC_PF); /* pop [rsp], after */
    g_assert_cmphex(g[R_RSP], ==, 0x2ff8);
    expect_fault(f, RUN(f, "\xff\x30"), EXC_PF); /* push [rax] */
    g_assert_cmphex(g[R_RSP], ==, 0x2ff8);

    g[R_RSP] = UINT64_C(0x800000000004); /* not canonical: #SS(0) */
    expect_fault(f, RUN(f, "\x50"), EXC_SS);
    g_assert_cmphex(f->cpu.fault.error, ==, 0);
    fake_free(f);
}

static void test_push_wrap(void)
{
    FakeCpu *f = fake_new(FAKE_REAL, 0, WINDOW);
    uint64_t *g = f->cpu.s.gpr;

    f->cpu.s.seg[S_SS].base = 0x1000;
    g[R_RSP] = 0xabcd0000;
    g[R_RAX] = 0x12345678;
    expect_done(RUN(f, "\x50"));
    g_assert_cmphex(g[R_RSP], ==, 0xabcdfffe);
    g_assert_cmphex(get(f, 0x10ffe, 2), ==, 0x5678);
    expect_fault(f, RUN(f, "\x66\x5b"), EXC_SS); /* pop ebx: over the limit */
    g_assert_cmphex(g[R_RSP], ==, 0xabcdfffe);
    expect_done(RUN(f, "\x5b"));
    g_assert_cmphex(g[R_RSP], ==, 0xabcd0000);
    g_assert_cmphex(g[R_RBX], ==, 0x5678);
    fake_free(f);
}

static void test_pusha(void)
{
    FakeCpu *f = fake_new(FAKE_PROT32, 0, WINDOW);
    uint64_t *g = f->cpu.s.gpr, before[16];

    for (unsigned i = 0; i < 8; i++) {
        g[i] = 0x11110000 + i;
    }
    g[R_RSP] = 0x3010;
    memcpy(before, g, sizeof(before));
    expect_done(RUN(f, "\x60"));
    g_assert_cmphex(g[R_RSP], ==, 0x2ff0);
    for (unsigned i = 0; i < 8; i++) {
        g_assert_cmphex(get(f, 0x3010 - 4 * (i + 1), 4), ==, before[i]);
    }
    memset(g, 0xff, 8 * sizeof(*g));
    g[R_RSP] = 0x2ff0;
    expect_done(RUN(f, "\x61"));
    g_assert_cmpmem(g, 8 * sizeof(*g), before, 8 * sizeof(*g));

    fake_set_page(f, 0x2000, FAKE_RO);
    put(f, 0x300c, 0x55, 4);
    expect_fault(f, RUN(f, "\x60"), EXC_PF);
    g_assert_cmphex(g[R_RSP], ==, 0x3010);
    g_assert_cmphex(get(f, 0x300c, 4), ==, 0x55);
    fake_set_page(f, 0x3000, FAKE_ABSENT);
    g[R_RSP] = 0x2ff0;
    g[R_RDI] = 0x77;
    expect_fault(f, RUN(f, "\x61"), EXC_PF);
    g_assert_cmphex(g[R_RDI], ==, 0x77);
    g_assert_cmphex(g[R_RSP], ==, 0x2ff0);
    fake_free(f);
}

/* The manual's loop, push by push. */
static void enter_model(FakeCpu *f, unsigned osz, unsigned size, unsigned level,
                        uint64_t *sp, uint64_t *bp)
{
    uint64_t frame, b = *bp;

    *sp -= osz;
    put(f, *sp, *bp, osz);
    frame = *sp;
    for (unsigned i = 1; i < level; i++) {
        b -= osz;
        *sp -= osz;
        put(f, *sp, get(f, b, osz), osz);
    }
    if (level) {
        *sp -= osz;
        put(f, *sp, frame, osz);
    }
    *bp = osz == 2 ? (*bp & ~UINT64_C(0xffff)) | (uint16_t)frame : frame;
    *sp -= size;
}

static void test_enter(void)
{
    static const int offsets[] = { 0x400, 0, 4, 8, -20, 100 };
    FakeCpu *f = fake_new(FAKE_PROT32, 0, WINDOW);
    uint64_t *g = f->cpu.s.gpr;

    for (unsigned i = 0; i < 6 * 8 * 3; i++) {
        unsigned level = (const uint8_t[]) { 0, 1, 2, 3, 5, 31, 32, 63 }[i % 8];
        unsigned osz = (const uint8_t[]) { 2, 4, 8 }[i / 8 % 3];
        uint64_t sp = 0x3000, bp = 0x3000 + offsets[i / 24];
        uint8_t code[5] = { 0x66, 0xc8, 0x20, 0x01, level };
        g_autofree uint8_t *want = NULL;

        fake_mode(f, osz == 8 ? FAKE_LONG64 : FAKE_PROT32);
        for (unsigned k = 0; k < 0x2000; k++) {
            f->ram[0x2000 + k] = g_test_rand_int();
        }
        want = g_memdup2(f->ram, WINDOW);
        enter_model(f, osz, 0x120, level % 32, &sp, &bp);
        for (unsigned k = 0; k < WINDOW; k++) { /* the model's, and back */
            uint8_t t = want[k];

            want[k] = f->ram[k];
            f->ram[k] = t;
        }
        g[R_RSP] = 0x3000;
        g[R_RBP] = 0x3000 + offsets[i / 24];
        expect_done(fake_bytes(f, code + (osz > 2), 5 - (osz > 2), NULL));
        g_assert_cmphex(g[R_RSP], ==, sp);
        g_assert_cmphex(g[R_RBP], ==, bp);
        g_assert_cmpmem(f->ram, WINDOW, want, WINDOW);
    }

    /* The end of the frame must be writable, though nothing is written. */
    fake_mode(f, FAKE_LONG64);
    fake_set_page(f, 0x2000, FAKE_RO);
    g[R_RSP] = 0x3100;
    g[R_RBP] = 0x5555;
    expect_fault(f, RUN(f, "\xc8\x00\x02\x00"), EXC_PF);
    g_assert_cmphex(g[R_RSP], ==, 0x3100);
    g_assert_cmphex(g[R_RBP], ==, 0x5555);

    g[R_RBP] = 0x4000;
    put(f, 0x4000, 0x123456789a, 8);
    expect_done(RUN(f, "\xc9"));
    g_assert_cmphex(g[R_RSP], ==, 0x4008);
    g_assert_cmphex(g[R_RBP], ==, 0x123456789a);
    fake_free(f);
}

/* ---- flags ------------------------------------------------------------------------- */

#define ALL_FLAGS \
    (FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_AC | FL_ID)
#define NO_PRIV (ALL_FLAGS & ~(FL_IF | FL_IOPL))
#define LOW16   0xffffu

static void test_popf(void)
{
    static const struct {
        FakeMode mode;
        uint8_t cpl, iopl, osz;
        uint32_t mask; /* what it may change */
    } t[] = {
        { FAKE_LONG64, 0, 0, 8, ALL_FLAGS },
        { FAKE_LONG64, 0, 0, 2, ALL_FLAGS & LOW16 },
        { FAKE_LONG64, 3, 0, 8, NO_PRIV },
        { FAKE_LONG64, 3, 3, 8, ALL_FLAGS & ~FL_IOPL },
        { FAKE_LONG64, 1, 0, 8, NO_PRIV },
        { FAKE_LONG64, 1, 1, 8, ALL_FLAGS & ~FL_IOPL },
        { FAKE_PROT32, 0, 0, 4, ALL_FLAGS },
        { FAKE_PROT32, 3, 2, 2, NO_PRIV & LOW16 },
        { FAKE_REAL, 0, 0, 2, ALL_FLAGS & LOW16 },
        { FAKE_REAL, 0, 0, 4, ALL_FLAGS },
        { FAKE_VM86, 3, 3, 2, ALL_FLAGS & ~FL_IOPL & LOW16 },
        { FAKE_VM86, 3, 3, 4, ALL_FLAGS & ~FL_IOPL },
    };
    FakeCpu *f = fake_new(FAKE_LONG64, 0, WINDOW);

    for (unsigned i = 0; i < 2 * G_N_ELEMENTS(t); i++) {
        bool ones = i & 1;
        const typeof(t[0]) *r = &t[i / 2];
        uint64_t old, v = ones ? 0xffffffff : 0, got;
        const char *code =
            r->mode == FAKE_LONG64 ? r->osz == 8 ? "\x9d" : "\x66\x9d"
            : (r->mode == FAKE_PROT32) == (r->osz == 4) ? "\x9d"
                                                        : "\x66\x9d";

        fake_mode(f, r->mode);
        if (r->mode != FAKE_VM86) {
            fake_set_cpl(f, r->cpl);
        }
        old = (ones ? 2 : ALL_FLAGS | FL_VIF | FL_VIP | FL_RF | 2);
        old = (old & ~(uint64_t)FL_IOPL) | r->iopl << 12;
        old |= f->cpu.s.rflags & FL_VM;
        f->cpu.s.rflags = old;
        f->cpu.s.gpr[R_RSP] = 0x1000;
        put(f, 0x1000, v, 8);
        expect_done(fake_bytes(f, code, strlen(code), NULL));
        got = flags_get(&f->cpu);
        g_assert_cmphex(got, ==,
                        ((old & ~(uint64_t)r->mask) | (v & r->mask)) &
                            ~(uint64_t)FL_RF);
        g_assert_cmphex(f->cpu.s.gpr[R_RSP], ==, 0x1000 + r->osz);
    }
    fake_free(f);
}

static void test_pushf(void)
{
    FakeCpu *f = fake_new(FAKE_LONG64, 0, WINDOW);

    f->cpu.s.gpr[R_RSP] = 0x1000;
    f->cpu.s.rflags = FL_RF | FL_IF | FL_AC | FL_TF | 2;
    flags_lazy(&f->cpu, FLAGS_SUB, 3, 0, 5); /* 5 - 5 */
    expect_done(RUN(f, "\x9c"));
    g_assert_cmphex(get(f, 0xff8, 8), ==,
                    FL_IF | FL_AC | FL_TF | FL_ZF | FL_PF | 2);
    fake_free(f);
}

/* Virtual-8086 mode below IOPL 3. SDM 3A, 21.2 and 21.3. */
static void test_vme(void)
{
    FakeCpu *f = fake_new(FAKE_VM86, 0, WINDOW);
    X86State *s = &f->cpu.s;

    s->gpr[R_RSP] = 0x1000;
    expect_fault(f, RUN(f, "\x9c"), EXC_GP);
    expect_fault(f, RUN(f, "\x9d"), EXC_GP);
    expect_fault(f, RUN(f, "\xfa"), EXC_GP);
    expect_fault(f, RUN(f, "\xfb"), EXC_GP);

    s->cr4 = CR4_VME;
    expect_fault(f, RUN(f, "\x66\x9c"), EXC_GP); /* 32 bits never */
    expect_fault(f, RUN(f, "\x66\x9d"), EXC_GP);
    s->rflags |= FL_IF;
    expect_done(RUN(f, "\x9c")); /* IOPL reads 3, IF is VIF */
    g_assert_cmphex(get(f, 0xffe, 2), ==, FL_IOPL | 2);
    expect_done(RUN(f, "\xfb"));
    g_assert_cmphex(s->rflags & (FL_IF | FL_VIF), ==, FL_IF | FL_VIF);
    g_assert_false(s->irq_shadow);
    s->rflags &= ~(uint64_t)FL_IF;
    expect_done(RUN(f, "\x9c"));
    g_assert_cmphex(get(f, 0xffc, 2), ==, FL_IOPL | FL_IF | 2);
    expect_done(RUN(f, "\xfa"));
    g_assert_cmphex(s->rflags & (FL_IF | FL_VIF), ==, 0);

    s->gpr[R_RSP] = 0x1000;
    put(f, 0x1000, FL_IF | FL_CF | FL_IOPL, 2);
    expect_done(RUN(f, "\x9d"));
    g_assert_cmphex(s->rflags, ==, FL_VM | FL_VIF | FL_CF | 2);
    put(f, 0x1002, FL_ZF, 2);
    expect_done(RUN(f, "\x9d"));
    g_assert_cmphex(s->rflags, ==, FL_VM | FL_ZF | 2);

    s->rflags |= FL_VIP;
    put(f, 0x1004, FL_IF, 2);
    expect_fault(f, RUN(f, "\x9d"), EXC_GP);
    expect_fault(f, RUN(f, "\xfb"), EXC_GP);
    g_assert_cmphex(s->gpr[R_RSP], ==, 0x1004);
    put(f, 0x1004, 0, 2);
    expect_done(RUN(f, "\x9d"));
    put(f, 0x1006, FL_TF, 2);
    expect_fault(f, RUN(f, "\x9d"), EXC_GP);

    s->rflags |= FL_IOPL; /* IOPL 3: as in real mode */
    expect_done(RUN(f, "\xfb"));
    g_assert_cmphex(s->rflags & (FL_IF | FL_VIF), ==, FL_IF);
    fake_free(f);
}

static void test_cli_sti(void)
{
    FakeCpu *f = fake_new(FAKE_LONG64, 0, WINDOW);
    X86State *s = &f->cpu.s;

    expect_done(RUN(f, "\xfb"));
    g_assert_true(s->irq_shadow);
    g_assert_true(s->rflags & FL_IF);
    s->irq_shadow = false;
    expect_done(RUN(f, "\xfb")); /* was on already: no shadow */
    g_assert_false(s->irq_shadow);
    expect_done(RUN(f, "\xfa"));
    g_assert_false(s->rflags & FL_IF);

    fake_set_cpl(f, 3);
    expect_fault(f, RUN(f, "\xfa"), EXC_GP);
    expect_fault(f, RUN(f, "\xfb"), EXC_GP);
    s->cr4 |= CR4_PVI;
    expect_done(RUN(f, "\xfb"));
    g_assert_cmphex(s->rflags & (FL_IF | FL_VIF), ==, FL_VIF);
    s->rflags |= FL_VIP;
    expect_fault(f, RUN(f, "\xfb"), EXC_GP);
    expect_done(RUN(f, "\xfa"));
    g_assert_cmphex(s->rflags & (FL_IF | FL_VIF), ==, 0);
    fake_set_cpl(f, 2); /* PVI is for CPL 3 */
    expect_fault(f, RUN(f, "\xfa"), EXC_GP);
    s->rflags |= 2 << 12;
    expect_done(RUN(f, "\xfb"));
    g_assert_cmphex(s->rflags & (FL_IF | FL_VIF), ==, FL_IF);
    fake_free(f);
}

/* ---- branches ---------------------------------------------------------------------------- */

static void test_jumps(void)
{
    FakeCpu *f = fake_new(FAKE_LONG64, 0, WINDOW);
    X86State *s = &f->cpu.s;

    s->rip = 0x1000;
    expect_done(RUN(f, "\xeb\xfe"));
    g_assert_cmphex(s->rip, ==, 0x1000);
    expect_done(RUN(f, "\xe9\x00\x00\x00\x80"));
    g_assert_cmphex(s->rip, ==, 0xffffffff80001005);
    s->rflags = FL_ZF | 2;
    expect_done(RUN(f, "\x75\x10"));
    g_assert_cmphex(s->rip, ==, 0xffffffff80001007);
    expect_done(RUN(f, "\x0f\x84\xf3\xff\xff\xff"));
    g_assert_cmphex(s->rip, ==, 0xffffffff80001000);

    s->gpr[R_RAX] = UINT64_C(0x800000000000);
    expect_fault(f, RUN(f, "\xff\xe0"), EXC_GP);
    s->gpr[R_RSP] = 0x2000;
    expect_fault(f, RUN(f, "\xff\xd0"), EXC_GP);
    g_assert_cmphex(s->gpr[R_RSP], ==, 0x2000);
    put(f, 0x2000, s->gpr[R_RAX], 8);
    expect_fault(f, RUN(f, "\xc3"), EXC_GP);
    g_assert_cmphex(s->gpr[R_RSP], ==, 0x2000);
    s->cr4 |= CR4_LA57;
    expect_done(RUN(f, "\xff\xe0"));
    g_assert_cmphex(s->rip, ==, s->gpr[R_RAX]);

    s->rip = 0x1000;
    expect_done(RUN(f, "\xe8\x10\x00\x00\x00"));
    g_assert_cmphex(s->rip, ==, 0x1015);
    g_assert_cmphex(get(f, 0x1ff8, 8), ==, 0x1005);
    expect_done(RUN(f, "\xc2\x10\x80"));
    g_assert_cmphex(s->rip, ==, 0x1005);
    g_assert_cmphex(s->gpr[R_RSP], ==, 0x2000 + 0x8010);
    fake_free(f);
}

static void test_jumps_limit(void)
{
    FakeCpu *f = fake_new(FAKE_PROT32, 0, WINDOW);
    X86State *s = &f->cpu.s;

    s->seg[S_CS].limit = 0x1fff;
    s->rip = 0x1000;
    s->gpr[R_RCX] = 2;
    expect_fault(f, RUN(f, "\xe9\x00\x10\x00\x00"), EXC_GP);
    g_assert_cmphex(s->rip, ==, 0x1000);
    s->rip = 0x1ff0;
    expect_fault(f, RUN(f, "\xe2\x7f"), EXC_GP);
    g_assert_cmphex(s->gpr[R_RCX], ==, 2);
    s->gpr[R_RCX] = 1; /* not taken: no check */
    expect_done(RUN(f, "\xe2\x7f"));
    g_assert_cmphex(s->rip, ==, 0x1ff2);
    g_assert_cmphex(s->gpr[R_RCX], ==, 0);
    s->gpr[R_RSP] = 0x3000;
    expect_fault(f, RUN(f, "\xe8\x7f\x00\x00\x00"), EXC_GP);
    g_assert_cmphex(s->gpr[R_RSP], ==, 0x3000);
    /* A 16-bit operand cuts IP. */
    s->rip = 0x1000;
    expect_done(RUN(f, "\x66\xe9\x00\xff"));
    g_assert_cmphex(s->rip, ==, 0x0f04);
    s->seg[S_CS].limit = 0xffffffff;
    s->rip = 0x12345;
    expect_done(RUN(f, "\x66\xeb\x02"));
    g_assert_cmphex(s->rip, ==, 0x234a);

    fake_mode(f, FAKE_REAL); /* IP wraps */
    s->rip = 0xfffe;
    expect_done(RUN(f, "\xeb\x02"));
    g_assert_cmphex(s->rip, ==, 2);
    s->rip = 0x10;
    expect_done(RUN(f, "\xeb\x80"));
    g_assert_cmphex(s->rip, ==, 0xff92);
    s->rip = 0xff00;
    expect_fault(f, RUN(f, "\x66\xe9\x00\x10\x00\x00"), EXC_GP);
    fake_free(f);
}

static void test_loops(void)
{
    FakeCpu *f = fake_new(FAKE_LONG64, 0, WINDOW);
    X86State *s = &f->cpu.s;

    s->gpr[R_RCX] = UINT64_C(0x100000001);
    expect_done(RUN(f, "\x67\xe2\x10")); /* ecx: 1 to 0 */
    g_assert_cmphex(s->rip, ==, 3);
    g_assert_cmphex(s->gpr[R_RCX], ==, 0);
    expect_done(RUN(f, "\xe3\x10"));
    g_assert_cmphex(s->rip, ==, 0x15);
    s->gpr[R_RCX] = UINT64_C(0x100000000);
    expect_done(RUN(f, "\xe3\x10"));
    g_assert_cmphex(s->rip, ==, 0x17);
    expect_done(RUN(f, "\x67\xe3\x10"));
    g_assert_cmphex(s->rip, ==, 0x2a);
    s->gpr[R_RCX] = 2;
    s->rflags = 2;
    expect_done(RUN(f, "\xe1\x10")); /* loope, ZF 0 */
    g_assert_cmphex(s->rip, ==, 0x2c);
    g_assert_cmphex(s->gpr[R_RCX], ==, 1);
    s->gpr[R_RCX] = 2;
    expect_done(RUN(f, "\xe0\x10"));
    g_assert_cmphex(s->rip, ==, 0x3e);

    fake_mode(f, FAKE_REAL);
    s->gpr[R_RCX] = 0x12340000;
    expect_done(RUN(f, "\xe2\x10")); /* cx: 0 to ffff */
    g_assert_cmphex(s->gpr[R_RCX], ==, 0x1234ffff);
    g_assert_cmphex(s->rip, ==, 0x12);
    fake_free(f);
}

/* ---- ports --------------------------------------------------------------------------------- */

static void test_io(void)
{
    FakeCpu *f = fake_new(FAKE_PROT32, 0, WINDOW);
    X86State *s = &f->cpu.s;

    f->io_next = 0x11223344;
    s->gpr[R_RAX] = UINT64_MAX;
    expect_done(RUN(f, "\xe4\x60"));
    g_assert_cmphex(s->gpr[R_RAX], ==, 0xffffffffffffff44);
    s->gpr[R_RDX] = 0xabcd1234;
    expect_done(RUN(f, "\xed"));
    g_assert_cmphex(s->gpr[R_RAX], ==, 0x11223345);
    expect_done(RUN(f, "\x66\xef"));
    g_assert_cmpuint(f->n_io, ==, 3);
    g_assert_cmphex(f->io[0].port, ==, 0x60);
    g_assert_cmpuint(f->io[1].size, ==, 4);
    g_assert_cmphex(f->io[2].port, ==, 0x1234);
    g_assert_cmphex(f->io[2].value, ==, 0x3345);
    g_assert_cmpuint(f->io[2].size, ==, 2);

    /* Beyond IOPL: the bitmap. Port 0x10 is allowed, 0x11 is not. */
    fake_set_cpl(f, 3);
    s->tr = (X86Seg) {
        .sel = 0x28, .attr = SEG_P | 0xb00, .limit = 0x6a, .base = 0x4000
    };
    put(f, 0x4066, 0x68, 2);
    put(f, 0x4068, 0xff00ff, 3);
    put(f, 0x406a, 0xfe, 1);
    expect_done(RUN(f, "\xe4\x08"));
    expect_fault(f, RUN(f, "\xe4\x07"), EXC_GP);
    expect_fault(f, RUN(f, "\xe5\x0e"), EXC_GP); /* reaches port 11 */
    expect_done(RUN(f, "\xe5\x0c"));
    expect_fault(f, RUN(f, "\xe4\x10"), EXC_GP); /* its byte is the last */
    s->tr.limit = 0x6b;
    expect_done(RUN(f, "\xe4\x10"));
    expect_fault(f, RUN(f, "\xe4\x11"), EXC_GP);
    s->tr.attr = SEG_P | 0x300; /* a 16-bit TSS has none */
    expect_fault(f, RUN(f, "\xe4\x10"), EXC_GP);
    s->rflags |= FL_IOPL;
    expect_done(RUN(f, "\xe4\x11"));

    fake_mode(f, FAKE_VM86); /* there the bitmap counts at any IOPL */
    s->rflags |= FL_IOPL;
    expect_fault(f, RUN(f, "\xe4\x10"), EXC_GP);
    s->tr = (X86Seg) {
        .sel = 0x28, .attr = SEG_P | 0xb00, .limit = 0x6b, .base = 0x4000
    };
    expect_done(RUN(f, "\xe4\x10"));
    f->n_io = 0;
    s->gpr[R_RDX] = 0x11;
    s->gpr[R_RDI] = 0x2000;
    expect_fault(f, RUN(f, "\x6c"), EXC_GP);
    g_assert_cmpuint(f->n_io, ==, 0);
    fake_free(f);
}

/* ---- the rest ---------------------------------------------------------------------------------- */

static void test_misc(void)
{
    FakeCpu *f = fake_new(FAKE_PROT32, 0, WINDOW);
    X86State *s = &f->cpu.s;

    s->gpr[R_RBX] = 0x1000;
    s->gpr[R_RAX] = 0x1234;
    put(f, 0x1034, 0x77, 1);
    expect_done(RUN(f, "\xd7")); /* xlat */
    g_assert_cmphex(s->gpr[R_RAX], ==, 0x1277);

    put(f, 0x1000, -5, 4); /* bound ecx, [ebx]: -5 to 7 */
    put(f, 0x1004, 7, 4);
    s->gpr[R_RCX] = (uint32_t)-5;
    expect_done(RUN(f, "\x62\x0b"));
    s->gpr[R_RCX] = 7;
    expect_done(RUN(f, "\x62\x0b"));
    s->gpr[R_RCX] = 8;
    expect_fault(f, RUN(f, "\x62\x0b"), EXC_BR);
    s->gpr[R_RCX] = (uint32_t)-6;
    expect_fault(f, RUN(f, "\x62\x0b"), EXC_BR);

    s->seg[S_DS].sel = 0x23; /* mov [ebx], ds: 16 bits; mov ecx, ds: all */
    put(f, 0x1000, 0xffffffff, 4);
    expect_done(RUN(f, "\x8c\x1b"));
    g_assert_cmphex(get(f, 0x1000, 4), ==, 0xffff0023);
    expect_done(RUN(f, "\x8c\xd9"));
    g_assert_cmphex(s->gpr[R_RCX], ==, 0x23);
    s->gpr[R_RCX] = 0xffffffff;
    expect_done(RUN(f, "\x66\x8c\xd9"));
    g_assert_cmphex(s->gpr[R_RCX], ==, 0xffff0023);

    s->rip = 0x500;
    s->rflags = 2;
    expect_done(RUN(f, "\xce")); /* into, OF clear */
    g_assert_cmphex(s->rip, ==, 0x501);

    expect_fault(f, RUN(f, "\x0f\x0b"), EXC_UD);
    expect_fault(f, RUN(f, "\x0f\xff\xc0"), EXC_UD);
    expect_fault(f, RUN(f, "\x0f\xb9\xc0"), EXC_UD);
    s->gpr[R_RBX] = 0x10000000;
    expect_fault(f, RUN(f, "\x0f\xae\x3b"), EXC_PF); /* clflush */
    expect_done(RUN(f, "\x0f\x18\x0b"));             /* prefetch */

    expect_done(RUN(f, "\xfd"));
    g_assert_true(s->rflags & FL_DF);
    expect_done(RUN(f, "\xfc"));
    g_assert_false(s->rflags & FL_DF);
    fake_free(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stack/push-pop", test_push_pop64);
    g_test_add_func("/stack/faults", test_push_pop_faults);
    g_test_add_func("/stack/wrap", test_push_wrap);
    g_test_add_func("/stack/pusha", test_pusha);
    g_test_add_func("/stack/enter", test_enter);
    g_test_add_func("/stack/popf", test_popf);
    g_test_add_func("/stack/pushf", test_pushf);
    g_test_add_func("/stack/vme", test_vme);
    g_test_add_func("/stack/cli-sti", test_cli_sti);
    g_test_add_func("/branch/near", test_jumps);
    g_test_add_func("/branch/limit", test_jumps_limit);
    g_test_add_func("/branch/loops", test_loops);
    g_test_add_func("/io", test_io);
    g_test_add_func("/misc", test_misc);
    return g_test_run();
}
