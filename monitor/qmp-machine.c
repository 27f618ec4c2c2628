/* QMP about the machine as a whole. */
#include "util/osdep.h"
#include "util/error.h"
#include "accel/cpus.h"
#include "accel/kvm/kvm.h"
#include "hw/input/i8042.h"
#include "monitor/qmp-cmds.h"
#include "system/options.h"

#if CONFIG_JSON_C

/* ---- who we are -------------------------------------------------------------- */

json_object *qmp_query_version(Machine *m, const Args *args, GError **errp)
{
    json_object *o = json_object_new_object();
    json_object *q = js_put(o, "qemu", json_object_new_object());

    /* The version whose behaviour this is; ours is the package. */
    js_int(q, "micro", 0);
    js_int(q, "minor", 2);
    js_int(q, "major", 7);
    js_str(o, "package", "Rhea " RHEA_VERSION);
    return o;
}

json_object *qmp_query_target(Machine *m, const Args *args, GError **errp)
{
    json_object *o = json_object_new_object();

    js_str(o, "arch", "x86_64");
    return o;
}

json_object *qmp_query_kvm(Machine *m, const Args *args, GError **errp)
{
    json_object *o = json_object_new_object();
    bool enabled = m->accel && kvm_enabled(m);

    js_bool(o, "enabled", enabled);
    js_bool(o, "present", enabled || accel_find("kvm") != NULL);
    return o;
}

/* The lists of x-query-kvm-exits, by KvmStatKind. */
typedef struct ExitLists {
    json_object *list[KVM_STAT_ENGINE + 1];
} ExitLists;

static void exits_add(KvmStatKind kind, const char *name, uint64_t addr,
                      uint64_t count, uint64_t ns, void *opaque)
{
    static const char *const key[] = {
        [KVM_STAT_EXIT] = "reason",
        [KVM_STAT_PLACE] = "access",
        [KVM_STAT_COMPLETED] = "instruction",
        [KVM_STAT_ENGINE] = "engine",
    };
    ExitLists *l = opaque;
    json_object *o = js_add(l->list[kind], json_object_new_object());

    js_str(o, key[kind], name);
    if (kind == KVM_STAT_PLACE) {
        js_u64(o, "address", addr);
    }
    js_u64(o, "count", count);
    if (kind != KVM_STAT_COMPLETED) {
        js_u64(o, "ns", ns);
    }
}

json_object *qmp_query_kvm_exits(Machine *m, const Args *args, GError **errp)
{
    static const char *const name[] = { "exits", "places", "completed",
                                        "engines" };
    json_object *o = json_object_new_object();
    ExitLists l;

    for (unsigned i = 0; i < G_N_ELEMENTS(name); i++) {
        l.list[i] = js_put(o, name[i], json_object_new_array());
    }
    kvm_stats_foreach(m, exits_add, &l);
    return o;
}

json_object *qmp_query_status(Machine *m, const Args *args, GError **errp)
{
    json_object *o = json_object_new_object();

    js_str(o, "status", run_state_name(m->state));
    js_bool(o, "singlestep", false);
    js_bool(o, "running", m->state == RUN_RUNNING);
    return o;
}

json_object *qmp_query_name(Machine *m, const Args *args, GError **errp)
{
    json_object *o = json_object_new_object();

    js_str(o, "name", m->cfg.name);
    return o;
}

json_object *qmp_query_uuid(Machine *m, const Args *args, GError **errp)
{
    json_object *o = json_object_new_object();

    js_str(o, "UUID",
           m->cfg.uuid ? m->cfg.uuid : "00000000-0000-0000-0000-000000000000");
    return o;
}

json_object *qmp_query_commands(Machine *m, const Args *args, GError **errp)
{
    json_object *list = json_object_new_array();

    for (const QmpCommand *c = qmp_commands; c->name; c++) {
        js_str(js_add(list, json_object_new_object()), "name", c->name);
    }
    return list;
}

/* The first class is the default one. libvirt names the default model to -cpu
 * and knows what that has; "max" is no model to it, so that is left out. */
static void describe_machine(json_object *o, const MachineClass *mc,
                             const char *default_cpu)
{
    g_autofree char *cpu = qom_cpu_type(default_cpu);

    js_bool(o, "hotpluggable-cpus", false);
    js_str(o, "name", mc->alias ? mc->alias : mc->name);
    js_bool(o, "numa-mem-supported", false);
    js_str(o, "default-cpu-type", strcmp(default_cpu, "max") ? cpu : NULL);
    js_int(o, "cpu-max", mc->max_cpus);
    js_bool(o, "deprecated", false);
    if (mc->alias) {
        js_str(o, "alias", mc->name);
    }
    if (mc == machine_classes[0]) {
        js_bool(o, "is-default", true);
    }
}

json_object *qmp_query_machines(Machine *m, const Args *args, GError **errp)
{
    json_object *list = json_object_new_array();

    for (unsigned i = 0; machine_classes[i]; i++) {
        describe_machine(js_add(list, json_object_new_object()),
                         machine_classes[i],
                         m->accel ? m->accel->ops->default_cpu : "max");
    }
    return list;
}

json_object *qmp_query_current_machine(Machine *m, const Args *args,
                                       GError **errp)
{
    json_object *o = json_object_new_object();

    js_bool(o, "wakeup-suspend-support", false);
    return o;
}

json_object *qmp_query_memory_size(Machine *m, const Args *args, GError **errp)
{
    json_object *o = json_object_new_object();

    js_u64(o, "base-memory", m->cfg.ram_size);
    js_int(o, "plugged-memory", 0);
    return o;
}

json_object *qmp_query_memdev(Machine *m, const Args *args, GError **errp)
{
    json_object *list = json_object_new_array();
    json_object *o;

    if (!m->cfg.ram_size) {
        return list;
    }
    o = js_add(list, json_object_new_object());
    js_bool(o, "share", false);
    js_bool(o, "reserve", true);
    js_bool(o, "prealloc", false);
    js_put(o, "host-nodes", json_object_new_array());
    js_u64(o, "size", m->cfg.ram_size);
    js_bool(o, "merge", false);
    js_bool(o, "dump", true);
    js_str(o, "policy", "default");
    js_fmt(o, "id", "%s.ram", m->cls ? m->cls->name : "ram");
    return list;
}

/* Lists of what this emulator does not have, for clients that ask anyway. */
json_object *qmp_query_empty(Machine *m, const Args *args, GError **errp)
{
    return json_object_new_array();
}

json_object *qmp_query_mice(Machine *m, const Args *args, GError **errp)
{
    json_object *list = json_object_new_array();

    for (guint i = 0; i < m->devices->len; i++) {
        const Device *dev = m->devices->pdata[i];

        if (dev->cls == &i8042_class) {
            json_object *o = js_add(list, json_object_new_object());

            js_int(o, "index", 0);
            js_str(o, "name", "QEMU PS/2 Mouse");
            js_bool(o, "current", true);
            js_bool(o, "absolute", false);
        }
    }
    return list;
}

/* ---- the command line ----------------------------------------------------------- */

/* "id=id" or "mux=on|off" in an option's argument text. */
static void describe_parameter(json_object *list, const char *text)
{
    const char *eq = strchr(text, '=');
    json_object *o;

    if (!eq || eq == text ||
        strspn(text, "abcdefghijklmnopqrstuvwxyz"
                     "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") !=
            (size_t)(eq - text)) {
        return;
    }
    o = js_add(list, json_object_new_object());
    js_fmt(o, "name", "%.*s", (int)(eq - text), text);
    js_str(o, "type",
           g_str_has_prefix(eq + 1, "on|off") ? "boolean"
           : g_str_has_prefix(eq + 1, "size") ? "size"
                                              : "string");
}

static void describe_option(json_object *o, const OptionDef *def)
{
    json_object *list = js_put(o, "parameters", json_object_new_array());
    g_auto(GStrv) words = g_strsplit_set(def->arg, ",[] ", -1);

    js_str(o, "option", def->name);
    for (char **w = words; *w; w++) {
        describe_parameter(list, *w);
    }
}

json_object *qmp_query_command_line_options(Machine *m, const Args *args,
                                            GError **errp)
{
    const char *only = args_str(args, "option");
    json_object *list = json_object_new_array();

    for (const OptionDef *d = option_defs; d->help; d++) {
        if (d->name && d->arg[0] && (!only || !strcmp(only, d->name))) {
            describe_option(js_add(list, json_object_new_object()), d);
        }
    }
    if (only && !json_object_array_length(list)) {
        error_setg(errp, "invalid option name: %s", only);
    }
    return list;
}

json_object *qmp_query_schema(Machine *m, const Args *args, GError **errp)
{
    return qmp_schema();
}

/* ---- start, stop, end --------------------------------------------------------------- */

json_object *qmp_stop(Machine *m, const Args *args, GError **errp)
{
    machine_stop(m, RUN_PAUSED);
    return NULL;
}

json_object *qmp_cont(Machine *m, const Args *args, GError **errp)
{
    machine_start(m, errp);
    return NULL;
}

json_object *qmp_system_reset(Machine *m, const Args *args, GError **errp)
{
    machine_request_reset(m, RESET_HOST);
    return NULL;
}

json_object *qmp_system_powerdown(Machine *m, const Args *args, GError **errp)
{
    machine_request_powerdown(m);
    return NULL;
}

/* No machine here knows S3. */
json_object *qmp_system_wakeup(Machine *m, const Args *args, GError **errp)
{
    error_setg(errp, "wake-up from suspend is not supported by this guest");
    return NULL;
}

json_object *qmp_quit(Machine *m, const Args *args, GError **errp)
{
    machine_request_quit(m, "host-qmp-quit");
    return NULL;
}

json_object *qmp_inject_nmi(Machine *m, const Args *args, GError **errp)
{
    if (m->cpus_nmi) {
        m->cpus_nmi(m);
    } else {
        error_setg(errp, "machine does not provide NMIs");
    }
    return NULL;
}

/* Ticks that were late come late; none are kept to be given again. */
json_object *qmp_rtc_reset_reinjection(Machine *m, const Args *args,
                                       GError **errp)
{
    return NULL;
}

json_object *qmp_set_action(Machine *m, const Args *args, GError **errp)
{
    const char *reboot = args_str(args, "reboot");
    const char *shutdown = args_str(args, "shutdown");
    const char *panic = args_str(args, "panic");
    const char *dog = args_str(args, "watchdog");

    if (reboot) {
        m->cfg.no_reboot = !strcmp(reboot, "shutdown");
    }
    if (shutdown) {
        m->cfg.no_shutdown = !strcmp(shutdown, "pause");
    }
    if (panic && !panic_action_parse(panic, &m->cfg.panic_action, errp)) {
        return NULL;
    }
    if (dog) {
        watchdog_action_parse(dog, &m->cfg.watchdog_action, errp);
    }
    return NULL;
}

json_object *qmp_watchdog_set_action(Machine *m, const Args *args,
                                     GError **errp)
{
    watchdog_action_parse(args_str(args, "action"), &m->cfg.watchdog_action,
                          errp);
    return NULL;
}

json_object *qmp_human_monitor_command(Machine *m, const Args *args,
                                       GError **errp)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_auto(GStrv) lines = NULL;
    g_autofree char *text = NULL;
    int64_t cpu = args_int(args, "cpu-index", 0);

    if (args_has(args, "cpu-index") &&
        (cpu < 0 || !m->cpu || cpu >= (int64_t)m->ncpus)) {
        error_setg(errp, "Parameter 'cpu-index' expects a CPU number");
        return NULL;
    }
    monitor_run_line_on(m, (unsigned)cpu, args_str(args, "command-line"), out);
    lines = g_strsplit(out->str, "\n", -1);
    text = g_strjoinv("\r\n", lines);
    return json_object_new_string(text);
}

/* The session runs it (qmp.c): here it is only known by name. */
json_object *qmp_capabilities(Machine *m, const Args *args, GError **errp)
{
    error_setg(errp, "qmp_capabilities belongs to a session");
    return NULL;
}

#endif
