/*
 * The virtual clock and its timers.
 *
 * A clock that follows the host is one atomic word: while it runs the offset
 * to the host's monotonic clock, while it stands its value. So reading it
 * takes no lock and never sees half a change.
 *
 * Timers wait in a binary heap. A timerfd in the main loop is set to the first
 * one; it is moved when an earlier one comes, and left alone when that one
 * goes: waking up once too often is cheaper than a system call for each timer
 * that is pushed out again and again.
 */
#include "util/osdep.h"
#include "system/clock.h"

#include <sys/timerfd.h>
#include <time.h>
#include "util/mainloop.h"

/* The main loop gets its turn after so many timers: a guest may program one
 * that is due all the time. */
enum { FIRE_MAX = 1000 };

struct Clock {
    bool manual;
    uint64_t word;   /* atomic: value << 1 | running; manual: never running */
    GPtrArray *heap; /* of Timer, the first to fire on top */
    uint64_t next_seq;
    int fd;
    unsigned watch;
    int64_t programmed; /* what the timerfd is set to, -1: nothing; written
                         * under the machine lock, read without */
};

static int64_t host_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

static uint64_t clock_word(const Clock *clk)
{
    return __atomic_load_n(&clk->word, __ATOMIC_ACQUIRE);
}

static void clock_set_word(Clock *clk, int64_t value, bool running)
{
    __atomic_store_n(&clk->word, (uint64_t)value << 1 | running,
                     __ATOMIC_RELEASE);
}

static bool clock_running(const Clock *clk)
{
    return clock_word(clk) & 1;
}

int64_t clock_ns(Clock *clk)
{
    uint64_t word = clock_word(clk);
    int64_t value = (int64_t)word >> 1;

    return word & 1 ? host_ns() + value : value;
}

/* ---- the heap -------------------------------------------------------------- */

static Timer *heap_at(const Clock *clk, size_t i)
{
    return clk->heap->pdata[i];
}

static void heap_put(Clock *clk, size_t i, Timer *t)
{
    clk->heap->pdata[i] = t;
    t->heap_idx = i;
}

static bool fires_before(const Timer *a, const Timer *b)
{
    return a->expire != b->expire ? a->expire < b->expire : a->seq < b->seq;
}

static void heap_up(Clock *clk, size_t i)
{
    Timer *t = heap_at(clk, i);

    while (i > 0 && fires_before(t, heap_at(clk, (i - 1) / 2))) {
        heap_put(clk, i, heap_at(clk, (i - 1) / 2));
        i = (i - 1) / 2;
    }
    heap_put(clk, i, t);
}

static void heap_down(Clock *clk, size_t i)
{
    Timer *t = heap_at(clk, i);
    size_t n = clk->heap->len;

    for (size_t child = 2 * i + 1; child < n; child = 2 * i + 1) {
        if (child + 1 < n &&
            fires_before(heap_at(clk, child + 1), heap_at(clk, child))) {
            child++;
        }
        if (!fires_before(heap_at(clk, child), t)) {
            break;
        }
        heap_put(clk, i, heap_at(clk, child));
        i = child;
    }
    heap_put(clk, i, t);
}

static void heap_remove(Clock *clk, Timer *t)
{
    size_t i = t->heap_idx;
    Timer *last = heap_at(clk, clk->heap->len - 1);

    g_ptr_array_set_size(clk->heap, (int)clk->heap->len - 1);
    if (last != t) {
        heap_put(clk, i, last);
        heap_up(clk, i);
        heap_down(clk, last->heap_idx);
    }
    t->expire = -1;
}

int64_t clock_deadline(Clock *clk)
{
    return clk->heap->len ? heap_at(clk, 0)->expire : -1;
}

/* ---- firing ---------------------------------------------------------------- */

static void clock_set_programmed(Clock *clk, int64_t ns)
{
    __atomic_store_n(&clk->programmed, ns, __ATOMIC_RELAXED);
}

/* Sets the timerfd to the first timer, unless it will wake us before. */
static void clock_program(Clock *clk)
{
    struct itimerspec it = { 0 };
    int64_t due = clock_deadline(clk), at;

    if (clk->manual || !clock_running(clk) || due < 0 ||
        (clk->programmed >= 0 && clk->programmed <= due)) {
        return;
    }
    clock_set_programmed(clk, due);
    if (__builtin_sub_overflow(due, (int64_t)clock_word(clk) >> 1, &at)) {
        at = INT64_MAX;
    }
    at = MAX(at, 1); /* 0 would disarm it */
    it.it_value.tv_sec = at / NS_PER_SEC;
    it.it_value.tv_nsec = at % NS_PER_SEC;
    timerfd_settime(clk->fd, TFD_TIMER_ABSTIME, &it, NULL);
}

static void fire_first(Clock *clk)
{
    Timer *t = heap_at(clk, 0);

    heap_remove(clk, t);
    t->fn(t->opaque);
}

void clock_fire(Clock *clk)
{
    int64_t now = clock_ns(clk);

    clock_set_programmed(clk, -1);
    for (unsigned i = 0; i < FIRE_MAX && clock_running(clk); i++) {
        int64_t due = clock_deadline(clk);

        if (due < 0 || due > now) {
            break;
        }
        fire_first(clk);
    }
    clock_program(clk);
}

static bool clock_expired(int fd, GIOCondition cond, void *opaque)
{
    uint64_t n;

    if (read(fd, &n, sizeof(n)) < 0) {
        return true; /* moved or stopped meanwhile */
    }
    clock_fire(opaque);
    return true;
}

bool clock_late(Clock *clk, int64_t slack_ns)
{
    int64_t due = __atomic_load_n(&clk->programmed, __ATOMIC_RELAXED);

    return due >= 0 && clock_running(clk) && clock_ns(clk) - due > slack_ns;
}

void clock_step(Clock *clk, int64_t ns)
{
    int64_t target = clock_ns(clk) + ns;

    g_assert(clk->manual); /* the host's clock moves by itself */
    for (;;) {
        int64_t due = clock_deadline(clk);

        if (due < 0 || due > target) {
            break;
        }
        clock_set_word(clk, MAX(due, clock_ns(clk)), false);
        fire_first(clk);
    }
    clock_set_word(clk, target, false);
}

/* ---- the clock ------------------------------------------------------------- */

Clock *clock_new_manual(void)
{
    Clock *clk = g_new0(Clock, 1);

    clk->manual = true;
    clk->heap = g_ptr_array_new();
    clk->fd = -1;
    clk->programmed = -1;
    return clk;
}

bool clock_is_manual(const Clock *clk)
{
    return clk->manual;
}

Clock *clock_new(void)
{
    Clock *clk = clock_new_manual();

    clk->manual = false;
    clk->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (clk->fd < 0) {
        g_error("timerfd: %s", g_strerror(errno));
    }
    clk->watch = mainloop_add_fd(clk->fd, G_IO_IN, clock_expired, clk);
    return clk;
}

void clock_free(Clock *clk)
{
    if (!clk) {
        return;
    }
    for (guint i = 0; i < clk->heap->len; i++) {
        heap_at(clk, i)->expire = -1;
        heap_at(clk, i)->clock = NULL;
    }
    if (clk->fd >= 0) {
        mainloop_remove(clk->watch);
        close(clk->fd);
    }
    g_ptr_array_unref(clk->heap);
    g_free(clk);
}

void clock_start(Clock *clk)
{
    if (!clk->manual && !clock_running(clk)) {
        clock_set_word(clk, clock_ns(clk) - host_ns(), true);
        clock_set_programmed(clk, -1);
        clock_program(clk);
    }
}

void clock_stop(Clock *clk)
{
    static const struct itimerspec never;

    if (clock_running(clk)) {
        clock_set_word(clk, clock_ns(clk), false);
        timerfd_settime(clk->fd, 0, &never, NULL);
        clock_set_programmed(clk, -1);
    }
}

void clock_set(Clock *clk, int64_t ns)
{
    g_assert(!clock_running(clk)); /* time does not jump under a guest */
    clock_set_word(clk, ns, false);
}

/* ---- timers ---------------------------------------------------------------- */

void timer_init(Timer *t, Clock *clk, TimerFn *fn, void *opaque)
{
    *t = (Timer) { .clock = clk, .fn = fn, .opaque = opaque, .expire = -1 };
}

void timer_arm(Timer *t, int64_t expire_ns)
{
    Clock *clk = t->clock;

    timer_cancel(t);
    t->expire = MAX(expire_ns, 0);
    t->seq = clk->next_seq++;
    g_ptr_array_add(clk->heap, t);
    heap_up(clk, clk->heap->len - 1);
    clock_program(clk);
}

void timer_cancel(Timer *t)
{
    if (timer_armed(t)) {
        heap_remove(t->clock, t);
    }
}
