/*
 * What others need to know of x87, SSE and their saved images.
 */
#ifndef TARGET_X86_FPU_H
#define TARGET_X86_FPU_H

#include "target-x86/cpu.h"

/* x87 status word. SDM 1, 8.1.3. */
#define FSW_IE        0x1u
#define FSW_DE        0x2u
#define FSW_ZE        0x4u
#define FSW_OE        0x8u
#define FSW_UE        0x10u
#define FSW_PE        0x20u
#define FSW_SF        0x40u
#define FSW_ES        0x80u
#define FSW_C0        0x100u
#define FSW_C1        0x200u
#define FSW_C2        0x400u
#define FSW_TOP       0x3800u
#define FSW_TOP_SHIFT 11
#define FSW_C3        0x4000u
#define FSW_B         0x8000u
#define FSW_CC        (FSW_C0 | FSW_C1 | FSW_C2 | FSW_C3)
#define FSW_FLAGS     0x3fu /* what the control word masks */
#define FCW_DEFAULT   0x37fu

/* The XSAVE area's standard form: what CPUID leaf 0xd has to say. */
enum {
    XSAVE_LEGACY_SIZE = 512,
    XSAVE_HEADER_SIZE = 64,
    XSAVE_AVX_OFF = 576,
    XSAVE_AVX_SIZE = 256,
    XSAVE_OPMASK_OFF = 1088, /* likewise */
    XSAVE_ZMM_HI_OFF = 1152,
    XSAVE_HI16_OFF = 1664,
    XSAVE_PKRU_OFF = 2688, /* where Intel's processors have it */
    XSAVE_PKRU_SIZE = 8,
};

/*
 * Before a waiting x87 or MMX instruction (IA_FWAIT, IA_MMX): reports an
 * exception that an earlier one left pending. #MF with CR0.NE, else FERR#,
 * which a PC wires to IRQ 13: may leave through x86_restart().
 */
void x87_check_pending(X86Cpu *c);
/* ES and B follow from flags and masks; after either changed. */
void x87_update_es(X86Cpu *c);
/* FNINIT's state, and what XRSTOR gives for a component not in the image. */
void x87_init(X86Cpu *c);
/* State components (XCR0 bits) not in their initial state; XGETBV 1. */
uint64_t xsave_in_use(const X86Cpu *c);

#endif
