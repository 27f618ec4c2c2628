/*
 * The host's end of a serial line in a test's hand: it takes as many bytes as
 * it has room for; chardev_deliver() and chardev_event() do the rest.
 */
#ifndef TESTS_LIB_LINE_H
#define TESTS_LIB_LINE_H

#include "chardev/chardev.h"
#include "system/machine.h"

typedef struct Line {
    Chardev c;
    size_t room;    /* SIZE_MAX: no end */
    GByteArray *in; /* what came, the last LINE_KEEP bytes at least */
} Line;

enum { LINE_KEEP = 65536 };

static inline ssize_t line_write(Chardev *c, const uint8_t *buf, size_t len)
{
    Line *line = container_of(c, Line, c);
    size_t n = MIN(len, line->room);

    line->room -= line->room == SIZE_MAX ? 0 : n;
    if (line->in->len > LINE_KEEP) {
        g_byte_array_set_size(line->in, 0);
    }
    g_byte_array_append(line->in, buf, (guint)n);
    return (ssize_t)n;
}

static inline void line_close(Chardev *c)
{
    g_byte_array_unref(container_of(c, Line, c)->in);
}

/* One called @id, with somebody at its end and no room. line_free() after the
 * devices are gone. */
static inline Line *line_new(Machine *m, const char *id)
{
    static const CharBackend backend = { .name = "line",
                                         .size = sizeof(Line),
                                         .write = line_write,
                                         .close = line_close };
    Line *line = g_new0(Line, 1);

    line->c.backend = &backend;
    line->c.id = g_strdup(id);
    line->c.log_fd = -1;
    line->c.is_open = true;
    line->in = g_byte_array_new();
    g_hash_table_insert(m->chardevs, line->c.id, line);
    return line;
}

/* Bytes from the host's end, as many as the guest takes. */
static inline size_t line_send(Line *line, const void *buf, size_t len)
{
    size_t n = MIN(chardev_room(&line->c), len);

    if (n) {
        chardev_deliver(&line->c, buf, n);
    }
    return n;
}

static inline void line_make_room(Line *line, size_t room)
{
    line->room = room;
    chardev_writable(&line->c);
}

static inline void line_free(Machine *m, Line *line)
{
    g_hash_table_remove(m->chardevs, line->c.id);
    chardev_free(&line->c);
}

#endif
