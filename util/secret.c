/* Secrets by name; see secret.h. */
#include "util/osdep.h"
#include "util/secret.h"

#include "util/error.h"

static GHashTable *secrets; /* of the process, as QEMU's objects are */

static void wipe(gpointer p)
{
    GByteArray *a = p;

    explicit_bzero(a->data, a->len);
    g_byte_array_unref(a);
}

static bool read_secret(KeyVal *kv, char **out, gsize *len, GError **errp)
{
    const char *data = keyval_get(kv, "data");
    const char *file = keyval_get(kv, "file");

    if (data && file) {
        error_setg(errp, "'file' and 'data' are mutually exclusive");
        return false;
    }
    if (data) {
        *out = g_strdup(data);
        *len = strlen(data);
        return true;
    }
    if (!file) {
        error_setg(errp, "Must provide 'file' or 'data'");
        return false;
    }
    return g_file_get_contents(file, out, len, errp);
}

bool secret_add(KeyVal *kv, GError **errp)
{
    const char *id = keyval_get(kv, "id");
    const char *format = keyval_get(kv, "format");
    g_autofree char *text = NULL;
    GByteArray *bytes;
    const char *key;
    gsize len = 0;

    if (!id || !id[0]) {
        error_setg(errp, "Parameter 'id' is missing");
        return false;
    }
    if (!read_secret(kv, &text, &len, errp)) {
        return false;
    }
    key = keyval_unused(kv);
    if (key && strcmp(key, "qom-type") != 0) {
        error_setg(errp, "Parameter '%s' is unexpected", key);
        return false;
    }
    if (format && strcmp(format, "base64") == 0) {
        g_base64_decode_inplace(text, &len);
    } else if (format && strcmp(format, "raw") != 0) {
        error_setg(errp, "Parameter 'format' does not accept value '%s'",
                   format);
        return false;
    }
    if (!secrets) {
        secrets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, wipe);
    }
    if (g_hash_table_contains(secrets, id)) {
        error_setg(errp,
                   "attempt to add duplicate property '%s' to object "
                   "(type 'container')",
                   id);
        return false;
    }
    bytes = g_byte_array_new();
    g_byte_array_append(bytes, (const guint8 *)text, (guint)len);
    explicit_bzero(text, len);
    g_hash_table_insert(secrets, g_strdup(id), bytes);
    return true;
}

const GByteArray *secret_find(const char *id, GError **errp)
{
    const GByteArray *a = secrets ? g_hash_table_lookup(secrets, id) : NULL;

    if (!a) {
        error_setg(errp, "No secret with id '%s'", id);
    }
    return a;
}

void secret_clear(void)
{
    g_clear_pointer(&secrets, g_hash_table_unref);
}
