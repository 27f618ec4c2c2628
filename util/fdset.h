/*
 * Files that somebody opened for us: -add-fd and QMP's add-fd put descriptors
 * into numbered sets, and "/dev/fdset/N" names set N wherever a file is named.
 *
 * The table is the process's, as descriptors are. Main thread.
 */
#ifndef UTIL_FDSET_H
#define UTIL_FDSET_H

#include "util/osdep.h"

/*
 * As open(2) with O_CLOEXEC; -1 and errno. "/dev/fdset/N" gives a duplicate of
 * the descriptor in set N that was opened for the same access (EACCES: none of
 * them was; ENOENT: there is no such set).
 */
int fdset_open(const char *path, int flags, mode_t mode);
/* As g_file_get_contents(), by fdset_open(). */
bool file_get_contents(const char *path, char **contents, gsize *len,
                       GError **errp);

/* Takes @fd. @set below 0: a new one. The set's number, or -1 and @errp. */
int64_t fdset_add(int fd, int64_t set, const char *opaque, GError **errp);
/* @fd below 0: all of the set. */
bool fdset_remove(int64_t set, int fd, GError **errp);
/* In the order of their numbers. */
void fdset_foreach(void (*fn)(int64_t set, int fd, const char *text,
                              void *opaque),
                   void *opaque);

#endif
