/*
 * Ports and what goes from one to the other.
 *
 * A frame is delivered at once, by a call into the peer. When the peer is busy
 * the port is "blocked" until net_resume() of the peer; the sender keeps the
 * frame, or net_send_queued() keeps a copy of it in @waiting. Both lists of
 * frames are bounded: back ends and guests are not to be trusted with our
 * memory.
 */
#include "util/osdep.h"
#include "net/internal.h"

#include "net/offload.h"
#include "util/error.h"
#include "util/iov.h"
#include "util/keyval.h"
#include "util/log.h"
#include "util/nearest.h"

typedef struct Waiting {
    unsigned queue;
    bool tapped;
    NetOffload off;
    size_t len;
    uint8_t data[];
} Waiting;

/* ---- ports --------------------------------------------------------------------- */

void net_port_init(NetPort *port, const NetPortOps *ops, const char *id)
{
    memset(port, 0, sizeof(*port));
    port->ops = ops;
    port->id = g_strdup(id);
    port->queues = 1;
    port->mtu = 1500;
    port->embedded = true;
    port->hub = -1;
    g_queue_init(&port->waiting);
}

NetPort *net_port_new(size_t size, const NetPortOps *ops, const char *id)
{
    NetPort *port = g_malloc0(size);

    net_port_init(port, ops, id);
    port->embedded = false;
    return port;
}

void net_port_add(GPtrArray *ports, NetPort *port)
{
    port->list = ports;
    g_ptr_array_add(ports, port);
}

void net_set_info(NetPort *port, const char *fmt, ...)
{
    va_list ap;

    g_free(port->info);
    va_start(ap, fmt);
    port->info = g_strdup_vprintf(fmt, ap);
    va_end(ap);
}

static void drop_waiting(NetPort *port)
{
    Waiting *w;

    while ((w = g_queue_pop_head(&port->waiting))) {
        port->stats.dropped++;
        g_free(w);
    }
    port->waiting_bytes = 0;
    port->blocked = port->tapped = false;
}

void net_purge(NetPort *port)
{
    drop_waiting(port);
    if (port->peer) {
        drop_waiting(port->peer);
    }
}

void net_port_free(NetPort *port)
{
    while (port->taps) {
        NetTap *t = port->taps->data;

        net_remove_tap(port, t);
        t->gone(t);
    }
    net_disconnect(port);
    if (port->ops->close) {
        port->ops->close(port);
    }
    drop_waiting(port);
    if (port->list) {
        g_ptr_array_remove(port->list, port);
    }
    g_clear_pointer(&port->id, g_free);
    g_clear_pointer(&port->info, g_free);
    if (!port->embedded) {
        g_free(port);
    }
}

NetPort *net_find(const GPtrArray *ports, const char *id)
{
    for (guint i = 0; i < ports->len; i++) {
        NetPort *port = ports->pdata[i];

        if (!strcmp(port->id, id)) {
            return port;
        }
    }
    return NULL;
}

static void tell_peer_changed(NetPort *port)
{
    if (port->ops->peer_changed) {
        port->ops->peer_changed(port);
    }
}

bool net_connect(NetPort *a, NetPort *b, GError **errp)
{
    for (int i = 0; i < 2; i++) {
        const NetPort *p = i ? b : a;

        if (p->peer) {
            error_setg(errp, "'%s' is in use by '%s'", p->id, p->peer->id);
            return false;
        }
    }
    a->peer = b;
    b->peer = a;
    tell_peer_changed(a);
    tell_peer_changed(b);
    return true;
}

void net_disconnect(NetPort *port)
{
    NetPort *peer = port->peer;

    if (!peer) {
        return;
    }
    net_purge(port);
    port->peer = peer->peer = NULL;
    tell_peer_changed(port);
    tell_peer_changed(peer);
}

void net_set_accepts(NetPort *port, unsigned accepts)
{
    if (port->accepts != accepts) {
        port->accepts = accepts;
        if (port->peer) {
            tell_peer_changed(port->peer);
        }
    }
}

void net_add_tap(NetPort *port, NetTap *t)
{
    port->taps = g_slist_append(port->taps, t);
}

void net_remove_tap(NetPort *port, NetTap *t)
{
    port->taps = g_slist_remove(port->taps, t);
}

void net_rx_filter_free(NetRxFilter *f)
{
    if (f) {
        g_array_unref(f->unicast_table);
        g_array_unref(f->multicast_table);
        g_array_unref(f->vlan_table);
        g_free(f);
    }
}

/* ---- sending --------------------------------------------------------------------- */

static void run_taps(const NetPort *port, const NetFrame *f, bool from_port)
{
    for (const GSList *l = port->taps; l; l = l->next) {
        NetTap *t = l->data;

        t->frame(t, f, from_port);
    }
}

static void enqueue(NetPort *from, const NetFrame *f, bool tapped)
{
    size_t len = iov_size(f->iov, f->n);
    Waiting *w;

    if (from->waiting.length >= NET_MAX_WAITING_FRAMES ||
        len > NET_MAX_WAITING - from->waiting_bytes) {
        from->stats.dropped++;
        return;
    }
    w = g_malloc(sizeof(*w) + len);
    w->queue = f->queue;
    w->tapped = tapped;
    w->off = f->off;
    w->len = len;
    iov_to_buf(f->iov, f->n, 0, w->data, len);
    from->waiting_bytes += len;
    g_queue_push_tail(&from->waiting, w);
}

/* To the peer, which takes the frame as it is. */
static bool hand_over(NetPort *from, const NetFrame *f)
{
    NetPort *to = from->peer;

    if (to->ops->receive && !to->ops->receive(to, f)) {
        from->blocked = true;
        return false;
    }
    from->stats.frames++;
    from->stats.bytes += iov_size(f->iov, f->n);
    return true;
}

/* A frame that software has finished. */
static void emit_finished(void *opaque, const NetFrame *f)
{
    NetPort *from = opaque;

    if (!from->peer || from->blocked || from->waiting.length ||
        !hand_over(from, f)) {
        enqueue(from, f, true);
    }
}

static bool deliver(NetPort *from, const NetFrame *f, bool tapped)
{
    NetPort *to = from->peer;

    if (!to || from->link_down || to->link_down) {
        from->stats.dropped++;
        return true;
    }
    if (from->taps && !tapped) {
        run_taps(from, f, true);
    }
    if (to->taps && !tapped) {
        run_taps(to, f, false);
    }
    if (offload_needs(&f->off) & ~to->accepts) {
        if (!offload_finish(f, to->accepts, emit_finished, from)) {
            from->stats.dropped++;
        }
        return true;
    }
    return hand_over(from, f);
}

bool net_send(NetPort *from, const NetFrame *f)
{
    if (from->peer && (from->blocked || from->waiting.length)) {
        return false;
    }
    if (!deliver(from, f, from->tapped)) {
        from->tapped = true; /* it comes again */
        return false;
    }
    from->tapped = false;
    return true;
}

void net_send_queued(NetPort *from, const NetFrame *f)
{
    if (from->peer && (from->blocked || from->waiting.length)) {
        enqueue(from, f, false);
    } else if (!deliver(from, f, false)) {
        enqueue(from, f, true);
    }
}

void net_send_buf(NetPort *from, const void *buf, size_t len)
{
    struct iovec iov = { (void *)buf, len };
    NetFrame f = { .iov = &iov, .n = 1 };

    net_send_queued(from, &f);
}

/* False: the peer is busy again. */
static bool send_waiting(NetPort *from)
{
    Waiting *w;

    while ((w = g_queue_peek_head(&from->waiting))) {
        struct iovec iov = { w->data, w->len };
        NetFrame f = { .iov = &iov, .n = 1, .queue = w->queue, .off = w->off };
        NetPort *to = from->peer;
        bool finished = to && !(offload_needs(&f.off) & ~to->accepts);

        if (finished && !deliver(from, &f, w->tapped)) {
            w->tapped = true;
            return false;
        }
        g_queue_pop_head(&from->waiting);
        from->waiting_bytes -= w->len;
        if (!finished) { /* the peer takes less than when this was sent */
            GQueue rest = from->waiting;

            g_queue_init(&from->waiting);
            deliver(from, &f, w->tapped);
            while (rest.length) {
                g_queue_push_tail(&from->waiting, g_queue_pop_head(&rest));
            }
        }
        g_free(w);
        if (from->blocked) {
            return false;
        }
    }
    return true;
}

void net_resume(NetPort *port)
{
    NetPort *from = port->peer;

    if (!from || (!from->blocked && !from->waiting.length)) {
        return;
    }
    from->blocked = false;
    if (from->draining) {
        return; /* further up the stack */
    }
    from->draining = true;
    if (send_waiting(from) && from->ops->writable) {
        from->ops->writable(from);
    }
    from->draining = false;
}

/* ---- links ----------------------------------------------------------------------- */

static void tell_link(NetPort *port)
{
    if (port->ops->link_changed) {
        port->ops->link_changed(port);
    }
}

bool net_set_link(GPtrArray *ports, const char *id, bool up, GError **errp)
{
    NetPort *port = net_find(ports, id);

    if (!port) {
        error_set_class(errp, ERROR_CLASS_DEVICE_NOT_FOUND,
                        "Device '%s' not found", id);
        return false;
    }
    port->link_down = !up;
    tell_link(port);
    if (port->peer) {
        if (port->peer->is_nic) {
            port->peer->link_down = !up;
        }
        tell_link(port->peer);
    }
    return true;
}

/* ---- back ends -------------------------------------------------------------------- */

static const NetBackend *net_backend_find(const char *name, GError **errp)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *hint = NULL;

    for (int i = 0; net_backends[i]; i++) {
        if (!strcmp(name, net_backends[i]->name)) {
            return net_backends[i];
        }
        g_ptr_array_add(names, (char *)net_backends[i]->name);
    }
    hint = did_you_mean(name, names_end(names), "; ");
    error_setg(errp,
               "'%s' is not a network back end%s (-netdev help lists them)",
               name, hint);
    return NULL;
}

static bool check_id(const NetEnv *env, const char *id, GError **errp)
{
    if (!id) {
        error_setg(errp, "Parameter 'id' is missing");
        return false;
    }
    /* "#net0" is a name we gave. */
    if (!id_wellformed(id[0] == '#' ? id + 1 : id)) {
        error_setg(errp,
                   "Parameter 'id' expects an identifier: letters, digits, "
                   "'-', '.', '_', a letter first, not '%s'",
                   id);
        return false;
    }
    if (net_find(env->ports, id)) {
        error_setg(errp, "Duplicate ID '%s' for netdev", id);
        return false;
    }
    return true;
}

NetPort *net_add(const NetEnv *env, KeyVal *kv, GError **errp)
{
    const char *type = keyval_get(kv, "type"), *id = keyval_get(kv, "id");
    const char *unused;
    const NetBackend *be;
    NetPort *port;

    if (!type) {
        error_setg(errp, "Parameter 'type' is missing");
        return NULL;
    }
    be = net_backend_find(type, errp);
    if (!be || !check_id(env, id, errp)) {
        return NULL;
    }
    port = be->open(env, id, kv, errp);
    if (!port) {
        return NULL;
    }
    unused = keyval_unused(kv);
    if (unused) {
        error_setg(errp, "Parameter '%s' is unexpected (%s takes %s)", unused,
                   be->name, be->help);
        net_port_free(port);
        return NULL;
    }
    net_port_add(env->ports, port);
    return port;
}

NetPort *net_add_text(const NetEnv *env, const char *text, GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_parse(text, "type", errp);

    return kv ? net_add(env, kv, errp) : NULL;
}

bool net_del(GPtrArray *ports, const char *id, GError **errp)
{
    NetPort *port = net_find(ports, id);

    if (!port) {
        error_set_class(errp, ERROR_CLASS_DEVICE_NOT_FOUND,
                        "Device '%s' not found", id);
        return false;
    }
    if (port->is_nic) {
        error_setg(errp, "Device '%s' is not a netdev", id);
        return false;
    }
    net_port_free(port);
    return true;
}

void net_free_all(GPtrArray *ports)
{
    while (ports->len) {
        net_port_free(ports->pdata[ports->len - 1]);
    }
}

/* ---- for people ------------------------------------------------------------------- */

static void print_port(const NetPort *port, GString *out)
{
    for (unsigned i = 0; i < port->queues; i++) {
        g_string_append_printf(out, "%s%s: index=%u,type=%s,%s\n",
                               i ? "   " : "", port->id, i, port->ops->type,
                               port->info ? port->info : "");
    }
    if (port->taps) {
        g_string_append(out, "filters:\n");
    }
    for (const GSList *l = port->taps; l; l = l->next) {
        const NetTap *t = l->data;

        g_string_append_printf(out, "  - %s: type=%s\n", t->id, t->type);
    }
}

static void print_hub(const GPtrArray *ports, int hub, GString *out)
{
    g_string_append_printf(out, "hub %d\n", hub);
    for (guint i = 0; i < ports->len; i++) {
        const NetPort *port = ports->pdata[i];

        if (port->hub == hub) {
            g_string_append_printf(out, " \\ %s", port->id);
            if (port->peer) {
                g_string_append(out, ": ");
                print_port(port->peer, out);
            } else {
                g_string_append_c(out, '\n');
            }
        }
    }
}

void net_print(const GPtrArray *ports, GString *out)
{
    int hubs = -1;

    for (guint i = 0; i < ports->len; i++) {
        hubs = MAX(hubs, ((const NetPort *)ports->pdata[i])->hub);
    }
    for (int hub = 0; hub <= hubs; hub++) {
        print_hub(ports, hub, out);
    }
    for (guint i = 0; i < ports->len; i++) {
        const NetPort *port = ports->pdata[i];

        if (port->hub >= 0 || (port->peer && port->peer->hub >= 0)) {
            continue;
        }
        if (!port->peer || port->is_nic) {
            print_port(port, out);
        }
        if (port->peer && port->is_nic) {
            g_string_append(out, " \\ ");
            print_port(port->peer, out);
        }
    }
}

/* Cards and back ends on hub @hub. */
static void count_hub(const GPtrArray *ports, int hub, unsigned *nics,
                      unsigned *others)
{
    *nics = *others = 0;
    for (guint i = 0; i < ports->len; i++) {
        const NetPort *port = ports->pdata[i];

        if (port->hub == hub && port->peer) {
            ++*(port->peer->is_nic ? nics : others);
        }
    }
}

static void warn_hubs(const GPtrArray *ports)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

    for (guint i = 0; i < ports->len; i++) {
        int hub = ((const NetPort *)ports->pdata[i])->hub;
        unsigned nics, others;

        if (hub < 0 || !g_hash_table_add(seen, GINT_TO_POINTER(hub))) {
            continue;
        }
        count_hub(ports, hub, &nics, &others);
        if (nics && !others) {
            warn_report("hub %d is not connected to host network", hub);
        } else if (others && !nics) {
            warn_report("hub %d with no nics", hub);
        }
    }
}

void net_warn_unconnected(const GPtrArray *ports)
{
    warn_hubs(ports);
    for (guint i = 0; i < ports->len; i++) {
        const NetPort *port = ports->pdata[i];

        if (!port->peer && port->hub < 0) {
            warn_report("%s %s has no peer", port->is_nic ? "nic" : "netdev",
                        port->id);
        }
    }
}

/* ---- addresses ----------------------------------------------------------------- */

bool net_parse_mac(const char *text, uint8_t mac[6])
{
    for (int i = 0; i < 6; i++) {
        int hi = g_ascii_xdigit_value(text[0]);
        int lo = hi < 0 ? -1 : g_ascii_xdigit_value(text[1]);

        if (lo < 0 || (i < 5 ? text[2] != ':' && text[2] != '-' : text[2])) {
            return false;
        }
        mac[i] = (uint8_t)(hi << 4 | lo);
        text += 3;
    }
    return true;
}

void net_format_mac(const uint8_t mac[6], char out[18])
{
    g_snprintf(out, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
               mac[3], mac[4], mac[5]);
}

void net_default_mac(const GPtrArray *ports, uint8_t mac[6])
{
    static const uint8_t first[6] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 };
    bool taken = true;

    for (unsigned n = 0; taken && n < 256; n++) {
        memcpy(mac, first, 6);
        mac[5] = (uint8_t)(mac[5] + n);
        taken = false;
        for (guint i = 0; i < ports->len; i++) {
            const NetPort *port = ports->pdata[i];

            taken |= port->is_nic && !memcmp(port->mac, mac, 6);
        }
    }
}
