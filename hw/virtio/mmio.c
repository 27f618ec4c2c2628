/*
 * virtio over memory-mapped registers. virtio 1.2, 4.2; the legacy interface
 * (version 1): 4.2.4.
 *
 * Property "force-legacy" chooses the interface, and as in QEMU the default is
 * the legacy one. A slot without a device shows device id 0, which drivers
 * pass over.
 *
 * Where the engine below can (KVM), notifications come as eventfds from the
 * second on: the first write to the register that arrives here attaches them,
 * so that nothing needs to be done after loading a state.
 *
 * The interrupt line is high while the interrupt status is not zero.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"
#include "hw/virtio/mmio.h"

enum {
    MMIO_MAGIC = 0x000,
    MMIO_VERSION = 0x004,
    MMIO_DEVICE_ID = 0x008,
    MMIO_VENDOR_ID = 0x00c,
    MMIO_DEVICE_FEATURES = 0x010,
    MMIO_DEVICE_FEATURES_SEL = 0x014,
    MMIO_DRIVER_FEATURES = 0x020,
    MMIO_DRIVER_FEATURES_SEL = 0x024,
    MMIO_GUEST_PAGE_SIZE = 0x028, /* legacy */
    MMIO_QUEUE_SEL = 0x030,
    MMIO_QUEUE_NUM_MAX = 0x034,
    MMIO_QUEUE_NUM = 0x038,
    MMIO_QUEUE_ALIGN = 0x03c, /* legacy */
    MMIO_QUEUE_PFN = 0x040,   /* legacy */
    MMIO_QUEUE_READY = 0x044,
    MMIO_QUEUE_NOTIFY = 0x050,
    MMIO_INTERRUPT_STATUS = 0x060,
    MMIO_INTERRUPT_ACK = 0x064,
    MMIO_STATUS = 0x070,
    MMIO_QUEUE_DESC_LOW = 0x080,
    MMIO_QUEUE_DESC_HIGH = 0x084,
    MMIO_QUEUE_DRIVER_LOW = 0x090,
    MMIO_QUEUE_DRIVER_HIGH = 0x094,
    MMIO_QUEUE_DEVICE_LOW = 0x0a0,
    MMIO_QUEUE_DEVICE_HIGH = 0x0a4,
    MMIO_SHM_LEN_LOW = 0x0b0, /* no shared memory: all ones */
    MMIO_SHM_BASE_HIGH = 0x0bc,
    MMIO_CONFIG_GENERATION = 0x0fc,
    MMIO_CONFIG = 0x100,
};

enum {
    MAGIC = 0x74726976,  /* "virt" */
    VENDOR = 0x554d4551, /* QEMU's, which drivers print */
    LEGACY_ALIGN = 4096, /* until the driver says otherwise */
};

typedef struct VirtioMmio {
    Device dev;
    Region regs;
    IrqLine irq;
    VirtioDevice *v; /* NULL: empty */

    char *name; /* properties */
    uint64_t base;
    uint32_t gsi;
    bool force_legacy, ioeventfd;

    uint32_t queue_sel, device_features_sel, driver_features_sel;
    uint32_t page_shift, queue_align;
    uint64_t driver_features; /* as they are written, half by half */
} VirtioMmio;

static void mmio_update_irq(VirtioMmio *s)
{
    irq_set(&s->irq, s->v && s->v->isr);
}

static void mmio_bad(const VirtioMmio *s, const char *what, hwaddr off)
{
    log_mask(LOG_GUEST_ERROR, "%s: %s 0x%" PRIx64 "\n", s->name, what, off);
}

static bool mmio_is_legacy_reg(hwaddr off)
{
    return off == MMIO_GUEST_PAGE_SIZE || off == MMIO_QUEUE_ALIGN ||
           off == MMIO_QUEUE_PFN;
}

static bool mmio_is_modern_reg(hwaddr off)
{
    return off == MMIO_QUEUE_READY ||
           (off >= MMIO_QUEUE_DESC_LOW && off < MMIO_CONFIG);
}

/* The register is of the interface that we do not speak. */
static bool mmio_other_interface(const VirtioMmio *s, hwaddr off)
{
    return s->force_legacy ? mmio_is_modern_reg(off) : mmio_is_legacy_reg(off);
}

/* ---- reads -------------------------------------------------------------------------- */

static uint32_t mmio_read_features(const VirtioMmio *s)
{
    uint64_t f = virtio_offered(s->v, s->force_legacy);

    if (s->device_features_sel > 1) {
        return 0;
    }
    return (uint32_t)(f >> (32 * s->device_features_sel));
}

static uint32_t mmio_read_queue(const VirtioMmio *s, hwaddr off)
{
    const VirtqSetup *q = virtq_setup(s->v, s->queue_sel);

    if (!q) {
        return 0;
    }
    switch (off) {
    case MMIO_QUEUE_NUM_MAX:
        return q->max_size;
    case MMIO_QUEUE_READY:
        return q->enabled;
    default: /* MMIO_QUEUE_PFN */
        return q->enabled ? (uint32_t)(q->desc >> s->page_shift) : 0;
    }
}

static uint64_t mmio_read_config(VirtioMmio *s, unsigned off, unsigned size)
{
    uint8_t buf[8] = { 0 };

    virtio_config_read(s->v, off, buf, size);
    return ld_le64(buf);
}

static uint64_t mmio_read_reg(VirtioMmio *s, hwaddr off)
{
    switch (off) {
    case MMIO_DEVICE_ID:
        return s->v->ops->id;
    case MMIO_DEVICE_FEATURES:
        return mmio_read_features(s);
    case MMIO_QUEUE_NUM_MAX:
    case MMIO_QUEUE_READY:
    case MMIO_QUEUE_PFN:
        return mmio_read_queue(s, off);
    case MMIO_INTERRUPT_STATUS:
        return s->v->isr;
    case MMIO_STATUS:
        return s->v->status;
    case MMIO_CONFIG_GENERATION:
        return s->v->config_generation;
    default:
        if (off >= MMIO_SHM_LEN_LOW && off <= MMIO_SHM_BASE_HIGH) {
            return UINT32_MAX;
        }
        mmio_bad(
            s, "read of a register that is not there or not to be read:", off);
        return 0;
    }
}

static uint64_t mmio_read(void *opaque, hwaddr off, unsigned size)
{
    VirtioMmio *s = opaque;

    if (off >= MMIO_CONFIG) {
        return s->v ? mmio_read_config(s, (unsigned)off - MMIO_CONFIG, size)
                    : 0;
    }
    if (size != 4) {
        mmio_bad(s, "read of other than 32 bits at", off);
        return 0;
    }
    switch (off) { /* an empty slot has these too */
    case MMIO_MAGIC:
        return MAGIC;
    case MMIO_VERSION:
        return s->force_legacy ? 1 : 2;
    case MMIO_VENDOR_ID:
        return VENDOR;
    default:
        break;
    }
    if (!s->v) {
        return 0;
    }
    if (mmio_other_interface(s, off)) {
        mmio_bad(s, "read of a register of the other interface:", off);
        return 0;
    }
    return mmio_read_reg(s, off);
}

/* ---- writes -------------------------------------------------------------------------- */

static void mmio_write_features(VirtioMmio *s, uint32_t value)
{
    unsigned shift = 32 * s->driver_features_sel;

    if (s->driver_features_sel > 1) {
        return;
    }
    s->driver_features = bits_deposit(s->driver_features, shift, 32, value);
    if (s->force_legacy && shift) {
        return;
    }
    virtio_set_driver_features(s->v, s->driver_features);
}

/* Half of an address of the selected queue. */
static void mmio_write_address(VirtioMmio *s, hwaddr off, uint32_t value)
{
    VirtqSetup *q = virtq_setup(s->v, s->queue_sel);
    hwaddr *addr;

    if (!q || q->enabled) {
        mmio_bad(s, "address of a queue that is enabled or not there, at", off);
        return;
    }
    addr = off < MMIO_QUEUE_DRIVER_LOW   ? &q->desc
           : off < MMIO_QUEUE_DEVICE_LOW ? &q->avail
                                         : &q->used;
    *addr = bits_deposit(*addr, off & 4 ? 32 : 0, 32, value);
}

static void mmio_write_page_size(VirtioMmio *s, uint32_t value)
{
    if (!is_pow2(value)) {
        mmio_bad(s, "page size", value);
        return;
    }
    s->page_shift = (uint32_t)__builtin_ctz(value);
}

static void mmio_write_align(VirtioMmio *s, uint32_t value)
{
    if (!is_pow2(value)) {
        mmio_bad(s, "queue alignment", value);
        return;
    }
    s->queue_align = value;
}

static void mmio_write_queue(VirtioMmio *s, hwaddr off, uint32_t value)
{
    switch (off) {
    case MMIO_QUEUE_NUM:
        virtq_set_size(s->v, s->queue_sel, value);
        break;
    case MMIO_QUEUE_READY:
        virtq_set_enabled(s->v, s->queue_sel, value & 1);
        break;
    default: /* MMIO_QUEUE_PFN */
        virtq_set_legacy(s->v, s->queue_sel, (hwaddr)value << s->page_shift,
                         s->queue_align);
    }
}

static void mmio_notified(VirtioMmio *s, uint32_t queue)
{
    VirtioNotifyPlace place = { &s->regs, MMIO_QUEUE_NOTIFY, 0, 4 };

    virtio_notified(s->v, queue);
    if (s->ioeventfd && (s->v->status & VIRTIO_S_DRIVER_OK)) {
        virtio_events_start(s->v, &place, 1);
    }
}

static void mmio_write_status(VirtioMmio *s, uint8_t value)
{
    if (!(value & VIRTIO_S_DRIVER_OK)) {
        virtio_events_stop(s->v);
    }
    virtio_set_status(s->v, value);
}

static void mmio_write_reg(VirtioMmio *s, hwaddr off, uint32_t value)
{
    switch (off) {
    case MMIO_DEVICE_FEATURES_SEL:
        s->device_features_sel = value;
        break;
    case MMIO_DRIVER_FEATURES:
        mmio_write_features(s, value);
        break;
    case MMIO_DRIVER_FEATURES_SEL:
        s->driver_features_sel = value;
        break;
    case MMIO_GUEST_PAGE_SIZE:
        mmio_write_page_size(s, value);
        break;
    case MMIO_QUEUE_SEL:
        s->queue_sel = value;
        break;
    case MMIO_QUEUE_ALIGN:
        mmio_write_align(s, value);
        break;
    case MMIO_QUEUE_NUM:
    case MMIO_QUEUE_READY:
    case MMIO_QUEUE_PFN:
        mmio_write_queue(s, off, value);
        break;
    case MMIO_QUEUE_NOTIFY:
        mmio_notified(s, value);
        break;
    case MMIO_INTERRUPT_ACK:
        s->v->isr &= (uint8_t)~value;
        mmio_update_irq(s);
        break;
    case MMIO_STATUS:
        mmio_write_status(s, (uint8_t)value);
        break;
    case MMIO_QUEUE_DESC_LOW:
    case MMIO_QUEUE_DESC_HIGH:
    case MMIO_QUEUE_DRIVER_LOW:
    case MMIO_QUEUE_DRIVER_HIGH:
    case MMIO_QUEUE_DEVICE_LOW:
    case MMIO_QUEUE_DEVICE_HIGH:
        mmio_write_address(s, off, value);
        break;
    default:
        if (off < 0xac || off > MMIO_SHM_BASE_HIGH) { /* SHMSel and its kin */
            mmio_bad(s,
                     "write to a register that is not there or not to be "
                     "written:",
                     off);
        }
    }
}

static void mmio_write(void *opaque, hwaddr off, uint64_t value, unsigned size)
{
    VirtioMmio *s = opaque;
    uint8_t buf[8];

    if (!s->v) {
        return;
    }
    if (off >= MMIO_CONFIG) {
        st_le64(buf, value);
        virtio_config_write(s->v, (unsigned)off - MMIO_CONFIG, buf, size);
    } else if (size != 4) {
        mmio_bad(s, "write of other than 32 bits at", off);
    } else if (mmio_other_interface(s, off)) {
        mmio_bad(s, "write to a register of the other interface:", off);
    } else {
        mmio_write_reg(s, off, (uint32_t)value);
    }
}

static const RegionOps mmio_ops = {
    .read = mmio_read,
    .write = mmio_write,
    .min_size = 1,
    .max_size = 4,
};

/* ---- the transport --------------------------------------------------------------------- */

/* By the driver. It may have said how large its pages are before (Linux). */
static void mmio_clear(VirtioMmio *s)
{
    s->queue_sel = s->device_features_sel = s->driver_features_sel = 0;
    s->driver_features = 0;
    s->queue_align = LEGACY_ALIGN;
}

static void mmio_power_on(VirtioMmio *s)
{
    mmio_clear(s);
    s->page_shift = 0;
}

static VirtioMmio *mmio_of(Device *dev)
{
    return dev->cls == &virtio_mmio_class ? container_of(dev, VirtioMmio, dev)
                                          : NULL;
}

/* The slot @name, or with NULL the first free one. */
static VirtioMmio *mmio_find(Machine *m, const char *name)
{
    for (guint i = 0; i < m->devices->len; i++) {
        VirtioMmio *s = mmio_of(g_ptr_array_index(m->devices, i));

        if (s && (name ? strcmp(s->name, name) == 0 : !s->v)) {
            return s;
        }
    }
    return NULL;
}

static bool transport_realize(VirtioDevice *v, GError **errp)
{
    const char *bus = v->pci.bus_prop, *cls = v->pci.dev.cls->name;
    VirtioMmio *s = mmio_find(v->pci.dev.machine, bus);

    if (!s && bus) {
        error_setg(errp, "Bus '%s' not found", bus);
    } else if (!s) {
        error_setg(errp,
                   "No 'virtio-bus' bus found for device '%s': machine '%s' "
                   "has no virtio-mmio slot left%s",
                   cls, v->pci.dev.machine->cls->name,
                   g_str_has_suffix(cls, "-device") ? "; on a PC the -pci "
                                                      "kind is the one to use"
                                                    : "");
    } else if (s->v) {
        error_setg(errp, "Bus '%s' is taken by %s", bus, s->v->ops->name);
        s = NULL;
    }
    if (!s) {
        return false;
    }
    s->v = v;
    v->transport_state = s;
    return true;
}

static void transport_unrealize(VirtioDevice *v)
{
    VirtioMmio *s = v->transport_state;

    virtio_events_stop(v);
    s->v = NULL;
    mmio_update_irq(s);
}

static void transport_reset(VirtioDevice *v)
{
    VirtioMmio *s = v->transport_state;

    virtio_events_stop(v);
    mmio_clear(s);
    mmio_update_irq(s);
}

static void transport_interrupt(VirtioDevice *v, uint16_t vector)
{
    mmio_update_irq(v->transport_state);
}

const VirtioTransport virtio_mmio_transport = {
    .bus = "virtio-bus",
    .realize = transport_realize,
    .unrealize = transport_unrealize,
    .reset = transport_reset,
    .interrupt = transport_interrupt,
};

/* ---- the slot ---------------------------------------------------------------------------- */

bool virtio_mmio_slot(Device *dev, VirtioMmioSlot *out)
{
    const VirtioMmio *s = mmio_of(dev);

    if (s) {
        *out = (VirtioMmioSlot) { s->base, s->gsi, s->v };
    }
    return s != NULL;
}

static bool mmio_realize(Device *dev, GError **errp)
{
    VirtioMmio *s = container_of(dev, VirtioMmio, dev);

    if (s->gsi >= MACHINE_GSIS) {
        error_setg(errp, "gsi must be 0 to %d, not %u", MACHINE_GSIS - 1,
                   s->gsi);
        return false;
    }
    s->irq = dev->machine->gsi[s->gsi];
    mmio_power_on(s);
    region_init_io(&s->regs, "virtio-mmio", VIRTIO_MMIO_SIZE, &mmio_ops, s);
    as_map(dev->machine->mem, s->base, &s->regs, 0);
    return true;
}

static void mmio_unrealize(Device *dev)
{
    as_unmap(&container_of(dev, VirtioMmio, dev)->regs);
}

static void mmio_reset(Device *dev)
{
    mmio_power_on(container_of(dev, VirtioMmio, dev));
}

static bool mmio_post_load(void *obj, int version, GError **errp)
{
    VirtioMmio *s = obj;

    if (s->page_shift > 31 || !is_pow2(s->queue_align)) {
        error_setg(errp, "virtio-mmio: page shift %u or alignment %u",
                   s->page_shift, s->queue_align);
        mmio_power_on(s);
        return false;
    }
    return true;
}

static const VMState vmstate_virtio_mmio = {
    .name = "virtio-mmio",
    .version = 1,
    .min_version = 1,
    .post_load = mmio_post_load,
    .fields =
        (const VMField[]) {
            VM_U32(VirtioMmio, queue_sel),
            VM_U32(VirtioMmio, device_features_sel),
            VM_U32(VirtioMmio, driver_features_sel),
            VM_U32(VirtioMmio, page_shift),
            VM_U32(VirtioMmio, queue_align),
            VM_U64(VirtioMmio, driver_features),
            VM_FIELDS_END,
        },
};

static const Property mmio_props[] = {
    { "name", PROP_STRING, offsetof(VirtioMmio, name),
      (uintptr_t) "virtio-mmio-bus.0", "what bus= of a device names" },
    { "base", PROP_U64, offsetof(VirtioMmio, base), 0xfeb00000,
      "address of the registers" },
    { "gsi", PROP_U32, offsetof(VirtioMmio, gsi), 16, "interrupt input" },
    { "force-legacy", PROP_BOOL, offsetof(VirtioMmio, force_legacy), 1,
      "the interface before virtio 1.0 (version 1)" },
    { "ioeventfd", PROP_BOOL, offsetof(VirtioMmio, ioeventfd), 1,
      "notifications without leaving the kernel, under kvm" },
    { .kind = PROP_END },
};

const DeviceClass virtio_mmio_class = {
    .name = "virtio-mmio",
    .desc = "Slot for a virtio device, with memory-mapped registers",
    .size = sizeof(VirtioMmio),
    .internal = true,
    .props = mmio_props,
    .vmstate = &vmstate_virtio_mmio,
    .realize = mmio_realize,
    .reset = mmio_reset,
    .unrealize = mmio_unrealize,
};
