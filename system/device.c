/*
 * Device instances: making them, their properties, their life.
 *
 * What can be made by name is in devclass.c, so that a test of one device
 * does not link all of them.
 */
#include "util/osdep.h"
#include "system/device.h"

#include "system/machine.h"
#include "system/object.h"
#include "util/error.h"
#include "util/keyval.h"
#include "util/nearest.h"

static const Property no_props[] = { { .kind = PROP_END } };

static const Property *device_props(const DeviceClass *cls)
{
    return cls->props ? cls->props : no_props;
}

static const Property *prop_find(const DeviceClass *cls, const char *name)
{
    for (const Property *p = device_props(cls); p->kind != PROP_END; p++) {
        if (strcmp(p->name, name) == 0) {
            return p;
        }
    }
    return NULL;
}

static void *prop_field(Device *dev, const Property *p)
{
    return (char *)dev + p->offset;
}

/* ---- values ---------------------------------------------------------------- */

/* The largest value of a number; 0: not a number. */
static uint64_t prop_max(PropKind kind)
{
    switch (kind) {
    case PROP_U8:
        return UINT8_MAX;
    case PROP_U16:
        return UINT16_MAX;
    case PROP_U32:
        return UINT32_MAX;
    case PROP_U64:
    case PROP_SIZE:
        return UINT64_MAX;
    default:
        return 0;
    }
}

static void prop_put(Device *dev, const Property *p, uint64_t v)
{
    void *field = prop_field(dev, p);

    switch (p->kind) {
    case PROP_BOOL:
        *(bool *)field = v;
        break;
    case PROP_U8:
        *(uint8_t *)field = (uint8_t)v;
        break;
    case PROP_U16:
        *(uint16_t *)field = (uint16_t)v;
        break;
    case PROP_U32:
        *(uint32_t *)field = (uint32_t)v;
        break;
    case PROP_U64:
    case PROP_SIZE:
        *(uint64_t *)field = v;
        break;
    case PROP_STRING:
    case PROP_DRIVE:
    case PROP_NETDEV:
        *(char **)field = g_strdup((const char *)(uintptr_t)v);
        break;
    default: /* host ends start out empty */
        break;
    }
}

bool device_number(const Device *dev, const char *name, uint64_t *value)
{
    const Property *p = prop_find(dev->cls, name);
    const void *field = p ? (const char *)dev + p->offset : NULL;

    switch (p ? p->kind : PROP_END) {
    case PROP_U8:
        *value = *(const uint8_t *)field;
        return true;
    case PROP_U16:
        *value = *(const uint16_t *)field;
        return true;
    case PROP_U32:
        *value = *(const uint32_t *)field;
        return true;
    case PROP_U64:
    case PROP_SIZE:
        *value = *(const uint64_t *)field;
        return true;
    default:
        return false;
    }
}

static bool prop_set_number(Device *dev, const Property *p, const char *text,
                            GError **errp)
{
    uint64_t v, max = prop_max(p->kind);
    bool ok = p->kind == PROP_SIZE ? parse_size(text, 1, &v, NULL)
                                   : parse_u64(text, &v, NULL);

    if (!ok || v > max) {
        error_setg(
            errp, "Property '%s.%s' expects a %s up to %" PRIu64 ", not '%s'",
            dev->cls->name, p->name,
            p->kind == PROP_SIZE ? "size such as 64M" : "number", max, text);
        return false;
    }
    prop_put(dev, p, v);
    return true;
}

static bool prop_set_bool(Device *dev, const Property *p, const char *text,
                          GError **errp)
{
    bool v;

    if (!parse_bool(text, &v, NULL)) {
        error_setg(errp, "Property '%s.%s' expects 'on' or 'off', not '%s'",
                   dev->cls->name, p->name, text);
        return false;
    }
    prop_put(dev, p, v);
    return true;
}

/* Something at the host's side, by its id. */
static bool prop_set_host_end(Device *dev, const Property *p, const char *id,
                              GError **errp)
{
    void *end = NULL;

    if (p->kind == PROP_CHARDEV && dev->machine->chardevs) {
        end = g_hash_table_lookup(dev->machine->chardevs, id);
    }
    if (!end) {
        error_setg(errp, "Property '%s.%s' can't find value '%s'",
                   dev->cls->name, p->name, id);
        return false;
    }
    *(void **)prop_field(dev, p) = end;
    return true;
}

static bool prop_set(Device *dev, const Property *p, const char *value,
                     GError **errp)
{
    switch (p->kind) {
    case PROP_BOOL:
        return prop_set_bool(dev, p, value, errp);
    case PROP_STRING:
    case PROP_DRIVE:
    case PROP_NETDEV:
        g_free(*(char **)prop_field(dev, p));
        prop_put(dev, p, (uintptr_t)value);
        return true;
    case PROP_CHARDEV:
        return prop_set_host_end(dev, p, value, errp);
    default:
        return prop_set_number(dev, p, value, errp);
    }
}

static void no_such_prop(const DeviceClass *cls, const char *name,
                         GError **errp)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    const char *near;

    for (const Property *p = device_props(cls); p->kind != PROP_END; p++) {
        g_ptr_array_add(names, (char *)p->name);
    }
    near = nearest_name(name, names_end(names));
    if (near) {
        error_setg(errp, "Property '%s.%s' not found; did you mean '%s'?",
                   cls->name, name, near);
    } else {
        error_setg(errp, "Property '%s.%s' not found (-%s %s,help lists them)",
                   cls->name, name, object_class_is(cls) ? "object" : "device",
                   cls->name);
    }
}

bool device_set(Device *dev, const char *prop, const char *value, GError **errp)
{
    const Property *p = prop_find(dev->cls, prop);

    if (!p) {
        no_such_prop(dev->cls, prop, errp);
        return false;
    }
    if (dev->realized) {
        error_setg(errp,
                   "Attempt to set property '%s' on device '%s' (type '%s') "
                   "after it was realized",
                   prop, dev->id ? dev->id : "", dev->cls->name);
        return false;
    }
    return prop_set(dev, p, value, errp);
}

typedef struct SetProps {
    Device *dev;
    GError **errp;
    bool failed;
} SetProps;

static void set_prop(const char *key, const char *value, void *opaque)
{
    SetProps *sp = opaque;

    if (!sp->failed && strcmp(key, "driver") && strcmp(key, "qom-type") &&
        strcmp(key, "id")) {
        sp->failed = !device_set(sp->dev, key, value, sp->errp);
    }
}

bool device_set_options(Device *dev, KeyVal *options, GError **errp)
{
    SetProps sp = { dev, errp, false };

    keyval_foreach(options, set_prop, &sp);
    return !sp.failed;
}

/* ---- life -------------------------------------------------------------------- */

/* Is @driver, @len bytes, the class or, as in QEMU, one it is made of? What is
 * true of "virtio-blk-device" is true of "virtio-blk-pci". */
static bool class_is_a(const char *cls, const char *driver, size_t len)
{
    size_t n = strlen(cls);

    if (n == len && strncmp(cls, driver, len) == 0) {
        return true;
    }
    if (!g_str_has_prefix(cls, "virtio-") || !g_str_has_suffix(cls, "-pci")) {
        return false;
    }
    n -= strlen("pci");
    return (len == n + strlen("device") && strncmp(cls, driver, n) == 0 &&
            strncmp(driver + n, "device", strlen("device")) == 0) ||
           (len == strlen("virtio-pci") &&
            strncmp(driver, "virtio-pci", len) == 0);
}

bool device_global_fits(const DeviceClass *cls, const char *global)
{
    return class_is_a(cls->name, global, strcspn(global, "."));
}

/* "driver.prop=value", for this class: sets it. */
static bool apply_global(Device *dev, const char *global, GError **errp)
{
    size_t len = strcspn(global, ".");
    const char *eq = strchr(global, '=');
    g_autofree char *prop = NULL;

    if (!device_global_fits(dev->cls, global) || !eq || eq < global + len) {
        return true;
    }
    prop = g_strndup(global + len + 1, (size_t)(eq - global) - len - 1);
    if (!device_set(dev, prop, eq + 1, errp)) {
        g_prefix_error(errp, "can't apply global %s: ", global);
        return false;
    }
    return true;
}

Device *device_new_class(Machine *m, const DeviceClass *cls, const char *id)
{
    Device *dev = g_malloc0(cls->size);
    const GPtrArray *globals = m->cfg.globals;

    dev->cls = cls;
    dev->machine = m;
    dev->id = g_strdup(id);
    for (const Property *p = device_props(cls); p->kind != PROP_END; p++) {
        prop_put(dev, p, p->defval);
    }
    for (guint i = 0; globals && i < globals->len && !dev->bad_global; i++) {
        apply_global(dev, globals->pdata[i], &dev->bad_global);
    }
    return dev;
}

static bool id_is_taken(const Machine *m, const char *id)
{
    for (guint i = 0; i < m->devices->len; i++) {
        const Device *dev = m->devices->pdata[i];

        if (g_strcmp0(dev->id, id) == 0) {
            return true;
        }
    }
    return false;
}

bool device_realize(Device *dev, GError **errp)
{
    Machine *m = dev->machine;

    g_assert(!dev->realized);
    if (dev->bad_global) {
        g_propagate_error(errp, g_steal_pointer(&dev->bad_global));
        return false;
    }
    if (dev->id && id_is_taken(m, dev->id)) {
        error_setg(errp, "Duplicate device ID '%s'", dev->id);
        return false;
    }
    if (dev->cls->realize && !dev->cls->realize(dev, errp)) {
        return false;
    }
    dev->realized = true;
    g_ptr_array_add(m->devices, dev);
    return true;
}

void device_free(Device *dev)
{
    if (!dev || dev->leaving) {
        return; /* the main loop may run in unrealize() */
    }
    dev->leaving = true;
    if (dev->realized) {
        if (dev->cls->unrealize) {
            dev->cls->unrealize(dev);
        }
        dev->realized = false;
        g_ptr_array_remove(dev->machine->devices, dev);
    }
    for (const Property *p = device_props(dev->cls); p->kind != PROP_END; p++) {
        if (p->kind == PROP_STRING || p->kind == PROP_DRIVE ||
            p->kind == PROP_NETDEV) {
            g_free(*(char **)prop_field(dev, p));
        }
    }
    g_clear_error(&dev->bad_global);
    g_free(dev->id);
    g_free(dev);
}
