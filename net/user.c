/*
 * user: a private network for the guest inside this process, through libslirp.
 * The guest's connections become sockets of ours; no privileges are needed.
 *
 * Speed comes from frames as large as IP allows. libslirp takes the guest's
 * unsegmented TCP as it is. The other way it would send what the guest's SYN
 * asks for, so while the card takes unsegmented TCP we raise the segment size
 * in that SYN, and mark what comes as segments for the card to be left uncut.
 */
#include "util/osdep.h"
#if CONFIG_LIBSLIRP
#include "net/user.h"

#include <arpa/inet.h>
#include "net/offload.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/iov.h"
#include "util/log.h"

enum {
    USER_MTU = 65521, /* libslirp's IF_MTU_MAX */
    USER_MSS = USER_MTU - 40,
    IPPROTO_TCP_ = 6,
};

/* ---- to the guest ------------------------------------------------------------------- */

/* TCP larger than the guest's packets: to be cut, or not, by the card. */
static void mark_tcp(UserPort *u, const NetHeaders *h, uint8_t *head,
                     NetFrame *f)
{
    unsigned mss = u->port.peer->mtu - (h->is_v6 ? 60 : 40);
    uint8_t *sum = head + h->l4 + 16;
    size_t l4_len = h->end - h->l4;
    uint64_t pseudo = h->is_v6 ? net_sum(head + h->ip + 8, 32)
                               : net_sum(head + h->ip + 12, 8);

    pseudo += IPPROTO_TCP_ + (l4_len >> 16) + (l4_len & 0xffff);
    st_be16(sum, (uint16_t)~GUINT16_FROM_BE(net_sum_finish(pseudo)));
    f->off = (NetOffload) {
        .flags = NET_F_NEEDS_CSUM,
        .gso_type = h->is_v6 ? NET_GSO_TCPV6 : NET_GSO_TCPV4,
        .hdr_len = (uint16_t)(h->l4 + h->tcp_len),
        .gso_size = (uint16_t)mss,
        .csum_start = (uint16_t)h->l4,
        .csum_offset = 16,
    };
}

static void emit_fragment(void *opaque, const NetFrame *f)
{
    net_send_queued(opaque, f);
}

static void send_large(UserPort *u, const uint8_t *buf, size_t len)
{
    uint8_t head[128];
    struct iovec iov[2] = { { (void *)buf, len } };
    NetFrame f = { .iov = iov, .n = 1 };
    NetHeaders h;

    if (!net_parse_headers(buf, len, &h)) {
        net_send_queued(&u->port, &f);
        return;
    }
    if (h.tcp_len && h.l4 + h.tcp_len <= sizeof(head)) {
        size_t n = h.l4 + h.tcp_len;

        memcpy(head, buf, n);
        mark_tcp(u, &h, head, &f);
        iov[0] = (struct iovec) { head, n };
        iov[1] = (struct iovec) { (void *)(buf + n), len - n };
        f.n = 2;
        net_send_queued(&u->port, &f);
    } else if (!h.is_v6) {
        f.off.gso_type = NET_GSO_UDP;
        f.off.gso_size = (uint16_t)(u->port.peer->mtu - (h.l4 - h.ip));
        offload_finish(&f, 0, emit_fragment, &u->port);
    } else {
        net_send_queued(&u->port, &f);
    }
}

static ssize_t user_send_packet(const void *buf, size_t len, void *opaque)
{
    UserPort *u = opaque;
    struct iovec iov = { (void *)buf, len };
    NetFrame f = { .iov = &iov, .n = 1, .off.flags = NET_F_DATA_VALID };

    if (u->port.peer && len > NET_HEADER + u->port.peer->mtu) {
        send_large(u, buf, len);
    } else {
        net_send_queued(&u->port, &f);
    }
    return (ssize_t)len;
}

/* ---- from the guest ------------------------------------------------------------------ */

/* The segment size that a SYN names, raised to @mss; its checksum follows. */
static void raise_mss(uint8_t *frame, const NetHeaders *h, unsigned mss)
{
    size_t at = net_find_mss(frame, h);
    uint8_t *sum = frame + h->l4 + 16;
    uint32_t v;

    if (!at || ld_be16(frame + at) >= mss) {
        return;
    }
    /* RFC 1624: HC' = ~(~HC + ~m + m'). An odd place swaps the bytes. */
    v = (uint16_t)~ld_be16(sum);
    if ((at - h->l4) & 1) {
        v += (uint16_t)~GUINT16_SWAP_LE_BE(ld_be16(frame + at));
        v += GUINT16_SWAP_LE_BE((uint16_t)mss);
    } else {
        v += (uint16_t)~ld_be16(frame + at);
        v += mss;
    }
    st_be16(frame + at, (uint16_t)mss);
    v = (v & 0xffff) + (v >> 16);
    v = (v & 0xffff) + (v >> 16);
    st_be16(sum, (uint16_t)~v);
}

/* Says once why pings beyond the virtual host fail. */
static void check_ping(UserPort *u, const uint8_t *frame, const NetHeaders *h)
{
    int fd;

    if (u->ping_checked || h->is_v6 || h->protocol != IPPROTO_ICMP ||
        !memcmp(frame + h->ip + 16, &u->host, 4)) {
        return;
    }
    u->ping_checked = true;
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP);
    if (fd < 0) {
        fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
    }
    if (fd >= 0) {
        close(fd);
        return;
    }
    info_report(
        "netdev %s: the guest pings, which the host does not let us "
        "do; as root: sysctl net.ipv4.ping_group_range=\"0 2147483647\"",
        u->port.id);
}

static bool user_receive(NetPort *port, const NetFrame *f)
{
    UserPort *u = container_of(port, UserPort, port);
    size_t len = iov_size(f->iov, f->n);
    g_autofree uint8_t *copy = NULL;
    uint8_t small[2048], *buf = small;
    NetHeaders h;

    if (len > NET_MAX_FRAME) {
        return true;
    }
    if (f->n == 1 && len > sizeof(small)) {
        buf = f->iov[0].iov_base; /* libslirp copies it at once */
    } else {
        if (len > sizeof(small)) {
            copy = g_malloc(len);
            buf = copy;
        }
        len = iov_to_buf(f->iov, f->n, 0, buf, len);
    }
    if (len <= 256 && net_parse_headers(buf, len, &h)) {
        check_ping(u, buf, &h);
        if (port->peer->accepts & (h.is_v6 ? NET_TSO6 : NET_TSO4)) {
            raise_mss(buf, &h, USER_MSS - (h.is_v6 ? 20 : 0));
        }
    }
    slirp_input(u->slirp, buf, (int)len);
    if (u->guestfwds->len) { /* a connection may be there now */
        user_resume_guestfwds(u);
    }
    return true;
}

static void user_close(NetPort *port)
{
    UserPort *u = container_of(port, UserPort, port);

    user_free_guestfwds(u);
    if (u->slirp) {
        slirp_cleanup(u->slirp);
    }
    user_poll_stop(u);
}

static const NetPortOps user_ops = {
    .type = "user",
    .receive = user_receive,
    .close = user_close,
};

UserPort *user_of(NetPort *port)
{
    return port->ops == &user_ops ? container_of(port, UserPort, port) : NULL;
}

static void user_guest_error(const char *msg, void *opaque)
{
    log_mask(LOG_GUEST_ERROR, "net user: %s\n", msg);
}

static const SlirpCb user_callbacks = {
    .send_packet = user_send_packet,
    .guest_error = user_guest_error,
    .clock_get_ns = user_clock_ns,
    .timer_new = user_timer_new,
    .timer_free = user_timer_free,
    .timer_mod = user_timer_mod,
    .register_poll_fd = user_register_fd,
    .unregister_poll_fd = user_unregister_fd,
    .notify = user_notify,
};

/* ---- options --------------------------------------------------------------------------- */

static bool get_v4(KeyVal *kv, const char *key, struct in_addr *out,
                   GError **errp)
{
    const char *text = keyval_get(kv, key);

    if (text && inet_pton(AF_INET, text, out) != 1) {
        error_setg(errp, "Parameter '%s' expects an IPv4 address, not '%s'",
                   key, text);
        return false;
    }
    return true;
}

static bool get_v6(KeyVal *kv, const char *key, struct in6_addr *out,
                   GError **errp)
{
    const char *text = keyval_get(kv, key);

    if (text && inet_pton(AF_INET6, text, out) != 1) {
        error_setg(errp, "Parameter '%s' expects an IPv6 address, not '%s'",
                   key, text);
        return false;
    }
    return true;
}

/* "10.0.2.0/24", "10.0.2.0/255.255.255.0"; without a mask the class's. */
static bool parse_net(const char *text, struct in_addr *net,
                      struct in_addr *mask, GError **errp)
{
    g_auto(GStrv) part = g_strsplit(text, "/", 2);
    uint64_t bits = 24;
    uint32_t m;

    if (inet_pton(AF_INET, part[0], net) != 1) {
        goto bad;
    }
    if (!part[1]) {
        uint32_t a = ntohl(net->s_addr);

        bits = a < 0x80000000u ? 8 : a < 0xc0000000u ? 16 : 24;
    } else if (inet_pton(AF_INET, part[1], mask) == 1) {
        m = ntohl(mask->s_addr);
        if (~m & (~m + 1)) {
            goto bad;
        }
        bits = (uint64_t)__builtin_popcount(m);
    } else if (!parse_u64(part[1], &bits, NULL)) {
        goto bad;
    }
    if (bits < 4 || bits > 29) {
        error_setg(errp, "net=%s: the mask must have 4 to 29 bits", text);
        return false;
    }
    m = ~UINT32_C(0) << (32 - bits);
    mask->s_addr = htonl(m);
    net->s_addr &= mask->s_addr;
    return true;
bad:
    error_setg(errp, "net=%s: must be address/bits, as in 10.0.2.0/24", text);
    return false;
}

static bool in_net(const SlirpConfig *c, struct in_addr a)
{
    return ((a.s_addr ^ c->vnetwork.s_addr) & c->vnetmask.s_addr) == 0 &&
           (a.s_addr & ~c->vnetmask.s_addr) != 0 &&
           (a.s_addr | c->vnetmask.s_addr) != UINT32_MAX;
}

static bool read_v4(KeyVal *kv, SlirpConfig *c, GError **errp)
{
    const char *net = keyval_get(kv, "net");
    uint32_t n, size;

    if (!parse_net(net ? net : "10.0.2.0/24", &c->vnetwork, &c->vnetmask,
                   errp)) {
        return false;
    }
    n = ntohl(c->vnetwork.s_addr);
    size = ~ntohl(c->vnetmask.s_addr);
    c->vhost.s_addr = htonl(n + 2);
    c->vnameserver.s_addr = htonl(n + 3);
    c->vdhcp_start.s_addr = htonl(n + (size > 31 ? 15 : 4));
    if (!get_v4(kv, "host", &c->vhost, errp) ||
        !get_v4(kv, "dns", &c->vnameserver, errp) ||
        !get_v4(kv, "dhcpstart", &c->vdhcp_start, errp)) {
        return false;
    }
    if (!in_net(c, c->vhost) || !in_net(c, c->vnameserver) ||
        !in_net(c, c->vdhcp_start)) {
        error_setg(errp, "host=, dns= and dhcpstart= must be addresses of the "
                         "network net=");
        return false;
    }
    if (c->vhost.s_addr == c->vnameserver.s_addr ||
        c->vdhcp_start.s_addr == c->vhost.s_addr ||
        c->vdhcp_start.s_addr == c->vnameserver.s_addr) {
        error_setg(errp, "host=, dns= and dhcpstart= must differ");
        return false;
    }
    return true;
}

static bool read_v6(KeyVal *kv, SlirpConfig *c, GError **errp)
{
    const char *net = keyval_get(kv, "ipv6-net");
    g_auto(GStrv) part = g_strsplit(net ? net : "fec0::/64", "/", 2);
    uint64_t len = 64;

    if (inet_pton(AF_INET6, part[0], &c->vprefix_addr6) != 1 ||
        (part[1] && !parse_u64(part[1], &len, NULL))) {
        error_setg(errp, "ipv6-net=%s: must be prefix/bits, as in fec0::/64",
                   net);
        return false;
    }
    if (!get_v6(kv, "ipv6-prefix", &c->vprefix_addr6, errp) ||
        !keyval_u64(kv, "ipv6-prefixlen", len, &len, errp)) {
        return false;
    }
    if (len > 126) {
        error_setg(errp, "the IPv6 prefix must have 0 to 126 bits");
        return false;
    }
    c->vprefix_len = (uint8_t)len;
    c->vhost6 = c->vnameserver6 = c->vprefix_addr6;
    c->vhost6.s6_addr[15] |= 2;
    c->vnameserver6.s6_addr[15] |= 3;
    return get_v6(kv, "ipv6-host", &c->vhost6, errp) &&
           get_v6(kv, "ipv6-dns", &c->vnameserver6, errp);
}

static bool read_names(KeyVal *kv, SlirpConfig *c, GError **errp)
{
    const char *text = keyval_get(kv, "hostname");

    if (text && strlen(text) > 254) {
        error_setg(errp, "hostname is too long (at most 254 bytes)");
        return false;
    }
    c->vhostname = text;
    c->vdomainname = keyval_get(kv, "domainname");
    c->tftp_path = keyval_get(kv, "tftp");
    c->bootfile = keyval_get(kv, "bootfile");
    c->tftp_server_name = keyval_get(kv, "tftp-server-name");
    if (c->vdomainname && (!*c->vdomainname || strlen(c->vdomainname) > 254)) {
        error_setg(errp, "domainname must have 1 to 254 bytes");
        return false;
    }
    if (c->tftp_path && !g_file_test(c->tftp_path, G_FILE_TEST_IS_DIR)) {
        error_setg(errp, "tftp=%s: no such directory", c->tftp_path);
        return false;
    }
    if ((c->bootfile && strlen(c->bootfile) > 127) ||
        (c->tftp_server_name && strlen(c->tftp_server_name) > 255)) {
        error_setg(errp, "bootfile can have at most 127 bytes, "
                         "tftp-server-name 255");
        return false;
    }
    if (keyval_get(kv, "smb") || keyval_get(kv, "smbserver")) {
        error_setg(errp, "smb= is not supported; forward to a server of yours "
                         "with guestfwd=, or use tftp=");
        return false;
    }
    return true;
}

static bool read_families(KeyVal *kv, SlirpConfig *c, GError **errp)
{
    bool v4_given = keyval_get(kv, "ipv4"), v6_given = keyval_get(kv, "ipv6");

    if (!keyval_bool(kv, "ipv4", true, &c->in_enabled, errp) ||
        !keyval_bool(kv, "ipv6", true, &c->in6_enabled, errp)) {
        return false;
    }
    /* One family asked for means only that one. */
    if (v4_given && c->in_enabled && !v6_given) {
        c->in6_enabled = false;
    } else if (v6_given && c->in6_enabled && !v4_given) {
        c->in_enabled = false;
    }
    if (!c->in_enabled && !c->in6_enabled) {
        error_setg(errp, "IPv4 and IPv6 disabled");
        return false;
    }
    return true;
}

static bool add_forwards(UserPort *u, KeyVal *kv, const NetEnv *env,
                         GError **errp)
{
    g_autoptr(GPtrArray) hostfwd = net_option_list(kv, "hostfwd");
    g_autoptr(GPtrArray) guestfwd = net_option_list(kv, "guestfwd");

    for (guint i = 0; i < hostfwd->len; i++) {
        if (!user_add_hostfwd(u, hostfwd->pdata[i], errp)) {
            return false;
        }
    }
    for (guint i = 0; i < guestfwd->len; i++) {
        if (!user_add_guestfwd(u, guestfwd->pdata[i], env, errp)) {
            return false;
        }
    }
    return true;
}

static NetPort *user_open(const NetEnv *env, const char *id, KeyVal *kv,
                          GError **errp)
{
    g_autoptr(GPtrArray) search = net_option_list(kv, "dnssearch");
    SlirpConfig c = { .version = 1, .if_mtu = USER_MTU, .if_mru = USER_MTU };
    char net[INET_ADDRSTRLEN];
    bool restricted;
    UserPort *u;

    if (!keyval_bool(kv, "restrict", false, &restricted, errp) ||
        !read_families(kv, &c, errp) || !read_v4(kv, &c, errp) ||
        !read_v6(kv, &c, errp) || !read_names(kv, &c, errp)) {
        return NULL;
    }
    c.restricted = restricted;
    g_ptr_array_add(search, NULL);
    c.vdnssearch = search->len > 1 ? (const char **)search->pdata : NULL;
    u = (UserPort *)net_port_new(sizeof(*u), &user_ops, id);
    u->port.accepts = NET_TSO4 | NET_TSO6 | NET_UFO | NET_ECN;
    u->guestfwds = g_ptr_array_new();
    u->net = c.vnetwork;
    u->mask = c.vnetmask;
    u->host = c.vhost;
    u->dhcp_start = c.vdhcp_start;
    u->slirp = slirp_new(&c, &user_callbacks, u);
    if (!u->slirp) {
        error_setg(errp, "libslirp refused the configuration");
        net_port_free(&u->port);
        return NULL;
    }
    user_poll_start(u);
    inet_ntop(AF_INET, &u->net, net, sizeof(net));
    net_set_info(&u->port, "net=%s,restrict=%s", net,
                 restricted ? "on" : "off");
    if (!add_forwards(u, kv, env, errp)) {
        net_port_free(&u->port);
        return NULL;
    }
    return &u->port;
}

const NetBackend net_user = {
    .name = "user",
    .help = "net=addr/bits,host=,dhcpstart=,dns=,hostname=,domainname=,"
            "dnssearch=,restrict=on|off,ipv4=,ipv6=,ipv6-net=prefix/bits,"
            "ipv6-host=,ipv6-dns=,tftp=dir,bootfile=,tftp-server-name=,"
            "hostfwd=tcp|udp:[host]:port-[guest]:port,"
            "guestfwd=tcp:server:port-dev|cmd:command",
    .open = user_open,
};
#endif
