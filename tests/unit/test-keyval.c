/* Option strings, sizes and typing aids. */
#include "util/osdep.h"
#include "util/keyval.h"
#include "util/nearest.h"

static void append_pair(const char *key, const char *value, void *opaque)
{
    g_string_append_printf(opaque, "[%s|%s]", key, value);
}

static char *show(KeyVal *kv)
{
    GString *s = g_string_new(NULL);

    keyval_foreach(kv, append_pair, s);
    return g_string_free(s, false);
}

static void test_text(void)
{
    static const struct {
        const char *text, *implied, *pairs;
    } rows[] = {
        { "", "type", "" },
        { "q35", "type", "[type|q35]" },
        { "q35,accel=tcg", "type", "[type|q35][accel|tcg]" },
        { "socket,id=a,server,nowait", "backend",
          "[backend|socket][id|a][server|on][wait|off]" },
        { "file=a,,b,c", "x", "[file|a,b][c|on]" },
        { "a,,b,c=d", "file", "[file|a,b][c|d]" },
        { "a,,", "file", "[file|a,]" },
        { "k=,,,x", NULL, "[k|,][x|on]" },
        { "k=v,", NULL, "[k|v]" },
        { "k=", NULL, "[k|]" },
        { "k=a=b", NULL, "[k|a=b]" },
        { "a=1,b=2,a=3", NULL, "[a|3][b|2]" },
        { "file.driver=raw,file.file.filename=x", NULL,
          "[file.driver|raw][file.file.filename|x]" },
        { "help", NULL, "[help|on]" },
        { "no", NULL, "[no|on]" },
        { "noshare", NULL, "[share|off]" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) err = NULL;
        g_autoptr(KeyVal) kv =
            keyval_parse(rows[i].text, rows[i].implied, &err);
        g_autofree char *pairs = NULL;

        g_assert_no_error(err);
        pairs = show(kv);
        g_assert_cmpstr(pairs, ==, rows[i].pairs);
    }
}

static void test_text_errors(void)
{
    g_autoptr(GError) err = NULL;

    g_assert_null(keyval_parse("a=1,=2", NULL, &err));
    g_assert_cmpstr(err->message, ==,
                    "'a=1,=2' has a value without a name before '='");
}

static void test_json(void)
{
    static const struct {
        const char *text, *pairs; /* NULL: refused */
    } rows[] = {
        { "{}", "" },
        { "{\"a\": 1, \"b\": true, \"c\": \"x,y\"}", "[a|1][b|on][c|x,y]" },
        { "{'driver':'qcow2','file':{'driver':'file','n':-5},'backing':null}",
          "[driver|qcow2][file.driver|file][file.n|-5][backing|]" },
        { "{\"l\":[1,{\"k\":false}]} ", "[l.0|1][l.1.k|off]" },
        { "{\"a\":18446744073709551615}", "[a|18446744073709551615]" },
        { "{\"a\": 1", NULL },
        { "{\"a\" 1}", NULL },
        { "{} x", NULL },
        { "{\"\":1}", NULL },
        { "{\"a\":\"x\\u0000y\"}", NULL },
        { "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":"
          "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":"
          "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":"
          "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":",
          NULL },
    };

    if (!CONFIG_JSON_C) {
        g_autoptr(GError) err = NULL;

        g_assert_null(keyval_parse("{}", NULL, &err));
        g_assert_nonnull(strstr(err->message, "json-c"));
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) err = NULL;
        g_autoptr(KeyVal) kv = keyval_parse(rows[i].text, NULL, &err);
        g_autofree char *pairs = kv ? show(kv) : NULL;

        g_assert_true((kv != NULL) == (err == NULL));
        g_assert_cmpstr(pairs, ==, rows[i].pairs);
    }
}

static void test_typed(void)
{
    g_autoptr(KeyVal) kv =
        keyval_parse("b=off,bad=maybe,n=0x10,neg=-1,s=2,g=1.5G", NULL, NULL);
    g_autoptr(GError) err = NULL;
    uint64_t n;
    bool b;

    g_assert_true(keyval_bool(kv, "b", true, &b, &err) && !b);
    g_assert_true(keyval_bool(kv, "absent", true, &b, &err) && b);
    g_assert_true(keyval_u64(kv, "n", 1, &n, &err) && n == 16);
    g_assert_true(keyval_u64(kv, "absent", 7, &n, &err) && n == 7);
    g_assert_true(keyval_size(kv, "s", MIB, 0, &n, &err) && n == 2 * MIB);
    g_assert_true(keyval_size(kv, "g", MIB, 0, &n, &err) && n == 3 * GIB / 2);
    g_assert_no_error(err);
    g_assert_false(keyval_bool(kv, "bad", true, &b, &err));
    g_assert_cmpstr(err->message, ==,
                    "Parameter 'bad' expects 'on' or 'off', not 'maybe'");
    g_clear_error(&err);
    g_assert_false(keyval_u64(kv, "neg", 0, &n, &err));
    g_assert_cmpstr(err->message, ==,
                    "Parameter 'neg' expects a number, not '-1'");
    g_clear_error(&err);
    g_assert_false(keyval_size(kv, "bad", 1, 0, &n, &err));
}

static void test_unused_and_merge(void)
{
    g_autoptr(KeyVal) a = keyval_parse("pc,usb=off,x=1", "type", NULL);
    g_autoptr(KeyVal) b = keyval_parse("accel=tcg,x=2", "type", NULL);

    keyval_merge(a, b);
    g_assert_cmpstr(keyval_get(a, "type"), ==, "pc");
    g_assert_cmpstr(keyval_unused(a), ==, "usb");
    g_assert_cmpstr(keyval_get(a, "usb"), ==, "off");
    g_assert_cmpstr(keyval_get(a, "x"), ==, "2");
    g_assert_cmpstr(keyval_get(a, "accel"), ==, "tcg");
    g_assert_null(keyval_unused(a));
    g_assert_null(keyval_get(a, "nosuch"));
}

static void test_sizes(void)
{
    static const struct {
        const char *text;
        uint64_t unit, value;
        bool ok;
    } rows[] = {
        { "0", 1, 0, true },
        { "512", MIB, 512 * MIB, true },
        { "512b", MIB, 512, true },
        { "1k", 1, 1024, true },
        { "1K", MIB, 1024, true },
        { "4G", 1, 4 * GIB, true },
        { "0x10", MIB, 16 * MIB, true },
        { "0.5k", 1, 512, true },
        { "1.5", MIB, 3 * MIB / 2, true },
        { "15E", 1, UINT64_C(15) << 60, true },
        { "16E", 1, 0, false },
        { "18446744073709551615", 1, UINT64_MAX, true },
        { "18446744073709551616", 1, 0, false },
        { "", 1, 0, false },
        { "-1", 1, 0, false },
        { " 1", 1, 0, false },
        { "1.5", 1, 0, false },
        { "1.", MIB, 0, false },
        { "1GB", 1, 0, false },
        { "1x", 1, 0, false },
        { "k", 1, 0, false },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        uint64_t v = 0;

        g_assert_true(parse_size(rows[i].text, rows[i].unit, &v, NULL) ==
                      rows[i].ok);
        g_assert_cmpuint(v, ==, rows[i].value);
    }
}

static void test_numbers(void)
{
    uint64_t v;

    g_assert_true(parse_u64("0xffffffffffffffff", &v, NULL) && v == UINT64_MAX);
    g_assert_true(parse_u64("010", &v, NULL) && v == 8);
    g_assert_false(parse_u64("0x10000000000000000", &v, NULL));
    g_assert_false(parse_u64("+1", &v, NULL));
    g_assert_false(parse_u64("12z", &v, NULL));
    g_assert_false(parse_u64("", &v, NULL));
}

static void test_nearest(void)
{
    static const char *const names[] = {
        "isa-serial", "isa-debug-exit", "virtio-net-pci", "pc", "q35", "o", NULL
    };
    g_autofree char *huge = g_strnfill(100000, 'x');

    g_assert_cmpstr(nearest_name("isa-seril", names), ==, "isa-serial");
    g_assert_cmpstr(nearest_name("isa-sreial", names), ==, "isa-serial");
    g_assert_cmpstr(nearest_name("ISA-debug-exit", names), ==,
                    "isa-debug-exit");
    g_assert_cmpstr(nearest_name("virtio-net", names), ==, "virtio-net-pci");
    g_assert_cmpstr(nearest_name("q36", names), ==, "q35");
    g_assert_null(nearest_name("floppy", names));
    g_assert_null(nearest_name("foo", names));
    g_assert_null(nearest_name("", names));
    g_assert_null(nearest_name(huge, names));
}

static void test_all(void)
{
    g_autoptr(KeyVal) kv = keyval_parse("user,f=1,g=x,f=2,f=1", "type", NULL);
    g_autoptr(GPtrArray) f = keyval_all(kv, "f"), none = keyval_all(kv, "h");

    g_assert_cmpuint(f->len, ==, 3);
    g_assert_cmpstr(f->pdata[0], ==, "1");
    g_assert_cmpstr(f->pdata[1], ==, "2");
    g_assert_cmpstr(f->pdata[2], ==, "1");
    g_assert_cmpuint(none->len, ==, 0);
    g_assert_cmpstr(keyval_get(kv, "f"), ==, "1");
    g_assert_cmpstr(keyval_unused(kv), ==, "type");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/keyval/text", test_text);
    g_test_add_func("/keyval/text-errors", test_text_errors);
    g_test_add_func("/keyval/json", test_json);
    g_test_add_func("/keyval/typed", test_typed);
    g_test_add_func("/keyval/unused-merge", test_unused_and_merge);
    g_test_add_func("/keyval/sizes", test_sizes);
    g_test_add_func("/keyval/numbers", test_numbers);
    g_test_add_func("/keyval/nearest", test_nearest);
    g_test_add_func("/keyval/all", test_all);
    return g_test_run();
}
