/*
 * The I/O APIC of a PC: 24 pins, each with a redirection entry that turns it
 * into a message to local APICs.
 *
 * Intel 82093AA data sheet (290566); version 0x20, whose EOI register is in
 * the ICH9 data sheet (316972, 13.5). The wires are active-high, whatever the
 * polarity bit says: it only tells how the board is built.
 *
 * Where the host's kernel has it (system/host-kernel.h), its state is fetched
 * before it is looked at and given back after it changed; where that has only
 * the local APICs, it is told what every pin sends.
 *
 * A level-triggered pin that was delivered (remote IRR) waits for the EOI of
 * its vector and is delivered again if it is still high. An edge on a masked
 * pin is lost.
 */
#include "util/osdep.h"
#include "util/error.h"
#include "util/log.h"
#include "util/trace.h"
#include "hw/intc/apic.h"
#include "hw/intc/ioapic.h"
#include "system/host-kernel.h"

enum { /* offsets in memory */
       MEM_SELECT = 0x00,
       MEM_WINDOW = 0x10,
       MEM_EOI = 0x40,
       MEM_SIZE = 0x1000,
};

enum { /* registers behind the window */
       REG_ID = 0x00,
       REG_VERSION = 0x01,
       REG_ARBITRATION = 0x02,
       REG_TABLE = 0x10,
};

#define IOAPIC_VERSION (0x20u | (IOAPIC_PINS - 1) << 16)
#define RTE_VECTOR     0xffu
#define RTE_MODE_SHIFT 8
#define RTE_LOGICAL    0x800u
#define RTE_REMOTE_IRR 0x4000u
#define RTE_LEVEL      0x8000u
#define RTE_MASKED     0x10000u
#define RTE_READ_ONLY  UINT64_C(0x5000) /* remote IRR, delivery status */
#define RTE_WRITABLE   UINT64_C(0xff0000000001afff)
#define RTE_DEST_SHIFT 56

typedef struct IoApic {
    Device dev;
    Region mem;
    uint64_t base; /* property */
    uint8_t prop_id;
    uint8_t id;
    uint8_t select;
    uint32_t line; /* the pins as they are */
    uint64_t rte[IOAPIC_PINS];
    uint64_t rises[IOAPIC_PINS]; /* "info irq" */
} IoApic;

/* ---- in the host's kernel -------------------------------------------------- */

static void ioapic_fetch(IoApic *s)
{
    HostIoApic h;

    if (host_has_irqchip(s->dev.machine)) {
        s->dev.machine->host->ops->get_ioapic(s->dev.machine, &h);
        s->id = h.id & 0xf;
        s->select = h.select;
        s->line = h.line & ((UINT32_C(1) << IOAPIC_PINS) - 1);
        for (unsigned i = 0; i < IOAPIC_PINS; i++) {
            s->rte[i] = h.rte[i] & (RTE_WRITABLE | RTE_READ_ONLY);
        }
    }
}

static void ioapic_give(IoApic *s)
{
    HostIoApic h = { .id = s->id, .select = s->select, .line = s->line };

    if (host_has_irqchip(s->dev.machine)) {
        memcpy(h.rte, s->rte, sizeof(h.rte));
        s->dev.machine->host->ops->set_ioapic(s->dev.machine, &h);
    }
}

static void ioapic_tell_route(IoApic *s, unsigned pin)
{
    uint64_t rte = s->rte[pin];

    apic_route_pin(s->dev.machine, pin, !(rte & RTE_MASKED),
                   rte >> RTE_DEST_SHIFT, rte & RTE_LOGICAL,
                   rte >> RTE_MODE_SHIFT & 7, rte & RTE_VECTOR,
                   rte & RTE_LEVEL);
}

/* ---- pins -------------------------------------------------------------------- */

static void ioapic_send(IoApic *s, unsigned pin)
{
    uint64_t rte = s->rte[pin];

    apic_deliver(s->dev.machine, rte >> RTE_DEST_SHIFT, rte & RTE_LOGICAL,
                 rte >> RTE_MODE_SHIFT & 7, rte & RTE_VECTOR, rte & RTE_LEVEL);
}

/* Fixed and lowest priority only: the others have no EOI to wait for. */
static bool ioapic_is_level(uint64_t rte)
{
    return (rte & RTE_LEVEL) && (rte >> RTE_MODE_SHIFT & 7) <= APIC_DM_LOWEST;
}

/* Delivers a level-triggered pin if it asks for it and may. */
static void ioapic_service_level(IoApic *s, unsigned pin)
{
    uint64_t *rte = &s->rte[pin];

    if (ioapic_is_level(*rte) && (s->line >> pin & 1) &&
        !(*rte & (RTE_MASKED | RTE_REMOTE_IRR))) {
        *rte |= RTE_REMOTE_IRR;
        ioapic_send(s, pin);
    }
}

static void ioapic_pin(void *opaque, int pin, int level)
{
    IoApic *s = opaque;
    uint32_t bit = UINT32_C(1) << pin;
    bool rose = level && !(s->line & bit);

    trace(ioapic_set_irq, pin, level);
    s->rises[pin] += rose;
    if (host_has_irqchip(s->dev.machine)) {
        if (pin != 0) { /* GSI 0 is wired to pin 2 */
            host_set_gsi(s->dev.machine, pin == 2 ? 0 : (unsigned)pin, level);
        }
        return;
    }
    s->line = level ? s->line | bit : s->line & ~bit;
    if (ioapic_is_level(s->rte[pin])) {
        ioapic_service_level(s, pin);
    } else if (rose && !(s->rte[pin] & RTE_MASKED)) {
        ioapic_send(s, pin);
    }
}

static void ioapic_eoi(void *opaque, uint8_t vector)
{
    IoApic *s = opaque;

    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        uint64_t *rte = &s->rte[pin];

        if ((*rte & RTE_REMOTE_IRR) && (*rte & RTE_VECTOR) == vector) {
            *rte &= ~(uint64_t)RTE_REMOTE_IRR;
            ioapic_service_level(s, pin);
        }
    }
}

/* @half: 0 is the low 32 bits. */
static void ioapic_write_rte(IoApic *s, unsigned pin, unsigned half,
                             uint32_t value)
{
    uint64_t *rte = &s->rte[pin];
    uint64_t full = half ? (*rte & 0xffffffff) | (uint64_t)value << 32
                         : (*rte & ~UINT64_C(0xffffffff)) | value;

    *rte = (full & RTE_WRITABLE) | (*rte & RTE_READ_ONLY);
    if (!ioapic_is_level(*rte)) {
        *rte &= ~(uint64_t)RTE_REMOTE_IRR;
    }
    ioapic_tell_route(s, pin);
    ioapic_service_level(s, pin);
}

static uint32_t ioapic_read_reg(IoApic *s)
{
    unsigned n = s->select - REG_TABLE;

    switch (s->select) {
    case REG_ID:
    case REG_ARBITRATION:
        return (uint32_t)s->id << 24;
    case REG_VERSION:
        return IOAPIC_VERSION;
    default:
        if (s->select >= REG_TABLE && n < 2 * IOAPIC_PINS) {
            return s->rte[n / 2] >> (n % 2 * 32);
        }
        log_mask(LOG_GUEST_ERROR, "ioapic: no register %02x\n", s->select);
        return 0xffffffff;
    }
}

static void ioapic_write_reg(IoApic *s, uint32_t value)
{
    unsigned n = s->select - REG_TABLE;

    if (s->select == REG_ID) {
        s->id = value >> 24 & 0xf;
    } else if (s->select >= REG_TABLE && n < 2 * IOAPIC_PINS) {
        ioapic_write_rte(s, n / 2, n % 2, value);
    } else {
        log_mask(LOG_GUEST_ERROR, "ioapic: no register %02x to write\n",
                 s->select);
    }
}

static uint64_t ioapic_read(void *opaque, hwaddr offset, unsigned size)
{
    IoApic *s = opaque;
    uint64_t value = 0;

    ioapic_fetch(s);
    if (offset == MEM_SELECT) {
        value = s->select;
    } else if (offset == MEM_WINDOW && size == 4) {
        value = ioapic_read_reg(s);
    }
    trace(ioapic_mem_read, offset, size, value);
    return value;
}

static void ioapic_write(void *opaque, hwaddr offset, uint64_t value,
                         unsigned size)
{
    IoApic *s = opaque;

    trace(ioapic_mem_write, offset, size, value);
    ioapic_fetch(s);
    switch (offset) {
    case MEM_SELECT:
        s->select = value;
        break;
    case MEM_WINDOW:
        if (size == 4) {
            ioapic_write_reg(s, value);
        }
        break;
    case MEM_EOI:
        ioapic_eoi(s, value);
        break;
    }
    ioapic_give(s);
}

static const RegionOps ioapic_ops = {
    .read = ioapic_read,
    .write = ioapic_write,
    .min_size = 1,
    .max_size = 4,
};

IrqLine ioapic_input(Device *dev, int pin)
{
    if (pin < 0 || pin >= IOAPIC_PINS) {
        return (IrqLine) { .set = NULL };
    }
    return (IrqLine) { ioapic_pin, container_of(dev, IoApic, dev), pin };
}

const uint64_t *ioapic_rises(const Device *dev)
{
    return container_of(dev, IoApic, dev)->rises;
}

void ioapic_dump(Device *dev, GString *out)
{
    static const char *const mode[] = { "fixed", "lowest", "SMI", "(3)",
                                        "NMI",   "INIT",   "(6)", "ExtINT" };
    IoApic *s = container_of(dev, IoApic, dev);

    ioapic_fetch(s);
    g_string_append_printf(out, "ioapic0: ver=0x20 id=0x%02x sel=0x%02x\n",
                           s->id, s->select);
    for (unsigned i = 0; i < IOAPIC_PINS; i++) {
        uint64_t rte = s->rte[i];

        g_string_append_printf(out,
                               "  pin %-2u 0x%016" PRIx64 " dest=%" PRIu64
                               " vec=%-3" PRIu64 " %s %s %s %s%s%s\n",
                               i, rte, rte >> RTE_DEST_SHIFT, rte & RTE_VECTOR,
                               rte & 0x2000 ? "active-lo" : "active-hi",
                               rte & RTE_LEVEL ? "level" : "edge ",
                               rte & RTE_LOGICAL ? "logical " : "physical",
                               rte & RTE_MASKED ? "masked " : "",
                               mode[rte >> 8 & 7],
                               rte & RTE_REMOTE_IRR ? " remote-irr" : "");
    }
    g_string_append(out, "  lines high:");
    for (unsigned i = 0; i < IOAPIC_PINS; i++) {
        if (s->line >> i & 1) {
            g_string_append_printf(out, " %u", i);
        }
    }
    g_string_append(out, s->line ? "\n" : " (none)\n");
}

static void ioapic_reset(Device *dev)
{
    IoApic *s = container_of(dev, IoApic, dev);

    ioapic_fetch(s); /* the lines stay */
    s->id = s->prop_id;
    s->select = 0;
    for (unsigned i = 0; i < IOAPIC_PINS; i++) {
        s->rte[i] = RTE_MASKED;
        ioapic_tell_route(s, i);
    }
    ioapic_give(s);
}

static bool ioapic_realize(Device *dev, GError **errp)
{
    IoApic *s = container_of(dev, IoApic, dev);

    if (s->prop_id > 15) {
        error_setg(errp, "id must be 0 to 15, not %u", s->prop_id);
        return false;
    }
    apic_connect_ioapic(dev->machine, ioapic_eoi, s);
    region_init_io(&s->mem, "ioapic", MEM_SIZE, &ioapic_ops, s);
    s->mem.in_kernel = host_has_irqchip(dev->machine);
    as_map(dev->machine->mem, s->base, &s->mem, 0);
    return true;
}

static void ioapic_unrealize(Device *dev)
{
    IoApic *s = container_of(dev, IoApic, dev);

    apic_connect_ioapic(dev->machine, NULL, NULL);
    as_unmap(&s->mem);
}

static void ioapic_pre_save(void *obj)
{
    ioapic_fetch(obj);
}

static bool ioapic_post_load(void *obj, int version, GError **errp)
{
    IoApic *s = obj;

    s->id &= 0xf;
    s->line &= (UINT32_C(1) << IOAPIC_PINS) - 1;
    for (unsigned i = 0; i < IOAPIC_PINS; i++) {
        s->rte[i] &= RTE_WRITABLE | RTE_READ_ONLY;
        ioapic_tell_route(s, i);
    }
    ioapic_give(s);
    return true;
}

static const Property ioapic_props[] = {
    { "base", PROP_U64, offsetof(IoApic, base), IOAPIC_DEFAULT_BASE,
      "address" },
    { "id", PROP_U8, offsetof(IoApic, prop_id), 0, "APIC id, 0 to 15" },
    { .kind = PROP_END },
};

static const VMField ioapic_fields[] = {
    VM_U8(IoApic, id),    VM_U8(IoApic, select),
    VM_U32(IoApic, line), VM_U64_ARRAY(IoApic, rte, IOAPIC_PINS),
    VM_FIELDS_END,
};

static const VMState vmstate_ioapic = {
    .name = "ioapic",
    .version = 1,
    .min_version = 1,
    .fields = ioapic_fields,
    .pre_save = ioapic_pre_save,
    .post_load = ioapic_post_load,
};

const DeviceClass ioapic_class = {
    .name = "ioapic",
    .desc = "I/O APIC with 24 pins",
    .size = sizeof(IoApic),
    .props = ioapic_props,
    .vmstate = &vmstate_ioapic,
    .internal = true,
    .has_inputs = true,
    .realize = ioapic_realize,
    .reset = ioapic_reset,
    .unrealize = ioapic_unrealize,
};
