/*
 * Protection: descriptor checks, far transfers, call gates and task switches.
 * SDM 3A, 5 and 7. Interrupts are in test-excp.c.
 */
#include "util/osdep.h"
#include "tests/lib/prot-bench.h"

/* ---- data segments ------------------------------------------------------------ */

static void test_seg_load(void)
{
    static const struct {
        uint8_t cpl, seg;
        uint16_t sel;
        int vector;
        uint16_t error;
    } rows[] = {
        { 0, S_DS, DATA0, -1, 0 },
        { 0, S_DS, NUL, -1, 0 },
        { 0, S_DS, 3, -1, 0 },
        { 0, S_DS, DATA0 | 3, EXC_GP, DATA0 }, /* RPL > DPL */
        { 3, S_DS, DATA0, EXC_GP, DATA0 },     /* CPL > DPL */
        { 3, S_DS, DATA3, -1, 0 },
        { 3, S_ES, CONF0 | 3, -1, 0 }, /* conforming: no DPL rule */
        { 0, S_FS, XONLY, EXC_GP, XONLY },
        { 0, S_GS, ABSENT_D, EXC_NP, ABSENT_D },
        { 0, S_DS, TSSSEL, EXC_GP, TSSSEL }, /* a system descriptor */
        { 0, S_DS, GDT_END, EXC_GP, GDT_END },
        { 0, S_DS, LDATA, -1, 0 },
        { 0, S_DS, 0x1c, EXC_GP, 0x1c }, /* beyond the LDT */
        { 0, S_DS, RO0, -1, 0 },
        { 0, S_SS, NUL, EXC_GP, 0 },
        { 0, S_SS, DATA0, -1, 0 },
        { 0, S_SS, DATA0 | 3, EXC_GP, DATA0 },
        { 0, S_SS, DATA3 | 3, EXC_GP, DATA3 },
        { 3, S_SS, DATA3 | 3, -1, 0 },
        { 0, S_SS, RO0, EXC_GP, RO0 },
        { 0, S_SS, CODE0, EXC_GP, CODE0 },
        { 0, S_SS, ABSENT_D, EXC_SS, ABSENT_D },
    };
    Bench b;

    bench_new(&b, FAKE_PROT32);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        X86Seg *sg = &b.c->s.seg[rows[i].seg], old;

        bench_at(&b, rows[i].cpl);
        old = *sg;
        g_test_message("row %u: selector %x", i, rows[i].sel);
        EXPECT(&b, seg_load(b.c, rows[i].seg, rows[i].sel), rows[i].vector,
               rows[i].error);
        if (rows[i].vector >= 0) {
            g_assert_cmpmem(&old, sizeof(old), sg, sizeof(*sg));
        } else {
            g_assert_cmphex(sg->sel, ==, rows[i].sel);
            g_assert_cmpint(sg->unusable, ==, !(rows[i].sel & ~3));
        }
    }
    bench_free(&b);
}

static void test_seg_accessed(void)
{
    Bench b;

    bench_new(&b, FAKE_PROT32);
    seg_load(b.c, S_DS, DATA0);
    g_assert_cmphex(get64(&b, GDT + DATA0) >> 40 & 0xff, ==, 0x93);
    g_assert_cmphex(b.c->s.seg[S_DS].attr, ==, 0xc09300);
    g_assert_cmphex(b.c->s.seg[S_DS].limit, ==, 0xffffffff);
    bench_free(&b);
}

/* 64-bit code below ring 3 may have a null SS of its own privilege. */
static void test_seg_null_ss64(void)
{
    Bench b;

    bench_new(&b, FAKE_LONG64);
    EXPECT(&b, seg_load(b.c, S_SS, 0), -1, 0);
    g_assert_true(b.c->s.seg[S_SS].unusable);
    EXPECT(&b, seg_load(b.c, S_SS, 1), EXC_GP, 0);
    bench_at(&b, 3);
    EXPECT(&b, seg_load(b.c, S_SS, 3), EXC_GP, 0);
    bench_free(&b);
}

static void test_seg_real(void)
{
    Bench b;

    bench_new(&b, FAKE_REAL);
    b.c->s.seg[S_DS].limit = 0xffffffff; /* unreal */
    seg_load(b.c, S_DS, 0x1234);
    g_assert_cmphex(b.c->s.seg[S_DS].base, ==, 0x12340);
    g_assert_cmphex(b.c->s.seg[S_DS].limit, ==, 0xffffffff);
    fake_mode(b.f, FAKE_VM86);
    seg_load(b.c, S_ES, 0xffff);
    g_assert_cmphex(b.c->s.seg[S_ES].base, ==, 0xffff0);
    g_assert_cmphex(b.c->s.seg[S_ES].attr, ==, 0xf300);
    bench_free(&b);
}

/* ---- JMP ------------------------------------------------------------------------- */

static void test_far_jmp(void)
{
    static const struct {
        uint8_t cpl;
        uint16_t sel;
        uint64_t off;
        int vector;
        uint16_t error;
    } rows[] = {
        { 0, CODE0, 0x100, -1, 0 },
        { 0, NUL, 0x100, EXC_GP, 0 },
        { 0, DATA0, 0x100, EXC_GP, DATA0 },
        { 0, CODE3, 0x100, EXC_GP, CODE3 },
        { 3, CODE0, 0x100, EXC_GP, CODE0 },
        { 3, CODE3 | 3, 0x100, -1, 0 },
        { 3, CONF0 | 3, 0x100, -1, 0 },
        { 0, ABSENT_C, 0x100, EXC_NP, ABSENT_C },
        { 0, CODE0 | 3, 0x100, EXC_GP, CODE0 }, /* RPL > CPL */
        { 0, CODE16, 0xffff, -1, 0 },
        { 0, CODE16, 0x10000, EXC_GP, 0 }, /* beyond its limit */
        { 0, GDT_END, 0x100, EXC_GP, GDT_END },
        { 0, GATE32, 0x100, -1, 0 },
        { 3, GATE32, 0x100, EXC_GP, CODE0 }, /* JMP stays at its level */
        { 3, GATE0, 0x100, EXC_GP, GATE0 },
        { 0, GATE_AB, 0x100, EXC_NP, GATE_AB },
        { 0, GATE_N, 0x100, EXC_GP, 0 },
        { 0, LDTSEL, 0x100, EXC_GP, LDTSEL },
        { 0, TSSSEL, 0x100, EXC_GP, TSSSEL }, /* busy */
        { 3, TSSB | 3, 0x100, EXC_GP, TSSB },
        { 0, TSS_AB, 0x100, EXC_NP, TSS_AB },
        { 0, TSS_SHORT, 0x100, EXC_TS, TSS_SHORT },
    };
    Bench b;

    bench_new(&b, FAKE_PROT32);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        bench_at(&b, rows[i].cpl);
        g_test_message("row %u: selector %x", i, rows[i].sel);
        EXPECT(&b, far_jmp(b.c, rows[i].sel, rows[i].off, 4, 0x7780),
               rows[i].vector, rows[i].error);
        if (rows[i].vector >= 0) {
            g_assert_cmphex(b.c->s.rip, ==, 0x7777);
        } else {
            g_assert_cmpint(b.c->s.seg[S_CS].sel & 3, ==, rows[i].cpl);
            g_assert_cmphex(b.c->s.rip, ==,
                            rows[i].sel == GATE32 ? HANDLER : rows[i].off);
        }
    }
    bench_free(&b);
}

static void test_far_jmp_long(void)
{
    Bench b;

    bench_new(&b, FAKE_LONG64);
    EXPECT(&b, far_jmp(b.c, CODE64, 0xffff800000000000, 8, 0), -1, 0);
    EXPECT(&b, far_jmp(b.c, CODE64, 0x0000800000000000, 8, 0), EXC_GP, 0);
    EXPECT(&b, far_jmp(b.c, BOTH, 0x100, 8, 0), EXC_GP, BOTH);
    EXPECT(&b, far_jmp(b.c, TSSB, 0x100, 8, 0), EXC_GP, TSSB);
    EXPECT(&b, far_jmp(b.c, GATE64, 0x100, 8, 0), -1, 0);
    g_assert_cmphex(b.c->s.rip, ==, HANDLER);
    put64(&b, GDT + GATE64 + 8, UINT64_C(0x1f00) << 32);
    EXPECT(&b, far_jmp(b.c, GATE64, 0x100, 8, 0), EXC_GP, GATE64);
    /* to compatibility mode */
    EXPECT(&b, far_jmp(b.c, CODE0, 0x100, 4, 0), -1, 0);
    g_assert_false(b.c->mode.code64);
    g_assert_cmpint(b.c->mode.code_bits, ==, 32);
    bench_free(&b);
}

static void test_far_jmp_real(void)
{
    Bench b;

    bench_new(&b, FAKE_REAL);
    far_jmp(b.c, 0xf000, 0xfff0, 2, 0);
    g_assert_cmphex(b.c->s.seg[S_CS].base, ==, 0xf0000);
    g_assert_cmphex(b.c->s.rip, ==, 0xfff0);
    EXPECT(&b, far_jmp(b.c, 0, 0x10000, 4, 0), EXC_GP, 0);
    bench_free(&b);
}

/* ---- CALL and RET ------------------------------------------------------------------ */

static void test_far_call_ret(void)
{
    X86State *s;
    Bench b;

    bench_new(&b, FAKE_PROT32);
    s = &b.c->s;
    s->gpr[R_RSP] = 0x8000;
    far_call(b.c, CODE0, 0x100, 4, 0x7780);
    g_assert_cmphex(s->rip, ==, 0x100);
    g_assert_cmphex(s->gpr[R_RSP], ==, 0x8000 - 8);
    g_assert_cmphex(get32(&b, 0x7ff8), ==, 0x7780);
    g_assert_cmphex(get32(&b, 0x7ffc), ==, CODE0);
    far_ret(b.c, 4, 12);
    g_assert_cmphex(s->rip, ==, 0x7780);
    g_assert_cmphex(s->gpr[R_RSP], ==, 0x8000 + 12);

    /* No room: nothing changes. */
    s->gpr[R_RSP] = 0x200004;
    EXPECT(&b, far_call(b.c, CODE0, 0x100, 4, 0x7790), EXC_PF, 2);
    g_assert_cmphex(s->gpr[R_RSP], ==, 0x200004);
    bench_free(&b);
}

/* Ring 3 calls ring 0 through a gate with two parameters, and comes back. */
static void test_call_gate(void)
{
    X86State *s;
    Bench b;

    bench_new(&b, FAKE_PROT32);
    s = &b.c->s;
    bench_at(&b, 3);
    put32(&b, STACK3, 0x11111111);
    put32(&b, STACK3 + 4, 0x22222222);
    far_call(b.c, GATE32 | 3, 0, 4, 0x7780);
    g_assert_cmphex(s->rip, ==, HANDLER);
    g_assert_cmphex(s->seg[S_CS].sel, ==, CODE0);
    g_assert_cmphex(s->seg[S_SS].sel, ==, DATA0);
    g_assert_cmpint(b.c->mode.cpl, ==, 0);
    g_assert_cmphex(s->gpr[R_RSP], ==, STACK0 - 24);
    g_assert_cmphex(get32(&b, STACK0 - 4), ==, DATA3 | 3);
    g_assert_cmphex(get32(&b, STACK0 - 8), ==, STACK3);
    g_assert_cmphex(get32(&b, STACK0 - 12), ==, 0x22222222);
    g_assert_cmphex(get32(&b, STACK0 - 16), ==, 0x11111111);
    g_assert_cmphex(get32(&b, STACK0 - 20), ==, CODE3 | 3);
    g_assert_cmphex(get32(&b, STACK0 - 24), ==, 0x7780);

    /* DS of the kernel must not stay with the program. */
    seg_load(b.c, S_DS, DATA0);
    far_ret(b.c, 4, 8);
    g_assert_cmphex(s->rip, ==, 0x7780);
    g_assert_cmpint(b.c->mode.cpl, ==, 3);
    g_assert_cmphex(s->gpr[R_RSP], ==, STACK3 + 8);
    g_assert_cmphex(s->seg[S_DS].sel, ==, 0);
    g_assert_true(s->seg[S_DS].unusable);
    g_assert_cmphex(s->seg[S_ES].sel, ==, DATA3 | 3);
    bench_free(&b);
}

static void test_call_gate_16(void)
{
    X86State *s;
    Bench b;

    bench_new(&b, FAKE_PROT32);
    s = &b.c->s;
    far_call(b.c, GATE16, 0, 4, 0x17780);
    g_assert_cmphex(s->rip, ==, 0x2345);
    g_assert_cmphex(s->gpr[R_RSP], ==, STACK0 - 0x104);
    g_assert_cmphex(get16(&b, STACK0 - 0x104), ==, 0x7780);
    bench_free(&b);
}

static void test_call_gate_stack_faults(void)
{
    static const struct {
        uint16_t ss;
        int vector;
        uint16_t error;
    } rows[] = {
        { NUL, EXC_TS, 0 },
        { GDT_END, EXC_TS, GDT_END },
        { DATA3 | 3, EXC_TS, DATA3 },
        { DATA0 | 1, EXC_TS, DATA0 },
        { CODE0, EXC_TS, CODE0 },
        { RO0, EXC_TS, RO0 },
        { ABSENT_D, EXC_SS, ABSENT_D },
    };
    Bench b;

    bench_new(&b, FAKE_PROT32);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        bench_at(&b, 3);
        put16(&b, TSS + 8, rows[i].ss);
        EXPECT(&b, far_call(b.c, GATE32, 0, 4, 0x7780), rows[i].vector,
               rows[i].error);
        g_assert_cmphex(b.c->s.gpr[R_RSP], ==, STACK3);
    }
    b.c->s.tr.limit = 8; /* the stack pointer is beyond the TSS */
    EXPECT(&b, far_call(b.c, GATE32, 0, 4, 0x7780), EXC_TS, TSSSEL);
    bench_free(&b);
}

static void test_call_gate_64(void)
{
    X86State *s;
    Bench b;

    bench_new(&b, FAKE_LONG64);
    s = &b.c->s;
    bench_at(&b, 3);
    far_call(b.c, GATE64 | 3, 0, 4, 0x7780);
    g_assert_cmphex(s->rip, ==, HANDLER);
    g_assert_cmphex(s->seg[S_SS].sel, ==, 0);
    g_assert_true(s->seg[S_SS].unusable);
    g_assert_cmphex(s->gpr[R_RSP], ==, STACK0 - 32);
    g_assert_cmphex(get64(&b, STACK0 - 8), ==, DATA3 | 3);
    g_assert_cmphex(get64(&b, STACK0 - 16), ==, STACK3);
    g_assert_cmphex(get64(&b, STACK0 - 24), ==, CODE64_3 | 3);
    g_assert_cmphex(get64(&b, STACK0 - 32), ==, 0x7780);
    far_ret(b.c, 8, 0);
    g_assert_cmphex(s->gpr[R_RSP], ==, STACK3);
    g_assert_cmpint(b.c->mode.cpl, ==, 3);
    bench_free(&b);
}

static void test_far_ret_faults(void)
{
    static const struct {
        uint8_t cpl;
        uint16_t cs, ss;
        int vector;
        uint16_t error;
    } rows[] = {
        { 0, NUL, 0, EXC_GP, 0 },
        { 0, DATA0, 0, EXC_GP, DATA0 },
        { 3, CODE0, 0, EXC_GP, CODE0 }, /* to an inner level */
        { 0, ABSENT_C, 0, EXC_NP, ABSENT_C },
        { 0, CODE3, 0, EXC_GP, CODE3 }, /* DPL is not RPL */
        { 0, CODE3 | 3, NUL, EXC_GP, 0 },
        { 0, CODE3 | 3, DATA0, EXC_GP, DATA0 },
        { 0, CODE3 | 3, DATA3, EXC_GP, DATA3 },
        { 0, CODE3 | 3, CODE3 | 3, EXC_GP, CODE3 },
        { 0, CODE3 | 3, DATA3 | 3, -1, 0 },
        { 0, CONF0 | 3, DATA3 | 3, -1, 0 },
    };
    Bench b;

    bench_new(&b, FAKE_PROT32);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        uint64_t sp;

        bench_at(&b, rows[i].cpl);
        sp = b.c->s.gpr[R_RSP];
        put32(&b, sp, 0x1000);
        put32(&b, sp + 4, rows[i].cs);
        put32(&b, sp + 8, 0x8888);
        put32(&b, sp + 12, rows[i].ss);
        EXPECT(&b, far_ret(b.c, 4, 0), rows[i].vector, rows[i].error);
        g_assert_cmphex(b.c->s.gpr[R_RSP], ==,
                        rows[i].vector >= 0 ? sp : 0x8888);
    }
    bench_free(&b);
}

/* ---- tasks -------------------------------------------------------------------------------------------- */

static void task_b(Bench *b, uint16_t cs, uint16_t ss, uint32_t flags)
{
    for (unsigned i = 0; i < 8; i++) {
        put32(b, TSS_B + 40 + i * 4, 0x100 * (i + 1));
    }
    put32(b, TSS_B + 32, 0x4321);
    put32(b, TSS_B + 36, flags);
    put32(b, TSS_B + 56, 0xc000); /* ESP */
    put32(b, TSS_B + 72, DATA3);
    put32(b, TSS_B + 76, cs);
    put32(b, TSS_B + 80, ss);
    put32(b, TSS_B + 84, DATA3);
    put32(b, TSS_B + 88, 0);
    put32(b, TSS_B + 92, 0);
    put32(b, TSS_B + 96, LDTSEL);
}

static unsigned tss_type(Bench *b, uint16_t sel)
{
    return get64(b, GDT + sel) >> 40 & 15;
}

static void test_task_jmp(void)
{
    X86State *s;
    Bench b;

    bench_new(&b, FAKE_PROT32);
    s = &b.c->s;
    s->gpr[R_RBX] = 0xb0b;
    s->rflags = 2 | FL_CF;
    s->cr0 &= ~(uint64_t)CR0_TS;
    s->dr[7] = DR7_INIT | 0x3ff;
    task_b(&b, CODE0, DATA0, 2 | FL_ZF);
    far_jmp(b.c, TSSB, 0, 4, 0x7780);
    g_assert_cmphex(s->rip, ==, 0x4321);
    g_assert_cmphex(s->gpr[R_RAX], ==, 0x100);
    g_assert_cmphex(s->gpr[R_RSP], ==, 0xc000);
    g_assert_cmphex(s->rflags, ==, 2 | FL_ZF);
    g_assert_cmphex(s->tr.sel, ==, TSSB);
    g_assert_cmphex(s->tr.base, ==, TSS_B);
    g_assert_true(s->cr0 & CR0_TS);
    g_assert_cmphex(s->dr[7], ==, DR7_INIT | 0x2aa);
    g_assert_cmphex(tss_type(&b, TSSB), ==, 0xb);
    g_assert_cmphex(tss_type(&b, TSSSEL), ==, 0x9);
    /* The old task, put away. */
    g_assert_cmphex(get32(&b, TSS + 32), ==, 0x7780);
    g_assert_cmphex(get32(&b, TSS + 36), ==, 2 | FL_CF);
    g_assert_cmphex(get32(&b, TSS + 52), ==, 0xb0b);
    g_assert_cmphex(get16(&b, TSS + 76), ==, CODE0);
    bench_free(&b);
}

static void test_task_call_iret(void)
{
    X86State *s;
    Bench b;

    bench_new(&b, FAKE_PROT32);
    s = &b.c->s;
    s->rflags = 2 | FL_CF;
    task_b(&b, CODE3 | 3, DATA3 | 3, 2);
    far_call(b.c, TASKG, 0, 4, 0x7780);
    g_assert_cmphex(s->rip, ==, 0x4321);
    g_assert_cmpint(b.c->mode.cpl, ==, 3);
    g_assert_true(s->rflags & FL_NT);
    g_assert_cmphex(get16(&b, TSS_B), ==, TSSSEL); /* back link */
    g_assert_cmphex(tss_type(&b, TSSB), ==, 0xb);
    g_assert_cmphex(tss_type(&b, TSSSEL), ==, 0xb);

    far_iret(b.c, 4);
    g_assert_cmphex(s->rip, ==, 0x7780);
    g_assert_cmpint(b.c->mode.cpl, ==, 0);
    g_assert_cmphex(s->rflags, ==, 2 | FL_CF);
    g_assert_cmphex(tss_type(&b, TSSB), ==, 0x9);
    g_assert_cmphex(tss_type(&b, TSSSEL), ==, 0xb);
    g_assert_cmphex(get32(&b, TSS_B + 36) & FL_NT, ==, 0);

    /* IRET with NT to something that is not busy. */
    s->rflags |= FL_NT;
    put16(&b, TSS, TSSB);
    EXPECT(&b, far_iret(b.c, 4), EXC_TS, TSSB);
    put16(&b, TSS, DATA0);
    EXPECT(&b, far_iret(b.c, 4), EXC_TS, DATA0);
    bench_free(&b);
}

/* Interrupt through a task gate: the error code is on the new stack. */
static void test_task_gate_int(void)
{
    X86State *s;
    Bench b;

    bench_new(&b, FAKE_PROT32);
    s = &b.c->s;
    put64(&b, IDT + EXC_DF * 8, gate(TSSB, 0, 0x85, 0));
    task_b(&b, CODE0, DATA0, 2);
    deliver_ok(&b, EXC_DF, 0);
    g_assert_cmphex(s->rip, ==, 0x4321);
    g_assert_cmphex(s->gpr[R_RSP], ==, 0xc000 - 4);
    g_assert_cmphex(get32(&b, 0xc000 - 4), ==, 0);
    g_assert_cmphex(get32(&b, TSS + 32), ==, 0x7777);
    bench_free(&b);
}

/* Bad segments in the new TSS are faults of the new task. */
static void test_task_faults(void)
{
    static const struct {
        uint16_t cs, ss;
        int vector;
        uint16_t error;
    } rows[] = {
        { CODE0, DATA3, EXC_TS, DATA3 },       { CODE0, NUL, EXC_TS, 0 },
        { CODE0, ABSENT_D, EXC_SS, ABSENT_D }, { DATA0, DATA0, EXC_TS, DATA0 },
        { ABSENT_C, DATA0, EXC_NP, ABSENT_C }, { CODE3, DATA0, EXC_TS, CODE3 },
    };

    for (volatile unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Bench b;

        bench_new(&b, FAKE_PROT32);
        task_b(&b, rows[i].cs, rows[i].ss, 2);
        EXPECT(&b, far_jmp(b.c, TSSB, 0, 4, 0x7780), rows[i].vector,
               rows[i].error);
        g_assert_cmphex(b.c->s.tr.sel, ==, TSSB);
        g_assert_cmphex(b.c->s.rip, ==, 0x4321);
        bench_free(&b);
    }
}

static void test_task_16(void)
{
    X86State *s;
    Bench b;

    bench_new(&b, FAKE_PROT32);
    s = &b.c->s;
    put16(&b, TSS_16 + 14, 0x1111);
    put16(&b, TSS_16 + 16, 2 | FL_SF);
    put16(&b, TSS_16 + 18, 0xaaaa); /* AX */
    put16(&b, TSS_16 + 26, 0xd000); /* SP */
    put16(&b, TSS_16 + 34, DATA3);
    put16(&b, TSS_16 + 36, CODE0);
    put16(&b, TSS_16 + 38, DATA0);
    put16(&b, TSS_16 + 40, DATA3);
    far_jmp(b.c, TSS16, 0, 4, 0x7780);
    g_assert_cmphex(s->rip, ==, 0x1111);
    g_assert_cmphex(s->gpr[R_RAX] & 0xffff, ==, 0xaaaa);
    g_assert_cmphex(s->rflags, ==, 2 | FL_SF);
    g_assert_true(s->seg[S_FS].unusable);
    g_assert_cmphex(s->tr.attr >> 8 & 15, ==, 3);
    bench_free(&b);
}

static void test_task_trap_bit(void)
{
    Bench b;

    bench_new(&b, FAKE_PROT32);
    task_b(&b, CODE0, DATA0, 2);
    put16(&b, TSS_B + 100, 1);
    EXPECT(&b, far_jmp(b.c, TSSB, 0, 4, 0x7780), EXC_DB, 0);
    g_assert_cmphex(b.c->fault.dr6, ==, DR6_BT);
    bench_free(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/prot/seg/load", test_seg_load);
    g_test_add_func("/prot/seg/accessed", test_seg_accessed);
    g_test_add_func("/prot/seg/null-ss64", test_seg_null_ss64);
    g_test_add_func("/prot/seg/real", test_seg_real);
    g_test_add_func("/prot/jmp/protected", test_far_jmp);
    g_test_add_func("/prot/jmp/long", test_far_jmp_long);
    g_test_add_func("/prot/jmp/real", test_far_jmp_real);
    g_test_add_func("/prot/call/ret", test_far_call_ret);
    g_test_add_func("/prot/call/gate", test_call_gate);
    g_test_add_func("/prot/call/gate16", test_call_gate_16);
    g_test_add_func("/prot/call/gate64", test_call_gate_64);
    g_test_add_func("/prot/call/stack-faults", test_call_gate_stack_faults);
    g_test_add_func("/prot/ret/faults", test_far_ret_faults);
    g_test_add_func("/prot/task/jmp", test_task_jmp);
    g_test_add_func("/prot/task/call-iret", test_task_call_iret);
    g_test_add_func("/prot/task/gate", test_task_gate_int);
    g_test_add_func("/prot/task/faults", test_task_faults);
    g_test_add_func("/prot/task/tss16", test_task_16);
    g_test_add_func("/prot/task/trap", test_task_trap_bit);
    return g_test_run();
}
