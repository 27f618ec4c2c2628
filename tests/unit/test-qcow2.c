/*
 * qcow2: random writes, zeroes, discards and snapshots against a model in
 * memory, for every kind of image; check finds nothing, here and, where it is
 * installed, by qemu-img, which reads the same bytes.
 */
#include "util/osdep.h"
#include "block/block.h"
#include "block/vmstream.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/secret.h"

#include <fcntl.h>
#include <glib/gstdio.h>

enum { SIZE = 3 << 20, OPS = 250 };

typedef struct Variant {
    const char *name, *opts;
} Variant;

static const Variant variants[] = {
    { "default", "size=3M" },
    { "v2", "size=3M,compat=0.10" },
    { "512", "size=3M,cluster_size=512" },
    { "2M", "size=3M,cluster_size=2M" },
    { "4k-rc1", "size=3M,cluster_size=4k,refcount_bits=1" },
    { "1k-rc2", "size=3M,cluster_size=1k,refcount_bits=2" },
    { "1k-rc4", "size=3M,cluster_size=1k,refcount_bits=4" },
    { "8k-rc8", "size=3M,cluster_size=8k,refcount_bits=8" },
    { "512-rc64", "size=3M,cluster_size=512,refcount_bits=64" },
    { "rc32", "size=3M,refcount_bits=32" },
    { "lazy", "size=3M,lazy_refcounts=on" },
    { "extl2", "size=3M,extended_l2=on" },
    { "extl2-16k", "size=3M,extended_l2=on,cluster_size=16k" },
    { "zstd", "size=3M,compression_type=zstd,cluster_size=4k" },
    { "metadata", "size=3M,preallocation=metadata" },
    { "full", "size=3M,preallocation=full" },
    { "falloc-extl2", "size=3M,preallocation=falloc,extended_l2=on" },
};

static char *dir;

static bool have_qemu_img(void)
{
    g_autofree char *p = g_find_program_in_path("qemu-img");

    return p != NULL;
}

static int G_GNUC_PRINTF(1, 2) run(const char *fmt, ...)
{
    g_autofree char *cmd = NULL, *out = NULL, *err = NULL;
    g_autoptr(GError) e = NULL;
    int status;
    va_list ap;

    va_start(ap, fmt);
    cmd = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    g_spawn_command_line_sync(cmd, &out, &err, &status, &e);
    g_assert_no_error(e);
    if (status) {
        g_test_message("%s: %s%s", cmd, out, err);
    }
    return status;
}

static char *path_of(const char *name)
{
    return g_strdup_printf("%s/%s.qcow2", dir, name);
}

static void create(const char *path, const char *opts)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(KeyVal) kv = keyval_parse(opts, NULL, &err);

    g_assert_no_error(err);
    block_create(path, "qcow2", kv, 0, &err);
    g_assert_no_error(err);
}

static BlockNode *open_rw(const char *path)
{
    g_autoptr(GError) err = NULL;
    BlockNode *bn =
        block_open(path, "qcow2", NULL, BLOCK_RDWR | BLOCK_UNMAP, &err);

    g_assert_no_error(err);
    return bn;
}

static void close_bn(BlockNode *bn)
{
    g_autoptr(GError) err = NULL;

    block_close(bn, &err);
    g_assert_no_error(err);
}

static void expect_clean(BlockNode *bn, const char *when)
{
    g_autoptr(GString) text = g_string_new("");
    g_autoptr(GError) err = NULL;
    CheckResult res = { .messages = text };

    block_check(bn, &res, 0, &err);
    g_assert_no_error(err);
    if (res.corruptions || res.leaks || res.check_errors) {
        g_test_message("%s: %s", when, text->str);
    }
    g_assert_cmpuint(res.corruptions, ==, 0);
    g_assert_cmpuint(res.leaks, ==, 0);
    g_assert_cmpuint(res.check_errors, ==, 0);
}

static void expect_data(BlockNode *bn, const uint8_t *model, const char *when)
{
    g_autofree uint8_t *buf = g_malloc(SIZE);

    g_assert_cmpint(block_pread(bn, 0, buf, SIZE), ==, 0);
    for (size_t i = 0; i < SIZE; i++) {
        if (buf[i] != model[i]) {
            g_error("%s: byte %#zx is %#x, not %#x", when, i, buf[i], model[i]);
        }
    }
}

static void random_op(BlockNode *bn, GRand *r, uint8_t *model, bool unaligned)
{
    BlockInfo info;
    uint64_t off = (uint64_t)g_rand_int_range(r, 0, SIZE);
    uint64_t len =
        (uint64_t)g_rand_int_range(r, 1, g_rand_boolean(r) ? 200000 : 5000);
    uint8_t v = (uint8_t)g_rand_int_range(r, 1, 256);
    int what = g_rand_int_range(r, 0, 10), ret;
    g_autofree uint8_t *buf = NULL;

    block_get_info(bn, &info);
    if (!unaligned || what > 5) {
        off &= ~UINT64_C(511);
        len = (len + 511) & ~UINT64_C(511);
    }
    if (what == 9) { /* whole clusters for compression */
        off &= ~(uint64_t)(info.cluster_size - 1);
        len = info.cluster_size;
    }
    len = MIN(len, SIZE - off);
    switch (what) {
    case 6:
        ret = block_zero(bn, off, len, ZERO_MAY_UNMAP);
        g_assert_cmpint(ret, ==, 0);
        memset(model + off, 0, len);
        break;
    case 7:
        ret = block_zero(bn, off, len, 0);
        g_assert_cmpint(ret, ==, 0);
        memset(model + off, 0, len);
        break;
    case 8:
        /* what it reads as then is not promised: read it back */
        ret = block_discard(bn, off, len);
        g_assert_cmpint(ret, ==, 0);
        g_assert_cmpint(block_pread(bn, off, model + off, len), ==, 0);
        break;
    case 9: {
        struct iovec iov;

        buf = g_malloc(len);
        for (uint64_t i = 0; i < len; i++) {
            buf[i] = (uint8_t)(i / 64 + v);
        }
        iov.iov_base = buf;
        iov.iov_len = len;
        ret = block_pwritev(bn, off, &iov, 1, WRITE_COMPRESSED);
        if (ret == 0) {
            memcpy(model + off, buf, len);
        } else {
            g_assert_cmpint(ret, ==, -EIO); /* there is a cluster already */
        }
        break;
    }
    default:
        buf = g_malloc(len);
        memset(buf, v, len);
        g_assert_cmpint(block_pwrite(bn, off, buf, len), ==, 0);
        memcpy(model + off, buf, len);
    }
}

static void qemu_agrees(const char *path, const uint8_t *model)
{
    g_autofree char *raw = g_strdup_printf("%s.raw", path);

    if (!have_qemu_img()) {
        return;
    }
    g_assert_cmpint(run("qemu-img check -q %s", path), ==, 0);
    g_assert_true(g_file_set_contents(raw, (const char *)model, SIZE, NULL));
    g_assert_cmpint(run("qemu-img compare -F raw %s %s", path, raw), ==, 0);
    g_unlink(raw);
}

static void test_random(gconstpointer data)
{
    const Variant *v = data;
    g_autofree char *path = path_of(v->name);
    g_autofree uint8_t *model = g_malloc0(SIZE);
    GRand *r = g_rand_new_with_seed(g_test_rand_int());
    BlockNode *bn;

    create(path, v->opts);
    bn = open_rw(path);
    expect_clean(bn, "new");
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < OPS / 3; i++) {
            random_op(bn, r, model, true);
            if (g_rand_int_range(r, 0, 20) == 0) {
                g_assert_cmpint(block_flush(bn), ==, 0);
            }
        }
        expect_data(bn, model, "open");
        expect_clean(bn, "open");
        close_bn(bn);
        qemu_agrees(path, model);
        bn = open_rw(path);
        expect_data(bn, model, "opened again");
    }
    close_bn(bn);
    g_rand_free(r);
    g_unlink(path);
}

static void snapshot(BlockNode *bn, const char *name)
{
    SnapshotInfo info = { .date_sec = 1000000000 };
    g_autoptr(GError) err = NULL;

    g_strlcpy(info.name, name, sizeof(info.name));
    bn->drv->snapshots->create(bn, &info, &err);
    g_assert_no_error(err);
}

static void test_snapshots(gconstpointer data)
{
    const Variant *v = data;
    g_autofree char *path = g_strdup_printf("%s/sn-%s.qcow2", dir, v->name);
    g_autofree uint8_t *a = g_malloc0(SIZE), *b = NULL;
    GRand *r = g_rand_new_with_seed(g_test_rand_int());
    g_autoptr(GError) err = NULL;
    uint8_t state[5000], back[5000];
    BlockNode *bn;

    create(path, v->opts);
    bn = open_rw(path);
    for (int i = 0; i < 60; i++) {
        random_op(bn, r, a, false);
    }
    if (strstr(v->name, "rc1") || strstr(v->name, "rc2") ||
        strstr(v->name, "rc4")) { /* rc4: compressed clusters share */
        SnapshotInfo info = { .name = "no room in the refcounts" };

        while (bn->drv->snapshots->create(bn, &info, NULL)) {
            info.id[0] = 0;
        }
        expect_clean(bn, "refused");
        expect_data(bn, a, "refused");
        close_bn(bn);
        qemu_agrees(path, a);
        g_rand_free(r);
        g_unlink(path);
        return;
    }
    memset(state, 0x5a, sizeof(state));
    g_assert_cmpint(
        bn->drv->snapshots->vmstate_write(bn, 100, state, sizeof(state)), ==,
        0);
    snapshot(bn, "one");
    expect_clean(bn, "one");
    b = g_memdup2(a, SIZE);
    for (int i = 0; i < 60; i++) {
        random_op(bn, r, b, false);
    }
    expect_data(bn, b, "after one");
    expect_clean(bn, "after one");
    snapshot(bn, "two");
    for (int i = 0; i < 20; i++) {
        random_op(bn, r, b, false);
    }
    expect_clean(bn, "after two");
    close_bn(bn);
    qemu_agrees(path, b);
    if (have_qemu_img()) {
        g_assert_cmpint(run("qemu-img snapshot -a one %s", path), ==, 0);
        qemu_agrees(path, a);
    }
    bn = open_rw(path);
    bn->drv->snapshots->apply(bn, "one", &err);
    g_assert_no_error(err);
    expect_data(bn, a, "back at one");
    g_assert_cmpint(
        bn->drv->snapshots->vmstate_read(bn, 100, back, sizeof(back)), ==, 0);
    g_assert_cmpmem(state, sizeof(state), back, sizeof(back));
    expect_clean(bn, "back at one");
    bn->drv->snapshots->remove(bn, "two", &err);
    g_assert_no_error(err);
    expect_clean(bn, "two is gone");
    bn->drv->snapshots->remove(bn, "1", &err);
    g_assert_no_error(err);
    expect_clean(bn, "one is gone");
    expect_data(bn, a, "none left");
    close_bn(bn);
    qemu_agrees(path, a);
    g_rand_free(r);
    g_unlink(path);
}

static uint64_t file_u64(const char *path, uint64_t off, const uint64_t *put)
{
    uint8_t be[8] = { 0 };
    int fd = open(path, O_RDWR);

    g_assert_cmpint(fd, >=, 0);
    if (put) {
        st_be64(be, *put);
        g_assert_cmpint(pwrite(fd, be, 8, (off_t)off), ==, 8);
    }
    g_assert_cmpint(pread(fd, be, 8, (off_t)off), ==, 8);
    close(fd);
    return ld_be64(be);
}

/* Entries that lead to the image's own tables: a write there is refused, the
 * image is marked corrupt, and the table is as it was. */
static void test_overlap(void)
{
    enum { TARGETS = 4, COPIED_BIT = 63 };
    g_autofree char *path = path_of("overlap");

    for (unsigned i = 0; i < TARGETS; i++) {
        uint8_t buf[4096];
        uint64_t l1, reft, l2, targets[TARGETS], entry, before;
        g_autoptr(KeyVal) none = keyval_parse("overlap-check=none", NULL, NULL);
        g_autoptr(GError) err = NULL;
        BlockNode *bn;

        memset(buf, 0xee, sizeof(buf));
        create(path, "size=1M");
        bn = open_rw(path);
        g_assert_cmpint(block_pwrite(bn, 0, buf, sizeof(buf)), ==, 0);
        close_bn(bn);
        l1 = file_u64(path, 40, NULL);
        reft = file_u64(path, 48, NULL);
        l2 = file_u64(path, l1, NULL) & UINT64_C(0xfffffffffffe00);
        targets[0] = l1;
        targets[1] = reft;
        targets[2] = file_u64(path, reft, NULL);
        targets[3] = l2;
        entry = targets[i] | UINT64_C(1) << COPIED_BIT;
        file_u64(path, l2, &entry);
        before = file_u64(path, targets[i], NULL);
        bn = open_rw(path);
        g_assert_cmpint(block_pwrite(bn, 0, buf, sizeof(buf)), ==, -EIO);
        close_bn(bn);
        g_assert_cmphex(file_u64(path, targets[i], NULL), ==, before);
        g_assert_cmphex(file_u64(path, 72, NULL) & 2, ==, 2); /* corrupt */
        before = 0;
        file_u64(path, 72, &before);
        bn = block_open(path, "qcow2", none, BLOCK_RDWR, &err);
        g_assert_no_error(err);
        g_assert_cmpint(block_pwrite(bn, 0, buf, sizeof(buf)), ==, 0);
        block_close(bn, NULL);
        g_unlink(path);
    }
}

/* VM state as a stream: any piece sizes, twice, and back after apply(). */
static void test_vmstream(void)
{
    enum { LEN = 9 * 1000 * 1000 + 7 };
    g_autofree char *path = path_of("vmstream");
    g_autofree uint8_t *state = g_malloc(LEN), *back = g_malloc(LEN);
    SnapshotInfo one = { .name = "one" }, two = { .name = "two" };
    g_autoptr(GError) err = NULL;
    GRand *r = g_rand_new_with_seed(g_test_rand_int());
    BlockNode *bn;

    for (size_t i = 0; i < LEN; i++) {
        state[i] = (uint8_t)(i * 7 + i / 4096);
    }
    create(path, "size=1M,cluster_size=4k");
    bn = open_rw(path);
    for (int round = 0; round < 2; round++) {
        SnapshotInfo *info = round ? &two : &one;
        size_t len = round ? LEN / 3 : LEN;
        VmStream *v = vmstream_writer(bn, &err);

        g_assert_no_error(err);
        for (size_t at = 0; at < len;) {
            size_t n = (size_t)g_rand_int_range(r, 1, 300000);

            n = MIN(n, len - at);
            g_assert_cmpint(vmstream_write(v, state + at, n), ==, 0);
            at += n;
        }
        info->vm_state_size = vmstream_tell(v);
        g_assert_cmpuint(info->vm_state_size, ==, len);
        g_assert_cmpint(vmstream_close(v), ==, 0);
        bn->drv->snapshots->create(bn, info, &err);
        g_assert_no_error(err);
        expect_clean(bn, info->name);
    }
    for (int round = 0; round < 2; round++) {
        SnapshotInfo *info = round ? &one : &two;
        size_t len = info->vm_state_size;
        VmStream *v;

        bn->drv->snapshots->apply(bn, info->name, &err);
        g_assert_no_error(err);
        v = vmstream_reader(bn, len, &err);
        g_assert_no_error(err);
        memset(back, 0, LEN);
        for (size_t at = 0; at < len;) {
            size_t n = (size_t)g_rand_int_range(r, 1, 300000);

            n = MIN(n, len - at);
            g_assert_cmpint(vmstream_read(v, back + at, n), ==, 0);
            at += n;
        }
        g_assert_true(memcmp(back, state, len) == 0);
        g_assert_cmpint(vmstream_read(v, back, 1), ==, -EIO);
        g_assert_cmpint(vmstream_close(v), ==, 0);
    }
    expect_clean(bn, "applied");
    close_bn(bn);
    g_rand_free(r);
    g_unlink(path);
}

static void test_backing(void)
{
    g_autofree char *base = path_of("base"), *top = path_of("top");
    g_autofree uint8_t *model = g_malloc0(SIZE);
    GRand *r = g_rand_new_with_seed(g_test_rand_int());
    BlockNode *bn;

    create(base, "size=2M");
    bn = open_rw(base);
    for (int i = 0; i < 50; i++) {
        uint8_t buf[20000];
        uint64_t off = (uint64_t)g_rand_int_range(r, 0, (2 << 20) - 20000);

        memset(buf, g_rand_int_range(r, 1, 256), sizeof(buf));
        g_assert_cmpint(block_pwrite(bn, off, buf, sizeof(buf)), ==, 0);
        memcpy(model + off, buf, sizeof(buf));
    }
    close_bn(bn);
    create(top, "size=3M,backing_file=base.qcow2,backing_fmt=qcow2");
    bn = open_rw(top);
    expect_data(bn, model, "through");
    for (int i = 0; i < 100; i++) {
        random_op(bn, r, model, true);
    }
    expect_data(bn, model, "overlay");
    expect_clean(bn, "overlay");
    close_bn(bn);
    qemu_agrees(top, model);
    g_rand_free(r);
    g_unlink(top);
    g_unlink(base);
}

static void test_resize(void)
{
    g_autofree char *path = path_of("resize");
    g_autoptr(GError) err = NULL;
    uint8_t buf[4096];
    BlockNode *bn;

    create(path, "size=1M,cluster_size=512");
    bn = open_rw(path);
    memset(buf, 7, sizeof(buf));
    g_assert_cmpint(block_pwrite(bn, (1 << 20) - 4096, buf, 4096), ==, 0);
    snapshot(bn, "small");
    block_resize(bn, 64 << 20, "off", false, &err);
    g_assert_no_error(err);
    g_assert_cmpint(block_pwrite(bn, (64 << 20) - 4096, buf, 4096), ==, 0);
    expect_clean(bn, "grown");
    block_resize(bn, 512 << 10, "off", true, &err);
    g_assert_no_error(err);
    expect_clean(bn, "shrunk");
    bn->drv->snapshots->apply(bn, "small", &err);
    g_assert_no_error(err);
    g_assert_cmpuint(bn->size, ==, 1 << 20);
    memset(buf, 0, sizeof(buf));
    g_assert_cmpint(block_pread(bn, (1 << 20) - 4096, buf, 4096), ==, 0);
    g_assert_cmpint(buf[5], ==, 7);
    expect_clean(bn, "applied");
    close_bn(bn);
    if (have_qemu_img()) {
        g_assert_cmpint(run("qemu-img check -q %s", path), ==, 0);
    }
    g_unlink(path);
}

/* Many clusters: refcount blocks and their table grow. */
static void test_growth(void)
{
    g_autofree char *path = path_of("growth");
    uint8_t buf[512];
    BlockNode *bn;

    create(path, "size=512M,cluster_size=512,refcount_bits=64");
    bn = open_rw(path);
    for (unsigned i = 0; i < 9000; i++) {
        memset(buf, (int)(i % 255) + 1, sizeof(buf));
        g_assert_cmpint(block_pwrite(bn, (uint64_t)i * 7 * 512, buf, 512), ==,
                        0);
    }
    expect_clean(bn, "grown");
    for (unsigned i = 0; i < 9000; i++) {
        g_assert_cmpint(block_pread(bn, (uint64_t)i * 7 * 512, buf, 512), ==,
                        0);
        g_assert_cmpint(buf[100], ==, (i % 255) + 1);
    }
    close_bn(bn);
    if (have_qemu_img()) {
        g_assert_cmpint(run("qemu-img check -q %s", path), ==, 0);
    }
    g_unlink(path);
}

/* What other programs see of an image in use, after a flush. */
static void expect_clean_copy(const char *path, const char *when)
{
    g_autofree char *copy = path_of("copy");
    g_autoptr(GError) err = NULL;
    g_autofree char *data = NULL;
    BlockNode *bn;
    gsize len;

    g_assert_true(g_file_get_contents(path, &data, &len, &err));
    g_assert_true(g_file_set_contents(copy, data, (gssize)len, &err));
    bn = block_open(copy, "qcow2", NULL, 0, &err);
    g_assert_no_error(err);
    expect_clean(bn, when);
    close_bn(bn);
    g_unlink(copy);
}

/* One flush is enough: freed clusters are free in the file, too. */
static void test_flush(void)
{
    g_autofree char *path = path_of("flush"), *buf = g_malloc(1 << 20);
    SnapshotInfo info = { .name = "a" };
    g_autoptr(GError) err = NULL;
    BlockNode *bn;

    create(path, "size=64M");
    bn = open_rw(path);
    memset(buf, 1, 1 << 20);
    g_assert_cmpint(block_pwrite(bn, 0, buf, 1 << 20), ==, 0);
    g_assert_cmpint(block_flush(bn), ==, 0);
    g_assert_cmpint(block_discard(bn, 0, 1 << 19), ==, 0);
    g_assert_cmpint(block_flush(bn), ==, 0);
    expect_clean_copy(path, "discarded");
    g_assert_true(bn->drv->snapshots->create(bn, &info, &err));
    g_assert_cmpint(block_pwrite(bn, 0, buf, 1 << 20), ==, 0);
    g_assert_cmpint(block_flush(bn), ==, 0);
    expect_clean_copy(path, "copied on write");
    close_bn(bn);
    g_unlink(path);
}

static void test_from_qemu(void)
{
    static const char *const opts[] = {
        "compat=0.10",       "compat=1.1",         "extended_l2=on",
        "cluster_size=512",  "refcount_bits=1",    "compression_type=zstd",
        "lazy_refcounts=on", "preallocation=full",
    };

    if (!have_qemu_img()) {
        g_test_skip("qemu-img is not installed");
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(opts); i++) {
        g_autofree char *path = path_of("q"), *raw = path_of("q.raw");
        g_autofree uint8_t *model = g_malloc0(SIZE);
        BlockNode *bn;

        for (size_t k = 0; k < SIZE; k++) {
            model[k] = (uint8_t)((k >> 17) & 1 ? k >> 9 : 0);
        }
        g_file_set_contents(raw, (char *)model, SIZE, NULL);
        g_assert_cmpint(run("qemu-img convert %s -f raw -O qcow2 -o %s %s %s",
                            i % 2 && i < 6 ? "-c" : "", opts[i], raw, path),
                        ==, 0);
        bn = open_rw(path);
        expect_clean(bn, opts[i]);
        expect_data(bn, model, opts[i]);
        close_bn(bn);
        g_unlink(path);
        g_unlink(raw);
    }
}

#if CONFIG_NETTLE
static void test_encrypted(void)
{
    g_autofree char *path = path_of("enc"), *raw = path_of("enc.raw");
    static const char object[] = "--object secret,id=k,data=pass1234";
    static const char *const formats[] = { "luks", "aes", "luks" };
    g_autoptr(GError) err = NULL;
    g_autoptr(KeyVal) kv = keyval_parse("id=k,data=pass1234", NULL, NULL);
    g_autoptr(KeyVal) bad = keyval_parse("id=bad,data=wrong", NULL, NULL);

    if (!have_qemu_img()) {
        g_test_skip("qemu-img is not installed");
        return;
    }
    g_assert_true(secret_add(kv, &err));
    g_assert_true(secret_add(bad, &err));
    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        g_autoptr(KeyVal) o = keyval_parse("encrypt.key-secret=k", NULL, NULL);
        g_autoptr(KeyVal) no =
            keyval_parse("encrypt.key-secret=bad", NULL, NULL);
        g_autofree uint8_t *model = g_malloc0(SIZE);
        GRand *r = g_rand_new_with_seed(g_test_rand_int());
        BlockNode *bn;

        if (i == 2) { /* ours */
            create(path, "size=3M,encrypt.format=luks,encrypt.key-secret=k,"
                         "encrypt.iter-time=10");
        } else if (run("qemu-img create -q -f qcow2 %s -o encrypt.format=%s,"
                       "encrypt.key-secret=k%s %s 3M",
                       object, formats[i], i ? "" : ",encrypt.iter-time=10",
                       path)) {
            continue; /* without the old cipher */
        }
        bn = block_open(path, "qcow2", NULL, 0, &err);
        g_assert_null(bn);
        g_assert_nonnull(strstr(err->message, "encrypt.key-secret"));
        g_clear_error(&err);
        if (!i) {
            bn = block_open(path, "qcow2", no, 0, &err);
            g_assert_null(bn);
            g_assert_nonnull(strstr(err->message, "Invalid password"));
            g_clear_error(&err);
        }
        bn = block_open(path, "qcow2", o, BLOCK_RDWR | BLOCK_UNMAP, &err);
        g_assert_no_error(err);
        for (int k = 0; k < 100; k++) {
            uint64_t off = (uint64_t)g_rand_int_range(r, 0, SIZE - 9000);
            uint8_t buf[9000];

            memset(buf, k + 1, sizeof(buf));
            g_assert_cmpint(block_pwrite(bn, off, buf, sizeof(buf)), ==, 0);
            memcpy(model + off, buf, sizeof(buf));
        }
        expect_data(bn, model, "encrypted");
        expect_clean(bn, "encrypted");
        close_bn(bn);
        g_file_set_contents(raw, (char *)model, SIZE, NULL);
        g_assert_cmpint(run("qemu-img compare %s --image-opts "
                            "driver=qcow2,file.filename=%s,"
                            "encrypt.key-secret=k "
                            "driver=raw,file.filename=%s",
                            object, path, raw),
                        ==, 0);
        g_rand_free(r);
        g_unlink(path);
        g_unlink(raw);
    }
}
#endif

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    dir = g_dir_make_tmp("rhea-qcow2-XXXXXX", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        g_autofree char *a =
            g_strdup_printf("/qcow2/random/%s", variants[i].name);
        g_autofree char *b =
            g_strdup_printf("/qcow2/snapshots/%s", variants[i].name);

        g_test_add_data_func(a, &variants[i], test_random);
        g_test_add_data_func(b, &variants[i], test_snapshots);
    }
    g_test_add_func("/qcow2/overlap", test_overlap);
    g_test_add_func("/qcow2/vmstream", test_vmstream);
    g_test_add_func("/qcow2/backing", test_backing);
    g_test_add_func("/qcow2/resize", test_resize);
    g_test_add_func("/qcow2/growth", test_growth);
    g_test_add_func("/qcow2/flush", test_flush);
    g_test_add_func("/qcow2/from-qemu", test_from_qemu);
#if CONFIG_NETTLE
    g_test_add_func("/qcow2/encrypted", test_encrypted);
#endif
    ret = g_test_run();
    g_rmdir(dir);
    g_free(dir);
    return ret;
}
