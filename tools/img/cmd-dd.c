/* dd: copies blocks from one image to a new one. */
#include "util/osdep.h"
#include "tools/img/img.h"

#include "util/log.h"

typedef struct Dd {
    const char *in, *out;
    int64_t bs, count, skip;
    bool has_count, has_skip;
} Dd;

static bool parse_operand(Dd *d, const char *word)
{
    const char *eq = strchr(word, '=');
    g_autofree char *name = eq ? g_strndup(word, (gsize)(eq - word)) : NULL;

    if (!eq) {
        error_report("unrecognized operand %s", word);
        return false;
    }
    if (strcmp(name, "if") == 0) {
        d->in = eq + 1;
    } else if (strcmp(name, "of") == 0) {
        d->out = eq + 1;
    } else if (strcmp(name, "bs") == 0) {
        return img_size(eq + 1, "bs", 1, INT32_MAX, &d->bs);
    } else if (strcmp(name, "count") == 0) {
        d->has_count = true;
        return img_size(eq + 1, "count", 0, INT64_MAX, &d->count);
    } else if (strcmp(name, "skip") == 0) {
        d->has_skip = true;
        return img_size(eq + 1, "skip", 0, INT64_MAX, &d->skip);
    } else {
        error_report("unrecognized operand %s", name);
        return false;
    }
    return true;
}

static int copy(const Dd *d, BlockNode *in, BlockNode *out, uint64_t off,
                uint64_t end, const BlockJob *job)
{
    g_autofree uint8_t *buf = g_try_malloc((gsize)d->bs);
    uint64_t to = 0, start = off;

    if (!buf) {
        error_report("bs=%" PRId64 " is more than there is memory", d->bs);
        return 1;
    }
    while (off < end) {
        uint64_t n = MIN(end - off, (uint64_t)d->bs);
        int ret = block_pread(in, off, buf, n);

        if (ret < 0) {
            error_report("error while reading from input image file: %s",
                         g_strerror(-ret));
            return 1;
        }
        ret = block_pwrite(out, to, buf, n);
        if (ret < 0) {
            error_report("error while writing to output image file: %s",
                         g_strerror(-ret));
            return 1;
        }
        off += n;
        to += n;
        if (!block_job_step(job, off - start, end - start, NULL)) {
            return 1;
        }
    }
    return 0;
}

/* [*off, *end): what is to be copied of @size bytes. */
static void range(const Dd *d, uint64_t size, uint64_t *off, uint64_t *end)
{
    uint64_t bs = (uint64_t)d->bs;

    *end = size;
    *off = 0;
    if (d->has_count && (uint64_t)d->count <= INT64_MAX / bs) {
        *end = MIN(size, (uint64_t)d->count * bs);
    }
    if (!d->has_skip) {
        return;
    }
    if ((uint64_t)d->skip > size / bs || (uint64_t)d->skip * bs >= size) {
        error_report("%s: cannot skip to specified offset", d->in);
        *off = *end = size;
        return;
    }
    *off = (uint64_t)d->skip * bs;
    *end = d->has_count && (uint64_t)d->count <= INT64_MAX / bs
               ? MIN(size, *off + (uint64_t)d->count * bs)
               : size;
}

static int create_and_copy(const ImgArgs *a, const Dd *d, BlockNode *in)
{
    const char *fmt = img_opt(a, 'O') ? img_opt(a, 'O') : "raw";
    g_autoptr(KeyVal) kv = keyval_new();
    g_autofree char *size = NULL;
    uint64_t off, end;
    const BlockJob *job;
    GError *err = NULL;
    BlockNode *out;
    int ret;

    range(d, in->size, &off, &end);
    size = g_strdup_printf("%" PRIu64, end - off);
    keyval_set(kv, "size", size);
    job = img_progress(a, 1.0);
    img_half_made(d->out);
    if (!block_create(d->out, fmt, kv, 0, &err)) {
        img_half_made(NULL);
        img_error(err, "%s: error while creating output image: ", d->out);
        return 1;
    }
    out = img_open(a, false, d->out, fmt, BLOCK_RDWR | BLOCK_UNMAP);
    if (!out) {
        return 1;
    }
    ret = copy(d, in, out, off, end, job);
    img_close(out, &ret);
    if (!img_cancelled()) {
        img_half_made(NULL);
    }
    return ret;
}

int cmd_dd(ImgArgs *a)
{
    Dd d = { .bs = 512 };
    BlockNode *in;
    int ret;

    for (int i = 0; i < a->nfiles; i++) {
        if (!parse_operand(&d, a->files[i])) {
            return 1;
        }
    }
    if (!d.in || !d.out) {
        error_report("Must specify both input and output files");
        return 1;
    }
    in = img_open_arg(a, d.in, 0);
    if (!in) {
        return 1;
    }
    ret = create_and_copy(a, &d, in);
    block_close(in, NULL);
    return ret;
}
