/* The commands of rhea-io. */
#include "util/osdep.h"
#include "tools/io/io.h"

#include "block/info-text.h"
#include "util/log.h"

#include <getopt.h>

/* ---- numbers and reports --------------------------------------------------------------- */

/* "64 KiB", "3.812 MiB", "32 bytes". */
static char *size_text(double v)
{
    static const char *const units[] = { "EiB", "PiB", "TiB",
                                         "GiB", "MiB", "KiB" };
    char text[64];

    for (unsigned i = 0; i < G_N_ELEMENTS(units); i++) {
        double unit = (double)(1ULL << (60 - 10 * i));

        if (v >= unit) {
            snprintf(text, sizeof(text), "%.3f", v / unit);
            if (g_str_has_suffix(text, ".000")) {
                text[strlen(text) - 4] = 0;
            }
            return g_strdup_printf("%s %s", text, units[i]);
        }
    }
    snprintf(text, sizeof(text), "%f", v);
    if (g_str_has_suffix(text, ".000000")) {
        text[strlen(text) - 7] = 0;
    }
    return g_strdup_printf("%s bytes", text);
}

static bool number(const char *text, uint64_t *out)
{
    if (text[0] == '-' || !parse_size(text, 1, out, NULL) || *out > INT64_MAX) {
        printf("Parsing error: non-numeric argument, or extraneous/"
               "unrecognized suffix -- %s\n",
               text);
        return false;
    }
    return true;
}

static bool pattern_byte(const char *text, int *out)
{
    char *end;
    long v = strtol(text, &end, 0);

    if (v < 0 || v > 255 || !*text || *end) {
        printf("%s is not a valid pattern byte\n", text);
        return false;
    }
    *out = (int)v;
    return true;
}

static void report(const char *op, gint64 us, uint64_t off, uint64_t len,
                   bool machine)
{
    double t = (double)MAX(us, 1) / 1e6;
    unsigned s = (unsigned)(us / 1000000), f = (unsigned)(us / 10000 % 100);
    g_autofree char *size = size_text((double)len);
    g_autofree char *rate = size_text((double)len / t);
    g_autofree char *when = s >= 60
                                ? g_strdup_printf("%u:%02u:%02u.%02u", s / 3600,
                                                  s / 60 % 60, s % 60, f)
                                : g_strdup_printf("%02u.%02u sec", s, f);

    if (machine) {
        printf("%" PRIu64 ",%d,%s,%.3f,%.3f\n", len, 1, when, (double)len / t,
               1 / t);
        return;
    }
    printf("%s %" PRIu64 "/%" PRIu64 " bytes at offset %" PRIu64 "\n", op, len,
           len, off);
    printf("%s, %d ops; %s (%s/sec and %.4f ops/sec)\n", size, 1, when, rate,
           1 / t);
}

static void dump(const uint8_t *buf, uint64_t off, uint64_t len)
{
    for (uint64_t i = 0; i < len; i += 16) {
        uint64_t n = MIN(len - i, 16);

        printf("%08" PRIx64 ":  ", off + i);
        for (uint64_t j = 0; j < n; j++) {
            printf("%02x ", buf[i + j]);
        }
        printf(" ");
        for (uint64_t j = 0; j < n; j++) {
            printf("%c", g_ascii_isalnum(buf[i + j]) ? buf[i + j] : '.');
        }
        printf("\n");
    }
}

/* ---- requests ----------------------------------------------------------------------------- */

/* What one of the reading and writing commands was told. */
typedef struct Request {
    Io *io;
    const char *name;
    bool write, zero, unmap, packed, fua, no_fallback, vmstate;
    bool machine, quiet, verbose, expect_fail;
    bool has_pattern, async;
    int pattern;
    const char *source;
    uint64_t check_off, check_len;
    uint64_t off, len;
    uint8_t *mem;
    struct iovec iov;
    gint64 start;
} Request;

static void request_free(Request *r)
{
    g_free(r->mem);
    g_free(r);
}

static int finish(Request *r, int ret)
{
    gint64 us = g_get_monotonic_time() - r->start;

    if (ret < 0) {
        printf("%s failed: %s\n", r->name, g_strerror(-ret));
        return ret;
    }
    if (!r->write && r->has_pattern) {
        const uint8_t *p = (uint8_t *)r->iov.iov_base + r->check_off;

        for (uint64_t i = 0; i < r->check_len; i++) {
            if (p[i] != r->pattern) {
                printf("Pattern verification failed at offset %" PRIu64
                       ", %" PRIu64 " bytes\n",
                       r->off + r->check_off, r->check_len);
                ret = -EINVAL;
                break;
            }
        }
    }
    if (!r->quiet) {
        if (r->verbose && !r->write) {
            dump(r->iov.iov_base, r->off, r->len);
        }
        report(r->write ? "wrote" : "read", us, r->off, r->len, r->machine);
    }
    return ret;
}

static int fill_from_file(Request *r)
{
    gsize n;
    FILE *f = fopen(r->source, "rb");

    if (!f) {
        printf("%s: %s\n", r->source, g_strerror(errno));
        return -errno;
    }
    n = fread(r->iov.iov_base, 1, r->len, f);
    fclose(f);
    if (!n) {
        printf("%s: file is empty\n", r->source);
        return -EINVAL;
    }
    for (uint64_t i = n; i < r->len; i++) { /* again and again */
        ((uint8_t *)r->iov.iov_base)[i] = ((uint8_t *)r->iov.iov_base)[i - n];
    }
    return 0;
}

static int prepare(Request *r)
{
    enum { SHIFT = 16 };

    if (r->len > INT32_MAX) {
        printf("length cannot exceed %d, given %" PRIu64 "\n", INT32_MAX,
               r->len);
        return -EINVAL;
    }
    if (r->zero) {
        return 0;
    }
    r->mem = g_try_malloc(r->len + SHIFT + 1);
    if (!r->mem) {
        return -ENOMEM;
    }
    r->iov.iov_base = r->mem + (r->io->misalign ? SHIFT : 0);
    r->iov.iov_len = r->len;
    memset(r->iov.iov_base,
           !r->write        ? 0xab
           : r->has_pattern ? r->pattern
                            : 0xcd,
           r->len);
    return r->source ? fill_from_file(r) : 0;
}

static int vmstate(Request *r)
{
    BlockNode *bn = blk_node(r->io->blk);
    const SnapshotOps *ops = bn->drv->snapshots;

    if (!ops || !ops->vmstate_read) {
        return -ENOTSUP;
    }
    return r->write ? ops->vmstate_write(bn, r->off, r->iov.iov_base, r->len)
                    : ops->vmstate_read(bn, r->off, r->iov.iov_base, r->len);
}

static int transfer(Request *r)
{
    BlockNode *bn = blk_node(r->io->blk);
    int ret;

    blk_drain(r->io->blk);
    if (r->vmstate) {
        return vmstate(r);
    }
    if (!r->write) {
        return block_preadv(bn, r->off, &r->iov, 1);
    }
    ret = r->zero ? block_zero(bn, r->off, r->len,
                               (r->unmap ? ZERO_MAY_UNMAP : 0) |
                                   (r->no_fallback ? ZERO_NO_FALLBACK : 0))
                  : block_pwritev(bn, r->off, &r->iov, 1,
                                  r->packed ? WRITE_COMPRESSED : 0);
    return ret == 0 && r->fua ? block_flush(bn) : ret;
}

static void async_done(void *opaque, int ret)
{
    Request *r = opaque;

    finish(r, ret);
    request_free(r);
}

static int submit(Request *r)
{
    unsigned flags =
        (r->unmap ? ZERO_MAY_UNMAP : 0) | (r->fua ? (unsigned)BLK_FUA : 0);

    blk_submit(r->io->blk,
               !r->write ? BLK_READ
               : r->zero ? BLK_ZERO
                         : BLK_WRITE,
               r->off, r->len, r->zero ? NULL : &r->iov, r->zero ? 0 : 1, flags,
               async_done, r);
    return 0;
}

static bool parse_flag(Request *r, int ch)
{
    switch (ch) {
    case 'b':
        r->vmstate = true;
        break;
    case 'c':
        r->packed = true;
        break;
    case 'C':
        r->machine = true;
        break;
    case 'f':
        r->fua = true;
        break;
    case 'n':
        r->no_fallback = true;
        break;
    case 'p':
        break;
    case 'q':
        r->quiet = true;
        break;
    case 'u':
        r->unmap = true;
        break;
    case 'v':
        r->verbose = true;
        break;
    case 'z':
        r->zero = true;
        break;
    case 'P':
        r->has_pattern = true;
        return pattern_byte(optarg, &r->pattern);
    case 'l':
        return number(optarg, &r->check_len);
    case 's':
        if (r->write) {
            r->source = optarg;
            return true;
        }
        return number(optarg, &r->check_off);
    default:
        return false;
    }
    return true;
}

static bool parse_rest(Request *r, bool vector, int n, char **args)
{
    if (n < 2 || (!vector && n != 2)) {
        printf("bad argument count %d to %s, expected %s2 arguments\n", n,
               r->name, vector ? "at least " : "");
        return false;
    }
    if (!number(args[0], &r->off)) {
        return false;
    }
    for (int i = 1; i < n; i++) {
        uint64_t len;

        if (!number(args[i], &len)) {
            return false;
        }
        if (len > INT32_MAX - MIN(r->len, INT32_MAX) && vector) {
            printf("length cannot exceed %d, given %s\n", INT32_MAX, args[i]);
            return false;
        }
        r->len += len;
    }
    if (r->write && r->zero + r->has_pattern + !!r->source > 1) {
        printf("Only one of -z, -P, and -s can be specified at the same "
               "time\n");
        return false;
    }
    if (r->unmap && !r->zero) {
        printf("-u requires -z to be specified\n");
        return false;
    }
    if (r->zero && (r->packed || r->vmstate)) {
        printf("-z cannot be combined with -b or -c\n");
        return false;
    }
    if (!r->check_len && r->check_off <= r->len) {
        r->check_len = r->len - r->check_off;
    }
    if (!r->write &&
        (r->check_off > r->len || r->check_len > r->len - r->check_off)) {
        printf("pattern verification range exceeds end of read data\n");
        return false;
    }
    return true;
}

static int transfer_cmd(Io *io, int argc, char **argv, bool write, bool vector,
                        bool async)
{
    Request *r = g_new0(Request, 1);
    const char *letters = async   ? (write ? "CfiP:quz" : "CP:iqv")
                          : write ? "bcCfnpP:qs:uz"
                                  : "bCl:pP:qs:v";
    int ch, ret;

    r->io = io;
    r->name = async    ? (write ? "aio_write" : "aio_read")
              : vector ? (write ? "writev" : "readv")
                       : (write ? "write" : "read");
    r->write = write;
    optind = 0;
    while ((ch = getopt(argc, argv, letters)) != -1) {
        if (ch != 'i' && !parse_flag(r, ch)) {
            request_free(r);
            return -EINVAL;
        }
    }
    if (!parse_rest(r, vector, argc - optind, argv + optind)) {
        request_free(r);
        return -EINVAL;
    }
    if (write && blk_read_only(io->blk)) {
        error_report("Block node is read-only");
        request_free(r);
        return -EPERM;
    }
    ret = prepare(r);
    r->start = g_get_monotonic_time();
    if (ret == 0 && async) {
        return submit(r); /* which frees it */
    }
    ret = ret < 0 ? ret : finish(r, transfer(r));
    request_free(r);
    return ret;
}

static int do_read(Io *io, int argc, char **argv)
{
    return transfer_cmd(io, argc, argv, false, false, false);
}

static int do_readv(Io *io, int argc, char **argv)
{
    return transfer_cmd(io, argc, argv, false, true, false);
}

static int do_write(Io *io, int argc, char **argv)
{
    return transfer_cmd(io, argc, argv, true, false, false);
}

static int do_writev(Io *io, int argc, char **argv)
{
    return transfer_cmd(io, argc, argv, true, true, false);
}

static int do_aio_read(Io *io, int argc, char **argv)
{
    return transfer_cmd(io, argc, argv, false, true, true);
}

static int do_aio_write(Io *io, int argc, char **argv)
{
    return transfer_cmd(io, argc, argv, true, true, true);
}

/* ---- the others ----------------------------------------------------------------------------- */

static int do_aio_flush(Io *io, int argc, char **argv)
{
    blk_drain(io->blk);
    return 0;
}

static int do_flush(Io *io, int argc, char **argv)
{
    blk_drain(io->blk);
    return block_flush(blk_node(io->blk));
}

static int do_discard(Io *io, int argc, char **argv)
{
    bool machine = false, quiet = false;
    uint64_t off, len;
    gint64 start;
    int ch, ret;

    optind = 0;
    while ((ch = getopt(argc, argv, "Cq")) != -1) {
        machine |= ch == 'C';
        quiet |= ch == 'q';
        if (ch == '?') {
            return -EINVAL;
        }
    }
    if (argc - optind != 2) {
        printf("bad argument count %d to discard, expected 2 arguments\n",
               argc - optind);
        return -EINVAL;
    }
    if (!number(argv[optind], &off) || !number(argv[optind + 1], &len)) {
        return -EINVAL;
    }
    blk_drain(io->blk);
    start = g_get_monotonic_time();
    ret = block_discard(blk_node(io->blk), off, len);
    if (ret < 0) {
        printf("discard failed: %s\n", g_strerror(-ret));
    } else if (!quiet) {
        report("discard", g_get_monotonic_time() - start, off, len, machine);
    }
    return ret;
}

/* How much of [off, off + len) from its start is one way. */
static int run_of(BlockNode *bn, uint64_t off, uint64_t len, bool *alloc,
                  uint64_t *n)
{
    *n = 0;
    while (*n < len) {
        BlockExtent e;
        int ret = block_map(bn, off + *n, len - *n, 0, &e);
        bool a = e.kind != EXTENT_HOLE;

        if (ret < 0) {
            return ret;
        }
        if (*n && a != *alloc) {
            break;
        }
        *alloc = a;
        *n += e.len;
    }
    return 0;
}

static int do_alloc(Io *io, int argc, char **argv)
{
    BlockNode *bn = blk_node(io->blk);
    uint64_t off, len = 512, sum = 0, n;
    g_autofree char *at = NULL;
    bool alloc;

    if (!number(argv[1], &off) || (argc == 3 && !number(argv[2], &len))) {
        return -EINVAL;
    }
    if (off > bn->size || len > bn->size - off) {
        printf("is_allocated failed: %s\n", g_strerror(EIO));
        return -EIO;
    }
    for (uint64_t done = 0; done < len; done += n) {
        int ret = run_of(bn, off + done, len - done, &alloc, &n);

        if (ret < 0) {
            printf("is_allocated failed: %s\n", g_strerror(-ret));
            return ret;
        }
        sum += alloc ? n : 0;
    }
    at = size_text((double)off);
    printf("%" PRIu64 "/%" PRIu64 " bytes allocated at offset %s\n", sum, len,
           at);
    return 0;
}

static int do_map(Io *io, int argc, char **argv)
{
    BlockNode *bn = blk_node(io->blk);
    uint64_t n;
    bool alloc = false;

    for (uint64_t off = 0; off < bn->size; off += n) {
        int ret = run_of(bn, off, bn->size - off, &alloc, &n);
        g_autofree char *len = NULL, *at = NULL;

        if (ret < 0) {
            printf("Failed to get allocation status: %s\n", g_strerror(-ret));
            return ret;
        }
        len = size_text((double)n);
        at = size_text((double)off);
        printf("%s (0x%" PRIx64 ") bytes %s allocated at offset %s (0x%" PRIx64
               ")\n",
               len, n, alloc ? "   " : "not", at, off);
    }
    return 0;
}

static int do_length(Io *io, int argc, char **argv)
{
    g_autofree char *text = size_text((double)blk_size(io->blk));

    printf("%s\n", text);
    return 0;
}

static int do_info(Io *io, int argc, char **argv)
{
    BlockNode *bn = blk_node(io->blk);
    g_autoptr(InfoItem) specific = block_specific(bn);
    g_autofree char *cluster = NULL, *state = NULL;
    BlockInfo bi;

    block_get_info(bn, &bi);
    cluster = size_text(bi.cluster_size);
    state = size_text((double)bi.vm_state_offset);
    printf("format name: %s\ncluster size: %s\nvm state offset: %s\n",
           bn->drv->name, cluster, state);
    if (specific && specific->items->len) {
        printf("Format specific information:\n");
        g_autoptr(GString) text = g_string_new(NULL);

        info_add_lines(text, specific, 1);
        fputs(text->str, stdout);
    }
    return 0;
}

static int do_truncate(Io *io, int argc, char **argv)
{
    const char *prealloc = "off";
    GError *err = NULL;
    uint64_t size;
    int ch;

    optind = 0;
    while ((ch = getopt(argc, argv, "m:")) != -1) {
        if (ch == '?') {
            return -EINVAL;
        }
        prealloc = optarg;
    }
    if (optind >= argc || !number(argv[optind], &size)) {
        return -EINVAL;
    }
    blk_drain(io->blk);
    if (!block_resize(blk_node(io->blk), size, prealloc, true, &err)) {
        error_report("%s", err->message);
        g_clear_error(&err);
        return -EIO;
    }
    return 0;
}

static int do_sleep(Io *io, int argc, char **argv)
{
    uint64_t ms;

    if (!parse_u64(argv[1], &ms, NULL) || ms > 3600000) {
        printf("%s is not a valid argument for sleep\n", argv[1]);
        return -EINVAL;
    }
    blk_drain(io->blk);
    g_usleep(ms * 1000);
    return 0;
}

static int do_close(Io *io, int argc, char **argv)
{
    blk_free(io->blk);
    io->blk = NULL;
    return 0;
}

static int do_open(Io *io, int argc, char **argv)
{
    unsigned flags = BLOCK_RDWR | BLOCK_UNMAP;
    g_autoptr(KeyVal) kv = NULL;
    GError *err = NULL;
    int ch;

    optind = 0;
    while ((ch = getopt(argc, argv, "rnko:U")) != -1) {
        switch (ch) {
        case 'r':
            flags &= ~BLOCK_RDWR;
            break;
        case 'n':
            flags |= BLOCK_DIRECT;
            break;
        case 'k':
            break;
        case 'U':
            flags |= BLOCK_FORCE_SHARE;
            break;
        case 'o':
            kv = keyval_parse(optarg, NULL, &err);
            if (!kv) {
                error_report("%s", err->message);
                g_clear_error(&err);
                return -EINVAL;
            }
            break;
        default:
            return -EINVAL;
        }
    }
    return io_open(io, optind < argc ? argv[optind] : NULL, NULL, kv, flags)
               ? 0
               : -EINVAL;
}

static int do_quit(Io *io, int argc, char **argv)
{
    io->quit = true;
    return 0;
}

static int do_help(Io *io, int argc, char **argv)
{
    for (const IoCmd *c = io_commands; c->name; c++) {
        if (argc > 1 && strcmp(argv[1], c->name) != 0) {
            continue;
        }
        printf("%s%s%s -- %s\n", c->name, c->args ? " " : "",
               c->args ? c->args : "", c->help);
    }
    if (argc == 1) {
        printf("\nUse 'help commandname' for extended help.\n");
    }
    return 0;
}

const IoCmd io_commands[] = {
    { "aio_flush", do_aio_flush, 0, 0, false, NULL,
      "completes all outstanding aio requests" },
    { "aio_read", do_aio_read, 2, -1, false,
      "[-Ciqv] [-P pattern] off len [len..]",
      "asynchronously reads a number of bytes" },
    { "aio_write", do_aio_write, 2, -1, false,
      "[-Cfiquz] [-P pattern] off len [len..]",
      "asynchronously writes a number of bytes" },
    { "alloc", do_alloc, 1, 2, false, "offset [count]",
      "checks if offset is allocated in the file" },
    { "close", do_close, 0, 0, false, NULL, "close the current open file" },
    { "discard", do_discard, 2, -1, false, "[-Cq] off len",
      "discards a number of bytes at a specified offset" },
    { "flush", do_flush, 0, 0, false, NULL,
      "flush all in-core file state to disk" },
    { "help", do_help, 0, 1, true, "[command]",
      "help for one or all commands" },
    { "info", do_info, 0, 0, false, NULL,
      "prints information about the current file" },
    { "length", do_length, 0, 0, false, NULL,
      "gets the length of the current file" },
    { "map", do_map, 0, 1, false, NULL,
      "prints the allocated areas of a file" },
    { "open", do_open, 1, -1, true, "[-rnkU] [-o options] [path]",
      "open the file specified by path" },
    { "quit", do_quit, 0, 0, true, NULL, "exit the program" },
    { "q", do_quit, 0, 0, true, NULL, "exit the program" },
    { "read", do_read, 2, -1, false,
      "[-abCqv] [-P pattern [-s off] [-l len]] off len",
      "reads a number of bytes at a specified offset" },
    { "readv", do_readv, 2, -1, false, "[-Cqv] [-P pattern] off len [len..]",
      "reads a number of bytes at a specified offset" },
    { "sleep", do_sleep, 1, 1, false, NULL,
      "waits for the given value in milliseconds" },
    { "truncate", do_truncate, 1, -1, false, "[-m prealloc_mode] off",
      "truncates the current file at the given offset" },
    { "write", do_write, 2, -1, false,
      "[-bcCfnquz] [-P pattern | -s source_file] off len",
      "writes a number of bytes at a specified offset" },
    { "writev", do_writev, 2, -1, false, "[-Cfq] [-P pattern] off len [len..]",
      "writes a number of bytes at a specified offset" },
    { NULL, NULL, 0, 0, false, NULL, NULL },
};

int io_run(Io *io, const char *line)
{
    g_auto(GStrv) words = g_strsplit_set(line, " \t", -1);
    g_autofree char **argv = g_new0(char *, g_strv_length(words) + 1);
    const IoCmd *c = io_commands;
    int argc = 0, ret;

    for (char **w = words; *w; w++) {
        if (**w) {
            argv[argc++] = *w;
        }
    }
    if (!argc) {
        return 0;
    }
    while (c->name && strcmp(c->name, argv[0]) != 0) {
        c++;
    }
    if (!c->name) {
        printf("command \"%s\" not found\n", argv[0]);
        return -EINVAL;
    }
    if (!c->no_file && !io->blk) {
        error_report("no file open, try 'help open'");
        return -EINVAL;
    }
    if (argc - 1 < c->argmin || (c->argmax >= 0 && argc - 1 > c->argmax)) {
        if (c->argmax == -1) {
            printf("bad argument count %d to %s, expected at least %d "
                   "arguments\n",
                   argc - 1, c->name, c->argmin);
        } else if (c->argmin == c->argmax) {
            printf("bad argument count %d to %s, expected %d arguments\n",
                   argc - 1, c->name, c->argmin);
        } else {
            printf("bad argument count %d to %s, expected between %d and %d "
                   "arguments\n",
                   argc - 1, c->name, c->argmin, c->argmax);
        }
        return -EINVAL;
    }
    ret = c->run(io, argc, argv);
    fflush(stdout);
    return ret;
}
