/*
 * Line editing for a monitor on a terminal: cursor keys, history, completion.
 * Speaks ANSI to whatever is at the other end. Pure: output goes to a callback.
 */
#ifndef MONITOR_READLINE_H
#define MONITOR_READLINE_H

#include "util/osdep.h"

typedef struct Readline Readline;

typedef struct ReadlineOps {
    void (*output)(void *opaque, const char *text, size_t len);
    void (*line)(void *opaque, const char *line); /* Enter was pressed */
    /* Words that could stand where @word does in @line_before: a GPtrArray of
     * char *, freed by the caller; NULL: none. */
    GPtrArray *(*complete)(void *opaque, const char *line_before,
                           const char *word);
} ReadlineOps;

Readline *readline_new(const char *prompt, const ReadlineOps *ops,
                       void *opaque);
void readline_free(Readline *rl);
void readline_prompt(Readline *rl); /* prints it with what is typed so far */
void readline_key(Readline *rl, uint8_t byte);
/* Drops what was typed. */
void readline_reset(Readline *rl);
/* Oldest first; owned by @rl. */
GPtrArray *readline_history(Readline *rl);

#endif
