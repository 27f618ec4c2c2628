/*
 * From "-cpu NAME,+feature,prop=value" to a CpuModel. Names, texts and the
 * order in which things apply are QEMU's: properties as they stand, then
 * "+f", then "-f".
 */
#include "util/osdep.h"
#include "util/error.h"
#include "util/keyval.h"
#include "util/log.h"
#include "util/nearest.h"
#include "target-x86/cpuid.h"

/* ---- the table ------------------------------------------------------------------ */

typedef struct ModelRow {
    const char *name, *base, *alias; /* @base: a VERSION of that */
    const char *vendor;
    uint16_t family, model, stepping;
    uint32_t level, xlevel;
    const char *brand, *features;
} ModelRow;

static const ModelRow model_rows[] = {
#define MODEL(name, vendor, family, model, stepping, level, xlevel, brand, \
              features) \
    { name,     NULL,  NULL,   vendor, family,  model, \
      stepping, level, xlevel, brand,  features },
#define VERSION(name, base, alias, model, stepping, brand, changes) \
    { name, base, alias, NULL, 0, model, stepping, 0, 0, brand, changes },
#include "target-x86/models.def"
#undef MODEL
#undef VERSION
};

/*
 * "max": GenuineIntel, because a Linux kernel then learns the clock from leaf
 * 0x15 and finds in IA32_ARCH_CAPABILITIES that this processor does not
 * speculate: no page-table isolation, no retpolines; and in BHI_CTRL a reason
 * not to run its branch history loop at every system call. The model number is
 * one that Intel did not give out, so nobody applies errata or loads drivers.
 */
static const ModelRow model_max = {
    .name = "max",
    .vendor = "GenuineIntel",
    .family = 6,
    .model = 0x60,
    .stepping = 1,
    .level = 0x16,
    .xlevel = 0x80000008,
    .brand = "QEMU TCG CPU version 2.5+",
};

static const ModelRow model_base = {
    .name = "base",
    .vendor = "AuthenticAMD",
    .family = 0,
    .model = 0,
    .stepping = 0,
    .brand = "",
    .features = "",
};

/* Emulated, but not in "max": MONITOR's idle loop is worse than HLT's; these
 * are AMD's forms of what max has in Intel's; the rest means nothing here. */
static const uint16_t not_in_max[] = {
    FEAT_MONITOR,  FEAT_CMP_LEGACY, FEAT_OSVW, FEAT_TOPOEXT,
    FEAT_FXSR_OPT, FEAT_IBPB,       FEAT_IBRS, FEAT_AMD_STIBP,
    FEAT_AMD_SSBD, FEAT_AMD_NO_SSB, FEAT_HT,   FEAT_ACPI,
    FEAT_WBNOINVD, FEAT_MMXEXT,
};

/* Other spellings of names in features.def. */
static const struct {
    const char *name, *real;
} feature_aliases[] = {
    { "sse3", "pni" },
    { "pclmuldq", "pclmulqdq" },
    { "sse4-1", "sse4.1" },
    { "sse4-2", "sse4.2" },
    { "xd", "nx" },
    { "i64", "lm" },
    { "ffxsr", "fxsr-opt" },
    { "ds-cpl", "ds-cpl" },
    { "tsc-deadline-timer", "tsc-deadline" },
};

/* QEMU's features that features.def does not list: never available. */
static const char *const other_features[] = {
    "ace2",
    "ace2-en",
    "avic",
    "decodeassists",
    "flushbyasid",
    "full-width-write",
    "ibrs-all",
    "intel-pt-lip",
    "lbrv",
    "mds-no",
    "nodeid-msr",
    "npt",
    "nrip-save",
    "pause-filter",
    "perfctr-core",
    "pfthreshold",
    "phe",
    "phe-en",
    "pmm",
    "pmm-en",
    "pschange-mc-no",
    "rdctl-no",
    "rsba",
    "sgx-debug",
    "skip-l1dfl-vmentry",
    "split-lock-detect",
    "ssb-no",
    "svm-lock",
    "taa-no",
    "tsc-scale",
    "tsx-ctrl",
    "v-vmsave-vmload",
    "vgif",
    "vmcb-clean",
    "xcrypt",
    "xcrypt-en",
    "xstore",
    "xstore-en",
    "svme-addr-chk",
    "fz-hrep-movsb",
    "fzrm",
    "fsrs",
    "fsrc",
    "xfd",
};

/* Properties that cannot matter to software emulation. */
static const char *const ignored_props[] = {
    "check",
    "enforce",
    "migratable",
    "pmu",
    "host-phys-bits",
    "host-phys-bits-limit",
    "l3-cache",
    "legacy-cache",
    "host-cache-info",
    "full-cpuid-auto-level",
    "cpuid-0xb",
    "fill-mtrr-mask",
    "lmce",
    "kvm",
    "kvmclock",
    "hotpluggable",
    "vmware-cpuid-freq",
    "tcg-cpuid",
    "memory",
    "min-level",
    "min-xlevel",
    "ucode-rev",
    "lbr-fmt",
    "start-powered-off",
};

/* ---- a model being made ------------------------------------------------------------ */

typedef struct Making {
    CpuModel *cm;
} Making;

static void bit_set(uint64_t *bits, CpuFeature f, bool on)
{
    uint64_t bit = UINT64_C(1) << (f % 64);

    bits[f / 64] = on ? bits[f / 64] | bit : bits[f / 64] & ~bit;
}

static bool bit_test(const uint64_t *bits, CpuFeature f)
{
    return bits[f / 64] >> (f % 64) & 1;
}

/* FEAT_NONE: no such name. */
static CpuFeature feature_find(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(feature_aliases); i++) {
        if (!strcmp(name, feature_aliases[i].name)) {
            name = feature_aliases[i].real;
        }
    }
    for (unsigned f = 1; f < FEAT_COUNT; f++) {
        if (!strcmp(name, feature_rows[f].name)) {
            return f;
        }
    }
    return FEAT_NONE;
}

static bool name_in(const char *name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(name, list[i])) {
            return true;
        }
    }
    return false;
}

static void making_feature(Making *mk, CpuFeature f, bool on)
{
    bool available = cpu_feature_available(f);

    bit_set(mk->cm->has, f, on && available);
    bit_set(mk->cm->missing, f, on && !available);
    bit_set(mk->cm->hoped, f, on && !available);
}

void cpu_model_give(CpuModel *cm, CpuFeature f)
{
    bit_set(cm->has, f, true);
    bit_set(cm->missing, f, false);
}

void cpu_model_take(CpuModel *cm, CpuFeature f)
{
    bool asked = cpu_model_has(cm, f) || bit_test(cm->missing, f);

    bit_set(cm->has, f, false);
    bit_set(cm->missing, f, asked);
}

/* A row's list: "a b c", or "+a -b" over what is there. */
static void making_features(Making *mk, const char *list)
{
    g_auto(GStrv) words = g_strsplit(list, " ", -1);

    for (char **w = words; *w; w++) {
        bool off = **w == '-';
        const char *name = *w + (off || **w == '+');

        if (*name) {
            making_feature(mk, feature_find(name), !off);
        }
    }
}

static void making_max(Making *mk)
{
    for (unsigned f = 1; f < FEAT_COUNT; f++) {
        bool left_out = false;

        for (unsigned i = 0; i < G_N_ELEMENTS(not_in_max); i++) {
            left_out |= not_in_max[i] == f;
        }
        if (!left_out && cpu_feature_available(f)) {
            bit_set(mk->cm->has, f, true);
        } else if (cpu_feature_is_avx512(f) && !strcmp(mk->cm->name, "host")) {
            bit_set(mk->cm->hoped, f, true); /* "max" moves between engines */
        }
    }
}

/*
 * The emulated TSC never stops or drifts and is the same on all processors, so
 * every model says so, old ones too (leaves that a model does not have hide
 * it). Otherwise Linux suspects it with more than one processor of AMD's, or
 * watches it and takes a busy host for a bad clock.
 */
static void making_good_clock(Making *mk)
{
    making_feature(mk, FEAT_INVTSC, true);
    making_feature(mk, FEAT_TSC_ADJUST, true);
}

/* NAME-v1 is NAME; NAME-vN and its other name are rows of their own. */
static const ModelRow *row_find(const char *name)
{
    g_autofree char *plain = g_strdup(name);

    if (!strcmp(name, "max") || !strcmp(name, "host")) {
        return &model_max;
    }
    if (!strcmp(name, "base")) {
        return &model_base;
    }
    if (g_str_has_suffix(name, "-v1")) {
        plain[strlen(plain) - 3] = '\0';
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(model_rows); i++) {
        const ModelRow *row = &model_rows[i];

        if (!strcmp(plain, row->name) ||
            (row->alias && !strcmp(plain, row->alias))) {
            return row;
        }
    }
    return NULL;
}

static void making_row(Making *mk, const ModelRow *row)
{
    CpuModel *cm = mk->cm;

    if (row->base) {
        making_row(mk, row_find(row->base));
    } else {
        g_strlcpy(cm->vendor_id, row->vendor, sizeof(cm->vendor_id));
        cm->family = row->family;
        cm->level = row->level;
        cm->xlevel = row->xlevel;
    }
    cm->model = row->model;
    cm->stepping = row->stepping;
    g_strlcpy(cm->brand, row->brand, sizeof(cm->brand));
    if (row->features) {
        making_features(mk, row->features);
    } else {
        making_max(mk);
    }
}

/* ---- properties ------------------------------------------------------------------------ */

static bool prop_number(const char *name, const char *value, uint32_t min,
                        uint32_t max, uint32_t *out, GError **errp)
{
    uint64_t v;

    if (!parse_u64(value, &v, errp)) {
        g_prefix_error(errp, "CPU property '%s': ", name);
        return false;
    }
    if (v < min || v > max) {
        error_setg(errp, "Property '%s' must be %u to %u, not %s", name, min,
                   max, value);
        return false;
    }
    *out = (uint32_t)v;
    return true;
}

static bool prop_vendor(CpuModel *cm, const char *value, GError **errp)
{
    if (strlen(value) != 12) {
        error_setg(errp, "Property 'vendor' must have 12 characters, not '%s'",
                   value);
        return false;
    }
    g_strlcpy(cm->vendor_id, value, sizeof(cm->vendor_id));
    return true;
}

static bool prop_tsc_frequency(const char *value, GError **errp)
{
    uint64_t hz;

    if (!parse_size(value, 1, &hz, errp)) {
        return false;
    }
    if (hz && hz != X86_TSC_HZ) {
        error_setg(errp,
                   "tsc-frequency=%s is not supported yet: the TSC runs at %u "
                   "Hz",
                   value, X86_TSC_HZ);
        return false;
    }
    return true;
}

static bool prop_phys_bits(CpuModel *cm, const char *value, GError **errp)
{
    uint32_t bits;

    if (!prop_number("phys-bits", value, 0, 52, &bits, errp)) {
        return false;
    }
    if (bits && bits < 32) {
        error_setg(errp, "phys-bits should be between 32 and 52 (but is %u)",
                   bits);
        return false;
    }
    cm->phys_bits = bits ? bits : cm->phys_bits;
    return true;
}

static bool prop_ignored(const char *name)
{
    return name_in(name, ignored_props, G_N_ELEMENTS(ignored_props)) ||
           g_str_has_prefix(name, "hv-") || g_str_has_prefix(name, "kvm-") ||
           g_str_has_prefix(name, "x-") || g_str_has_prefix(name, "xen-");
}

static bool prop_unknown(const Making *mk, const char *name, GError **errp)
{
    g_autofree char *hint = NULL;
    const char *names[FEAT_COUNT];

    for (unsigned f = 1; f < FEAT_COUNT; f++) {
        names[f - 1] = feature_rows[f].name;
    }
    names[FEAT_COUNT - 1] = NULL;
    hint = did_you_mean(name, names, "; ");
    error_setg(errp, "Property '%s-x86_64-cpu.%s' not found%s", mk->cm->name,
               name, hint);
    return false;
}

/* name=value for names that are not features. */
static bool making_prop(Making *mk, const char *name, const char *value,
                        GError **errp)
{
    CpuModel *cm = mk->cm;

    if (!strcmp(name, "vendor")) {
        return prop_vendor(cm, value, errp);
    }
    if (!strcmp(name, "model-id")) {
        g_strlcpy(cm->brand, value, sizeof(cm->brand));
        return true;
    }
    if (!strcmp(name, "family")) {
        return prop_number(name, value, 0, 270, &cm->family, errp);
    }
    if (!strcmp(name, "model")) {
        return prop_number(name, value, 0, 255, &cm->model, errp);
    }
    if (!strcmp(name, "stepping")) {
        return prop_number(name, value, 0, 15, &cm->stepping, errp);
    }
    if (!strcmp(name, "level")) {
        return prop_number(name, value, 0, 0x1f, &cm->level, errp);
    }
    if (!strcmp(name, "xlevel")) {
        return prop_number(name, value, 0, 0x8000001f, &cm->xlevel, errp);
    }
    if (!strcmp(name, "phys-bits")) {
        return prop_phys_bits(cm, value, errp);
    }
    if (!strcmp(name, "tsc-frequency")) {
        return prop_tsc_frequency(value, errp);
    }
    if (!strcmp(name, "check")) {
        return parse_bool(value, &cm->check, errp);
    }
    if (!strcmp(name, "enforce")) {
        return parse_bool(value, &cm->enforce, errp);
    }
    if (!strcmp(name, "kvmclock")) {
        return parse_bool(value, &cm->kvmclock, errp);
    }
    if (!strcmp(name, "tcg-cpuid")) {
        return parse_bool(value, &cm->tcg_leaf, errp);
    }
    return prop_ignored(name) || prop_unknown(mk, name, errp);
}

/* The name that is ours, not the command line's. */
static const char *other_name(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(other_features); i++) {
        if (!strcmp(name, other_features[i])) {
            return other_features[i];
        }
    }
    return NULL;
}

static bool making_set(Making *mk, const char *name, const char *value,
                       GError **errp)
{
    CpuFeature f = feature_find(name);
    bool on;

    if (f == FEAT_NONE &&
        !name_in(name, other_features, G_N_ELEMENTS(other_features))) {
        return making_prop(mk, name, value, errp);
    }
    if (!parse_bool(value, &on, errp)) {
        g_prefix_error(errp, "CPU property '%s': ", name);
        return false;
    }
    if (f != FEAT_NONE) {
        making_feature(mk, f, on);
    } else if (on) {
        mk->cm->asked_other = other_name(name);
    }
    return true;
}

/* Pass 0 takes "f", "f=v"; pass 1 "+f"; pass 2 "-f". */
static bool making_words(Making *mk, char **words, int pass, GError **errp)
{
    for (; *words; words++) {
        char *word = *words, *eq;
        int mine = *word == '+' ? 1 : *word == '-' ? 2 : 0;

        if (mine != pass || !*word) {
            continue;
        }
        word += pass != 0;
        eq = strchr(word, '=');
        if (eq) {
            *eq++ = '\0';
        }
        g_strdelimit(word, "_", '-');
        if (!making_set(mk, word, pass == 2 ? "off" : eq ? eq : "on", errp)) {
            return false;
        }
    }
    return true;
}

/* ---- the whole ------------------------------------------------------------------------- */

/* Features that cannot be without another one, and those that the operating
 * system turns on at run time. */
static void finish_features(CpuModel *cm)
{
    static const uint16_t need_avx[] = { FEAT_AVX2, FEAT_FMA, FEAT_F16C };
    static const uint16_t need_xsave[] = { FEAT_AVX,      FEAT_PKU,
                                           FEAT_XSAVEOPT, FEAT_XSAVEC,
                                           FEAT_XGETBV1,  FEAT_XSAVES };

    for (unsigned i = 0; i < G_N_ELEMENTS(need_xsave); i++) {
        if (!cpu_model_has(cm, FEAT_XSAVE)) {
            bit_set(cm->has, need_xsave[i], false);
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(need_avx); i++) {
        if (!cpu_model_has(cm, FEAT_AVX)) {
            bit_set(cm->has, need_avx[i], false);
        }
    }
    bit_set(cm->has, FEAT_OSXSAVE, false);
    bit_set(cm->has, FEAT_OSPKE, false);
}

/* Threads, cores and dies, and the features that tell of them. */
static void finish_topology(CpuModel *cm, const MachineConfig *cfg)
{
    cm->threads = MAX(cfg ? cfg->threads : 1, 1u);
    cm->cores = MAX(cfg ? cfg->cores : 1, 1u);
    cm->dies = MAX(cfg ? cfg->dies : 1, 1u);
    bit_set(cm->has, FEAT_HT, cm->threads * cm->cores * cm->dies > 1);
    if (cm->vendor == VENDOR_AMD && cm->cores * cm->threads > 1) {
        bit_set(cm->has, FEAT_CMP_LEGACY, true);
    }
}

/* What must follow from the rest. */
static void making_finish(Making *mk, const MachineConfig *cfg)
{
    CpuModel *cm = mk->cm;

    cm->vendor = !strcmp(cm->vendor_id, "GenuineIntel") ? VENDOR_INTEL
                 : !strcmp(cm->vendor_id, "AuthenticAMD") ||
                         !strcmp(cm->vendor_id, "HygonGenuine")
                     ? VENDOR_AMD
                     : VENDOR_OTHER;
    finish_features(cm);
    finish_topology(cm, cfg);
    if (!cm->phys_bits) {
        cm->phys_bits = cpu_model_has(cm, FEAT_LM)      ? 40
                        : cpu_model_has(cm, FEAT_PSE36) ? 36
                                                        : 32;
    }
    if (cpu_model_has(cm, FEAT_ARAT)) {
        cm->level = MAX(cm->level, 6u);
    }
    /* Beyond the highest leaf nobody can see it: no MSR either. */
    if (cm->level < 7) {
        bit_set(cm->has, FEAT_TSC_ADJUST, false);
    }
    bit_set(cm->has, FEAT_NONE, true);
}

bool cpu_model_report(const CpuModel *cm, const char *who, GError **errp)
{
    static const char *const regs[] = { "EAX", "EBX", "ECX", "EDX" };
    bool any = cm->asked_other, tell = cm->check || cm->enforce;

    if (any && tell) {
        warn_report("%s doesn't support requested feature: %s", who,
                    cm->asked_other);
    }
    for (unsigned f = 1; f < FEAT_COUNT; f++) {
        const FeatureRow *row = &feature_rows[f];

        if (!bit_test(cm->missing, f)) {
            continue;
        }
        any = true;
        if (tell) {
            warn_report("%s doesn't support requested feature: "
                        "CPUID.%02XH:%s.%s [bit %u]",
                        who, row->leaf, regs[row->reg], row->name, row->bit);
        }
    }
    if (any && cm->enforce) {
        error_setg(errp, "%s doesn't support requested features", who);
        return false;
    }
    return true;
}

static bool model_unknown(const char *name, GError **errp)
{
    g_autofree const char **names = cpu_model_names();
    g_autofree char *hint = did_you_mean(name, names, "; ");

    error_setg(errp, "unable to find CPU model '%s'%s", name, hint);
    return false;
}

static bool making_all(Making *mk, char **words, const MachineConfig *cfg,
                       GError **errp)
{
    const ModelRow *row = words[0] ? row_find(words[0]) : NULL;

    if (!row) {
        return model_unknown(words[0] ? words[0] : "", errp);
    }
    mk->cm->name = g_strdup(words[0]);
    mk->cm->tcg_leaf = true;
    mk->cm->kvmclock = true;
    bit_set(mk->cm->has, FEAT_HYPERVISOR, true);
    bit_set(mk->cm->has, FEAT_APIC, true);
    if (row != &model_base) {
        making_good_clock(mk);
    }
    making_row(mk, row);
    for (int pass = 0; pass < 3; pass++) {
        if (!making_words(mk, words + 1, pass, errp)) {
            return false;
        }
    }
    making_finish(mk, cfg);
    return true;
}

CpuModel *cpu_model_make(const char *text, const MachineConfig *cfg,
                         GError **errp)
{
    char **words = g_strsplit(text ? text : "max", ",", -1);
    CpuModel *cm = g_new0(CpuModel, 1);
    Making mk = { .cm = cm };

    cm->check = true;
    if (!making_all(&mk, words, cfg, errp)) {
        cpu_model_free(cm);
        cm = NULL;
    }
    g_strfreev(words);
    return cm;
}

CpuModel *cpu_model_new(const char *text, const MachineConfig *cfg,
                        GError **errp)
{
    CpuModel *cm = cpu_model_make(text, cfg, errp);

    if (cm && !cpu_model_report(cm, "TCG", errp)) {
        cpu_model_free(cm);
        cm = NULL;
    }
    return cm;
}

void cpu_model_free(CpuModel *cm)
{
    if (cm) {
        g_free(cm->name);
        g_free(cm);
    }
}

/* ---- lists -------------------------------------------------------------------------------- */

const char **cpu_model_names(void)
{
    GPtrArray *names = g_ptr_array_new();

    for (unsigned i = 0; i < G_N_ELEMENTS(model_rows); i++) {
        const ModelRow *row = &model_rows[i];

        g_ptr_array_add(names, (void *)row->name);
        if (row->alias && *row->alias) {
            g_ptr_array_add(names, (void *)row->alias);
        }
    }
    g_ptr_array_add(names, (void *)"base");
    g_ptr_array_add(names, (void *)"host");
    g_ptr_array_add(names, (void *)"max");
    g_ptr_array_add(names, NULL);
    return (const char **)g_ptr_array_free(names, FALSE);
}

void cpu_models_foreach(void (*fn)(const char *name, const char *alias_of,
                                   void *opaque),
                        void *opaque)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(model_rows); i++) {
        const ModelRow *row = &model_rows[i];
        g_autofree char *v1 = g_strconcat(row->name, "-v1", NULL);

        if (!row->base) {
            fn(row->name, v1, opaque);
            fn(v1, NULL, opaque);
        } else {
            fn(row->name, NULL, opaque);
            if (*row->alias) {
                fn(row->alias, row->name, opaque);
            }
        }
    }
    fn("base", NULL, opaque);
    fn("host", NULL, opaque);
    fn("max", NULL, opaque);
}

static void print_model(GString *out, const char *name, const char *desc)
{
    g_string_append_printf(out, "x86 %-20s  %s\n", name, desc);
}

static void print_flags(GString *out)
{
    size_t column = 0;

    g_string_append(out, "\nRecognized CPUID flags:\n");
    for (unsigned f = 1; f < FEAT_COUNT; f++) {
        const char *name = feature_rows[f].name;

        if (column + strlen(name) + 1 > 75) {
            g_string_append_c(out, '\n');
            column = 0;
        }
        g_string_append_printf(out, "%s%s", column ? " " : "  ", name);
        column += strlen(name) + (column ? 1 : 2);
    }
    g_string_append_c(out, '\n');
}

void cpu_models_print(GString *out)
{
    g_string_append(out, "Available CPUs:\n");
    for (unsigned i = 0; i < G_N_ELEMENTS(model_rows); i++) {
        const ModelRow *row = &model_rows[i];
        g_autofree char *v1 = g_strconcat(row->name, "-v1", NULL);

        if (row->base) {
            print_model(out, row->name, row->brand);
            if (*row->alias) {
                g_autofree char *desc =
                    g_strdup_printf("(alias of %s)", row->name);

                print_model(out, row->alias, desc);
            }
        } else {
            print_model(out, row->name, "(alias configured by machine type)");
            print_model(out, v1, row->brand);
        }
    }
    print_model(out, "base", "base CPU model type with no features enabled");
    print_model(out, "host", "with tcg the same as max");
    print_model(out, "max",
                "Enables all features supported by the accelerator in the "
                "current host");
    print_flags(out);
}
