/*
 * A small tree of named values: what "info" tells about a format. The tool
 * prints it for people ("lazy refcounts: false") and as JSON.
 */
#ifndef BLOCK_INFO_H
#define BLOCK_INFO_H

#include "util/osdep.h"

typedef enum InfoKind {
    INFO_BOOL,
    INFO_INT,
    INFO_STR,
    INFO_DICT, /* items have names */
    INFO_LIST, /* items have none */
} InfoKind;

typedef struct InfoItem {
    char *name; /* with '-' as in QMP; NULL in a list */
    InfoKind kind;
    uint64_t u; /* INFO_INT, INFO_BOOL */
    char *str;
    GPtrArray *items; /* of InfoItem, INFO_DICT and INFO_LIST; owned */
} InfoItem;

InfoItem *info_new(InfoKind kind); /* INFO_DICT or INFO_LIST */
void info_free(InfoItem *item);    /* with all below; NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(InfoItem, info_free)

/* @name NULL: to a list. Strings are copied. */
void info_add_bool(InfoItem *to, const char *name, bool v);
void info_add_int(InfoItem *to, const char *name, uint64_t v);
void info_add_str(InfoItem *to, const char *name, const char *v);
/* Takes @child and returns it. */
InfoItem *info_add(InfoItem *to, const char *name, InfoItem *child);
const InfoItem *info_get(const InfoItem *from, const char *name);

#endif
