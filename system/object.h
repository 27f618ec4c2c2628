/*
 * -object: back ends that devices name by id (rng-random, secret,
 * filter-dump, throttle-group ...).
 *
 * An object is a Device whose class has bus "object": the same property tables,
 * the same realize and free. They are made before the devices and freed after
 * them. Main thread, machine lock held.
 */
#ifndef SYSTEM_OBJECT_H
#define SYSTEM_OBJECT_H

#include "system/machine.h"

/* Text of -object, or of object-add. */
bool object_add(Machine *m, const char *text, GError **errp);
bool object_del(Machine *m, const char *id, GError **errp); /* not in use */
/* The object @id of class @cls (NULL: any). Error: no such, or another class,
 * with the nearest name. */
Device *object_find(Machine *m, const char *id, const char *cls, GError **errp);
/* Users hold it: object_del is refused meanwhile. */
void object_ref(Device *obj);
void object_unref(Device *obj);
void objects_free(Machine *m);

#endif
