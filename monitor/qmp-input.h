/*
 * Bytes from a client to JSON values. Input may come in any pieces, several
 * values in one or one in several; strings may be in single quotes. A text
 * that is too long, too deep or has too many elements is an error and its
 * rest is passed over up to the end of the line. Main thread.
 */
#ifndef MONITOR_QMP_INPUT_H
#define MONITOR_QMP_INPUT_H

#include "monitor/json.h"

#if CONFIG_JSON_C

enum {
    QMP_TEXT_MAX = 16 << 20,     /* bytes of one value */
    QMP_ELEMENTS_MAX = 500000,   /* members and elements of one value */
    QMP_CONTAINERS_MAX = 100000, /* objects and arrays */
    QMP_DEPTH_MAX = 1024,
};

typedef struct QmpInput QmpInput;

QmpInput *qmp_input_new(void);
void qmp_input_free(QmpInput *in);
/* Forgets what has come so far: a new client. */
void qmp_input_reset(QmpInput *in);
/*
 * Takes bytes up to the end of a value, or all. Returns how many. Then *@out
 * is the value (the caller's), or @errp is set, or neither: more is needed.
 */
size_t qmp_input_feed(QmpInput *in, const uint8_t *buf, size_t len,
                      json_object **out, GError **errp);

#endif
#endif
