/* See hotplug.h. */
#include "util/osdep.h"
#include "system/hotplug.h"

#include "util/error.h"
#include "util/keyval.h"

static const HotplugBus *bus_of(const Device *dev)
{
    for (unsigned i = 0; dev->cls->bus && hotplug_buses[i]; i++) {
        if (!strcmp(hotplug_buses[i]->bus, dev->cls->bus)) {
            return hotplug_buses[i];
        }
    }
    return NULL;
}

/* Parts of the board stay where they are. */
bool hotplug_possible(const Device *dev)
{
    return !dev->cls->internal && bus_of(dev);
}

static bool refuse(const Device *dev, GError **errp)
{
    g_autofree char *bus =
        dev->cls->bus ? g_ascii_strdown(dev->cls->bus, -1) : NULL;

    if (bus && !dev->cls->internal) {
        error_setg(errp, "Bus '%s.0' does not support hotplugging", bus);
    } else {
        error_setg(errp, "Device '%s' does not support hotplugging",
                   dev->id ? dev->id : dev->cls->name);
    }
    return false;
}

/* ---- coming ----------------------------------------------------------------- */

static bool check_options(KeyVal *options, GError **errp)
{
    const char *id = keyval_get(options, "id");

    if (!keyval_get(options, "driver")) {
        error_setg(errp, "Parameter 'driver' is missing");
        return false;
    }
    if (id && !id_wellformed(id)) {
        error_setg(errp,
                   "Parameter 'id' expects an identifier (letters, digits, "
                   "'-', '.', '_', starting with a letter), not '%s'",
                   id);
        return false;
    }
    return true;
}

static bool realize(Device *dev, KeyVal *options, GError **errp)
{
    const HotplugBus *bus = bus_of(dev);

    if (!bus) {
        return refuse(dev, errp);
    }
    return device_set_options(dev, options, errp) &&
           (!bus->check || bus->check(dev, errp)) && device_realize(dev, errp);
}

bool hotplug_add(Machine *m, KeyVal *options, GError **errp)
{
    Device *dev;

    if (!check_options(options, errp) || !machine_is_free(m, errp)) {
        return false;
    }
    dev = device_new(m, keyval_get(options, "driver"),
                     keyval_get(options, "id"), errp);
    if (!dev) {
        return false;
    }
    dev->hotplugged = true;
    if (!realize(dev, options, errp)) {
        device_free(dev);
        return false;
    }
    if (dev->cls->reset) {
        dev->cls->reset(dev);
    }
    bus_of(dev)->plugged(dev);
    return true;
}

/* ---- going -------------------------------------------------------------------- */

bool hotplug_request(Device *dev, GError **errp)
{
    if (!hotplug_possible(dev)) {
        return refuse(dev, errp);
    }
    return machine_is_free(dev->machine, errp) &&
           bus_of(dev)->unplug(dev, errp);
}

/* The last one that sits on a bus of @dev; NULL: nobody. */
static Device *last_child(const Device *dev)
{
    const GPtrArray *all = dev->machine->devices;

    for (guint i = all->len; i > 0; i--) {
        Device *d = all->pdata[i - 1];

        if (d->parent == dev) {
            return d;
        }
    }
    return NULL;
}

void hotplug_remove_paused(Device *dev)
{
    Device *child;

    if (dev->unplugged || dev->leaving) {
        return; /* the main loop runs while its requests come to their end */
    }
    while ((child = last_child(dev))) {
        hotplug_remove_paused(child);
    }
    dev->unplugged = true;
    machine_emit(dev->machine, "DEVICE_DELETED", EVENT_STR("device", dev->id),
                 EVENT_PATH("path", dev));
    device_free(dev);
}

/* A vCPU looks its regions up without the lock, and uses what it found until it
 * is paused next. */
void hotplug_remove(Device *dev)
{
    Machine *m = dev->machine;

    machine_pin(m);
    hotplug_remove_paused(dev);
    as_reclaim(m->mem);
    as_reclaim(m->io);
    machine_unpin(m);
}
