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
} DriveIf;

typedef struct Drive {
    char *id;
    DriveIf iface;
    int bus, unit;
    bool cdrom;
    char *serial;
    Blk *blk;      /* with an empty node for removable media without a disc */
    Device *user;  /* who has it, or NULL */
    bool blockdev; /* made of a node name when a device asked for it */
    char *werror, *rerror; /* "report", "stop", "enospc", "ignore" */
    void (*media_changed)(Device *user, bool loaded); /* eject, change */
    void (*resized)(Device *user);                    /* block_resize */
} Drive;

/* -drive: text of the option. */
bool drive_add(Machine *m, const char *text, GError **errp);
/* -blockdev. */
bool blockdev_add(Machine *m, const char *text, GError **errp);
/* For a device's realize: the drive @id for @dev; errors: no such (nearest
 * name), taken by whom. A node name makes a Drive on the way. */
Drive *drive_take(Machine *m, const char *id, Device *dev, GError **errp);
void drive_release(Drive *d);
Drive *drive_find(Machine *m, const char *id); /* NULL: no such */
/* In the order they were given: of Drive *. */
GPtrArray *machine_drives(Machine *m);
void drives_free(Machine *m); /* after the devices */

#endif
