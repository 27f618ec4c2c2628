/*
 * What -drive and -blockdev say.
 *
 * An option of -drive is either the drive's own (a row of drive_keys) or goes
 * to the nodes below as it is ("file.locking", "backing.driver",
 * "cache.direct", "l2-cache-size"); what no node knows is refused there.
 */
#include "util/osdep.h"
#include "hw/block/drive-opts.h"

#include "util/error.h"
#include "util/keyval.h"
#include "util/log.h"
#include "util/nearest.h"

/* An entry that ends with a dot stands for all keys that begin with it. */
static const char *const drive_keys[] = {
    "id",
    "if",
    "index",
    "bus",
    "unit",
    "media",
    "file",
    "format",
    "driver",
    "serial",
    "snapshot",
    "cache",
    "aio",
    "werror",
    "rerror",
    "read-only",
    "readonly",
    "detect-zeroes",
    "copy-on-read",
    "cache.writeback",
    "throttling.",
    "stats-intervals.",
    "account-failed",
    "account-invalid",
    NULL,
};

static bool is_drive_key(const char *key)
{
    for (unsigned i = 0; drive_keys[i]; i++) {
        const char *k = drive_keys[i];

        if (g_str_has_suffix(k, ".") ? g_str_has_prefix(key, k)
                                     : strcmp(key, k) == 0) {
            return true;
        }
    }
    return false;
}

static void node_option(const char *key, const char *value, void *opaque)
{
    if (!is_drive_key(key)) {
        keyval_set(opaque, key, value);
    }
}

static void count_option(const char *key, const char *value, void *opaque)
{
    /* These say how to open, not what. */
    if (strcmp(key, "discard") && strcmp(key, "auto-read-only") &&
        strcmp(key, "force-share") && !g_str_has_prefix(key, "cache.")) {
        ++*(unsigned *)opaque;
    }
}

/* One of @names (ends with NULL), or -1. */
static int name_index(const char *text, const char *const *names)
{
    for (int i = 0; names[i]; i++) {
        if (strcmp(text, names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

/* ---- where it goes ----------------------------------------------------------- */

/* Units on a bus; 0: one bus takes all. */
static const int units_per_bus[IF_COUNT] = { [IF_IDE] = 2, [IF_SCSI] = 7 };

static bool parse_if(Drive *d, KeyVal *kv, GError **errp)
{
    const char *text = keyval_get(kv, "if");
    const MachineClass *mc = d->machine->cls;

    if (!text) {
        d->if_default = true;
        d->iface = mc && mc->virtio_bus && strcmp(mc->virtio_bus, "PCI") != 0
                       ? IF_VIRTIO
                       : IF_IDE;
        return true;
    }
    for (int i = 0; i < IF_COUNT; i++) {
        if (strcmp(text, drive_if_name(i)) == 0) {
            d->iface = i;
            return true;
        }
    }
    error_setg(errp,
               "unsupported bus type '%s' (if= is none, virtio, ide, scsi, "
               "floppy, pflash or sd)",
               text);
    return false;
}

static bool place_taken(const Drive *d, int bus, int unit)
{
    GPtrArray *drives = machine_drives(d->machine);

    for (guint i = 0; i < drives->len; i++) {
        const Drive *o = drives->pdata[i];

        if (!o->blockdev && o->iface == d->iface && o->bus == bus &&
            o->unit == unit) {
            return true;
        }
    }
    return false;
}

/* The first free unit of the bus, or of the buses after it. */
static void find_unit(Drive *d)
{
    int max = units_per_bus[d->iface];

    d->unit = 0;
    while (place_taken(d, d->bus, d->unit)) {
        d->unit++;
        if (max && d->unit >= max) {
            d->unit -= max;
            d->bus++;
        }
    }
}

static bool parse_number(KeyVal *kv, const char *key, int defval, int *out,
                         GError **errp)
{
    uint64_t v;

    *out = defval;
    if (!keyval_get(kv, key)) {
        return true;
    }
    if (!keyval_u64(kv, key, 0, &v, errp)) {
        return false;
    }
    if (v > 65535) {
        error_setg(errp, "%s=%" PRIu64 " is more than 65535", key, v);
        return false;
    }
    *out = (int)v;
    return true;
}

static bool parse_place(Drive *d, KeyVal *kv, GError **errp)
{
    int max = units_per_bus[d->iface], index;

    if (!parse_number(kv, "bus", 0, &d->bus, errp) ||
        !parse_number(kv, "unit", -1, &d->unit, errp) ||
        !parse_number(kv, "index", -1, &index, errp)) {
        return false;
    }
    if (index >= 0) {
        if (d->bus || d->unit >= 0) {
            error_setg(errp, "index cannot be used with bus and unit");
            return false;
        }
        d->bus = max ? index / max : 0;
        d->unit = max ? index % max : index;
    }
    if (d->unit < 0) {
        find_unit(d);
    }
    if (max && d->unit >= max) {
        error_setg(errp, "unit %d too big (max is %d)", d->unit, max - 1);
        return false;
    }
    d->index = max ? d->bus * max + d->unit : d->unit;
    if (place_taken(d, d->bus, d->unit)) {
        error_setg(errp, "drive with bus=%d, unit=%d (index=%d) exists", d->bus,
                   d->unit, d->index);
        return false;
    }
    return true;
}

static bool parse_media(Drive *d, KeyVal *kv, GError **errp)
{
    const char *media = keyval_get(kv, "media");

    if (media && strcmp(media, "disk") && strcmp(media, "cdrom")) {
        error_setg(errp, "'%s' invalid media (disk or cdrom)", media);
        return false;
    }
    d->cdrom = media && media[0] == 'c';
    return true;
}

/* "ide0-hd1", "scsi0-cd2", "virtio0", "none1" */
static char *default_id(const Drive *d)
{
    const char *name = drive_if_name(d->iface);

    if (units_per_bus[d->iface]) {
        return g_strdup_printf("%s%d-%s%d", name, d->bus,
                               d->cdrom ? "cd" : "hd", d->unit);
    }
    return g_strdup_printf("%s%d", name, d->unit);
}

static bool parse_id(Drive *d, KeyVal *kv, GError **errp)
{
    const char *id = keyval_get(kv, "id");

    if (id && !id_wellformed(id)) {
        error_setg(errp,
                   "Parameter 'id' expects an identifier (letters, digits, "
                   "'-', '.', '_', starting with a letter), not '%s'",
                   id);
        return false;
    }
    d->id = id ? g_strdup(id) : default_id(d);
    if (drive_find(d->machine, d->id)) {
        error_setg(errp, "Duplicate ID '%s' for drive", d->id);
        return false;
    }
    if (block_graph_find(machine_block_graph(d->machine), d->id)) {
        error_setg(errp,
                   "Device name '%s' conflicts with an existing node name",
                   d->id);
        return false;
    }
    return true;
}

/* ---- how it behaves -------------------------------------------------------------- */

static bool parse_error_actions(Drive *d, KeyVal *kv, GError **errp)
{
    static const char *const keys[] = { "werror", "rerror" };
    static const char *const names[] = { "ignore", "stop", "report", "enospc",
                                         NULL };
    char **const out[] = { &d->werror, &d->rerror };

    for (int i = 0; i < 2; i++) {
        const char *text = keyval_get(kv, keys[i]);
        int n = text ? name_index(text, names) : 0;

        if (!text) {
            continue;
        }
        if (d->iface != IF_IDE && d->iface != IF_SCSI &&
            d->iface != IF_VIRTIO && d->iface != IF_NONE) {
            error_setg(errp, "%s is not supported by this bus type", keys[i]);
            return false;
        }
        if (n < 0 || (i == 1 && strcmp(text, "enospc") == 0)) {
            error_setg(errp,
                       "'%s' invalid %s error action (ignore, stop or "
                       "report%s)",
                       text, i ? "read" : "write", i ? "" : ", enospc");
            return false;
        }
        *out[i] = g_strdup(text);
    }
    return true;
}

/* cache= as flags; @writeback: what the device starts with. */
static bool parse_cache(KeyVal *kv, unsigned *flags, bool *writeback,
                        GError **errp)
{
    const char *cache = keyval_get(kv, "cache");
    unsigned mode = 0;

    if (cache && !block_cache_mode(cache, &mode)) {
        error_setg(errp,
                   "invalid cache option '%s' (writeback, none, unsafe, "
                   "writethrough or directsync)",
                   cache);
        return false;
    }
    *flags |= mode & ~BLOCK_WRITETHROUGH;
    *writeback = !(mode & BLOCK_WRITETHROUGH);
    return keyval_bool(kv, "cache.writeback", *writeback, writeback, errp);
}

/* io_uring serves "native" too: both need no thread for each request. */
static bool parse_aio(KeyVal *kv, bool direct, BlkAio *out, GError **errp)
{
    static const char *const names[] = { "threads", "native", "io_uring",
                                         NULL };
    static const BlkAio kinds[] = { BLK_AIO_THREADS, BLK_AIO_DEFAULT,
                                    BLK_AIO_IO_URING };
    const char *aio = keyval_get(kv, "aio");
    int n = aio ? name_index(aio, names) : -1;

    *out = n < 0 ? BLK_AIO_DEFAULT : kinds[n];
    if (aio && n < 0) {
        error_setg(
            errp, "invalid aio option '%s' (threads, native or io_uring)", aio);
        return false;
    }
    if (n == 1 && !direct) {
        error_setg(errp, "aio=native was specified, but it requires "
                         "cache.direct=on, which was not specified.");
        return false;
    }
    return true;
}

static bool parse_detect_zeroes(KeyVal *kv, int *out, GError **errp)
{
    static const char *const names[] = { "off", "on", "unmap", NULL };
    static const int modes[] = { BLK_DETECT_ZEROES_OFF, BLK_DETECT_ZEROES_ON,
                                 BLK_DETECT_ZEROES_UNMAP };
    const char *text = keyval_get(kv, "detect-zeroes"), *discard;
    int n = text ? name_index(text, names) : 0;

    if (n < 0) {
        error_setg(errp,
                   "invalid parameter value: %s (detect-zeroes is off, on or "
                   "unmap)",
                   text);
        return false;
    }
    *out = modes[n];
    discard = keyval_get(kv, "discard");
    if (n == 2 &&
        (!discard || (strcmp(discard, "unmap") && strcmp(discard, "on")))) {
        error_setg(errp, "setting detect-zeroes to unmap is not allowed "
                         "without setting discard operation to unmap");
        return false;
    }
    return true;
}

/* Somebody who has joined the group before; NULL: @d is the first. */
static Drive *drive_in_group(const Drive *d)
{
    GPtrArray *drives = machine_drives(d->machine);

    for (guint i = 0; d->throttle_group && i < drives->len; i++) {
        Drive *o = drives->pdata[i];

        if (o != d && g_strcmp0(o->throttle_group, d->throttle_group) == 0) {
            return o;
        }
    }
    return NULL;
}

static bool limits_given(const BlkLimits *limits)
{
    for (int k = 0; k < LIMIT_KINDS; k++) {
        if (limits->avg[k] > 0 || limits->max[k] > 0) {
            return true;
        }
    }
    return false;
}

/* The limits of the last drive of a group that gives some are those of all, as
 * in QEMU. */
static bool set_limits(Drive *d, const BlkLimits *limits, GError **errp)
{
    Drive *with = drive_in_group(d);

    if (with) {
        blk_share_limits(d->blk, with->blk);
    }
    return (with && !limits_given(limits)) ||
           blk_set_limits(d->blk, limits, errp);
}

/* ---- the image ---------------------------------------------------------------- */

typedef struct DriveOpen {
    unsigned flags;
    bool snapshot, writeback, read_only, copy_on_read;
    BlkAio aio;
    int detect_zeroes;
    BlkLimits limits;
} DriveOpen;

static bool parse_open(Drive *d, KeyVal *kv, DriveOpen *o, GError **errp)
{
    bool direct, ro;

    if (!keyval_bool(kv, "snapshot", false, &o->snapshot, errp) ||
        !parse_cache(kv, &o->flags, &o->writeback, errp) ||
        !keyval_bool(kv, "cache.direct", o->flags & BLOCK_DIRECT, &direct,
                     errp) ||
        !parse_aio(kv, direct, &o->aio, errp) ||
        !parse_detect_zeroes(kv, &o->detect_zeroes, errp) ||
        !keyval_bool(kv, "copy-on-read", false, &o->copy_on_read, errp) ||
        !blk_parse_limits(kv, &o->limits, errp) ||
        !keyval_bool(kv, "readonly", d->cdrom, &ro, errp) ||
        !keyval_bool(kv, "read-only", ro, &o->read_only, errp)) {
        return false;
    }
    d->throttle_group = g_strdup(keyval_get(kv, "throttling.group"));
    if (o->copy_on_read && o->read_only) {
        warn_report("disabling copy-on-read on read-only drive");
    }
    o->flags |= BLOCK_NO_SHARE;
    if (!o->read_only && !o->snapshot) {
        o->flags |= BLOCK_RDWR | BLOCK_AUTO_RDONLY;
    }
    return true;
}

static const char *drive_format(KeyVal *kv, bool *ok, GError **errp)
{
    const char *format = keyval_get(kv, "format");
    const char *driver = keyval_get(kv, "driver");

    *ok = !(format && driver);
    if (!*ok) {
        error_setg(errp, "Cannot specify both 'driver' and 'format'");
    }
    return format ? format : driver;
}

/* The overlay of snapshot=on, which takes @bn. */
static BlockNode *drive_overlay(Drive *d, BlockNode *bn, GError **errp)
{
    BlockNode *top = block_open_snapshot(bn, errp);

    if (!top) {
        block_close(bn, NULL);
        return NULL;
    }
    if (!block_graph_add(machine_block_graph(d->machine), top, NULL, errp)) {
        block_close(top, NULL);
        return NULL;
    }
    return top;
}

/* True with *out NULL: there is no medium. */
static bool drive_open(Drive *d, KeyVal *kv, const DriveOpen *o,
                       BlockNode **out, GError **errp)
{
    g_autoptr(KeyVal) opts = keyval_new();
    const char *file = keyval_get(kv, "file"), *format;
    unsigned n = 0;
    bool ok;

    *out = NULL;
    format = drive_format(kv, &ok, errp);
    if (!ok) {
        return false;
    }
    keyval_foreach(kv, node_option, opts);
    keyval_foreach(opts, count_option, &n);
    if (file && !file[0]) {
        file = NULL;
    }
    if (!file && !format && n == 0) {
        return true;
    }
    *out = block_open_in(machine_block_graph(d->machine), file, format, opts,
                         o->flags, errp);
    if (*out && o->snapshot) {
        *out = drive_overlay(d, *out, errp);
    }
    return *out != NULL;
}

/* The name of a node of ours that has the "[file]" of @text open, or NULL. */
static const char *own_node(BlockGraph *g, const char *text)
{
    g_autoptr(GPtrArray) nodes = block_graph_nodes(g);

    for (guint i = 0; i < nodes->len; i++) {
        const BlockNode *bn = nodes->pdata[i];
        g_autofree char *file = g_strdup_printf("[%s]", bn->filename);

        if (bn->drv->fd && strstr(text, file)) {
            return bn->name;
        }
    }
    return NULL;
}

/* One line of it. */
static void pass_error(GError **errp, GError *err, BlockGraph *g)
{
    g_auto(GStrv) lines = g_strsplit(err->message, "\n", -1);
    g_autofree char *text = g_strjoinv("; ", lines);
    const char *own = strstr(text, "lock") ? own_node(g, text) : NULL;

    if (own) {
        error_setg(errp, "%s (it is open in this process, as node '%s')", text,
                   own);
    } else {
        error_setg(errp, "%s", text);
    }
    g_error_free(err);
}

static Drive *drive_parse(Machine *m, KeyVal *kv, DriveOpen *o, GError **errp)
{
    Drive *d = g_new0(Drive, 1);

    d->machine = m;
    if (!parse_if(d, kv, errp) || !parse_media(d, kv, errp) ||
        !parse_place(d, kv, errp) || !parse_id(d, kv, errp) ||
        !parse_error_actions(d, kv, errp) || !parse_open(d, kv, o, errp)) {
        drive_free(d);
        return NULL;
    }
    d->serial = g_strdup(keyval_get(kv, "serial"));
    return d;
}

bool drive_add(Machine *m, const char *text, GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_parse(text, NULL, errp);
    DriveOpen o = { 0 };
    GError *err = NULL;
    BlockNode *bn;
    Drive *d;

    if (!kv) {
        return false;
    }
    machine_drives(m);
    d = drive_parse(m, kv, &o, errp);
    if (!d) {
        return false;
    }
    if (!drive_open(d, kv, &o, &bn, &err)) {
        pass_error(errp, err, machine_block_graph(m));
        drive_free(d);
        return false;
    }
    d->text = g_strdup(text);
    d->blk = blk_new(d->id, bn, o.aio);
    blk_set_write_cache(d->blk, o.writeback);
    blk_set_detect_zeroes(d->blk, o.detect_zeroes);
    blk_set_copy_on_read(d->blk, o.copy_on_read);
    if (!set_limits(d, &o.limits, errp)) {
        drive_free(d);
        return false;
    }
    g_ptr_array_add(m->drives, d);
    return true;
}

/* ---- -blockdev ------------------------------------------------------------------ */

BlockNode *blockdev_open(BlockGraph *g, KeyVal *options, GError **errp)
{
    const char *driver = keyval_get(options, "driver");
    GError *err = NULL;
    BlockNode *bn;

    if (!driver) {
        error_setg(errp, "Parameter 'driver' is missing");
        return NULL;
    }
    if (!block_find_driver(driver)) {
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        g_autofree char *hint = NULL;

        for (unsigned i = 0; block_drivers[i]; i++) {
            g_ptr_array_add(names, (char *)block_drivers[i]->name);
        }
        hint = did_you_mean(driver, names_end(names), " (");
        error_setg(errp, "Parameter 'driver' does not accept value '%s'%s",
                   driver, hint);
        return NULL;
    }
    if (!keyval_get(options, "node-name")) {
        error_setg(errp, "'node-name' must be specified for the root node");
        return NULL;
    }
    bn = block_open_in(g, NULL, NULL, options, BLOCK_RDWR | BLOCK_NO_SHARE,
                       &err);
    if (!bn) {
        pass_error(errp, err, g);
    }
    return bn;
}
