/*
 * What QMP's values look like, as a table: arguments are checked against it
 * before a command runs, query-qmp-schema and docs/qmp.md are printed from it,
 * and a test compares what commands return.
 *
 * A type is: s string, i integer, n number, b boolean, q any value, e(x|y) one
 * of these strings, [TYPE a list, or the Name of a row. A row's definition is a
 * list of members, "name:type" or "name?:type", and "*" at the end when there
 * may be others; or one type, for which it is a name: "=e(x|y)".
 */
#ifndef MONITOR_QMP_TYPES_H
#define MONITOR_QMP_TYPES_H

#include "monitor/json.h"

typedef struct QmpType {
    const char *name, *def;
} QmpType;

extern const QmpType qmp_types[]; /* ends with a NULL name */

/* The definition of the type called @name (up to a space), or NULL. */
const QmpType *qmp_type_find(const char *name);

/* An event's data, and how often clients hear of it. */
typedef struct QmpEvent {
    const char *name, *data;
    const char *help;
    unsigned rate_ms;    /* at most one in this time; 0: all */
    const char *rate_by; /* the limit is for each value of this member */
} QmpEvent;

extern const QmpEvent qmp_events[]; /* ends with a NULL name */
const QmpEvent *qmp_event_find(const char *name);

#if CONFIG_JSON_C
/* Is @v of @type? @path names it in the error. */
bool qmp_check(json_object *v, const char *type, const char *path,
               GError **errp);
/* Is the object @v what the list of members @def says? @path NULL: members are
 * called by their names alone. */
bool qmp_check_members(json_object *v, const char *def, const char *path,
                       GError **errp);
#endif

#endif
