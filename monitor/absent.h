/* Commands that QEMU 7.2 has and we do not: what to say to who types one. */
#ifndef MONITOR_ABSENT_H
#define MONITOR_ABSENT_H

/* @names are separated by "|"; "info NAME" is one of info's. Those of QMP and of
 * the human monitor stand together. */
typedef struct AbsentCommand {
    const char *names, *why;
} AbsentCommand;

extern const AbsentCommand absent_commands[]; /* ends with NULL names */

/* Why there is no @name ("device_add", "info usb"); NULL: QEMU has none, either. */
const char *absent_why(const char *name);

#endif
