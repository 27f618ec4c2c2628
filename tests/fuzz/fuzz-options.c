/*
 * The command line: words, one a line, through options.def and every handler.
 * Nothing is opened or built. -D and -readconfig are left out, since they name a
 * file to write and one to read.
 */
#include "util/osdep.h"
#include "util/log.h"
#include "system/cli.h"
#include "tests/lib/fuzz-input.h"
#include "tests/lib/fuzz.h"

enum { WORDS_MAX = 64 };

static bool opens_files(const char *word)
{
    static const char *const names[] = { "-D", "-readconfig", NULL };

    word += word[0] == '-' && word[1] == '-';
    return g_strv_contains(names, word);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    g_auto(GStrv) words = input_lines(data, len, WORDS_MAX);
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autoptr(GError) err = NULL;
    Cli *cli;

    g_ptr_array_add(argv, (char *)"rhea");
    for (char **w = words; *w; w++) {
        if (opens_files(*w)) {
            return 0;
        }
        g_ptr_array_add(argv, *w);
    }
    cli = cli_parse(argv->len, (char **)argv->pdata, &err);
    g_assert_true((cli == NULL) == (err != NULL));
    if (err) {
        g_assert_null(strchr(err->message, '\n'));
    } else {
        cli_free(cli);
    }
    log_set_flags(0);
    return 0;
}
