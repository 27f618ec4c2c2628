/*
 * query-qmp-schema: commands, events and their types, made of the tables.
 * Types are listed when something that was listed before uses them.
 */
#include "util/osdep.h"
#include "monitor/qmp.h"

#if CONFIG_JSON_C

typedef struct Schema {
    json_object *list;
    GHashTable *known; /* names of types that are listed */
    GQueue *todo;      /* of QmpType that are not yet */
} Schema;

static json_object *add_entry(Schema *s, const char *name, const char *meta)
{
    json_object *o = js_add(s->list, json_object_new_object());

    js_str(o, "name", name);
    js_str(o, "meta-type", meta);
    return o;
}

static const struct {
    char letter;
    const char *name, *json;
} builtins[] = {
    { 's', "str", "string" },   { 'F', "str", "string" },
    { 'i', "int", "int" },      { 'n', "number", "number" },
    { 'b', "bool", "boolean" }, { 'q', "any", "value" },
};

static const char *builtin_name(char letter)
{
    for (size_t i = 0; i < G_N_ELEMENTS(builtins); i++) {
        if (builtins[i].letter == letter) {
            return builtins[i].name;
        }
    }
    return NULL;
}

/* True: it is new, and now known. */
static bool learn(Schema *s, const char *name)
{
    return g_hash_table_add(s->known, g_strdup(name));
}

/* "e(a|b)": the words, under @name. */
static void add_enum(Schema *s, const char *name, const char *type)
{
    g_autofree char *body = g_strndup(type + 2, strcspn(type, ")") - 2);
    g_auto(GStrv) words = g_strsplit(body, "|", -1);
    json_object *o = add_entry(s, name, "enum");
    json_object *members = js_put(o, "members", json_object_new_array());
    json_object *values = js_put(o, "values", json_object_new_array());

    for (char **w = words; *w; w++) {
        js_str(js_add(members, json_object_new_object()), "name", *w);
        js_add(values, json_object_new_string(*w));
    }
}

/* What the schema calls @type; types without a name get @hint. New. */
static char *type_name(Schema *s, const char *type, const char *hint)
{
    const char *builtin = builtin_name(type[0]);
    const QmpType *t;

    if (builtin) {
        return g_strdup(builtin);
    }
    if (type[0] == '[') {
        g_autofree char *of = type_name(s, type + 1, hint);
        char *name = g_strdup_printf("[%s]", of);

        if (learn(s, name)) {
            js_str(add_entry(s, name, "array"), "element-type", of);
        }
        return name;
    }
    if (type[0] == 'e') {
        if (learn(s, hint)) {
            add_enum(s, hint, type);
        }
        return g_strdup(hint);
    }
    t = qmp_type_find(type);
    if (!t) {
        return g_strdup("any");
    }
    if (t->def[0] == '=') { /* another name of a type */
        return type_name(s, t->def + 1, t->name);
    }
    if (learn(s, t->name)) {
        g_queue_push_tail(s->todo, (void *)t);
    }
    return g_strdup(t->name);
}

static void add_object(Schema *s, const char *name, const char *def)
{
    json_object *o = add_entry(s, name, "object");
    json_object *members = js_put(o, "members", json_object_new_array());
    ArgSpec spec;

    while (args_next_spec(&def, &spec)) {
        g_autofree char *hint = g_strdup_printf("%s-%s", name, spec.name);
        g_autofree char *type = NULL;
        json_object *member;

        if (!strcmp(spec.name, "*")) {
            continue;
        }
        member = js_add(members, json_object_new_object());
        type = type_name(s, spec.full, hint);
        js_str(member, "name", spec.name);
        js_str(member, "type", type);
        if (spec.optional) {
            json_object_object_add(member, "default", NULL);
        }
    }
}

static void drain(Schema *s)
{
    const QmpType *t;

    while ((t = g_queue_pop_head(s->todo))) {
        add_object(s, t->name, t->def);
    }
}

/* The type of a list of members. New. */
static char *arguments_type(Schema *s, const char *owner, const char *def)
{
    char *name = def[0] ? g_strdup_printf("%s-arg", owner) : g_strdup("empty");

    if (learn(s, name)) {
        add_object(s, name, def);
    }
    return name;
}

static void add_command(Schema *s, const QmpCommand *c)
{
    json_object *o = add_entry(s, c->name, "command");
    g_autofree char *hint = g_strdup_printf("%s-ret", c->name);
    g_autofree char *arg = arguments_type(s, c->name, c->args);
    g_autofree char *ret =
        c->ret[0] ? type_name(s, c->ret, hint) : arguments_type(s, "", "");

    js_str(o, "arg-type", arg);
    js_str(o, "ret-type", ret);
    js_bool(o, "allow-oob", c->flags & CMD_OOB);
}

static void add_event(Schema *s, const QmpEvent *e)
{
    json_object *o = add_entry(s, e->name, "event");
    g_autofree char *arg = arguments_type(s, e->name, e->data);

    js_str(o, "arg-type", arg);
}

json_object *qmp_schema(void)
{
    Schema s = { .list = json_object_new_array(),
                 .known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                                NULL),
                 .todo = g_queue_new() };

    for (size_t i = 0; i < G_N_ELEMENTS(builtins); i++) {
        if (learn(&s, builtins[i].name)) {
            js_str(add_entry(&s, builtins[i].name, "builtin"), "json-type",
                   builtins[i].json);
        }
    }
    for (const QmpCommand *c = qmp_commands; c->name; c++) {
        add_command(&s, c);
    }
    for (const QmpEvent *e = qmp_events; e->name; e++) {
        add_event(&s, e);
    }
    drain(&s);
    g_hash_table_unref(s.known);
    g_queue_free(s.todo);
    return s.list;
}

#endif
