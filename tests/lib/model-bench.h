/* A Bench is a fake CPU of a named model with 64 KiB of memory. */
#ifndef TESTS_LIB_MODEL_BENCH_H
#define TESTS_LIB_MODEL_BENCH_H

#include "tests/lib/fake-access.h"
#include "target-x86/cpuid.h"

typedef struct Bench {
    FakeCpu *f;
    X86Cpu *c;
    CpuModel *model;
} Bench;

static inline CpuModel *model_of(const char *text)
{
    g_autofree char *quiet = g_strconcat(text, ",check=off", NULL);
    GError *err = NULL;
    CpuModel *cm = cpu_model_new(quiet, NULL, &err);

    g_assert_no_error(err);
    return cm;
}

static inline void bench_new(Bench *b, FakeMode mode, const char *model)
{
    b->f = fake_new(mode, 0, 0x10000);
    b->c = &b->f->cpu;
    b->model = model_of(model);
    b->c->model = b->model;
    b->c->s.apic_base = 0xfee00900;
}

static inline void bench_free(Bench *b)
{
    fake_free(b->f);
    cpu_model_free(b->model);
}

#endif
