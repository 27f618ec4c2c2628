/*
 * Frames into a capture file for tcpdump and wireshark: the classic pcap format
 * with microseconds, link type Ethernet.
 */
#ifndef NET_PCAP_H
#define NET_PCAP_H

#include "util/osdep.h"

typedef struct Pcap Pcap;

/* @maxlen: bytes kept of each frame. */
Pcap *pcap_open(const char *path, uint32_t maxlen, GError **errp);
/* Warns once when the disk is full, and writes no more. */
void pcap_write(Pcap *p, const struct iovec *iov, int n);
void pcap_close(Pcap *p);

#endif
