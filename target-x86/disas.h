/* Bytes to text, for the monitor and logs: AT&T syntax, QEMU's layout. */
#ifndef TARGET_X86_DISAS_H
#define TARGET_X86_DISAS_H

#include "util/osdep.h"

/*
 * Appends the instruction at @p to @out ("movl     $1, %eax", no newline) and
 * returns its length, which is the decoder's. @code_bits: 16, 32, 64; @pc: its
 * address, for branch targets. Bytes that are no instruction: one byte, as
 * ".byte    0x06". 0, and nothing appended, if @n bytes are not enough to tell
 * (15 always are). Any thread.
 */
int disas_one(const uint8_t *p, size_t n, unsigned code_bits, uint64_t pc,
              GString *out);

/* The same as a line of "x/i": address, bytes (eight to a line), text. */
int disas_line(const uint8_t *p, size_t n, unsigned code_bits, uint64_t pc,
               GString *out);

/*
 * Lines of disas_line() for the @len bytes at @addr, at most @max (0: all).
 * Returns the bytes consumed; an instruction cut off at the end is left.
 */
size_t x86_disas(GString *out, const uint8_t *bytes, size_t len, uint64_t addr,
                 unsigned code_bits, unsigned max);

#endif
