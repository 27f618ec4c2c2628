/*
 * Finding where a JSON value ends: brackets are counted outside of strings.
 * json-c then parses the whole text. What is wrong inside balanced brackets
 * costs only that value; a newline inside a string, which JSON forbids, or the
 * byte FF ends whatever was begun, so a client can always start over.
 */
#include "util/osdep.h"
#include "util/error.h"
#include "monitor/qmp-input.h"

#if CONFIG_JSON_C

struct QmpInput {
    GString *text;
    uint8_t quote; /* inside a string: what ends it */
    bool escaped;
    bool skip; /* the rest of the line, after an error */
    unsigned depth, elements, containers;
};

QmpInput *qmp_input_new(void)
{
    QmpInput *in = g_new0(QmpInput, 1);

    in->text = g_string_new(NULL);
    return in;
}

void qmp_input_free(QmpInput *in)
{
    g_string_free(in->text, TRUE);
    g_free(in);
}

/* The memory of a long text is given back. */
static void start_over(QmpInput *in)
{
    g_string_free(in->text, TRUE);
    *in = (QmpInput) { .text = g_string_new(NULL) };
}

void qmp_input_reset(QmpInput *in)
{
    start_over(in);
}

static json_object *parse(QmpInput *in, GError **errp)
{
    json_tokener *tok = json_tokener_new_ex(QMP_DEPTH_MAX + 2);
    enum json_tokener_error bad;
    json_object *o;
    size_t end;

    json_tokener_set_flags(tok, JSON_TOKENER_VALIDATE_UTF8);
    o = json_tokener_parse_ex(tok, in->text->str, (int)in->text->len + 1);
    bad = json_tokener_get_error(tok);
    end = json_tokener_get_parse_end(tok);
    json_tokener_free(tok);
    if (bad == json_tokener_success && end < in->text->len) {
        bad = json_tokener_error_parse_unexpected;
    }
    if (bad != json_tokener_success) {
        error_setg(errp, "JSON parse error, %s", json_tokener_error_desc(bad));
        json_object_put(o);
        o = NULL;
    } else if (!o) { /* null */
        error_setg(errp, "QMP input must be a JSON object");
    }
    start_over(in);
    return o;
}

static void fail(QmpInput *in, bool skip_line, const char *why, GError **errp)
{
    start_over(in);
    in->skip = skip_line;
    error_setg(errp, "JSON %s", why);
}

static const char *over_limit(const QmpInput *in)
{
    return in->text->len > QMP_TEXT_MAX ? "token size limit exceeded"
           : in->depth > QMP_DEPTH_MAX  ? "nesting depth limit exceeded"
           : in->elements > QMP_ELEMENTS_MAX ||
                   in->containers > QMP_CONTAINERS_MAX
               ? "token count limit exceeded"
               : NULL;
}

typedef enum Step {
    STEP_TAKEN,    /* go on with the next byte */
    STEP_COMPLETE, /* the value ends with this byte */
    STEP_BEFORE,   /* the value, a word, ended before this byte */
    STEP_BAD,      /* this byte cannot be here */
} Step;

static Step string_byte(QmpInput *in, uint8_t b)
{
    if (b < 0x20) {
        return STEP_BAD;
    }
    g_string_append_c(in->text, (char)b);
    if (in->escaped) {
        in->escaped = false;
    } else if (b == '\\') {
        in->escaped = true;
    } else if (b == in->quote) {
        in->quote = 0;
        return in->depth ? STEP_TAKEN : STEP_COMPLETE;
    }
    return STEP_TAKEN;
}

static bool is_one_of(uint8_t b, const char *set)
{
    return b && strchr(set, b);
}

/* Outside of all brackets and strings. */
static Step outside_byte(QmpInput *in, uint8_t b)
{
    bool word = in->text->len > 0;

    if (is_one_of(b, " \t\r\n")) {
        return word ? STEP_BEFORE : STEP_TAKEN;
    }
    if (is_one_of(b, "{[\"'") && word) {
        return STEP_BEFORE;
    }
    if (is_one_of(b, "}],:")) {
        return word ? STEP_BEFORE : STEP_BAD;
    }
    g_string_append_c(in->text, (char)b);
    return STEP_TAKEN;
}

/* The brackets and commas of a value. */
static Step count_byte(QmpInput *in, uint8_t b)
{
    switch (b) {
    case '{':
    case '[':
        in->depth++;
        in->containers++;
        break;
    case '}':
    case ']':
        return --in->depth ? STEP_TAKEN : STEP_COMPLETE;
    case ',':
        in->elements++;
        break;
    case '"':
    case '\'':
        in->quote = b;
        break;
    }
    return STEP_TAKEN;
}

static Step feed_byte(QmpInput *in, uint8_t b)
{
    Step step;

    if (in->skip) {
        in->skip = b != '\n' && b != 0xff;
        return STEP_TAKEN;
    }
    if (b == 0xff) {
        return STEP_BAD;
    }
    if (in->quote) {
        return string_byte(in, b);
    }
    if (in->depth) {
        g_string_append_c(in->text, (char)b);
        return count_byte(in, b);
    }
    step = outside_byte(in, b);
    return step == STEP_TAKEN ? count_byte(in, b) : step;
}

size_t qmp_input_feed(QmpInput *in, const uint8_t *buf, size_t len,
                      json_object **out, GError **errp)
{
    const char *limit;

    *out = NULL;
    for (size_t i = 0; i < len; i++) {
        switch (feed_byte(in, buf[i])) {
        case STEP_TAKEN:
            limit = over_limit(in);
            if (limit) {
                fail(in, true, limit, errp);
                return i + 1;
            }
            break;
        case STEP_COMPLETE:
            *out = parse(in, errp);
            return i + 1;
        case STEP_BEFORE:
            *out = parse(in, errp);
            return i;
        case STEP_BAD:
            fail(in, false,
                 in->quote ? "parse error, control character in a string"
                           : "parse error, expecting value",
                 errp);
            return i + 1;
        }
    }
    return len;
}

#endif
