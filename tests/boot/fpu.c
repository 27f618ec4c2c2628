/*
 * Floating point and vectors under a real kernel: the program's output in the
 * guest must be the host's. It is its own init there.
 *
 * libm, printf and strings (their best versions for the processor), traps with
 * their signal codes, and threads whose registers must survive each other and
 * signal handlers that ruin all of them.
 */
#define _GNU_SOURCE
#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* FNV-1a of everything computed. */
static uint64_t sum = UINT64_C(14695981039346656037);

static void mix(const void *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        sum = (sum ^ ((const uint8_t *)p)[i]) * UINT64_C(1099511628211);
    }
}

static void report(const char *what)
{
    printf("%s %016llx\n", what, (unsigned long long)sum);
}

/* ---- libraries -------------------------------------------------------------- */

static void doubles(void)
{
    for (int i = -50000; i < 50000; i++) {
        double x = i * 0.0137;
        double r[] = {
            sin(x),       exp(x / 100),  log(fabs(x) + 1), pow(fabs(x), 0.3),
            tan(x),       atan(x),       cbrt(x),          tgamma(x / 300),
            rint(x * 10), fmod(x, 0.77), sqrt(fabs(x)),
        };
        float f[] = { sinf(x), expf(x / 50), sqrtf(fabsf(x)) };

        mix(r, sizeof(r));
        mix(f, sizeof(f));
    }
    report("double");
}

static void long_doubles(void)
{
    for (int i = -10000; i < 10000; i++) {
        long double x = i * 0.0137L;
        long double r[] = {
            sinl(x),  expl(x / 100), logl(fabsl(x) + 1), fmodl(x, 0.7L),
            rintl(x), tanl(x),       sqrtl(fabsl(x)),
        };

        for (size_t k = 0; k < sizeof(r) / sizeof(r[0]); k++) {
            mix(&r[k], 10);
        }
    }
    report("long double");
}

static void printing(void)
{
    char buf[200];

    for (int i = 0; i < 20000; i++) {
        double d = ldexp(1.0 + i * 1.2345678, i % 2000 - 1000), back;
        int n = snprintf(buf, sizeof(buf), "%.17g %La", d, (long double)d / 3);

        mix(buf, n);
        back = strtod(buf, NULL);
        mix(&back, sizeof(back));
    }
    report("printf");
}

static void strings(void)
{
    static char a[600], b[600];

    srand(1);
    for (int i = 0; i < 30000; i++) {
        int at = rand() % 64, len = rand() % 300, to = i % 32, r[5];

        memset(a, 'a' + i % 26, 400);
        a[at + len] = 0;
        memcpy(b + to, a + at, len + 1);
        r[0] = strlen(b + to);
        r[1] = strchr(b + to, 'z') != NULL;
        r[2] = strcmp(a + at, b + to) == 0;
        r[3] = (char *)memchr(a, 0, 450) - a;
        memmove(b + 5, b + to, len);
        r[4] = memcmp(b + 5, a + at, len) == 0;
        mix(r, sizeof(r));
    }
    report("strings");
}

/* ---- traps --------------------------------------------------------------------- */

static sigjmp_buf out;
static volatile int code;

static void on_fpe(int sig, siginfo_t *info, void *context)
{
    code = info->si_code;
    siglongjmp(out, 1);
}

static void trap(const char *what, bool x87)
{
    struct sigaction sa = { .sa_sigaction = on_fpe, .sa_flags = SA_SIGINFO };
    volatile double z = 0, one = 1;
    volatile long double lz = 0, lone = 1;

    sigaction(SIGFPE, &sa, NULL);
    code = 0;
    if (sigsetjmp(out, 1) == 0) {
        feenableexcept(FE_DIVBYZERO);
        if (x87) {
            lone = lone / lz;
            lone = lone + 1; /* reported here */
        } else {
            one = one / z;
        }
    }
    fedisableexcept(FE_ALL_EXCEPT);
    feclearexcept(FE_ALL_EXCEPT);
    printf("%s trap %d\n", what, code);
}

/* ---- context switches ------------------------------------------------------------- */

enum { THREADS = 5 };

static volatile bool stop;
static int signals, damage;

static void on_alarm(int sig)
{
    uint32_t mxcsr = 0x9fc0;

    signals++;
    __asm__ volatile("fninit; fld1; fldpi\n\t"
                     "pxor %%xmm0, %%xmm0; pxor %%xmm7, %%xmm7\n\t"
                     "ldmxcsr %0"
                     :
                     : "m"(mxcsr)
                     : "xmm0", "xmm7");
    if (__builtin_cpu_supports("avx")) {
        __asm__ volatile("vzeroall");
    }
}

/* One round with everything in registers. false: something was lost. */
static bool keep(uint64_t id, bool avx)
{
    uint8_t in[32], high[32];
    long double x = 1.0L + id, acc;

    memset(in, (int)id, sizeof(in));
    memset(high, (int)id, sizeof(high));
    if (avx) {
        __asm__ volatile("vmovdqu %0, %%ymm5" : : "m"(in) : "xmm5");
    }
    __asm__ volatile("movdqu %1, %%xmm13; fldt %2; fld1\n\t"
                     "mov $2000, %%ecx\n"
                     "1: dec %%ecx; jnz 1b\n\t"
                     "faddp; fstpt %0\n\t"
                     "movdqu %%xmm13, %3"
                     : "=m"(acc)
                     : "m"(in), "m"(x), "m"(high)
                     : "ecx", "xmm13", "memory");
    if (avx) {
        __asm__ volatile("vmovdqu %%ymm5, %0" : "=m"(high) : : "memory");
    }
    return memcmp(in, high, sizeof(in)) == 0 && acc == x + 1;
}

static void *spin(void *arg)
{
    uint64_t id = (uintptr_t)arg;
    uint32_t mxcsr = 0x1f80 | (id & 3) << 13, mxcsr2;
    uint16_t fcw = 0x37f | (id & 3) << 10, fcw2;
    bool avx = __builtin_cpu_supports("avx");

    __asm__ volatile("ldmxcsr %0; fldcw %1" : : "m"(mxcsr), "m"(fcw));
    while (!stop) {
        bool good = keep(id, avx);

        __asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(mxcsr2), "=m"(fcw2));
        if (!good || (mxcsr2 & ~0x3fu) != mxcsr || fcw2 != fcw) {
            __atomic_add_fetch(&damage, 1, __ATOMIC_RELAXED);
        }
    }
    return NULL;
}

static void threads(void)
{
    struct itimerval every = { { 0, 3000 }, { 0, 3000 } };
    struct timespec wait = { .tv_sec = 2 };
    pthread_t t[THREADS];

    signal(SIGALRM, on_alarm);
    setitimer(ITIMER_REAL, &every, NULL);
    for (uintptr_t i = 0; i < THREADS; i++) {
        pthread_create(&t[i], NULL, spin, (void *)(i + 1));
    }
    while (nanosleep(&wait, &wait) != 0) {
    }
    stop = true;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(t[i], NULL);
    }
    signal(SIGALRM, SIG_IGN);
    printf("threads: damage %d, signals %s\n", damage,
           signals > 20 ? "many" : "few");
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    puts("BEGIN");
    doubles();
    long_doubles();
    printing();
    strings();
    trap("sse", false);
    trap("x87", true);
    threads();
    puts("END");
    if (getpid() == 1) {
        reboot(RB_POWER_OFF);
    }
    return 0;
}
