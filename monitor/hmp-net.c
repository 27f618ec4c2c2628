/* Monitor commands of the network. */
#include "util/osdep.h"
#include "monitor/hmp.h"

#include "net/net.h"

static void print_string(Monitor *mon, GString *text)
{
    mon_printf(mon, "%s", text->str);
    g_string_free(text, TRUE);
}

void hmp_info_network(Monitor *mon, const Args *args)
{
    GString *text = g_string_new(NULL);

    net_print(mon_machine(mon)->netdevs, text);
    print_string(mon, text);
}

void hmp_info_usernet(Monitor *mon, const Args *args)
{
    GString *text = g_string_new(NULL);

    net_usernet_print(mon_machine(mon)->netdevs, text);
    print_string(mon, text);
}

/* "hostfwd_add [id] rule": as in QEMU the id comes first when there are two. */
static const char *rule_and_id(const Args *args, const char **id)
{
    const char *first = args_str(args, "arg1"), *rule = args_str(args, "arg2");

    *id = rule ? first : NULL;
    return rule ? rule : first;
}

void hmp_hostfwd_add(Monitor *mon, const Args *args)
{
    GError *err = NULL;
    const char *id, *rule = rule_and_id(args, &id);

    if (!net_hostfwd_add(mon_machine(mon)->netdevs, id, rule, &err)) {
        mon_report(mon, err);
    }
}

void hmp_hostfwd_remove(Monitor *mon, const Args *args)
{
    GError *err = NULL;
    const char *id, *rule = rule_and_id(args, &id);

    if (!net_hostfwd_remove(mon_machine(mon)->netdevs, id, rule, &err)) {
        mon_report(mon, err);
    } else {
        mon_printf(mon, "host forwarding rule for %s removed\n", rule);
    }
}

void hmp_set_link(Monitor *mon, const Args *args)
{
    GError *err = NULL;

    if (!net_set_link(mon_machine(mon)->netdevs, args_str(args, "name"),
                      args_bool(args, "up", false), &err)) {
        mon_report(mon, err);
    }
}

void hmp_netdev_add(Monitor *mon, const Args *args)
{
    Machine *m = mon_machine(mon);
    NetEnv env = { .ports = m->netdevs, .chardevs = m->chardevs };
    GError *err = NULL;

    if (!net_add_text(&env, args_str(args, "netdev"), &err)) {
        mon_report(mon, err);
    }
}

void hmp_netdev_del(Monitor *mon, const Args *args)
{
    GError *err = NULL;

    if (!net_del(mon_machine(mon)->netdevs, args_str(args, "id"), &err)) {
        mon_report(mon, err);
    }
}
