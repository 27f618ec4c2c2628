/* Named values in a tree; see info.h. */
#include "util/osdep.h"
#include "block/info.h"

InfoItem *info_new(InfoKind kind)
{
    InfoItem *i = g_new0(InfoItem, 1);

    i->kind = kind;
    if (kind == INFO_DICT || kind == INFO_LIST) {
        i->items = g_ptr_array_new_with_free_func((GDestroyNotify)info_free);
    }
    return i;
}

void info_free(InfoItem *item)
{
    if (item) {
        g_free(item->name);
        g_free(item->str);
        g_clear_pointer(&item->items, g_ptr_array_unref);
        g_free(item);
    }
}

InfoItem *info_add(InfoItem *to, const char *name, InfoItem *child)
{
    g_free(child->name);
    child->name = g_strdup(name);
    g_ptr_array_add(to->items, child);
    return child;
}

void info_add_bool(InfoItem *to, const char *name, bool v)
{
    info_add(to, name, info_new(INFO_BOOL))->u = v;
}

void info_add_int(InfoItem *to, const char *name, uint64_t v)
{
    info_add(to, name, info_new(INFO_INT))->u = v;
}

void info_add_str(InfoItem *to, const char *name, const char *v)
{
    info_add(to, name, info_new(INFO_STR))->str = g_strdup(v);
}

const InfoItem *info_get(const InfoItem *from, const char *name)
{
    for (guint i = 0; from->items && i < from->items->len; i++) {
        const InfoItem *item = from->items->pdata[i];

        if (item->name && strcmp(item->name, name) == 0) {
            return item;
        }
    }
    return NULL;
}
