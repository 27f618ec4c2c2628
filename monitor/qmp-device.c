/* Devices that come and go: device_add, device_del, DEVICE_DELETED. */
#include "util/osdep.h"
#include "monitor/qmp-cmds.h"
#include "system/hotplug.h"
#include "util/keyval.h"

#if CONFIG_JSON_C

json_object *qmp_device_add(Machine *m, const Args *args, GError **errp)
{
    g_autofree char *text = js_text(args_object(args));
    g_autoptr(KeyVal) options = keyval_parse(text, "driver", errp);

    if (options) {
        hotplug_add(m, options, errp);
    }
    return NULL;
}

json_object *qmp_device_del(Machine *m, const Args *args, GError **errp)
{
    const char *id = args_str(args, "id");
    Device *dev = qom_find_device(m, id, errp);

    if (dev) {
        hotplug_request(dev, errp);
    }
    return NULL;
}

#endif
