/*
 * hubport: any number of ports share a hub, which repeats every frame to all
 * the others. -net makes hub 0.
 *
 * A hub takes everything unfinished; each cable finishes what its far end
 * cannot. A frame that comes while the hub is busy with another (an answer from
 * within the delivery) waits at its sender, so that all ports see one order.
 */
#include "util/osdep.h"
#include "net/hub.h"
#include "net/internal.h"

#include "util/error.h"

typedef struct HubPort {
    NetPort port;
    bool *busy; /* of the hub: shared by its ports, owned by the first */
    unsigned *users;
} HubPort;

static HubPort *hubport_of(NetPort *port)
{
    return container_of(port, HubPort, port);
}

static bool hub_receive(NetPort *port, const NetFrame *f)
{
    HubPort *from = hubport_of(port);
    GPtrArray *ports = port->list;

    if (*from->busy) {
        return false;
    }
    *from->busy = true;
    for (guint i = 0; i < ports->len; i++) {
        NetPort *other = ports->pdata[i];

        if (other != port && other->hub == port->hub && other->peer) {
            net_send_queued(other, f);
        }
    }
    *from->busy = false;
    for (guint i = 0; i < ports->len; i++) {
        NetPort *other = ports->pdata[i];

        if (other != port && other->hub == port->hub) {
            net_resume(other);
        }
    }
    return true;
}

static void hub_close(NetPort *port)
{
    HubPort *hp = hubport_of(port);

    if (--*hp->users == 0) {
        g_free(hp->busy);
        g_free(hp->users);
    }
}

static const NetPortOps hub_ops = {
    .type = "hubport",
    .receive = hub_receive,
    .close = hub_close,
};

NetPort *net_hub_add(GPtrArray *ports, unsigned hub, const char *id)
{
    HubPort *hp = (HubPort *)net_port_new(sizeof(HubPort), &hub_ops, id);

    hp->port.hub = (int)hub;
    hp->port.accepts = NET_OFFLOADS;
    net_set_info(&hp->port, "hubid=%u", hub);
    for (guint i = 0; i < ports->len && !hp->busy; i++) {
        NetPort *other = ports->pdata[i];

        if (other->hub == (int)hub) {
            hp->busy = hubport_of(other)->busy;
            hp->users = hubport_of(other)->users;
        }
    }
    if (!hp->busy) {
        hp->busy = g_new0(bool, 1);
        hp->users = g_new0(unsigned, 1);
    }
    ++*hp->users;
    return &hp->port;
}

static NetPort *hub_open(const NetEnv *env, const char *id, KeyVal *kv,
                         GError **errp)
{
    const char *netdev = keyval_get(kv, "netdev");
    NetPort *peer = NULL, *port;
    uint64_t hub;

    if (!keyval_get(kv, "hubid")) {
        error_setg(errp, "Parameter 'hubid' is missing");
        return NULL;
    }
    if (!keyval_u64(kv, "hubid", 0, &hub, errp)) {
        return NULL;
    }
    if (hub > INT32_MAX) {
        error_setg(errp, "hubid must be 0 to %d", INT32_MAX);
        return NULL;
    }
    if (netdev) {
        peer = net_find(env->ports, netdev);
        if (!peer || peer->is_nic) {
            error_setg(errp, "netdev '%s' not found", netdev);
            return NULL;
        }
        if (peer->hub >= 0) { /* frames would go round and round */
            error_setg(errp, "netdev '%s' cannot be another hubport", netdev);
            return NULL;
        }
    }
    port = net_hub_add(env->ports, (unsigned)hub, id);
    if (peer && !net_connect(port, peer, errp)) {
        g_prefix_error(errp, "netdev ");
        net_port_free(port);
        return NULL;
    }
    return port;
}

const NetBackend net_hub = {
    .name = "hubport",
    .help = "hubid=n[,netdev=id]",
    .open = hub_open,
};
