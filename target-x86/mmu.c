/*
 * Page walks: 32-bit, PAE, 4-level and 5-level paging. SDM 3A, 4.3 to 4.7.
 *
 * A walk first follows the tables and collects rights, then decides, and only
 * then sets accessed and dirty bits: with a compare-and-swap on every entry it
 * used, because another processor may be changing them. If one has changed the
 * walk starts again, as hardware would.
 */
#include "util/osdep.h"
#include "target-x86/mmu.h"

#define PTE_P      (UINT64_C(1) << 0)
#define PTE_RW     (UINT64_C(1) << 1)
#define PTE_US     (UINT64_C(1) << 2)
#define PTE_A      (UINT64_C(1) << 5)
#define PTE_D      (UINT64_C(1) << 6)
#define PTE_PS     (UINT64_C(1) << 7)
#define PTE_G      (UINT64_C(1) << 8)
#define PTE_NX     (UINT64_C(1) << 63)
#define PTE_ADDR   UINT64_C(0x000ffffffffff000)
#define PTE_RIGHTS (PTE_RW | PTE_US)

enum { MMU_MAX_LEVELS = 5 };

/* The entries a walk went through. */
typedef struct MmuStep {
    void *host; /* NULL: not in RAM, cannot be updated */
    uint64_t entry;
} MmuStep;

typedef struct MmuWalk {
    const X86State *s;
    const MmuBus *bus;
    unsigned entry_size; /* 4 or 8 */
    unsigned n;
    MmuStep step[MMU_MAX_LEVELS];
    uint64_t rights; /* PTE_RW and PTE_US of all levels, PTE_NX of any */
    hwaddr phys;     /* of the page in the tables, whatever its size */
    unsigned shift;
    unsigned pkey;
    bool global;
} MmuWalk;

typedef enum MmuResult { WALK_OK, WALK_MISSING, WALK_RESERVED } MmuResult;

void mmu_cache_clear(MmuCache *cache)
{
    for (unsigned i = 0; i < MMU_CACHE_SIZE; i++) {
        cache->e[i].tag = 0;
    }
}

static hwaddr mmu_a20(const MmuBus *bus, hwaddr addr)
{
    return bus->a20_masked ? addr & ~(hwaddr)MIB : addr;
}

/* Reads the entry at @addr and notes it. */
static uint64_t mmu_entry(MmuWalk *w, hwaddr addr)
{
    MmuStep *step = &w->step[w->n++];

    addr = mmu_a20(w->bus, addr);
    step->host = w->bus->ram(w->bus->opaque, addr);
    if (!step->host) {
        step->entry = w->bus->load(w->bus->opaque, addr, w->entry_size);
    } else if (w->entry_size == 8) {
        step->entry = __atomic_load_n((uint64_t *)step->host, __ATOMIC_RELAXED);
    } else {
        step->entry = __atomic_load_n((uint32_t *)step->host, __ATOMIC_RELAXED);
    }
    return step->entry;
}

/* ---- 32-bit paging. SDM 3A, 4.3 ------------------------------------------ */

static MmuResult mmu_walk32(MmuWalk *w, uint64_t lin)
{
    const X86State *s = w->s;
    uint64_t e;

    w->entry_size = 4;
    w->rights = PTE_RIGHTS;
    e = mmu_entry(w, (s->cr3 & 0xfffff000) + ((lin >> 22) & 0x3ff) * 4);
    if (!(e & PTE_P)) {
        return WALK_MISSING;
    }
    w->rights &= e;
    if ((e & PTE_PS) && (s->cr4 & CR4_PSE)) {
        /* PSE-36: bits 13-20 are address bits 32-39. */
        unsigned bits = w->bus->phys_bits;
        unsigned high = bits > 32 ? MIN(bits, 40) - 32 : 0;
        uint64_t used = (1u << high) - 1;

        if ((e >> 13 & 0x1ff) & ~used) {
            return WALK_RESERVED;
        }
        w->phys = (e & 0xffc00000) | (e >> 13 & used) << 32;
        w->shift = 22;
    } else {
        e = mmu_entry(w, (e & 0xfffff000) + ((lin >> 12) & 0x3ff) * 4);
        if (!(e & PTE_P)) {
            return WALK_MISSING;
        }
        w->rights &= e;
        w->phys = e & 0xfffff000;
        w->shift = 12;
    }
    w->global = (e & PTE_G) && (s->cr4 & CR4_PGE);
    return WALK_OK;
}

/* ---- PAE, 4-level, 5-level. SDM 3A, 4.4 and 4.5 --------------------------- */

/* Reserved bits of an entry at @level (0: page table). */
static uint64_t mmu_reserved(const MmuWalk *w, unsigned level, uint64_t e)
{
    const X86State *s = w->s;
    bool lma = s->efer & EFER_LMA;
    /* Bits 52-62 are ignored with 4 levels and reserved with PAE. */
    uint64_t top = lma ? UINT64_C(1) << 52 : UINT64_C(1) << 63;
    uint64_t rsvd = top - (UINT64_C(1) << w->bus->phys_bits);

    if (!(s->efer & EFER_NXE)) {
        rsvd |= PTE_NX;
    }
    if (level >= 3 || (level == 2 && !w->bus->page1gb)) {
        rsvd |= PTE_PS;
    } else if (level > 0 && (e & PTE_PS)) {
        rsvd |= (UINT64_C(1) << (12 + 9 * level)) - 0x2000;
    }
    return rsvd;
}

static MmuResult mmu_walk64(MmuWalk *w, MmuCache *cache, uint64_t lin)
{
    const X86State *s = w->s;
    unsigned slot = (lin >> 21) % MMU_CACHE_SIZE, level;
    hwaddr table;
    uint64_t e;

    w->entry_size = 8;
    w->rights = PTE_RIGHTS;
    if (cache && cache->e[slot].tag == (lin >> 21) + 1) {
        MmuStep *step = &w->step[w->n++];

        step->host = &cache->e[slot].table[(lin >> 12) & 0x1ff];
        step->entry = e =
            __atomic_load_n((uint64_t *)step->host, __ATOMIC_RELAXED);
        w->rights = cache->e[slot].rights;
        level = 0;
        goto have_entry;
    }
    if (s->efer & EFER_LMA) {
        level = s->cr4 & CR4_LA57 ? 4 : 3;
        table = s->cr3 & PTE_ADDR;
    } else {
        uint64_t pdpte = s->pdpte[(lin >> 30) & 3];

        if (!(pdpte & PTE_P)) {
            return WALK_MISSING;
        }
        level = 1;
        table = pdpte & PTE_ADDR;
    }
    for (;; level--) {
        e = mmu_entry(w, table + ((lin >> (12 + 9 * level)) & 0x1ff) * 8);
    have_entry:
        if (!(e & PTE_P)) {
            return WALK_MISSING;
        }
        if (e & mmu_reserved(w, level, e)) {
            return WALK_RESERVED;
        }
        w->rights = (w->rights & (e | PTE_NX)) | (e & PTE_NX);
        if (level == 0 || (e & PTE_PS)) {
            break;
        }
        table = e & PTE_ADDR;
    }
    w->shift = 12 + 9 * level;
    w->phys = e & PTE_ADDR & ~((UINT64_C(1) << w->shift) - 1);
    w->global = (e & PTE_G) && (s->cr4 & CR4_PGE);
    w->pkey = e >> 59 & 15;
    return WALK_OK;
}

/* The last table of this walk, for the next ones. Its parents' accessed bits
 * are set by now. */
static void mmu_remember(const MmuWalk *w, MmuCache *cache, uint64_t lin)
{
    unsigned slot = (lin >> 21) % MMU_CACHE_SIZE;
    uint64_t rights = PTE_RIGHTS;

    if (w->n < 2 || w->shift != 12 || !w->step[w->n - 1].host) {
        return;
    }
    for (unsigned i = 0; i < w->n - 1; i++) {
        uint64_t e = w->step[i].entry;

        if (!(e & PTE_A) && !w->step[i].host) {
            return;
        }
        rights = (rights & (e | PTE_NX)) | (e & PTE_NX);
    }
    cache->e[slot].tag = (lin >> 21) + 1;
    cache->e[slot].table =
        (uint64_t *)w->step[w->n - 1].host - ((lin >> 12) & 0x1ff);
    cache->e[slot].rights = rights;
}

/* ---- rights. SDM 3A, 4.6 --------------------------------------------------- */

/* What @ctx may do with the page, dirty bit aside; *@pk_error: a protection
 * key alone forbids it. */
static unsigned mmu_prot(const MmuWalk *w, MmuCtx ctx, unsigned *pk_denied)
{
    const X86State *s = w->s;
    bool user_page = w->rights & PTE_US;
    bool wp = s->cr0 & CR0_WP;
    unsigned prot = 0;

    if (ctx == MMU_USER) {
        if (user_page) {
            prot = MMU_R | (w->rights & PTE_RW ? MMU_W : 0) | MMU_X;
        }
    } else {
        if (!user_page || ctx == MMU_KERNEL_AC || !(s->cr4 & CR4_SMAP)) {
            prot = MMU_R | (w->rights & PTE_RW || !wp ? MMU_W : 0);
        }
        if (!user_page || !(s->cr4 & CR4_SMEP)) {
            prot |= MMU_X;
        }
    }
    if (w->rights & PTE_NX) {
        prot &= ~MMU_X;
    }
    *pk_denied = 0;
    if ((s->cr4 & CR4_PKE) && (s->efer & EFER_LMA) && user_page) {
        unsigned key = s->pkru >> (w->pkey * 2) & 3;

        if (key & 1) {
            *pk_denied = MMU_R | MMU_W;
        } else if ((key & 2) && (ctx == MMU_USER || wp)) {
            *pk_denied = MMU_W;
        }
    }
    return prot;
}

/* false: an entry changed under us. */
static bool mmu_set_bits(MmuStep *step, unsigned size, uint64_t bits)
{
    uint64_t old = step->entry;

    if ((old & bits) == bits || !step->host) {
        return true;
    }
    if (size == 8) {
        if (!__atomic_compare_exchange_n((uint64_t *)step->host, &old,
                                         old | bits, false, __ATOMIC_SEQ_CST,
                                         __ATOMIC_RELAXED)) {
            return false;
        }
    } else {
        uint32_t old32 = old;

        if (!__atomic_compare_exchange_n((uint32_t *)step->host, &old32,
                                         (uint32_t)(old | bits), false,
                                         __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
            return false;
        }
    }
    step->entry |= bits;
    return true;
}

static bool mmu_commit(MmuWalk *w, bool store)
{
    for (unsigned i = 0; i < w->n; i++) {
        bool leaf = i == w->n - 1;

        if (!mmu_set_bits(&w->step[i], w->entry_size,
                          PTE_A | (leaf && store ? PTE_D : 0))) {
            return false;
        }
    }
    return true;
}

static uint32_t mmu_error(const X86State *s, MmuAccess access, MmuCtx ctx)
{
    uint32_t error = ctx == MMU_USER ? PF_U : 0;

    if (access == MMU_STORE) {
        error |= PF_W;
    } else if (access == MMU_FETCH &&
               ((s->cr4 & CR4_SMEP) ||
                ((s->cr4 & CR4_PAE) && (s->efer & EFER_NXE)))) {
        error |= PF_I;
    }
    return error;
}

static bool mmu_no_paging(const MmuBus *bus, uint64_t lin, MmuPage *page)
{
    *page = (MmuPage) {
        .phys = mmu_a20(bus, lin & UINT32_MAX & ~UINT64_C(0xfff)),
        .shift = 12,
        .prot = MMU_R | MMU_W | MMU_X,
        .user = true,
        .writable = true,
    };
    return true;
}

bool mmu_walk(const X86State *s, const MmuBus *bus, MmuCache *cache,
              uint64_t lin, MmuAccess access, MmuCtx ctx, bool commit,
              MmuPage *page, uint32_t *error)
{
    static const uint8_t needs[] = { MMU_R, MMU_W, MMU_X };
    unsigned prot, pk_denied, need = needs[access];
    MmuResult result;
    MmuWalk w;

    if (!(s->cr0 & CR0_PG)) {
        return mmu_no_paging(bus, lin, page);
    }
    do {
        w.s = s;
        w.bus = bus;
        w.n = 0;
        w.pkey = 0;
        result =
            s->cr4 & CR4_PAE ? mmu_walk64(&w, cache, lin) : mmu_walk32(&w, lin);
        if (result != WALK_OK) {
            *error = mmu_error(s, access, ctx) |
                     (result == WALK_RESERVED ? PF_P | PF_RSVD : 0);
            return false;
        }
        prot = mmu_prot(&w, ctx, &pk_denied);
        if (!(prot & ~pk_denied & need)) {
            *error = mmu_error(s, access, ctx) | PF_P |
                     (pk_denied & need ? PF_PK : 0);
            return false;
        }
    } while (commit && !mmu_commit(&w, access == MMU_STORE));

    if (commit && cache && w.entry_size == 8) {
        mmu_remember(&w, cache, lin);
    }
    prot &= ~pk_denied;
    if (!(w.step[w.n - 1].entry & PTE_D)) {
        prot &= ~MMU_W;
    }
    *page = (MmuPage) {
        .phys = mmu_a20(bus, w.phys | (lin & ((UINT64_C(1) << w.shift) - 1) &
                                       ~UINT64_C(0xfff))),
        .shift = w.shift,
        .prot = prot,
        .global = w.global,
        .user = w.rights & PTE_US,
        .writable = w.rights & PTE_RW,
        .nx = w.rights & PTE_NX,
    };
    return true;
}

/* ---- all of it, for the monitor ------------------------------------------- */

typedef bool MmuLeafFn(void *opaque, uint64_t lin, hwaddr phys, unsigned shift,
                       uint64_t entry, uint64_t rights);

typedef struct MmuTour {
    MmuWalk w;
    MmuLeafFn *fn;
    void *opaque;
    unsigned top_bits; /* of linear addresses: sign-extended from there */
} MmuTour;

static uint64_t mmu_tour_load(MmuTour *t, hwaddr addr)
{
    t->w.n = 0;
    return mmu_entry(&t->w, addr);
}

static bool mmu_tour_large(const MmuTour *t, unsigned level, uint64_t e)
{
    bool pse = t->w.entry_size == 8 || t->w.s->cr4 & CR4_PSE;

    return (e & PTE_PS) && level < 3 && pse;
}

static bool mmu_tour_level(MmuTour *t, hwaddr table, unsigned level,
                           uint64_t lin, uint64_t rights)
{
    bool wide = t->w.entry_size == 8;
    unsigned bits = wide ? 9 : 10, shift = 12 + bits * level;

    for (unsigned i = 0; i < 1u << bits; i++) {
        uint64_t at = lin | (uint64_t)i << shift, r;
        uint64_t e = mmu_tour_load(t, table + i * t->w.entry_size);

        if (!(e & PTE_P)) {
            continue;
        }
        if (t->top_bits > 32 && (at >> (t->top_bits - 1) & 1)) {
            at |= ~UINT64_C(0) << t->top_bits;
        }
        r = (rights & (e | PTE_NX)) | (e & PTE_NX);
        if (level == 0 || mmu_tour_large(t, level, e)) {
            hwaddr phys = (wide ? e & PTE_ADDR : e & 0xfffff000) &
                          ~((UINT64_C(1) << shift) - 1);

            if (!t->fn(t->opaque, at, phys, shift, e, r)) {
                return false;
            }
        } else if (!mmu_tour_level(t, wide ? e & PTE_ADDR : e & 0xfffff000,
                                   level - 1, at, r)) {
            return false;
        }
    }
    return true;
}

void mmu_foreach(const X86State *s, const MmuBus *bus, MmuLeafFn *fn,
                 void *opaque)
{
    MmuTour t = {
        .w = { .s = s, .bus = bus, .entry_size = s->cr4 & CR4_PAE ? 8 : 4 },
        .fn = fn,
        .opaque = opaque,
        .top_bits = 32,
    };

    if (!(s->cr0 & CR0_PG)) {
        return;
    }
    if (!(s->cr4 & CR4_PAE)) {
        mmu_tour_level(&t, s->cr3 & 0xfffff000, 1, 0, PTE_RIGHTS);
    } else if (s->efer & EFER_LMA) {
        unsigned level = s->cr4 & CR4_LA57 ? 4 : 3;

        t.top_bits = 12 + 9 * (level + 1);
        mmu_tour_level(&t, s->cr3 & PTE_ADDR, level, 0, PTE_RIGHTS);
    } else {
        for (unsigned i = 0; i < 4; i++) {
            if ((s->pdpte[i] & PTE_P) &&
                !mmu_tour_level(&t, s->pdpte[i] & PTE_ADDR, 1,
                                (uint64_t)i << 30, PTE_RIGHTS)) {
                return;
            }
        }
    }
}
