/*
 * Checksum completion, TCP segmentation, IP fragmentation. RFC 791, 793, 1071,
 * 8200; virtio 1.2, 5.1.6.2 for what a driver may leave undone.
 *
 * A frame that wants any of it is first copied into one piece: guests may
 * change their buffers while we look.
 */
#include "util/osdep.h"
#include "net/offload.h"

#include "util/bits.h"
#include "util/iov.h"

enum {
    ETH_P_IP = 0x0800,
    ETH_P_VLAN = 0x8100,
    ETH_P_QINQ = 0x88a8,
    ETH_P_IPV6 = 0x86dd,
    IPPROTO_TCP_ = 6,
    IPPROTO_UDP_ = 17,
    TCP_FIN = 0x01,
    TCP_SYN = 0x02,
    TCP_PSH = 0x08,
    TCP_CWR = 0x80,
    IP_MF = 0x2000,
    IP_OFFSET = 0x1fff,
};

/* ---- sums ---------------------------------------------------------------------- */

/* Words are added in host order, four accumulators wide: the folded sum of
 * swapped words is the swapped sum. */
uint64_t net_sum(const void *buf, size_t len)
{
    const uint8_t *p = buf;
    uint64_t sum = 0;

    for (; len >= 32; len -= 32, p += 32) {
        uint32_t w[8];

        memcpy(w, p, sizeof(w));
        sum += (uint64_t)w[0] + w[1] + w[2] + w[3];
        sum += (uint64_t)w[4] + w[5] + w[6] + w[7];
    }
    for (; len >= 2; len -= 2, p += 2) {
        uint16_t w;

        memcpy(&w, p, sizeof(w));
        sum += w;
    }
    if (len) {
        uint16_t w = 0;

        memcpy(&w, p, 1);
        sum += w;
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return GUINT16_FROM_BE((uint16_t)sum);
}

uint16_t net_sum_finish(uint64_t sum)
{
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return GUINT16_TO_BE((uint16_t)~sum);
}

static void put_sum(uint8_t *p, uint64_t sum)
{
    uint16_t v = net_sum_finish(sum);

    memcpy(p, &v, sizeof(v));
}

/* ---- headers -------------------------------------------------------------------- */

static bool parse_v4(const uint8_t *f, size_t len, NetHeaders *h)
{
    const uint8_t *ip = f + h->ip;
    size_t room = len - h->ip, hl, total;

    if (room < 20 || ip[0] >> 4 != 4) {
        return false;
    }
    hl = (size_t)(ip[0] & 15) * 4;
    total = ld_be16(ip + 2);
    if (hl < 20 || total < hl || total > room ||
        ld_be16(ip + 6) & (IP_MF | IP_OFFSET)) {
        return false;
    }
    h->l4 = h->ip + hl;
    h->end = h->ip + total;
    h->protocol = ip[9];
    return true;
}

static bool parse_v6(const uint8_t *f, size_t len, NetHeaders *h)
{
    const uint8_t *ip = f + h->ip;
    size_t room = len - h->ip, at = 40;
    uint8_t next;

    if (room < 40 || ip[0] >> 4 != 6 || ld_be16(ip + 4) > room - 40) {
        return false;
    }
    h->end = h->ip + 40 + ld_be16(ip + 4);
    next = ip[6];
    /* Hop-by-hop, routing and destination options only. */
    while (next == 0 || next == 43 || next == 60) {
        if (h->end - h->ip - at < 8) {
            return false;
        }
        next = ip[at];
        at += ((size_t)ip[at + 1] + 1) * 8;
        if (at > h->end - h->ip) {
            return false;
        }
    }
    h->l4 = h->ip + at;
    h->protocol = next;
    h->is_v6 = true;
    return true;
}

bool net_parse_headers(const uint8_t *f, size_t len, NetHeaders *h)
{
    size_t at = 12;
    unsigned type;

    memset(h, 0, sizeof(*h));
    if (len < NET_HEADER) {
        return false;
    }
    type = ld_be16(f + at);
    while (type == ETH_P_VLAN || type == ETH_P_QINQ) {
        at += 4;
        if (len < at + 2) {
            return false;
        }
        type = ld_be16(f + at);
    }
    h->ip = at + 2;
    if (!(type == ETH_P_IP     ? parse_v4(f, len, h)
          : type == ETH_P_IPV6 ? parse_v6(f, len, h)
                               : false)) {
        return false;
    }
    if (h->protocol == IPPROTO_TCP_) {
        if (h->end - h->l4 < 20) {
            return false;
        }
        h->tcp_len = (size_t)(f[h->l4 + 12] >> 4) * 4;
        return h->tcp_len >= 20 && h->tcp_len <= h->end - h->l4;
    }
    return h->protocol != IPPROTO_UDP_ || h->end - h->l4 >= 8;
}

size_t net_find_mss(const uint8_t *f, const NetHeaders *h)
{
    const uint8_t *tcp = f + h->l4;
    size_t at = 20;

    if (!h->tcp_len || !(tcp[13] & TCP_SYN)) {
        return 0;
    }
    while (at < h->tcp_len && tcp[at] != 0) {
        if (tcp[at] == 1) {
            at++;
            continue;
        }
        if (h->tcp_len - at < 2 || tcp[at + 1] < 2 ||
            tcp[at + 1] > h->tcp_len - at) {
            return 0;
        }
        if (tcp[at] == 2 && tcp[at + 1] == 4) {
            return h->l4 + at + 2;
        }
        at += tcp[at + 1];
    }
    return 0;
}

/* The pseudo header of TCP and UDP: addresses, protocol and length. */
static uint64_t pseudo_sum(const uint8_t *f, const NetHeaders *h, size_t l4_len)
{
    uint64_t sum =
        h->is_v6 ? net_sum(f + h->ip + 8, 32) : net_sum(f + h->ip + 12, 8);

    return sum + h->protocol + (l4_len >> 16) + (l4_len & 0xffff);
}

/* ---- what is left to do ----------------------------------------------------------- */

unsigned offload_needs(const NetOffload *off)
{
    unsigned needs = off->flags & NET_F_NEEDS_CSUM ? NET_CSUM : 0;

    switch (off->gso_type & ~NET_GSO_ECN) {
    case NET_GSO_NONE:
        return needs;
    case NET_GSO_TCPV4:
        needs |= NET_TSO4;
        break;
    case NET_GSO_TCPV6:
        needs |= NET_TSO6;
        break;
    default:
        needs |= NET_UFO;
        break;
    }
    return needs | (off->gso_type & NET_GSO_ECN ? NET_ECN : 0);
}

/* Completes the sum that begins at csum_start; the field holds the pseudo
 * header's already. */
static bool complete_csum(uint8_t *f, size_t len, const NetOffload *off)
{
    size_t start = off->csum_start, at = start + off->csum_offset;
    uint64_t sum;

    if (len < 2 || start >= len || at > len - 2) {
        return false;
    }
    sum = net_sum(f + start, len - start);
    put_sum(f + at, sum);
    /* UDP: zero says that there is none; at offset 6 it is UDP's. */
    if (off->csum_offset == 6 && ld_be16(f + at) == 0) {
        st_be16(f + at, 0xffff);
    }
    return true;
}

typedef struct Cut {
    const NetFrame *f;
    uint8_t *data;
    size_t len;
    NetHeaders h;
    OffloadEmit *emit;
    void *opaque;
} Cut;

static void cut_emit(const Cut *c, uint8_t *buf, size_t len)
{
    struct iovec iov = { buf, len };
    NetFrame out = { .iov = &iov,
                     .n = 1,
                     .queue = c->f->queue,
                     .off = { .flags = NET_F_DATA_VALID } };

    c->emit(c->opaque, &out);
}

static void set_ip_length(uint8_t *out, const NetHeaders *h, size_t len)
{
    uint8_t *ip = out + h->ip;

    if (h->is_v6) {
        st_be16(ip + 4, (unsigned)(len - h->ip - 40));
        return;
    }
    st_be16(ip + 2, (unsigned)(len - h->ip));
    st_be16(ip + 10, 0);
    put_sum(ip + 10, net_sum(ip, h->l4 - h->ip));
}

/* One TCP segment: @at bytes into the payload, @n bytes, the @index-th. */
static void cut_segment(const Cut *c, uint8_t *out, size_t at, size_t n,
                        unsigned index)
{
    const NetHeaders *h = &c->h;
    size_t head = h->l4 + h->tcp_len;
    uint8_t *tcp = out + h->l4;
    bool last = head + at + n == h->end;

    memcpy(out, c->data, head);
    memcpy(out + head, c->data + head + at, n);
    st_be32(tcp + 4, ld_be32(tcp + 4) + (uint32_t)at);
    if (!last) {
        tcp[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
    }
    if (index) {
        tcp[13] &= (uint8_t)~TCP_CWR;
        if (!h->is_v6) {
            st_be16(out + h->ip + 4, ld_be16(out + h->ip + 4) + index);
        }
    }
    set_ip_length(out, h, head + n);
    st_be16(tcp + 16, 0);
    put_sum(tcp + 16,
            net_sum(tcp, h->tcp_len + n) + pseudo_sum(out, h, h->tcp_len + n));
    cut_emit(c, out, head + n);
}

static bool cut_tcp(Cut *c)
{
    size_t mss = c->f->off.gso_size, head = c->h.l4 + c->h.tcp_len;
    size_t total = c->h.end - head, at = 0;
    g_autofree uint8_t *out = NULL;
    unsigned index = 0;

    if (!c->h.tcp_len || !mss) {
        return false;
    }
    out = g_malloc(head + MIN(mss, total));
    do {
        size_t n = MIN(mss, total - at);

        cut_segment(c, out, at, n, index++);
        at += n;
    } while (at < total);
    return true;
}

/* One fragment of the datagram that @c holds, finished but for its size. */
static void cut_fragment(const Cut *c, uint8_t *out, size_t at, size_t n)
{
    const NetHeaders *h = &c->h;
    uint8_t *ip = out + h->ip;
    bool more = h->l4 + at + n < h->end;

    memcpy(out, c->data, h->l4);
    memcpy(out + h->l4, c->data + h->l4 + at, n);
    st_be16(ip + 6, (unsigned)(at / 8) | (more ? IP_MF : 0));
    set_ip_length(out, h, h->l4 + n);
    cut_emit(c, out, h->l4 + n);
}

/* UDP (or anything else that has no ports) over IPv4. gso_size is the payload of
 * an IP fragment. */
static bool cut_ip(Cut *c)
{
    size_t step = c->f->off.gso_size & ~7u, total = c->h.end - c->h.l4;
    g_autofree uint8_t *out = NULL;

    if (c->h.protocol == IPPROTO_TCP_ || c->h.is_v6 || !step) {
        return false;
    }
    out = g_malloc(c->h.l4 + MIN(step, total));
    for (size_t at = 0; at < total; at += MIN(step, total - at)) {
        cut_fragment(c, out, at, MIN(step, total - at));
    }
    return true;
}

bool offload_finish(const NetFrame *f, unsigned accepts, OffloadEmit *emit,
                    void *opaque)
{
    size_t len = iov_size(f->iov, f->n);
    unsigned needs = offload_needs(&f->off) & ~accepts;
    g_autofree uint8_t *data = NULL;
    Cut c = { .f = f, .emit = emit, .opaque = opaque, .len = len };
    NetFrame whole = *f;
    struct iovec iov;

    if (len > NET_MAX_FRAME) {
        return false;
    }
    c.data = data = g_malloc(len);
    c.len = iov_to_buf(f->iov, f->n, 0, data, len);
    /* ECN alone: who cuts without knowing it repeats CWR, so do it here. */
    if (needs & (NET_TSO4 | NET_TSO6 | NET_ECN)) {
        return net_parse_headers(data, len, &c.h) && cut_tcp(&c);
    }
    if (f->off.flags & NET_F_NEEDS_CSUM && !complete_csum(data, len, &f->off)) {
        return false;
    }
    if (needs & NET_UFO) {
        return net_parse_headers(data, len, &c.h) && cut_ip(&c);
    }
    iov = (struct iovec) { data, len };
    whole.iov = &iov;
    whole.n = 1;
    whole.off.flags = NET_F_DATA_VALID;
    emit(opaque, &whole);
    return true;
}
