/* The pair of interrupt controllers of a PC; see i8259.c. */
#ifndef HW_INTC_I8259_H
#define HW_INTC_I8259_H

#include "system/irq.h"
#include "system/machine.h"

/* Ports 20-21, a0-a1 and ELCR 4d0-4d1. Machine lock held in every call. */
extern const DeviceClass i8259_class;

/* Where INTR goes; before realize. */
void i8259_set_output(Device *dev, IrqLine intr);
/* Interrupt request input @irq, 0 to 15; 2 is the cascade and goes nowhere. */
IrqLine i8259_input(Device *dev, int irq);
/* The level of INTR. */
bool i8259_intr(Device *dev);
/* The INTA cycles: the vector. A request that went away gives the vector of
 * IR7 of the chip that was asked, without a bit in its ISR. @opaque is the
 * Device: fits apic_connect_pic(). */
int i8259_ack(void *opaque);
/* How often each of the 16 inputs rose. */
const uint64_t *i8259_rises(const Device *dev);
/* The text of "info pic". */
void i8259_dump(Device *dev, GString *out);

#endif
