/* QMP about cards, cables and their back ends. */
#include "util/osdep.h"
#include "util/error.h"
#include "monitor/qmp-cmds.h"
#include "net/net.h"

#if CONFIG_JSON_C

static const char *const rx_states[] = {
    [NET_RX_NONE] = "none", [NET_RX_NORMAL] = "normal", [NET_RX_ALL] = "all"
};

static void put_macs(json_object *o, const char *key, const GArray *macs)
{
    json_object *list = js_put(o, key, json_object_new_array());

    for (guint i = 0; macs && i < macs->len; i++) {
        char text[18];

        net_format_mac((const uint8_t *)macs->data + 6 * i, text);
        js_add(list, json_object_new_string(text));
    }
}

static void put_filter(json_object *o, const NetRxFilter *f)
{
    json_object *vlans;
    char mac[18];

    js_bool(o, "promiscuous", f->promiscuous);
    js_bool(o, "broadcast-allowed", f->broadcast_allowed);
    js_bool(o, "unicast-overflow", f->unicast_overflow);
    js_bool(o, "multicast-overflow", f->multicast_overflow);
    js_str(o, "unicast", rx_states[f->unicast]);
    js_str(o, "multicast", rx_states[f->multicast]);
    js_str(o, "vlan", rx_states[f->vlan]);
    net_format_mac(f->main_mac, mac);
    js_str(o, "main-mac", mac);
    put_macs(o, "unicast-table", f->unicast_table);
    put_macs(o, "multicast-table", f->multicast_table);
    vlans = js_put(o, "vlan-table", json_object_new_array());
    for (guint i = 0; f->vlan_table && i < f->vlan_table->len; i++) {
        js_add(vlans,
               json_object_new_int(g_array_index(f->vlan_table, uint16_t, i)));
    }
}

json_object *qmp_query_rx_filter(Machine *m, const Args *args, GError **errp)
{
    const char *name = args_str(args, "name");
    json_object *list = json_object_new_array();

    for (guint i = 0; m->netdevs && i < m->netdevs->len; i++) {
        NetPort *port = m->netdevs->pdata[i];
        NetRxFilter *f;
        json_object *o;

        if (!port->ops->rx_filter || (name && g_strcmp0(name, port->id))) {
            continue;
        }
        o = js_add(list, json_object_new_object());
        js_str(o, "name", port->id ? port->id : "");
        f = port->ops->rx_filter(port);
        put_filter(o, f);
        net_rx_filter_free(f);
    }
    if (name && !json_object_array_length(list)) {
        error_setg(errp, "invalid net client name: %s", name);
    }
    return list;
}

json_object *qmp_netdev_add(Machine *m, const Args *args, GError **errp)
{
    NetEnv env = { .ports = m->netdevs, .chardevs = m->chardevs };
    g_autofree char *text = js_text(args_object(args));

    net_add_text(&env, text, errp);
    return NULL;
}

json_object *qmp_netdev_del(Machine *m, const Args *args, GError **errp)
{
    net_del(m->netdevs, args_str(args, "id"), errp);
    return NULL;
}

json_object *qmp_set_link(Machine *m, const Args *args, GError **errp)
{
    net_set_link(m->netdevs, args_str(args, "name"),
                 args_bool(args, "up", false), errp);
    return NULL;
}

#endif
