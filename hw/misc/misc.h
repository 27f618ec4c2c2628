/* Small ports of a PC that need a word from the machine. */
#ifndef HW_MISC_MISC_H
#define HW_MISC_MISC_H

#include "system/irq.h"
#include "system/machine.h"

/* port92.c: A20 and fast reset. On a PC both port 92 and the keyboard
 * controller drive A20; as in QEMU the last write wins. */
extern const DeviceClass port92_class;
/* Level 1: address line 20 works. Before realize. */
void port92_set_a20(Device *dev, IrqLine a20);
/* What the machine's A20 is now, so that a read of port 92 tells it. */
void port92_a20_changed(Device *dev, bool on);

/* cf9.c: the reset control register at port CF9. */
extern const DeviceClass cf9_class;
/* Byte accesses, for a host bridge whose ports lie over it. */
uint8_t cf9_get(Device *dev);
void cf9_set(Device *dev, uint8_t value);

/* port80.c: POST codes. */
extern const DeviceClass port80_class;

#endif
