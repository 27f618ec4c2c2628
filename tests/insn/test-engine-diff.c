/*
 * Handlers against reference functions: random straight code with forward
 * jumps runs once in blocks and once one instruction at a time, where nothing
 * but sem_*() is used. Registers, flags and memory must be equal. With
 * EVM_ENGINE the first of the two is that engine's: KVM against sem_*().
 *
 * Flags that the manual leaves undefined may differ; instructions that would
 * read such a flag are not generated. -m thorough: a hundred times as many.
 */
#include "util/osdep.h"
#include "tests/lib/engine-program.h"
#include "tests/lib/engine-vm.h"
#include "accel/kvm/kvm.h"
#include "accel/tcg/tcg.h"

/* arch/x86/kvm/emulate.c of Linux, where there is no VT-x or AMD-V: a 32-bit
 * CMPXCHG that fails clears the upper half of its destination. */
static const char *const kvm_differs[] = { "CMPXCHG", NULL };

static const char *const *differs(const Evm *vm)
{
    bool same = evm_is_tcg(vm) || !kvm_cpu(vm->c)->kvm->probe.interprets;

    return same ? NULL : kvm_differs;
}

static void one_program(Evm *vm, Evm *ref, bool code64)
{
    Program pr = { .code64 = code64, .model = vm->model, .but = differs(vm) };
    unsigned want = 1 + program_random(PROGRAM_MAX - 1);
    Outcome start, blocks, steps;

    while (pr.n < want) {
        program_add(&pr);
    }
    pr.code[pr.len] = 0xf4;
    evm_write(vm, EVM_CODE, pr.code, pr.len + 1);
    evm_write(ref, EVM_CODE, pr.code, pr.len + 1);
    program_start(&start, code64);

    outcome_start(vm, &start);
    blocks.vector = evm_run(vm, 0);
    outcome_take(vm, &blocks);

    outcome_start(ref, &start);
    ref->c->s.halted = false;
    tcg_accel.set_debug(ref->c, NULL, 0, true);
    while (tcg_accel.run(ref->c) == CPU_EXIT_DEBUG && !ref->c->s.halted) {
    }
    tcg_accel.set_debug(ref->c, NULL, 0, false);
    steps.vector = blocks.vector;
    outcome_take(ref, &steps);
    if (!outcome_equal(&pr, &blocks, &steps)) {
        outcome_show(&pr, &blocks, &steps);
        g_test_fail();
    }
}

static void test_random(const void *arg)
{
    bool code64 = GPOINTER_TO_INT(arg) == 64;
    EvmMode mode = code64 ? EVM_LONG64 : EVM_PROT32;
    Evm *vm = evm_new(mode), *ref = evm_new_on(mode, "tcg");
    unsigned n = g_test_thorough() ? 300000 : 3000;

    for (unsigned i = 0; i < n && !g_test_failed(); i++) {
        one_program(vm, ref, code64);
    }
    evm_free(ref);
    evm_free(vm);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/engine-diff/64", GINT_TO_POINTER(64), test_random);
    g_test_add_data_func("/engine-diff/32", GINT_TO_POINTER(32), test_random);
    return g_test_run();
}
