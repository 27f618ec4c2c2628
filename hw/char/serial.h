/* The 16550A core, for whatever bus it sits on; see serial.c. */
#ifndef HW_CHAR_SERIAL_H
#define HW_CHAR_SERIAL_H

#include "system/irq.h"
#include "system/machine.h"

enum { SERIAL_FIFO = 16, SERIAL_PORTS = 8 };

typedef struct SerialFifo {
    uint8_t data[SERIAL_FIFO];
    uint8_t head, count;
} SerialFifo;

/* Embedded in the device that owns it. Machine lock held in every call. */
typedef struct Serial {
    Machine *machine; /* these four are set by the owner */
    IrqLine irq;
    Chardev *chr;      /* NULL: nobody listens, bytes vanish */
    uint32_t baudbase; /* bits per second at divisor 1; 0: 115200 */

    uint16_t divisor;
    uint8_t ier, lcr, mcr, lsr, msr, scr, fcr;
    SerialFifo rx, tx; /* without FIFO: one byte deep */
    bool thre_pending; /* the THRE interrupt was not yet seen */
    bool rx_timeout;   /* bytes below the trigger level have waited */
    Timer rx_timer;
    bool irq_level;
} Serial;

extern const VMState vmstate_serial;

/* machine, irq, chr and baudbase (0: 115200) are set. */
bool serial_realize(Serial *s, GError **errp);
void serial_unrealize(Serial *s);
void serial_reset(Serial *s);
/* The eight registers, one byte each. */
uint8_t serial_read(Serial *s, unsigned reg);
void serial_write(Serial *s, unsigned reg, uint8_t value);

/* isa-serial: properties index, iobase, irq, chardev. */
extern const DeviceClass isa_serial_class;
/* For machines: -serial. Before realize; NULL: a port with nobody at it. */
void isa_serial_set_chardev(Device *dev, Chardev *chr);

/* isa-debugcon: properties iobase, readback, chardev. */
extern const DeviceClass isa_debugcon_class;
void isa_debugcon_set_chardev(Device *dev, Chardev *chr);

#endif
