/* rhea-img: the table of subcommands, their options, and the help. */
#include "util/osdep.h"
#include "tools/img/img.h"

#include "util/error.h"
#include "util/log.h"
#include "util/secret.h"

#include <getopt.h>
#include <locale.h>

#define ALL_OBJECTS IMG_OBJECT, IMG_IMAGE_OPTS

static const int longs_plain[] = { ALL_OBJECTS, 0 };
static const int longs_amend[] = { ALL_OBJECTS, IMG_FORCE, 0 };
static const int longs_bench[] = { IMG_IMAGE_OPTS, IMG_FLUSH_INTERVAL,
                                   IMG_NO_DRAIN, IMG_PATTERN, 0 };
static const int longs_bitmap[] = { ALL_OBJECTS, IMG_ADD,    IMG_REMOVE,
                                    IMG_CLEAR,   IMG_ENABLE, IMG_DISABLE,
                                    IMG_MERGE,   0 };
static const int longs_check[] = { ALL_OBJECTS, IMG_OUTPUT, 0 };
static const int longs_convert[] = { ALL_OBJECTS,
                                     IMG_TARGET_IMAGE_OPTS,
                                     IMG_TARGET_IS_ZERO,
                                     IMG_BITMAPS,
                                     IMG_SALVAGE,
                                     IMG_SKIP_BROKEN,
                                     0 };
static const int longs_create[] = { IMG_OBJECT, 0 };
static const int longs_info[] = { ALL_OBJECTS, IMG_OUTPUT, IMG_BACKING_CHAIN,
                                  0 };
static const int longs_map[] = { ALL_OBJECTS, IMG_OUTPUT, IMG_START_OFFSET,
                                 IMG_MAX_LENGTH, 0 };
static const int longs_measure[] = { ALL_OBJECTS, IMG_OUTPUT, IMG_SIZE, 0 };
static const int longs_resize[] = { ALL_OBJECTS, IMG_PREALLOCATION, IMG_SHRINK,
                                    0 };

static const ImgCmd commands[] = {
    { "amend", cmd_amend, "o:f:t:pq", longs_amend,
      "[--object objectdef] [--image-opts] [-p] [-q] [-f fmt] [-t cache] "
      "[--force] -o options filename" },
    { "bench", cmd_bench, "c:d:f:ni:o:qs:S:t:wU", longs_bench,
      "[-c count] [-d depth] [-f fmt] [--flush-interval=flush_interval] "
      "[-i aio] [-n] [--no-drain] [-o offset] [--pattern=pattern] [-q] "
      "[-s buffer_size] [-S step_size] [-t cache] [-w] [-U] filename" },
    { "bitmap", cmd_bitmap, "b:f:F:g:", longs_bitmap,
      "(--merge SOURCE | --add | --remove | --clear | --enable | "
      "--disable)... [-b source_file [-F source_fmt]] [-g granularity] "
      "[--object objectdef] [--image-opts | -f fmt] filename bitmap" },
    { "check", cmd_check, "f:r:T:qU", longs_check,
      "[--object objectdef] [--image-opts] [-q] [-f fmt] [--output=ofmt] "
      "[-r [leaks | all]] [-T src_cache] [-U] filename" },
    { "commit", cmd_commit, "f:t:b:dpqr:", longs_plain,
      "[--object objectdef] [--image-opts] [-q] [-f fmt] [-t cache] "
      "[-b base] [-r rate_limit] [-d] [-p] filename" },
    { "compare", cmd_compare, "f:F:T:pqsU", longs_plain,
      "[--object objectdef] [--image-opts] [-f fmt] [-F fmt] "
      "[-T src_cache] [-p] [-q] [-s] [-U] filename1 filename2" },
    { "convert", cmd_convert, "f:O:B:CcF:o:l:S:pt:T:qnm:WUr:", longs_convert,
      "[--object objectdef] [--image-opts] [--target-image-opts] "
      "[--target-is-zero] [--bitmaps] [-U] [-C] [-c] [-p] [-q] [-n] "
      "[-f fmt] [-t cache] [-T src_cache] [-O output_fmt] "
      "[-B backing_file [-F backing_fmt]] [-o options] [-l snapshot_param] "
      "[-S sparse_size] [-r rate_limit] [-m num_coroutines] [-W] "
      "[--salvage] filename [filename2 [...]] output_filename" },
    { "create", cmd_create, "F:b:f:o:qu", longs_create,
      "[--object objectdef] [-q] [-f fmt] [-b backing_file "
      "[-F backing_fmt]] [-u] [-o options] filename [size]" },
    { "dd", cmd_dd, "f:O:U", longs_plain,
      "[--image-opts] [-U] [-f fmt] [-O output_fmt] [bs=block_size] "
      "[count=blocks] [skip=blocks] if=input of=output" },
    { "info", cmd_info, "f:U", longs_info,
      "[--object objectdef] [--image-opts] [-f fmt] [--output=ofmt] "
      "[--backing-chain] [-U] filename" },
    { "map", cmd_map, "f:s:l:U", longs_map,
      "[--object objectdef] [--image-opts] [-f fmt] "
      "[--start-offset=offset] [--max-length=len] [--output=ofmt] [-U] "
      "filename" },
    { "measure", cmd_measure, "f:l:o:O:U", longs_measure,
      "[--output=ofmt] [-O output_fmt] [-o options] [--size N | "
      "[--object objectdef] [--image-opts] [-f fmt] [-l snapshot_param] "
      "filename]" },
    { "snapshot", cmd_snapshot, "la:c:d:qUf:", longs_plain,
      "[--object objectdef] [--image-opts] [-U] [-q] [-l | -a snapshot | "
      "-c snapshot | -d snapshot] filename" },
    { "rebase", cmd_rebase, "f:F:b:upt:T:qUcr:", longs_plain,
      "[--object objectdef] [--image-opts] [-U] [-q] [-f fmt] [-t cache] "
      "[-T src_cache] [-p] [-u] -b backing_file [-F backing_fmt] filename" },
    { "resize", cmd_resize, "f:q", longs_resize,
      "[--object objectdef] [--image-opts] [-f fmt] "
      "[--preallocation=prealloc] [-q] [--shrink] filename [+ | -]size" },
    { NULL, NULL, NULL, NULL, NULL },
};

static const struct option long_options[] = {
    { "output", required_argument, NULL, IMG_OUTPUT },
    { "backing-chain", no_argument, NULL, IMG_BACKING_CHAIN },
    { "object", required_argument, NULL, IMG_OBJECT },
    { "image-opts", no_argument, NULL, IMG_IMAGE_OPTS },
    { "target-image-opts", no_argument, NULL, IMG_TARGET_IMAGE_OPTS },
    { "target-is-zero", no_argument, NULL, IMG_TARGET_IS_ZERO },
    { "bitmaps", no_argument, NULL, IMG_BITMAPS },
    { "skip-broken-bitmaps", no_argument, NULL, IMG_SKIP_BROKEN },
    { "salvage", no_argument, NULL, IMG_SALVAGE },
    { "preallocation", required_argument, NULL, IMG_PREALLOCATION },
    { "shrink", no_argument, NULL, IMG_SHRINK },
    { "size", required_argument, NULL, IMG_SIZE },
    { "force", no_argument, NULL, IMG_FORCE },
    { "add", no_argument, NULL, IMG_ADD },
    { "remove", no_argument, NULL, IMG_REMOVE },
    { "clear", no_argument, NULL, IMG_CLEAR },
    { "enable", no_argument, NULL, IMG_ENABLE },
    { "disable", no_argument, NULL, IMG_DISABLE },
    { "merge", required_argument, NULL, IMG_MERGE },
    { "flush-interval", required_argument, NULL, IMG_FLUSH_INTERVAL },
    { "no-drain", no_argument, NULL, IMG_NO_DRAIN },
    { "pattern", required_argument, NULL, IMG_PATTERN },
    { "start-offset", required_argument, NULL, IMG_START_OFFSET },
    { "max-length", required_argument, NULL, IMG_MAX_LENGTH },
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'V' },
    { "trace", required_argument, NULL, 'T' },
    /* long names of letters */
    { "format", required_argument, NULL, 'f' },
    { "source-format", required_argument, NULL, 'f' },
    { "target-format", required_argument, NULL, 'O' },
    { "backing", required_argument, NULL, 'b' },
    { "repair", required_argument, NULL, 'r' },
    { "force-share", no_argument, NULL, 'U' },
    { "granularity", required_argument, NULL, 'g' },
    { "source-file", required_argument, NULL, 'b' },
    { NULL, 0, NULL, 0 },
};

static const char help_head[] =
    "usage: %s [standard options] command [command options]\n"
    "Makes, checks, converts and compares disk images, as qemu-img does\n"
    "\n"
    "    '-h', '--help'       display this help and exit\n"
    "    '-V', '--version'    output version information and exit\n"
    "    '-T', '--trace'      accepted for qemu-img's sake, without effect\n"
    "\n"
    "Command syntax:\n";

static const char help_tail[] =
    "\n"
    "'filename' names an image: a path, PROTOCOL:..., or json:{...}; with\n"
    "--image-opts it is driver=...,file.filename=...\n"
    "'fmt' is the image format, guessed where it may be\n"
    "'cache' is none, writeback, writethrough, directsync or unsafe (convert's\n"
    "own choice); 'src_cache' the same for images that are read\n"
    "'size' is in bytes, or with suffix k, M, G, T, P or E\n"
    "'options' is name=value,...; -o help lists those of a format\n"
    "'snapshot_param' is snapshot.id=ID, snapshot.name=NAME, or either alone\n"
    "\n"
    "-c   store compressed          -n   the target exists: do not create it\n"
    "-p   show progress             -q   print errors only\n"
    "-S   so many zero bytes become a hole (default 4k; 0: write everything)\n"
    "-u   unsafe: the backing file is not looked at\n"
    "-U   open an image that another process is writing\n"
    "-m   requests in flight, 1 to 16   -W   write in any order\n"
    "-r   check: repair leaks or all; elsewhere: bytes per second\n"
    "\n"
    "SIGUSR1 makes a running command tell how far it is.\n";

static void G_GNUC_NORETURN help(void)
{
    printf(help_head, log_progname());
    for (const ImgCmd *c = commands; c->name; c++) {
        printf("  %s %s\n", c->name, c->syntax);
    }
    fputs(help_tail, stdout);
    printf("\nSupported formats:");
    for (unsigned i = 0; block_drivers[i]; i++) {
        printf(" %s", block_drivers[i]->name);
    }
    printf("\n");
    exit(0);
}

static void G_GNUC_NORETURN version(void)
{
    /* Programs cut the number out of "qemu-img version X.Y.Z". */
    printf("qemu-img version 7.2.0 (Rhea " RHEA_VERSION ")\n");
    exit(0);
}

static void add_object(const char *text)
{
    GError *err = NULL;
    g_autoptr(KeyVal) kv = keyval_parse(text, "qom-type", &err);
    const char *type = kv ? keyval_get(kv, "qom-type") : NULL;

    if (kv && !type) {
        error_setg(&err, "Parameter 'qom-type' is missing");
    } else if (kv && strcmp(type, "secret") != 0) {
        error_setg(&err,
                   "Parameter 'qom-type' does not accept value '%s' (secret "
                   "is known)",
                   type);
    }
    if (err || !secret_add(kv, &err)) {
        error_report("%s", err->message);
        exit(1);
    }
}

static bool takes(const ImgCmd *c, const struct option *o)
{
    if (o->val == 'h') {
        return true;
    }
    if (o->val < 256) {
        return o->val != 'V' && o->val != 'T' && strchr(c->letters, o->val);
    }
    for (const int *l = c->longs; *l; l++) {
        if (*l == o->val) {
            return true;
        }
    }
    return false;
}

static void clear_opt(gpointer p)
{
    g_free(((ImgOpt *)p)->value);
}

static void parse(const ImgCmd *c, int argc, char **argv, ImgArgs *a)
{
    g_autofree char *letters = g_strdup_printf(":h%s", c->letters);
    struct option longs[G_N_ELEMENTS(long_options)];
    unsigned n = 0;
    int ch, all = argc;

    for (const struct option *o = long_options; o->name; o++) {
        if (takes(c, o)) {
            longs[n++] = *o;
        }
    }
    memset(&longs[n], 0, sizeof(longs[n]));
    a->cmd = c->name;
    a->opts = g_array_new(FALSE, FALSE, sizeof(ImgOpt));
    g_array_set_clear_func(a->opts, clear_opt);
    if (strcmp(c->name, "resize") == 0 && argc > 1) {
        argc--; /* the last one is the size, which may begin with '-' */
    }
    while ((ch = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        ImgOpt opt = { ch, g_strdup(optarg ? optarg : "") };

        if (ch == ':') {
            img_usage("missing argument for option '%s'", argv[optind - 1]);
        } else if (ch == '?') {
            img_usage("unrecognized option '%s'", argv[optind - 1]);
        } else if (ch == 'h') {
            help();
        } else if (ch == IMG_OBJECT) {
            add_object(optarg);
        }
        g_array_append_val(a->opts, opt);
    }
    if (strcmp(c->name, "resize") == 0 && all > 1) {
        argc = all;
    }
    a->files = argv + optind;
    a->nfiles = argc - optind;
}

/* Options before the command; returns the index of the command. */
static int parse_standard(int argc, char **argv)
{
    static const struct option longs[] = {
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { "trace", required_argument, NULL, 'T' },
        { NULL, 0, NULL, 0 },
    };
    int ch;

    while ((ch = getopt_long(argc, argv, "+:hVT:", longs, NULL)) != -1) {
        switch (ch) {
        case ':':
            img_usage("missing argument for option '%s'", argv[optind - 1]);
        case '?':
            img_usage("unrecognized option '%s'", argv[optind - 1]);
        case 'h':
            help();
        case 'V':
            version();
        default:
            break;
        }
    }
    return optind;
}

int main(int argc, char **argv)
{
    ImgArgs args = { 0 };
    const ImgCmd *c;
    int first, ret;

    setlocale(LC_TIME, "");
    log_set_progname(argv[0]);
    if (argc < 2) {
        img_usage("Not enough arguments");
    }
    first = parse_standard(argc, argv);
    if (first >= argc) {
        img_usage("Not enough arguments");
    }
    for (c = commands; c->name && strcmp(c->name, argv[first]) != 0; c++) {
    }
    if (!c->name) {
        img_usage("Command not found: %s", argv[first]);
    }
    optind = 0; /* starts anew, with the command in the place of argv[0] */
    parse(c, argc - first, argv + first, &args);
    ret = c->run(&args);
    img_progress_end();
    if (fflush(stdout) != 0 && ret == 0) {
        error_report("standard output: %s", g_strerror(errno));
        ret = 1;
    }
    g_array_unref(args.opts);
    img_finish();
    return ret;
}
