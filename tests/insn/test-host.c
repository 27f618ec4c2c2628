/*
 * Every user-mode row of insn.def against the host processor.
 *
 * Random encodings with random and boundary operands run on the host (in a
 * child, tests/lib/host-cpu.c) and through decode_insn() and the row's sem
 * function (tests/lib/fake-access.c); registers, flags, ymm, x87, MXCSR, memory
 * and exceptions must come out the same. What the engine checks before it
 * calls a sem function (alignment, pending x87 exceptions) is done here.
 *
 * RHEA_TEST_SEED, RHEA_TEST_N (encodings per row and mode), RHEA_TEST_ROW (only
 * rows of this name).
 */
#include "util/osdep.h"
#include "target-x86/flags.h"
#include "target-x86/operand.h"
#include "tests/lib/fake-access.h"
#include "tests/lib/host-cpu.h"

enum {
    BATCH = 512,
    STACK_AT = HOST_MEM + 0x1800, /* where rSP starts */
    EXC_NONE = -1,
    MAX_REPORTS = 3, /* per row */
};

/* ---- random values ---------------------------------------------------------------- */

static uint64_t rng_state;

static uint64_t rng(void) /* xorshift64* */
{
    rng_state ^= rng_state >> 12;
    rng_state ^= rng_state << 25;
    rng_state ^= rng_state >> 27;
    return rng_state * UINT64_C(0x2545f4914f6cdd1d);
}

static bool one_in(unsigned n)
{
    return (rng() >> 32) % n == 0;
}

static unsigned below(unsigned n)
{
    return (rng() >> 32) % n;
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

    switch (below(4)) {
    case 0:
        return edges[below(G_N_ELEMENTS(edges))];
    case 1:
        return rng() >> below(64);
    default:
        return rng();
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

    if (one_in(2)) {
        return edges[below(G_N_ELEMENTS(edges))];
    }
    return one_in(3) ? rng() >> 32
                     : (uint32_t)(rng() >> 41) | (100 + below(55)) << 23 |
                           below(2) << 31;
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

    if (one_in(2)) {
        return edges[below(G_N_ELEMENTS(edges))];
    }
    return one_in(3) ? rng()
                     : (rng() >> 12) | (uint64_t)(1000 + below(48)) << 52 |
                           (uint64_t)below(2) << 63;
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
    uint64_t m = rng() | UINT64_C(1) << 63;
    uint16_t se = (0x3fff - 70 + below(140)) | below(2) << 15;

    if (one_in(2)) {
        unsigned i = below(G_N_ELEMENTS(edges));

        m = edges[i].m;
        se = edges[i].se;
    } else if (one_in(6)) {
        m = rng();
        se = rng();
    }
    memcpy(p, &m, 8);
    memcpy(p + 8, &se, 2);
}

/* Vectors hold one kind of thing each, more or less. */
static void some_bytes(uint8_t *p, unsigned n)
{
    unsigned kind = below(4);

    for (unsigned i = 0; i < n; i += 8) {
        uint64_t v = kind == 0   ? some_integer()
                     : kind == 1 ? some_double()
                     : kind == 2 ? some_float() | (uint64_t)some_float() << 32
                                 : rng();

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

static bool row_has(const InsnRow *row, OpKind kind)
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

    if ((any || row->prefixes == 3) && one_in(4)) {
        put(c, 0x66);
    }
    if (c->bits == 64 && one_in(12)) {
        put(c, 0x67);
    }
    if (any && row->attr & IA_STRING && !one_in(3)) {
        put(c, one_in(2) ? 0xf2 : 0xf3);
    }
    if (row->attr & IA_LOCK && one_in(5)) {
        put(c, 0xf0);
    }
}

static void put_vex(Code *c, const InsnRow *row)
{
    unsigned rxb = c->bits == 64 ? below(8) : 0;
    unsigned pp = __builtin_ctz(row->prefixes);
    bool w = row->attr & IA_W1 || (!(row->attr & IA_W0) && one_in(2));
    bool l = row->attr & IA_VEX_L1 || (!(row->attr & IA_VEX_L0) && one_in(2));
    unsigned vvvv =
        row->attr & IA_VEX_NOVVVV ? 0 : below(c->bits == 64 ? 16 : 8);
    uint8_t last = pp | l << 2 | (~vvvv & 15) << 3;

    if (row->map == MAP_V2 && !w && !(rxb & 3) && one_in(2)) {
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
    uint8_t rex = c->bits == 64 && one_in(2) ? 0x40 | below(16) : 0;

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
    put(c, row->opcode + (row->attr & IA_PLUS_R ? below(8) : 0));
}

/* The memory window, mostly its middle; seldom its ends. */
static uint64_t some_target(void)
{
    switch (below(16)) {
    case 0:
        return HOST_MEM + HOST_MEM_SIZE - below(40);
    case 1:
        return HOST_MEM + 24 - below(48);
    case 2:
    case 3:
        return HOST_MEM + 0x400 + below(0x800);
    case 4:
        return HOST_MEM + 0xff0 + below(32); /* crosses pages */
    default:
        return HOST_MEM + 0x400 + below(32) * 64;
    }
}

static void put_memory(Code *c, const InsnRow *row, unsigned reg)
{
    bool vsib = row_has(row, OPK_VSIB);
    unsigned mod = below(3), rm = vsib ? 4 : below(8), index = below(8);
    unsigned base = below(8), disp = mod == 1 ? 1 : mod == 2 ? 4 : 0;

    if (mod == 0 && rm == 5 && c->bits == 64) {
        rm = 3; /* RIP-relative: tests/insn/test-engine.c */
    }
    put(c, mod << 6 | reg << 3 | rm);
    if (rm == 4) {
        while (index == base && !vsib) {
            index = below(8);
        }
        put(c, below(4) << 6 | index << 3 | base);
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
        put_n(c, disp == 1 ? rng() : below(8192) - UINT64_C(4096), disp);
    }
}

static void put_modrm(Code *c, const InsnRow *row)
{
    unsigned kind = row->modrm & 0xff, value = row->modrm >> 8;
    bool fixed = kind == MODRM_RN || kind == MODRM_MN || kind == MODRM_GN;
    unsigned reg = fixed ? value : below(8);
    bool mem = kind == MODRM_M || kind == MODRM_MN ||
               ((kind == MODRM_RM || kind == MODRM_RN) && one_in(2));

    if (kind == MODRM_NO) {
        return;
    }
    if (kind == MODRM_BYTE) {
        put(c, value);
    } else if (mem) {
        put_memory(c, row, reg);
    } else {
        put(c, 0xc0 | reg << 3 | below(8));
    }
}

static void put_immediates(Code *c, const InsnRow *row)
{
    if (row_has(row, OPK_MOFFS)) {
        put_n(c, c->target, 8);
    } else if (row->opcode == 0xc8 && row->map == MAP_M1) { /* ENTER */
        put_n(c, below(64), 2);
        put(c, one_in(3) ? below(32) : 0);
    } else if (row_has(row, OPK_REL)) {
        put_n(c, below(120), 4);
    } else {
        put_n(c, some_integer(), 8); /* more than is needed */
    }
}

/* ---- operands ---------------------------------------------------------------------------- */

static const char *row_name(const Insn *in)
{
    return insn_rows[in->id].name;
}

static bool name_is(const Insn *in, const char *list)
{
    const char *name = row_name(in);
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
    uint16_t fcw = one_in(4) ? rng() & 0xf3f : 0x37f | below(4) << 10;
    uint16_t fsw = rng() & 0x7f00, flags = one_in(4) ? rng() & 0x7f : 0;
    uint8_t ftw = one_in(3) ? 0xff : rng();

    fcw |= 0x40;
    if (one_in(8)) {
        fcw = (fcw & ~0x3f) | (rng() & 0x3f); /* unmasked exceptions */
    }
    fsw = (fsw & 0x7f00) | flags;
    if (flags & ~fcw & 0x3f) {
        fsw |= 0x8080; /* B and ES say that one is pending */
    }
    if (one_in(2)) {
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

    if (one_in(3)) {
        mxcsr |= rng() & 0xe07f; /* rounding, FTZ, DAZ, old flags */
    }
    if (one_in(8)) {
        mxcsr = (mxcsr & ~0x1f80u) | (rng() & 0x1f80);
    }
    memcpy(s->fx + 24, &mxcsr, 4);
}

/* A little of the memory is new for each instruction. */
static void fill_mem(HostState *s)
{
    static uint8_t mem[HOST_MEM_SIZE];
    unsigned at = below(HOST_MEM_SIZE / 1024) * 1024;

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
    s->gpr[R_RSP] = STACK_AT - 8 * below(16);
    s->rflags = (rng() & (FL_ARITH | FL_DF)) | FL_IF | 2;
    if (one_in(2)) {
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
            s->gpr[in->index] = below(4096);
            off += s->gpr[in->index] << in->scale;
        }
        s->gpr[in->base] = c->target - off;
    }
    if (in->vsib) { /* offsets around the target, and a few masks */
        for (unsigned i = 0; i < 32; i++) {
            s->ymm[in->index][i] = i % 8 == 0 ? below(16) : 0;
            if (one_in(2)) {
                s->ymm[in->index][i & ~3u] = below(16);
            }
        }
    }
}

/* An element of a string, a stack frame, a bit string. */
static void aim_special(HostState *s, const Insn *in)
{
    const InsnRow *row = &insn_rows[in->id];
    uint64_t high =
        in->adsize == 2 && in->code64 && one_in(2) ? rng() << 32 : 0;

    if (row->attr & IA_STRING) {
        s->gpr[R_RSI] = some_target() | high;
        s->gpr[R_RDI] =
            one_in(4) ? s->gpr[R_RSI] + below(9) - 4 : some_target() | high;
        s->gpr[R_RCX] = (one_in(4) ? below(64) : below(5)) | high;
    }
    if (name_is(in, "XLAT")) {
        s->gpr[R_RBX] = some_target() - (uint8_t)s->gpr[R_RAX];
    }
    if (name_is(in, "MASKMOVQ MASKMOVDQU VMASKMOVDQU")) {
        s->gpr[R_RDI] = HOST_MEM + 0x400 + below(0x800);
    }
    if (name_is(in, "ENTER LEAVE")) {
        s->gpr[R_RBP] = STACK_AT + 256 - 8 * below(8);
    }
    if (name_is(in, "BT BTS BTR BTC") && in->is_mem &&
        row->op[1].kind == OPK_G && in->reg != in->base &&
        in->reg != in->index) {
        s->gpr[in->reg] = (int64_t)below(4096) - 2048;
    }
    if (name_is(in, "DIV IDIV") && !one_in(4)) {
        s->gpr[R_RDX] = one_in(2) ? 0 : (int64_t)s->gpr[R_RAX] >> 63;
        if (in->opsize == 1) {
            s->gpr[R_RDX] = below(3) - 1;
        }
    }
    if (name_is(in, "LOOP LOOPE LOOPNE JRCXZ") && one_in(2)) {
        s->gpr[R_RCX] = below(3);
    }
}

/* What the memory operand should be, to be interesting or safe. */
static void fill_operand(HostState *s, const Insn *in, uint64_t target)
{
    uint8_t *p = s->mem + (target - HOST_MEM);

    if (target < HOST_MEM || target > HOST_MEM + HOST_MEM_SIZE - 512) {
        return;
    }
    if (name_is(in, "CMPXCHG") && in->is_mem && one_in(2)) {
        memcpy(p, &s->gpr[R_RAX], 8);
    }
    if (name_is(in, "CMPXCHG8B CMPXCHG16B") && one_in(2)) {
        unsigned n = name_is(in, "CMPXCHG8B") ? 4 : 8;

        memcpy(p, &s->gpr[R_RAX], n);
        memcpy(p + n, &s->gpr[R_RDX], n);
    }
    if (name_is(in, "LDMXCSR VLDMXCSR FXRSTOR") && !one_in(4)) {
        uint8_t *mxcsr = name_is(in, "FXRSTOR") ? p + 24 : p;

        mxcsr[1] |= 0x1f;
        mxcsr[2] = mxcsr[3] = 0;
    }
    if (row_has(&insn_rows[in->id], OPK_M)) {
        unsigned size = insn_rows[in->id].op[1].size;

        if (size == OPS_T || insn_rows[in->id].op[0].size == OPS_T) {
            some_extended(p);
        }
        if (name_is(in, "FBLD") && !one_in(3)) {
            for (unsigned i = 0; i < 9; i++) {
                p[i] = below(10) << 4 | below(10);
            }
            p[9] = below(2) << 7;
        }
    }
    if (name_is(in, "JMP CALL") && in->is_mem && !one_in(6)) {
        uint64_t v = HOST_CODE + 0x100 + below(256);

        memcpy(p, &v, 8);
    }
}

static void fill_stack(HostState *s, const Insn *in)
{
    uint64_t sp = s->gpr[R_RSP] - HOST_MEM;
    uint64_t v = HOST_CODE + 0x100 + below(256);

    if (sp > HOST_MEM_SIZE - 64) {
        return;
    }
    if (name_is(in, "RET") && !one_in(6)) {
        memcpy(s->mem + sp, &v, 8);
    }
    if (name_is(in, "POPF")) {
        for (unsigned i = 0; i < 8; i += 2) { /* no TF, NT, RF, VM, AC, ID */
            s->mem[sp + i] &= 0xff;
            s->mem[sp + i + 1] &= ~(0x41 | 0x30);
        }
        s->mem[sp + 2] = s->mem[sp + 3] = 0;
        s->mem[sp + 4] = s->mem[sp + 5] = s->mem[sp + 6] = s->mem[sp + 7] = 0;
    }
    if (name_is(in, "JMP CALL") && !in->is_mem &&
        row_has(&insn_rows[in->id], OPK_E) && !one_in(6)) {
        s->gpr[in->rm] = v;
    }
}

/* ---- which rows ------------------------------------------------------------------------------- */

/*
 * Not here: privileged rows, far transfers and segment loads (the host's
 * descriptor tables are not ours), what asks the machine (CPUID, time, random
 * numbers), and what would pull the rug from under the child (FS base). They
 * have tests of their own: test-system, test-stack, test-engine.
 */
static const char skipped[] =
    "CALLF JMPF RETF IRET INT INT3 INTO ICEBP SYSCALL SYSRET SYSENTER SYSEXIT "
    "CPUID RDTSC RDTSCP RDPMC RDRAND RDSEED RDPID MONITOR MWAIT CLAC STAC "
    "LDS LES LSS LFS LGS LAR LSL VERR VERW SLDT STR SGDT SIDT SMSW ARPL "
    "RDFSBASE RDGSBASE WRFSBASE WRGSBASE RDPKRU WRPKRU XGETBV "
    "XSAVE XSAVEC XSAVEOPT XRSTOR VMCALL VMMCALL IN OUT INS OUTS CLI STI ";

static bool row_tested(unsigned id)
{
    const InsnRow *row = &insn_rows[id];
    Insn in = { .id = id };

    if (row->attr & IA_PRIV || name_is(&in, skipped) ||
        !host_has_feature(row->feature)) {
        return false;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(row->op); i++) {
        unsigned kind = row->op[i].kind;

        if (kind == OPK_SEG || kind == OPK_FSEG) {
            return false;
        }
    }
    return !g_getenv("RHEA_TEST_ROW") ||
           !strcmp(g_getenv("RHEA_TEST_ROW"), row->name);
}

/* One encoding of the row with its operands; false: try again. */
static bool make_job(HostJob *job, unsigned id, unsigned bits, Insn *in)
{
    const InsnRow *row = &insn_rows[id];
    Code c = { .bits = bits, .target = some_target() };
    DecodeResult res;

    put_opcode(&c, row);
    put_modrm(&c, row);
    put_immediates(&c, row);
    res = decode_insn(c.p, 15, bits, in);
    if (res != DECODE_OK || in->id != id ||
        (name_is(in, "CALL JMP") && !in->is_mem && in->rm == R_RSP)) {
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

/* ---- our side ---------------------------------------------------------------------------------- */

static void state_to_cpu(const HostState *h, X86State *s)
{
    memcpy(s->gpr, h->gpr, sizeof(s->gpr));
    s->rip = HOST_INSN;
    s->rflags = h->rflags;
    memcpy(s->vec, h->ymm, sizeof(s->vec));
    memcpy(&s->fcw, h->fx, 2);
    memcpy(&s->fsw, h->fx + 2, 2);
    s->ftw = h->fx[4];
    memcpy(&s->mxcsr, h->fx + 24, 4);
    for (unsigned i = 0; i < 8; i++) {
        memcpy(s->st[(i + (s->fsw >> 11)) & 7], h->fx + 32 + 16 * i, 10);
    }
    s->fop = 0;
    s->fip = s->fdp = 0;
    s->fcs = s->fds = 0;
}

static void cpu_to_state(X86Cpu *c, HostState *h)
{
    X86State *s = &c->s;

    memset(h->fx, 0, sizeof(h->fx));
    memcpy(h->gpr, s->gpr, sizeof(h->gpr));
    h->rflags = flags_get(c);
    h->rip = s->rip;
    memcpy(h->ymm, s->vec, sizeof(h->ymm));
    memcpy(h->fx, &s->fcw, 2);
    memcpy(h->fx + 2, &s->fsw, 2);
    h->fx[4] = s->ftw;
    memcpy(h->fx + 6, &s->fop, 2);
    memcpy(h->fx + 8, &s->fip, 8);
    memcpy(h->fx + 16, &s->fdp, 8);
    memcpy(h->fx + 24, &s->mxcsr, 4);
    for (unsigned i = 0; i < 8; i++) {
        memcpy(h->fx + 32 + 16 * i, s->st[(i + (s->fsw >> 11)) & 7], 10);
    }
}

/* What the engine finds before it calls the function: a vector, or -1. */
static int engine_check(X86Cpu *c, const Insn *in)
{
    const InsnRow *row = &insn_rows[in->id];

    if (row->attr & (IA_FWAIT | IA_MMX) && c->s.fsw & ~c->s.fcw & 0x3f) {
        return EXC_MF;
    }
    if (row->attr & IA_ALIGN && in->is_mem) {
        for (unsigned i = 0; i < G_N_ELEMENTS(row->op); i++) {
            unsigned kind = row->op[i].kind;

            if ((kind == OPK_M || kind == OPK_W) &&
                op_addr(c, in) % op_size(in, i)) {
                return EXC_GP;
            }
        }
    }
    return EXC_NONE;
}

/* The instruction through decoder and sem function. */
static void run_ours(FakeCpu *f, const HostJob *job, HostState *out)
{
    X86Cpu *c = &f->cpu;
    Insn in;
    FakeExit how;

    fake_mode(f, job->bits == 64 ? FAKE_LONG64 : FAKE_COMPAT32);
    fake_set_cpl(f, 3);
    state_to_cpu(&job->in, &c->s);
    memcpy(f->ram, job->in.mem, HOST_MEM_SIZE);
    out->vector = EXC_NONE;
    out->error = out->cr2 = 0;
    if (decode_insn(job->bytes, job->len, job->bits, &in) != DECODE_OK) {
        out->vector = EXC_UD;
    } else {
        out->vector = engine_check(c, &in);
    }
    while (out->vector == EXC_NONE) {
        uint64_t next = insn_next_rip(c, &in);

        how = fake_exec(f, insn_rows[in.id].sem, &in);
        if (how == FAKE_FAULT) {
            out->vector = c->fault.vector;
            out->error = c->fault.error;
            out->cr2 = c->fault.cr2;
        } else if (how == FAKE_DONE && !(insn_rows[in.id].attr & IA_JUMP)) {
            c->s.rip = next;
        }
        if (how != FAKE_RESTART) {
            break;
        }
    }
    cpu_to_state(c, out);
    memcpy(out->mem, f->ram, HOST_MEM_SIZE);
}

/* ---- comparing ------------------------------------------------------------------------------------ */

typedef struct Run {
    FakeCpu *f;
    HostJob *jobs;
    Insn in[BATCH];
    unsigned n;
    unsigned done, bad, lost, faults;
    unsigned reports; /* of the row that was reported last */
    unsigned reported;
} Run;

static void bytes_to(GString *s, const uint8_t *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        g_string_append_printf(s, "%02x", p[i]);
    }
}

/* The first difference, "" if there is none. */
static void difference(GString *d, const char *what, unsigned n, const void *in,
                       const void *host, const void *ours, unsigned len)
{
    if (memcmp(host, ours, len)) {
        g_string_append_printf(d, "\n    %s%u: in ", what, n);
        bytes_to(d, in, len);
        g_string_append(d, " host ");
        bytes_to(d, host, len);
        g_string_append(d, " ours ");
        bytes_to(d, ours, len);
    }
}

/* Undefined flags are compared too, sem functions run the host's instruction;
 * but for OF of shifts by a constant, which need not be as those by CL. */
static uint64_t compared_flags(const Insn *in)
{
    const InsnRow *row = &insn_rows[in->id];
    bool by_imm = row->map == MAP_M1 && (row->opcode & ~1) == 0xc0;

    return (FL_ARITH | FL_DF) & ~(by_imm ? row->fl_undef & FL_OF : 0);
}

static void compare_fpu(GString *d, const HostState *in, const HostState *host,
                        const HostState *ours)
{
    difference(d, "fcw", 0, in->fx, host->fx, ours->fx, 2);
    difference(d, "fsw", 0, in->fx + 2, host->fx + 2, ours->fx + 2, 2);
    difference(d, "ftw", 0, in->fx + 4, host->fx + 4, ours->fx + 4, 1);
    difference(d, "mxcsr", 0, in->fx + 24, host->fx + 24, ours->fx + 24, 4);
    for (unsigned i = 0; i < 8; i++) {
        difference(d, "st", i, in->fx + 32 + 16 * i, host->fx + 32 + 16 * i,
                   ours->fx + 32 + 16 * i, 10);
    }
    for (unsigned i = 0; i < 16; i++) {
        difference(d, "ymm", i, in->ymm[i], host->ymm[i], ours->ymm[i], 32);
    }
}

static void compare_mem(GString *d, const HostState *in, const HostState *host,
                        const HostState *ours)
{
    if (!memcmp(host->mem, ours->mem, HOST_MEM_SIZE)) {
        return;
    }
    for (unsigned i = 0; i < HOST_MEM_SIZE; i += 16) {
        difference(d, "mem+", i, in->mem + i, host->mem + i, ours->mem + i, 16);
    }
}

/* At the top of a segment of 4 GiB a processor may wrap or raise #GP; BOUND may
 * read both bounds first. */
static bool may_choose(const Insn *in, const HostJob *job)
{
    return (job->bits == 32 && job->out.vector == EXC_PF &&
            (job->out.cr2 >= 0xfffff000 || job->out.cr2 < 64)) ||
           (job->out.vector == EXC_BR && name_is(in, "BOUND"));
}

/* The page counts, not which part of a long operand is touched first (nor which
 * of two operands). Who owns kernel addresses is the host's secret. */
static bool same_fault(const HostState *host, const HostState *ours)
{
    bool kernel = host->cr2 >> 47;

    return host->cr2 / 4096 == ours->cr2 / 4096 &&
           ((host->error ^ ours->error) & (kernel ? 6 : 7)) == 0;
}

/*
 * Where the host leaves traces that no manual promises, mostly of faults: gathers may have
 * finished some elements, CALL to a non-canonical address has pushed, FSTP m80
 * has written one page, REP with 32-bit addresses may clear upper halves, the
 * x87 has become MMX. Unmasked overflow and underflow have their own idea of what is inexact.
 */
static void forgive(const Insn *in, const HostJob *job, HostState *ours)
{
    const HostState *host = &job->out;
    const InsnRow *row = &insn_rows[in->id];

    if (job->bits == 32) { /* upper halves are undefined on the way back */
        for (unsigned i = 0; i < 16; i++) {
            ours->gpr[i] =
                (host->gpr[i] & ~(uint64_t)UINT32_MAX) | (uint32_t)ours->gpr[i];
        }
    }
    if (row->attr & IA_STRING && in->adsize == 2) {
        static const uint8_t regs[] = { R_RCX, R_RSI, R_RDI };

        for (unsigned i = 0; i < G_N_ELEMENTS(regs); i++) {
            ours->gpr[regs[i]] =
                (host->gpr[regs[i]] >> 32 << 32) | (uint32_t)ours->gpr[regs[i]];
        }
    }
    if (host->vector == EXC_NONE) {
        return;
    }
    if (host->vector == EXC_XM && (host->fx[25] & 12) != 12) { /* OM, UM */
        ours->fx[24] = (ours->fx[24] & ~0x20) | (host->fx[24] & 0x20);
    }
    if (in->vsib) {
        memcpy(ours->ymm[in->reg], host->ymm[in->reg], 32);
        memcpy(ours->ymm[in->vvvv], host->ymm[in->vvvv], 32);
    }
    if (row->attr & IA_MMX) {
        memcpy(ours->fx, host->fx, 24);
        memcpy(ours->fx + 32, host->fx + 32, 128);
    }
    if (name_is(in, "CALL") || row->op[0].size == OPS_T) {
        memcpy(ours->mem, host->mem, HOST_MEM_SIZE);
    }
}

static GString *compare(const Insn *in, const HostJob *job,
                        const HostState *ours)
{
    GString *d = g_string_new(NULL);
    const HostState *host = &job->out;
    uint64_t mask = compared_flags(in);

    if (host->vector != ours->vector && !may_choose(in, job)) {
        g_string_append_printf(d, "\n    exception: host %d ours %d",
                               (int)host->vector, (int)ours->vector);
    } else if (host->vector == EXC_PF && ours->vector == EXC_PF &&
               !same_fault(host, ours) && !name_is(in, "MOVS CMPS")) {
        g_string_append_printf(d,
                               "\n    #PF: host %" PRIx64 " error %x, ours "
                               "%" PRIx64 " error %x",
                               host->cr2, (unsigned)host->error, ours->cr2,
                               (unsigned)ours->error);
    }
    if (host->rip != ours->rip) {
        g_string_append_printf(d, "\n    rip: host %" PRIx64 " ours %" PRIx64,
                               host->rip, ours->rip);
    }
    if ((host->rflags ^ ours->rflags) & mask) {
        g_string_append_printf(d, "\n    flags: in %03x host %03x ours %03x",
                               (unsigned)(job->in.rflags & 0xfff),
                               (unsigned)(host->rflags & mask),
                               (unsigned)(ours->rflags & mask));
    }
    for (unsigned i = 0; i < 16; i++) {
        if (host->gpr[i] != ours->gpr[i]) {
            g_string_append_printf(d,
                                   "\n    gpr%u: in %016" PRIx64
                                   " host %016" PRIx64 " ours %016" PRIx64,
                                   i, job->in.gpr[i], host->gpr[i],
                                   ours->gpr[i]);
        }
    }
    compare_fpu(d, &job->in, host, ours);
    compare_mem(d, &job->in, host, ours);
    return d;
}

/* What went in, as far as the instruction has to do with it. */
static void describe_inputs(GString *d, const Insn *in, const HostJob *job)
{
    const HostState *s = &job->in;
    uint64_t at = 0;
    uint32_t mxcsr;

    memcpy(&mxcsr, s->fx + 24, 4);
    g_string_append_printf(
        d, "\n    in: flags %03x rax %" PRIx64 " rcx %" PRIx64 " rdx %" PRIx64,
        (unsigned)(s->rflags & 0xfff), s->gpr[0], s->gpr[1], s->gpr[2]);
    g_string_append_printf(
        d, " reg[%u] %" PRIx64 " rm[%u] %" PRIx64 " mxcsr %04x", in->reg,
        s->gpr[in->reg & 15], in->rm, s->gpr[in->rm & 15], mxcsr);
    if (row_has(&insn_rows[in->id], OPK_V) ||
        row_has(&insn_rows[in->id], OPK_U)) {
        g_string_append(d, "\n    in: V ");
        bytes_to(d, s->ymm[in->reg & 15], 32);
        g_string_append(d, "\n        H ");
        bytes_to(d, s->ymm[in->vvvv], 32);
        g_string_append(d, "\n        W ");
        bytes_to(d, s->ymm[in->rm & 15], 32);
    }
    if (in->is_mem && in->base < 16) {
        at = s->gpr[in->base] + (int64_t)in->disp +
             (in->index < 16 && !in->vsib ? s->gpr[in->index] << in->scale : 0);
        g_string_append_printf(d, "\n    in: memory %" PRIx64 " ", at);
        if (at >= HOST_MEM && at < HOST_MEM + HOST_MEM_SIZE - 32) {
            bytes_to(d, s->mem + (at - HOST_MEM), 32);
        }
    }
}

static void run_batch(Run *r)
{
    static HostState ours;

    host_run_jobs(r->jobs, r->n);
    for (unsigned i = 0; i < r->n; i++) {
        HostJob *job = &r->jobs[i];
        g_autoptr(GString) d = NULL;
        g_autoptr(GString) bytes = g_string_new(NULL);

        if (!job->done) {
            r->lost++;
            continue;
        }
        r->done++;
        r->faults += job->out.vector >= 0;
        run_ours(r->f, job, &ours);
        forgive(&r->in[i], job, &ours);
        d = compare(&r->in[i], job, &ours);
        if (d->len == 0) {
            continue;
        }
        r->bad++;
        r->reports = r->reported == r->in[i].id ? r->reports + 1 : 0;
        r->reported = r->in[i].id;
        if (r->reports < MAX_REPORTS) {
            describe_inputs(d, &r->in[i], job);
            bytes_to(bytes, job->bytes, job->len);
            g_test_message("%s, %u bits, %s:%s", row_name(&r->in[i]), job->bits,
                           bytes->str, d->str);
        }
    }
    r->n = 0;
}

static void run_row(Run *r, unsigned id, unsigned bits, unsigned count)
{
    unsigned tries = 0;

    for (unsigned i = 0; i < count && tries < 20 * count; tries++) {
        if (make_job(&r->jobs[r->n], id, bits, &r->in[r->n])) {
            i++;
            r->n++;
        }
        if (r->n == BATCH) {
            run_batch(r);
        }
    }
    if (tries >= 20 * count) {
        g_test_message("%s: no encoding found", insn_rows[id].name);
        r->bad++;
    }
}

static uint64_t env_number(const char *name, uint64_t fallback)
{
    const char *s = g_getenv(name);

    return s ? g_ascii_strtoull(s, NULL, 0) : fallback;
}

static void test_rows(gconstpointer data)
{
    unsigned bits = GPOINTER_TO_UINT(data);
    uint64_t count = env_number("RHEA_TEST_N", 12);
    Run *r;

    if (!host_cpu_usable()) {
        g_test_skip("the host has no AVX, or the addresses are taken");
        return;
    }
    rng_state = env_number("RHEA_TEST_SEED", 1);
    g_test_message("RHEA_TEST_SEED=%" PRIu64, rng_state);
    rng_state = rng_state * 2 + 1;
    r = g_new0(Run, 1);
    r->f = fake_new(FAKE_LONG64, HOST_MEM, HOST_MEM_SIZE);
    r->jobs = host_jobs_new(BATCH);
    for (unsigned id = 0; id < insn_row_count; id++) {
        const InsnRow *row = &insn_rows[id];

        if (row_tested(id) && row->sem &&
            !(row->attr & (bits == 64 ? IA_I64 : IA_O64))) {
            run_row(r, id, bits, count);
        }
    }
    run_batch(r);
    g_test_message("%u instructions, %u faulted, %u lost, %u differ", r->done,
                   r->faults, r->lost, r->bad);
    if (r->bad || r->lost) {
        g_test_fail();
    }
    host_jobs_free(r->jobs, BATCH);
    fake_free(r->f);
    g_free(r);
}

/* No row is without its function. */
static void test_all_written(void)
{
    for (unsigned id = 0; id < insn_row_count; id++) {
        if (!insn_rows[id].sem) {
            g_test_message("%s has no sem function", insn_rows[id].name);
            g_test_fail();
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/host/all-written", test_all_written);
    g_test_add_data_func("/host/64", (void *)64, test_rows);
    g_test_add_data_func("/host/32", (void *)32, test_rows);
    return g_test_run();
}
