/* bench: many equal requests, some at a time. */
#include "util/osdep.h"
#include "tools/img/img.h"

#include "block/blk.h"
#include "util/log.h"
#include "util/mainloop.h"

typedef struct Bench {
    Blk *blk;
    struct iovec *iov; /* one for each slot */
    unsigned *free;    /* slots */
    unsigned nfree;
    int64_t left; /* to be submitted */
    int64_t in_flight;
    int64_t off, size, step;
    int depth, flush_interval, since_flush;
    bool write, drain, flushing, need_flush;
    int ret;
} Bench;

typedef struct BenchReq {
    Bench *b;
    unsigned slot;
} BenchReq;

static BenchReq *reqs;

static void fill(Bench *b);

static void flush_done(void *opaque, int ret)
{
    Bench *b = opaque;

    b->flushing = false;
    b->ret = ret < 0 ? ret : b->ret;
    fill(b);
}

static void flush_if_due(Bench *b)
{
    if (b->need_flush && !b->flushing && (!b->drain || b->in_flight == 0)) {
        b->need_flush = false;
        b->flushing = true;
        blk_submit(b->blk, BLK_FLUSH, 0, 0, NULL, 0, 0, flush_done, b);
    }
}

static void request_done(void *opaque, int ret)
{
    BenchReq *r = opaque;
    Bench *b = r->b;

    b->free[b->nfree++] = r->slot;
    b->in_flight--;
    b->ret = ret < 0 ? ret : b->ret;
    if (b->flush_interval && ++b->since_flush == b->flush_interval) {
        b->since_flush = 0;
        b->need_flush = true;
    }
    fill(b);
}

/* As many requests as there is room for. */
static void fill(Bench *b)
{
    blk_plug(b->blk);
    flush_if_due(b);
    while (b->nfree && b->left > 0 && b->ret == 0 &&
           !(b->drain && (b->need_flush || b->flushing))) {
        unsigned slot = b->free[--b->nfree];

        b->left--;
        b->in_flight++;
        blk_submit(b->blk, b->write ? BLK_WRITE : BLK_READ, (uint64_t)b->off,
                   (uint64_t)b->size, &b->iov[slot], 1, 0, request_done,
                   &reqs[slot]);
        b->off += b->step;
        if (b->off > (int64_t)blk_size(b->blk) - b->size) {
            b->off = 0;
        }
    }
    blk_unplug(b->blk);
}

static int run(Bench *b, int pattern)
{
    gint64 start;
    void *mem = NULL;
    int ret;

    if (posix_memalign(&mem, 4096, (size_t)b->size * (size_t)b->depth)) {
        error_report("%d buffers of %" PRId64 " bytes are more than there is "
                     "memory",
                     b->depth, b->size);
        return 1;
    }
    memset(mem, b->write ? pattern : 0, (size_t)b->size * (size_t)b->depth);
    b->iov = g_new(struct iovec, (gsize)b->depth);
    b->free = g_new(unsigned, (gsize)b->depth);
    reqs = g_new(BenchReq, (gsize)b->depth);
    for (int i = 0; i < b->depth; i++) {
        b->iov[i].iov_base = (uint8_t *)mem + (size_t)i * (size_t)b->size;
        b->iov[i].iov_len = (size_t)b->size;
        reqs[i] = (BenchReq) { b, (unsigned)i };
        b->free[b->nfree++] = (unsigned)i;
    }
    start = g_get_monotonic_time();
    fill(b);
    while ((b->left > 0 && b->ret == 0) || b->in_flight || b->flushing) {
        mainloop_iterate(true);
        if (img_cancelled()) {
            b->left = 0;
        }
    }
    ret = b->ret;
    if (ret < 0) {
        error_report("Failed request: %s", g_strerror(-ret));
    } else {
        printf("Run completed in %3.3f seconds.\n",
               (double)(g_get_monotonic_time() - start) / 1e6);
    }
    g_free(b->iov);
    g_free(b->free);
    g_free(reqs);
    free(mem);
    return ret < 0;
}

static bool number(const ImgArgs *a, int ch, const char *what, int64_t min,
                   int64_t max, int64_t *out)
{
    const char *t = img_opt(a, ch);
    uint64_t v;

    if (!t) {
        return true;
    }
    if (!parse_u64(t, &v, NULL) || v > (uint64_t)max || v < (uint64_t)min) {
        error_report("Invalid %s specified", what);
        return false;
    }
    *out = (int64_t)v;
    return true;
}

static bool bench_size(const ImgArgs *a, int ch, const char *what, int64_t min,
                       int64_t max, int64_t *out)
{
    const char *t = img_opt(a, ch);

    return !t || img_size(t, what, min, max, out);
}

/* -i, and -n, which asks for the kernel's own queue. */
static bool bench_aio(const ImgArgs *a, BlkAio *kind)
{
    const char *aio = img_opt(a, 'i');

    if (!aio) {
        *kind = img_has(a, 'n') ? BLK_AIO_IO_URING : BLK_AIO_DEFAULT;
    } else if (strcmp(aio, "threads") == 0) {
        *kind = BLK_AIO_THREADS;
    } else if (strcmp(aio, "io_uring") == 0) {
        *kind = BLK_AIO_IO_URING;
    } else if (strcmp(aio, "native") != 0) {
        error_report("Invalid aio option: %s", aio);
        return false;
    }
    return true;
}

int cmd_bench(ImgArgs *a)
{
    const char *cache = img_opt(a, 't');
    Bench b = { .write = img_has(a, 'w'),
                .size = 4096,
                .drain = !img_has(a, IMG_NO_DRAIN) };
    int64_t count = 75000, depth = 64, interval = 0, pattern = 0;
    unsigned flags = b.write ? BLOCK_RDWR | BLOCK_UNMAP : 0;
    BlkAio kind = BLK_AIO_DEFAULT;
    BlockNode *bn;
    int ret;

    if (!number(a, 'c', "request count", 0, INT32_MAX, &count) ||
        !number(a, 'd', "queue depth", 1, 65536, &depth) ||
        !number(a, IMG_FLUSH_INTERVAL, "flush interval", 0, INT32_MAX,
                &interval) ||
        !number(a, IMG_PATTERN, "pattern byte", 0, 255, &pattern) ||
        !bench_size(a, 'o', "offset", 0, INT64_MAX, &b.off) ||
        !bench_size(a, 's', "buffer size", 1, INT32_MAX, &b.size) ||
        !bench_size(a, 'S', "step_size", 0, INT32_MAX, &b.step)) {
        return 1;
    }
    if (cache && !block_cache_mode(cache, &flags)) {
        error_report("Invalid cache mode");
        return 1;
    }
    if (!bench_aio(a, &kind)) {
        return 1;
    }
    if (a->nfiles != 1) {
        img_usage("Expecting one image file name");
    }
    if (!b.write && interval) {
        error_report("--flush-interval is only available in write tests");
        return 1;
    }
    if (interval && interval < depth) {
        error_report("Flush interval can't be smaller than depth");
        return 1;
    }
    bn = img_open_arg(a, a->files[0], flags);
    if (!bn) {
        return 1;
    }
    if (b.size > (int64_t)bn->size) {
        error_report("the image is smaller than one request");
        block_close(bn, NULL);
        return 1;
    }
    b.step = b.step ? b.step : b.size;
    b.left = count;
    b.depth = (int)depth;
    b.flush_interval = (int)interval;
    /* as QEMU: also with -q */
    printf("Sending %d %s requests, %d bytes each, %d in parallel (starting "
           "at offset %" PRId64 ", step size %" PRId64 ")\n",
           (int)count, b.write ? "write" : "read", (int)b.size, b.depth, b.off,
           b.step);
    if (interval) {
        printf("Sending flush every %d %srequests\n", (int)interval,
               b.drain ? "" : "not draining ");
    }
    img_progress(a, 1000);
    b.blk = blk_new("bench", bn, kind);
    ret = run(&b, (int)pattern);
    blk_free(b.blk);
    return ret;
}
