/*
 * Guest RAM in snapshots: which pages hold something, and memory that RAM can be
 * mapped over.
 *
 * A SnapRam is the RAM of one region at one moment, in a memfd. Mapped privately
 * over the region, the host's kernel keeps the moment for us: pages that the
 * guest writes become copies, and dropping the copies brings the moment back, at
 * a cost of the pages written only.
 */
#ifndef SYSTEM_SNAPSHOT_RAM_H
#define SYSTEM_SNAPSHOT_RAM_H

#include "system/machine.h"

enum { SNAP_PAGE = 4096 };

typedef struct SnapRam {
    char *name;
    uint64_t size;
    int fd;
    uint8_t *map;   /* shared, to fill it */
    Region *mapped; /* the region that lies over it, or NULL */
} SnapRam;

/* The RAM regions of the machine's memory map, in the order of addresses: of
 * Region *, owned by the caller. Their names differ. */
GPtrArray *snap_regions(Machine *m);

/*
 * Calls @fn for runs of pages of @r that are not all zero, at most @max pages a
 * run, in order; stops when it returns false. Untouched memory costs nothing.
 */
typedef bool SnapRunFn(void *opaque, uint64_t page, unsigned n,
                       const uint8_t *data);
bool snap_each_run(const Region *r, const SnapRam *under, unsigned max,
                   SnapRunFn *fn, void *opaque);

SnapRam *snap_ram_new(const char *name, uint64_t size, GError **errp);
void snap_ram_free(SnapRam *s);
/* Puts @r in the state of @s: at once when @r already lies over it. */
bool snap_ram_apply(SnapRam *s, Region *r, GError **errp);

#endif
