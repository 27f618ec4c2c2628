/* insn.def as an array. */
#include "util/osdep.h"
#include "target-x86/insn.h"

#define FL_NO_CF (FL_ARITH & ~FL_CF)
#define FL_NO_AF (FL_ARITH & ~FL_AF)
#define FL_NO_OF (FL_ARITH & ~FL_OF)
#define FL_ALL   (FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_AC)

enum { /* what class reads, writes, leaves undefined */
#define FLAGCLASS(class, read, write, undef) \
    FCR_##class = (read), FCW_##class = (write), FCU_##class = (undef),
#include "target-x86/flag-classes.def"
#undef FLAGCLASS
};

#define FLAGLESS(class) \
    ((FCR_##class | FCW_##class | FCU_##class) & FL_ARITH ? 0 : IA_FLAGLESS)

/* Operand codes as numbers, so that they fit into an initializer. */
enum {
#define OPERAND(code, kind, size, reg) \
    OPC_##code = OPK_##kind | OPS_##size << 8 | (reg) << 16,
#include "target-x86/operands.def"
#undef OPERAND
};

#define OPC(code) \
    { \
        OPC_##code & 0xff, OPC_##code >> 8 & 0xff, OPC_##code >> 16 \
    }

enum {
    SET_np = 1 << PFX_NONE,
    SET_p66 = 1 << PFX_66,
    SET_pF3 = 1 << PFX_F3,
    SET_pF2 = 1 << PFX_F2,
    SET_n66 = SET_np | SET_p66,
    SET_nF3 = SET_np | SET_p66 | SET_pF2,
    SET_any = SET_np | SET_p66 | SET_pF3 | SET_pF2,
};

#define MRM_no   MODRM_NO
#define MRM_rm   MODRM_RM
#define MRM_rr   MODRM_RR
#define MRM_m    MODRM_M
#define MRM_g    MODRM_G
#define MRM_r0   MODRM_RN
#define MRM_r1   MODRM_RN | 1 << 8
#define MRM_r2   MODRM_RN | 2 << 8
#define MRM_r3   MODRM_RN | 3 << 8
#define MRM_r4   MODRM_RN | 4 << 8
#define MRM_r5   MODRM_RN | 5 << 8
#define MRM_r6   MODRM_RN | 6 << 8
#define MRM_r7   MODRM_RN | 7 << 8
#define MRM_m0   MODRM_MN
#define MRM_m1   MODRM_MN | 1 << 8
#define MRM_m2   MODRM_MN | 2 << 8
#define MRM_m3   MODRM_MN | 3 << 8
#define MRM_m4   MODRM_MN | 4 << 8
#define MRM_m5   MODRM_MN | 5 << 8
#define MRM_m6   MODRM_MN | 6 << 8
#define MRM_m7   MODRM_MN | 7 << 8
#define MRM_g0   MODRM_GN
#define MRM_g1   MODRM_GN | 1 << 8
#define MRM_g2   MODRM_GN | 2 << 8
#define MRM_g3   MODRM_GN | 3 << 8
#define MRM_g4   MODRM_GN | 4 << 8
#define MRM_g5   MODRM_GN | 5 << 8
#define MRM_g6   MODRM_GN | 6 << 8
#define MRM_g7   MODRM_GN | 7 << 8
#define MRM_X(b) MODRM_BYTE | 0x##b << 8

const InsnRow insn_rows[] = {
#define ROW(map, pfx, byte, mrm, name, func, o1, o2, o3, o4, feat, at, fl) \
    { #name,     sem_##func,  { OPC(o1), OPC(o2), OPC(o3), OPC(o4) }, \
      MAP_##map, SET_##pfx,   byte, \
      MRM_##mrm, FEAT_##feat, (at) | FLAGLESS(fl), \
      FCR_##fl,  FCW_##fl,    FCU_##fl },
#include "target-x86/insn.def"
#undef ROW
};

const unsigned insn_row_count = G_N_ELEMENTS(insn_rows);
