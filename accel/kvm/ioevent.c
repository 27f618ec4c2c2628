/*
 * Writes of the guest that reach nobody's thread as an exit: eventfds
 * (KVM_IOEVENTFD) and the ring of coalesced writes (KVM_REGISTER_COALESCED_MMIO).
 *
 * Both hang on Regions (system/memory.h). After every change of a map, what the
 * kernel knows is compared with what the map wants, so a window that moves
 * takes them along.
 *
 * The ring is one page that all vCPUs share; it is emptied, under the machine
 * lock, before any exit is handled, so that a device sees accesses in the
 * guest's order.
 */
#include "util/osdep.h"
#include "accel/kvm/kvm.h"
#include "util/log.h"

/* ---- what a map wants ------------------------------------------------------------- */

/* An event of @r, where the guest sees it. */
static void want_event(GArray *want, const FlatRange *fr, const RegionEvent *e,
                       bool pio)
{
    KvmIoEvent ev = {
        .addr = fr->base + (e->offset - fr->offset),
        .size = e->size,
        .match = e->match,
        .value = e->value,
        .fd = e->fd,
        .pio = pio,
    };

    if (e->offset >= fr->offset && e->offset - fr->offset < fr->size) {
        g_array_append_val(want, ev);
    }
}

static void want_of_map(const FlatMap *map, bool pio, GArray *events,
                        GArray *zones)
{
    for (unsigned i = 0; i < map->n; i++) {
        const FlatRange *fr = &map->range[i];
        const GArray *list = fr->region->events;
        KvmZone z = { fr->base, (uint32_t)MIN(fr->size, UINT32_MAX), pio };

        if (fr->region->kind != REGION_IO) {
            continue;
        }
        for (guint j = 0; list && j < list->len; j++) {
            want_event(events, fr, &g_array_index(list, RegionEvent, j), pio);
        }
        if (fr->region->coalesced) {
            g_array_append_val(zones, z);
        }
    }
}

/* Is @item, of which all padding is zero, in @list? */
static bool array_has(const GArray *list, const void *item, guint size)
{
    for (guint i = 0; i < list->len; i++) {
        if (memcmp(list->data + (size_t)i * size, item, size) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- to the kernel ------------------------------------------------------------------ */

static bool ioevent_set(KvmAccel *a, const KvmIoEvent *e, bool on)
{
    struct kvm_ioeventfd k = {
        .datamatch = e->value,
        .addr = e->addr,
        .len = e->size,
        .fd = e->fd,
        .flags = (on ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN) |
                 (e->pio ? KVM_IOEVENTFD_FLAG_PIO : 0) |
                 (e->match ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0),
    };

    log_mask(LOG_KVM, "kvm: ioeventfd %s addr=%" PRIx64 " len=%u fd=%d%s\n",
             e->pio ? "pio" : "mmio", e->addr, e->size, e->fd,
             on ? "" : " KVM_IOEVENTFD_FLAG_DEASSIGN");
    return KVM_CALL(a->vm, KVM_IOEVENTFD, &k) == 0;
}

static bool zone_set(KvmAccel *a, const KvmZone *z, bool on)
{
    struct kvm_coalesced_mmio_zone k = { .addr = z->addr,
                                         .size = z->size,
                                         .pio = z->pio };

    if (on) {
        return KVM_CALL(a->vm, KVM_REGISTER_COALESCED_MMIO, &k) == 0;
    }
    return KVM_CALL(a->vm, KVM_UNREGISTER_COALESCED_MMIO, &k) == 0;
}

/* What the kernel does not take comes as exits: slower, not wrong. */
static void sync_events(KvmAccel *a, const GArray *want, bool pio)
{
    for (guint i = a->io_events->len; i-- > 0;) {
        KvmIoEvent e = g_array_index(a->io_events, KvmIoEvent, i);

        if (e.pio == pio && !array_has(want, &e, sizeof(e))) {
            ioevent_set(a, &e, false);
            g_array_remove_index(a->io_events, i);
        }
    }
    for (guint i = 0; i < want->len; i++) {
        KvmIoEvent e = g_array_index(want, KvmIoEvent, i);

        if (!array_has(a->io_events, &e, sizeof(e)) &&
            (e.size || a->caps.ioevent_any) && ioevent_set(a, &e, true)) {
            g_array_append_val(a->io_events, e);
        }
    }
}

static void sync_zones(KvmAccel *a, const GArray *want, bool pio)
{
    if (!a->caps.coalesced_page || (pio && !a->caps.coalesced_pio)) {
        return;
    }
    for (guint i = a->zones->len; i-- > 0;) {
        KvmZone z = g_array_index(a->zones, KvmZone, i);

        if (z.pio == pio && !array_has(want, &z, sizeof(z))) {
            kvm_coalesced_flush(a);
            zone_set(a, &z, false);
            g_array_remove_index(a->zones, i);
        }
    }
    for (guint i = 0; i < want->len; i++) {
        KvmZone z = g_array_index(want, KvmZone, i);

        if (!array_has(a->zones, &z, sizeof(z)) && zone_set(a, &z, true)) {
            g_array_append_val(a->zones, z);
        }
    }
}

void kvm_ioevent_map_changed(KvmAccel *a, const FlatMap *map, bool pio)
{
    g_autoptr(GArray) events = g_array_new(false, false, sizeof(KvmIoEvent));
    g_autoptr(GArray) zones = g_array_new(false, false, sizeof(KvmZone));

    want_of_map(map, pio, events, zones);
    if (a->host.ioeventfd) {
        sync_events(a, events, pio);
    }
    sync_zones(a, zones, pio);
}

/* ---- the ring ------------------------------------------------------------------------- */

void kvm_coalesced_attach(KvmAccel *a, struct kvm_run *run)
{
    if (a->caps.coalesced_page && !a->ring) {
        a->ring = (void *)((uint8_t *)run +
                           (size_t)a->caps.coalesced_page * PAGE_SIZE);
    }
}

static void ring_apply(KvmAccel *a, const struct kvm_coalesced_mmio *e)
{
    Machine *m = a->accel.machine;
    AddressSpace *as = e->pio ? m->io : m->mem;
    unsigned len = MIN(e->len, (uint32_t)sizeof(e->data));
    uint64_t v = 0;

    if (len & (len - 1)) {
        as_write(as, e->phys_addr, e->data, len);
        return;
    }
    memcpy(&v, e->data, len);
    as_store(as, e->phys_addr, v, len);
}

/* The kernel's CPUs write `last`, we `first`. */
void kvm_coalesced_flush(KvmAccel *a)
{
    struct kvm_coalesced_mmio_ring *ring = a->ring;

    if (!ring ||
        ring->first == __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE)) {
        return;
    }
    machine_lock(a->accel.machine);
    while (!a->in_flush &&
           ring->first != __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE)) {
        struct kvm_coalesced_mmio e =
            ring->coalesced_mmio[ring->first % KVM_COALESCED_MMIO_MAX];

        a->in_flush = true; /* a device may change the map */
        ring_apply(a, &e);
        a->in_flush = false;
        a->coalesced++;
        __atomic_store_n(&ring->first,
                         (ring->first + 1) % KVM_COALESCED_MMIO_MAX,
                         __ATOMIC_RELEASE);
    }
    machine_unlock(a->accel.machine);
}

void kvm_ioevent_init(KvmAccel *a)
{
    a->io_events = g_array_new(false, false, sizeof(KvmIoEvent));
    a->zones = g_array_new(false, false, sizeof(KvmZone));
}

void kvm_ioevent_close(KvmAccel *a)
{
    g_array_unref(a->io_events);
    g_array_unref(a->zones);
}
