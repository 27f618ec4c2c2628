/*
 * System instructions and what they reach: control registers and their
 * reserved bits, MSRs, fast system calls, reset, events between instructions,
 * and the text of a register dump. CPUID has test-cpuid.c.
 */
#include "util/osdep.h"
#include "tests/lib/model-bench.h"
#include "system/machine.h"
#include "target-x86/flags.h"
#include "target-x86/msr.h"
#include "target-x86/seg.h"

/* What accel/cpus.c would do. */
static int next_irq = -1;

void cpu_lower(X86Cpu *cpu, uint32_t bits)
{
    cpu->pending &= ~bits;
}

int cpu_ack_irq(X86Cpu *cpu)
{
    cpu->pending &= ~CPU_IRQ;
    return next_irq;
}

/* Runs encoded instructions; the vector or -1. */
static int run(Bench *b, const char *bytes, size_t len)
{
    FakeExit how = fake_bytes(b->f, bytes, len, NULL);

    g_assert_cmpint(how, !=, FAKE_UD);
    return how == FAKE_FAULT ? b->c->fault.vector : -1;
}
#define RUN(b, bytes) run(b, bytes, sizeof(bytes) - 1)

/* ---- control registers -------------------------------------------------------------- */

static void test_cr0(void)
{
    static const struct {
        FakeMode mode;
        uint64_t v;
        bool ok;
    } rows[] = {
        { FAKE_PROT32, CR0_PE | CR0_NE, true },
        { FAKE_PROT32, CR0_PG, false },          /* without PE */
        { FAKE_PROT32, CR0_PE | CR0_NW, false }, /* without CD */
        { FAKE_PROT32, CR0_PE | CR0_NW | CR0_CD, true },
        { FAKE_PROT32, CR0_PE | CR0_PG, true },
        { FAKE_PROT32, CR0_PE | UINT64_C(1) << 32, false },
        { FAKE_PROT32, CR0_PE | 1 << 6, true }, /* ignored */
        { FAKE_LONG64, CR0_PE, false }, /* paging stays in 64-bit mode */
        { FAKE_LONG64, CR0_PE | CR0_PG | CR0_WP, true },
        { FAKE_COMPAT32, CR0_PE, true },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Bench b;
        uint64_t old;

        bench_new(&b, rows[i].mode, "max");
        old = b.c->s.cr0;
        g_assert_cmpint(x86_set_cr0(b.c, rows[i].v), ==, rows[i].ok);
        g_assert_cmphex(b.c->s.cr0, ==,
                        rows[i].ok ? (rows[i].v | CR0_ET) & ~UINT64_C(0x40)
                                   : old);
        bench_free(&b);
    }
}

/* The way into long mode and out of it. */
static void test_long_mode_switch(void)
{
    X86State *s;
    Bench b;

    bench_new(&b, FAKE_PROT32, "max");
    s = &b.c->s;
    g_assert_true(x86_set_efer(b.c, EFER_LME | EFER_NXE | EFER_SCE));
    g_assert_false(x86_set_cr0(b.c, CR0_PE | CR0_PG)); /* no PAE */
    g_assert_true(x86_set_cr4(b.c, CR4_PAE));
    s->tr.attr = 0x8300;
    g_assert_false(x86_set_cr0(b.c, CR0_PE | CR0_PG)); /* 16-bit TSS */
    s->tr.attr = 0x8b00;
    s->seg[S_CS].attr |= SEG_L;
    g_assert_false(x86_set_cr0(b.c, CR0_PE | CR0_PG));
    s->seg[S_CS].attr &= ~SEG_L;
    g_assert_true(x86_set_cr0(b.c, CR0_PE | CR0_PG));
    g_assert_true(s->efer & EFER_LMA);
    g_assert_true(b.c->mode.long_mode);
    g_assert_false(x86_set_cr4(b.c, 0));         /* PAE must stay */
    g_assert_false(x86_set_efer(b.c, EFER_NXE)); /* and LME */
    g_assert_false(x86_set_cr4(b.c, CR4_PAE | CR4_LA57));
    g_assert_true(x86_set_cr4(b.c, CR4_PAE | CR4_PCIDE));
    g_assert_false(x86_set_cr0(b.c, CR0_PE)); /* not with PCIDs */
    g_assert_true(x86_set_cr3(b.c, UINT64_C(1) << 63 | 0x1005));
    g_assert_cmphex(s->cr3, ==, 0x1005);
    g_assert_false(x86_set_cr3(b.c, UINT64_C(1) << 40));
    g_assert_true(x86_set_cr4(b.c, CR4_PAE));
    g_assert_false(x86_set_cr4(b.c, CR4_PAE | CR4_PCIDE)); /* PCID 5 is on */
    g_assert_true(x86_set_cr0(b.c, CR0_PE));
    g_assert_cmphex(s->efer & (EFER_LMA | EFER_LME), ==, EFER_LME);
    bench_free(&b);
}

static void test_cr4_features(void)
{
    static const struct {
        const char *model;
        uint64_t bits;
        bool ok;
    } rows[] = {
        { "max", CR4_SMEP | CR4_SMAP | CR4_UMIP | CR4_FSGSBASE, true },
        { "max", CR4_OSXSAVE | CR4_PKE | CR4_PCE, true },
        { "max", CR4_VMXE, false },
        { "max", UINT64_C(1) << 23, false }, /* CET */
        { "max,-smap", CR4_SMAP, false },
        { "qemu64", CR4_SMEP, false },
        { "qemu64", CR4_PGE | CR4_PSE | CR4_OSFXSR, true },
        { "486", CR4_PAE, false },
        { "486", CR4_VME, true },
        { "Haswell", CR4_SMEP | CR4_FSGSBASE, true },
        { "Haswell", CR4_SMAP, false },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Bench b;

        bench_new(&b, FAKE_PROT32, rows[i].model);
        g_test_message("%s %" PRIx64, rows[i].model, rows[i].bits);
        g_assert_cmpint(x86_set_cr4(b.c, rows[i].bits), ==, rows[i].ok);
        bench_free(&b);
    }
}

static void test_efer_xcr0(void)
{
    Bench b;

    bench_new(&b, FAKE_PROT32, "pentium3");
    g_assert_false(x86_set_efer(b.c, EFER_SCE));
    g_assert_false(x86_set_xcr0(b.c, XCR0_X87));
    bench_free(&b);
    bench_new(&b, FAKE_PROT32, "max");
    g_assert_false(x86_set_efer(b.c, EFER_SVME));
    g_assert_true(x86_set_xcr0(b.c, XCR0_X87));
    g_assert_false(x86_set_xcr0(b.c, XCR0_SSE));
    g_assert_false(x86_set_xcr0(b.c, XCR0_X87 | XCR0_AVX));
    g_assert_true(x86_set_xcr0(b.c, 7 | XCR0_PKRU));
    g_assert_false(x86_set_xcr0(b.c, 0xe7));
    bench_free(&b);
}

static void test_mov_cr_dr(void)
{
    X86State *s;
    Bench b;

    bench_new(&b, FAKE_LONG64, "max");
    s = &b.c->s;
    s->gpr[R_RAX] = UINT64_C(1) << 32;
    g_assert_cmpint(RUN(&b, "\x0f\x22\xc0"), ==, EXC_GP); /* mov cr0, rax */
    s->gpr[R_RAX] = 5;
    g_assert_cmpint(RUN(&b, "\x44\x0f\x22\xc0"), ==, -1); /* mov cr8, rax */
    s->gpr[R_RAX] = 0;
    g_assert_cmpint(RUN(&b, "\x44\x0f\x20\xc0"), ==, -1); /* mov rax, cr8 */
    g_assert_cmphex(s->gpr[R_RAX], ==, 5);
    s->gpr[R_RAX] = 16;
    g_assert_cmpint(RUN(&b, "\x44\x0f\x22\xc0"), ==, EXC_GP);
    s->gpr[R_RBX] = 0xffffffff;
    g_assert_cmpint(RUN(&b, "\x0f\x23\xf3"), ==, -1); /* mov dr6, rbx */
    g_assert_cmphex(s->dr[6], ==, 0xffffeff0 | 0xf);
    g_assert_cmpint(RUN(&b, "\x0f\x23\xe3"), ==, -1); /* dr4 is dr6 */
    s->cr4 |= CR4_DE;
    g_assert_cmpint(RUN(&b, "\x0f\x23\xe3"), ==, EXC_UD);
    s->gpr[R_RBX] = DR7_GD;
    g_assert_cmpint(RUN(&b, "\x0f\x23\xfb"), ==, -1);
    g_assert_cmpint(RUN(&b, "\x0f\x21\xc0"), ==, EXC_DB); /* mov rax, dr0 */
    g_assert_cmphex(b.c->fault.dr6, ==, DR6_BD);
    g_assert_false(b.c->fault.trap);
    s->dr[7] = DR7_INIT;
    s->gpr[R_RBX] = UINT64_C(1) << 32;
    g_assert_cmpint(RUN(&b, "\x0f\x23\xfb"), ==, EXC_GP);
    bench_free(&b);
}

static void test_smsw_lmsw(void)
{
    X86State *s;
    Bench b;

    bench_new(&b, FAKE_PROT32, "max");
    s = &b.c->s;
    s->gpr[R_RAX] = 0xe;
    g_assert_cmpint(RUN(&b, "\x0f\x01\xf0"), ==, -1); /* lmsw ax: PE stays */
    g_assert_cmphex(s->cr0 & 0xf, ==, 0xf);
    g_assert_cmpint(RUN(&b, "\x0f\x06"), ==, -1); /* clts */
    g_assert_cmphex(s->cr0 & 0xf, ==, 0x7);
    fake_set_cpl(b.f, 3);
    g_assert_cmpint(RUN(&b, "\x0f\x01\xe1"), ==, -1); /* smsw ecx */
    g_assert_cmphex(s->gpr[R_RCX], ==, s->cr0);
    s->cr4 |= CR4_UMIP;
    g_assert_cmpint(RUN(&b, "\x0f\x01\xe1"), ==, EXC_GP);
    g_assert_cmpint(RUN(&b, "\x0f\x00\xc8"), ==, EXC_GP); /* str eax */
    bench_free(&b);
}

/* ---- descriptor tables --------------------------------------------------------------------- */

static void test_gdt_idt(void)
{
    static const uint8_t image[10] = { 0x34, 0x12, 0x78, 0x56, 0xbc,
                                       0x9a, 0xff, 0xff, 0xff, 0xff };
    X86State *s;
    Bench b;

    bench_new(&b, FAKE_LONG64, "max");
    s = &b.c->s;
    memcpy(fake_ptr(b.f, 0x100), image, sizeof(image));
    s->gpr[R_RBX] = 0x100;
    g_assert_cmpint(RUN(&b, "\x0f\x01\x13"), ==, -1); /* lgdt [rbx] */
    g_assert_cmphex(s->gdt_limit, ==, 0x1234);
    g_assert_cmphex(s->gdt_base, ==, 0xffffffff9abc5678);
    s->gpr[R_RBX] = 0x200;
    g_assert_cmpint(RUN(&b, "\x0f\x01\x03"), ==, -1); /* sgdt [rbx] */
    g_assert_cmpmem(fake_ptr(b.f, 0x200), 10, image, 10);
    *(uint8_t *)fake_ptr(b.f, 0x209) = 0x12;
    g_assert_cmpint(RUN(&b, "\x0f\x01\x1b"), ==, EXC_GP); /* lidt */
    bench_free(&b);

    bench_new(&b, FAKE_PROT32, "max");
    memcpy(fake_ptr(b.f, 0x100), image, sizeof(image));
    b.c->s.gpr[R_RBX] = 0x100;
    g_assert_cmpint(RUN(&b, "\x66\x0f\x01\x1b"), ==, -1); /* 24-bit base */
    g_assert_cmphex(b.c->s.idt_base, ==, 0xbc5678);
    bench_free(&b);
}

static void test_lldt_ltr(void)
{
    X86State *s;
    Bench b;

    bench_new(&b, FAKE_PROT32, "max");
    s = &b.c->s;
    s->gdt_base = 0x1000;
    s->gdt_limit = 0x3f;
    *(uint64_t *)fake_ptr(b.f, 0x1008) = 0x0000820020000017;
    *(uint64_t *)fake_ptr(b.f, 0x1010) = 0x0000890030000067;
    *(uint64_t *)fake_ptr(b.f, 0x1018) = 0x00cf92000000ffff;
    *(uint64_t *)fake_ptr(b.f, 0x1020) = 0x0000020020000017;
    s->gpr[R_RAX] = 8;
    g_assert_cmpint(RUN(&b, "\x0f\x00\xd0"), ==, -1); /* lldt ax */
    g_assert_cmphex(s->ldt.base, ==, 0x2000);
    s->gpr[R_RAX] = 0x18;
    g_assert_cmpint(RUN(&b, "\x0f\x00\xd0"), ==, EXC_GP);
    s->gpr[R_RAX] = 0x20;
    g_assert_cmpint(RUN(&b, "\x0f\x00\xd0"), ==, EXC_NP);
    g_assert_cmphex(b.c->fault.error, ==, 0x20);
    s->gpr[R_RAX] = 0;
    g_assert_cmpint(RUN(&b, "\x0f\x00\xd0"), ==, -1);
    g_assert_true(s->ldt.unusable);
    g_assert_cmpint(RUN(&b, "\x0f\x00\xd8"), ==, EXC_GP); /* ltr 0 */
    s->gpr[R_RAX] = 0x10;
    g_assert_cmpint(RUN(&b, "\x0f\x00\xd8"), ==, -1);
    g_assert_cmphex(s->tr.attr, ==, 0x8b00);
    g_assert_cmphex(*(uint8_t *)fake_ptr(b.f, 0x1015), ==, 0x8b);
    g_assert_cmpint(RUN(&b, "\x0f\x00\xd8"), ==, EXC_GP); /* busy now */
    bench_free(&b);
}

static void test_lar_lsl(void)
{
    static const struct {
        uint64_t desc;
        uint8_t cpl;
        int64_t lar, lsl; /* -1: ZF clear */
        bool verr, verw;
    } rows[] = {
        { 0x00cf92000000ffff, 0, 0xc09200, 0xffffffff, true, true },
        { 0x00cf92000000ffff, 3, -1, -1, false, false },
        { 0x00cf98000000ffff, 0, 0xc09800, 0xffffffff, false, false },
        { 0x00cf9e000000ffff, 3, 0xc09e00, 0xffffffff, true, false },
        { 0x00008b0020000067, 0, 0x8b00, 0x67, false, false },
        { 0x0000ec0020000067, 3, 0xec00, -1, false, false }, /* call gate */
        { 0x00008e0020000067, 0, -1, -1, false, false },     /* int gate */
    };
    Bench b;

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        X86State *s;

        bench_new(&b, FAKE_PROT32, "max");
        s = &b.c->s;
        s->gdt_base = 0x1000;
        s->gdt_limit = 0xf;
        *(uint64_t *)fake_ptr(b.f, 0x1008) = rows[i].desc;
        fake_set_cpl(b.f, rows[i].cpl);
        s->gpr[R_RAX] = 8;
        s->gpr[R_RCX] = s->gpr[R_RDX] = 0x77;
        g_assert_cmpint(RUN(&b, "\x0f\x02\xc8"), ==, -1); /* lar ecx, eax */
        g_assert_cmpint(!!(flags_get(b.c) & FL_ZF), ==, rows[i].lar >= 0);
        g_assert_cmphex(s->gpr[R_RCX], ==,
                        rows[i].lar >= 0 ? (uint64_t)rows[i].lar : 0x77);
        g_assert_cmpint(RUN(&b, "\x0f\x03\xd0"), ==, -1); /* lsl edx, eax */
        g_assert_cmphex(s->gpr[R_RDX], ==,
                        rows[i].lsl >= 0 ? (uint64_t)rows[i].lsl : 0x77);
        g_assert_cmpint(RUN(&b, "\x0f\x00\xe0"), ==, -1); /* verr */
        g_assert_cmpint(!!(flags_get(b.c) & FL_ZF), ==, rows[i].verr);
        g_assert_cmpint(RUN(&b, "\x0f\x00\xe8"), ==, -1); /* verw */
        g_assert_cmpint(!!(flags_get(b.c) & FL_ZF), ==, rows[i].verw);
        bench_free(&b);
    }
}

/* ---- MSRs -------------------------------------------------------------------------------------- */

static void test_msr_writes(void)
{
    static const struct {
        const char *model;
        uint32_t msr;
        uint64_t v;
        bool ok;
    } rows[] = {
        { "max", 0xc0000080, EFER_SCE | EFER_NXE, true },
        { "max", 0xc0000080, 1 << 1, false },
        { "max", 0xc0000082, 0xffffffff81000000, true },
        { "max", 0xc0000082, UINT64_C(1) << 60, false },
        { "max", 0xc0000084, UINT64_C(1) << 32, false },
        { "max", 0xc0000100, 0x7f0000000000, true },
        { "max,-la57", 0xc0000100, 0x0000800000000000, false },
        { "max", 0xc0000100, 0x0100000000000000, false },
        { "max", 0xc0000102, 0xffff888000000000, true },
        { "max", 0xc0000103, 0xfff, true },
        { "max", 0xc0000103, UINT64_C(1) << 32, false },
        { "max", 0x277, 0x0007040600070406, true },
        { "max", 0x277, 2, false }, /* no such memory type */
        { "max", 0x2ff, 0xc06, true },
        { "max", 0x2ff, 0xc02, false },
        { "max", 0x2ff, 0x1c06, false },
        { "max", 0x200, 0x80000006, true },
        { "max", 0x200, UINT64_C(1) << 40, false },
        { "max", 0x201, UINT64_C(0xff80000800), true },
        { "max", 0x201, 0xff, false },
        { "max", 0x26f, 0x0606060606060606, true },
        { "max", 0x26f, 0x0206060606060606, false },
        { "max", 0x1b, 0xfee00900, true },
        { "max", 0x1b, 0xfee00d00, true }, /* to x2APIC */
        { "max", 0x1b, 0xfee00500, false },
        { "max,-x2apic", 0x1b, 0xfee00d00, false },
        { "max", 0x48, 7, true },
        { "max", 0x48, 8, false },
        { "max", 0x48, 0x401, true }, /* BHI_DIS_S */
        { "max,-bhi-ctrl", 0x48, 0x401, false },
        { "max", 0x49, 1, true },
        { "max", 0x49, 2, false },
        { "qemu64", 0x48, 0, false },
        { "max", 0x10a, 0, false }, /* read-only */
        { "max", 0xda0, 0, true },
        { "max", 0xda0, 1 << 8, false },
        { "max", 0x400, UINT64_MAX, true },
        { "max", 0x401, 1, false },
        { "max", 0x401, 0, true },
        { "max", 0x17b, 1, false },
        { "max", 0x1a0, 1, true },
        { "max", 0x1a0, UINT64_C(1) << 34, false },
        { "EPYC", 0xc0010015, 1 << 24, true },
        { "EPYC", 0xc0011029, 2, true },
        { "max", 0xc0011029, 2, false },
        { "max", 0x12345678, 0, false },
        { "pentium", 0x277, 0, false },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        uint64_t v;
        Bench b;

        bench_new(&b, FAKE_PROT32, rows[i].model);
        g_test_message("%s: %x=%" PRIx64, rows[i].model, rows[i].msr,
                       rows[i].v);
        g_assert_cmpint(x86_wrmsr(b.c, rows[i].msr, rows[i].v), ==, rows[i].ok);
        if (rows[i].ok && x86_rdmsr(b.c, rows[i].msr, &v)) {
            g_assert_cmphex(v, ==, rows[i].v);
        }
        bench_free(&b);
    }
}

static void test_msr_reads(void)
{
    static const struct {
        const char *model;
        uint32_t msr;
        uint64_t v;
        bool ok;
    } rows[] = {
        { "max", 0xfe, 0x508, true },
        { "max", 0x179, 0x0100010a, true },
        { "max", 0x17, 0, true },
        { "EPYC", 0x17, 0, false },
        { "max", 0x8b, UINT64_C(1) << 32, true },
        { "EPYC", 0x8b, 0x01000065, true },
        { "max", 0x49, 0, false }, /* write-only */
        { "max", 0x34, 0, true },
        { "max", 0x808, 0, false }, /* no APIC in this test */
        { "Haswell", 0x10a, 0, false },
        { "max", 0xce, UINT64_C(0xa0000000a00), true },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        uint64_t v;
        Bench b;

        bench_new(&b, FAKE_PROT32, rows[i].model);
        g_test_message("%s: %x", rows[i].model, rows[i].msr);
        g_assert_cmpint(x86_rdmsr(b.c, rows[i].msr, &v), ==, rows[i].ok);
        g_assert_cmphex(v, ==, rows[i].v);
        bench_free(&b);
    }
}

/* msr_find() is a binary search: the table has to be in order. */
static void test_msr_order(void)
{
    static const uint32_t numbers[] = {
#define MSR(first, last, name, feature, vendor, rd, wr, field, bits) \
    first, last,
#include "target-x86/msr.def"
#undef MSR
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(numbers); i++) {
        g_assert_true(x86_msr_name(numbers[i]));
        g_assert_true(i == 0 || numbers[i] >= numbers[i - 1]);
    }
    g_assert_null(x86_msr_name(0x11));
}

static void test_msr_tsc(void)
{
    uint64_t v;
    Bench b;

    bench_new(&b, FAKE_PROT32, "max");
    g_assert_true(x86_wrmsr(b.c, 0x10, 1000));
    g_assert_true(x86_rdmsr(b.c, 0x3b, &v));
    g_assert_cmphex(v, ==, 1000);
    g_assert_true(x86_wrmsr(b.c, 0x3b, 400));
    g_assert_cmpuint(x86_tsc(b.c), ==, 400);
    b.c->s.tsc_aux = 0x1234;
    g_assert_cmpint(RUN(&b, "\x0f\x01\xf9"), ==, -1); /* rdtscp */
    g_assert_cmphex(b.c->s.gpr[R_RAX], ==, 400);
    g_assert_cmphex(b.c->s.gpr[R_RCX], ==, 0x1234);
    fake_set_cpl(b.f, 3);
    b.c->s.cr4 |= CR4_TSD;
    g_assert_cmpint(RUN(&b, "\x0f\x31"), ==, EXC_GP);
    bench_free(&b);
}

static void test_rdmsr_insn(void)
{
    X86State *s;
    Bench b;

    bench_new(&b, FAKE_LONG64, "max");
    s = &b.c->s;
    s->gpr[R_RCX] = 0xabc00000000 | 0xc0000102;
    s->gpr[R_RAX] = 0xffffffff12345678;
    s->gpr[R_RDX] = 0xffff8880;
    g_assert_cmpint(RUN(&b, "\x0f\x30"), ==, -1);
    g_assert_cmphex(s->kernel_gs_base, ==, 0xffff888012345678);
    s->gpr[R_RAX] = s->gpr[R_RDX] = UINT64_MAX;
    g_assert_cmpint(RUN(&b, "\x0f\x32"), ==, -1);
    g_assert_cmphex(s->gpr[R_RAX], ==, 0x12345678);
    g_assert_cmphex(s->gpr[R_RDX], ==, 0xffff8880);
    g_assert_cmpint(RUN(&b, "\x0f\x01\xf8"), ==, -1); /* swapgs */
    g_assert_cmphex(s->seg[S_GS].base, ==, 0xffff888012345678);
    s->gpr[R_RCX] = 0xc0000080; /* EFER: LME cannot change now */
    s->gpr[R_RAX] = 0;
    g_assert_cmpint(RUN(&b, "\x0f\x30"), ==, EXC_GP);
    bench_free(&b);
}

/* ---- fast system calls --------------------------------------------------------------------------- */

static void test_syscall(void)
{
    X86State *s;
    Bench b;

    bench_new(&b, FAKE_LONG64, "max");
    s = &b.c->s;
    fake_set_cpl(b.f, 3);
    s->star = UINT64_C(0x0023001000000000);
    s->lstar = 0xffffffff81000000;
    s->sfmask = FL_IF | FL_TF | FL_DF | FL_AC;
    s->rflags = 2 | FL_IF | FL_CF | FL_DF;
    s->rip = 0x400000;
    g_assert_cmpint(RUN(&b, "\x0f\x05"), ==, -1);
    g_assert_cmphex(s->rip, ==, 0xffffffff81000000);
    g_assert_cmphex(s->gpr[R_RCX], ==, 0x400002);
    g_assert_cmphex(s->gpr[R_R11], ==, 2 | FL_IF | FL_CF | FL_DF);
    g_assert_cmphex(s->rflags, ==, 2 | FL_CF);
    g_assert_cmphex(s->seg[S_CS].sel, ==, 0x10);
    g_assert_cmphex(s->seg[S_CS].attr, ==, 0xa09b00);
    g_assert_cmphex(s->seg[S_SS].sel, ==, 0x18);
    g_assert_cmpint(b.c->mode.cpl, ==, 0);

    g_assert_cmpint(RUN(&b, "\x48\x0f\x07"), ==, -1); /* sysretq */
    g_assert_cmphex(s->rip, ==, 0x400002);
    g_assert_cmphex(s->rflags, ==, 2 | FL_IF | FL_CF | FL_DF);
    g_assert_cmphex(s->seg[S_CS].sel, ==, 0x33);
    g_assert_cmphex(s->seg[S_SS].sel, ==, 0x2b);
    g_assert_cmpint(b.c->mode.cpl, ==, 3);
    g_assert_true(b.c->mode.code64);

    g_assert_cmpint(RUN(&b, "\x0f\x05"), ==, -1);
    s->gpr[R_RCX] = 0x0000800000000000;
    g_assert_cmpint(RUN(&b, "\x48\x0f\x07"), ==, EXC_GP);
    g_assert_cmpint(b.c->mode.cpl, ==, 0);
    s->gpr[R_RCX] = 0x80001000;
    g_assert_cmpint(RUN(&b, "\x0f\x07"), ==, -1); /* sysretl */
    g_assert_cmphex(s->seg[S_CS].sel, ==, 0x23);
    g_assert_cmpint(b.c->mode.code_bits, ==, 32);
    g_assert_cmpint(RUN(&b, "\x0f\x05"), ==, EXC_UD); /* Intel: 64-bit only */
    s->efer &= ~(uint64_t)EFER_SCE;
    g_assert_cmpint(RUN(&b, "\x0f\x05"), ==, EXC_UD);
    bench_free(&b);
}

static void test_syscall_amd(void)
{
    X86State *s;
    Bench b;

    bench_new(&b, FAKE_COMPAT32, "EPYC");
    s = &b.c->s;
    fake_set_cpl(b.f, 3);
    s->star = UINT64_C(0x0023001000000000);
    s->cstar = 0xffffffff82000000;
    g_assert_cmpint(RUN(&b, "\x0f\x05"), ==, -1);
    g_assert_cmphex(s->rip, ==, 0xffffffff82000000);
    s->gpr[R_RCX] = 0x0000800000000000; /* checked when it is used */
    g_assert_cmpint(RUN(&b, "\x48\x0f\x07"), ==, -1);
    s->sysenter_cs = 0x10;
    g_assert_cmpint(RUN(&b, "\x0f\x34"), ==, EXC_UD);
    bench_free(&b);
}

static void test_sysenter(void)
{
    X86State *s;
    Bench b;

    bench_new(&b, FAKE_PROT32, "max");
    s = &b.c->s;
    fake_set_cpl(b.f, 3);
    g_assert_cmpint(RUN(&b, "\x0f\x34"), ==, EXC_GP);
    s->sysenter_cs = 0x60;
    s->sysenter_esp = 0x5000;
    s->sysenter_eip = 0xc0100000;
    s->rflags |= FL_IF;
    g_assert_cmpint(RUN(&b, "\x0f\x34"), ==, -1);
    g_assert_cmphex(s->rip, ==, 0xc0100000);
    g_assert_cmphex(s->gpr[R_RSP], ==, 0x5000);
    g_assert_cmphex(s->seg[S_CS].sel, ==, 0x60);
    g_assert_cmphex(s->rflags & FL_IF, ==, 0);
    s->gpr[R_RDX] = 0x1234;
    s->gpr[R_RCX] = 0x6000;
    g_assert_cmpint(RUN(&b, "\x0f\x35"), ==, -1);
    g_assert_cmphex(s->rip, ==, 0x1234);
    g_assert_cmphex(s->seg[S_CS].sel, ==, 0x73);
    g_assert_cmphex(s->seg[S_SS].sel, ==, 0x7b);
    g_assert_cmpint(b.c->mode.cpl, ==, 3);
    bench_free(&b);
}

/* ---- the rest -------------------------------------------------------------------------------------- */

static void test_small_ones(void)
{
    X86State *s;
    Bench b;

    bench_new(&b, FAKE_LONG64, "max");
    s = &b.c->s;
    g_assert_cmpint(RUN(&b, "\x0f\x01\xcb"), ==, -1); /* stac */
    g_assert_true(s->rflags & FL_AC);
    g_assert_cmpint(RUN(&b, "\x0f\x01\xca"), ==, -1); /* clac */
    g_assert_false(s->rflags & FL_AC);
    g_assert_cmpint(RUN(&b, "\xf4"), ==, -1); /* hlt */
    g_assert_true(s->halted);
    g_assert_cmpint(RUN(&b, "\x0f\x01\xd0"), ==, -1); /* xgetbv */
    g_assert_cmphex(s->gpr[R_RAX], ==, 7);
    s->gpr[R_RCX] = 2;
    g_assert_cmpint(RUN(&b, "\x0f\x01\xd0"), ==, EXC_GP);
    s->cr4 &= ~(uint64_t)CR4_OSXSAVE;
    g_assert_cmpint(RUN(&b, "\x0f\x01\xd0"), ==, EXC_UD);
    s->gpr[R_RCX] = s->gpr[R_RDX] = 0;
    s->gpr[R_RAX] = 0x55555554;
    g_assert_cmpint(RUN(&b, "\x0f\x01\xef"), ==, EXC_UD); /* wrpkru */
    s->cr4 |= CR4_PKE | CR4_FSGSBASE;
    g_assert_cmpint(RUN(&b, "\x0f\x01\xef"), ==, -1);
    g_assert_cmphex(s->pkru, ==, 0x55555554);
    s->gpr[R_RBX] = 0x7f1234567890;
    g_assert_cmpint(RUN(&b, "\xf3\x48\x0f\xae\xd3"), ==, -1); /* wrfsbase */
    g_assert_cmphex(s->seg[S_FS].base, ==, 0x7f1234567890);
    s->gpr[R_RBX] = UINT64_C(1) << 62;
    g_assert_cmpint(RUN(&b, "\xf3\x48\x0f\xae\xd3"), ==, EXC_GP);
    g_assert_cmpint(RUN(&b, "\x0f\x33"), ==, EXC_GP); /* rdpmc */
    fake_set_cpl(b.f, 3);
    g_assert_cmpint(RUN(&b, "\x0f\x01\xcb"), ==, EXC_UD);
    bench_free(&b);
}

static void test_invpcid(void)
{
    static const struct {
        uint64_t type, pcid, addr;
        bool ok;
    } rows[] = {
        { 0, 0, 0x1000, true },  { 0, 0, 0x0000800000000000, false },
        { 0, 1, 0x1000, false }, /* CR4.PCIDE is clear */
        { 1, 0, 0, true },       { 2, 0x1000, 0, false },
        { 2, 0, 0, true },       { 3, 0xfff, 0, true },
        { 4, 0, 0, false },
    };
    Bench b;

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        bench_new(&b, FAKE_LONG64, "max");
        b.c->s.gpr[R_RAX] = rows[i].type;
        b.c->s.gpr[R_RBX] = 0x100;
        memcpy(fake_ptr(b.f, 0x100), &rows[i].pcid, 16);
        g_assert_cmpint(RUN(&b, "\x66\x0f\x38\x82\x03"), ==,
                        rows[i].ok ? -1 : EXC_GP);
        bench_free(&b);
    }
}

static void test_reset(void)
{
    X86State *s;
    Bench b;

    bench_new(&b, FAKE_LONG64, "Haswell");
    s = &b.c->s;
    x86_reset(b.c);
    g_assert_cmphex(s->rip, ==, 0xfff0);
    g_assert_cmphex(s->seg[S_CS].base, ==, 0xffff0000);
    g_assert_cmphex(s->cr0, ==, 0x60000010);
    g_assert_cmphex(s->rflags, ==, 2);
    g_assert_cmphex(s->gpr[R_RDX], ==, 0x306c4);
    g_assert_cmphex(s->dr[6], ==, 0xffff0ff0);
    g_assert_cmphex(s->apic_base, ==, 0xfee00900);
    g_assert_cmpint(s->mp_state, ==, MP_RUNNABLE);

    /* INIT keeps what RESET does not. */
    s->mxcsr = 0x9fc0;
    s->star = 0x1234;
    s->cr0 = CR0_PE | CR0_ET | CR0_NW | CR0_CD;
    s->halted = true;
    b.c->pending = CPU_INIT;
    {
        bool triple;

        g_assert_true(x86_take_events(b.c, &triple));
    }
    g_assert_cmphex(s->cr0, ==, 0x60000010);
    g_assert_cmphex(s->mxcsr, ==, 0x9fc0);
    g_assert_cmphex(s->star, ==, 0x1234);
    g_assert_false(s->halted);
    g_assert_cmpuint(b.c->pending, ==, 0);

    b.c->index = 1;
    x86_reset(b.c);
    g_assert_cmphex(s->apic_base, ==, 0xfee00800);
    g_assert_cmpint(s->mp_state, ==, MP_WAIT_SIPI);
    bench_free(&b);
}

static void test_events(void)
{
    X86State *s;
    bool triple;
    Bench b;

    bench_new(&b, FAKE_REAL, "max");
    s = &b.c->s;
    s->idt_limit = 0x3ff;
    *(uint32_t *)fake_ptr(b.f, 8) = 0x00500010;      /* NMI */
    *(uint32_t *)fake_ptr(b.f, 0x20 * 4) = 0x600020; /* IRQ */
    s->gpr[R_RSP] = 0x8000;
    next_irq = 0x20;

    b.c->pending = CPU_IRQ;
    g_assert_false(x86_has_work(b.c));
    g_assert_false(x86_take_events(b.c, &triple)); /* IF is clear */
    s->rflags |= FL_IF;
    s->halted = true;
    g_assert_true(x86_has_work(b.c));
    s->irq_shadow = true;
    g_assert_false(x86_take_events(b.c, &triple));
    s->irq_shadow = false;
    g_assert_true(x86_take_events(b.c, &triple));
    g_assert_cmphex(s->rip, ==, 0x20);
    g_assert_false(s->halted);

    b.c->pending = CPU_NMI;
    g_assert_true(x86_take_events(b.c, &triple));
    g_assert_cmphex(s->rip, ==, 0x10);
    g_assert_true(s->nmi_masked);
    b.c->pending = CPU_NMI;
    g_assert_false(x86_take_events(b.c, &triple));
    far_iret(b.c, 2);
    g_assert_false(s->nmi_masked);
    b.c->pending = 0;

    /* The IDT is gone: three faults. */
    s->idt_limit = 0;
    b.c->pending = CPU_NMI;
    g_assert_true(x86_take_events(b.c, &triple));
    g_assert_true(triple);

    b.c->pending = CPU_SIPI;
    s->mp_state = MP_WAIT_SIPI;
    s->sipi_vector = 0x9a;
    g_assert_true(x86_has_work(b.c));
    g_assert_true(x86_take_events(b.c, &triple));
    g_assert_cmphex(s->seg[S_CS].base, ==, 0x9a000);
    g_assert_cmphex(s->seg[S_CS].sel, ==, 0x9a00);
    g_assert_cmpint(s->mp_state, ==, MP_RUNNABLE);
    bench_free(&b);
}

static void test_dump(void)
{
    static const char want[] =
        "EAX=00000000 EBX=00000000 ECX=00000000 EDX=000306c4\n"
        "ESI=00000000 EDI=00000000 EBP=00000000 ESP=00000000\n"
        "EIP=0000fff0 EFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=0\n"
        "ES =0000 00000000 0000ffff 00009300\n"
        "CS =f000 ffff0000 0000ffff 00009b00\n"
        "SS =0000 00000000 0000ffff 00009300\n"
        "DS =0000 00000000 0000ffff 00009300\n"
        "FS =0000 00000000 0000ffff 00009300\n"
        "GS =0000 00000000 0000ffff 00009300\n"
        "LDT=0000 00000000 0000ffff 00008200\n"
        "TR =0000 00000000 0000ffff 00008b00\n"
        "GDT=     00000000 0000ffff\n"
        "IDT=     00000000 0000ffff\n"
        "CR0=60000010 CR2=00000000 CR3=00000000 CR4=00000000\n"
        "DR0=0000000000000000 DR1=0000000000000000 DR2=0000000000000000 "
        "DR3=0000000000000000 \n"
        "DR6=00000000ffff0ff0 DR7=0000000000000400\n"
        "EFER=0000000000000000\n";
    g_autoptr(GString) out = g_string_new(NULL);
    Bench b;

    bench_new(&b, FAKE_REAL, "Haswell");
    x86_reset(b.c);
    x86_dump(b.c, out, false);
    g_assert_cmpstr(out->str, ==, want);
    bench_free(&b);

    bench_new(&b, FAKE_LONG64, "max");
    b.c->s.star = UINT64_C(0x0023001000000000);
    g_assert_cmpint(RUN(&b, "\x0f\x05"), ==, -1);
    g_string_truncate(out, 0);
    x86_dump(b.c, out, true);
    g_assert_nonnull(strstr(out->str,
                            "CS =0010 0000000000000000 ffffffff 00af9b00 "
                            "DPL=0 CS64 [-RA]\n"));
    g_assert_nonnull(strstr(out->str,
                            "SS =0018 0000000000000000 ffffffff 00cf9300 "
                            "DPL=0 DS   [-WA]\n"));
    g_assert_nonnull(strstr(out->str, "\nFCW=037f FSW=0000 [ST=0] FTW=00 "
                                      "MXCSR=00001f80\nFPR0="));
    g_assert_nonnull(strstr(out->str, "\nYMM15="));
    bench_free(&b);
}

/* ---- state table ------------------------------------------------------------------------------------ */

static void test_vmstate(void)
{
    g_autoptr(GByteArray) one = g_byte_array_new();
    g_autoptr(GByteArray) two = g_byte_array_new();
    size_t pos = 0;
    Bench a, b;

    bench_new(&a, FAKE_LONG64, "max");
    bench_new(&b, FAKE_REAL, "max");
    for (unsigned i = 0; i < 16; i++) {
        a.c->s.gpr[i] = g_random_int() * UINT64_C(0x100000001);
    }
    a.c->s.vec[3][31] = 0x77;
    a.c->s.seg[S_FS].base = 0x123456789a;
    a.c->s.amd_cfg[5] = 5;
    a.c->s.halted = true;
    g_assert_true(vmstate_save(one, &vmstate_x86, a.c, NULL));
    g_assert_true(vmstate_load(one, &pos, &vmstate_x86, b.c, NULL));
    g_assert_cmpuint(pos, ==, one->len);
    g_assert_true(vmstate_save(two, &vmstate_x86, b.c, NULL));
    g_assert_cmpmem(one->data, one->len, two->data, two->len);
    g_assert_true(b.c->mode.code64);
    for (unsigned len = 0; len < one->len; len++) {
        g_autoptr(GByteArray) cut = g_byte_array_new();

        g_byte_array_append(cut, one->data, len);
        pos = 0;
        g_assert_false(vmstate_load(cut, &pos, &vmstate_x86, b.c, NULL));
    }
    a.c->s.mp_state = 9;
    g_byte_array_set_size(one, 0);
    pos = 0;
    g_assert_true(vmstate_save(one, &vmstate_x86, a.c, NULL));
    g_assert_false(vmstate_load(one, &pos, &vmstate_x86, b.c, NULL));
    bench_free(&a);
    bench_free(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/system/cr0", test_cr0);
    g_test_add_func("/system/long-mode", test_long_mode_switch);
    g_test_add_func("/system/cr4", test_cr4_features);
    g_test_add_func("/system/efer-xcr0", test_efer_xcr0);
    g_test_add_func("/system/mov-cr-dr", test_mov_cr_dr);
    g_test_add_func("/system/smsw-lmsw", test_smsw_lmsw);
    g_test_add_func("/system/gdt-idt", test_gdt_idt);
    g_test_add_func("/system/lldt-ltr", test_lldt_ltr);
    g_test_add_func("/system/lar-lsl", test_lar_lsl);
    g_test_add_func("/system/msr/write", test_msr_writes);
    g_test_add_func("/system/msr/read", test_msr_reads);
    g_test_add_func("/system/msr/order", test_msr_order);
    g_test_add_func("/system/msr/tsc", test_msr_tsc);
    g_test_add_func("/system/msr/insn", test_rdmsr_insn);
    g_test_add_func("/system/syscall/intel", test_syscall);
    g_test_add_func("/system/syscall/amd", test_syscall_amd);
    g_test_add_func("/system/sysenter", test_sysenter);
    g_test_add_func("/system/small", test_small_ones);
    g_test_add_func("/system/invpcid", test_invpcid);
    g_test_add_func("/system/reset", test_reset);
    g_test_add_func("/system/events", test_events);
    g_test_add_func("/system/dump", test_dump);
    g_test_add_func("/system/vmstate", test_vmstate);
    return g_test_run();
}
