/*
 * Image locks as QEMU takes them, so that either program keeps the other out:
 * byte 100 + n of the file is read-locked by who needs permission n, byte
 * 200 + n by who does not let others have it (open file description locks).
 */
#ifndef BLOCK_FILE_LOCK_H
#define BLOCK_FILE_LOCK_H

#include "util/osdep.h"

enum {
    PERM_CONSISTENT_READ = 1 << 0,
    PERM_WRITE = 1 << 1,
    PERM_WRITE_UNCHANGED = 1 << 2,
    PERM_RESIZE = 1 << 3,
    PERM_ALL = 15,
};

/* Holds until @fd is closed. Where the file system has no locks: true. */
bool file_lock(int fd, const char *filename, unsigned perm, unsigned shared,
               GError **errp);

#endif
