/*
 * Our inflate against zlib's: all that zlib packs comes out the same, and what
 * is damaged is refused or comes out as zlib reads it.
 */
#include "util/osdep.h"
#include "block/inflate.h"

#include <zlib.h>

enum { MAX = 1 << 17, ROUNDS = 400, DAMAGES = 60 };

/* From noise to one byte over and over, and text in between. */
static void fill(GRand *r, uint8_t *p, size_t len)
{
    int kind = g_rand_int_range(r, 0, 7), alphabet = 1 << kind;

    for (size_t i = 0; i < len;) {
        size_t run = (size_t)g_rand_int_range(r, 1, kind == 6 ? 2 : 600);
        size_t from = i ? (size_t)g_rand_int_range(r, 0, (int)i) : 0;

        for (; run && i < len; run--, i++) {
            p[i] =
                kind % 2 && i > 600
                    ? p[from++ % i]
                    : (uint8_t)g_rand_int_range(r, 0, MIN(alphabet * 4, 256));
        }
    }
}

static size_t pack(GRand *r, uint8_t *out, size_t room, const uint8_t *in,
                   size_t len)
{
    static const int strategies[] = { Z_DEFAULT_STRATEGY, Z_FILTERED,
                                      Z_HUFFMAN_ONLY, Z_RLE, Z_FIXED };
    z_stream z = { 0 };
    int ret = deflateInit2(
        &z, g_rand_int_range(r, 0, 10), Z_DEFLATED, -g_rand_int_range(r, 9, 16),
        g_rand_int_range(r, 1, 10), strategies[g_rand_int_range(r, 0, 5)]);

    g_assert_cmpint(ret, ==, Z_OK);
    z.next_in = (Bytef *)in;
    z.avail_in = (uInt)len;
    z.next_out = out;
    z.avail_out = (uInt)room;
    g_assert_cmpint(deflate(&z, Z_FINISH), ==, Z_STREAM_END);
    deflateEnd(&z);
    return room - z.avail_out;
}

static bool zlib_all(uint8_t *out, size_t out_len, const uint8_t *in,
                     size_t len)
{
    z_stream z = { 0 };
    int ret;

    g_assert_cmpint(inflateInit2(&z, -15), ==, Z_OK);
    z.next_in = (Bytef *)in;
    z.avail_in = (uInt)len;
    z.next_out = out;
    z.avail_out = (uInt)out_len;
    ret = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    return (ret == Z_STREAM_END || ret == Z_BUF_ERROR) && z.avail_out == 0;
}

static void test_inflate(void)
{
    GRand *r = g_rand_new_with_seed(g_test_rand_int());
    g_autofree uint8_t *plain = g_malloc(MAX), *packed = g_malloc(2 * MAX);
    g_autofree uint8_t *theirs = g_malloc(MAX);
    g_autofree InflateTables *t = g_new(InflateTables, 1);
    unsigned ours = 0;

    for (unsigned i = 0; i < ROUNDS; i++) {
        size_t len = (size_t)g_rand_int_range(r, 1, i % 8 ? 5000 : MAX), n;
        /* just as large as needed: the sanitizer sees more */
        g_autofree uint8_t *out = g_malloc(len), *in = NULL;

        fill(r, plain, len);
        n = pack(r, packed, 2 * MAX, plain, len);
        in = g_memdup2(packed, n);
        if (inflate_all(t, out, len, in, n)) {
            g_assert_true(memcmp(out, plain, len) == 0);
            ours++;
        }
        for (unsigned k = 0; k < DAMAGES; k++) {
            size_t cut = n;

            memcpy(in, packed, n);
            if (k % 3 == 0) {
                cut = (size_t)g_rand_int_range(r, 0, (int)n);
            } else {
                in[g_rand_int_range(r, 0, (int)MIN(n, 200))] ^=
                    (uint8_t)(1u << g_rand_int_range(r, 0, 8));
            }
            if (inflate_all(t, out, len, in, cut)) {
                g_assert_true(zlib_all(theirs, len, in, cut));
                g_assert_true(memcmp(out, theirs, len) == 0);
            }
        }
    }
    g_test_message("%u of %u streams without zlib", ours, ROUNDS);
    g_assert_cmpuint(ours, >, ROUNDS * 9 / 10);
    g_rand_free(r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/inflate", test_inflate);
    return g_test_run();
}
