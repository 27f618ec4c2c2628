/* The network card's two files, net.c and net-ctrl.c. */
#ifndef HW_VIRTIO_VIRTIO_NET_H
#define HW_VIRTIO_VIRTIO_NET_H

#include "hw/virtio/virtio.h"
#include "net/net.h"

/* virtio 1.2, 5.1.3. */
enum {
    VNET_F_CSUM = 0,
    VNET_F_GUEST_CSUM = 1,
    VNET_F_CTRL_GUEST_OFFLOADS = 2,
    VNET_F_MTU = 3,
    VNET_F_MAC = 5,
    VNET_F_GUEST_TSO4 = 7,
    VNET_F_GUEST_TSO6 = 8,
    VNET_F_GUEST_ECN = 9,
    VNET_F_GUEST_UFO = 10,
    VNET_F_HOST_TSO4 = 11,
    VNET_F_HOST_TSO6 = 12,
    VNET_F_HOST_ECN = 13,
    VNET_F_HOST_UFO = 14,
    VNET_F_MRG_RXBUF = 15,
    VNET_F_STATUS = 16,
    VNET_F_CTRL_VQ = 17,
    VNET_F_CTRL_RX = 18,
    VNET_F_CTRL_VLAN = 19,
    VNET_F_CTRL_RX_EXTRA = 20,
    VNET_F_GUEST_ANNOUNCE = 21,
    VNET_F_MQ = 22,
    VNET_F_CTRL_MAC_ADDR = 23,
    VNET_F_SPEED_DUPLEX = 63,
};

enum { VNET_S_LINK_UP = 1, VNET_S_ANNOUNCE = 2 };

enum { VNET_MACS = 64, VNET_VLANS = 4096, VNET_FEATURE_PROPS = 24 };

typedef struct VirtioNet {
    VirtioDevice v;
    NetPort port;

    /* Properties. */
    char *netdev, *mac_prop, *duplex_prop, *tx_prop;
    bool want[VNET_FEATURE_PROPS]; /* features, by bit */
    bool want_gso;
    uint16_t host_mtu, rx_size, tx_size;
    uint32_t speed, tx_burst, bootindex;
    uint8_t perm_mac[6];

    /* What the guest has set. */
    uint8_t mac[6];
    uint16_t status;
    uint64_t guest_offloads; /* the GUEST_* features in use */
    uint16_t pairs;          /* in use */
    bool promisc, allmulti, alluni, nomulti, nouni, nobcast;
    uint16_t n_macs, first_multi; /* table: unicast, then multicast */
    bool uni_overflow, multi_overflow;
    uint8_t macs[VNET_MACS * 6];
    uint32_t vlans[VNET_VLANS / 32];

    bool filter_event; /* tell of the next change: somebody asked since */
    bool announce_on_resume;
    struct iovec *tx_iov; /* of VIRTQ_MAX_SIZE */
} VirtioNet;

static inline VirtioNet *vnet_of(VirtioDevice *v)
{
    return container_of(v, VirtioNet, v);
}

/* net.c */
void vnet_offloads_changed(VirtioNet *n);
void vnet_show_mac(VirtioNet *n);

/* net-ctrl.c */
void vnet_filter_reset(VirtioNet *n);
/* Would the card let this frame in? @head: at least its first 18 bytes, or as
 * many as it has. */
bool vnet_wants_frame(const VirtioNet *n, const uint8_t *head, size_t len);
void vnet_ctrl_handle(VirtioNet *n, VirtQueue *vq);
NetRxFilter *vnet_rx_filter(NetPort *port);
void vnet_filter_changed(VirtioNet *n);

#endif
