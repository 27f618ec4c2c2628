/*
 * The 8254 interval timer of a PC and the port 61 next to it.
 *
 * Intel 8254 data sheet (231164); port 61 is the PIIX3's "NMI status and
 * control" (290550, 4.2.5). Nothing ticks: a channel remembers at which tick
 * of the 1.193182 MHz clock it was started, and its count and output follow
 * from the virtual clock. The host timer is set to the next event of OUT 0
 * only, and never more often than every MIN_EVENT_NS.
 *
 * A count written while modes 2 and 3 run takes over at the end of the period
 * (the chip does so in mode 3 after half of it already). At reset the channels
 * run as a PC's firmware leaves them: mode 3, 65536.
 *
 * Where the host's kernel has it (system/host-kernel.h), its state is fetched
 * before it is looked at and given back after it changed. The kernel's runs on
 * while the machine is stopped, so it is fetched then and given back at the
 * start.
 *
 * Not modelled: the speaker itself; parity and I/O check NMIs of port 61.
 */
#include "util/osdep.h"
#include "util/error.h"
#include "hw/timer/i8254.h"
#include "system/event.h"
#include "system/host-kernel.h"

#define PORT61_GATE2   0x01u
#define PORT61_SPEAKER 0x02u
#define PORT61_KEEP    0x0fu /* gate, speaker, two NMI enables */
#define PORT61_REFRESH 0x10u
#define PORT61_OUT2    0x20u

enum {
    CHANNELS = 3,
    REFRESH_NS = 15085,
    MIN_EVENT_NS = 20000,
    ACCESS_LSB = 1,
    ACCESS_MSB = 2,
    ACCESS_BOTH = 3,
};

typedef struct PitChannel {
    uint32_t reload;      /* 1 to 65536 */
    uint32_t next_reload; /* 0: none; takes over at switch_tick */
    uint64_t switch_tick;
    uint64_t start; /* tick at which the count was reload */
    uint64_t held;  /* ticks counted when the gate stopped it */
    bool loaded;    /* has a count since the control word */
    bool running;   /* counts: start is valid, not held */
    bool gate;
    uint8_t mode; /* 0 to 5 */
    bool bcd;
    uint8_t access;
    bool write_msb_next, read_msb_next;
    uint8_t write_lsb;
    uint8_t latched; /* bytes of latch still to be read */
    uint16_t latch;
    bool status_latched;
    uint8_t status;
} PitChannel;

typedef struct Pit {
    Device dev;
    PitChannel ch[CHANNELS];
    Region ports, port61;
    IrqLine irq0;
    Timer timer; /* next event of OUT 0 */
    uint8_t control61;
    bool hpet_legacy; /* of the kernel's: the HPET drives IRQ 0 */
} Pit;

static uint64_t pit_now(Pit *s)
{
    return muldiv64(clock_ns(s->dev.machine->vclock), PIT_HZ, NS_PER_SEC);
}

/* The first nanosecond at which pit_now() is @tick. */
static int64_t pit_tick_to_ns(uint64_t tick)
{
    return muldiv64(tick, NS_PER_SEC, PIT_HZ) + 1;
}

static bool pit_periodic(const PitChannel *c)
{
    return c->mode == 2 || c->mode == 3;
}

/* Started by a rising gate rather than by the count. */
static bool pit_triggered(const PitChannel *c)
{
    return c->mode == 1 || c->mode == 5;
}

/* Lets a count that was waiting for the end of the period take over. */
static void pit_sync(PitChannel *c, uint64_t now)
{
    if (c->next_reload && c->running && pit_periodic(c) &&
        now >= c->switch_tick) {
        c->reload = c->next_reload;
        c->next_reload = 0;
        c->start = c->switch_tick;
    }
}

/* Ticks counted since the load. */
static uint64_t pit_elapsed(const PitChannel *c, uint64_t now)
{
    return c->running ? now - c->start : c->held;
}

static uint32_t pit_square_count(uint32_t n, uint32_t t)
{
    uint32_t high = (n + 1) / 2;

    return (n & ~1u) - 2 * (t < high ? t : t - high);
}

static uint16_t pit_to_bcd(uint32_t v)
{
    return v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 % 10 << 12;
}

static uint16_t pit_count(const PitChannel *c, uint64_t now)
{
    uint64_t t = pit_elapsed(c, now);
    uint32_t wrap = c->bcd ? 10000 : 0x10000;
    uint32_t count;

    switch (c->mode) {
    case 2:
        count = c->reload - t % c->reload;
        break;
    case 3:
        count = pit_square_count(c->reload, t % c->reload);
        break;
    default:
        count = (c->reload + wrap - t % wrap) % wrap;
        break;
    }
    return c->bcd ? pit_to_bcd(count) : count;
}

static bool pit_out(const PitChannel *c, uint64_t now)
{
    uint64_t t = pit_elapsed(c, now);

    if (!c->loaded) {
        return c->mode != 0;
    }
    switch (c->mode) {
    case 0:
        return t >= c->reload;
    case 1:
        return !c->running || t >= c->reload;
    case 2:
        return !c->gate || c->reload == 1 || t % c->reload != c->reload - 1;
    case 3:
        return !c->gate || t % c->reload < (c->reload + 1) / 2;
    default:
        return !c->running || t != c->reload;
    }
}

/* Tick of the next event of OUT after @now; false: there is none. The one low
 * tick of modes 2, 4 and 5 is one event, at its end. */
static bool pit_next_event(const PitChannel *c, uint64_t now, uint64_t *tick)
{
    uint64_t t = now - c->start, n = c->reload;
    uint64_t in, half = (n + 1) / 2;

    if (!c->loaded || !c->running) {
        return false;
    }
    in = t % n;
    switch (c->mode) {
    case 0:
    case 1:
        *tick = c->start + n;
        return t < n;
    case 2:
        *tick = now - in + n;
        return true;
    case 3:
        *tick = now - in + (in < half ? half : n);
        return n > 1;
    default:
        *tick = c->start + n + 1;
        return t <= n;
    }
}

/* ---- in the host's kernel -------------------------------------------------- */

static void pit_fetch_channel(PitChannel *c, const HostPitChannel *h,
                              uint64_t now)
{
    uint64_t at = muldiv64((uint64_t)MAX(h->loaded, 0), PIT_HZ, NS_PER_SEC);
    uint64_t passed = now - MIN(at, now);

    *c = (PitChannel) {
        .reload = h->count,
        .loaded = true,
        .gate = h->gate,
        .mode = h->mode,
        .bcd = h->bcd,
        .access = h->access,
        .write_msb_next = h->write_next,
        .read_msb_next = h->read_next,
        .write_lsb = h->write_lsb,
        .latched = h->latched,
        .latch = h->latch,
        .status_latched = h->status_latched,
        .status = h->status,
    };
    c->running = c->gate || pit_triggered(c);
    c->start = now - (pit_periodic(c) ? passed % c->reload : passed);
}

static void pit_give_channel(const PitChannel *c, HostPitChannel *h,
                             uint64_t now, int64_t now_ns)
{
    uint64_t passed = pit_elapsed(c, now);

    *h = (HostPitChannel) {
        .count = c->next_reload ? c->next_reload : c->reload,
        .loaded = now_ns - (int64_t)muldiv64(passed, NS_PER_SEC, PIT_HZ),
        .latch = c->latch,
        .latched = c->latched,
        .read_next = c->read_msb_next,
        .write_next = c->write_msb_next,
        .write_lsb = c->write_lsb,
        .status_latched = c->status_latched,
        .status = c->status,
        .access = c->access,
        .mode = c->mode,
        .bcd = c->bcd,
        .gate = c->gate,
    };
}

/* Before this model looks at its state, and after it changed it. */
static void pit_fetch(Pit *s)
{
    HostPit h;

    if (!host_has_pit(s->dev.machine)) {
        return;
    }
    s->dev.machine->host->ops->get_pit(s->dev.machine, &h);
    for (int i = 0; i < CHANNELS; i++) {
        pit_fetch_channel(&s->ch[i], &h.ch[i], pit_now(s));
    }
    s->control61 =
        (h.ch[2].gate ? PORT61_GATE2 : 0) | (h.speaker ? PORT61_SPEAKER : 0);
    s->hpet_legacy = h.hpet_legacy;
}

static void pit_give(Pit *s)
{
    HostPit h = { .speaker = s->control61 & PORT61_SPEAKER,
                  .hpet_legacy = s->hpet_legacy };

    if (!host_has_pit(s->dev.machine)) {
        return;
    }
    for (int i = 0; i < CHANNELS; i++) {
        pit_give_channel(&s->ch[i], &h.ch[i], pit_now(s),
                         clock_ns(s->dev.machine->vclock));
    }
    s->dev.machine->host->ops->set_pit(s->dev.machine, &h);
}

static void pit_on_event(Machine *m, const char *event,
                         const EventValue *values, void *opaque)
{
    if (!strcmp(event, "STOP")) {
        pit_fetch(opaque);
    } else if (!strcmp(event, "RESUME")) {
        pit_give(opaque);
    }
}

/* ---- OUT 0 --------------------------------------------------------------------- */

static void pit_arm(Pit *s, uint64_t now)
{
    uint64_t tick;
    int64_t soonest = clock_ns(s->dev.machine->vclock) + MIN_EVENT_NS;

    if (pit_next_event(&s->ch[0], now, &tick)) {
        timer_arm(&s->timer, MAX(pit_tick_to_ns(tick), soonest));
    } else {
        timer_cancel(&s->timer);
    }
}

/* After anything that may move OUT 0. */
static void pit_update(Pit *s)
{
    uint64_t now = pit_now(s);

    if (host_has_pit(s->dev.machine)) {
        return;
    }
    irq_set(&s->irq0, pit_out(&s->ch[0], now));
    pit_arm(s, now);
}

static void pit_event(void *opaque)
{
    Pit *s = opaque;
    uint64_t now = pit_now(s);
    bool out;

    if (host_has_pit(s->dev.machine)) {
        return; /* it was armed only to be saved */
    }
    pit_sync(&s->ch[0], now);
    out = pit_out(&s->ch[0], now);
    switch (s->ch[0].mode) {
    case 0:
    case 1:
        break;
    case 3: /* late or not, an edge has come by */
        irq_set(&s->irq0, !out);
        break;
    default: /* the low tick is over */
        irq_set(&s->irq0, 0);
        out = true;
        break;
    }
    irq_set(&s->irq0, out);
    pit_arm(s, now);
}

static void pit_start(PitChannel *c, uint64_t now)
{
    c->start = now;
    c->held = 0;
    c->running = true;
}

static void pit_stop(PitChannel *c, uint64_t now)
{
    if (c->running) {
        c->held = now - c->start;
        c->running = false;
    }
}

static void pit_load(PitChannel *c, uint32_t count, uint64_t now)
{
    bool busy = c->loaded && c->running;

    if (count == 0) {
        count = c->bcd ? 10000 : 0x10000;
    }
    if (busy && pit_periodic(c)) {
        if (!c->next_reload) {
            c->switch_tick = now - (now - c->start) % c->reload + c->reload;
        }
        c->next_reload = count;
        return;
    }
    if (busy && pit_triggered(c)) {
        c->next_reload = count; /* for the next trigger */
        return;
    }
    c->reload = count;
    c->next_reload = 0;
    c->loaded = true;
    c->held = 0;
    c->running = false;
    if (!pit_triggered(c) && c->gate) {
        pit_start(c, now);
    }
}

/* Data sheet, table "Gate Pin Operations Summary". */
static void pit_set_gate(PitChannel *c, bool gate, uint64_t now)
{
    bool rises = gate && !c->gate;

    pit_sync(c, now);
    c->gate = gate;
    if (!c->loaded) {
        return;
    }
    if (pit_triggered(c)) {
        if (!rises) {
            return;
        }
    } else if (!gate) {
        pit_stop(c, now);
        return;
    } else if (!rises) {
        return;
    } else if (!pit_periodic(c)) {
        c->start = now - c->held; /* goes on where it stopped */
        c->running = true;
        return;
    }
    if (c->next_reload) {
        c->reload = c->next_reload;
        c->next_reload = 0;
    }
    pit_start(c, now);
}

static void pit_write_count(Pit *s, PitChannel *c, uint8_t value)
{
    uint64_t now = pit_now(s);
    uint32_t raw;

    pit_sync(c, now);
    if (c->access == ACCESS_BOTH && !c->write_msb_next) {
        c->write_lsb = value;
        c->write_msb_next = true;
        if (c->mode == 0) {
            pit_stop(c, now); /* the first byte disables counting */
            c->loaded = false;
        }
        return;
    }
    raw = c->access == ACCESS_LSB   ? value
          : c->access == ACCESS_MSB ? value << 8
                                    : value << 8 | c->write_lsb;
    c->write_msb_next = false;
    if (c->bcd) {
        raw = (raw >> 12 & 15) * 1000 + (raw >> 8 & 15) * 100 +
              (raw >> 4 & 15) * 10 + (raw & 15);
        raw %= 10000;
    }
    pit_load(c, raw, now);
}

static void pit_latch_count(PitChannel *c, uint64_t now)
{
    if (!c->latched) {
        c->latch = pit_count(c, now);
        c->latched = c->access == ACCESS_BOTH ? 2 : 1;
    }
}

static void pit_latch_status(PitChannel *c, uint64_t now)
{
    if (!c->status_latched) {
        bool null_count = !c->loaded || c->next_reload || c->write_msb_next;

        c->status = pit_out(c, now) << 7 | null_count << 6 | c->access << 4 |
                    c->mode << 1 | c->bcd;
        c->status_latched = true;
    }
}

static void pit_read_back(Pit *s, uint8_t value, uint64_t now)
{
    for (int i = 0; i < CHANNELS; i++) {
        if (value & (2u << i)) {
            pit_sync(&s->ch[i], now);
            if (!(value & 0x20)) {
                pit_latch_count(&s->ch[i], now);
            }
            if (!(value & 0x10)) {
                pit_latch_status(&s->ch[i], now);
            }
        }
    }
}

static void pit_write_control(Pit *s, uint8_t value)
{
    uint64_t now = pit_now(s);
    PitChannel *c;

    if (value >> 6 == 3) {
        pit_read_back(s, value, now);
        return;
    }
    c = &s->ch[value >> 6];
    pit_sync(c, now);
    if ((value >> 4 & 3) == 0) {
        pit_latch_count(c, now);
        return;
    }
    c->access = value >> 4 & 3;
    c->mode = value >> 1 & 7;
    c->mode = c->mode > 5 ? c->mode - 4 : c->mode;
    c->bcd = value & 1;
    c->write_msb_next = c->read_msb_next = false;
    c->latched = 0;
    c->status_latched = false;
    c->next_reload = 0;
    pit_stop(c, now);
    c->loaded = false;
}

static uint8_t pit_read_count(Pit *s, PitChannel *c)
{
    uint64_t now = pit_now(s);
    uint16_t count;
    bool msb;

    pit_sync(c, now);
    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    count = c->latched ? c->latch : pit_count(c, now);
    msb = c->access == ACCESS_MSB;
    if (c->access == ACCESS_BOTH) {
        msb = c->read_msb_next;
        c->read_msb_next = !msb;
    }
    if (c->latched) {
        c->latched--;
    }
    return msb ? count >> 8 : count;
}

static uint64_t pit_read(void *opaque, hwaddr offset, unsigned size)
{
    Pit *s = opaque;

    uint8_t value = 0;

    pit_fetch(s);
    if (offset < CHANNELS) {
        value = pit_read_count(s, &s->ch[offset]);
        pit_give(s);
    }
    return value;
}

static void pit_write(void *opaque, hwaddr offset, uint64_t value,
                      unsigned size)
{
    Pit *s = opaque;

    pit_fetch(s);
    if (offset < CHANNELS) {
        pit_write_count(s, &s->ch[offset], value);
    } else {
        pit_write_control(s, value);
    }
    pit_give(s);
    pit_update(s);
}

static uint64_t pit_read61(void *opaque, hwaddr offset, unsigned size)
{
    Pit *s = opaque;
    uint64_t now = pit_now(s);
    uint8_t value;

    pit_fetch(s);
    value = s->control61;
    pit_sync(&s->ch[2], now);
    if (clock_ns(s->dev.machine->vclock) / REFRESH_NS & 1) {
        value |= PORT61_REFRESH;
    }
    if (pit_out(&s->ch[2], now)) {
        value |= PORT61_OUT2;
    }
    return value;
}

static void pit_write61(void *opaque, hwaddr offset, uint64_t value,
                        unsigned size)
{
    Pit *s = opaque;

    pit_fetch(s);
    s->control61 = value & PORT61_KEEP;
    pit_set_gate(&s->ch[2], value & PORT61_GATE2, pit_now(s));
    pit_give(s);
}

static const RegionOps pit_ops = {
    .read = pit_read,
    .write = pit_write,
    .min_size = 1,
    .max_size = 1,
};

static const RegionOps pit_ops61 = {
    .read = pit_read61,
    .write = pit_write61,
    .min_size = 1,
    .max_size = 1,
};

void i8254_set_output(Device *dev, IrqLine irq0)
{
    container_of(dev, Pit, dev)->irq0 = irq0;
}

static void pit_reset(Device *dev)
{
    Pit *s = container_of(dev, Pit, dev);

    s->control61 = 0;
    for (int i = 0; i < CHANNELS; i++) {
        s->ch[i] = (PitChannel) { .mode = 3,
                                  .access = ACCESS_BOTH,
                                  .reload = 0x10000,
                                  .loaded = true,
                                  .gate = i != 2 };
        if (s->ch[i].gate) {
            pit_start(&s->ch[i], pit_now(s));
        }
    }
    s->hpet_legacy = false;
    pit_give(s);
    pit_update(s);
}

static bool pit_realize(Device *dev, GError **errp)
{
    Pit *s = container_of(dev, Pit, dev);

    timer_init(&s->timer, dev->machine->vclock, pit_event, s);
    region_init_io(&s->ports, "pit", 4, &pit_ops, s);
    region_init_io(&s->port61, "port61", 1, &pit_ops61, s);
    s->ports.in_kernel = s->port61.in_kernel = host_has_pit(dev->machine);
    machine_watch(dev->machine, pit_on_event, s);
    as_map(dev->machine->io, 0x40, &s->ports, 0);
    as_map(dev->machine->io, 0x61, &s->port61, 0);
    return true;
}

static void pit_unrealize(Device *dev)
{
    Pit *s = container_of(dev, Pit, dev);

    timer_cancel(&s->timer);
    machine_unwatch(dev->machine, pit_on_event, s);
    as_unmap(&s->ports);
    as_unmap(&s->port61);
}

/* Another engine expects to find the timer armed. */
static void pit_pre_save(void *obj)
{
    Pit *s = obj;

    if (host_has_pit(s->dev.machine)) {
        if (s->dev.machine->state == RUN_RUNNING) {
            pit_fetch(s);
        }
        pit_arm(s, pit_now(s));
    }
}

static bool pit_post_load(void *obj, int version, GError **errp)
{
    Pit *s = obj;

    for (int i = 0; i < CHANNELS; i++) {
        PitChannel *c = &s->ch[i];

        if (c->mode > 5 || c->access < 1 || c->access > 3 || c->reload < 1 ||
            c->reload > 0x10000 || c->next_reload > 0x10000) {
            error_setg(errp, "i8254: channel %d is in no possible state", i);
            return false;
        }
    }
    if (host_has_pit(s->dev.machine)) {
        HostPit h;

        timer_cancel(&s->timer);
        s->dev.machine->host->ops->get_pit(s->dev.machine, &h);
        s->hpet_legacy = h.hpet_legacy; /* the HPET has been loaded, or will */
        pit_give(s);
        return true;
    }
    irq_set(&s->irq0, pit_out(&s->ch[0], pit_now(s)));
    return true;
}

static const VMField pit_channel_fields[] = {
    VM_U32(PitChannel, reload),
    VM_U32(PitChannel, next_reload),
    VM_U64(PitChannel, switch_tick),
    VM_U64(PitChannel, start),
    VM_U64(PitChannel, held),
    VM_BOOL(PitChannel, loaded),
    VM_BOOL(PitChannel, running),
    VM_BOOL(PitChannel, gate),
    VM_U8(PitChannel, mode),
    VM_BOOL(PitChannel, bcd),
    VM_U8(PitChannel, access),
    VM_BOOL(PitChannel, write_msb_next),
    VM_BOOL(PitChannel, read_msb_next),
    VM_U8(PitChannel, write_lsb),
    VM_U8(PitChannel, latched),
    VM_U16(PitChannel, latch),
    VM_BOOL(PitChannel, status_latched),
    VM_U8(PitChannel, status),
    VM_FIELDS_END,
};

static const VMState vmstate_pit_channel = {
    .name = "i8254-channel",
    .version = 1,
    .min_version = 1,
    .fields = pit_channel_fields,
};

static const VMField pit_fields[] = {
    VM_SUB_ARRAY(Pit, ch, CHANNELS, vmstate_pit_channel),
    VM_U8(Pit, control61),
    VM_TIMER_FIELD(Pit, timer),
    VM_FIELDS_END,
};

static const VMState vmstate_pit = {
    .name = "i8254",
    .version = 1,
    .min_version = 1,
    .fields = pit_fields,
    .pre_save = pit_pre_save,
    .post_load = pit_post_load,
};

const DeviceClass i8254_class = {
    .name = "isa-pit",
    .desc = "8254 interval timer and port 61",
    .bus = "ISA",
    .size = sizeof(Pit),
    .vmstate = &vmstate_pit,
    .internal = true,
    .realize = pit_realize,
    .reset = pit_reset,
    .unrealize = pit_unrealize,
};
