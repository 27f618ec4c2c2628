/*
 * The main loop: file descriptors, deferred calls, and the clock's deadline,
 * on the default GMainContext.
 *
 * Callbacks run in the main thread with the machine lock held (the loop takes
 * the lock given to mainloop_set_lock() whenever it is not asleep in poll).
 */
#ifndef UTIL_MAINLOOP_H
#define UTIL_MAINLOOP_H

#include "util/osdep.h"

typedef void MainFn(void *opaque);
typedef bool MainFdFn(int fd, GIOCondition cond, void *opaque);

/* @lock is dropped around poll. NULL: none. Before the first callback. */
void mainloop_set_lock(GRecMutex *lock);
/* True in the main thread inside a callback, when @lock is the loop's: it is
 * held once on behalf of the loop. For who must let go of it for a while. */
bool mainloop_holds(const GRecMutex *lock);
/* Runs until mainloop_quit(). */
void mainloop_run(void);
void mainloop_quit(void); /* any thread */
/* Dispatches what is ready; @block waits for something first. True if there was
 * something. May be called from a callback. */
bool mainloop_iterate(bool block);

/* Calls @fn once from the main loop, in the order of the calls; also from an
 * iteration inside such a callback. Any thread. */
void mainloop_call(MainFn *fn, void *opaque);
/* @fn returns false to be removed. Id for mainloop_remove(). */
unsigned mainloop_add_fd(int fd, GIOCondition cond, MainFdFn *fn, void *opaque);
/* As above, and @fn is also called from an iteration inside itself: for those
 * whose callbacks wait for more of the same. */
unsigned mainloop_add_fd_nested(int fd, GIOCondition cond, MainFdFn *fn,
                                void *opaque);
void mainloop_remove(unsigned id);

#endif
