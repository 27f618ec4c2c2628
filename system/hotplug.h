/*
 * Devices that come and go while a machine runs: device_add and device_del.
 *
 * What sits on a bus with a row in hotplug_buses[] can be plugged and unplugged.
 * Most buses ask the guest before something goes: hotplug_request() is then only
 * the question, and hotplug_remove() follows when the guest has let go, or at
 * the next reset. DEVICE_DELETED tells of the end.
 *
 * Main thread, machine lock held.
 */
#ifndef SYSTEM_HOTPLUG_H
#define SYSTEM_HOTPLUG_H

#include "system/machine.h"

typedef struct HotplugBus {
    const char *bus; /* of DeviceClass */
    /* Before @dev is realized: does its bus take it now? NULL: yes. */
    bool (*check)(Device *dev, GError **errp);
    /* It is realized and reset: the guest may look. */
    void (*plugged)(Device *dev);
    /* The guest should let go of it. Whoever has no guest to ask calls
     * hotplug_remove() from inside. */
    bool (*unplug)(Device *dev, GError **errp);
} HotplugBus;

/* hw/registry.c; ends with a NULL. */
extern const HotplugBus *const hotplug_buses[];

/* As -device; @options has at least "driver". */
bool hotplug_add(Machine *m, KeyVal *options, GError **errp);
/* True does not mean that it is gone. */
bool hotplug_request(Device *dev, GError **errp);
/* Takes it out, and what sits on buses of its own; frees it. The vCPUs stand
 * still meanwhile. */
void hotplug_remove(Device *dev);
/* As above, where they stand already: inside a reset. */
void hotplug_remove_paused(Device *dev);
/* Can it be unplugged? */
bool hotplug_possible(const Device *dev);

#endif
