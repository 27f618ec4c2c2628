/*
 * The argument grammar of monitor commands (monitor.h has its letters).
 * Main thread.
 */
#ifndef MONITOR_ARGS_H
#define MONITOR_ARGS_H

#include "monitor/json.h"
#include "monitor/monitor.h"

/* A typed line after the command's name. @mon gives expressions their CPU. */
Args *args_parse_line(Monitor *mon, const char *grammar, const char *text,
                      GError **errp);
void args_free(Args *a);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Args, args_free)

#if CONFIG_JSON_C
/* A QMP "arguments" object (NULL: empty), checked as qmp-types.h says. @mon is
 * the connection it came from, or NULL. */
Args *args_parse_json(Monitor *mon, const char *grammar, json_object *o,
                      GError **errp);
/* Lists, objects and values of any type; borrowed, NULL if not given. */
json_object *args_json(const Args *a, const char *name);
/* All of them as they came, for commands whose grammar ends with "*". */
json_object *args_object(const Args *a);
#endif
/* Whose arguments these are; NULL: nobody's in particular. */
Monitor *args_monitor(const Args *a);

/* One element of a grammar string. */
typedef struct ArgSpec {
    char name[40];
    char type;        /* the first letter of @full */
    const char *full; /* in the grammar, up to a space: a type of qmp-types.h */
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
