/* Host errors of a disk: the guest's, or ours to wait for. */
#include "util/osdep.h"
#include "hw/block/errors.h"
#include "util/error.h"

static const char *const action_names[] = {
    [ON_ERROR_REPORT] = "report",
    [ON_ERROR_STOP] = "stop",
    [ON_ERROR_IGNORE] = "ignore",
};

ErrorAction drive_error(const DriveErrors *e, Machine *m, const Blk *blk,
                        bool read, int err)
{
    ErrorAction action = read ? e->read : e->write;

    if (action == ON_ERROR_ENOSPC) {
        action = err == ENOSPC ? ON_ERROR_STOP : ON_ERROR_REPORT;
    }
    machine_emit(m, "BLOCK_IO_ERROR", EVENT_STR("device", blk_name(blk)),
                 EVENT_STR("operation", read ? "read" : "write"),
                 EVENT_STR("action", action_names[action]),
                 EVENT_BOOL("nospace", err == ENOSPC),
                 EVENT_STR("reason", g_strerror(err)));
    return action;
}

static bool parse_action(const char *prop, const char *text,
                         ErrorAction standard, ErrorAction *out, GError **errp)
{
    bool write = prop[0] == 'w';

    if (!text || strcmp(text, "auto") == 0) {
        *out = standard;
        return true;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(action_names); i++) {
        if (strcmp(text, action_names[i]) == 0) {
            *out = (ErrorAction)i;
            return true;
        }
    }
    if (write && strcmp(text, "enospc") == 0) {
        *out = ON_ERROR_ENOSPC;
        return true;
    }
    error_setg(errp, "%s must be report, stop, ignore%s or auto, not '%s'",
               prop, write ? ", enospc" : "", text);
    return false;
}

bool drive_errors_parse(DriveErrors *e, const Drive *d, const char *werror,
                        const char *rerror, GError **errp)
{
    return parse_action("werror", werror || !d ? werror : d->werror,
                        ON_ERROR_ENOSPC, &e->write, errp) &&
           parse_action("rerror", rerror || !d ? rerror : d->rerror,
                        ON_ERROR_REPORT, &e->read, errp);
}
