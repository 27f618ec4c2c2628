/*
 * Addition, subtraction, logic, comparison; exchange-and-something; decimal
 * adjustment. SDM 2.
 *
 * The flags of all but decimal adjustment are left lazily (flags.h).
 */
#include "util/osdep.h"
#include "target-x86/sem.h"

/* ---- two operands ---------------------------------------------------------- */

static inline uint64_t alu_add(uint64_t a, uint64_t b)
{
    return a + b;
}

static inline uint64_t alu_adc1(uint64_t a, uint64_t b)
{
    return a + b + 1;
}

static inline uint64_t alu_sub(uint64_t a, uint64_t b)
{
    return a - b;
}

static inline uint64_t alu_sbb1(uint64_t a, uint64_t b)
{
    return a - b - 1;
}

static inline uint64_t alu_and(uint64_t a, uint64_t b)
{
    return a & b;
}

static inline uint64_t alu_or(uint64_t a, uint64_t b)
{
    return a | b;
}

static inline uint64_t alu_xor(uint64_t a, uint64_t b)
{
    return a ^ b;
}

static inline uint64_t alu_neg(uint64_t a, uint64_t b)
{
    return -a;
}

static inline uint64_t alu_not(uint64_t a, uint64_t b)
{
    return ~a;
}

/* Operand 0 = fn(operand 0, operand 1), flags as @kind says. */
static inline __attribute__((always_inline)) void alu_binary(X86Cpu *c,
                                                             const Insn *in,
                                                             SemRmwFn *fn,
                                                             uint32_t kind)
{
    unsigned size = op_size(in, 0);
    uint64_t b = op_read(c, in, 1) & size_mask(size);
    uint64_t a = sem_rmw(c, in, size, fn, b);

    flags_lazy(c, kind, size_log2(size), fn(a, b) & size_mask(size), b);
}

void sem_ADD(X86Cpu *c, const Insn *in)
{
    alu_binary(c, in, alu_add, FLAGS_ADD);
}

void sem_SUB(X86Cpu *c, const Insn *in)
{
    alu_binary(c, in, alu_sub, FLAGS_SUB);
}

void sem_ADC(X86Cpu *c, const Insn *in)
{
    if (flags_carry(c)) {
        alu_binary(c, in, alu_adc1, FLAGS_ADC);
    } else {
        alu_binary(c, in, alu_add, FLAGS_ADD);
    }
}

void sem_SBB(X86Cpu *c, const Insn *in)
{
    if (flags_carry(c)) {
        alu_binary(c, in, alu_sbb1, FLAGS_SBB);
    } else {
        alu_binary(c, in, alu_sub, FLAGS_SUB);
    }
}

void sem_AND(X86Cpu *c, const Insn *in)
{
    alu_binary(c, in, alu_and, FLAGS_LOGIC);
}

void sem_OR(X86Cpu *c, const Insn *in)
{
    alu_binary(c, in, alu_or, FLAGS_LOGIC);
}

void sem_XOR(X86Cpu *c, const Insn *in)
{
    alu_binary(c, in, alu_xor, FLAGS_LOGIC);
}

void sem_CMP(X86Cpu *c, const Insn *in)
{
    unsigned size = op_size(in, 0);
    uint64_t a = op_read(c, in, 0);
    uint64_t b = op_read(c, in, 1) & size_mask(size);

    flags_lazy(c, FLAGS_SUB, size_log2(size), (a - b) & size_mask(size), b);
}

void sem_TEST(X86Cpu *c, const Insn *in)
{
    unsigned size = op_size(in, 0);
    uint64_t a = op_read(c, in, 0);
    uint64_t b = op_read(c, in, 1) & size_mask(size);

    flags_lazy(c, FLAGS_LOGIC, size_log2(size), a & b, 0);
}

/* ---- one operand ------------------------------------------------------------- */

void sem_INC(X86Cpu *c, const Insn *in)
{
    unsigned size = op_size(in, 0);
    uint64_t a = sem_rmw(c, in, size, alu_add, 1);

    flags_lazy(c, FLAGS_INC, size_log2(size), (a + 1) & size_mask(size),
               flags_carry(c));
}

void sem_DEC(X86Cpu *c, const Insn *in)
{
    unsigned size = op_size(in, 0);
    uint64_t a = sem_rmw(c, in, size, alu_sub, 1);

    flags_lazy(c, FLAGS_DEC, size_log2(size), (a - 1) & size_mask(size),
               flags_carry(c));
}

void sem_NEG(X86Cpu *c, const Insn *in)
{
    unsigned size = op_size(in, 0);
    uint64_t a = sem_rmw(c, in, size, alu_neg, 0);

    flags_lazy(c, FLAGS_SUB, size_log2(size), -a & size_mask(size), a);
}

void sem_NOT(X86Cpu *c, const Insn *in)
{
    sem_rmw(c, in, op_size(in, 0), alu_not, 0);
}

/* ---- exchanges ------------------------------------------------------------------ */

static inline uint64_t alu_take(uint64_t a, uint64_t b)
{
    return b;
}

/* With memory always locked. SDM 3A, 8.1.2.1. */
void sem_XCHG(X86Cpu *c, const Insn *in)
{
    unsigned size = op_size(in, 0);
    uint64_t a, b = op_read(c, in, 1);

    if (op_is_mem(in, 0)) {
        a = sem_locked(c, in->seg, op_addr(c, in), size, alu_take, b);
        op_write(c, in, 1, a);
    } else if (op_is_mem(in, 1)) {
        a = op_read(c, in, 0);
        b = sem_locked(c, in->seg, op_addr(c, in), size, alu_take, a);
        op_write(c, in, 0, b);
    } else {
        a = op_read(c, in, 0);
        op_write(c, in, 0, b);
        op_write(c, in, 1, a);
    }
}

void sem_XADD(X86Cpu *c, const Insn *in)
{
    unsigned size = op_size(in, 0);
    uint64_t b = op_read(c, in, 1);
    uint64_t a;

    if (op_is_mem(in, 0)) {
        a = sem_rmw(c, in, size, alu_add, b);
        op_write(c, in, 1, a);
    } else { /* the sum last: both may be the same register */
        a = op_read(c, in, 0);
        op_write(c, in, 1, a);
        op_write(c, in, 0, a + b);
    }
    flags_lazy(c, FLAGS_ADD, size_log2(size), (a + b) & size_mask(size), b);
}

/* ---- compare and exchange --------------------------------------------------------- */

#define HOST_CMPXCHG(suffix, mod) \
    asm("mov %[acc], %%rax\n\t" \
        "cmpxchg" suffix " %" mod "[src], %" mod "[dst]\n\t" \
        "mov %%rax, %[acc]" \
        : [acc] "+r"(acc), [dst] "+r"(dst) \
        : [src] "r"(src) \
        : "rax", "cc")

/* Registers only. What happens to bits 63:32 is the host's business. */
static void cmpxchg_reg(X86Cpu *c, const Insn *in, unsigned size)
{
    uint64_t src = op_read(c, in, 1);
    uint64_t dst = size < 4 ? op_read(c, in, 0) : c->s.gpr[in->rm];
    uint64_t acc = c->s.gpr[R_RAX];
    uint64_t a = acc & size_mask(size), b = dst & size_mask(size);

    switch (size) {
    case 1:
        HOST_CMPXCHG("b", "b");
        break;
    case 2:
        HOST_CMPXCHG("w", "w");
        break;
    case 4:
        HOST_CMPXCHG("l", "k");
        break;
    default:
        HOST_CMPXCHG("q", "q");
        break;
    }
    c->s.gpr[R_RAX] = acc;
    if (a == b || in->rm != R_RAX) {
        gpr_set(c, in->rm, dst, size < 4 ? size : 8);
    }
    flags_lazy(c, FLAGS_SUB, size_log2(size), (a - b) & size_mask(size), b);
}

void sem_CMPXCHG(X86Cpu *c, const Insn *in)
{
    unsigned size = op_size(in, 0);
    uint64_t acc = gpr_get(c, R_RAX, size), src, old, off;
    void *p;

    if (!in->is_mem) {
        cmpxchg_reg(c, in, size);
        return;
    }
    src = op_read(c, in, 1);
    off = op_addr(c, in);
    p = in->lock ? mem_atomic(c, in->seg, off, size) : NULL;
    if (p) {
        old = acc;
        host_cas(p, &old, src, size);
    } else {
        if (in->lock) {
            mem_probe(c, in->seg, off, size, true);
            mem_exclusive_begin(c);
        }
        old = mem_ld_rmw(c, in->seg, off, size);
        mem_st(c, in->seg, off, old == acc ? src : old, size);
        if (in->lock) {
            mem_exclusive_end(c);
        }
    }
    if (old != acc) {
        gpr_set(c, R_RAX, old, size);
    }
    flags_lazy(c, FLAGS_SUB, size_log2(size), (acc - old) & size_mask(size),
               old);
}

/* lo and hi of a CMPXCHG8B or 16B operand that has no host address, or that
 * need not be atomic. */
static bool cmpxchg_pair(X86Cpu *c, const Insn *in, unsigned half,
                         uint64_t want[2], const uint64_t new[2])
{
    uint64_t off = op_addr(c, in), hi = (off + half) & insn_admask(in);
    uint64_t old[2];
    bool equal;

    mem_probe(c, in->seg, off, 2 * half, true);
    if (in->lock) {
        mem_exclusive_begin(c);
    }
    old[0] = mem_ld_rmw(c, in->seg, off, half);
    old[1] = mem_ld_rmw(c, in->seg, hi, half);
    equal = old[0] == want[0] && old[1] == want[1];
    mem_st(c, in->seg, off, equal ? new[0] : old[0], half);
    mem_st(c, in->seg, hi, equal ? new[1] : old[1], half);
    if (in->lock) {
        mem_exclusive_end(c);
    }
    memcpy(want, old, sizeof(old));
    return equal;
}

static bool host_cas16(void *p, uint64_t want[2], const uint64_t new[2])
{
    bool equal;

    asm volatile("lock cmpxchg16b %[m]\n\tsete %[equal]"
                 : [m] "+m"(*(unsigned __int128 *)p), "+a"(want[0]),
                   "+d"(want[1]), [equal] "=q"(equal)
                 : "b"(new[0]), "c"(new[1])
                 : "cc", "memory");
    return equal;
}

static bool host_cas8(void *p, uint64_t want[2], const uint64_t new[2])
{
    uint64_t old = want[0] | want[1] << 32;
    bool equal = host_cas(p, &old, new[0] | new[1] << 32, 8);

    want[0] = (uint32_t)old;
    want[1] = old >> 32;
    return equal;
}

static void cmpxchg_wide(X86Cpu *c, const Insn *in, unsigned half)
{
    uint64_t want[2] = { gpr_get(c, R_RAX, half), gpr_get(c, R_RDX, half) };
    uint64_t new[2] = { gpr_get(c, R_RBX, half), gpr_get(c, R_RCX, half) };
    uint64_t off = op_addr(c, in);
    bool equal;
    void *p;

    if (half == 8 && (seg_linear(c, in->seg, off, 16, true) & 15)) {
        x86_raise_err(c, EXC_GP, 0);
    }
    p = in->lock ? mem_atomic(c, in->seg, off, 2 * half) : NULL;
    if (!p) {
        equal = cmpxchg_pair(c, in, half, want, new);
    } else if (half == 8) {
        equal = host_cas16(p, want, new);
    } else {
        equal = host_cas8(p, want, new);
    }
    if (!equal) {
        gpr_set(c, R_RAX, want[0], half);
        gpr_set(c, R_RDX, want[1], half);
    }
    flags_change(c, FL_ZF, equal ? FL_ZF : 0);
}

void sem_CMPXCHG8B(X86Cpu *c, const Insn *in)
{
    cmpxchg_wide(c, in, 4);
}

void sem_CMPXCHG16B(X86Cpu *c, const Insn *in)
{
    cmpxchg_wide(c, in, 8);
}

/* ---- ADCX, ADOX: a carry chain in one flag ------------------------------------------ */

static void alu_add_with(X86Cpu *c, const Insn *in, uint32_t flag)
{
    unsigned size = op_size(in, 0);
    uint64_t mask = size_mask(size);
    uint64_t b = op_read(c, in, 1), a = op_read(c, in, 0);
    bool carry = flags_get(c) & flag;
    uint64_t sum = (a + b + carry) & mask;

    op_write(c, in, 0, sum);
    flags_change(c, flag, (carry ? sum <= a : sum < a) ? flag : 0);
}

void sem_ADCX(X86Cpu *c, const Insn *in)
{
    alu_add_with(c, in, FL_CF);
}

void sem_ADOX(X86Cpu *c, const Insn *in)
{
    alu_add_with(c, in, FL_OF);
}

/* ---- decimal adjustment ----------------------------------------------------------------- */

/* The low byte's SF, ZF, PF; the rest from @other. */
static void bcd_flags(X86Cpu *c, uint8_t res, uint32_t other)
{
    flags_put(c, (res & 0x80 ? FL_SF : 0) | (res == 0 ? FL_ZF : 0) |
                     (__builtin_parity(res) ? 0 : FL_PF) | other);
}

/* DAA and DAS: @sign is 1 or -1. OF is undefined: 0. */
static void bcd_packed(X86Cpu *c, int sign)
{
    uint8_t old = c->s.gpr[R_RAX], al = old;
    uint32_t fl = flags_get(c);
    bool cf = false, af = (old & 15) > 9 || (fl & FL_AF);

    if (af) {
        al += sign * 6;
        cf = (fl & FL_CF) || (sign > 0 ? al < old : al > old);
    }
    if (old > 0x99 || (fl & FL_CF)) {
        al += sign * 0x60;
        cf = true;
    }
    gpr_set(c, R_RAX, al, 1);
    bcd_flags(c, al, (cf ? FL_CF : 0) | (af ? FL_AF : 0));
}

void sem_DAA(X86Cpu *c, const Insn *in)
{
    bcd_packed(c, 1);
}

void sem_DAS(X86Cpu *c, const Insn *in)
{
    bcd_packed(c, -1);
}

/* AAA and AAS. OF, SF, ZF, PF are undefined: as for the result in AL. */
static void bcd_unpacked(X86Cpu *c, int sign)
{
    uint16_t ax = c->s.gpr[R_RAX];
    bool adjust = (ax & 15) > 9 || (flags_get(c) & FL_AF);

    if (adjust) {
        ax += sign * 0x106;
    }
    ax &= 0xff0f;
    gpr_set(c, R_RAX, ax, 2);
    bcd_flags(c, ax, adjust ? FL_CF | FL_AF : 0);
}

void sem_AAA(X86Cpu *c, const Insn *in)
{
    bcd_unpacked(c, 1);
}

void sem_AAS(X86Cpu *c, const Insn *in)
{
    bcd_unpacked(c, -1);
}

void sem_AAM(X86Cpu *c, const Insn *in)
{
    uint8_t base = in->imm, al = c->s.gpr[R_RAX];

    if (base == 0) {
        x86_raise(c, EXC_DE);
    }
    gpr_set(c, R_RAX, (al / base) << 8 | al % base, 2);
    bcd_flags(c, al % base, 0);
}

/* OF, AF, CF are undefined: those of the addition it ends with. */
void sem_AAD(X86Cpu *c, const Insn *in)
{
    uint8_t al = c->s.gpr[R_RAX];
    uint8_t tens = (c->s.gpr[R_RAX] >> 8) * (uint8_t)in->imm;

    al += tens;
    gpr_set(c, R_RAX, al, 2);
    flags_lazy(c, FLAGS_ADD, 0, al, tens);
}
