/*
 * Diagnostics. The guest can cause any of these; none of them ends the VM.
 * Any thread may log; a line is written whole.
 */
#ifndef UTIL_LOG_H
#define UTIL_LOG_H

#include "util/osdep.h"

/* -d names; util/log.c has the table with the help texts. */
enum {
    LOG_GUEST_ERROR = 1 << 0, /* guest_errors: the guest broke a rule */
    LOG_UNIMP = 1 << 1,       /* unimp: we do not model this yet */
    LOG_INT = 1 << 2,         /* int: interrupts and exceptions */
    LOG_EXEC = 1 << 3,        /* exec: each block as it is entered */
    LOG_IN_ASM = 1 << 4,      /* in_asm: blocks when they are decoded */
    LOG_CPU = 1 << 5,         /* cpu: registers before each block */
    LOG_RESET = 1 << 6,       /* cpu_reset: registers at reset */
    LOG_MMU = 1 << 7,         /* mmu */
    LOG_PCALL = 1 << 8,       /* pcall: far calls, gates, task switches */
    LOG_KVM = 1 << 9,         /* kvm: ioctls and exits */
    LOG_NOCHAIN = 1 << 10,    /* nochain: one block at a time */
    LOG_OUT_ASM = 1 << 11,    /* out_asm: host code of translated blocks */
    LOG_OP = 1 << 12,         /* op: how their instructions are executed */
};

extern int log_flags;         /* what is on; changed by log_set_flags() */
void log_set_flags(int mask); /* any thread */

static inline bool log_enabled(int mask)
{
    return unlikely(__atomic_load_n(&log_flags, __ATOMIC_RELAXED) & mask);
}

void log_write(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
/* Writes when @mask is on. Does not add a newline. */
#define log_mask(mask, ...) \
    do { \
        if (log_enabled(mask)) { \
            log_write(__VA_ARGS__); \
        } \
    } while (0)

/* "int,exec" to a mask. false: @errp names the bad one and the list. */
bool log_parse(const char *names, int *mask, GError **errp);
void log_print_help(FILE *f);
/* NULL: stderr. */
bool log_set_file(const char *path, GError **errp);

/* -dfilter "start..end,start+size,start-size": blocks outside are logged
 * neither by in_asm nor by exec and cpu. NULL: all are. Before there are
 * vCPUs. */
bool log_set_ranges(const char *text, GError **errp);
bool log_in_range(uint64_t addr);

bool log_to_stderr(void); /* no file was chosen */

/* The name before messages, "qemu-system-x86_64" to QEMU's readers: argv[0]. */
void log_set_progname(const char *name);
const char *log_progname(void);
/* One line on stderr, after "PROGNAME: " (and "warning: ", "info: "). Adds a
 * newline. */
void error_report(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
void warn_report(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
void info_report(const char *fmt, ...) G_GNUC_PRINTF(1, 2);

#endif
