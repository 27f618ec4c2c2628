/*
 * From a machine's events (system/event.h) to what clients of QMP read.
 * Machine lock held; emitting from any thread.
 */
#ifndef MONITOR_EVENT_H
#define MONITOR_EVENT_H

#include "monitor/json.h"
#include "system/event.h"

#if CONFIG_JSON_C

typedef struct EventQueue EventQueue;

/* @send gets every event that clients are to hear of; it borrows it. */
EventQueue *event_queue_new(void (*send)(void *opaque, json_object *event),
                            void *opaque);
void event_queue_free(EventQueue *eq); /* what waits is dropped */
void event_queue_emit(EventQueue *eq, const char *name,
                      const EventValue *values);

#endif
#endif
