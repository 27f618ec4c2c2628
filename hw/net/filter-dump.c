/*
 * -object filter-dump: what goes over a cable, both ways, into a pcap file.
 *
 * Frames are written as they are handed over: TCP that the card leaves uncut is
 * one large packet, with the checksum the driver left.
 */
#include "util/osdep.h"
#include "system/object.h"

#include "net/net.h"
#include "net/pcap.h"
#include "util/error.h"

typedef struct FilterDump {
    Device dev;
    char *netdev, *file, *queue, *status;
    uint32_t maxlen;
    NetTap tap;
    NetPort *port; /* NULL: it is gone */
    Pcap *pcap;
    bool rx, tx; /* to the back end's peer; from it */
} FilterDump;

static void dump_frame(NetTap *t, const NetFrame *f, bool from_port)
{
    FilterDump *d = container_of(t, FilterDump, tap);

    if (from_port ? d->tx : d->rx) {
        pcap_write(d->pcap, f->iov, f->n);
    }
}

static void dump_gone(NetTap *t)
{
    container_of(t, FilterDump, tap)->port = NULL;
}

static bool dump_check(FilterDump *d, GError **errp)
{
    if (!d->netdev || !d->file) {
        error_setg(errp, "filter-dump: the %s parameter is missing",
                   d->netdev ? "'file'" : "'netdev'");
        return false;
    }
    d->port = net_find(d->dev.machine->netdevs, d->netdev);
    if (!d->port || d->port->is_nic) {
        error_setg(errp,
                   "filter-dump: a network backend with id '%s' is not "
                   "there",
                   d->netdev);
        return false;
    }
    if (!d->maxlen) {
        error_setg(errp, "filter-dump: maxlen must be 1 or more");
        return false;
    }
    /* As QEMU names them: rx is what the back end receives. */
    d->rx = strcmp(d->queue, "tx") != 0;
    d->tx = strcmp(d->queue, "rx") != 0;
    if (d->rx && d->tx && strcmp(d->queue, "all")) {
        error_setg(errp, "filter-dump: queue must be all, rx or tx, not '%s'",
                   d->queue);
        return false;
    }
    if (!strcmp(d->status, "off")) {
        d->rx = d->tx = false;
    }
    return true;
}

static bool dump_realize(Device *dev, GError **errp)
{
    FilterDump *d = container_of(dev, FilterDump, dev);

    if (!dump_check(d, errp)) {
        return false;
    }
    d->pcap = pcap_open(d->file, d->maxlen, errp);
    if (!d->pcap) {
        return false;
    }
    d->tap = (NetTap) { .frame = dump_frame,
                        .gone = dump_gone,
                        .type = "filter-dump",
                        .id = dev->id };
    net_add_tap(d->port, &d->tap);
    return true;
}

static void dump_unrealize(Device *dev)
{
    FilterDump *d = container_of(dev, FilterDump, dev);

    if (d->port) {
        net_remove_tap(d->port, &d->tap);
    }
    pcap_close(d->pcap);
}

static const Property dump_props[] = {
    { "netdev", PROP_STRING, offsetof(FilterDump, netdev), 0,
      "id of the -netdev whose frames are written" },
    { "file", PROP_STRING, offsetof(FilterDump, file), 0, "the capture file" },
    { "maxlen", PROP_U32, offsetof(FilterDump, maxlen), 65536,
      "bytes kept of each frame" },
    { "queue", PROP_STRING, offsetof(FilterDump, queue), (uintptr_t) "all",
      "rx: to the back end, tx: from it, all" },
    { "status", PROP_STRING, offsetof(FilterDump, status), (uintptr_t) "on",
      "off: nothing is written" },
    { .kind = PROP_END },
};

const DeviceClass filter_dump_object = {
    .name = "filter-dump",
    .desc = "Writes the frames of a network back end to a pcap file",
    .bus = OBJECT_BUS,
    .size = sizeof(FilterDump),
    .props = dump_props,
    .realize = dump_realize,
    .unrealize = dump_unrealize,
};
