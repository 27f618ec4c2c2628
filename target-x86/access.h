/*
 * How instructions touch guest memory and ports, and how they fault.
 *
 * Implemented by accel/tcg (tlb.c, tcg.c), or by a test. All of it runs in the
 * vCPU's thread without the machine lock. Every function may leave through
 * x86_raise(), so callers hold no locks or allocations, and make every check
 * of a multi-access instruction before its first commit (mem_probe()).
 *
 * mem_*: segment and offset; the segment's rights, limit, base, the canonical
 *        check and alignment check (#AC) are applied, at the current CPL.
 *        @off has been cut to the address size already.
 * lin_*: linear address, with the privilege given.
 */
#ifndef TARGET_X86_ACCESS_H
#define TARGET_X86_ACCESS_H

#include "target-x86/cpu.h"

/* ---- faults ------------------------------------------------------------ */

/* Both restore s.rip to the start of c->insn and unwind to the engine. */
G_NORETURN void x86_raise(X86Cpu *c, int vector);
G_NORETURN void x86_raise_err(X86Cpu *c, int vector, uint32_t error);
/* Page fault at @lin; sets what CR2 will be. */
G_NORETURN void x86_raise_pf(X86Cpu *c, uint64_t lin, uint32_t error);
/* #DB with the DR6 bits to set; trap-like: s.rip is already right. */
G_NORETURN void x86_raise_db(X86Cpu *c, uint64_t dr6_bits);
/* Leaves the block without a fault; the instruction runs again (REP with an
 * event pending). Everything done so far is committed. */
G_NORETURN void x86_restart(X86Cpu *c);

/* ---- segmented --------------------------------------------------------- */

/* @size 1, 2, 4, 8; zero-extended. */
uint64_t mem_ld(X86Cpu *c, unsigned seg, uint64_t off, unsigned size);
void mem_st(X86Cpu *c, unsigned seg, uint64_t off, uint64_t v, unsigned size);
/* As mem_ld(), but faults as a write would (read-modify-write). */
uint64_t mem_ld_rmw(X86Cpu *c, unsigned seg, uint64_t off, unsigned size);
/* Any length up to a page; both pages are checked before a byte moves. */
void mem_ld_buf(X86Cpu *c, unsigned seg, uint64_t off, void *buf, size_t len);
void mem_st_buf(X86Cpu *c, unsigned seg, uint64_t off, const void *buf,
                size_t len);
/* Faults if the access would. */
void mem_probe(X86Cpu *c, unsigned seg, uint64_t off, size_t len, bool write);
/*
 * Host memory for an atomic read-modify-write of @size bytes (1 to 16), or
 * NULL: MMIO, or split over pages. Then bracket a plain load and store with
 * mem_exclusive_begin/end(), which stop the other vCPUs.
 * Decoded code under it has been dropped already.
 */
void *mem_atomic(X86Cpu *c, unsigned seg, uint64_t off, unsigned size);
void mem_exclusive_begin(X86Cpu *c);
void mem_exclusive_end(X86Cpu *c);
/*
 * For string operations: host pointer for the bytes at @off up to the end of
 * their page (in @dir > 0: *avail bytes from there on; @dir < 0: *avail bytes
 * that end with @off + @size - 1), or NULL if they are not plain RAM or the
 * element crosses a page: use mem_ld/mem_st for one element. Segment limits
 * are in *avail. For writes, code under the first *avail bytes is dropped when
 * mem_run_wrote() tells how many bytes were changed.
 */
uint8_t *mem_run(X86Cpu *c, unsigned seg, uint64_t off, unsigned size, int dir,
                 bool write, uint64_t *avail);
void mem_run_wrote(X86Cpu *c, uint8_t *host, uint64_t len);

/* ---- linear ------------------------------------------------------------ */

typedef enum LinAs {
    LIN_CPL,    /* explicit access at the current CPL (AC and SMAP apply) */
    LIN_SYS,    /* implicit supervisor access: GDT, LDT, IDT, TSS */
    LIN_USER,   /* as CPL 3 would */
    LIN_KERNEL, /* as CPL 0 would: the new stack of a gate */
} LinAs;

uint64_t lin_ld(X86Cpu *c, uint64_t lin, unsigned size, LinAs as);
void lin_st(X86Cpu *c, uint64_t lin, uint64_t v, unsigned size, LinAs as);
void lin_probe(X86Cpu *c, uint64_t lin, size_t len, bool write, LinAs as);
/* The linear address of seg:off after limit, rights and canonical checks for
 * @len bytes; raises #GP or #SS. */
uint64_t seg_linear(X86Cpu *c, unsigned seg, uint64_t off, size_t len,
                    bool write);

/* ---- TLB maintenance (INVLPG, MOV CR, INVPCID, ...) --------------------- */

void tlb_flush(X86Cpu *c, bool globals);       /* all PCIDs */
void tlb_flush_pcid(X86Cpu *c, uint16_t pcid); /* not globals */
void tlb_flush_page(X86Cpu *c, uint64_t lin);  /* INVLPG */
void tlb_flush_page_pcid(X86Cpu *c, uint64_t lin, uint16_t pcid);
/* After MOV CR3 (@noflush: bit 63 with PCIDE), s.cr3 already set. */
void tlb_cr3_written(X86Cpu *c, bool noflush);

/* ---- ports, MSR-side devices -------------------------------------------- */

uint64_t io_ld(X86Cpu *c, uint16_t port, unsigned size);
void io_st(X86Cpu *c, uint16_t port, uint64_t v, unsigned size);

/* True if run() should look at cpu->pending soon: REP loops ask. */
bool cpu_should_leave(X86Cpu *c);

#endif
