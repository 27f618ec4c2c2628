/*
 * The 16550A UART. National Semiconductor PC16550D data sheet, 1995.
 *
 * The line has no speed: a byte written is sent at once, so THRE falls only
 * while the host end takes no more, and the transmit FIFO fills only then. A
 * byte from the host arrives when there is room for it, so overruns happen in
 * loopback only. The receive timeout does follow the divisor.
 *
 * As in QEMU, OUT2 does not gate the interrupt: many small kernels never set
 * it. Not modelled: parity and framing errors, word lengths (bytes have eight
 * bits), a break sent by the guest (except in loopback), DMA mode signals.
 */
#include "util/osdep.h"
#include "util/error.h"
#include "util/log.h"
#include "util/trace.h"
#include "chardev/chardev.h"
#include "hw/char/serial.h"
#include "system/event.h"

enum { /* registers; DLAB swaps the first two for the divisor */
       REG_DATA,
       REG_IER,
       REG_IIR_FCR,
       REG_LCR,
       REG_MCR,
       REG_LSR,
       REG_MSR,
       REG_SCR,
};

#define IER_RDI         0x01u
#define IER_THRI        0x02u
#define IER_RLSI        0x04u
#define IER_MSI         0x08u
#define IIR_NONE        0x01u
#define IIR_MSI         0x00u
#define IIR_THRI        0x02u
#define IIR_RDI         0x04u
#define IIR_RLSI        0x06u
#define IIR_TIMEOUT     0x0cu
#define IIR_FIFO        0xc0u
#define FCR_ENABLE      0x01u
#define FCR_CLEAR_RX    0x02u
#define FCR_CLEAR_TX    0x04u
#define FCR_DMA         0x08u
#define FCR_TRIGGER     0xc0u
#define LCR_BREAK       0x40u
#define LCR_DLAB        0x80u
#define MCR_DTR         0x01u
#define MCR_RTS         0x02u
#define MCR_OUT1        0x04u
#define MCR_OUT2        0x08u
#define MCR_LOOP        0x10u
#define LSR_DR          0x01u
#define LSR_OE          0x02u
#define LSR_BI          0x10u
#define LSR_ERRORS      0x1eu
#define LSR_THRE        0x20u
#define LSR_TEMT        0x40u
#define LSR_FIFO_ERR    0x80u
#define MSR_DCTS        0x01u
#define MSR_DDSR        0x02u
#define MSR_TERI        0x04u
#define MSR_DDCD        0x08u
#define MSR_DELTAS      0x0fu
#define MSR_CTS         0x10u
#define MSR_DSR         0x20u
#define MSR_RI          0x40u
#define MSR_DCD         0x80u
#define BAUDBASE        115200
#define DIVISOR_AT_BOOT 12 /* 9600 */

static const uint8_t rx_trigger[4] = { 1, 4, 8, 14 };

static bool serial_fifo_on(const Serial *s)
{
    return s->fcr & FCR_ENABLE;
}

static unsigned serial_depth(const Serial *s)
{
    return serial_fifo_on(s) ? SERIAL_FIFO : 1;
}

static void serial_push(SerialFifo *f, uint8_t byte)
{
    f->data[(f->head + f->count) % SERIAL_FIFO] = byte;
    f->count++;
}

static uint8_t serial_pop(SerialFifo *f)
{
    uint8_t byte = f->data[f->head];

    f->head = (f->head + 1) % SERIAL_FIFO;
    f->count--;
    return byte;
}

/* Enough bytes for the receive interrupt? */
static bool serial_rx_ready(const Serial *s)
{
    unsigned want = serial_fifo_on(s) ? rx_trigger[s->fcr >> 6] : 1;

    return s->rx.count >= want;
}

/* The interrupt that IIR shows. Data sheet, table III. */
static uint8_t serial_iir(const Serial *s)
{
    if ((s->ier & IER_RLSI) && (s->lsr & LSR_ERRORS)) {
        return IIR_RLSI;
    }
    if ((s->ier & IER_RDI) && serial_rx_ready(s)) {
        return IIR_RDI;
    }
    if ((s->ier & IER_RDI) && s->rx_timeout) {
        return IIR_TIMEOUT;
    }
    if ((s->ier & IER_THRI) && s->thre_pending) {
        return IIR_THRI;
    }
    if ((s->ier & IER_MSI) && (s->msr & MSR_DELTAS)) {
        return IIR_MSI;
    }
    return IIR_NONE;
}

static void serial_update(Serial *s)
{
    bool level = serial_iir(s) != IIR_NONE;

    if (level != s->irq_level) {
        s->irq_level = level;
        irq_set(&s->irq, level);
    }
}

static void serial_resume_host(Serial *s)
{
    if (s->chr) {
        chardev_resume(s->chr);
    }
}

/* Four characters' time from now the rest will be announced. */
static void serial_rearm_timeout(Serial *s)
{
    uint64_t bits = 1 + 5 + (s->lcr & 3) + 1 + !!(s->lcr & 4) + !!(s->lcr & 8);
    uint64_t divisor = s->divisor ? s->divisor : 1;

    s->rx_timeout = false;
    if (!serial_fifo_on(s) || s->rx.count == 0) {
        timer_cancel(&s->rx_timer);
        return;
    }
    timer_arm(&s->rx_timer, clock_ns(s->machine->vclock) +
                                (int64_t)muldiv64(4 * bits * NS_PER_SEC,
                                                  divisor, s->baudbase));
}

static void serial_timeout(void *opaque)
{
    Serial *s = opaque;

    if (s->rx.count) {
        s->rx_timeout = true;
        serial_update(s);
    }
}

static void serial_receive_byte(Serial *s, uint8_t byte)
{
    if (s->rx.count >= serial_depth(s)) {
        /* The FIFO keeps what it has, the single register the new byte. */
        s->lsr |= LSR_OE;
        if (!serial_fifo_on(s)) {
            s->rx.count = 0;
            serial_push(&s->rx, byte);
        }
    } else {
        serial_push(&s->rx, byte);
    }
    s->lsr |= LSR_DR;
    serial_rearm_timeout(s);
}

static void serial_receive_break(Serial *s)
{
    serial_receive_byte(s, 0);
    s->lsr |= LSR_BI | (serial_fifo_on(s) ? LSR_FIFO_ERR : 0);
}

static void serial_transmitter_empty(Serial *s)
{
    s->lsr |= LSR_THRE | LSR_TEMT;
    s->thre_pending = true;
}

/* Sends what waits, as far as the host end takes it. */
static void serial_flush(Serial *s)
{
    while (s->tx.count) {
        uint8_t byte = s->tx.data[s->tx.head];

        if (s->chr && chardev_write(s->chr, &byte, 1) == 0) {
            return; /* writable() will be called */
        }
        serial_pop(&s->tx);
    }
    serial_transmitter_empty(s);
}

static void serial_write_thr(Serial *s, uint8_t byte)
{
    s->thre_pending = false;
    s->lsr &= ~(LSR_THRE | LSR_TEMT);
    serial_update(s); /* the line falls, so that an edge can follow */
    if (s->mcr & MCR_LOOP) {
        serial_receive_byte(s, byte);
        serial_transmitter_empty(s);
        return;
    }
    if (s->tx.count < serial_depth(s)) {
        serial_push(&s->tx, byte);
        if (s->tx.count > 1) {
            return; /* stalled already */
        }
    } else {
        log_mask(LOG_GUEST_ERROR, "serial: THR written while full\n");
        return;
    }
    serial_flush(s);
}

/* The modem inputs as they are: a cable with everything connected, or MCR's
 * outputs in loopback. */
static uint8_t serial_modem_lines(const Serial *s)
{
    if (!(s->mcr & MCR_LOOP)) {
        return MSR_CTS | MSR_DSR | MSR_DCD;
    }
    return (s->mcr & MCR_RTS ? MSR_CTS : 0) | (s->mcr & MCR_DTR ? MSR_DSR : 0) |
           (s->mcr & MCR_OUT1 ? MSR_RI : 0) | (s->mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static void serial_update_modem(Serial *s)
{
    uint8_t lines = serial_modem_lines(s);
    uint8_t changed = (lines ^ s->msr) & ~MSR_DELTAS;

    s->msr |= (changed & (MSR_CTS | MSR_DSR | MSR_DCD)) >> 4;
    if (changed & s->msr & MSR_RI) {
        s->msr |= MSR_TERI; /* the trailing edge only */
    }
    s->msr = (s->msr & MSR_DELTAS) | lines;
}

static void serial_clear_rx(Serial *s)
{
    s->rx.count = 0;
    s->lsr &= ~(LSR_DR | LSR_BI | LSR_FIFO_ERR);
    serial_rearm_timeout(s);
    serial_resume_host(s);
}

static void serial_clear_tx(Serial *s)
{
    s->tx.count = 0;
    serial_transmitter_empty(s);
}

static void serial_write_fcr(Serial *s, uint8_t value)
{
    bool toggled = (value ^ s->fcr) & FCR_ENABLE;

    s->fcr =
        value & FCR_ENABLE ? value & (FCR_ENABLE | FCR_DMA | FCR_TRIGGER) : 0;
    if (toggled || (value & FCR_CLEAR_RX)) {
        serial_clear_rx(s);
    }
    if (toggled || (value & FCR_CLEAR_TX)) {
        serial_clear_tx(s);
    }
}

static void serial_write_ier(Serial *s, uint8_t value)
{
    uint8_t turned_on = value & ~s->ier;

    s->ier = value & 0x0f;
    if ((turned_on & IER_THRI) && (s->lsr & LSR_THRE)) {
        s->thre_pending = true;
    }
}

static void serial_write_lcr(Serial *s, uint8_t value)
{
    if ((value & ~s->lcr & LCR_BREAK) && (s->mcr & MCR_LOOP)) {
        serial_receive_break(s);
    }
    s->lcr = value;
}

static void serial_write_mcr(Serial *s, uint8_t value)
{
    bool was_loop = s->mcr & MCR_LOOP;

    s->mcr = value & 0x1f;
    serial_update_modem(s);
    if (was_loop && !(s->mcr & MCR_LOOP)) {
        serial_resume_host(s);
    }
}

void serial_write(Serial *s, unsigned reg, uint8_t value)
{
    bool dlab = s->lcr & LCR_DLAB;

    trace(serial_write, reg, value);
    switch (reg) {
    case REG_DATA:
        if (dlab) {
            s->divisor = (s->divisor & 0xff00) | value;
        } else {
            serial_write_thr(s, value);
        }
        break;
    case REG_IER:
        if (dlab) {
            s->divisor = (s->divisor & 0x00ff) | value << 8;
        } else {
            serial_write_ier(s, value);
        }
        break;
    case REG_IIR_FCR:
        serial_write_fcr(s, value);
        break;
    case REG_LCR:
        serial_write_lcr(s, value);
        break;
    case REG_MCR:
        serial_write_mcr(s, value);
        break;
    case REG_SCR:
        s->scr = value;
        break;
    default: /* LSR and MSR: the data sheet allows it for factory tests */
        break;
    }
    serial_update(s);
}

static uint8_t serial_read_rbr(Serial *s)
{
    uint8_t byte;

    if (s->rx.count == 0) {
        return 0;
    }
    byte = serial_pop(&s->rx);
    if (s->rx.count == 0) {
        s->lsr &= ~LSR_DR;
    }
    serial_rearm_timeout(s);
    if (!(s->mcr & MCR_LOOP)) {
        serial_resume_host(s);
    }
    return byte;
}

static uint8_t serial_read_iir(Serial *s)
{
    uint8_t iir = serial_iir(s);

    if (iir == IIR_THRI) {
        s->thre_pending = false;
    }
    return iir | (serial_fifo_on(s) ? IIR_FIFO : 0);
}

static uint8_t serial_read_lsr(Serial *s)
{
    uint8_t lsr = s->lsr;

    s->lsr &= ~(LSR_ERRORS | LSR_FIFO_ERR);
    return lsr;
}

static uint8_t serial_read_msr(Serial *s)
{
    uint8_t msr = s->msr;

    s->msr &= ~MSR_DELTAS;
    return msr;
}

uint8_t serial_read(Serial *s, unsigned reg)
{
    bool dlab = s->lcr & LCR_DLAB;
    uint8_t value = 0;

    switch (reg) {
    case REG_DATA:
        value = dlab ? s->divisor & 0xff : serial_read_rbr(s);
        break;
    case REG_IER:
        value = dlab ? s->divisor >> 8 : s->ier;
        break;
    case REG_IIR_FCR:
        value = serial_read_iir(s);
        break;
    case REG_LCR:
        value = s->lcr;
        break;
    case REG_MCR:
        value = s->mcr;
        break;
    case REG_LSR:
        value = serial_read_lsr(s);
        break;
    case REG_MSR:
        value = serial_read_msr(s);
        break;
    case REG_SCR:
        value = s->scr;
        break;
    }
    serial_update(s);
    trace(serial_read, reg, value);
    return value;
}

static size_t serial_can_receive(void *opaque)
{
    Serial *s = opaque;

    if (s->mcr & MCR_LOOP) {
        return 0; /* the input is disconnected: the host waits */
    }
    return serial_depth(s) - s->rx.count;
}

static void serial_receive(void *opaque, const uint8_t *buf, size_t len)
{
    Serial *s = opaque;

    for (size_t i = 0; i < len; i++) {
        serial_receive_byte(s, buf[i]);
    }
    serial_update(s);
}

static void serial_writable(void *opaque)
{
    Serial *s = opaque;

    if (s->tx.count) {
        serial_flush(s);
        serial_update(s);
    }
}

static void serial_event(void *opaque, CharEvent event)
{
    Serial *s = opaque;

    if (event == CHAR_BREAK && !(s->mcr & MCR_LOOP)) {
        serial_receive_break(s);
        serial_update(s);
    }
}

static const CharClient serial_client = {
    .can_receive = serial_can_receive,
    .receive = serial_receive,
    .writable = serial_writable,
    .event = serial_event,
};

void serial_reset(Serial *s)
{
    s->divisor = DIVISOR_AT_BOOT;
    s->ier = s->lcr = s->scr = s->fcr = 0;
    s->mcr = MCR_OUT2;
    s->lsr = LSR_THRE | LSR_TEMT;
    s->rx = s->tx = (SerialFifo) { .count = 0 };
    s->thre_pending = false;
    s->rx_timeout = false;
    timer_cancel(&s->rx_timer);
    s->msr = serial_modem_lines(s);
    serial_update(s);
    serial_resume_host(s);
}

/* After a load: what it has to send may go, and what came may come in. Not
 * before, the load may still be undone. */
static void serial_machine_event(Machine *m, const char *event,
                                 const EventValue *values, void *opaque)
{
    if (strcmp(event, "RESUME") == 0) {
        serial_writable(opaque);
        serial_resume_host(opaque);
    }
}

bool serial_realize(Serial *s, GError **errp)
{
    if (s->chr && !chardev_attach(s->chr, &serial_client, s, errp)) {
        return false;
    }
    s->baudbase = s->baudbase ? s->baudbase : BAUDBASE;
    timer_init(&s->rx_timer, s->machine->vclock, serial_timeout, s);
    machine_watch(s->machine, serial_machine_event, s);
    return true;
}

void serial_unrealize(Serial *s)
{
    machine_unwatch(s->machine, serial_machine_event, s);
    timer_cancel(&s->rx_timer);
    if (s->chr) {
        chardev_detach(s->chr, s);
    }
}

static bool serial_post_load(void *obj, int version, GError **errp)
{
    Serial *s = obj;

    if (s->rx.count > SERIAL_FIFO || s->tx.count > SERIAL_FIFO) {
        error_setg(errp, "serial: a FIFO holds %d bytes, not %u and %u",
                   SERIAL_FIFO, s->rx.count, s->tx.count);
        return false;
    }
    s->rx.head %= SERIAL_FIFO;
    s->tx.head %= SERIAL_FIFO;
    s->irq_level = serial_iir(s) != IIR_NONE;
    irq_set(&s->irq, s->irq_level);
    return true;
}

static const VMField serial_fifo_fields[] = {
    VM_BUFFER(SerialFifo, data),
    VM_U8(SerialFifo, head),
    VM_U8(SerialFifo, count),
    VM_FIELDS_END,
};

static const VMState vmstate_serial_fifo = {
    .name = "serial-fifo",
    .version = 1,
    .min_version = 1,
    .fields = serial_fifo_fields,
};

static const VMField serial_fields[] = {
    VM_U16(Serial, divisor),
    VM_U8(Serial, ier),
    VM_U8(Serial, lcr),
    VM_U8(Serial, mcr),
    VM_U8(Serial, lsr),
    VM_U8(Serial, msr),
    VM_U8(Serial, scr),
    VM_U8(Serial, fcr),
    VM_SUB(Serial, rx, vmstate_serial_fifo),
    VM_SUB(Serial, tx, vmstate_serial_fifo),
    VM_BOOL(Serial, thre_pending),
    VM_BOOL(Serial, rx_timeout),
    VM_TIMER_FIELD(Serial, rx_timer),
    VM_FIELDS_END,
};

const VMState vmstate_serial = {
    .name = "serial",
    .version = 1,
    .min_version = 1,
    .fields = serial_fields,
    .post_load = serial_post_load,
};
