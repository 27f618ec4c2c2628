/*
 * The registers of a local APIC in the kernel: fetched with each pull, given
 * back only if somebody changed them.
 *
 * Reset and a snapshot replace them. An instruction that KVM refused and the
 * software CPU completed changes a register of what was fetched, and meanwhile
 * the kernel's may have got interrupts: those stay. Nobody may send one between
 * the second look and the giving back: our devices would need the machine
 * lock, other processors are stopped. A timer that ran out fires again.
 */
#include "util/osdep.h"
#include "accel/cpus.h"
#include "accel/kvm/state.h"
#include "target-x86/cpuid.h"
#include "util/bits.h"

#define MSR_DEADLINE 0x6e0u

enum { /* of its page. SDM 3A, table 11-1 */
       LAPIC_TMR = 0x180,
       LAPIC_IRR = 0x200,
};

G_STATIC_ASSERT(sizeof(struct kvm_lapic_state) == 1024);

static bool has_lapic(const KvmCpu *kc)
{
    return kc->kvm->host.lapic && kc->tcg.cpu.apic_ops;
}

static bool has_deadline(const KvmCpu *kc)
{
    return cpu_has(&kc->tcg.cpu, FEAT_TSC_DEADLINE);
}

static uint8_t *lapic_word(struct kvm_lapic_state *page, unsigned reg,
                           unsigned i)
{
    return (uint8_t *)page->regs + reg + i * 16;
}

void kvm_pull_lapic(KvmCpu *kc)
{
    X86Cpu *c = kvm_x86(kc);
    struct kvm_lapic_state page;
    MsrList list = { .head.nmsrs = 1, .entry[0].index = MSR_DEADLINE };

    if (!has_lapic(kc) || c->apic_changed ||
        !STATE_CALL(kc, KVM_GET_LAPIC, &page)) {
        return;
    }
    if (has_deadline(kc)) {
        KVM_CALL(kc->fd, KVM_GET_MSRS, &list);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(kc->irr); i++) {
        kc->irr[i] = ld_le32(lapic_word(&page, LAPIC_IRR, i));
    }
    c->apic_ops->put_page(c, (const uint8_t *)page.regs, list.entry[0].data);
}

/* What came since the pull, edge or level. */
static void lapic_merge(KvmCpu *kc, struct kvm_lapic_state *page)
{
    struct kvm_lapic_state now;

    if (!STATE_CALL(kc, KVM_GET_LAPIC, &now)) {
        return;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(kc->irr); i++) {
        uint8_t *irr = lapic_word(page, LAPIC_IRR, i);
        uint8_t *tmr = lapic_word(page, LAPIC_TMR, i);
        uint32_t came = ld_le32(lapic_word(&now, LAPIC_IRR, i)) & ~kc->irr[i];
        uint32_t level = ld_le32(lapic_word(&now, LAPIC_TMR, i));

        st_le32(irr, ld_le32(irr) | came);
        st_le32(tmr, (ld_le32(tmr) & ~came) | (level & came));
    }
}

static void lapic_give(KvmCpu *kc)
{
    X86Cpu *c = kvm_x86(kc);
    struct kvm_lapic_state page;
    MsrList list = { .head.nmsrs = 1, .entry[0].index = MSR_DEADLINE };
    uint64_t deadline;

    c->apic_ops->get_page(c, (uint8_t *)page.regs, &deadline);
    list.entry[0].data = deadline;
    if (!c->apic_replaced) {
        lapic_merge(kc, &page);
    }
    c->apic_changed = c->apic_replaced = false;
    STATE_CALL(kc, KVM_SET_LAPIC, &page);
    if (has_deadline(kc)) {
        KVM_CALL(kc->fd, KVM_SET_MSRS, &list);
    }
}

void kvm_push_lapic(KvmCpu *kc)
{
    X86Cpu *c = kvm_x86(kc);
    bool others = c->thread && c->machine->ncpus > 1 && !c->apic_replaced;

    if (!has_lapic(kc) || !c->apic_changed) {
        return;
    }
    if (others) {
        cpus_exclusive_begin(c);
    }
    machine_lock(c->machine);
    lapic_give(kc);
    machine_unlock(c->machine);
    if (others) {
        cpus_exclusive_end(c);
    }
}

void kvm_lapic_rearm(KvmCpu *kc)
{
    MsrList list = { .head.nmsrs = 1, .entry[0].index = MSR_DEADLINE };

    if (has_lapic(kc) && has_deadline(kc) &&
        KVM_CALL(kc->fd, KVM_GET_MSRS, &list) == 1 && list.entry[0].data) {
        list.head.nmsrs = 1;
        KVM_CALL(kc->fd, KVM_SET_MSRS, &list);
    }
}
