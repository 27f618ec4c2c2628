/*
 * virtio-net: the network card. virtio 1.2, 5.1.
 *
 * The host's offloads are offered whatever the other end of the cable can do:
 * what it cannot do net_send() does. In the other direction port.accepts says
 * what the driver takes unfinished.
 *
 * Queues: receive and transmit of each pair, then the control queue; without
 * VIRTIO_NET_F_MQ the control queue is the third whatever the number of pairs.
 *
 * Not modelled: receive-side scaling, hash reports, failover (STANDBY).
 */
#include "util/osdep.h"
#include "hw/virtio/virtio-net.h"

#include "util/bits.h"
#include "util/error.h"
#include "util/iov.h"
#include "util/log.h"

enum {
    HDR_LEGACY = 10, /* without num_buffers */
    HDR_LEN = 12,
    CTRL_SIZE = 64,
    LINEAR_ABOVE = 512, /* pieces: more than the host takes in one call */
};

/* Config space, 5.1.4. */
enum {
    CFG_MAC = 0,
    CFG_STATUS = 6,
    CFG_PAIRS = 8,
    CFG_MTU = 10,
    CFG_SPEED = 12,
    CFG_DUPLEX = 16,
    CFG_SIZE = 17,
};

static Machine *vnet_machine(const VirtioNet *n)
{
    return n->v.pci.dev.machine;
}

static unsigned max_pairs(const VirtioNet *n)
{
    return n->port.queues;
}

static unsigned ctrl_index(const VirtioNet *n)
{
    return virtio_has(&n->v, VNET_F_MQ) ? 2 * max_pairs(n) : 2;
}

static size_t header_len(const VirtioNet *n)
{
    return virtio_has(&n->v, VNET_F_MRG_RXBUF) ||
                   virtio_has(&n->v, VIRTIO_F_VERSION_1)
               ? HDR_LEN
               : HDR_LEGACY;
}

/* ---- the header, 5.1.6; both byte orders of the guest are ours: x86 ----------------- */

static void header_get(const uint8_t *h, NetOffload *off)
{
    off->flags = h[0];
    off->gso_type = h[1];
    off->hdr_len = ld_le16(h + 2);
    off->gso_size = ld_le16(h + 4);
    off->csum_start = ld_le16(h + 6);
    off->csum_offset = ld_le16(h + 8);
}

static void header_put(uint8_t *h, const NetOffload *off, bool flags)
{
    h[0] = flags ? off->flags & (NET_F_NEEDS_CSUM | NET_F_DATA_VALID) : 0;
    h[1] = off->gso_type;
    st_le16(h + 2, off->hdr_len);
    st_le16(h + 4, off->gso_size);
    st_le16(h + 6, off->csum_start);
    st_le16(h + 8, off->csum_offset);
    st_le16(h + 10, 1);
}

/* ---- transmit -------------------------------------------------------------------------- */

/* False: the other end is busy, keep it. */
static bool tx_frame(VirtioNet *n, VirtQueue *vq, const VirtElem *e)
{
    size_t hl = header_len(n), len = e->out_len - hl;
    g_autofree uint8_t *whole = NULL;
    struct iovec one;
    uint8_t h[HDR_LEN];
    NetFrame f = { .iov = n->tx_iov, .queue = virtq_index(vq) / 2 };

    iov_to_buf(e->out, e->n_out, 0, h, hl);
    header_get(h, &f.off);
    f.off.flags &= NET_F_NEEDS_CSUM;
    if (len < NET_HEADER || len > NET_MAX_FRAME) {
        log_mask(LOG_GUEST_ERROR, "virtio-net: a frame of %zu bytes\n", len);
        return true;
    }
    f.n = iov_slice(e->out, e->n_out, hl, len, n->tx_iov);
    if (f.n > LINEAR_ABOVE) {
        whole = g_malloc(len);
        one = (struct iovec) { whole, iov_to_buf(f.iov, f.n, 0, whole, len) };
        f.iov = &one;
        f.n = 1;
    }
    return net_send(&n->port, &f);
}

static void handle_tx(VirtioNet *n, VirtQueue *vq)
{
    size_t hl = header_len(n);
    unsigned sent = 0;
    VirtElem *e;

    while (sent < n->tx_burst && (e = virtq_pop(vq, sizeof(*e)))) {
        if (e->out_len < hl || e->n_out > VIRTQ_MAX_SIZE) {
            virtio_broken(&n->v, "a frame without a header");
            virtq_push(vq, e, 0);
            return;
        }
        if (!tx_frame(n, vq, e)) {
            virtq_unpop(vq, e); /* until tx_writable() */
            break;
        }
        virtq_push(vq, e, 0);
        sent++;
    }
    if (sent) {
        virtq_notify(vq);
    }
    if (sent == n->tx_burst) { /* others get their turn */
        virtq_schedule(vq);
    }
}

static void vnet_writable(NetPort *port)
{
    VirtioNet *n = container_of(port, VirtioNet, port);

    for (unsigned i = 0; i < n->pairs; i++) {
        virtq_schedule(n->v.queue[2 * i + 1]);
    }
}

/* ---- receive ---------------------------------------------------------------------------- */

/* Buffers of one frame; with mergeable buffers up to a ring's worth. */
typedef struct RxSpace {
    VirtElem *elem[VIRTQ_MAX_SIZE];
    unsigned n;
    size_t len;
} RxSpace;

static void rx_give_back(VirtQueue *vq, RxSpace *s)
{
    while (s->n) {
        virtq_unpop(vq, s->elem[--s->n]);
    }
}

typedef enum RxRoom { RX_ROOM, RX_WAIT, RX_DROP } RxRoom;

static RxRoom rx_find_room(VirtioNet *n, VirtQueue *vq, RxSpace *s, size_t want)
{
    bool merge = virtio_has(&n->v, VNET_F_MRG_RXBUF);
    VirtElem *e;

    s->n = 0;
    s->len = 0;
    while (s->len < want) {
        if (s->n == VIRTQ_MAX_SIZE || (s->n && !merge)) {
            rx_give_back(vq, s);
            return RX_DROP;
        }
        e = virtq_pop(vq, sizeof(*e));
        if (!e) {
            rx_give_back(vq, s);
            return n->v.broken ? RX_DROP : RX_WAIT;
        }
        s->elem[s->n++] = e;
        s->len += e->in_len;
        if (e->in_len < (s->n == 1 ? header_len(n) : 1)) {
            virtio_broken(&n->v, "a receive buffer of %zu bytes", e->in_len);
            while (s->n) {
                virtq_push(vq, s->elem[--s->n], 0);
            }
            return RX_DROP;
        }
    }
    return RX_ROOM;
}

/* Copies @len bytes of @f from @from on into @e, @at bytes into it. */
static size_t rx_copy(VirtElem *e, size_t at, const NetFrame *f, size_t from,
                      size_t len)
{
    size_t done = 0;

    for (int i = 0; i < f->n && done < len; i++) {
        size_t part = f->iov[i].iov_len;

        if (from >= part) {
            from -= part;
            continue;
        }
        part = MIN(part - from, len - done);
        iov_from_buf(e->in, e->n_in, at + done,
                     (const uint8_t *)f->iov[i].iov_base + from, part);
        done += part;
        from = 0;
    }
    return done;
}

static void rx_fill(VirtioNet *n, VirtQueue *vq, RxSpace *s, const NetFrame *f,
                    size_t len)
{
    size_t hl = header_len(n), from = 0;
    uint8_t h[HDR_LEN];

    header_put(h, &f->off, virtio_has(&n->v, VNET_F_GUEST_CSUM));
    st_le16(h + HDR_LEGACY, (uint16_t)s->n);
    for (unsigned i = 0; i < s->n; i++) {
        VirtElem *e = s->elem[i];
        size_t at = i ? 0 : iov_from_buf(e->in, e->n_in, 0, h, hl);
        size_t part = MIN(len - from, e->in_len - at);

        rx_copy(e, at, f, from, part);
        from += part;
        virtq_push(vq, e, at + part);
    }
    virtq_notify(vq);
}

static bool vnet_receive(NetPort *port, const NetFrame *f)
{
    VirtioNet *n = container_of(port, VirtioNet, port);
    RunState state = vnet_machine(n)->state;
    size_t len = iov_size(f->iov, f->n);
    VirtQueue *vq = n->v.queue[f->queue % n->pairs * 2];
    uint8_t head[18] = { 0 };
    RxSpace space;

    if (state != RUN_RUNNING && state != RUN_PRELAUNCH) {
        return false; /* the guest's memory stands still */
    }
    iov_to_buf(f->iov, f->n, 0, head, sizeof(head));
    if (!(n->v.status & VIRTIO_S_DRIVER_OK) || !virtq_ready(vq) ||
        !vnet_wants_frame(n, head, len)) {
        return true;
    }
    switch (rx_find_room(n, vq, &space, header_len(n) + len)) {
    case RX_WAIT:
        return false;
    case RX_DROP:
        return true;
    default:
        rx_fill(n, vq, &space, f, len);
        return true;
    }
}

/* ---- queues ----------------------------------------------------------------------------- */

static void vnet_handle(VirtioDevice *v, VirtQueue *vq)
{
    VirtioNet *n = vnet_of(v);
    unsigned i = virtq_index(vq);

    if (i == ctrl_index(n) && virtio_has(v, VNET_F_CTRL_VQ)) {
        vnet_ctrl_handle(n, vq);
    } else if (i / 2 >= n->pairs) {
        log_mask(LOG_GUEST_ERROR, "virtio-net: queue %u is not in use\n", i);
    } else if (i & 1) {
        handle_tx(n, vq);
    } else {
        net_resume(&n->port);
    }
}

/* ---- features and config space ----------------------------------------------------------- */

static uint64_t vnet_features(VirtioDevice *v)
{
    VirtioNet *n = vnet_of(v);
    uint64_t f = VIRTIO_BIT(VNET_F_MAC);

    for (unsigned bit = 0; bit < VNET_FEATURE_PROPS; bit++) {
        f |= n->want[bit] ? VIRTIO_BIT(bit) : 0;
    }
    if (!n->want[VNET_F_CSUM] || !n->want_gso) {
        f &= ~(VIRTIO_BIT(VNET_F_HOST_TSO4) | VIRTIO_BIT(VNET_F_HOST_TSO6) |
               VIRTIO_BIT(VNET_F_HOST_ECN) | VIRTIO_BIT(VNET_F_HOST_UFO));
    }
    if (!n->want[VNET_F_GUEST_CSUM]) {
        f &= ~(VIRTIO_BIT(VNET_F_GUEST_TSO4) | VIRTIO_BIT(VNET_F_GUEST_TSO6) |
               VIRTIO_BIT(VNET_F_GUEST_ECN) | VIRTIO_BIT(VNET_F_GUEST_UFO));
    }
    if (!n->want[VNET_F_CTRL_VQ]) {
        f &= ~(VIRTIO_BIT(VNET_F_CTRL_RX) | VIRTIO_BIT(VNET_F_CTRL_VLAN) |
               VIRTIO_BIT(VNET_F_CTRL_RX_EXTRA) |
               VIRTIO_BIT(VNET_F_GUEST_ANNOUNCE) | VIRTIO_BIT(VNET_F_MQ) |
               VIRTIO_BIT(VNET_F_CTRL_MAC_ADDR) |
               VIRTIO_BIT(VNET_F_CTRL_GUEST_OFFLOADS));
    }
    if (max_pairs(n) < 2) {
        f &= ~VIRTIO_BIT(VNET_F_MQ);
    }
    if (n->host_mtu) {
        f |= VIRTIO_BIT(VNET_F_MTU);
    }
    if (n->speed != UINT32_MAX || n->duplex_prop) {
        f |= VIRTIO_BIT(VNET_F_SPEED_DUPLEX);
    }
    return f;
}

#define GUEST_OFFLOADS \
    (VIRTIO_BIT(VNET_F_GUEST_CSUM) | VIRTIO_BIT(VNET_F_GUEST_TSO4) | \
     VIRTIO_BIT(VNET_F_GUEST_TSO6) | VIRTIO_BIT(VNET_F_GUEST_ECN) | \
     VIRTIO_BIT(VNET_F_GUEST_UFO))

void vnet_offloads_changed(VirtioNet *n)
{
    static const struct {
        unsigned feature, accepts;
    } map[] = {
        { VNET_F_GUEST_CSUM, NET_CSUM }, { VNET_F_GUEST_TSO4, NET_TSO4 },
        { VNET_F_GUEST_TSO6, NET_TSO6 }, { VNET_F_GUEST_ECN, NET_ECN },
        { VNET_F_GUEST_UFO, NET_UFO },
    };
    unsigned accepts = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(map); i++) {
        if (n->guest_offloads >> map[i].feature & 1) {
            accepts |= map[i].accepts;
        }
    }
    net_set_accepts(&n->port, accepts & NET_CSUM ? accepts : 0);
}

static bool vnet_set_features(VirtioDevice *v, uint64_t features)
{
    VirtioNet *n = vnet_of(v);

    /* A driver that does not filter VLANs gets all of them. */
    memset(n->vlans, virtio_has(v, VNET_F_CTRL_VLAN) ? 0 : 0xff,
           sizeof(n->vlans));
    n->guest_offloads = features & GUEST_OFFLOADS;
    vnet_offloads_changed(n);
    return true;
}

static void vnet_get_config(VirtioDevice *v, uint8_t *config)
{
    const VirtioNet *n = vnet_of(v);

    memcpy(config + CFG_MAC, n->mac, 6);
    st_le16(config + CFG_STATUS, n->status);
    st_le16(config + CFG_PAIRS, (uint16_t)max_pairs(n));
    st_le16(config + CFG_MTU, n->host_mtu);
    st_le32(config + CFG_SPEED, n->speed);
    config[CFG_DUPLEX] = !n->duplex_prop                   ? 0xff
                         : !strcmp(n->duplex_prop, "full") ? 1
                                                           : 0;
}

/* Legacy drivers set the address here. */
static void vnet_set_config(VirtioDevice *v, const uint8_t *config)
{
    VirtioNet *n = vnet_of(v);

    if (virtio_has(v, VIRTIO_F_VERSION_1) ||
        virtio_has(v, VNET_F_CTRL_MAC_ADDR) || !memcmp(n->mac, config, 6)) {
        return;
    }
    memcpy(n->mac, config + CFG_MAC, 6);
    vnet_show_mac(n);
    vnet_filter_changed(n);
}

static void vnet_status_changed(VirtioDevice *v, uint8_t old)
{
    VirtioNet *n = vnet_of(v);

    if (v->status & ~old & VIRTIO_S_DRIVER_OK) {
        net_resume(&n->port);
    }
}

static void vnet_reset(VirtioDevice *v)
{
    VirtioNet *n = vnet_of(v);

    n->pairs = 1;
    n->guest_offloads = 0;
    n->status = n->port.link_down ? 0 : VNET_S_LINK_UP;
    n->announce_on_resume = false;
    memcpy(n->mac, n->perm_mac, sizeof(n->mac));
    vnet_show_mac(n);
    vnet_filter_reset(n);
    vnet_offloads_changed(n);
    net_purge(&n->port);
    if (n->port.peer && n->port.peer->ops->writable) {
        n->port.peer->ops->writable(n->port.peer);
    }
}

static const VirtioOps vnet_ops = {
    .name = "virtio-net",
    .id = 1,
    .pci_class = 0x020000,
    .config_size = CFG_SIZE,
    .features = vnet_features,
    .set_features = vnet_set_features,
    .get_config = vnet_get_config,
    .set_config = vnet_set_config,
    .status_changed = vnet_status_changed,
    .reset = vnet_reset,
};

/* ---- the port ---------------------------------------------------------------------------- */

void vnet_show_mac(VirtioNet *n)
{
    char mac[18];

    net_format_mac(n->mac, mac);
    g_free(n->port.info);
    n->port.info =
        g_strdup_printf("model=%s,macaddr=%s", n->v.pci.dev.cls->name, mac);
}

static void vnet_link_changed(NetPort *port)
{
    VirtioNet *n = container_of(port, VirtioNet, port);
    uint16_t old = n->status;

    n->status = (uint16_t)((old & ~VNET_S_LINK_UP) |
                           (port->link_down ? 0 : VNET_S_LINK_UP));
    if (n->status != old && virtio_has(&n->v, VNET_F_STATUS)) {
        virtio_config_changed(&n->v);
    }
}

/* The switches on the way should learn that the guest is here now. */
static void vnet_announce(VirtioNet *n)
{
    if (virtio_has(&n->v, VNET_F_GUEST_ANNOUNCE) &&
        virtio_has(&n->v, VNET_F_CTRL_VQ) && n->v.status & VIRTIO_S_DRIVER_OK) {
        n->status |= VNET_S_ANNOUNCE;
        virtio_config_changed(&n->v);
    }
}

static void vnet_machine_event(Machine *m, const char *event,
                               const EventValue *values, void *opaque)
{
    VirtioNet *n = opaque;

    if (strcmp(event, "RESUME")) {
        return;
    }
    if (n->announce_on_resume) {
        n->announce_on_resume = false;
        vnet_announce(n);
    }
    net_resume(&n->port);
}

static const NetPortOps vnet_port_ops = {
    .type = "nic",
    .receive = vnet_receive,
    .writable = vnet_writable,
    .link_changed = vnet_link_changed,
    .rx_filter = vnet_rx_filter,
};

/* ---- realize ----------------------------------------------------------------------------- */

static bool valid_size(const char *name, unsigned size, GError **errp)
{
    if (size < 256 || size > VIRTQ_MAX_SIZE || !is_pow2(size)) {
        error_setg(errp, "%s must be a power of two from 256 to %d, not %u",
                   name, VIRTQ_MAX_SIZE, size);
        return false;
    }
    return true;
}

static bool check_props(VirtioNet *n, GError **errp)
{
    if (!valid_size("rx_queue_size", n->rx_size, errp) ||
        !valid_size("tx_queue_size", n->tx_size, errp)) {
        return false;
    }
    if (n->duplex_prop && strcmp(n->duplex_prop, "full") &&
        strcmp(n->duplex_prop, "half")) {
        error_setg(errp, "'duplex' must be 'half' or 'full'");
        return false;
    }
    if (n->host_mtu && (n->host_mtu < 68 || n->host_mtu > 65521)) {
        error_setg(errp, "host_mtu must be 68 to 65521, not %u", n->host_mtu);
        return false;
    }
    if (n->mac_prop &&
        (!net_parse_mac(n->mac_prop, n->perm_mac) || n->perm_mac[0] & 1)) {
        error_setg(errp,
                   "Property '%s.mac' expects a unicast address such as "
                   "52:54:00:12:34:56, not '%s'",
                   n->v.pci.dev.cls->name, n->mac_prop);
        return false;
    }
    n->tx_burst = CLAMP(n->tx_burst, 1, VIRTQ_MAX_SIZE);
    return true;
}

/* The port named by netdev=; *@peer NULL: none was. */
static bool find_peer(VirtioNet *n, NetPort **peer, GError **errp)
{
    const char *cls = n->v.pci.dev.cls->name;

    *peer = NULL;
    if (!n->netdev || !*n->netdev) {
        return true;
    }
    *peer = net_find(vnet_machine(n)->netdevs, n->netdev);
    if (!*peer || (*peer)->is_nic) {
        error_setg(errp, "Property '%s.netdev' can't find value '%s'", cls,
                   n->netdev);
        return false;
    }
    if ((*peer)->peer) {
        error_setg(errp,
                   "Property '%s.netdev' can't take value '%s', it's in use "
                   "by '%s'",
                   cls, n->netdev, (*peer)->peer->id);
        return false;
    }
    return true;
}

/* "net0", or "virtio-net-pci.0" */
static char *port_name(const VirtioNet *n)
{
    const Device *dev = &n->v.pci.dev;

    if (dev->id) {
        return g_strdup(dev->id);
    }
    for (unsigned i = 0;; i++) {
        char *id = g_strdup_printf("%s.%u", dev->cls->name, i);

        if (!net_find(dev->machine->netdevs, id)) {
            return id;
        }
        g_free(id);
    }
}

static void open_port(VirtioNet *n, NetPort *peer)
{
    Machine *m = vnet_machine(n);
    g_autofree char *id = port_name(n);

    net_port_init(&n->port, &vnet_port_ops, id);
    n->port.is_nic = true;
    n->port.queues = n->want[VNET_F_MQ] && peer ? MAX(peer->queues, 1) : 1;
    n->port.mtu = n->host_mtu ? n->host_mtu : 1500;
    if (!n->mac_prop) {
        net_default_mac(m->netdevs, n->perm_mac);
    }
    memcpy(n->port.mac, n->perm_mac, 6);
    net_port_add(m->netdevs, &n->port);
}

static bool vnet_realize(Device *dev, GError **errp)
{
    VirtioNet *n = container_of(dev, VirtioNet, v.pci.dev);
    NetPort *peer;

    if (!check_props(n, errp) || !find_peer(n, &peer, errp)) {
        return false;
    }
    open_port(n, peer);
    for (unsigned i = 0; i < max_pairs(n); i++) {
        virtio_add_queue(&n->v, n->rx_size, vnet_handle);
        virtio_add_queue(&n->v, n->tx_size, vnet_handle);
    }
    virtio_add_queue(&n->v, CTRL_SIZE, vnet_handle);
    if (!virtio_realize(&n->v, &vnet_ops, errp)) {
        net_port_free(&n->port);
        return false;
    }
    n->tx_iov = g_new(struct iovec, VIRTQ_MAX_SIZE);
    n->filter_event = true;
    if (peer) {
        net_connect(&n->port, peer, NULL);
        n->port.link_down = peer->link_down;
    }
    vnet_reset(&n->v);
    machine_watch(dev->machine, vnet_machine_event, n);
    return true;
}

static void vnet_unrealize(Device *dev)
{
    VirtioNet *n = container_of(dev, VirtioNet, v.pci.dev);

    machine_unwatch(dev->machine, vnet_machine_event, n);
    virtio_unrealize(&n->v);
    net_port_free(&n->port);
    g_free(n->tx_iov);
}

static void vnet_class_reset(Device *dev)
{
    virtio_reset(&container_of(dev, VirtioNet, v.pci.dev)->v);
}

/* ---- state -------------------------------------------------------------------------------- */

static bool vnet_post_load(void *obj, int version, GError **errp)
{
    VirtioNet *n = obj;

    if (n->pairs < 1 || n->pairs > max_pairs(n) || n->n_macs > VNET_MACS ||
        n->first_multi > n->n_macs) {
        n->pairs = 1;
        n->n_macs = n->first_multi = 0;
        error_setg(errp, "virtio-net: more queues or addresses in the state "
                         "than this card has");
        return false;
    }
    n->guest_offloads &= n->v.features & GUEST_OFFLOADS;
    vnet_offloads_changed(n);
    vnet_show_mac(n);
    /* The cable is this machine's, not the saved one's. */
    n->status = (uint16_t)((n->status & VNET_S_ANNOUNCE) |
                           (n->port.link_down ? 0 : VNET_S_LINK_UP));
    n->announce_on_resume = true;
    return true;
}

VIRTIO_VMSTATES(vnet, "virtio-net", VirtioNet, vnet_post_load,
                VM_U8_ARRAY(VirtioNet, mac, 6), VM_U16(VirtioNet, status),
                VM_U64(VirtioNet, guest_offloads), VM_U16(VirtioNet, pairs),
                VM_BOOL(VirtioNet, promisc), VM_BOOL(VirtioNet, allmulti),
                VM_BOOL(VirtioNet, alluni), VM_BOOL(VirtioNet, nomulti),
                VM_BOOL(VirtioNet, nouni), VM_BOOL(VirtioNet, nobcast),
                VM_U16(VirtioNet, n_macs), VM_U16(VirtioNet, first_multi),
                VM_BOOL(VirtioNet, uni_overflow),
                VM_BOOL(VirtioNet, multi_overflow),
                VM_U8_ARRAY(VirtioNet, macs, VNET_MACS * 6),
                VM_U32_ARRAY(VirtioNet, vlans, VNET_VLANS / 32))

/* ---- classes ------------------------------------------------------------------------------ */

/* clang-format off */
#define PROP(name, kind, field, defval, help) \
    { name, kind, offsetof(VirtioNet, field), defval, help }
#define FEATURE(name, bit, defval, help) \
    PROP(name, PROP_BOOL, want[VNET_F_##bit], defval, help)

#define VNET_PROPS \
    PROP("netdev", PROP_NETDEV, netdev, 0, "other end of the cable: id of -netdev"), \
    PROP("mac", PROP_STRING, mac_prop, 0, "hardware address (52:54:00:12:34:56 and following)"), \
    PROP("rx_queue_size", PROP_U16, rx_size, 256, "entries of a receive queue"), \
    PROP("tx_queue_size", PROP_U16, tx_size, 256, "entries of a transmit queue"), \
    PROP("host_mtu", PROP_U16, host_mtu, 0, "largest packet, as the driver is told (0: is not)"), \
    PROP("speed", PROP_U32, speed, UINT32_MAX, "Mbit/s shown to the driver"), \
    PROP("duplex", PROP_STRING, duplex_prop, 0, "half or full, shown to the driver"), \
    PROP("tx", PROP_STRING, tx_prop, (uintptr_t)"bh", "accepted: transmission begins at once"), \
    PROP("x-txburst", PROP_U32, tx_burst, 256, "frames sent before others get their turn"), \
    PROP("bootindex", PROP_U32, bootindex, UINT32_MAX, "for firmware: place in the boot order"), \
    FEATURE("csum", CSUM, 1, "the driver may leave checksums to us"), \
    FEATURE("guest_csum", GUEST_CSUM, 1, "we may leave checksums to the driver"), \
    PROP("gso", PROP_BOOL, want_gso, 1, "off: none of host_tso4 and the like"), \
    FEATURE("guest_tso4", GUEST_TSO4, 1, "the driver may get uncut TCP"), \
    FEATURE("guest_tso6", GUEST_TSO6, 1, "the same over IPv6"), \
    FEATURE("guest_ecn", GUEST_ECN, 1, "the same with congestion marks"), \
    FEATURE("guest_ufo", GUEST_UFO, 1, "the driver may get uncut UDP"), \
    FEATURE("host_tso4", HOST_TSO4, 1, "the driver may send uncut TCP"), \
    FEATURE("host_tso6", HOST_TSO6, 1, "the same over IPv6"), \
    FEATURE("host_ecn", HOST_ECN, 1, "the same with congestion marks"), \
    FEATURE("host_ufo", HOST_UFO, 1, "the driver may send uncut UDP"), \
    FEATURE("mrg_rxbuf", MRG_RXBUF, 1, "a frame may span receive buffers"), \
    FEATURE("status", STATUS, 1, "the driver sees the link go up and down"), \
    FEATURE("ctrl_vq", CTRL_VQ, 1, "control queue"), \
    FEATURE("ctrl_rx", CTRL_RX, 1, "receive modes"), \
    FEATURE("ctrl_vlan", CTRL_VLAN, 1, "VLAN filter"), \
    FEATURE("ctrl_rx_extra", CTRL_RX_EXTRA, 1, "more receive modes"), \
    FEATURE("ctrl_mac_addr", CTRL_MAC_ADDR, 1, "the driver may change the address"), \
    FEATURE("ctrl_guest_offloads", CTRL_GUEST_OFFLOADS, 1, "guest_tso4 and others may change while running"), \
    FEATURE("guest_announce", GUEST_ANNOUNCE, 1, "the driver announces itself after a migration"), \
    FEATURE("mq", MQ, 0, "as many queue pairs as the back end has")
/* clang-format on */

static const Property vnet_device_props[] = {
    VNET_PROPS,
    VIRTIO_PROPS,
    VIRTIO_MMIO_PROPS,
    { .kind = PROP_END },
};

const DeviceClass virtio_net_device_class = {
    .name = "virtio-net-device",
    .desc = "Network card, on virtio-mmio",
    .category = DEVICE_NETWORK,
    .bus = "virtio-bus",
    .size = sizeof(VirtioNet),
    .props = vnet_device_props,
    .vmstate = &vmstate_vnet_device,
    .realize = vnet_realize,
    .reset = vnet_class_reset,
    .unrealize = vnet_unrealize,
};

static const Property vnet_pci_props[] = {
    VNET_PROPS,
    VIRTIO_PROPS,
    VIRTIO_PCI_PROPS,
    { .kind = PROP_END },
};

const DeviceClass virtio_net_pci_class = {
    .name = "virtio-net-pci",
    .alias = "virtio-net",
    .desc = "Network card",
    .category = DEVICE_NETWORK,
    .bus = "PCI",
    .size = sizeof(VirtioNet),
    .props = vnet_pci_props,
    .vmstate = &vmstate_vnet_pci,
    .realize = vnet_realize,
    .reset = vnet_class_reset,
    .unrealize = vnet_unrealize,
};
