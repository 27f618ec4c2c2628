/*
 * Guest memory for the software CPU: the inline fast path.
 *
 * A hit is one compare. The tag has the page's address and no low bits, so an
 * access that runs into the next page, a page that is not plain RAM, a page
 * with code under a write, and an address that is not canonical all miss.
 */
#ifndef ACCEL_TCG_TLB_H
#define ACCEL_TCG_TLB_H

#include "accel/tcg/tcg.h"
#include "target-x86/access.h"

static inline TlbEntry *tlb_entry(TlbEntry *table, uint64_t lin)
{
    return &table[(lin >> PAGE_SHIFT) & (TLB_SIZE - 1)];
}

/* Host address of @size bytes to read, NULL: take the slow path. */
static inline void *tlb_read(TcgCpu *tc, uint64_t lin, unsigned size)
{
    const TlbEntry *e = tlb_entry(tc->tlb, lin);

    if (likely(e->rtag == ((lin + size - 1) & PAGE_MASK))) {
        return (void *)(uintptr_t)(lin + e->addend);
    }
    return NULL;
}

/* ... to write, or to read and write. */
static inline void *tlb_write(TcgCpu *tc, uint64_t lin, unsigned size)
{
    const TlbEntry *e = tlb_entry(tc->tlb, lin);

    if (likely(e->wtag == ((lin + size - 1) & PAGE_MASK))) {
        return (void *)(uintptr_t)(lin + e->addend);
    }
    return NULL;
}

bool tlb_init(TcgCpu *tc);
void tlb_fini(TcgCpu *tc);
/* tc->tlb and tc->vtag for cpu.mode.key. */
void tlb_select(TcgCpu *tc);

/* ---- for access.c -------------------------------------------------------- */

/* Of the current mode. */
MmuCtx tlb_ctx(const TcgCpu *tc);
TlbEntry *tlb_table(TlbSlot *slot, MmuCtx ctx);
/* The entry for an access in one page that missed the fast path: translates
 * if need be, raises #PF. */
TlbEntry *tlb_get(TcgCpu *tc, MmuCtx ctx, uint64_t lin, MmuAccess access);

/* ---- code ----------------------------------------------------------------- */

/*
 * Host address of the code at linear address @lin, up to the end of its page;
 * NULL: it is not memory. Raises #PF.
 */
const uint8_t *tlb_fetch(TcgCpu *tc, uint64_t lin);
/* A byte of code that is not in memory. */
uint8_t tlb_fetch_io(TcgCpu *tc, uint64_t lin);
/* @lin is canonical in the current mode. */
bool tlb_canonical(const TcgCpu *tc, uint64_t lin);

/* ---- devices ---------------------------------------------------------------- */

/*
 * Reads 1 to 8 bytes at linear address @lin, whose flat access was found to
 * miss, if the TLB has it as a device's and nothing else is to be looked at.
 * c->insn is set: it may raise as the instruction does. false: nothing done.
 */
bool tlb_read_device(TcgCpu *tc, uint64_t lin, unsigned size, uint64_t *v);

/* ---- maintenance ---------------------------------------------------------- */

/* No TLB of this vCPU writes to the page at @host any more without looking.
 * vCPU's thread, or no vCPU running. */
void tlb_protect(TcgCpu *tc, const uint8_t *host);
/* A new look at DR0-3 and DR7. */
void tlb_sync_watch(TcgCpu *tc);
/* The memory map changed. */
void tlb_map_changed(TcgCpu *tc);

#endif
