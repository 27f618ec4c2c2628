/*
 * Errors are glib's GError; the code is the QMP error class.
 *
 * A function that can fail takes GError **errp last and returns bool (true is
 * success) or a pointer (NULL is failure). Whoever returns an error does not
 * also print it. Data-path calls return 0 or -errno instead.
 */
#ifndef UTIL_ERROR_H
#define UTIL_ERROR_H

#include <glib.h>

#define RHEA_ERROR rhea_error_quark()
GQuark rhea_error_quark(void);

typedef enum ErrorClass {
    ERROR_CLASS_GENERIC,
    ERROR_CLASS_COMMAND_NOT_FOUND,
    ERROR_CLASS_DEVICE_NOT_FOUND,
    ERROR_CLASS_DEVICE_NOT_ACTIVE,
} ErrorClass;

void error_setg(GError **errp, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* As error_setg(), with a class that QMP clients look at. */
void error_set_class(GError **errp, ErrorClass cls, const char *fmt, ...)
    G_GNUC_PRINTF(3, 4);
/* As error_setg(), then ": " and strerror(os_errno). */
void error_setg_errno(GError **errp, int os_errno, const char *fmt, ...)
    G_GNUC_PRINTF(3, 4);

#endif
