/*
 * Far transfers: JMP, CALL, RET and IRET between code segments, through call
 * and task gates, between privilege levels, to and from virtual-8086 mode.
 * SDM 2A/2B (the pseudo code of each), 3A 5.8; long mode: 3A 5.8.3.1.
 *
 * Each function decides everything with local copies (descriptors, a Stack),
 * does all that can fault, and only then commits.
 */
#include "util/osdep.h"
#include "util/log.h"
#include "target-x86/flags.h"
#include "target-x86/seg.h"

static G_NORETURN void far_gp(X86Cpu *c, uint16_t sel)
{
    x86_raise_err(c, EXC_GP, sel & ~3u);
}

static bool far_is_64(const X86Cpu *c, const SegDesc *cs)
{
    return c->mode.long_mode && cs->hi & SEG_L;
}

/* The new instruction pointer lies within the new code segment. */
static void far_check_rip(X86Cpu *c, const SegDesc *cs, uint64_t rip)
{
    if (far_is_64(c, cs) ? !x86_canonical(c, rip) : rip > desc_limit(cs)) {
        x86_raise_err(c, EXC_GP, 0);
    }
}

static void far_commit_cs(X86Cpu *c, uint16_t sel, unsigned cpl,
                          const SegDesc *cs, uint64_t rip)
{
    seg_set(c, S_CS, (sel & ~3u) | cpl, cs);
    c->s.rip = rip;
}

/* ---- JMP and CALL ----------------------------------------------------------- */

/* Code reached without a gate. Privilege never changes. */
static void far_check_direct(X86Cpu *c, uint16_t sel, const SegDesc *d)
{
    unsigned cpl = c->mode.cpl;

    if (d->hi & SEG_CE) {
        if (desc_dpl(d) > cpl) {
            far_gp(c, sel);
        }
    } else if ((sel & 3) > cpl || desc_dpl(d) != cpl) {
        far_gp(c, sel);
    }
    if (c->mode.long_mode && (d->hi & (SEG_L | SEG_DB)) == (SEG_L | SEG_DB)) {
        far_gp(c, sel);
    }
    if (!(d->hi & SEG_P)) {
        x86_raise_err(c, EXC_NP, sel & ~3u);
    }
}

typedef struct CallGate {
    uint16_t sel;
    uint64_t off;
    unsigned size;   /* of what is pushed */
    unsigned params; /* words or doublewords to copy */
} CallGate;

static void far_read_gate(X86Cpu *c, uint16_t sel, SegDesc *d, CallGate *g)
{
    if (desc_dpl(d) < c->mode.cpl || desc_dpl(d) < (sel & 3u)) {
        far_gp(c, sel);
    }
    if (c->mode.long_mode && !desc_read_hi(c, sel, d)) {
        far_gp(c, sel);
    }
    if (!(d->hi & SEG_P)) {
        x86_raise_err(c, EXC_NP, sel & ~3u);
    }
    g->sel = (uint16_t)(d->lo >> 16);
    g->off = d->lo & 0xffff;
    g->params = d->hi & 0x1f;
    g->size = c->mode.long_mode ? 8 : desc_type(d) == DESC_CALL32 ? 4 : 2;
    if (g->size > 2) {
        g->off |= d->hi & 0xffff0000;
    }
    if (g->size == 8) {
        g->off |= (uint64_t)d->hi2 << 32;
        g->params = 0;
    }
}

/* The code segment a call gate names. Returns its DPL rule's outcome: the CPL
 * that a CALL gets there. */
static unsigned far_gate_target(X86Cpu *c, const CallGate *g, bool is_call,
                                SegDesc *cs)
{
    unsigned cpl = c->mode.cpl;

    if (!(g->sel & ~3u)) {
        x86_raise_err(c, EXC_GP, 0);
    }
    if (!desc_read(c, g->sel, cs) || !desc_is_code(cs) || desc_dpl(cs) > cpl) {
        far_gp(c, g->sel);
    }
    if (!is_call && !(cs->hi & SEG_CE) && desc_dpl(cs) != cpl) {
        far_gp(c, g->sel);
    }
    if (c->mode.long_mode && (cs->hi & (SEG_L | SEG_DB)) != SEG_L) {
        far_gp(c, g->sel);
    }
    if (!(cs->hi & SEG_P)) {
        x86_raise_err(c, EXC_NP, g->sel & ~3u);
    }
    return cs->hi & SEG_CE ? cpl : desc_dpl(cs);
}

static void far_jmp_system(X86Cpu *c, uint16_t sel, SegDesc *d,
                           uint64_t next_rip)
{
    unsigned type = desc_type(d);
    CallGate g;
    SegDesc cs = { 0 };

    if (type == DESC_CALL32 || (type == DESC_CALL16 && !c->mode.long_mode)) {
        far_read_gate(c, sel, d, &g);
        far_gate_target(c, &g, false, &cs);
        far_check_rip(c, &cs, g.off);
        desc_set_accessed(c, &cs);
        far_commit_cs(c, g.sel, c->mode.cpl, &cs, g.off);
        return;
    }
    task_transfer(c, sel, d, TASK_JMP, next_rip);
}

static void far_check_real(X86Cpu *c, uint64_t off)
{
    if (off > c->s.seg[S_CS].limit) {
        x86_raise_err(c, EXC_GP, 0);
    }
}

void far_jmp(X86Cpu *c, uint16_t sel, uint64_t off, unsigned osz,
             uint64_t next_rip)
{
    SegDesc d = { 0 };

    if (!c->mode.protected_mode) {
        far_check_real(c, off);
        seg_load_real(c, S_CS, sel);
        c->s.rip = off;
    } else {
        if (!(sel & ~3u)) {
            x86_raise_err(c, EXC_GP, 0);
        }
        if (!desc_read(c, sel, &d)) {
            far_gp(c, sel);
        }
        log_mask(LOG_PCALL, "ljmp %04x:%016" PRIx64 " cpl=%u\n", sel, off,
                 c->mode.cpl);
        if (!(d.hi & SEG_S)) {
            far_jmp_system(c, sel, &d, next_rip);
        } else {
            if (!desc_is_code(&d)) {
                far_gp(c, sel);
            }
            far_check_direct(c, sel, &d);
            far_check_rip(c, &d, off);
            desc_set_accessed(c, &d);
            far_commit_cs(c, sel, c->mode.cpl, &d, off);
        }
    }
    x86_update_mode(c);
}

static void far_call_direct(X86Cpu *c, uint16_t sel, SegDesc *d, uint64_t off,
                            unsigned osz, uint64_t next_rip)
{
    Stack st;

    if (!desc_is_code(d)) {
        far_gp(c, sel);
    }
    far_check_direct(c, sel, d);
    stk_current(c, &st);
    stk_room(c, &st, 2, osz);
    far_check_rip(c, d, off);
    desc_set_accessed(c, d);
    stk_push(c, &st, c->s.seg[S_CS].sel, osz);
    stk_push(c, &st, next_rip, osz);
    stk_commit(c, &st);
    far_commit_cs(c, sel, c->mode.cpl, d, off);
}

/* To a more privileged level: the stack comes from the TSS, and parameters
 * are copied to it from the old one. */
static void far_call_inner(X86Cpu *c, const CallGate *g, SegDesc *cs,
                           unsigned cpl, uint64_t next_rip)
{
    X86State *s = &c->s;
    uint64_t param[31], sp;
    uint16_t ss;
    Stack st, old;
    SegDesc ssd = { 0 };

    tss_stack(c, cpl, 0, &ss, &sp);
    stk_current(c, &old);
    if (c->mode.long_mode) {
        st = (Stack) {
            .sp = sp, .mask = UINT64_MAX, .is64 = true, .as = LIN_KERNEL
        };
    } else {
        ss_check_new(c, ss, cpl, 0, &ssd);
        stk_new(&st, &ssd, sp, cpl, ss & ~3u);
        for (unsigned i = 0; i < g->params; i++) {
            param[i] = stk_pop(c, &old, g->size);
        }
    }
    stk_room(c, &st, 4 + g->params, g->size);
    far_check_rip(c, cs, g->off);
    desc_set_accessed(c, cs);
    if (!c->mode.long_mode) {
        desc_set_accessed(c, &ssd);
    }

    stk_push(c, &st, s->seg[S_SS].sel, g->size);
    stk_push(c, &st, s->gpr[R_RSP], g->size);
    for (unsigned i = g->params; i-- > 0;) {
        stk_push(c, &st, param[i], g->size);
    }
    stk_push(c, &st, s->seg[S_CS].sel, g->size);
    stk_push(c, &st, next_rip, g->size);
    if (c->mode.long_mode) {
        seg_set_null(c, S_SS, ss, cpl);
    } else {
        seg_set(c, S_SS, ss, &ssd);
    }
    stk_commit(c, &st);
    far_commit_cs(c, g->sel, cpl, cs, g->off);
}

static void far_call_gate(X86Cpu *c, uint16_t sel, SegDesc *d,
                          uint64_t next_rip)
{
    CallGate g;
    SegDesc cs = { 0 };
    Stack st;
    unsigned cpl;

    far_read_gate(c, sel, d, &g);
    cpl = far_gate_target(c, &g, true, &cs);
    if (cpl < c->mode.cpl) {
        far_call_inner(c, &g, &cs, cpl, next_rip);
        return;
    }
    stk_current(c, &st);
    if (c->mode.long_mode) {
        /* From compatibility mode: the target is 64-bit code. */
        st.is64 = true;
        st.base = 0;
        st.mask = UINT64_MAX;
    }
    stk_room(c, &st, 2, g.size);
    far_check_rip(c, &cs, g.off);
    desc_set_accessed(c, &cs);
    stk_push(c, &st, c->s.seg[S_CS].sel, g.size);
    stk_push(c, &st, next_rip, g.size);
    stk_commit(c, &st);
    far_commit_cs(c, g.sel, cpl, &cs, g.off);
}

void far_call(X86Cpu *c, uint16_t sel, uint64_t off, unsigned osz,
              uint64_t next_rip)
{
    unsigned type;
    SegDesc d = { 0 };
    Stack st;

    if (!c->mode.protected_mode) {
        stk_current(c, &st);
        stk_room(c, &st, 2, osz);
        far_check_real(c, off);
        stk_push(c, &st, c->s.seg[S_CS].sel, osz);
        stk_push(c, &st, next_rip, osz);
        stk_commit(c, &st);
        seg_load_real(c, S_CS, sel);
        c->s.rip = off;
        x86_update_mode(c);
        return;
    }
    if (!(sel & ~3u)) {
        x86_raise_err(c, EXC_GP, 0);
    }
    if (!desc_read(c, sel, &d)) {
        far_gp(c, sel);
    }
    log_mask(LOG_PCALL, "lcall %04x:%016" PRIx64 " cpl=%u\n", sel, off,
             c->mode.cpl);
    type = desc_type(&d);
    if (d.hi & SEG_S) {
        far_call_direct(c, sel, &d, off, osz, next_rip);
    } else if (type == DESC_CALL32 ||
               (type == DESC_CALL16 && !c->mode.long_mode)) {
        far_call_gate(c, sel, &d, next_rip);
    } else {
        task_transfer(c, sel, &d, TASK_CALL, next_rip);
    }
    x86_update_mode(c);
}

/* ---- RET and IRET ------------------------------------------------------------- */

static void far_check_return_cs(X86Cpu *c, uint16_t sel, SegDesc *d)
{
    unsigned rpl = sel & 3;

    if (!(sel & ~3u)) {
        x86_raise_err(c, EXC_GP, 0);
    }
    if (!desc_read(c, sel, d) || !desc_is_code(d) || rpl < c->mode.cpl) {
        far_gp(c, sel);
    }
    if (d->hi & SEG_CE ? desc_dpl(d) > rpl : desc_dpl(d) != rpl) {
        far_gp(c, sel);
    }
    if (c->mode.long_mode && (d->hi & (SEG_L | SEG_DB)) == (SEG_L | SEG_DB)) {
        far_gp(c, sel);
    }
    if (!(d->hi & SEG_P)) {
        x86_raise_err(c, EXC_NP, sel & ~3u);
    }
}

/* The SS that goes with the returned-to @cs of privilege @rpl. false: null,
 * which 64-bit code below ring 3 may have. */
static bool far_check_return_ss(X86Cpu *c, uint16_t sel, unsigned rpl,
                                const SegDesc *cs, SegDesc *d)
{
    if (!(sel & ~3u)) {
        if (!far_is_64(c, cs) || rpl == 3 || (sel & 3) != rpl) {
            x86_raise_err(c, EXC_GP, 0);
        }
        return false;
    }
    if (!desc_read(c, sel, d) || (sel & 3) != rpl || desc_dpl(d) != rpl ||
        !desc_is_writable_data(d)) {
        far_gp(c, sel);
    }
    if (!(d->hi & SEG_P)) {
        x86_raise_err(c, EXC_SS, sel & ~3u);
    }
    return true;
}

/* Data segments that the less privileged code may not have are taken away. */
static void far_drop_segments(X86Cpu *c, unsigned cpl)
{
    static const uint8_t regs[] = { S_ES, S_DS, S_FS, S_GS };

    for (unsigned i = 0; i < G_N_ELEMENTS(regs); i++) {
        const X86Seg *sg = &c->s.seg[regs[i]];
        bool conforming =
            (sg->attr & (SEG_CODE | SEG_CE)) == (SEG_CODE | SEG_CE);
        unsigned dpl = (sg->attr & SEG_DPL) >> SEG_DPL_SHIFT;

        if (!sg->unusable && !conforming && dpl < cpl) {
            seg_set_null(c, regs[i], 0, 0);
        }
    }
}

typedef struct FarReturn {
    uint64_t rip, sp;
    uint16_t cs, ss;
    SegDesc csd, ssd;
    bool ss_valid; /* not null */
    unsigned old_cpl, cpl;
} FarReturn;

/* Everything of a return with a new stack that can fault. */
static void far_check_outer(X86Cpu *c, FarReturn *r)
{
    r->ss_valid = far_check_return_ss(c, r->ss, r->cpl, &r->csd, &r->ssd);
    far_check_rip(c, &r->csd, r->rip);
    desc_set_accessed(c, &r->csd);
    if (r->ss_valid) {
        desc_set_accessed(c, &r->ssd);
    }
}

static void far_commit_outer(X86Cpu *c, const FarReturn *r, unsigned pop)
{
    uint64_t *rsp = &c->s.gpr[R_RSP];
    uint64_t mask = far_is_64(c, &r->csd)               ? UINT64_MAX
                    : r->ss_valid && r->ssd.hi & SEG_DB ? 0xffffffff
                                                        : 0xffff;

    far_commit_cs(c, r->cs, r->cpl, &r->csd, r->rip);
    if (r->ss_valid) {
        seg_set(c, S_SS, r->ss, &r->ssd);
    } else {
        seg_set_null(c, S_SS, r->ss, r->cpl);
    }
    if (mask == 0xffff) {
        /* The rest of ESP stays: what espfix works around. */
        *rsp = (*rsp & ~mask) | ((r->sp + pop) & mask);
    } else {
        *rsp = (r->sp + pop) & mask;
    }
    if (r->cpl > r->old_cpl) {
        far_drop_segments(c, r->cpl);
    }
}

static void far_ret_protected(X86Cpu *c, Stack *st, FarReturn *r, unsigned osz,
                              unsigned pop)
{
    far_check_return_cs(c, r->cs, &r->csd);
    r->old_cpl = c->mode.cpl;
    r->cpl = r->cs & 3;
    st->sp = (st->sp & ~st->mask) | ((st->sp + pop) & st->mask);
    if (r->cpl == r->old_cpl) {
        far_check_rip(c, &r->csd, r->rip);
        desc_set_accessed(c, &r->csd);
        stk_commit(c, st);
        far_commit_cs(c, r->cs, r->cpl, &r->csd, r->rip);
        return;
    }
    r->sp = stk_pop(c, st, osz);
    r->ss = (uint16_t)stk_pop(c, st, osz);
    far_check_outer(c, r);
    far_commit_outer(c, r, pop);
}

void far_ret(X86Cpu *c, unsigned osz, unsigned pop)
{
    FarReturn r = { 0 };
    Stack st;

    stk_current(c, &st);
    r.rip = stk_pop(c, &st, osz);
    r.cs = (uint16_t)stk_pop(c, &st, osz);
    if (c->mode.protected_mode) {
        far_ret_protected(c, &st, &r, osz, pop);
    } else {
        far_check_real(c, r.rip);
        st.sp += pop;
        stk_commit(c, &st);
        seg_load_real(c, S_CS, r.cs);
        c->s.rip = r.rip;
    }
    x86_update_mode(c);
}

/* Bits of RFLAGS that IRET and POPF may change at this CPL and IOPL with
 * @osz bytes, VM excluded. */
static uint32_t x86_flags_writable(const X86Cpu *c, unsigned osz)
{
    uint32_t mask = FL_ARITH | FL_TF | FL_DF | FL_NT;
    unsigned iopl = (c->s.rflags & FL_IOPL) >> 12;

    if (osz > 2) {
        mask |= FL_AC | FL_ID;
    }
    if (c->mode.cpl <= iopl) {
        mask |= FL_IF;
    }
    if (c->mode.cpl == 0) {
        mask |= FL_IOPL;
    }
    return mask;
}

static void iret_real(X86Cpu *c, unsigned osz)
{
    uint32_t mask = x86_flags_writable(c, osz);
    uint64_t rip, flags;
    uint16_t cs;
    Stack st;

    stk_current(c, &st);
    rip = stk_pop(c, &st, osz);
    cs = (uint16_t)stk_pop(c, &st, osz);
    flags = stk_pop(c, &st, osz);
    far_check_real(c, rip);
    stk_commit(c, &st);
    seg_load_real(c, S_CS, cs);
    c->s.rip = rip;
    flags_change(c, osz > 2 ? mask | FL_RF : mask, (uint32_t)flags);
}

/* SDM 3B, 20.2 and 20.3: with CR4.VME a 16-bit IRET works on VIF. */
static void iret_vm86(X86Cpu *c, unsigned osz)
{
    bool iopl3 = (c->s.rflags & FL_IOPL) == FL_IOPL;
    uint32_t mask = FL_ARITH | FL_TF | FL_DF | FL_NT;
    uint64_t rip, flags;
    uint16_t cs;
    Stack st;

    if (!iopl3 && (!(c->s.cr4 & CR4_VME) || osz != 2)) {
        x86_raise_err(c, EXC_GP, 0);
    }
    stk_current(c, &st);
    rip = stk_pop(c, &st, osz);
    cs = (uint16_t)stk_pop(c, &st, osz);
    flags = stk_pop(c, &st, osz);
    far_check_real(c, rip);
    if (iopl3) {
        mask |= FL_IF;
        mask |= osz > 2 ? FL_AC | FL_ID | FL_RF : 0;
    } else {
        if (flags & FL_TF || (flags & FL_IF && c->s.rflags & FL_VIP)) {
            x86_raise_err(c, EXC_GP, 0);
        }
        mask |= FL_VIF;
        flags = (flags & ~(uint64_t)FL_VIF) | (flags & FL_IF ? FL_VIF : 0);
    }
    stk_commit(c, &st);
    seg_load_real(c, S_CS, cs);
    c->s.rip = rip;
    flags_change(c, mask, (uint32_t)flags);
}

/* CPL 0 returns to virtual-8086 mode: nine doublewords on the stack. */
static void iret_to_vm86(X86Cpu *c, Stack *st, uint64_t rip, uint16_t cs,
                         uint32_t flags)
{
    static const uint8_t order[] = { S_ES, S_DS, S_FS, S_GS };
    uint32_t sp = (uint32_t)stk_pop(c, st, 4);
    uint16_t ss = (uint16_t)stk_pop(c, st, 4);
    uint16_t sel[4];

    for (unsigned i = 0; i < 4; i++) {
        sel[i] = (uint16_t)stk_pop(c, st, 4);
    }
    if (rip > 0xffff) {
        x86_raise_err(c, EXC_GP, 0);
    }
    flags_change(c,
                 FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_RF |
                     FL_VM | FL_AC | FL_VIF | FL_VIP | FL_ID,
                 flags);
    seg_load_real(c, S_CS, cs);
    seg_load_real(c, S_SS, ss);
    for (unsigned i = 0; i < 4; i++) {
        seg_load_real(c, order[i], sel[i]);
    }
    c->s.gpr[R_RSP] = sp;
    c->s.rip = rip;
}

/* NT: IRET ends a nested task. */
static void iret_task(X86Cpu *c)
{
    uint16_t link;

    if (c->mode.long_mode) {
        x86_raise_err(c, EXC_GP, 0);
    }
    if (c->s.tr.limit < 1) {
        x86_raise_err(c, EXC_TS, c->s.tr.sel & ~3u);
    }
    link = (uint16_t)lin_ld(c, c->s.tr.base, 2, LIN_SYS);
    /* The outgoing task resumes behind this IRET. */
    task_switch(c, link, TASK_IRET,
                c->insn ? insn_next_rip(c, c->insn) : c->s.rip, 0, false, 0);
}

static void iret_protected(X86Cpu *c, unsigned osz)
{
    uint32_t mask = x86_flags_writable(c, osz);
    bool from64 = c->mode.code64;
    uint64_t flags;
    FarReturn r = { 0 };
    Stack st;

    stk_current(c, &st);
    r.rip = stk_pop(c, &st, osz);
    r.cs = (uint16_t)stk_pop(c, &st, osz);
    flags = stk_pop(c, &st, osz);
    if (osz == 4 && flags & FL_VM && c->mode.cpl == 0 && !c->mode.long_mode) {
        iret_to_vm86(c, &st, r.rip, r.cs, (uint32_t)flags);
        return;
    }
    far_check_return_cs(c, r.cs, &r.csd);
    if (osz > 2) {
        mask |= FL_RF;
        mask |= c->mode.cpl == 0 ? FL_VIF | FL_VIP : 0;
    }
    r.old_cpl = c->mode.cpl;
    r.cpl = r.cs & 3;
    if (r.cpl > r.old_cpl || from64) {
        r.sp = stk_pop(c, &st, osz);
        r.ss = (uint16_t)stk_pop(c, &st, osz);
        far_check_outer(c, &r);
        far_commit_outer(c, &r, 0);
    } else {
        far_check_rip(c, &r.csd, r.rip);
        desc_set_accessed(c, &r.csd);
        stk_commit(c, &st);
        far_commit_cs(c, r.cs, r.cpl, &r.csd, r.rip);
    }
    flags_change(c, mask, (uint32_t)flags);
}

void far_iret(X86Cpu *c, unsigned osz)
{
    c->s.nmi_masked = false; /* even if it faults; SDM 3A, 6.7.1 */
    if (c->s.rflags & FL_VM) {
        iret_vm86(c, osz);
    } else if (!c->mode.protected_mode) {
        iret_real(c, osz);
    } else if (c->s.rflags & FL_NT) {
        iret_task(c);
    } else {
        iret_protected(c, osz);
    }
    x86_update_mode(c);
}
