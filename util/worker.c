/* See worker.h. The pool of worker_run() is one for the process. */
#include "util/osdep.h"
#include "util/worker.h"

enum { POOL_THREADS = 32 };

typedef struct Job {
    WorkFn *fn;
    WorkDone *done;
    void *opaque;
    int ret;
} Job;

static void job_done(void *opaque)
{
    Job *j = opaque;

    j->done(j->opaque, j->ret);
    g_free(j);
}

static void job_run(gpointer data, gpointer pool)
{
    Job *j = data;

    j->ret = j->fn(j->opaque);
    mainloop_call(job_done, j);
}

void worker_run(WorkFn *fn, WorkDone *done, void *opaque)
{
    static GThreadPool *pool; /* made once, never freed */
    static gsize once;
    Job *j = g_new0(Job, 1);

    if (g_once_init_enter(&once)) {
        pool = g_thread_pool_new(job_run, NULL, POOL_THREADS, false, NULL);
        g_once_init_leave(&once, 1);
    }
    j->fn = fn;
    j->done = done;
    j->opaque = opaque;
    g_thread_pool_push(pool, j, NULL);
}

/* ---- groups ------------------------------------------------------------------- */

struct WorkGroup {
    GThreadPool *pool;
    GroupFn *fn;
    void *opaque;
    GMutex lock;
    GCond cond;
    unsigned busy; /* pushed and not done */
};

static void group_run(gpointer item, gpointer data)
{
    WorkGroup *g = data;

    g->fn(item, g->opaque);
    g_mutex_lock(&g->lock);
    g->busy--;
    g_cond_broadcast(&g->cond);
    g_mutex_unlock(&g->lock);
}

unsigned worker_cpus(void)
{
    return MAX(g_get_num_processors(), 1);
}

WorkGroup *work_group_new(unsigned threads, GroupFn *fn, void *opaque)
{
    WorkGroup *g = g_new0(WorkGroup, 1);

    g->fn = fn;
    g->opaque = opaque;
    g_mutex_init(&g->lock);
    g_cond_init(&g->cond);
    g->pool = g_thread_pool_new(
        group_run, g, (int)(threads ? threads : worker_cpus()), false, NULL);
    return g;
}

void work_group_push(WorkGroup *g, void *item, unsigned max)
{
    g_mutex_lock(&g->lock);
    while (max && g->busy >= max) {
        g_cond_wait(&g->cond, &g->lock);
    }
    g->busy++;
    g_mutex_unlock(&g->lock);
    g_thread_pool_push(g->pool, item, NULL);
}

/* Until all pushed items are done. */
static void work_group_wait(WorkGroup *g)
{
    g_mutex_lock(&g->lock);
    while (g->busy) {
        g_cond_wait(&g->cond, &g->lock);
    }
    g_mutex_unlock(&g->lock);
}

void work_group_free(WorkGroup *g)
{
    work_group_wait(g);
    g_thread_pool_free(g->pool, false, true);
    g_mutex_clear(&g->lock);
    g_cond_clear(&g->cond);
    g_free(g);
}
