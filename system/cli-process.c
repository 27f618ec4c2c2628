/* See cli-process.h. The order of things is QEMU's. */
#include "util/osdep.h"
#include "system/cli-opts.h"
#include "system/cli-process.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include "util/error.h"
#include "util/fdset.h"
#include "util/sandbox.h"

struct CliProcess {
    GPtrArray *add_fds; /* of char * */
    char *pidfile, *chroot_dir, *runas;
    bool daemonize, sandbox;
    unsigned sandbox_deny; /* SANDBOX_* */
    int pid_fd;            /* of the pid file, locked; -1: none */
    int start_fd; /* the waiting process reads its status here; -1: none */
};

CliProcess *cli_process_new(void)
{
    CliProcess *p = g_new0(CliProcess, 1);

    p->add_fds = g_ptr_array_new_with_free_func(g_free);
    p->pid_fd = p->start_fd = -1;
    return p;
}

void cli_process_free(CliProcess *p)
{
    g_ptr_array_unref(p->add_fds);
    g_free(p->pidfile);
    g_free(p->chroot_dir);
    g_free(p->runas);
    g_free(p);
}

bool cli_daemonizes(const Cli *cli)
{
    return cli->process->daemonize;
}

/* ---- options --------------------------------------------------------------------- */

OPT_FN(pidfile)
{
    cli_set_string(&cli->process->pidfile, arg);
    return true;
}

OPT_FN(chroot)
{
    cli_set_string(&cli->process->chroot_dir, arg);
    return true;
}

OPT_FN(daemonize)
{
    cli->process->daemonize = true;
    return true;
}

OPT_FN(add_fd)
{
    g_ptr_array_add(cli->process->add_fds, g_strdup(arg));
    return true;
}

/* "on,obsolete=allow,elevateprivileges=deny,spawn=deny,resourcecontrol=deny" */
OPT_FN(sandbox)
{
    static const char *const keys[] = {
        "enable", "obsolete",        "elevateprivileges",
        "spawn",  "resourcecontrol", NULL
    };
    static const unsigned bits[] = { 0, SANDBOX_OBSOLETE, SANDBOX_PRIVILEGE,
                                     SANDBOX_SPAWN, SANDBOX_RESOURCE };
    g_autoptr(KeyVal) kv = keyval_parse(arg, "enable", errp);
    CliProcess *p = cli->process;

    if (!kv || !keyval_bool(kv, "enable", false, &p->sandbox, errp)) {
        return false;
    }
    p->sandbox_deny = SANDBOX_OBSOLETE;
    for (int i = 1; keys[i]; i++) {
        const char *v = keyval_get(kv, keys[i]);
        /* "children": they cannot in any case, see util/sandbox.c */
        bool children = v && i == 2 && !strcmp(v, "children");

        if (v && strcmp(v, "allow") && strcmp(v, "deny") && !children) {
            error_setg(errp,
                       "-sandbox %s: invalid argument for %s: allow or deny",
                       arg, keys[i]);
            return false;
        }
        if (v && !strcmp(v, "deny")) {
            p->sandbox_deny |= bits[i];
        } else if (v) {
            p->sandbox_deny &= ~bits[i];
        }
    }
    return cli_refuse_unused(kv, "sandbox", keys, errp);
}

/* "name" or "uid:gid". */
static bool parse_user(const char *text, uid_t *uid, gid_t *gid, bool *named)
{
    const struct passwd *pw = getpwnam(text);
    unsigned u, g;
    char end;

    *named = pw != NULL;
    if (pw) {
        *uid = pw->pw_uid;
        *gid = pw->pw_gid;
        return true;
    }
    if (sscanf(text, "%u:%u%c", &u, &g, &end) != 2) {
        return false;
    }
    *uid = u;
    *gid = g;
    return true;
}

OPT_FN(runas)
{
    uid_t uid;
    gid_t gid;
    bool named;

    if (!parse_user(arg, &uid, &gid, &named)) {
        error_setg(errp,
                   "-runas %s: User \"%s\" doesn't exist (and is not "
                   "<uid>:<gid>)",
                   arg, arg);
        return false;
    }
    cli_set_string(&cli->process->runas, arg);
    return true;
}

/* ---- -add-fd ----------------------------------------------------------------------- */

static bool get_number(KeyVal *kv, const char *key, uint64_t *out,
                       GError **errp)
{
    if (!keyval_get(kv, key)) {
        error_setg(errp, "%s option is required and must be non-negative", key);
        return false;
    }
    if (!keyval_u64(kv, key, 0, out, errp)) {
        return false;
    }
    if (*out > INT_MAX) {
        error_setg(errp, "%s=%" PRIu64 " is too large", key, *out);
        return false;
    }
    return true;
}

static bool add_fd(const char *text, GError **errp)
{
    static const char *const keys[] = { "fd", "set", "opaque", NULL };
    g_autoptr(KeyVal) kv = keyval_parse(text, NULL, errp);
    uint64_t fd, set;
    int flags, copy;

    if (!kv || !get_number(kv, "fd", &fd, errp) ||
        !get_number(kv, "set", &set, errp)) {
        return false;
    }
    if (fd <= STDERR_FILENO) {
        error_setg(errp, "fd cannot be a standard I/O stream");
        return false;
    }
    /* Ours are all closed by exec; what was handed to us is not. */
    flags = fcntl((int)fd, F_GETFD);
    if (flags < 0 || (flags & FD_CLOEXEC)) {
        error_setg(errp,
                   "fd is not valid or already in use: descriptor %d must be "
                   "open when the program starts",
                   (int)fd);
        return false;
    }
    copy = fcntl((int)fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) {
        error_setg_errno(errp, errno, "error duplicating fd");
        return false;
    }
    fdset_add(copy, (int64_t)set, keyval_get(kv, "opaque"), errp);
    return cli_refuse_unused(kv, "add-fd", keys, errp);
}

/* Several options may name one descriptor: they are closed at the end. */
static bool add_fds(const CliProcess *p, GError **errp)
{
    for (guint i = 0; i < p->add_fds->len; i++) {
        const char *text = p->add_fds->pdata[i];

        if (!add_fd(text, errp)) {
            g_prefix_error(errp, "-add-fd %s: ", text);
            return false;
        }
    }
    for (guint i = 0; i < p->add_fds->len; i++) {
        g_autoptr(KeyVal) kv = keyval_parse(p->add_fds->pdata[i], NULL, NULL);
        uint64_t fd;

        if (kv && keyval_u64(kv, "fd", 0, &fd, NULL) && fd > STDERR_FILENO &&
            fd <= INT_MAX && !(fcntl((int)fd, F_GETFD) & FD_CLOEXEC)) {
            close((int)fd);
        }
    }
    return true;
}

/* ---- -daemonize -------------------------------------------------------------------- */

/* The process that was started: ends as the start does. */
static void wait_for_start(int fd)
{
    uint8_t status = 1;
    ssize_t n;

    do {
        n = read(fd, &status, 1);
    } while (n < 0 && errno == EINTR);
    _exit(n == 1 ? status : 1);
}

static bool daemonize(CliProcess *p, GError **errp)
{
    int fds[2];
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0) {
        error_setg_errno(errp, errno, "-daemonize: cannot make a pipe");
        return false;
    }
    fflush(NULL);
    pid = fork();
    if (pid < 0) {
        error_setg_errno(errp, errno, "-daemonize: cannot fork");
        return false;
    }
    if (pid > 0) {
        close(fds[1]);
        wait_for_start(fds[0]);
    }
    close(fds[0]);
    p->start_fd = fds[1];
    setsid();
    pid = fork(); /* so that no terminal can become ours again */
    if (pid < 0) {
        error_setg_errno(errp, errno, "-daemonize: cannot fork");
        return false;
    }
    if (pid > 0) {
        _exit(0);
    }
    umask(027);
    signal(SIGTSTP, SIG_IGN);
    signal(SIGTTOU, SIG_IGN);
    signal(SIGTTIN, SIG_IGN);
    return true;
}

static bool leave_terminal(GError **errp)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (fd < 0 || dup2(fd, 0) < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0) {
        error_setg_errno(errp, errno, "-daemonize: /dev/null");
        return false;
    }
    close(fd);
    return true;
}

/* ---- -pidfile ----------------------------------------------------------------------- */

/* The lock, not the number, says that a process is alive: numbers come back. */
static bool write_pidfile(CliProcess *p, GError **errp)
{
    struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    g_autofree char *text = g_strdup_printf("%d\n", (int)getpid());
    g_autofree char *other = NULL, *absolute = NULL;
    size_t len = strlen(text);
    int fd = open(p->pidfile, O_CREAT | O_RDWR | O_CLOEXEC, 0644);

    if (fd < 0) {
        error_setg_errno(errp, errno,
                         "cannot create PID file: Could not create '%s'",
                         p->pidfile);
        return false;
    }
    if (fcntl(fd, F_OFD_SETLK, &fl) < 0) {
        int e = errno;

        close(fd);
        g_file_get_contents(p->pidfile, &other, NULL, NULL);
        error_setg(errp,
                   "cannot create PID file: Cannot lock '%s': %s (process "
                   "%s)",
                   p->pidfile,
                   e == EAGAIN || e == EACCES ? "another one runs with it"
                                              : g_strerror(e),
                   other ? g_strstrip(other) : "unknown");
        return false;
    }
    if (ftruncate(fd, 0) < 0 || write(fd, text, len) != (ssize_t)len) {
        error_setg_errno(errp, errno,
                         "cannot create PID file: Failed to write '%s'",
                         p->pidfile);
        close(fd);
        return false;
    }
    p->pid_fd = fd;
    absolute = g_canonicalize_filename(p->pidfile, NULL); /* -daemonize: cd / */
    cli_set_string(&p->pidfile, absolute);
    return true;
}

/* Not another process's that took its place. */
static void remove_pidfile(CliProcess *p)
{
    struct stat ours, there;

    if (p->pid_fd >= 0 && fstat(p->pid_fd, &ours) == 0 &&
        stat(p->pidfile, &there) == 0 && ours.st_ino == there.st_ino &&
        ours.st_dev == there.st_dev) {
        unlink(p->pidfile);
    }
    if (p->pid_fd >= 0) {
        close(p->pid_fd);
        p->pid_fd = -1;
    }
}

/* ---- -chroot, -runas ------------------------------------------------------------------ */

static bool change_root(const char *dir, GError **errp)
{
    if (chroot(dir) < 0 || chdir("/") < 0) {
        error_setg_errno(errp, errno, "-chroot %s: chroot failed", dir);
        return false;
    }
    return true;
}

static bool change_user(const char *text, GError **errp)
{
    uid_t uid;
    gid_t gid;
    bool named, ok;

    if (!parse_user(text, &uid, &gid, &named)) {
        error_setg(errp, "-runas %s: the user is gone", text);
        return false;
    }
    ok = setgid(gid) == 0 &&
         (named ? initgroups(text, gid) : setgroups(1, &gid)) == 0 &&
         setuid(uid) == 0;
    if (!ok) {
        error_setg_errno(errp, errno, "-runas %s: Failed to become %u:%u", text,
                         (unsigned)uid, (unsigned)gid);
        return false;
    }
    if (uid && setuid(0) == 0) {
        error_setg(errp, "-runas %s: Dropping privileges failed", text);
        return false;
    }
    return true;
}

/* ---- a life ------------------------------------------------------------------------------ */

bool process_begin(Cli *cli, GError **errp)
{
    CliProcess *p = cli->process;

    /* libvirt's probes have -nodefaults: then there is no terminal to share. */
    if (p->daemonize && cli->nographic && !cli->nodefaults &&
        !(cli->serial_given && cli->monitor_given)) {
        error_setg(errp, "-nographic cannot be used with -daemonize");
        return false;
    }
    if (!add_fds(p, errp) || (p->daemonize && !daemonize(p, errp))) {
        return false;
    }
    if (cli->process_name) {
        prctl(PR_SET_NAME, cli->process_name);
    }
    return !p->pidfile || write_pidfile(p, errp);
}

bool process_ready(Cli *cli, GError **errp)
{
    CliProcess *p = cli->process;

    if (p->daemonize && chdir("/") < 0) {
        error_setg_errno(errp, errno, "-daemonize: not able to chdir to /");
        return false;
    }
    if ((p->chroot_dir && !change_root(p->chroot_dir, errp)) ||
        (p->runas && !change_user(p->runas, errp)) ||
        (p->sandbox && !sandbox_enter(p->sandbox_deny, errp)) ||
        (p->daemonize && !leave_terminal(errp))) {
        return false;
    }
    if (p->start_fd >= 0) {
        bool told = write(p->start_fd, "", 1) == 1; /* status 0 */

        close(p->start_fd);
        p->start_fd = -1;
        return told || errno == EPIPE; /* or nobody waits any more */
    }
    return true;
}

void process_end(Cli *cli)
{
    remove_pidfile(cli->process);
}
