/*
 * What something took, however busy the host is: the CPU time of this process
 * and all its threads, in microseconds.
 */
#ifndef TESTS_LIB_COST_H
#define TESTS_LIB_COST_H

#include "util/osdep.h"
#include <time.h>

static inline int64_t cost_us(void)
{
    struct timespec t;

    g_assert_cmpint(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), ==, 0);
    return t.tv_sec * G_USEC_PER_SEC + t.tv_nsec / 1000;
}

#endif
