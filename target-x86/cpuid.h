/*
 * CPU models: what CPUID says, and which features the guest has.
 *
 * A CpuModel is made once from "-cpu NAME,+feature,..." and shared, read-only,
 * by all vCPUs. It holds only what is emulated and what this host can run:
 * the rest is taken out with a warning, as QEMU does.
 */
#ifndef TARGET_X86_CPUID_H
#define TARGET_X86_CPUID_H

#include "target-x86/cpu.h"
#include "target-x86/features.h"

typedef enum CpuVendor { VENDOR_OTHER, VENDOR_INTEL, VENDOR_AMD } CpuVendor;

/* Bits of 0x40000001. Linux: Documentation/virt/kvm/x86/cpuid.rst */
enum {
    KVM_CPUID_OLD_CLOCK = 1 << 0,
    KVM_CPUID_NOP_IO_DELAY = 1 << 1,
    KVM_CPUID_CLOCK = 1 << 3,
    KVM_CPUID_CLOCK_STABLE = 1 << 24,
};

/* What XSAVE stores behind its header, in this order. */
enum {
    XSAVE_AVX,
    XSAVE_OPMASK,
    XSAVE_ZMM_HI,
    XSAVE_HI16,
    XSAVE_PKRU,
    XSAVE_COMPONENTS
};

typedef struct XsaveComponent {
    uint64_t bit; /* of XCR0 */
    uint16_t number, size;
    uint16_t off; /* in the standard form, where Intel's processors have it */
    uint16_t ext; /* in X86Cpu.ext */
} XsaveComponent;

extern const XsaveComponent xsave_components[XSAVE_COMPONENTS];

struct CpuModel {
    char *name;
    char vendor_id[13];
    char brand[49];
    CpuVendor vendor;
    uint32_t family, model, stepping;
    uint32_t level, xlevel; /* highest basic and extended leaf */
    unsigned phys_bits;
    bool tcg_leaf;         /* 0x40000000 */
    bool kvm_leaf;         /* ... with KVM's signature */
    bool kvmclock;         /* property: guests may have it */
    uint32_t kvm_features; /* EAX of 0x40000001 */
    unsigned threads, cores, dies;
    uint16_t xsave_off[XSAVE_COMPONENTS]; /* 0: Intel's */
    bool check, enforce;                  /* properties */
    const char *asked_other; /* a feature that features.def has not */
    uint64_t has[(FEAT_COUNT + 63) / 64];
    uint64_t missing[(FEAT_COUNT + 63) / 64]; /* asked for, not to be had */
    /* Those, and what "host" has where the engine does. */
    uint64_t hoped[(FEAT_COUNT + 63) / 64];
};

/* The guest's processor has @f. FEAT_NONE: always. */
static inline bool cpu_model_has(const CpuModel *cm, CpuFeature f)
{
    return cm->has[f / 64] >> (f % 64) & 1;
}

static inline bool cpu_has(const X86Cpu *c, CpuFeature f)
{
    return cpu_model_has(c->model, f);
}

/* MAXPHYADDR. */
static inline unsigned cpu_phys_bits(const X86Cpu *c)
{
    return c->model->phys_bits;
}

static inline bool cpu_model_hopes(const CpuModel *cm, CpuFeature f)
{
    return cm->hoped[f / 64] >> (f % 64) & 1;
}

/* Afterwards the guest has @f, or it is missing if it was asked for. */
void cpu_model_give(CpuModel *cm, CpuFeature f);
void cpu_model_take(CpuModel *cm, CpuFeature f);

/* AVX-512, which an engine may have: the software CPU keeps its registers. */
bool cpu_feature_is_avx512(CpuFeature f);

/* Where component @n is in the standard form. */
static inline unsigned cpu_xsave_off(const CpuModel *cm, unsigned n)
{
    return cm && cm->xsave_off[n] ? cm->xsave_off[n] : xsave_components[n].off;
}
/* Bytes of an area with the components @bits. */
unsigned cpu_xsave_size(const CpuModel *cm, uint64_t bits, bool compact);

/*
 * From a -cpu argument (NULL: "max") and the topology of @cfg. Features that
 * cannot be had are taken out. Owned by the caller; lives as long as the CPUs.
 */
CpuModel *cpu_model_make(const char *text, const MachineConfig *cfg,
                         GError **errp);
/* One warning line for each that was asked for and is missing ("check=off": in
 * silence); with "enforce" that is an error. @who: "TCG", "host". */
bool cpu_model_report(const CpuModel *cm, const char *who, GError **errp);
/* Both, of the software CPU. */
CpuModel *cpu_model_new(const char *text, const MachineConfig *cfg,
                        GError **errp);
void cpu_model_free(CpuModel *cm);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CpuModel, cpu_model_free)
/* "-cpu help". */
void cpu_models_print(GString *out);
/* Names for completion and for query-cpu-definitions; NULL-terminated. Free
 * the array only. */
const char **cpu_model_names(void);

/* Every model and its other names (@alias_of NULL: not another name), in the
 * order of -cpu help. */
void cpu_models_foreach(void (*fn)(const char *name, const char *alias_of,
                                   void *opaque),
                        void *opaque);

typedef enum CpuReg { REG_EAX, REG_EBX, REG_ECX, REG_EDX } CpuReg;

/* A row of features.def. */
typedef struct FeatureRow {
    uint32_t leaf;
    uint8_t sub, reg, bit;
    const char *name; /* QEMU's */
} FeatureRow;

extern const FeatureRow feature_rows[FEAT_COUNT];

/* Emulated, and possible on this host. */
bool cpu_feature_available(CpuFeature f);

/* EAX of leaf 1; EDX after reset. */
uint32_t cpu_model_signature(const CpuModel *cm);
/* The APIC id of vCPU @index: fields of thread, core, die and socket, each as
 * wide as the topology needs. */
uint32_t cpu_model_apic_id(const CpuModel *cm, unsigned index);
/* Where the core's, the die's and the package's field begins. */
unsigned cpu_topo_core_shift(const CpuModel *cm);
unsigned cpu_topo_die_shift(const CpuModel *cm);
unsigned cpu_topo_package_shift(const CpuModel *cm);

/* EAX EBX ECX EDX of the CPUID instruction now (CR4.OSXSAVE and such). */
void x86_cpuid(const X86Cpu *c, uint32_t leaf, uint32_t subleaf,
               uint32_t out[4]);

#endif
