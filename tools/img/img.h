/*
 * The image tool: what its commands share.
 *
 * A command is a row of the table in main.c and one function in cmd-NAME.c,
 * which gets its parsed options and returns the exit status. Texts are those of
 * qemu-img 7.2, since scripts read them.
 */
#ifndef TOOLS_IMG_IMG_H
#define TOOLS_IMG_IMG_H

#include "block/block.h"
#include "block/info-text.h"
#include "block/snapshot-text.h"

/* Long options without a letter. */
enum {
    IMG_OUTPUT = 256,
    IMG_BACKING_CHAIN,
    IMG_OBJECT,
    IMG_IMAGE_OPTS,
    IMG_TARGET_IMAGE_OPTS,
    IMG_TARGET_IS_ZERO,
    IMG_BITMAPS,
    IMG_SKIP_BROKEN,
    IMG_SALVAGE,
    IMG_PREALLOCATION,
    IMG_SHRINK,
    IMG_SIZE,
    IMG_FORCE,
    IMG_ADD,
    IMG_REMOVE,
    IMG_CLEAR,
    IMG_ENABLE,
    IMG_DISABLE,
    IMG_MERGE,
    IMG_FLUSH_INTERVAL,
    IMG_NO_DRAIN,
    IMG_PATTERN,
    IMG_START_OFFSET,
    IMG_MAX_LENGTH,
    IMG_INVALID,
};

/* An option as given; in the order of the command line. */
typedef struct ImgOpt {
    int ch; /* letter or IMG_* */
    char *value;
} ImgOpt;

typedef struct ImgArgs {
    const char *cmd;
    GArray *opts; /* of ImgOpt */
    char **files; /* what is left */
    int nfiles;
} ImgArgs;

typedef struct ImgCmd {
    const char *name;
    int (*run)(ImgArgs *a);
    const char *letters; /* as for getopt(): "f:q" */
    const int *longs;    /* IMG_* it takes, 0 at the end; --object and
                            --image-opts are asked for here too */
    const char *syntax;  /* for the help */
} ImgCmd;

int cmd_amend(ImgArgs *a);
int cmd_bench(ImgArgs *a);
int cmd_bitmap(ImgArgs *a);
int cmd_check(ImgArgs *a);
int cmd_commit(ImgArgs *a);
int cmd_compare(ImgArgs *a);
int cmd_convert(ImgArgs *a);
int cmd_create(ImgArgs *a);
int cmd_dd(ImgArgs *a);
int cmd_info(ImgArgs *a);
int cmd_map(ImgArgs *a);
int cmd_measure(ImgArgs *a);
int cmd_rebase(ImgArgs *a);
int cmd_resize(ImgArgs *a);
int cmd_snapshot(ImgArgs *a);

/* ---- options (common.c) ---------------------------------------------------- */

/* The last value given; NULL if it was not given. "" for a flag. */
const char *img_opt(const ImgArgs *a, int ch);
bool img_has(const ImgArgs *a, int ch);
/* All -o of the command line joined with commas; NULL: none. False: it is not
 * well formed. */
bool img_join_options(const ImgArgs *a, char **out);
/* Message, hint, exit status 1. */
void img_usage(const char *fmt, ...) G_GNUC_PRINTF(1, 2) G_GNUC_NORETURN;
/* --output: true if it is json. */
bool img_json(const ImgArgs *a);
/* Prints unless -q. */
void img_say(const ImgArgs *a, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* "progname: WHAT: message"; frees @err. */
void img_error(GError *err, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* A number with an optional suffix; reports in the words of the tool, with
 * @what at its place. */
bool img_size(const char *text, const char *what, int64_t min, int64_t max,
              int64_t *out);

/* ---- images ----------------------------------------------------------------- */

/* Opens as all commands do; reports and returns NULL. @fmt may be NULL. */
BlockNode *img_open(const ImgArgs *a, bool image_opts, const char *name,
                    const char *fmt, unsigned flags);
/* As above, with what -f, -U and --image-opts say. */
BlockNode *img_open_arg(const ImgArgs *a, const char *name, unsigned flags);
/* Closes; a failed flush is reported and makes *ret 1. */
void img_close(BlockNode *bn, int *ret);
/* "-o help". */
void img_print_options(const char *fmt, const char *filename);
bool img_is_help(const char *options);
/* One of @kv that an image of this format cannot be made with; NULL: none. */
const char *img_unknown_option(const BlockDriver *drv, KeyVal *kv);

/* ---- progress and the end ------------------------------------------------------ */

/* Progress for the whole process, from here to img_progress_end(). With -p, or
 * after two seconds on a terminal. @step: percent between two lines. */
const BlockJob *img_progress(const ImgArgs *a, double step);
void img_progress_end(void);
void img_progress_set(double percent);
/* This file goes away when the process is told to end. NULL: no longer. */
void img_half_made(const char *filename);
/* True after SIGINT, SIGTERM, SIGHUP. */
bool img_cancelled(void);
/* Dies of the signal that came, if one did; after the clean-up. */
void img_finish(void);

#endif
