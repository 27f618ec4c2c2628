/*
 * The MC146818 real-time clock of a PC with 256 bytes of CMOS memory.
 *
 * Motorola MC146818A data sheet, 1984; the second bank at ports 72-73 is the
 * PIIX3's (290550, 4.2.7).
 *
 * Nothing counts: the time is the host's UTC plus an offset, in seconds (which
 * reach further than 64 bits of nanoseconds) and a part of a second (which
 * setting the divider moves). The time bytes of cmos[] are up to date only
 * while the clock stands (SET, or the divider in reset). Flags of register C
 * are worked out when somebody looks: what happened since last_sec and
 * last_tick. A timer runs only for enabled interrupts.
 *
 * Not modelled: daylight saving (DSE), the square wave pin, other time bases
 * than 32768 Hz.
 */
#include "util/osdep.h"
#include "hw/timer/mc146818.h"

enum {
    RTC_SEC = 0x00,
    RTC_SEC_ALARM = 0x01,
    RTC_MIN = 0x02,
    RTC_MIN_ALARM = 0x03,
    RTC_HOUR = 0x04,
    RTC_HOUR_ALARM = 0x05,
    RTC_WDAY = 0x06,
    RTC_MDAY = 0x07,
    RTC_MONTH = 0x08,
    RTC_YEAR = 0x09,
    RTC_A = 0x0a,
    RTC_B = 0x0b,
    RTC_C = 0x0c,
    RTC_D = 0x0d,
    RTC_CENTURY = 0x32,
    BANK_SIZE = 0x80,
    CMOS_SIZE = 2 * BANK_SIZE,
};

#define A_UIP          0x80u
#define A_DV           0x70u
#define A_DV_RUN       0x20u
#define A_RS           0x0fu
#define B_SET          0x80u
#define B_PIE          0x40u
#define B_AIE          0x20u
#define B_UIE          0x10u
#define B_SQWE         0x08u
#define B_BINARY       0x04u
#define B_24H          0x02u
#define C_IRQF         0x80u
#define C_FLAGS        0x70u /* PF, AF, UF: below the enables of register B */
#define C_PF           0x40u
#define C_AF           0x20u
#define C_UF           0x10u
#define D_VRT          0x80u
#define HOUR_PM        0x80u
#define RTC_TEST_EPOCH (INT64_C(978307200) * NS_PER_SEC) /* 2001-01-01 */
#define RTC_SEC_MAX    INT64_C(1000000000000)
#define ALARM_ANY      0xc0u /* this and above: every hour, minute, second */

enum {
    RTC_HZ = 32768,
    UIP_NS = 244141, /* how long before the update UIP tells of it */
    DAY = 86400,
};

typedef struct Rtc {
    Device dev;
    Region ports;
    IrqLine irq, nmi_mask;
    Timer timer; /* next enabled interrupt */
    int64_t (*host_now)(void *opaque);
    void *host_opaque;
    uint8_t cmos[CMOS_SIZE];
    uint8_t index, index2;
    bool nmi_masked;
    int64_t offset_sec; /* guest clock minus host UTC */
    int64_t base_sec;   /* what it was at power-on: -rtc base= */
    uint64_t offset_ns; /* below a second */
    uint8_t wday_shift; /* the guest's weekdays minus those of its dates */
    int64_t last_sec;   /* flags are worked out up to here */
    uint64_t last_tick;
} Rtc;

typedef struct RtcTime {
    int64_t sec;   /* since 1970 */
    uint64_t ns;   /* within the second */
    uint64_t tick; /* of 32768 Hz, since the time chain began */
    uint64_t chain_ns;
} RtcTime;

static int64_t rtc_wall_clock(void *opaque)
{
    return g_get_real_time() * 1000;
}

/* In a test time begins with this century. */
static int64_t rtc_test_clock(void *opaque)
{
    Rtc *s = opaque;

    return RTC_TEST_EPOCH + clock_ns(s->dev.machine->vclock);
}

/* -rtc clock=vm: the offset, which is saved, says when that clock began. */
static int64_t rtc_vm_clock(void *opaque)
{
    Rtc *s = opaque;

    return clock_ns(s->dev.machine->vclock);
}

static RtcTime rtc_now(Rtc *s)
{
    uint64_t ns = MAX(s->host_now(s->host_opaque), 0) + s->offset_ns;

    return (RtcTime) {
        .sec = (int64_t)(ns / NS_PER_SEC) + s->offset_sec,
        .ns = ns % NS_PER_SEC,
        .tick = muldiv64(ns, RTC_HZ, NS_PER_SEC),
        .chain_ns = ns,
    };
}

/* ---- calendar ------------------------------------------------------------ */

/* Days since 1970-01-01 of a date in the Gregorian calendar. Any values. */
static int64_t rtc_days(int year, int month, int mday)
{
    int y = month <= 2 ? year - 1 : year; /* years that begin in March */
    int m = (month + 9) % 12;
    int64_t era = y / 400;
    int yoe = y % 400;
    int doy = (153 * m + 2) / 5 + mday - 1;

    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

typedef struct RtcDate {
    int year, month, mday, wday, hour, min, sec; /* wday: 0 is Sunday */
} RtcDate;

static RtcDate rtc_date(int64_t t)
{
    int64_t days = t >= 0 ? t / DAY : -((-t + DAY - 1) / DAY);
    int in_day = t - days * DAY;
    int64_t z = days + 719468;
    int64_t era = z >= 0 ? z / 146097 : (z - 146096) / 146097;
    int doe = z - era * 146097;
    int yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int m = (5 * doy + 2) / 153;

    return (RtcDate) {
        .year = era * 400 + yoe + (m >= 10),
        .month = m < 10 ? m + 3 : m - 9,
        .mday = doy - (153 * m + 2) / 5 + 1,
        .wday = (int)((days % 7 + 11) % 7),
        .hour = in_day / 3600,
        .min = in_day / 60 % 60,
        .sec = in_day % 60,
    };
}

static uint8_t rtc_encode(const Rtc *s, int v)
{
    return s->cmos[RTC_B] & B_BINARY ? v : v / 10 % 10 << 4 | v % 10;
}

static int rtc_decode(const Rtc *s, uint8_t v)
{
    return s->cmos[RTC_B] & B_BINARY ? v : (v >> 4) * 10 + (v & 15);
}

static uint8_t rtc_encode_hour(const Rtc *s, int hour)
{
    if (s->cmos[RTC_B] & B_24H) {
        return rtc_encode(s, hour);
    }
    return rtc_encode(s, hour % 12 ? hour % 12 : 12) |
           (hour >= 12 ? HOUR_PM : 0);
}

static int rtc_decode_hour(const Rtc *s, uint8_t v)
{
    if (s->cmos[RTC_B] & B_24H) {
        return rtc_decode(s, v);
    }
    return rtc_decode(s, v & ~HOUR_PM) % 12 + (v & HOUR_PM ? 12 : 0);
}

/* Writes the time into the time bytes. */
static void rtc_to_cmos(Rtc *s, int64_t sec)
{
    RtcDate d = rtc_date(sec);

    s->cmos[RTC_SEC] = rtc_encode(s, d.sec);
    s->cmos[RTC_MIN] = rtc_encode(s, d.min);
    s->cmos[RTC_HOUR] = rtc_encode_hour(s, d.hour);
    s->cmos[RTC_WDAY] = rtc_encode(s, (d.wday + s->wday_shift) % 7 + 1);
    s->cmos[RTC_MDAY] = rtc_encode(s, d.mday);
    s->cmos[RTC_MONTH] = rtc_encode(s, d.month);
    s->cmos[RTC_YEAR] = rtc_encode(s, d.year % 100);
    s->cmos[RTC_CENTURY] = rtc_encode(s, d.year / 100);
}

/* -rtc base=: where the guest's clock stands at power-on. */
static int64_t rtc_base_offset(const MachineConfig *cfg)
{
    int64_t offset = cfg->rtc_offset_sec;

    if (cfg->rtc_local) {
        g_autoptr(GDateTime) now = g_date_time_new_now_local();

        offset += g_date_time_get_utc_offset(now) / 1000000;
    }
    return offset;
}

/* The clock goes on from the time bytes, which the guest wrote. */
static void rtc_from_cmos(Rtc *s)
{
    int year = rtc_decode(s, s->cmos[RTC_CENTURY]) * 100 +
               rtc_decode(s, s->cmos[RTC_YEAR]);
    int64_t sec = rtc_days(year, rtc_decode(s, s->cmos[RTC_MONTH]),
                           rtc_decode(s, s->cmos[RTC_MDAY])) *
                  DAY;
    int wday = rtc_decode(s, s->cmos[RTC_WDAY]);
    int64_t before = s->offset_sec;

    sec += rtc_decode_hour(s, s->cmos[RTC_HOUR]) * 3600 +
           rtc_decode(s, s->cmos[RTC_MIN]) * 60 +
           rtc_decode(s, s->cmos[RTC_SEC]);
    s->offset_sec += sec - rtc_now(s).sec;
    s->last_sec = sec;
    s->wday_shift = (wday + 6 + 7 - rtc_date(sec).wday) % 7;
    if (s->offset_sec != before) {
        machine_emit(s->dev.machine, "RTC_CHANGE",
                     EVENT_INT("offset", s->offset_sec - s->base_sec),
                     EVENT_PATH("qom-path", &s->dev));
    }
}

/* ---- interrupts ---------------------------------------------------------- */

static bool rtc_divider_runs(const Rtc *s)
{
    return (s->cmos[RTC_A] & A_DV) <= A_DV_RUN;
}

static bool rtc_runs(const Rtc *s)
{
    return rtc_divider_runs(s) && !(s->cmos[RTC_B] & B_SET);
}

/* Ticks between periodic interrupts; 0: none. Data sheet, table 5. */
static uint32_t rtc_period(const Rtc *s)
{
    unsigned rs = s->cmos[RTC_A] & A_RS;

    if (rs == 0 || !rtc_divider_runs(s)) {
        return 0;
    }
    return 1u << ((rs <= 2 ? rs + 7 : rs) - 1);
}

static bool rtc_alarm_fits(uint8_t byte, int want, int now)
{
    return byte >= ALARM_ANY || want == now;
}

/* The first second after @from at which the alarm goes off, at most a day on;
 * -1 if the alarm bytes fit no time. */
static int64_t rtc_next_alarm(const Rtc *s, int64_t from)
{
    uint8_t hour = s->cmos[RTC_HOUR_ALARM], min = s->cmos[RTC_MIN_ALARM];
    uint8_t sec = s->cmos[RTC_SEC_ALARM];
    int64_t t = from + 1;

    while (t <= from + DAY) {
        RtcDate d = rtc_date(t);

        if (!rtc_alarm_fits(hour, rtc_decode_hour(s, hour), d.hour)) {
            t += 3600 - d.min * 60 - d.sec;
        } else if (!rtc_alarm_fits(min, rtc_decode(s, min), d.min)) {
            t += 60 - d.sec;
        } else if (!rtc_alarm_fits(sec, rtc_decode(s, sec), d.sec)) {
            t++;
        } else {
            return t;
        }
    }
    return -1;
}

/* Nanoseconds until an enabled interrupt, or -1. */
static int64_t rtc_next_event(Rtc *s, const RtcTime *now)
{
    uint8_t b = s->cmos[RTC_B];
    uint32_t period = rtc_period(s);
    int64_t next = -1, alarm;

    if ((b & B_PIE) && period) {
        uint64_t tick = now->tick - now->tick % period + period;

        next = muldiv64(tick, NS_PER_SEC, RTC_HZ) - now->chain_ns;
    }
    if ((b & B_UIE) && rtc_runs(s)) {
        int64_t update = NS_PER_SEC - now->ns;

        next = next < 0 ? update : MIN(next, update);
    }
    if ((b & B_AIE) && rtc_runs(s)) {
        alarm = rtc_next_alarm(s, now->sec);
        if (alarm >= 0) {
            alarm = (alarm - now->sec) * NS_PER_SEC - now->ns;
            next = next < 0 ? alarm : MIN(next, alarm);
        }
    }
    return next;
}

/* Flags of what happened since the last look. */
static void rtc_collect(Rtc *s, const RtcTime *now)
{
    uint32_t period = rtc_period(s);
    int64_t alarm;

    if (period && now->tick / period != s->last_tick / period) {
        s->cmos[RTC_C] |= C_PF;
    }
    if (rtc_runs(s) && now->sec > s->last_sec) {
        s->cmos[RTC_C] |= C_UF;
        alarm = rtc_next_alarm(s, s->last_sec);
        if (alarm >= 0 && alarm <= now->sec) {
            s->cmos[RTC_C] |= C_AF;
        }
    }
    s->last_tick = now->tick;
    s->last_sec = now->sec; /* also when the host's clock was set back */
}

static void rtc_update(Rtc *s)
{
    RtcTime now = rtc_now(s);
    int64_t wait;
    bool irq;

    rtc_collect(s, &now);
    irq = s->cmos[RTC_C] & s->cmos[RTC_B] & C_FLAGS;
    s->cmos[RTC_C] = (s->cmos[RTC_C] & C_FLAGS) | (irq ? C_IRQF : 0);
    irq_set(&s->irq, irq);
    /* A pending interrupt must be seen before another can come. */
    wait = irq ? -1 : rtc_next_event(s, &now);
    if (wait >= 0) {
        timer_arm(&s->timer, clock_ns(s->dev.machine->vclock) + wait + 1);
    } else {
        timer_cancel(&s->timer);
    }
}

static void rtc_timer(void *opaque)
{
    rtc_update(opaque);
}

/* ---- registers ----------------------------------------------------------- */

static bool rtc_is_time(uint8_t index)
{
    return index <= RTC_YEAR ? index >= RTC_WDAY || !(index & 1)
                             : index == RTC_CENTURY;
}

static void rtc_write_a(Rtc *s, uint8_t value)
{
    bool ran = rtc_runs(s), divided = rtc_divider_runs(s);
    RtcTime now = rtc_now(s);

    s->cmos[RTC_A] = value & ~A_UIP;
    if (ran && !rtc_runs(s)) {
        rtc_to_cmos(s, now.sec);
    }
    if (!divided && rtc_divider_runs(s)) {
        /* The first update comes half a second after the divider starts. */
        s->offset_ns =
            (s->offset_ns + 3 * NS_PER_SEC / 2 - now.ns) % NS_PER_SEC;
        s->last_tick = rtc_now(s).tick;
    }
    if (!ran && rtc_runs(s)) {
        rtc_from_cmos(s);
    }
}

static void rtc_write_b(Rtc *s, uint8_t value)
{
    bool ran = rtc_runs(s);

    if (value & B_SET) {
        value &= ~B_UIE;
    }
    if (ran && (value & B_SET)) {
        /* In the format that the new value asks for. */
        int64_t sec = rtc_now(s).sec;

        s->cmos[RTC_B] = value;
        rtc_to_cmos(s, sec);
        return;
    }
    s->cmos[RTC_B] = value;
    if (!ran && rtc_runs(s)) {
        rtc_from_cmos(s);
    }
}

static void rtc_write(Rtc *s, uint8_t index, uint8_t value)
{
    rtc_update(s); /* what is over, is seen with the old settings */
    switch (index) {
    case RTC_A:
        rtc_write_a(s, value);
        break;
    case RTC_B:
        rtc_write_b(s, value);
        break;
    case RTC_C:
    case RTC_D:
        return;
    default:
        if (rtc_is_time(index) && rtc_runs(s)) {
            rtc_to_cmos(s, rtc_now(s).sec);
            s->cmos[index] = value;
            rtc_from_cmos(s);
        } else {
            s->cmos[index] = value;
        }
        break;
    }
    rtc_update(s);
}

static uint8_t rtc_read(Rtc *s, uint8_t index)
{
    uint8_t value;

    switch (index) {
    case RTC_A:
        value = s->cmos[RTC_A];
        if (rtc_runs(s) && rtc_now(s).ns >= NS_PER_SEC - UIP_NS) {
            value |= A_UIP;
        }
        return value;
    case RTC_C:
        rtc_update(s);
        value = s->cmos[RTC_C];
        s->cmos[RTC_C] = 0;
        rtc_update(s);
        return value;
    case RTC_D:
        return D_VRT;
    default:
        if (rtc_is_time(index) && rtc_runs(s)) {
            rtc_to_cmos(s, rtc_now(s).sec);
        }
        return s->cmos[index];
    }
}

static uint64_t rtc_port_read(void *opaque, hwaddr offset, unsigned size)
{
    Rtc *s = opaque;

    switch (offset) {
    case 1:
        return rtc_read(s, s->index);
    case 2:
        return s->index2;
    case 3:
        return s->cmos[BANK_SIZE + s->index2];
    default:
        return 0xff; /* port 70 cannot be read */
    }
}

static void rtc_port_write(void *opaque, hwaddr offset, uint64_t value,
                           unsigned size)
{
    Rtc *s = opaque;

    switch (offset) {
    case 0:
        s->index = value & (BANK_SIZE - 1);
        s->nmi_masked = value & 0x80;
        irq_set(&s->nmi_mask, s->nmi_masked);
        break;
    case 1:
        rtc_write(s, s->index, value);
        break;
    case 2:
        s->index2 = value & (BANK_SIZE - 1);
        break;
    case 3:
        s->cmos[BANK_SIZE + s->index2] = value;
        break;
    }
}

static const RegionOps rtc_ops = {
    .read = rtc_port_read,
    .write = rtc_port_write,
    .min_size = 1,
    .max_size = 1,
};

/* ---- for the machine ----------------------------------------------------- */

void mc146818_set_output(Device *dev, IrqLine irq8)
{
    container_of(dev, Rtc, dev)->irq = irq8;
}

void mc146818_set_nmi_mask(Device *dev, IrqLine line)
{
    container_of(dev, Rtc, dev)->nmi_mask = line;
}

void mc146818_set_cmos(Device *dev, uint8_t index, uint8_t value)
{
    if (index > RTC_D) {
        container_of(dev, Rtc, dev)->cmos[index] = value;
    }
}

uint8_t mc146818_get_cmos(Device *dev, uint8_t index)
{
    Rtc *s = container_of(dev, Rtc, dev);

    return index & BANK_SIZE ? s->cmos[index] : rtc_read(s, index);
}

static void rtc_set_cmos16(Device *dev, uint8_t index, uint64_t value)
{
    uint16_t v = MIN(value, 0xffff);

    mc146818_set_cmos(dev, index, v & 0xff);
    mc146818_set_cmos(dev, index + 1, v >> 8);
}

void mc146818_set_memory(Device *dev, uint64_t below_4g, uint64_t above_4g)
{
    uint64_t above_1m = below_4g > MIB ? (below_4g - MIB) / KIB : 0;
    uint64_t above_16m =
        below_4g > 16 * MIB ? (below_4g - 16 * MIB) / (64 * KIB) : 0;
    uint64_t high = above_4g / (64 * KIB);

    rtc_set_cmos16(dev, 0x15, MIN(below_4g / KIB, 640));
    rtc_set_cmos16(dev, 0x17, above_1m);
    rtc_set_cmos16(dev, 0x30, above_1m);
    rtc_set_cmos16(dev, 0x34, above_16m);
    mc146818_set_cmos(dev, 0x5b, high & 0xff);
    mc146818_set_cmos(dev, 0x5c, high >> 8 & 0xff);
    mc146818_set_cmos(dev, 0x5d, high >> 16 & 0xff);
}

void mc146818_set_host_clock(Device *dev, int64_t (*now)(void *opaque),
                             void *opaque)
{
    Rtc *s = container_of(dev, Rtc, dev);

    s->host_now = now;
    s->host_opaque = opaque;
}

/* A reset leaves the time and the memory: there is a battery. */
static void rtc_reset(Device *dev)
{
    Rtc *s = container_of(dev, Rtc, dev);
    RtcTime now = rtc_now(s);

    s->cmos[RTC_B] &= ~(B_PIE | B_AIE | B_UIE | B_SQWE);
    rtc_collect(s, &now);
    s->cmos[RTC_C] = 0;
    s->index = s->index2 = 0;
    s->nmi_masked = false;
    irq_set(&s->nmi_mask, 0);
    rtc_update(s);
}

static void rtc_choose_clock(Rtc *s)
{
    const Machine *m = s->dev.machine;

    s->host_opaque = s;
    if (clock_is_manual(m->vclock)) {
        s->host_now = rtc_test_clock;
    } else if (m->cfg.rtc_vm) {
        s->host_now = rtc_vm_clock;
        s->offset_sec += g_get_real_time() / 1000000;
    } else {
        s->host_now = rtc_wall_clock;
    }
}

static bool rtc_realize(Device *dev, GError **errp)
{
    Rtc *s = container_of(dev, Rtc, dev);

    s->offset_sec = rtc_base_offset(&dev->machine->cfg);
    if (!s->host_now) {
        rtc_choose_clock(s);
    }
    s->cmos[RTC_A] = A_DV_RUN | 6; /* 1024 Hz */
    s->cmos[RTC_B] = B_24H;
    s->base_sec = s->offset_sec;
    timer_init(&s->timer, dev->machine->vclock, rtc_timer, s);
    region_init_io(&s->ports, "rtc", 4, &rtc_ops, s);
    as_map(dev->machine->io, 0x70, &s->ports, 0);
    return true;
}

static void rtc_unrealize(Device *dev)
{
    Rtc *s = container_of(dev, Rtc, dev);

    timer_cancel(&s->timer);
    as_unmap(&s->ports);
}

static bool rtc_post_load(void *obj, int version, GError **errp)
{
    Rtc *s = obj;

    s->index &= BANK_SIZE - 1;
    s->index2 &= BANK_SIZE - 1;
    s->offset_ns %= NS_PER_SEC;
    s->wday_shift %= 7;
    /* Years 1 to 9999 and some; the arithmetic has room for them. */
    s->offset_sec =
        CLAMP(s->offset_sec, -INT64_C(100000000000), INT64_C(1000000000000));
    irq_set(&s->nmi_mask, s->nmi_masked);
    irq_set(&s->irq, !!(s->cmos[RTC_C] & C_IRQF));
    return true;
}

static const VMField rtc_fields[] = {
    VM_BUFFER(Rtc, cmos),       VM_U8(Rtc, index),       VM_U8(Rtc, index2),
    VM_BOOL(Rtc, nmi_masked),   VM_I64(Rtc, offset_sec), VM_U64(Rtc, offset_ns),
    VM_U8(Rtc, wday_shift),     VM_I64(Rtc, last_sec),   VM_U64(Rtc, last_tick),
    VM_TIMER_FIELD(Rtc, timer), VM_FIELDS_END,
};

static const VMState vmstate_rtc = {
    .name = "mc146818",
    .version = 1,
    .min_version = 1,
    .fields = rtc_fields,
    .post_load = rtc_post_load,
};

const DeviceClass mc146818_class = {
    .name = "mc146818rtc",
    .desc = "Real-time clock and CMOS memory",
    .bus = "ISA",
    .size = sizeof(Rtc),
    .vmstate = &vmstate_rtc,
    .internal = true,
    .realize = rtc_realize,
    .reset = rtc_reset,
    .unrealize = rtc_unrealize,
};
