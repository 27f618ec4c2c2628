/*
 * Keys by name to the PS/2 keyboard: sendkey and send-key. Main thread.
 */
#ifndef MONITOR_KEYS_H
#define MONITOR_KEYS_H

#include "system/machine.h"

typedef struct KeyName {
    const char *name; /* QEMU's: "ctrl", "f1", "ret" */
    uint16_t code;    /* as i8042_key() takes it */
} KeyName;

enum { KEYS_MAX = 16, KEYS_HOLD_MS = 100 };

/* 0: no such key. */
uint16_t key_code(const char *name);
/* Presses all, and lets go of them after @hold_ms, the last one first. What an
 * earlier call still holds is let go of now. */
bool keys_send(Machine *m, const uint16_t *codes, unsigned n, unsigned hold_ms,
               GError **errp);
/* The device with keyboard and mouse; NULL: none, @errp says so. */
Device *keys_device(Machine *m, GError **errp);

/* Counts, y downward; with the buttons that are held. */
bool keys_mouse_move(Machine *m, int dx, int dy, int dz, GError **errp);
/* Those held from now on, as i8042_mouse() counts them. */
bool keys_mouse_buttons(Machine *m, unsigned buttons, GError **errp);
unsigned keys_mouse_held(Machine *m);

typedef struct HeldKeys {
    Machine *m;
    uint16_t codes[KEYS_MAX];
    unsigned n, timer;
    unsigned buttons; /* of the mouse */
} HeldKeys;

/* Of monitor.c. */
HeldKeys *monitors_keys(Machine *m);
/* Forgets, without letting go: at the end. */
void keys_forget(HeldKeys *k);

#endif
