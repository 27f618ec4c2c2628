/*
 * A PS/2 mouse: three buttons, and after the right knock (sample rates 200,
 * 100, 80 or 200, 200, 80) a wheel or a wheel and five buttons.
 *
 * IBM PS/2 Hardware Interface Technical Reference, "Mouse"; Microsoft's
 * IntelliMouse protocol. Counts that find no room in the queue are added to
 * the next packet.
 *
 * Not modelled: scaling and resolution change nothing but the status; packets
 * come as events do, whatever the sample rate.
 */
#include "util/osdep.h"
#include "util/error.h"
#include "hw/input/ps2.h"
#include "util/trace.h"

enum {
    MOUSE_SCALING_1 = 0xe6,
    MOUSE_SCALING_2 = 0xe7,
    MOUSE_RESOLUTION = 0xe8,
    MOUSE_STATUS = 0xe9,
    MOUSE_STREAM = 0xea,
    MOUSE_READ = 0xeb,
    MOUSE_WRAP_OFF = 0xec,
    MOUSE_WRAP_ON = 0xee,
    MOUSE_REMOTE = 0xf0,
    MOUSE_IDENTIFY = 0xf2,
    MOUSE_RATE = 0xf3,
    MOUSE_ENABLE = 0xf4,
    MOUSE_DISABLE = 0xf5,
    MOUSE_DEFAULTS = 0xf6,
    MOUSE_RESEND = 0xfe,
    MOUSE_RESET = 0xff,
    ACK = 0xfa,
    NAK = 0xfe,
    BAT_OK = 0xaa,
    ID_WHEEL = 3,
    ID_FIVE_BUTTONS = 4,
    COUNT_MAX = 127,
    PENDING_MAX = 32767, /* more motion than this waits for nobody */
};

enum { MAGIC_NONE, MAGIC_200, MAGIC_200_100, MAGIC_200_200 };

static void mouse_answer(Ps2Mouse *m, uint8_t byte)
{
    ps2_queue_push(&m->answer, &byte, 1);
}

static void mouse_defaults(Ps2Mouse *m)
{
    m->rate = 100;
    m->resolution = 2;
    m->scaling = m->remote = m->enabled = m->wrap = false;
    m->packets.count = 0;
    m->dx = m->dy = m->dz = 0;
}

void ps2_mouse_reset(Ps2Mouse *m)
{
    *m = (Ps2Mouse) { .command = 0 };
    mouse_defaults(m);
}

/* ---- packets ------------------------------------------------------------- */

static int mouse_take(int32_t *sum, int max)
{
    int n = CLAMP(*sum, -max - 1, max);

    *sum -= n;
    return n;
}

/* False: no room. What it reports is taken from the sums. */
static bool mouse_packet(Ps2Mouse *m, Ps2Queue *q)
{
    uint8_t p[4];
    unsigned n = m->id == 0 ? 3 : 4;
    int dx, dy, dz;

    if (n > PS2_QUEUE_SIZE - (unsigned)q->count) {
        return false;
    }
    dx = mouse_take(&m->dx, COUNT_MAX);
    dy = mouse_take(&m->dy, COUNT_MAX);
    dz = mouse_take(&m->dz, 7);
    p[0] = 0x08 | (m->buttons & 7) | (dx < 0) << 4 | (dy < 0) << 5;
    p[1] = dx;
    p[2] = dy;
    p[3] =
        m->id == ID_FIVE_BUTTONS ? (dz & 0xf) | (m->buttons & 0x18) << 1 : dz;
    if (m->id == 0) {
        m->dz = 0;
    }
    return ps2_queue_push(q, p, n);
}

void ps2_mouse_event(Ps2Mouse *m, int dx, int dy, int dz, unsigned buttons)
{
    bool pressed = (buttons & 0x1f) != m->buttons;

    m->dx = CLAMP((int64_t)m->dx + dx, -PENDING_MAX, PENDING_MAX);
    m->dy = CLAMP((int64_t)m->dy + dy, -PENDING_MAX, PENDING_MAX);
    m->dz = CLAMP((int64_t)m->dz + dz, -PENDING_MAX, PENDING_MAX);
    m->buttons = buttons & 0x1f;
    if (!m->enabled || m->remote) {
        return;
    }
    while (pressed || m->dx || m->dy || (m->dz && m->id)) {
        if (!mouse_packet(m, &m->packets)) {
            return;
        }
        pressed = false;
    }
}

/* ---- commands ------------------------------------------------------------ */

/* Sample rates that are a knock, not a rate. */
static void mouse_knock(Ps2Mouse *m, uint8_t rate)
{
    uint8_t heard = m->magic;

    m->magic = MAGIC_NONE;
    if (heard == MAGIC_200 && rate == 100) {
        m->magic = MAGIC_200_100;
    } else if (heard == MAGIC_200 && rate == 200) {
        m->magic = MAGIC_200_200;
    } else if (heard == MAGIC_200_100 && rate == 80) {
        m->id = ID_WHEEL;
    } else if (heard == MAGIC_200_200 && rate == 80) {
        m->id = ID_FIVE_BUTTONS;
    } else if (rate == 200) {
        m->magic = MAGIC_200;
    }
}

static void mouse_argument(Ps2Mouse *m, uint8_t byte)
{
    if (m->command == MOUSE_RATE) {
        m->rate = byte;
        mouse_knock(m, byte);
    } else {
        m->resolution = byte & 3;
    }
    m->command = 0;
    mouse_answer(m, ACK);
}

static void mouse_status(Ps2Mouse *m)
{
    uint8_t left = m->buttons & 1, right = m->buttons >> 1 & 1;
    uint8_t middle = m->buttons >> 2 & 1;

    mouse_answer(m, ACK);
    mouse_answer(m, m->remote << 6 | m->enabled << 5 | m->scaling << 4 |
                        left << 2 | middle << 1 | right);
    mouse_answer(m, m->resolution);
    mouse_answer(m, m->rate);
}

static void mouse_command(Ps2Mouse *m, uint8_t byte)
{
    switch (byte) {
    case MOUSE_SCALING_1:
    case MOUSE_SCALING_2:
        m->scaling = byte == MOUSE_SCALING_2;
        break;
    case MOUSE_RESOLUTION:
    case MOUSE_RATE:
        m->command = byte;
        break;
    case MOUSE_STATUS:
        mouse_status(m);
        return;
    case MOUSE_STREAM:
    case MOUSE_REMOTE:
        m->remote = byte == MOUSE_REMOTE;
        break;
    case MOUSE_READ:
        mouse_answer(m, ACK);
        mouse_packet(m, &m->answer);
        return;
    case MOUSE_WRAP_OFF:
    case MOUSE_WRAP_ON:
        m->wrap = byte == MOUSE_WRAP_ON;
        break;
    case MOUSE_IDENTIFY:
        mouse_answer(m, ACK);
        mouse_answer(m, m->id);
        return;
    case MOUSE_ENABLE:
    case MOUSE_DISABLE:
        m->enabled = byte == MOUSE_ENABLE;
        break;
    case MOUSE_DEFAULTS:
        mouse_defaults(m);
        break;
    case MOUSE_RESEND:
        mouse_answer(m, m->last);
        return;
    case MOUSE_RESET:
        ps2_mouse_reset(m);
        mouse_answer(m, ACK);
        mouse_answer(m, BAT_OK);
        mouse_answer(m, m->id);
        return;
    default:
        mouse_answer(m, NAK);
        return;
    }
    mouse_answer(m, ACK);
}

void ps2_mouse_write(Ps2Mouse *m, uint8_t byte)
{
    trace(ps2_write_mouse, (void *)m, byte);
    if (m->wrap && byte != MOUSE_RESET && byte != MOUSE_WRAP_OFF) {
        mouse_answer(m, byte);
    } else if (m->command) {
        mouse_argument(m, byte);
    } else {
        mouse_command(m, byte);
    }
}

int ps2_mouse_read(Ps2Mouse *m)
{
    int byte = ps2_queue_pop(&m->answer);

    if (byte < 0) {
        byte = ps2_queue_pop(&m->packets);
    }
    if (byte >= 0) {
        m->last = byte;
    }
    return byte;
}

static bool mouse_post_load(void *obj, int version, GError **errp)
{
    Ps2Mouse *m = obj;

    if (!ps2_queue_valid(&m->answer) || !ps2_queue_valid(&m->packets)) {
        error_setg(errp, "ps2-mouse: a queue is impossible");
        return false;
    }
    m->dx = CLAMP(m->dx, -PENDING_MAX, PENDING_MAX);
    m->dy = CLAMP(m->dy, -PENDING_MAX, PENDING_MAX);
    m->dz = CLAMP(m->dz, -PENDING_MAX, PENDING_MAX);
    return true;
}

static const VMField mouse_fields[] = {
    VM_SUB(Ps2Mouse, answer, vmstate_ps2_queue),
    VM_SUB(Ps2Mouse, packets, vmstate_ps2_queue),
    VM_U8(Ps2Mouse, command),
    VM_U8(Ps2Mouse, id),
    VM_U8(Ps2Mouse, rate),
    VM_U8(Ps2Mouse, resolution),
    VM_U8(Ps2Mouse, magic),
    VM_BOOL(Ps2Mouse, enabled),
    VM_BOOL(Ps2Mouse, remote),
    VM_BOOL(Ps2Mouse, wrap),
    VM_BOOL(Ps2Mouse, scaling),
    VM_U8(Ps2Mouse, buttons),
    VM_I32(Ps2Mouse, dx),
    VM_I32(Ps2Mouse, dy),
    VM_I32(Ps2Mouse, dz),
    VM_U8(Ps2Mouse, last),
    VM_FIELDS_END,
};

const VMState vmstate_ps2_mouse = {
    .name = "ps2-mouse",
    .version = 1,
    .min_version = 1,
    .fields = mouse_fields,
    .post_load = mouse_post_load,
};
