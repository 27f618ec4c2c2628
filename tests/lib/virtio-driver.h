/*
 * A guest's virtio driver for device tests: it speaks to one mmio slot or one
 * PCI function and keeps rings in guest memory. Nothing here knows a device
 * kind. Registers have the names that mmio gives them.
 *
 * Memory: the driver owns the machine's RAM; buffers are taken from the bump
 * allocator vd_alloc() and never given back.
 */
#ifndef TESTS_LIB_VIRTIO_DRIVER_H
#define TESTS_LIB_VIRTIO_DRIVER_H

#include "util/osdep.h"
#include "util/bits.h"
#include "util/mainloop.h"
#include "hw/virtio/mmio.h"
#include "system/machine.h"

/* Registers by offset, 4.2.2. */
enum {
    VD_DEVICE_ID = 0x008,
    VD_DEVICE_FEATURES = 0x010,
    VD_DEVICE_FEATURES_SEL = 0x014,
    VD_DRIVER_FEATURES = 0x020,
    VD_DRIVER_FEATURES_SEL = 0x024,
    VD_PAGE_SIZE = 0x028,
    VD_QUEUE_SEL = 0x030,
    VD_QUEUE_NUM_MAX = 0x034,
    VD_QUEUE_NUM = 0x038,
    VD_QUEUE_ALIGN = 0x03c,
    VD_QUEUE_PFN = 0x040,
    VD_QUEUE_READY = 0x044,
    VD_NOTIFY = 0x050,
    VD_ISR = 0x060,
    VD_ACK = 0x064,
    VD_STATUS = 0x070,
    VD_DESC = 0x080,
    VD_AVAIL = 0x090,
    VD_USED = 0x0a0,
    VD_GENERATION = 0x0fc,
    VD_CONFIG = 0x100,
};

enum { VD_NEXT = 1, VD_WRITE = 2, VD_INDIRECT = 4 };

/* A driver of today, and one that takes all that the device offers. */
#define VD_MODERN \
    (VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC))
#define VD_EVENTS (VD_MODERN | VIRTIO_BIT(VIRTIO_F_EVENT_IDX))
#define VD_ALL    (VD_EVENTS | 0xffffff)

typedef struct VRing {
    unsigned queue, size;
    hwaddr desc, avail, used;
    uint16_t avail_idx, last_used;
    unsigned next_desc; /* descriptors are taken round and round */
} VRing;

typedef enum VdKind {
    VD_MMIO,
    VD_PCI,        /* the modern interface; base: of BAR 4 */
    VD_PCI_LEGACY, /* base: the port of BAR 0; without MSI-X */
} VdKind;

typedef struct VDriver {
    Machine *m;
    VdKind kind;
    hwaddr base;
    bool legacy;
    uint64_t features; /* negotiated */
    hwaddr next;       /* of vd_alloc() */
} VDriver;

/* Where a register is in the PCI interfaces. */
typedef struct VdPlace {
    unsigned at, size; /* size 0: there is no such */
} VdPlace;

static inline VdPlace vd_place(const VDriver *d, unsigned reg, unsigned size)
{
    static const struct {
        unsigned reg;
        VdPlace modern, legacy;
    } map[] = {
        { VD_DEVICE_FEATURES_SEL, { 0, 4 }, { 0, 0 } },
        { VD_DEVICE_FEATURES, { 4, 4 }, { 0, 4 } },
        { VD_DRIVER_FEATURES_SEL, { 8, 4 }, { 0, 0 } },
        { VD_DRIVER_FEATURES, { 12, 4 }, { 4, 4 } },
        { VD_QUEUE_SEL, { 22, 2 }, { 14, 2 } },
        { VD_QUEUE_NUM_MAX, { 24, 2 }, { 12, 2 } },
        { VD_QUEUE_NUM, { 24, 2 }, { 0, 0 } },
        { VD_QUEUE_PFN, { 0, 0 }, { 8, 4 } },
        { VD_QUEUE_READY, { 28, 2 }, { 0, 0 } },
        { VD_NOTIFY, { 0x3000, 2 }, { 16, 2 } },
        { VD_ISR, { 0x1000, 1 }, { 19, 1 } },
        { VD_STATUS, { 20, 1 }, { 18, 1 } },
        { VD_DESC, { 32, 4 }, { 0, 0 } },
        { VD_DESC + 4, { 36, 4 }, { 0, 0 } },
        { VD_AVAIL, { 40, 4 }, { 0, 0 } },
        { VD_AVAIL + 4, { 44, 4 }, { 0, 0 } },
        { VD_USED, { 48, 4 }, { 0, 0 } },
        { VD_USED + 4, { 52, 4 }, { 0, 0 } },
        { VD_GENERATION, { 21, 1 }, { 0, 0 } },
    };

    if (d->kind == VD_MMIO) {
        return (VdPlace) { reg, size };
    }
    if (reg >= VD_CONFIG) {
        return (VdPlace) { reg - VD_CONFIG + (d->kind == VD_PCI ? 0x2000 : 20),
                           size };
    }
    for (unsigned i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
        if (map[i].reg == reg) {
            return d->kind == VD_PCI ? map[i].modern : map[i].legacy;
        }
    }
    return (VdPlace) { 0, 0 };
}

static inline AddressSpace *vd_space(const VDriver *d)
{
    return d->kind == VD_PCI_LEGACY ? d->m->io : d->m->mem;
}

static inline uint32_t vd_read(VDriver *d, unsigned reg)
{
    VdPlace p = vd_place(d, reg, 4);

    return p.size ? (uint32_t)as_load(vd_space(d), d->base + p.at, p.size) : 0;
}

static inline void vd_write(VDriver *d, unsigned reg, uint32_t value)
{
    VdPlace p = vd_place(d, reg, 4);

    if (p.size) {
        as_store(vd_space(d), d->base + p.at, value, p.size);
    }
}

/* Bytes of the device's configuration. */
static inline uint32_t vd_config(VDriver *d, unsigned off, unsigned size)
{
    VdPlace p = vd_place(d, VD_CONFIG + off, size);

    return (uint32_t)as_load(vd_space(d), d->base + p.at, size);
}

static inline void vd_set_config(VDriver *d, unsigned off, uint32_t value,
                                 unsigned size)
{
    VdPlace p = vd_place(d, VD_CONFIG + off, size);

    as_store(vd_space(d), d->base + p.at, value, size);
}

static inline hwaddr vd_alloc(VDriver *d, size_t len, size_t align)
{
    hwaddr a = (d->next + align - 1) & ~(hwaddr)(align - 1);

    d->next = a + len;
    return a;
}

static inline uint64_t vd_offered(VDriver *d)
{
    uint64_t f;

    if (d->kind == VD_PCI_LEGACY) {
        return vd_read(d, VD_DEVICE_FEATURES);
    }
    vd_write(d, VD_DEVICE_FEATURES_SEL, 1);
    f = (uint64_t)vd_read(d, VD_DEVICE_FEATURES) << 32;
    vd_write(d, VD_DEVICE_FEATURES_SEL, 0);
    return f | vd_read(d, VD_DEVICE_FEATURES);
}

static inline void vd_want(VDriver *d, uint64_t features)
{
    d->features = features;
    vd_write(d, VD_DRIVER_FEATURES_SEL, 0);
    vd_write(d, VD_DRIVER_FEATURES, (uint32_t)features);
    if (d->kind != VD_PCI_LEGACY) {
        vd_write(d, VD_DRIVER_FEATURES_SEL, 1);
        vd_write(d, VD_DRIVER_FEATURES, (uint32_t)(features >> 32));
    }
}

/* Resets, and negotiates those of @features that are offered. False: the device
 * refused. */
static inline bool vd_negotiate(VDriver *d, uint64_t features)
{
    if (d->legacy) {
        vd_write(d, VD_PAGE_SIZE, 4096); /* as Linux: before the reset */
    }
    vd_write(d, VD_STATUS, 0);
    vd_write(d, VD_STATUS, VIRTIO_S_ACKNOWLEDGE);
    vd_write(d, VD_STATUS, VIRTIO_S_ACKNOWLEDGE | VIRTIO_S_DRIVER);
    vd_want(d, vd_offered(d) & features);
    if (d->legacy) {
        return true;
    }
    vd_write(d, VD_STATUS,
             VIRTIO_S_ACKNOWLEDGE | VIRTIO_S_DRIVER | VIRTIO_S_FEATURES_OK);
    return vd_read(d, VD_STATUS) & VIRTIO_S_FEATURES_OK;
}

static inline void vd_driver_ok(VDriver *d)
{
    vd_write(d, VD_STATUS, vd_read(d, VD_STATUS) | VIRTIO_S_DRIVER_OK);
}

static inline void vd_write_address(VDriver *d, unsigned reg, hwaddr a)
{
    vd_write(d, reg, (uint32_t)a);
    vd_write(d, reg + 4, (uint32_t)(a >> 32));
}

/* @size: the most that there is room for; where the device says how large a ring
 * is (legacy PCI), that. */
static inline void vd_ring(VDriver *d, VRing *r, unsigned queue, unsigned size)
{
    hwaddr at;

    vd_write(d, VD_QUEUE_SEL, queue);
    if (d->kind == VD_PCI_LEGACY) {
        size = MAX(vd_read(d, VD_QUEUE_NUM_MAX), 1); /* 0: no such queue */
    }
    g_assert_cmpuint(size, >, 0);
    at = vd_alloc(d, 16 * size + 6 + 2 * size, 4096);
    memset(r, 0, sizeof(*r));
    r->queue = queue;
    r->size = size;
    r->desc = at;
    r->avail = at + 16 * size;
    r->used = vd_alloc(d, 6 + 8 * size, 4096);
    as_store(d->m->mem, r->avail, 0, 4);
    as_store(d->m->mem, r->used, 0, 4);
    vd_write(d, VD_QUEUE_NUM, size);
    if (d->legacy) {
        vd_write(d, VD_QUEUE_ALIGN, 4096);
        vd_write(d, VD_QUEUE_PFN, (uint32_t)(at >> 12));
        return;
    }
    vd_write_address(d, VD_DESC, r->desc);
    vd_write_address(d, VD_AVAIL, r->avail);
    vd_write_address(d, VD_USED, r->used);
    vd_write(d, VD_QUEUE_READY, 1);
}

static inline void vd_desc(VDriver *d, hwaddr table, unsigned i, hwaddr addr,
                           uint32_t len, unsigned flags, unsigned next)
{
    hwaddr at = table + 16 * (hwaddr)i;

    as_store(d->m->mem, at, addr, 8);
    as_store(d->m->mem, at + 8, len, 4);
    as_store(d->m->mem, at + 12, flags, 2);
    as_store(d->m->mem, at + 14, next, 2);
}

/* Appends to the open chain; the last call has @more false. Its index. */
static inline unsigned vd_add(VDriver *d, VRing *r, hwaddr addr, uint32_t len,
                              unsigned flags, bool more)
{
    unsigned i = r->next_desc % r->size, next = (i + 1) % r->size;

    r->next_desc++;
    vd_desc(d, r->desc, i, addr, len, flags | (more ? VD_NEXT : 0), next);
    return i;
}

static inline void vd_offer(VDriver *d, VRing *r, unsigned head)
{
    as_store(d->m->mem, r->avail + 4 + 2 * (r->avail_idx % r->size), head, 2);
    r->avail_idx++;
    as_store(d->m->mem, r->avail + 2, r->avail_idx, 2);
}

static inline void vd_kick(VDriver *d, VRing *r)
{
    if (d->kind == VD_PCI) {
        as_store(d->m->mem, d->base + 0x3000 + 4 * r->queue, 0, 2);
    } else {
        vd_write(d, VD_NOTIFY, r->queue);
    }
}

/* 2.7.10: would the driver notify after it moved from @before? */
static inline bool vd_would_kick(VDriver *d, VRing *r, uint16_t before)
{
    uint16_t event;

    if (!(d->features >> VIRTIO_F_EVENT_IDX & 1)) {
        return !(as_load(d->m->mem, r->used, 2) & 1);
    }
    event = (uint16_t)as_load(d->m->mem, r->used + 4 + 8 * r->size, 2);
    return (uint16_t)(r->avail_idx - event - 1) <
           (uint16_t)(r->avail_idx - before);
}

static inline uint16_t vd_used_idx(VDriver *d, VRing *r)
{
    return (uint16_t)as_load(d->m->mem, r->used + 2, 2);
}

/* Whether something came back; its head and length. */
static inline bool vd_take(VDriver *d, VRing *r, unsigned *head, uint32_t *len)
{
    hwaddr e = r->used + 4 + 8 * (hwaddr)(r->last_used % r->size);

    if (vd_used_idx(d, r) == r->last_used) {
        return false;
    }
    *head = (unsigned)as_load(d->m->mem, e, 4);
    *len = (uint32_t)as_load(d->m->mem, e + 4, 4);
    r->last_used++;
    return true;
}

/* Lets the main loop run until it has nothing to do. */
static inline void vd_settle(void)
{
    while (mainloop_iterate(false)) {
    }
}

/* Waits for the next used element. */
static inline uint32_t vd_wait(VDriver *d, VRing *r)
{
    unsigned head;
    uint32_t len;

    while (!vd_take(d, r, &head, &len)) {
        g_assert_false(vd_read(d, VD_STATUS) & VIRTIO_S_NEEDS_RESET);
        mainloop_iterate(true);
    }
    return len;
}

#endif
