/*
 * edu: the PCI device of QEMU for those who learn to write drivers.
 *
 * Its registers are documented with QEMU (docs/specs/edu): identification, a
 * register that inverts, a factorial that is computed in the background, DMA
 * between memory and a buffer of 4 KiB inside the device, and an interrupt
 * that the driver can raise itself, as INTx or as one MSI.
 *
 * docs/adding-a-device.md makes a small device of this kind from nothing.
 *
 * The factorial is modulo 2^32, so it is 0 from 34 on and never takes long;
 * its time is made up. A DMA takes 100 ms, as in QEMU. Addresses are cut to
 * property "dma_mask": a device with 28 address lines, whose driver has to say
 * so to its kernel.
 */
#include "util/osdep.h"
#include "util/log.h"
#include "hw/pci/pci.h"

extern const DeviceClass edu_class;

enum {
    EDU_BAR = 1 << 20,
    EDU_ID = 0x00,
    EDU_LIVENESS = 0x04,
    EDU_FACTORIAL = 0x08,
    EDU_STATUS = 0x20,
    EDU_IRQ_STATUS = 0x24,
    EDU_IRQ_RAISE = 0x60,
    EDU_IRQ_ACK = 0x64,
    EDU_DMA_SRC = 0x80, /* from here on also 64 bits */
    EDU_DMA_DST = 0x88,
    EDU_DMA_COUNT = 0x90,
    EDU_DMA_CMD = 0x98,
    EDU_BUF = 0x40000, /* where the buffer is, for DMA */
    EDU_BUF_SIZE = 4096,
};

#define EDU_ID_VALUE      0x010000edu
#define STATUS_COMPUTING  0x01u
#define STATUS_IRQ        0x80u /* when the factorial is ready */
#define IRQ_FACTORIAL     0x001u
#define IRQ_DMA           0x100u
#define CMD_RUN           0x1u
#define CMD_TO_MEMORY     0x2u
#define CMD_IRQ           0x4u
#define FACTORIAL_STEP_NS 1000
#define DMA_NS            (INT64_C(100) * 1000 * 1000)

typedef struct Edu {
    PciDevice pci; /* first */
    Region mmio;
    uint64_t dma_mask; /* property */
    Timer factorial_timer, dma_timer;
    uint32_t liveness, factorial, status, irq_status;
    uint64_t dma_src, dma_dst, dma_count, dma_cmd;
    uint8_t buf[EDU_BUF_SIZE];
} Edu;

static Edu *edu_of(Device *dev)
{
    return container_of(dev, Edu, pci.dev);
}

static int64_t edu_now(const Edu *s)
{
    return clock_ns(s->pci.dev.machine->vclock);
}

/* ---- interrupts ---------------------------------------------------------------- */

static void edu_raise(Edu *s, uint32_t causes)
{
    s->irq_status |= causes;
    if (!s->irq_status) {
        return;
    }
    if (msi_enabled(&s->pci)) {
        msi_notify(&s->pci, 0);
    }
    pci_set_irq(&s->pci, 1);
}

static void edu_acknowledge(Edu *s, uint32_t causes)
{
    s->irq_status &= ~causes;
    if (!s->irq_status) {
        pci_set_irq(&s->pci, 0);
    }
}

/* ---- the factorial --------------------------------------------------------------- */

static uint32_t edu_factorial(uint32_t n)
{
    uint32_t product = 1;

    while (n > 1 && product) {
        product *= n--;
    }
    return product;
}

static void edu_start_factorial(Edu *s, uint32_t n)
{
    if (s->status & STATUS_COMPUTING) {
        return;
    }
    s->factorial = n;
    s->status |= STATUS_COMPUTING;
    timer_arm(&s->factorial_timer,
              edu_now(s) + (MIN(n, 100) + 1) * FACTORIAL_STEP_NS);
}

static void edu_factorial_ready(void *opaque)
{
    Edu *s = opaque;

    s->factorial = edu_factorial(s->factorial);
    s->status &= ~STATUS_COMPUTING;
    if (s->status & STATUS_IRQ) {
        edu_raise(s, IRQ_FACTORIAL);
    }
}

/* ---- DMA ------------------------------------------------------------------------- */

/* What of the buffer @addr and the count mean; NULL: not inside it. */
static uint8_t *edu_buf_at(Edu *s, uint64_t addr)
{
    if (addr < EDU_BUF || addr - EDU_BUF > EDU_BUF_SIZE ||
        s->dma_count > EDU_BUF_SIZE - (addr - EDU_BUF)) {
        log_mask(LOG_GUEST_ERROR,
                 "edu: DMA of %" PRIu64 " bytes at 0x%" PRIx64
                 " is outside of the buffer\n",
                 s->dma_count, addr);
        return NULL;
    }
    return s->buf + (addr - EDU_BUF);
}

static uint64_t edu_clamp(const Edu *s, uint64_t addr)
{
    if (addr & ~s->dma_mask) {
        log_mask(LOG_GUEST_ERROR,
                 "edu: DMA address 0x%" PRIx64 " has more bits than the "
                 "device\n",
                 addr);
    }
    return addr & s->dma_mask;
}

static void edu_dma_ready(void *opaque)
{
    Edu *s = opaque;
    bool to_memory = s->dma_cmd & CMD_TO_MEMORY;
    uint8_t *buf = edu_buf_at(s, to_memory ? s->dma_src : s->dma_dst);

    if (buf && to_memory) {
        pci_dma_write(&s->pci, edu_clamp(s, s->dma_dst), buf, s->dma_count);
    } else if (buf) {
        pci_dma_read(&s->pci, edu_clamp(s, s->dma_src), buf, s->dma_count);
    }
    s->dma_cmd &= ~(uint64_t)CMD_RUN;
    if (s->dma_cmd & CMD_IRQ) {
        edu_raise(s, IRQ_DMA);
    }
}

/* The registers stand still while a DMA runs. */
static void edu_write_dma(Edu *s, hwaddr reg, uint64_t value)
{
    if (s->dma_cmd & CMD_RUN) {
        return;
    }
    switch (reg) {
    case EDU_DMA_SRC:
        s->dma_src = value;
        break;
    case EDU_DMA_DST:
        s->dma_dst = value;
        break;
    case EDU_DMA_COUNT:
        s->dma_count = value;
        break;
    case EDU_DMA_CMD:
        s->dma_cmd = value & (CMD_RUN | CMD_TO_MEMORY | CMD_IRQ);
        if (value & CMD_RUN) {
            timer_arm(&s->dma_timer, edu_now(s) + DMA_NS);
        }
        break;
    default:
        break;
    }
}

/* ---- registers --------------------------------------------------------------------- */

static bool edu_size_ok(hwaddr reg, unsigned size)
{
    return size == 4 || (size == 8 && reg >= EDU_DMA_SRC);
}

static uint64_t edu_read(void *opaque, hwaddr reg, unsigned size)
{
    Edu *s = opaque;

    if (!edu_size_ok(reg, size)) {
        return UINT64_MAX;
    }
    switch (reg) {
    case EDU_ID:
        return EDU_ID_VALUE;
    case EDU_LIVENESS:
        return s->liveness;
    case EDU_FACTORIAL:
        return s->factorial;
    case EDU_STATUS:
        return s->status;
    case EDU_IRQ_STATUS:
        return s->irq_status;
    case EDU_DMA_SRC:
        return s->dma_src;
    case EDU_DMA_DST:
        return s->dma_dst;
    case EDU_DMA_COUNT:
        return s->dma_count;
    case EDU_DMA_CMD:
        return s->dma_cmd;
    default:
        return UINT64_MAX;
    }
}

static void edu_write(void *opaque, hwaddr reg, uint64_t value, unsigned size)
{
    Edu *s = opaque;

    if (!edu_size_ok(reg, size)) {
        return;
    }
    switch (reg) {
    case EDU_LIVENESS:
        s->liveness = ~(uint32_t)value;
        break;
    case EDU_FACTORIAL:
        edu_start_factorial(s, (uint32_t)value);
        break;
    case EDU_STATUS:
        s->status = (s->status & STATUS_COMPUTING) | (value & STATUS_IRQ);
        break;
    case EDU_IRQ_RAISE:
        edu_raise(s, (uint32_t)value);
        break;
    case EDU_IRQ_ACK:
        edu_acknowledge(s, (uint32_t)value);
        break;
    default:
        edu_write_dma(s, reg, value);
        break;
    }
}

static const RegionOps edu_ops = {
    .read = edu_read,
    .write = edu_write,
    .min_size = 1,
    .max_size = 8,
};

/* ---- device -------------------------------------------------------------------------- */

static bool edu_realize(Device *dev, GError **errp)
{
    static const PciIds ids = { .vendor = 0x1234,
                                .device = 0x11e8,
                                .class_code = 0x00ff00,
                                .revision = 0x10,
                                .irq_pin = 1 };
    Edu *s = edu_of(dev);

    if (!pci_realize(&s->pci, &ids, errp)) {
        return false;
    }
    if (!msi_init(&s->pci, 1, false, errp)) {
        pci_unrealize(&s->pci);
        return false;
    }
    region_init_io(&s->mmio, "edu-mmio", EDU_BAR, &edu_ops, s);
    pci_add_bar(&s->pci, 0, PCI_BAR_MEM32, &s->mmio);
    timer_init(&s->factorial_timer, dev->machine->vclock, edu_factorial_ready,
               s);
    timer_init(&s->dma_timer, dev->machine->vclock, edu_dma_ready, s);
    return true;
}

static void edu_reset(Device *dev)
{
    Edu *s = edu_of(dev);

    timer_cancel(&s->factorial_timer);
    timer_cancel(&s->dma_timer);
    s->liveness = s->factorial = s->status = s->irq_status = 0;
    s->dma_src = s->dma_dst = s->dma_count = s->dma_cmd = 0;
    memset(s->buf, 0, sizeof(s->buf));
    pci_reset(&s->pci);
}

static void edu_unrealize(Device *dev)
{
    Edu *s = edu_of(dev);

    timer_cancel(&s->factorial_timer);
    timer_cancel(&s->dma_timer);
    pci_unrealize(&s->pci);
}

static const Property edu_props[] = {
    { "dma_mask", PROP_U64, offsetof(Edu, dma_mask), 0xfffffff,
      "address bits the device can drive in a DMA" },
    PCI_PROPS,
    { .kind = PROP_END },
};

static const VMField edu_fields[] = {
    VM_SUB(Edu, pci, vmstate_pci_device),
    VM_TIMER_FIELD(Edu, factorial_timer),
    VM_TIMER_FIELD(Edu, dma_timer),
    VM_U32(Edu, liveness),
    VM_U32(Edu, factorial),
    VM_U32(Edu, status),
    VM_U32(Edu, irq_status),
    VM_U64(Edu, dma_src),
    VM_U64(Edu, dma_dst),
    VM_U64(Edu, dma_count),
    VM_U64(Edu, dma_cmd),
    VM_BUFFER(Edu, buf),
    VM_FIELDS_END,
};

static const VMState vmstate_edu = {
    .name = "edu",
    .version = 1,
    .min_version = 1,
    .fields = edu_fields,
};

const DeviceClass edu_class = {
    .name = "edu",
    .desc = "Device to learn writing PCI drivers with",
    .category = DEVICE_MISC,
    .bus = "PCI",
    .size = sizeof(Edu),
    .props = edu_props,
    .vmstate = &vmstate_edu,
    .realize = edu_realize,
    .reset = edu_reset,
    .unrealize = edu_unrealize,
};
