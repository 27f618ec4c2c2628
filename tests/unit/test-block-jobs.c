/*
 * The block layer above the formats: names and options, probing, locks,
 * asynchronous requests, and the operations on whole images.
 */
#include "util/osdep.h"
#include "block/blk.h"
#include "block/jobs.h"
#include "tests/lib/image.h"
#include "util/mainloop.h"

enum { SIZE = 4 << 20 };

static void fill(BlockNode *bn, GRand *r, uint8_t *model, unsigned n)
{
    uint8_t buf[30000];

    for (unsigned i = 0; i < n; i++) {
        uint64_t len = (uint64_t)g_rand_int_range(r, 1, sizeof(buf));
        uint64_t off =
            (uint64_t)g_rand_int_range(r, 0, (int)(MIN(bn->size, SIZE) - len));

        memset(buf, g_rand_int_range(r, 0, 256), len);
        g_assert_cmpint(block_pwrite(bn, off, buf, len), ==, 0);
        memcpy(model + off, buf, len);
    }
}

static void expect_data(BlockNode *bn, const uint8_t *model)
{
    g_autofree uint8_t *buf = g_malloc(SIZE);

    g_assert_cmpint(block_pread(bn, 0, buf, SIZE), ==, 0);
    g_assert_true(memcmp(buf, model, SIZE) == 0);
}

static void expect_clean(BlockNode *bn)
{
    g_autoptr(GError) err = NULL;
    CheckResult res = { 0 };

    block_check(bn, &res, 0, &err);
    g_assert_no_error(err);
    g_assert_cmpuint(res.corruptions + res.leaks + res.check_errors, ==, 0);
}

/* ---- reading and writing ----------------------------------------------------------- */

/* A file that may not be written, as with BLOCK_AUTO_RDONLY. */
static bool stubborn_open(BlockNode *bn, KeyVal *options, GError **errp)
{
    bn->read_only = true;
    return true;
}

static bool willing_open(BlockNode *bn, KeyVal *options, GError **errp)
{
    return true;
}

static void nothing_close(BlockNode *bn)
{
}

static void test_reopen(void)
{
    static const BlockDriver stubborn = { .name = "stubborn",
                                          .open = stubborn_open,
                                          .close = nothing_close };
    static const BlockDriver willing = { .name = "willing",
                                         .open = willing_open,
                                         .close = nothing_close };
    BlockNode *file = block_node_new(&stubborn, 0);
    BlockNode *bn = block_node_new(&willing, 0);
    BlockNode *nodes[] = { file, bn };

    file->filename = g_strdup("stone");
    bn->filename = g_strdup("paper");
    bn->file = file;
    for (unsigned i = 0; i < G_N_ELEMENTS(nodes); i++) {
        g_autoptr(GError) err = NULL;

        g_assert_false(block_reopen(nodes[i], true, &err));
        g_assert_cmpstr(err->message, ==,
                        "'stone' can only be opened read-only");
        g_assert_false(block_reopen(nodes[i], true, NULL));
        g_assert_true(nodes[i]->read_only);
        g_assert_true(block_reopen(nodes[i], false, NULL));
    }
    g_assert_true(block_close(bn, NULL));
}

/* ---- names and options ------------------------------------------------------------- */

static void test_paths(void)
{
    static const char *const rows[][3] = {
        { "/a/b.img", "c.img", "/a/c.img" },
        { "b.img", "c.img", "c.img" },
        { "a/b.img", "../c.img", "a/../c.img" },
        { "/a/b.img", "/c.img", "/c.img" },
        { "/a/b.img", "nbd:host:1", "nbd:host:1" },
        { "file:/a/b.img", "c.img", "file:/a/c.img" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *p = block_combine_path(rows[i][0], rows[i][1]);

        g_assert_cmpstr(p, ==, rows[i][2]);
    }
    g_assert_false(block_has_protocol("a/b:c"));
    g_assert_true(block_has_protocol("nbd:x"));
}

static void refuse(const char *name, const char *opts, const char *text)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(KeyVal) kv = keyval_parse(opts, NULL, &err);
    BlockNode *bn;

    g_assert_no_error(err);
    bn = block_open(name, NULL, kv, 0, &err);
    g_assert_null(bn);
    g_assert_nonnull(err);
    if (!strstr(err->message, text)) {
        g_error("'%s' is not about '%s'", err->message, text);
    }
}

static void test_options(void)
{
    g_autofree char *raw = path_of("o.raw"), *json = NULL;
    g_autoptr(GError) err = NULL;
    uint8_t b = 9;
    BlockNode *bn;

    create("o.raw", "raw", "size=1M");
    refuse("/nonexistent/x", "a=b", "Could not open '/nonexistent/x': No such");
    refuse(raw, "driver=nosuch", "Unknown driver 'nosuch'");
    refuse(raw, "driver=raw,nosuch=1", "doesn't support the option 'nosuch'");
    refuse(raw, "driver=qcow2", "Image is not in qcow2 format");
    refuse(raw, "driver=raw,offset=2M", "cannot be greater");
    refuse("json:{\"driver\":\"raw\"}", "a=b", "must be specified");
    json =
        g_strdup_printf("json:{\"driver\":\"raw\",\"offset\":4096,"
                        "\"file\":{\"driver\":\"file\",\"filename\":\"%s\"}}",
                        raw);
    bn = block_open(json, NULL, NULL, BLOCK_RDWR, &err);
    g_assert_no_error(err);
    g_assert_cmpuint(bn->size, ==, MIB - 4096);
    g_assert_cmpint(block_pwrite(bn, 0, &b, 1), ==, 0);
    close_bn(bn);
    bn = open_as("o.raw", "raw", 0);
    b = 0;
    g_assert_cmpint(block_pread(bn, 4096, &b, 1), ==, 0);
    g_assert_cmpint(b, ==, 9);
    g_assert_cmpint(block_pwrite(bn, 0, &b, 1), ==, -EPERM);
    g_assert_cmpint(block_pread(bn, MIB, &b, 1), ==, -EIO);
    close_bn(bn);
    remove_file("o.raw");
}

/* A guessed raw image must not become qcow2 by what the guest writes. */
static void test_probe(void)
{
    static const uint8_t head[512] = { 'Q', 'F', 'I', 0xfb, 0, 0, 0, 3 };
    BlockNode *bn;

    create("p.img", "raw", "size=1M");
    bn = open_as("p.img", NULL, BLOCK_RDWR);
    g_assert_cmpstr(bn->drv->name, ==, "raw");
    g_assert_cmpint(block_pwrite(bn, 0, head, sizeof(head)), ==, -EPERM);
    g_assert_cmpint(block_pwrite(bn, 512, head, sizeof(head)), ==, 0);
    close_bn(bn);
    bn = open_as("p.img", "raw", BLOCK_RDWR);
    g_assert_cmpint(block_pwrite(bn, 0, head, sizeof(head)), ==, 0);
    close_bn(bn);
    remove_file("p.img");
    create("p.img", "qcow2", "size=1M");
    bn = open_as("p.img", NULL, 0);
    g_assert_cmpstr(bn->drv->name, ==, "qcow2");
    close_bn(bn);
    remove_file("p.img");
}

static void test_locks(void)
{
    g_autofree char *path = path_of("l.qcow2");
    g_autoptr(GError) err = NULL;
    BlockNode *bn, *other;

    create("l.qcow2", "qcow2", "size=1M");
    bn = open_as("l.qcow2", "qcow2", BLOCK_RDWR);
    other = block_open(path, "qcow2", NULL, BLOCK_RDWR, &err);
    g_assert_null(other);
    g_assert_nonnull(strstr(err->message, "Failed to get \"write\" lock"));
    g_assert_nonnull(
        strstr(err->message, "Is another process using the image ["));
    g_clear_error(&err);
    other = block_open(path, "qcow2", NULL, 0, &err);
    g_assert_null(other);
    g_assert_nonnull(strstr(err->message, "shared \"write\" lock"));
    g_clear_error(&err);
    other = block_open(path, "qcow2", NULL, BLOCK_FORCE_SHARE, &err);
    g_assert_no_error(err);
    close_bn(other);
    close_bn(bn);
    bn = open_as("l.qcow2", "qcow2", 0);
    other = open_as("l.qcow2", "qcow2", 0);
    close_bn(bn);
    close_bn(other);
    remove_file("l.qcow2");
}

/* ---- asynchronous requests ------------------------------------------------------------ */

enum { SLOTS = 32, REQS = 3000, UNIT = 4096 };

typedef struct Slot {
    Blk *blk;
    GRand *r;
    uint8_t *model, buf[UNIT * 4];
    struct iovec iov;
    uint64_t off, len;
    bool busy, write;
    unsigned *left;
    uint8_t *locked; /* units with a request: a guest does not race itself */
} Slot;

static void slot_next(Slot *s);

static void slot_done(void *opaque, int ret)
{
    Slot *s = opaque;

    g_assert_cmpint(ret, ==, 0);
    if (!s->write && s->busy) {
        g_assert_true(memcmp(s->buf, s->model + s->off, s->len) == 0);
    }
    for (uint64_t i = 0; i < s->len; i += UNIT) {
        s->locked[(s->off + i) / UNIT] = 0;
    }
    s->busy = false;
    slot_next(s);
}

static void slot_next(Slot *s)
{
    int what;

    if (!*s->left) {
        return;
    }
    for (unsigned tries = 0; tries < 1000; tries++) {
        bool taken = false;

        s->off = (uint64_t)g_rand_int_range(s->r, 0, SIZE / UNIT - 4) * UNIT;
        s->len = (uint64_t)g_rand_int_range(s->r, 1, 5) * UNIT;
        for (uint64_t i = 0; i < s->len; i += UNIT) {
            taken |= s->locked[(s->off + i) / UNIT];
        }
        if (!taken) {
            break;
        }
        s->len = 0;
    }
    if (!s->len) {
        return;
    }
    --*s->left;
    for (uint64_t i = 0; i < s->len; i += UNIT) {
        s->locked[(s->off + i) / UNIT] = 1;
    }
    what = g_rand_int_range(s->r, 0, 20);
    s->busy = true;
    s->write = what >= 8;
    s->iov.iov_base = s->buf;
    s->iov.iov_len = s->len;
    if (what == 19) {
        s->busy = false; /* a flush has no data */
        blk_submit(s->blk, BLK_FLUSH, 0, 0, NULL, 0, 0, slot_done, s);
    } else if (what == 18) {
        memset(s->model + s->off, 0, s->len);
        blk_submit(s->blk, BLK_ZERO, s->off, s->len, NULL, 0, ZERO_MAY_UNMAP,
                   slot_done, s);
    } else if (s->write) {
        memset(s->buf, g_rand_int_range(s->r, 1, 256), s->len);
        memcpy(s->model + s->off, s->buf, s->len);
        blk_submit(s->blk, BLK_WRITE, s->off, s->len, &s->iov, 1, 0, slot_done,
                   s);
    } else {
        blk_submit(s->blk, BLK_READ, s->off, s->len, &s->iov, 1, 0, slot_done,
                   s);
    }
}

static void run_async(const char *fmt, const char *opts, BlkAio aio)
{
    g_autofree uint8_t *model = g_malloc0(SIZE);
    g_autofree uint8_t *locked = g_malloc0(SIZE / UNIT);
    g_autofree Slot *slots = g_new0(Slot, SLOTS);
    GRand *r = g_rand_new_with_seed(g_test_rand_int());
    unsigned left = REQS;
    Blk *blk;
    BlockNode *bn;

    create("async.img", fmt, opts);
    blk =
        blk_new("d", open_as("async.img", fmt, BLOCK_RDWR | BLOCK_UNMAP), aio);
    blk_plug(blk);
    for (unsigned i = 0; i < SLOTS; i++) {
        slots[i].blk = blk;
        slots[i].r = r;
        slots[i].model = model;
        slots[i].locked = locked;
        slots[i].left = &left;
        slot_next(&slots[i]);
    }
    blk_unplug(blk);
    blk_drain(blk);
    g_test_message("%" PRIu64 " of %" PRIu64 " writes were direct",
                   blk_stats(blk, BLK_WRITE)->direct,
                   blk_stats(blk, BLK_WRITE)->ops);
    expect_data(blk_node(blk), model);
    blk_free(blk);
    bn = open_as("async.img", fmt, 0);
    expect_data(bn, model);
    if (bn->drv->check) {
        expect_clean(bn);
    }
    close_bn(bn);
    remove_file("async.img");
    g_rand_free(r);
}

static void test_async(void)
{
    run_async("raw", "size=4M", BLK_AIO_DEFAULT);
    run_async("raw", "size=4M", BLK_AIO_THREADS);
    run_async("qcow2", "size=4M", BLK_AIO_DEFAULT);
    run_async("qcow2", "size=4M", BLK_AIO_THREADS);
    run_async("qcow2", "size=4M,cluster_size=4k", BLK_AIO_DEFAULT);
    run_async("qcow2", "size=4M,extended_l2=on", BLK_AIO_DEFAULT);
}

static void keep_ret(void *opaque, int ret)
{
    *(int *)opaque = ret;
}

static void test_refused(void)
{
    uint8_t buf[512];
    struct iovec iov = { buf, sizeof(buf) };
    int ret[4] = { 1, 1, 1, 1 };
    Blk *blk;

    create("r.img", "raw", "size=1M");
    blk = blk_new("d", open_as("r.img", "raw", 0), BLK_AIO_DEFAULT);
    blk_submit(blk, BLK_READ, MIB - 256, 512, &iov, 1, 0, keep_ret, &ret[0]);
    blk_submit(blk, BLK_READ, UINT64_MAX - 100, 512, &iov, 1, 0, keep_ret,
               &ret[1]);
    blk_submit(blk, BLK_WRITE, 0, 512, &iov, 1, 0, keep_ret, &ret[2]);
    blk_drain(blk);
    close_bn(blk_set_node(blk, NULL));
    blk_submit(blk, BLK_READ, 0, 512, &iov, 1, 0, keep_ret, &ret[3]);
    blk_drain(blk);
    g_assert_cmpint(ret[0], ==, -EIO);
    g_assert_cmpint(ret[1], ==, -EIO);
    g_assert_cmpint(ret[2], ==, -EPERM);
    g_assert_cmpint(ret[3], ==, -ENOMEDIUM);
    blk_free(blk);
    remove_file("r.img");
}

static void until_idle(Blk *blk)
{
    while (blk_in_flight(blk)) {
        mainloop_iterate(true);
    }
}

static void test_throttle(void)
{
    g_autoptr(GError) err = NULL;
    BlkLimits l = { .avg[LIMIT_IOPS_TOTAL] = 200 };
    BlkLimits burst = { .max[LIMIT_IOPS_TOTAL] = 200 };
    uint8_t buf[512];
    struct iovec iov = { buf, sizeof(buf) };
    int64_t start;
    int ret;
    Blk *blk;

    create("t.img", "raw", "size=1M");
    blk = blk_new("d", open_as("t.img", "raw", 0), BLK_AIO_DEFAULT);
    g_assert_true(blk_set_limits(blk, &l, &err));
    start = g_get_monotonic_time();
    for (int i = 0; i < 60; i++) {
        blk_submit(blk, BLK_READ, 0, 512, &iov, 1, 0, keep_ret, &ret);
    }
    until_idle(blk);
    /* 20 at once, the other 40 at 200 a second */
    g_assert_cmpint(g_get_monotonic_time() - start, >, 150000);
    l.avg[LIMIT_IOPS_READ] = 5;
    g_assert_false(blk_set_limits(blk, &l, &err));
    g_assert_false(blk_set_limits(blk, &burst, NULL));
    for (int i = 0; i < 60; i++) { /* the old ones stay */
        blk_submit(blk, BLK_READ, 0, 512, &iov, 1, 0, keep_ret, &ret);
    }
    start = g_get_monotonic_time();
    until_idle(blk);
    g_assert_cmpint(g_get_monotonic_time() - start, >, 150000);
    blk_free(blk);
    remove_file("t.img");
}

/* Two disks at 200 requests a second between them. */
static void test_throttle_group(void)
{
    BlkLimits l = { .avg[LIMIT_IOPS_TOTAL] = 200 }, got;
    uint8_t buf[512];
    struct iovec iov = { buf, sizeof(buf) };
    int64_t start;
    Blk *blk[2];
    int ret;

    create("t.img", "raw", "size=1M");
    for (int i = 0; i < 2; i++) {
        blk[i] = blk_new("d", open_as("t.img", "raw", 0), BLK_AIO_DEFAULT);
    }
    g_assert_true(blk_set_limits(blk[0], &l, NULL));
    blk_share_limits(blk[1], blk[0]);
    blk_get_limits(blk[1], &got);
    g_assert_cmpfloat(got.avg[LIMIT_IOPS_TOTAL], ==, 200);
    start = g_get_monotonic_time();
    for (int i = 0; i < 60; i++) {
        blk_submit(blk[i % 2], BLK_READ, 0, 512, &iov, 1, 0, keep_ret, &ret);
    }
    until_idle(blk[0]);
    until_idle(blk[1]);
    g_assert_cmpint(g_get_monotonic_time() - start, >, 150000);
    blk_free(blk[0]); /* the other keeps them */
    l.avg[LIMIT_IOPS_TOTAL] = 0;
    g_assert_true(blk_set_limits(blk[1], &l, NULL));
    blk_free(blk[1]);
    remove_file("t.img");
}

/* At one request a second these would take a quarter of an hour. */
static void test_throttle_end(void)
{
    BlkLimits slow = { .avg[LIMIT_IOPS_TOTAL] = 1 }, none = { 0 };
    int64_t start = g_get_monotonic_time();
    uint8_t buf[512];
    struct iovec iov = { buf, sizeof(buf) };
    Blk *blk[2];
    int ret;

    create("t.img", "raw", "size=1M");
    for (int i = 0; i < 2; i++) {
        blk[i] = blk_new("d", open_as("t.img", "raw", 0), BLK_AIO_DEFAULT);
    }
    blk_share_limits(blk[1], blk[0]);
    g_assert_true(blk_set_limits(blk[0], &slow, NULL));
    for (int i = 0; i < 1000; i++) {
        blk_submit(blk[i % 2], BLK_READ, 0, 512, &iov, 1, 0, keep_ret, &ret);
    }
    mainloop_iterate(false);
    blk_drain(blk[0]);
    g_assert_cmpuint(blk_in_flight(blk[1]), >, 0);
    g_assert_true(blk_set_limits(blk[0], &none, NULL)); /* of both */
    until_idle(blk[1]);
    g_assert_cmpint(g_get_monotonic_time() - start, <,
                    100 * G_TIME_SPAN_SECOND);
    blk_free(blk[0]);
    blk_free(blk[1]);
    remove_file("t.img");
}

static void free_call(void *opaque)
{
    blk_free(opaque);
}

/* Its last user goes while somebody waits for its requests. */
static void test_drain_free(void)
{
    uint8_t buf[512];
    struct iovec iov = { buf, sizeof(buf) };
    int ret = 1;
    Blk *blk;

    create("t.img", "raw", "size=1M");
    blk = blk_new("d", open_as("t.img", "raw", 0), BLK_AIO_THREADS);
    blk_submit(blk, BLK_READ, 0, 512, &iov, 1, 0, keep_ret, &ret);
    mainloop_call(free_call, blk);
    blk_drain(blk);
    g_assert_cmpint(ret, ==, 0);
    remove_file("t.img");
}

static uint64_t data_here(BlockNode *bn)
{
    uint64_t sum = 0;

    for (uint64_t off = 0; off < SIZE;) {
        BlockExtent e;

        g_assert_cmpint(block_map(bn, off, SIZE - off, 0, &e), ==, 0);
        sum += e.kind == EXTENT_DATA ? e.len : 0;
        off += e.len;
    }
    return sum;
}

typedef struct Load {
    Blk *blk;
    GRand *r;
    uint8_t *model;
    uint8_t buf[65536];
    struct iovec iov;
    uint64_t off;
    bool write, busy;
} Load;

static void load_done(void *opaque, int ret)
{
    Load *l = opaque;

    g_assert_cmpint(ret, ==, 0);
    if (!l->write) {
        g_assert_cmpmem(l->buf, l->iov.iov_len, l->model + l->off,
                        l->iov.iov_len);
    }
    l->busy = false;
}

/* A quarter of the disk is each load's: what it reads is known. */
static void load_next(Load *l, unsigned quarter)
{
    uint64_t len = 512 * (uint64_t)g_rand_int_range(l->r, 1, 128);

    l->off = (uint64_t)quarter * (SIZE / 4) +
             512 * (uint64_t)g_rand_int_range(l->r, 0,
                                              (int)((SIZE / 4 - len) / 512));
    l->write = g_rand_int_range(l->r, 0, 3) == 0;
    l->iov = (struct iovec) { l->buf, len };
    l->busy = true;
    if (l->write) {
        memset(l->buf, g_rand_int_range(l->r, 0, 256), len);
        memcpy(l->model + l->off, l->buf, len);
    }
    blk_submit(l->blk, l->write ? BLK_WRITE : BLK_READ, l->off, len, &l->iov, 1,
               0, load_done, l);
}

/* Reads fill the overlay with what they read, also beside writes. */
static void test_copy_on_read(void)
{
    g_autofree uint8_t *model = g_malloc0(SIZE);
    g_autofree Load *load = g_new0(Load, 4);
    GRand *r = g_rand_new_with_seed(g_test_rand_int());
    uint8_t buf[65536];
    struct iovec iov = { buf, sizeof(buf) };
    BlockNode *bn;
    int ret;
    Blk *blk;

    create("base.img", "raw", "size=4M");
    bn = open_as("base.img", "raw", BLOCK_RDWR);
    fill(bn, r, model, 200);
    close_bn(bn);
    create("over.img", "qcow2",
           "size=4M,backing_file=base.img,backing_fmt=raw");
    bn = open_as("over.img", "qcow2", BLOCK_RDWR);
    blk = blk_new("d", bn, BLK_AIO_DEFAULT);
    g_assert_cmpuint(data_here(bn), ==, 0);
    blk_submit(blk, BLK_READ, MIB, sizeof(buf), &iov, 1, 0, keep_ret, &ret);
    blk_drain(blk);
    g_assert_cmpint(ret, ==, 0);
    g_assert_cmpmem(buf, sizeof(buf), model + MIB, sizeof(buf));
    g_assert_cmpuint(data_here(bn), ==, 0); /* not yet on */
    blk_set_copy_on_read(blk, true);
    blk_submit(blk, BLK_READ, MIB, sizeof(buf), &iov, 1, 0, keep_ret, &ret);
    blk_drain(blk);
    g_assert_cmpmem(buf, sizeof(buf), model + MIB, sizeof(buf));
    g_assert_cmpuint(data_here(bn), ==, 65536);
    for (unsigned i = 0; i < 4; i++) {
        load[i] = (Load) { .blk = blk, .r = r, .model = model };
    }
    for (unsigned n = 0; n < 2000;) {
        for (unsigned i = 0; i < 4; i++) {
            if (!load[i].busy) {
                load_next(&load[i], i);
                n++;
            }
        }
        mainloop_iterate(true);
    }
    blk_drain(blk);
    expect_data(bn, model);
    g_assert_cmpuint(data_here(bn), >, SIZE / 2);
    expect_clean(bn);
    blk_free(blk);
    g_rand_free(r);
    remove_file("over.img");
    remove_file("base.img");
}

/* ---- whole images ------------------------------------------------------------------------ */

static void convert(BlockNode *src, BlockNode *dst, bool compress)
{
    g_autoptr(GError) err = NULL;
    ConvertOpts o = {
        .src = &src,
        .nsrc = 1,
        .dst = dst,
        .compress = compress,
        .dst_is_zero = true,
        .min_sparse = 4096,
    };

    block_convert(&o, NULL, &err);
    g_assert_no_error(err);
}

static void test_convert(void)
{
    static const char *const rows[][2] = {
        { "qcow2", "size=4M" },
        { "qcow2", "size=4M,cluster_size=512" },
        { "raw", "size=4M" },
        { "qcow2", "size=4M,compression_type=zstd" },
    };
    g_autofree uint8_t *model = g_malloc0(SIZE);
    GRand *r = g_rand_new_with_seed(g_test_rand_int());
    BlockNode *src, *dst;

    create("src", "qcow2", "size=4M,cluster_size=4k");
    src = open_as("src", "qcow2", BLOCK_RDWR);
    fill(src, r, model, 40);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        for (int c = 0; c < 2; c++) {
            if (c && strcmp(rows[i][0], "raw") == 0) {
                continue;
            }
            create("dst", rows[i][0], rows[i][1]);
            dst = open_as("dst", rows[i][0], BLOCK_RDWR);
            convert(src, dst, c);
            expect_data(dst, model);
            if (dst->drv->check) {
                expect_clean(dst);
            }
            close_bn(dst);
            remove_file("dst");
        }
    }
    close_bn(src);
    remove_file("src");
    g_rand_free(r);
}

static void make_chain(GRand *r, uint8_t *model)
{
    BlockNode *bn;

    create("base", "raw", "size=4M");
    bn = open_as("base", "raw", BLOCK_RDWR);
    fill(bn, r, model, 30);
    close_bn(bn);
    create("mid", "qcow2", "size=4M,backing_file=base,backing_fmt=raw");
    bn = open_as("mid", "qcow2", BLOCK_RDWR);
    fill(bn, r, model, 20);
    close_bn(bn);
    create("top", "qcow2",
           "size=4M,backing_file=mid,backing_fmt=qcow2,"
           "cluster_size=4k");
    bn = open_as("top", "qcow2", BLOCK_RDWR);
    fill(bn, r, model, 20);
    expect_data(bn, model);
    close_bn(bn);
}

static void remove_chain(void)
{
    remove_file("base");
    remove_file("mid");
    remove_file("top");
}

static void test_commit(void)
{
    g_autofree uint8_t *model = g_malloc0(SIZE);
    GRand *r = g_rand_new_with_seed(g_test_rand_int());
    g_autoptr(GError) err = NULL;
    BlockNode *bn;

    make_chain(r, model);
    bn = open_as("top", "qcow2", BLOCK_RDWR);
    block_commit(bn, bn->backing, true, NULL, &err);
    g_assert_no_error(err);
    expect_data(bn, model);
    expect_clean(bn);
    close_bn(bn);
    bn = open_as("mid", "qcow2", BLOCK_RDWR);
    expect_data(bn, model);
    expect_clean(bn);
    block_commit(bn, bn->backing, true, NULL, &err);
    g_assert_no_error(err);
    close_bn(bn);
    bn = open_as("base", "raw", 0);
    expect_data(bn, model);
    close_bn(bn);
    remove_chain();
    g_rand_free(r);
}

static void test_rebase(void)
{
    g_autofree uint8_t *model = g_malloc0(SIZE);
    GRand *r = g_rand_new_with_seed(g_test_rand_int());
    g_autoptr(GError) err = NULL;
    BlockNode *bn;

    make_chain(r, model);
    bn = open_as("top", "qcow2", BLOCK_RDWR);
    block_rebase(bn, "base", "raw", false, false, NULL, &err);
    g_assert_no_error(err);
    expect_data(bn, model);
    expect_clean(bn);
    close_bn(bn);
    remove_file("mid");
    bn = open_as("top", "qcow2", BLOCK_RDWR);
    expect_data(bn, model);
    block_rebase(bn, NULL, NULL, false, true, NULL, &err);
    g_assert_no_error(err);
    close_bn(bn);
    remove_file("base");
    bn = open_as("top", "qcow2", BLOCK_RDWR);
    g_assert_null(bn->backing_name);
    expect_data(bn, model);
    expect_clean(bn);
    close_bn(bn);
    remove_chain();
    g_rand_free(r);
}

static void test_bitmaps(void)
{
    g_autoptr(GError) err = NULL;
    BitmapInfo info = { .name = "b0", .granularity = 65536, .enabled = true };
    GArray *list;
    uint8_t buf[4096] = { 1 };
    BlockNode *bn;

    create("bm", "qcow2", "size=4M");
    bn = open_as("bm", "qcow2", BLOCK_RDWR);
    bn->drv->bitmaps->add(bn, &info, &err);
    g_assert_no_error(err);
    g_assert_cmpint(block_pwrite(bn, MIB, buf, sizeof(buf)), ==, 0);
    close_bn(bn);
    bn = open_as("bm", "qcow2", BLOCK_RDWR);
    g_assert_cmpint(block_pwrite(bn, 2 * MIB, buf, sizeof(buf)), ==, 0);
    close_bn(bn);
    bn = open_as("bm", "qcow2", 0);
    expect_clean(bn);
    list = bn->drv->bitmaps->list(bn, &err);
    g_assert_no_error(err);
    g_assert_cmpuint(list->len, ==, 1);
    g_assert_cmpuint(g_array_index(list, BitmapInfo, 0).count, ==, 2 * 65536);
    g_assert_false(g_array_index(list, BitmapInfo, 0).inconsistent);
    g_array_unref(list);
    close_bn(bn);
    bn = open_as("bm", "qcow2", BLOCK_RDWR);
    bn->drv->bitmaps->remove(bn, "b0", &err);
    g_assert_no_error(err);
    expect_clean(bn);
    close_bn(bn);
    remove_file("bm");
}

static void test_amend(void)
{
    static const char *const steps[] = {
        "refcount_bits=1",    "refcount_bits=64",
        "refcount_bits=16",   "lazy_refcounts=on",
        "lazy_refcounts=off", "compat=0.10",
        "compat=1.1",         "size=8M",
    };
    g_autofree uint8_t *model = g_malloc0(SIZE);
    GRand *r = g_rand_new_with_seed(g_test_rand_int());
    BlockNode *bn;

    create("am", "qcow2", "size=4M,cluster_size=4k");
    bn = open_as("am", "qcow2", BLOCK_RDWR);
    fill(bn, r, model, 40);
    g_assert_cmpint(block_zero(bn, 0, 100000, 0), ==, 0);
    memset(model, 0, 100000);
    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        g_autoptr(GError) err = NULL;
        g_autoptr(KeyVal) kv = keyval_parse(steps[i], NULL, &err);

        block_amend(bn, kv, false, NULL, &err);
        g_assert_no_error(err);
        expect_clean(bn);
        expect_data(bn, model);
        close_bn(bn);
        bn = open_as("am", "qcow2", BLOCK_RDWR);
        expect_clean(bn);
        expect_data(bn, model);
    }
    g_assert_cmpuint(bn->size, ==, 8 * MIB);
    close_bn(bn);
    remove_file("am");
    g_rand_free(r);
}

static BlockNode *open_in(BlockGraph *g, const char *opts, const char *error)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(KeyVal) kv = keyval_parse(opts, NULL, &err);
    BlockNode *bn;

    g_assert_no_error(err);
    bn = block_open_in(g, NULL, NULL, kv, BLOCK_RDWR, &err);
    if (error) {
        g_assert_null(bn);
        g_assert_cmpstr(err->message, ==, error);
    } else {
        g_assert_no_error(err);
    }
    return bn;
}

/* Nodes by name: shared, counted, and gone with the last reference. */
static void test_graph(void)
{
    BlockGraph *g = block_graph_new();
    g_autofree char *base = path_of("gr-base"), *top = path_of("gr-top");
    g_autofree char *a = g_strdup_printf("driver=file,filename=%s,"
                                         "node-name=bfile",
                                         base);
    g_autofree char *b =
        g_strdup_printf("driver=file,filename=%s,node-name=tfile", top);
    g_autoptr(GPtrArray) nodes = NULL;
    BlockNode *bfile, *tfile, *mid, *bn;
    uint8_t buf[512];

    create("gr-base", "qcow2", "size=1M");
    create("gr-top", "qcow2", "size=1M");
    bfile = open_in(g, a, NULL);
    tfile = open_in(g, b, NULL);
    open_in(g, a, "Duplicate nodes with node-name='bfile'");
    open_in(g, "driver=qcow2,file=nobody",
            "Cannot find device='nobody' nor node-name='nobody'");
    open_in(g, "driver=qcow2,file=tfile,backing=nobody",
            "Cannot find device='nobody' nor node-name='nobody'");
    open_in(g, "driver=qcow2,file=tfile,node-name=1x",
            "Invalid node-name: '1x'");
    open_in(g, "driver=qcow2,file=tfile,filename=/x",
            "Cannot reference an existing block device with additional "
            "options or a new filename");
    g_assert_cmpuint(tfile->refs, ==, 1);
    mid = open_in(g, "driver=qcow2,file=bfile,node-name=mid", NULL);
    memset(buf, 0x5a, sizeof(buf));
    g_assert_cmpint(block_pwrite(mid, 4096, buf, sizeof(buf)), ==, 0);
    bn = open_in(g,
                 "{\"driver\": \"qcow2\", \"file\": \"tfile\", "
                 "\"backing\": \"mid\", \"node-name\": \"top\"}",
                 NULL);
    g_assert_true(bn->backing == mid && bn->file == tfile);
    g_assert_true(block_graph_find(g, "top") == bn);
    nodes = block_graph_nodes(g);
    g_assert_cmpuint(nodes->len, ==, 4);
    memset(buf, 0, sizeof(buf));
    g_assert_cmpint(block_pread(bn, 4096, buf, sizeof(buf)), ==, 0);
    g_assert_cmphex(buf[511], ==, 0x5a);
    close_bn(bfile);
    close_bn(tfile);
    g_assert_cmpuint(mid->refs, ==, 2);
    close_bn(mid);
    g_assert_true(block_graph_find(g, "mid") == mid);
    close_bn(bn);
    g_assert_null(block_graph_find(g, "mid"));
    g_assert_null(block_graph_find(g, "bfile"));
    bn = open_in(g, a, NULL);
    block_graph_free(g); /* an open node loses its name, no more */
    close_bn(bn);
    remove_file("gr-base");
    remove_file("gr-top");
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    image_dir_make();
    g_test_add_func("/block/reopen", test_reopen);
    g_test_add_func("/block/paths", test_paths);
    g_test_add_func("/block/options", test_options);
    g_test_add_func("/block/graph", test_graph);
    g_test_add_func("/block/probe", test_probe);
    g_test_add_func("/block/locks", test_locks);
    g_test_add_func("/block/async", test_async);
    g_test_add_func("/block/refused", test_refused);
    g_test_add_func("/block/throttle", test_throttle);
    g_test_add_func("/block/throttle-group", test_throttle_group);
    g_test_add_func("/block/throttle-end", test_throttle_end);
    g_test_add_func("/block/drain-free", test_drain_free);
    g_test_add_func("/block/copy-on-read", test_copy_on_read);
    g_test_add_func("/block/convert", test_convert);
    g_test_add_func("/block/commit", test_commit);
    g_test_add_func("/block/rebase", test_rebase);
    g_test_add_func("/block/bitmaps", test_bitmaps);
    g_test_add_func("/block/amend", test_amend);
    ret = g_test_run();
    image_dir_remove();
    return ret;
}
