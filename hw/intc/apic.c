/*
 * The local APIC: xAPIC registers in memory, x2APIC registers as MSRs.
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
#include "util/bits.h"
#include "util/log.h"
#include "util/trace.h"
#include "hw/intc/apic.h"
#include "system/host-kernel.h"
#include "target-x86/cpuid.h"

enum { /* registers: offset / 16 in memory, MSR - 0x800 */
       REG_ID = 0x02,
       REG_VERSION = 0x03,
       REG_TPR = 0x08,
       REG_APR = 0x09,
       REG_PPR = 0x0a,
       REG_EOI = 0x0b,
       REG_RRD = 0x0c,
       REG_LDR = 0x0d,
       REG_DFR = 0x0e,
       REG_SVR = 0x0f,
       REG_ISR = 0x10,
       REG_TMR = 0x18,
       REG_IRR = 0x20,
       REG_ESR = 0x28,
       REG_ICR = 0x30,
       REG_ICR_HIGH = 0x31,
       REG_LVT = 0x32,
       REG_TMICT = 0x38,
       REG_TMCCT = 0x39,
       REG_DCR = 0x3e,
       REG_SELF_IPI = 0x3f,
};

enum {
    LVT_TIMER,
    LVT_THERMAL,
    LVT_PERF,
    LVT_LINT0,
    LVT_LINT1,
    LVT_ERROR,
    LVTS
};

#define BASE_BSP         (UINT64_C(1) << 8)
#define BASE_X2APIC      (UINT64_C(1) << 10)
#define BASE_ENABLE      (UINT64_C(1) << 11)
#define APIC_VERSION     0x14u
#define SVR_ENABLE       0x100u
#define SVR_WRITABLE     0x3ffu
#define LVT_VECTOR       0xffu
#define LVT_REMOTE_IRR   0x4000u
#define LVT_LEVEL        0x8000u
#define LVT_MASKED       0x10000u
#define LVT_READ_ONLY    0x5000u /* delivery status, remote IRR */
#define LVT_TIMER_MODE   0x60000u
#define LVT_ONE_SHOT     0x00000u
#define LVT_PERIODIC     0x20000u
#define LVT_TSC_DEADLINE 0x40000u
#define ICR_BUSY         0x1000u
#define ICR_LOGICAL      0x800u
#define ICR_ASSERT       0x4000u
#define ICR_LEVEL        0x8000u
#define ICR_WRITABLE     0xccfffu
#define ESR_SEND_VECTOR  0x20u
#define ESR_RECV_VECTOR  0x40u
#define ESR_BAD_REGISTER 0x80u
#define DCR_WRITABLE     0x0bu
#define DFR_FLAT         0xfu
#define DFR_CLUSTER      0x0u
#define BROADCAST_X      0xffu
#define BROADCAST_X2     0xffffffffu
#define MSR_TSC_DEADLINE 0x6e0u
#define MSR_X2APIC       0x800u
#define MIN_PERIOD_NS    100000 /* a faster period is not worth a main loop */
#define STARTED_MAX      (INT64_C(1) << 40) /* more than a count can last */
#define FIRST_VECTOR     16                 /* below, vectors are illegal */

enum { TO_DEST, TO_SELF, TO_ALL, TO_OTHERS }; /* shorthands of the ICR */

typedef struct Apic {
    Device dev;
    X86Cpu *cpu;
    bool present;      /* property: there is an APIC at all */
    bool has_x2apic;   /* property */
    bool has_deadline; /* property */
    uint8_t phys_bits; /* property */
    int (*pic_ack)(void *opaque);
    void *pic_opaque;
    void (*ioapic_eoi)(void *opaque, uint8_t vector);
    void *ioapic_opaque;

    uint64_t base; /* IA32_APIC_BASE; cpu->s.apic_base has the same */
    uint8_t xapic_id;
    uint8_t tpr;
    uint32_t svr, ldr, dfr;
    uint32_t isr[8], tmr[8], irr[8];
    uint32_t esr;        /* as read */
    uint32_t esr_latest; /* since the last write to it */
    uint32_t icr, icr_high;
    uint32_t lvt[LVTS];
    bool lint[2];        /* levels of the pins */
    bool extint_pending; /* a message of delivery mode ExtINT came */

    Timer timer;
    uint32_t tmict, dcr;
    bool counting;   /* one-shot not yet expired, or periodic */
    int64_t started; /* virtual time at which the count was tmict */
    uint64_t deadline;
} Apic;

static const uint32_t lvt_writable[LVTS] = {
    [LVT_TIMER] = LVT_VECTOR | LVT_MASKED | LVT_TIMER_MODE,
    [LVT_THERMAL] = LVT_VECTOR | 0x700 | LVT_MASKED,
    [LVT_PERF] = LVT_VECTOR | 0x700 | LVT_MASKED,
    [LVT_LINT0] = LVT_VECTOR | 0x700 | 0x2000 | LVT_LEVEL | LVT_MASKED,
    [LVT_LINT1] = LVT_VECTOR | 0x700 | 0x2000 | LVT_LEVEL | LVT_MASKED,
    [LVT_ERROR] = LVT_VECTOR | LVT_MASKED,
};

static void apic_error(Apic *a, uint32_t bit);
static void apic_pin_changed(Apic *a, int pin, bool rose);

static bool apic_in_kernel(const Apic *a)
{
    return host_has_lapic(a->dev.machine);
}

static Apic *apic_of(X86Cpu *cpu)
{
    return cpu->apic;
}

static bool apic_on(const Apic *a)
{
    return a->base & BASE_ENABLE;
}

static bool apic_x2(const Apic *a)
{
    return a->base & BASE_X2APIC;
}

static bool apic_soft_on(const Apic *a)
{
    return a->svr & SVR_ENABLE;
}

static bool apic_on_boot_cpu(const Apic *a)
{
    return a->cpu->index == 0;
}

static int64_t apic_clock(const Apic *a)
{
    return clock_ns(a->dev.machine->vclock);
}

/* ---- vectors ------------------------------------------------------------- */

static bool vec_test(const uint32_t *set, uint8_t vector)
{
    return set[vector / 32] >> (vector % 32) & 1;
}

static void vec_put(uint32_t *set, uint8_t vector, bool on)
{
    uint32_t bit = UINT32_C(1) << (vector % 32);

    set[vector / 32] = on ? set[vector / 32] | bit : set[vector / 32] & ~bit;
}

/* The highest vector of the set, or -1. */
static int vec_highest(const uint32_t *set)
{
    for (int i = 7; i >= 0; i--) {
        if (set[i]) {
            return i * 32 + 31 - __builtin_clz(set[i]);
        }
    }
    return -1;
}

/* Processor priority. SDM 3A, 11.8.3.1. */
static uint8_t apic_ppr(const Apic *a)
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

static void apic_update(Apic *a)
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
static void apic_accept(Apic *a, uint8_t vector, bool level)
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

static void apic_eoi(Apic *a)
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
static void apic_local(Apic *a, int entry)
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

static void apic_error(Apic *a, uint32_t bit)
{
    bool first = !(a->esr_latest & bit);

    a->esr_latest |= bit;
    if (first) { /* and no recursion when the vector for errors is illegal */
        apic_local(a, LVT_ERROR);
    }
}

/* After a change of pin LINT0 or LINT1, or of what LINT0 is set to. */
static void apic_pin_changed(Apic *a, int pin, bool rose)
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
static void apic_send(Apic *a)
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

/* ---- timer --------------------------------------------------------------- */

/* Nanoseconds per count are 1 << this; the bus has 1 GHz. */
static unsigned apic_timer_shift(const Apic *a)
{
    return (((a->dcr & 3) | (a->dcr >> 1 & 4)) + 1) & 7;
}

static uint32_t apic_timer_mode(const Apic *a)
{
    return a->lvt[LVT_TIMER] & LVT_TIMER_MODE;
}

static int64_t apic_timer_period(const Apic *a)
{
    return (int64_t)a->tmict << apic_timer_shift(a);
}

static uint32_t apic_timer_count(const Apic *a)
{
    uint64_t passed;

    if (!a->counting || a->tmict == 0) {
        return 0;
    }
    passed = (uint64_t)(apic_clock(a) - a->started) >> apic_timer_shift(a);
    if (apic_timer_mode(a) == LVT_PERIODIC) {
        return a->tmict - passed % a->tmict;
    }
    return passed >= a->tmict ? 0 : a->tmict - passed;
}

static void apic_timer_arm(Apic *a)
{
    int64_t now = apic_clock(a), period = apic_timer_period(a), next;

    if (!a->counting || period == 0) {
        timer_cancel(&a->timer);
        return;
    }
    next = a->started + period;
    if (apic_timer_mode(a) == LVT_PERIODIC && next <= now) {
        next = now - (now - a->started) % period + period;
    }
    if (apic_timer_mode(a) == LVT_PERIODIC && period < MIN_PERIOD_NS) {
        next = MAX(next, now + MIN_PERIOD_NS);
    }
    timer_arm(&a->timer, next);
}

static void apic_timer_expired(void *opaque)
{
    Apic *a = opaque;

    if (apic_in_kernel(a)) {
        return; /* it was armed only to be saved */
    }
    switch (apic_timer_mode(a)) {
    case LVT_TSC_DEADLINE:
        a->deadline = 0;
        break;
    case LVT_PERIODIC:
        apic_timer_arm(a);
        break;
    default:
        a->counting = false;
        break;
    }
    apic_local(a, LVT_TIMER);
}

/* The count stays what it is while the divider or the mode changes. */
static void apic_timer_keep(Apic *a, uint32_t count)
{
    a->counting = count != 0;
    a->started =
        apic_clock(a) - ((int64_t)(a->tmict - count) << apic_timer_shift(a));
    apic_timer_arm(a);
}

static void apic_write_tmict(Apic *a, uint32_t value)
{
    if (apic_timer_mode(a) == LVT_TSC_DEADLINE) {
        return;
    }
    a->tmict = value;
    apic_timer_keep(a, value);
}

static void apic_write_dcr(Apic *a, uint32_t value)
{
    uint32_t count = apic_timer_count(a);

    a->dcr = value & DCR_WRITABLE;
    if (a->counting) {
        apic_timer_keep(a, count);
    }
}

static void apic_write_lvt_timer(Apic *a, uint32_t value)
{
    uint32_t old_mode = apic_timer_mode(a), mode = value & LVT_TIMER_MODE;
    uint32_t count = apic_timer_count(a);

    if (a->counting && count == 0) {
        apic_timer_expired(a); /* due, but the main loop is late */
    }
    a->lvt[LVT_TIMER] = value;
    if (mode == old_mode) {
        return;
    }
    if (mode == LVT_TSC_DEADLINE || old_mode == LVT_TSC_DEADLINE) {
        timer_cancel(&a->timer);
        a->counting = false;
        a->tmict = 0;
        a->deadline = 0;
    } else if (a->counting) {
        apic_timer_keep(a, count);
    }
}

/* When the TSC will be at a->deadline. */
static void apic_arm_deadline(Apic *a)
{
    uint64_t tsc = x86_tsc(a->cpu), wait = 0;

    if (a->deadline > tsc) {
        wait = MIN(a->deadline - tsc, x86_tsc_hz(a->cpu) << 31);
    }
    timer_arm(&a->timer, apic_clock(a) +
                             muldiv64(wait, NS_PER_SEC, x86_tsc_hz(a->cpu)) +
                             1);
}

static void apic_write_deadline(Apic *a, uint64_t value)
{
    if (apic_timer_mode(a) != LVT_TSC_DEADLINE) {
        return;
    }
    a->deadline = value;
    if (value == 0) {
        timer_cancel(&a->timer);
    } else if (value <= x86_tsc(a->cpu)) {
        timer_cancel(&a->timer);
        apic_timer_expired(a);
    } else {
        apic_arm_deadline(a);
    }
}

/* ---- registers ----------------------------------------------------------- */

static void apic_write_lvt(Apic *a, int entry, uint32_t value)
{
    value &= lvt_writable[entry];
    value |= a->lvt[entry] & LVT_REMOTE_IRR;
    if (!apic_soft_on(a)) {
        value |= LVT_MASKED;
    }
    if (entry == LVT_TIMER) {
        if (!a->has_deadline) {
            value &= ~LVT_TSC_DEADLINE;
        }
        apic_write_lvt_timer(a, value);
        return;
    }
    if (!(value & LVT_LEVEL)) {
        value &= ~LVT_REMOTE_IRR;
    }
    a->lvt[entry] = value;
    if (entry == LVT_LINT0) {
        apic_pin_changed(a, 0, false);
    }
}

static void apic_write_svr(Apic *a, uint32_t value)
{
    a->svr = value & SVR_WRITABLE;
    if (!apic_soft_on(a)) {
        for (int i = 0; i < LVTS; i++) {
            a->lvt[i] |= LVT_MASKED;
        }
    }
    apic_update(a);
}

/* False: there is no such register to read. */
static bool apic_read_reg(Apic *a, unsigned reg, uint32_t *value)
{
    switch (reg) {
    case REG_ID:
        *value = apic_x2(a) ? a->cpu->apic_id : (uint32_t)a->xapic_id << 24;
        return true;
    case REG_VERSION:
        *value = APIC_VERSION | (LVTS - 1) << 16;
        return true;
    case REG_TPR:
        *value = a->tpr;
        return true;
    case REG_APR:
    case REG_RRD:
    case REG_EOI:
        *value = 0;
        return !apic_x2(a);
    case REG_PPR:
        *value = apic_ppr(a);
        return true;
    case REG_LDR:
        *value = a->ldr;
        return true;
    case REG_DFR:
        *value = a->dfr;
        return !apic_x2(a);
    case REG_SVR:
        *value = a->svr;
        return true;
    case REG_ISR ... REG_ISR + 7:
        *value = a->isr[reg - REG_ISR];
        return true;
    case REG_TMR ... REG_TMR + 7:
        *value = a->tmr[reg - REG_TMR];
        return true;
    case REG_IRR ... REG_IRR + 7:
        *value = a->irr[reg - REG_IRR];
        return true;
    case REG_ESR:
        *value = a->esr;
        return true;
    case REG_ICR:
        *value = a->icr;
        return true;
    case REG_ICR_HIGH:
        *value = a->icr_high;
        return !apic_x2(a);
    case REG_LVT ... REG_LVT + LVTS - 1:
        *value = a->lvt[reg - REG_LVT];
        return true;
    case REG_TMICT:
        *value = a->tmict;
        return true;
    case REG_TMCCT:
        *value = apic_timer_count(a);
        return true;
    case REG_DCR:
        *value = a->dcr;
        return true;
    default:
        return false;
    }
}

/* Registers that both ways of access write alike. False: no such register, or
 * it is read-only. */
static bool apic_write_reg(Apic *a, unsigned reg, uint32_t value)
{
    switch (reg) {
    case REG_TPR:
        a->tpr = value;
        apic_update(a);
        return true;
    case REG_EOI:
        apic_eoi(a);
        return true;
    case REG_SVR:
        apic_write_svr(a, value);
        return true;
    case REG_ESR:
        a->esr = a->esr_latest;
        a->esr_latest = 0;
        return true;
    case REG_LVT ... REG_LVT + LVTS - 1:
        apic_write_lvt(a, reg - REG_LVT, value);
        return true;
    case REG_TMICT:
        apic_write_tmict(a, value);
        return true;
    case REG_DCR:
        apic_write_dcr(a, value);
        return true;
    default:
        return false;
    }
}

static bool apic_write_xapic(Apic *a, unsigned reg, uint32_t value)
{
    switch (reg) {
    case REG_ID:
        a->xapic_id = value >> 24;
        return true;
    case REG_LDR:
        a->ldr = value & 0xff000000;
        return true;
    case REG_DFR:
        a->dfr = value | 0x0fffffff;
        return true;
    case REG_ICR:
        a->icr = value & ICR_WRITABLE;
        apic_send(a);
        return true;
    case REG_ICR_HIGH:
        a->icr_high = value & 0xff000000;
        return true;
    default:
        return apic_write_reg(a, reg, value);
    }
}

static uint64_t apic_mmio_read(X86Cpu *cpu, hwaddr offset, unsigned size)
{
    Apic *a = apic_of(cpu);
    uint32_t value = 0;

    if (!apic_on(a) || apic_x2(a)) {
        return ~UINT64_C(0); /* not there */
    }
    if (offset >= 0x1000 || offset % 16 + size > 4) {
        log_mask(LOG_GUEST_ERROR, "apic: %u-byte read at %" PRIx64 "\n", size,
                 offset);
        return 0;
    }
    if (!apic_read_reg(a, offset / 16, &value)) {
        log_mask(LOG_GUEST_ERROR, "apic: no register at %" PRIx64 "\n", offset);
        apic_error(a, ESR_BAD_REGISTER);
    }
    trace(apic_mem_readl, cpu->index, offset, (uint64_t)value);
    return value >> (offset % 16 * 8);
}

static void apic_mmio_write(X86Cpu *cpu, hwaddr offset, uint64_t value,
                            unsigned size)
{
    Apic *a = apic_of(cpu);
    uint32_t old;

    trace(apic_mem_writel, cpu->index, offset, value);
    cpu->apic_changed = true;
    if (!apic_on(a) || apic_x2(a)) {
        return;
    }
    if (offset >= 0x1000 || offset % 16 != 0 || size < 4) {
        log_mask(LOG_GUEST_ERROR, "apic: %u-byte write at %" PRIx64 "\n", size,
                 offset);
        return;
    }
    if (!apic_write_xapic(a, offset / 16, value) &&
        !apic_read_reg(a, offset / 16, &old)) {
        log_mask(LOG_GUEST_ERROR, "apic: no register at %" PRIx64 "\n", offset);
        apic_error(a, ESR_BAD_REGISTER);
    }
}

/* ---- MSRs ---------------------------------------------------------------- */

static bool apic_msr_read(X86Cpu *cpu, uint32_t msr, uint64_t *value)
{
    Apic *a = apic_of(cpu);
    uint32_t low;

    if (msr == MSR_TSC_DEADLINE) {
        *value = a->deadline;
        return a->present && a->has_deadline;
    }
    if (!apic_x2(a) || msr < MSR_X2APIC || msr > MSR_X2APIC + 0xff ||
        !apic_read_reg(a, msr - MSR_X2APIC, &low)) {
        return false;
    }
    *value = low;
    if (msr == MSR_X2APIC + REG_ICR) {
        *value |= (uint64_t)a->icr_high << 32;
    }
    return true;
}

/* Bits that may be set in an x2APIC register; others give #GP. Table 11-6. */
static uint32_t apic_x2_writable(const Apic *a, unsigned reg)
{
    uint32_t deadline = a->has_deadline ? 0 : LVT_TSC_DEADLINE;

    switch (reg) {
    case REG_TPR:
    case REG_SELF_IPI:
        return 0xff;
    case REG_SVR:
        return SVR_WRITABLE;
    case REG_LVT:
        return (lvt_writable[LVT_TIMER] & ~deadline) | LVT_READ_ONLY;
    case REG_LVT + 1 ... REG_LVT + LVTS - 1:
        return lvt_writable[reg - REG_LVT] | LVT_READ_ONLY;
    case REG_TMICT:
        return 0xffffffff;
    case REG_DCR:
        return DCR_WRITABLE;
    default: /* EOI and ESR take 0 only */
        return 0;
    }
}

static bool apic_write_x2_icr(Apic *a, uint64_t value)
{
    uint32_t low = value & ~(uint64_t)ICR_BUSY; /* read-only on some */

    if (low & ~ICR_WRITABLE) {
        return false;
    }
    a->icr = low;
    a->icr_high = value >> 32;
    apic_send(a);
    return true;
}

static bool apic_msr_write(X86Cpu *cpu, uint32_t msr, uint64_t value)
{
    Apic *a = apic_of(cpu);
    unsigned reg = msr - MSR_X2APIC;

    cpu->apic_changed = true;
    if (msr == MSR_TSC_DEADLINE) {
        if (!a->present || !a->has_deadline) {
            return false;
        }
        apic_write_deadline(a, value);
        return true;
    }
    if (!apic_x2(a) || reg > 0xff) {
        return false;
    }
    if (reg == REG_ICR) {
        return apic_write_x2_icr(a, value);
    }
    if (value & ~(uint64_t)apic_x2_writable(a, reg)) {
        return false;
    }
    if (reg == REG_SELF_IPI) {
        if (value < FIRST_VECTOR) {
            apic_error(a, ESR_SEND_VECTOR);
        } else {
            apic_accept(a, value, false);
        }
        return true;
    }
    return apic_write_reg(a, reg, value);
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

/* ---- in the host's kernel -------------------------------------------------- */

static void apic_get_page(X86Cpu *cpu, uint8_t page[1024], uint64_t *deadline)
{
    Apic *a = apic_of(cpu);

    memset(page, 0, 1024);
    for (unsigned reg = 0; reg < 64; reg++) {
        uint32_t v = 0;

        apic_read_reg(a, reg, &v);
        st_le32(page + reg * 16, reg == REG_ID && apic_x2(a) ? v << 24 : v);
    }
    *deadline = a->deadline;
}

static void page_vectors(const uint8_t *page, unsigned reg, uint32_t set[8])
{
    for (unsigned i = 0; i < 8; i++) {
        set[i] = ld_le32(page + (reg + i) * 16);
    }
}

static void apic_put_timer(Apic *a, const uint8_t *page)
{
    uint32_t left = ld_le32(page + REG_TMCCT * 16);

    a->dcr = ld_le32(page + REG_DCR * 16) & DCR_WRITABLE;
    a->tmict = ld_le32(page + REG_TMICT * 16);
    a->counting = left != 0 && apic_timer_mode(a) != LVT_TSC_DEADLINE;
    a->started = apic_clock(a) - ((int64_t)(a->tmict - MIN(left, a->tmict))
                                  << apic_timer_shift(a));
}

static void apic_put_page(X86Cpu *cpu, const uint8_t page[1024],
                          uint64_t deadline)
{
    Apic *a = apic_of(cpu);

    a->base = cpu->s.apic_base;
    if (!apic_x2(a)) {
        a->xapic_id = page[REG_ID * 16 + 3];
    }
    a->tpr = page[REG_TPR * 16];
    a->ldr = ld_le32(page + REG_LDR * 16);
    a->dfr = ld_le32(page + REG_DFR * 16) | 0x0fffffff;
    a->svr = ld_le32(page + REG_SVR * 16) & SVR_WRITABLE;
    a->esr = ld_le32(page + REG_ESR * 16);
    a->icr = ld_le32(page + REG_ICR * 16) & ICR_WRITABLE;
    a->icr_high = ld_le32(page + REG_ICR_HIGH * 16);
    page_vectors(page, REG_ISR, a->isr);
    page_vectors(page, REG_TMR, a->tmr);
    page_vectors(page, REG_IRR, a->irr);
    for (unsigned i = 0; i < LVTS; i++) {
        a->lvt[i] = ld_le32(page + (REG_LVT + i) * 16);
    }
    apic_put_timer(a, page);
    a->deadline = deadline;
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

/* ---- "info lapic" -------------------------------------------------------- */

static const char *const mode_names[8] = {
    "Fixed", "Lowest", "SMI", "(3)", "NMI", "INIT", "SIPI", "ExtINT"
};

static void apic_dump_lvt(const Apic *a, int entry, const char *name,
                          GString *out)
{
    static const char *const timer_mode[] = { "one-shot", "periodic",
                                              "tsc-deadline", "(3)" };
    uint32_t lvt = a->lvt[entry];

    g_string_append_printf(out, "%-8s 0x%08x %s %-5s %-6s", name, lvt,
                           lvt & 0x2000 ? "active-lo" : "active-hi",
                           lvt & LVT_LEVEL ? "level" : "edge",
                           lvt & LVT_MASKED ? "masked" : "");
    if (entry == LVT_TIMER) {
        g_string_append_printf(out, " %s (vec %u)\n", timer_mode[lvt >> 17 & 3],
                               lvt & LVT_VECTOR);
    } else {
        g_string_append_printf(out, " %s (vec %u)\n", mode_names[lvt >> 8 & 7],
                               lvt & LVT_VECTOR);
    }
}

static void apic_dump_vectors(const Apic *a, const char *name,
                              const uint32_t *set, GString *out)
{
    g_string_append_printf(out, "%-8s", name);
    for (int v = 0; v < 256; v++) {
        if (vec_test(set, v)) {
            g_string_append_printf(out, " %d%s", v,
                                   vec_test(a->tmr, v) ? "(level)" : "");
        }
    }
    g_string_append(out, vec_highest(set) < 0 ? " (none)\n" : "\n");
}

void apic_dump(X86Cpu *cpu, GString *out)
{
    const Apic *a = cpu->apic;

    cpu_state(cpu); /* brings the registers from the host's kernel */
    if (!a || !a->present) {
        g_string_append_printf(out, "CPU %u has no local APIC\n", cpu->index);
        return;
    }
    g_string_append_printf(out, "dumping local APIC state for CPU %u\n\n",
                           cpu->index);
    apic_dump_lvt(a, LVT_LINT0, "LVT0", out);
    apic_dump_lvt(a, LVT_LINT1, "LVT1", out);
    apic_dump_lvt(a, LVT_PERF, "LVTPC", out);
    apic_dump_lvt(a, LVT_ERROR, "LVTERR", out);
    apic_dump_lvt(a, LVT_THERMAL, "LVTTHMR", out);
    apic_dump_lvt(a, LVT_TIMER, "LVTT", out);
    g_string_append_printf(out,
                           "Timer    DCR=0x%x (divide by %u) "
                           "initial_count = %u current_count = %u\n",
                           a->dcr, 1u << apic_timer_shift(a), a->tmict,
                           apic_timer_count(a));
    g_string_append_printf(out, "SPIV     0x%08x APIC %s, spurious vec %u\n",
                           a->svr,
                           !apic_on(a)       ? "off"
                           : apic_soft_on(a) ? "enabled"
                                             : "disabled",
                           a->svr & LVT_VECTOR);
    g_string_append_printf(out, "ICR      0x%08x %s %s\nICR2     0x%08x\n",
                           a->icr,
                           a->icr & ICR_LOGICAL ? "logical" : "physical",
                           mode_names[a->icr >> 8 & 7], a->icr_high);
    g_string_append_printf(out, "ESR      0x%08x\n", a->esr);
    apic_dump_vectors(a, "ISR", a->isr, out);
    apic_dump_vectors(a, "IRR", a->irr, out);
    g_string_append_printf(
        out,
        "\n%s ID 0x%x TPR 0x%02x DFR 0x%02x LDR 0x%02x "
        "PPR 0x%02x\n",
        apic_x2(a) ? "x2APIC" : "APIC", apic_x2(a) ? cpu->apic_id : a->xapic_id,
        a->tpr, a->dfr >> 28, apic_x2(a) ? a->ldr : a->ldr >> 24, apic_ppr(a));
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
    a->cpu->apic_changed = true;
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
    a->cpu->apic_changed = true;
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
    .realize = apic_realize,
    .reset = apic_reset,
    .unrealize = apic_unrealize,
};
