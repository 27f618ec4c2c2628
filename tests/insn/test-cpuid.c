/* CPUID of every model, its words on the command line, and what Linux wants. */
#include "util/osdep.h"
#include "tests/lib/model-bench.h"
#include "system/machine.h"
#include "target-x86/msr.h"

static void test_cpuid_all_models(void)
{
    const char **names = cpu_model_names();

    for (unsigned i = 0; names[i]; i++) {
        uint32_t r[4], level;
        Bench b;

        bench_new(&b, FAKE_LONG64, names[i]);
        x86_cpuid(b.c, 0, 0, r);
        level = r[REG_EAX];
        g_assert_cmpuint(level, <=, 0x1f);
        for (uint32_t leaf = 0; leaf <= level + 1; leaf++) {
            for (uint32_t sub = 0; sub < 12; sub++) {
                x86_cpuid(b.c, leaf, sub, r);
            }
        }
        for (unsigned f = 1; f < FEAT_COUNT; f++) {
            const FeatureRow *row = &feature_rows[f];
            uint32_t max = row->leaf >= 0x80000000 ? b.model->xlevel : level;

            x86_cpuid(b.c, row->leaf, row->sub, r);
            if (cpu_has(b.c, f)) {
                g_assert_true(cpu_feature_available(f));
            }
            if (row->leaf <= max && cpu_has(b.c, f)) {
                g_assert_true(r[row->reg] >> row->bit & 1);
            }
        }
        x86_reset(b.c);
        g_assert_cmphex(b.c->s.gpr[R_RDX], ==, cpu_model_signature(b.model));
        bench_free(&b);
    }
    g_free(names);
}

static void test_cpuid_known(void)
{
    static const struct {
        const char *model;
        uint32_t leaf;
        CpuReg reg;
        uint32_t mask, value;
    } rows[] = {
        { "qemu64", 1, REG_EAX, UINT32_MAX, 0x00060fb1 },
        { "kvm64", 1, REG_EAX, UINT32_MAX, 0x00000f61 },
        { "Haswell", 1, REG_EAX, UINT32_MAX, 0x000306c4 },
        { "EPYC", 1, REG_EAX, UINT32_MAX, 0x00800f12 },
        { "486", 1, REG_EAX, UINT32_MAX, 0x480 },
        { "486", 0, REG_EAX, UINT32_MAX, 1 },
        { "core2duo", 1, REG_EAX, UINT32_MAX, 0x6fb },
        { "Skylake-Client", 1, REG_EAX, UINT32_MAX, 0x506e3 },
        { "Haswell-noTSX", 1, REG_EAX, UINT32_MAX, 0x306c1 },
        { "max,family=15,model=107,stepping=1", 1, REG_EAX, UINT32_MAX,
          0x60fb1 },
        { "max", 0x15, REG_ECX, UINT32_MAX, X86_TSC_HZ },
        { "max", 0x40000010, REG_EAX, UINT32_MAX, X86_TSC_HZ / 1000 },
        { "max", 0x80000007, REG_EDX, 1 << 8, 1 << 8 },
        { "qemu64", 0x80000007, REG_EDX, 1 << 8, 1 << 8 },
        { "qemu64,-invtsc", 0x80000007, REG_EDX, 1 << 8, 0 },
        { "max", 0x80000008, REG_EAX, UINT32_MAX, 0x3928 },
        { "max,-la57,phys-bits=46", 0x80000008, REG_EAX, UINT32_MAX, 0x302e },
        { "qemu64", 0x80000001, REG_EDX, 0x20100800, 0x20100800 },
        { "max,-sse4_2", 1, REG_ECX, 1 << 20, 0 },
        { "max,sse4.2=off,+sse4.2", 1, REG_ECX, 1 << 20, 1 << 20 },
        { "max,+sse4.2,-sse4.2", 1, REG_ECX, 1 << 20, 0 },
        { "max,-hypervisor", 1, REG_ECX, UINT32_C(1) << 31, 0 },
        { "max,level=4", 0, REG_EAX, UINT32_MAX, 6 }, /* ARAT lives in 6 */
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        uint32_t r[4];
        Bench b;

        bench_new(&b, FAKE_LONG64, rows[i].model);
        x86_cpuid(b.c, rows[i].leaf, 0, r);
        g_test_message("%s leaf %x", rows[i].model, rows[i].leaf);
        g_assert_cmphex(r[rows[i].reg] & rows[i].mask, ==, rows[i].value);
        bench_free(&b);
    }
}

static void test_cpuid_dynamic(void)
{
    uint32_t r[4];
    Bench b;

    bench_new(&b, FAKE_LONG64, "max");
    b.c->s.cr4 = CR4_PAE;
    x86_cpuid(b.c, 1, 0, r);
    g_assert_false(r[REG_ECX] >> 27 & 1);
    b.c->s.cr4 |= CR4_OSXSAVE | CR4_PKE;
    x86_cpuid(b.c, 1, 0, r);
    g_assert_true(r[REG_ECX] >> 27 & 1);
    g_assert_true(r[REG_EDX] >> 9 & 1);
    x86_cpuid(b.c, 7, 0, r);
    g_assert_true(r[REG_ECX] >> 4 & 1);
    b.c->s.apic_base &= ~UINT64_C(0x800);
    x86_cpuid(b.c, 1, 0, r);
    g_assert_false(r[REG_EDX] >> 9 & 1);
    b.c->s.xcr0 = 3;
    x86_cpuid(b.c, 0xd, 0, r);
    g_assert_cmpuint(r[REG_EBX], ==, 576);
    b.c->s.xcr0 = 7;
    x86_cpuid(b.c, 0xd, 0, r);
    g_assert_cmpuint(r[REG_EBX], ==, cpu_has(b.c, FEAT_AVX) ? 832 : 576);
    g_assert_cmpuint(r[REG_ECX], ==, 2696);
    x86_cpuid(b.c, 0x40000000, 0, r);
    g_assert_cmpmem(&r[REG_EBX], 12, "TCGTCGTCGTCG", 12);
    bench_free(&b);
}

static void test_cpuid_topology(void)
{
    MachineConfig cfg = { .sockets = 2, .dies = 1, .cores = 3, .threads = 2 };
    CpuModel *cm = cpu_model_new("max", &cfg, NULL);
    uint32_t r[4];
    Bench b;

    bench_new(&b, FAKE_LONG64, "max");
    b.c->model = cm;
    g_assert_cmpuint(cpu_model_apic_id(cm, 0), ==, 0);
    g_assert_cmpuint(cpu_model_apic_id(cm, 5), ==, 5);
    g_assert_cmpuint(cpu_model_apic_id(cm, 6), ==, 8); /* next package */
    b.c->apic_id = 8;
    x86_cpuid(b.c, 0xb, 0, r);
    g_assert_cmphex(r[REG_EAX], ==, 1);
    g_assert_cmphex(r[REG_EBX], ==, 2);
    g_assert_cmphex(r[REG_ECX], ==, 0x100);
    g_assert_cmphex(r[REG_EDX], ==, 8);
    x86_cpuid(b.c, 0xb, 1, r);
    g_assert_cmphex(r[REG_EAX], ==, 3);
    g_assert_cmphex(r[REG_EBX], ==, 6);
    g_assert_cmphex(r[REG_ECX], ==, 0x201);
    x86_cpuid(b.c, 1, 0, r);
    g_assert_cmphex(r[REG_EBX] >> 16, ==, 0x0808);
    g_assert_true(r[REG_EDX] >> 28 & 1); /* HT */
    bench_free(&b);
    cpu_model_free(cm);
}

static void test_cpu_errors(void)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        { "haswel", "unable to find CPU model 'haswel'" },
        { "", "unable to find CPU model ''" },
        { "max,+avx3", "Property 'max-x86_64-cpu.avx3' not found" },
        { "max,family=x", "CPU property 'family': " },
        { "max,avx=maybe", "CPU property 'avx': " },
        { "max,vendor=Intel",
          "Property 'vendor' must have 12 characters, not 'Intel'" },
        { "max,phys-bits=20",
          "phys-bits should be between 32 and 52 (but is 20)" },
        { "qemu64,+svm,enforce", "TCG doesn't support requested features" },
        { "max,stepping=16", "Property 'stepping' must be 0 to 15, not 16" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) err = NULL;

        g_assert_null(cpu_model_new(rows[i].text, NULL, &err));
        g_assert_nonnull(err);
        g_test_message("%s", err->message);
        g_assert_true(g_str_has_prefix(err->message, rows[i].error));
    }
    cpu_model_free(
        cpu_model_new("qemu64,enforce,vendor=GenuineIntel", NULL, NULL));
}

/* Whatever is typed: a model or one message, nothing worse. */
static void test_cpu_random(void)
{
    static const char *const bits[] = {
        "max",
        "qemu64",
        "Haswell-v4",
        ",",
        ",,",
        "=",
        "+",
        "-",
        "avx",
        "off",
        "on",
        "family",
        "model",
        "0x7",
        "99999999999999999999",
        "vendor",
        "GenuineIntel",
        "level",
        "_",
        "sse4_2",
        "enforce",
        "check",
        "\xff",
        "tsc-frequency",
        "1G",
        "phys-bits",
        "x",
        "-v1",
        "model-id",
    };

    for (unsigned i = 0; i < 5000; i++) {
        g_autoptr(GString) text =
            g_string_new(g_random_boolean() ? "max," : "");
        g_autoptr(GError) err = NULL;
        CpuModel *cm;

        for (int n = g_random_int_range(0, 12); n > 0; n--) {
            int pick = g_random_int_range(0, G_N_ELEMENTS(bits));

            g_string_append(text, bits[pick]);
        }
        g_string_append(text, ",check=off");
        cm = cpu_model_new(text->str, NULL, &err);
        if (strstr(text->str, "enforce") && cm) {
            cpu_model_free(cm);
            continue;
        }
        g_assert_true(!cm == !!err);
        cpu_model_free(cm);
    }
}

/* What a kernel looks at to leave its mitigations off, and to trust the TSC. */
static void test_max_suits_linux(void)
{
    static const uint16_t want[] = {
        FEAT_INVTSC, FEAT_TSC_ADJUST, FEAT_TSC_DEADLINE, FEAT_ARAT,
        FEAT_X2APIC, FEAT_ARCH_CAPS,  FEAT_SPEC_CTRL,    FEAT_BHI_CTRL,
    };
    uint64_t v;
    Bench b;

    bench_new(&b, FAKE_LONG64, "max");
    for (unsigned i = 0; i < G_N_ELEMENTS(want); i++) {
        g_assert_true(cpu_has(b.c, want[i]));
    }
    g_assert_true(x86_rdmsr(b.c, 0x10a, &v));
    g_assert_cmphex(v & 3, ==, 3); /* RDCL_NO, IBRS_ALL */
    bench_free(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpuid/models", test_cpuid_all_models);
    g_test_add_func("/cpuid/known", test_cpuid_known);
    g_test_add_func("/cpuid/dynamic", test_cpuid_dynamic);
    g_test_add_func("/cpuid/topology", test_cpuid_topology);
    g_test_add_func("/cpuid/errors", test_cpu_errors);
    g_test_add_func("/cpuid/random", test_cpu_random);
    g_test_add_func("/cpuid/linux", test_max_suits_linux);
    return g_test_run();
}
