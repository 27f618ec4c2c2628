/*
 * gdb's remote protocol: one debugger of the machine, on a character device.
 * Main thread, machine lock held.
 */
#ifndef MONITOR_GDBSTUB_H
#define MONITOR_GDBSTUB_H

#include "system/machine.h"

/* @where as of -gdb: "tcp::1234", "unix:path", "stdio", a chardev's id; "none"
 * ends it. The machine owns it. A second call moves it. */
bool gdbstub_open(Machine *m, const char *where, GError **errp);
/* After monitors_close(), before the chardevs go. */
void gdbstub_close(Machine *m);

/* gdb-regs.c: registers in the order of the target description. */

/* The document that gdb reads at "qXfer:features:read:target.xml". New. */
char *gdb_target_xml(void);
unsigned gdb_reg_count(void);
/* Appends the register's bytes to @out, little-endian. Paused. */
bool gdb_reg_read(X86Cpu *cpu, unsigned reg, GByteArray *out);
/* How many of @buf's @len bytes it took; 0: no such register, or too few. */
size_t gdb_reg_write(X86Cpu *cpu, unsigned reg, const uint8_t *buf, size_t len);

#endif
