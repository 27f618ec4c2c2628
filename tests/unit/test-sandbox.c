/* The sandbox: what it kills, what it leaves. Each case in a process. */
#include "util/osdep.h"
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "util/sandbox.h"

static void *thread(void *opaque)
{
    return opaque;
}

static void do_swapoff(void)
{
    syscall(SYS_swapoff, "/nowhere");
}

static void do_setuid(void)
{
    syscall(SYS_setuid, getuid());
}

static void do_fork(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

static void do_thread(void)
{
    g_thread_join(g_thread_new("t", thread, NULL));
}

static void do_nice(void)
{
    syscall(SYS_setpriority, 0, 0, 0);
}

static void pool_work(void *item, void *opaque)
{
    g_atomic_int_inc((int *)opaque);
}

/* As snapshots and slow disk requests do. */
static void do_pool(void)
{
    int n = 0;
    GThreadPool *pool = g_thread_pool_new(pool_work, &n, 2, FALSE, NULL);

    g_thread_pool_push(pool, &n, NULL);
    g_thread_pool_free(pool, FALSE, TRUE);
    if (n != 1) {
        _exit(1);
    }
}

static const struct {
    unsigned deny;
    void (*act)(void);
    bool killed;
} cases[] = {
    { 0, do_swapoff, true },
    { 0, do_setuid, false },
    { SANDBOX_PRIVILEGE, do_setuid, true },
    { SANDBOX_RESOURCE, do_fork, false },
    { SANDBOX_SPAWN, do_fork, true },
    { SANDBOX_SPAWN | SANDBOX_OBSOLETE, do_thread, false },
    { SANDBOX_RESOURCE, do_nice, true },
    { SANDBOX_SPAWN, do_nice, false },
    { SANDBOX_RESOURCE | SANDBOX_SPAWN | SANDBOX_PRIVILEGE, do_pool, false },
};

enum { NO_SECCOMP = 77 };

static void test_cases(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        pid_t pid = fork();
        int status;

        if (pid == 0) {
            if (!sandbox_enter(cases[i].deny, NULL)) {
                _exit(NO_SECCOMP);
            }
            cases[i].act();
            _exit(0);
        }
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        if (WIFEXITED(status) && WEXITSTATUS(status) == NO_SECCOMP) {
            g_test_skip("this kernel has no seccomp filters");
            return;
        }
        g_test_message("case %zu: status %#x", i, (unsigned)status);
        g_assert_cmpint(WIFSIGNALED(status), ==, cases[i].killed);
        g_assert_true(cases[i].killed ? WTERMSIG(status) == SIGSYS
                                      : WEXITSTATUS(status) == 0);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sandbox/cases", test_cases);
    return g_test_run();
}
