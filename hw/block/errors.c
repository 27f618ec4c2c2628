/* Host errors of a disk: the guest's, or ours to wait for. */
#include "util/osdep.h"
#include "hw/block/errors.h"
#include "util/error.h"

static const char *const action_names[] = {
    [ON_ERROR_REPORT] = "report",
    [ON_ERROR_STOP] = "stop",
    [ON_ERROR_IGNORE] = "ignore",
};

static Drive *drive_of(Machine *m, const Blk *blk)
{
    GPtrArray *drives = machine_drives(m);

    for (guint i = 0; i < drives->len; i++) {
        Drive *d = drives->pdata[i];

        if (d->blk == blk) {
            return d;
        }
    }
    return NULL;
}

/* Who starts the machine again says that the cause is gone. */
static void on_machine_event(Machine *m, const char *event,
                             const EventValue *values, void *opaque)
{
    Drive *d = opaque;

    if (!strcmp(event, "RESUME")) {
        d->io_status = NULL;
    }
}

static void keep_status(Drive *d, int err)
{
    if (!d->io_status) {
        d->io_status = err == ENOSPC ? "nospace" : "failed";
    }
    if (!d->watching) {
        d->watching = true;
        machine_watch(d->machine, on_machine_event, d);
    }
}

void drive_errors_forget(Drive *d)
{
    if (d->watching) {
        machine_unwatch(d->machine, on_machine_event, d);
    }
    d->watching = false;
}

ErrorAction drive_error(const DriveErrors *e, Machine *m, const Blk *blk,
                        bool read, int err)
{
    ErrorAction action = read ? e->read : e->write;
    Drive *d = drive_of(m, blk);
    const BlockNode *bn = blk_node(blk);

    if (action == ON_ERROR_ENOSPC) {
        action = err == ENOSPC ? ON_ERROR_STOP : ON_ERROR_REPORT;
    }
    if (d && action == ON_ERROR_STOP) {
        keep_status(d, err);
    }
    machine_emit(m, "BLOCK_IO_ERROR",
                 EVENT_STR("device", d && d->blockdev ? "" : blk_name(blk)),
                 EVENT_STR("node-name", bn ? bn->name : NULL),
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

bool drive_errors_parse(DriveErrors *e, Drive *d, const char *werror,
                        const char *rerror, GError **errp)
{
    bool ok = parse_action("werror", werror || !d ? werror : d->werror,
                           ON_ERROR_ENOSPC, &e->write, errp) &&
              parse_action("rerror", rerror || !d ? rerror : d->rerror,
                           ON_ERROR_REPORT, &e->read, errp);

    if (ok && d) {
        d->may_stop = e->write == ON_ERROR_STOP ||
                      e->write == ON_ERROR_ENOSPC || e->read == ON_ERROR_STOP;
    }
    return ok;
}
