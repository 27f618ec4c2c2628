/* create: a new image. */
#include "util/osdep.h"
#include "tools/img/img.h"

#include "util/log.h"

static const char *const invalid_size = "image size";

/* The words of qemu-img; values that could be misread stand in quotes. */
static void print_value(const char *v)
{
    if (!strpbrk(v, ", ")) {
        printf("%s", v);
        return;
    }
    for (; *v; v++) {
        printf(*v == ',' ? ",," : "%c", *v);
    }
}

/* What the line tells, in its order, with what holds when nothing was given. */
static const struct {
    const char *fmt, *name, *def;
} announced[] = {
    { "qcow2", "encryption", NULL },
    { "qcow2", "encrypt.format", NULL },
    { "qcow2", "encrypt.key-secret", NULL },
    { "qcow2", "encrypt.cipher-alg", NULL },
    { "qcow2", "encrypt.cipher-mode", NULL },
    { "qcow2", "encrypt.ivgen-alg", NULL },
    { "qcow2", "encrypt.ivgen-hash-alg", NULL },
    { "qcow2", "encrypt.hash-alg", NULL },
    { "qcow2", "encrypt.iter-time", NULL },
    { "qcow2", "cluster_size", "65536" },
    { "qcow2", "extended_l2", "off" },
    { "qcow2", "preallocation", NULL },
    { "qcow2", "compression_type", "zlib" },
    { "qcow2", "size", NULL },
    { "qcow2", "compat", NULL },
    { "qcow2", "backing_file", NULL },
    { "qcow2", "backing_fmt", NULL },
    { "qcow2", "data_file", NULL },
    { "qcow2", "data_file_raw", NULL },
    { "qcow2", "lazy_refcounts", "off" },
    { "qcow2", "refcount_bits", "16" },
    { "vmdk", "size", NULL },
    { "vmdk", "adapter_type", NULL },
    { "vmdk", "backing_file", NULL },
    { "vmdk", "backing_fmt", NULL },
    { "vmdk", "compat6", "off" },
    { "vmdk", "hwversion", "undefined" },
    { "vmdk", "toolsversion", NULL },
    { "vmdk", "subformat", NULL },
    { "vmdk", "zeroed_grain", NULL },
    { "vpc", "size", NULL },
    { "vpc", "subformat", NULL },
    { "vpc", "force_size", NULL },
    { "vhdx", "size", NULL },
    { "vhdx", "log_size", "1048576" },
    { "vhdx", "block_size", "0" },
    { "vhdx", "subformat", NULL },
    { "vhdx", "block_state_zero", NULL },
    { "parallels", "size", NULL },
    { "parallels", "cluster_size", "1048576" },
    { "vdi", "size", NULL },
    { "vdi", "static", "off" },
    { NULL, "size", NULL },
    { NULL, "preallocation", NULL },
    { NULL, "nocow", NULL },
    { NULL, "extent_size_hint", NULL },
};

static void print_opts(const char *fmt, KeyVal *opts)
{
    bool has_size = false;

    for (unsigned i = 0; i < G_N_ELEMENTS(announced); i++) {
        const char *name = announced[i].name, *v;
        uint64_t size;
        bool on;

        if (announced[i].fmt
                ? strcmp(fmt, announced[i].fmt) != 0
                : (has_size && strcmp(name, "size") == 0) ||
                      (has_size && strcmp(name, "preallocation") == 0)) {
            continue;
        }
        has_size |= announced[i].fmt && strcmp(name, "size") == 0;
        v = keyval_get(opts, name);
        v = v ? v : announced[i].def;
        if (!v) {
            continue;
        }
        printf(" %s=", name);
        if (strstr(name, "size") && parse_size(v, 1, &size, NULL)) {
            printf("%" PRIu64, size);
        } else if (!g_ascii_isdigit(v[0]) && parse_bool(v, &on, NULL)) {
            printf("%s", on ? "on" : "off");
        } else {
            print_value(v);
        }
    }
}

/* Before the work, as qemu-img does it. */
static void announce(const char *filename, const char *fmt, KeyVal *opts)
{
    printf("Formatting '%s', fmt=%s", filename, fmt);
    print_opts(fmt, opts);
    printf("\n");
    fflush(stdout);
}

/* Nothing is wrong that can be seen before the work begins. */
static bool plausible(const BlockDriver *drv, KeyVal *kv)
{
    return !img_unknown_option(drv, kv) && keyval_get(kv, "size");
}

static void copy_used(const char *key, const char *value, void *opaque)
{
    keyval_set(opaque, key, value);
}

/* Options and the backing file's size together; NULL: reported. */
static KeyVal *gather(const ImgArgs *a, const char *fmt, const char *filename)
{
    const char *backing = img_opt(a, 'b'), *backing_fmt = img_opt(a, 'F');
    g_autofree char *joined = NULL;
    GError *err = NULL;
    KeyVal *kv;

    if (!img_join_options(a, &joined)) {
        return NULL;
    }
    if (joined && img_is_help(joined)) {
        img_print_options(fmt, filename);
        exit(0);
    }
    kv = joined ? keyval_parse(joined, NULL, &err) : keyval_new();
    if (!kv) {
        img_error(err, "%s: ", filename);
        return NULL;
    }
    if (backing) {
        keyval_set(kv, "backing_file", backing);
    }
    if (backing_fmt) {
        keyval_set(kv, "backing_fmt", backing_fmt);
    }
    return kv;
}

static bool add_size(const ImgArgs *a, KeyVal *kv)
{
    g_autofree char *text = NULL;
    int64_t size;

    if (a->nfiles < 2) {
        return true;
    }
    if (!img_size(a->files[1], invalid_size, 0, INT64_MAX, &size)) {
        return false;
    }
    if (keyval_get(kv, "size")) {
        error_report("%s: The image size must be specified only once",
                     a->files[0]);
        return false;
    }
    text = g_strdup_printf("%" PRId64, size);
    keyval_set(kv, "size", text);
    return true;
}

/* The size of the backing file, for the line that announces; false: it cannot
 * be opened. */
static bool look_at_backing(const char *filename, KeyVal *kv)
{
    const char *name = keyval_get(kv, "backing_file");
    const char *fmt = keyval_get(kv, "backing_fmt");
    g_autofree char *path = NULL, *text = NULL;
    BlockNode *bn;

    if (!name || !name[0]) {
        return true;
    }
    path = block_combine_path(filename, name);
    bn = fmt ? block_open(path, fmt, NULL, BLOCK_NO_IO, NULL) : NULL;
    if (!bn) {
        return false;
    }
    if (!keyval_get(kv, "size")) {
        text = g_strdup_printf("%" PRIu64, bn->size);
        keyval_set(kv, "size", text);
    }
    block_close(bn, NULL);
    return true;
}

int cmd_create(ImgArgs *a)
{
    const char *fmt = img_opt(a, 'f') ? img_opt(a, 'f') : "raw";
    const char *filename = a->nfiles ? a->files[0] : NULL;
    g_autofree char *joined = NULL;
    g_autoptr(KeyVal) kv = NULL;
    g_autoptr(KeyVal) shown = NULL;
    const BlockDriver *drv = block_find_driver(fmt);
    unsigned flags = img_has(a, 'u') ? BLOCK_NO_BACKING : 0;
    GError *err = NULL;

    if (!filename && img_join_options(a, &joined) && joined &&
        img_is_help(joined)) {
        img_print_options(fmt, NULL);
        return 0;
    }
    if (!filename) {
        img_usage("Expecting image file name");
    }
    kv = gather(a, fmt, filename);
    if (!kv || !add_size(a, kv)) {
        return 1;
    }
    if (a->nfiles > 2) {
        img_usage("Unexpected argument: %s", a->files[2]);
    }
    if (drv && keyval_get(kv, "backing_file") && !drv->has_backing) {
        error_report("%s: Backing file not supported for file format '%s'",
                     filename, fmt);
        return 1;
    }
    if (drv && drv->create && drv->create_opts && !img_has(a, 'q')) {
        shown = keyval_new();
        keyval_foreach(kv, copy_used, shown);
        if ((flags || look_at_backing(filename, shown)) &&
            plausible(drv, shown)) {
            announce(filename, fmt, shown);
        }
    }
    if (!block_create(filename, fmt, kv, flags, &err)) {
        img_error(err, "%s: ", filename);
        return 1;
    }
    return 0;
}
