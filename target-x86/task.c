/*
 * Hardware task switching. SDM 3A, chapter 7; the order of checks is that of
 * 7.3 and table 7-1.
 *
 * A switch cannot be undone once the new registers are in place: faults of
 * the descriptor checks after that point belong to the new task (they are
 * raised with its RIP). Everything before leaves the old task as it was.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "util/log.h"
#include "target-x86/flags.h"
#include "target-x86/seg.h"

enum { TSS16_SIZE = 44, TSS32_SIZE = 104 };

/* Offsets of the 32-bit and the 16-bit TSS. SDM 3A, figures 7-2 and 7-10. */
enum {
    TSS32_CR3 = 28,
    TSS32_EIP = 32,
    TSS32_EFLAGS = 36,
    TSS32_GPR = 40,
    TSS32_SEG = 72,
    TSS32_LDT = 96,
    TSS32_TRAP = 100,
    TSS16_IP = 14,
    TSS16_FLAGS = 16,
    TSS16_GPR = 18,
    TSS16_SEG = 34,
    TSS16_LDT = 42,
};

/* What a TSS holds of a task. */
typedef struct TaskState {
    uint32_t cr3, eip, eflags, gpr[8];
    uint16_t seg[S_COUNT], ldt;
    bool trap;
} TaskState;

typedef struct Task {
    uint16_t sel;
    SegDesc d;
    uint32_t base, limit;
    bool is32;
} Task;

static bool task_desc_is_tss(const SegDesc *d, bool busy)
{
    unsigned type = desc_type(d);

    return !(d->hi & SEG_S) &&
           (busy ? type == DESC_TSS16_BUSY || type == DESC_TSS32_BUSY
                 : type == DESC_TSS16 || type == DESC_TSS32);
}

/* Step 2 to 5: the new TSS is there, right and big enough. */
static void task_find(X86Cpu *c, uint16_t sel, TaskSwitch kind, unsigned ext,
                      Task *t)
{
    bool iret = kind == TASK_IRET;
    uint32_t err = (sel & ~3u) | ext;

    if (sel & 4 || !desc_read(c, sel, &t->d) ||
        !task_desc_is_tss(&t->d, iret)) {
        x86_raise_err(c, iret ? EXC_TS : EXC_GP, err);
    }
    if (!(t->d.hi & SEG_P)) {
        x86_raise_err(c, EXC_NP, err);
    }
    t->sel = sel;
    t->is32 = desc_type(&t->d) & 8;
    t->base = (uint32_t)desc_base(&t->d);
    t->limit = desc_limit(&t->d);
    if (t->limit < (t->is32 ? TSS32_SIZE : TSS16_SIZE) - 1u) {
        x86_raise_err(c, EXC_TS, err);
    }
}

static uint32_t task_ld(X86Cpu *c, uint32_t base, unsigned off, unsigned size)
{
    return (uint32_t)lin_ld(c, (uint32_t)(base + off), size, LIN_SYS);
}

static void task_st(X86Cpu *c, uint32_t base, unsigned off, uint32_t v,
                    unsigned size)
{
    lin_st(c, (uint32_t)(base + off), v, size, LIN_SYS);
}

static void task_load32(X86Cpu *c, uint32_t base, TaskState *t)
{
    t->cr3 = task_ld(c, base, TSS32_CR3, 4);
    t->eip = task_ld(c, base, TSS32_EIP, 4);
    t->eflags = task_ld(c, base, TSS32_EFLAGS, 4);
    for (unsigned i = 0; i < 8; i++) {
        t->gpr[i] = task_ld(c, base, TSS32_GPR + i * 4, 4);
    }
    for (unsigned i = 0; i < S_COUNT; i++) {
        t->seg[i] = (uint16_t)task_ld(c, base, TSS32_SEG + i * 4, 2);
    }
    t->ldt = (uint16_t)task_ld(c, base, TSS32_LDT, 2);
    t->trap = task_ld(c, base, TSS32_TRAP, 2) & 1;
}

static void task_load16(X86Cpu *c, uint32_t base, TaskState *t)
{
    t->eip = task_ld(c, base, TSS16_IP, 2);
    t->eflags = task_ld(c, base, TSS16_FLAGS, 2);
    for (unsigned i = 0; i < 8; i++) {
        t->gpr[i] = 0xffff0000 | task_ld(c, base, TSS16_GPR + i * 2, 2);
    }
    for (unsigned i = 0; i < 4; i++) { /* ES CS SS DS; FS and GS are null */
        t->seg[i] = (uint16_t)task_ld(c, base, TSS16_SEG + i * 2, 2);
    }
    t->ldt = (uint16_t)task_ld(c, base, TSS16_LDT, 2);
}

static void task_save(X86Cpu *c, uint32_t eip, uint32_t eflags)
{
    const X86State *s = &c->s;
    uint32_t base = (uint32_t)s->tr.base;

    if (s->tr.attr >> SEG_TYPE_SHIFT & 8) {
        task_st(c, base, TSS32_EIP, eip, 4);
        task_st(c, base, TSS32_EFLAGS, eflags, 4);
        for (unsigned i = 0; i < 8; i++) {
            task_st(c, base, TSS32_GPR + i * 4, (uint32_t)s->gpr[i], 4);
        }
        for (unsigned i = 0; i < S_COUNT; i++) {
            task_st(c, base, TSS32_SEG + i * 4, s->seg[i].sel, 2);
        }
    } else {
        task_st(c, base, TSS16_IP, eip, 2);
        task_st(c, base, TSS16_FLAGS, eflags, 2);
        for (unsigned i = 0; i < 8; i++) {
            task_st(c, base, TSS16_GPR + i * 2, (uint32_t)s->gpr[i], 2);
        }
        for (unsigned i = 0; i < 4; i++) {
            task_st(c, base, TSS16_SEG + i * 2, s->seg[i].sel, 2);
        }
    }
}

/* Step 6: both TSSs and both descriptors can be reached before any of them
 * changes. */
static void task_probe(X86Cpu *c, const Task *t, bool saves_link)
{
    const X86Seg *tr = &c->s.tr;
    bool old32 = tr->attr >> SEG_TYPE_SHIFT & 8;
    unsigned from = old32 ? TSS32_EIP : TSS16_IP;
    unsigned to = old32 ? TSS32_LDT : TSS16_LDT;

    if (tr->limit < (old32 ? TSS32_SIZE : TSS16_SIZE) - 1u) {
        x86_raise_err(c, EXC_TS, tr->sel & ~3u);
    }
    lin_probe(c, (uint32_t)(tr->base + from), to - from, true, LIN_SYS);
    if (saves_link) {
        lin_probe(c, t->base, 2, true, LIN_SYS);
    }
    lin_probe(c, t->d.lin, 8, true, LIN_SYS);
    lin_probe(c, (uint32_t)(c->s.gdt_base + (tr->sel & ~7u)), 8, true, LIN_SYS);
}

static void task_set_tr(X86Cpu *c, const Task *t)
{
    c->s.tr = (X86Seg) {
        .sel = t->sel,
        .attr = (t->d.hi & 0x00f0ff00) | 2 << SEG_TYPE_SHIFT,
        .limit = t->limit,
        .base = t->base,
    };
}

/* ---- the new task's segments: faults from here on are its own -------------------- */

static void task_load_ldt(X86Cpu *c, uint16_t sel)
{
    X86Seg *ldt = &c->s.ldt;
    SegDesc d = { 0 };

    *ldt = (X86Seg) { .sel = sel, .unusable = true };
    if (!(sel & ~3u)) {
        return;
    }
    if (sel & 4 || !desc_read(c, sel, &d) || d.hi & SEG_S ||
        desc_type(&d) != DESC_LDT || !(d.hi & SEG_P)) {
        x86_raise_err(c, EXC_TS, sel & ~3u);
    }
    ldt->unusable = false;
    ldt->attr = d.hi & 0x00f0ff00;
    ldt->limit = desc_limit(&d);
    ldt->base = desc_base(&d);
}

static void task_load_cs(X86Cpu *c, uint16_t sel)
{
    uint32_t err = sel & ~3u;
    unsigned rpl = sel & 3;
    SegDesc d = { 0 };

    if (!(sel & ~3u) || !desc_read(c, sel, &d) || !desc_is_code(&d) ||
        (d.hi & SEG_CE ? desc_dpl(&d) > rpl : desc_dpl(&d) != rpl)) {
        x86_raise_err(c, EXC_TS, err);
    }
    if (!(d.hi & SEG_P)) {
        x86_raise_err(c, EXC_NP, err);
    }
    desc_set_accessed(c, &d);
    seg_set(c, S_CS, sel, &d);
}

static void task_load_ss(X86Cpu *c, uint16_t sel, unsigned cpl)
{
    SegDesc d = { 0 };

    if (!(sel & ~3u) || !desc_read(c, sel, &d) || (sel & 3) != cpl ||
        desc_dpl(&d) != cpl || !desc_is_writable_data(&d)) {
        x86_raise_err(c, EXC_TS, sel & ~3u);
    }
    if (!(d.hi & SEG_P)) {
        x86_raise_err(c, EXC_SS, sel & ~3u);
    }
    desc_set_accessed(c, &d);
    seg_set(c, S_SS, sel, &d);
}

static void task_load_data(X86Cpu *c, unsigned seg, uint16_t sel, unsigned cpl)
{
    bool conforming;
    SegDesc d = { 0 };

    if (!(sel & ~3u)) {
        seg_set_null(c, seg, sel, 0);
        return;
    }
    if (!desc_read(c, sel, &d) || !(d.hi & SEG_S) ||
        (d.hi & (SEG_CODE | SEG_RW)) == SEG_CODE) {
        x86_raise_err(c, EXC_TS, sel & ~3u);
    }
    conforming = desc_is_code(&d) && d.hi & SEG_CE;
    if (!conforming && ((sel & 3) > desc_dpl(&d) || cpl > desc_dpl(&d))) {
        x86_raise_err(c, EXC_TS, sel & ~3u);
    }
    if (!(d.hi & SEG_P)) {
        x86_raise_err(c, EXC_NP, sel & ~3u);
    }
    desc_set_accessed(c, &d);
    seg_set(c, seg, sel, &d);
}

/* All null with the new selectors, so that a fault on the way finds nothing
 * of the old task; CPL is already the new one. */
static void task_clear_segments(X86Cpu *c, const TaskState *t, unsigned cpl)
{
    for (unsigned i = 0; i < S_COUNT; i++) {
        seg_set_null(c, i, t->seg[i], cpl);
    }
    c->s.seg[S_CS].attr = SEG_DB;
    x86_update_mode(c);
}

static void task_load_segments(X86Cpu *c, const TaskState *t)
{
    static const uint8_t data[] = { S_DS, S_ES, S_FS, S_GS };
    unsigned cpl = t->seg[S_CS] & 3;

    if (t->eflags & FL_VM) {
        for (unsigned i = 0; i < S_COUNT; i++) {
            seg_load_real(c, i, t->seg[i]);
        }
        task_load_ldt(c, t->ldt);
        return;
    }
    task_clear_segments(c, t, cpl);
    task_load_ldt(c, t->ldt);
    task_load_ss(c, t->seg[S_SS], cpl);
    task_load_cs(c, t->seg[S_CS]);
    for (unsigned i = 0; i < G_N_ELEMENTS(data); i++) {
        task_load_data(c, data[i], t->seg[data[i]], cpl);
    }
}

static void task_push_error(X86Cpu *c, bool is32, uint32_t error)
{
    unsigned size = is32 ? 4 : 2;
    Stack st;

    stk_current(c, &st);
    stk_room(c, &st, 1, size);
    stk_push(c, &st, error, size);
    stk_commit(c, &st);
}

/* Registers that cannot fault. */
static void task_set_registers(X86Cpu *c, const TaskState *t, bool is32)
{
    X86State *s = &c->s;

    if (is32 && s->cr0 & CR0_PG && t->cr3 != s->cr3) {
        uint64_t pdpte[4];

        if (s->cr4 & CR4_PAE && x86_load_pdptes(c, t->cr3, pdpte)) {
            memcpy(s->pdpte, pdpte, sizeof(pdpte));
        }
        s->cr3 = t->cr3;
        tlb_cr3_written(c, false);
    }
    s->rip = t->eip;
    for (unsigned i = 0; i < 8; i++) {
        s->gpr[i] = t->gpr[i];
    }
    flags_put(c, t->eflags);
    s->rflags = (t->eflags & 0x3f7fd7) | 2;
}

void task_switch(X86Cpu *c, uint16_t tss_sel, TaskSwitch kind,
                 uint64_t next_rip, unsigned ext, bool has_error,
                 uint32_t error)
{
    X86State *s = &c->s;
    uint16_t old_sel = s->tr.sel;
    uint32_t flags = (uint32_t)flags_get(c);
    uint64_t old_lin = (uint32_t)(s->gdt_base + (old_sel & ~7u));
    TaskState t = { 0 };
    Task to = { 0 };

    task_find(c, tss_sel, kind, ext, &to);
    log_mask(LOG_PCALL, "task switch %04x -> %04x\n", old_sel, tss_sel);
    if (to.is32) {
        task_load32(c, to.base, &t);
    } else {
        task_load16(c, to.base, &t);
    }
    task_probe(c, &to, kind == TASK_CALL);

    /* The commit: the old task is put away ... */
    if (kind != TASK_CALL) {
        desc_set_busy(c, old_lin, false);
    }
    task_save(c, (uint32_t)next_rip,
              kind == TASK_IRET ? flags & ~FL_NT : flags);
    if (kind == TASK_CALL) {
        task_st(c, to.base, 0, old_sel, 2);
        t.eflags |= FL_NT;
    }
    if (kind != TASK_IRET) {
        desc_set_busy(c, to.d.lin, true);
    }
    /* ... and this is the new one. */
    c->insn = NULL;
    s->cr0 |= CR0_TS;
    task_set_tr(c, &to);
    task_set_registers(c, &t, to.is32);
    s->dr[7] &= ~UINT64_C(0x155); /* L0-L3, LE */
    task_load_segments(c, &t);
    x86_update_mode(c);
    if (has_error) {
        task_push_error(c, to.is32, error);
    }
    if (s->rip > s->seg[S_CS].limit) {
        x86_raise_err(c, EXC_GP, 0);
    }
    if (t.trap) {
        x86_raise_db(c, DR6_BT);
    }
}

void task_transfer(X86Cpu *c, uint16_t sel, const SegDesc *d, TaskSwitch kind,
                   uint64_t next_rip)
{
    bool gate = desc_type(d) == DESC_TASK_GATE;

    if (c->mode.long_mode || desc_dpl(d) < c->mode.cpl ||
        desc_dpl(d) < (sel & 3u) || !(gate || task_desc_is_tss(d, false))) {
        x86_raise_err(c, EXC_GP, sel & ~3u);
    }
    if (!(d->hi & SEG_P)) {
        x86_raise_err(c, EXC_NP, sel & ~3u);
    }
    task_switch(c, gate ? (uint16_t)(d->lo >> 16) : sel, kind, next_rip, 0,
                false, 0);
}
