/*
 * The translator against the interpreter: the same random program in a loop,
 * on two machines that differ in nothing else. They are stopped by instruction
 * counts, which end at the same instruction in both, and must have the same
 * state at every stop: registers, flags, memory. In between the program
 * rewrites one of its own instructions, and the page it works on goes away.
 *
 * Flags that are undefined somewhere in the program are not compared.
 */
#include "util/osdep.h"
#include "tests/lib/engine-program.h"
#include "tests/lib/engine-vm.h"
#include "accel/tcg/tcg.h"
#include "target-x86/access.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* The thread sanitizer looks at every access of the interpreter, which is some
 * hundred times slower, and sees the same threads in each program. */
#ifdef __SANITIZE_THREAD__
enum { PROGRAMS = 20, LONG_ROUNDS = 1 };
#else
enum { PROGRAMS = 600, LONG_ROUNDS = 6 };
#endif

enum {
    ROUNDS = 60, /* of the loop */
    COUNTER = EVM_DATA + 0xff8,
    SMC_ROOM = 16,
    /* To either side of the stack: what a program can push or pop. */
    STACK_REACH = ROUNDS * PROGRAM_MAX / 2 * 8 + 1024,
};

typedef struct Pair {
    Evm *jit, *interp;
    bool code64;
    uint8_t code[PROGRAM_MAX * 16 + 3 * SMC_ROOM];
    unsigned len;
    unsigned n_translated;
} Pair;

static void put(Pair *p, const void *bytes, unsigned n)
{
    memcpy(p->code + p->len, bytes, n);
    p->len += n;
}

static void put_32(Pair *p, uint32_t v)
{
    put(p, &v, 4);
}

/* [address] as the memory operand of /0. */
static void put_absolute(Pair *p, uint32_t at)
{
    put(p, p->code64 ? "\x04\x25" : "\x05", p->code64 ? 2 : 1);
    put_32(p, at);
}

/* MOV CL, imm8 and, before or behind it, a store of AL into its immediate. */
static void put_smc(Pair *p, bool store_first)
{
    unsigned store = p->code64 ? 7 : 6;

    if (store_first) {
        put(p, "\x88", 1);
        put_absolute(p, EVM_CODE + p->len - 1 + store + 1);
    }
    put(p, "\xb1\x11", 2);
    if (!store_first) {
        uint32_t at = EVM_CODE + p->len - 1;

        put(p, "\x88", 1);
        put_absolute(p, at);
    }
}

/* The program @pr ROUNDS times, with the store into the code behind
 * instruction @smc if that is not beyond its end. */
static void pair_write(Pair *p, const Program *pr, bool smc)
{
    p->len = 0;
    if (smc) {
        put_smc(p, program_random(2));
    }
    put(p, pr->code, pr->len);
    if (smc && program_random(2)) {
        put_smc(p, program_random(2));
    }
    put(p, "\x83", 1); /* SUB dword [COUNTER], 1 */
    put(p, p->code64 ? "\x2c\x25" : "\x2d", p->code64 ? 2 : 1);
    put_32(p, COUNTER);
    put(p, "\x01\x0f\x85", 3); /* JNZ to the start */
    put_32(p, -(p->len + 4));
    put(p, "\xf4", 1);
    evm_write(p->jit, EVM_CODE, p->code, p->len);
    evm_write(p->interp, EVM_CODE, p->code, p->len);
}

/* No frames of earlier programs' faults: undefined flags are in them. */
static void one_stack(Evm *vm)
{
    memset(evm_ptr(vm, EVM_STACK - STACK_REACH), 0, 2 * STACK_REACH);
}

static void pair_start(Pair *p, Outcome *start)
{
    uint32_t rounds = ROUNDS;

    one_stack(p->jit);
    one_stack(p->interp);
    memcpy(start->data + (COUNTER - EVM_DATA), &rounds, 4);
    outcome_start(p->jit, start);
    outcome_start(p->interp, start);
    p->jit->c->s.halted = p->interp->c->s.halted = false;
}

static void one_map(Evm *vm, bool present)
{
    evm_map(vm, EVM_DATA, present ? EVM_DATA | 7 : 0);
    tlb_flush(vm->c, true);
}

/* Runs @limit instructions on both. false: over, or different. */
static bool pair_run(Pair *p, const Program *pr, unsigned limit)
{
    Outcome a, b;

    a.vector = evm_run(p->jit, limit);
    b.vector = evm_run(p->interp, limit);
    outcome_take(p->jit, &a);
    outcome_take(p->interp, &b);
    a.s.rflags &= ~(uint64_t)pr->ever;
    b.s.rflags &= ~(uint64_t)pr->ever;
    if (!outcome_equal(pr, &a, &b) || a.s.cr2 != b.s.cr2) {
        g_test_message("after %u: vectors %d %d, cr2 %" PRIx64 " %" PRIx64,
                       limit, a.vector, b.vector, a.s.cr2, b.s.cr2);
        outcome_show(pr, &a, &b);
        g_test_fail();
        return false;
    }
    return a.vector == EVM_LIMIT;
}

static void pair_count(const char *name, uint64_t value, void *opaque)
{
    Pair *p = opaque;

    if (!strcmp(name, "blocks translated")) {
        p->n_translated = value;
    }
}

/* How a program is disturbed. */
enum { WITH_SMC = 1 << 0, WITH_FAULTS = 1 << 1, WITH_SIMD = 1 << 2 };

static void one_program(Pair *p, unsigned with)
{
    Program pr = { .code64 = p->code64, .simd = with & WITH_SIMD };
    unsigned want = 1 + program_random(PROGRAM_MAX / 2);
    bool gone = false;
    Outcome start;

    while (pr.n < want) {
        program_add(&pr);
    }
    pair_write(p, &pr, with & WITH_SMC);
    program_start(&start, p->code64);
    pair_start(p, &start);
    while (pair_run(p, &pr, 1 + program_random(20 * want))) {
        if ((with & WITH_FAULTS) && program_random(8) == 0) {
            gone = true;
            one_map(p->jit, false);
            one_map(p->interp, false);
        }
    }
    if (gone) {
        one_map(p->jit, true);
        one_map(p->interp, true);
    }
}

static void test_pair(gconstpointer arg)
{
    unsigned with = GPOINTER_TO_INT(arg) & 7;
    Pair p = { .code64 = GPOINTER_TO_INT(arg) >= 64 };
    EvmMode mode = p.code64 ? EVM_LONG64 : EVM_PROT32;
    unsigned n = g_test_thorough() ? 100000 : PROGRAMS;

    p.jit = evm_new_with(mode, "tcg", "tcg,jit-threshold=2", NULL);
    p.interp = evm_new_with(mode, "tcg", "tcg,jit=off", NULL);
    if (with & WITH_SIMD) {
        program_allow_simd(p.jit);
        program_allow_simd(p.interp);
    }
    for (unsigned i = 0; i < n && !g_test_failed(); i++) {
        one_program(&p, with);
    }
    tcg_accel.stats(p.jit->c, pair_count, &p);
    g_test_message("%u blocks translated", p.n_translated);
    evm_free(p.jit);
    evm_free(p.interp);
}

/* ---- what another page holds ---------------------------------------------------- */

/* Calls, jumps to and falls into the second page forty times, then swaps it for
 * the third one (r8, r9: entries for rsi) and does it again; six times. */
/* clang-format off */
EVM_PROGRAM(remap,
    "mov $6, %edx\n"
    "1: mov $40, %ecx\n"
    "2: call 5f\n"
    "add %rax, %rbx\n"
    "mov $40, %ebp\n"
    "lea 5f(%rip), %r10\n"
    "call *%r10\n"
    "add %rax, %rbx\n"
    "jmp 6f\n"
    "3: dec %ecx\n"
    "jnz 2b\n"
    "xchg %r8, %r9\n"
    "mov %r8, (%rsi)\n"
    "invlpg 5f(%rip)\n"
    "dec %edx\n"
    "jnz 1b\n"
    "hlt\n"
    ".balign 4096\n"
    "5: mov $1, %eax\n"
    "ret\n"
    "6: add $0x100, %rbx\n"
    "jmp 3b\n"
    ".balign 4096\n"
    "mov $2, %eax\n"
    "ret\n"
    "add $0x200, %rbx\n"
    "jmp 3b + 4096\n");
/* clang-format on */

static void test_remap(void)
{
    Evm *vm = evm_new_with(EVM_LONG64, "tcg", "tcg,jit-threshold=1", NULL);
    const uint64_t second = EVM_CODE + PAGE_SIZE, third = second + PAGE_SIZE;
    X86Cpu *c = vm->c;

    EVM_LOAD(vm, EVM_CODE, remap);
    evm_map(vm, second, second | 7);
    c->s.gpr[R_RSI] =
        0xc00000 + (second >> 21) * PAGE_SIZE + (second >> 12 & 511) * 8;
    c->s.gpr[R_R8] = second | 7;
    c->s.gpr[R_R9] = third | 7;
    c->s.gpr[R_RBX] = 0;
    tlb_flush(c, true);
    g_assert_cmpint(evm_run(vm, 0), ==, EVM_HALT);
    g_assert_cmphex(c->s.gpr[R_RBX], ==, 3 * 40 * (2 + 4 + 0x100 + 0x200));
    evm_free(vm);
}

/* ---- memory for code ------------------------------------------------------------- */

enum {
    LONG_CODE = 0x400000, /* the program, and how long it is */
    LONG_SIZE = 3 << 20,
    LONG_PIECE = 64,
};

/* Pieces of code that end in a jump to the next, with calls in between: more
 * than there is room for when translated. */
static void long_write(Evm *vm)
{
    uint8_t *p = evm_ptr(vm, LONG_CODE), *end = p + LONG_SIZE;
    static const uint8_t ends[] = { 0xff, 0xc9, 0x0f, 0x85 }; /* DEC, JNZ */
    int32_t back;

    memset(p, 0x90, LONG_SIZE);
    for (unsigned i = 0; p + 2 * LONG_PIECE < end; i++, p += LONG_PIECE) {
        uint32_t imm = i * 0x9e3779b9u;
        uint8_t piece[] = {
            0x81, 0xc0, imm,  imm >> 8, imm >> 16, imm >> 24, /* ADD eax, imm */
            0xc1, 0xc0, 7,                                    /* ROL eax, 7 */
            0x11, 0xc2,                                       /* ADC edx, eax */
            0x83, 0xe0, 0x1f,                                 /* AND eax, 31 */
            0x31, 0x94, 0xc7, i,        0,         0,
            0,                   /* XOR [rdi + rax*8 + i], edx */
            0x85, 0xd2, 0x78, 0, /* TEST edx, edx; JS, on */
            0xe8, 1,    0,    0,        0,         0xb8, /* CALL over a byte */
            0x5e,                                        /* POP rsi */
            0x01, 0xf2,                                  /* ADD edx, esi */
        };

        memcpy(p, piece, sizeof(piece));
    }
    back = LONG_CODE - (LONG_CODE + LONG_SIZE - (end - p) + 8);
    memcpy(p, ends, sizeof(ends));
    memcpy(p + 4, &back, 4);
    p[8] = 0xf4;
}

static void long_run(Evm *vm, Outcome *o)
{
    long_write(vm);
    memset(o, 0, sizeof(*o));
    o->s.gpr[R_RCX] = LONG_ROUNDS;
    o->s.gpr[R_RDI] = EVM_DATA;
    o->s.gpr[R_RSP] = EVM_STACK;
    o->s.rflags = 2;
    outcome_start(vm, o);
    vm->c->s.rip = LONG_CODE;
    o->vector = evm_run(vm, 0);
    outcome_take(vm, o);
}

static void long_count(const char *name, uint64_t value, void *opaque)
{
    if (!strcmp(name, "times memory for code was full")) {
        *(uint64_t *)opaque = value;
    }
}

/* All of it is used up, again and again. */
static void test_full(void)
{
    Evm *jit =
        evm_new_with(EVM_LONG64, "tcg", "tcg,jit-threshold=1,tb-size=1", NULL);
    Evm *interp = evm_new_with(EVM_LONG64, "tcg", "tcg,jit=off", NULL);
    Program pr = { .code64 = true };
    uint64_t flushes = 0;
    Outcome a, b;

    long_run(jit, &a);
    long_run(interp, &b);
    g_assert_cmpint(a.vector, ==, EVM_HALT);
    if (!outcome_equal(&pr, &a, &b)) {
        outcome_show(&pr, &a, &b);
        g_test_fail();
    }
    tcg_accel.stats(jit->c, long_count, &flushes);
    g_test_message("%" PRIu64 " times", flushes);
    g_assert_cmpuint(flushes, >, 12);
    evm_free(jit);
    evm_free(interp);
}

/* mmap() gives no executable memory from now on, as under a policy that
 * forbids it. */
static void refuse_exec(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_mmap, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = { G_N_ELEMENTS(code), code };

    g_assert_cmpint(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), ==, 0);
    g_assert_cmpint(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog), ==, 0);
}

/* The interpreter goes on alone, and one line says so. */
static void test_refused(void)
{
    if (g_test_subprocess()) {
        Outcome o;
        Evm *vm;

        refuse_exec();
        vm = evm_new_smp(EVM_LONG64, 2);
        g_assert_null(tcg_cpu(vm->m->cpu[0])->jit);
        g_assert_null(tcg_cpu(vm->m->cpu[1])->jit);
        evm_free(vm);
        vm = evm_new_with(EVM_LONG64, "tcg", "tcg,jit=off", NULL);
        long_run(vm, &o);
        g_assert_cmpint(o.vector, ==, EVM_HALT);
        evm_free(vm);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("*gives no memory to execute code from "
                              "(Permission denied): going on with jit=off*");
    g_test_trap_assert_stderr_unmatched("*gives*gives*");
}

#define PAIR(bits, with) GINT_TO_POINTER((bits) + (with))

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_unsetenv("EVM_JIT");
    g_test_add_data_func("/jit/64/plain", PAIR(64, 0), test_pair);
    g_test_add_data_func("/jit/64/smc", PAIR(64, WITH_SMC), test_pair);
    g_test_add_data_func("/jit/64/faults", PAIR(64, WITH_FAULTS), test_pair);
    g_test_add_data_func("/jit/64/both", PAIR(64, 3), test_pair);
    g_test_add_data_func("/jit/32/plain", PAIR(32, 0), test_pair);
    g_test_add_data_func("/jit/32/smc", PAIR(32, WITH_SMC), test_pair);
    g_test_add_data_func("/jit/64/simd", PAIR(64, WITH_SIMD), test_pair);
    g_test_add_data_func("/jit/64/simd-faults",
                         PAIR(64, WITH_SIMD | WITH_FAULTS), test_pair);
    g_test_add_data_func("/jit/32/simd", PAIR(32, WITH_SIMD), test_pair);
    g_test_add_func("/jit/remap", test_remap);
    g_test_add_func("/jit/full", test_full);
    g_test_add_func("/jit/refused", test_refused);
    return g_test_run();
}
