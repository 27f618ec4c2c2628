/*
 * Exceptions and interrupts: raising, delivering, and what happens between
 * instructions. SDM 3A, chapter 6; long mode 6.14; virtual-8086 3B, 20.3.
 *
 * A fault leaves the instruction by siglongjmp() to the engine, with RIP back
 * at its start; the engine calls x86_deliver_fault(). Delivery itself makes
 * all its checks first, so a fault on the way finds the state untouched and
 * is combined with the first one as table 6-5 says.
 */
#include "util/osdep.h"
#include "util/log.h"
#include "target-x86/flags.h"
#include "target-x86/seg.h"

/* ---- raising ---------------------------------------------------------------- */

static G_NORETURN void excp_unwind(X86Cpu *c, int code, bool back)
{
    c->unwound = c->insn;
    if (c->insn) {
        if (back) {
            c->s.rip = insn_rip(c, c->insn);
        }
        c->insn = NULL;
    }
    siglongjmp(c->unwind, code);
}

void x86_raise(X86Cpu *c, int vector)
{
    c->fault = (X86Fault) { .vector = vector };
    excp_unwind(c, UNWIND_FAULT, true);
}

void x86_raise_err(X86Cpu *c, int vector, uint32_t error)
{
    c->fault =
        (X86Fault) { .vector = vector, .has_error = true, .error = error };
    excp_unwind(c, UNWIND_FAULT, true);
}

void x86_raise_pf(X86Cpu *c, uint64_t lin, uint32_t error)
{
    c->fault = (X86Fault) {
        .vector = EXC_PF, .has_error = true, .error = error, .cr2 = lin
    };
    excp_unwind(c, UNWIND_FAULT, true);
}

void x86_raise_db(X86Cpu *c, uint64_t dr6_bits)
{
    c->fault = (X86Fault) { .vector = EXC_DB, .trap = true, .dr6 = dr6_bits };
    excp_unwind(c, UNWIND_FAULT, false);
}

void x86_raise_gd(X86Cpu *c)
{
    c->fault = (X86Fault) { .vector = EXC_DB, .dr6 = DR6_BD };
    excp_unwind(c, UNWIND_FAULT, true);
}

void x86_restart(X86Cpu *c)
{
    excp_unwind(c, UNWIND_RESTART, true);
}

/* ---- delivering --------------------------------------------------------------- */

/* One delivery, as all modes need it. */
typedef struct Event {
    int vector;
    IntKind kind;
    bool has_error;
    uint32_t error;
    unsigned ext;   /* bit 0 of the error codes of faults on the way */
    uint64_t rip;   /* return address */
    uint64_t flags; /* as they will be pushed */
} Event;

typedef struct Gate {
    unsigned type, dpl, ist;
    uint16_t sel;
    uint64_t off;
} Gate;

/* Restarting the instruction must not hit its breakpoint again.
 * SDM 3B, 17.3.1.1. */
static bool excp_sets_rf(const X86Cpu *c, const Event *e)
{
    if (e->kind != INT_EXCEPTION) {
        return false;
    }
    switch (e->vector) {
    case EXC_DB:
        return !c->fault.trap;
    case EXC_BP:
    case EXC_OF:
    case EXC_MC:
        return false;
    default:
        return true;
    }
}

static bool excp_is_soft(const Event *e)
{
    return e->kind == INT_SOFT || e->kind == INT_SOFT_BP;
}

static void excp_log(X86Cpu *c, const Event *e)
{
    const X86State *s = &c->s;
    g_autoptr(GString) text = g_string_new(NULL);

    g_string_printf(text,
                    "%6u: v=%02x e=%04x i=%d cpl=%u IP=%04x:%016" PRIx64
                    " pc=%016" PRIx64 " SP=%04x:%016" PRIx64,
                    c->int_count++, (unsigned)e->vector, e->error,
                    excp_is_soft(e), c->mode.cpl, s->seg[S_CS].sel, s->rip,
                    s->seg[S_CS].base + s->rip, s->seg[S_SS].sel,
                    s->gpr[R_RSP]);
    if (e->vector == EXC_PF) {
        g_string_append_printf(text, " CR2=%016" PRIx64 "\n", s->cr2);
    } else {
        g_string_append_printf(text, " env->regs[R_EAX]=%016" PRIx64 "\n",
                               s->gpr[R_RAX]);
    }
    x86_dump(c, text, false);
    log_write("%s", text->str);
}

static void excp_clear_flags(X86Cpu *c, uint32_t bits)
{
    c->s.rflags &= ~(uint64_t)bits;
}

/* Pushes a frame of 16-bit words and jumps through the vector table at
 * @table. */
static void excp_ivt(X86Cpu *c, const Event *e, uint64_t table, LinAs as,
                     uint64_t flags)
{
    uint32_t entry =
        (uint32_t)lin_ld(c, (uint32_t)(table + e->vector * 4u), 4, as);
    Stack st;

    stk_current(c, &st);
    stk_room(c, &st, 3, 2);
    if ((entry & 0xffff) > c->s.seg[S_CS].limit) {
        x86_raise_err(c, EXC_GP, 0);
    }
    stk_push(c, &st, flags, 2);
    stk_push(c, &st, c->s.seg[S_CS].sel, 2);
    stk_push(c, &st, e->rip, 2);
    stk_commit(c, &st);
    seg_load_real(c, S_CS, (uint16_t)(entry >> 16));
    c->s.rip = entry & 0xffff;
}

static void excp_real(X86Cpu *c, const Event *e)
{
    if (e->vector * 4u + 3 > c->s.idt_limit) {
        x86_raise_err(c, EXC_GP, e->vector * 8u + 2 + e->ext);
    }
    excp_ivt(c, e, c->s.idt_base, LIN_SYS, e->flags);
    excp_clear_flags(c, FL_IF | FL_TF | FL_AC | FL_RF);
}

/* The bit for @vector in the software interrupt redirection map, which ends
 * where the I/O permission map begins. SDM 3B, 20.3.3. */
static bool excp_vme_redirected(X86Cpu *c, int vector)
{
    const X86Seg *tr = &c->s.tr;
    uint32_t map;

    if (tr->limit < 103) {
        x86_raise_err(c, EXC_GP, 0);
    }
    map = (uint32_t)lin_ld(c, (uint32_t)(tr->base + 102), 2, LIN_SYS);
    if (map < 32 || map - 32 + vector / 8u > tr->limit) {
        x86_raise_err(c, EXC_GP, 0);
    }
    map += vector / 8u - 32;
    return !(lin_ld(c, (uint32_t)(tr->base + map), 1, LIN_SYS) >> (vector & 7) &
             1);
}

/* INT n in virtual-8086 mode. SDM 3B, table 20-2. true: done. */
static bool excp_vm86_soft(X86Cpu *c, const Event *e)
{
    bool iopl3 = (c->s.rflags & FL_IOPL) == FL_IOPL;
    uint64_t flags = e->flags;

    if (e->kind != INT_SOFT) {
        return false;
    }
    if (c->s.cr4 & CR4_VME && excp_vme_redirected(c, e->vector)) {
        if (!iopl3) {
            flags = (flags & ~(uint64_t)FL_IF) | FL_IOPL;
            flags |= flags & FL_VIF ? FL_IF : 0;
        }
        excp_ivt(c, e, 0, LIN_USER, flags);
        excp_clear_flags(c, FL_TF | FL_RF | (iopl3 ? FL_IF : FL_VIF));
        return true;
    }
    if (!iopl3) {
        x86_raise_err(c, EXC_GP, 0);
    }
    return false;
}

/* Reads and checks the IDT entry. SDM 3A, 6.12.1. */
static void excp_read_gate(X86Cpu *c, const Event *e, Gate *g)
{
    static const uint32_t gates64 = 1u << DESC_INT32 | 1u << DESC_TRAP32;
    static const uint32_t gates32 = 1u << DESC_INT32 | 1u << DESC_TRAP32 |
                                    1u << DESC_INT16 | 1u << DESC_TRAP16 |
                                    1u << DESC_TASK_GATE;
    bool lm = c->mode.long_mode;
    unsigned size = lm ? 16 : 8;
    uint32_t err = e->vector * 8u + 2 + e->ext;
    uint64_t lin = c->s.idt_base + e->vector * size;
    uint64_t v, hi = 0;

    if (e->vector * size + size - 1 > c->s.idt_limit) {
        x86_raise_err(c, EXC_GP, err);
    }
    v = lin_ld(c, lm ? lin : (uint32_t)lin, 8, LIN_SYS);
    if (lm) {
        hi = lin_ld(c, lin + 8, 8, LIN_SYS);
    }
    g->type = v >> 40 & 0x1f; /* with the S bit: gates have it clear */
    g->dpl = v >> 45 & 3;
    g->ist = lm ? v >> 32 & 7 : 0;
    g->sel = (uint16_t)(v >> 16);
    g->off = (v & 0xffff) | (v >> 32 & 0xffff0000) | hi << 32;
    if (!((lm ? gates64 : gates32) >> g->type & 1)) {
        x86_raise_err(c, EXC_GP, err);
    }
    if (!(g->type & 8)) {
        g->off &= 0xffff;
    }
    if (excp_is_soft(e) && g->dpl < c->mode.cpl) {
        x86_raise_err(c, EXC_GP, err);
    }
    if (!(v >> 47 & 1)) {
        x86_raise_err(c, EXC_NP, err);
    }
}

/* The handler's code segment; returns the CPL it runs at. */
static unsigned excp_target(X86Cpu *c, const Event *e, const Gate *g,
                            SegDesc *cs)
{
    uint32_t err = (g->sel & ~3u) | e->ext;
    unsigned cpl = c->mode.cpl, dpl;

    if (!(g->sel & ~3u) || !desc_read(c, g->sel, cs) || !desc_is_code(cs) ||
        desc_dpl(cs) > cpl) {
        x86_raise_err(c, EXC_GP, err);
    }
    if (c->mode.long_mode && (cs->hi & (SEG_L | SEG_DB)) != SEG_L) {
        x86_raise_err(c, EXC_GP, err);
    }
    if (!(cs->hi & SEG_P)) {
        x86_raise_err(c, EXC_NP, err);
    }
    dpl = cs->hi & SEG_CE ? cpl : desc_dpl(cs);
    if (c->s.rflags & FL_VM && dpl != 0) {
        x86_raise_err(c, EXC_GP, err);
    }
    return dpl;
}

static void excp_finish(X86Cpu *c, const Gate *g, unsigned cpl,
                        const SegDesc *cs)
{
    seg_set(c, S_CS, (g->sel & ~3u) | cpl, cs);
    c->s.rip = g->off;
    excp_clear_flags(c,
                     FL_TF | FL_NT | FL_RF | FL_VM | (g->type & 1 ? 0 : FL_IF));
}

static void excp_push_vm86(X86Cpu *c, Stack *st, unsigned size)
{
    static const uint8_t order[] = { S_GS, S_FS, S_DS, S_ES };

    for (unsigned i = 0; i < G_N_ELEMENTS(order); i++) {
        stk_push(c, st, c->s.seg[order[i]].sel, size);
    }
}

static void excp_protected(X86Cpu *c, const Event *e)
{
    X86State *s = &c->s;
    bool vm86 = s->rflags & FL_VM;
    unsigned cpl, size, words = e->has_error ? 4 : 3;
    SegDesc cs = { 0 }, ssd = { 0 };
    uint16_t ss = 0;
    uint64_t sp;
    Stack st;
    Gate g;

    if (vm86 && excp_vm86_soft(c, e)) {
        return;
    }
    excp_read_gate(c, e, &g);
    if (g.type == DESC_TASK_GATE) {
        task_switch(c, g.sel, TASK_CALL, e->rip, e->ext, e->has_error,
                    e->error);
        return;
    }
    cpl = excp_target(c, e, &g, &cs);
    size = g.type & 8 ? 4 : 2;
    if (cpl < c->mode.cpl) {
        tss_stack(c, cpl, e->ext, &ss, &sp);
        ss_check_new(c, ss, cpl, e->ext, &ssd);
        stk_new(&st, &ssd, sp, cpl, (ss & ~3u) | e->ext);
        words += vm86 ? 6 : 2;
    } else {
        stk_current(c, &st);
        st.err = e->ext;
    }
    stk_room(c, &st, words, size);
    if (g.off > desc_limit(&cs)) {
        x86_raise_err(c, EXC_GP, e->ext);
    }
    desc_set_accessed(c, &cs);
    if (ss) {
        desc_set_accessed(c, &ssd);
    }

    if (vm86) {
        excp_push_vm86(c, &st, size);
    }
    if (ss) {
        stk_push(c, &st, s->seg[S_SS].sel, size);
        stk_push(c, &st, s->gpr[R_RSP], size);
    }
    stk_push(c, &st, e->flags, size);
    stk_push(c, &st, s->seg[S_CS].sel, size);
    stk_push(c, &st, e->rip, size);
    if (e->has_error) {
        stk_push(c, &st, e->error, size);
    }
    if (vm86) {
        static const uint8_t data[] = { S_ES, S_DS, S_FS, S_GS };

        for (unsigned i = 0; i < G_N_ELEMENTS(data); i++) {
            seg_set_null(c, data[i], 0, 0);
        }
    }
    if (ss) {
        seg_set(c, S_SS, ss, &ssd);
    }
    stk_commit(c, &st);
    excp_finish(c, &g, cpl, &cs);
}

/* RSP from the 64-bit TSS: interrupt stack table entry @ist, or that of
 * @cpl. */
static uint64_t excp_tss64(X86Cpu *c, unsigned ist, unsigned cpl, unsigned ext)
{
    const X86Seg *tr = &c->s.tr;
    unsigned off = ist ? 28 + ist * 8 : 4 + cpl * 8;

    if (off + 7 > tr->limit) {
        x86_raise_err(c, EXC_TS, (tr->sel & ~3u) | ext);
    }
    return lin_ld(c, tr->base + off, 8, LIN_SYS);
}

static void excp_long(X86Cpu *c, const Event *e)
{
    X86State *s = &c->s;
    unsigned cpl, words = e->has_error ? 6 : 5;
    Stack st = { .mask = UINT64_MAX, .is64 = true, .err = e->ext };
    uint64_t low;
    SegDesc cs = { 0 };
    Gate g;

    excp_read_gate(c, e, &g);
    cpl = excp_target(c, e, &g, &cs);
    if (cpl < c->mode.cpl || g.ist) {
        st.sp = excp_tss64(c, g.ist, cpl, e->ext);
    } else {
        st.sp = s->gpr[R_RSP];
    }
    st.sp &= ~UINT64_C(15);
    st.as = cpl == 3 ? LIN_USER : LIN_KERNEL;
    low = st.sp - words * 8;
    if (!x86_canonical(c, low) || !x86_canonical(c, st.sp - 1)) {
        x86_raise_err(c, EXC_SS, e->ext);
    }
    lin_probe(c, low, words * 8, true, st.as);
    if (!x86_canonical(c, g.off)) {
        x86_raise_err(c, EXC_GP, e->ext);
    }
    desc_set_accessed(c, &cs);

    stk_push(c, &st, s->seg[S_SS].sel, 8);
    stk_push(c, &st, s->gpr[R_RSP], 8);
    stk_push(c, &st, e->flags, 8);
    stk_push(c, &st, s->seg[S_CS].sel, 8);
    stk_push(c, &st, e->rip, 8);
    if (e->has_error) {
        stk_push(c, &st, e->error, 8);
    }
    if (cpl < c->mode.cpl) {
        seg_set_null(c, S_SS, (uint16_t)cpl, cpl);
    }
    s->gpr[R_RSP] = st.sp;
    excp_finish(c, &g, cpl, &cs);
}

void x86_interrupt(X86Cpu *c, int vector, IntKind kind, bool has_error,
                   uint32_t error)
{
    Event e = {
        .vector = vector,
        .kind = kind,
        .has_error = has_error,
        .error = error,
        .ext = kind != INT_SOFT && kind != INT_SOFT_BP,
        .rip = c->insn ? insn_next_rip(c, c->insn) : c->s.rip,
    };

    X86Delivered was = { .cs = c->s.seg[S_CS].sel, .rip = c->s.rip };

    e.flags = flags_get(c) | 2;
    if (excp_sets_rf(c, &e)) {
        e.flags |= FL_RF;
    }
    if (log_enabled(LOG_INT)) {
        excp_log(c, &e);
    }
    if (!(c->s.cr0 & CR0_PE)) {
        excp_real(c, &e);
    } else if (c->mode.long_mode) {
        excp_long(c, &e);
    } else {
        excp_protected(c, &e);
    }
    c->vectors[vector & 0xff]++;
    if (kind == INT_EXCEPTION) {
        was.fault = c->fault;
        c->recent[c->n_recent++ % X86_RECENT] = was;
    }
    c->s.irq_shadow = false;
    c->s.ss_shadow = false;
    c->s.halted = false;
    x86_update_mode(c);
}

/* ---- faults: one, two, three ---------------------------------------------------- */

/* What #DB leaves in the debug registers. SDM 3B, 17.2.3. */
static void excp_debug_status(X86Cpu *c)
{
    X86State *s = &c->s;

    s->dr[6] = (s->dr[6] & ~UINT64_C(15)) | c->fault.dr6;
    s->dr[7] &= ~(uint64_t)DR7_GD;
    s->debugctl &= ~UINT64_C(3); /* LBR, BTF */
    x86_update_mode(c);
}

/* false: c->fault has become the fault that came in between. */
static bool excp_try(X86Cpu *c)
{
    const X86Fault *f = &c->fault;

    if (sigsetjmp(c->unwind, 0)) {
        return false;
    }
    if (f->vector == EXC_PF) {
        c->s.cr2 = f->cr2;
    } else if (f->vector == EXC_DB) {
        excp_debug_status(c);
    }
    x86_interrupt(c, f->vector, INT_EXCEPTION, f->has_error, f->error);
    return true;
}

/* SDM 3A, table 6-4. */
static bool excp_contributory(int vector)
{
    return vector == EXC_DE || (vector >= EXC_TS && vector <= EXC_GP);
}

Escalation x86_escalate(int first, int second)
{
    bool severe = excp_contributory(second) || second == EXC_PF;

    if (first == EXC_DF && severe) {
        return ESCALATE_TRIPLE;
    }
    if ((excp_contributory(first) && excp_contributory(second)) ||
        (first == EXC_PF && severe)) {
        return ESCALATE_DOUBLE;
    }
    return ESCALATE_NONE;
}

static void excp_chain(X86Cpu *c, unsigned n, int during)
{
    c->chain[n] = (X86Link) { .fault = c->fault, .during = during };
    c->chain_len = n + 1;
}

static bool excp_deliver(X86Cpu *c)
{
    /* Serial faults cannot go on for ever on a sane machine; a guest whose
     * handler for #AC is itself misaligned at CPL 3 would try. */
    enum { SERIAL_MAX = X86_CHAIN - 1 };

    excp_chain(c, 0, -1);
    for (unsigned i = 0; i < SERIAL_MAX; i++) {
        int first = c->fault.vector;

        if (excp_try(c)) {
            c->chain_len = 0;
            return true;
        }
        log_mask(LOG_INT, "check_exception old: 0x%x new 0x%x\n",
                 (unsigned)first, (unsigned)c->fault.vector);
        excp_chain(c, i + 1, first);
        switch (x86_escalate(first, c->fault.vector)) {
        case ESCALATE_NONE:
            break;
        case ESCALATE_DOUBLE:
            if (c->fault.vector == EXC_PF) {
                c->s.cr2 = c->fault.cr2;
            }
            c->fault = (X86Fault) { .vector = EXC_DF, .has_error = true };
            break;
        case ESCALATE_TRIPLE:
            return false;
        }
    }
    return false;
}

bool x86_deliver_fault(X86Cpu *c)
{
    sigjmp_buf outer;
    bool ok;

    log_mask(LOG_INT, "check_exception old: 0xffffffff new 0x%x\n",
             (unsigned)c->fault.vector);
    memcpy(&outer, &c->unwind, sizeof(outer));
    c->insn = NULL;
    ok = excp_deliver(c);
    memcpy(&c->unwind, &outer, sizeof(outer));
    return ok;
}

/* ---- between instructions --------------------------------------------------------- */

static bool excp_try_hw(X86Cpu *c, int vector)
{
    if (sigsetjmp(c->unwind, 0)) {
        return false;
    }
    x86_interrupt(c, vector, INT_HW, false, 0);
    return true;
}

static void excp_hardware(X86Cpu *c, int vector, bool *triple)
{
    sigjmp_buf outer;
    bool ok;

    memcpy(&outer, &c->unwind, sizeof(outer));
    c->insn = NULL;
    ok = excp_try_hw(c, vector);
    memcpy(&c->unwind, &outer, sizeof(outer));
    if (!ok) {
        *triple = !x86_deliver_fault(c);
    }
}

/* SDM 3A, 8.4.4: an application processor begins at 000VV000. */
static void excp_sipi(X86Cpu *c)
{
    X86State *s = &c->s;

    cpu_lower(c, CPU_SIPI);
    s->mp_state = MP_RUNNABLE;
    s->halted = false;
    s->seg[S_CS].sel = (uint16_t)(s->sipi_vector << 8);
    s->seg[S_CS].base = (uint64_t)s->sipi_vector << 12;
    s->rip = 0;
    x86_update_mode(c);
}

static bool excp_nmi_open(const X86Cpu *c)
{
    return !c->s.nmi_masked && !c->s.irq_shadow && !c->s.ss_shadow;
}

static bool excp_irq_open(const X86Cpu *c)
{
    return c->s.rflags & FL_IF && !c->s.irq_shadow && !c->s.ss_shadow;
}

bool x86_take_events(X86Cpu *c, bool *triple)
{
    uint32_t pending = cpu_pending(c);
    int vector;

    *triple = false;
    if (pending & CPU_INIT) {
        cpu_lower(c, CPU_INIT);
        x86_init(c);
        return true;
    }
    if (c->s.mp_state == MP_WAIT_SIPI) {
        if (pending & CPU_SIPI) {
            excp_sipi(c);
            return true;
        }
        return false;
    }
    if (pending & CPU_SIPI) { /* not waiting: ignored */
        cpu_lower(c, CPU_SIPI);
    }
    if (pending & CPU_SMI) {
        log_mask(LOG_UNIMP, "SMI: there is no system management mode\n");
        cpu_lower(c, CPU_SMI);
    }
    if (pending & CPU_NMI && excp_nmi_open(c)) {
        cpu_lower(c, CPU_NMI);
        c->s.nmi_masked = true;
        excp_hardware(c, EXC_NMI, triple);
        return true;
    }
    if (pending & CPU_IRQ && excp_irq_open(c)) {
        vector = cpu_ack_irq(c);
        if (vector >= 0) {
            log_mask(LOG_INT, "Servicing hardware INT=0x%02x\n",
                     (unsigned)vector);
            excp_hardware(c, vector, triple);
            return true;
        }
    }
    return false;
}

bool x86_has_work(const X86Cpu *c)
{
    uint32_t pending = cpu_pending(c);

    if (c->s.mp_state == MP_WAIT_SIPI) {
        return pending & (CPU_INIT | CPU_SIPI);
    }
    return pending & (CPU_INIT | CPU_SMI) ||
           (pending & CPU_NMI && !c->s.nmi_masked) ||
           (pending & CPU_IRQ && c->s.rflags & FL_IF);
}
