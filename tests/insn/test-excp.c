/*
 * Interrupts, exceptions and IRET in every mode, virtual-8086 mode, double and
 * triple faults. SDM 3A, 6, and 20. Far transfers are in test-prot.c.
 */
#include "util/osdep.h"
#include "tests/lib/prot-bench.h"

/* ---- interrupts ------------------------------------------------------------------------ */

static void idt32(Bench *b, unsigned vector, uint16_t sel, unsigned access)
{
    put64(b, IDT + vector * 8, gate(sel, HANDLER, access, 0));
}

static void idt64(Bench *b, unsigned vector, uint16_t sel, unsigned access,
                  unsigned ist)
{
    put64(b, IDT + vector * 16, gate(sel, HANDLER, access, ist));
    put64(b, IDT + vector * 16 + 8, 0xffffffff);
}

static void test_int_real(void)
{
    X86State *s;
    Bench b;

    bench_new(&b, FAKE_REAL);
    s = &b.c->s;
    s->idt_base = 0;
    put32(&b, 0x21 * 4, 0x12345678);
    s->rip = 0x100;
    s->gpr[R_RSP] = 0xabcd8000;
    s->rflags = 2 | FL_IF | FL_TF | FL_CF;
    x86_interrupt(b.c, 0x21, INT_SOFT, false, 0);
    g_assert_cmphex(s->rip, ==, 0x5678);
    g_assert_cmphex(s->seg[S_CS].base, ==, 0x12340);
    g_assert_cmphex(s->gpr[R_RSP], ==, 0xabcd7ffa);
    g_assert_cmphex(get16(&b, 0x7ffa), ==, 0x100);
    g_assert_cmphex(get16(&b, 0x7ffe), ==, 2 | FL_IF | FL_TF | FL_CF);
    g_assert_cmphex(s->rflags, ==, 2 | FL_CF);
    far_iret(b.c, 2);
    g_assert_cmphex(s->rip, ==, 0x100);
    g_assert_cmphex(s->rflags, ==, 2 | FL_IF | FL_TF | FL_CF);
    g_assert_cmphex(s->gpr[R_RSP], ==, 0xabcd8000);

    s->idt_limit = 0x21 * 4 + 2;
    EXPECT(&b, x86_interrupt(b.c, 0x21, INT_SOFT, false, 0), EXC_GP,
           0x21 * 8 + 2);
    s->idt_limit = 0x3ff;
    s->gpr[R_RSP] = 1; /* a push across the end of the segment */
    EXPECT(&b, x86_interrupt(b.c, 0x21, INT_SOFT, false, 0), EXC_SS, 0);
    bench_free(&b);
}

static void test_int_faults(void)
{
    static const struct {
        uint8_t cpl, access;
        uint16_t sel;
        IntKind kind;
        int vector;
        uint16_t error;
    } rows[] = {
        { 0, 0x8e, CODE0, INT_HW, -1, 0 },
        { 0, 0x8f, CODE0, INT_EXCEPTION, -1, 0 },
        { 3, 0x8e, CODE0, INT_HW, -1, 0 },
        { 3, 0x8e, CODE0, INT_SOFT, EXC_GP, 0x40 * 8 + 2 }, /* DPL */
        { 3, 0x8e, CODE0, INT_ICEBP, -1, 0 },
        { 3, 0xee, CODE0, INT_SOFT, -1, 0 },
        { 3, 0xee, CODE0, INT_SOFT_BP, -1, 0 },
        { 0, 0x0e, CODE0, INT_SOFT, EXC_NP, 0x40 * 8 + 2 },
        { 0, 0x0e, CODE0, INT_HW, EXC_NP, 0x40 * 8 + 3 }, /* EXT */
        { 0, 0x8c, CODE0, INT_HW, EXC_GP, 0x40 * 8 + 3 }, /* not a gate */
        { 0, 0x8e, NUL, INT_HW, EXC_GP, 1 },
        { 0, 0x8e, NUL, INT_SOFT, EXC_GP, 0 },
        { 0, 0x8e, DATA0, INT_HW, EXC_GP, DATA0 | 1 },
        { 0, 0x8e, CODE3, INT_HW, EXC_GP, CODE3 | 1 }, /* to outside */
        { 0, 0x8e, ABSENT_C, INT_HW, EXC_NP, ABSENT_C | 1 },
        { 0, 0x8e, GDT_END, INT_HW, EXC_GP, GDT_END | 1 },
        { 3, 0x8e, CONF0, INT_HW, -1, 0 },
    };
    Bench b;

    bench_new(&b, FAKE_PROT32);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        bench_at(&b, rows[i].cpl);
        idt32(&b, 0x40, rows[i].sel, rows[i].access);
        g_test_message("row %u", i);
        EXPECT(&b, x86_interrupt(b.c, 0x40, rows[i].kind, false, 0),
               rows[i].vector, rows[i].error);
    }
    b.c->s.idt_limit = 0x40 * 8 + 6;
    bench_at(&b, 0);
    EXPECT(&b, x86_interrupt(b.c, 0x40, INT_HW, false, 0), EXC_GP,
           0x40 * 8 + 3);
    bench_free(&b);
}

/* Ring 3 to ring 0 and back, with an error code. */
static void test_int_inner(void)
{
    X86State *s;
    Bench b;

    bench_new(&b, FAKE_PROT32);
    s = &b.c->s;
    bench_at(&b, 3);
    s->rflags = 2 | FL_IF | FL_NT | FL_ZF | FL_TF;
    idt32(&b, EXC_GP, CODE0, 0x8e);
    x86_interrupt(b.c, EXC_GP, INT_EXCEPTION, true, 0x1234);
    g_assert_cmphex(s->rip, ==, HANDLER);
    g_assert_cmphex(s->gpr[R_RSP], ==, STACK0 - 24);
    g_assert_cmphex(get32(&b, STACK0 - 4), ==, DATA3 | 3);
    g_assert_cmphex(get32(&b, STACK0 - 8), ==, STACK3);
    g_assert_cmphex(get32(&b, STACK0 - 12), ==,
                    2 | FL_IF | FL_NT | FL_ZF | FL_TF | FL_RF);
    g_assert_cmphex(get32(&b, STACK0 - 16), ==, CODE3 | 3);
    g_assert_cmphex(get32(&b, STACK0 - 20), ==, 0x7777);
    g_assert_cmphex(get32(&b, STACK0 - 24), ==, 0x1234);
    g_assert_cmphex(s->rflags, ==, 2 | FL_ZF);
    s->gpr[R_RSP] += 4;
    put32(&b, STACK0 - 12, 2 | FL_IF | FL_IOPL);
    far_iret(b.c, 4);
    g_assert_cmphex(s->rip, ==, 0x7777);
    g_assert_cmphex(s->rflags, ==, 2 | FL_IF | FL_IOPL);
    g_assert_cmphex(s->gpr[R_RSP], ==, STACK3);
    g_assert_cmpint(b.c->mode.cpl, ==, 3);

    /* Ring 3 cannot change IOPL; IF only because IOPL is 3. */
    s->gpr[R_RSP] = STACK3 - 12;
    put32(&b, STACK3 - 12, 0x100);
    put32(&b, STACK3 - 8, CODE3 | 3);
    put32(&b, STACK3 - 4, 2 | FL_VIF | FL_VIP);
    far_iret(b.c, 4);
    g_assert_cmphex(s->rflags, ==, 2 | FL_IOPL);
    bench_free(&b);
}

static void test_int_same_16(void)
{
    X86State *s;
    Bench b;

    bench_new(&b, FAKE_PROT32);
    s = &b.c->s;
    s->rflags = 2 | FL_IF;
    idt32(&b, 0x30, CODE0, 0x87); /* 16-bit trap gate */
    x86_interrupt(b.c, 0x30, INT_HW, false, 0);
    g_assert_cmphex(s->rip, ==, HANDLER & 0xffff);
    g_assert_cmphex(s->gpr[R_RSP], ==, STACK0 - 0x106);
    g_assert_cmphex(s->rflags, ==, 2 | FL_IF); /* a trap gate leaves IF */
    bench_free(&b);
}

static void test_int_long(void)
{
    X86State *s;
    Bench b;

    bench_new(&b, FAKE_LONG64);
    s = &b.c->s;
    bench_at(&b, 3);
    s->gpr[R_RSP] = STACK3 - 3;
    s->rflags = 2 | FL_IF;
    idt64(&b, EXC_PF, CODE64, 0x8e, 0);
    x86_interrupt(b.c, EXC_PF, INT_EXCEPTION, true, 7);
    g_assert_cmphex(s->rip, ==, 0xffffffff00012345);
    g_assert_cmphex(s->gpr[R_RSP], ==, STACK0 - 48);
    g_assert_cmphex(get64(&b, STACK0 - 8), ==, DATA3 | 3);
    g_assert_cmphex(get64(&b, STACK0 - 16), ==, STACK3 - 3);
    g_assert_cmphex(get64(&b, STACK0 - 24), ==, 2 | FL_IF | FL_RF);
    g_assert_cmphex(get64(&b, STACK0 - 32), ==, CODE64_3 | 3);
    g_assert_cmphex(get64(&b, STACK0 - 40), ==, 0x7777);
    g_assert_cmphex(get64(&b, STACK0 - 48), ==, 7);
    g_assert_cmphex(s->seg[S_SS].sel, ==, 0);
    g_assert_true(s->seg[S_SS].unusable);
    g_assert_cmpint(b.c->mode.cpl, ==, 0);
    g_assert_cmphex(s->rflags, ==, 2);

    s->gpr[R_RSP] += 8;
    far_iret(b.c, 8);
    g_assert_cmphex(s->rip, ==, 0x7777);
    g_assert_cmphex(s->gpr[R_RSP], ==, STACK3 - 3);
    g_assert_cmphex(s->rflags, ==, 2 | FL_IF | FL_RF);
    g_assert_cmpint(b.c->mode.cpl, ==, 3);
    bench_free(&b);
}

static void test_int_long_ist(void)
{
    X86State *s;
    Bench b;

    bench_new(&b, FAKE_LONG64);
    s = &b.c->s;
    idt64(&b, EXC_NMI, CODE64, 0x8e, 1);
    x86_interrupt(b.c, EXC_NMI, INT_HW, false, 0);
    g_assert_cmphex(s->gpr[R_RSP], ==, STACK_IST - 40);
    g_assert_cmphex(s->seg[S_SS].sel, ==, DATA0); /* same privilege */

    /* the stack is misaligned: aligned first; 5 words always */
    s->gpr[R_RSP] = 0x8007;
    idt64(&b, 0x40, CODE64, 0x8e, 0);
    x86_interrupt(b.c, 0x40, INT_HW, false, 0);
    g_assert_cmphex(s->gpr[R_RSP], ==, 0x8000 - 40);
    g_assert_cmphex(get64(&b, 0x8000 - 16), ==, 0x8007);
    bench_free(&b);
}

static void test_int_long_faults(void)
{
    X86State *s;
    Bench b;

    bench_new(&b, FAKE_LONG64);
    s = &b.c->s;
    idt64(&b, 0x40, CODE0, 0x8e, 0); /* not a 64-bit code segment */
    EXPECT(&b, x86_interrupt(b.c, 0x40, INT_HW, false, 0), EXC_GP, CODE0 | 1);
    idt64(&b, 0x40, CODE64, 0x85, 0); /* no task gates here */
    EXPECT(&b, x86_interrupt(b.c, 0x40, INT_HW, false, 0), EXC_GP,
           0x40 * 8 + 3);
    idt64(&b, 0x40, CODE64, 0x8e, 0);
    s->gpr[R_RSP] = 0x0000800000000010;
    EXPECT(&b, x86_interrupt(b.c, 0x40, INT_HW, false, 0), EXC_SS, 1);
    s->gpr[R_RSP] = 0x8000;
    put64(&b, IDT + 0x408, 0x00008000);
    EXPECT(&b, x86_interrupt(b.c, 0x40, INT_HW, false, 0), EXC_GP, 1);
    idt64(&b, 0x40, CODE64, 0x8e, 7);
    s->tr.limit = 28 + 7 * 8 + 6;
    EXPECT(&b, x86_interrupt(b.c, 0x40, INT_HW, false, 0), EXC_TS, TSSSEL | 1);
    s->idt_limit = 0x40e;
    EXPECT(&b, x86_interrupt(b.c, 0x40, INT_HW, false, 0), EXC_GP,
           0x40 * 8 + 3);
    bench_free(&b);
}

/* ---- IRET in long mode -------------------------------------------------------------------- */

static void frame64(Bench *b, uint64_t rip, uint16_t cs, uint64_t flags,
                    uint64_t sp, uint16_t ss)
{
    uint64_t at = b->c->s.gpr[R_RSP];

    put64(b, at, rip);
    put64(b, at + 8, cs);
    put64(b, at + 16, flags);
    put64(b, at + 24, sp);
    put64(b, at + 32, ss);
}

static void test_iret_long(void)
{
    static const struct {
        uint16_t cs, ss;
        uint64_t rip;
        int vector;
        uint16_t error;
    } rows[] = {
        { CODE64, NUL, 0x100, -1, 0 }, /* null SS, ring 0, 64-bit */
        { CODE64, DATA0, 0x100, -1, 0 },
        { CODE0, NUL, 0x100, EXC_GP, 0 }, /* not to compatibility mode */
        { CODE0, DATA0, 0x100, -1, 0 },
        { CODE64_3 | 3, NUL, 0x100, EXC_GP, 0 }, /* nor to ring 3 */
        { CODE64_3 | 3, 3, 0x100, EXC_GP, 0 },
        { CODE64_3 | 3, DATA3 | 3, 0x100, -1, 0 },
        { CODE3 | 3, DATA3 | 3, 0x100, -1, 0 },
        { CODE64_3 | 3, DATA0, 0x100, EXC_GP, DATA0 },
        { CODE64_3 | 3, ABSENT_D, 0x100, EXC_GP, ABSENT_D },
        { CODE64, DATA0, 0x800000000000, EXC_GP, 0 },
        { NUL, DATA0, 0x100, EXC_GP, 0 },
        { BOTH, DATA0, 0x100, EXC_GP, BOTH },
    };
    Bench b;

    bench_new(&b, FAKE_LONG64);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        uint64_t sp;

        bench_at(&b, 0);
        b.c->s.rflags = 2;
        sp = b.c->s.gpr[R_RSP];
        g_test_message("row %u", i);
        frame64(&b, rows[i].rip, rows[i].cs, 2, 0x123456789a, rows[i].ss);
        EXPECT(&b, far_iret(b.c, 8), rows[i].vector, rows[i].error);
        if (rows[i].vector >= 0) {
            g_assert_cmphex(b.c->s.gpr[R_RSP], ==, sp);
        } else {
            g_assert_cmphex(b.c->s.gpr[R_RSP], ==,
                            b.c->mode.code64 ? 0x123456789a : 0x3456789a);
            g_assert_cmphex(b.c->s.seg[S_SS].sel, ==, rows[i].ss);
            g_assert_cmpint(b.c->mode.cpl, ==, rows[i].cs & 3);
        }
    }
    bench_at(&b, 0);
    b.c->s.rflags = 2 | FL_NT;
    EXPECT(&b, far_iret(b.c, 8), EXC_GP, 0);
    bench_free(&b);
}

/* A program's null FS keeps its base over IRET: Linux relies on it. */
static void test_iret_keeps_fs_base(void)
{
    Bench b;

    bench_new(&b, FAKE_LONG64);
    bench_at(&b, 0);
    seg_load(b.c, S_FS, 0);
    b.c->s.seg[S_FS].base = 0x7f0000001000;
    frame64(&b, 0x100, CODE64_3 | 3, 2, STACK3, DATA3 | 3);
    far_iret(b.c, 8);
    g_assert_cmphex(b.c->s.seg[S_FS].base, ==, 0x7f0000001000);
    bench_free(&b);
}

/* The upper half of ESP leaks through a 16-bit SS. */
static void test_iret_16bit_stack(void)
{
    X86State *s;
    Bench b;

    bench_new(&b, FAKE_PROT32);
    s = &b.c->s;
    s->gpr[R_RSP] = 0x8000;
    put32(&b, 0x8000, 0x100);
    put32(&b, 0x8004, CODE3 | 3);
    put32(&b, 0x8008, 2);
    put32(&b, 0x800c, 0xaaaa1234);
    put32(&b, 0x8010, STACK16 | 3);
    s->gpr[R_RSP] = 0x8000;
    far_iret(b.c, 4);
    g_assert_cmphex(s->gpr[R_RSP], ==, 0x00001234);
    g_assert_cmpint(b.c->mode.stack_size, ==, 2);
    bench_free(&b);
}

/* ---- virtual-8086 mode ------------------------------------------------------------------------ */

static void enter_vm86(Bench *b, uint32_t flags)
{
    static const uint16_t segs[] = { 0x1000, 0x100, 0x200, 0x300, 0x400 };
    X86State *s = &b->c->s;

    bench_at(b, 0);
    s->gpr[R_RSP] = 0x8000;
    put32(b, 0x8000, 0x55);
    put32(b, 0x8004, 0x20); /* CS */
    put32(b, 0x8008, flags | FL_VM | 2);
    put32(b, 0x800c, 0x500);
    for (unsigned i = 0; i < 5; i++) { /* SS ES DS FS GS */
        put32(b, 0x8010 + i * 4, segs[i]);
    }
    far_iret(b->c, 4);
}

static void test_vm86(void)
{
    X86State *s;
    Bench b;

    bench_new(&b, FAKE_PROT32);
    s = &b.c->s;
    enter_vm86(&b, FL_IF | FL_IOPL);
    g_assert_true(b.c->mode.vm86);
    g_assert_cmpint(b.c->mode.cpl, ==, 3);
    g_assert_cmphex(s->seg[S_CS].base, ==, 0x200);
    g_assert_cmphex(s->seg[S_GS].base, ==, 0x4000);
    g_assert_cmphex(s->gpr[R_RSP], ==, 0x500);

    idt32(&b, 0x21, CODE0, 0xee);
    x86_interrupt(b.c, 0x21, INT_SOFT, false, 0);
    g_assert_false(b.c->mode.vm86);
    g_assert_cmphex(s->gpr[R_RSP], ==, STACK0 - 36);
    g_assert_cmphex(get32(&b, STACK0 - 4), ==, 0x400); /* GS */
    g_assert_cmphex(get32(&b, STACK0 - 8), ==, 0x300);
    g_assert_cmphex(get32(&b, STACK0 - 12), ==, 0x200);
    g_assert_cmphex(get32(&b, STACK0 - 16), ==, 0x100); /* ES */
    g_assert_cmphex(get32(&b, STACK0 - 20), ==, 0x1000);
    g_assert_cmphex(get32(&b, STACK0 - 24), ==, 0x500);
    g_assert_cmphex(get32(&b, STACK0 - 28), ==, 2 | FL_VM | FL_IF | FL_IOPL);
    g_assert_cmphex(get32(&b, STACK0 - 36), ==, 0x55);
    g_assert_true(s->seg[S_DS].unusable);
    g_assert_cmpint(b.c->mode.cpl, ==, 0);

    far_iret(b.c, 4);
    g_assert_true(b.c->mode.vm86);
    g_assert_cmphex(s->rip, ==, 0x55);

    /* A handler in ring 3 will not do. */
    idt32(&b, 0x21, CODE3, 0xee);
    EXPECT(&b, x86_interrupt(b.c, 0x21, INT_SOFT, false, 0), EXC_GP, CODE3);
    bench_free(&b);
}

static void test_vm86_iopl(void)
{
    X86State *s;
    Bench b;

    bench_new(&b, FAKE_PROT32);
    s = &b.c->s;
    idt32(&b, 0x21, CODE0, 0xee);
    idt32(&b, EXC_BP, CODE0, 0xee);
    enter_vm86(&b, FL_IF);
    EXPECT(&b, x86_interrupt(b.c, 0x21, INT_SOFT, false, 0), EXC_GP, 0);
    EXPECT(&b, far_iret(b.c, 2), EXC_GP, 0);
    EXPECT(&b, x86_interrupt(b.c, EXC_BP, INT_SOFT_BP, false, 0), -1, 0);

    /* VME: the bit is clear, so the program's own handler runs. */
    s->cr4 |= CR4_VME;
    put32(&b, 0x21 * 4, 0x00300066);
    enter_vm86(&b, FL_VIF);
    x86_interrupt(b.c, 0x21, INT_SOFT, false, 0);
    g_assert_true(b.c->mode.vm86);
    g_assert_cmphex(s->rip, ==, 0x66);
    g_assert_cmphex(s->seg[S_CS].sel, ==, 0x30);
    g_assert_cmphex(s->rflags & FL_VIF, ==, 0);
    g_assert_cmphex(get16(&b, 0x10000 + 0x4fe), ==, 2 | FL_IF | FL_IOPL);
    far_iret(b.c, 2);
    g_assert_cmphex(s->rip, ==, 0x55);
    g_assert_cmphex(s->rflags & (FL_VIF | FL_IF | FL_IOPL), ==, FL_VIF);

    /* ... and set: to the monitor. */
    *(uint8_t *)fake_ptr(b.f, TSS + 0x88 - 32 + 0x21 / 8) = 1 << (0x21 & 7);
    EXPECT(&b, x86_interrupt(b.c, 0x21, INT_SOFT, false, 0), EXC_GP, 0);
    bench_free(&b);
}

/* ---- faults in faults ------------------------------------------------------------------------------ */

/* SDM 3A, table 6-5, for every pair of vectors. */
static void test_escalation_table(void)
{
    static const uint32_t contributory =
        1 << EXC_DE | 1 << EXC_TS | 1 << EXC_NP | 1 << EXC_SS | 1 << EXC_GP;

    for (int a = 0; a < 32; a++) {
        for (int b = 0; b < 32; b++) {
            bool ca = contributory >> a & 1, cb = contributory >> b & 1;
            Escalation want = ESCALATE_NONE;

            if (a == EXC_DF) {
                want = cb || b == EXC_PF ? ESCALATE_TRIPLE : ESCALATE_NONE;
            } else if ((ca && cb) || (a == EXC_PF && (cb || b == EXC_PF))) {
                want = ESCALATE_DOUBLE;
            }
            g_assert_cmpint(x86_escalate(a, b), ==, want);
        }
    }
}

static void test_double_fault(void)
{
    X86State *s;
    Bench b;

    bench_new(&b, FAKE_LONG64);
    s = &b.c->s;
    idt64(&b, EXC_DF, CODE64, 0x8e, 1);
    /* #PF has no gate: #GP while delivering it */
    deliver_ok(&b, EXC_PF, 2);
    g_assert_cmphex(s->cr2, ==, 0xbad);
    g_assert_cmphex(s->gpr[R_RSP], ==, STACK_IST - 48);
    g_assert_cmphex(get64(&b, STACK_IST - 48), ==, 0);
    g_assert_cmphex(get64(&b, STACK_IST - 40), ==, 0x7777);

    /* #UD is benign: #NP takes its place */
    bench_at(&b, 0);
    idt64(&b, EXC_NP, CODE64, 0x8e, 1);
    idt64(&b, EXC_UD, CODE64, 0x0e, 1);
    deliver_ok(&b, EXC_UD, 0);
    g_assert_cmphex(get64(&b, STACK_IST - 48), ==, EXC_UD * 8 + 3);
    bench_free(&b);
}

static void test_triple_fault(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    sigjmp_buf before;
    Bench b;

    bench_new(&b, FAKE_LONG64);
    b.c->s.idt_limit = 0;
    memset(&b.c->unwind, 0x5a, sizeof(b.c->unwind));
    memcpy(&before, &b.c->unwind, sizeof(before));
    g_assert_false(deliver(&b, EXC_PF, 2));
    g_assert_cmpmem(&before, sizeof(before), &b.c->unwind, sizeof(before));
    x86_triple_report(b.c, text);
    g_assert_nonnull(strstr(
        text->str,
        "  1: #PF page fault, error 0002 (write, not present, supervisor), "
        "CR2=0000000000000bad\n"
        "  2: #GP general protection, error 0073 (IDT entry 0x0e), delivering "
        "#PF\n"
        "  3: #GP general protection, error 0043 (IDT entry 0x08), delivering "
        "#DF\n"));
    g_assert_cmphex(b.c->s.rip, ==, 0x7777);
    bench_free(&b);
}

/* A stack that is not there: #PF, then again on the way: #DF. */
static void test_double_fault_by_stack(void)
{
    Bench b;

    bench_new(&b, FAKE_LONG64);
    idt64(&b, EXC_PF, CODE64, 0x8e, 0);
    idt64(&b, EXC_DF, CODE64, 0x8e, 1);
    b.c->s.gpr[R_RSP] = 0x200000;
    deliver_ok(&b, EXC_PF, 2);
    g_assert_cmphex(b.c->s.gpr[R_RSP], ==, STACK_IST - 48);
    g_assert_cmphex(b.c->s.cr2, ==, 0x200000 - 48);
    bench_free(&b);
}

static void test_debug_exception(void)
{
    X86State *s;
    Bench b;

    bench_new(&b, FAKE_LONG64);
    s = &b.c->s;
    idt64(&b, EXC_DB, CODE64, 0x8e, 0);
    s->dr[6] = DR6_INIT | 3;
    s->dr[7] = DR7_INIT | DR7_GD;
    b.c->fault =
        (X86Fault) { .vector = EXC_DB, .trap = true, .dr6 = DR6_BS | 4 };
    g_assert_true(x86_deliver_fault(b.c));
    g_assert_cmphex(s->dr[6], ==, DR6_INIT | DR6_BS | 4);
    g_assert_cmphex(s->dr[7], ==, DR7_INIT);
    g_assert_cmphex(get64(&b, s->gpr[R_RSP] + 16) & FL_RF, ==, 0);
    bench_free(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/excp/int/real", test_int_real);
    g_test_add_func("/excp/int/faults", test_int_faults);
    g_test_add_func("/excp/int/inner", test_int_inner);
    g_test_add_func("/excp/int/same16", test_int_same_16);
    g_test_add_func("/excp/int/long", test_int_long);
    g_test_add_func("/excp/int/long-ist", test_int_long_ist);
    g_test_add_func("/excp/int/long-faults", test_int_long_faults);
    g_test_add_func("/excp/iret/long", test_iret_long);
    g_test_add_func("/excp/iret/fs-base", test_iret_keeps_fs_base);
    g_test_add_func("/excp/iret/stack16", test_iret_16bit_stack);
    g_test_add_func("/excp/vm86/int", test_vm86);
    g_test_add_func("/excp/vm86/iopl-vme", test_vm86_iopl);
    g_test_add_func("/excp/fault/table", test_escalation_table);
    g_test_add_func("/excp/fault/double", test_double_fault);
    g_test_add_func("/excp/fault/triple", test_triple_fault);
    g_test_add_func("/excp/fault/stack", test_double_fault_by_stack);
    g_test_add_func("/excp/fault/debug", test_debug_exception);
    return g_test_run();
}
