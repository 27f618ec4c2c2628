/*
 * What all virtio devices have in common: status, features, configuration
 * space, and who runs queue handlers when. virtio 1.2, chapter 2.
 *
 * A notification comes from a vCPU inside a transport's register. It is written
 * down in the device's VirtioWork, and the main loop is called once for however
 * many there are until it comes. The work outlives the device if the main loop
 * still has it in its queue.
 *
 * A device that is "patient" is served in the vCPU's thread (system/later.h), at
 * one of two moments. A guest that waits for each of its requests is served at
 * once: then the interrupt is there before it has gone to sleep. One that has
 * many requests is left alone until it comes to HLT or stops adding to them, so
 * that one notification and one interrupt are enough for all. Which kind of
 * guest it is, is found out anew every now and then.
 */
#include "util/osdep.h"
#include "util/error.h"
#include "util/log.h"
#include "util/trace.h"
#include "util/mainloop.h"
#include "util/turn.h"
#include "hw/virtio/queue.h"
#include "system/later.h"
#include "system/machine.h"

enum {
    LOOKS_MAX = 16,   /* that a guest with many requests is left alone */
    PROBE_EVERY = 64, /* notifications that are served at once */
};

struct VirtioWork {
    VirtioDevice *v; /* NULL: gone */
    unsigned calls;  /* of the main loop that are to come */
    bool queued;     /* one of them is for the queues */
    bool resetting;  /* one of them is for a reset */
    /* Of a patient device. */
    unsigned soon;         /* so many notifications are served at once */
    unsigned looks, added; /* requests at the last look */
    bool late;             /* this time the guest was left alone */
    unsigned n_waiting;
    uint64_t waiting[VIRTIO_MAX_QUEUES / 64]; /* queues */
};

/* One row a transport; a class names it by its bus. */
static const VirtioTransport *const transports[] = {
    &virtio_mmio_transport,
    &virtio_pci_transport,
};

static Machine *virtio_machine(const VirtioDevice *v)
{
    return v->pci.dev.machine;
}

/* ---- notifications ---------------------------------------------------------------- */

static void work_unref(VirtioWork *w)
{
    if (!w->calls && !w->v) {
        g_free(w);
    }
}

/* Before the machine starts, for tests; and while it runs. */
static bool may_run(const VirtioDevice *v)
{
    const Machine *m = virtio_machine(v);

    return (m->state == RUN_RUNNING || m->state == RUN_PRELAUNCH) && !m->held;
}

/* True once for each notification. */
static bool work_take(VirtioWork *w, unsigned queue)
{
    uint64_t bit = UINT64_C(1) << (queue % 64);

    if (!(w->waiting[queue / 64] & bit)) {
        return false;
    }
    w->waiting[queue / 64] &= ~bit;
    w->n_waiting--;
    return true;
}

static void work_run_queues(VirtioWork *w)
{
    for (unsigned i = 0; w->v && w->n_waiting && i < w->v->n_queues; i++) {
        if (!may_run(w->v)) {
            break;
        }
        if (work_take(w, i)) {
            virtio_run_queue(w->v, i);
        }
    }
}

static void work_run(void *opaque)
{
    VirtioWork *w = opaque;
    Turn turn;
    bool began = turn_begin(&turn, false);

    w->calls--;
    w->queued = false;
    work_run_queues(w);
    if (began) {
        turn_end(&turn);
        turn_done(&turn);
    }
    work_unref(w);
}

static unsigned work_added(const VirtioWork *w)
{
    unsigned n = 0;

    for (unsigned i = 0; w->v && i < w->v->n_queues; i++) {
        if (w->waiting[i / 64] >> (i % 64) & 1) {
            n += virtq_waiting(w->v->queue[i]);
        }
    }
    return n;
}

/* The requests of a turn have been started, and those that could be are over. */
static void work_judge(void *opaque)
{
    VirtioWork *w = opaque;
    VirtioDevice *v = w->v;

    if (v && w->late && (w->added <= 1 || (v->ops->busy && v->ops->busy(v)))) {
        w->soon = PROBE_EVERY;
    }
    w->calls--;
    work_unref(w);
}

/* LaterFn */
static bool work_later(void *opaque, bool idle)
{
    VirtioWork *w = opaque;
    unsigned added = work_added(w);

    if (!idle && w->v) {
        if (added != w->added && ++w->looks < LOOKS_MAX) {
            w->added = added;
            return false;
        }
        return machine_soon(virtio_machine(w->v), work_later, w);
    }
    w->added = added;
    w->calls++;
    work_run(w);
    if (!turn_add(NULL, work_judge, w)) {
        work_judge(w);
    }
    return true;
}

/* False: the main loop shall do it. */
static bool work_wait(VirtioWork *w)
{
    Machine *m = virtio_machine(w->v);

    if (!w->v->ops->patient) {
        return false;
    }
    w->late = !w->soon;
    if (w->soon) {
        w->soon--;
        return machine_soon(m, work_later, w);
    }
    w->looks = w->added = 0;
    return machine_later(m, work_later, w);
}

static void work_queue(VirtioWork *w)
{
    if (!w->queued && w->n_waiting && may_run(w->v)) {
        w->queued = true;
        w->calls++;
        if (!work_wait(w)) {
            mainloop_call(work_run, w);
        }
    }
}

static void work_machine_event(Machine *m, const char *event,
                               const EventValue *values, void *opaque)
{
    VirtioDevice *v = opaque;

    if (strcmp(event, "RESUME") == 0) {
        work_queue(v->work);
    }
}

void virtio_notified(VirtioDevice *v, unsigned queue)
{
    VirtioWork *w = v->work;
    uint64_t bit = UINT64_C(1) << (queue % 64);

    if (queue >= v->n_queues || !v->queue[queue]->s.enabled || v->broken) {
        return;
    }
    trace(virtio_queue_notify, (void *)v, queue);
    if (!(w->waiting[queue / 64] & bit)) {
        w->waiting[queue / 64] |= bit;
        w->n_waiting++;
    }
    work_queue(w);
}

void virtio_run_queue(VirtioDevice *v, unsigned queue)
{
    VirtQueue *vq = queue < v->n_queues ? v->queue[queue] : NULL;

    if (!vq || !vq->handler) {
        return;
    }
    if (!may_run(v)) {
        virtio_notified(v, queue);
        return;
    }
    if (virtq_ready(vq)) {
        vq->handler(v, vq);
    }
}

void virtq_schedule(VirtQueue *vq)
{
    virtio_notified(vq->v, vq->index);
}

static void virtio_schedule_all(VirtioDevice *v)
{
    for (unsigned i = 0; i < v->n_queues; i++) {
        virtio_notified(v, i);
    }
}

/* ---- status ------------------------------------------------------------------------ */

void virtio_broken(VirtioDevice *v, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    if (v->broken) {
        return;
    }
    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    log_mask(LOG_GUEST_ERROR, "%s: %s; the device needs a reset\n",
             v->ops->name, text);
    v->broken = true;
    if (!virtio_has(v, VIRTIO_F_VERSION_1)) {
        return; /* legacy drivers do not know the bit */
    }
    v->status |= VIRTIO_S_NEEDS_RESET;
    virtio_config_changed(v);
}

static void virtio_clear(VirtioDevice *v)
{
    v->status = 0;
    v->driver_features = v->features = 0;
    v->broken = false;
    v->isr = 0;
    v->config_vector = VIRTIO_NO_VECTOR;
    memset(v->work->waiting, 0, sizeof(v->work->waiting));
    v->work->n_waiting = 0;
    for (unsigned i = 0; i < v->n_queues; i++) {
        virtq_reset(v->queue[i]);
    }
}

static void device_reset(VirtioDevice *v)
{
    uint8_t old = v->status;

    v->status = 0;
    if (old && v->ops->status_changed) {
        v->ops->status_changed(v, old);
    }
    if (v->ops->reset) {
        v->ops->reset(v);
    }
    virtio_clear(v);
    v->transport->reset(v);
}

void virtio_reset(VirtioDevice *v)
{
    device_reset(v);
    if (v->transport->power_on) {
        v->transport->power_on(v);
    }
}

static void reset_later(void *opaque)
{
    VirtioWork *w = opaque;

    w->calls--;
    w->resetting = false;
    if (w->v) {
        device_reset(w->v);
    }
    work_unref(w);
}

/* By the driver. Its vCPU does not go on before requests in flight have come to
 * their end: it may reuse their buffers at once. */
static void virtio_guest_reset(VirtioDevice *v)
{
    VirtioWork *w = v->work;

    if (!v->ops->busy || !v->ops->busy(v)) {
        device_reset(v);
    } else if (!w->resetting &&
               machine_defer(virtio_machine(v), reset_later, w)) {
        w->calls++;
        w->resetting = true;
    } else if (!w->resetting) {
        device_reset(v);
    }
}

/* FEATURES_OK: may the driver have what it wants? */
static bool virtio_accept_features(VirtioDevice *v)
{
    uint64_t offered = virtio_offered(v, false) | virtio_offered(v, true);

    if (v->driver_features & ~offered) {
        log_mask(LOG_GUEST_ERROR,
                 "%s: the driver wants features 0x%" PRIx64
                 ", which are not offered\n",
                 v->ops->name, v->driver_features & ~offered);
        return false;
    }
    if (v->prop_iommu_platform && !virtio_has(v, VIRTIO_F_ACCESS_PLATFORM)) {
        return false;
    }
    return !v->ops->set_features || v->ops->set_features(v, v->features);
}

void virtio_set_status(VirtioDevice *v, uint8_t status)
{
    trace(virtio_set_status, (void *)v, status);
    uint8_t old = v->status;

    if (!status) {
        virtio_guest_reset(v);
        return;
    }
    if (v->broken && virtio_has(v, VIRTIO_F_VERSION_1)) {
        status |= VIRTIO_S_NEEDS_RESET;
    }
    if (status & ~old & VIRTIO_S_FEATURES_OK && !virtio_accept_features(v)) {
        status &= (uint8_t)~VIRTIO_S_FEATURES_OK;
    }
    if (status & ~old & VIRTIO_S_DRIVER_OK &&
        !(status & VIRTIO_S_FEATURES_OK) && v->ops->set_features) {
        v->ops->set_features(v, v->features); /* legacy: nobody can refuse */
    }
    v->status = status;
    if (status != old && v->ops->status_changed) {
        v->ops->status_changed(v, old);
    }
    if (status & ~old & VIRTIO_S_DRIVER_OK) {
        virtio_schedule_all(v); /* it may have notified before */
    }
}

/* ---- features ---------------------------------------------------------------------- */

static uint64_t virtio_common_features(const VirtioDevice *v)
{
    uint64_t f = v->kind_features;

    if (v->prop_indirect) {
        f |= VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC);
    }
    if (v->prop_event_idx) {
        f |= VIRTIO_BIT(VIRTIO_F_EVENT_IDX);
    }
    return f;
}

uint64_t virtio_offered(const VirtioDevice *v, bool legacy)
{
    uint64_t f = virtio_common_features(v);

    if (legacy) {
        return (uint32_t)f | VIRTIO_BIT(VIRTIO_F_NOTIFY_ON_EMPTY) |
               VIRTIO_BIT(VIRTIO_F_ANY_LAYOUT);
    }
    if (v->prop_iommu_platform) {
        f |= VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM);
    }
    return f | VIRTIO_BIT(VIRTIO_F_VERSION_1) | v->transport->features;
}

void virtio_set_driver_features(VirtioDevice *v, uint64_t features)
{
    if (v->status & VIRTIO_S_FEATURES_OK) {
        log_mask(LOG_GUEST_ERROR, "%s: features written after FEATURES_OK\n",
                 v->ops->name);
        return;
    }
    v->driver_features = features;
    v->features =
        features & (virtio_offered(v, false) | virtio_offered(v, true));
}

/* ---- configuration space ------------------------------------------------------------ */

static bool config_inside(const VirtioDevice *v, unsigned off, unsigned n)
{
    return off <= v->ops->config_size && n <= v->ops->config_size - off;
}

static void config_get(VirtioDevice *v, uint8_t *config)
{
    memset(config, 0, VIRTIO_CONFIG_MAX);
    if (v->ops->get_config) {
        v->ops->get_config(v, config);
    }
}

void virtio_config_read(VirtioDevice *v, unsigned off, void *buf, unsigned n)
{
    uint8_t config[VIRTIO_CONFIG_MAX];

    memset(buf, 0xff, n);
    if (config_inside(v, off, n)) {
        config_get(v, config);
        memcpy(buf, config + off, n);
    }
}

void virtio_config_write(VirtioDevice *v, unsigned off, const void *buf,
                         unsigned n)
{
    uint8_t config[VIRTIO_CONFIG_MAX];

    if (config_inside(v, off, n) && v->ops->set_config) {
        config_get(v, config);
        memcpy(config + off, buf, n);
        v->ops->set_config(v, config);
    }
}

void virtio_config_changed(VirtioDevice *v)
{
    v->config_generation++;
    if (v->status & VIRTIO_S_DRIVER_OK) {
        v->isr |= VIRTIO_ISR_CONFIG;
        v->transport->interrupt(v, v->config_vector);
    }
}

/* ---- life ---------------------------------------------------------------------------- */

VirtQueue *virtio_add_queue(VirtioDevice *v, unsigned size,
                            VirtqHandler *handler)
{
    VirtQueue *vq = g_new0(VirtQueue, 1);

    g_assert(v->n_queues < VIRTIO_MAX_QUEUES && size <= VIRTQ_MAX_SIZE);
    vq->v = v;
    vq->index = v->n_queues;
    vq->handler = handler;
    vq->s.max_size = size;
    virtq_reset(vq);
    v->queue = g_renew(VirtQueue *, v->queue, v->n_queues + 1);
    v->queue[v->n_queues++] = vq;
    return vq;
}

unsigned virtq_index(const VirtQueue *vq)
{
    return vq->index;
}

static void virtio_free_queues(VirtioDevice *v)
{
    for (unsigned i = 0; i < v->n_queues; i++) {
        g_free(v->queue[i]);
    }
    g_clear_pointer(&v->queue, g_free);
    v->n_queues = 0;
}

static const VirtioTransport *virtio_find_transport(const char *bus)
{
    for (size_t i = 0; i < G_N_ELEMENTS(transports); i++) {
        if (strcmp(transports[i]->bus, bus) == 0) {
            return transports[i];
        }
    }
    return NULL;
}

bool virtio_realize(VirtioDevice *v, const VirtioOps *ops, GError **errp)
{
    const DeviceClass *cls = v->pci.dev.cls;

    g_assert(ops->config_size <= VIRTIO_CONFIG_MAX);
    v->ops = ops;
    v->transport = virtio_find_transport(cls->bus);
    if (!v->transport) {
        error_setg(errp, "No '%s' bus found for device '%s'", cls->bus,
                   cls->name);
        virtio_free_queues(v);
        return false;
    }
    v->kind_features = ops->features ? ops->features(v) : 0;
    v->config_vector = VIRTIO_NO_VECTOR;
    v->work = g_new0(VirtioWork, 1);
    v->work->v = v;
    if (!v->transport->realize(v, errp)) {
        g_clear_pointer(&v->work, g_free);
        virtio_free_queues(v);
        return false;
    }
    machine_watch(virtio_machine(v), work_machine_event, v);
    return true;
}

void virtio_unrealize(VirtioDevice *v)
{
    VirtioWork *w = v->work;

    machine_unwatch(virtio_machine(v), work_machine_event, v);
    v->transport->unrealize(v);
    virtio_free_queues(v);
    v->work = NULL;
    w->v = NULL;
    work_unref(w);
}

/* ---- state ----------------------------------------------------------------------------- */

static bool virtio_post_load(void *obj, int version, GError **errp)
{
    VirtioDevice *v = obj;
    uint64_t offered = virtio_offered(v, false) | virtio_offered(v, true);

    if (v->driver_features & offered & ~v->features ||
        v->features & ~(v->driver_features & offered)) {
        error_setg(errp,
                   "%s: the state has features 0x%" PRIx64
                   ", this device offers 0x%" PRIx64,
                   v->ops->name, v->features, offered);
        v->features = v->driver_features & offered;
        return false;
    }
    if (v->ops->set_features &&
        v->status & (VIRTIO_S_FEATURES_OK | VIRTIO_S_DRIVER_OK)) {
        v->ops->set_features(v, v->features);
    }
    memset(v->work->waiting, 0, sizeof(v->work->waiting));
    v->work->n_waiting = 0;
    virtio_schedule_all(v);
    v->transport->interrupt(v, VIRTIO_NO_VECTOR); /* its line */
    return true;
}

const VMState vmstate_virtio = {
    .name = "virtio",
    .version = 1,
    .min_version = 1,
    .post_load = virtio_post_load,
    .fields =
        (const VMField[]) {
            VM_U8(VirtioDevice, status),
            VM_U64(VirtioDevice, driver_features),
            VM_U64(VirtioDevice, features),
            VM_BOOL(VirtioDevice, broken),
            VM_U8(VirtioDevice, isr),
            VM_U8(VirtioDevice, config_generation),
            VM_U16(VirtioDevice, config_vector),
            VM_SUB_PTRS(VirtioDevice, queue, n_queues, vmstate_virtq),
            VM_FIELDS_END,
        },
};
