/*
 * -object: back ends that devices name by id (rng-random, secret,
 * filter-dump, throttle-group ...).
 *
 * An object is a Device whose class has bus "object": the same property tables,
 * the same realize and free. They are made before the devices and freed after
 * them; they are in machine->objects, never in machine->devices. Main thread,
 * machine lock held.
 */
#ifndef SYSTEM_OBJECT_H
#define SYSTEM_OBJECT_H

#include "system/machine.h"

#define OBJECT_BUS "object" /* DeviceClass.bus of an object's class */

/* Text of -object ("type,id=x,..." or JSON), or its options already parsed
 * (object-add). */
bool object_add(Machine *m, const char *text, GError **errp);
bool object_add_options(Machine *m, KeyVal *options, GError **errp);
bool object_del(Machine *m, const char *id, GError **errp); /* not in use */
/* The object @id of class @cls (NULL: any; "rng-": any that begins with it).
 * Error: no such, or another class, with the nearest name. */
Device *object_find(Machine *m, const char *id, const char *cls, GError **errp);
/* Users hold it: object_del is refused meanwhile. */
void object_ref(Device *obj);
void object_unref(Device *obj); /* NULL is fine */
void objects_free(Machine *m);

/* -machine memory-backend=@id, before the board is built: sets m->ram_host and
 * cfg.ram_size. */
bool machine_use_memory_backend(Machine *m, const char *id, GError **errp);

/* One for -object? (Here, so that a device needs nothing of object.c.) */
static inline bool object_class_is(const DeviceClass *dc)
{
    return dc->bus && strcmp(dc->bus, OBJECT_BUS) == 0;
}
/* Looks for network or other back ends in realize(): made after those. */
bool object_is_late(const char *qom_type);

#endif
