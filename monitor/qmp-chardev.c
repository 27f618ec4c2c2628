/* QMP about character devices, and descriptors that clients pass. */
#include "util/osdep.h"
#include <limits.h>
#include "util/error.h"
#include "util/fdset.h"
#include "chardev/chardev.h"
#include "monitor/fds.h"
#include "monitor/qmp-cmds.h"

#if CONFIG_JSON_C

static int by_id(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* In the order of their names: a hash table has none. */
json_object *qmp_query_chardev(Machine *m, const Args *args, GError **errp)
{
    json_object *list = json_object_new_array();
    guint n;
    g_autofree void **ids = g_hash_table_get_keys_as_array(m->chardevs, &n);

    qsort(ids, n, sizeof(*ids), by_id);
    for (guint i = 0; i < n; i++) {
        const Chardev *c = g_hash_table_lookup(m->chardevs, ids[i]);
        json_object *o = js_add(list, json_object_new_object());

        js_bool(o, "frontend-open", c->client != NULL);
        js_str(o, "filename", c->where);
        js_str(o, "label", c->id);
    }
    return list;
}

json_object *qmp_query_chardev_backends(Machine *m, const Args *args,
                                        GError **errp)
{
    json_object *list = json_object_new_array();

    for (int i = 0; char_backends[i]; i++) {
        js_str(js_add(list, json_object_new_object()), "name",
               char_backends[i]->name);
    }
    return list;
}

static Chardev *find(Machine *m, const char *id, GError **errp)
{
    Chardev *c = g_hash_table_lookup(m->chardevs, id);

    if (!c) {
        error_setg(errp, "Chardev '%s' not found", id);
    }
    return c;
}

/* ---- chardev-add ------------------------------------------------------------- */

/* A member of the QMP object to what -chardev calls it. */
static const struct {
    const char *qmp, *option;
} renamed[] = {
    { "out", "path" },    /* file */
    { "device", "path" }, /* pipe */
    { "append", "append" },
    { "in", "input-path" },
};

static const char *option_name(const char *qmp)
{
    for (size_t i = 0; i < G_N_ELEMENTS(renamed); i++) {
        if (!strcmp(renamed[i].qmp, qmp)) {
            return renamed[i].option;
        }
    }
    return qmp;
}

/* {"type": "unix", "data": {...}}: the data belong to the socket itself. A
 * descriptor's name becomes its number. */
static bool take_address(Machine *m, json_object *options, json_object *addr,
                         GError **errp)
{
    json_object *data = js_get(addr, "data");
    const char *fd_name;
    int fd;

    if (!data || !json_object_is_type(data, json_type_object)) {
        error_setg(errp, "Parameter 'backend.data.addr.data' is missing");
        return false;
    }
    json_object_object_foreach(data, key, v)
    {
        if (strcmp(key, "str")) {
            js_put(options, key, json_object_get(v));
        }
    }
    fd_name = js_get_str(data, "str");
    if (!fd_name) {
        return true;
    }
    if (g_ascii_isdigit(fd_name[0])) { /* a number that we were started with */
        js_str(options, "fd", fd_name);
        return true;
    }
    fd = fds_take(m, fd_name, errp);
    if (fd < 0) {
        return false;
    }
    js_int(options, "fd", fd);
    return true;
}

/* The text of -chardev, as JSON. */
static json_object *chardev_options(Machine *m, const char *id,
                                    json_object *backend, GError **errp)
{
    g_autoptr(json_object) o = json_object_new_object();
    json_object *data = js_get(backend, "data");
    bool socket = !strcmp(js_get_str(backend, "type"), "socket");

    js_str(o, "backend", js_get_str(backend, "type"));
    js_str(o, "id", id);
    if (socket) { /* not as on the command line */
        js_bool(o, "server", true);
        js_bool(o, "wait", false);
    }
    if (!data) {
        return g_steal_pointer(&o);
    }
    json_object_object_foreach(data, key, v)
    {
        if (!strcmp(key, "addr")) {
            if (!take_address(m, o, v, errp)) {
                return NULL;
            }
        } else {
            js_put(o, option_name(key), json_object_get(v));
        }
    }
    return g_steal_pointer(&o);
}

json_object *qmp_chardev_add(Machine *m, const Args *args, GError **errp)
{
    g_autoptr(json_object) o = chardev_options(
        m, args_str(args, "id"), args_json(args, "backend"), errp);
    g_autofree char *text = o ? js_text(o) : NULL;
    Chardev *c = text ? chardev_new(m->chardevs, text, errp) : NULL;
    json_object *ret;

    if (!c) {
        if (js_get_int(o, "fd")) {
            close((int)js_get_int(o, "fd"));
        }
        return NULL;
    }
    ret = json_object_new_object();
    if (g_str_has_prefix(c->where, "pty:")) {
        js_str(ret, "pty", c->where + strlen("pty:"));
    }
    return ret;
}

/* A device that only writes need not be the chardev's client. */
static bool device_has(const Device *dev, const Chardev *c)
{
    const Property *p = dev->cls->props;

    for (; p && p->kind != PROP_END; p++) {
        if (p->kind == PROP_CHARDEV &&
            *(Chardev *const *)((const char *)dev + p->offset) == c) {
            return true;
        }
    }
    return false;
}

static bool in_use(const Machine *m, const Chardev *c)
{
    bool used = c->client || chardev_is_mux(c) || m->debugcon == c;

    for (unsigned i = 0; i < MACHINE_SERIALS; i++) {
        used |= m->serial[i] == c;
    }
    for (guint i = 0; i < m->devices->len; i++) {
        used |= device_has(m->devices->pdata[i], c);
    }
    for (guint i = 0; m->objects && i < m->objects->len; i++) {
        used |= device_has(m->objects->pdata[i], c);
    }
    return used;
}

json_object *qmp_chardev_remove(Machine *m, const Args *args, GError **errp)
{
    Chardev *c = find(m, args_str(args, "id"), errp);

    if (!c) {
        return NULL;
    }
    if (in_use(m, c)) {
        error_setg(errp, "Chardev '%s' is busy", c->id);
        return NULL;
    }
    g_hash_table_remove(m->chardevs, c->id);
    chardev_free(c);
    return NULL;
}

json_object *qmp_chardev_send_break(Machine *m, const Args *args, GError **errp)
{
    Chardev *c = find(m, args_str(args, "id"), errp);

    if (c) {
        chardev_event(c, CHAR_BREAK);
    }
    return NULL;
}

/* ---- ring buffers ------------------------------------------------------------------ */

enum { RINGBUF_READ_MAX = 16 << 20 };

static bool is_base64(const Args *args)
{
    return !g_strcmp0(args_str(args, "format"), "base64");
}

json_object *qmp_ringbuf_read(Machine *m, const Args *args, GError **errp)
{
    const char *id = args_str(args, "device");
    Chardev *c = g_hash_table_lookup(m->chardevs, id);
    int64_t size = args_int(args, "size", 0);
    g_autoptr(GByteArray) bytes = NULL;
    g_autofree char *text = NULL;

    if (!c) {
        error_setg(errp, "Device '%s' not found", id);
        return NULL;
    }
    if (size <= 0) {
        error_setg(errp, "size must be greater than zero");
        return NULL;
    }
    bytes = ringbuf_take(c, MIN(size, RINGBUF_READ_MAX));
    if (!bytes) {
        error_setg(errp, "%s is not a ringbuf device", id);
        return NULL;
    }
    text = !bytes->len ? g_strdup("") /* and data is NULL */
           : is_base64(args)
               ? g_base64_encode(bytes->data, bytes->len)
               : g_utf8_make_valid((const char *)bytes->data, bytes->len);
    return json_object_new_string(text);
}

json_object *qmp_ringbuf_write(Machine *m, const Args *args, GError **errp)
{
    const char *id = args_str(args, "device");
    const char *data = args_str(args, "data");
    Chardev *c = g_hash_table_lookup(m->chardevs, id);
    gsize len = strlen(data);

    if (!c) {
        error_setg(errp, "Device '%s' not found", id);
    } else if (strcmp(c->backend->name, "ringbuf")) {
        error_setg(errp, "%s is not a ringbuf device", id);
    } else if (is_base64(args)) {
        g_autofree guchar *bytes = g_base64_decode(data, &len);

        chardev_write(c, bytes, len);
    } else {
        chardev_write(c, data, len);
    }
    return NULL;
}

/* ---- descriptors ---------------------------------------------------------------------- */

json_object *qmp_getfd(Machine *m, const Args *args, GError **errp)
{
    fds_take_passed(args_monitor(args), args_str(args, "fdname"), errp);
    return NULL;
}

json_object *qmp_closefd(Machine *m, const Args *args, GError **errp)
{
    int fd = fds_take(m, args_str(args, "fdname"), errp);

    if (fd >= 0) {
        close(fd);
    }
    return NULL;
}

/* Sets of them: /dev/fdset/N. */
json_object *qmp_add_fd(Machine *m, const Args *args, GError **errp)
{
    int fd = mon_take_fd(args_monitor(args));
    int64_t set = args_int(args, "fdset-id", -1);
    json_object *o;

    if (fd < 0) {
        error_setg(errp, "No file descriptor supplied via SCM_RIGHTS");
        return NULL;
    }
    if (args_has(args, "fdset-id") && set < 0) {
        error_setg(errp, "Parameter 'fdset-id' expects a non-negative value");
        close(fd);
        return NULL;
    }
    set = fdset_add(fd, set, args_str(args, "opaque"), errp);
    if (set < 0) {
        return NULL;
    }
    o = json_object_new_object();
    js_int(o, "fd", fd);
    js_int(o, "fdset-id", set);
    return o;
}

json_object *qmp_remove_fd(Machine *m, const Args *args, GError **errp)
{
    int64_t set = args_int(args, "fdset-id", -1);
    int64_t fd = args_int(args, "fd", -1);
    g_autofree char *name =
        args_has(args, "fd")
            ? g_strdup_printf("fdset-id:%" PRId64 ", fd:%" PRId64, set, fd)
            : g_strdup_printf("fdset-id:%" PRId64, set);

    if (set < 0 || (args_has(args, "fd") && fd < 0) || fd > INT_MAX ||
        !fdset_remove(set, (int)fd, NULL)) {
        error_setg(errp, "File descriptor named '%s' not found", name);
    }
    return NULL;
}

/* The sets come in order. */
static void list_fd(int64_t set, int fd, const char *text, void *opaque)
{
    json_object *list = opaque, *last, *o;
    size_t n = json_object_array_length(list);

    last = n ? json_object_array_get_idx(list, n - 1) : NULL;
    if (!last || js_get_int(last, "fdset-id") != set) {
        last = js_add(list, json_object_new_object());
        js_int(last, "fdset-id", set);
        js_put(last, "fds", json_object_new_array());
    }
    o = js_add(js_get(last, "fds"), json_object_new_object());
    js_int(o, "fd", fd);
    js_str(o, "opaque", text);
}

json_object *qmp_query_fdsets(Machine *m, const Args *args, GError **errp)
{
    json_object *list = json_object_new_array();

    fdset_foreach(list_fd, list);
    return list;
}

#endif
