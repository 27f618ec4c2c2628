/*
 * What handlers share: how they go on, and where their operands are.
 *
 * A handler ends in a call of one of the functions here or of another handler,
 * in tail position. Arguments that the encoding gives are worked out once, in
 * interp_specialise(), and kept in Insn.priv: OpArgs.
 */
#ifndef ACCEL_TCG_INTERP_IMPL_H
#define ACCEL_TCG_INTERP_IMPL_H

#include "accel/tcg/interp.h"
#include "accel/tcg/tlb.h"
#include "target-x86/flags.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))

typedef struct OpArgs {
    int32_t disp;    /* of the memory operand; with a RIP base: from s.rip */
    uint16_t r1, r2; /* registers: bytes from the start of X86Cpu */
} OpArgs;
G_STATIC_ASSERT(sizeof(OpArgs) == sizeof(uint64_t));

static ALWAYS_INLINE const OpArgs *op_args(const Insn *op)
{
    return (const OpArgs *)&op->priv;
}

/* ---- going on ----------------------------------------------------------------- */

static ALWAYS_INLINE void op_next(X86Cpu *c, const Insn *op)
{
    if (INTERP_TRAMPOLINE) {
        tcg_cpu(c)->next = op;
    } else {
        __asm__("" : "+r"(op)); /* one addition and a jump through it */
        op->exec(c, op);
    }
}

/* @n instructions are done. false: back to the run loop. */
static ALWAYS_INLINE bool op_count(TcgCpu *tc, int64_t n)
{
    tc->budget -= n;
    return likely(tc->budget >= __atomic_load_n(&tc->floor, __ATOMIC_RELAXED));
}

/* Instructions of the block up to and with @op, its last one. */
static ALWAYS_INLINE int64_t op_n(const Insn *op)
{
    return op[1].imm;
}

/* The slow path of all: the reference function, then the next operation. */
void op_sem(X86Cpu *c, const Insn *op);
/* ... of a jump, then the block it leads to. */
void op_sem_jump(X86Cpu *c, const Insn *op);
/* To the block at s.rip, wherever that is. */
void op_hop(X86Cpu *c, const Insn *op);
/* ... noted in op->target for the next time if it is in the same page, which
 * it is not if op->rm says so. */
void op_hop_link(X86Cpu *c, const Insn *op);
/* ... in another one; noted too, but good only while tb_matches(). */
void op_hop_guess(X86Cpu *c, const Insn *op);

/* s.rip is set, in the page of @op; op->target is the block, if known. */
static ALWAYS_INLINE void op_chain(X86Cpu *c, const Insn *op, int64_t n)
{
    const Tb *tb = op->target;

    if (unlikely(!op_count(tcg_cpu(c), n))) {
        return;
    }
    if (likely(tb)) {
        return op_next(c, tb->op);
    }
    return op_hop_link(c, op);
}

/* s.rip is set, maybe in another page. */
static ALWAYS_INLINE void op_chain_far(X86Cpu *c, const Insn *op, int64_t n)
{
    TcgCpu *tc = tcg_cpu(c);
    const Tb *tb = op->target;

    if (unlikely(!op_count(tc, n))) {
        return;
    }
    if (likely(tb && tb_matches(tc, tb, c->s.rip))) {
        return op_next(c, tb->op);
    }
    return op_hop_guess(c, op);
}

/* A conditional jump at @op: taken, disp from s.rip; and not, which goes on in
 * the block. */
static ALWAYS_INLINE void op_taken(X86Cpu *c, const Insn *op)
{
    c->s.rip += (int64_t)op->disp;
    return op_chain(c, op, op->imm);
}

static ALWAYS_INLINE void op_not_taken(X86Cpu *c, const Insn *op)
{
    return op_next(c, op + 1);
}

/* The block at @lin if the jump cache has it; else one that never matches. */
static ALWAYS_INLINE Tb *op_cached(const TcgCpu *tc, uint64_t lin)
{
    return tc->jump[tb_jump_hash(lin)];
}

/* ---- operands ------------------------------------------------------------------- */

/* How a memory operand's linear address is made. */
typedef enum OpEa {
    EA_B,  /* 64-bit: base + displacement, RIP too */
    EA_BI, /* 64-bit: base + index * scale + displacement */
    EA_S,  /* 64-bit: FS or GS + base or none + displacement */
    EA_G,  /* no base, 32-bit addresses; flat modes */
    EA_COUNT,
} OpEa;

static ALWAYS_INLINE uint64_t op_ea(const X86Cpu *c, const Insn *op, OpEa how)
{
    uint64_t at = (int64_t)op_args(op)->disp;

    if (how == EA_S) {
        at += c->s.seg[op->seg].base;
        return op->base == INSN_NONE ? at : at + c->s.gpr[op->base];
    }
    if (how != EA_G || op->base != INSN_NONE) {
        at += c->s.base[op->base];
    }
    if (how == EA_BI || (how == EA_G && op->index != INSN_NONE)) {
        at += c->s.gpr[op->index & 15] << op->scale;
    }
    if (how == EA_G) {
        if (op->adsize == 2) {
            at = (uint32_t)at;
        }
        if (op->seg >= S_FS) {
            at += c->s.seg[op->seg].base;
        }
    }
    return at;
}

static ALWAYS_INLINE void *op_reg(X86Cpu *c, unsigned off)
{
    return (char *)c + off;
}

/* false: the slow path must do it. */
static ALWAYS_INLINE bool op_tlb_read(X86Cpu *c, uint64_t lin, unsigned size,
                                      void **p)
{
    const TlbEntry *e = tlb_entry(tcg_cpu(c)->tlb, lin);

    *p = (void *)(uintptr_t)(lin + e->addend);
    return likely(e->rtag == ((lin + size - 1) & PAGE_MASK));
}

static ALWAYS_INLINE bool op_tlb_write(X86Cpu *c, uint64_t lin, unsigned size,
                                       void **p)
{
    const TlbEntry *e = tlb_entry(tcg_cpu(c)->tlb, lin);

    *p = (void *)(uintptr_t)(lin + e->addend);
    return likely(e->wtag == ((lin + size - 1) & PAGE_MASK));
}

/* ---- flags ------------------------------------------------------------------------ */

/* flags_carry(), inline. */
static ALWAYS_INLINE bool op_carry(const X86Cpu *c)
{
    uint32_t op = c->lazy.op;
    unsigned sh = 64 - (8u << (op & 3));
    uint64_t res = c->lazy.res << sh, src = c->lazy.src << sh;

    switch (op & ~3u) {
    case FLAGS_EXACT:
        return c->s.rflags & FL_CF;
    case FLAGS_ADD:
        return res < src;
    case FLAGS_SUB:
        return res + src < src;
    case FLAGS_ADC:
        return res <= src;
    case FLAGS_SBB:
        return res + src + (UINT64_C(1) << sh) <= src;
    case FLAGS_LOGIC:
        return false;
    case FLAGS_SHL:
        return src >> 63;
    default:
        return c->lazy.src & 1;
    }
}

/* ---- choosing ------------------------------------------------------------------------- */

/* The handler that calls the reference function; sets op->priv if it needs. */
InsnFn *interp_generic(Insn *op, bool slow);
/* The handler behind the last operation of @tb. */
InsnFn *interp_fall(const Tb *tb);

/* What the rows are that have handlers of their own; TcgAccel.op_class is by
 * row: class << 8 | argument. */
typedef enum OpClass {
    CL_NONE,
    CL_ALU,   /* arg: AluOp */
    CL_UNARY, /* arg: UnaryOp, INC to NOT */
    CL_SHIFT, /* arg: UnaryOp, by imm; by CL is UN_SHL_CL - UN_SHL more */
    CL_IMUL,
    CL_BT,
    CL_XCHG,
    CL_LEA,
    CL_EXTEND, /* arg: signed */
    CL_JCC,
    CL_SETCC,
    CL_CMOV,
    CL_PUSH,
    CL_POP,
    CL_LEAVE,
    CL_CALL,
    CL_JMP,
    CL_RET,
    CL_NOP,
    CL_CBW,
    CL_CWD,
    CL_SIMD, /* arg: index of interp_simd[] */
} OpClass;

/* ---- for the translator ----------------------------------------------------- */

/* #GP if the memory operand of @op must be aligned and is not. */
void interp_check_align(X86Cpu *c, const Insn *op);

/* How a handler goes on. */
typedef enum InterpEnd {
    INTERP_ON,    /* at the next operation */
    INTERP_LEAVE, /* it ends the block: generic, or raises an exception */
    INTERP_OWN,   /* the class's own: a jump knows where to */
} InterpEnd;
InterpEnd interp_end(InsnFn *fn);
/* Operand @n as an offset in X86Cpu; -1: not a general register. */
int interp_operand_reg(const Insn *op, int n, unsigned size);
/* Operand @n is in memory that needs nothing but the TLB; its displacement as
 * handlers add it. */
bool interp_operand_mem(const Insn *op, int n, uint32_t key, int32_t *disp);
/* The same of a vector instruction's, wherever in the row that is. */
bool interp_vector_mem(const Insn *op, uint32_t key, int32_t *disp);
/* The same of LEA's. */
bool interp_address(const Insn *op, uint32_t key, int32_t *disp);
/* Of the stack in this mode, if it is the operand's: 0 64 bits, 1 32, -1. */
int interp_stack_width(const Insn *op, uint32_t key);

/* ---- tables of handlers -------------------------------------------------------------- */

typedef enum AluOp {
    ALU_ADD,
    ALU_OR,
    ALU_ADC,
    ALU_SBB,
    ALU_AND,
    ALU_SUB,
    ALU_XOR,
    ALU_CMP,
    ALU_TEST,
    ALU_MOV,
    ALU_COUNT,
} AluOp;

typedef enum AluForm {
    FORM_RR, /* r1 = r1 op r2 */
    FORM_RI, /* r1 = r1 op imm */
    FORM_RM, /* r1 = r1 op mem; three, by OpEa; so the next two */
    FORM_MR = FORM_RM + EA_COUNT, /* mem = mem op r2 */
    FORM_MI = FORM_MR + EA_COUNT, /* mem = mem op imm */
    FORM_COUNT = FORM_MI + EA_COUNT,
} AluForm;

typedef enum UnaryOp {
    UN_INC,
    UN_DEC,
    UN_NEG,
    UN_NOT,
    UN_SHL, /* shifts: by imm, never 0 */
    UN_SHR,
    UN_SAR,
    UN_ROL, /* rotates: without flags only */
    UN_ROR,
    UN_SHL_CL,
    UN_SHR_CL,
    UN_SAR_CL,
    UN_ROL_CL,
    UN_ROR_CL,
    UN_COUNT,
} UnaryOp;

/* Handlers that exist for each operand size; [0] leaves the flags alone. */
typedef struct SizeOps {
    InsnFn *alu[ALU_COUNT][FORM_COUNT][2];
    InsnFn *unary[UN_COUNT][2];      /* r1 */
    InsnFn *unary_m[4][EA_COUNT][2]; /* INC DEC NEG NOT of memory */
    InsnFn *imul_rr[2], *imul_rri[2], *imul_rm[EA_COUNT][2];
    InsnFn *bt_rr, *bt_ri;
    InsnFn *xchg_rr;
    InsnFn *lea[EA_COUNT];
    InsnFn *cmov_sub[16], *cmov_logic[16], *cmov_res[16];
    /* Jcc and SETcc after a lazy SUB or LOGIC of this size, and when only the
     * result counts (E NE S NS). */
    InsnFn *jcc_sub[16], *jcc_logic[16], *jcc_res[16];
    InsnFn *setcc_sub[16], *setcc_logic[16], *setcc_res[16];
    /* CMP and TEST with a Jcc behind: FORM_RR, FORM_RI, and EA_B of the
     * others. */
    InsnFn *cmp_jcc[5][16], *test_jcc[5][16], *sub_jcc[2][16];
    InsnFn *dec_jcc[16], *inc_jcc[16]; /* E NE S NS */
} SizeOps;

enum { FUSE_RR, FUSE_RI, FUSE_RM, FUSE_MR, FUSE_MI };

extern const SizeOps *const interp_size_ops[4]; /* by log2 of the size */

/* MOVZX, MOVSX, MOVSXD: [signed][log2 from][log2 to][0: register, 1 + OpEa]. */
extern InsnFn *const interp_extend[2][3][4][1 + EA_COUNT];

/* Any flags. Each makes itself the one for the flags it found. */
void op_jcc(X86Cpu *c, const Insn *op);
void op_setcc(X86Cpu *c, const Insn *op);
void op_cmov(X86Cpu *c, const Insn *op);

typedef enum CondUse { COND_JCC, COND_SETCC, COND_CMOV } CondUse;
/* The handler for condition @cc after @lazy (LazyFlags.op); NULL: any. */
InsnFn *interp_condition(CondUse use, uint32_t lazy, unsigned cc);

/* So many PUSHes or POPs of registers in a row, rSP not among them. */
enum { RUN_MAX = 7 };
extern InsnFn *const interp_push_run[RUN_MAX + 1],
    *const interp_pop_run[RUN_MAX + 1];

void op_nop(X86Cpu *c, const Insn *op);
extern InsnFn *const interp_cbw[4], *const interp_cwd[4]; /* by opsize */

/* interp-flow.c: [0] 64-bit mode, [1] flat 32-bit. */
extern InsnFn *const interp_push_r[2], *const interp_push_i[2];
extern InsnFn *const interp_pop_r[2], *const interp_leave[2];
extern InsnFn *const interp_call[2][2], *const interp_jmp[2][2]; /* far page */
extern InsnFn *const interp_ret[2], *const interp_call_r[2];
extern InsnFn *const interp_jmp_r[2];
extern InsnFn *const interp_jmp_m[EA_COUNT], *const interp_call_m[EA_COUNT];

/* SSE and AVX: handlers of the rows with one reference function. NULL: none.
 * m, s by OpEa: loads and stores; v: under VEX; imm: shifts. */
typedef struct SimdOps {
    InsnFn *sem;
    bool pure; /* register forms cannot fault */
    InsnFn *r, *m[EA_COUNT], *s[EA_COUNT], *imm;
    InsnFn *vr, *vm[EA_COUNT], *vs[EA_COUNT], *vimm;
} SimdOps;

extern const SimdOps interp_simd[];
extern const unsigned interp_simd_count; /* less than 255 */

#endif
