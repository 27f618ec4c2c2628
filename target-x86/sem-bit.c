/*
 * Single bits, bit scans and counts, BMI1 and BMI2, CRC32, random numbers.
 * SDM 2.
 *
 * What leaves flags undefined runs on the host's instruction (see sem.h).
 * CPUID says that BMI, LZCNT, POPCNT and CRC32 exist only where the host has
 * them, so their opcodes below are never reached elsewhere.
 */
#include "util/osdep.h"
#include <sys/random.h>
#include "target-x86/sem.h"

/* ---- BT, BTS, BTR, BTC --------------------------------------------------------- */

static inline uint64_t bit_keep(uint64_t v, uint64_t bit)
{
    return v;
}

static inline uint64_t bit_set(uint64_t v, uint64_t bit)
{
    return v | UINT64_C(1) << bit;
}

static inline uint64_t bit_reset(uint64_t v, uint64_t bit)
{
    return v & ~(UINT64_C(1) << bit);
}

static inline uint64_t bit_flip(uint64_t v, uint64_t bit)
{
    return v ^ UINT64_C(1) << bit;
}

/* With a register the bit number reaches beyond the operand, both ways. */
static uint64_t bit_offset(X86Cpu *c, const Insn *in, uint64_t nr,
                           unsigned size)
{
    uint64_t off = op_addr(c, in);

    if (insn_row(in)->op[1].kind != OPK_IMM) {
        int64_t unit = size_sext(nr, size) >> (3 + size_log2(size));

        off = (off + unit * size) & insn_admask(in);
    }
    return off;
}

static inline __attribute__((always_inline)) void bit_test(X86Cpu *c,
                                                           const Insn *in,
                                                           SemRmwFn *fn)
{
    unsigned size = op_size(in, 0);
    uint64_t nr = op_read(c, in, 1), bit = nr & (8 * size - 1), v, off;

    if (!in->is_mem) {
        v = op_read(c, in, 0);
        if (fn != bit_keep) {
            op_write(c, in, 0, fn(v, bit));
        }
    } else {
        off = bit_offset(c, in, nr, size);
        if (fn == bit_keep) {
            v = mem_ld(c, in->seg, off, size);
        } else if (in->lock) {
            v = sem_locked(c, in->seg, off, size, fn, bit);
        } else {
            v = mem_ld_rmw(c, in->seg, off, size);
            mem_st(c, in->seg, off, fn(v, bit), size);
        }
    }
    flags_change(c, FL_CF, v >> bit & 1);
}

void sem_BT(X86Cpu *c, const Insn *in)
{
    bit_test(c, in, bit_keep);
}

void sem_BTS(X86Cpu *c, const Insn *in)
{
    bit_test(c, in, bit_set);
}

void sem_BTR(X86Cpu *c, const Insn *in)
{
    bit_test(c, in, bit_reset);
}

void sem_BTC(X86Cpu *c, const Insn *in)
{
    bit_test(c, in, bit_flip);
}

/* ---- scans and counts ---------------------------------------------------------------- */

#define HOST_SCAN(insn, suffix, mod) \
    asm(HOST_FL_LOAD insn suffix " %" mod "[s], %" mod "[d]" HOST_FL_SAVE \
        : [d] "+r"(*d), "+&a"(eax) \
        : [s] "r"(s) \
        : "cc")

#define SCAN_FN(name, insn) \
    static void name(uint64_t *d, uint64_t s, unsigned size, uint32_t *fl) \
    { \
        uint32_t eax = host_fl_in(*fl); \
\
        switch (size) { \
        case 2: \
            HOST_SCAN(insn, "w", "w"); \
            break; \
        case 4: \
            HOST_SCAN(insn, "l", "k"); \
            break; \
        default: \
            HOST_SCAN(insn, "q", "q"); \
            break; \
        } \
        *fl = host_fl_out(eax); \
    }

SCAN_FN(host_bsf, "bsf")
SCAN_FN(host_bsr, "bsr")
SCAN_FN(host_lzcnt, "lzcnt")
SCAN_FN(host_tzcnt, "tzcnt")
SCAN_FN(host_popcnt, "popcnt")

/* The whole destination goes in and out: BSF of 0 leaves it, or its lower
 * half, as the host does. */
static void scan(X86Cpu *c, const Insn *in,
                 void (*fn)(uint64_t *, uint64_t, unsigned, uint32_t *))
{
    uint64_t s = op_read(c, in, 1);
    uint32_t fl = flags_arith(c);

    fn(&c->s.gpr[in->reg], s, op_size(in, 0), &fl);
    flags_put(c, fl);
}

void sem_BSF(X86Cpu *c, const Insn *in)
{
    scan(c, in, host_bsf);
}

void sem_BSR(X86Cpu *c, const Insn *in)
{
    scan(c, in, host_bsr);
}

void sem_LZCNT(X86Cpu *c, const Insn *in)
{
    scan(c, in, host_lzcnt);
}

void sem_TZCNT(X86Cpu *c, const Insn *in)
{
    scan(c, in, host_tzcnt);
}

void sem_POPCNT(X86Cpu *c, const Insn *in)
{
    scan(c, in, host_popcnt);
}

/* ---- BMI1, BMI2 ------------------------------------------------------------------------ */

/* insn @b, @a, @d in AT&T order; 4 or 8 bytes. */
#define HOST_BMI3(insn, mod) \
    asm(HOST_FL_LOAD insn " %" mod "[b], %" mod "[a], %" mod \
                          "[d]" HOST_FL_SAVE \
        : [d] "=&r"(d), "+&a"(eax) \
        : [a] "r"(a), [b] "r"(b) \
        : "cc")

#define BMI3_FN(name, insn) \
    static uint64_t name(uint64_t a, uint64_t b, unsigned size, uint32_t *fl) \
    { \
        uint32_t eax = host_fl_in(*fl); \
        uint64_t d; \
\
        if (size == 4) { \
            HOST_BMI3(insn, "k"); \
        } else { \
            HOST_BMI3(insn, "q"); \
        } \
        *fl = host_fl_out(eax); \
        return d; \
    }

#define HOST_BMI2(insn, mod) \
    asm(HOST_FL_LOAD insn " %" mod "[a], %" mod "[d]" HOST_FL_SAVE \
        : [d] "=&r"(d), "+&a"(eax) \
        : [a] "r"(a) \
        : "cc")

#define BMI2_FN(name, insn) \
    static uint64_t name(uint64_t a, uint64_t b, unsigned size, uint32_t *fl) \
    { \
        uint32_t eax = host_fl_in(*fl); \
        uint64_t d; \
\
        if (size == 4) { \
            HOST_BMI2(insn, "k"); \
        } else { \
            HOST_BMI2(insn, "q"); \
        } \
        *fl = host_fl_out(eax); \
        return d; \
    }

/* The AT&T order has the last source first: a is op 1, b is op 2. */
BMI3_FN(host_andn, "andn")
BMI3_FN(host_bextr, "bextr")
BMI3_FN(host_bzhi, "bzhi")
BMI3_FN(host_pdep, "pdep")
BMI3_FN(host_pext, "pext")
BMI2_FN(host_blsi, "blsi")
BMI2_FN(host_blsmsk, "blsmsk")
BMI2_FN(host_blsr, "blsr")

typedef uint64_t BmiFn(uint64_t a, uint64_t b, unsigned size, uint32_t *fl);

/* op 0 = fn(op 1, op 2). */
static void bmi3(X86Cpu *c, const Insn *in, BmiFn *fn)
{
    uint64_t a = op_read(c, in, 1), b = op_read(c, in, 2);
    uint32_t fl = flags_arith(c);

    op_write(c, in, 0, fn(a, b, op_size(in, 0), &fl));
    flags_put(c, fl);
}

/* op 0 = fn(op 1). */
static void bmi2(X86Cpu *c, const Insn *in, BmiFn *fn)
{
    uint64_t a = op_read(c, in, 1);
    uint32_t fl = flags_arith(c);

    op_write(c, in, 0, fn(a, 0, op_size(in, 0), &fl));
    flags_put(c, fl);
}

void sem_ANDN(X86Cpu *c, const Insn *in)
{
    bmi3(c, in, host_andn);
}

void sem_BEXTR(X86Cpu *c, const Insn *in)
{
    bmi3(c, in, host_bextr);
}

void sem_BZHI(X86Cpu *c, const Insn *in)
{
    bmi3(c, in, host_bzhi);
}

void sem_PDEP(X86Cpu *c, const Insn *in)
{
    bmi3(c, in, host_pdep);
}

void sem_PEXT(X86Cpu *c, const Insn *in)
{
    bmi3(c, in, host_pext);
}

void sem_BLSI(X86Cpu *c, const Insn *in)
{
    bmi2(c, in, host_blsi);
}

void sem_BLSMSK(X86Cpu *c, const Insn *in)
{
    bmi2(c, in, host_blsmsk);
}

void sem_BLSR(X86Cpu *c, const Insn *in)
{
    bmi2(c, in, host_blsr);
}

/* ---- CRC32 -------------------------------------------------------------------------------- */

/* CRC-32C; the result fills the register. */
void sem_CRC32(X86Cpu *c, const Insn *in)
{
    uint64_t crc = (uint32_t)op_read(c, in, 0), s = op_read(c, in, 1);

    switch (op_size(in, 1)) {
    case 1:
        asm("crc32b %b[s], %k[crc]" : [crc] "+r"(crc) : [s] "r"(s));
        break;
    case 2:
        asm("crc32w %w[s], %k[crc]" : [crc] "+r"(crc) : [s] "r"(s));
        break;
    case 4:
        asm("crc32l %k[s], %k[crc]" : [crc] "+r"(crc) : [s] "r"(s));
        break;
    default:
        asm("crc32q %q[s], %q[crc]" : [crc] "+r"(crc) : [s] "r"(s));
        break;
    }
    gpr_set(c, in->reg, crc, 8);
}

/* ---- RDRAND, RDSEED ------------------------------------------------------------------------- */

/* From the host kernel; CF 0 is "none now, try again". */
static void random_insn(X86Cpu *c, const Insn *in)
{
    uint64_t v = 0;
    bool ok = getrandom(&v, sizeof(v), GRND_NONBLOCK) == sizeof(v);

    op_write(c, in, 0, ok ? v : 0);
    flags_put(c, ok ? FL_CF : 0);
}

void sem_RDRAND(X86Cpu *c, const Insn *in)
{
    random_insn(c, in);
}

void sem_RDSEED(X86Cpu *c, const Insn *in)
{
    random_insn(c, in);
}
