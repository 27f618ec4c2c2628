/*
 * CPUID for the kernel: what target-x86/cpuid.c says of the model, leaf by
 * leaf, after the model lost what KVM_GET_SUPPORTED_CPUID does not list.
 *
 * The model has no more than the software CPU knows, because that completes
 * instructions and X86State holds the registers; but AVX-512, whose registers
 * it keeps without computing with them (X86Cpu.ext), where a small guest shows
 * that KVM executes it. AMX and what else XSAVE may have is not offered.
 */
#include "util/osdep.h"
#include "accel/kvm/kvm.h"
#include "target-x86/cpuid.h"
#include "util/error.h"
#include "util/log.h"

enum { CPUID_MAX = 256 };

bool kvm_cpuid_supported(KvmAccel *a, GError **errp)
{
    struct kvm_cpuid2 *s =
        g_malloc0(sizeof(*s) + CPUID_MAX * sizeof(struct kvm_cpuid_entry2));

    s->nent = CPUID_MAX;
    a->supported = s;
    if (KVM_CALL(a->fd, KVM_GET_SUPPORTED_CPUID, s) < 0) {
        error_setg_errno(errp, errno, "KVM_GET_SUPPORTED_CPUID");
        return false;
    }
    return true;
}

static const struct kvm_cpuid_entry2 *supported_leaf(const KvmAccel *a,
                                                     uint32_t leaf,
                                                     uint32_t sub)
{
    for (unsigned i = 0; i < a->supported->nent; i++) {
        const struct kvm_cpuid_entry2 *e = &a->supported->entries[i];

        if (e->function == leaf &&
            (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) ||
             e->index == sub)) {
            return e;
        }
    }
    return NULL;
}

static bool supported_feature(const KvmAccel *a, CpuFeature f)
{
    const FeatureRow *row = &feature_rows[f];
    const struct kvm_cpuid_entry2 *e = supported_leaf(a, row->leaf, row->sub);

    if (!e) {
        return false;
    }
    switch (row->reg) {
    case REG_EAX:
        return e->eax >> row->bit & 1;
    case REG_EBX:
        return e->ebx >> row->bit & 1;
    case REG_ECX:
        return e->ecx >> row->bit & 1;
    default:
        return e->edx >> row->bit & 1;
    }
}

/* Ours whatever KVM says: our APIC, topology, and no feature at all. */
static bool feature_is_ours(const KvmAccel *a, CpuFeature f)
{
    switch (f) {
    case FEAT_NONE:
    case FEAT_HYPERVISOR:
    case FEAT_APIC:
    case FEAT_HT:
    case FEAT_CMP_LEGACY:
    case FEAT_TOPOEXT:
    case FEAT_ARAT:
    case FEAT_INVTSC:
        return true;
    case FEAT_X2APIC:
        return a->caps.user_msr || a->host.lapic;
    default:
        return false;
    }
}

static bool feature_stays(const KvmAccel *a, CpuFeature f)
{
    if (f == FEAT_TSC_DEADLINE) {
        if (a->host.lapic) {
            return a->caps.tsc_deadline;
        }
        if (!a->caps.user_msr || !a->caps.msr_filter) {
            return false; /* our APIC must hear of that MSR */
        }
    }
    return feature_is_ours(a, f) || supported_feature(a, f);
}

/* The host's own identity for "-cpu host". */
static void model_host_identity(const KvmAccel *a, CpuModel *cm)
{
    const struct kvm_cpuid_entry2 *e = supported_leaf(a, 0, 0);
    uint32_t brand[12] = { 0 };

    if (e) {
        memcpy(cm->vendor_id, &e->ebx, 4);
        memcpy(cm->vendor_id + 4, &e->edx, 4);
        memcpy(cm->vendor_id + 8, &e->ecx, 4);
        cm->vendor = !strcmp(cm->vendor_id, "GenuineIntel")   ? VENDOR_INTEL
                     : !strcmp(cm->vendor_id, "AuthenticAMD") ? VENDOR_AMD
                                                              : VENDOR_OTHER;
    }
    e = supported_leaf(a, 1, 0);
    if (e) {
        cm->family = e->eax >> 8 & 15;
        cm->model = (e->eax >> 4 & 15) | (e->eax >> 12 & 0xf0);
        cm->stepping = e->eax & 15;
        if (cm->family == 15) {
            cm->family += e->eax >> 20 & 0xff;
        }
    }
    for (unsigned i = 0; i < 3; i++) {
        __asm__("cpuid"
                : "=a"(brand[4 * i]), "=b"(brand[4 * i + 1]),
                  "=c"(brand[4 * i + 2]), "=d"(brand[4 * i + 3])
                : "a"(0x80000002 + i), "c"(0));
    }
    memcpy(cm->brand, brand, 48);
    cm->brand[48] = '\0';
}

/* ---- to the kernel ------------------------------------------------------------------ */

G_STATIC_ASSERT(sizeof(struct kvm_cpuid2) == 8);

typedef struct CpuidList { /* struct kvm_cpuid2, with room */
    struct {
        uint32_t nent, padding;
    } head;
    struct kvm_cpuid_entry2 entry[CPUID_MAX];
} CpuidList;

static void cpuid_add(CpuidList *list, const X86Cpu *c, uint32_t leaf,
                      uint32_t sub, bool indexed)
{
    struct kvm_cpuid_entry2 *e = &list->entry[list->head.nent];
    uint32_t r[4];

    if (list->head.nent == CPUID_MAX) {
        return;
    }
    x86_cpuid(c, leaf, sub, r);
    *e = (struct kvm_cpuid_entry2) {
        .function = leaf,
        .index = sub,
        .flags = indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
        .eax = r[REG_EAX],
        .ebx = r[REG_EBX],
        .ecx = r[REG_ECX],
        .edx = r[REG_EDX],
    };
    list->head.nent++;
}

static unsigned cpuid_subleaves(uint32_t leaf)
{
    switch (leaf) {
    case 4:
    case 0x8000001d:
        return 5;
    case 7:
    case 0xb:
        return 3;
    case 0xd:
        return 10;
    default:
        return 0;
    }
}

static void cpuid_range(CpuidList *list, const X86Cpu *c, uint32_t first,
                        uint32_t last)
{
    for (uint32_t leaf = first; leaf <= last; leaf++) {
        unsigned n = cpuid_subleaves(leaf);

        for (unsigned sub = 0; sub < n; sub++) {
            cpuid_add(list, c, leaf, sub, true);
        }
        if (!n) {
            cpuid_add(list, c, leaf, 0, false);
        }
    }
}

/* A leaf that is not in the list is all zeros for the guest. */
static void cpuid_list(CpuidList *list, const X86Cpu *c, bool leaf7)
{
    if (leaf7) {
        cpuid_range(list, c, 0, c->model->level);
    } else {
        cpuid_range(list, c, 0, MIN(c->model->level, 6u));
        cpuid_range(list, c, 8, c->model->level);
    }
    if (c->model->tcg_leaf) {
        cpuid_range(list, c, 0x40000000, 0x40000001);
    }
    cpuid_range(list, c, 0x80000000, c->model->xlevel);
}

/* As many banks as target-x86/msr.c has, or as KVM can. */
static void cpuid_machine_check(KvmCpu *kc)
{
    enum { BANKS = 10, CTL_P = 1 << 8, SER_P = 1 << 24 };
    uint64_t can = 0, cap;

    if (!cpu_has(kvm_x86(kc), FEAT_MCA) ||
        KVM_CALL(kc->kvm->fd, KVM_X86_GET_MCE_CAP_SUPPORTED, &can) < 0) {
        return;
    }
    cap = MIN(BANKS, kc->kvm->caps.mce_banks) | (can & (CTL_P | SER_P));
    KVM_CALL(kc->fd, KVM_X86_SETUP_MCE, &cap);
}

bool kvm_cpuid_set(KvmCpu *kc, GError **errp)
{
    X86Cpu *c = kvm_x86(kc);
    g_autofree CpuidList *list = g_new0(CpuidList, 1);
    uint64_t apic_base = c->s.apic_base;

    if (!c->model) {
        return true; /* a test's processor */
    }
    c->s.apic_base |= 1 << 11; /* the kernel clears the bit itself */
    cpuid_list(list, c, !kc->kvm->probe.hide_leaf7);
    c->s.apic_base = apic_base;
    if (KVM_CALL(kc->fd, KVM_SET_CPUID2, list) < 0) {
        error_setg_errno(errp, errno, "KVM_SET_CPUID2");
        return false;
    }
    cpuid_machine_check(kc);
    return true;
}

/* ---- the model ----------------------------------------------------------------------- */

/* Runs the probe's guest with what @cm says. */
static void model_probe(KvmAccel *a, const CpuModel *cm, CpuidList *list)
{
    g_autofree X86Cpu *c = g_new0(X86Cpu, 1);
    bool hide_leaf7 = a->probe.hide_leaf7;

    memset(list, 0, sizeof(*list));
    c->model = cm;
    c->has_ext = cpu_model_has(cm, FEAT_AVX512F);
    c->s.apic_base = 1 << 11;
    cpuid_list(list, c, !hide_leaf7);
    kvm_probe_guest(a->fd, a->run_size, (struct kvm_cpuid2 *)list, &a->probe);
    a->probe.hide_leaf7 = hide_leaf7;
}

static bool probe_shows(const KvmProbe *p, CpuFeature f)
{
    const FeatureRow *row = &feature_rows[f];
    const uint32_t *seen = kvm_probe_leaf(p, row->leaf, row->sub);

    return seen && (seen[row->reg] >> row->bit & 1);
}

bool kvm_cpu_has_ext(KvmCpu *kc)
{
    const KvmProbe *p = &kc->kvm->probe;
    const uint32_t *xsave = kvm_probe_leaf(p, 0xd, 0);

    return cpu_has(kvm_x86(kc), FEAT_AVX512F) ||
           (p->adds_cpuid && xsave && (xsave[REG_EAX] & XCR0_EXT));
}

/* XSAVE in the guest is the host's: so are the places. */
static void model_xsave_layout(const KvmAccel *a, CpuModel *cm)
{
    for (unsigned n = 0; n < XSAVE_COMPONENTS; n++) {
        const struct kvm_cpuid_entry2 *e =
            supported_leaf(a, 0xd, xsave_components[n].number);

        if (e && e->eax == xsave_components[n].size) {
            cm->xsave_off[n] = (uint16_t)e->ebx;
        }
    }
}

/* What the model hopes for, if KVM has it and a guest that tries it goes on. */
static void model_give_avx512(KvmAccel *a, CpuModel *cm, CpuidList *list)
{
    const struct kvm_cpuid_entry2 *e = supported_leaf(a, 0xd, 0);
    g_autofree CpuModel *was = g_memdup2(cm, sizeof(*cm));

    if (!e || (e->eax & XCR0_EXT) != XCR0_EXT || !a->caps.xsave ||
        !cpu_model_has(cm, FEAT_AVX2) || !cpu_model_hopes(cm, FEAT_AVX512F) ||
        !supported_feature(a, FEAT_AVX512F)) {
        return;
    }
    for (unsigned f = 1; f < FEAT_COUNT; f++) {
        if (cpu_feature_is_avx512(f) && cpu_model_hopes(cm, f) &&
            supported_feature(a, f)) {
            cpu_model_give(cm, f);
        }
    }
    model_probe(a, cm, list);
    if (!a->probe.done ||
        !kvm_probe_avx512(a->fd, a->run_size, (struct kvm_cpuid2 *)list)) {
        *cm = *was;
    }
}

static void model_drop(CpuModel *cm, CpuFeature f)
{
    cm->has[f / 64] &= ~(UINT64_C(1) << (f % 64));
}

/*
 * An interpreter may show AVX-512 whatever KVM_SET_CPUID2 said, and execute
 * none of it; nor does the software CPU. What it does not show anything in is a
 * leaf that is not there, so leaf 7 goes as a whole.
 */
static void model_hide_avx512(KvmAccel *a, CpuModel *cm, CpuidList *list)
{
    if (!probe_shows(&a->probe, FEAT_AVX512F) ||
        cpu_model_has(cm, FEAT_AVX512F) ||
        kvm_probe_avx512(a->fd, a->run_size, (struct kvm_cpuid2 *)list)) {
        return;
    }
    for (unsigned f = 1; f < FEAT_COUNT; f++) {
        if (feature_rows[f].leaf == 7) {
            model_drop(cm, f);
        }
    }
    a->probe.hide_leaf7 = true;
    model_probe(a, cm, list);
    if (!probe_shows(&a->probe, FEAT_AVX512F)) {
        info_report("kvm: this host's KVM shows guests AVX-512 and does not "
                    "execute it: CPUID leaf 7 is left out");
    }
}

/*
 * A guest looks at what it was given. An interpreter in the kernel may show
 * more; since guests will use it, the software CPU must have it too.
 */
static void model_add_seen(KvmAccel *a, CpuModel *cm)
{
    g_autofree CpuidList *list = g_new0(CpuidList, 1);

    model_xsave_layout(a, cm);
    model_give_avx512(a, cm, list);
    model_probe(a, cm, list);
    model_hide_avx512(a, cm, list);
    if (a->probe.interprets && a->caps.guest_debug && a->completion &&
        cpu_model_has(cm, FEAT_LM)) {
        a->probe.user_runs =
            !kvm_probe_syscall(a->fd, a->run_size, (struct kvm_cpuid2 *)list);
    }
    for (unsigned f = 1; f < FEAT_COUNT; f++) {
        if (probe_shows(&a->probe, f) && !cpu_model_has(cm, f) &&
            cpu_feature_available(f)) {
            cpu_model_give(cm, f);
            a->probe.adds_cpuid = true;
        }
    }
}

/*
 * Those whose state X86State has; kvmclock's is in two MSRs and the clock. Not
 * where the software CPU has turns: kvmclock is made of the kernel's TSC, down
 * to the tick, and a burst's follows the virtual clock.
 */
static uint32_t model_kvm_features(const KvmAccel *a, const CpuModel *cm)
{
    const struct kvm_cpuid_entry2 *e = supported_leaf(a, 0x40000001, 0);
    uint32_t ours = KVM_CPUID_NOP_IO_DELAY;

    if (cm->kvmclock && a->caps.clock && !a->probe.interprets) {
        ours |= KVM_CPUID_OLD_CLOCK | KVM_CPUID_CLOCK | KVM_CPUID_CLOCK_STABLE;
    }
    return e ? e->eax & ours : 0;
}

void kvm_limit_model(Accel *accel, CpuModel *cm)
{
    KvmAccel *a = container_of(accel, KvmAccel, accel);
    bool named = strcmp(cm->name, "max") && strcmp(cm->name, "host");
    bool avx;

    g_free(a->whole);
    a->whole = g_memdup2(cm, sizeof(*cm)); /* its name is @cm's */
    cm->kvm_leaf = true;
    if (!named) {
        g_strlcpy(cm->brand, "Rhea KVM processor", sizeof(cm->brand));
    }
    if (!strcmp(cm->name, "host")) {
        model_host_identity(a, cm);
    }
    for (unsigned f = 1; f < FEAT_COUNT; f++) {
        if (!cpu_model_has(cm, f) || feature_stays(a, f)) {
            continue;
        }
        if (named) { /* to be told */
            cpu_model_take(cm, f);
        } else {
            model_drop(cm, f);
        }
    }
    avx = cpu_model_has(cm, FEAT_XSAVE) && cpu_model_has(cm, FEAT_AVX);
    for (unsigned f = 1; f < FEAT_COUNT && !avx; f++) {
        if (f == FEAT_AVX || f == FEAT_AVX2 || f == FEAT_FMA ||
            f == FEAT_F16C) {
            model_drop(cm, f);
        }
    }
    model_add_seen(a, cm);
    cm->kvm_features = model_kvm_features(a, cm);
}
