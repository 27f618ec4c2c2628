/*
 * QEMU's option strings: "qcow2,file=a,size=1G,share".
 *
 * A KeyVal keeps the pairs in the order given; ",," is a literal comma; the
 * first word without '=' belongs to the implied key, later ones mean "=on"
 * ("noX" and "nowait" mean X=off, wait=off). A string that begins with '{' is
 * JSON and gives the same pairs, nested names joined with dots.
 */
#ifndef UTIL_KEYVAL_H
#define UTIL_KEYVAL_H

#include "util/osdep.h"

typedef struct KeyVal KeyVal;

KeyVal *keyval_parse(const char *text, const char *implied_key, GError **errp);
KeyVal *keyval_new(void);
void keyval_free(KeyVal *kv);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KeyVal, keyval_free)

/* The last value wins; NULL if absent. The reader marks the key as used. */
const char *keyval_get(KeyVal *kv, const char *key);
/* All values that @key was given, in order ("hostfwd=a,hostfwd=b"), of const
 * char *, which belong to @kv. Empty if absent. The caller unrefs it. */
GPtrArray *keyval_all(KeyVal *kv, const char *key);
void keyval_set(KeyVal *kv, const char *key, const char *value);
/* All pairs of @from over those of @kv: the last of several -machine wins. */
void keyval_merge(KeyVal *kv, const KeyVal *from);
bool keyval_bool(KeyVal *kv, const char *key, bool defval, bool *out,
                 GError **errp);
bool keyval_u64(KeyVal *kv, const char *key, uint64_t defval, uint64_t *out,
                GError **errp);
/* With suffix k M G T P E; a bare number counts in @unit bytes. */
bool keyval_size(KeyVal *kv, const char *key, uint64_t unit, uint64_t defval,
                 uint64_t *out, GError **errp);
/* Calls @fn for each pair in order, with the latest value of each key. */
void keyval_foreach(KeyVal *kv,
                    void (*fn)(const char *key, const char *value,
                               void *opaque),
                    void *opaque);
/* The first key nobody asked for, or NULL: "unknown option 'x'". */
const char *keyval_unused(KeyVal *kv);

bool parse_bool(const char *text, bool *out, GError **errp);
bool parse_u64(const char *text, uint64_t *out, GError **errp);
bool parse_size(const char *text, uint64_t unit, uint64_t *out, GError **errp);
/* A letter, then letters, digits, '-', '.' and '_': what id= may be. */
bool id_wellformed(const char *id);

#endif
