/*
 * The CPUID instruction, from a CpuModel. SDM 2A, CPUID; AMD APM 3,
 * appendix E.
 *
 * Feature words are put together from features.def; what is left are the
 * leaves that describe topology, caches, XSAVE and clocks.
 */
#include "util/osdep.h"
#include <cpuid.h>
#include "target-x86/cpuid.h"
#include "target-x86/fpu.h"
#include "target-x86/seg.h"

const FeatureRow feature_rows[FEAT_COUNT] = {
#define FEAT(name, leaf, sub, reg, bit, qemu) \
    [FEAT_##name] = { leaf, sub, REG_##reg, bit, qemu },
#include "target-x86/features.def"
#undef FEAT
};

enum {
    SIG_FAMILY_MAX = 15,
    CACHE_LINE = 64,
    APIC_BASE_EN = 1 << 11,
    MISC_LIMIT_CPUID = 1 << 22,
};

/* ---- what can be had ---------------------------------------------------------- */

/* Done by the host's own instructions, so the host must have the feature. */
static const uint16_t emulated_by_host[] = {
    FEAT_SSE3, FEAT_SSSE3, FEAT_SSE4_1, FEAT_SSE4_2, FEAT_PCLMULQDQ, FEAT_AES,
    FEAT_AVX,  FEAT_AVX2,  FEAT_FMA,    FEAT_F16C,   FEAT_SHA_NI,
};

/* Done in C, or by what every x86-64 host has. */
static const uint16_t emulated[] = {
    FEAT_FPU,        FEAT_VME,        FEAT_DE,         FEAT_PSE,
    FEAT_TSC,        FEAT_MSR,        FEAT_PAE,        FEAT_MCE,
    FEAT_CX8,        FEAT_APIC,       FEAT_SEP,        FEAT_MTRR,
    FEAT_PGE,        FEAT_MCA,        FEAT_CMOV,       FEAT_PAT,
    FEAT_PSE36,      FEAT_CLFLUSH,    FEAT_ACPI,       FEAT_MMX,
    FEAT_FXSR,       FEAT_SSE,        FEAT_SSE2,       FEAT_SS,
    FEAT_HT,         FEAT_MONITOR,    FEAT_CX16,       FEAT_PCID,
    FEAT_X2APIC,     FEAT_MOVBE,      FEAT_POPCNT,     FEAT_TSC_DEADLINE,
    FEAT_XSAVE,      FEAT_RDRAND,     FEAT_HYPERVISOR, FEAT_ARAT,
    FEAT_FSGSBASE,   FEAT_TSC_ADJUST, FEAT_BMI1,       FEAT_SMEP,
    FEAT_BMI2,       FEAT_ERMS,       FEAT_INVPCID,    FEAT_RDSEED,
    FEAT_ADX,        FEAT_SMAP,       FEAT_CLFLUSHOPT, FEAT_CLWB,
    FEAT_UMIP,       FEAT_PKU,        FEAT_LA57,       FEAT_RDPID,
    FEAT_FSRM,       FEAT_MD_CLEAR,   FEAT_SPEC_CTRL,  FEAT_STIBP,
    FEAT_ARCH_CAPS,  FEAT_SSBD,       FEAT_BHI_CTRL,   FEAT_XSAVEOPT,
    FEAT_XSAVEC,     FEAT_XGETBV1,    FEAT_XSAVES,     FEAT_LAHF_LM,
    FEAT_CMP_LEGACY, FEAT_ABM,        FEAT_SSE4A,      FEAT_PREFETCHW,
    FEAT_OSVW,       FEAT_TOPOEXT,    FEAT_SYSCALL,    FEAT_NX,
    FEAT_MMXEXT,     FEAT_FXSR_OPT,   FEAT_PDPE1GB,    FEAT_RDTSCP,
    FEAT_LM,         FEAT_INVTSC,     FEAT_WBNOINVD,   FEAT_IBPB,
    FEAT_IBRS,       FEAT_AMD_STIBP,  FEAT_AMD_SSBD,   FEAT_AMD_NO_SSB,
};

static bool feature_in(const uint16_t *list, size_t n, CpuFeature f)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i] == f) {
            return true;
        }
    }
    return false;
}

/* AVX state is saved by the host's kernel. */
static bool host_has_ymm(void)
{
    uint32_t a, b, c, d;

    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) {
        return false;
    }
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return (a & 6) == 6;
}

static bool host_has(CpuFeature f)
{
    const FeatureRow *row = &feature_rows[f];
    uint32_t r[4];
    bool ymm =
        f == FEAT_AVX || f == FEAT_AVX2 || f == FEAT_FMA || f == FEAT_F16C;

    if (!__get_cpuid_count(row->leaf, row->sub, &r[0], &r[1], &r[2], &r[3])) {
        return false;
    }
    return r[row->reg] >> row->bit & 1 && (!ymm || host_has_ymm());
}

bool cpu_feature_available(CpuFeature f)
{
    if (feature_in(emulated_by_host, G_N_ELEMENTS(emulated_by_host), f)) {
        return host_has(f);
    }
    return feature_in(emulated, G_N_ELEMENTS(emulated), f);
}

bool cpu_feature_is_avx512(CpuFeature f)
{
    return g_str_has_prefix(feature_rows[f].name, "avx512");
}

/* ---- identity ------------------------------------------------------ */

uint32_t cpu_model_signature(const CpuModel *cm)
{
    uint32_t family = MIN(cm->family, (uint32_t)SIG_FAMILY_MAX);

    return (cm->stepping & 15) | (cm->model & 15) << 4 | family << 8 |
           (cm->model >> 4 & 15) << 16 | (cm->family - family) << 20;
}

/* ---- leaves ------------------------------------------------------------------------ */

static uint32_t feature_word(const CpuModel *cm, uint32_t leaf, unsigned sub,
                             CpuReg reg)
{
    uint32_t v = 0;

    for (unsigned f = 1; f < FEAT_COUNT; f++) {
        const FeatureRow *row = &feature_rows[f];

        if (row->leaf == leaf && row->sub == sub && row->reg == reg &&
            cpu_model_has(cm, f)) {
            v |= UINT32_C(1) << row->bit;
        }
    }
    return v;
}

static void leaf_vendor(const CpuModel *cm, uint32_t max, uint32_t out[4])
{
    out[REG_EAX] = max;
    memcpy(&out[REG_EBX], cm->vendor_id, 4);
    memcpy(&out[REG_EDX], cm->vendor_id + 4, 4);
    memcpy(&out[REG_ECX], cm->vendor_id + 8, 4);
}

static void leaf_1(const X86Cpu *c, uint32_t out[4])
{
    const CpuModel *cm = c->model;
    unsigned logical = 1u << cpu_topo_package_shift(cm);

    out[REG_EAX] = cpu_model_signature(cm);
    out[REG_EBX] = (c->apic_id & 0xff) << 24 | MIN(logical, 255u) << 16 |
                   (cpu_model_has(cm, FEAT_CLFLUSH) ? CACHE_LINE / 8 : 0) << 8;
    out[REG_ECX] = feature_word(cm, 1, 0, REG_ECX);
    out[REG_EDX] = feature_word(cm, 1, 0, REG_EDX);
    if (c->s.cr4 & CR4_OSXSAVE) {
        out[REG_ECX] |= 1u << 27;
    }
    if (!(c->s.apic_base & APIC_BASE_EN)) {
        out[REG_EDX] &= ~(1u << 9);
    }
}

/* Deterministic cache parameters; leaf 2's descriptors say the same. */
typedef struct CacheRow {
    uint8_t type, level, ways;
    uint32_t kib;
    bool shared; /* by the whole package, not only a core's threads */
} CacheRow;

static const CacheRow caches[] = {
    { 1, 1, 8, 32, false },
    { 2, 1, 8, 32, false },
    { 3, 2, 8, 2048, false },
    { 3, 3, 16, 16384, true },
};

static uint32_t cache_sets(const CacheRow *cr)
{
    return cr->kib * 1024 / cr->ways / CACHE_LINE;
}

static unsigned cache_sharers(const CpuModel *cm, const CacheRow *cr)
{
    return 1u << (cr->shared ? cpu_topo_die_shift(cm)
                             : cpu_topo_core_shift(cm));
}

static void leaf_4(const CpuModel *cm, uint32_t sub, uint32_t out[4])
{
    unsigned cores =
        1u << (cpu_topo_package_shift(cm) - cpu_topo_core_shift(cm));
    const CacheRow *cr;

    if (sub >= G_N_ELEMENTS(caches)) {
        return;
    }
    cr = &caches[sub];
    out[REG_EAX] = cr->type | cr->level << 5 | 1 << 8 |
                   (cache_sharers(cm, cr) - 1) << 14 |
                   (MIN(cores, 64u) - 1) << 26;
    out[REG_EBX] = (CACHE_LINE - 1) | (cr->ways - 1u) << 22;
    out[REG_ECX] = cache_sets(cr) - 1;
    out[REG_EDX] = cr->shared ? 6 : 1;
}

static void leaf_7(const X86Cpu *c, uint32_t sub, uint32_t out[4])
{
    const CpuModel *cm = c->model;

    if (sub == 0) {
        out[REG_EAX] = feature_word(cm, 7, 2, REG_EDX)   ? 2
                       : feature_word(cm, 7, 1, REG_EAX) ? 1
                                                         : 0;
        out[REG_EBX] = feature_word(cm, 7, 0, REG_EBX);
        out[REG_ECX] = feature_word(cm, 7, 0, REG_ECX);
        out[REG_EDX] = feature_word(cm, 7, 0, REG_EDX);
        if (c->s.cr4 & CR4_PKE) {
            out[REG_ECX] |= 1u << 4;
        }
    } else if (sub == 1) {
        out[REG_EAX] = feature_word(cm, 7, 1, REG_EAX);
    } else if (sub == 2) {
        out[REG_EDX] = feature_word(cm, 7, 2, REG_EDX);
    }
}

static void leaf_topology(const X86Cpu *c, uint32_t sub, uint32_t out[4])
{
    const CpuModel *cm = c->model;

    out[REG_ECX] = sub & 0xff;
    out[REG_EDX] = c->apic_id;
    if (sub == 0) {
        out[REG_EAX] = cpu_topo_core_shift(cm);
        out[REG_EBX] = cm->threads;
        out[REG_ECX] |= 1 << 8;
    } else if (sub == 1) {
        out[REG_EAX] = cpu_topo_package_shift(cm);
        out[REG_EBX] = cm->threads * cm->cores * cm->dies;
        out[REG_ECX] |= 2 << 8;
    }
}

const XsaveComponent xsave_components[XSAVE_COMPONENTS] = {
    [XSAVE_AVX] = { XCR0_AVX, 2, XSAVE_AVX_SIZE, XSAVE_AVX_OFF, 0 },
    [XSAVE_OPMASK] = { 0x20, 5, X86_EXT_OPMASK, XSAVE_OPMASK_OFF, 0 },
    [XSAVE_ZMM_HI] = { 0x40, 6, X86_EXT_ZMM_HI, XSAVE_ZMM_HI_OFF,
                       X86_EXT_OPMASK },
    [XSAVE_HI16] = { 0x80, 7, X86_EXT_HI16, XSAVE_HI16_OFF,
                     X86_EXT_OPMASK + X86_EXT_ZMM_HI },
    [XSAVE_PKRU] = { XCR0_PKRU, 9, XSAVE_PKRU_SIZE, XSAVE_PKRU_OFF, 0 },
};

unsigned cpu_xsave_size(const CpuModel *cm, uint64_t bits, bool compact)
{
    unsigned end = XSAVE_LEGACY_SIZE + XSAVE_HEADER_SIZE;

    for (unsigned i = 0; i < XSAVE_COMPONENTS; i++) {
        const XsaveComponent *x = &xsave_components[i];

        if (bits & x->bit) {
            end = compact ? end + x->size
                          : MAX(end, cpu_xsave_off(cm, i) + x->size);
        }
    }
    return end;
}

static void leaf_xsave(const X86Cpu *c, uint32_t sub, uint32_t out[4])
{
    uint64_t mask = x86_xcr0_mask(c);

    if (!cpu_has(c, FEAT_XSAVE)) {
        return;
    }
    if (sub == 0) {
        out[REG_EAX] = (uint32_t)mask;
        out[REG_EBX] = cpu_xsave_size(c->model, c->s.xcr0, false);
        out[REG_ECX] = cpu_xsave_size(c->model, mask, false);
        out[REG_EDX] = (uint32_t)(mask >> 32);
    } else if (sub == 1) {
        out[REG_EAX] = feature_word(c->model, 0xd, 1, REG_EAX);
        if (out[REG_EAX] & (1 << 1 | 1 << 3)) {
            out[REG_EBX] = cpu_xsave_size(c->model, c->s.xcr0 | c->s.xss, true);
        }
    }
    for (unsigned i = 0; i < XSAVE_COMPONENTS; i++) {
        const XsaveComponent *x = &xsave_components[i];

        if (sub == x->number && (mask & x->bit)) {
            out[REG_EAX] = x->size;
            out[REG_EBX] = cpu_xsave_off(c->model, i);
        }
    }
}

static void leaf_basic(const X86Cpu *c, uint32_t leaf, uint32_t sub,
                       uint32_t out[4])
{
    const CpuModel *cm = c->model;

    switch (leaf) {
    case 0:
        leaf_vendor(cm, cm->level, out);
        if (c->s.misc_enable & MISC_LIMIT_CPUID) {
            out[REG_EAX] = MIN(out[REG_EAX], 3u);
        }
        break;
    case 1:
        leaf_1(c, out);
        break;
    case 2:
        out[REG_EAX] = 1;
        out[REG_ECX] = 0x4d;     /* 16 MiB, 16 ways */
        out[REG_EDX] = 0x2c307d; /* 32 KiB twice; 2 MiB, 8 ways */
        break;
    case 4:
        if (cm->vendor != VENDOR_AMD) {
            leaf_4(cm, sub, out);
        }
        break;
    case 5:
        if (cpu_model_has(cm, FEAT_MONITOR)) {
            out[REG_EAX] = out[REG_EBX] = CACHE_LINE;
            out[REG_ECX] = 3; /* EDX: no C-states beyond HLT's */
        }
        break;
    case 6:
        out[REG_EAX] = feature_word(cm, 6, 0, REG_EAX);
        break;
    case 7:
        leaf_7(c, sub, out);
        break;
    case 0xb:
        leaf_topology(c, sub, out);
        break;
    case 0xd:
        leaf_xsave(c, sub, out);
        break;
    case 0x15: /* the crystal, which also clocks the APIC timer, and the TSC */
        out[REG_EAX] = out[REG_EBX] = 1;
        out[REG_ECX] = X86_TSC_HZ;
        if (x86_tsc_hz(c) != X86_TSC_HZ) { /* Linux multiplies in 32 bits */
            out[REG_EAX] = 1000;
            out[REG_EBX] = (uint32_t)((x86_tsc_hz(c) + 500000) / 1000000);
        }
        break;
    case 0x16:
        out[REG_EAX] = out[REG_EBX] = (uint32_t)(x86_tsc_hz(c) / 1000000);
        out[REG_ECX] = 100;
        break;
    default: /* 3 serial number, 0xa counters, 0x12 SGX, 0x14 trace, ... */
        break;
    }
}

static void leaf_hypervisor(const X86Cpu *c, uint32_t leaf, uint32_t out[4])
{
    if (c->model->kvm_leaf) {
        if (leaf == 0x40000000) {
            out[REG_EAX] = 0x40000001;
            memcpy(&out[REG_EBX], "KVMKVMKVM\0\0\0", 12);
        } else if (leaf == 0x40000001) {
            out[REG_EAX] = c->model->kvm_features;
        }
    } else if (leaf == 0x40000000) {
        out[REG_EAX] = 0x40000010;
        memcpy(&out[REG_EBX], "TCGTCGTCGTCG", 12);
    } else if (leaf == 0x40000010) { /* kHz of TSC and APIC bus */
        out[REG_EAX] = (uint32_t)(x86_tsc_hz(c) / 1000);
        out[REG_EBX] = X86_TSC_HZ / 1000;
    }
}

/* AMD repeats much of leaf 1's EDX. */
static uint32_t leaf_ext_edx(const CpuModel *cm)
{
    uint32_t v = feature_word(cm, 0x80000001, 0, REG_EDX);

    if (cm->vendor == VENDOR_AMD) {
        v |= feature_word(cm, 1, 0, REG_EDX) & 0x0183f3ff;
    }
    return v;
}

/* AMD APM 3, E.4.15: caches again, in AMD's format. */
static void leaf_amd_cache(const CpuModel *cm, uint32_t sub, uint32_t out[4])
{
    const CacheRow *cr;

    if (sub >= G_N_ELEMENTS(caches)) {
        return;
    }
    cr = &caches[sub];
    out[REG_EAX] =
        cr->type | cr->level << 5 | 1 << 8 | (cache_sharers(cm, cr) - 1) << 14;
    out[REG_EBX] = (CACHE_LINE - 1) | (cr->ways - 1u) << 22;
    out[REG_ECX] = cache_sets(cr) - 1;
}

static void leaf_address_sizes(const X86Cpu *c, uint32_t out[4])
{
    const CpuModel *cm = c->model;
    unsigned virt = !cpu_model_has(cm, FEAT_LM)    ? 32
                    : cpu_model_has(cm, FEAT_LA57) ? 57
                                                   : 48;

    out[REG_EAX] = cm->phys_bits | virt << 8;
    out[REG_EBX] = feature_word(cm, 0x80000008, 0, REG_EBX);
    if (cm->vendor == VENDOR_AMD && cm->cores * cm->threads > 1) {
        out[REG_ECX] =
            (cm->cores * cm->threads - 1) | cpu_topo_package_shift(cm) << 12;
    }
}

static void leaf_extended(const X86Cpu *c, uint32_t leaf, uint32_t sub,
                          uint32_t out[4])
{
    const CpuModel *cm = c->model;

    switch (leaf) {
    case 0x80000000:
        if (cm->vendor == VENDOR_AMD) {
            leaf_vendor(cm, cm->xlevel, out);
        }
        out[REG_EAX] = cm->xlevel;
        break;
    case 0x80000001:
        out[REG_EAX] = cm->vendor == VENDOR_AMD ? cpu_model_signature(cm) : 0;
        out[REG_ECX] = feature_word(cm, leaf, 0, REG_ECX);
        out[REG_EDX] = leaf_ext_edx(cm);
        break;
    case 0x80000002 ... 0x80000004:
        memcpy(out, cm->brand + (leaf - 0x80000002) * 16, 16);
        break;
    case 0x80000005: /* AMD: L1 */
        if (cm->vendor == VENDOR_AMD) {
            out[REG_EAX] = out[REG_EBX] = 0xff20ff20;
            out[REG_ECX] = out[REG_EDX] = 32u << 24 | 8 << 16 | 1 << 8 | 64;
        }
        break;
    case 0x80000006: /* L2, L3; 8 ways are coded as 6, 16 as 8 */
        out[REG_ECX] = 2048u << 16 | 6 << 12 | 1 << 8 | 64;
        if (cm->vendor == VENDOR_AMD) {
            out[REG_EDX] = (16384u / 512) << 18 | 8 << 12 | 1 << 8 | 64;
        }
        break;
    case 0x80000007:
        out[REG_EDX] = feature_word(cm, leaf, 0, REG_EDX);
        break;
    case 0x80000008:
        leaf_address_sizes(c, out);
        break;
    case 0x8000001d:
        if (cpu_model_has(cm, FEAT_TOPOEXT)) {
            leaf_amd_cache(cm, sub, out);
        }
        break;
    case 0x8000001e:
        if (cpu_model_has(cm, FEAT_TOPOEXT)) {
            out[REG_EAX] = c->apic_id;
            out[REG_EBX] = (c->apic_id >> cpu_topo_core_shift(cm) & 0xff) |
                           (cm->threads - 1) << 8;
            out[REG_ECX] = c->apic_id >> cpu_topo_die_shift(cm) & 0xff;
        }
        break;
    default:
        break;
    }
}

void x86_cpuid(const X86Cpu *c, uint32_t leaf, uint32_t subleaf,
               uint32_t out[4])
{
    const CpuModel *cm = c->model;

    memset(out, 0, 4 * sizeof(*out));
    if (leaf >= 0x80000000) {
        if (leaf <= cm->xlevel) {
            leaf_extended(c, leaf, subleaf, out);
            return;
        }
    } else if (leaf >= 0x40000000) {
        if (leaf <= 0x40000010 && cm->tcg_leaf) {
            leaf_hypervisor(c, leaf, out);
            return;
        }
    } else if (leaf <= cm->level) {
        leaf_basic(c, leaf, subleaf, out);
        return;
    }
    /* Beyond the highest: Intel answers as for the highest basic leaf. */
    if (cm->vendor != VENDOR_AMD) {
        leaf_basic(c, cm->level, subleaf, out);
    }
}
