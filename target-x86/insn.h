/*
 * One decoded instruction, and what the table insn.def says of it.
 *
 * decode_insn() fills an Insn from bytes without side effects; the engine
 * executes it, and sem_*() functions say what it does. Nothing in it depends
 * on the address, so a decoded block serves every mapping of its page.
 */
#ifndef TARGET_X86_INSN_H
#define TARGET_X86_INSN_H

#include "target-x86/cpu.h"
#include "target-x86/features.h"

typedef struct Insn Insn;
typedef void InsnFn(X86Cpu *c, const Insn *in);

enum {
    INSN_RIP = 16,  /* base: the address of the next instruction */
    INSN_NONE = 17, /* base or index: there is none */
    INSN_HIGH = 16, /* reg, rm of byte operands: 16+4..7 are AH CH DH BH */
};
enum { REP_NONE, REP_F3, REP_F2 }; /* REPE/REP, REPNE */

struct Insn {
    InsnFn *exec; /* the engine's handler; decode leaves it NULL */
    union {
        uint64_t imm; /* Ib, Iw, Iv: zero-extended; Ibs, Iz, Jb, Jz: sign-
                       * extended to 64 bits; a far pointer is offset |
                       * selector << 32; a second one follows the first:
                       * ENTER is size | level << 16, EXTRQ b1 | b2 << 8;
                       * x87: the modrm byte */
        int64_t simm;
    };
    union { /* the engine's own */
        void *target;
        uint64_t priv;
    };
    int32_t disp; /* sign-extended displacement; moffs are in imm */
    uint16_t id;  /* row: insn_rows[id] */
    uint16_t off; /* of its first byte from s.rip; the engine sets it */

    uint8_t len : 4;  /* bytes, 1 to 15 */
    uint8_t vvvv : 4; /* VEX second source */
    uint8_t reg;      /* modrm.reg with REX.R (segment, CR, DR numbers too) */
    uint8_t rm;       /* modrm.rm with REX.B where it is a register; the low
                       * three opcode bits with REX.B for Z operands */
    uint8_t base;     /* 0-15, INSN_RIP, INSN_NONE */
    uint8_t index;    /* 0-15, INSN_NONE */

    uint8_t seg : 3;    /* S_*: of the memory operand, override applied */
    uint8_t scale : 2;  /* index << scale */
    uint8_t is_mem : 1; /* modrm says memory */
    uint8_t vex : 1;
    uint8_t vex_l : 1; /* 256 bits */

    uint8_t opsize : 2; /* log2 of the size of 'v' operands: 1, 2, 3;
                         * 64-bit defaults (push, near branches) applied */
    uint8_t adsize : 2; /* log2 of the address size: 1, 2, 3 */
    uint8_t rep : 2;    /* REP_*, where it is not a mandatory prefix */
    uint8_t lock : 1;
    uint8_t rex_w : 1; /* REX.W or VEX.W; 0 outside 64-bit mode */

    uint8_t rex : 1; /* any REX prefix, for byte registers */
    uint8_t p66 : 1; /* operand size prefix seen (mandatory or not) */
    uint8_t code64 : 1;
    uint8_t has_seg : 1; /* an override prefix was there (and counts) */
    uint8_t vsib : 1;    /* index is an xmm or ymm register: gathers */
};

/* Operand kinds (what) and sizes (how wide). Codes like Eb, Gv, Wdq of
 * insn.def are pairs of these; target-x86/operands.def lists them. */
typedef enum OpKind {
    OPK_NONE,
    OPK_G,     /* GPR by modrm.reg */
    OPK_E,     /* GPR or memory by modrm.rm */
    OPK_R,     /* GPR by modrm.rm, never memory */
    OPK_M,     /* memory only */
    OPK_VSIB,  /* memory whose index is a vector register */
    OPK_Z,     /* GPR by low three opcode bits */
    OPK_B,     /* GPR by VEX.vvvv */
    OPK_FIXED, /* GPR `reg` of OperandCode */
    OPK_IMM,   /* in->imm */
    OPK_ONE,   /* the constant 1 */
    OPK_REL,   /* in->simm, relative to the next instruction */
    OPK_FAR,   /* ptr16:16, ptr16:32 */
    OPK_MOFFS, /* memory at in->imm */
    OPK_SEG,   /* segment register by modrm.reg */
    OPK_FSEG,  /* segment register `reg` of OperandCode */
    OPK_CR,
    OPK_DR,
    OPK_V, /* xmm/ymm by modrm.reg */
    OPK_W, /* xmm/ymm by modrm.rm, or memory */
    OPK_U, /* xmm/ymm by modrm.rm, never memory */
    OPK_H, /* xmm/ymm by VEX.vvvv; same as V without VEX */
    OPK_L, /* xmm/ymm by imm8[7:4] */
    OPK_XMM0,
    OPK_P, /* mm by modrm.reg */
    OPK_Q, /* mm by modrm.rm, or memory */
    OPK_N, /* mm by modrm.rm, never memory */
    OPK_ST0,
    OPK_STI, /* st(modrm.rm) */
    OPK_X,   /* string source DS:rSI */
    OPK_Y,   /* string destination ES:rDI */
    OPK_BX,  /* XLAT: DS:[rBX+AL]; MASKMOV: DS:rDI */
} OpKind;

typedef enum OpSize {
    OPS_NONE,
    OPS_B,   /* 1 */
    OPS_BS,  /* immediate: a byte, sign-extended to the operand size */
    OPS_W,   /* 2 */
    OPS_D,   /* 4 */
    OPS_Q,   /* 8 */
    OPS_V,   /* 2, 4, 8 by operand size */
    OPS_Z,   /* 2, 4, 4 by operand size (imm: sign-extended) */
    OPS_Y,   /* 4 or 8 by REX.W; 4 outside 64-bit mode */
    OPS_T,   /* 10: x87 extended */
    OPS_DQ,  /* 16 */
    OPS_QQ,  /* 32 */
    OPS_X,   /* 16 or 32 by VEX.L */
    OPS_XH,  /* half of X: 8 or 16 */
    OPS_XQ,  /* quarter of X: 4 or 8 */
    OPS_XO,  /* eighth of X: 2 or 4 */
    OPS_A,   /* BOUND: two of operand size */
    OPS_P,   /* far pointer in memory: 4, 6, 10 */
    OPS_S,   /* descriptor table register: 6 or 10 */
    OPS_ENV, /* FLDENV: 14 or 28 */
    OPS_FXS, /* FXSAVE: 512 */
    OPS_XSV, /* XSAVE area */
    OPS_FSV, /* FSAVE: 94 or 108 */
} OpSize;

/* How a row ends or does not end a block, and what is checked before it. */
enum {
    IA_JUMP = 1 << 0,    /* sem sets s.rip itself, always; ends the block */
    IA_END = 1 << 1,     /* may change the mode, the map, pending events: ends
                        * the block, s.rip moved on by the engine */
    IA_COND = 1 << 2,    /* conditional near branch: falls through or imm */
    IA_LOCK = 1 << 3,    /* LOCK allowed (with a memory destination) */
    IA_PRIV = 1 << 4,    /* #GP unless CPL is 0 */
    IA_PROT = 1 << 5,    /* #UD in real and virtual-8086 mode */
    IA_I64 = 1 << 6,     /* #UD in 64-bit mode */
    IA_O64 = 1 << 7,     /* #UD outside 64-bit mode */
    IA_D64 = 1 << 8,     /* operand size defaults to 64 in 64-bit mode */
    IA_F64 = 1 << 9,     /* ... and cannot be smaller */
    IA_STRING = 1 << 10, /* takes REP; sem may restart itself */
    IA_X87 = 1 << 11,    /* #NM by CR0.EM, TS */
    IA_FWAIT = 1 << 12,  /* x87 waiting: pending #MF first */
    IA_MMX = 1 << 13,    /* #UD by EM, #NM by TS, pending #MF */
    IA_SSE = 1 << 14,    /* #UD by EM or !OSFXSR, #NM by TS */
    IA_AVX = 1 << 15,    /* #UD unless OSXSAVE and XCR0 2:1, #NM by TS */
    IA_ALIGN = 1 << 16,  /* memory operand must be aligned to its size, #GP */
    IA_IO = 1 << 17,     /* reads or writes ports or time: a block of icount */
    IA_SHADOW = 1 << 18, /* STI, MOV SS, POP SS */
    IA_NOREX = 1 << 19,
    IA_VEX_NOVVVV = 1 << 20, /* #UD unless vvvv is 1111 */
    IA_VEX_L0 = 1 << 21,     /* #UD if VEX.L */
    IA_VEX_L1 = 1 << 22,     /* #UD unless VEX.L */
    IA_W0 = 1 << 23,         /* only with REX.W or VEX.W clear, set */
    IA_W1 = 1 << 24,
    IA_RDWR = 1 << 25,     /* first operand is read and written */
    IA_RO = 1 << 26,       /* first operand is only read: CMP, TEST, PUSH */
    IA_FLAGLESS = 1 << 27, /* touches no arithmetic flag at all; made from
                            * the flag class */
    IA_PLUS_R = 1 << 28,   /* the row is for eight opcodes */
    IA_FALLBACK = 1 << 29, /* without the feature it is the row that follows
                            * (TZCNT: BSF), not #UD */
    IA_HINT = 1 << 30,     /* does not touch its memory operand */
};

typedef struct InsnOperand {
    uint8_t kind; /* OpKind */
    uint8_t size; /* OpSize */
    uint8_t reg;  /* OPK_FIXED, OPK_FSEG */
} InsnOperand;

/* Which of the prefixes 66, F3, F2 a row is for: bit n is MandatoryPrefix n. */
enum { PFX_NONE, PFX_66, PFX_F3, PFX_F2 };

typedef enum InsnMap {
    MAP_M1,
    MAP_M2,
    MAP_M38,
    MAP_M3A,
    MAP_V2,
    MAP_V38,
    MAP_V3A,
    MAP_COUNT
} InsnMap;

/* What follows the opcode. InsnRow.modrm is one of these | its value << 8. */
typedef enum ModrmKind {
    MODRM_NO,   /* no modrm byte */
    MODRM_RM,   /* any */
    MODRM_RR,   /* any, always taken for a register */
    MODRM_M,    /* memory */
    MODRM_G,    /* register */
    MODRM_RN,   /* reg is the value */
    MODRM_MN,   /* memory, reg is the value */
    MODRM_GN,   /* register, reg is the value */
    MODRM_BYTE, /* exactly the value */
} ModrmKind;

typedef struct InsnRow {
    const char *name; /* Intel's mnemonic, upper case; VEX ones with V */
    InsnFn *sem;      /* NULL: not written yet, #UD */
    InsnOperand op[4];
    uint8_t map;      /* InsnMap */
    uint8_t prefixes; /* set of 1 << PFX_* */
    uint8_t opcode;   /* as in insn.def */
    uint16_t modrm;   /* ModrmKind | value << 8 */
    uint16_t feature; /* CpuFeature of features.h; 0: always there */
    uint32_t attr;    /* IA_* */
    /* FL_*. An instruction that may leave a flag alone (shift by 0) also reads
     * it. Written and undefined do not overlap. */
    uint32_t fl_read, fl_write, fl_undef;
} InsnRow;

extern const InsnRow insn_rows[];
extern const unsigned insn_row_count;

/* The functions of all rows. */
#define ROW(map, pfx, op, modrm, name, sem, o1, o2, o3, o4, feat, attr, fl) \
    extern InsnFn sem_##sem;
#include "target-x86/insn.def"
#undef ROW

/* The bytes at fault are not an instruction: decode says why. */
typedef enum DecodeResult {
    DECODE_OK,
    DECODE_UD,    /* #UD */
    DECODE_LONG,  /* more than 15 bytes: #GP(0) */
    DECODE_SHORT, /* @avail bytes are not enough: fetch more, then again */
} DecodeResult;

/*
 * Decodes one instruction from @avail bytes at @p (15 are always enough).
 * @code_bits: 16, 32, 64. Decides by bytes, code size and real/protected
 * alone: privilege, CR0/CR4 and CPUID conditions are the engine's, from
 * row->attr (IA_PROT, IA_PRIV, IA_SSE, ...) and row->feature (IA_FALLBACK).
 * Undefined LOCK use is DECODE_UD. Any thread; the tables behind it are made by
 * the first call.
 */
DecodeResult decode_insn(const uint8_t *p, size_t avail, unsigned code_bits,
                         Insn *out);

/* Wraps at the code size (16 bits: IP, 32: EIP). */
static inline uint64_t insn_cut_rip(const X86Cpu *c, uint64_t rip)
{
    if (likely(c->mode.code_bits == 64)) {
        return rip;
    }
    return c->mode.code_bits == 32 ? (uint32_t)rip : (uint16_t)rip;
}

/* Address of the executing instruction and of the one behind it. */
static inline uint64_t insn_rip(const X86Cpu *c, const Insn *in)
{
    return insn_cut_rip(c, c->s.rip + in->off);
}

static inline uint64_t insn_next_rip(const X86Cpu *c, const Insn *in)
{
    return insn_cut_rip(c, c->s.rip + in->off + in->len);
}

#endif
