/* Values against types, with QEMU's words for what is wrong. */
#include "util/osdep.h"
#include "util/error.h"
#include "monitor/args.h"
#include "monitor/qmp-types.h"

const QmpType *qmp_type_find(const char *name)
{
    size_t n = strcspn(name, " ");

    for (const QmpType *t = qmp_types; t->name; t++) {
        if (strlen(t->name) == n && !memcmp(t->name, name, n)) {
            return t;
        }
    }
    return NULL;
}

const QmpEvent *qmp_event_find(const char *name)
{
    for (const QmpEvent *e = qmp_events; e->name; e++) {
        if (!strcmp(e->name, name)) {
            return e;
        }
    }
    return NULL;
}

#if CONFIG_JSON_C

/* In "e(x|y)". */
static bool enum_has(const char *type, const char *value)
{
    size_t len = strlen(value);
    const char *p = type + 2;

    while (*p && *p != ')') {
        size_t n = strcspn(p, "|)");

        if (n == len && !memcmp(p, value, n)) {
            return true;
        }
        p += n + (p[n] == '|');
    }
    return false;
}

static bool wrong_type(const char *path, const char *want, GError **errp)
{
    error_setg(errp, "Invalid parameter type for '%s', expected: %s", path,
               want);
    return false;
}

static bool check_kind(json_object *v, json_type kind, const char *path,
                       const char *want, GError **errp)
{
    return json_object_is_type(v, kind) || wrong_type(path, want, errp);
}

static bool check_string(json_object *v, const char *path, GError **errp)
{
    if (!check_kind(v, json_type_string, path, "string", errp)) {
        return false;
    }
    if (strlen(json_object_get_string(v)) !=
        (size_t)json_object_get_string_len(v)) {
        error_setg(errp, "Parameter '%s' must not contain \\u0000", path);
        return false;
    }
    return true;
}

static bool check_enum(json_object *v, const char *type, const char *path,
                       GError **errp)
{
    const char *word = strrchr(path, '.');

    if (!check_string(v, path, errp)) {
        return false;
    }
    if (!enum_has(type, json_object_get_string(v))) {
        error_setg(errp, "Parameter '%s' does not accept value '%s'",
                   word ? word + 1 : path, json_object_get_string(v));
        return false;
    }
    return true;
}

static bool check_list(json_object *v, const char *type, const char *path,
                       GError **errp)
{
    if (!check_kind(v, json_type_array, path, "array", errp)) {
        return false;
    }
    for (size_t i = 0; i < json_object_array_length(v); i++) {
        g_autofree char *item = g_strdup_printf("%s[%zu]", path, i);

        if (!qmp_check(json_object_array_get_idx(v, i), type, item, errp)) {
            return false;
        }
    }
    return true;
}

static bool check_named(json_object *v, const char *type, const char *path,
                        GError **errp)
{
    const QmpType *t = qmp_type_find(type);

    if (!t) {
        error_setg(errp, "'%s': no such type '%.*s'", path,
                   (int)strcspn(type, " "), type);
        return false;
    }
    return t->def[0] == '=' ? qmp_check(v, t->def + 1, path, errp)
                            : qmp_check_members(v, t->def, path, errp);
}

bool qmp_check(json_object *v, const char *type, const char *path,
               GError **errp)
{
    switch (type[0]) {
    case 's':
    case 'F':
        return check_string(v, path, errp);
    case 'i':
        return check_kind(v, json_type_int, path, "integer", errp);
    case 'n':
        return json_object_is_type(v, json_type_int) ||
               check_kind(v, json_type_double, path, "number", errp);
    case 'b':
        return check_kind(v, json_type_boolean, path, "boolean", errp);
    case 'q':
        return true;
    case 'e':
        return check_enum(v, type, path, errp);
    case '[':
        return check_list(v, type + 1, path, errp);
    default:
        return check_named(v, type, path, errp);
    }
}

static char *join(const char *path, const char *name)
{
    return path ? g_strdup_printf("%s.%s", path, name) : g_strdup(name);
}

/* @name is a member of the list @def. */
static bool is_member(const char *def, const char *name)
{
    ArgSpec spec;

    while (args_next_spec(&def, &spec)) {
        if (!strcmp(spec.name, name) || !strcmp(spec.name, "*")) {
            return true;
        }
    }
    return false;
}

bool qmp_check_members(json_object *v, const char *def, const char *path,
                       GError **errp)
{
    const char *rest = def;
    ArgSpec spec;

    if (!check_kind(v, json_type_object, path ? path : "arguments", "object",
                    errp)) {
        return false;
    }
    while (args_next_spec(&rest, &spec)) {
        g_autofree char *full = join(path, spec.name);
        json_object *member;

        if (!strcmp(spec.name, "*")) {
            continue;
        }
        if (!json_object_object_get_ex(v, spec.name, &member)) {
            if (!spec.optional) {
                error_setg(errp, "Parameter '%s' is missing", full);
                return false;
            }
        } else if (!qmp_check(member, spec.full, full, errp)) {
            return false;
        }
    }
    json_object_object_foreach(v, key, child)
    {
        if (!is_member(def, key)) {
            g_autofree char *full = join(path, key);

            error_setg(errp, "Parameter '%s' is unexpected", full);
            return false;
        }
        (void)child;
    }
    return true;
}

#endif
