/*
 * Images of the small formats, nobody meant well with: open, info, read, map,
 * check, write. Work and memory are bounded by what is there, not by what the
 * image claims.
 *
 * The first byte says which format and what happens, the next four how large
 * the file is; then come pieces of it: offset (4 bytes), length (2), bytes. So
 * an image of megabytes takes few. tests/fuzz/pack-image.py makes inputs of
 * images.
 */
#include "util/osdep.h"
#include "block/format.h"
#include "tests/lib/fuzz.h"
#include "tests/lib/fuzz-image.h"
#include "tests/lib/mem-disk.h"

#include "util/bits.h"

enum {
    MAX_DISK = 8 << 20,
    MAX_FILE = 4608 << 10, /* the corpus' largest */
    PIECE_HEAD = 6,
};

/* Sums that no mutation would get right. */
static void fix_vhdx(GByteArray *a)
{
    static const struct {
        unsigned at, len;
    } parts[] = { { 64 << 10, 4096 },
                  { 128 << 10, 4096 },
                  { 192 << 10, 64 << 10 },
                  { 256 << 10, 64 << 10 } };

    for (unsigned i = 0; i < G_N_ELEMENTS(parts); i++) {
        uint8_t *p = a->data + parts[i].at;

        if (parts[i].at + parts[i].len <= a->len &&
            (p[0] == 'h' || p[0] == 'r')) {
            st_le32(p + 4, 0);
            st_le32(p + 4, format_crc32c(0, p, parts[i].len));
        }
    }
}

static void fix_footer(uint8_t *p)
{
    uint32_t sum = 0;

    st_be32(p + 64, 0);
    for (unsigned i = 0; i < 512; i++) {
        sum += p[i];
    }
    st_be32(p + 64, ~sum);
}

static void fix_vpc(GByteArray *a)
{
    if (a->len >= 512) {
        fix_footer(a->data + a->len - 512);
        fix_footer(a->data);
    }
}

/* No name in a descriptor may lead to a file: relative ones are refused because
 * of the node's name, absolute ones and protocols must not be there. */
static void fix_vmdk(GByteArray *a)
{
    for (guint i = 0; i < a->len; i++) {
        if (a->data[i] == '/' || a->data[i] == ':') {
            a->data[i] = '_';
        }
    }
}

static const struct {
    const char *name;
    void (*fix)(GByteArray *a);
} formats[] = {
    { "vdi", NULL },      { "vmdk", fix_vmdk },  { "vpc", fix_vpc },
    { "vhdx", fix_vhdx }, { "parallels", NULL }, { "raw", NULL },
};

/* A raw image has no header: what is hostile is where in the file it is said to
 * be. The first words of the file say so, most often near its size. */
static KeyVal *raw_options(const GByteArray *a)
{
    static const char *const keys[] = { "offset", "size" };
    KeyVal *kv = keyval_new();

    for (unsigned i = 0; i < G_N_ELEMENTS(keys) && a->len >= 16; i++) {
        uint64_t v = ld_le64(a->data + 8 * (size_t)i);
        g_autofree char *text = NULL;

        if (v & 1) {
            v = v >> 63 ? v : v % (a->len + 8);
            text = g_strdup_printf("%" PRIu64, v);
            keyval_set(kv, keys[i], text);
        }
    }
    return kv;
}

static GByteArray *unpack(const uint8_t *data, size_t len)
{
    size_t size = MIN(ld_le32(data), MAX_FILE), at = 4;
    GByteArray *a = g_byte_array_new_take(g_malloc0(MAX(size, 1)), size);

    while (len - at > PIECE_HEAD) {
        uint32_t off = ld_le32(data + at);
        size_t n = ld_le16(data + at + 4);

        at += PIECE_HEAD;
        n = MIN(n, len - at);
        if (off < size) {
            memcpy(a->data + off, data + at, MIN(n, size - off));
        }
        at += n;
    }
    return a;
}

static void write_around(BlockNode *bn)
{
    uint8_t buf[3000];

    memset(buf, 0xa5, sizeof(buf));
    for (uint64_t i = 0; i < 4 && bn->size > sizeof(buf); i++) {
        uint64_t off = (bn->size - sizeof(buf)) / 3 * i;

        if (block_pwrite(bn, off, buf, sizeof(buf)) == 0 && i == 0) {
            uint8_t back[sizeof(buf)];

            g_assert_cmpint(block_pread(bn, off, back, sizeof(back)), ==, 0);
        }
    }
    block_zero(bn, 0, MIN(bn->size, 200000), ZERO_MAY_UNMAP);
    block_discard(bn, 0, MIN(bn->size, 200000));
    block_flush(bn);
}

static void use(BlockNode *bn, unsigned what)
{
    CheckResult res = { .messages = g_string_new("") };
    BlockInfo info;

    block_get_info(bn, &info);
    info_free(block_specific(bn));
    read_around(bn);
    if (what == 2) {
        write_around(bn);
    }
    block_check(bn, &res, what == 1 ? CHECK_FIX_ERRORS | CHECK_FIX_LEAKS : 0,
                NULL);
    g_string_free(res.messages, true);
    read_around(bn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    unsigned which, what;
    GByteArray *a;
    MemDisk d;
    BlockNode *file, *bn;
    unsigned flags;
    g_autoptr(KeyVal) options = NULL;

    if (len < 5) {
        return 0;
    }
    which = data[0] % 8 % G_N_ELEMENTS(formats);
    what = data[0] / 8 % 4;
    a = unpack(data + 1, len - 1);
    if (formats[which].fix) {
        formats[which].fix(a);
    }
    flags = what == 0   ? BLOCK_CHECK
            : what == 1 ? BLOCK_CHECK | BLOCK_RDWR
            : what == 2 ? BLOCK_RDWR | BLOCK_UNMAP
                        : 0;
    mem_disk_init(&d, NULL, 0);
    g_byte_array_unref(d.bytes);
    d.bytes = a;
    d.max = MAX_DISK;
    file = mem_disk_node(&d, flags & BLOCK_RDWR);
    g_free(file->filename);
    file->filename = g_strdup("json:{}");
    block_probe(file);
    options = strcmp(formats[which].name, "raw") == 0 ? raw_options(a) : NULL;
    bn = block_open_over(file, formats[which].name, options,
                         flags | BLOCK_NO_BACKING, NULL);
    if (bn) {
        use(bn, what);
        block_close(bn, NULL);
    }
    mem_disk_clear(&d);
    return 0;
}
