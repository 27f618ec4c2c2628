/* GError made with a format; see error.h. */
#include "util/osdep.h"
#include "util/error.h"

GQuark rhea_error_quark(void)
{
    return g_quark_from_static_string("rhea-error");
}

static G_GNUC_PRINTF(3, 0) void error_setv(GError **errp, ErrorClass cls,
                                           const char *fmt, va_list ap)
{
    if (errp) {
        g_return_if_fail(*errp == NULL); /* the first error is the cause */
        *errp = g_error_new_valist(RHEA_ERROR, cls, fmt, ap);
    }
}

void error_setg(GError **errp, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    error_setv(errp, ERROR_CLASS_GENERIC, fmt, ap);
    va_end(ap);
}

void error_set_class(GError **errp, ErrorClass cls, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    error_setv(errp, cls, fmt, ap);
    va_end(ap);
}

void error_setg_errno(GError **errp, int os_errno, const char *fmt, ...)
{
    g_autofree char *what = NULL;
    va_list ap;

    va_start(ap, fmt);
    what = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    error_setg(errp, "%s: %s", what, g_strerror(os_errno));
}
