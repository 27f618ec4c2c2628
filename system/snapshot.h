/*
 * savevm, loadvm, delvm: the whole machine at one moment, kept as internal
 * snapshots of its disks; docs/snapshots.md.
 *
 * All writable disks get a snapshot of the same name, the first one (or the one
 * asked for) also the machine's state. A machine that runs is stopped meanwhile
 * and goes on. Main thread, machine lock held.
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
/* Those that all disks have: the text of "info snapshots". */
bool snapshot_list(Machine *m, GString *out, GError **errp);

#endif
