/* Clocks and timers; the main loop that fires them. */
#include "util/osdep.h"
#include "system/clock.h"
#include "util/mainloop.h"

static GString *fired;
static Clock *clk;

static void note(void *opaque)
{
    g_string_append_printf(fired, "%s@%" PRId64 " ", (const char *)opaque,
                           clock_ns(clk));
}

static void setup(void)
{
    fired = g_string_new(NULL);
    clk = clock_new_manual();
}

static void teardown(void)
{
    clock_free(clk);
    g_string_free(fired, true);
}

static void test_manual_order(void)
{
    Timer a, b, c, d;

    setup();
    timer_init(&a, clk, note, (char *)"a");
    timer_init(&b, clk, note, (char *)"b");
    timer_init(&c, clk, note, (char *)"c");
    timer_init(&d, clk, note, (char *)"d");
    timer_arm(&a, 300);
    timer_arm(&b, 100);
    timer_arm(&c, 200);
    timer_arm(&d, 100); /* same time: after b */
    timer_cancel(&c);
    timer_cancel(&c);
    g_assert_cmpint(clock_deadline(clk), ==, 100);
    clock_step(clk, 99);
    g_assert_cmpstr(fired->str, ==, "");
    clock_step(clk, 1);
    g_assert_cmpstr(fired->str, ==, "b@100 d@100 ");
    g_assert_false(timer_armed(&b));
    timer_arm(&c, 50); /* late: at once, time does not go back */
    clock_step(clk, 1000);
    g_assert_cmpstr(fired->str, ==, "b@100 d@100 c@100 a@300 ");
    g_assert_cmpint(clock_ns(clk), ==, 1100);
    g_assert_cmpint(clock_deadline(clk), ==, -1);
    timer_arm(&a, -5);
    g_assert_true(timer_armed(&a));
    teardown();
    g_assert_false(timer_armed(&a));
}

typedef struct Periodic {
    Timer t;
    unsigned n;
} Periodic;

static void periodic(void *opaque)
{
    Periodic *p = opaque;

    p->n++;
    timer_arm(&p->t, clock_ns(clk) + 10);
}

static void test_manual_periodic(void)
{
    Periodic p = { .n = 0 };

    setup();
    timer_init(&p.t, clk, periodic, &p);
    timer_arm(&p.t, 10);
    clock_step(clk, 1000);
    g_assert_cmpuint(p.n, ==, 100);
    teardown();
}

/* The heap against a plain list. */
static void test_heap(void)
{
    enum { N = 100 };
    static Timer t[N];

    setup();
    for (unsigned i = 0; i < N; i++) {
        timer_init(&t[i], clk, note, (char *)"");
    }
    for (unsigned round = 0; round < 20000; round++) {
        Timer *x = &t[g_test_rand_int_range(0, N)];
        int64_t first = -1;

        if (g_test_rand_int_range(0, 3)) {
            timer_arm(x, g_test_rand_int_range(0, 1000));
        } else {
            timer_cancel(x);
        }
        for (unsigned i = 0; i < N; i++) {
            if (timer_armed(&t[i]) && (first < 0 || t[i].expire < first)) {
                first = t[i].expire;
            }
        }
        g_assert_cmpint(clock_deadline(clk), ==, first);
    }
    teardown();
}

static void count(void *opaque)
{
    ++*(unsigned *)opaque;
}

static void wait_for(const unsigned *n, unsigned want)
{
    while (*n < want) {
        mainloop_iterate(true);
    }
}

static void test_host(void)
{
    unsigned n = 0, far = 0;
    int64_t before;
    Timer t, u;

    clk = clock_new();
    g_assert_cmpint(clock_ns(clk), ==, 0);
    timer_init(&t, clk, count, &n);
    timer_init(&u, clk, count, &far);
    timer_arm(&t, 2 * 1000 * 1000);
    timer_arm(&u, INT64_MAX);
    while (mainloop_iterate(false)) { /* its first turn has something to do */
    }
    g_assert_cmpuint(n, ==, 0); /* stopped: nothing is due */
    clock_start(clk);
    wait_for(&n, 1);
    g_assert_cmpint(clock_ns(clk), >=, 2 * 1000 * 1000);
    timer_arm(&t, 0);
    wait_for(&n, 2);

    /* Moved forward, then back; cancelled ones stay silent. */
    timer_arm(&t, clock_ns(clk) + 1000 * NS_PER_SEC);
    timer_arm(&t, clock_ns(clk) + 1000 * 1000);
    wait_for(&n, 3);
    timer_arm(&t, clock_ns(clk) + 1000 * 1000);
    timer_cancel(&t);
    g_usleep(3000);
    while (mainloop_iterate(false)) {
    }
    g_assert_cmpuint(n, ==, 3);

    clock_stop(clk);
    before = clock_ns(clk);
    timer_arm(&t, before + 1);
    g_usleep(2000);
    while (mainloop_iterate(false)) {
    }
    g_assert_cmpint(clock_ns(clk), ==, before);
    g_assert_cmpuint(n, ==, 3);
    clock_set(clk, 5 * NS_PER_SEC);
    clock_start(clk);
    wait_for(&n, 4);
    g_assert_cmpint(clock_ns(clk), >=, 5 * NS_PER_SEC);
    g_assert_cmpint(clock_ns(clk), <, 65 * NS_PER_SEC);
    g_assert_cmpuint(far, ==, 0);
    clock_free(clk);
}

/* A timer that is always due leaves the main loop its turn. */
static void always_due(void *opaque)
{
    Periodic *p = opaque;

    p->n++;
    timer_arm(&p->t, 0);
}

static void test_host_storm(void)
{
    Periodic p = { .n = 0 };
    unsigned called = 0;

    clk = clock_new();
    timer_init(&p.t, clk, always_due, &p);
    timer_arm(&p.t, 0);
    clock_start(clk);
    mainloop_call(count, &called);
    wait_for(&called, 1);
    clock_free(clk);
}

static void check_muldiv(void)
{
    g_assert_cmpuint(muldiv64(UINT64_MAX, 3, 3), ==, UINT64_MAX);
    g_assert_cmpuint(muldiv64(1193182, 1000000000, 1193182), ==, 1000000000);
}

/* ---- the main loop ---------------------------------------------------------- */

typedef struct Loop {
    GRecMutex lock;
    unsigned order, seen;
    bool held_in_callback, free_in_poll;
} Loop;

static Loop loop;

static void in_order(void *opaque)
{
    g_assert_cmpuint(GPOINTER_TO_UINT(opaque), ==, loop.order);
    loop.order++;
    loop.held_in_callback = mainloop_holds(&loop.lock);
    if (loop.order == 100) {
        mainloop_quit();
    }
}

static gpointer caller(gpointer opaque)
{
    g_usleep(1000); /* the loop sleeps by now, mostly */
    g_rec_mutex_lock(&loop.lock);
    loop.free_in_poll = true;
    g_rec_mutex_unlock(&loop.lock);
    for (unsigned i = 0; i < 100; i++) {
        mainloop_call(in_order, GUINT_TO_POINTER(i));
    }
    return NULL;
}

static bool on_readable(int fd, GIOCondition cond, void *opaque)
{
    char c;

    g_assert_cmpint(read(fd, &c, 1), ==, 1);
    loop.seen++;
    return c != 'q';
}

static void test_mainloop(void)
{
    GThread *t;
    int p[2];

    g_rec_mutex_init(&loop.lock);
    mainloop_set_lock(&loop.lock);
    t = g_thread_new("caller", caller, NULL);
    mainloop_run();
    g_thread_join(t);
    g_assert_cmpuint(loop.order, ==, 100);
    g_assert_true(loop.held_in_callback);
    g_assert_true(loop.free_in_poll);
    g_assert_false(mainloop_holds(&loop.lock));

    mainloop_quit(); /* before it runs: it does not */
    mainloop_run();

    g_assert_cmpint(pipe(p), ==, 0);
    mainloop_add_fd(p[0], G_IO_IN, on_readable, NULL);
    g_assert_cmpint(write(p[1], "aqz", 3), ==, 3);
    while (loop.seen < 2) {
        mainloop_iterate(true);
    }
    while (mainloop_iterate(false)) {
    }
    g_assert_cmpuint(loop.seen, ==, 2); /* removed by its answer */
    close(p[0]);
    close(p[1]);
    mainloop_set_lock(NULL);
}

static void late_fired(void *opaque)
{
    ++*(int *)opaque;
}

/* A main loop that never runs: whoever notices may fire. */
static void test_late(void)
{
    Clock *late = clock_new();
    int count = 0;
    Timer t;

    timer_init(&t, late, late_fired, &count);
    g_assert_false(clock_late(late, 0)); /* it stands, and nothing is armed */
    clock_start(late);
    timer_arm(&t, clock_ns(late) + 1000 * NS_PER_SEC);
    g_assert_false(clock_late(late, 60 * NS_PER_SEC));
    clock_fire(late);
    g_assert_cmpint(count, ==, 0);
    timer_arm(&t, clock_ns(late) + 1000000);
    g_usleep(3000);
    g_assert_true(clock_late(late, 0));
    clock_fire(late);
    g_assert_cmpint(count, ==, 1);
    g_assert_false(timer_armed(&t));
    g_assert_false(clock_late(late, 0));
    mainloop_iterate(false); /* the timerfd had expired: nothing is left */
    g_assert_cmpint(count, ==, 1);
    clock_free(late);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/clock/manual-order", test_manual_order);
    g_test_add_func("/clock/manual-periodic", test_manual_periodic);
    g_test_add_func("/clock/heap", test_heap);
    g_test_add_func("/clock/host", test_host);
    g_test_add_func("/clock/host-storm", test_host_storm);
    g_test_add_func("/clock/muldiv", check_muldiv);
    g_test_add_func("/mainloop", test_mainloop);
    g_test_add_func("/clock/late", test_late);
    return g_test_run();
}
