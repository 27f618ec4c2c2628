/*
 * What the thread sanitizer cannot see: glib's locks and thread pools are futexes
 * inside a library that was not built with it, so that everything they order
 * looks like a race. With SAN=tsan the linker puts these wrappers (--wrap in the
 * Makefile) around glib's functions; no other build has this file.
 */
#include "util/osdep.h"

#include <sanitizer/tsan_interface.h>

#define WRAPPED(type, name, ...) \
    type __real_##name(__VA_ARGS__); \
    type __wrap_##name(__VA_ARGS__); \
    type __wrap_##name(__VA_ARGS__)

WRAPPED(void, g_mutex_lock, GMutex *m)
{
    __real_g_mutex_lock(m);
    __tsan_acquire(m);
}

WRAPPED(gboolean, g_mutex_trylock, GMutex *m)
{
    gboolean ok = __real_g_mutex_trylock(m);

    if (ok) {
        __tsan_acquire(m);
    }
    return ok;
}

WRAPPED(void, g_mutex_unlock, GMutex *m)
{
    __tsan_release(m);
    __real_g_mutex_unlock(m);
}

WRAPPED(void, g_cond_wait, GCond *c, GMutex *m)
{
    __tsan_release(m);
    __real_g_cond_wait(c, m);
    __tsan_acquire(m);
}

WRAPPED(gboolean, g_cond_wait_until, GCond *c, GMutex *m, gint64 end)
{
    gboolean ok;

    __tsan_release(m);
    ok = __real_g_cond_wait_until(c, m, end);
    __tsan_acquire(m);
    return ok;
}

/* ---- pools ---------------------------------------------------------------------- */

/* Lives as long as the process: pools are few. */
typedef struct PoolFn {
    GFunc fn;
    gpointer data;
} PoolFn;

static void pool_run(gpointer item, gpointer opaque)
{
    PoolFn *p = opaque;

    __tsan_acquire(p);
    p->fn(item, p->data);
}

WRAPPED(GThreadPool *, g_thread_pool_new, GFunc fn, gpointer data, gint max,
        gboolean exclusive, GError **errp)
{
    PoolFn *p = g_new0(PoolFn, 1);

    p->fn = fn;
    p->data = data;
    return __real_g_thread_pool_new(pool_run, p, max, exclusive, errp);
}

/* Of the sanitizer's library, whose headers do not have them. */
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);

/* Nothing to report: the last thread of a pool frees it, and what puts that
 * after this is glib's lock. */
static PoolFn *pool_fn(const GThreadPool *pool)
{
    PoolFn *p;

    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    p = pool->user_data;
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
    return p;
}

WRAPPED(gboolean, g_thread_pool_push, GThreadPool *pool, gpointer item,
        GError **errp)
{
    __tsan_release(pool_fn(pool));
    return __real_g_thread_pool_push(pool, item, errp);
}
