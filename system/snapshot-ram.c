/*
 * Pages of guest RAM, see snapshot-ram.h.
 *
 * Which pages to look at comes from the host: /proc/self/pagemap says which were
 * ever touched, and of a region that lies over a SnapRam also those that the
 * memfd holds (SEEK_DATA) without the process having looked at them. Without
 * /proc every page is looked at.
 */
#include "util/osdep.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "util/error.h"
#include "block/jobs.h"
#include "system/snapshot-ram.h"

GPtrArray *snap_regions(Machine *m)
{
    const FlatMap *map = as_flat(m->mem);
    GPtrArray *list = g_ptr_array_new();

    for (unsigned i = 0; i < map->n; i++) {
        Region *r = map->range[i].region;

        if (r->kind == REGION_RAM && r->ram &&
            !g_ptr_array_find(list, r, NULL)) {
            g_ptr_array_add(list, r);
        }
    }
    return list;
}

/* ---- which pages ------------------------------------------------------------------ */

#define PAGEMAP_THERE (UINT64_C(3) << 62) /* in memory, or swapped out */

/* False: nobody knows. */
static bool mark_touched(const Region *r, bool *look)
{
    size_t pages = r->size / SNAP_PAGE;
    off_t first = (off_t)((uintptr_t)r->ram / SNAP_PAGE);
    g_autofree uint64_t *entry = g_new(uint64_t, 8192);
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && getpagesize() == SNAP_PAGE;

    for (size_t at = 0; ok && at < pages; at += 8192) {
        size_t n = MIN(pages - at, 8192);

        ok = pread(fd, entry, n * 8, (first + (off_t)at) * 8) ==
             (ssize_t)(n * 8);
        for (size_t i = 0; ok && i < n; i++) {
            look[at + i] |= (entry[i] & PAGEMAP_THERE) != 0;
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

static void mark_data(const SnapRam *s, bool *look)
{
    off_t at = 0, end;

    while (at < (off_t)s->size && (at = lseek(s->fd, at, SEEK_DATA)) >= 0) {
        end = lseek(s->fd, at, SEEK_HOLE);
        end = end < 0 ? (off_t)s->size : end;
        memset(look + at / SNAP_PAGE, true,
               ((size_t)(end - at) + SNAP_PAGE - 1) / SNAP_PAGE);
        at = end;
    }
}

bool snap_each_run(const Region *r, const SnapRam *under, unsigned max,
                   SnapRunFn *fn, void *opaque)
{
    size_t pages = r->size / SNAP_PAGE, at = 0;
    g_autofree bool *look = g_new0(bool, pages);

    if (!mark_touched(r, look)) {
        memset(look, true, pages);
    } else if (under) {
        mark_data(under, look);
    }
    while (at < pages) {
        unsigned n = 0;

        while (n < max && at + n < pages && look[at + n] &&
               !buffer_is_zero(r->ram + (at + n) * SNAP_PAGE, SNAP_PAGE)) {
            n++;
        }
        if (n && !fn(opaque, at, n, r->ram + at * SNAP_PAGE)) {
            return false;
        }
        at += n ? n : 1;
    }
    return true;
}

/* ---- a moment of a region ---------------------------------------------------------- */

SnapRam *snap_ram_new(const char *name, uint64_t size, GError **errp)
{
    SnapRam *s = g_new0(SnapRam, 1);

    s->name = g_strdup(name);
    s->size = size;
    s->fd = memfd_create("rhea-snapshot", MFD_CLOEXEC);
    if (s->fd < 0 || ftruncate(s->fd, (off_t)size) < 0) {
        error_setg_errno(errp, errno,
                         "cannot make %" PRIu64 " bytes of memory for RAM '%s'",
                         size, name);
        snap_ram_free(s);
        return NULL;
    }
    s->map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
    if (s->map == MAP_FAILED) {
        s->map = NULL;
        error_setg_errno(errp, errno, "cannot map memory for RAM '%s'", name);
        snap_ram_free(s);
        return NULL;
    }
    return s;
}

void snap_ram_free(SnapRam *s)
{
    if (!s) {
        return;
    }
    if (s->map) {
        munmap(s->map, s->size);
    }
    if (s->fd >= 0) {
        close(s->fd);
    }
    g_free(s->name);
    g_free(s);
}

/* Memory that others share, or that is a file, keeps its mapping. */
static bool copy_into(SnapRam *s, Region *r)
{
    for (uint64_t at = 0; at < s->size; at += SNAP_PAGE) {
        uint64_t n = MIN(s->size - at, SNAP_PAGE);

        if (memcmp(r->ram + at, s->map + at, n) != 0) {
            memcpy(r->ram + at, s->map + at, n);
        }
    }
    return true;
}

bool snap_ram_apply(SnapRam *s, Region *r, GError **errp)
{
    void *p;

    if (!r->ram_owned || r->size % SNAP_PAGE) {
        return copy_into(s, r);
    }
    if (s->mapped == r && madvise(r->ram, r->size, MADV_DONTNEED) == 0) {
        return true;
    }
    p = mmap(r->ram, r->size, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, s->fd, 0);
    if (p == MAP_FAILED) {
        error_setg_errno(errp, errno, "cannot map RAM '%s'", s->name);
        return false;
    }
    s->mapped = r;
    return true;
}
