/*
 * Passwords by name: "--object secret,id=sec0,data=letmein" (or file=PATH,
 * format=raw|base64), used as encrypt.key-secret=sec0.
 *
 * The table is the process's, as QEMU's objects are: set up by the front end
 * before images are opened. Main thread.
 */
#ifndef UTIL_SECRET_H
#define UTIL_SECRET_H

#include "util/keyval.h"

/* Keys: id, data or file, format. */
bool secret_add(KeyVal *options, GError **errp);
bool secret_remove(const char *id);
/* Bytes of the secret, a new reference; NULL: there is none of that name. */
GBytes *secret_get(const char *id, GError **errp);

#endif
