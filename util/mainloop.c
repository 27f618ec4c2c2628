/*
 * The main loop on the default GMainContext.
 *
 * The lock: mainloop_iterate() holds it, and our poll function lets it go for
 * as long as it sleeps. So every callback of every source, those of libraries
 * too, runs with the lock held and needs not think of it. It is held once
 * only, also when a callback iterates again.
 *
 * Calls from other threads go through our own queue and an eventfd, not
 * through g_idle_add(): they keep their order, cost no source each, and the
 * thread sanitizer, which does not know glib's locks, can follow them.
 */
#include "util/osdep.h"
#include "util/mainloop.h"

#include <glib-unix.h>
#include <pthread.h>
#include <sys/eventfd.h>

typedef struct Call {
    MainFn *fn;
    void *opaque;
} Call;

typedef struct FdWatch {
    MainFdFn *fn;
    void *opaque;
} FdWatch;

static GRecMutex *loop_lock;
static GThread *loop_thread; /* inside mainloop_iterate(), or NULL */
static unsigned loop_depth;  /* nested iterations */
static bool loop_quit;       /* atomic */

static pthread_mutex_t calls_lock = PTHREAD_MUTEX_INITIALIZER;
static GArray *calls;     /* of Call, waiting; under calls_lock */
static int calls_fd = -1; /* atomic; wakes the loop */
/* Taken by calls_run(): the loop's. A callback that iterates again goes on with
 * those behind it, for which it may be waiting. */
static GArray *calls_now;
static guint calls_at;

static int mainloop_poll(GPollFD *fds, guint n, gint timeout)
{
    bool drop = loop_lock && loop_depth && timeout != 0;
    int r;

    if (drop) {
        g_rec_mutex_unlock(loop_lock);
    }
    r = g_poll(fds, n, timeout);
    if (drop) {
        int saved = errno;

        g_rec_mutex_lock(loop_lock);
        errno = saved;
    }
    return r;
}

static void calls_wake(int fd)
{
    uint64_t one = 1;

    /* EAGAIN: the counter is full, so the loop is awake already. */
    if (write(fd, &one, sizeof(one)) != sizeof(one) && errno != EAGAIN) {
        g_warning("eventfd: %s", g_strerror(errno));
    }
}

static void calls_go_on(void)
{
    while (calls_now && calls_at < calls_now->len) {
        Call c = g_array_index(calls_now, Call, calls_at++);

        c.fn(c.opaque);
    }
    g_clear_pointer(&calls_now, g_array_unref);
    calls_at = 0;
}

static gboolean calls_run(gint fd, GIOCondition cond, gpointer opaque)
{
    uint64_t n;

    if (read(fd, &n, sizeof(n)) != sizeof(n)) {
        return G_SOURCE_CONTINUE;
    }
    pthread_mutex_lock(&calls_lock);
    if (!calls_now) {
        calls_now = calls;
    } else if (calls) {
        g_array_append_vals(calls_now, calls->data, calls->len);
        g_array_unref(calls);
    }
    calls = NULL;
    pthread_mutex_unlock(&calls_lock);
    calls_go_on();
    return G_SOURCE_CONTINUE;
}

static void mainloop_init(void)
{
    guint id;
    int fd;

    if (calls_fd >= 0) {
        return;
    }
    fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) {
        g_error("eventfd: %s", g_strerror(errno));
    }
    g_main_context_set_poll_func(NULL, mainloop_poll);
    id = g_unix_fd_add(fd, G_IO_IN, calls_run, NULL);
    g_source_set_can_recurse(g_main_context_find_source_by_id(NULL, id), TRUE);
    pthread_mutex_lock(&calls_lock);
    __atomic_store_n(&calls_fd, fd, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&calls_lock);
    calls_wake(fd); /* calls made before */
}

void mainloop_set_lock(GRecMutex *lock)
{
    mainloop_init();
    loop_lock = lock;
}

bool mainloop_holds(const GRecMutex *lock)
{
    return lock == loop_lock &&
           __atomic_load_n(&loop_thread, __ATOMIC_RELAXED) == g_thread_self();
}

bool mainloop_iterate(bool block)
{
    GRecMutex *lock;
    bool did;

    mainloop_init();
    if (loop_depth && calls_now && calls_at < calls_now->len) {
        calls_go_on();
        return true;
    }
    lock = loop_depth == 0 ? loop_lock : NULL;
    if (lock) {
        g_rec_mutex_lock(lock);
    }
    loop_depth++;
    __atomic_store_n(&loop_thread, g_thread_self(), __ATOMIC_RELAXED);
    did = g_main_context_iteration(NULL, block);
    if (--loop_depth == 0) {
        __atomic_store_n(&loop_thread, NULL, __ATOMIC_RELAXED);
    }
    if (lock) {
        g_rec_mutex_unlock(lock);
    }
    return did;
}

void mainloop_run(void)
{
    while (!__atomic_exchange_n(&loop_quit, false, __ATOMIC_ACQ_REL)) {
        mainloop_iterate(true);
    }
}

void mainloop_quit(void)
{
    int fd = __atomic_load_n(&calls_fd, __ATOMIC_ACQUIRE);

    __atomic_store_n(&loop_quit, true, __ATOMIC_RELEASE);
    if (fd >= 0) {
        calls_wake(fd);
    }
}

void mainloop_call(MainFn *fn, void *opaque)
{
    Call c = { fn, opaque };
    int fd;

    pthread_mutex_lock(&calls_lock);
    if (!calls) {
        calls = g_array_new(false, false, sizeof(Call));
    }
    g_array_append_val(calls, c);
    fd = calls_fd;
    pthread_mutex_unlock(&calls_lock);
    if (fd >= 0) {
        calls_wake(fd);
    }
}

static gboolean watch_run(gint fd, GIOCondition cond, gpointer opaque)
{
    const FdWatch *w = opaque;

    return w->fn(fd, cond, w->opaque);
}

unsigned mainloop_add_fd(int fd, GIOCondition cond, MainFdFn *fn, void *opaque)
{
    FdWatch *w = g_new(FdWatch, 1);

    mainloop_init();
    w->fn = fn;
    w->opaque = opaque;
    return g_unix_fd_add_full(G_PRIORITY_DEFAULT, fd, cond, watch_run, w,
                              g_free);
}

unsigned mainloop_add_fd_nested(int fd, GIOCondition cond, MainFdFn *fn,
                                void *opaque)
{
    unsigned id = mainloop_add_fd(fd, cond, fn, opaque);

    g_source_set_can_recurse(g_main_context_find_source_by_id(NULL, id), TRUE);
    return id;
}

void mainloop_remove(unsigned id)
{
    g_source_remove(id);
}
