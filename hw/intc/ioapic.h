/* The I/O APIC; see ioapic.c. */
#ifndef HW_INTC_IOAPIC_H
#define HW_INTC_IOAPIC_H

#include "system/irq.h"
#include "system/machine.h"

#define IOAPIC_DEFAULT_BASE 0xfec00000u
enum { IOAPIC_PINS = 24 };

/*
 * Memory-mapped at property "base" (IOAPIC_DEFAULT_BASE); property "id" is
 * the APIC id at reset. Realize after the local APICs: it asks them to report
 * EOIs. Machine lock held in every call.
 */
extern const DeviceClass ioapic_class;

/* Input @pin, 0 to 23. A PC has ISA interrupt 0 on pin 2, the machine wires
 * it so. */
IrqLine ioapic_input(Device *dev, int pin);
/* How often each of the IOAPIC_PINS inputs rose. */
const uint64_t *ioapic_rises(const Device *dev);
/* The text of "info ioapic". */
void ioapic_dump(Device *dev, GString *out);

#endif
