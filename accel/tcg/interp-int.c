/*
 * Handlers of integer instructions: interp-ops.h for each operand size, and
 * those that have two sizes.
 */
#include "util/osdep.h"
#include "accel/tcg/interp-impl.h"

#define SIZE    1
#define LOG2    0
#define T       uint8_t
#define ST      int8_t
#define X(name) b_##name
#include "accel/tcg/interp-ops.h"

#define SIZE    2
#define LOG2    1
#define T       uint16_t
#define ST      int16_t
#define X(name) w_##name
#include "accel/tcg/interp-ops.h"

#define SIZE    4
#define LOG2    2
#define T       uint32_t
#define ST      int32_t
#define X(name) l_##name
#include "accel/tcg/interp-ops.h"

#define SIZE    8
#define LOG2    3
#define T       uint64_t
#define ST      int64_t
#define X(name) q_##name
#include "accel/tcg/interp-ops.h"

const SizeOps *const interp_size_ops[4] = { &b_ops, &w_ops, &l_ops, &q_ops };

/* ---- MOVZX, MOVSX, MOVSXD ------------------------------------------------------ */

#define EXTEND(name, from, to) \
    static ALWAYS_INLINE void name(X86Cpu *c, const Insn *op, from v) \
    { \
        to res = v; \
\
        if (sizeof(to) == 4) { \
            *(uint64_t *)op_reg(c, op_args(op)->r1) = (uint32_t)res; \
        } else { \
            *(to *)op_reg(c, op_args(op)->r1) = res; \
        } \
        return op_next(c, op + 1); \
    } \
    static void name##_r(X86Cpu *c, const Insn *op) \
    { \
        return name(c, op, *(from *)op_reg(c, op_args(op)->r2)); \
    } \
    EXTEND_M(name, from, b, EA_B) \
    EXTEND_M(name, from, bi, EA_BI) \
    EXTEND_M(name, from, s, EA_S) \
    EXTEND_M(name, from, g, EA_G)

#define EXTEND_M(name, from, ea, EA) \
    static void name##_##ea(X86Cpu *c, const Insn *op) \
    { \
        uint64_t lin = op_ea(c, op, EA); \
        void *p; \
\
        if (unlikely(!op_tlb_read(c, lin, sizeof(from), &p))) { \
            return op_sem(c, op); \
        } \
        return name(c, op, *(from *)p); \
    }

EXTEND(zx_bw, uint8_t, uint16_t)
EXTEND(zx_bl, uint8_t, uint32_t)
EXTEND(zx_wl, uint16_t, uint32_t)
EXTEND(sx_bw, int8_t, int16_t)
EXTEND(sx_bl, int8_t, int32_t)
EXTEND(sx_bq, int8_t, int64_t)
EXTEND(sx_wl, int16_t, int32_t)
EXTEND(sx_wq, int16_t, int64_t)
EXTEND(sx_lq, int32_t, int64_t)

#define EXTEND_ROW(name) \
    { \
        name##_r, name##_b, name##_bi, name##_s, name##_g \
    }

InsnFn *const interp_extend[2][3][4][1 + EA_COUNT] = {
    {
        { { NULL }, EXTEND_ROW(zx_bw), EXTEND_ROW(zx_bl), EXTEND_ROW(zx_bl) },
        { { NULL }, { NULL }, EXTEND_ROW(zx_wl), EXTEND_ROW(zx_wl) },
        { { NULL } },
    },
    {
        { { NULL }, EXTEND_ROW(sx_bw), EXTEND_ROW(sx_bl), EXTEND_ROW(sx_bq) },
        { { NULL }, { NULL }, EXTEND_ROW(sx_wl), EXTEND_ROW(sx_wq) },
        { { NULL }, { NULL }, { NULL }, EXTEND_ROW(sx_lq) },
    },
};

/* ---- CBW, CWD and their brothers, NOP ------------------------------------------ */

void op_nop(X86Cpu *c, const Insn *op)
{
    return op_next(c, op + 1);
}

static void op_cbw(X86Cpu *c, const Insn *op)
{
    *(int16_t *)&c->s.gpr[R_RAX] = (int8_t)c->s.gpr[R_RAX];
    return op_next(c, op + 1);
}

static void op_cwde(X86Cpu *c, const Insn *op)
{
    c->s.gpr[R_RAX] = (uint32_t)(int16_t)c->s.gpr[R_RAX];
    return op_next(c, op + 1);
}

static void op_cdqe(X86Cpu *c, const Insn *op)
{
    c->s.gpr[R_RAX] = (int32_t)c->s.gpr[R_RAX];
    return op_next(c, op + 1);
}

static void op_cwd(X86Cpu *c, const Insn *op)
{
    *(int16_t *)&c->s.gpr[R_RDX] = (int16_t)c->s.gpr[R_RAX] >> 15;
    return op_next(c, op + 1);
}

static void op_cdq(X86Cpu *c, const Insn *op)
{
    c->s.gpr[R_RDX] = (uint32_t)((int32_t)c->s.gpr[R_RAX] >> 31);
    return op_next(c, op + 1);
}

static void op_cqo(X86Cpu *c, const Insn *op)
{
    c->s.gpr[R_RDX] = (int64_t)c->s.gpr[R_RAX] >> 63;
    return op_next(c, op + 1);
}

InsnFn *const interp_cbw[4] = { NULL, op_cbw, op_cwde, op_cdqe };
InsnFn *const interp_cwd[4] = { NULL, op_cwd, op_cdq, op_cqo };
