/*
 * Completion in software: what KVM cannot execute, accel/tcg does, on the same
 * state and the same memory.
 *
 * The first failure costs one instruction. Where they come in clusters, the
 * way there and back costs more than the instruction, so the burst grows
 * with every failure that follows soon and shrinks when KVM ran on for a
 * while. Interrupts are taken in a burst as the software CPU always takes
 * them; with several processors a burst stays short, because code that
 * another one changes meanwhile would not be noticed before its end. So it
 * does where the local APICs are the kernel's: it delivers their interrupts
 * when KVM runs. One that we send there ends the burst, so that a guest whose
 * UART wants the next byte does not wait.
 *
 * Where the kernel only interprets, slower than the software CPU, the work is
 * shared without any failure: in turn KVM for a while, then a burst. With several
 * processors bursts are shorter, and each interrupt in one forgets what was
 * decoded: from an interrupt on, x86 promises a processor that it sees the code
 * that another one has changed. -accel kvm,turns=off leaves turns out, completion=off
 * everything.
 */
#include "util/osdep.h"
#include "accel/cpus.h"
#include "accel/kvm/kvm.h"
#include "target-x86/cpuid.h"
#include "target-x86/insn.h"
#include "util/log.h"

typedef struct BurstRule {
    uint64_t max, max_smp; /* instructions */
    unsigned growth;
    int64_t soon, late; /* ns: longer bursts below, one again above */
} BurstRule;

/* A burst on hardware should cost no more than the way there and back. */
static const BurstRule on_hardware = {
    .max = 1 << 14,
    .max_smp = 1 << 12,
    .growth = 2,
    .soon = 2 * 1000 * 1000,
    .late = 50 * 1000 * 1000,
};

/* An interpreter in the kernel is slower than the software CPU. */
static const BurstRule on_interpreter = {
    .max = 1 << 26,
    .max_smp = 1 << 14,
    .growth = 8,
    .soon = 60 * NS_PER_SEC,
    .late = 600 * NS_PER_SEC,
};

/* There, a turn of KVM's in host ns, and the burst that follows it. */
enum {
    TURN_NS = 10 * 1000 * 1000,
    TURN_INSNS = 1 << 24,
    TURN_INSNS_SMP = 1 << 22,
    TURN_NS_LAPIC = 2 * 1000 * 1000,
    TURN_NS_LEAST =
        1000 * 1000, /* of this thread's, with APICs in the kernel */
    TURN_INSNS_LAPIC = 1 << 20,
};

/* AVX-512 that CPUID shows and nobody here executes. */
static void complete_warn_evex(KvmCpu *kc)
{
    KvmAccel *a = kc->kvm;

    if (!a->probe.adds_cpuid || a->probe.warned) {
        return;
    }
    a->probe.warned = true;
    warn_report("kvm: this host's KVM shows guests AVX-512, which neither it "
                "nor the software CPU executes; Linux guests want "
                "clearcpuid=304 in -append, or use -accel tcg");
}

bool kvm_insn_at_rip(KvmCpu *kc, uint8_t bytes[15], Insn *in)
{
    X86Cpu *c = kvm_x86(kc);
    uint64_t lin = c->s.rip + (c->mode.code64 ? 0 : c->s.seg[S_CS].base);

    memset(bytes, 0, 15);
    for (unsigned i = 0; i < 15; i++) {
        hwaddr phys;

        if (!tcg_accel.translate(c, lin + i, &phys) ||
            !as_ram(c->machine->mem, phys, 1, false)) {
            break;
        }
        as_read(c->machine->mem, phys, &bytes[i], 1);
    }
    return decode_insn(bytes, 15, c->mode.code_bits, in) == DECODE_OK;
}

/* The instruction at cs:rip, and its mnemonic for the count. */
static const char *complete_mnemonic(KvmCpu *kc, Insn *in)
{
    uint8_t bytes[15];

    if (!kvm_insn_at_rip(kc, bytes, in)) {
        *in = (Insn) { 0 };
        if (bytes[0] == 0x62) {
            complete_warn_evex(kc);
            log_mask(LOG_UNIMP,
                     "kvm: the AVX-512 instruction at %016" PRIx64
                     " was refused, and the software CPU has none: #UD\n",
                     kvm_x86(kc)->s.rip);
        }
        return "(no instruction)";
    }
    return insn_rows[in->id].name;
}

static int operand_vec(const Insn *in, unsigned n)
{
    switch (insn_rows[in->id].op[n].kind) {
    case OPK_V:
        return in->reg & 15;
    case OPK_W:
        return in->is_mem ? -1 : in->rm & 15;
    case OPK_U:
        return in->rm & 15;
    case OPK_H:
        return in->vvvv;
    default:
        return -1;
    }
}

/* VEX clears its destination up to bit 511, which the software CPU does not
 * have. A gather clears its mask, too. */
static void complete_clear_zmm(X86Cpu *c, const Insn *in)
{
    uint8_t *zmm = c->ext + xsave_components[XSAVE_ZMM_HI].ext;
    const char *name = insn_rows[in->id].name;

    if (!strcmp(name, "VZEROUPPER") || !strcmp(name, "VZEROALL")) {
        memset(zmm, 0, X86_EXT_ZMM_HI);
        return;
    }
    for (unsigned n = 0; n < (in->vsib ? 3u : 1u); n++) {
        int reg = operand_vec(in, n);

        if (reg >= 0) {
            memset(zmm + 32 * reg, 0, 32);
        }
    }
}

static void complete_adapt(KvmCpu *kc)
{
    const BurstRule *r =
        kc->kvm->probe.interprets ? &on_interpreter : &on_hardware;
    bool alone = kvm_x86(kc)->machine->ncpus == 1 && !kc->kvm->host.lapic;
    uint64_t max = alone ? r->max : r->max_smp;
    int64_t ran = kvm_host_ns() - kc->burst_end;

    if (!kc->burst_end || ran > r->late) {
        kc->burst = 1;
    } else if (ran < r->soon) {
        kc->burst = MIN(kc->burst * r->growth, max);
    }
}

static CpuExit run_soft(KvmCpu *kc, uint64_t n, bool refused)
{
    X86Cpu *c = kvm_x86(kc);
    int64_t start = kvm_host_ns();
    uint64_t before = tcg_insn_count(c);
    CpuExit exit;

    kvm_user_take_back(kc);
    __atomic_store_n(&kc->in_burst, true, __ATOMIC_SEQ_CST);
    exit = tcg_run_burst(c, n, refused);
    __atomic_store_n(&kc->in_burst, false, __ATOMIC_SEQ_CST);
    g_mutex_lock(&kc->stats.lock);
    kc->stats.bursts++;
    kc->stats.burst_insns += tcg_insn_count(c) - before;
    kc->stats.burst_ns += kvm_host_ns() - start;
    g_mutex_unlock(&kc->stats.lock);
    kc->now = 0;
    return exit;
}

void kvm_end_bursts(Machine *m)
{
    for (unsigned i = 0; m->cpu && i < m->ncpus; i++) {
        X86Cpu *c = m->cpu[i];

        if (c && __atomic_load_n(&kvm_cpu(c)->in_burst, __ATOMIC_SEQ_CST)) {
            cpu_raise(c, CPU_STOP);
        }
    }
}

CpuExit kvm_run_soft(KvmCpu *kc, uint64_t n)
{
    return run_soft(kc, n, true);
}

CpuExit kvm_complete(KvmCpu *kc)
{
    X86Cpu *c = kvm_x86(kc);
    Insn in;
    const char *name = complete_mnemonic(kc, &in);
    uint64_t at = c->s.rip;
    CpuExit exit;

    complete_adapt(kc);
    if (c->ext_bv & xsave_components[XSAVE_ZMM_HI].bit) {
        kc->burst = 1; /* each is looked at */
    }
    kvm_stats_completed(kc, name);
    log_mask(LOG_KVM,
             "kvm: %s at %016" PRIx64 " is completed in software, burst of "
             "%" PRIu64 "\n",
             name, c->s.rip, kc->burst);
    exit = run_soft(kc, kc->tcg.single_step ? 1 : kc->burst, true);
    if (in.vex && kc->burst == 1 && c->s.rip == at + in.len) {
        complete_clear_zmm(c, &in);
    }
    kc->burst_end = kvm_host_ns();
    return exit;
}

/* ---- taking turns ------------------------------------------------------------------ */

bool kvm_takes_turns(const KvmAccel *a)
{
    return a->probe.interprets && a->completion && a->turns;
}

static int64_t turn_ns(const KvmAccel *a)
{
    return a->host.lapic ? TURN_NS_LAPIC : TURN_NS;
}

static int64_t thread_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

/*
 * On a busy host a turn may pass while this thread waits for a processor, again
 * and again; the kernel's APIC would never deliver anything.
 */
static bool turn_had(KvmCpu *kc)
{
    return !kc->kvm->host.lapic ||
           thread_ns() - kc->burst_end_cpu > TURN_NS_LEAST;
}

bool kvm_turn_over(KvmCpu *kc)
{
    if (!kc->turns || kc->tcg.single_step || kc->tcg.n_breakpoints) {
        return false;
    }
    if (!kc->burst_end) {
        kc->burst_end = kvm_host_ns(); /* the first turn begins */
    }
    return kvm_host_ns() - kc->burst_end > turn_ns(kc->kvm) && turn_had(kc);
}

CpuExit kvm_soft_turn(KvmCpu *kc, bool refused)
{
    uint64_t n = kc->kvm->host.lapic               ? TURN_INSNS_LAPIC
                 : kvm_x86(kc)->machine->ncpus > 1 ? TURN_INSNS_SMP
                                                   : TURN_INSNS;
    CpuExit exit = run_soft(kc, n, refused);

    kc->burst_end = kvm_host_ns();
    kc->burst_end_cpu = thread_ns();
    return exit;
}

/* Guest code that makes no exits must come out of KVM_RUN, too. */
static void turn_tick(void *opaque)
{
    KvmAccel *a = opaque;
    Machine *m = a->accel.machine;

    for (unsigned i = 0; m->cpu && i < m->ncpus; i++) {
        if (m->cpu[i]) {
            kvm_accel.kick(m->cpu[i]);
        }
    }
    timer_arm(&a->turn, clock_ns(m->vclock) + turn_ns(a));
}

void kvm_turns_start(KvmCpu *kc)
{
    KvmAccel *a = kc->kvm;

    kc->turns = kvm_takes_turns(a);
    if (kc->turns && !a->turn.fn) {
        timer_init(&a->turn, a->accel.machine->vclock, turn_tick, a);
        timer_arm(&a->turn, clock_ns(a->accel.machine->vclock));
    }
}

void kvm_turns_stop(KvmAccel *a)
{
    if (a->turn.fn) {
        timer_cancel(&a->turn);
        a->turn.fn = NULL;
    }
}
