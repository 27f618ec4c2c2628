/*
 * Address spaces, and the flat map that says who answers where.
 *
 * Regions are kept in order of precedence: higher priority first, and of two
 * with the same priority the one mapped last. The flat map is drawn in that
 * order, each region only where nothing lies yet, so nothing is drawn twice.
 *
 * A new map replaces the old one by one atomic store. Old ones are kept until
 * as_reclaim(), because vCPUs look things up without a lock; one that comes back
 * (a guest that flips a window to and fro) is found again and not kept twice.
 */
#include "util/osdep.h"
#include "system/memory.h"

#include <sys/mman.h>
#include "util/bits.h"
#include "util/error.h"
#include "util/trace.h"

enum {
    ALIAS_DEPTH_MAX = 8, /* an alias of an alias of ...; cycles end here */
    HUGE_PAGE = 2 << 20,
};

typedef struct Watcher {
    void (*changed)(void *opaque, const FlatMap *map);
    void *opaque;
} Watcher;

typedef struct OldMap {
    uint64_t hash;
    FlatMap *map;
} OldMap;

struct AddressSpace {
    char *name;
    hwaddr last; /* highest address */
    GRecMutex *lock;
    FlatMap *flat; /* atomic; also the newest of maps */
    uint64_t generation;
    GPtrArray *regions; /* in order of precedence */
    GArray *maps;       /* of OldMap: the current one and old ones; owned */
    GArray *watchers;
    unsigned batch; /* as_begin() without as_commit() */
    void (*ram_hook)(void *opaque, hwaddr addr, hwaddr len);
    void *ram_hook_opaque;
};

/* ---- regions --------------------------------------------------------------- */

static void region_init(Region *r, const char *name, RegionKind kind,
                        hwaddr size)
{
    memset(r, 0, sizeof(*r));
    r->name = name;
    r->kind = kind;
    r->size = size;
}

void region_init_io(Region *r, const char *name, hwaddr size,
                    const RegionOps *ops, void *dev)
{
    region_init(r, name, REGION_IO, size);
    r->ops = ops;
    r->dev = dev;
}

static size_t host_size(hwaddr size)
{
    size_t page = (size_t)getpagesize();

    return (size + page - 1) & ~(page - 1);
}

/* Anonymous memory on a huge page boundary, so that the kernel can use them. */
static void *ram_alloc(size_t size)
{
    size_t align = size >= HUGE_PAGE ? HUGE_PAGE : 0;
    size_t head;
    uint8_t *p;

    p = mmap(NULL, size + align, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        return NULL;
    }
    if (!align) {
        return p;
    }
    head = -(uintptr_t)p & (align - 1);
    if (head) {
        munmap(p, head);
    }
    if (align - head) {
        munmap(p + head + size, align - head);
    }
    madvise(p + head, size, MADV_HUGEPAGE);
    return p + head;
}

static bool region_init_memory(Region *r, const char *name, RegionKind kind,
                               hwaddr size, GError **errp)
{
    region_init(r, name, kind, size);
    if (!size || size > SIZE_MAX / 2) {
        error_setg(errp, "memory '%s' cannot have %" PRIu64 " bytes", name,
                   size);
        return false;
    }
    r->ram = ram_alloc(host_size(size));
    if (!r->ram) {
        error_setg_errno(errp, errno,
                         "cannot allocate %" PRIu64 " MiB for memory '%s'",
                         size / MIB, name);
        return false;
    }
    r->ram_owned = true;
    return true;
}

bool region_init_ram(Region *r, const char *name, hwaddr size, GError **errp)
{
    return region_init_memory(r, name, REGION_RAM, size, errp);
}

void region_init_ram_ptr(Region *r, const char *name, hwaddr size, void *ram)
{
    region_init(r, name, REGION_RAM, size);
    r->ram = ram;
}

bool region_init_rom(Region *r, const char *name, hwaddr size, GError **errp)
{
    return region_init_memory(r, name, REGION_ROM, size, errp);
}

void region_init_alias(Region *r, const char *name, Region *target,
                       hwaddr offset, hwaddr size)
{
    region_init(r, name, REGION_ALIAS, size);
    r->target = target;
    r->target_offset = offset;
}

void region_fini(Region *r)
{
    if (r->as) {
        as_unmap(r);
    }
    if (r->ram_owned) {
        munmap(r->ram, host_size(r->size));
    }
    r->ram = NULL;
    r->ram_owned = false;
}

static void as_tell(AddressSpace *as);

void region_add_event(Region *r, hwaddr offset, unsigned size, bool match,
                      uint64_t value, int fd)
{
    RegionEvent e = { offset, size, match, match ? value : 0, fd };

    if (!r->events) {
        r->events = g_array_new(false, false, sizeof(RegionEvent));
    }
    g_array_append_val(r->events, e);
    if (r->as) {
        as_tell(r->as);
    }
}

static bool event_is(const RegionEvent *e, hwaddr offset, unsigned size,
                     bool match, uint64_t value, int fd)
{
    return e->offset == offset && e->size == size && e->match == match &&
           (!match || e->value == value) && e->fd == fd;
}

void region_del_event(Region *r, hwaddr offset, unsigned size, bool match,
                      uint64_t value, int fd)
{
    for (guint i = 0; r->events && i < r->events->len; i++) {
        if (event_is(&g_array_index(r->events, RegionEvent, i), offset, size,
                     match, value, fd)) {
            g_array_remove_index(r->events, i);
            break;
        }
    }
    if (r->events && !r->events->len) {
        g_array_unref(r->events);
        r->events = NULL;
    }
    if (r->as) {
        as_tell(r->as);
    }
}

void region_set_coalesced(Region *r, bool on)
{
    if (r->coalesced != on) {
        r->coalesced = on;
        if (r->as) {
            as_tell(r->as);
        }
    }
}

/* ---- the flat map ---------------------------------------------------------- */

static hwaddr range_last(const FlatRange *f)
{
    return f->base + (f->size - 1);
}

static void draw_piece(GArray *map, guint at, hwaddr first, hwaddr last,
                       Region *r, hwaddr offset)
{
    FlatRange f = { first, last - first + 1, r, offset };

    g_array_insert_val(map, at, f);
}

/* Puts @r into first..last wherever nothing is yet. */
static void draw(GArray *map, hwaddr first, hwaddr last, Region *r,
                 hwaddr offset)
{
    hwaddr pos = first;
    guint i;

    for (i = 0; i < map->len; i++) {
        FlatRange f = g_array_index(map, FlatRange, i);

        if (range_last(&f) < pos) {
            continue;
        }
        if (f.base > last) {
            break;
        }
        if (f.base > pos) {
            draw_piece(map, i++, pos, f.base - 1, r, offset + (pos - first));
        }
        if (range_last(&f) >= last) {
            return;
        }
        pos = range_last(&f) + 1;
    }
    draw_piece(map, i, pos, last, r, offset + (pos - first));
}

/* Follows aliases; the result is clipped to what each target has. */
static void draw_region(AddressSpace *as, GArray *map, Region *r)
{
    hwaddr first = r->base, size = r->size, offset = 0;

    for (unsigned depth = 0; r->kind == REGION_ALIAS; depth++) {
        offset += r->target_offset;
        r = r->target;
        if (depth == ALIAS_DEPTH_MAX || offset >= r->size) {
            return;
        }
        size = MIN(size, r->size - offset);
    }
    if (size && first <= as->last) {
        draw(map, first, first + MIN(size - 1, as->last - first), r, offset);
    }
}

static bool range_continues(const FlatRange *a, const FlatRange *b)
{
    return a->region == b->region && a->base + a->size == b->base &&
           a->offset + a->size == b->offset;
}

static FlatMap *flat_from_array(const GArray *a)
{
    FlatMap *map = g_malloc0(sizeof(FlatMap) + a->len * sizeof(FlatRange));

    for (guint i = 0; i < a->len; i++) {
        const FlatRange *f = &g_array_index(a, FlatRange, i);

        if (map->n && range_continues(&map->range[map->n - 1], f)) {
            map->range[map->n - 1].size += f->size;
        } else {
            map->range[map->n++] = *f;
        }
    }
    return map;
}

static FlatMap *flat_build(AddressSpace *as)
{
    g_autoptr(GArray) a = g_array_new(false, false, sizeof(FlatRange));

    for (guint i = 0; i < as->regions->len; i++) {
        draw_region(as, a, as->regions->pdata[i]);
    }
    return flat_from_array(a);
}

static uint64_t flat_hash(const FlatMap *map)
{
    const uint64_t prime = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t h = map->n;

    for (unsigned i = 0; i < map->n; i++) {
        const FlatRange *f = &map->range[i];

        h = (h ^ f->base) * prime;
        h = (h ^ f->size ^ (h >> 29)) * prime;
        h = (h ^ (uintptr_t)f->region ^ (h >> 29)) * prime;
        h = (h ^ f->offset ^ (h >> 29)) * prime;
    }
    return h;
}

static bool flat_equal(const FlatMap *a, const FlatMap *b)
{
    return a->n == b->n &&
           memcmp(a->range, b->range, a->n * sizeof(FlatRange)) == 0;
}

/* Gives back @map, or the equal one that we have already. */
static FlatMap *flat_intern(AddressSpace *as, FlatMap *map)
{
    OldMap new = { flat_hash(map), map };

    for (guint i = 0; i < as->maps->len; i++) {
        const OldMap *old = &g_array_index(as->maps, OldMap, i);

        if (old->hash == new.hash && flat_equal(old->map, map)) {
            g_free(map);
            return old->map;
        }
    }
    g_array_append_val(as->maps, new);
    return map;
}

unsigned as_old_maps(const AddressSpace *as)
{
    return as->maps->len - 1;
}

void as_reclaim(AddressSpace *as)
{
    OldMap current = { 0 };

    for (guint i = 0; i < as->maps->len; i++) {
        const OldMap *old = &g_array_index(as->maps, OldMap, i);

        if (old->map == as->flat) {
            current = *old;
        } else {
            g_free(old->map);
        }
    }
    g_array_set_size(as->maps, 0);
    g_array_append_val(as->maps, current);
}

static void as_tell(AddressSpace *as)
{
    for (guint i = 0; i < as->watchers->len; i++) {
        const Watcher *w = &g_array_index(as->watchers, Watcher, i);

        w->changed(w->opaque, as->flat);
    }
}

static void as_rebuild(AddressSpace *as)
{
    FlatMap *map;

    if (as->batch) {
        return;
    }
    map = flat_intern(as, flat_build(as));
    if (map == as->flat) {
        return;
    }
    as->generation++;
    __atomic_store_n(&as->flat, map, __ATOMIC_RELEASE);
    as_tell(as);
}

const FlatMap *as_flat(AddressSpace *as)
{
    return __atomic_load_n(&as->flat, __ATOMIC_ACQUIRE);
}

uint64_t as_generation(const AddressSpace *as)
{
    return as->generation;
}

/* The range that holds @addr, or NULL and in *@gap how far the hole goes. */
static const FlatRange *flat_find(const FlatMap *map, hwaddr addr, hwaddr *gap)
{
    unsigned lo = 0, hi = map->n;

    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        const FlatRange *f = &map->range[mid];

        if (addr < f->base) {
            hi = mid;
        } else if (addr - f->base >= f->size) {
            lo = mid + 1;
        } else {
            return f;
        }
    }
    *gap = lo < map->n ? map->range[lo].base - addr : UINT64_MAX;
    return NULL;
}

const FlatRange *as_find(AddressSpace *as, hwaddr addr)
{
    hwaddr gap;

    return flat_find(as_flat(as), addr, &gap);
}

/* ---- mapping --------------------------------------------------------------- */

AddressSpace *as_new(const char *name, hwaddr size, GRecMutex *lock)
{
    AddressSpace *as = g_new0(AddressSpace, 1);

    as->name = g_strdup(name);
    as->last = size - 1;
    as->lock = lock;
    as->regions = g_ptr_array_new();
    as->maps = g_array_new(false, false, sizeof(OldMap));
    as->watchers = g_array_new(false, false, sizeof(Watcher));
    as->flat = flat_intern(as, g_new0(FlatMap, 1));
    return as;
}

void as_free(AddressSpace *as)
{
    if (!as) {
        return;
    }
    for (guint i = 0; i < as->regions->len; i++) {
        ((Region *)as->regions->pdata[i])->as = NULL;
    }
    for (guint i = 0; i < as->maps->len; i++) {
        g_free(g_array_index(as->maps, OldMap, i).map);
    }
    g_ptr_array_unref(as->regions);
    g_array_unref(as->maps);
    g_array_unref(as->watchers);
    g_free(as->name);
    g_free(as);
}

void as_map(AddressSpace *as, hwaddr base, Region *r, int priority)
{
    guint i = 0;

    g_assert(!r->as); /* one place per region: map an alias for a second */
    while (i < as->regions->len &&
           ((Region *)as->regions->pdata[i])->priority > priority) {
        i++;
    }
    r->as = as;
    r->base = base;
    r->priority = priority;
    g_ptr_array_insert(as->regions, (int)i, r);
    as_rebuild(as);
}

void as_unmap(Region *r)
{
    AddressSpace *as = r->as;

    if (as) {
        g_ptr_array_remove(as->regions, r);
        r->as = NULL;
        as_rebuild(as);
    }
}

void as_begin(AddressSpace *as)
{
    as->batch++;
}

void as_commit(AddressSpace *as)
{
    g_assert(as->batch > 0);
    as->batch--;
    as_rebuild(as);
}

void as_watch(AddressSpace *as,
              void (*changed)(void *opaque, const FlatMap *map), void *opaque)
{
    Watcher w = { changed, opaque };

    g_array_append_val(as->watchers, w);
}

void as_set_ram_hook(AddressSpace *as,
                     void (*hook)(void *opaque, hwaddr addr, hwaddr len),
                     void *opaque)
{
    as->ram_hook = hook;
    as->ram_hook_opaque = opaque;
}

/* ---- one access to a device -------------------------------------------------- */

static unsigned ops_min(const RegionOps *ops)
{
    return ops->min_size ? ops->min_size : 1;
}

static unsigned ops_max(const RegionOps *ops)
{
    return ops->max_size ? ops->max_size : 4;
}

/*
 * How many of @len bytes at @offset the device takes at once: the largest
 * power of two that does not leave the aligned unit of max_size, which is what
 * a bus of that width can carry.
 */
static unsigned piece_size(hwaddr offset, unsigned len, unsigned max)
{
    unsigned room = max - (unsigned)(offset & (max - 1));
    unsigned n = max;

    while (n > len || n > room) {
        n /= 2;
    }
    return n;
}

/* @len is 1 to 8. */
static uint64_t io_read(Region *r, hwaddr offset, unsigned len)
{
    unsigned min = ops_min(r->ops), max = ops_max(r->ops), n;
    uint64_t value = 0;

    r->n_reads++;
    for (unsigned done = 0; done < len; done += n) {
        hwaddr at = offset + done;
        unsigned skip = 0;
        uint64_t v;

        n = piece_size(at, len - done, max);
        if (n < min) {
            skip = (unsigned)(at & (min - 1));
            n = MIN(n, min - skip);
        }
        v = r->ops->read(r->dev, at - skip, MAX(n, min)) >> (8 * skip);
        value |= (v & bits_mask(8 * n)) << (8 * done);
    }
    trace(memory_region_ops_read, (void *)r, r->base + offset, value, len,
          r->name);
    return value;
}

/* Bytes that a write was widened by are zero. */
static void io_write(Region *r, hwaddr offset, uint64_t value, unsigned len)
{
    unsigned min = ops_min(r->ops), max = ops_max(r->ops), n;

    r->n_writes++;
    trace(memory_region_ops_write, (void *)r, r->base + offset, value, len,
          r->name);
    for (unsigned done = 0; done < len; done += n) {
        hwaddr at = offset + done;
        unsigned skip = 0;

        n = piece_size(at, len - done, max);
        if (n < min) {
            skip = (unsigned)(at & (min - 1));
            n = MIN(n, min - skip);
        }
        r->ops->write(r->dev, at - skip,
                      (value >> (8 * done) & bits_mask(8 * n)) << (8 * skip),
                      MAX(n, min));
    }
}

static void as_lock(AddressSpace *as)
{
    if (as->lock) {
        g_rec_mutex_lock(as->lock);
    }
}

static void as_unlock(AddressSpace *as)
{
    if (as->lock) {
        g_rec_mutex_unlock(as->lock);
    }
}

/* What of an access falls into one range, or into one hole. */
typedef struct Part {
    const FlatRange *f; /* NULL: nothing there */
    hwaddr offset;      /* in f->region */
    hwaddr len;
} Part;

static Part part_find(const FlatMap *map, hwaddr addr, hwaddr len)
{
    hwaddr gap;
    Part p = { .f = flat_find(map, addr, &gap) };

    if (p.f) {
        hwaddr skip = addr - p.f->base;

        p.offset = p.f->offset + skip;
        p.len = MIN(len, p.f->size - skip);
    } else {
        p.len = MIN(len, gap);
    }
    return p;
}

static bool part_is_io(const Part *p)
{
    return p->f && p->f->region->kind == REGION_IO;
}

/* Takes the lock for an access to a device at @p, which was found in @map: by
 * the time we have it, something else may be there. */
static void part_lock(AddressSpace *as, const FlatMap *map, hwaddr addr,
                      hwaddr len, Part *p)
{
    as_lock(as);
    if (unlikely(as_flat(as) != map)) {
        *p = part_find(as_flat(as), addr, len);
    }
}

static void ram_written(AddressSpace *as, hwaddr addr, hwaddr len)
{
    if (as->ram_hook) {
        as->ram_hook(as->ram_hook_opaque, addr, len);
    }
}

/* Reads @p->len (1 to 8) bytes; false: nothing there. */
static bool part_load(const Part *p, uint64_t *value)
{
    if (!p->f) {
        *value = bits_mask(8 * (unsigned)p->len);
        return false;
    }
    if (p->f->region->kind == REGION_IO) {
        *value = io_read(p->f->region, p->offset, (unsigned)p->len);
    } else {
        *value = ld_le(p->f->region->ram + p->offset, (unsigned)p->len);
    }
    return true;
}

static bool part_store(AddressSpace *as, hwaddr addr, const Part *p,
                       uint64_t value)
{
    unsigned len = (unsigned)p->len;

    if (!p->f) {
        return false;
    }
    switch (p->f->region->kind) {
    case REGION_IO:
        io_write(p->f->region, p->offset, value, len);
        break;
    case REGION_RAM:
        st_le(p->f->region->ram + p->offset, value, len);
        ram_written(as, addr, len);
        break;
    default: /* ROM does not change */
        break;
    }
    return true;
}

/*
 * A device may have been unmapped while we waited for the lock, so the part
 * is looked up again under it. Maps change only with the lock held.
 */
static bool access_load(AddressSpace *as, hwaddr addr, unsigned len,
                        uint64_t *value)
{
    bool ok = true;
    unsigned done = 0;

    *value = 0;
    while (done < len) {
        const FlatMap *map = as_flat(as);
        Part p = part_find(map, addr + done, len - done);
        bool io = part_is_io(&p);
        uint64_t v;

        if (io) {
            part_lock(as, map, addr + done, len - done, &p);
        }
        ok &= part_load(&p, &v);
        if (io) {
            as_unlock(as);
        }
        *value |= v << (8 * done);
        done += (unsigned)p.len;
    }
    return ok;
}

static bool access_store(AddressSpace *as, hwaddr addr, unsigned len,
                         uint64_t value)
{
    bool ok = true;
    unsigned done = 0;

    while (done < len) {
        const FlatMap *map = as_flat(as);
        Part p = part_find(map, addr + done, len - done);
        bool io = part_is_io(&p);

        if (io) {
            part_lock(as, map, addr + done, len - done, &p);
        }
        ok &= part_store(as, addr + done, &p, value >> (8 * done));
        if (io) {
            as_unlock(as);
        }
        done += (unsigned)p.len;
    }
    return ok;
}

uint64_t as_load(AddressSpace *as, hwaddr addr, unsigned size)
{
    uint64_t v;

    access_load(as, addr, size, &v);
    return v;
}

void as_store(AddressSpace *as, hwaddr addr, uint64_t value, unsigned size)
{
    access_store(as, addr, size, value);
}

/* ---- many bytes -------------------------------------------------------------- */

/* The next access of a long transfer to a device: aligned, 1 to 8 bytes. */
static unsigned step_size(hwaddr addr, hwaddr len)
{
    unsigned n = 8;

    while (n > len || (addr & (n - 1))) {
        n /= 2;
    }
    return n;
}

bool as_read(AddressSpace *as, hwaddr addr, void *buf, size_t len)
{
    uint8_t *out = buf;
    bool ok = true;

    while (len) {
        Part p = part_find(as_flat(as), addr, len);

        if (!p.f) {
            memset(out, 0xff, p.len);
            ok = false;
        } else if (!part_is_io(&p)) {
            memcpy(out, p.f->region->ram + p.offset, p.len);
        } else {
            uint64_t v;

            p.len = step_size(addr, p.len);
            ok &= access_load(as, addr, (unsigned)p.len, &v);
            st_le(out, v, (unsigned)p.len);
        }
        addr += p.len;
        out += p.len;
        len -= p.len;
    }
    return ok;
}

bool as_write(AddressSpace *as, hwaddr addr, const void *buf, size_t len)
{
    const uint8_t *in = buf;
    bool ok = true;

    while (len) {
        Part p = part_find(as_flat(as), addr, len);

        if (p.f && p.f->region->kind == REGION_RAM) {
            memcpy(p.f->region->ram + p.offset, in, p.len);
            ram_written(as, addr, p.len);
        } else if (!p.f) {
            ok = false;
        } else if (part_is_io(&p)) {
            p.len = step_size(addr, p.len);
            ok &= access_store(as, addr, (unsigned)p.len,
                               ld_le(in, (unsigned)p.len));
        }
        addr += p.len;
        in += p.len;
        len -= p.len;
    }
    return ok;
}

bool as_write_rom(AddressSpace *as, hwaddr addr, const void *buf, size_t len)
{
    const uint8_t *in = buf;
    bool ok = true;

    while (len) {
        Part p = part_find(as_flat(as), addr, len);

        if (p.f && !part_is_io(&p)) {
            memcpy(p.f->region->ram + p.offset, in, p.len);
            ram_written(as, addr, p.len);
        } else {
            ok = false;
        }
        addr += p.len;
        in += p.len;
        len -= p.len;
    }
    return ok;
}

void *as_ram(AddressSpace *as, hwaddr addr, hwaddr len, bool for_write)
{
    const FlatRange *f = as_find(as, addr);
    RegionKind kind;

    if (!f || len > f->size - (addr - f->base)) {
        return NULL;
    }
    kind = f->region->kind;
    if (kind != REGION_RAM && (kind != REGION_ROM || for_write)) {
        return NULL;
    }
    return f->region->ram + f->offset + (addr - f->base);
}

void as_ram_written(AddressSpace *as, hwaddr addr, hwaddr len)
{
    ram_written(as, addr, len);
}

/* ---- info mtree -------------------------------------------------------------- */

static const char *region_kind_name(const Region *r)
{
    while (r->kind == REGION_ALIAS) {
        r = r->target;
    }
    switch (r->kind) {
    case REGION_RAM:
        return "ram";
    case REGION_ROM:
        return "rom";
    default:
        return "i/o";
    }
}

static int region_cmp_base(const void *a, const void *b)
{
    const Region *x = *(Region *const *)a, *y = *(Region *const *)b;

    if (x->base != y->base) {
        return x->base < y->base ? -1 : 1;
    }
    return y->priority - x->priority;
}

static void dump_line(GString *out, const char *indent, hwaddr base,
                      hwaddr last, int priority, const Region *r)
{
    g_string_append_printf(
        out, "%s%016" PRIx64 "-%016" PRIx64 " (prio %d, %s): ", indent, base,
        last, priority, region_kind_name(r));
}

static void dump_region(GString *out, const Region *r)
{
    dump_line(out, "    ", r->base, r->base + r->size - 1, r->priority, r);
    if (r->kind == REGION_ALIAS) {
        g_string_append_printf(
            out, "alias %s @%s %016" PRIx64 "-%016" PRIx64 "\n", r->name,
            r->target->name, r->target_offset, r->target_offset + r->size - 1);
    } else {
        g_string_append_printf(out, "%s\n", r->name);
    }
}

static void dump_tree(AddressSpace *as, GString *out)
{
    g_autofree Region **sorted =
        g_memdup2(as->regions->pdata, as->regions->len * sizeof(Region *));

    if (as->regions->len) {
        qsort(sorted, as->regions->len, sizeof(Region *), region_cmp_base);
    }
    g_string_append_printf(out, "address-space: %s\n", as->name);
    g_string_append_printf(out, "  %016x-%016" PRIx64 " (prio 0, i/o): %s\n", 0,
                           as->last, as->name);
    for (guint i = 0; i < as->regions->len; i++) {
        dump_region(out, sorted[i]);
    }
}

static void dump_flat(AddressSpace *as, GString *out)
{
    const FlatMap *map = as_flat(as);

    g_string_append_printf(out, "FlatView\n AS \"%s\", root: %s\n", as->name,
                           as->name);
    g_string_append_printf(out, " Root memory region: %s\n", as->name);
    for (unsigned i = 0; i < map->n; i++) {
        const FlatRange *f = &map->range[i];

        dump_line(out, "  ", f->base, range_last(f), f->region->priority,
                  f->region);
        g_string_append(out, f->region->name);
        if (f->offset) {
            g_string_append_printf(out, " @%016" PRIx64, f->offset);
        }
        g_string_append_c(out, '\n');
    }
    if (!map->n) {
        g_string_append(out, "  No rendered FlatView\n");
    }
}

void as_dump(AddressSpace *as, GString *out, bool flat)
{
    if (flat) {
        dump_flat(as, out);
    } else {
        dump_tree(as, out);
    }
    g_string_append_c(out, '\n');
}
