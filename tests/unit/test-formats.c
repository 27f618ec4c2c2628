/*
 * The small image formats on a file in memory: what a crash leaves at every
 * moment, an error at every single write, claims that a small file cannot
 * keep, and map() that must not wait.
 */
#include "util/osdep.h"
#include "block/block.h"
#include "block/vhdx.h"
#include "tests/lib/cost.h"
#include "tests/lib/image.h"
#include "tests/lib/mem-disk.h"
#include "util/bits.h"

enum { SIZE = 4 << 20, OPS = 24, SECTORS = SIZE / 512, RUN = 200 };

typedef struct Format {
    const char *test, *fmt, *opts;
    bool counts; /* check takes an unused block for a corruption, as in QEMU */
} Format;

static const Format formats[] = {
    { "vmdk", "vmdk", "size=4M", false },
    { "vmdk-zeroed", "vmdk", "size=4M,zeroed_grain=on", false },
    { "vpc", "vpc", "size=4M,force_size=on", false },
    { "vhdx", "vhdx", "size=4M,block_size=1M", false },
    { "vhdx-fixed", "vhdx", "size=4M,subformat=fixed,block_size=1M", false },
    { "parallels", "parallels", "size=4M,cluster_size=64k", false },
    { "vdi", "vdi", "size=4M", true },
    { "vdi-static", "vdi", "size=4M,static=on", true },
};

static BlockNode *open_on(MemDisk *d, const char *fmt, unsigned flags,
                          GError **errp)
{
    BlockNode *file = mem_disk_node(d, flags & BLOCK_RDWR);

    return block_open_over(file, fmt, NULL, flags, errp);
}

/* ---- a session of a guest -------------------------------------------------------- */

typedef struct Session {
    MemDisk disk;
    BlockNode *bn;
    GRand *r;
    uint8_t *model;
    bool unsure[SECTORS];  /* a write there failed */
    bool touched[SECTORS]; /* ... or was made since the last flush */
} Session;

static void session_start(Session *s, const Format *f, const GByteArray *image,
                          uint32_t seed)
{
    memset(s, 0, sizeof(*s));
    mem_disk_init(&s->disk, image->data, image->len);
    s->r = g_rand_new_with_seed(seed);
    s->model = g_malloc0(SIZE);
}

static void session_end(Session *s)
{
    g_rand_free(s->r);
    g_free(s->model);
    mem_disk_clear(&s->disk);
}

static void guest_op(Session *s, unsigned i)
{
    uint64_t off = (uint64_t)g_rand_int_range(s->r, 0, SECTORS) * 512;
    uint64_t len = (uint64_t)g_rand_int_range(s->r, 1, RUN) * 512;
    g_autofree uint8_t *buf = g_malloc(RUN * 512);
    bool zero = g_rand_int_range(s->r, 0, 4) == 0;
    int ret;

    len = MIN(len, SIZE - off);
    memset(buf, zero ? 0 : (int)(i % 255) + 1, len);
    ret = zero ? block_zero(s->bn, off, len, ZERO_MAY_UNMAP)
               : block_pwrite(s->bn, off, buf, len);
    memcpy(s->model + off, buf, len);
    for (uint64_t k = off / 512; k < (off + len) / 512; k++) {
        s->unsure[k] = ret < 0;
        s->touched[k] = true;
    }
}

/* ---- crashes ------------------------------------------------------------------------ */

/* The file as it was at some moment: opens, is not corrupt, and reads as @want
 * where the guest did not write since. */
static void check_moment(const Format *f, GByteArray *bytes,
                         const uint8_t *want, const bool *touched)
{
    g_autofree uint8_t *buf = g_malloc(SIZE);
    g_autoptr(GError) err = NULL;
    CheckResult res = { 0 };
    MemDisk d;
    BlockNode *bn;

    mem_disk_init(&d, bytes->data, bytes->len);
    bn = open_on(&d, f->fmt, BLOCK_CHECK | BLOCK_RDWR, &err);
    g_assert_no_error(err);
    if (bn->drv->check && !f->counts) {
        unsigned fix = strcmp(f->fmt, "parallels") == 0 ? CHECK_FIX_ERRORS : 0;

        g_assert_true(block_check(bn, &res, fix, &err));
        g_assert_cmpuint(res.corruptions, ==, 0);
    }
    g_assert_cmpint(block_pread(bn, 0, buf, SIZE), ==, 0);
    for (unsigned i = 0; i < SECTORS; i++) {
        if (!touched[i]) {
            g_assert_cmpmem(buf + i * 512, 512, want + i * 512, 512);
        }
    }
    block_close(bn, NULL);
    mem_disk_clear(&d);
}

static void test_crash(gconstpointer opaque)
{
    const Format *f = opaque;
    g_autoptr(GByteArray) image = make_image(f->fmt, f->opts);
    g_autoptr(GByteArray) moment = g_byte_array_new();
    g_autoptr(GError) err = NULL;
    g_autofree uint8_t *flushed = g_malloc0(SIZE);
    Session s;
    guint done = 0;

    session_start(&s, f, image, (uint32_t)g_test_rand_int());
    mem_disk_record(&s.disk);
    s.bn = open_on(&s.disk, f->fmt, BLOCK_RDWR | BLOCK_UNMAP, &err);
    g_assert_no_error(err);
    g_byte_array_append(moment, image->data, image->len);
    for (unsigned i = 0; i < OPS; i++) {
        bool flush = i % 4 == 3;

        guest_op(&s, i);
        if (flush) {
            g_assert_cmpint(block_flush(s.bn), ==, 0);
        }
        for (; done < s.disk.log->len; done++) {
            mem_op_apply(moment, &g_array_index(s.disk.log, MemOp, done));
            check_moment(f, moment, flushed, s.touched);
        }
        if (flush) {
            memcpy(flushed, s.model, SIZE);
            memset(s.touched, 0, sizeof(s.touched));
        }
    }
    block_close(s.bn, NULL);
    session_end(&s);
}

/* ---- errors ------------------------------------------------------------------------- */

static void check_after_errors(const Format *f, Session *s)
{
    g_autofree uint8_t *buf = g_malloc(SIZE);
    g_autoptr(GError) err = NULL;
    CheckResult res = { 0 };
    BlockNode *bn = open_on(&s->disk, f->fmt, BLOCK_CHECK | BLOCK_RDWR, &err);

    g_assert_no_error(err);
    if (bn->drv->check && !f->counts) {
        block_check(bn, &res,
                    strcmp(f->fmt, "parallels") == 0 ? CHECK_FIX_ERRORS : 0,
                    &err);
        g_assert_no_error(err);
        g_assert_cmpuint(res.corruptions, ==, 0);
    }
    g_assert_cmpint(block_pread(bn, 0, buf, SIZE), ==, 0);
    for (unsigned i = 0; i < SECTORS; i++) {
        if (!s->unsure[i]) {
            g_assert_cmpmem(buf + i * 512, 512, s->model + i * 512, 512);
        }
    }
    block_close(bn, NULL);
}

static void test_errors(gconstpointer opaque)
{
    const Format *f = opaque;
    g_autoptr(GByteArray) image = make_image(f->fmt, f->opts);
    uint32_t seed = (uint32_t)g_test_rand_int();
    unsigned writes = 1;

    for (unsigned at = 1; at <= writes; at++) {
        for (int on = 0; on < 2; on++) {
            Session s;

            session_start(&s, f, image, seed);
            s.disk.fail_at = at;
            s.disk.fail_on = on;
            s.disk.fail_errno = on ? ENOSPC : EIO;
            s.bn = open_on(&s.disk, f->fmt, BLOCK_RDWR | BLOCK_UNMAP, NULL);
            for (unsigned i = 0; s.bn && i < OPS; i++) {
                guest_op(&s, i);
            }
            block_close(s.bn, NULL);
            writes = MAX(writes, s.disk.writes);
            s.disk.fail_at = 0;
            check_after_errors(f, &s);
            session_end(&s);
        }
    }
}

/* ---- claims ---------------------------------------------------------------------------- */

/* A KiB that claims 2^62 bytes: refused or opened, at no cost. */
static void claims(const char *fmt, const uint8_t *head, size_t len)
{
    MemDisk d;
    BlockNode *bn;
    int64_t start = cost_us();
    CheckResult res = { 0 };

    mem_disk_init(&d, head, len);
    bn = open_on(&d, fmt, 0, NULL);
    if (bn) {
        block_check(bn, &res, 0, NULL);
        block_close(bn, NULL);
    }
    g_assert_cmpuint(d.reads, <, 1 << 20);
    g_assert_cmpint(cost_us() - start, <, 5 * G_USEC_PER_SEC);
    mem_disk_clear(&d);
}

static void test_claims(void)
{
    static const char *const names[][2] = { { "vmdk", "size=4M" },
                                            { "vpc", "size=4M" },
                                            { "parallels", "size=4M" },
                                            { "vdi", "size=4M" } };

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(GByteArray) a = make_image(names[i][0], names[i][1]);
        size_t len = MIN(a->len, 4096);

        for (size_t at = 0; at + 8 <= MIN(len, 1600); at++) {
            uint8_t head[4096];

            memcpy(head, a->data, len);
            st_le64(head + at, UINT64_C(1) << 62);
            claims(names[i][0], head, len);
            st_be64(head + at, UINT64_C(1) << 62);
            claims(names[i][0], head, len);
            memset(head + at, 0xff, 8);
            claims(names[i][0], head, len);
        }
    }
}

/* ---- maps ------------------------------------------------------------------------------ */

static void test_map(gconstpointer opaque)
{
    const Format *f = opaque;
    g_autoptr(GByteArray) image = make_image(f->fmt, f->opts);
    g_autoptr(GError) err = NULL;
    MemDisk d;
    BlockNode *bn;
    BlockExtent e;
    uint8_t buf[512] = { 1 };
    int ret;

    mem_disk_init(&d, image->data, image->len);
    bn = open_on(&d, f->fmt, BLOCK_RDWR, &err);
    g_assert_no_error(err);
    g_assert_cmpint(block_pwrite(bn, 1 << 20, buf, 512), ==, 0);
    block_close(bn, NULL);

    bn = open_on(&d, f->fmt, BLOCK_RDWR, &err);
    g_assert_no_error(err);
    ret = block_map(bn, 1 << 20, 512, MAP_NOWAIT, &e);
    if (strcmp(f->fmt, "vmdk") == 0) { /* its tables are on disk */
        g_assert_cmpint(ret, ==, -EAGAIN);
        g_assert_cmpint(block_map(bn, 1 << 20, 512, 0, &e), ==, 0);
        g_assert_false(e.in_place); /* the CID is the parent's promise */
        ret = block_map(bn, 1 << 20, 512, MAP_NOWAIT, &e);
    }
    g_assert_cmpint(ret, ==, 0);
    g_assert_cmpint(e.kind, ==, EXTENT_DATA);
    g_assert_true(e.has_offset);
    g_assert_cmpint(block_pwrite(bn, (1 << 20) + 512, buf, 512), ==, 0);
    g_assert_cmpint(block_map(bn, 1 << 20, 512, MAP_NOWAIT, &e), ==, 0);
    g_assert_true(e.in_place);
    g_assert_cmpint(block_pread(bn->file, e.host_offset, buf, 512), ==, 0);
    g_assert_cmpint(buf[0], ==, 1);
    block_close(bn, NULL);
    mem_disk_clear(&d);
}

/* ---- a log ----------------------------------------------------------------------------- */

/* An entry of the current log is to be played back; one of an older log, or an
 * empty one, is not. */
static void test_vhdx_log(void)
{
    g_autoptr(GByteArray) a = make_image("vhdx", "size=4M");
    static const unsigned headers[] = { VHDX_HEADER_1, VHDX_HEADER_2 };

    for (unsigned what = 0; what < 4; what++) {
        uint8_t *log = a->data + (1 << 20);
        g_autoptr(GError) err = NULL;
        MemDisk d;
        BlockNode *bn;

        memcpy(log, "loge", 4);
        st_le32(log + 24, what != 1); /* descriptors */
        memset(log + 32, what == 2 ? 0x66 : 0x55, 16);
        for (unsigned i = 0; i < 2; i++) {
            uint8_t *h = a->data + headers[i];

            memset(h + VHDX_H_LOG_GUID, what == 3 ? 0 : 0x55, 16);
            vhdx_set_sum(h, VHDX_HEADER_LEN);
        }
        mem_disk_init(&d, a->data, a->len);
        bn = open_on(&d, "vhdx", 0, &err);
        g_assert_true((bn == NULL) == (what == 0));
        if (what == 0) {
            g_assert_nonnull(strstr(err->message, "needs to be replayed"));
        }
        block_close(bn, NULL);
        mem_disk_clear(&d);
    }
}

enum { LOG_OFF = 1 << 20, LOG_LEN = 1 << 20, LOG_BLOCK = 1 << 20 };

/* An entry of @sectors in the log's sector @at, which may wrap: its first
 * descriptor puts @page to @where, its second zeroes @n bytes at @zero. */
static void put_entry(GByteArray *a, unsigned at, unsigned tail, uint64_t seq,
                      const uint8_t *page, uint64_t where, uint64_t zero,
                      uint64_t n)
{
    uint8_t e[2 * 4096] = { 'l', 'o', 'g', 'e' };
    uint8_t *d = e + 64, *data = e + 4096;

    st_le32(e + 8, sizeof(e));
    st_le32(e + 12, tail * 4096);
    st_le64(e + 16, seq);
    st_le32(e + 24, n ? 2 : 1);
    memset(e + 32, 0x55, 16);
    st_le64(e + 48, a->len);
    st_le64(e + 56, a->len);
    memcpy(d, "desc", 4);
    memcpy(d + 4, page + 4092, 4);
    memcpy(d + 8, page, 8);
    st_le64(d + 16, where);
    st_le64(d + 24, seq);
    memcpy(d + 32, "zero", 4);
    st_le64(d + 40, n);
    st_le64(d + 48, zero);
    st_le64(d + 56, seq);
    memcpy(data, "data", 4);
    st_le32(data + 4, (uint32_t)(seq >> 32));
    memcpy(data + 8, page + 8, 4084);
    st_le32(data + 4092, (uint32_t)seq);
    vhdx_set_sum(e, sizeof(e));
    for (unsigned i = 0; i < 2; i++) {
        memcpy(a->data + LOG_OFF + (at + i) % (LOG_LEN / 4096) * 4096,
               e + (size_t)i * 4096, 4096);
    }
}

static uint64_t bat_offset(const GByteArray *a)
{
    const uint8_t *e = a->data + VHDX_REGIONS_1 + 16;

    while (memcmp(e, vhdx_guids[GUID_BAT], 16) != 0) {
        e += 32;
    }
    return ld_le64(e + 16);
}

/* What a crash left: a block at the end of the file that only the log names. */
static GByteArray *crashed(void)
{
    GByteArray *a = make_image("vhdx", "size=4M,block_size=1M");
    uint64_t bat = bat_offset(a),
             at = (a->len + LOG_BLOCK - 1) & ~(uint64_t)(LOG_BLOCK - 1);
    guint old = a->len;
    uint8_t page[4096];

    g_byte_array_set_size(a, (guint)at + LOG_BLOCK);
    memset(a->data + old, 0xab, a->len - old);
    memcpy(page, a->data + bat, sizeof(page));
    st_le64(page, (at + LOG_BLOCK) | VHDX_PRESENT); /* put right by the next */
    put_entry(a, 255, 200, UINT64_C(0xffffffff), page, bat, 0, 0);
    st_le64(page, at | VHDX_PRESENT);
    put_entry(a, 1, 255, UINT64_C(0x100000000), page, bat, at + LOG_BLOCK / 2,
              LOG_BLOCK / 2);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t *h = a->data + (i ? VHDX_HEADER_2 : VHDX_HEADER_1);

        memset(h + VHDX_H_LOG_GUID, 0x55, 16);
        vhdx_set_sum(h, VHDX_HEADER_LEN);
    }
    return a;
}

static void test_vhdx_replay(void)
{
    g_autoptr(GByteArray) a = crashed();
    g_autoptr(GError) err = NULL;
    uint8_t buf[512];
    MemDisk d;
    BlockNode *bn;

    mem_disk_init(&d, a->data, a->len);
    g_assert_null(open_on(&d, "vhdx", 0, &err));
    g_assert_nonnull(strstr(err->message, "opened read-only"));
    g_clear_error(&err);
    for (unsigned flags = BLOCK_RDWR; flags <= BLOCK_RDWR; flags--) {
        bn = open_on(&d, "vhdx", flags, &err); /* the second time read-only */
        g_assert_no_error(err);
        for (unsigned off = 0; off < LOG_BLOCK; off += 4096) {
            g_assert_cmpint(block_pread(bn, off, buf, 512), ==, 0);
            g_assert_cmphex(buf[511], ==, off < LOG_BLOCK / 2 ? 0xab : 0);
        }
        g_assert_cmpint(block_pread(bn, LOG_BLOCK, buf, 512), ==, 0);
        g_assert_cmphex(buf[0], ==, 0);
        block_close(bn, NULL);
    }
    mem_disk_clear(&d);
}

/* A log that is wrong: refused, and the file is as it was. */
static void test_vhdx_bad_log(void)
{
    static const struct {
        uint32_t at; /* in the log; ~: the entry's sum is put right */
        uint8_t value;
    } cases[] = {
        { 4096 + 4, 0 },        /* the sum of the head */
        { 255 * 4096 + 70, 1 }, /* an older one, which is the tail */
        { 4096 + 24, 0xff },    /* descriptors */
        { 4096 + 8, 1 },        /* length */
        { 4096 + 12, 1 },       /* tail */
        { 4096 + 32, 0 },       /* GUID */
        { 8192 + 4092, 0x77 }   /* the number at the end of a sector */
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GByteArray) a = crashed();
        g_autoptr(GError) err = NULL;
        MemDisk d;

        a->data[LOG_OFF + cases[i].at] ^= cases[i].value ? cases[i].value : 0xf;
        if (cases[i].at == 8192 + 4092) {
            vhdx_set_sum(a->data + LOG_OFF + 4096, 8192);
        }
        mem_disk_init(&d, a->data, a->len);
        g_assert_null(open_on(&d, "vhdx", BLOCK_RDWR, &err));
        g_assert_nonnull(strstr(err->message, "is damaged"));
        g_assert_cmpmem(d.bytes->data, d.bytes->len, a->data, a->len);
        mem_disk_clear(&d);
    }
}

static void add(const char *what, const Format *f, GTestDataFunc fn)
{
    g_autofree char *path = g_strdup_printf("/formats/%s/%s", f->test, what);

    g_test_add_data_func(path, f, fn);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++) {
        add("crash", &formats[i], test_crash);
        add("errors", &formats[i], test_errors);
        add("map", &formats[i], test_map);
    }
    g_test_add_func("/formats/claims", test_claims);
    g_test_add_func("/formats/vhdx-log", test_vhdx_log);
    g_test_add_func("/formats/vhdx-replay", test_vhdx_replay);
    g_test_add_func("/formats/vhdx-bad-log", test_vhdx_bad_log);
    return g_test_run();
}
