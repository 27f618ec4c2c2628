/*
 * The argument grammar of monitor commands (monitor.h has its letters).
 * Main thread.
 */
#ifndef MONITOR_ARGS_H
#define MONITOR_ARGS_H

#include "monitor/monitor.h"

/* A typed line after the command's name. @mon gives expressions their CPU. */
Args *args_parse_line(Monitor *mon, const char *grammar, const char *text,
                      GError **errp);
void args_free(Args *a);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Args, args_free)

/* One element of a grammar string. */
typedef struct ArgSpec {
    char name[32];
    char type;
    bool optional;
} ArgSpec;

/* Takes the first element off *@grammar; false at the end. */
bool args_next_spec(const char **grammar, ArgSpec *out);

/* "/4xw" as x and xp take it. */
typedef struct MemFormat {
    int count;
    char format; /* x d u o c i s */
    int size;    /* bytes: 1 2 4 8 */
} MemFormat;
MemFormat args_format(const Args *a, const char *name);

/*
 * Numbers, $registers, + - * / % & | ^ ~ and parentheses, 64 bits wide.
 * Advances *@p past what it read.
 */
bool monitor_expr(Monitor *mon, const char **p, int64_t *out, GError **errp);

#endif
