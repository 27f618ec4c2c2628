/*
 * migrate and -incoming: a stopped machine through a pipe, a file or a socket, in
 * the format of docs/snapshot-format.md. The disks are not part of it.
 *
 * A URI is "exec:COMMAND", "file:PATH", "unix:PATH", "tcp:HOST:PORT", "fd:N".
 * Main thread, machine lock held.
 */
#ifndef SYSTEM_MIGRATE_H
#define SYSTEM_MIGRATE_H

#include "system/machine.h"

typedef enum MigrateStatus {
    MIGRATE_NONE,
    MIGRATE_ACTIVE,
    MIGRATE_COMPLETED,
    MIGRATE_FAILED,
    MIGRATE_CANCELLED,
} MigrateStatus;

typedef struct MigrateInfo {
    MigrateStatus status;
    bool incoming;
    uint64_t bytes;     /* of the stream, so far */
    uint64_t ram_bytes; /* of the whole RAM */
    uint64_t ram_done;  /* of it: sent, or zero; outgoing only */
    int64_t total_ms;
    uint64_t max_bandwidth; /* bytes a second; 0: no limit */
    const char *error;      /* MIGRATE_FAILED; valid until the next migration */
} MigrateInfo;

/* Stops the machine and sends it in the background; when it is over the machine
 * stays stopped ("postmigrate"), or runs on if it failed. */
bool migrate_start(Machine *m, const char *uri, GError **errp);
void migrate_cancel(Machine *m);
/* Runs the main loop until none is under way. */
void migrate_wait(Machine *m);
/* For this migration and those to come. */
void migrate_set_max_bandwidth(Machine *m, uint64_t bytes_per_s);
void migrate_query(Machine *m, MigrateInfo *out);
const char *migrate_status_name(MigrateStatus s); /* "completed" */

/* -incoming, migrate-incoming: waits for a stream; the machine starts when it
 * is there, if @autostart. "defer": for migrate_incoming() later. */
bool migrate_listen(Machine *m, const char *uri, bool autostart, GError **errp);
bool migrate_incoming(Machine *m, const char *uri, GError **errp);
void migrate_free(Machine *m); /* at the machine's end */

#endif
