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
    Machine *machine;
    IrqLine irq;
    Chardev *chr; /* NULL: nobody listens, bytes vanish */
    uint32_t baudbase;

    uint16_t divider;
    uint8_t ier, iir, lcr, mcr, lsr, msr, scr, fcr;
    uint8_t rbr; /* receiver without FIFO */
    uint8_t thr;
    SerialFifo rx, tx;
    bool thr_ipending; /* the THRE interrupt was not yet seen */
    bool rx_timeout;   /* character timeout: data waited for 4 characters */
    bool tx_stalled;   /* the host end is full; writable() goes on */
    Timer timeout_timer;
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
