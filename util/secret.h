/*
 * "-object secret,id=ID,data=TEXT" or ",file=PATH" (with format=base64, unless
 * it is raw): passwords by name, so that they need not stand among options.
 *
 * Filled while the command line is read, by one thread; read by any.
 */
#ifndef UTIL_SECRET_H
#define UTIL_SECRET_H

#include "util/osdep.h"
#include "util/keyval.h"

/* Keys: id, data, file, format. */
bool secret_add(KeyVal *kv, GError **errp);
/* The bytes of secret @id, owned here, until secret_clear(); NULL: there is no
 * such secret, and @errp says so. */
const GByteArray *secret_find(const char *id, GError **errp);
void secret_clear(void); /* wipes them all */

#endif
