/*
 * The high precision event timer: a 64-bit counter of 100 MHz and three
 * comparators.
 *
 * IA-PC HPET specification 1.0a. As in QEMU: a write to the comparator of a
 * periodic timer sets its period, and with VAL_SET the comparator too; a
 * comparator that is set a little behind the counter (2^31 ticks) fires at
 * once, because a guest on a slow host may be late through no fault of its
 * own. Edges are pulses. While legacy replacement is on, timers 0 and 1 are
 * ISA interrupts 0 and 8, and those of the 8254 and the RTC end here.
 *
 * Not modelled: delivery by FSB messages (the capability says so).
 */
#include "util/osdep.h"
#include "util/error.h"
#include "util/log.h"
#include "util/trace.h"
#include "hw/timer/hpet.h"
#include "system/host-kernel.h"

enum {
    TIMERS = 3,
    TICK_NS = 10,
    PERIOD_FS = TICK_NS * 1000000,
    MIN_EVENT_NS = 20000, /* a faster periodic timer loses ticks */
    CATCH_UP_MAX = 1000000000 / TICK_NS, /* missed ticks older: dropped */
    CATCH_UP_PERIOD = 10000,             /* shorter periods: not at all */
    MEM_SIZE = 0x400,
    REG_CAP = 0x000,
    REG_CONFIG = 0x010,
    REG_STATUS = 0x020,
    REG_COUNTER = 0x0f0,
    REG_TIMER = 0x100, /* + 0x20 for each */
    TIMER_STRIDE = 0x20,
    TN_CONFIG = 0x00,
    TN_COMPARATOR = 0x08,
    TN_FSB = 0x10,
};

#define CONFIG_ENABLE UINT64_C(0x1)
#define CONFIG_LEGACY UINT64_C(0x2)
#define TN_LEVEL      UINT64_C(0x2)
#define TN_ENABLE     UINT64_C(0x4)
#define TN_PERIODIC   UINT64_C(0x8)
#define TN_CAPS       UINT64_C(0x30) /* can be periodic, has 64 bits */
#define TN_VAL_SET    UINT64_C(0x40)
#define TN_32BIT      UINT64_C(0x100)
#define TN_WRITABLE   UINT64_C(0x3f4e)
#define TN_ROUTE(c)   ((unsigned)((c) >> 9 & 0x1f))
#define RECENT        (UINT64_C(1) << 31) /* ticks */

typedef struct Hpet Hpet;

typedef struct HpetTimer {
    Hpet *hpet;
    unsigned n;
    Timer timer;
    uint64_t config; /* without the route capability */
    uint64_t cmp;
    uint64_t period;
} HpetTimer;

struct Hpet {
    Device dev;
    Region mem;
    uint64_t base;   /* property */
    uint32_t intcap; /* property: interrupts the timers may be routed to */
    HpetTimer timer[TIMERS];
    uint64_t config, status;
    uint64_t count;    /* at start_ns, or while it stands */
    int64_t start_ns;  /* virtual time */
    bool legacy_in[2]; /* levels of the 8254's and the RTC's lines */
};

static const uint8_t legacy_gsi[2] = { 0, 8 };

static bool hpet_runs(const Hpet *s)
{
    return s->config & CONFIG_ENABLE;
}

static uint64_t hpet_count(const Hpet *s)
{
    int64_t now = clock_ns(s->dev.machine->vclock);

    return s->count +
           (hpet_runs(s) ? (uint64_t)(now - s->start_ns) / TICK_NS : 0);
}

static uint64_t hpet_mask(const HpetTimer *t)
{
    return t->config & TN_32BIT ? UINT32_MAX : UINT64_MAX;
}

/* ---- interrupts ---------------------------------------------------------- */

/* The line of a timer, NULL if it is routed nowhere. */
static const IrqLine *hpet_line(const HpetTimer *t)
{
    const Hpet *s = t->hpet;
    unsigned route = TN_ROUTE(t->config);

    if ((s->config & CONFIG_LEGACY) && t->n < 2) {
        return &s->dev.machine->gsi[legacy_gsi[t->n]];
    }
    if (route >= MACHINE_GSIS || !(s->intcap >> route & 1)) {
        return NULL;
    }
    return &s->dev.machine->gsi[route];
}

static void hpet_set_line(const HpetTimer *t, int level)
{
    const IrqLine *line = hpet_line(t);

    if (line) {
        irq_set(line, level);
    }
}

/* The level of a level-triggered timer's line. */
static bool hpet_asserts(const HpetTimer *t)
{
    return (t->config & TN_LEVEL) && (t->config & TN_ENABLE) &&
           hpet_runs(t->hpet) && (t->hpet->status >> t->n & 1);
}

static void hpet_fire(HpetTimer *t)
{
    if (!(t->config & TN_ENABLE)) {
        return;
    }
    if (t->config & TN_LEVEL) {
        t->hpet->status |= UINT64_C(1) << t->n;
        hpet_set_line(t, 1);
    } else {
        hpet_set_line(t, 1);
        hpet_set_line(t, 0);
    }
}

static void hpet_legacy_line(void *opaque, int n, int level)
{
    Hpet *s = opaque;

    s->legacy_in[n] = level;
    if (!(s->config & CONFIG_LEGACY)) {
        irq_set(&s->dev.machine->gsi[legacy_gsi[n]], level);
    }
}

IrqLine hpet_legacy_input(Device *dev, int which)
{
    return (IrqLine) { hpet_legacy_line, container_of(dev, Hpet, dev), which };
}

/* ---- comparators --------------------------------------------------------- */

static void hpet_arm_in(HpetTimer *t, uint64_t ticks)
{
    int64_t now = clock_ns(t->hpet->dev.machine->vclock);
    int64_t wait = MIN(ticks, (uint64_t)INT64_MAX / 4 / TICK_NS) * TICK_NS;

    if ((t->config & TN_PERIODIC) && wait < MIN_EVENT_NS && t->period) {
        wait = MIN_EVENT_NS;
    }
    timer_arm(&t->timer, now + wait);
}

/* After the counter or the comparator was set, or the counter started.
 * @recent: a comparator just behind the counter is late, not far ahead. */
static void hpet_arm(HpetTimer *t, bool recent)
{
    uint64_t mask = hpet_mask(t);
    uint64_t ahead = (t->cmp - hpet_count(t->hpet)) & mask;

    if (!hpet_runs(t->hpet)) {
        timer_cancel(&t->timer);
    } else if (recent && mask - ahead < RECENT) {
        hpet_arm_in(t, 0);
    } else {
        hpet_arm_in(t, ahead);
    }
}

/*
 * The next period; or, if more than one has gone by on a busy host, an eighth
 * of one: ticks that were missed come after, because a kernel that counts them
 * against the TSC at boot concludes otherwise that its timer is broken.
 */
static void hpet_next_period(HpetTimer *t, uint64_t late)
{
    uint64_t mask = hpet_mask(t);
    uint64_t missed = late / t->period;

    if (missed && late < CATCH_UP_MAX && t->period >= CATCH_UP_PERIOD) {
        t->cmp = (t->cmp + t->period) & mask;
        hpet_arm_in(t, t->period / 8);
        return;
    }
    t->cmp = (t->cmp + (missed + 1) * t->period) & mask;
    hpet_arm_in(t, (t->cmp - hpet_count(t->hpet)) & mask);
}

static void hpet_expired(void *opaque)
{
    HpetTimer *t = opaque;
    uint64_t mask = hpet_mask(t);
    uint64_t late = (hpet_count(t->hpet) - t->cmp) & mask;

    if (!hpet_runs(t->hpet)) {
        return;
    }
    if (t->config & TN_PERIODIC) {
        if (t->period) {
            hpet_next_period(t, late);
        }
    } else if (t->config & TN_32BIT) {
        hpet_arm_in(t, (UINT64_C(1) << 32) - late); /* when it comes round */
    }
    hpet_fire(t);
}

/* @part: the bits that are written, of 64. */
static void hpet_write_comparator(HpetTimer *t, uint64_t value, uint64_t part)
{
    uint64_t mask = hpet_mask(t);

    if (!(t->config & TN_PERIODIC) || (t->config & TN_VAL_SET)) {
        t->cmp = ((t->cmp & ~part) | (value & part)) & mask;
    }
    if (t->config & TN_PERIODIC) {
        t->period = ((t->period & ~part) | (value & part)) & mask >> 1;
    }
    t->config &= ~TN_VAL_SET;
    hpet_arm(t, true);
}

static void hpet_write_timer_config(HpetTimer *t, uint64_t value)
{
    uint64_t config = (value & TN_WRITABLE) | TN_CAPS;
    uint64_t changed = config ^ t->config;

    if (!(t->hpet->intcap >> TN_ROUTE(config) & 1)) {
        config &= ~(UINT64_C(0x1f) << 9);
    }
    if (hpet_asserts(t)) {
        hpet_set_line(t, 0); /* the line it leaves, perhaps */
    }
    t->config = config;
    if (config & TN_32BIT) {
        t->cmp &= UINT32_MAX;
        t->period &= UINT32_MAX >> 1;
    }
    if (hpet_asserts(t)) {
        hpet_set_line(t, 1);
    }
    if (changed & (TN_PERIODIC | TN_32BIT)) {
        hpet_arm(t, false);
    }
}

/* ---- the block ----------------------------------------------------------- */

static void hpet_lower_all(Hpet *s)
{
    for (unsigned i = 0; i < TIMERS; i++) {
        if (hpet_asserts(&s->timer[i])) {
            hpet_set_line(&s->timer[i], 0);
        }
    }
}

static void hpet_raise_all(Hpet *s)
{
    for (unsigned i = 0; i < TIMERS; i++) {
        if (hpet_asserts(&s->timer[i])) {
            hpet_set_line(&s->timer[i], 1);
        }
    }
}

/* The 8254's and the RTC's lines go through, or are cut. */
static void hpet_pass_legacy(Hpet *s)
{
    for (unsigned i = 0; i < 2; i++) {
        irq_set(&s->dev.machine->gsi[legacy_gsi[i]],
                !(s->config & CONFIG_LEGACY) && s->legacy_in[i]);
    }
}

static void hpet_write_config(Hpet *s, uint64_t value)
{
    uint64_t count = hpet_count(s), old = s->config;

    value &= CONFIG_ENABLE | CONFIG_LEGACY;
    hpet_lower_all(s);
    s->config = value;
    s->count = count;
    s->start_ns = clock_ns(s->dev.machine->vclock);
    if ((old ^ value) & CONFIG_LEGACY) {
        host_set_hpet_legacy(s->dev.machine, value & CONFIG_LEGACY);
        hpet_pass_legacy(s);
    }
    hpet_raise_all(s);
    if ((old ^ value) & CONFIG_ENABLE) {
        for (unsigned i = 0; i < TIMERS; i++) {
            hpet_arm(&s->timer[i], false);
        }
    }
}

static void hpet_write_status(Hpet *s, uint64_t value)
{
    uint64_t clear = value & s->status;

    for (unsigned i = 0; i < TIMERS; i++) {
        if ((clear >> i & 1) && hpet_asserts(&s->timer[i])) {
            hpet_set_line(&s->timer[i], 0);
        }
    }
    s->status &= ~clear;
}

static void hpet_write_counter(Hpet *s, uint64_t value)
{
    if (hpet_runs(s)) {
        log_mask(LOG_GUEST_ERROR, "hpet: counter written while it runs\n");
    }
    s->count = value;
    s->start_ns = clock_ns(s->dev.machine->vclock);
    for (unsigned i = 0; i < TIMERS; i++) {
        hpet_arm(&s->timer[i], false);
    }
}

static uint64_t hpet_read_timer(const HpetTimer *t, hwaddr reg)
{
    switch (reg) {
    case TN_CONFIG:
        return t->config | (uint64_t)t->hpet->intcap << 32;
    case TN_COMPARATOR:
        return t->cmp;
    default:
        return 0;
    }
}

/* All 64 bits of the register at @reg, a multiple of 8. */
static uint64_t hpet_read_reg(Hpet *s, hwaddr reg)
{
    switch (reg) {
    case REG_CAP:
        return (uint64_t)PERIOD_FS << 32 | HPET_BLOCK_ID;
    case REG_CONFIG:
        return s->config;
    case REG_STATUS:
        return s->status;
    case REG_COUNTER:
        return hpet_count(s);
    case REG_TIMER ... REG_TIMER + TIMERS *TIMER_STRIDE - 1:
        return hpet_read_timer(&s->timer[(reg - REG_TIMER) / TIMER_STRIDE],
                               reg % TIMER_STRIDE);
    default:
        return 0;
    }
}

static void hpet_write_timer(HpetTimer *t, hwaddr reg, uint64_t value,
                             uint64_t part)
{
    switch (reg) {
    case TN_CONFIG:
        hpet_write_timer_config(t, (t->config & ~part) | (value & part));
        break;
    case TN_COMPARATOR:
        hpet_write_comparator(t, value, part);
        break;
    case TN_FSB:
        log_mask(LOG_GUEST_ERROR, "hpet: no FSB delivery\n");
        break;
    }
}

/* The @part of the register at @reg, a multiple of 8. */
static void hpet_write_reg(Hpet *s, hwaddr reg, uint64_t value, uint64_t part)
{
    switch (reg) {
    case REG_CONFIG:
        hpet_write_config(s, (s->config & ~part) | (value & part));
        break;
    case REG_STATUS:
        hpet_write_status(s, value & part);
        break;
    case REG_COUNTER:
        hpet_write_counter(s, (hpet_count(s) & ~part) | (value & part));
        break;
    case REG_TIMER ... REG_TIMER + TIMERS *TIMER_STRIDE - 1:
        hpet_write_timer(&s->timer[(reg - REG_TIMER) / TIMER_STRIDE],
                         reg % TIMER_STRIDE, value, part);
        break;
    default:
        break;
    }
}

static uint64_t hpet_read(void *opaque, hwaddr offset, unsigned size)
{
    trace(hpet_ram_read, offset, size);
    return hpet_read_reg(opaque, offset & ~UINT64_C(7)) >> (offset & 4) * 8;
}

static void hpet_write(void *opaque, hwaddr offset, uint64_t value,
                       unsigned size)
{
    hwaddr reg = offset & ~UINT64_C(7);

    trace(hpet_ram_write, offset, value, size);
    if (size == 8) {
        hpet_write_reg(opaque, reg, value, UINT64_MAX);
    } else if (offset & 4) {
        hpet_write_reg(opaque, reg, value << 32, UINT64_MAX << 32);
    } else {
        hpet_write_reg(opaque, reg, value, UINT32_MAX);
    }
}

static const RegionOps hpet_ops = {
    .read = hpet_read,
    .write = hpet_write,
    .min_size = 4,
    .max_size = 8,
};

/* ---- device -------------------------------------------------------------- */

static void hpet_reset(Device *dev)
{
    Hpet *s = container_of(dev, Hpet, dev);

    hpet_lower_all(s);
    s->config = s->status = s->count = 0;
    s->start_ns = 0;
    for (unsigned i = 0; i < TIMERS; i++) {
        HpetTimer *t = &s->timer[i];

        timer_cancel(&t->timer);
        t->config = TN_CAPS;
        t->cmp = UINT64_MAX;
        t->period = 0;
    }
}

static bool hpet_realize(Device *dev, GError **errp)
{
    Hpet *s = container_of(dev, Hpet, dev);

    if (s->intcap == 0 || s->intcap >> MACHINE_GSIS) {
        error_setg(errp,
                   "intcap must be a mask of interrupts 0 to %d, not 0x%x",
                   MACHINE_GSIS - 1, s->intcap);
        return false;
    }
    for (unsigned i = 0; i < TIMERS; i++) {
        s->timer[i].hpet = s;
        s->timer[i].n = i;
        timer_init(&s->timer[i].timer, dev->machine->vclock, hpet_expired,
                   &s->timer[i]);
    }
    region_init_io(&s->mem, "hpet", MEM_SIZE, &hpet_ops, s);
    as_map(dev->machine->mem, s->base, &s->mem, 0);
    return true;
}

static void hpet_unrealize(Device *dev)
{
    Hpet *s = container_of(dev, Hpet, dev);

    for (unsigned i = 0; i < TIMERS; i++) {
        timer_cancel(&s->timer[i].timer);
    }
    as_unmap(&s->mem);
}

static bool hpet_post_load(void *obj, int version, GError **errp)
{
    Hpet *s = obj;

    s->config &= CONFIG_ENABLE | CONFIG_LEGACY;
    s->status &= (1u << TIMERS) - 1;
    for (unsigned i = 0; i < TIMERS; i++) {
        HpetTimer *t = &s->timer[i];

        t->config = (t->config & TN_WRITABLE) | TN_CAPS;
        t->cmp &= hpet_mask(t);
        t->period &= hpet_mask(t) >> 1;
    }
    host_set_hpet_legacy(s->dev.machine, s->config & CONFIG_LEGACY);
    if (host_has_pit(s->dev.machine)) {
        s->legacy_in[0] = false; /* it does not come by here */
    }
    hpet_pass_legacy(s);
    hpet_raise_all(s);
    return true;
}

static const Property hpet_props[] = {
    { "base", PROP_U64, offsetof(Hpet, base), HPET_DEFAULT_BASE, "address" },
    { "intcap", PROP_U32, offsetof(Hpet, intcap), 0xff0104,
      "mask of interrupts that timers can be routed to" },
    { .kind = PROP_END },
};

static const VMField hpet_timer_fields[] = {
    VM_U64(HpetTimer, config),
    VM_U64(HpetTimer, cmp),
    VM_U64(HpetTimer, period),
    VM_TIMER_FIELD(HpetTimer, timer),
    VM_FIELDS_END,
};

static const VMState vmstate_hpet_timer = {
    .name = "hpet-timer",
    .version = 1,
    .min_version = 1,
    .fields = hpet_timer_fields,
};

static const VMField hpet_fields[] = {
    VM_SUB_ARRAY(Hpet, timer, TIMERS, vmstate_hpet_timer),
    VM_U64(Hpet, config),
    VM_U64(Hpet, status),
    VM_U64(Hpet, count),
    VM_I64(Hpet, start_ns),
    VM_BOOL_ARRAY(Hpet, legacy_in, 2),
    VM_FIELDS_END,
};

static const VMState vmstate_hpet = {
    .name = "hpet",
    .version = 1,
    .min_version = 1,
    .fields = hpet_fields,
    .post_load = hpet_post_load,
};

const DeviceClass hpet_class = {
    .name = "hpet",
    .desc = "High precision event timer",
    .size = sizeof(Hpet),
    .props = hpet_props,
    .vmstate = &vmstate_hpet,
    .internal = true,
    .has_inputs = true,
    .realize = hpet_realize,
    .reset = hpet_reset,
    .unrealize = hpet_unrealize,
};
