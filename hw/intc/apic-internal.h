/*
 * The local APIC's insides: apic.c (interrupts, messages, the device),
 * apic-regs.c (registers in memory and as MSRs), apic-timer.c and apic-dump.c.
 *
 * Any thread, machine lock held.
 */
#ifndef HW_INTC_APIC_INTERNAL_H
#define HW_INTC_APIC_INTERNAL_H

#include "hw/intc/apic.h"
#include "system/host-kernel.h"
#include "target-x86/cpu.h"

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

static inline bool apic_in_kernel(const Apic *a)
{
    return host_has_lapic(a->dev.machine);
}

static inline Apic *apic_of(X86Cpu *cpu)
{
    return cpu->apic;
}

static inline bool apic_on(const Apic *a)
{
    return a->base & BASE_ENABLE;
}

static inline bool apic_x2(const Apic *a)
{
    return a->base & BASE_X2APIC;
}

static inline bool apic_soft_on(const Apic *a)
{
    return a->svr & SVR_ENABLE;
}

static inline bool apic_on_boot_cpu(const Apic *a)
{
    return a->cpu->index == 0;
}

static inline int64_t apic_clock(const Apic *a)
{
    return clock_ns(a->dev.machine->vclock);
}

/* ---- sets of vectors ----------------------------------------------------- */

static inline bool vec_test(const uint32_t *set, uint8_t vector)
{
    return set[vector / 32] >> (vector % 32) & 1;
}

static inline void vec_put(uint32_t *set, uint8_t vector, bool on)
{
    uint32_t bit = UINT32_C(1) << (vector % 32);

    set[vector / 32] = on ? set[vector / 32] | bit : set[vector / 32] & ~bit;
}

/* The highest vector of the set, or -1. */
static inline int vec_highest(const uint32_t *set)
{
    for (int i = 7; i >= 0; i--) {
        if (set[i]) {
            return i * 32 + 31 - __builtin_clz(set[i]);
        }
    }
    return -1;
}

/* ---- apic.c -------------------------------------------------------------- */

/* Brings the level CPU_IRQ up to date: after every change. */
void apic_update(Apic *a);
/* Processor priority. SDM 3A, 11.8.3.1. */
uint8_t apic_ppr(const Apic *a);
/* An interrupt message of mode fixed or lowest priority has arrived. */
void apic_accept(Apic *a, uint8_t vector, bool level);
/* An event at a local vector table entry that is not level-sensitive. */
void apic_local(Apic *a, int entry);
void apic_error(Apic *a, uint32_t bit); /* ESR_* */
/* LINT@pin, or its entry, is not what it was; @rose: an edge. */
void apic_pin_changed(Apic *a, int pin, bool rose);
void apic_send(Apic *a); /* what the ICR says */
void apic_eoi(Apic *a);

/* ---- apic-timer.c -------------------------------------------------------- */

/* Nanoseconds per count are 1 << this; the bus has 1 GHz. */
unsigned apic_timer_shift(const Apic *a);
uint32_t apic_timer_mode(const Apic *a); /* LVT_ONE_SHOT ... */
uint32_t apic_timer_count(const Apic *a);
void apic_timer_arm(Apic *a);
void apic_timer_expired(void *opaque);
void apic_arm_deadline(Apic *a); /* for when the TSC will be at a->deadline */
void apic_write_tmict(Apic *a, uint32_t value);
void apic_write_dcr(Apic *a, uint32_t value);
void apic_write_lvt_timer(Apic *a, uint32_t value);
void apic_write_deadline(Apic *a, uint64_t value);

/* ---- apic-regs.c --------------------------------------------------------- */

/* Of ApicOps, see target-x86/cpu.h. */
uint64_t apic_mmio_read(X86Cpu *cpu, hwaddr offset, unsigned size);
void apic_mmio_write(X86Cpu *cpu, hwaddr offset, uint64_t value, unsigned size);
bool apic_msr_read(X86Cpu *cpu, uint32_t msr, uint64_t *value);
bool apic_msr_write(X86Cpu *cpu, uint32_t msr, uint64_t value);
void apic_get_page(X86Cpu *cpu, uint8_t page[1024], uint64_t *deadline);
void apic_put_page(X86Cpu *cpu, const uint8_t page[1024], uint64_t deadline);

#endif
