/*
 * The translator's life: memory for code, shared pieces of code, when a block
 * is hot, and what becomes of its code when the block dies. See jit.h; the
 * templates are in jit-ops.c.
 *
 * Code is written through one mapping and executed in another, so no page is
 * ever writable and executable. Nothing that was emitted is changed later:
 * jumps between blocks go through Tb.entry. A dead block's entry is the way
 * into the interpreter, whose first handler finds out.
 */
#include "util/osdep.h"
#include "accel/tcg/jit-gen.h"
#include "target-x86/operand.h"
#include "target-x86/sem-vec.h"
#include "util/log.h"

#if defined(__x86_64__)

#include <sys/mman.h>

const uint8_t jit_host[16] = {
    [R_RAX] = HOST_RAX, [R_RCX] = HOST_RCX,  [R_RDX] = HOST_RDX,
    [R_RBX] = HOST_RBX, [R_RSP] = HOST_R10,  [R_RBP] = HOST_R9,
    [R_RSI] = HOST_RSI, [R_RDI] = HOST_RDI,  [R_R8] = HOST_NONE,
    [R_R9] = HOST_NONE, [R_R10] = HOST_NONE, [R_R11] = HOST_NONE,
    [R_R12] = HOST_R12, [R_R13] = HOST_NONE, [R_R14] = HOST_NONE,
    [R_R15] = HOST_R11,
};

/* ---- what translated code calls ------------------------------------------------ */

/*
 * Floating point of translated code may begin: with the guest's control bits at
 * their defaults no exception is unmasked, and C may run with them. Its flags
 * may not be there already.
 */
static void jit_fp_begin(X86Cpu *c)
{
    uint32_t v = c->s.mxcsr;

    tcg_cpu(c)->jit_fp = (v & ~MXCSR_FLAGS) == MXCSR_DEFAULT;
    if (tcg_cpu(c)->jit_fp && host_mxcsr(c) != v) {
        host_mxcsr_set(v);
    }
}

/* The reference function, and what comes before it. */
static void jit_sem(X86Cpu *c, const Insn *op)
{
    const InsnRow *row = &insn_rows[op->id];

    if (unlikely(row->attr & (IA_SSE | IA_AVX))) {
        interp_check_align(c, op);
        row->sem(c, op);
        jit_fp_begin(c);
        return;
    }
    row->sem(c, op);
    if (unlikely(tcg_cpu(c)->jit_fp)) {
        jit_fp_begin(c);
    }
}

/* Both return the operation to go on with if the block is dead now. */
static const Insn *jit_slow(X86Cpu *c, const Insn *op, unsigned n)
{
    TcgCpu *tc = tcg_cpu(c);

    while (n-- > 0) {
        c->insn = op;
        jit_sem(c, op);
        op++;
        if (unlikely(tc->jit_spoilt)) {
            tc->jit_spoilt = false;
            return op;
        }
    }
    return NULL;
}

/* Devices are read often enough to be worth a way of their own. */
static const Insn *jit_slow_load(X86Cpu *c, const Insn *op, unsigned what)
{
    TcgCpu *tc = tcg_cpu(c);
    unsigned size = 1u << (what & 3);
    uint64_t v;

    c->insn = op;
    if (!tlb_read_device(tc, tc->jit_tmp[0], size, &v)) {
        return jit_slow(c, op, 1);
    }
    gpr_set(c, what >> 2, v, size);
    if (unlikely(tc->jit_fp)) {
        jit_fp_begin(c);
    }
    if (unlikely(tc->jit_spoilt)) {
        tc->jit_spoilt = false;
        return op + 1;
    }
    return NULL;
}

static const Insn *jit_slow_flags(X86Cpu *c, const Insn *op, unsigned n)
{
    const Insn *dead = jit_slow(c, op, n);

    tcg_cpu(c)->jit_flags = flags_arith(c);
    return dead;
}

static const Insn *jit_run(X86Cpu *c, const Insn *op, unsigned n)
{
    TcgCpu *tc = tcg_cpu(c);
    InsnFn *fn = op->off ? op->exec : tb_of(op)->plain;

    if (INTERP_TRAMPOLINE) {
        tc->next = NULL;
        fn(c, op);
        while (tc->next) {
            op = tc->next;
            tc->next = NULL;
            op->exec(c, op);
        }
    } else {
        fn(c, op);
    }
    if (unlikely(tc->jit_fp)) {
        jit_fp_begin(c);
    }
    if (unlikely(tc->jit_spoilt)) {
        tc->jit_spoilt = false;
        return tc->jit_at;
    }
    return NULL;
}

void jit_ret(X86Cpu *c, const Insn *op)
{
    tcg_cpu(c)->jit_at = op;
}

static unsigned jit_cond(X86Cpu *c, unsigned cc)
{
    return flags_cond(c, cc);
}

static unsigned jit_carry(X86Cpu *c, unsigned unused)
{
    return flags_carry(c);
}

static unsigned jit_rotated(X86Cpu *c, uint64_t v, unsigned rot)
{
    unsigned bits = 8u << (rot & 3);
    bool msb = v >> (bits - 1) & 1;
    bool cf = rot & ROT_LEFT ? v & 1 : msb;
    bool of = msb ^ (rot & ROT_LEFT ? cf : (bool)(v >> (bits - 2) & 1));

    flags_change(c, FL_CF | (rot & ROT_ONE ? FL_OF : 0),
                 (cf ? FL_CF : 0) | (of ? FL_OF : 0));
    return 0;
}

/* ---- shared code -------------------------------------------------------------------- */

static const uint8_t jit_saved[] = { HOST_RBX, HOST_RBP, HOST_R12,
                                     HOST_R13, HOST_R14, HOST_R15 };

static void jit_put_enter(Asm *a)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(jit_saved); i++) {
        asm_push(a, jit_saved[i]);
    }
    asm_alu_ri(a, 3, ALU_SUB, HOST_RSP, 8);
}

static void jit_put_exit(Asm *a)
{
    asm_alu_ri(a, 3, ALU_ADD, HOST_RSP, 8);
    for (unsigned i = G_N_ELEMENTS(jit_saved); i-- > 0;) {
        asm_pop(a, jit_saved[i]);
    }
}

static void jit_put_regs(Asm *a, unsigned op)
{
    for (unsigned r = 0; r < 16; r++) {
        if (jit_host[r] != HOST_NONE) {
            asm_rm(a, 3, op, jit_host[r],
                   jit_field(JIT_OFF(cpu.s.gpr) + 8 * (int)r));
        }
    }
}

/* Guest registers and the budget to memory. */
static void jit_put_store(Asm *a)
{
    jit_put_regs(a, 0x89);
    asm_rm(a, 3, 0x89, BUDGET, jit_field(JIT_OFF(budget)));
}

/* ... and from it. */
static void jit_put_load(Asm *a)
{
    asm_rm(a, 3, 0x8b, BUDGET, jit_field(JIT_OFF(budget)));
    jit_put_regs(a, 0x8b);
}

static void jit_put_c_call(Asm *a, const void *fn)
{
    asm_mov_ri(a, HOST_RAX, (uintptr_t)fn);
    asm_rr(a, 3, 0xff | ASM_FIXED, 2, HOST_RAX);
}

/* s.rip is jit_page + T1 */
static void jit_put_rip(Asm *a)
{
    asm_rm(a, 3, 0x03, T1, jit_field(JIT_OFF(jit_page)));
    asm_rm(a, 3, 0x89, T1, jit_field(JIT_OFF(cpu.s.rip)));
}

static const void *jit_here(const Asm *a)
{
    return a->p + a->to_rx;
}

/* slow, slow_flags and run. @leave: with state in memory. */
static const void *jit_put_call(Asm *a, const void *fn, bool flags,
                                const void *leave)
{
    const void *start = jit_here(a);
    uint8_t *dead;

    jit_put_rip(a);
    jit_put_store(a);
    asm_alu_ri(a, 3, ALU_SUB, HOST_RSP, 8);
    asm_mov_rr(a, HOST_RDI, CPU);
    asm_mov_rr(a, HOST_RSI, T0);
    asm_mov_rr(a, HOST_RDX, T2);
    jit_put_c_call(a, fn);
    asm_alu_ri(a, 3, ALU_ADD, HOST_RSP, 8);
    asm_rr(a, 3, 0x85, HOST_RAX, HOST_RAX);
    dead = asm_jcc(a, 5);
    if (flags) {
        asm_rm(a, 2, 0x8b, T0, jit_field(JIT_OFF(jit_flags)));
        asm_push(a, T0);
        asm_8(a, 0x9d); /* POPF */
    }
    jit_put_load(a);
    asm_ret(a);
    asm_land(a, dead);
    asm_alu_ri(a, 3, ALU_ADD, HOST_RSP, 8);
    asm_mov_rr(a, T0, HOST_RAX);
    asm_mov_ri(a, T2, (uintptr_t)interp_dead);
    asm_jmp_to(a, leave);
    return start;
}

/* T0 = fn(c, T0, T1), guest registers stay where they are. */
static const void *jit_put_ask(Asm *a, const void *fn)
{
    static const uint8_t regs[] = { HOST_RAX, HOST_RCX, HOST_RDX,
                                    HOST_RSI, HOST_RDI, HOST_R8,
                                    HOST_R9,  HOST_R10, HOST_R11 };
    const void *start = jit_here(a);

    for (unsigned i = 0; i < G_N_ELEMENTS(regs); i++) {
        asm_push(a, regs[i]);
    }
    asm_mov_rr(a, HOST_RDI, CPU);
    asm_mov_rr(a, HOST_RSI, T0);
    asm_mov_rr(a, HOST_RDX, T1);
    jit_put_c_call(a, fn);
    asm_rr(a, 2, 0x8b, T0, HOST_RAX);
    for (unsigned i = G_N_ELEMENTS(regs); i-- > 0;) {
        asm_pop(a, regs[i]);
    }
    asm_ret(a);
    return start;
}

static void jit_put_thunks(Jit *j)
{
    Asm a = { .p = j->rw, .to_rx = j->rx - j->rw };
    JitThunks *th = &j->th;
    const int op0 = offsetof(Tb, op);
    const void *leave;

    th->enter = jit_here(&a);
    jit_put_enter(&a);
    asm_mov_rr(&a, CPU, HOST_RDI);
    asm_mov_rr(&a, T0, HOST_RSI);
    asm_rm(&a, 3, 0x8b, T1, jit_field(JIT_OFF(cpu.s.rip)));
    asm_alu_ri(&a, 3, ALU_AND, T1, -PAGE_SIZE);
    asm_rm(&a, 3, 0x89, T1, jit_field(JIT_OFF(jit_page)));
    asm_rm(&a, 2, 0xc7, 0, jit_field(JIT_OFF(jit_fp)));
    asm_32(&a, 0);
    jit_put_load(&a);
    asm_rm(&a, 2, 0xff | ASM_FIXED, 4,
           asm_at(T0, (int)offsetof(Tb, code) - op0));

    th->plain = jit_here(&a);
    asm_rm(&a, 2, 0x8b, T1, asm_at(T0, offsetof(Tb, host)));
    asm_alu_ri(&a, 2, ALU_AND, T1, PAGE_SIZE - 1);
    asm_rm(&a, 3, 0x8d, T0, asm_at(T0, op0));
    asm_rm(&a, 3, 0x8b, T2, asm_at(T0, offsetof(Insn, exec)));
    th->leave_at = jit_here(&a);
    jit_put_rip(&a);
    th->leave = jit_here(&a);
    jit_put_store(&a);
    leave = jit_here(&a);
    asm_mov_rr(&a, HOST_RDI, CPU);
    asm_mov_rr(&a, HOST_RSI, T0);
    asm_mov_rr(&a, HOST_RAX, T2);
    jit_put_exit(&a);
    asm_rr(&a, 2, 0xff | ASM_FIXED, 4, HOST_RAX);

    th->stop_at = jit_here(&a);
    asm_rm(&a, 3, 0x03, T1, jit_field(JIT_OFF(jit_page)));
    th->stop = jit_here(&a);
    asm_rm(&a, 3, 0x89, T1, jit_field(JIT_OFF(cpu.s.rip)));
    jit_put_store(&a);
    jit_put_exit(&a);
    asm_ret(&a);

    th->slow = jit_put_call(&a, jit_slow, false, leave);
    th->slow_load = jit_put_call(&a, jit_slow_load, false, leave);
    th->slow_flags = jit_put_call(&a, jit_slow_flags, true, leave);
    th->run = jit_put_call(&a, jit_run, false, leave);
    th->cond = jit_put_ask(&a, jit_cond);
    th->carry = jit_put_ask(&a, jit_carry);
    th->rotated = jit_put_ask(&a, jit_rotated);
    j->start = j->used = (a.p - j->rw + 63) & ~(size_t)63;
    j->cold = j->size / 2;
}

/* ---- hot blocks ------------------------------------------------------------------------ */

static void jit_translate(TcgCpu *tc, Tb *tb)
{
    Jit *j = tc->jit;

    if (jit_emit_block(tc, tb)) {
        tb->op[0].exec = (InsnFn *)j->th.enter;
        tb->entry = tb->code;
        j->n_blocks++;
        j->n_insns += tb->n;
    } else {
        tb->op[0].exec = tb->plain;
    }
}

/* The first handler of a block that is not hot yet. */
static void jit_count(X86Cpu *c, const Insn *op)
{
    TcgCpu *tc = tcg_cpu(c);
    Tb *tb = container_of((Insn *)op, Tb, op[0]);
    const Jit *j = tc->jit;

    if (likely(--tb->heat > 0)) {
        return tb->plain(c, op);
    }
    if (j->size / 2 - j->used < JIT_BLOCK_MAX ||
        j->size - j->cold < JIT_BLOCK_MAX) {
        tc->jit->n_full++;
        tb_flush(tc);
        return op_hop(c, op);
    }
    jit_translate(tc, tb);
    return op_next(c, op);
}

void jit_watch(TcgCpu *tc, Tb *tb)
{
    if (!tc->jit) {
        return;
    }
    tb->code = NULL;
    tb->entry = tc->jit->th.plain;
    tb->plain = tb->op[0].exec;
    if (!(tb->key & MODE_FLAT) || (tb->key & MODE_SLOW) ||
        !(tb->key & (MODE_CODE64 | MODE_CODE32)) || tb->host2 || !tb->host ||
        tb->cooled >= JIT_COOL) {
        return;
    }
    tb->heat = tc->accel->jit_heat;
    tb->op[0].exec = jit_count;
}

InsnFn *jit_killed(TcgCpu *tc, Tb *tb, bool running)
{
    if (!tc->jit || !tb->code) {
        return interp_dead;
    }
    tb->entry = tc->jit->th.plain;
    tc->jit->n_dropped++;
    tc->jit_spoilt |= running;
    if (running && tb->cooled < JIT_COOL) {
        tb->cooled++;
    }
    return jit_ret;
}

void jit_revived(TcgCpu *tc, Tb *tb)
{
    if (tc->jit && tb->code) {
        tb->entry = tb->code;
    }
}

void jit_flush(TcgCpu *tc)
{
    if (tc->jit) {
        tc->jit->used = tc->jit->start;
        tc->jit->cold = tc->jit->size / 2;
    }
}

/* ---- life --------------------------------------------------------------------------------- */

size_t jit_room(const TcgAccel *a)
{
    return a->jit ? a->jit_size : 0;
}

/* Memory for code at @at, in the place of what is mapped there. */
static bool jit_map(Jit *j, uint8_t *at)
{
    int fd = memfd_create("rhea-code", MFD_CLOEXEC);
    bool ok = false;

    j->rw = MAP_FAILED;
    if (fd >= 0 && !ftruncate(fd, j->size)) {
        j->rw = mmap(NULL, j->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        j->rx = mmap(at, j->size, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED,
                     fd, 0);
        ok = j->rw != MAP_FAILED && j->rx == at;
    }
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

/* What is executed goes with the arena. */
static void jit_unmap(Jit *j)
{
    if (j->rw != MAP_FAILED) {
        munmap(j->rw, j->size);
    }
}

void jit_init(TcgCpu *tc)
{
    Jit *j;

    if (!tc->accel->jit) {
        return;
    }
    j = g_new0(Jit, 1);
    j->size = jit_room(tc->accel);
    if (!jit_map(j, tc->arena + ARENA_SIZE)) {
        warn_report("tcg: the host gives no memory to execute code from (%s): "
                    "going on with jit=off",
                    g_strerror(errno));
        tc->accel->jit = false;
        munmap(tc->arena + ARENA_SIZE, j->size);
        tc->arena_room = ARENA_SIZE;
        jit_unmap(j);
        g_free(j);
        return;
    }
    jit_put_thunks(j);
    tc->jit = j;
    tc->scratch->entry = j->th.plain;
}

void jit_fini(TcgCpu *tc)
{
    if (tc->jit) {
        jit_unmap(tc->jit);
        g_free(tc->jit);
        tc->jit = NULL;
    }
}

void jit_stats(TcgCpu *tc, CpuStatFn *fn, void *opaque)
{
    const Jit *j = tc->jit;

    if (!j) {
        return;
    }
    fn("blocks translated", j->n_blocks, opaque);
    fn("instructions in them", j->n_insns, opaque);
    fn("of these by templates", j->n_templates, opaque);
    fn("bytes of host code", j->n_bytes, opaque);
    fn("memory for code", j->size, opaque);
    fn("of that in use", j->used + j->cold - j->size / 2, opaque);
    fn("translated blocks dropped", j->n_dropped, opaque);
    fn("times memory for code was full", j->n_full, opaque);
}

#else

size_t jit_room(const TcgAccel *a)
{
    return 0;
}

void jit_init(TcgCpu *tc)
{
}

void jit_fini(TcgCpu *tc)
{
}

void jit_watch(TcgCpu *tc, Tb *tb)
{
}

InsnFn *jit_killed(TcgCpu *tc, Tb *tb, bool running)
{
    return interp_dead;
}

void jit_revived(TcgCpu *tc, Tb *tb)
{
}

void jit_flush(TcgCpu *tc)
{
}

void jit_stats(TcgCpu *tc, CpuStatFn *fn, void *opaque)
{
}

#endif
