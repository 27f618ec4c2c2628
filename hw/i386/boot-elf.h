/*
 * ELF executables as boot images: checked program headers, PVH note, section
 * headers for those who want symbols. System V ABI, chapter 5.
 */
#ifndef HW_I386_BOOT_ELF_H
#define HW_I386_BOOT_ELF_H

#include "hw/i386/e820.h"

typedef struct BootPlan BootPlan;

typedef struct ElfSegment { /* PT_LOAD, not empty; file range checked */
    uint64_t vaddr, paddr, off, filesz, memsz;
} ElfSegment;

typedef struct ElfImage {
    unsigned bits;    /* 32 or 64 */
    uint64_t entry;   /* physical, if a segment says how; else as in the file */
    GArray *segments; /* of ElfSegment; at least one */
    uint64_t low, high; /* physical extent; high is the first byte behind */
    bool has_pvh;
    uint32_t pvh_entry;
    uint64_t shoff; /* section headers, inside the file; 0: none */
    uint32_t shnum, shentsize, shstrndx;
} ElfImage;

bool elf_is(GBytes *image);
/* @name: for messages. On success elf_clear() is due. */
bool elf_parse(ElfImage *elf, GBytes *image, const char *name, GError **errp);
void elf_clear(ElfImage *elf);
/* Adds the segments to @plan, @delta added to their addresses, after a check
 * that all of it is RAM. */
bool elf_place(const ElfImage *elf, BootPlan *plan, const E820 *e820,
               uint64_t delta, GBytes *image, const char *name, GError **errp);

#endif
