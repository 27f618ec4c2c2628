/*
 * The table of Intel's MultiProcessor Specification 1.4, for kernels that do
 * not read ACPI. Chapter 4.
 *
 * One ISA bus; its interrupt 0 is on pin 2 of the I/O APIC. With PCI that is
 * bus 0 (as it must be), ISA bus 1, and the interrupts of PCI are not ISA's.
 * The 8259 pair reaches LINT0, NMI is LINT1.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "hw/i386/mptable.h"

enum {
    MP_CPU = 0,
    MP_BUS = 1,
    MP_IOAPIC = 2,
    MP_IO_INT = 3,
    MP_LOCAL_INT = 4,
    INT_VECTORED = 0,
    INT_NMI = 1,
    INT_EXTINT = 3,
    MP_ACTIVE_HIGH = 0x1, /* trigger mode as usual on the bus */
    MP_LEVEL_HIGH = 0xd,
    MP_APIC_VERSION = 0x14,
    MP_IOAPIC_VERSION = 0x11,
    MP_FLOATING_LEN = 16,
    MP_HEADER_LEN = 44,
};

static uint8_t mp_checksum(const uint8_t *p, size_t len)
{
    uint8_t sum = 0;

    while (len--) {
        sum += *p++;
    }
    return -sum;
}

static void mp_add(GByteArray *out, const uint8_t *entry, size_t len,
                   unsigned *count)
{
    g_byte_array_append(out, entry, len);
    (*count)++;
}

typedef struct MpInterrupt {
    uint8_t kind, type, flags, bus, irq, apic, pin;
} MpInterrupt;

static void mp_interrupt(GByteArray *out, MpInterrupt i, unsigned *count)
{
    uint8_t e[8] = { i.kind, i.type, i.flags, 0, i.bus, i.irq, i.apic, i.pin };

    mp_add(out, e, sizeof(e), count);
}

static void mp_processors(GByteArray *out, const MpConfig *cfg, unsigned *count)
{
    for (unsigned i = 0; i < cfg->n_cpus; i++) {
        uint8_t e[20] = { MP_CPU, cfg->apic_ids[i], MP_APIC_VERSION,
                          i == 0 ? 3 : 1 }; /* usable, boot processor */

        if (cfg->apic_ids[i] < 255) {
            st_le32(e + 4, cfg->cpu_signature);
            st_le32(e + 8, cfg->cpu_features);
            mp_add(out, e, sizeof(e), count);
        }
    }
}

static void mp_bus(GByteArray *out, uint8_t id, const char *name,
                   unsigned *count)
{
    uint8_t e[8] = { MP_BUS, id, ' ', ' ', ' ', ' ', ' ', ' ' };

    memcpy(e + 2, name, strlen(name));
    mp_add(out, e, sizeof(e), count);
}

/* The interrupts that PCI takes from ISA. */
static unsigned mp_pci_interrupts(GByteArray *out, const MpConfig *cfg,
                                  unsigned *count)
{
    unsigned taken = 0;

    for (unsigned i = 0; cfg->pci_irq && i < 32 * 4; i++) {
        unsigned pin = cfg->pci_irq(i / 4, i % 4);

        taken |= 1u << pin;
        mp_interrupt(out,
                     (MpInterrupt) { MP_IO_INT, INT_VECTORED, MP_ACTIVE_HIGH, 0,
                                     i, cfg->ioapic_id, pin },
                     count);
    }
    return taken;
}

static unsigned mp_entries(GByteArray *out, const MpConfig *cfg)
{
    uint8_t ioapic[8] = { MP_IOAPIC, cfg->ioapic_id, MP_IOAPIC_VERSION, 1 };
    uint8_t isa = cfg->pci_irq ? 1 : 0;
    unsigned n = 0, taken;

    mp_processors(out, cfg, &n);
    if (cfg->pci_irq) {
        mp_bus(out, 0, "PCI", &n);
    }
    mp_bus(out, isa, "ISA", &n);
    st_le32(ioapic + 4, cfg->ioapic_base);
    mp_add(out, ioapic, sizeof(ioapic), &n);
    taken = mp_pci_interrupts(out, cfg, &n);
    for (unsigned irq = 0; irq < 16; irq++) {
        if (irq != 2 && !(taken >> irq & 1)) {
            mp_interrupt(out,
                         (MpInterrupt) { MP_IO_INT, INT_VECTORED,
                                         irq == 9 ? MP_LEVEL_HIGH : 0, isa, irq,
                                         cfg->ioapic_id, irq == 0 ? 2 : irq },
                         &n);
        }
    }
    mp_interrupt(out,
                 (MpInterrupt) { MP_LOCAL_INT, INT_EXTINT, 0, isa, 0, 0xff, 0 },
                 &n);
    mp_interrupt(
        out, (MpInterrupt) { MP_LOCAL_INT, INT_NMI, 0, isa, 0, 0xff, 1 }, &n);
    return n;
}

GByteArray *mptable_build(const MpConfig *cfg, uint64_t base)
{
    GByteArray *out = g_byte_array_new();
    uint8_t *p;
    unsigned n;

    g_byte_array_set_size(out, MP_FLOATING_LEN + MP_HEADER_LEN);
    memset(out->data, 0, out->len);
    n = mp_entries(out, cfg);

    p = out->data; /* floating pointer, table 4-1 */
    memcpy(p, "_MP_", 4);
    st_le32(p + 4, base + MP_FLOATING_LEN);
    p[8] = 1;
    p[9] = 4;
    p[10] = mp_checksum(p, MP_FLOATING_LEN);

    p += MP_FLOATING_LEN; /* header, table 4-2 */
    memcpy(p, "PCMP", 4);
    st_le16(p + 4, out->len - MP_FLOATING_LEN);
    p[6] = 4;
    memcpy(p + 8, "RHEA    ", 8);
    memcpy(p + 16, "PC          ", 12);
    st_le16(p + 34, n);
    st_le32(p + 36, cfg->apic_base);
    p[7] = mp_checksum(p, out->len - MP_FLOATING_LEN);
    return out;
}
