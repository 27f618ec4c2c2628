/*
 * Segment descriptors: reading them, their checks, loading data segments, and
 * stacks that are built before they become current. SDM 3A, chapters 3 and 5.
 *
 * Rule of all of it: everything that can fault (descriptor reads, rights, the
 * write of the accessed bit) comes before the first change of X86State.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "target-x86/seg.h"
#include "target-x86/cpuid.h"

bool x86_canonical(const X86Cpu *c, uint64_t lin)
{
    unsigned bits = c->s.cr4 & CR4_LA57 ? 57 : 48;

    return (uint64_t)bits_sext(lin, bits) == lin;
}

bool x86_canonical_max(const X86Cpu *c, uint64_t lin)
{
    unsigned bits = cpu_has(c, FEAT_LA57) ? 57 : 48;

    return (uint64_t)bits_sext(lin, bits) == lin;
}

/* Addresses of tables wrap at 4 GiB outside long mode. */
static uint64_t seg_wrap(const X86Cpu *c, uint64_t lin)
{
    return c->mode.long_mode ? lin : (uint32_t)lin;
}

/* ---- descriptors ---------------------------------------------------------- */

bool desc_read(X86Cpu *c, uint16_t sel, SegDesc *d)
{
    uint64_t base = c->s.gdt_base, v;
    uint32_t limit = c->s.gdt_limit;

    if (sel & 4) {
        if (c->s.ldt.unusable) {
            return false;
        }
        base = c->s.ldt.base;
        limit = c->s.ldt.limit;
    }
    if (!(sel & ~3u) || (sel | 7u) > limit) {
        return false;
    }
    d->lin = seg_wrap(c, base + (sel & ~7u));
    v = lin_ld(c, d->lin, 8, LIN_SYS);
    d->lo = (uint32_t)v;
    d->hi = (uint32_t)(v >> 32);
    d->hi2 = 0;
    return true;
}

bool desc_read_hi(X86Cpu *c, uint16_t sel, SegDesc *d)
{
    uint32_t limit = sel & 4 ? c->s.ldt.limit : c->s.gdt_limit;
    uint64_t v;

    if ((sel & ~7u) + 15 > limit) {
        return false;
    }
    v = lin_ld(c, d->lin + 8, 8, LIN_SYS);
    d->hi2 = (uint32_t)v;
    return !(v >> 32 & 0x1f00);
}

void desc_set_accessed(X86Cpu *c, SegDesc *d)
{
    if (!(d->hi & SEG_A)) {
        d->hi |= SEG_A;
        lin_st(c, d->lin + 5, d->hi >> 8 & 0xff, 1, LIN_SYS);
    }
}

void desc_set_busy(X86Cpu *c, uint64_t lin, bool busy)
{
    uint8_t v = (uint8_t)lin_ld(c, lin + 5, 1, LIN_SYS);

    lin_st(c, lin + 5, busy ? v | 2 : v & ~2u, 1, LIN_SYS);
}

void seg_set(X86Cpu *c, unsigned seg, uint16_t sel, const SegDesc *d)
{
    c->s.seg[seg] = (X86Seg) {
        .sel = sel,
        .attr = d->hi & 0x00f0ff00,
        .limit = desc_limit(d),
        .base = desc_base(d),
    };
}

void seg_set_null(X86Cpu *c, unsigned seg, uint16_t sel, unsigned dpl)
{
    c->s.seg[seg] = (X86Seg) {
        .sel = sel,
        .unusable = true,
        .attr = seg == S_SS ? dpl << SEG_DPL_SHIFT : 0,
    };
}

/* ---- loading data segments -------------------------------------------------- */

void seg_load_real(X86Cpu *c, unsigned seg, uint16_t sel)
{
    X86Seg *sg = &c->s.seg[seg];

    if (c->s.rflags & FL_VM) {
        sg->attr = SEG_P | SEG_DPL | SEG_S | SEG_RW | SEG_A;
        sg->limit = 0xffff;
    } else if (sg->unusable) {
        sg->attr = SEG_P | SEG_S | SEG_RW | SEG_A;
        sg->limit = 0xffff;
    } else {
        /* "Unreal mode" lives from limit and size staying as they were. */
        sg->attr = (sg->attr & ~SEG_DPL) | SEG_P | SEG_S;
    }
    sg->unusable = false;
    sg->sel = sel;
    sg->base = (uint32_t)sel << 4;
}

static void seg_load_null(X86Cpu *c, unsigned seg, uint16_t sel)
{
    unsigned cpl = c->mode.cpl;

    if (seg == S_SS && (!c->mode.code64 || cpl == 3 || (sel & 3) != cpl)) {
        x86_raise_err(c, EXC_GP, 0);
    }
    seg_set_null(c, seg, sel, cpl);
}

/* SDM 2B, MOV: what SS asks of a descriptor. */
static void seg_check_ss(X86Cpu *c, uint16_t sel, const SegDesc *d)
{
    unsigned cpl = c->mode.cpl;

    if ((sel & 3) != cpl || desc_dpl(d) != cpl || !desc_is_writable_data(d)) {
        x86_raise_err(c, EXC_GP, sel & ~3u);
    }
    if (!(d->hi & SEG_P)) {
        x86_raise_err(c, EXC_SS, sel & ~3u);
    }
}

/* ... and DS, ES, FS, GS. */
static void seg_check_data(X86Cpu *c, uint16_t sel, const SegDesc *d)
{
    bool readable = d->hi & SEG_S && (!(d->hi & SEG_CODE) || d->hi & SEG_RW);
    bool conforming = desc_is_code(d) && d->hi & SEG_CE;

    if (!readable || (!conforming &&
                      ((sel & 3) > desc_dpl(d) || c->mode.cpl > desc_dpl(d)))) {
        x86_raise_err(c, EXC_GP, sel & ~3u);
    }
    if (!(d->hi & SEG_P)) {
        x86_raise_err(c, EXC_NP, sel & ~3u);
    }
}

void seg_load(X86Cpu *c, unsigned seg, uint16_t sel)
{
    SegDesc d;

    if (!c->mode.protected_mode) {
        seg_load_real(c, seg, sel);
    } else if (!(sel & ~3u)) {
        seg_load_null(c, seg, sel);
    } else {
        if (!desc_read(c, sel, &d)) {
            x86_raise_err(c, EXC_GP, sel & ~3u);
        }
        if (seg == S_SS) {
            seg_check_ss(c, sel, &d);
        } else {
            seg_check_data(c, sel, &d);
        }
        desc_set_accessed(c, &d);
        seg_set(c, seg, sel, &d);
    }
    if (seg != S_FS && seg != S_GS) {
        x86_update_mode(c);
    }
}

/* ---- stacks ------------------------------------------------------------------ */

static bool tss_is_32(const X86Cpu *c)
{
    return c->s.tr.attr >> SEG_TYPE_SHIFT & 8;
}

void tss_stack(X86Cpu *c, unsigned dpl, unsigned ext, uint16_t *ss,
               uint64_t *sp)
{
    const X86Seg *tr = &c->s.tr;
    unsigned size = c->mode.long_mode ? 8 : tss_is_32(c) ? 4 : 2;
    unsigned off = size == 8 ? 4 + dpl * 8 : size + dpl * size * 2;
    unsigned len = size == 8 ? 8 : size + 2;

    if (off + len - 1 > tr->limit) {
        x86_raise_err(c, EXC_TS, (tr->sel & ~3u) | ext);
    }
    *sp = lin_ld(c, seg_wrap(c, tr->base + off), size, LIN_SYS);
    *ss = size == 8 ? (uint16_t)dpl
                    : (uint16_t)lin_ld(c, seg_wrap(c, tr->base + off + size), 2,
                                       LIN_SYS);
}

void ss_check_new(X86Cpu *c, uint16_t sel, unsigned cpl, unsigned ext,
                  SegDesc *d)
{
    if (!(sel & ~3u)) {
        x86_raise_err(c, EXC_TS, ext);
    }
    if (!desc_read(c, sel, d) || (sel & 3) != cpl || desc_dpl(d) != cpl ||
        !desc_is_writable_data(d)) {
        x86_raise_err(c, EXC_TS, (sel & ~3u) | ext);
    }
    if (!(d->hi & SEG_P)) {
        x86_raise_err(c, EXC_SS, (sel & ~3u) | ext);
    }
}

void stk_current(X86Cpu *c, Stack *st)
{
    const X86Seg *ss = &c->s.seg[S_SS];

    *st = (Stack) {
        .base = c->mode.code64 ? 0 : ss->base,
        .sp = c->s.gpr[R_RSP],
        .mask = bits_mask(c->mode.stack_size * 8u),
        .limit = ss->limit,
        .attr = ss->unusable ? 0 : ss->attr,
        .is64 = c->mode.code64,
        .as = LIN_CPL,
    };
}

void stk_new(Stack *st, const SegDesc *d, uint64_t sp, unsigned cpl,
             uint32_t err)
{
    *st = (Stack) {
        .base = desc_base(d),
        .sp = sp,
        .mask = d->hi & SEG_DB ? 0xffffffff : 0xffff,
        .limit = desc_limit(d),
        .attr = d->hi & 0x00f0ff00,
        .as = cpl == 3 ? LIN_USER : LIN_KERNEL,
        .err = err,
    };
}

/* The linear address of @size bytes at @off, or #SS. */
static uint64_t stack_lin(X86Cpu *c, const Stack *st, uint64_t off,
                          unsigned size)
{
    uint64_t last = off + size - 1;
    bool ok;

    if (st->is64) {
        ok = x86_canonical(c, off) && x86_canonical(c, last);
    } else if ((st->attr & (SEG_CODE | SEG_CE)) == SEG_CE) {
        ok = off > st->limit &&
             last <= (st->attr & SEG_DB ? 0xffffffff : 0xffff);
    } else {
        ok = last <= st->limit;
    }
    if (!ok) {
        x86_raise_err(c, EXC_SS, st->err);
    }
    return st->is64 ? off : (uint32_t)(st->base + off);
}

void stk_room(X86Cpu *c, const Stack *st, unsigned n, unsigned size)
{
    uint64_t sp = st->sp, len = (uint64_t)n * size;
    uint64_t low = (sp - len) & st->mask;

    /* The usual case: no wrap, so the two ends speak for the middle. */
    if (low < (sp & st->mask) || !(sp & st->mask)) {
        stack_lin(c, st, low, size);
        stack_lin(c, st, (sp - size) & st->mask, size);
        lin_probe(c, stack_lin(c, st, low, size), len, true, st->as);
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        sp -= size;
        lin_probe(c, stack_lin(c, st, sp & st->mask, size), size, true, st->as);
    }
}

void stk_push(X86Cpu *c, Stack *st, uint64_t v, unsigned size)
{
    uint64_t off = (st->sp - size) & st->mask;

    lin_st(c, stack_lin(c, st, off, size), v, size, st->as);
    st->sp = (st->sp & ~st->mask) | off;
}

uint64_t stk_pop(X86Cpu *c, Stack *st, unsigned size)
{
    uint64_t off = st->sp & st->mask;
    uint64_t v = lin_ld(c, stack_lin(c, st, off, size), size, st->as);

    st->sp = (st->sp & ~st->mask) | ((off + size) & st->mask);
    return v;
}

void stk_commit(X86Cpu *c, const Stack *st)
{
    uint64_t *rsp = &c->s.gpr[R_RSP];

    if (st->mask == 0xffff) {
        *rsp = (*rsp & ~UINT64_C(0xffff)) | (st->sp & 0xffff);
    } else {
        *rsp = st->sp & st->mask;
    }
}
