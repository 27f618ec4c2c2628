/*
 * LUKS headers nobody meant well with: opened with a key, read, written; info
 * without a key; key slots added and erased.
 *
 * The image is a good one, made once, with key slots 0 and 1. The first byte
 * says what happens, then come pieces that are laid over its header: offset (2
 * bytes; behind the header's 592 bytes they go on in qcow2's own), length (1
 * byte), bytes. What an iteration costs is known: counts that would be allowed
 * are made small, those that would not stay.
 */
#include "util/osdep.h"
#include "config.h"
#include "tests/lib/fuzz.h"
#include "tests/lib/fuzz-image.h"
#include "tests/lib/image.h"
#include "tests/lib/mem-disk.h"

#include "util/bits.h"
#include "util/secret.h"

#if CONFIG_NETTLE
enum {
    MAX_DISK = 4 << 20,
    HEADER = 592,
    QCOW2_HEADER = 160, /* with the extension that leads to LUKS's */
    DIGEST_ITERATIONS = 164,
    SLOT_AT = 208,
    SLOT_SIZE = 48,
    SLOT_ITERATIONS = 4,
    SLOTS = 8,
    SMALL = 2000,
    ALLOWED = 400000000,
};

static const char *const amends[] = {
    "encrypt.state=active,encrypt.new-secret=new,encrypt.iter-time=1",
    ("encrypt.state=active,encrypt.new-secret=new,encrypt.iter-time=1,"
     "encrypt.keyslot=7"),
    "encrypt.state=inactive,encrypt.old-secret=key",
    "encrypt.state=inactive,encrypt.keyslot=1",
    "encrypt.state=inactive,encrypt.old-secret=new,encrypt.keyslot=2",
};

static void amend(BlockNode *bn, const char *opts, bool force)
{
    g_autoptr(KeyVal) kv = keyval_parse(opts, NULL, NULL);

    block_amend(bn, kv, force, NULL, NULL);
}

static void add_secret(const char *text)
{
    g_autoptr(KeyVal) kv = keyval_parse(text, NULL, NULL);

    secret_add(kv, NULL);
}

static BlockNode *open_with_key(MemDisk *d, unsigned flags)
{
    g_autoptr(KeyVal) kv = keyval_parse("encrypt.key-secret=key", NULL, NULL);

    return block_open_over(mem_disk_node(d, flags & BLOCK_RDWR), "qcow2",
                           flags & BLOCK_CHECK ? NULL : kv,
                           flags | BLOCK_NO_BACKING, NULL);
}

static GByteArray *good_image(void)
{
    GByteArray *a;
    MemDisk d;
    BlockNode *bn;

    add_secret("id=key,data=x");
    add_secret("id=new,data=y");
    a = make_image("qcow2", "size=64k,cluster_size=4k,encrypt.format=luks,"
                            "encrypt.key-secret=key,encrypt.iter-time=1,"
                            "encrypt.cipher-alg=aes-128,"
                            "encrypt.cipher-mode=cbc");
    mem_disk_init(&d, a->data, a->len);
    bn = open_with_key(&d, BLOCK_RDWR);
    g_assert_nonnull(bn);
    amend(bn, amends[0], false);
    block_close(bn, NULL);
    g_byte_array_set_size(a, 0);
    g_byte_array_append(a, d.bytes->data, d.bytes->len);
    mem_disk_clear(&d);
    return a;
}

static void lay_over(GByteArray *image, uint8_t *head, const uint8_t *p,
                     size_t len)
{
    while (len > 3) {
        unsigned at = ld_le16(p) % (HEADER + QCOW2_HEADER);
        size_t n = MIN(p[2], len - 3);

        p += 3;
        len -= 3;
        for (size_t i = 0; i < n && at + i < HEADER + QCOW2_HEADER; i++) {
            *(at + i < HEADER ? head + at + i
                              : image->data + (at + i - HEADER)) = p[i];
        }
        p += n;
        len -= n;
    }
}

static void make_cheap(uint8_t *count)
{
    uint32_t n = ld_be32(count);

    if (n > SMALL && n <= ALLOWED) {
        st_be32(count, n % SMALL);
    }
}

static void use(BlockNode *bn, unsigned what)
{
    uint8_t buf[4096];
    CheckResult res = { .messages = g_string_new("") };

    info_free(block_specific(bn));
    if (!(bn->flags & BLOCK_CHECK)) {
        read_around(bn);
    }
    if (bn->flags & BLOCK_RDWR) {
        memset(buf, 0x5a, sizeof(buf));
        if (block_pwrite(bn, 0, buf, sizeof(buf)) == 0) {
            g_assert_cmpint(block_pread(bn, 0, buf, sizeof(buf)), ==, 0);
            g_assert_cmpuint(buf[sizeof(buf) - 1], ==, 0x5a);
        }
        amend(bn, amends[what / 4 % G_N_ELEMENTS(amends)], what >> 7);
    }
    block_check(bn, &res, 0, NULL);
    g_string_free(res.messages, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static GByteArray *good;
    static const unsigned flags[] = { BLOCK_CHECK, 0, BLOCK_RDWR, BLOCK_RDWR };
    unsigned what = len ? data[0] : 0;
    uint8_t *head;
    MemDisk d;
    BlockNode *bn;

    if (!good) {
        good = good_image();
    }
    if (!len) {
        return 0;
    }
    mem_disk_init(&d, good->data, good->len);
    d.max = MAX_DISK;
    head = memmem(d.bytes->data, d.bytes->len, "LUKS\xba\xbe", 6);
    lay_over(d.bytes, head, data + 1, len - 1);
    make_cheap(head + DIGEST_ITERATIONS);
    for (unsigned i = 0; i < SLOTS; i++) {
        make_cheap(head + SLOT_AT + i * SLOT_SIZE + SLOT_ITERATIONS);
    }
    bn = open_with_key(&d, flags[what % G_N_ELEMENTS(flags)]);
    if (bn) {
        use(bn, what);
        block_close(bn, NULL);
    }
    mem_disk_clear(&d);
    return 0;
}
#else
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    return 0;
}
#endif
