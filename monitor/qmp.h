/*
 * The machine protocol: its commands as a table, and one client's session.
 * Main thread, machine lock held.
 */
#ifndef MONITOR_QMP_H
#define MONITOR_QMP_H

#include "monitor/args.h"
#include "monitor/qmp-types.h"

#if CONFIG_JSON_C

/*
 * @args is a list of members as in qmp-types.h, @ret a type, "" for {}. run()
 * does the work and returns a new value; NULL without @errp set is {}.
 */
typedef struct QmpCommand {
    const char *name;
    const char *args;
    const char *ret;
    const char *help;
    json_object *(*run)(Machine *m, const Args *args, GError **errp);
    unsigned flags;
} QmpCommand;

enum {
    CMD_OOB = 1 << 0,  /* may be sent with exec-oob */
    CMD_FREE = 1 << 1, /* changes disks: not while the machine is held, see
                          machine_hold() */
};

extern const QmpCommand qmp_commands[]; /* ends with a NULL name */
const QmpCommand *qmp_command_find(const char *name);

/*
 * Runs the command @name with @args (taken; NULL: none), checked as if they
 * came from a client. What it returns is the caller's; NULL: @errp is set.
 * This is how the human monitor works.
 */
json_object *qmp_call(Machine *m, const char *name, json_object *args,
                      GError **errp);

/* ---- a client's session ------------------------------------------------------- */

typedef struct Qmp Qmp;

/* @send gets each line that goes out, without its end. */
Qmp *qmp_new(Monitor *mon, bool pretty,
             void (*send)(Monitor *mon, const char *line));
void qmp_free(Qmp *q);
/* A client is there: forgets the last one, greets. */
void qmp_greet(Qmp *q);
/* A client has gone. */
void qmp_hangup(Qmp *q);
/* Bytes that it would take now: 0 while commands are waiting. */
size_t qmp_room(Qmp *q);
void qmp_receive(Qmp *q, const uint8_t *buf, size_t len);
/* It can take replies again: goes on with what waits. */
void qmp_resume(Qmp *q);
/* An event as it goes out; dropped before the negotiation is over. */
void qmp_event(Qmp *q, json_object *event);

/* monitor.c, for one another. Replies and events that no client has read: more
 * and the session waits. */
bool mon_is_clogged(Monitor *mon);
/* The session has room again. */
void mon_input_resume(Monitor *mon);
/* A file descriptor that came with the input; -1: none. The caller's. */
int mon_take_fd(Monitor *mon);

/* qmp-schema.c: what the tables say, as query-qmp-schema shows it. */
json_object *qmp_schema(void);

#endif
#endif
