/*
 * Network cables: two ports, a NIC at one end and a back end (user, tap,
 * socket, hub) at the other. Both ends are the same type.
 *
 * What a frame still needs (a checksum to complete, segments to cut) travels
 * beside it, as in virtio's header, and is never part of the bytes. A port says
 * in @accepts what it takes unfinished; net_send() finishes the rest in
 * software (net/offload.c), so a NIC may always leave the work to the host.
 *
 * Everything runs in the main thread with the machine lock held, but net_send()
 * may come from a vCPU's thread that holds the lock.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include "util/osdep.h"
#include "util/keyval.h"

typedef struct NetPort NetPort;
typedef struct NetBackend NetBackend;

enum {
    NET_HEADER = 14,                /* destination, source, type */
    NET_MAX_FRAME = 65536 + 64,     /* with the largest segmentable packet */
    NET_MAX_QUEUES = 256,           /* pairs of one card */
    NET_MAX_WAITING = 4 << 20,      /* bytes in one port's waiting list */
    NET_MAX_WAITING_FRAMES = 10000, /* ... and frames */
};

/* What a port takes unfinished. */
enum {
    NET_CSUM = 1 << 0, /* a checksum to complete */
    NET_TSO4 = 1 << 1, /* TCP over IPv4 to be cut into segments */
    NET_TSO6 = 1 << 2,
    NET_UFO = 1 << 3, /* UDP to be cut into fragments */
    NET_ECN = 1 << 4, /* TCP to be cut, with the CWR bit set */
    NET_OFFLOADS = NET_CSUM | NET_TSO4 | NET_TSO6 | NET_UFO | NET_ECN,
};

/* virtio 1.2, 5.1.6, without num_buffers. Byte order of the host. */
enum { NET_F_NEEDS_CSUM = 1, NET_F_DATA_VALID = 2 };
enum {
    NET_GSO_NONE = 0,
    NET_GSO_TCPV4 = 1,
    NET_GSO_UDP = 3,
    NET_GSO_TCPV6 = 4,
    NET_GSO_ECN = 0x80,
};

typedef struct NetOffload {
    uint8_t flags, gso_type;
    uint16_t hdr_len, gso_size, csum_start, csum_offset;
} NetOffload;

typedef struct NetFrame {
    const struct iovec *iov; /* from the Ethernet header on, without FCS */
    int n;
    unsigned queue; /* of a card with several; a hint for the receiver */
    NetOffload off;
} NetFrame;

/* What a card lets through: query-rx-filter. */
typedef enum NetRxState { NET_RX_NONE, NET_RX_NORMAL, NET_RX_ALL } NetRxState;

typedef struct NetRxFilter {
    bool promiscuous, broadcast_allowed;
    bool unicast_overflow, multicast_overflow;
    NetRxState unicast, multicast, vlan;
    uint8_t main_mac[6];
    GArray *unicast_table, *multicast_table; /* of uint8_t[6] */
    GArray *vlan_table;                      /* of uint16_t */
} NetRxFilter;
void net_rx_filter_free(NetRxFilter *f);

typedef struct NetPortOps {
    const char *type; /* "user", "tap", "nic" */
    /* Takes the frame, which it must not keep, or returns false: not now, the
     * sender keeps it and net_resume() will tell. NULL: eats everything. */
    bool (*receive)(NetPort *port, const NetFrame *f);
    /* Optional: after net_send() said false, the peer can take frames again. */
    void (*writable)(NetPort *port);
    /* Optional: the link at this end or the peer's changed. */
    void (*link_changed)(NetPort *port);
    /* Optional: peer->accepts changed, or there is another peer. */
    void (*peer_changed)(NetPort *port);
    /* Optional: cards only. The caller frees it with net_rx_filter_free(). */
    NetRxFilter *(*rx_filter)(NetPort *port);
    /* Optional: frees what the port has; the port itself is freed by
     * net_port_free(), when net_port_new() made it. */
    void (*close)(NetPort *port);
} NetPortOps;

typedef struct NetStats {
    uint64_t frames, bytes; /* sent by this port and taken by the peer */
    uint64_t dropped;       /* no peer, link down, no room */
} NetStats;

/* Sees every frame that @port sends or is sent: filter-dump. */
typedef struct NetTap {
    void (*frame)(struct NetTap *t, const NetFrame *f, bool from_port);
    void (*gone)(struct NetTap *t); /* the port is being freed */
    const char *type, *id;          /* for "info network" */
} NetTap;

struct NetPort {
    const NetPortOps *ops;
    char *id;
    char *info; /* what "info network" shows after the type */
    NetPort *peer;
    unsigned accepts; /* NET_CSUM ...: changed by net_set_accepts() */
    unsigned queues;  /* pairs, at least 1 */
    unsigned mtu;     /* of a card: the largest IP packet without offloads */
    bool link_down;
    bool is_nic, embedded;
    int hub;        /* number of the hub it belongs to; -1: none */
    uint8_t mac[6]; /* of a card: its default, for those that follow */
    GQueue waiting; /* of Waiting (net.c): frames the peer would not take yet */
    size_t waiting_bytes;
    bool draining, blocked;
    bool tapped;  /* the frame that was refused has been seen by the taps */
    GSList *taps; /* of NetTap */
    GPtrArray *list;
    NetStats stats;
};

/* What back ends may look at while they open. */
typedef struct NetEnv {
    GPtrArray *ports;     /* of NetPort, in order of creation */
    GHashTable *chardevs; /* id -> Chardev, for guestfwd; may be NULL */
} NetEnv;

struct NetBackend { /* -netdev NAME,... */
    const char *name;
    const char *help;
    NetPort *(*open)(const NetEnv *env, const char *id, KeyVal *options,
                     GError **errp);
};

/* In the order that -netdev help shows. */
extern const NetBackend *const net_backends[];

/* ---- ports --------------------------------------------------------------------- */

/* @size bytes that begin with a NetPort, zeroed. */
NetPort *net_port_new(size_t size, const NetPortOps *ops, const char *id);
/* For a NetPort inside a device. */
void net_port_init(NetPort *port, const NetPortOps *ops, const char *id);
void net_port_add(GPtrArray *ports, NetPort *port);
/* Unplugs it, drops what waits, calls close(), leaves its list. */
void net_port_free(NetPort *port);
NetPort *net_find(const GPtrArray *ports, const char *id);

/* "-netdev" text, or options already parsed ("type" is the back end's name).
 * The new port is the list's. */
NetPort *net_add_text(const NetEnv *env, const char *text, GError **errp);
NetPort *net_add(const NetEnv *env, KeyVal *options, GError **errp);
/* netdev_del: a back end by its id. */
bool net_del(GPtrArray *ports, const char *id, GError **errp);
void net_free_all(GPtrArray *ports);

/* Refuses by name a port that has a cable. */
bool net_connect(NetPort *a, NetPort *b, GError **errp);
void net_disconnect(NetPort *port);
/* A frame from @from to its peer. True: it is gone (or dropped: no peer, link
 * down). False: the peer is busy, keep it until ops->writable(). */
bool net_send(NetPort *from, const NetFrame *f);
/* As net_send(), but keeps a copy of what the peer would not take; drops when
 * too much waits. */
void net_send_queued(NetPort *from, const NetFrame *f);
void net_send_buf(NetPort *from, const void *buf, size_t len); /* queued */
/* @port can take frames again: drains what waits at its peer. */
void net_resume(NetPort *port);
/* What waits for @port, and at it, is forgotten (a NIC's reset). */
void net_purge(NetPort *port);
void net_set_accepts(NetPort *port, unsigned accepts);
/* A NIC's end goes with its back end's, as under QEMU. */
bool net_set_link(GPtrArray *ports, const char *id, bool up, GError **errp);
void net_add_tap(NetPort *port, NetTap *t);
void net_remove_tap(NetPort *port, NetTap *t);
/* The text of "info network". */
void net_print(const GPtrArray *ports, GString *out);
/* One warning for each port without a peer, as QEMU's. */
void net_warn_unconnected(const GPtrArray *ports);

/* ---- addresses ----------------------------------------------------------------- */

bool net_parse_mac(const char *text, uint8_t mac[6]);
void net_format_mac(const uint8_t mac[6], char out[18]);
/* 52:54:00:12:34:56 and the ones that follow it, not taken by a card in
 * @ports. */
void net_default_mac(const GPtrArray *ports, uint8_t mac[6]);

/* ---- host forwardings of the "user" back end ----------------------------------- */

/* @text: "tcp:[host]:port-[guest]:port". @id NULL: the only user back end. */
bool net_hostfwd_add(const GPtrArray *ports, const char *id, const char *text,
                     GError **errp);
/* @text: "tcp:[host]:port". False: there is no such rule, or no such port. */
bool net_hostfwd_remove(const GPtrArray *ports, const char *id,
                        const char *text, GError **errp);
/* The text of "info usernet". */
void net_usernet_print(const GPtrArray *ports, GString *out);

#endif
