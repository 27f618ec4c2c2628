/*
 * From a block of decoded operations to host code: what each operation becomes
 * (gen_decide), the flags between them, the templates, the ends.
 *
 * Arithmetic flags. The host's instruction makes the guest's flags as well;
 * nobody needs them but a reader in the block, or whoever looks at RFLAGS after
 * a fault or behind the block. So a producer only notes what they follow from
 * (Pend), and LazyFlags is filled when that is about to be lost, on the way out,
 * or in the slow path of an operation in between. While @hf the host's flags
 * are the guest's as well.
 *
 * Memory. The TLB is probed inline; a miss goes to code behind the block that
 * calls the reference function and comes back behind the operation.
 */
#include "util/osdep.h"
#include "accel/tcg/jit-impl.h"
#include "target-x86/operand.h"

#if defined(__x86_64__)

/* What becomes of an operation. */
typedef enum How {
    HOW_CALL,  /* its handler, or several in a row */
    HOW_LEAVE, /* the interpreter goes on with it */
    HOW_EMIT,
} How;

/* Classes that the interpreter has no handlers for; behind those of OpClass. */
enum {
    CL_BITS = 64, /* arg: 4 BT to 7 BTC */
    CL_BSWAP,
    CL_CMPXCHG,
};

typedef struct OpInfo {
    uint8_t how, cls, arg;
    uint8_t log2; /* of operand 0 */
    uint8_t from; /* of operand 1 where it is another */
    bool locked;
    bool pure;     /* cannot fault, does not leave */
    bool imm;      /* operand 1 is op->imm */
    int8_t r1, r2; /* guest registers, or -1 */
    int8_t mem;    /* which operand is in memory, or -1 */
    int8_t high;   /* AH CH DH BH is an operand: 0 to 3, or -1 */
    bool unfuse;   /* its handler may be that of the next one too */
    int32_t disp;
} OpInfo;

/* Flags that are not in LazyFlags yet. */
typedef enum PendForm {
    PEND_NONE,
    PEND_RES,  /* res is in register a */
    PEND_CMP,  /* ... is a - b */
    PEND_TEST, /* ... is a & b */
    PEND_CF,   /* nothing waits, but CF is in bit 0 of LazyFlags.src */
} PendForm;
typedef enum PendSrc { SRC_REG, SRC_IMM, SRC_STORED } PendSrc;

typedef struct Pend {
    uint8_t form, kind, log2; /* kind: FLAGS_* */
    uint8_t src;              /* what b is; STORED: in LazyFlags already */
    int8_t a, b;
    int32_t imm;
} Pend;

/* How far the host's flags are the guest's. */
typedef enum HostFlags {
    HF_NONE,
    HF_NO_CARRY, /* all but CF */
    HF_ALL,
} HostFlags;

/* Code behind the block. */
typedef enum StubKind {
    STUB_SLOW,    /* op's reference function, back to @back */
    STUB_LEAVE,   /* to handler @fn with op */
    STUB_TAKEN,   /* the other way of a conditional jump */
    STUB_STOP,    /* budget: to the run loop, to offset @at in the page */
    STUB_STOP_T1, /* ... to T1 */
    STUB_LINK,    /* ... to @at by @fn, which finds the block */
    STUB_LINK_T1,
    STUB_CARRY,    /* LazyFlags.src = CF */
    STUB_EXACT_CF, /* s.rflags' CF = T2 */
} StubKind;

typedef struct Stub {
    uint8_t kind, count;
    bool flags;
    unsigned op;
    int at;
    InsnFn *fn;
    uint8_t *jump[3]; /* which come here */
    uint8_t *back;
    Pend pend;
} Stub;

enum { STUBS_MAX = 6 * BLOCK_MAX + 16 };

typedef struct Gen {
    Asm a;
    TcgCpu *tc;
    Tb *tb;
    Jit *j;
    uint8_t *code;
    unsigned i; /* the operation at hand */
    int start;  /* of the block in its page */
    bool code64;
    uint8_t hf; /* HostFlags */
    uint8_t guess; /* LazyFlags.op most likely, while nothing pends; or 0 */
    Pend pend;
    unsigned n_stubs;
    OpInfo info[BLOCK_MAX + 1];
    bool after_run[BLOCK_MAX + 1];
    Stub stub[STUBS_MAX];
} Gen;

#define LAZY_RES JIT_OFF(cpu.lazy.res)
#define LAZY_SRC JIT_OFF(cpu.lazy.src)
#define LAZY_OP  JIT_OFF(cpu.lazy.op)

/* ---- registers --------------------------------------------------------------------- */

static AsmMem gen_slot(unsigned r)
{
    return jit_field(JIT_OFF(cpu.s.gpr) + 8 * (int)r);
}

/* The host register that has guest register @r; @tmp after a load if none. */
static unsigned gen_use(Gen *g, unsigned r, unsigned tmp)
{
    if (jit_host[r] != HOST_NONE) {
        return jit_host[r];
    }
    asm_rm(&g->a, 3, 0x8b, tmp, gen_slot(r));
    return tmp;
}

/* The one to write to, and what makes it so. */
static unsigned gen_def(unsigned r, unsigned tmp)
{
    return jit_host[r] != HOST_NONE ? jit_host[r] : tmp;
}

static void gen_put(Gen *g, unsigned r, unsigned host)
{
    if (jit_host[r] == HOST_NONE) {
        asm_rm(&g->a, 3, 0x89, host, gen_slot(r));
    }
}

/* Host register @to = guest register @r. */
static void gen_get(Gen *g, unsigned to, unsigned r)
{
    if (jit_host[r] != HOST_NONE) {
        asm_mov_rr(&g->a, to, jit_host[r]);
    } else {
        asm_rm(&g->a, 3, 0x8b, to, gen_slot(r));
    }
}

/* @host = the operand at [T0], zero-extended. */
static void gen_load(Gen *g, unsigned log2, unsigned host, unsigned at)
{
    if (log2 < 2) {
        asm_rm(&g->a, 2, ASM_0F | (log2 ? 0xb7 : 0xb6), host, asm_at(at, 0));
    } else {
        asm_rm(&g->a, log2, 0x8b, host, asm_at(at, 0));
    }
}

/* ---- flags --------------------------------------------------------------------------- */

static void gen_store_op(Gen *g, unsigned kind, unsigned log2)
{
    asm_rm(&g->a, 2, 0xc7, 0, jit_field(LAZY_OP));
    asm_32(&g->a, kind + log2);
}

static void gen_store_src_imm(Gen *g, int32_t v)
{
    asm_rm(&g->a, 3, 0xc7, 0, jit_field(LAZY_SRC));
    asm_32(&g->a, v);
}

/* ALU operation @what of host register @to with the second operand of @p. */
static void gen_pend_b(Gen *g, const Pend *p, unsigned what, unsigned to)
{
    if (p->src == SRC_IMM) {
        asm_alu_ri(&g->a, p->log2, what, to, p->imm);
    } else if (jit_host[p->b] != HOST_NONE) {
        asm_rr(&g->a, p->log2, what << 3 | 3, to, jit_host[p->b]);
    } else {
        asm_rm(&g->a, p->log2, what << 3 | 3, to, gen_slot(p->b));
    }
}

/* Fills LazyFlags. Uses T1 and T2. The host's flags are as before or, if @p is
 * a compare, the guest's. */
static void gen_store_pend(Gen *g, const Pend *p)
{
    unsigned r;

    if (p->form == PEND_NONE || p->form == PEND_CF) {
        return;
    }
    if (p->kind != FLAGS_LOGIC) {
        if (p->src == SRC_IMM) {
            gen_store_src_imm(g, p->imm);
        } else if (p->src == SRC_REG) {
            r = gen_use(g, p->b, T2);
            asm_rm(&g->a, 3, 0x89, r, jit_field(LAZY_SRC));
        }
    }
    gen_store_op(g, p->kind, p->log2);
    if (p->form == PEND_RES) {
        r = gen_use(g, p->a, T2);
    } else {
        gen_get(g, T2, p->a);
        gen_pend_b(g, p, p->form == PEND_CMP ? ALU_SUB : ALU_AND, T2);
        r = T2;
    }
    asm_rm(&g->a, 3, 0x89, r, jit_field(LAZY_RES));
}

static void gen_flush_pend(Gen *g)
{
    gen_store_pend(g, &g->pend);
    if (g->pend.form != PEND_NONE && g->pend.form != PEND_CF) {
        g->guess = g->pend.kind + g->pend.log2;
    }
    if (g->pend.form == PEND_CMP || g->pend.form == PEND_TEST) {
        g->hf = HF_ALL;
    }
    g->pend.form = PEND_NONE;
}

/* Guest register @r is about to change. */
static void gen_touch(Gen *g, int r)
{
    const Pend *p = &g->pend;

    if (p->form == PEND_NONE || p->form == PEND_CF) {
        return;
    }
    if (p->a == r ||
        (p->src == SRC_REG && p->kind != FLAGS_LOGIC && p->b == r) ||
        (p->src == SRC_REG && p->form == PEND_TEST && p->b == r)) {
        gen_flush_pend(g);
    }
}

static void gen_set_pend(Gen *g, PendForm form, unsigned kind, unsigned log2,
                         int a)
{
    g->pend = (Pend) {
        .form = form,
        .kind = kind,
        .log2 = log2,
        .a = a,
        .b = -1,
        .src = SRC_STORED,
    };
}

/* From operation @k on, flags are written before anybody looks. */
static bool gen_dead_at(const Gen *g, unsigned k)
{
    uint32_t live = FL_ARITH;

    for (; k < g->tb->n; k++) {
        const InsnRow *row = &insn_rows[g->tb->op[k].id];

        if (!g->info[k].pure || (row->fl_read & live)) {
            return false;
        }
        live &= ~(row->fl_write | row->fl_undef);
        if (!live) {
            return true;
        }
    }
    return false;
}

/* Nobody sees the flags that operation @g->i writes. */
static bool gen_dead(const Gen *g)
{
    return gen_dead_at(g, g->i + 1);
}

/* CF is bit 0 of LazyFlags.src. */
static bool gen_carry_stored(const Pend *p)
{
    return p->form == PEND_CF ||
           (p->form == PEND_RES &&
            (p->kind == FLAGS_INC || p->kind == FLAGS_DEC ||
             p->kind == FLAGS_MUL));
}

/* Makes the host's flags good for condition @cc; returns the host's condition.
 * Uses all scratch registers. */
static unsigned gen_cond(Gen *g, unsigned cc)
{
    const Pend *p = &g->pend;
    bool by_res = (cc >> 1) == 2 || (cc >> 1) == 4 || (cc >> 1) == 5;
    bool carry = (cc >> 1) == 1 || (cc >> 1) == 3;
    unsigned r;

    if (g->hf == HF_ALL || (g->hf == HF_NO_CARRY && !carry)) {
        return cc;
    }
    if (p->form == PEND_CMP) {
        r = gen_use(g, p->a, T0);
        gen_pend_b(g, p, ALU_CMP, r);
        g->hf = HF_ALL;
        return cc;
    }
    if (p->form == PEND_TEST ||
        (p->form == PEND_RES && (p->kind == FLAGS_LOGIC || by_res))) {
        r = gen_use(g, p->a, T0);
        if (p->form == PEND_RES) {
            asm_rr(&g->a, p->log2, 0x85, r, r);
        } else if (p->src == SRC_IMM) {
            asm_rr(&g->a, p->log2, 0xf7, 0, r);
            asm_imm(&g->a, p->log2, p->imm);
        } else if (jit_host[p->b] != HOST_NONE) {
            asm_rr(&g->a, p->log2, 0x85, jit_host[p->b], r);
        } else {
            asm_rm(&g->a, p->log2, 0x85, r, gen_slot(p->b));
        }
        g->hf = p->kind == FLAGS_LOGIC ? HF_ALL : HF_NONE;
        return cc;
    }
    if ((cc >> 1) == 1 && p->form == PEND_RES && p->kind == FLAGS_ADD) {
        r = gen_use(g, p->a, T0); /* CF is res < src */
        if (p->src == SRC_STORED) {
            asm_rm(&g->a, p->log2, 0x3b, r, jit_field(LAZY_SRC));
        } else {
            gen_pend_b(g, p, ALU_CMP, r);
        }
        g->hf = HF_NONE;
        return cc;
    }
    if ((cc >> 1) == 1 && gen_carry_stored(p)) {
        asm_rm(&g->a, 2, ASM_0F | ASM_FIXED | 0xba, 4, jit_field(LAZY_SRC));
        asm_8(&g->a, 0); /* BT */
        g->hf = HF_NONE;
        return cc;
    }
    gen_flush_pend(g);
    asm_mov_ri(&g->a, T0, cc);
    asm_call_to(&g->a, g->j->th.cond);
    asm_rr(&g->a, 2, 0x85, T0, T0);
    g->hf = HF_NONE;
    return 5;
}

/* ---- stubs ------------------------------------------------------------------------------ */

static Stub *gen_stub(Gen *g, StubKind kind, uint8_t *jump)
{
    Stub *s = &g->stub[g->n_stubs++];

    g_assert(g->n_stubs <= STUBS_MAX);
    *s = (Stub) { .kind = kind, .op = g->i, .jump = { jump } };
    s->pend.form = PEND_NONE;
    return s;
}

/* ---- memory ------------------------------------------------------------------------------ */

/* @to = the address of the memory operand, in @log2 bytes. */
static void gen_address(Gen *g, const Insn *op, int32_t disp, unsigned to,
                        unsigned log2)
{
    AsmMem m = { .base = HOST_NONE, .index = HOST_NONE, .disp = disp };

    if (op->base == INSN_RIP) {
        asm_rm(&g->a, 3, 0x8b, T0, jit_field(JIT_OFF(jit_page)));
        m.base = T0;
        m.disp = disp + g->start;
    } else if (op->base != INSN_NONE) {
        m.base = gen_use(g, op->base, T0);
    }
    if (op->index != INSN_NONE) {
        m.index = gen_use(g, op->index, T1);
        m.scale = op->scale;
    }
    asm_rm(&g->a, log2, 0x8d, to, m);
}

/* T0 = the linear address, but for the segment. */
static void gen_ea(Gen *g, const Insn *op, int32_t disp)
{
    gen_address(g, op, disp, T0, op->adsize == 2 ? 2 : 3);
}

static void gen_seg(Gen *g, const Insn *op)
{
    if (op->seg >= S_FS) {
        asm_rm(&g->a, 3, 0x03, T0,
               jit_field(JIT_OFF(cpu.s.seg) + (int)sizeof(X86Seg) * op->seg +
                         (int)offsetof(X86Seg, base)));
    }
}

G_STATIC_ASSERT((sizeof(TlbEntry) & (sizeof(TlbEntry) - 1)) == 0);
enum { TLB_ENTRY_SHIFT = __builtin_ctz(sizeof(TlbEntry)) };

/* T0: linear to host address of @size bytes; uses T1 and T2. Returns where it
 * jumps to if it cannot. */
static uint8_t *gen_probe(Gen *g, unsigned size, bool write)
{
    Asm *a = &g->a;
    uint8_t *miss;

    asm_mov_rr(a, T1, T0);
    asm_rr(a, 3, 0xc1, 5, T1); /* SHR */
    asm_8(a, PAGE_SHIFT - TLB_ENTRY_SHIFT);
    asm_rm(a, 3, 0x8d, T2, asm_at(T0, size - 1));
    asm_alu_ri(a, 2, ALU_AND, T1, (TLB_SIZE - 1) << TLB_ENTRY_SHIFT);
    asm_alu_ri(a, 3, ALU_AND, T2, -PAGE_SIZE);
    asm_rm(a, 3, 0x03, T1, jit_field(JIT_OFF(tlb)));
    asm_rm(a, 3, 0x3b, T2,
           asm_at(T1,
                  write ? offsetof(TlbEntry, wtag) : offsetof(TlbEntry, rtag)));
    miss = asm_jcc(a, 5);
    asm_rm(a, 3, 0x03, T0, asm_at(T1, offsetof(TlbEntry, addend)));
    g->hf = HF_NONE;
    return miss;
}

/* With the slow path of an operation; its way back is set when that is over
 * (gen_one). @flags: it writes them, and hf will be true. */
static void gen_access(Gen *g, unsigned size, bool write, bool flags)
{
    Stub *s = gen_stub(g, STUB_SLOW, gen_probe(g, size, write));

    s->flags = flags;
    s->count = 1;
    s->pend = g->pend;
}

static void gen_operand(Gen *g, const Insn *op, bool write, bool flags)
{
    const OpInfo *in = &g->info[g->i];
    unsigned log2 = in->cls == CL_EXTEND ? in->from : in->log2;

    gen_ea(g, op, in->disp);
    gen_seg(g, op);
    gen_access(g, 1 << log2, write, flags);
}

/* A miss leaves to a handler of the interpreter, which does it all. */
static void gen_access_or(Gen *g, unsigned size, bool write, InsnFn *fn)
{
    Stub *s;
    uint8_t *miss;

    miss = gen_probe(g, size, write);
    s = gen_stub(g, STUB_LEAVE, miss);
    s->fn = fn;
    s->pend = g->pend;
}

/* ---- ALU ------------------------------------------------------------------------------------- */

static const uint8_t alu_kind[] = {
    [ALU_ADD] = FLAGS_ADD,   [ALU_OR] = FLAGS_LOGIC,  [ALU_ADC] = FLAGS_ADC,
    [ALU_SBB] = FLAGS_SBB,   [ALU_AND] = FLAGS_LOGIC, [ALU_SUB] = FLAGS_SUB,
    [ALU_XOR] = FLAGS_LOGIC, [ALU_CMP] = FLAGS_SUB,   [ALU_TEST] = FLAGS_LOGIC,
};

/* CMP, TEST between registers: nothing yet. */
static void gen_compare(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    bool cmp = in->arg == ALU_CMP;

    if (!cmp && in->r1 == in->r2) {
        gen_set_pend(g, PEND_RES, FLAGS_LOGIC, in->log2, in->r1);
    } else {
        gen_set_pend(g, cmp ? PEND_CMP : PEND_TEST, alu_kind[in->arg], in->log2,
                     in->r1);
        g->pend.src = in->imm ? SRC_IMM : SRC_REG;
        g->pend.imm = op->imm;
        g->pend.b = in->r2;
    }
    g->hf = HF_NONE;
}

static void gen_alu_r(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    bool logic = alu_kind[in->arg] == FLAGS_LOGIC, stored = false;
    unsigned d;

    d = gen_use(g, in->r1, T0);
    if (!in->imm && in->r1 == in->r2 && !logic && !gen_dead(g)) {
        asm_rm(&g->a, 3, 0x89, d, jit_field(LAZY_SRC));
        stored = true;
    }
    if (in->imm) {
        asm_alu_ri(&g->a, in->log2, in->arg, d, op->imm);
    } else if (jit_host[in->r2] != HOST_NONE) {
        asm_rr(&g->a, in->log2, in->arg << 3 | 3, d, jit_host[in->r2]);
    } else if (in->r1 == in->r2) {
        asm_rr(&g->a, in->log2, in->arg << 3 | 3, d, d);
    } else {
        asm_rm(&g->a, in->log2, in->arg << 3 | 3, d, gen_slot(in->r2));
    }
    gen_put(g, in->r1, d);
    gen_set_pend(g, PEND_RES, alu_kind[in->arg], in->log2, in->r1);
    if (!stored && !logic) {
        g->pend.src = in->imm ? SRC_IMM : SRC_REG;
        g->pend.imm = op->imm;
        g->pend.b = in->r2;
    }
    g->hf = HF_ALL;
}

/* Leaves the flags of T2 = a op b in memory at once. */
static void gen_store_res(Gen *g, unsigned kind, unsigned host)
{
    asm_rm(&g->a, 3, 0x89, host, jit_field(LAZY_RES));
    gen_store_op(g, kind, g->info[g->i].log2);
    g->guess = kind + g->info[g->i].log2;
    g->pend.form = PEND_NONE;
    g->hf = HF_ALL;
}

/* r1 op= [m] */
static void gen_alu_rm(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned what = in->arg, d;
    bool logic = alu_kind[what] == FLAGS_LOGIC;

    gen_operand(g, op, false, true);
    if (what == ALU_CMP || what == ALU_TEST) {
        gen_load(g, in->log2, T0, T0);
        if (what == ALU_CMP) {
            gen_get(g, T2, in->r1);
            asm_rm(&g->a, 3, 0x89, T0, jit_field(LAZY_SRC));
            asm_rr(&g->a, in->log2, 0x2b, T2, T0);
            gen_store_res(g, FLAGS_SUB, T2);
        } else {
            d = gen_use(g, in->r1, T1);
            asm_rr(&g->a, in->log2, 0x23, T0, d);
            gen_store_res(g, FLAGS_LOGIC, T0);
        }
        return;
    }
    d = gen_use(g, in->r1, T1);
    if (logic || gen_dead(g)) {
        asm_rm(&g->a, in->log2, what << 3 | 3, d, asm_at(T0, 0));
        gen_put(g, in->r1, d);
        if (logic) {
            gen_set_pend(g, PEND_RES, FLAGS_LOGIC, in->log2, in->r1);
        } else {
            g->pend.form = PEND_NONE;
        }
        g->hf = HF_ALL;
        return;
    }
    gen_load(g, in->log2, T0, T0);
    asm_rr(&g->a, in->log2, what << 3 | 3, d, T0);
    gen_put(g, in->r1, d);
    /* The slow path has stored the same. */
    asm_rm(&g->a, 3, 0x89, T0, jit_field(LAZY_SRC));
    gen_set_pend(g, PEND_RES, alu_kind[what], in->log2, in->r1);
    g->hf = HF_ALL;
}

/* The second operand of [m] op b: what of host register @to. Uses T1. */
static void gen_alu_b(Gen *g, const Insn *op, unsigned what, unsigned to)
{
    const OpInfo *in = &g->info[g->i];

    if (in->imm) {
        asm_alu_ri(&g->a, in->log2, what, to, op->imm);
    } else {
        asm_rr(&g->a, in->log2, what << 3 | 3, to, gen_use(g, in->r2, T1));
    }
}

static void gen_store_src(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];

    if (in->imm) {
        gen_store_src_imm(g, op->imm);
    } else {
        asm_rm(&g->a, 3, 0x89, gen_use(g, in->r2, T1), jit_field(LAZY_SRC));
    }
}

/* [m] op= r2 or imm */
static void gen_alu_m(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned what = in->arg;
    bool writes = what != ALU_CMP && what != ALU_TEST;

    gen_operand(g, op, writes, true);
    if (writes && gen_dead(g)) {
        if (in->imm) {
            asm_alu_mi(&g->a, in->log2, what, asm_at(T0, 0), op->imm);
        } else {
            asm_rm(&g->a, in->log2, what << 3 | 1, gen_use(g, in->r2, T1),
                   asm_at(T0, 0));
        }
        g->pend.form = PEND_NONE;
        g->hf = HF_ALL;
        return;
    }
    gen_load(g, in->log2, T2, T0);
    gen_alu_b(g, op,
              what == ALU_TEST  ? ALU_AND
              : what == ALU_CMP ? ALU_SUB
                                : what,
              T2);
    if (writes) {
        asm_rm(&g->a, in->log2, 0x89, T2, asm_at(T0, 0));
    }
    if (alu_kind[what] != FLAGS_LOGIC) {
        gen_store_src(g, op);
    }
    gen_store_res(g, alu_kind[what], T2);
}

/* ---- with carry ---------------------------------------------------------------------------- */

/* jit_carry = CF. Where the host's flags are the guest's, they stay so. */
static void gen_save_carry(Gen *g)
{
    AsmMem to = jit_field(JIT_OFF(jit_carry));
    const Pend *p = &g->pend;

    if (g->hf != HF_ALL && gen_carry_stored(p)) {
        asm_rm(&g->a, 2, 0x8b, T2, jit_field(LAZY_SRC));
        asm_alu_ri(&g->a, 2, ALU_AND, T2, 1);
        asm_rm(&g->a, 2, 0x89, T2, to);
        g->hf = HF_NONE;
        return;
    }
    if (g->hf == HF_ALL || p->form == PEND_CMP) {
        gen_cond(g, 2);
        asm_rm(&g->a, 0, ASM_0F | ASM_FIXED | 0x92, 0, to);
        return;
    }
    if (p->form != PEND_NONE && p->kind == FLAGS_LOGIC) {
        asm_rm(&g->a, 0, 0xc6, 0, to);
        asm_8(&g->a, 0);
        return;
    }
    gen_flush_pend(g);
    asm_call_to(&g->a, g->j->th.carry);
    asm_rm(&g->a, 2, 0x89, T0, to);
    g->hf = HF_NONE;
}

/* The host's CF from there. */
static void gen_take_carry(Gen *g)
{
    if (g->hf != HF_ALL) {
        asm_rm(&g->a, 2, ASM_0F | ASM_FIXED | 0xba, 4,
               jit_field(JIT_OFF(jit_carry)));
        asm_8(&g->a, 0); /* BT */
    }
}

/* The result is in @host; FLAGS_ADC or ADD, SBB or SUB by the carry. */
static void gen_store_carry_res(Gen *g, const OpInfo *in, unsigned host)
{
    Asm *a = &g->a;

    asm_rm(a, 3, 0x89, host, jit_field(LAZY_RES));
    asm_rm(a, 2, ASM_0F | ASM_FIXED | 0xb6, T1, jit_field(JIT_OFF(jit_carry)));
    asm_rm(a, 3, 0x8d, T1, (AsmMem) { T1, T1, 2, 0 });
    asm_rm(
        a, 3, 0x8d, T1,
        (AsmMem) { HOST_NONE, T1, 2,
                   (in->arg == ALU_ADC ? FLAGS_ADD : FLAGS_SUB) + in->log2 });
    asm_rm(a, 2, 0x89, T1, jit_field(LAZY_OP));
    g->pend.form = PEND_NONE;
    g->hf = HF_ALL;
}

G_STATIC_ASSERT(FLAGS_ADC - FLAGS_ADD == 20 && FLAGS_SBB - FLAGS_SUB == 20);

static void gen_carry_r(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    bool dead = gen_dead(g);
    unsigned d;

    gen_save_carry(g);
    if (!dead) {
        gen_store_src(g, op);
    }
    d = gen_use(g, in->r1, T0);
    gen_take_carry(g);
    if (in->imm) {
        asm_alu_ri(&g->a, in->log2, in->arg, d, op->imm);
    } else {
        asm_rr(&g->a, in->log2, in->arg << 3 | 3, d, gen_use(g, in->r2, T1));
    }
    gen_put(g, in->r1, d);
    if (dead) {
        g->pend.form = PEND_NONE;
        g->hf = HF_NONE;
    } else {
        gen_store_carry_res(g, in, d);
    }
}

static void gen_carry_rm(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned d;

    gen_save_carry(g);
    gen_operand(g, op, false, true);
    gen_load(g, in->log2, T0, T0);
    d = gen_use(g, in->r1, T1);
    asm_rm(&g->a, 3, 0x89, T0, jit_field(LAZY_SRC));
    gen_take_carry(g);
    asm_rr(&g->a, in->log2, in->arg << 3 | 3, d, T0);
    gen_put(g, in->r1, d);
    gen_store_carry_res(g, in, d);
}

static void gen_carry_m(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];

    gen_save_carry(g);
    gen_operand(g, op, true, true);
    gen_load(g, in->log2, T2, T0);
    gen_store_src(g, op);
    gen_take_carry(g);
    gen_alu_b(g, op, in->arg, T2);
    asm_rm(&g->a, in->log2, 0x89, T2, asm_at(T0, 0));
    gen_store_carry_res(g, in, T2);
}

static void gen_carry(Gen *g, const Insn *op)
{
    switch (g->info[g->i].mem) {
    case 0:
        gen_carry_m(g, op);
        break;
    case 1:
        gen_carry_rm(g, op);
        break;
    default:
        gen_carry_r(g, op);
    }
}

/* ---- moves, and the second bytes of registers ------------------------------------------------- */

/* TEST or CMP of AH, CH, DH, BH with a constant. */
static void gen_compare_high(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    bool cmp = in->arg == ALU_CMP;

    asm_mov_rr(&g->a, T2, jit_host[in->high]);
    asm_rr(&g->a, 2, 0xc1, 5, T2);
    asm_8(&g->a, 8);
    asm_alu_ri(&g->a, 0, cmp ? ALU_SUB : ALU_AND, T2, op->imm);
    if (cmp) {
        gen_store_src_imm(g, op->imm);
    }
    gen_store_res(g, cmp ? FLAGS_SUB : FLAGS_LOGIC, T2);
}

static void gen_mov(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned d, s;

    if (in->mem == 0) {
        gen_operand(g, op, true, false);
        if (in->imm) {
            asm_rm(&g->a, in->log2, 0xc7, 0, asm_at(T0, 0));
            asm_imm(&g->a, in->log2, op->imm);
        } else {
            s = gen_use(g, in->r2, T1);
            asm_rm(&g->a, in->log2, 0x89, s, asm_at(T0, 0));
        }
        return;
    }
    gen_touch(g, in->r1);
    if (in->mem == 1) {
        gen_operand(g, op, false, false);
        if (in->log2 < 2) {
            d = gen_use(g, in->r1, T1);
        } else {
            d = gen_def(in->r1, T1);
        }
        asm_rm(&g->a, in->log2, 0x8b, d, asm_at(T0, 0));
        gen_put(g, in->r1, d);
        return;
    }
    d = in->log2 < 2 ? gen_use(g, in->r1, T0) : gen_def(in->r1, T0);
    if (!in->imm) {
        s = gen_use(g, in->r2, T1);
        asm_rr(&g->a, in->log2, 0x8b, d, s);
    } else if (in->log2 < 2) {
        asm_op(&g->a, in->log2, ASM_FIXED | (in->log2 ? 0xb8 : 0xb0) | (d & 7),
               0, HOST_NONE, d, d >= 4);
        asm_imm(&g->a, in->log2, op->imm);
    } else {
        asm_mov_ri(&g->a, d, in->log2 == 2 ? (uint32_t)op->imm : op->imm);
    }
    gen_put(g, in->r1, d);
}

/* ---- one operand, shifts, multiplication ------------------------------------------------------ */

/* LazyFlags.src = CF, if LazyFlags are of @kind, as is most likely. */
static void gen_guess_carry(Gen *g, unsigned kind, unsigned log2)
{
    Asm *a = &g->a;
    Stub *s;

    asm_alu_mi(a, 2, ALU_CMP, jit_field(LAZY_OP), kind + log2);
    s = gen_stub(g, STUB_CARRY, asm_jcc(a, 5));
    if (kind == FLAGS_LOGIC) {
        gen_store_src_imm(g, 0);
    } else {
        asm_rm(a, 3, 0x8b, T2, jit_field(LAZY_RES));
        if (kind == FLAGS_SUB) {
            asm_rm(a, 3, 0x03, T2, jit_field(LAZY_SRC));
        }
        asm_rm(a, log2, 0x3b, T2, jit_field(LAZY_SRC));
        asm_rr(a, 0, ASM_0F | ASM_FIXED | ASM_BYTE_RM | 0x92, 0, T2);
        asm_rr(a, 2, ASM_0F | ASM_BYTE_RM | 0xb6, T2, T2);
        asm_rm(a, 3, 0x89, T2, jit_field(LAZY_SRC));
    }
    s->back = a->p;
    g->hf = HF_NONE;
}

/* LazyFlags.src = CF, for INC and DEC, which leave it. Uses T2. */
static void gen_keep_carry(Gen *g)
{
    Pend *p = &g->pend;
    unsigned kind;
    Stub *s;

    if (gen_carry_stored(p)) {
        return;
    }
    if (p->form != PEND_NONE && p->kind == FLAGS_LOGIC) {
        gen_store_src_imm(g, 0);
        return;
    }
    if (g->hf == HF_ALL || p->form == PEND_CMP) {
        gen_cond(g, 2);
        asm_rr(&g->a, 0, ASM_0F | ASM_FIXED | ASM_BYTE_RM | 0x92, 0, T2);
        asm_rr(&g->a, 2, ASM_0F | ASM_BYTE_RM | 0xb6, T2, T2);
        asm_rm(&g->a, 3, 0x89, T2, jit_field(LAZY_SRC));
        return;
    }
    gen_flush_pend(g);
    kind = g->guess & ~3;
    if (kind == FLAGS_ADD || kind == FLAGS_SUB || kind == FLAGS_LOGIC) {
        gen_guess_carry(g, kind, g->guess & 3);
        return;
    }
    asm_rm(&g->a, 2, 0x8b, T2, jit_field(LAZY_OP));
    asm_alu_ri(&g->a, 2, ALU_SUB, T2, FLAGS_INC);
    asm_alu_ri(&g->a, 2, ALU_CMP, T2, FLAGS_ADC - FLAGS_INC);
    g->hf = HF_NONE;
    s = gen_stub(g, STUB_CARRY, asm_jcc(&g->a, 3));
    s->back = g->a.p;
}

static void gen_unary(Gen *g, const Insn *op)
{
    static const struct {
        uint8_t opcode, digit, kind;
    } ops[] = {
        [UN_INC] = { 0xff, 0, FLAGS_INC },
        [UN_DEC] = { 0xff, 1, FLAGS_DEC },
        [UN_NEG] = { 0xf7, 3, FLAGS_SUB },
        [UN_NOT] = { 0xf7, 2, 0 },
    };
    const OpInfo *in = &g->info[g->i];
    unsigned what = in->arg, d;
    bool dead = what == UN_NOT || gen_dead(g), step = what <= UN_DEC;
    bool mem = in->mem >= 0;

    if (what == UN_NOT) {
        if (!mem) {
            gen_touch(g, in->r1);
        }
    } else if (!dead && step) {
        if (mem) { /* the slow path may come in between */
            gen_flush_pend(g);
        } else {
            gen_keep_carry(g);
        }
    }
    if (mem) {
        gen_operand(g, op, true, what != UN_NOT);
        if (!dead && step) {
            gen_keep_carry(g);
        }
        if (dead) {
            asm_rm(&g->a, in->log2, ops[what].opcode, ops[what].digit,
                   asm_at(T0, 0));
            if (what != UN_NOT) {
                g->pend.form = PEND_NONE;
            }
            return;
        }
        gen_load(g, in->log2, T2, T0);
        if (what == UN_NEG) {
            asm_rm(&g->a, 3, 0x89, T2, jit_field(LAZY_SRC));
        }
        asm_rr(&g->a, in->log2, ops[what].opcode, ops[what].digit, T2);
        asm_rm(&g->a, in->log2, 0x89, T2, asm_at(T0, 0));
        gen_store_res(g, ops[what].kind, T2);
        g->hf = step ? HF_NO_CARRY : HF_ALL;
        return;
    }
    d = gen_use(g, in->r1, T0);
    if (what == UN_NEG && !dead) {
        asm_rm(&g->a, 3, 0x89, d, jit_field(LAZY_SRC));
    }
    asm_rr(&g->a, in->log2, ops[what].opcode, ops[what].digit, d);
    gen_put(g, in->r1, d);
    if (what == UN_NOT) {
        return; /* which leaves the host's alone too */
    }
    if (dead) {
        g->pend.form = PEND_NONE;
        g->hf = HF_NONE;
        return;
    }
    gen_set_pend(g, PEND_RES, ops[what].kind, in->log2, in->r1);
    g->hf = step ? HF_NO_CARRY : HF_ALL;
}

static const uint8_t shift_digit[] = {
    [UN_SHL] = 4, [UN_SHR] = 5, [UN_SAR] = 7, [UN_ROL] = 0, [UN_ROR] = 1,
};
static const uint8_t shift_kind[] = {
    [UN_SHL] = FLAGS_SHL,
    [UN_SHR] = FLAGS_SHR,
    [UN_SAR] = FLAGS_SAR,
};

static void gen_shift_by(Gen *g, unsigned log2, unsigned digit, unsigned d,
                         unsigned n)
{
    if (n) {
        asm_rr(&g->a, log2, 0xc1, digit, d);
        asm_8(&g->a, n);
    }
}

static unsigned gen_shift_count(const OpInfo *in, const Insn *op)
{
    return insn_rows[op->id].op[1].kind == OPK_ONE
               ? 1
               : op->imm & (in->log2 == 3 ? 63 : 31);
}

/* By a constant; rotates only where no flags are wanted. */
static void gen_shift(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned digit = shift_digit[in->arg], d, n = gen_shift_count(in, op);

    if (in->arg >= UN_ROL) {
        gen_touch(g, in->r1);
        g->pend.form = PEND_NONE; /* CF and OF of it are not true any more */
    }
    d = gen_use(g, in->r1, T0);
    if (in->arg < UN_ROL && !gen_dead(g)) {
        asm_mov_rr(&g->a, T1, d);
        if (in->log2 == 0) { /* eight bits may be shifted out altogether */
            asm_rr(&g->a, 2,
                   ASM_0F | ASM_BYTE_RM | (in->arg == UN_SAR ? 0xbe : 0xb6), T1,
                   T1);
        } else if (in->log2 == 1) {
            asm_rr(&g->a, 2, ASM_0F | (in->arg == UN_SAR ? 0xbf : 0xb7), T1,
                   T1);
        }
        gen_shift_by(g, in->log2 == 3 ? 3 : 2, digit, T1, n - 1);
        asm_rm(&g->a, 3, 0x89, T1, jit_field(LAZY_SRC));
        gen_shift_by(g, in->log2, digit, d, n);
        gen_put(g, in->r1, d);
        gen_set_pend(g, PEND_RES, shift_kind[in->arg], in->log2, in->r1);
        g->hf = HF_ALL;
        return;
    }
    gen_shift_by(g, in->log2, digit, d, n);
    gen_put(g, in->r1, d);
    g->pend.form = PEND_NONE;
    g->hf = HF_NONE;
}

/* By CL, where no flags are wanted. */
static void gen_shift_cl(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned d = gen_use(g, in->r1, T0);

    asm_rr(&g->a, in->log2, 0xd3, shift_digit[in->arg], d);
    gen_put(g, in->r1, d);
    g->pend.form = PEND_NONE;
    g->hf = HF_NONE;
}

static void gen_imul(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    bool dead = gen_dead(g);
    unsigned d, s;

    if (in->mem >= 0) {
        gen_operand(g, op, false, true);
        d = gen_use(g, in->r1, T1);
        asm_rm(&g->a, in->log2, ASM_0F | ASM_FIXED | 0xaf, d, asm_at(T0, 0));
    } else if (in->imm) {
        s = gen_use(g, in->r2, T1);
        d = gen_def(in->r1, T0);
        if (in->log2 == 1) { /* the rest of the register stays */
            d = gen_use(g, in->r1, T0);
        }
        asm_rr(&g->a, in->log2, 0x69, d, s);
        asm_imm(&g->a, in->log2, op->imm);
    } else {
        s = gen_use(g, in->r2, T1);
        d = gen_use(g, in->r1, T0);
        asm_rr(&g->a, in->log2, ASM_0F | ASM_FIXED | 0xaf, d, s);
    }
    gen_put(g, in->r1, d);
    g->pend.form = PEND_NONE;
    g->hf = HF_NONE;
    if (dead) {
        return;
    }
    asm_rr(&g->a, 0, ASM_0F | ASM_FIXED | ASM_BYTE_RM | 0x92, 0, T2);
    asm_rr(&g->a, 2, ASM_0F | ASM_BYTE_RM | 0xb6, T2, T2);
    asm_rm(&g->a, 3, 0x89, T2, jit_field(LAZY_SRC));
    gen_store_res(g, FLAGS_MUL, d);
    g->hf = HF_NONE; /* ZF and the like are of the result, for us */
    if (in->mem < 0) {
        gen_set_pend(g, PEND_RES, FLAGS_MUL, in->log2, in->r1);
    }
}

/* ---- moves of other kinds ----------------------------------------------------------------------- */

static void gen_xchg(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned a, b;

    gen_touch(g, in->r1);
    gen_touch(g, in->r2);
    a = gen_use(g, in->r1, T0);
    b = gen_use(g, in->r2, T1);
    if (in->r1 == in->r2) {
        if (in->log2 == 2) {
            asm_rr(&g->a, 2, 0x8b, a, a);
            gen_put(g, in->r1, a);
        }
        return;
    }
    asm_rr(&g->a, in->log2, 0x87, a, b);
    gen_put(g, in->r1, a);
    gen_put(g, in->r2, b);
}

static void gen_lea(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned log2 = op->adsize == 2 ? 2 : 3, d;

    gen_touch(g, in->r1);
    if (in->log2 == 1) {
        gen_ea(g, op, in->disp);
        d = gen_use(g, in->r1, T1);
        asm_rr(&g->a, 1, 0x8b, d, T0);
    } else {
        d = gen_def(in->r1, T1);
        gen_address(g, op, in->disp, d, MIN(log2, in->log2));
    }
    gen_put(g, in->r1, d);
}

static void gen_extend(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned opcode =
        in->from == 2
            ? 0x63
            : ASM_0F | ASM_FIXED | (in->arg ? 0xbe : 0xb6) | (in->from == 1);
    unsigned d;

    gen_touch(g, in->r1);
    if (in->mem >= 0) {
        gen_operand(g, op, false, false);
    }
    d = in->log2 == 1 ? gen_use(g, in->r1, T1) : gen_def(in->r1, T1);
    if (in->mem >= 0) {
        asm_rm(&g->a, in->log2, opcode, d, asm_at(T0, 0));
    } else {
        asm_rr(&g->a, in->log2, opcode | (in->from == 0 ? ASM_BYTE_RM : 0), d,
               gen_use(g, in->r2, T0));
    }
    gen_put(g, in->r1, d);
}

static unsigned gen_cc(const Insn *op)
{
    return insn_rows[op->id].opcode & 15;
}

static void gen_setcc(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned cc = gen_cond(g, gen_cc(op)), d;
    AsmMem keep = jit_field(JIT_OFF(jit_carry));

    if (in->mem == 0) {
        asm_rm(&g->a, 0, ASM_0F | ASM_FIXED | 0x90 | cc, 0, keep);
        gen_operand(g, op, true, false);
        asm_rm(&g->a, 2, ASM_0F | ASM_FIXED | 0xb6, T1, keep);
        asm_rm(&g->a, 0, 0x88, T1, asm_at(T0, 0));
        return;
    }
    gen_touch(g, in->r1);
    d = gen_use(g, in->r1, T1);
    asm_rr(&g->a, 0, ASM_0F | ASM_FIXED | ASM_BYTE_RM | 0x90 | cc, 0, d);
    gen_put(g, in->r1, d);
}

static void gen_cmov(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned cc = gen_cond(g, gen_cc(op)), d, s;
    AsmMem keep = jit_field(JIT_OFF(jit_carry));

    if (in->mem == 1) {
        asm_rm(&g->a, 0, ASM_0F | ASM_FIXED | 0x90 | cc, 0, keep);
        gen_touch(g, in->r1);
        gen_operand(g, op, false, false);
        d = gen_use(g, in->r1, T1);
        asm_alu_mi(&g->a, 0, ALU_CMP, keep, 0);
        asm_rm(&g->a, in->log2, ASM_0F | ASM_FIXED | 0x45, d, asm_at(T0, 0));
        gen_put(g, in->r1, d);
        return;
    }
    gen_touch(g, in->r1);
    s = gen_use(g, in->r2, T0);
    d = gen_use(g, in->r1, T1);
    asm_rr(&g->a, in->log2, ASM_0F | ASM_FIXED | 0x40 | cc, d, s);
    gen_put(g, in->r1, d);
}

/* ---- bits, and locked operations ----------------------------------------------------------------- */

/* BT and the like of a register, or of memory with a constant: CF is the bit,
 * ZF stays, the others are undefined: as after an INC that left this result. */
static void gen_bit(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    bool writes = in->arg != 4, dead = gen_dead(g);
    unsigned d;
    Stub *s;

    if (!dead) {
        gen_flush_pend(g);
    }
    if (in->mem == 0) {
        gen_operand(g, op, writes, true);
        gen_load(g, in->log2, T2, T0);
        d = T2;
    } else {
        if (writes) {
            gen_touch(g, in->r1);
        }
        d = gen_use(g, in->r1, T0);
    }
    if (in->imm) {
        asm_rr(&g->a, in->log2, ASM_0F | ASM_FIXED | 0xba, in->arg, d);
        asm_8(&g->a, op->imm & ((8 << in->log2) - 1));
    } else {
        asm_rr(&g->a, in->log2, ASM_0F | ASM_FIXED | 0x83 | in->arg << 3,
               gen_use(g, in->r2, T1), d);
    }
    if (writes && in->mem == 0) {
        asm_rm(&g->a, in->log2, 0x89, d, asm_at(T0, 0));
    } else if (writes) {
        gen_put(g, in->r1, d);
    }
    g->hf = HF_NONE;
    g->pend.form = PEND_NONE;
    if (dead) {
        return;
    }
    asm_rr(&g->a, 0, ASM_0F | ASM_FIXED | ASM_BYTE_RM | 0x92, 0, T2);
    asm_rr(&g->a, 2, ASM_0F | ASM_BYTE_RM | 0xb6, T2, T2);
    asm_rm(&g->a, 3, 0x89, T2, jit_field(LAZY_SRC));
    asm_rm(&g->a, 2, 0x8b, T1, jit_field(LAZY_OP));
    asm_alu_ri(&g->a, 2, ALU_CMP, T1, FLAGS_ADD);
    s = gen_stub(g, STUB_EXACT_CF, asm_jcc(&g->a, 2));
    asm_alu_ri(&g->a, 2, ALU_AND, T1, 3);
    asm_alu_ri(&g->a, 2, ALU_ADD, T1, FLAGS_INC);
    asm_rm(&g->a, 2, 0x89, T1, jit_field(LAZY_OP));
    s->back = g->a.p;
    if (in->mem < 0) { /* else the slow path comes here, too */
        gen_set_pend(g, PEND_CF, FLAGS_EXACT, 0, -1);
    }
}

static void gen_bswap(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned d;

    gen_touch(g, in->r1);
    d = gen_use(g, in->r1, T0);
    asm_op(&g->a, in->log2, ASM_0F | ASM_FIXED | 0xc8 | (d & 7), 0, HOST_NONE,
           d, false);
    gen_put(g, in->r1, d);
}

/* [m], r2: RAX is the destination's value then in any case, and the flags are
 * of RAX before - after. */
static void gen_cmpxchg(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    unsigned s;

    gen_operand(g, op, true, true);
    s = gen_use(g, in->r2, T1);
    asm_mov_rr(&g->a, T2, HOST_RAX);
    asm_8(&g->a, 0xf0);
    asm_rm(&g->a, in->log2, ASM_0F | 0xb1, s, asm_at(T0, 0));
    asm_rm(&g->a, 3, 0x89, HOST_RAX, jit_field(LAZY_SRC));
    asm_rr(&g->a, in->log2, 0x2b, T2, HOST_RAX);
    gen_store_res(g, FLAGS_SUB, T2);
}

/* LOCK ADD, SUB of [m], and INC, DEC: by XADD, which tells what was there. */
static void gen_locked(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    bool step = in->cls == CL_UNARY;
    bool minus = step ? in->arg == UN_DEC : in->arg == ALU_SUB;

    if (step) {
        gen_flush_pend(g);
    }
    gen_operand(g, op, true, true);
    if (step) {
        gen_keep_carry(g);
        asm_mov_ri(&g->a, T2, minus ? -1 : 1);
    } else if (in->imm) {
        asm_mov_ri(&g->a, T2, minus ? -op->simm : op->simm);
    } else {
        gen_get(g, T2, in->r2);
        if (minus) {
            asm_rr(&g->a, 3, 0xf7, 3, T2);
        }
    }
    asm_8(&g->a, 0xf0);
    asm_rm(&g->a, in->log2, ASM_0F | 0xc1, T2, asm_at(T0, 0));
    if (step) {
        asm_rr(&g->a, in->log2, 0xff, minus, T2);
        gen_store_res(g, minus ? FLAGS_DEC : FLAGS_INC, T2);
        g->hf = HF_NO_CARRY;
        return;
    }
    gen_alu_b(g, op, in->arg, T2);
    gen_store_src(g, op);
    gen_store_res(g, alu_kind[in->arg], T2);
}

/* Of memory: XCHG is locked always. */
static void gen_xchg_m(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    int r = in->mem == 0 ? in->r2 : in->r1;
    unsigned d;

    gen_touch(g, r);
    gen_operand(g, op, true, false);
    d = gen_use(g, r, T1);
    asm_rm(&g->a, in->log2, 0x87, d, asm_at(T0, 0));
    gen_put(g, r, d);
}

static void gen_cbw(Gen *g, const Insn *op)
{
    gen_touch(g, R_RAX);
    if (op->opsize == 1) {
        asm_8(&g->a, 0x66);
    } else if (op->opsize == 3) {
        asm_8(&g->a, 0x48);
    }
    asm_8(&g->a, 0x98);
}

static void gen_cwd(Gen *g, const Insn *op)
{
    gen_touch(g, R_RDX);
    if (op->opsize == 1) {
        asm_8(&g->a, 0x66);
    } else if (op->opsize == 3) {
        asm_8(&g->a, 0x48);
    }
    asm_8(&g->a, 0x99);
}

/* ---- the stack ------------------------------------------------------------------------------------- */

/* T0 = rSP + @d, cut to the stack's width. */
static void gen_sp(Gen *g, int d)
{
    asm_rm(&g->a, g->code64 ? 3 : 2, 0x8d, T0, asm_at(jit_host[R_RSP], d));
}

static void gen_move_sp(Gen *g, int d)
{
    asm_rm(&g->a, g->code64 ? 3 : 2, 0x8d, jit_host[R_RSP],
           asm_at(jit_host[R_RSP], d));
}

static bool gen_simple_push(const Gen *g, unsigned k, unsigned cls)
{
    const OpInfo *in = &g->info[k];

    return k < g->tb->n && in->how == HOW_EMIT && in->cls == cls &&
           in->mem < 0 && !(in->r1 == R_RSP);
}

/* PUSHes in a row have one probe. Returns how many. */
static unsigned gen_push(Gen *g, const Insn *op)
{
    int w = g->code64 ? 8 : 4;
    unsigned log2 = g->code64 ? 3 : 2, n = 0;

    while (gen_simple_push(g, g->i + n, CL_PUSH)) {
        n++;
    }
    n = n ? n : 1;
    gen_touch(g, R_RSP);
    gen_sp(g, -w * (int)n);
    gen_access(g, w * n, true, false);
    g->stub[g->n_stubs - 1].count = n;
    for (unsigned k = 0; k < n; k++) {
        AsmMem at = asm_at(T0, w * (int)(n - 1 - k));

        if (g->info[g->i + k].imm) {
            asm_rm(&g->a, log2, 0xc7, 0, at);
            asm_32(&g->a, op[k].imm);
        } else {
            asm_rm(&g->a, log2, 0x89, gen_use(g, g->info[g->i + k].r1, T1), at);
        }
    }
    gen_move_sp(g, -w * (int)n);
    return n;
}

static unsigned gen_pop(Gen *g, const Insn *op)
{
    int w = g->code64 ? 8 : 4;
    unsigned log2 = g->code64 ? 3 : 2, n = 0;

    while (gen_simple_push(g, g->i + n, CL_POP)) {
        n++;
    }
    n = n ? n : 1;
    gen_touch(g, R_RSP);
    for (unsigned k = 0; k < n; k++) {
        gen_touch(g, g->info[g->i + k].r1);
    }
    gen_sp(g, 0);
    gen_access(g, w * n, false, false);
    g->stub[g->n_stubs - 1].count = n;
    gen_move_sp(g, w * (int)n);
    for (unsigned k = 0; k < n; k++) {
        unsigned r = g->info[g->i + k].r1, d = gen_def(r, T1);

        asm_rm(&g->a, log2, 0x8b, d, asm_at(T0, w * (int)k));
        gen_put(g, r, d);
    }
    return n;
}

static void gen_leave(Gen *g, const Insn *op)
{
    unsigned log2 = g->code64 ? 3 : 2;

    gen_touch(g, R_RSP);
    gen_touch(g, R_RBP);
    asm_rr(&g->a, log2, 0x8b, T0, jit_host[R_RBP]);
    gen_access(g, 1 << log2, false, false);
    asm_rm(&g->a, log2, 0x8d, jit_host[R_RSP],
           asm_at(jit_host[R_RBP], 1 << log2));
    asm_rm(&g->a, log2, 0x8b, jit_host[R_RBP], asm_at(T0, 0));
}

/* ---- ends -------------------------------------------------------------------------------------------- */

/* @n instructions are done; where it goes on if that was all is the stub's. */
static Stub *gen_count(Gen *g, unsigned n, StubKind kind)
{
    asm_alu_ri(&g->a, 3, ALU_SUB, BUDGET, n);
    g->hf = HF_NONE;
    return gen_stub(g, kind, asm_jcc(&g->a, 8));
}

/* To the block at offset @at of the page, which op->target is or will be. */
static void gen_go_near(Gen *g, const Insn *op, int at, unsigned n)
{
    Stub *s = gen_count(g, n, STUB_STOP);

    s->at = at;
    if (at == g->start) {
        /* Whatever ends this block while it runs leaves it otherwise. */
        asm_land_at(asm_jmp(&g->a), g->code);
        return;
    }
    asm_rip(&g->a, 3, 0x8b, T0, &op->target);
    if (!op->target) { /* once there it stays */
        asm_rr(&g->a, 3, 0x85, T0, T0);
        s = gen_stub(g, STUB_LINK, asm_jcc(&g->a, 4));
        s->at = at;
        s->fn = op_hop_link;
        s->op = op - g->tb->op;
    }
    asm_rm(&g->a, 2, 0xff | ASM_FIXED, 4, asm_at(T0, offsetof(Tb, entry)));
}

/* T0: a block. Is it what is at T1 now? Jumps to @s if not; uses T2. */
static void gen_match(Gen *g, uint8_t *jump[2])
{
    Asm *a = &g->a;

    asm_rm(a, 3, 0x3b, T1, asm_at(T0, offsetof(Tb, v_lin)));
    jump[0] = asm_jcc(a, 5);
    if (g->code64) {
        asm_mov_rr(a, T2, T1);
        asm_rr(a, 3, 0xc1, 5, T2);
        asm_8(a, 63);
        asm_rm(a, 3, 0x8b, T2, (AsmMem) { CPU, T2, 3, JIT_OFF(vtag) });
    } else {
        asm_rm(a, 3, 0x8b, T2, jit_field(JIT_OFF(vtag)));
    }
    asm_rm(a, 3, 0x3b, T2, asm_at(T0, offsetof(Tb, v_tag)));
    jump[1] = asm_jcc(a, 5);
}

/* To block T0, which is at T1. */
static void gen_enter(Gen *g)
{
    asm_mov_rr(&g->a, T2, T1);
    asm_alu_ri(&g->a, 3, ALU_AND, T2, -PAGE_SIZE);
    asm_rm(&g->a, 3, 0x89, T2, jit_field(JIT_OFF(jit_page)));
    asm_rm(&g->a, 2, 0xff | ASM_FIXED, 4, asm_at(T0, offsetof(Tb, entry)));
}

/* To another page, @at from the start of this one. */
static void gen_go_far(Gen *g, const Insn *op, int at, unsigned n)
{
    unsigned log2 = g->code64 ? 3 : 2;
    uint8_t *jump[2];
    Stub *s;

    if (!op->target) {
        ((Insn *)op)->target = g->tc->scratch;
    }
    asm_rm(&g->a, log2, 0x8b, T1, jit_field(JIT_OFF(jit_page)));
    asm_rm(&g->a, log2, 0x8d, T1, asm_at(T1, at));
    gen_count(g, n, STUB_STOP_T1);
    asm_rip(&g->a, 3, 0x8b, T0, &op->target);
    gen_match(g, jump);
    s = gen_stub(g, STUB_LINK_T1, jump[0]);
    s->jump[1] = jump[1];
    s->fn = op_hop_guess;
    s->op = op - g->tb->op;
    gen_enter(g);
}

static void gen_go(Gen *g, const Insn *op, int at, unsigned n)
{
    if (at >= 0 && at < PAGE_SIZE) {
        gen_go_near(g, op, at, n);
    } else {
        gen_go_far(g, op, at, n);
    }
}

/* T0 = the block at T1 by the jump cache, or the reference function. */
static void gen_lookup(Gen *g)
{
    Asm *a = &g->a;
    uint8_t *jump[2];
    Stub *s;

    asm_mov_rr(a, T2, T1);
    asm_rr(a, 3, 0xc1, 5, T2);
    asm_8(a, 14);
    asm_rr(a, 3, 0x33, T2, T1);
    asm_alu_ri(a, 2, ALU_AND, T2, JUMP_CACHE - 1);
    asm_rm(a, 3, 0x8b, T0, (AsmMem) { CPU, T2, 3, JIT_OFF(jump) });
    gen_match(g, jump);
    s = gen_stub(g, STUB_LEAVE, jump[0]);
    s->jump[1] = jump[1];
    s->fn = op_sem_jump;
}

/* Behind the last operation, committed: to block T0 at T1. */
static void gen_jump_t1(Gen *g)
{
    gen_count(g, g->tb->n, STUB_STOP_T1);
    gen_enter(g);
}

static void gen_jmp(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];

    gen_flush_pend(g);
    if (in->imm) {
        gen_go(g, op, g->start + op->disp, g->tb->n);
        return;
    }
    if (in->mem >= 0) {
        gen_ea(g, op, in->disp);
        gen_seg(g, op);
        gen_access_or(g, 8, false, op_sem_jump);
        asm_rm(&g->a, 3, 0x8b, T1, asm_at(T0, 0));
    } else if (g->code64) {
        gen_get(g, T1, in->r1);
    } else {
        asm_rr(&g->a, 2, 0x8b, T1, jit_host[in->r1]);
    }
    gen_lookup(g);
    gen_jump_t1(g);
}

/* The return address goes to [@to]; uses @tmp. */
static void gen_put_return(Gen *g, const Insn *op, unsigned to, unsigned tmp)
{
    unsigned log2 = g->code64 ? 3 : 2;

    asm_rm(&g->a, log2, 0x8b, tmp, jit_field(JIT_OFF(jit_page)));
    asm_rm(&g->a, log2, 0x8d, tmp, asm_at(tmp, g->start + op->off + op->len));
    asm_rm(&g->a, log2, 0x89, tmp, asm_at(to, 0));
}

static void gen_call(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];
    int w = g->code64 ? 8 : 4;

    gen_flush_pend(g);
    if (in->imm) {
        gen_sp(g, -w);
        gen_access_or(g, w, true, op_sem_jump);
        gen_put_return(g, op, T0, T1);
        gen_move_sp(g, -w);
        gen_go(g, op, g->start + op->disp, g->tb->n);
        return;
    }
    if (in->mem >= 0) {
        gen_ea(g, op, in->disp);
        gen_seg(g, op);
        gen_access_or(g, 8, false, op_sem_jump);
        asm_rm(&g->a, 3, 0x8b, T1, asm_at(T0, 0));
        asm_rm(&g->a, 3, 0x89, T1, jit_field(JIT_OFF(jit_tmp[0])));
    }
    gen_sp(g, -w);
    gen_access_or(g, w, true, op_sem_jump);
    asm_rm(&g->a, 3, 0x89, T0, jit_field(JIT_OFF(jit_tmp[1])));
    if (in->mem >= 0) {
        asm_rm(&g->a, 3, 0x8b, T1, jit_field(JIT_OFF(jit_tmp[0])));
    } else if (g->code64) {
        gen_get(g, T1, in->r1);
    } else {
        asm_rr(&g->a, 2, 0x8b, T1, jit_host[in->r1]);
    }
    gen_lookup(g);
    asm_rm(&g->a, 3, 0x89, T0, jit_field(JIT_OFF(jit_tmp[0])));
    asm_rm(&g->a, 3, 0x8b, T0, jit_field(JIT_OFF(jit_tmp[1])));
    gen_put_return(g, op, T0, T2);
    asm_rm(&g->a, 3, 0x8b, T0, jit_field(JIT_OFF(jit_tmp[0])));
    gen_move_sp(g, -w);
    gen_jump_t1(g);
}

static void gen_ret(Gen *g, const Insn *op)
{
    int w = g->code64 ? 8 : 4;

    gen_flush_pend(g);
    gen_sp(g, 0);
    gen_access_or(g, w, false, op_sem_jump);
    asm_rm(&g->a, g->code64 ? 3 : 2, 0x8b, T1, asm_at(T0, 0));
    gen_lookup(g);
    gen_move_sp(g, w + (int)op->imm);
    gen_jump_t1(g);
}

/* A loop of this block alone: the way back is more likely. */
static void gen_again(Gen *g, const Insn *op, unsigned cc)
{
    uint8_t *over = asm_jcc(&g->a, cc ^ 1);
    bool dead = gen_dead_at(g, 0);
    unsigned hf = g->hf, stop = g->n_stubs;

    if (!dead) {
        gen_store_pend(g, &g->pend);
    }
    gen_go(g, op, g->start, op->imm);
    if (dead) {
        g->stub[stop].pend = g->pend;
    }
    asm_land(&g->a, over);
    g->hf = hf;
}

/* The way on is in the block; the other is behind it. */
static void gen_jcc(Gen *g, const Insn *op)
{
    unsigned cc = gen_cond(g, gen_cc(op));
    Stub *s;

    if (op->disp == 0) {
        gen_again(g, op, cc);
        return;
    }
    s = gen_stub(g, STUB_TAKEN, asm_jcc(&g->a, cc));
    s->pend = g->pend;
}

static void gen_leave_to(Gen *g, const Insn *op, InsnFn *fn)
{
    asm_rip(&g->a, 3, 0x8d, T0, op);
    asm_mov_ri(&g->a, T1, g->start);
    asm_mov_ri(&g->a, T2, (uintptr_t)fn);
    asm_jmp_to(&g->a, g->j->th.leave_at);
}

static void gen_fall(Gen *g)
{
    gen_flush_pend(g);
    gen_go(g, &g->tb->op[g->tb->n], g->start + g->tb->size, g->tb->n);
}

/* ---- code behind the block ------------------------------------------------------------------------------ */

static void gen_put_stub(Gen *g, Stub *s)
{
    const Insn *op = &g->tb->op[s->op];
    const JitThunks *th = &g->j->th;
    Asm *a = &g->a;

    for (unsigned k = 0; k < G_N_ELEMENTS(s->jump); k++) {
        if (s->jump[k]) {
            asm_land(a, s->jump[k]);
        }
    }
    switch (s->kind) {
    case STUB_SLOW:
        gen_store_pend(g, &s->pend);
        asm_rip(a, 3, 0x8d, T0, op);
        asm_mov_ri(a, T1, g->start);
        asm_mov_ri(a, T2, s->count);
        asm_call_to(a, s->flags ? th->slow_flags : th->slow);
        asm_land_at(asm_jmp(a), s->back);
        break;
    case STUB_LEAVE:
        gen_store_pend(g, &s->pend);
        gen_leave_to(g, op, s->fn);
        break;
    case STUB_TAKEN:
        gen_store_pend(g, &s->pend);
        gen_go(g, op, g->start + op->disp, op->imm);
        break;
    case STUB_STOP:
        gen_store_pend(g, &s->pend);
        asm_mov_ri(a, T1, s->at);
        asm_jmp_to(a, th->stop_at);
        break;
    case STUB_STOP_T1:
        asm_jmp_to(a, th->stop);
        break;
    case STUB_LINK:
        asm_rip(a, 3, 0x8d, T0, op);
        asm_mov_ri(a, T1, s->at);
        asm_mov_ri(a, T2, (uintptr_t)s->fn);
        asm_jmp_to(a, th->leave_at);
        break;
    case STUB_LINK_T1:
        asm_rm(a, 3, 0x89, T1, jit_field(JIT_OFF(cpu.s.rip)));
        asm_rip(a, 3, 0x8d, T0, op);
        asm_mov_ri(a, T2, (uintptr_t)s->fn);
        asm_jmp_to(a, th->leave);
        break;
    case STUB_EXACT_CF:
        asm_rm(a, 3, 0x8b, T1, jit_field(JIT_OFF(cpu.s.rflags)));
        asm_alu_ri(a, 3, ALU_AND, T1, ~(int64_t)FL_CF);
        asm_rr(a, 3, 0x0b, T1, T2);
        asm_rm(a, 3, 0x89, T1, jit_field(JIT_OFF(cpu.s.rflags)));
        asm_land_at(asm_jmp(a), s->back);
        break;
    case STUB_CARRY:
        asm_rm(a, 3, 0x89, T0, jit_field(JIT_OFF(jit_tmp[2])));
        asm_call_to(a, th->carry);
        asm_rm(a, 3, 0x89, T0, jit_field(LAZY_SRC));
        asm_rm(a, 3, 0x8b, T0, jit_field(JIT_OFF(jit_tmp[2])));
        asm_land_at(asm_jmp(a), s->back);
        break;
    }
}

/* ---- what becomes of an operation -------------------------------------------------------------------------- */

/* Guest register @n of the operand, -1: none or a high byte. */
static int gen_reg(const Insn *op, int n, unsigned size)
{
    int off = interp_operand_reg(op, n, size);

    if (off < 0 || (off & 7)) {
        return -1;
    }
    return (off - (int)offsetof(X86Cpu, s.gpr)) / 8;
}

static bool gen_is_imm(const Insn *op, int n)
{
    return insn_rows[op->id].op[n].kind == OPK_IMM;
}

/* The displacement from the start of the page too. */
static bool gen_disp_fits(const OpInfo *in, const Insn *op)
{
    return op->base != INSN_RIP || in->disp < INT32_MAX - 2 * PAGE_SIZE;
}

/* Where operands 0 and 1 are. false: nowhere that a template can reach. */
static bool gen_operands(const Gen *g, OpInfo *in, const Insn *op)
{
    uint32_t key = g->tb->key;
    unsigned kind1 = insn_rows[op->id].op[1].kind;

    in->log2 = __builtin_ctz(op_size(op, 0));
    in->from = kind1 == OPK_NONE || kind1 == OPK_IMM || kind1 == OPK_ONE
                   ? in->log2
                   : __builtin_ctz(op_size(op, 1));
    in->r1 = gen_reg(op, 0, 1 << in->log2);
    in->r2 = kind1 == OPK_NONE ? -1 : gen_reg(op, 1, 1 << in->from);
    in->imm = gen_is_imm(op, 1);
    in->mem = -1;
    if (interp_operand_mem(op, 0, key, &in->disp)) {
        in->mem = 0;
    } else if (kind1 != OPK_NONE && interp_operand_mem(op, 1, key, &in->disp)) {
        in->mem = 1;
    }
    in->pure = in->mem < 0;
    return (in->r1 >= 0 || in->mem == 0) && gen_disp_fits(in, op);
}

static bool gen_two(const OpInfo *in)
{
    return in->r2 >= 0 || in->imm || in->mem == 1;
}

/* Needs info of the operations behind it. */
static bool gen_decide_shift(Gen *g, OpInfo *in, const Insn *op)
{
    unsigned kind = insn_rows[op->id].op[1].kind;
    bool cl = kind == OPK_FIXED;

    if (!gen_operands(g, in, op) || in->mem >= 0) {
        return false;
    }
    in->imm = !cl;
    if (!cl && gen_shift_count(in, op) == 0) {
        return false;
    }
    return (!cl && in->arg < UN_ROL) || gen_dead(g);
}

static bool gen_decide_flow(Gen *g, OpInfo *in, const Insn *op)
{
    int w = interp_stack_width(op, g->tb->key);

    in->pure = false;
    in->mem = in->r1 = -1;
    if (w < 0) {
        return false;
    }
    if (in->cls == CL_RET || in->cls == CL_LEAVE) {
        return true;
    }
    in->imm = gen_is_imm(op, 0) || insn_rows[op->id].op[0].kind == OPK_REL;
    in->r1 = gen_reg(op, 0, 8);
    if (in->r1 >= 0) {
        return true;
    }
    if (in->imm) {
        return in->cls == CL_PUSH || op->disp < INT32_MAX - 2 * PAGE_SIZE;
    }
    if ((in->cls == CL_CALL || in->cls == CL_JMP) && w == 0 &&
        interp_operand_mem(op, 0, g->tb->key, &in->disp)) {
        in->mem = 0;
        return gen_disp_fits(in, op);
    }
    return false;
}

static void gen_classify(OpInfo *in, const Insn *op)
{
    static const struct {
        InsnFn *sem;
        uint8_t cls, arg;
    } rows[] = {
        { sem_BT, CL_BITS, 4 },     { sem_BTS, CL_BITS, 5 },
        { sem_BTR, CL_BITS, 6 },    { sem_BTC, CL_BITS, 7 },
        { sem_BSWAP, CL_BSWAP, 0 }, { sem_CMPXCHG, CL_CMPXCHG, 0 },
    };

    if (in->cls != CL_NONE && in->cls != CL_BT) {
        return;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (insn_rows[op->id].sem == rows[i].sem) {
            in->cls = rows[i].cls;
            in->arg = rows[i].arg;
        }
    }
}

/* Operands as if there were no LOCK. */
static bool gen_unlocked(const Gen *g, OpInfo *in, const Insn *op)
{
    Insn copy = *op;

    copy.lock = 0;
    return gen_operands(g, in, &copy) && in->mem >= 0;
}

static bool gen_decide_alu(Gen *g, OpInfo *in, const Insn *op)
{
    if (op->lock) {
        in->locked = true;
        return (in->arg == ALU_ADD || in->arg == ALU_SUB) &&
               gen_unlocked(g, in, op) && gen_two(in);
    }
    if (gen_operands(g, in, op) && gen_two(in)) {
        return true;
    }
    if ((in->arg == ALU_CMP || in->arg == ALU_TEST) && in->log2 == 0 &&
        in->imm && in->mem < 0) {
        int off = interp_operand_reg(op, 0, 1);

        in->high = (off - (int)offsetof(X86Cpu, s.gpr)) / 8;
        in->pure = true;
        return off >= 0;
    }
    return false;
}

static bool gen_can_emit(Gen *g, OpInfo *in, const Insn *op)
{
    switch (in->cls) {
    case CL_ALU:
        return gen_decide_alu(g, in, op);
    case CL_UNARY:
        if (op->lock) {
            in->locked = true;
            return in->arg <= UN_DEC && gen_unlocked(g, in, op);
        }
        return gen_operands(g, in, op);
    case CL_BITS:
        return gen_operands(g, in, op) &&
               (in->imm || (in->mem < 0 && in->r2 >= 0));
    case CL_BSWAP:
        in->log2 = op->opsize;
        in->r1 = op->rm & 15;
        in->mem = -1;
        in->pure = true;
        return op->opsize >= 2;
    case CL_CMPXCHG:
        return gen_unlocked(g, in, op) && in->r2 >= 0;
    case CL_SHIFT:
        return gen_decide_shift(g, in, op);
    case CL_IMUL:
        if (insn_rows[op->id].op[0].kind != OPK_G || !gen_operands(g, in, op) ||
            in->log2 == 0) {
            return false;
        }
        in->imm = insn_rows[op->id].op[2].kind != OPK_NONE;
        return in->r2 >= 0 || (in->mem == 1 && !in->imm);
    case CL_XCHG:
        if (op->is_mem) {
            return gen_unlocked(g, in, op) &&
                   (in->mem == 0 ? in->r2 : in->r1) >= 0;
        }
        return gen_operands(g, in, op) && in->r1 >= 0 && in->r2 >= 0;
    case CL_LEA:
        in->log2 = __builtin_ctz(op_size(op, 0));
        in->r1 = op->reg & 15;
        in->mem = -1;
        in->pure = true;
        return interp_address(op, g->tb->key, &in->disp) &&
               gen_disp_fits(in, op);
    case CL_EXTEND:
        return gen_operands(g, in, op) && in->from < 3 && in->from < in->log2 &&
               (in->r2 >= 0 || in->mem == 1);
    case CL_SETCC:
        return gen_operands(g, in, op);
    case CL_CMOV: /* op->reg is the condition already, if it is 32 or 64 bits */
        if (!gen_operands(g, in, op) || (in->r2 < 0 && in->mem != 1)) {
            return false;
        }
        if (op->opsize != 1 && in->r2 >= 0) {
            in->r1 = (op_args(op)->r1 - offsetof(X86Cpu, s.gpr)) / 8;
        }
        return true;
    case CL_CBW:
    case CL_CWD:
    case CL_NOP:
        in->pure = true;
        in->mem = -1;
        return true;
    case CL_PUSH:
    case CL_POP:
    case CL_LEAVE:
    case CL_CALL:
    case CL_JMP:
    case CL_RET:
        return gen_decide_flow(g, in, op);
    case CL_JCC:
        in->pure = false;
        in->mem = -1;
        return op->disp < INT32_MAX - 2 * PAGE_SIZE;
    }
    return false;
}

static void gen_decide(Gen *g, unsigned i)
{
    const Insn *op = &g->tb->op[i];
    OpInfo *in = &g->info[i];
    InsnFn *exec = i == 0 ? g->tb->plain : op->exec;
    InterpEnd end = interp_end(exec);
    uint16_t cls = g->tc->accel->op_class[op->id];

    *in = (OpInfo) {
        .cls = cls >> 8,
        .arg = cls,
        .how = HOW_CALL,
        .mem = -1,
        .high = -1,
    };
    gen_classify(in, op);
    if (end == INTERP_LEAVE) {
        in->how = HOW_LEAVE;
        return;
    }
    g->i = i;
    if (gen_can_emit(g, in, op)) {
        in->how = HOW_EMIT;
        return;
    }
    in->pure = false;
    if (insn_rows[op->id].attr & (IA_JUMP | IA_COND)) {
        in->how = HOW_LEAVE;
    } else if (end == INTERP_OWN &&
               (in->cls == CL_ALU || in->cls == CL_UNARY)) {
        in->unfuse = i + 1 < g->tb->n && g->info[i + 1].cls == CL_JCC;
    }
}

/* ---- the block -------------------------------------------------------------------------------------------------- */

/* Operation @i by its template; returns how many operations that was. */
static unsigned gen_template(Gen *g, const Insn *op)
{
    const OpInfo *in = &g->info[g->i];

    switch (in->cls) {
    case CL_ALU:
        if (in->arg == ALU_MOV) {
            gen_mov(g, op);
        } else if (in->locked) {
            gen_locked(g, op);
        } else if (in->high >= 0) {
            gen_compare_high(g, op);
        } else if (in->arg == ALU_ADC || in->arg == ALU_SBB) {
            gen_carry(g, op);
        } else if (in->mem == 0) {
            gen_alu_m(g, op);
        } else if (in->mem == 1) {
            gen_alu_rm(g, op);
        } else if (in->arg == ALU_CMP || in->arg == ALU_TEST) {
            gen_compare(g, op);
        } else {
            gen_alu_r(g, op);
        }
        break;
    case CL_UNARY:
        if (in->locked) {
            gen_locked(g, op);
        } else {
            gen_unary(g, op);
        }
        break;
    case CL_BITS:
        gen_bit(g, op);
        break;
    case CL_BSWAP:
        gen_bswap(g, op);
        break;
    case CL_CMPXCHG:
        gen_cmpxchg(g, op);
        break;
    case CL_SHIFT:
        if (in->imm) {
            gen_shift(g, op);
        } else {
            gen_shift_cl(g, op);
        }
        break;
    case CL_IMUL:
        gen_imul(g, op);
        break;
    case CL_XCHG:
        if (in->mem >= 0) {
            gen_xchg_m(g, op);
        } else {
            gen_xchg(g, op);
        }
        break;
    case CL_LEA:
        gen_lea(g, op);
        break;
    case CL_EXTEND:
        gen_extend(g, op);
        break;
    case CL_SETCC:
        gen_setcc(g, op);
        break;
    case CL_CMOV:
        gen_cmov(g, op);
        break;
    case CL_CBW:
        gen_cbw(g, op);
        break;
    case CL_CWD:
        gen_cwd(g, op);
        break;
    case CL_PUSH:
        return gen_push(g, op);
    case CL_POP:
        return gen_pop(g, op);
    case CL_LEAVE:
        gen_leave(g, op);
        break;
    case CL_CALL:
        gen_call(g, op);
        break;
    case CL_JMP:
        gen_jmp(g, op);
        break;
    case CL_RET:
        gen_ret(g, op);
        break;
    case CL_JCC:
        gen_jcc(g, op);
        break;
    }
    return 1;
}

/* Handlers from operation @i on; returns how many. */
static unsigned gen_run(Gen *g, unsigned i)
{
    unsigned n = 1;

    while (i + n < g->tb->n && g->info[i + n].how == HOW_CALL) {
        n++;
    }
    gen_flush_pend(g);
    asm_rip(&g->a, 3, 0x8d, T0, &g->tb->op[i]);
    asm_mov_ri(&g->a, T1, g->start);
    asm_call_to(&g->a, g->j->th.run);
    g->hf = HF_NONE;
    g->after_run[i + n] = true;
    return n;
}

/* From the first operation on. */
static void gen_body(Gen *g)
{
    Tb *tb = g->tb;
    unsigned i = 0, stubs;

    while (i < tb->n) {
        const Insn *op = &tb->op[i];

        g->i = i;
        if (g->info[i].how == HOW_LEAVE) {
            gen_flush_pend(g);
            gen_leave_to(g, op, i == 0 ? tb->plain : op->exec);
            return;
        }
        if (g->info[i].how == HOW_CALL) {
            i += gen_run(g, i);
            continue;
        }
        stubs = g->n_stubs;
        i += gen_template(g, op);
        while (stubs < g->n_stubs) {
            if (g->stub[stubs].kind == STUB_SLOW) {
                g->stub[stubs].back = g->a.p;
            }
            stubs++;
        }
        if (i == tb->n &&
            (g->info[i - 1].cls == CL_CALL || g->info[i - 1].cls == CL_JMP ||
             g->info[i - 1].cls == CL_RET)) {
            return;
        }
    }
    g->i = tb->n;
    gen_fall(g);
}

/* Code that goes into C for most of it is no gain. */
static bool gen_worth(const Gen *g, unsigned *templates)
{
    unsigned n = 0;

    for (unsigned i = 0; i < g->tb->n; i++) {
        n += g->info[i].how == HOW_EMIT;
    }
    *templates = n;
    return n * 2 >= g->tb->n;
}

/* Handlers that do the jump behind them as well are of no use. */
static void gen_unfuse(Gen *g)
{
    for (unsigned i = 0; i < g->tb->n; i++) {
        if (g->info[i].unfuse && i == 0) {
            g->tb->plain = op_sem;
        } else if (g->info[i].unfuse && !g->after_run[i]) {
            g->tb->op[i].exec = op_sem;
        }
    }
}

/* The other ways of conditional jumps behind the block; what seldom runs in a
 * place of its own, so that the rest is dense. */
static void gen_stubs(Gen *g)
{
    Jit *j = g->j;
    uint8_t *start = j->rw + j->cold, *hot;

    for (unsigned k = 0; k < g->n_stubs; k++) {
        if (g->stub[k].kind == STUB_TAKEN) {
            gen_put_stub(g, &g->stub[k]);
        }
    }
    hot = g->a.p;
    g->a.p = start;
    for (unsigned k = 0; k < g->n_stubs; k++) {
        if (g->stub[k].kind != STUB_TAKEN) {
            gen_put_stub(g, &g->stub[k]);
        }
    }
    j->n_bytes += g->a.p - start;
    j->cold += g->a.p - start;
    g->a.p = hot;
}

bool jit_emit_block(TcgCpu *tc, Tb *tb)
{
    Jit *j = tc->jit;
    uint8_t *start = j->rw + j->used;
    unsigned templates;
    Gen g;

    g.a = (Asm) { .p = start, .to_rx = j->rx - j->rw };
    g.tc = tc;
    g.code = start;
    g.tb = tb;
    g.j = j;
    g.start = (uintptr_t)tb->host & ~PAGE_MASK;
    g.code64 = tb->key & MODE_CODE64;
    g.hf = HF_NONE;
    g.guess = 0;
    g.pend.form = PEND_NONE;
    g.n_stubs = 0;
    memset(g.after_run, 0, sizeof(g.after_run));
    for (unsigned i = tb->n; i-- > 0;) {
        gen_decide(&g, i);
    }
    if (!gen_worth(&g, &templates)) {
        return false;
    }
    gen_body(&g);
    gen_stubs(&g);
    for (unsigned i = 1; i <= tb->n; i++) {
        if (g.after_run[i]) {
            tb->op[i].exec = jit_ret;
        }
    }
    gen_unfuse(&g);
    tb->code = start + g.a.to_rx;
    j->n_templates += templates;
    j->n_bytes += g.a.p - start;
    j->used = (g.a.p - j->rw + 15) & ~(size_t)15;
    return true;
}

#endif
