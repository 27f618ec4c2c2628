/*
 * ACPI power management block; see pm.c.
 *
 * The machine's tables describe it with the numbers below: PM1a event block
 * of 4 bytes, PM1a control of 2, PM timer of 4, GPE0 of 8, all from property
 * "iobase". SLP_TYP of S5 is 0. SCI is in use from reset (property "acpi":
 * off needs APM_ACPI_ENABLE written to APM_PORT first).
 */
#ifndef HW_ACPI_PM_H
#define HW_ACPI_PM_H

#include "system/irq.h"
#include "system/machine.h"

enum {
    PM_DEFAULT_BASE = 0x600,
    PM_EVT_OFF = 0x0,
    PM_CNT_OFF = 0x4,
    PM_TMR_OFF = 0x8,
    PM_GPE0_OFF = 0x20,
    PM_GPE0_LEN = 8, /* 4 bytes of status, 4 of enable */
    PM_IO_LEN = 0x40,
    PM_SCI_GSI = 9,
    PM_TIMER_HZ = 3579545,
    PM_SLP_TYP_S5 = 0,
    APM_PORT = 0xb2,
    APM_ACPI_ENABLE = 0xf1,
    APM_ACPI_DISABLE = 0xf0,
};

/* SCI is machine->gsi[PM_SCI_GSI]. Machine lock held in every call. */
extern const DeviceClass acpi_pm_class;

/* Level 1 presses the power button: for machine->power_button. */
IrqLine acpi_pm_power_button(Device *dev);
/* Moves the block to port @base (a multiple of 64), or hides it: for the PCI
 * function in front of it. */
void acpi_pm_set_base(Device *dev, uint16_t base, bool on);
/* Raises event @n (0 to 31) of GPE0. */
void acpi_pm_gpe(Device *dev, unsigned n);

#endif
