/*
 * A program that is disturbed while it runs gives what it gives undisturbed.
 *
 * A second thread sends NMIs, stops, requests to forget translations, and
 * writes to the code as a device does, at random moments. Whenever the engine
 * comes back, the first one steps through some instructions, sets a breakpoint
 * or a watchpoint, maps memory elsewhere, drops the TLB. The reference is the
 * interpreter with nobody around.
 */
#include "util/osdep.h"
#include "tests/lib/engine-program.h"
#include "tests/lib/engine-vm.h"
#include "accel/tcg/tcg.h"
#include "target-x86/access.h"
#include "target-x86/flags.h"
#include "util/bits.h"

#include <pthread.h>

enum {
    ROUNDS = 100000, /* of the loop */
    COUNTER = EVM_DATA + 0xff8,
    NMIS = 0xe000,      /* how many the guest has seen */
    NMI_STACK = 0xf800, /* IST 1 */
    NOP_AT = 5,
    NOP_LEN = 7,
};

typedef struct Kick {
    Evm *vm;
    uint8_t code[PROGRAM_MAX * 16 + 64];
    unsigned len, starts[PROGRAM_MAX + 4], n_starts;
    Region extra; /* mapped and unmapped */
    bool mapped;
    bool done;     /* atomic */
    uint32_t seed; /* of the second thread */
    unsigned n_events, n_exits, n_steps;
} Kick;

/* ---- the program --------------------------------------------------------------- */

static void put(Kick *k, const void *bytes, unsigned n)
{
    k->starts[k->n_starts++] = k->len;
    memcpy(k->code + k->len, bytes, n);
    k->len += n;
}

/* The stack's place again and a NOP with four bytes that mean nothing; @pr; all
 * of it ROUNDS times. */
static void kick_write(Kick *k, const Program *pr)
{
    uint8_t stack[] = { 0xbc, 0, 0, 0, 0 };
    uint8_t loop[] = { 0x83, 0x2c, 0x25, 0, 0, 0, 0, 1 };
    uint8_t again[] = { 0x0f, 0x85, 0, 0, 0, 0 };

    k->len = k->n_starts = 0;
    st_le32(stack + 1, EVM_STACK);
    put(k, stack, sizeof(stack));
    put(k, "\x0f\x1f\x80\0\0\0\0", NOP_LEN);
    put(k, pr->code, pr->len);
    st_le32(loop + 3, COUNTER);
    put(k, loop, sizeof(loop));
    st_le32(again + 2, -(k->len + sizeof(again)));
    put(k, again, sizeof(again));
    put(k, "\xf4\xeb\xfd", 3); /* HLT; an NMI goes on behind it */
}

static void kick_load(const Kick *k, Evm *vm, Outcome *start)
{
    st_le32(start->data + (COUNTER - EVM_DATA), ROUNDS);
    evm_write(vm, EVM_CODE, k->code, k->len);
    outcome_start(vm, start);
    vm->c->s.halted = vm->c->s.nmi_masked = false;
}

/* NMIs are counted, on a stack of their own. */
static void kick_nmi(Evm *vm)
{
    uint8_t handler[] = { 0x48, 0xff, 0x04, 0x25, 0, 0, 0, 0, 0x48, 0xcf };

    st_le32(handler + 4, NMIS);
    evm_write(vm, EVM_STUBS + EXC_NMI * 16, handler, sizeof(handler));
    st_le64(evm_ptr(vm, EVM_TSS + 0x24), NMI_STACK);
    *(uint8_t *)evm_ptr(vm, EVM_IDT + EXC_NMI * 16 + 4) = 1;
}

/* ---- the second thread ------------------------------------------------------------ */

static void kick_one(Kick *k, GRand *rand)
{
    X86Cpu *c = k->vm->c;
    TcgAccel *a = tcg_cpu(c)->accel;
    uint8_t *host = evm_ptr(k->vm, EVM_CODE);

    switch (g_rand_int_range(rand, 0, 6)) {
    case 0:
        cpu_raise(c, CPU_NMI);
        break;
    case 1:
        cpu_raise(c, CPU_STOP);
        break;
    case 2:
        cpu_raise(c, CPU_FLUSH);
        break;
    case 3:
        a->accel.ops->map_changed(&a->accel, NULL);
        break;
    case 4:
        tcg_request_inval(a, host, k->len, NULL);
        break;
    default: /* the NOP's bytes */
        __atomic_store_n(host + NOP_AT + 3 + g_rand_int_range(rand, 0, 4),
                         (uint8_t)g_rand_int(rand), __ATOMIC_RELAXED);
        a->accel.ops->ram_written(&a->accel, EVM_CODE + NOP_AT, NOP_LEN);
        break;
    }
    a->accel.ops->kick(c);
}

static void *kick_thread(void *opaque)
{
    Kick *k = opaque;
    g_autoptr(GRand) rand = g_rand_new_with_seed(k->seed);

    while (!__atomic_load_n(&k->done, __ATOMIC_ACQUIRE)) {
        g_usleep(g_rand_int_range(rand, 0, 100));
        kick_one(k, rand);
        k->n_events++;
    }
    return NULL;
}

/* ---- the first one ------------------------------------------------------------------ */

static void kick_map(Kick *k)
{
    if (k->mapped) {
        as_unmap(&k->extra);
    } else {
        as_map(k->vm->m->mem, UINT64_C(1) << 32, &k->extra, 0);
    }
    k->mapped = !k->mapped;
}

/* Something for the next stretch. */
static void kick_disturb(Kick *k)
{
    X86Cpu *c = k->vm->c;
    hwaddr at = EVM_CODE + k->starts[program_random(k->n_starts)];
    CpuWatch watch = { EVM_DATA + program_random(0x800), 4, true, true };
    bool step = program_random(2);

    tcg_accel.set_debug(c, NULL, 0, false);
    tcg_accel.set_watch(c, NULL, 0);
    tcg_set_limit(c, 0);
    switch (program_random(8)) {
    case 0:
        tcg_accel.set_debug(c, &at, step, step);
        break;
    case 1:
        tcg_accel.set_debug(c, &at, 1, false);
        break;
    case 2:
        tcg_set_limit(c, 1 + program_random(2000));
        break;
    case 3:
        tcg_accel.set_watch(c, &watch, 1);
        break;
    case 4:
        tlb_flush(c, true);
        break;
    case 5:
        evm_write(k->vm, EVM_CODE, k->code, k->len);
        break;
    case 6:
        kick_map(k);
        break;
    }
}

static void kick_run(Kick *k)
{
    X86Cpu *c = k->vm->c;
    unsigned hold = 0; /* exits before the next change */
    CpuExit exit;

    do {
        exit = tcg_accel.run(c);
        k->n_exits++;
        k->n_steps += exit == CPU_EXIT_DEBUG;
        cpu_lower(c, CPU_STOP);
        if (hold-- == 0) {
            kick_disturb(k);
            hold = 1 + program_random(20);
        }
    } while (exit == CPU_EXIT_KICKED || exit == CPU_EXIT_DEBUG);
    g_assert_cmpint(exit, ==, CPU_EXIT_HALTED);
    tcg_accel.set_debug(c, NULL, 0, false);
    tcg_accel.set_watch(c, NULL, 0);
    tcg_set_limit(c, 0);
}

static void kick_program(Kick *k, Evm *alone)
{
    Program pr = { .code64 = true };
    unsigned want = 1 + program_random(PROGRAM_MAX / 4);
    Outcome start, a = { .vector = EVM_HALT }, b;
    pthread_t thread;

    while (pr.n < want) {
        program_add(&pr);
    }
    kick_write(k, &pr);
    program_start(&start, true);
    kick_load(k, alone, &start);
    b.vector = evm_run(alone, 0);
    if (b.vector != EVM_HALT) {
        return; /* a #DE, mostly: its stub would see NMIs */
    }
    kick_load(k, k->vm, &start);
    k->done = false;
    k->seed = g_test_rand_int();
    g_assert_cmpint(pthread_create(&thread, NULL, kick_thread, k), ==, 0);
    kick_run(k);
    __atomic_store_n(&k->done, true, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    outcome_take(k->vm, &a);
    outcome_take(alone, &b);
    a.s.rip = b.s.rip; /* an NMI may have come at the HLT */
    if (!outcome_equal(&pr, &a, &b)) {
        outcome_show(&pr, &a, &b);
        g_test_fail();
    }
}

static void test_kick(gconstpointer options)
{
    Kick k = { .vm = evm_new_with(EVM_LONG64, "tcg", options, NULL) };
    Evm *alone = evm_new_with(EVM_LONG64, "tcg", "tcg,jit=off", NULL);
    unsigned n = g_test_thorough() ? 1000 : 60;
    GError *err = NULL;

    g_assert_true(region_init_ram(&k.extra, "extra", 1 << 16, &err));
    kick_nmi(k.vm);
    for (unsigned i = 0; i < n && !g_test_failed(); i++) {
        kick_program(&k, alone);
        if (i % 10 == 9) { /* for the runner: a busy host takes its time */
            g_test_message("%u programs", i + 1);
        }
    }
    g_test_message("%u events, %u exits, %u of them for the debugger, %u NMIs",
                   k.n_events, k.n_exits, k.n_steps,
                   ld_le32(evm_ptr(k.vm, NMIS)));
    if (k.mapped) {
        as_unmap(&k.extra);
    }
    region_fini(&k.extra);
    evm_free(k.vm);
    evm_free(alone);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_unsetenv("EVM_JIT");
    g_test_add_data_func("/engine-kick/translated", "tcg,jit-threshold=2",
                         test_kick);
    g_test_add_data_func("/engine-kick/interpreted", "tcg,jit=off", test_kick);
    return g_test_run();
}
