/*
 * X86State to and from a vCPU of the kernel: one pair of functions per group
 * of the API. Here: regs, sregs, events, debug registers, the local APIC;
 * xsave.c has x87 and vectors, msr.c the MSRs and what time is.
 *
 * X86State knows no event that was accepted but not begun, so a pull delivers
 * it: the software CPU pushes the frame and enters the handler. HLT and waiting
 * for SIPI are kept on our side (accel/cpus.c), so the kernel's vCPU always
 * counts as runnable, unless the local APICs are the kernel's: then those
 * states are, too, and the registers of the APIC travel with each pull. They
 * are pushed only if somebody changed them (reset, a snapshot), because another
 * processor's interrupt may have arrived there meanwhile.
 */
#include "util/osdep.h"
#include "accel/kvm/state.h"
#include "target-x86/cpuid.h"
#include "target-x86/flags.h"
#include "target-x86/seg.h"
#include "util/log.h"

/* A group that cannot be read or written: once, the machine stops later. */
void kvm_state_failed(KvmCpu *kc, const char *what)
{
    if (!kc->failed) {
        error_report("kvm: CPU %u: %s: %s", kvm_x86(kc)->index, what,
                     strerror(errno));
    }
    kc->failed = true;
}

bool kvm_state_call(KvmCpu *kc, unsigned long request, const char *name,
                    void *arg)
{
    if (kvm_call(kc->fd, request, name, arg) < 0) {
        kvm_state_failed(kc, name);
        return false;
    }
    return true;
}

/* What the guest has switched on and KVM has not for it. */
static char *unfit_features(const X86Cpu *c)
{
    static const struct {
        uint64_t bit;
        CpuFeature feature;
    } rows[] = {
        { CR4_PCIDE, FEAT_PCID },    { CR4_FSGSBASE, FEAT_FSGSBASE },
        { CR4_SMEP, FEAT_SMEP },     { CR4_SMAP, FEAT_SMAP },
        { CR4_UMIP, FEAT_UMIP },     { CR4_PKE, FEAT_PKU },
        { CR4_OSXSAVE, FEAT_XSAVE },
    };
    GString *out = g_string_new(NULL);

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        if ((c->s.cr4 & rows[i].bit) && !cpu_has(c, rows[i].feature)) {
            g_string_append_printf(out, "%s%s", out->len ? ",-" : "-",
                                   feature_rows[rows[i].feature].name);
        }
    }
    return g_string_free(out, false);
}

void kvm_state_unfit(KvmCpu *kc, const char *what)
{
    X86Cpu *c = kvm_x86(kc);
    g_autofree char *without = NULL;

    if (errno != EINVAL || !kc->kvm->completion || kc->kvm->host.lapic) {
        kvm_state_failed(kc, what);
        return;
    }
    kc->unfit = true;
    if (kc->unfit_told || c->index) {
        return;
    }
    kc->unfit_told = true;
    without = unfit_features(c);
    warn_report("kvm: this host's KVM does not take the guest's control "
                "registers (%s): the software CPU executes it%s%s",
                what,
                *without ? "; one for this host is started with -cpu ...," : "",
                without);
}

/* ---- general registers ------------------------------------------------------------ */

static void pull_regs(KvmCpu *kc, X86State *s)
{
    struct kvm_regs r;

    if (!STATE_CALL(kc, KVM_GET_REGS, &r)) {
        return;
    }
    s->gpr[R_RAX] = r.rax;
    s->gpr[R_RCX] = r.rcx;
    s->gpr[R_RDX] = r.rdx;
    s->gpr[R_RBX] = r.rbx;
    s->gpr[R_RSP] = r.rsp;
    s->gpr[R_RBP] = r.rbp;
    s->gpr[R_RSI] = r.rsi;
    s->gpr[R_RDI] = r.rdi;
    memcpy(&s->gpr[R_R8], &r.r8, 8 * sizeof(uint64_t));
    s->rip = r.rip;
    s->rflags = r.rflags;
}

static void push_regs(KvmCpu *kc, const X86State *s)
{
    struct kvm_regs r = {
        .rax = s->gpr[R_RAX],
        .rcx = s->gpr[R_RCX],
        .rdx = s->gpr[R_RDX],
        .rbx = s->gpr[R_RBX],
        .rsp = s->gpr[R_RSP],
        .rbp = s->gpr[R_RBP],
        .rsi = s->gpr[R_RSI],
        .rdi = s->gpr[R_RDI],
        .rip = s->rip,
        .rflags = s->rflags | 2,
    };

    memcpy(&r.r8, &s->gpr[R_R8], 8 * sizeof(uint64_t));
    STATE_CALL(kc, KVM_SET_REGS, &r);
}

/* ---- segments, control registers ----------------------------------------------------- */

static X86Seg seg_from_kvm(const struct kvm_segment *k)
{
    bool unusable = k->unusable || !k->present;

    return (X86Seg) {
        .sel = k->selector,
        .unusable = unusable,
        .base = k->base,
        .limit = unusable ? 0 : k->limit,
        .attr = unusable
                    ? (uint32_t)k->dpl << SEG_DPL_SHIFT
                    : (uint32_t)k->type << SEG_TYPE_SHIFT | (k->s ? SEG_S : 0) |
                          (uint32_t)k->dpl << SEG_DPL_SHIFT | SEG_P |
                          (k->avl ? SEG_AVL : 0) | (k->l ? SEG_L : 0) |
                          (k->db ? SEG_DB : 0) | (k->g ? SEG_G : 0),
    };
}

static struct kvm_segment seg_to_kvm(const X86Seg *sg)
{
    return (struct kvm_segment) {
        .base = sg->base,
        .limit = sg->limit,
        .selector = sg->sel,
        .type = (sg->attr & SEG_TYPE) >> SEG_TYPE_SHIFT,
        .present = !sg->unusable && (sg->attr & SEG_P),
        .dpl = (sg->attr & SEG_DPL) >> SEG_DPL_SHIFT,
        .db = !!(sg->attr & SEG_DB),
        .s = !!(sg->attr & SEG_S),
        .l = !!(sg->attr & SEG_L),
        .g = !!(sg->attr & SEG_G),
        .avl = !!(sg->attr & SEG_AVL),
        .unusable = sg->unusable || !(sg->attr & SEG_P),
    };
}

/* kvm_sregs and kvm_sregs2 begin alike, up to apic_base. */
typedef union Sregs {
    struct kvm_sregs one;
    struct kvm_sregs2 two;
} Sregs;

G_STATIC_ASSERT(offsetof(struct kvm_sregs, apic_base) ==
                offsetof(struct kvm_sregs2, apic_base));

static bool get_sregs(KvmCpu *kc, Sregs *r)
{
    memset(r, 0, sizeof(*r));
    return kc->kvm->caps.sregs2 ? STATE_CALL(kc, KVM_GET_SREGS2, &r->two)
                                : STATE_CALL(kc, KVM_GET_SREGS, &r->one);
}

static void set_sregs(KvmCpu *kc, Sregs *r)
{
    if (kc->kvm->caps.sregs2) {
        if (KVM_CALL(kc->fd, KVM_SET_SREGS2, &r->two) < 0) {
            kvm_state_unfit(kc, "KVM_SET_SREGS2");
        }
    } else if (KVM_CALL(kc->fd, KVM_SET_SREGS, &r->one) < 0) {
        kvm_state_unfit(kc, "KVM_SET_SREGS");
    }
}

/* KVM has no call for it, but forgets them when CR4.PGE changes. */
void kvm_drop_translations(KvmCpu *kc)
{
    Sregs r;

    if (get_sregs(kc, &r)) {
        r.one.cr4 ^= CR4_PGE;
        set_sregs(kc, &r);
        r.one.cr4 ^= CR4_PGE;
        set_sregs(kc, &r);
    }
}

static bool uses_pdptes(const X86State *s)
{
    return (s->cr0 & CR0_PG) && (s->cr4 & CR4_PAE) && !(s->efer & EFER_LMA);
}

static void pull_pdptes(KvmCpu *kc, X86State *s, const Sregs *r)
{
    X86Cpu *c = kvm_x86(kc);

    if (!uses_pdptes(s)) {
        return;
    }
    if (kc->kvm->caps.sregs2 &&
        (r->two.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID)) {
        memcpy(s->pdpte, r->two.pdptrs, sizeof(s->pdpte));
        return;
    }
    for (unsigned i = 0; i < 4; i++) { /* as the kernel loads them itself */
        s->pdpte[i] =
            as_load(c->machine->mem, (s->cr3 & 0xffffffe0u) + i * 8, 8);
    }
}

static void pull_sregs(KvmCpu *kc, X86State *s)
{
    Sregs r;

    if (!get_sregs(kc, &r)) {
        return;
    }
    s->seg[S_CS] = seg_from_kvm(&r.one.cs);
    s->seg[S_DS] = seg_from_kvm(&r.one.ds);
    s->seg[S_ES] = seg_from_kvm(&r.one.es);
    s->seg[S_FS] = seg_from_kvm(&r.one.fs);
    s->seg[S_GS] = seg_from_kvm(&r.one.gs);
    s->seg[S_SS] = seg_from_kvm(&r.one.ss);
    s->tr = seg_from_kvm(&r.one.tr);
    s->ldt = seg_from_kvm(&r.one.ldt);
    s->gdt_base = r.one.gdt.base;
    s->gdt_limit = r.one.gdt.limit;
    s->idt_base = r.one.idt.base;
    s->idt_limit = r.one.idt.limit;
    s->cr0 = r.one.cr0;
    s->cr2 = r.one.cr2;
    s->cr3 = r.one.cr3;
    s->cr4 = r.one.cr4;
    s->efer = r.one.efer;
    if (kc->kvm->host.lapic) {
        s->cr8 = r.one.cr8;
        s->apic_base = r.one.apic_base;
    }
    pull_pdptes(kc, s, &r);
}

static void push_sregs(KvmCpu *kc, const X86State *s)
{
    Sregs r;

    if (!get_sregs(kc, &r)) {
        return;
    }
    r.one.cs = seg_to_kvm(&s->seg[S_CS]);
    r.one.ds = seg_to_kvm(&s->seg[S_DS]);
    r.one.es = seg_to_kvm(&s->seg[S_ES]);
    r.one.fs = seg_to_kvm(&s->seg[S_FS]);
    r.one.gs = seg_to_kvm(&s->seg[S_GS]);
    r.one.ss = seg_to_kvm(&s->seg[S_SS]);
    r.one.tr = seg_to_kvm(&s->tr);
    r.one.ldt = seg_to_kvm(&s->ldt);
    r.one.gdt.base = s->gdt_base;
    r.one.gdt.limit = s->gdt_limit;
    r.one.idt.base = s->idt_base;
    r.one.idt.limit = s->idt_limit;
    r.one.cr0 = s->cr0;
    r.one.cr2 = s->cr2;
    r.one.cr3 = s->cr3;
    r.one.cr4 = s->cr4;
    r.one.cr8 = s->cr8;
    r.one.efer = s->efer;
    r.one.apic_base = s->apic_base;
    if (!kc->kvm->caps.sregs2) {
        memset(r.one.interrupt_bitmap, 0, sizeof(r.one.interrupt_bitmap));
    } else {
        r.two.flags = 0;
        if (uses_pdptes(s)) {
            r.two.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
            memcpy(r.two.pdptrs, s->pdpte, sizeof(s->pdpte));
        }
    }
    set_sregs(kc, &r);
}

/* ---- events -------------------------------------------------------------------------------------- */

/* INT3 and INTO have not been executed yet: they will be again. */
static bool deliver_exception(X86Cpu *c, const struct kvm_vcpu_events *ev)
{
    return ev->exception.nr == EXC_BP || ev->exception.nr == EXC_OF ||
           tcg_deliver(c, ev->exception.nr, INT_EXCEPTION,
                       ev->exception.has_error_code, ev->exception.error_code);
}

/*
 * An interrupt and an exception at once: the interrupt was taken from the APIC
 * and would be missed for ever, while a fault comes again when the handler has
 * returned to its instruction.
 */
static void deliver_events(KvmCpu *kc, const struct kvm_vcpu_events *ev)
{
    X86Cpu *c = kvm_x86(kc);
    bool ok = true;

    if (ev->nmi.injected) {
        c->s.nmi_masked = true;
        ok = tcg_deliver(c, EXC_NMI, INT_HW, false, 0);
    } else if (ev->interrupt.injected && !ev->interrupt.soft) {
        ok = tcg_deliver(c, ev->interrupt.nr, INT_HW, false, 0);
    } else if (ev->exception.injected) {
        ok = deliver_exception(c, ev);
    }
    if (!ok) {
        machine_request_reset(c->machine, RESET_TRIPLE_FAULT);
    }
}

static void pull_events(KvmCpu *kc, X86State *s, struct kvm_vcpu_events *ev)
{
    memset(ev, 0, sizeof(*ev));
    if (!kc->kvm->caps.events || !STATE_CALL(kc, KVM_GET_VCPU_EVENTS, ev)) {
        return;
    }
    s->irq_shadow = ev->interrupt.shadow & KVM_X86_SHADOW_INT_STI;
    s->ss_shadow = ev->interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS;
    s->nmi_masked = ev->nmi.masked;
    if (ev->nmi.pending) {
        __atomic_fetch_or(&kvm_x86(kc)->pending, CPU_NMI, __ATOMIC_SEQ_CST);
    }
}

static void push_events(KvmCpu *kc, const X86State *s)
{
    struct kvm_vcpu_events ev = {
        .nmi.masked = s->nmi_masked,
        .interrupt.shadow = (s->irq_shadow ? KVM_X86_SHADOW_INT_STI : 0) |
                            (s->ss_shadow ? KVM_X86_SHADOW_INT_MOV_SS : 0),
        .flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW,
    };

    if (kc->kvm->caps.events) {
        STATE_CALL(kc, KVM_SET_VCPU_EVENTS, &ev);
    }
}

void kvm_pull_nmi_masked(KvmCpu *kc)
{
    struct kvm_vcpu_events ev;

    if (kc->kvm->caps.events && STATE_CALL(kc, KVM_GET_VCPU_EVENTS, &ev)) {
        kvm_x86(kc)->s.nmi_masked = ev.nmi.masked;
    }
}

/* ---- debug registers -------------------------------------------------------------------------------- */

static void pull_debugregs(KvmCpu *kc, X86State *s)
{
    struct kvm_debugregs d;

    if (kc->kvm->caps.debugregs && STATE_CALL(kc, KVM_GET_DEBUGREGS, &d)) {
        for (unsigned i = 0; i < 4; i++) {
            s->dr[i] = d.db[i];
        }
        s->dr[6] = d.dr6;
        s->dr[7] = d.dr7;
    }
}

static void push_debugregs(KvmCpu *kc, const X86State *s)
{
    struct kvm_debugregs d = {
        .db = { s->dr[0], s->dr[1], s->dr[2], s->dr[3] },
        .dr6 = s->dr[6],
        .dr7 = s->dr[7],
    };

    if (kc->kvm->caps.debugregs) {
        STATE_CALL(kc, KVM_SET_DEBUGREGS, &d);
    }
}

/* ---- HLT and SIPI in the kernel ------------------------------------------ */

/* First of a pull: the kernel acts on INIT and SIPI here. */
static void pull_mp_state(KvmCpu *kc, X86State *s)
{
    struct kvm_mp_state mp = { 0 };

    if (kc->kvm->host.lapic && STATE_CALL(kc, KVM_GET_MP_STATE, &mp)) {
        s->halted = mp.mp_state == KVM_MP_STATE_HALTED;
        s->mp_state = mp.mp_state == KVM_MP_STATE_UNINITIALIZED ||
                              mp.mp_state == KVM_MP_STATE_INIT_RECEIVED
                          ? MP_WAIT_SIPI
                          : MP_RUNNABLE;
    }
}

static void push_mp_state(KvmCpu *kc, const X86State *s)
{
    struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };

    if (!kc->kvm->host.lapic) {
        return;
    }
    if (s->mp_state == MP_WAIT_SIPI) {
        mp.mp_state = KVM_MP_STATE_INIT_RECEIVED;
    } else if (s->halted) {
        mp.mp_state = KVM_MP_STATE_HALTED;
    }
    STATE_CALL(kc, KVM_SET_MP_STATE, &mp);
}

/* ---- all ----------------------------------------------------------------------------------------------- */

void kvm_pull(X86Cpu *c)
{
    KvmCpu *kc = kvm_cpu(c);
    X86State *s = &c->s;
    struct kvm_vcpu_events ev;

    pull_mp_state(kc, s);
    pull_regs(kc, s);
    pull_sregs(kc, s);
    kvm_pull_lapic(kc);
    kvm_pull_fpu(kc, s);
    kvm_pull_xcrs(kc, s);
    kvm_pull_msrs(kc, s);
    kvm_pull_kvmclock(kc, s);
    pull_debugregs(kc, s);
    pull_events(kc, s, &ev);
    kvm_pull_tsc(kc);
    c->lazy.op = FLAGS_EXACT;
    c->insn = NULL;
    x86_update_mode(c);
    deliver_events(kc, &ev);
}

/*
 * MSRs before XCR0 and the rest before the general registers, which depend on
 * nothing; EFER is in sregs.
 */
void kvm_push(X86Cpu *c)
{
    KvmCpu *kc = kvm_cpu(c);
    X86State *s = &c->s;

    if (c->apic_ops) {
        s->cr8 = c->apic_ops->get_tpr(c);
    }
    kc->unfit = false;
    push_sregs(kc, s);
    kvm_push_xcrs(kc, s);
    if (kc->unfit) {
        return;
    }
    kvm_push_fpu(kc, s);
    kvm_push_msrs(kc, s);
    kvm_push_tsc(kc);
    kvm_push_kvmclock(kc, s);
    kvm_push_lapic(kc);
    push_debugregs(kc, s);
    push_events(kc, s);
    push_regs(kc, s);
    push_mp_state(kc, s);
    kvm_memory_rewalk(kc->kvm);
    kvm_user_watch(kc);

    /* What the kernel will say at the next exit. */
    kc->run->if_flag = !!(s->rflags & FL_IF);
    kc->run->ready_for_interrupt_injection = !kc->kvm->host.lapic &&
                                             kc->run->if_flag &&
                                             !s->irq_shadow && !s->ss_shadow;
    kc->run->cr8 = s->cr8;
    kc->run->apic_base = s->apic_base;
}
