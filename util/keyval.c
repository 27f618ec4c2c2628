/*
 * QEMU's option strings. The grammar as QEMU's QemuOpts and keyval parsers
 * accept it together:
 *
 *   text = item { "," item }     item = key "=" value | word
 *
 * A value ends at a comma that is not doubled. The first item without '=' is
 * the value of the implied key; any other word is a switch, and a word that
 * begins with "no" switches off.
 */
#include "util/osdep.h"
#include "util/keyval.h"

#include "util/error.h"
#if CONFIG_JSON_C
#include <json.h>
#endif

typedef struct Pair {
    char *key, *value;
    GPtrArray *earlier; /* of char *: values that @value replaced, or NULL */
    bool used;
} Pair;

struct KeyVal {
    GPtrArray *pairs;   /* of Pair, each key once, in order; owned */
    GHashTable *by_key; /* its strings belong to the pairs */
};

static void pair_free(void *p)
{
    Pair *pair = p;

    g_free(pair->key);
    g_free(pair->value);
    if (pair->earlier) {
        g_ptr_array_unref(pair->earlier);
    }
    g_free(pair);
}

KeyVal *keyval_new(void)
{
    KeyVal *kv = g_new0(KeyVal, 1);

    kv->pairs = g_ptr_array_new_with_free_func(pair_free);
    kv->by_key = g_hash_table_new(g_str_hash, g_str_equal);
    return kv;
}

void keyval_free(KeyVal *kv)
{
    if (kv) {
        g_hash_table_unref(kv->by_key);
        g_ptr_array_unref(kv->pairs);
        g_free(kv);
    }
}

/* Takes @value. */
static void keyval_take(KeyVal *kv, const char *key, char *value)
{
    Pair *p = g_hash_table_lookup(kv->by_key, key);

    if (p) {
        if (!p->earlier) {
            p->earlier = g_ptr_array_new_with_free_func(g_free);
        }
        g_ptr_array_add(p->earlier, p->value);
        p->value = value;
        return;
    }
    p = g_new0(Pair, 1);
    p->key = g_strdup(key);
    p->value = value;
    g_ptr_array_add(kv->pairs, p);
    g_hash_table_insert(kv->by_key, p->key, p);
}

void keyval_set(KeyVal *kv, const char *key, const char *value)
{
    keyval_take(kv, key, g_strdup(value));
}

/* ---- text ---------------------------------------------------------------- */

/* The value at *@p with ",," made ","; *@p moves behind its comma. */
static char *next_value(const char **p)
{
    GString *s = g_string_new(NULL);
    const char *q = *p;

    for (; *q; q++) {
        if (*q == ',') {
            if (q[1] != ',') {
                q++;
                break;
            }
            q++;
        }
        g_string_append_c(s, *q);
    }
    *p = q;
    return g_string_free(s, false);
}

static void set_switch(KeyVal *kv, const char *word)
{
    if (g_str_has_prefix(word, "no") && word[2]) {
        keyval_set(kv, word + 2, "off");
    } else {
        keyval_set(kv, word, "on");
    }
}

static bool parse_text(KeyVal *kv, const char *text, const char *implied_key,
                       GError **errp)
{
    const char *p = text;

    while (*p) {
        size_t len = strcspn(p, "=,");
        bool first = p == text;

        if (p[len] == '=') {
            g_autofree char *key = g_strndup(p, len);

            if (!len) {
                error_setg(errp, "'%s' has a value without a name before '='",
                           text);
                return false;
            }
            p += len + 1;
            keyval_take(kv, key, next_value(&p));
        } else if (first && implied_key) {
            keyval_take(kv, implied_key, next_value(&p));
        } else {
            g_autofree char *word = g_strndup(p, len);

            if (len) {
                set_switch(kv, word);
            }
            p += len + (p[len] == ',');
        }
    }
    return true;
}

/* ---- JSON ------------------------------------------------------------------ */

#if CONFIG_JSON_C
static bool flatten(KeyVal *kv, const char *name, json_object *o,
                    GError **errp);

static bool flatten_child(KeyVal *kv, const char *parent, const char *name,
                          json_object *o, GError **errp)
{
    g_autofree char *full =
        *parent ? g_strdup_printf("%s.%s", parent, name) : g_strdup(name);

    if (!*name) {
        error_setg(errp, "JSON options: a member of '%s' has no name", parent);
        return false;
    }
    return flatten(kv, full, o, errp);
}

static bool flatten_array(KeyVal *kv, const char *name, json_object *o,
                          GError **errp)
{
    for (size_t i = 0; i < json_object_array_length(o); i++) {
        g_autofree char *idx = g_strdup_printf("%zu", i);

        if (!flatten_child(kv, name, idx, json_object_array_get_idx(o, i),
                           errp)) {
            return false;
        }
    }
    return true;
}

static bool flatten_string(KeyVal *kv, const char *name, json_object *o,
                           GError **errp)
{
    const char *s = json_object_get_string(o);

    if (strlen(s) != (size_t)json_object_get_string_len(o)) {
        error_setg(errp, "JSON options: '%s' contains a zero byte", name);
        return false;
    }
    keyval_set(kv, name, s);
    return true;
}

/* null is "", as in backing=: both say that there is none. */
static bool flatten(KeyVal *kv, const char *name, json_object *o, GError **errp)
{
    switch (json_object_get_type(o)) {
    case json_type_null:
        keyval_set(kv, name, "");
        return true;
    case json_type_boolean:
        keyval_set(kv, name, json_object_get_boolean(o) ? "on" : "off");
        return true;
    case json_type_string:
        return flatten_string(kv, name, o, errp);
    case json_type_array:
        return flatten_array(kv, name, o, errp);
    case json_type_object: {
        json_object_object_foreach(o, key, child)
        {
            if (!flatten_child(kv, name, key, child, errp)) {
                return false;
            }
        }
        return true;
    }
    default: /* numbers */
        keyval_set(kv, name, json_object_to_json_string(o));
        return true;
    }
}

/* Nothing but space after the first @used bytes? */
static bool only_space_after(const char *text, size_t len, size_t used)
{
    return used >= len || strspn(text + used, " \t\r\n") == len - used;
}

static bool parse_json(KeyVal *kv, const char *text, GError **errp)
{
    json_tokener *tok = json_tokener_new();
    size_t len = strlen(text);
    enum json_tokener_error bad;
    json_object *o;
    bool ok = false;

    /* With the final NUL, so that an unfinished text is an error. */
    o = json_tokener_parse_ex(tok, text, len < INT_MAX ? (int)len + 1 : 0);
    bad = json_tokener_get_error(tok);
    if (bad != json_tokener_success) {
        error_setg(errp, "bad JSON in '%s': %s", text,
                   json_tokener_error_desc(bad));
    } else if (!only_space_after(text, len, json_tokener_get_parse_end(tok))) {
        error_setg(errp, "bad JSON in '%s': text after the object", text);
    } else {
        ok = flatten(kv, "", o, errp);
    }
    json_object_put(o);
    json_tokener_free(tok);
    return ok;
}
#else
static bool parse_json(KeyVal *kv, const char *text, GError **errp)
{
    error_setg(errp, "JSON options need json-c, which this build lacks "
                     "(./configure with libjson-c-dev installed); "
                     "write them as key=value");
    return false;
}
#endif

KeyVal *keyval_parse(const char *text, const char *implied_key, GError **errp)
{
    KeyVal *kv = keyval_new();

    if (text[0] == '{' ? parse_json(kv, text, errp)
                       : parse_text(kv, text, implied_key, errp)) {
        return kv;
    }
    keyval_free(kv);
    return NULL;
}

/* ---- reading --------------------------------------------------------------- */

const char *keyval_get(KeyVal *kv, const char *key)
{
    Pair *p = g_hash_table_lookup(kv->by_key, key);

    if (!p) {
        return NULL;
    }
    p->used = true;
    return p->value;
}

GPtrArray *keyval_all(KeyVal *kv, const char *key)
{
    GPtrArray *all = g_ptr_array_new();
    Pair *p = g_hash_table_lookup(kv->by_key, key);

    if (!p) {
        return all;
    }
    for (guint i = 0; p->earlier && i < p->earlier->len; i++) {
        g_ptr_array_add(all, p->earlier->pdata[i]);
    }
    g_ptr_array_add(all, p->value);
    p->used = true;
    return all;
}

void keyval_merge(KeyVal *kv, const KeyVal *from)
{
    for (guint i = 0; i < from->pairs->len; i++) {
        const Pair *p = from->pairs->pdata[i];

        keyval_set(kv, p->key, p->value);
    }
}

void keyval_foreach(KeyVal *kv,
                    void (*fn)(const char *key, const char *value,
                               void *opaque),
                    void *opaque)
{
    for (guint i = 0; i < kv->pairs->len; i++) {
        const Pair *p = kv->pairs->pdata[i];

        fn(p->key, p->value, opaque);
    }
}

const char *keyval_unused(KeyVal *kv)
{
    for (guint i = 0; i < kv->pairs->len; i++) {
        const Pair *p = kv->pairs->pdata[i];

        if (!p->used) {
            return p->key;
        }
    }
    return NULL;
}

bool keyval_bool(KeyVal *kv, const char *key, bool defval, bool *out,
                 GError **errp)
{
    const char *text = keyval_get(kv, key);

    *out = defval;
    if (text && !parse_bool(text, out, NULL)) {
        error_setg(errp, "Parameter '%s' expects 'on' or 'off', not '%s'", key,
                   text);
        return false;
    }
    return true;
}

bool keyval_u64(KeyVal *kv, const char *key, uint64_t defval, uint64_t *out,
                GError **errp)
{
    const char *text = keyval_get(kv, key);

    *out = defval;
    if (text && !parse_u64(text, out, NULL)) {
        error_setg(errp, "Parameter '%s' expects a number, not '%s'", key,
                   text);
        return false;
    }
    return true;
}

bool keyval_size(KeyVal *kv, const char *key, uint64_t unit, uint64_t defval,
                 uint64_t *out, GError **errp)
{
    const char *text = keyval_get(kv, key);

    *out = defval;
    if (text && !parse_size(text, unit, out, NULL)) {
        error_setg(errp,
                   "Parameter '%s' expects a size such as 64M or 1G, not '%s'",
                   key, text);
        return false;
    }
    return true;
}

/* ---- values ------------------------------------------------------------------ */

bool parse_bool(const char *text, bool *out, GError **errp)
{
    static const struct {
        const char *text;
        bool value;
    } words[] = {
        { "on", true },   { "yes", true }, { "true", true },   { "y", true },
        { "off", false }, { "no", false }, { "false", false }, { "n", false },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (strcmp(text, words[i].text) == 0) {
            *out = words[i].value;
            return true;
        }
    }
    error_setg(errp, "expected 'on' or 'off', not '%s'", text);
    return false;
}

bool parse_u64(const char *text, uint64_t *out, GError **errp)
{
    char *end = NULL;
    uint64_t v = 0;

    errno = 0;
    if (g_ascii_isdigit(*text)) { /* no sign, no space */
        v = g_ascii_strtoull(text, &end, 0);
    }
    if (!end || *end || errno) {
        error_setg(errp, "expected a number from 0 to 2^64-1, not '%s'", text);
        return false;
    }
    *out = v;
    return true;
}

/* The factor that @suffix stands for; 0: none. */
static uint64_t size_suffix(char suffix, uint64_t unit)
{
    static const char names[] = "BKMGTPE";
    const char *p;

    if (!suffix) {
        return unit;
    }
    p = strchr(names, g_ascii_toupper(suffix));
    return p ? UINT64_C(1) << (10 * (p - names)) : 0;
}

/* Digits behind the decimal point as a fraction of 10^@digits; *@end moves. */
static uint64_t size_fraction(const char **end, uint64_t *scale)
{
    const char *p = *end;
    uint64_t v = 0;

    *scale = 1;
    for (; g_ascii_isdigit(*p); p++) {
        if (*scale < UINT64_C(1000000000000000000)) {
            v = v * 10 + (unsigned)(*p - '0');
            *scale *= 10;
        }
    }
    *end = p;
    return v;
}

bool parse_size(const char *text, uint64_t unit, uint64_t *out, GError **errp)
{
    const char *end = text;
    uint64_t whole, factor, fraction = 0, scale = 1;
    bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    unsigned __int128 v;

    errno = 0;
    whole = g_ascii_isdigit(*text)
                ? g_ascii_strtoull(text, (char **)&end, hex ? 16 : 10)
                : 0;
    if (end == text || errno) {
        goto bad;
    }
    if (*end == '.' && !hex && g_ascii_isdigit(end[1])) {
        end++;
        fraction = size_fraction(&end, &scale);
    }
    factor = size_suffix(*end, unit);
    if (!factor || (*end && end[1]) || (fraction && factor == 1)) {
        goto bad;
    }
    v = (unsigned __int128)whole * factor +
        (unsigned __int128)fraction * factor / scale;
    if (v > UINT64_MAX) {
        goto bad;
    }
    *out = (uint64_t)v;
    return true;
bad:
    error_setg(errp, "expected a size such as 64M or 1G, not '%s'", text);
    return false;
}

bool id_wellformed(const char *id)
{
    if (!g_ascii_isalpha(id[0])) {
        return false;
    }
    for (const char *p = id; *p; p++) {
        if (!g_ascii_isalnum(*p) && !strchr("-._", *p)) {
            return false;
        }
    }
    return true;
}
