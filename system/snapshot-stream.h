/*
 * A machine as a stream of bytes, docs/snapshot-format.md: what savevm puts
 * into an image and migrate into a file, a pipe or a socket.
 *
 * Writing only reads the machine. Reading makes a SnapImage, which holds
 * everything and has been checked against the machine; only applying it changes
 * the machine, and when that fails the machine is as it was.
 *
 * Main thread, machine lock held, machine stopped, no request in flight; a
 * SnapSink may be served on another thread as long as that holds.
 */
#ifndef SYSTEM_SNAPSHOT_STREAM_H
#define SYSTEM_SNAPSHOT_STREAM_H

#include "system/machine.h"

typedef struct SnapImage SnapImage;

typedef struct SnapSink {
    /* 0 or -errno. */
    int (*write)(void *opaque, const void *buf, size_t len);
    void *opaque;
    bool zstd;          /* pages are compressed */
    uint64_t *ram_done; /* atomic: bytes of RAM looked at so far; or NULL */
} SnapSink;

typedef struct SnapSource {
    /* All @len bytes: 0; else -errno, -EIO when there are fewer. */
    int (*read)(void *opaque, void *buf, size_t len);
    void *opaque;
} SnapSource;

/* What is not RAM, taken at once; RAM is read by snap_write(). */
GByteArray *snap_take_state(Machine *m, GError **errp);
/* Bytes of RAM that snap_write() will look at. */
uint64_t snap_ram_size(Machine *m);
/* @state is of snap_take_state(). Any thread. */
bool snap_write(Machine *m, const GByteArray *state, const SnapSink *sink,
                GError **errp);

/* @name: of the snapshot, for messages. */
SnapImage *snap_read(Machine *m, const SnapSource *src, const char *name,
                     GError **errp);
/*
 * In two steps, so that the disks can go back in between. First everything but
 * RAM: the state it had before, for snap_undo(), or NULL, and the machine is as
 * it was. Then the RAM: the machine takes @img, which is m->snapshot from then
 * on and lies under the RAM; taking the same image again brings back only what
 * was written since.
 */
SnapImage *snap_try(Machine *m, SnapImage *img, GError **errp);
void snap_undo(Machine *m, SnapImage *before); /* frees @before */
bool snap_take_ram(Machine *m, SnapImage *img, GError **errp);
/* A text of the owner's choice, to know the image again; NULL at first. */
void snap_set_identity(SnapImage *img, const char *id);
const char *snap_identity(const SnapImage *img);
void snap_free(SnapImage *img); /* not of m->snapshot while m runs on */
/* At the machine's end. */
void snap_forget(Machine *m);

#endif
