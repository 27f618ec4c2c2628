/* Trace events and statistics for programs. */
#include "util/osdep.h"
#include "util/error.h"
#include "monitor/guest-memory.h"
#include "monitor/qmp-cmds.h"
#include "monitor/stats.h"
#include "util/trace.h"

#if CONFIG_JSON_C

static bool no_vcpu(const Args *args, GError **errp)
{
    if (args_int(args, "vcpu", -1) >= 0) {
        error_setg(errp, "no trace event is switched by vCPU");
        return false;
    }
    return true;
}

static void unknown_event(const char *name, GError **errp)
{
    error_setg(errp, "unknown event \"%s\"", name);
}

json_object *qmp_trace_event_get_state(Machine *m, const Args *args,
                                       GError **errp)
{
    const char *name = args_str(args, "name");
    json_object *list;

    if (!no_vcpu(args, errp)) {
        return NULL;
    }
    list = json_object_new_array();
    for (unsigned i = 0; trace_name(i); i++) {
        json_object *o;

        if (!trace_matches(i, name)) {
            continue;
        }
        o = json_object_new_object();
        js_str(o, "name", trace_name(i));
        js_str(o, "state", trace_on[i] ? "enabled" : "disabled");
        js_bool(o, "vcpu", false);
        json_object_array_add(list, o);
    }
    if (!json_object_array_length(list) && !strpbrk(name, "*?")) {
        json_object_put(list);
        unknown_event(name, errp);
        return NULL;
    }
    return list;
}

json_object *qmp_trace_event_set_state(Machine *m, const Args *args,
                                       GError **errp)
{
    const char *name = args_str(args, "name");

    if (no_vcpu(args, errp) &&
        !trace_set(name, args_bool(args, "enable", false)) &&
        !strpbrk(name, "*?")) {
        unknown_event(name, errp);
    }
    return NULL;
}

/* HumanReadableText: what info prints. */
static json_object *as_text(Machine *m, void (*print)(Machine *m, GString *out))
{
    g_autoptr(GString) out = g_string_new(NULL);
    json_object *o = json_object_new_object();
    bool held = guest_hold(m);

    print(m, out);
    guest_release(m, held);
    js_str(o, "human-readable-text", out->str);
    return o;
}

json_object *qmp_x_query_stats(Machine *m, const Args *args, GError **errp)
{
    return as_text(m, stats_print);
}

json_object *qmp_x_query_irq(Machine *m, const Args *args, GError **errp)
{
    return as_text(m, stats_print_irq);
}

json_object *qmp_x_query_jit(Machine *m, const Args *args, GError **errp)
{
    return as_text(m, stats_print_jit);
}

json_object *qmp_x_query_ramblock(Machine *m, const Args *args, GError **errp)
{
    return as_text(m, stats_print_ram);
}

json_object *qmp_x_query_numa(Machine *m, const Args *args, GError **errp)
{
    json_object *o = json_object_new_object();

    js_str(o, "human-readable-text", "0 nodes\n");
    return o;
}

#endif
