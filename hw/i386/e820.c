/*
 * The memory map of a PC. ACPI 6.4, chapter 15.
 *
 * What is special below 1 MiB: 9FC00-9FFFF belongs to the (absent) BIOS as
 * EBDA, A0000-BFFFF is the window of a video card, E0000-FFFFF holds the tables
 * and what the loaders hand over (boot.h).
 */
#include "util/osdep.h"
#include "hw/i386/e820.h"

/* Appends; entries come in address order. Empty ranges are left out. */
static void e820_add(E820 *map, uint64_t addr, uint64_t size, uint32_t type)
{
    if (size == 0) {
        return;
    }
    g_assert(map->n < E820_MAX);
    g_assert(map->n == 0 ||
             map->entry[map->n - 1].addr + map->entry[map->n - 1].size <= addr);
    map->entry[map->n++] = (E820Entry) { addr, size, type };
}

void e820_init_pc(E820 *map, uint64_t below, uint64_t above)
{
    map->n = 0;
    e820_add(map, 0, MIN(below, 0x9fc00), E820_RAM);
    e820_add(map, 0x9fc00, 0x400, E820_RESERVED);
    e820_add(map, 0xe0000, 0x20000, E820_RESERVED);
    if (below > MIB) {
        e820_add(map, MIB, below - MIB, E820_RAM);
    }
    e820_add(map, 4 * GIB, above, E820_RAM);
}

bool e820_is_ram(const E820 *map, uint64_t addr, uint64_t size)
{
    for (unsigned i = 0; i < map->n; i++) {
        const E820Entry *e = &map->entry[i];

        if (e->type == E820_RAM && addr >= e->addr &&
            addr - e->addr < e->size && size <= e->size - (addr - e->addr)) {
            return true;
        }
    }
    return false;
}

/* The part of @e that is RAM inside [min, max), lower end aligned. */
static bool e820_window(const E820Entry *e, uint64_t align, uint64_t min,
                        uint64_t max, uint64_t *start, uint64_t *end)
{
    *start = MAX(e->addr, min);
    *end = MIN(e->addr + e->size, max);
    if (e->type != E820_RAM || *start > UINT64_MAX - align) {
        return false;
    }
    *start = (*start + align - 1) & ~(align - 1);
    return *start < *end;
}

bool e820_find_low(const E820 *map, uint64_t size, uint64_t align, uint64_t min,
                   uint64_t max, uint64_t *addr)
{
    uint64_t start, end;

    for (unsigned i = 0; i < map->n; i++) {
        if (e820_window(&map->entry[i], align, min, max, &start, &end) &&
            size <= end - start) {
            *addr = start;
            return true;
        }
    }
    return false;
}

bool e820_find_high(const E820 *map, uint64_t size, uint64_t align,
                    uint64_t min, uint64_t max, uint64_t *addr)
{
    uint64_t start, end;

    for (unsigned i = map->n; i-- > 0;) {
        if (e820_window(&map->entry[i], align, min, max, &start, &end) &&
            size <= end - start) {
            *addr = (end - size) & ~(align - 1);
            return true; /* start is aligned, so addr is not below it */
        }
    }
    return false;
}

uint64_t e820_high_memory_end(const E820 *map)
{
    for (unsigned i = 0; i < map->n; i++) {
        if (map->entry[i].type == E820_RAM && map->entry[i].addr == MIB) {
            return MIB + map->entry[i].size;
        }
    }
    return MIB;
}

char *e820_describe_ram(const E820 *map)
{
    GString *out = g_string_new(NULL);

    for (unsigned i = 0; i < map->n; i++) {
        const E820Entry *e = &map->entry[i];

        if (e->type == E820_RAM) {
            g_string_append_printf(out, "%s0x%" PRIx64 "-0x%" PRIx64,
                                   out->len ? ", " : "", e->addr,
                                   e->addr + e->size - 1);
        }
    }
    return g_string_free(out, FALSE);
}
