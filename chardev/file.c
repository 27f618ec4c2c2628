/* Streams that are files: null, file (output only), pipe (a pair of FIFOs). */
#include "util/osdep.h"
#include <fcntl.h>
#include "util/error.h"
#include "util/fdset.h"
#include "chardev/internal.h"

static bool null_open(Chardev *c, KeyVal *options, GError **errp)
{
    c->is_open = true;
    return true;
}

static ssize_t null_write(Chardev *c, const uint8_t *buf, size_t len)
{
    return len;
}

const CharBackend char_null = {
    .name = "null",
    .size = sizeof(Chardev),
    .open = null_open,
    .write = null_write,
};

static void fd_close(Chardev *c)
{
    fdchar_close(container_of(c, FdChar, c));
}

static bool file_open(Chardev *c, KeyVal *options, GError **errp)
{
    FdChar *f = container_of(c, FdChar, c);
    const char *path = keyval_get(options, "path");
    const char *input = keyval_get(options, "input-path");
    bool append;
    int in = -1, out;

    f->in_fd = f->out_fd = -1;
    if (!path) {
        error_setg(errp, "chardev: file: no filename given");
        return false;
    }
    if (!keyval_bool(options, "append", false, &append, errp)) {
        return false;
    }
    out = fdset_open(path, O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC),
                     0666);
    if (out < 0) {
        error_setg_errno(errp, errno, "could not open '%s'", path);
        return false;
    }
    if (input) {
        in = fdset_open(input, O_RDONLY | O_NONBLOCK, 0);
        if (in < 0) {
            error_setg_errno(errp, errno, "could not open '%s'", input);
            close(out);
            return false;
        }
    }
    fdchar_init(f, in, out);
    c->where = g_strdup_printf("file:%s", path);
    c->is_open = true;
    return true;
}

const CharBackend char_file = {
    .name = "file",
    .size = sizeof(FdChar),
    .open = file_open,
    .close = fd_close,
    .write = fdchar_write,
    .resume = fdchar_resume,
};

/* "path.in" (the guest reads it) and "path.out", or one "path" both ways. */
static bool pipe_open(Chardev *c, KeyVal *options, GError **errp)
{
    FdChar *f = container_of(c, FdChar, c);
    const char *path = keyval_get(options, "path");
    g_autofree char *in_path = NULL, *out_path = NULL;
    int in, out;

    f->in_fd = f->out_fd = -1;
    if (!path) {
        error_setg(errp, "chardev: pipe: no device path given");
        return false;
    }
    in_path = g_strdup_printf("%s.in", path);
    out_path = g_strdup_printf("%s.out", path);
    in = fdset_open(in_path, O_RDWR, 0);
    out = fdset_open(out_path, O_RDWR, 0);
    if (in < 0 || out < 0) {
        if (in >= 0) {
            close(in);
        }
        if (out >= 0) {
            close(out);
        }
        in = out = fdset_open(path, O_RDWR, 0);
    }
    if (in < 0) {
        error_setg_errno(errp, errno,
                         "could not open pipe '%s' (make it with mkfifo "
                         "%s.in %s.out)",
                         path, path, path);
        return false;
    }
    fdchar_init(f, in, out);
    c->where = g_strdup_printf("pipe:%s", path);
    c->is_open = true;
    return true;
}

const CharBackend char_pipe = {
    .name = "pipe",
    .size = sizeof(FdChar),
    .open = pipe_open,
    .close = fd_close,
    .write = fdchar_write,
    .resume = fdchar_resume,
};
