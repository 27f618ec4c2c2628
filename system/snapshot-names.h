/*
 * What a device is called in a stream of system/snapshot-stream.h. All
 * strings are the caller's.
 */
#ifndef SYSTEM_SNAPSHOT_NAMES_H
#define SYSTEM_SNAPSHOT_NAMES_H

#include "system/machine.h"

/*
 * "virtio-blk-pci (disk0)", or "virtio-blk-pci.1": the second of its class that
 * has no id. So devices with ids need not come in the order in which they were
 * plugged in.
 */
char *snap_device_name(Machine *m, const Device *dev);
/*
 * Streams of older versions count all of a class, "virtio-blk-pci.1 (disk0)": a
 * name of either kind as it is now. @seen, of snap_names_new(), counts those
 * without an id, in the order they are asked for.
 */
char *snap_name_of_now(const char *name, GHashTable *seen);
GHashTable *snap_names_new(void);

#endif
