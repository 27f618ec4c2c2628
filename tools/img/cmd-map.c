/* map: where the data of an image is. */
#include "util/osdep.h"
#include "tools/img/img.h"

#include "util/log.h"

typedef struct MapEntry {
    uint64_t start, len, offset;
    int depth;
    bool data, zero, present, has_offset, compressed;
    BlockNode *file;
} MapEntry;

/* Preallocated space is data that may be a hole of the file below. */
static int look_below(MapEntry *e)
{
    BlockExtent x;
    int ret;

    if (e->offset >= e->file->size) {
        e->zero = true;
        return 0;
    }
    ret = block_map(e->file, e->offset, MIN(e->len, e->file->size - e->offset),
                    0, &x);
    if (ret == 0) {
        e->len = x.len;
        e->zero = x.kind == EXTENT_ZERO || x.kind == EXTENT_HOLE;
    }
    return ret;
}

static int get_entry(BlockNode *bn, uint64_t off, uint64_t len, MapEntry *e)
{
    BlockNode *owner;
    BlockExtent x;
    int depth;
    int ret = block_map_chain(bn, NULL, off, len, &x, &owner, &depth);

    if (ret < 0) {
        return ret;
    }
    memset(e, 0, sizeof(*e));
    e->start = off;
    e->len = x.len;
    /* Past the end of a shorter backing file: it is the layer above that
     * knows. */
    if (depth && off >= owner->size) {
        depth--;
    }
    e->depth = depth;
    e->data = x.kind == EXTENT_DATA || x.kind == EXTENT_COMPRESSED;
    e->zero = !e->data;
    e->present = x.kind != EXTENT_HOLE && off < owner->size;
    e->has_offset = x.has_offset;
    e->offset = x.host_offset;
    e->file = x.file;
    return e->data && x.recurse && x.has_offset ? look_below(e) : 0;
}

static bool merges(const MapEntry *a, const MapEntry *b)
{
    return a->data == b->data && a->zero == b->zero &&
           a->present == b->present && a->depth == b->depth &&
           a->has_offset == b->has_offset && a->file == b->file &&
           (!a->has_offset || a->offset + a->len == b->offset);
}

static int print_entry(const MapEntry *e, bool json, bool more)
{
    if (json) {
        printf("{ \"start\": %" PRIu64 ", \"length\": %" PRIu64
               ", \"depth\": %d, \"present\": %s, \"zero\": %s, "
               "\"data\": %s",
               e->start, e->len, e->depth, e->present ? "true" : "false",
               e->zero ? "true" : "false", e->data ? "true" : "false");
        if (e->has_offset) {
            printf(", \"offset\": %" PRIu64, e->offset);
        }
        printf(more ? "},\n" : "}");
        return 0;
    }
    if (e->data && !e->has_offset) {
        error_report("File contains external, encrypted or compressed "
                     "clusters.");
        return 1;
    }
    if (e->data && !e->zero) {
        printf("%#-16" PRIx64 "%#-16" PRIx64 "%#-16" PRIx64 "%s\n", e->start,
               e->len, e->has_offset ? e->offset : 0,
               e->file ? e->file->filename : "");
    }
    return 0;
}

static int print_map(BlockNode *bn, const char *name, bool json, uint64_t off,
                     uint64_t end)
{
    MapEntry cur = { 0 }, next;
    int ret = 0;

    if (json) {
        printf("[");
    } else {
        printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
    }
    while (ret == 0 && off < end) {
        int r = get_entry(bn, off, MIN(end - off, GIB), &next);

        if (r < 0) {
            error_report("Failed to read image metadata: %s", g_strerror(-r));
            return 1;
        }
        off += next.len;
        if (cur.len && merges(&cur, &next)) {
            cur.len += next.len;
            continue;
        }
        if (cur.len) {
            ret = print_entry(&cur, json, true);
        }
        cur = next;
    }
    if (ret == 0 && cur.len) {
        ret = print_entry(&cur, json, false);
    }
    if (json && ret == 0) {
        printf("]\n");
    }
    return ret;
}

int cmd_map(ImgArgs *a)
{
    const char *s = img_opt(a, IMG_START_OFFSET), *l = img_opt(a, 'l');
    bool json = img_json(a);
    int64_t start = 0, max = INT64_MAX;
    BlockNode *bn;
    int ret;

    s = img_opt(a, 's') ? img_opt(a, 's') : s;
    l = img_opt(a, IMG_MAX_LENGTH) ? img_opt(a, IMG_MAX_LENGTH) : l;
    if ((s && !img_size(s, "start offset", 0, INT64_MAX, &start)) ||
        (l && !img_size(l, "max length", 0, INT64_MAX, &max))) {
        return 1;
    }
    if (a->nfiles != 1) {
        img_usage("Expecting one image file name");
    }
    bn = img_open_arg(a, a->files[0], 0);
    if (!bn) {
        return 1;
    }
    ret = print_map(bn, a->files[0], json, (uint64_t)start,
                    MIN(bn->size, (uint64_t)start + (uint64_t)max));
    block_close(bn, NULL);
    return ret;
}
