/*
 * Work that notices if it is changed on the way: sums over integers, SSE and
 * x87 numbers and a table in memory, one line a round, with a nap in between.
 * Whoever moves the machine compares with what the host's processor prints.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 48, WORDS = 1 << 18, STEPS = 200000 };

static uint64_t table[WORDS];

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

int main(int argc, char **argv)
{
    int nap = argc > 1 ? atoi(argv[1]) : 0;
    uint64_t x = 88172645463325252u, sum = 0, bits, last = now();
    volatile long double slow = 1;
    double fast = 1;
    float f[4] = { 1, 2, 3, 4 };

    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < STEPS; i++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            table[x % WORDS] += x;
            sum = (sum << 5 | sum >> 59) ^ table[(x >> 20) % WORDS];
            fast = fast * 1.0000001 + (double)(x & 0xffff) * 1e-9;
            f[i & 3] = f[i & 3] * 0.999f + f[(i + 1) & 3] * 0.001f;
            if (i % 64 == 0) {
                slow = slow * 1.00000001L + 1e-7L;
            }
        }
        memcpy(&bits, &fast, 8);
        sum ^= bits ^ (uint64_t)(slow * 1e9L) ^ (uint64_t)(f[0] * 1e6f);
        printf("sum %d %016llx\n", round, (unsigned long long)sum);
        fflush(stdout);
        if (now() < last) {
            printf("the clock went back\n");
        }
        last = now();
        usleep((useconds_t)nap * 1000);
    }
    printf("sum end\n");
    return 0;
}
