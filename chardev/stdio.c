/*
 * The terminal (or whatever stdin and stdout are).
 *
 * The terminal is put into raw mode and back on every way out of the process:
 * main() and fatal signals call chardev_restore_terminal(), which therefore
 * keeps to async-signal-safe calls and to the two variables below, an
 * exception to "no file-scope variables".
 */
#include "util/osdep.h"
#include <fcntl.h>
#include <signal.h>
#include <termios.h>
#include "chardev/internal.h"

static struct termios saved_termios;
static volatile sig_atomic_t termios_changed;

void chardev_restore_terminal(void)
{
    if (termios_changed) {
        termios_changed = 0;
        tcsetattr(STDIN_FILENO, TCSANOW, &saved_termios);
    }
}

static void restore_and_die(int sig)
{
    chardev_restore_terminal();
    signal(sig, SIG_DFL);
    raise(sig);
}

static void raw_terminal(bool keep_signals)
{
    static const int fatal[] = { SIGSEGV, SIGBUS,  SIGFPE,
                                 SIGILL,  SIGABRT, SIGQUIT };
    struct termios t;

    if (tcgetattr(STDIN_FILENO, &saved_termios) < 0) {
        return;
    }
    t = saved_termios;
    t.c_iflag &=
        ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    t.c_oflag |= OPOST;
    t.c_lflag &= ~(ECHO | ECHONL | ICANON | IEXTEN);
    if (!keep_signals) {
        t.c_lflag &= ~ISIG;
    }
    t.c_cflag = (t.c_cflag & ~(CSIZE | PARENB)) | CS8;
    t.c_cc[VMIN] = 1;
    t.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &t);
    termios_changed = 1;
    for (size_t i = 0; i < G_N_ELEMENTS(fatal); i++) {
        struct sigaction old;

        if (!sigaction(fatal[i], NULL, &old) && old.sa_handler == SIG_DFL) {
            signal(fatal[i], restore_and_die);
        }
    }
    atexit(chardev_restore_terminal);
}

static bool stdio_open(Chardev *c, KeyVal *options, GError **errp)
{
    FdChar *f = container_of(c, FdChar, c);
    bool keep_signals;

    if (!keyval_bool(options, "signal", true, &keep_signals, errp)) {
        return false;
    }
    fdchar_init(f, STDIN_FILENO, STDOUT_FILENO);
    if (isatty(STDIN_FILENO)) {
        raw_terminal(keep_signals);
    }
    c->is_open = true;
    return true;
}

static void stdio_close(Chardev *c)
{
    fdchar_close(container_of(c, FdChar, c));
    chardev_restore_terminal();
}

const CharBackend char_stdio = {
    .name = "stdio",
    .size = sizeof(FdChar),
    .open = stdio_open,
    .close = stdio_close,
    .write = fdchar_write,
    .resume = fdchar_resume,
};
