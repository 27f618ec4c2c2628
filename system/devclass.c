/* Finding a device class by the name typed after -device. */
#include "util/osdep.h"
#include "system/device.h"
#include "system/object.h"

#include "util/error.h"
#include "util/keyval.h"
#include "util/nearest.h"

const DeviceClass *device_class_find(const char *name)
{
    for (unsigned i = 0; device_classes[i]; i++) {
        if (strcmp(device_classes[i]->name, name) == 0 ||
            g_strcmp0(device_classes[i]->alias, name) == 0) {
            return device_classes[i];
        }
    }
    return NULL;
}

static void no_such_class(const char *name, GError **errp)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    const char *near;

    for (unsigned i = 0; device_classes[i]; i++) {
        if (!device_classes[i]->internal &&
            !object_class_is(device_classes[i])) {
            g_ptr_array_add(names, (char *)device_classes[i]->name);
        }
    }
    near = nearest_name(name, names_end(names));
    if (near) {
        error_setg(errp,
                   "'%s' is not a valid device model name; "
                   "did you mean '%s'?",
                   name, near);
    } else {
        error_setg(errp,
                   "'%s' is not a valid device model name "
                   "(-device help lists them)",
                   name);
    }
}

Device *device_new(Machine *m, const char *cls, const char *id, GError **errp)
{
    const DeviceClass *c = device_class_find(cls);

    if (c && object_class_is(c)) {
        error_setg(errp,
                   "'%s' is not a device: it is added with -object %s,id=", cls,
                   cls);
        return NULL;
    }
    if (!c) {
        no_such_class(cls, errp);
        return NULL;
    }
    if (c->internal) {
        error_setg(errp,
                   "'%s' is part of the machine and cannot be added with "
                   "-device",
                   cls);
        return NULL;
    }
    return device_new_class(m, c, id);
}

/* ---- lists --------------------------------------------------------------------- */

/* As QEMU heads them, and in its order. */
static const struct {
    DeviceCategory category;
    const char *heading;
} categories[DEVICE_CATEGORIES] = {
    { DEVICE_BRIDGE, "Controller/Bridge/Hub devices" },
    { DEVICE_STORAGE, "Storage devices" },
    { DEVICE_NETWORK, "Network devices" },
    { DEVICE_INPUT, "Input devices" },
    { DEVICE_MISC, "Misc devices" },
    { DEVICE_WATCHDOG, "Watchdog devices" },
    { DEVICE_UNCATEGORIZED, "Uncategorized devices" },
};

static void print_class(GString *out, const DeviceClass *dc)
{
    g_string_append_printf(out, "name \"%s\"", dc->name);
    if (dc->bus) {
        g_string_append_printf(out, ", bus %s", dc->bus);
    }
    if (dc->alias) {
        g_string_append_printf(out, ", alias \"%s\"", dc->alias);
    }
    g_string_append_printf(out, ", desc \"%s\"\n", dc->desc);
}

void device_classes_print(GString *out)
{
    for (unsigned c = 0; c < G_N_ELEMENTS(categories); c++) {
        bool any = false;

        for (unsigned i = 0; device_classes[i]; i++) {
            const DeviceClass *dc = device_classes[i];

            if (dc->internal || object_class_is(dc) ||
                dc->category != categories[c].category) {
                continue;
            }
            if (!any) {
                g_string_append_printf(out, "%s%s:\n", out->len ? "\n" : "",
                                       categories[c].heading);
            }
            any = true;
            print_class(out, dc);
        }
    }
}

const char *prop_kind_name(PropKind kind)
{
    static const char *const names[] = {
        [PROP_BOOL] = "bool",  [PROP_U8] = "uint8",    [PROP_U16] = "uint16",
        [PROP_U32] = "uint32", [PROP_U64] = "uint64",  [PROP_SIZE] = "size",
        [PROP_STRING] = "str", [PROP_CHARDEV] = "str", [PROP_DRIVE] = "str",
        [PROP_NETDEV] = "str",
    };

    return names[kind];
}
