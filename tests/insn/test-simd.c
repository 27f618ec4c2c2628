/*
 * x87, SSE and AVX where random operands do not go: saved images, pending and
 * unmasked exceptions, environments, partial faults.
 *
 * Arithmetic is compared with the processor in test-simd-host.c.
 */
#include "util/osdep.h"
#include "target-x86/cpuid.h"
#include "target-x86/fpu.h"
#include "tests/lib/fake-access.h"

enum { BASE = 0x10000, SIZE = 0x6000, PAGE = 0x1000 };

typedef struct Fix {
    FakeCpu *f;
    X86State *s;
    CpuModel model;
} Fix;

static void set_up(Fix *x, gconstpointer data)
{
    x->f = fake_new(FAKE_LONG64, BASE, SIZE);
    x->s = &x->f->cpu.s;
    x->s->gpr[R_RSI] = BASE;
    x->f->cpu.model = &x->model;
    x->model.has[FEAT_XSAVEC / 64] = UINT64_C(1) << FEAT_XSAVEC % 64;
}

static void tear_down(Fix *x, gconstpointer data)
{
    uint32_t mxcsr;
    uint16_t fcw, fsw;

    /* Whatever the guest did, the host is as the ABI wants it. */
    asm volatile("stmxcsr %0" : "=m"(mxcsr));
    asm volatile("fnstcw %0" : "=m"(fcw));
    asm volatile("fnstsw %0" : "=a"(fsw));
    g_assert_cmphex(mxcsr & ~0x3fu, ==, 0x1f80);
    g_assert_cmphex(fcw, ==, FCW_DEFAULT);
    g_assert_cmphex(fsw & FSW_TOP, ==, 0);
    fake_free(x->f);
}

#define RUN(x, ...) \
    ({ \
        static const uint8_t code[] = { __VA_ARGS__ }; \
        fake_bytes((x)->f, code, sizeof(code), NULL); \
    })
#define OK(x, ...) g_assert_cmpint(RUN(x, __VA_ARGS__), ==, FAKE_DONE)

static void expect_fault(Fix *x, FakeExit how, int vector)
{
    g_assert_cmpint(how, ==, FAKE_FAULT);
    g_assert_cmpint(x->f->cpu.fault.vector, ==, vector);
}

static void put64(Fix *x, uint64_t lin, uint64_t v)
{
    memcpy(fake_ptr(x->f, lin), &v, 8);
}

static uint64_t get64(Fix *x, uint64_t lin)
{
    uint64_t v;

    memcpy(&v, fake_ptr(x->f, lin), 8);
    return v;
}

static uint32_t get32(Fix *x, uint64_t lin)
{
    return (uint32_t)get64(x, lin);
}

static uint16_t get16(Fix *x, uint64_t lin)
{
    return (uint16_t)get64(x, lin);
}

/* ---- FXSAVE ---------------------------------------------------------------------- */

/* An image that loading and storing keeps: no selectors, no FOP (processors
 * differ), ES as the flags say. */
static void make_image(uint8_t *p)
{
    static const uint16_t words[] = { 0x37f, 0x3920, 0xa5 };
    uint32_t mxcsr = 0x9fa1;

    memset(p, 0, 512);
    for (unsigned i = 0; i < 8; i++) {
        for (unsigned k = 0; k < 10; k++) {
            p[32 + 16 * i + k] = (uint8_t)g_test_rand_int();
        }
    }
    for (unsigned i = 160; i < 416; i++) {
        p[i] = (uint8_t)g_test_rand_int();
    }
    memcpy(p, words, sizeof(words));
    memcpy(p + 24, &mxcsr, 4);
}

static void test_fxsave_like_host(Fix *x, gconstpointer data)
{
    static uint8_t host[512] __attribute__((aligned(16)));
    static uint8_t keep[512] __attribute__((aligned(16)));
    uint8_t *image = fake_ptr(x->f, BASE + 0x200), *out = fake_ptr(x->f, BASE);

    make_image(image);
    memcpy(host, image, 512);
    asm volatile("fxsave %0\n\t"
                 "fxrstor %1\n\t"
                 "fxsave %1\n\t"
                 "fxrstor %0"
                 : "+m"(keep), "+m"(host));
    x->s->gpr[R_RDI] = BASE + 0x200;
    OK(x, 0x0f, 0xae, 0x0f);        /* fxrstor [rdi] */
    OK(x, 0x0f, 0xae, 0x06);        /* fxsave [rsi] */
    memcpy(host + 28, out + 28, 4); /* MXCSR_MASK may have more on the host */
    g_assert_cmpmem(out, 416, host, 416);
    g_assert_cmphex(get32(x, BASE + 28), ==, 0xffff);
    g_assert_cmphex(x->s->mxcsr, ==, 0x9fa1);
    g_assert_cmphex(x->s->fsw, ==, 0x3920);
}

static void test_fxsave_faults(Fix *x, gconstpointer data)
{
    uint32_t bad = 0x10000;

    x->s->gpr[R_RSI] = BASE + 8;
    expect_fault(x, RUN(x, 0x0f, 0xae, 0x06), EXC_GP); /* misaligned */
    x->s->gpr[R_RSI] = BASE;
    memset(fake_ptr(x->f, BASE), 0xff, 160);
    memcpy(fake_ptr(x->f, BASE + 24), &bad, 4);
    expect_fault(x, RUN(x, 0x0f, 0xae, 0x0e), EXC_GP); /* MXCSR bit 16 */
    g_assert_cmphex(x->s->fcw, ==, FCW_DEFAULT);
    expect_fault(x, RUN(x, 0x0f, 0xae, 0x56, 24), EXC_GP); /* ldmxcsr */
    g_assert_cmphex(x->s->mxcsr, ==, 0x1f80);
    fake_set_page(x->f, BASE + PAGE, FAKE_ABSENT);
    x->s->gpr[R_RSI] = BASE + PAGE - 0x100;
    memset(fake_ptr(x->f, BASE + PAGE - 0x100), 0x77, 0x100);
    expect_fault(x, RUN(x, 0x0f, 0xae, 0x06), EXC_PF);
    g_assert_cmphex(get16(x, BASE + PAGE - 0x100), ==, 0x7777);
}

static void test_fxsave_pointers(Fix *x, gconstpointer data)
{
    x->s->fip = 0x1122334455667788;
    x->s->fdp = 0x99aabbccddeeff00;
    x->s->fcs = 0x33;
    x->s->fds = 0x2b;
    OK(x, 0x0f, 0xae, 0x06);
    g_assert_cmphex(get32(x, BASE + 8), ==, 0x55667788);
    g_assert_cmphex(get16(x, BASE + 12), ==, 0x33);
    g_assert_cmphex(get32(x, BASE + 16), ==, 0xddeeff00);
    g_assert_cmphex(get16(x, BASE + 20), ==, 0x2b);
    OK(x, 0x48, 0x0f, 0xae, 0x06); /* fxsave64 */
    g_assert_cmphex(get64(x, BASE + 8), ==, 0x1122334455667788);
    g_assert_cmphex(get64(x, BASE + 16), ==, 0x99aabbccddeeff00);
}

/* ---- XSAVE -------------------------------------------------------------------------- */

static void fill_state(Fix *x)
{
    memset(x->s->vec, 0x5a, sizeof(x->s->vec));
    memset(x->s->st, 0x3c, sizeof(x->s->st));
    x->s->ftw = 0xff;
    x->s->mxcsr = 0x1fa0;
}

static void set_mask(Fix *x, uint64_t mask)
{
    x->s->gpr[R_RAX] = (uint32_t)mask;
    x->s->gpr[R_RDX] = mask >> 32;
}

static void test_xsave_standard(Fix *x, gconstpointer data)
{
    uint8_t *p = fake_ptr(x->f, BASE);

    fill_state(x);
    memset(p, 0xee, 1024);
    put64(x, BASE + 512, 0xf0);
    set_mask(x, 6); /* not the x87 */
    OK(x, 0x0f, 0xae, 0x26);
    g_assert_cmphex(get64(x, BASE + 512), ==, 0xf6);
    g_assert_cmphex(get16(x, BASE), ==, 0xeeee);
    g_assert_cmphex(get32(x, BASE + 24), ==, 0x1fa0);
    g_assert_cmphex(p[160], ==, 0x5a);
    g_assert_cmphex(p[576], ==, 0x5a);
    g_assert_cmphex(p[831], ==, 0x5a);
    g_assert_cmphex(p[832], ==, 0xee);
    g_assert_cmphex(get64(x, BASE + 520), ==, 0xeeeeeeeeeeeeeeee);
}

static void test_xsaveopt_init(Fix *x, gconstpointer data)
{
    uint8_t *p = fake_ptr(x->f, BASE);

    memset(p, 0xee, 1024);
    memset(p + 512, 0, 64);
    x->s->vec[3][20] = 1; /* AVX is in use; x87, SSE are not */
    set_mask(x, 7);
    OK(x, 0x0f, 0xae, 0x36);
    g_assert_cmphex(get64(x, BASE + 512), ==, 4);
    g_assert_cmphex(p[0], ==, 0xee);
    g_assert_cmphex(p[160], ==, 0xee);
    g_assert_cmphex(get32(x, BASE + 24), ==, 0x1f80);
    g_assert_cmphex(p[576 + 3 * 16 + 4], ==, 1);
}

static void test_xsavec_round_trip(Fix *x, gconstpointer data)
{
    X86State before;

    fill_state(x);
    x->s->xcr0 |= XCR0_PKRU;
    x->s->pkru = 0x55555554;
    memset(fake_ptr(x->f, BASE + 576), 0xee, 1024);
    memset(fake_ptr(x->f, BASE + 512), 0, 64);
    set_mask(x, 0x201); /* x87 and PKRU: PKRU comes first behind the header */
    OK(x, 0x0f, 0xc7, 0x26);
    g_assert_cmphex(get64(x, BASE + 512), ==, 0x201);
    g_assert_cmphex(get64(x, BASE + 520), ==, 0x8000000000000201);
    g_assert_cmphex(get32(x, BASE + 576), ==, 0x55555554);

    memset(fake_ptr(x->f, BASE + 512), 0, 64);
    set_mask(x, UINT64_MAX);
    OK(x, 0x0f, 0xc7, 0x26);
    g_assert_cmphex(get64(x, BASE + 520), ==, 0x8000000000000207);
    g_assert_cmphex(get32(x, BASE + 832), ==, 0x55555554);
    before = *x->s;
    memset(x->s->vec, 0, sizeof(x->s->vec));
    memset(x->s->st, 0, sizeof(x->s->st));
    x->s->ftw = 0;
    x->s->mxcsr = 0x1f80;
    x->s->pkru = 0;
    OK(x, 0x0f, 0xae, 0x2e); /* xrstor */
    before.rip = x->s->rip;
    g_assert_cmpmem(x->s, sizeof(before), &before, sizeof(before));
}

static void test_xrstor_init(Fix *x, gconstpointer data)
{
    fill_state(x);
    memset(fake_ptr(x->f, BASE), 0, 1024);
    put64(x, BASE + 24, 0x1f81);
    set_mask(x, 7);
    OK(x, 0x0f, 0xae, 0x2e); /* standard, nothing in use */
    g_assert_cmphex(x->s->mxcsr, ==, 0x1f81);
    g_assert_cmphex(x->s->fcw, ==, FCW_DEFAULT);
    g_assert_cmphex(x->s->ftw, ==, 0);
    for (unsigned i = 0; i < sizeof(x->s->vec); i++) {
        g_assert_cmphex(x->s->vec[i / 32][i % 32], ==, 0);
    }
    fill_state(x);
    put64(x, BASE + 520, 0x8000000000000007);
    set_mask(x, 2);
    OK(x, 0x0f, 0xae, 0x2e); /* compacted: MXCSR belongs to SSE */
    g_assert_cmphex(x->s->mxcsr, ==, 0x1f80);
    g_assert_cmphex(x->s->vec[5][3], ==, 0);
    g_assert_cmphex(x->s->vec[5][16], ==, 0x5a);
    g_assert_cmphex(x->s->ftw, ==, 0xff);
}

static void test_xrstor_bad_headers(Fix *x, gconstpointer data)
{
    static const struct {
        uint64_t bv, comp, third;
        uint32_t mxcsr;
        bool good;
    } headers[] = {
        { 7, 0, 0, 0x1f80, true },
        { 8, 0, 0, 0x1f80, false }, /* not in XCR0 */
        { 7, 1, 0, 0x1f80, false }, /* XCOMP_BV in standard form */
        { 7, 0, 1, 0x1f80, false }, /* bytes 23:16 */
        { 7, UINT64_C(1) << 63, 0, 0x1f80, false }, /* not in XCOMP_BV */
        { 3, UINT64_C(1) << 63 | 3, 0, 0x1f80, true },
        { 3, UINT64_C(1) << 63 | 11, 0, 0x1f80, false },
        { 3, UINT64_C(1) << 63 | 3, 1, 0x1f80, false },
        { 3, 0, 0, 0x10000, false },
        { 4, 0, 0, 0x10000, false }, /* AVX loads MXCSR in standard form */
        { 0, UINT64_C(1) << 63 | 3, 0, 0x10000, true }, /* not loaded */
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(headers); i++) {
        FakeExit how;

        memset(fake_ptr(x->f, BASE), 0, 1024);
        put64(x, BASE + 24, headers[i].mxcsr);
        put64(x, BASE + 512, headers[i].bv);
        put64(x, BASE + 520, headers[i].comp);
        put64(x, BASE + 528, headers[i].third);
        set_mask(x, UINT64_MAX);
        fill_state(x);
        how = RUN(x, 0x0f, 0xae, 0x2e);
        if (headers[i].good) {
            g_assert_cmpint(how, ==, FAKE_DONE);
        } else {
            expect_fault(x, how, EXC_GP);
            g_assert_cmphex(x->s->vec[0][0], ==, 0x5a);
        }
    }
}

/* A processor without XSAVEC knows no compacted form. */
static void test_xrstor_without_xsavec(Fix *x, gconstpointer data)
{
    x->model.has[FEAT_XSAVEC / 64] = 0;
    put64(x, BASE + 520, UINT64_C(1) << 63);
    set_mask(x, 7);
    expect_fault(x, RUN(x, 0x0f, 0xae, 0x2e), EXC_GP);
}

static void test_xsave_conditions(Fix *x, gconstpointer data)
{
    set_mask(x, 7);
    x->s->gpr[R_RSI] = BASE + 32;
    expect_fault(x, RUN(x, 0x0f, 0xae, 0x26), EXC_GP); /* 64-byte alignment */
    x->s->gpr[R_RSI] = BASE;
    x->s->cr0 |= CR0_TS;
    expect_fault(x, RUN(x, 0x0f, 0xae, 0x26), EXC_NM);
    x->s->cr4 &= ~(uint64_t)CR4_OSXSAVE;
    expect_fault(x, RUN(x, 0x0f, 0xae, 0x26), EXC_UD);
}

/* ---- x87 exceptions ----------------------------------------------------------------- */

static FakeExit check_pending(Fix *x)
{
    /* fwait asks as the engine does before waiting instructions. */
    return RUN(x, 0x9b);
}

static void test_mf_timing(Fix *x, gconstpointer data)
{
    x->s->fcw = 0x37b; /* division by zero */
    OK(x, 0xd9, 0xe8); /* fld1 */
    OK(x, 0xd9, 0xee); /* fldz */
    g_assert_cmpint(check_pending(x), ==, FAKE_DONE);
    OK(x, 0xd8, 0xf9); /* fdivr st0, st1: 1 / 0 */
    g_assert_cmphex(x->s->fsw, ==, 0x3000 | FSW_ES | FSW_B | FSW_ZE);
    /* ST0 is as it was: zero. */
    g_assert_cmphex(x->s->st[6][7], ==, 0);
    expect_fault(x, check_pending(x), EXC_MF);
    OK(x, 0xdf, 0xe0); /* fnstsw does not wait */
    g_assert_cmphex(x->s->gpr[R_RAX] & 0xffff, ==, x->s->fsw);
    OK(x, 0xdb, 0xe2); /* fnclex */
    g_assert_cmpint(check_pending(x), ==, FAKE_DONE);
    g_assert_cmphex(x->s->fsw, ==, 0x3000);
}

static void test_mf_by_fldcw(Fix *x, gconstpointer data)
{
    OK(x, 0xd9, 0xe8);
    OK(x, 0xd9, 0xee);
    OK(x, 0xd8, 0xf9); /* masked: infinity */
    g_assert_cmphex(x->s->fsw & 0xff, ==, FSW_ZE);
    put64(x, BASE, 0x37b);
    OK(x, 0xd9, 0x2e); /* fldcw unmasks what is there */
    g_assert_cmphex(x->s->fsw & 0x80ff, ==, FSW_ZE | FSW_ES | FSW_B);
    expect_fault(x, check_pending(x), EXC_MF);
    put64(x, BASE, 0x37f);
    OK(x, 0xd9, 0x2e);
    g_assert_cmpint(check_pending(x), ==, FAKE_DONE);
}

static int ferr;

static void set_ferr(void *opaque, int n, int level)
{
    Fix *x = opaque;

    g_assert_cmpint(n, ==, 13);
    ferr = level;
    x->f->cpu.pending = level ? CPU_IRQ : 0;
}

/* FERR# is IRQ 13; the instruction waits for the interrupt. */
static void test_mf_without_ne(Fix *x, gconstpointer data)
{
    g_autofree Machine *m = g_new0(Machine, 1);

    g_rec_mutex_init(&m->lock);
    m->gsi[13] = (IrqLine) { set_ferr, x, 13 };
    x->f->cpu.machine = m;
    x->s->fcw = 0x37b;
    x->s->fsw = FSW_ES | FSW_B | FSW_ZE;
    x->s->cr0 &= ~(uint64_t)CR0_NE;
    x->s->rflags |= FL_IF;
    g_assert_cmpint(check_pending(x), ==, FAKE_RESTART);
    g_assert_cmpint(ferr, ==, 1);
    x->s->rflags &= ~(uint64_t)FL_IF; /* in its handler */
    g_assert_cmpint(check_pending(x), ==, FAKE_DONE);
    OK(x, 0xdb, 0xe2); /* fnclex */
    g_assert_cmpint(ferr, ==, 0);
    x->f->cpu.machine = NULL;
    g_rec_mutex_clear(&m->lock);
    x->s->cr0 |= CR0_TS | CR0_MP;
    expect_fault(x, check_pending(x), EXC_NM);
}

static void test_store_fault_changes_nothing(Fix *x, gconstpointer data)
{
    X86State before;

    OK(x, 0xd9, 0xeb); /* fldpi */
    fake_set_page(x->f, BASE + PAGE, FAKE_RO);
    x->s->gpr[R_RSI] = BASE + PAGE - 2;
    before = *x->s;
    expect_fault(x, RUN(x, 0xd9, 0x1e), EXC_PF); /* fstp m32, inexact */
    g_assert_cmpmem(x->s, sizeof(before), &before, sizeof(before));
    expect_fault(x, RUN(x, 0xdb, 0x3e), EXC_PF); /* fstp m80 */
    expect_fault(x, RUN(x, 0xdf, 0x36), EXC_PF); /* fbstp */
    g_assert_cmpmem(x->s, sizeof(before), &before, sizeof(before));
    x->s->fcw = 0x340; /* the general path */
    before = *x->s;
    expect_fault(x, RUN(x, 0xd9, 0x1e), EXC_PF);
    g_assert_cmpmem(x->s, sizeof(before), &before, sizeof(before));
}

static void test_unmasked_store_keeps_memory(Fix *x, gconstpointer data)
{
    put64(x, BASE, 0x1111111111111111);
    x->s->fcw = 0x37e;
    OK(x, 0xd9, 0xeb); /* fldpi */
    OK(x, 0xd9, 0xfd); /* fscale: ST1 empty, pending */
    g_assert_cmphex(x->s->fsw & 0xff, ==, FSW_ES | FSW_SF | FSW_IE);
    OK(x, 0xdb, 0xe2);
    OK(x, 0xdd, 0xd8); /* fstp st0 */
    OK(x, 0xdb, 0x1e); /* fistp m32 of an empty register */
    g_assert_cmphex(get32(x, BASE), ==, 0x11111111);
    g_assert_cmphex(x->s->fsw & FSW_TOP, ==, 0);
}

/* ---- pointers and environments -------------------------------------------------------- */

static void test_last_instruction(Fix *x, gconstpointer data)
{
    x->s->rip = 0x401000;
    x->s->seg[S_CS].sel = 0x33;
    x->s->seg[S_DS].sel = 0x2b;
    OK(x, 0xdc, 0x46, 0x10); /* fadd m64 [rsi + 16]: stack underflow */
    g_assert_cmphex(x->s->fip, ==, 0x401000);
    g_assert_cmphex(x->s->fcs, ==, 0x33);
    g_assert_cmphex(x->s->fdp, ==, BASE + 16);
    g_assert_cmphex(x->s->fds, ==, 0x2b);
    g_assert_cmphex(x->s->fop, ==, 0x446);
    OK(x, 0xd9, 0xe8); /* fld1: no memory operand */
    g_assert_cmphex(x->s->fip, ==, 0x401003);
    g_assert_cmphex(x->s->fdp, ==, BASE + 16);
    g_assert_cmphex(x->s->fop, ==, 0x1e8);
    put64(x, BASE, 0x37f);
    OK(x, 0xd9, 0x2e); /* fldcw leaves them alone */
    OK(x, 0xdb, 0xe2);
    OK(x, 0xd9, 0x3e);
    g_assert_cmphex(x->s->fip, ==, 0x401003);
    g_assert_cmphex(x->s->fop, ==, 0x1e8);
}

static void env_state(Fix *x)
{
    x->s->fcw = 0x340;
    x->s->fsw = 0x2100;
    x->s->ftw = 0x10; /* ST0 is a zero */
    x->s->fip = 0x12345;
    x->s->fdp = 0x6789a;
    x->s->fcs = 0x33;
    x->s->fds = 0x2b;
    x->s->fop = 0x5a5;
}

static void test_env_protected(Fix *x, gconstpointer data)
{
    static const uint32_t wide[] = {
        0xffff0340, 0xffff2100, 0xfffffdff, 0x12345,
        0x05a50033, 0x6789a,    0xffff002b,
    };
    static const uint16_t narrow[] = {
        0x340, 0x2100, 0xfdff, 0x2345, 0x33, 0x789a, 0x2b,
    };

    env_state(x);
    OK(x, 0xd9, 0x36); /* fnstenv */
    g_assert_cmpmem(fake_ptr(x->f, BASE), 28, wide, 28);
    g_assert_cmphex(x->s->fcw, ==, 0x37f); /* all masked now */
    OK(x, 0xdb, 0xe3);
    OK(x, 0xd9, 0x26); /* fldenv */
    g_assert_cmphex(x->s->fcw, ==, 0x340);
    g_assert_cmphex(x->s->fsw, ==, 0x2100);
    g_assert_cmphex(x->s->ftw, ==, 0x10);
    g_assert_cmphex(x->s->fip, ==, 0x12345);
    g_assert_cmphex(x->s->fop, ==, 0x5a5);
    g_assert_cmphex(x->s->fcs, ==, 0x33);
    OK(x, 0x66, 0xd9, 0x36);
    g_assert_cmpmem(fake_ptr(x->f, BASE), 14, narrow, 14);
}

static void test_env_real(Fix *x, gconstpointer data)
{
    static const uint16_t narrow[] = {
        0x340, 0x2100, 0xfdff, 0x3675, 0x15a5, 0x7b4a, 0x6000,
    };
    static const uint32_t wide[] = {
        0xffff0340, 0xffff2100, 0xfffffdff, 0xffff3675,
        0x000015a5, 0xffff7b4a, 0x00006000,
    };

    fake_mode(x->f, FAKE_REAL);
    x->s->gpr[R_RSI] = 0x100;
    x->s->seg[S_DS].base = BASE;
    env_state(x);
    x->s->fcs = 0x133;
    OK(x, 0xd9, 0x34); /* fnstenv [si] */
    g_assert_cmpmem(fake_ptr(x->f, BASE + 0x100), 14, narrow, 14);
    env_state(x);
    x->s->fcs = 0x133;
    OK(x, 0x66, 0xd9, 0x34);
    g_assert_cmpmem(fake_ptr(x->f, BASE + 0x100), 28, wide, 28);
    OK(x, 0x66, 0xd9, 0x24); /* fldenv: linear addresses come back */
    g_assert_cmphex(x->s->fip, ==, 0x13675);
    g_assert_cmphex(x->s->fcs, ==, 0);
}

static void test_fnsave_frstor(Fix *x, gconstpointer data)
{
    X86State before;

    fill_state(x);
    x->s->fsw = 0x2900;
    x->s->fip = 0x1234;
    before = *x->s;
    OK(x, 0xdd, 0x36); /* fnsave: as fninit afterwards */
    g_assert_cmphex(x->s->ftw, ==, 0);
    g_assert_cmphex(x->s->fcw, ==, FCW_DEFAULT);
    g_assert_cmphex(x->s->fsw, ==, 0);
    memset(x->s->st, 0, sizeof(x->s->st));
    OK(x, 0xdd, 0x26); /* frstor */
    before.rip = x->s->rip;
    g_assert_cmpmem(x->s, sizeof(before), &before, sizeof(before));
}

/* ---- SSE exceptions --------------------------------------------------------------------- */

static void divide_by_zero(Fix *x)
{
    static const float a[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

    memcpy(x->s->vec[0], a, 32);
    memset(x->s->vec[1], 0, 32);
}

static void test_xm(Fix *x, gconstpointer data)
{
    uint8_t before[16];

    divide_by_zero(x);
    memcpy(before, x->s->vec[0], 16);
    x->s->mxcsr = 0x1d80;
    expect_fault(x, RUN(x, 0x0f, 0x5e, 0xc1), EXC_XM); /* divps xmm0, xmm1 */
    g_assert_cmphex(x->s->mxcsr, ==, 0x1d84);
    g_assert_cmpmem(before, 16, x->s->vec[0], 16);
    x->s->cr4 &= ~(uint64_t)CR4_OSXMMEXCPT;
    expect_fault(x, RUN(x, 0x0f, 0x5e, 0xc1), EXC_UD);
}

static void test_masked_divide(Fix *x, gconstpointer data)
{
    static const uint32_t inf = 0x7f800000;

    divide_by_zero(x);
    OK(x, 0xc5, 0xfc, 0x5e, 0xd1); /* vdivps ymm2, ymm0, ymm1 */
    g_assert_cmphex(x->s->mxcsr, ==, 0x1f84);
    g_assert_cmpmem(x->s->vec[2] + 28, 4, &inf, 4);
    x->s->mxcsr = 0x1f80; /* the host still has the flag: it must not stick */
    OK(x, 0xc5, 0xfc, 0x58, 0xd0); /* vaddps ymm2, ymm0, ymm0: exact */
    g_assert_cmphex(x->s->mxcsr, ==, 0x1f80);
}

/* ---- faults in the middle -------------------------------------------------------------------- */

static void test_store_across_pages(Fix *x, gconstpointer data)
{
    memset(x->s->vec[0], 0xab, 32);
    fake_set_page(x->f, BASE + PAGE, FAKE_ABSENT);
    x->s->gpr[R_RSI] = BASE + PAGE - 8;
    expect_fault(x, RUN(x, 0x0f, 0x11, 0x06), EXC_PF); /* movups */
    g_assert_cmphex(get64(x, BASE + PAGE - 8), ==, 0);
    g_assert_cmphex(x->f->cpu.fault.cr2, ==, BASE + PAGE);
    expect_fault(x, RUN(x, 0xc5, 0xfc, 0x11, 0x06), EXC_PF); /* vmovups */
    g_assert_cmphex(get64(x, BASE + PAGE - 8), ==, 0);
}

static void test_masked_moves_skip_faults(Fix *x, gconstpointer data)
{
    static const uint32_t mask[4] = { 0x80000000, 0xffffffff, 0, 0x7fffffff };
    uint32_t r[8];

    fake_set_page(x->f, BASE + PAGE, FAKE_ABSENT);
    x->s->gpr[R_RSI] = BASE + PAGE - 8;
    put64(x, BASE + PAGE - 8, 0x2222222211111111);
    memset(x->s->vec, 0xcc, sizeof(x->s->vec));
    memcpy(x->s->vec[1], mask, 16);
    OK(x, 0xc4, 0xe2, 0x71, 0x2c, 0x06); /* vmaskmovps xmm0, xmm1, [rsi] */
    memcpy(r, x->s->vec[0], 32);
    g_assert_cmphex(r[0], ==, 0x11111111);
    g_assert_cmphex(r[1], ==, 0x22222222);
    g_assert_cmphex(r[2] | r[3] | r[4] | r[7], ==, 0);
    OK(x, 0xc4, 0xe2, 0x71, 0x8e, 0x16); /* vpmaskmovd [rsi], xmm1, xmm2 */
    g_assert_cmphex(get64(x, BASE + PAGE - 8), ==, 0xcccccccccccccccc);
    x->s->vec[1][15] = 0x80; /* now the last one too */
    put64(x, BASE + PAGE - 8, 0);
    expect_fault(x, RUN(x, 0xc4, 0xe2, 0x71, 0x8e, 0x16), EXC_PF);
    g_assert_cmphex(get64(x, BASE + PAGE - 8), ==, 0);
    expect_fault(x, RUN(x, 0xc4, 0xe2, 0x71, 0x2c, 0x06), EXC_PF);
    g_assert_cmphex(x->s->vec[0][0], ==, 0x11);
}

static void test_maskmovdqu(Fix *x, gconstpointer data)
{
    fake_set_page(x->f, BASE + PAGE, FAKE_ABSENT);
    x->s->gpr[R_RDI] = BASE + PAGE - 2;
    memset(x->s->vec[0], 0xab, 16);
    memset(x->s->vec[1], 0, 16);
    OK(x, 0x66, 0x0f, 0xf7, 0xc1);
    x->s->vec[1][1] = 0x80;
    OK(x, 0x66, 0x0f, 0xf7, 0xc1);
    g_assert_cmphex(get16(x, BASE + PAGE - 2), ==, 0xab00);
    x->s->vec[1][0] = x->s->vec[1][9] = 0x80;
    expect_fault(x, RUN(x, 0x66, 0x0f, 0xf7, 0xc1), EXC_PF);
    g_assert_cmphex(get16(x, BASE + PAGE - 2), ==, 0xab00);
}

static void test_gather_restarts(Fix *x, gconstpointer data)
{
    static const uint32_t index[8] = { 0, 4, PAGE, 8 };
    uint32_t dst[8], mask[8];

    put64(x, BASE, 0xbbbbbbbbaaaaaaaa);
    put64(x, BASE + 8, 0xdddddddd);
    put64(x, BASE + PAGE, 0xcccccccc);
    memcpy(x->s->vec[2], index, 32);
    memset(x->s->vec[0], 0x99, 32);
    memset(x->s->vec[1], 0xff, 32);
    fake_set_page(x->f, BASE + PAGE, FAKE_ABSENT);
    /* vpgatherdd xmm0, [rsi + xmm2], xmm1 */
    expect_fault(x, RUN(x, 0xc4, 0xe2, 0x71, 0x90, 0x04, 0x16), EXC_PF);
    memcpy(dst, x->s->vec[0], 32);
    memcpy(mask, x->s->vec[1], 32);
    g_assert_cmphex(dst[0], ==, 0xaaaaaaaa);
    g_assert_cmphex(dst[1], ==, 0xbbbbbbbb);
    g_assert_cmphex(dst[2], ==, 0x99999999);
    g_assert_cmphex(mask[0] | mask[1], ==, 0);
    g_assert_cmphex(mask[2] & mask[3], ==, 0xffffffff);
    fake_set_page(x->f, BASE + PAGE, FAKE_RW);
    put64(x, BASE, 0); /* what is done is not done again */
    OK(x, 0xc4, 0xe2, 0x71, 0x90, 0x04, 0x16);
    memcpy(dst, x->s->vec[0], 32);
    memcpy(mask, x->s->vec[1], 32);
    g_assert_cmphex(dst[0], ==, 0xaaaaaaaa);
    g_assert_cmphex(dst[2], ==, 0xcccccccc);
    g_assert_cmphex(dst[3], ==, 0xdddddddd);
    g_assert_cmphex(dst[4] | mask[2] | mask[3] | mask[4], ==, 0);
}

static void test_punpckl_reads_four(Fix *x, gconstpointer data)
{
    fake_set_page(x->f, BASE + PAGE, FAKE_ABSENT);
    x->s->gpr[R_RSI] = BASE + PAGE - 4;
    OK(x, 0x0f, 0x60, 0x06);                           /* m32 */
    expect_fault(x, RUN(x, 0x0f, 0x68, 0x06), EXC_PF); /* punpckhbw: m64 */
}

/* ---- SSE4a, which the host may not have ---------------------------------------------------- */

static void test_sse4a(Fix *x, gconstpointer data)
{
    uint64_t v = 0x0123456789abcdef, field = 0x5a5, ctl = 0x0c08;

    memcpy(x->s->vec[0], &v, 8);
    OK(x, 0x66, 0x0f, 0x78, 0xc0, 12, 8); /* extrq xmm0, 12, 8 */
    memcpy(&v, x->s->vec[0], 8);
    g_assert_cmphex(v, ==, 0xbcd);
    v = 0x0123456789abcdef;
    memcpy(x->s->vec[0], &v, 8);
    memcpy(x->s->vec[1], &field, 8);
    OK(x, 0xf2, 0x0f, 0x78, 0xc1, 12, 8); /* insertq xmm0, xmm1, 12, 8 */
    memcpy(&v, x->s->vec[0], 8);
    g_assert_cmphex(v, ==, 0x0123456789a5a5ef);
    ctl = 0x080c;
    memcpy(x->s->vec[1], &ctl, 8);
    OK(x, 0x66, 0x0f, 0x79, 0xc1); /* extrq xmm0, xmm1 */
    memcpy(&v, x->s->vec[0], 8);
    g_assert_cmphex(v, ==, 0x5a5);
}

#define CASE(name, fn) \
    g_test_add("/simd/" name, Fix, NULL, set_up, fn, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    CASE("fxsave/like-host", test_fxsave_like_host);
    CASE("fxsave/faults", test_fxsave_faults);
    CASE("fxsave/pointers", test_fxsave_pointers);
    CASE("xsave/standard", test_xsave_standard);
    CASE("xsave/opt-init", test_xsaveopt_init);
    CASE("xsave/compact-round-trip", test_xsavec_round_trip);
    CASE("xsave/conditions", test_xsave_conditions);
    CASE("xrstor/init", test_xrstor_init);
    CASE("xrstor/bad-headers", test_xrstor_bad_headers);
    CASE("xrstor/without-xsavec", test_xrstor_without_xsavec);
    CASE("x87/mf-timing", test_mf_timing);
    CASE("x87/mf-by-fldcw", test_mf_by_fldcw);
    CASE("x87/mf-without-ne", test_mf_without_ne);
    CASE("x87/store-fault", test_store_fault_changes_nothing);
    CASE("x87/unmasked-store", test_unmasked_store_keeps_memory);
    CASE("x87/last-instruction", test_last_instruction);
    CASE("x87/env-protected", test_env_protected);
    CASE("x87/env-real", test_env_real);
    CASE("x87/fnsave-frstor", test_fnsave_frstor);
    CASE("sse/xm", test_xm);
    CASE("sse/masked-divide", test_masked_divide);
    CASE("fault/store-across-pages", test_store_across_pages);
    CASE("fault/masked-moves", test_masked_moves_skip_faults);
    CASE("fault/maskmovdqu", test_maskmovdqu);
    CASE("fault/gather-restarts", test_gather_restarts);
    CASE("fault/punpckl", test_punpckl_reads_four);
    CASE("sse4a", test_sse4a);
    return g_test_run();
}
