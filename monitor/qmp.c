/*
 * QMP: requests in, replies out.
 *
 * A request runs when the one before it is done, whoever sent that: a command may
 * run the main loop, and others must not change the machine under it. With the
 * capability "oob" a client may send "exec-oob", which overtakes requests that
 * wait; then those wait in a queue and run one per turn of the main loop. Without
 * it each runs as soon as it has been read.
 *
 * Nothing grows without bound: a session whose client does not read, or that
 * has QUEUE_MAX requests waiting, takes no more input.
 */
#include "util/osdep.h"
#include "util/trace.h"
#include "util/error.h"
#include "monitor/absent.h"
#include "monitor/qmp.h"
#include "monitor/qmp-input.h"

#if CONFIG_JSON_C

enum { QUEUE_MAX = 8, ROOM = 65536 };

struct Qmp {
    Monitor *mon;
    bool pretty, negotiated, oob;
    void (*send)(Monitor *mon, const char *line);
    QmpInput *input;
    GByteArray *unread; /* came while the queue was full or a command ran */
    GQueue requests;    /* of json_object */
    unsigned drain;     /* source that runs the next request; 0: none */
    bool running;       /* one of its own commands */
    unsigned session;   /* counts: a client that went hears no more */
};

/* ---- output ---------------------------------------------------------------- */

static void send_object(Qmp *q, json_object *o)
{
    g_autoptr(GString) line = g_string_new(NULL);

    js_print(o, q->pretty, line);
    q->send(q->mon, line->str);
}

static const char *error_class(const GError *err)
{
    switch (err->domain == RHEA_ERROR ? err->code : ERROR_CLASS_GENERIC) {
    case ERROR_CLASS_COMMAND_NOT_FOUND:
        return "CommandNotFound";
    case ERROR_CLASS_DEVICE_NOT_FOUND:
        return "DeviceNotFound";
    case ERROR_CLASS_DEVICE_NOT_ACTIVE:
        return "DeviceNotActive";
    default:
        return "GenericError";
    }
}

/* Takes @value and @err, one of which there is; @id may be NULL. */
static void reply(Qmp *q, json_object *value, GError *err, json_object *id)
{
    g_autoptr(json_object) o = json_object_new_object();

    if (err) {
        json_object *e = js_put(o, "error", json_object_new_object());

        js_str(e, "class", error_class(err));
        js_str(e, "desc", err->message);
        g_error_free(err);
    } else {
        js_put(o, "return", value);
    }
    if (id) {
        js_put(o, "id", json_object_get(id));
    }
    send_object(q, o);
}

void qmp_event(Qmp *q, json_object *event)
{
    if (q->negotiated && !mon_is_clogged(q->mon)) {
        send_object(q, event);
    }
}

/* ---- commands ------------------------------------------------------------------ */

const QmpCommand *qmp_command_find(const char *name)
{
    for (const QmpCommand *c = qmp_commands; c->name; c++) {
        if (!strcmp(c->name, name)) {
            return c;
        }
    }
    return NULL;
}

static json_object *run(Monitor *mon, Machine *m, const QmpCommand *c,
                        json_object *arguments, GError **errp)
{
    g_autoptr(Args) args = args_parse_json(mon, c->args, arguments, errp);
    GError *err = NULL;
    json_object *ret;

    if (!args || (c->flags & CMD_FREE && !machine_is_free(m, errp))) {
        return NULL;
    }
    ret = c->run(m, args, &err);
    if (err) {
        json_object_put(ret);
        g_propagate_error(errp, err);
        return NULL;
    }
    return ret ? ret : json_object_new_object();
}

json_object *qmp_call(Machine *m, const char *name, json_object *args,
                      GError **errp)
{
    g_autoptr(json_object) owned = args;

    return run(NULL, m, qmp_command_find(name), owned, errp);
}

static bool has_command(json_object *req, const char **key)
{
    *key = js_get(req, "exec-oob") ? "exec-oob" : "execute";
    return js_get(req, *key) != NULL;
}

/* What QEMU checks before it looks at the command, in its words. */
static bool check_request(Qmp *q, json_object *req, GError **errp)
{
    const char *key;

    if (!json_object_is_type(req, json_type_object)) {
        error_setg(errp, "QMP input must be a JSON object");
        return false;
    }
    json_object_object_foreach(req, name, v)
    {
        bool exec =
            !strcmp(name, "execute") || (!strcmp(name, "exec-oob") && q->oob);

        if (exec && !json_object_is_type(v, json_type_string)) {
            error_setg(errp, "QMP input member '%s' must be a string", name);
            return false;
        }
        if (!strcmp(name, "arguments") &&
            !json_object_is_type(v, json_type_object)) {
            error_setg(errp, "QMP input member 'arguments' must be an object");
            return false;
        }
        if (!exec && strcmp(name, "arguments") && strcmp(name, "id")) {
            error_setg(errp, "QMP input member '%s' is unexpected", name);
            return false;
        }
    }
    if (js_get(req, "execute") && js_get(req, "exec-oob")) {
        error_setg(errp, "QMP input member 'exec-oob' clashes with 'execute'");
        return false;
    }
    if (!has_command(req, &key)) {
        error_setg(errp, "QMP input lacks member 'execute'");
        return false;
    }
    return true;
}

/* The one command before all others. */
static json_object *negotiate(Qmp *q, json_object *arguments, GError **errp)
{
    if (!qmp_check_members(arguments, "enable?:[e(oob)", NULL, errp)) {
        return NULL;
    }
    q->oob = js_get(arguments, "enable") &&
             json_object_array_length(js_get(arguments, "enable")) > 0;
    q->negotiated = true;
    return json_object_new_object();
}

static bool may_run(Qmp *q, const char *name, const QmpCommand *c, bool oob,
                    GError **errp)
{
    bool capabilities = !strcmp(name, "qmp_capabilities");

    if (!q->negotiated && !capabilities) {
        error_set_class(errp, ERROR_CLASS_COMMAND_NOT_FOUND,
                        "Expecting capabilities negotiation with "
                        "'qmp_capabilities'");
    } else if (q->negotiated && capabilities) {
        error_set_class(errp, ERROR_CLASS_COMMAND_NOT_FOUND,
                        "Capabilities negotiation is already complete, "
                        "command ignored");
    } else if (!c) {
        const char *why = absent_why(name);

        error_set_class(errp, ERROR_CLASS_COMMAND_NOT_FOUND,
                        "The command %s has not been found%s%s", name,
                        why ? ": " : "", why ? why : "");
    } else if (oob && !(c->flags & CMD_OOB)) {
        error_setg(errp, "The command %s does not support OOB", name);
    } else {
        return true;
    }
    return false;
}

static json_object *execute(Qmp *q, json_object *req, GError **errp)
{
    json_object *arguments = js_get(req, "arguments");
    g_autoptr(json_object) none = json_object_new_object();
    const char *key, *name;
    const QmpCommand *c;

    if (!check_request(q, req, errp)) {
        return NULL;
    }
    has_command(req, &key);
    name = js_get_str(req, key);
    trace(handle_qmp_command, (void *)q->mon, name);
    c = qmp_command_find(name);
    if (!may_run(q, name, c, !strcmp(key, "exec-oob"), errp)) {
        return NULL;
    }
    if (!q->negotiated) {
        return negotiate(q, arguments ? arguments : none, errp);
    }
    return run(q->mon, mon_machine(q->mon), c, arguments, errp);
}

/* Takes @req. */
static void serve(Qmp *q, json_object *req)
{
    GError *err = NULL;
    json_object *value;
    unsigned session = q->session;
    bool outer = q->running;

    q->running = true;
    mon_begin(q->mon);
    value = execute(q, req, &err);
    mon_end(q->mon);
    q->running = outer;
    if (session == q->session) {
        reply(q, value, err, js_get(req, "id"));
    } else {
        json_object_put(value);
        g_clear_error(&err);
    }
    json_object_put(req);
}

/* ---- input ------------------------------------------------------------------------ */

static gboolean drain_one(void *opaque)
{
    Qmp *q = opaque;

    /* qmp_resume() goes on */
    if (mon_is_busy(q->mon) || mon_is_clogged(q->mon)) {
        q->drain = 0;
        return G_SOURCE_REMOVE;
    }
    if (!g_queue_is_empty(&q->requests)) {
        serve(q, g_queue_pop_head(&q->requests));
        qmp_resume(q);
        return G_SOURCE_CONTINUE;
    }
    q->drain = 0;
    return G_SOURCE_REMOVE;
}

static void drain_soon(Qmp *q)
{
    if (!q->drain && !g_queue_is_empty(&q->requests)) {
        q->drain = g_idle_add_full(G_PRIORITY_DEFAULT, drain_one, q, NULL);
    }
}

/* Takes @req: runs it or lets it wait. */
static void accept_request(Qmp *q, json_object *req)
{
    if (q->oob && js_get(req, "exec-oob")) {
        serve(q, req);
    } else if (q->oob) {
        g_queue_push_tail(&q->requests, req);
        drain_soon(q);
    } else {
        serve(q, req);
    }
}

static bool can_accept(Qmp *q)
{
    return g_queue_get_length(&q->requests) < QUEUE_MAX &&
           !mon_is_clogged(q->mon) &&
           (q->oob ? !q->running : !mon_is_busy(q->mon));
}

/* Reads requests from what came. A command may run the main loop, so more may
 * come, or the client go, meanwhile. */
static void pump(Qmp *q)
{
    while (q->unread->len && can_accept(q)) {
        GError *err = NULL;
        json_object *req;
        size_t n = qmp_input_feed(q->input, q->unread->data, q->unread->len,
                                  &req, &err);

        g_byte_array_remove_range(q->unread, 0, (guint)n);
        if (err) {
            reply(q, NULL, err, NULL);
        } else if (req) {
            accept_request(q, req);
        }
    }
}

size_t qmp_room(Qmp *q)
{
    return can_accept(q) && !q->unread->len ? ROOM : 0;
}

void qmp_receive(Qmp *q, const uint8_t *buf, size_t len)
{
    g_byte_array_append(q->unread, buf, (guint)len);
    pump(q);
}

void qmp_resume(Qmp *q)
{
    pump(q);
    drain_soon(q);
    if (qmp_room(q)) {
        mon_input_resume(q->mon);
    }
}

/* ---- life --------------------------------------------------------------------------- */

static void forget(Qmp *q)
{
    qmp_input_reset(q->input);
    g_byte_array_set_size(q->unread, 0);
    g_queue_foreach(&q->requests, (GFunc)(void *)json_object_put, NULL);
    g_queue_clear(&q->requests);
    q->negotiated = q->oob = false;
    q->session++;
}

Qmp *qmp_new(Monitor *mon, bool pretty,
             void (*send)(Monitor *mon, const char *line))
{
    Qmp *q = g_new0(Qmp, 1);

    q->mon = mon;
    q->pretty = pretty;
    q->send = send;
    q->input = qmp_input_new();
    q->unread = g_byte_array_new();
    g_queue_init(&q->requests);
    return q;
}

void qmp_free(Qmp *q)
{
    if (!q) {
        return;
    }
    forget(q);
    if (q->drain) {
        g_source_remove(q->drain);
    }
    qmp_input_free(q->input);
    g_byte_array_unref(q->unread);
    g_free(q);
}

void qmp_hangup(Qmp *q)
{
    forget(q);
}

void qmp_greet(Qmp *q)
{
    g_autoptr(json_object) o = json_object_new_object();
    json_object *body = js_put(o, "QMP", json_object_new_object());
    json_object *caps;

    forget(q);
    js_put(body, "version",
           qmp_call(mon_machine(q->mon), "query-version", NULL, NULL));
    caps = js_put(body, "capabilities", json_object_new_array());
    js_add(caps, json_object_new_string("oob"));
    send_object(q, o);
}

#endif
