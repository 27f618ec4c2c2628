/*
 * The log (-d, -D) and the messages on stderr.
 *
 * A message is formatted first and written by one call under one lock, so
 * lines of several vCPUs never mix. The lock also guards the file that -D
 * chose, which the monitor may change while vCPUs write.
 */
#include "util/osdep.h"
#include "util/log.h"

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
    int mask; /* 0: known to QEMU, nothing to show here */
    const char *help;
} LogItem;

/* In the order of -d help. */
static const LogItem log_items[] = {
    { "in_asm", LOG_IN_ASM,
      "show guest code of each block when it is decoded" },
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
    { "out_asm", 0, NULL },
    { "op", 0, NULL },
    { "op_opt", 0, NULL },
    { "op_ind", 0, NULL },
    { "op_plugin", 0, NULL },
    { "fpu", 0, NULL },
    { "page", 0, NULL },
    { "tid", 0, NULL },
    { "plugin", 0, NULL },
    { "strace", 0, NULL },
    { "vpu", 0, NULL },
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
        item = log_item_find(*w);
        if (!item) {
            log_bad_item(*w, errp);
            return false;
        }
        if (!item->mask) {
            warn_report("-d %s: nothing to show in this emulator", *w);
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
