/* The line editor: keys in, lines and screen text out. */
#include "util/osdep.h"
#include "monitor/readline.h"

typedef struct Seen {
    GString *out;
    char *line;
} Seen;

static void seen_output(void *opaque, const char *text, size_t len)
{
    g_string_append_len(((Seen *)opaque)->out, text, len);
}

static void seen_line(void *opaque, const char *line)
{
    Seen *s = opaque;

    g_free(s->line);
    s->line = g_strdup(line);
}

static GPtrArray *seen_complete(void *opaque, const char *before,
                                const char *word)
{
    static const char *const all[] = { "savevm", "stop", "status" };
    GPtrArray *list = g_ptr_array_new();

    for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
        if (g_str_has_prefix(all[i], word)) {
            g_ptr_array_add(list, (char *)all[i]);
        }
    }
    return list;
}

static const ReadlineOps seen_ops = {
    .output = seen_output,
    .line = seen_line,
    .complete = seen_complete,
};

static void type(Readline *rl, const char *keys)
{
    for (; *keys; keys++) {
        readline_key(rl, *keys);
    }
}

typedef struct EditCase {
    const char *keys, *line;
} EditCase;

static const EditCase edit_cases[] = {
    { "info status\r", "info status" },
    { "abc\x7f\x7fx\r", "ax" }, /* backspace */
    { "bc\x01"
      "a\r",
      "abc" },                             /* Ctrl-a */
    { "ac\033[Db\r", "abc" },              /* cursor left */
    { "abc\033[H\033[3~\r", "bc" },        /* Home, Delete */
    { "one two\x17three\r", "one three" }, /* Ctrl-w */
    { "abc\x15x\r", "x" },                 /* Ctrl-u */
    { "abc\x01\x0b\r", "" },               /* Ctrl-k */
    { "sa\t\r", "savevm " },               /* one completion */
    { "s\t\r", "s" },                      /* several: listed */
    { "st\to\r", "sto" },
    { "abc\x03"
      "d\r",
      "d" }, /* Ctrl-c drops the line */
    { "\033[999Dx\r", "x" },
};

static void test_editing(void)
{
    Seen s = { g_string_new(NULL), NULL };

    for (size_t i = 0; i < G_N_ELEMENTS(edit_cases); i++) {
        Readline *rl = readline_new("> ", &seen_ops, &s);

        type(rl, edit_cases[i].keys);
        g_assert_cmpstr(s.line, ==, edit_cases[i].line);
        readline_free(rl);
    }
    g_string_free(s.out, TRUE);
    g_free(s.line);
}

static void test_history(void)
{
    Seen s = { g_string_new(NULL), NULL };
    Readline *rl = readline_new("> ", &seen_ops, &s);

    type(rl, "one\rtwo\rtwo\r");
    g_assert_cmpuint(readline_history(rl)->len, ==, 2);
    type(rl, "\033[A\033[A\r");
    g_assert_cmpstr(s.line, ==, "one");
    type(rl, "thr\033[A\033[Bee\r"); /* up and back down: what was typed */
    g_assert_cmpstr(s.line, ==, "three");
    type(rl, "\033[A\033[A\033[A\033[A\033[A\033[A\r"); /* stops at the first */
    g_assert_cmpstr(s.line, ==, "one");
    readline_free(rl);
    g_string_free(s.out, TRUE);
    g_free(s.line);
}

static void test_garbage(void)
{
    Seen s = { g_string_new(NULL), NULL };
    Readline *rl = readline_new("> ", &seen_ops, &s);
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);

    for (int i = 0; i < 200000; i++) {
        readline_key(rl, g_rand_int(rand));
        if (s.out->len > 100000) {
            g_string_truncate(s.out, 0);
        }
    }
    type(rl, "  \x03ok\r");
    g_assert_cmpstr(s.line, ==, "ok");
    readline_free(rl);
    g_string_free(s.out, TRUE);
    g_free(s.line);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/readline/editing", test_editing);
    g_test_add_func("/readline/history", test_history);
    g_test_add_func("/readline/garbage", test_garbage);
    return g_test_run();
}
