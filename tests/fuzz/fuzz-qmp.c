/*
 * A program's input: bytes in two pieces to requests, requests to checked
 * arguments, values to text and back. Nothing is run.
 */
#include "util/osdep.h"
#include "tests/lib/fuzz.h"
#include "monitor/qmp.h"
#include "monitor/qmp-input.h"

#if CONFIG_JSON_C

/* What is printed reads back as the same. */
static void print_and_read(json_object *o)
{
    g_autofree char *text = js_text(o);
    g_autoptr(json_object) back = json_tokener_parse(text);
    g_autofree char *again = js_text(back);

    g_assert_cmpstr(again, ==, text);
}

static bool has_number(json_object *o)
{
    return strpbrk(json_object_to_json_string(o), "0123456789iIN") != NULL;
}

static void check(json_object *o)
{
    const char *name = js_get_str(o, "execute");
    const QmpCommand *c = name ? qmp_command_find(name) : NULL;
    json_object *arguments = js_get(o, "arguments");
    g_autoptr(GError) err = NULL;
    g_autoptr(Args) args = NULL;

    if (!has_number(o)) { /* some numbers change their form */
        print_and_read(o);
    }
    if (!c ||
        (arguments && !json_object_is_type(arguments, json_type_object))) {
        return;
    }
    args = args_parse_json(NULL, c->args, arguments, &err);
    g_assert_true((args == NULL) == (err != NULL));
}

static void feed(QmpInput *in, const uint8_t *data, size_t len)
{
    while (len) {
        g_autoptr(GError) err = NULL;
        g_autoptr(json_object) o = NULL;
        size_t n = qmp_input_feed(in, data, len, &o, &err);

        g_assert_cmpuint(n, <=, len);
        g_assert_true(n || o || err);
        g_assert_false(o && err);
        if (o) {
            check(o);
        }
        data += n;
        len -= n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    QmpInput *in = qmp_input_new();
    size_t cut = len ? data[0] % (len + 1) : 0;

    feed(in, data, cut);
    feed(in, data + cut, len - cut);
    qmp_input_free(in);
    return 0;
}

#else

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    return 0;
}

#endif
