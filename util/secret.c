/* See secret.h. */
#include "util/osdep.h"
#include "util/secret.h"

#include "util/error.h"
#include "util/fdset.h"

static GHashTable *secrets; /* id -> GBytes; see the header */

static GBytes *secret_data(KeyVal *o, GError **errp)
{
    const char *data = keyval_get(o, "data"), *file = keyval_get(o, "file");
    const char *format = keyval_get(o, "format");
    g_autofree char *content = NULL;
    gsize len;

    if (!data == !file) {
        error_setg(errp, data ? "'file' and 'data' are mutually exclusive"
                              : "Must provide 'file' or 'data'");
        return NULL;
    }
    if (format && strcmp(format, "raw") && strcmp(format, "base64")) {
        error_setg(errp, "format must be raw or base64, not '%s'", format);
        return NULL;
    }
    if (file) {
        if (!file_get_contents(file, &content, &len, errp)) {
            return NULL;
        }
    } else {
        content = g_strdup(data);
        len = strlen(data);
    }
    if (format && strcmp(format, "base64") == 0) {
        guchar *raw = g_base64_decode(content, &len);

        return g_bytes_new_take(raw, len);
    }
    return g_bytes_new_take(g_steal_pointer(&content), len);
}

bool secret_add(KeyVal *options, GError **errp)
{
    const char *id = keyval_get(options, "id");
    GBytes *b;

    keyval_get(options, "qom-type");
    if (!id) {
        error_setg(errp, "Parameter 'id' is missing");
        return false;
    }
    b = secret_data(options, errp);
    if (!b) {
        return false;
    }
    if (keyval_unused(options)) {
        error_setg(errp, "Property 'secret.%s' not found",
                   keyval_unused(options));
        g_bytes_unref(b);
        return false;
    }
    if (!secrets) {
        secrets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                        (GDestroyNotify)g_bytes_unref);
    }
    g_hash_table_replace(secrets, g_strdup(id), b);
    return true;
}

bool secret_remove(const char *id)
{
    return secrets && g_hash_table_remove(secrets, id);
}

GBytes *secret_get(const char *id, GError **errp)
{
    GBytes *b = secrets ? g_hash_table_lookup(secrets, id) : NULL;

    if (!b) {
        error_setg(errp, "No secret with id '%s'", id);
        return NULL;
    }
    return g_bytes_ref(b);
}
