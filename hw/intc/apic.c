/*
 * The local APIC: interrupts, the messages between APICs, the device. Its
 * registers are in apic-regs.c, its timer in apic-timer.c.
 *
 * Intel SDM 3A, chapter 11 (APIC) and 11.12 (x2APIC). One per processor, found
 * through X86Cpu.apic; messages between them are plain calls, so delivery
 * status never reads as pending and nobody has to arbitrate.
 *
 * The processor sees one thing, the level CPU_IRQ, which apic_update() keeps
 * right after every change. The 8259 comes in at LINT0; while the APIC is
 * disabled in IA32_APIC_BASE the pins go straight to the boot processor. As on
 * a PC whose firmware has run, LINT0 of the boot processor is open for ExtINT
 * after reset, so that kernels that know only the 8259 work.
 *
 * Like KVM, and as the manual has it: interrupts already in IRR are delivered
 * while the APIC is disabled by software; that state accepts no new ones.
 *
 * Where the host's kernel has the APICs (system/host-kernel.h), this one holds
 * their state while the processor stands still, and is only asked then; no
 * interrupt passes through it but the 8259's.
 *
 * Not modelled: CMCI, thermal and performance interrupts (their LVT entries
 * hold what is written), focus processors, suppression of EOI broadcasts.
 * Who writes the TSC writes the TSC-deadline MSR again (target-x86/msr.c).
 */
#include "util/osdep.h"
#include "util/error.h"
#include "util/log.h"
#include "util/trace.h"
#include "hw/intc/apic-internal.h"
#include "target-x86/cpuid.h"

/* ---- vectors ------------------------------------------------------------- */

/* Processor priority. SDM 3A, 11.8.3.1. */
uint8_t apic_ppr(const Apic *a)
{
    int isr = vec_highest(a->isr);

    if (isr < 0 || a->tpr >> 4 >= isr >> 4) {
        return a->tpr;
    }
    return isr & 0xf0;
}

/* The vector of IRR that may interrupt now, or -1. */
static int apic_pending_vector(const Apic *a)
{
    int irr = vec_highest(a->irr);

    if (irr < 0 || irr >> 4 <= apic_ppr(a) >> 4) {
        return -1;
    }
    return irr;
}

/* Does the 8259 interrupt this processor? */
static bool apic_extint(const Apic *a)
{
    uint32_t lvt = a->lvt[LVT_LINT0];

    if (!apic_on(a)) {
        return a->lint[0] && apic_on_boot_cpu(a);
    }
    return a->extint_pending || (a->lint[0] && !(lvt & LVT_MASKED) &&
                                 (lvt >> 8 & 7) == APIC_DM_EXTINT);
}

/* The kernel knows whether its APIC lets the 8259 through. */
static bool apic_kernel_extint(const Apic *a)
{
    return a->lint[0] && apic_on_boot_cpu(a) &&
           !host_has_irqchip(a->dev.machine);
}

static bool apic_wants_cpu(const Apic *a)
{
    if (apic_in_kernel(a)) {
        return apic_kernel_extint(a);
    }
    return (apic_on(a) && apic_pending_vector(a) >= 0) || apic_extint(a);
}

void apic_update(Apic *a)
{
    bool want = apic_wants_cpu(a);
    bool is = cpu_pending(a->cpu) & CPU_IRQ;

    if (want && !is) {
        cpu_raise(a->cpu, CPU_IRQ);
    } else if (!want && is) {
        cpu_lower(a->cpu, CPU_IRQ);
    }
}

static int apic_ack_irq(X86Cpu *cpu)
{
    Apic *a = apic_of(cpu);
    int vector = apic_on(a) ? apic_pending_vector(a) : -1;

    if (apic_in_kernel(a)) {
        /* In a burst of the software CPU the registers here are true. */
        bool open = cpu->state_in_accel || apic_extint(a);

        return open && a->pic_ack ? a->pic_ack(a->pic_opaque) : -1;
    }
    if (vector >= 0) {
        vec_put(a->irr, vector, false);
        vec_put(a->isr, vector, true);
    } else if (apic_extint(a) && a->pic_ack) {
        a->extint_pending = false;
        vector = a->pic_ack(a->pic_opaque);
    }
    apic_update(a);
    return vector;
}

/* An interrupt message of mode fixed or lowest priority has arrived. */
void apic_accept(Apic *a, uint8_t vector, bool level)
{
    if (!apic_soft_on(a)) {
        return;
    }
    if (vector < FIRST_VECTOR) {
        apic_error(a, ESR_RECV_VECTOR);
        return;
    }
    vec_put(a->tmr, vector, level);
    vec_put(a->irr, vector, true);
    apic_update(a);
}

void apic_eoi(Apic *a)
{
    int vector = vec_highest(a->isr);
    uint32_t *lint0 = &a->lvt[LVT_LINT0];

    if (vector < 0) {
        return; /* of a spurious interrupt: harmless */
    }
    vec_put(a->isr, vector, false);
    apic_update(a);
    if (!vec_test(a->tmr, vector)) {
        return;
    }
    if ((*lint0 & LVT_REMOTE_IRR) &&
        (*lint0 & LVT_VECTOR) == (uint32_t)vector) {
        *lint0 &= ~LVT_REMOTE_IRR;
        apic_pin_changed(a, 0, false);
    } else if (a->ioapic_eoi) {
        a->ioapic_eoi(a->ioapic_opaque, vector);
    }
}

/* ---- local interrupts ---------------------------------------------------- */

/* An event at a local vector table entry that is not level-sensitive. */
void apic_local(Apic *a, int entry)
{
    uint32_t lvt = a->lvt[entry];
    unsigned mode = lvt >> 8 & 7;

    if (lvt & LVT_MASKED) {
        return;
    }
    if (entry == LVT_TIMER || entry == LVT_ERROR) {
        mode = APIC_DM_FIXED; /* they have no mode field */
    }
    trace(apic_local_deliver, entry, mode);
    switch (mode) {
    case APIC_DM_FIXED:
        apic_accept(a, lvt & LVT_VECTOR, false);
        break;
    case APIC_DM_SMI:
        cpu_raise(a->cpu, CPU_SMI);
        break;
    case APIC_DM_NMI:
        cpu_raise(a->cpu, CPU_NMI);
        break;
    case APIC_DM_INIT:
        cpu_raise(a->cpu, CPU_INIT);
        break;
    default: /* ExtINT is a level, see apic_extint(); the rest is reserved */
        break;
    }
}

void apic_error(Apic *a, uint32_t bit)
{
    bool first = !(a->esr_latest & bit);

    a->esr_latest |= bit;
    if (first) { /* and no recursion when the vector for errors is illegal */
        apic_local(a, LVT_ERROR);
    }
}

/* After a change of pin LINT0 or LINT1, or of what LINT0 is set to. */
void apic_pin_changed(Apic *a, int pin, bool rose)
{
    uint32_t *lvt = &a->lvt[LVT_LINT0 + pin];
    bool fixed_level =
        pin == 0 && (*lvt & LVT_LEVEL) && (*lvt >> 8 & 7) == APIC_DM_FIXED;

    if (!apic_on(a)) {
        if (pin == 1 && rose && apic_on_boot_cpu(a)) {
            cpu_raise(a->cpu, CPU_NMI);
        }
    } else if (!fixed_level) {
        if (rose) {
            apic_local(a, LVT_LINT0 + pin);
        }
    } else if (a->lint[0] && !(*lvt & (LVT_MASKED | LVT_REMOTE_IRR)) &&
               apic_soft_on(a)) {
        *lvt |= LVT_REMOTE_IRR;
        apic_accept(a, *lvt & LVT_VECTOR, true);
    }
    apic_update(a);
}

static void apic_set_pin(Apic *a, int pin, bool level)
{
    bool rose = level && !a->lint[pin];

    if (apic_in_kernel(a)) {
        a->lint[pin] = level;
        apic_update(a);
        return;
    }
    if (level != a->lint[pin]) {
        a->lint[pin] = level;
        apic_pin_changed(a, pin, rose);
    }
}

/* ---- messages ------------------------------------------------------------ */

typedef struct ApicMessage {
    uint32_t dest;
    uint32_t broadcast; /* the value of dest that means everybody */
    bool logical;
    unsigned mode;
    uint8_t vector;
    bool level;
} ApicMessage;

/* Destination formats. SDM 3A, 11.6.2 and 11.12.9. */
static bool apic_matches(const Apic *a, const ApicMessage *msg)
{
    uint8_t id = a->ldr >> 24, dest = msg->dest;

    if (!apic_on(a)) {
        return false;
    }
    if (msg->dest == msg->broadcast) {
        return true;
    }
    if (apic_x2(a)) {
        return msg->logical ? msg->dest >> 16 == a->ldr >> 16 &&
                                  (msg->dest & a->ldr & 0xffff)
                            : msg->dest == a->cpu->apic_id;
    }
    if (msg->dest > 0xff) {
        return false;
    }
    if (!msg->logical) {
        return dest == a->xapic_id;
    }
    switch (a->dfr >> 28) {
    case DFR_FLAT:
        return id & dest;
    case DFR_CLUSTER:
        return id >> 4 == dest >> 4 && (id & dest & 0xf);
    default:
        return false;
    }
}

static void apic_receive(Apic *a, const ApicMessage *msg)
{
    switch (msg->mode) {
    case APIC_DM_FIXED:
    case APIC_DM_LOWEST:
        apic_accept(a, msg->vector, msg->level);
        break;
    case APIC_DM_SMI:
        cpu_raise(a->cpu, CPU_SMI);
        break;
    case APIC_DM_NMI:
        cpu_raise(a->cpu, CPU_NMI);
        break;
    case APIC_DM_INIT:
        /* A start-up message that came before is void. */
        cpu_lower(a->cpu, CPU_SIPI);
        cpu_raise(a->cpu, CPU_INIT);
        break;
    case APIC_DM_SIPI:
        __atomic_store_n(&a->cpu->s.sipi_vector, msg->vector, __ATOMIC_RELEASE);
        cpu_raise(a->cpu, CPU_SIPI);
        break;
    case APIC_DM_EXTINT:
        a->extint_pending = true;
        apic_update(a);
        break;
    default:
        log_mask(LOG_GUEST_ERROR, "apic: reserved delivery mode %u\n",
                 msg->mode);
        break;
    }
}

/* To every APIC that @msg names (of @from, if not NULL, only the others), or
 * for lowest priority to the least busy of them. */
static void apic_broadcast(Machine *m, const ApicMessage *msg, Apic *except)
{
    Apic *best = NULL;

    trace(apic_deliver_irq, msg->dest, msg->logical, msg->mode, msg->vector,
          msg->level);
    for (unsigned i = 0; i < m->ncpus; i++) {
        Apic *a = m->cpu[i] ? apic_of(m->cpu[i]) : NULL;

        if (!a || a == except || !apic_matches(a, msg)) {
            continue;
        }
        if (msg->mode != APIC_DM_LOWEST) {
            apic_receive(a, msg);
        } else if (apic_soft_on(a) && (!best || apic_ppr(a) < apic_ppr(best))) {
            best = a;
        }
    }
    if (best) {
        apic_receive(best, msg);
    }
}

static void apic_deliver_here(Machine *m, uint8_t dest, bool logical,
                              unsigned delivery_mode, uint8_t vector,
                              bool level)
{
    ApicMessage msg = {
        .dest = dest,
        .broadcast = BROADCAST_X,
        .logical = logical,
        .mode = delivery_mode,
        .vector = vector,
        .level = level,
    };

    apic_broadcast(m, &msg, NULL);
}

/* As the function that wrote it would write it. SDM 3A, 11.11. */
static uint64_t apic_msi_addr(uint8_t dest, bool logical)
{
    return APIC_DEFAULT_BASE | (uint64_t)dest << 12 | (logical ? 4 : 0);
}

static uint32_t apic_msi_data(unsigned mode, uint8_t vector, bool level)
{
    return vector | mode << 8 | (level ? ICR_LEVEL | ICR_ASSERT : 0);
}

void apic_route_pin(Machine *m, unsigned pin, bool used, uint8_t dest,
                    bool logical, unsigned delivery_mode, uint8_t vector,
                    bool level)
{
    if (host_has_lapic(m) && !host_has_irqchip(m)) {
        m->host->ops->set_pin(m, pin, used, apic_msi_addr(dest, logical),
                              apic_msi_data(delivery_mode, vector, level));
    }
}

void apic_deliver(Machine *m, uint8_t dest, bool logical,
                  unsigned delivery_mode, uint8_t vector, bool level)
{
    if (host_has_lapic(m)) {
        m->host->ops->send_msi(m, apic_msi_addr(dest, logical),
                               apic_msi_data(delivery_mode, vector, level));
        return;
    }
    apic_deliver_here(m, dest, logical, delivery_mode, vector, level);
}

void apic_deliver_msi(Machine *m, uint64_t addr, uint32_t data)
{
    if (host_has_lapic(m)) {
        m->host->ops->send_msi(m, addr, data);
        return;
    }
    apic_deliver(m, addr >> 12 & 0xff, addr & 4, data >> 8 & 7, data & 0xff,
                 data & 0x8000);
}

static void apic_kernel_nmi(Apic *a)
{
    uint32_t lvt;

    cpu_state(a->cpu); /* brings the registers */
    lvt = a->lvt[LVT_LINT1];
    if (apic_on(a) ? !(lvt & LVT_MASKED) && (lvt >> 8 & 7) == APIC_DM_NMI
                   : apic_on_boot_cpu(a)) {
        cpu_raise(a->cpu, CPU_NMI);
    }
}

void apic_nmi(Machine *m)
{
    for (unsigned i = 0; i < m->ncpus; i++) {
        Apic *a = m->cpu[i] ? apic_of(m->cpu[i]) : NULL;

        if (a && apic_in_kernel(a)) {
            apic_kernel_nmi(a);
        } else if (a) {
            apic_set_pin(a, 1, true);
            apic_set_pin(a, 1, false);
        } else if (m->cpu[i]) {
            cpu_raise(m->cpu[i], CPU_NMI);
        }
    }
}

/* What writing the ICR does. SDM 3A, 11.6.1. */
void apic_send(Apic *a)
{
    unsigned shorthand = a->icr >> 18 & 3;
    ApicMessage msg = {
        .dest = apic_x2(a) ? a->icr_high : a->icr_high >> 24,
        .broadcast = apic_x2(a) ? BROADCAST_X2 : BROADCAST_X,
        .logical = a->icr & ICR_LOGICAL,
        .mode = a->icr >> 8 & 7,
        .vector = a->icr,
    };

    if (msg.mode <= APIC_DM_LOWEST && msg.vector < FIRST_VECTOR) {
        apic_error(a, ESR_SEND_VECTOR);
        return;
    }
    if (msg.mode == APIC_DM_INIT && (a->icr & ICR_LEVEL) &&
        !(a->icr & ICR_ASSERT)) {
        return; /* INIT level de-assert: nothing since the Pentium 4 */
    }
    if (msg.mode == APIC_DM_EXTINT) {
        log_mask(LOG_GUEST_ERROR, "apic: ExtINT sent by ICR\n");
        return;
    }
    if (shorthand == TO_SELF) {
        apic_receive(a, &msg);
        return;
    }
    if (shorthand != TO_DEST) {
        msg.dest = msg.broadcast;
    }
    apic_broadcast(a->dev.machine, &msg, shorthand == TO_OTHERS ? a : NULL);
}

/* ---- state --------------------------------------------------------------- */

/* Logical id of an x2APIC. SDM 3A, 11.12.10.2. */
static uint32_t apic_x2_ldr(const Apic *a)
{
    uint32_t id = a->cpu->apic_id;

    return id >> 4 << 16 | UINT32_C(1) << (id & 15);
}

/* What INIT and being disabled set; not the ids. SDM 3A, 11.4.7. */
static void apic_reset_regs(Apic *a)
{
    timer_cancel(&a->timer);
    a->tpr = 0;
    a->svr = 0xff;
    a->ldr = apic_x2(a) ? apic_x2_ldr(a) : 0;
    a->dfr = 0xffffffff;
    memset(a->isr, 0, sizeof(a->isr));
    memset(a->tmr, 0, sizeof(a->tmr));
    memset(a->irr, 0, sizeof(a->irr));
    a->esr = a->esr_latest = 0;
    a->icr = a->icr_high = 0;
    for (int i = 0; i < LVTS; i++) {
        a->lvt[i] = LVT_MASKED;
    }
    if (apic_on_boot_cpu(a)) {
        a->lvt[LVT_LINT0] = APIC_DM_EXTINT << 8;
    }
    a->extint_pending = false;
    a->tmict = a->dcr = 0;
    a->counting = false;
    a->started = 0;
    a->deadline = 0;
    apic_update(a);
}

/* Whether IA32_APIC_BASE may go from @from to @to. SDM 3A, figure 11-27. */
static bool apic_base_legal(const Apic *a, uint64_t from, uint64_t to)
{
    uint64_t addr = ((UINT64_C(1) << a->phys_bits) - 1) & ~UINT64_C(0xfff);
    uint64_t flags = BASE_BSP | BASE_ENABLE | (a->has_x2apic ? BASE_X2APIC : 0);
    bool was_x2 = from & BASE_X2APIC, is_x2 = to & BASE_X2APIC;

    if (to & ~(addr | flags)) {
        return false;
    }
    if (is_x2) {
        return (to & BASE_ENABLE) && (from & BASE_ENABLE);
    }
    return !was_x2 || !(to & BASE_ENABLE);
}

static bool apic_set_base(X86Cpu *cpu, uint64_t value)
{
    Apic *a = apic_of(cpu);
    bool was_on = apic_on(a), was_x2 = apic_x2(a);

    if (!a->present || !apic_base_legal(a, a->base, value)) {
        return false;
    }
    a->base = value;
    cpu->s.apic_base = value;
    if (was_on != apic_on(a)) {
        apic_reset_regs(a);
    } else if (!was_x2 && apic_x2(a)) {
        a->ldr = apic_x2_ldr(a);
        a->icr_high = 0;
    }
    apic_update(a);
    return true;
}

static void apic_set_tpr(X86Cpu *cpu, uint8_t cr8)
{
    Apic *a = apic_of(cpu);

    a->tpr = cr8 << 4;
    apic_update(a);
}

static uint8_t apic_get_tpr(X86Cpu *cpu)
{
    return apic_of(cpu)->tpr >> 4;
}

static void apic_init_reset(X86Cpu *cpu)
{
    apic_reset_regs(apic_of(cpu));
}

static const ApicOps apic_ops = {
    .mmio_read = apic_mmio_read,
    .mmio_write = apic_mmio_write,
    .ack_irq = apic_ack_irq,
    .msr_read = apic_msr_read,
    .msr_write = apic_msr_write,
    .set_base = apic_set_base,
    .set_tpr = apic_set_tpr,
    .get_tpr = apic_get_tpr,
    .init_reset = apic_init_reset,
    .get_page = apic_get_page,
    .put_page = apic_put_page,
};

/* ---- wiring -------------------------------------------------------------- */

static void apic_pic_line(void *opaque, int n, int level)
{
    Machine *m = opaque;

    for (unsigned i = 0; i < m->ncpus; i++) {
        if (m->cpu[i] && m->cpu[i]->apic) {
            apic_set_pin(apic_of(m->cpu[i]), 0, level);
        }
    }
}

IrqLine apic_connect_pic(Machine *m, int (*ack)(void *opaque), void *opaque)
{
    for (unsigned i = 0; i < m->ncpus; i++) {
        Apic *a = m->cpu[i] ? apic_of(m->cpu[i]) : NULL;

        if (a) {
            a->pic_ack = ack;
            a->pic_opaque = opaque;
        }
    }
    return (IrqLine) { apic_pic_line, m, 0 };
}

void apic_connect_ioapic(Machine *m, void (*eoi)(void *opaque, uint8_t vector),
                         void *opaque)
{
    if (m->host) {
        m->host->eoi = eoi;
        m->host->eoi_opaque = opaque;
    }
    for (unsigned i = 0; i < m->ncpus; i++) {
        Apic *a = m->cpu[i] ? apic_of(m->cpu[i]) : NULL;

        if (a) {
            a->ioapic_eoi = eoi;
            a->ioapic_opaque = opaque;
        }
    }
}

void apic_attach(Device *dev, X86Cpu *cpu)
{
    container_of(dev, Apic, dev)->cpu = cpu;
}

/* ---- device -------------------------------------------------------------- */

static void apic_reset(Device *dev)
{
    Apic *a = container_of(dev, Apic, dev);

    a->base = 0;
    if (a->present) {
        a->base = APIC_DEFAULT_BASE | BASE_ENABLE |
                  (apic_on_boot_cpu(a) ? BASE_BSP : 0);
    }
    a->cpu->s.apic_base = a->base;
    a->xapic_id = a->cpu->apic_id;
    apic_reset_regs(a);
    a->cpu->apic_changed = a->cpu->apic_replaced = true;
}

/* What the processor's model has not got, the APIC has not got. */
static void apic_follow_model(Apic *a)
{
    const X86Cpu *cpu = a->cpu;

    if (cpu->model) {
        a->present = a->present && cpu_has(cpu, FEAT_APIC);
        a->has_x2apic = a->has_x2apic && cpu_has(cpu, FEAT_X2APIC);
        a->has_deadline = a->has_deadline && cpu_has(cpu, FEAT_TSC_DEADLINE);
        a->phys_bits = MIN(a->phys_bits, cpu_phys_bits(cpu));
    }
}

static bool apic_realize(Device *dev, GError **errp)
{
    Apic *a = container_of(dev, Apic, dev);

    if (!a->cpu || a->cpu->apic) {
        error_setg(errp, "apic: %s",
                   a->cpu ? "this CPU has one already"
                          : "apic_attach() comes before realize");
        return false;
    }
    apic_follow_model(a);
    if (a->phys_bits < 32 || a->phys_bits > 52) {
        error_setg(errp, "phys-bits must be 32 to 52, not %u", a->phys_bits);
        return false;
    }
    timer_init(&a->timer, dev->machine->vclock, apic_timer_expired, a);
    a->cpu->apic = a;
    a->cpu->apic_ops = &apic_ops;
    return true;
}

static void apic_unrealize(Device *dev)
{
    Apic *a = container_of(dev, Apic, dev);

    timer_cancel(&a->timer);
    a->cpu->apic = NULL;
    a->cpu->apic_ops = NULL;
}

/* Another engine expects to find the timer armed. */
static void apic_pre_save(void *obj)
{
    Apic *a = obj;

    if (!apic_in_kernel(a)) {
        return;
    }
    cpu_state(a->cpu);
    if (apic_timer_mode(a) == LVT_TSC_DEADLINE && a->deadline) {
        apic_arm_deadline(a);
    } else {
        apic_timer_arm(a);
    }
}

static bool apic_post_load(void *obj, int version, GError **errp)
{
    Apic *a = obj;

    if (apic_x2(a) && (!a->has_x2apic || !apic_on(a))) {
        error_setg(errp, "apic: x2APIC mode is not possible here");
        return false;
    }
    a->dcr &= DCR_WRITABLE;
    a->svr &= SVR_WRITABLE;
    if (a->started > apic_clock(a) || a->started < -STARTED_MAX) {
        a->started = apic_clock(a); /* no overflow in the arithmetic */
    }
    a->cpu->s.apic_base = a->base;
    a->cpu->apic_changed = a->cpu->apic_replaced = true;
    if (apic_in_kernel(a)) {
        timer_cancel(&a->timer);
    }
    apic_update(a);
    return true;
}

static const Property apic_props[] = {
    { "enabled", PROP_BOOL, offsetof(Apic, present), true,
      "off: the processor has no APIC" },
    { "x2apic", PROP_BOOL, offsetof(Apic, has_x2apic), true,
      "x2APIC mode can be turned on" },
    { "tsc-deadline", PROP_BOOL, offsetof(Apic, has_deadline), true,
      "the timer has the TSC-deadline mode" },
    { "phys-bits", PROP_U8, offsetof(Apic, phys_bits), 52,
      "width of physical addresses" },
    { .kind = PROP_END },
};

static const VMField apic_fields[] = {
    VM_U64(Apic, base),
    VM_U8(Apic, xapic_id),
    VM_U8(Apic, tpr),
    VM_U32(Apic, svr),
    VM_U32(Apic, ldr),
    VM_U32(Apic, dfr),
    VM_U32_ARRAY(Apic, isr, 8),
    VM_U32_ARRAY(Apic, tmr, 8),
    VM_U32_ARRAY(Apic, irr, 8),
    VM_U32(Apic, esr),
    VM_U32(Apic, esr_latest),
    VM_U32(Apic, icr),
    VM_U32(Apic, icr_high),
    VM_U32_ARRAY(Apic, lvt, LVTS),
    VM_BOOL_ARRAY(Apic, lint, 2),
    VM_BOOL(Apic, extint_pending),
    VM_U32(Apic, tmict),
    VM_U32(Apic, dcr),
    VM_BOOL(Apic, counting),
    VM_I64(Apic, started),
    VM_U64(Apic, deadline),
    VM_TIMER_FIELD(Apic, timer),
    VM_FIELDS_END,
};

static const VMState vmstate_apic = {
    .name = "apic",
    .version = 1,
    .min_version = 1,
    .fields = apic_fields,
    .pre_save = apic_pre_save,
    .post_load = apic_post_load,
};

const DeviceClass apic_class = {
    .name = "apic",
    .desc = "Local APIC of a processor",
    .size = sizeof(Apic),
    .props = apic_props,
    .vmstate = &vmstate_apic,
    .internal = true,
    .has_inputs = true,
    .realize = apic_realize,
    .reset = apic_reset,
    .unrealize = apic_unrealize,
};
