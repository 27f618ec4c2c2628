/* See turn.h. */
#include "util/osdep.h"
#include "util/turn.h"

static __thread Turn *turn_now;

bool turn_begin(Turn *t, bool works)
{
    if (turn_now) {
        return false;
    }
    t->works = works;
    t->n = 0;
    turn_now = t;
    return true;
}

void turn_end(Turn *t)
{
    g_assert(turn_now == t);
    turn_now = NULL;
}

void turn_work(Turn *t)
{
    for (unsigned i = 0; i < t->n; i++) {
        if (t->item[i].work) {
            t->item[i].work(t->item[i].opaque);
        }
    }
}

void turn_done(Turn *t)
{
    for (unsigned i = 0; i < t->n; i++) {
        t->item[i].done(t->item[i].opaque);
    }
}

bool turn_on(void)
{
    return turn_now != NULL;
}

bool turn_add(TurnFn *work, TurnFn *done, void *opaque)
{
    Turn *t = turn_now;

    if (!t || (work && !t->works) || t->n == TURN_MAX) {
        return false;
    }
    t->item[t->n].work = work;
    t->item[t->n].done = done;
    t->item[t->n++].opaque = opaque;
    return true;
}
