/*
 * What each option does (the opt_* functions, named in options.def), and the
 * assembly of a machine from them.
 *
 * Parsing touches nothing outside the Cli, so that order never matters: a
 * -device may come before the -chardev it names. cli_build() then works in a
 * fixed order: chardevs, objects, drives, accelerator, CPUs, board, devices,
 * monitors. Options with a subject of their own are in cli-*.c.
 */
#include "util/osdep.h"
#include <fcntl.h>
#include <time.h>
#include "util/error.h"
#include "util/keyval.h"
#include "util/log.h"
#include "util/nearest.h"
#include "monitor/gdbstub.h"
#include "system/migrate.h"
#include "system/snapshot.h"
#include "system/snapshot-stream.h"
#include "system/cli-opts.h"
#include "system/object.h"
#include "accel/cpus.h"
#include "chardev/chardev.h"
#include "hw/block/drive.h"
#include "hw/i386/boot.h"
#include "monitor/monitor.h"
#include "net/net.h"
#include "target-x86/cpuid.h"

static const char version_text[] =
    "QEMU emulator version 7.2.0 (Rhea " RHEA_VERSION ")\n"
    "Rhea, a QEMU-compatible x86-64 system emulator\n";

/* ---- helpers -------------------------------------------------------------- */

void cli_set_string(char **where, const char *text)
{
    g_free(*where);
    *where = g_strdup(text);
}

bool cli_is_help(const char *text)
{
    return text && (!strcmp(text, "help") || !strcmp(text, "?"));
}

void cli_print(Cli *cli, const char *fmt, ...)
{
    va_list ap;

    if (!cli->print) {
        cli->print = g_string_new(NULL);
    }
    va_start(ap, fmt);
    g_string_append_vprintf(cli->print, fmt, ap);
    va_end(ap);
}

bool cli_refuse_unused(KeyVal *kv, const char *option, const char *const *known,
                       GError **errp)
{
    const char *key = keyval_unused(kv);
    g_autofree char *hint = did_you_mean(key, known, " (");

    if (!key) {
        return true;
    }
    error_setg(errp, "-%s: unknown parameter '%s'%s", option, key, hint);
    return false;
}

/* ---- options for which one line is enough --------------------------------- */

OPT_FN(accept)
{
    return true;
}

static OPT_FN(later)
{
    error_setg(errp, "-%s: not supported yet: %s", def->name, def->instead);
    return false;
}

OPT_FN(help)
{
    cli_print(cli, "%susage: %s [options]\n", version_text, log_progname());
    options_print_help(option_defs, cli->print);
    return true;
}

OPT_FN(version)
{
    cli_print(cli, "%s", version_text);
    return true;
}

#define OPT_STRING(name, field) \
    OPT_FN(name) \
    { \
        cli_set_string(&cli->field, arg); \
        return true; \
    }
OPT_STRING(kernel, cfg.kernel)
OPT_STRING(initrd, cfg.initrd)
OPT_STRING(append, cfg.append)
OPT_STRING(loadvm, loadvm)
OPT_STRING(gdb, gdb)
OPT_STRING(incoming, incoming)
OPT_STRING(debugcon, debugcon)
#undef OPT_STRING

#define OPT_SET(name, field) \
    OPT_FN(name) \
    { \
        cli->field = true; \
        return true; \
    }
OPT_SET(no_acpi, cfg.no_acpi)
OPT_SET(no_hpet, cfg.no_hpet)
OPT_SET(start_paused, cfg.start_paused)
OPT_SET(no_reboot, cfg.no_reboot)
OPT_SET(no_shutdown, cfg.no_shutdown)
OPT_SET(nodefaults, nodefaults)
#undef OPT_SET

#define OPT_LIST(name, field) \
    OPT_FN(name) \
    { \
        g_ptr_array_add(cli->field, g_strdup(arg)); \
        return true; \
    }
OPT_LIST(smbios, cfg.smbios)
OPT_LIST(fw_cfg, cfg.fw_cfg)
#undef OPT_LIST

OPT_FN(flat)
{
    if (cli_is_help(arg)) {
        cli_print(cli, "%s", flat_help());
    } else {
        g_ptr_array_add(cli->cfg.flat, g_strdup(arg));
    }
    return true;
}

/* ---- machine, processor, memory -------------------------------------------- */

static void print_machines(Cli *cli)
{
    cli_print(cli, "Supported machines are:\n");
    for (int i = 0; machine_classes[i]; i++) {
        const MachineClass *mc = machine_classes[i];

        cli_print(cli, "%-20s %s%s\n", mc->name, mc->desc,
                  i == 0 ? " (default)" : "");
        if (mc->alias) {
            cli_print(cli, "%-20s %s (alias of %s)\n", mc->alias, mc->desc,
                      mc->name);
        }
    }
}

static const MachineClass *find_machine(const char *name, GError **errp)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *hint = NULL, *list = NULL;

    if (!name) {
        return machine_classes[0];
    }
    for (int i = 0; machine_classes[i]; i++) {
        const MachineClass *mc = machine_classes[i];

        /* pc-i440fx-N: versions of one machine to us */
        if (!strcmp(name, mc->name) || !g_strcmp0(name, mc->alias) ||
            (!strcmp(mc->name, "pc") && g_str_has_prefix(name, "pc-i440fx-"))) {
            return mc;
        }
        g_ptr_array_add(names, (char *)mc->name);
    }
    hint = did_you_mean(name, names_end(names), " (");
    list = g_strjoinv(", ", (char **)names->pdata);
    error_setg(errp,
               "unsupported machine type '%s'%s (there are: %s; use -machine "
               "help to list supported machines)",
               name, hint, list);
    return NULL;
}

static bool print_machine(Cli *cli, const char *name, GError **errp)
{
    const MachineClass *mc = find_machine(name, errp);
    g_autoptr(GString) out = g_string_new(NULL);

    if (!mc) {
        return false;
    }
    mc->print_options(mc, out);
    cli_print(cli, "%s", out->str);
    return true;
}

static void add_accels(Cli *cli, const char *names)
{
    if (!strcmp(cli->accels->str, names)) {
        return; /* -enable-kvm -accel kvm,... */
    }
    if (cli->accels->len) {
        g_string_append_c(cli->accels, ':');
    }
    g_string_append(cli->accels, names);
}

OPT_FN(machine)
{
    g_autoptr(KeyVal) kv = keyval_parse(arg, "type", errp);
    const char *accel;

    if (!kv) {
        return false;
    }
    if (cli_is_help(keyval_get(kv, "type"))) {
        print_machines(cli);
        return true;
    }
    if (keyval_get(kv, "help")) {
        return print_machine(cli, keyval_get(kv, "type"), errp);
    }
    accel = keyval_get(kv, "accel");
    if (accel) {
        g_string_truncate(cli->accels, 0);
        add_accels(cli, accel);
    }
    keyval_merge(cli->machine, kv);
    return true;
}

static void print_accels(Cli *cli)
{
    cli_print(cli, "Accelerators supported in QEMU binary:\n");
    for (int i = 0; accels[i]; i++) {
        g_autoptr(GError) err = NULL;

        if (!accels[i]->available || accels[i]->available(&err)) {
            cli_print(cli, "%-6s %s; usable: yes\n", accels[i]->name,
                      accels[i]->desc);
        } else {
            cli_print(cli, "%-6s %s; usable: no, because %s\n", accels[i]->name,
                      accels[i]->desc, err->message);
        }
    }
}

/* "-accel kvm,help" */
static bool print_accel(Cli *cli, const char *name, const char *device,
                        GError **errp)
{
    const AccelOps *ops = accel_find(name);

    if (!ops) {
        error_setg(errp, "-accel %s: invalid accelerator %s", name, name);
        return false;
    }
    cli_print(cli, "%-11s %s\n", ops->name, ops->desc);
    if (ops->report) {
        ops->report(device, cli->print);
    }
    return true;
}

OPT_FN(accel)
{
    g_autoptr(KeyVal) kv = keyval_parse(arg, "accel", errp);
    const char *name;

    if (!kv) {
        return false;
    }
    name = keyval_get(kv, "accel");
    if (!name) {
        error_setg(errp,
                   "-accel %s: name the accelerator first, as in "
                   "-accel tcg",
                   arg);
        return false;
    }
    if (cli_is_help(name)) {
        print_accels(cli);
        return true;
    }
    if (keyval_get(kv, "help") || keyval_get(kv, "?")) {
        return print_accel(cli, name, keyval_get(kv, "device"), errp);
    }
    add_accels(cli, name);
    keyval_merge(cli->accel_options, kv);
    return true;
}

OPT_FN(enable_kvm)
{
    add_accels(cli, "kvm");
    return true;
}

OPT_FN(no_kvm)
{
    add_accels(cli, "tcg");
    return true;
}

OPT_FN(cpu)
{
    if (cli_is_help(arg)) {
        cli_print(cli, "%s", "");
        cpu_models_print(cli->print);
        return true;
    }
    cli_set_string(&cli->cfg.cpu_model, arg);
    return true;
}

/* ---- devices ----------------------------------------------------------------- */

static void print_devices(Cli *cli)
{
    g_autoptr(GString) text = g_string_new(NULL);

    device_classes_print(text);
    cli_print(cli, "%s", text->str);
}

void cli_print_props(Cli *cli, const DeviceClass *dc)
{
    cli_print(cli, "%s options:\n", dc->name);
    for (const Property *p = dc->props; p && p->kind != PROP_END; p++) {
        cli_print(cli, "  %s=<%s>%*s- %s\n", p->name, prop_kind_name(p->kind),
                  (int)MAX(1, 18 - (int)strlen(p->name)), "", p->help);
    }
}

static bool print_device_props(Cli *cli, const char *name, GError **errp)
{
    const DeviceClass *dc = device_class_get(name, errp);

    if (!dc) {
        return false;
    }
    cli_print_props(cli, dc);
    return true;
}

OPT_FN(device)
{
    g_autoptr(KeyVal) kv = keyval_parse(arg, "driver", errp);
    const char *driver;

    if (!kv) {
        return false;
    }
    driver = keyval_get(kv, "driver");
    if (cli_is_help(driver)) {
        print_devices(cli);
        return true;
    }
    if (!driver) {
        error_setg(errp,
                   "-device %s: name the driver first "
                   "(-device help lists them)",
                   arg);
        return false;
    }
    if (keyval_get(kv, "help") || keyval_get(kv, "?")) {
        return print_device_props(cli, driver, errp);
    }
    g_ptr_array_add(cli->devices, g_strdup(arg));
    return true;
}

/* ---- logging -------------------------------------------------------------------- */

OPT_FN(log)
{
    int mask;

    if (cli_is_help(arg)) {
        fflush(stdout);
        log_print_help(stdout);
        cli_print(cli, "%s", "");
        return true;
    }
    if (!log_parse(arg, &mask, errp)) {
        g_prefix_error(errp, "-d %s: ", arg);
        return false;
    }
    log_flags = mask;
    return true;
}

OPT_FN(log_file)
{
    return log_set_file(arg, errp);
}

OPT_FN(singlestep)
{
    log_flags |= LOG_NOCHAIN;
    return true;
}

/* ---- the table ------------------------------------------------------------------ */

const OptionDef option_defs[] = {
#define SECTION(text)                   { NULL, NULL, NULL, text, NULL },
#define OPT(name, fn, arg, help)        { name, opt_##fn, arg, help, NULL },
#define LATER(name, arg, help, instead) { name, opt_later, arg, help, instead },
#include "system/options.def"
    { NULL, NULL, NULL, NULL, NULL },
};

/* ---- parsing -------------------------------------------------------------------- */

static void port_free(void *p)
{
    g_free(((CliPort *)p)->dev);
    g_free(p);
}

static Cli *cli_new(void)
{
    Cli *cli = g_new0(Cli, 1);

    cli->machine = keyval_new();
    cli->accel_options = keyval_new();
    cli->process = cli_process_new();
    cli->accels = g_string_new(NULL);
    cli->chardevs = g_ptr_array_new_with_free_func(g_free);
    cli->devices = g_ptr_array_new_with_free_func(g_free);
    cli->netdevs = g_ptr_array_new_with_free_func(g_free);
    cli->objects = g_ptr_array_new_with_free_func(g_free);
    cli->blockdevs = g_ptr_array_new_with_free_func(g_free);
    cli->serials = g_ptr_array_new_with_free_func(port_free);
    cli->monitors = g_ptr_array_new_with_free_func(port_free);
    cli->cfg.ram_size = RAM_DEFAULT;
    cli->cfg.globals = g_ptr_array_new_with_free_func(g_free);
    cli->cfg.fw_cfg = g_ptr_array_new_with_free_func(g_free);
    cli->cfg.smbios = g_ptr_array_new_with_free_func(g_free);
    cli->cfg.flat = g_ptr_array_new_with_free_func(g_free);
    cli->echr = 1;
    return cli;
}

static void config_clear(MachineConfig *cfg)
{
    char **strings[] = { &cfg->cpu_model, &cfg->kernel,   &cfg->initrd,
                         &cfg->append,    &cfg->firmware, &cfg->dtb,
                         &cfg->name,      &cfg->uuid };
    GPtrArray **lists[] = { &cfg->globals, &cfg->fw_cfg, &cfg->smbios,
                            &cfg->flat };

    for (size_t i = 0; i < G_N_ELEMENTS(strings); i++) {
        g_clear_pointer(strings[i], g_free);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
        g_clear_pointer(lists[i], g_ptr_array_unref);
    }
}

void cli_free(Cli *cli)
{
    config_clear(&cli->cfg);
    keyval_free(cli->machine);
    keyval_free(cli->accel_options);
    g_string_free(cli->accels, TRUE);
    g_ptr_array_unref(cli->chardevs);
    g_ptr_array_unref(cli->devices);
    g_ptr_array_unref(cli->netdevs);
    if (cli->nics) {
        g_ptr_array_unref(cli->nics);
    }
    g_ptr_array_unref(cli->objects);
    g_ptr_array_unref(cli->blockdevs);
    g_clear_pointer(&cli->drives, g_ptr_array_unref);
    g_ptr_array_unref(cli->serials);
    g_ptr_array_unref(cli->monitors);
    g_free(cli->debugcon);
    g_free(cli->loadvm);
    g_free(cli->gdb);
    g_free(cli->incoming);
    cli_process_free(cli->process);
    g_free(cli->process_name);
    g_free(cli->mem_path);
    if (cli->print) {
        g_string_free(cli->print, TRUE);
    }
    g_free(cli);
}

Cli *cli_parse(int argc, char **argv, GError **errp)
{
    g_autoptr(GArray) list =
        options_parse(argc, argv, option_defs, "hda", errp);
    g_autoptr(Cli) cli = cli_new();

    if (!list) {
        return NULL;
    }
    for (guint i = 0; i < list->len; i++) {
        const OptionGiven *o = &g_array_index(list, OptionGiven, i);

        if (!o->def->handle(cli, o->def, o->arg, errp)) {
            return NULL;
        }
        if (cli->print) { /* help ends everything, as in QEMU */
            break;
        }
    }
    return g_steal_pointer(&cli);
}

char **cli_find_option(Cli *cli, const char *group, const char *id)
{
    const struct {
        const char *name;
        GPtrArray *list;
    } lists[] = {
        { "device", cli->devices },
        { "chardev", cli->chardevs },
        { "object", cli->objects },
        { "netdev", cli->netdevs },
    };

    if (!strcmp(group, "drive")) {
        return cli_find_drive(cli, id);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
        GPtrArray *list = strcmp(group, lists[i].name) ? NULL : lists[i].list;

        for (guint k = 0; list && k < list->len; k++) {
            char **text = (char **)&list->pdata[k];
            g_autoptr(KeyVal) kv = keyval_parse(*text, "type", NULL);

            if (kv && !g_strcmp0(keyval_get(kv, "id"), id)) {
                return text;
            }
        }
    }
    return NULL;
}

/* ---- building ------------------------------------------------------------------- */

static bool build_device(Machine *m, const char *text, GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_parse(text, "driver", errp);
    Device *dev;

    if (!kv) {
        return false;
    }
    dev = device_new(m, keyval_get(kv, "driver"), keyval_get(kv, "id"), errp);
    if (!dev) {
        return false;
    }
    if (!device_set_options(dev, kv, errp) || !device_realize(dev, errp)) {
        device_free(dev);
        return false;
    }
    return true;
}

static bool build_devices(Machine *m, Cli *cli, GError **errp)
{
    for (guint i = 0; i < cli->devices->len; i++) {
        const char *text = g_ptr_array_index(cli->devices, i);

        if (!build_device(m, text, errp)) {
            g_prefix_error(errp, "-device %s: ", text);
            return false;
        }
    }
    return true;
}

static bool build_accel(Machine *m, Cli *cli, GError **errp)
{
    const char *names = cli->accels->len ? cli->accels->str : "tcg";
    const char *model = m->cfg.cpu_model;
    CpuModel *cm;

    if (!accel_check_options(names, cli->accel_options, errp) ||
        !accel_open(m, names, cli->accel_options, errp)) {
        return false;
    }
    model = model ? model : m->accel->ops->default_cpu;
    cm = cpu_model_make(model, &m->cfg, errp);
    if (!cm) {
        return false;
    }
    m->cpu_model = cm;
    if (m->accel->ops->limit_model) {
        m->accel->ops->limit_model(m->accel, cm);
    }
    if (!cpu_model_report(cm, m->accel->ops->limit_model ? "host" : "TCG",
                          errp)) {
        return false;
    }
    return cpus_create(m, errp);
}

static bool check_cpus(const Cli *cli, const MachineClass *mc, GError **errp)
{
    if (cli->cfg.max_cpus > mc->max_cpus) {
        error_setg(errp,
                   "Invalid SMP CPUs %u. The max CPUs supported by "
                   "machine '%s' is %u",
                   cli->cfg.max_cpus, mc->name, mc->max_cpus);
        return false;
    }
    return true;
}

static bool build_all(Machine *m, Cli *cli, GError **errp)
{
    if (!cli_build_chardevs(m, cli, errp) ||
        !cli_build_objects(m, cli, false, errp) ||
        !cli_build_memory(m, cli, errp) || !cli_build_drives(m, cli, errp) ||
        !cli_build_netdevs(m, cli, errp) ||
        !cli_build_objects(m, cli, true, errp) || !build_accel(m, cli, errp) ||
        !m->cls->build(m, errp) || !cli_build_nics(m, cli, errp) ||
        !build_devices(m, cli, errp) || !drives_connect(m, errp)) {
        return false;
    }
    if (!cli->explain && !cli_build_monitors(m, cli, errp)) {
        return false;
    }
    cli_check_globals(m);
    net_warn_unconnected(m->netdevs);
    machine_reset(m);
    if (cli->explain) {
        return true;
    }
    if (cli->gdb && !gdbstub_open(m, cli->gdb, errp)) {
        return false;
    }
    if (cli->incoming &&
        !migrate_listen(m, cli->incoming, !m->cfg.start_paused, errp)) {
        return false;
    }
    return !cli->loadvm || snapshot_load(m, cli->loadvm, NULL, errp);
}

Machine *cli_build(Cli *cli, GError **errp)
{
    const char *type = keyval_get(cli->machine, "type");
    const MachineClass *mc = find_machine(type, errp);
    Machine *m;

    if (!mc || !check_cpus(cli, mc, errp)) {
        return NULL;
    }
    if (!cli->cfg.ncpus) {
        cli->cfg.ncpus = cli->cfg.max_cpus = 1;
        cli->cfg.sockets = cli->cfg.dies = 1;
        cli->cfg.cores = cli->cfg.threads = 1;
    }
    m = machine_new(mc, NULL);
    keyval_free(m->cfg.machine_opts);
    config_clear(&m->cfg);
    m->cfg = cli->cfg;
    m->ncpus = m->cfg.ncpus;
    m->cfg.machine_opts = keyval_new();
    keyval_merge(m->cfg.machine_opts, cli->machine);
    memset(&cli->cfg, 0, sizeof(cli->cfg));
    cli->cfg.flat = g_ptr_array_ref(m->cfg.flat);
    machine_lock(m);
    if (!build_all(m, cli, errp)) {
        machine_unlock(m);
        cli_teardown(m);
        return NULL;
    }
    machine_unlock(m);
    return m;
}

void cli_teardown(Machine *m)
{
    GHashTableIter it;
    CpuModel *model;
    void *c;

    machine_lock(m);
    if (m->cpu) {
        cpus_pause(m);
        cli_print_stats(m);
    }
    monitors_close(m);
    gdbstub_close(m);
    while (m->devices->len) {
        device_free(g_ptr_array_index(m->devices, m->devices->len - 1));
    }
    if (m->cpu) {
        cpus_destroy(m);
    }
    accel_close(m);
    migrate_free(m);
    snap_forget(m);
    drives_free(m);
    objects_free(m);
    net_free_all(m->netdevs);
    g_hash_table_iter_init(&it, m->chardevs);
    while (g_hash_table_iter_next(&it, NULL, &c)) {
        g_hash_table_iter_steal(&it);
        chardev_free(c);
    }
    machine_unlock(m);
    model = (CpuModel *)m->cpu_model;
    machine_free(m);
    if (model) {
        cpu_model_free(model);
    }
}
