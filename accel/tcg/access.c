/*
 * target-x86/access.h for the software CPU: segments, then the TLB, then what
 * the TLB does not do: page-crossing accesses, devices, code under a write,
 * watchpoints.
 *
 * An access that spans two pages has both translated before a byte of either
 * is read or written.
 */
#include "util/osdep.h"
#include "util/bits.h"
#include "accel/cpus.h"
#include "accel/tcg/tlb.h"
#include "accel/tcg/tb.h"
#include "system/host-kernel.h"

static MmuCtx access_ctx(const TcgCpu *tc, LinAs as)
{
    switch (as) {
    case LIN_USER:
        return MMU_USER;
    case LIN_SYS:
        return MMU_KERNEL;
    case LIN_KERNEL:
        return tlb_ctx(tc) == MMU_KERNEL_AC ? MMU_KERNEL_AC : MMU_KERNEL;
    default:
        return tlb_ctx(tc);
    }
}

/* ---- watchpoints. SDM 3B, 17.2 ----------------------------------------------- */

static void access_watch(TcgCpu *tc, uint64_t lin, uint64_t len, bool write)
{
    static const uint8_t lens[] = { 1, 2, 8, 4 };

    for (int i = 0; i < 4; i++) {
        unsigned rw = tc->dr[7] >> (16 + i * 4) & 3;
        uint64_t size = lens[tc->dr[7] >> (18 + i * 4) & 3];
        uint64_t at = tc->dr[i] & ~(size - 1);

        if ((tc->dr[7] >> (i * 2) & 3) && (rw == 3 || (rw == 1 && write)) &&
            lin < at + size && at < lin + len) {
            tc->dr6_hit |= UINT64_C(1) << i;
        }
    }
    for (unsigned i = 0; i < tc->n_watch; i++) {
        const CpuWatch *w = &tc->watch[i];

        if ((write ? w->write : w->read) && lin < w->addr + w->len &&
            w->addr < lin + len) {
            tc->cpu.watch_hit = i + 1;
        }
    }
}

static void access_watch_io(TcgCpu *tc, uint16_t port, unsigned len)
{
    static const uint8_t lens[] = { 1, 2, 8, 4 };

    if (!(tc->cpu.s.cr4 & CR4_DE) || !(tc->dr[7] & 0xff)) {
        return;
    }
    for (int i = 0; i < 4; i++) {
        uint64_t size = lens[tc->dr[7] >> (18 + i * 4) & 3];
        uint64_t at = tc->dr[i] & ~(size - 1);

        if ((tc->dr[7] >> (i * 2) & 3) &&
            (tc->dr[7] >> (16 + i * 4) & 3) == 2 && port < at + size &&
            at < (uint64_t)port + len) {
            tc->dr6_hit |= UINT64_C(1) << i;
        }
    }
}

/* ---- one page ------------------------------------------------------------------ */

static inline void *access_host(const TlbEntry *e, uint64_t lin)
{
    return (void *)(uintptr_t)(lin + e->addend);
}

/* The kernel's device: the other engine reaches it. */
static G_GNUC_NO_INLINE void access_in_kernel(TcgCpu *tc, AddressSpace *as,
                                              hwaddr addr)
{
    const FlatRange *fr = as_find(as, addr);

    if (fr && fr->region->in_kernel) {
        tc->cpu.leave_burst(&tc->cpu);
    }
}

/* A device may have changed the map, or asked for something: the map at once,
 * the rest at the end of the block. */
static void access_after_io(TcgCpu *tc)
{
    if (unlikely(__atomic_load_n(&tc->flush_map, __ATOMIC_RELAXED)) &&
        __atomic_exchange_n(&tc->flush_map, false, __ATOMIC_ACQ_REL)) {
        tlb_map_changed(tc);
    }
}

static void access_check_kernel(TcgCpu *tc, const TlbEntry *e, hwaddr phys)
{
    if (e->phys & TLB_APIC) {
        tc->cpu.leave_burst(&tc->cpu);
    } else {
        access_in_kernel(tc, tc->cpu.machine->mem, phys);
    }
}

static void access_io_read(TcgCpu *tc, const TlbEntry *e, uint64_t lin,
                           void *buf, unsigned len)
{
    X86Cpu *c = &tc->cpu;
    hwaddr phys = (e->phys & PAGE_MASK) | (lin & ~PAGE_MASK);
    uint64_t v;

    if (unlikely(host_has_lapic(c->machine))) {
        access_check_kernel(tc, e, phys);
    }

    if (e->phys & TLB_APIC) {
        machine_lock(c->machine);
        v = c->apic_ops->mmio_read(c, lin & ~PAGE_MASK, len);
        machine_unlock(c->machine);
        memcpy(buf, &v, MIN(len, sizeof(v)));
    } else if (is_pow2(len) && len <= 8) {
        v = as_load(c->machine->mem, phys, len);
        memcpy(buf, &v, len);
    } else {
        as_read(c->machine->mem, phys, buf, len);
    }
    access_after_io(tc);
}

static void access_io_write(TcgCpu *tc, const TlbEntry *e, uint64_t lin,
                            const void *buf, unsigned len)
{
    X86Cpu *c = &tc->cpu;
    hwaddr phys = (e->phys & PAGE_MASK) | (lin & ~PAGE_MASK);
    uint64_t v = 0;

    if (unlikely(host_has_lapic(c->machine))) {
        access_check_kernel(tc, e, phys);
    }
    memcpy(&v, buf, MIN(len, sizeof(v)));
    if (e->phys & TLB_APIC) {
        machine_lock(c->machine);
        c->apic_ops->mmio_write(c, lin & ~PAGE_MASK, v, len);
        machine_unlock(c->machine);
    } else if (is_pow2(len) && len <= 8) {
        as_store(c->machine->mem, phys, v, len);
    } else {
        as_write(c->machine->mem, phys, buf, len);
    }
    access_after_io(tc);
}

/* Reads through an entry that allows it, fast or slow. */
static void access_read(TcgCpu *tc, const TlbEntry *e, uint64_t lin, void *buf,
                        unsigned len)
{
    if (unlikely(e->phys & TLB_WATCH)) {
        access_watch(tc, lin, len, false);
    }
    if (e->phys & TLB_IO) {
        access_io_read(tc, e, lin, buf, len);
    } else {
        memcpy(buf, access_host(e, lin), len);
    }
}

bool tlb_read_device(TcgCpu *tc, uint64_t lin, unsigned size, uint64_t *v)
{
    const TlbEntry *e = tlb_entry(tc->tlb, lin);

    if (e->rtag != (((lin + size - 1) & PAGE_MASK) | TLB_SLOW) ||
        (lin & ~PAGE_MASK) + size > PAGE_SIZE ||
        (e->phys & (TLB_IO | TLB_WATCH)) != TLB_IO) {
        return false;
    }
    *v = 0;
    access_io_read(tc, e, lin, v, size);
    return true;
}

/* Code may have been written. */
static void access_wrote_code(TcgCpu *tc, TlbEntry *e, const uint8_t *host,
                              uint64_t len)
{
    TcgPage *page = tcg_page(tc->accel, host);

    if (page && tb_written(tc, page, host, len) && e &&
        (e->phys & (TLB_CODE | TLB_WATCH)) == TLB_CODE) {
        /* As in tlb_fill(). */
        __atomic_store_n(&page->wtlb, 1, __ATOMIC_SEQ_CST);
        if (!__atomic_load_n(&page->is_code, __ATOMIC_SEQ_CST)) {
            e->phys &= ~(uint64_t)TLB_CODE;
            e->wtag &= ~(uint64_t)TLB_SLOW;
        }
    }
}

static void access_write(TcgCpu *tc, TlbEntry *e, uint64_t lin, const void *buf,
                         unsigned len)
{
    uint8_t *host;

    if (unlikely(e->phys & TLB_WATCH)) {
        access_watch(tc, lin, len, true);
    }
    if (e->phys & (TLB_IO | TLB_ROM)) {
        access_io_write(tc, e, lin, buf, len);
        return;
    }
    host = access_host(e, lin);
    switch (len) { /* in one piece: others may look */
    case 1:
        *host = *(const uint8_t *)buf;
        break;
    case 2:
        memcpy(host, buf, 2);
        break;
    case 4:
        memcpy(host, buf, 4);
        break;
    case 8:
        memcpy(host, buf, 8);
        break;
    default:
        memcpy(host, buf, len);
    }
    if (e->phys & (TLB_CODE | TLB_WATCH)) {
        access_wrote_code(tc, e, host, len);
    }
}

/* ---- any linear address ---------------------------------------------------------- */

/* The linear address @len behind @lin: it wraps outside 64-bit mode, where
 * addresses above 4 GiB are the descriptor tables' only. */
static uint64_t access_next(const TcgCpu *tc, uint64_t lin, uint64_t len)
{
    return tc->cpu.mode.code64 || lin > UINT32_MAX ? lin + len
                                                   : (uint32_t)(lin + len);
}

static void access_load(TcgCpu *tc, MmuCtx ctx, uint64_t lin, void *buf,
                        unsigned len)
{
    unsigned first = PAGE_SIZE - (lin & ~PAGE_MASK);
    TlbEntry *e, copy;
    uint64_t lin2;

    if (len <= first) {
        access_read(tc, tlb_get(tc, ctx, lin, MMU_LOAD), lin, buf, len);
        return;
    }
    /* The second fill may take the place of nothing but another slot's entry;
     * a device read may flush everything. */
    copy = *tlb_get(tc, ctx, lin, MMU_LOAD);
    lin2 = access_next(tc, lin, first);
    e = tlb_get(tc, ctx, lin2, MMU_LOAD);
    access_read(tc, &copy, lin, buf, first);
    access_read(tc, e, lin2, (uint8_t *)buf + first, len - first);
}

static void access_store(TcgCpu *tc, MmuCtx ctx, uint64_t lin, const void *buf,
                         unsigned len)
{
    unsigned first = PAGE_SIZE - (lin & ~PAGE_MASK);
    TlbEntry *e, copy;
    uint64_t lin2;

    if (len <= first) {
        access_write(tc, tlb_get(tc, ctx, lin, MMU_STORE), lin, buf, len);
        return;
    }
    copy = *tlb_get(tc, ctx, lin, MMU_STORE);
    lin2 = access_next(tc, lin, first);
    e = tlb_get(tc, ctx, lin2, MMU_STORE);
    access_write(tc, &copy, lin, buf, first);
    access_write(tc, e, lin2, (const uint8_t *)buf + first, len - first);
}

static void access_probe(TcgCpu *tc, MmuCtx ctx, uint64_t lin, uint64_t len,
                         bool write)
{
    uint64_t first = PAGE_SIZE - (lin & ~PAGE_MASK);

    tlb_get(tc, ctx, lin, write ? MMU_STORE : MMU_LOAD);
    while (len > first) {
        len -= first;
        lin = access_next(tc, lin, first);
        first = PAGE_SIZE;
        tlb_get(tc, ctx, lin, write ? MMU_STORE : MMU_LOAD);
    }
}

static G_GNUC_NO_INLINE uint64_t access_load_slow(TcgCpu *tc, MmuCtx ctx,
                                                  uint64_t lin, unsigned size)
{
    uint64_t v = 0;

    access_load(tc, ctx, lin, &v, size);
    return v;
}

/* ---- segments ---------------------------------------------------------------------- */

static G_NORETURN void access_seg_fault(X86Cpu *c, unsigned seg)
{
    x86_raise_err(c, seg == S_SS ? EXC_SS : EXC_GP, 0);
}

/* Is [off, off + len) inside the segment? SDM 3A, 5.3. */
static bool access_in_limit(const X86Seg *sg, uint64_t off, uint64_t len)
{
    if ((sg->attr & (SEG_S | SEG_CODE | SEG_CE)) == (SEG_S | SEG_CE)) {
        uint64_t top = sg->attr & SEG_DB ? UINT32_MAX : 0xffff;

        return off > sg->limit && off <= top && len - 1 <= top - off;
    }
    if (sg->limit == UINT32_MAX) {
        return true; /* wraps at 4 GiB */
    }
    return off <= sg->limit && len - 1 <= sg->limit - off;
}

/* May the segment be read or written at all? SDM 3A, 5.5 to 5.7. */
static bool access_allowed(const X86Cpu *c, const X86Seg *sg, bool write)
{
    if (!c->mode.protected_mode) {
        return true;
    }
    if (sg->unusable || !(sg->attr & SEG_P)) {
        return false;
    }
    if (sg->attr & SEG_CODE) {
        return !write && (sg->attr & SEG_RW);
    }
    return !write || (sg->attr & SEG_RW);
}

uint64_t seg_linear(X86Cpu *c, unsigned seg, uint64_t off, size_t len,
                    bool write)
{
    const X86Seg *sg = &c->s.seg[seg];

    if (c->mode.code64) {
        uint64_t lin = seg >= S_FS ? off + sg->base : off;

        if (!tlb_canonical(tcg_cpu(c), lin) ||
            !tlb_canonical(tcg_cpu(c), lin + len - 1)) {
            access_seg_fault(c, seg);
        }
        return lin;
    }
    if (!access_allowed(c, sg, write) || !access_in_limit(sg, off, len)) {
        access_seg_fault(c, seg);
    }
    return (uint32_t)(sg->base + off);
}

/* The linear address if no check can fail but those the TLB makes. */
static inline bool access_flat(const X86Cpu *c, unsigned seg, uint64_t off,
                               uint64_t *lin)
{
    if (c->mode.code64) {
        *lin = seg >= S_FS ? off + c->s.seg[seg].base : off;
        return true;
    }
    *lin = (uint32_t)off;
    return c->mode.flat && seg < S_FS && seg != S_CS;
}

/* SDM 3A, 6.15, interrupt 17. */
static inline void access_align(X86Cpu *c, uint64_t lin, unsigned size)
{
    if (unlikely(c->mode.key & MODE_AC) && (lin & (size - 1))) {
        x86_raise_err(c, EXC_AC, 0);
    }
}

static inline uint64_t access_get(const void *p, unsigned size)
{
    switch (size) {
    case 1:
        return *(const uint8_t *)p;
    case 2:
        return ld_le16(p);
    case 4:
        return ld_le32(p);
    default:
        return ld_le64(p);
    }
}

static inline void access_put(void *p, uint64_t v, unsigned size)
{
    switch (size) {
    case 1:
        *(uint8_t *)p = v;
        break;
    case 2:
        st_le16(p, v);
        break;
    case 4:
        st_le32(p, v);
        break;
    default:
        st_le64(p, v);
    }
}

uint64_t mem_ld(X86Cpu *c, unsigned seg, uint64_t off, unsigned size)
{
    TcgCpu *tc = tcg_cpu(c);
    uint64_t lin;
    void *p;

    if (likely(access_flat(c, seg, off, &lin))) {
        p = tlb_read(tc, lin, size);
        if (likely(p && !(c->mode.key & MODE_AC))) {
            return access_get(p, size);
        }
    }
    lin = seg_linear(c, seg, off, size, false);
    access_align(c, lin, size);
    return access_load_slow(tc, tlb_ctx(tc), lin, size);
}

uint64_t mem_ld_rmw(X86Cpu *c, unsigned seg, uint64_t off, unsigned size)
{
    TcgCpu *tc = tcg_cpu(c);
    uint64_t lin;
    void *p;

    if (likely(access_flat(c, seg, off, &lin))) {
        p = tlb_write(tc, lin, size);
        if (likely(p && !(c->mode.key & MODE_AC))) {
            return access_get(p, size);
        }
    }
    lin = seg_linear(c, seg, off, size, true);
    access_align(c, lin, size);
    access_probe(tc, tlb_ctx(tc), lin, size, true);
    return access_load_slow(tc, tlb_ctx(tc), lin, size);
}

void mem_st(X86Cpu *c, unsigned seg, uint64_t off, uint64_t v, unsigned size)
{
    TcgCpu *tc = tcg_cpu(c);
    uint64_t lin;
    void *p;

    if (likely(access_flat(c, seg, off, &lin))) {
        p = tlb_write(tc, lin, size);
        if (likely(p && !(c->mode.key & MODE_AC))) {
            access_put(p, v, size);
            return;
        }
    }
    lin = seg_linear(c, seg, off, size, true);
    access_align(c, lin, size);
    access_store(tc, tlb_ctx(tc), lin, &v, size);
}

void mem_ld_buf(X86Cpu *c, unsigned seg, uint64_t off, void *buf, size_t len)
{
    TcgCpu *tc = tcg_cpu(c);
    uint64_t lin;
    void *p;

    if (likely(access_flat(c, seg, off, &lin))) {
        p = tlb_read(tc, lin, len);
        if (likely(p)) {
            if (len == 16) {
                memcpy(buf, p, 16);
            } else if (len == 32) {
                memcpy(buf, p, 32);
            } else {
                memcpy(buf, p, len);
            }
            return;
        }
    }
    lin = seg_linear(c, seg, off, len, false);
    access_load(tc, tlb_ctx(tc), lin, buf, len);
}

void mem_st_buf(X86Cpu *c, unsigned seg, uint64_t off, const void *buf,
                size_t len)
{
    TcgCpu *tc = tcg_cpu(c);
    uint64_t lin;
    void *p;

    if (likely(access_flat(c, seg, off, &lin))) {
        p = tlb_write(tc, lin, len);
        if (likely(p)) {
            if (len == 16) {
                memcpy(p, buf, 16);
            } else if (len == 32) {
                memcpy(p, buf, 32);
            } else {
                memcpy(p, buf, len);
            }
            return;
        }
    }
    lin = seg_linear(c, seg, off, len, true);
    access_store(tc, tlb_ctx(tc), lin, buf, len);
}

void mem_probe(X86Cpu *c, unsigned seg, uint64_t off, size_t len, bool write)
{
    TcgCpu *tc = tcg_cpu(c);
    uint64_t lin;

    if (access_flat(c, seg, off, &lin) &&
        (write ? tlb_write(tc, lin, len) : tlb_read(tc, lin, len))) {
        return;
    }
    lin = seg_linear(c, seg, off, len, write);
    access_probe(tc, tlb_ctx(tc), lin, len, write);
}

/* ---- atomic ------------------------------------------------------------------------- */

void *mem_atomic(X86Cpu *c, unsigned seg, uint64_t off, unsigned size)
{
    TcgCpu *tc = tcg_cpu(c);
    TlbEntry *e;
    uint64_t lin;
    uint8_t *host;

    if (likely(access_flat(c, seg, off, &lin))) {
        host = tlb_write(tc, lin, size);
        if (likely(host && !(c->mode.key & MODE_AC))) {
            return host;
        }
    }
    lin = seg_linear(c, seg, off, size, true);
    access_align(c, lin, MIN(size, 8));
    if ((lin & ~PAGE_MASK) + size > PAGE_SIZE) {
        access_probe(tc, tlb_ctx(tc), lin, size, true);
        return NULL;
    }
    e = tlb_get(tc, tlb_ctx(tc), lin, MMU_STORE);
    if (e->phys & (TLB_IO | TLB_ROM | TLB_WATCH)) {
        return NULL;
    }
    host = access_host(e, lin);
    if (e->phys & TLB_CODE) {
        if (c->machine->ncpus > 1) {
            return NULL; /* another vCPU could decode it before we write */
        }
        access_wrote_code(tc, e, host, size);
    }
    return host;
}

void mem_exclusive_begin(X86Cpu *c)
{
    if (c->machine->ncpus > 1) {
        cpus_exclusive_begin(c);
        tcg_cpu(c)->exclusive = true;
    }
}

void mem_exclusive_end(X86Cpu *c)
{
    if (tcg_cpu(c)->exclusive) {
        tcg_cpu(c)->exclusive = false;
        cpus_exclusive_end(c);
    }
}

/* ---- strings -------------------------------------------------------------------------- */

/* Bytes inside the segment from the element at @off on, in @dir. */
static uint64_t access_run_limit(const X86Seg *sg, uint64_t off, unsigned size,
                                 int dir)
{
    bool down = (sg->attr & (SEG_S | SEG_CODE | SEG_CE)) == (SEG_S | SEG_CE);
    uint64_t top = !down ? sg->limit : sg->attr & SEG_DB ? UINT32_MAX : 0xffff;

    if (dir > 0) {
        return top - off + 1;
    }
    return down ? off + size - sg->limit - 1 : off + size;
}

uint8_t *mem_run(X86Cpu *c, unsigned seg, uint64_t off, unsigned size, int dir,
                 bool write, uint64_t *avail)
{
    TcgCpu *tc = tcg_cpu(c);
    bool flat;
    uint8_t *host = NULL;
    uint64_t lin;

    flat = access_flat(c, seg, off, &lin);
    if (likely(flat)) {
        host = write ? tlb_write(tc, lin, size) : tlb_read(tc, lin, size);
    }
    if (!host) {
        TlbEntry *e;

        lin = seg_linear(c, seg, off, size, write);
        if ((lin & ~PAGE_MASK) + size > PAGE_SIZE) {
            return NULL;
        }
        e = tlb_get(tc, tlb_ctx(tc), lin, write ? MMU_STORE : MMU_LOAD);
        if (e->phys & (TLB_IO | TLB_WATCH | (write ? TLB_ROM : 0))) {
            return NULL;
        }
        host = access_host(e, lin);
    }
    if (unlikely(c->mode.key & MODE_AC) && (lin & (size - 1))) {
        return NULL;
    }
    *avail =
        dir > 0 ? PAGE_SIZE - (lin & ~PAGE_MASK) : (lin & ~PAGE_MASK) + size;
    if (!flat) {
        *avail = MIN(*avail, access_run_limit(&c->s.seg[seg], off, size, dir));
    }
    return host;
}

void mem_run_wrote(X86Cpu *c, uint8_t *host, uint64_t len)
{
    TcgCpu *tc = tcg_cpu(c);
    TcgPage *page = tcg_page(tc->accel, host);

    if (page && __atomic_load_n(&page->is_code, __ATOMIC_RELAXED)) {
        tb_written(tc, page, host, len);
    }
}

/* ---- linear ---------------------------------------------------------------------------- */

static void access_check_canonical(TcgCpu *tc, uint64_t lin, uint64_t len)
{
    X86Cpu *c = &tc->cpu;

    if ((c->s.efer & EFER_LMA) &&
        (!tlb_canonical(tc, lin) || !tlb_canonical(tc, lin + len - 1))) {
        x86_raise_err(c, EXC_GP, 0);
    }
}

uint64_t lin_ld(X86Cpu *c, uint64_t lin, unsigned size, LinAs as)
{
    TcgCpu *tc = tcg_cpu(c);
    MmuCtx ctx = access_ctx(tc, as);
    const TlbEntry *e = tlb_entry(tlb_table(tc->slot, ctx), lin);

    if (likely(e->rtag == ((lin + size - 1) & PAGE_MASK))) {
        return access_get(access_host(e, lin), size);
    }
    access_check_canonical(tc, lin, size);
    return access_load_slow(tc, ctx, lin, size);
}

void lin_st(X86Cpu *c, uint64_t lin, uint64_t v, unsigned size, LinAs as)
{
    TcgCpu *tc = tcg_cpu(c);
    MmuCtx ctx = access_ctx(tc, as);
    const TlbEntry *e = tlb_entry(tlb_table(tc->slot, ctx), lin);

    if (likely(e->wtag == ((lin + size - 1) & PAGE_MASK))) {
        access_put(access_host(e, lin), v, size);
        return;
    }
    access_check_canonical(tc, lin, size);
    access_store(tc, ctx, lin, &v, size);
}

void lin_probe(X86Cpu *c, uint64_t lin, size_t len, bool write, LinAs as)
{
    TcgCpu *tc = tcg_cpu(c);

    access_check_canonical(tc, lin, len);
    access_probe(tc, access_ctx(tc, as), lin, len, write);
}

/* ---- ports ------------------------------------------------------------------------------ */

uint64_t io_ld(X86Cpu *c, uint16_t port, unsigned size)
{
    TcgCpu *tc = tcg_cpu(c);
    uint64_t v;

    if (unlikely(c->mode.slow)) {
        access_watch_io(tc, port, size);
    }
    if (unlikely(host_has_irqchip(c->machine))) {
        access_in_kernel(tc, c->machine->io, port);
    }
    v = as_load(c->machine->io, port, size);
    access_after_io(tc);
    return v;
}

void io_st(X86Cpu *c, uint16_t port, uint64_t v, unsigned size)
{
    TcgCpu *tc = tcg_cpu(c);

    if (unlikely(c->mode.slow)) {
        access_watch_io(tc, port, size);
    }
    if (unlikely(host_has_irqchip(c->machine))) {
        access_in_kernel(tc, c->machine->io, port);
    }
    as_store(c->machine->io, port, v, size);
    access_after_io(tc);
}
