/* -object, and the objects made of it. */
#include "util/osdep.h"
#include "system/cli-opts.h"

#include "system/object.h"
#include "util/error.h"

static void print_objects(Cli *cli)
{
    cli_print(cli, "List of user creatable objects:\n");
    for (int i = 0; device_classes[i]; i++) {
        const DeviceClass *dc = device_classes[i];

        if (object_class_is(dc)) {
            cli_print(cli, "  %-22s %s\n", dc->name, dc->desc);
        }
    }
}

OPT_FN(object)
{
    g_autoptr(KeyVal) kv = keyval_parse(arg, "qom-type", errp);
    const DeviceClass *dc;
    const char *type;

    if (!kv) {
        return false;
    }
    type = keyval_get(kv, "qom-type");
    if (cli_is_help(type)) {
        print_objects(cli);
        return true;
    }
    if (type && (keyval_get(kv, "help") || keyval_get(kv, "?"))) {
        dc = device_class_find(type);
        if (!dc || !object_class_is(dc)) {
            error_setg(errp,
                       "-object %s: no such kind (-object help lists "
                       "them)",
                       type);
            return false;
        }
        cli_print_props(cli, dc);
        return true;
    }
    g_ptr_array_add(cli->objects, g_strdup(arg));
    return true;
}

static bool is_late(const char *text)
{
    g_autoptr(KeyVal) kv = keyval_parse(text, "qom-type", NULL);
    const char *type = kv ? keyval_get(kv, "qom-type") : NULL;

    return type && object_is_late(type);
}

bool cli_build_objects(Machine *m, Cli *cli, bool late, GError **errp)
{
    for (guint i = 0; i < cli->objects->len; i++) {
        const char *text = g_ptr_array_index(cli->objects, i);

        if (is_late(text) == late && !object_add(m, text, errp)) {
            g_prefix_error(errp, "-object %s: ", text);
            return false;
        }
    }
    return true;
}
