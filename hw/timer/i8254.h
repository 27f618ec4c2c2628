/* The programmable interval timer of a PC; see i8254.c. */
#ifndef HW_TIMER_I8254_H
#define HW_TIMER_I8254_H

#include "system/irq.h"
#include "system/machine.h"

enum { PIT_HZ = 1193182 };

/* Ports 40-43 and 61. Machine lock held in every call. */
extern const DeviceClass i8254_class;

/* Where OUT of channel 0 goes; before realize. */
void i8254_set_output(Device *dev, IrqLine irq0);

#endif
