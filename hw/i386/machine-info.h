/*
 * One structure in guest memory that says what the machine is, for guests that
 * read neither ACPI nor PCI: docs/machine-info.md is its specification.
 */
#ifndef HW_I386_MACHINE_INFO_H
#define HW_I386_MACHINE_INFO_H

#include "hw/i386/e820.h"

#define MACHINE_INFO_POINTER 0x4f0 /* four bytes: where it is */

enum { INFO_RAM = 1, INFO_KEEP = 2, INFO_DEVICE = 3 }; /* uses of memory */
enum { INFO_PORTS = 1 << 0, INFO_LEVEL = 1 << 1 };     /* of a device */
enum { INFO_NO_IRQ = 0xffffffff, INFO_KIND_LEN = 16 };

typedef struct InfoDevice {
    const char *kind; /* "virtio-mmio": shorter than INFO_KIND_LEN */
    uint64_t base;    /* address, or port with INFO_PORTS */
    uint32_t size;    /* bytes or ports */
    uint32_t irq;     /* input of the I/O APIC */
    uint32_t flags;   /* INFO_PORTS, INFO_LEVEL */
    uint32_t id;      /* virtio device id; number of a serial line */
} InfoDevice;

typedef struct MachineInfo {
    uint32_t cpus;
    uint64_t lapic, ioapic;
    uint32_t ioapic_inputs;
    const E820 *e820;
    GArray *devices; /* of InfoDevice; those in memory are in the memory map */
} MachineInfo;

GByteArray *machine_info_build(const MachineInfo *info);

#endif
