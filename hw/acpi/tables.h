/*
 * The ACPI tables of machine "pc": RSDP, RSDT, XSDT, FADT, FACS, MADT, HPET,
 * DSDT. ACPI 6.4, chapter 5.
 */
#ifndef HW_ACPI_TABLES_H
#define HW_ACPI_TABLES_H

#include "util/osdep.h"

enum { ACPI_MAX_COM = 4, ACPI_MAX_VIRTIO = 8 };

typedef struct AcpiConfig {
    char oem_id[7], oem_table_id[9];
    const uint32_t *apic_ids; /* of each CPU */
    unsigned n_cpus;
    uint32_t ioapic_id, ioapic_base;
    uint32_t apic_base;
    uint16_t pm_base;
    bool has_pic, has_pit, has_hpet, has_i8042, has_fw_cfg, has_rtc;
    bool com[ACPI_MAX_COM];
    uint32_t hpet_base, hpet_block_id;
    /* PCI: 00:01.0 is the ISA bridge with the interrupt router. Windows of
     * memory from the first to the last byte; last 0: none. */
    bool has_pci;
    uint64_t pci_mem, pci_mem_last, pci_mem64, pci_mem64_last;
    unsigned n_virtio; /* virtio-mmio devices */
    struct {
        uint32_t base, len;
        unsigned irq; /* below 16; edge, active high */
    } virtio[ACPI_MAX_VIRTIO];
} AcpiConfig;

typedef struct AcpiTables {
    GByteArray *bytes; /* all tables, for physical address @base */
    uint64_t rsdp;     /* physical; inside */
    unsigned rsdp_len;
} AcpiTables;

/* Builds them for @base (16-byte aligned, below 4 GiB). Frees with
 * acpi_tables_clear(). */
void acpi_tables_build(AcpiTables *t, const AcpiConfig *cfg, uint64_t base);
void acpi_tables_clear(AcpiTables *t);

#endif
