/*
 * Random x87, MMX, SSE and AVX instructions with hard operands, on the host and
 * on a target. See simd-case.h.
 *
 * The instruction runs in this process, between XRSTOR and XSAVE; a SIGFPE
 * (#XM) is caught and must have its counterpart.
 */
#include "util/osdep.h"
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include "target-x86/fpu.h"
#include "tests/lib/simd-case.h"

enum {
    MEM = SIMD_MEM,
    OPERAND = 0x1000, /* where rsi points, rdi 0x800 behind */
    N_GPR = 9,        /* to r8, which is an index */
};

/* Offsets are known to host_call. */
typedef struct HostState {
    uint8_t xsave[1024]; /* x87, SSE, AVX: standard form */
    uint64_t gpr[N_GPR]; /* 1024 */
    uint64_t rflags;     /* 1096 */
} HostState;

void simd_host_call(HostState *h, void *code);

/* clang-format off */
asm(".text\n"
    ".globl simd_host_call\nsimd_host_call:\n"
    "  push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "  mov %rdi, %r15; mov %rsi, %r14\n"
    "  mov $7, %eax; xor %edx, %edx; xrstor (%r15)\n"
    "  pushq 1096(%r15); popfq\n"
    "  mov 1024(%r15), %rax; mov 1032(%r15), %rcx; mov 1040(%r15), %rdx\n"
    "  mov 1048(%r15), %rbx; mov 1064(%r15), %rbp\n"
    "  mov 1072(%r15), %rsi; mov 1080(%r15), %rdi; mov 1088(%r15), %r8\n"
    "  call *%r14\n"
    "  mov %rax, 1024(%r15); mov %rcx, 1032(%r15); mov %rdx, 1040(%r15)\n"
    "  mov %rbx, 1048(%r15); mov %rbp, 1064(%r15)\n"
    "  mov %rsi, 1072(%r15); mov %rdi, 1080(%r15)\n"
    "  pushfq; popq 1096(%r15)\n"
    "  mov $7, %eax; xor %edx, %edx; xsave (%r15)\n"
    "  fninit; vzeroupper; pushq $0x1f80; ldmxcsr (%rsp); pop %rax\n"
    "  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "  ret\n");
/* clang-format on */

static sigjmp_buf host_fault;
static uint32_t host_fault_mxcsr;

static void on_sigfpe(int sig, siginfo_t *info, void *uc)
{
    host_fault_mxcsr = ((ucontext_t *)uc)->uc_mcontext.fpregs->mxcsr;
    siglongjmp(host_fault, sig);
}

/* ---- randomness -------------------------------------------------------------------- */

static GRand *rnd;

static uint64_t rand64(void)
{
    return (uint64_t)g_rand_int(rnd) << 32 | g_rand_int(rnd);
}

static unsigned below(unsigned n)
{
    return g_rand_int(rnd) % n;
}

static uint32_t rand_f32(void)
{
    static const uint32_t hard[] = {
        0,          0x80000000, 1,          0x007fffff, 0x00800000, 0x3f800000,
        0xbf800000, 0x3f800001, 0x3effffff, 0x7f7fffff, 0x7f800000, 0xff800000,
        0x7fc00000, 0xffc12345, 0x7f812345, 0xff800001, 0x4b000001, 0x4f000000,
        0xcf000000, 0x5f000000, 0x3fc00000, 0x40200000, 0x477fe000, 0x33800000,
    };

    switch (below(4)) {
    case 0:
        return g_rand_int(rnd);
    case 1: /* of like size: sums cancel, products are tame */
        return 0x3f000000 + (g_rand_int(rnd) & 0x80ffffff);
    default:
        return hard[below(G_N_ELEMENTS(hard))];
    }
}

static uint64_t rand_f64(void)
{
    static const uint64_t hard[] = {
        0,
        0x8000000000000000,
        1,
        0x000fffffffffffff,
        0x0010000000000000,
        0x3ff0000000000000,
        0xbff0000000000000,
        0x3fdfffffffffffff,
        0x7fefffffffffffff,
        0x7ff0000000000000,
        0xfff0000000000000,
        0x7ff8000000000000,
        0xfff8123456789abc,
        0x7ff0000000000001,
        0x41dfffffffe00000,
        0x41e0000000000000,
        0x43e0000000000000,
        0xc3e0000000000000,
        0x3ff8000000000000,
        0x36a0000000000000,
        0x47efffffe0000000,
        0x380fffffffffffff,
    };

    switch (below(4)) {
    case 0:
        return rand64();
    case 1:
        return 0x3fe0000000000000 + (rand64() & 0x801fffffffffffff);
    default:
        return hard[below(G_N_ELEMENTS(hard))];
    }
}

static void rand_f80(uint8_t *p)
{
    static const struct {
        uint16_t exp;
        uint64_t man;
    } hard[] = {
        { 0, 0 },
        { 0x8000, 0 },
        { 0, 1 },
        { 0, 0x7fffffffffffffff },
        { 0, 0x8000000000000000 }, /* pseudo-denormal */
        { 1, 0x8000000000000000 },
        { 0x3fff, 0x8000000000000000 },
        { 0xbfff, 0x8000000000000000 },
        { 0x3fff, 0xc000000000000000 },
        { 0x4000, 0xa000000000000000 },
        { 0x7ffe, 0xffffffffffffffff },
        { 0x7fff, 0x8000000000000000 },
        { 0xffff, 0x8000000000000000 },
        { 0x7fff, 0xc000000000000000 },
        { 0xffff, 0xc000000000012345 },
        { 0x7fff, 0x8000000000012345 }, /* signalling */
        { 0x7fff, 0x4000000000000000 }, /* pseudo-NaN */
        { 0x4000, 0x4000000000000000 }, /* unnormal */
        { 0x403e, 0x8000000000000000 },
        { 0x403d, 0xffffffffffffffff },
        { 0x401e, 0x8000000000000000 },
        { 0x400e, 0xffff000000000000 },
        { 0x3ffe, 0xb504f333f9de6484 },
        { 0x407f, 0xffffff7fffffffff },
        { 0x3f80, 0xffffffffffffffff },
        { 0x43ff, 0x8000000000000000 },
        { 0x3c00, 0xfffffffffffffbff },
    };
    uint16_t exp;
    uint64_t man;

    switch (below(4)) {
    case 0:
        exp = (uint16_t)rand64();
        man = rand64() | UINT64_C(1) << 63;
        break;
    case 1:
        exp = (uint16_t)(0x3ff0 + below(32) + (below(2) << 15));
        man = rand64() | UINT64_C(1) << 63;
        break;
    default:
        exp = hard[below(G_N_ELEMENTS(hard))].exp;
        man = hard[below(G_N_ELEMENTS(hard))].man;
        if (below(2)) { /* as they belong together */
            unsigned i = below(G_N_ELEMENTS(hard));

            exp = hard[i].exp;
            man = hard[i].man;
        }
    }
    memcpy(p, &man, 8);
    memcpy(p + 8, &exp, 2);
}

/* 16 bytes of one kind. */
static void rand_vec(uint8_t *p)
{
    unsigned kind = below(4);

    for (unsigned i = 0; i < 16; i += 8) {
        uint64_t v = rand64();

        if (kind == 1) {
            v = rand_f32() | (uint64_t)rand_f32() << 32;
        } else if (kind == 2) {
            v = rand_f64();
        } else if (kind == 3) {
            v &= 0x0f0f0f0f0f0f0f0f; /* small numbers: counts, indices */
        }
        memcpy(p + i, &v, 8);
    }
}

static void rand_bytes(uint8_t *p, unsigned len)
{
    for (unsigned i = 0; i < len; i += 16) {
        if (below(8) == 0) {
            rand_f80(p + i);
        } else {
            rand_vec(p + i);
        }
    }
}

/* What operands reach, and the range of gathers now and then. */
static void rand_mem(uint8_t *mem, size_t operand)
{
    rand_bytes(mem + (operand & ~(size_t)15), 64);
    rand_bytes(mem + OPERAND + 0x800, 64);
    if (below(64) == 0) {
        rand_bytes(mem + OPERAND, 0x420);
    }
}

static uint32_t rand_mxcsr(void)
{
    uint32_t v = 0x1f80;

    if (below(2)) {
        v |= below(4) << 13;
    }
    if (below(3) == 0) {
        v |= below(2) << 6 | below(2) << 15;
    }
    if (below(6) == 0) {
        v &= ~(1u << (7 + below(6)));
    }
    if (below(2)) {
        v |= below(64);
    }
    return v;
}

/* ---- one instruction --------------------------------------------------------------- */

typedef struct Code {
    uint8_t b[32];
    unsigned len;
} Code;

static void put(Code *k, unsigned byte)
{
    k->b[k->len++] = (uint8_t)byte;
}

static unsigned rand_gpr(void)
{
    static const uint8_t usable[] = { R_RAX, R_RCX, R_RDX, R_RBX, R_RBP };

    return usable[below(sizeof(usable))];
}

/* A register number for an operand of this kind. */
static unsigned rand_reg(unsigned kind)
{
    switch (kind) {
    case OPK_G:
    case OPK_E:
    case OPK_R:
        return rand_gpr();
    case OPK_V:
    case OPK_W:
    case OPK_U:
    case OPK_H:
        return below(16);
    default:
        return below(8);
    }
}

/* How a memory operand is addressed. */
typedef enum Addressing { AT_RSI, AT_DISP8, AT_DISP32, AT_INDEX } Addressing;

typedef struct Fields {
    unsigned reg, rm, vvvv, index;
    bool mem, w, l, vsib, has_h, has_imm;
    Addressing at;
    int disp;
} Fields;

static void rand_addressing(Fields *f, const InsnRow *row)
{
    f->at = below(4);
    f->disp = f->at == AT_DISP8 ? 32 * ((int)below(7) - 3)
                                : 32 * ((int)below(40) - 20);
    /* Without alignment, any address; now and then over the end of a page. */
    if (!(row->attr & IA_ALIGN) && f->at != AT_RSI && below(2)) {
        f->disp += (int)below(f->at == AT_DISP8 ? 30 : 64);
    }
    if (f->at == AT_RSI) {
        f->disp = 0;
    }
}

static Fields rand_fields(const InsnRow *row)
{
    Fields f = { .w = below(2), .l = below(2) };
    unsigned kind = row->modrm & 0xff, value = row->modrm >> 8;

    f.mem = kind == MODRM_M || kind == MODRM_MN ||
            ((kind == MODRM_RM || kind == MODRM_RN) && below(2));
    rand_addressing(&f, row);
    f.reg = below(8);
    f.rm = below(8);
    for (int i = 0; i < 4; i++) {
        unsigned k = row->op[i].kind;

        switch (k) {
        case OPK_G:
        case OPK_V:
        case OPK_P:
            f.reg = rand_reg(k);
            break;
        case OPK_E:
        case OPK_R:
        case OPK_W:
        case OPK_U:
        case OPK_Q:
        case OPK_N:
        case OPK_STI:
            f.rm = rand_reg(k);
            break;
        case OPK_H:
            f.vvvv = below(16);
            f.has_h = true;
            break;
        case OPK_VSIB:
            f.vsib = true;
            break;
        case OPK_IMM:
        case OPK_L:
            f.has_imm = true;
            break;
        default:
            break;
        }
    }
    if (kind == MODRM_RN || kind == MODRM_MN || kind == MODRM_GN) {
        f.reg = value;
    }
    if (kind == MODRM_BYTE) {
        f.reg = value >> 3 & 7;
        f.rm = value & 7;
    }
    if (f.vsib) { /* three different ones */
        f.vvvv = (f.reg + 1 + below(7)) & 15;
        f.index = (f.reg + 8 + below(8)) & 15;
    }
    if (row->attr & (IA_W0 | IA_W1)) {
        f.w = row->attr & IA_W1;
    }
    if (row->attr & (IA_VEX_L0 | IA_VEX_L1)) {
        f.l = row->attr & IA_VEX_L1;
    }
    return f;
}

/* modrm, SIB, displacement: [rsi], with disp8, disp32, [rsi + r8 * 2 + disp32]. */
static void put_address(Code *k, const Fields *f)
{
    static const uint8_t mod[] = { 0x00, 0x40, 0x80, 0x80 };
    uint32_t disp = (uint32_t)f->disp;

    put(k, mod[f->at] | (f->reg & 7) << 3 | (f->at == AT_INDEX ? 4 : R_RSI));
    if (f->at == AT_INDEX) {
        put(k, 1 << 6 | (R_R8 & 7) << 3 | R_RSI);
    }
    for (int i = 0; i < (f->at == AT_RSI     ? 0
                         : f->at == AT_DISP8 ? 1
                                             : 4);
         i++) {
        put(k, disp >> 8 * i);
    }
}

static Code encode(const InsnRow *row, const Fields *f, uint8_t imm)
{
    static const uint8_t legacy[] = { 0, 0x66, 0xf3, 0xf2 };
    Code k = { .len = 0 };
    unsigned pfx = (unsigned)__builtin_ctz(row->prefixes);
    bool vex = row->map >= MAP_V2, rn = f->mem;
    bool sib = f->mem && f->at == AT_INDEX;
    unsigned r = f->reg >> 3, b = rn ? 0 : f->rm >> 3;
    unsigned x = f->vsib ? f->index >> 3 : sib;

    if (vex) {
        put(&k, 0xc4);
        put(&k, (!r << 7) | (!x << 6) | (!b << 5) | (row->map - MAP_V2 + 1));
        put(&k, f->w << 7 | (~f->vvvv & 15) << 3 | f->l << 2 | pfx);
    } else {
        if (legacy[pfx]) {
            put(&k, legacy[pfx]);
        }
        if (row->map == MAP_M1 ? x : r | b | x | f->w) {
            put(&k, 0x40 | f->w << 3 | r << 2 | x << 1 | b);
        }
        if (row->map != MAP_M1) {
            put(&k, 0x0f);
        }
        if (row->map == MAP_M38 || row->map == MAP_M3A) {
            put(&k, row->map == MAP_M38 ? 0x38 : 0x3a);
        }
    }
    put(&k, row->opcode);
    if (f->vsib) { /* [rsi + index * 1] */
        put(&k, (f->reg & 7) << 3 | 4);
        put(&k, (f->index & 7) << 3 | R_RSI);
    } else if (f->mem) {
        put_address(&k, f);
    } else if ((row->modrm & 0xff) != MODRM_NO) {
        put(&k, (f->reg & 7) << 3 | 0xc0 | (f->rm & 7));
    }
    if (f->has_imm) {
        put(&k, imm);
    }
    return k;
}

/* ---- both sides ------------------------------------------------------------------------ */

typedef struct Pair {
    const SimdTarget *t;
    HostState *h;
    uint8_t *mem, *code;
} Pair;

static void rand_x87(X86State *s, bool mmx)
{
    for (unsigned i = 0; i < 8; i++) {
        rand_f80(s->st[i]);
    }
    s->fcw = FCW_DEFAULT;
    if (below(3) == 0) {
        s->fcw = 0x7f | below(4) << 8 | below(4) << 10;
    }
    if (below(8) == 0 && !mmx) {
        s->fcw &= ~(1u << below(6));
    }
    s->fsw = (uint16_t)(below(8) << 11 | (below(16) & 7) << 8 |
                        (below(2) ? s->fcw & below(64) : 0));
    s->ftw = below(4) ? 0x7f : (uint8_t)below(256);
    if (below(2)) {
        s->ftw = (uint8_t)(0x7f << (s->fsw >> 11 & 7) |
                           0x7f >> (8 - (s->fsw >> 11 & 7)));
    }
}

static void rand_state(Pair *p, const InsnRow *row, const Fields *fl)
{
    X86State *s = p->t->s;

    p->t->reset(p->t->opaque);
    for (unsigned i = 0; i < 16; i++) {
        rand_vec(s->vec[i]);
        rand_vec(s->vec[i] + 16);
    }
    if (fl->vsib) {
        for (unsigned i = 0; i < 32; i += row->opcode & 1 ? 8 : 4) {
            uint64_t v = below(0x400);

            memcpy(s->vec[fl->index] + i, &v, row->opcode & 1 ? 8 : 4);
        }
    }
    s->mxcsr = rand_mxcsr();
    rand_x87(s, row->attr & IA_MMX);
    for (unsigned i = 0; i < N_GPR; i++) {
        s->gpr[i] = below(2) ? rand64() : below(20);
    }
    s->gpr[R_RSI] = p->t->base + OPERAND;
    s->gpr[R_RDI] = p->t->base + OPERAND + 0x800;
    s->gpr[R_R8] = (uint64_t)(32 * ((int64_t)below(16) - 8));
    s->rflags = 0x202 | (below(2) ? FL_ARITH : 0);
    rand_mem(p->mem, OPERAND + (size_t)fl->disp +
                         (fl->at == AT_INDEX ? 2 * s->gpr[R_R8] : 0));
    memcpy(p->t->mem, p->mem, MEM);
}

static void host_from_guest(Pair *p)
{
    const X86State *s = p->t->s;
    uint8_t *x = p->h->xsave;
    unsigned top = s->fsw >> 11 & 7;
    uint64_t bv = 7;

    memset(p->h, 0, sizeof(*p->h));
    memcpy(x, &s->fcw, 2);
    memcpy(x + 2, &s->fsw, 2);
    x[4] = s->ftw;
    memcpy(x + 24, &s->mxcsr, 4);
    for (unsigned i = 0; i < 8; i++) {
        memcpy(x + 32 + 16 * i, s->st[(top + i) & 7], 10);
    }
    for (unsigned i = 0; i < 16; i++) {
        memcpy(x + 160 + 16 * i, s->vec[i], 16);
        memcpy(x + 576 + 16 * i, s->vec[i] + 16, 16);
    }
    memcpy(x + 512, &bv, 8);
    memcpy(p->h->gpr, s->gpr, sizeof(p->h->gpr));
    p->h->gpr[R_RSI] = (uintptr_t)p->mem + OPERAND;
    p->h->gpr[R_RDI] = (uintptr_t)p->mem + OPERAND + 0x800;
    p->h->rflags = s->rflags;
}

static void hex(GString *out, const char *what, const uint8_t *a,
                const uint8_t *b, unsigned n)
{
    g_string_append_printf(out, "  %-8s guest ", what);
    for (unsigned i = n; i-- > 0;) {
        g_string_append_printf(out, "%02x", a[i]);
    }
    g_string_append(out, "\n           host  ");
    for (unsigned i = n; i-- > 0;) {
        g_string_append_printf(out, "%02x", b[i]);
    }
    g_string_append_c(out, '\n');
}

static void differ(GString *out, const char *what, unsigned n, const void *a,
                   const void *b, unsigned len)
{
    if (memcmp(a, b, len) != 0) {
        g_autofree char *name = g_strdup_printf("%s%u", what, n);

        hex(out, name, a, b, len);
    }
}

/* What is not the same, in words. */
static void compare(const Pair *p, const InsnRow *row, GString *out)
{
    X86State *s = p->t->s;
    const uint8_t *x = p->h->xsave;
    unsigned top = s->fsw >> 11 & 7;
    uint64_t keep = FL_ARITH & ~row->fl_undef;
    uint64_t ga = s->rflags & keep, ha = p->h->rflags & keep;

    for (unsigned i = 0; i < 16; i++) {
        differ(out, "xmm", i, s->vec[i], x + 160 + 16 * i, 16);
        differ(out, "ymmh", i, s->vec[i] + 16, x + 576 + 16 * i, 16);
    }
    differ(out, "mxcsr", 0, &s->mxcsr, x + 24, 4);
    differ(out, "fcw", 0, &s->fcw, x, 2);
    differ(out, "fsw", 0, &s->fsw, x + 2, 2);
    differ(out, "ftw", 0, &s->ftw, x + 4, 1);
    for (unsigned i = 0; i < 8; i++) {
        differ(out, "st", i, s->st[(top + i) & 7], x + 32 + 16 * i, 10);
    }
    for (unsigned i = 0; i < R_RSI; i++) {
        if (i != R_RSP) {
            differ(out, "gpr", i, &s->gpr[i], &p->h->gpr[i], 8);
        }
    }
    differ(out, "rflags", 0, &ga, &ha, 8);
    for (unsigned i = 0; i < MEM && memcmp(p->t->mem, p->mem, MEM); i += 16) {
        differ(out, "mem+", i, p->t->mem + i, p->mem + i, 16);
    }
}

/* The instruction trapped on the host: #XM here, nothing changed but MXCSR. */
static void compare_trap(const Pair *p, const X86State *before, int vector,
                         GString *out)
{
    X86State *s = p->t->s;
    uint32_t ours = s->mxcsr, theirs = host_fault_mxcsr;
    uint32_t huge = ~theirs >> 7 & 0x18 & theirs;

    if (vector != EXC_XM) {
        g_string_append_printf(out, "  the host traps, mxcsr %x\n", theirs);
        return;
    }
    if (huge) { /* PE of an unmasked overflow or underflow: see sem-sse-fp.c */
        ours &= ~0x20u;
        theirs &= ~0x20u;
    }
    differ(out, "mxcsr", 0, &ours, &theirs, 4);
    differ(out, "vec", 0, s->vec, before->vec, sizeof(s->vec));
    differ(out, "gpr", 0, s->gpr, before->gpr, 4 * sizeof(s->gpr[0]));
}

static bool run_both(Pair *p, const InsnRow *row, const Code *k,
                     const X86State *before, GString *out)
{
    int vector;

    memcpy(p->code, k->b, k->len);
    p->code[k->len] = 0xc3;
    if (sigsetjmp(host_fault, 1) == 0) {
        simd_host_call(p->h, p->code);
        vector = p->t->run(p->t->opaque, k->b, k->len);
        if (vector == EXC_UD && p->t->fewer) {
            memcpy(p->t->mem, p->mem, MEM); /* the host did write */
        } else if (vector >= 0) {
            g_string_append_printf(out, "  target: vector %d\n", vector);
        } else {
            compare(p, row, out);
        }
    } else {
        vector = p->t->run(p->t->opaque, k->b, k->len);
        compare_trap(p, before, vector, out);
    }
    return out->len == 0;
}

/* ---- all rows ----------------------------------------------------------------------------- */

static bool host_has(unsigned feature)
{
    switch (feature) {
    case FEAT_SSE3:
        return __builtin_cpu_supports("sse3");
    case FEAT_SSSE3:
        return __builtin_cpu_supports("ssse3");
    case FEAT_SSE4_1:
        return __builtin_cpu_supports("sse4.1");
    case FEAT_SSE4_2:
        return __builtin_cpu_supports("sse4.2");
    case FEAT_SSE4A:
        return __builtin_cpu_supports("sse4a");
    case FEAT_AVX:
        return __builtin_cpu_supports("avx");
    case FEAT_AVX2:
        return __builtin_cpu_supports("avx2");
    case FEAT_FMA:
        return __builtin_cpu_supports("fma");
    case FEAT_AES:
        return __builtin_cpu_supports("aes");
    case FEAT_PCLMULQDQ:
        return __builtin_cpu_supports("pclmul");
    case FEAT_F16C:
        return __builtin_cpu_supports("avx2"); /* always together */
    case FEAT_SHA_NI: {
        unsigned a = 7, b, c = 0, d;

        asm("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
        return b >> 29 & 1;
    }
    default:
        return true;
    }
}

/* FIP and FOP are no business of this test, nor is a general protection. */
static bool row_is_ours(const InsnRow *row)
{
    static const char *const others[] = {
        "FLDENV",  "FNSTENV",  "FNSAVE", "FRSTOR", "FXSAVE", "FXRSTOR",
        "LDMXCSR", "VLDMXCSR", "FLDCW",  "FNENI",  "FNDISI", "FNSETPM",
    };

    if (!(row->attr & (IA_X87 | IA_MMX | IA_SSE | IA_AVX)) ||
        row->attr & IA_I64 || !host_has(row->feature)) {
        return false;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(others); i++) {
        if (!strcmp(row->name, others[i])) {
            return false;
        }
    }
    return true;
}

static void report(const InsnRow *row, const Code *k, const X86State *before,
                   const GString *out)
{
    GString *text = g_string_new(NULL);

    g_string_append_printf(text, "%s:", row->name);
    for (unsigned i = 0; i < k->len; i++) {
        g_string_append_printf(text, " %02x", k->b[i]);
    }
    g_string_append_printf(text, "  mxcsr %x fcw %x fsw %x ftw %x\n%s",
                           before->mxcsr, before->fcw, before->fsw, before->ftw,
                           out->str);
    g_test_message("%s", text->str);
    g_string_free(text, true);
}

/* @rounds of one row. false: a difference, and it was reported. */
static bool run_row(Pair *p, const InsnRow *row, unsigned rounds)
{
    g_autofree X86State *before = g_new(X86State, 1);
    unsigned bad = 0;

    for (unsigned i = 0; i < rounds && bad < 2; i++) {
        Fields fl = rand_fields(row);
        Code k = encode(row, &fl, (uint8_t)below(256));
        g_autoptr(GString) out = g_string_new(NULL);

        rand_state(p, row, &fl);
        *before = *p->t->s;
        host_from_guest(p);
        if (!run_both(p, row, &k, before, out)) {
            report(row, &k, before, out);
            bad++;
        }
    }
    return bad == 0;
}

void simd_run_rows(const SimdTarget *t)
{
    const char *only = g_getenv("SIMD_ROW"), *n = g_getenv("SIMD_ROUNDS");
    const char *seed = g_getenv("SIMD_SEED");
    unsigned rounds = n ? (unsigned)atoi(n) : 300, bad_rows = 0, rows = 0;
    struct sigaction sa = { .sa_sigaction = on_sigfpe, .sa_flags = SA_SIGINFO };
    Pair p = { .t = t };

    rnd = g_rand_new_with_seed(seed ? (unsigned)atoi(seed) : 1);
    sigaction(SIGFPE, &sa, NULL);
    p.h = g_aligned_alloc0(1, sizeof(HostState), 64);
    p.mem = g_aligned_alloc0(1, MEM, 64);
    rand_bytes(p.mem, MEM);
    p.code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_assert_true(p.code != MAP_FAILED);
    for (unsigned id = 0; id < insn_row_count; id++) {
        const InsnRow *row = &insn_rows[id];

        if (row_is_ours(row) && (!only || !strcmp(only, row->name))) {
            rows++;
            bad_rows += !run_row(&p, row, rounds);
        }
    }
    g_test_message("%u of %u rows differ", bad_rows, rows);
    munmap(p.code, 4096);
    g_aligned_free(p.mem);
    g_aligned_free(p.h);
    g_rand_free(rnd);
    g_assert_cmpuint(bad_rows, ==, 0);
}
