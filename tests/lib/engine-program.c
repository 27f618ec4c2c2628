/* See engine-program.h. */
#include "util/osdep.h"
#include "tests/lib/engine-program.h"
#include "target-x86/cpuid.h"
#include "target-x86/flags.h"
#include "target-x86/operand.h"

unsigned program_random(unsigned n)
{
    return g_test_rand_int_range(0, n);
}

/* ---- one random instruction ------------------------------------------------------- */

static const uint8_t one_byte[] = {
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x08, 0x09, 0x0a, 0x0b, 0x10, 0x11,
    0x12, 0x13, 0x15, 0x18, 0x19, 0x1a, 0x1b, 0x1d, 0x20, 0x21, 0x22, 0x23,
    0x28, 0x29, 0x2a, 0x2b, 0x2d, 0x30, 0x31, 0x32, 0x33, 0x38, 0x39, 0x3a,
    0x3b, 0x3c, 0x3d, 0x50, 0x51, 0x52, 0x55, 0x56, 0x58, 0x59, 0x5a, 0x5d,
    0x63, 0x68, 0x69, 0x6a, 0x6b, 0x80, 0x81, 0x83, 0x84, 0x85, 0x86, 0x87,
    0x88, 0x89, 0x8a, 0x8b, 0x8d, 0x90, 0x91, 0x95, 0x98, 0x99, 0xa8, 0xa9,
    0xb0, 0xb4, 0xb8, 0xbe, 0xc0, 0xc1, 0xc6, 0xc7, 0xd0, 0xd1, 0xd2, 0xd3,
    0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfe, 0xff, 0x80, 0x81, 0x83, 0xc1, 0xd1,
    0xd3, 0xff, 0x40, 0x48, 0x70, 0x72, 0x74, 0x75, 0x76, 0x78, 0x7c, 0x7e,
    0x7f, 0x73, 0x71, 0x79, 0x7d,
};
static const uint8_t two_byte[] = {
    0x40, 0x42, 0x44, 0x45, 0x46, 0x48, 0x4c, 0x4f, 0x90, 0x92, 0x93, 0x94,
    0x95, 0x97, 0x98, 0x9c, 0x9e, 0x9f, 0xa3, 0xa4, 0xac, 0xaf, 0xb6, 0xb7,
    0xba, 0xbe, 0xbf, 0xc0, 0xc1, 0xc8, 0xca, 0x1f, 0x4d, 0x91, 0x99, 0xb0,
    0xa5, 0xad, 0xab, 0xb1, 0xb3, 0xb8, 0xbb, 0xbc, 0xbd,
};

/* A modrm byte and what follows it. */
static unsigned put_modrm(uint8_t *p, unsigned reg, bool code64)
{
    unsigned n = 0;

    switch (program_random(6)) {
    case 0: /* [base + disp8] */
        p[n++] = 0x40 | reg << 3 | BASE;
        p[n++] = program_random(120);
        break;
    case 1: /* [base + index * scale + disp32] */
        p[n++] = 0x84 | reg << 3;
        p[n++] = program_random(4) << 6 | INDEX << 3 | BASE;
        p[n++] = program_random(256);
        p[n++] = program_random(4);
        p[n++] = 0;
        p[n++] = 0;
        break;
    case 2: /* absolute */
        p[n++] = 0x04 | reg << 3;
        p[n++] = 0x25;
        p[n++] = program_random(256);
        p[n++] = program_random(8);
        p[n++] = EVM_DATA >> 16;
        p[n++] = EVM_DATA >> 24;
        break;
    default:
        p[n++] = 0xc0 | reg << 3 | program_random(8);
    }
    return n;
}

/* ---- SSE and AVX ------------------------------------------------------------------ */

/* Not these: control registers and state, addresses of their own, results that
 * hosts are free in. */
static bool simd_acceptable(const Insn *in)
{
    const InsnRow *row = &insn_rows[in->id];

    for (int i = 0; i < 4; i++) {
        if (row->op[i].kind == OPK_BX || row->op[i].kind == OPK_VSIB) {
            return false;
        }
    }
    return (row->attr & (IA_SSE | IA_AVX)) &&
           !(row->attr & (IA_MMX | IA_END)) && row->sem != sem_LDMXCSR &&
           row->sem != sem_VZEROALL && row->map != MAP_M1 && !in->vsib;
}

/* Prefixes and opcode of something that may be one. */
static unsigned simd_put(uint8_t *p, const Program *pr)
{
    static const uint8_t prefix[] = { 0, 0x66, 0xf3, 0xf2 };
    unsigned n = 0, pfx = program_random(4), map = 1;

    if (program_random(4) == 0) {
        map = 2 + program_random(2);
    }
    if (program_random(3) == 0) { /* registers 0 to 7; W and L any */
        p[n++] = 0xc4;
        p[n++] = 0xe0 | map;
        p[n++] = program_random(2) << 7 | (8 + program_random(8)) << 3 |
                 program_random(2) << 2 | pfx;
    } else {
        if (pfx) {
            p[n++] = prefix[pfx];
        }
        if (pr->code64 && program_random(3) == 0) {
            p[n++] = 0x40 | program_random(2) << 3 | program_random(2) << 2;
        }
        p[n++] = 0x0f;
        if (map > 1) {
            p[n++] = map == 2 ? 0x38 : 0x3a;
        }
    }
    p[n++] = program_random(256);
    return n;
}

void program_allow_simd(Evm *vm)
{
    vm->c->s.cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    vm->c->s.xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
    x86_update_mode(vm->c);
}

static bool program_has(const Program *pr, const InsnRow *row)
{
    return (!pr->model || cpu_model_has(pr->model, row->feature)) &&
           !(pr->but && g_strv_contains(pr->but, row->name));
}

/* Whether the decoded instruction may be used as it is. */
static bool acceptable(const Insn *in, const Program *pr)
{
    const InsnRow *row = &insn_rows[in->id];

    if (!row->sem || !program_has(pr, row) ||
        row->attr & (IA_PRIV | IA_END | IA_STRING | IA_IO | IA_X87) ||
        (row->attr & IA_JUMP && !(row->attr & IA_COND)) ||
        row->fl_read & pr->undefined || in->seg >= S_FS ||
        row->sem == sem_LEAVE || row->sem == sem_ENTER) {
        return false;
    }
    for (int i = 0; i < 4; i++) {
        unsigned size = row->op[i].kind == OPK_NONE ? 0 : op_size(in, i);
        unsigned r;

        switch (row->op[i].kind) {
        case OPK_G:
            r = in->reg;
            break;
        case OPK_E:
        case OPK_R:
        case OPK_Z:
            if (in->is_mem && row->op[i].kind == OPK_E) {
                continue;
            }
            r = in->rm;
            break;
        case OPK_SEG:
        case OPK_MOFFS:
        case OPK_FAR:
            return false;
        default:
            continue;
        }
        r = size == 1 && (r & INSN_HIGH) ? r & 3 : r & 15;
        if (r == BASE || r == INDEX || r == R_RSP) {
            return false;
        }
    }
    /* The address: only ours. BT with a register bit offset goes far. */
    if (in->is_mem && !(row->attr & IA_HINT)) {
        if ((in->base != BASE && in->base != INSN_NONE) ||
            (in->index != INDEX && in->index != INSN_NONE)) {
            return false;
        }
        bool bits = row->sem == sem_BT || row->sem == sem_BTS ||
                    row->sem == sem_BTR || row->sem == sem_BTC;

        if ((bits && row->op[1].kind == OPK_G) || in->adsize == 1) {
            return false;
        }
        if (in->base == INSN_NONE
                ? in->disp < EVM_DATA || in->disp >= EVM_DATA + 0x800 ||
                      in->index != INSN_NONE
                : in->disp < 0 || in->disp >= 0x800) {
            return false;
        }
    }
    return true;
}

/* Now and then what goes before a division, so that its quotient may fit:
 * CDQ or XOR EDX, EDX. */
static bool program_division(Program *pr)
{
    if (program_random(16)) {
        return false;
    }
    if (program_random(2)) {
        pr->code[pr->len++] = 0x99;
    } else {
        pr->code[pr->len++] = 0x31;
        pr->code[pr->len++] = 0xd2;
        pr->undefined = FL_AF;
        pr->ever |= FL_AF;
    }
    pr->n++;
    return true;
}

void program_add(Program *pr)
{
    for (;;) {
        uint8_t *p = pr->code + pr->len;
        unsigned n = 0;
        bool simd;
        Insn in;

        if (program_division(pr)) {
            return;
        }
        simd = pr->simd && program_random(3);
        if (!simd && program_random(5) == 0) {
            p[n++] = 0x66;
        }
        if (!simd && program_random(12) == 0) {
            p[n++] = 0xf3;
        }
        if (!simd && pr->code64 && program_random(2)) {
            p[n++] = 0x40 | (program_random(2) ? 8 : 0) |
                     (program_random(4) ? 0 : 4) | (program_random(4) ? 0 : 1);
        }
        if (simd) {
            n = simd_put(p, pr);
        } else if (program_random(3) == 0) {
            p[n++] = 0x0f;
            p[n++] = two_byte[program_random(G_N_ELEMENTS(two_byte))];
        } else {
            p[n++] = one_byte[program_random(G_N_ELEMENTS(one_byte))];
        }
        n += put_modrm(p + n, program_random(8), pr->code64);
        for (unsigned i = 0; i < 8; i++) {
            p[n + i] = program_random(3)   ? program_random(256)
                       : program_random(2) ? 0
                                           : 0xff;
        }
        if (decode_insn(p, 15, pr->code64 ? 64 : 32, &in) != DECODE_OK ||
            !acceptable(&in, pr) || (simd && !simd_acceptable(&in))) {
            continue;
        }
        n = in.len;
        if (insn_rows[in.id].attr & IA_COND) {
            if (insn_rows[in.id].op[0].size != OPS_B || in.opsize == 1) {
                continue;
            }
            p[n - 1] = 0; /* taken or not, on it goes, in a new block */
        }
        pr->undefined &= ~insn_rows[in.id].fl_write;
        pr->undefined |= insn_rows[in.id].fl_undef;
        pr->ever |= pr->undefined;
        pr->len += n;
        pr->n++;
        return;
    }
}

/* ---- both ways ----------------------------------------------------------------------- */

void outcome_start(Evm *vm, const Outcome *o)
{
    memcpy(vm->c->s.gpr, o->s.gpr, sizeof(o->s.gpr));
    vm->c->s.rip = EVM_CODE;
    vm->c->s.rflags = o->s.rflags;
    memcpy(vm->c->s.vec, o->s.vec, sizeof(o->s.vec));
    vm->c->s.mxcsr = o->s.mxcsr;
    memcpy(evm_ptr(vm, EVM_DATA), o->data, DATA_SIZE);
    memcpy(evm_ptr(vm, EVM_STACK - 512), o->stack, sizeof(o->stack));
}

void outcome_take(Evm *vm, Outcome *o)
{
    o->s = vm->c->s;
    memcpy(o->data, evm_ptr(vm, EVM_DATA), DATA_SIZE);
    memcpy(o->stack, evm_ptr(vm, EVM_STACK - 512), sizeof(o->stack));
}

/* Noise, or numbers that can be computed with. */
static void program_vector(uint8_t *v)
{
    for (int i = 0; i < 32; i++) {
        v[i] = program_random(256);
    }
    for (int i = 0; i < 32 && program_random(2); i += 8) {
        double d = (program_random(2000) - 1000.0) / (1 + program_random(9));
        float f[2] = { (float)d, (float)(d / 3) };

        memcpy(v + i, program_random(2) ? (void *)&d : (void *)f, 8);
    }
}

void program_start(Outcome *o, bool code64)
{
    static const uint64_t corner[] = {
        0,          1,          UINT64_MAX, 0x80,      0x7f,
        0x8000,     0x80000000, 0x7fffffff, INT64_MAX, (uint64_t)INT64_MIN,
        0xffffffff, 63
    };

    memset(o, 0, sizeof(*o));
    for (int i = 0; i < 16; i++) {
        o->s.gpr[i] = program_random(3)
                          ? (uint64_t)g_test_rand_int() << 32 |
                                (uint32_t)g_test_rand_int()
                          : corner[program_random(G_N_ELEMENTS(corner))];
        if (!code64) {
            o->s.gpr[i] = i < 8 ? (uint32_t)o->s.gpr[i] : 0;
        }
    }
    o->s.mxcsr = program_random(4) ? 0x1f80 | program_random(64)
                                   : 0x1f80 | (g_test_rand_int() & 0xe07f);
    for (int i = 0; i < 16; i++) {
        program_vector(o->s.vec[i]);
    }
    o->s.gpr[BASE] = EVM_DATA + program_random(64);
    o->s.gpr[INDEX] = program_random(32);
    o->s.gpr[R_RSP] = EVM_STACK;
    o->s.rflags = 2 | (g_test_rand_int() & FL_ARITH);
    for (int i = 0; i < DATA_SIZE; i++) {
        o->data[i] = program_random(256);
    }
}

void outcome_show(const Program *pr, const Outcome *a, const Outcome *b)
{
    static const char *const names[] = { "rax", "rcx", "rdx", "rbx",
                                         "rsp", "rbp", "rsi", "rdi",
                                         "r8",  "r9",  "r10", "r11",
                                         "r12", "r13", "r14", "r15" };

    g_autoptr(GString) text = g_string_new(NULL);

    for (unsigned at = 0; at < pr->len;) {
        Insn in;

        decode_insn(pr->code + at, 15, pr->code64 ? 64 : 32, &in);
        g_string_append_printf(text, "%3x: %s ", at, insn_rows[in.id].name);
        for (unsigned i = 0; i < in.len; i++) {
            g_string_append_printf(text, "%02x", pr->code[at + i]);
        }
        g_string_append(text, "\n");
        at += in.len;
    }
    g_test_message("%s", text->str);
    for (int i = 0; i < 16; i++) {
        if (a->s.gpr[i] != b->s.gpr[i]) {
            g_test_message("%s: blocks %016" PRIx64 " steps %016" PRIx64,
                           names[i], a->s.gpr[i], b->s.gpr[i]);
        }
    }
    for (int i = 0; i < 16 * 32; i++) {
        if (a->s.vec[i / 32][i % 32] != b->s.vec[i / 32][i % 32]) {
            g_test_message("ymm%d byte %d: %02x %02x", i / 32, i % 32,
                           a->s.vec[i / 32][i % 32], b->s.vec[i / 32][i % 32]);
        }
    }
    if (a->s.mxcsr != b->s.mxcsr) {
        g_test_message("mxcsr %x %x", a->s.mxcsr, b->s.mxcsr);
    }
    g_test_message("rip %" PRIx64 " %" PRIx64 " rflags %" PRIx64 " %" PRIx64
                   " undefined %x",
                   a->s.rip, b->s.rip, a->s.rflags, b->s.rflags, pr->undefined);
    for (int i = 0; i < DATA_SIZE; i++) {
        if (a->data[i] != b->data[i]) {
            g_test_message("data %x: %02x %02x", i, a->data[i], b->data[i]);
        }
    }
}

bool outcome_equal(const Program *pr, const Outcome *a, const Outcome *b)
{
    uint64_t mask =
        ~(uint64_t)(a->vector == EVM_HALT ? pr->undefined : pr->ever);

    return a->vector == b->vector && a->s.rip == b->s.rip &&
           !memcmp(a->s.gpr, b->s.gpr, sizeof(a->s.gpr)) &&
           !memcmp(a->s.vec, b->s.vec, sizeof(a->s.vec)) &&
           a->s.mxcsr == b->s.mxcsr &&
           (a->s.rflags & mask) == (b->s.rflags & mask) &&
           !memcmp(a->data, b->data, sizeof(a->data)) &&
           (a->vector != EVM_HALT || /* else the frame is there */
            !memcmp(a->stack, b->stack, sizeof(a->stack)));
}
