/* rhea: start, run, exit status. */
#include "util/osdep.h"
#include <signal.h>
#include <glib-unix.h>
#include "util/error.h"
#include "util/log.h"
#include "util/mainloop.h"
#include "system/cli.h"
#include "chardev/chardev.h"

typedef struct SignalEnd {
    Machine *m;
    int sig;
    pid_t pid;
} SignalEnd;

/* Read by the handler of the signals that end the process; written before
 * they are unblocked. The one exception to "no globals": handlers have no
 * argument. */
static int signal_pipe[2] = { -1, -1 };

static void on_signal(int sig, siginfo_t *info, void *ctx)
{
    int saved = errno;
    int msg[2] = { sig, info->si_pid };

    if (write(signal_pipe[1], msg, sizeof(msg)) != sizeof(msg)) {
        _exit(1);
    }
    errno = saved;
}

static void process_name(pid_t pid, char *out, size_t size)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", (int)pid);
    g_autofree char *text = NULL;

    if (g_file_get_contents(path, &text, NULL, NULL)) {
        g_snprintf(out, size, " (%s)", text);
    } else {
        g_snprintf(out, size, " (<unknown process>)");
    }
}

static bool on_signal_pipe(int fd, GIOCondition cond, void *opaque)
{
    Machine *m = opaque;
    int msg[2];
    char name[128];

    if (read(fd, msg, sizeof(msg)) != sizeof(msg)) {
        return true;
    }
    if (msg[1] && msg[1] != getpid()) {
        process_name(msg[1], name, sizeof(name));
        error_report("terminating on signal %d from pid %d%s", msg[0], msg[1],
                     name);
    } else {
        error_report("terminating on signal %d", msg[0]);
    }
    machine_request_quit(m, "host-signal");
    return true;
}

static bool catch_signals(Machine *m, GError **errp)
{
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
    struct sigaction sa = { .sa_sigaction = on_signal,
                            .sa_flags = SA_SIGINFO | SA_RESTART };

    if (!g_unix_open_pipe(signal_pipe, FD_CLOEXEC, errp)) {
        return false;
    }
    mainloop_add_fd(signal_pipe[0], G_IO_IN, on_signal_pipe, m);
    for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
        sigaction(signals[i], &sa, NULL);
    }
    return true;
}

/* Ctrl-a x. */
static void on_quit_key(void *opaque)
{
    Machine *m = opaque;

    machine_request_quit(m, "host-ui");
}

static int fail(GError *err)
{
    error_report("%s", err->message);
    return 1;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(Cli) cli = NULL;
    Machine *m;
    int status;

    log_set_progname(argv[0]);
    signal(SIGPIPE, SIG_IGN); /* monitors greet while the machine is built */
    cli = cli_parse(argc, argv, &err);
    if (!cli) {
        return fail(err);
    }
    if (cli->print) {
        fputs(cli->print->str, stdout);
        return 0;
    }
    m = cli_build(cli, &err);
    if (!m) {
        chardev_restore_terminal();
        return fail(err);
    }
    if (!catch_signals(m, &err) ||
        (!m->cfg.start_paused && m->state != RUN_INMIGRATE &&
         !machine_start(m, &err))) {
        chardev_restore_terminal();
        return fail(err);
    }
    chardev_on_quit(on_quit_key, m);
    mainloop_set_lock(&m->lock);
    mainloop_run();
    status = m->exit_code;
    cli_teardown(m);
    chardev_restore_terminal();
    return status;
}
