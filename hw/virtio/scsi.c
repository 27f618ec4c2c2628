/*
 * virtio-scsi: a board that disks and CD-ROM drives are plugged into. virtio
 * 1.2, 5.6.
 *
 * Queue 0 takes task management, queue 1 has buffers for events, the others take
 * commands. A command is a header and the CDB that the device reads, then data;
 * a response with sense that the device writes, then data. However the driver
 * cuts them, the data goes between guest memory and the disk without a copy.
 *
 * A task management request that ends others waits for their host I/O. Nothing
 * of either is saved: the rings give them all back after loading.
 *
 * Not modelled: commands with data in both directions, protection information,
 * asynchronous notifications (none are ever sent).
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/iov.h"
#include "hw/scsi/scsi.h"
#include "hw/virtio/virtio.h"

extern const DeviceClass virtio_scsi_device_class, virtio_scsi_pci_class;

enum { F_HOTPLUG = 1, F_CHANGE = 2 };

/* Offsets in the configuration space, 5.6.4. */
enum {
    CFG_NUM_QUEUES = 0,
    CFG_SEG_MAX = 4,
    CFG_MAX_SECTORS = 8,
    CFG_CMD_PER_LUN = 12,
    CFG_EVENT_SIZE = 16,
    CFG_SENSE_SIZE = 20,
    CFG_CDB_SIZE = 24,
    CFG_MAX_CHANNEL = 28,
    CFG_MAX_TARGET = 30,
    CFG_MAX_LUN = 32,
    CFG_SIZE = 36,
};

enum {
    MAX_TARGET = 255,
    MAX_LUN = 16383,
    SENSE_STANDARD = 96, /* bytes, until the driver says otherwise */
    CDB_STANDARD = 32,
    SENSE_LIMIT = 65535,
    CDB_LIMIT = 255,
    HEADER_SIZE = 19, /* of a command, before the CDB */
    RESPONSE_SIZE = 12,
    EVENT_SIZE = 16,
    TMF_SIZE = 24,
    AN_SIZE = 16,
    QUEUES_AUTO = 0xffffffff,
    FIXED_QUEUES = 2,
};

/* Control requests and their kinds, 5.6.6.2. */
enum { CONTROL_TMF = 0, CONTROL_AN_QUERY = 1, CONTROL_AN_SUBSCRIBE = 2 };
enum {
    TMF_ABORT_TASK,
    TMF_ABORT_TASK_SET,
    TMF_CLEAR_ACA,
    TMF_CLEAR_TASK_SET,
    TMF_NEXUS_RESET,
    TMF_UNIT_RESET,
    TMF_QUERY_TASK,
    TMF_QUERY_TASK_SET,
};

enum {
    S_OK = 0,
    S_OVERRUN = 1,
    S_ABORTED = 2,
    S_BAD_TARGET = 3,
    S_RESET = 4,
    S_FAILURE = 9,
    S_FUNCTION_SUCCEEDED = 10,
    S_FUNCTION_REJECTED = 11,
    S_INCORRECT_LUN = 12,
};

#define EVENTS_MISSED 0x80000000u
enum { T_NO_EVENT = 0, T_TRANSPORT_RESET = 1, T_PARAM_CHANGE = 3 };
enum { RESET_RESCAN = 1, RESET_REMOVED = 2 }; /* reasons of the second */

typedef struct VirtioScsi {
    VirtioDevice v;
    ScsiBus bus;
    VirtQueue *control, *events;
    GQueue waiting; /* of TmfRequest *: for the end of commands */

    uint32_t sense_size, cdb_size; /* these are saved */
    bool events_missed;

    uint32_t num_queues, queue_size, max_sectors, cmd_per_lun; /* properties */
    bool seg_max_adjust, param_change, hotplug;
} VirtioScsi;

typedef struct CmdRequest {
    VirtElem elem; /* first */
    VirtioScsi *s;
    VirtQueue *vq;
    uint64_t tag;
    struct iovec *slice; /* data buffers, if a part of elem's array won't do */
    ScsiRequest scsi;
} CmdRequest;

typedef struct TmfRequest {
    VirtElem elem; /* first */
    uint32_t subtype;
    unsigned target, lun;
    uint64_t tag;
    uint64_t seq; /* younger commands are not meant */
} TmfRequest;

static VirtioScsi *scsi_of(VirtioDevice *v)
{
    return container_of(v, VirtioScsi, v);
}

/* ---- addresses -------------------------------------------------------------------- */

/* 5.6.6.1: 1, target, unit in two bytes, zeroes. */
static bool parse_lun(const uint8_t *p, unsigned *target, unsigned *lun)
{
    *target = p[1];
    *lun = ld_be16(p + 2) & 0x3fff;
    return p[0] == 1 && (!p[2] || (p[2] & 0xc0) == 0x40) && !ld_be32(p + 4);
}

static void put_lun(uint8_t *p, const ScsiDevice *d)
{
    memset(p, 0, 8);
    p[0] = 1;
    p[1] = (uint8_t)d->target;
    st_be16(p + 2, (uint16_t)(d->lun | (d->lun < 256 ? 0 : 0x4000)));
}

/* ---- the end of a command --------------------------------------------------------------- */

static void tmf_look(VirtioScsi *s);

static void cmd_respond(CmdRequest *r, uint8_t response)
{
    const ScsiRequest *q = &r->scsi;
    size_t data = MAX(q->in_len, q->out_len);
    size_t head = RESPONSE_SIZE + r->s->sense_size;
    uint8_t buf[RESPONSE_SIZE + SCSI_SENSE_SIZE] = { 0 };
    unsigned sense = MIN(q->sense_len, r->s->sense_size);

    if (response == S_OK) {
        st_le32(buf, sense);
        st_le32(buf + 4, (uint32_t)MIN(data - q->moved, UINT32_MAX));
        buf[10] = q->status;
        memcpy(buf + RESPONSE_SIZE, q->sense, sense);
    }
    buf[11] = response;
    iov_from_buf(r->elem.in, r->elem.n_in, 0, buf, RESPONSE_SIZE + sense);
    g_free(r->slice);
    virtq_push(r->vq, &r->elem, head + (q->in_len ? q->moved : 0));
}

static void bus_complete(ScsiRequest *q)
{
    static const uint8_t responses[] = {
        [SCSI_DONE] = S_OK,
        [SCSI_OVERRUN] = S_OVERRUN,
        [SCSI_ABORTED] = S_ABORTED,
        [SCSI_RESET] = S_RESET,
    };
    CmdRequest *r = container_of(q, CmdRequest, scsi);
    VirtioScsi *s = r->s;
    VirtQueue *vq = r->vq;

    cmd_respond(r, responses[q->outcome]);
    virtq_notify(vq);
    tmf_look(s);
}

static void bus_forget(ScsiRequest *q)
{
    CmdRequest *r = container_of(q, CmdRequest, scsi);

    g_free(r->slice);
    virtq_forget(r->vq, &r->elem);
}

/* ---- commands ------------------------------------------------------------------------------ */

/* What is behind @skip bytes of @iov; *slice when it is a copy of the array. */
static const struct iovec *data_behind(const struct iovec *iov, int *n,
                                       size_t skip, struct iovec **slice)
{
    size_t at = skip;
    int i = 0;

    while (i < *n && at >= iov[i].iov_len) {
        at -= iov[i++].iov_len;
    }
    if (!at || i == *n) {
        *n -= i;
        return iov + i;
    }
    *slice = g_new(struct iovec, (size_t)(*n - i));
    *n = iov_slice(iov + i, *n - i, at, SIZE_MAX, *slice);
    return *slice;
}

/* False: FAILURE, there is data both ways. */
static bool cmd_buffers(CmdRequest *r)
{
    size_t out = HEADER_SIZE + r->s->cdb_size;
    size_t in = RESPONSE_SIZE + r->s->sense_size;
    ScsiRequest *q = &r->scsi;

    q->in = q->out = NULL;
    q->n_in = q->n_out = 0;
    q->in_len = r->elem.in_len - in;
    q->out_len = r->elem.out_len - out;
    if (q->in_len && q->out_len) {
        return false;
    }
    if (q->in_len) {
        q->n_in = r->elem.n_in;
        q->in = data_behind(r->elem.in, &q->n_in, in, &r->slice);
    } else if (q->out_len) {
        q->n_out = r->elem.n_out;
        q->out = data_behind(r->elem.out, &q->n_out, out, &r->slice);
    }
    return true;
}

static void cmd_start(CmdRequest *r)
{
    VirtioScsi *s = r->s;
    uint8_t head[HEADER_SIZE];
    unsigned target, lun;

    r->slice = NULL;
    r->scsi.sense_len = 0;
    r->scsi.moved = 0;
    if (r->elem.out_len < HEADER_SIZE + s->cdb_size ||
        r->elem.in_len < RESPONSE_SIZE + s->sense_size) {
        virtio_broken(&s->v, "a command of %zu bytes, %zu for its response",
                      r->elem.out_len, r->elem.in_len);
        virtq_forget(r->vq, &r->elem);
        return;
    }
    iov_to_buf(r->elem.out, r->elem.n_out, 0, head, HEADER_SIZE);
    r->tag = ld_le64(head + 8);
    if (!cmd_buffers(r)) {
        cmd_respond(r, S_FAILURE);
        return;
    }
    if (!parse_lun(head, &target, &lun) || !scsi_has_target(&s->bus, target)) {
        cmd_respond(r, S_BAD_TARGET);
        return;
    }
    memset(r->scsi.cdb, 0, SCSI_CDB_MAX);
    iov_to_buf(r->elem.out, r->elem.n_out, HEADER_SIZE, r->scsi.cdb,
               MIN(s->cdb_size, SCSI_CDB_MAX));
    scsi_submit(&s->bus, target, lun, &r->scsi);
}

static void scsi_handle_commands(VirtioDevice *v, VirtQueue *vq)
{
    ScsiBus *bus = &scsi_of(v)->bus;
    CmdRequest *r;

    scsi_bus_plug(bus, true);
    do {
        virtq_want_notify(vq, false);
        while ((r = virtq_pop(vq, sizeof(*r)))) {
            r->s = scsi_of(v);
            r->vq = vq;
            cmd_start(r);
        }
    } while (virtq_want_notify(vq, true));
    scsi_bus_plug(bus, false);
    virtq_notify(vq);
}

/* ---- task management ------------------------------------------------------------------------- */

static bool tmf_means(const TmfRequest *t, const ScsiRequest *q)
{
    const CmdRequest *r = container_of(q, CmdRequest, scsi);

    if (q->target != t->target || q->seq > t->seq) {
        return false;
    }
    switch (t->subtype) {
    case TMF_NEXUS_RESET:
        return true;
    case TMF_ABORT_TASK:
    case TMF_QUERY_TASK:
        return q->lun == t->lun && r->tag == t->tag;
    default:
        return q->lun == t->lun;
    }
}

/* The first that it means, or NULL. */
static ScsiRequest *tmf_next(const VirtioScsi *s, const TmfRequest *t)
{
    for (const GList *l = s->bus.requests.head; l; l = l->next) {
        if (tmf_means(t, l->data)) {
            return l->data;
        }
    }
    return NULL;
}

static void tmf_respond(VirtioScsi *s, TmfRequest *t, uint8_t response)
{
    iov_from_buf(t->elem.in, t->elem.n_in, 0, &response, 1);
    virtq_push(s->control, &t->elem, 1);
    virtq_notify(s->control);
}

/* A command ended: was somebody waiting for it? */
static void tmf_look(VirtioScsi *s)
{
    GList *next;

    for (GList *l = s->waiting.head; l; l = next) {
        TmfRequest *t = l->data;

        next = l->next;
        if (!tmf_next(s, t)) {
            g_queue_delete_link(&s->waiting, l);
            tmf_respond(s, t, S_OK);
        }
    }
}

static void tmf_cancel(VirtioScsi *s, TmfRequest *t, ScsiOutcome why)
{
    g_autoptr(GPtrArray) meant = g_ptr_array_new();

    for (GList *l = s->bus.requests.head; l; l = l->next) {
        if (tmf_means(t, l->data)) {
            g_ptr_array_add(meant, l->data);
        }
    }
    for (guint i = 0; i < meant->len; i++) {
        scsi_cancel(meant->pdata[i], why);
    }
    g_queue_push_tail(&s->waiting, t);
    tmf_look(s);
}

static void tmf_reset(VirtioScsi *s, TmfRequest *t)
{
    for (guint i = 0; i < s->bus.devices->len; i++) {
        ScsiDevice *d = s->bus.devices->pdata[i];

        if (d->target == t->target &&
            (t->subtype == TMF_NEXUS_RESET || d->lun == t->lun)) {
            d->ops->reset(d);
        }
    }
    tmf_cancel(s, t, SCSI_RESET);
}

static void tmf_run(VirtioScsi *s, TmfRequest *t)
{
    switch (t->subtype) {
    case TMF_ABORT_TASK:
    case TMF_ABORT_TASK_SET:
    case TMF_CLEAR_TASK_SET:
        tmf_cancel(s, t, SCSI_ABORTED);
        break;
    case TMF_NEXUS_RESET:
    case TMF_UNIT_RESET:
        tmf_reset(s, t);
        break;
    case TMF_QUERY_TASK:
    case TMF_QUERY_TASK_SET:
        tmf_respond(s, t, tmf_next(s, t) ? S_FUNCTION_SUCCEEDED : S_OK);
        break;
    default:
        tmf_respond(s, t, S_FUNCTION_REJECTED);
    }
}

static void tmf_start(VirtioScsi *s, TmfRequest *t, const uint8_t *msg)
{
    bool ok = parse_lun(msg + 8, &t->target, &t->lun);

    t->subtype = ld_le32(msg + 4);
    t->tag = ld_le64(msg + 16);
    t->seq = s->bus.seq;
    if (!ok || !scsi_has_target(&s->bus, t->target)) {
        tmf_respond(s, t, S_BAD_TARGET);
    } else if (t->subtype != TMF_NEXUS_RESET &&
               !scsi_find(&s->bus, t->target, t->lun)) {
        tmf_respond(s, t, S_INCORRECT_LUN);
    } else {
        tmf_run(s, t);
    }
}

/* Nothing that could be subscribed to ever happens. */
static void an_respond(VirtioScsi *s, VirtElem *e)
{
    uint8_t answer[5] = { 0, 0, 0, 0, S_OK };

    iov_from_buf(e->in, e->n_in, 0, answer, sizeof(answer));
    virtq_push(s->control, e, sizeof(answer));
    virtq_notify(s->control);
}

static void control_start(VirtioScsi *s, TmfRequest *t)
{
    uint8_t msg[TMF_SIZE] = { 0 };
    size_t n = iov_to_buf(t->elem.out, t->elem.n_out, 0, msg, TMF_SIZE);
    uint32_t type = ld_le32(msg);
    bool tmf = type == CONTROL_TMF;

    if (n < 4 || n < (tmf ? TMF_SIZE : AN_SIZE) ||
        t->elem.in_len < (tmf ? 1 : 5) || type > CONTROL_AN_SUBSCRIBE) {
        virtio_broken(&s->v, "control request %u of %zu bytes, %zu to answer",
                      type, t->elem.out_len, t->elem.in_len);
        virtq_forget(s->control, &t->elem);
    } else if (tmf) {
        tmf_start(s, t, msg);
    } else {
        an_respond(s, &t->elem);
    }
}

static void scsi_handle_control(VirtioDevice *v, VirtQueue *vq)
{
    TmfRequest *t;

    while ((t = virtq_pop(vq, sizeof(*t)))) {
        control_start(scsi_of(v), t);
    }
}

/* ---- events ---------------------------------------------------------------------------------- */

static void event_send(VirtioScsi *s, uint32_t event, const ScsiDevice *d,
                       uint32_t reason)
{
    uint8_t buf[EVENT_SIZE] = { 0 };
    VirtElem *e;

    if (!(s->v.status & VIRTIO_S_DRIVER_OK)) {
        return;
    }
    e = virtq_pop(s->events, sizeof(*e));
    if (!e) {
        s->events_missed = true;
        return;
    }
    if (e->in_len < EVENT_SIZE) {
        virtio_broken(&s->v, "%zu bytes for an event", e->in_len);
        virtq_forget(s->events, e);
        return;
    }
    st_le32(buf, event | (s->events_missed ? EVENTS_MISSED : 0));
    s->events_missed = false;
    if (d) {
        put_lun(buf + 4, d);
    }
    st_le32(buf + 12, reason);
    iov_from_buf(e->in, e->n_in, 0, buf, EVENT_SIZE);
    virtq_push(s->events, e, EVENT_SIZE);
    virtq_notify(s->events);
}

static void scsi_handle_events(VirtioDevice *v, VirtQueue *vq)
{
    if (scsi_of(v)->events_missed) {
        event_send(scsi_of(v), T_NO_EVENT, NULL, 0);
    }
}

static void bus_changed(ScsiBus *bus, ScsiDevice *d, ScsiSense what)
{
    VirtioScsi *s = container_of(bus, VirtioScsi, bus);

    if (virtio_has(&s->v, F_CHANGE)) {
        event_send(s, T_PARAM_CHANGE, d, what.asc | (uint32_t)what.ascq << 8);
    }
}

static void bus_plugged(ScsiBus *bus, ScsiDevice *d, bool on)
{
    VirtioScsi *s = container_of(bus, VirtioScsi, bus);

    if (virtio_has(&s->v, F_HOTPLUG)) {
        event_send(s, T_TRANSPORT_RESET, d, on ? RESET_RESCAN : RESET_REMOVED);
    }
}

static const ScsiBusOps bus_ops = {
    .complete = bus_complete,
    .forget = bus_forget,
    .changed = bus_changed,
    .plugged = bus_plugged,
};

/* ---- configuration ------------------------------------------------------------------------------ */

static uint64_t scsi_features(VirtioDevice *v)
{
    const VirtioScsi *s = scsi_of(v);

    return (s->param_change ? VIRTIO_BIT(F_CHANGE) : 0) |
           (s->hotplug ? VIRTIO_BIT(F_HOTPLUG) : 0);
}

static void scsi_get_config(VirtioDevice *v, uint8_t *config)
{
    const VirtioScsi *s = scsi_of(v);

    st_le32(config + CFG_NUM_QUEUES, s->num_queues);
    st_le32(config + CFG_SEG_MAX, s->seg_max_adjust ? s->queue_size - 2 : 126);
    st_le32(config + CFG_MAX_SECTORS, s->max_sectors);
    st_le32(config + CFG_CMD_PER_LUN, s->cmd_per_lun);
    st_le32(config + CFG_EVENT_SIZE, EVENT_SIZE);
    st_le32(config + CFG_SENSE_SIZE, s->sense_size);
    st_le32(config + CFG_CDB_SIZE, s->cdb_size);
    st_le16(config + CFG_MAX_CHANNEL, 0);
    st_le16(config + CFG_MAX_TARGET, MAX_TARGET);
    st_le32(config + CFG_MAX_LUN, MAX_LUN);
}

/* Commands that are under way were measured by the old sizes. */
static void scsi_set_config(VirtioDevice *v, const uint8_t *config)
{
    VirtioScsi *s = scsi_of(v);
    uint32_t sense = ld_le32(config + CFG_SENSE_SIZE);
    uint32_t cdb = ld_le32(config + CFG_CDB_SIZE);

    if (sense == s->sense_size && cdb == s->cdb_size) {
        return;
    }
    if (sense > SENSE_LIMIT || cdb > CDB_LIMIT || s->bus.requests.length) {
        virtio_broken(v, "sense_size %u and cdb_size %u cannot be%s", sense,
                      cdb, s->bus.requests.length ? " now" : "");
        return;
    }
    s->sense_size = sense;
    s->cdb_size = cdb;
}

static bool scsi_busy(VirtioDevice *v)
{
    return scsi_bus_busy(&scsi_of(v)->bus);
}

static void scsi_reset(VirtioDevice *v)
{
    VirtioScsi *s = scsi_of(v);
    TmfRequest *t;

    scsi_bus_forget(&s->bus);
    while ((t = g_queue_pop_head(&s->waiting))) {
        virtq_forget(s->control, &t->elem);
    }
    s->sense_size = SENSE_STANDARD;
    s->cdb_size = CDB_STANDARD;
    s->events_missed = false;
}

static const VirtioOps virtio_scsi_ops = {
    .name = "virtio-scsi",
    .id = 8,
    .pci_class = 0x010000, /* a SCSI controller */
    .config_size = CFG_SIZE,
    .features = scsi_features,
    .get_config = scsi_get_config,
    .set_config = scsi_set_config,
    .busy = scsi_busy,
    .reset = scsi_reset,
};

/* ---- life --------------------------------------------------------------------------------------- */

static bool scsi_check_props(VirtioScsi *s, GError **errp)
{
    const Device *dev = &s->v.pci.dev;

    if (s->num_queues == QUEUES_AUTO) {
        s->num_queues = strcmp(dev->cls->bus, "PCI") == 0
                            ? (uint32_t)MAX(dev->machine->ncpus, 1)
                            : 1;
    }
    if (!s->num_queues || s->num_queues > VIRTIO_MAX_QUEUES - FIXED_QUEUES) {
        error_setg(errp, "num_queues must be 1 to %d, not %u",
                   VIRTIO_MAX_QUEUES - FIXED_QUEUES, s->num_queues);
        return false;
    }
    if (!is_pow2(s->queue_size) || s->queue_size > VIRTQ_MAX_SIZE ||
        s->queue_size < 4) {
        error_setg(errp,
                   "virtqueue_size must be a power of two from 4 to %d, not %u",
                   VIRTQ_MAX_SIZE, s->queue_size);
        return false;
    }
    return true;
}

static bool scsi_realize(Device *dev, GError **errp)
{
    VirtioScsi *s = container_of(dev, VirtioScsi, v.pci.dev);

    if (!scsi_check_props(s, errp)) {
        return false;
    }
    g_queue_init(&s->waiting);
    s->sense_size = SENSE_STANDARD;
    s->cdb_size = CDB_STANDARD;
    s->control = virtio_add_queue(&s->v, s->queue_size, scsi_handle_control);
    s->events = virtio_add_queue(&s->v, s->queue_size, scsi_handle_events);
    for (uint32_t i = 0; i < s->num_queues; i++) {
        virtio_add_queue(&s->v, s->queue_size, scsi_handle_commands);
    }
    if (!virtio_realize(&s->v, &virtio_scsi_ops, errp)) {
        return false;
    }
    scsi_bus_init(&s->bus, dev, &bus_ops, MAX_TARGET, MAX_LUN);
    return true;
}

static void scsi_unrealize(Device *dev)
{
    VirtioScsi *s = container_of(dev, VirtioScsi, v.pci.dev);

    scsi_reset(&s->v);
    scsi_bus_fini(&s->bus);
    virtio_unrealize(&s->v);
}

static void scsi_class_reset(Device *dev)
{
    virtio_reset(&container_of(dev, VirtioScsi, v.pci.dev)->v);
}

/* What was under way comes again from the rings. */
static bool scsi_post_load(void *obj, int version, GError **errp)
{
    VirtioScsi *s = obj;
    TmfRequest *t;

    scsi_bus_forget(&s->bus);
    while ((t = g_queue_pop_head(&s->waiting))) {
        virtq_forget(s->control, &t->elem);
    }
    if (s->sense_size > SENSE_LIMIT || s->cdb_size > CDB_LIMIT) {
        error_setg(errp, "virtio-scsi: sense_size %u, cdb_size %u",
                   s->sense_size, s->cdb_size);
        return false;
    }
    return true;
}

VIRTIO_VMSTATES(virtio_scsi, "virtio-scsi", VirtioScsi, scsi_post_load,
                VM_U32(VirtioScsi, sense_size), VM_U32(VirtioScsi, cdb_size),
                VM_BOOL(VirtioScsi, events_missed))

/* clang-format off */
#define PROP(name, kind, field, defval, help) \
    { name, kind, offsetof(VirtioScsi, field), defval, help }

#define SCSI_PROPS \
    PROP("num_queues", PROP_U32, num_queues, QUEUES_AUTO, \
         "request queues (on PCI one for each CPU, else 1)"), \
    PROP("virtqueue_size", PROP_U32, queue_size, 256, \
         "entries of each queue"), \
    PROP("seg_max_adjust", PROP_BOOL, seg_max_adjust, 1, \
         "allow as many buffers in a command as the queue has room for"), \
    PROP("max_sectors", PROP_U32, max_sectors, 0xffff, \
         "sectors that a command may transfer"), \
    PROP("cmd_per_lun", PROP_U32, cmd_per_lun, 128, \
         "commands that a disk should have at a time"), \
    PROP("param_change", PROP_BOOL, param_change, 1, \
         "offer events when a disk changes"), \
    PROP("hotplug", PROP_BOOL, hotplug, 1, \
         "offer events when a disk comes or goes")
/* clang-format on */

static const Property virtio_scsi_device_props[] = {
    SCSI_PROPS,
    VIRTIO_PROPS,
    VIRTIO_MMIO_PROPS,
    { .kind = PROP_END },
};

const DeviceClass virtio_scsi_device_class = {
    .name = "virtio-scsi-device",
    .desc = "SCSI controller, on virtio-mmio",
    .category = DEVICE_STORAGE,
    .bus = "virtio-bus",
    .size = sizeof(VirtioScsi),
    .props = virtio_scsi_device_props,
    .vmstate = &vmstate_virtio_scsi_device,
    .realize = scsi_realize,
    .reset = scsi_class_reset,
    .unrealize = scsi_unrealize,
};

static const Property virtio_scsi_pci_props[] = {
    SCSI_PROPS,
    VIRTIO_PROPS,
    VIRTIO_PCI_PROPS,
    { .kind = PROP_END },
};

const DeviceClass virtio_scsi_pci_class = {
    .name = "virtio-scsi-pci",
    .alias = "virtio-scsi",
    .desc = "SCSI controller",
    .category = DEVICE_STORAGE,
    .bus = "PCI",
    .size = sizeof(VirtioScsi),
    .props = virtio_scsi_pci_props,
    .vmstate = &vmstate_virtio_scsi_pci,
    .realize = scsi_realize,
    .reset = scsi_class_reset,
    .unrealize = scsi_unrealize,
};
