/*
 * Trace events: lines of the log that are chosen one by one, by name.
 *
 *     trace(virtio_set_status, v, status);
 *
 * costs one predicted branch while the event is off. Events stand in
 * util/trace.def; the compiler checks arguments against the format there. Any
 * thread.
 */
#ifndef UTIL_TRACE_H
#define UTIL_TRACE_H

#include "util/osdep.h"

typedef enum TraceId {
#define TRACE(name, fmt) TRACE_##name,
#include "util/trace.def"
    TRACE_COUNT,
} TraceId;

#define TRACE(name, fmt) \
    G_GNUC_UNUSED static const char trace_fmt_##name[] = fmt;
#include "util/trace.def"

extern bool trace_on[TRACE_COUNT]; /* by trace_set() */

void trace_write(TraceId id, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

#define trace(name, ...) \
    do { \
        if (unlikely( \
                __atomic_load_n(&trace_on[TRACE_##name], __ATOMIC_RELAXED))) { \
            trace_write(TRACE_##name, trace_fmt_##name, __VA_ARGS__); \
        } \
    } while (0)

const char *trace_name(unsigned id);                  /* NULL behind the last */
bool trace_matches(unsigned id, const char *pattern); /* "*" and "?" */
/* Switches those that match; how many they were. */
unsigned trace_set(const char *pattern, bool on);
/* "pattern" or "-pattern" (off), with a warning if it is a name that does not
 * exist. */
void trace_enable(const char *pattern);
/* Lines of the above; '#' begins a comment. */
bool trace_load_events(const char *path, GError **errp);
/* Where events go instead of the log. */
bool trace_set_file(const char *path, GError **errp);

#endif
