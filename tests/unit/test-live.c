/*
 * Jobs on a disk that a guest is using: a guest writes at random all the time,
 * and what comes out is compared with a model of its disk.
 */
#include "util/osdep.h"
#include "block/live-job.h"
#include "tests/lib/image.h"
#include "tests/lib/mem-disk.h"

#include "util/mainloop.h"

#include <glib/gstdio.h>

enum { SIZE = 6 << 20, SLOTS = 8, PIECE = 12288 };

typedef struct Guest Guest;

typedef struct Slot {
    Guest *g;
    uint8_t buf[PIECE];
    struct iovec iov;
    uint64_t off;
    bool busy;
} Slot;

struct Guest {
    Blk *blk;
    GRand *r;
    uint8_t *model;
    Slot slots[SLOTS];
    uint64_t writes;
    bool stop;
    unsigned ready, concluded, faults;
    LiveFault fault;
    char *error;
};

static BlockNode *open_rw(const char *name, const char *fmt)
{
    return open_as(name, fmt, BLOCK_RDWR | BLOCK_UNMAP);
}

/* ---- the guest ------------------------------------------------------------------- */

static void guest_next(Slot *s);

static void guest_done(void *opaque, int ret)
{
    Slot *s = opaque;

    g_assert_cmpint(ret, ==, 0);
    s->busy = false;
    if (!s->g->stop) {
        guest_next(s);
    }
}

/* Each slot has a part of the disk for itself: no write races another. */
static void guest_next(Slot *s)
{
    Guest *g = s->g;
    unsigned n = (unsigned)(s - g->slots), part = SIZE / SLOTS;
    uint64_t len = (uint64_t)g_rand_int_range(g->r, 1, PIECE / 512) * 512;

    s->off =
        (uint64_t)n * part +
        (uint64_t)g_rand_int_range(g->r, 0, (int)((part - len) / 512)) * 512;
    s->busy = true;
    g->writes++;
    if (g_rand_int_range(g->r, 0, 10) == 0) {
        memset(g->model + s->off, 0, len);
        blk_submit(g->blk, BLK_ZERO, s->off, len, NULL, 0, ZERO_MAY_UNMAP,
                   guest_done, s);
        return;
    }
    memset(s->buf, g_rand_int_range(g->r, 1, 256), len);
    memcpy(g->model + s->off, s->buf, len);
    s->iov.iov_base = s->buf;
    s->iov.iov_len = len;
    blk_submit(g->blk, BLK_WRITE, s->off, len, &s->iov, 1, 0, guest_done, s);
}

static void guest_go(Guest *g)
{
    g->stop = false;
    for (unsigned i = 0; i < SLOTS; i++) {
        g->slots[i].g = g;
        guest_next(&g->slots[i]);
    }
}

static void guest_stop(Guest *g)
{
    g->stop = true;
    blk_drain(g->blk);
}

static void guest_init(Guest *g, BlockNode *bn)
{
    memset(g, 0, sizeof(*g));
    g->blk = blk_new("disk0", bn, BLK_AIO_DEFAULT);
    g->r = g_rand_new_with_seed(g_test_rand_int());
    g->model = g_malloc0(SIZE);
    g_assert_cmpint(block_pread(bn, 0, g->model, SIZE), ==, 0);
}

static void guest_end(Guest *g)
{
    blk_free(g->blk);
    g_rand_free(g->r);
    g_free(g->model);
    g_free(g->error);
}

static void guest_some(Guest *g, unsigned n)
{
    uint64_t until = g->writes + n;

    guest_go(g);
    while (g->writes < until) {
        mainloop_iterate(true);
    }
    guest_stop(g);
}

static void on_event(void *opaque, LiveJob *job, LiveEvent ev)
{
    Guest *g = opaque;

    g->ready += ev == LIVE_EV_READY;
    if (ev == LIVE_EV_ERROR) {
        g->faults++;
        g->fault = live_info(job)->fault;
    }
    if (ev == LIVE_EV_CONCLUDED) {
        g->concluded++;
        g_free(g->error);
        g->error = g_strdup(live_info(job)->error);
    }
}

/* A guest that writes faster than the job copies would go on for ever: after a
 * while it has a rest. */
static void until_ready(Guest *g)
{
    uint64_t enough = g->writes + 1000;
    bool rests = false;

    while (!g->ready && !g->concluded) {
        if (g->writes > enough && !rests) {
            rests = true;
            guest_stop(g);
        } else {
            mainloop_iterate(true);
        }
    }
    g_assert_cmpstr(g->error, ==, NULL);
    if (rests) {
        guest_go(g);
    }
}

static void until_concluded(Guest *g)
{
    while (!g->concluded) {
        mainloop_iterate(true);
    }
}

static void expect(BlockNode *bn, const uint8_t *model, const char *what)
{
    g_autofree uint8_t *buf = g_malloc(SIZE);
    CheckResult res = { 0 };
    g_autoptr(GError) err = NULL;

    g_assert_cmpint(block_pread(bn, 0, buf, SIZE), ==, 0);
    for (unsigned i = 0; i < SIZE; i += 512) {
        if (memcmp(buf + i, model + i, 512) != 0) {
            g_error("%s: sector %u is %#x, not %#x", what, i / 512, buf[i],
                    model[i]);
        }
    }
    if (bn->drv->check) {
        block_check(bn, &res, 0, &err);
        g_assert_no_error(err);
        g_assert_cmpuint(res.corruptions, ==, 0);
    }
}

static void expect_file(const char *name, const char *fmt, const uint8_t *model)
{
    BlockNode *bn = open_as(name, fmt, 0);

    expect(bn, model, name);
    block_close(bn, NULL);
}

static void clean_up(void)
{
    GDir *d = g_dir_open(image_dir(), 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(d))) {
        g_autofree char *path = path_of(name);

        g_unlink(path);
    }
    g_dir_close(d);
}

/* base <- mid <- top, each with some data. */
static void make_chain(void)
{
    static const char *const names[] = { "base", "mid", "top" };
    g_autofree uint8_t *buf = g_malloc(300000);

    for (unsigned i = 0; i < 3; i++) {
        g_autofree char *opts =
            i ? g_strdup_printf("size=6M,backing_fmt=qcow2,backing_file=%s/%s",
                                image_dir(), names[i - 1])
              : g_strdup("size=6M");
        BlockNode *bn;

        create(names[i], "qcow2", opts);
        bn = open_rw(names[i], "qcow2");
        for (unsigned k = 0; k < 6; k++) {
            memset(buf, (int)(16 * i + k + 1), 300000);
            g_assert_cmpint(
                block_pwrite(bn, (k * 7 + i * 3) % 20 * 300000, buf, 300000),
                ==, 0);
        }
        g_assert_cmpint(block_zero(bn, i * 900000 + 100000, 200000, 0), ==, 0);
        block_close(bn, NULL);
    }
}

static LiveOpts opts_of(Guest *g)
{
    return (LiveOpts) { .event = on_event, .opaque = g };
}

/* ---- mirror ------------------------------------------------------------------------- */

static void test_mirror(void)
{
    LiveJobs *all = live_jobs_new();
    g_autoptr(GError) err = NULL;
    BlockNode *target;
    Guest g;
    LiveOpts o = opts_of(&g);
    LiveJob *job;

    make_chain();
    create("copy", "raw", "size=6M");
    guest_init(&g, open_rw("top", "qcow2"));
    target = open_rw("copy", "raw");
    guest_go(&g);
    job = live_mirror_start(all, g.blk, target, LIVE_FULL, 0,
                            MIRROR_TARGET_ZERO, &o, &err);
    g_assert_no_error(err);
    g_assert_true(live_of_blk(all, g.blk) == job);
    g_assert_null(live_mirror_start(all, g.blk, target, LIVE_FULL, 0,
                                    MIRROR_TARGET_ZERO, &o, &err));
    g_assert_cmpstr(err->message, ==,
                    "Device 'disk0' is busy: block device is in use by block "
                    "job: mirror");
    g_clear_error(&err);
    block_close(target, NULL);
    until_ready(&g);
    g_assert_cmpint(live_info(job)->status, ==, LIVE_READY);
    live_complete(job, &err);
    g_assert_no_error(err);
    until_concluded(&g);
    g_assert_cmpstr(g.error, ==, NULL);
    g_assert_true(blk_node(g.blk) == target);
    guest_stop(&g);
    guest_some(&g, 50);
    expect(target, g.model, "the disk");
    live_jobs_free(all);
    guest_end(&g);
    clean_up();
}

/* Cancelled when ready, the target is a copy and the disk stays; before that,
 * or with force, it is just the end. */
static void test_mirror_cancel(gconstpointer how)
{
    LiveJobs *all = live_jobs_new();
    g_autoptr(GError) err = NULL;
    BlockNode *target, *source;
    Guest g;
    LiveOpts o = opts_of(&g);
    bool early = GPOINTER_TO_INT(how) == 1, force = GPOINTER_TO_INT(how) == 2;
    LiveJob *job;

    create("src", "qcow2", "size=6M");
    create("copy", "qcow2", "size=6M");
    guest_init(&g, open_rw("src", "qcow2"));
    source = blk_node(g.blk);
    guest_some(&g, 200);
    target = open_rw("copy", "qcow2");
    o.speed = early ? 65536 : 0;
    job = live_mirror_start(all, g.blk, target, LIVE_FULL, 4096,
                            MIRROR_TARGET_ZERO, &o, &err);
    g_assert_no_error(err);
    if (!early) {
        until_ready(&g);
        g_assert_true(live_pause(job, &err));
        g_assert_cmpint(live_info(job)->status, ==, LIVE_STANDBY);
        g_assert_true(live_resume(job, &err));
        live_set_speed(job, 1 << 30);
    } else {
        g_assert_false(live_complete(job, NULL));
    }
    guest_some(&g, 100);
    live_cancel(job, force);
    until_concluded(&g);
    g_assert_cmpstr(g.error, ==, early || force ? "cancelled" : NULL);
    g_assert_true(blk_node(g.blk) == source);
    if (!early && !force) {
        expect(target, g.model, "the copy");
    }
    block_close(target, NULL);
    guest_some(&g, 100);
    expect(source, g.model, "the disk");
    live_jobs_free(all);
    guest_end(&g);
    clean_up();
}

/* The top layer alone; the target gets the backing file when it takes over. */
static void test_mirror_top(void)
{
    LiveJobs *all = live_jobs_new();
    g_autofree char *opts = g_strdup_printf(
        "size=6M,backing_fmt=qcow2,backing_file=%s/mid", image_dir());
    g_autoptr(GError) err = NULL;
    BlockNode *target;
    Guest g;
    LiveOpts o = opts_of(&g);
    LiveJob *job;

    make_chain();
    create("copy", "qcow2", opts);
    guest_init(&g, open_rw("top", "qcow2"));
    target =
        open_as("copy", "qcow2", BLOCK_RDWR | BLOCK_UNMAP | BLOCK_NO_BACKING);
    job = live_mirror_start(all, g.blk, target, LIVE_TOP, 0, 0, &o, &err);
    g_assert_no_error(err);
    block_close(target, NULL);
    guest_go(&g);
    until_ready(&g);
    live_complete(job, &err);
    until_concluded(&g);
    g_assert_cmpstr(g.error, ==, NULL);
    guest_stop(&g);
    expect(blk_node(g.blk), g.model, "the disk");
    live_jobs_free(all);
    guest_some(&g, 30);
    expect(blk_node(g.blk), g.model, "the disk, later");
    blk_free(g.blk);
    expect_file("copy", "qcow2", g.model);
    g.blk = NULL;
    g_rand_free(g.r);
    g_free(g.model);
    clean_up();
}

/* What the guest was told is written, the target has. */
static void test_mirror_blocking(void)
{
    LiveJobs *all = live_jobs_new();
    g_autoptr(GError) err = NULL;
    BlockNode *target;
    Guest g;
    LiveOpts o = opts_of(&g);
    LiveJob *job;

    make_chain();
    create("copy", "qcow2", "size=6M");
    guest_init(&g, open_rw("top", "qcow2"));
    target = open_rw("copy", "qcow2");
    guest_go(&g);
    job = live_mirror_start(all, g.blk, target, LIVE_FULL, 0,
                            MIRROR_TARGET_ZERO | MIRROR_BLOCKING, &o, &err);
    g_assert_no_error(err);
    until_ready(&g);
    guest_stop(&g);
    for (int i = 0; i < 5; i++) {
        /* the thread may rest: it is not needed any more */
        guest_some(&g, 60);
        expect(target, g.model, "the target");
    }
    guest_go(&g);
    live_complete(job, &err);
    g_assert_no_error(err);
    until_concluded(&g);
    g_assert_cmpstr(g.error, ==, NULL);
    guest_stop(&g);
    g_assert_true(blk_node(g.blk) == target);
    guest_some(&g, 50);
    expect(target, g.model, "the disk");
    block_close(target, NULL);
    live_jobs_free(all);
    guest_end(&g);
    clean_up();
}

/* Paused when the thread has copied all and nobody has heard of it yet. */
static void test_mirror_pause_ready(void)
{
    LiveJobs *all = live_jobs_new();
    g_autoptr(GError) err = NULL;
    BlockNode *target;
    Guest g;
    LiveOpts o = opts_of(&g);
    LiveJob *job;
    bool ready = false;

    create("src", "qcow2", "size=6M");
    create("dst", "raw", "size=6M");
    guest_init(&g, open_rw("src", "qcow2"));
    target = open_rw("dst", "raw");
    job = live_mirror_start(all, g.blk, target, LIVE_FULL, 0, 0, &o, &err);
    g_assert_no_error(err);
    while (!ready) { /* without the main loop */
        g_usleep(1000);
        g_mutex_lock(&job->lock);
        ready = job->ready;
        g_mutex_unlock(&job->lock);
    }
    g_assert_true(live_pause(job, &err));
    g_assert_cmpint(live_info(job)->status, ==, LIVE_PAUSED);
    until_ready(&g);
    g_assert_cmpuint(g.ready, ==, 1);
    g_assert_cmpint(live_info(job)->status, ==, LIVE_STANDBY);
    g_assert_true(live_resume(job, &err));
    g_assert_cmpint(live_info(job)->status, ==, LIVE_READY);
    g_assert_true(live_complete(job, &err));
    until_concluded(&g);
    g_assert_cmpstr(g.error, ==, NULL);
    g_assert_cmpuint(g.ready, ==, 1);
    live_jobs_free(all);
    block_close(target, NULL);
    guest_end(&g);
    clean_up();
}

/* ---- errors ---------------------------------------------------------------------------- */

static void until_faults(Guest *g, unsigned n)
{
    while (g->faults < n && !g->concluded) {
        mainloop_iterate(true);
    }
    g_assert_cmpuint(g->faults, >=, n);
}

typedef struct OnError {
    const char *name;
    LiveOnError policy;
    bool backup;
    int error;
    LiveOnError action; /* what comes of it */
} OnError;

static const OnError on_errors[] = {
    { "mirror/report", LIVE_REPORT, false, ENOSPC, LIVE_REPORT },
    { "mirror/ignore", LIVE_IGNORE, false, EIO, LIVE_IGNORE },
    { "mirror/stop", LIVE_STOP, false, EIO, LIVE_STOP },
    { "mirror/enospc", LIVE_ENOSPC, false, ENOSPC, LIVE_STOP },
    { "mirror/enospc-other", LIVE_ENOSPC, false, EIO, LIVE_REPORT },
    { "backup/report", LIVE_REPORT, true, EIO, LIVE_REPORT },
    { "backup/ignore", LIVE_IGNORE, true, ENOSPC, LIVE_IGNORE },
    { "backup/stop", LIVE_STOP, true, ENOSPC, LIVE_STOP },
};

/* The target fails for a while. */
static void test_on_error(gconstpointer opaque)
{
    const OnError *c = opaque;
    LiveJobs *all = live_jobs_new();
    g_autofree uint8_t *zero = g_malloc0(SIZE);
    g_autoptr(GError) err = NULL;
    BlockNode *target;
    MemDisk d;
    Guest g;
    LiveOpts o = opts_of(&g);
    LiveJob *job;

    create("src", "qcow2", "size=6M");
    guest_init(&g, open_rw("src", "qcow2"));
    guest_some(&g, 300);
    mem_disk_init(&d, zero, SIZE);
    d.fail_errno = c->error;
    d.fail_at = 5;
    d.fail_on = true;
    target = block_open_over(mem_disk_node(&d, BLOCK_RDWR), "raw", NULL,
                             BLOCK_RDWR, &err);
    g_assert_no_error(err);
    o.on_target = c->policy;
    job = c->backup ? live_backup_start(all, g.blk, target, LIVE_FULL, NULL,
                                        false, &o, &err)
                    : live_mirror_start(all, g.blk, target, LIVE_FULL, 0, 0, &o,
                                        &err);
    g_assert_no_error(err);
    until_faults(&g, c->action == LIVE_IGNORE ? 3 : 1);
    g_assert_cmpint(g.fault.action, ==, c->action);
    g_assert_true(g.fault.write);
    g_assert_true(g.fault.nospace == (c->error == ENOSPC));
    if (c->action == LIVE_REPORT) {
        until_concluded(&g);
        g_assert_nonnull(strstr(g.error, "writing the target"));
    } else {
        g_assert_cmpuint(g.concluded, ==, 0);
        if (c->action == LIVE_STOP) {
            g_assert_cmpint(live_info(job)->status, ==, LIVE_PAUSED);
            g_assert_true(live_info(job)->stopped);
        }
        g_atomic_int_set(&d.fail_at, 0); /* the job may be looking */
        if (c->action == LIVE_STOP) {
            g_assert_true(live_resume(job, &err));
        }
        if (!c->backup) {
            until_ready(&g);
            live_complete(job, &err);
        }
        until_concluded(&g);
        g_assert_cmpstr(g.error, ==, NULL);
        expect(target, g.model, "the target");
    }
    live_jobs_free(all);
    guest_end(&g);
    block_close(target, NULL);
    mem_disk_clear(&d);
    clean_up();
}

/* Resumed when the thread has met an error and nobody has heard of it yet: the
 * error comes first, and the job goes on. */
static void test_on_error_resumed(void)
{
    LiveJobs *all = live_jobs_new();
    g_autofree uint8_t *zero = g_malloc0(SIZE);
    g_autoptr(GError) err = NULL;
    BlockNode *target;
    MemDisk d;
    Guest g;
    LiveOpts o = opts_of(&g);
    LiveJob *job;
    bool stopped = false;

    create("src", "qcow2", "size=6M");
    guest_init(&g, open_rw("src", "qcow2"));
    guest_some(&g, 300);
    mem_disk_init(&d, zero, SIZE);
    d.fail_errno = EIO;
    d.fail_at = 5;
    d.fail_on = true;
    target = block_open_over(mem_disk_node(&d, BLOCK_RDWR), "raw", NULL,
                             BLOCK_RDWR, &err);
    g_assert_no_error(err);
    o.on_target = LIVE_STOP;
    job = live_mirror_start(all, g.blk, target, LIVE_FULL, 0, 0, &o, &err);
    g_assert_no_error(err);
    while (!stopped) { /* without the main loop */
        g_usleep(1000);
        g_mutex_lock(&job->lock);
        stopped = job->stopped;
        g_mutex_unlock(&job->lock);
    }
    g_assert_cmpint(live_info(job)->status, ==, LIVE_RUNNING);
    g_atomic_int_set(&d.fail_at, 0);
    g_assert_true(live_resume(job, &err));
    g_assert_cmpuint(g.faults, ==, 1);
    g_assert_cmpint(live_info(job)->status, ==, LIVE_RUNNING);
    until_ready(&g);
    g_assert_cmpuint(g.faults, ==, 1);
    g_assert_true(live_complete(job, &err));
    until_concluded(&g);
    g_assert_cmpstr(g.error, ==, NULL);
    expect(target, g.model, "the target");
    live_jobs_free(all);
    guest_end(&g);
    block_close(target, NULL);
    mem_disk_clear(&d);
    clean_up();
}

/* The backing file fails once: stream ends with an error and without losing it,
 * or goes on when told to. */
static void test_stream_on_error(gconstpointer stops)
{
    LiveJobs *all = live_jobs_new();
    g_autofree char *mid = NULL;
    g_autofree char *text = NULL;
    g_autoptr(KeyVal) kv = NULL;
    g_autofree char *top = NULL;
    g_autoptr(GError) err = NULL;
    BlockNode *bn;
    Guest g;
    LiveOpts o = opts_of(&g);
    LiveJob *job;

    make_chain();
    mid = path_of("mid");
    top = path_of("top");
    text = g_strdup_printf("backing.driver=qcow2,backing.file.driver=blkdebug,"
                           "backing.file.image.filename=%s,"
                           "backing.file.inject-error.0.event=read_aio,"
                           "backing.file.inject-error.0.once=on,"
                           "backing.file.inject-error.0.errno=5",
                           mid);
    kv = keyval_parse(text, NULL, &err);
    g_assert_no_error(err);
    guest_init(&g, open_rw("top", "qcow2"));
    bn = blk_set_node(g.blk, NULL);
    block_close(bn, NULL);
    bn = block_open(top, "qcow2", kv, BLOCK_RDWR | BLOCK_UNMAP, &err);
    g_assert_no_error(err);
    blk_set_node(g.blk, bn);
    o.on_source = o.on_target = stops ? LIVE_STOP : LIVE_IGNORE;
    job = live_stream_start(all, g.blk, NULL, NULL, &o, &err);
    g_assert_no_error(err);
    until_faults(&g, 1);
    g_assert_false(g.fault.write);
    g_assert_cmpint(g.fault.action, ==, stops ? LIVE_STOP : LIVE_IGNORE);
    if (stops) {
        guest_some(&g, 100); /* nobody waits for the job that waits */
        g_assert_true(live_resume(job, &err));
    }
    until_concluded(&g);
    g_assert_true(stops ? !g.error : strstr(g.error, "reading") != NULL);
    g_assert_true((blk_node(g.blk)->backing == NULL) == (stops != NULL));
    expect(blk_node(g.blk), g.model, "the disk");
    live_jobs_free(all);
    guest_end(&g);
    clean_up();
}

/* ---- backup ---------------------------------------------------------------------------- */

static void backup_to(LiveJobs *all, Guest *g, const char *name,
                      const char *fmt, LiveSync sync, const char *bitmap,
                      bool compress, uint8_t *then)
{
    g_autoptr(GError) err = NULL;
    LiveOpts o = opts_of(g);
    BlockNode *target = open_rw(name, fmt);

    g->concluded = 0;
    memcpy(then, g->model, SIZE);
    live_backup_start(all, g->blk, target, sync, bitmap, compress, &o, &err);
    g_assert_no_error(err);
    guest_go(g);
    until_concluded(g);
    g_assert_cmpstr(g->error, ==, NULL);
    guest_stop(g);
    block_close(target, NULL);
}

static void test_backup(gconstpointer persistent)
{
    LiveJobs *all = live_jobs_new();
    g_autofree uint8_t *then = g_malloc(SIZE);
    g_autoptr(GError) err = NULL;
    Guest g;

    make_chain();
    create("b0", "qcow2", "size=6M");
    create("b1", "raw", "size=6M");
    create("bc", "qcow2", "size=6M");
    guest_init(&g, open_rw("top", "qcow2"));
    block_bitmap_add(blk_node(g.blk), "inc", 65536, persistent != NULL, true,
                     &err);
    g_assert_no_error(err);
    backup_to(all, &g, "b0", "qcow2", LIVE_FULL, NULL, false, then);
    expect_file("b0", "qcow2", then);
    backup_to(all, &g, "bc", "qcow2", LIVE_FULL, NULL, true, then);
    expect_file("bc", "qcow2", then);
    /* One full one with the bitmap cleared, then two increments over it. */
    block_bitmap_clear(blk_node(g.blk), "inc", &err);
    backup_to(all, &g, "b1", "raw", LIVE_FULL, NULL, false, then);
    for (int i = 0; i < 2; i++) {
        backup_to(all, &g, "b1", "raw", LIVE_INCREMENTAL, "inc", false, then);
        expect_file("b1", "raw", then);
    }
    live_jobs_free(all);
    expect(blk_node(g.blk), g.model, "the disk");
    guest_end(&g);
    clean_up();
}

/* A backup that fails gives the bits back, and the guest goes on. */
static void test_backup_fails(void)
{
    LiveJobs *all = live_jobs_new();
    g_autoptr(GError) err = NULL;
    g_autoptr(GArray) list = NULL;
    BlockNode *target;
    Guest g;
    LiveOpts o = opts_of(&g);
    uint64_t before;

    create("src", "qcow2", "size=6M");
    create("dst", "raw", "size=6M");
    guest_init(&g, open_rw("src", "qcow2"));
    block_bitmap_add(blk_node(g.blk), "inc", 65536, false, true, &err);
    guest_some(&g, 300);
    list = block_bitmap_list(blk_node(g.blk), &err);
    before = g_array_index(list, NodeBitmap, 0).info.count;
    g_assert_cmpuint(before, >, 0);
    target = open_rw("dst", "raw");
    target->read_only = false;
    target->file->read_only = true; /* every write: EPERM */
    live_backup_start(all, g.blk, target, LIVE_INCREMENTAL, "inc", false, &o,
                      &err);
    g_assert_no_error(err);
    guest_go(&g);
    until_concluded(&g);
    guest_stop(&g);
    g_assert_nonnull(strstr(g.error, "writing the target"));
    g_clear_pointer(&list, g_array_unref);
    list = block_bitmap_list(blk_node(g.blk), &err);
    g_assert_cmpuint(g_array_index(list, NodeBitmap, 0).info.count, >=, before);
    target->file->read_only = false;
    block_close(target, NULL);
    expect(blk_node(g.blk), g.model, "the disk");
    live_jobs_free(all);
    guest_end(&g);
    clean_up();
}

/* ---- stream and commit ------------------------------------------------------------------- */

static void test_stream(gconstpointer with_base)
{
    LiveJobs *all = live_jobs_new();
    g_autoptr(GError) err = NULL;
    BlockNode *base;
    Guest g;
    LiveOpts o = opts_of(&g);

    make_chain();
    guest_init(&g, open_rw("top", "qcow2"));
    base = with_base ? blk_node(g.blk)->backing->backing : NULL;
    guest_go(&g);
    live_stream_start(all, g.blk, base, NULL, &o, &err);
    g_assert_no_error(err);
    until_concluded(&g);
    g_assert_cmpstr(g.error, ==, NULL);
    guest_stop(&g);
    g_assert_true(blk_node(g.blk)->backing == base);
    expect(blk_node(g.blk), g.model, "the disk");
    live_jobs_free(all);
    blk_free(g.blk);
    expect_file("top", "qcow2", g.model);
    g_rand_free(g.r);
    g_free(g.model);
    clean_up();
}

static void test_commit(gconstpointer active)
{
    LiveJobs *all = live_jobs_new();
    g_autoptr(GError) err = NULL;
    BlockNode *top, *mid, *base;
    Guest g;
    LiveOpts o = opts_of(&g);
    LiveJob *job;

    make_chain();
    guest_init(&g, open_rw("top", "qcow2"));
    top = blk_node(g.blk);
    mid = top->backing;
    base = mid->backing;
    g_assert_null(live_commit_start(all, g.blk, mid, top, NULL, &o, &err));
    g_clear_error(&err);
    guest_go(&g);
    job = live_commit_start(all, g.blk, active ? NULL : mid, base, NULL, &o,
                            &err);
    g_assert_no_error(err);
    if (active) {
        until_ready(&g);
        live_complete(job, &err);
        g_assert_no_error(err);
    }
    until_concluded(&g);
    g_assert_cmpstr(g.error, ==, NULL);
    guest_stop(&g);
    g_assert_true(active ? blk_node(g.blk) == base : top->backing == base);
    g_assert_true(base->read_only == !active);
    expect(blk_node(g.blk), g.model, "the disk");
    guest_some(&g, 30);
    expect(blk_node(g.blk), g.model, "the disk, later");
    live_jobs_free(all);
    blk_free(g.blk);
    expect_file(active ? "base" : "top", "qcow2", g.model);
    g_rand_free(g.r);
    g_free(g.model);
    clean_up();
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    image_dir_make();
    g_test_add_func("/live/mirror", test_mirror);
    g_test_add_data_func("/live/mirror-cancel/ready", GINT_TO_POINTER(0),
                         test_mirror_cancel);
    g_test_add_data_func("/live/mirror-cancel/early", GINT_TO_POINTER(1),
                         test_mirror_cancel);
    g_test_add_data_func("/live/mirror-cancel/force", GINT_TO_POINTER(2),
                         test_mirror_cancel);
    g_test_add_func("/live/mirror-top", test_mirror_top);
    g_test_add_func("/live/mirror-pause-ready", test_mirror_pause_ready);
    g_test_add_func("/live/on-error-resumed", test_on_error_resumed);
    g_test_add_func("/live/mirror-blocking", test_mirror_blocking);
    for (size_t i = 0; i < G_N_ELEMENTS(on_errors); i++) {
        g_autofree char *name =
            g_strdup_printf("/live/on-error/%s", on_errors[i].name);

        g_test_add_data_func(name, &on_errors[i], test_on_error);
    }
    g_test_add_data_func("/live/on-error/stream/ignore", NULL,
                         test_stream_on_error);
    g_test_add_data_func("/live/on-error/stream/stop", GINT_TO_POINTER(1),
                         test_stream_on_error);
    g_test_add_data_func("/live/backup/memory", NULL, test_backup);
    g_test_add_data_func("/live/backup/stored", GINT_TO_POINTER(1),
                         test_backup);
    g_test_add_func("/live/backup-fails", test_backup_fails);
    g_test_add_data_func("/live/stream/all", NULL, test_stream);
    g_test_add_data_func("/live/stream/to-base", GINT_TO_POINTER(1),
                         test_stream);
    g_test_add_data_func("/live/commit/below", NULL, test_commit);
    g_test_add_data_func("/live/commit/active", GINT_TO_POINTER(1),
                         test_commit);
    ret = g_test_run();
    image_dir_remove();
    return ret;
}
