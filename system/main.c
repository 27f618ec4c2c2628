/* rhea: start, run, exit status. */
#include "util/osdep.h"
#include <signal.h>
#include <glib-unix.h>
#include "util/log.h"
#include "util/mainloop.h"
#include "system/cli.h"
#include "system/cli-process.h"
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

/* A machine that runs, or NULL. */
static Machine *start(Cli *cli, GError **errp)
{
    Machine *m = process_begin(cli, errp) ? cli_build(cli, errp) : NULL;

    if (m && catch_signals(m, errp) &&
        (m->cfg.start_paused || m->state == RUN_INMIGRATE ||
         machine_start(m, errp)) &&
        process_ready(cli, errp)) {
        return m;
    }
    return NULL; /* the process ends, and with it what there is of @m */
}

static int run(Machine *m)
{
    int status;

    chardev_on_quit(on_quit_key, m);
    mainloop_set_lock(&m->lock);
    mainloop_run();
    status = m->exit_code;
    cli_teardown(m);
    return status;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(Cli) cli = NULL;
    g_autofree char *text = NULL;
    Machine *m;
    int status;

    log_set_progname(argv[0]);
    signal(SIGPIPE, SIG_IGN); /* monitors greet while the machine is built */
    cli = cli_parse(argc, argv, &err);
    if (cli && cli->print) {
        fputs(cli->print->str, stdout);
        return 0;
    }
    if (cli && cli->explain) {
        text = cli_explain(cli, &err);
        fputs(text ? text : "", stdout);
        status = text ? 0 : 1;
    } else {
        m = cli ? start(cli, &err) : NULL;
        status = m ? run(m) : 1;
    }
    chardev_restore_terminal();
    if (cli) {
        process_end(cli);
    }
    if (err) {
        error_report("%s", err->message);
    }
    return status;
}
