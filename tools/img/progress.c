/*
 * Progress of the one operation of the process, and signals: the first SIGINT
 * asks it to end, SIGUSR1 asks how far it is.
 */
#include "util/osdep.h"
#include "tools/img/img.h"

#include "util/log.h"

#include <signal.h>

enum { PATIENCE_US = 2000000 };

static struct {
    bool on, shown, automatic;
    double step, last;
    gint64 start; /* us */
    BlockJob job;
} progress;

static int cancel; /* atomic: a signal's number */
static int asked;  /* atomic: SIGUSR1 came */
static char *volatile half_made;

static void on_end(int sig)
{
    /* The second time it is meant. */
    if (__atomic_exchange_n(&cancel, sig, __ATOMIC_RELAXED)) {
        if (half_made) {
            unlink(half_made);
        }
        _exit(128 + sig);
    }
}

static void on_usr1(int sig)
{
    __atomic_store_n(&asked, 1, __ATOMIC_RELAXED);
}

static void catch_signals(void)
{
    static const int ends[] = { SIGINT, SIGTERM, SIGHUP };
    struct sigaction sa = { .sa_handler = on_usr1, .sa_flags = SA_RESTART };

    sigaction(SIGUSR1, &sa, NULL);
    sa.sa_handler = on_end;
    for (unsigned i = 0; i < G_N_ELEMENTS(ends); i++) {
        sigaction(ends[i], &sa, NULL);
    }
}

void img_half_made(const char *filename)
{
    char *old = half_made;

    catch_signals();
    half_made = filename ? g_strdup(filename) : NULL;
    g_free(old);
}

bool img_cancelled(void)
{
    return __atomic_load_n(&cancel, __ATOMIC_RELAXED) != 0;
}

void img_finish(void)
{
    int sig = __atomic_load_n(&cancel, __ATOMIC_RELAXED);

    if (sig) {
        if (half_made) {
            unlink(half_made);
        }
        signal(sig, SIG_DFL);
        raise(sig);
    }
    img_half_made(NULL);
}

static void show(double percent)
{
    printf("    (%3.2f/100%%)\r", percent);
    fflush(stdout);
    progress.shown = true;
    progress.last = percent;
}

void img_progress_set(double percent)
{
    if (__atomic_exchange_n(&asked, 0, __ATOMIC_RELAXED)) {
        fprintf(stderr, "    (%3.2f/100%%)\n", percent);
    }
    if (progress.automatic && !progress.on &&
        g_get_monotonic_time() - progress.start > PATIENCE_US) {
        progress.on = true;
    }
    if (progress.on &&
        (percent - progress.last >= progress.step || percent >= 100)) {
        show(percent);
    }
}

static void on_progress(void *opaque, uint64_t done, uint64_t total)
{
    img_progress_set(total ? 100.0 * (double)done / (double)total : 100.0);
}

const BlockJob *img_progress(const ImgArgs *a, double step)
{
    catch_signals();
    progress.on = img_has(a, 'p') && !img_has(a, 'q');
    progress.automatic = !img_has(a, 'q') && isatty(STDOUT_FILENO);
    progress.step = step;
    progress.last = 0;
    progress.start = g_get_monotonic_time();
    progress.job.progress = on_progress;
    progress.job.cancel = &cancel;
    if (progress.on) {
        show(0);
    }
    return &progress.job;
}

void img_progress_end(void)
{
    if (progress.shown) {
        printf("\n");
    }
    progress.shown = progress.on = progress.automatic = false;
}
