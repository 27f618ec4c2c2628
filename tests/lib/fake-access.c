/*
 * access.h for tests. See fake-access.h.
 *
 * Segment checks are the real rules, because sem functions are tested against
 * them; translation is a subtraction.
 */
#include "util/osdep.h"
#include "tests/lib/fake-access.h"
#include "target-x86/seg.h"

enum { PAGE = 4096 };

static FakeCpu *fake(X86Cpu *c)
{
    return (FakeCpu *)c;
}

/* ---- the CPU ------------------------------------------------------------- */

/* Enough of it for sem functions; target-x86/cpu.c has the real one. */
__attribute__((weak)) void x86_update_mode(X86Cpu *c)
{
    X86Mode *m = &c->mode;
    const X86State *s = &c->s;

    m->vm86 = s->rflags & FL_VM;
    m->protected_mode = (s->cr0 & CR0_PE) && !m->vm86;
    m->long_mode = s->efer & EFER_LMA;
    m->code64 = m->long_mode && (s->seg[S_CS].attr & SEG_L);
    m->code_bits = m->code64 ? 64 : s->seg[S_CS].attr & SEG_DB ? 32 : 16;
    m->stack_size = m->code64 ? 8 : s->seg[S_SS].attr & SEG_DB ? 4 : 2;
    m->cpl = (s->seg[S_SS].attr & SEG_DPL) >> SEG_DPL_SHIFT;
    m->slow = s->rflags & FL_TF;
    m->flat = false;
}

void fake_mode(FakeCpu *f, FakeMode mode)
{
    X86State *s = &f->cpu.s;
    bool small = mode <= FAKE_PROT16;
    uint32_t limit = mode <= FAKE_VM86 ? 0xffff : 0xffffffff;

    memset(s, 0, sizeof(*s));
    memset(&f->cpu.lazy, 0, sizeof(f->cpu.lazy));
    s->rflags = 2;
    for (int i = 0; i < S_COUNT; i++) {
        s->seg[i] = (X86Seg) {
            .sel = mode <= FAKE_VM86 ? 0
                   : i == S_CS       ? 8
                                     : 16,
            .attr = SEG_P | SEG_S | SEG_RW | SEG_A | (small ? 0 : SEG_DB),
            .limit = limit,
        };
    }
    s->seg[S_CS].attr |= mode <= FAKE_VM86 ? 0 : SEG_CODE;
    if (mode == FAKE_LONG64) {
        s->seg[S_CS].attr = (s->seg[S_CS].attr & ~SEG_DB) | SEG_L;
    }
    s->cr0 = mode == FAKE_REAL ? CR0_ET : CR0_PE | CR0_ET | CR0_NE;
    if (mode >= FAKE_COMPAT32) {
        s->cr0 |= CR0_PG;
        s->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
        s->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
        s->xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
    }
    if (mode == FAKE_VM86) {
        s->rflags |= FL_VM;
        for (int i = 0; i < S_COUNT; i++) {
            s->seg[i].attr |= 3 << SEG_DPL_SHIFT;
        }
    }
    s->fcw = 0x37f;
    s->mxcsr = 0x1f80;
    x86_update_mode(&f->cpu);
}

void fake_set_cpl(FakeCpu *f, unsigned cpl)
{
    for (int i = 0; i < S_COUNT; i++) {
        X86Seg *g = &f->cpu.s.seg[i];

        g->sel = (g->sel & ~3) | cpl;
        g->attr = (g->attr & ~SEG_DPL) | cpl << SEG_DPL_SHIFT;
    }
    x86_update_mode(&f->cpu);
}

FakeCpu *fake_new(FakeMode mode, uint64_t base, size_t size)
{
    FakeCpu *f = g_new0(FakeCpu, 1);

    g_assert(base % PAGE == 0 && size % PAGE == 0);
    f->ram = g_malloc0(size);
    f->base = base;
    f->size = size;
    f->page = g_malloc0(size / PAGE);
    fake_mode(f, mode);
    return f;
}

void fake_free(FakeCpu *f)
{
    g_free(f->ram);
    g_free(f->page);
    g_free(f);
}

void fake_set_page(FakeCpu *f, uint64_t lin, FakePage kind)
{
    g_assert(lin >= f->base && lin - f->base < f->size);
    f->page[(lin - f->base) / PAGE] = kind;
}

void *fake_ptr(FakeCpu *f, uint64_t lin)
{
    g_assert(lin >= f->base && lin - f->base < f->size);
    return f->ram + (lin - f->base);
}

FakeExit fake_exec(FakeCpu *f, InsnFn *fn, const Insn *in)
{
    int how = sigsetjmp(f->cpu.unwind, 0);

    if (how == 0) {
        memset(&f->cpu.fault, 0, sizeof(f->cpu.fault));
        f->cpu.fault.vector = -1;
        f->cpu.insn = in;
        fn(&f->cpu, in);
        f->cpu.insn = NULL;
    }
    return how;
}

FakeExit fake_bytes(FakeCpu *f, const void *bytes, size_t len, Insn *out)
{
    X86Cpu *c = &f->cpu;
    uint8_t buf[15] = { 0 };
    Insn in;
    FakeExit how;
    uint64_t next;

    memcpy(buf, bytes, MIN(len, sizeof(buf)));
    if (decode_insn(buf, sizeof(buf), c->mode.code_bits, &in) != DECODE_OK ||
        !insn_rows[in.id].sem) {
        return FAKE_UD;
    }
    in.off = 0;
    if (out) {
        *out = in;
    }
    next = insn_next_rip(c, &in);
    how = fake_exec(f, insn_rows[in.id].sem, &in);
    if (how == FAKE_DONE && !(insn_rows[in.id].attr & IA_JUMP)) {
        c->s.rip = next;
    }
    return how;
}

/* ---- faults -------------------------------------------------------------- */

/* Weak: target-x86/excp.c has the real ones, if a test needs that file. */
#define WEAK __attribute__((weak))

/* s.rip to the instruction itself, then out. */
static G_NORETURN void fake_unwind(X86Cpu *c, int how)
{
    if (c->insn) {
        c->s.rip = insn_rip(c, c->insn);
        c->insn = NULL;
    }
    siglongjmp(c->unwind, how);
}

static G_NORETURN void fake_raise(X86Cpu *c, X86Fault fault)
{
    c->fault = fault;
    fake_unwind(c, UNWIND_FAULT);
}

WEAK void x86_raise(X86Cpu *c, int vector)
{
    fake_raise(c, (X86Fault) { .vector = vector });
}

WEAK void x86_raise_err(X86Cpu *c, int vector, uint32_t error)
{
    fake_raise(
        c, (X86Fault) { .vector = vector, .has_error = true, .error = error });
}

WEAK void x86_raise_pf(X86Cpu *c, uint64_t lin, uint32_t error)
{
    fake_raise(c, (X86Fault) { .vector = EXC_PF,
                               .has_error = true,
                               .error = error,
                               .cr2 = lin });
}

WEAK void x86_raise_db(X86Cpu *c, uint64_t dr6_bits)
{
    c->insn = NULL; /* a trap: s.rip is right */
    fake_raise(c,
               (X86Fault) { .vector = EXC_DB, .trap = true, .dr6 = dr6_bits });
}

WEAK void x86_restart(X86Cpu *c)
{
    fake_unwind(c, UNWIND_RESTART);
}

/* ---- segments ------------------------------------------------------------ */

static bool fake_canonical(uint64_t lin)
{
    return (uint64_t)((int64_t)(lin << 16) >> 16) == lin;
}

static bool fake_seg_ok(const X86Seg *g, uint64_t off, size_t len, bool write)
{
    uint64_t last = off + len - 1;

    if ((g->attr & SEG_CODE) ? write || !(g->attr & SEG_RW)
                             : write && !(g->attr & SEG_RW)) {
        return false;
    }
    if ((g->attr & (SEG_CODE | SEG_CE)) == SEG_CE) { /* expand-down */
        uint64_t top = g->attr & SEG_DB ? 0xffffffff : 0xffff;

        return off > g->limit && last <= top;
    }
    return last <= g->limit;
}

uint64_t seg_linear(X86Cpu *c, unsigned seg, uint64_t off, size_t len,
                    bool write)
{
    const X86Seg *g = &c->s.seg[seg];
    int vector = seg == S_SS ? EXC_SS : EXC_GP;
    uint64_t lin;

    if (c->mode.code64) {
        lin = off + (seg >= S_FS ? g->base : 0);
        if (!fake_canonical(lin) || !fake_canonical(lin + len - 1)) {
            x86_raise_err(c, vector, 0);
        }
        return lin;
    }
    if (g->unusable || !fake_seg_ok(g, off, len, write)) {
        x86_raise_err(c, vector, 0);
    }
    return (uint32_t)(g->base + off);
}

/* ---- memory -------------------------------------------------------------- */

static FakePage fake_kind(X86Cpu *c, uint64_t lin)
{
    FakeCpu *f = fake(c);

    if (lin < f->base || lin - f->base >= f->size) {
        return FAKE_ABSENT;
    }
    return f->page[(lin - f->base) / PAGE];
}

static void fake_check(X86Cpu *c, uint64_t lin, size_t len, bool write,
                       bool user)
{
    uint64_t at = lin;

    while (len > 0) {
        size_t n = MIN(len, PAGE - at % PAGE);
        FakePage kind = fake_kind(c, at);

        if (kind == FAKE_ABSENT || (kind == FAKE_RO && write)) {
            x86_raise_pf(c, at, (kind == FAKE_RO) | write << 1 | user << 2);
        }
        at += n;
        len -= n;
    }
}

static uint8_t *fake_mem(X86Cpu *c, unsigned seg, uint64_t off, size_t len,
                         bool write, size_t align)
{
    uint64_t lin = seg_linear(c, seg, off, len, write);

    if (c->mode.cpl == 3 && (c->s.cr0 & CR0_AM) && (c->s.rflags & FL_AC) &&
        lin % align != 0) {
        x86_raise_err(c, EXC_AC, 0);
    }
    fake_check(c, lin, len, write, c->mode.cpl == 3);
    return fake_ptr(fake(c), lin);
}

uint64_t mem_ld(X86Cpu *c, unsigned seg, uint64_t off, unsigned size)
{
    uint64_t v = 0;

    memcpy(&v, fake_mem(c, seg, off, size, false, size), size);
    return v;
}

void mem_st(X86Cpu *c, unsigned seg, uint64_t off, uint64_t v, unsigned size)
{
    memcpy(fake_mem(c, seg, off, size, true, size), &v, size);
}

uint64_t mem_ld_rmw(X86Cpu *c, unsigned seg, uint64_t off, unsigned size)
{
    uint64_t v = 0;

    memcpy(&v, fake_mem(c, seg, off, size, true, size), size);
    return v;
}

void mem_ld_buf(X86Cpu *c, unsigned seg, uint64_t off, void *buf, size_t len)
{
    memcpy(buf, fake_mem(c, seg, off, len, false, 1), len);
}

void mem_st_buf(X86Cpu *c, unsigned seg, uint64_t off, const void *buf,
                size_t len)
{
    memcpy(fake_mem(c, seg, off, len, true, 1), buf, len);
}

void mem_probe(X86Cpu *c, unsigned seg, uint64_t off, size_t len, bool write)
{
    fake_mem(c, seg, off, len, write, 1);
}

void *mem_atomic(X86Cpu *c, unsigned seg, uint64_t off, unsigned size)
{
    uint8_t *p = fake_mem(c, seg, off, size, true, size);
    uint64_t lin = p - fake(c)->ram + fake(c)->base;

    if (lin % PAGE > PAGE - size || fake_kind(c, lin) == FAKE_MMIO) {
        return NULL;
    }
    return p;
}

void mem_exclusive_begin(X86Cpu *c)
{
    g_assert_false(fake(c)->exclusive);
    fake(c)->exclusive = true;
    fake(c)->n_exclusive++;
}

void mem_exclusive_end(X86Cpu *c)
{
    g_assert_true(fake(c)->exclusive);
    fake(c)->exclusive = false;
}

/* Bytes of the run that the segment's limit allows, from @off on or back. */
static uint64_t fake_run_limit(X86Cpu *c, unsigned seg, uint64_t off,
                               unsigned size, int dir)
{
    const X86Seg *g = &c->s.seg[seg];
    bool down = (g->attr & (SEG_CODE | SEG_CE)) == SEG_CE;

    if (c->mode.code64) {
        return PAGE;
    }
    if (dir > 0) {
        uint64_t top = !down              ? g->limit
                       : g->attr & SEG_DB ? 0xffffffff
                                          : 0xffff;

        return top - off + 1;
    }
    return off + size - (down ? (uint64_t)g->limit + 1 : 0);
}

uint8_t *mem_run(X86Cpu *c, unsigned seg, uint64_t off, unsigned size, int dir,
                 bool write, uint64_t *avail)
{
    uint8_t *p = fake_mem(c, seg, off, size, write, size);
    uint64_t lin = p - fake(c)->ram + fake(c)->base;
    uint64_t n = dir > 0 ? PAGE - lin % PAGE : lin % PAGE + size;

    if (lin % PAGE > PAGE - size || fake_kind(c, lin) == FAKE_MMIO) {
        return NULL;
    }
    *avail = MIN(n, fake_run_limit(c, seg, off, size, dir));
    return p;
}

void mem_run_wrote(X86Cpu *c, uint8_t *host, uint64_t len)
{
    FakeCpu *f = fake(c);

    g_assert(host >= f->ram && len <= f->size &&
             (size_t)(host - f->ram) <= f->size - len);
    f->wrote += len;
}

/* ---- linear -------------------------------------------------------------- */

static uint8_t *fake_lin(X86Cpu *c, uint64_t lin, size_t len, bool write,
                         LinAs as)
{
    bool user = as == LIN_USER || (as == LIN_CPL && c->mode.cpl == 3);

    fake_check(c, lin, len, write, user);
    return fake_ptr(fake(c), lin);
}

uint64_t lin_ld(X86Cpu *c, uint64_t lin, unsigned size, LinAs as)
{
    uint64_t v = 0;

    memcpy(&v, fake_lin(c, lin, size, false, as), size);
    return v;
}

void lin_st(X86Cpu *c, uint64_t lin, uint64_t v, unsigned size, LinAs as)
{
    memcpy(fake_lin(c, lin, size, true, as), &v, size);
}

void lin_probe(X86Cpu *c, uint64_t lin, size_t len, bool write, LinAs as)
{
    fake_lin(c, lin, len, write, as);
}

/* ---- TLB, ports, events -------------------------------------------------- */

void tlb_flush(X86Cpu *c, bool globals)
{
    fake(c)->n_flush++;
}

void tlb_flush_pcid(X86Cpu *c, uint16_t pcid)
{
    fake(c)->n_flush++;
}

void tlb_flush_page(X86Cpu *c, uint64_t lin)
{
    fake(c)->n_flush++;
}

void tlb_flush_page_pcid(X86Cpu *c, uint64_t lin, uint16_t pcid)
{
    fake(c)->n_flush++;
}

void tlb_cr3_written(X86Cpu *c, bool noflush)
{
    fake(c)->n_flush++;
}

static void fake_io(X86Cpu *c, FakeIo io)
{
    FakeCpu *f = fake(c);

    if (f->n_io < G_N_ELEMENTS(f->io)) {
        f->io[f->n_io] = io;
    }
    f->n_io++;
}

uint64_t io_ld(X86Cpu *c, uint16_t port, unsigned size)
{
    uint64_t v = fake(c)->io_next++ & (UINT64_MAX >> (64 - 8 * size));

    fake_io(c, (FakeIo) { port, size, false, v });
    return v;
}

void io_st(X86Cpu *c, uint16_t port, uint64_t v, unsigned size)
{
    fake_io(c, (FakeIo) { port, size, true, v });
}

bool cpu_should_leave(X86Cpu *c)
{
    FakeCpu *f = fake(c);

    return f->leave_after > 0 && --f->leave_after == 0;
}
