/* Keyboard and mouse for programs: send-key, input-send-event. */
#include "util/osdep.h"
#include "util/error.h"
#include "hw/input/i8042.h"
#include "monitor/keys.h"
#include "monitor/qmp-cmds.h"

#if CONFIG_JSON_C

enum { HOLD_MAX_MS = 60000, MOTION_MAX = 10000 };

/* A KeyValue; 0 and @errp: no such key. */
static uint16_t key_value(json_object *key, GError **errp)
{
    const char *type = js_get_str(key, "type");
    const char *name = js_get_str(key, "data");
    int64_t number = js_get_int(key, "data");
    uint16_t code = 0;

    if (type && !strcmp(type, "qcode") && name) {
        code = key_code(name);
    } else if (type && !strcmp(type, "number") && number > 0 &&
               number <= UINT16_MAX) {
        code = (uint16_t)number;
    }
    if (!code) {
        error_setg(errp, "Parameter 'data' does not accept value '%s'",
                   name ? name : "");
    }
    return code;
}

json_object *qmp_send_key(Machine *m, const Args *args, GError **errp)
{
    json_object *list = args_json(args, "keys");
    int64_t hold = args_int(args, "hold-time", KEYS_HOLD_MS);
    size_t n = json_object_array_length(list);
    uint16_t codes[KEYS_MAX];

    if (n > KEYS_MAX) {
        error_setg(errp, "at most %d keys at once", KEYS_MAX);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        codes[i] = key_value(json_object_array_get_idx(list, i), errp);
        if (!codes[i]) {
            return NULL;
        }
    }
    hold = hold > 0 ? MIN(hold, HOLD_MAX_MS) : KEYS_HOLD_MS;
    keys_send(m, codes, (unsigned)n, (unsigned)hold, errp);
    return NULL;
}

/* ---- event by event ------------------------------------------------------------- */

static bool missing(const char *what, GError **errp)
{
    error_setg(errp, "Parameter 'data.%s' is missing or wrong", what);
    return false;
}

static bool event_key(Machine *m, json_object *data, GError **errp)
{
    json_object *key = js_get(data, "key");
    uint16_t code = key ? key_value(key, errp) : 0;
    Device *dev = keys_device(m, NULL);

    if (!key) {
        return missing("key", errp);
    }
    if (code && dev) {
        i8042_key(dev, code, js_get_bool(data, "down"));
    }
    return code != 0;
}

/* One of i8042_mouse()'s bits; the wheel turns when its "button" goes down. */
static const struct {
    const char *name;
    unsigned bit;
    int wheel;
} buttons[] = {
    { "left", 1, 0 },       { "right", 2, 0 },  { "middle", 4, 0 },
    { "side", 8, 0 },       { "extra", 16, 0 }, { "wheel-up", 0, -1 },
    { "wheel-down", 0, 1 },
};

static bool event_button(Machine *m, json_object *data, GError **errp)
{
    const char *name = js_get_str(data, "button");
    bool down = js_get_bool(data, "down");
    unsigned held = keys_mouse_held(m);

    for (size_t i = 0; name && i < G_N_ELEMENTS(buttons); i++) {
        if (strcmp(name, buttons[i].name)) {
            continue;
        }
        if (buttons[i].bit) {
            held = down ? held | buttons[i].bit : held & ~buttons[i].bit;
            return keys_mouse_buttons(m, held, errp);
        }
        return !down || keys_mouse_move(m, 0, 0, buttons[i].wheel, errp);
    }
    return missing("button", errp);
}

static bool event_motion(Machine *m, json_object *data, GError **errp)
{
    const char *axis = js_get_str(data, "axis");
    int by = (int)CLAMP(js_get_int(data, "value"), -MOTION_MAX, MOTION_MAX);

    if (!axis || (strcmp(axis, "x") && strcmp(axis, "y"))) {
        return missing("axis", errp);
    }
    return axis[0] == 'x' ? keys_mouse_move(m, by, 0, 0, errp)
                          : keys_mouse_move(m, 0, by, 0, errp);
}

static bool send_event(Machine *m, json_object *event, GError **errp)
{
    const char *type = js_get_str(event, "type");
    json_object *data = js_get(event, "data");

    switch (type[0]) {
    case 'k':
        return event_key(m, data, errp);
    case 'b':
        return event_button(m, data, errp);
    case 'r':
        return event_motion(m, data, errp);
    default:
        error_setg(errp, "there is no device for 'abs' events: the mouse tells "
                         "motion only");
        return false;
    }
}

json_object *qmp_input_send_event(Machine *m, const Args *args, GError **errp)
{
    json_object *list = args_json(args, "events");

    if (!keys_device(m, errp)) {
        return NULL;
    }
    if (args_has(args, "device")) {
        error_setg(errp, "'device' is not supported: there is one keyboard and "
                         "one mouse");
        return NULL;
    }
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        if (!send_event(m, json_object_array_get_idx(list, i), errp)) {
            break;
        }
    }
    return NULL;
}

#endif
