/*
 * What happened to a machine, for whoever watches: QMP events, the gdb stub.
 *
 * Events are named, and carry what QMP's do, in a form that needs no JSON:
 *
 *     machine_emit(m, "VSERPORT_CHANGE", EVENT_STR("id", port->id),
 *                  EVENT_BOOL("open", true));
 *
 * Any thread that holds the machine lock. Cheap when nobody watches. How often
 * clients hear of an event is limited by the monitor (monitor/event.c), not by
 * who emits it.
 */
#ifndef SYSTEM_EVENT_H
#define SYSTEM_EVENT_H

#include "util/osdep.h"

typedef struct Machine Machine;
typedef struct Device Device;

typedef enum EventKind {
    EVENT_END,
    EVENT_KIND_STR,
    EVENT_KIND_INT,
    EVENT_KIND_BOOL,
    EVENT_KIND_PATH,
} EventKind;

/* One member of the event's data. "info.type" is a member of a member. */
typedef struct EventValue {
    const char *key;
    EventKind kind;
    const char *s;     /* NULL: the member is left out */
    int64_t i;         /* also of EVENT_KIND_BOOL */
    const Device *dev; /* of EVENT_KIND_PATH */
} EventValue;

#define EVENT_STR(k, v) \
    ((EventValue) { .key = (k), .kind = EVENT_KIND_STR, .s = (v) })
#define EVENT_INT(k, v) \
    ((EventValue) { .key = (k), .kind = EVENT_KIND_INT, .i = (v) })
#define EVENT_BOOL(k, v) \
    ((EventValue) { .key = (k), .kind = EVENT_KIND_BOOL, .i = (v) })

/* Where clients find the device: "/machine/peripheral/net0". */
#define EVENT_PATH(k, d) \
    ((EventValue) { .key = (k), .kind = EVENT_KIND_PATH, .dev = (d) })

/* @event with any number of values behind it. Strings need not outlive the
 * call. */
#define machine_emit(m, event, ...) \
    machine_emit_values((m), (event), \
                        (const EventValue[]) { { 0 }, ##__VA_ARGS__, { 0 } } + \
                            1)
void machine_emit_values(Machine *m, const char *event,
                         const EventValue *values);

/* @values ends with EVENT_END. In the thread that emits, lock held. */
typedef void EventFn(Machine *m, const char *event, const EventValue *values,
                     void *opaque);
void machine_watch(Machine *m, EventFn *fn, void *opaque);
/* Not from inside @fn. */
void machine_unwatch(Machine *m, EventFn *fn, void *opaque);

/* The value of @key; NULL: there is none. */
const EventValue *event_value(const EventValue *values, const char *key);

#endif
