/* QMP about processors: models, and those of this machine. */
#include "util/osdep.h"
#include "util/error.h"
#include "accel/cpus.h"
#include "monitor/qmp-cmds.h"
#include "target-x86/cpuid.h"

#if CONFIG_JSON_C

char *qom_cpu_type(const char *model)
{
    return g_strdup_printf("%s-x86_64-cpu", model);
}

/* ---- models -------------------------------------------------------------------- */

static bool is_missing(const CpuModel *cm, CpuFeature f)
{
    return cm->missing[f / 64] >> (f % 64) & 1;
}

/* What the model has and this emulator on this host has not. */
json_object *qom_cpu_unavailable(const CpuModel *cm)
{
    json_object *list = json_object_new_array();

    for (CpuFeature f = 1; f < FEAT_COUNT; f++) {
        if (is_missing(cm, f)) {
            js_add(list, json_object_new_string(feature_rows[f].name));
        }
    }
    return list;
}

static void describe_model(const char *name, const char *alias_of, void *opaque)
{
    json_object *o = js_add(opaque, json_object_new_object());
    g_autofree char *type = qom_cpu_type(name);
    g_autofree char *quiet = g_strconcat(name, ",check=off", NULL);
    g_autoptr(CpuModel) cm = cpu_model_new(quiet, NULL, NULL);
    bool fixed = strcmp(name, "max") && strcmp(name, "host");

    js_str(o, "name", name);
    js_str(o, "typename", type);
    if (cm) {
        js_put(o, "unavailable-features", qom_cpu_unavailable(cm));
    }
    if (alias_of) {
        js_str(o, "alias-of", alias_of);
    }
    js_bool(o, "static", !strcmp(name, "base"));
    js_bool(o, "migration-safe", fixed);
    js_bool(o, "deprecated", false);
}

json_object *qmp_query_cpu_definitions(Machine *m, const Args *args,
                                       GError **errp)
{
    json_object *list = json_object_new_array();

    cpu_models_foreach(describe_model, list);
    return list;
}

/* "props" of a model to the text of -cpu. */
static char *model_text(json_object *model, GError **errp)
{
    json_object *props = js_get(model, "props");
    g_autoptr(GString) text = g_string_new(js_get_str(model, "name"));

    if (strchr(text->str, ',')) {
        error_setg(errp, "Parameter 'model.name' must not contain ','");
        return NULL;
    }
    g_string_append(text, ",check=off");
    if (!props) {
        return g_string_free(g_steal_pointer(&text), FALSE);
    }
    json_object_object_foreach(props, key, v)
    {
        const char *value = json_object_is_type(v, json_type_boolean)
                                ? (json_object_get_boolean(v) ? "on" : "off")
                                : json_object_get_string(v);

        if (!value || strpbrk(key, ",=") || strchr(value, ',')) {
            error_setg(errp, "Property '%s' cannot have this value", key);
            return NULL;
        }
        g_string_append_printf(text, ",%s=%s", key, value);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

void qom_cpu_props(json_object *o, const CpuModel *cm)
{
    for (CpuFeature f = 1; f < FEAT_COUNT; f++) {
        js_bool(o, feature_rows[f].name, cpu_model_has(cm, f));
    }
    js_str(o, "vendor", cm->vendor_id);
    js_str(o, "model-id", cm->brand);
    js_int(o, "family", cm->family);
    js_int(o, "model", cm->model);
    js_int(o, "stepping", cm->stepping);
    js_int(o, "level", cm->level);
    js_int(o, "xlevel", cm->xlevel);
    js_int(o, "phys-bits", cm->phys_bits);
}

json_object *qmp_query_cpu_model_expansion(Machine *m, const Args *args,
                                           GError **errp)
{
    json_object *model = args_json(args, "model");
    bool full = !strcmp(args_str(args, "type"), "full");
    g_autofree char *text = model_text(model, errp);
    g_autoptr(CpuModel) cm = text ? cpu_model_new(text, NULL, errp) : NULL;
    json_object *o, *out;

    if (!cm) {
        return NULL;
    }
    o = json_object_new_object();
    out = js_put(o, "model", json_object_new_object());
    /* "base" is the only model that will never change. */
    js_str(out, "name", full ? js_get_str(model, "name") : "base");
    qom_cpu_props(js_put(out, "props", json_object_new_object()), cm);
    return o;
}

/* ---- this machine's -------------------------------------------------------------- */

/* Where @index is among sockets, cores and threads. */
json_object *qom_cpu_topology(const Machine *m, unsigned index)
{
    json_object *o = json_object_new_object();
    unsigned threads = MAX(m->cfg.threads, 1), cores = MAX(m->cfg.cores, 1);
    unsigned dies = MAX(m->cfg.dies, 1);

    js_int(o, "core-id", index / threads % cores);
    js_int(o, "thread-id", index % threads);
    if (dies > 1) {
        js_int(o, "die-id", index / threads / cores % dies);
    }
    js_int(o, "socket-id", index / threads / cores / dies);
    return o;
}

json_object *qmp_query_cpus_fast(Machine *m, const Args *args, GError **errp)
{
    json_object *list = json_object_new_array();

    for (unsigned i = 0; m->cpu && i < m->ncpus; i++) {
        json_object *o = js_add(list, json_object_new_object());
        g_autofree char *path = qom_cpu_path(m, i);

        js_int(o, "thread-id", cpu_thread_id(m->cpu[i]));
        js_put(o, "props", qom_cpu_topology(m, i));
        js_str(o, "qom-path", path);
        js_int(o, "cpu-index", i);
        js_str(o, "target", "x86_64");
    }
    return list;
}

json_object *qmp_query_hotpluggable_cpus(Machine *m, const Args *args,
                                         GError **errp)
{
    json_object *list = json_object_new_array();
    g_autofree char *type =
        qom_cpu_type(m->cpu_model ? m->cpu_model->name : "max");

    for (unsigned i = m->cpu ? m->ncpus : 0; i-- > 0;) {
        json_object *o = js_add(list, json_object_new_object());
        g_autofree char *path = qom_cpu_path(m, i);

        js_put(o, "props", qom_cpu_topology(m, i));
        js_int(o, "vcpus-count", 1);
        js_str(o, "qom-path", path);
        js_str(o, "type", type);
    }
    return list;
}

#endif
