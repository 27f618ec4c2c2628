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
#include "util/nearest.h"
#include "hw/i386/machine-opts.h"

typedef enum OptKind {
    OPT_ANY,  /* any text, no effect */
    OPT_BOOL, /* on or off; no effect, or read where it has one */
    OPT_AUTO, /* on, off or auto, no effect */
    OPT_OFF,  /* off and auto are what we do; on is refused */
    OPT_NONE, /* refused */
    OPT_USED, /* read below, or by the command line */
} OptKind;

typedef struct MachineOpt {
    const char *name;
    OptKind kind;
    const char *machine; /* the only one that has it; NULL: all */
    const char *help;    /* NULL: it changes nothing here */
} MachineOpt;

static const MachineOpt machine_opts[] = {
    { "type", OPT_USED, NULL, "a machine of \"-machine help\"" },
    { "accel", OPT_USED, NULL, "engines to try, as a:b" },
    { "acpi", OPT_USED, NULL, "ACPI tables and power management (on)" },
    { "hpet", OPT_USED, NULL, "High Precision Event Timer" },
    { "i8042", OPT_USED, NULL, "keyboard controller" },
    { "pic", OPT_USED, NULL, "8259 interrupt controllers (on)" },
    { "pit", OPT_USED, NULL, "8254 timer (on)" },
    { "max-ram-below-4g", OPT_USED, NULL,
      "bytes of RAM under the devices' hole" },
    { "smbios-entry-point-type", OPT_USED, NULL, "32, 64 or auto: both" },
    { "memory-backend", OPT_USED, NULL, "id of the -object that is the RAM" },
    { "kernel-irqchip", OPT_ANY, NULL,
      "on, split or off: who has the APICs under kvm" },
    { "kernel_irqchip", OPT_ANY, NULL, "as kernel-irqchip" },
    { "x-snapshot-zstd", OPT_BOOL, NULL,
      "compress the RAM of snapshots (off)" },
    { "x-oem-id", OPT_USED, NULL, "OEM ID of the ACPI tables, 6 characters" },
    { "x-oem-table-id", OPT_USED, NULL,
      "OEM table ID of the ACPI tables, 8 characters" },
    { "kernel", OPT_USED, NULL, "as -kernel" },
    { "initrd", OPT_USED, NULL, "as -initrd" },
    { "append", OPT_USED, NULL, "as -append" },
    { "dtb", OPT_USED, NULL, "as -dtb" },
    { "rtc", OPT_USED, "microvm", "MC146818 clock (on)" },
    { "isa-serial", OPT_USED, "microvm", "16550 serial port (on)" },
    { "auto-kernel-cmdline", OPT_USED, "microvm",
      "virtio-mmio slots on the kernel's command line (on)" },
    { "bus-lock-ratelimit", OPT_ANY, NULL, NULL },
    { "default-bus-bypass-iommu", OPT_BOOL, NULL, NULL },
    { "dt-compatible", OPT_ANY, NULL, NULL },
    { "dump-guest-core", OPT_BOOL, NULL, NULL },
    { "fd-bootchk", OPT_BOOL, NULL, NULL },
    { "graphics", OPT_BOOL, NULL, NULL },
    { "hmat", OPT_OFF, NULL, NULL },
    { "igd-passthru", OPT_OFF, NULL, NULL },
    { "kvm-shadow-mem", OPT_ANY, NULL, NULL },
    { "max-fw-size", OPT_ANY, NULL, NULL },
    { "mem-merge", OPT_BOOL, NULL, NULL },
    { "nvdimm", OPT_OFF, NULL, NULL },
    { "pcspk-audiodev", OPT_ANY, NULL, NULL },
    { "phandle-start", OPT_ANY, NULL, NULL },
    { "sata", OPT_BOOL, NULL, NULL },
    { "smbus", OPT_BOOL, NULL, NULL },
    { "smm", OPT_OFF, NULL, NULL },
    { "suppress-vmdesc", OPT_BOOL, NULL, NULL },
    { "usb", OPT_BOOL, NULL, NULL },
    { "vmport", OPT_AUTO, NULL, NULL },
    { "confidential-guest-support", OPT_NONE, NULL, NULL },
    { "dumpdtb", OPT_NONE, NULL, NULL },
    { "firmware", OPT_NONE, NULL, NULL },
    { "memory-encryption", OPT_NONE, NULL, NULL },
    { "ioapic2", OPT_OFF, "microvm", NULL },
    { "option-roms", OPT_BOOL, "microvm", NULL },
    { "x-option-roms", OPT_BOOL, "microvm", NULL },
    { "pcie", OPT_OFF, "microvm", NULL },
    { NULL, OPT_ANY, NULL, NULL },
};

typedef struct OptWalk {
    Machine *m;
    GError *err; /* the first one */
} OptWalk;

static bool machine_has_option(const MachineClass *mc, const MachineOpt *o)
{
    return !o->machine || strcmp(o->machine, mc->name) == 0;
}

/* The names that change nothing here, or the ones that are refused. */
static void print_names(const MachineClass *mc, bool refused, GString *out)
{
    const char *sep = "";

    for (const MachineOpt *o = machine_opts; o->name; o++) {
        if (machine_has_option(mc, o) && !o->help &&
            (o->kind == OPT_NONE || o->kind == OPT_OFF) == refused) {
            g_string_append_printf(out, "%s%s", sep, o->name);
            sep = ", ";
        }
    }
    g_string_append_c(out, '\n');
}

void machine_print_options(const MachineClass *mc, GString *out)
{
    g_string_append_printf(out, "%s-machine options:\n",
                           mc->alias ? mc->alias : mc->name);
    for (const MachineOpt *o = machine_opts; o->name; o++) {
        if (machine_has_option(mc, o) && o->help) {
            g_string_append_printf(out, "  %-23s - %s\n", o->name, o->help);
        }
    }
    g_string_append(out, "QEMU's, which change nothing here: ");
    print_names(mc, false, out);
    g_string_append(out, "QEMU's, not supported yet: ");
    print_names(mc, true, out);
}

static void machine_unknown_option(OptWalk *w, const char *key)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *hint = NULL;

    for (const MachineOpt *o = machine_opts; o->name; o++) {
        if (machine_has_option(w->m->cls, o)) {
            g_ptr_array_add(names, (char *)o->name);
        }
    }
    hint = did_you_mean(key, names_end(names), ": ");
    error_setg(&w->err,
               "unknown option '%s' of machine '%s'%s (-machine %s,help lists "
               "them)",
               key, w->m->cls->name, hint, w->m->cls->name);
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
    while (o->name &&
           (strcmp(o->name, key) != 0 || !machine_has_option(w->m->cls, o))) {
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
        error_setg(&w->err, "-machine %s=%s is not supported yet; leave it out",
                   key, value);
    }
}

/* @out has the machine's own default, which is also "auto". */
static bool machine_read_bool(KeyVal *kv, const char *key, bool *out,
                              GError **errp)
{
    return g_strcmp0(keyval_get(kv, key), "auto") == 0 ||
           keyval_bool(kv, key, *out, out, errp);
}

static bool machine_read_bools(KeyVal *kv, PcOptions *out, GError **errp)
{
    return machine_read_bool(kv, "acpi", &out->acpi, errp) &&
           machine_read_bool(kv, "hpet", &out->hpet, errp) &&
           machine_read_bool(kv, "i8042", &out->i8042, errp) &&
           machine_read_bool(kv, "pic", &out->pic, errp) &&
           machine_read_bool(kv, "pit", &out->pit, errp) &&
           machine_read_bool(kv, "rtc", &out->rtc, errp) &&
           machine_read_bool(kv, "isa-serial", &out->isa_serial, errp) &&
           machine_read_bool(kv, "auto-kernel-cmdline", &out->auto_cmdline,
                             errp);
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
    bool micro = strcmp(m->cls->name, "microvm") == 0;

    *out = (PcOptions) {
        .acpi = !m->cfg.no_acpi,
        .hpet = !m->cfg.no_hpet && !micro,
        .i8042 = !micro,
        .pic = true,
        .pit = true,
        .rtc = true,
        .isa_serial = true,
        .auto_cmdline = true,
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
