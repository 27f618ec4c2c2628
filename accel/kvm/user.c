/*
 * User mode where the kernel does not see all of it.
 *
 * A KVM without VT-x or AMD-V may interpret the guest's kernel and let its user
 * code run by itself. Then what user code does is not always what a processor
 * does: SYSCALL arrives at LSTAR still in user mode (and page-faults there),
 * instructions that nobody implements are #UD whatever
 * KVM_CAP_EXIT_ON_EMULATION_FAILURE says, breakpoints and single steps are
 * lost. The probe tells (kvm_probe_syscall()).
 *
 * There, two of the debug registers watch the guest's handlers of #UD and #PF.
 * What reaches them for no good reason is taken back, by the IRET that the
 * handler would end with, and the software CPU executes the instruction. A page
 * fault of the usual kind goes on there, too, past the breakpoint.
 */
#include "util/osdep.h"
#include "accel/kvm/kvm.h"
#include "target-x86/cpuid.h"
#include "target-x86/flags.h"
#include "target-x86/mode.h"
#include "util/bits.h"
#include "util/log.h"

enum {
    PAST_HANDLER = 64, /* instructions, at least, behind the breakpoint */
    PF_USER = 1 << 2,
};

static const int catch_vector[KVM_CATCHES] = {
    [KVM_CATCH_UD] = EXC_UD,
    [KVM_CATCH_PF] = EXC_PF,
};

/* Guest memory at a linear address, or nothing. */
static bool user_read(KvmCpu *kc, uint64_t lin, void *buf, unsigned len)
{
    X86Cpu *c = kvm_x86(kc);
    uint8_t *p = buf;

    for (unsigned i = 0; i < len; i++) {
        hwaddr phys;

        if (!tcg_accel.translate(c, lin + i, &phys) ||
            !as_ram(c->machine->mem, phys, 1, false)) {
            return false;
        }
        as_read(c->machine->mem, phys, p + i, 1);
    }
    return true;
}

static bool is_wide(const X86State *s)
{
    return s->efer & EFER_LMA;
}

/* The linear address behind the IDT's gate; 0: none. Code segments are flat
 * where there is user mode. */
static uint64_t handler_of(KvmCpu *kc, int vector)
{
    const X86State *s = &kvm_x86(kc)->s;
    unsigned size = is_wide(s) ? 16 : 8;
    uint8_t gate[16] = { 0 };
    uint64_t at;

    if (!(s->cr0 & CR0_PG) || s->idt_limit < (vector + 1) * size - 1 ||
        !user_read(kc, s->idt_base + vector * size, gate, size) ||
        (gate[5] & 0x9e) != 0x8e) { /* a 32-bit or 64-bit gate */
        return 0;
    }
    at = ld_le16(gate) | (uint32_t)ld_le16(gate + 6) << 16;
    return is_wide(s) ? at | (uint64_t)ld_le32(gate + 8) << 32 : at;
}

void kvm_user_watch(KvmCpu *kc)
{
    if (!kc->kvm->probe.user_runs || !kc->kvm->completion) {
        return;
    }
    for (unsigned i = 0; i < KVM_CATCHES; i++) {
        kc->catch_at[i] = handler_of(kc, catch_vector[i]);
    }
    kvm_debug_update(kc);
}

/* The word at RSP + @i words, as the exception pushed it. */
static uint64_t frame_word(KvmCpu *kc, unsigned i)
{
    const X86State *s = &kvm_x86(kc)->s;
    unsigned size = is_wide(s) ? 8 : 4;
    uint8_t b[8] = { 0 };

    user_read(kc, s->gpr[R_RSP] + i * size, b, size);
    return is_wide(s) ? ld_le64(b) : ld_le32(b);
}

/* #UD of user code: back to the instruction. */
static bool take_back_ud(KvmCpu *kc)
{
    X86Cpu *c = kvm_x86(kc);

    return (frame_word(kc, 1) & 3) == 3 &&
           tcg_return(c, is_wide(&c->s) ? 8 : 4);
}

/* At LSTAR in user mode, where nothing but SYSCALL leads: back to that. */
static bool take_back_syscall(KvmCpu *kc)
{
    X86Cpu *c = kvm_x86(kc);
    uint8_t insn[2];

    if (c->s.rip != c->s.lstar || c->mode.cpl != 3 || !is_wide(&c->s) ||
        !(c->s.efer & EFER_SCE) ||
        !user_read(kc, c->s.gpr[R_RCX] - 2, insn, 2) || insn[0] != 0x0f ||
        insn[1] != 0x05) {
        return false;
    }
    c->s.rip = c->s.gpr[R_RCX] - 2;
    c->s.rflags = (c->s.gpr[R_R11] & ~(uint64_t)FL_RF) | 2;
    x86_update_mode(c);
    return true;
}

/* The page fault of such a fetch. */
static bool take_back_pf(KvmCpu *kc)
{
    X86Cpu *c = kvm_x86(kc);
    X86State was = c->s;

    if (!is_wide(&c->s) || frame_word(kc, 1) != c->s.lstar ||
        c->s.cr2 != c->s.lstar || !(frame_word(kc, 0) & PF_USER) ||
        (frame_word(kc, 2) & 3) != 3) {
        return false;
    }
    c->s.gpr[R_RSP] += 8; /* the error code */
    if (tcg_return(c, 8) && take_back_syscall(kc)) {
        return true;
    }
    c->s = was;
    x86_update_mode(c);
    return false;
}

/* The same fault, when a burst began before the fetch. */
static bool user_take_back(X86Cpu *c)
{
    return c->fault.vector == EXC_PF && take_back_syscall(kvm_cpu(c));
}

void kvm_user_init(KvmCpu *kc)
{
    if (kc->kvm->probe.user_runs && kc->kvm->completion) {
        kc->tcg.take_back = user_take_back;
    }
}

/* Which of the handlers begins at @pc; -1: none. */
static int catch_of(const KvmCpu *kc, uint64_t pc)
{
    for (int i = 0; i < KVM_CATCHES && pc; i++) {
        if (pc == kc->catch_at[i]) {
            return i;
        }
    }
    return -1;
}

bool kvm_user_take_back(KvmCpu *kc)
{
    uint64_t pc = kvm_x86(kc)->s.rip;
    int i = catch_of(kc, pc);

    return i >= 0 && !kc->tcg.single_step &&
           handler_of(kc, catch_vector[i]) == pc &&
           (i == KVM_CATCH_UD ? take_back_ud(kc) : take_back_pf(kc));
}

bool kvm_user_caught(KvmCpu *kc, CpuExit *exit)
{
    X86Cpu *c = kvm_x86(kc);
    uint64_t pc = kc->run->debug.arch.pc;

    if (catch_of(kc, pc) < 0 || kc->tcg.single_step) {
        return false;
    }
    cpu_state(c);
    if (c->s.rip == pc && kvm_user_take_back(kc)) {
        *exit = kvm_complete(kc);
        return true;
    }
    *exit =
        kc->turns ? kvm_soft_turn(kc, true) : kvm_run_soft(kc, PAST_HANDLER);
    return true;
}

/*
 * HLT, because the kernel may tell of the step and forget the HLT; and, on such
 * a host, user code and what leads there.
 */
bool kvm_user_step_is_soft(KvmCpu *kc)
{
    static const char *const leads[] = { "IRET", "SYSRET", "SYSEXIT", "RETF" };
    X86Cpu *c = kvm_x86(kc);
    uint8_t bytes[15];
    Insn in;

    cpu_state(c);
    if (!kvm_insn_at_rip(kc, bytes, &in)) {
        return false;
    }
    if (!kc->kvm->host.lapic && !strcmp(insn_rows[in.id].name, "HLT")) {
        return true;
    }
    if (!kc->kvm->probe.user_runs || !(c->s.cr0 & CR0_PG)) {
        return false;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(leads); i++) {
        if (!strcmp(insn_rows[in.id].name, leads[i])) {
            return true;
        }
    }
    return c->mode.cpl == 3;
}
