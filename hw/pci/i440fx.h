/*
 * The chips of a PC's PCI: host bridge, ISA bridge, power management. Made by
 * the machine, in this order, before any other function. Machine lock held.
 */
#ifndef HW_PCI_I440FX_H
#define HW_PCI_I440FX_H

#include "hw/pci/pci.h"

enum {
    I440FX_PAM = 0x59, /* seven registers: shadow RAM at C0000-FFFFF */
    I440FX_SMRAM = 0x72,
    PIIX3_PIRQ = 0x60, /* four registers: PIRQA-D to interrupts */
    PIIX3_PIRQS = 4,
    PIIX4_PMBASE = 0x40,
    PIIX4_PMREGMISC = 0x80, /* bit 0: PMBASE decodes */
    PIIX4_SMBBASE = 0x90,
    PIIX4_SMBHSTCFG = 0xd2, /* bit 0: SMBBASE decodes */
};

/* Makes the bus "pci.0" and sits at 00:00.0; ports CF8-CFF. */
extern const DeviceClass i440fx_class;
/* Before realize. @ram: all of the machine's, from address 0: the bridge maps
 * A0000-FFFFF of it as its registers say. */
void i440fx_set_ram(Device *dev, Region *ram);
/* Bytes at port CF9 go there. */
void i440fx_set_reset_control(Device *dev, Device *cf9);

/* 00:01.0. */
extern const DeviceClass piix3_class;
/* Before realize: where interrupt @irq (0 to 15) goes. */
void piix3_set_output(Device *dev, unsigned irq, IrqLine line);
/* PIRQA (0) to PIRQD (3): how a PC's slots are wired. @pin: 0 INTA#. */
unsigned piix3_pirq(uint8_t devfn, int pin);

/* 00:01.3; a front of the acpi-pm device @pm. */
extern const DeviceClass piix4_pm_class;
void piix4_pm_set_pm(Device *dev, Device *pm);

#endif
