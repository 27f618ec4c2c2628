/* What virtio.c and queue.c share: a queue from inside. */
#ifndef HW_VIRTIO_QUEUE_H
#define HW_VIRTIO_QUEUE_H

#include "hw/virtio/virtio.h"

/* Where the parts of the ring are in host memory, and for which registers and
 * which memory map that is right. */
typedef struct RingMap {
    uint64_t generation; /* of the map; 0: nothing is mapped */
    hwaddr desc_addr, avail_addr, used_addr;
    unsigned size;
    uint8_t *desc, *avail, *used;
} RingMap;

struct VirtQueue {
    VirtqSetup s;
    VirtioDevice *v;
    unsigned index;
    VirtqHandler *handler;

    uint16_t next_avail; /* the entry that is looked at next */
    uint16_t seen_avail; /* how far the guest was when we looked last */
    uint16_t used_idx;   /* how much we have given back */
    uint16_t signalled;  /* used_idx at the last interrupt decision */
    bool signalled_valid;
    bool no_notify; /* the guest was asked not to */
    /* By head descriptor: taken and not given back; and of those the ones that
     * were so in a state that was loaded and are to be taken again. */
    uint64_t in_flight[VIRTQ_MAX_SIZE / 64];
    uint64_t again[VIRTQ_MAX_SIZE / 64];
    unsigned n_in_flight, n_again;
    uint32_t epoch; /* resets */
    RingMap map;
};

extern const VMState vmstate_virtq;

/* Requests that the driver has added and nobody has taken, as far as it says. */
unsigned virtq_waiting(VirtQueue *vq);
/* Registers and indices as at power-on. */
void virtq_reset(VirtQueue *vq);

#endif
