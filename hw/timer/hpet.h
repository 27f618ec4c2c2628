/* The high precision event timer; see hpet.c. */
#ifndef HW_TIMER_HPET_H
#define HW_TIMER_HPET_H

#include "system/irq.h"
#include "system/machine.h"

#define HPET_DEFAULT_BASE 0xfed00000u
/* Low half of the capabilities register: what the ACPI table repeats. */
#define HPET_BLOCK_ID 0x8086a201u

/* Memory at property "base", interrupts to machine->gsi[]. Machine lock held
 * in every call. */
extern const DeviceClass hpet_class;

enum { HPET_LEGACY_PIT, HPET_LEGACY_RTC };
/*
 * The 8254's (0) and the RTC's (1) interrupt pass through here, and are cut
 * off while legacy replacement is on: give these lines to them instead of
 * gsi[0] and gsi[8].
 */
IrqLine hpet_legacy_input(Device *dev, int which);

#endif
