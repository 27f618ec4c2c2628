/*
 * The memory map that a PC hands to its operating system: sorted, disjoint
 * ranges with a type. ACPI 6.4, chapter 15 (System Address Map).
 *
 * Loaders ask it where an image may go: only RAM entries count, so what the
 * tables and the BIOS data occupy is never overwritten.
 */
#ifndef HW_I386_E820_H
#define HW_I386_E820_H

#include "system/memory.h"

enum { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3, E820_NVS = 4 };
enum { E820_MAX = 64 };

typedef struct E820Entry {
    uint64_t addr, size; /* bytes; the range never wraps */
    uint32_t type;       /* E820_* */
} E820Entry;

typedef struct E820 {
    unsigned n;
    E820Entry entry[E820_MAX];
} E820;

/* The map of a PC with @below bytes of RAM from 0 (the legacy hole inside) and
 * @above from 4 GiB. */
void e820_init_pc(E820 *map, uint64_t below, uint64_t above);

/* All of [@addr, @addr + @size) lies in one RAM entry. @size may be anything. */
bool e820_is_ram(const E820 *map, uint64_t addr, uint64_t size);
/* Lowest and highest @align-ed place for @size bytes of RAM inside
 * [@min, @max); false: there is none. */
bool e820_find_low(const E820 *map, uint64_t size, uint64_t align, uint64_t min,
                   uint64_t max, uint64_t *addr);
bool e820_find_high(const E820 *map, uint64_t size, uint64_t align,
                    uint64_t min, uint64_t max, uint64_t *addr);
/* End of the RAM that begins at 1 MiB (1 MiB if there is none). */
uint64_t e820_high_memory_end(const E820 *map);
/* "640 KiB at 0, 255 MiB at 0x100000": for error messages. */
char *e820_describe_ram(const E820 *map);

#endif
