/* See insn-gen.h. */
#include "util/osdep.h"
#include "tests/lib/insn-gen.h"

enum { STACK_AT = HOST_MEM + 0x1800 }; /* where rSP starts */

/* ---- random values ---------------------------------------------------------------- */

static uint64_t rng_state;

uint64_t gen_random(void) /* xorshift64* */
{
    rng_state ^= rng_state >> 12;
    rng_state ^= rng_state << 25;
    rng_state ^= rng_state >> 27;
    return rng_state * UINT64_C(0x2545f4914f6cdd1d);
}

void gen_seed(uint64_t seed)
{
    rng_state = seed * 2 + 1;
}

bool gen_one_in(unsigned n)
{
    return (gen_random() >> 32) % n == 0;
}

unsigned gen_below(unsigned n)
{
    return (gen_random() >> 32) % n;
}

static uint64_t some_integer(void)
{
    static const uint64_t edges[] = {
        0,
        1,
        2,
        0x7f,
        0x80,
        0x81,
        0xff,
        0x100,
        0x7fff,
        0x8000,
        0xffff,
        0x10000,
        0x7fffffff,
        0x80000000,
        0xffffffff,
        UINT64_C(0x100000000),
        INT64_MAX,
        UINT64_C(1) << 63,
        UINT64_MAX,
        UINT64_MAX - 1,
        UINT64_C(0x5555555555555555),
        UINT64_C(0x0123456789abcdef),
    };

    switch (gen_below(4)) {
    case 0:
        return edges[gen_below(G_N_ELEMENTS(edges))];
    case 1:
        return gen_random() >> gen_below(64);
    default:
        return gen_random();
    }
}

static uint32_t some_float(void)
{
    static const uint32_t edges[] = {
        0x00000000, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000,
        0x7fc00000, 0xffc00000, 0x7f800001, 0xff812345, 0x00000001, 0x807fffff,
        0x00800000, 0x7f7fffff, 0xff7fffff, 0x4f000000, 0xcf000000, 0x5f000000,
        0x4effffff, 0x3effffff, 0x3f000000, 0x4b000001, 0x33800000, 0x40490fdb,
    };

    if (gen_one_in(2)) {
        return edges[gen_below(G_N_ELEMENTS(edges))];
    }
    return gen_one_in(3) ? gen_random() >> 32
                         : (uint32_t)(gen_random() >> 41) |
                               (100 + gen_below(55)) << 23 | gen_below(2) << 31;
}

static uint64_t some_double(void)
{
    static const uint64_t edges[] = {
        0,
        UINT64_C(0x8000000000000000),
        UINT64_C(0x3ff0000000000000),
        UINT64_C(0xbff0000000000000),
        UINT64_C(0x7ff0000000000000),
        UINT64_C(0xfff0000000000000),
        UINT64_C(0x7ff8000000000000),
        UINT64_C(0xfff8000000000000),
        UINT64_C(0x7ff0000000000001),
        UINT64_C(0xfff4123400000000),
        1,
        UINT64_C(0x800fffffffffffff),
        UINT64_C(0x0010000000000000),
        UINT64_C(0x7fefffffffffffff),
        UINT64_C(0x41dfffffffc00000),
        UINT64_C(0xc1e0000000000000),
        UINT64_C(0x43e0000000000000),
        UINT64_C(0xc3e0000000000000),
        UINT64_C(0x3fe0000000000000),
        UINT64_C(0x4330000000000001),
        UINT64_C(0x36a0000000000000),
        UINT64_C(0x47efffffe0000000),
        UINT64_C(0x400921fb54442d18),
    };

    if (gen_one_in(2)) {
        return edges[gen_below(G_N_ELEMENTS(edges))];
    }
    return gen_one_in(3)
               ? gen_random()
               : (gen_random() >> 12) | (uint64_t)(1000 + gen_below(48)) << 52 |
                     (uint64_t)gen_below(2) << 63;
}

static void some_extended(uint8_t p[10])
{
    static const struct {
        uint64_t m;
        uint16_t se;
    } edges[] = {
        { 0, 0 },
        { 0, 0x8000 },
        { UINT64_C(1) << 63, 0x3fff },
        { UINT64_C(1) << 63, 0xbfff },
        { UINT64_C(1) << 63, 0x7fff },
        { UINT64_C(1) << 63, 0xffff },
        { UINT64_C(3) << 62, 0x7fff },
        { UINT64_C(3) << 62, 0xffff },
        { UINT64_C(1) << 63 | 5, 0x7fff },
        { 1, 0 },
        { UINT64_C(1) << 62, 0x8000 },
        { UINT64_C(1) << 63, 0 },
        { UINT64_C(1) << 62, 0x3fff },
        { 0, 0x7fff },
        { 5, 0x7fff },
        { UINT64_MAX, 0x7ffe },
        { UINT64_C(1) << 63, 1 },
        { UINT64_C(0xc90fdaa22168c235), 0x4000 },
        { UINT64_MAX, 0x403d },
        { UINT64_C(1) << 63, 0x403e },
        { UINT64_C(1) << 63, 0xc03e },
        { UINT64_C(0x8000000000000001), 0x401e },
        { UINT64_C(0xb504f333f9de6484), 0x3ffe },
    };
    uint64_t m = gen_random() | UINT64_C(1) << 63;
    uint16_t se = (0x3fff - 70 + gen_below(140)) | gen_below(2) << 15;

    if (gen_one_in(2)) {
        unsigned i = gen_below(G_N_ELEMENTS(edges));

        m = edges[i].m;
        se = edges[i].se;
    } else if (gen_one_in(6)) {
        m = gen_random();
        se = gen_random();
    }
    memcpy(p, &m, 8);
    memcpy(p + 8, &se, 2);
}

/* Vectors hold one kind of thing each, more or less. */
static void some_bytes(uint8_t *p, unsigned n)
{
    unsigned kind = gen_below(4);

    for (unsigned i = 0; i < n; i += 8) {
        uint64_t v = kind == 0   ? some_integer()
                     : kind == 1 ? some_double()
                     : kind == 2 ? some_float() | (uint64_t)some_float() << 32
                                 : gen_random();

        memcpy(p + i, &v, 8);
    }
}

/* ---- encodings ----------------------------------------------------------------------- */

typedef struct Code {
    uint8_t p[24];
    unsigned n;
    unsigned bits;
    uint64_t target; /* of the memory operand */
    bool absolute;   /* base and index have no say */
    bool steady;     /* base registers as gen_block() prepares them */
} Code;

static void put(Code *c, uint8_t b)
{
    c->p[c->n++] = b;
}

static void put_n(Code *c, uint64_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        put(c, v >> 8 * i);
    }
}

bool row_has_operand(const InsnRow *row, OpKind kind)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(row->op); i++) {
        if (row->op[i].kind == kind) {
            return true;
        }
    }
    return false;
}

static void put_prefixes(Code *c, const InsnRow *row)
{
    bool any = row->prefixes == 0xf;

    if ((any || row->prefixes == 3) && gen_one_in(4)) {
        put(c, 0x66);
    }
    if (c->bits == 64 && gen_one_in(12) && !c->steady) {
        put(c, 0x67);
    }
    if (any && row->attr & IA_STRING && !gen_one_in(3)) {
        put(c, gen_one_in(2) ? 0xf2 : 0xf3);
    }
    if (row->attr & IA_LOCK && gen_one_in(5)) {
        put(c, 0xf0);
    }
}

static void put_vex(Code *c, const InsnRow *row)
{
    unsigned rxb = c->bits == 64 ? gen_below(8) : 0;
    unsigned pp = __builtin_ctz(row->prefixes);
    bool w = row->attr & IA_W1 || (!(row->attr & IA_W0) && gen_one_in(2));
    bool l =
        row->attr & IA_VEX_L1 || (!(row->attr & IA_VEX_L0) && gen_one_in(2));
    unsigned vvvv =
        row->attr & IA_VEX_NOVVVV ? 0 : gen_below(c->bits == 64 ? 16 : 8);
    uint8_t last = pp | l << 2 | (~vvvv & 15) << 3;

    if (row->map == MAP_V2 && !w && !(rxb & 3) && gen_one_in(2)) {
        put(c, 0xc5);
        put(c, last | (rxb & 4 ? 0 : 0x80));
    } else {
        put(c, 0xc4);
        put(c, (~rxb & 7) << 5 | (row->map - MAP_V2 + 1));
        put(c, last | w << 7);
    }
}

static void put_opcode(Code *c, const InsnRow *row)
{
    static const uint8_t mandatory[] = { 0, 0x66, 0xf3, 0xf2 };
    unsigned prefix = __builtin_ctz(row->prefixes);
    uint8_t rex = c->bits == 64 && gen_one_in(2) ? 0x40 | gen_below(16) : 0;

    put_prefixes(c, row);
    if (row->map >= MAP_V2) {
        put_vex(c, row);
        put(c, row->opcode);
        return;
    }
    if (mandatory[prefix]) {
        put(c, mandatory[prefix]);
    }
    if (row->attr & IA_W1) {
        rex |= 0x48;
    } else if (row->attr & IA_W0) {
        rex &= ~8;
    }
    if (rex) {
        put(c, rex);
    }
    if (row->map != MAP_M1) {
        put(c, 0x0f);
    }
    if (row->map >= MAP_M38) {
        put(c, row->map == MAP_M38 ? 0x38 : 0x3a);
    }
    put(c, row->opcode + (row->attr & IA_PLUS_R ? gen_below(8) : 0));
}

/* The memory window, mostly its middle; seldom its ends. */
static uint64_t some_target(void)
{
    switch (gen_below(16)) {
    case 0:
        return HOST_MEM + HOST_MEM_SIZE - gen_below(40);
    case 1:
        return HOST_MEM + 24 - gen_below(48);
    case 2:
    case 3:
        return HOST_MEM + 0x400 + gen_below(0x800);
    case 4:
        return HOST_MEM + 0xff0 + gen_below(32); /* crosses pages */
    default:
        return HOST_MEM + 0x400 + gen_below(32) * 64;
    }
}

static void put_memory(Code *c, const InsnRow *row, unsigned reg)
{
    bool vsib = row_has_operand(row, OPK_VSIB);
    unsigned mod = gen_below(3), rm = vsib ? 4 : gen_below(8),
             index = gen_below(8);
    unsigned base = gen_below(8), disp = mod == 1 ? 1 : mod == 2 ? 4 : 0;

    if (mod == 0 && rm == 5 && c->bits == 64) {
        rm = 3; /* RIP-relative: tests/insn/test-engine.c */
    }
    put(c, mod << 6 | reg << 3 | rm);
    if (rm == 4) {
        while (index == base && !vsib) {
            index = gen_below(8);
        }
        put(c, gen_below(4) << 6 | index << 3 | base);
        if (base == 5 && mod == 0) {
            c->absolute = true;
            disp = 4;
        }
    } else if (rm == 5 && mod == 0) {
        c->absolute = true;
        disp = 4;
    }
    if (c->absolute) {
        put_n(c, c->target, 4);
    } else {
        put_n(c, disp == 1 ? gen_random() : gen_below(8192) - UINT64_C(4096),
              disp);
    }
}

/* [rbx], [r11], plus [rbp] or [r13], or on the stack: registers that blocks
 * leave alone. */
static void put_steady_memory(Code *c, unsigned reg)
{
    bool wide = gen_one_in(2);
    int32_t disp =
        wide ? (int)gen_below(64) * 32 - 1024 : (int)gen_below(16) * 16 - 128;
    uint8_t mod = wide ? 0x80 : 0x40;

    if (gen_one_in(16)) {
        disp += gen_below(16);
    }
    switch (gen_below(4)) {
    case 0:
        put(c, mod | reg << 3 | 4);
        put(c, 0x24); /* [rsp] or [r12] */
        break;
    case 1:
        put(c, mod | reg << 3 | 4);
        put(c, gen_below(4) << 6 | 5 << 3 | 3);
        break;
    default:
        put(c, mod | reg << 3 | 3);
    }
    put_n(c, disp, wide ? 4 : 1);
}

static void put_modrm(Code *c, const InsnRow *row)
{
    unsigned kind = row->modrm & 0xff, value = row->modrm >> 8;
    bool fixed = kind == MODRM_RN || kind == MODRM_MN || kind == MODRM_GN;
    unsigned reg = fixed ? value : gen_below(8);
    bool mem = kind == MODRM_M || kind == MODRM_MN ||
               ((kind == MODRM_RM || kind == MODRM_RN) && gen_one_in(2));

    if (kind == MODRM_NO) {
        return;
    }
    if (kind == MODRM_BYTE) {
        put(c, value);
    } else if (mem && c->steady) {
        put_steady_memory(c, reg);
    } else if (mem) {
        put_memory(c, row, reg);
    } else {
        put(c, 0xc0 | reg << 3 | gen_below(8));
    }
}

static void put_immediates(Code *c, const InsnRow *row)
{
    if (row_has_operand(row, OPK_MOFFS)) {
        put_n(c, c->target, 8);
    } else if (row->opcode == 0xc8 && row->map == MAP_M1) { /* ENTER */
        put_n(c, gen_below(64), 2);
        put(c, gen_one_in(3) ? gen_below(32) : 0);
    } else if (row_has_operand(row, OPK_REL)) {
        put_n(c, gen_below(120), 4);
    } else {
        put_n(c, some_integer(), 8); /* more than is needed */
    }
}

/* ---- operands ---------------------------------------------------------------------------- */

bool insn_is(const Insn *in, const char *list)
{
    const char *name = insn_rows[in->id].name;
    size_t n = strlen(name);

    for (const char *p = strstr(list, name); p; p = strstr(p + 1, name)) {
        if ((p == list || p[-1] == ' ') && (p[n] == 0 || p[n] == ' ')) {
            return true;
        }
    }
    return false;
}

static void fill_x87(HostState *s)
{
    uint16_t fcw =
        gen_one_in(4) ? gen_random() & 0xf3f : 0x37f | gen_below(4) << 10;
    uint16_t fsw = gen_random() & 0x7f00,
             flags = gen_one_in(4) ? gen_random() & 0x7f : 0;
    uint8_t ftw = gen_one_in(3) ? 0xff : gen_random();

    fcw |= 0x40;
    if (gen_one_in(8)) {
        fcw = (fcw & ~0x3f) | (gen_random() & 0x3f); /* unmasked exceptions */
    }
    fsw = (fsw & 0x7f00) | flags;
    if (flags & ~fcw & 0x3f) {
        fsw |= 0x8080; /* B and ES say that one is pending */
    }
    if (gen_one_in(2)) {
        ftw = 0xff;
    }
    memset(s->fx, 0, sizeof(s->fx));
    memcpy(s->fx, &fcw, 2);
    memcpy(s->fx + 2, &fsw, 2);
    s->fx[4] = ftw;
    for (unsigned i = 0; i < 8; i++) {
        some_extended(s->fx + 32 + 16 * i);
    }
}

static void fill_mxcsr(HostState *s)
{
    uint32_t mxcsr = 0x1f80;

    if (gen_one_in(3)) {
        mxcsr |= gen_random() & 0xe07f; /* rounding, FTZ, DAZ, old flags */
    }
    if (gen_one_in(8)) {
        mxcsr = (mxcsr & ~0x1f80u) | (gen_random() & 0x1f80);
    }
    memcpy(s->fx + 24, &mxcsr, 4);
}

/* A little of the memory is new for each instruction. */
static void fill_mem(HostState *s)
{
    static uint8_t mem[HOST_MEM_SIZE];
    unsigned at = gen_below(HOST_MEM_SIZE / 1024) * 1024;

    for (unsigned i = at; i < at + 1024; i += 64) {
        some_bytes(mem + i, 64);
    }
    memcpy(s->mem, mem, HOST_MEM_SIZE);
}

static void fill_state(HostState *s)
{
    for (unsigned i = 0; i < 16; i++) {
        s->gpr[i] = some_integer();
        some_bytes(s->ymm[i], 32);
    }
    s->gpr[R_RSP] = STACK_AT - 8 * gen_below(16);
    s->rflags = (gen_random() & (FL_ARITH | FL_DF)) | FL_IF | 2;
    if (gen_one_in(2)) {
        s->rflags &= ~(uint64_t)FL_DF;
    }
    fill_mem(s);
    fill_x87(s);
    fill_mxcsr(s);
}

/* Registers such that the memory operand is at c->target. */
static void aim(HostState *s, const Insn *in, const Code *c)
{
    uint64_t off = (int64_t)in->disp;

    if (!in->is_mem || in->base >= 16) {
        if (in->is_mem && in->index < 16 && !in->vsib) {
            s->gpr[in->index] = 0;
        }
    } else {
        if (in->index < 16 && !in->vsib) {
            s->gpr[in->index] = gen_below(4096);
            off += s->gpr[in->index] << in->scale;
        }
        s->gpr[in->base] = c->target - off;
    }
    if (in->vsib) { /* offsets around the target, and a few masks */
        for (unsigned i = 0; i < 32; i++) {
            s->ymm[in->index][i] = i % 8 == 0 ? gen_below(16) : 0;
            if (gen_one_in(2)) {
                s->ymm[in->index][i & ~3u] = gen_below(16);
            }
        }
    }
}

/* An element of a string, a stack frame, a bit string. */
static void aim_special(HostState *s, const Insn *in)
{
    const InsnRow *row = &insn_rows[in->id];
    uint64_t high =
        in->adsize == 2 && in->code64 && gen_one_in(2) ? gen_random() << 32 : 0;

    if (row->attr & IA_STRING) {
        s->gpr[R_RSI] = some_target() | high;
        s->gpr[R_RDI] = gen_one_in(4) ? s->gpr[R_RSI] + gen_below(9) - 4
                                      : some_target() | high;
        s->gpr[R_RCX] = (gen_one_in(4) ? gen_below(64) : gen_below(5)) | high;
    }
    if (insn_is(in, "XLAT")) {
        s->gpr[R_RBX] = some_target() - (uint8_t)s->gpr[R_RAX];
    }
    if (insn_is(in, "MASKMOVQ MASKMOVDQU VMASKMOVDQU")) {
        s->gpr[R_RDI] = HOST_MEM + 0x400 + gen_below(0x800);
    }
    if (insn_is(in, "ENTER LEAVE")) {
        s->gpr[R_RBP] = STACK_AT + 256 - 8 * gen_below(8);
    }
    if (insn_is(in, "BT BTS BTR BTC") && in->is_mem &&
        row->op[1].kind == OPK_G && in->reg != in->base &&
        in->reg != in->index) {
        s->gpr[in->reg] = (int64_t)gen_below(4096) - 2048;
    }
    if (insn_is(in, "DIV IDIV") && !gen_one_in(4)) {
        s->gpr[R_RDX] = gen_one_in(2) ? 0 : (int64_t)s->gpr[R_RAX] >> 63;
        if (in->opsize == 1) {
            s->gpr[R_RDX] = gen_below(3) - 1;
        }
    }
    if (insn_is(in, "LOOP LOOPE LOOPNE JRCXZ") && gen_one_in(2)) {
        s->gpr[R_RCX] = gen_below(3);
    }
}

/* What the memory operand should be, to be interesting or safe. */
static void fill_operand(HostState *s, const Insn *in, uint64_t target)
{
    uint8_t *p = s->mem + (target - HOST_MEM);

    if (target < HOST_MEM || target > HOST_MEM + HOST_MEM_SIZE - 512) {
        return;
    }
    if (insn_is(in, "CMPXCHG") && in->is_mem && gen_one_in(2)) {
        memcpy(p, &s->gpr[R_RAX], 8);
    }
    if (insn_is(in, "CMPXCHG8B CMPXCHG16B") && gen_one_in(2)) {
        unsigned n = insn_is(in, "CMPXCHG8B") ? 4 : 8;

        memcpy(p, &s->gpr[R_RAX], n);
        memcpy(p + n, &s->gpr[R_RDX], n);
    }
    if (insn_is(in, "LDMXCSR VLDMXCSR FXRSTOR") && !gen_one_in(4)) {
        uint8_t *mxcsr = insn_is(in, "FXRSTOR") ? p + 24 : p;

        mxcsr[1] |= 0x1f;
        mxcsr[2] = mxcsr[3] = 0;
    }
    if (row_has_operand(&insn_rows[in->id], OPK_M)) {
        unsigned size = insn_rows[in->id].op[1].size;

        if (size == OPS_T || insn_rows[in->id].op[0].size == OPS_T) {
            some_extended(p);
        }
        if (insn_is(in, "FBLD") && !gen_one_in(3)) {
            for (unsigned i = 0; i < 9; i++) {
                p[i] = gen_below(10) << 4 | gen_below(10);
            }
            p[9] = gen_below(2) << 7;
        }
    }
    if (insn_is(in, "JMP CALL") && in->is_mem && !gen_one_in(6)) {
        uint64_t v = HOST_CODE + 0x100 + gen_below(256);

        memcpy(p, &v, 8);
    }
}

static void fill_stack(HostState *s, const Insn *in)
{
    uint64_t sp = s->gpr[R_RSP] - HOST_MEM;
    uint64_t v = HOST_CODE + 0x100 + gen_below(256);

    if (sp > HOST_MEM_SIZE - 64) {
        return;
    }
    if (insn_is(in, "RET") && !gen_one_in(6)) {
        memcpy(s->mem + sp, &v, 8);
    }
    if (insn_is(in, "POPF")) {
        for (unsigned i = 0; i < 8; i += 2) { /* no TF, NT, RF, VM, AC, ID */
            s->mem[sp + i] &= 0xff;
            s->mem[sp + i + 1] &= ~(0x41 | 0x30);
        }
        s->mem[sp + 2] = s->mem[sp + 3] = 0;
        s->mem[sp + 4] = s->mem[sp + 5] = s->mem[sp + 6] = s->mem[sp + 7] = 0;
    }
    if (insn_is(in, "JMP CALL") && !in->is_mem &&
        row_has_operand(&insn_rows[in->id], OPK_E) && !gen_one_in(6)) {
        s->gpr[in->rm] = v;
    }
}

/* ---- which rows ------------------------------------------------------------------------------- */

/* Besides privileged rows; they have tests of their own. */
static const char skipped[] =
    "CALLF JMPF RETF IRET INT INT3 INTO ICEBP SYSCALL SYSRET SYSENTER SYSEXIT "
    "CPUID RDTSC RDTSCP RDPMC RDRAND RDSEED RDPID MONITOR MWAIT CLAC STAC "
    "LDS LES LSS LFS LGS LAR LSL VERR VERW SLDT STR SGDT SIDT SMSW ARPL "
    "RDFSBASE RDGSBASE WRFSBASE WRGSBASE RDPKRU WRPKRU XGETBV "
    "XSAVE XSAVEC XSAVEOPT XRSTOR VMCALL VMMCALL IN OUT INS OUTS CLI STI ";

static const CpuModel *only_model;
static const char *only_but;

void gen_limit(const CpuModel *model, const char *but)
{
    only_model = model;
    only_but = but;
}

bool gen_row_usable(unsigned id)
{
    const InsnRow *row = &insn_rows[id];
    Insn in = { .id = id };

    if (row->attr & IA_PRIV || insn_is(&in, skipped) ||
        !host_has_feature(row->feature) ||
        (only_model && row->feature &&
         !cpu_model_has(only_model, row->feature)) ||
        (only_but && insn_is(&in, only_but))) {
        return false;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(row->op); i++) {
        unsigned kind = row->op[i].kind;

        if (kind == OPK_SEG || kind == OPK_FSEG) {
            return false;
        }
    }
    return true;
}

bool gen_single(HostJob *job, unsigned id, unsigned bits, Insn *in)
{
    const InsnRow *row = &insn_rows[id];
    Code c = { .bits = bits, .target = some_target() };
    DecodeResult res;

    put_opcode(&c, row);
    put_modrm(&c, row);
    put_immediates(&c, row);
    res = decode_insn(c.p, 15, bits, in);
    if (res != DECODE_OK || in->id != id ||
        (insn_is(in, "CALL JMP") && !in->is_mem && in->rm == R_RSP)) {
        return false;
    }
    memcpy(job->bytes, c.p, in->len);
    job->len = in->len;
    job->bits = bits;
    fill_state(&job->in);
    fill_operand(&job->in, in, c.target);
    aim(&job->in, in, &c);
    aim_special(&job->in, in);
    fill_stack(&job->in, in);
    return true;
}

/* ---- blocks ------------------------------------------------------------------------------------- */

enum {
    STEADY = 1 << R_RBX | 1 << R_RSP | 1 << R_RBP | 1 << R_R11 | 1 << R_R12 |
             1 << R_R13,
    MAX_JUMPS = 8,
};

typedef struct Jump {
    unsigned at, size; /* of the displacement, which counts from behind it */
    uint32_t undefined;
} Jump;

typedef struct Block {
    HostJob *job;
    uint32_t undefined; /* now */
    uint32_t *log;
    Jump jump[MAX_JUMPS];
    unsigned n_jumps;
} Block;

/* Faults by nature, loads control registers from noise, or moves a steady
 * register. */
static const char not_in_blocks[] =
    "ENTER LEAVE POPA PUSHA BOUND POPF MASKMOVQ MASKMOVDQU VMASKMOVDQU FRSTOR "
    "FLDENV FXRSTOR LDMXCSR VLDMXCSR FLDCW CALL RET UD0 UD1 UD2 RSM AAM "
    /* FOP, FDP, FCS: newer processors keep them only for exceptions */
    "FNSTENV FNSAVE FXSAVE ";

static bool block_wants_row(unsigned id)
{
    const InsnRow *row = &insn_rows[id];
    Insn in = { .id = id };

    if (!gen_row_usable(id) || insn_is(&in, not_in_blocks) ||
        row_has_operand(row, OPK_VSIB) || row_has_operand(row, OPK_MOFFS)) {
        return false;
    }
    if (row->attr & IA_JUMP && row->op[0].kind != OPK_REL) {
        return false;
    }
    if (row->attr & (IA_MMX | IA_SSE | IA_AVX)) {
        return gen_one_in(8);
    }
    if (row->attr & IA_X87) {
        return gen_one_in(4);
    }
    if (row->attr & IA_STRING || insn_is(&in, "DIV IDIV")) {
        return gen_one_in(4);
    }
    return true;
}

static bool steady(unsigned reg)
{
    return STEADY >> (reg & INSN_HIGH ? reg & 3 : reg & 15) & 1;
}

static bool block_wants_insn(const Block *b, const Insn *in)
{
    const InsnRow *row = &insn_rows[in->id];

    if (row->fl_read & b->undefined || in->adsize < 2) {
        return false;
    }
    if (insn_is(in, "BT BTS BTR BTC") && in->is_mem &&
        row->op[1].kind == OPK_G) {
        return false;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(row->op); i++) {
        switch (row->op[i].kind) {
        case OPK_G:
            if (steady(in->reg)) {
                return false;
            }
            break;
        case OPK_E:
        case OPK_R:
            if (!in->is_mem && steady(in->rm)) {
                return false;
            }
            break;
        case OPK_Z:
            if (steady(in->rm)) {
                return false;
            }
            break;
        case OPK_B:
            if (steady(in->vvvv)) {
                return false;
            }
        }
    }
    return true;
}

/* Some of the jumps that are open go to this place. */
static void block_land(Block *b, bool all)
{
    unsigned left = 0;

    for (unsigned i = 0; i < b->n_jumps; i++) {
        Jump *j = &b->jump[i];
        int32_t disp = b->job->len - j->at - j->size;

        if (all || gen_one_in(3)) {
            memcpy(b->job->bytes + j->at, &disp, j->size);
            b->undefined |= j->undefined;
        } else {
            b->jump[left++] = *j;
        }
    }
    b->n_jumps = left;
}

static bool block_add(Block *b, unsigned id)
{
    const InsnRow *row = &insn_rows[id];
    HostJob *job = b->job;
    Code c = { .bits = job->bits, .steady = true };
    unsigned size;
    Insn in;

    put_opcode(&c, row);
    put_modrm(&c, row);
    put_immediates(&c, row);
    if (decode_insn(c.p, 15, job->bits, &in) != DECODE_OK || in.id != id ||
        !block_wants_insn(b, &in)) {
        return false;
    }
    if (row->attr & IA_JUMP) {
        size = row->op[0].size == OPS_B ? 1 : 4;
        if (b->n_jumps == MAX_JUMPS || in.opsize == 1) { /* 66: IP */
            return false;
        }
        b->jump[b->n_jumps++] =
            (Jump) { job->len + in.len - size, size, b->undefined };
    }
    memcpy(job->bytes + job->len, c.p, in.len);
    b->log[job->len] = b->undefined;
    job->len += in.len;
    b->undefined = (b->undefined & ~row->fl_write) | row->fl_undef;
    return true;
}

static void block_registers(HostState *s)
{
    s->gpr[R_RBX] = HOST_MEM + 0x1000;
    s->gpr[R_R11] = HOST_MEM + 0x1040;
    s->gpr[R_R12] = HOST_MEM + 0xc00;
    s->gpr[R_RBP] = gen_below(4) * 32;
    s->gpr[R_R13] = gen_below(4) * 32;
    s->gpr[R_RSI] = HOST_MEM + gen_below(HOST_MEM_SIZE);
    s->gpr[R_RDI] = HOST_MEM + gen_below(HOST_MEM_SIZE);
    if (gen_one_in(2)) {
        s->gpr[R_RCX] = gen_below(20);
    }
}

void gen_block(HostJob *job, unsigned bits, unsigned n, uint32_t *undefined)
{
    Block b = { .job = job, .log = undefined };

    job->bits = bits;
    job->len = 0;
    for (unsigned done = 0; done < n && job->len < HOST_BYTES - 32;) {
        unsigned id = gen_below(insn_row_count);

        if (!(insn_rows[id].attr & (bits == 64 ? IA_I64 : IA_O64)) &&
            block_wants_row(id) && block_add(&b, id)) {
            done++;
            block_land(&b, false);
        }
    }
    block_land(&b, true);
    undefined[job->len] = b.undefined;
    fill_state(&job->in);
    block_registers(&job->in);
}
