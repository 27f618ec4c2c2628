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
#include "target-x86/flags.h"
#include "util/log.h"

enum {
    ROUNDS = 60, /* of the loop */
    COUNTER = EVM_DATA + 0xff8,
    SMC_ROOM = 16,
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

static void pair_start(Pair *p, Outcome *start)
{
    uint32_t rounds = ROUNDS;

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
        g_test_message("after %u: vectors %d %d", limit, a.vector, b.vector);
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
enum { WITH_SMC = 1 << 0, WITH_FAULTS = 1 << 1 };

static void one_program(Pair *p, unsigned with)
{
    Program pr = { .code64 = p->code64 };
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
    unsigned with = GPOINTER_TO_INT(arg) & 3;
    Pair p = { .code64 = GPOINTER_TO_INT(arg) >= 64 };
    EvmMode mode = p.code64 ? EVM_LONG64 : EVM_PROT32;
    unsigned n = g_test_thorough() ? 100000 : 600;

    p.jit = evm_new_with(mode, "tcg", "tcg,jit-threshold=2", NULL);
    p.interp = evm_new_with(mode, "tcg", "tcg,jit=off", NULL);
    for (unsigned i = 0; i < n && !g_test_failed(); i++) {
        one_program(&p, with);
    }
    tcg_accel.stats(p.jit->c, pair_count, &p);
    g_test_message("%u blocks translated", p.n_translated);
    evm_free(p.jit);
    evm_free(p.interp);
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
    return g_test_run();
}
