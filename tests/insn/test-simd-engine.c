/*
 * x87, MMX, SSE and AVX in the engine against the host: its handlers for the
 * common forms, what they leave to the sem functions, and the checks before.
 */
#include "util/osdep.h"
#include "tests/lib/engine-vm.h"
#include "tests/lib/simd-case.h"
#include "target-x86/cpuid.h"

/* Fresh code each time, around and around. */
typedef struct Engine {
    Evm *vm;
    uint64_t code;
} Engine;

enum { CODE_SIZE = 0x40000, CODE_STEP = 48 };

static void reset(void *opaque)
{
    Engine *e = opaque;
    X86State *s = &e->vm->c->s;

    s->cr0 &= ~(uint64_t)(CR0_TS | CR0_EM);
    s->cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    s->xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
    s->gpr[R_RSP] = EVM_STACK;
    e->code = (e->code + CODE_STEP) % CODE_SIZE;
    s->rip = EVM_CODE + e->code;
    e->vm->c->lazy.op = 0;
    x86_update_mode(e->vm->c);
}

static int run(void *opaque, const uint8_t *bytes, unsigned len)
{
    Engine *e = opaque;
    uint8_t code[32];
    int how;

    memcpy(code, bytes, len);
    code[len] = 0xf4; /* hlt */
    e->vm->c->s.gpr[R_RSP] = EVM_STACK;
    evm_write(e->vm, e->vm->c->s.rip, code, len + 1);
    how = evm_run(e->vm, 0);
    return how == EVM_HALT ? -1 : how;
}

static void test_rows(void)
{
    Engine e = { .vm = evm_new(EVM_LONG64) };
    SimdTarget t = {
        .s = &e.vm->c->s,
        .mem = evm_ptr(e.vm, EVM_DATA),
        .base = EVM_DATA,
        .reset = reset,
        .run = run,
        .opaque = &e,
        .fewer = !cpu_has(e.vm->c, FEAT_AVX2),
    };

    simd_run_rows(&t);
    evm_free(e.vm);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (__builtin_cpu_supports("avx")) {
        g_test_add_func("/simd/engine-like-the-host", test_rows);
    }
    return g_test_run();
}
