/*
 * Walks the table of QMP: every command in every run state with no, plain,
 * wrong, too many and hostile arguments. Nothing may end the process, and what
 * a command returns must be of the type that its row declares.
 */
#include "util/osdep.h"
#include "tests/lib/monitor-vm.h"
#include "chardev/chardev.h"
#include "hw/block/drive.h"
#include "monitor/qmp.h"

#if CONFIG_JSON_C

static json_object *plain_members(const char *def);

/* A value that fits @type; new. */
static json_object *plain_value(const char *type)
{
    const QmpType *t;
    json_object *list;

    switch (type[0]) {
    case 'i':
        return json_object_new_int64(0);
    case 'n':
        return json_object_new_double(0.5);
    case 'b':
        return json_object_new_boolean(false);
    case 'e':
        return json_object_new_string_len(type + 2,
                                          (int)strcspn(type + 2, "|)"));
    case '[':
        list = json_object_new_array();
        js_add(list, plain_value(type + 1));
        return list;
    case 's':
    case 'F':
    case 'q':
        return json_object_new_string("x");
    default:
        t = qmp_type_find(type);
        g_assert_nonnull(t);
        return t->def[0] == '=' ? plain_value(t->def + 1)
                                : plain_members(t->def);
    }
}

static json_object *plain_members(const char *def)
{
    json_object *o = json_object_new_object();
    static int depth;
    ArgSpec spec;

    depth++;
    while (args_next_spec(&def, &spec)) {
        if (strcmp(spec.name, "*") && (!spec.optional || depth < 3)) {
            js_put(o, spec.name, plain_value(spec.full));
        }
    }
    depth--;
    return o;
}

/* Takes @args. */
static void call(Machine *m, const QmpCommand *c, json_object *args)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *text = js_text(args);
    g_autoptr(json_object) ret = qmp_call(m, c->name, args, &err);

    if (!ret) {
        g_assert_nonnull(err);
        g_assert_cmpstr(err->message, !=, "");
        return;
    }
    if (c->ret[0]) {
        qmp_check(ret, c->ret, "return", &err);
    } else {
        qmp_check_members(ret, "", NULL, &err);
    }
    if (err) {
        g_autofree char *got = js_text(ret);

        g_error("%s %s: %s: %s", c->name, text, err->message, got);
    }
}

/* A value of each JSON type. */
static json_object *any_value(unsigned kind)
{
    static const char *const texts[] = {
        "null",
        "true",
        "-1",
        "9223372036854775807",
        "1.5",
        "\"\"",
        "[]",
        "{}",
        "[1]",
        "{\"a\":1}",
        "\"%s%n\"",
        "-9223372036854775808",
        "\"/\"",
        "\"../../../../nosuch/x\"",
        "[[[[]]]]",
        "18446744073709551615",
        "{\"type\":\"socket\",\"data\":{\"addr\":5}}",
    };

    return kind < G_N_ELEMENTS(texts) ? json_tokener_parse(texts[kind]) : NULL;
}

enum { ANY_KINDS = 17 };

static json_object *long_string(void)
{
    g_autofree char *text = g_strnfill(100000, 'A');

    return json_object_new_string(text);
}

static void walk_members(Machine *m, const QmpCommand *c)
{
    const char *def = c->args;
    ArgSpec spec;

    while (args_next_spec(&def, &spec)) {
        json_object *o;

        if (!strcmp(spec.name, "*")) {
            continue;
        }
        for (unsigned kind = 0; kind < ANY_KINDS; kind++) {
            o = plain_members(c->args);
            js_put(o, spec.name, any_value(kind));
            call(m, c, o);
        }
        o = plain_members(c->args);
        js_put(o, spec.name, long_string());
        call(m, c, o);
        o = plain_members(c->args);
        json_object_object_del(o, spec.name);
        call(m, c, o);
    }
}

static void walk_command(Machine *m, const QmpCommand *c, RunState state)
{
    json_object *o = plain_members(c->args);

    mvm_enter(m, state);
    call(m, c, NULL);
    call(m, c, json_object_get(o));
    js_int(o, "no-such-member", 1);
    call(m, c, o);
    mvm_enter(m, state);
    walk_members(m, c);
    client_settle(m);
}

/* A disk and a character device called "x", as plain arguments have it. */
static void add_backends(Machine *m)
{
    g_autoptr(KeyVal) kv = keyval_new();

    keyval_set(kv, "size", "1M");
    g_assert_true(block_create("disk.qcow2", "qcow2", kv, 0, NULL));
    g_assert_true(drive_add(m, "if=none,id=x,file=disk.qcow2", NULL));
    g_assert_nonnull(chardev_new(m->chardevs, "ringbuf,id=x", NULL));
}

static void test_commands(void)
{
    Machine *m = mvm_new();
    Client *client = client_new(m, true);

    mvm_enter_dir();
    add_backends(m);
    for (RunState state = 0; state <= MVM_LAST_STATE; state++) {
        for (const QmpCommand *c = qmp_commands; c->name; c++) {
            walk_command(m, c, state);
        }
    }
    m->cfg.no_shutdown = true;
    mvm_enter(m, RUN_PAUSED);
    client_free(client);
    mvm_free(m);
    mvm_leave_dir();
}

/* ---- the tables themselves -------------------------------------------------------- */

static void check_type(const char *type, const char *where);

static void check_members(const char *def, const char *where)
{
    ArgSpec spec;

    while (args_next_spec(&def, &spec)) {
        g_autofree char *path = g_strdup_printf("%s.%s", where, spec.name);

        if (strcmp(spec.name, "*")) {
            check_type(spec.full, path);
        }
    }
    g_assert_cmpstr(def, ==, "");
}

static void check_type(const char *type, const char *where)
{
    if (type[0] == '[') {
        check_type(type + 1, where);
    } else if (type[0] == 'e') {
        size_t n = strcspn(type, " ");

        g_assert_true(type[1] == '(' && type[n - 1] == ')');
    } else if (g_ascii_isupper(type[0]) && type[0] != 'F') {
        if (!qmp_type_find(type)) {
            g_error("%s: no type %s", where, type);
        }
    } else {
        g_assert_true(strchr("sFinbq", type[0]) != NULL);
        g_assert_true(type[1] == ' ' || type[1] == '\0');
    }
}

static void test_tables(void)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

    for (const QmpCommand *c = qmp_commands; c->name; c++) {
        g_assert_true(g_hash_table_add(names, (void *)c->name));
        g_assert_nonnull(c->run);
        g_assert_true(c->help && c->help[0]);
        check_members(c->args, c->name);
        if (c->ret[0]) {
            check_type(c->ret, c->name);
        }
    }
    for (const QmpType *t = qmp_types; t->name; t++) {
        g_assert_true(g_hash_table_add(names, (void *)t->name));
        if (t->def[0] == '=') {
            check_type(t->def + 1, t->name);
        } else {
            check_members(t->def, t->name);
        }
    }
    for (const QmpEvent *e = qmp_events; e->name; e++) {
        g_assert_true(g_hash_table_add(names, (void *)e->name));
        check_members(e->data, e->name);
        g_assert_true(e->help && e->help[0]);
    }
}

/* Every type that the schema names is in it, once. */
static void test_schema(void)
{
    g_autoptr(json_object) list = qmp_schema();
    g_autoptr(json_object) known = json_object_new_object();
    static const char *const refs[] = { "arg-type", "ret-type",
                                        "element-type" };

    for (size_t i = 0; i < json_object_array_length(list); i++) {
        const char *name =
            js_get_str(json_object_array_get_idx(list, i), "name");

        g_assert_null(js_get(known, name));
        js_bool(known, name, true);
    }
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *o = json_object_array_get_idx(list, i);
        json_object *members = js_get(o, "members");
        bool object = !strcmp(js_get_str(o, "meta-type"), "object");

        for (size_t k = 0; k < G_N_ELEMENTS(refs); k++) {
            const char *ref = js_get_str(o, refs[k]);

            g_assert_true(!ref || js_get(known, ref));
        }
        for (size_t k = 0; object && k < json_object_array_length(members);
             k++) {
            const char *ref =
                js_get_str(json_object_array_get_idx(members, k), "type");

            g_assert_nonnull(js_get(known, ref));
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qmp/tables", test_tables);
    g_test_add_func("/qmp/schema", test_schema);
    g_test_add_func("/qmp/commands", test_commands);
    return g_test_run();
}

#else

int main(void)
{
    puts("1..1\nok 1 # SKIP built without json-c");
    return 0;
}

#endif
