/*
 * Nodes: from a name and options to an open chain of images, and back.
 *
 * Options are one flat KeyVal ("file.filename", "backing.driver"); a node takes
 * what is its own, gives "file.*" and "backing.*" to its children, and refuses
 * what is left. A "json:{...}" name is the same options written differently.
 */
#include "util/osdep.h"
#include "block/block.h"
#include "block/dirty.h"
#include "block/graph.h"

#include "util/error.h"

enum {
    PROBE_LEN = 2048,
    CHAIN_MAX = 256, /* backing files; a longer chain is a loop */
};

/* ---- options ----------------------------------------------------------------- */

typedef struct SubOptions {
    KeyVal *from, *to;
    const char *prefix;
} SubOptions;

static void sub_option(const char *key, const char *value, void *opaque)
{
    SubOptions *s = opaque;

    if (g_str_has_prefix(key, s->prefix)) {
        keyval_set(s->to, key + strlen(s->prefix), value);
        keyval_get(s->from, key);
    }
}

KeyVal *block_sub_options(KeyVal *kv, const char *prefix)
{
    SubOptions s = { kv, keyval_new(), prefix };

    keyval_foreach(kv, sub_option, &s);
    return s.to;
}

static void count_option(const char *key, const char *value, void *opaque)
{
    ++*(unsigned *)opaque;
}

static bool options_empty(KeyVal *kv)
{
    unsigned n = 0;

    keyval_foreach(kv, count_option, &n);
    return n == 0;
}

bool block_options_used(KeyVal *kv, const char *driver, GError **errp)
{
    const char *key = keyval_unused(kv);

    if (key) {
        error_setg(errp, "Block protocol '%s' doesn't support the option '%s'",
                   driver, key);
        return false;
    }
    return true;
}

static bool option_flag(KeyVal *kv, const char *key, unsigned bit, bool invert,
                        unsigned *flags, GError **errp)
{
    bool was = !!(*flags & bit) != invert, now;

    if (!keyval_bool(kv, key, was, &now, errp)) {
        return false;
    }
    *flags = now != invert ? *flags | bit : *flags & ~bit;
    return true;
}

/* The options that every node has, over @flags. */
static bool options_to_flags(KeyVal *kv, unsigned *flags, GError **errp)
{
    const char *discard = keyval_get(kv, "discard");

    if (!option_flag(kv, "read-only", BLOCK_RDWR, true, flags, errp) ||
        !option_flag(kv, "auto-read-only", BLOCK_AUTO_RDONLY, false, flags,
                     errp) ||
        !option_flag(kv, "cache.direct", BLOCK_DIRECT, false, flags, errp) ||
        !option_flag(kv, "cache.no-flush", BLOCK_NO_FLUSH, false, flags,
                     errp) ||
        !option_flag(kv, "force-share", BLOCK_FORCE_SHARE, false, flags,
                     errp)) {
        return false;
    }
    if (discard &&
        (strcmp(discard, "unmap") == 0 || strcmp(discard, "on") == 0)) {
        *flags |= BLOCK_UNMAP;
    } else if (discard && (strcmp(discard, "ignore") == 0 ||
                           strcmp(discard, "off") == 0)) {
        *flags &= ~BLOCK_UNMAP;
    } else if (discard) {
        error_setg(errp, "Invalid discard option: '%s' (unmap or ignore)",
                   discard);
        return false;
    }
    if ((*flags & BLOCK_FORCE_SHARE) && (*flags & BLOCK_RDWR)) {
        error_setg(errp, "force-share=on can only be used with read-only "
                         "images");
        return false;
    }
    return true;
}

bool block_cache_mode(const char *mode, unsigned *flags)
{
    static const struct {
        const char *name;
        unsigned flags;
    } modes[] = {
        { "none", BLOCK_DIRECT },
        { "off", BLOCK_DIRECT },
        { "directsync", BLOCK_DIRECT | BLOCK_WRITETHROUGH },
        { "writeback", 0 },
        { "unsafe", BLOCK_NO_FLUSH },
        { "writethrough", BLOCK_WRITETHROUGH },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++) {
        if (strcmp(mode, modes[i].name) == 0) {
            *flags &= ~(BLOCK_DIRECT | BLOCK_WRITETHROUGH | BLOCK_NO_FLUSH);
            *flags |= modes[i].flags;
            return true;
        }
    }
    return false;
}

/* ---- one node ------------------------------------------------------------------- */

static BlockNode *open_options(BlockGraph *g, KeyVal *opts, unsigned flags,
                               bool as_file, unsigned depth, GError **errp);

static void node_free(BlockNode *bn)
{
    block_graph_forget(bn);
    block_bitmaps_free(bn);
    if (bn->backing) {
        block_close(bn->backing, NULL);
    }
    if (bn->file) {
        block_close(bn->file, NULL);
    }
    g_mutex_clear(&bn->gate.lock);
    g_cond_clear(&bn->gate.cond);
    g_free(bn->s);
    g_free(bn->name);
    g_free(bn->filename);
    g_free(bn->backing_name);
    g_free(bn->backing_fmt);
    g_free(bn->backing_options_json);
    g_free(bn);
}

BlockNode *block_node_new(const BlockDriver *drv, unsigned flags)
{
    static gint counter; /* names only; atomic */
    BlockNode *bn = g_new0(BlockNode, 1);

    bn->drv = drv;
    bn->s = g_malloc0(MAX(drv->size, 1));
    bn->refs = 1;
    bn->flags = flags;
    bn->read_only = !(flags & BLOCK_RDWR);
    bn->align = 1;
    bn->name = g_strdup_printf("#block%03d", g_atomic_int_add(&counter, 1));
    g_mutex_init(&bn->gate.lock);
    g_cond_init(&bn->gate.cond);
    return bn;
}

/* What a format asks of the file below it. */
static unsigned child_flags(unsigned flags, const BlockDriver *drv)
{
    unsigned f = flags & ~(BLOCK_NO_BACKING | BLOCK_WRITETHROUGH);

    f |= BLOCK_UNMAP;
    if (strcmp(drv->name, "raw") != 0) {
        f |= BLOCK_NO_SHARE | BLOCK_RESIZE;
    }
    return f;
}

static BlockNode *open_file_child(BlockGraph *g, KeyVal *opts, unsigned flags,
                                  unsigned depth, GError **errp)
{
    g_autoptr(KeyVal) sub = block_sub_options(opts, "file.");
    const char *filename = keyval_get(opts, "filename");
    const char *ref = keyval_get(opts, "file");

    if (ref && (filename || !options_empty(sub))) {
        error_setg(errp, "Cannot reference an existing block device with "
                         "additional options or a new filename");
        return NULL;
    }
    if (ref) {
        return block_open_ref(g, ref, errp);
    }
    if (filename && keyval_get(sub, "filename")) {
        error_setg(errp, "Cannot specify 'filename' and 'file.filename' at the "
                         "same time");
        return NULL;
    }
    if (filename) {
        keyval_set(sub, "filename", filename);
    }
    if (options_empty(sub)) {
        error_setg(errp, "A block device must be specified for \"file\"");
        return NULL;
    }
    return open_options(g, sub, flags, true, depth, errp);
}

static BlockNode *finish_open(BlockNode *bn, KeyVal *opts, unsigned depth,
                              GError **errp);

/* @drv's node over @file (taken; NULL for protocols). */
static BlockNode *open_node(BlockGraph *g, const BlockDriver *drv, KeyVal *opts,
                            unsigned flags, BlockNode *file, bool probed,
                            unsigned depth, GError **errp)
{
    BlockNode *bn = block_node_new(drv, flags);
    const char *name = keyval_get(opts, "node-name");

    bn->file = file;
    bn->probed = probed;
    if (g && !block_graph_add(g, bn, name, errp)) {
        node_free(bn);
        return NULL;
    }
    if (!g && name) {
        g_free(bn->name);
        bn->name = g_strdup(name);
    }
    if (file) {
        bn->filename = g_strdup(file->filename);
        bn->read_only |= file->read_only;
    } else {
        bn->filename = g_strdup(keyval_get(opts, "filename"));
    }
    if (!drv->open(bn, opts, errp)) {
        node_free(bn);
        return NULL;
    }
    if (!bn->filename) {
        bn->filename = g_strdup_printf("json:{\"driver\": \"%s\"}", drv->name);
    }
    return finish_open(bn, opts, depth, errp);
}

static bool open_backing_depth(BlockNode *bn, KeyVal *options, unsigned depth,
                               GError **errp)
{
    g_autoptr(KeyVal) sub = keyval_new();
    g_autofree char *path = block_backing_path(bn);
    unsigned flags =
        bn->flags & ~(BLOCK_RDWR | BLOCK_NO_BACKING | BLOCK_TEMPORARY |
                      BLOCK_CHECK | BLOCK_RESIZE | BLOCK_WRITETHROUGH);
    GError *err = NULL;

    if (bn->backing || !(path || options)) {
        return true;
    }
    if (depth >= CHAIN_MAX) {
        error_setg(errp,
                   "more than %d backing files: does '%s' lead back to "
                   "itself?",
                   CHAIN_MAX, bn->filename);
        return false;
    }
    if (options) {
        keyval_merge(sub, options);
    }
    if (path && !keyval_get(sub, "filename") &&
        !keyval_get(sub, "file.filename") && !keyval_get(sub, "file.driver")) {
        keyval_set(sub, "filename", path);
    }
    if (bn->backing_fmt && bn->backing_fmt[0] && !keyval_get(sub, "driver") &&
        !(path && g_str_has_prefix(path, "json:"))) {
        keyval_set(sub, "driver", bn->backing_fmt);
    }
    bn->backing = open_options(bn->graph, sub, flags, false, depth + 1, &err);
    if (!bn->backing) {
        g_propagate_prefixed_error(errp, err, "Could not open backing file: ");
        return false;
    }
    return true;
}

/* The backing file, and no option left that nobody knew. */
static BlockNode *finish_open(BlockNode *bn, KeyVal *opts, unsigned depth,
                              GError **errp)
{
    g_autoptr(KeyVal) sub = block_sub_options(opts, "backing.");
    const char *backing = keyval_get(opts, "backing");
    bool ok = true;

    if ((!options_empty(sub) || (backing && backing[0])) &&
        !bn->drv->has_backing) {
        error_setg(errp, "Driver doesn't support backing files");
        ok = false;
    } else if (backing && !options_empty(sub)) {
        error_setg(errp, "Cannot reference an existing block device with "
                         "additional options or a new filename");
        ok = false;
    } else if (backing && backing[0]) {
        bn->backing = block_open_ref(bn->graph, backing, errp);
        ok = bn->backing != NULL;
    }
    ok = ok && block_options_used(opts, bn->drv->name, errp);
    if (ok && !backing && !(bn->flags & BLOCK_NO_BACKING)) {
        ok = open_backing_depth(bn, options_empty(sub) ? NULL : sub, depth,
                                errp);
    }
    if (!ok) {
        block_close(bn, NULL);
        return NULL;
    }
    return bn;
}

static BlockNode *open_probed(BlockGraph *g, KeyVal *opts, unsigned flags,
                              unsigned depth, GError **errp)
{
    const BlockDriver *drv;
    /* Whether it is to be shared is known once the format is: take the
     * stricter, a raw image gives way again. */
    unsigned f = child_flags(flags, block_find_driver("raw"));
    BlockNode *file = open_file_child(g, opts, f, depth, errp);

    if (!file) {
        return NULL;
    }
    drv = block_probe(file);
    if (strcmp(drv->name, "raw") != 0) {
        block_close(file, NULL);
        file = open_file_child(g, opts, child_flags(flags, drv), depth, errp);
        if (!file) {
            return NULL;
        }
    }
    return open_node(g, drv, opts, flags, file, true, depth, errp);
}

static void copy_but_filename(const char *key, const char *value, void *opaque)
{
    if (strcmp(key, "filename") != 0) {
        keyval_set(opaque, key, value);
    }
}

/* The options in the name, under those given beside it. */
static BlockNode *open_json(BlockGraph *g, KeyVal *opts, const char *json,
                            unsigned flags, bool as_file, unsigned depth,
                            GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_parse(json + strlen("json:"), NULL, errp);

    if (!kv) {
        return NULL;
    }
    keyval_foreach(opts, copy_but_filename, kv);
    return open_options(g, kv, flags, as_file, depth + 1, errp);
}

/* Takes nothing; @as_file: the child of a format, never guessed. */
static BlockNode *open_options(BlockGraph *g, KeyVal *opts, unsigned flags,
                               bool as_file, unsigned depth, GError **errp)
{
    const char *filename = keyval_get(opts, "filename");
    const char *name = keyval_get(opts, "driver");
    const BlockDriver *drv = NULL;
    BlockNode *file;

    if (depth > CHAIN_MAX) {
        error_setg(errp, "the options nest too deeply");
        return NULL;
    }
    if (filename && g_str_has_prefix(filename, "json:")) {
        return open_json(g, opts, filename, flags, as_file, depth, errp);
    }
    if (!options_to_flags(opts, &flags, errp)) {
        return NULL;
    }
    if (name) {
        drv = block_find_driver(name);
        if (!drv) {
            error_setg(errp, "Unknown driver '%s'", name);
            return NULL;
        }
    } else if (as_file) {
        drv = filename ? block_find_protocol(filename, errp) : NULL;
        if (!drv) {
            if (!filename) {
                error_setg(errp, "The 'file' block driver requires a file "
                                 "name");
            }
            return NULL;
        }
    } else {
        return open_probed(g, opts, flags, depth, errp);
    }
    if (!drv->is_format) {
        return open_node(g, drv, opts, flags, NULL, false, depth, errp);
    }
    file = open_file_child(g, opts, child_flags(flags, drv), depth + 1, errp);
    if (!file) {
        return NULL;
    }
    return open_node(g, drv, opts, flags, file, false, depth, errp);
}

BlockNode *block_open_in(BlockGraph *g, const char *filename, const char *fmt,
                         KeyVal *options, unsigned flags, GError **errp)
{
    g_autoptr(KeyVal) opts = keyval_new();

    if (options) {
        keyval_merge(opts, options);
    }
    if (filename) {
        keyval_set(opts, "filename", filename);
    }
    if (fmt) {
        keyval_set(opts, "driver", fmt);
    }
    return open_options(g, opts, flags, false, 0, errp);
}

BlockNode *block_open(const char *filename, const char *fmt, KeyVal *options,
                      unsigned flags, GError **errp)
{
    return block_open_in(NULL, filename, fmt, options, flags, errp);
}

BlockNode *block_open_over(BlockNode *file, const char *fmt, KeyVal *options,
                           unsigned flags, GError **errp)
{
    const BlockDriver *drv = block_find_driver(fmt);
    g_autoptr(KeyVal) opts = keyval_new();

    if (!drv || !drv->is_format) {
        error_setg(errp, "Unknown driver '%s'", fmt);
        block_close(file, NULL);
        return NULL;
    }
    if (options) {
        keyval_merge(opts, options);
    }
    return open_node(file->graph, drv, opts, flags, file, false, 0, errp);
}

bool block_close(BlockNode *bn, GError **errp)
{
    int ret = 0;

    if (!bn || __atomic_sub_fetch(&bn->refs, 1, __ATOMIC_ACQ_REL)) {
        return true;
    }
    if (!bn->read_only) {
        ret = block_flush(bn);
    }
    if (bn->drv->close) {
        bn->drv->close(bn);
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not flush '%s'", bn->filename);
    }
    node_free(bn);
    return ret == 0;
}

bool block_reopen(BlockNode *bn, bool rdwr, GError **errp)
{
    const BlockDriver *drv = bn->drv;
    unsigned flags = rdwr ? bn->flags | BLOCK_RDWR : bn->flags & ~BLOCK_RDWR;
    g_autoptr(KeyVal) opts = keyval_new();
    bool below = true; /* the file went along */
    int ret = 0;

    if (rdwr == !bn->read_only) {
        return true;
    }
    if (bn->file) {
        if (!bn->read_only) {
            ret = block_flush(bn);
        }
        if (ret < 0) {
            error_setg_errno(errp, -ret, "Could not flush '%s'", bn->filename);
            return false;
        }
        /* A format learns from its own open() whether it may be written. */
        drv->close(bn);
        memset(bn->s, 0, drv->size);
        below = block_reopen(bn->file, rdwr, errp);
        if (!below) {
            rdwr = !rdwr;
            flags = bn->flags;
        }
    } else {
        drv->close(bn);
        memset(bn->s, 0, drv->size);
        keyval_set(opts, "filename", bn->filename);
    }
    bn->read_only = !rdwr;
    g_clear_pointer(&bn->backing_name, g_free);
    g_clear_pointer(&bn->backing_fmt, g_free);
    if (!drv->open(bn, opts, below ? errp : NULL)) {
        /* as it was, so that it can be closed and read */
        bn->read_only = rdwr;
        memset(bn->s, 0, drv->size);
        if (!drv->open(bn, opts, NULL)) {
            bn->drv = block_find_driver("null-co");
            g_free(bn->s);
            bn->s = g_malloc0(MAX(bn->drv->size, 1));
        }
        return false;
    }
    bn->flags = flags;
    if (below && bn->read_only != !(flags & BLOCK_RDWR)) {
        error_setg(errp, "'%s' can only be opened read-only", bn->filename);
        return false;
    }
    return below;
}

const BlockDriver *block_probe(BlockNode *file)
{
    const BlockDriver *best = block_find_driver("raw");
    uint8_t head[PROBE_LEN] = { 0 };
    int best_score = 0;
    uint64_t len = MIN(file->size, sizeof(head));

    if (len && block_pread(file, 0, head, len) < 0) {
        return best;
    }
    for (unsigned i = 0; block_drivers[i]; i++) {
        const BlockDriver *drv = block_drivers[i];
        int score = drv->is_format && drv->probe
                        ? drv->probe(head, len, file->filename)
                        : 0;

        if (score > best_score) {
            best_score = score;
            best = drv;
        }
    }
    return best;
}

BlockNode *block_open_snapshot(BlockNode *bn, GError **errp)
{
    const char *dir = g_getenv("TMPDIR");
    g_autofree char *path =
        g_build_filename(dir && dir[0] ? dir : "/var/tmp", "vl.XXXXXX", NULL);
    g_autoptr(KeyVal) opts = keyval_new();
    g_autofree char *size = g_strdup_printf("%" PRIu64, bn->size);
    BlockNode *top;
    int fd = g_mkstemp(path);

    if (fd < 0) {
        error_setg_errno(errp, errno, "Could not create temporary file '%s'",
                         path);
        return NULL;
    }
    close(fd);
    keyval_set(opts, "size", size);
    if (!block_create(path, "qcow2", opts, 0, errp)) {
        unlink(path);
        return NULL;
    }
    top = block_open(
        path, "qcow2", NULL,
        BLOCK_RDWR | BLOCK_TEMPORARY | BLOCK_NO_FLUSH | BLOCK_UNMAP, errp);
    unlink(path);
    if (top) {
        top->backing = bn;
    }
    return top;
}
