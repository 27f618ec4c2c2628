/* The table of Intel's MultiProcessor Specification 1.4. */
#ifndef HW_I386_MPTABLE_H
#define HW_I386_MPTABLE_H

#include "util/osdep.h"

typedef struct MpConfig {
    const uint32_t *apic_ids;
    unsigned n_cpus;
    uint32_t cpu_signature, cpu_features; /* CPUID 1: EAX, EDX */
    uint32_t apic_base, ioapic_base;
    uint8_t ioapic_id;
    /* PCI: pins of slots, 0 to 3, to inputs of the I/O APIC; NULL: no PCI. */
    unsigned (*pci_irq)(unsigned slot, unsigned pin);
} MpConfig;

/* Floating pointer and configuration table for physical address @base
 * (16-byte aligned). CPUs that need an x2APIC id are left out: the format has
 * no room for them. */
GByteArray *mptable_build(const MpConfig *cfg, uint64_t base);

#endif
