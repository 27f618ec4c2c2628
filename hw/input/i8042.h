/* Keyboard controller with keyboard and mouse; see i8042.c. */
#ifndef HW_INPUT_I8042_H
#define HW_INPUT_I8042_H

#include "system/irq.h"
#include "system/machine.h"

/* Ports 60 and 64, machine->gsi[1] and [12]. Machine lock held. */
extern const DeviceClass i8042_class;

/* Level 1: address line 20 works. Before realize, optional. */
void i8042_set_a20(Device *dev, IrqLine a20);
/*
 * A key goes down or up. @code: its set 1 make code, 0xe0xx for extended keys
 * ("sendkey" numbers with bit 7 mean the same as 0xe0), 0xe11d for Pause.
 * False: the queue is full, the key was dropped.
 */
bool i8042_key(Device *dev, unsigned code, bool down);
/* Mouse motion in counts (y grows upward), wheel, and buttons held: bit 0
 * left, 1 right, 2 middle, 3 and 4 side. */
void i8042_mouse(Device *dev, int dx, int dy, int dz, unsigned buttons);

#endif
