/*
 * Templates of SSE and AVX. See jit-gen.h.
 *
 * The guest's vector registers stay in memory; the host's are scratch between
 * two of its instructions. Most templates are the guest's own instruction with
 * other operands: D is loaded from the first source, the instruction works on D
 * and the second source, D is stored. Under VEX all 32 bytes are stored.
 *
 * Floating point is done here while TcgCpu.jit_fp says that MXCSR has its
 * default control bits and is the host's, flags too; then no exception is
 * unmasked, and the host's flags behind the instruction are the guest's.
 */
#include "util/osdep.h"
#include "accel/tcg/jit-gen.h"
#include "target-x86/operand.h"
#include "util/bits.h"

#if defined(__x86_64__)

/* xmm registers: what the instruction implies (XMM0) or has as a third operand,
 * its destination, its source where that must be a register. */
enum { XI, XD, XS };

/* What a template does with the instruction. */
typedef enum SimdKind {
    SIMD_NONE,
    SIMD_OP,    /* the same one: no flags, no floating point */
    SIMD_FP,    /* the same one, floating point */
    SIMD_FMA,   /* likewise; the destination is a source */
    SIMD_FLAGS, /* compares: writes all flags */
    SIMD_FP_FLAGS,
    SIMD_MOVE,  /* all of a register */
    SIMD_PIECE, /* 4 or 8 bytes to memory or to a general register; loads are
                 * SIMD_OP */
    SIMD_HALF,  /* 8 bytes to memory, from the upper half if opcode & 4 */
    SIMD_SHIFT, /* by a constant, in place or into vvvv */
    SIMD_ZERO,  /* VZEROUPPER */
} SimdKind;

static const struct {
    InsnFn *sem;
    uint8_t kind;
} simd_rows[] = {
    { sem_MOVAPS, SIMD_MOVE },        { sem_MOVAPD, SIMD_MOVE },
    { sem_MOVDQA, SIMD_MOVE },        { sem_MOVUPS, SIMD_MOVE },
    { sem_MOVUPD, SIMD_MOVE },        { sem_MOVDQU, SIMD_MOVE },
    { sem_LDDQU, SIMD_MOVE },         { sem_MOVNTPS, SIMD_MOVE },
    { sem_MOVNTPD, SIMD_MOVE },       { sem_MOVNTDQ, SIMD_MOVE },
    { sem_MOVSS, SIMD_PIECE },        { sem_MOVSD_X, SIMD_PIECE },
    { sem_MOVD, SIMD_PIECE },         { sem_MOVQ, SIMD_PIECE },
    { sem_MOVLPS, SIMD_HALF },        { sem_MOVLPD, SIMD_HALF },
    { sem_MOVHPS, SIMD_HALF },        { sem_MOVHPD, SIMD_HALF },
    { sem_MOVHLPS, SIMD_OP },         { sem_MOVLHPS, SIMD_OP },
    { sem_MOVDDUP, SIMD_OP },         { sem_PMOVMSKB, SIMD_OP },
    { sem_MOVMSKPS, SIMD_OP },        { sem_MOVMSKPD, SIMD_OP },
    { sem_PSHUFD, SIMD_OP },          { sem_PSHUFLW, SIMD_OP },
    { sem_PSHUFHW, SIMD_OP },         { sem_PSHUFB, SIMD_OP },
    { sem_SHUFPS, SIMD_OP },          { sem_SHUFPD, SIMD_OP },
    { sem_PALIGNR, SIMD_OP },         { sem_PINSRW, SIMD_OP },
    { sem_PINSRB, SIMD_OP },          { sem_PINSRD, SIMD_OP },
    { sem_PEXTRW, SIMD_OP },          { sem_PBLENDW, SIMD_OP },
    { sem_PBLENDVB, SIMD_OP },        { sem_BLENDVPS, SIMD_OP },
    { sem_BLENDVPD, SIMD_OP },        { sem_BLENDPS, SIMD_OP },
    { sem_BLENDPD, SIMD_OP },         { sem_PMOVSXBW, SIMD_OP },
    { sem_PMOVSXBD, SIMD_OP },        { sem_PMOVSXBQ, SIMD_OP },
    { sem_PMOVSXWD, SIMD_OP },        { sem_PMOVSXWQ, SIMD_OP },
    { sem_PMOVSXDQ, SIMD_OP },        { sem_PMOVZXBW, SIMD_OP },
    { sem_PMOVZXBD, SIMD_OP },        { sem_PMOVZXBQ, SIMD_OP },
    { sem_PMOVZXWD, SIMD_OP },        { sem_PMOVZXWQ, SIMD_OP },
    { sem_PMOVZXDQ, SIMD_OP },        { sem_AESENC, SIMD_OP },
    { sem_AESENCLAST, SIMD_OP },      { sem_AESDEC, SIMD_OP },
    { sem_AESDECLAST, SIMD_OP },      { sem_AESIMC, SIMD_OP },
    { sem_AESKEYGENASSIST, SIMD_OP }, { sem_PCLMULQDQ, SIMD_OP },
    { sem_SHA1NEXTE, SIMD_OP },       { sem_SHA1MSG1, SIMD_OP },
    { sem_SHA1MSG2, SIMD_OP },        { sem_SHA1RNDS4, SIMD_OP },
    { sem_SHA256RNDS2, SIMD_OP },     { sem_SHA256MSG1, SIMD_OP },
    { sem_SHA256MSG2, SIMD_OP },      { sem_VPBROADCASTB, SIMD_OP },
    { sem_VPBROADCASTW, SIMD_OP },    { sem_VPBROADCASTD, SIMD_OP },
    { sem_VPBROADCASTQ, SIMD_OP },    { sem_VPERMQ, SIMD_OP },
    { sem_VPERM2I128, SIMD_OP },      { sem_VPERM2F128, SIMD_OP },
    { sem_VINSERTI128, SIMD_OP },     { sem_VINSERTF128, SIMD_OP },
    { sem_VPBLENDD, SIMD_OP },        { sem_PTEST, SIMD_FLAGS },
    { sem_COMISS, SIMD_FP_FLAGS },    { sem_COMISD, SIMD_FP_FLAGS },
    { sem_UCOMISS, SIMD_FP_FLAGS },   { sem_UCOMISD, SIMD_FP_FLAGS },
    { sem_CVTSI2SS, SIMD_FP },        { sem_CVTSI2SD, SIMD_FP },
    { sem_CVTTSS2SI, SIMD_FP },       { sem_CVTTSD2SI, SIMD_FP },
    { sem_CVTSS2SI, SIMD_FP },        { sem_CVTSD2SI, SIMD_FP },
    { sem_CVTPS2PD, SIMD_FP },        { sem_CVTPD2PS, SIMD_FP },
    { sem_CVTTPD2DQ, SIMD_FP },       { sem_CVTPD2DQ, SIMD_FP },
    { sem_CVTDQ2PD, SIMD_FP },        { sem_CMPPS, SIMD_FP },
    { sem_CMPPD, SIMD_FP },           { sem_CMPSS, SIMD_FP },
    { sem_CMPSD_X, SIMD_FP },         { sem_PSRLDQ, SIMD_SHIFT },
    { sem_PSLLDQ, SIMD_SHIFT },       { sem_VZEROUPPER, SIMD_ZERO },
};

/* ---- deciding --------------------------------------------------------------------- */

static unsigned simd_kind(const OpInfo *in, const Insn *op)
{
    const InsnRow *row = &insn_rows[op->id];

    for (unsigned i = 0; i < G_N_ELEMENTS(simd_rows); i++) {
        if (row->sem == simd_rows[i].sem) {
            return simd_rows[i].kind;
        }
    }
    if (in->arg == SIMD_BY_ROW) {
        return row->feature == FEAT_FMA ? SIMD_FMA : SIMD_NONE;
    }
    if (!interp_simd[in->arg].pure) {
        return SIMD_FP;
    }
    return row->op[0].kind == OPK_V ? SIMD_OP : SIMD_SHIFT;
}

static bool simd_has(const InsnRow *row, unsigned kind)
{
    for (int i = 0; i < 4; i++) {
        if (row->op[i].kind == kind) {
            return true;
        }
    }
    return false;
}

/* The operand that modrm.rm stands for, or -1. */
static int simd_rm(const InsnRow *row)
{
    for (int i = 0; i < 4; i++) {
        switch (row->op[i].kind) {
        case OPK_W:
        case OPK_U:
        case OPK_M:
        case OPK_E:
        case OPK_R:
            return i;
        }
    }
    return -1;
}

/* Operands that the template can take: a destination by modrm.reg, one source
 * by modrm.rm, and those that need nothing of us. */
static bool simd_shape(const InsnRow *row)
{
    return (row->op[0].kind == OPK_V || row->op[0].kind == OPK_G) &&
           simd_rm(row) > 0 && !simd_has(row, OPK_L);
}

/* MOVSS and the like: what is no store is the same instruction. */
static unsigned simd_piece(const Insn *op, unsigned kind)
{
    unsigned to = insn_rows[op->id].op[0].kind;

    if (to == OPK_V || (kind == SIMD_HALF && !op->is_mem)) {
        return SIMD_OP;
    }
    return to == OPK_E || op->is_mem ? kind : SIMD_NONE;
}

bool gen_decide_simd(Gen *g, OpInfo *in, const Insn *op)
{
    const InsnRow *row = &insn_rows[op->id];
    unsigned kind = simd_kind(in, op);

    if (!(row->attr & (IA_SSE | IA_AVX)) || (row->attr & IA_MMX) ||
        !is_pow2(row->prefixes) || op->vsib) {
        return false;
    }
    if (kind == SIMD_PIECE || kind == SIMD_HALF) {
        kind = simd_piece(op, kind);
    }
    in->mem = -1;
    in->r1 = in->r2 = -1;
    in->arg = kind;
    if (kind == SIMD_ZERO) {
        in->pure = true;
        return true;
    }
    if (kind == SIMD_NONE || simd_rm(row) < 0 ||
        (kind <= SIMD_FP_FLAGS && !simd_shape(row))) {
        return false;
    }
    if (op->is_mem) {
        if (!interp_vector_mem(op, g->tb->key, &in->disp) ||
            !gen_disp_fits(in, op)) {
            return false;
        }
        in->mem = simd_rm(row);
    }
    in->pure = in->mem < 0 &&
               (kind == SIMD_OP || kind == SIMD_FLAGS || kind > SIMD_FP_FLAGS);
    return true;
}

/* ---- emitting ------------------------------------------------------------------------ */

static AsmMem simd_slot(unsigned r)
{
    return jit_field(JIT_OFF(cpu.s.vec) + 32 * (int)r);
}

/* The second source: a register of the host, or @mem. */
typedef struct SimdSrc {
    bool is_mem;
    uint8_t reg;
    AsmMem mem;
} SimdSrc;

static void simd_modrm(Asm *a, unsigned reg, const SimdSrc *src)
{
    if (src->is_mem) {
        asm_modrm(a, reg, src->mem);
    } else {
        asm_8(a, 0xc0 | (reg & 7) << 3 | (src->reg & 7));
    }
}

/* REX or VEX bits: W R X B. */
static unsigned simd_rex(bool w, unsigned reg, const SimdSrc *src)
{
    unsigned b = src->is_mem ? src->mem.base : src->reg;

    return w << 3 | (reg >> 3 & 1) << 2 | (b != HOST_NONE ? b >> 3 & 1 : 0);
}

/* @opcode of @map (1: 0F, 2: 0F 38, 3: 0F 3A) with prefix @pfx (PFX_*). */
static void simd_legacy(Asm *a, unsigned pfx, unsigned map, unsigned opcode,
                        bool w, unsigned reg, const SimdSrc *src)
{
    static const uint8_t prefix[] = { 0, 0x66, 0xf3, 0xf2 };
    unsigned rex = simd_rex(w, reg, src);

    if (pfx != PFX_NONE) {
        asm_8(a, prefix[pfx]);
    }
    if (rex) {
        asm_8(a, 0x40 | rex);
    }
    asm_8(a, 0x0f);
    if (map > 1) {
        asm_8(a, map == 2 ? 0x38 : 0x3a);
    }
    asm_8(a, opcode);
    simd_modrm(a, reg, src);
}

/* The same under VEX, with vvvv (0 if there is none). */
static void simd_vex(Asm *a, unsigned pfx, unsigned map, unsigned opcode,
                     bool w, bool l, unsigned reg, unsigned vvvv,
                     const SimdSrc *src)
{
    unsigned rex = simd_rex(w, reg, src);

    asm_8(a, 0xc4);
    asm_8(a, (~rex & 7) << 5 | map);
    asm_8(a, w << 7 | (~vvvv & 15) << 3 | l << 2 | pfx);
    asm_8(a, opcode);
    simd_modrm(a, reg, src);
}

/* MOVUPS between xmm or ymm register @reg and memory. */
static void simd_mov(Asm *a, bool store, bool wide, unsigned reg, AsmMem mem)
{
    SimdSrc src = { .is_mem = true, .mem = mem };

    if (wide) {
        simd_vex(a, PFX_NONE, 1, 0x10 | store, false, true, reg, 0, &src);
    } else {
        simd_legacy(a, PFX_NONE, 1, 0x10 | store, false, reg, &src);
    }
}

/* Guest register @r = xmm register @reg, and under VEX all of it. */
static void simd_store(Gen *g, const Insn *op, unsigned r, unsigned reg)
{
    simd_mov(&g->a, true, op->vex, reg, simd_slot(r));
    if (op->vex_l) { /* SSE code of the host is slow otherwise */
        asm_8(&g->a, 0xc5);
        asm_8(&g->a, 0xf8);
        asm_8(&g->a, 0x77); /* VZEROUPPER */
    }
}

/* VEX.W; outside 64-bit mode it is no size, but may be part of the opcode. */
static bool simd_w(const Insn *op)
{
    return op->rex_w || (insn_rows[op->id].attr & IA_W1);
}

/* The guest's instruction. */
static void simd_same(Gen *g, const Insn *op, unsigned reg, unsigned vvvv,
                      const SimdSrc *src)
{
    static const uint8_t maps[MAP_COUNT] = {
        [MAP_M2] = 1, [MAP_M38] = 2, [MAP_M3A] = 3,
        [MAP_V2] = 1, [MAP_V38] = 2, [MAP_V3A] = 3,
    };
    const InsnRow *row = &insn_rows[op->id];
    unsigned pfx = __builtin_ctz(row->prefixes);

    if (op->vex) {
        simd_vex(&g->a, pfx, maps[row->map], row->opcode, simd_w(op), op->vex_l,
                 reg, vvvv, src);
    } else {
        simd_legacy(&g->a, pfx, maps[row->map], row->opcode, op->rex_w, reg,
                    src);
    }
    if (simd_has(row, OPK_IMM)) {
        asm_8(&g->a, op->imm);
    }
}

/* T0 = the host address of the memory operand of @size bytes. */
static void simd_address(Gen *g, const Insn *op, unsigned size, bool write,
                         bool flags)
{
    gen_ea(g, op, g->info[g->i].disp);
    gen_seg(g, op);
    if ((insn_rows[op->id].attr & IA_ALIGN) && is_pow2(size)) {
        asm_rr(&g->a, 0, 0xf6 | ASM_FIXED, 0, T0); /* TEST */
        asm_8(&g->a, size - 1);
        gen_slow(g, asm_jcc(&g->a, 5), flags);
    }
    gen_access(g, size, write, flags);
}

/* MXCSR is as we want it, or the slow path does it. */
static void simd_fp_begin(Gen *g, bool flags)
{
    asm_alu_mi(&g->a, 2, ALU_CMP, jit_field(JIT_OFF(jit_fp)), 0);
    gen_slow(g, asm_jcc(&g->a, 4), flags);
    g->hf = HF_NONE;
}

static void simd_fp_end(Gen *g)
{
    SimdSrc mxcsr = { .is_mem = true, .mem = jit_field(JIT_OFF(cpu.s.mxcsr)) };

    simd_legacy(&g->a, PFX_NONE, 1, 0xae, false, 3, &mxcsr); /* STMXCSR */
}

/* What modrm.rm stands for, where the instruction can have it. Memory of 16
 * bytes goes through a register: SSE wants it aligned. */
static SimdSrc simd_src(Gen *g, const Insn *op, bool flags)
{
    const InsnRow *row = &insn_rows[op->id];
    int n = simd_rm(row);
    unsigned size = op_size(op, n), kind = row->op[n].kind;
    SimdSrc src = { .is_mem = true, .mem = asm_at(T0, 0) };

    if (g->info[g->i].mem >= 0) {
        simd_address(g, op, size, false, flags);
        if (size < 16 || op->vex) {
            return src;
        }
        simd_mov(&g->a, false, false, XS, src.mem);
    } else if (kind == OPK_E || kind == OPK_R) {
        return (SimdSrc) { .reg = gen_use(g, op->rm & 15, T1) };
    } else if (kind == OPK_W) {
        src.mem = simd_slot(op->rm);
        return src;
    } else {
        simd_mov(&g->a, false, size == 32, XS, simd_slot(op->rm));
    }
    return (SimdSrc) { .reg = XS };
}

/* The same instruction with a destination in modrm.reg. */
static void simd_op(Gen *g, const Insn *op)
{
    const InsnRow *row = &insn_rows[op->id];
    bool to_gpr = row->op[0].kind == OPK_G, has_h = simd_has(row, OPK_H);
    bool fma = g->info[g->i].arg == SIMD_FMA;
    bool fp = g->info[g->i].arg == SIMD_FP || fma;
    unsigned d = XD;
    SimdSrc src;

    if (to_gpr) {
        gen_touch(g, op->reg & 15);
    }
    if (fp) {
        simd_fp_begin(g, false);
    }
    src = simd_src(g, op, false);
    if (to_gpr) {
        d = gen_def(op->reg & 15, T2);
    } else if (fma) {
        simd_mov(&g->a, false, op->vex_l, XD, simd_slot(op->reg));
        simd_mov(&g->a, false, op->vex_l, XI, simd_slot(op->vvvv));
    } else if (has_h) {
        simd_mov(&g->a, false, op->vex_l, XD,
                 simd_slot(op->vex ? op->vvvv : op->reg));
    }
    if (simd_has(row, OPK_XMM0)) {
        simd_mov(&g->a, false, false, XI, simd_slot(0));
    }
    simd_same(g, op, d, has_h && !fma ? XD : XI, &src);
    if (fp) {
        simd_fp_end(g);
    }
    if (to_gpr) {
        gen_put(g, op->reg & 15, d);
    } else {
        simd_store(g, op, op->reg, XD);
    }
}

/* Compares: the host's flags are noted, raw. */
static void simd_flags(Gen *g, const Insn *op)
{
    bool fp = g->info[g->i].arg == SIMD_FP_FLAGS;
    SimdSrc src;

    if (fp) {
        simd_fp_begin(g, true);
    }
    src = simd_src(g, op, true);
    simd_mov(&g->a, false, op->vex_l, XD, simd_slot(op->reg));
    simd_same(g, op, XD, 0, &src);
    if (fp) {
        simd_fp_end(g);
    }
    gen_note_host(g);
}

static void simd_move(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    bool load = insn_rows[op->id].op[0].kind == OPK_V;
    unsigned size = op->vex_l ? 32 : 16;

    if (in->mem >= 0) {
        simd_address(g, op, size, !load, false);
    }
    if (in->mem >= 0 && !load) {
        simd_mov(&g->a, false, op->vex_l, XD, simd_slot(op->reg));
        simd_mov(&g->a, true, op->vex_l, XD, asm_at(T0, 0));
        return;
    }
    simd_mov(&g->a, false, op->vex_l, XD,
             in->mem >= 0 ? asm_at(T0, 0) : simd_slot(load ? op->rm : op->reg));
    if (op->vex && !op->vex_l) { /* the rest becomes 0: VMOVAPS to itself */
        SimdSrc self = { .reg = XD };

        simd_vex(&g->a, PFX_NONE, 1, 0x28, false, false, XD, 0, &self);
    }
    simd_store(g, op, load ? op->reg : op->rm, XD);
}

/* The lower bytes of a vector register, or its upper half, to memory or to a
 * general register. */
static void simd_piece_out(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned log2 = op_size(op, 0) == 8 ? 3 : 2, d;
    AsmMem from = simd_slot(op->reg);

    if (in->arg == SIMD_HALF && insn_rows[op->id].opcode & 4) {
        from.disp += 8;
    }
    if (in->mem >= 0) {
        simd_address(g, op, 1 << log2, true, false);
        asm_rm(&g->a, log2, 0x8b, T1, from);
        asm_rm(&g->a, log2, 0x89, T1, asm_at(T0, 0));
        return;
    }
    gen_touch(g, op->rm & 15);
    d = gen_def(op->rm & 15, T1);
    asm_rm(&g->a, log2, 0x8b, d, from);
    gen_put(g, op->rm & 15, d);
}

static void simd_shift(Gen *g, const Insn *op)
{
    SimdSrc src = { .reg = XD };

    simd_mov(&g->a, false, op->vex_l, XD, simd_slot(op->rm));
    simd_same(g, op, insn_rows[op->id].modrm >> 8, XD, &src);
    simd_store(g, op, op->vex ? op->vvvv : op->rm, XD);
}

static void simd_zero_upper(Gen *g, const Insn *op)
{
    unsigned n = g->code64 ? 16 : 8;
    SimdSrc self = { .reg = XD };

    simd_legacy(&g->a, PFX_NONE, 1, 0x57, false, XD, &self); /* XORPS */
    for (unsigned r = 0; r < n; r++) {
        AsmMem upper = simd_slot(r);

        upper.disp += 16;
        simd_mov(&g->a, true, false, XD, upper);
    }
}

void gen_simd(Gen *g, const Insn *op)
{
    switch (g->info[g->i].arg) {
    case SIMD_OP:
    case SIMD_FP:
    case SIMD_FMA:
        simd_op(g, op);
        break;
    case SIMD_FLAGS:
    case SIMD_FP_FLAGS:
        simd_flags(g, op);
        break;
    case SIMD_MOVE:
        simd_move(g, op);
        break;
    case SIMD_PIECE:
    case SIMD_HALF:
        simd_piece_out(g, op);
        break;
    case SIMD_SHIFT:
        simd_shift(g, op);
        break;
    case SIMD_ZERO:
        simd_zero_upper(g, op);
        break;
    }
}

#endif
