/* The memory balloon, for the monitor. Main thread, machine lock held. */
#ifndef HW_VIRTIO_BALLOON_H
#define HW_VIRTIO_BALLOON_H

#include "system/machine.h"

/* What the guest says of its memory; UINT64_MAX: it did not say. */
typedef enum BalloonStat {
    BALLOON_SWAP_IN,
    BALLOON_SWAP_OUT,
    BALLOON_MAJOR_FAULTS,
    BALLOON_MINOR_FAULTS,
    BALLOON_FREE_MEMORY,
    BALLOON_TOTAL_MEMORY,
    BALLOON_AVAILABLE_MEMORY,
    BALLOON_DISK_CACHES,
    BALLOON_HTLB_ALLOCATIONS,
    BALLOON_HTLB_FAILURES,
    BALLOON_STATS,
} BalloonStat;

/* Asks the guest to shrink or grow to @bytes of memory. Error: there is no
 * balloon (class DeviceNotActive), or @bytes is 0. */
bool balloon_set(Machine *m, uint64_t bytes, GError **errp);
/* What it has now, in bytes. */
bool balloon_actual(Machine *m, uint64_t *bytes, GError **errp);
/* The last numbers and when they came (Unix seconds; 0: never). */
bool balloon_stats(Machine *m, uint64_t stats[BALLOON_STATS], int64_t *when,
                   GError **errp);
/* Asks for them every @seconds from now on; 0: no more. */
bool balloon_poll_stats(Machine *m, uint32_t seconds, GError **errp);

#endif
