/*
 * virtio 1.2: what a device kind writes, and what a transport does for it.
 *
 * A device kind (blk.c, net.c, rng.c ...) fills a VirtioOps, and its instance
 * begins with a VirtioDevice. The same instance serves two device classes: NAME
 * "-pci" with bus "PCI" and NAME "-device" with bus "virtio-bus" (an mmio
 * slot); virtio_realize() looks at the class and takes the transport.
 *
 * Queue handlers run in the main loop with the machine lock held, and not while
 * the machine is stopped: a notification schedules them once. Those of a device
 * that is patient run in a vCPU's thread when that comes to HLT (system/
 * later.h); never inside a register access. Rings and descriptors are the
 * guest's and hostile: a broken ring sets NEEDS_RESET, and virtq_pop() returns
 * NULL from then on.
 *
 * A handler takes what is there and leaves:
 *
 *     while ((r = virtq_pop(vq, sizeof(*r)))) {
 *         ... fill r->elem.in ...
 *         virtq_push(vq, &r->elem, written);
 *     }
 *     virtq_notify(vq);
 *
 * virtq_pop() returns NULL only after it has asked the guest to notify again
 * (unless virtq_want_notify() said otherwise), so nothing is missed.
 *
 * The state that is saved names the requests that were taken and not given
 * back. After loading, virtq_pop() returns those first: a device starts them
 * once more and keeps no list of them itself.
 */
#ifndef HW_VIRTIO_VIRTIO_H
#define HW_VIRTIO_VIRTIO_H

#include "hw/pci/pci.h"
#include "system/device.h"

typedef struct VirtioDevice VirtioDevice;
typedef struct VirtQueue VirtQueue;
typedef struct VirtioOps VirtioOps;
typedef struct VirtioTransport VirtioTransport;
typedef struct VirtioWork VirtioWork;     /* of virtio.c */
typedef struct VirtioEvents VirtioEvents; /* of event.c */

/* Device status, 2.1. */
enum {
    VIRTIO_S_ACKNOWLEDGE = 1,
    VIRTIO_S_DRIVER = 2,
    VIRTIO_S_DRIVER_OK = 4,
    VIRTIO_S_FEATURES_OK = 8,
    VIRTIO_S_NEEDS_RESET = 64,
    VIRTIO_S_FAILED = 128,
};

/* Feature bits that belong to the rings and transports, 6. */
enum {
    VIRTIO_F_NOTIFY_ON_EMPTY = 24, /* legacy */
    VIRTIO_F_ANY_LAYOUT = 27,      /* legacy */
    VIRTIO_F_INDIRECT_DESC = 28,
    VIRTIO_F_EVENT_IDX = 29,
    VIRTIO_F_VERSION_1 = 32,
    VIRTIO_F_ACCESS_PLATFORM = 33,
    VIRTIO_F_RING_RESET = 40,
};

#define VIRTIO_BIT(n) (UINT64_C(1) << (n))

/* Causes in v->isr, 4.1.4.5. */
enum { VIRTIO_ISR_QUEUE = 1, VIRTIO_ISR_CONFIG = 2 };

enum { VIRTQ_MAX_SIZE = 1024, VIRTIO_MAX_QUEUES = 1024 };
enum { VIRTIO_CONFIG_MAX = 256 };
#define VIRTIO_NO_VECTOR 0xffff

/* One request: buffers the device reads (out), then those it writes (in), as
 * host memory. Allocated by virtq_pop() with room for the device's own struct
 * around it; freed by virtq_push(), virtq_unpop() or virtq_forget(). */
typedef struct VirtElem {
    uint16_t head;  /* index of its first descriptor */
    bool again;     /* it was in flight when the state was saved */
    uint32_t epoch; /* of the queue; another one since: it was reset */
    int n_out, n_in;
    struct iovec *out, *in;
    hwaddr *in_addr; /* guest addresses of in[], to mark what was written */
    size_t out_len, in_len;
} VirtElem;

struct VirtioOps {
    const char *name;   /* "virtio-blk" */
    uint16_t id;        /* 5: device ID */
    uint32_t pci_class; /* class code for the pci transport */
    size_t config_size; /* at most VIRTIO_CONFIG_MAX */
    /* Requests gather until the guest waits for them. */
    bool patient;
    /* Offered features of the device kind, bits 0-23 and 50-127; the ring's and
     * the transport's are added. Asked once, by virtio_realize(). */
    uint64_t (*features)(VirtioDevice *v);
    /* Optional: FEATURES_OK is set (legacy: DRIVER_OK); false: refuses. */
    bool (*set_features)(VirtioDevice *v, uint64_t features);
    /* Fills @config (config_size bytes, zeroed before). */
    void (*get_config)(VirtioDevice *v, uint8_t *config);
    /* Optional: the guest wrote; @config has the new bytes. */
    void (*set_config)(VirtioDevice *v, const uint8_t *config);
    /* Optional: v->status changed from @old (DRIVER_OK came or went; machine
     * runs or stops do not come here). */
    void (*status_changed)(VirtioDevice *v, uint8_t old);
    /* Optional: requests are on their way whose end touches guest memory. Then
     * reset() is called in the main loop, and the vCPU that asked waits. */
    bool (*busy)(VirtioDevice *v);
    /* Everything back to power-on; requests in flight are the device's to
     * drain or to forget (virtq_forget(), also virtq_push() once the rings are
     * reset, right after this). Optional. */
    void (*reset)(VirtioDevice *v);
};

/* Registers of pci.c; here for the state table. */
typedef struct VirtioPciRegs {
    uint32_t device_features_sel, driver_features_sel;
    uint64_t driver_features; /* as they are written, half by half */
    uint16_t queue_sel;
} VirtioPciRegs;

struct VirtioDevice {
    PciDevice pci; /* first; with an mmio transport only pci.dev is used */
    const VirtioOps *ops;
    const VirtioTransport *transport;
    void *transport_state; /* of mmio.c or pci.c */
    /* Properties of every virtio device, see VIRTIO_PROPS. */
    bool prop_indirect, prop_event_idx, prop_iommu_platform;
    /* ... and of those on PCI, see VIRTIO_PCI_PROPS. */
    bool disable_modern;
    char *disable_legacy; /* "on", "off", "auto" */
    uint32_t vectors;
    bool prop_ioeventfd;
    VirtioPciRegs regs;
    VirtioEvents *events; /* while they are in use */

    uint8_t status;
    uint64_t kind_features;   /* what ops->features() said */
    uint64_t driver_features; /* as the driver wrote them */
    uint64_t features;        /* both sides have them */
    bool broken;
    uint8_t isr; /* VIRTIO_ISR_*; the transport shows and clears it */
    uint8_t config_generation;
    uint16_t config_vector;
    unsigned n_queues;
    VirtQueue **queue;
    VirtioWork *work; /* queues that were notified */
};

typedef void VirtqHandler(VirtioDevice *v, VirtQueue *vq);

/* ---- for device kinds ---------------------------------------------------------- */

/* clang-format off */
#define VIRTIO_PROPS \
    { "indirect_desc", PROP_BOOL, offsetof(VirtioDevice, prop_indirect), 1, \
      "offer indirect descriptors" }, \
    { "event_idx", PROP_BOOL, offsetof(VirtioDevice, prop_event_idx), 1, \
      "offer event indices" }, \
    { "iommu_platform", PROP_BOOL, \
      offsetof(VirtioDevice, prop_iommu_platform), 0, \
      "offer VIRTIO_F_ACCESS_PLATFORM" }
#define VIRTIO_PCI_PROPS \
    { "disable-modern", PROP_BOOL, offsetof(VirtioDevice, disable_modern), 0, \
      "no virtio 1.x interface" }, \
    { "disable-legacy", PROP_STRING, \
      offsetof(VirtioDevice, disable_legacy), (uintptr_t)"auto", \
      "no virtio 0.9 interface (on, off, auto)" }, \
    { "vectors", PROP_U32, offsetof(VirtioDevice, vectors), UINT32_MAX, \
      "MSI-X vectors; 0: INTx only" }, \
    { "ioeventfd", PROP_BOOL, offsetof(VirtioDevice, prop_ioeventfd), 1, \
      "notifications without leaving the kernel, under kvm" }, \
    PCI_PROPS
#define VIRTIO_MMIO_PROPS \
    { "bus", PROP_STRING, offsetof(VirtioDevice, pci.bus_prop), 0, \
      "slot to sit in (virtio-mmio-bus.0); else the first free one" }
/* clang-format on */

/* First the queues, then this. Takes the transport that the class names. On
 * failure, and after virtio_unrealize(), the queues are gone. */
bool virtio_realize(VirtioDevice *v, const VirtioOps *ops, GError **errp);
void virtio_unrealize(VirtioDevice *v);
void virtio_reset(VirtioDevice *v); /* the class's reset */
/* Status, features, rings; the second with what stands in PCI registers. */
extern const VMState vmstate_virtio, vmstate_virtio_pci;

/* clang-format off */
/*
 * The tables vmstate_KIND_device and vmstate_KIND_pci of section @section: the
 * transport, which S has as its field v, then the kind's own fields.
 */
#define VIRTIO_VMSTATES(kind, section, S, loaded, ...) \
    VIRTIO_VMSTATE(kind##_device, section, S, loaded, vmstate_virtio, \
                   ##__VA_ARGS__) \
    VIRTIO_VMSTATE(kind##_pci, section, S, loaded, vmstate_virtio_pci, \
                   ##__VA_ARGS__)
#define VIRTIO_VMSTATE(table, section, S, loaded, transport, ...) \
    static const VMState vmstate_##table = { \
        .name = section, \
        .version = 1, \
        .min_version = 1, \
        .post_load = loaded, \
        .fields = (const VMField[]) { VM_SUB(S, v, transport), \
                                      ##__VA_ARGS__, VM_FIELDS_END }, \
    };
/* clang-format on */

/* Before virtio_realize(). @size: what the device offers, a power of two. */
VirtQueue *virtio_add_queue(VirtioDevice *v, unsigned size,
                            VirtqHandler *handler);
unsigned virtq_index(const VirtQueue *vq);
/* Enabled, the ring is sane, and the driver is ready for it to be used. */
bool virtq_ready(VirtQueue *vq);

/* The next request, or NULL: none, or the device is broken. @size: of the
 * struct that begins with a VirtElem; what is behind that is not initialized.
 */
void *virtq_pop(VirtQueue *vq, size_t size);
/* Gives back unconsumed what was popped last: the next pop returns it again. */
void virtq_unpop(VirtQueue *vq, VirtElem *e);
/* For the device's reset: frees @e, the guest never gets it back. */
void virtq_forget(VirtQueue *vq, VirtElem *e);
/* Done; @written bytes of the in buffers are valid. Frees @e. Not yet seen by
 * the guest's interrupt: virtq_notify() after one or several. */
void virtq_push(VirtQueue *vq, VirtElem *e, size_t written);
/* Interrupts the guest unless it asked not to be. */
void virtq_notify(VirtQueue *vq);
/* Asks the guest to notify or, while a handler is at work, not to. Turning it
 * on returns true when something came meanwhile and must be looked at first. */
bool virtq_want_notify(VirtQueue *vq, bool on);
/* Runs the handler from the main loop as if the guest had notified. */
void virtq_schedule(VirtQueue *vq);
/* Bytes of in and out buffers that wait, counted up to the two limits. */
void virtq_available(VirtQueue *vq, size_t *in, size_t *out, size_t in_max,
                     size_t out_max);

static inline bool virtio_has(const VirtioDevice *v, unsigned bit)
{
    return v->features >> bit & 1;
}

/* The config space changed: generation and interrupt. */
void virtio_config_changed(VirtioDevice *v);
/* The guest broke the rules: NEEDS_RESET, one LOG_GUEST_ERROR line (which gets
 * the device's name in front and a newline behind). */
void virtio_broken(VirtioDevice *v, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* ---- for transports ------------------------------------------------------------- */

struct VirtioTransport {
    const char *bus;   /* DeviceClass.bus it serves */
    uint64_t features; /* what it adds to those a modern driver is offered */
    bool (*realize)(VirtioDevice *v, GError **errp);
    void (*unrealize)(VirtioDevice *v);
    /* After a reset by register or of the machine: interrupts down, registers
     * as at power-on. */
    void (*reset)(VirtioDevice *v);
    /* Optional: after that, in a reset of the machine. */
    void (*power_on)(VirtioDevice *v);
    /* Interrupts with v->isr already set. @vector: VIRTIO_NO_VECTOR, or the
     * queue's or the configuration's. */
    void (*interrupt)(VirtioDevice *v, uint16_t vector);
    bool (*may_dma)(VirtioDevice *v); /* NULL: always */
};

extern const VirtioTransport virtio_pci_transport, virtio_mmio_transport;

/* Writes to the status register: 0 resets, perhaps later (then the vCPU waits
 * for it). Handles DRIVER_OK, FEATURES_OK. */
void virtio_set_status(VirtioDevice *v, uint8_t status);
/* What the device offers, to a legacy driver (low 32 bits, with the bits that
 * are only its) or a modern one. */
uint64_t virtio_offered(const VirtioDevice *v, bool legacy);
/* Refused (a guest error) after FEATURES_OK. */
void virtio_set_driver_features(VirtioDevice *v, uint64_t features);
/* Outside of the config space: all ones, or nothing happens. */
void virtio_config_read(VirtioDevice *v, unsigned off, void *buf, unsigned n);
void virtio_config_write(VirtioDevice *v, unsigned off, const void *buf,
                         unsigned n);
void virtio_notified(VirtioDevice *v, unsigned queue); /* by the guest */
/* The same in the main loop: an ioeventfd was signalled. Runs the handler. */
void virtio_run_queue(VirtioDevice *v, unsigned queue);

/* ---- event.c: notifications as eventfds ------------------------------------------ */

/* Where the guest notifies: queue n at offset + n * stride, or with stride 0 all
 * at offset, by number. */
typedef struct VirtioNotifyPlace {
    Region *region;
    hwaddr offset;
    unsigned stride, size; /* size 0: any */
} VirtioNotifyPlace;
enum { VIRTIO_NOTIFY_PLACES = 2 };

/* Nothing happens if they are there, or the engine has none. @place is copied;
 * its regions live until virtio_events_stop(), which may come any number of
 * times. */
void virtio_events_start(VirtioDevice *v, const VirtioNotifyPlace *place,
                         unsigned n_places);
void virtio_events_stop(VirtioDevice *v);

/* Ring registers. Those of a queue that is enabled do not change. */
typedef struct VirtqSetup {
    unsigned max_size, size;
    hwaddr desc, avail, used;
    bool enabled;
    uint16_t vector;
} VirtqSetup;
VirtqSetup *virtq_setup(VirtioDevice *v, unsigned queue); /* NULL: no such */
/* Sizes that cannot be are a guest error and ignored. */
void virtq_set_size(VirtioDevice *v, unsigned queue, unsigned size);
/* Legacy: one address, layout by @align (a power of two). 0 disables. */
void virtq_set_legacy(VirtioDevice *v, unsigned queue, hwaddr base,
                      unsigned align);
/* Off: the queue is reset alone. */
void virtq_set_enabled(VirtioDevice *v, unsigned queue, bool on);

#endif
