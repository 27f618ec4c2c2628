/*
 * blkdebug: a file whose requests fail when rules say so. For tests of what is
 * above it, with QEMU's options:
 *
 *     blkdebug:CONFIG:IMAGE         or  driver=blkdebug,image.filename=IMAGE
 *     inject-error.N.event, .state, .errno, .sector, .once, .iotype,
 *     .immediately, set-state.N.event, .state, .new_state, config=FILE
 *
 * An event makes its inject-error rules (of the present state; 0: of any) the
 * active ones; the next request that fits one fails. "once" rules are active
 * only until they have failed a request. set-state rules take effect after the
 * event's errors are chosen.
 *
 * Not there: suspending requests ("break" of rhea-io), align, max-transfer and
 * the other limits, permissions ("take-child-perms").
 */
#include "util/osdep.h"
#include "block/blkdebug.h"
#include "block/drivers.h"

#include "util/error.h"
#include "util/iov.h"
#include "util/log.h"
#include "util/nearest.h"

#include <limits.h>

typedef struct Rule {
    unsigned event, state; /* state 0: any */
    bool set_state;
    unsigned new_state;
    int err;
    int64_t sector; /* -1: all */
    bool once;
    int iotype; /* -1: all */
    bool active;
} Rule;

typedef struct DebugState {
    GMutex lock;   /* below */
    GArray *rules; /* of Rule */
    unsigned state;
} DebugState;

static const char *const event_names[] = {
#define EVENT(ID, name, here) #name,
#include "block/blkdebug.def"
    NULL,
};

static const bool event_here[] = {
#define EVENT(ID, name, here) here,
#include "block/blkdebug.def"
};

enum { IO_READ, IO_WRITE, IO_ZEROES, IO_DISCARD, IO_FLUSH, IO_STATUS };
static const char *const io_names[] = {
    "read", "write", "write-zeroes", "discard", "flush", "block-status", NULL,
};

/* ---- rules ------------------------------------------------------------------------- */

static int name_index(const char *const *names, const char *name)
{
    for (int i = 0; names[i]; i++) {
        if (strcmp(names[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

static bool rule_event(KeyVal *kv, Rule *r, GError **errp)
{
    const char *name = keyval_get(kv, "event");
    int i = name ? name_index(event_names, name) : -1;

    if (i < 0) {
        g_autofree char *hint = did_you_mean(name, event_names, " (");

        error_setg(errp,
                   name ? "Unknown event '%s'%s"
                        : "a blkdebug rule needs an event%s%s",
                   name ? name : "", hint);
        return false;
    }
    if (!event_here[i]) {
        log_mask(LOG_UNIMP, "blkdebug: event '%s' never happens here\n", name);
    }
    r->event = (unsigned)i;
    return true;
}

/* @kv has the keys of one rule. */
static bool rule_parse(DebugState *s, KeyVal *kv, bool set_state, GError **errp)
{
    Rule r = { .set_state = set_state, .sector = -1, .iotype = -1 };
    const char *iotype = keyval_get(kv, "iotype");
    uint64_t state, new_state, err, sector;
    bool now;

    if (!rule_event(kv, &r, errp) ||
        !keyval_u64(kv, "state", 0, &state, errp) ||
        !keyval_u64(kv, "new_state", 0, &new_state, errp) ||
        !keyval_u64(kv, "errno", EIO, &err, errp) ||
        !keyval_u64(kv, "sector", UINT64_MAX, &sector, errp) ||
        !keyval_bool(kv, "once", false, &r.once, errp) ||
        !keyval_bool(kv, "immediately", false, &now, errp)) {
        return false;
    }
    if (iotype) {
        r.iotype = name_index(io_names, iotype);
        if (r.iotype < 0) {
            error_setg(errp,
                       "Unknown iotype '%s': read, write, write-zeroes, "
                       "discard, flush or block-status",
                       iotype);
            return false;
        }
    }
    if (state > UINT_MAX || new_state > UINT_MAX || err > 4095 ||
        (sector != UINT64_MAX && sector > INT64_MAX / 512)) {
        error_setg(errp, "a number of a blkdebug rule is too large");
        return false;
    }
    if (set_state && !new_state) {
        error_setg(errp, "set-state needs new_state, 1 or more");
        return false;
    }
    r.state = (unsigned)state;
    r.new_state = (unsigned)new_state;
    r.err = (int)err;
    r.sector = sector == UINT64_MAX ? -1 : (int64_t)sector;
    g_array_append_val(s->rules, r);
    return block_options_used(kv, "blkdebug", errp);
}

/* inject-error.0.event=..., set-state.0.event=...: as long as there are some. */
static bool rules_from_options(DebugState *s, KeyVal *options, GError **errp)
{
    static const char *const kinds[] = { "inject-error", "set-state" };

    for (unsigned k = 0; k < 2; k++) {
        for (unsigned i = 0;; i++) {
            g_autofree char *prefix = g_strdup_printf("%s.%u.", kinds[k], i);
            g_autofree char *event = g_strdup_printf("%sevent", prefix);
            g_autoptr(KeyVal) kv = NULL;

            if (!keyval_get(options, event)) {
                break;
            }
            kv = block_sub_options(options, prefix);
            if (!rule_parse(s, kv, k == 1, errp)) {
                return false;
            }
        }
    }
    return true;
}

static char *unquoted(char *text)
{
    size_t len;

    g_strstrip(text);
    len = strlen(text);
    if (len >= 2 && text[0] == '"' && text[len - 1] == '"') {
        text[len - 1] = 0;
        text++;
    }
    return text;
}

/* A file of [inject-error] and [set-state] sections with key = "value". */
static bool rules_from_file(DebugState *s, const char *path, GError **errp)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    g_autoptr(KeyVal) kv = NULL;
    bool set_state = false;

    if (!g_file_get_contents(path, &text, NULL, NULL)) {
        error_setg(errp, "Could not read blkdebug config file '%s'", path);
        return false;
    }
    lines = g_strsplit(text, "\n", -1);
    for (unsigned i = 0; lines[i]; i++) {
        char *line = g_strstrip(lines[i]), *eq = strchr(line, '=');

        if (line[0] == '[') {
            if (kv && !rule_parse(s, kv, set_state, errp)) {
                return false;
            }
            g_clear_pointer(&kv, keyval_free);
            set_state = g_str_has_prefix(line, "[set-state");
            if (!set_state && !g_str_has_prefix(line, "[inject-error")) {
                error_setg(errp, "%s:%u: [inject-error] or [set-state], not %s",
                           path, i + 1, line);
                return false;
            }
            kv = keyval_new();
        } else if (line[0] && line[0] != '#') {
            if (!kv || !eq) {
                error_setg(errp, "%s:%u: expected key = \"value\"", path,
                           i + 1);
                return false;
            }
            *eq = 0;
            keyval_set(kv, g_strstrip(line), unquoted(eq + 1));
        }
    }
    return !kv || rule_parse(s, kv, set_state, errp);
}

/* ---- events and errors ------------------------------------------------------------------ */

static void debug_event(BlockNode *bn, unsigned event)
{
    DebugState *s = bn->s;
    unsigned next;
    bool injected = false;

    g_mutex_lock(&s->lock);
    next = s->state;
    for (guint i = 0; i < s->rules->len; i++) {
        Rule *r = &g_array_index(s->rules, Rule, i);

        if (r->event != event || (r->state && r->state != s->state)) {
            continue;
        }
        if (r->set_state) {
            next = r->new_state;
            continue;
        }
        for (guint k = 0; !injected && k < s->rules->len; k++) {
            g_array_index(s->rules, Rule, k).active = false;
        }
        injected = r->active = true;
    }
    s->state = next;
    g_mutex_unlock(&s->lock);
}

static int debug_check(BlockNode *bn, int iotype, uint64_t off, uint64_t len)
{
    DebugState *s = bn->s;
    int ret = 0;

    g_mutex_lock(&s->lock);
    for (guint i = 0; i < s->rules->len && ret == 0; i++) {
        Rule *r = &g_array_index(s->rules, Rule, i);
        uint64_t at = (uint64_t)r->sector * 512;

        if (!r->active || (r->iotype >= 0 && r->iotype != iotype) ||
            (r->sector >= 0 && (at < off || at - off >= len))) {
            continue;
        }
        ret = -r->err;
        if (r->once) {
            g_array_remove_index(s->rules, i);
            break;
        }
    }
    g_mutex_unlock(&s->lock);
    return ret;
}

/* ---- requests ------------------------------------------------------------------------------- */

static int debug_read(BlockNode *bn, uint64_t off, const struct iovec *iov,
                      int n)
{
    int ret = debug_check(bn, IO_READ, off, iov_size(iov, n));

    return ret < 0 ? ret : block_preadv(bn->file, off, iov, n);
}

static int debug_write(BlockNode *bn, uint64_t off, const struct iovec *iov,
                       int n, unsigned flags)
{
    int ret;

    debug_event(bn, BLKDBG_PWRITEV);
    ret = debug_check(bn, IO_WRITE, off, iov_size(iov, n));
    if (ret == 0) {
        ret = block_pwritev(bn->file, off, iov, n, flags);
        block_grew(bn, ret == 0 ? off + iov_size(iov, n) : 0);
    }
    debug_event(bn, BLKDBG_PWRITEV_DONE);
    return ret;
}

static int debug_zero(BlockNode *bn, uint64_t off, uint64_t len, unsigned flags)
{
    int ret;

    debug_event(bn, BLKDBG_PWRITEV_ZERO);
    ret = debug_check(bn, IO_ZEROES, off, len);
    if (ret == 0) {
        ret = block_zero(bn->file, off, len, flags);
        block_grew(bn, ret == 0 ? off + len : 0);
    }
    return ret;
}

static int debug_discard(BlockNode *bn, uint64_t off, uint64_t len)
{
    int ret = debug_check(bn, IO_DISCARD, off, len);

    return ret < 0 ? ret : block_discard(bn->file, off, len);
}

static int debug_flush(BlockNode *bn)
{
    int ret;

    debug_event(bn, BLKDBG_FLUSH_TO_OS);
    debug_event(bn, BLKDBG_FLUSH_TO_DISK);
    ret = debug_check(bn, IO_FLUSH, 0, 0);
    return ret < 0 ? ret : block_flush(bn->file);
}

/* Without offsets: requests must come by here. */
static int debug_map(BlockNode *bn, uint64_t off, uint64_t len, unsigned flags,
                     BlockExtent *out)
{
    int ret = debug_check(bn, IO_STATUS, off, len);

    if (ret == 0) {
        ret = block_map(bn->file, off, len, flags, out);
    }
    out->has_offset = out->in_place = false;
    return ret;
}

static bool debug_resize(BlockNode *bn, uint64_t size, const char *prealloc,
                         bool shrink, GError **errp)
{
    bool ok = block_resize(bn->file, size, prealloc, shrink, errp);

    bn->size = bn->file->size;
    return ok;
}

/* ---- open and close ---------------------------------------------------------------------------- */

/* "blkdebug:CONFIG:IMAGE"; both are new strings. */
static bool split_name(const char *name, char **config, char **image)
{
    const char *at = name ? strchr(name, ':') : NULL, *colon;

    colon = at ? strchr(at + 1, ':') : NULL;
    if (!colon) {
        return false;
    }
    *config = g_strndup(at + 1, (gsize)(colon - at - 1));
    *image = g_strdup(colon + 1);
    return true;
}

static bool open_image(BlockNode *bn, KeyVal *options, const char *image,
                       GError **errp)
{
    g_autoptr(KeyVal) sub = block_sub_options(options, "image.");
    const char *ref = keyval_get(options, "image");
    const BlockDriver *proto = NULL;
    const char *name;

    if (ref) {
        bn->file = block_open_ref(bn->graph, ref, errp);
        return bn->file != NULL;
    }
    if (image) {
        keyval_set(sub, "filename", image);
    }
    name = keyval_get(sub, "filename");
    if (!name && !keyval_get(sub, "driver")) {
        error_setg(errp, "A block device must be specified for \"image\"");
        return false;
    }
    if (!keyval_get(sub, "driver")) {
        proto = block_find_protocol(name, errp);
        if (!proto) {
            return false;
        }
    }
    bn->file = block_open_in(bn->graph, NULL, proto ? proto->name : NULL, sub,
                             bn->flags, errp);
    return bn->file != NULL;
}

static bool debug_open(BlockNode *bn, KeyVal *options, GError **errp)
{
    g_autofree char *config = NULL, *image = NULL;
    DebugState *s = bn->s;
    const char *path;

    split_name(bn->filename, &config, &image);
    s->rules = g_array_new(false, false, sizeof(Rule));
    s->state = 1;
    g_mutex_init(&s->lock);
    path = keyval_get(options, "config");
    if (!path && config && config[0]) {
        path = config;
    }
    if ((path && !rules_from_file(s, path, errp)) ||
        !rules_from_options(s, options, errp) ||
        !(bn->file || open_image(bn, options, image, errp))) {
        g_array_unref(s->rules);
        g_mutex_clear(&s->lock);
        return false;
    }
    bn->size = bn->file->size;
    bn->growable = bn->file->growable;
    bn->read_only |= bn->file->read_only;
    if (!bn->filename) {
        bn->filename = g_strdup_printf("blkdebug::%s", bn->file->filename);
    }
    debug_event(bn, BLKDBG_NONE);
    return true;
}

static void debug_close(BlockNode *bn)
{
    DebugState *s = bn->s;

    g_array_unref(s->rules);
    g_mutex_clear(&s->lock);
}

const BlockDriver block_blkdebug = {
    .name = "blkdebug",
    .prefix = "blkdebug:",
    .size = sizeof(DebugState),
    .open = debug_open,
    .close = debug_close,
    .read = debug_read,
    .write = debug_write,
    .zero = debug_zero,
    .discard = debug_discard,
    .flush = debug_flush,
    .map = debug_map,
    .resize = debug_resize,
    .debug_event = debug_event,
};
