/*
 * i6300esb: the watchdog of Intel's 6300ESB I/O controller hub, which libvirt
 * gives its guests and Linux drives with i6300esb. Data sheet 300641, chapter
 * 16.
 *
 * Two countdowns, one after the other. The end of the first may interrupt, that
 * of the second drives a pin that is wired to reset. In "free running" mode the
 * second is the only one, and starts again by itself; the pin only changes.
 * Registers that count are written only after 0x80, 0x86 to the reload
 * register, each time again.
 *
 * Not modelled: the interrupt of the first stage, which goes to an input of the
 * second I/O APIC that a PC of ours has not, and its SMI (logged).
 */
#include "util/osdep.h"
#include "util/log.h"
#include "hw/pci/pci.h"

extern const DeviceClass i6300esb_class;

enum {
    ESB_BAR = 16,
    ESB_PRELOAD1 = 0x0,
    ESB_PRELOAD2 = 0x4,
    ESB_INTERRUPT = 0x8,
    ESB_RELOAD = 0xc,
    /* of the configuration space */
    ESB_CONFIG = 0x60,
    ESB_LOCK = 0x68,
};

#define PRELOAD_MASK   0xfffffu
#define RELOAD_PING    0x100u
#define RELOAD_TIMEOUT 0x200u /* the guest was reset by the timer */
#define UNLOCK1        0x80
#define UNLOCK2        0x86
#define CONFIG_INT     0x03u /* 0: interrupt, 2: SMI, 3: none */
#define CONFIG_MHZ     0x04u /* counts 1 us, else 1 ms */
#define CONFIG_NO_PIN  0x20u
#define LOCK_LOCKED    0x01u
#define LOCK_ENABLE    0x02u
#define LOCK_FREE_RUN  0x04u
#define LOCK_BITS      0x07u
#define PCI_CLOCK_NS   30
#define SHIFT_MHZ      5
#define SHIFT_KHZ      15
#define MIN_PERIOD_NS  100000 /* 0, free running, would never let go */

typedef struct Esb {
    PciDevice pci; /* first */
    Region mmio;
    Timer timer;
    uint32_t preload[2];
    uint8_t stage;  /* 0 or 1: the countdown that runs */
    uint8_t unlock; /* how far the sequence is: 0, 1, 2 */
    bool timed_out;
} Esb;

static Esb *esb_of(Device *dev)
{
    return container_of(dev, Esb, pci.dev);
}

static bool esb_enabled(const Esb *s)
{
    return s->pci.config[ESB_LOCK] & LOCK_ENABLE;
}

static bool esb_free_running(const Esb *s)
{
    return s->pci.config[ESB_LOCK] & LOCK_FREE_RUN;
}

/* ---- counting ------------------------------------------------------------------ */

static int64_t esb_ns(const Esb *s)
{
    unsigned shift =
        s->pci.config[ESB_CONFIG] & CONFIG_MHZ ? SHIFT_MHZ : SHIFT_KHZ;

    return MAX(((int64_t)s->preload[s->stage] << shift) * PCI_CLOCK_NS,
               MIN_PERIOD_NS);
}

static void esb_start(Esb *s, uint8_t stage)
{
    s->stage = stage;
    if (esb_enabled(s)) {
        timer_arm(&s->timer, clock_ns(s->pci.dev.machine->vclock) + esb_ns(s));
    } else {
        timer_cancel(&s->timer);
    }
}

static void esb_ping(Esb *s)
{
    esb_start(s, esb_free_running(s) ? 1 : 0);
}

static void esb_expired(void *opaque)
{
    Esb *s = opaque;

    if (s->stage == 0) {
        if ((s->pci.config[ESB_CONFIG] & CONFIG_INT) != CONFIG_INT) {
            log_mask(LOG_UNIMP, "i6300esb: interrupt of the first stage\n");
        }
        esb_start(s, 1);
        return;
    }
    if (esb_free_running(s)) {
        esb_start(s, 1);
    } else if (!(s->pci.config[ESB_CONFIG] & CONFIG_NO_PIN)) {
        s->timed_out = true;
        watchdog_expired(s->pci.dev.machine);
    }
}

/* ---- registers ------------------------------------------------------------------- */

/* Whether the guest may write now; that uses the sequence up. */
static bool esb_unlocked(Esb *s)
{
    bool ok = s->unlock == 2;

    s->unlock = 0;
    return ok;
}

static void esb_write_reload(Esb *s, uint32_t value)
{
    if (value == UNLOCK1) {
        s->unlock = 1;
    } else if (value == UNLOCK2 && s->unlock == 1) {
        s->unlock = 2;
    } else if (esb_unlocked(s)) {
        if (value & RELOAD_TIMEOUT) {
            s->timed_out = false;
        }
        if (value & RELOAD_PING) {
            esb_ping(s);
        }
    }
}

static uint64_t esb_read(void *opaque, hwaddr off, unsigned size)
{
    Esb *s = opaque;

    switch (off) {
    case ESB_PRELOAD1:
    case ESB_PRELOAD2:
        return s->preload[off / 4];
    case ESB_RELOAD:
        return s->timed_out ? RELOAD_TIMEOUT : 0;
    default:
        return 0;
    }
}

static void esb_write(void *opaque, hwaddr off, uint64_t value, unsigned size)
{
    Esb *s = opaque;

    switch (off) {
    case ESB_PRELOAD1:
    case ESB_PRELOAD2:
        if (esb_unlocked(s)) {
            s->preload[off / 4] = (uint32_t)value & PRELOAD_MASK;
        }
        break;
    case ESB_RELOAD:
        esb_write_reload(s, (uint32_t)value);
        break;
    default: /* the interrupt's register: there is none to acknowledge */
        break;
    }
}

static const RegionOps esb_ops = {
    .read = esb_read,
    .write = esb_write,
    .min_size = 1,
    .max_size = 4,
};

/* The lock bit makes the register read-only until the next reset. */
static void esb_config_written(PciDevice *pd, unsigned off, unsigned size)
{
    Esb *s = container_of(pd, Esb, pci);

    if (off > ESB_LOCK || ESB_LOCK - off >= size || !pd->wmask[ESB_LOCK]) {
        return;
    }
    if (pd->config[ESB_LOCK] & LOCK_LOCKED) {
        pd->wmask[ESB_LOCK] = 0;
    }
    if (!esb_enabled(s)) {
        timer_cancel(&s->timer);
    } else if (!timer_armed(&s->timer)) {
        esb_ping(s);
    }
}

/* ---- device -------------------------------------------------------------------------- */

static bool esb_realize(Device *dev, GError **errp)
{
    static const PciIds ids = { .vendor = 0x8086,
                                .device = 0x25ab,
                                .class_code = 0x088000 };
    Esb *s = esb_of(dev);

    if (!pci_realize(&s->pci, &ids, errp)) {
        return false;
    }
    s->pci.wmask[ESB_CONFIG] = CONFIG_INT | CONFIG_MHZ | CONFIG_NO_PIN;
    s->pci.dynmask[ESB_LOCK] = LOCK_BITS; /* loading: locked or not */
    s->pci.config_written = esb_config_written;
    region_init_io(&s->mmio, "i6300esb", ESB_BAR, &esb_ops, s);
    pci_add_bar(&s->pci, 0, PCI_BAR_MEM32, &s->mmio);
    timer_init(&s->timer, dev->machine->vclock, esb_expired, s);
    return true;
}

/* The status bit stays: the guest that was reset wants to know why. */
static void esb_reset(Device *dev)
{
    Esb *s = esb_of(dev);

    timer_cancel(&s->timer);
    s->preload[0] = s->preload[1] = PRELOAD_MASK;
    s->stage = s->unlock = 0;
    pci_reset(&s->pci);
    s->pci.wmask[ESB_LOCK] = LOCK_BITS;
}

static void esb_unrealize(Device *dev)
{
    Esb *s = esb_of(dev);

    timer_cancel(&s->timer);
    pci_unrealize(&s->pci);
}

static bool esb_post_load(void *obj, int version, GError **errp)
{
    Esb *s = obj;

    s->stage &= 1;
    s->preload[0] &= PRELOAD_MASK;
    s->preload[1] &= PRELOAD_MASK;
    s->pci.wmask[ESB_LOCK] =
        s->pci.config[ESB_LOCK] & LOCK_LOCKED ? 0 : LOCK_BITS;
    return true;
}

static const Property esb_props[] = {
    PCI_PROPS,
    { .kind = PROP_END },
};

static const VMField esb_fields[] = {
    VM_SUB(Esb, pci, vmstate_pci_device),
    VM_TIMER_FIELD(Esb, timer),
    VM_U32_ARRAY(Esb, preload, 2),
    VM_U8(Esb, stage),
    VM_U8(Esb, unlock),
    VM_BOOL(Esb, timed_out),
    VM_FIELDS_END,
};

static const VMState vmstate_esb = {
    .name = "i6300esb",
    .version = 1,
    .min_version = 1,
    .post_load = esb_post_load,
    .fields = esb_fields,
};

const DeviceClass i6300esb_class = {
    .name = "i6300esb",
    .desc = "Intel 6300ESB watchdog",
    .category = DEVICE_WATCHDOG,
    .bus = "PCI",
    .size = sizeof(Esb),
    .props = esb_props,
    .vmstate = &vmstate_esb,
    .realize = esb_realize,
    .reset = esb_reset,
    .unrealize = esb_unrealize,
};
