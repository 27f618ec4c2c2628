/*
 * A Bench is a fake CPU over 1 MiB with a GDT, an LDT, an IDT and TSSs in it,
 * for tests of protection: tables say which selector gives which fault.
 */
#ifndef TESTS_LIB_PROT_BENCH_H
#define TESTS_LIB_PROT_BENCH_H

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

static inline void put64(Bench *b, uint64_t lin, uint64_t v)
{
    memcpy(fake_ptr(b->f, lin), &v, 8);
}

static inline void put32(Bench *b, uint64_t lin, uint32_t v)
{
    memcpy(fake_ptr(b->f, lin), &v, 4);
}

static inline void put16(Bench *b, uint64_t lin, uint16_t v)
{
    memcpy(fake_ptr(b->f, lin), &v, 2);
}

static inline uint64_t get64(Bench *b, uint64_t lin)
{
    uint64_t v;

    memcpy(&v, fake_ptr(b->f, lin), 8);
    return v;
}

static inline uint32_t get32(Bench *b, uint64_t lin)
{
    return (uint32_t)get64(b, lin);
}

static inline uint16_t get16(Bench *b, uint64_t lin)
{
    return (uint16_t)get64(b, lin);
}

/* @access: P DPL S type; @flags: G D L AVL. */
static inline uint64_t descriptor(uint32_t base, uint32_t limit,
                                  unsigned access, unsigned flags)
{
    return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
           (uint64_t)access << 40 | (uint64_t)(limit >> 16 & 15) << 48 |
           (uint64_t)flags << 52 | (uint64_t)(base >> 24) << 56;
}

static inline uint64_t gate(uint16_t sel, uint32_t off, unsigned access,
                            unsigned low)
{
    return (off & 0xffff) | (uint64_t)sel << 16 | (uint64_t)low << 32 |
           (uint64_t)access << 40 | (uint64_t)(off >> 16) << 48;
}

static inline void bench_gdt(Bench *b)
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

static inline void bench_tss(Bench *b)
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

static inline uint64_t code_of(Bench *b, unsigned cpl)
{
    return b->c->mode.code64 ? (cpl ? CODE64_3 : CODE64)
                             : (cpl ? CODE3 : CODE0);
}

static inline void set_seg(Bench *b, unsigned seg, uint16_t sel)
{
    SegDesc d = { 0 };
    uint64_t v = get64(b, GDT + (sel & ~7));

    d.lo = (uint32_t)v;
    d.hi = (uint32_t)(v >> 32) | SEG_A;
    seg_set(b->c, seg, sel, &d);
}

/* Registers as they are when code at @cpl runs. */
static inline void bench_at(Bench *b, unsigned cpl)
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

static inline void bench_new(Bench *b, FakeMode mode)
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

static inline void bench_free(Bench *b)
{
    fake_free(b->f);
    cpu_model_free(b->model);
}

#define EXPECT(b, call, vec, err) \
    do { \
        int got_ = ATTEMPT(b, call); \
        g_assert_cmpint(got_, ==, vec); \
        if (got_ >= 0) { \
            g_assert_cmphex((b)->c->fault.error, ==, err); \
        } \
    } while (0)

static inline bool deliver(Bench *b, int vector, uint32_t error)
{
    b->c->fault = (X86Fault) {
        .vector = vector, .has_error = true, .error = error, .cr2 = 0xbad
    };
    return x86_deliver_fault(b->c);
}

static inline void deliver_ok(Bench *b, int vector, uint32_t error)
{
    bool ok = deliver(b, vector, error);

    g_assert_true(ok);
}

#endif
