/* Run states and requests, with hooks instead of vCPUs. */
#include "util/osdep.h"
#include "system/machine.h"
#include "util/mainloop.h"

static GString *story;

static void say(const char *what)
{
    g_string_append_printf(story, "%s ", what);
}

static void expect(const char *text)
{
    g_assert_cmpstr(story->str, ==, text);
    g_string_truncate(story, 0);
}

static void cpus_pause(Machine *m)
{
    say("pause");
}

static void cpus_resume(Machine *m)
{
    say("resume");
}

static void cpus_reset(Machine *m)
{
    say("cpus");
}

static void on_event(Machine *m, const char *event, const EventValue *values,
                     void *opaque)
{
    const EventValue *reason = event_value(values, "reason");
    const EventValue *guest = event_value(values, "guest");
    const EventValue *action = event_value(values, "action");

    g_string_append(story, event);
    if (reason) {
        g_assert_cmpint(guest->i, ==, g_str_has_prefix(reason->s, "guest"));
        g_string_append_printf(story, ":%s", reason->s);
    }
    if (action) {
        g_string_append_printf(story, ":%s", action->s);
    }
    g_string_append_c(story, ' ');
}

static void dev_reset(Device *dev)
{
    say(dev->id);
}

static void board_reset(Machine *m)
{
    say("board");
}

static const DeviceClass dev_class = { .name = "dev",
                                       .size = sizeof(Device),
                                       .reset = dev_reset };
static const MachineClass board = { .name = "board", .reset = board_reset };

static void power_button(void *opaque, int n, int level)
{
    say(level ? "press" : "release");
}

static void add_device(Machine *m, const char *id)
{
    g_assert_true(device_realize(device_new_class(m, &dev_class, id), NULL));
}

static Machine *start(void)
{
    Machine *m = machine_new(&board, NULL);

    story = g_string_new(NULL);
    m->cpus_pause = cpus_pause;
    m->cpus_resume = cpus_resume;
    m->cpus_reset = cpus_reset;
    machine_watch(m, on_event, NULL);
    m->power_button = (IrqLine) { power_button, NULL, 0 };
    add_device(m, "a");
    add_device(m, "b");
    return m;
}

static void end(Machine *m)
{
    machine_free(m);
    g_string_free(story, true);
}

static void loop(void)
{
    while (mainloop_iterate(false)) {
    }
}

/* Takes back a quit that nobody waited for. */
static void take_quit(void)
{
    mainloop_quit();
    mainloop_run();
}

static void test_start_stop(void)
{
    Machine *m = start();
    int64_t t;

    g_assert_cmpstr(run_state_name(m->state), ==, "prelaunch");
    g_assert_true(machine_start(m, NULL));
    g_assert_true(machine_start(m, NULL));
    g_assert_cmpint(m->state, ==, RUN_RUNNING);
    expect("RESUME resume ");
    g_usleep(1000);
    g_assert_cmpint(clock_ns(m->vclock), >, 0);
    machine_stop(m, RUN_PAUSED);
    machine_stop(m, RUN_PAUSED);
    g_assert_cmpint(m->state, ==, RUN_PAUSED);
    expect("pause STOP ");
    t = clock_ns(m->vclock);
    g_usleep(1000);
    g_assert_cmpint(clock_ns(m->vclock), ==, t);
    end(m);
}

static void test_reset(void)
{
    Machine *m = start();

    machine_reset(m);
    expect("cpus a b board ");
    machine_start(m, NULL);
    expect("RESUME resume ");
    machine_reset(m);
    expect("pause cpus a b board resume ");
    machine_request_reset(m, RESET_GUEST);
    machine_request_reset(m, RESET_GUEST);
    expect("");
    loop();
    expect("pause cpus a b board resume RESET:guest-reset ");
    machine_request_reset(m, RESET_HOST);
    machine_request_powerdown(m);
    loop();
    expect("pause cpus a b board resume RESET:host-qmp-system-reset "
           "POWERDOWN press release ");
    machine_stop(m, RUN_PAUSED);
    expect("pause STOP ");
    machine_request_reset(m, RESET_HOST);
    loop();
    expect("cpus a b board RESET:host-qmp-system-reset ");
    g_assert_cmpint(m->state, ==, RUN_PRELAUNCH);
    end(m);
}

static void test_shutdown(void)
{
    Machine *m = start();

    machine_start(m, NULL);
    machine_request_reset(m, RESET_GUEST);
    machine_request_shutdown(m, 33);
    machine_request_shutdown(m, 1);
    mainloop_run();
    expect("RESUME resume SHUTDOWN:guest-shutdown pause ");
    g_assert_cmpint(m->exit_code, ==, 33);
    g_assert_cmpint(m->state, ==, RUN_SHUTDOWN);
    end(m);
}

static void test_no_shutdown(void)
{
    Machine *m = start();
    g_autoptr(GError) err = NULL;

    m->cfg.no_shutdown = true;
    machine_start(m, NULL);
    machine_request_shutdown(m, 5);
    loop();
    expect("RESUME resume SHUTDOWN:guest-shutdown pause STOP ");
    g_assert_cmpint(m->exit_code, ==, 0);
    g_assert_false(machine_start(m, &err));
    g_assert_cmpstr(err->message, ==,
                    "Resetting the Virtual Machine is required");
    machine_stop(m, RUN_PAUSED);
    g_assert_cmpint(m->state, ==, RUN_SHUTDOWN);
    machine_request_reset(m, RESET_HOST);
    loop();
    g_assert_cmpint(m->state, ==, RUN_PRELAUNCH);
    g_assert_true(machine_start(m, NULL));
    end(m);
}

static void test_no_reboot(void)
{
    Machine *m = start();

    m->cfg.no_reboot = true;
    machine_start(m, NULL);
    machine_request_reset(m, RESET_TRIPLE_FAULT);
    mainloop_run();
    expect("RESUME resume SHUTDOWN:guest-reset pause ");
    g_assert_cmpint(m->exit_code, ==, 0);
    end(m);
}

static void test_quit(void)
{
    Machine *m = start();

    m->cfg.no_shutdown = true;
    machine_start(m, NULL);
    machine_request_quit(m, "host-signal");
    mainloop_run();
    expect("RESUME resume SHUTDOWN:host-signal pause ");
    machine_unwatch(m, on_event, NULL);
    machine_emit(m, "STOP");
    expect("");
    end(m);
}

static void test_panic(void)
{
    static const struct {
        PanicAction action;
        bool no_shutdown;
        RunState state;
        const char *story;
    } cases[] = {
        { PANIC_NONE, false, RUN_RUNNING, "GUEST_PANICKED:run resume " },
        { PANIC_PAUSE, false, RUN_GUEST_PANICKED,
          "GUEST_PANICKED:pause pause STOP " },
        { PANIC_SHUTDOWN, true, RUN_GUEST_PANICKED,
          "GUEST_PANICKED:pause pause STOP " },
        { PANIC_SHUTDOWN, false, RUN_GUEST_PANICKED,
          "GUEST_PANICKED:poweroff pause STOP SHUTDOWN:guest-panic " },
        { PANIC_EXIT_FAILURE, false, RUN_GUEST_PANICKED,
          "GUEST_PANICKED:poweroff pause STOP SHUTDOWN:guest-panic " },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Machine *m = start();

        m->cfg.panic_action = cases[i].action;
        m->cfg.no_shutdown = cases[i].no_shutdown;
        machine_start(m, NULL);
        expect("RESUME resume ");
        machine_request_panic(m);
        loop();
        expect(cases[i].story);
        g_assert_cmpint(m->state, ==, cases[i].state);
        g_assert_cmpint(m->exit_code, ==,
                        cases[i].action == PANIC_EXIT_FAILURE);
        take_quit();
        end(m);
    }
}

/* ---- the main loop runs in the middle of it --------------------------------------- */

/* What somebody asks for meanwhile. */
static void stop_call(void *opaque)
{
    machine_stop(opaque, RUN_PAUSED);
}

static void start_call(void *opaque)
{
    machine_start(opaque, NULL);
}

static void reset_call(void *opaque)
{
    machine_reset(opaque);
}

/* A disk that has requests to wait for. */
static void slow_reset(Device *dev)
{
    say("drain");
    loop();
}

static const DeviceClass slow_class = { .name = "slow",
                                        .size = sizeof(Device),
                                        .reset = slow_reset };

static Machine *start_slow(void)
{
    Machine *m = start();

    g_assert_true(device_realize(device_new_class(m, &slow_class, "s"), NULL));
    machine_start(m, NULL);
    expect("RESUME resume ");
    return m;
}

static void test_stop_in_reset(void)
{
    Machine *m = start_slow();

    mainloop_call(stop_call, m);
    machine_reset(m);
    expect("pause cpus a b drain pause STOP board ");
    g_assert_cmpint(m->state, ==, RUN_PAUSED);
    machine_start(m, NULL);
    expect("RESUME resume ");
    end(m);
}

static void test_reset_in_reset(void)
{
    Machine *m = start_slow();

    mainloop_call(reset_call, m);
    machine_reset(m);
    expect("pause cpus a b drain cpus a b drain board board resume ");
    end(m);
}

static void settle(Machine *m)
{
    say("settle");
    loop();
}

/* Nobody hears of RESUME before STOP. */
static void test_start_in_stop(void)
{
    Machine *m = start();

    m->settle_disks = settle;
    machine_start(m, NULL);
    expect("RESUME resume ");
    mainloop_call(start_call, m);
    machine_stop(m, RUN_PAUSED);
    expect("pause STOP settle RESUME resume ");
    g_assert_cmpint(m->state, ==, RUN_RUNNING);
    mainloop_call(start_call, m);
    g_assert_true(machine_hold(m, "a test", RUN_SAVE_VM, NULL));
    expect("pause STOP settle ");
    g_assert_cmpint(m->state, ==, RUN_SAVE_VM);
    machine_release(m);
    expect("RESUME resume ");
    end(m);
}

static void free_a(void *opaque)
{
    Machine *m = opaque;

    device_free(m->devices->pdata[0]);
}

/* Every one that stays is reset. */
static void test_unplug_in_reset(void)
{
    Machine *m = start_slow();

    add_device(m, "c");
    add_device(m, "d");
    mainloop_call(free_a, m);
    machine_reset(m);
    expect("pause cpus a b drain c d board resume ");
    end(m);
}

/* The guest powers off while somebody resets it. */
static void test_shutdown_and_reset(void)
{
    Machine *m = start();

    m->cfg.no_shutdown = true;
    machine_start(m, NULL);
    expect("RESUME resume ");
    machine_request_shutdown(m, 0);
    machine_request_reset(m, RESET_HOST);
    loop();
    expect("SHUTDOWN:guest-shutdown pause STOP cpus a b board "
           "RESET:host-qmp-system-reset ");
    g_assert_cmpint(m->state, ==, RUN_PRELAUNCH);
    end(m);
}

static bool cpus_hold(Machine *m)
{
    return true;
}

static void do_now(void *opaque)
{
    say(opaque);
}

/* The vCPU of the second one does not go on with that of the first. */
static void test_two_deferred(void)
{
    Machine *m = start();

    m->cpus_hold = cpus_hold;
    machine_start(m, NULL);
    expect("RESUME resume ");
    g_assert_true(machine_defer(m, do_now, (void *)"one"));
    g_assert_true(machine_defer(m, do_now, (void *)"two"));
    g_assert_true(machine_is_asked(m));
    loop();
    g_assert_false(machine_is_asked(m));
    expect("one two resume ");
    end(m);
}

static unsigned gone;

static void free_call(void *opaque)
{
    device_free(opaque);
}

static void slow_unrealize(Device *dev)
{
    gone++;
    mainloop_call(free_call, dev);
    loop();
}

static void test_free_in_free(void)
{
    static const DeviceClass cls = { .name = "slow",
                                     .size = sizeof(Device),
                                     .unrealize = slow_unrealize };
    Machine *m = start();
    Device *dev = device_new_class(m, &cls, "d");

    gone = 0;
    g_assert_true(device_realize(dev, NULL));
    device_free(dev);
    g_assert_cmpuint(gone, ==, 1);
    g_assert_cmpuint(m->devices->len, ==, 2);
    end(m);
}

/* ---- requests that stop --------------------------------------------------------- */

static void test_stop_request(void)
{
    Machine *m = start();

    machine_start(m, NULL);
    machine_request_stop(m, RUN_DEBUG);
    loop();
    expect("RESUME resume pause STOP ");
    g_assert_cmpint(m->state, ==, RUN_DEBUG);
    g_assert_true(machine_start(m, NULL));
    machine_request_stop(m, RUN_INTERNAL_ERROR);
    loop();
    g_assert_cmpint(m->state, ==, RUN_INTERNAL_ERROR);
    g_assert_false(machine_start(m, NULL));
    end(m);
}

/* A guest that moves a window for ever does not eat the host's memory. */
static void test_reclaim(void)
{
    static const RegionOps ops = { 0 };
    Machine *m = start();
    Region r;

    machine_start(m, NULL);
    expect("RESUME resume ");
    region_init_io(&r, "window", 16, &ops, NULL);
    for (hwaddr base = 0; base < 600; base++) {
        as_map(m->mem, base * 4096, &r, 0);
        as_unmap(&r);
    }
    g_assert_cmpuint(as_old_maps(m->mem), >, 500);
    loop();
    g_assert_cmpuint(as_old_maps(m->mem), ==, 0);
    expect("pause resume ");
    as_map(m->mem, 0, &r, 0);
    g_assert_true(as_find(m->mem, 0)->region == &r);
    g_assert_cmpuint(as_old_maps(m->mem), ==, 1);
    machine_reset(m);
    g_assert_cmpuint(as_old_maps(m->mem), ==, 0);
    end(m);
}

/* A request that is still queued when the machine goes. */
static void test_request_outlives(void)
{
    Machine *m = start();

    machine_request_reset(m, RESET_GUEST);
    end(m);
    story = NULL;
    loop();
}

static gpointer requester(gpointer opaque)
{
    Machine *m = opaque;

    for (unsigned i = 0; i < 1000; i++) {
        machine_lock(m);
        machine_request_reset(m, RESET_GUEST);
        machine_unlock(m);
    }
    machine_request_shutdown(m, 7);
    return NULL;
}

static void test_from_threads(void)
{
    Machine *m = start();
    GThread *t[3];

    mainloop_set_lock(&m->lock);
    machine_start(m, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(t); i++) {
        t[i] = g_thread_new("requester", requester, m);
    }
    mainloop_run();
    for (unsigned i = 0; i < G_N_ELEMENTS(t); i++) {
        g_thread_join(t[i]);
    }
    g_assert_cmpint(m->exit_code, ==, 7);
    loop();
    take_quit();
    mainloop_set_lock(NULL);
    end(m);
}

/* ---- letting go of the lock ---------------------------------------------------- */

static gpointer taker(gpointer opaque)
{
    Machine *m = opaque;

    machine_lock(m);
    machine_unlock(m);
    return NULL;
}

static void let_go(void *opaque)
{
    Machine *m = opaque;
    unsigned held;

    machine_lock(m);
    machine_lock(m);
    held = machine_unlock_all(m);
    g_thread_join(g_thread_new("taker", taker, m)); /* or it hangs here */
    machine_relock(m, held);
    g_assert_cmpuint(m->lock_depth, ==, 2);
    machine_unlock(m);
    machine_unlock(m);
    mainloop_quit();
}

static void test_unlock_all(void)
{
    Machine *m = start();

    mainloop_set_lock(&m->lock);
    mainloop_call(let_go, m);
    mainloop_run();
    let_go(m); /* outside of the loop */
    mainloop_run();
    mainloop_set_lock(NULL);
    end(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/machine/start-stop", test_start_stop);
    g_test_add_func("/machine/reset", test_reset);
    g_test_add_func("/machine/shutdown", test_shutdown);
    g_test_add_func("/machine/no-shutdown", test_no_shutdown);
    g_test_add_func("/machine/no-reboot", test_no_reboot);
    g_test_add_func("/machine/quit", test_quit);
    g_test_add_func("/machine/panic", test_panic);
    g_test_add_func("/machine/stop-request", test_stop_request);
    g_test_add_func("/machine/reclaim", test_reclaim);
    g_test_add_func("/machine/request-outlives", test_request_outlives);
    g_test_add_func("/machine/from-threads", test_from_threads);
    g_test_add_func("/machine/unlock-all", test_unlock_all);
    g_test_add_func("/machine/stop-in-reset", test_stop_in_reset);
    g_test_add_func("/machine/reset-in-reset", test_reset_in_reset);
    g_test_add_func("/machine/start-in-stop", test_start_in_stop);
    g_test_add_func("/machine/unplug-in-reset", test_unplug_in_reset);
    g_test_add_func("/machine/shutdown-and-reset", test_shutdown_and_reset);
    g_test_add_func("/machine/two-deferred", test_two_deferred);
    g_test_add_func("/machine/free-in-free", test_free_in_free);
    return g_test_run();
}
