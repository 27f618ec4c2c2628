/* What the back ends share among themselves. */
#ifndef CHARDEV_INTERNAL_H
#define CHARDEV_INTERNAL_H

#include "chardev/chardev.h"

enum { FDCHAR_FDS = 16 };

/*
 * A back end on file descriptors. Reads only while the client has room; a
 * short write waits for POLLOUT and then calls the client's writable().
 */
typedef struct FdChar {
    Chardev c;
    int in_fd, out_fd;            /* -1: none */
    unsigned in_watch, out_watch; /* of util/mainloop.h; 0: none */
    unsigned hup_watch;           /* instead of in_watch without room */
    bool alone;                   /* deserted() was called */
    /* Instead of chardev_deliver(): telnet takes its own bytes out. */
    void (*filter)(struct FdChar *f, uint8_t *buf, size_t len);
    void (*hangup)(struct FdChar *f); /* end of file or an error */
    /* The peer is gone, but what it sent waits for room; then comes hangup().
     * May be NULL. */
    void (*deserted)(struct FdChar *f);
    /* Descriptors that came with the last bytes: SCM_RIGHTS on a UNIX socket
     * (takes_fds). */
    bool takes_fds;
    int fds[FDCHAR_FDS], n_fds;
} FdChar;

void fdchar_init(FdChar *f, int in_fd, int out_fd);
void fdchar_close(FdChar *f); /* watches and both descriptors */
ssize_t fdchar_write(Chardev *c, const uint8_t *buf, size_t len);
void fdchar_resume(Chardev *c);
int fdchar_take_fd(FdChar *f); /* -1: none */

bool mux_set_base(Chardev *mux, Chardev *base, GError **errp);

extern const CharBackend char_stdio, char_null, char_file, char_pipe, char_pty,
    char_socket, char_ringbuf, char_mux;

#endif
