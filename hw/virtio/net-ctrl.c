/*
 * virtio-net's control queue and what it controls: which frames come in, the
 * address, offloads, the number of queues. virtio 1.2, 5.1.6.5.
 *
 * Without a driver that says otherwise the card is promiscuous: legacy drivers
 * cannot ask for anything.
 */
#include "util/osdep.h"
#include "hw/virtio/virtio-net.h"

#include "util/bits.h"
#include "util/iov.h"
#include "util/log.h"

enum {
    CTRL_RX = 0,
    CTRL_RX_PROMISC = 0,
    CTRL_RX_ALLMULTI = 1,
    CTRL_RX_ALLUNI = 2,
    CTRL_RX_NOMULTI = 3,
    CTRL_RX_NOUNI = 4,
    CTRL_RX_NOBCAST = 5,
    CTRL_MAC = 1,
    CTRL_MAC_TABLE_SET = 0,
    CTRL_MAC_ADDR_SET = 1,
    CTRL_VLAN = 2,
    CTRL_VLAN_ADD = 0,
    CTRL_VLAN_DEL = 1,
    CTRL_ANNOUNCE = 3,
    CTRL_ANNOUNCE_ACK = 0,
    CTRL_MQ = 4,
    CTRL_MQ_PAIRS_SET = 0,
    CTRL_OFFLOADS = 5,
    CTRL_OFFLOADS_SET = 0,
    ACK_OK = 0,
    ACK_ERR = 1,
};

/* A command's data, read from the guest piece by piece. */
typedef struct CtrlData {
    const VirtElem *e;
    size_t at;
} CtrlData;

static bool ctrl_read(CtrlData *c, void *buf, size_t len)
{
    if (iov_to_buf(c->e->out, c->e->n_out, c->at, buf, len) != len) {
        return false;
    }
    c->at += len;
    return true;
}

/* ---- the filter ---------------------------------------------------------------------- */

void vnet_filter_reset(VirtioNet *n)
{
    n->promisc = true;
    n->allmulti = n->alluni = n->nomulti = n->nouni = n->nobcast = false;
    n->n_macs = n->first_multi = 0;
    n->uni_overflow = n->multi_overflow = false;
    memset(n->macs, 0, sizeof(n->macs));
    memset(n->vlans, 0xff, sizeof(n->vlans));
}

static bool vlan_is_on(const VirtioNet *n, unsigned id)
{
    return n->vlans[id / 32] >> (id % 32) & 1;
}

static bool in_table(const VirtioNet *n, const uint8_t *mac, unsigned from,
                     unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        if (!memcmp(n->macs + 6 * (size_t)i, mac, 6)) {
            return true;
        }
    }
    return false;
}

bool vnet_wants_frame(const VirtioNet *n, const uint8_t *head, size_t len)
{
    static const uint8_t broadcast[6] = { 255, 255, 255, 255, 255, 255 };

    if (len < NET_HEADER) {
        return false;
    }
    if (n->promisc) {
        return true;
    }
    if (ld_be16(head + 12) == 0x8100 &&
        !vlan_is_on(n, ld_be16(head + 14) & (VNET_VLANS - 1))) {
        return false;
    }
    if (head[0] & 1) {
        if (!memcmp(head, broadcast, 6)) {
            return !n->nobcast;
        }
        return !n->nomulti && (n->allmulti || n->multi_overflow ||
                               in_table(n, head, n->first_multi, n->n_macs));
    }
    return !n->nouni &&
           (n->alluni || n->uni_overflow || !memcmp(head, n->mac, 6) ||
            in_table(n, head, 0, n->first_multi));
}

/* Once until somebody asks for the filter again, as in QEMU: clients look at
 * it, not at the event. */
void vnet_filter_changed(VirtioNet *n)
{
    const Device *dev = &n->v.pci.dev;
    g_autofree char *path = NULL;

    if (!n->filter_event) {
        return;
    }
    n->filter_event = false;
    path = dev->id ? g_strdup_printf("/machine/peripheral/%s/virtio-backend",
                                     dev->id)
                   : g_strdup_printf("/machine/peripheral-anon/%s", n->port.id);
    machine_emit(dev->machine, "NIC_RX_FILTER_CHANGED",
                 EVENT_STR("name", dev->id), EVENT_STR("path", path));
}

static NetRxState state_of(bool none, bool all)
{
    return none ? NET_RX_NONE : all ? NET_RX_ALL : NET_RX_NORMAL;
}

NetRxFilter *vnet_rx_filter(NetPort *port)
{
    VirtioNet *n = container_of(port, VirtioNet, port);
    NetRxFilter *f = g_new0(NetRxFilter, 1);
    bool filters_vlans = virtio_has(&n->v, VNET_F_CTRL_VLAN);

    f->promiscuous = n->promisc;
    f->broadcast_allowed = !n->nobcast;
    f->unicast_overflow = n->uni_overflow;
    f->multicast_overflow = n->multi_overflow;
    f->unicast = state_of(n->nouni, n->alluni);
    f->multicast = state_of(n->nomulti, n->allmulti);
    f->vlan = filters_vlans ? NET_RX_NORMAL : NET_RX_ALL;
    memcpy(f->main_mac, n->mac, 6);
    f->unicast_table = g_array_new(FALSE, FALSE, 6);
    f->multicast_table = g_array_new(FALSE, FALSE, 6);
    f->vlan_table = g_array_new(FALSE, FALSE, sizeof(uint16_t));
    g_array_append_vals(f->unicast_table, n->macs, n->first_multi);
    g_array_append_vals(f->multicast_table, n->macs + 6 * n->first_multi,
                        (guint)n->n_macs - n->first_multi);
    for (uint16_t id = 0; filters_vlans && id < VNET_VLANS; id++) {
        if (vlan_is_on(n, id)) {
            g_array_append_val(f->vlan_table, id);
        }
    }
    n->filter_event = true;
    return f;
}

/* ---- commands -------------------------------------------------------------------------- */

static bool ctrl_rx(VirtioNet *n, unsigned cmd, CtrlData *c)
{
    bool *const modes[] = {
        [CTRL_RX_PROMISC] = &n->promisc, [CTRL_RX_ALLMULTI] = &n->allmulti,
        [CTRL_RX_ALLUNI] = &n->alluni,   [CTRL_RX_NOMULTI] = &n->nomulti,
        [CTRL_RX_NOUNI] = &n->nouni,     [CTRL_RX_NOBCAST] = &n->nobcast,
    };
    unsigned feature =
        cmd <= CTRL_RX_ALLMULTI ? VNET_F_CTRL_RX : VNET_F_CTRL_RX_EXTRA;
    uint8_t on;

    if (cmd >= G_N_ELEMENTS(modes) || !virtio_has(&n->v, feature) ||
        !ctrl_read(c, &on, 1)) {
        return false;
    }
    *modes[cmd] = on;
    return true;
}

/* One of the two tables: a count, and that many addresses. Those beyond our
 * room make it overflow: then everything of the kind comes in. */
static bool read_macs(VirtioNet *n, CtrlData *c, bool *overflow)
{
    uint8_t le[4];
    uint32_t count;

    if (!ctrl_read(c, le, 4)) {
        return false;
    }
    count = ld_le32(le);
    if (count > (c->e->out_len - c->at) / 6) {
        return false;
    }
    *overflow = count > (uint32_t)(VNET_MACS - n->n_macs);
    if (*overflow) {
        c->at += (size_t)count * 6;
        return true;
    }
    if (!ctrl_read(c, n->macs + 6 * (size_t)n->n_macs, (size_t)count * 6)) {
        return false;
    }
    n->n_macs = (uint16_t)(n->n_macs + count);
    return true;
}

static bool ctrl_mac(VirtioNet *n, unsigned cmd, CtrlData *c)
{
    bool ok;

    if (cmd == CTRL_MAC_ADDR_SET) {
        uint8_t mac[6];

        if (!virtio_has(&n->v, VNET_F_CTRL_MAC_ADDR) ||
            c->e->out_len - c->at != 6 || !ctrl_read(c, mac, 6)) {
            return false;
        }
        memcpy(n->mac, mac, 6);
        vnet_show_mac(n);
        return true;
    }
    if (cmd != CTRL_MAC_TABLE_SET || !virtio_has(&n->v, VNET_F_CTRL_RX)) {
        return false;
    }
    n->n_macs = n->first_multi = 0;
    ok = read_macs(n, c, &n->uni_overflow);
    n->first_multi = n->n_macs;
    ok = ok && read_macs(n, c, &n->multi_overflow) && c->at == c->e->out_len;
    if (!ok) { /* neither table is known: let in what could be meant */
        n->n_macs = n->first_multi = 0;
        n->uni_overflow = n->multi_overflow = false;
    }
    return ok;
}

static bool ctrl_vlan(VirtioNet *n, unsigned cmd, CtrlData *c)
{
    uint8_t le[2];
    unsigned id;

    if (!virtio_has(&n->v, VNET_F_CTRL_VLAN) || !ctrl_read(c, le, 2)) {
        return false;
    }
    id = ld_le16(le);
    if (id >= VNET_VLANS || cmd > CTRL_VLAN_DEL) {
        return false;
    }
    if (cmd == CTRL_VLAN_ADD) {
        n->vlans[id / 32] |= UINT32_C(1) << (id % 32);
    } else {
        n->vlans[id / 32] &= ~(UINT32_C(1) << (id % 32));
    }
    return true;
}

static bool ctrl_announce(VirtioNet *n, unsigned cmd)
{
    if (cmd != CTRL_ANNOUNCE_ACK || !(n->status & VNET_S_ANNOUNCE)) {
        return false;
    }
    n->status &= (uint16_t)~VNET_S_ANNOUNCE;
    return true;
}

static bool ctrl_mq(VirtioNet *n, unsigned cmd, CtrlData *c)
{
    uint8_t le[2];
    unsigned pairs;

    if (cmd != CTRL_MQ_PAIRS_SET || !virtio_has(&n->v, VNET_F_MQ) ||
        !ctrl_read(c, le, 2)) {
        return false;
    }
    pairs = ld_le16(le);
    if (pairs < 1 || pairs > n->port.queues) {
        return false;
    }
    n->pairs = (uint16_t)pairs;
    for (unsigned i = 0; i < pairs; i++) { /* kicked before they counted? */
        virtq_schedule(n->v.queue[2 * i + 1]);
    }
    net_resume(&n->port);
    return true;
}

static bool ctrl_offloads(VirtioNet *n, unsigned cmd, CtrlData *c)
{
    const uint64_t all =
        VIRTIO_BIT(VNET_F_GUEST_CSUM) | VIRTIO_BIT(VNET_F_GUEST_TSO4) |
        VIRTIO_BIT(VNET_F_GUEST_TSO6) | VIRTIO_BIT(VNET_F_GUEST_ECN) |
        VIRTIO_BIT(VNET_F_GUEST_UFO);
    uint8_t le[8];
    uint64_t v;

    if (cmd != CTRL_OFFLOADS_SET ||
        !virtio_has(&n->v, VNET_F_CTRL_GUEST_OFFLOADS) ||
        !ctrl_read(c, le, 8)) {
        return false;
    }
    v = ld_le64(le);
    if (v & ~(n->v.features & all)) {
        return false;
    }
    n->guest_offloads = v;
    vnet_offloads_changed(n);
    return true;
}

static bool ctrl_run(VirtioNet *n, const VirtElem *e)
{
    CtrlData c = { .e = e };
    uint8_t head[2];
    bool ok;

    if (!ctrl_read(&c, head, 2)) {
        return false;
    }
    switch (head[0]) {
    case CTRL_RX:
        ok = ctrl_rx(n, head[1], &c);
        break;
    case CTRL_MAC:
        ok = ctrl_mac(n, head[1], &c);
        break;
    case CTRL_VLAN:
        ok = ctrl_vlan(n, head[1], &c);
        break;
    case CTRL_ANNOUNCE:
        return ctrl_announce(n, head[1]);
    case CTRL_MQ:
        return ctrl_mq(n, head[1], &c);
    case CTRL_OFFLOADS:
        return ctrl_offloads(n, head[1], &c);
    default:
        return false;
    }
    if (ok) {
        vnet_filter_changed(n);
    }
    return ok;
}

void vnet_ctrl_handle(VirtioNet *n, VirtQueue *vq)
{
    VirtElem *e;

    while ((e = virtq_pop(vq, sizeof(*e)))) {
        uint8_t ack;

        if (!e->in_len || e->out_len < 2) {
            virtio_broken(&n->v, "a control command without room for its "
                                 "answer");
            virtq_push(vq, e, 0);
            return;
        }
        ack = ctrl_run(n, e) ? ACK_OK : ACK_ERR;
        if (ack == ACK_ERR) {
            log_mask(LOG_GUEST_ERROR,
                     "virtio-net: a control command was refused\n");
        }
        iov_from_buf(e->in, e->n_in, 0, &ack, 1);
        virtq_push(vq, e, 1);
    }
    virtq_notify(vq);
}
