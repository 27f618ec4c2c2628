/*
 * virtio over PCI. virtio 1.2, 4.1; the legacy interface: 4.1.4.10 and 4.1.5.
 *
 * One function speaks the modern interface (capabilities that point into BAR
 * 4), the legacy one (registers in I/O BAR 0), or both: it is then
 * transitional, and which one is used is the driver's choice. Layout of the
 * BARs, order of the capabilities and numbers of the devices are QEMU's.
 *
 *   BAR 4   0000 common configuration    BAR 0   registers of the legacy
 *           1000 interrupt status                interface
 *           2000 device configuration    BAR 1   MSI-X
 *           3000 notifications, 4 bytes for each queue
 *
 * With MSI-X off the pin is high while the interrupt status is not zero, and
 * reading the status clears it.
 *
 * While the driver is ready, under an accelerator that can do it, notifications
 * come through eventfds and messages go through them; system/host-kernel.h.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"
#include "hw/pci/pci-regs.h"
#include "hw/virtio/queue.h"

enum {
    BAR_LEGACY = 0,
    BAR_MSIX = 1,
    BAR_MODERN = 4,
    PART = 0x1000, /* of the modern BAR */
    PART_COMMON = 0,
    PART_ISR = 1,
    PART_DEVICE = 2,
    PART_NOTIFY = 3,
    MODERN_SIZE = 4 * PART,
    NOTIFY_MULTIPLIER = 4,
    LEGACY_ALIGN = 4096,
    LEGACY_PAGE_SHIFT = 12,
};

enum { /* 4.1.4: capability types, and the layout of a capability */
       CAP_COMMON = 1,
       CAP_NOTIFY = 2,
       CAP_ISR = 3,
       CAP_DEVICE = 4,
       CAP_PCI_CFG = 5,
       CAP_LEN = 16,
       CAP_LEN_LONG = 20, /* with one more word */
       CAP_OFF_LEN = 2,
       CAP_OFF_TYPE = 3,
       CAP_OFF_BAR = 4,
       CAP_OFF_OFFSET = 8,
       CAP_OFF_LENGTH = 12,
       CAP_OFF_EXTRA = 16, /* notify: multiplier; access: data */
};

enum { /* 4.1.4.3: common configuration */
       COMMON_DEVICE_FEATURES_SEL = 0,
       COMMON_DEVICE_FEATURES = 4,
       COMMON_DRIVER_FEATURES_SEL = 8,
       COMMON_DRIVER_FEATURES = 12,
       COMMON_CONFIG_VECTOR = 16,
       COMMON_STATUS = 20,
       COMMON_QUEUE_SEL = 22,
       COMMON_QUEUE_SIZE = 24,
       COMMON_QUEUE_VECTOR = 26,
       COMMON_QUEUE_ENABLE = 28,
       COMMON_QUEUE_DESC = 32,
       COMMON_QUEUE_USED_HIGH = 52,
       COMMON_QUEUE_NOTIFY_DATA = 56,
       COMMON_QUEUE_RESET = 58,
       COMMON_LEN = 60,
};

enum { /* 4.1.4.10: legacy registers */
       LEGACY_DEVICE_FEATURES = 0,
       LEGACY_DRIVER_FEATURES = 4,
       LEGACY_QUEUE_PFN = 8,
       LEGACY_QUEUE_SIZE = 12,
       LEGACY_QUEUE_SEL = 14,
       LEGACY_QUEUE_NOTIFY = 16,
       LEGACY_STATUS = 18,
       LEGACY_ISR = 19,
       LEGACY_CONFIG_VECTOR = 20, /* these two only while MSI-X is on */
       LEGACY_QUEUE_VECTOR = 22,
       LEGACY_LEN = 20,
       LEGACY_LEN_MSIX = 24,
};

#define ONE_EACH UINT32_MAX /* a vector for each queue, and for changes */

enum {
    VENDOR = 0x1af4,
    DEVICE_MODERN = 0x1040, /* plus the virtio id */
    MODERN_SUB_DEVICE = 0x1100,
};

/* Numbers of transitional devices (other kinds have only the modern interface),
 * 4.1.2; and how many vectors they have, QEMU's choice. */
static const struct {
    uint16_t id, device;
    uint32_t vectors;
} kinds[] = {
    { 1, 0x1000, ONE_EACH }, /* net */
    { 2, 0x1001, ONE_EACH }, /* blk */
    { 5, 0x1002, 0 },        /* balloon */
    { 3, 0x1003, 2 },        /* console */
    { 8, 0x1004, ONE_EACH }, /* scsi */
    { 4, 0x1005, ONE_EACH }, /* rng */
    { 9, 0x1009, 2 },        /* 9p */
};

typedef struct VirtioPci {
    Region modern, legacy;
    bool has_modern, has_legacy;
    unsigned access_cap; /* the capability that reaches into BARs */
    bool *resetting;     /* queues whose requests have not all ended yet */
} VirtioPci;

static VirtioPci *pci_of(const VirtioDevice *v)
{
    return v->transport_state;
}

static VirtioDevice *virtio_of(PciDevice *pd)
{
    return container_of(pd, VirtioDevice, pci);
}

static void pci_bad(const VirtioDevice *v, const char *what, hwaddr off)
{
    log_mask(LOG_GUEST_ERROR, "%s-pci: %s 0x%" PRIx64 "\n", v->ops->name, what,
             off);
}

/* ---- interrupts ------------------------------------------------------------------ */

static void update_pin(VirtioDevice *v)
{
    pci_set_irq(&v->pci, v->isr != 0);
}

static void transport_interrupt(VirtioDevice *v, uint16_t vector)
{
    if (msix_enabled(&v->pci)) {
        msix_notify(&v->pci, vector); /* not VIRTIO_NO_VECTOR: too large */
    }
    update_pin(v);
}

static uint8_t isr_read(VirtioDevice *v)
{
    uint8_t isr = v->isr;

    v->isr = 0;
    update_pin(v);
    return isr;
}

/* A vector we do not have reads back as none: the driver sees that it failed. */
static uint16_t check_vector(const VirtioDevice *v, uint16_t vector)
{
    return vector < msix_vectors(&v->pci) ? vector : VIRTIO_NO_VECTOR;
}

static void set_queue_vector(VirtioDevice *v, uint16_t vector)
{
    VirtqSetup *q = virtq_setup(v, v->regs.queue_sel);

    if (q) {
        q->vector = check_vector(v, vector);
    }
}

/* ---- notifications as eventfds ------------------------------------------------------ */

static void events_start(VirtioDevice *v)
{
    VirtioPci *p = pci_of(v);
    VirtioNotifyPlace place[2];
    unsigned n = 0;

    if (p->has_modern) {
        place[n++] = (VirtioNotifyPlace) { &p->modern, PART_NOTIFY * PART,
                                           NOTIFY_MULTIPLIER, 0 };
    }
    if (p->has_legacy) {
        place[n++] =
            (VirtioNotifyPlace) { &p->legacy, LEGACY_QUEUE_NOTIFY, 0, 2 };
    }
    if (v->prop_ioeventfd) {
        virtio_events_start(v, place, n);
    }
}

static void events_update(VirtioDevice *v)
{
    bool ready = v->status & VIRTIO_S_DRIVER_OK;

    if (ready) {
        events_start(v);
    } else {
        virtio_events_stop(v);
    }
    msix_use_irqfds(&v->pci, ready);
}

static void set_status(VirtioDevice *v, uint8_t status)
{
    virtio_set_status(v, status);
    events_update(v);
}

/* ---- queues --------------------------------------------------------------------------- */

/* 2.6.1: the queue is reset when the last of its requests has ended; the driver
 * reads the register until it has. */
static bool queue_resetting(VirtioDevice *v, unsigned queue)
{
    VirtioPci *p = pci_of(v);

    if (queue >= v->n_queues || !p->resetting[queue]) {
        return false;
    }
    if (v->queue[queue]->n_in_flight) {
        return true;
    }
    p->resetting[queue] = false;
    virtq_set_enabled(v, queue, true); /* so that there is something to reset */
    virtq_set_enabled(v, queue, false);
    return false;
}

static void queue_reset(VirtioDevice *v, unsigned queue)
{
    VirtqSetup *q = virtq_setup(v, queue);

    if (!q || !q->enabled || !virtio_has(v, VIRTIO_F_RING_RESET)) {
        pci_bad(v, "reset of queue", queue);
        return;
    }
    q->enabled = false; /* takes no more requests */
    pci_of(v)->resetting[queue] = true;
    queue_resetting(v, queue);
}

static void queue_enable(VirtioDevice *v, unsigned queue)
{
    if (queue < v->n_queues && pci_of(v)->resetting[queue]) {
        pci_bad(v, "queue enabled while it is being reset:", queue);
        return;
    }
    virtq_set_enabled(v, queue, true);
}

static void queue_write_address(VirtioDevice *v, hwaddr off, uint32_t value)
{
    VirtqSetup *q = virtq_setup(v, v->regs.queue_sel);
    unsigned word = (unsigned)(off - COMMON_QUEUE_DESC) / 4;
    hwaddr *addr;

    if (!q || q->enabled) {
        pci_bad(v, "address of a queue that is enabled or not there, at", off);
        return;
    }
    addr = word < 2 ? &q->desc : word < 4 ? &q->avail : &q->used;
    *addr = bits_deposit(*addr, word % 2 * 32, 32, value);
}

static uint32_t queue_read_address(const VirtqSetup *q, hwaddr off)
{
    unsigned word = (unsigned)(off - COMMON_QUEUE_DESC) / 4;
    hwaddr addr = word < 2 ? q->desc : word < 4 ? q->avail : q->used;

    return addr >> word % 2 * 32;
}

/* ---- the modern interface --------------------------------------------------------------- */

static uint32_t features_word(uint64_t features, uint32_t sel)
{
    return sel < 2 ? features >> (32 * sel) : 0;
}

/* The aligned word at @off of what belongs to the selected queue. */
static uint32_t common_read_queue(VirtioDevice *v, hwaddr off)
{
    unsigned queue = v->regs.queue_sel;
    bool resetting = queue_resetting(v, queue);
    const VirtqSetup *q = virtq_setup(v, queue);

    if (!q) {
        return 0;
    }
    switch (off) {
    case COMMON_QUEUE_SIZE:
        return q->size | (uint32_t)q->vector << 16;
    case COMMON_QUEUE_ENABLE:
        return q->enabled | queue << 16; /* and its notification offset */
    case COMMON_QUEUE_NOTIFY_DATA:
        return queue | (uint32_t)resetting << 16;
    default:
        return queue_read_address(q, off);
    }
}

/* The aligned word at @off: reading changes nothing. */
static uint32_t common_read(VirtioDevice *v, hwaddr off)
{
    const VirtioPciRegs *r = &v->regs;

    switch (off) {
    case COMMON_DEVICE_FEATURES_SEL:
        return r->device_features_sel;
    case COMMON_DEVICE_FEATURES:
        return features_word(virtio_offered(v, false), r->device_features_sel);
    case COMMON_DRIVER_FEATURES_SEL:
        return r->driver_features_sel;
    case COMMON_DRIVER_FEATURES:
        return features_word(r->driver_features, r->driver_features_sel);
    case COMMON_CONFIG_VECTOR:
        return v->config_vector | v->n_queues << 16;
    case COMMON_STATUS:
        return v->status | v->config_generation << 8 |
               (uint32_t)r->queue_sel << 16;
    default:
        return off < COMMON_LEN ? common_read_queue(v, off) : 0;
    }
}

static void common_write32(VirtioDevice *v, hwaddr off, uint32_t value)
{
    VirtioPciRegs *r = &v->regs;

    switch (off) {
    case COMMON_DEVICE_FEATURES_SEL:
        r->device_features_sel = value;
        break;
    case COMMON_DRIVER_FEATURES_SEL:
        r->driver_features_sel = value;
        break;
    case COMMON_DRIVER_FEATURES:
        if (r->driver_features_sel < 2) {
            r->driver_features = bits_deposit(
                r->driver_features, 32 * r->driver_features_sel, 32, value);
            virtio_set_driver_features(v, r->driver_features);
        }
        break;
    case COMMON_QUEUE_DESC ... COMMON_QUEUE_USED_HIGH:
        queue_write_address(v, off, value);
        break;
    default:
        pci_bad(v, "32 bits written to a register of 16, or none:", off);
    }
}

static void common_write16(VirtioDevice *v, hwaddr off, uint16_t value)
{
    switch (off) {
    case COMMON_CONFIG_VECTOR:
        v->config_vector = check_vector(v, value);
        break;
    case COMMON_QUEUE_SEL:
        v->regs.queue_sel = value;
        break;
    case COMMON_QUEUE_SIZE:
        virtq_set_size(v, v->regs.queue_sel, value);
        break;
    case COMMON_QUEUE_VECTOR:
        set_queue_vector(v, value);
        break;
    case COMMON_QUEUE_ENABLE:
        if (value == 1) { /* it cannot be disabled this way */
            queue_enable(v, v->regs.queue_sel);
        }
        break;
    case COMMON_QUEUE_RESET:
        if (value == 1) {
            queue_reset(v, v->regs.queue_sel);
        }
        break;
    default:
        pci_bad(v, "16 bits written to a register that has not so many:", off);
    }
}

static void common_write(VirtioDevice *v, hwaddr off, uint32_t value,
                         unsigned size)
{
    if (size == 4) {
        common_write32(v, off, value);
    } else if (size == 2) {
        common_write16(v, off, value);
    } else if (off == COMMON_STATUS) {
        set_status(v, value);
    } else {
        pci_bad(v, "one byte written to", off);
    }
}

static uint32_t device_config_read(VirtioDevice *v, hwaddr off, unsigned size)
{
    uint8_t buf[4] = { 0 };

    virtio_config_read(v, (unsigned)off, buf, size);
    return ld_le32(buf);
}

static void device_config_write(VirtioDevice *v, hwaddr off, uint32_t value,
                                unsigned size)
{
    uint8_t buf[4];

    st_le32(buf, value);
    virtio_config_write(v, (unsigned)off, buf, size);
}

static uint64_t modern_read(void *opaque, hwaddr offset, unsigned size)
{
    VirtioDevice *v = opaque;
    hwaddr off = offset % PART;

    switch (offset / PART) {
    case PART_COMMON:
        return common_read(v, off & ~(hwaddr)3) >> off % 4 * 8;
    case PART_ISR:
        return off ? 0 : isr_read(v);
    case PART_DEVICE:
        return device_config_read(v, off, size);
    default:
        return 0;
    }
}

static void modern_write(void *opaque, hwaddr offset, uint64_t value,
                         unsigned size)
{
    VirtioDevice *v = opaque;
    hwaddr off = offset % PART;

    switch (offset / PART) {
    case PART_COMMON:
        common_write(v, off, value, size);
        break;
    case PART_DEVICE:
        device_config_write(v, off, value, size);
        break;
    case PART_NOTIFY:
        virtio_notified(v, (unsigned)off / NOTIFY_MULTIPLIER);
        break;
    default: /* the interrupt status is only read */
        break;
    }
}

static const RegionOps modern_ops = {
    .read = modern_read,
    .write = modern_write,
    .min_size = 1,
    .max_size = 4,
};

/* ---- the legacy interface ------------------------------------------------------------------ */

/* Where the device's configuration begins: behind the vectors while MSI-X is
 * on, in their place while it is not. */
static unsigned legacy_config_at(const VirtioDevice *v)
{
    return msix_enabled(&v->pci) ? LEGACY_LEN_MSIX : LEGACY_LEN;
}

/* The register that begins at @off. */
static uint32_t legacy_read_reg(VirtioDevice *v, hwaddr off)
{
    const VirtqSetup *q = virtq_setup(v, v->regs.queue_sel);

    switch (off) {
    case LEGACY_DEVICE_FEATURES:
        return virtio_offered(v, true);
    case LEGACY_DRIVER_FEATURES:
        return v->features;
    case LEGACY_QUEUE_PFN:
        return q && q->enabled ? q->desc >> LEGACY_PAGE_SHIFT : 0;
    case LEGACY_QUEUE_SIZE:
        return q ? q->max_size : 0;
    case LEGACY_QUEUE_SEL:
        return v->regs.queue_sel;
    case LEGACY_STATUS:
        return v->status;
    case LEGACY_ISR:
        return isr_read(v);
    case LEGACY_CONFIG_VECTOR:
        return v->config_vector;
    case LEGACY_QUEUE_VECTOR:
        return q ? q->vector : VIRTIO_NO_VECTOR;
    default:
        return UINT32_MAX;
    }
}

static uint64_t legacy_read(void *opaque, hwaddr offset, unsigned size)
{
    VirtioDevice *v = opaque;
    unsigned config = legacy_config_at(v);

    return offset >= config ? device_config_read(v, offset - config, size)
                            : legacy_read_reg(v, offset);
}

static void legacy_set_status(VirtioDevice *v, uint8_t status)
{
    set_status(v, status);
    if (!status) {
        v->regs.queue_sel = 0;
    }
}

static void legacy_write_reg(VirtioDevice *v, hwaddr off, uint32_t value)
{
    switch (off) {
    case LEGACY_DRIVER_FEATURES:
        virtio_set_driver_features(v, value & virtio_offered(v, true));
        break;
    case LEGACY_QUEUE_PFN:
        virtq_set_legacy(v, v->regs.queue_sel,
                         (hwaddr)value << LEGACY_PAGE_SHIFT, LEGACY_ALIGN);
        break;
    case LEGACY_QUEUE_SEL:
        v->regs.queue_sel = value;
        break;
    case LEGACY_QUEUE_NOTIFY:
        virtio_notified(v, value & 0xffff);
        break;
    case LEGACY_STATUS:
        legacy_set_status(v, value);
        break;
    case LEGACY_CONFIG_VECTOR:
        v->config_vector = check_vector(v, value);
        break;
    case LEGACY_QUEUE_VECTOR:
        set_queue_vector(v, value);
        break;
    default:
        pci_bad(v, "write to legacy register", off);
    }
}

static void legacy_write(void *opaque, hwaddr offset, uint64_t value,
                         unsigned size)
{
    VirtioDevice *v = opaque;
    unsigned config = legacy_config_at(v);

    if (offset >= config) {
        device_config_write(v, offset - config, value, size);
    } else {
        legacy_write_reg(v, offset, value);
    }
}

static const RegionOps legacy_ops = {
    .read = legacy_read,
    .write = legacy_write,
    .min_size = 1,
    .max_size = 4,
};

/* ---- the capability that reaches into BARs, 4.1.4.9 ------------------------------------------ */

/* The access its fields describe; false: there is none like that. */
static bool access_decode(const VirtioDevice *v, hwaddr *offset, unsigned *size)
{
    const uint8_t *cap = v->pci.config + pci_of(v)->access_cap;
    uint32_t len = ld_le32(cap + CAP_OFF_LENGTH);
    uint32_t off = ld_le32(cap + CAP_OFF_OFFSET);

    if (cap[CAP_OFF_BAR] != BAR_MODERN || (len != 1 && len != 2 && len != 4) ||
        off % len || off > MODERN_SIZE - len) {
        return false;
    }
    *offset = off;
    *size = len;
    return true;
}

static bool touches_data(const VirtioDevice *v, unsigned off, unsigned size)
{
    unsigned data = pci_of(v)->access_cap + CAP_OFF_EXTRA;

    return pci_of(v)->access_cap && off < data + 4 && off + size > data;
}

static void config_reading(PciDevice *pd, unsigned off, unsigned size)
{
    VirtioDevice *v = virtio_of(pd);
    hwaddr offset;
    unsigned len;

    if (touches_data(v, off, size) && access_decode(v, &offset, &len)) {
        st_le32(pd->config + pci_of(v)->access_cap + CAP_OFF_EXTRA,
                (uint32_t)(modern_read(v, offset, len) & bits_mask(8 * len)));
    }
}

static void config_written(PciDevice *pd, unsigned off, unsigned size)
{
    VirtioDevice *v = virtio_of(pd);
    hwaddr offset;
    unsigned len;

    if (touches_data(v, off, size) && access_decode(v, &offset, &len)) {
        modern_write(
            v, offset,
            ld_le32(pd->config + pci_of(v)->access_cap + CAP_OFF_EXTRA) &
                bits_mask(8 * len),
            len);
    }
    if (off <= PCI_COMMAND && off + size > PCI_COMMAND && pci_bus_master(pd)) {
        for (unsigned i = 0; i < v->n_queues; i++) {
            virtio_notified(v, i); /* it may have notified before */
        }
    }
}

/* ---- making it --------------------------------------------------------------------------------- */

static uint16_t transitional_device(uint16_t id)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (kinds[i].id == id) {
            return kinds[i].device;
        }
    }
    return 0;
}

static uint32_t vectors_wanted(const VirtioDevice *v)
{
    uint32_t n = v->vectors;

    for (size_t i = 0; n == UINT32_MAX && i < G_N_ELEMENTS(kinds); i++) {
        if (kinds[i].id == v->ops->id) {
            n = kinds[i].vectors;
            break;
        }
    }
    return n == ONE_EACH ? v->n_queues + 1 : n;
}

static bool choose_interfaces(VirtioDevice *v, GError **errp)
{
    const char *text = v->disable_legacy ? v->disable_legacy : "auto";
    bool can = transitional_device(v->ops->id);
    VirtioPci *p = pci_of(v);
    bool on = strcmp(text, "on") == 0 || strcmp(text, "true") == 0;
    bool off = strcmp(text, "off") == 0 || strcmp(text, "false") == 0;

    if (!on && !off && strcmp(text, "auto") != 0) {
        error_setg(errp, "disable-legacy must be on, off or auto, not '%s'",
                   text);
        return false;
    }
    if (off && !can) {
        error_setg(errp,
                   "device is modern-only, use disable-legacy=on: %s has no "
                   "legacy interface",
                   v->ops->name);
        return false;
    }
    p->has_legacy = can && !on;
    p->has_modern = !v->disable_modern;
    if (!p->has_legacy && !p->has_modern) {
        error_setg(errp, "device cannot work as neither modern nor legacy mode "
                         "is enabled; set either disable-modern or "
                         "disable-legacy to off");
        return false;
    }
    if (p->has_legacy && v->prop_iommu_platform) {
        error_setg(errp, "VIRTIO_F_IOMMU_PLATFORM was supported by neither "
                         "legacy nor transitional device: add "
                         "disable-legacy=on");
        return false;
    }
    return true;
}

static PciIds pci_ids(const VirtioDevice *v)
{
    const VirtioPci *p = pci_of(v);
    PciIds ids = {
        .vendor = VENDOR,
        .device = p->has_legacy ? transitional_device(v->ops->id)
                                : DEVICE_MODERN + v->ops->id,
        .sub_vendor = VENDOR,
        .sub_device = p->has_legacy ? v->ops->id : MODERN_SUB_DEVICE,
        .class_code = v->ops->pci_class,
        .revision = p->has_legacy ? 0 : 1,
        .irq_pin = 1,
    };

    return ids;
}

/* Offset of the new capability; there is room for all of them. */
static unsigned add_cap(VirtioDevice *v, uint8_t type, unsigned len,
                        unsigned part)
{
    unsigned at = pci_add_cap(&v->pci, PCI_CAP_VENDOR, len, NULL);
    uint8_t *cap = v->pci.config + at;

    g_assert(at);
    cap[CAP_OFF_LEN] = len;
    cap[CAP_OFF_TYPE] = type;
    if (type != CAP_PCI_CFG) {
        cap[CAP_OFF_BAR] = BAR_MODERN;
        st_le32(cap + CAP_OFF_OFFSET, part * PART);
        st_le32(cap + CAP_OFF_LENGTH, PART);
    }
    return at;
}

static void add_modern(VirtioDevice *v)
{
    VirtioPci *p = pci_of(v);
    PciDevice *pd = &v->pci;
    unsigned at;

    add_cap(v, CAP_COMMON, CAP_LEN, PART_COMMON);
    add_cap(v, CAP_ISR, CAP_LEN, PART_ISR);
    add_cap(v, CAP_DEVICE, CAP_LEN, PART_DEVICE);
    at = add_cap(v, CAP_NOTIFY, CAP_LEN_LONG, PART_NOTIFY);
    st_le32(pd->config + at + CAP_OFF_EXTRA, NOTIFY_MULTIPLIER);
    at = add_cap(v, CAP_PCI_CFG, CAP_LEN_LONG, 0);
    p->access_cap = at;
    pd->wmask[at + CAP_OFF_BAR] = 0xff;
    st_le32(pd->wmask + at + CAP_OFF_OFFSET, UINT32_MAX);
    st_le32(pd->wmask + at + CAP_OFF_LENGTH, UINT32_MAX);
    st_le32(pd->wmask + at + CAP_OFF_EXTRA, UINT32_MAX);
    region_init_io(&p->modern, "virtio-pci-modern", MODERN_SIZE, &modern_ops,
                   v);
    pci_add_bar(pd, BAR_MODERN, PCI_BAR_MEM64 | PCI_BAR_PREFETCH, &p->modern);
}

static void add_legacy(VirtioDevice *v)
{
    VirtioPci *p = pci_of(v);
    unsigned size = LEGACY_LEN_MSIX + (unsigned)v->ops->config_size, bar = 32;

    while (bar < size) {
        bar *= 2;
    }
    region_init_io(&p->legacy, "virtio-pci-legacy", bar, &legacy_ops, v);
    pci_add_bar(&v->pci, BAR_LEGACY, PCI_BAR_IO, &p->legacy);
}

static bool add_parts(VirtioDevice *v, GError **errp)
{
    VirtioPci *p = pci_of(v);
    uint32_t vectors = vectors_wanted(v);

    if (p->has_modern) {
        add_modern(v);
    }
    if (vectors && !msix_init(&v->pci, vectors, BAR_MSIX, errp)) {
        return false;
    }
    if (p->has_legacy) {
        add_legacy(v);
    }
    v->pci.config_written = config_written;
    v->pci.config_reading = config_reading;
    return true;
}

static void transport_free(VirtioDevice *v)
{
    g_free(pci_of(v)->resetting);
    g_clear_pointer(&v->transport_state, g_free);
}

static bool transport_realize(VirtioDevice *v, GError **errp)
{
    VirtioPci *p = g_new0(VirtioPci, 1);
    PciIds ids;

    v->transport_state = p;
    p->resetting = g_new0(bool, v->n_queues);
    if (!choose_interfaces(v, errp)) {
        transport_free(v);
        return false;
    }
    ids = pci_ids(v);
    if (!pci_realize(&v->pci, &ids, errp)) {
        transport_free(v);
        return false;
    }
    if (!add_parts(v, errp)) {
        pci_unrealize(&v->pci);
        transport_free(v);
        return false;
    }
    return true;
}

static void transport_unrealize(VirtioDevice *v)
{
    virtio_events_stop(v);
    pci_unrealize(&v->pci);
    transport_free(v);
}

static void transport_reset(VirtioDevice *v)
{
    virtio_events_stop(v);
    msix_use_irqfds(&v->pci, false);
    memset(&v->regs, 0, sizeof(v->regs));
    memset(pci_of(v)->resetting, 0, v->n_queues * sizeof(bool));
    update_pin(v);
}

static void transport_power_on(VirtioDevice *v)
{
    pci_reset(&v->pci);
}

static bool transport_may_dma(VirtioDevice *v)
{
    return pci_bus_master(&v->pci);
}

const VirtioTransport virtio_pci_transport = {
    .bus = "PCI",
    .features = VIRTIO_BIT(VIRTIO_F_RING_RESET),
    .realize = transport_realize,
    .unrealize = transport_unrealize,
    .reset = transport_reset,
    .power_on = transport_power_on,
    .interrupt = transport_interrupt,
    .may_dma = transport_may_dma,
};

/* ---- state --------------------------------------------------------------------------------------- */

static bool virtio_pci_post_load(void *obj, int version, GError **errp)
{
    VirtioDevice *v = obj;

    v->config_vector = check_vector(v, v->config_vector);
    for (unsigned i = 0; i < v->n_queues; i++) {
        VirtQueue *vq = v->queue[i];

        vq->s.vector = check_vector(v, vq->s.vector);
        if (!vq->s.enabled && vq->n_in_flight) {
            virtq_reset(vq); /* was being reset; its requests are not ours */
        }
    }
    memset(pci_of(v)->resetting, 0, v->n_queues * sizeof(bool));
    events_update(v);
    update_pin(v);
    return true;
}

static const VMState vmstate_regs = {
    .name = "virtio-pci-regs",
    .version = 1,
    .min_version = 1,
    .fields =
        (const VMField[]) {
            VM_U32(VirtioPciRegs, device_features_sel),
            VM_U32(VirtioPciRegs, driver_features_sel),
            VM_U64(VirtioPciRegs, driver_features),
            VM_U16(VirtioPciRegs, queue_sel),
            VM_FIELDS_END,
        },
};

const VMState vmstate_virtio_pci = {
    .name = "virtio-pci",
    .version = 1,
    .min_version = 1,
    .post_load = virtio_pci_post_load,
    .fields =
        (const VMField[]) {
            VM_SUB(VirtioDevice, pci, vmstate_pci_device),
            VM_SUB(VirtioDevice, regs, vmstate_regs),
            VM_SELF(vmstate_virtio),
            VM_FIELDS_END,
        },
};
