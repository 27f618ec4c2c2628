/*
 * Physical address spaces: who answers at which address.
 *
 * A machine has two, memory and I/O ports. Devices map Regions into them; CPUs
 * and DMA read and write through them. Nothing here knows of PCs or CPUs.
 *
 * Regions may overlap; the higher priority wins, and the winner at every
 * address is worked out once per change into an immutable FlatMap.
 *
 * Locking: maps change with the machine lock held. as_load() and friends take
 * the lock given to as_new() (it is recursive) around a RegionOps call, so
 * vCPUs call them without it. RAM is read and written with no lock at all.
 * A FlatMap or FlatRange stays valid until the vCPUs are paused next: look it
 * up, use it, forget it.
 */
#ifndef SYSTEM_MEMORY_H
#define SYSTEM_MEMORY_H

#include "util/osdep.h"

typedef uint64_t hwaddr;
typedef struct AddressSpace AddressSpace;
typedef struct Region Region;

/* How a device answers. @offset is relative to the region. */
typedef struct RegionOps {
    uint64_t (*read)(void *dev, hwaddr offset, unsigned size);
    void (*write)(void *dev, hwaddr offset, uint64_t value, unsigned size);
    unsigned min_size; /* smallest and largest access the device */
    unsigned max_size; /* takes; others are split or widened for it; 0: 1, 4 */
} RegionOps;

typedef enum RegionKind {
    REGION_IO,    /* ops are called */
    REGION_RAM,   /* bytes */
    REGION_ROM,   /* bytes; writes are ignored */
    REGION_ALIAS, /* a window onto another region */
} RegionKind;

/* See region_add_event(). */
typedef struct RegionEvent {
    hwaddr offset;
    unsigned size; /* 1, 2, 4, 8; 0: any */
    bool match;    /* only when @value is written */
    uint64_t value;
    int fd;
} RegionEvent;

struct Region {       /* embedded in the device that owns it */
    const char *name; /* shown by "info mtree" */
    RegionKind kind;
    hwaddr size;
    const RegionOps *ops;
    void *dev;
    uint8_t *ram;
    bool ram_owned;
    Region *target; /* REGION_ALIAS */
    hwaddr target_offset;
    GArray *events;             /* of RegionEvent; NULL: none */
    bool coalesced;             /* see region_set_coalesced() */
    bool in_kernel;             /* the host's kernel answers; ops only for us */
    uint64_t n_reads, n_writes; /* calls of ops, for "info stats" */

    AddressSpace *as; /* these three belong to as_map() */
    hwaddr base;
    int priority;
};

void region_init_io(Region *r, const char *name, hwaddr size,
                    const RegionOps *ops, void *dev);
/* Zeroed pages that cost nothing until touched. region_fini() frees them. */
bool region_init_ram(Region *r, const char *name, hwaddr size, GError **errp);
/* Over @ram, which stays the caller's. */
void region_init_ram_ptr(Region *r, const char *name, hwaddr size, void *ram);
bool region_init_rom(Region *r, const char *name, hwaddr size, GError **errp);
void region_init_alias(Region *r, const char *name, Region *target,
                       hwaddr offset, hwaddr size);
void region_fini(Region *r);

/*
 * For REGION_IO: a write of @size bytes (0: of any size) at @offset, of @value
 * only if @match, may make the eventfd @fd readable instead of calling
 * ops->write. Whether it does is the accelerator's choice, write by write; see
 * system/host-kernel.h. Each one added must be deleted, with the same values,
 * before its fd is closed. Machine lock held.
 */
void region_add_event(Region *r, hwaddr offset, unsigned size, bool match,
                      uint64_t value, int fd);
void region_del_event(Region *r, hwaddr offset, unsigned size, bool match,
                      uint64_t value, int fd);
/* Writes may reach ops->write late, in their order, but before any other access
 * of the guest to a device does: frame buffers, registers without an effect
 * that the guest waits for. */
void region_set_coalesced(Region *r, bool on);

/* @lock: taken around RegionOps; NULL: none. @size: of the space in bytes
 * (65536 for ports); 0 is 2^64. */
AddressSpace *as_new(const char *name, hwaddr size, GRecMutex *lock);
void as_free(AddressSpace *as);
void as_map(AddressSpace *as, hwaddr base, Region *r, int priority);
void as_unmap(Region *r);
/* Several changes, one new FlatMap. Calls nest. */
void as_begin(AddressSpace *as);
void as_commit(AddressSpace *as);

/* Reads of nothing give all ones, writes to nothing vanish: false is returned
 * so that the caller can log or raise a machine check. */
bool as_read(AddressSpace *as, hwaddr addr, void *buf, size_t len);
bool as_write(AddressSpace *as, hwaddr addr, const void *buf, size_t len);
/* One access of 1, 2, 4 or 8 bytes, little-endian. */
uint64_t as_load(AddressSpace *as, hwaddr addr, unsigned size);
void as_store(AddressSpace *as, hwaddr addr, uint64_t value, unsigned size);
/* Writes ROM as well: loaders. */
bool as_write_rom(AddressSpace *as, hwaddr addr, const void *buf, size_t len);

/* Host pointer to @len bytes of RAM at @addr, or NULL if any of it is not RAM
 * (or is ROM and @for_write). The only way for a device to get one; to keep it,
 * see as_generation(); after writing through it call as_ram_written(). */
void *as_ram(AddressSpace *as, hwaddr addr, hwaddr len, bool for_write);
void as_ram_written(AddressSpace *as, hwaddr addr, hwaddr len);
/* @hook hears of every as_write()/as_store()/as_ram_written() to RAM, after
 * the bytes are there: the software CPU drops its decoded blocks. */
void as_set_ram_hook(AddressSpace *as,
                     void (*hook)(void *opaque, hwaddr addr, hwaddr len),
                     void *opaque);

/* One piece of the resolved map: no overlaps, sorted by base. */
typedef struct FlatRange {
    hwaddr base, size;
    Region *region;
    hwaddr offset; /* of base, in region */
} FlatRange;

typedef struct FlatMap {
    unsigned n;
    FlatRange range[];
} FlatMap;

const FlatMap *as_flat(AddressSpace *as);
/* The range that holds @addr, or NULL: nothing there. */
const FlatRange *as_find(AddressSpace *as, hwaddr addr);
/* @changed runs after every change, also of regions' events: KVM programs slots,
 * TCG drops its TLBs. */
void as_watch(AddressSpace *as,
              void (*changed)(void *opaque, const FlatMap *map), void *opaque);
/* Grows with every change of the map: a pointer from as_ram() may be kept while
 * it stands still. Machine lock held. */
uint64_t as_generation(const AddressSpace *as);
/* Maps that were replaced and are kept for who may still look at them. */
unsigned as_old_maps(const AddressSpace *as);
/* Frees those; no other thread uses the address space now. */
void as_reclaim(AddressSpace *as);
/* "info mtree": regions with their priorities, or the flat map. */
void as_dump(AddressSpace *as, GString *out, bool flat);

#endif
