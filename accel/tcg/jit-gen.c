/* Registers, flags and memory, for the templates. See jit-gen.h. */
#include "util/osdep.h"
#include "accel/tcg/jit-gen.h"
#include "target-x86/operand.h"

#if defined(__x86_64__)

/* ---- registers --------------------------------------------------------------------- */

AsmMem gen_slot(unsigned r)
{
    return jit_field(JIT_OFF(cpu.s.gpr) + 8 * (int)r);
}

unsigned gen_use(Gen *g, unsigned r, unsigned tmp)
{
    if (jit_host[r] != HOST_NONE) {
        return jit_host[r];
    }
    asm_rm(&g->a, 3, 0x8b, tmp, gen_slot(r));
    return tmp;
}

unsigned gen_def(unsigned r, unsigned tmp)
{
    return jit_host[r] != HOST_NONE ? jit_host[r] : tmp;
}

void gen_put(Gen *g, unsigned r, unsigned host)
{
    if (jit_host[r] == HOST_NONE) {
        asm_rm(&g->a, 3, 0x89, host, gen_slot(r));
    }
}

void gen_get(Gen *g, unsigned to, unsigned r)
{
    if (jit_host[r] != HOST_NONE) {
        asm_mov_rr(&g->a, to, jit_host[r]);
    } else {
        asm_rm(&g->a, 3, 0x8b, to, gen_slot(r));
    }
}

void gen_load(Gen *g, unsigned log2, unsigned host, unsigned at)
{
    if (log2 < 2) {
        asm_rm(&g->a, 2, ASM_0F | (log2 ? 0xb7 : 0xb6), host, asm_at(at, 0));
    } else {
        asm_rm(&g->a, log2, 0x8b, host, asm_at(at, 0));
    }
}

/* ---- flags --------------------------------------------------------------------------- */

void gen_store_op(Gen *g, unsigned kind, unsigned log2)
{
    asm_rm(&g->a, 2, 0xc7, 0, jit_field(LAZY_OP));
    asm_32(&g->a, kind + log2);
}

void gen_store_src_imm(Gen *g, int32_t v)
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

/* s.rflags' arithmetic flags = those of T1. Uses T2, loses the host's. */
static void gen_store_raw(Gen *g)
{
    Asm *a = &g->a;

    asm_rm(a, 3, 0x8b, T2, jit_field(JIT_OFF(cpu.s.rflags)));
    asm_alu_ri(a, 2, ALU_AND, T1, FL_ARITH);
    asm_alu_ri(a, 3, ALU_AND, T2, ~(int64_t)FL_ARITH);
    asm_rr(a, 3, 0x0b, T2, T1);
    asm_rm(a, 3, 0x89, T2, jit_field(JIT_OFF(cpu.s.rflags)));
    gen_store_op(g, FLAGS_EXACT, 0);
}

static void gen_store_base(Gen *g, const Pend *p)
{
    unsigned r;

    if (p->form == PEND_NONE || p->form == PEND_CF) {
        return;
    }
    if (p->form == PEND_RAW) {
        asm_rm(&g->a, 2, 0x8b, T1, jit_field(JIT_OFF(jit_flags)));
        gen_store_raw(g);
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

void gen_store_pend(Gen *g, const Pend *p)
{
    gen_store_base(g, p);
    if (p->rot) {
        gen_get(g, T0, p->rot_reg);
        asm_mov_ri(&g->a, T1, p->rot);
        asm_call_to(&g->a, g->j->th.rotated);
    }
}

void gen_forget(Gen *g)
{
    g->pend = (Pend) { .form = PEND_NONE };
}

void gen_flush_pend(Gen *g)
{
    gen_store_pend(g, &g->pend);
    if (g->pend.rot || g->pend.form == PEND_RAW) {
        gen_forget(g);
        g->guess = 0;
        g->hf = HF_NONE;
        return;
    }
    if (g->pend.form != PEND_NONE && g->pend.form != PEND_CF) {
        g->guess = g->pend.kind + g->pend.log2;
    }
    if (g->pend.form == PEND_CMP || g->pend.form == PEND_TEST) {
        g->hf = HF_ALL;
    }
    gen_forget(g);
}

void gen_touch(Gen *g, int r)
{
    const Pend *p = &g->pend;

    if (p->rot && p->rot_reg == r) {
        gen_flush_pend(g);
    }
    if (p->form == PEND_NONE || p->form == PEND_CF) {
        return;
    }
    if (p->a == r ||
        (p->src == SRC_REG && p->kind != FLAGS_LOGIC && p->b == r) ||
        (p->src == SRC_REG && p->form == PEND_TEST && p->b == r)) {
        gen_flush_pend(g);
    }
}

void gen_set_pend(Gen *g, PendForm form, unsigned kind, unsigned log2, int a)
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

bool gen_dead_at(const Gen *g, unsigned k)
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

bool gen_dead(const Gen *g)
{
    return gen_dead_at(g, g->i + 1);
}

bool gen_carry_stored(const Pend *p)
{
    return !p->rot && (p->form == PEND_CF ||
                       (p->form == PEND_RES &&
                        (p->kind == FLAGS_INC || p->kind == FLAGS_DEC ||
                         p->kind == FLAGS_MUL)));
}

void gen_store_res(Gen *g, unsigned kind, unsigned host)
{
    asm_rm(&g->a, 3, 0x89, host, jit_field(LAZY_RES));
    gen_store_op(g, kind, g->info[g->i].log2);
    g->guess = kind + g->info[g->i].log2;
    gen_forget(g);
    g->hf = HF_ALL;
}

void gen_store_exact(Gen *g)
{
    asm_8(&g->a, 0x9c); /* PUSHF */
    asm_pop(&g->a, T1);
    gen_store_raw(g);
    gen_forget(g);
    g->guess = 0;
    g->hf = HF_NONE;
}

void gen_note_host(Gen *g)
{
    asm_8(&g->a, 0x9c); /* PUSHF */
    asm_rm(&g->a, 2, 0x8f | ASM_FIXED, 0, jit_field(JIT_OFF(jit_flags)));
    gen_set_pend(g, PEND_RAW, FLAGS_EXACT, 0, -1);
    g->hf = HF_ALL;
}

void gen_store_carry(Gen *g)
{
    asm_rr(&g->a, 0, ASM_0F | ASM_FIXED | ASM_BYTE_RM | 0x92, 0, T2);
    asm_rr(&g->a, 2, ASM_0F | ASM_BYTE_RM | 0xb6, T2, T2);
    asm_rm(&g->a, 3, 0x89, T2, jit_field(LAZY_SRC));
}

/* What is pending is a TEST, or follows from the result as if of one. */
static void gen_redo_test(Gen *g, const Pend *p)
{
    unsigned r = gen_use(g, p->a, T0);

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
}

unsigned gen_cond(Gen *g, unsigned cc)
{
    const Pend *p = &g->pend;
    bool by_res = (cc >> 1) == 2 || (cc >> 1) == 4 || (cc >> 1) == 5;
    bool carry = (cc >> 1) == 1 || (cc >> 1) == 3;
    unsigned r;

    if (g->hf == HF_ALL || (g->hf == HF_NO_CARRY && !carry)) {
        return cc;
    }
    if (p->rot) {
        gen_flush_pend(g);
    }
    if (p->form == PEND_CMP) {
        r = gen_use(g, p->a, T0);
        gen_pend_b(g, p, ALU_CMP, r);
        g->hf = HF_ALL;
        return cc;
    }
    if (p->form == PEND_TEST ||
        (p->form == PEND_RES && (p->kind == FLAGS_LOGIC || by_res))) {
        gen_redo_test(g, p);
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

/* ---- tails ------------------------------------------------------------------------------ */

Tail *gen_tail(Gen *g, TailKind kind, uint8_t *jump)
{
    Tail *s = &g->tail[g->n_tails++];

    g_assert(g->n_tails <= TAILS_MAX);
    *s = (Tail) { .kind = kind, .op = g->i, .jump = { jump } };
    s->pend = (Pend) { .form = PEND_NONE };
    return s;
}

/* ---- memory ------------------------------------------------------------------------------ */

void gen_address(Gen *g, const Insn *op, int32_t disp, unsigned to,
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

void gen_ea(Gen *g, const Insn *op, int32_t disp)
{
    gen_address(g, op, disp, T0, op->adsize == 2 ? 2 : 3);
}

void gen_seg(Gen *g, const Insn *op)
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

void gen_slow(Gen *g, uint8_t *jump, bool flags)
{
    Tail *s = gen_tail(g, TAIL_SLOW, jump);

    s->flags = flags;
    s->count = 1;
    s->pend = g->pend;
}

void gen_access(Gen *g, unsigned size, bool write, bool flags)
{
    gen_slow(g, gen_probe(g, size, write), flags);
}

void gen_operand(Gen *g, const Insn *op, bool write, bool flags)
{
    const OpInfo *in = &g->info[g->i];
    unsigned log2 = in->cls == CL_EXTEND ? in->from : in->log2;

    gen_ea(g, op, in->disp);
    gen_seg(g, op);
    gen_access(g, 1 << log2, write, flags);
}

void gen_access_or(Gen *g, unsigned size, bool write, InsnFn *fn)
{
    Tail *s;
    uint8_t *miss;

    miss = gen_probe(g, size, write);
    s = gen_tail(g, TAIL_LEAVE, miss);
    s->fn = fn;
    s->pend = g->pend;
}

#endif
