/*
 * vmdk: new images. Tables of sparse extents are laid out in full, twice, in
 * front of the first grain, as VMware and QEMU do.
 */
#include "util/osdep.h"
#include "block/vmdk.h"
#include "block/format.h"

#include "util/bits.h"
#include "util/error.h"

enum {
    GRAIN_SECTORS = 128,
    DESC_AT = 1, /* sectors */
    DESC_SECTORS = 20,
};

#define SPLIT_SIZE (2 * GIB)

typedef struct Subformat {
    const char *name;
    bool flat, split, compressed;
} Subformat;

static const Subformat subformats[] = {
    { "monolithicSparse", false, false, false },
    { "monolithicFlat", true, false, false },
    { "twoGbMaxExtentSparse", false, true, false },
    { "twoGbMaxExtentFlat", true, true, false },
    { "streamOptimized", false, false, true },
};

static const char *const adapters[] = { "ide", "buslogic", "lsilogic",
                                        "legacyESX", NULL };

typedef struct NewVmdk {
    const Subformat *sub;
    uint64_t size;
    bool zeroed_grain;
    const char *adapter, *hwversion, *toolsversion, *backing;
    uint32_t parent_cid;
} NewVmdk;

/* ---- options --------------------------------------------------------------------- */

static const char *opt_or(KeyVal *opts, const char *key, const char *def)
{
    const char *v = keyval_get(opts, key);

    return v ? v : def;
}

static const Subformat *find_subformat(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(subformats); i++) {
        if (strcmp(subformats[i].name, name) == 0) {
            return &subformats[i];
        }
    }
    return NULL;
}

/* Nothing that would break the descriptor's lines. */
static bool quotable(const char *key, const char *text, GError **errp)
{
    for (const char *p = text; *p; p++) {
        if ((unsigned char)*p < ' ' || *p == '"') {
            error_setg(errp, "%s must not contain quotes or control characters",
                       key);
            return false;
        }
    }
    return true;
}

static bool parse_opts(NewVmdk *v, KeyVal *opts, GError **errp)
{
    const char *sub = opt_or(opts, "subformat", "monolithicSparse");
    const char *hw = opt_or(opts, "hwversion", "undefined");
    bool compat6;

    v->adapter = opt_or(opts, "adapter_type", "ide");
    v->toolsversion = opt_or(opts, "toolsversion", "2147483647");
    v->backing = opt_or(opts, "backing_file", NULL);
    v->sub = find_subformat(sub);
    if (!keyval_size(opts, "size", 1, 0, &v->size, errp) ||
        !keyval_bool(opts, "compat6", false, &compat6, errp) ||
        !keyval_bool(opts, "zeroed_grain", false, &v->zeroed_grain, errp) ||
        !quotable("hwversion", hw, errp) ||
        !quotable("toolsversion", v->toolsversion, errp)) {
        return false;
    }
    if (v->backing && !v->backing[0]) {
        v->backing = NULL;
    }
    v->hwversion = compat6 ? "6" : strcmp(hw, "undefined") ? hw : "4";
    v->size = (v->size + 511) & ~UINT64_C(511);
    if (!v->sub) {
        error_setg(errp, "invalid parameter value: %s", sub);
    } else if (!g_strv_contains(adapters, v->adapter)) {
        error_setg(errp, "invalid parameter value: %s", v->adapter);
    } else if (compat6 && strcmp(hw, "undefined") != 0) {
        error_setg(errp, "compat6 cannot be enabled with hwversion set");
    } else if (v->sub->flat && v->backing) {
        error_setg(errp, "Flat image can't have backing file");
    } else if (v->sub->flat && v->zeroed_grain) {
        error_setg(errp, "Flat image can't enable zeroed grain");
    } else if (v->size / (GRAIN_SECTORS * VMDK_SECTOR * VMDK_GTES) >=
               VMDK_MAX_GD) {
        error_setg(errp, "the image size %" PRIu64 " is too large for vmdk",
                   v->size);
    } else {
        return true;
    }
    return false;
}

/* The CID that the child has to remember. */
static bool look_at_parent(NewVmdk *v, const char *filename, GError **errp)
{
    g_autofree char *path = NULL;
    BlockNode *bn;
    bool is_vmdk;

    v->parent_cid = VMDK_NO_CID;
    if (!v->backing) {
        return true;
    }
    if (!quotable("the name of the backing file", v->backing, errp)) {
        return false;
    }
    path = block_combine_path(filename, v->backing);
    bn = block_open(path, NULL, NULL, BLOCK_NO_BACKING | BLOCK_NO_IO, errp);
    if (!bn) {
        return false;
    }
    is_vmdk = strcmp(bn->drv->name, "vmdk") == 0;
    if (is_vmdk) {
        v->parent_cid = ((VmdkState *)bn->s)->cid;
    } else {
        error_setg(errp, "backing_file must be a vmdk image");
    }
    block_close(bn, NULL);
    return is_vmdk;
}

/* ---- extents ---------------------------------------------------------------------- */

typedef struct Layout {
    uint64_t tables, gt_sectors, gd_sectors;
    uint64_t rgd, gd, first; /* sectors */
} Layout;

static Layout layout(uint64_t size)
{
    uint64_t grain = GRAIN_SECTORS * VMDK_SECTOR;
    uint64_t grains = (size + grain - 1) / grain;
    Layout l = { .gt_sectors = VMDK_GTES * 4 / VMDK_SECTOR };

    l.tables = (grains + VMDK_GTES - 1) / VMDK_GTES;
    l.gd_sectors = (l.tables * 4 + VMDK_SECTOR - 1) / VMDK_SECTOR;
    l.rgd = DESC_AT + DESC_SECTORS;
    l.gd = l.rgd + l.gd_sectors + l.gt_sectors * l.tables;
    l.first = l.gd + l.gd_sectors + l.gt_sectors * l.tables;
    l.first = (l.first + GRAIN_SECTORS - 1) / GRAIN_SECTORS * GRAIN_SECTORS;
    return l;
}

static void fill_header(uint8_t *h, const NewVmdk *v, uint64_t size,
                        const Layout *l)
{
    static const uint8_t check[4] = { '\n', ' ', '\r', '\n' };
    bool packed = v->sub->compressed;

    memcpy(h + K_MAGIC, "KDMV", 4);
    st_le32(h + K_VERSION, packed ? 3 : v->zeroed_grain ? 2 : 1);
    st_le32(h + K_FLAGS,
            (uint32_t)(K_FLAG_NL | K_FLAG_RGD |
                       (packed ? K_FLAG_COMPRESSED | K_FLAG_MARKERS : 0) |
                       (v->zeroed_grain ? K_FLAG_ZERO_GRAIN : 0)));
    st_le64(h + K_CAPACITY, size / VMDK_SECTOR);
    st_le64(h + K_GRAIN, GRAIN_SECTORS);
    st_le64(h + K_DESC, DESC_AT);
    st_le64(h + K_DESC_SIZE, DESC_SECTORS);
    st_le32(h + K_GTES, VMDK_GTES);
    st_le64(h + K_RGD, l->rgd);
    st_le64(h + K_GD, l->gd);
    st_le64(h + K_OVERHEAD, l->first);
    memcpy(h + K_CHECK, check, sizeof(check));
    st_le16(h + K_COMPRESS, packed ? K_DEFLATE : 0);
}

static int write_directory(BlockNode *f, const Layout *l, uint64_t at)
{
    size_t len = l->gd_sectors * VMDK_SECTOR;
    g_autofree uint8_t *gd = g_try_malloc0(MAX(len, 1));

    if (!gd) {
        return -ENOMEM;
    }
    for (uint64_t i = 0; i < l->tables; i++) {
        st_le32(gd + i * 4, (uint32_t)(at + l->gd_sectors + i * l->gt_sectors));
    }
    return block_pwrite(f, at * VMDK_SECTOR, gd, len);
}

static bool write_sparse(BlockNode *f, const NewVmdk *v, uint64_t size,
                         GError **errp)
{
    Layout l = layout(size);
    uint8_t h[VMDK_HEADER] = { 0 };
    int ret;

    fill_header(h, v, size, &l);
    if (!block_resize(f, l.first * VMDK_SECTOR, "off", false, errp)) {
        return false;
    }
    ret = block_pwrite(f, 0, h, sizeof(h));
    if (ret == 0) {
        ret = write_directory(f, &l, l.rgd);
    }
    if (ret == 0) {
        ret = write_directory(f, &l, l.gd);
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not write '%s'", f->filename);
    }
    return ret == 0;
}

static bool new_extent(const char *name, const NewVmdk *v, uint64_t size,
                       const char *desc, KeyVal *opts, GError **errp)
{
    BlockNode *f =
        format_create_file(name, v->sub->flat ? size : 0, opts, errp);
    bool ok;
    int ret;

    if (!f) {
        return false;
    }
    ok = v->sub->flat || write_sparse(f, v, size, errp);
    if (ok && desc) {
        ret = block_pwrite(f, DESC_AT * VMDK_SECTOR, desc, strlen(desc));
        if (ret < 0) {
            error_setg_errno(errp, -ret, "Could not write description");
            ok = false;
        }
    }
    return block_close(f, ok ? errp : NULL) && ok;
}

/* "dir/disk" and ".vmdk" of "dir/disk.vmdk": where numbers go in between. */
static void split_name(const char *filename, char **prefix, char **postfix)
{
    const char *base = strrchr(filename, '/');
    const char *dot;

    base = base ? base + 1 : filename;
    dot = strrchr(base, '.');
    dot = dot ? dot : base + strlen(base);
    *prefix = g_strndup(filename, (gsize)(dot - filename));
    *postfix = g_strdup(dot);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;

    return g_str_has_prefix(base, "file:") ? base + 5 : base;
}

/* The extents that are files of their own; their lines go to @lines. */
static bool new_extents(const char *filename, const NewVmdk *v, GString *lines,
                        KeyVal *opts, GError **errp)
{
    g_autofree char *prefix = NULL, *postfix = NULL;
    uint64_t left = v->size, size;
    unsigned i = 1;

    split_name(filename, &prefix, &postfix);
    do {
        g_autofree char *name = NULL;

        size = v->sub->split ? MIN(left, SPLIT_SIZE) : left;
        name = v->sub->split
                   ? g_strdup_printf("%s-%c%03u%s", prefix,
                                     v->sub->flat ? 'f' : 's', i, postfix)
                   : g_strdup_printf("%s-flat%s", prefix, postfix);
        if (!quotable("the file name", name, errp) ||
            !new_extent(name, v, size, NULL, opts, errp)) {
            return false;
        }
        g_string_append_printf(lines, "RW %" PRIu64 " %s \"%s\"%s\n",
                               size / VMDK_SECTOR,
                               v->sub->flat ? "FLAT" : "SPARSE",
                               base_name(name), v->sub->flat ? " 0" : "");
        left -= size;
        i++;
    } while (left);
    return true;
}

/* ---- the descriptor ------------------------------------------------------------------ */

static char *descriptor(const NewVmdk *v, const char *lines)
{
    unsigned heads = strcmp(v->adapter, "ide") == 0 ? 16 : 255;
    g_autofree char *parent =
        v->backing ? g_strdup_printf("parentFileNameHint=\"%s\"\n", v->backing)
                   : g_strdup("");

    return g_strdup_printf("# Disk DescriptorFile\n"
                           "version=1\n"
                           "CID=%08x\n"
                           "parentCID=%08x\n"
                           "createType=\"%s\"\n"
                           "%s\n"
                           "# Extent description\n"
                           "%s\n"
                           "# The Disk Data Base\n"
                           "#DDB\n\n"
                           "ddb.virtualHWVersion = \"%s\"\n"
                           "ddb.geometry.cylinders = \"%" PRIu64 "\"\n"
                           "ddb.geometry.heads = \"%u\"\n"
                           "ddb.geometry.sectors = \"63\"\n"
                           "ddb.adapterType = \"%s\"\n"
                           "ddb.toolsVersion = \"%s\"\n",
                           (uint32_t)g_random_int_range(0, G_MAXINT32) + 1,
                           v->parent_cid, v->sub->name, parent, lines,
                           v->hwversion,
                           v->size / (UINT64_C(63) * heads * VMDK_SECTOR),
                           heads, v->adapter, v->toolsversion);
}

static bool write_desc_file(const char *filename, const char *desc,
                            KeyVal *opts, GError **errp)
{
    BlockNode *f = format_create_file(filename, 0, opts, errp);
    int ret;

    if (!f) {
        return false;
    }
    ret = block_pwrite(f, 0, desc, strlen(desc));
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not write description");
    }
    return block_close(f, ret == 0 ? errp : NULL) && ret == 0;
}

bool vmdk_create(const char *filename, KeyVal *opts, GError **errp)
{
    g_autoptr(GString) lines = g_string_new(NULL);
    g_autofree char *desc = NULL;
    NewVmdk v = { 0 };

    if (!parse_opts(&v, opts, errp) || !look_at_parent(&v, filename, errp)) {
        return false;
    }
    if (v.sub->flat || v.sub->split) {
        if (!new_extents(filename, &v, lines, opts, errp)) {
            return false;
        }
        desc = descriptor(&v, lines->str);
        return write_desc_file(filename, desc, opts, errp);
    }
    if (!quotable("the file name", base_name(filename), errp)) {
        return false;
    }
    g_string_append_printf(lines, "RW %" PRIu64 " SPARSE \"%s\"\n",
                           v.size / VMDK_SECTOR, base_name(filename));
    desc = descriptor(&v, lines->str);
    if (strlen(desc) > DESC_SECTORS * VMDK_SECTOR) {
        error_setg(errp, "the descriptor would take more than %d bytes",
                   DESC_SECTORS * VMDK_SECTOR);
        return false;
    }
    return new_extent(filename, &v, v.size, desc, opts, errp);
}

const CreateOpt vmdk_create_opts[] = {
    { "adapter_type", OPT_STR,
      "Virtual adapter type, can be one of ide (default), lsilogic, buslogic "
      "or legacyESX",
      CREATE_OPT },
    { "backing_file", OPT_STR, "File name of a base image", CREATE_OPT },
    { "backing_fmt", OPT_STR, "Must be 'vmdk' if present", CREATE_OPT },
    { "compat6", OPT_BOOL, "VMDK version 6 image", CREATE_OPT },
    { "hwversion", OPT_STR, "VMDK hardware version", CREATE_OPT },
    { "size", OPT_SIZE, "Virtual disk size", CREATE_OPT },
    { "subformat", OPT_STR,
      "VMDK flat extent format, can be one of {monolithicSparse (default) | "
      "monolithicFlat | twoGbMaxExtentSparse | twoGbMaxExtentFlat | "
      "streamOptimized} ",
      CREATE_OPT },
    { "toolsversion", OPT_STR, "VMware guest tools version", CREATE_OPT },
    { "zeroed_grain", OPT_BOOL,
      "Enable efficient zero writes using the zeroed-grain GTE feature",
      CREATE_OPT },
    { NULL, OPT_END, NULL, CREATE_OPT },
};
