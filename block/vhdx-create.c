/*
 * vhdx: new images. In the file: its identifier, two headers, two tables of
 * regions, then at 1 MiB the log (empty), the block allocation table, the
 * metadata, and the blocks.
 */
#include "util/osdep.h"
#include "block/format.h"
#include "block/vhdx.h"

#include "util/bits.h"
#include "util/error.h"

#define LOG_AT VHDX_BLOCK_MIN

enum {
    SECTOR = 512,
    META_ITEMS = 64 << 10, /* where the items begin, in the region */
    META_REGION = 1 << 20,
};

typedef struct NewVhdx {
    uint64_t size, block, log, blocks, chunk_ratio;
    uint64_t bat_off, bat_len, meta_off, data_off;
    bool fixed, zero_state;
} NewVhdx;

static uint64_t round_up(uint64_t v, uint64_t unit)
{
    return (v + unit - 1) / unit * unit;
}

/* ---- options ----------------------------------------------------------------------- */

static uint64_t auto_block(uint64_t size)
{
    return size > 32 * 1024 * GIB ? 64 * MIB
           : size > 100 * GIB     ? 32 * MIB
           : size > GIB           ? 16 * MIB
                                  : 8 * MIB;
}

static bool parse_opts(NewVhdx *v, KeyVal *opts, GError **errp)
{
    const char *sub = keyval_get(opts, "subformat");

    if (!keyval_size(opts, "size", 1, 0, &v->size, errp) ||
        !keyval_size(opts, "block_size", 1, 0, &v->block, errp) ||
        !keyval_size(opts, "log_size", 1, MIB, &v->log, errp) ||
        !keyval_bool(opts, "block_state_zero", true, &v->zero_state, errp)) {
        return false;
    }
    v->fixed = sub && strcmp(sub, "fixed") == 0;
    if (sub && !v->fixed && strcmp(sub, "dynamic") != 0) {
        error_setg(errp, "Parameter 'subformat' does not accept value '%s'",
                   sub);
    } else if (v->size > VHDX_MAX_SIZE) {
        error_setg(errp, "Image size too large; max of 64TB");
    } else if (v->log > UINT32_MAX - MIB) {
        error_setg(errp, "Log size must be smaller than 4 GB");
    } else {
        v->size = round_up(v->size, SECTOR);
        v->log = round_up(MAX(v->log, 1), MIB);
        v->block =
            v->block ? MIN(v->block, VHDX_BLOCK_MAX) : auto_block(v->size);
        v->block = round_up(v->block, MIB);
        if (is_pow2(v->block)) {
            return true;
        }
        error_setg(errp, "Block size must be a power of two");
    }
    return false;
}

static void lay_out(NewVhdx *v)
{
    uint64_t n;

    v->blocks = v->size / v->block + (v->size % v->block != 0);
    v->chunk_ratio = (UINT64_C(1) << 23) * SECTOR / v->block;
    n = v->blocks + v->blocks / v->chunk_ratio;
    v->bat_off = LOG_AT + v->log;
    v->bat_len = MAX(round_up(n * 8, MIB), MIB);
    v->meta_off = v->bat_off + v->bat_len;
    v->data_off = v->meta_off + META_REGION;
}

/* ---- writing ------------------------------------------------------------------------ */

static int write_id(BlockNode *f)
{
    static const char creator[] = "Rhea v" RHEA_VERSION;
    uint8_t id[8 + 512] = "vhdxfile";

    for (unsigned i = 0; creator[i]; i++) {
        id[8 + 2 * i] = (uint8_t)creator[i]; /* UTF-16 */
    }
    return block_pwrite(f, 0, id, sizeof(id));
}

static int write_headers(BlockNode *f, const NewVhdx *v)
{
    uint8_t h[VHDX_HEADER_LEN] = "head";
    uint32_t sequence = g_random_int() >> 1;
    int ret = 0;

    format_random_uuid(h + VHDX_H_FILE_GUID);
    format_random_uuid(h + VHDX_H_DATA_GUID);
    st_le16(h + VHDX_H_VERSION, 1);
    st_le32(h + VHDX_H_LOG_LEN, (uint32_t)v->log);
    st_le64(h + VHDX_H_LOG_OFF, LOG_AT);
    for (unsigned i = 0; i < 2 && ret == 0; i++) {
        st_le64(h + VHDX_H_SEQUENCE, sequence + i);
        vhdx_set_sum(h, sizeof(h));
        ret = block_pwrite(f, i ? VHDX_HEADER_2 : VHDX_HEADER_1, h, sizeof(h));
    }
    return ret;
}

static void put_region(uint8_t *p, const uint8_t *guid, uint64_t off,
                       uint64_t len)
{
    memcpy(p, guid, 16);
    st_le64(p + 16, off);
    st_le32(p + 24, (uint32_t)len);
    st_le32(p + 28, 1); /* required */
}

static int write_regions(BlockNode *f, const NewVhdx *v)
{
    g_autofree uint8_t *t = g_malloc0(VHDX_REGIONS_LEN);
    int ret;

    memcpy(t, "regi", 4);
    st_le32(t + 8, 2);
    put_region(t + 16, vhdx_guids[GUID_BAT], v->bat_off, v->bat_len);
    put_region(t + 48, vhdx_guids[GUID_META], v->meta_off, META_REGION);
    vhdx_set_sum(t, VHDX_REGIONS_LEN);
    ret = block_pwrite(f, VHDX_REGIONS_1, t, VHDX_REGIONS_LEN);
    return ret < 0 ? ret : block_pwrite(f, VHDX_REGIONS_2, t, VHDX_REGIONS_LEN);
}

static int write_metadata(BlockNode *f, const NewVhdx *v)
{
    /* length and flags (2: of the disk, 4: required) of each item */
    static const struct {
        enum VhdxGuid guid;
        uint32_t len, flags;
    } items[] = { { GUID_PARAMS, 8, 4 },
                  { GUID_SIZE, 8, 6 },
                  { GUID_PAGE83, 16, 6 },
                  { GUID_SECTOR, 4, 6 },
                  { GUID_PHYSICAL, 4, 6 } };
    g_autofree uint8_t *m = g_malloc0(META_ITEMS + SECTOR);
    uint8_t *data = m + META_ITEMS;
    uint32_t off = 0;

    memcpy(m, "metadata", 8);
    st_le16(m + 10, G_N_ELEMENTS(items));
    for (unsigned i = 0; i < G_N_ELEMENTS(items); i++) {
        uint8_t *e = m + 32 + i * 32;

        memcpy(e, vhdx_guids[items[i].guid], 16);
        st_le32(e + 16, META_ITEMS + off);
        st_le32(e + 20, items[i].len);
        st_le32(e + 24, items[i].flags);
        off += items[i].len;
    }
    st_le32(data, (uint32_t)v->block);
    st_le32(data + 4, v->fixed); /* leave blocks allocated */
    st_le64(data + 8, v->size);
    format_random_uuid(data + 16);
    st_le32(data + 32, SECTOR);
    st_le32(data + 36, SECTOR);
    return block_pwrite(f, v->meta_off, m, META_ITEMS + SECTOR);
}

static int write_bat(BlockNode *f, const NewVhdx *v)
{
    g_autofree uint8_t *bat = NULL;
    int ret;

    if (!v->fixed && !v->zero_state) {
        return 0; /* all "not present", which is 0 */
    }
    bat = g_try_malloc0(v->bat_len);
    if (!bat) {
        return -ENOMEM;
    }
    for (uint64_t i = 0; i < v->blocks; i++) {
        uint64_t at = v->data_off + i * v->block;

        st_le64(bat + (i + i / v->chunk_ratio) * 8,
                v->fixed ? at | VHDX_PRESENT : VHDX_ZERO);
    }
    ret = block_pwrite(f, v->bat_off, bat, v->bat_len);
    return ret;
}

static bool write_image(BlockNode *f, const NewVhdx *v, GError **errp)
{
    uint64_t len = v->data_off + (v->fixed ? v->blocks * v->block : 0);
    int ret;

    if (!block_resize(f, len, "off", false, errp)) {
        return false;
    }
    ret = write_bat(f, v);
    if (ret == 0) {
        ret = write_metadata(f, v);
    }
    if (ret == 0) {
        ret = write_regions(f, v);
    }
    if (ret == 0) {
        ret = write_headers(f, v);
    }
    if (ret == 0) {
        ret = write_id(f);
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Failed to write '%s'", f->filename);
    }
    return ret == 0;
}

bool vhdx_create(const char *filename, KeyVal *opts, GError **errp)
{
    NewVhdx v = { 0 };
    BlockNode *f;
    bool ok;

    if (!parse_opts(&v, opts, errp)) {
        return false;
    }
    lay_out(&v);
    f = format_create_file(filename, 0, opts, errp);
    if (!f) {
        return false;
    }
    ok = write_image(f, &v, errp);
    return block_close(f, ok ? errp : NULL) && ok;
}

const CreateOpt vhdx_create_opts[] = {
    { "block_size", OPT_SIZE,
      "Block Size; min 1MB, max 256MB. 0 means auto-calculate based on image "
      "size.",
      CREATE_OPT },
    { "block_state_zero", OPT_BOOL,
      "Force use of payload blocks of type 'ZERO'. Non-standard, but default.  "
      "Do not set to 'off' when using 'qemu-img convert' with "
      "subformat=dynamic.",
      CREATE_OPT },
    { "log_size", OPT_SIZE, "Log size; min 1MB.", CREATE_OPT },
    { "size", OPT_SIZE, "Virtual disk size; max of 64TB.", CREATE_OPT },
    { "subformat", OPT_STR,
      "VHDX format type, can be either 'dynamic' or 'fixed'. Default is "
      "'dynamic'.",
      CREATE_OPT },
    { NULL, OPT_END, NULL, CREATE_OPT },
};
