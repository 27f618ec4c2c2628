/*
 * The two PS/2 devices as their controller sees them: bytes go in, answers
 * and events wait in queues. Machine lock held.
 */
#ifndef HW_INPUT_PS2_H
#define HW_INPUT_PS2_H

#include "system/vmstate.h"

enum { PS2_QUEUE_SIZE = 64 };

typedef struct Ps2Queue {
    uint8_t data[PS2_QUEUE_SIZE];
    uint8_t head, count;
} Ps2Queue;

typedef struct Ps2Kbd {
    Ps2Queue answer; /* goes out before keys */
    Ps2Queue keys;
    uint8_t command;  /* that waits for its argument; 0: none */
    uint8_t scan_set; /* 1 to 3 */
    uint8_t leds, typematic;
    bool enabled;
    uint8_t last; /* byte sent, for Resend */
} Ps2Kbd;

typedef struct Ps2Mouse {
    Ps2Queue answer, packets;
    uint8_t command;
    uint8_t id; /* 0: three buttons, 3: wheel, 4: five buttons */
    uint8_t rate, resolution;
    uint8_t magic; /* how much of the knock for another id was heard */
    bool enabled, remote, wrap, scaling;
    uint8_t buttons;
    int32_t dx, dy, dz; /* not yet reported */
    uint8_t last;
} Ps2Mouse;

extern const VMState vmstate_ps2_kbd, vmstate_ps2_mouse;

bool ps2_queue_push(Ps2Queue *q, const uint8_t *bytes, unsigned n);
/* -1: empty. */
int ps2_queue_pop(Ps2Queue *q);
/* For post_load: indices within bounds? */
bool ps2_queue_valid(const Ps2Queue *q);
extern const VMState vmstate_ps2_queue;

void ps2_kbd_reset(Ps2Kbd *k);
void ps2_kbd_write(Ps2Kbd *k, uint8_t byte);
int ps2_kbd_read(Ps2Kbd *k); /* the next byte, -1: none */
/* See i8042_key(). */
bool ps2_kbd_key(Ps2Kbd *k, unsigned code, bool down);
/* Scan set 2 to 1, as the controller translates single codes. */
uint8_t ps2_translate(uint8_t code);

void ps2_mouse_reset(Ps2Mouse *m);
void ps2_mouse_write(Ps2Mouse *m, uint8_t byte);
int ps2_mouse_read(Ps2Mouse *m);
void ps2_mouse_event(Ps2Mouse *m, int dx, int dy, int dz, unsigned buttons);

#endif
