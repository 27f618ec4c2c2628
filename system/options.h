/*
 * The command line as a list: which options were given, in order, with their
 * arguments. The table is options.def; what options do is cli.c's business.
 */
#ifndef SYSTEM_OPTIONS_H
#define SYSTEM_OPTIONS_H

#include "util/osdep.h"

typedef struct Cli Cli;

typedef struct OptionDef {
    const char *name; /* without the dash; NULL: a section heading */
    /* Does what the option asks of @cli. @arg is NULL if it takes none. */
    bool (*handle)(Cli *cli, const struct OptionDef *def, const char *arg,
                   GError **errp);
    const char *arg;     /* "": none */
    const char *help;    /* or the heading */
    const char *instead; /* of an option that is not there yet: what to do */
} OptionDef;

/* Ends with a row whose help is NULL. */
extern const OptionDef option_defs[];

typedef struct OptionGiven {
    const OptionDef *def;
    const char *arg; /* points into argv */
} OptionGiven;

/*
 * @argv[1..] to a GArray of OptionGiven; "--x" equals "-x". A word without a
 * dash is an argument of the option @bare. An unknown option, a missing
 * argument: NULL and one line in @errp, with the nearest name. Main thread; the caller frees the array.
 */
GArray *options_parse(int argc, char **argv, const OptionDef *defs,
                      const char *bare, GError **errp);
void options_print_help(const OptionDef *defs, GString *out);

#endif
