/*
 * Byte streams with a host end (stdio, socket, pty, file, memory) and a guest
 * end (a UART, a virtio-console port, a monitor).
 *
 * Main thread, machine lock held. chardev_write() may also come from a vCPU
 * thread that holds the machine lock (a UART register write).
 */
#ifndef CHARDEV_CHARDEV_H
#define CHARDEV_CHARDEV_H

#include "util/osdep.h"
#include "util/keyval.h"

typedef struct Chardev Chardev;

typedef enum CharEvent {
    CHAR_OPENED,
    CHAR_CLOSED,
    CHAR_BREAK,
    CHAR_MUX_IN, /* this client of a mux has the keyboard now */
    CHAR_MUX_OUT,
} CharEvent;

/* The guest end. All calls come from the main loop. */
typedef struct CharClient {
    size_t (*can_receive)(void *opaque); /* bytes it would take now */
    void (*receive)(void *opaque, const uint8_t *buf, size_t len);
    void (*writable)(void *opaque); /* after a short write */
    void (*event)(void *opaque, CharEvent event);
} CharClient;

/* The host end. */
typedef struct CharBackend {
    const char *name; /* "stdio", "socket", ... */
    size_t size;      /* of the instance; a Chardev comes first in it */
    bool (*open)(Chardev *c, KeyVal *options, GError **errp);
    void (*close)(Chardev *c);
    ssize_t (*write)(Chardev *c, const uint8_t *buf, size_t len); /* no wait */
    void (*resume)(Chardev *c); /* the client has room again */
    bool (*attach)(Chardev *c, const CharClient *client, void *opaque,
                   GError **errp); /* NULL: one client; mux has its own */
    void (*detach)(Chardev *c, void *opaque);
    int (*take_fd)(Chardev *c); /* NULL: none can come */
} CharBackend;

struct Chardev {
    const CharBackend *backend;
    char *id;
    const CharClient *client;
    void *client_opaque;
    bool is_open; /* somebody is at the host end */
    int log_fd;   /* logfile=: a copy of the output; -1: none */
    char *where;  /* what "info chardev" shows: "pty:/dev/pts/3" */
};

extern const CharBackend *const char_backends[]; /* chardev/registry.c */

/* "-chardev" text: "socket,id=x,path=p,server=on,wait=off". */
Chardev *chardev_new(GHashTable *chardevs, const char *text, GError **errp);
/* "-serial" text: stdio, mon:stdio, null, none (gives NULL, no error), pty,
 * file:p, pipe:p, unix:p,server,nowait, tcp:h:p,..., telnet:..., vc,
 * chardev:id. @label becomes the id. */
Chardev *chardev_new_legacy(GHashTable *chardevs, const char *label,
                            const char *text, GError **errp);
void chardev_free(Chardev *c);

/* For a mux: one more client. A second client of anything else is an error
 * that names both. The client gets CHAR_OPENED at once if the end is open. */
bool chardev_attach(Chardev *c, const CharClient *client, void *opaque,
                    GError **errp);
void chardev_detach(Chardev *c, void *opaque);
/* Bytes taken, which may be fewer than @len; then writable() comes later.
 * Output of all clients of a mux goes to the one host end. With nobody there
 * the bytes are dropped. */
size_t chardev_write(Chardev *c, const void *buf, size_t len);
/* The client has room again. */
void chardev_resume(Chardev *c);
/* A file descriptor that the other end sent along with its bytes (UNIX sockets
 * only), the oldest first; -1: none. The caller's. */
int chardev_take_fd(Chardev *c);
/* Puts the terminal back. Safe in a signal handler and more than once. */
void chardev_restore_terminal(void);
/* The escape character of multiplexed lines; 1 is Ctrl-a. */
void chardev_set_escape(int c);
/* What Ctrl-a x does. */
void chardev_on_quit(void (*quit)(void *opaque), void *opaque);
bool chardev_is_mux(const Chardev *c);

/* The bytes written to a ringbuf first, at most @max, which it then forgets;
 * NULL: not a ringbuf. */
GByteArray *ringbuf_take(Chardev *c, size_t max);

/* For back ends. */
void chardev_event(Chardev *c, CharEvent event); /* also keeps is_open */
size_t chardev_room(Chardev *c);                 /* client's can_receive() */
void chardev_deliver(Chardev *c, const uint8_t *buf, size_t len);
void chardev_writable(Chardev *c);

#endif
