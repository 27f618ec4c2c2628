/*
 * Images that nobody meant well with: what they claim costs nothing, one line
 * names the bad field, and structured changes of good images (header, tables,
 * snapshots, extensions, bitmaps; by seed) end in errors, not in crashes.
 *
 * QCOW2_SEEDS=n: that many changes of each image instead of the few here.
 */
#include "util/osdep.h"
#include "block/block.h"
#include "config.h"
#include "tests/lib/cost.h"
#include "tests/lib/fuzz.h"
#include "tests/lib/image.h"
#include "tests/lib/mem-disk.h"
#include "tests/lib/qcow2-mutate.h"
#include "util/bits.h"
#include "util/secret.h"

#include <glib/gstdio.h>
#include <sys/resource.h>

enum { FILE_LEN = 1024, SEEDS = 150, CHANGES = 3 };

static char *dir;

static BlockNode *open_bytes(const void *data, size_t len, const char *fmt,
                             GError **errp)
{
    g_autofree char *path = g_build_filename(dir, "image", NULL);
    BlockNode *bn;

    g_assert_true(g_file_set_contents(path, data, (gssize)len, NULL));
    bn = block_open(path, fmt, NULL, BLOCK_RDWR | BLOCK_NO_BACKING, errp);
    g_unlink(path);
    return bn;
}

static long peak_kib(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

/* ---- claims ------------------------------------------------------------------------ */

/* A header as small as it gets, for 2 to the 62 bytes. */
static void claim_qcow2(uint8_t *p, unsigned cluster_bits, uint64_t size,
                        uint32_t l1)
{
    st_be32(p, 0x514649fb);
    st_be32(p + 4, 3);
    st_be32(p + 20, cluster_bits);
    st_be64(p + 24, size);
    st_be32(p + 36, l1);
    st_be64(p + 40, UINT64_C(3) << cluster_bits);
    st_be64(p + 48, UINT64_C(1) << cluster_bits);
    st_be32(p + 56, 1);
    st_be32(p + 96, 4);
    st_be32(p + 100, 104);
}

static void claim_vdi(uint8_t *p, uint32_t block, uint32_t blocks)
{
    st_le32(p + 64, 0xbeda107f);
    st_le32(p + 68, 0x00010001);
    st_le32(p + 72, 0x180);
    st_le32(p + 76, 1);
    st_le32(p + 340, 512);
    st_le32(p + 344, 1024);
    st_le32(p + 360, 512);
    st_le64(p + 368, UINT64_C(1) << 62);
    st_le32(p + 376, block);
    st_le32(p + 384, blocks);
}

static void use_claim(const char *fmt, const uint8_t *p, const char *field)
{
    g_autoptr(GError) err = NULL;
    gint64 start = cost_us();
    long before = peak_kib();
    BlockNode *bn = open_bytes(p, FILE_LEN, fmt, &err);
    CheckResult res = { 0 };
    uint8_t buf[4096];

    if (bn) {
        block_pread(bn, 0, buf, sizeof(buf));
        if (bn->size > sizeof(buf)) {
            block_pread(bn, bn->size - sizeof(buf), buf, sizeof(buf));
        }
        info_free(block_specific(bn));
        if (bn->drv->check) {
            block_check(bn, &res, 0, NULL);
        }
        block_close(bn, NULL);
    } else {
        g_test_message("%s", err->message);
        g_assert_null(strchr(err->message, '\n'));
        g_assert_true(!field || strstr(err->message, field));
    }
    g_assert_cmpint(peak_kib() - before, <, 64 << 10);
    g_assert_cmpint(cost_us() - start, <, 20 * G_TIME_SPAN_SECOND);
}

static void test_claims(void)
{
    static const uint32_t l1[] = { 0, 1, 1 << 20, (32 << 20) / 8, UINT32_MAX };

    for (unsigned bits = 9; bits <= 21; bits += 4) {
        for (size_t i = 0; i < G_N_ELEMENTS(l1); i++) {
            uint8_t p[FILE_LEN] = { 0 };

            claim_qcow2(p, bits, UINT64_C(1) << 62, l1[i]);
            use_claim("qcow2", p, "L1 table");
            /* as much as a table of 32 MiB can hold: it is not there */
            claim_qcow2(p, bits, UINT64_C(1) << (2 * bits - 3 + 22), l1[i]);
            use_claim("qcow2", p, "L1 table");
        }
    }
    for (unsigned i = 0; i < 4; i++) {
        uint8_t p[FILE_LEN] = { 0 };

        claim_vdi(p, i & 1 ? 1 << 20 : UINT32_MAX,
                  i & 2 ? UINT32_MAX : 1 << 16);
        use_claim("vdi", p, NULL);
    }
}

static void test_claims_raw(void)
{
    g_autofree char *path = g_build_filename(dir, "raw", NULL);
    static const struct {
        const char *opts, *error;
    } cases[] = {
        { "size=4611686018427387904", "size of the containing file" },
        { "offset=4611686018427387904", "Offset (4611686018427387904)" },
        { "offset=1024,size=4611686018427387904", "sum of offset" },
    };
    uint8_t data[FILE_LEN] = { 0 };

    g_assert_true(g_file_set_contents(path, (char *)data, sizeof(data), NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(KeyVal) kv = keyval_parse(cases[i].opts, NULL, NULL);
        g_autoptr(GError) err = NULL;

        g_assert_null(block_open(path, "raw", kv, 0, &err));
        g_assert_nonnull(strstr(err->message, cases[i].error));
    }
    g_unlink(path);
}

/* ---- the bad field is named -------------------------------------------------------------- */

static GByteArray *good_image(const char *opts)
{
    g_autofree char *path = g_build_filename(dir, "good", NULL);
    g_autoptr(KeyVal) kv = keyval_parse(opts, NULL, NULL);
    g_autoptr(GError) err = NULL;
    GByteArray *a = g_byte_array_new();
    SnapshotInfo sn = { .name = "one" };
    BitmapInfo bm = { .name = "b0", .granularity = 65536, .enabled = true };
    uint8_t buf[5000];
    struct iovec iov = { buf, 4096 };
    char *data;
    gsize len;
    BlockNode *bn;

    memset(buf, 0x5a, sizeof(buf));
    block_create(path, "qcow2", kv, 0, &err);
    g_assert_no_error(err);
    bn = block_open(path, "qcow2", NULL, BLOCK_RDWR | BLOCK_UNMAP, &err);
    g_assert_no_error(err);
    block_pwrite(bn, 1000, buf, sizeof(buf));
    block_pwritev(bn, 65536, &iov, 1, WRITE_COMPRESSED);
    block_zero(bn, 32768, 8192, 0);
    bn->drv->snapshots->create(bn, &sn, NULL);
    bn->drv->bitmaps->add(bn, &bm, NULL);
    block_pwrite(bn, 3000, buf, sizeof(buf));
    block_close(bn, NULL);
    g_assert_true(g_file_get_contents(path, &data, &len, NULL));
    g_byte_array_append(a, (guint8 *)data, (guint)len);
    g_free(data);
    g_unlink(path);
    return a;
}

static void test_fields(void)
{
    static const struct {
        unsigned off, width;
        uint64_t value;
        const char *word;
    } cases[] = {
        { 0, 4, 0, "qcow2 format" },
        { 4, 4, 4, "version 4" },
        { 8, 8, 1 << 20, "acking file" },
        { 16, 4, 5000, "acking file" },
        { 20, 4, 8, "luster size" },
        { 20, 4, 22, "luster size" },
        { 32, 4, 3, "ncryption" },
        { 36, 4, UINT32_MAX, "L1 table" },
        { 40, 8, 12345, "L1 table" },
        { 40, 8, UINT64_MAX - 4095, "L1 table" },
        { 48, 8, 777, "eference count table" },
        { 56, 4, UINT32_MAX, "eference count table" },
        { 60, 4, 70000, "napshot" },
        { 64, 8, 4097, "napshot" },
        { 72, 8, UINT64_C(1) << 63, "nsupported" },
        { 96, 4, 7, "eference count entry width" },
        { 100, 4, 8, "eader" },
        { 104, 1, 9, "ompression type" },
    };
    g_autoptr(GByteArray) good = good_image("size=1M,cluster_size=4k");

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree uint8_t *p = g_memdup2(good->data, good->len);
        g_autoptr(GError) err = NULL;
        const char *word = cases[i].word;
        BlockNode *bn;

        for (unsigned k = 0; k < cases[i].width; k++) {
            p[cases[i].off + cases[i].width - 1 - k] =
                (uint8_t)(cases[i].value >> (8 * k));
        }
        if (cases[i].off == 8) { /* a name that lies outside */
            st_be32(p + 16, 10);
            word = "acking file";
        }
        if (cases[i].off == 16) {
            st_be64(p + 8, 3000);
        }
        bn = open_bytes(p, good->len, "qcow2", &err);
        if (bn) {
            g_error("field at %u: opened", cases[i].off);
        }
        g_test_message("%u: %s", cases[i].off, err->message);
        if (strchr(err->message, '\n') || !strstr(err->message, word)) {
            g_error("field at %u: '%s' is not named by: %s", cases[i].off, word,
                    err->message);
        }
    }
}

/* ---- structured changes ------------------------------------------------------------------ */

static void test_mutations(gconstpointer opts)
{
    const char *env = g_getenv("QCOW2_SEEDS");
    unsigned seeds = env ? (unsigned)atoi(env) : SEEDS;
    g_autoptr(GByteArray) good = good_image(opts);
    uint32_t first = (uint32_t)g_test_rand_int();

    for (unsigned i = 0; i < seeds; i++) {
        g_autofree uint8_t *p = g_malloc(good->len + 1);

        p[0] = (uint8_t)i; /* what is done with it */
        memcpy(p + 1, good->data, good->len);
        for (unsigned k = 0; k < 1 + i % CHANGES; k++) {
            qcow2_mutate(p + 1, good->len, first + i * CHANGES + k);
        }
        LLVMFuzzerTestOneInput(p, good->len + 1);
    }
}

#if CONFIG_NETTLE
enum {
    LUKS_HEAD = 592,
    LUKS_DIGEST_ITERATIONS = 164,
    LUKS_SLOTS = 8,
    LUKS_SLOT_AT = 208,
    LUKS_SLOT_SIZE = 48,
    LUKS_ACTIVE = 0x00ac71f3,
    LUKS_DEAD = 0x0000dead,
};

/* Opens with the key, and uses what it then is. Returns why not, or NULL. */
static char *open_encrypted(const GByteArray *image)
{
    g_autoptr(KeyVal) kv = keyval_parse("encrypt.key-secret=k", NULL, NULL);
    g_autoptr(GError) err = NULL;
    int64_t start = cost_us();
    uint8_t buf[4096];
    MemDisk d;
    BlockNode *bn;

    mem_disk_init(&d, image->data, image->len);
    bn = block_open_over(mem_disk_node(&d, 0), "qcow2", kv, BLOCK_NO_BACKING,
                         &err);
    if (bn) {
        info_free(block_specific(bn));
        block_pread(bn, 0, buf, sizeof(buf));
        block_close(bn, NULL);
    } else {
        g_assert_null(strchr(err->message, '\n'));
    }
    mem_disk_clear(&d);
    g_assert_cmpint(cost_us() - start, <, 60 * G_TIME_SPAN_SECOND);
    return err ? g_strdup(err->message) : NULL;
}

/* Every word of the LUKS header with a value that it should not have. */
static void test_luks(void)
{
    static const uint32_t values[] = { 0, 1, 0x7fffffff, UINT32_MAX };
    g_autoptr(GByteArray) good = NULL;
    const uint8_t *head;
    size_t at;

    good = make_image("qcow2", "size=64k,cluster_size=64k,encrypt.format=luks,"
                               "encrypt.key-secret=k,encrypt.iter-time=1");
    head = memmem(good->data, good->len, "LUKS\xba\xbe", 6);
    g_assert_nonnull(head);
    at = (size_t)(head - good->data);
    g_assert_null(open_encrypted(good));
    for (unsigned word = 0; word < LUKS_HEAD / 4; word++) {
        uint8_t old[4], *p = good->data + at + 4 * word;

        memcpy(old, p, 4);
        st_be32(p, values[g_test_rand_int_range(0, G_N_ELEMENTS(values))]);
        g_free(open_encrypted(good));
        memcpy(p, old, 4);
    }
}

/* How long a key is tried is bounded over all slots, not only by each. */
static void test_luks_rounds(void)
{
    static const struct {
        unsigned slots;
        uint32_t iterations, digest;
        bool refused;
    } cases[] = {
        { 8, 90000000, 1000, true },   { 8, 1000, 90000000, true },
        { 1, UINT32_MAX, 1000, true }, { 8, UINT32_MAX, UINT32_MAX, true },
        { 1, 1000, 410000000, true },  { 2, 110000000, 1000, true },
        { 8, 20000, 20000, false },    { 0, UINT32_MAX, UINT32_MAX, false },
    };
    g_autoptr(GByteArray) image =
        make_image("qcow2", "size=64k,cluster_size=64k,encrypt.format=luks,"
                            "encrypt.key-secret=k,encrypt.iter-time=1");
    uint8_t *head = memmem(image->data, image->len, "LUKS\xba\xbe", 6);

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *why = NULL;
        int64_t start = cost_us();

        st_be32(head + LUKS_DIGEST_ITERATIONS, cases[i].digest);
        for (unsigned k = 0; k < LUKS_SLOTS; k++) {
            uint8_t *slot = head + LUKS_SLOT_AT + k * LUKS_SLOT_SIZE;

            st_be32(slot, k < cases[i].slots ? LUKS_ACTIVE : LUKS_DEAD);
            st_be32(slot + 4, cases[i].iterations);
            slot[8] ^= 1; /* no key is right */
        }
        why = open_encrypted(image);
        g_assert_nonnull(why);
        g_assert_true(!!strstr(why, " rounds of the hash") == cases[i].refused);
        g_assert_cmpint(cost_us() - start, <, 20 * G_TIME_SPAN_SECOND);
    }
}
#endif

static void quiet(const char *text)
{
}

int main(int argc, char **argv)
{
    static const char *const opts[] = {
        "size=1M,cluster_size=4k",
        "size=1M,cluster_size=512",
        "size=1M,cluster_size=16k,extended_l2=on",
        "size=1M,cluster_size=4k,compat=0.10",
        "size=1M,cluster_size=4k,refcount_bits=64",
        "size=1M,cluster_size=4k,lazy_refcounts=on",
    };
    g_autoptr(KeyVal) secret = keyval_parse("id=k,data=x", NULL, NULL);
    int ret;

    g_test_init(&argc, &argv, NULL);
    g_assert_true(secret_add(secret, NULL));
    g_set_printerr_handler(quiet);
    dir = g_dir_make_tmp("rhea-hostile-XXXXXX", NULL);
    g_test_add_func("/hostile/claims", test_claims);
    g_test_add_func("/hostile/claims-raw", test_claims_raw);
    g_test_add_func("/hostile/fields", test_fields);
#if CONFIG_NETTLE
    g_test_add_func("/hostile/luks", test_luks);
    g_test_add_func("/hostile/luks-rounds", test_luks_rounds);
#endif
    for (size_t i = 0; i < G_N_ELEMENTS(opts); i++) {
        g_autofree char *name =
            g_strdup_printf("/hostile/mutations/%s", opts[i]);

        g_test_add_data_func(name, opts[i], test_mutations);
    }
    ret = g_test_run();
    g_rmdir(dir);
    g_free(dir);
    return ret;
}
