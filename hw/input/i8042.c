/*
 * The keyboard controller of a PC (8042 and its successors), with a PS/2
 * keyboard and a PS/2 mouse plugged in.
 *
 * IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary
 * Device Controller". The line has no speed: an answer is there at once, and
 * the next byte moves into the output buffer when the one before is read,
 * which drops the interrupt line for a moment and so makes an edge.
 *
 * After reset the controller is as a PC's firmware leaves it: keyboard on,
 * with interrupt and translation to scan set 1; mouse port off; A20 on.
 *
 * Not modelled: passwords, the input port's jumpers, time-outs.
 */
#include "util/osdep.h"
#include "util/error.h"
#include "util/log.h"
#include "hw/input/i8042.h"
#include "hw/input/ps2.h"

enum { /* commands to port 64 */
       CMD_READ_RAM = 0x20,
       CMD_WRITE_RAM = 0x60,
       CMD_AUX_DISABLE = 0xa7,
       CMD_AUX_ENABLE = 0xa8,
       CMD_AUX_TEST = 0xa9,
       CMD_SELF_TEST = 0xaa,
       CMD_KBD_TEST = 0xab,
       CMD_KBD_DISABLE = 0xad,
       CMD_KBD_ENABLE = 0xae,
       CMD_READ_INPORT = 0xc0,
       CMD_READ_OUTPORT = 0xd0,
       CMD_WRITE_OUTPORT = 0xd1,
       CMD_WRITE_KBD_OBUF = 0xd2,
       CMD_WRITE_AUX_OBUF = 0xd3,
       CMD_WRITE_AUX = 0xd4,
       CMD_A20_OFF = 0xdd,
       CMD_A20_ON = 0xdf,
       CMD_READ_TEST = 0xe0,
       CMD_PULSE = 0xf0,
       RAM_SIZE = 32,
       SELF_TEST_OK = 0x55,
       PORT_TEST_OK = 0x00,
       SCAN_BREAK = 0xf0,
};

#define ST_OBF         0x01u
#define ST_SYS         0x04u
#define ST_CMD         0x08u
#define ST_UNLOCKED    0x10u
#define ST_AUX         0x20u
#define CFG_KBD_INT    0x01u
#define CFG_AUX_INT    0x02u
#define CFG_SYS        0x04u
#define CFG_KBD_OFF    0x10u
#define CFG_AUX_OFF    0x20u
#define CFG_TRANSLATE  0x40u
#define CFG_AT_RESET   (CFG_KBD_INT | CFG_SYS | CFG_AUX_OFF | CFG_TRANSLATE)
#define OUT_NOT_RESET  0x01u
#define OUT_A20        0x02u
#define OUT_KBD_OBF    0x10u
#define OUT_AUX_OBF    0x20u
#define OUT_WRITABLE   0xcfu
#define INPORT_DEFAULT 0xb0u /* not locked, colour display, jumpers */

typedef struct I8042 {
    Device dev;
    Region data_port, command_port;
    IrqLine a20;
    Ps2Kbd kbd;
    Ps2Mouse mouse;
    Ps2Queue own; /* the controller's answers, for the keyboard's side */
    uint8_t ram[RAM_SIZE]; /* 0 is the configuration */
    uint8_t outport;
    uint8_t command; /* that waits for a data byte; 0: none */
    bool last_was_command;
    bool full, full_aux; /* the output buffer, and from which side */
    uint8_t buffer;
    bool break_next; /* translation: F0 was swallowed */
} I8042;

static uint8_t i8042_config(const I8042 *s)
{
    return s->ram[0];
}

static void i8042_set_lines(I8042 *s)
{
    Machine *m = s->dev.machine;
    bool kbd = s->full && !s->full_aux && (i8042_config(s) & CFG_KBD_INT);
    bool aux = s->full && s->full_aux && (i8042_config(s) & CFG_AUX_INT);

    irq_set(&m->gsi[1], kbd);
    irq_set(&m->gsi[12], aux);
}

static void i8042_fill(I8042 *s, uint8_t byte, bool aux)
{
    s->buffer = byte;
    s->full = true;
    s->full_aux = aux;
}

/* The next byte of the keyboard, translated; -1: none. */
static int i8042_next_key(I8042 *s)
{
    int byte;

    while ((byte = ps2_kbd_read(&s->kbd)) >= 0) {
        if (!(i8042_config(s) & CFG_TRANSLATE)) {
            return byte;
        }
        if (byte == SCAN_BREAK) {
            s->break_next = true;
            continue;
        }
        byte = ps2_translate(byte);
        if (s->break_next) {
            s->break_next = false;
            byte |= 0x80;
        }
        return byte;
    }
    return -1;
}

/* Moves the next byte into an empty output buffer. */
static void i8042_update(I8042 *s)
{
    int byte;

    if (!s->full && (byte = ps2_queue_pop(&s->own)) >= 0) {
        i8042_fill(s, byte, false);
    }
    if (!s->full && !(i8042_config(s) & CFG_KBD_OFF) &&
        (byte = i8042_next_key(s)) >= 0) {
        i8042_fill(s, byte, false);
    }
    if (!s->full && !(i8042_config(s) & CFG_AUX_OFF) &&
        (byte = ps2_mouse_read(&s->mouse)) >= 0) {
        i8042_fill(s, byte, true);
    }
    i8042_set_lines(s);
}

static void i8042_answer(I8042 *s, uint8_t byte)
{
    ps2_queue_push(&s->own, &byte, 1);
}

static void i8042_write_outport(I8042 *s, uint8_t value)
{
    s->outport = value & OUT_WRITABLE;
    irq_set(&s->a20, !!(value & OUT_A20));
    if (!(value & OUT_NOT_RESET)) {
        machine_request_reset(s->dev.machine, RESET_GUEST);
    }
}

static uint8_t i8042_read_outport(const I8042 *s)
{
    uint8_t value = s->outport & OUT_WRITABLE;

    if (s->full) {
        value |= s->full_aux ? OUT_AUX_OBF : OUT_KBD_OBF;
    }
    return value;
}

static void i8042_self_test(I8042 *s)
{
    s->ram[0] |= CFG_SYS;
    i8042_answer(s, SELF_TEST_OK);
}

static void i8042_command(I8042 *s, uint8_t cmd)
{
    switch (cmd) {
    case CMD_READ_RAM ... CMD_READ_RAM + RAM_SIZE - 1:
        i8042_answer(s, s->ram[cmd - CMD_READ_RAM]);
        break;
    case CMD_WRITE_RAM ... CMD_WRITE_RAM + RAM_SIZE - 1:
    case CMD_WRITE_OUTPORT ... CMD_WRITE_AUX:
        s->command = cmd;
        break;
    case CMD_AUX_DISABLE:
        s->ram[0] |= CFG_AUX_OFF;
        break;
    case CMD_AUX_ENABLE:
        s->ram[0] &= ~CFG_AUX_OFF;
        break;
    case CMD_AUX_TEST:
    case CMD_KBD_TEST:
        i8042_answer(s, PORT_TEST_OK);
        break;
    case CMD_SELF_TEST:
        i8042_self_test(s);
        break;
    case CMD_KBD_DISABLE:
        s->ram[0] |= CFG_KBD_OFF;
        break;
    case CMD_KBD_ENABLE:
        s->ram[0] &= ~CFG_KBD_OFF;
        break;
    case CMD_READ_INPORT:
        i8042_answer(s, INPORT_DEFAULT);
        break;
    case CMD_READ_OUTPORT:
        i8042_answer(s, i8042_read_outport(s));
        break;
    case CMD_A20_OFF:
        i8042_write_outport(s, s->outport & ~OUT_A20);
        break;
    case CMD_A20_ON:
        i8042_write_outport(s, s->outport | OUT_A20);
        break;
    case CMD_READ_TEST:
        i8042_answer(s, 0);
        break;
    case CMD_PULSE ... 0xff:
        if (!(cmd & 1)) { /* bit 0 of the output port: reset */
            machine_request_reset(s->dev.machine, RESET_GUEST);
        }
        break;
    default:
        log_mask(LOG_GUEST_ERROR, "i8042: no command %02x\n", cmd);
        break;
    }
}

static void i8042_data(I8042 *s, uint8_t value)
{
    uint8_t cmd = s->command;

    s->command = 0;
    switch (cmd) {
    case CMD_WRITE_RAM ... CMD_WRITE_RAM + RAM_SIZE - 1:
        s->ram[cmd - CMD_WRITE_RAM] = value;
        break;
    case CMD_WRITE_OUTPORT:
        i8042_write_outport(s, value);
        break;
    case CMD_WRITE_KBD_OBUF:
    case CMD_WRITE_AUX_OBUF:
        i8042_fill(s, value, cmd == CMD_WRITE_AUX_OBUF);
        break;
    case CMD_WRITE_AUX:
        ps2_mouse_write(&s->mouse, value);
        break;
    default:
        /* To write to the keyboard turns its line on. */
        s->ram[0] &= ~CFG_KBD_OFF;
        s->break_next = false;
        ps2_kbd_write(&s->kbd, value);
        break;
    }
}

static uint64_t i8042_read_data(void *opaque, hwaddr offset, unsigned size)
{
    I8042 *s = opaque;
    uint8_t value = s->buffer; /* the last byte stays readable */

    if (s->full) {
        s->full = false;
        i8042_set_lines(s);
        i8042_update(s);
    }
    return value;
}

static void i8042_write_data(void *opaque, hwaddr offset, uint64_t value,
                             unsigned size)
{
    I8042 *s = opaque;

    s->last_was_command = false;
    i8042_data(s, value);
    i8042_update(s);
}

static uint64_t i8042_read_status(void *opaque, hwaddr offset, unsigned size)
{
    I8042 *s = opaque;

    return ST_UNLOCKED | (s->full ? ST_OBF : 0) |
           (s->full && s->full_aux ? ST_AUX : 0) |
           (i8042_config(s) & CFG_SYS ? ST_SYS : 0) |
           (s->last_was_command ? ST_CMD : 0);
}

static void i8042_write_command(void *opaque, hwaddr offset, uint64_t value,
                                unsigned size)
{
    I8042 *s = opaque;

    s->last_was_command = true;
    s->command = 0;
    i8042_command(s, value);
    i8042_update(s);
}

static const RegionOps i8042_data_ops = {
    .read = i8042_read_data,
    .write = i8042_write_data,
    .min_size = 1,
    .max_size = 1,
};

static const RegionOps i8042_command_ops = {
    .read = i8042_read_status,
    .write = i8042_write_command,
    .min_size = 1,
    .max_size = 1,
};

/* ---- from outside -------------------------------------------------------- */

void i8042_set_a20(Device *dev, IrqLine a20)
{
    container_of(dev, I8042, dev)->a20 = a20;
}

bool i8042_key(Device *dev, unsigned code, bool down)
{
    I8042 *s = container_of(dev, I8042, dev);
    bool ok;

    if (code < 0x100 && (code & 0x80)) {
        code = 0xe000 | (code & 0x7f);
    }
    ok = ps2_kbd_key(&s->kbd, code, down);
    i8042_update(s);
    return ok;
}

void i8042_mouse(Device *dev, int dx, int dy, int dz, unsigned buttons)
{
    I8042 *s = container_of(dev, I8042, dev);

    ps2_mouse_event(&s->mouse, dx, dy, dz, buttons);
    i8042_update(s);
}

/* ---- device -------------------------------------------------------------- */

static void i8042_reset(Device *dev)
{
    I8042 *s = container_of(dev, I8042, dev);

    ps2_kbd_reset(&s->kbd);
    ps2_mouse_reset(&s->mouse);
    s->own = (Ps2Queue) { .count = 0 };
    memset(s->ram, 0, sizeof(s->ram));
    s->ram[0] = CFG_AT_RESET;
    s->outport = OUT_WRITABLE;
    s->command = 0;
    s->last_was_command = s->full = s->full_aux = s->break_next = false;
    s->buffer = 0;
    irq_set(&s->a20, 1);
    i8042_set_lines(s);
}

static bool i8042_realize(Device *dev, GError **errp)
{
    I8042 *s = container_of(dev, I8042, dev);

    region_init_io(&s->data_port, "i8042-data", 1, &i8042_data_ops, s);
    region_init_io(&s->command_port, "i8042-cmd", 1, &i8042_command_ops, s);
    as_map(dev->machine->io, 0x60, &s->data_port, 0);
    as_map(dev->machine->io, 0x64, &s->command_port, 0);
    return true;
}

static void i8042_unrealize(Device *dev)
{
    I8042 *s = container_of(dev, I8042, dev);

    as_unmap(&s->data_port);
    as_unmap(&s->command_port);
}

static bool i8042_post_load(void *obj, int version, GError **errp)
{
    I8042 *s = obj;

    if (!ps2_queue_valid(&s->own)) {
        error_setg(errp, "i8042: the queue is impossible");
        return false;
    }
    i8042_set_lines(s);
    return true;
}

static const VMField i8042_fields[] = {
    VM_SUB(I8042, kbd, vmstate_ps2_kbd),
    VM_SUB(I8042, mouse, vmstate_ps2_mouse),
    VM_SUB(I8042, own, vmstate_ps2_queue),
    VM_U8_ARRAY(I8042, ram, RAM_SIZE),
    VM_U8(I8042, outport),
    VM_U8(I8042, command),
    VM_BOOL(I8042, last_was_command),
    VM_BOOL(I8042, full),
    VM_BOOL(I8042, full_aux),
    VM_U8(I8042, buffer),
    VM_BOOL(I8042, break_next),
    VM_FIELDS_END,
};

static const VMState vmstate_i8042 = {
    .name = "i8042",
    .version = 1,
    .min_version = 1,
    .fields = i8042_fields,
    .post_load = i8042_post_load,
};

const DeviceClass i8042_class = {
    .name = "i8042",
    .desc = "Keyboard controller with keyboard and mouse",
    .bus = "ISA",
    .size = sizeof(I8042),
    .vmstate = &vmstate_i8042,
    .internal = true,
    .realize = i8042_realize,
    .reset = i8042_reset,
    .unrealize = i8042_unrealize,
};
