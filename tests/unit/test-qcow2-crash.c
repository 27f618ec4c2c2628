/*
 * qcow2 after a crash: every write and flush of a random session is recorded;
 * the image of every moment, also with the writes since the last flush kept in
 * part and in any order, has no corruption (leaks only), and every byte that
 * was flushed is there. And errors at every single write: they reach the
 * caller, and the image stays valid.
 */
#include "util/osdep.h"
#include "block/block.h"
#include "tests/lib/image.h"
#include "tests/lib/mem-disk.h"

enum { SIZE = 1 << 20, OPS = 45, SECTORS = SIZE / 512 };

/* The guest's view when its flush returned. */
typedef struct Mark {
    guint at; /* entries of the log */
    uint8_t *model;
} Mark;

typedef struct Session {
    MemDisk disk;
    GByteArray *start;
    GArray *marks;   /* of Mark */
    GArray *touched; /* of uint32_t sector + position: who changed what when */
    uint8_t *model;
    BlockNode *bn;
    GRand *r;
} Session;

typedef struct Touch {
    guint at;
    uint32_t first, end; /* sectors */
} Touch;

static void touch(Session *s, uint64_t off, uint64_t len)
{
    Touch t = { s->disk.log ? s->disk.log->len : 0, (uint32_t)(off / 512),
                (uint32_t)((off + len + 511) / 512) };

    g_array_append_val(s->touched, t);
}

static void mark(Session *s)
{
    Mark m = { s->disk.log->len, g_memdup2(s->model, SIZE) };

    g_array_append_val(s->marks, m);
}

/* One guest operation; its result. */
static int guest_op(Session *s, unsigned i)
{
    uint64_t off = (uint64_t)g_rand_int_range(s->r, 0, SECTORS) * 512;
    uint64_t len = (uint64_t)g_rand_int_range(s->r, 1, 40) * 512;
    g_autofree uint8_t *buf = g_malloc(40 * 512);
    int what = g_rand_int_range(s->r, 0, 12), ret;

    len = MIN(len, SIZE - off);
    memset(buf, (int)(i % 255) + 1, len);
    if (what >= 10) {
        ret = block_flush(s->bn);
        if (ret == 0 && s->disk.log) {
            mark(s);
        }
        return ret;
    }
    touch(s, off, len);
    if (what == 9) {
        ret = block_discard(s->bn, off, len);
        if (ret == 0) {
            ret = block_pread(s->bn, off, s->model + off, len);
        }
    } else if (what == 8) {
        ret = block_zero(s->bn, off, len, ZERO_MAY_UNMAP);
        memset(s->model + off, 0, len);
    } else {
        ret = block_pwrite(s->bn, off, buf, len);
        memcpy(s->model + off, buf, len);
    }
    return ret;
}

static void take_snapshot(Session *s)
{
    SnapshotInfo info = { .name = "s" };

    s->bn->drv->snapshots->create(s->bn, &info, NULL);
}

static void session_start(Session *s, const char *opts, bool record)
{
    unsigned flags = BLOCK_RDWR | BLOCK_UNMAP;
    g_autoptr(GError) err = NULL;

    memset(s, 0, sizeof(*s));
    s->start = make_image("qcow2", opts);
    mem_disk_init(&s->disk, s->start->data, s->start->len);
    s->marks = g_array_new(false, false, sizeof(Mark));
    s->touched = g_array_new(false, false, sizeof(Touch));
    s->model = g_malloc0(SIZE);
    s->r = g_rand_new_with_seed(g_test_rand_int());
    flags |= g_rand_boolean(s->r) ? BLOCK_DIRECT : 0; /* room is made ahead */
    s->bn = block_open_over(mem_disk_node(&s->disk, flags), "qcow2", NULL,
                            flags, &err);
    g_assert_no_error(err);
    if (record) {
        mem_disk_record(&s->disk);
        mark(s);
    }
}

static void session_end(Session *s)
{
    for (guint i = 0; i < s->marks->len; i++) {
        g_free(g_array_index(s->marks, Mark, i).model);
    }
    g_array_unref(s->marks);
    g_array_unref(s->touched);
    g_byte_array_unref(s->start);
    mem_disk_clear(&s->disk);
    g_free(s->model);
    g_rand_free(s->r);
}

static void check_image(const GByteArray *image, const char *when,
                        BlockNode **out, MemDisk *d, bool leaks_only)
{
    g_autoptr(GString) text = g_string_new("");
    g_autoptr(GError) err = NULL;
    CheckResult res = { .messages = text };

    mem_disk_init(d, image->data, image->len);
    *out =
        block_open_over(mem_disk_node(d, 0), "qcow2", NULL, BLOCK_CHECK, &err);
    g_assert_no_error(err);
    block_check(*out, &res, 0, &err);
    g_assert_no_error(err);
    if (leaks_only && (res.corruptions || res.check_errors)) {
        g_error("%s: %s", when, text->str);
    }
}

/* Everything flushed before log entry @at, and not changed since, reads back. */
static void check_flushed(const Session *s, BlockNode *bn, guint at, guint upto,
                          const char *when)
{
    const Mark *m = NULL;
    g_autofree bool *changed = g_new0(bool, SECTORS);
    g_autofree uint8_t *buf = g_malloc(SIZE);

    for (guint i = 0; i < s->marks->len; i++) {
        const Mark *k = &g_array_index(s->marks, Mark, i);

        m = k->at <= at ? k : m;
    }
    g_assert_nonnull(m);
    for (guint i = 0; i < s->touched->len; i++) {
        const Touch *t = &g_array_index(s->touched, Touch, i);

        /* after the flush, and before the last write of this image */
        for (uint32_t k = t->first;
             t->at >= m->at && t->at < upto && k < t->end; k++) {
            changed[k] = true;
        }
    }
    g_assert_cmpint(block_pread(bn, 0, buf, SIZE), ==, 0);
    for (uint32_t k = 0; k < SECTORS; k++) {
        if (!changed[k] &&
            memcmp(buf + k * 512, m->model + k * 512, 512) != 0) {
            g_error("%s: flushed sector %u is lost (%#x, was %#x)", when, k,
                    buf[k * 512], m->model[k * 512]);
        }
    }
}

static void check_moment(const Session *s, const GByteArray *image, guint at,
                         guint upto, const char *how, bool lazy)
{
    g_autofree char *when = g_strdup_printf("%s at log entry %u", how, at);
    MemDisk d;
    BlockNode *bn;

    check_image(image, when, &bn, &d, !lazy);
    check_flushed(s, bn, at, upto, when);
    block_close(bn, NULL);
    if (lazy) { /* the repair on opening makes it clean */
        g_autoptr(GError) err = NULL;
        g_autoptr(GString) text = g_string_new("");
        CheckResult res = { .messages = text };

        bn = block_open_over(mem_disk_node(&d, BLOCK_RDWR), "qcow2", NULL,
                             BLOCK_RDWR, &err);
        g_assert_no_error(err);
        block_check(bn, &res, 0, &err);
        if (res.corruptions) {
            g_error("%s: %s", when, text->str);
        }
        check_flushed(s, bn, at, upto, when);
        block_close(bn, NULL);
    }
    mem_disk_clear(&d);
}

/* Some of the writes since the last flush, in any order. */
static void check_reordered(const Session *s, const GByteArray *flushed,
                            guint from, guint to, bool lazy)
{
    g_autoptr(GByteArray) image = g_byte_array_new();
    g_autofree guint *order = g_new(guint, to - from + 1);
    guint n = 0;

    g_byte_array_append(image, flushed->data, flushed->len);
    for (guint i = from; i < to; i++) {
        if (g_rand_boolean(s->r)) {
            order[n++] = i;
        }
    }
    for (guint i = n; i > 1; i--) {
        guint k = (guint)g_rand_int_range(s->r, 0, (gint)i);
        guint t = order[i - 1];

        order[i - 1] = order[k];
        order[k] = t;
    }
    for (guint i = 0; i < n; i++) {
        mem_op_apply(image, &g_array_index(s->disk.log, MemOp, order[i]));
    }
    check_moment(s, image, from, to, "reordered", lazy);
}

static void replay(const Session *s, bool lazy)
{
    g_autoptr(GByteArray) image = g_byte_array_new();
    g_autoptr(GByteArray) flushed = g_byte_array_new();
    guint last = 0;

    g_byte_array_append(image, s->start->data, s->start->len);
    g_byte_array_append(flushed, image->data, image->len);
    for (guint i = 0; i < s->disk.log->len; i++) {
        const MemOp *op = &g_array_index(s->disk.log, MemOp, i);

        if (op->kind == MEM_FLUSH) {
            if (i > last + 1) {
                check_reordered(s, flushed, last, i, lazy);
                check_reordered(s, flushed, last, i, lazy);
            }
            g_byte_array_set_size(flushed, 0);
            g_byte_array_append(flushed, image->data, image->len);
            last = i + 1;
            continue;
        }
        mem_op_apply(image, op);
        check_moment(s, image, i + 1, i + 1, "prefix", lazy);
    }
}

static void vm_state(Session *s)
{
    uint8_t buf[9000];

    memset(buf, 0x77, sizeof(buf));
    g_assert_cmpint(
        s->bn->drv->snapshots->vmstate_write(s->bn, 0, buf, sizeof(buf)), ==,
        0);
}

/* Back to the snapshot: its view is that of the guest's last flush. */
static void go_back(Session *s)
{
    g_autoptr(GError) err = NULL;

    touch(s, 0, SIZE);
    s->bn->drv->snapshots->apply(s->bn, "s", &err);
    g_assert_no_error(err);
    g_assert_cmpint(block_pread(s->bn, 0, s->model, SIZE), ==, 0);
    mark(s);
}

/* To a larger and back to the old size: what is cut off was never used. */
static void resize(Session *s, const char *prealloc)
{
    g_autoptr(GError) err = NULL;

    block_resize(s->bn, 3 * SIZE / 2, prealloc, false, &err);
    g_assert_no_error(err);
    block_resize(s->bn, SIZE, "off", true, &err);
    g_assert_no_error(err);
}

static void compressed(Session *s, unsigned i)
{
    uint64_t off = (i * 5 % 8) * (SIZE / 8);
    g_autofree uint8_t *buf = g_malloc(SIZE / 8);
    struct iovec iov = { buf, SIZE / 8 };

    for (unsigned k = 0; k < SIZE / 8; k++) {
        buf[k] = (uint8_t)(k / 700 + i);
    }
    touch(s, off, SIZE / 8);
    block_zero(s->bn, off, SIZE / 8, ZERO_MAY_UNMAP);
    g_assert_cmpint(block_pwritev(s->bn, off, &iov, 1, WRITE_COMPRESSED), ==,
                    0);
    memcpy(s->model + off, buf, SIZE / 8);
}

static void bitmaps(Session *s, bool first)
{
    const BitmapOps *ops = s->bn->drv->bitmaps;
    BitmapInfo info = { .name = "b0", .granularity = 65536, .enabled = true };
    g_autoptr(GError) err = NULL;

    if (first) {
        ops->add(s->bn, &info, &err);
        g_assert_no_error(err);
        g_strlcpy(info.name, "b1", sizeof(info.name));
        ops->add(s->bn, &info, &err);
    } else {
        ops->merge(s->bn, "b0", s->bn, "b1", &err);
        g_assert_no_error(err);
        ops->clear(s->bn, "b1", &err);
        g_assert_no_error(err);
        ops->remove(s->bn, "b1", &err);
    }
    g_assert_no_error(err);
}

/* What happens between the guest's operations. */
static void extra_op(Session *s, unsigned i, const char *opts)
{
    bool snapshots = !strstr(opts, "refcount_bits=1");
    /* a header of 512 bytes has no room for the extension */
    bool v3 = !strstr(opts, "0.10") && !strstr(opts, "cluster_size=512");

    switch (i) {
    case OPS / 6:
        if (v3) {
            bitmaps(s, true);
        }
        break;
    case OPS / 4:
        compressed(s, i);
        break;
    case OPS / 3:
        if (snapshots) {
            vm_state(s);
            take_snapshot(s);
        }
        break;
    case OPS / 2:
        if (v3) {
            bitmaps(s, false);
        } else if (!strstr(opts, "0.10")) { /* v2: not with snapshots */
            resize(s, strstr(opts, "refcount_bits=64") ? "off" : "metadata");
        }
        break;
    case 7 * OPS / 12:
        compressed(s, i);
        if (snapshots) {
            go_back(s);
        }
        break;
    case 2 * OPS / 3:
        if (snapshots) {
            s->bn->drv->snapshots->remove(s->bn, "s", NULL);
        }
        break;
    default:
        break;
    }
}

static void test_crash(gconstpointer opts)
{
    Session s;
    bool lazy = strstr(opts, "lazy") != NULL;

    session_start(&s, opts, true);
    for (unsigned i = 0; i < OPS; i++) {
        g_assert_cmpint(guest_op(&s, i), ==, 0);
        extra_op(&s, i, opts);
    }
    block_close(s.bn, NULL);
    replay(&s, lazy);
    session_end(&s);
}

/* EIO and ENOSPC, once or for good, at each write in turn. */
static void test_errors(gconstpointer opts)
{
    unsigned total = 1;

    for (unsigned at = 1; at <= total; at += 1 + at / 12) {
        for (int kind = 0; kind < 2; kind++) {
            Session s;
            MemDisk d;
            BlockNode *bn;
            int worst = 0;
            bool closed;

            session_start(&s, opts, false);
            s.disk.fail_at = s.disk.writes + at;
            s.disk.fail_on = kind;
            s.disk.fail_errno = kind ? ENOSPC : EIO;
            for (unsigned i = 0; i < OPS; i++) {
                int ret = guest_op(&s, i);

                worst = ret ? ret : worst;
                if (i == OPS / 2) {
                    take_snapshot(&s);
                }
            }
            total = MAX(total, s.disk.writes);
            closed = block_close(s.bn, NULL);
            if (kind && s.disk.writes >= s.disk.fail_at) {
                g_assert_true(worst == -ENOSPC || !closed ||
                              at + 5 > s.disk.writes);
            }
            check_image(s.disk.bytes, opts, &bn, &d, !strstr(opts, "lazy"));
            block_close(bn, NULL);
            mem_disk_clear(&d);
            session_end(&s);
        }
    }
}

int main(int argc, char **argv)
{
    static const char *const opts[] = {
        "size=1M,cluster_size=512",
        "size=1M,cluster_size=4k",
        "size=1M,cluster_size=512,refcount_bits=64",
        "size=1M,cluster_size=4k,refcount_bits=1",
        "size=1M,cluster_size=4k,compat=0.10",
        "size=1M,cluster_size=16k,extended_l2=on",
        "size=1M,cluster_size=4k,lazy_refcounts=on",
    };

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(opts); i++) {
        g_autofree char *a = g_strdup_printf("/qcow2/crash/%s", opts[i]);
        g_autofree char *b = g_strdup_printf("/qcow2/errors/%s", opts[i]);

        g_test_add_data_func(a, opts[i], test_crash);
        g_test_add_data_func(b, opts[i], test_errors);
    }
    return g_test_run();
}
