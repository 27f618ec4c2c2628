/*
 * The SCSI bus: who sits where, requests from their submission to their end,
 * and what a target says of units that are not there.
 */
#include "util/osdep.h"
#include "hw/scsi/scsi.h"
#include "system/hotplug.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/iov.h"

enum {
    OP_REQUEST_SENSE = 0x03,
    OP_INQUIRY = 0x12,
    OP_REPORT_LUNS = 0xa0,
    INQUIRY_SIZE = 36,
    NO_UNIT = 0x7f, /* peripheral qualifier 3, type 1fh */
};

/* ---- sense -------------------------------------------------------------------- */

unsigned scsi_put_sense(uint8_t *buf, ScsiSense s, bool descriptor)
{
    if (descriptor) {
        memset(buf, 0, 8);
        buf[0] = 0x72;
        buf[1] = s.key;
        buf[2] = s.asc;
        buf[3] = s.ascq;
        return 8;
    }
    memset(buf, 0, SCSI_SENSE_SIZE);
    buf[0] = 0x70;
    buf[2] = s.key;
    buf[7] = SCSI_SENSE_SIZE - 8;
    buf[12] = s.asc;
    buf[13] = s.ascq;
    return SCSI_SENSE_SIZE;
}

/* ---- the end of a request ------------------------------------------------------- */

static void request_unlink(ScsiRequest *r)
{
    g_queue_unlink(&r->bus->requests, &r->link);
    g_clear_pointer(&r->buffer, g_free);
    g_clear_pointer(&r->slice, g_free);
}

static void request_finish(ScsiRequest *r, ScsiOutcome outcome, uint8_t status)
{
    r->outcome = outcome;
    r->status = status;
    request_unlink(r);
    r->bus->ops->complete(r);
}

void scsi_end(ScsiRequest *r, uint8_t status)
{
    request_finish(r, r->cancelled ? r->outcome : SCSI_DONE, status);
}

void scsi_check(ScsiRequest *r, ScsiSense sense)
{
    r->sense_len = scsi_put_sense(r->sense, sense, false);
    scsi_end(r, SCSI_CHECK_CONDITION);
}

void scsi_overrun(ScsiRequest *r)
{
    request_finish(r, SCSI_OVERRUN, SCSI_GOOD);
}

void scsi_reply(ScsiRequest *r, const void *buf, size_t len, size_t alloc)
{
    len = MIN(len, alloc);
    if (alloc > r->in_len) {
        scsi_overrun(r);
        return;
    }
    r->moved = iov_from_buf(r->in, r->n_in, 0, buf, len);
    scsi_end(r, SCSI_GOOD);
}

bool scsi_take_params(ScsiRequest *r, size_t len)
{
    if (len > r->out_len) {
        scsi_overrun(r);
        return false;
    }
    r->buffer = g_malloc(len + 1);
    r->moved = iov_to_buf(r->out, r->n_out, 0, r->buffer, len);
    return true;
}

void scsi_stop(ScsiRequest *r)
{
    r->stopped = true;
    machine_request_stop(r->bus->owner->machine, RUN_IO_ERROR);
}

void scsi_cancel(ScsiRequest *r, ScsiOutcome why)
{
    if (r->cancelled) {
        return;
    }
    r->cancelled = true;
    r->outcome = why;
    if (r->stopped) {
        scsi_end(r, SCSI_TASK_ABORTED);
    }
}

/* ---- a target answers for units that are not there ---------------------------------- */

static int compare_luns(const void *a, const void *b)
{
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

    return x < y ? -1 : x > y;
}

/* Unit 0 is in the list whether it is there or not. SPC-4, 6.33 */
static GArray *target_luns(const ScsiBus *bus, unsigned target)
{
    GArray *luns = g_array_new(FALSE, FALSE, sizeof(unsigned));
    unsigned zero = 0;

    g_array_append_val(luns, zero);
    for (guint i = 0; i < bus->devices->len; i++) {
        const ScsiDevice *d = bus->devices->pdata[i];

        if (d->target == target && d->lun) {
            g_array_append_val(luns, d->lun);
        }
    }
    g_array_sort(luns, compare_luns);
    return luns;
}

void scsi_report_luns(ScsiRequest *r)
{
    g_autoptr(GArray) luns = NULL;
    g_autofree uint8_t *buf = NULL;
    uint32_t alloc = ld_be32(r->cdb + 6);

    if (r->cdb[2] > 2) {
        scsi_check(r, SENSE_INVALID_FIELD);
        return;
    }
    luns = target_luns(r->bus, r->target);
    if (r->cdb[2] == 1) { /* well-known ones: none */
        g_array_set_size(luns, 0);
    }
    buf = g_malloc0(8 + 8 * (size_t)luns->len);
    st_be32(buf, 8 * luns->len);
    for (guint i = 0; i < luns->len; i++) {
        unsigned lun = g_array_index(luns, unsigned, i);

        st_be16(buf + 8 + 8 * (size_t)i,
                (uint16_t)(lun < 256 ? lun : lun | 0x4000));
    }
    scsi_reply(r, buf, 8 + 8 * (size_t)luns->len, alloc);
}

static void absent_unit(ScsiRequest *r)
{
    uint8_t buf[INQUIRY_SIZE] = { NO_UNIT, 0, 5, 2, INQUIRY_SIZE - 5 };
    unsigned n;

    switch (r->cdb[0]) {
    case OP_INQUIRY:
        if (r->cdb[1] & 3 || r->cdb[2]) {
            scsi_check(r, SENSE_INVALID_FIELD);
            return;
        }
        scsi_reply(r, buf, INQUIRY_SIZE, ld_be16(r->cdb + 3));
        break;
    case OP_REPORT_LUNS:
        scsi_report_luns(r);
        break;
    case OP_REQUEST_SENSE:
        n = scsi_put_sense(buf, SENSE_NO_SUCH_LUN, r->cdb[1] & 1);
        scsi_reply(r, buf, n, r->cdb[4]);
        break;
    default:
        scsi_check(r, SENSE_NO_SUCH_LUN);
    }
}

/* ---- submission ---------------------------------------------------------------------- */

ScsiDevice *scsi_find(ScsiBus *bus, unsigned target, unsigned lun)
{
    for (guint i = 0; i < bus->devices->len; i++) {
        ScsiDevice *d = bus->devices->pdata[i];

        if (d->target == target && d->lun == lun) {
            return d;
        }
    }
    return NULL;
}

bool scsi_has_target(const ScsiBus *bus, unsigned target)
{
    for (guint i = 0; i < bus->devices->len; i++) {
        if (((ScsiDevice *)bus->devices->pdata[i])->target == target) {
            return true;
        }
    }
    return false;
}

void scsi_submit(ScsiBus *bus, unsigned target, unsigned lun, ScsiRequest *r)
{
    r->bus = bus;
    r->dev = scsi_find(bus, target, lun);
    r->target = target;
    r->lun = lun;
    r->seq = ++bus->seq;
    r->outcome = SCSI_DONE;
    r->status = SCSI_GOOD;
    r->sense_len = 0;
    r->moved = 0;
    r->cancelled = r->stopped = false;
    r->buffer = NULL;
    r->slice = NULL;
    r->next = NULL;
    r->link = (GList) { .data = r };
    g_queue_push_tail_link(&bus->requests, &r->link);
    if (r->dev) {
        r->dev->ops->command(r);
    } else {
        absent_unit(r);
    }
}

/* ---- all requests of a bus ------------------------------------------------------------- */

static void bus_restart(ScsiBus *bus)
{
    g_autoptr(GPtrArray) stopped = g_ptr_array_new();

    for (GList *l = bus->requests.head; l; l = l->next) {
        ScsiRequest *r = l->data;

        if (r->stopped) {
            r->stopped = false;
            g_ptr_array_add(stopped, r);
        }
    }
    for (guint i = 0; i < stopped->len; i++) {
        ScsiRequest *r = stopped->pdata[i];

        r->dev->ops->restart(r);
    }
}

static void bus_machine_event(Machine *m, const char *event,
                              const EventValue *values, void *opaque)
{
    if (strcmp(event, "RESUME") == 0) {
        bus_restart(opaque);
    }
}

bool scsi_bus_busy(const ScsiBus *bus)
{
    for (const GList *l = bus->requests.head; l; l = l->next) {
        if (!((const ScsiRequest *)l->data)->stopped) {
            return true;
        }
    }
    return false;
}

void scsi_bus_plug(ScsiBus *bus, bool on)
{
    for (guint i = 0; i < bus->devices->len; i++) {
        ScsiDevice *d = bus->devices->pdata[i];

        d->ops->plug(d, on);
    }
}

void scsi_bus_forget(ScsiBus *bus)
{
    GList *l;

    while (scsi_bus_busy(bus)) {
        for (guint i = 0; i < bus->devices->len; i++) {
            ScsiDevice *d = bus->devices->pdata[i];

            d->ops->drain(d);
        }
    }
    while ((l = bus->requests.head)) {
        ScsiRequest *r = l->data;

        request_unlink(r);
        bus->ops->forget(r);
    }
}

/* ---- the bus and who sits there ----------------------------------------------------------- */

ScsiBus *scsi_bus_at(Machine *m, unsigned n)
{
    return m->scsi_buses && n < m->scsi_buses->len ? m->scsi_buses->pdata[n]
                                                   : NULL;
}

/* The next number for boards without an id. */
static unsigned unnamed_buses(Machine *m)
{
    unsigned n = 0;

    for (unsigned i = 0; scsi_bus_at(m, i); i++) {
        n += !scsi_bus_at(m, i)->owner->id;
    }
    return n;
}

void scsi_bus_init(ScsiBus *bus, Device *owner, const ScsiBusOps *ops,
                   unsigned max_target, unsigned max_lun)
{
    Machine *m = owner->machine;

    bus->owner = owner;
    bus->name = owner->id ? g_strdup_printf("%s.0", owner->id)
                          : g_strdup_printf("scsi.%u", unnamed_buses(m));
    bus->ops = ops;
    bus->max_target = max_target;
    bus->max_lun = max_lun;
    bus->devices = g_ptr_array_new();
    g_queue_init(&bus->requests);
    if (!m->scsi_buses) {
        m->scsi_buses = g_ptr_array_new();
    }
    g_ptr_array_add(m->scsi_buses, bus);
    machine_watch(m, bus_machine_event, bus);
}

void scsi_bus_fini(ScsiBus *bus)
{
    Machine *m = bus->owner->machine;

    machine_unwatch(m, bus_machine_event, bus);
    for (guint i = 0; i < bus->devices->len; i++) {
        ((ScsiDevice *)bus->devices->pdata[i])->bus = NULL;
    }
    g_ptr_array_unref(bus->devices);
    g_ptr_array_remove(m->scsi_buses, bus);
    if (!m->scsi_buses->len) {
        g_clear_pointer(&m->scsi_buses, g_ptr_array_unref);
    }
    g_clear_pointer(&bus->name, g_free);
}

static ScsiBus *find_bus(const ScsiDevice *d, GError **errp)
{
    Machine *m = d->dev.machine;
    ScsiBus *bus;

    for (unsigned i = 0; (bus = scsi_bus_at(m, i)); i++) {
        if (!d->bus_name || !strcmp(d->bus_name, bus->name)) {
            return bus;
        }
    }
    if (d->bus_name) {
        error_setg(errp, "Bus '%s' not found", d->bus_name);
    } else {
        error_setg(errp,
                   "No 'SCSI' bus found for device '%s': give -device "
                   "virtio-scsi-pci before it",
                   d->dev.cls->name);
    }
    return NULL;
}

/* As QEMU: the next target for unit 0 unless one of the two is given. */
static bool choose_place(ScsiDevice *d, ScsiBus *bus, GError **errp)
{
    if (d->target == UINT32_MAX) {
        d->lun = d->lun == UINT32_MAX ? 0 : d->lun;
        d->target = 0;
        while (d->target <= bus->max_target &&
               scsi_find(bus, d->target, d->lun)) {
            d->target++;
        }
        if (d->target > bus->max_target) {
            error_setg(errp, "no free target");
            return false;
        }
    } else if (d->lun == UINT32_MAX) {
        d->lun = 0;
        while (d->lun <= bus->max_lun && scsi_find(bus, d->target, d->lun)) {
            d->lun++;
        }
        if (d->lun > bus->max_lun) {
            error_setg(errp, "no free lun");
            return false;
        }
    }
    return true;
}

static bool check_place(const ScsiDevice *d, ScsiBus *bus, GError **errp)
{
    const ScsiDevice *other;

    if (d->channel) {
        error_setg(errp, "bad scsi channel id: %u (there is only 0)",
                   d->channel);
        return false;
    }
    if (d->target > bus->max_target && d->target != UINT32_MAX) {
        error_setg(errp, "bad scsi device id: %u (at most %u)", d->target,
                   bus->max_target);
        return false;
    }
    if (d->lun > bus->max_lun && d->lun != UINT32_MAX) {
        error_setg(errp, "bad scsi device lun: %u (at most %u)", d->lun,
                   bus->max_lun);
        return false;
    }
    other = scsi_find(bus, d->target, d->lun);
    if (other) {
        error_setg(errp, "lun already used by '%s'",
                   other->dev.id ? other->dev.id : other->dev.cls->name);
        return false;
    }
    return true;
}

bool scsi_attach(ScsiDevice *d, const ScsiDeviceOps *ops, GError **errp)
{
    ScsiBus *bus = find_bus(d, errp);

    if (!bus || !check_place(d, bus, errp) || !choose_place(d, bus, errp)) {
        return false;
    }
    d->ops = ops;
    d->bus = bus;
    d->dev.parent = bus->owner;
    g_ptr_array_add(bus->devices, d);
    return true;
}

void scsi_detach(ScsiDevice *d)
{
    GList *next;

    if (!d->bus) {
        return;
    }
    d->ops->drain(d);
    for (GList *l = d->bus->requests.head; l; l = next) {
        ScsiRequest *r = l->data;

        next = l->next;
        if (r->dev == d) {
            scsi_cancel(r, SCSI_ABORTED);
        }
    }
    g_ptr_array_remove(d->bus->devices, d);
    d->bus = NULL;
}

void scsi_changed(ScsiDevice *d, ScsiSense what)
{
    if (d->bus && d->bus->ops->changed) {
        d->bus->ops->changed(d->bus, d, what);
    }
}

/* ---- coming and going -------------------------------------------------------------------- */

static void tell_initiator(const ScsiDevice *d, bool on)
{
    if (d->bus && d->bus->ops->plugged) {
        d->bus->ops->plugged(d->bus, (ScsiDevice *)d, on);
    }
}

static void hotplug_plugged(Device *dev)
{
    tell_initiator(container_of(dev, ScsiDevice, dev), true);
}

/* The guest hears of it and is not asked: as if somebody pulled the cable. */
static bool hotplug_unplug(Device *dev, GError **errp)
{
    tell_initiator(container_of(dev, ScsiDevice, dev), false);
    hotplug_remove(dev);
    return true;
}

extern const HotplugBus scsi_hotplug_bus;

const HotplugBus scsi_hotplug_bus = {
    .bus = "SCSI",
    .plugged = hotplug_plugged,
    .unplug = hotplug_unplug,
};
