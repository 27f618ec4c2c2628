/*
 * A turn: a stretch of a thread in which others may leave it small work.
 *
 *     lock; turn_begin(&t, true);
 *     ... call devices ...
 *     turn_end(&t); unlock; turn_work(&t); lock; turn_done(&t); unlock;
 *
 * What a device starts in between need not go to another thread and come back:
 * it is done in turn_work(), which needs no lock, and reported in turn_done().
 * This is for a thread that would only wait otherwise, and for work that mostly
 * does not: a copy from or to the page cache.
 */
#ifndef UTIL_TURN_H
#define UTIL_TURN_H

#include "util/osdep.h"

typedef void TurnFn(void *opaque);

enum { TURN_MAX = 32 };

typedef struct Turn {
    bool works; /* turn_work() will be called; it may wait */
    unsigned n;
    struct {
        TurnFn *work, *done;
        void *opaque;
    } item[TURN_MAX];
} Turn;

/* False: this thread is in a turn already, which goes on. */
bool turn_begin(Turn *t, bool works);
/* From here on nothing is taken any more. */
void turn_end(Turn *t);
void turn_work(Turn *t);
void turn_done(Turn *t);

/* This thread is in a turn. */
bool turn_on(void);
/* @work (may be NULL), then @done. False: there is no turn, or none that works,
 * or it has enough: nothing is done. */
bool turn_add(TurnFn *work, TurnFn *done, void *opaque);

#endif
