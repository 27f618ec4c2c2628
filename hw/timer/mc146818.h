/* The real-time clock and CMOS memory of a PC; see mc146818.c. */
#ifndef HW_TIMER_MC146818_H
#define HW_TIMER_MC146818_H

#include "system/irq.h"
#include "system/machine.h"

/* Ports 70-73. Machine lock held in every call. */
extern const DeviceClass mc146818_class;

/* Where IRQ goes; before realize. */
void mc146818_set_output(Device *dev, IrqLine irq8);
/* Level 1 while bit 7 of port 70 masks NMI. Before realize, optional. */
void mc146818_set_nmi_mask(Device *dev, IrqLine line);
/* Bytes 0x0e to 0x7f of the first bank, 0x80 to 0xff of the second (ports
 * 72-73); what the machine sets survives a reset. */
void mc146818_set_cmos(Device *dev, uint8_t index, uint8_t value);
uint8_t mc146818_get_cmos(Device *dev, uint8_t index);
/* The memory size bytes as a PC's firmware leaves them: 15-18, 30-31, 34-35,
 * 5b-5d. Bytes of RAM below and above 4 GiB. */
void mc146818_set_memory(Device *dev, uint64_t below_4g, uint64_t above_4g);
/* UTC in nanoseconds since 1970 comes from here instead of the host; tests. */
void mc146818_set_host_clock(Device *dev, int64_t (*now)(void *opaque),
                             void *opaque);

#endif
