/*
 * The log (-d, -D) and the messages on stderr.
 *
 * A message is formatted first and written by one call under one lock, so
 * lines of several vCPUs never mix. The lock also guards the file that -D
 * chose, which the monitor may change while vCPUs write.
 */
#include "util/osdep.h"
#include "util/log.h"
#include "util/trace.h"

#include <pthread.h>
#include <stdarg.h>
#include "util/error.h"
#include "util/keyval.h"

int log_flags;

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *log_file; /* NULL: stderr */
static char *progname;

typedef struct LogItem {
    const char *name;
    int mask;         /* 0: known to QEMU, nothing to show here */
    const char *help; /* mask 0: why not */
} LogItem;

/* In the order of -d help. */
static const LogItem log_items[] = {
    { "in_asm", LOG_IN_ASM,
      "show guest code of each block when it is decoded" },
    { "out_asm", LOG_OUT_ASM,
      "show host code of each block when it is translated" },
    { "op", LOG_OP,
      "show how each instruction of a translated block is executed" },
    { "int", LOG_INT, "show interrupts/exceptions in short format" },
    { "exec", LOG_EXEC, "show each block before it is executed" },
    { "cpu", LOG_CPU, "show CPU registers before each block" },
    { "mmu", LOG_MMU, "log MMU-related activities" },
    { "pcall", LOG_PCALL, "show protected mode far calls/returns/exceptions" },
    { "cpu_reset", LOG_RESET, "show CPU state before CPU resets" },
    { "unimp", LOG_UNIMP, "log unimplemented functionality" },
    { "guest_errors", LOG_GUEST_ERROR,
      "log when the guest OS does something invalid" },
    { "nochain", LOG_NOCHAIN, "do not chain blocks: 'exec' shows every one" },
    { "kvm", LOG_KVM, "show KVM ioctls and exits" },
    /* QEMU's that have nothing to show here. */
    { "op_opt", 0, "op shows all there is between the guest's code and ours" },
    { "op_ind", 0, "op shows all there is between the guest's code and ours" },
    { "fpu", 0, "info registers shows the x87 and SSE registers" },
    { "page", 0, "info mtree shows the memory map" },
    { "tid", 0, "the log is one file" },
    { "strace", 0, "there is no user mode" },
    { "vpu", 0, "x86 has none" },
    { .name = NULL },
};

void log_set_flags(int mask)
{
    __atomic_store_n(&log_flags, mask, __ATOMIC_RELAXED);
}

void log_write(const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);

    pthread_mutex_lock(&log_lock);
    fputs(text, log_file ? log_file : stderr);
    pthread_mutex_unlock(&log_lock);
}

static const LogItem *log_item_find(const char *name)
{
    for (const LogItem *i = log_items; i->name; i++) {
        if (strcmp(i->name, name) == 0) {
            return i;
        }
    }
    return NULL;
}

static void log_bad_item(const char *name, GError **errp)
{
    g_autoptr(GString) list = g_string_new(NULL);

    for (const LogItem *i = log_items; i->name; i++) {
        if (i->mask) {
            g_string_append_printf(list, "%s%s", list->len ? ", " : "",
                                   i->name);
        }
    }
    error_setg(errp, "unknown log item '%s'; there are: %s, all", name,
               list->str);
}

bool log_parse(const char *names, int *mask, GError **errp)
{
    g_auto(GStrv) words = g_strsplit(names, ",", -1);

    *mask = 0;
    for (char **w = words; *w; w++) {
        const LogItem *item;

        if (**w == '\0' || strcmp(*w, "none") == 0) {
            continue;
        }
        if (strcmp(*w, "all") == 0) {
            for (item = log_items; item->name; item++) {
                *mask |= item->mask & ~LOG_NOCHAIN;
            }
            continue;
        }
        if (g_str_has_prefix(*w, "trace:")) {
            trace_enable(*w + strlen("trace:"));
            continue;
        }
        if (!strcmp(*w, "plugin") || !strcmp(*w, "op_plugin")) {
            error_setg(errp, "'%s': there are no plugins here", *w);
            return false;
        }
        item = log_item_find(*w);
        if (!item) {
            log_bad_item(*w, errp);
            return false;
        }
        if (!item->mask) {
            warn_report("-d %s: nothing to show: %s", *w, item->help);
        }
        *mask |= item->mask;
    }
    return true;
}

void log_print_help(FILE *f)
{
    fprintf(f, "Log items (comma separated):\n");
    for (const LogItem *i = log_items; i->name; i++) {
        if (i->mask) {
            fprintf(f, "%-15s %s\n", i->name, i->help);
        }
    }
    fprintf(f, "%-15s %s\n", "all", "everything above but nochain");
    fprintf(f, "%-15s %s\n", "trace:PATTERN",
            "trace events (-trace help lists them)");
}

/* ---- -dfilter ---------------------------------------------------------------- */

typedef struct LogRange {
    uint64_t first, last;
} LogRange;

static GArray *log_ranges; /* NULL: everything */

/* "A..B", "A+N", "A-N" (N bytes that end with A). */
static bool log_range_parse(const char *text, LogRange *r, GError **errp)
{
    const char *op = strpbrk(text, "+-.");
    g_autofree char *left = op ? g_strndup(text, op - text) : NULL;
    uint64_t a, b;
    bool dots = op && g_str_has_prefix(op, "..");

    if (!op || (*op == '.' && !dots) || !parse_u64(left, &a, NULL) ||
        !parse_u64(op + (dots ? 2 : 1), &b, NULL)) {
        error_setg(errp,
                   "bad range '%s': must be start..end, start+size or "
                   "end-size",
                   text);
        return false;
    }
    r->first = *op == '-' ? a - (b - 1) : a;
    r->last = dots ? b : *op == '+' ? a + (b - 1) : a;
    if ((!dots && !b) || r->last < r->first) {
        error_setg(errp, "range '%s' is empty or runs past the last address",
                   text);
        return false;
    }
    return true;
}

bool log_set_ranges(const char *text, GError **errp)
{
    g_auto(GStrv) words = text ? g_strsplit(text, ",", -1) : NULL;
    g_autoptr(GArray) ranges = g_array_new(false, false, sizeof(LogRange));

    for (char **w = words; w && *w; w++) {
        LogRange r;

        if (!log_range_parse(*w, &r, errp)) {
            return false;
        }
        g_array_append_val(ranges, r);
    }
    g_clear_pointer(&log_ranges, g_array_unref);
    log_ranges = text ? g_steal_pointer(&ranges) : NULL;
    return true;
}

bool log_in_range(uint64_t addr)
{
    for (guint i = 0; log_ranges && i < log_ranges->len; i++) {
        const LogRange *r = &g_array_index(log_ranges, LogRange, i);

        if (addr >= r->first && addr <= r->last) {
            return true;
        }
    }
    return !log_ranges;
}

/* As QEMU: one "%d" in the name is the process id. */
static char *log_expand_path(const char *path, GError **errp)
{
    const char *pct = strchr(path, '%');

    if (!pct) {
        return g_strdup(path);
    }
    if (pct[1] != 'd' || strchr(pct + 1, '%')) {
        error_setg(errp,
                   "bad log file name '%s': '%%' may only be one %%d, "
                   "the process id",
                   path);
        return NULL;
    }
    return g_strdup_printf("%.*s%d%s", (int)(pct - path), path, (int)getpid(),
                           pct + 2);
}

bool log_set_file(const char *path, GError **errp)
{
    FILE *f = NULL, *old;

    if (path) {
        g_autofree char *name = log_expand_path(path, errp);

        if (!name) {
            return false;
        }
        f = fopen(name, "we");
        if (!f) {
            error_setg_errno(errp, errno, "could not open log file '%s'", name);
            return false;
        }
        setvbuf(f, NULL, _IOLBF, 0);
    }
    pthread_mutex_lock(&log_lock);
    old = log_file;
    log_file = f;
    pthread_mutex_unlock(&log_lock);
    if (old) {
        fclose(old);
    }
    return true;
}

bool log_to_stderr(void)
{
    bool yes;

    pthread_mutex_lock(&log_lock);
    yes = !log_file;
    pthread_mutex_unlock(&log_lock);
    return yes;
}

void log_set_progname(const char *name)
{
    const char *slash = strrchr(name, '/');

    g_free(progname);
    progname = g_strdup(slash ? slash + 1 : name);
}

const char *log_progname(void)
{
    return progname ? progname : "rhea";
}

static G_GNUC_PRINTF(2, 0) void report(const char *kind, const char *fmt,
                                       va_list ap)
{
    g_autofree char *text = g_strdup_vprintf(fmt, ap);

    pthread_mutex_lock(&log_lock);
    fprintf(stderr, "%s: %s%s\n", log_progname(), kind, text);
    pthread_mutex_unlock(&log_lock);
}

void error_report(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    report("", fmt, ap);
    va_end(ap);
}

void warn_report(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    report("warning: ", fmt, ap);
    va_end(ap);
}

void info_report(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    report("info: ", fmt, ap);
    va_end(ap);
}
