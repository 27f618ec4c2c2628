/*
 * A machine "pc" with 16 MiB and a processor of the software CPU that runs a
 * loop when it runs, for tests of the monitors; and clients of its QMP at the
 * other end of a socket pair.
 */
#ifndef TESTS_LIB_MONITOR_VM_H
#define TESTS_LIB_MONITOR_VM_H

#include "monitor/json.h"
#include "monitor/monitor.h"

Machine *mvm_new(void); /* machine lock held until mvm_free() */
/* As above, another board ("microvm") on the caller's clock, not yet built: for
 * what must be there before. mvm_build() does the rest. */
Machine *mvm_prepare(const char *board, Clock *clk);
void mvm_build(Machine *m);
void mvm_free(Machine *m);
/* A fresh working directory, for commands that write files where they are told
 * to; mvm_leave_dir() removes it and what is in it. */
void mvm_enter_dir(void);
void mvm_leave_dir(void);
/* Any of the states, in all of which commands must survive. */
#define MVM_LAST_STATE RUN_WATCHDOG
void mvm_enter(Machine *m, RunState state);

#if CONFIG_JSON_C
typedef struct Client {
    Machine *m;
    int fd;
    GString *in;     /* not yet a line */
    GQueue lines[2]; /* of json_object: replies, events */
    char *id;        /* of the chardev */
} Client;

/* A QMP monitor with a client; @negotiate: past the greeting. */
Client *client_new(Machine *m, bool negotiate);
void client_free(Client *c); /* hangs up */
void client_send(Client *c, const char *text);
/* The next reply, or event; the caller's. */
json_object *client_line(Client *c, bool events);
/* None comes within a second. */
void client_no_line(Client *c, bool events);
/* Sends and returns the reply. */
json_object *client_ask(Client *c, const char *text);
/* Sends, expects success, and returns the next event. */
json_object *client_cause(Client *c, const char *text);
/* Runs the main loop until nothing more happens. */
void client_settle(Machine *m);
#endif

#endif
