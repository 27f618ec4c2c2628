/* Typed words to typed arguments, as a grammar string says. */
#include "util/osdep.h"
#include "util/error.h"
#include "util/keyval.h"
#include "monitor/hmp.h"
#include "monitor/qmp-types.h"

typedef struct Arg {
    char *name;
    char *str; /* string types */
    int64_t num;
    MemFormat fmt;
#if CONFIG_JSON_C
    json_object *json; /* belongs to Args.object */
#endif
} Arg;

struct Args {
    GPtrArray *list; /* of Arg */
    Monitor *mon;
#if CONFIG_JSON_C
    json_object *object;
#endif
};

static void arg_free(void *p)
{
    Arg *a = p;

    g_free(a->name);
    g_free(a->str);
    g_free(a);
}

static Args *args_new(void)
{
    Args *a = g_new0(Args, 1);

    a->list = g_ptr_array_new_with_free_func(arg_free);
    return a;
}

void args_free(Args *a)
{
    g_ptr_array_unref(a->list);
#if CONFIG_JSON_C
    json_object_put(a->object);
#endif
    g_free(a);
}

Monitor *args_monitor(const Args *a)
{
    return a->mon;
}

static Arg *args_add(Args *a, const char *name)
{
    Arg *arg = g_new0(Arg, 1);

    arg->name = g_strdup(name);
    g_ptr_array_add(a->list, arg);
    return arg;
}

static const Arg *args_find(const Args *a, const char *name)
{
    for (guint i = 0; i < a->list->len; i++) {
        const Arg *arg = g_ptr_array_index(a->list, i);

        if (!strcmp(arg->name, name)) {
            return arg;
        }
    }
    return NULL;
}

bool args_has(const Args *a, const char *name)
{
    return args_find(a, name) != NULL;
}

const char *args_str(const Args *a, const char *name)
{
    const Arg *arg = args_find(a, name);

    return arg ? arg->str : NULL;
}

int64_t args_int(const Args *a, const char *name, int64_t defval)
{
    const Arg *arg = args_find(a, name);

    return arg ? arg->num : defval;
}

bool args_bool(const Args *a, const char *name, bool defval)
{
    return args_int(a, name, defval) != 0;
}

MemFormat args_format(const Args *a, const char *name)
{
    const Arg *arg = args_find(a, name);

    return arg ? arg->fmt
               : (MemFormat) { .count = 1, .format = 'x', .size = 4 };
}

bool args_next_spec(const char **grammar, ArgSpec *out)
{
    const char *p = *grammar;
    size_t n;

    while (*p == ' ') {
        p++;
    }
    n = strcspn(p, "?: ");
    if (!n || n >= sizeof(out->name)) {
        return false;
    }
    memcpy(out->name, p, n);
    out->name[n] = '\0';
    p += n;
    out->optional = *p == '?';
    p += out->optional;
    out->full = *p == ':' ? p + 1 : "s";
    out->type = out->full[0];
    p += strcspn(p, " ");
    *grammar = p;
    return true;
}

/* A word, or a "quoted one" with \" and \\ in it. */
static char *take_word(const char **p)
{
    GString *w = g_string_new(NULL);
    bool quoted = **p == '"';

    *p += quoted;
    while (**p && **p != (quoted ? '"' : ' ')) {
        if (quoted && **p == '\\' && (*p)[1]) {
            (*p)++;
        }
        g_string_append_c(w, *(*p)++);
    }
    *p += quoted && **p == '"';
    return g_string_free(w, FALSE);
}

static bool parse_format(MemFormat *fmt, const char **p, GError **errp)
{
    *fmt = (MemFormat) { .count = 1, .format = 'x', .size = 4 };
    if (**p != '/') {
        return true;
    }
    (*p)++;
    if (g_ascii_isdigit(**p)) {
        unsigned long n = strtoul(*p, (char **)p, 10);

        fmt->count = MIN(n, 65536);
    }
    for (; **p && **p != ' '; (*p)++) {
        switch (**p) {
        case 'o':
        case 'd':
        case 'u':
        case 'x':
        case 'i':
        case 'c':
            fmt->format = **p;
            break;
        case 'b':
            fmt->size = 1;
            break;
        case 'h':
            fmt->size = 2;
            break;
        case 'w':
            fmt->size = 4;
            break;
        case 'g':
        case 'L':
            fmt->size = 8;
            break;
        default:
            error_setg(errp, "invalid char in format: '%c'", **p);
            return false;
        }
    }
    return true;
}

static bool parse_flag(Args *a, const ArgSpec *spec, const char **p)
{
    /* "force:-f": present or absent */
    if ((*p)[0] == '-' && (*p)[1] == spec->name[0] &&
        ((*p)[2] == ' ' || !(*p)[2])) {
        args_add(a, spec->name)->num = 1;
        *p += 2;
    }
    return true;
}

static bool parse_one(Monitor *mon, Args *a, const ArgSpec *spec,
                      const char **p, GError **errp)
{
    g_autofree char *word = NULL;
    int64_t num = 0;
    uint64_t size;
    bool on;

    switch (spec->type) {
    case '-':
        return parse_flag(a, spec, p);
    case 'f':
        return parse_format(&args_add(a, spec->name)->fmt, p, errp);
    case 'S':
        args_add(a, spec->name)->str = g_strdup(*p);
        *p += strlen(*p);
        return true;
    case 'i':
    case 'l':
    case 'x':
    case 'a':
        mon_set_linear_pc(mon, spec->type == 'a');
        on = monitor_expr(mon, p, &num, errp);
        mon_set_linear_pc(mon, false);
        if (!on) {
            return false;
        }
        if (spec->type == 'i' && (num != (int32_t)num && num >> 32)) {
            error_setg(errp, "integer is for 32-bit values");
            return false;
        }
        args_add(a, spec->name)->num = num;
        return true;
    case 'o':
        word = take_word(p);
        if (!parse_size(word, MIB, &size, errp)) {
            return false;
        }
        args_add(a, spec->name)->num = size;
        return true;
    case 'b':
        word = take_word(p);
        if (!parse_bool(word, &on, errp)) {
            return false;
        }
        args_add(a, spec->name)->num = on;
        return true;
    default:
        args_add(a, spec->name)->str = take_word(p);
        return true;
    }
}

Args *args_parse_line(Monitor *mon, const char *grammar, const char *text,
                      GError **errp)
{
    g_autoptr(Args) a = args_new();
    const char *p = text;
    ArgSpec spec;

    a->mon = mon;
    while (args_next_spec(&grammar, &spec)) {
        p += strspn(p, " ");
        if (!*p && spec.type != 'f' && spec.type != '-') {
            if (spec.optional) {
                continue;
            }
            error_setg(errp, "parameter '%s' is missing", spec.name);
            return NULL;
        }
        if (!parse_one(mon, a, &spec, &p, errp)) {
            return NULL;
        }
    }
    p += strspn(p, " ");
    if (*p) {
        error_setg(errp, "extraneous characters at the end of line: '%s'", p);
        return NULL;
    }
    return g_steal_pointer(&a);
}

/* ---- QMP ----------------------------------------------------------------------- */

#if CONFIG_JSON_C

json_object *args_json(const Args *a, const char *name)
{
    const Arg *arg = args_find(a, name);

    return arg ? arg->json : NULL;
}

json_object *args_object(const Args *a)
{
    return a->object;
}

static void take_json(Arg *arg, json_object *v)
{
    arg->json = v;
    switch (json_object_get_type(v)) {
    case json_type_string:
        arg->str = g_strdup(json_object_get_string(v));
        break;
    case json_type_int:
        arg->num = json_object_get_int64(v);
        break;
    case json_type_boolean:
        arg->num = json_object_get_boolean(v);
        break;
    default:
        break;
    }
}

Args *args_parse_json(Monitor *mon, const char *grammar, json_object *o,
                      GError **errp)
{
    g_autoptr(Args) a = args_new();
    ArgSpec spec;

    a->mon = mon;
    a->object = o ? json_object_get(o) : json_object_new_object();
    if (!qmp_check_members(a->object, grammar, NULL, errp)) {
        return NULL;
    }
    while (args_next_spec(&grammar, &spec)) {
        json_object *v;

        if (json_object_object_get_ex(a->object, spec.name, &v)) {
            take_json(args_add(a, spec.name), v);
        }
    }
    return g_steal_pointer(&a);
}

#endif
