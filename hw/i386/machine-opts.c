/*
 * -machine options: which exist, which mean something here.
 *
 * QEMU's names all parse. Those that cannot change what a guest sees here are
 * checked for their form and forgotten; those that would are acted on or, if
 * turned on, refused by name.
 */
#include "util/osdep.h"
#include "util/error.h"
#include "util/keyval.h"
#include "hw/i386/machine-opts.h"

typedef enum OptKind {
    OPT_ANY,  /* any text, no effect */
    OPT_BOOL, /* on or off, no effect */
    OPT_AUTO, /* on, off or auto, no effect */
    OPT_OFF,  /* off and auto are what we do; on is refused */
    OPT_NONE, /* refused */
    OPT_USED, /* read below, or by the command line */
} OptKind;

typedef struct MachineOpt {
    const char *name;
    OptKind kind;
} MachineOpt;

static const MachineOpt machine_opts[] = {
    { "type", OPT_USED },
    { "accel", OPT_USED },
    { "acpi", OPT_USED },
    { "hpet", OPT_USED },
    { "i8042", OPT_USED },
    { "pic", OPT_USED },
    { "pit", OPT_USED },
    { "max-ram-below-4g", OPT_USED },
    { "smbios-entry-point-type", OPT_USED },
    { "x-oem-id", OPT_USED },
    { "x-oem-table-id", OPT_USED },
    { "kernel", OPT_USED },
    { "initrd", OPT_USED },
    { "append", OPT_USED },
    { "dtb", OPT_USED },
    { "bus-lock-ratelimit", OPT_ANY },
    { "default-bus-bypass-iommu", OPT_BOOL },
    { "dt-compatible", OPT_ANY },
    { "dump-guest-core", OPT_BOOL },
    { "fd-bootchk", OPT_BOOL },
    { "graphics", OPT_BOOL },
    { "hmat", OPT_OFF },
    { "igd-passthru", OPT_OFF },
    { "kernel-irqchip", OPT_ANY },
    { "kernel_irqchip", OPT_ANY },
    { "kvm-shadow-mem", OPT_ANY },
    { "max-fw-size", OPT_ANY },
    { "mem-merge", OPT_BOOL },
    { "memory-backend", OPT_ANY },
    { "nvdimm", OPT_OFF },
    { "pcspk-audiodev", OPT_ANY },
    { "phandle-start", OPT_ANY },
    { "sata", OPT_BOOL },
    { "smbus", OPT_BOOL },
    { "smm", OPT_OFF },
    { "suppress-vmdesc", OPT_BOOL },
    { "usb", OPT_BOOL },
    { "vmport", OPT_AUTO },
    { "confidential-guest-support", OPT_NONE },
    { "dumpdtb", OPT_NONE },
    { "firmware", OPT_NONE },
    { "memory-encryption", OPT_NONE },
    { NULL, OPT_ANY },
};

typedef struct OptWalk {
    Machine *m;
    GError *err; /* the first one */
} OptWalk;

static void machine_unknown_option(OptWalk *w, const char *key)
{
    const char *names[G_N_ELEMENTS(machine_opts)];
    const char *near;

    for (size_t i = 0; i < G_N_ELEMENTS(machine_opts); i++) {
        names[i] = machine_opts[i].name;
    }
    near = nearest_name(key, names);
    error_setg(&w->err, "unknown option '%s' of machine '%s'%s%s%s", key,
               w->m->cls->name, near ? ": did you mean '" : "",
               near ? near : "", near ? "'?" : "");
}

static void machine_check_option(const char *key, const char *value,
                                 void *opaque)
{
    const MachineOpt *o = machine_opts;
    bool is_auto = strcmp(value, "auto") == 0;
    OptWalk *w = opaque;
    bool on = false;

    if (w->err || g_str_has_prefix(key, "smp.") ||
        g_str_has_prefix(key, "boot.") || g_str_has_prefix(key, "memory.")) {
        return; /* the command line's */
    }
    while (o->name && strcmp(o->name, key) != 0) {
        o++;
    }
    if (!o->name) {
        machine_unknown_option(w, key);
        return;
    }
    if ((o->kind == OPT_BOOL ||
         ((o->kind == OPT_AUTO || o->kind == OPT_OFF) && !is_auto)) &&
        !parse_bool(value, &on, NULL)) {
        error_setg(&w->err, "-machine %s must be on or off, not '%s'", key,
                   value);
    } else if (o->kind == OPT_NONE || (o->kind == OPT_OFF && on)) {
        error_setg(&w->err, "-machine %s=%s is not supported yet", key, value);
    }
}

/* @out has the machine's own default. */
static bool machine_read_bools(KeyVal *kv, PcOptions *out, GError **errp)
{
    return keyval_bool(kv, "acpi", out->acpi, &out->acpi, errp) &&
           keyval_bool(kv, "hpet", out->hpet, &out->hpet, errp) &&
           keyval_bool(kv, "i8042", out->i8042, &out->i8042, errp) &&
           keyval_bool(kv, "pic", out->pic, &out->pic, errp) &&
           keyval_bool(kv, "pit", out->pit, &out->pit, errp);
}

static bool machine_read_text(KeyVal *kv, const char *key, char *out,
                              size_t max, GError **errp)
{
    const char *v = keyval_get(kv, key);

    if (v && strlen(v) > max) {
        error_setg(errp, "-machine %s has %zu characters, at most %zu fit", key,
                   strlen(v), max);
        return false;
    }
    if (v) {
        g_strlcpy(out, v, max + 1);
    }
    return true;
}

static bool machine_read_smbios(KeyVal *kv, PcOptions *out, GError **errp)
{
    const char *v = keyval_get(kv, "smbios-entry-point-type");

    if (v && strcmp(v, "32") != 0 && strcmp(v, "64") != 0 &&
        strcmp(v, "auto") != 0) {
        error_setg(errp,
                   "-machine smbios-entry-point-type must be 32, 64 or auto, "
                   "not '%s'",
                   v);
        return false;
    }
    out->smbios_v2 = !v || strcmp(v, "64") != 0;
    out->smbios_v3 = !v || strcmp(v, "32") != 0;
    return true;
}

static void machine_take(KeyVal *kv, const char *key, char **cfg)
{
    const char *v = keyval_get(kv, key);

    if (v && !*cfg) {
        *cfg = g_strdup(v);
    }
}

bool machine_read_options(Machine *m, PcOptions *out, GError **errp)
{
    KeyVal *kv = m->cfg.machine_opts;
    OptWalk walk = { .m = m };

    *out = (PcOptions) {
        .acpi = !m->cfg.no_acpi,
        .hpet = !m->cfg.no_hpet,
        .i8042 = true,
        .pic = true,
        .pit = true,
        .smbios_v2 = true,
        .smbios_v3 = true,
        .oem_id = "BOCHS ", /* as QEMU: guests key quirks on it */
        .oem_table_id = "BXPC    ",
    };
    if (!kv) {
        return true;
    }
    keyval_foreach(kv, machine_check_option, &walk);
    if (walk.err) {
        g_propagate_error(errp, walk.err);
        return false;
    }
    machine_take(kv, "kernel", &m->cfg.kernel);
    machine_take(kv, "initrd", &m->cfg.initrd);
    machine_take(kv, "append", &m->cfg.append);
    machine_take(kv, "dtb", &m->cfg.dtb);
    return machine_read_bools(kv, out, errp) &&
           keyval_size(kv, "max-ram-below-4g", 1, 0, &out->max_below_4g,
                       errp) &&
           machine_read_text(kv, "x-oem-id", out->oem_id, 6, errp) &&
           machine_read_text(kv, "x-oem-table-id", out->oem_table_id, 8,
                             errp) &&
           machine_read_smbios(kv, out, errp);
}
