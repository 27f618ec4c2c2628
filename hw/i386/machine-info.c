/*
 * Writes the structure of docs/machine-info.md. Little-endian; what grows is
 * at the end and found by offsets, so that a guest of today reads a later
 * version.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "hw/i386/machine-info.h"

enum {
    VERSION = 1,
    HEADER_LEN = 64,
    MEMORY_LEN = 24,
    DEVICE_LEN = 40,
    OFF_VERSION = 8,
    OFF_SIZE = 12,
    OFF_SUM = 16,
    OFF_CPUS = 20,
    OFF_LAPIC = 24,
    OFF_IOAPIC = 32,
    OFF_IOAPIC_INPUTS = 40,
    OFF_MEMORY = 48, /* offset and number of entries */
    OFF_DEVICES = 56,
};

static uint8_t *info_append(GByteArray *out, guint len)
{
    guint at = out->len;

    g_byte_array_set_size(out, at + len);
    memset(out->data + at, 0, len);
    return out->data + at;
}

static void info_memory(GByteArray *out, uint64_t base, uint64_t size,
                        uint32_t use)
{
    uint8_t *p = info_append(out, MEMORY_LEN);

    st_le64(p, base);
    st_le64(p + 8, size);
    st_le32(p + 16, use);
    st_le32(out->data + OFF_MEMORY + 4,
            ld_le32(out->data + OFF_MEMORY + 4) + 1);
}

static void info_device(GByteArray *out, const InfoDevice *d)
{
    uint8_t *p = info_append(out, DEVICE_LEN);

    g_assert(strlen(d->kind) < INFO_KIND_LEN);
    memcpy(p, d->kind, strlen(d->kind));
    st_le64(p + 16, d->base);
    st_le32(p + 24, d->size);
    st_le32(p + 28, d->irq);
    st_le32(p + 32, d->flags);
    st_le32(p + 36, d->id);
    st_le32(out->data + OFF_DEVICES + 4,
            ld_le32(out->data + OFF_DEVICES + 4) + 1);
}

GByteArray *machine_info_build(const MachineInfo *info)
{
    GByteArray *out = g_byte_array_new();
    uint32_t sum = 0;

    memcpy(info_append(out, HEADER_LEN), "RHEAINFO", 8);
    st_le32(out->data + OFF_VERSION, VERSION);
    st_le32(out->data + OFF_CPUS, info->cpus);
    st_le64(out->data + OFF_LAPIC, info->lapic);
    st_le64(out->data + OFF_IOAPIC, info->ioapic);
    st_le32(out->data + OFF_IOAPIC_INPUTS, info->ioapic_inputs);
    st_le32(out->data + OFF_MEMORY, out->len);
    for (unsigned i = 0; i < info->e820->n; i++) {
        const E820Entry *e = &info->e820->entry[i];

        info_memory(out, e->addr, e->size,
                    e->type == E820_RAM ? INFO_RAM : INFO_KEEP);
    }
    for (guint i = 0; i < info->devices->len; i++) {
        const InfoDevice *d = &g_array_index(info->devices, InfoDevice, i);

        if (!(d->flags & INFO_PORTS)) {
            info_memory(out, d->base, d->size, INFO_DEVICE);
        }
    }
    st_le32(out->data + OFF_DEVICES, out->len);
    for (guint i = 0; i < info->devices->len; i++) {
        info_device(out, &g_array_index(info->devices, InfoDevice, i));
    }
    st_le32(out->data + OFF_SIZE, out->len);
    for (guint i = 0; i < out->len; i += 4) {
        sum += ld_le32(out->data + i);
    }
    st_le32(out->data + OFF_SUM, -sum);
    return out;
}
