/*
 * Guest memory for the kernel: every piece of RAM and ROM in the flat map is a
 * memory slot, as far as it covers whole pages. What is in no slot comes back
 * as an MMIO exit, which works for RAM too, only slowly.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "accel/kvm/kvm.h"
#include "util/log.h"

static bool slot_set(KvmAccel *a, unsigned n, const KvmSlot *s, uint64_t size)
{
    struct kvm_userspace_memory_region r = {
        .slot = n,
        .flags = size ? s->flags : 0,
        .guest_phys_addr = s->base,
        .memory_size = size,
        .userspace_addr = (uintptr_t)s->host,
    };

    log_mask(LOG_KVM,
             "kvm: slot %u: guest_phys_addr=%" PRIx64 " memory_size=%" PRIx64
             " userspace_addr=%p%s%s\n",
             n, s->base, size, (void *)s->host,
             s->flags & KVM_MEM_READONLY ? " KVM_MEM_READONLY" : "",
             s->flags & KVM_MEM_LOG_DIRTY_PAGES ? " KVM_MEM_LOG_DIRTY_PAGES"
                                                : "");
    if (KVM_CALL(a->vm, KVM_SET_USER_MEMORY_REGION, &r) < 0) {
        error_report("kvm: memory slot %u (%" PRIx64 ", %" PRIu64
                     " KiB): %s; accesses there will be slow",
                     n, s->base, size / KIB, strerror(errno));
        return false;
    }
    return true;
}

static void slot_drop(KvmAccel *a, unsigned n)
{
    slot_set(a, n, &a->slot[n], 0);
    a->slot[n].used = false;
}

static void slot_add(KvmAccel *a, const KvmSlot *s)
{
    unsigned n = 0;

    while (n < a->n_slots && a->slot[n].used) {
        n++;
    }
    if (n == a->caps.slots - 1) { /* the last is kvm_memory_rewalk()'s */
        error_report("kvm: out of memory slots (%u)", a->caps.slots);
        return;
    }
    if (n == a->n_slots) {
        a->n_slots++;
        a->slot = g_renew(KvmSlot, a->slot, a->n_slots);
    }
    a->slot[n] = *s;
    a->slot[n].used = slot_set(a, n, s, s->size);
}

/* The whole pages of @fr; false: there are none, or it is a device. */
static bool slot_of_range(const KvmAccel *a, const FlatRange *fr, KvmSlot *s)
{
    const Region *r = fr->region;
    hwaddr skip = -fr->base & (PAGE_SIZE - 1);
    bool rom = r->kind == REGION_ROM;

    if ((r->kind != REGION_RAM && !rom) || fr->size < skip + PAGE_SIZE ||
        (rom && !a->caps.readonly_mem)) {
        return false;
    }
    *s = (KvmSlot) {
        .base = fr->base + skip,
        .size = (fr->size - skip) & PAGE_MASK,
        .host = r->ram + fr->offset + skip,
        .flags = rom ? KVM_MEM_READONLY : 0,
    };
    return !((uintptr_t)s->host & (PAGE_SIZE - 1));
}

static bool slot_same(const KvmSlot *a, const KvmSlot *b)
{
    return a->base == b->base && a->size == b->size && a->host == b->host &&
           ((a->flags ^ b->flags) & KVM_MEM_READONLY) == 0;
}

static bool slot_wanted(const KvmAccel *a, const KvmSlot *s, const FlatMap *map)
{
    KvmSlot w;

    for (unsigned i = 0; i < map->n; i++) {
        if (slot_of_range(a, &map->range[i], &w) && slot_same(s, &w)) {
            return true;
        }
    }
    return false;
}

static bool slot_there(const KvmAccel *a, const KvmSlot *s)
{
    for (unsigned i = 0; i < a->n_slots; i++) {
        if (a->slot[i].used && slot_same(&a->slot[i], s)) {
            return true;
        }
    }
    return false;
}

/* What goes first: slots must not overlap at any time. */
void kvm_memory_map_changed(Accel *accel, const FlatMap *map)
{
    KvmAccel *a = container_of(accel, KvmAccel, accel);
    KvmSlot s;

    for (unsigned i = 0; i < a->n_slots; i++) {
        if (a->slot[i].used && !slot_wanted(a, &a->slot[i], map)) {
            slot_drop(a, i);
        }
    }
    for (unsigned i = 0; i < map->n; i++) {
        if (slot_of_range(a, &map->range[i], &s) && !slot_there(a, &s)) {
            slot_add(a, &s);
        }
    }
    kvm_ioevent_map_changed(a, map, false);
    tcg_accel.map_changed(&a->soft->accel, map);
}

/* ---- dirty pages ----------------------------------------------------------------- */

static bool slot_log_dirty(KvmAccel *a, unsigned n)
{
    KvmSlot *s = &a->slot[n];

    if (s->flags & KVM_MEM_LOG_DIRTY_PAGES) {
        return true;
    }
    s->flags |= KVM_MEM_LOG_DIRTY_PAGES;
    return slot_set(a, n, s, s->size);
}

static void dirty_set(unsigned long *bitmap, uint64_t page)
{
    unsigned bits = 8 * sizeof(*bitmap);

    bitmap[page / bits] |= 1ul << (page % bits);
}

/* The first call for a slot turns its log on and reports all of it. */
static void slot_dirty(KvmAccel *a, unsigned n, uint64_t first,
                       unsigned long *bitmap)
{
    KvmSlot *s = &a->slot[n];
    uint64_t pages = s->size >> PAGE_SHIFT;
    bool logged = s->flags & KVM_MEM_LOG_DIRTY_PAGES;
    g_autofree uint64_t *bits = g_new0(uint64_t, (pages + 63) / 64);
    struct kvm_dirty_log log = { .slot = n, .dirty_bitmap = bits };

    if (!logged || KVM_CALL(a->vm, KVM_GET_DIRTY_LOG, &log) < 0) {
        memset(bits, 0xff, (pages + 63) / 64 * sizeof(*bits));
        slot_log_dirty(a, n);
    }
    for (uint64_t i = 0; i < pages; i++) {
        if (bits[i / 64] >> (i % 64) & 1) {
            dirty_set(bitmap, first + i);
        }
    }
}

void kvm_memory_dirty_sync(Accel *accel, Region *ram, unsigned long *bitmap)
{
    KvmAccel *a = container_of(accel, KvmAccel, accel);

    for (unsigned i = 0; i < a->n_slots; i++) {
        const KvmSlot *s = &a->slot[i];
        uint64_t off = s->host - ram->ram;

        if (s->used && off < ram->size && !(s->flags & KVM_MEM_READONLY)) {
            slot_dirty(a, i, off >> PAGE_SHIFT, bitmap);
        }
    }
}

/* ---- shadow page tables ----------------------------------------------------------- */

/*
 * Without a second level of page tables (EPT, NPT) the kernel keeps a copy of
 * the guest's, and notices by write protection when the guest changes them. Our
 * writes it does not notice: those of a burst, of loadvm. A memory slot that
 * goes away makes it forget the copy; this one is next to the identity map,
 * where no guest has anything.
 */
void kvm_memory_rewalk(KvmAccel *a)
{
    static uint8_t page[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));
    struct kvm_userspace_memory_region r = {
        .slot = a->caps.slots - 1,
        .guest_phys_addr = KVM_REWALK_ADDR,
        .memory_size = PAGE_SIZE,
        .flags = a->caps.readonly_mem ? KVM_MEM_READONLY : 0,
        .userspace_addr = (uintptr_t)page,
    };

    if (!a->caps.shadow_mmu) {
        return;
    }
    if (KVM_CALL(a->vm, KVM_SET_USER_MEMORY_REGION, &r) == 0) {
        r.memory_size = 0;
        KVM_CALL(a->vm, KVM_SET_USER_MEMORY_REGION, &r);
    }
}

void kvm_memory_close(KvmAccel *a)
{
    for (unsigned i = 0; i < a->n_slots; i++) {
        if (a->slot[i].used) {
            slot_drop(a, i);
        }
    }
    g_free(a->slot);
}
