/*
 * Network cables: two ports, a NIC at one end and a backend (user, tap,
 * socket, dump, hub) at the other. Both ends are the same type.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include "util/osdep.h"

typedef struct NetPort NetPort;

typedef struct NetPortOps {
    const char *type;
    bool (*can_receive)(NetPort *port);
    /* Bytes taken; 0: not now, keep the packet and try on net_resume(). */
    ssize_t (*receive)(NetPort *port, const struct iovec *iov, int n);
    void (*link_changed)(NetPort *port);
    void (*close)(NetPort *port);
} NetPortOps;

struct NetPort { /* embedded in the NIC or the backend */
    const NetPortOps *ops;
    char *id;
    NetPort *peer;
    bool link_down;
    GQueue waiting; /* packets the peer would not take yet */
};

typedef struct NetBackend { /* -netdev NAME,... */
    const char *name;
    NetPort *(*open)(const char *id, GHashTable *options, GError **errp);
} NetBackend;

extern const NetBackend *const net_backends[];

bool net_connect(NetPort *a, NetPort *b, GError **errp);
void net_send(NetPort *from, const struct iovec *iov, int n);
void net_resume(NetPort *port); /* can take packets again: drain the queue */

#endif
