/*
 * Several vCPUs of the block engine in one memory: code that another one
 * writes, atomic operations, ordering.
 */
#include "util/osdep.h"
#include "tests/lib/engine-vm.h"
#include "util/bits.h"

enum {
    AT = EVM_DATA,
    SEQ = AT + 0x100, /* offsets from AT in the programs */
    ACK = AT + 0x180,
    FN = 0x300000, /* the function that is rewritten */
};

static uint64_t *reg(Evm *vm, unsigned cpu, unsigned r)
{
    return &vm->m->cpu[cpu]->s.gpr[r];
}

/* ---- code that another vCPU writes -------------------------------------------------- */

/* The first one writes FN's immediate, then a number; waits for the echo. */
EVM_PROGRAM(writer, "mov $1, %ebx\n"
                    "1: mov %ebx, 1(%rsi)\n"
                    "mov %ebx, 0x100(%rdi)\n"
                    "2: pause\n"
                    "cmp %ebx, 0x180(%rdi)\n"
                    "jne 2b\n"
                    "inc %ebx\n"
                    "cmp $3000, %ebx\n"
                    "jne 1b\n"
                    "hlt\n");
/* The second one waits for the number, serializes, calls FN and compares. */
EVM_PROGRAM(reader, "mov $1, %r8d\n"
                    "1: pause\n"
                    "cmp %r8d, 0x100(%rdi)\n"
                    "jne 1b\n"
                    "xor %eax, %eax\n"
                    "cpuid\n"
                    "call *%rsi\n"
                    "cmp %r8d, %eax\n"
                    "jne 2f\n"
                    "inc %r9\n"
                    "2: mov %r8d, 0x180(%rdi)\n"
                    "inc %r8d\n"
                    "cmp $3000, %r8d\n"
                    "jne 1b\n"
                    "hlt\n");

/* The same without the instruction that serializes, as threads of a program with
 * a translator of its own do: who has read the number has the new code, if he is
 * not in the middle of it. */
EVM_PROGRAM(hasty, "mov $1, %r8d\n"
                   "1: cmp %r8d, 0x100(%rdi)\n"
                   "jne 1b\n"
                   "call *%rsi\n"
                   "cmp %r8d, %eax\n"
                   "jne 2f\n"
                   "inc %r9\n"
                   "2: mov %r8d, 0x180(%rdi)\n"
                   "inc %r8d\n"
                   "cmp $3000, %r8d\n"
                   "jne 1b\n"
                   "hlt\n");

static void cross_modify(const uint8_t *code, size_t len)
{
    static const uint8_t fn[] = { 0xb8, 0, 0, 0, 0, 0xc3 };
    Evm *vm = evm_new_smp(EVM_LONG64, 2);

    EVM_LOAD(vm, EVM_CODE, writer);
    evm_write(vm, EVM_CODE + 0x1000, code, len);
    evm_write(vm, FN, fn, sizeof(fn));
    vm->m->cpu[1]->s.rip = EVM_CODE + 0x1000;
    for (unsigned i = 0; i < 2; i++) {
        *reg(vm, i, R_RDI) = AT;
        *reg(vm, i, R_RSI) = FN;
        *reg(vm, i, R_RSP) = EVM_STACK - i * 0x1000;
    }
    g_assert_true(evm_run_all(vm, 120));
    g_assert_cmpuint(*reg(vm, 1, R_R9), ==, 2999);
    evm_free(vm);
}

static void test_cross_modifying(void)
{
    cross_modify(evm_reader, evm_reader_end - evm_reader);
}

static void test_cross_publish(void)
{
    cross_modify(evm_hasty, evm_hasty_end - evm_hasty);
}

/* ---- atomic operations ----------------------------------------------------------------- */

/* rdi: aligned; rsi: split over two cache lines; rdx: over two pages. */
EVM_PROGRAM(locked, "mov $20000, %ecx\n"
                    "1: lock incq (%rdi)\n"
                    "lock addl $1, (%rsi)\n"
                    "mov $1, %eax\n"
                    "lock xadd %rax, 8(%rdi)\n"
                    "test $63, %ecx\n"
                    "jnz 2f\n"
                    "lock incq (%rdx)\n"
                    "2: mov 16(%rdi), %rax\n"
                    "3: lea 1(%rax), %rbx\n"
                    "lock cmpxchg %rbx, 16(%rdi)\n"
                    "jne 3b\n"
                    "dec %ecx\n"
                    "jnz 1b\n"
                    "hlt\n");

static void test_locked(void)
{
    Evm *vm = evm_new_smp(EVM_LONG64, 3);

    EVM_LOAD(vm, EVM_CODE, locked);
    for (unsigned i = 0; i < 3; i++) {
        *reg(vm, i, R_RDI) = AT;
        *reg(vm, i, R_RSI) = AT + 0x13e;
        *reg(vm, i, R_RDX) = AT + 0xffd;
    }
    g_assert_true(evm_run_all(vm, 120));
    g_assert_cmpuint(ld_le64(evm_ptr(vm, AT)), ==, 60000);
    g_assert_cmpuint(ld_le64(evm_ptr(vm, AT + 8)), ==, 60000);
    g_assert_cmpuint(ld_le64(evm_ptr(vm, AT + 16)), ==, 60000);
    g_assert_cmpuint(ld_le32(evm_ptr(vm, AT + 0x13e)), ==, 60000);
    g_assert_cmpuint(ld_le64(evm_ptr(vm, AT + 0xffd)), ==, 3 * 312);
    evm_free(vm);
}

/* ---- ordering: Dekker with MFENCE ------------------------------------------------------- */

/* rsi: my flag, rdi: the other's; rdx: a counter nobody else may change
 * meanwhile. */
EVM_PROGRAM(dekker, "mov $20000, %ecx\n"
                    "1: movl $1, (%rsi)\n"
                    "mfence\n"
                    "cmpl $0, (%rdi)\n"
                    "je 2f\n"
                    "movl $0, (%rsi)\n"
                    "pause\n"
                    "jmp 1b\n"
                    "2: mov (%rdx), %rax\n"
                    "inc %rax\n"
                    "mov %rax, (%rdx)\n"
                    "movl $0, (%rsi)\n"
                    "dec %ecx\n"
                    "jnz 1b\n"
                    "hlt\n");

static void test_ordering(void)
{
    Evm *vm = evm_new_smp(EVM_LONG64, 2);

    EVM_LOAD(vm, EVM_CODE, dekker);
    for (unsigned i = 0; i < 2; i++) {
        *reg(vm, i, R_RSI) = AT + i * 0x40;
        *reg(vm, i, R_RDI) = AT + !i * 0x40;
        *reg(vm, i, R_RDX) = AT + 0x200;
    }
    g_assert_true(evm_run_all(vm, 120));
    g_assert_cmpuint(ld_le64(evm_ptr(vm, AT + 0x200)), ==, 40000);
    evm_free(vm);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/engine-smp/cross-modifying", test_cross_modifying);
    g_test_add_func("/engine-smp/cross-publish", test_cross_publish);
    g_test_add_func("/engine-smp/locked", test_locked);
    g_test_add_func("/engine-smp/ordering", test_ordering);
    return g_test_run();
}
