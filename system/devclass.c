/* Finding a device class by the name typed after -device. */
#include "util/osdep.h"
#include "system/device.h"
#include "system/object.h"

#include "util/error.h"
#include "util/keyval.h"

const DeviceClass *device_class_find(const char *name)
{
    for (unsigned i = 0; device_classes[i]; i++) {
        if (strcmp(device_classes[i]->name, name) == 0) {
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
    g_ptr_array_add(names, NULL);
    near = nearest_name(name, (const char *const *)names->pdata);
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
