/*
 * rhea-io: a shell that reads and writes images, for test suites that were
 * written for qemu-io; the texts are its.
 */
#ifndef TOOLS_IO_IO_H
#define TOOLS_IO_IO_H

#include "block/blk.h"

typedef struct Io {
    Blk *blk; /* NULL: no file is open */
    bool image_opts, misalign;
    unsigned flags; /* BLOCK_* of the command line */
    BlkAio aio;
    bool quit;
} Io;

typedef struct IoCmd {
    const char *name;
    int (*run)(Io *io, int argc, char **argv); /* 0 or -errno */
    int argmin, argmax;                        /* without the name; -1: any */
    bool no_file;                              /* needs no open file */
    const char *args, *help;
} IoCmd;

extern const IoCmd io_commands[]; /* ends with a NULL name */

/* One line of input. */
int io_run(Io *io, const char *line);
/* Opens in place of what is open; reports. */
bool io_open(Io *io, const char *name, const char *fmt, KeyVal *opts,
             unsigned flags);

#endif
