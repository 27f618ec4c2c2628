/* rhea-io: command line, prompt, and the loop over commands. */
#include "util/osdep.h"
#include "tools/io/io.h"

#include "util/error.h"
#include "util/log.h"
#include "util/secret.h"

#include <getopt.h>

enum { OPT_OBJECT = 256, OPT_IMAGE_OPTS }; /* no letter of theirs */

static const struct option options[] = {
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'V' },
    { "cmd", required_argument, NULL, 'c' },
    { "format", required_argument, NULL, 'f' },
    { "read-only", no_argument, NULL, 'r' },
    { "snapshot", no_argument, NULL, 's' },
    { "nocache", no_argument, NULL, 'n' },
    { "copy-on-read", no_argument, NULL, 'C' },
    { "misalign", no_argument, NULL, 'm' },
    { "native-aio", no_argument, NULL, 'k' },
    { "aio", required_argument, NULL, 'i' },
    { "cache", required_argument, NULL, 't' },
    { "discard", required_argument, NULL, 'd' },
    { "trace", required_argument, NULL, 'T' },
    { "force-share", no_argument, NULL, 'U' },
    { "object", required_argument, NULL, OPT_OBJECT },
    { "image-opts", no_argument, NULL, OPT_IMAGE_OPTS },
    { NULL, 0, NULL, 0 },
};

static const char usage[] =
    "Usage: %s [OPTIONS]... [-c STRING]... [file]\n"
    "Reads and writes a disk image by command, as qemu-io does\n"
    "\n"
    "  --object OBJECTDEF   define a secret\n"
    "  --image-opts         file is an option string\n"
    "  -c, --cmd STRING     run this command; may be repeated\n"
    "  -f, --format FMT     image format\n"
    "  -r, --read-only      open read-only\n"
    "  -s, --snapshot       writes go to a temporary overlay\n"
    "  -n, --nocache        as -t none\n"
    "  -m, --misalign       misaligned buffers\n"
    "  -k, --native-aio     as -i native\n"
    "  -i, --aio=MODE       threads, native or io_uring\n"
    "  -t, --cache=MODE     cache mode\n"
    "  -d, --discard=MODE   unmap or ignore\n"
    "  -U, --force-share    open an image that another process is writing\n"
    "  -h, --help           this text\n"
    "  -V, --version        the version\n"
    "\n"
    "%s -c help lists the commands.\n";

static void G_GNUC_NORETURN fail(const char *fmt, const char *value)
{
    g_autofree char *text = g_strdup_printf("%s%s", fmt, value);

    error_report("%s", text);
    exit(1);
}

static void set_cache(const char *mode, unsigned *flags)
{
    if (!block_cache_mode(mode, flags)) {
        fail("Invalid cache option: ", mode);
    }
}

static void set_discard(const char *mode, unsigned *flags)
{
    if (strcmp(mode, "unmap") == 0 || strcmp(mode, "on") == 0) {
        *flags |= BLOCK_UNMAP;
    } else if (strcmp(mode, "ignore") == 0 || strcmp(mode, "off") == 0) {
        *flags &= ~BLOCK_UNMAP;
    } else {
        fail("Invalid discard option: ", mode);
    }
}

static BlkAio aio_kind(const char *mode)
{
    if (strcmp(mode, "io_uring") == 0) {
        return BLK_AIO_IO_URING;
    } else if (strcmp(mode, "threads") == 0) {
        return BLK_AIO_THREADS;
    } else if (strcmp(mode, "native") != 0) {
        fail("Invalid aio option: ", mode);
    }
    return BLK_AIO_DEFAULT;
}

static void add_secret(const char *text)
{
    GError *err = NULL;
    g_autoptr(KeyVal) kv = keyval_parse(text, "qom-type", &err);
    const char *type = kv ? keyval_get(kv, "qom-type") : NULL;

    if (kv && (!type || strcmp(type, "secret") != 0)) {
        error_setg(&err, "--object: only 'secret' is known");
    }
    if (err || !secret_add(kv, &err)) {
        fail(err->message, "");
    }
}

bool io_open(Io *io, const char *name, const char *fmt, KeyVal *opts,
             unsigned flags)
{
    GError *err = NULL;
    BlockNode *bn;

    if (io->blk) {
        error_report("file open already, try 'help close'");
        return false;
    }
    bn = block_open(name, fmt, opts, flags, &err);
    if (!bn) {
        error_report("can't open%s%s: %s", name ? " device " : "",
                     name ? name : "", err->message);
        g_clear_error(&err);
        return false;
    }
    io->blk = blk_new("", bn, io->aio);
    return true;
}

/* Commands from standard input. */
static int interactive(Io *io)
{
    g_autofree char *line = NULL;
    size_t room = 0;
    bool prompt = isatty(STDIN_FILENO);
    int ret = 0;

    while (!io->quit) {
        ssize_t n;

        /* qemu-io's readers wait for the prompt, on pipes as well. */
        printf("%s> ", prompt ? log_progname() : "qemu-io");
        fflush(stdout);
        n = getline(&line, &room, stdin);
        if (n < 0) {
            break;
        }
        g_strchomp(line);
        ret |= io_run(io, line) < 0;
    }
    return ret;
}

/* What the command line says besides flags, which go into Io. */
typedef struct IoArgs {
    GPtrArray *cmds; /* -c */
    const char *fmt, *file;
} IoArgs;

static void take_option(Io *io, IoArgs *a, int ch)
{
    switch (ch) {
    case 'h':
        printf(usage, log_progname(), log_progname());
        exit(0);
    case 'V':
        printf("%s version %s (compatible with qemu-io 7.2)\n", log_progname(),
               RHEA_VERSION);
        exit(0);
    case 'c':
        g_ptr_array_add(a->cmds, optarg);
        break;
    case 'f':
        a->fmt = optarg;
        break;
    case 'r':
        io->flags &= ~BLOCK_RDWR;
        break;
    case 's':
        io->flags |= BLOCK_TEMPORARY;
        break;
    case 'n':
        set_cache("none", &io->flags);
        break;
    case 'C':
        fail("copy on read is not supported", "");
    case 'm':
        io->misalign = true;
        break;
    case 'k':
        io->aio = aio_kind("native");
        break;
    case 'i':
        io->aio = aio_kind(optarg);
        break;
    case 't':
        set_cache(optarg, &io->flags);
        break;
    case 'd':
        set_discard(optarg, &io->flags);
        break;
    case 'T':
        break;
    case 'U':
        io->flags |= BLOCK_FORCE_SHARE;
        break;
    case OPT_OBJECT:
        add_secret(optarg);
        break;
    case OPT_IMAGE_OPTS:
        io->image_opts = true;
        break;
    default:
        fprintf(stderr, usage, log_progname(), log_progname());
        exit(1);
    }
}

static void take_arguments(Io *io, IoArgs *a, int argc, char **argv)
{
    int ch;

    while ((ch = getopt_long(argc, argv, "hVc:f:rsnCmki:t:d:T:U", options,
                             NULL)) != -1) {
        take_option(io, a, ch);
    }
    if (argc - optind > 1) {
        fprintf(stderr, usage, log_progname(), log_progname());
        exit(1);
    }
    if (a->fmt && io->image_opts) {
        fail("--image-opts and -f are mutually exclusive", "");
    }
    a->file = argv[optind];
}

/* The file of the command line, under a temporary overlay with -s. */
static bool open_file(Io *io, const IoArgs *a)
{
    bool overlay = io->flags & BLOCK_TEMPORARY;
    g_autoptr(KeyVal) kv = NULL;
    GError *err = NULL;

    io->flags &= ~BLOCK_TEMPORARY;
    kv = io->image_opts ? keyval_parse(a->file, NULL, &err) : NULL;
    if (err) {
        fail(err->message, "");
    }
    if (!io_open(io, kv ? NULL : a->file, a->fmt, kv,
                 overlay ? io->flags & ~BLOCK_RDWR : io->flags)) {
        return false;
    }
    if (overlay) {
        BlockNode *top = block_open_snapshot(blk_set_node(io->blk, NULL), &err);

        if (!top) {
            fail(err->message, "");
        }
        blk_set_node(io->blk, top);
    }
    return true;
}

int main(int argc, char **argv)
{
    Io io = { .flags = BLOCK_RDWR | BLOCK_UNMAP };
    g_autoptr(GPtrArray) cmds = g_ptr_array_new();
    IoArgs args = { .cmds = cmds };
    int ret = 0;

    log_set_progname(argv[0]);
    take_arguments(&io, &args, argc, argv);
    if (args.file && !open_file(&io, &args)) {
        return 1;
    }
    for (guint i = 0; i < cmds->len && !io.quit; i++) {
        ret |= io_run(&io, cmds->pdata[i]) < 0;
    }
    if (!cmds->len) {
        ret = interactive(&io);
    }
    if (io.blk) {
        blk_free(io.blk);
    }
    return ret;
}
