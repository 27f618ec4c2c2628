/*
 * The CPUID feature bits of features.def as an enum: CPU models are made of
 * them, and rows of insn.def ask for them.
 */
#ifndef TARGET_X86_FEATURES_H
#define TARGET_X86_FEATURES_H

typedef enum CpuFeature {
    FEAT_NONE, /* in a row of insn.def: every processor has it */
#define FEAT(name, leaf, sub, reg, bit, qemu_name) FEAT_##name,
#include "target-x86/features.def"
#undef FEAT
    FEAT_COUNT,
} CpuFeature;

#endif
