/*
 * The software accelerator: run loop, requests, debugging, the table.
 *
 * run() alternates between blocks, which execute until a fault, an instruction
 * that changes the processor's mode, or the end of the budget, and the time
 * between two instructions, when faults are delivered, requests served and
 * interrupts taken (tcg_between). Everything that is not plain execution
 * happens there, with no block on the stack.
 */
#include "util/osdep.h"
#include "accel/tcg/interp.h"
#include "accel/tcg/jit.h"
#include "accel/tcg/tlb.h"
#include "target-x86/cpuid.h"
#include "target-x86/disas.h"
#include "target-x86/flags.h"
#include "system/later.h"
#include "target-x86/seg.h"
#include "util/error.h"
#include "util/keyval.h"
#include "util/log.h"

#define PENDING_EVENTS (CPU_IRQ | CPU_NMI | CPU_SMI | CPU_INIT | CPU_SIPI)

/* ---- the mode -------------------------------------------------------------------- */

bool cpu_should_leave(X86Cpu *c)
{
    uint32_t pending = cpu_pending(c);

    if (likely(!pending)) {
        return c->mode.slow;
    }
    return c->mode.slow || (pending & ~CPU_IRQ) || (c->s.rflags & FL_IF);
}

static void tcg_sync_rest(TcgCpu *tc)
{
    X86Cpu *c = &tc->cpu;

    if (c->s.apic_base != tc->apic_base || c->s.pkru != tc->pkru ||
        c->s.a20_masked != tc->bus.a20_masked) {
        tc->apic_base = c->s.apic_base;
        tc->pkru = c->s.pkru;
        tc->bus.a20_masked = c->s.a20_masked;
        tlb_flush(c, true);
    }
    tc->key = c->mode.key;
    tc->rflags = c->s.rflags & (MODE_RFLAGS | FL_RF);
    if (unlikely(c->mode.slow || (tc->dr[7] & 0xff))) {
        tlb_sync_watch(tc);
    }
    tlb_select(tc);
}

/* RF is for the next instruction alone, and of no use with no breakpoint
 * armed: nobody sees it go a moment early. */
static void tcg_drop_rf(TcgCpu *tc)
{
    X86Cpu *c = &tc->cpu;

    if ((c->s.rflags & FL_RF) && !(c->s.dr[7] & 0xff) && !tc->stepping) {
        c->s.rflags &= ~(uint64_t)FL_RF;
    }
}

void tcg_sync(TcgCpu *tc)
{
    tcg_drop_rf(tc);
    x86_update_mode(&tc->cpu);
    tcg_sync_rest(tc);
}

void tcg_sync_changed(TcgCpu *tc)
{
    tcg_drop_rf(tc);
    if (tc->cpu.mode.key == tc->key) {
        x86_update_mode(&tc->cpu);
    }
    tcg_sync_rest(tc);
}

/* ---- counting -------------------------------------------------------------------- */

/* Instructions since the last look go to insns. */
static void tcg_settle_budget(TcgCpu *tc)
{
    tc->insns += tc->budget_was - tc->budget;
    tc->budget_was = tc->budget = 0;
}

static void tcg_give_budget(TcgCpu *tc)
{
    int64_t n = BUDGET_PERIOD;

    if (tc->limit && tc->limit - tc->insns < (uint64_t)n) {
        n = tc->limit - tc->insns;
    }
    if (log_enabled(LOG_NOCHAIN | LOG_EXEC | LOG_CPU) || tc->n_breakpoints) {
        n = 0; /* every block comes back */
    }
    tc->budget_was = tc->budget = n;
    __atomic_store_n(&tc->floor, 0, __ATOMIC_SEQ_CST);
}

/* An instruction was left in the middle: those before it. */
static void tcg_count_unwound(TcgCpu *tc)
{
    const Insn *op = tc->cpu.unwound;

    if (op) {
        tc->budget -= op - tb_of(op)->op;
    }
    tc->cpu.unwound = NULL;
}

uint64_t tcg_insn_count(X86Cpu *c)
{
    TcgCpu *tc = tcg_cpu(c);

    return tc->insns + (tc->budget_was - tc->budget);
}

void tcg_set_limit(X86Cpu *c, uint64_t n)
{
    TcgCpu *tc = tcg_cpu(c);

    tc->limit = n ? tc->insns + n : 0;
}

/* ---- requests from other threads --------------------------------------------------- */

static void tcg_queue_inval(TcgCpu *tc, const uint8_t *host, uint64_t len)
{
    pthread_mutex_lock(&tc->inval_lock);
    if (tc->inval_n == INVAL_QUEUE) {
        tc->inval_all = true;
    } else {
        tc->inval[tc->inval_n].host = host;
        tc->inval[tc->inval_n].len = len;
        tc->inval_n++;
    }
    pthread_mutex_unlock(&tc->inval_lock);
    cpu_raise(&tc->cpu, CPU_REQUEST);
}

void tcg_request_inval(TcgAccel *a, const uint8_t *host, uint64_t len,
                       TcgCpu *but)
{
    Machine *m = a->accel.machine;
    const X86Cpu *skip = but ? &but->cpu : NULL;

    for (unsigned i = 0; i < m->ncpus; i++) {
        if (m->cpu[i] && m->cpu[i] != skip) {
            tcg_queue_inval(tcg_cpu(m->cpu[i]), host, len);
        }
    }
}

static void tcg_serve_inval(TcgCpu *tc)
{
    pthread_mutex_lock(&tc->inval_lock);
    if (tc->inval_all) {
        tb_flush(tc);
    }
    for (unsigned i = 0; i < tc->inval_n; i++) {
        tb_kill(tc, tc->inval[i].host, tc->inval[i].len);
    }
    tc->inval_n = 0;
    tc->inval_all = false;
    pthread_mutex_unlock(&tc->inval_lock);
}

static void tcg_forget_all(TcgCpu *tc)
{
    __atomic_store_n(&tc->flush_map, false, __ATOMIC_RELEASE);
    tcg_serve_inval(tc);
    tb_flush(tc);
    tlb_map_changed(tc);
    tlb_cr3_written(&tc->cpu, false);
}

/* Ours may come together with CPU_FLUSH: loading a state does both. */
static void tcg_serve_requests(TcgCpu *tc)
{
    if (cpu_take(&tc->cpu, CPU_FLUSH | CPU_REQUEST) & CPU_FLUSH) {
        tcg_forget_all(tc);
        return;
    }
    tcg_serve_inval(tc);
    if (__atomic_exchange_n(&tc->flush_map, false, __ATOMIC_ACQ_REL)) {
        tlb_map_changed(tc);
    }
}

static void tcg_map_changed(Accel *accel, const FlatMap *map)
{
    Machine *m = accel->machine;

    for (unsigned i = 0; m->cpu && i < m->ncpus; i++) {
        if (m->cpu[i]) {
            __atomic_store_n(&tcg_cpu(m->cpu[i])->flush_map, true,
                             __ATOMIC_RELEASE);
            cpu_raise(m->cpu[i], CPU_REQUEST);
        }
    }
}

static void tcg_ram_written(Accel *accel, hwaddr addr, hwaddr len)
{
    TcgAccel *a = container_of(accel, TcgAccel, accel);
    AddressSpace *as = accel->machine->mem;

    while (len > 0) {
        hwaddr n = MIN(len, PAGE_SIZE - (addr & ~PAGE_MASK));
        const FlatRange *fr = as_find(as, addr);

        if (fr && fr->region->kind == REGION_RAM) {
            const uint8_t *host =
                fr->region->ram + fr->offset + (addr - fr->base);
            TcgPage *page = tcg_page(a, host);

            n = MIN(n, fr->size - (addr - fr->base));
            __atomic_thread_fence(__ATOMIC_SEQ_CST);
            if (page && __atomic_exchange_n(&page->code, 0, __ATOMIC_SEQ_CST)) {
                tcg_request_inval(
                    a, (const uint8_t *)((uintptr_t)host & PAGE_MASK),
                    PAGE_SIZE, NULL);
            }
        }
        addr += n;
        len -= n;
    }
}

/* What this thread wrote before it is seen by the vCPU before the block that it
 * goes to next: as a processor that has no cache of decoded code would. */
static void tcg_kick(X86Cpu *c)
{
    __atomic_store_n(&tcg_cpu(c)->floor, INT64_MAX, __ATOMIC_SEQ_CST);
}

/* ---- between two instructions --------------------------------------------------------- */

/* false: *@exit says why run() ends. */
static bool tcg_between(TcgCpu *tc, CpuExit *exit)
{
    X86Cpu *c = &tc->cpu;
    bool triple = false;
    uint32_t pending;

    tcg_settle_budget(tc);
    if (tc->fault_waits) {
        tc->fault_waits = false;
        if (tc->burst_left) {
            tc->burst_left = false;
            *exit = CPU_EXIT_KICKED;
            return false;
        }
        if (tc->burst && c->fault.vector == EXC_UD &&
            (!tc->burst_refused || tc->insns != tc->burst_start)) {
            *exit = CPU_EXIT_KICKED; /* the other engine may know it */
            return false;
        }
        if (!(tc->take_back && tc->take_back(c)) && !x86_deliver_fault(c)) {
            *exit = CPU_EXIT_TRIPLE_FAULT;
            return false;
        }
        tcg_sync(tc);
    }
    if (unlikely(cpu_pending(c) & CPU_SOON)) {
        cpu_lower(c, CPU_SOON);
        machine_idle_turn(c->machine);
    }
    tc->seen = pending = cpu_pending(c);
    if (unlikely(pending & (CPU_FLUSH | CPU_REQUEST))) {
        tcg_serve_requests(tc);
        tc->seen &= ~(uint32_t)(CPU_FLUSH | CPU_REQUEST); /* new ones are */
    }
    if (pending & CPU_STOP) {
        *exit = CPU_EXIT_KICKED;
        return false;
    }
    /* A debugger's step goes past interrupts. */
    if ((pending & PENDING_EVENTS) && !c->s.irq_shadow && !c->s.ss_shadow &&
        (!tc->single_step || c->s.halted)) {
        if (x86_take_events(c, &triple)) {
            tc->seen = 0;
            if (pending & CPU_INIT) {
                tlb_flush(c, true);
            }
            if (tc->burst && c->machine->ncpus > 1) {
                tcg_forget_all(tc); /* the other engine writes code unseen */
            }
            tcg_sync(tc);
        }
        if (triple) {
            *exit = CPU_EXIT_TRIPLE_FAULT;
            return false;
        }
    }
    if (c->s.halted || c->s.mp_state != MP_RUNNABLE) {
        *exit = CPU_EXIT_HALTED;
        return false;
    }
    if (tc->limit && tc->insns >= tc->limit) {
        tc->limit = 0;
        tc->limit_hit = true;
        *exit = CPU_EXIT_DEBUG;
        return false;
    }
    return true;
}

/* ---- logs ---------------------------------------------------------------------------------- */

void tcg_log_block(TcgCpu *tc, const Tb *tb, uint64_t lin)
{
    g_autoptr(GString) text = NULL;
    const uint8_t *bytes = (const uint8_t *)&tb->op[tb->cap];

    if (!log_in_range(lin)) {
        return;
    }
    text = g_string_new("----------------\nIN: \n");
    x86_disas(text, bytes, tb->size, lin, tc->cpu.mode.code_bits, 0);
    log_write("%s\n", text->str);
}

static void tcg_log_exec(TcgCpu *tc, const Tb *tb)
{
    X86Cpu *c = &tc->cpu;

    if (!log_in_range(c->s.rip + (c->mode.code64 ? 0 : c->s.seg[S_CS].base))) {
        return;
    }
    log_mask(LOG_EXEC, "Trace %u: %p [%016" PRIx64 "/%08x]\n", c->index,
             (const void *)tb, c->s.rip, tb->key);
    if (log_enabled(LOG_CPU)) {
        g_autoptr(GString) text = g_string_new(NULL);

        flags_sync(c);
        x86_dump(c, text, false);
        log_write("%s", text->str);
    }
}

/* ---- one instruction at a time ----------------------------------------------------------------- */

/* Instruction breakpoints of DR0-3 at s.rip. SDM 3B, 17.2. */
static uint64_t tcg_insn_breakpoints(const X86Cpu *c)
{
    uint64_t lin = c->s.rip, hit = 0;

    if (!c->mode.code64) {
        lin = (uint32_t)(lin + c->s.seg[S_CS].base);
    }
    for (int i = 0; i < 4; i++) {
        if ((c->s.dr[7] >> (i * 2) & 3) && !(c->s.dr[7] >> (16 + i * 4) & 3) &&
            c->s.dr[i] == lin) {
            hit |= UINT64_C(1) << i;
        }
    }
    return hit;
}

/* These enter a handler with TF clear; the trap does not follow them. */
static bool tcg_clears_tf(const Insn *in)
{
    InsnFn *sem = insn_rows[in->id].sem;

    return sem == sem_INT || sem == sem_INT3 || sem == sem_INTO ||
           sem == sem_ICEBP || sem == sem_SYSCALL;
}

/* Data breakpoints hit, and TF: #DB behind the instruction. Raises. */
static void tcg_trap(TcgCpu *tc, bool tf)
{
    X86Cpu *c = &tc->cpu;
    uint64_t bits = tc->dr6_hit | (tf ? UINT64_C(1) << 14 : 0);

    tc->dr6_hit = 0;
    tc->stepping = false;
    if (bits) {
        x86_raise_db(c, bits);
    }
}

static void tcg_step(TcgCpu *tc)
{
    X86Cpu *c = &tc->cpu;
    bool ss_shadow = c->s.ss_shadow, rf = c->s.rflags & FL_RF;
    bool clears_tf;
    uint64_t hit;
    InsnFn *sem;
    Tb *tb;

    c->s.irq_shadow = c->s.ss_shadow = false;
    if (c->s.dr[7] & 0xff) {
        tlb_sync_watch(tc);
        hit = rf || ss_shadow ? 0 : tcg_insn_breakpoints(c);
        if (hit) {
            c->fault = (X86Fault) { .vector = EXC_DB, .dr6 = hit };
            siglongjmp(c->unwind, UNWIND_FAULT);
        }
    }
    tc->stepping = true;
    tc->step_tf = c->s.rflags & FL_TF;
    tb = tb_find_one(tc);
    if (log_enabled(LOG_EXEC | LOG_CPU)) {
        tcg_log_exec(tc, tb);
    }
    sem = insn_rows[tb->op[0].id].sem;
    clears_tf = tcg_clears_tf(&tb->op[0]);
    interp_run(tc, tb);
    if (rf && sem != sem_IRET) {
        c->s.rflags &= ~(uint64_t)FL_RF;
    }
    tcg_sync(tc);
    if (c->s.ss_shadow) {
        tc->stepping = false; /* no trap before the next instruction */
        return;
    }
    tcg_trap(tc, tc->step_tf && !clears_tf);
}

/* The debugger's breakpoint is at s.rip, or in the block: @inside. */
static bool tcg_at_breakpoint(const TcgCpu *tc, const Tb *tb, bool *inside)
{
    uint64_t rip = tc->cpu.s.rip;
    bool at = false;

    *inside = false;
    for (unsigned i = 0; i < tc->n_breakpoints; i++) {
        uint64_t lin = tc->breakpoint[i];

        if (!tc->cpu.mode.code64) {
            lin = (uint32_t)(lin - tc->cpu.s.seg[S_CS].base);
        }
        at |= lin == rip;
        *inside |= lin - rip < tb->size;
    }
    return at;
}

/* A block or an instruction with somebody watching. true: run() ends. */
static bool tcg_exec_watched(TcgCpu *tc)
{
    X86Cpu *c = &tc->cpu;
    bool inside = false, step = tc->single_step || c->mode.slow ||
                                c->s.irq_shadow || c->s.ss_shadow ||
                                tc->n_watch;
    Tb *tb;

    if (tc->n_breakpoints) {
        tb = tb_find_one(tc);
        if (tcg_at_breakpoint(tc, tb, &inside) &&
            !(tc->have_step_over && tc->step_over == c->s.rip)) {
            return true;
        }
        tc->have_step_over = false;
        if (!step) {
            tb = tb_find(tc);
            tcg_at_breakpoint(tc, tb, &inside);
        }
    }
    if (step || inside) {
        tcg_step(tc);
        return tc->single_step || c->watch_hit;
    }
    tb = tb_find(tc);
    if (log_enabled(LOG_EXEC | LOG_CPU)) {
        tcg_log_exec(tc, tb);
    }
    interp_run(tc, tb);
    return false;
}

/* ---- run --------------------------------------------------------------------------------------- */

static bool tcg_watched(const TcgCpu *tc)
{
    const X86Cpu *c = &tc->cpu;

    return c->mode.slow || c->s.irq_shadow || c->s.ss_shadow ||
           tc->n_breakpoints || tc->single_step || tc->n_watch ||
           log_enabled(LOG_EXEC | LOG_CPU);
}

/* true: run() ends for the debugger. */
static bool tcg_exec(TcgCpu *tc)
{
    if (unlikely(tcg_watched(tc))) {
        return tcg_exec_watched(tc);
    }
    interp_run(tc, tb_find(tc));
    return false;
}

/* A debugger's step ends with the fault's delivery too. */
static bool tcg_unwound(TcgCpu *tc, int how)
{
    X86Cpu *c = &tc->cpu;
    bool stepping = tc->stepping;

    mem_exclusive_end(c);
    tcg_count_unwound(tc);
    tc->stepping = false;
    if (how == UNWIND_FAULT) {
        tc->fault_waits = true;
        if (c->fault.vector == EXC_DB && c->fault.trap) {
            return tc->single_step;
        }
        tc->dr6_hit = 0;
    } else {
        tcg_sync(tc);
        if (stepping && (tc->step_tf || tc->dr6_hit)) {
            c->fault = (X86Fault) {
                .vector = EXC_DB,
                .trap = true,
                .dr6 = tc->dr6_hit | (tc->step_tf ? UINT64_C(1) << 14 : 0),
            };
            tc->dr6_hit = 0;
            tc->fault_waits = true;
        }
    }
    return stepping && (tc->single_step || c->watch_hit);
}

/*
 * On a busy host the main thread may wait for a processor that this thread
 * keeps: then the guest's timers would be late by whole time slices, and Linux
 * would find that its timer does not tick. So every few thousand instructions
 * we look, and fire what is overdue ourselves. The same for what waits until
 * this processor has nothing to do, which it may never come to.
 */
static void tcg_late_timers(TcgCpu *tc)
{
    Machine *m = tc->cpu.machine;

    if (tc->insns - tc->insns_at_clock < BUDGET_PERIOD) {
        return;
    }
    tc->insns_at_clock = tc->insns;
    if (unlikely(clock_late(m->vclock, TIMER_SLACK_NS))) {
        machine_lock(m);
        clock_fire(m->vclock);
        machine_unlock(m);
    }
    if (machine_has_later(m)) {
        machine_lock(m);
        machine_run_later(m, false);
        machine_unlock(m);
    }
}

static CpuExit tcg_loop(TcgCpu *tc)
{
    X86Cpu *c = &tc->cpu;
    volatile bool stop = false;
    CpuExit exit;
    int how;

    while (tcg_between(tc, &exit)) {
        if (stop) {
            return CPU_EXIT_DEBUG;
        }
        tcg_late_timers(tc);
        tcg_give_budget(tc);
        c->insn = NULL; /* a block may have ended early: its last slow one */
        if (unlikely(cpu_pending(c) & ~tc->seen)) {
            continue; /* its kick came before there was a budget to take */
        }
        how = sigsetjmp(c->unwind, 0);
        if (how == 0) {
            stop = tcg_exec(tc);
        } else {
            stop = tcg_unwound(tc, how);
        }
    }
    return exit;
}

static CpuExit tcg_run(X86Cpu *c)
{
    TcgCpu *tc = tcg_cpu(c);
    CpuExit exit;

    c->insn = c->unwound = NULL;
    c->watch_hit = 0;
    c->lazy.op = FLAGS_EXACT;
    tcg_sync(tc);
    exit = tcg_loop(tc);
    tcg_settle_budget(tc);
    flags_sync(c);
    tc->have_step_over = exit == CPU_EXIT_DEBUG;
    tc->step_over = c->s.rip;
    return exit;
}

static bool tcg_set_debug(X86Cpu *c, const hwaddr *breakpoints, unsigned n,
                          bool single_step)
{
    TcgCpu *tc = tcg_cpu(c);

    if (n > BREAKPOINTS_MAX) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        tc->breakpoint[i] = breakpoints[i];
    }
    tc->n_breakpoints = n;
    tc->single_step = single_step;
    return true;
}

static bool tcg_set_watch(X86Cpu *c, const CpuWatch *watch, unsigned n)
{
    TcgCpu *tc = tcg_cpu(c);

    if (n > CPU_WATCH_MAX) {
        return false;
    }
    if (n || tc->n_watch) {
        tlb_flush(c, true);
    }
    if (n) {
        memcpy(tc->watch, watch, n * sizeof(*watch));
    }
    tc->n_watch = n;
    return true;
}

static bool tcg_translate(X86Cpu *c, uint64_t lin, hwaddr *phys)
{
    TcgCpu *tc = tcg_cpu(c);
    uint32_t error;
    MmuPage page;

    tc->bus.a20_masked = c->s.a20_masked;
    /* As the supervisor with nothing in its way, then as code. */
    if ((c->s.cr0 & CR0_PG) && (c->s.efer & EFER_LMA) &&
        !tlb_canonical(tc, lin)) {
        return false;
    }
    if (!mmu_walk(&c->s, &tc->bus, NULL, lin, MMU_LOAD, MMU_KERNEL_AC, false,
                  &page, &error) &&
        !mmu_walk(&c->s, &tc->bus, NULL, lin, MMU_LOAD, MMU_USER, false, &page,
                  &error)) {
        return false;
    }
    *phys = page.phys | (lin & ~PAGE_MASK);
    return true;
}

static void tcg_stats(X86Cpu *c, CpuStatFn *fn, void *opaque)
{
    TcgCpu *tc = tcg_cpu(c);

    fn("instructions", tcg_insn_count(c), opaque);
    fn("blocks decoded", tc->n_blocks, opaque);
    fn("all blocks dropped", tc->flushes, opaque);
    fn("TLB misses", tc->n_fills, opaque);
    jit_stats(tc, fn, opaque);
}

/* ---- life --------------------------------------------------------------------------------------- */

/* jit=on|off; jit-threshold=N executions of a block (0 is 1), for tests;
 * tb-size=MiB for code, 0 as many as we like. */
static bool tcg_jit_options(TcgAccel *a, KeyVal *options, GError **errp)
{
    uint64_t heat, mib;

    if (!keyval_bool(options, "jit", true, &a->jit, errp) ||
        !keyval_u64(options, "jit-threshold", JIT_HEAT, &heat, errp) ||
        !keyval_u64(options, "tb-size", JIT_MIB, &mib, errp)) {
        return false;
    }
    a->jit_size = (mib ? MIN(mib, JIT_MIB_MAX) : JIT_MIB) << 20;
    a->jit_heat = CLAMP(heat, 1, UINT16_MAX);
    return true;
}

static Accel *tcg_open(Machine *m, KeyVal *options, GError **errp)
{
    TcgAccel *a = g_new0(TcgAccel, 1);
    Insn in;

    a->jit = true;
    a->jit_heat = JIT_HEAT;
    a->jit_size = (size_t)JIT_MIB << 20;
    if (options && !tcg_jit_options(a, options, errp)) {
        g_free(a);
        return NULL;
    }
    /* The decoder's tables are there before there are threads. */
    decode_insn((const uint8_t *)"\x90", 1, 64, &in);
    a->accel.ops = &tcg_accel;
    a->accel.machine = m;
    pthread_mutex_init(&a->lock, NULL);
    a->op_class = interp_classify();
    return &a->accel;
}

static void tcg_close(Accel *accel)
{
    TcgAccel *a = container_of(accel, TcgAccel, accel);

    for (unsigned i = 0; i < a->n_ram; i++) {
        g_free(a->ram[i].page);
    }
    pthread_mutex_destroy(&a->lock);
    g_free(a->op_class);
    g_free(a);
}

/*
 * Inside an instruction, which has done nothing yet. The first of a burst is
 * one that the other engine may have refused.
 */
static void tcg_leave_burst(X86Cpu *c)
{
    TcgCpu *tc = tcg_cpu(c);

    if (tc->burst && c->insn &&
        (!tc->burst_refused || c->s.rip + c->insn->off != tc->burst_rip)) {
        tc->burst_left = true;
        x86_raise(c, EXC_UD); /* unwinds; tcg_between() knows */
    }
}

bool tcg_embedded_cpu_init(X86Cpu *c, TcgAccel *a, GError **errp)
{
    TcgCpu *tc = tcg_cpu(c);

    tc->accel = a;
    c->leave_burst = tcg_leave_burst;
    pthread_mutex_init(&tc->inval_lock, NULL);
    if (!tlb_init(tc) || !tb_init(tc)) {
        error_setg_errno(errp, errno, "no memory for decoded code");
        return false;
    }
    if (c->model) {
        tc->bus.phys_bits = cpu_phys_bits(c);
        tc->bus.page1gb = cpu_has(c, FEAT_PDPE1GB);
    }
    return true;
}

static bool tcg_cpu_init(X86Cpu *c, GError **errp)
{
    return tcg_embedded_cpu_init(
        c, container_of(c->machine->accel, TcgAccel, accel), errp);
}

void tcg_embedded_cpu_exit(X86Cpu *c)
{
    TcgCpu *tc = tcg_cpu(c);

    tlb_fini(tc);
    tb_fini(tc);
    pthread_mutex_destroy(&tc->inval_lock);
}

/* ---- inside another engine ----------------------------------------------------------------------- */

TcgAccel *tcg_embedded_open(Machine *m)
{
    TcgAccel *a = container_of(tcg_open(m, NULL, NULL), TcgAccel, accel);

    a->jit = false; /* it is never hot for long */
    return a;
}

void tcg_embedded_close(TcgAccel *a)
{
    tcg_close(&a->accel);
}

CpuExit tcg_run_burst(X86Cpu *c, uint64_t n, bool refused)
{
    TcgCpu *tc = tcg_cpu(c);
    bool single_step = tc->single_step;
    CpuExit exit;

    tcg_forget_all(tc);
    if (n == 1) {
        tc->single_step = true;
    } else {
        tcg_set_limit(c, n);
    }
    tc->burst = true;
    tc->burst_start = tc->insns;
    tc->burst_refused = refused;
    tc->burst_rip = c->s.rip;
    exit = tcg_run(c);
    tc->burst = false;
    if (exit == CPU_EXIT_DEBUG && (n == 1 || tc->limit_hit)) {
        exit = CPU_EXIT_KICKED;
    }
    tc->single_step = single_step;
    tc->have_step_over = false;
    tc->limit = 0;
    tc->limit_hit = false;
    return exit;
}

static bool tcg_try_deliver(TcgCpu *tc, int vector)
{
    X86Cpu *c = &tc->cpu;

    if (sigsetjmp(c->unwind, 0)) {
        return false;
    }
    x86_interrupt(c, vector, INT_HW, false, 0);
    return true;
}

bool tcg_deliver(X86Cpu *c, int vector, int kind, bool has_error,
                 uint32_t error)
{
    TcgCpu *tc = tcg_cpu(c);
    bool ok = true;

    tcg_forget_all(tc);
    c->insn = c->unwound = NULL;
    c->lazy.op = FLAGS_EXACT;
    tcg_sync(tc);
    if (kind == INT_EXCEPTION) {
        c->fault = (X86Fault) {
            .vector = vector,
            .has_error = has_error,
            .error = error,
            .cr2 = c->s.cr2,
        };
        ok = x86_deliver_fault(c);
    } else if (!tcg_try_deliver(tc, vector)) {
        ok = x86_deliver_fault(c);
    }
    tcg_sync(tc);
    flags_sync(c);
    return ok;
}

static bool tcg_try_iret(X86Cpu *c, unsigned osz)
{
    if (sigsetjmp(c->unwind, 0)) {
        return false;
    }
    far_iret(c, osz);
    return true;
}

bool tcg_return(X86Cpu *c, unsigned osz)
{
    TcgCpu *tc = tcg_cpu(c);
    X86State was = c->s;
    bool ok;

    tcg_forget_all(tc);
    c->insn = c->unwound = NULL;
    c->lazy.op = FLAGS_EXACT;
    tcg_sync(tc);
    ok = tcg_try_iret(c, osz);
    if (!ok) {
        c->s = was;
    }
    x86_update_mode(c);
    tcg_sync(tc);
    return ok;
}

static const char *const tcg_options[] = {
    "jit",      "jit-threshold",   "thread", "tb-size",
    "split-wx", "one-insn-per-tb", NULL, /* the last four: QEMU's, they change nothing here */
};

const AccelOps tcg_accel = {
    .name = "tcg",
    .options = tcg_options,
    .desc = "software processor",
    .default_cpu = "max",
    .cpu_size = sizeof(TcgCpu),
    .open = tcg_open,
    .close = tcg_close,
    .cpu_init = tcg_cpu_init,
    .cpu_exit = tcg_embedded_cpu_exit,
    .run = tcg_run,
    .looks = true,
    .kick = tcg_kick,
    .map_changed = tcg_map_changed,
    .ram_written = tcg_ram_written,
    .set_debug = tcg_set_debug,
    .set_watch = tcg_set_watch,
    .translate = tcg_translate,
    .stats = tcg_stats,
};
