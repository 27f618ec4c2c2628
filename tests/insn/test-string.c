/*
 * String instructions against a model that does one element at a time, and
 * against the host: overlaps, both directions, address wrap, limits, faults
 * and events in the middle, pages that are not RAM.
 */
#include "util/osdep.h"
#include <sys/mman.h>
#include <time.h>
#include "target-x86/flags.h"
#include "tests/lib/fake-access.h"
#include "tests/lib/host-run.h"

enum { WINDOW = 0x20000, PAGE = 4096 };

/* ---- the model ------------------------------------------------------------------ */

typedef struct Model {
    const FakeCpu *f; /* mode, segments, page kinds */
    const Insn *in;
    uint64_t gpr[16];
    uint64_t flags;
    uint8_t *ram;
    int fault; /* vector, or -1 */
    uint64_t io_next, n_io, io_last;
} Model;

static uint64_t cut(uint64_t v, unsigned size)
{
    return v & (UINT64_MAX >> (64 - 8 * size));
}

/* Host pointer for an element, or NULL after setting m->fault. */
static uint8_t *model_mem(Model *m, unsigned seg, uint64_t off, unsigned size,
                          bool write)
{
    const X86Seg *g = &m->f->cpu.s.seg[seg];
    uint64_t lin = off;

    if (!m->f->cpu.mode.code64) {
        bool down = (g->attr & (SEG_CODE | SEG_CE)) == SEG_CE;

        if (down ? off <= g->limit || off + size - 1 > 0xffffffff
                 : off + size - 1 > g->limit) {
            m->fault = seg == S_SS ? EXC_SS : EXC_GP;
            return NULL;
        }
        lin = (uint32_t)(g->base + off);
    } else if (seg >= S_FS) {
        lin += g->base;
    }
    for (unsigned i = 0; i < size; i++) {
        if (lin + i >= WINDOW || m->f->page[(lin + i) / PAGE] == FAKE_ABSENT ||
            (write && m->f->page[(lin + i) / PAGE] == FAKE_RO)) {
            m->fault = EXC_PF;
            return NULL;
        }
    }
    return m->ram + lin;
}

static void model_move(Model *m, unsigned reg, unsigned size)
{
    unsigned asz = 1u << m->in->adsize;
    uint64_t v = m->gpr[reg] + (m->flags & FL_DF ? -(uint64_t)size : size);

    m->gpr[reg] = asz == 2 ? (m->gpr[reg] & ~UINT64_C(0xffff)) | (uint16_t)v
                           : cut(v, asz);
}

static void model_compare(Model *m, uint64_t a, uint64_t b, unsigned size)
{
    X86Cpu c = { 0 };

    flags_lazy(&c, FLAGS_SUB, __builtin_ctz(size), a - b, b);
    m->flags = (m->flags & ~(uint64_t)FL_ARITH) | flags_arith(&c);
}

/* One element; false: a fault, nothing changed. */
static bool model_step(Model *m, unsigned size)
{
    unsigned op = insn_rows[m->in->id].opcode & ~1u, asz = 1u << m->in->adsize;
    bool uses_si = op == 0xa4 || op == 0xa6 || op == 0xac || op == 0x6e;
    bool uses_di = op != 0xac && op != 0x6e;
    bool write = op == 0xa4 || op == 0xaa || op == 0x6c;
    uint8_t *s = NULL, *d = NULL;
    uint64_t a = cut(m->gpr[R_RAX], size), b = 0;

    if (uses_si) {
        s = model_mem(m, m->in->seg, cut(m->gpr[R_RSI], asz), size, false);
        if (!s) {
            return false;
        }
        a = 0;
        memcpy(&a, s, size);
    }
    if (uses_di) {
        d = model_mem(m, S_ES, cut(m->gpr[R_RDI], asz), size, write);
        if (!d) {
            return false;
        }
        memcpy(&b, d, size);
    }
    if (op == 0x6c) {
        a = cut(m->io_next++, size);
        m->n_io++;
    } else if (op == 0x6e) {
        m->io_last = a;
        m->n_io++;
    }
    if (write) {
        memcpy(d, &a, size);
    } else if (op == 0xac) {
        m->gpr[R_RAX] = size == 8 || size == 4
                            ? a
                            : (m->gpr[R_RAX] & ~cut(UINT64_MAX, size)) | a;
    } else if (op == 0xa6 || op == 0xae) {
        model_compare(m, a, b, size);
    }
    if (uses_si) {
        model_move(m, R_RSI, size);
    }
    if (uses_di) {
        model_move(m, R_RDI, size);
    }
    return true;
}

static void model_run(Model *m)
{
    const Insn *in = m->in;
    unsigned op = insn_rows[in->id].opcode, asz = 1u << in->adsize;
    unsigned size = op & 1 ? 1u << in->opsize : 1;
    bool compares = (op & ~1u) == 0xa6 || (op & ~1u) == 0xae;
    uint64_t before = m->flags, count;

    if (op < 0xa0 && size == 8) {
        size = 4;
    }
    m->fault = -1;
    if (in->rep == REP_NONE) {
        model_step(m, size);
        return;
    }
    while ((count = cut(m->gpr[R_RCX], asz)) != 0) {
        if (!model_step(m, size)) {
            m->flags = before;
            return;
        }
        count--;
        m->gpr[R_RCX] =
            asz == 2 ? (m->gpr[R_RCX] & ~UINT64_C(0xffff)) | count : count;
        if (compares && !(m->flags & FL_ZF) == (in->rep == REP_F3)) {
            break;
        }
    }
}

/* ---- random cases ------------------------------------------------------------------ */

static GRand *rnd;

static uint32_t upto(uint32_t n)
{
    return g_rand_int_range(rnd, 0, n);
}

static unsigned random_code(uint8_t *b, FakeMode mode)
{
    static const uint8_t ops[] = { 0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab,
                                   0xac, 0xad, 0xae, 0xaf, 0x6c, 0x6d,
                                   0x6e, 0x6f, 0xa4, 0xa5 };
    static const uint8_t segs[] = { 0x26, 0x36, 0x64, 0x65 };
    unsigned n = 0;

    if (upto(4) == 0) {
        b[n++] = 0x67;
    }
    if (upto(3) == 0) {
        b[n++] = 0x66;
    }
    if (upto(6) == 0) {
        b[n++] = segs[upto(4)];
    }
    if (upto(8) != 0) {
        b[n++] = upto(3) ? 0xf3 : 0xf2;
    }
    if (mode == FAKE_LONG64 && upto(3) == 0) {
        b[n++] = 0x48;
    }
    b[n++] = ops[upto(sizeof(ops))];
    return n;
}

static void random_memory(FakeCpu *f)
{
    unsigned kind = upto(4);

    if (kind == 0) { /* long equal stretches */
        memset(f->ram, upto(2), WINDOW);
        for (unsigned i = 0; i < 4; i++) {
            f->ram[upto(WINDOW)] ^= 1;
        }
    } else {
        for (unsigned i = 0; i < WINDOW; i += 4) {
            uint32_t v = g_rand_int(rnd);

            memcpy(f->ram + i, &v, 4);
        }
    }
    memset(f->page, FAKE_RW, WINDOW / PAGE);
    for (unsigned i = upto(3) == 0 ? 6 : 0; i > 0; i--) {
        f->page[upto(WINDOW / PAGE)] = upto(4);
    }
}

static void random_registers(FakeCpu *f, bool small)
{
    X86State *s = &f->cpu.s;
    uint32_t span = small ? 0x10000 : WINDOW;
    int near = (int)upto(600) - 300;

    for (unsigned i = 0; i < 16; i++) {
        s->gpr[i] = (uint64_t)g_rand_int(rnd) << 32 | g_rand_int(rnd);
    }
    if (!small) {
        s->gpr[R_RSI] = s->gpr[R_RDI] = s->gpr[R_RCX] = 0;
    }
    s->gpr[R_RSI] &= ~UINT64_C(0xffffffff);
    s->gpr[R_RDI] &= ~UINT64_C(0xffffffff);
    s->gpr[R_RCX] &= ~UINT64_C(0xffffffff);
    s->gpr[R_RSI] |= upto(span);
    s->gpr[R_RDI] |=
        upto(3) ? (uint32_t)(s->gpr[R_RSI] + near) & 0x1ffff : upto(span);
    s->gpr[R_RCX] |= upto(4) ? upto(400) : upto(9000);
    if (upto(10) == 0) { /* AL and friends found in constant memory */
        s->gpr[R_RAX] = 0;
    }
    s->rflags = 2 | (g_rand_int(rnd) & (FL_ARITH | FL_DF));
    if (upto(2)) {
        s->rflags &= ~(uint64_t)FL_DF;
    }
}

static void random_segments(FakeCpu *f)
{
    for (unsigned i = 0; i < S_COUNT; i++) {
        X86Seg *g = &f->cpu.s.seg[i];

        if (i == S_CS || upto(4)) {
            continue;
        }
        g->base = upto(0x8000);
        g->limit = upto(0x10000) + 0x1000;
        if (upto(6) == 0) {
            g->attr |= SEG_CE;
            g->limit = upto(0x8000);
        }
    }
}

/* Runs it to its end, through restarts; the number of those. */
static unsigned run_to_end(FakeCpu *f, const uint8_t *b, unsigned len,
                           FakeExit *how)
{
    unsigned restarts = 0;

    do {
        uint64_t rip = f->cpu.s.rip, rcx = f->cpu.s.gpr[R_RCX];

        f->leave_after = upto(3) ? 0 : 1 + upto(3);
        *how = fake_bytes(f, b, len, NULL);
        if (*how == FAKE_RESTART) {
            g_assert_cmphex(f->cpu.s.rip, ==, rip);
            g_assert_cmphex(f->cpu.s.gpr[R_RCX], !=, rcx);
            restarts++;
        }
    } while (*how == FAKE_RESTART);
    return restarts;
}

static void compare(const FakeCpu *f, const Model *m, FakeExit how,
                    unsigned restarts)
{
    int fault = how == FAKE_FAULT ? f->cpu.fault.vector : -1;

    g_assert_cmpint(fault, ==, m->fault);
    for (unsigned i = 0; i < 16; i++) {
        g_assert_cmphex(f->cpu.s.gpr[i], ==, m->gpr[i]);
    }
    if (fault < 0 || restarts == 0) {
        g_assert_cmphex(flags_get((X86Cpu *)&f->cpu), ==, m->flags);
    }
    g_assert_cmpuint(f->n_io, ==, m->n_io);
    g_assert_cmphex(f->io_next, ==, m->io_next);
    g_assert_cmpmem(f->ram, WINDOW, m->ram, WINDOW);
}

static void test_model(gconstpointer arg)
{
    FakeMode mode = GPOINTER_TO_INT(arg);
    FakeCpu *f = fake_new(mode, 0, WINDOW);
    Model m = { .f = f, .ram = g_malloc(WINDOW) };
    unsigned faults = 0, restarts = 0,
             rounds = g_test_thorough() ? 60000 : 6000;

    rnd = g_rand_new_with_seed(g_test_rand_int());
    for (unsigned i = 0; i < rounds; i++) {
        uint8_t b[16] = { 0 };
        unsigned len = random_code(b, mode), n;
        FakeExit how;
        Insn in;

        fake_mode(f, mode);
        random_memory(f);
        random_registers(f, mode == FAKE_REAL || mode == FAKE_PROT16);
        if (mode == FAKE_PROT32) {
            random_segments(f);
        }
        f->n_io = 0;
        f->io_next = upto(1000);
        memcpy(m.gpr, f->cpu.s.gpr, sizeof(m.gpr));
        memcpy(m.ram, f->ram, WINDOW);
        m.flags = f->cpu.s.rflags;
        m.io_next = f->io_next;
        m.n_io = 0;
        m.in = &in;
        g_assert_cmpint(decode_insn(b, 15, f->cpu.mode.code_bits, &in), ==,
                        DECODE_OK);
        model_run(&m);
        n = run_to_end(f, b, len, &how);
        restarts += n;
        faults += how == FAKE_FAULT;
        compare(f, &m, how, n);
    }
    g_test_message("%u faults, %u restarts", faults, restarts);
    g_assert_cmpuint(faults, >, 0);
    g_assert_cmpuint(restarts, >, 0);
    g_free(m.ram);
    fake_free(f);
    g_rand_free(rnd);
}

/* ---- the host ------------------------------------------------------------------------ */

static void test_host(void)
{
    static const uint8_t ops[] = { 0xa4, 0xa5, 0xa6, 0xa7, 0xaa,
                                   0xab, 0xac, 0xad, 0xae, 0xaf };
    uint8_t *host = mmap(NULL, WINDOW, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FakeCpu *f = fake_new(FAKE_LONG64, (uintptr_t)host, WINDOW);

    rnd = g_rand_new_with_seed(g_test_rand_int());
    for (unsigned i = 0; i < 6000; i++) {
        HostRegs r = { 0 };
        uint8_t b[16];
        unsigned len = 0;
        FakeExit how;

        if (upto(3) == 0) {
            b[len++] = 0x66;
        }
        if (upto(8)) {
            b[len++] = upto(3) ? 0xf3 : 0xf2;
        }
        if (upto(3) == 0) {
            b[len++] = 0x48;
        }
        b[len++] = ops[upto(sizeof(ops))];

        fake_mode(f, FAKE_LONG64);
        random_memory(f);
        memset(f->page, 0, WINDOW / PAGE);
        random_registers(f, false);
        f->cpu.s.gpr[R_RCX] %= 1000;
        f->cpu.s.gpr[R_RSI] = (uintptr_t)host + 0x8000 + upto(0x8000);
        f->cpu.s.gpr[R_RDI] = upto(2) ? f->cpu.s.gpr[R_RSI] + upto(200) - 100
                                      : (uintptr_t)host + 0x8000 + upto(0x8000);
        memcpy(host, f->ram, WINDOW);
        memcpy(r.gpr, f->cpu.s.gpr, sizeof(r.gpr));
        r.flags = f->cpu.s.rflags;
        g_assert_cmpint(host_run(b, len, &r), ==, -1);
        run_to_end(f, b, len, &how);
        g_assert_cmpint(how, ==, FAKE_DONE);
        r.gpr[R_RSP] = f->cpu.s.gpr[R_RSP];
        g_assert_cmpmem(f->cpu.s.gpr, sizeof(r.gpr), r.gpr, sizeof(r.gpr));
        g_assert_cmphex(flags_get(&f->cpu) & (FL_ARITH | FL_DF), ==,
                        r.flags & (FL_ARITH | FL_DF));
        g_assert_cmpmem(f->ram, WINDOW, host, WINDOW);
    }
    munmap(host, WINDOW);
    fake_free(f);
    g_rand_free(rnd);
}

/* ---- special cases --------------------------------------------------------------------- */

/* A single step sees each iteration. */
static void test_step(void)
{
    FakeCpu *f = fake_new(FAKE_LONG64, 0, WINDOW);

    f->cpu.s.gpr[R_RSI] = 0x1000;
    f->cpu.s.gpr[R_RDI] = 0x2000;
    f->cpu.s.gpr[R_RCX] = 3;
    f->cpu.mode.slow = true;
    for (unsigned i = 1; i < 3; i++) {
        g_assert_cmpint(fake_bytes(f, "\xf3\xa4", 2, NULL), ==, FAKE_RESTART);
        g_assert_cmphex(f->cpu.s.gpr[R_RSI], ==, 0x1000 + i);
        g_assert_cmphex(f->cpu.s.gpr[R_RCX], ==, 3 - i);
        g_assert_cmphex(f->cpu.s.rip, ==, 0);
    }
    g_assert_cmpint(fake_bytes(f, "\xf3\xa4", 2, NULL), ==, FAKE_DONE);
    g_assert_cmphex(f->cpu.s.rip, ==, 2);
    fake_free(f);
}

/* A port is not read for memory that then faults. */
static void test_ins_probe(void)
{
    FakeCpu *f = fake_new(FAKE_LONG64, 0, WINDOW);

    fake_set_page(f, 0x2000, FAKE_RO);
    f->cpu.s.gpr[R_RDI] = 0x2000;
    g_assert_cmpint(fake_bytes(f, "\x6c", 1, NULL), ==, FAKE_FAULT);
    g_assert_cmpuint(f->n_io, ==, 0);
    f->cpu.s.gpr[R_RDI] = 0x1ffe; /* split */
    g_assert_cmpint(fake_bytes(f, "\x6d", 1, NULL), ==, FAKE_FAULT);
    g_assert_cmpuint(f->n_io, ==, 0);
    f->cpu.s.gpr[R_RDI] = 0x1ffc;
    f->cpu.s.gpr[R_RCX] = 5;
    g_assert_cmpint(fake_bytes(f, "\xf3\x6d", 2, NULL), ==, FAKE_FAULT);
    g_assert_cmpuint(f->n_io, ==, 1);
    g_assert_cmpuint(f->cpu.s.gpr[R_RCX], ==, 4);
    fake_free(f);
}

/* Bytes per second, for -m perf. */
static void test_speed(void)
{
    static const struct {
        const char *name, *code;
        unsigned len, size;
    } insn[] = {
        { "rep movsb", "\xf3\xa4", 2, 1 },
        { "rep movsq", "\xf3\x48\xa5", 3, 8 },
        { "rep stosb", "\xf3\xaa", 2, 1 },
        { "rep stosq", "\xf3\x48\xab", 3, 8 },
        { "rep cmpsb", "\xf3\xa6", 2, 1 },
        { "repne scasb", "\xf2\xae", 2, 1 },
        { "rep lodsq", "\xf3\x48\xad", 3, 8 },
    };
    enum { LEN = 0x8000, TIMES = 20000 };
    FakeCpu *f = fake_new(FAKE_LONG64, 0, WINDOW);

    if (!g_test_perf()) {
        g_test_skip("-m perf");
        fake_free(f);
        return;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(insn); i++) {
        double s;

        g_test_timer_start();
        for (unsigned k = 0; k < TIMES; k++) {
            f->cpu.s.gpr[R_RSI] = 0x1000;
            f->cpu.s.gpr[R_RDI] = 0x10000;
            f->cpu.s.gpr[R_RCX] = LEN / insn[i].size;
            f->cpu.s.gpr[R_RAX] = insn[i].code[0] == '\xf2' ? 1 : 0;
            fake_bytes(f, insn[i].code, insn[i].len, NULL);
        }
        s = g_test_timer_elapsed();
        g_test_message("%-12s %6.1f GB/s", insn[i].name,
                       (double)LEN * TIMES / s / 1e9);
    }
    fake_free(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/string/long64", GINT_TO_POINTER(FAKE_LONG64),
                         test_model);
    g_test_add_data_func("/string/prot32", GINT_TO_POINTER(FAKE_PROT32),
                         test_model);
    g_test_add_data_func("/string/prot16", GINT_TO_POINTER(FAKE_PROT16),
                         test_model);
    g_test_add_data_func("/string/real", GINT_TO_POINTER(FAKE_REAL),
                         test_model);
    g_test_add_func("/string/host", test_host);
    g_test_add_func("/string/step", test_step);
    g_test_add_func("/string/ins-probe", test_ins_probe);
    g_test_add_func("/string/speed", test_speed);
    return g_test_run();
}
