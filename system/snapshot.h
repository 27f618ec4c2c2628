/*
 * savevm, loadvm, delvm: the whole machine at one moment, kept as internal
 * snapshots of its disks; docs/snapshots.md.
 *
 * All writable disks get a snapshot of the same name, the first one (or the one
 * asked for) also the machine's state. A machine that runs is stopped meanwhile
 * and goes on. Main thread, machine lock held.
 *
 * snapshot_start() lets a thread read and write while the main loop goes on;
 * the machine is held (machine_hold()) for that time. The other functions do
 * the same at once.
 */
#ifndef SYSTEM_SNAPSHOT_H
#define SYSTEM_SNAPSHOT_H

#include "block/block.h"
#include "system/machine.h"

/* Which disks: of QMP's snapshot-save. All NULL: every writable one. */
typedef struct SnapshotWhere {
    const char *vmstate; /* node or drive that keeps the machine's state */
    const char *const *devices; /* NULL-terminated nodes or drives */
} SnapshotWhere;

/* @tag NULL: "vm-YYYYMMDDhhmmss". Replaces a snapshot of that name when
 * @overwrite. @where may be NULL. */
bool snapshot_save(Machine *m, const char *tag, bool overwrite,
                   const SnapshotWhere *where, GError **errp);
/* On failure the machine is as it was, and runs on if it did. */
bool snapshot_load(Machine *m, const char *tag, const SnapshotWhere *where,
                   GError **errp);
bool snapshot_delete(Machine *m, const char *tag, const SnapshotWhere *where,
                     GError **errp);
typedef enum SnapshotKind {
    SNAPSHOT_SAVE, /* refuses a name that there is */
    SNAPSHOT_LOAD,
    SNAPSHOT_DELETE,
} SnapshotKind;

typedef struct SnapshotTask SnapshotTask; /* until @done returns */

/* @err NULL: it went well. In the main loop. */
typedef void SnapshotDone(void *opaque, const GError *err);
/* NULL and @errp, without @done: it could not start. */
SnapshotTask *snapshot_start(Machine *m, SnapshotKind kind, const char *tag,
                             const SnapshotWhere *where, SnapshotDone *done,
                             void *opaque, GError **errp);
/* Bytes; *@total grows while they are not known. */
void snapshot_progress(const SnapshotTask *t, uint64_t *current,
                       uint64_t *total);
/* It ends with an error, unless it is too late. Returns at once. */
void snapshot_cancel(SnapshotTask *t);

/* Those that all disks have: the text of "info snapshots". */
bool snapshot_list(Machine *m, GString *out, GError **errp);

#endif
