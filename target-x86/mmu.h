/*
 * Page walks: linear to physical, with rights. SDM 3A, chapter 4.
 *
 * Pure but for the accessed and dirty bits, which mmu_walk() sets on request
 * and only for an access that succeeds. Whoever calls it caches the result.
 */
#ifndef TARGET_X86_MMU_H
#define TARGET_X86_MMU_H

#include "target-x86/cpu.h"

typedef enum MmuAccess { MMU_LOAD, MMU_STORE, MMU_FETCH } MmuAccess;

/* As whom. SMAP applies to MMU_KERNEL and not to MMU_KERNEL_AC. */
typedef enum MmuCtx {
    MMU_USER,
    MMU_KERNEL,
    MMU_KERNEL_AC,
    MMU_CTX_COUNT,
} MmuCtx;

enum { MMU_R = 1, MMU_W = 2, MMU_X = 4 };

/* Page-fault error code. SDM 3A, 4.7. */
enum {
    PF_P = 1 << 0,
    PF_W = 1 << 1,
    PF_U = 1 << 2,
    PF_RSVD = 1 << 3,
    PF_I = 1 << 4,
    PF_PK = 1 << 5,
};

/* Where page tables are read. */
typedef struct MmuBus {
    /* Host address of an entry in RAM (aligned), or NULL. */
    void *(*ram)(void *opaque, hwaddr addr);
    /* An entry that is somewhere else. */
    uint64_t (*load)(void *opaque, hwaddr addr, unsigned size);
    void *opaque;
    unsigned phys_bits; /* CPUID.80000008H:EAX[7:0] */
    bool page1gb;
    bool a20_masked; /* of s, a copy */
} MmuBus;

typedef struct MmuPage {
    hwaddr phys;   /* of the 4 KiB around @lin */
    uint8_t shift; /* log2 of the size in the tables: 12, 21, 22, 30 */
    uint8_t prot;  /* MMU_*: what @ctx may do with no further walk: W only
                     * if the dirty bit is set */
    bool global, user;
    bool writable, nx; /* rights in the tables, for "info mem" */
} MmuPage;

/*
 * Remembers page-directory entries: the last table of a walk, found again
 * without the levels above. mmu_cache_clear() on any flush, INVLPG too.
 */
enum { MMU_CACHE_SIZE = 32 };
typedef struct MmuCache {
    struct {
        uint64_t tag; /* lin >> 21, plus 1 */
        uint64_t *table;
        uint64_t rights; /* of the levels above */
    } e[MMU_CACHE_SIZE];
} MmuCache;

void mmu_cache_clear(MmuCache *cache);

/*
 * @lin (canonical) for @access as @ctx. true: *@page. false: *@error is the
 * error code of the page fault. @commit: set accessed and dirty bits; false is
 * for debuggers. @cache may be NULL.
 */
bool mmu_walk(const X86State *s, const MmuBus *bus, MmuCache *cache,
              uint64_t lin, MmuAccess access, MmuCtx ctx, bool commit,
              MmuPage *page, uint32_t *error);

/* Calls @fn for each run of mapped leaf pages in ascending order: "info mem",
 * "info tlb". @fn returns false to stop. */
void mmu_foreach(const X86State *s, const MmuBus *bus,
                 bool (*fn)(void *opaque, uint64_t lin, hwaddr phys,
                            unsigned shift, uint64_t entry, uint64_t rights),
                 void *opaque);

#endif
