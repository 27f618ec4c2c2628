/* Trace events: which are on, and where they are written. */
#include "util/osdep.h"
#include "util/trace.h"

#include <pthread.h>
#include "util/error.h"
#include "util/log.h"
#include "util/nearest.h"

bool trace_on[TRACE_COUNT];

static pthread_mutex_t trace_lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *trace_file; /* NULL: the log */

static const char *const trace_names[TRACE_COUNT + 1] = {
#define TRACE(name, fmt) #name,
#include "util/trace.def"
    NULL,
};

const char *trace_name(unsigned id)
{
    return id < TRACE_COUNT ? trace_names[id] : NULL;
}

void trace_write(TraceId id, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;
    bool done;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    pthread_mutex_lock(&trace_lock);
    done = trace_file != NULL;
    if (done) {
        fprintf(trace_file, "%s %s\n", trace_names[id], text);
    }
    pthread_mutex_unlock(&trace_lock);
    if (!done) {
        log_write("%s %s\n", trace_names[id], text);
    }
}

bool trace_matches(unsigned id, const char *pattern)
{
    return g_pattern_match_simple(pattern, trace_names[id]);
}

unsigned trace_set(const char *pattern, bool on)
{
    unsigned n = 0;

    for (unsigned i = 0; i < TRACE_COUNT; i++) {
        if (trace_matches(i, pattern)) {
            __atomic_store_n(&trace_on[i], on, __ATOMIC_RELAXED);
            n++;
        }
    }
    return n;
}

void trace_enable(const char *pattern)
{
    bool on = *pattern != '-';
    const char *name = on ? pattern : pattern + 1;
    g_autofree char *hint = NULL;

    if (trace_set(name, on) || strpbrk(name, "*?")) {
        return;
    }
    hint = did_you_mean(name, trace_names, " (");
    warn_report("trace event '%s' does not exist%s", name, hint);
}

bool trace_load_events(const char *path, GError **errp)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    if (!g_file_get_contents(path, &text, NULL, errp)) {
        return false;
    }
    lines = g_strsplit(text, "\n", -1);
    for (char **l = lines; *l; l++) {
        g_strstrip(*l);
        if (**l && **l != '#') {
            trace_enable(*l);
        }
    }
    return true;
}

bool trace_set_file(const char *path, GError **errp)
{
    FILE *f = fopen(path, "we"), *old;

    if (!f) {
        error_setg_errno(errp, errno, "could not open trace file '%s'", path);
        return false;
    }
    setvbuf(f, NULL, _IOLBF, 0);
    pthread_mutex_lock(&trace_lock);
    old = trace_file;
    trace_file = f;
    pthread_mutex_unlock(&trace_lock);
    if (old) {
        fclose(old);
    }
    return true;
}
