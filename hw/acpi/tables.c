/*
 * The ACPI tables of machine "pc". ACPI 6.4, chapter 5.
 *
 * There is no firmware behind them: SMI_CMD is 0, so the machine is always in
 * ACPI mode, and S5 is the only sleep state. The power button is the fixed one.
 * The FADT is of revision 3 (ACPI 2.0): both 32- and 64-bit addresses, reset
 * register at port CF9.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "hw/acpi/aml.h"
#include "hw/acpi/pm.h"
#include "hw/acpi/pci-aml.h"
#include "hw/acpi/tables.h"

enum {
    HEADER_LEN = 36,
    RSDP_LEN = 36,
    FACS_LEN = 64,
    FADT_LEN = 244,
    PVPANIC_PORT = 0x505,
    GAS_IO = 1, /* address space of a generic address */
    MADT_LAPIC = 0,
    MADT_IOAPIC = 1,
    MADT_OVERRIDE = 2,
    MADT_LAPIC_NMI = 4,
    MADT_X2APIC = 9,
    MADT_X2APIC_NMI = 10,
};

/* FADT flags. Table 5.10. */
enum {
    FADT_WBINVD = 1 << 0,
    FADT_C1 = 1 << 2,
    FADT_SLEEP_BUTTON = 1 << 5, /* none among the fixed events */
    FADT_FIX_RTC = 1 << 6,      /* RTC wake is not a fixed event */
    FADT_RESET_REG = 1 << 10,
    FADT_PLATFORM_CLOCK = 1 << 15,
};

/* IA-PC boot architecture. Table 5.11. */
enum {
    BOOT_ARCH_LEGACY = 1 << 0,
    BOOT_ARCH_8042 = 1 << 1,
    BOOT_ARCH_NO_VGA = 1 << 2,
};

typedef struct AcpiBuild {
    const AcpiConfig *cfg;
    GByteArray *out;
    uint64_t base;
} AcpiBuild;

static uint8_t acpi_checksum(const uint8_t *p, size_t len)
{
    uint8_t sum = 0;

    while (len--) {
        sum += *p++;
    }
    return -sum;
}

static void put8(GByteArray *b, uint8_t v)
{
    g_byte_array_append(b, &v, 1);
}

static void put16(GByteArray *b, uint16_t v)
{
    uint8_t le[2];

    st_le16(le, v);
    g_byte_array_append(b, le, 2);
}

static void put32(GByteArray *b, uint32_t v)
{
    uint8_t le[4];

    st_le32(le, v);
    g_byte_array_append(b, le, 4);
}

static void put64(GByteArray *b, uint64_t v)
{
    uint8_t le[8];

    st_le64(le, v);
    g_byte_array_append(b, le, 8);
}

/* Generic address structure of an I/O port range; nothing if @len is 0. */
static void put_gas(GByteArray *b, uint64_t port, unsigned len)
{
    put8(b, len ? GAS_IO : 0);
    put8(b, len * 8);
    put8(b, 0);
    put8(b, len == 1 ? 1 : len == 2 ? 2 : len ? 3 : 0);
    put64(b, len ? port : 0);
}

static void put_text(GByteArray *b, const char *text, size_t len)
{
    char padded[8] = "        ";

    memcpy(padded, text, MIN(strlen(text), len));
    g_byte_array_append(b, (const uint8_t *)padded, len);
}

static void acpi_align(AcpiBuild *b, unsigned align)
{
    while (b->out->len % align) {
        put8(b->out, 0);
    }
}

/* Begins a table; gives its offset. Length and checksum come at the end. */
static guint acpi_begin(AcpiBuild *b, const char *sig, unsigned revision)
{
    guint at;

    acpi_align(b, 16);
    at = b->out->len;
    g_byte_array_append(b->out, (const uint8_t *)sig, 4);
    put32(b->out, 0);
    put8(b->out, revision);
    put8(b->out, 0);
    put_text(b->out, b->cfg->oem_id, 6);
    put_text(b->out, b->cfg->oem_table_id, 8);
    put32(b->out, 1);
    put_text(b->out, "RHEA", 4);
    put32(b->out, 1);
    return at;
}

/* Ends the table at @at; gives its physical address. */
static uint64_t acpi_end(AcpiBuild *b, guint at)
{
    uint8_t *p = b->out->data + at;
    guint len = b->out->len - at;

    st_le32(p + 4, len);
    p[9] = 0;
    p[9] = acpi_checksum(p, len);
    return b->base + at;
}

/* ---- DSDT ----------------------------------------------------------------------- */

/* A legacy device with up to two port ranges and an interrupt. */
typedef struct LegacyDevice {
    const char *name, *eisaid;
    uint16_t port1;
    uint8_t len1;
    uint16_t port2;
    uint8_t len2;
    int irq; /* -1: none */
} LegacyDevice;

static const LegacyDevice dev_com[ACPI_MAX_COM] = {
    { "COM1", "PNP0501", 0x3f8, 8, 0, 0, 4 },
    { "COM2", "PNP0501", 0x2f8, 8, 0, 0, 3 },
    { "COM3", "PNP0501", 0x3e8, 8, 0, 0, 4 },
    { "COM4", "PNP0501", 0x2e8, 8, 0, 0, 3 },
};
static const LegacyDevice dev_rtc = { "RTC", "PNP0B00", 0x70, 8, 0, 0, 8 };
static const LegacyDevice dev_kbd = { "KBD", "PNP0303", 0x60, 1, 0x64, 1, 1 };
static const LegacyDevice dev_mouse = { "MOU", "PNP0F13", 0, 0, 0, 0, 12 };
static const LegacyDevice dev_pit = { "TIMR", "PNP0100", 0x40, 4, 0, 0, -1 };
static const LegacyDevice dev_pic = { "PIC", "PNP0000", 0x20, 2, 0xa0, 2, -1 };

static void dsdt_legacy(Aml *a, const LegacyDevice *d, unsigned uid)
{
    aml_device(a, d->name);
    aml_name_eisaid(a, "_HID", d->eisaid);
    if (uid) {
        aml_name_int(a, "_UID", uid);
    }
    aml_name_int(a, "_STA", 0xf);
    aml_name_resources(a, "_CRS");
    if (d->len1) {
        aml_res_io(a, d->port1, d->len1);
    }
    if (d->len2) {
        aml_res_io(a, d->port2, d->len2);
    }
    if (d->irq >= 0) {
        aml_res_irq(a, d->irq);
    }
    aml_end_resources(a);
    aml_end(a);
}

/* The id under which drivers look for virtio-mmio. */
static void dsdt_virtio(Aml *a, const AcpiConfig *cfg)
{
    for (unsigned i = 0; i < cfg->n_virtio; i++) {
        char name[8];

        g_snprintf(name, sizeof(name), "VR%02X", i);
        aml_device(a, name);
        aml_name_string(a, "_HID", "LNRO0005");
        aml_name_int(a, "_UID", i);
        aml_name_int(a, "_CCA", 1);
        aml_name_resources(a, "_CRS");
        aml_res_mem32(a, cfg->virtio[i].base, cfg->virtio[i].len, true);
        aml_res_irq(a, cfg->virtio[i].irq);
        aml_end_resources(a);
        aml_end(a);
    }
}

/* The tables are made before -device is looked at: whether pvpanic is there is
 * asked of its port, which has a few bits set, or all if nobody answers. */
static void dsdt_pvpanic(Aml *a)
{
    aml_device(a, "PEVT");
    aml_name_string(a, "_HID", "QEMU0001");
    aml_name_resources(a, "_CRS");
    aml_res_io(a, PVPANIC_PORT, 1);
    aml_end_resources(a);
    aml_op_region(a, "PEOR", AML_IO, PVPANIC_PORT, 1);
    aml_field(a, "PEOR");
    aml_field_unit(a, "PEPT", 8);
    aml_end(a);
    aml_method(a, "_STA", 0);
    aml_if(a);
    aml_op(a, AML_LESS);
    aml_ref(a, "PEPT");
    aml_int(a, 0x10);
    aml_return_int(a, 0xf);
    aml_end(a);
    aml_return_int(a, 0);
    aml_end(a);
    aml_end(a);
}

static void dsdt_devices(Aml *a, const AcpiConfig *cfg)
{
    for (unsigned i = 0; i < ACPI_MAX_COM; i++) {
        if (cfg->com[i]) {
            dsdt_legacy(a, &dev_com[i], i + 1);
        }
    }
    if (cfg->has_rtc) {
        dsdt_legacy(a, &dev_rtc, 0);
    }
    if (cfg->has_pit) {
        dsdt_legacy(a, &dev_pit, 0);
    }
    if (cfg->has_pic) {
        dsdt_legacy(a, &dev_pic, 0);
    }
    if (cfg->has_i8042) {
        dsdt_legacy(a, &dev_kbd, 0);
        dsdt_legacy(a, &dev_mouse, 0);
    }
    if (cfg->has_hpet) {
        aml_device(a, "HPET");
        aml_name_eisaid(a, "_HID", "PNP0103");
        aml_name_int(a, "_UID", 0);
        aml_name_int(a, "_STA", 0xf);
        aml_name_resources(a, "_CRS");
        aml_res_mem32(a, cfg->hpet_base, 0x400, false);
        aml_end_resources(a);
        aml_end(a);
    }
    if (cfg->has_fw_cfg) {
        aml_device(a, "FWCF");
        aml_name_string(a, "_HID", "QEMU0002");
        aml_name_int(a, "_STA", 0xb);
        aml_name_resources(a, "_CRS");
        aml_res_io(a, 0x510, 12);
        aml_end_resources(a);
        aml_end(a);
    }
    if (cfg->has_pci) {
        dsdt_pvpanic(a);
    }
    dsdt_virtio(a, cfg);
}

static void dsdt_processors(Aml *a, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char name[8];

        g_snprintf(name, sizeof(name), "C%03X", i);
        aml_device(a, name);
        aml_name_string(a, "_HID", "ACPI0007");
        aml_name_int(a, "_UID", i);
        aml_name_int(a, "_STA", 0xf);
        aml_end(a);
    }
}

static uint64_t acpi_dsdt(AcpiBuild *b)
{
    guint at = acpi_begin(b, "DSDT", 2);
    Aml a = { .out = b->out };

    aml_scope(&a, "\\_SB");
    dsdt_processors(&a, b->cfg->n_cpus);
    if (b->cfg->has_pci) {
        aml_pci_begin(&a, b->cfg);
        dsdt_devices(&a, b->cfg);
        aml_pci_end(&a);
    } else {
        dsdt_devices(&a, b->cfg);
    }
    aml_end(&a);
    if (b->cfg->has_pci) {
        aml_pci_events(&a);
    }
    aml_name_package(&a, "\\_S5", 4);
    aml_int(&a, PM_SLP_TYP_S5);
    aml_int(&a, PM_SLP_TYP_S5);
    aml_int(&a, 0);
    aml_int(&a, 0);
    aml_end(&a);
    return acpi_end(b, at);
}

/* ---- the other tables ------------------------------------------------------------ */

static uint64_t acpi_facs(AcpiBuild *b)
{
    uint8_t facs[FACS_LEN] = { 'F', 'A', 'C', 'S' };
    guint at;

    acpi_align(b, 64);
    at = b->out->len;
    st_le32(facs + 4, FACS_LEN);
    facs[32] = 1;
    g_byte_array_append(b->out, facs, sizeof(facs));
    return b->base + at;
}

/* Table 5.9. Offsets of the specification are in the comments. */
static uint64_t acpi_fadt(AcpiBuild *b, uint64_t facs, uint64_t dsdt)
{
    GByteArray *o = b->out;
    uint16_t pm = b->cfg->pm_base;
    guint at = acpi_begin(b, "FACP", 3);

    put32(o, facs);
    put32(o, dsdt);
    put16(o, 0); /* 44: interrupt model, preferred profile */
    put16(o, PM_SCI_GSI);
    put32(o, 0); /* 48: SMI command */
    put32(o, 0); /* 52: ACPI enable and disable, S4BIOS, P-states */
    put32(o, pm + PM_EVT_OFF);
    put32(o, 0);
    put32(o, pm + PM_CNT_OFF);
    put32(o, 0);
    put32(o, 0);
    put32(o, pm + PM_TMR_OFF);
    put32(o, pm + PM_GPE0_OFF);
    put32(o, 0);
    put8(o, 4); /* 88: lengths */
    put8(o, 2);
    put8(o, 0);
    put8(o, 4);
    put8(o, PM_GPE0_LEN);
    put8(o, 0);
    put8(o, 0);
    put8(o, 0);
    put16(o, 0xfff); /* 96: C2 and C3 latency: not supported */
    put16(o, 0xfff);
    put32(o, 0); /* 100: flush size and stride */
    put16(o, 0); /* 104: duty cycle */
    put8(o, 0);  /* 106: day alarm, month alarm */
    put8(o, 0);
    put8(o, 0x32); /* 108: century, as the RTC keeps it */
    put16(o, BOOT_ARCH_LEGACY | BOOT_ARCH_NO_VGA |
                 (b->cfg->has_i8042 ? BOOT_ARCH_8042 : 0));
    put8(o, 0);
    put32(o, FADT_WBINVD | FADT_C1 | FADT_SLEEP_BUTTON | FADT_FIX_RTC |
                 FADT_RESET_REG | FADT_PLATFORM_CLOCK);
    put_gas(o, 0xcf9, 1); /* 116 */
    put8(o, 0x0f);        /* 128: value that resets */
    put8(o, 0);
    put16(o, 0);
    put64(o, facs); /* 132: 64-bit addresses from here */
    put64(o, dsdt);
    put_gas(o, pm + PM_EVT_OFF, 4);
    put_gas(o, 0, 0);
    put_gas(o, pm + PM_CNT_OFF, 2);
    put_gas(o, 0, 0);
    put_gas(o, 0, 0);
    put_gas(o, pm + PM_TMR_OFF, 4);
    put_gas(o, pm + PM_GPE0_OFF, PM_GPE0_LEN);
    put_gas(o, 0, 0);
    g_assert(o->len - at == FADT_LEN);
    return acpi_end(b, at);
}

static void madt_cpu(GByteArray *o, uint32_t apic_id, unsigned uid)
{
    if (apic_id < 255) {
        put8(o, MADT_LAPIC);
        put8(o, 8);
        put8(o, uid);
        put8(o, apic_id);
        put32(o, 1);
    } else {
        put8(o, MADT_X2APIC);
        put8(o, 16);
        put16(o, 0);
        put32(o, apic_id);
        put32(o, 1);
        put32(o, uid);
    }
}

static void madt_override(GByteArray *o, uint8_t irq, uint32_t gsi,
                          uint16_t flags)
{
    put8(o, MADT_OVERRIDE);
    put8(o, 10);
    put8(o, 0); /* ISA */
    put8(o, irq);
    put32(o, gsi);
    put16(o, flags);
}

/* LINT1 of every processor takes NMIs. */
static void madt_nmi(GByteArray *o, bool x2apic)
{
    if (x2apic) {
        put8(o, MADT_X2APIC_NMI);
        put8(o, 12);
        put16(o, 0);
        put32(o, 0xffffffff);
        put8(o, 1);
        put8(o, 0);
        put16(o, 0);
    }
    put8(o, MADT_LAPIC_NMI);
    put8(o, 6);
    put8(o, 0xff);
    put16(o, 0);
    put8(o, 1);
}

static uint64_t acpi_madt(AcpiBuild *b)
{
    const AcpiConfig *cfg = b->cfg;
    GByteArray *o = b->out;
    guint at = acpi_begin(b, "APIC", 3);
    bool x2apic = false;

    put32(o, cfg->apic_base);
    put32(o, cfg->has_pic); /* PCAT_COMPAT: there is an 8259 pair */
    for (unsigned i = 0; i < cfg->n_cpus; i++) {
        madt_cpu(o, cfg->apic_ids[i], i);
        x2apic |= cfg->apic_ids[i] >= 255;
    }
    put8(o, MADT_IOAPIC);
    put8(o, 12);
    put8(o, cfg->ioapic_id);
    put8(o, 0);
    put32(o, cfg->ioapic_base);
    put32(o, 0);
    madt_override(o, 0, 2, 0);
    madt_override(o, PM_SCI_GSI, PM_SCI_GSI, 0xd); /* level, active high */
    madt_nmi(o, x2apic);
    return acpi_end(b, at);
}

static uint64_t acpi_hpet(AcpiBuild *b)
{
    GByteArray *o = b->out;
    guint at = acpi_begin(b, "HPET", 1);

    put32(o, b->cfg->hpet_block_id);
    put8(o, 0); /* memory */
    put8(o, 0);
    put8(o, 0);
    put8(o, 0);
    put64(o, b->cfg->hpet_base);
    put8(o, 0);
    put16(o, 0); /* no smallest tick is known */
    put8(o, 0);
    return acpi_end(b, at);
}

static uint64_t acpi_root(AcpiBuild *b, const char *sig, unsigned width,
                          const uint64_t *table, unsigned n)
{
    guint at = acpi_begin(b, sig, 1);

    for (unsigned i = 0; i < n; i++) {
        if (width == 8) {
            put64(b->out, table[i]);
        } else {
            put32(b->out, table[i]);
        }
    }
    return acpi_end(b, at);
}

static void acpi_rsdp(uint8_t *p, const AcpiConfig *cfg, uint64_t rsdt,
                      uint64_t xsdt)
{
    char oem[7] = "      ";

    memcpy(oem, cfg->oem_id, strlen(cfg->oem_id));
    memcpy(p, "RSD PTR ", 8);
    memcpy(p + 9, oem, 6);
    p[15] = 2;
    st_le32(p + 16, rsdt);
    st_le32(p + 20, RSDP_LEN);
    st_le64(p + 24, xsdt);
    p[8] = acpi_checksum(p, 20);
    p[32] = acpi_checksum(p, RSDP_LEN);
}

void acpi_tables_build(AcpiTables *t, const AcpiConfig *cfg, uint64_t base)
{
    static const uint8_t rsdp[RSDP_LEN];
    AcpiBuild b = { .cfg = cfg, .out = g_byte_array_new(), .base = base };
    uint64_t table[4], facs, dsdt, rsdt, xsdt;
    unsigned n = 0;

    g_assert(base % 64 == 0);
    g_byte_array_append(b.out, rsdp, sizeof(rsdp)); /* filled in at the end */
    facs = acpi_facs(&b);
    dsdt = acpi_dsdt(&b);
    table[n++] = acpi_fadt(&b, facs, dsdt);
    table[n++] = acpi_madt(&b);
    if (cfg->has_hpet) {
        table[n++] = acpi_hpet(&b);
    }
    rsdt = acpi_root(&b, "RSDT", 4, table, n);
    xsdt = acpi_root(&b, "XSDT", 8, table, n);
    acpi_rsdp(b.out->data, cfg, rsdt, xsdt);
    t->bytes = b.out;
    t->rsdp = base;
    t->rsdp_len = RSDP_LEN;
}

void acpi_tables_clear(AcpiTables *t)
{
    if (t->bytes) {
        g_byte_array_unref(t->bytes);
        t->bytes = NULL;
    }
}
