/*
 * The decoder's tables, for tests and tools; decode_insn() itself is in insn.h.
 */
#ifndef TARGET_X86_DECODE_H
#define TARGET_X86_DECODE_H

#include "target-x86/insn.h"

/*
 * Looks for rows of insn.def that claim the same slot; each is a line in @out.
 * Returns their number: anything but 0 is a mistake in the table.
 */
unsigned decode_conflicts(GString *out);

#endif
