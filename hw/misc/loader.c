/*
 * -device loader: bytes into memory, and where a processor starts.
 *
 *   loader,file=F,addr=A[,force-raw=on][,cpu-num=N]   a file, raw or ELF
 *   loader,addr=A,data=V,data-len=L[,data-be=on]      up to eight bytes
 *   loader,addr=A,cpu-num=N                           only the start address
 *
 * QEMU's docs/system/generic-loader.rst. An ELF goes where its program headers
 * say, and its entry is where cpu-num starts; its class decides the mode. A
 * processor started at a plain address below 1 MiB is in real mode, above it in
 * flat 32-bit protected mode (QEMU leaves it with the reset CS, which no image
 * can use).
 *
 * The bytes are read once, checked against RAM, and written at every reset.
 * Not modelled: Intel HEX and U-Boot images (they are loaded as raw bytes).
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/fdset.h"
#include "hw/i386/boot-elf.h"
#include "hw/misc/loader.h"

#define LOADER_NO_CPU UINT32_MAX

typedef struct Loader {
    Device dev;
    char *file;       /* property */
    uint64_t addr;    /* property */
    uint32_t cpu_num; /* property */
    uint64_t data;    /* property */
    uint8_t data_len; /* property */
    bool data_be;     /* property */
    bool force_raw;   /* property */
    GBytes *image;    /* of the file or the data; NULL: only a start */
    bool is_elf;
    ElfImage elf;
} Loader;

static bool loader_is_ram(AddressSpace *mem, hwaddr addr, uint64_t len)
{
    while (len) {
        const FlatRange *r = as_find(mem, addr);
        uint64_t left;

        if (!r || r->region->kind == REGION_IO) {
            return false;
        }
        left = r->size - (addr - r->base);
        if (left >= len) {
            return true;
        }
        len -= left;
        addr += left;
    }
    return true;
}

static bool loader_check_range(Loader *l, hwaddr addr, uint64_t len,
                               GError **errp)
{
    if (!loader_is_ram(l->dev.machine->mem, addr, len)) {
        error_setg(errp,
                   "loader: 0x%" PRIx64 " bytes at 0x%" PRIx64
                   " of '%s' are not in RAM",
                   len, addr, l->file ? l->file : "data");
        return false;
    }
    return true;
}

static bool loader_check_elf(Loader *l, GError **errp)
{
    if (!elf_parse(&l->elf, l->image, l->file, errp)) {
        return false;
    }
    l->is_elf = true;
    for (unsigned i = 0; i < l->elf.segments->len; i++) {
        const ElfSegment *s = &g_array_index(l->elf.segments, ElfSegment, i);

        if (!loader_check_range(l, s->paddr, s->memsz, errp)) {
            return false;
        }
    }
    return true;
}

static bool loader_read_file(Loader *l, GError **errp)
{
    char *bytes;
    size_t len;

    if (!file_get_contents(l->file, &bytes, &len, errp)) {
        g_prefix_error(errp, "loader: ");
        return false;
    }
    l->image = g_bytes_new_take(bytes, len);
    if (!l->force_raw && elf_is(l->image)) {
        return loader_check_elf(l, errp);
    }
    return loader_check_range(l, l->addr, len, errp);
}

static bool loader_take_data(Loader *l, GError **errp)
{
    uint8_t bytes[8];

    if (l->data_len > 8 || !l->data_len) {
        error_setg(errp, "loader: data-len must be 1 to 8, not %u",
                   l->data_len);
        return false;
    }
    if (l->data_len < 8 && l->data >> (l->data_len * 8)) {
        error_setg(errp,
                   "loader: data 0x%" PRIx64 " has more than data-len=%u "
                   "bytes",
                   l->data, l->data_len);
        return false;
    }
    if (l->data_be) {
        st_be64(bytes, l->data << (64 - l->data_len * 8));
    } else {
        st_le64(bytes, l->data);
    }
    l->image = g_bytes_new(bytes, l->data_len);
    return loader_check_range(l, l->addr, l->data_len, errp);
}

static void loader_unrealize(Device *dev)
{
    Loader *l = container_of(dev, Loader, dev);

    if (l->image) {
        g_bytes_unref(l->image);
        l->image = NULL;
    }
    elf_clear(&l->elf);
    l->is_elf = false;
}

static bool loader_realize(Device *dev, GError **errp)
{
    Loader *l = container_of(dev, Loader, dev);
    bool has_data = l->data_len || l->data || l->data_be;
    bool ok = true;

    if (l->file && has_data) {
        error_setg(errp, "loader: give file or data, not both");
        return false;
    }
    if (!l->file && !has_data && l->cpu_num == LOADER_NO_CPU) {
        error_setg(errp, "loader: give file=, data= with data-len=, or "
                         "cpu-num=");
        return false;
    }
    if (l->cpu_num != LOADER_NO_CPU && l->cpu_num >= dev->machine->ncpus) {
        error_setg(errp, "loader: there is no CPU %u: cpu-num must be below %u",
                   l->cpu_num, dev->machine->ncpus);
        return false;
    }
    if (l->file) {
        ok = loader_read_file(l, errp);
    } else if (has_data) {
        ok = loader_take_data(l, errp);
    }
    if (!ok) {
        loader_unrealize(dev);
    }
    return ok;
}

static void loader_write_elf(Loader *l, AddressSpace *mem)
{
    static const uint8_t zeros[4096];
    const uint8_t *p = g_bytes_get_data(l->image, NULL);

    for (unsigned i = 0; i < l->elf.segments->len; i++) {
        const ElfSegment *s = &g_array_index(l->elf.segments, ElfSegment, i);

        as_write_rom(mem, s->paddr, p + s->off, s->filesz);
        for (uint64_t done = s->filesz; done < s->memsz;) {
            size_t n = MIN(s->memsz - done, sizeof(zeros));

            as_write_rom(mem, s->paddr + done, zeros, n);
            done += n;
        }
    }
}

static void loader_reset(Device *dev)
{
    Loader *l = container_of(dev, Loader, dev);
    size_t len;

    if (l->is_elf) {
        loader_write_elf(l, dev->machine->mem);
    } else if (l->image) {
        const void *p = g_bytes_get_data(l->image, &len);

        as_write_rom(dev->machine->mem, l->addr, p, len);
    }
}

bool loader_get_start(const Device *dev, LoaderStart *out)
{
    const Loader *l = (const Loader *)dev;

    if (dev->cls != &loader_class || l->cpu_num == LOADER_NO_CPU) {
        return false;
    }
    *out = (LoaderStart) { .cpu = l->cpu_num, .entry = l->addr };
    if (l->is_elf) {
        out->elf_bits = l->elf.bits;
        out->entry = l->elf.entry;
    }
    return true;
}

static const Property loader_props[] = {
    { "addr", PROP_U64, offsetof(Loader, addr), 0, "where in memory" },
    { "cpu-num", PROP_U32, offsetof(Loader, cpu_num), LOADER_NO_CPU,
      "processor that starts there" },
    { "data", PROP_U64, offsetof(Loader, data), 0, "value to store" },
    { "data-be", PROP_BOOL, offsetof(Loader, data_be), 0,
      "store it big-endian" },
    { "data-len", PROP_U8, offsetof(Loader, data_len), 0,
      "its size, 1 to 8 bytes" },
    { "file", PROP_STRING, offsetof(Loader, file), 0, "ELF or raw file" },
    { "force-raw", PROP_BOOL, offsetof(Loader, force_raw), 0,
      "load even an ELF as plain bytes" },
    { .kind = PROP_END },
};

const DeviceClass loader_class = {
    .name = "loader",
    .desc = "Generic Loader",
    .category = DEVICE_MISC,
    .size = sizeof(Loader),
    .props = loader_props,
    .realize = loader_realize,
    .reset = loader_reset,
    .unrealize = loader_unrealize,
};
