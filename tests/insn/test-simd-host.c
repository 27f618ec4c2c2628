/* The sem functions of x87, MMX, SSE and AVX against the host. */
#include "util/osdep.h"
#include "tests/lib/fake-access.h"
#include "tests/lib/simd-case.h"

enum { BASE = 0x10000 };

static void reset(void *opaque)
{
    fake_mode(opaque, FAKE_LONG64);
}

static int run(void *opaque, const uint8_t *bytes, unsigned len)
{
    FakeCpu *f = opaque;
    FakeExit how = fake_bytes(f, bytes, len, NULL);

    if (how == FAKE_FAULT) {
        return f->cpu.fault.vector;
    }
    return how == FAKE_DONE ? -1 : EXC_UD;
}

static void test_rows(void)
{
    FakeCpu *f = fake_new(FAKE_LONG64, BASE, SIMD_MEM);
    SimdTarget t = { .s = &f->cpu.s,
                     .mem = f->ram,
                     .base = BASE,
                     .reset = reset,
                     .run = run,
                     .opaque = f };

    simd_run_rows(&t);
    fake_free(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (__builtin_cpu_supports("avx")) {
        g_test_add_func("/simd/sem-like-the-host", test_rows);
    }
    return g_test_run();
}
