/*
 * The middle of a byte stream: makes back ends from option texts, connects a
 * client, keeps a log.
 */
#include "util/osdep.h"
#include <fcntl.h>
#include "util/error.h"
#include "util/fdset.h"
#include "util/log.h"
#include "util/nearest.h"
#include "chardev/chardev.h"
#include "chardev/internal.h"

/* ---- between back end and client -------------------------------------------- */

void chardev_event(Chardev *c, CharEvent event)
{
    if (event == CHAR_OPENED) {
        c->is_open = true;
    } else if (event == CHAR_CLOSED) {
        c->is_open = false;
    }
    if (c->client && c->client->event) {
        c->client->event(c->client_opaque, event);
    }
}

size_t chardev_room(Chardev *c)
{
    if (!c->client || !c->client->can_receive) {
        return 0;
    }
    return c->client->can_receive(c->client_opaque);
}

void chardev_deliver(Chardev *c, const uint8_t *buf, size_t len)
{
    if (c->client && c->client->receive) {
        c->client->receive(c->client_opaque, buf, len);
    }
}

void chardev_writable(Chardev *c)
{
    if (c->client && c->client->writable) {
        c->client->writable(c->client_opaque);
    }
}

bool chardev_attach(Chardev *c, const CharClient *client, void *opaque,
                    GError **errp)
{
    if (c->backend->attach) {
        return c->backend->attach(c, client, opaque, errp);
    }
    if (c->client) {
        error_setg(errp,
                   "character device '%s' has a user already; add "
                   "mux=on to its -chardev (or use mon:stdio) to share it",
                   c->id);
        return false;
    }
    c->client = client;
    c->client_opaque = opaque;
    if (c->is_open && client->event) {
        client->event(opaque, CHAR_OPENED);
    }
    chardev_resume(c);
    return true;
}

void chardev_detach(Chardev *c, void *opaque)
{
    if (c->backend->detach) {
        c->backend->detach(c, opaque);
    } else if (c->client_opaque == opaque) {
        c->client = NULL;
        c->client_opaque = NULL;
    }
}

static void chardev_log(Chardev *c, const uint8_t *buf, size_t len)
{
    while (len) {
        ssize_t n = write(c->log_fd, buf, len);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            warn_report("chardev %s: writing its logfile: %s", c->id,
                        strerror(errno));
            close(c->log_fd);
            c->log_fd = -1;
            return;
        }
        buf += n;
        len -= n;
    }
}

size_t chardev_write(Chardev *c, const void *buf, size_t len)
{
    ssize_t n = c->backend->write(c, buf, len);

    if (n > 0 && c->log_fd >= 0) {
        chardev_log(c, buf, n);
    }
    return n < 0 ? 0 : n;
}

void chardev_resume(Chardev *c)
{
    if (c->backend->resume) {
        c->backend->resume(c);
    }
}

int chardev_take_fd(Chardev *c)
{
    return c->backend->take_fd ? c->backend->take_fd(c) : -1;
}

/* ---- making and freeing ------------------------------------------------------- */

static const CharBackend *backend_find(const char *name, GError **errp)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *hint = NULL;

    for (int i = 0; char_backends[i]; i++) {
        if (!strcmp(name, char_backends[i]->name)) {
            return char_backends[i];
        }
        g_ptr_array_add(names, (char *)char_backends[i]->name);
    }
    hint = did_you_mean(name, names_end(names), " (");
    error_setg(errp, "'%s' is not a valid char driver name%s", name,
               *hint ? hint : " (-chardev help lists them)");
    return NULL;
}

static bool open_log(Chardev *c, KeyVal *kv, GError **errp)
{
    const char *path = keyval_get(kv, "logfile");
    bool append;

    if (!keyval_bool(kv, "logappend", false, &append, errp)) {
        return false;
    }
    if (!path) {
        return true;
    }
    c->log_fd = fdset_open(
        path, O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC), 0666);
    if (c->log_fd < 0) {
        error_setg_errno(errp, errno, "unable to open logfile %s", path);
        return false;
    }
    return true;
}

/* One terminal, one user: say who has it and how to share. */
static bool stdio_is_free(GHashTable *chardevs, const CharBackend *be,
                          GError **errp)
{
    GHashTableIter it;
    void *other;

    if (strcmp(be->name, "stdio")) {
        return true;
    }
    g_hash_table_iter_init(&it, chardevs);
    while (g_hash_table_iter_next(&it, NULL, &other)) {
        Chardev *o = other;

        if (o->backend == be) {
            error_setg(errp,
                       "cannot use stdio by multiple character devices: "
                       "'%s' has it already; share it with -serial mon:stdio "
                       "or -chardev stdio,mux=on,id=...",
                       o->id);
            return false;
        }
    }
    return true;
}

static Chardev *chardev_make(GHashTable *chardevs, const char *id, KeyVal *kv,
                             GError **errp)
{
    const char *name = keyval_get(kv, "backend");
    const CharBackend *be = name ? backend_find(name, errp) : NULL;
    const char *unused;
    Chardev *c;

    if (!name) {
        error_setg(errp, "chardev: name the back end first, as in "
                         "socket,id=c0,path=p");
        return NULL;
    }
    if (!be || !stdio_is_free(chardevs, be, errp)) {
        return NULL;
    }
    if (g_hash_table_contains(chardevs, id)) {
        error_setg(errp, "Chardev with id '%s' already exists", id);
        return NULL;
    }
    c = g_malloc0(be->size);
    c->backend = be;
    c->id = g_strdup(id);
    c->log_fd = -1;
    keyval_get(kv, "id");
    if (!open_log(c, kv, errp) || (be->open && !be->open(c, kv, errp))) {
        chardev_free(c);
        return NULL;
    }
    unused = keyval_unused(kv);
    if (unused) {
        error_setg(errp, "chardev %s: unknown option '%s'", be->name, unused);
        chardev_free(c);
        return NULL;
    }
    if (!c->where) {
        c->where = g_strdup(be->name);
    }
    g_hash_table_insert(chardevs, c->id, c);
    return c;
}

static Chardev *make_muxed(GHashTable *chardevs, const char *id, KeyVal *kv,
                           GError **errp)
{
    g_autofree char *base_id = g_strdup_printf("%s-base", id);
    g_autoptr(KeyVal) mux_kv = keyval_new();
    Chardev *base = chardev_make(chardevs, base_id, kv, errp);
    Chardev *mux;

    if (!base) {
        return NULL;
    }
    keyval_set(mux_kv, "backend", "mux");
    mux = chardev_make(chardevs, id, mux_kv, errp);
    if (!mux || !mux_set_base(mux, base, errp)) {
        return NULL;
    }
    return mux;
}

Chardev *chardev_new(GHashTable *chardevs, const char *text, GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_parse(text, "backend", errp);
    const char *id;
    bool mux;

    if (!kv || !keyval_bool(kv, "mux", false, &mux, errp)) {
        return NULL;
    }
    id = keyval_get(kv, "id");
    if (!id) {
        error_setg(errp, "chardev: no id specified");
        return NULL;
    }
    return mux ? make_muxed(chardevs, id, kv, errp)
               : chardev_make(chardevs, id, kv, errp);
}

void chardev_free(Chardev *c)
{
    if (c->backend->close) {
        c->backend->close(c);
    }
    if (c->log_fd >= 0) {
        close(c->log_fd);
    }
    g_free(c->where);
    g_free(c->id);
    g_free(c);
}

/* ---- the old texts of -serial and -monitor -------------------------------------- */

/* "host:port,server,nowait" or ":port" to options of a socket. */
static bool legacy_inet(KeyVal *kv, const char *text, GError **errp)
{
    size_t addr_len = strcspn(text, ",");
    g_autofree char *addr = g_strndup(text, addr_len);
    char *colon = strrchr(addr, ':');

    if (!colon) {
        error_setg(errp, "'%s': must be host:port", addr);
        return false;
    }
    *colon = '\0';
    keyval_set(kv, "host", addr);
    keyval_set(kv, "port", colon + 1);
    if (text[addr_len]) {
        g_autoptr(KeyVal) rest = keyval_parse(text + addr_len + 1, NULL, errp);

        if (!rest) {
            return false;
        }
        keyval_merge(kv, rest);
    }
    return true;
}

static bool legacy_path(KeyVal *kv, const char *text, GError **errp)
{
    g_autoptr(KeyVal) parsed = keyval_parse(text, "path", errp);

    if (!parsed) {
        return false;
    }
    keyval_merge(kv, parsed);
    return true;
}

typedef struct LegacyForm {
    const char *prefix; /* with ':' or a whole word */
    const char *backend;
    bool (*rest)(KeyVal *kv, const char *text, GError **errp);
} LegacyForm;

static const LegacyForm legacy_forms[] = {
    { "stdio", "stdio", NULL },
    { "null", "null", NULL },
    { "pty", "pty", NULL },
    { "vc", "null", NULL }, /* a text screen: there is none to show it on */
    { "ringbuf", "ringbuf", NULL },
    { "file:", "file", legacy_path },
    { "pipe:", "pipe", legacy_path },
    { "unix:", "socket", legacy_path },
    { "tcp:", "socket", legacy_inet },
    { "telnet:", "socket", legacy_inet },
};

static const LegacyForm *legacy_find(const char *text)
{
    for (size_t i = 0; i < G_N_ELEMENTS(legacy_forms); i++) {
        const LegacyForm *f = &legacy_forms[i];
        size_t n = strlen(f->prefix);

        if (!strncmp(text, f->prefix, n) &&
            (f->rest || !text[n] || text[n] == ',' || text[n] == ':')) {
            return f;
        }
    }
    return NULL;
}

static bool legacy_parse(KeyVal *kv, const char *text, GError **errp)
{
    const LegacyForm *f = legacy_find(text);

    if (!f) {
        error_setg(errp,
                   "'%s' is not a character device: stdio, mon:stdio, "
                   "null, none, pty, file:path, pipe:path, unix:path, "
                   "tcp:host:port, telnet:host:port, chardev:id",
                   text);
        return false;
    }
    keyval_set(kv, "backend", f->backend);
    if (!strcmp(f->prefix, "telnet:")) {
        keyval_set(kv, "telnet", "on");
    }
    return !f->rest || f->rest(kv, text + strlen(f->prefix), errp);
}

Chardev *chardev_new_legacy(GHashTable *chardevs, const char *label,
                            const char *text, GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_new();
    bool mux = g_str_has_prefix(text, "mon:");
    Chardev *c;

    if (g_str_has_prefix(text, "chardev:")) {
        c = g_hash_table_lookup(chardevs, text + strlen("chardev:"));
        if (!c) {
            error_setg(errp, "chardev '%s' not found",
                       text + strlen("chardev:"));
        }
        return c;
    }
    if (!strcmp(text, "none")) {
        return NULL;
    }
    if (text[0] == '{') {
        error_setg(errp, "JSON is for -chardev");
        return NULL;
    }
    if (!legacy_parse(kv, mux ? text + 4 : text, errp)) {
        return NULL;
    }
    if (mux) {
        if (!g_strcmp0(keyval_get(kv, "backend"), "stdio")) {
            keyval_set(kv, "signal", "off");
            if (isatty(STDIN_FILENO)) {
                fprintf(stderr, "Ctrl-a x quits, Ctrl-a c: monitor, "
                                "Ctrl-a h: help\n");
            }
        }
        return make_muxed(chardevs, label, kv, errp);
    }
    return chardev_make(chardevs, label, kv, errp);
}
