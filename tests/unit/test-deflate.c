/*
 * Our deflate against zlib's inflate: everything comes out again, also where the
 * reader remembers 4 KiB only; no byte behind the room is touched; and what we
 * make is not larger than what zlib makes of the same.
 */
#include "util/osdep.h"
#include "block/deflate.h"
#include "block/inflate.h"

#include <zlib.h>

enum { MAX = 1 << 18, ROUNDS = 300, LARGE = 1 << 16, GUARD = 16 };

/* From noise to one byte over and over, copies of what was before, text. */
static void fill(GRand *r, uint8_t *p, size_t len)
{
    int kind = g_rand_int_range(r, 0, 9), alphabet = 1 << MIN(kind, 8);

    for (size_t i = 0; i < len;) {
        size_t run = (size_t)g_rand_int_range(r, 1, kind % 3 ? 40 : 6000);
        size_t far = (size_t)g_rand_int_range(r, 1, kind % 2 ? 9000 : 300);
        bool copy = far <= i && g_rand_int_range(r, 0, 9) < kind;
        bool same = g_rand_int_range(r, 0, 30) == 0;
        int byte = g_rand_int_range(r, 0, 256);

        for (; run && i < len; run--, i++) {
            p[i] = copy   ? p[i - far]
                   : same ? (uint8_t)byte
                          : (uint8_t)g_rand_int_range(r, 0, alphabet);
        }
    }
}

/* In pieces, so that zlib needs its window: 4 KiB. */
static void check_zlib(GRand *r, const uint8_t *packed, size_t n,
                       const uint8_t *want, size_t len)
{
    g_autofree uint8_t *out = g_malloc(len);
    z_stream z = { .next_in = (Bytef *)packed, .avail_in = (uInt)n };
    size_t at = 0;
    int ret = Z_OK;

    g_assert_cmpint(inflateInit2(&z, -12), ==, Z_OK);
    while (ret == Z_OK && at < len) {
        size_t part = MIN((size_t)g_rand_int_range(r, 1, 3000), len - at);

        z.next_out = out + at;
        z.avail_out = (uInt)part;
        ret = inflate(&z, at + part == len ? Z_FINISH : Z_NO_FLUSH);
        at += part - z.avail_out;
    }
    g_assert_cmpint(ret, ==, Z_STREAM_END);
    g_assert_cmpuint(at, ==, len);
    g_assert_cmpuint(z.avail_in, ==, 0);
    g_assert_cmpmem(out, len, want, len);
    inflateEnd(&z);
}

static void check_ours(const uint8_t *packed, size_t n, const uint8_t *want,
                       size_t len)
{
    g_autofree InflateTables *t = g_new(InflateTables, 1);
    g_autofree uint8_t *out = g_malloc(len);

    g_assert_true(inflate_all(t, out, len, packed, n));
    g_assert_cmpmem(out, len, want, len);
}

static size_t zlib_size(const uint8_t *in, size_t len)
{
    g_autofree uint8_t *out = g_malloc(2 * len + 100);
    z_stream z = { .next_in = (Bytef *)in,
                   .avail_in = (uInt)len,
                   .next_out = out,
                   .avail_out = (uInt)(2 * len + 100) };

    deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -12, 9,
                 Z_DEFAULT_STRATEGY);
    g_assert_cmpint(deflate(&z, Z_FINISH), ==, Z_STREAM_END);
    deflateEnd(&z);
    return 2 * len + 100 - z.avail_out;
}

static void test_round_trip(void)
{
    GRand *r = g_rand_new_with_seed(g_test_rand_int());
    g_autofree DeflateTables *t = g_new(DeflateTables, 1);
    g_autofree uint8_t *again = g_malloc(2 * MAX + 100);
    size_t ours = 0, theirs = 0;

    memset(t, 0xa5, sizeof(*t));
    for (unsigned i = 0; i < ROUNDS; i++) {
        size_t len = (size_t)g_rand_int_range(r, 1, i % 4 ? LARGE : MAX), n;
        size_t room = len + len / 1000 + 64, fits;
        /* just as large as needed: the sanitizer sees more */
        g_autofree uint8_t *in = g_malloc(len);
        g_autofree uint8_t *out = g_malloc(room + DEFLATE_SLACK);

        fill(r, in, len);
        n = deflate_all(t, out, room, in, len);
        g_assert_cmpuint(n, >, 0);
        check_zlib(r, out, n, in, len);
        check_ours(out, n, in, len);
        if (len > 4096) {
            ours += n;
            theirs += zlib_size(in, len);
        }
        /* the same bytes, whatever the tables held, in as little room as that;
         * in half of it not */
        memset(again, 0x5a, n + 8 + DEFLATE_SLACK + GUARD);
        fits = deflate_all(t, again, n + 8, in, len);
        g_assert_cmpmem(out, n, again, fits);
        for (unsigned k = 0; k < GUARD; k++) {
            g_assert_cmphex(again[n + 8 + DEFLATE_SLACK + k], ==, 0x5a);
        }
        g_assert_cmpuint(deflate_all(t, again, n / 2, in, len), ==, 0);
    }
    g_test_message("%zu bytes, zlib makes %zu of the same", ours, theirs);
    g_assert_cmpuint(ours, <, theirs + theirs / 50);
    g_rand_free(r);
}

/* Codes as long as they may be, and longer if nobody limited them. */
static void test_skewed(void)
{
    GRand *r = g_rand_new_with_seed(g_test_rand_int());
    g_autofree DeflateTables *t = g_new(DeflateTables, 1);
    g_autofree uint8_t *in = g_malloc(MAX), *out = g_malloc(MAX + 1000);
    size_t n = 0, a = 1, b = 1;

    /* as often as Fibonacci's numbers are large, in no order */
    for (unsigned sym = 0; n + b < LARGE; sym++) {
        size_t c = a + b;

        memset(in + n, (int)sym * 7, b);
        n += b;
        a = b;
        b = c;
    }
    for (size_t i = n; i > 1; i--) {
        size_t k = (size_t)g_rand_int_range(r, 0, (int)i);
        uint8_t v = in[i - 1];

        in[i - 1] = in[k];
        in[k] = v;
    }
    a = deflate_all(t, out, MAX, in, n);
    g_assert_cmpuint(a, >, 0);
    check_zlib(r, out, a, in, n);
    check_ours(out, a, in, n);
    g_rand_free(r);
}

/* What does not get smaller is found out quickly: as it is, or not at all. */
static void test_noise(void)
{
    GRand *r = g_rand_new_with_seed(g_test_rand_int());
    g_autofree DeflateTables *t = g_new(DeflateTables, 1);
    g_autofree uint8_t *in = g_malloc(LARGE), *out = g_malloc(LARGE + 100);
    size_t n;

    for (size_t i = 0; i < LARGE; i++) {
        in[i] = (uint8_t)g_rand_int(r);
    }
    g_assert_cmpuint(deflate_all(t, out, LARGE - 1, in, LARGE), ==, 0);
    n = deflate_all(t, out, LARGE + 64, in, LARGE);
    g_assert_cmpuint(n, >, LARGE);
    g_assert_cmpuint(n, <=, LARGE + 16);
    check_zlib(r, out, n, in, LARGE);
    g_rand_free(r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/deflate/round-trip", test_round_trip);
    g_test_add_func("/deflate/skewed", test_skewed);
    g_test_add_func("/deflate/noise", test_noise);
    return g_test_run();
}
