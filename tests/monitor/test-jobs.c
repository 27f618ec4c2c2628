/*
 * The life of jobs on disks: short ones by the hundred, of which something is
 * asked at random moments. What they tell is held against QEMU's state machine
 * (JobSTT and JobVerbTable of its job.c), and what they take and refuse, too.
 */
#include "util/osdep.h"
#include "tests/lib/monitor-vm.h"

#if CONFIG_JSON_C
#include "util/keyval.h"
#include "util/mainloop.h"
#include "hw/block/drive.h"
#include "monitor/qmp.h"
#include "system/event.h"

#ifdef __SANITIZE_THREAD__
enum { JOBS = 150 };
#else
enum { JOBS = 1500 };
#endif
enum { STEPS_MAX = 12, HANG_S = 120 };

/* ---- QEMU's tables ----------------------------------------------------------- */

typedef enum State {
    NONE,
    CREATED,
    RUNNING,
    PAUSED,
    READY,
    STANDBY,
    WAITING,
    PENDING,
    ABORTING,
    CONCLUDED,
    NULLED,
    STATES,
} State;

static const char *const state_names[STATES] = {
    "none",    "created", "running",  "paused",    "ready", "standby",
    "waiting", "pending", "aborting", "concluded", "null",
};

enum { JOB_CANCEL }; /* of verbs[] */

#define S(x) (1u << (x))
static const unsigned next_states[STATES] = {
    [NONE] = S(CREATED),
    [CREATED] = S(RUNNING) | S(ABORTING) | S(NULLED),
    [RUNNING] = S(PAUSED) | S(READY) | S(WAITING) | S(ABORTING),
    [PAUSED] = S(RUNNING),
    [READY] = S(STANDBY) | S(WAITING) | S(ABORTING),
    [STANDBY] = S(READY),
    [WAITING] = S(PENDING) | S(ABORTING),
    [PENDING] = S(ABORTING) | S(CONCLUDED),
    [ABORTING] = S(ABORTING) | S(CONCLUDED),
    [CONCLUDED] = S(NULLED),
};

/* As its clients see them: a pause of what is paused is refused, as is a resume
 * of what is not. */
static const struct {
    const char *command, *arg;
    unsigned taken; /* S() of the states */
    bool helps;     /* the job to its end */
} verbs[] = {
    { "job-cancel", "id",
      S(RUNNING) | S(PAUSED) | S(READY) | S(STANDBY) | S(PENDING), false },
    { "job-pause", "id", S(RUNNING) | S(READY), false },
    { "block-job-pause", "device", S(RUNNING) | S(READY), false },
    { "job-resume", "id", S(PAUSED) | S(STANDBY), true },
    { "block-job-resume", "device", S(PAUSED) | S(STANDBY), false },
    { "job-complete", "id", S(READY) | S(STANDBY), true },
    { "block-job-complete", "device", S(READY) | S(STANDBY), false },
    { "block-job-set-speed", "device",
      S(RUNNING) | S(PAUSED) | S(READY) | S(STANDBY), false },
    { "job-finalize", "id", S(PENDING), true },
    { "job-dismiss", "id", S(CONCLUDED), true },
    { "block-job-cancel", "device",
      S(RUNNING) | S(PAUSED) | S(READY) | S(STANDBY) | S(PENDING), false },
};

/* ---- a job and its events ------------------------------------------------------- */

typedef struct Life {
    Machine *m;
    GRand *r;
    Blk *blk;
    char id[16];
    State state;
    unsigned ready, pending, ends, errors;
    bool completed, failed;   /* how it ended */
    bool cancelled, stopping; /* asked for; its errors may pause it */
    bool endless;             /* unless it is cancelled */
    GString *story;           /* for who has to find out */
    uint8_t byte[4096];
    struct iovec iov;
    bool writing, stop;
} Life;

#define CHECK(l, ok) \
    do { \
        if (!(ok)) { \
            g_error("%s\n%s is not so: %s", (l)->story->str, (l)->id, #ok); \
        } \
    } while (0)

static void note(Life *l, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
static void note(Life *l, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    g_string_append_vprintf(l->story, fmt, ap);
    va_end(ap);
    g_string_append_c(l->story, '\n');
}

static const char *text_of(const EventValue *values, const char *key)
{
    const EventValue *v = event_value(values, key);

    return v && v->s ? v->s : "";
}

static void on_status(Life *l, const char *name)
{
    unsigned i = 0;

    while (i < STATES && strcmp(state_names[i], name) != 0) {
        i++;
    }
    CHECK(l, i < STATES);
    CHECK(l, next_states[l->state] & S(i));
    l->state = i;
}

static void on_end(Life *l, const EventValue *values, bool completed)
{
    l->ends++;
    l->completed = completed;
    l->failed = *text_of(values, "error") != '\0';
    CHECK(l, l->ends == 1);
    CHECK(l, completed || l->cancelled);
    CHECK(l, l->state == (completed && !l->failed ? PENDING : ABORTING));
}

static void on_event(Machine *m, const char *event, const EventValue *values,
                     void *opaque)
{
    Life *l = opaque;
    bool status = strcmp(event, "JOB_STATUS_CHANGE") == 0;

    if (!status && !g_str_has_prefix(event, "BLOCK_JOB_")) {
        return;
    }
    note(l, "    %s %s%s", event, text_of(values, "status"),
         text_of(values, "error"));
    CHECK(l, strcmp(text_of(values, "id"), l->id) == 0 ||
                 strcmp(text_of(values, "device"), l->id) == 0);
    CHECK(l, l->state != NULLED);
    if (status) {
        on_status(l, text_of(values, "status"));
    } else if (strcmp(event, "BLOCK_JOB_READY") == 0) {
        l->ready++;
        CHECK(l, l->ready == 1 && l->state == READY);
    } else if (strcmp(event, "BLOCK_JOB_PENDING") == 0) {
        l->pending++;
        CHECK(l, l->pending == 1 && l->state == PENDING);
    } else if (strcmp(event, "BLOCK_JOB_ERROR") == 0) {
        l->errors++;
        CHECK(l, l->state >= RUNNING && l->state <= STANDBY);
    } else {
        on_end(l, values, strcmp(event, "BLOCK_JOB_COMPLETED") == 0);
    }
}

/* ---- what is asked -------------------------------------------------------------- */

static bool call(Life *l, const char *command, const char *text)
{
    g_autoptr(GError) err = NULL;
    json_object *ret;

    note(l, "%s %s", command, text);
    ret = qmp_call(l->m, command, json_tokener_parse(text), &err);
    if (err) {
        note(l, "  refused: %s", err->message);
    }
    json_object_put(ret);
    return ret != NULL;
}

/* What the thread has done and nobody has said yet may refuse it. */
static bool may_refuse(const Life *l, const char *command)
{
    if (strstr(command, "complete")) {
        return l->cancelled;
    }
    if (strstr(command, "pause")) {
        return l->stopping;
    }
    return strstr(command, "finalize") && l->cancelled;
}

static void ask(Life *l, unsigned i)
{
    const char *command = verbs[i].command;
    bool speed = strstr(command, "speed"), cancel = strstr(command, "cancel");
    bool force = cancel && verbs[i].arg[0] == 'd' && g_rand_boolean(l->r);
    g_autofree char *text = g_strdup_printf(
        "{'%s':'%s'%s%s}", verbs[i].arg, l->id,
        speed ? g_rand_boolean(l->r) ? ",'speed':0" : ",'speed':1048576" : "",
        force ? ",'force':true" : "");
    bool taken = verbs[i].taken & S(l->state), done;

    l->cancelled |= cancel && taken;
    done = call(l, command, text);
    if (done && !taken) {
        /* It was stopped by an error that is not told yet. */
        CHECK(l, l->stopping && strstr(command, "resume"));
    } else if (!done && taken) {
        CHECK(l, may_refuse(l, command));
    }
}

static void some_time(Life *l)
{
    unsigned n = (unsigned)g_rand_int_range(l->r, 0, 5);

    if (g_rand_boolean(l->r)) {
        g_usleep((gulong)g_rand_int_range(l->r, 0, 200));
    }
    while (n--) {
        mainloop_iterate(false);
    }
}

/* ---- a guest that writes --------------------------------------------------------- */

static void guest_write(Life *l);

static void guest_done(void *opaque, int ret)
{
    Life *l = opaque;

    l->writing = false;
    if (!l->stop && l->state != NULLED) {
        guest_write(l);
    }
}

static void guest_write(Life *l)
{
    uint64_t off = (uint64_t)g_rand_int_range(l->r, 0, 1024) * sizeof(l->byte);

    l->writing = true;
    l->iov = (struct iovec) { l->byte, sizeof(l->byte) };
    blk_submit(l->blk, BLK_WRITE, off, sizeof(l->byte), &l->iov, 1, 0,
               guest_done, l);
}

/* ---- disks ---------------------------------------------------------------------------- */

static void make_image(const char *name, const char *backing)
{
    g_autoptr(KeyVal) kv = keyval_new();
    g_autoptr(GError) err = NULL;

    keyval_set(kv, "size", "4M");
    if (backing) {
        keyval_set(kv, "backing_file", backing);
        keyval_set(kv, "backing_fmt", "qcow2");
    }
    block_create(name, "qcow2", kv, 0, &err);
    g_assert_no_error(err);
}

static void make_disks(Life *l, bool chain)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *target = NULL;

    if (chain) {
        make_image("base.qcow2", NULL);
        make_image("top.qcow2", "base.qcow2");
        drive_add(l->m, "if=none,id=d0,file=top.qcow2", &err);
    } else {
        drive_add(l->m, "if=none,id=d0,file.driver=null-co,file.size=4M", &err);
    }
    g_assert_no_error(err);
    target = g_strdup_printf(
        "raw,node-name=t,file.driver=blkdebug,"
        "file.image.driver=null-co,file.image.size=4M%s",
        l->stopping ? ",file.inject-error.0.event=write_aio,"
                      "file.inject-error.0.once=on,file.inject-error.0.errno=28"
                    : "");
    blockdev_add(l->m, target, &err);
    g_assert_no_error(err);
    l->blk = drive_find(l->m, "d0")->blk;
}

static void remove_disks(Life *l)
{
    g_autoptr(GError) err = NULL;

    l->stop = true;
    drive_del(l->m, "d0", &err);
    g_assert_no_error(err);
    blockdev_del(l->m, "t", &err);
    g_assert_no_error(err);
}

/* ---- a life --------------------------------------------------------------------------- */

static void start(Life *l)
{
    static const char *const mirrors[] = {
        "'sync':'full'",
        "'sync':'none'",
        "'sync':'full','copy-mode':'write-blocking'",
    };
    static const char *const backups[] = { "'sync':'full'", "'sync':'none'" };
    g_autoptr(GString) args = g_string_new(NULL);
    unsigned kind = (unsigned)g_rand_int_range(l->r, 0, 8);
    const char *command = kind < 3   ? "blockdev-mirror"
                          : kind < 6 ? "blockdev-backup"
                          : kind < 7 ? "block-stream"
                                     : "block-commit";

    l->endless = kind == 3 || kind == 5;
    l->stopping = kind < 6 && g_rand_int_range(l->r, 0, 4) == 0;
    make_disks(l, kind >= 6);
    g_string_printf(args, "{'job-id':'%s','device':'d0'", l->id);
    if (kind < 6) {
        g_string_append_printf(
            args, ",'target':'t',%s",
            kind < 3 ? mirrors[kind] : backups[kind % G_N_ELEMENTS(backups)]);
    }
    if (l->stopping) {
        g_string_append(args, ",'on-target-error':'stop'");
    }
    if (g_rand_boolean(l->r)) {
        g_string_append(args, ",'auto-finalize':false");
    }
    if (g_rand_boolean(l->r)) {
        g_string_append(args, ",'auto-dismiss':false");
    }
    if (g_rand_int_range(l->r, 0, 4) == 0) {
        g_string_append(args, ",'speed':2097152");
    }
    g_string_append_c(args, '}');
    CHECK(l, call(l, command, args->str));
    if (g_rand_boolean(l->r)) {
        guest_write(l);
    }
}

/* What brings it on in the state it has come to. */
static void help(Life *l)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(verbs); i++) {
        if (verbs[i].helps && verbs[i].taken & S(l->state)) {
            ask(l, i);
        }
    }
}

/* Whatever was done to it comes to an end. */
static void end(Life *l)
{
    int64_t late = g_get_monotonic_time() + HANG_S * G_TIME_SPAN_SECOND;
    bool cancels = l->endless || g_rand_boolean(l->r);
    g_autofree char *fast = g_strdup_printf("{'device':'%s','speed':0}", l->id);

    if (verbs[JOB_CANCEL].taken & S(l->state) && l->state != PENDING) {
        CHECK(l, call(l, "block-job-set-speed", fast));
    }

    while (l->state != NULLED) {
        CHECK(l, g_get_monotonic_time() < late);
        if (cancels && verbs[JOB_CANCEL].taken & S(l->state)) {
            ask(l, JOB_CANCEL);
            cancels = false;
        }
        help(l);
        if (!mainloop_iterate(false)) {
            g_usleep(20);
        }
    }
}

static void live_one(Machine *m, GRand *r, unsigned number)
{
    Life l = { .m = m, .r = r, .story = g_string_new(NULL) };
    int steps = g_rand_int_range(r, 0, STEPS_MAX);

    g_snprintf(l.id, sizeof(l.id), "j%u", number);
    machine_watch(m, on_event, &l);
    start(&l);
    while (steps-- && l.state != NULLED) {
        some_time(&l);
        if (l.state != NULLED) {
            ask(&l, (unsigned)g_rand_int_range(r, 0, G_N_ELEMENTS(verbs)));
        }
    }
    end(&l);
    CHECK(&l, l.ends == 1);
    CHECK(&l, !l.failed || l.stopping);
    remove_disks(&l);
    client_settle(m); /* nothing more is said */
    machine_unwatch(m, on_event, &l);
    g_string_free(l.story, TRUE);
}

static void test_life(void)
{
    Machine *m = mvm_new();
    GRand *r = g_rand_new_with_seed(g_test_rand_int());

    mvm_enter_dir();
    for (unsigned i = 0; i < JOBS; i++) {
        live_one(m, r, i);
    }
    g_rand_free(r);
    mvm_free(m);
    mvm_leave_dir();
}

/* ---- what others may do meanwhile ------------------------------------------------ */

static void expect_busy(Machine *m, bool busy)
{
    static const char *const calls[][3] = {
        { "blockdev-snapshot-sync",
          "{'device':'d0','snapshot-file':'over.qcow2'}", "Node '*' is busy*" },
        { "blockdev-snapshot-internal-sync", "{'device':'d0','name':'s'}",
          "Node '*' is busy*" },
        { "block_resize", "{'device':'d0','size':8388608}",
          "Node '*' is busy*" },
        { "block_resize", "{'node-name':'t','size':8388608}",
          "Node 't' is busy*" },
        { "device_add", "{'driver':'virtio-blk-pci','id':'v','drive':'t'}",
          "Node 't' is already in use by a block job: *" },
        { "blockdev-del", "{'node-name':'t'}", "Node 't' is busy*" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        g_autoptr(GError) err = NULL;
        json_object *ret;

        if (!busy && !g_str_has_prefix(calls[i][0], "block")) {
            continue; /* it would stay */
        }
        ret = qmp_call(m, calls[i][0], json_tokener_parse(calls[i][1]), &err);
        json_object_put(ret);
        if (busy) {
            g_assert_nonnull(err);
            g_assert_true(g_pattern_match_simple(calls[i][2], err->message));
        } else { /* not all of them can do it */
            g_assert_true(!err || !strstr(err->message, "busy"));
        }
    }
}

/* A job's nodes belong to it: a layer put on the disk would be lost when a mirror
 * replaces it, and a resize closes what the thread reads. */
static void test_busy(gconstpointer command)
{
    Machine *m = mvm_new();
    g_autoptr(GError) err = NULL;
    json_object *ret = NULL;

    mvm_enter_dir();
    make_image("base.qcow2", NULL);
    drive_add(m, "if=none,id=d0,file=base.qcow2", &err);
    g_assert_no_error(err);
    blockdev_add(m, "null-co,node-name=t,size=4M", &err);
    g_assert_no_error(err);
    json_object_put(qmp_call(
        m, command,
        json_tokener_parse("{'job-id':'j','device':'d0','target':'t',"
                           "'sync':'full','auto-dismiss':false,'speed':1}"),
        &err));
    g_assert_no_error(err);
    expect_busy(m, true);
    json_object_put(
        qmp_call(m, "job-cancel", json_tokener_parse("{'id':'j'}"), &err));
    g_assert_no_error(err);
    while (!ret) {
        mainloop_iterate(true);
        ret =
            qmp_call(m, "job-dismiss", json_tokener_parse("{'id':'j'}"), NULL);
    }
    json_object_put(ret);
    expect_busy(m, false);
    mvm_free(m);
    mvm_leave_dir();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/jobs/busy/mirror", "blockdev-mirror", test_busy);
    g_test_add_data_func("/jobs/busy/backup", "blockdev-backup", test_busy);
    g_test_add_func("/jobs/life", test_life);
    return g_test_run();
}
#else
int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    return g_test_run();
}
#endif
