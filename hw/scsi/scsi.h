/*
 * A SCSI bus: initiators (virtio-scsi) send commands, logical units answer.
 * SAM-5, SPC-4.
 *
 * An initiator embeds a ScsiBus and a ScsiRequest in each of its own requests.
 * scsi_submit() is followed by exactly one call of ops->complete(), perhaps from
 * inside; only scsi_bus_forget() ends requests without. A unit embeds a
 * ScsiDevice and serves commands from a table with a row for each opcode.
 *
 * A request whose host I/O failed may wait until the machine goes on (werror=,
 * rerror=): it is then still on the bus, and can be cancelled.
 *
 * Commands, parameters and buffers are the guest's and hostile. Everything here
 * runs in the main thread with the machine lock held.
 */
#ifndef HW_SCSI_SCSI_H
#define HW_SCSI_SCSI_H

#include "util/osdep.h"
#include "system/machine.h"

typedef struct ScsiBus ScsiBus;
typedef struct ScsiDevice ScsiDevice;
typedef struct ScsiRequest ScsiRequest;

enum { SCSI_CDB_MAX = 32, SCSI_SENSE_SIZE = 18 };

/* Status byte, SAM-5 5.3. */
enum {
    SCSI_GOOD = 0x00,
    SCSI_CHECK_CONDITION = 0x02,
    SCSI_RESERVATION_CONFLICT = 0x18,
    SCSI_TASK_ABORTED = 0x40,
};

/* What became of a request, other than its status. */
typedef enum ScsiOutcome {
    SCSI_DONE,
    SCSI_OVERRUN, /* the command moves more than there are buffers for */
    SCSI_ABORTED, /* cancelled; as is the next */
    SCSI_RESET,
} ScsiOutcome;

/* SPC-4, 4.5.6. */
typedef struct ScsiSense {
    uint8_t key, asc, ascq;
} ScsiSense;

#define SENSE(k, a, q)         ((ScsiSense) { (k), (a), (q) })
#define SENSE_NONE             SENSE(0x0, 0x00, 0x00)
#define SENSE_NO_MEDIUM        SENSE(0x2, 0x3a, 0x00)
#define SENSE_TRAY_OPEN        SENSE(0x2, 0x3a, 0x02)
#define SENSE_PARAMETER_LENGTH SENSE(0x5, 0x1a, 0x00)
#define SENSE_INVALID_OPCODE   SENSE(0x5, 0x20, 0x00)
#define SENSE_LBA_RANGE        SENSE(0x5, 0x21, 0x00)
#define SENSE_INVALID_FIELD    SENSE(0x5, 0x24, 0x00)
#define SENSE_NO_SUCH_LUN      SENSE(0x5, 0x25, 0x00)
#define SENSE_INVALID_PARAM    SENSE(0x5, 0x26, 0x00)
#define SENSE_NO_SAVED_PARAM   SENSE(0x5, 0x39, 0x00)
#define SENSE_MEDIUM_LOCKED    SENSE(0x5, 0x53, 0x02)
#define SENSE_MEDIUM_CHANGED   SENSE(0x6, 0x28, 0x00)
#define SENSE_POWER_ON         SENSE(0x6, 0x29, 0x00)
#define SENSE_CAPACITY_CHANGED SENSE(0x6, 0x2a, 0x09)
#define SENSE_MEDIUM_GONE      SENSE(0x6, 0x3a, 0x00)
#define SENSE_WRITE_PROTECTED  SENSE(0x7, 0x27, 0x00)
#define SENSE_SPACE            SENSE(0x7, 0x27, 0x07)
#define SENSE_IO_ERROR         SENSE(0xb, 0x00, 0x06)
#define SENSE_TARGET_FAILURE   SENSE(0xb, 0x44, 0x00)

struct ScsiRequest {
    /* The initiator's, before scsi_submit(). The buffers live until the end. */
    uint8_t cdb[SCSI_CDB_MAX]; /* zeroes behind the command */
    const struct iovec *in, *out;
    int n_in, n_out;
    size_t in_len, out_len;

    /* For ops->complete(). */
    ScsiOutcome outcome;
    uint8_t status;
    uint8_t sense[SCSI_SENSE_SIZE];
    unsigned sense_len;
    size_t moved; /* bytes of the data, in whichever direction */

    /* The bus's. */
    ScsiBus *bus;
    ScsiDevice *dev; /* NULL: no such unit at the target */
    unsigned target, lun;
    GList link; /* in bus->requests */
    uint64_t seq;
    bool cancelled, stopped;

    /* The unit's. */
    uint8_t *buffer; /* freed at the end; as is the next */
    struct iovec *slice;
    const struct iovec *iov; /* of the host I/O that is on its way */
    int n, op;
    unsigned flags;
    uint64_t off, len, left;
    void (*next)(ScsiRequest *r); /* after it; NULL: good */
};

typedef struct ScsiBusOps {
    void (*complete)(ScsiRequest *r);
    /* The request is off the bus and its place may be freed. */
    void (*forget)(ScsiRequest *r);
    /* Optional: the guest should hear of it before its next command. */
    void (*changed)(ScsiBus *bus, ScsiDevice *d, ScsiSense what);
    /* Optional: a unit has come, or goes (device_add, device_del). */
    void (*plugged)(ScsiBus *bus, ScsiDevice *d, bool on);
} ScsiBusOps;

struct ScsiBus {
    Device *owner;
    char *name; /* "ID.0", or "scsi.N" */
    const ScsiBusOps *ops;
    unsigned max_target, max_lun; /* the largest that there can be */
    GPtrArray *devices;           /* of ScsiDevice * */
    GQueue requests;              /* those that have not ended, in order */
    uint64_t seq;                 /* of the last one */
};

typedef struct ScsiDeviceOps {
    void (*command)(ScsiRequest *r);
    void (*restart)(ScsiRequest *r);      /* it was r->stopped */
    void (*plug)(ScsiDevice *d, bool on); /* host I/O gathers */
    void (*drain)(ScsiDevice *d);         /* host I/O comes to its end */
    void (*reset)(ScsiDevice *d);         /* by a task management function */
} ScsiDeviceOps;

struct ScsiDevice {
    Device dev; /* first */
    ScsiBus *bus;
    const ScsiDeviceOps *ops;
    uint32_t channel, target, lun; /* properties; -1: choose */
    char *bus_name;
};

/* clang-format off */
#define SCSI_DEVICE_PROPS(S) \
    { "bus", PROP_STRING, offsetof(S, scsi.bus_name), 0, \
      "board to sit at: ID.0 of a virtio-scsi" }, \
    { "channel", PROP_U32, offsetof(S, scsi.channel), 0, "always 0" }, \
    { "scsi-id", PROP_U32, offsetof(S, scsi.target), UINT32_MAX, \
      "target; default: the next free one" }, \
    { "lun", PROP_U32, offsetof(S, scsi.lun), UINT32_MAX, \
      "unit of the target; default: the next free one" }
/* clang-format on */

/* ---- for initiators --------------------------------------------------------- */

void scsi_bus_init(ScsiBus *bus, Device *owner, const ScsiBusOps *ops,
                   unsigned max_target, unsigned max_lun);
/* No request is left. Units that still sit there are without a bus then. */
void scsi_bus_fini(ScsiBus *bus);
/* NULL: nobody there. */
ScsiDevice *scsi_find(ScsiBus *bus, unsigned target, unsigned lun);
bool scsi_has_target(const ScsiBus *bus, unsigned target);
/* The target exists; the unit need not. */
void scsi_submit(ScsiBus *bus, unsigned target, unsigned lun, ScsiRequest *r);
/* Between the two, host I/O of several commands gathers. */
void scsi_bus_plug(ScsiBus *bus, bool on);
/* Ends now or when its host I/O does, with @why. */
void scsi_cancel(ScsiRequest *r, ScsiOutcome why);
/* Waits for all host I/O, then drops the requests that are left. */
void scsi_bus_forget(ScsiBus *bus);
bool scsi_bus_busy(const ScsiBus *bus); /* there is host I/O */
/* The @n-th bus of the machine, or NULL. */
ScsiBus *scsi_bus_at(Machine *m, unsigned n);

/* ---- for units --------------------------------------------------------------- */

/* Finds the bus and the place that the properties name. */
bool scsi_attach(ScsiDevice *d, const ScsiDeviceOps *ops, GError **errp);
void scsi_detach(ScsiDevice *d);

void scsi_end(ScsiRequest *r, uint8_t status);
void scsi_check(ScsiRequest *r, ScsiSense sense); /* ends it */
void scsi_overrun(ScsiRequest *r); /* as well: the buffers are too small */
/* Data for the guest, at most @alloc bytes of it; ends the request. */
void scsi_reply(ScsiRequest *r, const void *buf, size_t len, size_t alloc);
/* @len bytes of parameters in r->buffer; false: it ended. */
bool scsi_take_params(ScsiRequest *r, size_t len);
/* The request's host I/O can not be done now: it waits for the machine. */
void scsi_stop(ScsiRequest *r);
/* Fixed format; or, @descriptor, 8 bytes. The number of bytes. */
unsigned scsi_put_sense(uint8_t *buf, ScsiSense s, bool descriptor);
void scsi_report_luns(ScsiRequest *r);
/* Tells the initiator, if it wants to know. */
void scsi_changed(ScsiDevice *d, ScsiSense what);

#endif
