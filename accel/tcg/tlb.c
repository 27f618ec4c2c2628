/*
 * The TLB: filling, flushing, PCIDs, watched pages.
 *
 * There is one set of tables per PCID in use (a slot), in it one per context:
 * user, supervisor, supervisor with SMAP lifted. Fills are logged, so that a
 * flush of a nearly empty table is cheap. Global pages survive where the
 * manual says so; INVLPG finds the other pieces of a large page by a small
 * bloom filter that tells whether there can be any.
 *
 * The same generations that invalidate block lookups (TcgCpu.vtag) are kept
 * here: an executable mapping can only change by a flush.
 */
#include "util/osdep.h"
#include "accel/tcg/tlb.h"
#include "accel/tcg/tb.h"

/* ---- contexts and slots ---------------------------------------------------- */

MmuCtx tlb_ctx(const TcgCpu *tc)
{
    uint32_t key = tc->cpu.mode.key;

    if ((key & MODE_CPL) == MODE_CPL) {
        return MMU_USER;
    }
    return key & MODE_SMAP_OPEN ? MMU_KERNEL_AC : MMU_KERNEL;
}

TlbEntry *tlb_table(TlbSlot *slot, MmuCtx ctx)
{
    if (unlikely(!slot->ctx[ctx])) {
        slot->ctx[ctx] = g_new(TlbEntry, TLB_SIZE);
        memset(slot->ctx[ctx], 0xff, sizeof(TlbEntry) * TLB_SIZE);
    }
    return slot->ctx[ctx];
}

static TlbSlot *tlb_slot_new(TcgCpu *tc)
{
    TlbSlot *slot = g_new0(TlbSlot, 1);

    for (int user = 0; user < 2; user++) {
        for (int i = 0; i < TLB_FETCH; i++) {
            slot->fetch[user][i].tag = TLB_NONE;
        }
    }
    slot->gen = ++tc->gen;
    return slot;
}

void tlb_select(TcgCpu *tc)
{
    uint64_t key = tc->cpu.mode.key & MODE_BLOCK;

    tc->tlb = tlb_table(tc->slot, tlb_ctx(tc));
    tc->vtag[0] = tc->slot->gen << 24 | key;
    tc->vtag[1] = tc->gen_high << 24 | key;
}

/* ---- physical memory ------------------------------------------------------- */

TcgPage *tcg_page(TcgAccel *a, const void *host)
{
    unsigned n = __atomic_load_n(&a->n_ram, __ATOMIC_ACQUIRE);

    for (unsigned i = 0; i < n; i++) {
        const TcgRam *r = &a->ram[i];
        uint64_t off = (const uint8_t *)host - r->host;

        if (off < r->size) {
            return &r->page[off >> PAGE_SHIFT];
        }
    }
    return NULL;
}

/* Makes the record of region memory that is new. */
static TcgPage *tcg_page_add(TcgAccel *a, uint8_t *ram, uint64_t size,
                             const void *host)
{
    TcgPage *page = tcg_page(a, host);

    if (page) {
        return page;
    }
    pthread_mutex_lock(&a->lock);
    if (!tcg_page(a, host)) {
        TcgRam *r = &a->ram[a->n_ram];

        g_assert(a->n_ram < TCG_RAMS_MAX);
        r->host = ram;
        r->size = size;
        r->page = g_new0(TcgPage, (size + PAGE_SIZE - 1) >> PAGE_SHIFT);
        __atomic_store_n(&a->n_ram, a->n_ram + 1, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&a->lock);
    return tcg_page(a, host);
}

/* The range that holds all of the page at @phys, if it is RAM or ROM. */
static const FlatRange *tlb_phys_range(TcgCpu *tc, hwaddr phys)
{
    const FlatRange *fr = as_find(tc->cpu.machine->mem, phys);

    if (!fr || phys < fr->base || fr->size < PAGE_SIZE ||
        phys - fr->base > fr->size - PAGE_SIZE ||
        (fr->region->kind != REGION_RAM && fr->region->kind != REGION_ROM)) {
        return NULL;
    }
    return fr;
}

/* Guest-physical RAM at @addr (of up to the end of its page), or NULL. */
static void *tlb_phys_ram(TcgCpu *tc, hwaddr addr)
{
    const FlatRange *fr;

    if (likely(addr - tc->ram_base < tc->ram_size)) {
        return tc->ram_host + (addr - tc->ram_base);
    }
    fr = tlb_phys_range(tc, addr & PAGE_MASK);
    if (!fr || fr->region->kind != REGION_RAM) {
        return NULL;
    }
    /* Whole pages of it only. */
    tc->ram_base = (fr->base + PAGE_SIZE - 1) & PAGE_MASK;
    tc->ram_size = (fr->size - (tc->ram_base - fr->base)) & PAGE_MASK;
    tc->ram_host = fr->region->ram + fr->offset + (tc->ram_base - fr->base);
    return tc->ram_host + (addr - tc->ram_base);
}

static void *tlb_bus_ram(void *opaque, hwaddr addr)
{
    return tlb_phys_ram(opaque, addr);
}

static uint64_t tlb_bus_load(void *opaque, hwaddr addr, unsigned size)
{
    TcgCpu *tc = opaque;

    return as_load(tc->cpu.machine->mem, addr, size);
}

/* ---- filling ---------------------------------------------------------------- */

bool tlb_canonical(const TcgCpu *tc, uint64_t lin)
{
    unsigned unused = tc->cpu.s.cr4 & CR4_LA57 ? 64 - 57 : 64 - 48;

    return (uint64_t)((int64_t)(lin << unused) >> unused) == lin;
}

static unsigned tlb_bloom(uint64_t page, unsigned bits)
{
    return (page * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - bits);
}

/* A data breakpoint lies in the page of @lin. */
static bool tlb_watched(const TcgCpu *tc, uint64_t lin)
{
    for (unsigned i = 0; i < tc->n_watch; i++) {
        const CpuWatch *w = &tc->watch[i];

        if ((w->addr & PAGE_MASK) <= lin &&
            lin <= ((w->addr + w->len - 1) | ~PAGE_MASK)) {
            return true;
        }
    }
    if (!(tc->dr[7] & 0xff)) {
        return false;
    }
    for (int i = 0; i < 4; i++) {
        if ((tc->dr[7] >> (i * 2) & 3) && (tc->dr[7] >> (16 + i * 4) & 1) &&
            (tc->dr[i] & PAGE_MASK) == (lin & PAGE_MASK)) {
            return true;
        }
    }
    return false;
}

/* Where the bytes of the page are; flags go to entry->phys. */
static void tlb_fill_target(TcgCpu *tc, TlbEntry *e, uint64_t lin,
                            const MmuPage *p)
{
    X86Cpu *c = &tc->cpu;
    const FlatRange *fr;
    void *host;

    e->phys = p->phys;
    if (c->apic_ops && (tc->apic_base & 0xc00) == 0x800 &&
        (tc->apic_base & PAGE_MASK) == p->phys) {
        e->phys |= TLB_APIC | TLB_IO;
        return;
    }
    host = p->phys - tc->ram_base < tc->ram_size
               ? tc->ram_host + (p->phys - tc->ram_base)
               : NULL;
    if (!host || !tcg_page(tc->accel, host)) {
        fr = tlb_phys_range(tc, p->phys);
        if (!fr) {
            e->phys |= TLB_IO;
            return;
        }
        host = fr->region->ram + fr->offset + (p->phys - fr->base);
        tcg_page_add(tc->accel, fr->region->ram, fr->region->size, host);
        if (fr->region->kind == REGION_ROM) {
            e->phys |= TLB_ROM;
        } else {
            tlb_phys_ram(tc, p->phys);
        }
    }
    e->addend = (uintptr_t)host - (lin & PAGE_MASK);
}

/* Writes may go straight to the page, unless it holds code. */
static void tlb_allow_write(TcgCpu *tc, TlbEntry *e, uint64_t lin)
{
    uint64_t tag = lin & PAGE_MASK;
    TcgPage *page = tcg_page(tc->accel, (void *)(uintptr_t)(tag + e->addend));

    /* Either we see is_code, or whoever sets it sees wtlb. */
    __atomic_store_n(&page->wtlb, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&page->is_code, __ATOMIC_SEQ_CST)) {
        e->phys |= TLB_CODE;
        e->wtag = tag | TLB_SLOW;
    } else {
        e->phys &= ~(uint64_t)TLB_CODE;
        e->wtag = tag;
    }
}

static void tlb_log(TlbSlot *slot, MmuCtx ctx, unsigned idx)
{
    if (slot->log_n < TLB_LOG) {
        slot->log[slot->log_n++] = ctx << TLB_BITS | idx;
    } else {
        slot->log_full = true;
    }
}

/* Translates @lin for @access as @ctx and enters it; raises #PF. */
static TlbEntry *tlb_fill(TcgCpu *tc, MmuCtx ctx, uint64_t lin,
                          MmuAccess access)
{
    X86Cpu *c = &tc->cpu;
    TlbSlot *slot = tc->slot;
    TlbEntry *e = tlb_entry(tlb_table(slot, ctx), lin);
    uint64_t tag = lin & PAGE_MASK;
    uint32_t error;
    MmuPage page;

    if (!mmu_walk(&c->s, &tc->bus, &slot->walk, lin, access, ctx, true, &page,
                  &error)) {
        x86_raise_pf(c, lin, error);
    }
    tc->n_fills++;
    if (e->rtag == TLB_NONE && e->wtag == TLB_NONE) {
        tlb_log(slot, ctx, e - slot->ctx[ctx]);
    }
    e->rtag = e->wtag = TLB_NONE;
    tlb_fill_target(tc, e, lin, &page);
    if (page.global) {
        e->phys |= TLB_GLOBAL;
    }
    if (page.shift > PAGE_SHIFT) {
        e->phys |= TLB_LARGE;
        slot->large[0] |= UINT64_C(1) << tlb_bloom(lin >> 22, 6);
        if (page.shift > 22) {
            slot->large[1] |= UINT64_C(1) << tlb_bloom(lin >> 30, 6);
        }
    }
    if (tlb_watched(tc, lin)) {
        e->phys |= TLB_WATCH;
    }
    if (page.prot & MMU_R) {
        e->rtag = e->phys & (TLB_IO | TLB_WATCH) ? tag | TLB_SLOW : tag;
    }
    if (page.prot & MMU_W) {
        if (e->phys & (TLB_IO | TLB_ROM | TLB_WATCH)) {
            e->wtag = tag | TLB_SLOW;
        } else {
            tlb_allow_write(tc, e, lin);
        }
    }
    return e;
}

TlbEntry *tlb_get(TcgCpu *tc, MmuCtx ctx, uint64_t lin, MmuAccess access)
{
    TlbEntry *e = tlb_entry(tlb_table(tc->slot, ctx), lin);
    uint64_t tag = access == MMU_STORE ? e->wtag : e->rtag;

    if ((tag & ~(uint64_t)TLB_SLOW) == (lin & PAGE_MASK)) {
        return e;
    }
    return tlb_fill(tc, ctx, lin, access);
}

/* ---- code -------------------------------------------------------------------- */

const uint8_t *tlb_fetch(TcgCpu *tc, uint64_t lin)
{
    X86Cpu *c = &tc->cpu;
    TlbSlot *slot = tc->slot;
    bool user = tlb_ctx(tc) == MMU_USER;
    TlbFetch *f = &slot->fetch[user ? 0 : 1][(lin >> PAGE_SHIFT) % TLB_FETCH];
    unsigned bit;
    MmuPage page;
    TlbEntry e = { 0 };
    uint32_t error;

    if (f->tag == (lin & PAGE_MASK)) {
        return f->host + (lin & ~PAGE_MASK);
    }
    if (!mmu_walk(&c->s, &tc->bus, &slot->walk, lin, MMU_FETCH,
                  user ? MMU_USER : MMU_KERNEL, true, &page, &error)) {
        x86_raise_pf(c, lin, error);
    }
    tlb_fill_target(tc, &e, lin, &page);
    if (e.phys & TLB_IO) {
        return NULL;
    }
    bit = tlb_bloom(lin >> PAGE_SHIFT, 8);
    slot->fetched[bit / 64] |= UINT64_C(1) << bit % 64;
    if (page.shift > PAGE_SHIFT) {
        slot->large[0] |= UINT64_C(1) << tlb_bloom(lin >> 22, 6);
        if (page.shift > 22) {
            slot->large[1] |= UINT64_C(1) << tlb_bloom(lin >> 30, 6);
        }
    }
    if (!page.global && lin >> 63) {
        tc->high_local = true;
    }
    f->tag = lin & PAGE_MASK;
    f->host = (const uint8_t *)(uintptr_t)(f->tag + e.addend);
    return f->host + (lin & ~PAGE_MASK);
}

uint8_t tlb_fetch_io(TcgCpu *tc, uint64_t lin)
{
    const uint8_t *host = tlb_fetch(tc, lin);
    X86Cpu *c = &tc->cpu;
    uint32_t error;
    MmuPage page;

    if (host) {
        return *host;
    }
    if (!mmu_walk(&c->s, &tc->bus, NULL, lin, MMU_FETCH,
                  tlb_ctx(tc) == MMU_USER ? MMU_USER : MMU_KERNEL, true, &page,
                  &error)) {
        x86_raise_pf(c, lin, error);
    }
    return as_load(c->machine->mem, page.phys | (lin & ~PAGE_MASK), 1);
}

/* ---- flushing ------------------------------------------------------------------ */

/* true: there is something and it stays. */
static bool tlb_drop(TlbEntry *e, bool globals)
{
    if (globals || !(e->phys & TLB_GLOBAL)) {
        e->rtag = e->wtag = TLB_NONE;
    }
    return e->rtag != TLB_NONE || e->wtag != TLB_NONE;
}

/* Block lookups made so far must not be trusted. */
static void tlb_new_gen(TcgCpu *tc, TlbSlot *slot, bool globals)
{
    slot->gen = ++tc->gen;
    if (globals || tc->high_local) {
        tc->gen_high = ++tc->gen;
    }
}

static void tlb_flush_slot(TcgCpu *tc, TlbSlot *slot, bool globals)
{
    unsigned n = slot->log_n;

    slot->log_n = 0;
    if (slot->log_full) {
        slot->log_full = false;
        for (int ctx = 0; ctx < MMU_CTX_COUNT; ctx++) {
            for (int i = 0; slot->ctx[ctx] && i < TLB_SIZE; i++) {
                if (tlb_drop(&slot->ctx[ctx][i], globals)) {
                    tlb_log(slot, ctx, i);
                }
            }
        }
    } else {
        for (unsigned i = 0; i < n; i++) {
            unsigned at = slot->log[i];

            if (tlb_drop(&slot->ctx[at >> TLB_BITS][at & (TLB_SIZE - 1)],
                         globals)) {
                slot->log[slot->log_n++] = at;
            }
        }
    }
    if (globals) {
        slot->large[0] = slot->large[1] = 0;
    }
    for (int user = 0; user < 2; user++) {
        for (int i = 0; i < TLB_FETCH; i++) {
            slot->fetch[user][i].tag = TLB_NONE;
        }
    }
    memset(slot->fetched, 0, sizeof(slot->fetched));
    mmu_cache_clear(&slot->walk);
    tlb_new_gen(tc, slot, globals);
}

void tlb_flush(X86Cpu *c, bool globals)
{
    TcgCpu *tc = tcg_cpu(c);

    for (int i = 0; i < TLB_SLOTS; i++) {
        if (tc->slots[i]) {
            tlb_flush_slot(tc, tc->slots[i], globals);
        }
    }
    if (globals) {
        tc->high_local = false;
    }
    tlb_select(tc);
}

static TlbSlot *tlb_find_slot(TcgCpu *tc, uint16_t pcid)
{
    for (int i = 0; i < TLB_SLOTS; i++) {
        if (tc->slots[i] && tc->slots[i]->used && tc->slots[i]->pcid == pcid) {
            return tc->slots[i];
        }
    }
    return NULL;
}

void tlb_flush_pcid(X86Cpu *c, uint16_t pcid)
{
    TcgCpu *tc = tcg_cpu(c);
    TlbSlot *slot = tlb_find_slot(tc, pcid);

    if (slot) {
        tlb_flush_slot(tc, slot, false);
        tlb_select(tc);
    }
}

/* A slot for a PCID that has none: an empty one, a new one, the oldest. */
static TlbSlot *tlb_take_slot(TcgCpu *tc)
{
    TlbSlot *oldest = NULL;

    for (int i = 0; i < TLB_SLOTS; i++) {
        if (!tc->slots[i]) {
            tc->slots[i] = tlb_slot_new(tc);
            return tc->slots[i];
        }
        if (tc->slots[i] != tc->slot &&
            (!oldest || tc->slots[i]->last_use < oldest->last_use)) {
            oldest = tc->slots[i];
        }
    }
    tlb_flush_slot(tc, oldest, true);
    return oldest;
}

void tlb_cr3_written(X86Cpu *c, bool noflush)
{
    TcgCpu *tc = tcg_cpu(c);
    uint16_t pcid = c->s.cr4 & CR4_PCIDE ? c->s.cr3 & 0xfff : 0;
    TlbSlot *slot = tlb_find_slot(tc, pcid);
    bool known = slot;

    if (!slot) {
        slot = tlb_take_slot(tc);
        slot->pcid = pcid;
        slot->used = true;
    }
    slot->last_use = ++tc->use_count;
    if (slot != tc->slot && tc->high_local) {
        tc->gen_high = ++tc->gen;
    }
    tc->slot = slot;
    if (known && !noflush) {
        tlb_flush_slot(tc, slot, false);
    }
    tlb_select(tc);
}

/* All pieces of the large page around @lin that any context has. */
static void tlb_flush_large(TlbSlot *slot, uint64_t lin, unsigned shift)
{
    for (int ctx = 0; ctx < MMU_CTX_COUNT; ctx++) {
        TlbEntry *table = slot->ctx[ctx];

        for (int i = 0; table && i < TLB_SIZE; i++) {
            uint64_t tag = table[i].rtag & ~(uint64_t)TLB_SLOW;

            if (table[i].rtag == TLB_NONE) {
                tag = table[i].wtag;
            }
            if ((table[i].phys & TLB_LARGE) && (tag ^ lin) >> shift == 0) {
                tlb_drop(&table[i], true);
            }
        }
    }
}

static void tlb_flush_page_slot(TcgCpu *tc, TlbSlot *slot, uint64_t lin)
{
    uint64_t tag = lin & PAGE_MASK;
    unsigned bit = tlb_bloom(lin >> PAGE_SHIFT, 8);
    bool code = slot->fetched[bit / 64] >> bit % 64 & 1;

    for (int ctx = 0; ctx < MMU_CTX_COUNT; ctx++) {
        if (slot->ctx[ctx]) {
            TlbEntry *e = tlb_entry(slot->ctx[ctx], lin);

            if ((e->rtag & PAGE_MASK) == tag || (e->wtag & PAGE_MASK) == tag) {
                tlb_drop(e, true);
            }
        }
    }
    for (int shift = 22; shift <= 30; shift += 8) {
        uint64_t bloom = slot->large[shift == 30];

        if (bloom >> tlb_bloom(lin >> shift, 6) & 1) {
            tlb_flush_large(slot, lin, shift);
            code = true;
        }
    }
    if (code) {
        for (int user = 0; user < 2; user++) {
            for (int i = 0; i < TLB_FETCH; i++) {
                slot->fetch[user][i].tag = TLB_NONE;
            }
        }
        tlb_new_gen(tc, slot, lin >> 63);
    }
    mmu_cache_clear(&slot->walk);
}

void tlb_flush_page(X86Cpu *c, uint64_t lin)
{
    TcgCpu *tc = tcg_cpu(c);

    for (int i = 0; i < TLB_SLOTS; i++) {
        if (tc->slots[i] && tc->slots[i]->used) {
            tlb_flush_page_slot(tc, tc->slots[i], lin);
        }
    }
    tlb_select(tc);
}

void tlb_flush_page_pcid(X86Cpu *c, uint64_t lin, uint16_t pcid)
{
    TcgCpu *tc = tcg_cpu(c);
    TlbSlot *slot = tlb_find_slot(tc, pcid);

    if (slot) {
        tlb_flush_page_slot(tc, slot, lin);
        tlb_select(tc);
    }
}

void tlb_protect(TcgCpu *tc, const uint8_t *host)
{
    uint64_t page = (uintptr_t)host & PAGE_MASK;

    for (int i = 0; i < TLB_SLOTS; i++) {
        TlbSlot *slot = tc->slots[i];

        for (int ctx = 0; slot && ctx < MMU_CTX_COUNT; ctx++) {
            TlbEntry *table = slot->ctx[ctx];

            for (int n = 0; table && n < TLB_SIZE; n++) {
                TlbEntry *e = &table[n];

                /* Only a tag with no low bits lets writes through. */
                if (!(e->wtag & ~PAGE_MASK) && e->wtag + e->addend == page) {
                    e->wtag |= TLB_SLOW;
                    e->phys |= TLB_CODE;
                }
            }
        }
    }
}

void tlb_sync_watch(TcgCpu *tc)
{
    const uint64_t *dr = tc->cpu.s.dr;
    bool same = dr[7] == tc->dr[7];

    for (int i = 0; i < 4 && same; i++) {
        same = dr[i] == tc->dr[i];
    }
    if (!same) {
        memcpy(tc->dr, dr, sizeof(tc->dr));
        tlb_flush(&tc->cpu, true);
    }
}

void tlb_map_changed(TcgCpu *tc)
{
    tc->ram_size = 0;
    tlb_flush(&tc->cpu, true);
}

bool tlb_init(TcgCpu *tc)
{
    tc->bus = (MmuBus) {
        .ram = tlb_bus_ram,
        .load = tlb_bus_load,
        .opaque = tc,
        .phys_bits = 40,
        .page1gb = true,
    };
    tc->slot = tc->slots[0] = tlb_slot_new(tc);
    tc->slot->used = true;
    tc->gen_high = ++tc->gen;
    tlb_select(tc);
    return true;
}

void tlb_fini(TcgCpu *tc)
{
    for (int i = 0; i < TLB_SLOTS; i++) {
        for (int ctx = 0; tc->slots[i] && ctx < MMU_CTX_COUNT; ctx++) {
            g_free(tc->slots[i]->ctx[ctx]);
        }
        g_free(tc->slots[i]);
        tc->slots[i] = NULL;
    }
}
