/*
 * Several vCPUs of the block engine in one memory: code that another one
 * writes, atomic operations, ordering.
 */
#include "util/osdep.h"
#include "tests/lib/engine-vm.h"
#include "util/bits.h"

enum {
    AT = EVM_DATA,
    SEQ = AT + 0x100, /* in the programs as offsets from AT */
    ACK = AT + 0x180,
    ENOUGH = AT + 0x240, /* set after a while: finish what is begun */
    FN = 0x300000,       /* the function that is rewritten */
};

static uint64_t *reg(Evm *vm, unsigned cpu, unsigned r)
{
    return &vm->m->cpu[cpu]->s.gpr[r];
}

/* On a busy host each step of one vCPU that waits for another takes a time slice:
 * as many rounds as there are in this time. */
static void run_all(Evm *vm)
{
    enum { SECONDS = 10 };

    if (!evm_run_all(vm, SECONDS)) {
        g_test_message("a busy host: not all rounds");
        st_le32(evm_ptr(vm, ENOUGH), 1);
        while (!evm_run_all(vm, SECONDS)) {
        }
    }
}

/* ---- code that another vCPU writes -------------------------------------------------- */

/* The first one writes FN's immediate, then a number; waits for the echo. At the
 * end the number is 0. */
EVM_PROGRAM(writer, "mov $1, %ebx\n"
                    "1: mov %ebx, 1(%rsi)\n"
                    "mov %ebx, 0x100(%rdi)\n"
                    "2: pause\n"
                    "cmp %ebx, 0x180(%rdi)\n"
                    "jne 2b\n"
                    "inc %ebx\n"
                    "cmpl $0, 0x240(%rdi)\n"
                    "jne 3f\n"
                    "cmp $3000, %ebx\n"
                    "jne 1b\n"
                    "3: movl $0, 0x100(%rdi)\n"
                    "hlt\n");
/* Of both readers: with the number in r8d, calls FN, counts in r9 what is right,
 * echoes and goes on at 1 with the next number. 3 is the end. */
#define CHECK_AND_ECHO \
    "call *%rsi\n" \
    "cmp %r8d, %eax\n" \
    "jne 2f\n" \
    "inc %r9\n" \
    "2: mov %r8d, 0x180(%rdi)\n" \
    "inc %r8d\n" \
    "jmp 1b\n" \
    "3: hlt\n"

/* The second one waits for the number, serializes, calls FN and compares. */
EVM_PROGRAM(reader, "mov $1, %r8d\n"
                    "1: pause\n"
                    "mov 0x100(%rdi), %ecx\n"
                    "jrcxz 3f\n"
                    "cmp %r8d, %ecx\n"
                    "jne 1b\n"
                    "xor %eax, %eax\n"
                    "xor %ecx, %ecx\n"
                    "cpuid\n" CHECK_AND_ECHO);

/* The same without the instruction that serializes, as threads of a program with
 * a translator of its own do: who has read the number has the new code, if he is
 * not in the middle of it. */
EVM_PROGRAM(hasty, "mov $1, %r8d\n"
                   "1: mov 0x100(%rdi), %ecx\n"
                   "jrcxz 3f\n"
                   "cmp %r8d, %ecx\n"
                   "jne 1b\n" CHECK_AND_ECHO);

static void cross_modify(const uint8_t *code, size_t len)
{
    static const uint8_t fn[] = { 0xb8, 0, 0, 0, 0, 0xc3 };
    Evm *vm = evm_new_smp(EVM_LONG64, 2);

    EVM_LOAD(vm, EVM_CODE, writer);
    evm_write(vm, EVM_CODE + 0x1000, code, len);
    evm_write(vm, FN, fn, sizeof(fn));
    st_le32(evm_ptr(vm, SEQ), UINT32_MAX); /* none yet */
    vm->m->cpu[1]->s.rip = EVM_CODE + 0x1000;
    for (unsigned i = 0; i < 2; i++) {
        *reg(vm, i, R_RDI) = AT;
        *reg(vm, i, R_RSI) = FN;
        *reg(vm, i, R_RSP) = EVM_STACK - i * 0x1000;
    }
    run_all(vm);
    g_assert_cmpuint(*reg(vm, 0, R_RBX), >, 1);
    g_assert_cmpuint(*reg(vm, 1, R_R9), ==, *reg(vm, 0, R_RBX) - 1);
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

/* rdi: aligned; rsi: split over two cache lines; rdx: over two pages; r9 and r10
 * count how often. */
EVM_PROGRAM(locked, "mov $20000, %ecx\n"
                    "1: lock incq (%rdi)\n"
                    "lock addl $1, (%rsi)\n"
                    "mov $1, %eax\n"
                    "lock xadd %rax, 8(%rdi)\n"
                    "test $63, %ecx\n"
                    "jnz 2f\n"
                    "lock incq (%rdx)\n"
                    "inc %r10\n"
                    "2: mov 16(%rdi), %rax\n"
                    "3: lea 1(%rax), %rbx\n"
                    "lock cmpxchg %rbx, 16(%rdi)\n"
                    "jne 3b\n"
                    "inc %r9\n"
                    "cmpl $0, 0x240(%rdi)\n"
                    "jne 4f\n"
                    "dec %ecx\n"
                    "jnz 1b\n"
                    "4: hlt\n");

static void test_locked(void)
{
    Evm *vm = evm_new_smp(EVM_LONG64, 3);
    uint64_t n = 0, split = 0;

    EVM_LOAD(vm, EVM_CODE, locked);
    for (unsigned i = 0; i < 3; i++) {
        *reg(vm, i, R_RDI) = AT;
        *reg(vm, i, R_RSI) = AT + 0x13e;
        *reg(vm, i, R_RDX) = AT + 0xffd;
    }
    run_all(vm);
    for (unsigned i = 0; i < 3; i++) {
        n += *reg(vm, i, R_R9);
        split += *reg(vm, i, R_R10);
    }
    g_assert_cmpuint(ld_le64(evm_ptr(vm, AT)), ==, n);
    g_assert_cmpuint(ld_le64(evm_ptr(vm, AT + 8)), ==, n);
    g_assert_cmpuint(ld_le64(evm_ptr(vm, AT + 16)), ==, n);
    g_assert_cmpuint(ld_le32(evm_ptr(vm, AT + 0x13e)), ==, n);
    g_assert_cmpuint(ld_le64(evm_ptr(vm, AT + 0xffd)), ==, split);
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
                    "inc %r9\n"
                    "cmpl $0, 0x40(%rdx)\n"
                    "jne 3f\n"
                    "dec %ecx\n"
                    "jnz 1b\n"
                    "3: hlt\n");

static void test_ordering(void)
{
    Evm *vm = evm_new_smp(EVM_LONG64, 2);

    EVM_LOAD(vm, EVM_CODE, dekker);
    for (unsigned i = 0; i < 2; i++) {
        *reg(vm, i, R_RSI) = AT + i * 0x40;
        *reg(vm, i, R_RDI) = AT + !i * 0x40;
        *reg(vm, i, R_RDX) = AT + 0x200;
    }
    run_all(vm);
    g_assert_cmpuint(ld_le64(evm_ptr(vm, AT + 0x200)), ==,
                     *reg(vm, 0, R_R9) + *reg(vm, 1, R_R9));
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
