/* The list of those who watch a machine. */
#include "util/osdep.h"
#include "system/event.h"
#include "system/machine.h"

typedef struct Watcher {
    EventFn *fn;
    void *opaque;
} Watcher;

void machine_emit_values(Machine *m, const char *event,
                         const EventValue *values)
{
    for (GSList *l = m->watchers; l; l = l->next) {
        const Watcher *w = l->data;

        w->fn(m, event, values, w->opaque);
    }
}

void machine_watch(Machine *m, EventFn *fn, void *opaque)
{
    Watcher *w = g_new(Watcher, 1);

    *w = (Watcher) { fn, opaque };
    m->watchers = g_slist_append(m->watchers, w);
}

void machine_unwatch(Machine *m, EventFn *fn, void *opaque)
{
    for (GSList *l = m->watchers; l; l = l->next) {
        Watcher *w = l->data;

        if (w->fn == fn && w->opaque == opaque) {
            m->watchers = g_slist_delete_link(m->watchers, l);
            g_free(w);
            return;
        }
    }
}

const EventValue *event_value(const EventValue *values, const char *key)
{
    for (; values->kind != EVENT_END; values++) {
        if (!strcmp(values->key, key)) {
            return values;
        }
    }
    return NULL;
}
