/*
 * What the sem-*.c files of integer instructions share: widths, the stack,
 * atomic read-modify-write, and the host's own flags.
 */
#ifndef TARGET_X86_SEM_H
#define TARGET_X86_SEM_H

#include "target-x86/flags.h"
#include "target-x86/operand.h"
#include "target-x86/seg.h"

/* ---- widths -------------------------------------------------------------- */

static inline uint64_t size_mask(unsigned size)
{
    return UINT64_MAX >> (64 - 8 * size);
}

static inline unsigned size_log2(unsigned size)
{
    return __builtin_ctz(size);
}

static inline int64_t size_sext(uint64_t v, unsigned size)
{
    unsigned sh = 64 - 8 * size;

    return (int64_t)(v << sh) >> sh;
}

static inline unsigned insn_osz(const Insn *in)
{
    return 1u << in->opsize;
}

static inline uint64_t insn_admask(const Insn *in)
{
    return size_mask(1u << in->adsize);
}

static inline const InsnRow *insn_row(const Insn *in)
{
    return &insn_rows[in->id];
}

/* ---- stack: SS:rSP, as wide as SS.B says ---------------------------------- */

static inline uint64_t sp_get(const X86Cpu *c)
{
    return c->s.gpr[R_RSP] & size_mask(c->mode.stack_size);
}

static inline void sp_set(X86Cpu *c, uint64_t sp)
{
    gpr_set(c, R_RSP, sp, c->mode.stack_size);
}

static inline void sp_push(X86Cpu *c, uint64_t v, unsigned size)
{
    uint64_t sp = (sp_get(c) - size) & size_mask(c->mode.stack_size);

    mem_st(c, S_SS, sp, v, size);
    sp_set(c, sp);
}

/* What a pop would give, @depth bytes up; SP stays. */
static inline uint64_t sp_peek(X86Cpu *c, unsigned depth, unsigned size)
{
    uint64_t sp = (sp_get(c) + depth) & size_mask(c->mode.stack_size);

    return mem_ld(c, S_SS, sp, size);
}

/* ---- checks ---------------------------------------------------------------- */

/* #GP(0) unless the port may be accessed: IOPL or the TSS's bitmap. */
void io_check(X86Cpu *c, uint16_t port, unsigned size);

/* ---- atomic read-modify-write ----------------------------------------------- */

/* At @p, which need not be aligned: @want to @v if it still is *@old. Else
 * false, and *@old is what is there. The host's LOCK CMPXCHG. */
static inline bool host_cas(void *p, uint64_t *old, uint64_t v, unsigned size)
{
#define HOST_CAS(type) \
    do { \
        type o = (type)*old; \
        bool done = \
            __atomic_compare_exchange_n((type *)p, &o, (type)v, false, \
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
        *old = o; \
        return done; \
    } while (0)

    switch (size) {
    case 1:
        HOST_CAS(uint8_t);
    case 2:
        HOST_CAS(uint16_t);
    case 4:
        HOST_CAS(uint32_t);
    default:
        HOST_CAS(uint64_t);
    }
#undef HOST_CAS
}

static inline uint64_t host_load(const void *p, unsigned size)
{
    switch (size) {
    case 1:
        return __atomic_load_n((const uint8_t *)p, __ATOMIC_RELAXED);
    case 2:
        return __atomic_load_n((const uint16_t *)p, __ATOMIC_RELAXED);
    case 4:
        return __atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED);
    default:
        return __atomic_load_n((const uint64_t *)p, __ATOMIC_RELAXED);
    }
}

/*
 * LOCKed dst = fn(dst, arg) at seg:@off; returns the old value. Memory that
 * has no host address, or is split over pages, is changed while the other
 * vCPUs stand still.
 */
typedef uint64_t SemRmwFn(uint64_t old, uint64_t arg);

static inline __attribute__((always_inline)) uint64_t sem_locked(
    X86Cpu *c, unsigned seg, uint64_t off, unsigned size, SemRmwFn *fn,
    uint64_t arg)
{
    void *p = mem_atomic(c, seg, off, size);
    uint64_t old;

    if (p) {
        old = host_load(p, size);
        while (!host_cas(p, &old, fn(old, arg), size)) {
        }
        return old;
    }
    mem_probe(c, seg, off, size, true);
    mem_exclusive_begin(c);
    old = mem_ld_rmw(c, seg, off, size);
    mem_st(c, seg, off, fn(old, arg) & size_mask(size), size);
    mem_exclusive_end(c);
    return old;
}

/* dst = fn(dst, arg) of operand 0, LOCKed if the instruction is. */
static inline __attribute__((always_inline)) uint64_t sem_rmw(
    X86Cpu *c, const Insn *in, unsigned size, SemRmwFn *fn, uint64_t arg)
{
    uint64_t old;

    if (in->lock) {
        return sem_locked(c, in->seg, op_addr(c, in), size, fn, arg);
    }
    old = op_read_rmw(c, in, 0);
    op_write(c, in, 0, fn(old, arg));
    return old;
}

/* ---- the host's flags --------------------------------------------------------- */

/*
 * Between these two strings an instruction runs with the guest's arithmetic
 * flags, and its own come back, undefined ones included. EAX carries them, as
 * AH for SAHF and AL for OF: PUSHF and POPF would be slower and need a stack.
 */
#define HOST_FL_LOAD "addb $0x7f, %%al\n\tsahf\n\t"
#define HOST_FL_SAVE "\n\tlahf\n\tseto %%al"

static inline uint32_t host_fl_in(uint32_t fl)
{
    return (fl & 0xff) << 8 | ((fl & FL_OF) != 0);
}

static inline uint32_t host_fl_out(uint32_t eax)
{
    return ((eax >> 8) & (FL_ARITH & 0xff)) | (eax & 1 ? FL_OF : 0);
}

#endif
