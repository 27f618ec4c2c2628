/* compare: do two images hold the same. */
#include "util/osdep.h"
#include "tools/img/img.h"

#include "block/jobs.h"
#include "util/log.h"

enum { EXIT_SAME, EXIT_DIFFER, EXIT_OPEN, EXIT_MAP, EXIT_READ };
enum { COMPARE_BUF = 2 << 20 };

typedef struct Compare {
    const ImgArgs *a;
    BlockNode *bn[2];
    uint8_t *buf[2];
    uint64_t total;
} Compare;

static void step(const Compare *c, uint64_t done)
{
    img_progress_set(c->total ? 100.0 * (double)done / (double)c->total : 100);
}

static int read_error(const Compare *c, int i, uint64_t off, int ret)
{
    error_report("Error while reading offset %" PRIu64 " of %s: %s", off,
                 c->a->files[i], g_strerror(-ret));
    return EXIT_READ;
}

static int mismatch(const Compare *c, uint64_t off)
{
    img_say(c->a, "Content mismatch at offset %" PRIu64 "!\n", off);
    return EXIT_DIFFER;
}

/* [off, off + len) of image @i must be zeroes. */
static int must_be_zero(const Compare *c, int i, uint64_t off, uint64_t len)
{
    while (len) {
        size_t n = MIN(len, COMPARE_BUF);
        int ret = block_pread(c->bn[i], off, c->buf[0], n);
        size_t zeroes;

        if (ret < 0) {
            return read_error(c, i, off, ret);
        }
        zeroes = block_zero_prefix(c->buf[0], n, 1);
        if (zeroes < n) {
            return mismatch(c, off + zeroes);
        }
        off += n;
        len -= n;
    }
    return 0;
}

static int both_data(const Compare *c, uint64_t off, uint64_t len)
{
    while (len) {
        size_t n = MIN(len, COMPARE_BUF);

        for (int i = 0; i < 2; i++) {
            int ret = block_pread(c->bn[i], off, c->buf[i], n);

            if (ret < 0) {
                return read_error(c, i, off, ret);
            }
        }
        if (memcmp(c->buf[0], c->buf[1], n) != 0) {
            size_t at = 0;

            while (c->buf[0][at] == c->buf[1][at]) {
                at++;
            }
            /* qemu-img names the sector. */
            return mismatch(c, (off + at) & ~UINT64_C(511));
        }
        off += n;
        len -= n;
    }
    return 0;
}

/* The longest run at @off that both images store one way. */
static int status(const Compare *c, uint64_t off, uint64_t len, bool zero[2],
                  bool alloc[2], uint64_t *run)
{
    *run = MIN(len, GIB);
    for (int i = 0; i < 2; i++) {
        BlockExtent e;
        BlockNode *owner;
        int ret = block_map_chain(c->bn[i], NULL, off, *run, &e, &owner, NULL);

        if (ret < 0) {
            error_report("Sector allocation test failed for %s: %s",
                         c->a->files[i], g_strerror(-ret));
            return EXIT_MAP;
        }
        *run = e.len;
        zero[i] = e.kind == EXTENT_HOLE || e.kind == EXTENT_ZERO;
        alloc[i] = e.kind != EXTENT_HOLE && off < owner->size;
    }
    return 0;
}

static int compare_common(const Compare *c, uint64_t len, bool strict)
{
    uint64_t off = 0, run;
    bool zero[2], alloc[2];

    while (off < len) {
        int ret = status(c, off, len - off, zero, alloc, &run);

        if (ret) {
            return ret;
        }
        if (strict && (alloc[0] != alloc[1] || zero[0] != zero[1])) {
            img_say(c->a,
                    "Strict mode: Offset %" PRIu64 " block status mismatch!\n",
                    off);
            return EXIT_DIFFER;
        }
        if (!zero[0] || !zero[1]) { /* progress, now and then */
            run = MIN(run, 64 * MIB);
        }
        if (zero[0] != zero[1]) {
            ret = must_be_zero(c, zero[0] ? 1 : 0, off, run);
        } else if (!zero[0]) {
            ret = both_data(c, off, run);
        }
        if (ret || img_cancelled()) {
            return ret;
        }
        off += run;
        step(c, off);
    }
    return 0;
}

/* What the longer image has more must be zeroes. */
static int compare_rest(const Compare *c, int i, uint64_t off)
{
    uint64_t end = c->bn[i]->size;

    img_say(c->a, "Warning: Image size mismatch!\n");
    while (off < end) {
        uint64_t run;
        int ret = block_is_zero(c->bn[i], off, MIN(end - off, GIB), &run);

        if (ret < 0) {
            error_report("Sector allocation test failed for %s: %s",
                         c->a->files[i], g_strerror(-ret));
            return EXIT_MAP;
        }
        run = MIN(run, 64 * MIB);
        ret = ret ? 0 : must_be_zero(c, i, off, run);
        if (ret || img_cancelled()) {
            return ret;
        }
        off += run;
        step(c, off);
    }
    return 0;
}

static int compare_images(Compare *c)
{
    uint64_t s0 = c->bn[0]->size, s1 = c->bn[1]->size;
    bool strict = img_has(c->a, 's');
    int ret;

    if (strict && s0 != s1) {
        img_say(c->a, "Strict mode: Image size mismatch!\n");
        return EXIT_DIFFER;
    }
    c->total = MAX(s0, s1);
    img_progress(c->a, 2.0);
    ret = compare_common(c, MIN(s0, s1), strict);
    if (ret == 0 && s0 != s1 && !img_cancelled()) {
        ret = compare_rest(c, s0 > s1 ? 0 : 1, MIN(s0, s1));
    }
    if (ret == 0 && !img_cancelled()) {
        img_say(c->a, "Images are identical.\n");
    }
    return ret;
}

int cmd_compare(ImgArgs *a)
{
    const char *cache = img_opt(a, 'T');
    bool image_opts = img_has(a, IMG_IMAGE_OPTS);
    unsigned flags = img_has(a, 'U') ? BLOCK_FORCE_SHARE : 0;
    Compare c = { .a = a };
    int ret = EXIT_OPEN;

    if (a->nfiles != 2) {
        img_usage("Expecting two image file names");
    }
    if (cache && !block_cache_mode(cache, &flags)) {
        error_report("Invalid source cache option: %s", cache);
        return EXIT_OPEN;
    }
    c.bn[0] = img_open(a, image_opts, a->files[0], img_opt(a, 'f'), flags);
    c.bn[1] = c.bn[0]
                  ? img_open(a, image_opts, a->files[1], img_opt(a, 'F'), flags)
                  : NULL;
    if (c.bn[1]) {
        c.buf[0] = g_malloc(COMPARE_BUF);
        c.buf[1] = g_malloc(COMPARE_BUF);
        ret = compare_images(&c);
        g_free(c.buf[0]);
        g_free(c.buf[1]);
    }
    block_close(c.bn[0], NULL);
    block_close(c.bn[1], NULL);
    return ret;
}
