/*
 * blockdev-create: a new image as a job. The options are QMP's
 * BlockdevCreateOptions, whose names differ from those of "create -o" by
 * hyphens and a few words.
 *
 * Driver "file" makes the file. A format is made over a node: in memory first,
 * where it takes as much as its tables do, then copied, so that the node may be
 * of any protocol and stays open and locked all the time. Not by this way:
 * preallocation=falloc and full, and formats of several files.
 */
#include "util/osdep.h"
#include <sys/mman.h>
#include <unistd.h>
#include "util/error.h"
#include "util/worker.h"
#include "hw/block/drive.h"
#include "monitor/jobs.h"

#if CONFIG_JSON_C

typedef struct Create {
    VmJob *job;
    const BlockDriver *drv;
    KeyVal *opts;
    char *filename;  /* of a file; or: */
    BlockNode *node; /* a reference */
    GError *err;
} Create;

static void create_free(Create *c)
{
    block_close(c->node, NULL);
    keyval_free(c->opts);
    g_free(c->filename);
    g_clear_error(&c->err);
    g_free(c);
}

/* ---- options ------------------------------------------------------------------ */

static bool is_option(const BlockDriver *drv, const char *name)
{
    for (const CreateOpt *o = drv->create_opts; o && o->kind != OPT_END; o++) {
        if (!strcmp(o->name, name)) {
            return true;
        }
    }
    return false;
}

/* Words that "create -o" has not. */
static const struct {
    const char *driver, *key, *value, *name, *as;
} words[] = {
    { "qcow2", "version", "v2", "compat", "0.10" },
    { "qcow2", "version", "v3", "compat", "1.1" },
    { "vdi", "preallocation", "off", "static", "off" },
    { "vdi", "preallocation", "metadata", "static", "on" },
};

static void put_option(const char *key, const char *value, void *opaque)
{
    Create *c = opaque;
    g_autofree char *name = g_strdelimit(g_strdup(key), "-", '_');

    if (!strcmp(key, "driver") || !strcmp(key, "filename") ||
        g_str_has_prefix(key, "file.") || !strcmp(key, "file")) {
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (!strcmp(words[i].driver, c->drv->name) &&
            !strcmp(words[i].key, key) && !strcmp(words[i].value, value)) {
            keyval_set(c->opts, words[i].name, words[i].as);
            return;
        }
    }
    keyval_set(c->opts, is_option(c->drv, name) ? name : key, value);
}

/* ---- the work, on some thread ----------------------------------------------------- */

static int copy_extent(BlockNode *to, int fd, off_t from, off_t end)
{
    uint8_t buf[65536];

    while (from < end) {
        size_t n = MIN((size_t)(end - from), sizeof(buf));
        ssize_t got = pread(fd, buf, n, from);
        int ret;

        if (got <= 0) {
            return got < 0 ? -errno : -EIO;
        }
        ret = block_pwrite(to, (uint64_t)from, buf, (size_t)got);
        if (ret < 0) {
            return ret;
        }
        from += got;
    }
    return 0;
}

static int copy_data(BlockNode *to, int fd)
{
    off_t at = 0, end;
    int ret = 0;

    while (ret == 0 && (at = lseek(fd, at, SEEK_DATA)) >= 0) {
        end = lseek(fd, at, SEEK_HOLE);
        if (end < 0) {
            break;
        }
        ret = copy_extent(to, fd, at, end);
        at = end;
    }
    return ret < 0 || errno == ENXIO ? ret : -errno;
}

/* The node becomes what is in @fd. */
static bool copy_image(BlockNode *to, int fd, GError **errp)
{
    off_t len = lseek(fd, 0, SEEK_END);
    int ret;

    if (len < 0 || !block_resize(to, 0, "off", true, errp) ||
        !block_resize(to, (uint64_t)len, "off", true, errp)) {
        return false;
    }
    ret = copy_data(to, fd);
    ret = ret < 0 ? ret : block_flush(to);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not write the image to '%s'",
                         to->filename);
    }
    return ret == 0;
}

static bool create_on_node(Create *c, GError **errp)
{
    int fd = memfd_create("blockdev-create", MFD_CLOEXEC);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    bool ok;

    if (fd < 0) {
        error_setg_errno(errp, errno, "no memory file");
        return false;
    }
    ok = block_create(path, c->drv->name, c->opts, BLOCK_NO_BACKING, errp) &&
         copy_image(c->node, fd, errp);
    close(fd);
    return ok;
}

static int create_work(void *opaque)
{
    Create *c = opaque;
    bool ok = c->node ? create_on_node(c, &c->err)
                      : c->drv->create(c->filename, c->opts, &c->err);

    return ok ? 0 : -1;
}

static void create_done(void *opaque, int ret)
{
    Create *c = opaque;

    jobs_vm_over(c->job, c->err);
    create_free(c);
}

/* ---- the command ------------------------------------------------------------------- */

static bool find_file(Machine *m, Create *c, KeyVal *options, GError **errp)
{
    const char *name = keyval_get(options, "file");
    g_autoptr(KeyVal) inner = block_sub_options(options, "file.");
    const char *prealloc = keyval_get(c->opts, "preallocation");

    if (prealloc &&
        (!strcmp(prealloc, "falloc") || !strcmp(prealloc, "full"))) {
        error_setg(errp,
                   "preallocation=%s is not supported over a node: off, "
                   "metadata",
                   prealloc);
        return false;
    }
    if (name) {
        c->node = block_open_ref(machine_block_graph(m), name, errp);
    } else if (keyval_get(inner, "driver")) {
        c->node = blockdev_open(machine_block_graph(m), inner, errp);
    } else {
        error_setg(errp, "Parameter 'options.file' is missing");
    }
    if (!c->node) {
        return false;
    }
    if (c->node->read_only || c->node->refs > 2 || c->node->drv->is_format) {
        error_setg(errp, "Node '%s' is %s", c->node->name,
                   c->node->read_only        ? "read-only"
                   : c->node->drv->is_format ? "no file"
                                             : "in use");
        return false;
    }
    return true;
}

static bool prepare(Machine *m, Create *c, KeyVal *options, GError **errp)
{
    const char *driver = keyval_get(options, "driver");

    c->opts = keyval_new();
    c->drv = driver ? block_find_driver(driver) : NULL;
    if (!c->drv || !c->drv->create || !strcmp(driver, "raw")) {
        error_setg(errp, "Driver '%s' does not support blockdev-create",
                   driver ? driver : "");
        return false;
    }
    keyval_foreach(options, put_option, c);
    if (!keyval_get(c->opts, "size")) {
        error_setg(errp, "Parameter 'options.size' is missing");
        return false;
    }
    if (c->drv->is_format) {
        return find_file(m, c, options, errp);
    }
    c->filename = g_strdup(keyval_get(options, "filename"));
    if (!c->filename) {
        error_setg(errp, "Parameter 'options.filename' is missing");
    }
    return c->filename != NULL;
}

json_object *qmp_blockdev_create(Machine *m, const Args *args, GError **errp)
{
    const char *id = args_str(args, "job-id");
    g_autofree char *text = js_text(args_json(args, "options"));
    g_autoptr(KeyVal) options = NULL;
    Create *c;

    options = jobs_id_free(m, id, errp) ? keyval_parse(text, NULL, errp) : NULL;
    if (!options) {
        return NULL;
    }
    c = g_new0(Create, 1);
    if (!prepare(m, c, options, errp)) {
        create_free(c);
        return NULL;
    }
    c->job = jobs_vm_new(m, id, "create");
    worker_run(create_work, create_done, c);
    return NULL;
}

#endif
