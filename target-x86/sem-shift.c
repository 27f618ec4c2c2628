/*
 * Shifts and rotates. SDM 2, SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR, SHLD, SHRD.
 *
 * All run on the host's own instruction with the guest's flags, so OF and AF
 * where the manual leaves them undefined, and the odd counts of RCL and SHLD,
 * are those of a real processor. A count of 0 leaves the flags alone.
 */
#include "util/osdep.h"
#include "target-x86/sem.h"

typedef uint64_t ShiftFn(uint64_t v, uint64_t count, unsigned size,
                         uint32_t *fl);

#define HOST_SHIFT(insn, suffix, mod) \
    asm(HOST_FL_LOAD insn suffix " %%cl, %" mod "[v]" HOST_FL_SAVE \
        : [v] "+r"(v), "+&a"(eax) \
        : "c"(count) \
        : "cc")

#define SHIFT_FN(name, insn) \
    static inline uint64_t name(uint64_t v, uint64_t count, unsigned size, \
                                uint32_t *fl) \
    { \
        uint32_t eax = host_fl_in(*fl); \
\
        switch (size) { \
        case 1: \
            HOST_SHIFT(insn, "b", "b"); \
            break; \
        case 2: \
            HOST_SHIFT(insn, "w", "w"); \
            break; \
        case 4: \
            HOST_SHIFT(insn, "l", "k"); \
            break; \
        default: \
            HOST_SHIFT(insn, "q", "q"); \
            break; \
        } \
        *fl = host_fl_out(eax); \
        return v; \
    }

SHIFT_FN(host_shl, "shl")
SHIFT_FN(host_shr, "shr")
SHIFT_FN(host_sar, "sar")
SHIFT_FN(host_rol, "rol")
SHIFT_FN(host_ror, "ror")
SHIFT_FN(host_rcl, "rcl")
SHIFT_FN(host_rcr, "rcr")

static inline __attribute__((always_inline)) void shift(X86Cpu *c,
                                                        const Insn *in,
                                                        ShiftFn *fn)
{
    unsigned size = op_size(in, 0);
    uint64_t count = op_read(c, in, 1) & (size == 8 ? 63 : 31);
    uint64_t v = op_read_rmw(c, in, 0);
    uint32_t fl;

    if (count == 0) { /* still a write: bits 63:32 of a register go */
        op_write(c, in, 0, v);
        return;
    }
    fl = flags_arith(c);
    op_write(c, in, 0, fn(v, count, size, &fl));
    flags_put(c, fl);
}

void sem_SHL(X86Cpu *c, const Insn *in)
{
    shift(c, in, host_shl);
}

void sem_SHR(X86Cpu *c, const Insn *in)
{
    shift(c, in, host_shr);
}

void sem_SAR(X86Cpu *c, const Insn *in)
{
    shift(c, in, host_sar);
}

void sem_ROL(X86Cpu *c, const Insn *in)
{
    shift(c, in, host_rol);
}

void sem_ROR(X86Cpu *c, const Insn *in)
{
    shift(c, in, host_ror);
}

void sem_RCL(X86Cpu *c, const Insn *in)
{
    shift(c, in, host_rcl);
}

void sem_RCR(X86Cpu *c, const Insn *in)
{
    shift(c, in, host_rcr);
}

/* ---- double shifts -------------------------------------------------------- */

#define HOST_SHIFT2(insn, suffix, mod) \
    asm(HOST_FL_LOAD insn suffix " %%cl, %" mod "[s], %" mod \
                                 "[v]" HOST_FL_SAVE \
        : [v] "+r"(v), "+&a"(eax) \
        : [s] "r"(s), "c"(count) \
        : "cc")

#define SHIFT2_FN(name, insn) \
    static inline uint64_t name(uint64_t v, uint64_t s, uint64_t count, \
                                unsigned size, uint32_t *fl) \
    { \
        uint32_t eax = host_fl_in(*fl); \
\
        switch (size) { \
        case 2: \
            HOST_SHIFT2(insn, "w", "w"); \
            break; \
        case 4: \
            HOST_SHIFT2(insn, "l", "k"); \
            break; \
        default: \
            HOST_SHIFT2(insn, "q", "q"); \
            break; \
        } \
        *fl = host_fl_out(eax); \
        return v; \
    }

SHIFT2_FN(host_shld, "shld")
SHIFT2_FN(host_shrd, "shrd")

static inline __attribute__((always_inline)) void shift2(
    X86Cpu *c, const Insn *in,
    uint64_t (*fn)(uint64_t, uint64_t, uint64_t, unsigned, uint32_t *))
{
    unsigned size = op_size(in, 0);
    uint64_t count = op_read(c, in, 2) & (size == 8 ? 63 : 31);
    uint64_t s = op_read(c, in, 1), v = op_read_rmw(c, in, 0);
    uint32_t fl;

    if (count == 0) {
        op_write(c, in, 0, v);
        return;
    }
    fl = flags_arith(c);
    op_write(c, in, 0, fn(v, s, count, size, &fl));
    flags_put(c, fl);
}

void sem_SHLD(X86Cpu *c, const Insn *in)
{
    shift2(c, in, host_shld);
}

void sem_SHRD(X86Cpu *c, const Insn *in)
{
    shift2(c, in, host_shrd);
}

/* ---- BMI2: no flags ----------------------------------------------------------- */

void sem_RORX(X86Cpu *c, const Insn *in)
{
    unsigned bits = 8 * op_size(in, 0), n = in->imm & (bits - 1);
    uint64_t v = op_read(c, in, 1);

    op_write(c, in, 0, n ? v >> n | v << (bits - n) : v);
}

void sem_SARX(X86Cpu *c, const Insn *in)
{
    unsigned size = op_size(in, 0);
    unsigned n = op_read(c, in, 2) & (8 * size - 1);

    op_write(c, in, 0, size_sext(op_read(c, in, 1), size) >> n);
}

void sem_SHLX(X86Cpu *c, const Insn *in)
{
    unsigned n = op_read(c, in, 2) & (8 * op_size(in, 0) - 1);

    op_write(c, in, 0, op_read(c, in, 1) << n);
}

void sem_SHRX(X86Cpu *c, const Insn *in)
{
    unsigned n = op_read(c, in, 2) & (8 * op_size(in, 0) - 1);

    op_write(c, in, 0, op_read(c, in, 1) >> n);
}
