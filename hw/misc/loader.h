/*
 * -device loader: bytes into memory at every reset; see loader.c.
 */
#ifndef HW_MISC_LOADER_H
#define HW_MISC_LOADER_H

#include "system/machine.h"

/* Properties file, addr, cpu-num, data, data-len, data-be, force-raw. */
extern const DeviceClass loader_class;

typedef struct LoaderStart {
    unsigned cpu;      /* index; the board ignores one that is not there */
    unsigned elf_bits; /* 32, 64; 0: not an ELF */
    uint64_t entry;    /* physical */
} LoaderStart;

/* False: @dev is no loader, or starts no processor. */
bool loader_get_start(const Device *dev, LoaderStart *out);

#endif
