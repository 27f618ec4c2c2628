/* convert: copies one or more images into another, of any format. */
#include "util/osdep.h"
#include "tools/img/img.h"

#include "block/jobs.h"
#include "util/log.h"

enum { MAX_SPARSE = 16 << 20, MAX_WORKERS = 16 };

typedef struct Convert {
    const ImgArgs *a;
    const char *fmt, *dst_name, *backing;
    unsigned src_flags, dst_flags;
    int64_t sparse, workers, rate;
    BlockNode **src;
    unsigned nsrc;
    BlockNode *dst;
    uint64_t total;
    KeyVal *opts;
} Convert;

/* ---- options ------------------------------------------------------------------------ */

static bool parse_sparse(Convert *c)
{
    const char *t = img_opt(c->a, 'S');

    c->sparse = 4096;
    if (!t) {
        return true;
    }
    if (!img_size(t, "buffer size for sparse output", 0, INT64_MAX,
                  &c->sparse)) {
        return false;
    }
    if (c->sparse % 512 || c->sparse > MAX_SPARSE) {
        error_report("Invalid buffer size for sparse output specified. Valid "
                     "sizes are multiples of 512 up to %d. Select 0 to "
                     "disable sparse detection (fully allocates output).",
                     MAX_SPARSE);
        return false;
    }
    return true;
}

static bool parse_workers(Convert *c)
{
    const char *t = img_opt(c->a, 'm');
    uint64_t v = 8;

    if (t && (!parse_u64(t, &v, NULL) || v < 1 || v > MAX_WORKERS)) {
        error_report("Invalid number of coroutines. Allowed number of "
                     "coroutines is between 1 and %d",
                     MAX_WORKERS);
        return false;
    }
    c->workers = (int64_t)v;
    return true;
}

static bool parse_caches(Convert *c)
{
    const char *t = img_opt(c->a, 't'), *src = img_opt(c->a, 'T');

    c->dst_flags = BLOCK_RDWR | BLOCK_UNMAP | BLOCK_NO_FLUSH;
    if (t && !block_cache_mode(t, &c->dst_flags)) {
        error_report("Invalid cache option: %s", t);
        return false;
    }
    c->src_flags = img_has(c->a, 'U') ? BLOCK_FORCE_SHARE : 0;
    if (src && !block_cache_mode(src, &c->src_flags)) {
        error_report("Invalid source cache option: %s", src);
        return false;
    }
    return true;
}

/* What does not go together, in qemu-img's words; NULL: all is well. */
static const char *conflict(const ImgArgs *a)
{
    bool skip_create = img_has(a, 'n');

    if (img_has(a, IMG_TARGET_IMAGE_OPTS) && !skip_create) {
        return "--target-image-opts requires use of -n flag";
    }
    if (img_has(a, IMG_SKIP_BROKEN) && !img_has(a, IMG_BITMAPS)) {
        return "Use of --skip-broken-bitmaps requires --bitmaps";
    }
    if (img_has(a, 'O') && img_has(a, IMG_TARGET_IMAGE_OPTS)) {
        return "-O cannot be used with --target-image-opts";
    }
    if (img_has(a, 'C') && img_has(a, 'S')) {
        return "Cannot enable copy offloading when -S is used";
    }
    if (img_has(a, 'C') && img_has(a, IMG_SALVAGE)) {
        return "Cannot use copy offloading in salvaging mode";
    }
    if (img_has(a, IMG_TARGET_IS_ZERO) && !skip_create) {
        return "--target-is-zero requires use of -n flag";
    }
    if (img_has(a, 'o') && skip_create) {
        return "-o has no effect when skipping image creation";
    }
    return a->nfiles < 2 ? "Must specify image file name" : NULL;
}

static bool parse_target_options(Convert *c)
{
    const ImgArgs *a = c->a;
    g_autofree char *joined = NULL;
    GError *err = NULL;

    if (!img_join_options(a, &joined)) {
        return false;
    }
    if (joined && img_is_help(joined)) {
        img_print_options(c->fmt, a->nfiles ? a->files[a->nfiles - 1] : NULL);
        exit(0);
    }
    c->opts = joined ? keyval_parse(joined, NULL, &err) : keyval_new();
    if (!c->opts) {
        img_error(err, "%s", "");
        return false;
    }
    if (img_has(a, 'B')) {
        keyval_set(c->opts, "backing_file", img_opt(a, 'B'));
    }
    if (img_has(a, 'F')) {
        keyval_set(c->opts, "backing_fmt", img_opt(a, 'F'));
    }
    c->backing = keyval_get(c->opts, "backing_file");
    return true;
}

static bool parse_all(Convert *c)
{
    const ImgArgs *a = c->a;
    const char *rate = img_opt(a, 'r'), *what;

    c->fmt = img_opt(a, 'O') ? img_opt(a, 'O') : "raw";
    if (!parse_sparse(c) || !parse_workers(c) ||
        (rate && !img_size(rate, "rate limit", 0, INT64_MAX, &c->rate)) ||
        !parse_target_options(c)) {
        return false;
    }
    what = conflict(a);
    if (what) {
        error_report("%s", what);
        return false;
    }
    c->dst_name = a->files[a->nfiles - 1];
    return parse_caches(c);
}

/* ---- images ------------------------------------------------------------------------- */

/* "snapshot.id=,snapshot.name=" or one of both alone. */
static bool load_snapshot(Convert *c)
{
    const char *text = img_opt(c->a, 'l'), *name = text;
    BlockNode *bn = c->src[0];
    g_autoptr(KeyVal) kv = NULL;
    GError *err = NULL;

    if (!text) {
        return true;
    }
    if (c->nsrc > 1) {
        error_report("No support for concatenating multiple snapshot");
        return false;
    }
    if (g_str_has_prefix(text, "snapshot.")) {
        kv = keyval_parse(text, NULL, &err);
        if (!kv) {
            img_error(err, "Failed in parsing snapshot param '%s': ", text);
            return false;
        }
        name = keyval_get(kv, "snapshot.id");
        name = name ? name : keyval_get(kv, "snapshot.name");
        name = name ? name : "";
    }
    if (!bn->drv->snapshots) {
        error_report("Failed to load snapshot: Block format '%s' used by "
                     "device '' does not support temporarily loading internal "
                     "snapshots",
                     bn->drv->name);
        return false;
    }
    if (!bn->drv->snapshots->load(bn, name, &err)) {
        img_error(err, "Failed to load snapshot: ");
        return false;
    }
    return true;
}

static bool open_sources(Convert *c)
{
    const ImgArgs *a = c->a;
    int i = 0;

    c->src = g_new0(BlockNode *, (gsize)a->nfiles);
    do { /* two names at least were asked for */
        BlockNode *bn = img_open(a, img_has(a, IMG_IMAGE_OPTS), a->files[i],
                                 img_opt(a, 'f'), c->src_flags);

        if (!bn) {
            return false;
        }
        c->src[c->nsrc++] = bn;
        if (bn->size > INT64_MAX - c->total) {
            error_report("the source images together are too large");
            return false;
        }
    } while (++i < a->nfiles - 1);
    if (!load_snapshot(c)) {
        return false;
    }
    for (unsigned n = 0; n < c->nsrc; n++) {
        c->total += c->src[n]->size;
    }
    if (img_has(a, IMG_BITMAPS) && (c->nsrc > 1 || !c->src[0]->drv->bitmaps)) {
        error_report(c->nsrc > 1
                         ? "Copying bitmaps only possible with single source"
                         : "Source lacks bitmap support");
        return false;
    }
    return true;
}

/* Only these store compressed clusters. */
static bool can_compress(const BlockDriver *drv)
{
    return strcmp(drv->name, "qcow2") == 0 || strcmp(drv->name, "vmdk") == 0;
}

static bool check_target(const Convert *c)
{
    const BlockDriver *drv = block_find_driver(c->fmt);

    if (!drv) {
        error_report("Unknown file format '%s'", c->fmt);
        return false;
    }
    if (!drv->create) {
        error_report("Format driver '%s' does not support image creation",
                     c->fmt);
        return false;
    }
    if (img_has(c->a, 'c') && !can_compress(drv)) {
        error_report("Compression not supported for this file format");
        return false;
    }
    if (c->backing && c->nsrc > 1) {
        error_report("Having a backing file for the target makes no sense "
                     "when concatenating multiple input images");
        return false;
    }
    if (c->backing && !drv->has_backing) {
        error_report("Backing file not supported for file format '%s'", c->fmt);
        return false;
    }
    if (c->backing && !keyval_get(c->opts, "backing_fmt")) {
        error_report("Use of backing file requires explicit backing format");
        return false;
    }
    return true;
}

static bool create_target(Convert *c)
{
    g_autofree char *size = g_strdup_printf("%" PRIu64, c->total);
    bool existed = g_file_test(c->dst_name, G_FILE_TEST_EXISTS) &&
                   !g_file_test(c->dst_name, G_FILE_TEST_IS_REGULAR);
    GError *err = NULL;

    if (!keyval_get(c->opts, "size")) {
        keyval_set(c->opts, "size", size);
    }
    if (!block_create(c->dst_name, c->fmt, c->opts, 0, &err)) {
        if (g_str_has_prefix(err->message, "Invalid parameter")) {
            img_error(err, "%s", "");
        } else {
            img_error(err, "%s: error while converting %s: ", c->dst_name,
                      c->fmt);
        }
        return false;
    }
    if (!existed) { /* a device stays */
        img_half_made(c->dst_name);
    }
    return true;
}

static bool open_target(Convert *c)
{
    const ImgArgs *a = c->a;

    if (!img_has(a, 'n') && (!check_target(c) || !create_target(c))) {
        return false;
    }
    if (img_has(a, IMG_TARGET_IMAGE_OPTS)) {
        c->dst = img_open(a, true, c->dst_name, NULL, c->dst_flags);
    } else {
        c->dst = img_open(a, false, c->dst_name, c->fmt, c->dst_flags);
    }
    if (!c->dst) {
        return false;
    }
    if (img_has(a, 'n') && img_has(a, 'c') && !can_compress(c->dst->drv)) {
        error_report("Compression not supported for this file format");
        return false;
    }
    if (c->dst->size < c->total && img_has(a, 'n')) {
        error_report("output file is smaller than input file");
        return false;
    }
    if (img_has(a, IMG_BITMAPS) && !c->dst->drv->bitmaps) {
        error_report("Format driver '%s' does not support bitmaps",
                     c->dst->drv->name);
        return false;
    }
    return true;
}

/* ---- the work ------------------------------------------------------------------------ */

static bool copy_bitmaps(const Convert *c)
{
    BlockNode *src = c->src[0];
    GError *err = NULL;
    g_autoptr(GArray) list = src->drv->bitmaps->list(src, &err);
    const BitmapOps *to = c->dst->drv->bitmaps;

    if (!list) {
        img_error(err, "%s", "");
        return false;
    }
    for (guint i = 0; i < list->len; i++) {
        BitmapInfo *b = &g_array_index(list, BitmapInfo, i);

        if (b->inconsistent && img_has(c->a, IMG_SKIP_BROKEN)) {
            warn_report("Skipping inconsistent bitmap '%s'", b->name);
            continue;
        }
        if (b->inconsistent) {
            error_report("Cannot copy inconsistent bitmap '%s'\nTry "
                         "--skip-broken-bitmaps, or use '%s bitmap --remove'",
                         b->name, log_progname());
            return false;
        }
        if (!to->add(c->dst, b, &err) ||
            !to->merge(c->dst, b->name, src, b->name, &err)) {
            img_error(err, "Failed to populate bitmap %s: ", b->name);
            return false;
        }
    }
    return true;
}

/* Does what was just made read as zeroes? A device or a server's disk, which
 * cannot be made, holds what it held. */
static bool is_fresh(const Convert *c)
{
    const BlockNode *below = c->dst->file ? c->dst->file : c->dst;

    return !img_has(c->a, 'n') && !c->backing && below->drv->create;
}

static bool run(Convert *c)
{
    const ImgArgs *a = c->a;
    BlockJob job = *img_progress(a, 1.0);
    ConvertOpts o = {
        .src = c->src,
        .nsrc = c->nsrc,
        .dst = c->dst,
        .compress = img_has(a, 'c'),
        .dst_is_zero = is_fresh(c) || img_has(a, IMG_TARGET_IS_ZERO),
        .dst_backing = c->backing != NULL,
        .min_sparse = (uint64_t)c->sparse,
        .workers = (unsigned)c->workers,
        .out_of_order = img_has(a, 'W'),
        .salvage = img_has(a, IMG_SALVAGE),
    };
    GError *err = NULL;

    job.rate_limit = (uint64_t)c->rate;
    if (!block_convert(&o, &job, &err)) {
        img_progress_end();
        if (img_cancelled()) {
            g_clear_error(&err);
        } else {
            img_error(err, "%s", "");
        }
        return false;
    }
    img_progress_set(100);
    return !img_has(a, IMG_BITMAPS) || copy_bitmaps(c);
}

int cmd_convert(ImgArgs *a)
{
    Convert c = { .a = a };
    bool ok = parse_all(&c);
    int ret = 1;

    if (ok) {
        /* so that a signal during creation is seen */
        img_half_made(NULL);
        ok = open_sources(&c) && open_target(&c) && run(&c);
        ret = !ok;
        img_close(c.dst, &ret);
    }
    for (unsigned i = 0; i < c.nsrc; i++) {
        block_close(c.src[i], NULL);
    }
    g_free(c.src);
    keyval_free(c.opts);
    if (!img_cancelled()) {
        img_half_made(NULL);
    }
    return ret;
}
