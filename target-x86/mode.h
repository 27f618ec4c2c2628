/*
 * X86Mode.key: what a decoded block depends on besides its bytes.
 *
 * x86_update_mode() (mode.c) works it out; the engine compares it. The bits
 * under MODE_BLOCK select blocks; those above only select a TLB.
 */
#ifndef TARGET_X86_MODE_H
#define TARGET_X86_MODE_H

#include "target-x86/cpu.h"

enum {
    MODE_CODE32 = 1 << 0, /* neither of the two: 16-bit code */
    MODE_CODE64 = 1 << 1,
    MODE_STACK32 = 1 << 2, /* neither of the two: SP */
    MODE_STACK64 = 1 << 3,
    MODE_CPL_SHIFT = 4,
    MODE_CPL = 3 << 4,
    MODE_PROT = 1 << 6, /* protected and not virtual-8086 */
    MODE_VM86 = 1 << 7,
    MODE_FLAT = 1 << 8, /* X86Mode.flat */
    MODE_SLOW = 1 << 9, /* one instruction per block */
    MODE_TS = 1 << 10,  /* CR0 */
    MODE_EM = 1 << 11,
    MODE_MP = 1 << 12,
    MODE_SSE = 1 << 13, /* CR4.OSFXSR */
    MODE_AVX = 1 << 14, /* CR4.OSXSAVE and XCR0 has SSE and AVX */
    MODE_AC = 1 << 15,  /* alignment is checked: AM, AC and CPL 3 */
    MODE_LMA = 1 << 16,
    MODE_BLOCK = 0xffffff,

    MODE_SMAP_OPEN = 1 << 24, /* SMAP, but EFLAGS.AC lets CPL 0-2 through */
};

/* Bits of RFLAGS that the mode follows from: compare before updating. */
#define MODE_RFLAGS (FL_TF | FL_VM | FL_AC)

#endif
