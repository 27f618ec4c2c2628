/*
 * Disks of the command line: what -drive, -hda and -blockdev made, waiting for
 * the device that takes them.
 *
 * A drive belongs to the machine. A device names it by the id of -drive or the
 * node name of -blockdev (PROP_DRIVE) and takes it for itself when it is
 * realized; a second taker is told who has it. Main thread, machine lock held.
 */
#ifndef HW_BLOCK_DRIVE_H
#define HW_BLOCK_DRIVE_H

#include "block/blk.h"
#include "system/machine.h"

typedef enum DriveIf {
    IF_NONE, /* waits for -device ...,drive=id */
    IF_IDE,
    IF_SCSI,
    IF_VIRTIO,
    IF_FLOPPY,
    IF_PFLASH,
    IF_SD,
    IF_MTD,
    IF_COUNT,
} DriveIf;

/* What a monitor asks or wants of the tray of a drive for discs. */
typedef enum TrayOp {
    TRAY_OP_IS_OPEN,
    TRAY_OP_IS_LOCKED, /* by the guest */
    TRAY_OP_ASK,       /* the guest to open it: the button was pressed */
    TRAY_OP_OPEN,
    TRAY_OP_CLOSE,
} TrayOp;

typedef struct Drive {
    char *id; /* of -drive, or the node's name */
    DriveIf iface;
    bool if_default; /* no if= given: a -device may take it as well */
    int bus, unit, index;
    bool cdrom;
    char *serial;         /* NULL: the device's own */
    Blk *blk;             /* without a node: removable media without a disc */
    char *throttle_group; /* throttling.group */
    char *text;           /* the option, for messages */
    Machine *machine;
    Device *user;          /* who has it, or NULL */
    bool blockdev;         /* made of a node name when a device asked for it */
    bool connected;        /* drives_connect() found its device */
    char *werror, *rerror; /* "report", "stop", "enospc", "ignore", or NULL:
                              "enospc" and "report" */
    /* These three of errors.c: for query-block. */
    bool may_stop;         /* an error may stop the machine */
    const char *io_status; /* of the error that did: "failed", "nospace"; NULL:
                              none since it was started last */
    bool watching;
    void (*media_changed)(Device *user, bool loaded); /* eject, change */
    bool (*tray)(Device *user, TrayOp op); /* NULL: has none; the answer */
    void (*resized)(Device *user);         /* block_resize */
} Drive;

/* -drive: text of the option. */
bool drive_add(Machine *m, const char *text, GError **errp);
/* What an unused drive leaves behind: HMP drive_del. False if it is in use. */
bool drive_del(Machine *m, const char *id, GError **errp);
/* -blockdev, and its options already parsed (blockdev-add). The machine holds
 * one reference to the node until blockdev_del(). */
bool blockdev_add(Machine *m, const char *text, GError **errp);
/* The node that -blockdev describes, open in @g; one reference. */
BlockNode *blockdev_open(BlockGraph *g, KeyVal *options, GError **errp);
/* Refused while a device or another node has it. */
bool blockdev_del(Machine *m, const char *node, GError **errp);

/* For a device's realize: the drive @id (NULL: the property was not set) for
 * @dev. Errors: no such (with the nearest name), taken by whom. A node name
 * makes a Drive on the way. */
Drive *drive_take(Machine *m, const char *id, Device *dev, GError **errp);
/* In its unrealize, after the last request. NULL is fine. */
void drive_release(Drive *d);

Drive *drive_find(Machine *m, const char *id); /* NULL: no such */
/* In the order they were given: of Drive *. Never NULL. */
GPtrArray *machine_drives(Machine *m);
/* The nodes by name. Never NULL. */
BlockGraph *machine_block_graph(Machine *m);
/* After the board is built and -device has taken what it wants: makes devices
 * for the others, as their if= says. */
bool drives_connect(Machine *m, GError **errp);
/* Every request of every drive ends, also those that completions start. */
void drives_drain(Machine *m);
void drives_free(Machine *m); /* after the devices */

const char *drive_if_name(DriveIf iface); /* "virtio" */

#endif
