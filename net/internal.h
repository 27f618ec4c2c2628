/* What the back ends share among themselves. */
#ifndef NET_INTERNAL_H
#define NET_INTERNAL_H

#include <netinet/in.h>
#include <sys/socket.h>
#include "net/net.h"

extern const NetBackend net_user, net_tap, net_socket, net_stream, net_dgram,
    net_hub;

/* ---- options ------------------------------------------------------------------- */

/* All values of a key that may come more than once: "k=a,k=b", "k.0=a",
 * "k.0.str=a" (JSON). Of const char *. */
GPtrArray *net_option_list(KeyVal *kv, const char *key);
/* The number of an open descriptor; -1 and no error: not given. */
bool net_option_fd(KeyVal *kv, const char *key, int *fd, GError **errp);
void net_set_info(NetPort *port, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* ---- socket addresses ---------------------------------------------------------- */

typedef struct NetAddr {
    struct sockaddr_storage ss;
    socklen_t len;
} NetAddr;

/* "host:port", "[::1]:port", ":port" */
bool net_resolve_pair(const char *text, int type, bool passive, NetAddr *out,
                      GError **errp);
/* "127.0.0.1:1234"; g_free() it. */
char *net_addr_text(const NetAddr *addr);
/* Options addr.type=inet|unix|fd and what belongs to it, under @prefix. *@fd is
 * -1 unless the caller brought a socket. */
bool net_option_addr(KeyVal *kv, const char *prefix, int type, bool passive,
                     NetAddr *out, int *fd, GError **errp);
/* "which process has it": " by pid 12 (nginx)", or "" when nobody can tell. */
char *net_port_owner(const NetAddr *addr, int type);

/* ---- frames over a byte stream: a 32-bit length before each --------------------- */

typedef struct NetStream {
    NetPort port;
    int listen_fd, fd; /* -1: none */
    unsigned listen_watch, in_watch, out_watch;
    bool is_server;
    char *unix_path; /* to remove at the end */
    GByteArray *in;
    GByteArray *out; /* the rest of a frame that was written in part */
    void (*state_changed)(struct NetStream *s, const NetAddr *peer);
} NetStream;

void net_stream_init(NetStream *s);
/* Listens or connects; makes the watches. */
bool net_stream_listen(NetStream *s, const NetAddr *addr, GError **errp);
bool net_stream_connect(NetStream *s, const NetAddr *addr, GError **errp);
void net_stream_use_fd(NetStream *s, int fd, bool is_listening);
bool net_stream_receive(NetPort *port, const NetFrame *f);
void net_stream_writable(NetPort *port);
void net_stream_close(NetPort *port);

/* ---- frames over datagrams ------------------------------------------------------- */

typedef struct NetDgram {
    NetPort port;
    int fd;
    unsigned in_watch;
    NetAddr dest; /* len 0: connected already */
    /* Multicast comes back to its sender, or machines of one host could not
     * hear each other. So it is sent from a socket of its own, by whose address
     * it is known. len 0: none. */
    int send_fd;
    NetAddr own;
    char *unix_path;
} NetDgram;

void net_dgram_start(NetDgram *d, int fd);
bool net_dgram_receive(NetPort *port, const NetFrame *f);
void net_dgram_writable(NetPort *port);
void net_dgram_close(NetPort *port);
int net_dgram_bind(const NetAddr *addr, bool reuse, GError **errp);
/* @local NULL: any interface. */
int net_dgram_mcast(const NetAddr *group, const struct in_addr *local,
                    GError **errp);
/* With the group in @dest. */
void net_dgram_mcast_sender(NetDgram *d, const struct in_addr *local);

#endif
