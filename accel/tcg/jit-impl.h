/*
 * Inside the translator.
 *
 * Registers of the host while translated code runs:
 *   rbp          the X86Cpu
 *   r14 r15 r13  scratch: T0, T1, T2
 *   r8           the budget
 *   the others but rsp hold guest registers (jit_host[]); guest registers that
 *   found no place stay in X86Cpu.s.gpr.
 * RSP is the C stack's, aligned for a call.
 *
 * s.rip is stale in translated code: the address of an instruction is jit_page
 * plus its offset in the page, which the block knows because code starts at the
 * same offset in its host page. It is made good before C sees it.
 */
#ifndef ACCEL_TCG_JIT_IMPL_H
#define ACCEL_TCG_JIT_IMPL_H

#include "accel/tcg/interp-impl.h"
#include "accel/tcg/jit-emit.h"
#include "accel/tcg/jit.h"

enum {
    CPU = HOST_RBP,
    T0 = HOST_R14,
    T1 = HOST_R15,
    T2 = HOST_R13,
    BUDGET = HOST_R8, /* TcgCpu.budget */

    JIT_OP_MAX = 1024, /* bytes of an operation in each half, at most */
    JIT_BLOCK_MAX = (BLOCK_MAX + 1) * JIT_OP_MAX, /* room for a block */
    JIT_COOL = 4, /* times a block's code may be dropped before it has none */
};

/* Pieces of code that all blocks share. */
typedef struct JitThunks {
    const void *enter; /* an InsnFn: into tb->code of the block of op[0] */
    /* A block with no code; T0: Tb, entered at its start. */
    const void *plain;
    /* To handler T2 with operation T0; s.rip is jit_page + T1, or good. */
    const void *leave_at, *leave;
    /* To the run loop; s.rip is jit_page + T1, or T1. */
    const void *stop_at, *stop;
    /* T2 operations from T0 on by their reference functions; T1: offset of the
     * block. Comes back, unless the block is dead. The second one with the
     * host's flags as the guest's. */
    const void *slow, *slow_flags;
    /* The same for a load into a register, of linear address TcgCpu.jit_tmp[0];
     * T2: the register << 2 | log2 of the size. */
    const void *slow_load;
    /* Handlers from T0 on until one that jit_ret() stands for; T1 likewise. */
    const void *run;
    const void *cond;  /* T0 = condition T0 */
    const void *carry; /* T0 = CF */
    /* s.rflags = the guest's, with CF (OF) of the rotation T1 (Pend.rot) with
     * result T0. */
    const void *rotated;
} JitThunks;

typedef struct Jit {
    uint8_t *rw, *rx;   /* the same memory */
    size_t size;        /* half of it for what seldom runs */
    size_t used, start; /* start: behind the thunks */
    size_t cold;        /* used of the other half, from size / 2 on */
    JitThunks th;
    uint64_t n_blocks, n_bytes, n_insns, n_templates, n_full, n_dropped;
} Jit;

/* Of a guest register: HOST_*, or HOST_NONE. */
extern const uint8_t jit_host[16];

#define JIT_OFF(field) ((int32_t)offsetof(TcgCpu, field))

static inline AsmMem jit_field(int32_t off)
{
    return asm_at(CPU, off);
}

/* Translates; false: not worth it. There is room for JIT_BLOCK_MAX. */
bool jit_emit_block(TcgCpu *tc, Tb *tb);
/* What handlers in translated blocks go on to behind the last of a run. */
void jit_ret(X86Cpu *c, const Insn *op);

#endif
