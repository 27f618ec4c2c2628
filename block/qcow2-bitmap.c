/*
 * Persistent dirty bitmaps of qcow2: a directory, named by a header extension,
 * of bitmaps; each a table of clusters with bits.
 *
 * While the image is open for writing, the bitmaps are in memory and marked
 * in-use in the directory, so that a crash leaves them "inconsistent" rather
 * than wrong; closing writes them back.
 */
#include "util/osdep.h"
#include "block/qcow2.h"

#include "util/error.h"
#include "util/log.h"

enum {
    EXT_LEN = 24,
    DIR_ENTRY = 24,
    FLAG_IN_USE = 1 << 0,
    FLAG_AUTO = 1 << 1,
    TYPE_DIRTY = 1,
    MAX_BITMAPS = 65535,
    MAX_DIRECTORY = 64 << 20,
    MIN_GRANULARITY_BITS = 9,
    MAX_GRANULARITY_BITS = 31,
    TABLE_ALL_ONES = 1,
};

#define MAX_BITMAP_BYTES (UINT64_C(512) << 20)

struct Qcow2Bitmap {
    char *name;
    unsigned granularity_bits;
    uint32_t flags;
    uint64_t table_off;
    uint32_t table_len; /* entries */
    GArray *stale; /* of Qcow2Range: places of before, still named on disk */
    GByteArray *extra;
    uint8_t *bits; /* little-endian bit order; NULL: not loaded */
    uint64_t nbits;
    bool changed;
    Qcow2Bitmap *next;
};

/* ---- the directory --------------------------------------------------------------- */

static void bitmap_free(Qcow2Bitmap *b)
{
    if (b) {
        g_clear_pointer(&b->stale, g_array_unref);
        g_free(b->name);
        g_free(b->bits);
        if (b->extra) {
            g_byte_array_unref(b->extra);
        }
        g_free(b);
    }
}

static void list_free(Qcow2Bitmap *b)
{
    while (b) {
        Qcow2Bitmap *next = b->next;

        bitmap_free(b);
        b = next;
    }
}

static bool has_directory(const Qcow2State *s)
{
    return s->bitmap_ext && s->bitmap_ext->len >= EXT_LEN &&
           (s->h.autoclear & AUTOCLEAR_BITMAPS);
}

static void directory_range(const Qcow2State *s, uint64_t *off, uint64_t *len)
{
    *len = ld_be64(s->bitmap_ext->data + 8);
    *off = ld_be64(s->bitmap_ext->data + 16);
}

static Qcow2Bitmap *parse_dir_entry(const uint8_t *p, uint64_t len,
                                    uint64_t *used)
{
    Qcow2Bitmap *b;
    uint64_t extra, name;

    if (len < DIR_ENTRY) {
        return NULL;
    }
    name = ld_be16(p + 18);
    extra = ld_be32(p + 20);
    if (extra > len || DIR_ENTRY + extra + name > len) {
        return NULL;
    }
    b = g_new0(Qcow2Bitmap, 1);
    b->table_off = ld_be64(p);
    b->table_len = ld_be32(p + 8);
    b->flags = ld_be32(p + 12);
    b->granularity_bits = p[17];
    b->extra = g_byte_array_new();
    g_byte_array_append(b->extra, p + DIR_ENTRY, (guint)extra);
    b->name = g_strndup((const char *)p + DIR_ENTRY + extra, name);
    *used = (DIR_ENTRY + extra + name + 7) & ~UINT64_C(7);
    if (p[16] != TYPE_DIRTY || b->granularity_bits < MIN_GRANULARITY_BITS ||
        b->granularity_bits > MAX_GRANULARITY_BITS) {
        bitmap_free(b);
        return NULL;
    }
    return b;
}

/* All entries as on disk, in order. */
static int load_directory(BlockNode *bn, Qcow2Bitmap **out)
{
    Qcow2State *s = bn->s;
    g_autofree uint8_t *buf = NULL;
    uint64_t off, len, at = 0, used = 0;
    uint32_t n;
    Qcow2Bitmap **tail = out;

    *out = NULL;
    if (!has_directory(s)) {
        return 0;
    }
    n = ld_be32(s->bitmap_ext->data);
    directory_range(s, &off, &len);
    if (n > MAX_BITMAPS || len > MAX_DIRECTORY ||
        (off & (s->cluster_size - 1)) || off > bn->file->size ||
        len > bn->file->size - off) {
        return -EINVAL;
    }
    buf = g_try_malloc(len + 1);
    if (!buf || block_pread(bn->file, off, buf, len) < 0) {
        return -EIO;
    }
    for (uint32_t i = 0; i < n; i++, at += used) {
        *tail = at < len ? parse_dir_entry(buf + at, len - at, &used) : NULL;
        if (!*tail) {
            list_free(*out);
            *out = NULL;
            return -EINVAL;
        }
        tail = &(*tail)->next;
    }
    return 0;
}

static void put_dir_entry(GByteArray *a, const Qcow2Bitmap *b)
{
    static const uint8_t pad[8];
    uint8_t p[DIR_ENTRY] = { 0 };
    size_t name = strlen(b->name);

    st_be64(p, b->table_off);
    st_be32(p + 8, b->table_len);
    st_be32(p + 12, b->flags);
    p[16] = TYPE_DIRTY;
    p[17] = (uint8_t)b->granularity_bits;
    st_be16(p + 18, (uint16_t)name);
    st_be32(p + 20, b->extra ? b->extra->len : 0);
    g_byte_array_append(a, p, sizeof(p));
    if (b->extra) {
        g_byte_array_append(a, b->extra->data, b->extra->len);
    }
    g_byte_array_append(a, (const uint8_t *)b->name, (guint)name);
    g_byte_array_append(a, pad, (8 - a->len % 8) % 8);
}

/* A new directory; the header names it, the old one is freed. */
static int write_directory(BlockNode *bn, const Qcow2Bitmap *list)
{
    Qcow2State *s = bn->s;
    g_autoptr(GByteArray) a = g_byte_array_new();
    uint64_t off = 0, old_off = 0, old_len = 0;
    uint32_t n = 0;
    int ret = 0;

    for (const Qcow2Bitmap *b = list; b; b = b->next, n++) {
        put_dir_entry(a, b);
    }
    if (has_directory(s)) {
        directory_range(s, &old_off, &old_len);
    }
    if (n > MAX_BITMAPS || a->len > MAX_DIRECTORY) {
        return -EFBIG;
    }
    if (n) {
        ret = qcow2_alloc(bn, to_clusters(s, a->len), false, &off);
        if (ret == 0) {
            ret = block_pwrite(bn->file, off, a->data, a->len);
        }
        s->unsynced = true;
    }
    if (ret == 0) {
        ret = qcow2_flush_locked(bn);
    }
    if (ret < 0) {
        return ret;
    }
    g_clear_pointer(&s->bitmap_ext, g_byte_array_unref);
    s->h.autoclear &= ~(uint64_t)AUTOCLEAR_BITMAPS;
    if (n) {
        s->bitmap_ext = g_byte_array_new();
        g_byte_array_set_size(s->bitmap_ext, EXT_LEN);
        memset(s->bitmap_ext->data, 0, EXT_LEN);
        st_be32(s->bitmap_ext->data, n);
        st_be64(s->bitmap_ext->data + 8, a->len);
        st_be64(s->bitmap_ext->data + 16, off);
        s->h.autoclear |= AUTOCLEAR_BITMAPS;
    }
    ret = qcow2_write_header(bn);
    if (ret == 0) {
        ret = qcow2_fsync(bn);
    }
    if (ret == 0 && old_len) {
        qcow2_free_later(bn, old_off, old_len);
    }
    return ret;
}

/* ---- bits --------------------------------------------------------------------------- */

static uint64_t bits_of(const Qcow2State *s, const Qcow2Bitmap *b)
{
    return (s->h.size + (UINT64_C(1) << b->granularity_bits) - 1) >>
           b->granularity_bits;
}

static uint64_t *load_bitmap_table(BlockNode *bn, const Qcow2Bitmap *b)
{
    Qcow2State *s = bn->s;
    uint64_t bytes = (uint64_t)b->table_len * 8;
    uint64_t *t;

    if ((b->table_off & (s->cluster_size - 1)) ||
        b->table_off > bn->file->size ||
        bytes > ((bn->file->size - b->table_off + 511) & ~UINT64_C(511))) {
        return NULL;
    }
    t = g_try_malloc(bytes + 8);
    if (!t || block_pread(bn->file, b->table_off, t, bytes) < 0) {
        g_free(t);
        return NULL;
    }
    for (uint32_t i = 0; i < b->table_len; i++) {
        t[i] = ld_be64(&t[i]);
    }
    return t;
}

static int load_bits(BlockNode *bn, Qcow2Bitmap *b)
{
    Qcow2State *s = bn->s;
    g_autofree uint64_t *t = load_bitmap_table(bn, b);
    uint64_t bytes, n;
    int ret = 0;

    b->nbits = bits_of(s, b);
    bytes = (b->nbits + 7) / 8;
    n = to_clusters(s, bytes);
    if (!t || bytes > MAX_BITMAP_BYTES || n > b->table_len) {
        return -EINVAL;
    }
    b->bits = g_try_malloc0(bytes + 8);
    if (!b->bits) {
        return -ENOMEM;
    }
    for (uint64_t i = 0; i < n && ret == 0; i++) {
        uint64_t at = i << s->cluster_bits, off = t[i] & ENTRY_OFFSET;
        size_t len = (size_t)MIN(s->cluster_size, bytes - at);

        if (off) {
            ret = block_pread(bn->file, off, b->bits + at, len);
        } else if (t[i] & TABLE_ALL_ONES) {
            memset(b->bits + at, 0xff, len);
        }
    }
    return ret;
}

static bool all_bytes(const uint8_t *p, size_t len, uint8_t v)
{
    for (size_t i = 0; i < len; i++) {
        if (p[i] != v) {
            return false;
        }
    }
    return true;
}

/* What the table of @b takes is free once the directory that names it is gone:
 * see free_stale(). */
static void give_up_table(BlockNode *bn, Qcow2Bitmap *b)
{
    Qcow2State *s = bn->s;
    g_autofree uint64_t *t = b->table_len ? load_bitmap_table(bn, b) : NULL;
    Qcow2Range r = { b->table_off, (uint64_t)b->table_len * 8 };

    if (!t) {
        return;
    }
    if (!b->stale) {
        b->stale = g_array_new(false, false, sizeof(Qcow2Range));
    }
    g_array_append_val(b->stale, r);
    for (uint32_t i = 0; i < b->table_len; i++) {
        r.off = t[i] & ENTRY_OFFSET;
        r.len = s->cluster_size;
        if (r.off) {
            g_array_append_val(b->stale, r);
        }
    }
}

/* The header no longer leads there. */
static void free_stale(BlockNode *bn, Qcow2Bitmap *b)
{
    for (guint i = 0; b->stale && i < b->stale->len; i++) {
        const Qcow2Range *r = &g_array_index(b->stale, Qcow2Range, i);

        qcow2_free_later(bn, r->off, r->len);
    }
    g_clear_pointer(&b->stale, g_array_unref);
}

/* The bits and a new table for them. The old ones are freed. */
static int store_bits(BlockNode *bn, Qcow2Bitmap *b)
{
    Qcow2State *s = bn->s;
    uint64_t bytes = (b->nbits + 7) / 8, n = MAX(to_clusters(s, bytes), 1);
    g_autofree uint8_t *t = g_try_malloc0(n * 8), *buf = NULL;
    uint64_t off;
    int ret = t ? 0 : -ENOMEM;

    buf = g_try_malloc0(s->cluster_size);
    for (uint64_t i = 0; i < n && ret == 0 && buf; i++) {
        uint64_t at = i << s->cluster_bits;
        size_t len = (size_t)MIN(s->cluster_size, bytes - MIN(at, bytes));

        if (all_bytes(b->bits + at, len, 0)) {
            continue;
        }
        ret = qcow2_alloc(bn, 1, false, &off);
        if (ret == 0) {
            memset(buf, 0, s->cluster_size);
            memcpy(buf, b->bits + at, len);
            ret = block_pwrite(bn->file, off, buf, s->cluster_size);
            st_be64(t + i * 8, off);
        }
    }
    if (ret == 0) {
        ret = qcow2_alloc(bn, to_clusters(s, n * 8), false, &off);
    }
    if (ret == 0) {
        ret = block_pwrite(bn->file, off, t, n * 8);
    }
    s->unsynced = true;
    if (ret < 0) {
        return ret;
    }
    give_up_table(bn, b);
    b->table_off = off;
    b->table_len = (uint32_t)n;
    b->changed = false;
    return 0;
}

static void set_bits(Qcow2Bitmap *b, uint64_t off, uint64_t len)
{
    uint64_t first = off >> b->granularity_bits;
    uint64_t last = (off + len - 1) >> b->granularity_bits;

    for (uint64_t i = first; i <= last && i < b->nbits; i++) {
        b->bits[i / 8] |= (uint8_t)(1u << (i % 8));
    }
    b->changed = true;
}

static uint64_t count_bits(const Qcow2Bitmap *b)
{
    uint64_t n = 0;

    for (uint64_t i = 0; b->bits && i < (b->nbits + 7) / 8; i++) {
        n += (uint64_t)__builtin_popcount(b->bits[i]);
    }
    return n;
}

/* ---- resizing ------------------------------------------------------------------------- */

bool qcow2_bitmaps_room(BlockNode *bn, uint64_t size, GError **errp)
{
    Qcow2State *s = bn->s;

    for (Qcow2Bitmap *b = s->bitmaps; b; b = b->next) {
        uint64_t g = UINT64_C(1) << b->granularity_bits;
        uint64_t had = (b->nbits + 7) / 8, bytes = (size / g + 1 + 7) / 8;
        uint8_t *bits;

        if (!b->bits || bytes <= had) {
            continue;
        }
        bits =
            bytes > MAX_BITMAP_BYTES ? NULL : g_try_realloc(b->bits, bytes + 8);
        if (!bits) {
            error_setg(errp,
                       "Bitmap '%s' would be too large for the new size: "
                       "remove it first",
                       b->name);
            return false;
        }
        memset(bits + had, 0, bytes + 8 - had);
        b->bits = bits;
    }
    return true;
}

void qcow2_bitmaps_resized(BlockNode *bn)
{
    Qcow2State *s = bn->s;

    for (Qcow2Bitmap *b = s->bitmaps; b; b = b->next) {
        uint64_t old = b->nbits;

        if (b->bits) {
            b->nbits = bits_of(s, b);
            for (uint64_t i = b->nbits; i < old; i++) {
                b->bits[i / 8] &= (uint8_t) ~(1u << (i % 8));
            }
            b->changed = true; /* its table has another length */
        }
    }
}

/* ---- recording ------------------------------------------------------------------------ */

bool qcow2_bitmaps_have(const Qcow2State *s, uint64_t off, uint64_t len)
{
    for (const Qcow2Bitmap *b = s->bitmaps; b; b = b->next) {
        uint64_t last = (off + len - 1) >> b->granularity_bits;

        if (!(b->flags & FLAG_AUTO) || !b->bits) {
            continue;
        }
        for (uint64_t i = off >> b->granularity_bits; i <= last && i < b->nbits;
             i++) {
            if (!(b->bits[i / 8] >> (i % 8) & 1)) {
                return false;
            }
        }
    }
    return true;
}

void qcow2_bitmaps_mark(Qcow2State *s, uint64_t off, uint64_t len)
{
    for (Qcow2Bitmap *b = s->bitmaps; b && len; b = b->next) {
        if ((b->flags & FLAG_AUTO) && b->bits) {
            set_bits(b, off, len);
        }
    }
}

/* Takes the bitmaps into memory and says so on disk. */
bool qcow2_bitmaps_open(BlockNode *bn, GError **errp)
{
    Qcow2State *s = bn->s;
    bool any = false;
    int ret;

    if (bn->read_only || (bn->flags & BLOCK_CHECK)) {
        return true;
    }
    if (load_directory(bn, &s->bitmaps) < 0) {
        warn_report("qcow2: the bitmaps of '%s' are unreadable; they are "
                    "ignored from now on",
                    bn->filename);
        s->h.autoclear &= ~(uint64_t)AUTOCLEAR_BITMAPS;
        ret = qcow2_write_header(bn);
        if (ret < 0) {
            error_setg_errno(errp, -ret, "Could not update qcow2 header");
        }
        return ret == 0;
    }
    for (Qcow2Bitmap *b = s->bitmaps; b; b = b->next) {
        if ((b->flags & FLAG_IN_USE) || load_bits(bn, b) < 0) {
            continue;
        }
        b->flags |= FLAG_IN_USE;
        any = true;
    }
    ret = any ? write_directory(bn, s->bitmaps) : 0;
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not mark the bitmaps as in use");
        list_free(s->bitmaps);
        s->bitmaps = NULL;
    }
    return ret == 0;
}

void qcow2_bitmaps_close(BlockNode *bn)
{
    Qcow2State *s = bn->s;
    bool any = false;
    int ret = 0;

    for (Qcow2Bitmap *b = s->bitmaps; b && !s->broken; b = b->next) {
        if (!b->bits) {
            continue;
        }
        any = true;
        if (b->changed && ret == 0) {
            ret = store_bits(bn, b);
        }
        if (ret == 0) {
            b->flags &= ~(uint32_t)FLAG_IN_USE;
        }
    }
    if (any && ret == 0) {
        ret = write_directory(bn, s->bitmaps);
        for (Qcow2Bitmap *b = s->bitmaps; b && ret == 0; b = b->next) {
            free_stale(bn, b);
        }
    }
    if (ret < 0) {
        error_report("qcow2: the bitmaps of '%s' could not be stored: %s",
                     bn->filename, g_strerror(-ret));
    }
    list_free(s->bitmaps);
    s->bitmaps = NULL;
}

/* ---- operations ------------------------------------------------------------------------- */

static Qcow2Bitmap *bitmap_find(Qcow2State *s, const char *name)
{
    for (Qcow2Bitmap *b = s->bitmaps; b; b = b->next) {
        if (strcmp(b->name, name) == 0) {
            return b;
        }
    }
    return NULL;
}

static void to_info(const Qcow2Bitmap *b, bool open_rw, BitmapInfo *i)
{
    memset(i, 0, sizeof(*i));
    g_strlcpy(i->name, b->name, sizeof(i->name));
    i->granularity = 1u << b->granularity_bits;
    i->enabled = b->flags & FLAG_AUTO;
    i->inconsistent = open_rw ? !b->bits : b->flags & FLAG_IN_USE;
    i->count = count_bits(b) << b->granularity_bits;
}

static GArray *bitmap_list(BlockNode *bn, GError **errp)
{
    Qcow2State *s = bn->s;
    GArray *list = g_array_new(false, true, sizeof(BitmapInfo));
    bool rw = !bn->read_only && !(bn->flags & BLOCK_CHECK);
    Qcow2Bitmap *all = s->bitmaps;
    BitmapInfo info;
    int ret = 0;

    g_mutex_lock(&s->lock);
    if (!rw) {
        ret = load_directory(bn, &all);
    }
    for (Qcow2Bitmap *b = all; b; b = b->next) {
        if (!rw && !(b->flags & FLAG_IN_USE)) {
            load_bits(bn, b); /* the count is 0 without them */
        }
        to_info(b, rw, &info);
        g_array_append_val(list, info);
    }
    if (!rw) {
        list_free(all);
    }
    g_mutex_unlock(&s->lock);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not read the bitmap directory");
        g_array_unref(list);
        return NULL;
    }
    return list;
}

static bool writable(BlockNode *bn, GError **errp)
{
    Qcow2State *s = bn->s;

    if (bn->read_only || (bn->flags & BLOCK_CHECK)) {
        error_setg(errp, "the image is not open for writing");
        return false;
    }
    if (s->h.version < 3) {
        error_setg(errp, "Cannot store dirty bitmaps in qcow2 v2 files");
        return false;
    }
    return true;
}

static Qcow2Bitmap *find_usable(BlockNode *bn, const char *name, GError **errp)
{
    Qcow2Bitmap *b = bitmap_find(bn->s, name);

    if (!b) {
        error_setg(errp, "Dirty bitmap '%s' not found", name);
    } else if (!b->bits) {
        error_setg(errp,
                   "Bitmap '%s' is inconsistent and cannot be used: try "
                   "removing it",
                   name);
        b = NULL;
    }
    return b;
}

static bool bitmap_add(BlockNode *bn, const BitmapInfo *info, GError **errp)
{
    Qcow2State *s = bn->s;
    uint32_t g = info->granularity;
    Qcow2Bitmap *b, **tail;
    int ret;

    if (!writable(bn, errp)) {
        return false;
    }
    g = g ? g : (uint32_t)MAX(65536, s->cluster_size);
    if (!is_pow2(g) || g < (1u << MIN_GRANULARITY_BITS)) {
        error_setg(errp, "Granularity must be power of 2 and at least 512");
        return false;
    }
    if (!info->name[0] || bitmap_find(s, info->name)) {
        error_setg(errp,
                   info->name[0] ? "Bitmap already exists: %s"
                                 : "Bitmap name cannot be empty%s",
                   info->name);
        return false;
    }
    b = g_new0(Qcow2Bitmap, 1);
    b->name = g_strdup(info->name);
    b->granularity_bits = (unsigned)g_bit_nth_lsf(g, -1);
    b->flags = FLAG_IN_USE | (info->enabled ? FLAG_AUTO : 0);
    b->nbits = bits_of(s, b);
    b->bits = (b->nbits + 7) / 8 <= MAX_BITMAP_BYTES
                  ? g_try_malloc0((b->nbits + 7) / 8 + 8)
                  : NULL;
    if (!b->bits) {
        error_setg(errp, "The bitmap would be too large: use a larger "
                         "granularity");
        bitmap_free(b);
        return false;
    }
    g_mutex_lock(&s->lock);
    ret = store_bits(bn, b);
    for (tail = &s->bitmaps; *tail; tail = &(*tail)->next) {
    }
    *tail = b;
    if (ret == 0) {
        ret = write_directory(bn, s->bitmaps);
    }
    if (ret < 0) {
        *tail = NULL;
        if (ret == -ENOSPC || ret == -EFBIG) { /* it was not named yet */
            give_up_table(bn, b);
            free_stale(bn, b);
        }
        bitmap_free(b);
        error_setg_errno(errp, -ret, "Could not store bitmap '%s'", info->name);
    }
    g_mutex_unlock(&s->lock);
    return ret == 0;
}

static bool bitmap_remove(BlockNode *bn, const char *name, GError **errp)
{
    Qcow2State *s = bn->s;
    Qcow2Bitmap **p, *b;
    int ret;

    if (!writable(bn, errp)) {
        return false;
    }
    b = bitmap_find(s, name);
    if (!b) {
        error_setg(errp, "Dirty bitmap '%s' not found", name);
        return false;
    }
    g_mutex_lock(&s->lock);
    for (p = &s->bitmaps; *p != b; p = &(*p)->next) {
    }
    *p = b->next;
    ret = write_directory(bn, s->bitmaps);
    if (ret == 0) {
        give_up_table(bn, b);
        free_stale(bn, b);
        ret = qcow2_flush_locked(bn);
    }
    bitmap_free(b);
    g_mutex_unlock(&s->lock);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not remove bitmap '%s'", name);
    }
    return ret == 0;
}

static bool bitmap_clear(BlockNode *bn, const char *name, GError **errp)
{
    Qcow2Bitmap *b = writable(bn, errp) ? find_usable(bn, name, errp) : NULL;

    if (b) {
        memset(b->bits, 0, (b->nbits + 7) / 8);
        b->changed = true;
    }
    return b != NULL;
}

static bool bitmap_enable(BlockNode *bn, const char *name, bool on,
                          GError **errp)
{
    Qcow2Bitmap *b = writable(bn, errp) ? find_usable(bn, name, errp) : NULL;

    if (b) {
        b->flags = on ? b->flags | FLAG_AUTO : b->flags & ~(uint32_t)FLAG_AUTO;
    }
    return b != NULL;
}

static bool merge_bits(Qcow2Bitmap *to, const Qcow2Bitmap *from)
{
    uint64_t step = UINT64_C(1) << from->granularity_bits;

    for (uint64_t i = 0; i < from->nbits; i++) {
        if (from->bits[i / 8] >> (i % 8) & 1) {
            set_bits(to, i * step, step);
        }
    }
    return true;
}

static bool bitmap_merge(BlockNode *bn, const char *name, BlockNode *from,
                         const char *from_name, GError **errp)
{
    Qcow2Bitmap *to = writable(bn, errp) ? find_usable(bn, name, errp) : NULL;
    Qcow2Bitmap *all = NULL, *src = NULL;
    bool ok = false;

    if (!to) {
        return false;
    }
    if (strcmp(from->drv->name, "qcow2") != 0) {
        error_setg(errp, "Dirty bitmap '%s' not found", from_name);
        return false;
    }
    if (!from->read_only) {
        src = find_usable(from, from_name, errp);
        return src && merge_bits(to, src);
    }
    if (load_directory(from, &all) == 0) {
        for (src = all; src && strcmp(src->name, from_name); src = src->next) {
        }
    }
    if (!src) {
        error_setg(errp, "Dirty bitmap '%s' not found", from_name);
    } else if ((src->flags & FLAG_IN_USE) || load_bits(from, src) < 0) {
        error_setg(errp, "Bitmap '%s' is inconsistent and cannot be used",
                   from_name);
    } else {
        ok = merge_bits(to, src);
    }
    list_free(all);
    return ok;
}

static bool bitmap_walk(BlockNode *bn, const char *name, bool clear,
                        void (*fn)(void *opaque, uint64_t off, uint64_t len),
                        void *opaque, GError **errp)
{
    Qcow2Bitmap *b = writable(bn, errp) ? find_usable(bn, name, errp) : NULL;
    uint64_t step = b ? UINT64_C(1) << b->granularity_bits : 0;

    for (uint64_t i = 0; b && i < b->nbits; i++) {
        if (b->bits[i / 8] >> (i % 8) & 1) {
            fn(opaque, i * step, MIN(step, bn->size - i * step));
        }
    }
    if (b && clear) {
        memset(b->bits, 0, (b->nbits + 7) / 8);
        b->changed = true;
    }
    return b != NULL;
}

static bool bitmap_mark(BlockNode *bn, const char *name, uint64_t off,
                        uint64_t len, GError **errp)
{
    Qcow2Bitmap *b = writable(bn, errp) ? find_usable(bn, name, errp) : NULL;

    if (b && len) {
        set_bits(b, off, len);
    }
    return b != NULL;
}

void qcow2_bitmaps_info(BlockNode *bn, InfoItem *to)
{
    g_autoptr(GArray) list = bitmap_list(bn, NULL);
    InfoItem *l;

    if (!list || !list->len) {
        return;
    }
    l = info_add(to, "bitmaps", info_new(INFO_LIST));
    for (guint i = 0; i < list->len; i++) {
        const BitmapInfo *b = &g_array_index(list, BitmapInfo, i);
        InfoItem *d = info_add(l, NULL, info_new(INFO_DICT));
        InfoItem *f = info_add(d, "flags", info_new(INFO_LIST));

        if (b->inconsistent) {
            info_add_str(f, NULL, "in-use");
        }
        if (b->enabled) {
            info_add_str(f, NULL, "auto");
        }
        info_add_str(d, "name", b->name);
        info_add_int(d, "granularity", b->granularity);
    }
}

int qcow2_bitmaps_walk(BlockNode *bn, Qcow2RefFn *fn, void *opaque)
{
    Qcow2State *s = bn->s;
    Qcow2Bitmap *all = NULL;
    uint64_t off, len;
    int ret;

    if (!has_directory(s)) {
        return 0;
    }
    directory_range(s, &off, &len);
    fn(opaque, off, len);
    ret = load_directory(bn, &all);
    for (Qcow2Bitmap *b = all; b && ret == 0; b = b->next) {
        g_autofree uint64_t *t = load_bitmap_table(bn, b);

        if (!t) {
            ret = -EINVAL;
            break;
        }
        fn(opaque, b->table_off, (uint64_t)b->table_len * 8);
        for (uint32_t i = 0; i < b->table_len; i++) {
            if (t[i] & ENTRY_OFFSET) {
                fn(opaque, t[i] & ENTRY_OFFSET, s->cluster_size);
            }
        }
    }
    list_free(all);
    return ret;
}

const BitmapOps qcow2_bitmap_ops = {
    .list = bitmap_list,
    .add = bitmap_add,
    .remove = bitmap_remove,
    .clear = bitmap_clear,
    .enable = bitmap_enable,
    .merge = bitmap_merge,
    .walk = bitmap_walk,
    .mark = bitmap_mark,
};
