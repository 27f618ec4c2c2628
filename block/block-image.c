/* Whole images: create, resize, check, and what they tell of themselves. */
#include "util/osdep.h"
#include "block/block.h"

#include "util/error.h"
#include "util/nearest.h"

/* ---- create ------------------------------------------------------------------------ */

/* The size that the new image gets when none is given: the backing file's. */
static bool size_from_backing(const char *filename, KeyVal *opts,
                              unsigned flags, GError **errp)
{
    const char *name = keyval_get(opts, "backing_file");
    const char *fmt = keyval_get(opts, "backing_fmt");
    g_autofree char *path = NULL, *size = NULL;
    GError *err = NULL;
    BlockNode *bn;

    if (!name || !name[0] || (flags & BLOCK_NO_BACKING)) {
        return true;
    }
    if (fmt && !block_find_driver(fmt)) {
        error_setg(errp, "Unknown backing file format '%s'", fmt);
        return false;
    }
    path = block_combine_path(filename, name);
    if (strcmp(path, filename) == 0) {
        error_setg(errp, "Error: Trying to create an image with the same "
                         "filename as the backing file");
        return false;
    }
    if (!fmt) {
        g_autoptr(GError) probe_err = NULL;

        bn = block_open(path, NULL, NULL, BLOCK_NO_IO, &probe_err);
        error_setg(errp,
                   "Backing file specified without backing format\n"
                   "Detected format of %s.",
                   bn ? bn->drv->name : "unknown");
        block_close(bn, NULL);
        return false;
    }
    bn = block_open(path, fmt, NULL, BLOCK_NO_IO, &err);
    if (!bn) {
        error_setg(errp, "%s\nCould not open backing image.", err->message);
        g_error_free(err);
        return false;
    }
    if (!keyval_get(opts, "size")) {
        size = g_strdup_printf("%" PRIu64, bn->size);
        keyval_set(opts, "size", size);
    }
    block_close(bn, NULL);
    return true;
}

static bool options_known(const BlockDriver *drv, KeyVal *opts, GError **errp)
{
    const char *key = keyval_unused(opts);
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *hint = NULL;

    if (!key) {
        return true;
    }
    for (const CreateOpt *o = drv->create_opts; o->kind != OPT_END; o++) {
        g_ptr_array_add(names, (char *)o->name);
    }
    hint = did_you_mean(key, names_end(names), " (");
    error_setg(errp, "Invalid parameter '%s'%s", key, hint);
    return false;
}

/* Marks as used what the driver lists: its create() runs only if nothing else
 * was given, so that a mistake leaves the old file alone. */
static bool check_names(const BlockDriver *drv, KeyVal *opts, GError **errp)
{
    for (const CreateOpt *o = drv->create_opts; o->kind != OPT_END; o++) {
        const char *v = keyval_get(opts, o->name);
        uint64_t size;
        bool b;

        if (!v) {
            continue;
        }
        if (o->kind == OPT_SIZE && !parse_size(v, 1, &size, NULL)) {
            error_setg(errp,
                       "Parameter '%s' expects a non-negative number "
                       "below 2^64\nOptional suffix k, M, G, T, P or E "
                       "means kilo-, mega-, giga-, tera-, peta-\n"
                       "and exabytes, respectively.",
                       o->name);
            return false;
        }
        if (o->kind == OPT_BOOL && !parse_bool(v, &b, NULL)) {
            error_setg(errp, "Parameter '%s' expects 'on' or 'off'", o->name);
            return false;
        }
        if (o->kind == OPT_NUM && !parse_u64(v, &size, NULL)) {
            error_setg(errp, "Parameter '%s' expects a number", o->name);
            return false;
        }
    }
    return options_known(drv, opts, errp);
}

bool block_create(const char *filename, const char *fmt, KeyVal *opts,
                  unsigned flags, GError **errp)
{
    const BlockDriver *drv = block_find_driver(fmt);
    uint64_t size;

    if (!drv) {
        error_setg(errp, "Unknown file format '%s'", fmt);
        return false;
    }
    if (!drv->create || !drv->create_opts) {
        error_setg(errp, "Format driver '%s' does not support image creation",
                   fmt);
        return false;
    }
    if (!check_names(drv, opts, errp) ||
        !size_from_backing(filename, opts, flags, errp)) {
        return false;
    }
    if (!keyval_get(opts, "size")) {
        error_setg(errp, "Image creation needs a size parameter");
        return false;
    }
    if (!keyval_size(opts, "size", 1, 0, &size, errp)) {
        return false;
    }
    if (size > INT64_MAX) {
        error_setg(errp, "Image size must be less than 8 EiB!");
        return false;
    }
    return drv->create(filename, opts, errp);
}

/* A device or a server's disk is there already: it must be large enough, and
 * what began in its first sector must not be taken for an image. */
static bool reuse(BlockNode *f, uint64_t size, GError **errp)
{
    uint64_t n = MIN(f->size, 512);
    int ret;

    if (size > f->size) {
        error_setg(errp,
                   "'%s' has %" PRIu64 " bytes, %" PRIu64 " are needed, and "
                   "it cannot be made larger",
                   f->filename, f->size, size);
        return false;
    }
    ret = block_zero(f, 0, n, 0);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Failed to clear '%s's first sector",
                         f->filename);
    }
    return ret == 0;
}

BlockNode *block_create_file(const char *filename, uint64_t size, KeyVal *opts,
                             GError **errp)
{
    const BlockDriver *proto = block_find_protocol(filename, errp);
    g_autoptr(KeyVal) kv = keyval_new();
    g_autofree char *text = g_strdup_printf("%" PRIu64, size);
    BlockNode *f;

    if (!proto) {
        return NULL;
    }
    keyval_set(kv, "size", text);
    if (opts && keyval_get(opts, "nocow")) {
        keyval_set(kv, "nocow", keyval_get(opts, "nocow"));
    }
    if (proto->create && !proto->create(filename, kv, errp)) {
        return NULL;
    }
    f = block_open(filename, proto->name, NULL,
                   BLOCK_RDWR | BLOCK_RESIZE | BLOCK_NO_SHARE | BLOCK_UNMAP,
                   errp);
    if (f && !proto->create && !reuse(f, size, errp)) {
        block_close(f, NULL);
        return NULL;
    }
    return f;
}

/* ---- the rest ------------------------------------------------------------------------ */

bool block_resize(BlockNode *bn, uint64_t size, const char *prealloc,
                  bool shrink, GError **errp)
{
    if (bn->read_only) {
        error_setg(errp, "Image is read-only");
        return false;
    }
    if (!bn->drv->resize) {
        error_setg(errp, "Image format driver does not support resize");
        return false;
    }
    if (size > INT64_MAX) {
        error_setg(errp, "Image size must be less than 8 EiB!");
        return false;
    }
    return bn->drv->resize(bn, size, prealloc ? prealloc : "off", shrink, errp);
}

bool block_check(BlockNode *bn, CheckResult *res, unsigned fix, GError **errp)
{
    if (!bn->drv->check) {
        error_setg(errp, "This image format does not support checks");
        return false;
    }
    if (fix && bn->read_only) {
        error_setg(errp, "the image must be open for writing to be repaired");
        return false;
    }
    return bn->drv->check(bn, res, fix, errp);
}

uint64_t block_allocated(BlockNode *bn)
{
    if (bn->drv->allocated) {
        return bn->drv->allocated(bn);
    }
    return bn->file ? block_allocated(bn->file) : UINT64_MAX;
}

void block_get_info(BlockNode *bn, BlockInfo *out)
{
    memset(out, 0, sizeof(*out));
    if (bn->drv->get_info) {
        out->valid = true;
        bn->drv->get_info(bn, out);
    }
}

InfoItem *block_specific(BlockNode *bn)
{
    return bn->drv->specific ? bn->drv->specific(bn) : NULL;
}

bool block_change_backing(BlockNode *bn, const char *name, const char *fmt,
                          GError **errp)
{
    if (!bn->drv->change_backing) {
        error_setg(errp,
                   "Image format driver '%s' does not support backing "
                   "files",
                   bn->drv->name);
        return false;
    }
    return bn->drv->change_backing(bn, name, fmt, errp);
}

bool block_make_empty(BlockNode *bn, GError **errp)
{
    if (!bn->drv->make_empty) {
        error_setg(errp,
                   "Image format driver '%s' does not support emptying "
                   "an image",
                   bn->drv->name);
        return false;
    }
    return bn->drv->make_empty(bn, errp);
}

bool block_amend(BlockNode *bn, KeyVal *opts, bool force, const BlockJob *job,
                 GError **errp)
{
    if (!bn->drv->amend) {
        error_setg(errp, "Format driver '%s' does not support option amendment",
                   bn->drv->name);
        return false;
    }
    return bn->drv->amend(bn, opts, force, job, errp);
}

bool block_measure(const char *fmt, KeyVal *opts, BlockNode *in,
                   MeasureInfo *out, GError **errp)
{
    const BlockDriver *drv = block_find_driver(fmt);

    memset(out, 0, sizeof(*out));
    if (!drv) {
        error_setg(errp, "Unknown file format '%s'", fmt);
        return false;
    }
    if (!drv->measure) {
        error_setg(errp, "Block driver '%s' does not support size measurement",
                   fmt);
        return false;
    }
    return drv->measure(opts, in, out, errp);
}

bool block_snapshot_find(BlockNode *bn, const char *id_or_name,
                         SnapshotInfo *out, GError **errp)
{
    g_autoptr(GArray) list = NULL;

    if (!bn->drv->snapshots) {
        error_setg(errp, "format '%s' does not support internal snapshots",
                   bn->drv->name);
        return false;
    }
    list = bn->drv->snapshots->list(bn, errp);
    if (!list) {
        return false;
    }
    for (int by_name = 0; by_name < 2; by_name++) {
        for (guint i = 0; i < list->len; i++) {
            SnapshotInfo *sn = &g_array_index(list, SnapshotInfo, i);

            if (strcmp(by_name ? sn->name : sn->id, id_or_name) == 0) {
                *out = *sn;
                return true;
            }
        }
    }
    error_setg(errp, "snapshot not found");
    return false;
}
