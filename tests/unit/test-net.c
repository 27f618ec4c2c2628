/* Ports, offloads in software, and the back ends that need no privileges. */
#include "util/osdep.h"
#include "net/hub.h"
#include "net/offload.h"
#include "net/pcap.h"
#include "util/bits.h"
#include "tests/lib/net-sink.h"
#include "util/log.h"

/* ---- ports --------------------------------------------------------------------------- */

static void test_busy_peer(void)
{
    g_autoptr(GPtrArray) ports = g_ptr_array_new();
    Sink *a = sink_new(ports, "a"), *b = sink_new(ports, "b");
    struct iovec iov = { (void *)"two", 3 };
    NetFrame f = { .iov = &iov, .n = 1 };

    g_assert_true(net_connect(&a->port, &b->port, NULL));
    send_text(&a->port, "one");
    expect_text(b, 0, "one");
    b->busy = true;
    g_assert_false(net_send(&a->port, &f));
    g_assert_false(net_send(&a->port, &f));
    send_text(&a->port, "three");
    b->busy = false;
    g_assert_cmpuint(b->got->len, ==, 1); /* order: nothing overtakes */
    net_resume(&b->port);
    g_assert_cmpuint(a->writable, ==, 1);
    expect_text(b, 1, "three");
    g_assert_true(net_send(&a->port, &f));
    expect_text(b, 2, "two");
    g_assert_cmpuint(a->port.stats.frames, ==, 3);
    net_free_all(ports);
}

static void test_bounded(void)
{
    g_autoptr(GPtrArray) ports = g_ptr_array_new();
    Sink *a = sink_new(ports, "a"), *b = sink_new(ports, "b");
    static uint8_t big[65536];

    net_connect(&a->port, &b->port, NULL);
    b->busy = true;
    for (int i = 0; i < 1000; i++) {
        net_send_buf(&a->port, big, sizeof(big));
    }
    g_assert_cmpuint(a->port.waiting_bytes, <=, NET_MAX_WAITING);
    g_assert_cmpuint(a->port.stats.dropped, >, 900);
    net_purge(&b->port);
    g_assert_cmpuint(a->port.waiting_bytes, ==, 0);
    for (int i = 0; i < 20000; i++) {
        net_send_buf(&a->port, big, 60);
    }
    g_assert_cmpuint(a->port.waiting.length, <=, NET_MAX_WAITING_FRAMES);
    net_free_all(ports);
}

static void test_link(void)
{
    g_autoptr(GPtrArray) ports = g_ptr_array_new();
    Sink *a = sink_new(ports, "a"), *b = sink_new(ports, "b");
    g_autoptr(GError) err = NULL;

    net_connect(&a->port, &b->port, NULL);
    a->port.is_nic = false;
    g_assert_true(net_set_link(ports, "a", false, NULL));
    g_assert_true(b->port.link_down);
    send_text(&b->port, "lost");
    g_assert_cmpuint(a->got->len, ==, 0);
    g_assert_true(net_set_link(ports, "a", true, NULL));
    send_text(&b->port, "there");
    expect_text(a, 0, "there");
    g_assert_false(net_set_link(ports, "c", true, &err));
    g_assert_cmpstr(err->message, ==, "Device 'c' not found");
    net_free_all(ports);
}

static void test_hub(void)
{
    g_autoptr(GPtrArray) ports = g_ptr_array_new();
    Sink *s[3];
    g_autoptr(GString) text = g_string_new(NULL);

    for (int i = 0; i < 3; i++) {
        g_autofree char *name = g_strdup_printf("s%d", i);
        g_autofree char *hub_name = g_strdup_printf("hub0port%d", i);
        NetPort *hub = net_hub_add(ports, 0, hub_name);

        net_port_add(ports, hub);
        s[i] = sink_new(ports, name);
        net_connect(hub, &s[i]->port, NULL);
    }
    s[2]->busy = true;
    send_text(&s[0]->port, "hello");
    expect_text(s[1], 0, "hello");
    g_assert_cmpuint(s[2]->got->len, ==, 0);
    g_assert_cmpuint(s[0]->got->len, ==, 0);
    s[2]->busy = false;
    net_resume(&s[2]->port);
    expect_text(s[2], 0, "hello");
    net_print(ports, text);
    g_assert_cmpstr(text->str, ==,
                    "hub 0\n \\ hub0port0: s0: index=0,type=nic,\n"
                    " \\ hub0port1: s1: index=0,type=nic,\n"
                    " \\ hub0port2: s2: index=0,type=nic,\n");
    net_free_all(ports);
}

/* ---- offloads ------------------------------------------------------------------------ */

typedef struct Packet {
    uint8_t data[NET_MAX_FRAME];
    size_t len, l4, head;
} Packet;

/* A frame with TCP or UDP and @payload bytes, its checksum left to do as a
 * driver leaves it. */
static void make_packet(Packet *p, bool v6, bool tcp, size_t payload)
{
    uint8_t *ip = p->data + 14, *l4;
    size_t ip_len = v6 ? 40 : 20, l4_len = tcp ? 32 : 8;
    uint64_t sum;

    memset(p, 0, sizeof(*p));
    p->data[0] = 0x52;
    st_be16(p->data + 12, v6 ? 0x86dd : 0x0800);
    p->l4 = 14 + ip_len;
    p->head = p->l4 + l4_len;
    p->len = p->head + payload;
    l4 = p->data + p->l4;
    if (v6) {
        ip[0] = 0x60;
        st_be16(ip + 4, (uint16_t)(l4_len + payload));
        ip[6] = tcp ? 6 : 17;
        ip[23] = 1;
        ip[39] = 2;
        sum = net_sum(ip + 8, 32);
    } else {
        ip[0] = 0x45;
        st_be16(ip + 2, (uint16_t)(20 + l4_len + payload));
        st_be16(ip + 4, 77);
        ip[9] = tcp ? 6 : 17;
        st_be32(ip + 12, 0x0a00020f);
        st_be32(ip + 16, 0x0a000202);
        sum = net_sum_finish(net_sum(ip, 20));
        memcpy(ip + 10, &(uint16_t) { (uint16_t)sum }, 2);
        sum = net_sum(ip + 12, 8);
    }
    st_be16(l4, 1000);
    st_be16(l4 + 2, 2000);
    if (tcp) {
        st_be32(l4 + 4, 5000);
        l4[12] = 0x80;
        l4[13] = 0x19; /* ACK, PSH, FIN */
        l4[20] = l4[21] = 1;
    } else {
        st_be16(l4 + 4, (uint16_t)(8 + payload));
    }
    for (size_t i = 0; i < payload; i++) {
        p->data[p->head + i] = (uint8_t)(i * 7);
    }
    sum += (tcp ? 6 : 17) + l4_len + payload;
    st_be16(l4 + (tcp ? 16 : 6),
            (uint16_t)~GUINT16_FROM_BE(net_sum_finish(sum)));
}

static bool csum_is_good(const uint8_t *f, size_t len)
{
    NetHeaders h;
    uint64_t sum;

    g_assert_true(net_parse_headers(f, len, &h));
    g_assert_cmpuint(h.end, ==, len);
    if (!h.is_v6) {
        g_assert_cmphex(net_sum_finish(net_sum(f + h.ip, h.l4 - h.ip)), ==, 0);
    }
    sum = net_sum(f + h.l4, len - h.l4) + h.protocol + (len - h.l4);
    sum += h.is_v6 ? net_sum(f + h.ip + 8, 32) : net_sum(f + h.ip + 12, 8);
    return net_sum_finish(sum) == 0;
}

static void send_packet(NetPort *from, Packet *p, unsigned gso, unsigned size)
{
    /* In pieces, as drivers send. */
    struct iovec iov[3] = { { p->data, 14 },
                            { p->data + 14, p->head - 14 },
                            { p->data + p->head, p->len - p->head } };
    bool tcp = p->head - p->l4 > 8;
    NetFrame f = { .iov = iov,
                   .n = 3,
                   .off = { .flags = NET_F_NEEDS_CSUM,
                            .gso_type = (uint8_t)gso,
                            .gso_size = (uint16_t)size,
                            .hdr_len = (uint16_t)p->head,
                            .csum_start = (uint16_t)p->l4,
                            .csum_offset = tcp ? 16 : 6 } };

    g_assert_true(net_send(from, &f));
}

static void test_csum(void)
{
    g_autoptr(GPtrArray) ports = g_ptr_array_new();
    Sink *a = sink_new(ports, "a"), *b = sink_new(ports, "b");
    static Packet p;

    net_connect(&a->port, &b->port, NULL);
    for (int i = 0; i < 64; i++) {
        size_t len;
        const uint8_t *f;

        make_packet(&p, i & 1, i & 2, 100 + (size_t)i);
        send_packet(&a->port, &p, NET_GSO_NONE, 0);
        f = sink_frame(b, (unsigned)i, &len);
        g_assert_cmpuint(len, ==, p.len);
        g_assert_true(csum_is_good(f, len));
    }
    /* Who takes it unfinished gets the same bytes. */
    sink_clear(b);
    net_set_accepts(&b->port, NET_CSUM);
    send_packet(&a->port, &p, NET_GSO_NONE, 0);
    g_assert_cmpuint(g_array_index(b->offload, NetOffload, 0).csum_start, ==,
                     p.l4);
    net_free_all(ports);
}

static void test_segments(gconstpointer data)
{
    bool v6 = GPOINTER_TO_INT(data);
    g_autoptr(GPtrArray) ports = g_ptr_array_new();
    Sink *a = sink_new(ports, "a"), *b = sink_new(ports, "b");
    static Packet p;
    size_t at = 0, total = 10000;

    net_connect(&a->port, &b->port, NULL);
    make_packet(&p, v6, true, total);
    send_packet(&a->port, &p, v6 ? NET_GSO_TCPV6 : NET_GSO_TCPV4, 1448);
    g_assert_cmpuint(b->got->len, ==, 7);
    for (unsigned i = 0; i < b->got->len; i++) {
        size_t len, n;
        const uint8_t *f = sink_frame(b, i, &len), *tcp = f + p.l4;

        n = len - p.head;
        g_assert_cmpuint(n, ==, MIN(1448, total - at));
        g_assert_true(csum_is_good(f, len));
        g_assert_cmpuint(ld_be32(tcp + 4), ==, 5000 + at);
        g_assert_cmphex(tcp[13], ==, i == 6 ? 0x19 : 0x10);
        g_assert_cmpmem(f + p.head, n, p.data + p.head + at, n);
        if (!v6) {
            g_assert_cmpuint(ld_be16(f + 18), ==, 77 + i);
        }
        at += n;
    }
    g_assert_cmpuint(at, ==, total);
    /* Half of them while the peer is busy: the rest waits, in order. */
    sink_clear(b);
    b->busy = true;
    send_packet(&a->port, &p, v6 ? NET_GSO_TCPV6 : NET_GSO_TCPV4, 1448);
    b->busy = false;
    net_resume(&b->port);
    g_assert_cmpuint(b->got->len, ==, 7);
    net_free_all(ports);
}

static void test_fragments(void)
{
    g_autoptr(GPtrArray) ports = g_ptr_array_new();
    Sink *a = sink_new(ports, "a"), *b = sink_new(ports, "b");
    static Packet p, whole;
    size_t at = 0;

    net_connect(&a->port, &b->port, NULL);
    make_packet(&p, false, false, 4000);
    send_packet(&a->port, &p, NET_GSO_UDP, 1480);
    g_assert_cmpuint(b->got->len, ==, 3);
    for (unsigned i = 0; i < 3; i++) {
        size_t len;
        const uint8_t *f = sink_frame(b, i, &len);

        g_assert_cmphex(net_sum_finish(net_sum(f + 14, 20)), ==, 0);
        g_assert_cmphex(ld_be16(f + 20), ==, at / 8 | (i < 2 ? 0x2000 : 0));
        memcpy(whole.data + 34 + at, f + 34, len - 34);
        at += len - 34;
    }
    g_assert_cmpuint(at, ==, 4008);
    memcpy(whole.data, p.data, 34);
    g_assert_true(csum_is_good(whole.data, 34 + at));
    net_free_all(ports);
}

/* Headers of all kinds of nonsense: no crash, nothing larger than it was. */
static void test_hostile(void)
{
    g_autoptr(GPtrArray) ports = g_ptr_array_new();
    Sink *a = sink_new(ports, "a"), *b = sink_new(ports, "b");
    static Packet p;

    net_connect(&a->port, &b->port, NULL);
    for (int i = 0; i < 20000; i++) {
        struct iovec iov = { p.data, 0 };
        NetFrame f = { .iov = &iov, .n = 1 };

        make_packet(&p, i & 1, i & 2, (size_t)g_test_rand_int_range(0, 300));
        for (int k = g_test_rand_int_range(0, 6); k; k--) {
            p.data[g_test_rand_int_range(0, 80)] =
                (uint8_t)g_test_rand_int_range(0, 256);
        }
        iov.iov_len = (size_t)g_test_rand_int_range(0, (int)p.len + 1);
        f.off.flags = (uint8_t)g_test_rand_int_range(0, 4);
        f.off.gso_type = (uint8_t)g_test_rand_int_range(0, 256);
        f.off.gso_size = (uint16_t)g_test_rand_int_range(0, 100);
        f.off.csum_start = (uint16_t)g_test_rand_int_range(0, 400);
        f.off.csum_offset = (uint16_t)g_test_rand_int_range(0, 65536);
        net_set_accepts(&b->port, (unsigned)g_test_rand_int_range(0, 32));
        net_send(&a->port, &f);
        sink_clear(b);
    }
    net_free_all(ports);
}

static void test_mss(void)
{
    static Packet p;
    NetHeaders h;

    make_packet(&p, false, true, 0);
    p.data[p.l4 + 13] = 2; /* SYN */
    memcpy(p.data + p.l4 + 20, "\x01\x02\x04\x05\xb4\x00", 6);
    g_assert_true(net_parse_headers(p.data, p.len, &h));
    g_assert_cmpuint(net_find_mss(p.data, &h), ==, p.l4 + 23);
    p.data[p.l4 + 22] = 0; /* an option without a length */
    g_assert_cmpuint(net_find_mss(p.data, &h), ==, 0);
    p.data[p.l4 + 22] = 200; /* ... longer than the header */
    g_assert_cmpuint(net_find_mss(p.data, &h), ==, 0);
}

/* ---- back ends that connect machines ----------------------------------------------------- */

typedef struct Pair {
    GPtrArray *ports;
    Sink *a, *b;
} Pair;

/* Until one sends and the other hears it; then the line is empty again. False
 * after five seconds in which nothing came, if not @forever. */
static bool wait_line(Sink *from, Sink *to, bool forever)
{
    int64_t end = g_get_monotonic_time() + 5000000;

    while (!to->got->len) {
        if (!forever && g_get_monotonic_time() > end) {
            return false;
        }
        send_text(&from->port, "hello");
        mainloop_iterate(false);
        g_usleep(200);
    }
    send_text(&from->port, "that was all");
    for (unsigned n = 0, len = 0; len != strlen("that was all"); n++) {
        wait_frames(to, n + 1);
        len = (unsigned)g_bytes_get_size(to->got->pdata[n]);
    }
    sink_clear(to);
    return true;
}

static void pair_connect(Pair *p)
{
    wait_line(p->b, p->a, true);
    wait_line(p->a, p->b, true);
}

static void pair_add(Pair *p, const char *first, const char *second)
{
    p->ports = g_ptr_array_new();
    p->a = sink_new(p->ports, "a");
    p->b = sink_new(p->ports, "b");
    g_assert_true(net_connect(&p->a->port, add(p->ports, first), NULL));
    g_assert_true(net_connect(&p->b->port, add(p->ports, second), NULL));
}

static void pair_open(Pair *p, const char *first, const char *second)
{
    pair_add(p, first, second);
    pair_connect(p);
}

static void pair_close(Pair *p)
{
    net_free_all(p->ports);
    g_ptr_array_unref(p->ports);
}

static void pair_exchange(Pair *p)
{
    send_text(&p->a->port, "from a, one");
    send_text(&p->a->port, "from a, two");
    send_text(&p->b->port, "from b");
    wait_frames(p->b, 2);
    wait_frames(p->a, 1);
    expect_text(p->b, 0, "from a, one");
    expect_text(p->b, 1, "from a, two");
    expect_text(p->a, 0, "from b"); /* its own would have come before */
}

static void test_socket_tcp(void)
{
    g_autofree char *first = NULL;
    g_autofree char *second = NULL;
    unsigned port;
    Pair p;

    if (no_loopback()) {
        return;
    }
    port = free_port(SOCK_STREAM);
    first = g_strdup_printf("socket,id=x,listen=%s:%u", own_host(), port);
    second = g_strdup_printf("socket,id=y,connect=%s:%u", own_host(), port);
    pair_open(&p, first, second);
    pair_exchange(&p);
    /* The peer goes and another comes. */
    g_assert_true(net_del(p.ports, "y", NULL));
    g_assert_true(net_connect(&p.b->port, add(p.ports, second), NULL));
    sink_clear(p.a);
    sink_clear(p.b);
    pair_connect(&p);
    pair_exchange(&p);
    pair_close(&p);
}

static void test_socket_udp(void)
{
    const char *host = own_host();
    g_autofree char *first = NULL;
    g_autofree char *second = NULL;
    unsigned one, two;
    int fd;
    Pair p;

    if (no_loopback()) {
        return;
    }
    fd = bind_any(SOCK_DGRAM, &one);
    two = free_port(SOCK_DGRAM); /* another one */
    close(fd);
    first = g_strdup_printf("socket,id=x,udp=%s:%u,localaddr=%s:%u", host, one,
                            host, two);
    second = g_strdup_printf("socket,id=y,udp=%s:%u,localaddr=%s:%u", host, two,
                             host, one);
    pair_open(&p, first, second);
    pair_exchange(&p);
    pair_close(&p);
}

static void test_mcast(void)
{
    g_autofree char *group = NULL;
    g_autofree char *first = NULL;
    g_autofree char *second = NULL;
    unsigned port;
    Pair p;
    NetEnv env;
    g_autoptr(GPtrArray) ports = g_ptr_array_new();

    if (no_loopback()) {
        return;
    }
    port = free_port(SOCK_DGRAM);
    group = g_strconcat("239.", own_host() + strlen("127."), NULL);
    first = g_strdup_printf("socket,id=x,mcast=%s:%u,localaddr=127.0.0.1",
                            group, port);
    second = g_strdup_printf(
        "dgram,id=y,remote.type=inet,remote.host=%s,remote.port=%u,"
        "local.type=inet,local.host=127.0.0.1,local.port=%u",
        group, port, port);
    env.ports = ports;
    if (!net_add_text(&env, first, NULL)) {
        g_test_skip("no multicast here");
        return;
    }
    net_free_all(ports);
    pair_add(&p, first, second);
    if (!wait_line(p.a, p.b, false) || !wait_line(p.b, p.a, false)) {
        g_test_skip("multicast does not loop here");
    } else {
        pair_exchange(&p);
    }
    pair_close(&p);
}

static void test_stream_unix(void)
{
    g_autofree char *dir = g_dir_make_tmp("rhea-net-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "s", NULL);
    g_autofree char *first = g_strdup_printf(
        "stream,id=x,server=on,addr.type=unix,addr.path=%s", path);
    g_autofree char *second =
        g_strdup_printf("{\"type\":\"stream\",\"id\":\"y\",\"server\":false,"
                        "\"addr\":{\"type\":\"unix\",\"path\":\"%s\"}}",
                        path);
    Pair p;

    if (!CONFIG_JSON_C) {
        g_test_skip("no JSON");
        return;
    }
    pair_open(&p, first, second);
    pair_exchange(&p);
    pair_close(&p);
    g_assert_cmpint(rmdir(dir), ==, 0); /* the socket is gone */
}

/* More than a socket takes at once: all of it arrives, in order. */
static void test_stream_flood(void)
{
    g_autofree char *dir = g_dir_make_tmp("rhea-net-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "s", NULL);
    g_autofree char *first = g_strdup_printf(
        "stream,id=x,server=on,addr.type=unix,addr.path=%s", path);
    g_autofree char *second =
        g_strdup_printf("stream,id=y,addr.type=unix,addr.path=%s", path);
    static uint8_t frame[9000];
    unsigned sent = 0, n = 2000;
    Pair p;

    pair_open(&p, first, second);
    while (sent < n) {
        struct iovec iov = { frame, sizeof(frame) };
        NetFrame f = { .iov = &iov, .n = 1 };

        st_be32(frame, sent);
        if (net_send(&p.a->port, &f)) {
            sent++;
            p.b->busy = sent % 100 == 50;
        } else {
            p.b->busy = false;
            net_resume(&p.b->port);
            mainloop_iterate(false);
        }
    }
    p.b->busy = false;
    net_resume(&p.b->port);
    wait_frames(p.b, n);
    for (unsigned i = 0; i < n; i++) {
        size_t len;
        const uint8_t *f = sink_frame(p.b, i, &len);

        g_assert_cmpuint(len, ==, sizeof(frame));
        g_assert_cmpuint(ld_be32(f), ==, i);
    }
    g_assert_cmpuint(p.a->writable, >, 0);
    pair_close(&p);
    rmdir(dir);
}

/* A peer that sends lengths that cannot be is thrown out. */
static void test_stream_nonsense(void)
{
    int fds[2];
    g_autoptr(GPtrArray) ports = g_ptr_array_new();
    Sink *a = sink_new(ports, "a");
    g_autofree char *text = NULL;
    char c;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
    text = g_strdup_printf("stream,id=x,addr.type=fd,addr.str=%d", fds[0]);
    net_connect(&a->port, add(ports, text), NULL);
    g_assert_cmpint(write(fds[1], "\0\0\0\4abcd\xff\xff\xff\xff", 12), ==, 12);
    wait_frames(a, 1);
    expect_text(a, 0, "abcd");
    while (recv(fds[1], &c, 1, MSG_DONTWAIT) != 0) {
        g_assert_cmpint(errno, ==, EAGAIN);
        mainloop_iterate(true);
    }
    close(fds[1]);
    net_free_all(ports);
}

/* ---- options ----------------------------------------------------------------------------- */

static void test_bad_options(void)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        { "usr,id=x", "did you mean 'user'" },
        { "hubport,id=x", "'hubid' is missing" },
        { "socket,id=x", "exactly one of" },
        { "socket,id=x,listen=:1,connect=:2", "exactly one of" },
        { "socket,id=x,mcast=10.0.0.1:99", "not a multicast address" },
        { "socket,id=x,fd=999", "is not an open file descriptor" },
        { "stream,id=x,addr.type=pipe", "inet, unix or fd" },
        { "stream,id=x", "inet, unix or fd" },
        { "dgram,id=x", "requires local= or remote=" },
        { "tap,id=x,vhost=on", "vhost=on is not supported" },
        { "tap,id=x,fd=0,ifname=y", "invalid with fd=" },
        { "hubport,id=1x,hubid=0", "expects an identifier" },
        { "hubport,id=x,hubid=0,foo=1", "'foo' is unexpected" },
#if CONFIG_LIBSLIRP
        { "user,id=x,net=10.0.2.0/31", "4 to 29 bits" },
        { "user,id=x,net=nonsense", "net=nonsense" },
        { "user,id=x,host=10.0.3.2", "must be addresses of the network" },
        { "user,id=x,dns=10.0.2.2", "must differ" },
        { "user,id=x,ipv4=off,ipv6=off", "IPv4 and IPv6 disabled" },
        { "user,id=x,hostfwd=tcp::99999-:22", "bad host port" },
        { "user,id=x,hostfwd=sctp::99-:22", "bad protocol" },
        { "user,id=x,hostfwd=tcp::99", "Invalid host forwarding rule" },
        { "user,id=x,guestfwd=tcp:10.0.2.9:1-cmd:true,guestfwd=udp::1-x",
          "Invalid guest forwarding rule" },
        { "user,id=x,tftp=/no/such", "no such directory" },
        { "user,id=x,smb=/tmp", "smb= is not supported" },
#endif
    };
    g_autoptr(GPtrArray) ports = g_ptr_array_new();
    NetEnv env = { .ports = ports };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) err = NULL;

        g_assert_null(net_add_text(&env, cases[i].text, &err));
        if (!strstr(err->message, cases[i].part)) {
            g_test_message("%s: %s", cases[i].text, err->message);
            g_test_fail();
        }
        g_assert_cmpuint(ports->len, ==, 0);
    }
}

static void test_ids(void)
{
    g_autoptr(GPtrArray) ports = g_ptr_array_new();
    NetEnv env = { .ports = ports };
    g_autoptr(GError) err = NULL;
    Sink *nic = sink_new(ports, "nic0"), *other = sink_new(ports, "nic1");

    add(ports, "hubport,id=h,hubid=3");
    g_assert_null(net_add_text(&env, "hubport,id=h,hubid=3", &err));
    g_assert_nonnull(strstr(err->message, "Duplicate ID 'h'"));
    g_clear_error(&err);
    g_assert_true(net_connect(&nic->port, net_find(ports, "h"), NULL));
    g_assert_false(net_connect(&other->port, net_find(ports, "h"), &err));
    g_assert_cmpstr(err->message, ==, "'h' is in use by 'nic0'");
    net_free_all(ports);
}

static void test_macs(void)
{
    g_autoptr(GPtrArray) ports = g_ptr_array_new();
    uint8_t mac[6];
    char text[18];

    for (int i = 0; i < 3; i++) {
        g_autofree char *id = g_strdup_printf("n%d", i);
        Sink *s = sink_new(ports, id);

        net_default_mac(ports, mac);
        memcpy(s->port.mac, mac, 6);
    }
    net_default_mac(ports, mac);
    net_format_mac(mac, text);
    g_assert_cmpstr(text, ==, "52:54:00:12:34:59");
    g_assert_true(net_parse_mac("00:11:22:aA:Bb:ff", mac));
    g_assert_cmphex(mac[3], ==, 0xaa);
    g_assert_false(net_parse_mac("00:11:22:aA:Bb", mac));
    g_assert_false(net_parse_mac("00:11:22:aA:Bb:ff:", mac));
    g_assert_false(net_parse_mac("0:11:22:aA:Bb:ff", mac));
    net_free_all(ports);
}

/* ---- captures ------------------------------------------------------------------------------ */

static void test_pcap(void)
{
    g_autofree char *dir = g_dir_make_tmp("rhea-net-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "x.pcap", NULL);
    g_autofree char *text = NULL;
    struct iovec iov = { (void *)"0123456789", 10 };
    uint32_t w[8];
    size_t len;
    Pcap *p = pcap_open(path, 6, NULL);

    pcap_write(p, &iov, 1);
    pcap_close(p);
    g_assert_true(g_file_get_contents(path, &text, &len, NULL));
    g_assert_cmpuint(len, ==, 24 + 16 + 6);
    memcpy(w, text, 24);
    g_assert_cmphex(w[0], ==, 0xa1b2c3d4);
    g_assert_cmpuint(w[5], ==, 1);
    memcpy(w, text + 24, 16);
    g_assert_cmpuint(w[2], ==, 6);
    g_assert_cmpuint(w[3], ==, 10);
    unlink(path);
    rmdir(dir);
}

/* ---- user ------------------------------------------------------------------------------------ */

#if CONFIG_LIBSLIRP
static void test_user_arp(void)
{
    static const uint8_t ask[42] = {
        255,  255,  255, 255,  255,  255,  0x52, 0x54, 0, 0x12, 0x34,
        0x56, 8,    6,   0,    1,    8,    0,    6,    4, 0,    1, /* who has */
        0x52, 0x54, 0,   0x12, 0x34, 0x56, 10,   0,    7, 15,   0,
        0,    0,    0,   0,    0,    10,   0,    7,    2,
    };
    g_autoptr(GPtrArray) ports = g_ptr_array_new();
    Sink *nic = sink_new(ports, "nic");
    g_autoptr(GString) text = g_string_new(NULL);
    const uint8_t *f;
    size_t len;

    net_connect(&nic->port,
                add(ports, "user,id=u,net=10.0.7.0/24,restrict=on,"
                           "hostfwd=tcp:127.0.0.1:0-:22,"
                           "hostfwd=udp:127.0.0.1:0-:53"),
                NULL);
    net_send_buf(&nic->port, ask, sizeof(ask));
    wait_frames(nic, 1);
    f = sink_frame(nic, 0, &len);
    g_assert_cmpuint(len, >=, 42);
    g_assert_cmpuint(f[21], ==, 2); /* is at */
    g_assert_cmphex(ld_be32(f + 28), ==, 0x0a000702);
    net_print(ports, text);
    g_assert_cmpstr(text->str, ==,
                    "nic: index=0,type=nic,\n"
                    " \\ u: index=0,type=user,net=10.0.7.0,restrict=on\n");
    g_string_truncate(text, 0);
    net_usernet_print(ports, text);
    g_assert_nonnull(strstr(text->str, "TCP[HOST_FORWARD]"));
    g_assert_nonnull(strstr(text->str, "UDP[HOST_FORWARD]"));
    net_free_all(ports);
}

static void test_hostfwd(void)
{
    g_autoptr(GPtrArray) ports = g_ptr_array_new();
    unsigned port = free_port(SOCK_STREAM);
    g_autofree char *rule =
        g_strdup_printf("tcp:%s:%u-10.0.2.15:22", own_host(), port);
    g_autofree char *name = g_strdup_printf("tcp:%s:%u", own_host(), port);
    g_autofree char *whole = g_strconcat("user,id=w,hostfwd=", rule, NULL);
    NetEnv env = { .ports = ports };
    g_autoptr(GError) err = NULL;

    g_assert_false(net_hostfwd_add(ports, NULL, rule, &err));
    g_assert_nonnull(strstr(err->message, "not in use"));
    g_clear_error(&err);
    add(ports, "user,id=u");
    g_assert_true(net_hostfwd_add(ports, NULL, rule, NULL));
    g_assert_false(net_hostfwd_add(ports, "u", rule, &err));
    g_assert_nonnull(strstr(err->message, "is in use by this rhea"));
    g_clear_error(&err);
    g_assert_null(net_add_text(&env, whole, &err));
    g_test_message("%s", err->message);
    g_assert_nonnull(strstr(err->message, "Could not set up host forwarding"));
    g_clear_error(&err);
    g_assert_false(net_hostfwd_add(ports, "v", rule, &err));
    g_clear_error(&err);
    g_assert_true(net_hostfwd_remove(ports, "u", name, NULL));
    g_assert_false(net_hostfwd_remove(ports, "u", name, &err));
    add(ports, "user,id=v");
    g_clear_error(&err);
    g_assert_false(net_hostfwd_add(ports, NULL, rule, &err));
    g_assert_nonnull(strstr(err->message, "name one"));
    net_free_all(ports);
}

/* The SYN that the guest got, made its answer. */
static void answer_syn(NetPort *nic, const uint8_t *syn)
{
    static const uint8_t mac[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };
    uint8_t f[54] = { 0 }, *ip = f + 14, *tcp = f + 34;

    memcpy(f, syn + 6, 6);
    memcpy(f + 6, mac, 6);
    memcpy(f + 12, syn + 12, 22);
    st_be16(ip + 2, 40);
    memcpy(ip + 12, syn + 14 + 16, 4);
    memcpy(ip + 16, syn + 14 + 12, 4);
    st_be16(ip + 10, 0);
    st_be16(ip + 10, GUINT16_FROM_BE(net_sum_finish(net_sum(ip, 20))));
    memcpy(tcp, syn + 34 + 2, 2);
    memcpy(tcp + 2, syn + 34, 2);
    st_be32(tcp + 4, 1000);
    st_be32(tcp + 8, ld_be32(syn + 34 + 4) + 1);
    tcp[12] = 5 << 4;
    tcp[13] = 0x12; /* SYN, ACK */
    st_be16(tcp + 14, 65535);
    st_be16(tcp + 16, GUINT16_FROM_BE(net_sum_finish(
                          net_sum(ip + 12, 8) + net_sum(tcp, 20) + 6 + 20)));
    net_send_buf(nic, f, sizeof(f));
}

static gboolean tick(gpointer opaque)
{
    return G_SOURCE_CONTINUE;
}

/* The @nth frame of TCP with data, or with a SYN. */
static const uint8_t *wait_tcp(Sink *nic, bool data, unsigned nth)
{
    for (unsigned i = 0;; i++) {
        const uint8_t *f;
        bool is_tcp;
        size_t len;

        wait_frames(nic, i + 1);
        f = sink_frame(nic, i, &len);
        is_tcp = len >= 54 && ld_be16(f + 12) == 0x0800 && f[23] == 6;

        if (is_tcp &&
            (data ? ld_be16(f + 16) > 40 && !(f[47] & 2) : f[47] & 2) &&
            !nth--) {
            return f;
        }
    }
}

/* What the guest does not confirm comes again, also while other things wake the
 * main loop all the time. */
static void test_user_again(void)
{
    static const uint8_t here[42] = {
        255,  255,  255, 255,  255,  255,  0x52, 0x54, 0, 0x12, 0x34,
        0x56, 8,    6,   0,    1,    8,    0,    6,    4, 0,    1,
        0x52, 0x54, 0,   0x12, 0x34, 0x56, 10,   0,    2, 15,   0,
        0,    0,    0,   0,    0,    10,   0,    2,    2,
    };
    g_autoptr(GPtrArray) ports = g_ptr_array_new();
    Sink *nic = sink_new(ports, "nic");
    g_autofree char *text = NULL;
    struct sockaddr_in sin;
    unsigned port;
    guint ticks;
    int s;

    if (no_loopback()) {
        net_free_all(ports);
        return;
    }
    port = free_port(SOCK_STREAM);
    text = g_strdup_printf("user,id=u,hostfwd=tcp:%s:%u-:22", own_host(), port);
    sin = own_address(port);
    ticks = g_timeout_add(50, tick, NULL);
    s = socket(AF_INET, SOCK_STREAM, 0);
    net_connect(&nic->port, add(ports, text), NULL);
    net_send_buf(&nic->port, here, sizeof(here));
    g_assert_cmpint(connect(s, (struct sockaddr *)&sin, sizeof(sin)), ==, 0);
    answer_syn(&nic->port, wait_tcp(nic, false, 0));
    g_assert_cmpint(send(s, "x", 1, 0), ==, 1);
    wait_tcp(nic, true, 0);
    wait_tcp(nic, true, 1);
    close(s);
    g_source_remove(ticks);
    net_free_all(ports);
}
#endif

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    log_set_progname("test-net");
    g_test_add_func("/net/busy-peer", test_busy_peer);
    g_test_add_func("/net/bounded", test_bounded);
    g_test_add_func("/net/link", test_link);
    g_test_add_func("/net/hub", test_hub);
    g_test_add_func("/net/ids", test_ids);
    g_test_add_func("/net/macs", test_macs);
    g_test_add_func("/net/bad-options", test_bad_options);
    g_test_add_func("/net/offload/csum", test_csum);
    g_test_add_data_func("/net/offload/tcp4", GINT_TO_POINTER(0),
                         test_segments);
    g_test_add_data_func("/net/offload/tcp6", GINT_TO_POINTER(1),
                         test_segments);
    g_test_add_func("/net/offload/fragments", test_fragments);
    g_test_add_func("/net/offload/hostile", test_hostile);
    g_test_add_func("/net/offload/mss", test_mss);
    g_test_add_func("/net/socket/tcp", test_socket_tcp);
    g_test_add_func("/net/socket/udp", test_socket_udp);
    g_test_add_func("/net/socket/mcast", test_mcast);
    g_test_add_func("/net/stream/unix", test_stream_unix);
    g_test_add_func("/net/stream/flood", test_stream_flood);
    g_test_add_func("/net/stream/nonsense", test_stream_nonsense);
    g_test_add_func("/net/pcap", test_pcap);
#if CONFIG_LIBSLIRP
    g_test_add_func("/net/user/arp", test_user_arp);
    g_test_add_func("/net/user/hostfwd", test_hostfwd);
    g_test_add_func("/net/user/again", test_user_again);
#endif
    return g_test_run();
}
