/* Dirty bitmaps in memory and those of a node by name; see dirty.h. */
#include "util/osdep.h"
#include "block/dirty.h"

#include "util/bits.h"
#include "util/error.h"

enum { DEFAULT_GRANULARITY = 65536, MIN_GRANULARITY = 512 };

static const uint64_t max_bits = UINT64_C(1) << 32; /* half a gigabyte */

struct DirtyMap {
    GMutex lock; /* below */
    uint64_t size, nbits, count;
    unsigned shift; /* log2 of the granularity */
    uint64_t bits[];
};

/* ---- one map --------------------------------------------------------------------- */

DirtyMap *dirty_new(uint64_t size, uint32_t granularity)
{
    unsigned shift = (unsigned)g_bit_nth_lsf(granularity, -1);
    uint64_t nbits = (size >> shift) + !!(size & (granularity - 1));
    DirtyMap *d;

    if (nbits > max_bits) {
        return NULL;
    }
    d = g_try_malloc0(sizeof(*d) + (nbits + 63) / 64 * 8);
    if (d) {
        g_mutex_init(&d->lock);
        d->size = size;
        d->nbits = nbits;
        d->shift = shift;
    }
    return d;
}

void dirty_free(DirtyMap *d)
{
    if (d) {
        g_mutex_clear(&d->lock);
        g_free(d);
    }
}

static bool bit_get(const DirtyMap *d, uint64_t i)
{
    return d->bits[i / 64] >> (i % 64) & 1;
}

static void bits_put(DirtyMap *d, uint64_t off, uint64_t len, bool on)
{
    uint64_t first = off >> d->shift, last;

    if (!len || off >= d->size) {
        return;
    }
    last = (off + MIN(len, d->size - off) - 1) >> d->shift;
    g_mutex_lock(&d->lock);
    for (uint64_t i = first; i <= last; i++) {
        if (bit_get(d, i) != on) {
            d->bits[i / 64] ^= UINT64_C(1) << (i % 64);
            d->count += on ? 1 : -UINT64_C(1);
        }
    }
    g_mutex_unlock(&d->lock);
}

void dirty_mark(DirtyMap *d, uint64_t off, uint64_t len)
{
    bits_put(d, off, len, true);
}

void dirty_clear(DirtyMap *d, uint64_t off, uint64_t len)
{
    bits_put(d, off, len, false);
}

bool dirty_next(DirtyMap *d, uint64_t from, uint64_t max, uint64_t *off,
                uint64_t *len)
{
    uint64_t i = from >> d->shift, most = MAX(max >> d->shift, 1), n = 0;

    g_mutex_lock(&d->lock);
    while (i < d->nbits && !bit_get(d, i)) {
        if (i % 64 == 0 && !d->bits[i / 64]) {
            i += 64;
        } else {
            i++;
        }
    }
    while (i + n < d->nbits && n < most && bit_get(d, i + n)) {
        n++;
    }
    g_mutex_unlock(&d->lock);
    *off = i << d->shift;
    *len = n ? MIN(n << d->shift, d->size - *off) : 0;
    return n > 0;
}

bool dirty_test(DirtyMap *d, uint64_t off)
{
    bool on;

    g_mutex_lock(&d->lock);
    on = off < d->size && bit_get(d, off >> d->shift);
    g_mutex_unlock(&d->lock);
    return on;
}

uint64_t dirty_count(DirtyMap *d)
{
    uint64_t n;

    g_mutex_lock(&d->lock);
    n = d->count << d->shift;
    g_mutex_unlock(&d->lock);
    return n;
}

static uint32_t dirty_granularity(const DirtyMap *d)
{
    return 1u << d->shift;
}

/* ---- those of a node ------------------------------------------------------------------ */

typedef struct BlockBitmap {
    char *name;
    bool enabled;
    DirtyMap *map;
    BlockWatch watch;
    struct BlockBitmap *next;
} BlockBitmap;

static void watch_after(void *opaque, uint64_t off, uint64_t len)
{
    BlockBitmap *b = opaque;

    if (b->enabled) {
        dirty_mark(b->map, off, len);
    }
}

static BlockBitmap *find_in_memory(BlockNode *bn, const char *name)
{
    BlockBitmap *b = bn->bitmaps;

    while (b && strcmp(b->name, name) != 0) {
        b = b->next;
    }
    return b;
}

static const BitmapOps *stored_ops(BlockNode *bn, const char *name,
                                   GError **errp)
{
    if (!bn->drv->bitmaps) {
        error_setg(errp, "Dirty bitmap '%s' not found", name);
    }
    return bn->drv->bitmaps;
}

static void bitmap_free(BlockNode *bn, BlockBitmap *b)
{
    block_watch_remove(bn, &b->watch);
    dirty_free(b->map);
    g_free(b->name);
    g_free(b);
}

void block_bitmaps_free(BlockNode *bn)
{
    while (bn->bitmaps) {
        BlockBitmap *b = bn->bitmaps;

        bn->bitmaps = b->next;
        bitmap_free(bn, b);
    }
}

static bool name_taken(BlockNode *bn, const char *name)
{
    g_autoptr(GArray) list = block_bitmap_list(bn, NULL);

    for (guint i = 0; list && i < list->len; i++) {
        if (strcmp(g_array_index(list, NodeBitmap, i).info.name, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool add_stored(BlockNode *bn, const char *name, uint32_t granularity,
                       bool enabled, GError **errp)
{
    BitmapInfo info = { .granularity = granularity, .enabled = enabled };

    if (!bn->drv->bitmaps) {
        error_setg(errp,
                   "Cannot store dirty bitmaps in node '%s': driver '%s' does "
                   "not support it",
                   bn->name, bn->drv->name);
        return false;
    }
    if (strlen(name) >= sizeof(info.name)) {
        error_setg(errp, "Bitmap name too long: %s", name);
        return false;
    }
    g_strlcpy(info.name, name, sizeof(info.name));
    return bn->drv->bitmaps->add(bn, &info, errp);
}

bool block_bitmap_add(BlockNode *bn, const char *name, uint32_t granularity,
                      bool persistent, bool enabled, GError **errp)
{
    BlockBitmap *b;
    DirtyMap *map;

    if (!name[0] || strlen(name) >= sizeof(((BitmapInfo *)0)->name)) {
        error_setg(errp,
                   name[0] ? "Bitmap name too long: %s"
                           : "Bitmap name cannot be empty%s",
                   name);
        return false;
    }
    if (granularity &&
        (!is_pow2(granularity) || granularity < MIN_GRANULARITY)) {
        error_setg(errp, "Granularity must be power of 2 and at least 512");
        return false;
    }
    if (name_taken(bn, name)) {
        error_setg(errp, "Bitmap already exists: %s", name);
        return false;
    }
    if (persistent) {
        return add_stored(bn, name, granularity, enabled, errp);
    }
    map = dirty_new(bn->size, granularity ? granularity : DEFAULT_GRANULARITY);
    if (!map) {
        error_setg(errp, "The bitmap would be too large: use a larger "
                         "granularity");
        return false;
    }
    b = g_new0(BlockBitmap, 1);
    b->name = g_strdup(name);
    b->enabled = enabled;
    b->map = map;
    b->watch.after = watch_after;
    b->watch.opaque = b;
    b->next = bn->bitmaps;
    bn->bitmaps = b;
    block_watch_add(bn, &b->watch);
    return true;
}

bool block_bitmap_remove(BlockNode *bn, const char *name, GError **errp)
{
    BlockBitmap **p = &bn->bitmaps, *b = find_in_memory(bn, name);
    const BitmapOps *ops;

    if (!b) {
        ops = stored_ops(bn, name, errp);
        return ops && ops->remove(bn, name, errp);
    }
    while (*p != b) {
        p = &(*p)->next;
    }
    *p = b->next;
    bitmap_free(bn, b);
    return true;
}

bool block_bitmap_clear(BlockNode *bn, const char *name, GError **errp)
{
    BlockBitmap *b = find_in_memory(bn, name);
    const BitmapOps *ops;

    if (!b) {
        ops = stored_ops(bn, name, errp);
        return ops && ops->clear(bn, name, errp);
    }
    dirty_clear(b->map, 0, UINT64_MAX);
    return true;
}

bool block_bitmap_enable(BlockNode *bn, const char *name, bool on,
                         GError **errp)
{
    BlockBitmap *b = find_in_memory(bn, name);
    const BitmapOps *ops;

    if (!b) {
        ops = stored_ops(bn, name, errp);
        return ops && ops->enable(bn, name, on, errp);
    }
    b->enabled = on;
    return true;
}

static void mark_fn(void *opaque, uint64_t off, uint64_t len)
{
    dirty_mark(opaque, off, len);
}

static uint32_t stored_granularity(BlockNode *bn, const char *name)
{
    g_autoptr(GArray) list = block_bitmap_list(bn, NULL);

    for (guint i = 0; list && i < list->len; i++) {
        const NodeBitmap *b = &g_array_index(list, NodeBitmap, i);

        if (strcmp(b->info.name, name) == 0) {
            return b->info.granularity;
        }
    }
    return 0;
}

DirtyMap *block_bitmap_take(BlockNode *bn, const char *name, bool clear,
                            GError **errp)
{
    BlockBitmap *b = find_in_memory(bn, name);
    const BitmapOps *ops = b ? NULL : stored_ops(bn, name, errp);
    uint32_t g = b ? dirty_granularity(b->map) : 0;
    DirtyMap *d;

    if (!b && ops) {
        g = stored_granularity(bn, name);
        if (!g) {
            error_setg(errp, "Dirty bitmap '%s' not found", name);
        }
    }
    d = g ? dirty_new(bn->size, g) : NULL;
    if (b) {
        for (uint64_t off = 0, len;
             d && dirty_next(b->map, off, UINT64_MAX, &off, &len); off += len) {
            dirty_mark(d, off, len);
        }
        if (clear) {
            dirty_clear(b->map, 0, UINT64_MAX);
        }
    } else if (d && !ops->walk(bn, name, clear, mark_fn, d, errp)) {
        g_clear_pointer(&d, dirty_free);
    }
    return d;
}

void block_bitmap_give_back(BlockNode *bn, const char *name, DirtyMap *d)
{
    BlockBitmap *b = find_in_memory(bn, name);

    for (uint64_t off = 0, len; dirty_next(d, off, UINT64_MAX, &off, &len);
         off += len) {
        if (b) {
            dirty_mark(b->map, off, len);
        } else if (bn->drv->bitmaps) {
            bn->drv->bitmaps->mark(bn, name, off, len, NULL);
        }
    }
}

bool block_bitmap_merge(BlockNode *bn, const char *name, BlockNode *from,
                        const char *from_name, GError **errp)
{
    DirtyMap *d;

    if (!name_taken(bn, name)) {
        error_setg(errp, "Dirty bitmap '%s' not found", name);
        return false;
    }
    d = block_bitmap_take(from, from_name, false, errp);
    if (d) {
        block_bitmap_give_back(bn, name, d);
        dirty_free(d);
    }
    return d != NULL;
}

GArray *block_bitmap_list(BlockNode *bn, GError **errp)
{
    GArray *out = g_array_new(false, true, sizeof(NodeBitmap));
    g_autoptr(GArray) stored = NULL;

    if (bn->drv->bitmaps) {
        stored = bn->drv->bitmaps->list(bn, errp);
        if (!stored) {
            g_array_unref(out);
            return NULL;
        }
    }
    for (guint i = 0; stored && i < stored->len; i++) {
        NodeBitmap b = { g_array_index(stored, BitmapInfo, i), true };

        g_array_append_val(out, b);
    }
    for (const BlockBitmap *m = bn->bitmaps; m; m = m->next) {
        NodeBitmap b = { .info.granularity = dirty_granularity(m->map),
                         .info.enabled = m->enabled,
                         .info.count = dirty_count(m->map) };

        g_strlcpy(b.info.name, m->name, sizeof(b.info.name));
        g_array_append_val(out, b);
    }
    return out;
}
