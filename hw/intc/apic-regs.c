/*
 * The local APIC's registers: in memory (xAPIC), as MSRs (x2APIC), and as the page
 * in which the host's kernel keeps them. Intel SDM 3A, 11.4 and 11.12.
 */
#include "util/osdep.h"
#include "hw/intc/apic-internal.h"

#include "util/bits.h"
#include "util/log.h"
#include "util/trace.h"

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

static const uint32_t lvt_writable[LVTS] = {
    [LVT_TIMER] = LVT_VECTOR | LVT_MASKED | LVT_TIMER_MODE,
    [LVT_THERMAL] = LVT_VECTOR | 0x700 | LVT_MASKED,
    [LVT_PERF] = LVT_VECTOR | 0x700 | LVT_MASKED,
    [LVT_LINT0] = LVT_VECTOR | 0x700 | 0x2000 | LVT_LEVEL | LVT_MASKED,
    [LVT_LINT1] = LVT_VECTOR | 0x700 | 0x2000 | LVT_LEVEL | LVT_MASKED,
    [LVT_ERROR] = LVT_VECTOR | LVT_MASKED,
};

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

uint64_t apic_mmio_read(X86Cpu *cpu, hwaddr offset, unsigned size)
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

void apic_mmio_write(X86Cpu *cpu, hwaddr offset, uint64_t value, unsigned size)
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

bool apic_msr_read(X86Cpu *cpu, uint32_t msr, uint64_t *value)
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

bool apic_msr_write(X86Cpu *cpu, uint32_t msr, uint64_t value)
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

/* ---- in the host's kernel -------------------------------------------------- */

void apic_get_page(X86Cpu *cpu, uint8_t page[1024], uint64_t *deadline)
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

void apic_put_page(X86Cpu *cpu, const uint8_t page[1024], uint64_t deadline)
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
