/*
 * A typing aid: the name somebody probably meant.
 *
 * Words are as far apart as the edits that make one of the other; a beginning
 * of a name counts as the name. What is further off than a third of the word
 * is no help and is not offered.
 */
#include "util/osdep.h"
#include "util/nearest.h"

enum { NEAREST_MAX = 48 }; /* longer words are compared up to here */

/* Edits to make @a from @b, a swap of two neighbours counting as one. */
static unsigned edit_distance(const char *a, const char *b)
{
    unsigned row[3][NEAREST_MAX + 1];
    size_t na = strnlen(a, NEAREST_MAX), nb = strnlen(b, NEAREST_MAX);
    unsigned *back = row[0], *last = row[1], *cur = row[2];

    for (size_t j = 0; j <= nb; j++) {
        back[j] = last[j] = (unsigned)j;
    }
    for (size_t i = 1; i <= na; i++) {
        unsigned *t;

        cur[0] = (unsigned)i;
        for (size_t j = 1; j <= nb; j++) {
            char x = g_ascii_tolower(a[i - 1]), y = g_ascii_tolower(b[j - 1]);
            unsigned d = last[j - 1] + (x != y);

            d = MIN(d, MIN(last[j], cur[j - 1]) + 1);
            if (i > 1 && j > 1 && x == g_ascii_tolower(b[j - 2]) &&
                y == g_ascii_tolower(a[i - 2])) {
                d = MIN(d, back[j - 2] + 1);
            }
            cur[j] = d;
        }
        t = back;
        back = last;
        last = cur;
        cur = t;
    }
    return last[nb];
}

const char *nearest_name(const char *text, const char *const *names)
{
    const char *best = NULL, *longer = NULL;
    size_t len = strlen(text);
    unsigned third = (unsigned)MIN(len, NEAREST_MAX) / 3;
    unsigned best_d = len > 2 ? MAX(third, 1) + 1 : 1; /* too far */

    for (; *names; names++) {
        unsigned d = edit_distance(text, *names);

        if (d < best_d) {
            best = *names;
            best_d = d;
        }
        if (!longer && len >= 2 && strncmp(text, *names, len) == 0) {
            longer = *names;
        }
    }
    return best ? best : longer;
}

const char *const *names_end(GPtrArray *names)
{
    g_ptr_array_add(names, NULL);
    return (const char *const *)names->pdata;
}

char *did_you_mean(const char *text, const char *const *names, const char *lead)
{
    const char *near = text ? nearest_name(text, names) : NULL;

    return near ? g_strdup_printf("%sdid you mean '%s'?%s", lead, near,
                                  g_str_has_suffix(lead, "(") ? ")" : "")
                : g_strdup("");
}
