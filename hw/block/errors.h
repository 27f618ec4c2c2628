/*
 * What a disk does when the host cannot read or write: werror= and rerror= of
 * the device or its -drive. Main thread, machine lock held.
 */
#ifndef HW_BLOCK_ERRORS_H
#define HW_BLOCK_ERRORS_H

#include "hw/block/drive.h"

typedef enum ErrorAction {
    ON_ERROR_REPORT, /* to the guest */
    ON_ERROR_STOP,   /* the machine stops and the request waits */
    ON_ERROR_IGNORE, /* the guest is told that all went well */
    ON_ERROR_ENOSPC, /* stop if the disk is full, else report */
} ErrorAction;

typedef struct DriveErrors {
    ErrorAction write, read;
} DriveErrors;

/* @werror, @rerror: the device's properties; NULL: as @d says (also NULL). */
bool drive_errors_parse(DriveErrors *e, Drive *d, const char *werror,
                        const char *rerror, GError **errp);
/* Emits BLOCK_IO_ERROR for errno @err, and keeps what query-block says of the
 * drive; never ON_ERROR_ENOSPC. */
ErrorAction drive_error(const DriveErrors *e, Machine *m, const Blk *blk,
                        bool read, int err);

/* Before @d is freed. */
void drive_errors_forget(Drive *d);

#endif
