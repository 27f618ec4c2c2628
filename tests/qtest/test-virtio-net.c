/*
 * virtio-net on an mmio slot, with a driver that does what drivers do and one
 * that does not. At the other end of the cable is a port that keeps what it
 * gets.
 */
#include "tests/lib/virtio-rig.h"
#include "hw/virtio/virtio-net.h"
#include "net/net.h"
#include "net/offload.h"
#include "util/iov.h"
#include "util/log.h"

enum {
    RAM = 8 << 20,
    HDR = 12,
    RXSIZE = 64,
    RX_BUF = 2048,
};
#define F(bit) VIRTIO_BIT(VNET_F_##bit)
#define MODERN VIRTIO_BIT(VIRTIO_F_VERSION_1)

extern const DeviceClass virtio_net_device_class;

/* ---- the other end ------------------------------------------------------------------ */

typedef struct Peer {
    NetPort port;
    GPtrArray *got; /* of GBytes */
    NetOffload off; /* of the last */
    bool busy;
    unsigned queue;
} Peer;

static bool peer_receive(NetPort *port, const NetFrame *f)
{
    Peer *p = container_of(port, Peer, port);
    size_t len = iov_size(f->iov, f->n);
    uint8_t *buf = g_malloc(len);

    if (p->busy) {
        g_free(buf);
        return false;
    }
    iov_to_buf(f->iov, f->n, 0, buf, len);
    g_ptr_array_add(p->got, g_bytes_new_take(buf, len));
    p->off = f->off;
    p->queue = f->queue;
    return true;
}

static void peer_close(NetPort *port)
{
    g_ptr_array_unref(container_of(port, Peer, port)->got);
}

static const NetPortOps peer_ops = {
    .type = "test",
    .receive = peer_receive,
    .close = peer_close,
};

/* ---- the machine -------------------------------------------------------------------- */

typedef struct Rig {
    QTest q;
    Region ram;
    Device *slot;
    VirtioNet *n;
    Peer *peer;
    VDriver d;
    VRing rx, tx, ctrl;
} Rig;

static void rig_start(Rig *g, unsigned queues)
{
    memset(g, 0, sizeof(*g));
    g->slot = rig_slot(&g->q, &g->ram, RAM, false, &g->d);
    g->peer = (Peer *)net_port_new(sizeof(Peer), &peer_ops, "p");
    g->peer->got =
        g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    g->peer->port.queues = queues;
    g->peer->port.accepts = NET_OFFLOADS;
    net_port_add(g->q.m->netdevs, &g->peer->port);
    g->n =
        (VirtioNet *)device_new_class(g->q.m, &virtio_net_device_class, "net0");
    g_assert_true(device_set(&g->n->v.pci.dev, "netdev", "p", NULL));
    g_assert_true(device_set(&g->n->v.pci.dev, "mq", "on", NULL));
    g_assert_true(device_set(&g->n->v.pci.dev, "host_mtu", "9000", NULL));
    qtest_realize(&g->n->v.pci.dev);
}

static void rig_end(Rig *g)
{
    vd_settle();
    rig_unplug(&g->q);
    net_free_all(g->q.m->netdevs);
    region_fini(&g->ram);
    qtest_end(&g->q);
}

static void rig_ready(Rig *g, uint64_t features)
{
    g_assert_true(vd_negotiate(&g->d, MODERN | features));
    vd_ring(&g->d, &g->rx, 0, RXSIZE);
    vd_ring(&g->d, &g->tx, 1, RXSIZE);
    vd_ring(&g->d, &g->ctrl, features & F(MQ) ? 2 * g->peer->port.queues : 2,
            16);
    vd_driver_ok(&g->d);
}

static hwaddr give_buffer(Rig *g, uint32_t len)
{
    hwaddr at = vd_alloc(&g->d, len, 16);

    vd_offer(&g->d, &g->rx, vd_add(&g->d, &g->rx, at, len, VD_WRITE, false));
    return at;
}

static bool is_broken(Rig *g)
{
    return vd_read(&g->d, VD_STATUS) & VIRTIO_S_NEEDS_RESET;
}

/* A frame of @len bytes for @dest from the other end. */
static void make_frame(uint8_t *frame, size_t len, const char *dest)
{
    for (size_t i = 0; i < len; i++) {
        frame[i] = (uint8_t)(i * 3);
    }
    g_assert_true(net_parse_mac(dest, frame));
    st_be16(frame + 12, 0x88b5);
}

static const char own_mac[] = "52:54:00:12:34:56";

/* Whether a frame for @dest comes in. */
static bool comes_in(Rig *g, const char *dest)
{
    uint8_t frame[60];
    unsigned head;
    uint32_t len;

    give_buffer(g, RX_BUF);
    make_frame(frame, sizeof(frame), dest);
    net_send_buf(&g->peer->port, frame, sizeof(frame));
    return vd_take(&g->d, &g->rx, &head, &len);
}

/* ---- configuration -------------------------------------------------------------------- */

static void test_config(void)
{
    Rig g;
    uint8_t c[17];

    rig_start(&g, 4);
    g_assert_cmpuint(vd_read(&g.d, VD_DEVICE_ID), ==, 1);
    rig_ready(&g, F(MQ) | F(CTRL_VQ) | F(MAC) | F(STATUS) | F(MTU));
    for (unsigned i = 0; i < sizeof(c); i++) {
        c[i] = (uint8_t)as_load(g.q.m->mem, BASE + VD_CONFIG + i, 1);
    }
    g_assert_cmpmem(c, 6, "\x52\x54\x00\x12\x34\x56", 6);
    g_assert_cmpuint(ld_le16(c + 6), ==, VNET_S_LINK_UP);
    g_assert_cmpuint(ld_le16(c + 8), ==, 4);
    g_assert_cmpuint(ld_le16(c + 10), ==, 9000);
    g_assert_cmpuint(vd_offered(&g.d) & F(CSUM) & F(GUEST_TSO4), ==, 0);
    g_assert_cmpstr(g.n->port.info, ==,
                    "model=virtio-net-device,macaddr=52:54:00:12:34:56");
    rig_end(&g);
}

static void test_link(void)
{
    Rig g;

    rig_start(&g, 1);
    rig_ready(&g, F(STATUS));
    g_assert_true(net_set_link(g.q.m->netdevs, "net0", false, NULL));
    g_assert_cmpuint(as_load(g.q.m->mem, BASE + VD_CONFIG + 6, 2), ==, 0);
    g_assert_cmpuint(vd_read(&g.d, VD_ISR) & 2, ==, 2);
    g_assert_false(comes_in(&g, own_mac));
    g_assert_true(net_set_link(g.q.m->netdevs, "net0", true, NULL));
    g_assert_true(net_set_link(g.q.m->netdevs, "p", false, NULL));
    g_assert_cmpuint(as_load(g.q.m->mem, BASE + VD_CONFIG + 6, 2), ==, 0);
    g_assert_true(net_set_link(g.q.m->netdevs, "p", true, NULL));
    g_assert_cmpuint(as_load(g.q.m->mem, BASE + VD_CONFIG + 6, 2), ==, 1);
    g_assert_true(comes_in(&g, own_mac));
    rig_end(&g);
}

/* ---- transmit -------------------------------------------------------------------------- */

/* Header and frame in two descriptors. */
static void send_frame(Rig *g, const uint8_t hdr[HDR], const uint8_t *frame,
                       uint32_t len)
{
    hwaddr h = vd_alloc(&g->d, HDR, 16), f = vd_alloc(&g->d, len, 16);
    unsigned head;

    as_write(g->q.m->mem, h, hdr, HDR);
    as_write(g->q.m->mem, f, frame, len);
    head = vd_add(&g->d, &g->tx, h, HDR, 0, true);
    vd_add(&g->d, &g->tx, f, len, 0, false);
    vd_offer(&g->d, &g->tx, head);
    vd_kick(&g->d, &g->tx);
    vd_settle();
}

static void test_transmit(void)
{
    Rig g;
    uint8_t frame[1514],
        hdr[HDR] = { 1, NET_GSO_TCPV4, 54, 0, 0xb4, 5, 34, 0, 16, 0 };
    const uint8_t *got;
    size_t len;

    rig_start(&g, 1);
    rig_ready(&g, F(CSUM) | F(HOST_TSO4));
    make_frame(frame, sizeof(frame), "ff:ff:ff:ff:ff:ff");
    send_frame(&g, hdr, frame, sizeof(frame));
    g_assert_cmpuint(g.peer->got->len, ==, 1);
    got = g_bytes_get_data(g.peer->got->pdata[0], &len);
    g_assert_cmpmem(got, len, frame, sizeof(frame));
    g_assert_cmpuint(g.peer->off.gso_type, ==, NET_GSO_TCPV4);
    g_assert_cmpuint(g.peer->off.gso_size, ==, 1460);
    g_assert_cmpuint(g.peer->off.csum_start, ==, 34);
    g_assert_cmpuint(vd_wait(&g.d, &g.tx), ==, 0);
    rig_end(&g);
}

/* The other end is busy: the ring keeps the frames, in order. */
static void test_busy_peer(void)
{
    static const uint8_t hdr[HDR];
    uint8_t frame[100];
    Rig g;

    rig_start(&g, 1);
    rig_ready(&g, 0);
    make_frame(frame, sizeof(frame), "ff:ff:ff:ff:ff:ff");
    g.peer->busy = true;
    for (uint8_t i = 0; i < 20; i++) {
        frame[20] = i;
        send_frame(&g, hdr, frame, sizeof(frame));
    }
    g_assert_cmpuint(vd_used_idx(&g.d, &g.tx), ==, 0);
    g.peer->busy = false;
    net_resume(&g.peer->port);
    vd_settle();
    g_assert_cmpuint(g.peer->got->len, ==, 20);
    for (unsigned i = 0; i < 20; i++) {
        const uint8_t *f = g_bytes_get_data(g.peer->got->pdata[i], NULL);

        g_assert_cmpuint(f[20], ==, i);
    }
    g_assert_cmpuint(vd_used_idx(&g.d, &g.tx), ==, 20);
    rig_end(&g);
}

/* ---- receive ----------------------------------------------------------------------------- */

static void test_mergeable(void)
{
    uint8_t frame[5000], got[5000];
    hwaddr at[4];
    size_t n = 0;
    Rig g;

    rig_start(&g, 1);
    rig_ready(&g, F(MRG_RXBUF));
    make_frame(frame, sizeof(frame), own_mac);
    for (int i = 0; i < 2; i++) { /* not enough: nothing is used up */
        at[i] = give_buffer(&g, RX_BUF);
    }
    net_send_buf(&g.peer->port, frame, sizeof(frame));
    g_assert_cmpuint(vd_used_idx(&g.d, &g.rx), ==, 0);
    at[2] = give_buffer(&g, RX_BUF);
    vd_kick(&g.d, &g.rx);
    vd_settle();
    g_assert_cmpuint(vd_used_idx(&g.d, &g.rx), ==, 3);
    for (int i = 0; i < 3; i++) {
        unsigned head, skip = i ? 0 : HDR;
        uint32_t len = 0;

        g_assert_true(vd_take(&g.d, &g.rx, &head, &len));
        as_read(g.q.m->mem, at[i] + skip, got + n, len - skip);
        n += len - skip;
    }
    g_assert_cmpmem(got, n, frame, sizeof(frame));
    g_assert_cmpuint(as_load(g.q.m->mem, at[0] + 10, 2), ==, 3);
    rig_end(&g);
}

/* Without mergeable buffers: one buffer each, too long is lost. */
static void test_plain_receive(void)
{
    uint8_t frame[3000];
    hwaddr at;
    Rig g;

    rig_start(&g, 1);
    rig_ready(&g, 0);
    make_frame(frame, sizeof(frame), own_mac);
    give_buffer(&g, RX_BUF);
    at = give_buffer(&g, RX_BUF);
    net_send_buf(&g.peer->port, frame, sizeof(frame));
    g_assert_cmpuint(vd_used_idx(&g.d, &g.rx), ==, 0);
    net_send_buf(&g.peer->port, frame, 1000);
    net_send_buf(&g.peer->port, frame, 1001);
    g_assert_cmpuint(vd_wait(&g.d, &g.rx), ==, HDR + 1000);
    g_assert_cmpuint(vd_wait(&g.d, &g.rx), ==, HDR + 1001);
    g_assert_cmpuint(as_load(g.q.m->mem, at + 10, 2), ==, 1);
    rig_end(&g);
}

/* What the driver does not take is finished before it comes. */
static void test_receive_offloads(void)
{
    uint8_t frame[14 + 40 + 3000] = { 0 };
    struct iovec iov = { frame, sizeof(frame) };
    NetFrame f = { .iov = &iov,
                   .n = 1,
                   .off = { NET_F_NEEDS_CSUM, NET_GSO_TCPV4, 54, 1460, 34,
                            16 } };
    hwaddr at;
    Rig g;

    make_frame(frame, 14, own_mac);
    st_be16(frame + 12, 0x0800);
    frame[14] = 0x45;
    st_be16(frame + 16, 3040);
    frame[23] = 6;
    frame[46] = 0x50;
    rig_start(&g, 1);
    rig_ready(&g, F(MRG_RXBUF));
    for (int i = 0; i < 4; i++) {
        give_buffer(&g, RX_BUF);
    }
    g_assert_true(net_send(&g.peer->port, &f));
    g_assert_cmpuint(vd_used_idx(&g.d, &g.rx), ==, 3);
    rig_ready(&g, F(MRG_RXBUF) | F(GUEST_CSUM) | F(GUEST_TSO4));
    at = give_buffer(&g, 4096);
    g_assert_true(net_send(&g.peer->port, &f));
    g_assert_cmpuint(vd_wait(&g.d, &g.rx), ==, HDR + sizeof(frame));
    g_assert_cmpuint(as_load(g.q.m->mem, at, 1), ==, NET_F_NEEDS_CSUM);
    g_assert_cmpuint(as_load(g.q.m->mem, at + 1, 1), ==, NET_GSO_TCPV4);
    g_assert_cmpuint(as_load(g.q.m->mem, at + 4, 2), ==, 1460);
    rig_end(&g);
}

/* A stopped machine's memory does not change. */
static void test_stopped(void)
{
    uint8_t frame[60];
    Rig g;

    rig_start(&g, 1);
    rig_ready(&g, 0);
    give_buffer(&g, RX_BUF);
    make_frame(frame, sizeof(frame), own_mac);
    g.q.m->state = RUN_PAUSED;
    net_send_buf(&g.peer->port, frame, sizeof(frame));
    vd_settle();
    g_assert_cmpuint(vd_used_idx(&g.d, &g.rx), ==, 0);
    g.q.m->state = RUN_RUNNING;
    machine_emit(g.q.m, "RESUME");
    g_assert_cmpuint(vd_wait(&g.d, &g.rx), ==, HDR + 60);
    rig_end(&g);
}

/* ---- the control queue --------------------------------------------------------------------- */

/* The answer: 0 OK, 1 error, -1: the device is broken. */
static int control(Rig *g, unsigned cls, unsigned cmd, const void *data,
                   size_t len)
{
    hwaddr out = vd_alloc(&g->d, 2 + len, 16), in = vd_alloc(&g->d, 1, 16);
    unsigned head, id;
    uint32_t written;

    as_store(g->q.m->mem, out, cls, 1);
    as_store(g->q.m->mem, out + 1, cmd, 1);
    as_write(g->q.m->mem, out + 2, data, len);
    as_store(g->q.m->mem, in, 0xff, 1);
    head = vd_add(&g->d, &g->ctrl, out, (uint32_t)(2 + len), 0, true);
    vd_add(&g->d, &g->ctrl, in, 1, VD_WRITE, false);
    vd_offer(&g->d, &g->ctrl, head);
    vd_kick(&g->d, &g->ctrl);
    vd_settle();
    if (!vd_take(&g->d, &g->ctrl, &id, &written)) {
        return -1;
    }
    g_assert_cmpuint(written, ==, 1);
    return (int)as_load(g->q.m->mem, in, 1);
}

#define CTRL_FEATURES \
    (F(CTRL_VQ) | F(CTRL_RX) | F(CTRL_RX_EXTRA) | F(CTRL_VLAN) | \
     F(CTRL_MAC_ADDR) | F(CTRL_GUEST_OFFLOADS) | F(GUEST_CSUM) | \
     F(GUEST_TSO4))

static void test_filter(void)
{
    static const uint8_t on = 1, off = 0;
    static const uint8_t table[] = {
        1, 0, 0, 0, 2, 0, 0, 0, 0, 1, /* one unicast */
        1, 0, 0, 0, 3, 0, 0, 0, 0, 1, /* one multicast */
    };
    NetRxFilter *f;
    Rig g;

    rig_start(&g, 1);
    rig_ready(&g, CTRL_FEATURES);
    g_assert_true(comes_in(&g, "02:00:00:00:00:09")); /* promiscuous */
    g_assert_cmpint(control(&g, 0, 0, &off, 1), ==, 0);
    g_assert_true(comes_in(&g, own_mac));
    g_assert_true(comes_in(&g, "ff:ff:ff:ff:ff:ff"));
    g_assert_false(comes_in(&g, "02:00:00:00:00:01"));
    g_assert_false(comes_in(&g, "03:00:00:00:00:01"));
    g_assert_cmpint(control(&g, 1, 0, table, sizeof(table)), ==, 0);
    g_assert_true(comes_in(&g, "02:00:00:00:00:01"));
    g_assert_true(comes_in(&g, "03:00:00:00:00:01"));
    g_assert_false(comes_in(&g, "03:00:00:00:00:02"));
    f = vnet_rx_filter(&g.n->port);
    g_assert_cmpuint(f->unicast_table->len, ==, 1);
    g_assert_cmpuint(f->multicast_table->len, ==, 1);
    g_assert_false(f->promiscuous);
    net_rx_filter_free(f);
    g_assert_cmpint(control(&g, 0, 1, &on, 1), ==, 0); /* all multicast */
    g_assert_true(comes_in(&g, "03:00:00:00:00:02"));
    g_assert_cmpint(control(&g, 0, 3, &on, 1), ==, 0); /* none */
    g_assert_false(comes_in(&g, "03:00:00:00:00:02"));
    g_assert_cmpint(control(&g, 0, 5, &on, 1), ==, 0); /* no broadcast */
    g_assert_false(comes_in(&g, "ff:ff:ff:ff:ff:ff"));
    g_assert_cmpint(control(&g, 0, 4, &on, 1), ==, 0); /* no unicast */
    g_assert_false(comes_in(&g, own_mac));
    vd_write(&g.d, VD_STATUS, 0);
    g_assert_true(g.n->promisc); /* and all of it is gone with a reset */
    g_assert_cmpuint(g.n->n_macs, ==, 0);
    rig_end(&g);
}

static void test_mac_and_vlan(void)
{
    static const uint8_t off = 0, mac[6] = { 2, 2, 2, 2, 2, 2 };
    static const uint8_t vlan[2] = { 5, 0 }, bad_vlan[2] = { 0, 16 };
    uint8_t frame[64];
    Rig g;

    rig_start(&g, 1);
    rig_ready(&g, CTRL_FEATURES);
    g_assert_cmpint(control(&g, 0, 0, &off, 1), ==, 0);
    g_assert_cmpint(control(&g, 1, 1, mac, 6), ==, 0);
    g_assert_true(comes_in(&g, "02:02:02:02:02:02"));
    g_assert_false(comes_in(&g, own_mac));
    g_assert_cmpuint(as_load(g.q.m->mem, BASE + VD_CONFIG, 1), ==, 2);
    make_frame(frame, sizeof(frame), "02:02:02:02:02:02");
    st_be16(frame + 12, 0x8100);
    st_be16(frame + 14, 0x2005);
    net_send_buf(&g.peer->port, frame, sizeof(frame));
    g_assert_cmpuint(vd_used_idx(&g.d, &g.rx), ==, 1);
    g_assert_cmpint(control(&g, 2, 0, vlan, 2), ==, 0);
    net_send_buf(&g.peer->port, frame, sizeof(frame));
    g_assert_cmpuint(vd_used_idx(&g.d, &g.rx), ==, 2);
    g_assert_cmpint(control(&g, 2, 1, vlan, 2), ==, 0);
    net_send_buf(&g.peer->port, frame, sizeof(frame));
    g_assert_cmpuint(vd_used_idx(&g.d, &g.rx), ==, 2);
    g_assert_cmpint(control(&g, 2, 0, bad_vlan, 2), ==, 1);
    rig_end(&g);
}

static void test_guest_offloads(void)
{
    uint8_t le[8];
    Rig g;

    rig_start(&g, 1);
    rig_ready(&g, CTRL_FEATURES);
    g_assert_cmpuint(g.n->port.accepts, ==, NET_CSUM | NET_TSO4);
    st_le64(le, F(GUEST_CSUM));
    g_assert_cmpint(control(&g, 5, 0, le, 8), ==, 0);
    g_assert_cmpuint(g.n->port.accepts, ==, NET_CSUM);
    st_le64(le, F(GUEST_CSUM) | F(GUEST_TSO6)); /* was not negotiated */
    g_assert_cmpint(control(&g, 5, 0, le, 8), ==, 1);
    st_le64(le, 0);
    g_assert_cmpint(control(&g, 5, 0, le, 8), ==, 0);
    g_assert_cmpuint(g.n->port.accepts, ==, 0);
    rig_end(&g);
}

/* Commands that are wrong, each in its way: refused, and the card lives. */
static void test_hostile_control(void)
{
    static const uint8_t many[4] = { 255, 255, 255, 255 };
    g_autofree uint8_t *big = g_malloc0(8 + 6 * 100);
    Rig g;

    rig_start(&g, 1);
    rig_ready(&g, CTRL_FEATURES);
    g_assert_cmpint(control(&g, 1, 0, many, 4), ==, 1);
    g_assert_cmpint(control(&g, 1, 0, many, 3), ==, 1);
    g_assert_cmpint(control(&g, 1, 1, many, 4), ==, 1);
    g_assert_cmpint(control(&g, 0, 0, many, 0), ==, 1);
    g_assert_cmpint(control(&g, 0, 77, many, 1), ==, 1);
    g_assert_cmpint(control(&g, 3, 0, many, 0), ==, 1); /* not announcing */
    g_assert_cmpint(control(&g, 4, 0, many, 2), ==, 1); /* no MQ */
    g_assert_cmpint(control(&g, 99, 0, many, 4), ==, 1);
    st_le32(big, 100); /* more than the table: everything comes in */
    g_assert_cmpint(control(&g, 1, 0, big, 8 + 6 * 100), ==, 0);
    g_assert_true(g.n->uni_overflow);
    for (int i = 0; i < 3000; i++) {
        uint8_t bytes[40];
        int len = g_test_rand_int_range(0, 40);

        for (int k = 0; k < len; k++) {
            bytes[k] = (uint8_t)g_test_rand_int_range(0, 8);
        }
        g.d.next = 0x100000;
        g_assert_cmpint(control(&g, (unsigned)g_test_rand_int_range(0, 7),
                                (unsigned)g_test_rand_int_range(0, 7), bytes,
                                (size_t)len),
                        >=, 0);
    }
    g_assert_false(is_broken(&g));
    rig_end(&g);
}

/* Rings that cannot be: the device asks for a reset, and works after it. */
static void test_broken(void)
{
    static const uint8_t hdr[HDR];
    uint8_t frame[60];
    hwaddr at;
    Rig g;

    rig_start(&g, 1);
    rig_ready(&g, F(CTRL_VQ));
    at = vd_alloc(&g.d, 16, 16);
    vd_offer(&g.d, &g.tx, vd_add(&g.d, &g.tx, at, 4, 0, false));
    vd_kick(&g.d, &g.tx);
    vd_settle();
    g_assert_true(is_broken(&g));
    rig_ready(&g, F(CTRL_VQ));
    vd_offer(&g.d, &g.ctrl, vd_add(&g.d, &g.ctrl, at, 16, 0, false));
    vd_kick(&g.d, &g.ctrl);
    vd_settle();
    g_assert_true(is_broken(&g));
    rig_ready(&g, F(MRG_RXBUF));
    give_buffer(&g, 4); /* no room for the header */
    make_frame(frame, sizeof(frame), own_mac);
    net_send_buf(&g.peer->port, frame, sizeof(frame));
    g_assert_true(is_broken(&g));
    rig_ready(&g, 0);
    send_frame(&g, hdr, frame, 60);
    g_assert_cmpuint(g.peer->got->len, ==, 1);
    send_frame(&g, hdr, frame, 5); /* too short for Ethernet: dropped */
    g_assert_cmpuint(g.peer->got->len, ==, 1);
    g_assert_cmpuint(vd_used_idx(&g.d, &g.tx), ==, 2);
    rig_end(&g);
}

static void test_queues(void)
{
    static const uint8_t hdr[HDR], two[2] = { 2, 0 }, none[2] = { 0, 0 };
    uint8_t frame[60];
    Rig g;

    rig_start(&g, 2);
    rig_ready(&g, F(MQ) | CTRL_FEATURES);
    make_frame(frame, sizeof(frame), own_mac);
    vd_ring(&g.d, &g.tx, 3, 16); /* of the second pair, too early */
    send_frame(&g, hdr, frame, 60);
    g_assert_cmpuint(g.peer->got->len, ==, 0);
    g_assert_cmpint(control(&g, 4, 0, none, 2), ==, 1);
    g_assert_cmpint(control(&g, 4, 0, two, 2), ==, 0);
    vd_settle();
    g_assert_cmpuint(g.peer->got->len, ==, 1);
    g_assert_cmpuint(g.peer->queue, ==, 1);
    /* Without MQ the third queue is the control queue. */
    rig_ready(&g, CTRL_FEATURES);
    g_assert_cmpint(control(&g, 0, 0, two, 1), ==, 0);
    rig_end(&g);
}

/* ---- state ---------------------------------------------------------------------------------- */

/* Saved with frames that the peer has not taken, loaded into another card. */
static void test_state(void)
{
    static const uint8_t hdr[HDR], off = 0;
    g_autoptr(GByteArray) s = g_byte_array_new(), slot = g_byte_array_new();
    g_autofree uint8_t *ram = g_malloc(RAM);
    uint8_t frame[100];
    size_t pos = 0;
    Rig g, h;

    rig_start(&g, 1);
    rig_ready(&g, CTRL_FEATURES | F(GUEST_ANNOUNCE) | F(STATUS));
    g_assert_cmpint(control(&g, 0, 0, &off, 1), ==, 0);
    make_frame(frame, sizeof(frame), "ff:ff:ff:ff:ff:ff");
    g.peer->busy = true;
    send_frame(&g, hdr, frame, sizeof(frame));
    send_frame(&g, hdr, frame, sizeof(frame));
    g_assert_true(vmstate_save(s, virtio_net_device_class.vmstate, g.n, NULL));
    g_assert_true(vmstate_save(slot, g.slot->cls->vmstate, g.slot, NULL));
    as_read(g.q.m->mem, 0, ram, RAM);

    rig_start(&h, 1);
    as_write(h.q.m->mem, 0, ram, RAM);
    g_assert_true(vmstate_load(slot, &pos, h.slot->cls->vmstate, h.slot, NULL));
    pos = 0;
    g_assert_true(
        vmstate_load(s, &pos, virtio_net_device_class.vmstate, h.n, NULL));
    vd_settle();
    g_assert_cmpuint(h.peer->got->len, ==, 2); /* they go out here */
    g_assert_false(h.n->promisc);
    g_assert_cmpuint(h.n->port.accepts, ==, g.n->port.accepts);
    h.d = g.d;
    h.d.m = h.q.m;
    h.ctrl = g.ctrl;
    machine_emit(h.q.m, "RESUME");
    g_assert_cmpuint(as_load(h.q.m->mem, BASE + VD_CONFIG + 6, 2), ==, 3);
    g_assert_cmpint(control(&h, 3, 0, NULL, 0), ==, 0); /* announced */
    g_assert_cmpuint(as_load(h.q.m->mem, BASE + VD_CONFIG + 6, 2), ==, 1);
    rig_end(&h);
    rig_end(&g);
}

/* ---- properties ------------------------------------------------------------------------------ */

static void test_props(void)
{
    static const struct {
        const char *prop, *value, *part;
    } cases[] = {
        { "mac", "52:54:00:12:34", "expects a unicast address" },
        { "mac", "53:54:00:12:34:56", "expects a unicast address" },
        { "rx_queue_size", "100", "power of two" },
        { "netdev", "nosuch", "can't find value 'nosuch'" },
        { "netdev", "p", "it's in use by 'net0'" },
        { "host_mtu", "10", "68 to 65521" },
        { "duplex", "both", "'half' or 'full'" },
    };
    Rig g;

    rig_start(&g, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Device *dev =
            device_new_class(g.q.m, &virtio_net_device_class, "other");
        g_autoptr(GError) err = NULL;

        g_assert_true(device_set(dev, cases[i].prop, cases[i].value, NULL));
        g_assert_false(device_realize(dev, &err));
        if (!strstr(err->message, cases[i].part)) {
            g_test_message("%s", err->message);
            g_test_fail();
        }
        device_free(dev);
    }
    g_assert_cmpuint(g.q.m->netdevs->len, ==, 2);
    rig_end(&g);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    log_set_progname("test-virtio-net");
    g_test_add_func("/virtio-net/config", test_config);
    g_test_add_func("/virtio-net/props", test_props);
    g_test_add_func("/virtio-net/link", test_link);
    g_test_add_func("/virtio-net/transmit", test_transmit);
    g_test_add_func("/virtio-net/busy-peer", test_busy_peer);
    g_test_add_func("/virtio-net/mergeable", test_mergeable);
    g_test_add_func("/virtio-net/plain-receive", test_plain_receive);
    g_test_add_func("/virtio-net/receive-offloads", test_receive_offloads);
    g_test_add_func("/virtio-net/stopped", test_stopped);
    g_test_add_func("/virtio-net/filter", test_filter);
    g_test_add_func("/virtio-net/mac-and-vlan", test_mac_and_vlan);
    g_test_add_func("/virtio-net/guest-offloads", test_guest_offloads);
    g_test_add_func("/virtio-net/hostile-control", test_hostile_control);
    g_test_add_func("/virtio-net/broken", test_broken);
    g_test_add_func("/virtio-net/queues", test_queues);
    g_test_add_func("/virtio-net/state", test_state);
    return g_test_run();
}
