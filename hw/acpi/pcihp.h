/*
 * PCI hot plug by ACPI: the registers that the DSDT's methods read and write;
 * see pcihp.c. Embedded in the function that has them, the PIIX4's power
 * management.
 */
#ifndef HW_ACPI_PCIHP_H
#define HW_ACPI_PCIHP_H

#include "hw/pci/pci.h"

enum {
    PCIHP_BASE = 0xae00,
    PCIHP_LEN = 0x18,
    PCIHP_UP = 0x00,     /* slots that have been filled; reading clears it */
    PCIHP_DOWN = 0x04,   /* slots that shall be emptied */
    PCIHP_EJECT = 0x08,  /* written by _EJ0 */
    PCIHP_RMV = 0x0c,    /* slots that can be emptied */
    PCIHP_SELECT = 0x10, /* the bus that the others are about */
    PCIHP_GPE = 1,       /* event of GPE0 */
    PCIHP_FIRST_SLOT = 2 /* those before belong to the board */
};

typedef struct PciHp {
    PciBus *bus;
    Device *pm; /* raises the event */
    Region ports;
    uint32_t up, down, select; /* these are saved */
    uint32_t ejecting;         /* when the main loop comes to it */
} PciHp;

void pcihp_init(PciHp *hp, PciBus *bus, Device *pm);
void pcihp_fini(PciHp *hp);
/* Devices that the guest has been asked for go now: a reset takes its drivers
 * away. */
void pcihp_reset(PciHp *hp);

#endif
