/*
 * Monitor commands as tables.
 *
 * @args is a space separated list of name:type, '?' after the name for an
 * optional one: "device:s speed:o id?:s". The same string parses a typed line,
 * checks a QMP "arguments" object and drives completion.
 * Types: s string, S rest of line, i int, l int64, o size (k M G suffix),
 * b bool, x expression ("$rip+4"), f /fmt as in "x /4xw", a an address: as x, but
 * $rip and $eip are linear; - a flag: "force:-f". Words that completion knows:
 * F file, B disk or block node, C character device, D device, O object, N network
 * back end, H command, L what can be logged.
 *
 * Main thread, machine lock held.
 */
#ifndef MONITOR_MONITOR_H
#define MONITOR_MONITOR_H

#include "system/machine.h"

typedef struct Monitor Monitor; /* one connection, HMP or QMP */
typedef struct Args Args;

const char *args_str(const Args *a, const char *name); /* NULL if not given */
int64_t args_int(const Args *a, const char *name, int64_t defval);
bool args_bool(const Args *a, const char *name, bool defval);
bool args_has(const Args *a, const char *name);

/* Talks to a person. */
typedef struct HmpCommand {
    const char *name; /* "quit|q"; "#": a heading, in help */
    const char *args;
    const char *params; /* "[/fmt] addr", shown by help */
    const char *help;   /* one line; an example may follow on another */
    void (*run)(Monitor *mon, const Args *args);
    const struct HmpCommand *sub; /* "info" */
} HmpCommand;

extern const HmpCommand hmp_commands[];
extern const HmpCommand hmp_info_commands[];

enum {
    MON_QMP = 1 << 0,    /* for programs */
    MON_PRETTY = 1 << 1, /* QMP over several lines */
};

/* A monitor on @c, which it attaches to; owned by the machine's list until
 * monitors_close(). QMP needs json-c. */
bool monitor_open(Machine *m, Chardev *c, unsigned flags, GError **errp);
void monitors_close(Machine *m);

/* Descriptors that clients passed; for fds.c. */
GHashTable *monitors_fds(Machine *m);

Machine *mon_machine(Monitor *mon);
/* The CPU that "info registers", x, p look at; "cpu N" changes it. */
X86Cpu *mon_cpu(Monitor *mon);
void mon_printf(Monitor *mon, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* "Error: ..." as QEMU prints it; frees @err. */
void mon_report(Monitor *mon, GError *err);

/* Runs one HMP line with output into @out: human-monitor-command, tests. */
void monitor_run_line(Machine *m, const char *line, GString *out);
/* As far as a line goes without doing anything: false and @errp if there is no
 * such command or its arguments are wrong. */
bool monitor_check_line(Machine *m, const char *line, GError **errp);
/* What Tab offers for @word behind @before; the caller frees; may be NULL. */
GPtrArray *monitor_complete(Machine *m, const char *before, const char *word);
/* monitor_run_line() with the processor @cpu as the one commands look at. */
void monitor_run_line_on(Machine *m, unsigned cpu, const char *line,
                         GString *out);

/*
 * One command at a time, of all connections: it may run the main loop (to wait for
 * a disk), and others must not change the machine under it. Who is busy takes no
 * input; when all is over all are asked again.
 */
void mon_begin(Monitor *mon);
void mon_end(Monitor *mon);
bool mon_is_busy(Monitor *mon);
/* In a command that waits for long: others may run until mon_go_on(), which gets
 * what mon_let_others() returned. */
unsigned mon_let_others(Monitor *mon);
void mon_go_on(Monitor *mon, unsigned n);

#endif
