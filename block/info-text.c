/*
 * What an image is, in QEMU's words: as JSON and as lines.
 *
 * JSON is indented by four, and the names of an object stand in the order of
 * the hash table that QEMU keeps them in, because people compare such output
 * byte by byte.
 */
#include "util/osdep.h"
#include "block/info-text.h"
#include "block/snapshot-text.h"

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
static GPtrArray *in_order(const InfoItem *dict)
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
    g_autoptr(GPtrArray) order = in_order(item);

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

char *info_json_text(const InfoItem *item)
{
    GString *s = g_string_new(NULL);

    add_item(s, item, 0);
    return g_string_free(s, FALSE);
}

/* ---- for people ---------------------------------------------------------------- */

static void add_value(GString *s, const InfoItem *v, int indent)
{
    switch (v->kind) {
    case INFO_BOOL:
        g_string_append_printf(s, " %s\n", v->u ? "true" : "false");
        break;
    case INFO_INT:
        g_string_append_printf(s, " %" PRId64 "\n", (int64_t)v->u);
        break;
    case INFO_STR:
        g_string_append_printf(s, " %s\n", v->str ? v->str : "");
        break;
    case INFO_DICT:
    case INFO_LIST:
        g_string_append_c(s, '\n');
        info_add_lines(s, v, indent + 1);
        break;
    }
}

void info_add_lines(GString *s, const InfoItem *items, int indent)
{
    g_autoptr(GPtrArray) order = in_order(items);

    for (guint i = 0; i < order->len; i++) {
        const InfoItem *v = order->pdata[i];
        g_autofree char *key = items->kind == INFO_LIST
                                   ? g_strdup_printf("[%u]", i)
                                   : g_strdelimit(g_strdup(v->name), "-", ' ');

        g_string_append_printf(s, "%*s%s:", indent * 4, "", key);
        add_value(s, v, indent);
    }
}

static const char *text_of(const InfoItem *d, const char *name)
{
    const InfoItem *i = info_get(d, name);

    return i ? i->str : NULL;
}

static uint64_t int_of(const InfoItem *d, const char *name)
{
    const InfoItem *i = info_get(d, name);

    return i ? i->u : 0;
}

static void add_backing(GString *s, const InfoItem *d)
{
    const char *name = text_of(d, "backing-filename");
    const char *full = text_of(d, "full-backing-filename");
    const char *fmt = text_of(d, "backing-filename-format");

    if (!name) {
        return;
    }
    g_string_append_printf(s, "backing file: %s", name);
    if (!full) {
        g_string_append(s, " (cannot determine actual path)");
    } else if (strcmp(name, full) != 0) {
        g_string_append_printf(s, " (actual path: %s)", full);
    }
    g_string_append_c(s, '\n');
    if (fmt) {
        g_string_append_printf(s, "backing file format: %s\n", fmt);
    }
}

void block_add_snapshots(GString *s, const GArray *list)
{
    if (!list->len) {
        return;
    }
    g_string_append_printf(s, "Snapshot list:\n%s", block_snapshot_header());
    for (guint i = 0; i < list->len; i++) {
        g_autofree char *line =
            block_snapshot_line(&g_array_index(list, SnapshotInfo, i));

        g_string_append_printf(s, "%s\n", line);
    }
}

void block_add_description(GString *s, BlockNode *bn, const InfoItem *d)
{
    g_autofree char *vsize = block_size_text(bn->size);
    g_autofree char *dsize = info_get(d, "actual-size")
                                 ? block_size_text(int_of(d, "actual-size"))
                                 : g_strdup("unavailable");
    g_autoptr(GArray) list = block_snapshots(bn);
    const InfoItem *specific = info_get(d, "format-specific");
    const InfoItem *data = specific ? info_get(specific, "data") : NULL;

    g_string_append_printf(s,
                           "image: %s\nfile format: %s\nvirtual size: %s "
                           "(%" PRIu64 " bytes)\ndisk size: %s\n",
                           bn->filename, bn->drv->name, vsize, bn->size, dsize);
    if (info_get(d, "encrypted")) {
        g_string_append(s, "encrypted: yes\n");
    }
    if (info_get(d, "cluster-size")) {
        g_string_append_printf(s, "cluster_size: %" PRIu64 "\n",
                               int_of(d, "cluster-size"));
    }
    if (int_of(d, "dirty-flag")) {
        g_string_append(s, "cleanly shut down: no\n");
    }
    add_backing(s, d);
    if (list) {
        block_add_snapshots(s, list);
    }
    if (data && data->items->len) {
        g_string_append(s, "Format specific information:\n");
        info_add_lines(s, data, 1);
    }
}
