/*
 * ACPI fixed hardware: PM1a events and control, the PM timer, GPE0; the APM
 * command port that turns ACPI mode on; and the ports by which small kernels
 * power off Bochs and old QEMUs.
 *
 * ACPI 6.4, chapter 4.8. Register places are ours (pm.h), near those of the
 * ICH9. SLP_TYP 0 is S5 and 2 is S4, both power off; all registers are bytes
 * to us, so any access width works.
 *
 * The PM timer has 24 bits and follows the virtual clock; TMR_STS is worked
 * out when somebody looks, and a host timer runs only while TMR_EN is set.
 *
 * Not modelled: S1 and S3, SMIs (GBL_RLS, APM commands other than ACPI mode),
 * sleep button and RTC wake-up events.
 */
#include "util/osdep.h"
#include "util/error.h"
#include "util/log.h"
#include "hw/acpi/pm.h"

#define STS_TMR      0x0001u
#define STS_PWRBTN   0x0100u
#define STS_WRITABLE 0x8731u /* 1 clears: WAK RTC SLPBTN PWRBTN GBL BM TMR */
#define EN_TMR       0x0001u
#define EN_WRITABLE  0x0721u
#define CNT_SCI_EN   0x0001u
#define CNT_WRITABLE 0x1c03u /* SLP_TYP, BM_RLD, SCI_EN */
#define CNT_SLP_EN   0x2000u
#define CNT_TYP(cnt) ((cnt) >> 10 & 7)
#define TMR_MASK     0xffffffu
#define TMR_HALF     23 /* TMR_STS when this bit changes */

enum {
    SLP_TYP_S4 = 2,
    BOCHS_PM1_CNT = 0xb004,
    BOCHS_SHUTDOWN = 0x8900,
};

static const char shutdown_word[] = "Shutdown";

typedef struct AcpiPm {
    Device dev;
    Region block, apm, bochs_cnt, bochs_shutdown;
    Timer timer;     /* the next TMR_STS */
    uint16_t iobase; /* property */
    bool acpi;       /* property: SCI_EN at reset */
    uint16_t sts, en, cnt;
    uint32_t gpe_sts, gpe_en;
    uint64_t tmr_halves; /* of the PM timer, up to which sts is right */
    uint8_t apm_cmd, apm_sts;
    uint8_t shutdown_idx; /* letters of shutdown_word seen */
} AcpiPm;

static uint64_t pm_ticks(AcpiPm *s)
{
    return muldiv64(clock_ns(s->dev.machine->vclock), PM_TIMER_HZ, NS_PER_SEC);
}

static void pm_set_sci(AcpiPm *s)
{
    bool sci = (s->sts & s->en) || (s->gpe_sts & s->gpe_en);

    irq_set(&s->dev.machine->gsi[PM_SCI_GSI], sci && (s->cnt & CNT_SCI_EN));
}

static void pm_update(AcpiPm *s)
{
    uint64_t halves = pm_ticks(s) >> TMR_HALF;

    if (halves != s->tmr_halves) {
        s->sts |= STS_TMR;
        s->tmr_halves = halves;
    }
    if ((s->en & EN_TMR) && !(s->sts & STS_TMR)) {
        timer_arm(&s->timer,
                  muldiv64((halves + 1) << TMR_HALF, NS_PER_SEC, PM_TIMER_HZ) +
                      1);
    } else {
        timer_cancel(&s->timer);
    }
    pm_set_sci(s);
}

static void pm_timer(void *opaque)
{
    pm_update(opaque);
}

static void pm_sleep(AcpiPm *s)
{
    switch (CNT_TYP(s->cnt)) {
    case PM_SLP_TYP_S5:
    case SLP_TYP_S4:
        machine_request_shutdown(s->dev.machine, 0);
        break;
    default:
        log_mask(LOG_UNIMP, "acpi-pm: sleep type %u is not modelled\n",
                 CNT_TYP(s->cnt));
        break;
    }
}

static void pm_write_cnt(AcpiPm *s, unsigned shift, uint8_t value)
{
    s->cnt &= ~(0xffu << shift);
    s->cnt |= value << shift & CNT_WRITABLE;
    if (value << shift & CNT_SLP_EN) {
        pm_sleep(s);
    }
}

/* The 32 bits at @offset, a multiple of 4. */
static uint32_t pm_read_word(AcpiPm *s, hwaddr offset)
{
    switch (offset) {
    case PM_EVT_OFF:
        return s->sts | (uint32_t)s->en << 16;
    case PM_CNT_OFF:
        return s->cnt;
    case PM_TMR_OFF:
        return pm_ticks(s) & TMR_MASK;
    case PM_GPE0_OFF:
        return s->gpe_sts;
    case PM_GPE0_OFF + 4:
        return s->gpe_en;
    default:
        return 0;
    }
}

static void pm_write_byte(AcpiPm *s, hwaddr offset, uint8_t value)
{
    unsigned shift = offset % 4 * 8, half = offset % 2 * 8;

    switch (offset) {
    case PM_EVT_OFF ... PM_EVT_OFF + 1:
        s->sts &= ~(value << half & STS_WRITABLE);
        break;
    case PM_EVT_OFF + 2 ... PM_EVT_OFF + 3:
        s->en = (s->en & ~(0xffu << half)) | (value << half & EN_WRITABLE);
        break;
    case PM_CNT_OFF ... PM_CNT_OFF + 1:
        pm_write_cnt(s, half, value);
        break;
    case PM_GPE0_OFF ... PM_GPE0_OFF + 3:
        s->gpe_sts &= ~((uint32_t)value << shift);
        break;
    case PM_GPE0_OFF + 4 ... PM_GPE0_OFF + 7:
        s->gpe_en = (s->gpe_en & ~(UINT32_C(0xff) << shift)) | (uint32_t)value
                                                                   << shift;
        break;
    default:
        break;
    }
}

static uint64_t pm_read(void *opaque, hwaddr offset, unsigned size)
{
    AcpiPm *s = opaque;
    uint64_t value;

    pm_update(s);
    value = pm_read_word(s, offset & ~UINT64_C(3));
    if (offset % 4 + size > 4) {
        value |= (uint64_t)pm_read_word(s, (offset & ~UINT64_C(3)) + 4) << 32;
    }
    return value >> (offset % 4 * 8);
}

static void pm_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    AcpiPm *s = opaque;

    pm_update(s); /* what is over, is over before it is cleared */
    for (unsigned i = 0; i < size; i++) {
        pm_write_byte(s, offset + i, value >> (i * 8));
    }
    pm_update(s);
}

static uint64_t pm_apm_read(void *opaque, hwaddr offset, unsigned size)
{
    AcpiPm *s = opaque;

    return offset ? s->apm_sts : s->apm_cmd;
}

static void pm_apm_write(void *opaque, hwaddr offset, uint64_t value,
                         unsigned size)
{
    AcpiPm *s = opaque;

    if (offset) {
        s->apm_sts = value;
        return;
    }
    s->apm_cmd = value;
    if (value == APM_ACPI_ENABLE) {
        s->cnt |= CNT_SCI_EN;
    } else if (value == APM_ACPI_DISABLE) {
        s->cnt &= ~CNT_SCI_EN;
    } else {
        log_mask(LOG_UNIMP, "acpi-pm: APM command %02x: no SMI\n",
                 (unsigned)value);
    }
    pm_update(s);
}

static uint64_t pm_bochs_cnt_read(void *opaque, hwaddr offset, unsigned size)
{
    return pm_read(opaque, PM_CNT_OFF + offset, size);
}

static void pm_bochs_cnt_write(void *opaque, hwaddr offset, uint64_t value,
                               unsigned size)
{
    pm_write(opaque, PM_CNT_OFF + offset, value, size);
}

static uint64_t pm_bochs_shutdown_read(void *opaque, hwaddr offset,
                                       unsigned size)
{
    return 0;
}

static void pm_bochs_shutdown_write(void *opaque, hwaddr offset, uint64_t value,
                                    unsigned size)
{
    AcpiPm *s = opaque;

    if ((char)value != shutdown_word[s->shutdown_idx]) {
        s->shutdown_idx = 0;
    }
    if ((char)value == shutdown_word[s->shutdown_idx]) {
        s->shutdown_idx++;
    }
    if (shutdown_word[s->shutdown_idx] == '\0') {
        s->shutdown_idx = 0;
        machine_request_shutdown(s->dev.machine, 0);
    }
}

static const RegionOps pm_ops = {
    .read = pm_read,
    .write = pm_write,
    .min_size = 1,
    .max_size = 4,
};

static const RegionOps pm_apm_ops = {
    .read = pm_apm_read,
    .write = pm_apm_write,
    .min_size = 1,
    .max_size = 1,
};

static const RegionOps pm_bochs_cnt_ops = {
    .read = pm_bochs_cnt_read,
    .write = pm_bochs_cnt_write,
    .min_size = 1,
    .max_size = 2,
};

static const RegionOps pm_bochs_shutdown_ops = {
    .read = pm_bochs_shutdown_read,
    .write = pm_bochs_shutdown_write,
    .min_size = 1,
    .max_size = 1,
};

static void pm_power_button(void *opaque, int n, int level)
{
    AcpiPm *s = opaque;

    if (level) {
        s->sts |= STS_PWRBTN;
        pm_update(s);
    }
}

IrqLine acpi_pm_power_button(Device *dev)
{
    return (IrqLine) { pm_power_button, container_of(dev, AcpiPm, dev), 0 };
}

void acpi_pm_set_base(Device *dev, uint16_t base, bool on)
{
    AcpiPm *s = container_of(dev, AcpiPm, dev);

    if (s->block.as && on && s->block.base == base) {
        return;
    }
    as_begin(dev->machine->io);
    as_unmap(&s->block);
    if (on) {
        as_map(dev->machine->io, base, &s->block, 0);
    }
    as_commit(dev->machine->io);
}

void acpi_pm_gpe(Device *dev, unsigned n)
{
    AcpiPm *s = container_of(dev, AcpiPm, dev);

    if (n < 32) {
        s->gpe_sts |= UINT32_C(1) << n;
        pm_update(s);
    }
}

static void pm_reset(Device *dev)
{
    AcpiPm *s = container_of(dev, AcpiPm, dev);

    s->sts = s->en = 0;
    s->cnt = s->acpi ? CNT_SCI_EN : 0;
    s->gpe_sts = s->gpe_en = 0;
    s->tmr_halves = pm_ticks(s) >> TMR_HALF;
    s->apm_cmd = s->apm_sts = 0;
    s->shutdown_idx = 0;
    pm_update(s);
}

static bool pm_realize(Device *dev, GError **errp)
{
    AcpiPm *s = container_of(dev, AcpiPm, dev);
    AddressSpace *io = dev->machine->io;

    if (s->iobase % PM_IO_LEN != 0) {
        error_setg(errp, "iobase must be a multiple of %d, not 0x%x", PM_IO_LEN,
                   s->iobase);
        return false;
    }
    timer_init(&s->timer, dev->machine->vclock, pm_timer, s);
    region_init_io(&s->block, "acpi-pm", PM_IO_LEN, &pm_ops, s);
    region_init_io(&s->apm, "apm", 2, &pm_apm_ops, s);
    region_init_io(&s->bochs_cnt, "bochs-pm1a-cnt", 2, &pm_bochs_cnt_ops, s);
    region_init_io(&s->bochs_shutdown, "bochs-shutdown", 1,
                   &pm_bochs_shutdown_ops, s);
    as_begin(io);
    as_map(io, s->iobase, &s->block, 0);
    as_map(io, APM_PORT, &s->apm, 0);
    as_map(io, BOCHS_PM1_CNT, &s->bochs_cnt, 0);
    as_map(io, BOCHS_SHUTDOWN, &s->bochs_shutdown, 0);
    as_commit(io);
    return true;
}

static void pm_unrealize(Device *dev)
{
    AcpiPm *s = container_of(dev, AcpiPm, dev);

    timer_cancel(&s->timer);
    as_unmap(&s->block);
    as_unmap(&s->apm);
    as_unmap(&s->bochs_cnt);
    as_unmap(&s->bochs_shutdown);
}

static bool pm_post_load(void *obj, int version, GError **errp)
{
    AcpiPm *s = obj;

    if (s->shutdown_idx >= sizeof(shutdown_word) - 1) {
        error_setg(errp, "acpi-pm: shutdown_idx is %u, not below %zu",
                   s->shutdown_idx, sizeof(shutdown_word) - 1);
        return false;
    }
    pm_set_sci(s);
    return true;
}

static const Property pm_props[] = {
    { "iobase", PROP_U16, offsetof(AcpiPm, iobase), PM_DEFAULT_BASE,
      "first I/O port, a multiple of 64" },
    { "acpi", PROP_BOOL, offsetof(AcpiPm, acpi), true,
      "in ACPI mode from reset on" },
    { .kind = PROP_END },
};

static const VMField pm_fields[] = {
    VM_U16(AcpiPm, sts),         VM_U16(AcpiPm, en),
    VM_U16(AcpiPm, cnt),         VM_U32(AcpiPm, gpe_sts),
    VM_U32(AcpiPm, gpe_en),      VM_U64(AcpiPm, tmr_halves),
    VM_U8(AcpiPm, apm_cmd),      VM_U8(AcpiPm, apm_sts),
    VM_U8(AcpiPm, shutdown_idx), VM_FIELDS_END,
};

static const VMState vmstate_pm = {
    .name = "acpi-pm",
    .version = 1,
    .min_version = 1,
    .fields = pm_fields,
    .post_load = pm_post_load,
};

const DeviceClass acpi_pm_class = {
    .name = "acpi-pm",
    .desc = "ACPI power management",
    .size = sizeof(AcpiPm),
    .props = pm_props,
    .vmstate = &vmstate_pm,
    .internal = true,
    .realize = pm_realize,
    .reset = pm_reset,
    .unrealize = pm_unrealize,
};
