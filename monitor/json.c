/* JSON values built and printed. QEMU's spacing: programs compare texts. */
#include "util/osdep.h"
#include "monitor/json.h"

#if CONFIG_JSON_C

/* ---- building -------------------------------------------------------------- */

void js_str(json_object *o, const char *key, const char *value)
{
    if (value) {
        json_object_object_add(o, key, json_object_new_string(value));
    }
}

void js_fmt(json_object *o, const char *key, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    js_str(o, key, text);
}

void js_int(json_object *o, const char *key, int64_t value)
{
    json_object_object_add(o, key, json_object_new_int64(value));
}

void js_u64(json_object *o, const char *key, uint64_t value)
{
    json_object_object_add(o, key, json_object_new_uint64(value));
}

void js_bool(json_object *o, const char *key, bool value)
{
    json_object_object_add(o, key, json_object_new_boolean(value));
}

json_object *js_put(json_object *o, const char *key, json_object *child)
{
    json_object_object_add(o, key, child);
    return child;
}

json_object *js_add(json_object *list, json_object *child)
{
    json_object_array_add(list, child);
    return child;
}

/* ---- looking ----------------------------------------------------------------- */

json_object *js_get(json_object *o, const char *key)
{
    json_object *v = NULL;

    if (!o || !json_object_is_type(o, json_type_object)) {
        return NULL;
    }
    json_object_object_get_ex(o, key, &v);
    return v;
}

const char *js_get_str(json_object *o, const char *key)
{
    json_object *v = js_get(o, key);

    return v && json_object_is_type(v, json_type_string)
               ? json_object_get_string(v)
               : NULL;
}

int64_t js_get_int(json_object *o, const char *key)
{
    json_object *v = js_get(o, key);

    return v && json_object_is_type(v, json_type_int) ? json_object_get_int64(v)
                                                      : 0;
}

bool js_get_bool(json_object *o, const char *key)
{
    json_object *v = js_get(o, key);

    return v && json_object_is_type(v, json_type_boolean) &&
           json_object_get_boolean(v);
}

/* ---- printing ------------------------------------------------------------------ */

static const char *short_escape(gunichar c)
{
    switch (c) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\b':
        return "\\b";
    case '\f':
        return "\\f";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        return NULL;
    }
}

static void print_char(GString *out, gunichar c)
{
    const char *esc = short_escape(c);

    if (esc) {
        g_string_append(out, esc);
    } else if (c >= 0x20 && c < 0x7f) {
        g_string_append_c(out, (char)c);
    } else if (c < 0x10000) {
        g_string_append_printf(out, "\\u%04X", c);
    } else {
        c -= 0x10000;
        g_string_append_printf(out, "\\u%04X\\u%04X", 0xd800 + (c >> 10),
                               0xdc00 + (c & 0x3ff));
    }
}

/* Bytes that are not UTF-8 (file names may have them) become U+FFFD. */
static void print_string(GString *out, const char *s, size_t len)
{
    const char *end = s + len;

    g_string_append_c(out, '"');
    while (s < end) {
        gunichar c = g_utf8_get_char_validated(s, end - s);

        if (c == (gunichar)-1 || c == (gunichar)-2) {
            print_char(out, 0xfffd);
            s++;
        } else {
            print_char(out, c);
            s = *s ? g_utf8_next_char(s) : s + 1;
        }
    }
    g_string_append_c(out, '"');
}

static void new_line(GString *out, bool pretty, int depth)
{
    if (pretty) {
        g_string_append_printf(out, "\n%*s", depth * 4, "");
    }
}

static void separate(GString *out, bool pretty, int depth, bool first)
{
    if (!first) {
        g_string_append(out, pretty ? "," : ", ");
    }
    new_line(out, pretty, depth);
}

static void print(json_object *o, bool pretty, int depth, GString *out);

static void print_object(json_object *o, bool pretty, int depth, GString *out)
{
    bool first = true;

    g_string_append_c(out, '{');
    json_object_object_foreach(o, key, child)
    {
        separate(out, pretty, depth + 1, first);
        print_string(out, key, strlen(key));
        g_string_append(out, ": ");
        print(child, pretty, depth + 1, out);
        first = false;
    }
    new_line(out, pretty, depth);
    g_string_append_c(out, '}');
}

static void print_array(json_object *o, bool pretty, int depth, GString *out)
{
    size_t n = json_object_array_length(o);

    g_string_append_c(out, '[');
    for (size_t i = 0; i < n; i++) {
        separate(out, pretty, depth + 1, i == 0);
        print(json_object_array_get_idx(o, i), pretty, depth + 1, out);
    }
    new_line(out, pretty, depth);
    g_string_append_c(out, ']');
}

static void print(json_object *o, bool pretty, int depth, GString *out)
{
    switch (json_object_get_type(o)) {
    case json_type_object:
        print_object(o, pretty, depth, out);
        break;
    case json_type_array:
        print_array(o, pretty, depth, out);
        break;
    case json_type_string:
        print_string(out, json_object_get_string(o),
                     (size_t)json_object_get_string_len(o));
        break;
    default: /* null, true, numbers */
        g_string_append(
            out, json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
        break;
    }
}

void js_print(json_object *o, bool pretty, GString *out)
{
    print(o, pretty, 0, out);
}

char *js_text(json_object *o)
{
    GString *out = g_string_new(NULL);

    js_print(o, false, out);
    return g_string_free(out, FALSE);
}

#endif
