/*
 * A PS/2 keyboard with 102 keys.
 *
 * IBM PS/2 Hardware Interface Technical Reference, "Keyboards"; scan codes are
 * those of Microsoft's "Keyboard Scan Code Specification", 2000.
 *
 * Not modelled: typematic repeat (the host repeats keys), the key types of
 * scan set 3 (all keys report make and break).
 */
#include "util/osdep.h"
#include "util/error.h"
#include "hw/input/ps2.h"
#include "util/trace.h"

enum {
    KBD_SET_LEDS = 0xed,
    KBD_ECHO = 0xee,
    KBD_SCAN_SET = 0xf0,
    KBD_IDENTIFY = 0xf2,
    KBD_TYPEMATIC = 0xf3,
    KBD_ENABLE = 0xf4,
    KBD_DISABLE = 0xf5,
    KBD_DEFAULTS = 0xf6,
    KBD_ALL_TYPEMATIC = 0xf7, /* to 0xfa: types of all keys */
    KBD_ALL_BOTH = 0xfa,
    KBD_KEY_TYPEMATIC = 0xfb, /* to 0xfd: type of one key */
    KBD_KEY_MAKE = 0xfd,
    KBD_RESEND = 0xfe,
    KBD_RESET = 0xff,
    ACK = 0xfa,
    BAT_OK = 0xaa,
    BREAK = 0xf0,
    TYPEMATIC_DEFAULT = 0x2b, /* 10.9 a second after 500 ms */
};

enum {
    KEY_PAUSE = 0xe11d,
    KEY_PRINT = 0xe037,
    KEY_F7 = 0x41,
    KEY_SYSRQ = 0x54
};

/* Set 2 to set 1, for codes below 80. */
static const uint8_t set2_to_set1[128] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40,
    0x3e, 0x0f, 0x29, 0x59, 0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a,
    0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b, 0x67, 0x2e, 0x2d, 0x20,
    0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24,
    0x16, 0x08, 0x09, 0x5f, 0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60,
    0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61, 0x6d, 0x73, 0x28, 0x74,
    0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b,
    0x47, 0x7e, 0x7f, 0x6f, 0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45,
    0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

/* Set 1 to set 3, keys without prefix; 0: no such key. */
static const uint8_t set1_to_set3[0x59] = {
    0x00, 0x08, 0x16, 0x1e, 0x26, 0x25, 0x2e, 0x36, 0x3d, 0x3e, 0x46, 0x45,
    0x4e, 0x55, 0x66, 0x0d, 0x15, 0x1d, 0x24, 0x2d, 0x2c, 0x35, 0x3c, 0x43,
    0x44, 0x4d, 0x54, 0x5b, 0x5a, 0x11, 0x1c, 0x1b, 0x23, 0x2b, 0x34, 0x33,
    0x3b, 0x42, 0x4b, 0x4c, 0x52, 0x0e, 0x12, 0x5c, 0x1a, 0x22, 0x21, 0x2a,
    0x32, 0x31, 0x3a, 0x41, 0x49, 0x4a, 0x59, 0x7e, 0x19, 0x29, 0x14, 0x07,
    0x0f, 0x17, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x47, 0x4f, 0x76, 0x5f, 0x6c,
    0x75, 0x7d, 0x84, 0x6b, 0x73, 0x74, 0x7c, 0x69, 0x72, 0x7a, 0x70, 0x71,
    0x57, 0x00, 0x13, 0x56, 0x5e,
};

/* Keys with prefix E0: set 1 and set 3. */
static const uint8_t extended_set3[][2] = {
    { 0x1c, 0x79 }, { 0x1d, 0x58 }, { 0x35, 0x77 }, { 0x37, 0x57 },
    { 0x38, 0x39 }, { 0x47, 0x6e }, { 0x48, 0x63 }, { 0x49, 0x6f },
    { 0x4b, 0x61 }, { 0x4d, 0x6a }, { 0x4f, 0x65 }, { 0x50, 0x60 },
    { 0x51, 0x6d }, { 0x52, 0x67 }, { 0x53, 0x64 }, { 0x5b, 0x8b },
    { 0x5c, 0x8c }, { 0x5d, 0x8d },
};

/* ---- queues -------------------------------------------------------------- */

bool ps2_queue_push(Ps2Queue *q, const uint8_t *bytes, unsigned n)
{
    if (n > PS2_QUEUE_SIZE - (unsigned)q->count) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        q->data[(q->head + q->count) % PS2_QUEUE_SIZE] = bytes[i];
        q->count++;
    }
    return true;
}

int ps2_queue_pop(Ps2Queue *q)
{
    uint8_t byte;

    if (q->count == 0) {
        return -1;
    }
    byte = q->data[q->head];
    q->head = (q->head + 1) % PS2_QUEUE_SIZE;
    q->count--;
    return byte;
}

bool ps2_queue_valid(const Ps2Queue *q)
{
    return q->head < PS2_QUEUE_SIZE && q->count <= PS2_QUEUE_SIZE;
}

static const VMField ps2_queue_fields[] = {
    VM_BUFFER(Ps2Queue, data),
    VM_U8(Ps2Queue, head),
    VM_U8(Ps2Queue, count),
    VM_FIELDS_END,
};

const VMState vmstate_ps2_queue = {
    .name = "ps2-queue",
    .version = 1,
    .min_version = 1,
    .fields = ps2_queue_fields,
};

/* ---- commands ------------------------------------------------------------ */

static void kbd_answer(Ps2Kbd *k, uint8_t byte)
{
    ps2_queue_push(&k->answer, &byte, 1);
}

static void kbd_defaults(Ps2Kbd *k)
{
    k->scan_set = 2;
    k->typematic = TYPEMATIC_DEFAULT;
    k->keys.count = 0;
}

void ps2_kbd_reset(Ps2Kbd *k)
{
    *k = (Ps2Kbd) { .enabled = true };
    kbd_defaults(k);
}

static void kbd_argument(Ps2Kbd *k, uint8_t byte)
{
    uint8_t command = k->command;

    k->command = 0;
    switch (command) {
    case KBD_SET_LEDS:
        k->leds = byte & 7;
        break;
    case KBD_TYPEMATIC:
        k->typematic = byte & 0x7f;
        break;
    case KBD_SCAN_SET:
        if (byte > 3) {
            kbd_answer(k, KBD_RESEND);
            return;
        }
        kbd_answer(k, ACK);
        if (byte == 0) {
            kbd_answer(k, k->scan_set);
        } else {
            k->scan_set = byte;
            k->keys.count = 0;
        }
        return;
    default: /* a key for the types of set 3 */
        break;
    }
    kbd_answer(k, ACK);
}

static void kbd_command(Ps2Kbd *k, uint8_t byte)
{
    switch (byte) {
    case KBD_ECHO:
        kbd_answer(k, KBD_ECHO);
        return;
    case KBD_RESEND:
        kbd_answer(k, k->last);
        return;
    case KBD_SET_LEDS:
    case KBD_SCAN_SET:
    case KBD_TYPEMATIC:
    case KBD_KEY_TYPEMATIC ... KBD_KEY_MAKE:
        k->command = byte;
        break;
    case KBD_ENABLE:
        k->enabled = true;
        break;
    case KBD_DISABLE:
        kbd_defaults(k);
        k->enabled = false;
        break;
    case KBD_DEFAULTS:
        kbd_defaults(k);
        k->enabled = true;
        break;
    case KBD_ALL_TYPEMATIC ... KBD_ALL_BOTH:
        break;
    case KBD_IDENTIFY:
        kbd_answer(k, ACK);
        kbd_answer(k, 0xab);
        kbd_answer(k, 0x83);
        return;
    case KBD_RESET:
        ps2_kbd_reset(k);
        kbd_answer(k, ACK);
        kbd_answer(k, BAT_OK);
        return;
    default:
        kbd_answer(k, KBD_RESEND);
        return;
    }
    kbd_answer(k, ACK);
}

void ps2_kbd_write(Ps2Kbd *k, uint8_t byte)
{
    trace(ps2_write_keyboard, (void *)k, byte);
    if (k->command && byte < KBD_SET_LEDS) {
        kbd_argument(k, byte);
    } else {
        k->command = 0;
        kbd_command(k, byte);
    }
}

int ps2_kbd_read(Ps2Kbd *k)
{
    int byte = ps2_queue_pop(&k->answer);

    if (byte < 0) {
        byte = ps2_queue_pop(&k->keys);
    }
    if (byte >= 0) {
        k->last = byte;
    }
    return byte;
}

/* ---- keys ---------------------------------------------------------------- */

uint8_t ps2_translate(uint8_t code)
{
    if (code < 0x80) {
        return set2_to_set1[code];
    }
    return code == 0x83 ? KEY_F7 : code == 0x84 ? KEY_SYSRQ : code;
}

/* The set 2 code of a set 1 code without prefix, 0 if there is none. */
static uint8_t kbd_set2(uint8_t set1)
{
    if (set1 == KEY_F7 || set1 == KEY_SYSRQ) {
        return set1 == KEY_F7 ? 0x83 : 0x84;
    }
    for (unsigned i = 1; i < G_N_ELEMENTS(set2_to_set1); i++) {
        if (set2_to_set1[i] == set1) {
            return i;
        }
    }
    return 0;
}

static uint8_t kbd_set3(uint8_t set1, bool extended)
{
    if (!extended) {
        return set1 < G_N_ELEMENTS(set1_to_set3) ? set1_to_set3[set1] : 0;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(extended_set3); i++) {
        if (extended_set3[i][0] == set1) {
            return extended_set3[i][1];
        }
    }
    return 0;
}

static bool kbd_pause(Ps2Kbd *k, bool down)
{
    static const uint8_t set1[] = { 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5 };
    static const uint8_t set2[] = { 0xe1, 0x14, 0x77, 0xe1,
                                    0xf0, 0x14, 0xf0, 0x77 };
    static const uint8_t set3[] = { 0xf0, 0x62 };

    if (k->scan_set == 3) {
        return ps2_queue_push(&k->keys, set3 + down, 2 - down);
    }
    if (!down) {
        return true; /* it has no break code */
    }
    return k->scan_set == 1 ? ps2_queue_push(&k->keys, set1, sizeof(set1))
                            : ps2_queue_push(&k->keys, set2, sizeof(set2));
}

/* Print comes with a shift that is none. */
static bool kbd_print(Ps2Kbd *k, bool down)
{
    static const uint8_t set1[2][4] = { { 0xe0, 0xb7, 0xe0, 0xaa },
                                        { 0xe0, 0x2a, 0xe0, 0x37 } };
    static const uint8_t up2[] = { 0xe0, 0xf0, 0x7c, 0xe0, 0xf0, 0x12 };
    static const uint8_t down2[] = { 0xe0, 0x12, 0xe0, 0x7c };

    if (k->scan_set == 1) {
        return ps2_queue_push(&k->keys, set1[down], 4);
    }
    return down ? ps2_queue_push(&k->keys, down2, sizeof(down2))
                : ps2_queue_push(&k->keys, up2, sizeof(up2));
}

bool ps2_kbd_key(Ps2Kbd *k, unsigned code, bool down)
{
    bool extended = code >> 8 == 0xe0;
    uint8_t set1 = code & 0x7f, out[3], base;
    unsigned n = 0;

    if (!k->enabled) {
        return true;
    }
    if (code == KEY_PAUSE) {
        return kbd_pause(k, down);
    }
    if (code == KEY_PRINT && k->scan_set != 3) {
        return kbd_print(k, down);
    }
    base = k->scan_set == 1   ? set1
           : k->scan_set == 2 ? kbd_set2(set1)
                              : kbd_set3(set1, extended);
    if (base == 0) {
        return true; /* the keyboard has no such key */
    }
    if (extended && k->scan_set != 3) {
        out[n++] = 0xe0;
    }
    if (!down && k->scan_set != 1) {
        out[n++] = BREAK;
    }
    out[n++] = !down && k->scan_set == 1 ? base | 0x80 : base;
    return ps2_queue_push(&k->keys, out, n);
}

static bool kbd_post_load(void *obj, int version, GError **errp)
{
    Ps2Kbd *k = obj;

    if (!ps2_queue_valid(&k->answer) || !ps2_queue_valid(&k->keys) ||
        k->scan_set < 1 || k->scan_set > 3) {
        error_setg(errp, "ps2-kbd: a queue or the scan set is impossible");
        return false;
    }
    return true;
}

static const VMField kbd_fields[] = {
    VM_SUB(Ps2Kbd, answer, vmstate_ps2_queue),
    VM_SUB(Ps2Kbd, keys, vmstate_ps2_queue),
    VM_U8(Ps2Kbd, command),
    VM_U8(Ps2Kbd, scan_set),
    VM_U8(Ps2Kbd, leds),
    VM_U8(Ps2Kbd, typematic),
    VM_BOOL(Ps2Kbd, enabled),
    VM_U8(Ps2Kbd, last),
    VM_FIELDS_END,
};

const VMState vmstate_ps2_kbd = {
    .name = "ps2-kbd",
    .version = 1,
    .min_version = 1,
    .fields = kbd_fields,
    .post_load = kbd_post_load,
};
