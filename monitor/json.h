/*
 * JSON values of the monitors, on json-c: building them and printing them as
 * QEMU does. Functions that take a child or give one away say so; everything
 * else borrows.
 */
#ifndef MONITOR_JSON_H
#define MONITOR_JSON_H

#include "util/osdep.h"

#if CONFIG_JSON_C
#include <json.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(json_object, json_object_put)

/* A member is added to @o; a NULL string adds nothing. */
void js_str(json_object *o, const char *key, const char *value);
void js_fmt(json_object *o, const char *key, const char *fmt, ...)
    G_GNUC_PRINTF(3, 4);
void js_int(json_object *o, const char *key, int64_t value);
void js_u64(json_object *o, const char *key, uint64_t value);
void js_bool(json_object *o, const char *key, bool value);
/* Takes @child and returns it. */
json_object *js_put(json_object *o, const char *key, json_object *child);
/* To the array @list: takes @child and returns it. */
json_object *js_add(json_object *list, json_object *child);

/* NULL or 0 when there is no such member of that type. */
json_object *js_get(json_object *o, const char *key);
const char *js_get_str(json_object *o, const char *key);
int64_t js_get_int(json_object *o, const char *key);
bool js_get_bool(json_object *o, const char *key);

/*
 * {"a": 1, "b": [true]}; with @pretty over several lines, four spaces per
 * level. Only ASCII comes out: the rest is escaped.
 */
void js_print(json_object *o, bool pretty, GString *out);
char *js_text(json_object *o);

#endif
#endif
