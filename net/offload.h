/*
 * In software what a network card does with a frame that is not finished: the
 * checksum, and cutting TCP into segments and UDP into fragments.
 *
 * Frames come from guests and are hostile: one whose headers do not hold what
 * its NetOffload says is dropped. Any thread.
 */
#ifndef NET_OFFLOAD_H
#define NET_OFFLOAD_H

#include "net/net.h"

/* NET_CSUM, NET_TSO4 ...: what is left to do. */
unsigned offload_needs(const NetOffload *off);

typedef void OffloadEmit(void *opaque, const NetFrame *f);
/* Calls @emit with one or more frames that a port which takes @accepts takes.
 * False: the frame made no sense, nothing was emitted. */
bool offload_finish(const NetFrame *f, unsigned accepts, OffloadEmit *emit,
                    void *opaque);

/* Sum of 16-bit words in network order, not folded; an odd last byte counts as
 * the high half of a word. RFC 1071. */
uint64_t net_sum(const void *buf, size_t len);
/* Folded and complemented, in network byte order as stored in a header. */
uint16_t net_sum_finish(uint64_t sum);

/* Where the headers of an IP packet are, in bytes from the frame's start. */
typedef struct NetHeaders {
    bool is_v6;
    size_t ip, l4;    /* of the IP header; of what it carries */
    size_t end;       /* of the IP packet, at most the frame's */
    uint8_t protocol; /* 6: TCP, 17: UDP */
    size_t tcp_len;   /* of a TCP header, with options; else 0 */
} NetHeaders;

/* False: not IP, cut short, or a fragment. */
bool net_parse_headers(const uint8_t *frame, size_t len, NetHeaders *h);
/* The segment size option of a TCP SYN: its offset in the frame, or 0. */
size_t net_find_mss(const uint8_t *frame, const NetHeaders *h);

#endif
