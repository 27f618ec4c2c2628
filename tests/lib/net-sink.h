/*
 * A network port that keeps what it gets, back ends from their texts, and the
 * loopback network of the host: what tests of net/ need.
 */
#ifndef TESTS_LIB_NET_SINK_H
#define TESTS_LIB_NET_SINK_H

#include "util/osdep.h"
#include <arpa/inet.h>
#include <sys/socket.h>
#include "net/net.h"
#include "util/iov.h"
#include "util/mainloop.h"

typedef struct Sink {
    NetPort port;
    GPtrArray *got;  /* of GBytes */
    GArray *offload; /* of NetOffload, one for each */
    bool busy;
    unsigned writable;
} Sink;

static inline bool sink_receive(NetPort *port, const NetFrame *f)
{
    Sink *s = container_of(port, Sink, port);
    size_t len = iov_size(f->iov, f->n);
    uint8_t *buf = g_malloc(len);

    if (s->busy) {
        g_free(buf);
        return false;
    }
    iov_to_buf(f->iov, f->n, 0, buf, len);
    g_ptr_array_add(s->got, g_bytes_new_take(buf, len));
    g_array_append_val(s->offload, f->off);
    return true;
}

static inline void sink_writable(NetPort *port)
{
    container_of(port, Sink, port)->writable++;
}

static inline void sink_close(NetPort *port)
{
    Sink *s = container_of(port, Sink, port);

    g_ptr_array_unref(s->got);
    g_array_unref(s->offload);
}

static const NetPortOps sink_ops = {
    .type = "nic",
    .receive = sink_receive,
    .writable = sink_writable,
    .close = sink_close,
};

static inline Sink *sink_new(GPtrArray *ports, const char *id)
{
    Sink *s = (Sink *)net_port_new(sizeof(*s), &sink_ops, id);

    s->port.is_nic = true;
    s->got = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    s->offload = g_array_new(FALSE, FALSE, sizeof(NetOffload));
    net_port_add(ports, &s->port);
    return s;
}

static inline void sink_clear(Sink *s)
{
    g_ptr_array_set_size(s->got, 0);
    g_array_set_size(s->offload, 0);
}

static inline const uint8_t *sink_frame(Sink *s, unsigned i, size_t *len)
{
    g_assert_cmpuint(i, <, s->got->len);
    return g_bytes_get_data(s->got->pdata[i], len);
}

static inline void send_text(NetPort *from, const char *text)
{
    net_send_buf(from, text, strlen(text));
}

static inline void expect_text(Sink *s, unsigned i, const char *text)
{
    size_t len;
    const uint8_t *p = sink_frame(s, i, &len);

    g_assert_cmpmem(p, len, text, strlen(text));
}

static inline void wait_frames(Sink *s, unsigned n)
{
    while (s->got->len < n) {
        mainloop_iterate(true);
    }
}

static inline NetPort *add(GPtrArray *ports, const char *text)
{
    NetEnv env = { .ports = ports };
    g_autoptr(GError) err = NULL;
    NetPort *port = net_add_text(&env, text, &err);

    g_assert_no_error(err);
    g_assert_nonnull(port);
    return port;
}

/* An address of the loopback network that no other process takes a port of. */
static inline const char *own_host(void)
{
    static char text[INET_ADDRSTRLEN];
    unsigned pid = (unsigned)getpid();

    g_snprintf(text, sizeof(text), "127.%u.%u.%u", 1 + pid / 62500,
               1 + pid / 250 % 250, 1 + pid % 250);
    return text;
}

static inline struct sockaddr_in own_address(unsigned port)
{
    return (struct sockaddr_in) { .sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = inet_addr(own_host()) };
}

/* Some container networks have not even that. */
static inline bool no_loopback(void)
{
    struct sockaddr_in in = own_address(9);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    bool there = connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0;

    close(fd);
    if (!there) {
        g_test_skip("no loopback network here");
    }
    return !there;
}

/* A socket at a free port of own_host(). */
static inline int bind_any(int type, unsigned *port)
{
    struct sockaddr_in in = own_address(0);
    socklen_t len = sizeof(in);
    int fd = socket(AF_INET, type, 0);

    g_assert_cmpint(bind(fd, (struct sockaddr *)&in, len), ==, 0);
    getsockname(fd, (struct sockaddr *)&in, &len);
    *port = ntohs(in.sin_port);
    return fd;
}

static inline unsigned free_port(int type)
{
    unsigned port;

    close(bind_any(type, &port));
    return port;
}

#endif
