/* A typing aid: the name somebody probably meant. */
#ifndef UTIL_NEAREST_H
#define UTIL_NEAREST_H

#include <glib.h>

/* The one of @names (NULL-terminated) most like @text, or NULL. */
const char *nearest_name(const char *text, const char *const *names);
/*
 * The end of an error message about @text, to be freed: "did you mean 'NAME'?"
 * behind @lead (" (", which is closed again, "; " or ": "), or "" where no name
 * is near or @text is NULL.
 */
char *did_you_mean(const char *text, const char *const *names,
                   const char *lead);
/* Ends an array of gathered names for the two above. */
const char *const *names_end(GPtrArray *names);

#endif
