/* Machine code as text (capstone, AT&T syntax as QEMU prints it). */
#ifndef TARGET_X86_DISAS_H
#define TARGET_X86_DISAS_H

#include "util/osdep.h"

/*
 * Appends one line per instruction of @len bytes at @addr to @out:
 * "0x00007c00:  fa                       cli". @code_bits: 16, 32, 64. At most
 * @max lines (0: all). Returns the bytes consumed; bytes that are no
 * instruction become ".byte". Any thread.
 */
size_t x86_disas(GString *out, const uint8_t *bytes, size_t len, uint64_t addr,
                 unsigned code_bits, unsigned max);

#endif
