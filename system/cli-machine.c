/*
 * Options about the machine itself: memory, processors, name, clock, defaults
 * of properties, what ends a run.
 */
#include "util/osdep.h"
#include "system/cli-opts.h"

#include <time.h>
#include "system/object.h"
#include "util/error.h"
#include "util/log.h"

/* ---- -m ---------------------------------------------------------------------- */

enum { RAM_SLOTS_MAX = 256 }; /* of ACPI memory devices, as in QEMU */

/* maxmem= counts bytes where size= counts MiB: so does QEMU. */
static bool check_maxmem(const MachineConfig *cfg, const char *arg,
                         bool has_max, bool has_slots, GError **errp)
{
    if (!has_max) {
        if (has_slots) {
            error_setg(errp, "-m %s: slots specified but no max-size (maxmem=)",
                       arg);
        }
        return !has_slots;
    }
    if (cfg->max_ram < cfg->ram_size) {
        error_setg(errp,
                   "-m %s: invalid value of maxmem: maximum memory size "
                   "(0x%" PRIx64 ") must be at least the initial memory size "
                   "(0x%" PRIx64 ")%s",
                   arg, cfg->max_ram, cfg->ram_size,
                   cfg->max_ram < MIB ? "; say maxmem=4G, without a suffix it "
                                        "is in bytes"
                                      : "");
        return false;
    }
    if (cfg->ram_slots && cfg->max_ram == cfg->ram_size) {
        error_setg(errp,
                   "-m %s: invalid value of maxmem: memory slots were "
                   "specified but maximum memory size (0x%" PRIx64 ") is "
                   "equal to the initial memory size",
                   arg, cfg->max_ram);
        return false;
    }
    return true;
}

OPT_FN(memory)
{
    static const char *const keys[] = { "size", "slots", "maxmem", NULL };
    g_autoptr(KeyVal) kv = keyval_parse(arg, "size", errp);
    MachineConfig *cfg = &cli->cfg;
    uint64_t size, slots;

    if (!kv) {
        return false;
    }
    if (!keyval_size(kv, "size", MIB, cfg->ram_size, &size, errp) ||
        !keyval_u64(kv, "slots", 0, &slots, errp)) {
        g_prefix_error(errp, "-m %s: ", arg);
        return false;
    }
    if (size == 0) {
        size = RAM_DEFAULT; /* "-m 0", as in QEMU */
    }
    if (size < MIB || size > 1024 * GIB) {
        error_setg(errp, "-m %s: guest memory must be 1M to 1T", arg);
        return false;
    }
    if (slots > RAM_SLOTS_MAX) {
        error_setg(errp,
                   "-m %s: unsupported amount of memory slots: %" PRIu64
                   " (at most %d)",
                   arg, slots, RAM_SLOTS_MAX);
        return false;
    }
    cfg->ram_size = (size + 8191) & ~(uint64_t)8191;
    cfg->ram_slots = slots;
    cfg->ram_given |= keyval_get(kv, "size") != NULL;
    if (!keyval_size(kv, "maxmem", 1, cfg->ram_size, &cfg->max_ram, errp)) {
        g_prefix_error(errp, "-m %s: ", arg);
        return false;
    }
    return cli_refuse_unused(kv, "m", keys, errp) &&
           check_maxmem(cfg, arg, keyval_get(kv, "maxmem") != NULL,
                        keyval_get(kv, "slots") != NULL, errp);
}

OPT_FN(mem_path)
{
    cli_set_string(&cli->mem_path, arg);
    return true;
}

OPT_FN(mem_prealloc)
{
    cli->mem_prealloc = true;
    return true;
}

/* -mem-path and -mem-prealloc are an object that nobody had to write. */
static bool build_default_backend(Machine *m, const Cli *cli, GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_new();
    g_autofree char *size = g_strdup_printf("%" PRIu64, m->cfg.ram_size);

    keyval_set(kv, "qom-type",
               cli->mem_path ? "memory-backend-file" : "memory-backend-ram");
    keyval_set(kv, "id", "pc.ram");
    keyval_set(kv, "size", size);
    keyval_set(kv, "prealloc", cli->mem_prealloc ? "on" : "off");
    if (cli->mem_path) {
        keyval_set(kv, "mem-path", cli->mem_path);
    }
    if (!object_add_options(m, kv, errp)) {
        g_prefix_error(errp, "-mem-%s: ", cli->mem_path ? "path" : "prealloc");
        return false;
    }
    return machine_use_memory_backend(m, "pc.ram", errp);
}

bool cli_build_memory(Machine *m, Cli *cli, GError **errp)
{
    const char *id = keyval_get(m->cfg.machine_opts, "memory-backend");

    if (id && cli->mem_path) {
        error_setg(errp,
                   "-mem-path and -machine memory-backend=%s: one of "
                   "them, please",
                   id);
        return false;
    }
    if (id) {
        return machine_use_memory_backend(m, id, errp);
    }
    return (!cli->mem_path && !cli->mem_prealloc) ||
           build_default_backend(m, cli, errp);
}

/* ---- -smp --------------------------------------------------------------------- */

static const char *const smp_keys[] = { "cpus",    "maxcpus",  "sockets",
                                        "dies",    "clusters", "cores",
                                        "threads", NULL };

typedef struct Smp { /* 0: not given */
    uint64_t cpus, maxcpus, sockets, dies, clusters, cores, threads;
} Smp;

/* What is not given is one, but cores, or else sockets, or else threads: they
 * make up the rest. */
static void smp_complete(Smp *s)
{
    uint64_t max = s->maxcpus ? s->maxcpus : s->cpus;

    s->dies = MAX(s->dies, 1);
    s->clusters = MAX(s->clusters, 1);
    if (!max) {
        s->sockets = MAX(s->sockets, 1);
        s->cores = MAX(s->cores, 1);
        s->threads = MAX(s->threads, 1);
    } else if (!s->cores) {
        s->sockets = MAX(s->sockets, 1);
        s->threads = MAX(s->threads, 1);
        s->cores = max / (s->sockets * s->dies * s->clusters * s->threads);
    } else if (!s->sockets) {
        s->threads = MAX(s->threads, 1);
        s->sockets = max / (s->dies * s->clusters * s->cores * s->threads);
    }
    if (!s->threads) {
        s->threads = max / (s->sockets * s->dies * s->clusters * s->cores);
    }
}

static bool smp_check(Smp *s, const char *arg, GError **errp)
{
    uint64_t total = s->sockets * s->dies * s->clusters * s->cores * s->threads;
    g_autofree char *text =
        g_strdup_printf("sockets (%" PRIu64 ") * dies (%" PRIu64
                        ") * cores (%" PRIu64 ") * threads (%" PRIu64 ")",
                        s->sockets, s->dies, s->cores, s->threads);

    if (!s->maxcpus) {
        s->maxcpus = s->cpus ? s->cpus : total;
    }
    if (!s->cpus) {
        s->cpus = s->maxcpus;
    }
    if (s->clusters > 1) {
        error_setg(errp,
                   "-smp %s: clusters not supported by this machine's CPU "
                   "topology",
                   arg);
    } else if (total != s->maxcpus) {
        error_setg(errp,
                   "-smp %s: Invalid CPU topology: product of the hierarchy "
                   "must match maxcpus: %s != maxcpus (%" PRIu64 ")",
                   arg, text, s->maxcpus);
    } else if (s->maxcpus < s->cpus) {
        error_setg(errp,
                   "-smp %s: Invalid CPU topology: maxcpus must be equal to "
                   "or greater than smp: %s == maxcpus (%" PRIu64 ") < "
                   "smp_cpus (%" PRIu64 ")",
                   arg, text, s->maxcpus, s->cpus);
    } else {
        return true;
    }
    return false;
}

/* Every count, with a word about zeroes: QEMU takes them for "not given". */
static bool smp_parse(KeyVal *kv, const char *arg, Smp *s, GError **errp)
{
    uint64_t *const fields[] = { &s->cpus,   &s->maxcpus,  &s->sockets,
                                 &s->dies,   &s->clusters, &s->cores,
                                 &s->threads };
    bool zero = false;

    for (int i = 0; smp_keys[i]; i++) {
        if (!keyval_u64(kv, smp_keys[i], 0, fields[i], errp)) {
            g_prefix_error(errp, "-smp %s: ", arg);
            return false;
        }
        zero |= keyval_get(kv, smp_keys[i]) && !*fields[i];
        if (*fields[i] > 4096) { /* their product must not overflow */
            error_setg(errp, "-smp %s: %s must be 1 to %d", arg, smp_keys[i],
                       MACHINE_MAX_CPUS);
            return false;
        }
    }
    if (zero) {
        warn_report("Deprecated CPU topology (considered invalid): CPU "
                    "topology parameters must be greater than zero");
    }
    return true;
}

OPT_FN(smp)
{
    g_autoptr(KeyVal) kv = keyval_parse(arg, "cpus", errp);
    MachineConfig *cfg = &cli->cfg;
    Smp s = { 0 };

    if (!kv || !smp_parse(kv, arg, &s, errp) ||
        !cli_refuse_unused(kv, "smp", smp_keys, errp)) {
        return false;
    }
    smp_complete(&s);
    if (!smp_check(&s, arg, errp)) {
        return false;
    }
    cfg->ncpus = (unsigned)s.cpus;
    cfg->max_cpus = (unsigned)s.maxcpus;
    cfg->sockets = (unsigned)s.sockets;
    cfg->dies = (unsigned)s.dies;
    cfg->cores = (unsigned)s.cores;
    cfg->threads = (unsigned)s.threads;
    return true;
}

/* ---- names ----------------------------------------------------------------------- */

OPT_FN(name)
{
    static const char *const keys[] = { "guest", "process", "debug-threads",
                                        NULL };
    g_autoptr(KeyVal) kv = keyval_parse(arg, "guest", errp);
    bool threads; /* they have names in either case */

    if (!kv) {
        return false;
    }
    if (!keyval_bool(kv, "debug-threads", false, &threads, errp)) {
        g_prefix_error(errp, "-name %s: ", arg);
        return false;
    }
    cli_set_string(&cli->cfg.name, keyval_get(kv, "guest"));
    cli_set_string(&cli->process_name, keyval_get(kv, "process"));
    return cli_refuse_unused(kv, "name", keys, errp);
}

OPT_FN(uuid)
{
    if (!g_uuid_string_is_valid(arg)) {
        error_setg(errp,
                   "-uuid %s: failed to parse UUID string: wrong format; it "
                   "looks like 12345678-9abc-def0-1234-56789abcdef0",
                   arg);
        return false;
    }
    cli_set_string(&cli->cfg.uuid, arg);
    return true;
}

/* ---- -global --------------------------------------------------------------------- */

/* "driver.prop=value", which may hold any commas, or driver=,property=,value= */
OPT_FN(global)
{
    static const char *const keys[] = { "driver", "property", "value", NULL };
    size_t word = strcspn(arg, ".=");
    g_autoptr(KeyVal) kv = NULL;

    if (arg[word] == '.' && word && strchr(arg + word, '=') > arg + word + 1) {
        g_ptr_array_add(cli->cfg.globals, g_strdup(arg));
        return true;
    }
    if (!strchr(arg, '=')) {
        error_setg(errp,
                   "-global %s: must be driver.property=value or "
                   "driver=D,property=P,value=V",
                   arg);
        return false;
    }
    kv = keyval_parse(arg, NULL, errp);
    if (!kv) {
        return false;
    }
    if (!keyval_get(kv, "driver") || !keyval_get(kv, "property") ||
        !keyval_get(kv, "value")) {
        error_setg(errp,
                   "-global %s: options 'driver', 'property', and 'value' are "
                   "required (or driver.property=value)",
                   arg);
        return false;
    }
    g_ptr_array_add(cli->cfg.globals,
                    g_strdup_printf("%s.%s=%s", keyval_get(kv, "driver"),
                                    keyval_get(kv, "property"),
                                    keyval_get(kv, "value")));
    return cli_refuse_unused(kv, "global", keys, errp);
}

void cli_check_globals(const Machine *m)
{
    for (guint i = 0; i < m->cfg.globals->len; i++) {
        const char *global = m->cfg.globals->pdata[i];
        bool known = false;

        for (int k = 0; device_classes[k] && !known; k++) {
            known = device_global_fits(device_classes[k], global);
        }
        if (!known) {
            warn_report("global %.*s has invalid class name",
                        (int)strcspn(global, "="), global);
        }
    }
}

/* ---- the guest's clock chip -------------------------------------------------------- */

/* 2006-06-17T16:01:21 or 2006-06-17, in UTC. */
static bool parse_date(const char *text, int64_t *seconds)
{
    struct tm tm = { 0 };
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

    if (!end) {
        memset(&tm, 0, sizeof(tm));
        end = strptime(text, "%Y-%m-%d", &tm);
    }
    if (!end || *end) {
        return false;
    }
    *seconds = timegm(&tm);
    return true;
}

static bool rtc_base(MachineConfig *cfg, const char *base, GError **errp)
{
    int64_t date;

    cfg->rtc_offset_sec = 0;
    cfg->rtc_local = base && !strcmp(base, "localtime");
    if (!base || !strcmp(base, "utc") || cfg->rtc_local) {
        return true;
    }
    if (!parse_date(base, &date)) {
        error_setg(errp,
                   "-rtc base=%s: invalid datetime format; must be utc, "
                   "localtime or a date like 2006-06-17T16:01:21",
                   base);
        return false;
    }
    cfg->rtc_offset_sec = date - time(NULL);
    return true;
}

OPT_FN(rtc)
{
    static const char *const keys[] = { "base", "clock", "driftfix", NULL };
    g_autoptr(KeyVal) kv = keyval_parse(arg, "base", errp);
    const char *base, *clock, *drift;

    if (!kv) {
        return false;
    }
    base = keyval_get(kv, "base");
    clock = keyval_get(kv, "clock");
    drift = keyval_get(kv, "driftfix");
    if (clock && strcmp(clock, "host") && strcmp(clock, "rt") &&
        strcmp(clock, "vm")) {
        error_setg(errp, "-rtc clock=%s: must be host, rt or vm", clock);
        return false;
    }
    /* Lost ticks of the periodic interrupt are never made up: "none". */
    if (drift && strcmp(drift, "none") && strcmp(drift, "slew")) {
        error_setg(errp, "-rtc driftfix=%s: must be none or slew", drift);
        return false;
    }
    if (drift && drift[0] == 's') {
        info_report("-rtc driftfix=slew: ticks that the guest did not take are "
                    "not repeated");
    }
    cli->cfg.rtc_vm = clock && !strcmp(clock, "vm");
    return rtc_base(&cli->cfg, base, errp) &&
           cli_refuse_unused(kv, "rtc", keys, errp);
}

/* ---- what ends a run, and where it begins --------------------------------------------- */

static bool one_of(const char *key, const char *v, const char *const *words,
                   GError **errp)
{
    for (int i = 0; v && words[i]; i++) {
        if (!strcmp(v, words[i])) {
            return true;
        }
    }
    if (v) {
        g_autofree char *list = g_strjoinv(", ", (char **)words);

        error_setg(errp,
                   "-action %s=%s: Parameter '%s' does not accept value '%s' "
                   "(%s)",
                   key, v, key, v, list);
    }
    return !v;
}

OPT_FN(action)
{
    static const char *const keys[] = { "reboot", "shutdown", "panic",
                                        "watchdog", NULL };
    static const char *const reboot_words[] = { "reset", "shutdown", NULL };
    static const char *const shutdown_words[] = { "poweroff", "pause", NULL };
    g_autoptr(KeyVal) kv = keyval_parse(arg, NULL, errp);
    const char *reboot, *off, *panic, *dog;

    if (!kv) {
        return false;
    }
    reboot = keyval_get(kv, "reboot");
    off = keyval_get(kv, "shutdown");
    panic = keyval_get(kv, "panic");
    dog = keyval_get(kv, "watchdog");
    if (!one_of("reboot", reboot, reboot_words, errp) ||
        !one_of("shutdown", off, shutdown_words, errp) ||
        !cli_refuse_unused(kv, "action", keys, errp)) {
        return false;
    }
    if (reboot) {
        cli->cfg.no_reboot = !strcmp(reboot, "shutdown");
    }
    if (off) {
        cli->cfg.no_shutdown = !strcmp(off, "pause");
    }
    return (!panic ||
            panic_action_parse(panic, &cli->cfg.panic_action, errp)) &&
           (!dog ||
            watchdog_action_parse(dog, &cli->cfg.watchdog_action, errp));
}

OPT_FN(watchdog)
{
    error_setg(errp, "-watchdog is gone, as in QEMU 7.2: say -device %s", arg);
    return false;
}

OPT_FN(watchdog_action)
{
    return watchdog_action_parse(arg, &cli->cfg.watchdog_action, errp);
}

/* The drives' letters, each once: a and c are floppy and disk, d the CD-ROM, n
 * the network. */
static bool check_boot_drives(const char *drives, GError **errp)
{
    for (const char *p = drives; p && *p; p++) {
        if (memchr(drives, *p, (size_t)(p - drives))) {
            error_setg(errp, "Boot device '%c' was given twice", *p);
            return false;
        }
        if (!strchr("acdn", *p)) {
            error_setg(errp,
                       "Invalid boot device for PC: '%c' (there are: a, "
                       "c, d, n)",
                       *p);
            return false;
        }
    }
    return true;
}

OPT_FN(boot)
{
    static const char *const keys[] = { "order",          "once",
                                        "menu",           "strict",
                                        "splash",         "splash-time",
                                        "reboot-timeout", NULL };
    g_autoptr(KeyVal) kv = keyval_parse(arg, "order", errp);

    if (!kv) {
        return false;
    }
    for (int i = 0; keys[i]; i++) {
        keyval_get(kv, keys[i]); /* for firmware, which there is not yet */
    }
    return check_boot_drives(keyval_get(kv, "order"), errp) &&
           check_boot_drives(keyval_get(kv, "once"), errp) &&
           cli_refuse_unused(kv, "boot", keys, errp);
}
