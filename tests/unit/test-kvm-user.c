/*
 * User code under KVM, as under the software CPU: system calls, exceptions,
 * single steps and breakpoints there, and page tables that the software CPU
 * changed. Without VT-x or AMD-V all of these need accel/kvm/user.c or
 * kvm_memory_rewalk(). Without KVM only the software CPU is asked.
 */
#include "util/osdep.h"
#include "accel/kvm/kvm.h"
#include "tests/lib/engine-vm.h"
#include "util/bits.h"

enum { HANDLER = 0x400000, PAGE_A = 0x500000, PAGE_B = 0x600000 };

static const char *const engines[] = { "tcg", "kvm" };

/* Kernel code at HANDLER is out of reach for user mode. */
static Evm *user_vm(const char *engine)
{
    Evm *vm = evm_new_on(EVM_USER64, engine);

    /* The breakpoints of accel/kvm/user.c. */
    if (vm && !evm_is_tcg(vm) && kvm_cpu(vm->c)->kvm->probe.interprets &&
        !kvm_cpu(vm->c)->kvm->caps.guest_debug) {
        evm_free(vm);
        return NULL;
    }
    if (vm) {
        evm_map(vm, HANDLER, HANDLER | 3);
        evm_write(vm, HANDLER, "\xf4", 1);
    }
    return vm;
}

/* clang-format off */
EVM_PROGRAM(call,
    "mov $0x123, %eax\n"
    "cpuid\n"
    "syscall\n"
    "nop\n");
/* clang-format on */

static void check_syscall(Evm *vm)
{
    X86State *s = &vm->c->s;
    uint64_t end = EVM_CODE + (evm_call_end - evm_call);

    EVM_LOAD(vm, EVM_CODE, call);
    for (unsigned i = 0; i < 20; i++) {
        evm_mode(vm, EVM_USER64);
        evm_map(vm, HANDLER, HANDLER | 3);
        s->star = UINT64_C(0x0018000800000000);
        s->lstar = HANDLER;
        s->sfmask = FL_IF | FL_TF | FL_DF;
        s->rflags = 2 | FL_DF | FL_CF;
        g_assert_cmpint(evm_run(vm, 0), ==, EVM_HALT);
        g_assert_cmphex(s->rip, ==, HANDLER + 1);
        g_assert_cmphex(s->seg[S_CS].sel, ==, 8);
        g_assert_cmphex(s->seg[S_SS].sel, ==, 0x10);
        g_assert_cmphex(s->gpr[R_RCX], ==, end - 1);
        g_assert_cmphex(s->gpr[R_R11] & (FL_DF | FL_CF), ==, FL_DF | FL_CF);
        g_assert_cmphex(s->rflags & (FL_DF | FL_CF), ==, FL_CF);
        g_assert_cmphex(s->gpr[R_RSP], ==, EVM_STACK);
    }
}

/* clang-format off */
EVM_PROGRAM(enter,
    "mov $0x123, %eax\n"
    "sysenter\n"
    "int3\n");
/* clang-format on */

/* From 64-bit user code, and (i & 1) from 32-bit code. */
static void check_sysenter(Evm *vm)
{
    X86State *s = &vm->c->s;

    EVM_LOAD(vm, EVM_CODE, enter);
    for (unsigned i = 0; i < 10; i++) {
        evm_mode(vm, EVM_USER64);
        evm_map(vm, HANDLER, HANDLER | 3);
        if (i & 1) {
            s->seg[S_CS].sel = 0x43;
            s->seg[S_CS].attr = (s->seg[S_CS].attr & ~SEG_L) | SEG_DB;
        }
        s->sysenter_cs = 8;
        s->sysenter_eip = HANDLER;
        s->sysenter_esp = EVM_STACK - 0x100;
        s->rflags = 2 | FL_CF | FL_IF;
        g_assert_cmpint(evm_run(vm, 0), ==, EVM_HALT);
        g_assert_cmphex(s->rip, ==, HANDLER + 1);
        g_assert_cmphex(s->seg[S_CS].sel, ==, 8);
        g_assert_cmphex(s->seg[S_CS].attr & SEG_L, ==, SEG_L);
        g_assert_cmphex(s->seg[S_SS].sel, ==, 0x10);
        g_assert_cmphex(s->gpr[R_RSP], ==, EVM_STACK - 0x100);
        g_assert_cmphex(s->gpr[R_RAX], ==, 0x123);
        g_assert_cmphex(s->rflags & (FL_CF | FL_IF), ==, FL_CF);
    }
}

/* KVM stopped between such a SYSCALL and the fetch that faults: the burst that
 * follows is the one to notice. */
static void check_syscall_half(Evm *vm)
{
    X86State *s = &vm->c->s;

    if (evm_is_tcg(vm) || !tcg_cpu(vm->c)->take_back) {
        return;
    }
    EVM_LOAD(vm, EVM_CODE, call);
    evm_mode(vm, EVM_USER64);
    evm_map(vm, HANDLER, HANDLER | 3);
    s->star = UINT64_C(0x0018000800000000);
    s->lstar = s->rip = HANDLER;
    s->sfmask = FL_DF;
    s->gpr[R_RCX] = EVM_CODE + (evm_call_end - evm_call) - 1;
    s->gpr[R_R11] = 2 | FL_DF;
    g_assert_cmpint(tcg_run_burst(vm->c, 100, true), ==, CPU_EXIT_HALTED);
    g_assert_cmphex(s->rip, ==, HANDLER + 1);
    g_assert_cmphex(s->seg[S_CS].sel, ==, 8);
    g_assert_cmphex(s->gpr[R_R11] & FL_DF, ==, FL_DF);
}

/*
 * KVM stopped when it had delivered that fault, for a kick: the breakpoint at
 * the handler was not hit, and the burst that follows begins behind it. (Guest
 * programs died of "segfault at entry_SYSCALL_64".)
 */
static void check_syscall_at_handler(Evm *vm)
{
    X86State *s = &vm->c->s;
    uint64_t frame[6] = { 0x14, HANDLER, 0x23, 2, EVM_STACK, 0x2b };
    KvmCpu *kc = kvm_cpu(vm->c);

    if (evm_is_tcg(vm) || !kc->kvm->probe.user_runs) {
        return;
    }
    EVM_LOAD(vm, EVM_CODE, call);
    evm_mode(vm, EVM_USER64);
    g_assert_cmpint(evm_run(vm, 0), >=, 0); /* KVM has seen the IDT */
    evm_mode(vm, EVM_LONG64);
    evm_map(vm, HANDLER, HANDLER | 3);
    evm_write(vm, EVM_STACK - sizeof(frame), frame, sizeof(frame));
    s->star = UINT64_C(0x0018000800000000);
    s->lstar = s->cr2 = HANDLER;
    s->sfmask = FL_DF;
    s->rip = kc->catch_at[KVM_CATCH_PF];
    s->gpr[R_RSP] = EVM_STACK - sizeof(frame);
    s->gpr[R_RCX] = EVM_CODE + (evm_call_end - evm_call) - 1;
    s->gpr[R_R11] = 2;
    g_assert_cmphex(s->rip, !=, 0);
    g_assert_cmpint(kvm_soft_turn(kc, false), ==, CPU_EXIT_HALTED);
    g_assert_cmphex(s->rip, ==, HANDLER + 1);
    g_assert_cmphex(s->gpr[R_RSP], ==, EVM_STACK);
}

/* What nobody implements is what a processor makes of it. */
static void check_faults(Evm *vm)
{
    static const struct {
        uint8_t code[4];
        int vector;
    } rows[] = {
        { { 0x0f, 0x58, 0x00, 0xcc }, EXC_GP }, /* ADDPS, not aligned */
        { { 0x0f, 0x0b }, EXC_UD },             /* UD2 */
        { { 0xcd, 0x81 }, EXC_GP },             /* INT, not for user mode */
        { { 0xcd, 0x80 }, 0x80 },               /* this one is */
        { { 0x8b, 0x00, 0xcc }, EXC_BP },       /* MOV, not aligned; INT3 */
        { { 0xfa }, EXC_GP },                   /* CLI */
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        evm_mode(vm, EVM_USER64);
        evm_write(vm, EVM_CODE, rows[i].code, sizeof(rows[i].code));
        vm->c->s.gpr[R_RAX] = EVM_DATA + 4;
        g_assert_cmpint(evm_run(vm, 0), ==, rows[i].vector);
        g_assert_cmphex(evm_frame(vm, rows[i].vector).cs, ==, 0x23);
    }
}

static void check_steps(Evm *vm)
{
    X86State *s = &vm->c->s;
    const hwaddr at = EVM_CODE + 4;
    CpuExit exit;

    evm_mode(vm, EVM_USER64);
    evm_write(vm, EVM_CODE, "\xff\xc0\xff\xc0\xff\xc3\xff\xc3\xcc", 9);
    s->gpr[R_RAX] = s->gpr[R_RBX] = 0;
    for (unsigned i = 1; i <= 4; i++) {
        g_assert_cmpint(evm_single_step(vm), ==, CPU_EXIT_DEBUG);
        g_assert_cmphex(s->rip, ==, EVM_CODE + 2 * i);
        g_assert_cmpuint(s->gpr[R_RAX] + s->gpr[R_RBX], ==, i);
    }
    s->rip = EVM_CODE;
    s->gpr[R_RAX] = s->gpr[R_RBX] = 0;
    vm->m->accel->ops->set_debug(vm->c, &at, 1, false);
    do {
        exit = vm->m->accel->ops->run(vm->c);
    } while (exit == CPU_EXIT_KICKED);
    cpu_state(vm->c);
    vm->m->accel->ops->set_debug(vm->c, NULL, 0, false);
    g_assert_cmpint(exit, ==, CPU_EXIT_DEBUG);
    g_assert_cmphex(s->rip, ==, at);
    g_assert_cmpuint(s->gpr[R_RAX], ==, 2);
    g_assert_cmpuint(s->gpr[R_RBX], ==, 0);
}

/* clang-format off */
EVM_PROGRAM(look, /* from the kernel: TLB flush, to user mode, a look there */
    "mov %cr3, %rax\n"
    "mov %rax, %cr3\n"
    "push $0x2b\n"
    "push $0x80000\n"
    "push $2\n"
    "push $0x23\n"
    "lea 1f(%rip), %rax\n"
    "push %rax\n"
    "iretq\n"
    "1: mov $50000, %ecx\n"
    "2: mov 0x700000, %rbx\n"
    "loop 2b\n"
    "int3\n");
/* clang-format on */

static void check_page_tables(Evm *vm)
{
    X86State *s = &vm->c->s;

    EVM_LOAD(vm, EVM_CODE, look);
    st_le64(evm_ptr(vm, PAGE_A), 0xaaaa);
    st_le64(evm_ptr(vm, PAGE_B), 0xbbbb);
    evm_mode(vm, EVM_LONG64);
    for (unsigned i = 0; i < 10; i++) {
        hwaddr page = i & 1 ? PAGE_B : PAGE_A;

        /* As a burst of the software CPU writes it: straight to memory. */
        evm_map(vm, 0x700000, page | 7);
        s->rip = EVM_CODE;
        s->gpr[R_RSP] = EVM_STACK;
        s->seg[S_CS].sel = 8;
        g_assert_cmpint(evm_run(vm, 0), ==, EXC_BP);
        g_assert_cmphex(s->gpr[R_RBX], ==, i & 1 ? 0xbbbb : 0xaaaa);
    }
}

typedef void CheckFn(Evm *vm);

static void test_engines(const void *arg)
{
    CheckFn *check = (CheckFn *)arg;

    for (unsigned i = 0; i < G_N_ELEMENTS(engines); i++) {
        Evm *vm = user_vm(engines[i]);

        if (vm) {
            check(vm);
            evm_free(vm);
        } else {
            g_test_message("no %s here", engines[i]);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/kvm-user/syscall", check_syscall, test_engines);
    g_test_add_data_func("/kvm-user/sysenter", check_sysenter, test_engines);
    g_test_add_data_func("/kvm-user/syscall-half", check_syscall_half,
                         test_engines);
    g_test_add_data_func("/kvm-user/syscall-at-handler",
                         check_syscall_at_handler, test_engines);
    g_test_add_data_func("/kvm-user/faults", check_faults, test_engines);
    g_test_add_data_func("/kvm-user/steps", check_steps, test_engines);
    g_test_add_data_func("/kvm-user/page-tables", check_page_tables,
                         test_engines);
    return g_test_run();
}
