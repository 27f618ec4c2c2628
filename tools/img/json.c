/*
 * JSON as QEMU's tools print it: indented by four, and the names of an object
 * in the order of the hash table that QEMU keeps them in, since people compare
 * such output byte by byte.
 */
#include "util/osdep.h"
#include "tools/img/img.h"

enum { BUCKETS = 512 };

/* The string hash of the trivial database, which orders QEMU's dictionaries. */
static unsigned name_bucket(const char *name)
{
    uint32_t h = 0x238f13afu * (uint32_t)strlen(name);

    for (unsigned i = 0; name[i]; i++) {
        h += (uint32_t)(unsigned char)name[i] << (i * 5 % 24);
    }
    return (1103515243u * h + 12345u) % BUCKETS;
}

static gint by_bucket(gconstpointer a, gconstpointer b)
{
    const InfoItem *x = *(InfoItem *const *)a, *y = *(InfoItem *const *)b;
    unsigned bx = name_bucket(x->name), by = name_bucket(y->name);

    return bx < by ? -1 : bx > by;
}

/* Of a dict, in that order: InfoItem pointers, not owned. */
static GPtrArray *img_json_order(const InfoItem *dict)
{
    GPtrArray *out = g_ptr_array_new();

    /* Within a bucket the last one put in comes first; g_ptr_array_sort() is
     * stable. */
    for (guint i = dict->items->len; i-- > 0;) {
        g_ptr_array_add(out, dict->items->pdata[i]);
    }
    if (dict->kind == INFO_DICT) {
        g_ptr_array_sort(out, by_bucket);
    } else {
        g_ptr_array_set_size(out, 0);
        for (guint i = 0; i < dict->items->len; i++) {
            g_ptr_array_add(out, dict->items->pdata[i]);
        }
    }
    return out;
}

static void add_string(GString *s, const char *text)
{
    g_string_append_c(s, '"');
    while (*text) {
        gunichar c = g_utf8_get_char_validated(text, -1);

        if (c == (gunichar)-1 || c == (gunichar)-2) {
            g_string_append(s, "\\uFFFD");
            text++;
            continue;
        }
        if (c == '"' || c == '\\') {
            g_string_append_printf(s, "\\%c", (char)c);
        } else if (c == '\b' || c == '\f' || c == '\n' || c == '\r' ||
                   c == '\t') {
            g_string_append_printf(s, "\\%c",
                                   "btn.fr"[c == '\n' ? 2 : c - '\b']);
        } else if (c < 0x20 || c == 0x7f) {
            g_string_append_printf(s, "\\u%04X", c);
        } else if (c > 0xffff) {
            c -= 0x10000;
            g_string_append_printf(s, "\\u%04X\\u%04X", 0xd800 + (c >> 10),
                                   0xdc00 + (c & 0x3ff));
        } else if (c > 0x7f) {
            g_string_append_printf(s, "\\u%04X", c);
        } else {
            g_string_append_c(s, (char)c);
        }
        text = g_utf8_next_char(text);
    }
    g_string_append_c(s, '"');
}

static void add_item(GString *s, const InfoItem *item, int indent);

static void add_items(GString *s, const InfoItem *item, int indent)
{
    g_autoptr(GPtrArray) order = img_json_order(item);

    g_string_append_c(s, item->kind == INFO_DICT ? '{' : '[');
    for (guint i = 0; i < order->len; i++) {
        const InfoItem *child = order->pdata[i];

        g_string_append_printf(s, "%s\n%*s", i ? "," : "", indent + 4, "");
        if (item->kind == INFO_DICT) {
            add_string(s, child->name);
            g_string_append(s, ": ");
        }
        add_item(s, child, indent + 4);
    }
    g_string_append_printf(s, "\n%*s%c", indent, "",
                           item->kind == INFO_DICT ? '}' : ']');
}

static void add_item(GString *s, const InfoItem *item, int indent)
{
    switch (item->kind) {
    case INFO_BOOL:
        g_string_append(s, item->u ? "true" : "false");
        break;
    case INFO_INT:
        g_string_append_printf(s, "%" PRId64, (int64_t)item->u);
        break;
    case INFO_STR:
        add_string(s, item->str ? item->str : "");
        break;
    case INFO_DICT:
    case INFO_LIST:
        add_items(s, item, indent);
        break;
    }
}

char *img_json_text(const InfoItem *item)
{
    GString *s = g_string_new(NULL);

    add_item(s, item, 0);
    return g_string_free(s, FALSE);
}

/* ---- for people -------------------------------------------------------------------- */

static void dump_value(const InfoItem *v, int indent)
{
    switch (v->kind) {
    case INFO_BOOL:
        printf(" %s\n", v->u ? "true" : "false");
        break;
    case INFO_INT:
        printf(" %" PRId64 "\n", (int64_t)v->u);
        break;
    case INFO_STR:
        printf(" %s\n", v->str ? v->str : "");
        break;
    case INFO_DICT:
    case INFO_LIST:
        printf("\n");
        img_print_items(v, indent + 1);
        break;
    }
}

void img_print_items(const InfoItem *items, int indent)
{
    g_autoptr(GPtrArray) order = img_json_order(items);

    for (guint i = 0; i < order->len; i++) {
        const InfoItem *v = order->pdata[i];
        g_autofree char *key = items->kind == INFO_LIST
                                   ? g_strdup_printf("[%u]", i)
                                   : g_strdelimit(g_strdup(v->name), "-", ' ');

        printf("%*s%s:", indent * 4, "", key);
        dump_value(v, indent);
    }
}
