/*
 * The machine as a tree of objects with properties: what qom-list shows.
 *
 *     /machine/peripheral/ID            devices with a name
 *     /machine/peripheral-anon/device[N]     those without
 *     /machine/unattached/device[N]     processors, then parts of the board
 *     /objects/ID   /chardevs/ID
 *
 * Properties cannot be changed here: a device's are fixed when it is realized.
 */
#include "util/osdep.h"
#include "util/error.h"
#include "accel/accel.h"
#include "chardev/chardev.h"
#include "monitor/qmp-cmds.h"
#include "system/hotplug.h"
#include "system/object.h"
#include "target-x86/cpuid.h"

#if CONFIG_JSON_C

typedef enum NodeKind {
    NODE_NONE,
    NODE_ROOT,
    NODE_MACHINE,
    NODE_PERIPHERAL,
    NODE_ANON,
    NODE_UNATTACHED,
    NODE_OBJECTS,
    NODE_CHARDEVS,
    NODE_DEVICE,
    NODE_CPU,
    NODE_CHARDEV,
} NodeKind;

typedef struct Node {
    NodeKind kind;
    const void *p; /* Device, X86Cpu, Chardev */
} Node;

/* Calls @fn for each child. */
typedef void ChildFn(const char *name, Node child, void *opaque);

/* ---- the tree -------------------------------------------------------------- */

static NodeKind home(const Device *dev)
{
    return dev->id              ? NODE_PERIPHERAL
           : dev->cls->internal ? NODE_UNATTACHED
                                : NODE_ANON;
}

static void each_device(Machine *m, NodeKind where, ChildFn *fn, void *opaque)
{
    unsigned n = where == NODE_UNATTACHED && m->cpu ? m->ncpus : 0;

    for (unsigned i = 0; i < n; i++) {
        g_autofree char *name = g_strdup_printf("device[%u]", i);

        fn(name, (Node) { NODE_CPU, m->cpu[i] }, opaque);
    }
    for (guint i = 0; i < m->devices->len; i++) {
        const Device *dev = m->devices->pdata[i];
        g_autofree char *name = NULL;

        if (home(dev) != where) {
            continue;
        }
        name = dev->id ? g_strdup(dev->id) : g_strdup_printf("device[%u]", n++);
        fn(name, (Node) { NODE_DEVICE, dev }, opaque);
    }
}

static void each_object(Machine *m, ChildFn *fn, void *opaque)
{
    for (guint i = 0; m->objects && i < m->objects->len; i++) {
        const Device *obj = m->objects->pdata[i];

        fn(obj->id, (Node) { NODE_DEVICE, obj }, opaque);
    }
}

static void each_chardev(Machine *m, ChildFn *fn, void *opaque)
{
    GHashTableIter it;
    void *id, *c;

    g_hash_table_iter_init(&it, m->chardevs);
    while (g_hash_table_iter_next(&it, &id, &c)) {
        fn(id, (Node) { NODE_CHARDEV, c }, opaque);
    }
}

static void each_child(Machine *m, Node at, ChildFn *fn, void *opaque)
{
    switch (at.kind) {
    case NODE_ROOT:
        fn("machine", (Node) { NODE_MACHINE, NULL }, opaque);
        fn("objects", (Node) { NODE_OBJECTS, NULL }, opaque);
        fn("chardevs", (Node) { NODE_CHARDEVS, NULL }, opaque);
        break;
    case NODE_MACHINE:
        fn("peripheral", (Node) { NODE_PERIPHERAL, NULL }, opaque);
        fn("peripheral-anon", (Node) { NODE_ANON, NULL }, opaque);
        fn("unattached", (Node) { NODE_UNATTACHED, NULL }, opaque);
        break;
    case NODE_PERIPHERAL:
    case NODE_ANON:
    case NODE_UNATTACHED:
        each_device(m, at.kind, fn, opaque);
        break;
    case NODE_OBJECTS:
        each_object(m, fn, opaque);
        break;
    case NODE_CHARDEVS:
        each_chardev(m, fn, opaque);
        break;
    default:
        break;
    }
}

static char *machine_type(const MachineClass *mc)
{
    return g_strdup_printf("%s-machine", mc->alias ? mc->alias : mc->name);
}

/* New. */
static char *node_type(Machine *m, Node n)
{
    switch (n.kind) {
    case NODE_MACHINE:
        return m->cls ? machine_type(m->cls) : g_strdup("machine");
    case NODE_DEVICE:
        return g_strdup(((const Device *)n.p)->cls->name);
    case NODE_CPU:
        return qom_cpu_type(m->cpu_model ? m->cpu_model->name : "max");
    case NODE_CHARDEV:
        return g_strdup_printf("chardev-%s",
                               ((const Chardev *)n.p)->backend->name);
    default:
        return g_strdup("container");
    }
}

/* ---- paths ------------------------------------------------------------------- */

typedef struct Search {
    const char *name;
    const void *p;
    Node found;
    char *found_name;
} Search;

static void match_name(const char *name, Node child, void *opaque)
{
    Search *s = opaque;

    if (!strcmp(name, s->name)) {
        s->found = child;
    }
}

static void match_pointer(const char *name, Node child, void *opaque)
{
    Search *s = opaque;

    if (child.p == s->p && !s->found_name) {
        s->found_name = g_strdup(name);
    }
}

static Node descend(Machine *m, Node from, const char *const *parts)
{
    for (; *parts && from.kind != NODE_NONE; parts++) {
        Search s = { .name = *parts };

        if (**parts) {
            each_child(m, from, match_name, &s);
            from = s.found;
        }
    }
    return from;
}

/* "/a/b", or a name somewhere below /machine or /objects. */
static Node resolve(Machine *m, const char *path, GError **errp)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", 16);
    const char *const *p = (const char *const *)parts;
    static const NodeKind roots[] = { NODE_ROOT, NODE_MACHINE, NODE_PERIPHERAL,
                                      NODE_OBJECTS };
    size_t n = path[0] == '/' ? 1 : G_N_ELEMENTS(roots);
    Node node = { 0 };

    for (size_t i = 0; i < n && node.kind == NODE_NONE && *path; i++) {
        node = descend(m, (Node) { roots[i], NULL }, p);
    }
    if (node.kind == NODE_NONE) {
        error_set_class(errp, ERROR_CLASS_DEVICE_NOT_FOUND,
                        "Device '%s' not found", path);
    }
    return node;
}

Device *qom_find_device(Machine *m, const char *name, GError **errp)
{
    Node from = { name[0] == '/' ? NODE_ROOT : NODE_PERIPHERAL, NULL };
    g_auto(GStrv) parts = g_strsplit(name, "/", 16);
    Node n = descend(m, from, (const char *const *)parts);

    if (n.kind == NODE_NONE || n.kind == from.kind) {
        error_set_class(errp, ERROR_CLASS_DEVICE_NOT_FOUND,
                        "Device '%s' not found", name);
        return NULL;
    }
    for (guint i = 0; i < m->devices->len; i++) {
        if (m->devices->pdata[i] == n.p) {
            return m->devices->pdata[i];
        }
    }
    error_setg(errp, "%s is not a hotpluggable device", name);
    return NULL;
}

static char *path_of(Machine *m, NodeKind where, const char *prefix,
                     const void *p)
{
    Search s = { .p = p };
    char *path;

    each_child(m, (Node) { where, NULL }, match_pointer, &s);
    path = g_strdup_printf("/machine/%s/%s", prefix,
                           s.found_name ? s.found_name : "");
    g_free(s.found_name);
    return path;
}

char *qom_path(const Device *dev)
{
    NodeKind where = home(dev);

    return path_of(dev->machine, where,
                   where == NODE_PERIPHERAL ? "peripheral"
                   : where == NODE_ANON     ? "peripheral-anon"
                                            : "unattached",
                   dev);
}

char *qom_cpu_path(const Machine *m, unsigned index)
{
    return g_strdup_printf("/machine/unattached/device[%u]", index);
}

/* ---- properties ------------------------------------------------------------------ */

static const char *prop_type(PropKind kind)
{
    static const char *const names[] = {
        [PROP_BOOL] = "bool",  [PROP_U8] = "uint8",    [PROP_U16] = "uint16",
        [PROP_U32] = "uint32", [PROP_U64] = "uint64",  [PROP_SIZE] = "size",
        [PROP_STRING] = "str", [PROP_CHARDEV] = "str", [PROP_DRIVE] = "str",
        [PROP_NETDEV] = "str",
    };
    const char *name =
        kind < (PropKind)G_N_ELEMENTS(names) ? names[kind] : NULL;

    return name ? name : "str";
}

static json_object *number(PropKind kind, uint64_t v)
{
    return kind == PROP_BOOL ? json_object_new_boolean(v != 0)
                             : json_object_new_uint64(v);
}

/* NULL: a string that is not set. */
static json_object *prop_value(const Device *dev, const Property *p)
{
    const char *field = (const char *)dev + p->offset;
    const Chardev *c;
    const char *s;

    switch (p->kind) {
    case PROP_BOOL:
        return number(p->kind, *(const bool *)field);
    case PROP_U8:
        return number(p->kind, *(const uint8_t *)field);
    case PROP_U16:
        return number(p->kind, *(const uint16_t *)field);
    case PROP_U32:
        return number(p->kind, *(const uint32_t *)field);
    case PROP_U64:
    case PROP_SIZE:
        return number(p->kind, *(const uint64_t *)field);
    case PROP_STRING:
        s = *(char *const *)field;
        return json_object_new_string(s ? s : "");
    case PROP_DRIVE:
        s = *(char *const *)field;
        return json_object_new_string(s ? s : "");
    case PROP_CHARDEV:
        c = *(Chardev *const *)field;
        return json_object_new_string(c ? c->id : "");
    default:
        return json_object_new_string("");
    }
}

static json_object *add_info(json_object *list, const char *name,
                             const char *type)
{
    json_object *o = js_add(list, json_object_new_object());

    js_str(o, "name", name);
    js_str(o, "type", type);
    return o;
}

static void list_class(json_object *list, const DeviceClass *dc, bool full)
{
    const Property *p = dc->props;

    for (; p && p->kind != PROP_END; p++) {
        json_object *o = add_info(list, p->name, prop_type(p->kind));

        if (full) {
            js_str(o, "description", p->help);
        }
        if (full && p->kind <= PROP_SIZE) {
            js_put(o, "default-value", number(p->kind, p->defval));
        }
    }
}

/* A processor's, as -cpu takes them. */
static const struct {
    const char *name, *type;
} cpu_props[] = {
    { "vendor", "string" },
    { "model-id", "string" },
    { "family", "int" },
    { "model", "int" },
    { "stepping", "int" },
    { "level", "uint32" },
    { "xlevel", "uint32" },
    { "phys-bits", "uint32" },
    { "apic-id", "uint32" },
    { "thread-id", "int32" },
    { "core-id", "int32" },
    { "socket-id", "int32" },
    { "unavailable-features", "strList" },
};

static void list_cpu(json_object *list)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cpu_props); i++) {
        add_info(list, cpu_props[i].name, cpu_props[i].type);
    }
    for (CpuFeature f = 1; f < FEAT_COUNT; f++) {
        add_info(list, feature_rows[f].name, "bool");
    }
}

static const char *const machine_props[] = { "kernel", "initrd", "append",
                                             "firmware", "dtb" };

static const char *machine_prop(const Machine *m, size_t i)
{
    const char *const values[] = { m->cfg.kernel, m->cfg.initrd, m->cfg.append,
                                   m->cfg.firmware, m->cfg.dtb };

    return values[i] ? values[i] : "";
}

static void list_machine(json_object *list)
{
    for (size_t i = 0; i < G_N_ELEMENTS(machine_props); i++) {
        add_info(list, machine_props[i], "string");
    }
}

typedef struct Listing {
    Machine *m;
    json_object *list;
} Listing;

static void list_child(const char *name, Node child, void *opaque)
{
    Listing *l = opaque;
    g_autofree char *type = node_type(l->m, child);
    g_autofree char *text = g_strdup_printf("child<%s>", type);

    add_info(l->list, name, text);
}

json_object *qmp_qom_list(Machine *m, const Args *args, GError **errp)
{
    Node n = resolve(m, args_str(args, "path"), errp);
    json_object *list;

    if (n.kind == NODE_NONE) {
        return NULL;
    }
    list = json_object_new_array();
    add_info(list, "type", "string");
    switch (n.kind) {
    case NODE_DEVICE:
        add_info(list, "realized", "bool");
        add_info(list, "hotplugged", "bool");
        add_info(list, "hotpluggable", "bool");
        list_class(list, ((const Device *)n.p)->cls, false);
        break;
    case NODE_CPU:
        add_info(list, "realized", "bool");
        list_cpu(list);
        break;
    case NODE_MACHINE:
        list_machine(list);
        break;
    default:
        break;
    }
    each_child(m, n, list_child, &(Listing) { m, list });
    return list;
}

/* ---- qom-get ----------------------------------------------------------------------- */

static json_object *get_device(const Device *dev, const char *name)
{
    const Property *p = dev->cls->props;

    if (!strcmp(name, "realized")) {
        return json_object_new_boolean(dev->realized);
    }
    if (!strcmp(name, "hotplugged")) {
        return json_object_new_boolean(dev->hotplugged);
    }
    if (!strcmp(name, "hotpluggable")) {
        return json_object_new_boolean(hotplug_possible(dev));
    }
    for (; p && p->kind != PROP_END; p++) {
        if (!strcmp(p->name, name)) {
            return prop_value(dev, p);
        }
    }
    return NULL;
}

static json_object *get_cpu(Machine *m, const X86Cpu *cpu, const char *name)
{
    g_autoptr(json_object) all = NULL;
    json_object *found;

    if (!strcmp(name, "realized")) {
        return json_object_new_boolean(true);
    }
    if (!strcmp(name, "apic-id")) {
        return json_object_new_int64(cpu_model_apic_id(cpu->model, cpu->index));
    }
    if (!strcmp(name, "unavailable-features")) {
        return qom_cpu_unavailable(cpu->model);
    }
    all = qom_cpu_topology(m, cpu->index);
    qom_cpu_props(all, cpu->model);
    found = js_get(all, name);
    return found ? json_object_get(found) : NULL;
}

static json_object *get_machine(const Machine *m, const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(machine_props); i++) {
        if (!strcmp(machine_props[i], name)) {
            return json_object_new_string(machine_prop(m, i));
        }
    }
    return NULL;
}

static void put_child(const char *name, Node child, void *opaque)
{
    json_object *o = opaque;

    js_bool(o, name, true);
}

/* A child's value is its path. */
static json_object *get_child(Machine *m, Node n, const char *path,
                              const char *name)
{
    g_autoptr(json_object) children = json_object_new_object();
    g_autofree char *full = NULL;

    each_child(m, n, put_child, children);
    if (!js_get(children, name)) {
        return NULL;
    }
    full = g_strdup_printf("%s/%s", strcmp(path, "/") ? path : "", name);
    return json_object_new_string(full);
}

static json_object *get(Machine *m, Node n, const char *path, const char *name)
{
    g_autofree char *type = node_type(m, n);
    json_object *v = NULL;

    if (!strcmp(name, "type")) {
        return json_object_new_string(type);
    }
    if (n.kind == NODE_DEVICE) {
        v = get_device(n.p, name);
    } else if (n.kind == NODE_CPU) {
        v = get_cpu(m, n.p, name);
    } else if (n.kind == NODE_MACHINE) {
        v = get_machine(m, name);
    }
    return v ? v : get_child(m, n, path, name);
}

static void no_property(Machine *m, Node n, const char *name, GError **errp)
{
    g_autofree char *type = node_type(m, n);

    error_setg(errp, "Property '%s.%s' not found", type, name);
}

static bool is_balloon(Node n)
{
    const char *name =
        n.kind == NODE_DEVICE ? ((const Device *)n.p)->cls->name : "";

    return g_str_has_prefix(name, "virtio-balloon-");
}

json_object *qmp_qom_get(Machine *m, const Args *args, GError **errp)
{
    const char *path = args_str(args, "path");
    const char *name = args_str(args, "property");
    Node n = resolve(m, path, errp);
    json_object *v;

    if (n.kind == NODE_NONE) {
        return NULL;
    }
    if (is_balloon(n) && !strcmp(name, "guest-stats")) {
        return qom_balloon_stats(m, errp);
    }
    v = get(m, n, path, name);
    if (!v) {
        no_property(m, n, name, errp);
    }
    return v;
}

json_object *qmp_qom_set(Machine *m, const Args *args, GError **errp)
{
    const char *path = args_str(args, "path");
    const char *name = args_str(args, "property");
    Node n = resolve(m, path, errp);
    g_autoptr(json_object) old = NULL;

    if (n.kind == NODE_NONE) {
        return NULL;
    }
    old = get(m, n, path, name);
    if (!old) {
        no_property(m, n, name, errp);
    } else if (is_balloon(n) && !strcmp(name, "guest-stats-polling-interval")) {
        qom_balloon_poll(m, js_get_int(args_object(args), "value"), errp);
    } else if (n.kind == NODE_DEVICE && strcmp(name, "type") &&
               strcmp(name, "realized")) {
        const Device *dev = n.p;

        error_setg(errp,
                   "Attempt to set property '%s' on device '%s' (type '%s') "
                   "after it was realized",
                   name, dev->id ? dev->id : "", dev->cls->name);
    } else {
        g_autofree char *type = node_type(m, n);

        error_setg(errp, "Property '%s.%s' is not writable", type, name);
    }
    return NULL;
}

/* ---- objects that come and go --------------------------------------------------- */

json_object *qmp_object_add(Machine *m, const Args *args, GError **errp)
{
    const char *type = args_str(args, "qom-type");
    const DeviceClass *dc = device_class_find(type);
    g_autofree char *text = js_text(args_object(args));

    if (!dc || !object_class_is(dc)) {
        error_setg(errp, "Parameter 'qom-type' does not accept value '%s'",
                   type);
        return NULL;
    }
    object_add(m, text, errp);
    return NULL;
}

json_object *qmp_object_del(Machine *m, const Args *args, GError **errp)
{
    object_del(m, args_str(args, "id"), errp);
    return NULL;
}

static int64_t object_int(const Device *obj, const char *name)
{
    g_autoptr(json_object) v = get_device(obj, name);

    return json_object_get_int64(v);
}

json_object *qmp_query_iothreads(Machine *m, const Args *args, GError **errp)
{
    json_object *list = json_object_new_array();
    static const char *const numbers[] = { "poll-max-ns", "poll-grow",
                                           "poll-shrink", "aio-max-batch" };

    for (guint i = 0; m->objects && i < m->objects->len; i++) {
        const Device *obj = m->objects->pdata[i];
        json_object *o;

        if (strcmp(obj->cls->name, "iothread")) {
            continue;
        }
        o = js_add(list, json_object_new_object());
        js_str(o, "id", obj->id);
        js_int(o, "thread-id", getpid());
        for (size_t k = 0; k < G_N_ELEMENTS(numbers); k++) {
            js_int(o, numbers[k], object_int(obj, numbers[k]));
        }
    }
    return list;
}

/* ---- types -------------------------------------------------------------------------- */

static char *device_parent(const DeviceClass *dc)
{
    g_autofree char *bus = dc->bus ? g_ascii_strdown(dc->bus, -1) : NULL;

    return !bus                     ? g_strdup("device")
           : !strcmp(bus, "object") ? g_strdup("object")
                                    : g_strdup_printf("%s-device", bus);
}

/* What a parent is itself. */
static const char *parent_of(const char *type)
{
    return !strcmp(type, "object")             ? NULL
           : !strcmp(type, "x86_64-cpu")       ? "cpu"
           : !strcmp(type, "cpu")              ? "device"
           : g_str_has_suffix(type, "-device") ? "device"
                                               : "object";
}

static bool descends_from(const char *parent, const char *wanted)
{
    for (; parent; parent = parent_of(parent)) {
        if (!strcmp(parent, wanted)) {
            return true;
        }
    }
    return false;
}

typedef struct TypeList {
    json_object *list;
    const char *implements;
} TypeList;

static void add_type(TypeList *l, const char *name, const char *parent)
{
    json_object *o;

    if (l->implements && strcmp(name, l->implements) &&
        !descends_from(parent, l->implements) &&
        !(!strcmp(l->implements, "user-creatable") &&
          !strcmp(parent, "object"))) {
        return;
    }
    o = js_add(l->list, json_object_new_object());
    js_str(o, "name", name);
    js_str(o, "parent", parent);
}

static void add_cpu_type(const char *name, const char *alias_of, void *opaque)
{
    g_autofree char *type = qom_cpu_type(name);

    if (!alias_of) {
        add_type(opaque, type, "x86_64-cpu");
    }
}

json_object *qmp_qom_list_types(Machine *m, const Args *args, GError **errp)
{
    TypeList l = { json_object_new_array(), args_str(args, "implements") };

    for (unsigned i = 0; device_classes[i]; i++) {
        g_autofree char *parent = device_parent(device_classes[i]);

        add_type(&l, device_classes[i]->name, parent);
    }
    for (unsigned i = 0; machine_classes[i]; i++) {
        g_autofree char *type = machine_type(machine_classes[i]);

        add_type(&l, type, "machine");
    }
    cpu_models_foreach(add_cpu_type, &l);
    for (int i = 0; char_backends[i]; i++) {
        g_autofree char *type =
            g_strdup_printf("chardev-%s", char_backends[i]->name);

        add_type(&l, type, "chardev");
    }
    for (int i = 0; accels[i]; i++) { /* libvirt looks for tcg-accel */
        g_autofree char *type = g_strdup_printf("%s-accel", accels[i]->name);

        add_type(&l, type, "accel");
    }
    return l.list;
}

typedef struct CpuSearch {
    const char *type;
    bool found;
} CpuSearch;

static void match_cpu(const char *name, const char *alias_of, void *opaque)
{
    CpuSearch *s = opaque;
    g_autofree char *type = qom_cpu_type(name);

    s->found |= !strcmp(type, s->type);
}

static bool list_type(const char *type, json_object *list)
{
    const DeviceClass *dc = device_class_find(type);
    CpuSearch s = { type, !strcmp(type, "x86_64-cpu") };

    if (dc) {
        list_class(list, dc, true);
        return true;
    }
    cpu_models_foreach(match_cpu, &s);
    if (s.found) {
        list_cpu(list);
    }
    return s.found;
}

json_object *qmp_device_list_properties(Machine *m, const Args *args,
                                        GError **errp)
{
    const char *type = args_str(args, "typename");
    g_autoptr(json_object) list = json_object_new_array();

    if (!list_type(type, list)) {
        error_set_class(errp, ERROR_CLASS_DEVICE_NOT_FOUND,
                        "Device '%s' not found", type);
        return NULL;
    }
    return g_steal_pointer(&list);
}

json_object *qmp_qom_list_properties(Machine *m, const Args *args,
                                     GError **errp)
{
    const char *type = args_str(args, "typename");
    g_autoptr(json_object) list = json_object_new_array();

    add_info(list, "type", "string");
    for (unsigned i = 0; machine_classes[i]; i++) {
        g_autofree char *name = machine_type(machine_classes[i]);

        if (!strcmp(name, type)) {
            list_machine(list);
            return g_steal_pointer(&list);
        }
    }
    if (!list_type(type, list)) {
        error_set_class(errp, ERROR_CLASS_DEVICE_NOT_FOUND,
                        "Class '%s' not found", type);
        return NULL;
    }
    return g_steal_pointer(&list);
}

#endif
