/*
 * System calls that the process gives up for good: -sandbox. Linux seccomp
 * filters, seccomp(2).
 */
#ifndef UTIL_SANDBOX_H
#define UTIL_SANDBOX_H

#include "util/osdep.h"

enum {
    SANDBOX_OBSOLETE = 1 << 0,  /* deny: what no program uses any more */
    SANDBOX_PRIVILEGE = 1 << 1, /* deny: becoming another user */
    SANDBOX_SPAWN = 1 << 2,     /* deny: other processes */
    SANDBOX_RESOURCE = 1 << 3,  /* deny: priorities and affinities */
};

/*
 * All threads of the process, now and later. Who makes a denied call is killed
 * (SIGSYS). Mounting, swapping, rebooting and the like are always denied.
 */
bool sandbox_enter(unsigned deny, GError **errp);

#endif
