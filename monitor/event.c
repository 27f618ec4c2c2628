/*
 * Events to clients of QMP: JSON with a time, and no more of some than one per
 * second. The first goes out at once; of those that follow within the time the
 * last one goes out at its end.
 */
#include "util/osdep.h"
#include "monitor/event.h"
#include "monitor/qmp-cmds.h"

#if CONFIG_JSON_C

/* An event that clients have just heard of. */
typedef struct Recent {
    EventQueue *queue;
    char *key;            /* name, and the value the limit is for */
    json_object *waiting; /* the latest since; NULL: none */
    unsigned timer;
} Recent;

struct EventQueue {
    GHashTable *recent; /* key -> Recent */
    void (*send)(void *opaque, json_object *event);
    void *opaque;
};

static void recent_free(void *p)
{
    Recent *r = p;

    if (r->timer) {
        g_source_remove(r->timer);
    }
    json_object_put(r->waiting);
    g_free(r->key);
    g_free(r);
}

EventQueue *event_queue_new(void (*send)(void *opaque, json_object *event),
                            void *opaque)
{
    EventQueue *eq = g_new0(EventQueue, 1);

    eq->recent =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, recent_free);
    eq->send = send;
    eq->opaque = opaque;
    return eq;
}

void event_queue_free(EventQueue *eq)
{
    g_hash_table_unref(eq->recent);
    g_free(eq);
}

/* ---- to JSON ----------------------------------------------------------------- */

/* The object that "info.type" is a member of; @key is moved to "type". */
static json_object *descend(json_object *data, const char **key)
{
    const char *dot;

    while ((dot = strchr(*key, '.'))) {
        g_autofree char *name = g_strndup(*key, dot - *key);
        json_object *inner = js_get(data, name);

        data = inner ? inner : js_put(data, name, json_object_new_object());
        *key = dot + 1;
    }
    return data;
}

static void put_value(json_object *data, const EventValue *v)
{
    const char *key = v->key;
    json_object *to = descend(data, &key);
    g_autofree char *path = NULL;

    switch (v->kind) {
    case EVENT_KIND_STR:
        if (v->s) {
            js_str(to, key, v->s);
        }
        break;
    case EVENT_KIND_INT:
        js_int(to, key, v->i);
        break;
    case EVENT_KIND_PATH:
        path = qom_path(v->dev);
        js_str(to, key, path);
        break;
    default:
        js_bool(to, key, v->i != 0);
        break;
    }
}

static json_object *event_json(const char *name, const EventValue *values)
{
    int64_t now_us = g_get_real_time();
    json_object *o = json_object_new_object();
    json_object *time = js_put(o, "timestamp", json_object_new_object());

    js_int(time, "seconds", now_us / 1000000);
    js_int(time, "microseconds", now_us % 1000000);
    js_str(o, "event", name);
    if (values->kind != EVENT_END) {
        json_object *data = js_put(o, "data", json_object_new_object());

        for (; values->kind != EVENT_END; values++) {
            put_value(data, values);
        }
    }
    return o;
}

/* ---- limits ---------------------------------------------------------------------- */

static gboolean recent_over(void *opaque)
{
    Recent *r = opaque;

    if (r->waiting) {
        r->queue->send(r->queue->opaque, r->waiting);
        json_object_put(r->waiting);
        r->waiting = NULL;
        return G_SOURCE_CONTINUE;
    }
    r->timer = 0;
    g_hash_table_remove(r->queue->recent, r->key);
    return G_SOURCE_REMOVE;
}

static void remember(EventQueue *eq, const char *key, unsigned rate_ms)
{
    Recent *r = g_new0(Recent, 1);

    r->queue = eq;
    r->key = g_strdup(key);
    r->timer = g_timeout_add(rate_ms, recent_over, r);
    g_hash_table_insert(eq->recent, r->key, r);
}

static char *limit_key(const QmpEvent *e, const EventValue *values)
{
    const EventValue *by = e->rate_by ? event_value(values, e->rate_by) : NULL;

    return g_strdup_printf("%s %s", e->name, by && by->s ? by->s : "");
}

void event_queue_emit(EventQueue *eq, const char *name,
                      const EventValue *values)
{
    const QmpEvent *e = qmp_event_find(name);
    json_object *o = event_json(name, values);
    g_autofree char *key = NULL;
    Recent *r;

    if (e && e->rate_ms) {
        key = limit_key(e, values);
        r = g_hash_table_lookup(eq->recent, key);
        if (r) {
            json_object_put(r->waiting);
            r->waiting = o;
            return;
        }
        remember(eq, key, e->rate_ms);
    }
    eq->send(eq->opaque, o);
    json_object_put(o);
}

#endif
