/*
 * What stands in for firmware: memory map, ACPI, SMBIOS and MP tables, each
 * walked from its entry point as a guest does.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "hw/acpi/aml.h"
#include "hw/acpi/tables.h"
#include "hw/i386/e820.h"
#include "hw/i386/mptable.h"
#include "hw/i386/smbios.h"

static uint8_t sum(const uint8_t *p, size_t len)
{
    uint8_t s = 0;

    while (len--) {
        s += *p++;
    }
    return s;
}

/* ---- E820 ------------------------------------------------------------------------ */

static void check_map(uint64_t below, uint64_t above)
{
    uint64_t end = 0, ram = 0;
    E820 map;

    e820_init_pc(&map, below, above);
    for (unsigned i = 0; i < map.n; i++) {
        g_assert_cmphex(map.entry[i].addr, >=, end);
        end = map.entry[i].addr + map.entry[i].size;
        ram += map.entry[i].type == E820_RAM ? map.entry[i].size : 0;
    }
    /* All but the EBDA and what lies behind A0000. */
    g_assert_cmphex(ram, ==, below + above - 0x400 - 0x60000);
    g_assert_cmphex(e820_high_memory_end(&map), ==, below);
    g_assert_true(e820_is_ram(&map, below - 1, 1));
    g_assert_false(e820_is_ram(&map, below - 1, 2));
    g_assert_false(e820_is_ram(&map, 0xa0000, 1));
    g_assert_false(e820_is_ram(&map, 0x9fc00, 1));
    g_assert_true(e820_is_ram(&map, 4 * GIB, above) == (above != 0));
}

static void test_e820(void)
{
    E820 map;
    uint64_t addr;

    for (uint64_t mib = 64; mib <= 3072; mib *= 2) {
        check_map(mib * MIB, 0);
    }
    check_map(3 * GIB, GIB);
    check_map(3 * GIB, 5 * GIB);
    e820_init_pc(&map, MIB, 0);
    g_assert_cmpuint(map.n, ==, 3);
    g_assert_cmphex(e820_high_memory_end(&map), ==, MIB);

    e820_init_pc(&map, 64 * MIB, 0);
    g_assert_false(e820_is_ram(&map, MIB, UINT64_MAX));
    g_assert_false(e820_is_ram(&map, UINT64_MAX, 2));
    g_assert_true(e820_find_high(&map, 1, 4096, MIB, UINT64_MAX, &addr));
    g_assert_cmphex(addr, ==, 64 * MIB - 4096);
    g_assert_true(e820_find_low(&map, 1, 4096, MIB + 1, UINT64_MAX, &addr));
    g_assert_cmphex(addr, ==, MIB + 4096);
    g_assert_false(e820_find_low(&map, 64 * MIB, 1, 0, UINT64_MAX, &addr));
    g_assert_false(e820_find_high(&map, UINT64_MAX, 1, 0, UINT64_MAX, &addr));
    g_assert_false(e820_find_low(&map, 1, 4096, UINT64_MAX, UINT64_MAX, &addr));
}

/* ---- ACPI ------------------------------------------------------------------------- */

enum { ACPI_BASE = 0xf0000 };

static AcpiConfig acpi_config(const uint32_t *ids, unsigned n)
{
    return (AcpiConfig) { .oem_id = "BOCHS ",
                          .oem_table_id = "BXPC    ",
                          .apic_ids = ids,
                          .n_cpus = n,
                          .ioapic_base = 0xfec00000,
                          .apic_base = 0xfee00000,
                          .pm_base = 0x600,
                          .has_pic = true,
                          .has_pit = true,
                          .has_hpet = true,
                          .has_i8042 = true,
                          .has_fw_cfg = true,
                          .com = { true, true, true, true },
                          .hpet_base = 0xfed00000,
                          .hpet_block_id = 0x8086a201 };
}

/* A table by its address, checked; @sig may be NULL. */
static const uint8_t *acpi_table(const AcpiTables *t, uint64_t addr,
                                 const char *sig)
{
    const uint8_t *p = t->bytes->data + (addr - ACPI_BASE);
    uint32_t len;

    g_assert_cmphex(addr, >=, ACPI_BASE);
    g_assert_cmphex(addr - ACPI_BASE + 36, <=, t->bytes->len);
    len = ld_le32(p + 4);
    g_assert_cmphex(addr - ACPI_BASE + len, <=, t->bytes->len);
    g_assert_cmpuint(sum(p, len), ==, 0);
    if (sig) {
        g_assert_cmpmem(p, 4, sig, 4);
    }
    return p;
}

/* The table of @sig, in RSDT and XSDT alike. */
static const uint8_t *acpi_find(const AcpiTables *t, const char *sig)
{
    const uint8_t *rsdp = t->bytes->data + (t->rsdp - ACPI_BASE);
    const uint8_t *rsdt = acpi_table(t, ld_le32(rsdp + 16), "RSDT");
    const uint8_t *xsdt = acpi_table(t, ld_le64(rsdp + 24), "XSDT");
    unsigned n = (ld_le32(rsdt + 4) - 36) / 4;

    g_assert_cmpmem(rsdp, 8, "RSD PTR ", 8);
    g_assert_cmpuint(sum(rsdp, 20), ==, 0);
    g_assert_cmpuint(sum(rsdp, 36), ==, 0);
    g_assert_cmpuint((ld_le32(xsdt + 4) - 36) / 8, ==, n);
    for (unsigned i = 0; i < n; i++) {
        const uint8_t *p = acpi_table(t, ld_le32(rsdt + 36 + i * 4), NULL);

        g_assert_cmphex(ld_le32(rsdt + 36 + i * 4), ==,
                        ld_le64(xsdt + 36 + i * 8));
        if (memcmp(p, sig, 4) == 0) {
            return p;
        }
    }
    return NULL;
}

static void test_acpi_fadt(void)
{
    uint32_t ids[2] = { 0, 1 };
    AcpiConfig cfg = acpi_config(ids, 2);
    const uint8_t *fadt, *facs;
    AcpiTables t;

    acpi_tables_build(&t, &cfg, ACPI_BASE);
    fadt = acpi_find(&t, "FACP");
    g_assert_cmpuint(ld_le32(fadt + 4), ==, 244);
    g_assert_cmpuint(fadt[8], >=, 3);
    facs = t.bytes->data + (ld_le32(fadt + 36) - ACPI_BASE);
    g_assert_cmpmem(facs, 4, "FACS", 4);
    g_assert_cmphex(ld_le32(fadt + 36) % 64, ==, 0);
    acpi_table(&t, ld_le32(fadt + 40), "DSDT");
    g_assert_cmphex(ld_le64(fadt + 140), ==, ld_le32(fadt + 40));
    g_assert_cmpuint(ld_le16(fadt + 46), ==, 9); /* SCI */
    g_assert_cmphex(ld_le32(fadt + 56), ==, 0x600);
    g_assert_cmphex(ld_le32(fadt + 64), ==, 0x604);
    g_assert_cmphex(ld_le32(fadt + 76), ==, 0x608);
    g_assert_cmphex(ld_le64(fadt + 120), ==, 0xcf9); /* reset register */
    g_assert_cmphex(ld_le64(fadt + 152), ==, 0x600); /* the 64-bit ones */
    g_assert_cmphex(ld_le64(fadt + 176), ==, 0x604);
    g_assert_cmphex(ld_le64(fadt + 212), ==, 0x608);
    acpi_tables_clear(&t);

    cfg.has_hpet = false;
    acpi_tables_build(&t, &cfg, ACPI_BASE);
    g_assert_null(acpi_find(&t, "HPET"));
    acpi_tables_clear(&t);
}

static void check_madt(unsigned n, uint32_t first_id)
{
    g_autofree uint32_t *ids = g_new(uint32_t, n);
    AcpiConfig cfg = acpi_config(ids, n);
    unsigned cpus = 0, ioapics = 0, overrides = 0, nmis = 0;
    const uint8_t *madt, *end;
    AcpiTables t;

    for (unsigned i = 0; i < n; i++) {
        ids[i] = first_id + i;
    }
    acpi_tables_build(&t, &cfg, ACPI_BASE);
    madt = acpi_find(&t, "APIC");
    end = madt + ld_le32(madt + 4);
    g_assert_cmphex(ld_le32(madt + 36), ==, 0xfee00000);
    for (const uint8_t *p = madt + 44; p < end; p += p[1]) {
        g_assert_cmpuint(p[1], >=, 6);
        g_assert_true(p + p[1] <= end);
        cpus += p[0] == 0 || p[0] == 9;
        ioapics += p[0] == 1;
        overrides += p[0] == 2;
        nmis += p[0] == 4;
        g_assert_true(p[0] != 0 || p[3] != 255);
    }
    g_assert_cmpuint(cpus, ==, n);
    g_assert_cmpuint(ioapics, ==, 1);
    g_assert_cmpuint(overrides, ==, 2);
    g_assert_cmpuint(nmis, ==, 1);
    g_assert_cmpuint(t.bytes->len, <, 0x8000); /* leaves room for the others */
    acpi_tables_clear(&t);
}

static void test_acpi_madt(void)
{
    check_madt(1, 0);
    check_madt(2, 0);
    check_madt(64, 0);
    check_madt(255, 0);
    check_madt(64, 230); /* across the end of 8-bit ids */
}

/* Lengths of packages on both sides of every form. ACPI 6.4, 20.2.4. */
static void test_aml_lengths(void)
{
    static const struct {
        unsigned len;
        uint8_t prefix[4];
        unsigned n;
    } cases[] = {
        { 62 - 4, { 0x3f }, 1 },
        { 63 - 4, { 0x41, 0x04 }, 2 },
        { 4093 - 4, { 0x4f, 0xff }, 2 },
        { 4094 - 4, { 0x81, 0x00, 0x01 }, 3 },
        { 100000, { 0x87, 0x6a, 0x18 }, 3 },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        Aml a = { .out = out };

        aml_scope(&a, "ABCD");
        for (unsigned k = 0; k < cases[i].len; k++) {
            aml_int(&a, 1);
        }
        aml_end(&a);
        g_assert_cmpmem(out->data + 1, cases[i].n, cases[i].prefix, cases[i].n);
        g_assert_cmpuint(out->len, ==, 1 + cases[i].n + 4 + cases[i].len);
    }
}

static void test_aml_bytes(void)
{
    static const uint8_t want[] = {
        0x5b, 0x82, 0x2c, 'C',  'O',  'M',  '1',  0x08, '_',  'H',  'I',  'D',
        0x0c, 0x41, 0xd0, 0x05, 0x01, 0x08, '_',  'U',  'I',  'D',  0x01, 0x08,
        '_',  'C',  'R',  'S',  0x11, 0x11, 0x0b, 0x0d, 0x00, 0x47, 0x01, 0xf8,
        0x03, 0xf8, 0x03, 0x01, 0x08, 0x22, 0x10, 0x00, 0x79, 0x00,
    };
    g_autoptr(GByteArray) out = g_byte_array_new();
    Aml a = { .out = out };

    aml_device(&a, "COM1");
    aml_name_eisaid(&a, "_HID", "PNP0501");
    aml_name_int(&a, "_UID", 1);
    aml_name_resources(&a, "_CRS");
    aml_res_io(&a, 0x3f8, 8);
    aml_res_irq(&a, 4);
    aml_end_resources(&a);
    aml_end(&a);
    g_assert_cmpmem(out->data, out->len, want, sizeof(want));
}

/* ---- SMBIOS ------------------------------------------------------------------------ */

/* The @n-th structure of @type (its formatted part), or NULL. */
static const uint8_t *smbios_find(const SmbiosTables *t, unsigned type,
                                  unsigned n)
{
    const uint8_t *p = t->bytes->data, *end = p + t->bytes->len;

    while (p < end) {
        const uint8_t *s = p;

        if (s[0] == type && n-- == 0) {
            return s;
        }
        p += s[1];
        while (p[0] || p[1]) {
            p++;
        }
        p += 2;
    }
    return NULL;
}

static const char *smbios_string(const uint8_t *s, unsigned off)
{
    const char *text = (const char *)s + s[1];

    for (unsigned n = s[off]; n > 1; n--) {
        text += strlen(text) + 1;
    }
    return s[off] ? text : NULL;
}

static SmbiosTables build_smbios(const char *const *options, const char *uuid,
                                 uint64_t below, uint64_t above)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new();
    g_autoptr(GError) err = NULL;
    g_autoptr(SmbiosTexts) texts = NULL;
    SmbiosConfig cfg = { .ram_below_4g = below,
                         .ram_above_4g = above,
                         .sockets = 2,
                         .cores = 4,
                         .threads = 2 };
    SmbiosTables t;

    while (options && *options) {
        g_ptr_array_add(list, (char *)*options++);
    }
    texts = smbios_parse(list, uuid, &err);
    g_assert_no_error(err);
    cfg.texts = texts;
    smbios_build(&t, &cfg);
    return t;
}

static void test_smbios(void)
{
    static const char *const options[] = {
        "type=1,manufacturer=Ma,,ker,serial=S1", "type=11,value=one",
        "type=11,value=two", NULL
    };
    static const uint8_t uuid[16] = { 0x03, 0x02, 0x01, 0x00, 0x05, 0x04,
                                      0x07, 0x06, 0x08, 0x09, 0x0a, 0x0b,
                                      0x0c, 0x0d, 0x0e, 0x0f };
    SmbiosTables t = build_smbios(
        options, "00010203-0405-0607-0809-0a0b0c0d0e0f", 3 * GIB, 37 * GIB);
    uint8_t v2[SMBIOS_V2_LEN], v3[SMBIOS_V3_LEN];
    const uint8_t *s;

    s = smbios_find(&t, 1, 0);
    g_assert_cmpstr(smbios_string(s, 4), ==, "Ma,ker");
    g_assert_cmpstr(smbios_string(s, 7), ==, "S1");
    g_assert_cmpmem(s + 8, 16, uuid, 16);
    s = smbios_find(&t, 11, 0);
    g_assert_cmpuint(s[4], ==, 2);
    g_assert_cmpstr(smbios_string(s, 4), ==, "two");
    g_assert_null(smbios_find(&t, 2, 0));
    g_assert_nonnull(smbios_find(&t, 0, 0));
    g_assert_nonnull(smbios_find(&t, 3, 0));
    s = smbios_find(&t, 4, 1);
    g_assert_cmpuint(s[35], ==, 4);
    g_assert_cmpuint(s[37], ==, 8);
    g_assert_null(smbios_find(&t, 4, 2));
    s = smbios_find(&t, 16, 0);
    g_assert_cmpuint(ld_le32(s + 7), ==, 40 * 1024 * 1024);
    g_assert_cmpuint(ld_le16(s + 13), ==, 3);
    s = smbios_find(&t, 17, 2);
    g_assert_cmpuint(ld_le16(s + 12), ==, 8 * 1024); /* the rest */
    s = smbios_find(&t, 19, 1);
    g_assert_cmpuint(ld_le32(s + 4), ==, 4 * 1024 * 1024);
    g_assert_cmpuint(ld_le32(s + 8), ==, 41 * 1024 * 1024 - 1);
    g_assert_nonnull(smbios_find(&t, 32, 0));
    g_assert_nonnull(smbios_find(&t, 127, 0));

    smbios_entry_v2(&t, 0xf1000, v2);
    g_assert_cmpuint(sum(v2, sizeof(v2)), ==, 0);
    g_assert_cmpuint(sum(v2 + 16, 15), ==, 0);
    g_assert_cmpuint(ld_le16(v2 + 28), ==, t.count);
    smbios_entry_v3(&t, 0xf1000, v3);
    g_assert_cmpuint(sum(v3, sizeof(v3)), ==, 0);
    g_assert_cmphex(ld_le64(v3 + 16), ==, 0xf1000);
    smbios_clear(&t);
}

static void test_smbios_bad(void)
{
    static const char *const bad[][2] = {
        { "type=1,maker=x", "no field 'maker'" },
        { "type=9", "type=9 is not supported" },
        { "type=300", "type=300 is not supported" },
        { "manufacturer=x", "type= is missing" },
        { "type=1,uuid=123", "is no UUID" },
        { "type=0,release=x", "two numbers" },
        { "type=4,max-speed=70000", "0 to 65535" },
        { "file=x", "not supported yet" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GPtrArray) list = g_ptr_array_new();
        g_autoptr(GError) err = NULL;

        g_ptr_array_add(list, (char *)bad[i][0]);
        g_assert_null(smbios_parse(list, NULL, &err));
        g_assert_nonnull(err);
        if (!strstr(err->message, bad[i][1])) {
            g_error("wanted '%s' in: %s", bad[i][1], err->message);
        }
    }
    {
        g_autoptr(GError) err = NULL;

        g_assert_null(smbios_parse(NULL, "nonsense", &err));
        g_assert_nonnull(err);
    }
}

/* ---- MP table ------------------------------------------------------------------------- */

static void test_mptable(void)
{
    static const uint8_t len_of[] = { 20, 8, 8, 8, 8 };
    uint32_t ids[4] = { 0, 1, 2, 300 };
    MpConfig cfg = { .apic_ids = ids,
                     .n_cpus = 4,
                     .apic_base = 0xfee00000,
                     .ioapic_base = 0xfec00000 };
    g_autoptr(GByteArray) mp = mptable_build(&cfg, 0xf2000);
    const uint8_t *h = mp->data + 16, *p = h + 44;
    unsigned seen[5] = { 0 };

    g_assert_cmpmem(mp->data, 4, "_MP_", 4);
    g_assert_cmpuint(sum(mp->data, 16), ==, 0);
    g_assert_cmphex(ld_le32(mp->data + 4), ==, 0xf2010);
    g_assert_cmpmem(h, 4, "PCMP", 4);
    g_assert_cmpuint(ld_le16(h + 4), ==, mp->len - 16);
    g_assert_cmpuint(sum(h, mp->len - 16), ==, 0);
    for (unsigned i = 0; i < ld_le16(h + 34); i++) {
        g_assert_cmpuint(p[0], <, 5);
        seen[p[0]]++;
        p += len_of[p[0]];
    }
    g_assert_true(p == mp->data + mp->len);
    g_assert_cmpuint(seen[0], ==, 3); /* 300 does not fit */
    g_assert_cmpuint(seen[2], ==, 1);
    g_assert_cmpuint(seen[3], ==, 15);
    g_assert_cmpuint(seen[4], ==, 2);
}

static unsigned pci_irq(unsigned slot, unsigned pin)
{
    return (slot + pin) % 4 < 2 ? 10 : 11;
}

/* With PCI: bus 0 is PCI, ISA is bus 1 and loses what PCI takes. */
static void test_mptable_pci(void)
{
    static const uint8_t len_of[] = { 20, 8, 8, 8, 8 };
    uint32_t id = 0;
    MpConfig cfg = { .apic_ids = &id, .n_cpus = 1, .pci_irq = pci_irq };
    g_autoptr(GByteArray) mp = mptable_build(&cfg, 0xf2000);
    const uint8_t *p = mp->data + 16 + 44;
    unsigned pci = 0, isa = 0;

    for (unsigned i = 0; i < ld_le16(mp->data + 16 + 34); i++) {
        if (p[0] == 1) {
            g_assert_cmpmem(p + 2, 6, p[1] ? "ISA   " : "PCI   ", 6);
        } else if (p[0] == 3 && p[4] == 0) {
            g_assert_cmphex(p[2], ==, 1); /* active high */
            g_assert_cmpuint(p[7], ==, pci_irq(p[5] >> 2, p[5] & 3));
            pci++;
        } else if (p[0] == 3) {
            g_assert_true(p[5] != 10 && p[5] != 11);
            isa++;
        }
        p += len_of[p[0]];
    }
    g_assert_cmpuint(pci, ==, 128);
    g_assert_cmpuint(isa, ==, 13);
}

/* An expression and two resources, by hand from the grammar. */
static void test_aml_pci(void)
{
    static const uint8_t want[] = {
        0x70, 0x68, 0x5c, 0x2f, 0x03, '_',  'S',  'B',  '_',
        'P',  'C',  'I',  '0',  'I',  'S',  'A',  '_', /* Store(Arg0, path) */
        0x89, 0x0a, 0x00, 0x09, 0x02, 0x05, 0x00, 0x00, 0x00,
        0x0b, 0x00, 0x00, 0x00, /* interrupt 5 or 11 */
        0x88, 0x0d, 0x00, 0x01, 0x0c, 0x03, 0x00, 0x00, 0x00,
        0x0d, 0xff, 0xff, 0x00, 0x00, 0x00, 0xf3, /* I/O D00-FFFF */
    };
    static const uint32_t irqs[] = { 5, 11 };
    g_autoptr(GByteArray) out = g_byte_array_new();
    Aml a = { .out = out };

    aml_op(&a, AML_STORE);
    aml_arg(&a, 0);
    aml_ref(&a, "\\_SB.PCI0.ISA");
    aml_res_irqs(&a, irqs, 2);
    aml_res_io_range(&a, 0xd00, 0xffff);
    g_assert_cmpmem(out->data, out->len, want, sizeof(want));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pc-tables/e820", test_e820);
    g_test_add_func("/pc-tables/acpi/fadt", test_acpi_fadt);
    g_test_add_func("/pc-tables/acpi/madt", test_acpi_madt);
    g_test_add_func("/pc-tables/aml/lengths", test_aml_lengths);
    g_test_add_func("/pc-tables/aml/bytes", test_aml_bytes);
    g_test_add_func("/pc-tables/smbios/structures", test_smbios);
    g_test_add_func("/pc-tables/smbios/bad", test_smbios_bad);
    g_test_add_func("/pc-tables/mptable", test_mptable);
    g_test_add_func("/pc-tables/mptable/pci", test_mptable_pci);
    g_test_add_func("/pc-tables/aml/pci", test_aml_pci);
    if (g_getenv("ACPI_DUMP")) { /* a directory: DSDT and FADT for iasl -d */
        uint32_t ids[2] = { 0, 1 };
        AcpiConfig cfg = acpi_config(ids, 2);
        static const char *const sigs[] = { "FACP", "APIC", "HPET", NULL };
        AcpiTables t;

        acpi_tables_build(&t, &cfg, ACPI_BASE);
        for (unsigned i = 0; i < G_N_ELEMENTS(sigs); i++) {
            const uint8_t *fadt = acpi_find(&t, "FACP");
            const uint8_t *p = sigs[i]
                                   ? acpi_find(&t, sigs[i])
                                   : acpi_table(&t, ld_le32(fadt + 40), "DSDT");
            g_autofree char *name = g_strdup_printf(
                "%s/%s.aml", g_getenv("ACPI_DUMP"), sigs[i] ? sigs[i] : "DSDT");

            g_file_set_contents(name, (const char *)p, ld_le32(p + 4), NULL);
        }
        acpi_tables_clear(&t);
    }
    return g_test_run();
}
