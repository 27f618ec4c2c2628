/* See snapshot-names.h. */
#include "util/osdep.h"
#include "system/snapshot-names.h"

char *snap_device_name(Machine *m, const Device *dev)
{
    unsigned n = 0;

    if (dev->id) {
        return g_strdup_printf("%s (%s)", dev->cls->name, dev->id);
    }
    for (guint i = 0; m->devices->pdata[i] != dev; i++) {
        const Device *d = m->devices->pdata[i];

        n += d->cls == dev->cls && !d->id;
    }
    return g_strdup_printf("%s.%u", dev->cls->name, n);
}

char *snap_name_of_now(const char *name, GHashTable *seen)
{
    const char *id = strstr(name, " ("), *dot;
    g_autofree char *cls = NULL;
    unsigned n;

    dot = g_strrstr_len(name, id ? id - name : -1, ".");
    if (id) {
        cls = g_strndup(name, (gsize)((dot ? dot : id) - name));
        return g_strconcat(cls, id, NULL);
    }
    cls = g_strndup(name, dot ? (gsize)(dot - name) : strlen(name));
    n = GPOINTER_TO_UINT(g_hash_table_lookup(seen, cls));
    g_hash_table_insert(seen, g_strdup(cls), GUINT_TO_POINTER(n + 1));
    return g_strdup_printf("%s.%u", cls, n);
}

GHashTable *snap_names_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}
