/*
 * The network: -netdev, -nic and -net, and what there is without them.
 *
 * -netdev makes a back end that a -device names. -nic makes a card and its back
 * end, one cable. -net is the old form, whose cards and back ends all meet on
 * hub 0. With none of the three, a machine with PCI gets what "-nic user" gives,
 * unless -nodefaults.
 */
#include "util/osdep.h"
#include "system/cli-opts.h"

#include "net/hub.h"
#include "net/net.h"
#include "util/error.h"

/* A -nic or -net. */
typedef struct CliNic {
    const char *option;
    char *text;
} CliNic;

static void cli_nic_free(void *p)
{
    g_free(((CliNic *)p)->text);
    g_free(p);
}

static void print_backends(Cli *cli)
{
    cli_print(cli, "Available netdev backend types:\n");
    for (int i = 0; net_backends[i]; i++) {
        cli_print(cli, "%s\n", net_backends[i]->name);
    }
}

/* ---- cards ----------------------------------------------------------------------- */

/* What -nic model= and -net nic,model= say. */
typedef struct NicModel {
    const char *name;
    const char *bus; /* NULL: wherever virtio is */
    const char *device;
} NicModel;

static const NicModel nic_models[] = {
    { "virtio", "PCI", "virtio-net-pci" },
    { "virtio", "virtio-bus", "virtio-net-device" },
    { "virtio-net-pci", "PCI", "virtio-net-pci" },
    { "virtio-net-device", "virtio-bus", "virtio-net-device" },
};

static void print_models(Cli *cli)
{
    cli_print(cli, "Supported NIC models:\n");
    for (size_t i = 0; i < G_N_ELEMENTS(nic_models); i++) {
        if (strcmp(nic_models[i].name, "virtio")) {
            cli_print(cli, "%s\n", nic_models[i].name);
        }
    }
}

static const char *nic_device(const Machine *m, const char *model,
                              GError **errp)
{
    if (!m->cls->virtio_bus) {
        error_setg(errp, "machine '%s' has no place for a network card",
                   m->cls->name);
        return NULL;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(nic_models); i++) {
        const NicModel *n = &nic_models[i];

        if (!strcmp(model ? model : "virtio", n->name) &&
            !strcmp(m->cls->virtio_bus, n->bus)) {
            return n->device;
        }
    }
    error_setg(errp,
               "Unsupported NIC model: %s (model=virtio is what this machine "
               "has)",
               model);
    return NULL;
}

/* ---- options --------------------------------------------------------------------- */

OPT_FN(netdev)
{
    g_autoptr(KeyVal) kv = keyval_parse(arg, "type", errp);

    if (!kv) {
        return false;
    }
    cli->net_given = true;
    if (cli_is_help(keyval_get(kv, "type"))) {
        print_backends(cli);
        return true;
    }
    g_ptr_array_add(cli->netdevs, g_strdup(arg));
    return true;
}

OPT_FN(nic)
{
    g_autoptr(KeyVal) kv = keyval_parse(arg, "type", errp);
    CliNic *n;

    if (!kv) {
        return false;
    }
    cli->net_given = true;
    if (cli_is_help(keyval_get(kv, "model"))) {
        print_models(cli);
        return true;
    }
    if (cli_is_help(keyval_get(kv, "type"))) {
        print_backends(cli);
        return true;
    }
    if (!g_strcmp0(keyval_get(kv, "type"), "none")) {
        return true;
    }
    n = g_new0(CliNic, 1);
    n->option = def->name;
    n->text = g_strdup(arg);
    if (!cli->nics) {
        cli->nics = g_ptr_array_new_with_free_func(cli_nic_free);
    }
    g_ptr_array_add(cli->nics, n);
    return true;
}

/* ---- building -------------------------------------------------------------------- */

static NetEnv net_env(Machine *m)
{
    return (NetEnv) { .ports = m->netdevs, .chardevs = m->chardevs };
}

bool cli_build_netdevs(Machine *m, Cli *cli, GError **errp)
{
    NetEnv env = net_env(m);

    for (guint i = 0; i < cli->netdevs->len; i++) {
        const char *text = g_ptr_array_index(cli->netdevs, i);

        if (!net_add_text(&env, text, errp)) {
            g_prefix_error(errp, "-netdev %s: ", text);
            return false;
        }
    }
    return true;
}

/* A name nobody typed. */
static char *unused_id(const Machine *m, const char *format)
{
    for (unsigned i = 0;; i++) {
        g_autofree char *digits = g_strdup_printf("%u", i);
        char *id = g_strconcat(format, digits, NULL);

        if (!net_find(m->netdevs, id)) {
            return id;
        }
        g_free(id);
    }
}

typedef struct NicOptions {
    const char *id, *model, *mac, *addr, *vectors;
} NicOptions;

static bool build_card(Machine *m, const NicOptions *o, const char *netdev,
                       GError **errp)
{
    const char *driver = nic_device(m, o->model, errp);
    const struct {
        const char *prop, *value;
    } props[] = {
        { "netdev", netdev },
        { "mac", o->mac },
        { "addr", o->addr },
        { "vectors", o->vectors },
    };
    Device *dev = driver ? device_new(m, driver, o->id, errp) : NULL;
    bool ok = dev != NULL;

    for (size_t i = 0; ok && i < G_N_ELEMENTS(props); i++) {
        ok = !props[i].value ||
             device_set(dev, props[i].prop, props[i].value, errp);
    }
    if (!ok || !device_realize(dev, errp)) {
        device_free(dev);
        return false;
    }
    return true;
}

/* -nic type[,model=,mac=],options of the back end */
static bool build_nic(Machine *m, KeyVal *kv, GError **errp)
{
    NicOptions o = { .id = NULL,
                     .model = keyval_get(kv, "model"),
                     .mac = keyval_get(kv, "mac"),
                     .addr = keyval_get(kv, "addr"),
                     .vectors = keyval_get(kv, "vectors") };
    g_autofree char *id = NULL;
    NetEnv env = net_env(m);

    if (!o.mac) {
        o.mac = keyval_get(kv, "macaddr");
    }
    if (!keyval_get(kv, "type")) {
        keyval_set(kv, "type", "user");
    }
    if (!keyval_get(kv, "id")) {
        id = unused_id(m, "#net");
        keyval_set(kv, "id", id);
    } else {
        id = g_strdup(keyval_get(kv, "id"));
    }
    return nic_device(m, o.model, errp) && net_add(&env, kv, errp) &&
           build_card(m, &o, id, errp);
}

/* A new port of hub @hub. */
static NetPort *hub_port(Machine *m, unsigned hub)
{
    g_autofree char *prefix = g_strdup_printf("hub%uport", hub);
    g_autofree char *id = unused_id(m, prefix);
    NetPort *port = net_hub_add(m->netdevs, hub, id);

    net_port_add(m->netdevs, port);
    return port;
}

/* -net nic[,netdev=id][,model=][,macaddr=] */
static bool build_net_nic(Machine *m, KeyVal *kv, unsigned hub, GError **errp)
{
    const char *netdev = keyval_get(kv, "netdev"), *unused;
    NicOptions o = { .id = keyval_get(kv, "name"),
                     .model = keyval_get(kv, "model"),
                     .mac = keyval_get(kv, "macaddr"),
                     .addr = keyval_get(kv, "addr"),
                     .vectors = keyval_get(kv, "vectors") };

    unused = keyval_unused(kv);
    if (unused) {
        error_setg(errp,
                   "Parameter '%s' is unexpected (nic takes netdev, macaddr, "
                   "model, name, addr, vectors)",
                   unused);
        return false;
    }
    return build_card(m, &o, netdev ? netdev : hub_port(m, hub)->id, errp);
}

/* -net type,...: the back end on a hub */
static bool build_net_backend(Machine *m, KeyVal *kv, unsigned hub,
                              GError **errp)
{
    g_autofree char *id = g_strdup(keyval_get(kv, "id"));
    const char *name = keyval_get(kv, "name");
    NetEnv env = net_env(m);
    NetPort *port;

    if (!id) {
        id = name ? g_strdup(name) : unused_id(m, "#net");
        keyval_set(kv, "id", id);
    }
    port = net_add(&env, kv, errp);
    return port &&
           (port->hub >= 0 || net_connect(port, hub_port(m, hub), errp));
}

static bool build_net(Machine *m, KeyVal *kv, GError **errp)
{
    const char *type = keyval_get(kv, "type");
    uint64_t hub; /* "vlan=" of old command lines */

    if (!keyval_u64(kv, "vlan", 0, &hub, errp)) {
        return false;
    }
    hub = MIN(hub, INT32_MAX);
    return !g_strcmp0(type, "nic")
               ? build_net_nic(m, kv, (unsigned)hub, errp)
               : build_net_backend(m, kv, (unsigned)hub, errp);
}

static bool build_default(Machine *m, Cli *cli, GError **errp)
{
    g_autoptr(KeyVal) kv = keyval_new();

    if (!CONFIG_LIBSLIRP || cli->net_given || cli->nodefaults ||
        g_strcmp0(m->cls->virtio_bus, "PCI") ||
        !device_class_find("virtio-net-pci")) {
        return true;
    }
    return build_nic(m, kv, errp);
}

bool cli_build_nics(Machine *m, Cli *cli, GError **errp)
{
    for (guint i = 0; cli->nics && i < cli->nics->len; i++) {
        const CliNic *n = g_ptr_array_index(cli->nics, i);
        g_autoptr(KeyVal) kv = keyval_parse(n->text, "type", errp);

        if (!kv || !(!strcmp(n->option, "nic") ? build_nic(m, kv, errp)
                                               : build_net(m, kv, errp))) {
            g_prefix_error(errp, "-%s %s: ", n->option, n->text);
            return false;
        }
    }
    return build_default(m, cli, errp);
}
