/*
 * virtio-serial: a board with ports, and what sits in them: virtconsole (a
 * terminal: hvc0) and virtserialport (a named pipe to a program in the guest).
 * virtio 1.2, 5.3.
 *
 * Queues: 0 and 1 of port 0, 2 and 3 for control messages, 4 and 5 of port 1 and
 * so on; the even ones go to the guest. A port is open at either side or not; the
 * guest hears of the host's side by a control message. Bytes that the host end
 * does not take wait in the guest's buffers; while nobody is at the host end they
 * are dropped, as a serial line would.
 */
#include "util/osdep.h"
#include "chardev/chardev.h"
#include "hw/virtio/virtio.h"
#include "system/hotplug.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/iov.h"
#include "util/log.h"

extern const DeviceClass virtio_serial_device_class, virtio_serial_pci_class;
extern const DeviceClass virtconsole_class, virtserialport_class;

enum { F_SIZE = 0, F_MULTIPORT = 1, F_EMERG_WRITE = 2 };

enum {
    CFG_COLS = 0,
    CFG_ROWS = 2,
    CFG_MAX_PORTS = 4,
    CFG_EMERG = 8,
    CFG_SIZE = 12,
};

/* Control messages, 5.3.6.2. */
enum {
    MSG_DEVICE_READY = 0,
    MSG_DEVICE_ADD = 1,
    MSG_DEVICE_REMOVE = 2,
    MSG_PORT_READY = 3,
    MSG_CONSOLE_PORT = 4,
    MSG_RESIZE = 5,
    MSG_PORT_OPEN = 6,
    MSG_PORT_NAME = 7,
    MSG_SIZE = 8, /* u32 port, u16 event, u16 value */
};

enum {
    PORT_QUEUE_SIZE = 128,
    CONTROL_QUEUE_SIZE = 32,
    PORTS_MAX = 511,
    MESSAGES_MAX = 4096, /* to the guest; with more it is not reading */
    PIECE = 4096,
    TURN = 256 << 10, /* bytes from the guest until others have their turn */
    NR_NEXT = 0xffffffff,
};

typedef struct VirtioSerial VirtioSerial;

typedef struct SerialPort {
    Device dev; /* first */
    VirtioSerial *board;
    VirtQueue *in, *out; /* to the guest, from it */
    bool is_console;
    bool guest_open, host_open; /* what the guest said; what it was told */
    VirtElem *sending; /* a buffer of the guest that is not written fully */
    uint32_t sent;     /* ... but so far */

    Chardev *chr; /* properties */
    char *name, *bus;
    uint32_t nr;
} SerialPort;

struct VirtioSerial {
    VirtioDevice v;
    SerialPort **port; /* max_ports entries, NULL: nothing there */
    VirtQueue *control_in, *control_out;
    GQueue messages; /* of GBytes, to the guest */

    uint32_t max_ports; /* properties */
    bool emergency_write;
};

static VirtioSerial *serial_of(VirtioDevice *v)
{
    return container_of(v, VirtioSerial, v);
}

extern const HotplugBus virtio_serial_hotplug_bus;

static bool multiport(const VirtioSerial *s)
{
    return virtio_has(&s->v, F_MULTIPORT);
}

/* ---- control messages to the guest -------------------------------------------------- */

static void control_flush(VirtioSerial *s)
{
    VirtElem *e;
    GBytes *msg;

    while ((msg = g_queue_peek_head(&s->messages)) != NULL &&
           (e = virtq_pop(s->control_in, sizeof(*e))) != NULL) {
        size_t len;
        const void *p = g_bytes_get_data(msg, &len);

        virtq_push(s->control_in, e, iov_from_buf(e->in, e->n_in, 0, p, len));
        g_bytes_unref(g_queue_pop_head(&s->messages));
    }
    virtq_notify(s->control_in);
}

static void control_send(VirtioSerial *s, uint32_t port, uint16_t event,
                         uint16_t value, const char *text)
{
    size_t extra = text ? strlen(text) : 0;
    uint8_t *p;

    if (!multiport(s) || s->messages.length >= MESSAGES_MAX) {
        return;
    }
    p = g_malloc(MSG_SIZE + extra);
    st_le32(p, port);
    st_le16(p + 4, event);
    st_le16(p + 6, value);
    if (extra) {
        memcpy(p + MSG_SIZE, text, extra);
    }
    g_queue_push_tail(&s->messages, g_bytes_new_take(p, MSG_SIZE + extra));
    control_flush(s);
}

/* ---- data ------------------------------------------------------------------------- */

static bool guest_listens(const SerialPort *p)
{
    const VirtioSerial *s = p->board;

    return s->v.status & VIRTIO_S_DRIVER_OK && (!multiport(s) || p->guest_open);
}

static size_t port_can_receive(void *opaque)
{
    SerialPort *p = opaque;
    size_t in = 0, out;

    if (guest_listens(p) && !p->dev.machine->held) {
        virtq_available(p->in, &in, &out, PIECE, 0);
    }
    return in;
}

/* What came while the machine was held. */
static void port_machine_event(Machine *m, const char *event,
                               const EventValue *values, void *opaque)
{
    SerialPort *p = opaque;

    if (p->chr && strcmp(event, "RESUME") == 0) {
        chardev_resume(p->chr);
    }
}

static void port_receive(void *opaque, const uint8_t *buf, size_t len)
{
    SerialPort *p = opaque;
    VirtElem *e;

    while (len > 0 && (e = virtq_pop(p->in, sizeof(*e))) != NULL) {
        size_t n = iov_from_buf(e->in, e->n_in, 0, buf, len);

        virtq_push(p->in, e, n);
        buf += n;
        len -= n;
    }
    virtq_notify(p->in);
}

/* What is left of p->sending, at most *@turn bytes, which is counted down; true:
 * all of it went. Descriptors may name the same memory again and again: what is
 * beyond 4 GiB is not sent. */
static bool port_write_elem(SerialPort *p, size_t *turn)
{
    uint8_t buf[PIECE];
    size_t n, done;

    while ((n = iov_to_buf(p->sending->out, p->sending->n_out, p->sent, buf,
                           MIN(sizeof(buf), (size_t)UINT32_MAX - p->sent))) >
           0) {
        if (n > *turn) {
            virtq_schedule(p->out);
            return false;
        }
        done = p->chr ? chardev_write(p->chr, buf, n) : n;
        *turn -= done;
        p->sent += (uint32_t)done;
        if (done < n) {
            return false; /* goes on in port_writable() */
        }
    }
    return true;
}

static void port_send(SerialPort *p)
{
    size_t turn = TURN;

    while (p->sending ||
           (p->sending = virtq_pop(p->out, sizeof(VirtElem))) != NULL) {
        if (!port_write_elem(p, &turn)) {
            return;
        }
        virtq_push(p->out, p->sending, 0);
        p->sending = NULL;
        p->sent = 0;
    }
    virtq_notify(p->out);
}

static void port_writable(void *opaque)
{
    SerialPort *p = opaque;

    port_send(p);
    virtq_notify(p->out);
}

static void port_host(SerialPort *p, bool open)
{
    p->host_open = open;
    control_send(p->board, p->nr, MSG_PORT_OPEN, open, NULL);
}

static void port_event(void *opaque, CharEvent event)
{
    SerialPort *p = opaque;

    if (event == CHAR_OPENED || event == CHAR_CLOSED) {
        port_host(p, event == CHAR_OPENED);
    }
}

static const CharClient port_client = {
    .can_receive = port_can_receive,
    .receive = port_receive,
    .writable = port_writable,
    .event = port_event,
};

/* Queue number to port; NULL: nobody has plugged one in. */
static SerialPort *port_of_queue(VirtioSerial *s, const VirtQueue *vq)
{
    unsigned i = virtq_index(vq) / 2;

    return s->port[i == 0 ? 0 : i - 1];
}

static void serial_to_guest(VirtioDevice *v, VirtQueue *vq)
{
    SerialPort *p = port_of_queue(serial_of(v), vq);

    if (p && p->chr) {
        chardev_resume(p->chr);
    }
}

static void serial_from_guest(VirtioDevice *v, VirtQueue *vq)
{
    SerialPort *p = port_of_queue(serial_of(v), vq);
    VirtElem *e;

    if (p) {
        port_send(p);
        return;
    }
    while ((e = virtq_pop(vq, sizeof(*e))) != NULL) {
        virtq_push(vq, e, 0);
    }
    virtq_notify(vq);
}

/* ---- control messages from the guest ------------------------------------------------- */

static void guest_open(SerialPort *p, bool open)
{
    const char *id = p->dev.id;

    if (open == p->guest_open) {
        return;
    }
    p->guest_open = open;
    if (!p->is_console && id) {
        machine_emit(p->dev.machine, "VSERPORT_CHANGE",
                     EVENT_BOOL("open", open), EVENT_STR("id", id));
    }
    if (open && p->chr) {
        chardev_resume(p->chr);
    }
}

static void port_ready(SerialPort *p)
{
    VirtioSerial *s = p->board;

    if (p->is_console) {
        control_send(s, p->nr, MSG_CONSOLE_PORT, 1, NULL);
    }
    if (p->name) {
        control_send(s, p->nr, MSG_PORT_NAME, 1, p->name);
    }
    if (p->host_open) {
        control_send(s, p->nr, MSG_PORT_OPEN, 1, NULL);
    }
}

static void device_ready(VirtioSerial *s, bool ok)
{
    if (!ok) {
        log_mask(LOG_GUEST_ERROR, "virtio-serial: the driver gave up\n");
        return;
    }
    for (uint32_t i = 0; i < s->max_ports; i++) {
        if (s->port[i]) {
            control_send(s, i, MSG_DEVICE_ADD, 1, NULL);
        }
    }
}

static void control_message(VirtioSerial *s, const uint8_t *msg)
{
    uint32_t nr = ld_le32(msg);
    uint16_t event = ld_le16(msg + 4), value = ld_le16(msg + 6);
    SerialPort *p = nr < s->max_ports ? s->port[nr] : NULL;

    if (event == MSG_DEVICE_READY) {
        device_ready(s, value);
        return;
    }
    if (!p) {
        log_mask(LOG_GUEST_ERROR, "virtio-serial: message %u for port %u\n",
                 event, nr);
        return;
    }
    switch (event) {
    case MSG_PORT_READY:
        if (value) {
            port_ready(p);
        }
        break;
    case MSG_PORT_OPEN:
        guest_open(p, value);
        break;
    default:
        log_mask(LOG_GUEST_ERROR, "virtio-serial: message %u\n", event);
    }
}

static void serial_control_out(VirtioDevice *v, VirtQueue *vq)
{
    VirtElem *e;
    uint8_t msg[MSG_SIZE];

    while ((e = virtq_pop(vq, sizeof(*e))) != NULL) {
        if (iov_to_buf(e->out, e->n_out, 0, msg, MSG_SIZE) == MSG_SIZE) {
            control_message(serial_of(v), msg);
        }
        virtq_push(vq, e, 0);
    }
    virtq_notify(vq);
}

static void serial_control_in(VirtioDevice *v, VirtQueue *vq)
{
    control_flush(serial_of(v));
}

/* ---- the device ------------------------------------------------------------------- */

static uint64_t serial_features(VirtioDevice *v)
{
    VirtioSerial *s = serial_of(v);

    return (s->max_ports > 1 ? VIRTIO_BIT(F_MULTIPORT) : 0) |
           (s->emergency_write ? VIRTIO_BIT(F_EMERG_WRITE) : 0);
}

static void serial_get_config(VirtioDevice *v, uint8_t *config)
{
    st_le32(config + CFG_MAX_PORTS, serial_of(v)->max_ports);
}

/* A character from a guest that has no rings yet, or none any more. */
static void serial_set_config(VirtioDevice *v, const uint8_t *config)
{
    VirtioSerial *s = serial_of(v);
    uint8_t c = config[CFG_EMERG];

    if (s->emergency_write && c && s->port[0] && s->port[0]->chr) {
        chardev_write(s->port[0]->chr, &c, 1);
    }
}

static void port_forget(SerialPort *p)
{
    if (p->sending) {
        virtq_forget(p->out, p->sending);
    }
    p->sending = NULL;
    p->sent = 0;
}

static void serial_dev_reset(VirtioDevice *v)
{
    VirtioSerial *s = serial_of(v);

    for (uint32_t i = 0; i < s->max_ports; i++) {
        if (s->port[i]) {
            port_forget(s->port[i]);
            guest_open(s->port[i], false);
        }
    }
    g_queue_clear_full(&s->messages, (GDestroyNotify)g_bytes_unref);
}

/* A driver without multiport has one port, which is open. */
static void serial_status(VirtioDevice *v, uint8_t old)
{
    VirtioSerial *s = serial_of(v);
    SerialPort *p = s->port[0];

    if (~old & v->status & VIRTIO_S_DRIVER_OK && !multiport(s) && p && p->chr) {
        chardev_resume(p->chr);
    }
}

static const VirtioOps virtio_serial_ops = {
    .name = "virtio-serial",
    .id = 3,
    .pci_class = 0x078000,
    .config_size = CFG_SIZE,
    .features = serial_features,
    .get_config = serial_get_config,
    .set_config = serial_set_config,
    .status_changed = serial_status,
    .reset = serial_dev_reset,
};

static bool serial_realize(Device *dev, GError **errp)
{
    VirtioSerial *s = container_of(dev, VirtioSerial, v.pci.dev);

    if (!s->max_ports || s->max_ports > PORTS_MAX) {
        error_setg(errp, "Invalid value for max_ports: %u: must be 1 to %d",
                   s->max_ports, PORTS_MAX);
        return false;
    }
    g_queue_init(&s->messages);
    s->port = g_new0(SerialPort *, s->max_ports);
    virtio_add_queue(&s->v, PORT_QUEUE_SIZE, serial_to_guest);
    virtio_add_queue(&s->v, PORT_QUEUE_SIZE, serial_from_guest);
    if (s->max_ports > 1) {
        s->control_in =
            virtio_add_queue(&s->v, CONTROL_QUEUE_SIZE, serial_control_in);
        s->control_out =
            virtio_add_queue(&s->v, CONTROL_QUEUE_SIZE, serial_control_out);
    }
    for (uint32_t i = 1; i < s->max_ports; i++) {
        virtio_add_queue(&s->v, PORT_QUEUE_SIZE, serial_to_guest);
        virtio_add_queue(&s->v, PORT_QUEUE_SIZE, serial_from_guest);
    }
    if (!virtio_realize(&s->v, &virtio_serial_ops, errp)) {
        g_free(s->port);
        return false;
    }
    return true;
}

static void serial_unrealize(Device *dev)
{
    VirtioSerial *s = container_of(dev, VirtioSerial, v.pci.dev);

    g_queue_clear_full(&s->messages, (GDestroyNotify)g_bytes_unref);
    virtio_unrealize(&s->v);
    g_free(s->port);
}

static void serial_reset(Device *dev)
{
    virtio_reset(&container_of(dev, VirtioSerial, v.pci.dev)->v);
}

/* Messages that wait are not saved: the guest asks for none twice. What a port
 * told the guest is in the port's own table. */
VIRTIO_VMSTATES(serial, "virtio-serial", VirtioSerial, NULL)

/* clang-format off */
#define SERIAL_PROPS \
    { "max_ports", PROP_U32, offsetof(VirtioSerial, max_ports), 31, \
      "ports that the board has room for" }, \
    { "emergency-write", PROP_BOOL, offsetof(VirtioSerial, emergency_write), \
      1, "characters can be written without a ring" }
/* clang-format on */

static const Property serial_device_props[] = {
    SERIAL_PROPS,
    VIRTIO_PROPS,
    VIRTIO_MMIO_PROPS,
    { .kind = PROP_END },
};

const DeviceClass virtio_serial_device_class = {
    .name = "virtio-serial-device",
    .desc = "Board of serial ports, on virtio-mmio",
    .category = DEVICE_INPUT,
    .bus = "virtio-bus",
    .size = sizeof(VirtioSerial),
    .props = serial_device_props,
    .vmstate = &vmstate_serial_device,
    .realize = serial_realize,
    .reset = serial_reset,
    .unrealize = serial_unrealize,
};

static const Property serial_pci_props[] = {
    SERIAL_PROPS,
    VIRTIO_PROPS,
    VIRTIO_PCI_PROPS,
    { .kind = PROP_END },
};

const DeviceClass virtio_serial_pci_class = {
    .name = "virtio-serial-pci",
    .alias = "virtio-serial",
    .desc = "Board of serial ports",
    .category = DEVICE_INPUT,
    .bus = "PCI",
    .size = sizeof(VirtioSerial),
    .props = serial_pci_props,
    .vmstate = &vmstate_serial_pci,
    .realize = serial_realize,
    .reset = serial_reset,
    .unrealize = serial_unrealize,
};

/* ---- ports ------------------------------------------------------------------------ */

static bool is_board(const Device *dev)
{
    return dev->cls == &virtio_serial_pci_class ||
           dev->cls == &virtio_serial_device_class;
}

/* "ID.0" names the board ID; without bus= the first one with room. */
static VirtioSerial *find_board(SerialPort *p, GError **errp)
{
    GPtrArray *devices = p->dev.machine->devices;

    for (guint i = 0; i < devices->len; i++) {
        Device *dev = devices->pdata[i];
        g_autofree char *bus =
            g_strconcat(dev->id ? dev->id : "virtio-serial-bus", ".0", NULL);

        if (is_board(dev) && (!p->bus || !strcmp(p->bus, bus))) {
            return container_of(dev, VirtioSerial, v.pci.dev);
        }
    }
    if (p->bus) {
        error_setg(errp, "Bus '%s' not found", p->bus);
    } else {
        error_setg(errp,
                   "No 'virtio-serial-bus' bus found for device '%s': give "
                   "-device virtio-serial-pci before it",
                   p->dev.cls->name);
    }
    return NULL;
}

/* Port 0 is for a console: old guests look for one there. */
static bool choose_nr(SerialPort *p, GError **errp)
{
    VirtioSerial *s = p->board;

    if (p->nr == NR_NEXT) {
        for (p->nr = p->is_console ? 0 : 1;
             p->nr < s->max_ports && s->port[p->nr]; p->nr++) {
        }
        if (p->nr >= s->max_ports) {
            error_setg(errp, "Maximum port limit for this device reached");
            return false;
        }
    }
    if (p->nr >= s->max_ports) {
        error_setg(errp, "Out-of-range port id specified, max. allowed: %u",
                   s->max_ports - 1);
        return false;
    }
    if (p->nr == 0 && !p->is_console) {
        error_setg(errp, "Port number 0 on virtio-serial devices reserved for "
                         "virtconsole devices for backward compatibility.");
        return false;
    }
    if (s->port[p->nr]) {
        error_setg(errp, "A port already exists at id %u", p->nr);
        return false;
    }
    return true;
}

static bool name_is_free(const SerialPort *p, GError **errp)
{
    for (uint32_t i = 0; p->name && i < p->board->max_ports; i++) {
        const SerialPort *q = p->board->port[i];

        if (q && q->name && !strcmp(q->name, p->name)) {
            error_setg(errp, "A port already exists by name %s", p->name);
            return false;
        }
    }
    return true;
}

static bool port_realize(Device *dev, GError **errp)
{
    SerialPort *p = container_of(dev, SerialPort, dev);
    VirtioSerial *s = find_board(p, errp);
    unsigned queue;

    p->board = s;
    p->is_console = dev->cls == &virtconsole_class;
    if (!s || !choose_nr(p, errp) || !name_is_free(p, errp)) {
        return false;
    }
    queue = p->nr == 0 ? 0 : 2 * (p->nr + 1);
    p->in = s->v.queue[queue];
    p->out = s->v.queue[queue + 1];
    p->host_open = !p->chr; /* nobody can hang up */
    s->port[p->nr] = p;
    p->dev.parent = &s->v.pci.dev;
    if (p->chr && !chardev_attach(p->chr, &port_client, p, errp)) {
        s->port[p->nr] = NULL;
        return false;
    }
    machine_watch(dev->machine, port_machine_event, p);
    return true;
}

static void port_plugged(Device *dev)
{
    const SerialPort *p = container_of(dev, SerialPort, dev);

    control_send(p->board, p->nr, MSG_DEVICE_ADD, 1, NULL);
}

/* The guest gets back what it was sending, and hears of the end. */
static bool port_unplug(Device *dev, GError **errp)
{
    SerialPort *p = container_of(dev, SerialPort, dev);

    if (p->sending) {
        virtq_push(p->out, g_steal_pointer(&p->sending), 0);
        virtq_notify(p->out);
        p->sent = 0;
    }
    control_send(p->board, p->nr, MSG_DEVICE_REMOVE, 1, NULL);
    hotplug_remove(dev);
    return true;
}

const HotplugBus virtio_serial_hotplug_bus = {
    .bus = "virtio-serial-bus",
    .plugged = port_plugged,
    .unplug = port_unplug,
};

static void port_unrealize(Device *dev)
{
    SerialPort *p = container_of(dev, SerialPort, dev);

    machine_unwatch(dev->machine, port_machine_event, p);
    if (p->chr) {
        chardev_detach(p->chr, p);
    }
    port_forget(p);
    p->board->port[p->nr] = NULL;
}

/* The rest of a buffer comes again from the ring; p->sent says where to go on.
 * The host end is as it is now, and the guest hears of that. */
static bool port_post_load(void *obj, int version, GError **errp)
{
    SerialPort *p = obj;

    g_clear_pointer(&p->sending, g_free);
    if (p->chr && p->host_open != p->chr->is_open) {
        uint8_t *msg = g_malloc(MSG_SIZE);

        p->host_open = p->chr->is_open;
        st_le32(msg, p->nr);
        st_le16(msg + 4, MSG_PORT_OPEN);
        st_le16(msg + 6, p->host_open);
        if (multiport(p->board)) {
            g_queue_push_tail(&p->board->messages,
                              g_bytes_new_take(msg, MSG_SIZE));
            virtq_schedule(p->board->control_in);
        } else {
            g_free(msg);
        }
    }
    return true;
}

static const VMState vmstate_port = {
    .name = "virtserialport",
    .version = 1,
    .min_version = 1,
    .post_load = port_post_load,
    .fields =
        (const VMField[]) {
            VM_BOOL(SerialPort, guest_open),
            VM_BOOL(SerialPort, host_open),
            VM_U32(SerialPort, sent),
            VM_FIELDS_END,
        },
};

static const Property port_props[] = {
    { "chardev", PROP_CHARDEV, offsetof(SerialPort, chr), 0,
      "host end of the line" },
    { "name", PROP_STRING, offsetof(SerialPort, name), 0,
      "name in the guest: /dev/virtio-ports/NAME" },
    { "nr", PROP_U32, offsetof(SerialPort, nr), NR_NEXT,
      "number of the port; default: the next free one" },
    { "bus", PROP_STRING, offsetof(SerialPort, bus), 0,
      "board to sit in: ID.0 of a virtio-serial" },
    { .kind = PROP_END },
};

const DeviceClass virtconsole_class = {
    .name = "virtconsole",
    .desc = "Terminal of the guest (hvc0) in a port of virtio-serial",
    .category = DEVICE_INPUT,
    .bus = "virtio-serial-bus",
    .size = sizeof(SerialPort),
    .props = port_props,
    .vmstate = &vmstate_port,
    .realize = port_realize,
    .unrealize = port_unrealize,
};

const DeviceClass virtserialport_class = {
    .name = "virtserialport",
    .desc = "Named byte stream in a port of virtio-serial",
    .category = DEVICE_INPUT,
    .bus = "virtio-serial-bus",
    .size = sizeof(SerialPort),
    .props = port_props,
    .vmstate = &vmstate_port,
    .realize = port_realize,
    .unrealize = port_unrealize,
};
