/*
 * Names of the guest kernel's addresses, for expressions: from the symbol table
 * of -kernel when that is an ELF file, else from a System.map beside it
 * ("System.map-6.1" of "vmlinuz-6.1", or plain "System.map"). Main thread.
 */
#ifndef MONITOR_SYMBOLS_H
#define MONITOR_SYMBOLS_H

#include "system/machine.h"

typedef struct Symbols Symbols;

/* What @kernel (may be NULL) offers; never NULL, may be empty. */
Symbols *symbols_load(const char *kernel);
void symbols_free(Symbols *s);
unsigned symbols_count(const Symbols *s);
bool symbols_find(const Symbols *s, const char *name, uint64_t *addr);
/* The last one at or before @addr, and how far behind it that is; NULL: none. */
const char *symbols_at(const Symbols *s, uint64_t addr, uint64_t *offset);

/* Of the machine's kernel, read when first asked for; of monitor.c. */
const Symbols *monitors_symbols(Machine *m);

#endif
