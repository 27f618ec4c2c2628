/*
 * Reading the guest's memory from the outside, and into files. Main thread; the
 * vCPUs stand still for one answer that fits together.
 */
#ifndef MONITOR_GUEST_MEMORY_H
#define MONITOR_GUEST_MEMORY_H

#include "target-x86/cpu.h"

/* Pauses the vCPUs if they run; release() wants to know what it returned. */
bool guest_hold(Machine *m);
void guest_release(Machine *m, bool held);

/* What the linear address @lin means to @cpu now; no side effects. */
bool guest_translate(X86Cpu *cpu, uint64_t lin, hwaddr *phys);
/* @cpu NULL: physical addresses, where nothing is reads as all ones. False: a
 * page is not mapped. */
bool guest_read(Machine *m, X86Cpu *cpu, uint64_t addr, void *buf, size_t len);
/* memsave and pmemsave: raw bytes into a new file. */
bool guest_save(Machine *m, X86Cpu *cpu, uint64_t addr, uint64_t len,
                const char *path, GError **errp);

/* An ELF core file of @len bytes of physical memory from @begin (0: all of
 * it), with the registers. Takes @fd. *@total: bytes of memory in it. */
bool guest_dump_elf(Machine *m, int fd, hwaddr begin, uint64_t len,
                    uint64_t *total, GError **errp);

#endif
