/*
 * QEMU's firmware configuration device on its I/O ports.
 *
 * QEMU's docs/specs/fw_cfg.rst is the specification. An item is selected by a
 * 16-bit key and read byte by byte, or by DMA: the address of a request in
 * guest memory is written to port 514, everything in it is big-endian, and it
 * is done when the write returns. Reading past the end of an item, or one that
 * is not there, gives zeros.
 *
 * Items are what the machine adds before the guest runs; they are made again
 * by a machine that loads a snapshot, so only the selection is state.
 *
 * Not modelled: items that the guest may write (such requests give the error
 * bit), -fw_cfg gen_id=.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/fdset.h"
#include "util/keyval.h"
#include "util/log.h"
#include "util/trace.h"
#include "hw/nvram/fw_cfg.h"

enum {
    PORT_BASE = 0x510, /* selector, then data */
    PORT_DMA = 0x514,
    NAME_SIZE = 56, /* with the final NUL */
    FILES_MAX = 0x1000,
    DIR_ENTRY_SIZE = 64,
    ID_TRADITIONAL = 1,
    ID_DMA = 2,
    CHUNK = 4096,
};

#define KEY_WRITE_CHANNEL 0x4000u /* of old: ignored */
#define DMA_ERROR         0x01u
#define DMA_READ          0x02u
#define DMA_SKIP          0x04u
#define DMA_SELECT        0x08u
#define DMA_WRITE         0x10u

typedef struct FwFile {
    char *name;
    uint32_t size;
} FwFile;

typedef struct FwCfg {
    Device dev;
    Region ports, dma;
    GHashTable *items; /* key to GBytes; owned */
    GArray *files;     /* of FwFile: keys FW_CFG_FILE_FIRST on; owned */
    uint16_t key;
    uint32_t offset; /* in the item */
    uint32_t dma_high;
} FwCfg;

static const char dma_signature[8] = "QEMU CFG";

static uint16_t fw_cfg_key(uint32_t key)
{
    return key & ~KEY_WRITE_CHANNEL;
}

static void fw_cfg_select(FwCfg *s, uint16_t key)
{
    trace(fw_cfg_select, (void *)s, key);
    s->key = fw_cfg_key(key);
    s->offset = 0;
}

/* The rest of the selected item. */
static const uint8_t *fw_cfg_rest(const FwCfg *s, size_t *len)
{
    GBytes *item = g_hash_table_lookup(s->items, GUINT_TO_POINTER(s->key));
    const uint8_t *data = NULL;

    *len = 0;
    if (item) {
        data = g_bytes_get_data(item, len);
    }
    if (s->offset >= *len) {
        *len = 0;
        return NULL;
    }
    *len -= s->offset;
    return data + s->offset;
}

static void fw_cfg_skip(FwCfg *s, uint32_t n)
{
    s->offset = n > UINT32_MAX - s->offset ? UINT32_MAX : s->offset + n;
}

static uint8_t fw_cfg_read_byte(FwCfg *s)
{
    size_t len;
    const uint8_t *data = fw_cfg_rest(s, &len);

    trace(fw_cfg_read, (void *)s, len ? data[0] : 0u);
    fw_cfg_skip(s, 1);
    return len ? data[0] : 0;
}

/* ---- DMA ----------------------------------------------------------------- */

/* @len bytes of the item to @addr, zeros after its end. */
static bool fw_cfg_dma_read(FwCfg *s, hwaddr addr, uint32_t len)
{
    static const uint8_t zeros[CHUNK];
    AddressSpace *mem = s->dev.machine->mem;
    size_t rest;
    const uint8_t *data = fw_cfg_rest(s, &rest);
    uint32_t n = MIN(len, rest);
    bool ok = n == 0 || as_write(mem, addr, data, n);

    fw_cfg_skip(s, len);
    while (ok && n < len) {
        uint32_t part = MIN(len - n, CHUNK);

        ok = as_write(mem, addr + n, zeros, part);
        n += part;
    }
    return ok;
}

static bool fw_cfg_dma_run(FwCfg *s, uint32_t control, uint32_t len,
                           hwaddr addr)
{
    if (control & DMA_SELECT) {
        fw_cfg_select(s, control >> 16);
    }
    if (control & DMA_READ) {
        return fw_cfg_dma_read(s, addr, len);
    }
    if (control & DMA_WRITE) {
        log_mask(LOG_GUEST_ERROR, "fw_cfg: item %04x cannot be written\n",
                 s->key);
        fw_cfg_skip(s, len);
        return false;
    }
    if (control & DMA_SKIP) {
        fw_cfg_skip(s, len);
    }
    return true;
}

/* struct { be32 control, length; be64 address; } at @at. */
static void fw_cfg_dma(FwCfg *s, hwaddr at)
{
    AddressSpace *mem = s->dev.machine->mem;
    uint8_t req[16], result[4];
    bool ok;

    if (!as_read(mem, at, req, sizeof(req))) {
        log_mask(LOG_GUEST_ERROR, "fw_cfg: no DMA request at %" PRIx64 "\n",
                 at);
        st_be32(result, DMA_ERROR);
        as_write(mem, at, result, sizeof(result));
        return;
    }
    ok = fw_cfg_dma_run(s, ld_be32(req), ld_be32(req + 4), ld_be64(req + 8));
    st_be32(result, ok ? 0 : DMA_ERROR);
    as_write(mem, at, result, sizeof(result));
}

/* ---- ports --------------------------------------------------------------- */

static uint64_t fw_cfg_port_read(void *opaque, hwaddr offset, unsigned size)
{
    FwCfg *s = opaque;

    return offset == 1 ? fw_cfg_read_byte(s) : 0;
}

static void fw_cfg_port_write(void *opaque, hwaddr offset, uint64_t value,
                              unsigned size)
{
    if (offset == 0 && size == 2) {
        fw_cfg_select(opaque, value);
    } /* data cannot be written since QEMU 2.4 */
}

static uint64_t fw_cfg_dma_port_read(void *opaque, hwaddr offset, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size && offset + i < sizeof(dma_signature); i++) {
        value |= (uint64_t)(uint8_t)dma_signature[offset + i] << (8 * i);
    }
    return value;
}

static void fw_cfg_dma_port_write(void *opaque, hwaddr offset, uint64_t value,
                                  unsigned size)
{
    FwCfg *s = opaque;
    uint32_t be = GUINT32_SWAP_LE_BE((uint32_t)value);
    hwaddr at;

    if (size != 4) {
        return;
    }
    if (offset == 0) {
        s->dma_high = be;
    } else if (offset == 4) {
        at = (uint64_t)s->dma_high << 32 | be;
        s->dma_high = 0;
        fw_cfg_dma(s, at);
    }
}

static const RegionOps fw_cfg_ops = {
    .read = fw_cfg_port_read,
    .write = fw_cfg_port_write,
    .min_size = 1,
    .max_size = 2,
};

static const RegionOps fw_cfg_dma_ops = {
    .read = fw_cfg_dma_port_read,
    .write = fw_cfg_dma_port_write,
    .min_size = 1,
    .max_size = 4,
};

/* ---- items --------------------------------------------------------------- */

static void fw_cfg_add_bytes(Device *dev, uint16_t key, const void *data,
                             size_t len)
{
    FwCfg *s = container_of(dev, FwCfg, dev);

    g_hash_table_replace(s->items, GUINT_TO_POINTER(fw_cfg_key(key)),
                         g_bytes_new(data, len));
}

void fw_cfg_add_u16(Device *dev, uint16_t key, uint16_t value)
{
    uint8_t buf[2];

    st_le16(buf, value);
    fw_cfg_add_bytes(dev, key, buf, sizeof(buf));
}

void fw_cfg_add_u32(Device *dev, uint16_t key, uint32_t value)
{
    uint8_t buf[4];

    st_le32(buf, value);
    fw_cfg_add_bytes(dev, key, buf, sizeof(buf));
}

void fw_cfg_add_u64(Device *dev, uint16_t key, uint64_t value)
{
    uint8_t buf[8];

    st_le64(buf, value);
    fw_cfg_add_bytes(dev, key, buf, sizeof(buf));
}

/* be32 count, then { be32 size; be16 key, 0; char name[56]; } for each. */
static void fw_cfg_make_directory(FwCfg *s)
{
    g_autoptr(GByteArray) dir = g_byte_array_new();
    uint8_t buf[DIR_ENTRY_SIZE];

    st_be32(buf, s->files->len);
    g_byte_array_append(dir, buf, 4);
    for (unsigned i = 0; i < s->files->len; i++) {
        const FwFile *f = &g_array_index(s->files, FwFile, i);

        memset(buf, 0, sizeof(buf));
        st_be32(buf, f->size);
        st_be16(buf + 4, FW_CFG_FILE_FIRST + i);
        g_strlcpy((char *)buf + 8, f->name, NAME_SIZE);
        g_byte_array_append(dir, buf, sizeof(buf));
    }
    fw_cfg_add_bytes(&s->dev, FW_CFG_FILE_DIR, dir->data, dir->len);
}

/* The place of file @name in the directory, a new one if it has none. */
static unsigned fw_cfg_file_place(FwCfg *s, const char *name)
{
    unsigned i = 0;

    while (i < s->files->len &&
           strcmp(g_array_index(s->files, FwFile, i).name, name) != 0) {
        i++;
    }
    if (i == s->files->len) {
        g_array_set_size(s->files, i + 1);
        g_array_index(s->files, FwFile, i).name = g_strdup(name);
    }
    return i;
}

bool fw_cfg_add_file(Device *dev, const char *name, const void *data,
                     size_t len, GError **errp)
{
    FwCfg *s = container_of(dev, FwCfg, dev);
    unsigned i;

    trace(fw_cfg_add_file, (void *)s, name, len);
    if (strlen(name) >= NAME_SIZE) {
        error_setg(errp, "fw_cfg name '%s' is too long (max. %d char)", name,
                   NAME_SIZE - 1);
        return false;
    }
    if (len > UINT32_MAX || s->files->len >= FILES_MAX) {
        error_setg(errp, "fw_cfg item '%s': %s", name,
                   len > UINT32_MAX ? "4 GiB or more cannot be read"
                                    : "the directory is full");
        return false;
    }
    i = fw_cfg_file_place(s, name);
    g_array_index(s->files, FwFile, i).size = len;
    fw_cfg_add_bytes(dev, FW_CFG_FILE_FIRST + i, data, len);
    fw_cfg_make_directory(s);
    return true;
}

/* "-fw_cfg name=opt/x,string=text" or "...,file=path". */
static bool fw_cfg_add_option(FwCfg *s, const char *text, GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_parse(text, "name", errp);
    g_autofree char *content = NULL;
    const char *name, *file, *string, *unused;
    gsize len;

    if (!kv) {
        return false;
    }
    name = keyval_get(kv, "name");
    file = keyval_get(kv, "file");
    string = keyval_get(kv, "string");
    unused = keyval_unused(kv);
    if (unused) {
        error_setg(errp,
                   "-fw_cfg: unknown option '%s'; there are name, file, "
                   "string",
                   unused);
        return false;
    }
    if (!name || !*name || !file == !string) {
        error_setg(errp, "-fw_cfg: invalid argument(s): want name=N and one of "
                         "file=F and string=S");
        return false;
    }
    if (strncmp(name, "opt/", 4) != 0) {
        warn_report("externally provided fw_cfg item names should be prefixed "
                    "with \"opt/\"");
    }
    if (string) {
        return fw_cfg_add_file(&s->dev, name, string, strlen(string), errp);
    }
    if (!file_get_contents(file, &content, &len, NULL)) {
        error_setg(errp, "-fw_cfg: can't load %s", file);
        return false;
    }
    return fw_cfg_add_file(&s->dev, name, content, len, errp);
}

/* ---- device -------------------------------------------------------------- */

static void fw_file_clear(void *file)
{
    g_free(((FwFile *)file)->name);
}

static void fw_item_free(void *item)
{
    g_bytes_unref(item);
}

static bool fw_cfg_add_options(FwCfg *s, GError **errp)
{
    const GPtrArray *options = s->dev.machine->cfg.fw_cfg;

    for (unsigned i = 0; options && i < options->len; i++) {
        if (!fw_cfg_add_option(s, options->pdata[i], errp)) {
            return false;
        }
    }
    return true;
}

static void fw_cfg_reset(Device *dev)
{
    FwCfg *s = container_of(dev, FwCfg, dev);

    fw_cfg_select(s, FW_CFG_SIGNATURE);
    s->dma_high = 0;
}

static bool fw_cfg_realize(Device *dev, GError **errp)
{
    FwCfg *s = container_of(dev, FwCfg, dev);

    s->items = g_hash_table_new_full(NULL, NULL, NULL, fw_item_free);
    s->files = g_array_new(false, true, sizeof(FwFile));
    g_array_set_clear_func(s->files, fw_file_clear);
    fw_cfg_add_bytes(dev, FW_CFG_SIGNATURE, "QEMU", 4);
    fw_cfg_add_u32(dev, FW_CFG_ID, ID_TRADITIONAL | ID_DMA);
    fw_cfg_make_directory(s);
    if (!fw_cfg_add_options(s, errp)) {
        g_hash_table_unref(s->items);
        g_array_unref(s->files);
        return false;
    }
    region_init_io(&s->ports, "fwcfg", 2, &fw_cfg_ops, s);
    region_init_io(&s->dma, "fwcfg.dma", 8, &fw_cfg_dma_ops, s);
    as_map(dev->machine->io, PORT_BASE, &s->ports, 0);
    as_map(dev->machine->io, PORT_DMA, &s->dma, 0);
    return true;
}

static void fw_cfg_unrealize(Device *dev)
{
    FwCfg *s = container_of(dev, FwCfg, dev);

    as_unmap(&s->ports);
    as_unmap(&s->dma);
    g_hash_table_unref(s->items);
    g_array_unref(s->files);
}

static const VMField fw_cfg_fields[] = {
    VM_U16(FwCfg, key),
    VM_U32(FwCfg, offset),
    VM_U32(FwCfg, dma_high),
    VM_FIELDS_END,
};

static const VMState vmstate_fw_cfg = {
    .name = "fw_cfg",
    .version = 1,
    .min_version = 1,
    .fields = fw_cfg_fields,
};

const DeviceClass fw_cfg_class = {
    .name = "fw_cfg_io",
    .desc = "Firmware configuration",
    .size = sizeof(FwCfg),
    .vmstate = &vmstate_fw_cfg,
    .internal = true,
    .realize = fw_cfg_realize,
    .reset = fw_cfg_reset,
    .unrealize = fw_cfg_unrealize,
};
