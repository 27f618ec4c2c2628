/* QEMU's key names and the set 1 codes of a PC keyboard. */
#include "util/osdep.h"
#include "util/error.h"
#include "hw/input/i8042.h"
#include "monitor/keys.h"

/* clang-format off */
static const KeyName key_names[] = {
    { "shift", 0x2a }, { "shift_r", 0x36 }, { "alt", 0x38 }, { "alt_r", 0xe038 },
    { "ctrl", 0x1d }, { "ctrl_r", 0xe01d }, { "menu", 0xe05d },
    { "esc", 0x01 }, { "1", 0x02 }, { "2", 0x03 }, { "3", 0x04 }, { "4", 0x05 },
    { "5", 0x06 }, { "6", 0x07 }, { "7", 0x08 }, { "8", 0x09 }, { "9", 0x0a },
    { "0", 0x0b }, { "minus", 0x0c }, { "equal", 0x0d }, { "backspace", 0x0e },
    { "tab", 0x0f }, { "q", 0x10 }, { "w", 0x11 }, { "e", 0x12 }, { "r", 0x13 },
    { "t", 0x14 }, { "y", 0x15 }, { "u", 0x16 }, { "i", 0x17 }, { "o", 0x18 },
    { "p", 0x19 }, { "bracket_left", 0x1a }, { "bracket_right", 0x1b }, { "ret", 0x1c },
    { "a", 0x1e }, { "s", 0x1f }, { "d", 0x20 }, { "f", 0x21 }, { "g", 0x22 },
    { "h", 0x23 }, { "j", 0x24 }, { "k", 0x25 }, { "l", 0x26 }, { "semicolon", 0x27 },
    { "apostrophe", 0x28 }, { "grave_accent", 0x29 }, { "backslash", 0x2b },
    { "z", 0x2c }, { "x", 0x2d }, { "c", 0x2e }, { "v", 0x2f }, { "b", 0x30 },
    { "n", 0x31 }, { "m", 0x32 }, { "comma", 0x33 }, { "dot", 0x34 }, { "slash", 0x35 },
    { "asterisk", 0x37 }, { "spc", 0x39 }, { "caps_lock", 0x3a },
    { "f1", 0x3b }, { "f2", 0x3c }, { "f3", 0x3d }, { "f4", 0x3e }, { "f5", 0x3f },
    { "f6", 0x40 }, { "f7", 0x41 }, { "f8", 0x42 }, { "f9", 0x43 }, { "f10", 0x44 },
    { "num_lock", 0x45 }, { "scroll_lock", 0x46 },
    { "kp_divide", 0xe035 }, { "kp_multiply", 0x37 }, { "kp_subtract", 0x4a },
    { "kp_add", 0x4e }, { "kp_enter", 0xe01c }, { "kp_decimal", 0x53 },
    { "kp_0", 0x52 }, { "kp_1", 0x4f }, { "kp_2", 0x50 }, { "kp_3", 0x51 },
    { "kp_4", 0x4b }, { "kp_5", 0x4c }, { "kp_6", 0x4d }, { "kp_7", 0x47 },
    { "kp_8", 0x48 }, { "kp_9", 0x49 }, { "less", 0x56 },
    { "f11", 0x57 }, { "f12", 0x58 }, { "print", 0xe037 }, { "sysrq", 0x54 },
    { "home", 0xe047 }, { "pgup", 0xe049 }, { "pgdn", 0xe051 }, { "end", 0xe04f },
    { "left", 0xe04b }, { "up", 0xe048 }, { "down", 0xe050 }, { "right", 0xe04d },
    { "insert", 0xe052 }, { "delete", 0xe053 }, { "pause", 0xe11d },
    { "meta_l", 0xe05b }, { "meta_r", 0xe05c }, { "compose", 0xe05d },
    { "power", 0xe05e }, { "sleep", 0xe05f }, { "wake", 0xe063 },
    { 0 },
};
/* clang-format on */

uint16_t key_code(const char *name)
{
    for (const KeyName *k = key_names; k->name; k++) {
        if (!strcmp(k->name, name)) {
            return k->code;
        }
    }
    return !strcmp(name, "<") ? 0x56 : 0;
}

Device *keys_device(Machine *m, GError **errp)
{
    for (guint i = 0; i < m->devices->len; i++) {
        Device *dev = m->devices->pdata[i];

        if (dev->cls == &i8042_class) {
            return dev;
        }
    }
    error_setg(errp, "the machine has no keyboard and no mouse");
    return NULL;
}

bool keys_mouse_move(Machine *m, int dx, int dy, int dz, GError **errp)
{
    Device *dev = keys_device(m, errp);

    if (dev) {
        i8042_mouse(dev, dx, -dy, dz, keys_mouse_held(m));
    }
    return dev != NULL;
}

bool keys_mouse_buttons(Machine *m, unsigned buttons, GError **errp)
{
    monitors_keys(m)->buttons = buttons;
    return keys_mouse_move(m, 0, 0, 0, errp);
}

unsigned keys_mouse_held(Machine *m)
{
    return monitors_keys(m)->buttons;
}

static void let_go(HeldKeys *k)
{
    Device *dev = keys_device(k->m, NULL);

    while (k->n) {
        k->n--;
        if (dev) {
            i8042_key(dev, k->codes[k->n], false);
        }
    }
}

static gboolean held_long_enough(void *opaque)
{
    HeldKeys *k = opaque;

    k->timer = 0;
    let_go(k);
    return G_SOURCE_REMOVE;
}

void keys_forget(HeldKeys *k)
{
    if (k->timer) {
        g_source_remove(k->timer);
    }
    k->timer = k->n = 0;
}

bool keys_send(Machine *m, const uint16_t *codes, unsigned n, unsigned hold_ms,
               GError **errp)
{
    HeldKeys *k = monitors_keys(m);
    Device *dev = keys_device(m, errp);

    if (!dev) {
        return false;
    }
    k->m = m;
    let_go(k);
    keys_forget(k);
    for (unsigned i = 0; i < n && i < KEYS_MAX; i++) {
        i8042_key(dev, codes[i], true);
        k->codes[k->n++] = codes[i];
    }
    k->timer = g_timeout_add(hold_ms, held_long_enough, k);
    return true;
}
