/*
 * From a block of decoded operations to host code: what each operation becomes
 * (jit-decide.c), all of them in a row (jit-block.c), the flags between them and
 * memory (jit-gen.c), the templates (jit-ops.c, jit-flow.c).
 *
 * Arithmetic flags. The host's instruction makes the guest's flags as well;
 * nobody needs them but a reader in the block, or whoever looks at RFLAGS after
 * a fault or behind the block. So a producer only notes what they follow from
 * (Pend), and LazyFlags is filled when that is about to be lost, on the way out,
 * or in the slow path of an operation in between. Gen.hf says how far the host's
 * flags are the guest's at the moment.
 *
 * Memory. The TLB is probed inline; a miss goes to code behind the block that
 * calls the reference function and comes back behind the operation.
 *
 * All functions write at Gen.a; those that take scratch registers say which.
 */
#ifndef ACCEL_TCG_JIT_GEN_H
#define ACCEL_TCG_JIT_GEN_H

#include "accel/tcg/jit-impl.h"

/* What becomes of an operation. */
typedef enum How {
    HOW_CALL,  /* its handler, or several in a row */
    HOW_LEAVE, /* the interpreter goes on with it */
    HOW_EMIT,
} How;

/* Classes that the interpreter has no handlers for; behind those of OpClass. */
enum {
    CL_BITS = 64, /* arg: 4 BT to 7 BTC */
    CL_BSWAP,
    CL_CMPXCHG,
    CL_MUL, /* one operand; arg: the digit of F7, 4 or 5 */
    CL_DIV, /* 6 or 7 */
    CL_XADD,
    CL_SCAN,   /* arg: the opcode, BSF BSR, with SCAN_F3 TZCNT LZCNT POPCNT */
    CL_SHIFT2, /* arg: UN_SHL SHLD, UN_SHR SHRD */
    CL_COUNT,
};

typedef struct OpInfo {
    uint8_t how, cls, arg;
    uint8_t log2; /* of operand 0 */
    uint8_t from; /* of operand 1 where it is another */
    bool locked;
    bool seg;      /* operand 1 is a segment register */
    bool pure;     /* cannot fault, does not leave */
    bool imm;      /* operand 1 is op->imm */
    int8_t r1, r2; /* guest registers, or -1 */
    int8_t mem;    /* which operand is in memory, or -1 */
    int8_t high;   /* AH CH DH BH is an operand: 0 to 3, or -1 */
    bool unfuse;   /* its handler may be that of the next one too */
    int32_t disp;
} OpInfo;

/* Flags that are not in LazyFlags yet. */
typedef enum PendForm {
    PEND_NONE,
    PEND_RES,  /* res is in register a */
    PEND_CMP,  /* ... is a - b */
    PEND_TEST, /* ... is a & b */
    PEND_CF,   /* nothing waits, but CF is in bit 0 of LazyFlags.src */
    PEND_RAW,  /* the host's RFLAGS are in TcgCpu.jit_flags */
} PendForm;
typedef enum PendSrc { SRC_REG, SRC_IMM, SRC_STORED } PendSrc;

typedef struct Pend {
    uint8_t form, kind, log2; /* kind: FLAGS_* */
    uint8_t src;              /* what b is; STORED: in LazyFlags already */
    int8_t a, b;
    int32_t imm;
    /* On top of that, CF (and OF) of a rotation that left its result in register
     * rot_reg: ROT_* and the log2 of the size, or 0. */
    uint8_t rot;
    int8_t rot_reg;
} Pend;

enum { ROT_LEFT = 1 << 2, ROT_ONE = 1 << 3 /* OF too */, ROT_SET = 1 << 4 };

/* How far the host's flags are the guest's. */
typedef enum HostFlags {
    HF_NONE,
    HF_NO_CARRY, /* all but CF */
    HF_ALL,
} HostFlags;

/* Code behind the block. */
typedef enum TailKind {
    TAIL_SLOW,    /* op's reference function, back to @back */
    TAIL_LOAD,    /* the same of a MOV from linear address T0 */
    TAIL_LEAVE,   /* to handler @fn with op */
    TAIL_TAKEN,   /* the other way of a conditional jump */
    TAIL_STOP,    /* budget: to the run loop, to offset @at in the page */
    TAIL_STOP_T1, /* ... to T1 */
    TAIL_LINK,    /* ... to @at by @fn, which finds the block */
    TAIL_LINK_T1,
    TAIL_CARRY,    /* LazyFlags.src = CF */
    TAIL_EXACT_CF, /* s.rflags' CF = T2 */
} TailKind;

typedef struct Tail {
    uint8_t kind, count;
    bool flags;
    unsigned op;
    int at;
    InsnFn *fn;
    uint8_t *jump[3]; /* which come here */
    uint8_t *back;
    Pend pend;
} Tail;

enum { TAILS_MAX = 6 * BLOCK_MAX + 16 };

typedef struct Gen {
    Asm a;
    TcgCpu *tc;
    Tb *tb;
    Jit *j;
    uint8_t *code;
    unsigned i;    /* the operation at hand */
    unsigned done; /* operations that its template did: 1, or more */
    int start;     /* of the block in its page */
    bool code64;
    uint8_t hf;    /* HostFlags */
    uint8_t guess; /* LazyFlags.op most likely, while nothing pends; or 0 */
    Pend pend;
    unsigned n_tails;
    OpInfo info[BLOCK_MAX + 1];
    bool after_run[BLOCK_MAX + 1];
    const uint8_t *at[BLOCK_MAX + 2]; /* code of operations, for the log */
    Tail tail[TAILS_MAX];
} Gen;

#define LAZY_RES JIT_OFF(cpu.lazy.res)
#define LAZY_SRC JIT_OFF(cpu.lazy.src)
#define LAZY_OP  JIT_OFF(cpu.lazy.op)

/* ---- jit-gen.c ---- */

AsmMem gen_slot(unsigned r);
/* The host register that has guest register @r; @tmp after a load if none. */
unsigned gen_use(Gen *g, unsigned r, unsigned tmp);
/* The one to write all of it to, and what puts @tmp where it belongs. */
unsigned gen_def(unsigned r, unsigned tmp);
void gen_put(Gen *g, unsigned r, unsigned host);
/* Host register @to = guest register @r. */
void gen_get(Gen *g, unsigned to, unsigned r);
/* @host = the operand at [T0], zero-extended. */
void gen_load(Gen *g, unsigned log2, unsigned host, unsigned at);
void gen_store_op(Gen *g, unsigned kind, unsigned log2);
void gen_store_src_imm(Gen *g, int32_t v);
/* Fills LazyFlags. Uses T1 and T2. The host's flags are as before or, if @p is
 * a compare, the guest's. */
void gen_store_pend(Gen *g, const Pend *p);
/* The same for Gen.pend, which is nothing then. */
void gen_flush_pend(Gen *g);
/* LazyFlags of T2 = a op b at once; the host's are the guest's. */
void gen_store_res(Gen *g, unsigned kind, unsigned host);
/* All of the host's, as they are, undefined ones too; lost after it. Uses T1 and
 * T2. */
void gen_store_exact(Gen *g);
/* The same, but later: they are noted, raw, and stay the host's. */
void gen_note_host(Gen *g);
/* LazyFlags.src = the host's CF. Uses T2. */
void gen_store_carry(Gen *g);
/* Guest register @r is about to change. */
void gen_touch(Gen *g, int r);
/* Nothing is pending: flags are dead or in LazyFlags. */
void gen_forget(Gen *g);
void gen_set_pend(Gen *g, PendForm form, unsigned kind, unsigned log2, int a);
/* From operation @k on, flags are written before anybody looks. */
bool gen_dead_at(const Gen *g, unsigned k);
/* Nobody sees the flags that operation @g->i writes. */
bool gen_dead(const Gen *g);
/* CF is bit 0 of LazyFlags.src. */
bool gen_carry_stored(const Pend *p);
/* Makes the host's flags good for condition @cc; returns the host's condition.
 * Uses all scratch registers. */
unsigned gen_cond(Gen *g, unsigned cc);
/* Code behind the block for the operation at hand, reached from @jump. */
Tail *gen_tail(Gen *g, TailKind kind, uint8_t *jump);
/* @to = the address of the memory operand, in @log2 bytes. */
void gen_address(Gen *g, const Insn *op, int32_t disp, unsigned to,
                 unsigned log2);
/* T0 = the linear address, but for the segment. */
void gen_ea(Gen *g, const Insn *op, int32_t disp);
/* ... and that, T0 += the base of FS or GS. */
void gen_seg(Gen *g, const Insn *op);
/* T0: linear to host address of @size bytes; uses all scratch registers. A miss
 * does the operation in the slow path and comes back behind it. @flags: it
 * writes them, and they will be the host's. */
void gen_access(Gen *g, unsigned size, bool write, bool flags);
/* The slow path for the operation at hand, from @jump too. */
void gen_slow(Gen *g, uint8_t *jump, bool flags);
/* All of this for the memory operand. */
void gen_operand(Gen *g, const Insn *op, bool write, bool flags);
/* A miss leaves to a handler of the interpreter, which does it all. */
void gen_access_or(Gen *g, unsigned size, bool write, InsnFn *fn);

/* ---- jit-decide.c ---- */

/* Of the memory operand, from the start of the page too. */
bool gen_disp_fits(const OpInfo *in, const Insn *op);
/* Fills info[i]; of those behind it it is there. */
void gen_decide(Gen *g, unsigned i);
/* The operation at hand; returns how many operations that was. */
unsigned gen_template(Gen *g, const Insn *op);

/* ---- jit-log.c ---- */

/* -d op, -d out_asm. The code from Gen.code to Gen.a, and what is elsewhere. */
void jit_log(const Gen *g, const uint8_t *tails, size_t tails_len);

/* ---- jit-ops.c ---- */

void gen_alu(Gen *g, const Insn *op);
void gen_unary(Gen *g, const Insn *op);
void gen_imul(Gen *g, const Insn *op);
void gen_xchg(Gen *g, const Insn *op);
void gen_lea(Gen *g, const Insn *op);
void gen_extend(Gen *g, const Insn *op);
unsigned gen_cc(const Insn *op);
void gen_setcc(Gen *g, const Insn *op);
void gen_cmov(Gen *g, const Insn *op);
void gen_mul(Gen *g, const Insn *op);
void gen_div(Gen *g, const Insn *op);
void gen_xadd(Gen *g, const Insn *op);
/* BT and the like of a register, or of memory with a constant: CF is the bit,
 * ZF stays, the others are undefined: as after an INC that left this result. */
void gen_bit(Gen *g, const Insn *op);
void gen_bswap(Gen *g, const Insn *op);
/* [m], r2: RAX is the destination's value then in any case, and the flags are
 * of RAX before - after. */
void gen_cmpxchg(Gen *g, const Insn *op);
void gen_cbw(Gen *g, const Insn *op);
void gen_cwd(Gen *g, const Insn *op);

/* ---- jit-shift.c ---- */

/* The masked count, if it is a constant. */
unsigned gen_shift_count(const OpInfo *in, const Insn *op);
/* Rotates by CL only where no flags are wanted. */
void gen_shift(Gen *g, const Insn *op);
/* SHLD, SHRD; by CL only where no flags are wanted. */
void gen_shift2(Gen *g, const Insn *op);
enum { SCAN_F3 = 1 << 6 }; /* with the opcode less 0x80 */
void gen_scan(Gen *g, const Insn *op);

/* ---- jit-simd.c ---- */

/* OpInfo.arg is the index of interp_simd[], or this: it is not there. */
enum { SIMD_BY_ROW = 255 };
bool gen_decide_simd(Gen *g, OpInfo *in, const Insn *op);
void gen_simd(Gen *g, const Insn *op);

/* ---- jit-flow.c ---- */

/* PUSHes in a row have one probe. */
void gen_push(Gen *g, const Insn *op);
void gen_pop(Gen *g, const Insn *op);
void gen_leave(Gen *g, const Insn *op);
void gen_jmp(Gen *g, const Insn *op);
void gen_call(Gen *g, const Insn *op);
void gen_ret(Gen *g, const Insn *op);
/* The way on is in the block; the other is behind it. */
void gen_jcc(Gen *g, const Insn *op);
/* The interpreter goes on with handler @fn. */
void gen_leave_to(Gen *g, const Insn *op, InsnFn *fn);
/* Behind the last operation. */
void gen_fall(Gen *g);
void gen_put_tail(Gen *g, Tail *s);

#endif
