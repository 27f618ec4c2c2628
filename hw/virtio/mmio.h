/* virtio over memory-mapped registers; see mmio.c. */
#ifndef HW_VIRTIO_MMIO_H
#define HW_VIRTIO_MMIO_H

#include "hw/virtio/virtio.h"

enum { VIRTIO_MMIO_SIZE = 0x200 };

/*
 * One slot: registers at property "base", interrupt by property "gsi", name by
 * "name" (virtio-mmio-bus.0). A virtio device on bus "virtio-bus" takes the
 * first free one, or the one it names.
 */
extern const DeviceClass virtio_mmio_class;

typedef struct VirtioMmioSlot {
    hwaddr base;
    unsigned gsi;
    VirtioDevice *device; /* NULL: empty */
} VirtioMmioSlot;

/* False: @dev is something else. */
bool virtio_mmio_slot(Device *dev, VirtioMmioSlot *out);

#endif
