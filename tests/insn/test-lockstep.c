/*
 * Both engines, one instruction at a time: after each of them the registers
 * must be the same. Flags that an instruction leaves undefined are not looked
 * at right behind it.
 */
#include "util/osdep.h"
#include "tests/lib/engine-vm.h"

/* clang-format off */
EVM_PROGRAM(mix,
    "mov $0x200000, %rbx\n"
    "mov $0x123456789abcdef0, %rax\n"
    "mov %rax, (%rbx)\n"
    "mov $7, %ecx\n"
    "1: add %rcx, %rax\n"
    "rol $5, %rax\n"
    "xor (%rbx), %rax\n"
    "mov %rax, 8(%rbx,%rcx,8)\n"
    "adc $0x77, %eax\n"
    "sbb %rcx, %rdx\n"
    "lea 3(%rax,%rdx,4), %rsi\n"
    "push %rsi\n"
    "pop %rdi\n"
    "bt $3, %rdi\n"
    "setc %r8b\n"
    "cmovc %rdi, %r9\n"
    "bswap %r9\n"
    "movzbl %r9b, %r10d\n"
    "movsbq %r9b, %r11\n"
    "loop 1b\n"
    "cld\n"
    "mov $0x200000, %rsi\n"
    "mov $0x201000, %rdi\n"
    "movsq\n"
    "movsq\n"
    "mov %rbx, %rdi\n"
    "stosb\n"
    "lodsw\n"
    "scasb\n"
    "call 2f\n"
    "jmp 3f\n"
    "2: pushfq\n"
    "popfq\n"
    "mov $100, %eax\n"
    "cdq\n"
    "mov $7, %r12d\n"
    "div %r12d\n"
    "ret\n"
    "3: mov $0x200100, %rbx\n"
    "lock incq (%rbx)\n"
    "lock xadd %rax, (%rbx)\n"
    "xchg %rcx, (%rbx)\n"
    "lock cmpxchg %rdx, (%rbx)\n"
    "lock cmpxchg8b 8(%rbx)\n"
    "lock cmpxchg16b (%rbx)\n"
    "movq %rax, %xmm0\n"
    "movdqu (%rbx), %xmm1\n"
    "paddd %xmm0, %xmm1\n"
    "pxor %xmm2, %xmm2\n"
    "movdqa %xmm1, 0x100(%rbx)\n"
    "cvtsi2sd %rcx, %xmm3\n"
    "fninit\n"
    "fld1\n"
    "fldpi\n"
    "faddp\n"
    "fstpl 0x40(%rbx)\n"
    "mov %cr0, %rax\n"
    "mov %ds, %ax\n"
    "mov %ax, %es\n"
    "sgdt 0x60(%rbx)\n"
    "hlt\n");
/* clang-format on */

static void same_state(Evm *a, Evm *b, unsigned step)
{
    const X86State *s = &a->c->s, *t = &b->c->s;
    const uint64_t flags = ~(uint64_t)(FL_ARITH | FL_RF);

    if (s->rip != t->rip || memcmp(s->gpr, t->gpr, sizeof(s->gpr)) ||
        memcmp(s->vec, t->vec, sizeof(s->vec))) {
        g_autoptr(GString) x = g_string_new(NULL), y = g_string_new(NULL);

        x86_dump(a->c, x, true);
        x86_dump(b->c, y, true);
        g_error("after step %u\ntcg:\n%s\nkvm:\n%s", step, x->str, y->str);
    }
    g_assert_cmphex(s->rflags & flags, ==, t->rflags & flags);
    g_assert_cmphex(s->cr0, ==, t->cr0);
    g_assert_cmphex(s->cr4, ==, t->cr4);
    g_assert_cmphex(s->efer, ==, t->efer);
    g_assert_cmphex(s->fsw, ==, t->fsw);
    g_assert_cmphex(s->fcw, ==, t->fcw);
    g_assert_cmphex(s->ftw, ==, t->ftw);
    for (unsigned i = 0; i < S_COUNT; i++) {
        g_assert_cmphex(s->seg[i].sel, ==, t->seg[i].sel);
        g_assert_cmphex(s->seg[i].base, ==, t->seg[i].base);
    }
}

static void test_lockstep(void)
{
    Evm *tcg = evm_new_on(EVM_LONG64, "tcg");
    Evm *kvm = evm_new_on(EVM_LONG64, "kvm");
    CpuExit exit = CPU_EXIT_DEBUG;
    unsigned step = 0;

    if (!kvm) {
        g_test_skip("no KVM here");
        evm_free(tcg);
        return;
    }
    tcg->c->s.gpr[R_RDX] = kvm->c->s.gpr[R_RDX] = 0; /* the signature */
    EVM_LOAD(tcg, EVM_CODE, mix);
    EVM_LOAD(kvm, EVM_CODE, mix);
    while (exit == CPU_EXIT_DEBUG) {
        CpuExit other = evm_single_step(kvm);

        exit = evm_single_step(tcg);
        g_assert_cmpint(other, ==, exit);
        same_state(tcg, kvm, ++step);
        g_assert_cmpuint(step, <, 1000);
    }
    g_assert_cmpint(exit, ==, CPU_EXIT_HALTED);
    g_assert_cmphex(tcg->c->s.rip, ==, EVM_CODE + (evm_mix_end - evm_mix));
    g_assert_cmpint(
        memcmp(evm_ptr(tcg, EVM_DATA), evm_ptr(kvm, EVM_DATA), 8192), ==, 0);
    g_test_message("%u instructions", step);
    evm_free(kvm);
    evm_free(tcg);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/lockstep/long64", test_lockstep);
    return g_test_run();
}
