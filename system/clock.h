/*
 * Clocks that can be held, and timers on them.
 *
 * A machine has one virtual clock: it runs while the machine runs and stands
 * still while it is stopped. Devices and the TSC read nothing else. A test
 * makes a manual clock and steps it.
 *
 * Nanoseconds everywhere. clock_ns() may be called from any thread; timers are
 * armed and fire with the machine lock held. They fire in the main thread, or,
 * when that does not get its turn on a busy host, in a vCPU's (clock_late()).
 */
#ifndef SYSTEM_CLOCK_H
#define SYSTEM_CLOCK_H

#include "util/osdep.h"

typedef struct Clock Clock;
typedef struct Timer Timer;

typedef void TimerFn(void *opaque);

struct Timer { /* embedded in the device; these belong to clock.c */
    Clock *clock;
    TimerFn *fn;
    void *opaque;
    int64_t expire; /* absolute; -1: not armed */
    uint64_t seq;   /* of two due at the same time the older one is first */
    size_t heap_idx;
};

/* Follows the host's monotonic clock from 0; created stopped. Its timers fire
 * from the main loop. */
Clock *clock_new(void);
/* Moves only by clock_step(), which fires timers in order on the way. */
Clock *clock_new_manual(void);
/* So that the RTC of a test has no wall clock either. */
bool clock_is_manual(const Clock *clk);
void clock_free(Clock *clk);

int64_t clock_ns(Clock *clk);
void clock_start(Clock *clk);
void clock_stop(Clock *clk);
void clock_set(Clock *clk, int64_t ns); /* loading a snapshot; stopped */
void clock_step(Clock *clk, int64_t ns);
/* A timer should have fired more than @slack_ns ago. Any thread, no lock; false
 * for a clock that stands or is manual. */
bool clock_late(Clock *clk, int64_t slack_ns);
/* Fires what is due. Machine lock held, any thread. */
void clock_fire(Clock *clk);
/* When the first armed timer is due, or -1. */
int64_t clock_deadline(Clock *clk);

void timer_init(Timer *t, Clock *clk, TimerFn *fn, void *opaque);
/* Moves it if it is armed. The past is now, a negative time is 0. */
void timer_arm(Timer *t, int64_t expire_ns);
void timer_cancel(Timer *t); /* before its owner is freed, too */
static inline bool timer_armed(const Timer *t)
{
    return t->expire >= 0;
}

/* a * b / c without overflow in between: ticks to ns and back. */
static inline uint64_t muldiv64(uint64_t a, uint64_t b, uint64_t c)
{
    return (uint64_t)((unsigned __int128)a * b / c);
}

#endif
