/*
 * Objects: see object.h.
 *
 * QEMU has many kinds; those that exist here are the classes with bus "object"
 * in hw/registry.c, and the rest is refused by name.
 */
#include "util/osdep.h"
#include "system/object.h"

#include "util/error.h"
#include "util/keyval.h"
#include "util/nearest.h"

/* QEMU 7.2's other kinds. */
static const char *const other_kinds[] = {
    "authz-list",
    "authz-list-file",
    "authz-pam",
    "authz-simple",
    "can-bus",
    "can-host-socketcan",
    "colo-compare",
    "cryptodev-backend",
    "cryptodev-backend-builtin",
    "cryptodev-backend-lkcf",
    "cryptodev-vhost-user",
    "dbus-vmstate",
    "filter-buffer",
    "filter-dump",
    "filter-mirror",
    "filter-redirector",
    "filter-replay",
    "filter-rewriter",
    "input-barrier",
    "input-linux",
    "iothread",
    "main-loop",
    "memory-backend-epc",
    "memory-backend-file",
    "memory-backend-memfd",
    "memory-backend-ram",
    "pr-manager-helper",
    "qtest",
    "rng-builtin",
    "rng-egd",
    "rng-random",
    "secret",
    "secret_keyring",
    "sev-guest",
    "throttle-group",
    "tls-cipher-suites",
    "tls-creds-anon",
    "tls-creds-psk",
    "tls-creds-x509",
    "x-remote-object",
    NULL,
};

bool object_is_late(const char *qom_type)
{
    return g_str_has_prefix(qom_type, "filter-") ||
           strcmp(qom_type, "colo-compare") == 0;
}

/* ---- finding ------------------------------------------------------------------ */

static Device *find(Machine *m, const char *id)
{
    for (guint i = 0; m->objects && i < m->objects->len; i++) {
        Device *obj = m->objects->pdata[i];

        if (strcmp(obj->id, id) == 0) {
            return obj;
        }
    }
    return NULL;
}

static bool class_fits(const Device *obj, const char *cls)
{
    return !cls ||
           (g_str_has_suffix(cls, "-") ? g_str_has_prefix(obj->cls->name, cls)
                                       : strcmp(obj->cls->name, cls) == 0);
}

static void no_such_object(Machine *m, const char *id, const char *cls,
                           GError **errp)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *hint = NULL;

    for (guint i = 0; m->objects && i < m->objects->len; i++) {
        Device *obj = m->objects->pdata[i];

        if (class_fits(obj, cls)) {
            g_ptr_array_add(names, obj->id);
        }
    }
    hint = did_you_mean(id, names_end(names), " (");
    error_setg(errp, "object '%s' not found%s", id, hint);
}

Device *object_find(Machine *m, const char *id, const char *cls, GError **errp)
{
    Device *obj = find(m, id);

    if (!obj) {
        no_such_object(m, id, cls, errp);
        return NULL;
    }
    if (!class_fits(obj, cls)) {
        error_setg(errp, "object '%s' is a %s, where a %s%s is needed", id,
                   obj->cls->name, cls,
                   g_str_has_suffix(cls, "-") ? "..." : "");
        return NULL;
    }
    return obj;
}

void object_ref(Device *obj)
{
    obj->users++;
}

void object_unref(Device *obj)
{
    if (obj) {
        g_assert(obj->users > 0); /* each unref has had its ref */
        obj->users--;
    }
}

/* ---- making ---------------------------------------------------------------------- */

static const DeviceClass *find_class(const char *type, GError **errp)
{
    const DeviceClass *dc = device_class_find(type);
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *hint = NULL;

    if (dc && object_class_is(dc)) {
        return dc;
    }
    for (unsigned i = 0; other_kinds[i]; i++) {
        if (strcmp(type, other_kinds[i]) == 0) {
            error_setg(errp,
                       "%s: not supported yet (-object help lists what "
                       "is)",
                       type);
            return NULL;
        }
    }
    for (unsigned i = 0; device_classes[i]; i++) {
        if (object_class_is(device_classes[i])) {
            g_ptr_array_add(names, (char *)device_classes[i]->name);
        }
    }
    hint = did_you_mean(type, names_end(names), " (");
    error_setg(errp, "Parameter 'qom-type' does not accept value '%s'%s", type,
               hint);
    return NULL;
}

static bool check_id(Machine *m, const char *id, GError **errp)
{
    if (!id) {
        error_setg(errp, "Parameter 'id' is missing");
        return false;
    }
    if (!id_wellformed(id)) {
        error_setg(errp,
                   "Parameter 'id' expects an identifier (letters, digits, "
                   "'-', '.', '_', starting with a letter), not '%s'",
                   id);
        return false;
    }
    if (find(m, id)) {
        error_setg(errp, "Duplicate ID '%s' for object", id);
        return false;
    }
    return true;
}

bool object_add_options(Machine *m, KeyVal *options, GError **errp)
{
    const char *type = keyval_get(options, "qom-type");
    const char *id = keyval_get(options, "id");
    const DeviceClass *dc;
    Device *obj;

    if (!type) {
        error_setg(errp, "Parameter 'qom-type' is missing");
        return false;
    }
    dc = find_class(type, errp);
    if (!dc || !check_id(m, id, errp)) {
        return false;
    }
    obj = device_new_class(m, dc, id);
    if (obj->bad_global) {
        g_propagate_error(errp, g_steal_pointer(&obj->bad_global));
        device_free(obj);
        return false;
    }
    if (!device_set_options(obj, options, errp) ||
        (dc->realize && !dc->realize(obj, errp))) {
        device_free(obj);
        return false;
    }
    obj->realized = true;
    if (!m->objects) {
        m->objects = g_ptr_array_new();
    }
    g_ptr_array_add(m->objects, obj);
    return true;
}

bool object_add(Machine *m, const char *text, GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_parse(text, "qom-type", errp);

    return kv && object_add_options(m, kv, errp);
}

bool object_del(Machine *m, const char *id, GError **errp)
{
    Device *obj = find(m, id);

    if (!obj) {
        no_such_object(m, id, NULL, errp);
        return false;
    }
    if (obj->users) {
        error_setg(errp, "object '%s' is in use, can not be deleted", id);
        return false;
    }
    g_ptr_array_remove(m->objects, obj);
    device_free(obj);
    return true;
}

void objects_free(Machine *m)
{
    while (m->objects && m->objects->len) {
        Device *obj = m->objects->pdata[m->objects->len - 1];

        g_ptr_array_set_size(m->objects, (int)m->objects->len - 1);
        device_free(obj);
    }
    g_clear_pointer(&m->objects, g_ptr_array_unref);
}
