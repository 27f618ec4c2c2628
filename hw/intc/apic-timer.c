/*
 * The local APIC's timer: one-shot, periodic, TSC deadline. Intel SDM 3A, 11.5.4.
 *
 * The count is worked out from the virtual time at which it was started.
 */
#include "util/osdep.h"
#include "hw/intc/apic-internal.h"

#include "util/bits.h"

/* Nanoseconds per count are 1 << this; the bus has 1 GHz. */
unsigned apic_timer_shift(const Apic *a)
{
    return (((a->dcr & 3) | (a->dcr >> 1 & 4)) + 1) & 7;
}

uint32_t apic_timer_mode(const Apic *a)
{
    return a->lvt[LVT_TIMER] & LVT_TIMER_MODE;
}

static int64_t apic_timer_period(const Apic *a)
{
    return (int64_t)a->tmict << apic_timer_shift(a);
}

uint32_t apic_timer_count(const Apic *a)
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

void apic_timer_arm(Apic *a)
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

void apic_timer_expired(void *opaque)
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

void apic_write_tmict(Apic *a, uint32_t value)
{
    if (apic_timer_mode(a) == LVT_TSC_DEADLINE) {
        return;
    }
    a->tmict = value;
    apic_timer_keep(a, value);
}

void apic_write_dcr(Apic *a, uint32_t value)
{
    uint32_t count = apic_timer_count(a);

    a->dcr = value & DCR_WRITABLE;
    if (a->counting) {
        apic_timer_keep(a, count);
    }
}

void apic_write_lvt_timer(Apic *a, uint32_t value)
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
void apic_arm_deadline(Apic *a)
{
    uint64_t tsc = x86_tsc(a->cpu), wait = 0;

    if (a->deadline > tsc) {
        wait = MIN(a->deadline - tsc, x86_tsc_hz(a->cpu) << 31);
    }
    timer_arm(&a->timer, apic_clock(a) +
                             muldiv64(wait, NS_PER_SEC, x86_tsc_hz(a->cpu)) +
                             1);
}

void apic_write_deadline(Apic *a, uint64_t value)
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
