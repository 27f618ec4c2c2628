/*
 * Protection: descriptor checks, far transfers, gates, interrupts and IRET in
 * every mode, task switches, double and triple faults. SDM 3A, 5 to 7.
 *
 * A Bench is a fake CPU over 1 MiB with a GDT, an LDT, an IDT and TSSs in it;
 * tables say which selector gives which fault.
 */
#include "util/osdep.h"
#include "tests/lib/fake-access.h"
#include "target-x86/cpuid.h"
#include "target-x86/flags.h"
#include "target-x86/seg.h"

enum {
    GDT = 0x1000,
    LDT = 0x1800,
    IDT = 0x2000,
    TSS = 0x4000,
    TSS_B = 0x5000,
    TSS_16 = 0x6000,
    STACK0 = 0x9000, /* of ring 0, from the TSS */
    STACK3 = 0xa000,
    STACK_IST = 0xb000,
    HANDLER = 0x12345,
};

/* Selectors of the GDT. */
enum {
    NUL = 0,
    CODE0 = 0x08,
    DATA0 = 0x10,
    CODE3 = 0x18,
    DATA3 = 0x20,
    CONF0 = 0x28,    /* conforming code, DPL 0 */
    ABSENT_C = 0x30, /* code, not present */
    RO0 = 0x38,      /* data, read-only */
    ABSENT_D = 0x40, /* data, not present */
    XONLY = 0x48,    /* code, not readable */
    LDTSEL = 0x50,
    TSSSEL = 0x58,
    TSSB = 0x60,
    TASKG = 0x68,   /* task gate to TSSB, DPL 3 */
    GATE32 = 0x70,  /* call gate to CODE0, DPL 3, 2 parameters */
    GATE16 = 0x78,  /* 16-bit call gate to CODE0, DPL 3, no parameters */
    GATE_AB = 0x80, /* call gate, not present */
    GATE0 = 0x88,   /* call gate, DPL 0 */
    CODE64 = 0x90,
    CODE64_3 = 0x98,
    TSS16 = 0xa0,
    STACK16 = 0xa8,   /* 16-bit data, DPL 3 */
    GATE64 = 0xb0,    /* 64-bit call gate (two slots) */
    BOTH = 0xc0,      /* code with L and D */
    TSS_AB = 0xc8,    /* TSS, not present */
    TSS_SHORT = 0xd0, /* TSS, too small */
    CODE16 = 0xd8,
    GATE_N = 0xe0, /* call gate to the null selector */
    GDT_END = 0xe8,
    LDATA = 0x04, /* first entry of the LDT */
};

typedef struct Bench {
    FakeCpu *f;
    X86Cpu *c;
    CpuModel *model;
} Bench;

static void put64(Bench *b, uint64_t lin, uint64_t v)
{
    memcpy(fake_ptr(b->f, lin), &v, 8);
}

static void put32(Bench *b, uint64_t lin, uint32_t v)
{
    memcpy(fake_ptr(b->f, lin), &v, 4);
}

static void put16(Bench *b, uint64_t lin, uint16_t v)
{
    memcpy(fake_ptr(b->f, lin), &v, 2);
}

static uint64_t get64(Bench *b, uint64_t lin)
{
    uint64_t v;

    memcpy(&v, fake_ptr(b->f, lin), 8);
    return v;
}

static uint32_t get32(Bench *b, uint64_t lin)
{
    return (uint32_t)get64(b, lin);
}

static uint16_t get16(Bench *b, uint64_t lin)
{
    return (uint16_t)get64(b, lin);
}

/* @access: P DPL S type; @flags: G D L AVL. */
static uint64_t descriptor(uint32_t base, uint32_t limit, unsigned access,
                           unsigned flags)
{
    return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
           (uint64_t)access << 40 | (uint64_t)(limit >> 16 & 15) << 48 |
           (uint64_t)flags << 52 | (uint64_t)(base >> 24) << 56;
}

static uint64_t gate(uint16_t sel, uint32_t off, unsigned access, unsigned low)
{
    return (off & 0xffff) | (uint64_t)sel << 16 | (uint64_t)low << 32 |
           (uint64_t)access << 40 | (uint64_t)(off >> 16) << 48;
}

static void bench_gdt(Bench *b)
{
    static const struct {
        uint16_t sel;
        uint32_t base, limit;
        uint8_t access, flags;
    } rows[] = {
        { CODE0, 0, 0xfffff, 0x9a, 0xc },
        { DATA0, 0, 0xfffff, 0x92, 0xc },
        { CODE3, 0, 0xfffff, 0xfa, 0xc },
        { DATA3, 0, 0xfffff, 0xf2, 0xc },
        { CONF0, 0, 0xfffff, 0x9e, 0xc },
        { ABSENT_C, 0, 0xfffff, 0x1a, 0xc },
        { RO0, 0, 0xfffff, 0x90, 0xc },
        { ABSENT_D, 0, 0xfffff, 0x12, 0xc },
        { XONLY, 0, 0xfffff, 0x98, 0xc },
        { LDTSEL, LDT, 0x17, 0x82, 0 },
        { TSSSEL, TSS, 0x1ff, 0x8b, 0 },
        { TSSB, TSS_B, 0x67, 0x89, 0 },
        { CODE64, 0, 0xfffff, 0x9a, 0xa },
        { CODE64_3, 0, 0xfffff, 0xfa, 0xa },
        { TSS16, TSS_16, 0x2b, 0x81, 0 },
        { STACK16, 0, 0xffff, 0xf2, 0 },
        { BOTH, 0, 0xfffff, 0x9a, 0xe },
        { TSS_AB, TSS_B, 0x67, 0x09, 0 },
        { TSS_SHORT, TSS_B, 0x66, 0x89, 0 },
        { CODE16, 0, 0xffff, 0x9a, 0 },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        put64(b, GDT + rows[i].sel,
              descriptor(rows[i].base, rows[i].limit, rows[i].access,
                         rows[i].flags));
    }
    put64(b, GDT + TASKG, gate(TSSB, 0, 0xe5, 0));
    put64(b, GDT + GATE32, gate(CODE0, HANDLER, 0xec, 2));
    put64(b, GDT + GATE16, gate(CODE0, 0x2345, 0xe4, 0));
    put64(b, GDT + GATE_AB, gate(CODE0, HANDLER, 0x6c, 0));
    put64(b, GDT + GATE0, gate(CODE0, HANDLER, 0x8c, 0));
    put64(b, GDT + GATE_N, gate(0, HANDLER, 0xec, 0));
    put64(b, GDT + GATE64, gate(CODE64, HANDLER, 0xec, 0));
    put64(b, GDT + GATE64 + 8, 0);
    put64(b, LDT, descriptor(0, 0xfffff, 0xf2, 0xc));
}

static void bench_tss(Bench *b)
{
    if (b->c->mode.long_mode) {
        put64(b, TSS + 4, STACK0);
        put64(b, TSS + 36, STACK_IST);
    } else {
        put32(b, TSS + 4, STACK0);
        put16(b, TSS + 8, DATA0);
    }
    put16(b, TSS + 102, 0x88); /* I/O map, behind the redirection map */
    b->c->s.tr =
        (X86Seg) { .sel = TSSSEL, .attr = 0x8b00, .limit = 0x1ff, .base = TSS };
    b->c->s.ldt =
        (X86Seg) { .sel = LDTSEL, .attr = 0x8200, .limit = 0x17, .base = LDT };
}

static uint64_t code_of(Bench *b, unsigned cpl)
{
    return b->c->mode.code64 ? (cpl ? CODE64_3 : CODE64)
                             : (cpl ? CODE3 : CODE0);
}

static void set_seg(Bench *b, unsigned seg, uint16_t sel)
{
    SegDesc d = { 0 };
    uint64_t v = get64(b, GDT + (sel & ~7));

    d.lo = (uint32_t)v;
    d.hi = (uint32_t)(v >> 32) | SEG_A;
    seg_set(b->c, seg, sel, &d);
}

/* Registers as they are when code at @cpl runs. */
static void bench_at(Bench *b, unsigned cpl)
{
    X86State *s = &b->c->s;

    set_seg(b, S_CS, (uint16_t)code_of(b, cpl) | cpl);
    set_seg(b, S_SS, (cpl ? DATA3 : DATA0) | cpl);
    for (unsigned i = 0; i < S_COUNT; i++) {
        if (i != S_CS && i != S_SS) {
            set_seg(b, i, DATA3 | 3);
        }
    }
    s->gpr[R_RSP] = cpl ? STACK3 : STACK0 - 0x100;
    s->rip = 0x7777;
    x86_update_mode(b->c);
}

static void bench_new(Bench *b, FakeMode mode)
{
    X86State *s;

    b->f = fake_new(mode, 0, 0x100000);
    b->c = &b->f->cpu;
    b->model = cpu_model_new("max", NULL, NULL);
    b->c->model = b->model;
    s = &b->c->s;
    s->gdt_base = GDT;
    s->gdt_limit = GDT_END - 1;
    s->idt_base = IDT;
    s->idt_limit = mode == FAKE_REAL ? 0x3ff : 0xfff;
    bench_gdt(b);
    bench_tss(b);
    if (mode >= FAKE_PROT32) {
        bench_at(b, 0);
    }
}

static void bench_free(Bench *b)
{
    fake_free(b->f);
    cpu_model_free(b->model);
}

/* The vector that @call raised, or -1. */
#define ATTEMPT(b, call) \
    (sigsetjmp((b)->c->unwind, 0) == 0 \
         ? ((b)->c->fault = (X86Fault) { .vector = -1 }, (call), -1) \
         : (b)->c->fault.vector)

#define EXPECT(b, call, vec, err) \
    do { \
        int got_ = ATTEMPT(b, call); \
        g_assert_cmpint(got_, ==, vec); \
        if (got_ >= 0) { \
            g_assert_cmphex((b)->c->fault.error, ==, err); \
        } \
    } while (0)

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

static bool deliver(Bench *b, int vector, uint32_t error)
{
    b->c->fault = (X86Fault) {
        .vector = vector, .has_error = true, .error = error, .cr2 = 0xbad
    };
    return x86_deliver_fault(b->c);
}

static void deliver_ok(Bench *b, int vector, uint32_t error)
{
    bool ok = deliver(b, vector, error);

    g_assert_true(ok);
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
    g_test_add_func("/prot/int/real", test_int_real);
    g_test_add_func("/prot/int/faults", test_int_faults);
    g_test_add_func("/prot/int/inner", test_int_inner);
    g_test_add_func("/prot/int/same16", test_int_same_16);
    g_test_add_func("/prot/int/long", test_int_long);
    g_test_add_func("/prot/int/long-ist", test_int_long_ist);
    g_test_add_func("/prot/int/long-faults", test_int_long_faults);
    g_test_add_func("/prot/iret/long", test_iret_long);
    g_test_add_func("/prot/iret/fs-base", test_iret_keeps_fs_base);
    g_test_add_func("/prot/iret/stack16", test_iret_16bit_stack);
    g_test_add_func("/prot/vm86/int", test_vm86);
    g_test_add_func("/prot/vm86/iopl-vme", test_vm86_iopl);
    g_test_add_func("/prot/fault/table", test_escalation_table);
    g_test_add_func("/prot/fault/double", test_double_fault);
    g_test_add_func("/prot/fault/triple", test_triple_fault);
    g_test_add_func("/prot/fault/stack", test_double_fault_by_stack);
    g_test_add_func("/prot/fault/debug", test_debug_exception);
    g_test_add_func("/prot/task/jmp", test_task_jmp);
    g_test_add_func("/prot/task/call-iret", test_task_call_iret);
    g_test_add_func("/prot/task/gate", test_task_gate_int);
    g_test_add_func("/prot/task/faults", test_task_faults);
    g_test_add_func("/prot/task/tss16", test_task_16);
    g_test_add_func("/prot/task/trap", test_task_trap_bit);
    return g_test_run();
}
